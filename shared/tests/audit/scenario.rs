//! Scenarios: from prose to facts and expectations.

use crate::record::{Event, HOME, records};
use relatch::audit::{
    finding::{Finding, Kind},
    incident::{Incident, incidents},
    judge::Judge,
    policy::Policy,
};
use relatch_events::{cloudtrail::log, fact::Fact, guardduty, moment::Moment};
use std::{collections::BTreeSet, fs, path::Path};

/// The first day of every scenario, a Monday.
const MONDAY: &str = "2026-03-02T00:00:00Z";

/// For how many days before that something is "usual".
const USUAL_DAYS: i64 = 30;

pub(crate) const DAY: i64 = 86_400_000;

/// One story.
#[derive(Debug)]
pub(crate) struct Scenario {
    /// The file it is in, without its ending.
    pub(crate) file: String,
    pub(crate) title: String,
    /// As it is written, without its title.
    pub(crate) text: String,
    pub(crate) policy: Policy,
    /// What is known before.
    pub(crate) history: Vec<Fact>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) expected: Vec<Expectation>,
    /// How many attacks it tells of.
    pub(crate) attacks: usize,
}

/// One finding that there is to be.
#[derive(Debug)]
pub(crate) struct Expectation {
    pub(crate) kind: Kind,
    pub(crate) on: Option<On>,
    /// The principal's name.
    pub(crate) by: Option<String>,
    pub(crate) severity: Option<String>,
}

#[derive(Debug)]
pub(crate) enum On {
    Name(String),
    Count(usize),
}

/// All scenarios, file by file.
pub(crate) fn all() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audit/scenarios");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|file| of_file(file)).collect()
}

fn of_file(file: &Path) -> Vec<Scenario> {
    let name = file.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(file).unwrap();
    let stories = text.split("\n# ").map(|story| story.trim_start_matches("# "));
    stories.filter(|story| !story.trim().is_empty()).map(|story| Scenario::parse(name, story)).collect()
}

impl Scenario {
    pub(crate) fn parse(file: &str, story: &str) -> Self {
        let (title, text) = story.split_once('\n').unwrap_or((story, ""));
        let mut scenario = Self {
            file: file.to_owned(),
            title: title.trim().to_owned(),
            text: text.trim().to_owned(),
            policy: Policy::default(),
            history: Vec::new(),
            facts: Vec::new(),
            expected: Vec::new(),
            attacks: 0,
        };
        let mut attacks = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--")) {
            let whole = |what: &str| format!("{file}, \"{}\": {what} in `{line}`", scenario.title);
            let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
            match first {
                "policy" => {
                    scenario.policy =
                        Policy::from_json(rest).unwrap_or_else(|error| panic!("{}", whole(&error.to_string())))
                }
                "usually" => {
                    let start = Moment::parse(MONDAY).unwrap().as_millis();
                    for day in 1..=USUAL_DAYS {
                        let events =
                            Event::parse(rest, start - day * DAY).unwrap_or_else(|| panic!("{}", whole("no event")));
                        scenario.history.extend(facts(&events));
                    }
                }
                "expect" if rest == "nothing" => {}
                "expect" => {
                    let expected = Expectation::parse(rest).unwrap_or_else(|| panic!("{}", whole("no finding")));
                    scenario.expected.push(expected);
                }
                "attacks" => attacks = Some(rest.parse().unwrap()),
                _ => {
                    let start = Moment::parse(MONDAY).unwrap().as_millis();
                    let events = Event::parse(line, start).unwrap_or_else(|| panic!("{}", whole("no event")));
                    scenario.facts.extend(facts(&events));
                }
            }
        }
        scenario.attacks = attacks.unwrap_or(usize::from(!scenario.expected.is_empty()));
        // Ids come from the events' places, so that they are the same in every run.
        for (index, fact) in scenario.history.iter_mut().chain(&mut scenario.facts).enumerate() {
            fact.id = Some(format!("event-{index:04}"));
        }
        scenario
    }

    /// What is found when the facts come like that.
    pub(crate) fn judged(&self, facts: impl IntoIterator<Item = Fact>) -> (Vec<Finding>, Judge) {
        let mut judge = Judge::new(self.policy.clone());
        let mut found = Vec::new();
        for fact in &self.history {
            judge.learn(Box::new(fact.clone()));
        }
        for fact in facts {
            judge.take(Box::new(fact), &mut found);
        }
        judge.finish(&mut found);
        (found, judge)
    }

    /// The incidents that are found, without those in the shadow.
    pub(crate) fn incidents(&self, facts: impl IntoIterator<Item = Fact>) -> Vec<Incident> {
        let (found, judge) = self.judged(facts);
        let mut incidents = incidents(found, judge.policy().thresholds.incident_gap);
        incidents.retain(|incident| !incident.is_shadowed());
        incidents
    }

    /// Whether it holds for a finding kind, as an example of it.
    pub(crate) fn is_of(&self, kind: Kind) -> bool {
        self.expected.iter().any(|expected| expected.kind == kind)
    }
}

impl Expectation {
    /// `KIND [on NAME | on N secrets] [by WHO] [as SEVERITY]`
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let kind = Kind::by_name(words.next()?)?;
        let mut expected = Self { kind, on: None, by: None, severity: None };
        while let Some(word) = words.next() {
            let next = words.next()?;
            match word {
                "on" => match next.parse() {
                    Ok(count) => {
                        words.next().filter(|word| matches!(*word, "secrets" | "parameters"))?;
                        expected.on = Some(On::Count(count));
                    }
                    Err(_) => expected.on = Some(On::Name(next.to_owned())),
                },
                "by" => expected.by = Some(next.to_owned()),
                "as" => expected.severity = Some(next.to_owned()),
                _ => return None,
            }
        }
        Some(expected)
    }

    /// Whether findings, of an incident or of all, are what was expected.
    pub(crate) fn is_met(&self, found: &[Finding]) -> bool {
        let same: Vec<&Finding> = found.iter().filter(|finding| self.names(finding)).collect();
        let targets: BTreeSet<&str> =
            same.iter().flat_map(|finding| &finding.targets).map(|target| target.name.as_str()).collect();
        let is_on = match &self.on {
            None => true,
            Some(On::Name(name)) => targets.contains(name.as_str()),
            Some(On::Count(count)) => targets.len() == *count,
        };
        let is_as = self.severity.as_ref().is_none_or(|expected| {
            same.iter().map(|finding| finding.severity).max().is_some_and(|severity| severity.name() == expected)
        });
        !same.is_empty() && is_on && is_as
    }

    /// Whether a finding is of that kind and principal.
    pub(crate) fn names(&self, finding: &Finding) -> bool {
        let is_by = self.by.as_deref().is_none_or(|by| match by {
            "nobody" => finding.principal.is_empty() || finding.principal.ends_with(".amazonaws.com"),
            "root" => finding.principal == format!("arn:aws:iam::{HOME}:root"),
            by if by.starts_with("person/") => finding.principal.contains("/AWSReservedSSO_"),
            by => finding.principal.ends_with(&format!(":{by}")) || finding.principal == by,
        });
        finding.kind == self.kind && is_by && !finding.shadowed
    }
}

fn facts(events: &[Event]) -> Vec<Fact> {
    let records = events.iter().flat_map(records);
    let fact = |record: serde_json::Value| {
        let text = record.to_string();
        if record["schemaVersion"].is_string() { guardduty::fact(text.as_bytes()) } else { log::read(text.as_bytes()) }
    };
    records.filter_map(|record| fact(record).unwrap()).collect()
}
