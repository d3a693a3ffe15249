//! Versions and their values.

use aws_sdk_secretsmanager::primitives::Blob;

use crate::{Cloud, Refused, refusal, token};

#[tokio::test]
async fn the_token_of_create_secret_becomes_the_version_id() {
    let (cloud, first) = Cloud::with_secret().await;
    let read = cloud.client.get_secret_value().secret_id("app").send().await.unwrap();
    assert_eq!(read.version_id(), Some(first.as_str()));
    assert_eq!(read.secret_string(), Some("one"));
    assert_eq!(read.version_stages(), ["AWSCURRENT"]);
    assert!(read.created_date().is_some());
}

#[tokio::test]
async fn a_secret_created_without_a_value_has_no_version() {
    let cloud = Cloud::start().await;
    let created = cloud.client.create_secret().name("app").send().await.unwrap();
    assert_eq!(created.version_id(), None);
    assert!(cloud.store().versions("app").unwrap().is_empty());
    let refusal = cloud.read(None, None).await.unwrap_err();
    assert_eq!(refusal.code, "ResourceNotFoundException");
    assert_eq!(refusal.message, "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT");
}

#[tokio::test]
async fn creating_again_with_token_and_value_unchanged_is_idempotent() {
    let (cloud, first) = Cloud::with_secret().await;
    let create = cloud.client.create_secret().name("app").client_request_token(&first);
    let again = create.secret_string("one").send().await.unwrap();
    assert_eq!(again.version_id(), Some(first.as_str()));
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let (cloud, first) = Cloud::with_secret().await;
    let create = cloud.client.create_secret().name("app");
    let other_token = create.clone().secret_string("one").send().await.map_err(refusal);
    let other_value = create.client_request_token(first).secret_string("two").send().await.map_err(refusal);
    assert_eq!(other_token.code(), "ResourceExistsException");
    assert_eq!(other_value.code(), "ResourceExistsException");
}

#[tokio::test]
async fn putting_without_a_stage_makes_the_version_current() {
    let (cloud, first) = Cloud::with_secret().await;
    let second = token();
    let put = cloud.client.put_secret_value().secret_id("app").client_request_token(&second);
    let answer = put.secret_string("two").send().await.unwrap();
    assert_eq!(answer.version_stages(), ["AWSCURRENT"]);
    assert_eq!(cloud.labels(&second), ["AWSCURRENT"]);
    assert_eq!(cloud.labels(&first), ["AWSPREVIOUS"]);
}

#[tokio::test]
async fn putting_the_same_value_under_the_same_token_changes_nothing_not_even_labels() {
    let (cloud, first) = Cloud::with_secret().await;
    let second = token();
    cloud.put(&second, "two", "AWSPENDING").await.unwrap();
    cloud.put(&second, "two", "AWSCURRENT").await.unwrap();
    assert_eq!(cloud.labels(&first), ["AWSCURRENT"]);
    assert_eq!(cloud.labels(&second), ["AWSPENDING"]);
}

#[tokio::test]
async fn putting_another_value_under_the_same_token_is_refused() {
    let (cloud, _) = Cloud::with_secret().await;
    let second = token();
    cloud.put(&second, "two", "AWSPENDING").await.unwrap();
    assert_eq!(cloud.put(&second, "three", "AWSPENDING").await.code(), "ResourceExistsException");
    assert_eq!(cloud.read(Some(&second), None).await.unwrap(), "two");
}

#[tokio::test]
async fn putting_with_awspending_moves_that_label_and_leaves_current_alone() {
    let (cloud, first) = Cloud::with_secret().await;
    let (second, third) = (token(), token());
    cloud.put(&second, "two", "AWSPENDING").await.unwrap();
    cloud.put(&third, "three", "AWSPENDING").await.unwrap();
    assert_eq!(cloud.labels(&first), ["AWSCURRENT"]);
    assert!(cloud.labels(&second).is_empty());
    assert_eq!(cloud.labels(&third), ["AWSPENDING"]);
}

