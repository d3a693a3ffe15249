//! What people are told: once for each change, and when it is over.

use crate::scene::Scene;
use jiff::Timestamp;
use relatch_integration::{
    aws::{Fault, store::SecretValue},
    cloud::{FIRST_PASSWORD, Standing},
    trail,
};
use serde_json::json;

#[tokio::test]
async fn a_failed_rotation_is_told_once_and_its_end_too() {
    let scene = Scene::remembering().await;
    let token = scene.dies_after_the_change().await;
    assert_eq!(scene.failed(&token).await["told"], json!(["firing rotation-failed"]));
    assert_eq!(scene.failed(&token).await["told"], json!([]), "it has been told");
    assert_eq!(scene.told(), ["firing rotation-failed SAFE"]);
    scene.rotates().await;
    let answer = scene.responds(trail::rotation_succeeded(&scene.secret, &token)).await;
    assert_eq!(answer["told"], json!(["resolved rotation-failed"]), "{answer:#}");
    scene.sweeps().await;
    assert_eq!(scene.told(), ["firing rotation-failed SAFE", "resolved rotation-failed SAFE"]);
}

#[tokio::test]
async fn an_alert_says_what_was_found_and_done_and_which_runbook_helps() {
    let scene = Scene::remembering().await;
    let token = scene.dies_after_the_change().await;
    scene.takes_pending_off();
    scene.failed(&token).await;
    let mut alert = scene.cloud.published().unwrap().remove(0);
    for field in ["key", "subject"] {
        let text = alert[field].as_str().unwrap().replace(&scene.secret, "ARN");
        alert[field] = json!(text);
    }
    let seen: Timestamp = alert["since"].as_str().unwrap().parse().unwrap();
    assert!(Timestamp::now().duration_since(seen).as_secs() < 60, "{seen}");
    alert["since"] = json!("TIME");
    insta::assert_snapshot!(format!("{alert:#}"));
    let publication = scene.cloud.aws.calls().into_iter().find(|call| call.action == "Publish").unwrap();
    let subject = publication.parameters["Subject"].as_str().unwrap();
    insta::assert_snapshot!(subject, @"[SAFE] app: A rotation failed");
}

#[tokio::test]
async fn a_lock_out_is_told_as_critical_and_its_end_as_resolved() {
    let scene = Scene::remembering().await;
    scene.rotates().await;
    let before = scene.labelled("AWSCURRENT").unwrap();
    scene.sql("ALTER ROLE app PASSWORD 'by hand'").await;
    let answer = scene.sweeps().await;
    assert_eq!(answer["broken"], json!([scene.secret]), "{answer:#}");
    assert_eq!(scene.standing().await, Standing::LockedOut);
    assert_eq!(scene.told(), ["firing locked-out LOCKED_OUT"]);
    assert_eq!(scene.cloud.published().unwrap()[0]["severity"], "critical");
    scene.sweeps().await;
    assert_eq!(scene.told().len(), 1, "it has been told");
    let value: serde_json::Value = serde_json::from_str(before.text().unwrap()).unwrap();
    scene.sql(&format!("ALTER ROLE app PASSWORD '{}'", value["password"].as_str().unwrap())).await;
    scene.sweeps().await;
    assert_eq!(scene.told(), ["firing locked-out LOCKED_OUT", "resolved locked-out SAFE"]);
}

