//! How well it is judged: precision, recall, and how many alerts there are for an attack.

use crate::scenario::{self, Scenario};
use relatch::audit::finding::Kind;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
struct Score {
    right: usize,
    too_many: usize,
    missed: usize,
    incidents: usize,
    attacks: usize,
    wrong: Vec<String>,
}

#[test]
fn what_is_found_is_what_was_expected_and_an_attack_is_one_incident() {
    let scenarios = scenario::all();
    let mut score = Score::default();
    for scenario in &scenarios {
        score.add(scenario);
    }
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    println!("{} scenarios, {} of them without an attack", scenarios.len(), quiet(&scenarios));
    println!("precision           {:6.1} %", percent(score.right, score.right + score.too_many));
    println!("recall              {:6.1} %", percent(score.right, score.right + score.missed));
    println!("alerts per incident {:6.2}", score.incidents as f64 / score.attacks.max(1) as f64);
    assert!(score.wrong.is_empty(), "\n{}", score.wrong.join("\n"));
}

#[test]
fn every_kind_has_a_scenario_with_it_and_one_in_its_file_without_any() {
    let scenarios = scenario::all();
    for kind in Kind::all() {
        let of_kind: Vec<&Scenario> = scenarios.iter().filter(|scenario| scenario.file == kind.name()).collect();
        assert!(of_kind.iter().any(|scenario| scenario.is_of(kind)), "{} has no example", kind.name());
        assert!(of_kind.iter().any(|scenario| !scenario.is_of(kind)), "{} has no counter-example", kind.name());
    }
}

fn quiet(scenarios: &[Scenario]) -> usize {
    scenarios.iter().filter(|scenario| scenario.expected.is_empty()).count()
}

impl Score {
    fn add(&mut self, scenario: &Scenario) {
        let incidents = scenario.incidents(scenario.facts.iter().cloned());
        let found: Vec<_> = incidents.iter().flat_map(|incident| incident.findings.clone()).collect();
        let said = |what: &str| format!("{}, \"{}\": {what}", scenario.file, scenario.title);
        for expected in &scenario.expected {
            if expected.is_met(&found) {
                self.right += 1;
            } else {
                self.missed += 1;
                self.wrong.push(said(&format!("{expected:?} is missing")));
            }
        }
        let unexpected: BTreeSet<(Kind, &str)> = found
            .iter()
            .filter(|finding| !finding.shadowed && !scenario.expected.iter().any(|expected| expected.names(finding)))
            .map(|finding| (finding.kind, finding.principal.as_str()))
            .collect();
        for (kind, principal) in unexpected {
            self.too_many += 1;
            self.wrong.push(said(&format!("{} by {principal} is too many", kind.name())));
        }
        if incidents.len() != scenario.attacks {
            let keys: Vec<&str> = incidents.iter().map(|incident| incident.key.as_str()).collect();
            self.wrong.push(said(&format!("{} attacks are {} incidents: {keys:?}", scenario.attacks, incidents.len())));
        }
        self.incidents += incidents.len();
        self.attacks += scenario.attacks;
    }
}
