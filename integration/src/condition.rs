//! What is waited for, in place of a time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long a condition may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for a condition that comes true by itself.
///
/// # Panics
/// When it does not within twenty seconds; `what` says what was waited for.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
