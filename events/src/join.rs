//! Which facts belong together: a batch and the reads it was answered with, a decryption and what it was for, a rotation
//! and its end.
//!
//! Pure: whoever joins brings the facts, and says how far each source has been heard. That a fact comes twice changes
//! nothing that is said here, but the same fact is then named twice: once per event id is the caller's to see to.

use crate::{
    cloudtrail::{identity::ActorKind, target::Target},
    fact::{Access, Account, Change, Fact, Outcome, Read, Rotation, Selection, What},
    moment::Moment,
    secret::VersionId,
    trigger::ServiceEventKind,
};
use std::collections::{BTreeMap, HashMap};

/// How far apart the events of one call can be. CloudTrail tells whole seconds; a call takes a few.
const CALL: u64 = 10_000;

/// How far apart a decryption and its reason can be, in milliseconds. Each service has a clock of its own.
const REASON: i64 = 60_000;

/// How late an event may be: twice as long as CloudTrail takes at worst, and so for either source of two.
///
/// Source: the CloudTrail user guide, "How CloudTrail works": about 5 minutes on average.
pub const WATERMARK: i64 = 20 * 60 * 1_000;

/// A batch, and the reads it was answered with.
///
/// Secrets Manager records one `GetSecretValue` for each secret that a batch hands out. So accesses are counted by those
/// alone; the batch tells that they were one act, and how they were selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The `BatchGetSecretValue`.
    pub call: &'a Fact,
    /// The `GetSecretValue` of each secret, in their order.
    pub members: Vec<&'a Fact>,
}

/// The batches among some facts, in their order. A read belongs to one batch at most: the nearest one.
pub fn batches(facts: &[Fact]) -> Vec<Batch<'_>> {
    let is_batch = |fact: &&Fact| matches!(&fact.what, What::Access(Access { read: Read::Batch(_), .. }));
    let mut batches: Vec<Batch<'_>> =
        facts.iter().filter(is_batch).map(|call| Batch { call, members: Vec::new() }).collect();
    let mut of_caller: HashMap<_, Vec<usize>> = HashMap::new();
    for (index, batch) in batches.iter().enumerate() {
        of_caller.entry(caller(batch.call)).or_default().push(index);
    }
    for read in facts {
        let candidates = of_caller.get(&caller(read)).into_iter().flatten().copied();
        let nearest = candidates.filter(|index| is_member(batches[*index].call, read)).min_by_key(|index| {
            let call = batches[*index].call;
            (call.request_id.is_none() || call.request_id != read.request_id, distance(call, read))
        });
        if let Some(index) = nearest {
            batches[index].members.push(read);
        }
    }
    batches
}

/// Whether a read is one of those that a batch was answered with: by the same session in the same region, at the same
/// time, of a secret that the batch lists if it lists any.
pub fn is_member(batch: &Fact, read: &Fact) -> bool {
    let What::Access(Access { read: Read::Batch(selection), .. }) = &batch.what else { return false };
    let What::Access(Access { read: Read::Secret, .. }) = &read.what else { return false };
    let is_selected = match selection {
        Selection::Listed => read.targets.iter().all(|target| batch.targets.contains(target)),
        Selection::Filtered(_) | Selection::Everything | Selection::Unknown => true,
    };
    is_selected && caller(batch) == caller(read) && distance(batch, read).is_some_and(|millis| millis <= CALL)
}

/// Decryptions of secrets and parameters, and whether anything tells what each was for. A value that was decrypted and
/// that nobody is recorded to have read is a read unseen.
///
/// What a decryption can be for, besides a read: a write (which compares with the value that is there), a replication, a
/// read in another account (which is recorded there). None of these is a read unseen.
///
/// Source: the Secrets Manager user guide, "Secret encryption and decryption".
#[derive(Debug, Clone, Default)]
pub struct Decrypts {
    waiting: Vec<Fact>,
    reasons: HashMap<Key, BTreeMap<(Moment, usize), Fact>>,
    taken: usize,
    heard: [Option<Moment>; 2],
}

/// By whom and of what a reason is. What cannot be told of it is empty: a batch may be of anything, and a replication is
/// nobody's in particular.
type Key = (String, String);

/// Whose events have to be heard before a read is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// KMS, which tells of decryptions.
    Decryptions,
    /// Secrets Manager and Systems Manager, which tell of reads and writes.
    Reads,
}

