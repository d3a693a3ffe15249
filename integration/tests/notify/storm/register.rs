//! The table in memory, with the latency of a real one and its conditions on writes; and a topic that keeps what it was
//! given. Both can be out of reach.

use jiff::Timestamp;
use relatch::{
    alert::{
        Alert, Severity,
        policy::{Entry, Key, Silence},
    },
    config::Environment,
    ports::{CallError, CallErrorKind, Claim, Register, Telling, Topic},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::pending,
    rc::Rc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// What all processes share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    entries: RefCell<BTreeMap<(String, &'static str), Entry>>,
    groups: RefCell<BTreeMap<String, (Telling, Held)>>,
    pub(crate) silences: RefCell<Vec<Silence>>,
    pub(crate) published: RefCell<Vec<(Instant, Alert)>>,
    pub(crate) calls: Cell<u64>,
    random: Cell<u64>,
    /// Until when nothing can be published.
    pub(crate) topic_is_back: Cell<Option<Instant>>,
}

/// Who has claimed a group, and until when.
type Held = Option<(Claim, Timestamp)>;

/// The outside, as one process sees it, and when that dies.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) shared: Rc<Shared>,
    pub(crate) dies: Option<Death>,
}

/// When a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// After it has claimed a group, before people are told.
    BeforeTelling,
    /// After they were told, before that is noted.
    AfterTelling,
}

impl Shared {
    /// A number below `most`, the same in every run.
    pub(crate) fn random(&self, most: u64) -> u64 {
        let next = self.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random.set(next);
        (next >> 33) % most
    }

    /// Everything of which people do not know how it is.
    pub(crate) fn news(&self) -> usize {
        self.entries.borrow().values().filter(|entry| entry.is_news()).count()
    }

    async fn call(&self) {
        self.calls.set(self.calls.get() + 1);
        sleep(Duration::from_millis(self.random(20))).await;
    }
}

impl Register for Process {
    async fn entries(&self, environment: Environment, subject: Option<&str>) -> Result<Vec<Entry>, CallError> {
        self.shared.call().await;
        let entries = self.shared.entries.borrow();
        let of = |entry: &&Entry| {
            entry.alert.environment == environment && subject.is_none_or(|subject| subject == entry.alert.subject)
        };
        Ok(entries.values().filter(of).cloned().collect())
    }

    async fn keep(&self, entry: &Entry) -> Result<bool, CallError> {
        self.shared.call().await;
        let mut entries = self.shared.entries.borrow_mut();
        let key = (entry.alert.subject.clone(), entry.alert.condition.name());
        let is_as_read = entries.get(&key).map_or(0, |kept| kept.revision) == entry.revision;
        if is_as_read {
            entries.insert(key, Entry { revision: entry.revision + 1, ..entry.clone() });
        }
        Ok(is_as_read)
    }

    async fn telling(&self, key: &Key) -> Result<Telling, CallError> {
        self.shared.call().await;
        Ok(self.shared.groups.borrow().get(&key.name()).map(|(telling, _)| *telling).unwrap_or_default())
    }

    async fn claim(
        &self,
        key: &Key,
        seen: &Telling,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Claim>, CallError> {
        self.shared.call().await;
        let mut groups = self.shared.groups.borrow_mut();
        let (telling, held) = groups.entry(key.name()).or_default();
        if telling.turns != seen.turns || held.as_ref().is_some_and(|(_, until)| *until > now) {
            return Ok(None);
        }
        telling.turns += 1;
        let claim = Claim(telling.turns.to_string());
        *held = Some((claim.clone(), until));
        Ok(Some(claim))
    }

    async fn give_up(&self, key: &Key, claim: &Claim) -> Result<(), CallError> {
        self.shared.call().await;
        if let Some((telling, held)) = self.shared.groups.borrow_mut().get_mut(&key.name())
            && held.take_if(|(by, _)| by == claim).is_some()
        {
            telling.turns += 1;
        }
        Ok(())
    }

    async fn told(
        &self,
        key: &Key,
        claim: &Claim,
        at: Timestamp,
        members: &[(String, Option<Severity>)],
    ) -> Result<(), CallError> {
        for (subject, severity) in members {
            self.shared.call().await;
            let mut entries = self.shared.entries.borrow_mut();
            let entry = entries.get_mut(&(subject.clone(), key.condition.name())).expect("what was told was kept");
            (entry.told, entry.revision) = (*severity, entry.revision + 1);
        }
        self.shared.call().await;
        if let Some((telling, held)) = self.shared.groups.borrow_mut().get_mut(&key.name())
            && held.take_if(|(by, _)| by == claim).is_some()
        {
            telling.told_at = Some(at);
            telling.turns += 1;
        }
        Ok(())
    }

    async fn silences(&self) -> Result<Vec<Silence>, CallError> {
        self.shared.call().await;
        Ok(self.shared.silences.borrow().clone())
    }

    async fn silence(&self, silence: &Silence) -> Result<(), CallError> {
        self.shared.silences.borrow_mut().push(silence.clone());
        Ok(())
    }

    async fn unsilence(&self, id: &str) -> Result<bool, CallError> {
        let mut silences = self.shared.silences.borrow_mut();
        let before = silences.len();
        silences.retain(|silence| silence.id != id);
        Ok(silences.len() < before)
    }
}

impl Topic for Process {
    async fn publish(&self, alert: &Alert) -> Result<(), CallError> {
        if self.dies == Some(Death::BeforeTelling) {
            return pending().await;
        }
        self.shared.call().await;
        let is_back = self.shared.topic_is_back.get().is_none_or(|back| Instant::now() >= back);
        if !is_back {
            let (operation, message) = ("sns:Publish", "out of reach".to_owned());
            return Err(CallError { operation, kind: CallErrorKind::NoAnswer, message });
        }
        self.shared.published.borrow_mut().push((Instant::now(), alert.clone()));
        if self.dies == Some(Death::AfterTelling) {
            return pending().await;
        }
        Ok(())
    }
}
