//! The same answers as a program reads them. Field names are a stable interface; `version` grows when one changes its
//! meaning or goes.

use crate::arguments::Place;
use relatch::{
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
