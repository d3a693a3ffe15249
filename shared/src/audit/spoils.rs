//! What a principal has read and changed in its incident, from one invocation to the next.
//!
//! Which facts are judged at once is an accident of delivery. What is to be contained must not depend on it: so what was
//! found before something critical is kept, and that something critical was.

use super::finding::{Exposure, Finding, Severity};
use relatch_events::{
    cloudtrail::target::{Target, TargetKind},
    fact::{Fact, Outcome, What},
    moment::Moment,
    secret::VersionId,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of an incident that may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoils {
    from: Moment,
    until: Moment,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    critical: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "pairs")]
    secrets: BTreeMap<Target, Spoil>,
}

/// What became of a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoil {
    /// When something was found of it last.
    at: Option<Moment>,
    /// When it was read last; nothing where it was only changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Moment>,
    /// Which versions are known to have been read.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub versions: BTreeSet<VersionId>,
}

/// How many secrets are known at most, the latest; as many as a window keeps.
const MOST: usize = 256;

/// How many versions of each.
const MOST_VERSIONS: usize = 4;

impl Spoils {
    const fn beginning(at: Moment) -> Self {
        Self { from: at, until: at, critical: false, secrets: BTreeMap::new() }
    }

    /// Whether anything of it was critical.
    pub const fn is_critical(&self) -> bool {
        self.critical
    }

    /// The secrets that were read or changed.
    pub const fn secrets(&self) -> &BTreeMap<Target, Spoil> {
        &self.secrets
    }

    /// Whether what happened in that time belongs to the same incident: it is not further away than `gap` milliseconds.
    pub fn is_near(&self, from: Moment, until: Moment, gap: i64) -> bool {
        from.since(self.until) <= gap && self.from.since(until) <= gap
    }

    /// Takes note of what was found of a fact, or of the version that it tells.
    pub(super) fn note(known: &mut Option<Box<Self>>, fact: &Fact, findings: &[Finding], at: Moment, gap: i64) {
        // Whoever is not known by name is many.
        if fact.actor.id.is_empty() {
            return;
        }
        let mut told = findings.iter().filter(|finding| finding.is_told()).peekable();
        if told.peek().is_some() {
            let is_over = known.as_ref().is_none_or(|known| at.since(known.until) > gap);
            if is_over {
                *known = Some(Box::new(Self::beginning(at)));
            }
        }
        let Some(known) = known.as_mut().filter(|known| known.is_near(at, at, gap)) else { return };
        for finding in told {
            known.add(finding, fact, at);
        }
        if let (What::Access(access), Outcome::Done) = (&fact.what, &fact.outcome)
            && let Some(version) = &access.version
        {
            for target in &fact.targets {
                let spoil = known.secrets.get_mut(target);
                if let Some(spoil) = spoil.filter(|spoil| spoil.read.is_some() && spoil.versions.len() < MOST_VERSIONS)
                {
                    spoil.versions.insert(version.clone());
                }
            }
        }
    }

    fn add(&mut self, finding: &Finding, fact: &Fact, at: Moment) {
        (self.from, self.until) = (self.from.min(at), self.until.max(at));
        self.critical |= finding.severity == Severity::Critical;
        let read = match finding.kind.exposure() {
            Exposure::Read if fact.outcome == Outcome::Done => Some(at),
            Exposure::Changed if fact.outcome == Outcome::Done => None,
            Exposure::Read | Exposure::Changed | Exposure::None => return,
        };
        for target in finding.targets.iter().filter(|target| target.kind == TargetKind::Secret) {
            let spoil = self.secrets.entry(target.clone()).or_default();
            (spoil.at, spoil.read) = (spoil.at.max(Some(at)), spoil.read.max(read));
        }
        while self.secrets.len() > MOST {
            let oldest = self.secrets.iter().min_by_key(|(_, spoil)| spoil.at).map(|(target, _)| target.clone());
            oldest.map(|target| self.secrets.remove(&target));
        }
    }
}

/// A map whose keys are no text, as a list.
mod pairs {
    use super::{BTreeMap, Deserialize, Spoil, Target};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<Target, Spoil>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Target, Spoil>, D::Error> {
        Ok(Vec::<(Target, Spoil)>::deserialize(from)?.into_iter().collect())
    }
}
