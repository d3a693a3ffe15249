//! What is written down of a fact: a line of the access log, which is kept for a time, or a change, which is kept for good
//! and [chained](super::chain).
//!
//! | a fact | becomes |
//! | --- | --- |
//! | a read of a value | a line of the log of each secret; of what names none, of [`UNNAMED`] |
//! | a batch that was answered | nothing: Secrets Manager records a read of each secret beside it |
//! | a decryption by KMS | nothing: it accompanies a read or a write. Of one that does not, see [`Entry::of`] |
//! | a change of a secret, its key or its password; a rotation's turn | a change, in the history of each thing it is about |
//! | a hand on the watchers | a change, in the history of [`UNNAMED`] |
//! | what GuardDuty has found | a line of the log: it has found the same once |
//! | a change that was denied or failed | a line of the log: nothing was changed, and nobody is to fill up by it what is kept for good |
//! | anything else | nothing |

use super::{
    chain::Record,
    finding::{origin_text, timestamp},
};
use crate::config::Environment;
use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp};
use relatch_events::{
    cloudtrail::{identity::Nature, target::Target},
    fact::{Fact, Outcome, Read, What},
    moment::Moment,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long a line of the access log is kept, unless somebody says otherwise.
pub const ACCESSES_ARE_KEPT: SignedDuration = SignedDuration::from_hours(365 * 24);

/// The subject of what concerns no secret by name.
pub const UNNAMED: &str = "*";

/// What is said where the chain's end is there, and is none.
pub const UNREADABLE_END: &str = "the chain of changes is broken: its end cannot be read";

/// How much of a program's name for itself is kept, in bytes.
const TOOL: usize = 200;
/// CloudTrail's ids have 36 bytes. What is longer is not one of them.
const LONGEST_ID: usize = 64;

/// What is to be written down of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// For the access log.
    Access(Entry),
    /// For the history of changes.
    Change(Entry),
}

impl Noted {
    /// What is to be written down of a fact; `None` if nothing is.
    pub fn of(fact: &Fact) -> Option<Self> {
        match &fact.what {
            What::Access(access) => match access.read {
                Read::Batch(_) if fact.outcome == Outcome::Done => None,
                Read::Decrypt => None,
                Read::Secret
                | Read::Batch(_)
                | Read::Parameters
                | Read::ParametersByPath { .. }
                | Read::ParameterHistory => Some(Self::Access(Entry::of(fact))),
            },
            // A rotation that has failed has taken a turn, too.
            What::Rotation(_) => Some(Self::Change(Entry::of(fact))),
            What::Change(_) | What::Tamper(_) => match fact.outcome {
                Outcome::Done => Some(Self::Change(Entry::of(fact))),
                Outcome::Denied(_) | Outcome::Failed(_) => Some(Self::Access(Entry::of(fact))),
            },
            What::Reported(_) => Some(Self::Access(Entry::of(fact))),
            What::Account(_) => None,
        }
    }

    /// What it says.
    pub const fn entry(&self) -> &Entry {
        match self {
            Self::Access(entry) | Self::Change(entry) => entry,
        }
    }
}

/// Who did what, to which secrets, from where, and whether it was let. Without any value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Which event it was: see [`event_id`].
    pub event: String,
    /// When it happened, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Moment>,
    /// The ARNs of what it was about, of secrets without the last six characters. Each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<String>,
    /// Who did it: [`Actor::id`](relatch_events::cloudtrail::identity::Actor). Empty where the event does not say.
    pub principal: String,
    /// Whether it is a person; `None` if nothing tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nature: Option<Nature>,
    /// The session of the role, which whoever assumed it has named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The access key that signed the call. It is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key: Option<String>,
    /// The service that made the call on the principal's behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoked_by: Option<String>,
    /// Where the call came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// With which program, as that says itself: the beginning of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The account that received the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The region that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The operation: `secretsmanager:GetSecretValue`.
    pub action: String,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Ended::is_done")]
    pub ended: Ended,
    /// What was done, or was to be: [`What`] as JSON, without what is absent.
    pub what: Value,
}

/// How a call ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// As it was meant to.
    #[default]
    Done,
    /// The caller may not do that. With the error's code.
    Denied(String),
    /// Otherwise. With the error's code or message.
    Failed(String),
}

impl Ended {
    fn is_done(&self) -> bool {
        *self == Self::Done
    }
}

