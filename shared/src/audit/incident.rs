//! One attack, one incident: findings of one principal, near each other in time, are told as one.
//!
//! A thief who reads twenty secrets is a new reader of each, and a burst; that is one incident, which lists twenty
//! secrets. Whose it is, is its key, and the alert's key too: what comes later is added to what people know already.

use super::finding::{Exposure, Finding, Kind, Severity};
use crate::language::Language;
use relatch_events::{
    cloudtrail::target::{Target, TargetKind},
    fact::Fact,
    moment::Moment,
};
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

    /// What was done in it, of how much, and in how long: `60 secrets read in 4 s`, `17 secrets deleted`. The gravest of
    /// what a kind says first. Empty where there is nothing to be counted.
    pub fn sums(&self, language: Language) -> Vec<String> {
        let mut sums: Vec<Sum<'_>> = Vec::new();
        for finding in &self.findings {
            let Some(deed) = Deed::of(finding) else { continue };
            for target in &finding.targets {
                let index = sums.iter().position(|sum| sum.deed == deed && sum.kind == target.kind);
                let index = index.unwrap_or_else(|| {
                    sums.push(Sum { deed, kind: target.kind, targets: BTreeSet::new(), span: None });
                    sums.len() - 1
                });
                let Some(sum) = sums.get_mut(index) else { continue };
                sum.targets.insert(target);
                if let Some(at) = finding.at {
                    let (from, to) = sum.span.unwrap_or((at, at));
                    sum.span = Some((from.min(at), to.max(at)));
                }
            }
        }
        sums.sort_by_key(|sum| sum.deed);
        sums.iter().map(|sum| sum.told(language)).collect()
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

/// What was done to things, so that they can be counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Read,
    Deleted,
    Stopped,
    Changed,
    Denied,
}

impl Deed {
    fn of(finding: &Finding) -> Option<Self> {
        let by_exposure = match finding.kind.exposure() {
            Exposure::Read => Some(if finding.has_read() { Self::Read } else { Self::Denied }),
            Exposure::Changed => Some(Self::Changed),
            Exposure::None => None,
        };
        #[allow(clippy::wildcard_enum_match_arm, reason = "most kinds say by what is exposed what was done")]
        match finding.kind {
            Kind::SecretDeleted | Kind::MassDeletion => Some(Self::Deleted),
            Kind::TrailStopped | Kind::RuleDisabled | Kind::KeyDisabledOrScheduledForDeletion => Some(Self::Stopped),
            Kind::DeniedRead | Kind::DeniedBurst => Some(Self::Denied),
            Kind::ParameterDecryptBurst => Some(Self::Read),
            Kind::TrailNarrowed | Kind::OwnFunctionChanged | Kind::AlertRouteRemoved => Some(Self::Changed),
            _ => by_exposure,
        }
    }
}

/// Things of one kind to which the same was done.
struct Sum<'a> {
    deed: Deed,
    kind: TargetKind,
    targets: BTreeSet<&'a Target>,
    span: Option<(Moment, Moment)>,
}

impl Sum<'_> {
    fn told(&self, language: Language) -> String {
        let count = self.targets.len();
        let (one, many, things) = match self.kind {
            TargetKind::Secret => ("secret", "secrets", "シークレット"),
            TargetKind::Parameter => ("parameter", "parameters", "パラメータ"),
            TargetKind::Key => ("key", "keys", "キー"),
            TargetKind::Instance | TargetKind::Cluster => ("database", "databases", "データベース"),
            TargetKind::Trail => ("trail", "trails", "証跡"),
            TargetKind::Rule => ("rule", "rules", "ルール"),
            TargetKind::Function => ("function", "functions", "関数"),
            TargetKind::Mapping => ("event source", "event sources", "イベントソース"),
            TargetKind::Topic => ("topic", "topics", "トピック"),
            TargetKind::Queue => ("queue", "queues", "キュー"),
            TargetKind::Alarm => ("alarm", "alarms", "アラーム"),
            TargetKind::Table => ("table", "tables", "テーブル"),
            TargetKind::Bucket => ("bucket", "buckets", "バケット"),
            TargetKind::Role => ("role", "roles", "ロール"),
            TargetKind::LogGroup => ("log group", "log groups", "ロググループ"),
            TargetKind::Schedule => ("schedule", "schedules", "スケジュール"),
        };
        let (deed, done) = match self.deed {
            Deed::Read => ("read", "読み取り"),
            Deed::Deleted => ("deleted", "削除"),
            Deed::Stopped => ("stopped", "停止"),
            Deed::Changed => ("changed", "変更"),
            Deed::Denied => ("tried, nothing read", "試行（読み取りなし）"),
        };
        let seconds = self.span.map(|(from, to)| to.since(from) / 1_000).filter(|seconds| count > 1 && *seconds > 0);
        let took = |seconds: i64| match seconds {
            0..=120 => (format!(" in {seconds} s"), format!("{seconds}秒間に")),
            121..=7_200 => (format!(" in {} min", seconds / 60), format!("{}分間に", seconds / 60)),
            _ => (format!(" in {} h", seconds / 3_600), format!("{}時間に", seconds / 3_600)),
        };
        let (took, during) = seconds.map(took).unwrap_or_default();
        let things_of = if count == 1 { one } else { many };
        language.choose(format!("{count} {things_of} {deed}{took}"), format!("{during}{things}{count}件を{done}"))
    }
}

/// Names in the order in which a person counts: 2 before 10.
pub fn in_natural_order(names: &mut [&str]) {
    names.sort_by_cached_key(|name| (natural(name), *name));
}

/// A name in pieces, of which those of digits are compared by their length first.
fn natural(name: &str) -> Vec<(bool, usize, &str)> {
    let mut pieces = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != is_number).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        let digits = piece.trim_start_matches('0');
        pieces.push(if is_number { (false, digits.len(), digits) } else { (true, 0, piece) });
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_in_which_a_person_counts() {
        let mut names = ["db-10", "db-2", "db-002", "db", "10", "9", "db-2a", "a10b2", "a10b10", "a9b1"];
        in_natural_order(&mut names);
        assert_eq!(names, ["9", "10", "a9b1", "a10b2", "a10b10", "db", "db-002", "db-2", "db-2a", "db-10"]);
    }
}
