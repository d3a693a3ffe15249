//! How one condition of one subject is, and what people know of it.

use super::{Settings, after, key::stands_alone};
use crate::alert::{Alert, Severity, Status};
use jiff::{SignedDuration, Timestamp};

/// What is known of one condition of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// How it is, and what was found when it became so.
    pub alert: Alert,
    /// Since when people have not known how it is; where they do, when it became so.
    pub since: Timestamp,
    /// When it was last seen to be other than before: an older look does not overrule it.
    pub seen: Timestamp,
    /// How severe people know it to be; `None` if for all they know it is not firing.
    pub told: Option<Severity>,
    /// How often it has been written; 0 if never.
    pub revision: u64,
}

impl Entry {
    /// What is to be known after an alert, as it was seen at a time; `None` if that is nothing new.
    pub fn noted(known: Option<&Self>, alert: &Alert, seen: Timestamp) -> Option<Self> {
        let Some(known) = known else {
            let firing = alert.status == Status::Firing;
            return firing.then(|| Self { alert: alert.clone(), since: seen, seen, told: None, revision: 0 });
        };
        let same = known.alert.status == alert.status && known.alert.severity() == alert.severity();
        if same || seen < known.seen {
            return None;
        }
        // Whatever changes to and fro is told in the end.
        let since = if known.is_news() { known.since } else { seen };
        Some(Self { alert: alert.clone(), since, seen, ..known.clone() })
    }

    /// What is to be known of an incident after something was found of it; `None` if that was found before. If nothing
    /// more was for as long as the gap, what is found is another incident.
    pub fn joined(known: Option<&Self>, alert: &Alert, seen: Timestamp, gap: SignedDuration) -> Option<Self> {
        let Some(known) = known else { return Self::noted(None, alert, seen) };
        let is_same = known.is_firing() && seen < after(known.seen, gap);
        let joined = if is_same { known.alert.joined(alert) } else { alert.clone() };
        if is_same && joined == known.alert {
            return None;
        }
        let since = if is_same && known.is_news() { known.since } else { seen };
        // People do not know how it is now, whatever they know.
        Some(Self { alert: joined, since, seen: known.seen.max(seen), told: None, ..known.clone() })
    }

    /// Whether it goes on.
    pub fn is_firing(&self) -> bool {
        self.alert.status == Status::Firing
    }

    /// How severe people would be told that it is, if they were told now.
    pub fn to_tell(&self) -> Option<Severity> {
        self.is_firing().then(|| self.alert.severity())
    }

    /// Whether it is otherwise than people know.
    pub fn is_news(&self) -> bool {
        self.told != self.to_tell()
    }

    /// Whether it has ended, for all that people know.
    pub fn is_over(&self) -> bool {
        !self.is_firing() && self.told.is_none()
    }

    /// Until when its news can be left to the flush, without a look at the whole group; `None` if they cannot.
    pub fn rests_until(&self, now: Timestamp, settings: &Settings) -> Option<Timestamp> {
        let until = after(self.since, settings.wait);
        (!stands_alone(self.alert.condition) && !self.is_urgent() && now < until).then_some(until)
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.told.max(self.to_tell()) == Some(Severity::Critical)
    }
}
