//! What a repair or a look at a secret gives reason to say, and what has ended. Pure.

use super::{
    Alert, Condition, Lead, Status,
    lines::{MOST_LINES, bounded},
};
use crate::{
    audit::{
        baseline::tool,
        chain::Break,
        finding::{self, Finding, Kind, origin_text, timestamp},
        incident::{Incident, in_natural_order},
    },
    config::Environment,
    language::{Language, Spoken},
    ports::{Controls, Description, Failure},
    rollback::{
        Impact, Reason, Recovery,
        facts::{Age, PendingLabel},
        recovery::Outcome,
    },
    rotation::{self, RotationError, facts::Control},
};
use jiff::{SignedDuration, Timestamp};
use relatch_events::{
    foreign::{self, line, shown},
    rotation::RotationEvent,
};

/// Why a secret was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A rotation of it failed.
    Failed,
    /// A rotation of it was abandoned.
    Abandoned,
    /// Nobody said that anything is wrong.
    Sweep,
}

/// How much later than its rules say a rotation may come before it is overdue: Secrets Manager has its window, and tries
/// again within it.
const GRACE: SignedDuration = SignedDuration::from_hours(24);

/// A secret whose value was read less than this before it was to be deleted is in use.
const IN_USE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The most names that are said of a list of secrets.
const MOST_NAMES: usize = 10;

/// What is to be said of a secret now. Every condition of it that is not among these has ended.
pub fn alerts(
    recovery: &Recovery,
    cause: &Cause,
    environment: Environment,
    language: Language,
    now: Timestamp,
) -> Vec<Alert> {
    let arn = &recovery.arn;
    let alert = |condition: Condition, found: Vec<String>, to_do: Vec<String>| Alert {
        impact: recovery.left(),
        found,
        done: recovery.done_lines(language),
        to_do,
        ..Alert::firing(condition, arn.clone(), environment)
    };
    let of_recovery =
        |condition| alert(condition, recovery.found_lines(language), to_do(recovery, condition, language));
    let mut alerts: Vec<Alert> = conditions(recovery, cause).into_iter().map(of_recovery).collect();
    let stopped =
        recovery.controls.as_ref().and_then(|controls| stopped(controls, recovery.failure.as_ref(), language));
    if let Some(why) = stopped {
        let resume = language.choose(
            format!("`relatch resume {arn}`, when the cause is mended."),
            format!("原因を取り除いてから、`relatch resume {arn}` を実行してください。"),
        );
        alerts.push(alert(Condition::RotationStopped, vec![why], vec![resume]));
    }
    if let Some(description) = &recovery.description {
        if let Some(late) = overdue(description, now, language) {
            let rotate = language.choose(
                format!("`aws secretsmanager rotate-secret --secret-id {arn}`, and look at what it says."),
                format!("`aws secretsmanager rotate-secret --secret-id {arn}` を実行し、結果を確認してください。"),
            );
            alerts.push(alert(Condition::RotationOverdue, vec![late], vec![rotate]));
        }
        if description.deleted && in_use(description, now) {
            let found = language.choose(
                "It is scheduled for deletion, and was read within the last seven days (the sweep reads it too).",
                "削除予定ですが、直近7日以内に読み取られています（巡回による読み取りも含みます）。",
            );
            let restore = language.choose(
                format!("If it is needed: `aws secretsmanager restore-secret --secret-id {arn}`."),
                format!("必要であれば、`aws secretsmanager restore-secret --secret-id {arn}` で復元してください。"),
            );
            alerts.push(alert(Condition::DeletionScheduled, vec![found.to_owned()], vec![restore]));
        }
    }
    alerts
}

/// That a condition of a secret has ended, and how the secret was found.
pub fn ended(condition: Condition, recovery: &Recovery, environment: Environment, language: Language) -> Alert {
    Alert {
        status: Status::Resolved,
        impact: recovery.left(),
        found: recovery.found_lines(language),
        done: recovery.done_lines(language),
        ..Alert::firing(condition, recovery.arn.clone(), environment)
    }
}

/// That a condition has ended because its secret is not there any more.
pub fn gone(alert: Alert, language: Language) -> Alert {
    let found = language.choose("The secret is not there any more.", "このシークレットはもう存在しません。");
    Alert { impact: None, found: vec![found.to_owned()], done: Vec::new(), to_do: Vec::new(), ..alert }
}