#[tokio::test]
async fn the_first_version_becomes_current_whatever_its_label() {
    let cloud = Cloud::start().await;
    cloud.client.create_secret().name("app").send().await.unwrap();
    let first = token();
    cloud.put(&first, "one", "AWSPENDING").await.unwrap();
    assert_eq!(cloud.labels(&first), ["AWSCURRENT", "AWSPENDING"]);
}

#[tokio::test]
async fn a_version_without_labels_is_still_read_by_its_id_and_listed_only_when_asked_for() {
    let (cloud, first) = Cloud::with_secret().await;
    cloud.put(&token(), "two", "AWSCURRENT").await.unwrap();
    cloud.put(&token(), "three", "AWSCURRENT").await.unwrap();
    assert!(cloud.labels(&first).is_empty());
    assert_eq!(cloud.read(Some(&first), None).await.unwrap(), "one");
    let listed = async |deprecated| {
        let list = cloud.client.list_secret_version_ids().secret_id("app");
        let list = list.include_deprecated(deprecated).send().await.unwrap();
        list.versions().iter().any(|version| version.version_id() == Some(first.as_str()))
    };
    assert!(listed(true).await);
    assert!(!listed(false).await);
    let described = cloud.client.describe_secret().secret_id("app").send().await.unwrap();
    assert!(!described.version_ids_to_stages().unwrap().contains_key(&first));
}

#[tokio::test]
async fn a_collected_version_is_gone() {
    let (cloud, first) = Cloud::with_secret().await;
    cloud.put(&token(), "two", "AWSCURRENT").await.unwrap();
    cloud.put(&token(), "three", "AWSCURRENT").await.unwrap();
    cloud.store().collect_unlabelled("app").unwrap();
    let refusal = cloud.read(Some(&first), None).await.unwrap_err();
    assert_eq!(refusal.code, "ResourceNotFoundException");
    assert!(refusal.message.ends_with(&format!("VersionId: {first}")));
}

#[tokio::test]
async fn a_version_id_with_a_stage_that_is_not_on_it_is_an_invalid_request() {
    let (cloud, first) = Cloud::with_secret().await;
    let refusal = cloud.read(Some(&first), Some("AWSPENDING")).await.unwrap_err();
    assert_eq!(refusal.code, "InvalidRequestException");
    assert_eq!(refusal.message, "You provided a VersionStage that is not associated to the provided VersionId.");
}

