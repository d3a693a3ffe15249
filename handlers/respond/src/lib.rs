//! Failed rotations, alarms, a schedule → look, repair, tell.
//!
//! Only wiring: what a repair does is decided in [`relatch::rollback`], what is said of it in [`relatch::alert`].

mod sweep;

use jiff::{SignedDuration, Timestamp};
use lambda_runtime::{Diagnostic, Error, LambdaEvent};
use relatch::{
    adapters::{
        self, alarms::CloudWatchAlarms, heartbeat::DeadMansCheck, postgres::Postgres, rds::Rds,
        secrets_manager::SecretsManager, table::DynamoTable, topic::SnsTopic,
    },
    alert::{
        Alert, Alerts,
        findings::{self, Cause},
        policy,
    },
    config::Respond,
    containment::{self, Answer, Containing, Idle, RequestId, STALE, WakeUp, report},
    invocation::deadline,
    language::Language,
    ports::{
        AlarmState, Alarms, CallError, CallErrorKind, Containments, Database, Description, Gate, Heartbeat, Masters,
        Ports, Register, Table, Topic,
    },
    rollback::{Intent, Order, Recovery, Repair, facts::FailureClass, recovery::Outcome},
    telemetry::{self, Metrics},
};
use relatch_events::{
    secret::SecretId,
    trigger::{self, ServiceEvent, ServiceEventKind, Trigger},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;
use tracing::{error, info, warn};

/// Kept back of the invocation's time, for closing sessions and saying what happened.
const RESERVE: Duration = Duration::from_millis(1500);

/// The handler, over an outside that tests may replace.
#[derive(Debug, Clone)]
pub struct App<S, D, R, T, P, A, H> {
    /// How secrets are repaired.
    pub repair: Repair<S, D, R, T>,
    /// Who is told.
    pub alerts: Alerts<T, P>,
    /// CloudWatch's alarms.
    pub alarms: A,
    /// The outside dead-man's check.
    pub heartbeat: H,
    /// Where it is counted.
    pub metrics: Metrics,
    /// ARN of the function that rotates; secrets that name another are not touched.
    pub rotate_function: Option<String>,
    /// What may be done about an incident.
    pub containment: containment::Settings,
}

impl
    App<SecretsManager, Postgres, Rds, Option<DynamoTable>, Option<SnsTopic>, CloudWatchAlarms, Option<DeadMansCheck>>
{
    /// The handler over AWS, by the environment.
    ///
    /// # Errors
    /// When a setting is wrong; the error names every one.
    pub async fn from_env() -> Result<Self, Error> {
        let Respond { common: config, containment } = Respond::from_env()?;
        let (people, patience) = (config.people, config.repair.patience);
        let sdk = adapters::sdk_config(patience).await;
        let table = people.table.map(|name| DynamoTable::new(&sdk, name));
        let topic = people.topic.map(|arn| SnsTopic::new(&sdk, arn).read_by(config.audience.clone()));
        let ports = Ports {
            secrets: SecretsManager::new(&sdk, config.secrets_endpoint.as_deref()),
            database: Postgres::new(config.database)?,
            servers: Rds::new(&sdk, config.rds),
            table: table.clone(),
        };
        Ok(Self {
            repair: Repair { ports, settings: config.repair },
            alerts: Alerts {
                table,
                topic,
                policy: people.policy,
                language: config.audience.language,
                metrics: config.metrics.clone(),
            },
            alarms: CloudWatchAlarms::new(&sdk),
            heartbeat: people.heartbeat.map(|url| DeadMansCheck::new(url, patience)),
            metrics: config.metrics,
            rotate_function: people.rotate_function,
            containment,
        })
    }
}

impl<S: Gate, D: Database, R: Masters, T: Table + Register + Containments, P: Topic, A: Alarms, H: Heartbeat>
    App<S, D, R, T, P, A, H>
{
    /// Does what the event asks for, within the invocation's time, and answers with what it found and did.
    ///
    /// # Errors
    /// When it could not look, or could not tell people; EventBridge then tries again. That a secret could not be
    /// repaired is an answer.
    pub async fn handle(&self, invocation: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
        let trigger = Trigger::parse(&invocation.payload).map_err(|problem| {
            error!(error.kind = "Respond.BadEvent", "The event cannot be used: {problem}");
            diagnostic("Respond.BadEvent", format!("the event cannot be used: {problem}"))
        })?;
        let deadline = deadline(invocation.context.deadline, RESERVE);
        let answer = Box::pin(async {
            match trigger {
                Trigger::Rotation(event) => self.after_rotation(&event, deadline).await,
                Trigger::Alarm(alarm) => self.after_alarm(&alarm, deadline).await,
                Trigger::Sweep => self.sweep(deadline).await,
                Trigger::Flush => self.flush().await,
                Trigger::Containment(word) => self.contain(&word, deadline).await,
            }
        });
        answer.await.map_err(|problem| {
            let text = telemetry::chain(&problem);
            error!(error.kind = "Respond.Interrupted", "Interrupted: {text}");
            diagnostic("Respond.Interrupted", text)
        })
    }

    async fn after_rotation(&self, event: &ServiceEvent, deadline: Instant) -> Result<Value, CallError> {
        let cause = match event.kind {
            ServiceEventKind::Failed => Cause::Failed,
            ServiceEventKind::Abandoned => Cause::Abandoned,
            // What it may have ended is told.
            ServiceEventKind::Succeeded => Cause::Sweep,
            ServiceEventKind::Started => return Ok(json!({ "secret": event.secret, "outcome": "nothing-to-do" })),
        };
        let description = self.repair.ports.secrets.describe(&event.secret).await?;
        if !self.is_ours(&description) {
            info!(secret.id = %event.secret, "Another function rotates this secret; it is not touched");
            return Ok(json!({ "secret": event.secret, "outcome": "not-ours" }));
        }
        let failed = (cause == Cause::Failed).then(|| event.token.clone());
        let order = Order { secret: event.secret.clone(), intent: Intent::Heal, failed, rehearse: false };
        let (recovery, told) = self.tend(&order, &cause, deadline).await?;
        if let Outcome::Fails(problem) = recovery.outcome {
            return Err(interruption(&problem));
        }
        let mut answer = recovery.json();
        answer["told"] = json!(told);
        Ok(answer)
    }

    /// An alarm says that something is wrong, and not of which secret: so all are looked at.
    async fn after_alarm(&self, alarm: &trigger::Alarm, deadline: Instant) -> Result<Value, CallError> {
        let alert =
            findings::of_alarm(&alarm.name, alarm.reason.as_deref(), self.metrics.environment, self.alerts.language);
        let answer = |outcome: &str, told: bool| json!({ "alarm": alarm.name, "outcome": outcome, "told": told });
        // Whoever may invoke this function can say anything of an alarm: CloudWatch knows how it is.
        match self.alarms.state(&alarm.name).await? {
            None => {
                info!(alarm.name = alarm.name, "There is no such alarm; nothing is done");
                Ok(answer("unknown", false))
            }
            // The event is late, or came twice.
            Some(AlarmState::Quiet) => {
                let outcome = if alarm.state == trigger::AlarmState::Ok { "resolved" } else { "over-already" };
                Ok(answer(outcome, self.alerts.resolve(&alert, Timestamp::now()).await?))
            }
            Some(AlarmState::Firing | AlarmState::Unclear) if alarm.state == trigger::AlarmState::Alarm => {
                let told = self.alerts.raise(&alert, Timestamp::now()).await?;
                let mut answer = answer("firing", told);
                answer["sweep"] = self.sweep(deadline).await?;
                Ok(answer)
            }
            Some(AlarmState::Firing | AlarmState::Unclear) => {
                info!(alarm.name = alarm.name, "The alarm is not over, or CloudWatch has too few data to tell");
                Ok(answer("unclear", false))
            }
        }
    }

    /// Tells people what has been held back until now.
    async fn flush(&self) -> Result<Value, CallError> {
        let told = self.alerts.flush(self.metrics.environment, Timestamp::now()).await?;
        let line = |alert: &Alert| format!("{} {}", alert.status.name(), alert.condition.name());
        Ok(json!({ "told": told.iter().map(line).collect::<Vec<_>>() }))
    }

    /// Contains an incident, if the audit has written down that it asks for it, as far as the settings allow it.
    async fn contain(&self, word: &WakeUp, deadline: Instant) -> Result<Value, CallError> {
        if word.environment != self.metrics.environment.name() {
            warn!(
                containment.request = word.request.as_str(),
                "The request is of another environment; nothing is done"
            );
            return Ok(json!({ "request": word.request, "outcome": "not-ours" }));
        }
        self.answer(&word.request, deadline).await
    }

    async fn answer(&self, request: &RequestId, deadline: Instant) -> Result<Value, CallError> {
        let environment = self.metrics.environment;
        let (containing, now) = (self.containing(), Timestamp::now());
        let report = match containing.answer(environment, request, now, |known| self.is_ours(known), deadline).await? {
            Answer::Report(report) => report,
            Answer::Nothing(why) => {
                // What a person has released does not come back.
                if why == Idle::Released {
                    self.repair.ports.table.finish(environment, request).await?;
                }
                return Ok(json!({ "request": request, "outcome": why.name() }));
            }
        };
        // Nothing ends these, as nothing ends the incident behind them: so they are joined as it is.
        let gap = SignedDuration::from_millis(report.asked.incident_gap);
        for alert in report.alerts(environment, self.alerts.language) {
            self.alerts.join(&alert, Timestamp::now(), gap).await?;
        }
        if report.is_unfinished() {
            return Err(CallError {
                operation: "relatch:Contain",
                kind: CallErrorKind::NoAnswer,
                message: "not everything is contained yet".to_owned(),
            });
        }
        self.repair.ports.table.finish(environment, request).await?;
        Ok(report.json())
    }

    fn containing(&self) -> Containing<'_, S, T> {
        let Ports { secrets, table, .. } = &self.repair.ports;
        Containing { secrets, table, settings: &self.containment }
    }

    /// Contains what was asked for and is not done, and puts back denials that are gone. What has come of it, by its number.
    async fn keep_contained(&self, deadline: Instant) -> Result<Value, CallError> {
        if self.containment.measures.is_empty() {
            return Ok(json!({}));
        }
        let environment = self.metrics.environment;
        let since = Timestamp::now().saturating_sub(STALE).unwrap_or_default();
        let requests = self.repair.ports.table.unfinished(environment, since).await?;
        let (mut answered, mut unfinished) = (0, 0);
        for request in requests {
            match self.answer(&request, deadline).await {
                Ok(_) => answered += 1,
                Err(problem) => {
                    warn!(error = %problem, containment.request = request.as_str(), "The next sweep looks after this request");
                    unfinished += 1;
                }
            }
        }
        let kept = self.containing().restore(environment, |known| self.is_ours(known), deadline).await?;
        for one in &kept.lost {
            let alert = report::of_lost(one, environment, self.alerts.language);
            let gap = SignedDuration::from_millis(one.denial.incident_gap);
            self.alerts.join(&alert, Timestamp::now(), gap).await?;
        }
        Ok(json!({
            "answered": answered,
            "unfinished": unfinished,
            "denialsGone": kept.lost.len(),
            "couldNotLook": kept.unseen,
        }))
    }

    /// Whether a secret names the rotation function as its own, or a version or an alias of it.
    fn is_ours(&self, known: &Description) -> bool {
        match (&self.rotate_function, &known.rotation_function) {
            (None, function) => function.is_some(),
            (Some(ours), Some(function)) => {
                function.strip_prefix(ours.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
            }
            (Some(_), None) => false,
        }
    }

    /// Repairs one secret, and tells what is new: what fires now, and what of it has ended.
    async fn tend(
        &self,
        order: &Order,
        cause: &Cause,
        deadline: Instant,
    ) -> Result<(Recovery, Vec<String>), CallError> {
        let mut recovery = self.repair.run(order, deadline).await;
        self.metrics.repair(&recovery);
        let told = if matches!(recovery.outcome, Outcome::Fails(_)) {
            Vec::new()
        } else {
            self.stop_if_refused(&mut recovery).await?;
            self.tell(&recovery, &current_cause(&recovery, order, cause)).await?
        };
        Ok((recovery, told))
    }

    /// A change that the database itself refuses is refused again, until somebody has mended the cause.
    async fn stop_if_refused(&self, recovery: &mut Recovery) -> Result<(), CallError> {
        let (Some(FailureClass::Update), Some(failure)) = (recovery.facts.failure, &recovery.failure) else {
            return Ok(());
        };
        let resumed = recovery.controls.as_ref().and_then(|controls| controls.resumed);
        if resumed.is_some_and(|resumed| failure.at <= resumed) {
            return Ok(());
        }
        let why = findings::refused_change(failure, Language::English);
        if recovery.controls.as_ref().is_some_and(|controls| controls.stopped.is_none()) {
            self.repair.ports.table.stop(&recovery.arn, &why).await?;
        }
        if let Some(controls) = &mut recovery.controls {
            controls.stopped.get_or_insert(why);
        }
        Ok(())
    }

    async fn tell(&self, recovery: &Recovery, cause: &Cause) -> Result<Vec<String>, CallError> {
        let environment = self.metrics.environment;
        let now = Timestamp::now();
        let mut alerts = findings::alerts(recovery, cause, environment, self.alerts.language, now);
        // Those that keep others from being told come first.
        alerts.sort_by_key(|alert| !policy::inhibits(alert.condition));
        let mut told = Vec::new();
        for alert in &alerts {
            if self.alerts.raise(alert, now).await? {
                told.push(format!("firing {}", alert.condition.name()));
            }
        }
        // What is not known not to be so has not ended.
        if !matches!(recovery.outcome, Outcome::Opens(_)) {
            return Ok(told);
        }
        for condition in self.alerts.firing(environment, &recovery.arn).await? {
            if alerts.iter().all(|alert| alert.condition != condition) {
                let resolved = findings::ended(condition, recovery, environment, self.alerts.language);
                if self.alerts.resolve(&resolved, now).await? {
                    told.push(format!("resolved {}", condition.name()));
                }
            }
        }
        Ok(told)
    }
}

/// An event may come late, or twice. A rotation that is over, with nothing left to repair, is no news.
fn current_cause(recovery: &Recovery, order: &Order, cause: &Cause) -> Cause {
    let waiting = recovery.facts.label.is_some_and(|label| !label.is_idle());
    let over = match &order.failed {
        Some(Some(token)) => recovery.pending.as_ref() != Some(token) || !waiting,
        Some(None) => !waiting,
        None => false,
    };
    if over && !recovery.changed() && matches!(recovery.outcome, Outcome::Opens(_)) {
        info!(secret.id = recovery.arn, "The rotation that failed is over, and AWSCURRENT opens the database");
        return Cause::Sweep;
    }
    cause.clone()
}

/// A repair that could not look, as the call that kept it from looking.
fn interruption(problem: &relatch::rollback::RepairError) -> CallError {
    use relatch::rollback::RepairError;
    match problem {
        RepairError::Interrupted(CallError { operation, kind, message }) => {
            CallError { operation, kind: *kind, message: message.clone() }
        }
        RepairError::OutOfTime | RepairError::Fault(_) => {
            CallError { operation: "relatch:Repair", kind: CallErrorKind::NoAnswer, message: problem.to_string() }
        }
    }
}

fn diagnostic(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message }
}

/// The subject of what is said of the sweep itself.
fn sweep_subject(environment: relatch::config::Environment) -> String {
    format!("sweep of {}", environment.name())
}

/// The secret of an entry of a list, as an order to look after it.
fn order(secret: SecretId) -> Order {
    Order { secret, intent: Intent::Heal, failed: None, rehearse: false }
}
