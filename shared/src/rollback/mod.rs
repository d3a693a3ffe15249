//! What makes AWSCURRENT open the database again?
//!
//! A ladder: one rung at a time, and every rung proved by a login. Read in this order: [`facts`], what can be known ·
//! [`plan`], what to do next and why · `observe`, how a fact is learned · `carry_out`, how an action is done ·
//! [`Repair::run`], the loop that joins them · [`recovery`], what is said of it · [`impact`], what it means for consumers.
//!
//! [`survey`] only looks, for a person. [`undo`] has the first rungs, which the step of a rotation that made a change climbs itself.

mod carry_out;
pub mod facts;
pub mod impact;
mod observe;
pub mod plan;
mod reason;
pub mod recovery;
pub mod survey;
pub mod undo;

pub use facts::Rung;
pub use impact::Impact;
pub use plan::Intent;
pub use reason::Reason;
pub use recovery::Recovery;

use crate::{
    ports::{CallError, Custody, Database, Masters, Ports, Table},
    rotation::strategy::StrategyChoice,
    secret::AdminSecrets,
};
use observe::Visit;
use plan::Plan;
use recovery::Outcome;
use relatch_events::secret::{SecretId, VersionId};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info};

/// How often a repair begins again when labels have moved under it, or somebody else was at work.
const SETTLING: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];

/// More than any repair can need; reached only if a plan asks for what it has already been told.
const MOST_MOVES: usize = 128;

/// Repairs secrets.
#[derive(Debug, Clone)]
pub struct Repair<S, D, R, T> {
    /// The outside.
    pub ports: Ports<S, D, R, T>,
    /// How it is to be done.
    pub settings: Settings,
}

/// How repairs are to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How the strategy is chosen: it tells which user takes turns with which.
    pub strategy: StrategyChoice,
    /// The admin secrets that may be used.
    pub admins: AdminSecrets,
    /// The longest that one login, one statement, or the wait for the lock may take.
    pub patience: Duration,
    /// A rotation that began less than this ago, and of which no failure is known, may be under way.
    pub in_flight: Duration,
    /// AWSPENDING that has waited longer than this is stuck.
    pub stuck: Duration,
}

/// What is to be repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The secret: name or ARN.
    pub secret: SecretId,
    /// What is wanted.
    pub intent: Intent,
    /// Whether a rotation is known to have failed, and which, if that is known.
    pub failed: Option<Option<VersionId>>,
    /// Whether to say what would be done, and to do nothing.
    pub rehearse: bool,
}

/// Why a repair came to no end.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// A call to AWS failed.
    #[error("interrupted by a call that failed")]
    Interrupted(#[from] CallError),
    /// The time is over.
    #[error("the time is over; the next repair goes on from what is true then")]
    OutOfTime,
    /// The plan asked for something that cannot be.
    #[error("a fault in Relatch: {0}; please report it")]
    Fault(&'static str),
}

impl RepairError {
    /// The error's stable name, for metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            RepairError::Interrupted(_) => "interrupted",
            RepairError::OutOfTime => "out-of-time",
            RepairError::Fault(_) => "fault",
        }
    }
}

impl<S: Custody, D: Database, R: Masters, T: Table> Repair<S, D, R, T> {
    /// Repairs one secret, within the time given, and says what was found and done. That it could not be repaired is an
    /// outcome like any other.
    ///
    /// Whatever the outcome: if some version of the secret opened the database before, one does after, and no label was
    /// taken off it.
    pub async fn run(&self, order: &Order, deadline: Instant) -> Recovery {
        let begun = Instant::now();
        let mut again = SETTLING.iter();
        loop {
            let recovery = self.attempt(order, begun, deadline).await;
            let unsettled = matches!(
                recovery.outcome,
                Outcome::Waits(Reason::LabelsMoved | Reason::LockBusy | Reason::SessionLost)
            );
            match again.next() {
                Some(pause) if unsettled && Instant::now() + *pause < deadline => sleep(*pause).await,
                _ => return recovery,
            }
        }
    }

    async fn attempt(&self, order: &Order, begun: Instant, deadline: Instant) -> Recovery {
        let mut visit = Visit::new(&self.ports, &self.settings, order, deadline);
        let outcome = timeout_at(deadline, moves(&mut visit)).await.unwrap_or(Err(RepairError::OutOfTime));
        let outcome = outcome.unwrap_or_else(Outcome::Fails);
        let recovery = Recovery::of(&visit, outcome, begun.elapsed());
        visit.close().await;
        recovery
    }
}

async fn moves<S: Custody, D: Database, R: Masters, T: Table>(
    visit: &mut Visit<'_, S, D, R, T>,
) -> Result<Outcome, RepairError> {
    for _ in 0..MOST_MOVES {
        match plan::plan(visit.order.intent, &visit.facts) {
            Plan::Look(look) => {
                debug!(repair.look = ?look, secret.id = %visit.order.secret, "Looking");
                visit.look(look).await?;
            }
            Plan::Act(action) if visit.order.rehearse => return Ok(Outcome::Would(action)),
            Plan::Act(action) => {
                info!(repair.plan = ?action, secret.id = %visit.order.secret, "Acting");
                visit.carry_out(action).await?;
            }
            Plan::Done(reason) => return Ok(Outcome::Opens(reason)),
            Plan::Wait(reason) => return Ok(Outcome::Waits(reason)),
            Plan::Refuse(reason) => return Ok(Outcome::Refuses(reason)),
        }
    }
    Err(RepairError::Fault("a plan that does not end"))
}
