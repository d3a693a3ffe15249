//! How a secret is named.

use crate::{Cloud, Refused, refusal};

#[tokio::test]
async fn an_arn_ends_in_six_random_characters() {
    let (cloud, _) = Cloud::with_secret().await;
    let arn = cloud.store().secret("app").unwrap().arn;
    let suffix = arn.strip_prefix("arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-").unwrap();
    assert_eq!(suffix.len(), 6);
    assert!(suffix.chars().all(|c| c.is_ascii_alphanumeric()));
}

#[tokio::test]
async fn a_secret_is_found_by_name_by_arn_and_by_arn_without_the_suffix() {
    let (cloud, _) = Cloud::with_secret().await;
    let arn = cloud.store().secret("app").unwrap().arn;
    for id in ["app", &arn, &arn[..arn.len() - 7]] {
        let read = cloud.client.get_secret_value().secret_id(id).send().await.unwrap();
        assert_eq!(read.arn(), Some(arn.as_str()));
        assert_eq!(read.name(), Some("app"));
    }
}

#[tokio::test]
async fn an_arn_with_another_suffix_is_not_found() {
    let (cloud, _) = Cloud::with_secret().await;
    let arn = cloud.store().secret("app").unwrap().arn;
    let wrong = format!("{}-Wrong1", &arn[..arn.len() - 7]);
    for id in [wrong.as_str(), "App", "ap", ""] {
        let read = cloud.client.get_secret_value().secret_id(id).send().await.map_err(refusal);
        let expected = if id.is_empty() { "InvalidParameterException" } else { "ResourceNotFoundException" };
        assert_eq!(read.code(), expected, "{id:?}");
    }
}

#[tokio::test]
async fn a_secret_created_again_has_another_arn() {
    let (cloud, _) = Cloud::with_secret().await;
    let before = cloud.store().secret("app").unwrap().arn;
    let delete = cloud.client.delete_secret().secret_id("app").force_delete_without_recovery(true);
    delete.send().await.unwrap();
    cloud.client.create_secret().name("app").secret_string("one").send().await.unwrap();
    assert_ne!(cloud.store().secret("app").unwrap().arn, before);
    assert_eq!(
        cloud.client.describe_secret().secret_id(before).send().await.map_err(refusal).code(),
        "ResourceNotFoundException"
    );
}

#[tokio::test]
async fn names_have_letters_digits_and_a_few_marks() {
    let cloud = Cloud::start().await;
    for (name, accepted) in [("app-prod/db_1+=.@", true), ("app prod", false), ("äpp", false), ("a:b", false)] {
        let created = cloud.client.create_secret().name(name).send().await;
        assert_eq!(created.is_ok(), accepted, "{name}");
    }
}