impl Entry {
    /// What there is to say of a fact, whether it is [to be written down](Noted::of) or not. So a decryption that was
    /// found to belong to no read can be written into the access log by whoever has found it.
    pub fn of(fact: &Fact) -> Self {
        let mut what = serde_json::to_value(&fact.what).unwrap_or_default();
        remove_absent(&mut what);
        Self {
            event: event_id(fact),
            at: fact.at,
            targets: fact.targets.iter().map(Target::to_string).collect(),
            principal: fact.actor.id.clone(),
            nature: Some(fact.actor.nature).filter(|nature| *nature != Nature::Unknown),
            session: fact.actor.session.clone(),
            access_key: fact.actor.access_key.clone(),
            invoked_by: fact.actor.invoked_by.clone(),
            origin: fact.origin.as_ref().map(origin_text),
            tool: fact.user_agent.as_deref().map(|tool| beginning(tool, TOOL).to_owned()),
            account: fact.account.clone(),
            region: fact.region.clone(),
            action: format!("{}:{}", fact.service, fact.action),
            ended: match &fact.outcome {
                Outcome::Done => Ended::Done,
                Outcome::Denied(code) => Ended::Denied(code.clone()),
                Outcome::Failed(code) => Ended::Failed(code.clone()),
            },
            what,
        }
    }

    /// As a line of JSON.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From what [`Entry::to_text`] gave. `None` if it is in words that are not known here.
    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Where it is found: with each of its targets. What names none is found under [`UNNAMED`]; so is what was done to the
    /// watchers, which can be a hundred alarms at once. Never none, and at most [`MOST_SUBJECTS`](Self::MOST_SUBJECTS).
    pub fn subjects(&self) -> Vec<&str> {
        if self.targets.is_empty() || self.what.get("tamper").is_some() {
            return vec![UNNAMED];
        }
        let mut subjects = Vec::new();
        for target in self.targets.iter().take(Self::MOST_SUBJECTS) {
            if !subjects.contains(&target.as_str()) {
                subjects.push(target.as_str());
            }
        }
        subjects
    }

    /// No operation on secrets names more of them: a batch has 20 at most.
    pub const MOST_SUBJECTS: usize = 50;

    /// When it happened, so that texts are in the order of time. What has no time is older than everything.
    pub fn sort_key(&self) -> String {
        time_key(self.at.unwrap_or(Moment::from_millis(0)))
    }
}

/// What an event is known by, in whichever way and however often it comes: the id that its copies in several accounts
/// share, or its own; if it has neither, a digest of what is known of it.
pub fn event_id(fact: &Fact) -> String {
    let given = fact.shared_id.as_ref().or(fact.id.as_ref()).filter(|id| !id.is_empty());
    match given {
        Some(id) if id.len() <= LONGEST_ID => id.clone(),
        Some(id) => hashed(id.as_bytes()),
        None => hashed(&serde_json::to_vec(fact).unwrap_or_default()),
    }
}

/// What somebody asks of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question<'a> {
    /// Of which environment.
    pub environment: Environment,
    /// Of which thing: a [`Target`]'s text, or [`UNNAMED`].
    pub subject: &'a str,
    /// From when on.
    pub from: Option<Timestamp>,
    /// Until when; what happened just then is not included.
    pub until: Option<Timestamp>,
    /// Where the page begins: [`Page::next`] of the one before.
    pub after: Option<&'a str>,
    /// How many there are on a page at most; 1 at least.
    pub limit: u16,
}

/// A page of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it. There may be fewer than asked for, or none, and still a next page.
    pub found: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// A change in the history of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Its sequence number.
    pub sequence: u64,
    /// Its record; `None` if the chain has no such record of this secret: then somebody has tampered with the one or the other.
    pub record: Option<Record>,
}

/// What became of a change that was to be appended to the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It has this sequence number now.
    Now(u64),
    /// It had this sequence number before.
    Before(u64),
}

impl Appended {
    /// Its sequence number.
    pub const fn sequence(self) -> u64 {
        match self {
            Self::Now(sequence) | Self::Before(sequence) => sequence,
        }
    }
}

/// A moment as text of one length: texts are in the order of time.
pub fn time_key(at: Moment) -> String {
    // There was no CloudTrail before 1970.
    let at = Moment::from_millis(at.as_millis().max(0));
    let text = timestamp(at).unwrap_or_default();
    // "2026-01-31T12:34:56Z", and with 1 to 3 digits of a fraction.
    let (seconds, fraction) = text.trim_end_matches('Z').split_at_checked(19).unwrap_or((&text, ""));
    format!("{seconds}.{:0<3}Z", fraction.trim_start_matches('.'))
}

