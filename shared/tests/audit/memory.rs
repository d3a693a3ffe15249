//! Ledger, baseline, register and topic in memory. Every call is numbered, and a fault can be planned for each.

use jiff::{SignedDuration, Timestamp};
use relatch::{
    alert::{
        Alert, Severity,
        policy::{Entry, Key, Silence},
    },
    audit::{
        baseline::Part,
        chain::{Head, Record},
        ledger::{self, Appended, Noted, Page, Past, Question},
        operation::{Announcement, Operation},
    },
    config::Environment,
    ports::{
        Baselines, Bus, CallError, CallErrorKind, Claim, KeptPart, Ledger, Operations, Register, Requests, Telling,
        Topic,
    },
};
use relatch_events::{
    containment::{Containment, RequestId, WakeUp},
    moment::Moment,
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::pending,
    pin::Pin,
    rc::Rc,
};

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It fails, without effect.
    Before,
    /// It happens, and the answer is lost.
    AfterEffect,
    /// The process dies before the call.
    Dies,
    /// It happens, and the process dies.
    DiesAfter,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] = [Self::Before, Self::AfterEffect, Self::Dies, Self::DiesAfter];

    pub(crate) const fn is_deadly(self) -> bool {
        matches!(self, Self::Dies | Self::DiesAfter)
    }
}

/// What all processes share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) accesses: BTreeMap<String, ledger::Entry>,
    pub(crate) chain: Vec<Record>,
    pub(crate) parts: BTreeMap<Part, (String, u64)>,
    pub(crate) announced: Vec<Announcement>,
    /// How many parts could not be kept, since somebody else had kept something meanwhile.
    pub(crate) conflicts: u32,
    /// How often somebody is still to be the first to keep a part.
    pub(crate) rivals: u32,
    pub(crate) published: Vec<Alert>,
    pub(crate) asked: Vec<Containment>,
    ids: BTreeSet<RequestId>,
    entries: BTreeMap<(String, &'static str), Entry>,
    groups: BTreeMap<String, (Telling, Option<(Claim, Timestamp)>)>,
}

/// The outside, as one process sees it: the numbers of the calls are its own.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) shared: Rc<RefCell<Shared>>,
    script: Rc<RefCell<Script>>,
}

type Others = Pin<Box<dyn Future<Output = ()>>>;

/// What is planned for a process, and the names of its calls so far.
#[derive(Default)]
struct Script {
    calls: Vec<&'static str>,
    fault: Option<(usize, Fault)>,
    meanwhile: Option<(usize, Others)>,
}

impl Process {
    pub(crate) fn first() -> Self {
        let shared = Shared {
            accesses: BTreeMap::new(),
            chain: Vec::new(),
            parts: BTreeMap::new(),
            announced: Vec::new(),
            conflicts: 0,
            rivals: 0,
            published: Vec::new(),
            asked: Vec::new(),
            ids: BTreeSet::new(),
            entries: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        Self { shared: Rc::new(RefCell::new(shared)), script: Rc::default() }
    }

    /// Another process of the same world.
    pub(crate) fn another(&self) -> Self {
        Self { shared: self.shared.clone(), script: Rc::default() }
    }

    pub(crate) fn failing_at(self, call: usize, fault: Fault) -> Self {
        self.script.borrow_mut().fault = Some((call, fault));
        self
    }

    /// Stands still before a call, until the other one is over.
    pub(crate) fn interrupted_at(self, call: usize, other: impl Future<Output = ()> + 'static) -> Self {
        self.script.borrow_mut().meanwhile = Some((call, Box::pin(other)));
        self
    }

    /// The names of its calls so far.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.script.borrow().calls.clone()
    }

