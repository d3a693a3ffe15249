//! Rotations that fail, are given up, or do not come.

use super::{case::Case, watchers};
use crate::audit::{
    baseline::{Baseline, RotationHabit, Stamped},
    finding::{Evidence, Finding, Kind},
    policy::Policy,
};
use relatch_events::{
    fact::{Outcome, Rotation},
    moment::Moment,
    trigger::ServiceEventKind,
};

const DAY: i64 = 24 * 3_600_000;

/// How much later than its rules say a rotation may come before it is overdue: as alerts have it.
const GRACE: i64 = DAY;

pub(super) fn judge(case: &mut Case<'_>, turn: &Rotation) {
    let (fact, at) = (case.fact, case.at);
    for target in fact.secrets() {
        let (secret, _) = case.meet(target);
        note(case.secret(secret).rotation.get_or_insert_default(), turn, at);
    }
    let kind = match turn.kind {
        ServiceEventKind::Started | ServiceEventKind::Succeeded => return,
        ServiceEventKind::Failed => Kind::RotationFailed,
        ServiceEventKind::Abandoned => Kind::RotationAbandoned,
    };
    let finding = case.raise(kind, false);
    finding.evidence.extend(turn.step.map(Evidence::Step));
    if let Outcome::Failed(message) = &fact.outcome {
        finding.evidence.push(Evidence::Message(message.clone()));
    }
}

fn note(habit: &mut RotationHabit, turn: &Rotation, at: Moment) {
    match turn.kind {
        ServiceEventKind::Started => Stamped::note(&mut habit.token, at, turn.token.clone()),
        ServiceEventKind::Succeeded => {
            Stamped::note(&mut habit.ended, at, true);
            habit.succeeded = habit.succeeded.max(Some(at));
            let token = turn.token.clone().or_else(|| habit.token.as_ref()?.value.clone());
            if let Some(token) = token {
                Stamped::note(&mut habit.current, at, token);
            }
        }
        ServiceEventKind::Failed | ServiceEventKind::Abandoned => Stamped::note(&mut habit.ended, at, false),
    }
}

/// Secrets whose schedule is known and whose rotation has not come.
pub(super) fn overdue(baseline: &mut Baseline, policy: &Policy, now: Moment, found: &mut Vec<Finding>) {
    if watchers::blindness(baseline, policy).is_some_and(|blind| blind.contains(&now)) {
        return;
    }
    let from = found.len();
    for (target, secret) in baseline.secrets.rows_mut() {
        let Some(rotation) = secret.rotation.as_deref_mut() else { continue };
        let Some(Stamped { at, value: Some(every) }) = rotation.every else { continue };
        let last = rotation.succeeded.map_or(at, |succeeded| succeeded.max(at));
        if now.since(last) <= every + GRACE || rotation.told == Some(last) {
            continue;
        }
        rotation.told = Some(last);
        let environment = policy.environments.of_secret(&target.name, target.account.as_deref());
        let is_production = policy.environments.is_production(environment);
        let severity = Kind::RotationOverdue.page().severity(is_production, false);
        let mut finding = Finding::of_secret(Kind::RotationOverdue, severity, target, now);
        finding.evidence.push(Evidence::Rotated { days_ago: now.since(last) / DAY, every_days: every / DAY });
        found.push(finding);
    }
    found[from..].sort_by(|one, other| one.key.cmp(&other.key));
}

/// How long it is from one rotation to the next, by `rate(30 days)`, `rate(12 hours)` or a number of days. When it is by
/// `cron(…)`, that is not known here.
pub(super) fn every(schedule: &str) -> Option<i64> {
    let Some(rate) = schedule.strip_prefix("rate(").and_then(|rate| rate.strip_suffix(')')) else {
        return schedule.parse::<u16>().ok().map(|days| i64::from(days) * DAY);
    };
    let (count, unit) = rate.trim().split_once(' ')?;
    let count = i64::from(count.parse::<u16>().ok()?);
    match unit.trim() {
        "day" | "days" => Some(count * DAY),
        "hour" | "hours" => Some(count * DAY / 24),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_known_where_it_is_by_days_or_hours() {
        for (schedule, expected) in [
            ("rate(30 days)", Some(30 * DAY)),
            ("rate(12 hours)", Some(DAY / 2)),
            ("rate(1 day)", Some(DAY)),
            ("90", Some(90 * DAY)),
            ("cron(0 8 1 * ? *)", None),
            ("rate(days)", None),
            ("", None),
        ] {
            assert_eq!(every(schedule), expected, "{schedule}");
        }
    }
}
