//! What is told in one message, and the message.

use super::{Entry, Key, Reason, Silence, key::INHIBITIONS};
use crate::{
    alert::{Alert, Severity},
    language::Language,
};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// What is told in one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What identifies it.
    pub key: Key,
    /// When people were told of it last.
    pub told_at: Option<Timestamp>,
    /// What it consists of.
    pub members: Vec<Member>,
}

/// One condition of one subject, in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What is known of it.
    pub entry: Entry,
    /// Why it is not to be told, if it is not.
    pub mute: Option<Reason>,
}

impl Member {
    /// Whether people know of it, or are to.
    pub(super) fn is_told(&self) -> bool {
        self.entry.told.is_some() || self.is_heard()
    }

    pub(super) fn is_heard(&self) -> bool {
        self.entry.is_firing() && self.mute.is_none()
    }
}

impl Group {
    /// The group of a key, out of all that is known (of its subject at least), with what is not to be told of it.
    pub fn gather(
        key: Key,
        told_at: Option<Timestamp>,
        entries: &[Entry],
        silences: &[Silence],
        now: Timestamp,
    ) -> Self {
        let mute = |alert: &Alert| {
            let inhibited = entries.iter().filter(|other| other.is_firing()).any(|other| {
                other.alert.subject == alert.subject
                    && other.alert.environment == alert.environment
                    && INHIBITIONS
                        .iter()
                        .any(|(source, targets)| *source == other.alert.condition && targets.contains(&alert.condition))
            });
            let silenced = || silences.iter().any(|silence| silence.covers(alert, now)).then_some(Reason::Silenced);
            if inhibited { Some(Reason::Inhibited) } else { silenced() }
        };
        let members = entries.iter().filter(|entry| key.holds(&entry.alert) && !entry.is_over());
        let mut members: Vec<Member> =
            members.map(|entry| Member { entry: entry.clone(), mute: mute(&entry.alert) }).collect();
        members.sort_by(|a, b| a.entry.alert.subject.cmp(&b.entry.alert.subject));
        Self { key, told_at, members }
    }

    /// What people are to know after [`Group::message`]: of each subject, how severe it is, if it is firing.
    pub fn to_tell(&self) -> Vec<(String, Option<Severity>)> {
        self.told().map(|entry| (entry.alert.subject.clone(), entry.to_tell())).collect()
    }

    /// The message that says how the group is; `None` if there is nothing in it to tell.
    pub fn message(&self, language: Language) -> Option<Alert> {
        let since = self.told().filter(|entry| entry.is_news()).map(|entry| entry.since).min();
        Some(Alert { since, ..self.whole(language)?.told(language) })
    }

    fn whole(&self, language: Language) -> Option<Alert> {
        let firing: Vec<&Alert> = self.told().filter(|entry| entry.is_firing()).map(|entry| &entry.alert).collect();
        let ended: Vec<&Alert> = self.told().filter(|entry| !entry.is_firing()).map(|entry| &entry.alert).collect();
        let about = if firing.is_empty() { &ended } else { &firing };
        let (first, rest) = about.split_first()?;
        if self.key.subject.is_some() {
            return Some((*first).clone());
        }
        let members = firing.iter().chain(&ended).map(|alert| alert.subject.clone()).collect();
        if rest.is_empty() && (firing.is_empty() || ended.is_empty()) {
            return Some(Alert { members, ..(*first).clone() });
        }
        let mut found = each(about, language, |alert| &alert.found);
        if !firing.is_empty() {
            found.extend(
                names(&ended)
                    .map(|names| language.choose(format!("Over by now: {names}."), format!("すでに解消: {names}"))),
            );
        }
        Some(Alert {
            impact: about.iter().map(|alert| alert.impact).max().flatten(),
            found,
            done: each(about, language, |alert| &alert.done),
            to_do: distinct(about.iter().flat_map(|alert| &alert.to_do)),
            members,
            ..(*first).clone()
        })
    }

    fn told(&self) -> impl Iterator<Item = &Entry> {
        self.members.iter().filter(|member| member.is_told()).map(|member| &member.entry)
    }
}

/// How many subjects are spoken of one by one in a message.
pub(super) const MOST_SUBJECTS: usize = 10;

/// What is said of each, with its name; of the rest, their names.
fn each(alerts: &[&Alert], language: Language, lines: impl Fn(&Alert) -> &Vec<String>) -> Vec<String> {
    let (told, rest) = alerts.split_at(alerts.len().min(MOST_SUBJECTS));
    let line = |alert: &&Alert| {
        let said = lines(alert);
        (!said.is_empty()).then(|| format!("{}: {}", alert.subject_name(), said.join(" ")))
    };
    let same = |names| language.choose(format!("The same of: {names}."), format!("以下も同様です: {names}"));
    let rest = names(rest).map(same);
    told.iter().filter_map(line).chain(rest).collect()
}

fn names(alerts: &[&Alert]) -> Option<String> {
    let names: Vec<&str> = alerts.iter().map(|alert| alert.subject_name()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The first of them, each once.
fn distinct<'a>(lines: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    lines.filter(|line| seen.insert(*line)).take(MOST_SUBJECTS).cloned().collect()
}
