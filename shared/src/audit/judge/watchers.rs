//! Who touches what keeps watch: trails, rules, functions, the policy, and the way of alerts.

use super::{case::Case, reads::REASON};
use crate::audit::{
    baseline::{Baseline, Stamped},
    finding::{Evidence, Finding, Kind, Narrowing},
    policy::{Pattern, Policy, any},
};
use relatch_events::{
    cloudtrail::target::{Target, TargetKind},
    fact::{Outcome, Tamper},
    moment::Moment,
};
use std::ops::RangeInclusive;

/// The state of a rule to which reads are handed over.
const WITH_READS: &str = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS";

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
        Tamper::LoggingStopped | Tamper::TrailDeleted => {
            if is_ours(case, TargetKind::Trail, &own.trails) {
                case.raise(Kind::TrailStopped, false);
                let at = case.at;
                let mut slot = case.baseline.settings.remove(LOGGING);
                Stamped::note(&mut slot, at, "stopped".to_owned());
                case.baseline.settings.extend(slot.map(|slot| (LOGGING.to_owned(), slot)));
            }
        }
        Tamper::TrailUpdated { multi_region, global_services, validated, bucket } => {
            let mut lost = Vec::new();
            lost.extend((*multi_region == Some(false)).then_some(Narrowing::Regions));
            lost.extend((*global_services == Some(false)).then_some(Narrowing::GlobalServices));
            lost.extend((*validated == Some(false)).then_some(Narrowing::Signatures));
            if let Some(bucket) = bucket {
                let before = set(case, "trail", bucket);
                lost.extend(before.is_some_and(|before| before != *bucket).then(|| Narrowing::Bucket(bucket.clone())));
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
        Tamper::RulePut { state, .. } if is_ours(case, TargetKind::Rule, &own.rules) => {
            let state = state.as_deref().unwrap_or("ENABLED");
            let before = set(case, "rule", state);
            let had_reads = before.is_some_and(|before| before == WITH_READS);
            if state == "DISABLED" || had_reads && state != WITH_READS {
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
        Tamper::ParameterPut | Tamper::ParametersDeleted => {
            if is_ours(case, TargetKind::Parameter, &own.parameters) {
                case.raise(Kind::OwnFunctionChanged, false);
            }
        }
    }
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
    if is_ours(case, thing, own) && !case.standing().is_deployer {
        case.raise(kind, false);
    }
}

fn is_ours(case: &Case<'_>, kind: TargetKind, own: &[Pattern]) -> bool {
    case.fact.targets.iter().any(|target| target.kind == kind && any(own, &target.name))
}

/// Takes note of how a thing is set now. Returns how it was before, if that is known.
fn set(case: &mut Case<'_>, what: &str, value: &str) -> Option<String> {
    let thing = case.fact.targets.first().map(Target::to_string)?;
    case.baseline.note_setting(format!("{what} {thing}"), case.at, value)
}
