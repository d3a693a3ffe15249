//! Changes to secrets and to what protects them.

use super::{
    case::{Case, network},
    order::lasting,
    reads::Breadth,
    rotation::every,
};
use crate::audit::{
    access_policy::{Opened, Opening, account_of, is_service, openings},
    baseline::{Birth, RotationHabit, Sharing, Stamped},
    finding::{Counted, Evidence, Kind},
    policy::any_exactly,
};
use crate::containment;
use relatch_events::{
    cloudtrail::target::{Place, Target, TargetKind},
    fact::{Change, Outcome},
    secret::VersionId,
};

/// The labels by which readers are given a version.
const LABELS: [&str; 3] = ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"];

pub(super) fn judge(case: &mut Case<'_>, change: &Change) {
    if case.fact.outcome != Outcome::Done {
        return;
    }
    match change {
        Change::Created { key } => created(case, key.as_deref()),
        Change::ValueWritten { version, stages, key } => {
            written(case, version.as_ref(), stages);
            if let Some(key) = key {
                key_changed(case, key);
            }
        }
        Change::KeyChanged { key } => {
            is_reason(case);
            key_changed(case, key);
        }
        Change::LabelMoved { stage, from, to } => label_moved(case, stage.as_deref(), from.as_ref(), to.as_ref()),
        Change::Deleted { forced, window_days } => deleted(case, *forced, *window_days),
        Change::PolicyPut { policy, .. } => shared(case, Some(policy)),
        Change::PolicyDeleted => shared(case, None),
        Change::KeyPolicyPut { policy } => key_shared(case, policy),
        Change::RotationAsked { function, token, schedule, .. } => {
            rotation_asked(case, function.as_deref(), token.as_ref(), schedule.as_deref());
        }
        Change::RotationCancelled => rotation_cancelled(case),
        Change::Replicated { regions } => {
            case.unexplained.explained_all(case.fact);
            replicated(case);
            replication_changed(case, regions);
        }
        Change::ReplicasRemoved { regions } => replication_changed(case, regions),
        Change::ReplicaPromoted => replication_changed(case, &[]),
        Change::KeyDisabled => key_lost(case, None),
        Change::KeyDeletionScheduled { window_days } => key_lost(case, *window_days),
        Change::Granted { grantee, operations } => granted(case, grantee.as_deref(), operations),
        Change::DatabasePasswordSet { .. } => {
            if !case.is_expected() && case.is_news(Kind::DatabasePasswordChangedOutsideRotation) {
                case.raise(Kind::DatabasePasswordChangedOutsideRotation, false);
            }
        }
        Change::Updated
        | Change::Restored
        | Change::Tagged { .. }
        | Change::Untagged { .. }
        | Change::Deletion(_)
        | Change::KeyEnabled
        | Change::KeyDeletionCancelled => {}
    }
}

fn created(case: &mut Case<'_>, key: Option<&str>) {
    let who = case.who;
    let birth = Birth { at: case.at, network: network(case.fact) };
    for target in case.fact.secrets() {
        let (secret, _) = case.meet(target);
        let secret = case.secret(secret);
        // It may have had the name of one that was deleted.
        secret.creator = Some(who);
        secret.birth = Some(birth);
        secret.policy = None;
        secret.rotation = None;
    }
    is_reason(case);
    if let Some(key) = key {
        keep_key(case, key);
    }
}

fn written(case: &mut Case<'_>, version: Option<&VersionId>, stages: &[String]) {
    let at = case.at;
    is_reason(case);
    let is_expected = case.is_expected();
    for target in case.fact.secrets() {
        let (secret, _) = case.meet(target);
        if !case.secret(secret).rotation().is_some_and(RotationHabit::rotates) {
            overwritten(case, target, secret, is_expected);
        }
        let Some(rotation) = case.secret(secret).rotation.as_deref_mut() else { continue };
        let is_current = stages.is_empty() || stages.iter().any(|stage| stage == "AWSCURRENT");
        if let (true, Some(version)) = (is_current, version) {
            Stamped::note(&mut rotation.current, at, version.clone());
        }
        if !rotation.rotates() || rotation.is_rotating(version, at) || is_expected {
            continue;
        }
        let label = stages.first().cloned().unwrap_or_else(|| "AWSCURRENT".to_owned());
        let evidence = Evidence::Label { label, version: version.map(VersionId::to_string) };
        case.raise_of(Kind::ValueWrittenOutsideRotation, target, false).evidence.push(evidence);
    }
}

