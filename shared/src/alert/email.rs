//! E-mail, as plain text: what matters first, so that it is read without scrolling; the rest below. The subject is the
//! alert's [headline](Alert::headline).

use super::{Alert, Local, words::Words};
use crate::language::Language;
use relatch_events::foreign::shown;
use std::{borrow::Cow, fmt::Write, iter};

/// The most lines of a list above the details.
const ABOVE: usize = 5;

/// The body.
pub fn body(alert: &Alert, language: Language, local: &Local) -> String {
    let words = Words::of(language);
    let sections = alert.sections(language);
    let mut body = format!("{}\n", alert.title(language));
    if let Some(meaning) = alert.meaning(language) {
        body += &format!("{meaning}\n");
    }
    for (heading, lines) in &sections {
        let above = above(lines);
        let below = lines.len() - above;
        let more = if below == 0 { String::new() } else { format!("  … {}\n", more(below, language)) };
        body += &listed(heading, &lines[..above]);
        body += &more;
    }
    let subject = if alert.secret().is_some() { words.secret } else { words.subject };
    let subjects = alert.all_subjects().iter().map(|one| (subject, Some(shown(one).into_owned())));
    let details = [
        (words.environment, Some(alert.environment.name().to_owned())),
        (words.severity, Some(alert.severity().name().to_owned())),
        (words.impact, alert.impact.map(|impact| impact.name().to_owned())),
        (words.runbook, Some(local.runbook_or_path(alert))),
        (words.console, local.console(alert)),
        (words.key, Some(shown(&alert.key()).into_owned())),
        (words.time, Some(local.time())),
    ];
    let _ = writeln!(body, "\n{}", words.details);
    for (label, detail) in subjects.chain(details) {
        if let Some(detail) = detail {
            let _ = writeln!(body, "  {label}: {detail}");
        }
    }
    for (heading, lines) in &sections {
        body += &listed(heading, &lines[above(lines)..]);
    }
    body
}

/// How many lines of a list stand above the details, where one line is needed to say that there are more.
const fn above(lines: &[Cow<'_, str>]) -> usize {
    if lines.len() > ABOVE { ABOVE - 1 } else { lines.len() }
}

fn listed(heading: &str, lines: &[Cow<'_, str>]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    iter::once(format!("\n{heading}\n")).chain(lines.iter().map(|line| format!("  * {line}\n"))).collect()
}

fn more(count: usize, language: Language) -> String {
    language.choose(format!("and {count} more, below"), format!("ほか{count}件（下記）"))
}