/// What is said of an alarm that is firing.
pub fn of_alarm(name: &str, reason: Option<&str>, environment: Environment, language: Language) -> Alert {
    let silent = language.choose("CloudWatch gives no reason.", "CloudWatchから理由は示されていません。");
    Alert {
        // CloudWatch's sentence is long, and in it are names that others have chosen.
        found: vec![reason.map_or(silent.to_owned(), |reason| bounded(line(reason).replace('`', "'")))],
        to_do: vec![language.choose(
            format!("Look at the alarm `{}` in CloudWatch, and at what the sweep says.", shown(name)),
            format!("CloudWatchのアラーム `{}` と、巡回の結果を確認してください。", shown(name)),
        )],
        ..Alert::firing(Condition::AlarmFiring, name.to_owned(), environment)
    }
}

/// Relatch's own alarms, by what follows the project and the environment in their names, each with whether it can mean that a
/// secret is out of step with its database. The others are alerts and no more: anybody in the account can be denied a call.
pub const OWN_ALARMS: [(&str, bool); 25] = [
    ("-access-denied-burst", false),
    ("-audit-background-behind", false),
    ("-audit-baseline-unkept", false),
    ("-audit-behind", false),
    ("-audit-errors", false),
    ("-audit-policy-unusable", false),
    ("-audit-set-aside", false),
    ("-audit-slow", false),
    ("-audit-undelivered", false),
    ("-heartbeat-missing", true),
    ("-notify-errors", false),
    ("-notify-set-aside", false),
    ("-notify-undelivered", false),
    ("-reads-unseen", false),
    ("-respond-errors", true),
    ("-respond-slow", false),
    ("-respond-uncalled", true),
    ("-root-account-usage", false),
    ("-rotate-slow", true),
    ("-rotation-failed", true),
    ("-secret-read-errors", false),
    ("-sweep-uncalled", true),
    ("-unauthorized-api-calls", false),
    ("-unhandled", true),
    ("-unusual-secret-reads", false),
];

/// Whether an alarm is a reason to look after every secret. One that is not Relatch's own was set up to be one.
pub fn calls_for_a_sweep(alarm: &str) -> bool {
    OWN_ALARMS.iter().find(|(name, _)| alarm.ends_with(name)).is_none_or(|(_, is_about_rotations)| *is_about_rotations)
}

