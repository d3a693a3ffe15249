//! What is normal by habit: who reads which secret, when, from where and with what; how secrets are rotated; what
//! principals do as their job.
//!
//! What is learned of a read does not depend on the order in which reads arrive. Memory is bounded: beyond
//! [`MOST_READERS`] what was not seen for longest is forgotten. A baseline can be kept: see [`Baseline::to_json`];
//! and in [parts](Part), so that whoever judges a few facts needs only what is known of those whom they are about.

mod habit;
mod history;
mod keep;
mod part;
mod table;

pub use habit::{Days, Habit, Latest, Network, Stamped};
pub use keep::BadBaseline;
pub use part::Part;

use super::{
    access_policy::Opening,
    judge::{Recent, Told},
    spoils::Spoils,
};
use relatch_events::{
    cloudtrail::{identity::Nature, target::Target},
    fact::{Fact, Origin},
    moment::Moment,
    secret::VersionId,
};
use serde::{Deserialize, Serialize};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    mem,
};
use table::Table;

/// How many readers are known at most, over all secrets; and how many secrets and principals, each.
pub const MOST_READERS: usize = 100_000;

/// How many readers of one secret are known at most.
const MOST_OF_ONE: usize = 500;

/// From how many networks, and with how many programs, somebody is known to read a secret at most. Whoever has as many
/// comes from anywhere, or with anything.
pub(super) const MOST_NETWORKS: usize = 8;
pub(super) const MOST_TOOLS: usize = 4;

/// How many openings and denials of one policy are known at most.
const MOST_SHARING: usize = 32;

/// How many bytes the names of keys may have in the general [`Part`], and what is known of settings there: together less
/// than can be kept of a part, with what is around them.
const ROOM_FOR_KEYS: usize = 200_000;
const ROOM_FOR_SETTINGS: usize = 180_000;
const _: () = assert!(ROOM_FOR_KEYS + ROOM_FOR_SETTINGS + 1_000 < Part::LARGEST);

/// What a setting has beside its name and value: `{"a":-9223372036854775808,"v":}`.
const A_SETTING: usize = 32;

const HOUR: i64 = 3_600_000;

/// How far apart the clocks of services are, in milliseconds.
const CLOCKS: i64 = 60_000;

/// What is normal by habit.
#[derive(Debug, Clone, Default)]
pub struct Baseline {
    pub(super) secrets: Table<Target, Secret>,
    pub(super) principals: Table<str, Principal>,
    /// How many readers there are.
    readers: usize,
    /// The names of the keys that secrets are known to be encrypted with.
    pub(super) keys: BTreeSet<String>,
    /// The bucket of each trail, the state of each rule that is ours, as last seen.
    pub(super) settings: BTreeMap<String, Stamped<String>>,
    since: Option<Moment>,
    until: Option<Moment>,
}

/// What is known of a secret or a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Secret {
    /// When it was first seen.
    pub first: Moment,
    /// When it was last seen.
    pub last: Moment,
    /// Who created it, if that was seen.
    pub(super) creator: Option<u32>,
    /// When and from where it was created, if that was seen.
    pub(super) birth: Option<Birth>,
    /// What its policy says, as last seen.
    pub(super) policy: Option<Stamped<Sharing>>,
    /// Who reads it.
    pub(super) readers: Vec<(u32, Reader)>,
    /// Its rotation; of most secrets nothing is known.
    pub(super) rotation: Option<Box<RotationHabit>>,
    /// What the policy says of it; not kept.
    pub(super) standing: Option<SecretStanding>,
}

/// How a secret was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// When.
    #[serde(rename = "a")]
    pub at: Moment,
    /// From which network; nothing where a service of AWS has done it in somebody's name.
    #[serde(rename = "w")]
    pub network: Option<Network>,
}

/// What a secret's policy says.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Sharing {
    /// How it lets outsiders in.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub openings: BTreeSet<Opening>,
    /// Whom Relatch denies the secret by it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub denied: BTreeSet<String>,
}

