//! Every secret is looked at, as many as the time allows, and what is not well is told.

use crate::scene::Scene;
use aws_sdk_cloudwatch::{
    Client,
    types::{ComparisonOperator, StateValue, Statistic},
};
use jiff::{SignedDuration, Timestamp};
use relatch_integration::{aws::Fault, cloud::FIRST_PASSWORD, lambda::Outcome, trail};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn of_many_secrets_those_that_are_not_well_are_found() {
    let scene = Scene::remembering().await;
    for number in 0..24 {
        scene.cloud.postgres.create_role(&format!("role{number}"), FIRST_PASSWORD).await.unwrap();
        scene.cloud.secret(&format!("role{number}"), json!({ "dbname": "app" })).unwrap();
    }
    scene.sql("ALTER ROLE role7 NOLOGIN; ALTER ROLE role11 PASSWORD 'by hand'").await;
    let answer = scene.sweeps().await;
    assert_eq!(answer["secrets"], 25, "{answer:#}");
    assert_eq!(answer["sound"], 23, "{answer:#}");
    assert_eq!(answer["broken"].as_array().unwrap().len(), 2);
    let mut told = scene.told();
    told.sort();
    assert_eq!(told, ["firing locked-out LOCKED_OUT", "firing locked-out LOCKED_OUT"]);
}

