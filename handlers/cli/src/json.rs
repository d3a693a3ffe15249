//! The same answers as a program reads them. Field names are a stable interface; `version` grows when one changes its
//! meaning or goes.

use crate::{
    alerts::people,
    arguments::Place,
    problem::Problem,
    scan::{Damage, Tally},
};
use jiff::Timestamp;
use relatch::{
    alert::{
        Condition, Severity,
        policy::{Member, Silence},
    },
    audit::{
        finding::{self, Finding, timestamp},
        incident::Incident,
    },
    config::Environment,
    ports::{Label, Pause},
    rollback::{
        Impact,
        recovery::login_word,
        survey::{Diagnosis, Survey, diagnosis::says},
    },
};
use serde_json::{Value, json};

/// `relatch check` and `relatch doctor`.
pub(crate) fn diagnosis(survey: &Survey, diagnosis: &Diagnosis, place: &Place) -> Value {
    let versions = survey.versions.iter().map(|version| {
        json!({
            "id": version.id,
            "labels": version.labels.iter().map(|label| match label {
                Label::Current => "AWSCURRENT",
                Label::Pending => "AWSPENDING",
                Label::Previous => "AWSPREVIOUS",
            }).collect::<Vec<_>>(),
            "created": version.created,
            "user": version.user,
            "login": version.login.map(login_word),
            "says": says(version),
        })
    });
    let findings = diagnosis.findings.iter().map(|finding| {
        json!({
            "subject": finding.subject,
            "mark": finding.mark.name(),
            "sentence": finding.sentence,
            "toDo": finding.to_do,
        })
    });
    let remedy = diagnosis.remedy.as_ref();
    json!({
        "version": 1,
        "secret": survey.description.arn.as_deref().unwrap_or(survey.secret.as_str()),
        "at": survey.at,
        "impact": diagnosis.impact.map(Impact::name),
        "wrong": diagnosis.wrong,
        "command": remedy.map(|remedy| remedy.command.line(&survey.secret, &place.for_aws(), &place.for_relatch())),
        "commandDoes": remedy.map(|remedy| &remedy.effect),
        "versions": versions.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
    })
}

/// `relatch pause` and `relatch resume`; of all secrets, `secret` is null.
pub(crate) fn control(arn: Option<&str>, outcome: &str, pause: Option<&Pause>) -> Value {
    let pause = pause.map(|pause| json!({ "by": pause.by, "reason": pause.reason, "at": pause.at }));
    json!({ "version": 1, "secret": arn, "outcome": outcome, "pause": pause })
}

/// `relatch release`. `denied` is whom it lets in again.
pub(crate) fn release(arn: &str, outcome: &str, denied: &[String]) -> Value {
    json!({ "version": 1, "secret": arn, "outcome": outcome, "denied": denied })
}

/// `relatch alerts`. `told` is how severe people know it to be.
pub(crate) fn alerts(environment: Environment, members: &[Member], at: Timestamp) -> Value {
    let alerts = members.iter().map(|member| {
        let alert = &member.entry.alert;
        json!({
            "condition": alert.condition.name(),
            "subject": alert.subject,
            "status": alert.status.name(),
            "severity": alert.severity().name(),
            "impact": alert.impact.map(Impact::name),
            "since": member.entry.since,
            "people": people(member),
            "told": member.entry.told.map(Severity::name),
        })
    });
    json!({
        "version": 1,
        "environment": environment.name(),
        "at": at,
        "alerts": alerts.collect::<Vec<_>>(),
    })
}

/// `relatch silences`.
pub(crate) fn silences(silences: &[Silence]) -> Value {
    json!({ "version": 1, "silences": silences.iter().map(fields).collect::<Vec<_>>() })
}

/// `relatch silence` and `relatch unsilence`.
pub(crate) fn silence(outcome: &str, silence: Option<&Silence>) -> Value {
    json!({ "version": 1, "outcome": outcome, "silence": silence.map(fields) })
}

/// `relatch scan`. Findings are security events.
pub(crate) fn scan(incidents: &[Incident], tally: &Tally, problems: &[Problem]) -> Value {
    let Tally { files, records, facts, ignored, duplicate, malformed, named } = tally;
    let incidents = incidents.iter().map(|incident| {
        let span = incident.span();
        json!({
            "key": incident.key,
            "severity": incident.severity().map(finding::Severity::name),
            "kinds": incident.kinds().into_iter().map(finding::Kind::name).collect::<Vec<_>>(),
            "from": span.and_then(|(from, _)| timestamp(from)),
            "to": span.and_then(|(_, to)| timestamp(to)),
            "shadowed": incident.is_shadowed(),
            "findings": incident.findings.iter().map(Finding::security_event).collect::<Vec<_>>(),
        })
    });
    let named = named
        .iter()
        .map(|Damage { file, offset, why }| json!({ "file": file, "offset": offset, "why": why.to_string() }));
    json!({
        "version": 1,
        "incidents": incidents.collect::<Vec<_>>(),
        "files": files,
        "records": {
            "all": records, "facts": facts, "ignored": ignored, "duplicate": duplicate, "malformed": malformed,
        },
        "malformed": named.collect::<Vec<_>>(),
        "unreadable": problems.iter().map(Problem::fields).collect::<Vec<_>>(),
    })
}

/// One that has not begun has no id.
fn fields(silence: &Silence) -> Value {
    let Silence { id, condition, subject, environment, author, reason, until } = silence;
    json!({
        "id": Some(id).filter(|id| !id.is_empty()),
        "condition": condition.map(Condition::name),
        "subject": subject,
        "environment": environment.map(Environment::name),
        "by": author,
        "reason": reason,
        "until": until,
    })
}
