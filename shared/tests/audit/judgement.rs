//! What a scenario cannot say: announcements, the shadow, knowledge that is kept, and how a finding is told.

use crate::scenario::{self, DAY, Scenario};
use relatch::{
    audit::{
        baseline::{Baseline, Part},
        finding::{Finding, Kind},
        incident::incidents,
        judge::Judge,
        operation::{Act, Announcement, Operation},
        policy::Policy,
    },
    language::Language,
};
use relatch_events::{fact::Fact, moment::Moment};
use std::collections::BTreeMap;

/// Relatch's role is not enough: only the very call that was recorded is as it should be.
#[test]
fn a_recorded_operation_is_as_it_should_be_and_nothing_else_in_the_same_role_is() {
    let scenario = of("label-moved-outside-rotation", 0);
    let last = scenario.facts.last().unwrap();
    let at = last.at.unwrap();
    let moment = |by: i64| Moment::from_millis(at.as_millis() + by);
    let recorded = Operation::of(last).unwrap();
    let within = |operation: &Operation, from, until| Announcement {
        operation: operation.clone(),
        from: moment(from),
        until: moment(until),
    };
    let other = |change: &dyn Fn(&mut Operation)| {
        let mut operation = recorded.clone();
        change(&mut operation);
        within(&operation, -60_000, 60_000)
    };
    let other_session = other(&|operation| operation.access_key = "ASIAOTHERSESSION".to_owned());
    let other_secret = other(&|operation| operation.target.name = "shop-prod-secret-jwt".to_owned());
    let other_version = other(&|operation| {
        operation.act = Act::promotion(&"other".try_into().unwrap(), &"another".try_into().unwrap());
    });
    for (case, announcement, expected) in [
        ("recorded", Some(within(&recorded, -60_000, 60_000)), 0),
        ("the role alone", None, 1),
        ("of another session of the role", Some(other_session), 1),
        ("of another secret", Some(other_secret), 1),
        ("to another version", Some(other_version), 1),
        ("long ago", Some(within(&recorded, -60_000, -1)), 1),
        ("later", Some(within(&recorded, 1, 60_000)), 1),
    ] {
        let mut judge = Judge::new(Policy::default());
        announcement.into_iter().for_each(|announcement| judge.announce(announcement));
        assert_eq!(judged(&mut judge, &scenario).len(), expected, "{case}");
    }
}

