//! What people are told: one model for every handler.
//!
//! An alert is about a *condition* of a *subject* (a secret, an alarm, the sweep); condition and subject are its key, and
//! the same key resolves it. It says what was found, what was done, what is left to do, and which runbook helps.
//!
//! It is rendered by pure functions, one module for each kind of reader: [`slack`], [`email`], [`pagerduty`], [`chat`];
//! programs read its [JSON](Alert::json), and [read it back](Alert::read).

mod condition;
pub mod deliver;
pub mod findings;
mod lines;
mod local;
pub mod policy;
mod raise;
mod read;

pub mod chat;
pub mod email;
pub mod example;
pub mod pagerduty;
pub mod slack;
#[cfg(test)]
mod tests;
mod words;

pub use condition::{Condition, Severity};
pub use local::{Audience, Local};
pub use raise::Alerts;
pub use read::BadAlert;

use crate::{audit::finding, config::Environment, language::Language, rollback::Impact};
use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use relatch_events::foreign::shown;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fmt::Write, slice};

/// Something that people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is about.
    pub condition: Condition,
    /// Whether it goes on.
    pub status: Status,
    /// Whose condition it is: a secret's full ARN, or an alarm's or a function's name.
    pub subject: String,
    /// Of an incident of the audit: what names it, and how grave it is.
    pub lead: Option<Lead>,
    /// What it means for those who use the secret; `None` where no secret was looked at.
    pub impact: Option<Impact>,
    /// Where it happened.
    pub environment: Environment,
    /// What was found, one sentence each.
    pub found: Vec<String>,
    /// Of what is known of an incident, how grave each line of what was found is, in their order; otherwise empty.
    pub gravities: Vec<finding::Severity>,
    /// Of what is known of an incident, which lines more there were than are kept; otherwise empty.
    pub unsaid: BTreeSet<u64>,
    /// The line of what was found that only adds the others up, where there is one. By itself it is nothing new; it is not
    /// kept.
    pub sum: Option<String>,
    /// What was done about it, one sentence each; empty if nothing was changed.
    pub done: Vec<String>,
    /// What is left for a person to do, one sentence each.
    pub to_do: Vec<String>,
    /// In the message of a group: all whose condition it is, those first for whom it goes on. Empty where an alert is
    /// about its subject alone.
    pub members: Vec<String>,
    /// When what is new of it was first seen; `None` if nothing is, or if that is not known.
    pub since: Option<Timestamp>,
}

/// The gravest finding of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lead {
    /// How grave it is.
    pub severity: finding::Severity,
    /// What it is.
    pub kind: finding::Kind,
}

/// Whether a condition goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It does.
    Firing,
    /// It has ended.
    Resolved,
}

impl Status {
    /// The status's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
}

impl Alert {
    /// That a condition goes on, and nothing more.
    pub const fn firing(condition: Condition, subject: String, environment: Environment) -> Self {
        Self {
            condition,
            status: Status::Firing,
            subject,
            lead: None,
            impact: None,
            environment,
            found: Vec::new(),
            gravities: Vec::new(),
            unsaid: BTreeSet::new(),
            sum: None,
            done: Vec::new(),
            to_do: Vec::new(),
            members: Vec::new(),
            since: None,
        }
    }

    /// What identifies it: the same for everything that is said about one condition of one subject, or of a group.
    pub fn key(&self) -> String {
        let whose = if self.members.is_empty() { &self.subject } else { self.environment.name() };
        format!("{}/{whose}", self.condition.name())
    }

    /// How urgent it is.
    pub const fn severity(&self) -> Severity {
        match (self.status, self.lead) {
            (Status::Resolved, _) => Severity::Info,
            (Status::Firing, Some(lead)) => lead.severity.urgency(),
            (Status::Firing, None) => self.condition.severity(self.impact),
        }
    }

