//! What is remembered, by a table of DynamoDB.

use crate::{Scene, arn};
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use relatch::{
    adapters::table::DynamoTable,
    alert::{
        Alert, Alerts, Condition, Severity, Status,
        policy::{Entry, Key, Settings, Silence},
    },
    config::Environment,
    language::Language,
    ports::{CallError, CallErrorKind, Claim, Controls, Failure, Lock, Pause, Register, Scope, Table, Telling, Topic},
    rollback::Impact,
    telemetry::Metrics,
};
use relatch_events::{rotation::Step, secret::VersionId};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

#[tokio::test]
async fn a_pause_holds_until_it_is_ended() {
    let scene = Scene::start().await;
    let table = &scene.table;
    let (one, other) = (arn("one"), arn("other"));
    assert_eq!(table.controls(&one).await.unwrap(), Controls::default());

    let pause = |reason: &str| Pause { by: "ops".to_owned(), reason: reason.to_owned(), at: Timestamp::now() };
    let (here, everywhere) = (pause("maintenance"), pause(""));
    table.pause(Scope::Secret(&one), &here).await.unwrap();
    table.pause(Scope::Everything, &everywhere).await.unwrap();
    let expected = Controls { everything_paused: Some(everywhere), ..Controls::default() };
    assert_eq!(table.controls(&other).await.unwrap(), expected);
    assert_eq!(table.controls(&one).await.unwrap(), Controls { paused: Some(here), ..expected });

    assert!(!table.resume(Scope::Secret(&other)).await.unwrap());
    for scope in [Scope::Secret(&one), Scope::Everything] {
        assert!(table.resume(scope).await.unwrap());
        assert!(!table.resume(scope).await.unwrap(), "there is nothing to end any more");
    }
    assert!(table.controls(&one).await.unwrap().resumed.is_some());
    assert_eq!(without_resumed(table.controls(&one).await.unwrap()), Controls::default());
}

#[tokio::test]
async fn what_is_stopped_is_stopped_until_it_is_resumed() {
    let scene = Scene::start().await;
    let table = &scene.table;
    let secret = arn("app");
    table.record_failure(&failure(&secret, "1", true)).await.unwrap();
    table.stop(&secret, "rolled back three times").await.unwrap();
    table.record_success(&secret).await.unwrap();
    let stopped = Some("rolled back three times".to_owned());
    assert_eq!(table.controls(&secret).await.unwrap(), Controls { stopped, ..Controls::default() });
    table.record_failure(&failure(&secret, "2", true)).await.unwrap();
    assert!(table.resume(Scope::Secret(&secret)).await.unwrap());
    assert_eq!(without_resumed(table.controls(&secret).await.unwrap()), Controls::default());
}

#[tokio::test]
async fn a_failure_is_found_by_its_token() {
    let scene = Scene::start().await;
    let table = &scene.table;
    let secret = arn("app");
    let first = failure(&secret, "1", false);
    let second = Failure { sqlstate: None, step: Step::Finish, ..failure(&secret, "2", true) };
    for failure in [&first, &second] {
        assert_eq!(table.failure(&secret, &failure.token).await.unwrap(), None);
        table.record_failure(failure).await.unwrap();
        assert_eq!(table.failure(&secret, &failure.token).await.unwrap().as_ref(), Some(failure));
    }
    let again = Failure { reason: "unreachable".to_owned(), ..first.clone() };
    table.record_failure(&again).await.unwrap();
    assert_eq!(table.failure(&secret, &first.token).await.unwrap(), Some(again), "the last one counts");
    assert_eq!(table.failure(&arn("other"), &first.token).await.unwrap(), None);
}

#[tokio::test]
async fn each_attempt_that_was_rolled_back_counts_once() {
    let scene = Scene::start().await;
    let table = &scene.table;
    let secret = arn("app");
    let first = failure(&secret, "1", true);
    for failure in [&first, &first, &failure(&secret, "1", false), &failure(&secret, "2", true)] {
        table.record_failure(failure).await.unwrap();
    }
    assert_eq!(table.controls(&secret).await.unwrap().rolled_back, 2);
    table.record_success(&secret).await.unwrap();
    table.record_success(&secret).await.unwrap();
    assert_eq!(table.controls(&secret).await.unwrap().rolled_back, 0);
    table.record_failure(&failure(&secret, "3", true)).await.unwrap();
    assert_eq!(table.controls(&secret).await.unwrap().rolled_back, 1);
}

