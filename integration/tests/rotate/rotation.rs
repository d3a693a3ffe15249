//! What a rotation does when nothing goes wrong.

use crate::scene::Scene;
use relatch_integration::{cloud::Standing, lambda::Outcome, rotation::Step};
use serde_json::{Value, json};

#[tokio::test]
async fn a_rotation_gives_database_and_secret_a_new_password() {
    let scene = Scene::single_user().await;
    let before = scene.current();
    scene.rotates().await;
    assert!(!scene.cloud.opens(&before).await.unwrap(), "the old password still opens the database");
    assert_eq!(scene.labelled("AWSPREVIOUS").unwrap().id, before.id);
    scene.rotates().await;
}

#[tokio::test]
async fn a_rotation_stays_within_its_budget() {
    for (promote, calls, connections) in [("at-finish", 12, 4), ("after-verify", 11, 2)] {
        let scene = Scene::single_user_with(&[("RELATCH_PROMOTE", promote)], |options| options).await;
        let outcome = scene.rotates().await;
        let tally = scene.cloud.wire.tally();
        assert_eq!(outcome.calls().count(), calls, "{promote}: {:#?}", outcome.calls().collect::<Vec<_>>());
        assert_eq!(tally.connections, connections, "{promote}");
        assert_eq!(tally.failed_logins, Vec::<String>::new(), "{promote}");
        assert_eq!(tally.without_tls, 0, "{promote}");
    }
}

#[tokio::test]
async fn no_password_is_in_any_output() {
    let scene = Scene::single_user_with(&[("AWS_LAMBDA_LOG_LEVEL", "TRACE")], |options| {
        options.setting("log_statement", "all")
    })
    .await;
    scene.rotates().await;
    scene.tamper("AWSCURRENT", |value| value["port"] = json!("MARKED-port"));
    assert!(!scene.rotation().run().await.unwrap().succeeded());
    scene.function.stop().await;
    let log = scene.cloud.postgres.log().unwrap();
    let mut passwords = vec!["MARKED".to_owned()];
    for version in scene.cloud.aws.store().versions(&scene.secret).unwrap() {
        let value: Value = serde_json::from_str(version.text().unwrap_or("{}")).unwrap();
        passwords.extend(value["password"].as_str().map(str::to_owned));
    }
    assert!(passwords.len() >= 3);
    for password in passwords {
        assert!(!scene.function.output().contains(&password), "a password is in the handler's output");
        // The harness itself creates the first role with a password in the statement.
        assert!(password.starts_with("MARKED") || !log.contains(&password), "a password is in PostgreSQL's log");
    }
}

#[tokio::test]
async fn both_spellings_of_a_step_are_understood() {
    let scene = Scene::single_user().await;
    let token = scene.staged().await;
    for step in ["create_secret", "set_secret", "test_secret", "finish_secret"] {
        let event = json!({ "Step": step, "SecretId": scene.secret, "ClientRequestToken": token });
        let outcome = scene.function.invoke(event).await.unwrap();
        assert!(outcome.is_ok(), "{step}: {outcome:?}");
    }
    assert_eq!(scene.current().id, token);
}

#[tokio::test]
async fn the_rotation_token_is_passed_on() {
    let scene = Scene::single_user().await;
    let outcome =
        scene.rotation().rotation_token("MARKED-rotation-token-of-36-characters-or-more").run().await.unwrap();
    assert!(outcome.succeeded(), "{outcome:#?}");
    assert!(scene.current().with_rotation_token);
    assert!(!scene.function.output().contains("MARKED"));
}

#[tokio::test]
async fn every_step_may_be_repeated() {
    let scene = Scene::single_user().await;
    let token = scene.staged().await;
    let staged = scene.labelled("AWSPENDING").unwrap();
    for step in Step::ALL {
        for _ in 0..2 {
            let run = scene.step(step, &token).await;
            assert!(run.outcome.is_ok(), "{run:?}");
        }
    }
    for step in Step::ALL {
        let run = scene.step(step, &token).await;
        assert!(run.outcome.is_ok(), "after the rotation: {run:?}");
    }
    assert_eq!((scene.current().id, scene.current().value), (token, staged.value));
    assert_eq!(scene.standing().await, Standing::Fine);
}

#[tokio::test]
async fn a_rotation_that_secrets_manager_starts_as_a_test_changes_nothing() {
    let scene = Scene::single_user().await;
    let before = (scene.current(), scene.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'").await);
    assert!(scene.rotation().test_only().await.unwrap().succeeded());
    let after = (scene.current(), scene.value("SELECT rolpassword FROM pg_authid WHERE rolname = 'app'").await);
    assert_eq!((before.0.id, before.0.value, before.1), (after.0.id, after.0.value, after.1));
}

#[tokio::test]
async fn fields_that_relatch_does_not_know_are_kept() {
    let scene = Scene::single_user().await;
    scene.tamper("AWSCURRENT", |value| value["replicaNote"] = json!({ "a": [1, null, "ü"] }));
    scene.rotates().await;
    let value: Value = serde_json::from_str(scene.current().text().unwrap()).unwrap();
    assert_eq!(value["replicaNote"], json!({ "a": [1, null, "ü"] }));
}

#[tokio::test]
async fn awss_own_names_for_settings_are_honoured() {
    let cloud = relatch_integration::cloud::Cloud::start().await.unwrap();
    let secret = cloud.database_secret("app").await.unwrap();
    let function = cloud
        .rotate_with(&[
            // The SDK's own setting points nowhere; the name that AWS's functions read comes first.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("SECRETS_MANAGER_ENDPOINT", cloud.aws.url()),
            ("PASSWORD_LENGTH", "41"),
            ("EXCLUDE_PUNCTUATION", "true"),
            ("EXCLUDE_UPPERCASE", "True"),
        ])
        .unwrap();
    let scene = Scene { cloud, secret, function };
    scene.rotates().await;
    let value: Value = serde_json::from_str(scene.current().text().unwrap()).unwrap();
    let password = value["password"].as_str().unwrap();
    assert_eq!(password.len(), 41);
    assert!(password.chars().all(|character| character.is_ascii_digit() || character.is_ascii_lowercase()));
}

#[tokio::test]
async fn a_function_that_is_led_elsewhere_than_to_aws_does_not_start() {
    for setting in ["SECRETS_MANAGER_ENDPOINT", "AWS_ENDPOINT_URL_SECRETS_MANAGER"] {
        let scene = Scene::single_user_with(&[(setting, "https://secrets.example.com")], |options| options).await;
        let outcome = scene.function.invoke(json!({})).await.unwrap();
        assert!(!outcome.is_ok());
        scene.function.stop().await;
        let said = format!("{outcome:?} {:?}", scene.function.output().lines());
        assert!(said.contains(setting) && said.contains("no endpoint of AWS"), "{said}");
        assert_eq!(scene.cloud.aws.calls().len(), 0);
    }
}

#[tokio::test]
async fn a_function_with_wrong_settings_does_not_start_and_says_why() {
    let settings = [("RELATCH_PROMOTE", "soon"), ("PASSWORD_LENGTH", "four")];
    let scene = Scene::single_user_with(&settings, |options| options).await;
    let outcome = scene.function.invoke(json!({})).await.unwrap();
    assert!(!outcome.is_ok());
    assert!(!matches!(outcome, Outcome::TimedOut));
    scene.function.stop().await;
    for expected in ["RELATCH_PROMOTE must be `at-finish` or `after-verify`, not `soon`", "PASSWORD_LENGTH must be"] {
        assert!(scene.function.output().contains(expected), "{:?}", scene.function.output().lines());
    }
}
