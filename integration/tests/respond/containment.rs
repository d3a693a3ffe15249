//! A thief is found, denied what he read, and what he read becomes worthless: in this order, and once.

use crate::scene::Scene;
use aws_config::retry::RetryConfig;
use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use jiff::{SignedDuration, Timestamp};
use rand::RngExt as _;
use relatch::{
    adapters::table::DynamoTable,
    config::Environment,
    containment::{Principal, policy},
    ports::{Containments as _, Requests as _},
};
use relatch_events::containment::{Containment, DETAIL_TYPE, RequestId, SOURCE, WakeUp};
use relatch_integration::{
    aws::{ACCOUNT, Call, Fault, REGION},
    bus::Bus,
    cli::Operator,
    cloud::{self, Cloud, Standing},
    lambda::Function,
    rotation::Rotation,
    trail,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ROLES: [(&str, &str); 2] = [
    ("RELATCH_NEVER_DENY", "arn:aws:iam::123456789012:role/break-glass"),
    ("RELATCH_OWN_ROLES", "arn:aws:iam::123456789012:role/rotate,arn:aws:iam::123456789012:role/local"),
];

/// Where an operator's command finds the table.
const TABLE: [&str; 2] = ["--table", "relatch"];

const BOTH: (&str, &str) = ("RELATCH_RESPOND", "rotate,deny");

#[tokio::test]
async fn a_thief_is_locked_out_of_all_that_he_read_and_then_it_is_rotated() {
    let scene = scene(&[BOTH]).await;
    let aws = &scene.cloud.aws;
    aws.emulate().await.unwrap();
    let bus = Bus::listen(aws).await.unwrap();
    let names: Vec<String> = ["app".to_owned()].into_iter().chain((1..10).map(|n| format!("shop-{n}"))).collect();
    for name in &names[1..] {
        scene.cloud.secret(name, json!({})).unwrap();
        age(&scene, name);
    }
    let thief = client(&scene, "report");
    let loot = value(&thief, "app").await.unwrap();

    let small = r#"{"thresholds":{"read-burst":{"count":2,"minutes":6}}}"#;
    let audit =
        cloud::audit(aws, &[BOTH, ("RELATCH_AUDIT_POLICY", small), ("RELATCH_GROUP_WAIT_SECONDS", "0")]).unwrap();
    // One by one, as EventBridge hands them over: what was read before it became critical counts, too.
    for name in &names {
        let read = trail::read(name, Some("report"), a_minute_ago());
        assert!(audit.invoke(read).await.unwrap().is_ok(), "{name}: {:#?}", audit.output().lines());
    }
    let events = bus.events().await.unwrap();
    assert_eq!(events.len(), 1, "{events:#?}");
    assert!(!events[0].to_string().contains("report"), "what travels says nothing but where to look: {events:#?}");

    let answer = scene.responds(events[0].clone()).await;
    for case in answer["contained"].as_array().unwrap() {
        assert_eq!((&case["denial"], &case["rotation"]), (&json!("proved"), &json!("begun")), "{answer:#}");
    }
    for name in &names {
        assert_eq!(value(&thief, name).await.unwrap_err(), "AccessDeniedException");
    }
    let batch = thief.batch_get_secret_value().set_secret_id_list(Some(names.clone())).send().await.unwrap();
    assert!(batch.secret_values().is_empty() && batch.errors().len() == names.len());
    let application = client(&scene, "web");
    assert_eq!(value(&application, "app").await.unwrap(), loot, "nobody else is denied");

    let token = scene.labelled("AWSPENDING").unwrap().id;
    let rotation = Rotation::of(aws, &scene.rotate, &scene.secret).run_with(&token).await.unwrap();
    assert!(rotation.succeeded(), "{rotation:#?}");
    assert_eq!(scene.standing().await, Standing::Fine);
    assert_ne!(value(&application, "app").await.unwrap(), loot);
    assert_eq!(value(&thief, "app").await.unwrap_err(), "AccessDeniedException");
    let told = |scene: &Scene| -> Vec<(String, String)> {
        let word = |alert: &Value, field: &str| alert[field].as_str().unwrap_or_default().to_owned();
        let alerts = scene.cloud.published().unwrap();
        alerts.iter().map(|alert| (word(alert, "condition"), word(alert, "severity"))).collect()
    };
    let before = told(&scene);
    assert!(before.contains(&("contained".to_owned(), "error".to_owned())), "{before:?}");
    assert!(before.iter().all(|(condition, _)| condition != "containment-failed"), "{before:?}");

    let mark = aws.mark();
    let again = scene.responds(events[0].clone()).await;
    assert_eq!(again["outcome"], "done-already", "{again:#}");
    assert_eq!(changes(&aws.calls_since(mark)), Vec::<String>::new());
    assert_eq!(told(&scene), before);
}

/// The bus only makes it quicker.
#[tokio::test]
async fn a_request_of_which_respond_was_not_told_is_found_by_the_sweep() {
    let scene = scene(&[BOTH]).await;
    let aws = &scene.cloud.aws;
    let bus = Bus::listen(aws).await.unwrap();
    let one = r#"{"decoys":{"names":["app"]}}"#;
    let audit = cloud::audit(aws, &[BOTH, ("RELATCH_AUDIT_POLICY", one), ("RELATCH_GROUP_WAIT_SECONDS", "0")]).unwrap();
    aws.fault_always("events:PutEvents", Fault::Deny);
    assert!(audit.invoke(trail::read("app", Some("report"), a_minute_ago())).await.unwrap().is_ok());
    assert_eq!(bus.events().await.unwrap(), Vec::<Value>::new());
    let answer = scene.sweeps().await;
    assert_eq!(answer["containment"]["answered"], 1, "{answer:#}");
    assert_eq!(value(&client(&scene, "report"), "app").await.unwrap_err(), "AccessDeniedException");
    assert_eq!(scene.sweeps().await["containment"]["answered"], 0);
}

/// Whoever may put events, or invoke the function, can say whatever he likes.
#[tokio::test]
async fn what_nobody_has_written_down_is_not_done_whoever_asks_for_it() {
    let scene = scene(&[BOTH]).await;
    let whole = request(&scene, "role/web", &["deny", "rotate"]);
    let mut forged =
        wake_up(&WakeUp { environment: "dev".to_owned(), request: RequestId::try_from("a".repeat(64)).unwrap() });
    let answer = scene.responds(forged.clone()).await;
    assert_eq!(answer["outcome"], "unknown", "{answer:#}");
    // As a former version was asked, with all of it in the event.
    for detail in [whole.clone(), json!({ "environment": "dev", "request": "report", "secrets": whole["secrets"] })] {
        forged["detail"] = detail;
        assert!(!scene.respond.invoke(forged.clone()).await.unwrap().is_ok());
    }
    // What was released is not asked for again by saying so once more; nor is what is old.
    let event = written(&scene, request(&scene, "role/report", &["deny"])).await;
    scene.cloud.aws.fault_always("secretsmanager:PutResourcePolicy", Fault::Throttle);
    assert!(!scene.respond.invoke(event.clone()).await.unwrap().is_ok());
    scene.cloud.aws.clear_faults();
    let report = format!("arn:aws:iam::{ACCOUNT}:role/report");
    table(&scene).release_denial(Environment::Dev, &scene.secret, &report).await.unwrap();
    assert_eq!(scene.responds(event.clone()).await["outcome"], "released");
    assert_eq!(scene.sweeps().await["containment"]["denialsGone"], 0);
    assert_eq!(policy_of(&scene), None);
    assert_eq!(changes(&scene.cloud.aws.calls()).iter().filter(|name| *name == "RotateSecret").count(), 0);
}

/// A deployment writes the policy of its template; a thief's other role may take the policy away.
#[tokio::test]
async fn a_denial_that_somebody_takes_off_is_told_and_put_back_until_it_is_released() {
    let scene = scene(&[BOTH]).await;
    let thief = client(&scene, "report");
    for principal in ["role/report", "user/eve"] {
        asks(&scene, request(&scene, principal, &["deny"])).await;
    }
    assert_eq!(scene.sweeps().await["containment"]["denialsGone"], 0);
    let told = || scene.cloud.published().unwrap();
    let before = told().len();
    let deployed = json!({ "Version": "2012-10-17", "Statement": [{
        "Sid": "Ours", "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::123456789012:role/web" },
        "Action": "secretsmanager:GetSecretValue", "Resource": "*",
    }] });
    for policy in [None, Some(deployed.to_string())] {
        scene.cloud.aws.store().edit("app", |secret| secret.set_policy(policy.clone())).unwrap();
        value(&thief, "app").await.unwrap();
        assert_eq!(scene.sweeps().await["containment"]["denialsGone"], 2);
        assert_eq!(value(&thief, "app").await.unwrap_err(), "AccessDeniedException");
    }
    assert!(policy_of(&scene).unwrap().contains("Ours"), "the rest of it stays");
    let alerts = told().split_off(before);
    let said = format!("{} {}", alerts[0]["found"], alerts[0]["done"]);
    assert_eq!(alerts[0]["condition"], "containment-failed", "{alerts:#?}");
    assert!(said.contains("was gone from the policy of app") && said.contains("It was put back"), "{said}");
    // A person's word holds.
    let operator = scene.cloud.operator().unwrap();
    let report = format!("arn:aws:iam::{ACCOUNT}:role/report");
    let without = operator.runs(&["release", "app", "--principal", &report, "--yes"]).await.unwrap();
    assert!(without.status == 2 && without.stderr.contains("put the denial back"), "{without:?}");
    let release = ["release", "app", "--principal", &report, "--yes"];
    assert_eq!(operator.runs(&[&release[..], &TABLE[..]].concat()).await.unwrap().status, 0);
    assert_eq!(scene.sweeps().await["containment"]["denialsGone"], 0);
    value(&thief, "app").await.unwrap();
    let eve = format!("arn:aws:iam::{ACCOUNT}:user/eve");
    assert_eq!(policy::denied(&policy_of(&scene).unwrap()), [eve.as_str()]);
    // Also of a denial that is gone already.
    scene.cloud.aws.store().edit("app", |secret| secret.set_policy(Some(deployed.to_string()))).unwrap();
    let release = ["release", "app", "--principal", &eve, "--yes"];
    assert_eq!(operator.runs(&[&release[..], &TABLE[..]].concat()).await.unwrap().status, 0);
    assert_eq!(scene.sweeps().await["containment"]["denialsGone"], 0);
}

