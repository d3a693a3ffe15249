//! The templates deployed for real, onto the emulator, and events through what was deployed.

use std::io::Write;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use relatch_integration::aws::{ACCOUNT, REGION, account::Account};
use relatch_integration::template::{Parameters, Place};
use serde_json::{Value, json};

use crate::scene::{ROOT, TEMPLATES, parameters_of};

/// What an event needs that CloudTrail would tell of.
const READ_BY_ROOT: &str = include_str!("../../../events/fixtures/cloudtrail/read-by-root.json");

#[tokio::test]
async fn what_is_deployed_takes_in_a_read_and_tells_of_it() {
    let account = Account::open().await.unwrap();
    let left_out = account.deploy(&TEMPLATES, ROOT, "relatch-dev", &parameters()).await.unwrap();
    insta::assert_snapshot!(left_out.join("\n"));

    let open = json!({ "Statement": { "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" },
        "Action": "sqs:SendMessage", "Resource": "*" } });
    let listener = json!({ "QueueName": "listener", "Attributes": { "Policy": open.to_string() } });
    let listener = account.json("sqs", "AmazonSQS.CreateQueue", &listener).await.unwrap();
    let subscription = [
        ("Action", "Subscribe".to_owned()),
        ("TopicArn", format!("arn:aws:sns:{REGION}:{ACCOUNT}:relatch-dev-alerts")),
        ("Protocol", "sqs".to_owned()),
        ("Endpoint", format!("arn:aws:sqs:{REGION}:{ACCOUNT}:listener")),
    ];
    account.form("sns", &subscription.map(|(name, value)| (name.to_owned(), value))).await.unwrap();
    let queue = json!({ "QueueName": "relatch-dev-audit" });
    let queue = account.json("sqs", "AmazonSQS.GetQueueUrl", &queue).await.unwrap();
    let record: Value = serde_json::from_str(READ_BY_ROOT).unwrap();
    let event = json!({ "version": "0", "id": "1", "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.secretsmanager", "account": ACCOUNT, "time": "2026-01-31T12:34:56Z", "region": REGION,
        "resources": [], "detail": record });
    let message = json!({ "QueueUrl": queue["QueueUrl"], "MessageBody": event.to_string() });

    // The queue's own policy refuses it over plaintext, from whomever.
    let refused = account.json_in_plaintext("sqs", "AmazonSQS.SendMessage", &message).await.unwrap_err();
    assert!(refused.to_string().contains("AccessDenied"), "{refused}");
    // On AWS nobody but the rules may send; the emulator does not know by whom a call is made (aws:PrincipalIsAWSService).
    account.json("sqs", "AmazonSQS.SendMessage", &message).await.unwrap();

    let alert = until(async || {
        let ask = json!({ "QueueUrl": listener["QueueUrl"] });
        let answer = account.json("sqs", "AmazonSQS.ReceiveMessage", &ask).await.unwrap();
        answer["Messages"][0]["Body"].as_str().map(str::to_owned)
    });
    assert!(alert.await.contains("The root user has read a secret"));
    written_down(&account).await;

    // With what its role allows it looks at the secrets, the table and the alarms.
    let sweep = account.invoke("relatch-dev-respond", &json!({ "relatch": "sweep" })).await.unwrap();
    assert_eq!((&sweep["secrets"], &sweep["couldNotLook"]), (&json!(0), &json!([])), "{sweep}");
}

/// What a trail writes into its bucket goes by S3's word to EventBridge, a rule and a queue to the audit, which reads it.
#[tokio::test]
async fn what_is_deployed_reads_the_files_of_a_trail() {
    let account = Account::open().await.unwrap();
    let parameters = parameters();
    account.deploy(&TEMPLATES, ROOT, "relatch-dev", &parameters).await.unwrap();
    let place = Place { account: ACCOUNT.to_owned(), region: REGION.to_owned(), stack: "relatch-dev".to_owned() };
    let on_paper = TEMPLATES.deploy(ROOT, place, &parameters).unwrap();
    let bucket = &on_paper.of_kind("AWS::S3::Bucket").find(|one| one.path == "TrailStack/Bucket").unwrap().name;

    let mut file = GzEncoder::new(Vec::new(), Compression::default());
    let record: Value = serde_json::from_str(READ_BY_ROOT).unwrap();
    file.write_all(json!({ "Records": [record] }).to_string().as_bytes()).unwrap();
    let key = format!(
        "AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/01/31/{ACCOUNT}_CloudTrail_{REGION}_20260131T1240Z_a.json.gz"
    );
    account.put(&format!("/{bucket}/{key}"), file.finish().unwrap()).await.unwrap();
    written_down(&account).await;
}

/// Waits until the read is in the access log.
async fn written_down(account: &Account) {
    let tables = account.json("dynamodb", "DynamoDB_20120810.ListTables", &json!({})).await.unwrap();
    let table = json!({ "TableName": tables["TableNames"][0] });
    let secret = "ledger#dev#arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-prod-secret-database";
    let lines = until(async || {
        let items = account.json("dynamodb", "DynamoDB_20120810.Scan", &table).await.unwrap().to_string();
        items.contains("access#2026-01-31T12:34:56.000Z").then_some(items)
    });
    assert!(lines.await.contains(secret));
}

/// Those of development, for the programs that were just built, without what takes a container to stand in for.
fn parameters() -> Parameters {
    let mut parameters = parameters_of("dev");
    let own = [("Architecture", architecture()), ("Database", "none"), ("DatabaseStopAtNight", "false")];
    parameters.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    parameters
}

/// What is asked for until it is there. The test runner ends what never comes.
async fn until<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// That of the programs that were just built.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }
}
