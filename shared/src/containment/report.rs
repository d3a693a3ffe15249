//! What people are told of a containment. Pure.

use super::{
    Containment, Lost,
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

/// What is to be said of a denial that was gone.
pub fn of_lost(lost: &Lost, environment: Environment, language: Language) -> Alert {
    let Lost { denial, case } = lost;
    let (principal, name) = (&denial.principal, name_of(&denial.secret));
    let gone = language.choose(
        format!("The denial of {principal} was gone from the policy of {name}: a deployment or a person has put another."),
        format!("{name}のリソースポリシーから{principal}の拒否がなくなっていました。デプロイまたは誰かの操作で置き換えられています。"),
    );
    let not_again = case.ending.obstacle().map(|why| {
        let why = why.spoken(language);
        language.choose(format!("It could not be put back: {why}."), format!("元に戻せませんでした: {why}。"))
    });
    let again = case.ending.is_done().then(|| {
        language.choose(
            format!("It was put back: {principal} may not read {name} any more, and that this is in effect was seen."),
            format!("元に戻しました。{principal}は再び{name}を読み取れません。有効になったことも確認しました。"),
        )
    });
    let to_do = [
        language.choose(
            format!("Find out in CloudTrail who called PutResourcePolicy or DeleteResourcePolicy for {name}, and whether {principal} has read it meanwhile."),
            format!("{name}に対するPutResourcePolicyまたはDeleteResourcePolicyを誰が実行したか、その間に{principal}が読み取っていないかを、CloudTrailで確認してください。"),
        ),
        language.choose(
            format!("If it is to be let in again: `relatch release {name} --principal {principal}`."),
            format!("拒否を解除する場合: `relatch release {name} --principal {principal}`"),
        ),
    ];
    Alert {
        found: [Some(gone), not_again].into_iter().flatten().collect(),
        done: again.into_iter().collect(),
        to_do: to_do.into(),
        ..Alert::firing(Condition::ContainmentFailed, principal.clone(), environment)
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
