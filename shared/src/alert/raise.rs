//! How alerts leave: once for each change, whoever notices it, and however often.
//!
//! How it is is noted first, then people are told, then that they were told. What was noted and not told is told by
//! whoever comes next: somebody who finds the same, or the flush.

use super::{
    Alert, Condition, Status,
    policy::{self, Decision, Entry, Group, Key, Reason, Settings},
};
use crate::{
    config::Environment,
    language::Language,
    ports::{CallError, CallErrorKind, Register, Topic},
    telemetry::Metrics,
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use tokio::time::sleep;
use tracing::{error, info};

/// Where alerts leave. What [`policy`] says is told, and no more.
#[derive(Debug, Clone)]
pub struct Alerts<T, P> {
    /// What is firing already, and what people know of it.
    pub table: T,
    /// Who is told.
    pub topic: P,
    /// How long people are kept waiting.
    pub policy: Settings,
    /// In what words a group is spoken of.
    pub language: Language,
    /// Where it is counted.
    pub metrics: Metrics,
}

/// Longer than it takes to tell people. After it, whoever claimed a group and has not said what became of it is taken for
/// dead, and the next one tells; were it alive, people would hear it twice.
const CLAIM: SignedDuration = SignedDuration::from_secs(60);

/// How long to wait before each look: others may be at it, and have told it meanwhile.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(900)];

/// Why people were not told now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Untold {
    /// It is not due.
    #[error("Held until {0}")]
    Held(Timestamp),
    /// There is nothing to tell.
    #[error("Nothing to tell: {}", .0.name())]
    Quiet(Reason),
    /// Whoever is telling people of the group now tells this too, or leaves it to the flush.
    #[error("Somebody else is telling people")]
    Elsewhere,
}

impl Untold {
    const fn name(self) -> &'static str {
        match self {
            Untold::Held(_) => "held",
            Untold::Quiet(reason) => reason.name(),
            Untold::Elsewhere => "elsewhere",
        }
    }
}

/// Why something was not told.
enum Problem {
    Table(CallError),
    Topic(CallError),
}

impl<T: Register, P: Topic> Alerts<T, P> {
    /// Notes that a condition is firing, as it was seen at a time, and tells people if that is due. Tells whether it did.
    ///
    /// # Errors
    /// When it could not be published. That the table cannot be reached is no reason not to tell: better twice than never.
    pub async fn raise(&self, alert: &Alert, now: Timestamp) -> Result<bool, CallError> {
        Box::pin(self.raise_as(alert, now, |known| Entry::noted(known, alert, now))).await
    }

    /// The same of what was found of an incident. Nothing ends one, and nothing found of it for as long as the gap makes
    /// the next thing another one.
    ///
    /// # Errors
    /// As [`Alerts::raise`].
    pub async fn join(&self, alert: &Alert, now: Timestamp, gap: SignedDuration) -> Result<bool, CallError> {
        Box::pin(self.raise_as(alert, now, |known| Entry::joined(known, alert, now, gap))).await
    }

    async fn raise_as(
        &self,
        alert: &Alert,
        now: Timestamp,
        noted: impl Fn(Option<&Entry>) -> Option<Entry>,
    ) -> Result<bool, CallError> {
        let problem = match self.table.remembers() {
            true => match self.note(alert, now, noted).await {
                Ok(told) => return Ok(told),
                Err(Problem::Topic(problem)) => return Err(problem),
                Err(Problem::Table(problem)) => Some(problem),
            },
            false => None,
        };
        if let Some(problem) = problem {
            error!(error = %problem, alert.key = alert.key(), "The table cannot be reached; telling people anyway");
        }
        let entry = Entry::noted(None, alert, now);
        let alone = Group::gather(Key::of(alert), None, entry.as_slice(), &[], now);
        match alone.message(self.language) {
            Some(message) => self.publish(&message, Reason::First).await.map(|()| true),
            None => Ok(false),
        }
    }

    /// Notes that a condition has ended, as it was seen at a time, and tells people if they know that it was firing and it
    /// is due. Tells whether it did.
    ///
    /// # Errors
    /// When it could not be published, and when the table cannot be reached: it tells whether people know.
    pub async fn resolve(&self, alert: &Alert, now: Timestamp) -> Result<bool, CallError> {
        let ended = Alert { status: Status::Resolved, ..alert.clone() };
        let noted = self.note(&ended, now, |known| Entry::noted(known, &ended, now)).await;
        noted.map_err(|(Problem::Table(problem) | Problem::Topic(problem))| problem)
    }

    /// The conditions of a subject that are firing, for all that people know.
    ///
    /// # Errors
    /// When the table cannot be reached.
    pub async fn firing(&self, environment: Environment, subject: &str) -> Result<Vec<Condition>, CallError> {
        let entries = self.table.entries(environment, Some(subject)).await?;
        Ok(entries.iter().filter(|entry| !entry.is_over()).map(|entry| entry.alert.condition).collect())
    }

    /// All that is firing in an environment, for all that people know.
    ///
    /// # Errors
    /// When the table cannot be reached.
    pub async fn all_firing(&self, environment: Environment) -> Result<Vec<Alert>, CallError> {
        let entries = self.table.entries(environment, None).await?;
        Ok(entries.into_iter().filter(|entry| !entry.is_over()).map(|entry| entry.alert).collect())
    }

