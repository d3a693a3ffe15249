//! What is said of a repair: one report, which the alert, the log, the metric and the screen share.

use super::{
    Intent, Order, RepairError,
    carry_out::NOT_A_SQLSTATE,
    facts::{Age, Facts, Found, MasterVerdict, PendingLabel, Rung, Source},
    impact::{self, Impact},
    observe::Visit,
    plan::Action,
    reason::Reason,
};
use crate::{
    ports::{Controls, Database, Description, Failure, Label, Login},
    rotation::facts::{Effect, Held, RoleVerdict},
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
    pub fn found_lines(&self) -> Vec<String> {
        let logins = [
            ("AWSCURRENT", self.facts.logins.current),
            ("AWSPENDING", self.facts.logins.pending),
            ("AWSPREVIOUS", self.facts.logins.previous),
            ("a version without a label", self.facts.logins.kept),
            ("the admin secret", self.facts.logins.admin),
        ];
        let logins = logins.into_iter().filter_map(|(who, login)| Some(login_line(who, login?)));
        let unusable = [("AWSPENDING", self.facts.pending), ("AWSPREVIOUS", self.facts.previous)];
        let unusable = unusable.into_iter().filter_map(|(who, found)| match found? {
            Found::Unusable(problem) => Some(format!("{who} cannot be used: {problem}.")),
            Found::Elsewhere(field) => Some(format!("{who} differs from AWSCURRENT in `{field}`, so it was not used.")),
            Found::Nothing | Found::SameUser | Found::Alternate => None,
        });
        let current = match self.facts.current {
            Some(Held::Unusable(problem)) => Some(format!("AWSCURRENT cannot be used: {problem}.")),
            Some(Held::Nothing | Held::Elsewhere(_)) => Some("No version holds AWSCURRENT.".to_owned()),
            Some(Held::Credentials | Held::ThisToken) | None => None,
        };
        let pending = match self.facts.label {
            Some(PendingLabel::Waiting(Some(Age::Stuck))) => {
                Some("AWSPENDING has been waiting for too long.".to_owned())
            }
            Some(PendingLabel::Waiting(_)) => Some("AWSPENDING is on a version that is not current.".to_owned()),
            Some(PendingLabel::Nowhere | PendingLabel::OnCurrent) | None => None,
        };
        let failure = self.failure.as_ref().map(|failure| {
            let state = failure.sqlstate.as_ref().map_or(String::new(), |state| format!(", SQLSTATE {state}"));
            format!("The rotation failed in {}: {}{state}.", failure.step, failure.reason)
        });
        failure.into_iter().chain(current).chain(logins).chain(unusable).chain(pending).collect()
    }

    /// What was done, a sentence each; empty if nothing was changed.
    pub fn done_lines(&self) -> Vec<String> {
        let rungs = self.climbed().map(|rung| {
            let climb = self.facts.climb(rung);
            let proof = match (climb.effect, climb.restored) {
                (Some(Effect::Refused(NOT_A_SQLSTATE)), _) => "was refused; the log says why".to_owned(),
                (Some(Effect::Refused(state)), _) => format!("was refused ({state})"),
                (_, Some(Login::Accepted | Login::Unfit(_))) => "a login has proved it".to_owned(),
                (_, Some(Login::Refused(refusal))) => {
                    format!("the password is right, and the session was refused: {refusal}")
                }
                (_, Some(Login::Rejected)) => "the login that should prove it was rejected".to_owned(),
                (_, Some(Login::Unknown(silence))) => format!("it could not be proved: {silence}"),
                (_, None) => "it was not proved".to_owned(),
            };
            match climb.effect {
                Some(Effect::Refused(_)) => format!("Tried: {} – {proof}.", rung.sentence()),
                _ => format!("{}; {proof}.", capital(rung.sentence())),
            }
        });
        let unstaged = match self.facts.unstaged {
            Some(Effect::Done) => Some("AWSPENDING was taken off, after AWSCURRENT had been proved.".to_owned()),
            Some(Effect::Refused(_) | Effect::Unsure) => {
                Some("AWSPENDING was to be taken off, and had moved.".to_owned())
            }
            None => None,
        };
        rungs.chain(unstaged).collect()
    }

    /// What is left for a person to do, a sentence each.
    pub fn to_do_lines(&self) -> Vec<String> {
        let name = &self.arn;
        let doctor = format!("`relatch doctor {name}` shows which version opens the database.");
        let mut lines = match &self.outcome {
            Outcome::Opens(_) => Vec::new(),
            Outcome::Waits(Reason::Paused) => vec![format!("`relatch resume {name}` ends the pause.")],
            Outcome::Waits(Reason::ServerStopped | Reason::RotationInFlight) => Vec::new(),
            Outcome::Waits(_) => vec!["Nothing yet: the next sweep tries again.".to_owned()],
            Outcome::Refuses(Reason::ScheduledForDeletion) => {
                vec![format!("If it is in use: `aws secretsmanager restore-secret --secret-id {name}`.")]
            }
            Outcome::Refuses(Reason::Exhausted) => self.exhausted(),
            Outcome::Refuses(Reason::CurrentUnusable(_)) => {
                vec![format!("`relatch rollback {name}` makes the version before it current again.")]
            }
            Outcome::Refuses(Reason::PendingInTheWay) => vec![format!("`relatch recover {name}` ends the rotation.")],
            Outcome::Refuses(_) | Outcome::Fails(_) => vec![doctor],
            Outcome::Would(_) => Vec::new(),
        };
        if self.facts.label == Some(PendingLabel::Waiting(Some(Age::Waiting)))
            && self.facts.unstaged.is_none()
            && matches!(self.outcome, Outcome::Opens(_))
        {
            lines.push(
                "AWSPENDING is kept, so that Secrets Manager can try again; when it is stuck, the sweep takes it off."
                    .to_owned(),
            );
        }
        lines
    }

    /// Every rung has failed: what could a person open it with?
    fn exhausted(&self) -> Vec<String> {
        let name = &self.arn;
        let mut lines = vec![format!("`relatch doctor {name}` shows what was tried, and why it did not help.")];
        match self.facts.role(Source::Admin) {
            Some(RoleVerdict::Unfit(problem)) => lines.push(format!("The admin user does not help: {problem}.")),
            _ if self.facts.admin == Some(Held::Nothing) => {
                lines.push("The secret names no admin secret (`masterarn`) that could set the password.".to_owned());
            }
            _ => {}
        }
        match self.facts.master {
            Some(MasterVerdict::NotPinned) => lines.push(
                "RDS could set this master user's password: tag the secret `relatch:resource-id` with the cluster's or instance's resource id, and run `relatch recover`.".to_owned(),
            ),
            Some(MasterVerdict::UnfitPassword) => {
                lines.push("RDS does not take AWSCURRENT's password for a master user.".to_owned());
            }
            Some(MasterVerdict::Resettable | MasterVerdict::NotMaster) | None => {}
        }
        lines.push(format!(
            "Set the role's password to AWSCURRENT's, as a user that may (`ALTER ROLE … PASSWORD …`), then `relatch recover {name}`."
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
            "found": self.found_lines(),
            "rungs": rungs,
            "pendingTakenOff": self.facts.unstaged == Some(Effect::Done),
            "done": self.done_lines(),
            "toDo": self.to_do_lines(),
            "milliseconds": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

/// What an action would do, as a sentence without its end.
pub fn would(action: Action) -> String {
    match action {
        Action::SetPassword(rung, _) | Action::Promote(rung, _) => not_yet(rung),
        Action::ResetMaster => not_yet(Rung::ThroughRds),
        Action::Unstage => "AWSPENDING would be taken off; AWSCURRENT opens the database".to_owned(),
    }
}

/// A rung's sentence before it is climbed. The verb is the last word that it could be: "the version that was …" stays.
fn not_yet(rung: Rung) -> String {
    rung.sentence().rsplit_once(" was ").map_or(String::new(), |(who, what)| format!("{who} would be {what}"))
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

fn login_line(who: &str, login: Login) -> String {
    capital(&match login {
        Login::Accepted => format!("{who} opens the database."),
        Login::Unfit(state) => format!("{who} opens the database, and the test query fails with SQLSTATE {state}."),
        Login::Refused(refusal) => format!("{who} has the right password, and the session was refused: {refusal}."),
        Login::Rejected => format!("{who} is rejected by the database."),
        Login::Unknown(silence) => format!("nothing was learned of {who}: {silence}."),
    })
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}
