//! What a fact costs that nothing is to be said of. Measured on demand: `--run-ignored`, in an optimised build.

use crate::record::{Event, records};
use relatch::audit::{judge::Judge, policy::Policy};
use relatch_events::{cloudtrail::log, fact::Fact, moment::Moment};
use std::{fs, hint::black_box};

const FACTS: usize = 200_000;

#[test]
#[ignore = "measures"]
fn an_uninteresting_fact_costs_less_than_a_microsecond() {
    let usual: Vec<Fact> = (0..40).flat_map(|role| (0..5).map(move |secret| fact(role, secret))).collect();
    let start = usual[0].at.unwrap().as_millis();
    let made = |index: usize| {
        let at = Some(Moment::from_millis(start + index as i64 * 500));
        let id = Some(format!("{index:08x}-0000-4000-8000-000000000000"));
        Box::new(Fact { id, at, ..usual[(index * 7_919) % usual.len()].clone() })
    };
    // The best of five: whatever else the machine does makes none of them faster.
    let each = (0..5).map(|_| {
        // What it costs to make facts and to let go of them is not theirs.
        let before = on_processor();
        (0..FACTS).for_each(|index| drop(black_box(made(index))));
        let making = on_processor() - before;
        let (mut judge, mut found) = (Judge::new(Policy::default()), Vec::new());
        let before = on_processor();
        for index in 0..FACTS {
            judge.take(made(index), &mut found);
        }
        assert!(found.is_empty());
        (on_processor() - before).saturating_sub(making) / FACTS as u64
    });
    let each = each.min().unwrap();
    println!("{each} ns for each of {FACTS} facts");
    assert!(each < 1_000);
}

/// Nanoseconds that this thread was on a processor: what else the machine does counts less.
fn on_processor() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

fn fact(role: usize, secret: usize) -> Fact {
    let line = format!("09:00 role/service-{role} reads shop-prod-secret-{role}-{secret}");
    let event = Event::parse(&line, 1_772_409_600_000).unwrap();
    log::read(records(&event[0])[0].to_string().as_bytes()).unwrap().unwrap()
}
