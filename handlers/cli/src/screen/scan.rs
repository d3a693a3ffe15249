//! `relatch scan`.

use super::{BAD, GOOD, PLAIN, Page, QUIET, STRONG};
use crate::scan::{Damage, Tally};
use jiff::Timestamp;
use relatch::{
    audit::{
        baseline::tool,
        finding::{Evidence, Finding, Kind, Severity, origin_text},
        incident::{Incident, in_natural_order},
    },
    language::{Language, Spoken as _},
};
use relatch_events::{foreign, moment::Moment};
use std::{cmp::Reverse, collections::BTreeSet};

/// Where what there is to say of an incident begins.
const COLUMN: usize = 10;

/// So many secrets are named.
const NAMED: usize = 5;

/// So many reasons are given for a kind.
const REASONS: usize = 3;

/// So many sessions, addresses, programs, regions and accounts are named.
const WHO: usize = 3;

/// Incidents, the gravest first, and what became of the records. `unread` is how many files or folders could not be read, or
/// not whole.
pub(crate) fn scan(incidents: &[Incident], tally: &Tally, unread: usize) -> String {
    let mut page = Page::default();
    let (shadowed, told): (Vec<&Incident>, Vec<_>) = incidents.iter().partition(|incident| incident.is_shadowed());
    let mut sorted = told.clone();
    sorted.sort_by_key(|incident| Reverse(incident.severity()));
    not_all(&mut page, tally, unread);
    if !sorted.is_empty() {
        page.line(QUIET, &row("severity", "when (UTC)", "findings"));
    }
    for incident in sorted {
        one(&mut page, incident);
    }
    let within = if unread == 0 { "" } else { " in what could be read" };
    match told.len() {
        0 if unread == 0 => page.line(GOOD, "Nothing was found."),
        0 => page.line(BAD, &format!("Nothing was found{within}.")),
        1 => page.line(BAD, &format!("One incident was found{within}.")),
        all => page.line(BAD, &format!("{all} incidents were found{within}.")),
    }
    if !shadowed.is_empty() {
        page.line(
            QUIET,
            &format!("Only for the record, by the policy: {}.", counted(shadowed.len() as u64, "incident")),
        );
    }
    page.text() + &tally_page(tally).text()
}

/// That not everything could be read, if so.
pub(crate) fn unread(tally: &Tally, unread: usize) -> String {
    let mut page = Page::default();
    not_all(&mut page, tally, unread);
    page.text()
}

fn not_all(page: &mut Page, tally: &Tally, unread: usize) {
    if unread > 0 {
        let malformed = match tally.malformed {
            0 => String::new(),
            all => format!(", among them {}", counted(all, "malformed record")),
        };
        let what = if unread == 1 { "One file or folder" } else { &format!("{unread} files or folders") };
        page.beside(
            "",
            BAD,
            0,
            &format!("Not everything could be read: {what}{malformed}. Each is named in a line of its own."),
        );
    }
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
    let head = row(lead.severity.name(), &span(incident), &incident.findings.len().to_string());
    page.line(style, &head);
    let sums = incident.sums(Language::English);
    if !sums.is_empty() {
        page.beside("", STRONG, COLUMN, &sums.join(", "));
    }
    let who = who(incident);
    if !who.is_empty() {
        page.beside("", PLAIN, COLUMN, &who);
    }
    let mut advice = Vec::new();
    for kind in incident.kinds() {
        let all: Vec<&Finding> = incident.findings.iter().filter(|finding| finding.kind == kind).collect();
        page.beside("", PLAIN, COLUMN, &of_kind(kind, &all));
        // By what was done at the worst.
        let worst = all.iter().find(|finding| finding.has_read()).or(all.first());
        advice.extend(worst.map(|finding| finding.to_do(Language::English)).filter(|to_do| !advice.contains(to_do)));
    }
    for to_do in advice {
        page.beside("", QUIET, COLUMN, to_do);
    }
}

/// What there is of a kind: how many things, which, and why it is told.
fn of_kind(kind: Kind, all: &[&Finding]) -> String {
    let targets: BTreeSet<_> = all.iter().flat_map(|finding| &finding.targets).collect();
    let mut names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    in_natural_order(&mut names);
    let mut evidence: Vec<&Evidence> = Vec::new();
    for one in all.iter().flat_map(|finding| &finding.evidence) {
        match evidence.iter_mut().find(|known| **known == one || is_more(one, known)) {
            Some(known) => *known = one,
            None => evidence.push(one),
        }
    }
    let mut reasons: Vec<String> = evidence.into_iter().map(|one| one.spoken(Language::English)).collect();
    let more = reasons.len().saturating_sub(REASONS);
    reasons.truncate(REASONS);
    if more > 0 {
        reasons.push(format!("and {more} more"));
    }
    let names = (!names.is_empty()).then(|| listed(&names));
    let parts: Vec<String> = names.into_iter().chain(reasons).collect();
    if parts.is_empty() { kind.name().to_owned() } else { format!("{}: {}", kind.name(), parts.join("; ")) }
}

/// Whether what was counted is what was counted before, and has grown.
fn is_more(now: &Evidence, before: &Evidence) -> bool {
    match (now, before) {
        (Evidence::Count { of: now, .. }, Evidence::Count { of: before, .. }) => now == before,
        (_, _) => false,
    }
}

/// Who it was, from where, with what, and where it happened, over all findings.
fn who(incident: &Incident) -> String {
    let each = |label: &str, of: &dyn Fn(&Finding) -> Option<String>| {
        let all: BTreeSet<String> = incident.findings.iter().filter_map(of).filter(|text| !text.is_empty()).collect();
        let names: Vec<&str> = all.iter().map(String::as_str).take(WHO).collect();
        let more = all.len().saturating_sub(WHO);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        (!names.is_empty()).then(|| format!("{label} {}{more}", foreign::list(names)))
    };
    let parts = [
        each("by", &|finding| Some(finding.principal.clone())),
        each("as", &|finding| finding.session.clone()),
        each("from", &|finding| finding.origin.as_ref().map(origin_text)),
        each("with", &|finding| finding.user_agent.as_deref().map(|agent| tool(agent).to_owned())),
        each("in", &|finding| finding.region.clone()),
        each("of account", &|finding| finding.account.clone()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
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

fn listed(names: &[&str]) -> String {
    let first = foreign::list(names.iter().copied().take(NAMED));
    match names.len() {
        all if all > NAMED => format!("{all} ({first} and {} more)", all - NAMED),
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
