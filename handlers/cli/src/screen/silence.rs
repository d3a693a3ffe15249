//! `relatch silence`, `relatch silences` and `relatch unsilence`.

use super::{GOOD, PLAIN, Page, STRONG};
use crate::arguments::Place;
use jiff::Timestamp;
use relatch::alert::{name_of, policy::Silence};

/// What is about to begin.
pub(crate) fn intended(silence: &Silence) -> String {
    let mut page = Page::default();
    let what = format!("Until {} nobody would be told of {}.", time(silence.until), covered(silence));
    page.beside("", STRONG, 0, &what);
    page.text()
}

/// What has begun, and how to end it.
pub(crate) fn begun(silence: &Silence, place: &Place) -> String {
    let Silence { id, author, reason, until, .. } = silence;
    let mut page = Page::default();
    let done = format!("Silence {id}, by {author}: {reason}.");
    page.beside("Done", GOOD, 6, &done);
    page.beside("", PLAIN, 6, &format!("Until {} nobody is told of {}.", time(*until), covered(silence)));
    // Not broken, so that it can be copied.
    let command = format!("relatch unsilence {id}{}{}", place.for_aws(), place.for_relatch());
    page.whole("To end it before: ", PLAIN, &command);
    page.text()
}

/// All that there are.
pub(crate) fn list(silences: &[Silence]) -> String {
    let mut page = Page::default();
    for silence in silences {
        let Silence { id, author, reason, until, .. } = silence;
        page.beside(&format!("{id}  "), STRONG, 10, &covered(silence));
        page.beside("", PLAIN, 10, &format!("until {}, by {author}: {reason}", time(*until)));
    }
    if silences.is_empty() {
        page.line(GOOD, "Nothing is silenced.");
    }
    page.text()
}

/// What is about to end.
pub(crate) fn ending(silence: &Silence) -> String {
    let Silence { id, author, reason, until, .. } = silence;
    let mut page = Page::default();
    page.list(&[format!("{id}, until {}, by {author}: {reason}", time(*until))]);
    page.beside("", STRONG, 0, &format!("It would end the silence of {}.", covered(silence)));
    page.text()
}

/// What is not there.
pub(crate) fn absent(id: &str) -> String {
    let mut page = Page::default();
    page.beside("", PLAIN, 0, &format!("There is no silence {id}: `relatch silences` shows those that there are."));
    page.text()
}

/// What nobody is told of.
fn covered(silence: &Silence) -> String {
    // The beginning of a name has no suffix to be left out.
    let name = |subject| if str::ends_with(subject, '*') { subject } else { name_of(subject) };
    let what = match (silence.condition, silence.subject.as_deref().map(name)) {
        (None, None) => "everything".to_owned(),
        (Some(condition), None) => format!("{} of anything", condition.name()),
        (None, Some(subject)) => format!("whatever is wrong with {subject}"),
        (Some(condition), Some(subject)) => format!("{} of {subject}", condition.name()),
    };
    silence.environment.map_or(what.clone(), |environment| format!("{what} in {}", environment.name()))
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
