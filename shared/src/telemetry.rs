//! What Relatch says of itself: logs as JSON lines, and metrics as EMF lines among them.
//!
//! EMF (CloudWatch's embedded metric format) costs no call: CloudWatch Logs makes metrics of the lines.

use crate::{
    config::Environment,
    rotation::{Reason, RotationError},
};
use relatch_events::rotation::RotationEvent;
use serde_json::{Value, json};
use std::{
    error::Error,
    time::{SystemTime, UNIX_EPOCH},
};
use tracing::{error, info, warn};
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

/// Begins to log, as JSON lines on standard output, at the level that `AWS_LAMBDA_LOG_LEVEL` names (Lambda's own
/// setting).
///
/// It holds for Relatch's own crates. Others say only what is wrong, whatever the level: at `trace` Lambda's runtime
/// writes out the event with its RotationToken, and the SDK the values of secrets.
pub fn init() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").unwrap_or_default();
    let level = match level.to_ascii_lowercase().as_str() {
        "trace" => LevelFilter::TRACE,
        "debug" => LevelFilter::DEBUG,
        "warn" => LevelFilter::WARN,
        "error" | "fatal" => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    let filter =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets([("relatch", level), ("rotate", level)]);
    let lines = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    // A second call finds a subscriber in place, and leaves it there.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
}

/// Where metrics go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// CloudWatch namespace.
    pub namespace: String,
    /// The dimension that every metric has.
    pub environment: Environment,
}

impl Metrics {
    /// Says how a step of a rotation ended: once in the log, and where it counts, in a metric.
    pub fn rotation_step(&self, event: &RotationEvent, outcome: &Result<Reason, RotationError>) {
        let RotationEvent { step, secret_id, client_request_token: version, rotation_token: _ } = event;
        match outcome {
            Ok(reason) => {
                info!(rotation.step = %step, rotation.plan = "Done", rotation.reason = reason.name(),
                    secret.id = %secret_id, secret.version = %version, "{step} succeeded: {reason}");
                if *reason == Reason::Promoted {
                    self.count("RotationSucceeded", &[], event);
                }
            }
            Err(problem) => {
                let (kind, reason) = (problem.error_type(), problem.reason());
                let causes = chain(problem);
                match problem {
                    RotationError::NotYet(_) => warn!(rotation.step = %step, rotation.plan = "Wait",
                        rotation.reason = reason, error.kind = kind, secret.id = %secret_id,
                        secret.version = %version, "{step} did not succeed: {causes}"),
                    RotationError::Refused(_)
                    | RotationError::Interrupted(_)
                    | RotationError::OutOfTime
                    | RotationError::Fault(_) => error!(rotation.step = %step, rotation.plan = "Refuse",
                        rotation.reason = reason, error.kind = kind, secret.id = %secret_id,
                        secret.version = %version, "{step} did not succeed: {causes}"),
                }
                self.count("RotationFailed", &[("Reason", reason)], event);
                if reason == Reason::RolledBack.name() {
                    self.count("RolledBack", &[], event);
                }
            }
        }
    }

    /// Writes one metric line. The secret and its version are properties, not dimensions: they can be searched for, and
    /// do not make a metric each.
    #[allow(clippy::print_stdout, reason = "CloudWatch Logs reads metrics from standard output")]
    fn count(&self, name: &str, dimensions: &[(&str, &str)], event: &RotationEvent) {
        println!("{}", self.line(name, dimensions, event, now()));
    }

    fn line(&self, name: &str, dimensions: &[(&str, &str)], event: &RotationEvent, timestamp: u128) -> Value {
        let names: Vec<&str> = std::iter::once("Environment").chain(dimensions.iter().map(|(name, _)| *name)).collect();
        let sets = if dimensions.is_empty() { json!([names]) } else { json!([["Environment"], names]) };
        let mut line = json!({
            "_aws": {
                "Timestamp": timestamp,
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace, "Dimensions": sets, "Metrics": [{"Name": name, "Unit": "Count"}],
                }],
            },
            "Environment": self.environment.name(),
            "secret.id": event.secret_id,
            "secret.version": event.client_request_token,
        });
        for (dimension, value) in dimensions {
            line[dimension] = json!(value);
        }
        line[name] = json!(1);
        line
    }
}

/// An error and everything that caused it, on one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| (*error).source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// Milliseconds since 1970.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_metric_is_a_line_that_cloudwatch_understands() {
        let event: RotationEvent =
            serde_json::from_str(r#"{"Step":"setSecret","SecretId":"arn:x","ClientRequestToken":"v2"}"#).unwrap();
        let metrics = Metrics { namespace: "Relatch".into(), environment: Environment::Prod };
        insta::assert_snapshot!(metrics.line(
            "RotationFailed",
            &[("Reason", "rolled-back")],
            &event,
            1_700_000_000_000
        ));
    }
}
