//! What is to be said of a fact.
//!
//! [`Judge::take`] takes facts in any order and judges each once, in the order in which they happened: a fact waits until
//! nothing that is [late](Judge::waiting) can overtake it. What a fact means by itself is decided in one module for each
//! subject; what it means beside others, by what the [`Baseline`] knows.
//!
//! # Before much is known
//!
//! Whether a reader is new can only be told of a secret that somebody was first seen to read longer ago than the policy's
//! learning period; a habit is one after as long. So an empty baseline calls nobody new, and begins to by itself.
//! [`Judge::learn`] takes history in without judging it, after which nothing has to be waited for. What needs no habit
//! (decoys, the root user, bursts, deletions, whoever touches the watch) is judged from the first fact on.

mod account;
mod case;
mod changes;
mod order;
mod reads;
mod recent;
mod reported;
mod rotation;
mod standing;
mod touched;
mod watchers;

pub(super) use account::{joint, principal};
pub(super) use recent::{KeptRecent, Recent, Told};

use super::{baseline::Baseline, finding::Finding, operation::Announcement, policy::Policy, spoils::Spoils};
use case::Case;
use order::{Order, Purpose, Seen};
use relatch_events::{
    fact::{Fact, What},
    moment::Moment,
};
use std::{collections::VecDeque, sync::Arc};

/// How late a fact may be and still be judged in its place, unless said otherwise: CloudTrail takes ten minutes at worst.
pub const LATENESS: i64 = 15 * 60_000;

/// Judges facts.
#[derive(Debug)]
pub struct Judge {
    policy: Arc<Policy>,
    baseline: Baseline,
    lateness: i64,
    order: Order,
    seen: Seen,
    unexplained: reads::Unexplained,
    announced: VecDeque<Announcement>,
}

/// What became of a fact that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is judged, or will be in its turn.
    New,
    /// It was taken before.
    Duplicate,
}

impl Judge {
    /// A judge who knows nothing yet.
    pub fn new(policy: impl Into<Arc<Policy>>) -> Self {
        Self::knowing(policy, Baseline::default())
    }

    /// A judge who knows what is normal.
    pub fn knowing(policy: impl Into<Arc<Policy>>, baseline: Baseline) -> Self {
        Self {
            policy: policy.into(),
            baseline,
            lateness: LATENESS,
            order: Order::default(),
            seen: Seen::default(),
            unexplained: reads::Unexplained::default(),
            announced: VecDeque::new(),
        }
    }

    /// How long facts wait for earlier ones, in milliseconds of their own time. With 0 they do not wait: each is judged
    /// as it comes, by what is known then.
    #[must_use]
    pub const fn waiting(mut self, lateness: i64) -> Self {
        self.lateness = lateness;
        self
    }

    /// Takes a fact in, and adds what is to be said by now. Facts may come in any order, and more than once.
    pub fn take(&mut self, fact: Box<Fact>, found: &mut Vec<Finding>) -> Taken {
        self.put(fact, Purpose::Judge, found)
    }

    /// Takes history in, before anything is to be judged: what is in it is known from now on, and nothing is said of it.
    pub fn learn(&mut self, fact: Box<Fact>) -> Taken {
        self.put(fact, Purpose::Learn, &mut Vec::new())
    }

    fn put(&mut self, fact: Box<Fact>, purpose: Purpose, found: &mut Vec<Finding>) -> Taken {
        if !self.seen.is_new(&fact) {
            return Taken::Duplicate;
        }
        self.order.put(fact, purpose);
        self.drain(self.lateness, found);
        Taken::New
    }

    fn drain(&mut self, lateness: i64, found: &mut Vec<Finding>) {
        while let Some((at, fact, purpose)) = self.order.next(lateness) {
            let from = found.len();
            self.judge(&fact, at, purpose, found);
            if purpose == Purpose::Learn {
                found.truncate(from);
            }
        }
    }

    /// Judges what is still waiting. Unlike [`Judge::finish`], it says nothing of what has not happened: whoever sees only
    /// a part of what happens cannot tell.
    pub fn settle(&mut self, found: &mut Vec<Finding>) {
        self.drain(i64::MIN, found);
    }

    /// That there is no more to come: judges what is still waiting, and adds what is overdue by the last fact's time.
    pub fn finish(&mut self, found: &mut Vec<Finding>) {
        self.settle(found);
        if let Some(until) = self.baseline.until() {
            self.advance(until, found);
        }
    }

    /// That everything until then has been taken: adds what did not happen and should have.
    pub fn advance(&mut self, now: Moment, found: &mut Vec<Finding>) {
        let from = found.len();
        self.unexplained.due(now, &self.baseline, &self.policy, found);
        rotation::overdue(&mut self.baseline, &self.policy, now, found);
        self.shadow(&mut found[from..]);
    }

    /// Says that something is as it should be. What Relatch does itself is known by this, never by its role.
    pub fn announce(&mut self, announcement: Announcement) {
        if self.announced.len() >= 10_000 {
            self.announced.pop_front();
        }
        self.announced.push_back(announcement);
    }

    /// What is normal by decision.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What is normal by habit.
    pub const fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// Judges a fact at the time that it says, or that those beside it do.
    fn judge(&mut self, fact: &Fact, at: Option<Moment>, purpose: Purpose, found: &mut Vec<Finding>) {
        let at = at.or(self.baseline.until()).unwrap_or(Moment::from_millis(0));
        let from = found.len();
        self.baseline.make_room();
        self.baseline.note(at);
        let who = self.baseline.meet_principal(&account::principal(fact), at);
        let mut case = Case {
            fact,
            at,
            policy: &self.policy,
            baseline: &mut self.baseline,
            unexplained: &mut self.unexplained,
            announced: &self.announced,
            who,
            purpose,
            found,
        };
        // Relatch tries whether a secret is shut: nothing is read, and nobody is to be told.
        if matches!(fact.what, What::Access(_)) && case.is_announced() {
            return;
        }
        touched::judge(&mut case);
        match &fact.what {
            What::Access(access) => reads::judge(&mut case, access),
            What::Change(change) => changes::judge(&mut case, change),
            What::Rotation(turn) => rotation::judge(&mut case, turn),
            What::Tamper(tamper) => watchers::judge(&mut case, tamper),
            What::Account(_) => {}
            What::Reported(report) => reported::judge(&mut case, report),
        }
        account::judge(&mut case);
        self.shadow(&mut found[from..]);
        if purpose == Purpose::Judge {
            let spoils = &mut self.baseline.principals[who].recent.spoils;
            Spoils::note(spoils, fact, &found[from..], at, self.policy.thresholds.incident_gap);
        }
        let from = found.len();
        self.unexplained.due(at, &self.baseline, &self.policy, found);
        self.shadow(&mut found[from..]);
    }

    fn shadow(&self, found: &mut [Finding]) {
        for finding in found {
            finding.shadowed = self.policy.shadowed.contains(&finding.kind) && !watchers::is_of_the_policy(finding);
        }
    }
}