/// What is said of an incident: what was found, and of whom; what to do about each kind of it.
pub fn of_incident(incident: &Incident, environment: Environment, language: Language) -> Alert {
    let subject = incident.key.strip_prefix("audit/").unwrap_or(&incident.key).to_owned();
    let told = |finding: &Finding| {
        let mut names: Vec<&str> = finding.targets.iter().map(|target| target.name.as_str()).collect();
        in_natural_order(&mut names);
        let title = finding.kind.title(language);
        let what = if names.is_empty() { title.to_owned() } else { format!("{title}: {}", foreign::list(names)) };
        let at = finding.at.and_then(timestamp).map(|at| language.choose(format!("at {at}"), format!("発生時刻 {at}")));
        let parts: Vec<String> = [what].into_iter().chain(finding.reasons(language)).chain(at).collect();
        let line = language.choose(format!("{}.", parts.join("; ")), format!("{}。", parts.join("。")));
        (Some(finding.severity), bounded(line))
    };
    let mut found: Vec<(Option<finding::Severity>, String)> = incident.findings.iter().map(told).collect();
    // First of all, how much it was.
    let sums = incident.sums(language);
    let sum = incident.lead().filter(|_| !sums.is_empty()).map(|lead| {
        let parts = sums.join(language.choose(", ", "、"));
        (Some(lead.severity), language.choose(format!("{}.", capital(&parts)), format!("{parts}。")))
    });
    found.splice(0..0, sum.clone());
    // Who it was is not to be missing where there is much of it.
    if let Some((lead, who)) = incident.lead().and_then(|lead| Some((lead.severity, who(lead, language)?))) {
        let alike = found.iter().filter(|(severity, _)| *severity >= Some(lead)).count();
        found.insert(alike.min(MOST_LINES - 1), (Some(lead), who));
    }
    // With each kind, whichever leads: what is found again of a part of the incident must be nothing new.
    let to_do = |kind: Kind| {
        let mut of_it = incident.findings.iter().filter(|finding| finding.kind == kind);
        // By what was done at the worst.
        let worst = of_it.clone().find(|finding| finding.has_read()).or_else(|| of_it.next());
        let (to_do, name) = (worst.map_or_else(|| kind.to_do(language), |it| it.to_do(language)), kind.name());
        language.choose(
            format!("{to_do} If it is as it should be: docs/FINDINGS.md#{name} says how to hear no more of it."),
            format!("{to_do}想定された動作であれば、通知を減らす方法を docs/FINDINGS.md#{name} で確認してください。"),
        )
    };
    Alert {
        lead: incident.lead().map(|lead| Lead { kind: lead.kind, severity: lead.severity }),
        to_do: incident.kinds().into_iter().map(to_do).collect(),
        sum: sum.map(|(_, line)| line),
        ..Alert::firing(Condition::Audit, subject, environment)
    }
    .finding(found)
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

/// Who stands behind a finding, as far as its event says: the session, and from where with what.
fn who(finding: &Finding, language: Language) -> Option<String> {
    let session = finding
        .session
        .as_ref()
        .map(|session| shown(session))
        .map(|session| language.choose(format!("session {session}"), format!("セッション {session}")));
    let origin = finding.origin.as_ref().map(|origin| {
        let origin = origin_text(origin);
        let origin = shown(&origin);
        language.choose(format!("from {origin}"), format!("接続元 {origin}"))
    });
    let tool = finding.user_agent.as_ref().map(|agent| {
        let tool = shown(tool(agent));
        language.choose(format!("with {tool}"), format!("ツール {tool}"))
    });
    let region = finding.region.as_ref().map(|region| {
        let region = shown(region);
        language.choose(format!("in {region}"), format!("リージョン {region}"))
    });
    let account = finding.account.as_ref().map(|account| {
        let account = shown(account);
        language.choose(format!("account {account}"), format!("アカウント {account}"))
    });
    let parts: Vec<String> = [session, origin, tool, region, account].into_iter().flatten().collect();
    let (who, parts) = (shown(&finding.principal), (!parts.is_empty()).then(|| parts.join(", "))?);
    Some(language.choose(format!("By {who}, {parts}."), format!("実行者: {who}（{parts}）")))
}

/// What is said of a sweep: of the secrets that were left for want of time, and those that could not be looked at. Where
/// nothing was found, it got through.
pub fn of_sweep(
    subject: String,
    left: &[String],
    unlooked: &[String],
    environment: Environment,
    language: Language,
) -> Alert {
    let names = |names: &[String]| {
        let more = if names.len() > MOST_NAMES { ", …" } else { "" };
        format!("{}{more}", foreign::list(names.iter().take(MOST_NAMES).map(String::as_str)))
    };
    let left = (!left.is_empty()).then(|| {
        language.choose(
            format!("{} were left for want of time: {}.", left.len(), names(left)),
            format!("{}件は時間が足りず未確認です: {}", left.len(), names(left)),
        )
    });
    let unlooked = (!unlooked.is_empty()).then(|| {
        language.choose(
            format!("{} could not be looked at: {}.", unlooked.len(), names(unlooked)),
            format!("{}件は確認できませんでした: {}", unlooked.len(), names(unlooked)),
        )
    });
    let look = language.choose(
        "Look into the function's log; give it more time, or the permission that it lacks.",
        "関数のログを確認し、実行時間を延ばすか、不足している権限を付与してください。",
    );
    Alert {
        found: left.into_iter().chain(unlooked).collect(),
        to_do: vec![look.to_owned()],
        ..Alert::firing(Condition::SweepUnfinished, subject, environment)
    }
}

/// What is said of the ledger of changes: where it is not what was anchored, or, with `None`, that its end is again.
pub fn of_ledger(broken: Option<&Break>, environment: Environment, language: Language) -> Alert {
    let fits = || {
        language.choose(
            "Its end fits the last anchor. Whether anything before that is missing, `relatch verify` tells.",
            "台帳の末尾は最後のアンカーと一致しています。それ以前の記録に欠落がないかは `relatch verify` で確認してください。",
        )
    };
    let found = broken.map_or_else(
        || fits().to_owned(),
        |broken| {
            let what = broken.spoken(language);
            language.choose(
                format!("Somebody has changed what `audit` had written down: {what}."),
                format!("`audit` が記録した内容が変更されています（{what}）。"),
            )
        },
    );
    let verify = language.choose(
        "`relatch verify` shows what is left; CloudTrail, who may write the table and did. Until it is mended nothing is anchored.",
        "`relatch verify` で残っている記録を確認し、テーブルに書き込んだ主体をCloudTrailで特定してください。復旧するまでアンカーは作成されません。",
    );
    Alert {
        found: vec![found],
        to_do: vec![verify.to_owned()],
        ..Alert::firing(Condition::LedgerBroken, format!("ledger of {}", environment.name()), environment)
    }
}

/// What is said of a step of a rotation that failed; nothing where somebody else is at work, or wants it so.
pub fn of_step(
    event: &RotationEvent,
    error: &RotationError,
    environment: Environment,
    language: Language,
) -> Option<Alert> {
    let (impact, condition) = match error {
        RotationError::Refused(rotation::Reason::Stopped) => (None, Condition::RotationStopped),
        _ if !error.is_of_the_rotation() => return None,
        RotationError::Refused(rotation::Reason::RolledBack) => (Some(Impact::Safe), Condition::RotationFailed),
        RotationError::NotYet(_)
        | RotationError::Refused(_)
        | RotationError::Interrupted(_)
        | RotationError::OutOfTime
        | RotationError::Fault(_) => (None, Condition::RotationFailed),
    };
    let (done, to_do) = match error {
        RotationError::Refused(rotation::Reason::RolledBack) => (
            Some(language.choose(
                "The previous password was put back, and a login has proved it.",
                "以前のパスワードに戻し、ログインで検証しました。",
            )),
            unaffected(language).to_owned(),
        ),
        RotationError::NotYet(_) | RotationError::Interrupted(_) | RotationError::OutOfTime => (
            None,
            language
                .choose(
                    "Nothing yet: Secrets Manager tries again, and the responder looks after it.",
                    "今は不要です。Secrets Managerが再試行し、`respond` も状態を確認します。",
                )
                .to_owned(),
        ),
        RotationError::Refused(_) | RotationError::Fault(_) => (
            None,
            language.choose(
                format!("`relatch doctor {}` shows what is wrong, and what repairs it.", event.secret_id),
                format!("`relatch doctor {}` で、問題と復旧方法を確認してください。", event.secret_id),
            ),
        ),
    };
    let (step, why) = (event.step, error.spoken(language));
    Some(Alert {
        impact,
        found: vec![language.choose(format!("{step} failed: {why}."), format!("{step}が失敗しました（{why}）。"))],
        done: done.map(str::to_owned).into_iter().collect(),
        to_do: vec![to_do],
        ..Alert::firing(condition, event.secret_id.to_string(), environment)
    })
}

/// The conditions that the state of the secret itself shows.
fn conditions(recovery: &Recovery, cause: &Cause) -> Vec<Condition> {
    let mut conditions = match cause {
        // It failed because it is paused, or it is to be left alone.
        _ if matches!(recovery.outcome, Outcome::Waits(Reason::Paused)) => Vec::new(),
        Cause::Failed => vec![Condition::RotationFailed],
        Cause::Abandoned => vec![Condition::RotationAbandoned],
        // The rotation that failed is still waiting to be tried again.
        Cause::Sweep if recovery.facts.failure.is_some() => vec![Condition::RotationFailed],
        Cause::Sweep => Vec::new(),
    };
    match recovery.left() {
        Some(Impact::LockedOut) => conditions.push(Condition::LockedOut),
        Some(Impact::Stranded) => conditions.push(Condition::Stranded),
        Some(Impact::Safe | Impact::Degraded) | None => {}
    }
    match &recovery.outcome {
        // Told, although it is over: it was not like this before.
        Outcome::Opens(reason) if *reason != Reason::Sound && *cause == Cause::Sweep => {
            conditions.push(Condition::CurrentRejected);
        }
        Outcome::Opens(_) | Outcome::Would(_) | Outcome::Fails(_) => {}
        Outcome::Waits(reason) | Outcome::Refuses(reason) => conditions.extend(of_reason(*reason)),
    }
    if recovery.facts.label == Some(PendingLabel::Waiting(Some(Age::Stuck))) {
        conditions.push(Condition::PendingStuck);
    }
    conditions
}

/// What a repair that came to nothing says of the secret. The most urgent conditions follow from the impact.
const fn of_reason(reason: Reason) -> Option<Condition> {
    match reason {
        Reason::DatabaseSilent(_) | Reason::ServerNotAvailable | Reason::ServerUnfit(_) | Reason::ServerMissing => {
            Some(Condition::DatabaseSilent)
        }
        Reason::Unproved(_)
        | Reason::NoCurrent
        | Reason::CurrentUnusable(_)
        | Reason::LoginRefused(_)
        | Reason::ReaderEndpoint
        | Reason::ProxyEndpoint
        | Reason::OtherServer
        | Reason::Role(_)
        | Reason::TooLittleTime => Some(Condition::CurrentRejected),
        // The impact says it: somebody is at work, somebody has asked for it, or it is not ours.
        Reason::Exhausted
        | Reason::Sound
        | Reason::Recovered
        | Reason::WentForward
        | Reason::WentBack
        | Reason::ServerStopped
        | Reason::LockBusy
        | Reason::LabelsMoved
        | Reason::RotationInFlight
        | Reason::Paused
        | Reason::ResetUnderWay
        | Reason::SessionLost
        | Reason::ScheduledForDeletion
        | Reason::ManagedByService
        | Reason::OtherKind
        | Reason::NoPrevious
        | Reason::PreviousUnusable(_)
        | Reason::PreviousElsewhere(_)
        | Reason::PendingInTheWay
        | Reason::NothingToGoBackThrough => None,
    }
}

fn to_do(recovery: &Recovery, condition: Condition, language: Language) -> Vec<String> {
    let lines = recovery.to_do_lines(language);
    match (lines.is_empty(), condition) {
        (true, Condition::RotationFailed | Condition::RotationAbandoned) => vec![unaffected(language).to_owned()],
        (true, _) => vec![language.choose("Nothing: it is over.", "不要です。すでに解消しています。").to_owned()],
        (false, _) => lines,
    }
}

fn unaffected(language: Language) -> &'static str {
    language.choose(
        "Nothing at once: applications are not affected. Mend the cause before the next rotation.",
        "急ぎの対応は不要です。アプリケーションへの影響はありません。次のローテーションまでに原因を取り除いてください。",
    )
}

