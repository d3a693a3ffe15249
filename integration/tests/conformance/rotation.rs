//! What the orchestrator does, seen from the store, the handler's events and the outcome.

use relatch_integration::aws::Endpoint;
use relatch_integration::lambda::{Function, Outcome};
use relatch_integration::rotation::{Rotation, RotationOutcome, Step, rotate};
use serde_json::{Value, json};

use crate::lambda::{HELLO, Script};
use crate::token;

/// An endpoint with the secret `app`.
async fn endpoint() -> Endpoint {
    let endpoint = Endpoint::start().await.unwrap();
    endpoint.store().create("app", "one").unwrap();
    endpoint
}

/// A handler that fails in one step and answers the others with their event.
fn failing_in(step: Step) -> Script {
    Script::new(&format!(
        r#"while next; do
            if [[ $event == *'"{step}"'* ]]; then
                post invocation/$id/error '{{"errorType":"Broken","errorMessage":"as told"}}'
            else
                post invocation/$id/response "$event"
            fi
        done"#
    ))
}

fn steps(outcome: &RotationOutcome) -> Vec<Step> {
    outcome.steps().map(|run| run.step).collect()
}

#[tokio::test]
async fn the_four_steps_come_one_after_another_with_the_full_arn_and_the_token() {
    let endpoint = endpoint().await;
    let function = Function::new(HELLO, []);
    let outcome = rotate(&endpoint, &function, "app").await.unwrap();
    assert!(outcome.succeeded());
    assert!(!outcome.reattempted);
    let arn = endpoint.store().secret("app").unwrap().arn;
    let expected: Vec<Value> = ["createSecret", "setSecret", "testSecret", "finishSecret"]
        .into_iter()
        .map(|step| json!({ "Step": step, "SecretId": arn, "ClientRequestToken": outcome.token }))
        .collect();
    let events: Vec<Value> = outcome
        .steps()
        .map(|run| {
            let Outcome::Ok(event) = &run.outcome else { panic!("{:?}", run.outcome) };
            event.clone()
        })
        .collect();
    assert_eq!(events, expected);
    assert!(outcome.steps().all(|run| !run.took.is_zero()));
    assert!(endpoint.store().secret("app").unwrap().rotated.is_some());
}

#[tokio::test]
async fn a_rotation_begins_with_a_pending_version_that_has_no_value() {
    let endpoint = endpoint().await;
    let outcome = rotate(&endpoint, &Function::new(HELLO, []), "app").await.unwrap();
    let pending = endpoint.store().labelled("app", "AWSPENDING").unwrap().unwrap();
    assert_eq!(pending.id, outcome.token);
    assert!(pending.value.is_none());
}

#[tokio::test]
async fn the_first_step_that_fails_is_the_last() {
    let endpoint = endpoint().await;
    let script = failing_in(Step::SetSecret);
    let outcome = rotate(&endpoint, &script.function(), "app").await.unwrap();
    assert!(!outcome.succeeded());
    assert_eq!(steps(&outcome), [Step::CreateSecret, Step::SetSecret]);
    let last = outcome.steps().last().unwrap();
    let broken = Outcome::Error { error_type: "Broken".into(), error_message: "as told".into() };
    assert_eq!(last.outcome, broken);
    assert!(endpoint.store().secret("app").unwrap().rotated.is_none());
}

#[tokio::test]
async fn a_failed_rotation_is_retried_from_the_first_step_with_its_token() {
    let endpoint = endpoint().await;
    let script = failing_in(Step::SetSecret);
    let function = script.function();
    let outcome = Rotation::of(&endpoint, &function, "app").retries(2).run().await.unwrap();
    assert_eq!(outcome.attempts.len(), 3);
    assert_eq!(steps(&outcome), [Step::CreateSecret, Step::SetSecret].repeat(3));
    assert_eq!(endpoint.store().versions("app").unwrap().len(), 2);
}

#[tokio::test]
async fn a_rotation_that_succeeds_is_not_retried() {
    let endpoint = endpoint().await;
    let function = Function::new(HELLO, []);
    let outcome = Rotation::of(&endpoint, &function, "app").retries(3).run().await.unwrap();
    assert_eq!(outcome.attempts.len(), 1);
}

#[tokio::test]
async fn an_incomplete_rotation_is_reattempted_in_place_of_a_new_one() {
    let endpoint = endpoint().await;
    let script = failing_in(Step::CreateSecret);
    let first = rotate(&endpoint, &script.function(), "app").await.unwrap();
    let second = rotate(&endpoint, &Function::new(HELLO, []), "app").await.unwrap();
    assert!(second.reattempted && second.succeeded());
    assert_eq!(second.token, first.token);
}

#[tokio::test]
async fn after_a_promotion_the_next_rotation_has_a_token_of_its_own() {
    let endpoint = endpoint().await;
    let function = Function::new(HELLO, []);
    let first = rotate(&endpoint, &function, "app").await.unwrap();
    endpoint.store().put("app", &first.token, "two", &["AWSCURRENT"]).unwrap();
    let second = rotate(&endpoint, &function, "app").await.unwrap();
    assert!(!second.reattempted);
    assert_ne!(second.token, first.token);
}

#[tokio::test]
async fn a_test_rotation_runs_only_test_secret_and_leaves_no_trace() {
    let endpoint = endpoint().await;
    let before = endpoint.store().versions("app").unwrap().remove(0);
    let function = Function::new(HELLO, []);
    let outcome = Rotation::of(&endpoint, &function, "app").test_only().await.unwrap();
    assert!(outcome.succeeded());
    assert_eq!(steps(&outcome), [Step::TestSecret]);
    let after = endpoint.store().versions("app").unwrap();
    assert_eq!(after.len(), 1);
    assert_eq!((&after[0].id, &after[0].labels), (&before.id, &before.labels));
}

#[tokio::test]
async fn a_step_is_invoked_by_hand_and_carries_a_rotation_token_when_told() {
    let endpoint = endpoint().await;
    let function = Function::new(HELLO, []);
    let (token, rotation_token) = (token(), token());
    let rotation = Rotation::of(&endpoint, &function, "app").rotation_token(&rotation_token);
    let run = rotation.step(Step::TestSecret, &token).await.unwrap();
    let Outcome::Ok(event) = run.outcome else { panic!("{:?}", run.outcome) };
    assert_eq!(event["RotationToken"], rotation_token);
    assert_eq!(event["ClientRequestToken"], token);
}

#[tokio::test]
async fn a_rotation_that_was_registered_through_the_api_is_carried_out_with_its_token() {
    let (cloud, _) = crate::Cloud::with_secret().await;
    let registered = token();
    cloud.rotate(&registered).await.unwrap();
    let function = Function::new(HELLO, []);
    let outcome = Rotation::of(&cloud.endpoint, &function, "app").run_with(&registered).await.unwrap();
    assert_eq!(outcome.token, registered);
    assert!(outcome.succeeded());
}
