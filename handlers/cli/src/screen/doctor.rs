//! `relatch doctor`.

use super::{BAD, GOOD, PLAIN, Page, QUIET, STRONG, headline, sign};
use crate::arguments::Place;
use relatch::{
    ports::{Label, Login},
    rollback::survey::{
        Diagnosis, Mark, Seen, Survey,
        diagnosis::{ago, says, short},
    },
};

/// Where the sentences begin.
const COLUMN: usize = 14;

/// How many versions fit. Those without labels and not tried are left out first: they are the last.
const MOST_VERSIONS: usize = 8;

pub(crate) fn doctor(survey: &Survey, diagnosis: &Diagnosis, place: &Place) -> String {
    let mut page = Page::default();
    headline(&mut page, survey.secret.as_str(), diagnosis.impact);
    if !survey.versions.is_empty() {
        page.gap();
        page.line(QUIET, &row("version", "label", "made", "user", "the database"));
    }
    for version in survey.versions.iter().take(MOST_VERSIONS) {
        let style = match version.login {
            Some(Login::Accepted | Login::Unfit(_)) => GOOD,
            Some(Login::Rejected | Login::Refused(_) | Login::Unknown(_)) => BAD,
            None => PLAIN,
        };
        let made = version.created.map_or(String::new(), |at| ago(survey.at, at));
        let user = version.user.as_deref().unwrap_or_default();
        page.line(style, &row(&short(&version.id), &labels(version), &made, user, &says(version)));
    }
    if let Some(more) = survey.versions.len().checked_sub(MOST_VERSIONS).filter(|more| *more > 0) {
        page.line(QUIET, &format!("  and {more} older without a label; `--json` shows them all"));
    }
    page.gap();
    let seen = diagnosis.findings.iter().filter(|finding| finding.mark != Mark::Unseen);
    for finding in seen {
        let (mark, style) = sign(finding.mark);
        page.beside(&format!("{mark}  {}", finding.subject), style, COLUMN, &finding.sentence);
    }
    page.gap();
    let label = |text: &str| format!("{text:<COLUMN$}");
    match &diagnosis.wrong {
        Some(wrong) => page.beside(&label("What is wrong"), STRONG, COLUMN, wrong),
        None => page.beside(&label("All is well"), GOOD, COLUMN, "Nothing is wrong."),
    }
    match (&diagnosis.remedy, diagnosis.wrong.is_some()) {
        (Some(remedy), _) => {
            let command = remedy.command.line(&survey.secret, &place.for_aws(), &place.for_relatch());
            // Not broken, so that it can be copied.
            page.whole(&label("Do this"), STRONG, &command);
            page.beside("", PLAIN, COLUMN, &remedy.effect);
        }
        (None, true) => page.beside(&label("Do this"), STRONG, COLUMN, to_do(diagnosis)),
        (None, false) => {}
    }
    page.text()
}

/// Where no command helps: what the finding says, or that it has to be looked for elsewhere.
fn to_do(diagnosis: &Diagnosis) -> &str {
    let told = diagnosis
        .findings
        .iter()
        .filter(|finding| finding.mark == Mark::Wrong)
        .find_map(|finding| finding.to_do.as_deref());
    told.unwrap_or("No command of Relatch repairs this: mend what is said above, and look again.")
}

fn row(version: &str, label: &str, made: &str, user: &str, says: &str) -> String {
    format!("  {version:<9} {label:<22} {made:<11} {user:<13} {says}")
}

fn labels(version: &Seen) -> String {
    let names = version.labels.iter().map(|label| match label {
        Label::Current => "AWSCURRENT",
        Label::Pending => "AWSPENDING",
        Label::Previous => "AWSPREVIOUS",
    });
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}