impl Decrypts {
    /// Takes a fact in, in whichever order. What has nothing to do with decryptions is left aside.
    pub fn take(&mut self, fact: &Fact) {
        let Some(at) = fact.at else { return };
        if needs_reason(fact) {
            self.heard(Source::Decryptions, at);
            self.waiting.push(fact.clone());
        } else if is_reason(fact) {
            self.heard(Source::Reads, at);
            self.taken += 1;
            for key in keys_of_reason(fact) {
                self.reasons.entry(key).or_default().insert((at, self.taken), fact.clone());
            }
        }
    }

    /// Says that a source has been heard until then, also where it had nothing to tell: as a file does that was delivered
    /// for that time.
    pub fn heard(&mut self, source: Source, until: Moment) {
        let heard = &mut self.heard[source as usize];
        *heard = (*heard).max(Some(until));
    }

    /// The decryptions that nothing explains and nothing will: both sources have been heard for [`WATERMARK`] after
    /// them. Each is named once, in order of time. What is explained is forgotten.
    ///
    /// Where files are read in no order of time, this is to be asked after the last of them.
    pub fn unseen(&mut self) -> Vec<Fact> {
        let [Some(decryptions), Some(reads)] = self.heard else { return Vec::new() };
        let heard = decryptions.min(reads);
        let is_over = |at: Moment| heard.since(at) >= WATERMARK;
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|decrypt| !self.is_explained(decrypt));
        let (mut unseen, waiting): (Vec<Fact>, Vec<Fact>) =
            waiting.into_iter().partition(|decrypt| decrypt.at.is_none_or(is_over));
        self.waiting = waiting;
        self.reasons.retain(|_, reasons| {
            // One may be the reason of what is heard of late.
            reasons.retain(|(at, _), _| heard.since(*at) < 2 * WATERMARK);
            !reasons.is_empty()
        });
        unseen.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
        unseen
    }

    fn is_explained(&self, decrypt: &Fact) -> bool {
        let Some(at) = decrypt.at.map(Moment::as_millis) else { return false };
        let bound = |millis: i64, last: usize| (Moment::from_millis(at.saturating_add(millis)), last);
        let near = bound(-REASON, 0)..=bound(REASON, usize::MAX);
        keys_of_decrypt(decrypt).any(|key| {
            let reasons = self.reasons.get(&key).into_iter().flat_map(|reasons| reasons.range(near.clone()));
            reasons.into_iter().any(|(_, reason)| explains(reason, decrypt))
        })
    }
}

fn keys_of_reason(reason: &Fact) -> Vec<Key> {
    let by = match reason.what {
        What::Change(Change::Replicated { .. }) => "",
        What::Access(_)
        | What::Change(_)
        | What::Rotation(_)
        | What::Tamper(_)
        | What::Account(_)
        | What::Reported(_) => &reason.actor.id,
    };
    let is_by_name = !reason.targets.is_empty()
        && !matches!(reason.what, What::Access(Access { read: Read::ParametersByPath { .. }, .. }));
    let key = |name: &str| (by.to_owned(), name.to_owned());
    if is_by_name { reason.targets.iter().map(|target| key(&target.name)).collect() } else { vec![key("")] }
}

fn keys_of_decrypt(decrypt: &Fact) -> impl Iterator<Item = Key> {
    let by = &decrypt.actor.id;
    let named = |name: &str| [(by.clone(), name.to_owned()), (String::new(), name.to_owned())];
    let of_targets: Vec<Key> = decrypt.targets.iter().flat_map(|target| named(&target.name)).collect();
    of_targets.into_iter().chain(named(""))
}

/// Whether a fact tells of a decryption that has to have a reason in the same account: one that was let, of a thing of
/// that account, and not by Secrets Manager for itself, as when it replicates.
pub fn needs_reason(fact: &Fact) -> bool {
    matches!(&fact.what, What::Access(Access { read: Read::Decrypt, .. }))
        && fact.outcome == Outcome::Done
        && fact.actor.kind != ActorKind::Service
        && fact.targets.iter().all(|target| target.account.is_none() || target.account == fact.account)
}