    /// What it is, in a few words.
    pub fn what(&self, language: Language) -> &'static str {
        self.lead.map_or_else(|| self.condition.title(language), |lead| lead.kind.title(language))
    }

    /// Where to read what to do: a path in this repository.
    pub fn runbook(&self) -> String {
        self.lead.map_or_else(|| self.condition.runbook(), |lead| lead.kind.runbook())
    }

    /// The subject as a person would say it.
    pub fn subject_name(&self) -> &str {
        name_of(&self.subject)
    }

    /// All whose condition it is.
    pub const fn all_subjects(&self) -> &[String] {
        if self.members.is_empty() { slice::from_ref(&self.subject) } else { self.members.as_slice() }
    }

    /// All whose condition it is, in a word or two, made showable: of a group, the first and how many others.
    pub fn subjects(&self, language: Language) -> String {
        let name = shown(self.subject_name());
        match self.members.len() {
            0 | 1 => name.into_owned(),
            all => language.choose(format!("{name} and {} more", all - 1), format!("{name} ほか{}件", all - 1)),
        }
    }

    /// The secret's name, where the subject is a secret.
    pub fn secret(&self) -> Option<&str> {
        is_secret(&self.subject).then(|| self.subject_name())
    }

    /// The names of all whose condition it is, of those that are secrets.
    pub fn secrets(&self) -> Vec<&str> {
        self.all_subjects().iter().filter(|subject| is_secret(subject)).map(|subject| name_of(subject)).collect()
    }

    /// One line, in which every word counts.
    pub fn summary(&self, language: Language) -> String {
        format!("[{}] {}: {}", self.state(), self.subjects(language), self.what(language))
    }

    /// One line: ASCII, fewer than 100 characters, as SNS demands of a subject. English, therefore.
    pub fn headline(&self) -> String {
        let line = self.summary(Language::English);
        line.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).take(99).collect()
    }

    /// How it stands, in one stable word: what it means for consumers, where that is known.
    pub const fn state(&self) -> &'static str {
        match (self.status, self.impact) {
            (Status::Resolved, _) => "RESOLVED",
            (Status::Firing, Some(impact)) => impact.name(),
            (Status::Firing, None) => "FIRING",
        }
    }

    /// The key, for those who take one of so many bytes only: a longer one, or one that is not ASCII or has spaces, is
    /// named by its digest. `longest` is at least 64.
    pub fn short_key(&self, longest: usize) -> String {
        let key = self.key();
        if key.len() <= longest && key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return key;
        }
        digest(&SHA256, key.as_bytes()).as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The same, with so many bytes of each list at most: the first lines, and an ellipsis where one is cut.
    #[must_use]
    pub fn shortened(&self, longest: usize) -> Self {
        let lists = [&self.found, &self.done, &self.to_do, &self.members];
        let [found, done, to_do, members] = lists.map(|lines| cut(lines, longest));
        Self { found, done, to_do, members, ..self.clone() }
    }

    /// The whole, as a program reads it. `version` changes when a field changes its meaning.
    pub fn json(&self) -> Value {
        let mut json = json!({
            "version": 1,
            "key": self.key(),
            "condition": self.condition.name(),
            "status": self.status.name(),
            "severity": self.severity().name(),
            "impact": self.impact.map(Impact::name),
            "finding": self.lead.map(|lead| lead.kind.name()),
            "gravity": self.lead.map(|lead| lead.severity.name()),
            "environment": self.environment.name(),
            "subject": self.subject,
            "members": self.members,
            "since": self.since.map(|since| format!("{since:.3}")),
            "headline": self.headline(),
            "found": self.found,
            "done": self.done,
            "toDo": self.to_do,
            "runbook": self.runbook(),
        });
        // What people are told has neither.
        if !self.gravities.is_empty() {
            let names = self.gravities.iter().map(|severity| severity.name());
            json["gravities"] = names.collect();
        }
        if !self.unsaid.is_empty() {
            json["unsaid"] = self.unsaid.iter().copied().collect();
        }
        json
    }
}

fn is_secret(subject: &str) -> bool {
    subject.contains(":secret:")
}

/// A subject as a person would say it: a secret's name without its ARN's beginning and suffix.
pub fn name_of(subject: &str) -> &str {
    let Some((_, name)) = subject.split_once(":secret:") else { return subject };
    match name.rsplit_once('-') {
        Some((name, suffix)) if suffix.len() == 6 => name,
        Some(_) | None => name,
    }
}

fn cut(lines: &[String], longest: usize) -> Vec<String> {
    let mut left = longest;
    let mut kept = Vec::new();
    for line in lines {
        if line.len() > left {
            kept.push(format!("{}…", &line[..line.floor_char_boundary(left)]));
            break;
        }
        left -= line.len();
        kept.push(line.clone());
    }
    kept
}
