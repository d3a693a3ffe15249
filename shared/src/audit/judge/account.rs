//! What concerns the account as a whole: the root user, sign-ins, and calls that are denied one after the other.

use super::{
    case::{Case, network},
    order::lasting,
    reads::Breadth,
};
use crate::audit::finding::{Counted, Evidence, Kind, origin_text};
use relatch_events::{
    cloudtrail::identity::ActorKind,
    fact::{Account, Fact, Outcome, What},
};
use std::borrow::Cow;

const MINUTE: i64 = 60_000;

/// Who did it. Of a sign-in that failed nobody may be told; then it is whoever is there.
pub(in crate::audit) fn principal(fact: &Fact) -> Cow<'_, str> {
    match (&fact.what, &fact.origin) {
        (What::Account(Account::ConsoleLogin { .. }), Some(origin)) if fact.actor.id.is_empty() => {
            Cow::Owned(format!("somebody at {}", origin_text(origin)))
        }
        (_, _) => Cow::Borrowed(&fact.actor.id),
    }
}

/// By what name a network is known, among the principals, of which one may hold the credentials of many; of a read only.
pub(in crate::audit) fn joint(fact: &Fact) -> Option<String> {
    match (&fact.what, &fact.outcome) {
        (What::Access(_), Outcome::Done) => network(fact).map(|network| format!("from {network}")),
        (_, _) => None,
    }
}

pub(super) fn judge(case: &mut Case<'_>) {
    let fact = case.fact;
    root(case);
    if let (What::Account(Account::ConsoleLogin { .. }), Outcome::Failed(_)) = (&fact.what, &fact.outcome) {
        sign_in_failed(case);
    }
    if fact.is_denied() {
        refused(case);
    }
}

fn root(case: &mut Case<'_>) {
    let fact = case.fact;
    let is_done = match &fact.what {
        // A read by root has a finding of its own.
        What::Access(_) | What::Rotation(_) | What::Reported(_) => false,
        What::Change(_) | What::Tamper(_) | What::Account(_) => fact.outcome == Outcome::Done,
    };
    let is_root = fact.actor.kind == ActorKind::Root && fact.actor.invoked_by.is_none();
    if is_done && is_root && case.is_news(Kind::RootUse) {
        case.raise(Kind::RootUse, false);
    }
}

fn sign_in_failed(case: &mut Case<'_>) {
    let (fact, at, burst) = (case.fact, case.at, case.policy.thresholds.console_login_failures);
    let time = at.as_millis().to_string();
    let sign_in = lasting(&[fact.id.as_deref().unwrap_or_default(), &time]);
    let Some(count) = case.recent().sign_ins.note(sign_in, at, burst.within) else { return };
    if count >= burst.count && case.is_news(Kind::ConsoleLoginFailures) {
        let is_root = fact.actor.kind == ActorKind::Root;
        let minutes = burst.within / MINUTE;
        let evidence = Evidence::Count { count, of: Counted::SignIns, minutes, usual: None };
        case.raise(Kind::ConsoleLoginFailures, is_root).evidence.push(evidence);
    }
}

fn refused(case: &mut Case<'_>) {
    let (fact, at, burst) = (case.fact, case.at, case.policy.thresholds.unauthorized_burst);
    let is_trusted = case.is_trusted();
    if fact.actor.id.is_empty() {
        return;
    }
    let operation = lasting(&[&fact.service, &fact.action]);
    let Some(count) = case.recent().operations.note(operation, at, burst.within) else { return };
    let burst = Breadth { kind: Kind::UnauthorizedBurst, of: Counted::Operations, burst, count, is_trusted };
    burst.tell(case, |habits| &mut habits.denials, |_| Vec::new(), None);
}
