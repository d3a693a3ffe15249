//! What a fact costs that nothing is to be said of. Measured on demand: `--run-ignored`, in an optimised build.

use crate::record::{Event, records};
use relatch::audit::{judge::Judge, policy::Policy};
use relatch_events::{cloudtrail::log, fact::Fact, moment::Moment};
use std::time::Instant;

const FACTS: usize = 200_000;

#[test]
#[ignore = "measures"]
fn an_uninteresting_fact_costs_less_than_a_microsecond() {
    let roles: Vec<Fact> = (0..40).flat_map(|role| (0..5).map(move |secret| fact(role, secret))).collect();
    let start = roles[0].at.unwrap().as_millis();
    let facts = (0..FACTS).map(|index| {
        let fact = roles[(index * 7_919) % roles.len()].clone();
        let at = Moment::from_millis(start + index as i64 * 500);
        Box::new(Fact { id: Some(format!("{index:08x}-0000-4000-8000-000000000000")), at: Some(at), ..fact })
    });
    let facts: Vec<Box<Fact>> = facts.collect();
    let (mut judge, mut found) = (Judge::new(Policy::default()).waiting(0), Vec::new());
    let before = Instant::now();
    for fact in facts {
        judge.take(fact, &mut found);
    }
    let each = before.elapsed().as_nanos() / FACTS as u128;
    println!("{each} ns for each of {FACTS} facts, their release included");
    assert!(found.is_empty() && each < 1_000);
}

fn fact(role: usize, secret: usize) -> Fact {
    let line = format!("09:00 role/service-{role} reads shop-prod-secret-{role}-{secret}");
    let event = Event::parse(&line, 1_772_409_600_000).unwrap();
    log::read(records(&event[0])[0].to_string().as_bytes()).unwrap().unwrap()
}
