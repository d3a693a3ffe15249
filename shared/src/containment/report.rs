//! What people are told of a containment. Pure.

use super::{
    Containment,
    plan::{Denial, Ending, Rotation},
};
use crate::{
    alert::{Alert, Condition, name_of},
    audit::finding::Kind,
    config::Environment,
    language::{Language, Spoken},
};
use serde_json::{Value, json};

/// What has come of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was asked.
    pub asked: Containment,
    /// What has come of each secret.
    pub cases: Vec<Case>,
}

/// What has come of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its full ARN, if it was found.
    pub secret: String,
    /// What has come of it.
    pub ending: Ending,
}

impl Report {
    /// Whether anything is not done that may be possible later.
    pub fn is_unfinished(&self) -> bool {
        self.cases.iter().any(|case| case.ending.obstacle().is_some_and(|why| why.passes()))
    }

    /// What is to be said: of what was contained, and of what could not be. Asked twice, the same is said, so that it is
    /// told once.
    pub fn alerts(&self, environment: Environment, language: Language) -> Vec<Alert> {
        let (done, failed): (Vec<&Case>, Vec<&Case>) = self.cases.iter().partition(|case| case.ending.is_done());
        let principal = &self.asked.principal;
        let titles = self.asked.findings.iter().filter_map(|name| Kind::by_name(name)).map(|kind| kind.title(language));
        let titles = titles.collect::<Vec<_>>().join("; ");
        let alert = |condition, found, done, to_do| Alert {
            found,
            done,
            to_do,
            ..Alert::firing(condition, principal.clone(), environment)
        };
        let why =
            language.choose(format!("Of {principal} was found: {titles}."), format!("{principal}の検知内容: {titles}"));
        let mut alerts = Vec::new();
        if !failed.is_empty() {
            let lines = failed.iter().filter_map(|case| {
                let (name, obstacle) = (name_of(&case.secret), case.ending.obstacle()?.spoken(language));
                Some(language.choose(
                    format!("{name} is not contained: {obstacle}."),
                    format!("{name}は封じ込められていません: {obstacle}。"),
                ))
            });
            let to_do = language.choose(
                "Deny the principal at its role or user, and only then rotate what was read: the runbook says how.",
                "ロールまたはユーザー側でプリンシパルを拒否し、その後で、読み取られたシークレットをローテーションしてください。手順はランブックにあります。",
            );
            let found = [why.clone()].into_iter().chain(lines).collect();
            let done = failed.iter().flat_map(|case| done_lines(case, principal, language)).collect();
            alerts.push(alert(Condition::ContainmentFailed, found, done, vec![to_do.to_owned()]));
        }
        let done: Vec<String> = done.iter().flat_map(|case| done_lines(case, principal, language)).collect();
        if !done.is_empty() {
            let to_do = language.choose(
                format!("Find out who it was. `relatch release SECRET --principal {principal}` lets it in again."),
                format!("誰の操作か確認してください。`relatch release SECRET --principal {principal}` で拒否を解除できます。"),
            );
            alerts.push(alert(Condition::Contained, vec![why], done, vec![to_do]));
        }
        alerts
    }

    /// The whole, as a program reads it.
    pub fn json(&self) -> Value {
        let cases = self.cases.iter().map(|case| {
            json!({
                "secret": case.secret,
                "denial": case.ending.denial.name(),
                "rotation": case.ending.rotation.name(),
            })
        });
        json!({ "principal": self.asked.principal, "contained": cases.collect::<Vec<_>>() })
    }
}

/// What was done, whether now or when it was asked for before.
fn done_lines(case: &Case, principal: &str, language: Language) -> Vec<String> {
    let name = name_of(&case.secret);
    let denied = matches!(case.ending.denial, Denial::Proved).then(|| {
        language.choose(
            format!("{principal} may not read {name} any more; that this is in effect was seen."),
            format!("{principal}による{name}の読み取りを拒否し、有効になったことを確認しました。"),
        )
    });
    let rotated = matches!(case.ending.rotation, Rotation::Begun).then(|| {
        language.choose(format!("A rotation of {name} has begun."), format!("{name}のローテーションを開始しました。"))
    });
    denied.into_iter().chain(rotated).collect()
}
