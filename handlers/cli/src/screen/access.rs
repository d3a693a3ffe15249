//! `relatch access`; and what `relatch history` shows in the same way.

use super::{BAD, GOOD, PLAIN, Page, QUIET};
use crate::ledger::{Clock, access::Visitor};
use relatch::{
    audit::ledger::{Ended, Entry, UNNAMED},
    config::Environment,
};
use relatch_events::cloudtrail::identity::Nature;
use serde_json::Value;

/// Where what is said of something begins, after its time.
pub(super) fn column(clock: &Clock) -> usize {
    heading(clock).chars().count().max(19) + 2
}

pub(super) fn heading(clock: &Clock) -> String {
    format!("when ({})", clock.zone())
}

/// How much is shown of a program's name for itself, of a name or of a text, in characters.
const SHOWN: usize = 48;

pub(crate) fn accesses(entries: &[Entry], are_first: bool, clock: &Clock) -> String {
    let (mut page, column) = (Page::default(), column(clock));
    if are_first && !entries.is_empty() {
        page.beside(&heading(clock), QUIET, column, "who, and what");
    }
    for entry in entries {
        let style = if matches!(entry.ended, Ended::Denied(_)) { BAD } else { PLAIN };
        page.beside(&clock.time(entry.at), style, column, &who(entry));
        page.beside("", PLAIN, column, &did(entry));
    }
    page.text()
}

pub(crate) fn visitors(visitors: &[Visitor], clock: &Clock) -> String {
    let (mut page, column) = (Page::default(), column(clock));
    if !visitors.is_empty() {
        page.beside(&heading(clock).replacen("when", "last", 1), QUIET, column, "who, and how often");
    }
    for Visitor { last, first, done, denied, failed, is_person, origins } in visitors {
        let style = if *done == 0 { BAD } else { PLAIN };
        let person = if *is_person { " (human)" } else { "" };
        page.beside(&clock.time(last.at), style, column, &format!("{}{person}", principal(last)));
        let counts = [(done, "done"), (denied, "denied"), (failed, "failed")];
        let counts = counts.iter().filter(|(count, _)| **count > 0).map(|(count, word)| format!("{count} {word}"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let from = match origins.iter().collect::<Vec<_>>()[..] {
            [] => String::new(),
            [one] => format!(", from {one}"),
            ref many => format!(", from {} places", many.len()),
        };
        page.beside("", PLAIN, column, &format!("{counts} since {}{from}{}", clock.time(*first), with(last)));
    }
    page.text()
}

/// How much that was.
pub(crate) fn end(told: u64, are_more: bool, subject: &str, environment: Environment) -> String {
    let mut page = Page::default();
    let (about, name) = (about(subject), environment.name());
    match told {
        0 => page.beside("", GOOD, 0, &format!("Nobody is known to have come to {about}, in {name}.")),
        _ => page.beside("", QUIET, 0, &counted(told, "access", "accesses", are_more, &about, name)),
    }
    page.text()
}

pub(super) fn counted(told: u64, one: &str, many: &str, are_more: bool, about: &str, environment: &str) -> String {
    let things = if told == 1 { one } else { many };
    let more = if are_more { "; there are earlier ones: see --limit and --until" } else { "" };
    format!("{told} {things} of {about}, in {environment}{more}.")
}

pub(super) fn about(subject: &str) -> String {
    match subject {
        UNNAMED => "what has no name".to_owned(),
        arn => arn.splitn(6, ':').nth(5).map_or(arn, |rest| rest.strip_prefix("secret:").unwrap_or(rest)).to_owned(),
    }
}

/// The role behind the session, and what tells that it is a person.
pub(super) fn who(entry: &Entry) -> String {
    let nature = match entry.nature {
        Some(Nature::Human) => " (human)",
        Some(Nature::Machine) => " (machine)",
        Some(Nature::Unknown) | None => "",
    };
    let session = entry.session.as_ref().map(|session| format!(" as {}", beginning(session)));
    let through = entry.invoked_by.as_ref().filter(|service| **service != entry.principal);
    let through = through.map(|service| format!(" through {service}")).unwrap_or_default();
    format!("{}{}{nature}{through}", principal(entry), session.unwrap_or_default())
}

/// By its name in its own account; by its ARN in another.
fn principal(entry: &Entry) -> &str {
    let own = entry.account.as_deref().and_then(|account| {
        let (head, rest) = entry.principal.split_once("::")?;
        let name = rest.strip_prefix(account)?.strip_prefix(':')?;
        head.starts_with("arn:").then_some(name)
    });
    match own.unwrap_or(&entry.principal) {
        "" => "somebody",
        name => name,
    }
}

/// What was done, from where and with what.
fn did(entry: &Entry) -> String {
    let operation = entry.action.rsplit(':').next().unwrap_or_default();
    let access = entry.what.get("access");
    let text = |field: &str| access?.get(field)?.as_str();
    let which = match (text("version"), text("stage")) {
        (Some(version), _) => format!(" version {}", beginning(version)),
        (None, Some(stage)) => format!(" {}", beginning(stage)),
        (None, None) => String::new(),
    };
    let did = match &entry.ended {
        Ended::Done if access.is_some() && operation == "GetSecretValue" => format!("read{which}"),
        Ended::Done => format!("{operation}{which}"),
        Ended::Denied(code) => format!("denied: {operation}{which} ({})", beginning(code)),
        Ended::Failed(code) => format!("failed: {operation}{which} ({})", beginning(code)),
    };
    format!("{did}{}{}", from(entry), with(entry))
}

/// Of a service that acts by itself, both are the service again.
pub(super) fn from(entry: &Entry) -> String {
    let origin = entry.origin.as_ref().filter(|origin| **origin != entry.principal);
    origin.map(|origin| format!(" from {origin}")).unwrap_or_default()
}

pub(super) fn with(entry: &Entry) -> String {
    let tool = entry.tool.as_ref().filter(|tool| **tool != entry.principal);
    tool.map(|tool| format!(" with {}", beginning(tool))).unwrap_or_default()
}

/// As much of a text as a person reads.
pub(super) fn beginning(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A field's value in words.
pub(super) fn words(value: &Value) -> String {
    match value {
        Value::String(text) => beginning(text),
        Value::Array(values) => beginning(&values.iter().map(words).collect::<Vec<_>>().join(" ")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => beginning(&value.to_string()),
    }
}