/// Whether a fact is the reason of a decryption: the same principal read or wrote the same thing at the same time, or
/// somebody had it replicated.
pub fn explains(reason: &Fact, decrypt: &Fact) -> bool {
    let is_near = distance(reason, decrypt).is_some_and(|millis| millis <= REASON.unsigned_abs());
    if !is_near || !is_reason(reason) {
        return false;
    }
    let named = |target: &Target| {
        let is_same = |other: &Target| (target.kind, &target.name) == (other.kind, &other.name);
        decrypt.targets.iter().any(is_same)
    };
    if let What::Change(Change::Replicated { .. }) = reason.what {
        return reason.targets.iter().any(named);
    }
    let is_same_place = reason.actor.id == decrypt.actor.id && reason.region == decrypt.region;
    let is_same_version = match (&reason.what, &decrypt.what) {
        (What::Access(Access { version: Some(asked), read: Read::Secret, .. }), What::Access(decrypted)) => {
            decrypted.version.as_ref().is_none_or(|version| version == asked)
        }
        (_, _) => true,
    };
    let is_same_thing = match &reason.what {
        What::Access(Access { read: Read::Batch(selection), .. }) if *selection != Selection::Listed => true,
        What::Access(Access { read: Read::ParametersByPath { .. }, .. }) => {
            let is_below = |path: &Target| decrypt.targets.iter().any(|target| target.name.starts_with(&path.name));
            reason.targets.is_empty() || reason.targets.iter().any(is_below)
        }
        // Not every event says what it was about.
        What::Access(_) | What::Change(_) => reason.targets.is_empty() || reason.targets.iter().any(named),
        What::Rotation(_) | What::Tamper(_) | What::Account(_) | What::Reported(_) => false,
    };
    is_same_place && is_same_version && is_same_thing
}

/// Whether a fact is of the kind that comes with decryptions.
fn is_reason(fact: &Fact) -> bool {
    match &fact.what {
        // A denied call does not get that far.
        _ if fact.is_denied() => false,
        What::Access(access) => access.read != Read::Decrypt,
        What::Change(change) => match change {
            Change::Created { .. }
            | Change::ValueWritten { .. }
            | Change::KeyChanged { .. }
            | Change::Replicated { .. } => true,
            Change::Updated
            | Change::Restored
            | Change::ReplicaPromoted
            | Change::LabelMoved { .. }
            | Change::Deleted { .. }
            | Change::PolicyPut { .. }
            | Change::PolicyDeleted
            | Change::RotationAsked { .. }
            | Change::RotationCancelled
            | Change::Tagged { .. }
            | Change::Untagged { .. }
            | Change::ReplicasRemoved { .. }
            | Change::Deletion(_)
            | Change::KeyDisabled
            | Change::KeyEnabled
            | Change::KeyDeletionScheduled { .. }
            | Change::KeyDeletionCancelled
            | Change::KeyPolicyPut { .. }
            | Change::Granted { .. }
            | Change::DatabasePasswordSet { .. } => false,
        },
        What::Rotation(_)
        | What::Tamper(_)
        | What::Reported(_)
        | What::Account(Account::ConsoleLogin { .. } | Account::RootUse | Account::Refused) => false,
    }
}

/// One rotation, from its beginning to its end, as far as either is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course<'a> {
    /// Whose rotation it is.
    pub secret: &'a Target,
    /// The version that it was to write. Where an event does not tell it, the rotation is known by its time alone.
    pub token: Option<&'a VersionId>,
    /// `RotationStarted`.
    pub started: Option<&'a Fact>,
    /// How it ended, by its last event: a step may fail, be tried again and succeed. Nothing while it is under way.
    pub ended: Option<&'a Fact>,
    /// How often a step failed in it.
    pub failures: usize,
}

/// The rotations among some facts, in the order in which they were first heard of.
///
/// Beginning and end have the same token. An end without one belongs to the last rotation of the secret that began
/// before it.
pub fn rotations(facts: &[Fact]) -> Vec<Course<'_>> {
    let mut turns: Vec<(&Fact, &Target, &Rotation)> = facts
        .iter()
        .filter_map(|fact| match &fact.what {
            What::Rotation(turn) => Some((fact, fact.secrets().next()?, turn)),
            What::Access(_) | What::Change(_) | What::Tamper(_) | What::Account(_) | What::Reported(_) => None,
        })
        .collect();
    // At the same second, the beginning comes first.
    turns.sort_by_key(|(fact, _, turn)| (fact.at, turn.kind != ServiceEventKind::Started));
    let mut courses: Vec<Course<'_>> = Vec::new();
    for (fact, secret, turn) in turns {
        let is_start = turn.kind == ServiceEventKind::Started;
        let same_token = |course: &&mut Course<'_>| course.secret == secret && course.token == turn.token.as_ref();
        let latest = |course: &&mut Course<'_>| course.secret == secret && !is_start;
        let found = match (&turn.token, is_start) {
            (Some(_), _) => courses.iter_mut().rev().find(same_token),
            (None, true) => None,
            (None, false) => courses.iter_mut().rev().find(latest),
        };
        let course = match found {
            Some(course) => course,
            None => {
                let token = turn.token.as_ref();
                courses.push(Course { secret, token, started: None, ended: None, failures: 0 });
                let Some(course) = courses.last_mut() else { continue };
                course
            }
        };
        match turn.kind {
            ServiceEventKind::Started => {
                course.started.get_or_insert(fact);
            }
            ServiceEventKind::Failed => {
                course.failures += 1;
                course.ended = Some(fact);
            }
            ServiceEventKind::Succeeded | ServiceEventKind::Abandoned => course.ended = Some(fact),
        }
    }
    courses
}

