//! Amazon Q Developer in chat applications (formerly AWS Chatbot), as a custom notification. It posts it to Slack, Microsoft
//! Teams or Chime, and what is said under one `threadId` in one thread.
//!
//! It reads any text as markup of the chat: what is not ours is `neutral`. The schema names no lengths. It is posted as blocks of Slack, so it is kept within what one of them holds.

use super::{
    Alert, Local,
    slack::{list, neutral, sign},
    words::Words,
};
use crate::language::Language;
use relatch_events::foreign::shown;
use serde_json::{Value, json};

/// The longest title, and the longest description.
const TITLE: usize = 250;
const DESCRIPTION: usize = 3000;
/// The most subjects that are named.
const SUBJECTS: usize = 20;
/// The most of what is to be done: entries, and units of each.
const STEPS: usize = 10;
const STEP: usize = 300;

/// The notification, of schema version 1.0.
pub fn message(alert: &Alert, language: Language, local: &Local) -> Value {
    let words = Words::of(language);
    let meaning = alert.meaning(language).map(|meaning| format!("*{}*", neutral(&meaning, DESCRIPTION / 3)));
    let [found, done, (_, to_do)] = alert.sections(language);
    let lists = [found, done].into_iter().filter(|(_, lines)| !lines.is_empty());
    let lists = lists.map(|(heading, lines)| list(heading, &lines, DESCRIPTION / 3));
    let description: Vec<String> = meaning.into_iter().chain(lists).collect();
    let steps: Vec<String> = to_do.iter().take(STEPS).map(|line| neutral(line, STEP)).collect();
    let (condition, severity, environment) =
        (alert.condition.name(), alert.severity().name(), alert.environment.name());
    json!({
        "version": "1.0",
        "source": "custom",
        "content": {
            "textType": "client-markdown",
            "title": format!("{} {}", sign(alert), neutral(&alert.summary(language), TITLE - 3)),
            "description": description.join("\n"),
            "nextSteps": steps,
            "keywords": [condition, severity, environment],
        },
        "metadata": {
            "threadId": alert.short_key(255),
            "summary": neutral(&alert.summary(language), TITLE),
            "eventType": condition,
            "relatedResources": alert.all_subjects().iter().take(SUBJECTS).map(|subject| neutral(&shown(subject), TITLE)).collect::<Vec<_>>(),
            "additionalContext": {
                "status": alert.status.name(),
                "severity": severity,
                "impact": alert.impact.map_or(words.unknown, |impact| impact.name()),
                "environment": environment,
                "runbook": local.runbook_or_path(alert),
                "time": local.time(),
            },
        },
    })
}
