//! Secrets Manager → one step of one rotation.
//!
//! Only wiring: what a step does is decided in [`relatch::rotation`].

use jiff::Timestamp;
use lambda_runtime::{Diagnostic, Error, LambdaEvent};
use relatch::{
    adapters::{
        self, postgres::Postgres, rds::Rds, secrets_manager::SecretsManager, table::DynamoTable, topic::SnsTopic,
    },
    alert::{Alerts, findings},
    config::Config,
    invocation::deadline,
    ports::{Database, Ports, Register, Secrets, Servers, Table, Topic},
    rotation::{Rotation, RotationError},
    telemetry,
};
use relatch_events::rotation::RotationEvent;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tracing::error;

/// Kept back of the invocation's time, for closing sessions and saying what happened.
const RESERVE: Duration = Duration::from_millis(500);

/// What telling people may take where the step has used all of its time.
const LAST_WORDS: Duration = Duration::from_millis(150);

/// The handler, over an outside that tests may replace.
#[derive(Debug, Clone)]
pub struct App<S, D, R, T, P> {
    rotation: Rotation<S, D, R, T>,
    alerts: Alerts<T, P>,
}

impl App<SecretsManager, Postgres, Rds, Option<DynamoTable>, Option<SnsTopic>> {
    /// The handler over AWS, by the environment.
    ///
    /// # Errors
    /// When a setting is wrong; the error names every one.
    pub async fn from_env() -> Result<Self, Error> {
        let config = Config::from_env()?;
        let sdk = adapters::sdk_config(config.rotation.patience).await?;
        let table = config.people.table.map(|name| DynamoTable::new(&sdk, name));
        let topic = config.people.topic.map(|arn| SnsTopic::new(&sdk, arn).read_by(config.audience.clone()));
        let ports = Ports {
            secrets: SecretsManager::new(&sdk, config.secrets_endpoint.as_deref()),
            database: Postgres::new(config.database)?,
            servers: Rds::new(&sdk, config.rds),
            table: table.clone(),
        };
        let (policy, language) = (config.people.policy, config.audience.language);
        let alerts = Alerts { table, topic, policy, language, metrics: config.metrics.clone() };
        let rotation = Rotation { ports, settings: config.rotation, metrics: config.metrics };
        Ok(Self::new(rotation, alerts))
    }
}

impl<S: Secrets, D: Database, R: Servers, T: Table + Register, P: Topic> App<S, D, R, T, P> {
    /// The handler over any outside.
    pub const fn new(rotation: Rotation<S, D, R, T>, alerts: Alerts<T, P>) -> Self {
        Self { rotation, alerts }
    }

    /// Does the step that the event asks for, within the invocation's time.
    ///
    /// # Errors
    /// What Secrets Manager puts into its own record of the failed rotation: the error's stable name and a sentence.
    pub async fn handle(&self, invocation: LambdaEvent<Value>) -> Result<(), Diagnostic> {
        let event: RotationEvent = serde_json::from_value(invocation.payload).map_err(|problem| {
            error!(error.kind = "Rotation.BadEvent", "The event cannot be used: {problem}");
            diagnostic("Rotation.BadEvent", format!("the event cannot be used: {problem}"))
        })?;
        // Boxed: a rotation's future is large, and Lambda's runtime would move it about.
        let deadline = deadline(invocation.context.deadline, RESERVE);
        let outcome = Box::pin(self.rotation.step(&event, deadline)).await;
        let Err(problem) = outcome else { return Ok(()) };
        let until = deadline.max(Instant::now() + LAST_WORDS);
        if timeout_at(until, self.tell(&event, &problem)).await.is_err() {
            error!("There was no time to tell people of the failed step; the responder does");
        }
        let RotationEvent { step, secret_id, client_request_token: version, rotation_token: _ } = &event;
        let text = format!("{step} of {secret_id}, version {version}: {}", telemetry::chain(&problem));
        Err(diagnostic(problem.error_type(), text))
    }

    /// People hear of it now, and not when CloudTrail delivers its event some minutes later.
    async fn tell(&self, event: &RotationEvent, problem: &RotationError) {
        let environment = self.rotation.metrics.environment;
        let Some(alert) = findings::of_step(event, problem, environment, self.alerts.language) else { return };
        if let Err(error) = self.alerts.raise(&alert, Timestamp::now()).await {
            error!(aws.operation = error.operation, error = error.message, "Nobody could be told of the failed step");
        }
    }
}

fn diagnostic(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message }
}
