//! Slack, as Block Kit.
//!
//! Limits are those of Slack's reference of Block Kit. It does not say what a character is, so they are counted in UTF-16
//! units, of which a character has at least as many as of anything that could be meant.

use super::{Alert, Local, Severity, Status, words::Words};
use crate::language::Language;
use serde_json::{Value, json};

/// The longest header.
const HEADER: usize = 150;
/// The longest text of a section, or of a context.
const SECTION: usize = 3000;
/// The longest field of a section.
const FIELD: usize = 2000;
/// The longest URL of a button, which is better left out than cut.
const URL: usize = 3000;

/// The message: `text` for notifications and screen readers, and blocks.
pub fn message(alert: &Alert, language: Language, local: &Local) -> Value {
    let words = Words::of(language);
    let title = format!("{} {}", sign(alert), alert.title(language));
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": cut(&title, HEADER), "emoji": true } }),
        json!({ "type": "section", "fields": fields(alert, language) }),
    ];
    if let Some(meaning) = alert.meaning(language) {
        blocks.push(section(format!("*{}*", escaped(&meaning, SECTION - 2))));
    }
    for (heading, lines) in alert.sections(language) {
        if !lines.is_empty() {
            blocks.push(section(list(heading, &lines, SECTION)));
        }
    }
    let buttons: Vec<Value> =
        [("runbook", words.runbook, local.runbook(alert)), ("console", words.console, local.console(alert))]
            .into_iter()
            .filter_map(|(id, label, url)| Some(button(id, label, &url.filter(|url| url.len() <= URL)?)))
            .collect();
    if !buttons.is_empty() {
        blocks.push(json!({ "type": "actions", "elements": buttons }));
    }
    let context = [format!("`{}`", escaped(&alert.key(), FIELD)), local.time()];
    let context = context.map(|text| json!({ "type": "mrkdwn", "text": text }));
    blocks.push(json!({ "type": "context", "elements": context }));
    json!({ "text": escaped(&alert.summary(language), SECTION), "blocks": blocks })
}

/// What can be seen from afar.
pub(super) const fn sign(alert: &Alert) -> &'static str {
    match (alert.status, alert.severity()) {
        (Status::Resolved, _) => "✅",
        (Status::Firing, Severity::Critical) => "🚨",
        (Status::Firing, Severity::Error) => "🔴",
        (Status::Firing, Severity::Warning) => "🟡",
        (Status::Firing, Severity::Info) => "🔵",
    }
}

fn fields(alert: &Alert, language: Language) -> Vec<Value> {
    let words = Words::of(language);
    let subject = if alert.secret().is_some() { words.secret } else { words.subject };
    let subjects = alert.subjects(language);
    let fields = [
        (subject, subjects.as_str()),
        (words.environment, alert.environment.name()),
        (words.severity, alert.severity().name()),
        (words.impact, alert.impact.map_or(words.unknown, |impact| impact.name())),
    ];
    let field = |(label, value)| {
        let label = format!("*{label}*\n");
        let value = escaped(value, FIELD - length(&label));
        json!({ "type": "mrkdwn", "text": label + &value })
    };
    fields.map(field).to_vec()
}

/// A list under its heading, of at most so many units.
pub(super) fn list(heading: &str, lines: &[&str], longest: usize) -> String {
    let heading = format!("*{heading}*");
    let lines: String = lines.iter().map(|line| format!("\n• {line}")).collect();
    let lines = escaped(&lines, longest - length(&heading));
    heading + &lines
}

fn section(text: String) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

fn button(id: &str, label: &str, url: &str) -> Value {
    json!({ "type": "button", "action_id": id, "text": { "type": "plain_text", "text": label }, "url": url })
}

/// As Slack's own markup wants it: `&`, `<` and `>` are its control characters. Of at most so many units, with an
/// ellipsis where it is cut, and never within a character or an entity.
pub(super) fn escaped(text: &str, longest: usize) -> String {
    limited(text, longest, |character| match character {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    })
}

/// Plain text, in which nothing is markup.
fn cut(text: &str, longest: usize) -> String {
    limited(text, longest, |_| None)
}

fn limited(text: &str, longest: usize, entity: impl Fn(char) -> Option<&'static str>) -> String {
    let (mut written, mut units, mut fits) = (String::new(), 0, 0);
    for character in text.chars() {
        let entity = entity(character);
        units += entity.map_or(character.len_utf16(), str::len);
        if units > longest {
            written.truncate(fits);
            return written + "…";
        }
        match entity {
            Some(entity) => written.push_str(entity),
            None => written.push(character),
        }
        if units < longest {
            fits = written.len();
        }
    }
    written
}

fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}
