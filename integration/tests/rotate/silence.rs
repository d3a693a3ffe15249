//! Silence is not "no": what does not answer is waited for, and nothing is changed on its account.

use crate::scene::Scene;
use relatch_integration::{aws::fault::Fault, cloud::Standing, wire::BlackHole};
use serde_json::json;

#[tokio::test]
async fn databases_that_do_not_answer() {
    let scene = Scene::single_user_with(&[("RELATCH_TIMEOUT_MS", "300")], |options| options).await;
    let hole = BlackHole::open().unwrap();
    let good = scene.cloud.wire.port();
    let mut table = Vec::new();
    for (name, port) in [("black hole", hole.address().unwrap().port()), ("nobody there", 1)] {
        scene.tamper("AWSCURRENT", |value| value["port"] = json!(port));
        table.push(format!("{name}: {}", scene.fails().await));
        scene.cloud.aws.store().edit(&scene.secret, |secret| secret.versions.truncate(1)).unwrap();
    }
    scene.tamper("AWSCURRENT", |value| value["port"] = json!(good));
    scene.cloud.postgres.freeze().unwrap();
    table.push(format!("frozen server: {}", scene.fails().await));
    scene.cloud.postgres.thaw().unwrap();
    scene.cloud.postgres.stop().await.unwrap();
    table.push(format!("stopped server: {}", scene.fails().await));
    scene.cloud.postgres.start_again().await.unwrap();
    insta::assert_snapshot!(table.join("\n"));
    assert!(scene.patiently().rotates().await.reattempted);
}

#[tokio::test]
async fn calls_to_aws_that_fail_are_told_by_name() {
    let scene = Scene::single_user_with(&[("RELATCH_TIMEOUT_MS", "300")], |options| options).await;
    let mut table = Vec::new();
    for action in ["DescribeSecret", "GetSecretValue", "PutSecretValue"] {
        for fault in [Fault::Deny, Fault::Throttle, Fault::Refuse, Fault::Hangup, Fault::Silence, Fault::Garble] {
            let name = fault.name();
            scene.cloud.aws.fault_always(&format!("secretsmanager:{action}"), fault);
            table.push(format!("{action} {name}: {}", scene.fails().await));
            scene.cloud.aws.clear_faults();
            scene.cloud.aws.store().edit(&scene.secret, |secret| secret.versions.truncate(1)).unwrap();
        }
    }
    insta::assert_snapshot!(table.join("\n"));
    assert_eq!(scene.standing().await, Standing::Fine);
    scene.patiently().rotates().await;
}

#[tokio::test]
async fn labels_that_are_a_little_old_are_looked_at_again() {
    let scene = Scene::single_user().await;
    scene.rotates().await;
    // The first answers of every step are from before the rotation began.
    for n in [1, 3, 6, 9] {
        scene.cloud.aws.fault_at(n, Fault::StaleLabels);
    }
    let outcome = scene.rotation().retries(2).run().await.unwrap();
    assert!(outcome.succeeded(), "{outcome:#?}");
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn an_invocation_with_too_little_time_changes_nothing() {
    let scene = Scene::single_user().await;
    let function = scene.cloud.rotate_with(&[("RELATCH_TIMEOUT_MS", "3000")]).unwrap();
    let scene = Scene { function: function.timeout(std::time::Duration::from_secs(10)), ..scene };
    let said = scene.fails_and_stays_open().await;
    insta::assert_snapshot!(said, @"setSecret Rotation.NotYet: not yet: too little time is left to change, verify and roll back: give the function a longer time-out");
}
