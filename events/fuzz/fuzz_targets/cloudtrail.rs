//! No bytes, however wrong, may make the readers of CloudTrail's records panic, and a log comes to an end.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relatch_events::cloudtrail::{
    envelope::Invocation,
    log::{self, Log},
};

fuzz_target!(|bytes: &[u8]| {
    // What is compressed in it may have more entries than it has bytes, and not more than a thousand times as many.
    assert!(Log::new(bytes).map(Result::unwrap).count() <= bytes.len() * 1_100);
    let _ = log::read(bytes);
    let _ = Invocation::parse(bytes);
});
