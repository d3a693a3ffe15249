//! An alert of every condition, as it may well be: to look at, and to try out a channel with.

use super::{
    Alert, Condition, Status,
    findings::{self, Cause},
};
use crate::{
    audit::{
        chain::Break,
        finding::{self, Evidence, Finding, Kind},
        incident::Incident,
    },
    config::Environment,
    containment::{
        Containment, Measure,
        plan::{Denial, Ending, Obstacle, Rotation},
        policy::Unmerged,
        report::{Case, Report},
    },
    language::Language,
    ports::{Controls, Description, Failure, Login, Silence},
    rollback::{
        Intent, Reason, Recovery, Rung,
        facts::{Age, Climb, Facts, Found, Kept, Logins, PendingLabel, Source},
        recovery::Outcome,
    },
    rotation::facts::{Effect, Held, RoleProblem, RoleVerdict},
};
use jiff::{SignedDuration, Timestamp};
use relatch_events::{
    cloudtrail::target::{Place, Target},
    fact::Origin,
    moment::Moment,
    rotation::Step,
    secret::VersionId,
};
use std::time::Duration;

/// The secret that the examples are about.
pub const SECRET: &str = "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:app-prod-database-AbCdEf";

/// An example of a condition.
pub fn alert(condition: Condition, status: Status, language: Language) -> Alert {
    let environment = Environment::Prod;
    let ended = |recovery: &Recovery| findings::ended(condition, recovery, environment, language);
    let firing = status == Status::Firing;
    match condition {
        Condition::AlarmFiring => {
            let reason = if firing {
                "Threshold Crossed: 1 datapoint [3.0 (20/11/26 18:58:00)] was greater than or equal to the threshold (1.0)."
            } else {
                "Threshold Crossed: 1 datapoint [0.0 (20/11/26 19:03:00)] was not greater than or equal to the threshold (1.0)."
            };
            Alert { status, ..findings::of_alarm("app-prod-rotation-failed", Some(reason), environment, language) }
        }
        Condition::SweepUnfinished => {
            let left = ["app-prod-jwt", "app-prod-oauth"].map(str::to_owned);
            let left = if firing { &left[..] } else { &[] };
            Alert { status, ..findings::of_sweep("sweep of prod".to_owned(), left, &[], environment, language) }
        }
        Condition::LedgerBroken => {
            let broken = firing.then_some(Break::Missing { sequence: 1_204 });
            Alert { status, ..findings::of_ledger(broken.as_ref(), environment, language) }
        }
        Condition::Audit => Alert { status, ..incident(environment, language) },
        Condition::Contained | Condition::ContainmentFailed => {
            let alerts = contained(condition == Condition::Contained).alerts(environment, language);
            let alert = alerts.into_iter().find(|alert| alert.condition == condition);
            Alert { status, ..alert.unwrap_or_else(|| ended(&sound())) }
        }
        Condition::RotationFailed
        | Condition::RotationAbandoned
        | Condition::RotationStopped
        | Condition::RotationOverdue
        | Condition::PendingStuck
        | Condition::CurrentRejected
        | Condition::LockedOut
        | Condition::Stranded
        | Condition::DatabaseSilent
        | Condition::DeletionScheduled => {
            if !firing {
                return ended(&sound());
            }
            let (recovery, cause) = found(condition);
            let mut alerts = findings::alerts(&recovery, &cause, environment, language, now()).into_iter();
            alerts.find(|alert| alert.condition == condition).unwrap_or_else(|| ended(&recovery))
        }
    }
}

/// Somebody whom nobody knows reads two secrets.
fn incident(environment: Environment, language: Language) -> Alert {
    let target = |name: &str| {
        let place = Place { account: Some("123456789012"), region: Some("ap-northeast-1") };
        Target::secret(name, place)
    };
    let targets: Vec<Target> = ["app-prod-database", "app-prod-jwt"].into_iter().filter_map(target).collect();
    let finding = Finding {
        kind: Kind::NewReader,
        severity: finding::Severity::High,
        at: Some(Moment::from_millis(1_795_201_084_000)),
        principal: "arn:aws:iam::123456789012:role/report".to_owned(),
        session: Some("i-0abc1234".to_owned()),
        origin: Some(Origin::Address([198, 51, 100, 7].into())),
        user_agent: Some("aws-cli/2.17.0".to_owned()),
        account: Some("123456789012".to_owned()),
        region: Some("ap-northeast-1".to_owned()),
        action: "secretsmanager:GetSecretValue".to_owned(),
        targets,
        evidence: vec![Evidence::UsualReaders { names: vec!["role/app".to_owned()], all: 1 }],
        events: Vec::new(),
        key: "audit/arn:aws:iam::123456789012:role/report".to_owned(),
        shadowed: false,
    };
    findings::of_incident(&Incident { key: finding.key.clone(), findings: vec![finding] }, environment, language)
}

