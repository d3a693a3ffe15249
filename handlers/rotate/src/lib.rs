//! Secrets Manager → one step of one rotation.
//!
//! Only wiring: what a step does is decided in [`relatch::rotation`].

use lambda_runtime::{Diagnostic, Error, LambdaEvent};
use relatch::{
    adapters::{self, postgres::Postgres, rds::Rds, secrets_manager::SecretsManager},
    config::Config,
    ports::{Database, Ports, Secrets, Servers},
    rotation::{Rotation, RotationError},
    telemetry,
};
use relatch_events::rotation::RotationEvent;
use serde_json::Value;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use tracing::error;

/// Kept back of the invocation's time, for closing sessions and saying what happened.
const RESERVE: Duration = Duration::from_millis(500);

/// The handler, over an outside that tests may replace.
#[derive(Debug, Clone)]
pub struct App<S, D, R> {
    rotation: Rotation<S, D, R>,
}

impl App<SecretsManager, Postgres, Rds> {
    /// The handler over AWS, by the environment.
    ///
    /// # Errors
    /// When a setting is wrong; the error names every one.
    pub async fn from_env() -> Result<Self, Error> {
        let config = Config::from_env()?;
        let sdk = adapters::sdk_config(config.rotation.patience).await;
        let ports = Ports {
            secrets: SecretsManager::new(&sdk, config.secrets_endpoint.as_deref()),
            database: Postgres::new(config.database)?,
            servers: Rds::new(&sdk, config.rds),
        };
        Ok(Self::new(Rotation { ports, settings: config.rotation, metrics: config.metrics }))
    }
}

impl<S: Secrets, D: Database, R: Servers> App<S, D, R> {
    /// The handler over any outside.
    pub const fn new(rotation: Rotation<S, D, R>) -> Self {
        Self { rotation }
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
        let outcome = Box::pin(self.rotation.step(&event, deadline(invocation.context.deadline))).await;
        outcome.map(drop).map_err(|problem: RotationError| {
            let RotationEvent { step, secret_id, client_request_token: version, rotation_token: _ } = &event;
            let text = format!("{step} of {secret_id}, version {version}: {}", telemetry::chain(&problem));
            diagnostic(problem.error_type(), text)
        })
    }
}

/// Lambda's deadline is in milliseconds since 1970.
fn deadline(milliseconds: u64) -> Instant {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant::now() + Duration::from_millis(milliseconds).saturating_sub(now).saturating_sub(RESERVE)
}

fn diagnostic(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message }
}
