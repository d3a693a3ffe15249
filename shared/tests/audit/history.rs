//! History that is learned in halves, or again, beside what is known already.

use crate::scenario::{self, Scenario};
use proptest::prelude::*;
use relatch::audit::{
    baseline::{Baseline, Part},
    judge::Judge,
    policy::Policy,
};
use relatch_events::fact::Fact;
use serde_json::Value;
use std::{collections::BTreeMap, sync::LazyLock};

static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(scenario::all);

/// A part's text, by its name.
type Known = BTreeMap<Part, String>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn two_spans_of_time_are_known_as_one(cut in 1_usize..100) {
        for facts in reads() {
            let (before, after) = facts.split_at(facts.len() * cut / 100);
            // Who acts within a second acts in no order: what the cut leaves behind goes along.
            let at = after[0].at;
            let (before, after): (Vec<_>, Vec<_>) =
                before.iter().chain(after).cloned().partition(|fact| fact.at < at);
            let [before, after, whole] = [&before, &after, &facts].map(|facts| alone(&learned(facts)));
            prop_assert_eq!(&together(&before, &after), &whole);
            prop_assert_eq!(&together(&after, &before), &whole);
        }
    }

    #[test]
    fn of_sides_that_overlap_all_but_the_number_of_reads_is_known_as_of_one(bits: u64) {
        let counts = "\"n\":";
        let uncounted = |known: Known| -> BTreeMap<Part, Value> {
            known.into_iter().map(|(part, text)| {
                let mut value: Value = serde_json::from_str(&text).unwrap();
                let readers = value.get_mut("readers").and_then(Value::as_array_mut);
                readers.into_iter().flatten().for_each(|reader| drop(reader["n"].take()));
                (part, value)
            }).collect()
        };
        for facts in reads() {
            let numbered = facts.iter().cloned().enumerate();
            let (one, other): (Vec<_>, Vec<_>) = numbered.partition(|(index, _)| bits >> (index % 61) & 1 == 1);
            let side = |side: Vec<(usize, Fact)>| alone(&learned(&side.into_iter().map(|(_, fact)| fact).collect::<Vec<_>>()));
            let (one, other, whole) = (side(one), side(other), uncounted(alone(&learned(&facts))));
            prop_assert!(one.values().chain(other.values()).any(|text| text.contains(counts)));
            prop_assert_eq!(&uncounted(together(&one, &other)), &whole);
            prop_assert_eq!(&uncounted(together(&other, &one)), &whole);
        }
    }
}

#[test]
fn what_is_learned_again_changes_nothing() {
    for scenario in SCENARIOS.iter() {
        let facts: Vec<Fact> = scenario.history.iter().chain(&scenario.facts).cloned().collect();
        let half = learned(&facts[..facts.len() / 2]);
        let whole = learned(&facts);
        let known = together(&half, &whole);
        assert_eq!(together(&known, &whole), known, "{}: {}", scenario.file, scenario.title);
        assert_eq!(together(&known, &half), known, "{}: {}", scenario.file, scenario.title);
        assert_eq!(together(&known, &known), known, "{}: {}", scenario.file, scenario.title);
    }
}

#[test]
fn what_was_told_is_not_forgotten_and_of_history_nobody_is_told() {
    let told = |known: &Known| known.values().filter(|text| text.contains("\"told\":")).count();
    let mut are_any = false;
    for scenario in SCENARIOS.iter() {
        let known = learned(&scenario.facts);
        assert_eq!(told(&alone(&known)), 0, "{}", scenario.title);
        assert_eq!(told(&together(&known, &known)), told(&known), "{}", scenario.title);
        are_any |= told(&known) > 0;
    }
    assert!(are_any);
}

/// What each story with nothing but reads tells, in the order of time.
fn reads() -> Vec<Vec<Fact>> {
    let of = |scenario: &Scenario| {
        let facts = scenario.history.iter().chain(&scenario.facts);
        let mut facts: Vec<Fact> = facts.filter(|fact| fact.action == "GetSecretValue").cloned().collect();
        facts.sort_by_key(|fact| fact.at);
        // An id each, so that none is taken for another's copy.
        for (index, fact) in facts.iter_mut().enumerate() {
            fact.id = Some(index.to_string());
        }
        facts
    };
    let files = ["new-reader", "off-hours-read", "human-read"];
    let stories = SCENARIOS.iter().filter(|scenario| files.contains(&scenario.file.as_str())).map(of);
    let stories: Vec<_> = stories.filter(|facts| facts.len() > 10).collect();
    assert!(stories.len() > 3, "{}", stories.len());
    stories
}

fn learned(facts: &[Fact]) -> Known {
    let mut judge = Judge::new(Policy::default());
    for fact in facts {
        judge.learn(Box::new(fact.clone()));
    }
    judge.settle(&mut Vec::new());
    let known = |baseline: &Baseline, part: &Part| baseline.part(part).unwrap().unwrap();
    judge.baseline().parts().into_iter().map(|part| (part.clone(), known(judge.baseline(), &part))).collect()
}

/// As it is kept where nothing was known.
fn alone(history: &Known) -> Known {
    together(&Known::new(), history)
}

fn together(known: &Known, history: &Known) -> Known {
    let mut all = known.clone();
    for (part, learned) in history {
        let text = part.with_history(known.get(part).map(String::as_str), learned).unwrap();
        all.insert(part.clone(), text);
    }
    all
}