/// What is known of a principal's reads of one secret.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reader {
    /// When it was first read.
    #[serde(rename = "f")]
    pub first: Option<Moment>,
    /// When it was last read.
    #[serde(rename = "l")]
    pub last: Option<Moment>,
    /// How often it was read.
    #[serde(rename = "n")]
    pub reads: u32,
    /// On which days it was read.
    #[serde(rename = "d")]
    pub days: Days,
    /// On which days a read was denied.
    #[serde(rename = "x", default, skip_serializing_if = "Days::is_empty")]
    pub denied: Days,
    /// On which days a value was written.
    #[serde(rename = "o", default, skip_serializing_if = "Days::is_empty")]
    pub written: Days,
    /// In which hours of the day, UTC: a bit for each.
    #[serde(rename = "h")]
    pub hours: u32,
    /// Whether a person has read it.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub person: bool,
    /// From which networks.
    #[serde(rename = "w")]
    pub networks: Latest<Network, MOST_NETWORKS>,
    /// With which programs.
    #[serde(rename = "t")]
    pub tools: Latest<Box<str>, MOST_TOOLS>,
    /// When the principal last did what is the reason of a decryption; not kept.
    #[serde(skip)]
    pub(super) reason: Option<Moment>,
    /// What was told just now; not kept.
    #[serde(skip)]
    pub(super) told: Told,
}

/// What is known of a secret's rotation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RotationHabit {
    /// The function that rotates it.
    pub function: Option<Stamped<String>>,
    /// Every so many milliseconds it is to be rotated; nothing while that is switched off or not known.
    pub every: Option<Stamped<Option<i64>>>,
    /// The rotation that is under way, or was last.
    pub token: Option<Stamped<Option<VersionId>>>,
    /// When a rotation last ended, and whether it succeeded.
    pub ended: Option<Stamped<bool>>,
    /// When a rotation last succeeded.
    pub succeeded: Option<Moment>,
    /// The version that is current, and since when.
    pub current: Option<Stamped<VersionId>>,
    /// Since when it was told that the next rotation is overdue; not kept.
    #[serde(skip)]
    pub(super) told: Option<Moment>,
}

/// What is known of a principal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Principal {
    /// When it was first seen.
    pub first: Moment,
    /// When it was last seen.
    pub last: Moment,
    /// What it does as its job.
    #[serde(flatten)]
    pub habits: Habits,
    /// What it did just now; not kept.
    #[serde(skip)]
    pub(super) recent: Recent,
}

/// What a principal does as its job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Habits {
    /// Reading many secrets in a short time.
    #[serde(skip_serializing_if = "Habit::is_none")]
    pub bursts: Habit,
    /// Decrypting many parameters in a short time.
    #[serde(skip_serializing_if = "Habit::is_none")]
    pub parameters: Habit,
    /// Deleting secrets.
    #[serde(skip_serializing_if = "Habit::is_none")]
    pub deletions: Habit,
    /// Being denied many secrets in a short time.
    #[serde(skip_serializing_if = "Habit::is_none")]
    pub denied_reads: Habit,
    /// Being denied many operations in a short time.
    #[serde(skip_serializing_if = "Habit::is_none")]
    pub denials: Habit,
    /// Reading in many regions in a short time.
    #[serde(skip_serializing_if = "Habit::is_none")]
    pub regions: Habit,
    /// Creating grants.
    #[serde(skip_serializing_if = "Habit::is_none")]
    pub grants: Habit,
    /// Reading many secrets in half a day.
    #[serde(skip_serializing_if = "Habit::is_none")]
    pub breadth: Habit,
    /// Asking for secrets by many filters in a short time, or for all of them.
    #[serde(skip_serializing_if = "Habit::is_none")]
    pub filters: Habit,
    /// Writing values of secrets that nobody rotates.
    #[serde(skip_serializing_if = "Habit::is_none")]
    pub writes: Habit,
    /// Reading what the record does not name.
    #[serde(skip_serializing_if = "Habit::is_none")]
    pub unnamed: Habit,
}

/// What the policy says of a secret.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SecretStanding {
    pub(super) environment: Option<Box<str>>,
    pub(super) is_production: bool,
    pub(super) is_without_people: bool,
    pub(super) is_decoy: bool,
}

impl Baseline {
    /// When the first fact of it happened.
    pub const fn since(&self) -> Option<Moment> {
        self.since
    }

    /// When the last fact of it happened.
    pub const fn until(&self) -> Option<Moment> {
        self.until
    }

    /// How many secrets and parameters are known.
    pub fn secrets(&self) -> usize {
        self.secrets.len()
    }

