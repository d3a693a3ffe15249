//! Slack, as Block Kit.
//!
//! What others may have chosen is only ever in objects of the type `plain_text`, in which Slack reads no markup, no mention
//! and no emoji's name; what is in `mrkdwn` are our own words, and none of its URLs becomes a link by itself (`verbatim`).
//! Where there can be nothing but text (notifications, screen readers, a message that is not taken as blocks) it is
//! `neutral`.
//!
//! Source: Slack's reference of Block Kit, "Text object".
//!
//! Limits are those of Slack's reference of Block Kit. It does not say what a character is, so they are counted in UTF-16
//! units, of which a character has at least as many as of anything that could be meant.

use super::{Alert, Local, Severity, Status, words::Words};
use crate::language::Language;
use relatch_events::foreign::shown;
use serde_json::{Value, json};
use std::borrow::Cow;

/// The longest header.
const HEADER: usize = 150;
/// The longest text of a section, or of a context.
const SECTION: usize = 3000;
/// The longest field of a section.
const FIELD: usize = 2000;
/// The longest text that is sent where Slack does not take the blocks.
const TEXT: usize = 4000;
/// The longest URL of a button, which is better left out than cut.
const URL: usize = 3000;

/// The message: `text` for notifications and screen readers, and blocks.
pub fn message(alert: &Alert, language: Language, local: &Local) -> Value {
    let words = Words::of(language);
    let title = format!("{} {}", sign(alert), alert.title(language));
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": limited(&title, HEADER, |_| None), "emoji": true } }),
        json!({ "type": "section", "fields": fields(alert, language) }),
    ];
    if let Some(meaning) = alert.meaning(language) {
        blocks.push(json!({ "type": "section", "text": ours(&format!("*{}*", escaped(&meaning, SECTION - 2))) }));
    }
    for (heading, lines) in alert.sections(language) {
        if !lines.is_empty() {
            blocks.push(json!({ "type": "section", "text": ours(&format!("*{heading}*")) }));
            let lines: Vec<String> = lines.iter().map(|line| format!("• {line}")).collect();
            blocks.push(json!({ "type": "section", "text": plain(&lines.join("\n"), SECTION) }));
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
    let context = [shown(&alert.key()).into_owned(), local.time()].map(|text| plain(&text, FIELD));
    blocks.push(json!({ "type": "context", "elements": context }));
    json!({ "text": neutral(&alert.summary(language), SECTION), "blocks": blocks, "link_names": false, "mrkdwn": false })
}

/// What is said in the thread of a message: that it goes on, or is over.
pub fn update(alert: &Alert, language: Language) -> Value {
    let summary = alert.summary(language);
    let blocks = json!([{ "type": "section", "text": plain(&summary, SECTION) }]);
    json!({ "text": neutral(&summary, SECTION), "blocks": blocks, "link_names": false, "mrkdwn": false })
}

/// A text, where Slack does not take the blocks: limits change, and some are not documented.
pub fn text(text: &str) -> Value {
    json!({ "text": neutral(text, TEXT), "link_names": false, "mrkdwn": false })
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
    fields.map(|(label, value)| plain(&format!("{label}\n{value}"), FIELD)).to_vec()
}

/// A list under its heading, of at most so many units, as text.
pub(super) fn list(heading: &str, lines: &[Cow<'_, str>], longest: usize) -> String {
    let heading = format!("*{heading}*");
    let lines: String = lines.iter().map(|line| format!("\n• {line}")).collect();
    let lines = neutral(&lines, longest - length(&heading));
    heading + &lines
}

/// Our own words, with Slack's markup.
fn ours(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// A text that others may have chosen, in which nothing is markup.
fn plain(text: &str, longest: usize) -> Value {
    json!({ "type": "plain_text", "text": limited(text, longest, |_| None), "emoji": false })
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

/// A text in which nothing is markup, where a chat reads any text as markup: what would be live becomes what looks like
/// it. A command of ours between backticks stays as it is, so that it can be copied; nothing is markup in there.
pub(super) fn neutral(text: &str, longest: usize) -> String {
    let lines = text.split('\n').map(|line| {
        let parts: Vec<&str> = line.split('`').collect();
        // An odd number of backticks opens what is not closed.
        if parts.len().is_multiple_of(2) {
            return dead(line);
        }
        let part = |(index, part): (usize, &&str)| if index % 2 == 0 { dead(part) } else { format!("`{part}`") };
        parts.iter().enumerate().map(part).collect()
    });
    escaped(&lines.collect::<Vec<_>>().join("\n"), longest)
}

fn dead(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut before = ' ';
    while let Some(character) = characters.next() {
        let after = characters.peek().copied().unwrap_or(' ');
        out.push(match character {
            '*' => '∗',
            '~' => '∼',
            '`' => 'ˋ',
            // Within a word it is none: names are full of it.
            '_' if !(before.is_alphanumeric() && after.is_alphanumeric()) => '＿',
            '@' if !before.is_alphanumeric() => '＠',
            // A link of Markdown.
            '(' if before == ']' => '（',
            // A URL.
            '/' if after == '/' && before == ':' => '⁄',
            '.' if out.ends_with("www") || out.ends_with("WWW") => '․',
            // An emoji's name.
            ':' if !(before.is_alphanumeric() || before == ':') && after.is_alphanumeric() => '：',
            other => other,
        });
        before = character;
    }
    out
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
