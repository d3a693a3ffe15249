//! Who touches what keeps watch: trails, rules, functions, the policy, and the way of alerts.

use super::{case::Case, order::lasting, reads::REASON};
use crate::audit::{
    baseline::{Baseline, Stamped},
    finding::{Evidence, Finding, Kind, Narrowing},
    policy::{Pattern, Policy, any_thing},
};
use relatch_events::{
    cloudtrail::target::{Target, TargetKind},
    fact::{Outcome, Tamper},
    moment::Moment,
};
use std::ops::RangeInclusive;

/// The state of a rule to which reads are handed over.
const WITH_READS: &str = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS";

/// What the watch stands on.
const GROUND: [TargetKind; 5] =
    [TargetKind::Table, TargetKind::Bucket, TargetKind::Role, TargetKind::LogGroup, TargetKind::Schedule];

/// For how long a trail can be one that was made for a test, by whoever stops it.
const OF_A_TEST: i64 = 24 * 3_600_000;

/// Begins the names of the settings that tell who has made a trail.
const MADE: &str = "made ";

/// The setting that tells when a trail was last stopped.
const LOGGING: &str = "logging";

/// From when until when nothing is to be concluded from what was not heard of: while `trail-stopped` is told, it says so,
/// and one incident is enough. What goes with a decryption, and would explain it, may have come a moment later.
pub(super) fn blindness(baseline: &Baseline, policy: &Policy) -> Option<RangeInclusive<Moment>> {
    let stopped = baseline.settings.get(LOGGING)?.at.as_millis();
    let from = stopped.saturating_sub(REASON);
    let until = stopped.saturating_add(policy.thresholds.incident_gap);
    Some(Moment::from_millis(from)..=Moment::from_millis(until))
}

pub(super) fn judge(case: &mut Case<'_>, tamper: &Tamper) {
    if case.fact.outcome != Outcome::Done {
        return;
    }
    let own = &case.policy.own;
    match tamper {
        Tamper::TrailCreated => trail_made(case),
        Tamper::LoggingStopped | Tamper::TrailDeleted => {
            let is_gone = *tamper == Tamper::TrailDeleted;
            if is_ours(case, TargetKind::Trail, &own.trails) && !is_of_a_test(case, is_gone) {
                case.raise(Kind::TrailStopped, false);
                let at = case.at;
                let mut slot = case.baseline.settings.remove(LOGGING);
                Stamped::note(&mut slot, at, "stopped".to_owned());
                case.baseline.settings.extend(slot.map(|slot| (LOGGING.to_owned(), slot)));
            }
        }
        Tamper::TrailUpdated { multi_region, global_services, validated, bucket, key } => {
            let mut lost = Vec::new();
            lost.extend((*multi_region == Some(false)).then_some(Narrowing::Regions));
            lost.extend((*global_services == Some(false)).then_some(Narrowing::GlobalServices));
            lost.extend((*validated == Some(false)).then_some(Narrowing::Signatures));
            if let Some(bucket) = bucket {
                let before = set(case, "trail", bucket);
                lost.extend(before.is_some_and(|before| before != *bucket).then(|| Narrowing::Bucket(bucket.clone())));
            }
            if let Some(key) = key {
                let trail = case.fact.targets.first();
                let account = trail.and_then(|trail| trail.account.as_deref());
                let of_key = key.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(3));
                let before = set(case, "trail key", key);
                let is_foreign = of_key.is_some_and(|of_key| Some(of_key) != account);
                let is_other = before.is_some_and(|before| before != *key);
                lost.extend((is_foreign || is_other).then(|| Narrowing::Key(key.clone())));
            }
            narrowed(case, lost);
        }
        Tamper::SelectorsPut { reads, writes, excluded } => {
            let mut lost = Vec::new();
            lost.extend((!reads).then_some(Narrowing::Reads));
            lost.extend((!writes).then_some(Narrowing::Writes));
            lost.extend(excluded.iter().cloned().map(Narrowing::Source));
            narrowed(case, lost);
        }
        Tamper::RuleDisabled | Tamper::RuleDeleted | Tamper::TargetsRemoved => {
            raise_unless_deployed(case, Kind::RuleDisabled, TargetKind::Rule, &own.rules);
        }
        // Of others' rules nothing is known: there may be more of them than can be.
        Tamper::RulePut { state, pattern } if is_ours(case, TargetKind::Rule, &own.rules) => {
            let state = state.as_deref().unwrap_or("ENABLED");
            let before = set(case, "rule", state);
            let had_reads = before.is_some_and(|before| before == WITH_READS);
            let pattern = pattern.as_deref().map(|pattern| lasting(&[pattern])).unwrap_or_default().to_string();
            let before = set(case, "pattern", &pattern);
            let hears_else = before.is_some_and(|before| before != pattern);
            if state == "DISABLED" || had_reads && state != WITH_READS || hears_else {
                raise_unless_deployed(case, Kind::RuleDisabled, TargetKind::Rule, &own.rules);
            }
        }
        Tamper::RulePut { .. } => {}
        Tamper::FunctionCodeChanged
        | Tamper::FunctionConfigurationChanged
        | Tamper::FunctionDeleted
        | Tamper::FunctionConcurrencySet { reserved: Some(0) }
        | Tamper::FunctionCutOff => {
            raise_unless_deployed(case, Kind::OwnFunctionChanged, TargetKind::Function, &own.functions);
        }
        Tamper::FunctionConcurrencySet { .. } => {}
        Tamper::TopicDeleted | Tamper::Unsubscribed => {
            raise_unless_deployed(case, Kind::AlertRouteRemoved, TargetKind::Topic, &own.topics);
        }
        Tamper::TopicAttributeSet { attribute } => {
            if attribute.as_deref() == Some("Policy") {
                raise_unless_deployed(case, Kind::AlertRouteRemoved, TargetKind::Topic, &own.topics);
            }
        }
        Tamper::QueueDeleted | Tamper::QueuePurged => {
            raise_unless_deployed(case, Kind::AlertRouteRemoved, TargetKind::Queue, &own.queues);
        }
        Tamper::AlarmsDeleted | Tamper::AlarmActionsDisabled => {
            raise_unless_deployed(case, Kind::AlertRouteRemoved, TargetKind::Alarm, &own.alarms);
        }
        Tamper::Touched => {
            raise_unless_deployed(case, Kind::RuleDisabled, TargetKind::Rule, &own.rules);
            raise_unless_deployed(case, Kind::OwnFunctionChanged, TargetKind::Function, &own.functions);
            raise_unless_deployed(case, Kind::AlertRouteRemoved, TargetKind::Topic, &own.topics);
            raise_unless_deployed(case, Kind::AlertRouteRemoved, TargetKind::Queue, &own.queues);
            raise_unless_deployed(case, Kind::AlertRouteRemoved, TargetKind::Alarm, &own.alarms);
            for kind in GROUND {
                raise_unless_deployed(case, Kind::WatchWeakened, kind, &own.resources);
            }
        }
        Tamper::ParameterPut | Tamper::ParametersDeleted => {
            if is_ours(case, TargetKind::Parameter, &own.parameters) {
                case.raise(Kind::OwnFunctionChanged, false);
            }
        }
    }
}

