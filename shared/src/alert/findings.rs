//! What a repair or a look at a secret gives reason to say, and what has ended. Pure.

use super::{Alert, Condition, Status};
use crate::{
    config::Environment,
    ports::{Controls, Description},
    rollback::{
        Impact, Reason, Recovery,
        facts::{Age, PendingLabel},
        recovery::Outcome,
    },
    rotation::{self, RotationError, facts::Control},
    telemetry::chain,
};
use jiff::{SignedDuration, Timestamp};
use relatch_events::rotation::RotationEvent;

/// Why a secret was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A rotation of it failed.
    Failed,
    /// A rotation of it was abandoned.
    Abandoned,
    /// Nobody said that anything is wrong.
    Sweep,
}

/// How much later than its rules say a rotation may come before it is overdue: Secrets Manager has its window, and tries
/// again within it.
const GRACE: SignedDuration = SignedDuration::from_hours(24);

/// A secret whose value was read less than this before it was to be deleted is in use.
const IN_USE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is to be said of a secret now. Every condition of it that is not among these has ended.
pub fn alerts(recovery: &Recovery, cause: &Cause, environment: Environment, now: Timestamp) -> Vec<Alert> {
    let left = recovery.left();
    let alert = |condition: Condition, found: Vec<String>, to_do: Vec<String>| Alert {
        condition,
        status: Status::Firing,
        subject: recovery.arn.clone(),
        impact: left,
        environment,
        found,
        done: recovery.done_lines(),
        to_do,
    };
    let of_recovery = |condition| alert(condition, recovery.found_lines(), to_do(recovery, condition));
    let mut alerts: Vec<Alert> = conditions(recovery, cause).into_iter().map(of_recovery).collect();
    if let Some(why) = recovery.controls.as_ref().and_then(stopped) {
        let resume = format!("`relatch resume {}`, when the cause is mended.", recovery.arn);
        alerts.push(alert(Condition::RotationStopped, vec![why], vec![resume]));
    }
    if let Some(description) = &recovery.description {
        if let Some(late) = overdue(description, now) {
            let rotate =
                format!("`aws secretsmanager rotate-secret --secret-id {}`, and look at what it says.", recovery.arn);
            alerts.push(alert(Condition::RotationOverdue, vec![late], vec![rotate]));
        }
        if description.deleted && in_use(description, now) {
            let restore = format!("If it is needed: `aws secretsmanager restore-secret --secret-id {}`.", recovery.arn);
            let found =
                "It is scheduled for deletion, and was read within the last seven days (the sweep reads it too)."
                    .to_owned();
            alerts.push(alert(Condition::DeletionScheduled, vec![found], vec![restore]));
        }
    }
    alerts
}

/// What is said of a step of a rotation that failed; nothing where somebody else is at work, or wants it so.
pub fn of_step(event: &RotationEvent, error: &RotationError, environment: Environment) -> Option<Alert> {
    let (impact, condition) = match error {
        RotationError::Refused(rotation::Reason::Stopped) => (None, Condition::RotationStopped),
        _ if !error.is_of_the_rotation() => return None,
        RotationError::Refused(rotation::Reason::RolledBack) => (Some(Impact::Safe), Condition::RotationFailed),
        RotationError::NotYet(_)
        | RotationError::Refused(_)
        | RotationError::Interrupted(_)
        | RotationError::OutOfTime
        | RotationError::Fault(_) => (None, Condition::RotationFailed),
    };
    let (done, to_do) = match error {
        RotationError::Refused(rotation::Reason::RolledBack) => (
            vec!["The previous password was put back, and a login has proved it.".to_owned()],
            vec!["Nothing at once: applications are not affected. Mend the cause before the next rotation.".to_owned()],
        ),
        RotationError::NotYet(_) | RotationError::Interrupted(_) | RotationError::OutOfTime => {
            (Vec::new(), vec!["Nothing yet: Secrets Manager tries again, and the responder looks after it.".to_owned()])
        }
        RotationError::Refused(_) | RotationError::Fault(_) => (
            Vec::new(),
            vec![format!("`relatch doctor {}` shows what is wrong, and what repairs it.", event.secret_id)],
        ),
    };
    Some(Alert {
        condition,
        status: Status::Firing,
        subject: event.secret_id.to_string(),
        impact,
        environment,
        found: vec![format!("{} failed: {}.", event.step, chain(error))],
        done,
        to_do,
    })
}

