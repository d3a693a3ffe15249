//! A queue behind the topic, and what Lambda does with one: hands its messages to a function in batches, and takes away
//! those that the function does not say have failed.
//!
//! Source: the Lambda developer guide, "Using Lambda with Amazon SQS" and "Handling errors for an SQS event source".

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::HashSet;

use crate::aws::{ACCOUNT, Endpoint, REGION, emulator};
use crate::lambda::{Function, Outcome};

/// A queue that is subscribed to the topic, and another one for what cannot be delivered.
pub struct Queue<'a> {
    aws: &'a Endpoint,
    name: String,
}

impl<'a> Queue<'a> {
    /// How often a message is handed over before it is put aside: as the template has it.
    pub const MOST_RECEIVES: u32 = 5;

    /// Makes both queues and the subscription. Raw: without SNS's envelope.
    ///
    /// # Errors
    /// When the emulator does not start, or refuses.
    pub async fn subscribe(aws: &'a Endpoint, raw: bool) -> Result<Self> {
        let queue = Self { aws, name: format!("notify-{}", uuid::Uuid::new_v4()) };
        let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:{}", emulator::TOPIC);
        let arn = |name: &str| format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}");
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage",
            "Resource": arn(&queue.name), "Condition": { "ArnEquals": { "aws:SourceArn": topic } },
        }] });
        queue.make(json!({ "Policy": policy.to_string() })).await?;
        let raw = raw.to_string();
        aws.emulated_form(
            "sns",
            &[
                ("Action", "Subscribe"),
                ("Version", "2010-03-31"),
                ("TopicArn", &topic),
                ("Protocol", "sqs"),
                ("Endpoint", &arn(&queue.name)),
                ("Attributes.entry.1.key", "RawMessageDelivery"),
                ("Attributes.entry.1.value", &raw),
            ],
        )
        .await?;
        Ok(queue)
    }

    /// Makes a queue that is subscribed to nothing, and one for what cannot be handled.
    ///
    /// # Errors
    /// As [`Queue::subscribe`].
    pub async fn alone(aws: &'a Endpoint, name: &str) -> Result<Self> {
        let queue = Self { aws, name: format!("{name}-{}", uuid::Uuid::new_v4()) };
        queue.make(json!({})).await?;
        Ok(queue)
    }

    /// A queue that exists, by its name.
    pub const fn named(aws: &'a Endpoint, name: String) -> Self {
        Self { aws, name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Puts a message into the queue that nobody has published.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn put(&self, body: &str) -> Result<()> {
        self.call("SendMessage", json!({ "QueueUrl": self.url(), "MessageBody": body })).await.map(drop)
    }

    /// What waits: up to ten records, as Lambda hands them to a function. They are in nobody else's hands for a while.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn receive(&self) -> Result<Vec<Value>> {
        let wanted =
            json!({ "QueueUrl": self.url(), "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"] });
        let answer = self.call("ReceiveMessage", wanted).await?;
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        Ok(messages.iter().map(|message| self.record(message)).collect())
    }

    /// Hands what waits to a function, and keeps what failed for the next time. `None` if nothing waits.
    ///
    /// # Errors
    /// When the emulator refuses, or the function cannot be started.
    pub async fn deliver(&self, function: &Function) -> Result<Option<Outcome>> {
        let records = self.receive().await?;
        if records.is_empty() {
            return Ok(None);
        }
        let outcome = function.invoke(json!({ "Records": records })).await?;
        self.settle(&records, &outcome).await?;
        Ok(Some(outcome))
    }

    /// Hands all that waits to a function at once, as with a batching window. `None` if nothing waits.
    ///
    /// # Errors
    /// As [`Queue::deliver`].
    pub async fn deliver_all(&self, function: &Function) -> Result<Option<Outcome>> {
        let mut all = Vec::new();
        loop {
            let records = self.receive().await?;
            if records.is_empty() {
                break;
            }
            all.extend(records);
        }
        if all.is_empty() {
            return Ok(None);
        }
        let outcome = function.invoke(json!({ "Records": all })).await?;
        self.settle(&all, &outcome).await?;
        Ok(Some(outcome))
    }

    /// What becomes of records by what came of handing them over: they go, or are there again at once.
    ///
    /// # Errors
    /// When the emulator refuses, or the function's answer is not one for a queue.
    pub async fn settle(&self, records: &[Value], outcome: &Outcome) -> Result<()> {
        let failed: Option<HashSet<&str>> = match outcome {
            Outcome::Ok(answer) => {
                let failures = answer["batchItemFailures"].as_array().context("no batchItemFailures")?;
                Some(failures.iter().filter_map(|failure| failure["itemIdentifier"].as_str()).collect())
            }
            Outcome::Error { .. } | Outcome::TimedOut | Outcome::Exited { .. } | Outcome::InitError { .. } => None,
        };
        for record in records {
            let id = record["messageId"].as_str().context("a record without a name")?;
            let receipt = json!({ "QueueUrl": self.url(), "ReceiptHandle": record["receiptHandle"] });
            if failed.as_ref().is_some_and(|failed| !failed.contains(id)) {
                self.call("DeleteMessage", receipt).await?;
            } else {
                let mut receipt = receipt;
                receipt["VisibilityTimeout"] = json!(0);
                self.call("ChangeMessageVisibility", receipt).await?;
            }
        }
        Ok(())
    }

    /// What was put aside.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn dead(&self) -> Result<Vec<Value>> {
        Queue { aws: self.aws, name: format!("{}-dead", self.name) }.receive().await
    }

    fn record(&self, message: &Value) -> Value {
        json!({
            "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"],
            "attributes": message["Attributes"], "messageAttributes": {}, "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs", "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{}", self.name),
            "awsRegion": REGION,
        })
    }

    /// Makes the queue, and the one for what cannot be handled.
    async fn make(&self, mut attributes: Value) -> Result<()> {
        let dead = format!("{}-dead", self.name);
        self.create(&dead, json!({})).await?;
        let arn = format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{dead}");
        let redrive = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": Self::MOST_RECEIVES });
        attributes["RedrivePolicy"] = json!(redrive.to_string());
        self.create(&self.name, attributes).await
    }

    async fn create(&self, name: &str, attributes: Value) -> Result<()> {
        self.call("CreateQueue", json!({ "QueueName": name, "Attributes": attributes })).await.map(drop)
    }

    async fn call(&self, action: &str, parameters: Value) -> Result<Value> {
        let answer = self.aws.emulated_json("sqs", &format!("AmazonSQS.{action}"), &parameters).await?;
        ensure!(answer.is_object() || answer.is_null(), "{action} answered {answer}");
        Ok(answer)
    }

    fn url(&self) -> String {
        format!("http://localhost/{ACCOUNT}/{}", self.name)
    }
}
