//! `relatch scan`.

use super::{BAD, GOOD, PLAIN, Page, QUIET};
use crate::scan::{Damage, Tally};
use jiff::Timestamp;
use relatch::{
    audit::{
        finding::{Finding, Severity, origin_text},
        incident::Incident,
    },
    language::Language,
};
use relatch_events::moment::Moment;
use std::cmp::Reverse;

/// Where what there is to say of an incident begins.
const COLUMN: usize = 10;

/// So many secrets are named, and so many reasons.
const NAMED: usize = 5;

/// Incidents, the gravest first, and what became of the records. `is_whole` unless something could not be read.
pub(crate) fn scan(incidents: &[Incident], tally: &Tally, is_whole: bool) -> String {
    let mut page = Page::default();
    let (shadowed, told): (Vec<&Incident>, Vec<_>) = incidents.iter().partition(|incident| incident.is_shadowed());
    let mut sorted = told.clone();
    sorted.sort_by_key(|incident| Reverse(incident.severity()));
    if !sorted.is_empty() {
        page.line(QUIET, &row("severity", "when (UTC)", "findings"));
    }
    for incident in sorted {
        one(&mut page, incident);
    }
    match told.len() {
        0 if is_whole => page.line(GOOD, "Nothing was found."),
        0 => page.line(BAD, "Nothing was found in what could be read."),
        1 => page.line(BAD, "One incident was found."),
        all => page.line(BAD, &format!("{all} incidents were found.")),
    }
    if !shadowed.is_empty() {
        page.line(
            QUIET,
            &format!("Only for the record, by the policy: {}.", counted(shadowed.len() as u64, "incident")),
        );
    }
    page.text() + &tally_page(tally).text()
}

/// What became of the records.
pub(crate) fn tally(tally: &Tally) -> String {
    tally_page(tally).text()
}

fn one(page: &mut Page, incident: &Incident) {
    let Some(lead) = incident.lead() else { return };
    let style = match lead.severity {
        Severity::Critical | Severity::High => BAD,
        Severity::Medium | Severity::Low => PLAIN,
    };
    let kinds: Vec<&str> = incident.kinds().into_iter().map(|kind| kind.name()).collect();
    let head = row(lead.severity.name(), &span(incident), &incident.findings.len().to_string());
    page.line(style, &head);
    page.beside("", PLAIN, COLUMN, &kinds.join(", "));
    if !lead.principal.is_empty() {
        page.beside("", PLAIN, COLUMN, &format!("by {}", principal(lead)));
    }
    let names: Vec<&str> = incident.targets().into_iter().map(|target| target.name.as_str()).collect();
    if !names.is_empty() {
        page.beside("", PLAIN, COLUMN, &format!("of {}", listed(&names)));
    }
    for reason in lead.reasons(Language::English).iter().take(NAMED) {
        page.beside("", QUIET, COLUMN, reason);
    }
    page.beside("", QUIET, COLUMN, lead.kind.to_do(Language::English));
}

fn row(severity: &str, when: &str, findings: &str) -> String {
    format!("{severity:<COLUMN$}{when:<44}{findings}")
}

fn span(incident: &Incident) -> String {
    let text = |at: Moment| match Timestamp::from_millisecond(at.as_millis()) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "beyond the calendar".to_owned(),
    };
    match incident.span() {
        None => "not dated".to_owned(),
        Some((from, to)) if from == to => text(from),
        Some((from, to)) => format!("{} to {}", text(from), text(to)),
    }
}

fn principal(finding: &Finding) -> String {
    let session = finding.session.as_ref().map(|session| format!(" as {session}"));
    let origin = finding.origin.as_ref().map(|origin| format!(" from {}", origin_text(origin)));
    format!("{}{}{}", finding.principal, session.unwrap_or_default(), origin.unwrap_or_default())
}

fn listed(names: &[&str]) -> String {
    let first = names[..names.len().min(NAMED)].join(", ");
    match names.len() {
        all if all > NAMED => format!("{all}: {first} and {} more", all - NAMED),
        _ => first,
    }
}

fn tally_page(tally: &Tally) -> Page {
    let Tally { files, records, facts, ignored, duplicate, malformed, named } = tally;
    let mut page = Page::default();
    page.line(
        QUIET,
        &format!(
            "{} in {} = {facts} facts + {ignored} ignored + {duplicate} duplicate + {malformed} malformed",
            counted(*records, "record"),
            counted(*files, "file"),
        ),
    );
    for Damage { file, offset, why } in named {
        page.whole("malformed ", QUIET, &format!("{file} at byte {offset}: {why}"));
    }
    match malformed.saturating_sub(named.len() as u64) {
        0 => (),
        more => page.line(QUIET, &format!("and {more} more")),
    }
    page
}

pub(super) fn counted(count: u64, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}
