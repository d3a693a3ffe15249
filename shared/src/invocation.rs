//! An invocation by Lambda, which ends when its time is over.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Until when an invocation may work: its deadline, which Lambda gives in milliseconds since 1970, less what it needs to
/// say what happened.
pub fn deadline(milliseconds: u64, reserve: Duration) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::now() + Duration::from_millis(milliseconds).saturating_sub(now).saturating_sub(reserve)
}
