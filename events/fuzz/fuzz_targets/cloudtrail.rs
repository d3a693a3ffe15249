//! No bytes, however wrong, may make the readers of CloudTrail's records panic, and a log has no more entries than bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relatch_events::cloudtrail::{
    envelope::Invocation,
    log::{self, Log},
};

fuzz_target!(|bytes: &[u8]| {
    assert!(Log::new(bytes).map(Result::unwrap).count() <= bytes.len());
    let _ = log::read(bytes);
    let _ = Invocation::parse(bytes);
});
