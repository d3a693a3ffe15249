//! From events to ledger and alerts.

use crate::scene::{Scene, reads};
use futures_util::future::join_all;
use jiff::Timestamp;
use relatch_integration::{
    aws::{Endpoint, Fault},
    cloud,
    lambda::Outcome,
    trail,
};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};

#[tokio::test]
async fn an_intruders_reads_that_come_one_by_one_are_one_alert_that_lists_them() {
    let scene = Scene::new().await;
    let reads = reads(0..20);
    for read in &reads {
        let answer = scene.takes(read).await;
        assert_eq!(answer, json!({ "recorded": 1, "ignored": 0, "duplicate": 0, "malformed": 0 }));
    }
    assert_eq!(scene.told(), ["error read-burst role/report"]);
    let alert = cloud::published(&scene.aws).unwrap().remove(0);
    let found = alert["found"].to_string();
    assert!((0..20).all(|n| found.contains(&format!("shop-prod-secret-{n:02}"))), "{alert:#}");
    assert_eq!(alert["runbook"], "infra/runbooks/audit-findings.md#read-burst");
    assert_eq!(scene.items("ledger#").await, 20);
    // All of them once more: by another file, in another order.
    for read in reads.iter().rev() {
        let answer = scene.takes(read).await;
        assert_eq!(answer, json!({ "recorded": 0, "ignored": 0, "duplicate": 1, "malformed": 0 }));
    }
    assert_eq!((scene.told().len(), scene.items("ledger#").await), (1, 20));
    let counts = scene.counts().await;
    assert_eq!((counts["RecordsIn"], counts["Recorded"], counts["Duplicate"]), (40, 20, 20));
    assert_eq!(counts["SecurityEvents"], 1);
}

