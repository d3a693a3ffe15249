//! What the tests have in common: an AWS stand-in, Slack and PagerDuty, the handler, and alerts to deliver.

use jiff::{SignedDuration, Timestamp};
use relatch::{
    alert::{Alert, Condition, Status},
    config::Environment,
    rollback::Impact,
};
use relatch_integration::{
    aws::{ACCOUNT, Endpoint, REGION, emulator},
    cloud,
    lambda::{Function, Outcome},
    receiver::{Keys, Receiver, Service},
};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const SECRET: &str = "relatch-channels";

pub(crate) struct Scene {
    pub(crate) aws: Endpoint,
    pub(crate) receiver: Receiver,
    pub(crate) notify: Function,
    pub(crate) secret: String,
}

impl Scene {
    pub(crate) async fn with_webhook() -> Self {
        Self::of(Receiver::secret_with_webhook, &[]).await
    }

    pub(crate) async fn with_bot() -> Self {
        Self::of(Receiver::secret_with_bot, &[]).await
    }

    pub(crate) async fn of(secret: fn(&Receiver) -> Value, settings: &[(&str, &str)]) -> Self {
        let (aws, receiver) = (Endpoint::start().await.unwrap(), Receiver::start().await.unwrap());
        // What the emulator takes to start is not to be the table's slowness.
        aws.emulate().await.unwrap();
        let secret = aws.store().create(SECRET, &secret(&receiver).to_string()).unwrap();
        let notify = cloud::notify(&aws, &together(&receiver.settings(), settings)).unwrap();
        Self { aws, receiver, notify, secret }
    }

    /// What the handler answers to SNS.
    pub(crate) async fn notified(&self, alert: &Alert) -> Outcome {
        self.notify.invoke(from_topic(&published(&alert.json()))).await.unwrap()
    }

    /// Delivers, and is sure that it went well.
    pub(crate) async fn delivers(&self, alert: &Alert) {
        let outcome = self.notified(alert).await;
        assert!(outcome.is_ok(), "{outcome:?}\n{:#?}", self.notify.output().lines());
    }

    /// Makes the secret hold something else.
    pub(crate) fn rekey(&self, secret: &Value) {
        let id = Uuid::new_v4().to_string();
        self.aws.store().put(&self.secret, &id, &secret.to_string(), &["AWSCURRENT"]).unwrap();
    }

    /// The calls of a service: how they ended.
    pub(crate) fn ends(&self, service: Service) -> Vec<String> {
        let end = |status: u16, refused: String| if refused.is_empty() { status.to_string() } else { refused };
        self.receiver.calls(service).into_iter().map(|call| end(call.status, call.refused)).collect()
    }

    /// What people see: the texts of Slack's messages.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.receiver.messages().into_iter().map(|message| message.text).collect()
    }

    /// The values of a metric, in the words of its dimensions.
    pub(crate) async fn metric(&self, name: &str) -> Vec<String> {
        self.notify.stop().await;
        let lines = self.notify.output().lines();
        let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
        let lines = lines.filter(|line| !line["_aws"].is_null() && !line[name].is_null());
        let word = |line: &Value, field: &str| line[field].as_str().unwrap_or("-").to_owned();
        lines.map(|line| format!("{} {}", word(&line, "Condition"), word(&line, "Channel"))).collect()
    }

    /// Nothing that opens anything is in any output, metric, message or item of the table.
    pub(crate) async fn no_key_shows(&self, memory: &[Value]) {
        self.notify.stop().await;
        let output: Vec<String> = self.notify.output().lines().into_iter().map(|line| line.text).collect();
        let said = [output.join("\n"), json!(memory).to_string(), format!("{:?}", self.receiver.received())];
        let Keys { webhook, token, routing, .. } = Keys::default();
        for key in [webhook, token, routing, "MARKED".to_owned()] {
            for said in &said {
                assert!(!said.contains(&key), "{key} is in {said}");
            }
        }
    }
}

pub(crate) fn together<'a>(
    some: &'a [(&'static str, String)],
    others: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let some = some.iter().map(|(name, value)| (*name, value.as_str()));
    some.chain([("RELATCH_CHANNELS_SECRET", SECRET), ("RELATCH_TABLE", emulator::TABLE)])
        .chain(others.iter().copied())
        .collect()
}

/// What SNS makes of a message, now.
pub(crate) fn published(message: &Value) -> Value {
    published_at(message, Timestamp::now())
}

pub(crate) fn published_at(message: &Value, at: Timestamp) -> Value {
    let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:{}", emulator::TOPIC);
    let message = message.as_str().map_or_else(|| message.to_string(), str::to_owned);
    json!({
        "Type": "Notification", "MessageId": Uuid::new_v4().to_string(), "TopicArn": topic, "Subject": null,
        "Message": message, "Timestamp": format!("{at:.3}"), "SignatureVersion": "1", "Signature": "local",
        "SigningCertUrl": "https://sns.amazonaws.com/cert.pem", "MessageAttributes": {},
        "UnsubscribeUrl": "https://sns.amazonaws.com/?Action=Unsubscribe",
    })
}

/// As SNS hands it to a function.
pub(crate) fn from_topic(published: &Value) -> Value {
    let topic = published["TopicArn"].as_str().unwrap();
    json!({ "Records": [{ "EventSource": "aws:sns", "EventVersion": "1.0",
                          "EventSubscriptionArn": format!("{topic}:1"), "Sns": published }] })
}

pub(crate) fn seconds_ago(seconds: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_secs(seconds)
}

pub(crate) fn locked_out() -> Alert {
    Alert {
        impact: Some(Impact::LockedOut),
        found: vec!["AWSCURRENT is rejected by <shop> & its database.".to_owned()],
        to_do: vec!["Set the password by hand.".to_owned()],
        ..Alert::firing(
            Condition::LockedOut,
            format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:shop-prod-secret-database-AbCdEf"),
            Environment::Prod,
        )
    }
}

pub(crate) fn resolved(alert: &Alert) -> Alert {
    Alert { status: Status::Resolved, impact: Some(Impact::Safe), ..alert.clone() }
}

pub(crate) fn of(name: &str) -> Alert {
    Alert { subject: format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf"), ..locked_out() }
}
