//! What is remembered, by a table of DynamoDB.

use crate::{Cloud, arn};
use aws_sdk_dynamodb::{
    Client,
    types::{AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use jiff::Timestamp;
use relatch::{
    adapters::table::DynamoTable,
    ports::{CallErrorKind, Controls, Failure, Fired, Lock, Pause, Scope, Table},
};
use relatch_events::{rotation::Step, secret::VersionId};
use std::time::Duration;
use uuid::Uuid;

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
async fn a_condition_is_new_to_one_and_ends_for_one() {
    let scene = Scene::start().await;
    let table = &scene.table;
    let subject = arn("app");
    for (impact, told) in [("DEGRADED", Fired::New), ("LOCKED_OUT", Fired::Changed)] {
        let fire = || table.fire(&subject, "current-rejected", impact);
        let (a, b, c, d) = tokio::join!(fire(), fire(), fire(), fire());
        let mut fired = [a.unwrap(), b.unwrap(), c.unwrap(), d.unwrap()];
        fired.sort();
        assert_eq!(fired.iter().filter(|fired| **fired == told).count(), 1, "{impact}: {fired:?}");
        assert_eq!(fired.iter().filter(|fired| **fired == Fired::Known).count(), 3, "{impact}: {fired:?}");
    }
    assert_eq!(table.fire(&subject, "rotation-overdue", "").await.unwrap(), Fired::New);
    assert_eq!(table.fire(&subject, "rotation-overdue", "").await.unwrap(), Fired::Known);
    assert_eq!(table.firing(&subject).await.unwrap(), ["current-rejected", "rotation-overdue"]);
    assert_eq!(table.firing(&arn("other")).await.unwrap(), [""; 0]);

    let resolve = || table.resolve(&subject, "current-rejected");
    let (a, b, c) = tokio::join!(resolve(), resolve(), resolve());
    assert_eq!([a.unwrap(), b.unwrap(), c.unwrap()].into_iter().filter(|told| *told).count(), 1);
    assert_eq!(table.firing(&subject).await.unwrap(), ["rotation-overdue"]);
    assert_eq!(table.fire(&subject, "current-rejected", "DEGRADED").await.unwrap(), Fired::New);
}

#[tokio::test]
async fn what_is_over_by_itself_has_a_time_to_live() {
    let scene = Scene::start().await;
    let failure = failure(&arn("app"), "1", true);
    scene.table.record_failure(&failure).await.unwrap();
    scene.table.lease(&failure.arn, "owner", Duration::from_secs(60)).await.unwrap();
    let items = scene.client.scan().table_name(&scene.name).send().await.unwrap().items.unwrap();
    let expires: Vec<(&str, i64)> = items
        .iter()
        .filter_map(|item| {
            let expires = item.get("expires")?.as_n().unwrap().parse::<i64>().unwrap();
            let AttributeValue::S(sk) = &item["sk"] else { panic!("a key that is no text") };
            Some((sk.as_str(), expires - failure.at.as_second()))
        })
        .collect();
    assert_eq!(expires.len(), 2, "what people have asked for stays: {expires:?}");
    for (sk, seconds) in expires {
        let expected = if sk == "lease" { 60..120 } else { 1_209_600..1_209_601 };
        assert!(expected.contains(&seconds), "{sk}: {seconds}");
    }
}

#[tokio::test]
async fn a_table_that_is_not_there_is_said_to_be_missing() {
    let scene = Scene::start().await;
    let table = DynamoTable::new(&scene.cloud.sdk, "elsewhere");
    let problem = table.controls("arn").await.unwrap_err();
    assert_eq!((problem.operation, problem.kind), ("dynamodb:BatchGetItem", CallErrorKind::NotFound), "{problem}");
    let problem = table.fire("arn", "stranded", "STRANDED").await.unwrap_err();
    assert_eq!((problem.operation, problem.kind), ("dynamodb:UpdateItem", CallErrorKind::NotFound), "{problem}");
}

struct Scene {
    cloud: Cloud,
    client: Client,
    table: DynamoTable,
    name: String,
}

impl Scene {
    async fn start() -> Self {
        let cloud = Cloud::start().await;
        let client = Client::new(&cloud.sdk);
        let name = format!("relatch-{}", Uuid::new_v4());
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
        let text = |name: &str| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
        };
        let create = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
        let create = create.key_schema(key("pk", KeyType::Hash)).key_schema(key("sk", KeyType::Range));
        create.attribute_definitions(text("pk")).attribute_definitions(text("sk")).send().await.unwrap();
        let table = DynamoTable::new(&cloud.sdk, &name);
        Self { cloud, client, table, name }
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
