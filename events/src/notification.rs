//! What a topic's subscriber is handed: SNS's messages, from SNS itself or out of a queue behind it.
//!
//! Each record is read by itself, and leniently: one that cannot be read must not take the others with it, as it does
//! in `aws_lambda_events`' lists.

use serde_json::Value;

/// An invocation's messages, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notifications {
    /// Who hands them over.
    pub from: Sender,
    /// The messages.
    pub all: Vec<Notification>,
}

/// Who hands messages over, which decides how a failure is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// SNS, which takes an error for an answer and repeats the whole.
    Topic,
    /// SQS, which wants to know which messages failed, and repeats those.
    Queue,
}

/// A published message.
///
/// Sources: the SNS developer guide, "Parsing message formats" and "Raw message delivery"; the Lambda developer guide,
/// "Using Lambda with Amazon SQS".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// How the sender names the delivery: for a queue, what is told of a failure. Empty where the record has no name.
    pub delivery: String,
    /// The same when it is delivered again. (With raw delivery, the queue's own id: SNS's is lost.)
    pub id: String,
    /// When it was published, as AWS writes it: RFC 3339, or with raw delivery milliseconds since 1970 of its arrival in
    /// the queue.
    pub at: Option<String>,
    /// What was published.
    pub message: String,
}

/// An event that is neither SNS's nor SQS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither messages of an SNS topic nor of an SQS queue")]
pub struct NoNotifications;

impl Notifications {
    /// What the payload of an invocation holds.
    ///
    /// # Errors
    /// When it is another kind of event, or mixes the two. That a record is incomplete is no error here: what is missing
    /// of it is empty.
    pub fn parse(event: &Value) -> Result<Self, NoNotifications> {
        let records = event["Records"].as_array().ok_or(NoNotifications)?;
        let is = |name: &str, source: &str| !records.is_empty() && records.iter().all(|record| record[name] == source);
        if is("EventSource", "aws:sns") {
            let all = records.iter().map(|record| Notification::of_topic(&record["Sns"])).collect();
            return Ok(Self { from: Sender::Topic, all });
        }
        if is("eventSource", "aws:sqs") {
            return Ok(Self { from: Sender::Queue, all: records.iter().map(Notification::of_queue).collect() });
        }
        Err(NoNotifications)
    }
}

impl Notification {
    fn of_topic(message: &Value) -> Self {
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let at = message["Timestamp"].as_str().map(str::to_owned);
        Self { delivery: text("MessageId"), id: text("MessageId"), at, message: text("Message") }
    }

    fn of_queue(record: &Value) -> Self {
        let text = |name: &str| record[name].as_str().unwrap_or_default();
        let wrapped = serde_json::from_str::<Value>(text("body")).ok();
        match wrapped.filter(|body| body["Type"] == "Notification" && body["Message"].is_string()) {
            Some(body) => Self { delivery: text("messageId").to_owned(), ..Self::of_topic(&body) },
            None => Self {
                delivery: text("messageId").to_owned(),
                id: text("messageId").to_owned(),
                at: record["attributes"]["SentTimestamp"].as_str().map(str::to_owned),
                message: text("body").to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::json;

    fn sns(message: &str) -> Value {
        json!({ "Type": "Notification", "MessageId": "m-1", "TopicArn": "arn", "Subject": null, "Message": message,
                "Timestamp": "2026-01-01T00:00:00.123Z", "SignatureVersion": "1" })
    }

    #[test]
    fn a_message_is_the_same_whichever_way_it_comes() {
        let from_topic = json!({ "Records": [{ "EventSource": "aws:sns", "EventVersion": "1.0", "Sns": sns("{}") }] });
        let record = json!({ "messageId": "q-1", "eventSource": "aws:sqs", "body": sns("{}").to_string() });
        let from_queue = json!({ "Records": [record] });
        let expected = Notification {
            delivery: "m-1".to_owned(),
            id: "m-1".to_owned(),
            at: Some("2026-01-01T00:00:00.123Z".to_owned()),
            message: "{}".to_owned(),
        };
        let found = Notifications::parse(&from_topic).unwrap();
        assert_eq!(found, Notifications { from: Sender::Topic, all: vec![expected.clone()] });
        let found = Notifications::parse(&from_queue).unwrap();
        let expected = Notification { delivery: "q-1".to_owned(), ..expected };
        assert_eq!(found, Notifications { from: Sender::Queue, all: vec![expected] });
    }

    #[test]
    fn a_raw_message_goes_by_the_queues_own_name() {
        let record = json!({ "messageId": "q-1", "eventSource": "aws:sqs", "body": "{\"key\":\"k\"}",
                             "attributes": { "SentTimestamp": "1767225600000" } });
        let found = Notifications::parse(&json!({ "Records": [record] })).unwrap().all.remove(0);
        let (delivery, id) = ("q-1".to_owned(), "q-1".to_owned());
        let at = Some("1767225600000".to_owned());
        assert_eq!(found, Notification { delivery, id, at, message: "{\"key\":\"k\"}".to_owned() });
    }

    #[test]
    fn what_is_broken_is_one_message_and_what_is_foreign_none() {
        let broken = json!({ "messageId": "q-2", "eventSource": "aws:sqs", "body": 7 });
        let found = Notifications::parse(&json!({ "Records": [broken] })).unwrap().all.remove(0);
        assert_eq!((found.delivery.as_str(), found.message.as_str()), ("q-2", ""));
        for foreign in [
            json!({}),
            json!({ "Records": [] }),
            json!({ "Records": [{ "eventSource": "aws:s3" }] }),
            json!({ "Records": [{ "eventSource": "aws:sqs" }, { "EventSource": "aws:sns" }] }),
        ] {
            assert_eq!(Notifications::parse(&foreign), Err(NoNotifications), "{foreign}");
        }
    }
}
