//! What a principal did just now.

use super::standing::PrincipalStanding;
use crate::audit::finding::Kind;
use relatch_events::{fact::Fact, moment::Moment};

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
    /// The batch by which it last asked for everything.
    pub(super) bulk: Option<Box<Fact>>,
    /// When it last deleted a secret for good.
    pub(super) forced: Option<Moment>,
    /// What was told of it.
    pub(super) told: Told,
}

/// What was told just now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::audit) struct Told {
    since: Option<Moment>,
    /// A bit for each kind.
    kinds: u64,
}

impl Told {
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

/// How many things a window holds. A burst of more is one all the same.
const MOST: usize = 512;

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
                self.0.retain(|(_, last)| at.since(*last) < within);
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

    fn count(&self, at: Moment, within: i64) -> usize {
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