/// One principal more than there is room for.
#[tokio::test]
async fn no_denial_is_crowded_out_by_others_and_the_one_too_many_is_told_and_rotated() {
    let scene = scene(&[BOTH]).await;
    let name = |n: usize| format!("role/{}/{}-{n}", "p".repeat(510), "n".repeat(58));
    let full: BTreeSet<Principal> =
        (0..policy::MOST - 1).map(|n| Principal::of(&format!("arn:aws:iam::{ACCOUNT}:{}", name(n))).unwrap()).collect();
    let mut text = None;
    for principal in &full {
        let Ok(policy::Merged::Wanted(wanted)) = policy::merged(text.as_deref(), principal) else { panic!("{text:?}") };
        text = Some(wanted);
    }
    scene.cloud.aws.store().edit("app", |secret| secret.set_policy(text)).unwrap();
    let answer = asks(&scene, request(&scene, "role/report", &["deny", "rotate"])).await;
    assert_eq!(answer["contained"][0]["denial"], "proved", "{answer:#}");
    reset_versions(&scene);
    let answer = asks(&scene, request(&scene, "role/late", &["deny", "rotate"])).await;
    let case = &answer["contained"][0];
    assert_eq!((&case["denial"], &case["rotation"]), (&json!("policy-crowded"), &json!("begun")), "{answer:#}");
    assert_eq!(policy::denied(&policy_of(&scene).unwrap()).len(), policy::MOST, "nobody is let in for another");
    let alert = scene.cloud.published().unwrap().pop().unwrap();
    assert_eq!((&alert["condition"], &alert["severity"]), (&json!("containment-failed"), &json!("critical")));
}

