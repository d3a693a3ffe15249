//! What Relatch says of itself: logs as JSON lines, and metrics as EMF lines among them.
//!
//! EMF (CloudWatch's embedded metric format) costs no call: CloudWatch Logs makes metrics of the lines.

use crate::{
    audit::{finding::Finding, intake::Tally},
    config::Environment,
    language::Language,
    rollback::{Impact, Recovery, recovery::Outcome},
    rotation::{Reason, RotationError},
};
use relatch_events::{foreign, rotation::RotationEvent};
use serde_json::{Value, json};
use std::{
    error::Error,
    io::{self, Write, stdout},
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
    let filter = Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets([
        ("relatch", level),
        ("rotate", level),
        ("respond", level),
        ("notify", level),
        ("audit", level),
    ]);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(|| Showable(stdout()));
    // A second call finds a subscriber in place, and leaves it there.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
}

/// Where lines of JSON go that a person may look at in a terminal: what acts on others or cannot be seen is escaped, so
/// that they mean the same.
struct Showable<W>(W);

impl<W: Write> Write for Showable<W> {
    /// A line comes at once, as the layer makes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match str::from_utf8(line) {
            Ok(text) => self.0.write_all(foreign::json(text).as_bytes())?,
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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
                    self.write("RotationSucceeded", Unit::Count(1), &[], &of_rotation(event));
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
                self.write("RotationFailed", Unit::Count(1), &[("Reason", reason)], &of_rotation(event));
                if reason == Reason::RolledBack.name() {
                    self.write("RolledBack", Unit::Count(1), &[], &of_rotation(event));
                }
            }
        }
    }

    /// Says how a repair ended: once in the log, and where it counts, in metrics.
    pub fn repair(&self, recovery: &Recovery) {
        let (reason, sentence, arn) = (recovery.reason(), recovery.sentence(), recovery.arn.as_str());
        let impact = recovery.left().map(Impact::name);
        let done = recovery.done_lines(Language::English).join(" ");
        match &recovery.outcome {
            Outcome::Opens(_) | Outcome::Would(_) => info!(
                repair.reason = reason,
                repair.impact = impact,
                repair.done = done,
                secret.id = arn,
                "Repair of {arn}: {sentence}"
            ),
            Outcome::Waits(_) => warn!(
                repair.reason = reason,
                repair.impact = impact,
                repair.done = done,
                secret.id = arn,
                "Repair of {arn} is put off: {sentence}"
            ),
            Outcome::Refuses(_) | Outcome::Fails(_) => error!(
                repair.reason = reason,
                repair.impact = impact,
                repair.done = done,
                secret.id = arn,
                "Repair of {arn} came to nothing: {sentence}"
            ),
        }
        let property = [("secret.id", arn)];
        if matches!(recovery.left(), Some(Impact::LockedOut | Impact::Stranded)) {
            self.write("LockedOut", Unit::Count(1), &[], &property);
        }
        if recovery.climbed().next().is_some() && matches!(recovery.outcome, Outcome::Opens(_)) {
            self.write("RolledBack", Unit::Count(1), &[("Reason", reason)], &property);
            let took = u64::try_from(recovery.took.as_millis()).unwrap_or(u64::MAX);
            self.write("RecoverMs", Unit::Milliseconds(took), &[], &property);
        }
    }

    /// Says that the sweep lives; an alarm on the absence of this metric says that it does not.
    pub fn heartbeat(&self) {
        self.write("Heartbeat", Unit::Count(1), &[], &[]);
    }

    /// Says what became of an alert: why it was published or not.
    pub fn alert(&self, condition: &str, outcome: &str) {
        self.write("Alert", Unit::Count(1), &[("Condition", condition), ("Outcome", outcome)], &[]);
    }

    /// Says that a channel was told, so many milliseconds after what is new was first seen.
    pub fn alert_sent(&self, condition: &str, channel: &str, took: u64) {
        self.write("AlertSent", Unit::Count(1), &[("Condition", condition), ("Channel", channel)], &[]);
        self.write("DeliveryMs", Unit::Milliseconds(took), &[("Channel", channel)], &[]);
    }

    /// Says that a channel was not told, and that the message goes back to where it came from.
    pub fn alert_undelivered(&self, condition: &str, channel: &str) {
        self.write("AlertUndelivered", Unit::Count(1), &[("Condition", condition), ("Channel", channel)], &[]);
    }

    /// Says what became of records: there are as many of them as were recorded, ignored, known before and malformed.
    pub fn records(&self, tally: &Tally) {
        let Tally { recorded, ignored, duplicate, malformed, flooded } = *tally;
        let counts = [
            ("RecordsIn", tally.all()),
            ("Recorded", recorded),
            ("Ignored", ignored),
            ("Duplicate", duplicate),
            ("Malformed", malformed),
            ("Flooded", flooded),
        ];
        for (name, count) in counts {
            self.write(name, Unit::Count(count), &[], &[]);
        }
    }

    /// Says that a new policy of the audit's cannot be used.
    pub fn policy_unusable(&self) {
        self.write("PolicyUnusable", Unit::Count(1), &[], &[]);
    }

    /// Says that something of what is usual is too much to be kept.
    pub fn baseline_unkept(&self) {
        self.write("BaselineUnkept", Unit::Count(1), &[], &[]);
    }

    /// Says what the audit has found: in the log, and in a metric unless it is only for the record.
    pub fn finding(&self, finding: &Finding) {
        let (page, severity) = (finding.kind.page(), finding.severity.name());
        info!(
            finding.name = page.name,
            finding.severity = severity,
            finding.incident = finding.key,
            finding.shadowed = finding.shadowed,
            finding.event = finding.security_event().to_string(),
            "Found {} of {}",
            page.name,
            finding.principal
        );
        if !finding.shadowed {
            let dimensions = [("EventType", page.event_type.name()), ("Severity", severity)];
            self.write("SecurityEvents", Unit::Count(1), &dimensions, &[("finding.name", page.name)]);
        }
    }

    /// Writes one metric line. The properties are not dimensions: they can be searched for, and do not make a metric each.
    #[allow(clippy::print_stdout, reason = "CloudWatch Logs reads metrics from standard output")]
    fn write(&self, name: &str, unit: Unit, dimensions: &[(&str, &str)], properties: &[(&str, &str)]) {
        println!("{}", foreign::json(&self.line(name, unit, dimensions, properties, now()).to_string()));
    }

    fn line(
        &self,
        name: &str,
        unit: Unit,
        dimensions: &[(&str, &str)],
        properties: &[(&str, &str)],
        timestamp: u128,
    ) -> Value {
        let names: Vec<&str> = std::iter::once("Environment").chain(dimensions.iter().map(|(name, _)| *name)).collect();
        let sets = if dimensions.is_empty() { json!([names]) } else { json!([["Environment"], names]) };
        let (unit, value) = match unit {
            Unit::Count(value) => ("Count", value),
            Unit::Milliseconds(value) => ("Milliseconds", value),
        };
        let mut line = json!({
            "_aws": {
                "Timestamp": timestamp,
                "CloudWatchMetrics": [{
                    "Namespace": self.namespace, "Dimensions": sets, "Metrics": [{"Name": name, "Unit": unit}],
                }],
            },
            "Environment": self.environment.name(),
        });
        for (name, value) in properties.iter().chain(dimensions) {
            line[name] = json!(value);
        }
        line[name] = json!(value);
        line
    }
}

