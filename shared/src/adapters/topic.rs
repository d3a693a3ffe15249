//! SNS, through the AWS SDK: where alerts are published.
//!
//! People (by e-mail) get the text, programs (functions and queues) the JSON. Severity, condition, environment and status
//! are message attributes, for filter policies.

use super::aws::{call_error, nonce};
use crate::{
    alert::Alert,
    ports::{CallError, Topic},
};
use aws_config::SdkConfig;
use aws_lc_rs::digest::{SHA256, digest};
use aws_sdk_sns::{Client, operation::publish::builders::PublishFluentBuilder, types::MessageAttributeValue};
use serde_json::json;
use std::{collections::HashMap, fmt::Write, iter, sync::OnceLock};

/// The longest message, in bytes. Source: the SNS API reference, "Publish": 256 KiB, attributes included; those of ours
/// are far below the difference.
const LONGEST: usize = 255 * 1024;

/// An SNS topic.
#[derive(Debug, Clone)]
pub struct SnsTopic {
    sdk: SdkConfig,
    /// Made when it is needed.
    client: OnceLock<Client>,
    arn: String,
}

impl SnsTopic {
    /// The topic of an ARN, by the SDK's settings.
    pub fn new(sdk: &SdkConfig, arn: impl Into<String>) -> Self {
        Self { sdk: sdk.clone(), client: OnceLock::new(), arn: arn.into() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(&self.sdk))
    }

    /// On a FIFO topic, what is said of one condition of one subject stays in its order. Each publication is one of its
    /// own: if equal content made it a duplicate, a condition that fires, ends, and fires again within five minutes would
    /// be resolved for those who are told. Only the SDK's repetitions of one call are duplicates.
    fn in_order(&self, call: PublishFluentBuilder, alert: &Alert) -> PublishFluentBuilder {
        if self.arn.ends_with(".fifo") {
            call.message_group_id(group(&alert.key())).message_deduplication_id(nonce())
        } else {
            call
        }
    }
}

impl Topic for SnsTopic {
    async fn publish(&self, alert: &Alert) -> Result<(), CallError> {
        let call = self
            .client()
            .publish()
            .topic_arn(&self.arn)
            .subject(alert.headline())
            .message_structure("json")
            .message(message(alert))
            .set_message_attributes(Some(attributes(alert)));
        let answer = self.in_order(call, alert).send().await;
        answer.map(drop).map_err(|error| call_error("sns:Publish", &error))
    }
}

/// The rendering for each kind of subscriber. Where it would be too long, the lists of the alert are cut, so that what is
/// left is still a text and still JSON.
fn message(alert: &Alert) -> String {
    let whole = render(alert);
    if whole.len() <= LONGEST {
        return whole;
    }
    let lengths = iter::successors(Some(LONGEST), |length| (*length > 0).then_some(length / 2));
    let mut shorter = lengths.map(|length| {
        render(&Alert {
            found: cut(&alert.found, length),
            done: cut(&alert.done, length),
            to_do: cut(&alert.to_do, length),
            ..alert.clone()
        })
    });
    shorter.find(|message| message.len() <= LONGEST).unwrap_or(whole)
}

fn render(alert: &Alert) -> String {
    let (text, json) = (alert.text(), alert.json().to_string());
    json!({ "default": text, "email": text, "lambda": json, "sqs": json }).to_string()
}

/// The first lines, of so many bytes together. A line that is cut ends with an ellipsis.
fn cut(lines: &[String], length: usize) -> Vec<String> {
    let mut left = length;
    let mut kept = Vec::new();
    for line in lines {
        if line.len() > left {
            kept.push(format!("{}…", &line[..line.floor_char_boundary(left)]));
            break;
        }
        left -= line.len();
        kept.push(line.clone());
    }
    kept
}

/// An id of at most 128 letters, digits and marks, as SNS demands: a key that is none is named by its digest.
fn group(key: &str) -> String {
    if key.len() <= 128 && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return key.to_owned();
    }
    digest(&SHA256, key.as_bytes()).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn attributes(alert: &Alert) -> HashMap<String, MessageAttributeValue> {
    let attributes = [
        ("severity", alert.severity().name()),
        ("condition", alert.condition.name()),
        ("environment", alert.environment.name()),
        ("status", alert.status.name()),
    ];
    let attributes = attributes.into_iter().filter_map(|(name, value)| {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value).build().ok()?;
        Some((name.to_owned(), value))
    });
    attributes.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        alert::{Condition, Status},
        config::Environment,
    };
    use serde_json::Value;

    #[test]
    fn people_get_text_and_programs_json() {
        let alert = alert(vec!["AWSCURRENT is rejected.".to_owned()]);
        let message: Value = serde_json::from_str(&message(&alert)).unwrap();
        assert_eq!(message["default"], alert.text());
        assert_eq!(message["email"], alert.text());
        for program in ["lambda", "sqs"] {
            let told: Value = serde_json::from_str(message[program].as_str().unwrap()).unwrap();
            assert_eq!(told, alert.json());
        }
    }

    #[test]
    fn a_long_alert_is_cut_and_still_whole_in_form() {
        // Quotes and control characters grow when they are escaped, twice over.
        for line in ["\"".repeat(100_000), "\u{1}".repeat(100_000), "ü€🦀".repeat(100_000), "x".to_owned()] {
            let message = message(&alert(vec![line.clone(); if line.len() == 1 { 300_000 } else { 3 }]));
            assert!(message.len() <= LONGEST, "{} bytes", message.len());
            assert!(message.len() > LONGEST / 4, "no more is cut than has to be: {} bytes", message.len());
            let message: Value = serde_json::from_str(&message).unwrap();
            let told: Value = serde_json::from_str(message["sqs"].as_str().unwrap()).unwrap();
            let kept = told["found"].as_array().unwrap();
            assert!(kept.last().unwrap().as_str().unwrap().ends_with('…'));
            assert!(kept.iter().all(|kept| line.starts_with(kept.as_str().unwrap().trim_end_matches('…'))));
        }
    }

    #[test]
    fn a_group_is_named_as_sns_wants_it() {
        assert_eq!(group("stranded/arn:aws:secretsmanager:x:1:secret:app-AbCdEf").len(), 53);
        for key in ["k".repeat(129), "two words".to_owned(), "ü".to_owned()] {
            assert_eq!(group(&key).len(), 64);
        }
        assert_ne!(group(&"k".repeat(129)), group(&"k".repeat(130)));
    }

    fn alert(found: Vec<String>) -> Alert {
        Alert {
            condition: Condition::LockedOut,
            status: Status::Firing,
            subject: "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf".to_owned(),
            impact: None,
            environment: Environment::Prod,
            found,
            done: Vec::new(),
            to_do: vec!["Set the password by hand.".to_owned()],
            members: Vec::new(),
        }
    }
}
