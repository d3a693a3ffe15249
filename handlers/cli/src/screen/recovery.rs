//! `relatch recover` and `relatch rollback`.

use super::{BAD, GOOD, Page, STRONG, headline};
use relatch::{
    language::Language,
    rollback::{
        Recovery, Rung,
        facts::PendingLabel,
        plan::Action,
        recovery::{Outcome, would},
    },
};

/// What was found, and what would be done about it.
pub(crate) fn rehearsed(secret: &str, recovery: &Recovery) -> String {
    let mut page = Page::default();
    if let Some(found) = recovery.found() {
        headline(&mut page, secret, Some(found));
    }
    let found = recovery.found_lines(Language::English);
    page.list(&found);
    if !found.is_empty() {
        page.gap();
    }
    match &recovery.outcome {
        Outcome::Would(action) => {
            page.line(STRONG, "It would do this:");
            page.list(&[sentence(&would(*action))]);
            page.list(then(recovery, *action).map(str::to_owned).as_slice());
        }
        Outcome::Opens(_) => page.beside("", GOOD, 0, &format!("Nothing to do: {}.", recovery.sentence())),
        Outcome::Waits(_) | Outcome::Refuses(_) | Outcome::Fails(_) => not_done(&mut page, secret, recovery),
    }
    page.text()
}

/// What was done, and what came of it.
pub(crate) fn done(secret: &str, recovery: &Recovery) -> String {
    let mut page = Page::default();
    if recovery.changed() {
        page.gap();
    }
    page.list(&recovery.done_lines(Language::English));
    match &recovery.outcome {
        Outcome::Opens(_) => {
            let took = recovery.took.as_secs_f64();
            page.beside(
                "Done",
                GOOD,
                6,
                &format!("{} ({took:.1} s).", sentence(&recovery.sentence()).trim_end_matches('.')),
            );
            page.list(&to_do(secret, recovery));
        }
        Outcome::Waits(_) | Outcome::Refuses(_) | Outcome::Fails(_) | Outcome::Would(_) => {
            not_done(&mut page, secret, recovery)
        }
    }
    if recovery.changed() {
        headline(&mut page, secret, recovery.left());
    }
    page.text()
}

/// What follows the first action, if a login proves that.
const fn then(recovery: &Recovery, action: Action) -> Option<&'static str> {
    match (action, recovery.facts.label) {
        (Action::SetPassword(Rung::ToPrevious, _), _) => {
            Some("Once a login has proved it, that version would be made AWSCURRENT.")
        }
        (Action::SetPassword(_, _) | Action::CreateRole | Action::ResetMaster, Some(PendingLabel::Waiting(_))) => {
            Some("Once a login has proved it, AWSPENDING would be taken off.")
        }
        (
            Action::SetPassword(_, _)
            | Action::CreateRole
            | Action::ResetMaster
            | Action::Promote(_, _)
            | Action::Unstage,
            _,
        ) => None,
    }
}

/// With the secret called as the person calls it.
fn to_do(secret: &str, recovery: &Recovery) -> Vec<String> {
    recovery.to_do_lines(Language::English).iter().map(|line| line.replace(&recovery.arn, secret)).collect()
}

fn not_done(page: &mut Page, secret: &str, recovery: &Recovery) {
    page.beside("Not done:", BAD, 10, &sentence(&recovery.sentence()));
    page.list(&to_do(secret, recovery));
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let text: String =
        characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect());
    if text.ends_with('.') { text } else { text + "." }
}
