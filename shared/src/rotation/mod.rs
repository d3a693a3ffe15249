//! The four steps of a rotation.
//!
//! Read in this order: [`facts`], what can be known · [`plan`], what to do next and why · `observe`, how a fact is
//! learned · `carry_out`, how an action is done · [`Rotation::step`], the loop that joins them.
//!
//! Every step starts from what is true now, never from what an earlier step believed: AWSPENDING is the only thing that
//! is remembered between steps, and it is written before the database is touched. That is why a step may be repeated,
//! or run twice at the same time, or die anywhere.

mod carry_out;
pub mod facts;
mod observe;
pub mod plan;
mod reason;
pub(crate) mod role;
pub mod strategy;

pub use reason::Reason;

use crate::{
    ports::{CallError, Database, Failure, Ports, Secrets, Servers, Table},
    secret::{AdminSecrets, PasswordPolicy},
    telemetry::Metrics,
};
use jiff::Timestamp;
use observe::Visit;
pub(crate) use observe::held;
use plan::{Plan, Promote};
use relatch_events::rotation::RotationEvent;
use std::time::Duration;
use strategy::StrategyChoice;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

/// How often a step looks again when Secrets Manager's labels do not fit together, which they may not for a moment
/// after every change.
const SETTLING: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];

/// What leaving word may take where the step has used all of its time.
const LAST_WORDS: Duration = Duration::from_millis(150);

/// How often a login is tried when nothing is learned from it. What follows is a rollback, a failed rotation with
/// AWSCURRENT shut until it is tried again, or a repair, so a single lost packet should not be the reason.
pub const KNOCKS: u32 = 3;
pub(crate) const BETWEEN_KNOCKS: Duration = Duration::from_millis(200);

/// More than any step can need; reached only if a plan asks for what it has already been told.
const MOST_MOVES: usize = 64;

/// Rotates secrets.
#[derive(Debug, Clone)]
pub struct Rotation<S, D, R, T> {
    /// The outside.
    pub ports: Ports<S, D, R, T>,
    /// How it is to be done.
    pub settings: Settings,
    /// Where it is counted.
    pub metrics: Metrics,
}

/// How rotations are to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When AWSCURRENT moves.
    pub promote: Promote,
    /// How the strategy is chosen.
    pub strategy: StrategyChoice,
    /// The admin secrets that may be used.
    pub admins: AdminSecrets,
    /// Which passwords are made.
    pub passwords: PasswordPolicy,
    /// The longest that one login, one statement, or the wait for the lock may take.
    pub patience: Duration,
}

/// Why a step did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Trying again may help.
    #[error("not yet: {0}")]
    NotYet(Reason),
    /// Trying again will not help; a person has to look.
    #[error("refused: {0}")]
    Refused(Reason),
    /// A call to AWS failed while the step was under way.
    #[error("interrupted by a call that failed")]
    Interrupted(#[from] CallError),
    /// The invocation's time is over.
    #[error("the invocation's time is over; the next attempt goes on from what is true then")]
    OutOfTime,
    /// The plan asked for something that cannot be.
    #[error("a fault in Relatch: {0}; please report it")]
    Fault(&'static str),
}

impl RotationError {
    /// The error's stable name, for Lambda's `errorType`.
    pub const fn error_type(&self) -> &'static str {
        match self {
            RotationError::NotYet(_) => "Rotation.NotYet",
            RotationError::Refused(_) => "Rotation.Refused",
            RotationError::Interrupted(_) => "Rotation.Interrupted",
            RotationError::OutOfTime => "Rotation.OutOfTime",
            RotationError::Fault(_) => "Rotation.Fault",
        }
    }

    /// Whether it tells of the rotation: not where somebody else is at work, or wants it so. Such an end must not stand in
    /// the place of the one before it.
    pub const fn is_of_the_rotation(&self) -> bool {
        use Reason::{LabelsUnsettled, LockBusy, Overtaken, Paused, RotationOff, Stopped, Superseded};
        !matches!(
            self,
            RotationError::NotYet(LockBusy | Overtaken | LabelsUnsettled)
                | RotationError::Refused(Superseded | Paused | Stopped | RotationOff)
        )
    }

    /// The failure as it is remembered.
    fn failure(&self, event: &RotationEvent) -> Failure {
        let reason = match self {
            RotationError::NotYet(reason) | RotationError::Refused(reason) => Some(*reason),
            RotationError::Interrupted(_) | RotationError::OutOfTime | RotationError::Fault(_) => None,
        };
        Failure {
            arn: event.secret_id.to_string(),
            token: event.client_request_token.clone(),
            step: event.step,
            reason: self.reason().to_owned(),
            error_type: self.error_type().to_owned(),
            sqlstate: reason.and_then(Reason::sqlstate).map(|state| state.to_string()),
            rolled_back: reason == Some(Reason::RolledBack),
            at: Timestamp::now(),
        }
    }

    /// The reason's stable name, for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            RotationError::NotYet(reason) | RotationError::Refused(reason) => reason.name(),
            RotationError::Interrupted(_) => "interrupted",
            RotationError::OutOfTime => "out-of-time",
            RotationError::Fault(_) => "fault",
        }
    }
}

