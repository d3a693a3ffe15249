//! No bytes, however wrong, may make the parser of what wakes `respond` panic: it answers with an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relatch_events::trigger::Trigger;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(event) = serde_json::from_slice(bytes) {
        let _ = Trigger::parse(&event);
    }
});