/// Takes note of who has made a trail. Of those that have become older it does not matter any more.
fn trail_made(case: &mut Case<'_>) {
    let (fact, at) = (case.fact, case.at);
    case.baseline.settings.retain(|name, made| !name.starts_with(MADE) || at.since(made.at) <= OF_A_TEST);
    if let Some(trail) = fact.targets.first() {
        case.baseline.note_setting(format!("{MADE}{trail}"), at, &fact.actor.id);
    }
}

/// Whether a trail was made just before by whoever stops it, as tests do. One that is ours by name never is.
fn is_of_a_test(case: &mut Case<'_>, is_gone: bool) -> bool {
    let (fact, at) = (case.fact, case.at);
    let Some(trail) = fact.targets.first() else { return false };
    if case.policy.own.trails.iter().any(|own| !own.is_anything() && own.matches(&trail.name)) {
        return false;
    }
    let name = format!("{MADE}{trail}");
    let made = case.baseline.settings.get(&name);
    let is_one = made.is_some_and(|made| {
        !fact.actor.id.is_empty() && made.value == fact.actor.id && (0..=OF_A_TEST).contains(&at.since(made.at))
    });
    if is_gone {
        // It may be made again, by somebody else. Until then the name is nobody's.
        case.baseline.note_setting(name, at, "");
    }
    is_one
}

/// Whether somebody has changed the policy by which this is judged: they could have named themselves a deployer in it,
/// or the finding one that is only for the record. So it is told whatever the policy says.
pub(super) fn is_of_the_policy(finding: &Finding) -> bool {
    finding.kind == Kind::OwnFunctionChanged
        && finding.targets.iter().any(|target| target.kind == TargetKind::Parameter)
}

fn narrowed(case: &mut Case<'_>, lost: Vec<Narrowing>) {
    if !lost.is_empty() && is_ours(case, TargetKind::Trail, &case.policy.own.trails) {
        case.raise(Kind::TrailNarrowed, false).evidence.extend(lost.into_iter().map(Evidence::Narrowed));
    }
}

fn raise_unless_deployed(case: &mut Case<'_>, kind: Kind, thing: TargetKind, own: &[Pattern]) {
    if is_ours(case, thing, own) && !case.is_deployer() {
        case.raise(kind, false);
    }
}

fn is_ours(case: &Case<'_>, kind: TargetKind, own: &[Pattern]) -> bool {
    case.fact.targets.iter().any(|target| target.kind == kind && any_thing(own, target))
}

/// Takes note of how a thing is set now. Returns how it was before, if that is known.
fn set(case: &mut Case<'_>, what: &str, value: &str) -> Option<String> {
    let thing = case.fact.targets.first().map(Target::to_string)?;
    case.baseline.note_setting(format!("{what} {thing}"), case.at, value)
}
