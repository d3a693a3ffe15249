//! How it is used, and what is said to who uses it wrongly: status 2.

use crate::scene::Scene;
use relatch_integration::cloud::Cloud;

#[tokio::test]
async fn help_teaches_with_examples() {
    let cloud = Cloud::start().await.unwrap();
    let operator = cloud.operator().unwrap();
    let mut pages = Vec::new();
    for command in
        ["", "doctor", "recover", "pause", "alerts", "silence", "access", "history", "verify", "learn", "scan"]
    {
        let command: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let answer = operator.runs(&command).await.unwrap();
        assert_eq!((answer.status, answer.stderr.as_str()), (0, ""));
        assert!(answer.stdout.lines().all(|line| line.chars().count() <= 80), "{}", answer.stdout);
        pages.push(format!("$ relatch {}\n{}", command.join(" "), answer.stdout));
    }
    insta::assert_snapshot!(pages.join("\n"));
}

#[tokio::test]
async fn what_is_not_understood_is_status_2() {
    let scene = Scene::single_user().await;
    for command in [
        vec![],
        vec!["docter", "app"],
        vec!["doctor"],
        vec!["doctor", ""],
        vec!["doctor", "app", "--endpoint-url", "localhost"],
        vec!["pause", "app", "--yes"],
        vec!["pause", "--reason", "x", "--yes"],
        vec!["resume", "app", "--all", "--yes"],
        vec!["recover", "app", "--yes", "--dry-run"],
    ] {
        let answer = scene.operator.runs(&command).await.unwrap();
        assert_eq!(answer.status, 2, "{command:?}: {answer:?}");
        assert_eq!(answer.stdout, "", "{command:?}");
        assert!(!answer.stderr.is_empty(), "{command:?}");
    }
}

#[tokio::test]
async fn wrong_settings_are_told_in_one_line() {
    let scene = Scene::single_user().await;
    let mut table = vec![scene.sees(&["pause", "--all", "--reason", "a test", "--yes"]).await];
    let scene = scene.operated(|operator| operator.setting("RELATCH_CA_FILE", "/nowhere/ca.pem"));
    table.push(scene.sees(&["check", "app"]).await);
    let scene = scene.operated(|operator| operator.setting("RELATCH_TIMEOUT_MS", "soon").setting("RELATCH_RDS", "no"));
    table.push(scene.sees(&["check", "app"]).await);
    insta::assert_snapshot!(table.join("\n"));
}
