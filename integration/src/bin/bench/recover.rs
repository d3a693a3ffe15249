//! How long it takes from the word that a rotation has failed until AWSCURRENT opens the database again.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use relatch_integration::aws::store::PENDING;
use relatch_integration::cloud::{Cloud, Standing};
use relatch_integration::lambda::Outcome;
use relatch_integration::rotation::{Rotation, Step};
use relatch_integration::trail;
use uuid::Uuid;

use crate::figure::{Figure, Sample, progress};

const RUNS: usize = 100;

/// Rotations that die after the change; of every other one somebody has taken AWSPENDING off.
pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let cloud = Cloud::start().await?;
    let (rotate, respond) = (cloud.rotate()?, cloud.respond_with(&[])?.always_cold());
    let mut sample = Sample::default();
    let mut secret = String::new();
    for run in 1..=RUNS {
        // A secret keeps no more than a hundred versions.
        if run % 25 == 1 {
            secret = crate::rotation::secret(&cloud, &format!("app{run}"), cloud.postgres.port()).await?;
        }
        let token = Uuid::new_v4().to_string();
        cloud.aws.store().begin_rotation(&secret, &token)?;
        for step in [Step::CreateSecret, Step::SetSecret] {
            let step = Rotation::of(&cloud.aws, &rotate, &secret).step(step, &token).await?;
            ensure!(step.outcome.is_ok(), "{:?}", step.outcome);
        }
        let stranded = run % 2 == 0;
        if stranded {
            take_pending_off(&cloud, &secret)?;
        }
        let expected = if stranded { Standing::Stranded } else { Standing::CurrentShut };
        ensure!(cloud.standing(&secret).await? == expected, "the rotation did not die as it was to");
        let heard = Instant::now();
        let outcome = respond.invoke(trail::rotation_failed(&secret, &token)).await?;
        let took = heard.elapsed();
        ensure!(matches!(outcome, Outcome::Ok(_)), "respond failed: {outcome:?}");
        ensure!(cloud.standing(&secret).await? == Standing::Fine, "respond did not heal it: {outcome:?}");
        sample.add(took.as_secs_f64() * 1e3);
        if !stranded {
            take_pending_off(&cloud, &secret)?;
        }
        progress("Healing rotations that died, in cold processes", run, RUNS);
    }
    let how = format!("of {RUNS}, median {:.0} ms; every other one stranded; cold processes", sample.median());
    Ok(vec![Figure::new("recover.p99_ms", sample.percentile(99), "ms").at_most(1000.0).how(how)])
}

fn take_pending_off(cloud: &Cloud, secret: &str) -> Result<()> {
    let pending = cloud.aws.store().labelled(secret, PENDING)?.context("nothing is pending")?;
    cloud.aws.store().edit(secret, |secret| {
        secret.versions.iter_mut().filter(|version| version.id == pending.id).for_each(|version| {
            version.labels.remove(PENDING);
        });
    })
}
