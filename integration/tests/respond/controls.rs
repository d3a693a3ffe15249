//! Pause, resume and the circuit breaker hold for rotate and for respond.

use crate::scene::Scene;
use jiff::Timestamp;
use relatch::{
    adapters::table::DynamoTable,
    ports::{Failure, Pause, Scope, Table},
};
use relatch_events::{rotation::Step, secret::VersionId};
use relatch_integration::{
    aws::{Fault, emulator::TABLE},
    cloud::Standing,
    lambda::Outcome,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_paused_secret_is_neither_rotated_nor_repaired() {
    let scene = Scene::remembering().await;
    let table = table(&scene);
    let token = scene.dies_after_the_change().await;
    table.pause(Scope::Secret(&scene.secret), &pause()).await.unwrap();
    let answer = scene.failed(&token).await;
    assert_eq!(answer["reason"], "paused", "{answer:#}");
    assert_eq!(scene.standing().await, Standing::CurrentShut);
    assert!(table.resume(Scope::Secret(&scene.secret)).await.unwrap());
    assert_eq!(scene.failed(&token).await["reason"], "recovered");
    table.pause(Scope::Everything, &pause()).await.unwrap();
    assert_eq!(refusal(&scene).await, "paused");
    table.resume(Scope::Everything).await.unwrap();
    scene.rotates().await;
}

#[tokio::test]
async fn a_rotation_that_has_changed_the_password_is_brought_to_its_end_although_paused() {
    let scene = Scene::remembering().await;
    scene.dies_after_the_change().await;
    table(&scene).pause(Scope::Secret(&scene.secret), &pause()).await.unwrap();
    // createSecret finds the value staged, setSecret the password set: nothing new is begun.
    let outcome = scene.rotation().run().await.unwrap();
    assert!(!outcome.succeeded(), "createSecret begins nothing while it is paused");
    assert_eq!(scene.standing().await, Standing::CurrentShut);
}

#[tokio::test]
async fn three_attempts_in_a_row_that_are_rolled_back_stop_the_next() {
    let scene = Scene::remembering_with(&[("RELATCH_TEST_QUERY", "SELECT 1 / 0")]).await;
    for _ in 0..3 {
        assert_eq!(refusal(&scene).await, "rolled-back");
    }
    assert_eq!(refusal(&scene).await, "stopped");
    let answer = scene.sweeps().await;
    assert!(scene.told().contains(&"firing rotation-stopped -".to_owned()), "{answer:#} {:?}", scene.told());
    assert!(table(&scene).resume(Scope::Secret(&scene.secret)).await.unwrap());
    assert_eq!(refusal(&scene).await, "rolled-back");
}

#[tokio::test]
async fn a_change_that_the_database_refuses_stops_the_rotation_until_somebody_resumes_it() {
    let scene = Scene::remembering().await;
    let token = scene.dies_after_the_change().await;
    let table = table(&scene);
    let failure = Failure {
        arn: scene.secret.clone(),
        token: VersionId::try_from(token.as_str()).unwrap(),
        step: Step::Set,
        reason: "change-refused".to_owned(),
        error_type: "Rotation.Refused".to_owned(),
        sqlstate: Some("42501".to_owned()),
        rolled_back: false,
        at: Timestamp::now(),
    };
    table.record_failure(&failure).await.unwrap();
    let answer = scene.failed(&token).await;
    assert_eq!(answer["told"], json!(["firing rotation-failed", "firing rotation-stopped"]), "{answer:#}");
    assert_eq!(refusal(&scene).await, "stopped");
    table.resume(Scope::Secret(&scene.secret)).await.unwrap();
    scene.sweeps().await;
    assert!(table.controls(&scene.secret).await.unwrap().stopped.is_none(), "what was resumed stays so");
    scene.rotates().await;
}

#[tokio::test]
async fn a_table_that_cannot_be_asked_stops_a_rotation_before_it_begins() {
    let scene = Scene::remembering().await;
    scene.cloud.aws.fault_always("dynamodb:*", Fault::Refuse);
    assert_eq!(refusal(&scene).await, "interrupted");
    assert_eq!(scene.standing().await, Standing::Fine);
    scene.cloud.aws.clear_faults();
    scene.rotates().await;
}

/// Rotates, and tells why that failed.
async fn refusal(scene: &Scene) -> String {
    let already = scene.rotate.output().lines().len();
    let outcome = scene.rotation().run().await.unwrap();
    let last = outcome.steps().last().unwrap();
    assert!(matches!(last.outcome, Outcome::Error { .. }), "{outcome:#?}");
    scene.rotate.stop().await;
    let lines = scene.rotate.output().lines();
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    let failed = |line: &Value| line["rotation.plan"] == "Wait" || line["rotation.plan"] == "Refuse";
    let failure = lines.iter().skip(already).filter_map(|line| read(&line.text)).rfind(failed);
    failure.unwrap()["rotation.reason"].as_str().unwrap().to_owned()
}

fn pause() -> Pause {
    Pause { by: "somebody".to_owned(), reason: "a test".to_owned(), at: Timestamp::now() }
}

fn table(scene: &Scene) -> DynamoTable {
    DynamoTable::new(&scene.cloud.aws.sdk(), TABLE)
}
