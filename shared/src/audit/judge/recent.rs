//! What a principal did just now.

use super::standing::PrincipalStanding;
use crate::audit::{finding::Kind, spoils::Spoils};
use relatch_events::{cloudtrail::target::Target, fact::Fact, moment::Moment};
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, collections::BTreeMap, mem};

/// What a principal did just now; and what the policy says of it, so that it is asked once.
#[derive(Debug, Clone, Default)]
pub(in crate::audit) struct Recent {
    pub(super) standing: Option<PrincipalStanding>,
    /// The digest of its last user agent, and the mark of a hostile tool in it.
    pub(super) agent: Option<(u64, Option<&'static str>)>,
    /// Secrets that it read.
    pub(super) reads: Window<u32>,
    /// Regions in which it read.
    pub(super) regions: Window<u64>,
    /// Parameters that it decrypted.
    pub(super) parameters: Window<u32>,
    /// Secrets that it may not read.
    pub(super) denied: Window<u32>,
    /// Secrets that it deleted.
    pub(super) deletions: Window<u32>,
    /// Operations that it may not do.
    pub(super) operations: Window<u64>,
    /// Sign-ins that failed.
    pub(super) sign_ins: Window<u64>,
    /// Filters by which it asked for secrets.
    pub(super) filters: Window<u64>,
    /// Secrets that nobody rotates, into which it wrote a value.
    pub(super) writes: Window<u32>,
    /// Of a network: the principals that did there what is not usual for them.
    pub(super) strangers: Window<u64>,
    /// The batch by which it last asked for everything.
    pub(super) bulk: Option<Box<Fact>>,
    /// When it last deleted a secret for good.
    pub(super) forced: Option<Moment>,
    /// What was told of it.
    pub(super) told: Told,
    /// What it has read and changed in its incident.
    pub(in crate::audit) spoils: Option<Box<Spoils>>,
}

/// [`Recent`] as it is kept: secrets by their names, and without what follows from policy and fact.
///
/// Digests have other names here than before 2026-12, when they were such as another version could not know again: beside
/// those, each region and operation would count twice.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::audit) struct KeptRecent {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reads: Vec<(Target, Moment)>,
    #[serde(rename = "in_regions", skip_serializing_if = "Vec::is_empty")]
    regions: Vec<(u64, Moment)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<(Target, Moment)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denied: Vec<(Target, Moment)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deletions: Vec<(Target, Moment)>,
    #[serde(rename = "refused", skip_serializing_if = "Vec::is_empty")]
    operations: Vec<(u64, Moment)>,
    #[serde(rename = "failed_sign_ins", skip_serializing_if = "Vec::is_empty")]
    sign_ins: Vec<(u64, Moment)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filters: Vec<(u64, Moment)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    writes: Vec<(Target, Moment)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    strangers: Vec<(u64, Moment)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bulk: Option<Box<Fact>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forced: Option<Moment>,
    #[serde(skip_serializing_if = "Told::is_nothing")]
    told: Told,
    #[serde(skip_serializing_if = "Option::is_none")]
    spoils: Option<Box<Spoils>>,
}

impl Recent {
    /// As it is kept: of each window the latest [`MOST_KEPT`].
    pub(in crate::audit) fn kept(&self, name: impl Fn(u32) -> Target) -> KeptRecent {
        KeptRecent {
            reads: self.reads.kept(&name),
            regions: self.regions.kept(|region| region),
            parameters: self.parameters.kept(&name),
            denied: self.denied.kept(&name),
            deletions: self.deletions.kept(&name),
            operations: self.operations.kept(|operation| operation),
            sign_ins: self.sign_ins.kept(|sign_in| sign_in),
            filters: self.filters.kept(|filter| filter),
            writes: self.writes.kept(&name),
            strangers: self.strangers.kept(|stranger| stranger),
            bulk: self.bulk.clone(),
            forced: self.forced,
            told: self.told,
            spoils: self.spoils.clone(),
        }
    }
}

impl KeptRecent {
    /// Nothing was told of it.
    pub(in crate::audit) fn untold(&mut self) {
        (self.told, self.spoils) = (Told::NOTHING, None);
    }

    /// Takes in what another one knows, but for what was told.
    pub(in crate::audit) fn merge(&mut self, other: Self) {
        let Self {
            reads,
            regions,
            parameters,
            denied,
            deletions,
            operations,
            sign_ins,
            filters,
            writes,
            strangers,
            bulk,
            forced,
            told: _,
            spoils: _,
        } = other;
        merge(&mut self.reads, reads);
        merge(&mut self.regions, regions);
        merge(&mut self.parameters, parameters);
        merge(&mut self.denied, denied);
        merge(&mut self.deletions, deletions);
        merge(&mut self.operations, operations);
        merge(&mut self.sign_ins, sign_ins);
        merge(&mut self.filters, filters);
        merge(&mut self.writes, writes);
        merge(&mut self.strangers, strangers);
        if bulk.as_ref().map(|fact| fact.at) > self.bulk.as_ref().map(|fact| fact.at) {
            self.bulk = bulk;
        }
        self.forced = self.forced.max(forced);
    }