    async fn call<T>(&self, name: &'static str, effect: impl FnOnce(&mut Shared) -> T) -> Result<T, CallError> {
        let (fault, meanwhile) = {
            let mut script = self.script.borrow_mut();
            let number = script.calls.len();
            script.calls.push(name);
            let fault = script.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
            (fault, script.meanwhile.take_if(|(at, _)| *at == number))
        };
        if let Some((_, other)) = meanwhile {
            other.await;
        }
        let failed = || CallError { operation: name, kind: CallErrorKind::NoAnswer, message: "as planned".to_owned() };
        match fault {
            None => Ok(effect(&mut self.shared.borrow_mut())),
            Some(Fault::Before) => Err(failed()),
            Some(Fault::AfterEffect) => {
                effect(&mut self.shared.borrow_mut());
                Err(failed())
            }
            Some(Fault::Dies) => pending().await,
            Some(Fault::DiesAfter) => {
                effect(&mut self.shared.borrow_mut());
                pending().await
            }
        }
    }
}

impl Ledger for Process {
    async fn known(&self, _: Environment, noted: &[Noted]) -> Result<Vec<bool>, CallError> {
        let is_known = |shared: &Shared, noted: &Noted| match noted {
            Noted::Access(entry) => shared.accesses.contains_key(&entry.event),
            Noted::Change(entry) => shared.sequence(entry).is_some(),
        };
        self.call("known", |shared| noted.iter().map(|noted| is_known(shared, noted)).collect()).await
    }

    /// As of a table, some of them may be there after a fault.
    async fn record_accesses(
        &self,
        _: Environment,
        accesses: &[ledger::Entry],
        _: SignedDuration,
    ) -> Result<(), CallError> {
        for entry in accesses {
            self.call("record", |shared| shared.accesses.insert(entry.event.clone(), entry.clone())).await?;
        }
        Ok(())
    }

    async fn append(&self, environment: Environment, changes: &[ledger::Entry]) -> Result<Vec<Appended>, CallError> {
        let mut appended = Vec::new();
        for entry in changes {
            let append = |shared: &mut Shared| {
                shared.sequence(entry).map(Appended::Before).unwrap_or_else(|| {
                    let head = shared.chain.last().map_or_else(|| Head::beginning(environment), Record::head);
                    shared.chain.push(Record::after(head, Moment::from_millis(0), entry));
                    Appended::Now(head.sequence + 1)
                })
            };
            appended.push(self.call("append", append).await?);
        }
        Ok(appended)
    }

    async fn accesses(&self, _: Question<'_>) -> Result<Page<ledger::Entry>, CallError> {
        unreachable!("by a person")
    }

    async fn history(&self, _: Question<'_>) -> Result<Page<Past>, CallError> {
        unreachable!("by a person")
    }

    async fn head(&self, _: Environment) -> Result<Head, CallError> {
        unreachable!("by a person")
    }

    async fn records(&self, _: Environment, _: u64, _: Option<&str>, _: u16) -> Result<Page<Record>, CallError> {
        unreachable!("by a person")
    }

    async fn unlisted(&self, _: Environment, _: &[Record]) -> Result<Vec<u64>, CallError> {
        unreachable!("by a person")
    }
}

impl Shared {
    fn sequence(&self, entry: &ledger::Entry) -> Option<u64> {
        let is_it = |record: &&Record| record.entry().is_some_and(|known| known.event == entry.event);
        self.chain.iter().find(is_it).map(|record| record.sequence)
    }
}

impl Operations for Process {
    async fn announced(&self, operations: &[Operation]) -> Result<Vec<Announcement>, CallError> {
        let is_asked = |announced: &&Announcement| operations.contains(&announced.operation);
        self.call("announced", |shared| shared.announced.iter().filter(is_asked).cloned().collect()).await
    }
}

impl Baselines for Process {
    async fn parts(&self, _: Environment, parts: &[Part]) -> Result<Vec<KeptPart>, CallError> {
        let kept = |shared: &Shared, part: &Part| {
            let kept = shared.parts.get(part).cloned();
            kept.map_or_else(KeptPart::default, |(text, revision)| KeptPart { text: Some(text), revision })
        };
        self.call("parts", |shared| parts.iter().map(|part| kept(shared, part)).collect()).await
    }

    async fn keep_part(&self, _: Environment, part: &Part, text: &str, revision: u64) -> Result<bool, CallError> {
        let keep = |shared: &mut Shared| {
            let is_first = shared.rivals == 0;
            shared.rivals = shared.rivals.saturating_sub(1);
            let is_as_read = is_first && shared.parts.get(part).map_or(0, |(_, revision)| *revision) == revision;
            if is_as_read {
                shared.parts.insert(part.clone(), (text.to_owned(), revision + 1));
            } else {
                shared.conflicts += 1;
            }
            is_as_read
        };
        self.call("keep part", keep).await
    }
}

