//! SNS, through the AWS SDK: where alerts are published.
//!
//! People (by e-mail) get the text, programs (functions and queues) the JSON, and Amazon Q Developer in chat applications,
//! which subscribes by HTTPS, its custom notification. Severity, condition, environment, status and the secret's name are
//! message attributes, for filter policies.

use super::{
    aws::{call_error, nonce},
    late::Late,
};
use crate::{
    alert::{Alert, Audience, Local, chat, email},
    language::Language,
    ports::{CallError, Topic},
};
use aws_config::SdkConfig;
use aws_sdk_sns::{Client, operation::publish::builders::PublishFluentBuilder, types::MessageAttributeValue};
use jiff::Timestamp;
use relatch_events::foreign::{self, shown};
use serde_json::json;
use std::{collections::HashMap, iter};

/// The longest message, in bytes. Source: the SNS API reference, "Publish": 256 KiB, attributes included; those of ours
/// are below the difference.
const LONGEST: usize = 240 * 1024;

/// The most secrets that the attribute names. A name has 512 bytes at most.
const MOST_SECRETS: usize = 25;

/// The longest message group id, in bytes. Source: the same.
const LONGEST_GROUP: usize = 128;

/// An SNS topic.
#[derive(Debug, Clone)]
pub struct SnsTopic {
    client: Late<Client>,
    arn: String,
    audience: Audience,
}

impl SnsTopic {
    /// The topic of an ARN, by the SDK's settings.
    pub fn new(sdk: &SdkConfig, arn: impl Into<String>) -> Self {
        Self { client: Late::new(sdk, Client::new), arn: arn.into(), audience: Audience::default() }
    }

    /// The same, for those who read it there.
    #[must_use]
    pub fn read_by(self, audience: Audience) -> Self {
        Self { audience, ..self }
    }

    /// On a FIFO topic, what is said of one condition of one subject stays in its order. Each publication is one of its
    /// own: if equal content made it a duplicate, a condition that fires, ends, and fires again within five minutes would
    /// be resolved for those who are told. Only the SDK's repetitions of one call are duplicates.
    fn in_order(&self, call: PublishFluentBuilder, alert: &Alert) -> PublishFluentBuilder {
        if self.arn.ends_with(".fifo") {
            call.message_group_id(alert.short_key(LONGEST_GROUP)).message_deduplication_id(nonce())
        } else {
            call
        }
    }
}

impl Topic for SnsTopic {
    async fn publish(&self, alert: &Alert) -> Result<(), CallError> {
        let call = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(alert.headline())
            .message_structure("json")
            .message(message(alert, self.audience.language, &self.audience.local(Timestamp::now())))
            .set_message_attributes(Some(attributes(alert)));
        let answer = self.in_order(call, alert).send().await;
        answer.map(drop).map_err(|error| call_error("sns:Publish", &error))
    }
}

/// The rendering for each kind of subscriber. Where it would be too long, the lists of the alert are cut, so that what is
/// left is still a text and still JSON.
fn message(alert: &Alert, language: Language, local: &Local) -> String {
    let render = |alert: &Alert| {
        let (text, json) = (email::body(alert, language, local), foreign::json(&alert.json().to_string()).into_owned());
        let chat = chat::message(alert, language, local).to_string();
        json!({ "default": text, "email": text, "lambda": json, "sqs": json, "https": chat }).to_string()
    };
    let whole = render(alert);
    if whole.len() <= LONGEST {
        return whole;
    }
    let lengths = iter::successors(Some(LONGEST), |length| (*length > 0).then_some(length / 2));
    let mut shorter = lengths.map(|length| render(&alert.shortened(length)));
    shorter.find(|message| message.len() <= LONGEST).unwrap_or(whole)
}