/// Why a secret's rotations are stopped, if they are. `failure` is the one that may have stopped them.
pub(crate) fn stopped(controls: &Controls, failure: Option<&Failure>, language: Language) -> Option<String> {
    let count = controls.rolled_back;
    match (Control::of(controls), &controls.stopped) {
        (Control::Stopped, Some(why)) => {
            // What is remembered is English.
            let known = failure.filter(|failure| refused_change(failure, Language::English) == *why);
            let why = known.map_or(why.clone(), |failure| refused_change(failure, language));
            Some(language.choose(
                format!("Its rotations are stopped: {why}."),
                format!("ローテーションは停止しています（{why}）。"),
            ))
        }
        (Control::Stopped, None) => Some(language.choose(
            format!("{count} rotations in a row had to be rolled back."),
            format!("{count}回連続でローテーションをロールバックしました。"),
        )),
        (Control::Free | Control::Paused, _) => None,
    }
}

/// Why rotations are stopped after a change that the database itself refused, without an end.
pub fn refused_change(failure: &Failure, language: Language) -> String {
    let (step, state) = (failure.step, failure.sqlstate.as_deref());
    language.choose(
        format!("the database refused the change in {step} (SQLSTATE {})", state.unwrap_or("none")),
        format!("データベースが{step}で変更を拒否しました。SQLSTATE: {}", state.unwrap_or("なし")),
    )
}

