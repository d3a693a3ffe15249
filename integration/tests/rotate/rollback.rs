//! A new password that does not prove itself is put back.

use crate::scene::{Scene, said};
use relatch_integration::{cloud::Standing, rotation::Step, wire::Fault};

/// The role works until its password changes: then its test query fails.
const FAILS_ONCE_CHANGED: &str = "SELECT 1 / (SELECT count(*)::int FROM fit)";

#[tokio::test]
async fn a_password_that_fails_its_test_query_is_rolled_back_in_the_same_session() {
    let scene = Scene::single_user_with(&[("RELATCH_TEST_QUERY", FAILS_ONCE_CHANGED)], |options| options).await;
    fit(&scene, false).await;
    let before = scene.current();
    scene.cloud.wire.count_from_here();
    let said = scene.fails_and_stays_open().await;
    insta::assert_snapshot!(said, @"setSecret Rotation.Refused: refused: the new password did not prove itself; the previous one is back, and a login has proved it");
    assert!(scene.cloud.opens(&before).await.unwrap());
    let pending = scene.labelled("AWSPENDING").unwrap();
    assert!(!scene.cloud.opens(&pending).await.unwrap());
    assert_eq!(scene.cloud.wire.tally().connections, 3, "change, proof, proof of the way back");
    // Once the reason is gone, the next attempt of Secrets Manager goes through with the same version.
    fit(&scene, true).await;
    let outcome = scene.rotates().await;
    assert!(outcome.reattempted);
    assert_eq!(scene.current().id, pending.id);
}

#[tokio::test]
async fn a_proof_that_hears_nothing_is_rolled_back_too() {
    let scene = Scene::single_user_with(&[("RELATCH_TIMEOUT_MS", "400")], |options| options).await;
    let token = scene.staged().await;
    // Learn where the proof's connection begins, then silence it and all that tries again.
    scene.cloud.wire.count_from_here();
    let rehearsal = Scene::single_user().await;
    let rehearsed = rehearsal.staged().await;
    rehearsal.cloud.wire.count_from_here();
    assert!(rehearsal.step(Step::SetSecret, &rehearsed).await.outcome.is_ok());
    let operations = rehearsal.cloud.wire.operations();
    let first = operations.iter().map(|operation| operation.connection).min().unwrap();
    let proof = operations.iter().find(|operation| operation.connection != first).unwrap().number;
    // Three tries of the proof; the login that proves the way back is let through.
    scene.cloud.wire.inject(proof..proof + 3, Fault::Refuse);
    let run = scene.step(Step::SetSecret, &token).await;
    insta::assert_snapshot!(said(&run), @"setSecret Rotation.Refused: refused: the new password did not prove itself; the previous one is back, and a login has proved it");
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn test_secret_rolls_back_what_set_secret_had_proved() {
    let scene = Scene::single_user_with(&[("RELATCH_TEST_QUERY", FAILS_ONCE_CHANGED)], |options| options).await;
    fit(&scene, true).await;
    let token = scene.staged().await;
    assert!(scene.step(Step::SetSecret, &token).await.outcome.is_ok());
    assert_eq!(scene.standing().await, Standing::CurrentShut);
    fit(&scene, false).await;
    let run = scene.step(Step::TestSecret, &token).await;
    insta::assert_snapshot!(said(&run), @"testSecret Rotation.Refused: refused: the new password did not prove itself; the previous one is back, and a login has proved it");
    assert_eq!(scene.standing().await, Standing::Fine);
    assert!(scene.labelled("AWSPENDING").is_some());
}

#[tokio::test]
async fn finish_secret_promotes_nothing_that_does_not_log_in() {
    let scene = Scene::single_user().await;
    let token = scene.staged().await;
    let before = scene.current().id;
    let run = scene.step(Step::FinishSecret, &token).await;
    insta::assert_snapshot!(said(&run), @"finishSecret Rotation.Refused: refused: the database rejects AWSPENDING; AWSCURRENT still opens it");
    assert_eq!(scene.current().id, before);
    let run = scene.step(Step::TestSecret, &token).await;
    insta::assert_snapshot!(said(&run), @"testSecret Rotation.Refused: refused: the database rejects AWSPENDING; AWSCURRENT still opens it");
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn a_database_that_knows_none_of_the_versions_is_left_alone() {
    let scene = Scene::single_user().await;
    scene.rotates().await;
    scene.sql("ALTER ROLE app PASSWORD 'changed by hand'").await;
    let said = scene.fails().await;
    insta::assert_snapshot!(said, @"setSecret Rotation.Refused: refused: the database rejects AWSCURRENT, AWSPENDING and AWSPREVIOUS: a wrong password in all, an expired VALID UNTIL, or no such role. Nothing was changed");
    assert_eq!(scene.value("SELECT rolname FROM pg_roles WHERE rolname = 'app'").await, "app");
    assert!(scene.labelled("AWSPENDING").is_some());
}

#[tokio::test]
async fn a_database_that_was_set_back_by_hand_is_taken_forward() {
    let scene = Scene::single_user().await;
    scene.rotates().await;
    scene.sql(&format!("ALTER ROLE app PASSWORD '{}'", relatch_integration::cloud::FIRST_PASSWORD)).await;
    assert_eq!(scene.standing().await, Standing::CurrentShut);
    scene.rotates().await;
}

/// Whether the role's test query succeeds.
async fn fit(scene: &Scene, fit: bool) {
    let admin = scene.cloud.postgres.admin("app").await.unwrap();
    let rows = if fit { "SELECT 1" } else { "SELECT 1 WHERE false" };
    let statements = format!(
        "CREATE TABLE IF NOT EXISTS fit (id int); GRANT SELECT ON fit TO app; TRUNCATE fit; INSERT INTO fit {rows}"
    );
    admin.batch_execute(&statements).await.unwrap();
}