    /// How many principals are known.
    pub fn principals(&self) -> usize {
        self.principals.len()
    }

    /// What is known of a secret.
    pub fn secret(&self, secret: &Target) -> Option<&Secret> {
        self.secrets.find(secret).map(|number| &self.secrets[number])
    }

    /// What is known of a principal.
    pub fn principal(&self, id: &str) -> Option<&Principal> {
        self.principals.find(id).map(|number| &self.principals[number])
    }

    /// What a principal has read and changed in its incident.
    pub fn spoils(&self, principal: &str) -> Option<&Spoils> {
        self.principal(principal)?.recent.spoils.as_deref()
    }

    /// What is known of a principal's reads of a secret.
    pub fn reader(&self, principal: &str, secret: &Target) -> Option<&Reader> {
        self.secret(secret)?.reader(self.principals.find(principal)?)
    }

    /// Who reads a secret, the most frequent first.
    pub fn readers(&self, secret: &Target) -> Vec<(&str, &Reader)> {
        let readers = self.secret(secret).map(|secret| secret.readers.as_slice()).unwrap_or_default();
        let read = readers.iter().filter(|(_, reader)| reader.reads > 0);
        let mut readers: Vec<_> = read.map(|(number, reader)| (self.principals.name(*number), reader)).collect();
        readers.sort_by_key(|(name, reader)| (Reverse(reader.reads), *name));
        readers
    }

    /// Takes note of a key that secrets are encrypted with, as long as there is room.
    pub(super) fn note_key(&mut self, name: String) {
        let has_room = |keys: &BTreeSet<String>| {
            keys.iter().chain([&name]).map(|key| written(key)).sum::<usize>() <= ROOM_FOR_KEYS
        };
        if !self.keys.contains(&name) && has_room(&self.keys) {
            self.keys.insert(name);
        }
    }

    /// Takes note of how something of ours was set then, as long as there is room. Returns how it was known to be before.
    pub(super) fn note_setting(&mut self, name: String, at: Moment, value: &str) -> Option<String> {
        let before = self.settings.get(&name).map(|known| known.value.clone());
        let others = self.settings.iter().filter(|(known, _)| **known != name);
        let all =
            others.map(|(known, setting)| (known.as_str(), setting.value.as_str())).chain([(name.as_str(), value)]);
        if all.map(|(name, value)| written(name) + written(value) + A_SETTING).sum::<usize>() <= ROOM_FOR_SETTINGS {
            let mut slot = self.settings.remove(&name);
            Stamped::note(&mut slot, at, value.to_owned());
            self.settings.extend(slot.map(|slot| (name, slot)));
        }
        before
    }

    /// Takes note that something happened then.
    pub(super) fn note(&mut self, at: Moment) {
        self.since = Some(self.since.map_or(at, |since| since.min(at)));
        self.until = self.until.max(Some(at));
    }

    /// The number of a principal, which is known from now on.
    pub(super) fn meet_principal(&mut self, id: &str, at: Moment) -> u32 {
        let number = self.principals.find(id).unwrap_or_else(|| self.principals.insert(id.into(), Principal::new(at)));
        let principal = &mut self.principals[number];
        principal.first = principal.first.min(at);
        principal.last = principal.last.max(at);
        number
    }

    /// The number of a secret, which is known from now on.
    pub(super) fn meet_secret(&mut self, target: &Target, at: Moment) -> u32 {
        let number =
            self.secrets.find(target).unwrap_or_else(|| self.secrets.insert(target.clone().into(), Secret::new(at)));
        let secret = &mut self.secrets[number];
        secret.first = secret.first.min(at);
        secret.last = secret.last.max(at);
        number
    }

    /// The reads of a secret by a principal, which are known from now on.
    pub(super) fn meet_reader(&mut self, secret: u32, principal: u32) -> &mut Reader {
        let readers = &mut self.secrets[secret].readers;
        let index = match readers.binary_search_by_key(&principal, |(number, _)| *number) {
            Ok(index) => index,
            Err(_) if readers.len() >= MOST_OF_ONE => {
                // Whoever has not read for longest makes room.
                let oldest = readers.iter().enumerate().min_by_key(|(_, (_, reader))| reader.last);
                let oldest = oldest.map_or(0, |(index, _)| index);
                readers.remove(oldest);
                let index = readers.partition_point(|(number, _)| *number < principal);
                readers.insert(index, (principal, Reader::default()));
                index
            }
            Err(index) => {
                readers.insert(index, (principal, Reader::default()));
                self.readers += 1;
                index
            }
        };
        &mut readers[index].1
    }

