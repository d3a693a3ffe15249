//! What is said of a repair: one report, which the alert, the log, the metric and the screen share.

use super::{
    Intent, Order, RepairError,
    carry_out::NOT_A_SQLSTATE,
    facts::{Age, Climb, Facts, Found, MasterVerdict, PendingLabel, Rung, Source},
    impact::{self, Impact},
    observe::Visit,
    plan::Action,
    reason::Reason,
};
use crate::{
    language::{Language, Spoken},
    ports::{Controls, Database, Description, Failure, Label, Login},
    rotation::facts::{Effect, Held, RoleVerdict},
    secret::Problem,
    telemetry::chain,
};
use relatch_events::secret::VersionId;
use serde_json::{Value, json};
use std::time::Duration;

/// What was found in a secret, what was done about it, and what came of it. Holds no value.
#[derive(Debug)]
pub struct Recovery {
    /// The secret's full ARN; the name it was called by, where nothing more was learned.
    pub arn: String,
    /// What was wanted.
    pub intent: Intent,
    /// How it ended.
    pub outcome: Outcome,
    /// Everything that was learned, and what each rung came to.
    pub facts: Facts,
    /// The version that AWSPENDING was on.
    pub pending: Option<VersionId>,
    /// What Secrets Manager says of the secret.
    pub description: Option<Description>,
    /// What people and the circuit breaker have asked for.
    pub controls: Option<Controls>,
    /// How the rotation that is pending failed.
    pub failure: Option<Failure>,
    /// How long it took.
    pub took: Duration,
}

/// How a repair ended.
#[derive(Debug)]
pub enum Outcome {
    /// AWSCURRENT opens the database.
    Opens(Reason),
    /// Nothing can be done now.
    Waits(Reason),
    /// Nothing can be done at all.
    Refuses(Reason),
    /// What would be done next: only a rehearsal ends so.
    Would(Action),
    /// It came to no end.
    Fails(RepairError),
}

impl Recovery {
    pub(super) fn of<S, D: Database, R, T>(visit: &Visit<'_, S, D, R, T>, outcome: Outcome, took: Duration) -> Self {
        let Order { secret, intent, .. } = visit.order;
        Self {
            arn: visit.known.arn.clone().unwrap_or_else(|| secret.to_string()),
            intent: *intent,
            outcome,
            facts: visit.facts,
            pending: visit.known.description.as_ref().and_then(|known| known.holder(Label::Pending)).cloned(),
            description: visit.known.description.clone(),
            controls: visit.known.controls.clone(),
            failure: visit.known.failure.clone(),
            took,
        }
    }

    /// What it meant for consumers before anything was done.
    pub fn found(&self) -> Option<Impact> {
        impact::found(&self.facts)
    }

    /// What it means for them now.
    pub fn left(&self) -> Option<Impact> {
        impact::left(&self.facts)
    }

    /// The rungs that were climbed, in their order.
    pub fn climbed(&self) -> impl Iterator<Item = Rung> {
        let facts = self.facts;
        Rung::ALL.into_iter().filter(move |rung| facts.climb(*rung).effect.is_some())
    }

    /// Whether anything was changed: a password, or a label.
    pub fn changed(&self) -> bool {
        self.climbed().next().is_some() || self.facts.unstaged.is_some()
    }

