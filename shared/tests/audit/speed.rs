//! What a fact costs that nothing is to be said of. Measured on demand: `--run-ignored`, in an optimised build.

use crate::record::{Event, records};
use relatch::audit::{judge::Judge, policy::Policy};
use relatch_events::{cloudtrail::log, fact::Fact, moment::Moment};
use std::{hint::black_box, time::Instant};

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
    // What it costs to make facts and to let go of them is not theirs.
    let before = Instant::now();
    (0..FACTS).for_each(|index| drop(black_box(made(index))));
    let making = before.elapsed();
    let (mut judge, mut found) = (Judge::new(Policy::default()), Vec::new());
    let before = Instant::now();
    for index in 0..FACTS {
        judge.take(made(index), &mut found);
    }
    let each = before.elapsed().saturating_sub(making).as_nanos() / FACTS as u128;
    println!("{each} ns for each of {FACTS} facts");
    assert!(found.is_empty() && each < 1_000);
}

fn fact(role: usize, secret: usize) -> Fact {
    let line = format!("09:00 role/service-{role} reads shop-prod-secret-{role}-{secret}");
    let event = Event::parse(&line, 1_772_409_600_000).unwrap();
    log::read(records(&event[0])[0].to_string().as_bytes()).unwrap().unwrap()
}