/// CloudTrail tells the audit of the probes as of any other reads that failed.
#[tokio::test]
async fn a_probe_of_relatchs_own_is_no_finding_and_the_same_by_a_stranger_with_its_role_is() {
    let scene = scene(&[BOTH]).await;
    let aws = &scene.cloud.aws;
    aws.fault_on("secretsmanager:GetSecretValue", 1, Some(1), Fault::StaleLabels);
    asks(&scene, request(&scene, "role/report", &["deny"])).await;
    let probes: Vec<Call> = aws.calls().into_iter().filter(|call| call.action == "GetSecretValue").collect();
    let seen: Vec<Option<&str>> = probes.iter().map(|call| call.error).collect();
    assert_eq!(seen, [Some("ResourceNotFoundException"), Some("AccessDeniedException"), Some("AccessDeniedException")]);
    // Everything that could be found of a read that failed.
    let strict = r#"{"decoys":{"names":["app"]},"thresholds":{
        "denied-burst":{"count":1,"minutes":6},"unauthorized-burst":{"count":1,"minutes":6}}}"#;
    let settings = [("RELATCH_AUDIT_POLICY", strict), ("RELATCH_GROUP_WAIT_SECONDS", "0")];
    let audit = cloud::audit(aws, &settings).unwrap();
    let told = async |access_key: &str| {
        let before = scene.cloud.published().unwrap().len();
        for probe in &probes {
            let mut event = trail::recorded(probe, "respond", "shop-dev-respond", "aws-sdk-rust/1.3");
            event["detail"]["userIdentity"]["accessKeyId"] = json!(access_key);
            assert!(audit.invoke(event).await.unwrap().is_ok(), "{:#?}", audit.output().lines());
        }
        let told = scene.cloud.published().unwrap().split_off(before);
        told.iter().map(|alert| alert["found"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(told(Operator::ACCESS_KEY).await, [""; 0]);
    let told = told("ASIASTRANGER").await.join(" ");
    for found in ["A decoy was touched", "A read of a secret was denied"] {
        assert!(told.contains(found), "{found}: {told}");
    }
}

#[tokio::test]
async fn what_was_denied_is_given_back_by_hand_and_the_rest_of_the_policy_stays() {
    let scene = scene(&[BOTH]).await;
    let own = json!({ "Version": "2012-10-17", "Statement": [{
        "Sid": "Ours", "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::123456789012:role/web" },
        "Action": "secretsmanager:GetSecretValue", "Resource": "*",
    }] });
    let aws = &scene.cloud.aws;
    aws.store().edit("app", |secret| secret.set_policy(Some(own.to_string()))).unwrap();
    asks(&scene, request(&scene, "role/report", &["deny"])).await;
    asks(&scene, request(&scene, "user/eve", &["deny"])).await;
    let thief = client(&scene, "report");
    assert_eq!(value(&thief, "app").await.unwrap_err(), "AccessDeniedException");
    let undone = thief.delete_resource_policy().secret_id("app").send().await.map_err(code).unwrap_err();
    assert_eq!(undone, "AccessDeniedException", "who is denied cannot take the denial out");
    let operator = scene.cloud.operator().unwrap();
    let runs = async |arguments: &[&str]| operator.runs(&[arguments, &TABLE[..]].concat()).await.unwrap();
    let eve = "arn:aws:iam::123456789012:user/eve";
    let dry = runs(&["release", "app", "--dry-run"]).await;
    assert!(dry.status == 0 && dry.stdout.contains("role/report") && dry.stdout.contains(eve), "{dry:?}");
    assert_eq!(runs(&["release", "app", "--principal", eve, "--yes"]).await.status, 0);
    assert_eq!(value(&thief, "app").await.unwrap_err(), "AccessDeniedException");
    assert_eq!(runs(&["release", "app", "--yes"]).await.status, 0);
    value(&thief, "app").await.unwrap();
    assert_eq!(policy_of(&scene), Some(own.to_string()));
    let again = runs(&["release", "app", "--yes"]).await;
    assert!(again.status == 1 && again.stdout.contains("no denial"), "{again:?}");
    let json = runs(&["release", "app", "--yes", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap()["outcome"], "was-not-denied");
    // Where nothing else was in it, the policy goes.
    aws.store().edit("app", |secret| secret.set_policy(None)).unwrap();
    asks(&scene, request(&scene, "role/report", &["deny"])).await;
    assert!(policy_of(&scene).is_some());
    assert_eq!(runs(&["release", "app", "--yes"]).await.status, 0);
    assert_eq!(policy_of(&scene), None);
}

#[tokio::test]
async fn respond_does_only_what_its_own_settings_allow_and_to_its_own() {
    let scene = scene(&[("RELATCH_RESPOND", "rotate")]).await;
    let answer = asks(&scene, request(&scene, "role/report", &["deny"])).await;
    assert_eq!((&answer["outcome"], policy_of(&scene)), (&json!("not-allowed"), None));
    let scene = Scene { respond: respond(&scene.cloud, &[]), ..scene };
    let answer = asks(&scene, request(&scene, "role/report", &["deny", "rotate"])).await;
    assert_eq!(answer["outcome"], "not-allowed", "nothing is allowed by default");

    let scene = Scene { respond: respond(&scene.cloud, &[BOTH]), ..scene };
    let both = ["deny", "rotate"];
    let mut foreign = written(&scene, request(&scene, "role/report", &both)).await;
    foreign["detail"]["environment"] = json!("prod");
    assert_eq!(scene.responds(foreign).await["outcome"], "not-ours");
    let mut elsewhere = request(&scene, "role/report", &both);
    elsewhere["secrets"][0]["secret"] = json!("arn:aws:secretsmanager:us-east-1:123456789012:secret:app");
    // Nothing is denied to these, and what they read is replaced all the same.
    let untouched = [
        (elsewhere, "elsewhere", "held-back"),
        (request(&scene, "root", &both), "root", "begun"),
        (request(&scene, "role/break-glass", &both), "never-denied", "begun"),
        (request(&scene, "role/rotate", &both), "never-denied", "begun"),
        (request(&scene, "role/service/rotate", &both), "never-denied", "begun"),
        (request(&scene, "role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS", &both), "service", "begun"),
        (request(&scene, "role/*", &both), "nameless", "begun"),
    ];
    for (event, why, rotation) in untouched {
        let answer = asks(&scene, event).await;
        assert_eq!(answer["contained"][0]["denial"], why, "{answer:#}");
        assert_eq!(answer["contained"][0]["rotation"], rotation, "{answer:#}");
        assert_eq!(policy_of(&scene), None);
        reset(&scene);
    }
    let mark = scene.cloud.aws.mark();
    let other = ("RELATCH_ROTATE_ARN", "arn:aws:lambda:eu-central-1:1:function:other");
    let scene = Scene { respond: respond(&scene.cloud, &[BOTH, other]), ..scene };
    let answer = asks(&scene, request(&scene, "role/report", &both)).await;
    assert_eq!(answer["contained"][0]["denial"], "not-ours");
    assert_eq!(changes(&scene.cloud.aws.calls_since(mark)), Vec::<String>::new());
}

#[tokio::test]
async fn what_its_role_may_not_look_at_is_not_its_own_and_not_tried_again() {
    let scene = scene(&[BOTH]).await;
    scene.cloud.aws.fault_always("secretsmanager:DescribeSecret", Fault::Deny);
    let answer = asks(&scene, request(&scene, "role/report", &["deny", "rotate"])).await;
    assert_eq!(answer["contained"][0]["denial"], "not-ours", "{answer:#}");
    assert_eq!(changes(&scene.cloud.aws.calls()), Vec::<String>::new());
    let alert = scene.cloud.published().unwrap().remove(0);
    assert!(alert["found"].to_string().contains("respond may not look at it"), "{alert:#}");
}

#[tokio::test]
async fn each_containment_of_the_same_principal_is_told_and_the_same_twice_is_not() {
    let scene = scene(&[BOTH]).await;
    scene.cloud.secret("shop", json!({})).unwrap();
    let told = || {
        let alerts = scene.cloud.published().unwrap();
        let line = |alert: &Value| format!("{} {} {}", alert["condition"], alert["found"], alert["done"]);
        alerts.iter().map(line).collect::<Vec<_>>()
    };
    let of = |name: &str| {
        let mut event = request(&scene, "role/report", &["deny"]);
        let arn = scene.cloud.aws.store().secret(name).unwrap().arn;
        event["secrets"][0]["secret"] = json!(arn.rsplit_once('-').unwrap().0);
        event
    };
    for (name, count) in [("app", 1), ("app", 1), ("shop", 2), ("shop", 2)] {
        asks(&scene, of(name)).await;
        assert_eq!(told().len(), count, "{name}: {:#?}", told());
    }
    assert!(told()[1].contains("contained") && told()[1].contains("may not read shop"), "{:#?}", told());
    // Of what could not be contained that is worse still.
    for (name, count) in [("app", 3), ("app", 3), ("shop", 4), ("shop", 4)] {
        scene.cloud.aws.store().edit(name, |secret| secret.set_policy(Some("no policy".to_owned()))).unwrap();
        asks(&scene, of(name)).await;
        assert_eq!(told().len(), count, "{name}: {:#?}", told());
    }
    assert!(told()[3].contains("containment-failed") && told()[3].contains("shop is not contained"), "{:#?}", told());
}

#[tokio::test]
async fn a_policy_that_is_full_is_left_alone_and_what_was_read_is_replaced_all_the_same() {
    let scene = scene(&[BOTH]).await;
    let full = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": "x".repeat(20_300) }, "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
    }] });
    scene.cloud.aws.store().edit("app", |secret| secret.set_policy(Some(full.to_string()))).unwrap();
    let answer = asks(&scene, request(&scene, "role/report", &["deny", "rotate"])).await;
    assert_eq!(answer["contained"][0]["denial"], "policy-full", "{answer:#}");
    assert_eq!(answer["contained"][0]["rotation"], "begun", "whoever fills a policy does not keep what he has read");
    assert_eq!(policy_of(&scene), Some(full.to_string()));
    let alert = scene.cloud.published().unwrap().remove(0);
    assert_eq!((&alert["condition"], &alert["severity"]), (&json!("containment-failed"), &json!("critical")));
    assert_eq!(alert["runbook"], "infra/runbooks/containment-failed.md");
}