#[test]
fn a_finding_in_the_shadow_is_made_and_marked() {
    let policy = Policy::from_json(r#"{"shadowed": ["root-use"]}"#).unwrap();
    let found = judged(&mut Judge::new(policy), &of("root-use", 0));
    assert!(found.iter().all(|finding| finding.kind == Kind::RootUse && finding.shadowed));
    assert!(incidents(found, DAY).iter().all(|incident| incident.is_shadowed()));
}

#[test]
fn what_is_kept_of_a_baseline_is_all_that_is_needed() {
    for scenario in scenario::all() {
        let mut before = Judge::new(scenario.policy.clone());
        scenario.history.iter().for_each(|fact| {
            before.learn(Box::new(fact.clone()));
        });
        before.finish(&mut Vec::new());
        let kept = Baseline::from_json(&before.baseline().to_json().unwrap()).unwrap();
        let mut after = Judge::knowing(scenario.policy.clone(), kept);
        let found = judged(&mut after, &scenario);
        let gap = scenario.policy.thresholds.incident_gap;
        assert_eq!(
            incidents(found, gap),
            incidents(scenario.judged(scenario.facts.clone()).0, gap),
            "{}",
            scenario.title
        );
    }
}

#[test]
fn whoever_knows_only_the_parts_that_a_fact_needs_finds_the_same() {
    // Each fact by itself, and nothing remembered in between but the parts.
    fn judge(parts: &mut BTreeMap<Part, String>, policy: &Policy, facts: &[Fact], learn: bool) -> Vec<Finding> {
        let needed = Part::needed_for(facts);
        let mut baseline = Baseline::default();
        for part in &needed {
            if let Some(text) = parts.get(part) {
                baseline.take_part(part, text).unwrap();
            }
        }
        let (mut judge, mut found) = (Judge::knowing(policy.clone(), baseline).waiting(0), Vec::new());
        for fact in facts.iter().cloned().map(Box::new) {
            if learn {
                judge.learn(fact)
            } else {
                judge.take(fact, &mut found)
            };
        }
        let known = needed.into_iter().filter_map(|part| Some((judge.baseline().part(&part).unwrap()?, part)));
        parts.extend(known.map(|(text, part)| (part, text)).collect::<Vec<_>>());
        found
    }
    for scenario in scenario::all() {
        let mut whole = Judge::new(scenario.policy.clone()).waiting(0);
        let mut parts = BTreeMap::new();
        for facts in scenario.history.chunks(25) {
            facts.iter().for_each(|fact| {
                whole.learn(Box::new(fact.clone()));
            });
            judge(&mut parts, &scenario.policy, facts, true);
        }
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        for fact in &scenario.facts {
            whole.take(Box::new(fact.clone()), &mut expected);
            found.extend(judge(&mut parts, &scenario.policy, std::slice::from_ref(fact), false));
        }
        // That nothing explains a decryption can be told only by whoever sees all that could.
        expected.retain(|finding| finding.kind != Kind::UnseenRead);
        assert_eq!(found, expected, "{}: {}", scenario.file, scenario.title);
        for (part, text) in &parts {
            assert_eq!(whole.baseline().part(part).unwrap().as_ref(), Some(text), "{}: {part}", scenario.title);
        }
    }
}

#[test]
fn without_waiting_each_fact_is_judged_as_it_comes() {
    let scenario = of("read-burst", 0);
    let mut judge = Judge::new(scenario.policy.clone()).waiting(0);
    scenario.history.iter().for_each(|fact| {
        judge.learn(Box::new(fact.clone()));
    });
    let mut facts = scenario.facts.clone();
    facts.reverse();
    let mut found = Vec::new();
    for fact in facts {
        judge.take(Box::new(fact), &mut found);
    }
    let burst: Vec<&Finding> = found.iter().filter(|finding| finding.kind == Kind::ReadBurst).collect();
    assert_eq!(burst.len(), 1);
    assert_eq!(burst[0].targets.len(), 20);
}

#[test]
fn of_rules_that_are_not_ours_nothing_is_known() {
    let known = |rule: &str| {
        let scenario =
            Scenario::parse("rules", &format!("Rules\n09:00 role/deploy puts rule {rule} as ENABLED\nexpect nothing"));
        let mut judge = Judge::new(Policy::default());
        judged(&mut judge, &scenario);
        judge.baseline().parts().contains(&Part::General)
    };
    assert!(known("relatch-prod-audit"));
    assert!(!known("nightly-report"));
}

#[test]
fn incidents_of_one_principal_end_when_nothing_more_is_found() {
    let found = judged(&mut Judge::new(Policy::default()), &of("root-use", 0));
    let later = |finding: &Finding| {
        let at = finding.at.map(|at| Moment::from_millis(at.as_millis() + DAY));
        Finding { at, ..finding.clone() }
    };
    let all: Vec<Finding> = found.iter().map(later).chain(found.clone()).collect();
    assert_eq!(incidents(all.clone(), DAY / 24).len(), 2);
    assert_eq!(incidents(all, DAY).len(), 1);
}

#[test]
fn a_finding_explains_itself_in_every_language_and_is_a_security_event() {
    let scenario = of("new-reader", 1);
    let (found, _) = scenario.judged(scenario.facts.clone());
    let told: Vec<String> = found
        .iter()
        .map(|finding| {
            let texts = Language::ALL.map(|language| {
                let reasons = finding.reasons(language).join("\n  ");
                format!("{}\n  {reasons}", finding.kind.title(language))
            });
            format!("{}\n{:#}", texts.join("\n"), finding.security_event())
        })
        .collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

/// A scenario by its file and its place there.
fn of(file: &str, index: usize) -> Scenario {
    scenario::all().into_iter().filter(|scenario| scenario.file == file).nth(index).unwrap()
}

fn judged(judge: &mut Judge, scenario: &Scenario) -> Vec<Finding> {
    let mut found = Vec::new();
    for fact in &scenario.facts {
        judge.take(Box::new(fact.clone()), &mut found);
    }
    judge.finish(&mut found);
    found
}
