//! `relatch alerts`.

use super::{BAD, GOOD, PLAIN, Page, QUIET};
use crate::alerts::people;
use jiff::Timestamp;
use relatch::{
    alert::{Severity, policy::Member},
    config::Environment,
    rollback::survey::diagnosis::ago,
};

/// Where the subjects begin: last, since their names may be long.
const COLUMN: usize = 55;

pub(crate) fn alerts(environment: Environment, members: &[Member], now: Timestamp) -> String {
    let mut page = Page::default();
    if !members.is_empty() {
        page.beside(&row("severity", "condition", "since", "people"), QUIET, COLUMN, "subject");
    }
    for member in members {
        let entry = &member.entry;
        let (severity, style) = match entry.to_tell() {
            Some(severity @ (Severity::Critical | Severity::Error)) => (severity.name(), BAD),
            Some(severity @ (Severity::Warning | Severity::Info)) => (severity.name(), PLAIN),
            None => ("over", GOOD),
        };
        let since = ago(now, entry.since);
        let row = row(severity, entry.alert.condition.name(), &since, people(member));
        page.beside(&row, style, COLUMN, entry.alert.subject_name());
    }
    let name = environment.name();
    match members.iter().filter(|member| member.entry.is_firing()).count() {
        0 => page.line(GOOD, &format!("Nothing is firing in {name}.")),
        1 => page.line(BAD, &format!("One thing is firing in {name}.")),
        firing => page.line(BAD, &format!("{firing} things are firing in {name}.")),
    }
    page.text()
}

fn row(severity: &str, condition: &str, since: &str, people: &str) -> String {
    format!("{severity:<10}{condition:<20}{since:<13}{people:<11}")
}