    /// As it was, where secrets have these numbers.
    pub(in crate::audit) fn taken(self, mut number: impl FnMut(Target, Moment) -> u32) -> Recent {
        let mut secrets = |kept: Vec<(Target, Moment)>| {
            Window(kept.into_iter().map(|(target, at)| (number(target, at), at)).collect())
        };
        Recent {
            standing: None,
            agent: None,
            reads: secrets(self.reads),
            regions: Window(self.regions),
            parameters: secrets(self.parameters),
            denied: secrets(self.denied),
            deletions: secrets(self.deletions),
            operations: Window(self.operations),
            sign_ins: Window(self.sign_ins),
            filters: Window(self.filters),
            writes: secrets(self.writes),
            strangers: Window(self.strangers),
            bulk: self.bulk,
            forced: self.forced,
            told: self.told,
            spoils: self.spoils,
        }
    }
}

/// What was told just now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::audit) struct Told {
    since: Option<Moment>,
    /// A bit for each kind.
    kinds: u64,
}

impl Told {
    pub(in crate::audit) const NOTHING: Self = Self { since: None, kinds: 0 };

    pub(in crate::audit) fn is_nothing(&self) -> bool {
        *self == Self::NOTHING
    }

    /// Whether a kind was not told within so many milliseconds. It is, from now on.
    pub(super) fn is_news(&mut self, kind: Kind, at: Moment, span: i64) -> bool {
        if self.since.is_none_or(|since| at.since(since).abs() >= span) {
            *self = Self { since: Some(at), kinds: 0 };
        }
        let bit = 1 << kind as u64;
        let is_news = self.kinds & bit == 0;
        self.kinds |= bit;
        is_news
    }
}

/// For how long a window holds things at least, as far as there is room: half a day.
const KEEPS: i64 = 12 * 3_600_000;

/// How many things a window holds. A burst of more is one all the same.
const MOST: usize = 512;

/// How many of them are kept from one invocation to the next: five windows of names, and the spoils, fit into an item of
/// DynamoDB's, where names are not of many hundred characters.
const MOST_KEPT: usize = 256;

/// Different things within some time, each when it last happened.
#[derive(Debug, Clone)]
pub(super) struct Window<T>(Vec<(T, Moment)>);

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Eq> Window<T> {
    /// Takes note of a thing. If it is not there yet: how many different ones there are now, itself among them, in the
    /// fullest stretch of that length that it is in.
    pub(super) fn note(&mut self, thing: T, at: Moment, within: i64) -> Option<usize> {
        let known = self.0.iter_mut().find(|(known, _)| *known == thing);
        if let Some((_, last)) = known {
            let is_near = at.since(*last).abs() < within;
            *last = (*last).max(at);
            if is_near {
                return None;
            }
        } else {
            if self.0.len() >= MOST {
                self.0.retain(|(_, last)| at.since(*last) < within.max(KEEPS));
            }
            if self.0.len() >= MOST {
                self.0.swap_remove(0);
            }
            self.0.push((thing, at));
        }
        Some(self.count(at, within))
    }

    /// The things that are in it then.
    pub(super) fn things(&self, at: Moment, within: i64) -> impl Iterator<Item = T> {
        self.0.iter().filter(move |(_, last)| at.since(*last).abs() < within).map(|(thing, _)| *thing)
    }

    /// The latest of them, in an order of their own, so that what is equal is written equally.
    fn kept<K: Ord>(&self, name: impl Fn(T) -> K) -> Vec<(K, Moment)> {
        latest(self.0.iter().map(|(thing, last)| (name(*thing), *last)).collect())
    }

    /// How many different things there are in the fullest stretch of that length that ends then or later.
    pub(super) fn count(&self, at: Moment, within: i64) -> usize {
        let near = self.0.iter().filter(|(_, last)| at.since(*last).abs() < within);
        if self.0.iter().all(|(_, last)| *last <= at) {
            return near.count();
        }
        // It came late: there are later ones, and a stretch may end with any of them.
        let mut times: Vec<Moment> = near.map(|(_, last)| *last).collect();
        times.sort_unstable();
        let from = |first: &Moment| times.iter().filter(|time| *time >= first && time.since(*first) < within).count();
        times.iter().filter(|first| **first <= at).map(from).max().unwrap_or(0)
    }
}

/// The latest things, in an order of their own.
fn latest<K: Ord>(mut things: Vec<(K, Moment)>) -> Vec<(K, Moment)> {
    things.sort_by(|(one, at), (other, last)| (Reverse(at), one).cmp(&(Reverse(last), other)));
    things.truncate(MOST_KEPT);
    things
}

fn merge<K: Ord>(things: &mut Vec<(K, Moment)>, others: Vec<(K, Moment)>) {
    let mut all: BTreeMap<K, Moment> = mem::take(things).into_iter().collect();
    for (thing, at) in others {
        all.entry(thing).and_modify(|last| *last = (*last).max(at)).or_insert(at);
    }
    *things = latest(all.into_iter().collect());
}
