//! How fast the function asks for its first event, and how much memory it takes, beside the smallest function there is.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use relatch::alert::{Condition, Status, example};
use relatch::language::Language;
use relatch_integration::aws::{Endpoint, emulator::TABLE};
use relatch_integration::cloud::{Cloud, audit, notify};
use relatch_integration::lambda::{Function, Output, Worker};
use relatch_integration::receiver::Receiver;
use relatch_integration::rotation::rotate;
use relatch_integration::trail;
use serde_json::json;

use crate::figure::{Figure, Sample, progress};
use crate::rotation::secret;
use crate::{HANDLERS, binary};

/// The names of the figures that compare each of [`HANDLERS`] with `hello`.
const RATIOS: [&str; 4] = ["start.ratio", "start.respond_ratio", "start.notify_ratio", "start.audit_ratio"];

/// The name of the secret with the channels' keys.
const CHANNELS: &str = "channels";

const RUNS: usize = 31;
/// Not counted: they bring the binaries into the page cache.
const WARM_UP: usize = 3;
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn measure(binaries: &Path) -> Result<Vec<Figure>> {
    let mut all = Vec::new();
    for name in HANDLERS.into_iter().chain(["hello"]) {
        all.push((binary(binaries, name)?, Sample::new()));
    }
    let aws = Endpoint::start().await?;
    for run in 0..WARM_UP + RUNS {
        // One after the other, so that the machine's noise hits all.
        for (binary, sample) in &mut all {
            let took = start(binary, &aws).await?;
            if run >= WARM_UP {
                sample.add(took);
            }
        }
        progress("Starting the handlers and `hello` in turn", run + 1, WARM_UP + RUNS);
    }
    let (hello_binary, hello) = all.pop().context("nothing was started")?;
    let memory_of_hello = memory_of_hello(&hello_binary).await?;
    let memories = [
        ("start.rss_mb", memory_of_rotate().await?, "over all four steps of a rotation"),
        ("start.respond_rss_mb", memory_of_respond().await?, "over a sweep"),
        ("start.notify_rss_mb", memory_of_notify().await?, "over the delivery of an alert to Slack and PagerDuty"),
        ("start.audit_rss_mb", memory_of_audit().await?, "over one event"),
    ];
    let mut figures = vec![Figure::median("start.hello_ms", &hello, "ms")];
    for ((name, ratio), (_, sample)) in HANDLERS.into_iter().zip(RATIOS).zip(&all) {
        let of_start = format!("start.{name}_ms");
        figures.push(Figure::median(of_start, sample, "ms").beside("hello", hello.median()));
        let of_both = sample.median() / hello.median();
        figures.push(Figure::new(ratio, of_both, "×").at_most(1.5).how("of the two medians"));
    }
    for (name, memory, over) in memories {
        let figure = Figure::new(name, memory, "MB").at_most(25.0).beside("hello", memory_of_hello);
        figures.push(figure.how(format!("most resident, {over}")));
    }
    Ok(figures)
}

/// From exec to the first request for work, in milliseconds.
async fn start(binary: &Path, aws: &Endpoint) -> Result<f64> {
    let env = [
        ("AWS_ENDPOINT_URL", aws.url()),
        ("RELATCH_ENVIRONMENT", "dev"),
        ("RELATCH_CHANNELS_SECRET", CHANNELS),
        ("RELATCH_TABLE", TABLE),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let worker = Worker::start(binary, env, Output::default()).await?;
    let took = worker.ready(PATIENCE).await?;
    worker.kill().await;
    Ok(took.as_secs_f64() * 1e3)
}

async fn memory_of_rotate() -> Result<f64> {
    let cloud = Cloud::start().await?;
    let secret = secret(&cloud, "app", cloud.postgres.port()).await?;
    let function = cloud.rotate()?;
    ensure!(rotate(&cloud.aws, &function, &secret).await?.succeeded(), "the rotation failed");
    ensure!(function.cold_starts() == 1, "the steps were not all done by one process");
    peak(&function)
}

async fn memory_of_respond() -> Result<f64> {
    let cloud = Cloud::start().await?;
    secret(&cloud, "app", cloud.postgres.port()).await?;
    let function = cloud.respond_with(&[])?;
    ensure!(function.invoke(trail::scheduled()).await?.is_ok(), "the sweep failed");
    peak(&function)
}

async fn memory_of_notify() -> Result<f64> {
    let (aws, receiver) = (Endpoint::start().await?, Receiver::start().await?);
    aws.store().create(CHANNELS, &receiver.secret_with_bot().to_string())?;
    let settings = receiver.settings();
    let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
    let settings: Vec<(&str, &str)> = settings.chain([("RELATCH_CHANNELS_SECRET", CHANNELS)]).collect();
    let function = notify(&aws, &settings)?;
    let alert = example::alert(Condition::LockedOut, Status::Firing, Language::English).json().to_string();
    let message = json!({ "MessageId": "m", "Timestamp": Timestamp::now().to_string(), "Message": alert });
    let event = json!({ "Records": [{ "EventSource": "aws:sns", "Sns": message }] });
    ensure!(function.invoke(event).await?.is_ok(), "`notify` failed");
    ensure!(receiver.messages().len() == 1 && receiver.incidents().len() == 1, "`notify` told nobody");
    peak(&function)
}

async fn memory_of_audit() -> Result<f64> {
    let aws = Endpoint::start().await?;
    aws.emulate().await?;
    let function = audit(&aws, &[])?;
    let event = trail::read("shop-prod-secret-database", Some("web"), Timestamp::now());
    ensure!(function.invoke(event).await?.is_ok(), "`audit` failed");
    peak(&function)
}

async fn memory_of_hello(binary: &Path) -> Result<f64> {
    let function = Function::new(binary, []);
    ensure!(function.invoke(json!({})).await?.is_ok(), "`hello` failed");
    peak(&function)
}

/// In millions of bytes.
fn peak(function: &Function) -> Result<f64> {
    Ok(function.latest().context("nothing was invoked")?.peak_memory()? as f64 / 1e6)
}
