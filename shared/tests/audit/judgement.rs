//! What a scenario cannot say: announcements, the shadow, knowledge that is kept, and how a finding is told.

use crate::scenario::{self, DAY, Scenario};
use relatch::{
    audit::{
        baseline::Baseline,
        finding::{Finding, Kind},
        incident::incidents,
        judge::{Announcement, Judge},
        policy::Policy,
    },
    language::Language,
};
use relatch_events::moment::Moment;

#[test]
fn an_announced_change_is_as_it_should_be_and_the_same_by_somebody_else_is_not() {
    let scenario = of("label-moved-outside-rotation", 0);
    let last = scenario.facts.last().unwrap();
    let at = last.at.unwrap();
    let moment = |by: i64| Moment::from_millis(at.as_millis() + by);
    let announcement = Announcement {
        principal: last.actor.id.clone(),
        target: last.targets[0].clone(),
        from: moment(-60_000),
        until: moment(60_000),
    };
    let somebody_else =
        Announcement { principal: "arn:aws:iam::111122223333:role/relatch-respond".to_owned(), ..announcement.clone() };
    let too_early = Announcement { until: moment(-1), ..announcement.clone() };
    for (announcement, expected) in [(announcement, 0), (somebody_else, 1), (too_early, 1)] {
        let mut judge = Judge::new(Policy::default());
        judge.announce(announcement);
        assert_eq!(judged(&mut judge, &scenario).len(), expected);
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