#[tokio::test]
async fn nothing_is_rotated_while_the_denial_is_not_in_effect_everywhere() {
    let scene = scene(&[BOTH]).await;
    let aws = &scene.cloud.aws;
    // What is read back is old at first, and the policy holds only after some time.
    aws.fault_on("secretsmanager:GetResourcePolicy", 2, Some(2), Fault::StaleLabels);
    aws.fault_on("secretsmanager:GetSecretValue", 1, Some(1), Fault::StaleLabels);
    aws.fault_on("secretsmanager:GetSecretValue", 3, Some(1), Fault::StaleLabels);
    let answer = asks(&scene, request(&scene, "role/report", &["deny", "rotate"])).await;
    assert_eq!(answer["contained"][0]["rotation"], "begun", "{answer:#}");
    let calls = aws.calls();
    let probes: Vec<&Call> = calls.iter().filter(|call| call.action == "GetSecretValue").collect();
    let seen: Vec<Option<&str>> = probes.iter().map(|call| call.error).collect();
    let (open, shut) = (Some("ResourceNotFoundException"), Some("AccessDeniedException"));
    assert_eq!(seen, [open, shut, open, shut, shut]);
    let rotated = calls.iter().find(|call| call.action == "RotateSecret").unwrap();
    assert!(rotated.sequence > probes.last().unwrap().sequence);
    assert_eq!(changes(&calls), ["PutResourcePolicy", "RotateSecret"]);
}