/// The conditions that the state of the secret itself shows.
fn conditions(recovery: &Recovery, cause: &Cause) -> Vec<Condition> {
    let mut conditions = match cause {
        // It failed because it is paused, or it is to be left alone.
        _ if matches!(recovery.outcome, Outcome::Waits(Reason::Paused)) => Vec::new(),
        Cause::Failed => vec![Condition::RotationFailed],
        Cause::Abandoned => vec![Condition::RotationAbandoned],
        // The rotation that failed is still waiting to be tried again.
        Cause::Sweep if recovery.facts.failure.is_some() => vec![Condition::RotationFailed],
        Cause::Sweep => Vec::new(),
    };
    match recovery.left() {
        Some(Impact::LockedOut) => conditions.push(Condition::LockedOut),
        Some(Impact::Stranded) => conditions.push(Condition::Stranded),
        Some(Impact::Safe | Impact::Degraded) | None => {}
    }
    match &recovery.outcome {
        // Told, although it is over: it was not like this before.
        Outcome::Opens(reason) if *reason != Reason::Sound && *cause == Cause::Sweep => {
            conditions.push(Condition::CurrentRejected);
        }
        Outcome::Opens(_) | Outcome::Would(_) | Outcome::Fails(_) => {}
        Outcome::Waits(reason) | Outcome::Refuses(reason) => conditions.extend(of_reason(*reason)),
    }
    if recovery.facts.label == Some(PendingLabel::Waiting(Some(Age::Stuck))) {
        conditions.push(Condition::PendingStuck);
    }
    conditions
}

/// What a repair that came to nothing says of the secret. The most urgent conditions follow from the impact.
const fn of_reason(reason: Reason) -> Option<Condition> {
    match reason {
        Reason::DatabaseSilent(_) | Reason::ServerNotAvailable | Reason::ServerUnfit(_) | Reason::ServerMissing => {
            Some(Condition::DatabaseSilent)
        }
        Reason::Unproved(_)
        | Reason::NoCurrent
        | Reason::CurrentUnusable(_)
        | Reason::LoginRefused(_)
        | Reason::ReaderEndpoint
        | Reason::ProxyEndpoint
        | Reason::OtherServer
        | Reason::Role(_)
        | Reason::TooLittleTime => Some(Condition::CurrentRejected),
        // The impact says it: somebody is at work, somebody has asked for it, or it is not ours.
        Reason::Exhausted
        | Reason::Sound
        | Reason::Recovered
        | Reason::WentForward
        | Reason::WentBack
        | Reason::ServerStopped
        | Reason::LockBusy
        | Reason::LabelsMoved
        | Reason::RotationInFlight
        | Reason::Paused
        | Reason::ResetUnderWay
        | Reason::SessionLost
        | Reason::ScheduledForDeletion
        | Reason::ManagedByService
        | Reason::OtherKind
        | Reason::NoPrevious
        | Reason::PreviousUnusable(_)
        | Reason::PreviousElsewhere(_)
        | Reason::PendingInTheWay
        | Reason::NothingToGoBackThrough => None,
    }
}

fn to_do(recovery: &Recovery, condition: Condition) -> Vec<String> {
    let lines = recovery.to_do_lines();
    match (lines.is_empty(), condition) {
        (true, Condition::RotationFailed | Condition::RotationAbandoned) => {
            vec!["Nothing at once: applications are not affected. Mend the cause before the next rotation.".to_owned()]
        }
        (true, _) => vec!["Nothing: it is over.".to_owned()],
        (false, _) => lines,
    }
}

/// Why a secret's rotations are stopped, if they are.
pub(crate) fn stopped(controls: &Controls) -> Option<String> {
    match (Control::of(controls), &controls.stopped) {
        (Control::Stopped, Some(why)) => Some(format!("Its rotations are stopped: {why}.")),
        (Control::Stopped, None) => Some(format!("{} rotations in a row had to be rolled back.", controls.rolled_back)),
        (Control::Free | Control::Paused, _) => None,
    }
}

/// Whether a secret has waited too long for its rotation, by its rules.
pub(crate) fn overdue(description: &Description, now: Timestamp) -> Option<String> {
    if !description.rotation_enabled || description.deleted {
        return None;
    }
    let due = match (description.rotated.or(description.created), description.rotated_every) {
        (Some(last), Some(days)) => last.checked_add(SignedDuration::from_hours(days.checked_mul(24)?)).ok(),
        // A cron expression: only Secrets Manager knows its days.
        _ => description.next_rotation,
    }?;
    let late = now.duration_since(due);
    (late > GRACE).then(|| format!("Its rotation was due {} days ago.", late.as_hours() / 24))
}

fn in_use(description: &Description, now: Timestamp) -> bool {
    description.accessed.is_some_and(|accessed| now.duration_since(accessed) < IN_USE)
}
