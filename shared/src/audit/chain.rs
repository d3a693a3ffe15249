//! The chain of changes: each record names the one before it by a digest, so that none can be removed, altered, moved or
//! slipped in without a trace.
//!
//! There is one chain for each environment, in the order in which changes arrived. One, not one for each secret: whoever
//! removes all that is known of a secret then leaves a gap in what is known of the others, and a single [`Anchor`] vouches
//! for everything before it. What it costs is that writers take turns; but changes are rare beside reads (which are not
//! chained), and a turn appends many at once.
//!
//! A chain alone shows a change of its middle. Who can write to all of it can also cut its end off, or write its end anew,
//! and nothing in it tells. That is what anchors are for: heads that are kept where nobody can change them.

use super::ledger::Entry;
use crate::config::Environment;
use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use relatch_events::moment::Moment;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A change, in its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place: the first one is 1, and there are no gaps.
    pub sequence: u64,
    /// When it was put there.
    pub recorded: Moment,
    /// The digest of the record before it; of the first one, that of [the environment's beginning](Head::beginning).
    pub previous: Digest,
    /// What was recorded: the [`Entry`]'s text. The text is what is chained, so that a record can be verified by those who
    /// do not know all of its words.
    pub entry: String,
    /// The digest of all that.
    pub digest: Digest,
}

impl Record {
    /// The record that follows.
    pub fn after(head: Head, recorded: Moment, entry: &Entry) -> Self {
        Self::linked(head, recorded, entry.to_text())
    }

    /// What was recorded. `None` if it is in words that are not known here.
    pub fn entry(&self) -> Option<Entry> {
        Entry::from_text(&self.entry)
    }

    /// The chain's end, while this is its last record.
    pub const fn head(&self) -> Head {
        Head { sequence: self.sequence, digest: self.digest }
    }

    /// Whether its digest is that of what it says. This alone does not tell that it is what was written: see [`verify`].
    pub fn is_whole(&self) -> bool {
        self.digest == digest_of(self.sequence, self.recorded, self.previous, &self.entry)
    }

    fn linked(head: Head, recorded: Moment, entry: String) -> Self {
        let (sequence, previous) = (head.next(), head.digest);
        Self { sequence, recorded, previous, digest: digest_of(sequence, recorded, previous, &entry), entry }
    }
}

/// The end of a chain: how many records there are, and the digest of the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The sequence number of the last record.
    pub sequence: u64,
    /// Its digest.
    pub digest: Digest,
}

impl Head {
    /// Of a chain that has no records yet. Each environment begins with a digest of its own, so that no record of one
    /// chain fits into another.
    pub fn beginning(environment: Environment) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(b"relatch ledger chain 1\0");
        context.update(environment.name().as_bytes());
        Self { sequence: 0, digest: Digest::of(context) }
    }

    /// The sequence number that the next record has.
    pub const fn next(self) -> u64 {
        self.sequence.saturating_add(1)
    }
}

/// What a chain's end was at some time, as it is kept elsewhere. It vouches for every record up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The end.
    #[serde(flatten)]
    pub head: Head,
    /// When.
    pub at: Timestamp,
}

/// Where a chain is broken first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// A record is not there: removed, or moved to elsewhere.
    #[error("record {sequence} is missing")]
    Missing {
        /// Its sequence number.
        sequence: u64,
    },
    /// A record that is there before is there again: inserted, or moved here.
    #[error("record {sequence} is there a second time, after record {after}")]
    Surplus {
        /// The sequence number that it bears.
        sequence: u64,
        /// The record that it follows.
        after: u64,
    },
    /// A record's digest is not that of what it says.
    #[error("record {sequence} is not what was written")]
    Altered {
        /// Its place.
        sequence: u64,
    },
    /// A record was written after another one than that which precedes it: one of the two was replaced.
    #[error("record {sequence} does not follow the record before it: one of them was replaced")]
    Unlinked {
        /// Its sequence number.
        sequence: u64,
    },
    /// A record fits into the chain but is not the one that was anchored: it, or some before it, were written anew.
    #[error("record {sequence} is not the one that was anchored at {at}: what leads to it was written anew")]
    Rewritten {
        /// The anchor's sequence number.
        sequence: u64,
        /// When it was anchored.
        at: Timestamp,
    },
}

/// Whether records are those that were written, all of them, in their order; `from` is the trusted end of what is not
/// looked at again ([`Head::beginning`] to look at everything). Answers with the chain's end.
///
/// The end of the table's own chain belongs among the anchors: it tells whether the last records are missing, as long as
/// it was not changed along with them.
///
/// # Errors
/// Where the chain is broken first.
pub fn verify<'a>(
    from: Head,
    records: impl IntoIterator<Item = &'a Record>,
    anchors: &[Anchor],
) -> Result<Head, Break> {
    let mut verifier = Verifier::new(from, anchors);
    records.into_iter().try_for_each(|record| verifier.take(record))?;
    verifier.finish()
}

