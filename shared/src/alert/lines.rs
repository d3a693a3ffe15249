//! What is said of an incident, line by line: the gravest of it, and how many lines more there were.
//!
//! An incident may grow to thousands of findings, and what is known of it is one item of DynamoDB's, of 400 KB at most. So
//! a hundred lines of a list are kept; of the others only which they were, so that what is found again is nothing new.

use super::Alert;
use crate::{audit::finding::Severity, language::Language};
use aws_lc_rs::digest::{SHA256, digest};
use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashSet},
};

/// The most lines of a list that are kept. The access log has the rest.
pub(super) const MOST_LINES: usize = 100;

/// The longest line of what was found, in bytes.
const LONGEST_LINE: usize = 2_500;

/// Of how many lines more it is known which they were. What is beyond is not counted.
const MOST_UNSAID: usize = 2_000;

impl Alert {
    /// What is known of an incident, with what was found now: each sentence once, the graver ones first and else as they
    /// came; and named for what is gravest.
    #[must_use]
    pub fn joined(&self, more: &Self) -> Self {
        let both = |lines: fn(&Self) -> &Vec<String>| lines(self).iter().chain(lines(more)).cloned().collect();
        let joined = |found: Vec<_>| {
            Self {
                lead: self.lead.max(more.lead),
                done: both(|alert| &alert.done),
                to_do: both(|alert| &alert.to_do),
                unsaid: self.unsaid.union(&more.unsaid).copied().collect(),
                sum: self.sum.clone(),
                ..more.clone()
            }
            .finding(found)
        };
        // What is found again may be a part of the incident, and of a part it is another sum.
        let is_sum = |line: &String| more.sum.as_ref() == Some(line);
        let again = joined(self.graded().chain(more.graded().filter(|(_, line)| !is_sum(line))).collect());
        if again == *self { again } else { joined(self.graded().chain(more.graded()).collect()) }
    }

    /// The same, of which these lines were found. Of each list as many are kept as can be, each once, and of what was found
    /// the graver ones.
    #[must_use]
    pub(super) fn finding(mut self, mut found: Vec<(Option<Severity>, String)>) -> Self {
        found.sort_by_key(|(severity, _)| Reverse(*severity));
        let mut said = HashSet::new();
        found.retain(|(_, line)| said.insert(line.clone()));
        self.gravities = found.iter().take(MOST_LINES).filter_map(|(severity, _)| *severity).collect();
        self.found = found.into_iter().map(|(_, line)| line).collect();
        let Self { found, done, to_do, unsaid, .. } = &mut self;
        for lines in [found, done, to_do] {
            let mut said = HashSet::new();
            lines.retain(|line| said.insert(line.clone()));
            let rest = lines.split_off(lines.len().min(MOST_LINES));
            for line in lines {
                unsaid.remove(&named(line));
            }
            for line in rest {
                if unsaid.len() < MOST_UNSAID {
                    unsaid.insert(named(&line));
                }
            }
        }
        self
    }

    /// The same, as people are told it: with how many lines more there were.
    #[must_use]
    pub(super) fn told(self, language: Language) -> Self {
        let more = self.unsaid.len();
        let line = language.choose(format!("And {more} more."), format!("ほか{more}件"));
        let found = self.found.into_iter().chain((more > 0).then_some(line)).collect();
        Self { found, gravities: Vec::new(), unsaid: BTreeSet::new(), ..self }
    }

    /// What was found, with how grave it is: where that is not known, as grave as what is gravest.
    fn graded(&self) -> impl Iterator<Item = (Option<Severity>, String)> {
        let gravest = self.lead.map(|lead| lead.severity);
        let severity = move |index: usize| self.gravities.get(index).copied().or(gravest);
        self.found.iter().enumerate().map(move |(index, line)| (severity(index), line.clone()))
    }
}

/// A line that is not too long: its beginning, where it is.
pub(super) fn bounded(mut line: String) -> String {
    if line.len() > LONGEST_LINE {
        line.truncate(line.floor_char_boundary(LONGEST_LINE));
        line.push('…');
    }
    line
}

/// Which line it is, in short.
fn named(line: &str) -> u64 {
    let digest = digest(&SHA256, line.as_bytes());
    digest.as_ref().iter().take(8).fold(0, |name, byte| name << 8 | u64::from(*byte))
}