    /// Why it ended as it did, by its stable name.
    pub fn reason(&self) -> &'static str {
        match &self.outcome {
            Outcome::Opens(reason) | Outcome::Waits(reason) | Outcome::Refuses(reason) => reason.name(),
            Outcome::Would(_) => "rehearsed",
            Outcome::Fails(error) => error.name(),
        }
    }

    /// Why it ended as it did, as a sentence without its end.
    pub fn sentence(&self) -> String {
        match &self.outcome {
            Outcome::Opens(reason) | Outcome::Waits(reason) | Outcome::Refuses(reason) => reason.to_string(),
            Outcome::Would(action) => format!("would now: {}", would(*action)),
            Outcome::Fails(error) => chain(error),
        }
    }

    /// What was found, a sentence each.
    pub fn found_lines(&self, language: Language) -> Vec<String> {
        let logins = [
            ("AWSCURRENT", self.facts.logins.current),
            ("AWSPENDING", self.facts.logins.pending),
            ("AWSPREVIOUS", self.facts.logins.previous),
            (language.choose("a version without a label", "ラベルのないバージョン"), self.facts.logins.kept),
            (language.choose("the admin secret", "管理者シークレット"), self.facts.logins.admin),
        ];
        let logins = logins.into_iter().filter_map(|(who, login)| Some(login_line(who, login?, language)));
        let unusable = [("AWSPENDING", self.facts.pending), ("AWSPREVIOUS", self.facts.previous)];
        let unusable = unusable.into_iter().filter_map(|(who, found)| match found? {
            Found::Unusable(problem) => Some(unusable_line(who, problem, language)),
            Found::Elsewhere(field) => Some(language.choose(
                format!("{who} differs from AWSCURRENT in `{field}`, so it was not used."),
                format!("{who}はAWSCURRENTと `{field}` が異なるため、使用していません。"),
            )),
            Found::Nothing | Found::SameUser | Found::Alternate => None,
        });
        let current = match self.facts.current {
            Some(Held::Unusable(problem)) => Some(unusable_line("AWSCURRENT", problem, language)),
            Some(Held::Nothing | Held::Elsewhere(_) | Held::NotAllowed) => Some(
                language
                    .choose("No version holds AWSCURRENT.", "AWSCURRENTの付いたバージョンがありません。")
                    .to_owned(),
            ),
            Some(Held::Credentials | Held::ThisToken) | None => None,
        };
        let pending = match self.facts.label {
            Some(PendingLabel::Waiting(Some(Age::Stuck))) => Some(
                language
                    .choose("AWSPENDING has been waiting for too long.", "AWSPENDINGが長時間残ったままです。")
                    .to_owned(),
            ),
            Some(PendingLabel::Waiting(_)) => Some(
                language
                    .choose(
                        "AWSPENDING is on a version that is not current.",
                        "AWSPENDINGがAWSCURRENTではないバージョンに付いています。",
                    )
                    .to_owned(),
            ),
            Some(PendingLabel::Nowhere | PendingLabel::OnCurrent) | None => None,
        };
        let failure = self.failure.as_ref().map(|Failure { step, reason, sqlstate, .. }| match sqlstate {
            Some(state) => language.choose(
                format!("The rotation failed in {step}: {reason}, SQLSTATE {state}."),
                format!("ローテーションが{step}で失敗しました（{reason}、SQLSTATE {state}）。"),
            ),
            None => language.choose(
                format!("The rotation failed in {step}: {reason}."),
                format!("ローテーションが{step}で失敗しました（{reason}）。"),
            ),
        });
        failure.into_iter().chain(current).chain(logins).chain(unusable).chain(pending).collect()
    }

    /// What was done, a sentence each; empty if nothing was changed.
    pub fn done_lines(&self, language: Language) -> Vec<String> {
        let rungs = self.climbed().map(|rung| done_line(rung, self.facts.climb(rung), language));
        let unstaged = self.facts.unstaged.map(|effect| {
            match effect {
                Effect::Done => language.choose(
                    "AWSPENDING was taken off, after AWSCURRENT had been proved.",
                    "AWSCURRENTを検証したうえで、AWSPENDINGを外しました。",
                ),
                Effect::Refused(_) | Effect::Unsure => language.choose(
                    "AWSPENDING was to be taken off, and had moved.",
                    "AWSPENDINGを外そうとしましたが、すでに移動していました。",
                ),
            }
            .to_owned()
        });
        rungs.chain(unstaged).collect()
    }

    /// What is left for a person to do, a sentence each.
    pub fn to_do_lines(&self, language: Language) -> Vec<String> {
        let name = &self.arn;
        let mut lines = match &self.outcome {
            Outcome::Opens(_) | Outcome::Would(_) => Vec::new(),
            Outcome::Waits(Reason::Paused) => vec![language.choose(
                format!("`relatch resume {name}` ends the pause."),
                format!("`relatch resume {name}` で一時停止を解除できます。"),
            )],
            Outcome::Waits(Reason::ServerStopped | Reason::RotationInFlight) => Vec::new(),
            Outcome::Waits(_) => vec![
                language
                    .choose("Nothing yet: the next sweep tries again.", "今は不要です。次回の巡回で再試行します。")
                    .to_owned(),
            ],
            Outcome::Refuses(Reason::ScheduledForDeletion) => vec![language.choose(
                format!("If it is in use: `aws secretsmanager restore-secret --secret-id {name}`."),
                format!("使用中であれば、`aws secretsmanager restore-secret --secret-id {name}` で復元してください。"),
            )],
            Outcome::Refuses(Reason::Exhausted) => self.exhausted(language),
            Outcome::Refuses(Reason::CurrentUnusable(_)) => vec![language.choose(
                format!("`relatch rollback {name}` makes the version before it current again."),
                format!("`relatch rollback {name}` で以前のバージョンを再びAWSCURRENTにできます。"),
            )],
            Outcome::Refuses(Reason::PendingInTheWay) => vec![language.choose(
                format!("`relatch recover {name}` ends the rotation."),
                format!("`relatch recover {name}` でローテーションを終わらせることができます。"),
            )],
            Outcome::Refuses(_) | Outcome::Fails(_) => vec![language.choose(
                format!("`relatch doctor {name}` shows which version opens the database."),
                format!("`relatch doctor {name}` で、データベースに接続できるバージョンを確認してください。"),
            )],
        };
        if self.facts.label == Some(PendingLabel::Waiting(Some(Age::Waiting)))
            && self.facts.unstaged.is_none()
            && matches!(self.outcome, Outcome::Opens(_))
        {
            let kept = language.choose(
                "AWSPENDING is kept, so that Secrets Manager can try again; when it is stuck, the sweep takes it off.",
                "Secrets Managerが再試行できるよう、AWSPENDINGは残してあります。残ったままになれば、巡回が外します。",
            );
            lines.push(kept.to_owned());
        }
        lines
    }

    /// Every rung has failed: what could a person open it with?
    fn exhausted(&self, language: Language) -> Vec<String> {
        let name = &self.arn;
        let mut lines = vec![language.choose(
            format!("`relatch doctor {name}` shows what was tried, and why it did not help."),
            format!("`relatch doctor {name}` で、試した内容と効果がなかった理由を確認してください。"),
        )];
        match self.facts.role(Source::Admin) {
            Some(RoleVerdict::Unfit(problem)) => lines.push(language.choose(
                format!("The admin user does not help: {problem}."),
                format!("管理者ユーザーでは解決できません（{}）。", problem.japanese()),
            )),
            _ if self.facts.admin == Some(Held::NotAllowed) => lines.push(
                language
                    .choose(
                        "The deployment does not name the admin secret in `masterarn`, so it was not used. If it may act for this secret: deploy with `AdminSecretArn` (without the template: RELATCH_ADMIN_SECRETS), and run `relatch recover`.",
                        "`masterarn` の管理者シークレットはデプロイ設定で許可されていないため、使用していません。許可する場合は `AdminSecretArn`（テンプレートを使わない場合はRELATCH_ADMIN_SECRETS）を指定してデプロイし、`relatch recover` を実行してください。",
                    )
                    .to_owned(),
            ),
            _ if self.facts.admin == Some(Held::Nothing) => lines.push(
                language
                    .choose(
                        "The secret names no admin secret (`masterarn`) that could set the password.",
                        "パスワードを設定できる管理者シークレット（`masterarn`）が、シークレットに指定されていません。",
                    )
                    .to_owned(),
            ),
            _ => {}
        }
        match self.facts.master {
            Some(MasterVerdict::NotPinned) => lines.push(
                language
                    .choose(
                        "RDS could set this master user's password: tag the secret `relatch:resource-id` with the cluster's or instance's resource id and `relatch:user` with the user's name, and run `relatch recover`.",
                        "RDSからこのマスターユーザーのパスワードを設定できます。シークレットのタグ `relatch:resource-id` にクラスターまたはインスタンスのリソースIDを、`relatch:user` にユーザー名を設定し、`relatch recover` を実行してください。",
                    )
                    .to_owned(),
            ),
            Some(MasterVerdict::UnfitPassword) => lines.push(
                language
                    .choose(
                        "RDS does not take AWSCURRENT's password for a master user.",
                        "AWSCURRENTのパスワードは、RDSのマスターユーザーには使用できません。",
                    )
                    .to_owned(),
            ),
            Some(MasterVerdict::Resettable | MasterVerdict::NotMaster) | None => {}
        }
        lines.push(language.choose(
            format!("Set the role's password to AWSCURRENT's, as a user that may (`ALTER ROLE … PASSWORD …`), then `relatch recover {name}`."),
            format!("権限のあるユーザーでロールのパスワードをAWSCURRENTのものに設定し（`ALTER ROLE … PASSWORD …`）、`relatch recover {name}` を実行してください。"),
        ));
        lines
    }

    /// The whole, as a program reads it.
    pub fn json(&self) -> Value {
        let rungs: Vec<Value> = self
            .climbed()
            .map(|rung| {
                let climb = self.facts.climb(rung);
                json!({
                    "rung": rung.name(),
                    "effect": climb.effect.map(|effect| match effect {
                        Effect::Done => "done".to_owned(),
                        Effect::Refused(NOT_A_SQLSTATE) => "refused".to_owned(),
                        Effect::Refused(state) => format!("refused: {state}"),
                        Effect::Unsure => "unsure".to_owned(),
                    }),
                    "proof": climb.restored.map(login_word),
                })
            })
            .collect();
        json!({
            "version": 1,
            "secret": self.arn,
            "outcome": match self.outcome {
                Outcome::Opens(_) => "opens",
                Outcome::Waits(_) => "waits",
                Outcome::Refuses(_) => "refuses",
                Outcome::Would(_) => "rehearsed",
                Outcome::Fails(_) => "failed",
            },
            "reason": self.reason(),
            "sentence": self.sentence(),
            "impactFound": self.found().map(Impact::name),
            "impactLeft": self.left().map(Impact::name),
            "found": self.found_lines(Language::English),
            "rungs": rungs,
            "pendingTakenOff": self.facts.unstaged == Some(Effect::Done),
            "done": self.done_lines(Language::English),
            "toDo": self.to_do_lines(Language::English),
            "milliseconds": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// What an action would do, as a sentence without its end.
pub fn would(action: Action) -> String {
    match action {
        Action::SetPassword(rung, _) | Action::Promote(rung, _) => not_yet(rung),
        Action::CreateRole => {
            "AWSCURRENT's role, which is not there yet, would be created by the admin user".to_owned()
        }
        Action::ResetMaster => not_yet(Rung::ThroughRds),
        Action::Unstage => "AWSPENDING would be taken off; AWSCURRENT opens the database".to_owned(),
    }
}

/// A rung's sentence before it is climbed. The verb is the last word that it could be: "the version that was …" stays.
fn not_yet(rung: Rung) -> String {
    rung.sentence(Language::English)
        .rsplit_once(" was ")
        .map_or(String::new(), |(who, what)| format!("{who} would be {what}"))
}

/// What a login told, in one word.
pub const fn login_word(login: Login) -> &'static str {
    match login {
        Login::Accepted => "accepted",
        Login::Unfit(_) => "unfit",
        Login::Refused(_) => "refused",
        Login::Rejected => "rejected",
        Login::Unknown(_) => "unknown",
    }
}

fn login_line(who: &str, login: Login, language: Language) -> String {
    capital(&match login {
        Login::Accepted => {
            language.choose(format!("{who} opens the database."), format!("{who}でデータベースに接続できます。"))
        }
        Login::Unfit(state) => language.choose(
            format!("{who} opens the database, and the test query fails with SQLSTATE {state}."),
            format!("{who}でデータベースに接続できますが、テストクエリがSQLSTATE {state}で失敗します。"),
        ),
        Login::Refused(refusal) => language.choose(
            format!("{who} has the right password, and the session was refused: {refusal}."),
            format!("{who}のパスワードは正しいものの、セッションが拒否されました（{}）。", refusal.japanese()),
        ),
        Login::Rejected => language
            .choose(format!("{who} is rejected by the database."), format!("データベースが{who}を拒否しています。")),
        Login::Unknown(silence) => language.choose(
            format!("nothing was learned of {who}: {silence}."),
            format!("{who}の正否を確認できません（{}）。", silence.japanese()),
        ),
    })
}

fn unusable_line(who: &str, problem: Problem, language: Language) -> String {
    language.choose(
        format!("{who} cannot be used: {problem}."),
        format!("{who}を使用できません（{}）。", problem.japanese()),
    )
}

fn done_line(rung: Rung, climb: Climb, language: Language) -> String {
    let what = rung.sentence(language);
    match climb.effect {
        Some(Effect::Refused(NOT_A_SQLSTATE)) => {
            return language.choose(
                format!("Tried: {what} – was refused; the log says why."),
                format!("{what}を試みましたが、拒否されました（理由はログにあります）。"),
            );
        }
        Some(Effect::Refused(state)) => {
            return language.choose(
                format!("Tried: {what} – was refused ({state})."),
                format!("{what}を試みましたが、拒否されました（{state}）。"),
            );
        }
        Some(Effect::Done | Effect::Unsure) | None => {}
    }
    let what = capital(what);
    match climb.restored {
        Some(Login::Accepted | Login::Unfit(_)) => language
            .choose(format!("{what}; a login has proved it."), format!("{what}を行い、ログインで検証しました。")),
        Some(Login::Refused(refusal)) => language.choose(
            format!("{what}; the password is right, and the session was refused: {refusal}."),
            format!(
                "{what}を行いました。パスワードは正しいものの、セッションが拒否されました（{}）。",
                refusal.japanese()
            ),
        ),
        Some(Login::Rejected) => language.choose(
            format!("{what}; the login that should prove it was rejected."),
            format!("{what}を行いましたが、検証のログインが拒否されました。"),
        ),
        Some(Login::Unknown(silence)) => language.choose(
            format!("{what}; it could not be proved: {silence}."),
            format!("{what}を行いましたが、検証できませんでした（{}）。", silence.japanese()),
        ),
        None => {
            language.choose(format!("{what}; it was not proved."), format!("{what}を行いましたが、検証していません。"))
        }
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{ports::Silence, rollback::facts::Climb};

    /// What is said of repairs, one of each kind.
    #[test]
    fn what_is_said() {
        let screens = examples().into_iter().map(|(name, recovery)| {
            let impact = |impact: Option<Impact>| impact.map_or("-", Impact::name);
            let lines = |title: &str, lines: Vec<String>| {
                lines.iter().map(|line| format!("  {title}: {line}\n")).collect::<String>()
            };
            format!(
                "{name}: {} ({} -> {})\n  {}\n{}{}{}",
                recovery.reason(),
                impact(recovery.found()),
                impact(recovery.left()),
                recovery.sentence(),
                lines("found", recovery.found_lines(Language::English)),
                lines("done", recovery.done_lines(Language::English)),
                lines("to do", recovery.to_do_lines(Language::English)),
            )
        });
        insta::assert_snapshot!(screens.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn what_a_program_reads() {
        let (_, recovery) = examples().swap_remove(1);
        insta::assert_snapshot!(format!("{:#}", recovery.json()));
    }

    /// One repair of each kind.
    pub(crate) fn examples() -> Vec<(&'static str, Recovery)> {
        let silence = Silence::Unreachable;
        let waiting = |age| Some(PendingLabel::Waiting(Some(age)));
        vec![
            ("sound", recovery(Outcome::Opens(Reason::Sound), Login::Accepted, |_| {})),
            (
                "healed through AWSPENDING",
                recovery(Outcome::Opens(Reason::Recovered), Login::Rejected, |facts| {
                    facts.label = waiting(Age::Waiting);
                    (facts.pending, facts.logins.pending) = (Some(Found::SameUser), Some(Login::Accepted));
                    *facts.climb_mut(Rung::ThroughPending) =
                        Climb { effect: Some(Effect::Done), restored: Some(Login::Accepted) };
                }),
            ),
            (
                "stuck",
                recovery(Outcome::Opens(Reason::Sound), Login::Accepted, |facts| {
                    (facts.label, facts.unstaged) = (waiting(Age::Stuck), Some(Effect::Done));
                }),
            ),
            ("silent", recovery(Outcome::Waits(Reason::DatabaseSilent(silence)), Login::Unknown(silence), |_| {})),
            (
                "paused",
                recovery(Outcome::Waits(Reason::Paused), Login::Accepted, |facts| {
                    (facts.current, facts.logins.current) = (None, None);
                }),
            ),
            (
                "unproved",
                recovery(Outcome::Waits(Reason::Unproved(silence)), Login::Rejected, |facts| {
                    *facts.climb_mut(Rung::ThroughRds) =
                        Climb { effect: Some(Effect::Unsure), restored: Some(Login::Unknown(silence)) };
                }),
            ),
            (
                "stranded, and refused",
                recovery(Outcome::Waits(Reason::LabelsMoved), Login::Rejected, |facts| {
                    (facts.kept.tried, facts.kept.found) = (1, Some(Found::SameUser));
                    facts.logins.kept = Some(Login::Accepted);
                    facts.climb_mut(Rung::ThroughKept).effect = Some(Effect::Refused("42501".into()));
                }),
            ),
            (
                "locked out",
                recovery(Outcome::Refuses(Reason::Exhausted), Login::Rejected, |facts| {
                    (facts.admin, facts.master) = (Some(Held::Nothing), Some(MasterVerdict::NotPinned));
                }),
            ),
            (
                "broken",
                recovery(
                    Outcome::Refuses(Reason::CurrentUnusable(crate::secret::Problem::NotJson)),
                    Login::Accepted,
                    |facts| {
                        facts.logins.current = None;
                        facts.current = Some(Held::Unusable(crate::secret::Problem::NotJson));
                    },
                ),
            ),
            (
                "rehearsed",
                recovery(
                    Outcome::Would(Action::SetPassword(Rung::ThroughPending, Source::Pending)),
                    Login::Rejected,
                    |facts| facts.logins.pending = Some(Login::Accepted),
                ),
            ),
            ("out of time", recovery(Outcome::Fails(RepairError::OutOfTime), Login::Rejected, |_| {})),
        ]
    }

    fn recovery(outcome: Outcome, current: Login, learn: impl FnOnce(&mut Facts)) -> Recovery {
        let mut facts =
            Facts { label: Some(PendingLabel::Nowhere), current: Some(Held::Credentials), ..Facts::default() };
        facts.logins.current = Some(current);
        if current == Login::Rejected {
            (facts.previous, facts.logins.previous) = (Some(Found::SameUser), Some(Login::Rejected));
            facts.kept.count = Some(0);
        }
        learn(&mut facts);
        Recovery {
            arn: "app".to_owned(),
            intent: Intent::Heal,
            outcome,
            facts,
            pending: None,
            description: None,
            controls: None,
            failure: None,
            took: Duration::from_millis(250),
        }
    }
}
