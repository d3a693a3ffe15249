//! `relatch history`.

use super::{
    BAD, GOOD, PLAIN, Page, QUIET,
    access::{about, beginning, column, counted, from, heading, who, with, words},
};
use crate::ledger::Clock;
use relatch::{
    audit::ledger::{Ended, Entry, Past},
    config::Environment,
};
use serde_json::Value;

/// How wide sequence numbers are, and what follows them.
const NUMBER: usize = 8;

pub(crate) fn history(changes: &[Past], are_first: bool, clock: &Clock) -> String {
    let (mut page, column) = (Page::default(), NUMBER + column(clock));
    let head = |number: &str, when: &str| format!("{number:>6}  {when}");
    if are_first && !changes.is_empty() {
        page.beside(&head("record", &heading(clock)), QUIET, column, "what, and who");
    }
    for Past { sequence, record } in changes {
        let number = sequence.to_string();
        let Some(record) = record else {
            page.beside(&head(&number, "missing"), BAD, column, "The chain has no such record of it.");
            continue;
        };
        let entry = record.entry();
        let when = clock.time(entry.as_ref().map_or(Some(record.recorded), |entry| entry.at));
        let style = if record.is_whole() { PLAIN } else { BAD };
        match &entry {
            Some(entry) => page.beside(&head(&number, &when), style, column, &what(entry)),
            None => page.beside(&head(&number, &when), style, column, "In words that are not known here."),
        }
        if !record.is_whole() {
            page.beside("", BAD, column, "It is not what was written.");
        }
        if let Some(entry) = &entry {
            page.beside("", PLAIN, column, &format!("by {}{}{}", who(entry), from(entry), with(entry)));
        }
    }
    page.text()
}

/// How much that was, and whether it is whole.
pub(crate) fn end(told: u64, broken: u64, are_more: bool, subject: &str, environment: Environment) -> String {
    let mut page = Page::default();
    let (about, name) = (about(subject), environment.name());
    match told {
        0 => page.beside("", GOOD, 0, &format!("No change of {about} is known, in {name}.")),
        _ => page.beside("", QUIET, 0, &counted(told, "change", "changes", are_more, &about, name)),
    }
    match broken {
        0 => {}
        1 => page.beside("", BAD, 0, "One of them is not whole: `relatch verify` tells more."),
        _ => page.beside("", BAD, 0, &format!("{broken} of them are not whole: `relatch verify` tells more.")),
    }
    page.text()
}

/// What was changed: `DeleteSecret (deleted: forced true)`.
fn what(entry: &Entry) -> String {
    let operation = entry.action.rsplit(':').next().unwrap_or_default();
    let said = |fields: &Value| match fields {
        Value::Object(fields) => {
            let named = fields.iter().filter(|(name, _)| *name != "kind");
            named
                .map(|(name, value)| format!("{} {}", name.replace('_', " "), words(value)))
                .collect::<Vec<_>>()
                .join(", ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => String::new(),
    };
    let kind = entry.what.as_object().and_then(|what| what.iter().next());
    let details = match kind {
        Some((kind, fields)) if kind == "rotation" => said(fields),
        Some((_, Value::Object(variant))) => variant.values().next().map(said).unwrap_or_default(),
        Some(_) | None => String::new(),
    };
    let ended = match &entry.ended {
        Ended::Done => String::new(),
        Ended::Denied(why) | Ended::Failed(why) => format!(": {}", beginning(why)),
    };
    if details.is_empty() { format!("{operation}{ended}") } else { format!("{operation} ({details}){ended}") }
}