fn hashed(bytes: &[u8]) -> String {
    let digits = digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("sha256-{}", &digits[..32])
}

/// As much of a text as fits into so many bytes.
fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn remove_absent(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(remove_absent);
        }
        Value::Array(values) => values.iter_mut().for_each(remove_absent),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use relatch_events::cloudtrail::log;
    use std::{fmt::Write as _, fs, path::Path};

    #[test]
    fn of_every_fixture_is_written_down_what_the_snapshot_says() {
        let mut text = String::new();
        for (name, fact) in facts() {
            let noted = Noted::of(&fact);
            let kind = match &noted {
                Some(Noted::Access(_)) => "access",
                Some(Noted::Change(_)) => "change",
                None => "nothing",
            };
            let line = noted.map(|noted| noted.entry().to_text()).unwrap_or_default();
            writeln!(text, "{name}: {kind}\n  {line}").unwrap();
        }
        insta::assert_snapshot!("written_down", text);
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let facts = facts();
        assert!(facts.len() > 50, "{}", facts.len());
        for (name, fact) in facts {
            let entry = Entry::of(&fact);
            assert_eq!(Entry::from_text(&entry.to_text()), Some(entry), "{name}");
        }
        assert_eq!(Entry::from_text("{}"), None);
    }

    #[test]
    fn it_is_found_with_each_of_its_targets() {
        let found = |name: &str| {
            let (_, fact) = facts().into_iter().find(|(file, _)| file == name).unwrap();
            let entry = Entry::of(&fact);
            (entry.targets.len(), entry.subjects().into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        let parameter = "arn:aws:ssm:eu-west-1:123456789012:parameter/shop/prod";
        assert_eq!(found("parameters"), (2, vec![format!("{parameter}/token"), format!("{parameter}/key")]));
        assert_eq!(found("alarms-deleted"), (2, vec!["*".to_owned()]));
        assert_eq!(found("batch-denied"), (0, vec!["*".to_owned()]));
    }

    #[test]
    fn an_event_is_known_by_what_its_copies_share() {
        let (_, fact) = facts().into_iter().find(|(_, fact)| fact.id.is_some() && fact.shared_id.is_none()).unwrap();
        let own = Fact { shared_id: None, ..fact.clone() };
        assert_eq!(Some(event_id(&own)), fact.id);
        let copies = ["a", "b"].map(|id| Fact {
            id: Some(id.to_owned()),
            shared_id: Some("s".to_owned()),
            account: Some(id.to_owned()),
            ..fact.clone()
        });
        assert_eq!(copies.map(|copy| event_id(&copy)), ["s", "s"]);
        let nameless = Fact { id: None, ..own.clone() };
        let other = Fact { request_id: Some("other".to_owned()), ..nameless.clone() };
        assert_eq!(event_id(&nameless), event_id(&nameless.clone()));
        assert_ne!(event_id(&nameless), event_id(&other));
        let long = Fact { id: Some("x".repeat(5_000)), ..own };
        assert_eq!(event_id(&long).len(), "sha256-".len() + 32);
    }

    #[test]
    fn times_are_sorted_as_texts() {
        let texts = [-1, 0, 1, 10, 100, 999, 1_000, 1_769_862_896_000, 1_769_862_896_100, 1_769_862_896_120]
            .map(|millis| time_key(Moment::from_millis(millis)));
        assert_eq!(texts[0], "1970-01-01T00:00:00.000Z");
        assert_eq!(texts[8], "2026-01-31T12:34:56.100Z");
        assert!(texts.is_sorted(), "{texts:?}");
        assert!(texts.iter().all(|text| text.len() == 24), "{texts:?}");
    }

    #[test]
    fn a_name_is_cut_between_characters() {
        assert_eq!(beginning("aé", 2), "a");
        assert_eq!(beginning("aé", 3), "aé");
        assert_eq!(beginning("aé", 100), "aé");
    }

    fn facts() -> Vec<(String, Fact)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/fixtures/cloudtrail");
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        let facts = files.iter().filter_map(|path| {
            let fact = log::read(&fs::read(path).unwrap()).ok()??;
            Some((path.file_stem()?.to_str()?.to_owned(), fact))
        });
        facts.collect()
    }
}
