//! From files in a bucket to ledger and alerts.

use crate::scene::{Scene, reads};
use flate2::{Compression, write::GzEncoder};
use jiff::{SignedDuration, Timestamp};
use relatch_integration::{activity, aws::Fault, cloud, trail};
use serde_json::{Value, json};
use std::{io::Write, time::Duration};

const BUCKET: &str = "trail";

#[tokio::test]
async fn what_comes_by_file_and_by_event_is_recorded_once_and_is_one_alert() {
    let scene = Scene::with_bucket().await;
    let reads = reads(0..20);
    let mut records: Vec<String> = reads.iter().map(|read| read["detail"].to_string()).collect();
    records.insert(3, json!({ "eventSource": "s3.amazonaws.com", "eventName": "ListBuckets" }).to_string());
    let bad = "{\"eventVersion\":}".to_owned();
    let with_bad: Vec<String> = [&records[..9], &[bad], &records[9..]].concat();
    // What is whole of a file is taken in; that not all of it was, comes again and is set aside in the end.
    let first = scene.file("first", gzipped(&activity::log(&with_bad))).await;
    let failed = json!({ "batchItemFailures": [{ "itemIdentifier": "message-0" }] });
    assert_eq!(scene.takes(&trail::queued([by_sns(&first).as_str()])).await, failed);
    assert_eq!(scene.told(), ["error read-burst role/report"]);
    assert_eq!(scene.items("ledger#").await, 20);
    // The same events by themselves, in a file with news, and by that file's own notification, not by way of a queue.
    for read in &reads[..5] {
        assert_eq!(scene.takes(read).await["duplicate"], 1);
    }
    records[0] = reads_of("shop-prod-secret-more", 1).remove(0);
    let second = scene.file("second with a blank+", gzipped(&activity::log(&records))).await;
    assert_eq!(scene.takes(&trail::queued([second.as_str()])).await, json!({ "batchItemFailures": [] }));
    let again = scene.takes(&serde_json::from_str(&second).unwrap()).await;
    assert_eq!(again, json!({ "recorded": 0, "ignored": 1, "duplicate": 20, "malformed": 0 }));
    assert_eq!((scene.told().len(), scene.items("ledger#").await), (1, 21));
    let counts = scene.counts().await;
    assert_eq!((counts["Recorded"], counts["Duplicate"]), (21, 5 + 19 + 20));
    assert_eq!((counts["Ignored"], counts["Malformed"], counts["RecordsIn"]), (3, 1, 3 * 21 + 1 + 5));
    let place = format!("\"file.offset\":{}", "{\"Records\":[".len() + with_bad[..9].join(",").len() + 1);
    assert!(scene.audit.output().contains(&place), "{place}\n{:#?}", scene.audit.output().lines());
}

#[tokio::test]
async fn a_file_that_cannot_be_read_fails_alone_and_says_why() {
    let scene = Scene::with_bucket().await;
    let log = |name: &str| activity::log(&reads_of(name, 2));
    let whole = gzipped(&log("shop-prod-secret-first"));
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0xff;
    damaged[whole.len() / 2 + 1] ^= 0xff;
    let messages = [
        scene.file("whole", whole.clone()).await,
        created(BUCKET, &key("gone")),
        scene.file("cut", whole[..whole.len() - 30].to_vec()).await,
        scene.file("empty", Vec::new()).await,
        scene.file("damaged", damaged).await,
        scene.file("plain", log("shop-prod-secret-plain").into_bytes()).await,
        created("nowhere", &key("whole")),
        // The bucket's other things, and S3's own test, say nothing.
        created(BUCKET, "AWSLogs/123456789012/CloudTrail-Digest/eu-central-1/2026/01/31/digest.json.gz"),
        created(BUCKET, "AWSLogs/123456789012/Config/eu-central-1/2026/1/31/config.json.gz"),
        json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET }).to_string(),
        by_sns(&scene.file("last", gzipped(&log("shop-prod-secret-last"))).await),
    ];
    let answer = scene.takes(&trail::queued(messages.iter().map(String::as_str))).await;
    let failed: Vec<&str> = answer["batchItemFailures"].as_array().unwrap().iter().map(identifier).collect();
    assert_eq!(failed, ["message-1", "message-2", "message-3", "message-4", "message-6"]);
    assert_eq!(scene.items("ledger#").await, 6);
    // What of a broken file can still be read is taken in; what cannot is counted, and the file comes again.
    let counts = scene.counts().await;
    let [all, recorded, duplicate, malformed] =
        ["RecordsIn", "Recorded", "Duplicate", "Malformed"].map(|name| counts[name]);
    assert_eq!((recorded, all), (6, recorded + duplicate + malformed));
    // Into how many pieces the damage has broken what followed it differs with what is written there.
    assert!(malformed > 0, "{counts:?}");
    let lines: Vec<Value> =
        scene.audit.output().lines().iter().filter_map(|line| serde_json::from_str(&line.text).ok()).collect();
    let said = lines.iter().filter(|line| line["error.kind"] == "Audit.Failed");
    let said: Vec<String> = said.map(|line| line["message"].as_str().unwrap().to_owned()).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[tokio::test]
