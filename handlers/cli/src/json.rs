//! The same answers as a program reads them. Field names are a stable interface; `version` grows when one changes its
//! meaning or goes.

use crate::{
    alerts::people,
    arguments::Place,
    learn::{Left, Lesson},
    ledger::{
        access::Visitor,
        history::is_whole,
        verify::{TO_DO, TO_DO_UNLISTED, Verdict},
    },
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
        ledger::{Ended, Entry, Past},
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
    let named = tally
        .named
        .iter()
        .map(|Damage { file, offset, why }| json!({ "file": file, "offset": offset, "why": why.to_string() }));
    json!({
        "version": 1,
        "incidents": incidents.collect::<Vec<_>>(),
        "files": tally.files,
        "records": records(tally),
        "malformed": named.collect::<Vec<_>>(),
        "unreadable": problems.iter().map(Problem::fields).collect::<Vec<_>>(),
    })
}

/// A line of `relatch access`.
pub(crate) fn access(subject: &str, entry: &Entry) -> Value {
    let mut line = json!({ "version": 1, "subject": subject });
    merge(&mut line, event(entry));
    line
}

/// A line of `relatch access --by-principal`.
pub(crate) fn visitor(subject: &str, visitor: &Visitor) -> Value {
    let Visitor { last, first, done, denied, failed, is_person, origins } = visitor;
    json!({
        "version": 1,
        "subject": subject,
        "principal": last.principal,
        "person": is_person,
        "first": first.and_then(timestamp),
        "last": last.at.and_then(timestamp),
        "done": done,
        "denied": denied,
        "failed": failed,
        "origins": origins,
        "tool": last.tool,
    })
}

/// A line of `relatch history`. What is in words that are not known here is `text`.
pub(crate) fn past(subject: &str, past: &Past) -> Value {
    let record = past.record.as_ref();
    let entry = record.and_then(|record| record.entry());
    let mut line = json!({
        "version": 1,
        "subject": subject,
        "sequence": past.sequence,
        "whole": is_whole(past),
        "recorded": record.and_then(|record| timestamp(record.recorded)),
        "digest": record.map(|record| record.digest),
        "text": record.filter(|_| entry.is_none()).map(|record| &record.entry),
    });
    if let Some(entry) = &entry {
        merge(&mut line, event(entry));
    }
    line
}

/// `relatch verify`. Of a chain that is whole, it can be kept as an anchor.
pub(crate) fn verdict(verdict: &Verdict) -> Value {
    let Verdict { environment, at, from, end, span, met, passed_by, distrusted, broken, unlisted } = verdict;
    let whole = Some(end).filter(|_| verdict.is_whole());
    json!({
        "version": 1,
        "environment": environment.name(),
        "outcome": if verdict.is_whole() { "whole" } else { "broken" },
        "sequence": whole.map(|end| end.sequence),
        "digest": whole.map(|end| end.digest),
        "at": at,
        "after": from.sequence,
        "records": end.sequence - from.sequence,
        "first": span.and_then(|(first, _)| timestamp(first)),
        "last": span.and_then(|(_, last)| timestamp(last)),
        "anchors": met,
        "passedBy": passed_by,
        "broken": broken.map(|broken| json!({
            "kind": broken.name(),
            "record": broken.sequence(),
            "sentence": broken.sentence(),
            "meaning": broken.meaning(),
            "toDo": TO_DO,
        })),
        "distrusted": distrusted.iter().map(|(place, why)| json!({
            "object": place.key, "version": place.version, "why": why.to_string(),
        })).collect::<Vec<_>>(),
        "unlisted": unlisted,
        "unlistedToDo": Some(TO_DO_UNLISTED).filter(|_| !unlisted.is_empty()),
    })
}

/// `relatch learn`.
pub(crate) fn lesson(outcome: &str, lesson: &Lesson) -> Value {
    let Lesson { environment, tally, baseline, parts, kept, known, left } = lesson;
    let left = left.iter().map(|Left { part, why }| json!({ "part": part.to_string(), "why": why }));
    json!({
        "version": 1,
        "outcome": outcome,
        "environment": environment.name(),
        "since": baseline.since().and_then(timestamp),
        "until": baseline.until().and_then(timestamp),
        "secrets": baseline.secrets(),
        "principals": baseline.principals(),
        "parts": parts,
        "kept": kept,
        "known": known,
        "left": left.collect::<Vec<_>>(),
        "files": tally.files,
        "records": records(tally),
    })
}

/// What the ledger says of an event.
fn event(entry: &Entry) -> Value {
    let (outcome, code) = match &entry.ended {
        Ended::Done => ("done", None),
        Ended::Denied(code) => ("denied", Some(code)),
        Ended::Failed(code) => ("failed", Some(code)),
    };
    json!({
        "event": entry.event,
        "at": entry.at.and_then(timestamp),
        "targets": entry.targets,
        "principal": entry.principal,
        "nature": entry.nature,
        "session": entry.session,
        "accessKey": entry.access_key,
        "invokedBy": entry.invoked_by,
        "origin": entry.origin,
        "tool": entry.tool,
        "account": entry.account,
        "region": entry.region,
        "action": entry.action,
        "outcome": outcome,
        "code": code,
        "what": entry.what,
    })
}

fn merge(line: &mut Value, more: Value) {
    if let (Value::Object(line), Value::Object(more)) = (line, more) {
        line.extend(more);
    }
}

fn records(tally: &Tally) -> Value {
    let Tally { files: _, records, facts, ignored, duplicate, malformed, named: _ } = tally;
    json!({ "all": records, "facts": facts, "ignored": ignored, "duplicate": duplicate, "malformed": malformed })
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
