//! Whether people are to be told now. Pure: it does not know what time it is, nor where anything is kept.
//!
//! What is known of one condition of one subject is an [`Entry`]; entries that are told in one message are a [`Group`].
//! What a group calls for follows from what *is* and what people *have been told*, and from nothing else: a process that
//! dies between the two leaves a difference, which whoever looks next finds.
//!
//! The model is Prometheus Alertmanager's: group wait, group interval, repeat interval, inhibition, silences. Two things
//! are otherwise. What is urgent waits for nothing. And of a group of which a part has ended, that part is told with the
//! group's next message, not with one of its own.

mod entry;
mod group;
mod key;
mod silence;
#[cfg(test)]
mod tests;

pub use entry::Entry;
pub use group::{Group, Member};
pub use key::{Key, inhibits};
pub use silence::Silence;

use jiff::{SignedDuration, Timestamp};

/// How long people are kept waiting, for the sake of fewer messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// From the first news of a group to its telling: others often follow.
    pub wait: SignedDuration,
    /// From one message of a group to the next.
    pub interval: SignedDuration,
    /// From one message of a group of which there is no news to the next.
    pub repeat: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            wait: SignedDuration::from_secs(30),
            interval: SignedDuration::from_mins(5),
            repeat: SignedDuration::from_hours(4),
        }
    }
}

/// What a group calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Tell people.
    Notify(Reason),
    /// Tell them at this time, unless it is otherwise by then.
    Hold(Timestamp),
    /// There is nothing to tell.
    Quiet(Reason),
}

/// Why people are told, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Nobody knows of it.
    First,
    /// People know of others of the group.
    NewMember,
    /// It is worse or better than people know.
    SeverityChanged,
    /// It has gone on for long since people heard of it.
    Repeat,
    /// All that people know to be firing has ended.
    AllResolved,
    /// People know how it is.
    NothingNew,
    /// Another condition of the same subject says it.
    Inhibited,
    /// Somebody wants to hear nothing of it.
    Silenced,
}

impl Reason {
    /// The reason's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::First => "first",
            Reason::NewMember => "new-member",
            Reason::SeverityChanged => "severity-changed",
            Reason::Repeat => "repeat",
            Reason::AllResolved => "all-resolved",
            Reason::NothingNew => "nothing-new",
            Reason::Inhibited => "inhibited",
            Reason::Silenced => "silenced",
        }
    }
}

/// What a group calls for now.
///
/// A firing member that is neither inhibited nor silenced is told at once if it is urgent, and otherwise at the latest
/// when both the group wait and the group interval are over. That something has ended is told exactly where people know
/// that it was firing, whether it is silenced by now or not.
pub fn needs_notify(group: &Group, now: Timestamp, settings: &Settings) -> Decision {
    let Group { key, told_at, members } = group;
    let entries = || members.iter().map(|member| &member.entry);
    let known = || entries().filter(|entry| entry.told.is_some());
    let goes_on = members.iter().any(|member| member.is_told() && member.entry.is_firing());
    let earliest = told_at.map_or(Timestamp::MIN, |told| after(told, settings.interval));
    let news: Vec<&Entry> =
        members.iter().filter(|member| member.is_heard() && member.entry.is_news()).map(|m| &m.entry).collect();
    if let Some(first) = news.iter().map(|entry| entry.since).min() {
        let reason = match () {
            () if known().next().is_none() => Reason::First,
            () if news.iter().any(|entry| entry.told.is_none()) => Reason::NewMember,
            () => Reason::SeverityChanged,
        };
        let urgent = key.subject.is_some() || news.iter().any(|entry| entry.is_urgent());
        return notify_at(reason, if urgent { now } else { earliest.max(after(first, settings.wait)) }, now);
    }
    if !goes_on && known().next().is_some() {
        let urgent = key.subject.is_some() || known().any(Entry::is_urgent);
        return notify_at(Reason::AllResolved, if urgent { now } else { earliest }, now);
    }
    let heard_of = members.iter().any(|member| member.is_heard() && member.entry.told.is_some());
    if heard_of && told_at.is_none_or(|told| after(told, settings.repeat) <= now) {
        return Decision::Notify(Reason::Repeat);
    }
    let muted = members.iter().filter(|member| member.entry.is_firing()).find_map(|member| member.mute);
    Decision::Quiet(if heard_of { Reason::NothingNew } else { muted.unwrap_or(Reason::NothingNew) })
}

fn notify_at(reason: Reason, due: Timestamp, now: Timestamp) -> Decision {
    if due <= now { Decision::Notify(reason) } else { Decision::Hold(due) }
}

fn after(at: Timestamp, time: SignedDuration) -> Timestamp {
    at.saturating_add(time).unwrap_or(Timestamp::MAX)
}