/// [`verify`], for records that come in pages.
#[derive(Debug, Clone)]
pub struct Verifier {
    head: Head,
    /// Those that were not reached yet, the first one last.
    anchors: Vec<Anchor>,
}

impl Verifier {
    /// Nothing is read yet. Anchors before `from` are not looked at.
    pub fn new(from: Head, anchors: &[Anchor]) -> Self {
        let mut anchors: Vec<Anchor> = anchors.to_vec();
        anchors.retain(|anchor| anchor.head.sequence >= from.sequence);
        anchors.sort_by_key(|anchor| std::cmp::Reverse((anchor.head.sequence, anchor.at)));
        Self { head: from, anchors }
    }

    /// Reads the next record.
    ///
    /// # Errors
    /// The chain is broken here.
    pub fn take(&mut self, record: &Record) -> Result<(), Break> {
        self.meet_anchors()?;
        let sequence = self.head.next();
        if !record.is_whole() {
            return Err(Break::Altered { sequence });
        }
        if record.sequence < sequence {
            return Err(Break::Surplus { sequence: record.sequence, after: self.head.sequence });
        }
        if record.sequence > sequence {
            return Err(Break::Missing { sequence });
        }
        if record.previous != self.head.digest {
            return Err(Break::Unlinked { sequence });
        }
        self.head = record.head();
        Ok(())
    }

    /// There are no more.
    ///
    /// # Errors
    /// There were more.
    pub fn finish(mut self) -> Result<Head, Break> {
        self.meet_anchors()?;
        if self.anchors.is_empty() { Ok(self.head) } else { Err(Break::Missing { sequence: self.head.next() }) }
    }

    fn meet_anchors(&mut self) -> Result<(), Break> {
        while let Some(anchor) = self.anchors.pop_if(|anchor| anchor.head.sequence == self.head.sequence) {
            if anchor.head != self.head {
                return Err(Break::Rewritten { sequence: anchor.head.sequence, at: anchor.at });
            }
        }
        Ok(())
    }
}

/// A SHA-256 digest; as text, 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 64 hexadecimal digits")]
pub struct NoDigest;

impl Digest {
    /// What nothing is known to have: where a record has lost its own.
    pub const NONE: Self = Self([0; 32]);

    fn of(context: Context) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.finish().as_ref());
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NoDigest;

    /// Small letters only: a digest has one text.
    fn from_str(text: &str) -> Result<Self, NoDigest> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(NoDigest),
        };
        let text: &[u8; 64] = text.as_bytes().try_into().map_err(|_| NoDigest)?;
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(digits[0])? << 4 | digit(digits[1])?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = NoDigest;

    fn try_from(text: String) -> Result<Self, NoDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Everything but the entry has a fixed length and the entry comes last, so that no two records have the same encoding.