/// A principal that may not read the secret any more, or still may.
fn contained(is_done: bool) -> Report {
    let ending = match is_done {
        true => Ending { denial: Denial::Proved, rotation: Rotation::Begun },
        false => Ending { denial: Denial::Failed(Obstacle::Policy(Unmerged::Full)), rotation: Rotation::HeldBack },
    };
    let asked = Containment {
        environment: Environment::Prod.name().to_owned(),
        incident: "audit/arn:aws:iam::123456789012:role/report".to_owned(),
        incident_gap: 3_600_000,
        principal: "arn:aws:iam::123456789012:role/report".to_owned(),
        measures: vec![Measure::Deny, Measure::Rotate],
        secrets: Vec::new(),
        findings: vec![Kind::ReadBurst.name().to_owned()],
        events: Vec::new(),
    };
    Report { asked, cases: vec![Case { secret: SECRET.to_owned(), ending }] }
}

/// A secret in which the condition is found, and why it was looked at.
fn found(condition: Condition) -> (Recovery, Cause) {
    let mut recovery = sound();
    let Recovery { outcome, facts, description, controls, failure, .. } = &mut recovery;
    let mut cause = Cause::Sweep;
    match condition {
        Condition::RotationFailed => {
            cause = Cause::Failed;
            let (reason, error_type) = ("rollback-unfinished".to_owned(), "Rotation.NotYet".to_owned());
            *failure = refused().map(|refused| Failure { reason, error_type, sqlstate: None, ..refused });
            facts.logins = Logins { pending: Some(Login::Accepted), ..rejected() };
            *facts.climb_mut(Rung::ThroughPending) =
                Climb { effect: Some(Effect::Done), restored: Some(Login::Accepted) };
            facts.unstaged = Some(Effect::Done);
            *outcome = Outcome::Opens(Reason::Recovered);
        }
        Condition::RotationAbandoned => {
            cause = Cause::Abandoned;
            facts.label = Some(PendingLabel::Waiting(Some(Age::Waiting)));
        }
        Condition::RotationStopped => {
            *failure = refused();
            let why = failure.as_ref().map(|failure| findings::refused_change(failure, Language::English));
            *controls = Some(Controls { stopped: why, ..Controls::default() });
        }
        Condition::RotationOverdue => {
            let rotated = now().checked_sub(SignedDuration::from_hours(34 * 24)).ok();
            let rules = Description { rotation_enabled: true, rotated_every: Some(30), ..Description::default() };
            *description = Some(Description { rotated, ..rules });
        }
        Condition::PendingStuck => {
            facts.logins.pending = Some(Login::Rejected);
            facts.label = Some(PendingLabel::Waiting(Some(Age::Stuck)));
            facts.unstaged = Some(Effect::Done);
        }
        Condition::CurrentRejected => {
            facts.logins = Logins { pending: Some(Login::Accepted), ..rejected() };
            *outcome = Outcome::Refuses(Reason::Role(RoleProblem::Restricted));
        }
        Condition::LockedOut => {
            facts.logins = Logins { previous: Some(Login::Rejected), admin: Some(Login::Accepted), ..rejected() };
            facts.roles[Source::Admin as usize] = Some(RoleVerdict::Unfit(RoleProblem::NotAlterable));
            *outcome = Outcome::Refuses(Reason::Exhausted);
        }
        Condition::Stranded => {
            facts.logins = Logins { previous: Some(Login::Rejected), kept: Some(Login::Accepted), ..rejected() };
            *outcome = Outcome::Refuses(Reason::Exhausted);
            facts.admin = Some(Held::Nothing);
        }
        Condition::DatabaseSilent => {
            facts.logins.current = Some(Login::Unknown(Silence::TimedOut));
            *outcome = Outcome::Waits(Reason::DatabaseSilent(Silence::TimedOut));
        }
        Condition::DeletionScheduled => {
            *description = Some(Description { deleted: true, accessed: Some(now()), ..Description::default() });
            facts.logins = Logins::default();
            *outcome = Outcome::Refuses(Reason::ScheduledForDeletion);
        }
        Condition::SweepUnfinished
        | Condition::AlarmFiring
        | Condition::Audit
        | Condition::Contained
        | Condition::ContainmentFailed
        | Condition::LedgerBroken => {}
    }
    (recovery, cause)
}

/// A secret with which nothing is wrong.
fn sound() -> Recovery {
    let logins = Logins { current: Some(Login::Accepted), ..Logins::default() };
    let (previous, kept) = (Some(Found::Nothing), Kept { count: Some(0), ..Kept::default() });
    let label = Some(PendingLabel::Nowhere);
    Recovery {
        arn: SECRET.to_owned(),
        intent: Intent::Heal,
        outcome: Outcome::Opens(Reason::Sound),
        facts: Facts { label, current: Some(Held::Credentials), previous, kept, logins, ..Facts::default() },
        pending: None,
        description: None,
        controls: None,
        failure: None,
        took: Duration::from_secs(1),
    }
}

fn rejected() -> Logins {
    Logins { current: Some(Login::Rejected), ..Logins::default() }
}

/// A change that the database refused.
fn refused() -> Option<Failure> {
    Some(Failure {
        arn: SECRET.to_owned(),
        token: VersionId::try_from("5048cd33-9c6d-4e2c-9d3c-1c6b3f2a7e11").ok()?,
        step: Step::Set,
        reason: "change-refused".to_owned(),
        error_type: "Rotation.Refused".to_owned(),
        sqlstate: Some("42501".to_owned()),
        rolled_back: false,
        at: now(),
    })
}

const fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH
}
