//! Which alerts are told in one message, and which keep others from being told.

use crate::{
    alert::{Alert, Condition},
    config::Environment,
};

/// What identifies a group: the messages of a group have its name as their key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where.
    pub environment: Environment,
    /// What.
    pub condition: Condition,
    /// Whose; `None` if it is a group of all subjects.
    pub subject: Option<String>,
}

impl Key {
    /// The group that an alert belongs to: all subjects that have the condition in the environment, or its own. An
    /// incident of the audit is a group by itself that may wait: its findings come one by one.
    pub fn of(alert: &Alert) -> Self {
        let is_one = stands_alone(alert.condition) || !alert.condition.lasts();
        let subject = is_one.then(|| alert.subject.clone());
        Self { environment: alert.environment, condition: alert.condition, subject }
    }

    /// The groups that alerts belong to, each once, in the order of their first.
    pub fn of_each<'a>(alerts: impl IntoIterator<Item = &'a Alert>) -> Vec<Self> {
        let mut keys = Vec::new();
        for key in alerts.into_iter().map(Self::of) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// Whether an alert belongs to it.
    pub fn holds(&self, alert: &Alert) -> bool {
        *self == Self::of(alert)
    }

    /// Its name, unique in its environment.
    pub fn name(&self) -> String {
        match &self.subject {
            Some(subject) => format!("{}/{subject}", self.condition.name()),
            None => self.condition.name().to_owned(),
        }
    }
}

/// Whether each subject's condition is told by itself, at once. These are an incident each, and somebody is to act on
/// each.
///
/// It depends on the condition and not on how severe it is at the moment, because the group is what the end is told
/// under: an alert that became critical would leave one incident open, and end another. A critical alert of a condition
/// that is grouped stays in its group, and keeps the group from waiting.
pub(super) const fn stands_alone(condition: Condition) -> bool {
    match condition {
        Condition::RotationFailed | Condition::RotationAbandoned | Condition::LockedOut | Condition::Stranded => true,
        Condition::RotationStopped
        | Condition::RotationOverdue
        | Condition::PendingStuck
        | Condition::CurrentRejected
        | Condition::DatabaseSilent
        | Condition::DeletionScheduled
        | Condition::SweepUnfinished
        | Condition::AlarmFiring
        | Condition::Audit
        | Condition::Contained
        | Condition::ContainmentFailed
        | Condition::LedgerBroken => false,
    }
}

/// Which condition of a subject keeps which others of it from being told: they are its causes, or follow from it. A
/// condition is never on both sides, or two could silence each other.
pub(super) const INHIBITIONS: [(Condition, &[Condition]); 2] =
    [(Condition::LockedOut, &OF_A_LOCK_OUT), (Condition::Stranded, &OF_A_LOCK_OUT)];

const OF_A_LOCK_OUT: [Condition; 7] = [
    Condition::RotationFailed,
    Condition::RotationAbandoned,
    Condition::RotationStopped,
    Condition::RotationOverdue,
    Condition::PendingStuck,
    Condition::CurrentRejected,
    Condition::DatabaseSilent,
];

/// Whether a condition keeps others of its subject from being told.
pub fn inhibits(condition: Condition) -> bool {
    INHIBITIONS.iter().any(|(source, _)| *source == condition)
}
