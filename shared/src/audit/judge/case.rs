//! One fact before the judge, and what is known of those whom it is about.

use super::{order::Purpose, reads::Unexplained, recent::Recent, standing::PrincipalStanding};
use crate::audit::{
    baseline::{Baseline, Habits, Network, Principal, Reader, Secret, SecretStanding},
    finding::{Evidence, Finding, Kind},
    operation::Announcement,
    policy::{Policy, last_of},
};
use relatch_events::{
    cloudtrail::{identity::ActorKind, target::Target},
    fact::{Fact, Origin},
    moment::Moment,
};
use std::collections::VecDeque;

/// For how long whoever has created a secret may come from anywhere: a build that has several addresses.
const AFTER_BIRTH: i64 = 3_600_000;

/// How many usual readers are named.
const NAMED: usize = 3;

pub(super) struct Case<'a> {
    pub(super) fact: &'a Fact,
    /// When it happened; of a fact without a time, when the last one did.
    pub(super) at: Moment,
    pub(super) policy: &'a Policy,
    pub(super) baseline: &'a mut Baseline,
    pub(super) unexplained: &'a mut Unexplained,
    pub(super) announced: &'a VecDeque<Announcement>,
    /// The number of the principal.
    pub(super) who: u32,
    pub(super) purpose: Purpose,
    pub(super) found: &'a mut Vec<Finding>,
}

/// The network that a call came from; nothing where a service of AWS has made it.
pub(super) fn network(fact: &Fact) -> Option<Network> {
    match fact.origin {
        Some(Origin::Address(address)) => Some(Network::of(address)),
        Some(Origin::Aws(_) | Origin::Other(_)) | None => None,
    }
}

impl<'a> Case<'a> {
    pub(super) fn principal(&mut self) -> &mut Principal {
        &mut self.baseline.principals[self.who]
    }

    pub(super) fn recent(&mut self) -> &mut Recent {
        &mut self.principal().recent
    }

    pub(super) fn habits(&mut self) -> &mut Habits {
        &mut self.principal().habits
    }

    pub(super) fn standing(&mut self) -> &PrincipalStanding {
        let (fact, policy) = (self.fact, self.policy);
        self.recent().standing.get_or_insert_with(|| PrincipalStanding::of(&fact.actor, policy))
    }

    /// Whether reads and changes of the principal are as they should be, by decision.
    pub(super) fn is_trusted(&mut self) -> bool {
        let is_ours = self.is_of_ours();
        self.fact.actor.kind == ActorKind::Service || self.standing().trusted.holds(is_ours)
    }

    /// Whether the principal may change what keeps watch, by decision.
    pub(super) fn is_deployer(&mut self) -> bool {
        let is_ours = self.is_of_ours();
        self.standing().deployer.holds(is_ours)
    }

    /// Whether the principal belongs to the account where this happens, or to one that the policy names.
    pub(super) fn is_of_ours(&self) -> bool {
        let actor = &self.fact.actor;
        let of_id = || actor.id.split(':').nth(4).filter(|account| !account.is_empty());
        self.policy.is_ours(actor.account.as_deref().or_else(of_id), self.fact.account.as_deref())
    }

    /// Whether a change is as it should be: of somebody trusted, or announced.
    pub(super) fn is_expected(&mut self) -> bool {
        self.is_trusted() || self.is_announced()
    }

    /// Whether it is what Relatch has recorded that it would do.
    pub(super) fn is_announced(&self) -> bool {
        self.announced.iter().any(|announced| announced.covers(self.fact, self.at))
    }

    /// The number of a secret, which is known from now on, and what the policy says of it.
    pub(super) fn meet(&mut self, target: &Target) -> (u32, &SecretStanding) {
        let number = self.baseline.meet_secret(target, self.at);
        let policy = self.policy;
        let standing = &mut self.baseline.secrets[number].standing;
        (number, standing.get_or_insert_with(|| SecretStanding::of(target, policy)))
    }

    pub(super) fn secret(&mut self, number: u32) -> &mut Secret {
        &mut self.baseline.secrets[number]
    }

    /// The principal's reads of a secret.
    pub(super) fn reader(&mut self, secret: u32) -> &mut Reader {
        self.baseline.meet_reader(secret, self.who)
    }

    /// Whether the principal has created the secret, and acts from where it did so; just afterwards, from anywhere.
    pub(super) fn has_created(&self, secret: u32) -> bool {
        let secret = &self.baseline.secrets[secret];
        let is_from_there = secret
            .birth
            .is_none_or(|birth| birth.network == network(self.fact) || self.at.since(birth.at).abs() <= AFTER_BIRTH);
        secret.creator == Some(self.who) && is_from_there
    }

    /// Whether anything of production is concerned.
    pub(super) fn is_production(&mut self) -> bool {
        let fact = self.fact;
        let account = fact.account.as_deref().and_then(|account| self.policy.environments.accounts.get(account));
        let is_secret = fact.secrets().any(|target| self.meet(target).1.is_production);
        is_secret || self.policy.environments.is_production(account.map(String::as_str))
    }

    /// Whether a finding of the principal is not told already: the same is told twice an incident at most.
    pub(super) fn is_news(&mut self, kind: Kind) -> bool {
        let (at, span) = (self.at, self.policy.thresholds.incident_gap / 2);
        self.recent().told.is_news(kind, at, span)
    }

    /// The same, of the principal and a secret.
    pub(super) fn is_news_of(&mut self, kind: Kind, secret: u32) -> bool {
        let (at, span) = (self.at, self.policy.thresholds.incident_gap / 2);
        self.reader(secret).told.is_news(kind, at, span)
    }

    /// Adds a finding about all targets of the fact.
    pub(super) fn raise(&mut self, kind: Kind, is_worst: bool) -> &mut Finding {
        let is_production = self.is_production();
        self.raise_at(kind, is_production, is_worst)
    }

    /// Adds a finding about one secret.
    pub(super) fn raise_of(&mut self, kind: Kind, target: &Target, is_worst: bool) -> &mut Finding {
        let is_production = self.meet(target).1.is_production;
        let finding = self.raise_at(kind, is_production, is_worst);
        finding.targets = vec![target.clone()];
        finding
    }

    /// Adds a finding about each secret of the fact of which it is news, or about the principal alone where there is none.
    pub(super) fn raise_of_each(&mut self, kind: Kind, evidence: &[Evidence]) {
        let fact = self.fact;
        if fact.secrets().next().is_none() && self.is_news(kind) {
            self.raise(kind, false).evidence.extend_from_slice(evidence);
        }
        for target in fact.secrets() {
            let (secret, _) = self.meet(target);
            if self.is_news_of(kind, secret) {
                self.raise_of(kind, target, false).evidence.extend_from_slice(evidence);
            }
        }
    }

    fn raise_at(&mut self, kind: Kind, is_production: bool, is_worst: bool) -> &mut Finding {
        let severity = kind.page().severity(is_production, is_worst);
        self.found.push(Finding::of(kind, severity, self.fact));
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    /// Who else usually reads a secret.
    pub(super) fn usual_readers(&self, target: &Target) -> Evidence {
        let mut readers = self.baseline.readers(target);
        readers.retain(|(name, _)| *name != self.fact.actor.id);
        match readers.len() {
            0 => Evidence::NoReaders,
            all => {
                let names = readers.iter().take(NAMED).map(|(name, _)| last_of(name).to_owned()).collect();
                Evidence::UsualReaders { names, all }
            }
        }
    }
}
