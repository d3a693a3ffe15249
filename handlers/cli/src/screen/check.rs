//! `relatch check`.

use super::{BAD, GOOD, Page, sign};
use relatch::rollback::survey::{Diagnosis, Mark, Survey};

/// Where the sentences begin.
const COLUMN: usize = 14;

pub(crate) fn check(survey: &Survey, diagnosis: &Diagnosis) -> String {
    let mut page = Page::default();
    for finding in &diagnosis.findings {
        let (mark, style) = sign(finding.mark);
        page.beside(&format!("{mark}  {}", finding.subject), style, COLUMN, &finding.sentence);
        if let Some(to_do) = &finding.to_do {
            page.beside(&" ".repeat(COLUMN), style, COLUMN, to_do);
        }
    }
    let wrong = diagnosis.findings.iter().filter(|finding| finding.mark == Mark::Wrong).count();
    page.gap();
    match wrong {
        0 => page.line(GOOD, &format!("{}: ready for a rotation.", survey.secret)),
        1 => page.line(BAD, &format!("{}: one thing is not as it should be.", survey.secret)),
        _ => page.line(BAD, &format!("{}: {wrong} things are not as they should be.", survey.secret)),
    }
    page.text()
}
