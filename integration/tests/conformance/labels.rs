//! UpdateSecretVersionStage.

use crate::{Cloud, Refused, token};

/// Current is the first returned version, pending the second.
async fn pending() -> (Cloud, String, String) {
    let (cloud, first) = Cloud::with_secret().await;
    let second = token();
    cloud.put(&second, "two", "AWSPENDING").await.unwrap();
    (cloud, first, second)
}

#[tokio::test]
async fn promoting_makes_the_old_version_previous_and_leaves_awspending() {
    let (cloud, first, second) = pending().await;
    cloud.move_label("AWSCURRENT", Some(&second), Some(&first)).await.unwrap();
    assert_eq!(cloud.labels(&first), ["AWSPREVIOUS"]);
    assert_eq!(cloud.labels(&second), ["AWSCURRENT", "AWSPENDING"]);
}

#[tokio::test]
async fn a_label_that_is_attached_elsewhere_moves_only_when_the_version_is_named() {
    let (cloud, first, second) = pending().await;
    let refusal = cloud.move_label("AWSCURRENT", Some(&second), None).await.unwrap_err();
    assert_eq!(refusal.code, "InvalidParameterException");
    assert_eq!(
        refusal.message,
        format!(
            "The parameter RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to \
             version {first}, so you must explicitly reference that version in RemoveFromVersionId."
        )
    );
}

#[tokio::test]
async fn the_version_a_label_is_taken_from_must_be_right() {
    let (cloud, first, second) = pending().await;
    let wrong = cloud.move_label("AWSCURRENT", Some(&second), Some(&second)).await;
    assert_eq!(wrong.code(), "InvalidParameterException");
    assert_eq!(cloud.labels(&first), ["AWSCURRENT"]);
}

#[tokio::test]
async fn a_promotion_sent_twice_is_refused_the_second_time() {
    let (cloud, first, second) = pending().await;
    cloud.move_label("AWSCURRENT", Some(&second), Some(&first)).await.unwrap();
    let again = cloud.move_label("AWSCURRENT", Some(&second), Some(&first)).await;
    assert_eq!(again.code(), "InvalidParameterException");
    assert_eq!(cloud.labels(&first), ["AWSPREVIOUS"]);
}

#[tokio::test]
async fn moving_a_label_to_the_version_that_has_it_changes_nothing() {
    let (cloud, first, second) = pending().await;
    cloud.move_label("AWSCURRENT", Some(&first), None).await.unwrap();
    assert_eq!(cloud.labels(&first), ["AWSCURRENT"]);
    assert_eq!(cloud.labels(&second), ["AWSPENDING"]);
}

#[tokio::test]
async fn awscurrent_moves_but_never_comes_off() {
    let (cloud, first, _) = pending().await;
    let refusal = cloud.move_label("AWSCURRENT", None, Some(&first)).await.unwrap_err();
    assert_eq!(refusal.code, "InvalidParameterException");
    assert!(refusal.message.starts_with("You can only move staging label AWSCURRENT"));
}

#[tokio::test]
async fn taking_awspending_off_leaves_a_deprecated_version() {
    let (cloud, first, second) = pending().await;
    cloud.move_label("AWSPENDING", None, Some(&second)).await.unwrap();
    assert_eq!(cloud.labels(&first), ["AWSCURRENT"]);
    assert!(cloud.labels(&second).is_empty());
    assert_eq!(cloud.read(Some(&second), None).await.unwrap(), "two");
    // Nobody has the label now, so it can be taken from nobody.
    assert_eq!(cloud.move_label("AWSPENDING", None, Some(&second)).await.code(), "InvalidParameterException");
}

#[tokio::test]
async fn rolling_back_swaps_current_and_previous() {
    let (cloud, first, second) = pending().await;
    cloud.move_label("AWSCURRENT", Some(&second), Some(&first)).await.unwrap();
    cloud.move_label("AWSCURRENT", Some(&first), Some(&second)).await.unwrap();
    assert_eq!(cloud.labels(&first), ["AWSCURRENT"]);
    assert_eq!(cloud.labels(&second), ["AWSPENDING", "AWSPREVIOUS"]);
}

#[tokio::test]
async fn only_the_last_two_current_versions_keep_a_label() {
    let (cloud, first, second) = pending().await;
    cloud.move_label("AWSCURRENT", Some(&second), Some(&first)).await.unwrap();
    cloud.put(&token(), "three", "AWSCURRENT").await.unwrap();
    assert!(cloud.labels(&first).is_empty());
    assert_eq!(cloud.labels(&second), ["AWSPENDING", "AWSPREVIOUS"]);
}

#[tokio::test]
async fn a_version_has_at_most_20_labels() {
    let (cloud, first, _) = pending().await;
    for n in 1..20 {
        cloud.move_label(&format!("label-{n}"), Some(&first), None).await.unwrap();
    }
    assert_eq!(cloud.move_label("one-more", Some(&first), None).await.code(), "LimitExceededException");
    assert_eq!(cloud.labels(&first).len(), 20);
}

#[tokio::test]
async fn a_version_that_does_not_exist_is_not_found() {
    let (cloud, first, _) = pending().await;
    let moved = cloud.move_label("AWSCURRENT", Some(&token()), Some(&first)).await;
    assert_eq!(moved.code(), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_version_without_a_value_never_becomes_current_here() {
    let (cloud, first) = Cloud::with_secret().await;
    let second = token();
    cloud.rotate(&second).await.unwrap();
    let moved = cloud.move_label("AWSCURRENT", Some(&second), Some(&first)).await;
    assert_eq!(moved.code(), "InvalidParameterException");
}

#[tokio::test]
async fn a_test_moves_labels_by_hand_past_every_rule() {
    let (cloud, first, second) = pending().await;
    cloud.store().move_label("app", "AWSCURRENT", None).unwrap();
    cloud.store().move_label("app", "AWSPENDING", Some(&first)).unwrap();
    assert_eq!(cloud.labels(&first), ["AWSPENDING"]);
    assert!(cloud.labels(&second).is_empty());
    assert_eq!(cloud.read(None, None).await.code(), "ResourceNotFoundException");
}
