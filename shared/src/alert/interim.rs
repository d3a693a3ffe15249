//! Interim renderings until the real ones are merged.
#![allow(missing_docs)]
use super::{Alert, Condition, Status};
use crate::{config::Environment, rollback::Impact};
use serde_json::{Value, json};

#[derive(Debug, thiserror::Error)]
#[error("`{0}` cannot be read")]
pub struct BadAlert(&'static str);

impl Alert {
    #[allow(clippy::missing_errors_doc)]
    pub fn read(v: &Value) -> Result<Alert, BadAlert> {
        if v["version"] != 1 {
            return Err(BadAlert("version"));
        }
        let word = |f: &'static str| v[f].as_str().ok_or(BadAlert(f));
        let lines =
            |f: &str| v[f].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(Alert {
            condition: Condition::by_name(word("condition")?).ok_or(BadAlert("condition"))?,
            status: if word("status")? == "firing" { Status::Firing } else { Status::Resolved },
            subject: word("subject")?.to_owned(),
            impact: [Impact::Safe, Impact::Degraded, Impact::Stranded, Impact::LockedOut]
                .into_iter()
                .find(|i| v["impact"] == i.name()),
            environment: [Environment::Dev, Environment::Staging, Environment::Prod]
                .into_iter()
                .find(|e| v["environment"] == e.name())
                .ok_or(BadAlert("environment"))?,
            found: lines("found"),
            done: lines("done"),
            to_do: lines("toDo"),
        })
    }
}
pub fn slack(alert: &Alert) -> Value {
    json!({"text": alert.headline(), "blocks": [{"type":"section","text":{"type":"mrkdwn","text": alert.headline()}}]})
}
pub fn pagerduty(alert: &Alert) -> Value {
    json!({"event_action": if alert.status == Status::Firing {"trigger"} else {"resolve"}, "dedup_key": alert.key(),
      "payload": {"summary": alert.headline(), "source": alert.subject, "severity": alert.severity().name()}})
}