#[tokio::test]
async fn a_call_that_fails_anywhere_leaves_nothing_or_what_the_next_attempt_completes() {
    completes_after(&Fault::Refuse).await;
}

#[tokio::test]
async fn so_does_an_answer_that_is_lost_after_the_effect() {
    completes_after(&Fault::DropReply).await;
}

/// A fault at every call by itself, as often as the SDK tries; then the event again.
async fn completes_after(fault: &Fault) {
    let scene = scene(&[BOTH]).await;
    let aws = &scene.cloud.aws;
    let asked = request(&scene, "role/report", &["deny", "rotate"]);
    asks(&scene, asked.clone()).await;
    let calls = aws.calls().iter().filter(|call| call.service == "secretsmanager").count() as u64;
    assert!((9..=12).contains(&calls), "{calls}");
    reset(&scene);
    for n in 1..=calls {
        let (mark, name) = (aws.mark(), fault.name());
        aws.fault_on("secretsmanager:*", n, Some(3), fault.clone());
        let event = written(&scene, asked.clone()).await;
        let outcome = scene.respond.invoke(event.clone()).await.unwrap();
        aws.clear_faults();
        let pending = scene.labelled("AWSPENDING").is_some();
        let denied = policy_of(&scene).is_some_and(|text| !policy::denied(&text).is_empty());
        assert!(denied || !pending, "{name} at {n}: rotated, and not denied");
        let during = aws.calls_since(mark);
        assert!(!outcome.is_ok() || (denied && pending), "{name} at {n}: {outcome:?} {during:#?}");
        // The same once more, if it is not done; and otherwise as if it were asked anew.
        let event = if outcome.is_ok() { written(&scene, asked.clone()).await } else { event };
        let again = scene.responds(event).await;
        let case = &again["contained"][0];
        assert_eq!((&case["denial"], &case["rotation"]), (&json!("proved"), &json!("begun")), "{name} at {n}");
        let tokens = aws.store().versions("app").unwrap().len();
        assert_eq!(tokens, 2, "{name} at {n}: rotated once");
        assert_eq!(policy::denied(&policy_of(&scene).unwrap()).len(), 1);
        reset(&scene);
    }
}

