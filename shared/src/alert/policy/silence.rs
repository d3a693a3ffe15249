//! What people want to hear nothing of.

use crate::{
    alert::{Alert, Condition},
    config::Environment,
};
use jiff::Timestamp;

/// What somebody wants to hear nothing of for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its name.
    pub id: String,
    /// Of which condition; `None` for all.
    pub condition: Option<Condition>,
    /// Of which subject; `None` for all. What ends in `*` is the beginning of the subject.
    pub subject: Option<String>,
    /// Of which environment; `None` for all.
    pub environment: Option<Environment>,
    /// Who wants it so.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When it is over.
    pub until: Timestamp,
}

impl Silence {
    /// Whether it is about an alert, and not over.
    pub fn covers(&self, alert: &Alert, now: Timestamp) -> bool {
        let subject = |wanted: &String| match wanted.strip_suffix('*') {
            Some(beginning) => alert.subject.starts_with(beginning),
            None => alert.subject == *wanted,
        };
        now < self.until
            && self.condition.is_none_or(|condition| condition == alert.condition)
            && self.environment.is_none_or(|environment| environment == alert.environment)
            && self.subject.as_ref().is_none_or(subject)
    }
}
