//! How fast the function asks for its first event, and how much memory it takes, beside the smallest function there is.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use relatch_integration::aws::Endpoint;
use relatch_integration::cloud::Cloud;
use relatch_integration::lambda::{Function, Output, Worker};
use relatch_integration::rotation::rotate;
use relatch_integration::trail;
use serde_json::json;

use crate::binary;
use crate::figure::{Figure, Sample, progress};
use crate::rotation::secret;

const RUNS: usize = 31;
/// Not counted: they bring the binaries into the page cache.
const WARM_UP: usize = 3;
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn measure(binaries: &Path) -> Result<Vec<Figure>> {
    let rotate_binary = binary(binaries, "rotate")?;
    let respond_binary = binary(binaries, "respond")?;
    let hello_binary = binary(binaries, "hello")?;
    let aws = Endpoint::start().await?;
    let [mut rotate, mut respond, mut hello] = [const { Sample::new() }; 3];
    for run in 0..WARM_UP + RUNS {
        // One after the other, so that the machine's noise hits all.
        for (binary, sample) in
            [(&rotate_binary, &mut rotate), (&respond_binary, &mut respond), (&hello_binary, &mut hello)]
        {
            let took = start(binary, &aws).await?;
            if run >= WARM_UP {
                sample.add(took);
            }
        }
        progress("Starting `rotate`, `respond` and `hello` in turn", run + 1, WARM_UP + RUNS);
    }
    let memory = memory_of_rotate().await?;
    let memory_of_respond = memory_of_respond().await?;
    let memory_of_peer = memory_of_hello(&hello_binary).await?;
    Ok(vec![
        Figure::median("start.rotate_ms", &rotate, "ms").beside("hello", hello.median()),
        Figure::median("start.respond_ms", &respond, "ms").beside("hello", hello.median()),
        Figure::median("start.hello_ms", &hello, "ms"),
        Figure::new("start.ratio", rotate.median() / hello.median(), "×").at_most(1.5).how("of the two medians"),
        Figure::new("start.respond_ratio", respond.median() / hello.median(), "×")
            .at_most(1.5)
            .how("of the two medians"),
        Figure::new("start.respond_rss_mb", memory_of_respond, "MB")
            .at_most(25.0)
            .beside("hello", memory_of_peer)
            .how("most resident, over a sweep"),
        Figure::new("start.rss_mb", memory, "MB")
            .at_most(25.0)
            .beside("hello", memory_of_peer)
            .how("most resident, over all four steps of a rotation"),
    ])
}

/// From exec to the first request for work, in milliseconds.
async fn start(binary: &Path, aws: &Endpoint) -> Result<f64> {
    let env = [("AWS_ENDPOINT_URL", aws.url()), ("RELATCH_ENVIRONMENT", "dev")];
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

async fn memory_of_hello(binary: &Path) -> Result<f64> {
    let function = Function::new(binary, []);
    ensure!(function.invoke(json!({})).await?.is_ok(), "`hello` failed");
    peak(&function)
}

/// In millions of bytes.
fn peak(function: &Function) -> Result<f64> {
    Ok(function.latest().context("nothing was invoked")?.peak_memory()? as f64 / 1e6)
}
