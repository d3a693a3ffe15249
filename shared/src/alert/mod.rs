//! What people are told: one model for every handler.
//!
//! An alert is about a *condition* of a *subject* (a secret, an alarm, the sweep); condition and subject are its key, and
//! the same key resolves it. It says what was found, what was done, what is left to do, and which runbook helps.

mod condition;
pub mod deliver;
pub mod findings;
pub mod interim;
mod raise;

pub use condition::{Condition, Severity};
pub use raise::Alerts;

use crate::{config::Environment, rollback::Impact};
use serde_json::{Value, json};

/// Something that people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is about.
    pub condition: Condition,
    /// Whether it goes on.
    pub status: Status,
    /// Whose condition it is: a secret's full ARN, or an alarm's or a function's name.
    pub subject: String,
    /// What it means for those who use the secret; `None` where no secret was looked at.
    pub impact: Option<Impact>,
    /// Where it happened.
    pub environment: Environment,
    /// What was found, one sentence each.
    pub found: Vec<String>,
    /// What was done about it, one sentence each; empty if nothing was changed.
    pub done: Vec<String>,
    /// What is left for a person to do, one sentence each.
    pub to_do: Vec<String>,
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
    /// What identifies it: the same for everything that is said about one condition of one subject.
    pub fn key(&self) -> String {
        format!("{}/{}", self.condition.name(), self.subject)
    }

    /// How urgent it is.
    pub const fn severity(&self) -> Severity {
        match self.status {
            Status::Resolved => Severity::Info,
            Status::Firing => self.condition.severity(self.impact),
        }
    }

    /// The subject as a person would say it: a secret's name without its ARN's beginning and suffix.
    pub fn subject_name(&self) -> &str {
        let name = self.subject.split_once(":secret:").map_or(self.subject.as_str(), |(_, name)| name);
        match name.rsplit_once('-') {
            Some((name, suffix)) if self.subject.contains(":secret:") && suffix.len() == 6 => name,
            _ => name,
        }
    }

    /// One line: ASCII, fewer than 100 characters, as SNS demands of a subject.
    pub fn headline(&self) -> String {
        let state = match (self.status, self.impact) {
            (Status::Resolved, _) => "RESOLVED",
            (Status::Firing, Some(impact)) => impact.name(),
            (Status::Firing, None) => "FIRING",
        };
        let line = format!("[{state}] {}: {}", self.subject_name(), self.condition.title());
        line.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).take(99).collect()
    }

    /// The whole, as a person reads it.
    pub fn text(&self) -> String {
        let section = |title: &str, lines: &[String]| match lines {
            [] => String::new(),
            lines => format!("\n{title}\n{}", lines.iter().map(|line| format!("  * {line}\n")).collect::<String>()),
        };
        let impact = self.impact.map_or(String::new(), |impact| format!("{}\n", impact.sentence()));
        let done = match (self.status, self.done.is_empty()) {
            (Status::Firing, true) => "\nNothing was changed.\n".to_owned(),
            (Status::Firing | Status::Resolved, _) => section("What was done", &self.done),
        };
        format!(
            "{}\n{impact}{}{done}{}\nEnvironment: {}\nSubject: {}\nRunbook: {}\n",
            self.condition.title(),
            section("What was found", &self.found),
            section("What is left to do", &self.to_do),
            self.environment.name(),
            self.subject,
            self.condition.runbook(),
        )
    }

    /// The whole, as a program reads it. `version` changes when a field changes its meaning.
    pub fn json(&self) -> Value {
        json!({
            "version": 1,
            "key": self.key(),
            "condition": self.condition.name(),
            "status": self.status.name(),
            "severity": self.severity().name(),
            "impact": self.impact.map(Impact::name),
            "environment": self.environment.name(),
            "subject": self.subject,
            "headline": self.headline(),
            "found": self.found,
            "done": self.done,
            "toDo": self.to_do,
            "runbook": self.condition.runbook(),
        })
    }
}
