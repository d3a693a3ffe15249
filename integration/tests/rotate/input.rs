//! Wrong input: each has its own words, and the previous state stands.

use crate::scene::{Scene, said};
use relatch_integration::{cloud::Standing, rotation::Step};
use serde_json::{Value, json};

#[tokio::test]
async fn events_that_cannot_be_used() {
    let scene = Scene::single_user().await;
    let good = json!({ "Step": "setSecret", "SecretId": scene.secret, "ClientRequestToken": "t" });
    let mut table = Vec::new();
    for (name, change) in [
        ("unknown step", json!({ "Step": "revokeSecret" })),
        ("empty secret", json!({ "SecretId": "" })),
        ("token of another type", json!({ "ClientRequestToken": 7 })),
        ("no step", json!({ "Step": null })),
    ] {
        let mut event = good.clone();
        change.as_object().unwrap().iter().for_each(|(field, value)| event[field] = value.clone());
        table.push(format!("{name}: {:?}", scene.function.invoke(event).await.unwrap()));
    }
    for (name, event) in [("no object", json!("setSecret")), ("nothing", json!({}))] {
        table.push(format!("{name}: {:?}", scene.function.invoke(event).await.unwrap()));
    }
    insta::assert_snapshot!(table.join("\n"));
    assert_eq!(scene.cloud.aws.calls().len(), 0);
}

#[tokio::test]
async fn values_of_awscurrent_that_cannot_be_used() {
    let scene = Scene::single_user().await;
    let good = scene.current().text().unwrap().to_owned();
    let mut table = Vec::new();
    for (name, field, value) in [
        ("wrong engine", "engine", json!("mysql")),
        ("no engine", "engine", Value::Null),
        ("port as text", "port", json!("5432")),
        ("port out of range", "port", json!(65536)),
        ("dbname null", "dbname", Value::Null),
        ("64-byte user", "username", json!("é".repeat(32))),
        ("no password", "password", json!("")),
        ("host of another type", "host", json!(["localhost"])),
    ] {
        scene.tamper("AWSCURRENT", |secret| secret[field] = value);
        table.push(format!("{name}: {}", scene.fails().await));
        scene.rewrite("AWSCURRENT", |_| good.clone());
        forget_pending(&scene);
    }
    for (name, text) in [("not JSON", "password=MARKED"), ("not an object", "[]")] {
        scene.rewrite("AWSCURRENT", |_| text.to_owned());
        table.push(format!("{name}: {}", scene.fails().await));
        scene.rewrite("AWSCURRENT", |_| good.clone());
        forget_pending(&scene);
    }
    insta::assert_snapshot!(table.join("\n"));
    assert_eq!(scene.cloud.wire.tally().connections, 0);
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn a_pending_version_that_points_elsewhere_is_never_connected_to() {
    let scene = Scene::single_user().await;
    let mut table = Vec::new();
    for (field, value) in [
        ("host", json!("127.0.0.2")),
        ("port", json!(1)),
        ("engine", json!("aurora-postgresql")),
        ("dbname", json!("postgres")),
        ("username", json!("postgres")),
        ("ssl", json!(false)),
        ("sslservername", json!("evil.example.com")),
        ("masterarn", json!("arn:aws:secretsmanager:eu-central-1:1:secret:evil-a1B2c3")),
        ("dbClusterIdentifier", json!("evil")),
    ] {
        let token = scene.staged().await;
        scene.tamper("AWSPENDING", |pending| pending[field] = value);
        for step in [Step::SetSecret, Step::TestSecret, Step::FinishSecret] {
            table.push(format!("{field}: {}", said(&scene.step(step, &token).await)));
        }
        forget_pending(&scene);
    }
    insta::assert_snapshot!(table.join("\n"));
    assert_eq!(scene.cloud.wire.tally().connections, 0);
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn secrets_that_are_not_ours_to_rotate() {
    let scene = Scene::single_user().await;
    let mut table = Vec::new();
    let store = scene.cloud.aws.store();
    store.edit(&scene.secret, |secret| secret.owning_service = Some("rds".into())).unwrap();
    table.push(scene.fails().await);
    store.edit(&scene.secret, |secret| secret.owning_service = None).unwrap();
    forget_pending(&scene);
    store.edit(&scene.secret, |secret| secret.tags.insert("relatch:kind".into(), "signing-key".into())).unwrap();
    table.push(scene.fails().await);
    store.edit(&scene.secret, |secret| secret.tags.clear()).unwrap();
    forget_pending(&scene);
    // Switched off while it is under way: the password is not changed any more.
    let token = scene.staged().await;
    store.edit(&scene.secret, |secret| secret.rotation.as_mut().unwrap().enabled = false).unwrap();
    table.push(said(&scene.step(Step::SetSecret, &token).await));
    insta::assert_snapshot!(table.join("\n"));
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn a_rotation_that_somebody_has_taken_over_is_left_alone() {
    let scene = Scene::single_user().await;
    let token = scene.staged().await;
    let other = "99999999-0000-4000-8000-000000000000";
    let store = scene.cloud.aws.store();
    let value = scene.labelled("AWSPENDING").unwrap().text().unwrap().to_owned();
    store.put(&scene.secret, other, &value, &["AWSPENDING"]).unwrap();
    let mut table = Vec::new();
    for step in Step::ALL {
        table.push(said(&scene.step(step, &token).await));
    }
    insta::assert_snapshot!(table.join("\n"));
    assert_eq!(scene.labelled("AWSPENDING").unwrap().id, other);
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn a_set_before_its_create_is_told_so() {
    let scene = Scene::single_user().await;
    let token = "99999999-0000-4000-8000-000000000000";
    scene.cloud.aws.store().begin_rotation(&scene.secret, token).unwrap();
    let mut table = Vec::new();
    for step in [Step::SetSecret, Step::TestSecret, Step::FinishSecret] {
        table.push(said(&scene.step(step, token).await));
    }
    insta::assert_snapshot!(table.join("\n"));
}

fn forget_pending(scene: &Scene) {
    let forgotten = scene.cloud.aws.store().edit(&scene.secret, |secret| {
        secret.versions.retain(|version| version.has("AWSCURRENT") || !version.has("AWSPENDING"));
    });
    forgotten.unwrap();
}