/// Whose call it was, and where.
fn caller(fact: &Fact) -> (&str, Option<&str>, Option<&str>, Option<&str>, Option<&str>) {
    let actor = &fact.actor;
    (&actor.id, actor.session.as_deref(), actor.access_key.as_deref(), fact.account.as_deref(), fact.region.as_deref())
}

/// Milliseconds between two facts, if both have a time.
fn distance(one: &Fact, other: &Fact) -> Option<u64> {
    Some(one.at?.since(other.at?).unsigned_abs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{cloudtrail::log, fixtures};
    use serde_json::{Value, json};

    const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-prod-secret-database-AbCdEf";

    /// The fact of a fixture, so many seconds after the full minute, with some of the record's fields as they are here.
    fn fact(name: &str, second: i64, fields: Value) -> Fact {
        let bytes = fixtures::file(&format!("fixtures/cloudtrail/{name}.json"));
        let mut record: Value = serde_json::from_slice(&bytes).unwrap();
        for (field, value) in fields.as_object().unwrap() {
            record[field] = value.clone();
        }
        let mut fact = log::read(record.to_string().as_bytes()).unwrap().unwrap();
        fact.at = Some(Moment::from_millis(second * 1_000));
        fact
    }

    fn plain(name: &str, second: i64) -> Fact {
        fact(name, second, json!({}))
    }

    /// A Decrypt that both sources have been heard for long after.
    fn unseen(decrypt: Fact, others: &[Fact]) -> usize {
        let mut decrypts = Decrypts::default();
        for fact in others.iter().chain([&decrypt]) {
            decrypts.take(fact);
        }
        let until = Moment::from_millis(decrypt.at.unwrap().as_millis() + WATERMARK);
        decrypts.heard(Source::Decryptions, until);
        decrypts.heard(Source::Reads, until);
        let found = decrypts.unseen();
        assert_eq!(decrypts.unseen(), [], "each is named once");
        found.len()
    }

    #[test]
    fn a_batch_has_the_reads_of_its_caller_at_its_time() {
        let other = json!({ "secretId": "shop-prod-secret-jwt" });
        let unlisted = json!({ "secretId": "shop-prod-secret-other" });
        let facts = [
            plain("read-by-arn", 101),
            plain("batch-listed", 100),
            fact("read-by-arn", 100, json!({ "requestParameters": other })),
            fact("read-by-arn", 100, json!({ "requestParameters": unlisted })),
            plain("read-by-root", 100),
            fact("read-by-arn", 100, json!({ "awsRegion": "us-east-1" })),
            plain("read-by-arn", 200),
        ];
        let found = batches(&facts);
        assert_eq!(found, [Batch { call: &facts[1], members: vec![&facts[0], &facts[2]] }]);
    }

    #[test]
    fn a_read_belongs_to_the_nearest_batch_and_first_to_that_of_its_request() {
        let request = |id: &str| json!({ "requestID": id });
        let facts = [
            fact("batch-filtered", 100, request("a")),
            fact("batch-filtered", 104, request("b")),
            fact("read-by-arn", 103, request("c")),
            fact("read-by-arn", 103, request("a")),
        ];
        let found = batches(&facts);
        assert_eq!(found[0].members, [&facts[3]]);
        assert_eq!(found[1].members, [&facts[2]]);
    }

    #[test]
    fn a_decryption_without_a_reason_is_a_read_unseen() {
        assert_eq!(unseen(plain("decrypt-for-a-secret", 100), &[]), 1);
        assert_eq!(unseen(plain("decrypt-for-a-parameter", 100), &[]), 1);
        for (why, reason) in [
            ("another secret", fact("read-by-arn", 100, json!({ "requestParameters": { "secretId": "other" } }))),
            ("another principal", plain("read-by-root", 100)),
            ("another time", plain("read-by-arn", 400)),
            (
                "another version",
                fact(
                    "read-of-a-version",
                    100,
                    json!({ "requestParameters": { "secretId": SECRET, "versionId": "v" } }),
                ),
            ),
            ("another region", fact("read-by-name", 100, json!({ "awsRegion": "us-east-1" }))),
            ("a denied read", plain("denied-read", 100)),
            ("no read", fact("rotation-cancelled", 100, json!({ "userIdentity": {} }))),
        ] {
            assert_eq!(unseen(plain("decrypt-for-a-secret", 100), &[reason]), 1, "{why}");
        }
    }

    #[test]
    fn a_decryption_for_a_read_a_write_or_a_replication_is_none() {
        let by_role = |name: &str| {
            let role: Value = serde_json::from_slice(&fixtures::file("fixtures/cloudtrail/read-by-arn.json")).unwrap();
            fact(name, 103, json!({ "userIdentity": role["userIdentity"] }))
        };
        for reason in [
            "read-by-arn",
            "read-by-name",
            "read-by-arn-without-suffix",
            "read-of-a-version",
            "batch-listed",
            "batch-filtered",
            "batch-of-everything",
            "value-put",
            "value-updated",
            "key-changed",
            "created",
            "parameter-that-is-a-secret",
        ] {
            assert_eq!(unseen(plain("decrypt-for-a-secret", 100), &[by_role(reason)]), 0, "{reason}");
        }
        assert_eq!(unseen(plain("decrypt-for-a-secret", 100), &[plain("replicated", 90)]), 0);
        for reason in ["parameter", "parameters", "parameters-by-path", "parameter-history"] {
            assert_eq!(unseen(plain("decrypt-for-a-parameter", 100), &[by_role(reason)]), 0, "{reason}");
        }
    }

    #[test]
    fn a_decryption_by_the_service_or_in_another_account_needs_no_reason_here() {
        let service =
            json!({ "userIdentity": { "accountId": "123456789012", "invokedBy": "secretsmanager.amazonaws.com" } });
        assert_eq!(unseen(fact("decrypt-for-a-secret", 100, service), &[]), 0);
        assert_eq!(unseen(fact("decrypt-for-a-secret", 100, json!({ "recipientAccountId": "210987654321" })), &[]), 0);
        assert_eq!(unseen(fact("decrypt-for-a-secret", 100, json!({ "errorCode": "AccessDenied" })), &[]), 0);
    }

    #[test]
    fn nothing_is_missed_before_both_sources_were_heard() {
        let decrypt = plain("decrypt-for-a-secret", 100);
        let later = Moment::from_millis(100_000 + WATERMARK);
        for source in [Source::Decryptions, Source::Reads] {
            let mut decrypts = Decrypts::default();
            decrypts.take(&decrypt);
            decrypts.heard(source, later);
            assert_eq!(decrypts.unseen(), []);
            // In whichever order: the reason comes last, and late.
            decrypts.take(&plain("read-by-arn", 101));
            decrypts.heard(Source::Decryptions, later);
            decrypts.heard(Source::Reads, later);
            assert_eq!(decrypts.unseen(), []);
        }
    }

    #[test]
    fn a_rotation_has_its_end_by_its_token() {
        let of = |name: &str, second: i64, token: &str| {
            fact(name, second, json!({ "requestID": format!("Rotation-{SECRET}-{token}") }))
        };
        let (one, two) = ("7f3c1c52-5f0e-4a6b-9d55-0c8f6d1a2b34", "2b0a4f6e-1c7d-4e55-8a3f-90d1c2b3a4e5");
        let facts = [
            of("rotation-succeeded", 160, one),
            of("rotation-failed", 110, one),
            of("rotation-started", 100, one),
            of("rotation-started", 200, two),
            fact("rotation-failed", 210, json!({ "requestID": "shortened...f6d1a2b34" })),
            of("rotation-abandoned-without-identity", 300, "3b0a4f6e-1c7d-4e55-8a3f-90d1c2b3a4e5"),
        ];
        let told: Vec<_> = rotations(&facts)
            .into_iter()
            .map(|course| (course.started.map(|fact| fact.at), course.ended.map(|fact| fact.at), course.failures))
            .collect();
        let at = |second: i64| Some(Some(Moment::from_millis(second * 1_000)));
        assert_eq!(told, [(at(100), at(160), 1), (at(200), at(210), 1), (None, at(300), 0)]);
    }
}
