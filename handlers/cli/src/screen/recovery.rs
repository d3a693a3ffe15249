//! `relatch recover` and `relatch rollback`.

use super::{BAD, GOOD, Page, STRONG, headline};
use relatch::rollback::{
    Recovery,
    recovery::{Outcome, would},
};

/// What was found, and what would be done about it.
pub(crate) fn rehearsed(secret: &str, recovery: &Recovery) -> String {
    let mut page = Page::default();
    headline(&mut page, secret, recovery.found());
    page.list(&recovery.found_lines());
    page.gap();
    match &recovery.outcome {
        Outcome::Would(action) => {
            page.line(STRONG, "It would do this:");
            page.list(&[sentence(&would(*action))]);
        }
        Outcome::Opens(_) => page.beside("", GOOD, 0, &format!("Nothing to do: {}.", recovery.sentence())),
        Outcome::Waits(_) | Outcome::Refuses(_) | Outcome::Fails(_) => not_done(&mut page, recovery),
    }
    page.text()
}

/// What was done, and what came of it.
pub(crate) fn done(secret: &str, recovery: &Recovery) -> String {
    let mut page = Page::default();
    page.list(&recovery.done_lines());
    match &recovery.outcome {
        Outcome::Opens(_) => {
            let took = recovery.took.as_secs_f64();
            page.beside(
                "Done",
                GOOD,
                6,
                &format!("{} ({took:.1} s).", sentence(&recovery.sentence()).trim_end_matches('.')),
            );
            page.list(&recovery.to_do_lines());
        }
        Outcome::Waits(_) | Outcome::Refuses(_) | Outcome::Fails(_) | Outcome::Would(_) => {
            not_done(&mut page, recovery)
        }
    }
    if recovery.changed() {
        headline(&mut page, secret, recovery.left());
    }
    page.text()
}

fn not_done(page: &mut Page, recovery: &Recovery) {
    page.beside("Not done:", BAD, 10, &sentence(&recovery.sentence()));
    page.list(&recovery.to_do_lines());
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let text: String =
        characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect());
    if text.ends_with('.') { text } else { text + "." }
}