#[tokio::test]
async fn what_is_left_for_want_of_time_is_told() {
    let scene = Scene::remembering().await;
    // The table and the topic are there before time is short.
    scene.sweeps().await;
    // Three times the patience have to be left before a look is begun.
    let respond = scene.respond.timeout(Duration::from_secs(4));
    let scene = Scene { respond, ..scene };
    let answer = scene.sweeps().await;
    assert_eq!(answer["left"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.told(), ["firing sweep-unfinished -"]);
    let respond = scene.respond.timeout(Duration::from_secs(30));
    let scene = Scene { respond, ..scene };
    scene.sweeps().await;
    assert_eq!(scene.told(), ["firing sweep-unfinished -", "resolved sweep-unfinished -"]);
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_keeps_no_other_from_being_looked_at() {
    let scene = Scene::remembering().await;
    scene.cloud.aws.fault_on("secretsmanager:GetSecretValue", 1, Some(1), Fault::Deny);
    let answer = scene.sweeps().await;
    assert_eq!(answer["couldNotLook"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.told(), ["firing sweep-unfinished -"]);
    assert_eq!(scene.sweeps().await["sound"], 1);
}

#[tokio::test]
async fn a_rotation_that_is_overdue_is_told() {
    let scene = Scene::remembering().await;
    edit(&scene, |secret| secret.rotated = Some(Timestamp::now() - SignedDuration::from_hours(32 * 24)));
    scene.sweeps().await;
    assert_eq!(scene.told(), ["firing rotation-overdue SAFE"]);
    edit(&scene, |secret| secret.rotated = Some(Timestamp::now()));
    scene.sweeps().await;
    assert_eq!(scene.told()[1], "resolved rotation-overdue SAFE");
}

#[tokio::test]
async fn a_secret_in_use_that_is_to_be_deleted_is_told() {
    let scene = Scene::remembering().await;
    scene.sweeps().await;
    edit(&scene, |secret| secret.deletion = Some(Timestamp::now() + SignedDuration::from_hours(7 * 24)));
    let answer = scene.sweeps().await;
    assert_eq!(answer["broken"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.told(), ["firing deletion-scheduled -"]);
    edit(&scene, |secret| secret.deletion = None);
    scene.sweeps().await;
    assert_eq!(scene.told()[1], "resolved deletion-scheduled SAFE");
}

#[tokio::test]
async fn what_was_told_of_a_secret_that_is_gone_is_over() {
    let scene = Scene::remembering().await;
    edit(&scene, |secret| secret.rotated = Some(Timestamp::now() - SignedDuration::from_hours(32 * 24)));
    scene.sweeps().await;
    // Another one takes its place.
    edit(&scene, |secret| {
        secret.arn = secret.arn.replace(":secret:", ":secret:another-");
        secret.rotated = Some(Timestamp::now());
    });
    scene.sweeps().await;
    assert_eq!(scene.told(), ["firing rotation-overdue SAFE", "resolved rotation-overdue -"]);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_told_and_nothing_is_changed() {
    let scene = Scene::remembering().await;
    scene.cloud.wire.inject(1.., relatch_integration::wire::Fault::Refuse);
    let answer = scene.sweeps().await;
    assert_eq!(answer["waiting"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.told(), ["firing database-silent DEGRADED"]);
    scene.cloud.wire.clear();
    scene.sweeps().await;
    assert_eq!(scene.told()[1], "resolved database-silent SAFE");
}

#[tokio::test]
async fn an_alarm_makes_respond_look_after_every_secret() {
    for event in [trail::alarm_through_eventbridge, trail::alarm_itself, trail::alarm_through_sns] {
        let scene = Scene::remembering().await;
        let token = scene.dies_after_the_change().await;
        scene.ages(&token, 16);
        let answer = scene.responds(event("rotation-failed", "ALARM")).await;
        assert_eq!(answer["outcome"], "unknown", "there is no such alarm: {answer:#}");
        set_alarm(&scene, "rotation-failed", StateValue::Alarm).await;
        let answer = scene.responds(event("rotation-failed", "ALARM")).await;
        assert_eq!(answer["outcome"], "firing", "{answer:#}");
        assert_eq!(answer["sweep"]["repaired"], json!([scene.secret]), "{answer:#}");
        assert_eq!(scene.responds(event("rotation-failed", "INSUFFICIENT_DATA")).await["outcome"], "unclear");
        let forged = scene.responds(event("rotation-failed", "OK")).await;
        assert_eq!(forged["outcome"], "unclear", "CloudWatch says that it is firing: {forged:#}");
        set_alarm(&scene, "rotation-failed", StateValue::Ok).await;
        assert_eq!(scene.responds(event("rotation-failed", "OK")).await["told"], true);
        assert_eq!(scene.responds(event("rotation-failed", "OK")).await["told"], false, "it has been told");
        let told = scene.told();
        assert_eq!(told.first().unwrap(), "firing alarm-firing -");
        assert_eq!(told.last().unwrap(), "resolved alarm-firing -");
    }
}

/// Whoever may be denied a call can make that alarm fire, at will.
#[tokio::test]
async fn an_alarm_that_is_not_about_rotations_is_told_and_makes_nobody_look() {
    let scene = Scene::remembering().await;
    let denied = "relatch-dev-unauthorized-api-calls";
    set_alarm(&scene, denied, StateValue::Alarm).await;
    let answer = scene.responds(trail::alarm_itself(denied, "ALARM")).await;
    assert_eq!((&answer["outcome"], &answer["told"], &answer["sweep"]), (&json!("firing"), &json!(true), &json!(null)));
    set_alarm(&scene, "failed-logins", StateValue::Alarm).await;
    let answer = scene.responds(trail::alarm_itself("failed-logins", "ALARM")).await;
    assert_eq!(answer["sweep"]["secrets"], 1, "{answer:#}");
}

#[tokio::test]
async fn secrets_manager_that_cannot_be_asked_is_a_failed_invocation() {
    let scene = Scene::remembering().await;
    scene.cloud.aws.fault_always("secretsmanager:ListSecrets", Fault::Deny);
    let outcome = scene.respond.invoke(trail::scheduled()).await.unwrap();
    let Outcome::Error { error_type, error_message } = outcome else { panic!("{outcome:?}") };
    assert_eq!(error_type, "Respond.Interrupted");
    assert!(error_message.contains("secretsmanager:ListSecrets"), "{error_message}");
}

#[tokio::test]
async fn the_sweep_lives_as_long_as_its_heart_beats() {
    let scene = Scene::remembering().await;
    scene.sweeps().await;
    scene.respond.stop().await;
    assert!(scene.respond.output().contains(r#""Heartbeat":1"#));
}

/// How CloudWatch knows the alarm to be.
async fn set_alarm(scene: &Scene, name: &str, state: StateValue) {
    let client = Client::new(&scene.cloud.aws.sdk());
    let alarm = client.put_metric_alarm().alarm_name(name).namespace("Relatch").metric_name("RotationFailed");
    let alarm = alarm.statistic(Statistic::Sum).period(60).evaluation_periods(1).threshold(1.0);
    alarm.comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold).send().await.unwrap();
    let set = client.set_alarm_state().alarm_name(name).state_value(state).state_reason("a test");
    set.send().await.unwrap();
}

fn edit(scene: &Scene, change: impl FnOnce(&mut relatch_integration::aws::store::Secret)) {
    scene.cloud.aws.store().edit(&scene.secret, change).unwrap();
}
