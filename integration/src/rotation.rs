//! What Secrets Manager does when a secret is rotated: the four steps, one after another, until one fails.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Context;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::aws::store::{Begun, CURRENT, PENDING};
use crate::aws::{Call, Endpoint};
use crate::lambda::{Function, Outcome};

/// A step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Stage a new value.
    CreateSecret,
    /// Change the credential in its service.
    SetSecret,
    /// Prove the new credential.
    TestSecret,
    /// Promote it.
    FinishSecret,
}

impl Step {
    /// The steps in their order.
    pub const ALL: [Self; 4] = [Self::CreateSecret, Self::SetSecret, Self::TestSecret, Self::FinishSecret];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CreateSecret => "createSecret",
            Self::SetSecret => "setSecret",
            Self::TestSecret => "testSecret",
            Self::FinishSecret => "finishSecret",
        })
    }
}

/// Rotates a secret once.
///
/// # Errors
/// As [`Rotation::run`].
pub async fn rotate(endpoint: &Endpoint, function: &Function, secret: &str) -> anyhow::Result<RotationOutcome> {
    Rotation::of(endpoint, function, secret).run().await
}

/// A rotation that is to be run.
#[derive(Clone)]
pub struct Rotation<'a> {
    endpoint: &'a Endpoint,
    function: &'a Function,
    secret: &'a str,
    retries: u32,
    rotation_token: Option<String>,
}

/// What came of a rotation.
#[derive(Clone, Debug)]
pub struct RotationOutcome {
    /// The ClientRequestToken, which names the version that was rotated in.
    pub token: String,
    /// Whether an earlier rotation was not complete and was tried again, in place of a new one.
    pub reattempted: bool,
    /// The attempts in their order.
    pub attempts: Vec<Attempt>,
}

/// One run through the steps, up to the first that failed.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The steps that were invoked, in their order.
    pub steps: Vec<StepRun>,
}

/// One invocation of a step.
#[derive(Clone, Debug)]
pub struct StepRun {
    /// The step.
    pub step: Step,
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took, the start of a cold worker included.
    pub took: Duration,
    /// The calls to AWS that arrived meanwhile.
    pub calls: Vec<Call>,
}

impl RotationOutcome {
    /// Whether the last attempt went through every step.
    pub fn succeeded(&self) -> bool {
        self.attempts.last().is_some_and(Attempt::succeeded)
    }

    /// Every invocation of every attempt, in order.
    pub fn steps(&self) -> impl Iterator<Item = &StepRun> {
        self.attempts.iter().flat_map(|attempt| &attempt.steps)
    }

    /// Every call to AWS, in order.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.steps().flat_map(|step| &step.calls)
    }
}

impl Attempt {
    /// Whether no step failed.
    pub fn succeeded(&self) -> bool {
        self.steps.iter().all(|step| step.outcome.is_ok())
    }
}

impl<'a> Rotation<'a> {
    /// A rotation of a secret, by name or ARN, without retries.
    pub fn of(endpoint: &'a Endpoint, function: &'a Function, secret: &'a str) -> Self {
        Self { endpoint, function, secret, retries: 0, rotation_token: None }
    }

    /// How often a failed attempt is repeated, all steps from the first and with the same token, as Secrets
    /// Manager does within the rotation window.
    #[must_use]
    pub fn retries(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// Adds a `RotationToken` to the events.
    #[must_use]
    pub fn rotation_token(self, token: impl Into<String>) -> Self {
        Self { rotation_token: Some(token.into()), ..self }
    }

    /// Registers a new token and rotates. While AWSPENDING is on a version that is not current, that rotation is
    /// tried again in place of a new one.
    ///
    /// # Errors
    /// When there is no such secret, it is to be deleted, or no worker can be started. That a step fails is part
    /// of the outcome.
    pub async fn run(self) -> anyhow::Result<RotationOutcome> {
        let (token, reattempted) =
            match self.endpoint.store().begin_rotation(self.secret, &Uuid::new_v4().to_string())? {
                Begun::New(token) => (token, false),
                Begun::Again(token) => (token, true),
            };
        self.resume(token, reattempted).await
    }

    /// Goes through the steps for a token that is registered already, as by the API's RotateSecret.
    ///
    /// # Errors
    /// As [`Rotation::run`].
    pub async fn run_with(self, token: &str) -> anyhow::Result<RotationOutcome> {
        self.resume(token.to_owned(), false).await
    }

    /// What `RotateImmediately=false` does: only testSecret, with a pending version equal to the current one, which
    /// loses its label afterwards.
    ///
    /// # Errors
    /// As [`Rotation::run`]; also when a rotation is under way or the secret has no current text.
    pub async fn test_only(self) -> anyhow::Result<RotationOutcome> {
        let store = self.endpoint.store();
        let token = Uuid::new_v4().to_string();
        let current = store.labelled(self.secret, CURRENT)?.context("the secret has no current version")?;
        let value = current.text().context("the secret has no text")?;
        match store.begin_rotation(self.secret, &token)? {
            Begun::New(_) => store.put(self.secret, &token, value, &[PENDING])?,
            Begun::Again(_) => anyhow::bail!("a previous rotation isn't complete"),
        }
        let run = self.step(Step::TestSecret, &token).await;
        store.edit(self.secret, |secret| secret.versions.retain(|version| version.id != token))?;
        Ok(RotationOutcome { token, reattempted: false, attempts: vec![Attempt { steps: vec![run?] }] })
    }

    /// Invokes a single step for a token.
    ///
    /// # Errors
    /// When there is no such secret or no worker can be started.
    pub async fn step(&self, step: Step, token: &str) -> anyhow::Result<StepRun> {
        let arn = self.endpoint.store().secret(self.secret)?.arn;
        let mut event = json!({ "Step": step.to_string(), "SecretId": arn, "ClientRequestToken": token });
        if let Some(rotation_token) = &self.rotation_token {
            event["RotationToken"] = json!(rotation_token);
        }
        let (mark, start) = (self.endpoint.mark(), Instant::now());
        let outcome = self.function.invoke(event).await?;
        Ok(StepRun { step, outcome, took: start.elapsed(), calls: self.endpoint.calls_since(mark) })
    }

    async fn resume(self, token: String, reattempted: bool) -> anyhow::Result<RotationOutcome> {
        let mut outcome = RotationOutcome { token, reattempted, attempts: Vec::new() };
        while !outcome.succeeded() && outcome.attempts.len() <= self.retries as usize {
            let mut steps = Vec::new();
            for step in Step::ALL {
                steps.push(self.step(step, &outcome.token).await?);
                if steps.last().is_some_and(|run| !run.outcome.is_ok()) {
                    break;
                }
            }
            outcome.attempts.push(Attempt { steps });
        }
        if outcome.succeeded() {
            self.endpoint.store().edit(self.secret, |secret| secret.rotated = Some(Timestamp::now()))?;
        }
        Ok(outcome)
    }
}
