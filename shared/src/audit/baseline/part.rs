//! A baseline in parts: one for each principal and for each secret, and one of what belongs to none.
//!
//! Whoever judges a few facts at a time, in a process that may be gone before the next ones, needs only the parts of those
//! whom they are about, and keeps those again. So a part holds more than [`Baseline::to_json`]: also what was done and
//! told just now, by which a burst is noticed though its events come one by one.

use super::{BadBaseline, Baseline, Birth, Principal, Reader, RotationHabit, Secret, Sharing, Stamped, Told};
use crate::audit::judge::{self, KeptRecent};
use relatch_events::{cloudtrail::target::Target, fact::Fact, moment::Moment};
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Which part of a baseline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// What belongs to no principal and no secret: the keys that secrets are encrypted with, settings of the watchers.
    General,
    /// What is known of a principal.
    Principal(String),
    /// What is known of a secret or a parameter, and of who reads it.
    Secret(Target),
}

impl Part {
    /// How many bytes of a part's text can be kept: an item of DynamoDB's has 400 KB at most, with its key and everything.
    pub const LARGEST: usize = 390_000;

    /// The parts that have to be known for facts to be judged; judging them changes no others.
    pub fn needed_for<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> BTreeSet<Self> {
        let mut parts = BTreeSet::from([Self::General]);
        for fact in facts {
            parts.insert(Self::Principal(judge::principal(fact).into_owned()));
            parts.extend(judge::joint(fact).map(Self::Principal));
            parts.extend(fact.secrets().cloned().map(Self::Secret));
            parts.extend(fact.replicas().map(Self::Secret));
        }
        parts
    }
}

/// Its name, unique among the parts of a baseline.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::General => f.write_str("general"),
            Self::Principal(id) => write!(f, "principal#{id}"),
            Self::Secret(target) => write!(f, "secret#{target}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeptGeneral<'a> {
    pub(super) keys: Cow<'a, BTreeSet<String>>,
    pub(super) settings: Cow<'a, BTreeMap<String, Stamped<String>>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeptPrincipal<'a> {
    #[serde(flatten)]
    pub(super) principal: Cow<'a, Principal>,
    pub(super) recent: KeptRecent,
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeptSecret<'a> {
    pub(super) first: Moment,
    pub(super) last: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) creator: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rotation: Option<Cow<'a, RotationHabit>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) birth: Option<Birth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<Cow<'a, Stamped<Sharing>>>,
    pub(super) readers: Vec<KeptReader<'a>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeptReader<'a> {
    pub(super) name: Cow<'a, str>,
    #[serde(flatten)]
    pub(super) reader: Cow<'a, Reader>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Moment>,
    #[serde(default, skip_serializing_if = "Told::is_nothing")]
    pub(super) told: Told,
}

impl Baseline {
    /// All its parts.
    pub fn parts(&self) -> Vec<Part> {
        let principals = self.principals.rows().map(|(id, _)| Part::Principal(id.to_string()));
        let secrets = self.secrets.rows().map(|(target, _)| Part::Secret(Target::clone(target)));
        let general = (!self.keys.is_empty() || !self.settings.is_empty()).then_some(Part::General);
        general.into_iter().chain(principals).chain(secrets).collect()
    }

    /// A part as JSON; `None` if nothing is known of it. Equal knowledge is equal text.
    ///
    /// # Errors
    /// None that is known of.
    pub fn part(&self, part: &Part) -> Result<Option<String>, serde_json::Error> {
        let text = match part {
            Part::General if self.keys.is_empty() && self.settings.is_empty() => return Ok(None),
            Part::General => {
                let (keys, settings) = (Cow::Borrowed(&self.keys), Cow::Borrowed(&self.settings));
                serde_json::to_string(&KeptGeneral { keys, settings })
            }
            Part::Principal(id) => {
                let Some(principal) = self.principal(id) else { return Ok(None) };
                let recent = principal.recent.kept(|number| self.secrets.name(number).clone());
                serde_json::to_string(&KeptPrincipal { principal: Cow::Borrowed(principal), recent })
            }
            Part::Secret(target) => {
                let Some(secret) = self.secret(target) else { return Ok(None) };
                serde_json::to_string(&self.kept_secret(secret))
            }
        };
        text.map(Some)
    }

    fn kept_secret<'a>(&'a self, secret: &'a Secret) -> KeptSecret<'a> {
        let kept = |(number, reader): &'a (u32, Reader)| {
            let name = Cow::Borrowed(self.principals.name(*number));
            let mut sorted = reader.clone();
            sorted.networks.sort();
            sorted.tools.sort();
            KeptReader { name, reason: reader.reason, told: reader.told, reader: Cow::Owned(sorted) }
        };
        let mut readers: Vec<KeptReader<'_>> = secret.readers.iter().map(kept).collect();
        readers.sort_by(|one, other| one.name.cmp(&other.name));
        KeptSecret {
            first: secret.first,
            last: secret.last,
            creator: secret.creator.map(|number| Cow::Borrowed(self.principals.name(number))),
            rotation: secret.rotation.as_deref().map(Cow::Borrowed),
            birth: secret.birth,
            policy: secret.policy.as_ref().map(Cow::Borrowed),
            readers,
        }
    }

    /// Takes in what [`Baseline::part`] has written, in place of what is known of that part.
    ///
    /// # Errors
    /// When the text is something else; then nothing is taken in.
    pub fn take_part(&mut self, part: &Part, text: &str) -> Result<(), BadBaseline> {
        match part {
            Part::General => {
                let kept: KeptGeneral<'_> = serde_json::from_str(text)?;
                (self.keys, self.settings) = (kept.keys.into_owned(), kept.settings.into_owned());
            }
            Part::Principal(id) => {
                let KeptPrincipal { principal, recent } = serde_json::from_str(text)?;
                let recent = recent.taken(|target, at| self.known_secret(&target, at));
                let number = self.known_principal(id, principal.last);
                self.principals[number] = Principal { recent, ..principal.into_owned() };
            }
            Part::Secret(target) => {
                let kept: KeptSecret<'_> = serde_json::from_str(text)?;
                let creator = kept.creator.map(|name| self.known_principal(&name, kept.first));
                let mut readers = Vec::with_capacity(kept.readers.len());
                for KeptReader { name, reader, reason, told } in kept.readers {
                    let reader = Reader { reason, told, ..reader.into_owned() };
                    readers.push((self.known_principal(&name, reader.last.unwrap_or(kept.last)), reader));
                }
                readers.sort_by_key(|(number, _)| *number);
                let number = self.known_secret(target, kept.first);
                self.readers = self.readers + readers.len() - self.secrets[number].readers.len();
                self.secrets[number] = Secret {
                    creator,
                    readers,
                    rotation: kept.rotation.map(|rotation| Box::new(rotation.into_owned())),
                    birth: kept.birth,
                    policy: kept.policy.map(Cow::into_owned),
                    last: kept.last,
                    ..Secret::new(kept.first)
                };
            }
        }
        Ok(())
    }

    /// The number of a principal, of whom perhaps only the name is known.
    fn known_principal(&mut self, id: &str, at: Moment) -> u32 {
        self.principals.find(id).unwrap_or_else(|| self.principals.insert(id.into(), Principal::new(at)))
    }

    /// The number of a secret, of which perhaps only the name is known.
    fn known_secret(&mut self, target: &Target, at: Moment) -> u32 {
        self.secrets.find(target).unwrap_or_else(|| self.secrets.insert(target.clone().into(), Secret::new(at)))
    }
}
