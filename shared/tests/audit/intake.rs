//! Whatever is interrupted and handed over again ends as if nothing had happened.

use crate::{
    memory::{Fault, Process},
    scenario::Scenario,
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use relatch::{
    alert::{Alerts, policy::Settings},
    audit::{
        intake::{Intake, Tally},
        judge::Judge,
        ledger::ACCESSES_ARE_KEPT,
        operation::{Announcement, Operation},
        policy::Policy,
    },
    config::Environment,
    containment::ask::Asking,
    language::Language,
    ports::{CallError, CallErrorKind},
    telemetry::Metrics,
};
use relatch_events::{containment::Measure, fact::Fact, moment::Moment};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// A burst, of which each read is nothing; something by root; changes; somebody at the watch.
const STORY: &str = "Much at once
10:00 role/report reads shop-prod-secret-{1..20}
10:01 root reads shop-prod-secret-jwt
10:02 role/ops moves AWSCURRENT of shop-prod-secret-database to v1
10:03 role/ops deletes shop-dev-secret-old
10:04 role/thief disables rule relatch-prod-audit
10:05 role/thief is denied shop-prod-secret-oauth";

#[tokio::test(start_paused = true)]
async fn what_is_interrupted_anywhere_and_handed_over_again_ends_as_if_it_had_not_been() {
    let facts = facts(STORY);
    let calm = Process::first();
    take(&calm, facts.clone()).await.unwrap();
    let expected = Portrait::of(&calm);
    assert_eq!(expected.told.values().sum::<usize>(), 4, "{:#?}", expected.told);
    assert_eq!(expected.asked.len(), 1, "{:#?}", expected.asked);
    let calls = calm.calls();
    let mut cases = 0;
    for (call, name) in calls.iter().enumerate() {
        for fault in Fault::ALL {
            let world = Process::first();
            interrupted(&world.another().failing_at(call, fault), facts.clone()).await;
            let case = format!("{fault:?} at {call}, {name}");
            take(&world.another(), facts.clone()).await.unwrap();
            // A dead process's claim lasts a minute; the flush tells what is left.
            let alerts = intake(&world.another()).alerts;
            for minutes in [2, 7] {
                let now = Timestamp::now() + SignedDuration::from_mins(minutes);
                alerts.flush(Environment::Prod, now).await.unwrap();
            }
            let portrait = Portrait::of(&world);
            assert_eq!(portrait.ledger, expected.ledger, "{case}");
            assert_eq!(portrait.baseline, expected.baseline, "{case}");
            assert_eq!(
                portrait.told.keys().collect::<Vec<_>>(),
                expected.told.keys().collect::<Vec<_>>(),
                "{case}: {:#?}",
                portrait.told
            );
            // Better twice than never: only where it cannot be known whether people were told are they told again.
            let is_of_register =
                matches!(*name, "entries" | "keep" | "telling" | "claim" | "silences" | "told" | "publish");
            let is_unclear = match (*name, fault) {
                ("publish", Fault::AfterEffect | Fault::DiesAfter) | ("told", Fault::Dies) => true,
                (_, fault) => is_of_register && !fault.is_deadly(),
            };
            let most = if is_unclear { 2 } else { 1 };
            assert!(portrait.told.values().all(|times| *times <= most), "{case}: {:#?}", portrait.told);
            cases += 1;
        }
    }
    println!("{cases} cases of {} calls", calls.len());
    assert!(calls.len() > 70, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_which_two_see_a_half_each_is_found_whenever_the_one_comes_between_the_other() {
    let facts = facts(STORY).into_iter().take(20).collect::<Vec<_>>();
    let (mine, others) = facts.split_at(10);
    let calm = Process::first();
    take(&calm, mine.to_vec()).await.unwrap();
    assert!(Portrait::of(&calm).told.is_empty(), "ten reads are no burst");
    let (mut conflicts, calls) = (0, calm.calls());
    for call in 0..calls.len() {
        let world = Process::first();
        let (other, others) = (world.another(), others.to_vec());
        let one = world.another().interrupted_at(call, async move { take(&other, others).await.unwrap() });
        take(&one, mine.to_vec()).await.unwrap();
        let portrait = Portrait::of(&world);
        let case = format!("between {} and the rest", calls[call]);
        assert_eq!(portrait.told.values().collect::<Vec<_>>(), [&1], "{case}: {:#?}", portrait.told);
        let (told, _) = portrait.told.first_key_value().unwrap();
        assert!((1..=20).all(|n| told.secrets.contains(&format!("shop-prod-secret-{n}"))), "{case}: {told:#?}");
        assert_eq!(portrait.ledger.len(), 20, "{case}");
        let world = world.shared.borrow();
        conflicts += world.conflicts;
        // Between what was read and what was kept.
        let is_between = calls[..call].contains(&"parts") && !calls[..call].contains(&"keep part");
        assert!(!is_between || world.conflicts > 0, "{case}");
    }
    assert!(conflicts > 0);
}

/// Reads that are little by themselves, a decoy, more such reads; a long while later another one. And somebody else's.
const THEFT: &str = "A theft
usually role/shop-prod-api reads shop-prod-secret-{1..6}
10:00 role/thief reads shop-prod-secret-1
10:01 role/thief reads shop-prod-secret-2
10:02 role/other reads shop-prod-secret-6
10:03 role/thief reads shop-prod-secret-3
10:10 role/thief reads shop-prod-secret-oauth
10:11 role/thief reads shop-prod-secret-4
10:12 role/thief reads shop-prod-secret-1
14:00 role/thief reads shop-prod-secret-5";

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_the_same_however_the_batches_are_cut() {
    let scenario = Scenario::parse("intake", THEFT);
    let mut before = Judge::new(policy());
    scenario.history.iter().for_each(|fact| {
        before.learn(Box::new(fact.clone()));
    });
    before.finish(&mut Vec::new());
    let before = before.baseline();
    let world = || {
        let world = Process::first();
        let parts = before.parts().into_iter().map(|part| (part.clone(), (before.part(&part).unwrap().unwrap(), 1)));
        world.shared.borrow_mut().parts = parts.collect();
        world
    };
    // Of each secret that was asked for, when it was read last.
    let asked = |world: &Process| {
        let mut asked: BTreeMap<String, _> = BTreeMap::new();
        for request in &world.shared.borrow().asked {
            assert!(request.principal.ends_with("role/thief"), "{request:?}");
            for exposed in &request.secrets {
                let known = asked.entry(exposed.secret.as_str().rsplit('-').next().unwrap().to_owned()).or_default();
                *known = exposed.read.max(*known);
            }
        }
        asked
    };
    let whole = world();
    take(&whole, scenario.facts.clone()).await.unwrap();
    let expected = asked(&whole);
    assert_eq!(expected.keys().collect::<Vec<_>>(), ["1", "2", "3", "4", "oauth"]);
    // Bit by bit, whether there is a cut after each fact.
    let gaps = scenario.facts.len() - 1;
    for cuts in 0..1_usize << gaps {
        let (world, mut batch) = (world(), Vec::new());
        for (n, fact) in scenario.facts.iter().enumerate() {
            batch.push(fact.clone());
            if n == gaps || cuts >> n & 1 == 1 {
                take(&world.another(), std::mem::take(&mut batch)).await.unwrap();
            }
        }
        assert_eq!(asked(&world), expected, "{cuts:b}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_always_comes_second_writes_nothing_down_and_does_it_all_the_next_time() {
    let facts = facts(STORY);
    let (calm, world) = (Process::first(), Process::first());
    take(&calm, facts.clone()).await.unwrap();
    world.shared.borrow_mut().rivals = u32::MAX;
    let problem = take(&world.another(), facts.clone()).await.unwrap_err();
    assert_eq!(problem.kind, CallErrorKind::Throttled);
    assert!(Portrait::of(&world).ledger.is_empty());
    world.shared.borrow_mut().rivals = 0;
    take(&world.another(), facts).await.unwrap();
    assert_eq!(Portrait::of(&world), Portrait::of(&calm));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_whichever_order_and_batches_and_however_often_facts_come_the_outcome_is_the_same(
        order in Just((0..25).collect::<Vec<usize>>()).prop_shuffle(),
        again in proptest::collection::vec(0..25_usize, 0..10),
        batch in 1..26_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let facts = facts(STORY);
        prop_assert_eq!(facts.len(), 25);
        let calm = Process::first();
        runtime.block_on(take(&calm, facts.clone())).unwrap();
        let arriving: Vec<Fact> = order.iter().chain(&again).map(|index| facts[*index].clone()).collect();
        let world = Process::first();
        for batch in arriving.chunks(batch) {
            runtime.block_on(take(&world.another(), batch.to_vec())).unwrap();
        }
        // What is added to an incident is told a while later.
        let alerts = intake(&world).alerts;
        runtime.block_on(alerts.flush(Environment::Prod, Timestamp::now() + SignedDuration::from_mins(7))).unwrap();
        let (portrait, expected) = (Portrait::of(&world), Portrait::of(&calm));
        prop_assert_eq!(&portrait.ledger, &expected.ledger);
        let last = |portrait: &Portrait| portrait.told.keys().map(|told| (told.subject.clone(), told.lead.clone(), told.secrets.clone())).collect::<BTreeSet<_>>();
        // Of what came in parts, the last word is the same.
        prop_assert!(last(&portrait).is_superset(&last(&expected)), "{:#?}", portrait.told);
        let subjects = |portrait: &Portrait| portrait.told.keys().map(|told| told.subject.clone()).collect::<BTreeSet<_>>();
        prop_assert_eq!(subjects(&portrait), subjects(&expected));
    }
}

/// A repair has moved a label and recorded it before; the same by the same role without a record is somebody else's work.
#[tokio::test(start_paused = true)]
async fn relatchs_own_changes_are_told_nobody_and_those_of_somebody_in_its_role_are() {
    let facts = facts(
        "A repair, and somebody who has got hold of its role
10:00 role/relatch-respond moves AWSCURRENT of shop-prod-secret-database to v1
10:01 role/relatch-respond/other moves AWSCURRENT of shop-prod-secret-jwt to v1",
    );
    let world = Process::first();
    let announced = |fact: &Fact| Announcement {
        operation: Operation::of(fact).unwrap(),
        from: Moment::from_millis(0),
        until: Moment::from_millis(i64::MAX),
    };
    world.shared.borrow_mut().announced.push(announced(&facts[0]));
    take(&world, facts).await.unwrap();
    let portrait = Portrait::of(&world);
    let secrets: Vec<_> = portrait.told.keys().map(|told| &told.secrets).collect();
    assert_eq!(secrets, [&BTreeSet::from(["shop-prod-secret-jwt".to_owned()])]);
    assert_eq!(portrait.ledger.len(), 2, "written down are both");
}

/// What is left of it all.
#[derive(Debug, PartialEq, Eq)]
struct Portrait {
    /// The events that are written down, and what is said of them.
    ledger: BTreeMap<String, String>,
    /// What is known, but for how often somebody was heard: whoever is heard again is counted again.
    baseline: BTreeMap<String, Value>,
    /// What people were told, and how often.
    told: BTreeMap<Told, usize>,
    /// What `respond` was asked for. Twice is as good as once.
    asked: BTreeSet<String>,
}

/// A message.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    subject: String,
    lead: String,
    secrets: BTreeSet<String>,
}

impl Portrait {
    fn of(world: &Process) -> Self {
        let world = world.shared.borrow();
        let entries = world.chain.iter().filter_map(|record| record.entry()).chain(world.accesses.values().cloned());
        let part = |(part, (text, _)): (&_, &(String, u64))| {
            let mut value: Value = serde_json::from_str(text).unwrap();
            value["readers"].as_array_mut().into_iter().flatten().for_each(|reader| reader["n"] = Value::Null);
            (format!("{part}"), value)
        };
        let mut told = BTreeMap::new();
        for alert in &world.published {
            let words = alert.found.iter().flat_map(|line| line.split([' ', ',', ';', ':', '.']));
            let secrets = words.filter(|word| word.starts_with("shop-")).map(str::to_owned).collect();
            let lead = alert.lead.map(|lead| format!("{} {}", lead.severity.name(), lead.kind.name()));
            let message = Told { subject: alert.subject.clone(), lead: lead.unwrap_or_default(), secrets };
            *told.entry(message).or_default() += 1;
        }
        Self {
            ledger: entries.map(|entry| (entry.event.clone(), entry.to_text())).collect(),
            baseline: world.parts.iter().map(part).collect(),
            told,
            asked: world.asked.iter().map(|request| format!("{request:?}")).collect(),
        }
    }
}

fn facts(story: &str) -> Vec<Fact> {
    Scenario::parse("intake", story).facts
}

fn intake(process: &Process) -> Intake<Process, Process, Process, Process> {
    let alerts = Alerts {
        table: process.clone(),
        topic: process.clone(),
        policy: Settings { wait: SignedDuration::ZERO, ..Settings::default() },
        language: Language::English,
        metrics: Metrics { namespace: "Relatch".to_owned(), environment: Environment::Prod },
    };
    let asking = Asking { bus: Some(process.clone()), measures: BTreeSet::from([Measure::Deny, Measure::Rotate]) };
    let flood = Arc::default();
    Intake { ledger: process.clone(), alerts, policy: policy().into(), kept: ACCESSES_ARE_KEPT, asking, flood }
}

fn policy() -> Policy {
    Policy::from_json(r#"{ "decoys": { "names": ["shop-prod-secret-oauth"] } }"#).unwrap()
}

async fn take(process: &Process, facts: Vec<Fact>) -> Result<(), CallError> {
    let (all, mut tally) = (facts.len() as u64, Tally::default());
    intake(process).take(facts, &mut tally).await?;
    assert_eq!(tally.all(), all);
    Ok(())
}

/// Until it fails or dies.
async fn interrupted(process: &Process, facts: Vec<Fact>) {
    let _ = timeout(Duration::from_secs(3_600), take(process, facts)).await;
}
