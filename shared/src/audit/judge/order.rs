//! Each event once, and in the order in which they happened.

use aws_lc_rs::digest::{Context, SHA256};
use relatch_events::{
    fact::{Access, Change, Fact, Read, What},
    moment::Moment,
    trigger::ServiceEventKind,
};
use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    mem,
};

/// How many ids are remembered at least.
const REMEMBERED: usize = 250_000;

/// How many facts are held at most. With more of them within the lateness, the earliest do not wait any longer.
const HELD: usize = 32_768;

/// Facts that may still be overtaken by earlier ones.
#[derive(Debug, Default)]
pub(super) struct Order {
    held: BinaryHeap<Reverse<Held>>,
    latest: Option<Moment>,
    /// When the last one happened that said so.
    last: Option<Moment>,
}

impl Order {
    /// Takes a fact in, in whichever order. One that does not say when it happened is as old as the one before it, and those
    /// in front of all others as old as the first that says it.
    pub(super) fn put(&mut self, fact: Box<Fact>, purpose: Purpose) {
        if let (Some(at), None) = (fact.at, self.latest) {
            let dated = self.held.drain().map(|Reverse(held)| Reverse(Held { at: Some(at), ..held }));
            self.held = dated.collect::<Vec<_>>().into();
        }
        self.last = fact.at.or(self.last);
        self.latest = self.latest.max(fact.at);
        let rank = rank(&fact);
        self.held.push(Reverse(Held { at: fact.at.or(self.last), rank, fact, purpose }));
    }

    /// The earliest fact, if nothing that is late by so many milliseconds can overtake it.
    pub(super) fn next(&mut self, lateness: i64) -> Option<(Option<Moment>, Box<Fact>, Purpose)> {
        let Reverse(first) = self.held.peek()?;
        let is_due = match (first.at, self.latest) {
            (Some(at), Some(latest)) => latest.since(at) >= lateness,
            // Nothing has said when it is; with nothing to wait for, it never will.
            (None, _) | (_, None) => lateness <= 0,
        };
        if is_due || self.held.len() > HELD {
            self.held.pop().map(|Reverse(held)| (held.at, held.fact, held.purpose))
        } else {
            None
        }
    }
}

#[derive(Debug)]
struct Held {
    at: Option<Moment>,
    rank: u8,
    fact: Box<Fact>,
    purpose: Purpose,
}

/// What a fact is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To say what is to be said of it.
    Judge,
    /// To know it.
    Learn,
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |held: &Self| (held.at, held.rank);
        key(self).cmp(&key(other)).then_with(|| self.fact.id.cmp(&other.fact.id))
    }
}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Held {}

/// CloudTrail tells whole seconds. Within one, what explains comes before what it explains: the rotation's beginning
/// before its writes, a read before its decryption, an end at last.
fn rank(fact: &Fact) -> u8 {
    match &fact.what {
        What::Rotation(rotation) if rotation.kind == ServiceEventKind::Started => 0,
        What::Change(Change::RotationAsked { .. } | Change::Created { .. }) => 1,
        What::Access(Access { read: Read::Batch(_), .. }) => 2,
        What::Access(Access { read: Read::Decrypt, .. }) => 4,
        What::Rotation(_) => 5,
        What::Access(_) | What::Change(_) | What::Tamper(_) | What::Account(_) | What::Reported(_) => 3,
    }
}

/// The ids of the events that were taken: at least the last 250,000, at most twice as many. Only their digests, of which
/// two are equal by accident once in a hundred million times.
#[derive(Debug, Default)]
pub(super) struct Seen {
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Seen {
    /// Whether an event is taken for the first time.
    pub(super) fn is_new(&mut self, fact: &Fact) -> bool {
        // An event's copies in several accounts have ids of their own and one in common.
        let digest = match (&fact.shared_id, &fact.id) {
            (Some(id), _) | (None, Some(id)) => digest(id),
            (None, None) => digest(fact),
        };
        if self.old.contains(&digest) || !self.young.insert(digest) {
            return false;
        }
        if self.young.len() >= REMEMBERED {
            self.old = mem::take(&mut self.young);
        }
        true
    }
}

/// The same in every process and in every version, of texts by each of their parts. So it can be kept.
pub(super) fn lasting(parts: &[&str]) -> u64 {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.finish().as_ref().iter().take(8).fold(0, |name, byte| name << 8 | u64::from(*byte))
}

/// The same in this process only: it is not to be kept. Ids are AWS's, so that nobody can choose them to collide.
pub(super) fn digest<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use relatch_events::cloudtrail::log;

    #[test]
    fn what_does_not_say_when_it_happened_did_when_its_neighbours_did() {
        let at = |time: &str| Moment::parse(&format!("2024-03-05T{time}Z"));
        let fact = |id: &str, time: Option<&str>| {
            let time = time.map(|time| format!(r#""eventTime":"2024-03-05T{time}Z","#)).unwrap_or_default();
            let read = format!(
                r#"{{{time}"eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","eventID":"{id}"}}"#
            );
            Box::new(log::read(read.as_bytes()).unwrap().unwrap())
        };
        let mut order = Order::default();
        for (id, time) in [
            ("a", None),
            ("b", None),
            ("c", Some("09:00:00")),
            ("d", None),
            ("e", Some("11:00:00")),
            ("f", Some("10:00:00")),
            ("g", None),
        ] {
            order.put(fact(id, time), Purpose::Judge);
        }
        let mut found = Vec::new();
        while let Some((at, fact, _)) = order.next(i64::MIN) {
            found.push((fact.id.clone().unwrap(), at));
        }
        let times = [
            ("a", "09:00:00"),
            ("b", "09:00:00"),
            ("c", "09:00:00"),
            ("d", "09:00:00"),
            ("f", "10:00:00"),
            ("g", "10:00:00"),
            ("e", "11:00:00"),
        ];
        assert_eq!(found, times.map(|(id, time)| (id.to_owned(), at(time))));
        // Where nothing says it, nothing waits for ever.
        let mut order = Order::default();
        order.put(fact("a", None), Purpose::Judge);
        assert!(order.next(60_000).is_none());
        assert!(order.next(i64::MIN).is_some());
    }

    /// What is kept in a table outlives the program that has written it.
    #[test]
    fn a_digest_that_is_kept_is_the_same_in_every_version() {
        assert_eq!(lasting(&["eu-west-1"]), 3_136_946_468_837_573_029);
        assert_ne!(lasting(&["ab", "c"]), lasting(&["a", "bc"]));
    }
}