#[tokio::test]
async fn denying_without_a_way_back_does_not_start() {
    let scene = Scene::single_user().await;
    let respond = scene.cloud.respond_with(&[BOTH]).unwrap();
    let outcome = respond.invoke(trail::scheduled()).await.unwrap();
    assert!(!outcome.is_ok());
    let said = respond.output();
    assert!(said.contains("RELATCH_NEVER_DENY must name"), "{:#?}", said.lines());
}

/// A cloud whose respond has these settings, the table and the topic.
async fn scene(settings: &[(&str, &str)]) -> Scene {
    let scene = Scene::single_user().await;
    scene.cloud.aws.emulate().await.unwrap();
    age(&scene, "app");
    Scene { respond: respond(&scene.cloud, settings), ..scene }
}

fn respond(cloud: &Cloud, settings: &[(&str, &str)]) -> Function {
    let memory = Cloud::memory();
    let memory: Vec<(&str, &str)> = memory.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let waits = [("RELATCH_GROUP_WAIT_SECONDS", "0"), ("RELATCH_GROUP_INTERVAL_SECONDS", "0")];
    cloud.respond_with(&[&memory, &waits[..], &ROLES, settings].concat()).unwrap()
}

/// What audit asks for.
fn request(scene: &Scene, principal: &str, measures: &[&str]) -> Value {
    let meant = scene.secret.rsplit_once('-').unwrap().0;
    json!({
        "environment": "dev", "incident": "audit/x", "incidentGap": 3_600_000,
        "principal": format!("arn:aws:iam::{ACCOUNT}:{principal}"),
        "measures": measures, "findings": ["read-burst"], "events": [],
        "secrets": [{ "secret": meant, "read": a_minute_ago().as_millisecond(), "versions": [] }],
    })
}

