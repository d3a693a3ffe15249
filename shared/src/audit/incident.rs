//! One attack, one incident: findings of one principal, near each other in time, are told as one.
//!
//! A thief who reads twenty secrets is a new reader of each, and a burst; that is one incident, which lists twenty
//! secrets. Whose it is, is its key, and the alert's key too: what comes later is added to what people know already.

use super::finding::{Finding, Kind, Severity};
use relatch_events::{cloudtrail::target::Target, fact::Fact, moment::Moment};
use std::collections::{BTreeMap, BTreeSet};

/// Findings that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Whose it is; the alert's key.
    pub key: String,
    /// The graver findings first, then in order of time. At least one.
    pub findings: Vec<Finding>,
}

impl Incident {
    /// The gravest finding, which names the incident.
    pub fn lead(&self) -> Option<&Finding> {
        self.findings.first()
    }

    /// How grave it is. What is in the shadow does not count, unless there is nothing else.
    pub fn severity(&self) -> Option<Severity> {
        self.lead().map(|finding| finding.severity)
    }

    /// Its kinds, the gravest first, each once.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds = Vec::new();
        for finding in &self.findings {
            if !kinds.contains(&finding.kind) {
                kinds.push(finding.kind);
            }
        }
        kinds
    }

    /// What it was about: the secrets, mostly. Each once.
    pub fn targets(&self) -> BTreeSet<&Target> {
        self.findings.iter().flat_map(|finding| &finding.targets).collect()
    }

    /// CloudTrail's ids of its events, each once.
    pub fn events(&self) -> BTreeSet<&str> {
        self.findings.iter().flat_map(|finding| &finding.events).map(String::as_str).collect()
    }

    /// From when until when, as far as its events say.
    pub fn span(&self) -> Option<(Moment, Moment)> {
        let times = self.findings.iter().filter_map(|finding| finding.at);
        Some((times.clone().min()?, times.max()?))
    }

    /// Whether it is only for the record.
    pub fn is_shadowed(&self) -> bool {
        self.findings.iter().all(|finding| finding.shadowed)
    }
}

/// Puts findings together whose keys are the same and which are not further apart than `gap` milliseconds. In whichever
/// order they come, the incidents are the same; the earliest is first.
pub fn incidents(findings: Vec<Finding>, gap: i64) -> Vec<Incident> {
    let mut by_key: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for finding in findings {
        by_key.entry(finding.key.clone()).or_default().push(finding);
    }
    let mut incidents = Vec::new();
    for (key, mut findings) in by_key {
        findings.sort_by(|one, other| (one.at, one.kind, &one.events).cmp(&(other.at, other.kind, &other.events)));
        let are_near = |one: &Finding, other: &Finding| match (one.at, other.at) {
            (Some(one), Some(other)) => other.since(one) <= gap,
            (None, _) | (_, None) => true,
        };
        let together = findings.chunk_by(are_near).map(<[Finding]>::to_vec);
        incidents.extend(together.map(|mut findings| {
            findings.sort_by_key(|finding| (finding.shadowed, std::cmp::Reverse(finding.severity)));
            Incident { key: key.clone(), findings }
        }));
    }
    incidents.sort_by(|one, other| (one.span(), &one.key).cmp(&(other.span(), &other.key)));
    incidents
}

/// Whose a finding is: the principal's, or, where nobody did it or nobody is told, the thing's.
pub(super) fn key(kind: Kind, fact: &Fact) -> String {
    let thing = || fact.targets.first().map(Target::to_string);
    let origin = || fact.origin.as_ref().map(super::finding::origin_text);
    // What a secret's rotation does is the secret's, as it is in alerts.
    if kind.is_of_rotation() {
        format!("{}/{}", kind.name(), thing().unwrap_or_default())
    } else if fact.actor.id.is_empty() {
        format!("audit/{}", thing().or_else(origin).unwrap_or_else(|| fact.action.clone()))
    } else {
        format!("audit/{}", fact.actor.id)
    }
}