impl<S: Secrets, D: Database, R: Servers, T: Table> Rotation<S, D, R, T> {
    /// Does one step of one rotation, within the time given.
    ///
    /// # Errors
    /// See [`RotationError`]. Whatever the error: if some labelled version of the secret opened the database before, one
    /// does after.
    pub async fn step(&self, event: &RotationEvent, deadline: Instant) -> Result<Reason, RotationError> {
        let outcome = self.settle(event, deadline).await;
        self.metrics.rotation_step(event, &outcome);
        let until = deadline.max(Instant::now() + LAST_WORDS);
        if timeout_at(until, self.remember(event, &outcome)).await.is_err() {
            warn!("There was no time to remember how the step ended");
        }
        outcome
    }

    /// Leaves word of how it ended, for whoever repairs it. That it cannot be left changes nothing: a repair looks for
    /// itself.
    async fn remember(&self, event: &RotationEvent, outcome: &Result<Reason, RotationError>) {
        let table = &self.ports.table;
        let remembered = match outcome {
            Ok(Reason::Promoted) => table.record_success(event.secret_id.as_str()).await,
            Ok(_) => Ok(()),
            Err(error) if error.is_of_the_rotation() => table.record_failure(&error.failure(event)).await,
            Err(_) => Ok(()),
        };
        if let Err(problem) = remembered {
            warn!(aws.operation = problem.operation, error = problem.message, "How the step ended is not remembered");
        }
    }

    async fn settle(&self, event: &RotationEvent, deadline: Instant) -> Result<Reason, RotationError> {
        for pause in SETTLING {
            match self.attempt(event, deadline).await {
                Err(RotationError::NotYet(Reason::LabelsUnsettled)) if Instant::now() + pause < deadline => {
                    sleep(pause).await;
                }
                outcome => return outcome,
            }
        }
        self.attempt(event, deadline).await
    }

    async fn attempt(&self, event: &RotationEvent, deadline: Instant) -> Result<Reason, RotationError> {
        let mut visit = Visit::new(&self.ports, &self.settings, event, deadline);
        let outcome = timeout_at(deadline, self.moves(&mut visit)).await.unwrap_or(Err(RotationError::OutOfTime));
        visit.close().await;
        outcome
    }

    async fn moves(&self, visit: &mut Visit<'_, S, D, R, T>) -> Result<Reason, RotationError> {
        for _ in 0..MOST_MOVES {
            let step = visit.event.step;
            match plan::plan(step, self.settings.promote, &visit.facts) {
                Plan::Look(look) => {
                    debug!(rotation.step = %step, rotation.look = ?look, "Looking");
                    visit.look(look).await?;
                }
                Plan::Act(action) => {
                    info!(rotation.step = %step, rotation.plan = ?action, secret.id = %visit.event.secret_id,
                        secret.version = %visit.event.client_request_token, "Acting");
                    visit.carry_out(action).await?;
                }
                Plan::Done(reason) => return Ok(reason),
                Plan::Wait(reason) => return Err(RotationError::NotYet(reason)),
                Plan::Refuse(reason) => return Err(RotationError::Refused(reason)),
            }
        }
        Err(RotationError::Fault("a plan that does not end"))
    }
}