/// Has a request written down as audit does it, and respond woken; what that answers.
async fn asks(scene: &Scene, request: Value) -> Value {
    let event = written(scene, request).await;
    scene.responds(event).await
}

/// A request in the table, each time another one; and the event that tells respond of it.
async fn written(scene: &Scene, request: Value) -> Value {
    let id: String = (0..64).map(|_| char::from_digit(rand::rng().random_range(0..16), 16).unwrap()).collect();
    let id = RequestId::try_from(id).unwrap();
    let request: Containment = serde_json::from_value(request).unwrap();
    table(scene).record_request(&id, &request).await.unwrap();
    wake_up(&WakeUp { environment: "dev".to_owned(), request: id })
}

fn wake_up(word: &WakeUp) -> Value {
    json!({
        "version": "0", "id": "e", "detail-type": DETAIL_TYPE, "source": SOURCE, "account": ACCOUNT, "region": REGION,
        "time": "2026-01-01T00:00:00Z", "resources": [], "detail": word,
    })
}

fn table(scene: &Scene) -> DynamoTable {
    let memory = Cloud::memory();
    let (_, name) = memory.iter().find(|(name, _)| *name == "RELATCH_TABLE").unwrap();
    DynamoTable::new(&scene.cloud.aws.sdk(), name)
}