#[tokio::test]
async fn rotate_tells_at_once_and_leaves_word_of_the_cause() {
    let scene = Scene::remembering_with(&[("RELATCH_TEST_QUERY", "SELECT 1 / 0")]).await;
    let outcome = scene.rotation().run().await.unwrap();
    assert!(!outcome.succeeded());
    assert_eq!(scene.told(), ["firing rotation-failed SAFE"]);
    let alert = &scene.cloud.published().unwrap()[0];
    assert!(alert["found"][0].as_str().unwrap().starts_with("setSecret failed"), "{alert:#}");
    // What was rolled back will be rolled back again: AWSPENDING is of no use, and AWSCURRENT is proved.
    let answer = scene.failed(&outcome.token).await;
    assert_eq!(answer["pendingTakenOff"], true, "{answer:#}");
    assert!(answer["found"][0].as_str().unwrap().contains("rolled-back"), "{answer:#}");
    assert!(scene.labelled("AWSPENDING").is_none());
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn nobody_is_told_of_what_is_over_when_the_word_arrives() {
    let scene = Scene::remembering().await;
    let token = scene.dies_after_the_change().await;
    scene.rotates().await;
    let answer = scene.failed(&token).await;
    assert_eq!(answer["told"], json!([]), "{answer:#}");
    assert_eq!(scene.told(), Vec::<String>::new());
}

#[tokio::test]
async fn a_topic_that_cannot_be_reached_is_a_failed_invocation_and_the_next_one_tells() {
    let scene = Scene::remembering().await;
    let token = scene.dies_after_the_change().await;
    scene.cloud.aws.fault_always("sns:Publish", Fault::Refuse);
    let outcome = scene.respond.invoke(trail::rotation_failed(&scene.secret, &token)).await.unwrap();
    assert!(!outcome.is_ok(), "nobody was told, so EventBridge is to try again: {outcome:?}");
    assert_eq!(scene.standing().await, Standing::Fine, "healed all the same");
    scene.cloud.aws.clear_faults();
    assert_eq!(scene.failed(&token).await["told"], json!(["firing rotation-failed"]));
}

#[tokio::test]
async fn what_was_found_of_many_secrets_is_told_in_one_message_and_its_end_in_another() {
    let scene = Scene::grouping(1, &[]).await;
    let mut secrets = Vec::new();
    for role in ["shop", "till"] {
        scene.cloud.postgres.create_role(role, FIRST_PASSWORD).await.unwrap();
        // A value that cannot be used.
        secrets.push(scene.cloud.secret(role, json!({ "dbname": "app", "engine": "mysql" })).unwrap());
    }
    let mended = |secret: &str| {
        let edited = scene.cloud.aws.store().edit(secret, |secret| {
            for version in &mut secret.versions {
                version.value = Some(SecretValue::Text(version.text().unwrap().replace("mysql", "postgres")));
            }
        });
        edited.unwrap();
    };
    let flushed = async || loop {
        let told = scene.flushes().await["told"].clone();
        if told != json!([]) {
            return told;
        }
    };
    assert_eq!(scene.sweeps().await["broken"].as_array().unwrap().len(), 2);
    assert_eq!(scene.told(), [""; 0], "they are held back");
    assert_eq!(flushed().await, json!(["firing current-rejected"]));
    assert_eq!(scene.flushes().await["told"], json!([]), "it has been told");
    scene.sweeps().await;
    let told = scene.cloud.published().unwrap();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["members"].as_array().unwrap().len(), 2, "{told:#?}");
    assert_eq!(told[0]["key"], "current-rejected/dev");
    assert_eq!(told[0]["headline"], "[DEGRADED] shop and 1 more: The database rejects AWSCURRENT");
    mended(&secrets[0]);
    scene.sweeps().await;
    assert_eq!(scene.flushes().await["told"], json!([]), "the other one goes on");
    mended(&secrets[1]);
    scene.sweeps().await;
    assert_eq!(flushed().await, json!(["resolved current-rejected"]));
    assert_eq!(scene.told(), ["firing current-rejected DEGRADED", "resolved current-rejected SAFE"]);
}

#[tokio::test]
async fn what_could_not_be_published_is_told_at_the_next_flush() {
    let scene = Scene::remembering().await;
    let token = scene.dies_after_the_change().await;
    scene.cloud.aws.fault_always("sns:Publish", Fault::Refuse);
    assert!(!scene.respond.invoke(trail::rotation_failed(&scene.secret, &token)).await.unwrap().is_ok());
    assert!(!scene.respond.invoke(trail::flush()).await.unwrap().is_ok());
    scene.cloud.aws.clear_faults();
    assert_eq!(scene.flushes().await["told"], json!(["firing rotation-failed"]));
    assert_eq!(scene.flushes().await["told"], json!([]));
}

#[tokio::test]
async fn a_table_that_cannot_be_reached_leaves_nobody_untold() {
    let scene = Scene::remembering().await;
    scene.sql("ALTER ROLE app PASSWORD 'by hand'").await;
    for call in ["dynamodb:Query", "dynamodb:PutItem", "dynamodb:GetItem", "dynamodb:UpdateItem"] {
        scene.cloud.aws.clear_faults();
        let before = scene.told().len();
        scene.cloud.aws.fault_always(call, Fault::Refuse);
        scene.respond.invoke(trail::scheduled()).await.unwrap();
        let told = scene.told();
        assert_eq!(told.get(before).map(String::as_str), Some("firing locked-out LOCKED_OUT"), "{call}: {told:?}");
    }
}