    /// Tells whatever is due in an environment: what was held, what is to be repeated, and what somebody was about to tell
    /// and did not. Returns what was told.
    ///
    /// # Errors
    /// When the table cannot be reached; or something could not be published, after all else has been.
    pub async fn flush(&self, environment: Environment, now: Timestamp) -> Result<Vec<Alert>, CallError> {
        let (mut told, mut problem) = (Vec::new(), None);
        let entries = self.table.entries(environment, None).await.map(|entries| entries.into_iter());
        // Of an incident that people know nothing is repeated; there may be many.
        let is_open = |entry: &Entry| entry.is_news() || entry.alert.condition.lasts() && !entry.is_over();
        let open: Vec<Alert> = entries?.filter(is_open).map(|entry| entry.alert).collect();
        for key in Key::of_each(&open) {
            match self.settle(&key, now).await {
                Ok(Ok(message)) => told.push(message),
                Ok(Err(_)) => {}
                Err(Problem::Table(new) | Problem::Topic(new)) => {
                    error!(error = %new, alert.group = key.name(), "A group could not be told");
                    problem.get_or_insert(new);
                }
            }
        }
        problem.map_or(Ok(told), Err)
    }

    async fn note(
        &self,
        alert: &Alert,
        now: Timestamp,
        noted: impl Fn(Option<&Entry>) -> Option<Entry>,
    ) -> Result<bool, Problem> {
        for pause in PAUSES {
            sleep(pause).await;
            let entries = self.table.entries(alert.environment, Some(&alert.subject)).await.map_err(Problem::Table)?;
            let known = entries.into_iter().find(|entry| entry.alert.condition == alert.condition);
            let noted = noted(known.as_ref());
            if let Some(noted) = &noted
                && !self.table.keep(noted).await.map_err(Problem::Table)?
            {
                continue;
            }
            let Some(entry) = noted.or(known) else { return Ok(false) };
            return self.tell(&entry, now).await;
        }
        let message = "others keep writing what is known of the condition".to_owned();
        Err(Problem::Table(CallError { operation: "relatch:Note", kind: CallErrorKind::Refused, message }))
    }

    async fn tell(&self, entry: &Entry, now: Timestamp) -> Result<bool, Problem> {
        let key = Key::of(&entry.alert);
        let outcome = match (entry.is_news(), entry.rests_until(now, &self.policy)) {
            (false, _) => Err(Untold::Quiet(Reason::NothingNew)),
            (true, Some(until)) => Err(Untold::Held(until)),
            (true, None) => self.settle(&key, now).await?,
        };
        if let Err(why) = &outcome {
            info!(alert.group = key.name(), alert.subject = entry.alert.subject, alert.outcome = why.name(), "{why}");
            self.metrics.alert(key.condition.name(), why.name());
        }
        Ok(outcome.is_ok())
    }

    /// Tells people of a group, if that is due, and notes what they know. Returns what they were told, or why nothing.
    ///
    /// The order is what makes it exact: the group's turn is read first, and what people know after it. Who was telling
    /// before that turn has noted it by then; and if anybody has begun or ended since, the claim fails.
    async fn settle(&self, key: &Key, now: Timestamp) -> Result<Result<Alert, Untold>, Problem> {
        for pause in PAUSES {
            sleep(pause).await;
            let telling = self.table.telling(key).await.map_err(Problem::Table)?;
            let entries = self.table.entries(key.environment, key.subject.as_deref()).await;
            let silences = self.table.silences().await.map_err(Problem::Table)?;
            let group = Group::gather(key.clone(), telling.told_at, &entries.map_err(Problem::Table)?, &silences, now);
            let reason = match policy::needs_notify(&group, now, &self.policy) {
                Decision::Notify(reason) => reason,
                Decision::Hold(until) => return Ok(Err(Untold::Held(until))),
                Decision::Quiet(reason) => return Ok(Err(Untold::Quiet(reason))),
            };
            let Some(message) = group.message(self.language) else { return Ok(Err(Untold::Quiet(reason))) };
            let until = now.saturating_add(CLAIM).unwrap_or(Timestamp::MAX);
            let Some(claim) = self.table.claim(key, &telling, now, until).await.map_err(Problem::Table)? else {
                continue;
            };
            if let Err(problem) = self.publish(&message, reason).await {
                // Where this fails as well, the claim is over by itself.
                let _ = self.table.give_up(key, &claim).await;
                return Err(Problem::Topic(problem));
            }
            if let Err(problem) = self.table.told(key, &claim, now, &group.to_tell()).await {
                error!(error = %problem, alert.key = message.key(), "It could not be noted that people know; they will hear it twice");
            }
            return Ok(Ok(message));
        }
        Ok(Err(Untold::Elsewhere))
    }

    async fn publish(&self, alert: &Alert, reason: Reason) -> Result<(), CallError> {
        info!(
            alert.key = alert.key(),
            alert.outcome = reason.name(),
            alert.status = alert.status.name(),
            alert.severity = alert.severity().name(),
            "Telling people: {}",
            alert.headline()
        );
        let published = self.topic.publish(alert).await;
        self.metrics.alert(alert.condition.name(), if published.is_ok() { reason.name() } else { "unpublished" });
        published
    }
}
