//! PagerDuty, as an event of its Events API v2.

use super::{Alert, Local, Status, words::Words};
use crate::language::Language;
use relatch_events::foreign::{line, shown};
use serde_json::{Value, json};

/// The longest `dedup_key`, in characters. Source: PagerDuty's reference of the Events API v2, as the others.
const KEY: usize = 255;
/// The longest `summary`, in characters.
const SUMMARY: usize = 1024;
/// The most of each list, in bytes. An event has 512 KB at most, and a byte grows to six where it must be escaped.
const LIST: usize = 24 * 1024;

/// The event, without the routing key: that is a secret, and whoever sends the event adds it.
pub fn event(alert: &Alert, language: Language, local: &Local) -> Value {
    let words = Words::of(language);
    let links = [(words.runbook, local.runbook(alert)), (words.console, local.console(alert))];
    let links = links.into_iter().filter_map(|(text, href)| Some(json!({ "href": href?, "text": text })));
    let short = alert.shortened(LIST);
    let lines = |lines: &[String]| lines.iter().map(|text| line(text).into_owned()).collect::<Vec<_>>();
    json!({
        "event_action": match alert.status {
            Status::Firing => "trigger",
            Status::Resolved => "resolve",
        },
        "dedup_key": alert.short_key(KEY),
        "client": "Relatch",
        "payload": {
            "summary": alert.summary(language).chars().take(SUMMARY).collect::<String>(),
            "source": shown(&alert.subject),
            "severity": alert.severity().name(),
            "timestamp": local.time.timestamp().to_string(),
            "component": shown(alert.subject_name()),
            "group": alert.environment.name(),
            "class": alert.condition.name(),
            "custom_details": {
                "key": shown(&alert.key()),
                "subjects": short.all_subjects().iter().map(|subject| shown(subject)).collect::<Vec<_>>(),
                "impact": alert.meaning(language),
                "found": lines(&short.found),
                "done": lines(&short.done),
                "toDo": lines(&short.to_do),
                "runbook": local.runbook_or_path(alert),
            },
        },
        "links": links.collect::<Vec<_>>(),
    })
}