async fn a_bucket_that_does_not_let_it_in_is_told_apart_and_is_read_later() {
    let scene = Scene::with_bucket().await;
    let file = scene.file("whole", gzipped(&activity::log(&reads_of("shop-prod-secret-first", 2)))).await;
    let batch = trail::queued([file.as_str()]);
    for (fault, why) in [(Fault::Deny, "give this function's role s3:GetObject"), (Fault::Refuse, "it cannot be had")] {
        scene.aws.fault_always("s3:GetObject", fault);
        assert_eq!(scene.takes(&batch).await, json!({ "batchItemFailures": [{ "itemIdentifier": "message-0" }] }));
        scene.audit.stop().await;
        assert!(scene.audit.output().contains(why), "{why}\n{:#?}", scene.audit.output().lines());
        scene.aws.clear_faults();
    }
    assert_eq!(scene.takes(&batch).await, json!({ "batchItemFailures": [] }));
    assert_eq!(scene.items("ledger#").await, 2);
}

#[tokio::test]
async fn a_large_file_is_never_held_as_a_whole() {
    const SIZE: usize = 32_000_000;
    let scene = Scene::with_bucket().await;
    let file = scene.file("small", gzipped(&activity::log(&reads_of("shop-prod-secret-first", 2)))).await;
    scene.takes(&trail::queued([file.as_str()])).await;
    let before = scene.audit.latest().unwrap().peak_memory().unwrap();
    // As large compressed as it is inflated.
    let boring = json!({ "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "key": "x".repeat(2_000) });
    let mut records = vec![boring.to_string(); SIZE / 2_000];
    records.extend(reads_of("shop-prod-secret-last", 2));
    let count = records.len() as u64;
    let mut stored = GzEncoder::new(Vec::new(), Compression::none());
    stored.write_all(activity::log(&records).as_bytes()).unwrap();
    let file = scene.file("large", stored.finish().unwrap()).await;
    assert_eq!(scene.takes(&trail::queued([file.as_str()])).await, json!({ "batchItemFailures": [] }));
    let grown = scene.audit.latest().unwrap().peak_memory().unwrap() - before;
    assert!(grown < SIZE as u64 / 4, "{grown} bytes more for a file of {SIZE}");
    assert_eq!(scene.items("ledger#").await, 4);
    assert_eq!(scene.counts().await["RecordsIn"], count + 2);
}

#[tokio::test]
async fn a_file_that_takes_too_long_fails_and_the_next_attempt_comes_further() {
    const READS: usize = 2_500;
    let mut scene = Scene::with_bucket().await;
    // A call that is never answered is waited for until the invocation's end.
    scene.audit =
        cloud::audit(&scene.aws, &[("RELATCH_TIMEOUT_MS", "60000")]).unwrap().timeout(Duration::from_secs(10));
    let file = scene.file("long", gzipped(&activity::log(&reads_of("shop-prod-secret-first", READS)))).await;
    let short = scene.file("short", gzipped(&activity::log(&reads_of("shop-prod-secret-last", 1)))).await;
    let batch = trail::queued([file.as_str(), short.as_str()]);
    // The first thousand is 40 calls.
    scene.aws.fault_on("dynamodb:BatchWriteItem", 41, None, Fault::Silence);
    let failed = [json!({ "itemIdentifier": "message-0" }), json!({ "itemIdentifier": "message-1" })];
    assert_eq!(scene.takes(&batch).await["batchItemFailures"], json!(failed));
    scene.audit.stop().await;
    assert!(scene.audit.output().contains("there was no time to finish it"), "{:#?}", scene.audit.output().lines());
    assert_eq!(scene.items("ledger#").await, 1_000);
    scene.aws.clear_faults();
    let mark = scene.aws.mark();
    assert_eq!(scene.takes(&batch).await["batchItemFailures"], json!([]));
    let writes = scene.aws.calls_since(mark).iter().filter(|call| call.action == "BatchWriteItem").count();
    assert_eq!(writes, (READS - 1_000) / 25 + 1);
    assert_eq!(scene.items("ledger#").await, READS + 1);
}

impl Scene {
    async fn with_bucket() -> Self {
        let scene = Self::new().await;
        scene.aws.bucket(BUCKET, false).await.unwrap();
        scene
    }

    /// Lays a file down where CloudTrail does, and returns S3's notification of it.
    async fn file(&self, name: &str, content: Vec<u8>) -> String {
        let key = key(name);
        self.aws.put(BUCKET, &encoded(&key, "%20"), content).await.unwrap();
        created(BUCKET, &key)
    }
}

fn key(name: &str) -> String {
    format!("AWSLogs/123456789012/CloudTrail/eu-central-1/2026/01/31/{name}.json.gz")
}

fn encoded(key: &str, blank: &str) -> String {
    key.replace('+', "%2B").replace(' ', blank)
}

/// S3's notification of a new object.
fn created(bucket: &str, key: &str) -> String {
    json!({ "Records": [{ "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": { "bucket": { "name": bucket }, "object": { "key": encoded(key, "+"), "size": 1234 } } }] })
    .to_string()
}

/// The same by way of a topic, without raw delivery.
fn by_sns(notification: &str) -> String {
    json!({ "Type": "Notification", "MessageId": "s-1", "TopicArn": "arn:aws:sns:eu-central-1:123456789012:trail",
            "Message": notification, "Timestamp": "2026-01-31T12:34:56.789Z" })
    .to_string()
}

/// Records of the reads of one secret, a second apart.
fn reads_of(secret: &str, count: usize) -> Vec<String> {
    let begun = Timestamp::now() - SignedDuration::from_hours(2);
    let at = |n: usize| begun + SignedDuration::from_secs(n as i64);
    (0..count).map(|n| trail::read(secret, Some("report"), at(n))["detail"].to_string()).collect()
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(text.as_bytes()).unwrap();
    gz.finish().unwrap()
}

fn identifier(failure: &Value) -> &str {
    failure["itemIdentifier"].as_str().unwrap()
}
