//! What a successful rotation of a single user costs, and for how long it shuts anybody out.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use relatch_integration::aws::store::Schedule;
use relatch_integration::cloud::{Cloud, FIRST_PASSWORD};
use relatch_integration::consumer::{Consumer, Report};
use relatch_integration::lambda::Function;
use relatch_integration::rotation::{RotationOutcome, rotate};
use relatch_integration::wire::Tally;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::figure::{Figure, Sample, progress};

/// AWS's published function, `SecretsManagerRDSPostgreSQLRotationSingleUser`; counted in its source, not measured.
const AWS: &str = "AWS's function, by its source";
const ROTATIONS: usize = 15;
/// From one login of the application to the next; it leaves the machine time for the rotation.
const INTERVAL: Duration = Duration::from_millis(5);
const AFTER_VERIFY: &[(&str, &str)] = &[("RELATCH_PROMOTE", "after-verify")];

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let cloud = Cloud::start().await?;
    let mut figures = costs(&cloud).await?;
    figures.push(duration(&cloud).await?);
    let warm = Windows::of(&cloud, "at_finish", cloud.rotate()?).await?;
    let cold = Windows::of(&cloud, "at_finish_cold", cloud.rotate()?.always_cold()).await?;
    let after_verify = Windows::of(&cloud, "after_verify", cloud.rotate_with(AFTER_VERIFY)?.always_cold()).await?;
    figures.extend([
        warm.median("rotation.window_at_finish_ms"),
        warm.worst("rotation.window_at_finish_worst_ms"),
        cold.median("rotation.window_at_finish_cold_ms"),
        cold.worst("rotation.window_at_finish_cold_worst_ms"),
        after_verify.median("rotation.window_after_verify_ms").at_most(50.0),
        after_verify.worst("rotation.window_after_verify_worst_ms"),
    ]);
    Ok(figures)
}

/// Counted where the calls and the connections arrive.
async fn costs(cloud: &Cloud) -> Result<Vec<Figure>> {
    let secret = secret(cloud, "counted", cloud.wire.port()).await?;
    let (outcome, tally) = counted(cloud, &secret, &cloud.rotate()?.always_cold()).await?;
    let (_, promoted_early) = counted(cloud, &secret, &cloud.rotate_with(AFTER_VERIFY)?.always_cold()).await?;
    let count = |name, value: usize| Figure::new(name, value as f64, "").how("every step in a cold process");
    Ok(vec![
        count("rotation.api_calls", outcome.calls().count()).at_most(12.0).beside(AWS, 14.0),
        count("rotation.connections", tally.connections as usize).at_most(4.0).beside(AWS, 3.0),
        count("rotation.failed_logins", tally.failed_logins.len()).at_most(0.0).beside(AWS, 1.0),
        count("rotation.connections_after_verify", promoted_early.connections as usize).at_most(2.0).beside(AWS, 3.0),
    ])
}

async fn counted(cloud: &Cloud, secret: &str, function: &Function) -> Result<(RotationOutcome, Tally)> {
    cloud.wire.count_from_here();
    let outcome = successful(cloud, function, secret).await?;
    cloud.wire.idle().await;
    Ok((outcome, cloud.wire.tally()))
}

/// A whole rotation, every step in a cold process, with nobody else at the database.
async fn duration(cloud: &Cloud) -> Result<Figure> {
    let secret = secret(cloud, "timed", cloud.postgres.port()).await?;
    let function = cloud.rotate()?.always_cold();
    let mut sample = Sample::default();
    for run in 1..=ROTATIONS {
        let outcome = successful(cloud, &function, &secret).await?;
        sample.add(outcome.steps().map(|step| milliseconds(step.took)).sum());
        progress("Rotating in cold processes", run, ROTATIONS);
    }
    Ok(Figure::median("rotation.cold_ms", &sample, "ms"))
}

/// For how long an application that opens one connection after the other could not log in.
struct Windows {
    lengths: Sample,
    /// The mean time from one connection to the next: how finely a window is measured.
    grain: Duration,
}

impl Windows {
    async fn of(cloud: &Cloud, name: &str, function: Function) -> Result<Self> {
        let secret = secret(cloud, name, cloud.postgres.port()).await?;
        let application = cloud.application(&secret, name, INTERVAL)?;
        let started = std::time::Instant::now();
        let mut lengths = Sample::default();
        for run in 1..=ROTATIONS {
            let before = settled(&application, 0).await?;
            successful(cloud, &function, &secret).await?;
            // The connection under way at the end of the rotation may still have read the old password.
            let after = settled(&application, application.so_far().connections + 2).await?;
            let windows = after.windows.iter().skip(before.windows.len()).filter_map(|window| window.length());
            lengths.add(milliseconds(windows.sum()));
            progress(&format!("Rotating under an application ({name})"), run, ROTATIONS);
        }
        let grain = started.elapsed();
        let report = application.stop().await;
        let other = report.failures.keys().find(|reason| *reason != "28P01");
        ensure!(other.is_none(), "the application failed for another reason than its password: {:?}", report.failures);
        let connections = u32::try_from(report.connections).context("more connections than can be")?;
        Ok(Self { lengths, grain: grain / connections.max(1) })
    }

    fn median(&self, name: &'static str) -> Figure {
        let figure = Figure::median(name, &self.lengths, "ms");
        figure.how(format!("median of {ROTATIONS}; a login every {:.1} ms", milliseconds(self.grain)))
    }

    fn worst(&self, name: &'static str) -> Figure {
        Figure::new(name, self.lengths.worst(), "ms").how(format!("worst of {ROTATIONS}"))
    }
}

/// A secret with a rotation schedule, whose port is that of the wire or of the server itself.
pub(crate) async fn secret(cloud: &Cloud, name: &str, port: u16) -> Result<String> {
    cloud.postgres.create_role(name, FIRST_PASSWORD).await?;
    cloud.postgres.create_database(name, name).await?;
    let secret = cloud.secret(name, json!({ "port": port }))?;
    let schedule = Schedule { enabled: true, ..Schedule::default() };
    cloud.aws.store().edit(&secret, |secret| secret.rotation = Some(schedule))?;
    Ok(secret)
}

async fn successful(cloud: &Cloud, function: &Function, secret: &str) -> Result<RotationOutcome> {
    let outcome = rotate(&cloud.aws, function, secret).await?;
    ensure!(outcome.succeeded(), "the rotation failed: {:?}", outcome.steps().last().map(|step| &step.outcome));
    Ok(outcome)
}

/// What the application went through, once it has made this many connections and no window is open.
async fn settled(application: &Consumer, connections: u64) -> Result<Report> {
    let settled = async {
        loop {
            let report = application.so_far();
            if report.connections >= connections.max(1) && report.windows.iter().all(|it| it.next_success.is_some()) {
                return report;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(30), settled).await.context("the application cannot log in")
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
