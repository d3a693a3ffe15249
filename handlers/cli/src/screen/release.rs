//! `relatch release`.

use super::{PLAIN, Page, STRONG};
use relatch::containment::{Principal, policy::Released};

/// What is about to be done.
pub(crate) fn intended(secret: &str, denied: &[String], left: &Released) -> String {
    let mut page = Page::default();
    page.beside("", STRONG, 0, &format!("It would let {} read {secret} again.", names(denied)));
    let rest = match left {
        Released::Rest(_) => "The other statements of its policy stay as they are.",
        Released::Gone => "Nothing else is in its policy, which would be deleted.",
        Released::Nothing => "Its policy stays as it is.",
    };
    page.beside("", PLAIN, 0, rest);
    page.text()
}

/// What is not there.
pub(crate) fn absent(secret: &str, principal: Option<&Principal>) -> String {
    let mut page = Page::default();
    let who = principal.map_or("anybody", Principal::arn);
    page.beside("", PLAIN, 0, &format!("{secret}: its policy has no denial of Relatch's for {who}."));
    page.text()
}

/// Who is denied. A statement may have lost the name.
pub(crate) fn names(denied: &[String]) -> String {
    if denied.is_empty() { "whoever it denies".to_owned() } else { denied.join(" and ") }
}