#[tokio::test]
async fn a_stage_that_is_on_no_version_is_not_found() {
    let (cloud, _) = Cloud::with_secret().await;
    assert_eq!(cloud.read(None, Some("AWSPENDING")).await.code(), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_binary_value_comes_back_as_it_was() {
    let cloud = Cloud::start().await;
    let bytes = Blob::new([0_u8, 159, 255]);
    cloud.client.create_secret().name("app").secret_binary(bytes.clone()).send().await.unwrap();
    let read = cloud.client.get_secret_value().secret_id("app").send().await.unwrap();
    assert_eq!(read.secret_binary(), Some(&bytes));
    assert_eq!(read.secret_string(), None);
}

#[tokio::test]
async fn update_secret_makes_a_new_current_version_and_keeps_the_rest() {
    let (cloud, first) = Cloud::with_secret().await;
    let second = token();
    let update = cloud.client.update_secret().secret_id("app").client_request_token(&second);
    update.secret_string("two").description("the app").send().await.unwrap();
    assert_eq!(cloud.labels(&second), ["AWSCURRENT"]);
    assert_eq!(cloud.labels(&first), ["AWSPREVIOUS"]);
    let only_text = cloud.client.update_secret().secret_id("app").description("an app").send().await.unwrap();
    assert_eq!(only_text.version_id(), None);
    assert_eq!(cloud.store().versions("app").unwrap().len(), 2);
}

#[tokio::test]
async fn a_value_is_text_or_bytes_and_at_most_64_kibibytes() {
    let (cloud, _) = Cloud::with_secret().await;
    let put = cloud.client.put_secret_value().secret_id("app");
    let neither = put.clone().send().await.map_err(refusal);
    let both = put.clone().secret_string("x").secret_binary(Blob::new("x")).send().await.map_err(refusal);
    let large = put.clone().secret_string("x".repeat(65_537)).send().await.map_err(refusal);
    assert_eq!(neither.code(), "InvalidRequestException");
    assert_eq!(both.code(), "InvalidParameterException");
    assert_eq!(large.code(), "InvalidParameterException");
    put.secret_string("x".repeat(65_536)).send().await.unwrap();
}

#[tokio::test]
async fn tokens_have_32_to_64_characters() {
    let (cloud, _) = Cloud::with_secret().await;
    for (length, accepted) in [(31, false), (32, true), (64, true), (65, false)] {
        let put = cloud.put(&"t".repeat(length), "two", "AWSPENDING").await;
        assert_eq!(put.is_ok(), accepted, "{length}");
        assert!(accepted || put.code() == "InvalidParameterException");
    }
}

#[tokio::test]
async fn a_rotation_token_is_accepted_and_noted_without_its_value() {
    let (cloud, _) = Cloud::with_secret().await;
    let (second, rotation_token) = (token(), token());
    let put = cloud.client.put_secret_value().secret_id("app").client_request_token(&second);
    let put = put.secret_string("two").version_stages("AWSPENDING");
    put.clone().rotation_token("too short").send().await.unwrap_err();
    put.rotation_token(&rotation_token).send().await.unwrap();
    assert!(cloud.store().secret("app").unwrap().version(&second).unwrap().with_rotation_token);
    assert!(!format!("{:?}", cloud.endpoint.calls()).contains(&rotation_token));
}

#[tokio::test]
async fn a_hundred_young_versions_are_the_limit_and_old_unlabelled_ones_make_room() {
    let (cloud, first) = Cloud::with_secret().await;
    for n in 1..100 {
        cloud.put(&token(), &format!("value {n}"), "AWSCURRENT").await.unwrap();
    }
    assert_eq!(cloud.put(&token(), "one more", "AWSCURRENT").await.code(), "LimitExceededException");
    let two_days_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(48);
    cloud.store().edit("app", |secret| secret.versions[0].created = two_days_ago).unwrap();
    cloud.put(&token(), "one more", "AWSCURRENT").await.unwrap();
    assert_eq!(cloud.read(Some(&first), None).await.code(), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_batch_answers_what_it_can_and_says_what_it_cannot() {
    let (cloud, _) = Cloud::with_secret().await;
    let batch = cloud.client.batch_get_secret_value().secret_id_list("app").secret_id_list("absent");
    let answer = batch.send().await.unwrap();
    assert_eq!(answer.secret_values()[0].secret_string(), Some("one"));
    assert_eq!(answer.errors()[0].secret_id(), Some("absent"));
    assert_eq!(answer.errors()[0].error_code(), Some("ResourceNotFoundException"));
}

#[tokio::test]
async fn a_list_of_versions_comes_in_pages() {
    let (cloud, _) = Cloud::with_secret().await;
    cloud.put(&token(), "two", "AWSPENDING").await.unwrap();
    let list = cloud.client.list_secret_version_ids().secret_id("app").max_results(1);
    let first = list.clone().send().await.unwrap();
    let second = list.clone().next_token(first.next_token().unwrap()).send().await.unwrap();
    assert_ne!(first.versions()[0].version_id(), second.versions()[0].version_id());
    assert_eq!(second.next_token(), None);
    assert_eq!(list.next_token("nonsense").send().await.map_err(refusal).code(), "InvalidNextTokenException");
}