    /// Takes note that those who read one secret read another one, too: of whom that is not known by itself.
    pub(super) fn share_readers(&mut self, of: u32, with: u32) {
        if of == with {
            return;
        }
        for (principal, reader) in self.secrets[of].readers.clone() {
            if reader.reads > 0 && self.secrets[with].reader(principal).is_none() {
                *self.meet_reader(with, principal) = Reader { reason: None, told: Told::NOTHING, ..reader };
            }
        }
    }

    /// Forgets what was not seen for longest, when there is too much. Numbers change by it, which is why it is done
    /// before a fact is judged and never while.
    pub(super) fn make_room(&mut self) {
        let fullest = self.readers.max(self.secrets.len()).max(self.principals.len());
        if fullest < MOST_READERS {
            return;
        }
        let mut times: Vec<Moment> = self.secrets.rows().map(|(_, secret)| secret.last).collect();
        times.extend(self.principals.rows().map(|(_, principal)| principal.last));
        let quarter = times.len() / 4;
        let (_, cut, _) = times.select_nth_unstable(quarter);
        let cut = *cut;
        self.forget_before(cut);
    }

    fn forget_before(&mut self, cut: Moment) {
        let numbers = self.principals.retain(|principal| principal.last >= cut);
        let renumbered = |number: u32| numbers.get(number as usize).copied().flatten();
        self.secrets.retain(|secret| secret.last >= cut);
        for (_, principal) in self.principals.rows_mut() {
            principal.recent = Recent::default();
        }
        self.readers = 0;
        for (_, secret) in self.secrets.rows_mut() {
            secret.creator = secret.creator.and_then(renumbered);
            let readers = mem::take(&mut secret.readers);
            let kept = readers.into_iter().filter(|(_, reader)| reader.last.is_none_or(|last| last >= cut));
            secret.readers = kept.filter_map(|(number, reader)| Some((renumbered(number)?, reader))).collect();
            secret.readers.sort_by_key(|(number, _)| *number);
            self.readers += secret.readers.len();
        }
    }
}

/// How many bytes a text has at most within JSON, with its quotation marks and a comma.
fn written(text: &str) -> usize {
    let bytes = text.bytes().map(|byte| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => "\\u0000".len(),
        _ => 1,
    });
    bytes.sum::<usize>() + 3
}

impl Secret {
    fn new(at: Moment) -> Self {
        Self {
            first: at,
            last: at,
            creator: None,
            birth: None,
            policy: None,
            readers: Vec::new(),
            rotation: None,
            standing: None,
        }
    }

    pub(super) fn reader(&self, principal: u32) -> Option<&Reader> {
        let index = self.readers.binary_search_by_key(&principal, |(number, _)| *number).ok()?;
        Some(&self.readers[index].1)
    }

    /// What is known of its rotation, if anything is.
    pub fn rotation(&self) -> Option<&RotationHabit> {
        self.rotation.as_deref()
    }
}

impl Sharing {
    /// What is known of it: of very many, some.
    pub(super) fn of(openings: impl IntoIterator<Item = Opening>, denied: Vec<String>) -> Self {
        Self {
            openings: openings.into_iter().take(MOST_SHARING).collect(),
            denied: denied.into_iter().take(MOST_SHARING).collect(),
        }
    }
}

impl RotationHabit {
    /// Whether the secret is rotated at all.
    pub fn rotates(&self) -> bool {
        match &self.every {
            Some(Stamped { value: None, at }) => self.succeeded.is_some_and(|succeeded| succeeded > *at),
            Some(Stamped { value: Some(_), .. }) => true,
            None => self.token.is_some() || self.ended.is_some(),
        }
    }

    /// Whether a rotation is under way then, of that version if one is given. It is until it succeeds, for a day at most:
    /// one that failed is tried again. Clocks differ by a little.
    pub fn is_rotating(&self, version: Option<&VersionId>, at: Moment) -> bool {
        let Some(token) = &self.token else { return false };
        let is_same = version.is_none() || token.value.is_none() || token.value.as_ref() == version;
        let is_over =
            self.ended.as_ref().is_some_and(|ended| ended.value && ended.at >= token.at && at.since(ended.at) > CLOCKS);
        is_same && !is_over && (-CLOCKS..=24 * HOUR).contains(&at.since(token.at))
    }
}

