//! `relatch pause` and `relatch resume`.

use super::{GOOD, Page, STRONG};
use jiff::Timestamp;
use relatch::{
    ports::{Controls, Pause},
    rollback::survey::diagnosis::ago,
};

/// What is paused or stopped at present.
pub(crate) fn present(controls: &Controls, now: Timestamp) -> Vec<String> {
    let said = |what: &str, pause: &Pause| format!("{what} by {} {}: {}", pause.by, ago(now, pause.at), pause.reason);
    let paused = controls.paused.as_ref().map(|pause| said("Paused", pause));
    let all = controls.everything_paused.as_ref().map(|pause| said("Everything was paused", pause));
    let stopped = controls.stopped.as_ref().map(|why| format!("Its rotations are stopped: {why}"));
    let rolled_back =
        (controls.rolled_back > 0).then(|| format!("Rotations rolled back in a row: {}", controls.rolled_back));
    [paused, all, stopped, rolled_back].into_iter().flatten().collect()
}

/// What is about to be done.
pub(crate) fn intended(what: &str, present: &[String]) -> String {
    let mut page = Page::default();
    page.list(present);
    page.beside("", STRONG, 0, what);
    page.text()
}

/// What was done.
pub(crate) fn done(what: &str) -> String {
    let mut page = Page::default();
    page.beside("Done", GOOD, 6, what);
    page.text()
}
