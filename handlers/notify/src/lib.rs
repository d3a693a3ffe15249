//! Alerts of a topic → Slack, PagerDuty.
//!
//! Only wiring: how alerts reach people is decided in [`relatch::alert::deliver`]. The function is subscribed to the
//! topic, or to a queue behind it; what could not be delivered goes back to whoever brought it.

use jiff::Timestamp;
use lambda_runtime::{Diagnostic, Error, LambdaEvent};
use relatch::{
    adapters::{self, secrets_manager::SecretsManager, table::DynamoTable, webhooks::Webhooks},
    alert::{
        Alert, Status,
        deliver::{Delivery, Failure, Keyring, News},
        findings,
    },
    config::{Environment, Notify},
    invocation::deadline,
    language::Language,
    ports::{Channels, Deliveries, Secrets},
};
use relatch_events::{
    notification::{Notification, Notifications, Sender},
    trigger::{Alarm, AlarmState},
};
use serde_json::{Value, json};
use std::time::Duration;
use tracing::{error, info};

/// Kept back of the invocation's time, for saying what happened.
const RESERVE: Duration = Duration::from_secs(1);

/// The handler, over an outside that tests may replace.
#[derive(Debug)]
pub struct App<S, C, T> {
    /// How alerts reach people.
    pub delivery: Delivery<S, C, T>,
    /// In what words an alarm is spoken of that publishes by itself.
    pub language: Language,
}

impl App<SecretsManager, Webhooks, Option<DynamoTable>> {
    /// The handler over AWS, by the environment.
    ///
    /// # Errors
    /// When a setting is wrong; the error names every one.
    pub async fn from_env() -> Result<Self, Error> {
        let Notify { common, secret, routes, addresses } = Notify::from_env()?;
        let patience = common.rotation.patience;
        let sdk = adapters::sdk_config(patience).await?;
        let secrets = SecretsManager::new(&sdk, common.secrets_endpoint.as_deref());
        let language = common.audience.language;
        let delivery = Delivery {
            keyring: Keyring::new(secrets, secret),
            channels: Webhooks::new(addresses, common.audience, patience),
            deliveries: common.people.table.map(|name| DynamoTable::new(&sdk, name)),
            routes,
            patience,
            metrics: common.metrics,
        };
        Ok(Self { delivery, language })
    }
}

impl<S: Secrets, C: Channels, T: Deliveries> App<S, C, T> {
    /// Delivers every alert that the event holds. A queue is answered with those that were not delivered.
    ///
    /// # Errors
    /// When the event is foreign, or when SNS has brought something that was not delivered; it then brings it again, and
    /// in the end to its dead-letter queue.
    pub async fn handle(&self, invocation: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
        let notifications = Notifications::parse(&invocation.payload).map_err(|problem| {
            error!(error.kind = "Notify.BadEvent", "The event cannot be used: {problem}");
            diagnostic("Notify.BadEvent", format!("the event cannot be used: {problem}"))
        })?;
        let mut news = Vec::new();
        // By delivery: what keeps it from being done.
        let mut undelivered: Vec<(String, String)> = Vec::new();
        for notification in notifications.all {
            match self.read(&notification) {
                Ok(Some(read)) => news.push((notification.delivery, read)),
                Ok(None) => {}
                Err(why) => {
                    self.delivery.metrics.alert_undelivered("unreadable", "all");
                    error!(error.kind = "Notify.NoAlert", message.id = notification.id, "Not an alert: {why}");
                    undelivered.push((notification.delivery, format!("not an alert: {why}")));
                }
            }
        }
        let (deliveries, news): (Vec<String>, Vec<News>) = news.into_iter().unzip();
        let failures = self.delivery.run(&news, deadline(invocation.context.deadline, RESERVE)).await;
        undelivered.extend(deliveries.into_iter().zip(failures).filter_map(|(delivery, failures)| {
            let why: Vec<String> = failures.iter().map(Failure::to_string).collect();
            (!why.is_empty()).then(|| (delivery, why.join("; ")))
        }));
        answer(notifications.from, undelivered)
    }

    /// What a message says; `None` if it is nothing to tell. Otherwise why it cannot be read.
    fn read(&self, notification: &Notification) -> Result<Option<News>, String> {
        let message: Value = serde_json::from_str(&notification.message).map_err(|_| "it is not JSON".to_owned())?;
        let alert = match Alarm::from_message(&message) {
            Ok(alarm) => of_alarm(&alarm, self.delivery.metrics.environment, self.language),
            Err(_) => Some(Alert::read(&message).map_err(|problem| problem.to_string())?),
        };
        let at = notification.at.as_deref().and_then(published).unwrap_or_else(Timestamp::now);
        Ok(alert.map(|alert| News { id: notification.id.clone(), at, alert }))
    }
}

/// A CloudWatch alarm that publishes to the topic by itself.
fn of_alarm(alarm: &Alarm, environment: Environment, language: Language) -> Option<Alert> {
    let status = match alarm.state {
        AlarmState::Alarm => Status::Firing,
        AlarmState::Ok => Status::Resolved,
        AlarmState::InsufficientData => {
            info!(alarm.name = alarm.name, "CloudWatch has too few data to tell how the alarm is");
            return None;
        }
    };
    Some(Alert { status, ..findings::of_alarm(&alarm.name, alarm.reason.as_deref(), environment, language) })
}

/// RFC 3339, or milliseconds since 1970.
fn published(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| Timestamp::from_millisecond(text.parse().ok()?).ok())
}

/// A queue is told which messages to bring again. If one of them has no name, all of them are.
fn answer(to: Sender, undelivered: Vec<(String, String)>) -> Result<Value, Diagnostic> {
    let nameless = undelivered.iter().any(|(delivery, _)| delivery.is_empty());
    match to {
        Sender::Queue if !nameless => {
            let failures = undelivered.iter().map(|(delivery, _)| json!({ "itemIdentifier": delivery }));
            Ok(json!({ "batchItemFailures": failures.collect::<Vec<_>>() }))
        }
        Sender::Queue | Sender::Topic if undelivered.is_empty() => Ok(json!({})),
        Sender::Queue | Sender::Topic => {
            let why: Vec<String> = undelivered.into_iter().map(|(_, why)| why).collect();
            Err(diagnostic("Notify.Undelivered", why.join("; ")))
        }
    }
}

fn diagnostic(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message }
}