impl Principal {
    fn new(at: Moment) -> Self {
        Self { first: at, last: at, habits: Habits::default(), recent: Recent::default() }
    }
}

impl Reader {
    /// Takes note of a read. In whichever order reads are noted, what is known after them is the same.
    pub(super) fn note(&mut self, at: Moment, fact: &Fact) {
        self.reason = self.reason.max(Some(at));
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = self.last.max(Some(at));
        self.reads = self.reads.saturating_add(1);
        self.days.note(at);
        self.hours |= 1 << hour(at);
        self.person |= fact.actor.nature == Nature::Human;
        if let Some(Origin::Address(address)) = fact.origin {
            self.networks.note(&Network::of(address), at);
        }
        if let Some(agent) = &fact.user_agent {
            self.tools.note_with(tool(agent), at, |tool| tool.into());
        }
    }

    /// Whether it was a habit by then: reads that were noted began longer ago than that.
    pub fn is_habit(&self, at: Moment, learning: i64) -> bool {
        self.first.is_some_and(|first| at.since(first) >= learning)
    }
}

/// The hour of the day, UTC.
pub(super) const fn hour(at: Moment) -> i64 {
    at.as_millis().rem_euclid(24 * HOUR) / HOUR
}

/// The program of a user agent, without its version: `aws-cli` of `aws-cli/2.17 md/…`.
pub fn tool(user_agent: &str) -> &str {
    let agent = user_agent.trim_start_matches('[');
    let end = agent.find(['/', ' ', ']', ',']).unwrap_or(agent.len());
    let end = agent.floor_char_boundary(end.min(40));
    &agent[..end]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use relatch_events::cloudtrail::target::Place;

    #[test]
    fn what_was_not_seen_for_longest_is_forgotten_and_the_rest_keeps_its_name() {
        let mut baseline = Baseline::default();
        let secret = |index: usize| Target::secret(&format!("secret-{index}"), Place::default());
        for index in 0..=MOST_READERS {
            let at = Moment::from_millis(index as i64);
            baseline.make_room();
            let principal = baseline.meet_principal(&format!("principal-{index}"), at);
            let Some(target) = secret(index) else { continue };
            let number = baseline.meet_secret(&target, at);
            let reader = baseline.meet_reader(number, principal);
            (reader.reads, reader.last) = (1, Some(at));
        }
        assert!(baseline.principals() < MOST_READERS && baseline.principals() > MOST_READERS / 2);
        assert_eq!(baseline.secrets(), baseline.principals());
        assert!(baseline.principal("principal-0").is_none());
        let known = secret(MOST_READERS).map(|target| baseline.readers(&target).len());
        assert_eq!(known, Some(1));
        let last = format!("principal-{MOST_READERS}");
        assert!(secret(MOST_READERS).is_some_and(|target| baseline.reader(&last, &target).is_some()));
        assert!(secret(MOST_READERS - 1).is_some_and(|target| baseline.reader(&last, &target).is_none()));
    }

    #[test]
    fn what_belongs_to_nobody_can_always_be_kept() {
        let mut baseline = Baseline::default();
        let at = Moment::from_millis(i64::MIN);
        for n in 0..600 {
            // What JSON has to escape takes the most room.
            for odd in ["", "\u{1}", "\"\\", "鍵"] {
                baseline.note_key(format!("alias/{}{n}", odd.repeat(n % 100)));
                baseline.note_setting(format!("rule {}{n}", odd.repeat(n % 100)), at, &odd.repeat(n % 50));
            }
        }
        let text = baseline.part(&Part::General).unwrap().unwrap();
        assert!((370_000..=Part::LARGEST).contains(&text.len()), "{}", text.len());

        let known = baseline.settings.keys().next().unwrap().clone();
        assert!(baseline.note_setting(known.clone(), Moment::from_millis(0), "new").is_some());
        assert_eq!(baseline.settings[&known].value, "new", "what is known can change");
        assert_eq!(baseline.note_setting("one more".to_owned(), at, &"long".repeat(100)), None);
        assert!(!baseline.settings.contains_key("one more"));
    }
}