fn digest_of(sequence: u64, recorded: Moment, previous: Digest, entry: &str) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(b"relatch ledger record 1\0");
    context.update(&sequence.to_be_bytes());
    context.update(&recorded.as_millis().to_be_bytes());
    context.update(&previous.0);
    context.update(entry.as_bytes());
    Digest::of(context)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    const LENGTH: u64 = 6;

    #[test]
    fn the_encoding_is_the_documented_one() {
        let beginning = Head::beginning(Environment::Prod);
        assert_eq!(
            beginning.digest.to_string(),
            "acba02c49d63915bf1938c2e9d86aeb52d0c3f02966b9d08748a9b7ffb1a7302",
            "SHA-256 of the tag and the environment's name"
        );
        let record = Record::linked(beginning, Moment::from_millis(1_769_862_896_000), "{}".to_owned());
        assert_eq!(
            record.digest.to_string(),
            "800b35b6073093d397064fa89d2b76fa1953b3dca39673021adca1b331386b63",
            "SHA-256 of tag, sequence, time, previous and entry"
        );
        assert_ne!(beginning, Head::beginning(Environment::Dev));
    }

    #[test]
    fn what_was_written_is_whole() {
        let chain = chain();
        for from in 0..=chain.len() {
            let head = if from == 0 { beginning() } else { chain[from - 1].head() };
            let anchors: Vec<Anchor> = chain.iter().map(|record| anchor(record.head())).collect();
            assert_eq!(verify(head, &chain[from..], &anchors), Ok(chain[chain.len() - 1].head()), "from {from}");
        }
        assert_eq!(verify(beginning(), [], &[]), Ok(beginning()));
        assert_eq!(verify(beginning(), [], &[anchor(beginning())]), Ok(beginning()));
    }

    #[test]
    fn a_record_that_is_removed_is_named() {
        for n in 1..=LENGTH {
            let mut tampered = chain();
            tampered.remove(index(n));
            assert_eq!(judged(&tampered), Err(Break::Missing { sequence: n }), "{n}");
        }
        for left in 0..LENGTH {
            let mut tampered = chain();
            tampered.truncate(usize::try_from(left).unwrap());
            assert_eq!(judged(&tampered), Err(Break::Missing { sequence: left + 1 }), "the end from {left} on");
        }
    }

    #[test]
    fn a_record_that_is_altered_is_named() {
        type Alter = fn(&mut Record);
        let alterations: [(&str, Alter); 7] = [
            ("entry", |record| record.entry.push(' ')),
            ("no entry", |record| record.entry.clear()),
            ("time", |record| record.recorded = Moment::from_millis(record.recorded.as_millis() + 1)),
            ("previous", |record| record.previous.0[31] ^= 1),
            ("digest", |record| record.digest.0[0] ^= 128),
            ("sequence", |record| record.sequence += 1),
            ("an earlier sequence", |record| record.sequence = 0),
        ];
        for n in 1..=LENGTH {
            for (what, alter) in alterations {
                let mut tampered = chain();
                alter(&mut tampered[index(n)]);
                assert_eq!(judged(&tampered), Err(Break::Altered { sequence: n }), "{what} of {n}");
            }
        }
    }

    #[test]
    fn a_record_that_is_replaced_by_a_whole_one_shows_at_its_neighbour_or_at_the_anchor() {
        for n in 1..=LENGTH {
            let mut tampered = chain();
            tampered[index(n)] = forged_after(head_before(&tampered, n));
            let expected = match n {
                LENGTH => Break::Rewritten { sequence: n, at: Timestamp::UNIX_EPOCH },
                _ => Break::Unlinked { sequence: n + 1 },
            };
            assert_eq!(judged(&tampered), Err(expected), "{n}");
            let mut tampered = chain();
            let elsewhere = Head { digest: Head::beginning(Environment::Dev).digest, ..head_before(&tampered, n) };
            tampered[index(n)] = forged_after(elsewhere);
            assert_eq!(judged(&tampered), Err(Break::Unlinked { sequence: n }), "{n}, with another before it");
        }
    }

    #[test]
    fn records_that_change_places_are_found() {
        for n in 1..=LENGTH {
            for other in n + 1..=LENGTH {
                let mut tampered = chain();
                tampered.swap(index(n), index(other));
                assert_eq!(judged(&tampered), Err(Break::Missing { sequence: n }), "{n} and {other}");
                let mut tampered = chain();
                let (one, another) = (tampered[index(n)].clone(), tampered[index(other)].clone());
                tampered[index(n)] = Record { sequence: n, ..another };
                tampered[index(other)] = Record { sequence: other, ..one };
                assert_eq!(judged(&tampered), Err(Break::Altered { sequence: n }), "{n} and {other}, renumbered");
            }
        }
    }

    #[test]
    fn a_record_that_is_inserted_is_found() {
        let whole = chain();
        for place in 0..=LENGTH {
            for n in 1..=LENGTH {
                let mut tampered = whole.clone();
                tampered.insert(usize::try_from(place).unwrap(), whole[index(n)].clone());
                let expected = match n <= place {
                    true => Break::Surplus { sequence: n, after: place },
                    // The copy fits; what it is a copy of is one too many.
                    false if n == place + 1 => Break::Surplus { sequence: n, after: n },
                    false => Break::Missing { sequence: place + 1 },
                };
                assert_eq!(judged(&tampered), Err(expected), "{n} again, after {place}");
            }
            let mut tampered = whole.clone();
            let forged = forged_after(head_before(&whole, place + 1));
            tampered.insert(usize::try_from(place).unwrap(), forged);
            let expected = match place {
                // Whatever comes after the anchor is not vouched for, except by the record that follows it.
                LENGTH => Ok(tampered[tampered.len() - 1].head()),
                // The forged one stands where the anchor is.
                _ if place + 1 == LENGTH => Err(Break::Rewritten { sequence: LENGTH, at: Timestamp::UNIX_EPOCH }),
                _ => Err(Break::Surplus { sequence: place + 1, after: place + 1 }),
            };
            assert_eq!(judged(&tampered), expected, "forged, after {place}");
        }
    }

    #[test]
    fn a_chain_that_is_written_anew_from_some_record_on_is_found_by_any_later_anchor() {
        for n in 1..=LENGTH {
            for anchored in 0..=LENGTH {
                let whole = chain();
                let mut tampered = whole[..index(n)].to_vec();
                while tampered.len() < whole.len() {
                    let head = tampered.last().map_or(beginning(), Record::head);
                    tampered.push(forged_after(head));
                }
                let anchor = anchor(head_before(&whole, anchored + 1));
                let expected = match anchored >= n {
                    true => Err(Break::Rewritten { sequence: anchored, at: anchor.at }),
                    false => Ok(tampered[tampered.len() - 1].head()),
                };
                assert_eq!(verify(beginning(), &tampered, &[anchor]), expected, "from {n} on, anchored at {anchored}");
            }
        }
    }

    #[test]
    fn a_chain_of_another_environment_is_not_ours() {
        assert_eq!(verify(Head::beginning(Environment::Dev), &chain(), &[]), Err(Break::Unlinked { sequence: 1 }));
    }

    #[test]
    fn an_anchor_is_read_as_it_was_written() {
        let anchor = anchor(chain()[0].head());
        let text = serde_json::to_string(&anchor).unwrap();
        assert_eq!(serde_json::from_str::<Anchor>(&text).unwrap(), anchor, "{text}");
        for text in ["", "0", &"0".repeat(63), &"0".repeat(65), &"A".repeat(64), &"é".repeat(32)] {
            assert_eq!(text.parse::<Digest>(), Err(NoDigest), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bit_of_a_chain_can_be_changed(
            entries in prop::collection::vec(".{0,40}", 1..8),
            which in any::<prop::sample::Index>(),
            field in 0..5,
            bit in any::<prop::sample::Index>(),
        ) {
            let whole = of(entries);
            let mut tampered = whole.clone();
            let n = which.index(whole.len());
            let flipped = |bytes: &mut [u8], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
            let record = &mut tampered[n];
            match field {
                0 => record.sequence ^= 1 << bit.index(64),
                1 => record.recorded = Moment::from_millis(record.recorded.as_millis() ^ 1 << bit.index(64)),
                2 => flipped(&mut record.previous.0, bit.index(256)),
                3 => flipped(&mut record.digest.0, bit.index(256)),
                _ => {
                    let mut bytes = record.entry.clone().into_bytes();
                    bytes.push(0);
                    let bits = bytes.len() * 8;
                    flipped(&mut bytes, bit.index(bits));
                    // What is no text any more cannot be kept as one; the byte that was added is a change, too.
                    record.entry = String::from_utf8_lossy(&bytes).into_owned();
                }
            }
            let head = anchor(whole[whole.len() - 1].head());
            let sequence = u64::try_from(n).unwrap() + 1;
            prop_assert_eq!(verify(beginning(), &tampered, &[head]), Err(Break::Altered { sequence }));
        }

        #[test]
        fn only_the_very_records_in_their_very_order_pass(
            entries in prop::collection::vec(".{0,4}", 1..6),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let whole = of(entries);
            let picked: Vec<Record> = picks.iter().map(|pick| whole[pick.index(whole.len())].clone()).collect();
            let head = whole[whole.len() - 1].head();
            let found = verify(beginning(), &picked, &[anchor(head)]);
            prop_assert_eq!(found.is_ok(), picked == whole, "{:?}", found);
        }
    }

    fn judged(records: &[Record]) -> Result<Head, Break> {
        let chain = chain();
        verify(beginning(), records, &[anchor(chain[chain.len() - 1].head())])
    }

    fn chain() -> Vec<Record> {
        of((1..=LENGTH).map(|n| format!("{{\"n\":{n}}}")).collect())
    }

    fn of(entries: Vec<String>) -> Vec<Record> {
        let mut head = beginning();
        let linked = entries.into_iter().map(|entry| {
            let record = Record::linked(head, Moment::from_millis(1_769_862_896_000), entry);
            head = record.head();
            record
        });
        linked.collect()
    }

    fn forged_after(head: Head) -> Record {
        Record::linked(head, Moment::from_millis(1_769_862_896_000), "forged".to_owned())
    }

    fn head_before(chain: &[Record], n: u64) -> Head {
        if n == 1 { beginning() } else { chain[index(n - 1)].head() }
    }

    fn beginning() -> Head {
        Head::beginning(Environment::Prod)
    }

    fn anchor(head: Head) -> Anchor {
        Anchor { head, at: Timestamp::UNIX_EPOCH }
    }

    fn index(sequence: u64) -> usize {
        usize::try_from(sequence - 1).unwrap()
    }
}