fn attributes(alert: &Alert) -> HashMap<String, MessageAttributeValue> {
    let attributes = [
        ("severity", alert.severity().name()),
        ("condition", alert.condition.name()),
        ("environment", alert.environment.name()),
        ("status", alert.status.name()),
    ];
    let one = attributes.map(|(name, value)| (name, "String", value.to_owned()));
    let mut secrets = alert.secrets();
    secrets.truncate(MOST_SECRETS);
    let secrets = match secrets[..] {
        [] => None,
        // SNS takes no control character in an attribute, and whoever chooses a name must not choose that nobody is told.
        [secret] => Some(("secret", "String", shown(secret).into_owned())),
        // A filter looks at each of them.
        [..] => {
            let secrets = secrets.iter().map(|secret| shown(secret)).collect::<Vec<_>>();
            Some(("secret", "String.Array", json!(secrets).to_string()))
        }
    };
    let attributes = one.into_iter().chain(secrets).filter_map(|(name, data_type, value)| {
        let value = MessageAttributeValue::builder().data_type(data_type).string_value(value).build().ok()?;
        Some((name.to_owned(), value))
    });
    attributes.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{alert::Condition, config::Environment};
    use serde_json::Value;

    #[test]
    fn people_get_text_and_programs_json() {
        let alert = alert(vec!["AWSCURRENT is rejected.".to_owned()]);
        let local = local();
        let message: Value = serde_json::from_str(&message(&alert, Language::English, &local)).unwrap();
        let text = email::body(&alert, Language::English, &local);
        assert_eq!(message["default"], text);
        assert_eq!(message["email"], text);
        let chat: Value = serde_json::from_str(message["https"].as_str().unwrap()).unwrap();
        assert_eq!(chat, chat::message(&alert, Language::English, &local));
        for program in ["lambda", "sqs"] {
            let told: Value = serde_json::from_str(message[program].as_str().unwrap()).unwrap();
            assert_eq!(told, alert.json());
        }
    }

    #[test]
    fn an_attribute_has_no_character_that_sns_refuses() {
        let named = |name: &str| Alert {
            subject: format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-AbCdEf"),
            ..alert(Vec::new())
        };
        let one = named("a\u{1}\nb\u{202e}c");
        let many = Alert { members: vec![one.subject.clone(), named("other").subject], ..one.clone() };
        for alert in [one, many] {
            let attributes = attributes(&alert);
            let secret = attributes["secret"].string_value().unwrap();
            assert!(!secret.contains(|c: char| c.is_control()) && secret.contains("a��b�c"), "{secret:?}");
        }
    }

    #[test]
    fn a_long_alert_is_cut_and_still_whole_in_form() {
        // Quotes and control characters grow when they are escaped, twice over.
        for line in ["\"".repeat(100_000), "\u{1}".repeat(100_000), "ü€🦀".repeat(100_000), "x".to_owned()] {
            let alert = alert(vec![line.clone(); if line.len() == 1 { 300_000 } else { 3 }]);
            let message = message(&alert, Language::English, &local());
            assert!(message.len() <= LONGEST, "{} bytes", message.len());
            assert!(message.len() > LONGEST / 4, "no more is cut than has to be: {} bytes", message.len());
            let message: Value = serde_json::from_str(&message).unwrap();
            let told: Value = serde_json::from_str(message["sqs"].as_str().unwrap()).unwrap();
            let kept = told["found"].as_array().unwrap();
            assert!(kept.last().unwrap().as_str().unwrap().ends_with('…'));
            assert!(kept.iter().all(|kept| line.starts_with(kept.as_str().unwrap().trim_end_matches('…'))));
        }
    }

    fn local() -> Local {
        Audience::default().local(Timestamp::UNIX_EPOCH)
    }

    fn alert(found: Vec<String>) -> Alert {
        Alert {
            found,
            to_do: vec!["Set the password by hand.".to_owned()],
            ..Alert::firing(
                Condition::LockedOut,
                "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf".to_owned(),
                Environment::Prod,
            )
        }
    }
}
