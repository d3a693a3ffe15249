//! RotateSecret and CancelRotateSecret, as the API answers them.

use aws_sdk_secretsmanager::types::RotationRulesType;

use crate::{Cloud, FUNCTION, Refused, refusal, token};

#[tokio::test]
async fn rotate_secret_registers_the_token_under_awspending_without_a_value() {
    let (cloud, first) = Cloud::with_secret().await;
    let second = token();
    cloud.rotate(&second).await.unwrap();
    let described = cloud.client.describe_secret().secret_id("app").send().await.unwrap();
    assert_eq!(described.version_ids_to_stages().unwrap()[&second], ["AWSPENDING"]);
    assert_eq!(described.version_ids_to_stages().unwrap()[&first], ["AWSCURRENT"]);
    assert_eq!(described.rotation_enabled(), Some(true));
    assert_eq!(described.rotation_lambda_arn(), Some(FUNCTION));
    for (version, label) in
        [(Some(second.as_str()), Some("AWSPENDING")), (Some(&second), None), (None, Some("AWSPENDING"))]
    {
        assert_eq!(cloud.read(version, label).await.code(), "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn the_registered_version_takes_its_value_once() {
    let (cloud, first) = Cloud::with_secret().await;
    let second = token();
    cloud.rotate(&second).await.unwrap();
    cloud.put(&second, "two", "AWSPENDING").await.unwrap();
    assert_eq!(cloud.read(None, Some("AWSPENDING")).await.unwrap(), "two");
    assert_eq!(cloud.put(&second, "three", "AWSPENDING").await.code(), "ResourceExistsException");
    assert_eq!(cloud.labels(&first), ["AWSCURRENT"]);
}

#[tokio::test]
async fn rotate_secret_is_refused_while_awspending_is_on_a_version_that_is_not_current() {
    let (cloud, _) = Cloud::with_secret().await;
    let second = token();
    cloud.rotate(&second).await.unwrap();
    let refusal = cloud.rotate(&token()).await.unwrap_err();
    assert_eq!(refusal.code, "InvalidRequestException");
    assert_eq!(refusal.message, "A previous rotation isn't complete. That rotation will be reattempted.");
    assert_eq!(cloud.labels(&second), ["AWSPENDING"]);
}

#[tokio::test]
async fn the_same_rotate_secret_again_is_idempotent() {
    let (cloud, _) = Cloud::with_secret().await;
    let second = token();
    cloud.rotate(&second).await.unwrap();
    cloud.rotate(&second).await.unwrap();
    assert_eq!(cloud.store().versions("app").unwrap().len(), 2);
}

#[tokio::test]
async fn awspending_on_the_current_version_is_no_obstacle() {
    let (cloud, first) = Cloud::with_secret().await;
    let (second, third) = (token(), token());
    cloud.rotate(&second).await.unwrap();
    cloud.put(&second, "two", "AWSPENDING").await.unwrap();
    cloud.move_label("AWSCURRENT", Some(&second), Some(&first)).await.unwrap();
    cloud.rotate(&third).await.unwrap();
    assert_eq!(cloud.labels(&second), ["AWSCURRENT"]);
    assert_eq!(cloud.labels(&third), ["AWSPENDING"]);
}

#[tokio::test]
async fn rotating_without_a_function_is_refused() {
    let (cloud, _) = Cloud::with_secret().await;
    let rotated = cloud.client.rotate_secret().secret_id("app").send().await.map_err(refusal);
    assert_eq!(rotated.code(), "InvalidRequestException");
}

#[tokio::test]
async fn configuring_without_rotating_leaves_the_versions_alone() {
    let (cloud, first) = Cloud::with_secret().await;
    let rules = RotationRulesType::builder().automatically_after_days(30).duration("2h").build();
    let rotate = cloud.client.rotate_secret().secret_id("app").rotation_lambda_arn(FUNCTION);
    rotate.rotation_rules(rules).rotate_immediately(false).send().await.unwrap();
    assert_eq!(cloud.labels(&first), ["AWSCURRENT"]);
    assert_eq!(cloud.store().versions("app").unwrap().len(), 1);
    let described = cloud.client.describe_secret().secret_id("app").send().await.unwrap();
    assert_eq!(described.rotation_rules().unwrap().automatically_after_days(), Some(30));
    assert_eq!(described.rotation_rules().unwrap().duration(), Some("2h"));
    assert!(described.next_rotation_date().is_some());
}

#[tokio::test]
async fn a_schedule_is_in_days_or_an_expression() {
    let (cloud, _) = Cloud::with_secret().await;
    let rules = RotationRulesType::builder;
    for rules in [
        rules().automatically_after_days(0),
        rules().automatically_after_days(1001),
        rules().automatically_after_days(1).schedule_expression("rate(1 day)"),
        rules().schedule_expression("daily"),
        rules().schedule_expression("rate(1 day)").duration("soon"),
    ] {
        let rotate = cloud.client.rotate_secret().secret_id("app").rotation_lambda_arn(FUNCTION);
        let rotated = rotate.rotation_rules(rules.build()).send().await.map_err(refusal);
        assert_eq!(rotated.code(), "InvalidParameterException");
    }
}

#[tokio::test]
async fn cancelling_ends_the_schedule_and_leaves_a_half_done_rotation_as_it_is() {
    let (cloud, _) = Cloud::with_secret().await;
    let cancel = || cloud.client.cancel_rotate_secret().secret_id("app").send();
    assert_eq!(cancel().await.map_err(refusal).code(), "InvalidRequestException");
    let second = token();
    cloud.rotate(&second).await.unwrap();
    assert_eq!(cancel().await.unwrap().version_id(), Some(second.as_str()));
    assert_eq!(cloud.labels(&second), ["AWSPENDING"]);
    let described = cloud.client.describe_secret().secret_id("app").send().await.unwrap();
    assert_eq!(described.rotation_enabled(), Some(false));
    assert!(described.rotation_rules().is_none());
}

#[tokio::test]
async fn a_secret_that_another_service_manages_can_be_read_and_not_written() {
    let (cloud, first) = Cloud::with_secret().await;
    cloud.store().edit("app", |secret| secret.owning_service = Some("rds".into())).unwrap();
    let described = cloud.client.describe_secret().secret_id("app").send().await.unwrap();
    assert_eq!(described.owning_service(), Some("rds"));
    assert_eq!(cloud.read(None, None).await.unwrap(), "one");
    assert_eq!(cloud.put(&token(), "two", "AWSPENDING").await.code(), "InvalidRequestException");
    assert_eq!(cloud.move_label("mine", Some(&first), None).await.code(), "InvalidRequestException");
    assert_eq!(cloud.rotate(&token()).await.code(), "InvalidRequestException");
}
