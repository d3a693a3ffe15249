//! What events cost in the function `audit`: one as it happens, a queue's batch, and a large file.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use relatch_events::cloudtrail::log;
use relatch_integration::activity::Activity;
use relatch_integration::aws::{Call, Endpoint};
use relatch_integration::lambda::{Function, Outcome};
use relatch_integration::{cloud, trail};
use serde_json::{Value, json};

use crate::figure::{Figure, Sample, progress};

const EVENTS: usize = 50;
const BATCH: usize = 1_000;
const BATCHES: usize = 5;
/// Of the file, compressed: as large as the largest that CloudTrail may deliver.
const FILE: usize = 100_000_000;
const BUCKET: &str = "trail";

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let mut figures = events().await?;
    figures.extend(batches().await?);
    figures.push(files().await?);
    Ok(figures)
}

/// Reads of a secret as they happen, one after the other.
async fn events() -> Result<Vec<Figure>> {
    let (aws, audit) = start().await?;
    let (mut whole, mut waited, mut calls) = (Sample::new(), Sample::new(), Sample::new());
    // The first one starts the process.
    for run in 0..=EVENTS {
        let event = trail::read("shop-prod-secret-database", Some("web"), Timestamp::now());
        let taken = Taken::of(&aws, &audit, event).await?;
        ensure!(taken.answer["recorded"] == 1, "the event was not recorded: {}", taken.answer);
        if run > 0 {
            whole.add(taken.whole.as_secs_f64() * 1e3);
            waited.add(taken.waited.as_secs_f64() * 1e3);
            calls.add(taken.calls as f64);
        }
    }
    progress("Events by themselves", EVENTS, EVENTS);
    let how = format!("warm; {:.1} ms of it wait for the emulator", waited.median());
    Ok(vec![
        Figure::median("audit.event_ms", &whole, "ms").how(how),
        Figure::new("audit.event_calls", calls.worst(), "").how("the most of one event that nothing is to be said of"),
    ])
}

/// Whatever matters of an account's days, as a queue hands it over.
async fn batches() -> Result<Vec<Figure>> {
    let (aws, audit) = start().await?;
    let mut matters = Activity::new(2).filter(|record| matches!(log::read(record.as_bytes()), Ok(Some(_))));
    let (mut speed, mut waited, mut calls) = (Sample::new(), Sample::new(), Sample::new());
    for run in 0..=BATCHES {
        let records: Vec<String> = matters.by_ref().take(BATCH).map(|record| event(&record)).collect();
        let taken = Taken::of(&aws, &audit, trail::queued(records.iter().map(String::as_str))).await?;
        ensure!(taken.answer["batchItemFailures"] == json!([]), "the batch failed: {}", taken.answer);
        if run > 0 {
            speed.add(BATCH as f64 / taken.whole.as_secs_f64());
            waited.add(taken.waited.as_secs_f64() / taken.whole.as_secs_f64());
            calls.add(taken.calls as f64 / BATCH as f64);
        }
        progress("Batches of 1,000 events", run, BATCHES);
    }
    let how =
        format!("{}; {:.0} % of the time wait for the emulator", speed.spread_in_whole(), waited.median() * 100.0);
    Ok(vec![
        Figure::median("audit.batch_events_per_s", &speed, "/s").how(how),
        Figure::median("audit.batch_calls_per_event", &calls, ""),
    ])
}

/// How much memory the largest file takes.
async fn files() -> Result<Figure> {
    let (aws, audit) = start().await?;
    aws.bucket(BUCKET, false).await?;
    let (mut gz, mut inflated, mut records) = (GzEncoder::new(Vec::new(), Compression::default()), 0, 0);
    let mut activity = Activity::new(3);
    gz.write_all(b"{\"Records\":[")?;
    while gz.get_ref().len() < FILE {
        let Some(record) = activity.next() else { break };
        if records > 0 {
            gz.write_all(b",")?;
        }
        gz.write_all(record.as_bytes())?;
        inflated += record.len() + 1;
        records += 1;
    }
    gz.write_all(b"]}")?;
    let file = gz.finish()?;
    let (megabytes, key) =
        (file.len() as f64 / 1e6, "AWSLogs/123456789012/CloudTrail/eu-central-1/2026/01/01/a.json.gz");
    aws.put(BUCKET, key, file).await?;
    let created = json!({ "Records": [{ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                          "s3": { "bucket": { "name": BUCKET }, "object": { "key": key } } }] });
    let taken = Taken::of(&aws, &audit, created).await?;
    let counts = ["recorded", "ignored", "duplicate", "malformed"].map(|name| taken.answer[name].as_u64());
    let counted: u64 = counts.into_iter().flatten().sum();
    ensure!(counted == records, "of {records} records {counted} were counted: {}", taken.answer);
    progress("A file of 100 MB", 1, 1);
    let peak = audit.latest().map_or(Ok(0), |worker| worker.peak_memory())? as f64 / 1e6;
    let how = format!(
        "most resident, over a file of {megabytes:.0} MB, inflated {:.0} MB: {records} records, {} of them recorded, in \
         {:.0} s, of which {:.0} s wait for the emulator",
        inflated as f64 / 1e6,
        taken.answer["recorded"],
        taken.whole.as_secs_f64(),
        taken.waited.as_secs_f64(),
    );
    Ok(Figure::new("audit.handler_rss_mb", peak, "MB").at_most(128.0).how(how))
}

async fn start() -> Result<(Endpoint, Function)> {
    let aws = Endpoint::start().await?;
    aws.emulate().await?;
    // As long as Lambda lets any function work.
    let audit = cloud::audit(&aws, &[])?.timeout(Duration::from_secs(900));
    Ok((aws, audit))
}

/// What came of an invocation.
struct Taken {
    answer: Value,
    whole: Duration,
    /// While at least one call was under way.
    waited: Duration,
    calls: usize,
}

impl Taken {
    async fn of(aws: &Endpoint, audit: &Function, event: Value) -> Result<Self> {
        let (mark, begun) = (aws.mark(), Instant::now());
        let outcome = audit.invoke(event).await?;
        let whole = begun.elapsed();
        let calls = aws.calls_since(mark);
        let Outcome::Ok(answer) = outcome else {
            anyhow::bail!("`audit` failed: {outcome:?}");
        };
        Ok(Self { answer, whole, waited: waited(&calls), calls: calls.len() })
    }
}

/// How long at least one of these calls was under way. They are in the order of their arrival.
fn waited(calls: &[Call]) -> Duration {
    let (mut waited, mut until) = (0.0, f64::MIN);
    for call in calls {
        let begun = call.at.as_nanosecond() as f64 / 1e9;
        let ended = begun + call.took.unwrap_or_default().as_secs_f64();
        waited += (ended - begun.max(until)).max(0.0);
        until = until.max(ended);
    }
    Duration::from_secs_f64(waited)
}

/// A record in the event that EventBridge makes of it.
fn event(record: &str) -> String {
    format!(r#"{{"source":"aws.secretsmanager","detail-type":"AWS API Call via CloudTrail","detail":{record}}}"#)
}