/// A value that nobody rotates is lost when it is written over: so it is told of whoever does not write it usually, and
/// whose work that is not. One is a repair; many at once are extortion.
fn overwritten(case: &mut Case<'_>, target: &Target, secret: u32, is_expected: bool) {
    let (at, burst, learning) = (case.at, case.policy.thresholds.mass_deletion, case.policy.learning);
    let is_old = at.since(case.secret(secret).first) >= learning;
    let written = &mut case.reader(secret).written;
    written.note(at);
    let is_usual_here = written.before(at) > 0;
    let count = case.recent().writes.note(secret, at, burst.within).unwrap_or(1);
    let writes = &mut case.habits().writes;
    writes.note(at, count);
    let is_work = writes.covers(at, count);
    if is_expected || case.has_created(secret) || is_usual_here || is_work {
        return;
    }
    let is_worst = count >= burst.count;
    if (is_old || is_worst) && case.is_news_of(Kind::ValueOverwritten, secret) {
        let usual = case.usual_readers(target);
        let finding = case.raise_of(Kind::ValueOverwritten, target, is_worst);
        finding.evidence.push(usual);
        if is_worst {
            let minutes = burst.within / 60_000;
            finding.evidence.push(Evidence::Count { count, of: Counted::Overwritten, minutes, usual: None });
        }
    }
}

fn label_moved(case: &mut Case<'_>, label: Option<&str>, from: Option<&VersionId>, to: Option<&VersionId>) {
    let at = case.at;
    let is_expected = case.is_expected();
    let Some(label) = label.filter(|label| LABELS.contains(label)) else { return };
    for target in case.fact.secrets() {
        let (secret, _) = case.meet(target);
        let mut is_rotating = false;
        if let Some(rotation) = case.secret(secret).rotation.as_deref_mut() {
            is_rotating = [to, from].into_iter().flatten().any(|version| rotation.is_rotating(Some(version), at));
            if let ("AWSCURRENT", Some(to)) = (label, to) {
                Stamped::note(&mut rotation.current, at, to.clone());
            }
        }
        if !is_rotating && !is_expected {
            let evidence = Evidence::Label { label: label.to_owned(), version: to.map(VersionId::to_string) };
            case.raise_of(Kind::LabelMovedOutsideRotation, target, false).evidence.push(evidence);
        }
    }
}

/// What somebody created is theirs to delete, and deleting is somebody's job.
fn deleted(case: &mut Case<'_>, forced: bool, window_days: Option<u32>) {
    let (fact, at, burst) = (case.fact, case.at, case.policy.thresholds.mass_deletion);
    let is_trusted = case.is_expected();
    for target in fact.secrets() {
        let (secret, _) = case.meet(target);
        case.secret(secret).rotation = None;
        if case.has_created(secret) {
            continue;
        }
        if forced {
            case.recent().forced = Some(at);
        }
        let count = case.recent().deletions.note(secret, at, burst.within).unwrap_or(1);
        let deletions = &mut case.habits().deletions;
        deletions.note(at, count);
        let is_usual = deletions.covers(at, count);
        if is_trusted || is_usual {
            continue;
        }
        let usual = case.usual_readers(target);
        let finding = case.raise_of(Kind::SecretDeleted, target, forced);
        finding.evidence.extend(forced.then_some(Evidence::Forced));
        finding.evidence.extend(window_days.filter(|_| !forced).map(Evidence::RecoveryWindow));
        finding.evidence.push(usual);
        let is_worst = case.recent().forced.is_some_and(|forced| at.since(forced) < burst.within);
        let mass = Breadth { kind: Kind::MassDeletion, of: Counted::Deletions, burst, count, is_trusted };
        let things = |case: &mut Case<'_>| case.recent().deletions.things(at, burst.within).collect();
        mass.tell_worse(case, |habits| &mut habits.deletions, things, Some(secret), is_worst);
    }
}

