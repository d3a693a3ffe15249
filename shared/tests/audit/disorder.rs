//! The order in which events arrive, and that some arrive twice, changes nothing.

use crate::scenario::{self, Scenario};
use proptest::prelude::*;
use relatch::audit::{
    baseline::Baseline,
    judge::{Judge, LATENESS, Taken},
    policy::Policy,
};
use relatch_events::fact::Fact;
use std::sync::LazyLock;

static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(scenario::all);

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn duplicates_and_disorder_change_nothing(seed: u64) {
        for scenario in SCENARIOS.iter() {
            let mut facts = scenario.facts.clone();
            let mut random = Random(seed | 1);
            facts.extend(scenario.facts.iter().filter(|_| random.below(5) == 0).cloned());
            let arrival = |fact: &Fact, random: &mut Random| fact.at.unwrap().as_millis() + random.below(LATENESS as u64 - 1_000) as i64;
            let mut arriving: Vec<(i64, Fact)> = facts.into_iter().map(|fact| (arrival(&fact, &mut random), fact)).collect();
            arriving.sort_by_key(|(at, _)| *at);
            let in_order = scenario.incidents(scenario.facts.iter().cloned());
            let in_disorder = scenario.incidents(arriving.into_iter().map(|(_, fact)| fact));
            prop_assert_eq!(in_disorder, in_order, "{}: {}", scenario.file, scenario.title);
        }
    }

    #[test]
    fn a_baseline_is_the_same_in_whichever_order_reads_arrive(seed: u64) {
        let mut facts: Vec<&Fact> = SCENARIOS.iter().filter(|scenario| scenario.file == "new-reader").flat_map(|scenario| &scenario.history).collect();
        facts.truncate(400);
        let in_order = learned(&facts);
        let mut random = Random(seed | 1);
        for index in (1..facts.len()).rev() {
            facts.swap(index, random.below(index as u64 + 1) as usize);
        }
        let in_disorder = learned(&facts);
        prop_assert_eq!(&in_disorder, &in_order);
        let kept = Baseline::from_json(&in_order).unwrap();
        prop_assert_eq!(kept.to_json().unwrap(), in_order);
    }
}

#[test]
fn an_event_counts_once_however_often_it_comes() {
    let scenario = SCENARIOS.iter().find(|scenario| !scenario.facts.is_empty()).unwrap();
    let mut judge = Judge::new(Policy::default());
    let mut found = Vec::new();
    let fact = &scenario.facts[0];
    assert_eq!(judge.take(Box::new(fact.clone()), &mut found), Taken::New);
    assert_eq!(judge.take(Box::new(fact.clone()), &mut found), Taken::Duplicate);
    let copy = |id: &str| Fact { id: Some(id.to_owned()), shared_id: Some("shared".to_owned()), ..fact.clone() };
    assert_eq!(judge.take(Box::new(copy("one")), &mut found), Taken::New);
    assert_eq!(judge.take(Box::new(copy("other")), &mut found), Taken::Duplicate);
}

/// What is learned, without waiting, as JSON.
fn learned(facts: &[&Fact]) -> String {
    let mut judge = Judge::new(Policy::default()).waiting(0);
    for (index, fact) in facts.iter().enumerate() {
        let id = Some(format!("{:?} {:?} {index}", fact.at, fact.actor.id));
        judge.learn(Box::new(Fact { id, ..(*fact).clone() }));
    }
    judge.baseline().to_json().unwrap()
}

/// Enough of a generator to shuffle with.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