#[tokio::test]
async fn a_lease_has_one_holder() {
    let scene = Scene::start().await;
    let table = &scene.table;
    let secret = arn("app");
    let long = Duration::from_secs(600);
    let (one, other) = tokio::join!(table.lease(&secret, "one", long), table.lease(&secret, "other", long));
    let (winner, loser) = match (one.unwrap(), other.unwrap()) {
        (Lock::Held, Lock::Busy) => ("one", "other"),
        (Lock::Busy, Lock::Held) => ("other", "one"),
        both => panic!("{both:?}"),
    };
    assert_eq!(table.lease(&secret, winner, long).await.unwrap(), Lock::Held, "whoever has it may have it for longer");
    assert_eq!(table.lease(&arn("else"), loser, long).await.unwrap(), Lock::Held);
    table.release(&secret, loser).await.unwrap();
    assert_eq!(table.lease(&secret, loser, long).await.unwrap(), Lock::Busy, "only its holder can give it back");
    table.release(&secret, winner).await.unwrap();
    assert_eq!(table.lease(&secret, loser, Duration::ZERO).await.unwrap(), Lock::Held);
    assert_eq!(table.lease(&secret, winner, long).await.unwrap(), Lock::Held, "the other's is over");
    table.release(&secret, loser).await.unwrap();
    assert_eq!(table.lease(&secret, loser, long).await.unwrap(), Lock::Busy);
}

