//! `relatch learn`.

use super::{BAD, GOOD, PLAIN, Page, STRONG, scan::counted};
use crate::{
    learn::{Left, Lesson},
    ledger::Clock,
    screen,
};

/// So many parts that were left are named.
const NAMED: usize = 5;

/// What is about to be learned.
pub(crate) fn intended(lesson: &Lesson, clock: &Clock) -> String {
    let mut page = Page::default();
    let Lesson { baseline, environment, parts, .. } = lesson;
    if let (Some(since), Some(until)) = (baseline.since(), baseline.until()) {
        let (since, until) = (clock.time(Some(since)), clock.time(Some(until)));
        page.list(&[format!("From {since} to {until} ({}).", clock.zone())]);
    }
    let secrets = counted(baseline.secrets() as u64, "secret");
    let principals = counted(baseline.principals() as u64, "principal");
    let parts = counted(*parts as u64, "part");
    let what = format!(
        "What is usual of {secrets} and {principals} would be put beside what `audit` knows, in {}: {parts}.",
        environment.name()
    );
    page.beside("", STRONG, 0, &what);
    page.text() + &screen::scan::tally(&lesson.tally)
}

/// What was learned; and of how much, where nobody was asked.
pub(crate) fn done(lesson: &Lesson, is_unasked: bool) -> String {
    let mut page = Page::default();
    let Lesson { environment, kept, known, left, .. } = lesson;
    let known = if *known > 0 { format!("; {known} more say nothing new") } else { String::new() };
    let sentence = format!("Kept {}{known}, in {}.", counted(*kept as u64, "part"), environment.name());
    page.beside("Done", GOOD, 6, &sentence);
    for Left { part, why } in left.iter().take(NAMED) {
        page.beside("Left", BAD, 6, &format!("{part}: {why}."));
    }
    if left.len() > NAMED {
        page.beside("", PLAIN, 6, &format!("and {} more", left.len() - NAMED));
    }
    page.text() + &if is_unasked { screen::scan::tally(&lesson.tally) } else { String::new() }
}