/// A policy is judged beside the one before: what was open stays so without a word, and what Relatch denies is to stay
/// denied.
fn shared(case: &mut Case<'_>, policy: Option<&str>) {
    let at = case.at;
    for target in case.fact.secrets() {
        let (secret, _) = case.meet(target);
        let found = policy.map(|policy| openings_of(case, policy)).unwrap_or_default();
        let denied = policy.map(containment::policy::denied).unwrap_or_default();
        let openings = found.iter().map(|opened| opened.opening.clone());
        let after = Sharing::of(openings, denied);
        let slot = &mut case.secret(secret).policy;
        let before = slot.as_ref().map(|known| known.value.clone()).unwrap_or_default();
        Stamped::note(slot, at, after.clone());
        contained_no_more(case, target, &before, &after);
        opened(case, Kind::PolicyOpened, found, |opening| before.openings.contains(opening));
    }
}

/// Whom Relatch has denied a secret, nobody else is to let in again.
fn contained_no_more(case: &mut Case<'_>, target: &Target, before: &Sharing, after: &Sharing) {
    let lifted: Vec<String> = before.denied.difference(&after.denied).cloned().collect();
    if !lifted.is_empty() && !case.is_expected() {
        let finding = case.raise_of(Kind::ContainmentLifted, target, false);
        finding.evidence.extend(lifted.into_iter().map(Evidence::Denied));
    }
}

fn key_shared(case: &mut Case<'_>, policy: &str) {
    let found = openings_of(case, policy);
    // Of keys there is no part: their openings are among the settings, those that have any.
    let name = |opening: &Opening| lasting(&[&opening.to_string()]).to_string();
    let now: Vec<String> = found.iter().map(|opened| name(&opened.opening)).collect();
    let key = case.fact.targets.first().map(|key| format!("opened {key}"));
    let is_known = key.as_ref().is_some_and(|key| case.baseline.settings.contains_key(key));
    let before = match key {
        Some(key) if is_known || !now.is_empty() => case.baseline.note_setting(key, case.at, &now.join(" ")),
        Some(_) | None => None,
    };
    let before = before.unwrap_or_default();
    opened(case, Kind::KeyPolicyOpened, found, |opening| before.split(' ').any(|known| known == name(opening)));
}

fn openings_of(case: &Case<'_>, policy: &str) -> Vec<Opened> {
    let own = case.fact.targets.first().and_then(|target| target.account.as_deref()).or(case.fact.account.as_deref());
    openings(policy, own, &case.policy.trusted)
}

fn opened(case: &mut Case<'_>, kind: Kind, mut found: Vec<Opened>, was_open: impl Fn(&Opening) -> bool) {
    found.retain(|opened| !was_open(&opened.opening));
    let is_worst = found.iter().any(|opened| opened.opening == Opening::Everybody);
    // Whoever is trusted may share; nobody is trusted to let everybody in.
    if found.is_empty() || case.is_expected() && !is_worst {
        return;
    }
    let finding = case.raise(kind, is_worst);
    for Opened { opening, condition } in found.into_iter().rev() {
        finding.evidence.push(Evidence::Opening(opening));
        finding.evidence.extend((!condition.is_empty()).then_some(Evidence::Condition(condition)));
    }
}

fn rotation_asked(case: &mut Case<'_>, function: Option<&str>, token: Option<&VersionId>, schedule: Option<&str>) {
    let (fact, at) = (case.fact, case.at);
    let is_expected = case.is_expected();
    for target in fact.secrets() {
        let (secret, _) = case.meet(target);
        let rotation = case.secret(secret).rotation.get_or_insert_default();
        if let Some(schedule) = schedule {
            Stamped::note(&mut rotation.every, at, every(schedule));
        }
        if let Some(token) = token {
            Stamped::note(&mut rotation.token, at, Some(token.clone()));
        }
        let Some(after) = function else { continue };
        let before = rotation.function.as_ref().map(|function| function.value.clone());
        Stamped::note(&mut rotation.function, at, after.to_owned());
        let thing = |name: &str| Target::of(TargetKind::Function, name, place(target));
        let is_elsewhere = thing(after).is_some_and(|function| function.account != target.account);
        let is_other = before.as_deref().is_some_and(|before| thing(before) != thing(after));
        // Anybody may call a function by a name that begins as ours do.
        let is_ours = thing(after).is_some_and(|function| {
            (function.account == target.account && function.region == target.region)
                && any_exactly(&case.policy.own.functions, &function)
        });
        if is_elsewhere || is_other && !is_ours && !is_expected {
            let evidence = Evidence::Function { before, after: after.to_owned() };
            case.raise_of(Kind::RotationFunctionReplaced, target, is_elsewhere).evidence.push(evidence);
        }
    }
}

