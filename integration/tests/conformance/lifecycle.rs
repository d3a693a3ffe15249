//! Tags, lists, deletion and return.

use std::time::{Duration, SystemTime};

use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};

use crate::{Cloud, Refused, refusal, token};

#[tokio::test]
async fn a_deleted_secret_is_scheduled_and_its_reads_and_writes_are_refused() {
    let (cloud, _) = Cloud::with_secret().await;
    let deleted = cloud.client.delete_secret().secret_id("app").recovery_window_in_days(7).send().await.unwrap();
    let wait =
        SystemTime::try_from(*deleted.deletion_date().unwrap()).unwrap().duration_since(SystemTime::now()).unwrap();
    assert!(wait > Duration::from_hours(7 * 24 - 1) && wait <= Duration::from_hours(7 * 24));
    let described = cloud.client.describe_secret().secret_id("app").send().await.unwrap();
    assert!(described.deleted_date().is_some());
    let read = cloud.read(None, None).await.unwrap_err();
    assert_eq!(read.code, "InvalidRequestException");
    assert_eq!(read.message, "You can't perform this operation on the secret because it was marked for deletion.");
    assert_eq!(cloud.put(&token(), "two", "AWSCURRENT").await.code(), "InvalidRequestException");
    assert_eq!(cloud.rotate(&token()).await.code(), "InvalidRequestException");
    let create = cloud.client.create_secret().name("app").send().await.map_err(refusal);
    assert_eq!(create.code(), "InvalidRequestException");
}

#[tokio::test]
async fn a_restored_secret_is_as_it_was() {
    let (cloud, _) = Cloud::with_secret().await;
    cloud.client.delete_secret().secret_id("app").send().await.unwrap();
    cloud.client.restore_secret().secret_id("app").send().await.unwrap();
    assert_eq!(cloud.read(None, None).await.unwrap(), "one");
}

#[tokio::test]
async fn a_forced_deletion_leaves_nothing() {
    let (cloud, _) = Cloud::with_secret().await;
    let delete = cloud.client.delete_secret().secret_id("app").force_delete_without_recovery(true);
    delete.clone().recovery_window_in_days(7).send().await.unwrap_err();
    delete.send().await.unwrap();
    assert_eq!(cloud.read(None, None).await.code(), "ResourceNotFoundException");
}

#[tokio::test]
async fn tags_are_put_and_taken_off() {
    let (cloud, _) = Cloud::with_secret().await;
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    let put = cloud.client.tag_resource().secret_id("app");
    put.clone().tags(tag("environment", "dev")).tags(tag("relatch:kind", "postgres")).send().await.unwrap();
    put.clone().tags(tag("environment", "prod")).send().await.unwrap();
    assert_eq!(put.tags(tag("aws:mine", "no")).send().await.map_err(refusal).code(), "InvalidParameterException");
    cloud.client.untag_resource().secret_id("app").tag_keys("relatch:kind").send().await.unwrap();
    let described = cloud.client.describe_secret().secret_id("app").send().await.unwrap();
    assert_eq!(described.tags(), [tag("environment", "prod")]);
}

#[tokio::test]
async fn lists_are_filtered_by_prefix_and_leave_deleted_secrets_out() {
    let cloud = Cloud::start().await;
    for name in ["app-dev", "app-prod", "other"] {
        cloud.client.create_secret().name(name).send().await.unwrap();
    }
    let names = async |prefix: &str| {
        let filter = Filter::builder().key(FilterNameStringType::Name).values(prefix).build();
        let list = cloud.client.list_secrets().filters(filter).send().await.unwrap();
        list.secret_list().iter().map(|entry| entry.name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("app-").await, ["app-dev", "app-prod"]);
    assert_eq!(names("!app-").await, ["other"]);
    cloud.client.delete_secret().secret_id("app-dev").send().await.unwrap();
    assert_eq!(names("app-").await, ["app-prod"]);
    let all = cloud.client.list_secrets().include_planned_deletion(true).send().await.unwrap();
    assert_eq!(all.secret_list().len(), 3);
}

#[tokio::test]
async fn a_read_leaves_its_day_and_a_description_does_not() {
    let (cloud, _) = Cloud::with_secret().await;
    let accessed =
        async || cloud.client.describe_secret().secret_id("app").send().await.unwrap().last_accessed_date().copied();
    assert_eq!(accessed().await, None);
    cloud.read(None, None).await.unwrap();
    assert_eq!(accessed().await.unwrap().secs() % 86_400, 0);
}
