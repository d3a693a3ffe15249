//! What respond takes, and that it changes nothing where nothing is to be changed.

use crate::scene::Scene;
use relatch_integration::{cloud::Standing, lambda::Outcome, trail};
use serde_json::json;

#[tokio::test]
async fn the_same_event_twice_changes_nothing_the_second_time() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    scene.failed(&token).await;
    let before = scene.cloud.aws.store().versions(&scene.secret).unwrap();
    let answer = scene.failed(&token).await;
    assert_eq!(answer["reason"], "sound", "{answer:#}");
    assert_eq!(answer["done"], json!([]));
    let after = scene.cloud.aws.store().versions(&scene.secret).unwrap();
    let labels = |versions: &[relatch_integration::aws::store::Version]| {
        versions.iter().map(|version| (version.id.clone(), version.labels.clone())).collect::<Vec<_>>()
    };
    assert_eq!(labels(&before), labels(&after));
}

#[tokio::test]
async fn an_event_that_comes_after_the_rotation_has_gone_through_changes_nothing() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    scene.rotates().await;
    let answer = scene.failed(&token).await;
    assert_eq!(answer["reason"], "sound", "{answer:#}");
    assert_eq!(scene.labelled("AWSCURRENT").unwrap().id, token);
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn an_abandoned_rotation_is_repaired_too() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    scene.takes_pending_off();
    let answer = scene.responds(trail::rotation_abandoned(&scene.secret, &token)).await;
    assert_eq!(answer["reason"], "recovered", "{answer:#}");
}

#[tokio::test]
async fn a_secret_that_another_function_rotates_is_not_touched() {
    let scene = Scene::single_user().await;
    let token = scene.dies_after_the_change().await;
    let respond = scene.cloud.respond_with(&[("RELATCH_ROTATE_ARN", "arn:aws:lambda:eu-central-1:1:function:other")]);
    let scene = Scene { respond: respond.unwrap(), ..scene };
    assert_eq!(scene.failed(&token).await["outcome"], "not-ours");
    assert_eq!(scene.sweeps().await["secrets"], 0);
    assert_eq!(scene.standing().await, Standing::CurrentShut);
}

#[tokio::test]
async fn what_is_not_for_respond_is_refused_in_words() {
    let scene = Scene::single_user().await;
    let Outcome::Error { error_type, error_message } = scene.respond.invoke(json!({ "hello": 1 })).await.unwrap()
    else {
        panic!("it took it");
    };
    assert_eq!(error_type, "Respond.BadEvent");
    insta::assert_snapshot!(error_message);
}

#[tokio::test]
async fn no_secret_is_in_what_respond_writes() {
    let scene = Scene::with_admin().await;
    scene.sql("ALTER ROLE app PASSWORD 'by hand'").await;
    let answer = scene.sweeps().await;
    scene.respond.stop().await;
    for marked in ["MARKED", "by hand"] {
        assert!(!answer.to_string().contains(marked));
        assert!(!scene.respond.output().contains(marked), "{:#?}", scene.respond.output().lines());
    }
}
