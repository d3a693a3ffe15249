//! The place of action: the local cloud, one secret, and an application that depends on it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use postgres_protocol::password::scram_sha_256;
use relatch_integration::aws::store::{Begun, CURRENT, PENDING, PREVIOUS};
use relatch_integration::cloud::Cloud;
use relatch_integration::consumer::{Consumer, Report};
use relatch_integration::lambda::Function;
use relatch_integration::rotation::{Rotation, Step, StepRun};
use relatch_integration::wire::{Fault, Operation};
use serde_json::Value;
use uuid::Uuid;

use crate::log::{self, Told};

/// The name of the secret, the role and the database.
pub(crate) const NAME: &str = "shop";

/// From one connection of the application to the next, if the first is over by then.
const INTERVAL: Duration = Duration::from_millis(5);

/// How long the application may take to log in again once AWSCURRENT opens the database.
const RECOVERY: Duration = Duration::from_secs(15);

pub(crate) struct Stage {
    pub(crate) cloud: Cloud,
    pub(crate) secret: String,
    pub(crate) application: Consumer,
    /// Every password that was ever in a version of the secret.
    pub(crate) passwords: BTreeSet<String>,
    began: Instant,
}

/// One step of a rotation, and everything that was seen of it.
pub(crate) struct Scene {
    pub(crate) run: StepRun,
    /// When it was over, since the demo began.
    pub(crate) at: Duration,
    pub(crate) told: Told,
    /// Who was let in right after it.
    pub(crate) keys: Keys,
    /// Calls to Secrets Manager.
    pub(crate) calls: u64,
    /// Connections to the database, and how many of them the server refused to log in.
    pub(crate) connections: u64,
    pub(crate) refused: u64,
    /// What the function asked of the database.
    pub(crate) operations: Vec<Operation>,
}

/// Whether the labelled versions open the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) current: Key,
    pub(crate) pending: Key,
    pub(crate) previous: Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Opens,
    Rejected,
    /// No version has the label, or that version has no value yet.
    None,
}

/// A fault in the way to the database, for setSecret.
pub(crate) struct Strike {
    pub(crate) numbers: RangeInclusive<u64>,
    pub(crate) fault: Fault,
}

impl Stage {
    /// Raises the curtain on a cloud that runs: a role with a database, a secret, and the application.
    pub(crate) async fn set(cloud: Cloud, began: Instant) -> Result<Self> {
        let secret = cloud.database_secret(NAME).await?;
        // So that the search for passwords in PostgreSQL's log means something.
        cloud.postgres.sql(&format!("ALTER DATABASE {NAME} SET log_statement = 'all'")).await?;
        let application = cloud.application(&secret, NAME, INTERVAL)?;
        let mut stage = Self { cloud, secret, application, passwords: BTreeSet::new(), began };
        stage.note_passwords()?;
        stage.until_the_application_logs_in().await?;
        Ok(stage)
    }

    /// What Secrets Manager does first: it registers a token, or takes up the one that is not complete. Returns the
    /// token, and whether it was taken up.
    pub(crate) fn begin(&self) -> Result<(String, bool)> {
        Ok(match self.cloud.aws.store().begin_rotation(&self.secret, &Uuid::new_v4().to_string())? {
            Begun::New(token) => (token, false),
            Begun::Again(token) => (token, true),
        })
    }

    /// Has the function do one step, looks who is let in, and collects what was seen.
    pub(crate) async fn step(
        &mut self,
        function: &Function,
        token: &str,
        step: Step,
        strike: Option<Strike>,
    ) -> Result<Scene> {
        let wire = &self.cloud.wire;
        // The farewells of the last step are not to be counted as this one's.
        wire.idle().await;
        wire.count_from_here();
        if let Some(Strike { numbers, fault }) = strike {
            wire.inject(numbers, fault);
        }
        let already = function.output().lines().len();
        let run = Rotation::of(&self.cloud.aws, function, &self.secret).step(step, token).await?;
        let at = self.began.elapsed();
        wire.clear();
        let keys = self.keys().await?;
        let told = log::read(function, already, &run).await?;
        let tally = self.cloud.wire.tally();
        let operations = self.cloud.wire.operations();
        self.note_passwords()?;
        Ok(Scene {
            calls: run.calls.iter().filter(|call| call.service == "secretsmanager").count() as u64,
            connections: tally.connections,
            refused: tally.failed_logins.len() as u64,
            run,
            at,
            told,
            keys,
            operations,
        })
    }

    /// Whom the database lets in, by real logins past the wire.
    pub(crate) async fn keys(&self) -> Result<Keys> {
        let (current, pending, previous) = tokio::try_join!(self.key(CURRENT), self.key(PENDING), self.key(PREVIOUS))?;
        Ok(Keys { current, pending, previous })
    }

    /// The token that holds a label.
    pub(crate) fn holder(&self, label: &str) -> Result<Option<String>> {
        Ok(self.cloud.aws.store().labelled(&self.secret, label)?.map(|version| version.id))
    }

    /// Waits for the next connection of the application that succeeds.
    pub(crate) async fn until_the_application_logs_in(&self) -> Result<Report> {
        let before = self.application.so_far();
        let deadline = Instant::now() + RECOVERY;
        loop {
            let now = self.application.so_far();
            let closed = now.windows.last().is_none_or(|window| window.next_success.is_some());
            if closed && now.connections - now.failed > before.connections - before.failed {
                return Ok(now);
            }
            if Instant::now() > deadline {
                bail!("the application has not logged in for {} s: {:?}", RECOVERY.as_secs(), now.failures);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Does what somebody on call would do: gives the role the password of AWSCURRENT.
    pub(crate) async fn set_password_of_current(&self) -> Result<()> {
        let version = self.cloud.aws.store().labelled(&self.secret, CURRENT)?.context("no AWSCURRENT")?;
        let value: Value = serde_json::from_str(version.text().context("AWSCURRENT has no text")?)?;
        let password = value["password"].as_str().context("AWSCURRENT has no password")?;
        // As psql's \password does, so that it is in no log.
        let verifier = scram_sha_256(password.as_bytes());
        self.cloud.postgres.sql(&format!("ALTER ROLE {NAME} PASSWORD '{verifier}'")).await
    }

    async fn key(&self, label: &str) -> Result<Key> {
        let version = self.cloud.aws.store().labelled(&self.secret, label)?;
        let Some(version) = version.filter(|version| version.text().is_some()) else { return Ok(Key::None) };
        Ok(if self.cloud.opens(&version).await? { Key::Opens } else { Key::Rejected })
    }

    fn note_passwords(&mut self) -> Result<()> {
        for version in self.cloud.aws.store().versions(&self.secret)? {
            let Some(text) = version.text() else { continue };
            let value: Value = serde_json::from_str(text)?;
            let password = value["password"].as_str().context("a version without a password")?;
            self.passwords.insert(password.to_owned());
        }
        Ok(())
    }
}