/// Makes all of it longer ago than the read.
fn age(scene: &Scene, name: &str) {
    let edited = scene.cloud.aws.store().edit(name, |secret| {
        secret.versions.iter_mut().for_each(|version| version.created -= SignedDuration::from_hours(1));
    });
    edited.unwrap();
}

fn a_minute_ago() -> Timestamp {
    Timestamp::now() - SignedDuration::from_mins(1)
}

/// As it was before anything was contained.
fn reset(scene: &Scene) {
    scene.cloud.aws.store().edit("app", |secret| secret.set_policy(None)).unwrap();
    reset_versions(scene);
}

/// As if no rotation had begun.
fn reset_versions(scene: &Scene) {
    let edited =
        scene.cloud.aws.store().edit("app", |secret| secret.versions.retain(|version| !version.has("AWSPENDING")));
    edited.unwrap();
}

fn policy_of(scene: &Scene) -> Option<String> {
    scene.cloud.aws.store().secret("app").unwrap().policy(false).map(str::to_owned)
}

/// The calls that change something, by their names.
fn changes(calls: &[Call]) -> Vec<String> {
    let names = ["PutResourcePolicy", "DeleteResourcePolicy", "RotateSecret"];
    let changing = calls.iter().filter(|call| names.contains(&call.action.as_str()));
    changing.map(|call| call.action.clone()).collect()
}

/// Somebody with a role of his own.
fn client(scene: &Scene, role: &str) -> Client {
    let sdk = scene.cloud.aws.sdk_of(role).into_builder();
    Client::new(&sdk.retry_config(RetryConfig::disabled()).build())
}

async fn value(client: &Client, name: &str) -> Result<String, String> {
    let answer = client.get_secret_value().secret_id(name).send().await;
    answer.map(|value| value.secret_string.unwrap()).map_err(code)
}

fn code<E: ProvideErrorMetadata>(error: SdkError<E>) -> String {
    error.code().unwrap_or_default().to_owned()
}
