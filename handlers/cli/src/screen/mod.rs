//! What is shown: pure renderings, no wider than [`WIDTH`], coloured where [`anstream`] finds a terminal.

pub(crate) mod access;
pub(crate) mod alerts;
pub(crate) mod check;
pub(crate) mod control;
pub(crate) mod doctor;
pub(crate) mod history;
pub(crate) mod learn;
pub(crate) mod recovery;
pub(crate) mod release;
pub(crate) mod scan;
pub(crate) mod silence;
pub(crate) mod verify;

use anstyle::{AnsiColor, Style};
use relatch::{
    language::Language,
    rollback::{Impact, survey::Mark},
};
use relatch_events::foreign::line;

/// The longest line, in columns.
const WIDTH: usize = 80;

const STRONG: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const PLAIN: Style = Style::new();

/// A text that grows line by line.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

impl Page {
    /// A line of its own. Where it is too long it goes on below: a number that is cut is another number.
    fn line(&mut self, style: Style, text: &str) {
        let text = line(text);
        let mut rest = text.trim_end();
        while let Some((cut, _)) = rest.char_indices().nth(WIDTH) {
            let head = &rest[..cut];
            // What has no blank to be broken at stays whole.
            let end = if rest[cut..].starts_with(' ') { Some(cut) } else { head.trim_end().rfind(' ') };
            let end = end.filter(|end| !head[..*end].trim().is_empty()).or_else(|| Some(cut + rest[cut..].find(' ')?));
            let Some(end) = end else { break };
            self.0 += &format!("{}\n", painted(style, rest[..end].trim_end()));
            rest = rest[end..].trim_start();
        }
        self.0 += &format!("{}\n", painted(style, rest));
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }

    /// A label, and beside it a text that is broken between words and stays in its column.
    fn beside(&mut self, label: &str, style: Style, indent: usize, text: &str) {
        let (label, text) = (line(label), line(text));
        let mut rows = vec![String::new()];
        for word in text.split_whitespace() {
            let room = WIDTH - indent;
            match rows.last_mut() {
                Some(row) if row.is_empty() => row.push_str(word),
                Some(row) if row.chars().count() + 1 + word.chars().count() <= room => {
                    row.push(' ');
                    row.push_str(word);
                }
                _ => rows.push(word.to_owned()),
            }
        }
        for (number, row) in rows.iter().enumerate() {
            let head = if number == 0 { format!("{label:<indent$}") } else { " ".repeat(indent) };
            self.0 += &format!("{}{row}\n", painted(style, &head));
        }
    }

    /// The same, never broken: it is to be copied.
    fn whole(&mut self, label: &str, style: Style, text: &str) {
        self.0 += &format!("{}{}\n", painted(style, label), line(text));
    }

    fn list(&mut self, lines: &[String]) {
        for line in lines {
            self.beside("  ", PLAIN, 2, line);
        }
    }

    pub(crate) fn text(self) -> String {
        self.0
    }
}

/// The secret and what its state means for consumers.
fn headline(page: &mut Page, secret: &str, impact: Option<Impact>) {
    match impact {
        Some(impact) => {
            let style = if impact == Impact::Safe { GOOD } else { BAD };
            page.beside(
                impact.name(),
                style,
                impact.name().len() + 2,
                &format!("{secret}: {}", impact.sentence(Language::English)),
            );
        }
        None => page.beside("?", BAD, 3, &format!("{secret}: what it means for applications could not be seen.")),
    }
}

const fn sign(mark: Mark) -> (&'static str, Style) {
    match mark {
        Mark::Fine => ("ok", GOOD),
        Mark::Wrong => ("!!", BAD),
        Mark::Open | Mark::Unseen => ("--", QUIET),
    }
}

fn painted(style: Style, text: &str) -> String {
    if style == PLAIN { text.to_owned() } else { format!("{style}{text}{style:#}") }
}
