//! The account's bus of events, and what a rule takes from it for `respond`.
//!
//! The emulator takes events, compares them with the rule's pattern and hands them on to a queue, in the envelope in which
//! EventBridge hands them to a function.

use anyhow::{Context, Result};
use relatch_events::containment::{DETAIL_TYPE, SOURCE};
use serde_json::{Value, json};

use crate::aws::{ACCOUNT, Endpoint, REGION};
use crate::queue::Queue;

/// A rule on the default bus for requests for containment, and what has come by it.
pub struct Bus<'a> {
    queue: Queue<'a>,
}

impl<'a> Bus<'a> {
    /// Makes the rule, as the template has it.
    ///
    /// # Errors
    /// When the emulator does not start, or refuses.
    pub async fn listen(aws: &'a Endpoint) -> Result<Self> {
        let queue = Queue::alone(aws, "containment").await?;
        let name = queue.name();
        let events = async |action: &str, parameters: Value| {
            aws.emulated_json("events", &format!("AWSEvents.{action}"), &parameters).await
        };
        let pattern = json!({ "source": [SOURCE], "detail-type": [DETAIL_TYPE] });
        events("PutRule", json!({ "Name": name, "EventPattern": pattern.to_string() })).await?;
        let arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}");
        events("PutTargets", json!({ "Rule": name, "Targets": [{ "Id": "respond", "Arn": arn }] })).await?;
        Ok(Self { queue })
    }

    /// The events that have come since, each once.
    ///
    /// # Errors
    /// When the emulator refuses, or what came is no event.
    pub async fn events(&self) -> Result<Vec<Value>> {
        let records = self.queue.receive().await?;
        let body = |record: &Value| Ok(serde_json::from_str(record["body"].as_str().context("no body")?)?);
        records.iter().map(body).collect()
    }
}
