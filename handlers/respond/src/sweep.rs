//! The sweep: every secret that Relatch rotates is looked at, whether anybody said that something is wrong or not.

use super::{App, order, sweep_subject};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use rand::{RngExt, rand_core::UnwrapErr, rngs::SysRng};
use relatch::{
    alert::findings::{self, Cause},
    ports::{Alarms, CallError, Containments, Database, Description, Gate, Heartbeat, Masters, Register, Table, Topic},
    rollback::recovery::Outcome,
};
use relatch_events::secret::SecretId;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;
use tracing::{error, info, warn};

/// How many secrets are looked at at the same time.
const ABREAST: usize = 8;

/// The longest that one secret may take: it is not to keep the others waiting. Where RDS has to set a password, the next
/// sweep finds it set.
const LONGEST: Duration = Duration::from_secs(60);

/// A look at a sound secret takes less than this many times the patience; with less time left, no further one is begun.
const LEAST: u32 = 3;

/// What a sweep came to.
#[derive(Debug, Default)]
struct Tally {
    sound: usize,
    repaired: Vec<String>,
    waiting: Vec<String>,
    broken: Vec<String>,
    unlooked: Vec<String>,
    left: Vec<String>,
}

impl<S: Gate, D: Database, R: Masters, T: Table + Register + Containments, P: Topic, A: Alarms, H: Heartbeat>
    App<S, D, R, T, P, A, H>
{
    /// Looks after every secret, as many as the time allows, and says which it left.
    pub(super) async fn sweep(&self, deadline: Instant) -> Result<Value, CallError> {
        // First, since somebody may be reading; and with a third of the time, since the secrets need looking after as well.
        let now = Instant::now();
        let kept = self.keep_contained(now + deadline.saturating_duration_since(now) / 3).await;
        let (mut secrets, all) = self.ours().await?;
        // Where the time never suffices for all, it is not always the same ones that are left.
        if !secrets.is_empty() {
            let first = UnwrapErr(SysRng).random_range(0..secrets.len());
            secrets.rotate_left(first);
        }
        let looked_at = secrets.len();
        let least = self.repair.settings.patience * LEAST;
        let looks =
            stream::iter(secrets).map(|secret| self.look_after(secret, deadline, least)).buffer_unordered(ABREAST);
        let mut tally = looks.fold(Tally::default(), async |tally, seen| tally.with(seen)).await;
        let kept = kept.unwrap_or_else(|problem| {
            error!(error = %problem, "Whether what was contained still is could not be seen");
            tally.unlooked.push("what was contained".to_owned());
            Value::Null
        });
        let unseen = kept["couldNotLook"].as_array().into_iter().flatten();
        tally.unlooked.extend(unseen.filter_map(|secret| secret.as_str().map(str::to_owned)));
        self.tell_of_gone(&all).await?;
        self.tell_of_sweep(&tally).await?;
        self.metrics.heartbeat();
        if let Err(problem) = self.heartbeat.beat().await {
            warn!(error = %problem, "The dead-man's check could not be told that the sweep lives");
        }
        info!(
            sweep.secrets = looked_at,
            sweep.sound = tally.sound,
            sweep.repaired = tally.repaired.len(),
            sweep.waiting = tally.waiting.len(),
            sweep.broken = tally.broken.len(),
            sweep.unlooked = tally.unlooked.len(),
            sweep.left = tally.left.len(),
            "Looked after {looked_at} secrets"
        );
        Ok(json!({
            "secrets": looked_at,
            "sound": tally.sound,
            "repaired": tally.repaired,
            "waiting": tally.waiting,
            "broken": tally.broken,
            "couldNotLook": tally.unlooked,
            "left": tally.left,
            "containment": kept,
        }))
    }

    /// Every secret that names the rotation function as its own; and the full ARN of every secret that there is.
    async fn ours(&self) -> Result<(Vec<SecretId>, BTreeSet<String>), CallError> {
        let (mut secrets, mut all, mut after) = (Vec::new(), BTreeSet::new(), None);
        loop {
            let page = self.repair.ports.secrets.list(after.as_deref()).await?;
            all.extend(page.secrets.iter().map(|(secret, _)| secret.to_string()));
            secrets
                .extend(page.secrets.into_iter().filter(|(_, known)| self.is_swept(known)).map(|(secret, _)| secret));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok((secrets, all)),
            }
        }
    }

    fn is_swept(&self, known: &Description) -> bool {
        let kind = known.tags.get("relatch:kind").is_none_or(|kind| kind == "postgres");
        self.is_ours(known) && kind && known.owning_service.is_none()
    }

    async fn look_after(&self, secret: SecretId, deadline: Instant, least: Duration) -> Seen {
        let now = Instant::now();
        if now + least > deadline {
            return Seen { secret, how: How::Left };
        }
        let deadline = deadline.min(now + LONGEST);
        let how = match self.tend(&order(secret.clone()), &Cause::Sweep, deadline).await {
            Err(problem) => {
                warn!(secret.id = %secret, error = %problem, "People could not be told of a secret");
                How::Unlooked
            }
            Ok((recovery, _)) => match recovery.outcome {
                Outcome::Opens(_) if recovery.changed() => How::Repaired,
                Outcome::Opens(_) => How::Sound,
                Outcome::Waits(_) | Outcome::Would(_) => How::Waiting,
                Outcome::Refuses(_) => How::Broken,
                Outcome::Fails(_) => How::Unlooked,
            },
        };
        Seen { secret, how }
    }

    /// What is firing of a secret that is no longer there would be repeated for ever: nobody looks at it again.
    async fn tell_of_gone(&self, all: &BTreeSet<String>) -> Result<(), CallError> {
        let firing = self.alerts.all_firing(self.metrics.environment).await?;
        for alert in firing.into_iter().filter(|alert| alert.secret().is_some()) {
            if !all.contains(&alert.subject) {
                let gone = findings::gone(alert, self.alerts.language);
                self.alerts.resolve(&gone, Timestamp::now()).await?;
            }
        }
        Ok(())
    }

    /// That secrets were left, or could not be looked at, is told like anything else.
    async fn tell_of_sweep(&self, tally: &Tally) -> Result<(), CallError> {
        let (environment, language) = (self.metrics.environment, self.alerts.language);
        let subject = sweep_subject(environment);
        let alert = findings::of_sweep(subject, &tally.left, &tally.unlooked, environment, language);
        match alert.found.is_empty() {
            true => self.alerts.resolve(&alert, Timestamp::now()).await,
            false => self.alerts.raise(&alert, Timestamp::now()).await,
        }
        .map(drop)
    }
}

/// How a secret was seen.
struct Seen {
    secret: SecretId,
    how: How,
}

enum How {
    Sound,
    Repaired,
    Waiting,
    Broken,
    Unlooked,
    Left,
}

impl Tally {
    fn with(mut self, Seen { secret, how }: Seen) -> Self {
        let name = secret.to_string();
        match how {
            How::Sound => self.sound += 1,
            How::Repaired => self.repaired.push(name),
            How::Waiting => self.waiting.push(name),
            How::Broken => self.broken.push(name),
            How::Unlooked => self.unlooked.push(name),
            How::Left => self.left.push(name),
        }
        self
    }
}