/// A value and its unit.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Count(u64),
    Milliseconds(u64),
}

/// What a metric of a rotation can be searched for by.
fn of_rotation(event: &RotationEvent) -> [(&str, &str); 2] {
    [("secret.id", event.secret_id.as_str()), ("secret.version", event.client_request_token.as_str())]
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
    fn no_text_of_others_acts_on_who_reads_a_log_line() {
        #[derive(Clone, Default)]
        struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = fmt::layer().json().flatten_event(true).with_writer(move || Showable(writer.clone()));
        let name = "a\u{202e}b\u{9b}2J\n\u{2028}\u{7f}ü";
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            info!(secret.id = name, "Looked at {name}");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains(r"\u202e") && text.contains('ü'), "{text}");
        assert!(
            text.trim_end().chars().all(|c| !c.is_control() && !('\u{2028}'..='\u{202e}').contains(&c)),
            "{text:?}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["secret.id"], name);
    }

    #[test]
    fn a_metric_is_a_line_that_cloudwatch_understands() {
        let event: RotationEvent =
            serde_json::from_str(r#"{"Step":"setSecret","SecretId":"arn:x","ClientRequestToken":"v2"}"#).unwrap();
        let metrics = Metrics { namespace: "Relatch".into(), environment: Environment::Prod };
        insta::assert_snapshot!(metrics.line(
            "RotationFailed",
            Unit::Count(1),
            &[("Reason", "rolled-back")],
            &of_rotation(&event),
            1_700_000_000_000
        ));
    }
}
