//! `relatch verify`.

use super::{BAD, GOOD, PLAIN, Page, QUIET};
use crate::ledger::{
    Clock,
    verify::{TO_DO, TO_DO_DISTRUSTED, TO_DO_UNLISTED, Verdict},
};
use relatch::audit::chain::Anchor;
use relatch_events::moment::Moment;

/// So many records are named, and so many anchors.
const NAMED: usize = 5;

pub(crate) fn verdict(verdict: &Verdict, clock: &Clock) -> String {
    let mut page = Page::default();
    let Verdict { environment, from, end, broken, unlisted, distrusted, .. } = verdict;
    let name = environment.name();
    let all = end.sequence - from.sequence;
    let read = match (all, verdict.span) {
        (1, Some((first, _))) => format!("record {}, of {}", end.sequence, clock.time(Some(first))),
        (_, Some((first, last))) => format!(
            "{all} records, {} to {}, written from {} to {} ({})",
            from.next(),
            end.sequence,
            clock.time(Some(first)),
            clock.time(Some(last)),
            clock.zone()
        ),
        (_, None) => "no record".to_owned(),
    };
    match broken {
        Some(broken) => {
            page.beside("Broken", BAD, 9, &format!("The chain of {name}: {}.", broken.sentence()));
            page.beside("", PLAIN, 9, broken.meaning());
            page.beside("Before", PLAIN, 9, &format!("{}.", capital(&read)));
            page.beside("Do this", PLAIN, 9, TO_DO);
        }
        None if all == 0 && from.sequence == 0 => {
            page.beside("Empty", GOOD, 9, &format!("Nothing was ever written down of changes, in {name}."));
            page.beside("", PLAIN, 9, "Or all of it was removed, with its end: only an anchor could tell.");
        }
        None if all == 0 => {
            page.beside("Whole", GOOD, 9, &format!("Nothing follows record {}, in {name}.", from.sequence))
        }
        None => page.beside("Whole", GOOD, 9, &format!("{}, in {name}.", capital(&read))),
    }
    if !unlisted.is_empty() {
        let records: Vec<String> = unlisted.iter().take(NAMED).map(u64::to_string).collect();
        let more = unlisted.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        page.beside("Hidden", BAD, 9, &format!("History does not lead to record {}{more}.", records.join(", ")));
        page.beside("", PLAIN, 9, TO_DO_UNLISTED);
    }
    anchors(&mut page, verdict, clock);
    if !distrusted.is_empty() {
        let forged: Vec<String> =
            distrusted.iter().take(NAMED).map(|(place, why)| format!("{}: {why}", place.key)).collect();
        let more = distrusted.len().saturating_sub(NAMED);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        page.beside("Forged", BAD, 9, &format!("{}{more}.", forged.join("; ")));
        page.beside("", PLAIN, 9, TO_DO_DISTRUSTED);
    }
    if verdict.is_whole() {
        page.whole("End      ", PLAIN, &format!("{}:{}", end.sequence, end.digest));
    }
    page.text()
}

fn anchors(page: &mut Page, verdict: &Verdict, clock: &Clock) {
    let Verdict { met, passed_by, broken, .. } = verdict;
    let one = |anchor: &Anchor| {
        let at = Moment::from_millis(anchor.at.as_millisecond());
        format!("record {} of {}", anchor.head.sequence, clock.time(Some(at)))
    };
    let named: Vec<String> = met.iter().rev().take(NAMED).map(one).collect();
    let more = met.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} before") } else { String::new() };
    match (met.len(), broken) {
        (0, Some(_)) => {}
        (0, None) => page.beside("Anchors", QUIET, 9, "none: that the end was not written anew is not proved."),
        (_, _) => page.beside("Anchors", PLAIN, 9, &format!("met: {}{more}.", named.join(", "))),
    }
    if *passed_by > 0 {
        page.beside("", QUIET, 9, &format!("{passed_by} are of what --from says is trusted, and were not looked at."));
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}