impl Topic for Process {
    async fn publish(&self, alert: &Alert) -> Result<(), CallError> {
        self.call("publish", |shared| shared.published.push(alert.clone())).await
    }
}

impl Requests for Process {
    async fn record_request(&self, id: &RequestId, request: &Containment) -> Result<(), CallError> {
        let record = |shared: &mut Shared| {
            if shared.ids.insert(id.clone()) {
                shared.asked.push(request.clone());
            }
        };
        self.call("ask", record).await
    }
}

impl Bus for Process {
    async fn wake(&self, word: &WakeUp) -> Result<(), CallError> {
        self.call("wake", |shared| assert!(shared.ids.contains(&word.request), "it is written down first")).await
    }
}

impl Register for Process {
    async fn entries(&self, _: Environment, subject: Option<&str>) -> Result<Vec<Entry>, CallError> {
        let of = |entry: &&Entry| subject.is_none_or(|subject| subject == entry.alert.subject);
        self.call("entries", |shared| shared.entries.values().filter(of).cloned().collect()).await
    }

    async fn keep(&self, entry: &Entry) -> Result<bool, CallError> {
        let keep = |shared: &mut Shared| {
            let key = (entry.alert.subject.clone(), entry.alert.condition.name());
            let is_as_read = shared.entries.get(&key).map_or(0, |kept| kept.revision) == entry.revision;
            if is_as_read {
                shared.entries.insert(key, Entry { revision: entry.revision + 1, ..entry.clone() });
            }
            is_as_read
        };
        self.call("keep", keep).await
    }

    async fn telling(&self, key: &Key) -> Result<Telling, CallError> {
        let telling = |shared: &mut Shared| shared.groups.get(&key.name()).map(|(telling, _)| *telling);
        Ok(self.call("telling", telling).await?.unwrap_or_default())
    }

    async fn claim(
        &self,
        key: &Key,
        seen: &Telling,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Claim>, CallError> {
        let claim = |shared: &mut Shared| {
            let (telling, held) = shared.groups.entry(key.name()).or_default();
            if telling.turns != seen.turns || held.as_ref().is_some_and(|(_, until)| *until > now) {
                return None;
            }
            telling.turns += 1;
            let claim = Claim(telling.turns.to_string());
            *held = Some((claim.clone(), until));
            Some(claim)
        };
        self.call("claim", claim).await
    }

    async fn give_up(&self, key: &Key, claim: &Claim) -> Result<(), CallError> {
        self.call("give up", |shared| shared.end(key, claim, None)).await
    }

    async fn told(
        &self,
        key: &Key,
        claim: &Claim,
        at: Timestamp,
        members: &[(String, Option<Severity>)],
    ) -> Result<(), CallError> {
        let note = |shared: &mut Shared| {
            for (subject, severity) in members {
                let entry = shared.entries.get_mut(&(subject.clone(), key.condition.name()));
                let entry = entry.expect("what was told was kept");
                (entry.told, entry.revision) = (*severity, entry.revision + 1);
            }
            shared.end(key, claim, Some(at));
        };
        self.call("told", note).await
    }

    async fn silences(&self) -> Result<Vec<Silence>, CallError> {
        self.call("silences", |_| Vec::new()).await
    }

    async fn silence(&self, _: &Silence) -> Result<(), CallError> {
        unreachable!("by a person")
    }

    async fn unsilence(&self, _: &str) -> Result<bool, CallError> {
        unreachable!("by a person")
    }
}

impl Shared {
    fn end(&mut self, key: &Key, claim: &Claim, told_at: Option<Timestamp>) {
        if let Some((telling, held)) = self.groups.get_mut(&key.name())
            && held.take_if(|(by, _)| by == claim).is_some()
        {
            telling.turns += 1;
            telling.told_at = told_at.or(telling.told_at);
        }
    }
}