fn rotation_cancelled(case: &mut Case<'_>) {
    let at = case.at;
    let is_expected = case.is_expected();
    for target in case.fact.secrets() {
        let (secret, _) = case.meet(target);
        let rotation: &mut RotationHabit = case.secret(secret).rotation.get_or_insert_default();
        Stamped::note(&mut rotation.every, at, None);
        if !is_expected && !case.has_created(secret) {
            case.raise_of(Kind::RotationDisabled, target, false);
        }
    }
}

/// A replica is the same secret: who reads it usually is known from the beginning.
fn replicated(case: &mut Case<'_>) {
    let Some(primary) = case.fact.secrets().next() else { return };
    let (primary, _) = case.meet(primary);
    for replica in case.fact.replicas() {
        let (replica, _) = case.meet(&replica);
        case.baseline.share_readers(primary, replica);
    }
}

fn replication_changed(case: &mut Case<'_>, regions: &[String]) {
    let is_expected = case.is_expected();
    for target in case.fact.secrets() {
        let (secret, _) = case.meet(target);
        if !is_expected && !case.has_created(secret) {
            let finding = case.raise_of(Kind::ReplicationChanged, target, false);
            finding.evidence.extend((!regions.is_empty()).then(|| Evidence::Regions(regions.to_vec())));
        }
    }
}

fn key_changed(case: &mut Case<'_>, key: &str) {
    keep_key(case, key);
    let fact = case.fact;
    let is_elsewhere = fact.targets.first().is_some_and(|target| {
        let key = Target::of(TargetKind::Key, key, place(target));
        key.is_some_and(|key| key.account != target.account)
    });
    if is_elsewhere || !case.is_expected() {
        case.raise(Kind::EncryptionKeyChanged, is_elsewhere).evidence.push(Evidence::Key(key.to_owned()));
    }
}

fn key_lost(case: &mut Case<'_>, window_days: Option<u32>) {
    let fact = case.fact;
    let is_used = fact.targets.iter().any(|target| case.baseline.keys.contains(&target.name));
    if !case.is_expected() {
        let finding = case.raise(Kind::KeyDisabledOrScheduledForDeletion, is_used);
        finding.evidence.extend(window_days.map(Evidence::RecoveryWindow));
    }
}

/// Services ask for grants as a matter of course, for themselves or in somebody's name; that is their job and no sign.
fn granted(case: &mut Case<'_>, grantee: Option<&str>, operations: &[String]) {
    let (fact, at) = (case.fact, case.at);
    let opens = |operation: &String| {
        operation == "Decrypt" || operation == "CreateGrant" || operation.starts_with("ReEncryptFrom")
    };
    let is_of_service = fact.actor.invoked_by.is_some() || grantee.is_some_and(is_service);
    if is_of_service || !operations.iter().any(opens) {
        return;
    }
    let grants = &mut case.habits().grants;
    grants.note(at, 1);
    let is_job = grants.usual(at).is_some();
    let account = fact.targets.first().and_then(|target| target.account.as_deref()).or(fact.account.as_deref());
    let is_elsewhere = grantee.and_then(account_of).is_some_and(|other| {
        Some(other) != account && !case.policy.trusted.accounts.iter().any(|trusted| trusted == other)
    });
    if is_elsewhere || !is_job && !case.is_expected() {
        let evidence = grantee.map(|grantee| Evidence::Grantee(grantee.to_owned()));
        case.raise(Kind::GrantCreated, is_elsewhere).evidence.extend(evidence);
    }
}

/// A write decrypts, to compare with what is there.
fn is_reason(case: &mut Case<'_>) {
    let (fact, at) = (case.fact, case.at);
    for target in fact.secrets() {
        let (secret, _) = case.meet(target);
        let reader = case.reader(secret);
        reader.reason = reader.reason.max(Some(at));
        case.unexplained.explained(&fact.actor.id, target, at);
    }
}

fn keep_key(case: &mut Case<'_>, key: &str) {
    let Some(target) = case.fact.targets.first() else { return };
    if let Some(key) = Target::of(TargetKind::Key, key, place(target)) {
        case.baseline.note_key(key.name);
    }
}

fn place(target: &Target) -> Place<'_> {
    Place { region: target.region.as_deref(), account: target.account.as_deref() }
}
