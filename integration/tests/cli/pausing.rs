//! `pause` and `resume`, and what the others show of them.

use crate::scene::Scene;
use relatch_integration::aws::Fault;

#[tokio::test]
async fn a_pause_holds_is_shown_and_ends() {
    let scene = Scene::remembering(&[]).await;
    let pause = ["pause", "app", "--reason", "migration of the orders"];
    insta::assert_snapshot!("pause_dry_run", scene.sees(&[&pause[..], &["--dry-run"]].concat()).await);
    insta::assert_snapshot!("pause_unasked", scene.sees(&pause).await);
    insta::assert_snapshot!("pause_refused", scene.types(&pause, "n\n").await);
    scene.rotates().await;
    insta::assert_snapshot!("pause_agreed", scene.types(&pause, "y\n").await);
    assert!(scene.fails_to_rotate().await.contains("paused"));
    insta::assert_snapshot!("paused_check", scene.sees(&["check", "app"]).await);
    insta::assert_snapshot!("paused_doctor", scene.sees(&["doctor", "app"]).await);
    insta::assert_snapshot!("resume_dry_run", scene.sees(&["resume", "app", "--dry-run"]).await);
    insta::assert_snapshot!("resume_agreed", scene.types(&["resume", "app"], "y\n").await);
    scene.rotates().await;
    insta::assert_snapshot!("resume_again", scene.sees(&["resume", "app", "--yes"]).await);
}

#[tokio::test]
async fn everything_is_paused_at_once() {
    let scene = Scene::remembering(&[]).await;
    let pause = ["pause", "--all", "--reason", "failover test", "--by", "the exercise", "--yes"];
    insta::assert_snapshot!("pause_all", scene.sees(&pause).await);
    assert!(scene.fails_to_rotate().await.contains("paused"));
    insta::assert_snapshot!("all_paused_doctor", scene.sees(&["doctor", "app"]).await);
    let (answer, status) = scene.reads(&["resume", "--all", "--yes", "--json"]).await;
    assert_eq!((answer["outcome"].as_str(), status), (Some("resumed"), 0));
    // The failed attempt is Secrets Manager's to try again.
    scene.rotates().await;
}

#[tokio::test]
async fn what_the_circuit_breaker_has_stopped_is_shown_and_resumed() {
    let scene = Scene::remembering(&[("RELATCH_TEST_QUERY", "SELECT 1 / (SELECT count(*)::int FROM fit)")]).await;
    scene
        .cloud
        .postgres
        .admin("app")
        .await
        .unwrap()
        .batch_execute("CREATE TABLE fit (); GRANT SELECT ON fit TO app")
        .await
        .unwrap();
    for _ in 0..3 {
        scene.fails_to_rotate().await;
    }
    insta::assert_snapshot!("stopped_check", scene.sees(&["check", "app"]).await);
    insta::assert_snapshot!("stopped_doctor", scene.sees(&["doctor", "app"]).await);
    insta::assert_snapshot!("stopped_resume", scene.sees(&["resume", "app", "--yes"]).await);
}

#[tokio::test]
async fn a_table_that_cannot_be_read_hides_nothing_else() {
    let scene = Scene::remembering(&[]).await;
    scene.cloud.aws.fault_always("dynamodb:*", Fault::Deny);
    insta::assert_snapshot!("table_denied_check", scene.sees(&["check", "app"]).await);
    insta::assert_snapshot!("table_denied_pause", scene.sees(&["pause", "app", "--reason", "x", "--yes"]).await);
    scene.cloud.aws.clear_faults();
    insta::assert_snapshot!(
        "table_unknown_pause",
        scene.sees(&["pause", "app", "--reason", "x", "--yes", "--table", "no"]).await
    );
}

#[tokio::test]
async fn a_program_reads_what_was_paused() {
    let scene = Scene::remembering(&[]).await;
    let (answer, status) = scene.reads(&["pause", "app", "--reason", "a test", "--yes", "--json"]).await;
    assert_eq!(status, 0);
    insta::assert_snapshot!("json_pause", format!("{answer:#}"));
}
