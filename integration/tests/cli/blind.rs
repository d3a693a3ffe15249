//! What cannot be seen is said in one line, with status 3.

use crate::scene::Scene;
use axum::{Router, http::HeaderMap, routing::get};
use jiff::{SignedDuration, Timestamp};
use relatch_integration::{aws::Fault, cli::Operator, cloud::handler, condition::eventually};
use serde_json::json;
use std::process::Stdio;
use tokio::{net::TcpListener, process::Command, task::JoinSet};

#[tokio::test]
async fn an_endpoint_that_denies_throttles_breaks_off_or_answers_garbage() {
    let scene = Scene::single_user().await.operated(|operator| operator.setting("RELATCH_TIMEOUT_MS", "300"));
    let mut table = Vec::new();
    for fault in [Fault::Deny, Fault::Throttle, Fault::Refuse, Fault::Hangup, Fault::Garble, Fault::Silence] {
        let name = fault.name();
        for operation in ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"] {
            scene.cloud.aws.fault_always(operation, fault.clone());
            let command = ["doctor", "app"];
            table.push(format!("# {name} of {operation}\n{}", one_line(&scene.sees(&command).await)));
            scene.cloud.aws.clear_faults();
        }
    }
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn every_command_says_it_alike() {
    let scene = Scene::single_user().await;
    scene.cloud.aws.fault_always("*", Fault::Deny);
    let mut table = Vec::new();
    for command in [
        vec!["check", "app"],
        vec!["doctor", "app"],
        vec!["recover", "app", "--yes"],
        vec!["rollback", "app", "--dry-run"],
        vec!["pause", "app", "--reason", "a test", "--yes", "--table", "relatch"],
        vec!["resume", "app", "--yes", "--table", "relatch"],
        vec!["silence", "--secret", "app", "--for", "1h", "--reason", "a test", "--yes", "--table", "relatch"],
        vec!["silences", "--table", "relatch"],
        vec!["unsilence", "5i1ence0", "--yes", "--table", "relatch"],
        vec!["alerts", "--table", "relatch"],
        vec!["access", "app", "--table", "relatch"],
        vec!["history", "*", "--table", "relatch"],
        vec!["verify", "--table", "relatch"],
    ] {
        table.push(one_line(&scene.sees(&command).await));
    }
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn an_endpoint_that_is_down() {
    let scene = Scene::single_user().await;
    let told = scene.sees(&["doctor", "app", "--endpoint-url", "http://127.0.0.1:9"]).await;
    insta::assert_snapshot!(one_line(&told));
}

#[tokio::test]
async fn a_secret_that_is_not_there() {
    let scene = Scene::single_user().await;
    insta::assert_snapshot!("unknown", one_line(&scene.sees(&["check", "nobody"]).await));
    let (answer, status) = scene.reads(&["check", "nobody", "--json"]).await;
    assert_eq!(status, 3);
    insta::assert_snapshot!("unknown_json", format!("{answer:#}"));
}

#[tokio::test]
async fn nobody_says_which_region_or_as_whom() {
    let scene = Scene::single_user().await.operated(|operator| operator.without("AWS_REGION"));
    let mut table = vec![one_line(&scene.sees(&["check", "app"]).await)];
    // The secret's ARN says it.
    assert!(scene.sees(&["check", &scene.secret]).await.ends_with("status: 0"));
    let scene = scene.operated(|operator| operator.without("AWS_ACCESS_KEY_ID").without("AWS_SECRET_ACCESS_KEY"));
    table.push(one_line(&scene.sees(&["check", "app", "--region", "eu-central-1"]).await));
    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn a_profile_has_region_credentials_and_programs_that_make_them() {
    let scene = Scene::single_user().await.operated(|operator| {
        operator.without("AWS_REGION").without("AWS_ACCESS_KEY_ID").without("AWS_SECRET_ACCESS_KEY")
    });
    let process = r#"{"Version":1,"AccessKeyId":"ASIALOCALCLOUD","SecretAccessKey":"local"}"#;
    scene.operator.file("credentials.json", process).unwrap();
    let config = "[profile static]\nregion = eu-central-1\naws_access_key_id = ASIALOCALCLOUD\naws_secret_access_key = local\n\
         [profile process]\nregion = eu-central-1\ncredential_process = /bin/cat HOME/credentials.json\n";
    let home = scene.operator.home().to_str().unwrap();
    scene.operator.file(".aws/config", &config.replace("HOME", home)).unwrap();
    for profile in ["static", "process"] {
        let told = scene.sees(&["check", "app", "--profile", profile]).await;
        assert!(told.ends_with("status: 0"), "{told}");
    }
    insta::assert_snapshot!(one_line(&scene.sees(&["check", "app", "--profile", "nobody"]).await));
}

#[tokio::test]
async fn a_profile_of_identity_center_signs_with_its_roles_keys() {
    let keys = json!({ "roleCredentials": {
        "accessKeyId": Operator::ACCESS_KEY, "secretAccessKey": "local", "sessionToken": "session",
        "expiration": (Timestamp::now() + SignedDuration::from_hours(1)).as_millisecond(),
    } });
    let hands_out_keys = move |headers: HeaderMap| async move {
        assert_eq!(headers["x-amz-sso_bearer_token"], "token");
        keys.to_string()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let portal = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/federation/credentials", get(hands_out_keys));
    let mut servers = JoinSet::new();
    servers.spawn(async move { axum::serve(listener, router).await });

    let scene = Scene::single_user().await.operated(|operator| {
        let operator = operator.without("AWS_ACCESS_KEY_ID").without("AWS_SECRET_ACCESS_KEY");
        operator.setting("AWS_ENDPOINT_URL_SSO", &portal)
    });
    let config = "[profile people]\nsso_session = on-call\nsso_account_id = 123456789012\nsso_role_name = on-call\n\
         [sso-session on-call]\nsso_region = eu-central-1\nsso_start_url = https://people.example.com/start\n";
    scene.operator.file(".aws/config", config).unwrap();
    assert!(one_line(&scene.sees(&["check", "app", "--profile", "people"]).await).contains("aws sso login"));
    // What `aws sso login` leaves behind: a file that is called after the SHA-1 of the session's name.
    let token = json!({
        "accessToken": "token", "expiresAt": Timestamp::now() + SignedDuration::from_hours(1),
        "startUrl": "https://people.example.com/start", "region": "eu-central-1",
    });
    scene.operator.file(".aws/sso/cache/2bbf9afef185ace5c34548acd5c08244ced11853.json", &token.to_string()).unwrap();
    let told = scene.sees(&["check", "app", "--profile", "people"]).await;
    assert!(told.ends_with("status: 0"), "{told}");
}

#[tokio::test]
async fn the_command_leaves_no_core_dump() {
    let mut command = Command::new(handler("relatch").unwrap());
    // It waits for records that nobody sends.
    command.args(["scan", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
    let running = command.spawn().unwrap();
    let process = format!("/proc/{}", running.id().unwrap());
    eventually("no core dump is allowed", async || {
        let limits = std::fs::read_to_string(format!("{process}/limits")).unwrap();
        let limit = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        limit.split_whitespace().take(2).eq(["0", "0"])
    })
    .await;
}

/// Sure that it is an answer of one line, on standard error, with status 3.
fn one_line(told: &str) -> String {
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines.len() == 3 && lines[1].starts_with("stderr: relatch: ") && lines[2] == "status: 3", "{told}");
    lines[1].to_owned()
}