#[tokio::test]
async fn a_burst_that_several_functions_see_a_part_of_is_found_by_one_of_them() {
    let scene = Scene::new().await;
    let batches: Vec<Value> = reads(0..20)
        .chunks(5)
        .map(|reads| reads.iter().map(Value::to_string).collect::<Vec<_>>())
        .map(|bodies| trail::queued(bodies.iter().map(String::as_str)))
        .collect();
    // What each of them reads is old when it arrives, as a rule: the others have read the same by then. That a conflict at
    // any call changes nothing is proved in memory, in `shared/tests/audit/intake.rs`.
    scene.aws.fault_on("dynamodb:BatchGetItem", 1, Some(8), Fault::Delay(Duration::from_secs(1)));
    let mut left = batches;
    for _ in 0..5 {
        let outcomes = join_all(left.iter().map(|batch| scene.audit.invoke(batch.clone()))).await;
        let is_done = |outcome: Outcome| outcome == Outcome::Ok(json!({ "batchItemFailures": [] }));
        let done: Vec<bool> = outcomes.into_iter().map(|outcome| is_done(outcome.unwrap())).collect();
        left = left.into_iter().zip(done).filter(|(_, done)| !done).map(|(batch, _)| batch).collect();
    }
    assert!(left.is_empty(), "{:#?}", scene.audit.output().lines());
    assert_eq!(scene.told(), ["error read-burst role/report"]);
    assert_eq!(scene.items("ledger#").await, 20);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_fails_alone_and_says_why() {
    let scene = Scene::new().await;
    let root = trail::read("shop-prod-secret-database", None, Timestamp::now()).to_string();
    let mut foreign = trail::read("shop-prod-secret-jwt", None, Timestamp::now());
    foreign["detail"] = json!("not a record");
    let mut boring = trail::read("shop-prod-secret-jwt", Some("report"), Timestamp::now());
    boring["detail"]["eventName"] = json!("ListSecrets");
    let (foreign, boring) = (foreign.to_string(), boring.to_string());
    let answer = scene.takes(&trail::queued(["no JSON", &root, &foreign, &boring])).await;
    let failed = json!([{ "itemIdentifier": "message-0" }, { "itemIdentifier": "message-2" }]);
    assert_eq!(answer["batchItemFailures"], failed);
    assert_eq!(scene.told().len(), 1, "{:?}", scene.told());
    assert!(scene.told()[0].contains("root-read"), "{:?}", scene.told());
    let counts = scene.counts().await;
    assert_eq!((counts["RecordsIn"], counts["Recorded"], counts["Malformed"]), (4, 1, 2));
    assert_eq!(counts["Ignored"], 1);
    assert!(scene.audit.output().contains("A message was not taken in: it holds nothing that is known here"));
}

#[tokio::test]
async fn what_could_not_be_told_is_not_written_down_and_is_told_the_next_time() {
    let scene = Scene::new().await;
    scene.aws.fault_always("sns:Publish", Fault::Refuse);
    let root = trail::read("shop-prod-secret-database", None, Timestamp::now());
    let batch = trail::queued([root.to_string().as_str()]);
    let answer = scene.takes(&batch).await;
    assert_eq!(answer["batchItemFailures"], json!([{ "itemIdentifier": "message-0" }]));
    assert_eq!(scene.items("ledger#").await, 0);
    assert!(!scene.audit.invoke(root).await.unwrap().is_ok(), "EventBridge is to try again");
    scene.aws.clear_faults();
    assert_eq!(scene.takes(&batch).await["batchItemFailures"], json!([]));
    assert_eq!((scene.told().len(), scene.items("ledger#").await), (1, 1));
    assert_eq!(scene.takes(&batch).await["batchItemFailures"], json!([]));
    assert_eq!((scene.told().len(), scene.items("ledger#").await), (1, 1));
}

#[tokio::test]
async fn what_somebody_else_puts_on_the_bus_in_cloudtrails_name_is_refused_and_counted() {
    let scene = Scene::new().await;
    let mut forged = trail::read("shop-prod-secret-database", None, Timestamp::now());
    forged["source"] = json!("shop");
    let Outcome::Error { error_type, error_message } = scene.audit.invoke(forged).await.unwrap() else {
        panic!("a forged record was taken in");
    };
    assert_eq!(error_type, "Audit.Failed");
    assert!(error_message.contains("events:PutEvents"), "{error_message}");
    assert_eq!((scene.told().len(), scene.items("ledger#").await), (0, 0));
    assert_eq!(scene.counts().await["Malformed"], 1);
}

#[tokio::test]
async fn in_a_project_by_another_name_what_keeps_watch_is_watched_whatever_the_policy_says() {
    let mut scene = Scene::new().await;
    let policy = r#"{"own": {"rules": []}, "shadowed": ["own-function-changed"]}"#;
    scene.aws.put_parameter("/policies/audit", policy).await.unwrap();
    let settings = [
        ("RELATCH_GROUP_WAIT_SECONDS", "0"),
        ("RELATCH_OWN_PREFIX", "shop-dev-"),
        ("RELATCH_AUDIT_POLICY", "ssm:/policies/audit"),
    ];
    scene.audit = cloud::audit(&scene.aws, &settings).unwrap();
    let call = |who: &str, service: &str, name: &str, parameters: Value| {
        let mut event = trail::read("any", Some(who), Timestamp::now());
        event["source"] = json!(format!("aws.{service}"));
        event["detail"]["eventSource"] = json!(format!("{service}.amazonaws.com"));
        event["detail"]["eventName"] = json!(name);
        event["detail"]["requestParameters"] = parameters;
        event
    };
    scene.takes(&call("one", "events", "DisableRule", json!({ "name": "relatch-dev-audit" }))).await;
    scene.takes(&call("two", "events", "DisableRule", json!({ "name": "shop-dev-audit" }))).await;
    scene.takes(&call("three", "ssm", "PutParameter", json!({ "name": "/shop/feature" }))).await;
    scene.takes(&call("four", "ssm", "PutParameter", json!({ "name": "/policies/audit" }))).await;
    assert_eq!(scene.told(), ["error rule-disabled role/two", "error own-function-changed role/four"]);
}

#[tokio::test]
async fn the_policy_may_be_in_a_parameter_and_a_bad_one_names_all_that_is_wrong() {
    let aws = Endpoint::start().await.unwrap();
    aws.emulate().await.unwrap();
    let audit = || cloud::audit(&aws, &[("RELATCH_AUDIT_POLICY", "ssm:/shop/relatch/policy")]).unwrap();
    let root = || trail::read("shop-prod-secret-database", None, Timestamp::now());
    let refusal = async || {
        let audit = audit();
        format!("{:?} {:?}", audit.invoke(root()).await, audit.output().lines())
    };
    let problem = refusal().await;
    assert!(problem.contains("ParameterNotFound"), "{problem}");
    aws.put_parameter("/shop/relatch/policy", r#"{"learning-days": 0, "decoy": {}}"#).await.unwrap();
    let problem = refusal().await;
    assert!(problem.contains("learning-days: is not between") && problem.contains("decoy: is no field"), "{problem}");
    // It is not told of root's read, since the policy says so.
    aws.put_parameter("/shop/relatch/policy", r#"{"shadowed": ["root-read"]}"#).await.unwrap();
    let audit = audit();
    assert!(audit.invoke(root()).await.unwrap().is_ok(), "{:#?}", audit.output().lines());
    assert_eq!(cloud::published(&aws).unwrap(), Vec::<Value>::new());
    let reads = aws.calls().into_iter().filter(|call| call.action == "GetParameter" && call.status == Some(200));
    assert_eq!(reads.count(), 2);
}

#[tokio::test]
async fn what_guardduty_has_found_is_told_once_and_is_part_of_the_principals_incident() {
    let scene = Scene::new().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/fixtures/guardduty");
    let finding = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(folder.join(format!("{name}.json"))).unwrap()).unwrap()
    };
    for (name, recorded, duplicate, ignored) in
        [("secrets-read-in-an-odd-way", 1, 0, 0), ("secrets-read-in-an-odd-way", 0, 1, 0), ("something-else", 0, 0, 1)]
    {
        let answer = scene.takes(&finding(name)).await;
        let expected = json!({ "recorded": recorded, "ignored": ignored, "duplicate": duplicate, "malformed": 0 });
        assert_eq!(answer, expected, "{name}");
    }
    assert_eq!(scene.told(), ["error guardduty-finding role/report"]);
}