#[tokio::test]
async fn what_is_known_of_a_condition_is_kept_by_who_has_read_it_last() {
    let scene = Scene::start().await;
    let table = &scene.table;
    let entry = entry(&alert(Condition::PendingStuck, &arn("app")));
    let (one, other) = tokio::join!(table.keep(&entry), table.keep(&entry));
    assert_eq!(usize::from(one.unwrap()) + usize::from(other.unwrap()), 1, "both found nothing");
    let kept = table.entries(Environment::Prod, Some(&arn("app"))).await.unwrap();
    assert_eq!(kept, [Entry { revision: 1, ..entry.clone() }]);
    let told = Entry { told: Some(Severity::Critical), ..kept[0].clone() };
    assert!(table.keep(&told).await.unwrap());
    assert!(!table.keep(&kept[0]).await.unwrap(), "it has been written since");
    let elsewhere = [
        alert(Condition::PendingStuck, &format!("{}#more", arn("app"))),
        alert(Condition::LockedOut, &arn("other")),
        Alert { environment: Environment::Dev, ..entry.alert.clone() },
    ];
    for alert in &elsewhere {
        assert!(table.keep(&self::entry(alert)).await.unwrap());
    }
    let kept = table.entries(Environment::Prod, Some(&arn("app"))).await.unwrap();
    assert_eq!(kept, [Entry { revision: 2, ..told }]);
    assert_eq!(table.entries(Environment::Prod, None).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_group_is_told_by_one_and_by_another_only_if_that_one_is_silent_for_long() {
    let scene = Scene::start().await;
    let table = &scene.table;
    let alert = alert(Condition::PendingStuck, &arn("app"));
    assert!(table.keep(&entry(&alert)).await.unwrap());
    let key = Key::of(&alert);
    let (now, later) = (at(0), at(60));
    let seen = table.telling(&key).await.unwrap();
    assert_eq!(seen, Telling::default());
    let claim = || table.claim(&key, &seen, now, later);
    let (a, b, c) = tokio::join!(claim(), claim(), claim());
    let claims: Vec<Claim> = [a, b, c].into_iter().filter_map(Result::unwrap).collect();
    let [first] = claims.as_slice() else { panic!("{claims:?}") };

    let seen = table.telling(&key).await.unwrap();
    assert_eq!(table.claim(&key, &seen, at(59), at(120)).await.unwrap(), None, "somebody is at it");
    let second = table.claim(&key, &seen, later, at(120)).await.unwrap().expect("the first one is taken for dead");
    let seen = table.telling(&key).await.unwrap();
    table.give_up(&key, first).await.unwrap();
    assert_eq!(table.telling(&key).await.unwrap(), seen, "the first one's claim is over, and not the second's");
    table.told(&key, &second, later, &[(arn("app"), Some(Severity::Error)), (arn("gone"), None)]).await.unwrap();
    assert_eq!(table.claim(&key, &seen, at(200), at(260)).await.unwrap(), None, "it was told meanwhile");
    let known = table.entries(Environment::Prod, None).await.unwrap();
    assert_eq!(known.iter().map(|entry| entry.told).collect::<Vec<_>>(), [Some(Severity::Error)]);

    let seen = table.telling(&key).await.unwrap();
    assert_eq!(seen.told_at, Some(later));
    let third = table.claim(&key, &seen, at(200), at(260)).await.unwrap().unwrap();
    table.give_up(&key, &third).await.unwrap();
    assert_eq!(table.claim(&key, &seen, at(200), at(260)).await.unwrap(), None, "it is to be read again");
    let seen = table.telling(&key).await.unwrap();
    let fourth = table.claim(&key, &seen, at(200), at(260)).await.unwrap().unwrap();
    table.told(&key, &fourth, at(200), &[(arn("app"), None)]).await.unwrap();
    assert_eq!(table.entries(Environment::Prod, None).await.unwrap()[0].told, None);
    assert_eq!(table.telling(&key).await.unwrap().told_at, Some(at(200)));
}

#[tokio::test]
async fn a_silence_is_there_until_it_is_ended() {
    let scene = Scene::start().await;
    let table = &scene.table;
    let narrow = Silence {
        id: "one".to_owned(),
        condition: Some(Condition::PendingStuck),
        subject: Some("arn:*".to_owned()),
        environment: Some(Environment::Prod),
        author: "ops".to_owned(),
        reason: "moving".to_owned(),
        until: at(600),
    };
    let wide = Silence { id: "two".to_owned(), condition: None, subject: None, environment: None, ..narrow.clone() };
    for silence in [&wide, &narrow, &narrow] {
        table.silence(silence).await.unwrap();
    }
    assert_eq!(table.silences().await.unwrap(), [narrow.clone(), wide]);
    assert!(table.unsilence("two").await.unwrap());
    assert!(!table.unsilence("two").await.unwrap());
    assert_eq!(table.silences().await.unwrap(), [narrow]);
}

#[tokio::test]
async fn many_who_find_the_same_at_the_same_moment_tell_it_once() {
    let scene = Scene::start().await;
    let heard = Heard::default();
    let policy = Settings { wait: SignedDuration::ZERO, interval: SignedDuration::ZERO, ..Settings::default() };
    let (table, topic, language) = (scene.table.clone(), heard.clone(), Language::English);
    let metrics = Metrics { namespace: "Relatch".to_owned(), environment: Environment::Prod };
    let alerts = Alerts { table, topic, policy, language, metrics };
    // Told at once, each by itself; and told in a group.
    let (alone, grouped) = (Condition::RotationFailed, Condition::PendingStuck);
    let found: Vec<Alert> =
        [alone, grouped].into_iter().flat_map(|of| ["a", "b"].map(|subject| alert(of, &arn(subject)))).collect();
    let seen = Timestamp::now();
    let raise = |alert: Alert| {
        let alerts = alerts.clone();
        async move { alerts.raise(&alert, seen).await.unwrap() }
    };
    for _ in 0..3 {
        join_all(found.iter().cycle().take(32).cloned().map(raise)).await;
    }
    alerts.flush(Environment::Prod, Timestamp::now()).await.unwrap();
    let told = |status| heard.of(alone, status);
    assert_eq!(told(Status::Firing), [vec![arn("a")], vec![arn("b")]]);
    // Those of the group may have been noted one by one; each is news once.
    let of_group = heard.of(grouped, Status::Firing);
    assert!(of_group.contains(&vec![arn("a"), arn("b")]), "{of_group:?}");
    assert!(of_group.len() <= 2, "{of_group:?}");

    let ended = Timestamp::now();
    let resolve = |alert: Alert| {
        let alerts = alerts.clone();
        async move { alerts.resolve(&alert, ended).await.unwrap() }
    };
    join_all(found.iter().cycle().take(32).cloned().map(resolve)).await;
    assert_eq!(told(Status::Resolved), [vec![arn("a")], vec![arn("b")]]);
    assert_eq!(heard.of(grouped, Status::Resolved), [vec![arn("a"), arn("b")]]);
    assert_eq!(alerts.firing(Environment::Prod, &arn("a")).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_over_by_itself_has_a_time_to_live() {
    let scene = Scene::start().await;
    let failure = failure(&arn("app"), "1", true);
    scene.table.record_failure(&failure).await.unwrap();
    scene.table.lease(&failure.arn, "owner", Duration::from_secs(60)).await.unwrap();
    let alert = alert(Condition::PendingStuck, &failure.arn);
    scene.table.keep(&Entry { seen: failure.at, ..entry(&alert) }).await.unwrap();
    scene.table.claim(&Key::of(&alert), &Telling::default(), failure.at, failure.at).await.unwrap();
    let items = scene.items().await;
    let expires: Vec<(&str, i64)> = items
        .iter()
        .filter_map(|item| {
            let expires = item.get("expires")?.as_n().unwrap().parse::<i64>().unwrap();
            let AttributeValue::S(sk) = &item["sk"] else { panic!("a key that is no text") };
            Some((sk.as_str(), expires - failure.at.as_second()))
        })
        .collect();
    assert_eq!(expires.len(), 4, "what people have asked for stays: {expires:?}");
    for (sk, seconds) in expires {
        let days = |days: i64| days * 86_400..=days * 86_400;
        let expected = match sk.split('#').next().unwrap() {
            "lease" => 60..=120,
            "failure" => days(14),
            _ => days(90),
        };
        assert!(expected.contains(&seconds), "{sk}: {seconds}");
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_is_said_to_be_missing() {
    let scene = Scene::start().await;
    let table = DynamoTable::new(&scene.aws.sdk(), "elsewhere");
    let problem = table.controls("arn").await.unwrap_err();
    assert_eq!((problem.operation, problem.kind), ("dynamodb:BatchGetItem", CallErrorKind::NotFound), "{problem}");
    let problem = table.keep(&entry(&alert(Condition::Stranded, "arn"))).await.unwrap_err();
    assert_eq!((problem.operation, problem.kind), ("dynamodb:PutItem", CallErrorKind::NotFound), "{problem}");
}

/// What people were told.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Alert>>>);

impl Heard {
    /// Whom each message about a condition was about.
    fn of(&self, condition: Condition, status: Status) -> Vec<Vec<String>> {
        let heard = self.0.lock().unwrap();
        let messages = heard.iter().filter(|alert| alert.condition == condition && alert.status == status);
        let subjects = |alert: &Alert| match alert.members.is_empty() {
            true => vec![alert.subject.clone()],
            false => alert.members.clone(),
        };
        let mut messages: Vec<_> = messages.map(subjects).collect();
        messages.sort();
        messages
    }
}

impl Topic for Heard {
    async fn publish(&self, alert: &Alert) -> Result<(), CallError> {
        self.0.lock().unwrap().push(alert.clone());
        Ok(())
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn entry(alert: &Alert) -> Entry {
    Entry::noted(None, alert, at(0)).unwrap()
}

fn alert(condition: Condition, subject: &str) -> Alert {
    Alert {
        impact: Some(Impact::Safe),
        found: vec!["It is \"so\".".to_owned()],
        done: vec!["A thing.".to_owned()],
        to_do: vec!["Another.".to_owned()],
        ..Alert::firing(condition, subject.to_owned(), Environment::Prod)
    }
}

fn without_resumed(controls: Controls) -> Controls {
    Controls { resumed: None, ..controls }
}

fn failure(arn: &str, token: &str, rolled_back: bool) -> Failure {
    Failure {
        arn: arn.to_owned(),
        token: VersionId::try_from(token).unwrap(),
        step: Step::Set,
        reason: "rolled-back".to_owned(),
        error_type: "Rotation.Refused".to_owned(),
        sqlstate: Some("42501".to_owned()),
        rolled_back,
        at: Timestamp::now(),
    }
}