/// Whether a secret has waited too long for its rotation, by its rules.
pub(crate) fn overdue(description: &Description, now: Timestamp, language: Language) -> Option<String> {
    if !description.rotation_enabled || description.deleted {
        return None;
    }
    let due = match (description.rotated.or(description.created), description.rotated_every) {
        (Some(last), Some(days)) => last.checked_add(SignedDuration::from_hours(days.checked_mul(24)?)).ok(),
        // A cron expression: only Secrets Manager knows its days.
        _ => description.next_rotation,
    }?;
    let late = now.duration_since(due);
    let days = late.as_hours() / 24;
    (late > GRACE).then(|| {
        language.choose(
            format!("Its rotation was due {days} days ago."),
            format!("ローテーションの期日を{days}日過ぎています。"),
        )
    })
}

fn in_use(description: &Description, now: Timestamp) -> bool {
    description.accessed.is_some_and(|accessed| now.duration_since(accessed) < IN_USE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{audit::incident::incidents, rollback::recovery::tests::examples};
    use relatch_events::{
        cloudtrail::target::{Place, Target},
        moment::Moment,
    };

    /// Cause and outcome, and what is told of it.
    #[test]
    fn what_is_told() {
        let mut table = Vec::new();
        for cause in [Cause::Sweep, Cause::Failed, Cause::Abandoned] {
            for (name, recovery) in examples() {
                let told = alerts(&recovery, &cause, Environment::Prod, Language::English, now());
                let told: Vec<String> = told
                    .iter()
                    .map(|alert| format!("{} ({})", alert.condition.name(), alert.severity().name()))
                    .collect();
                table.push(format!("{cause:?}, {name} => {}", told.join(", ")));
            }
        }
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn of_an_incident_of_thousands_of_findings_the_gravest_are_said_and_who_it_was() {
        let finding = |n: usize| {
            let severity = if n == 2_900 { finding::Severity::Critical } else { finding::Severity::High };
            // Names as long as Secrets Manager lets them be, and as many as a batch has.
            let target = |m| Target::secret(&format!("{}-{n:04}-{m:02}", "s".repeat(500)), Place::default());
            Finding {
                kind: Kind::NewReader,
                severity,
                at: Some(Moment::from_millis(1_795_201_084_000)),
                principal: "role/report".to_owned(),
                session: Some("i-0abc1234".to_owned()),
                origin: None,
                user_agent: None,
                account: None,
                region: None,
                action: "secretsmanager:GetSecretValue".to_owned(),
                targets: (0..20).filter_map(target).collect(),
                evidence: Vec::new(),
                events: Vec::new(),
                key: "audit/role/report".to_owned(),
                shadowed: false,
            }
        };
        for language in Language::ALL {
            let found = incidents((0..3_000).map(finding).collect(), 1);
            let [incident] = found.as_slice() else { panic!("{}", found.len()) };
            let mut alert = of_incident(incident, Environment::Prod, language);
            for _ in 0..2 {
                assert!(alert.json().to_string().len() < 380_000, "{}", alert.json().to_string().len());
                assert_eq!((alert.found.len(), alert.unsaid.len()), (100, 2_000));
                assert!(alert.found[0].contains("60000"), "{}", alert.found[0]);
                assert!(alert.found[1].contains("-2900-00"), "{}", alert.found[1]);
                assert!(alert.found.iter().any(|line| line.contains("i-0abc1234")));
                alert = alert.joined(&of_incident(incident, Environment::Prod, language));
            }
        }
    }

    #[test]
    fn what_the_secret_itself_tells() {
        let days = |days: i64| Some(now() - SignedDuration::from_hours(24 * days));
        let rotated = |ago, every| Description {
            rotation_enabled: true,
            rotated: days(ago),
            rotated_every: Some(every),
            ..Description::default()
        };
        let deleted = |read| Description { deleted: true, accessed: days(read), ..Description::default() };
        for (description, expected) in [
            (rotated(30, 30), None),
            (rotated(31, 30), None),
            (rotated(32, 30), Some(Condition::RotationOverdue)),
            (Description { rotation_enabled: false, ..rotated(99, 30) }, None),
            (Description { rotated: None, created: days(99), ..rotated(0, 30) }, Some(Condition::RotationOverdue)),
            (
                Description { rotated_every: None, next_rotation: days(2), ..rotated(9, 1) },
                Some(Condition::RotationOverdue),
            ),
            (deleted(2), Some(Condition::DeletionScheduled)),
            (deleted(8), None),
        ] {
            let (_, mut recovery) = examples().swap_remove(0);
            recovery.description = Some(description.clone());
            let told = alerts(&recovery, &Cause::Sweep, Environment::Prod, Language::English, now());
            assert_eq!(told.first().map(|alert| alert.condition), expected, "{description:?}");
        }
    }

    #[test]
    fn a_rotation_that_is_stopped_is_told_until_somebody_resumes_it() {
        for (stopped, rolled_back, expected) in [
            (None, 2, None),
            (None, 3, Some(Condition::RotationStopped)),
            (Some("why"), 0, Some(Condition::RotationStopped)),
        ] {
            let (_, mut recovery) = examples().swap_remove(0);
            let stopped = stopped.map(str::to_owned);
            recovery.controls = Some(Controls { stopped, rolled_back, ..Controls::default() });
            let told = alerts(&recovery, &Cause::Sweep, Environment::Prod, Language::English, now());
            assert_eq!(told.first().map(|alert| alert.condition), expected);
        }
    }

    fn now() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }
}
