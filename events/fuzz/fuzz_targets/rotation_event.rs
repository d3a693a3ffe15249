//! No bytes, however wrong, may make the parser of a rotation event panic: it answers with an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relatch_events::rotation::RotationEvent;

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<RotationEvent>(bytes);
});
