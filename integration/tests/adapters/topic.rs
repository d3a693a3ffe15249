//! What the subscribers of a topic are told.

use crate::arn;
use aws_sdk_sns::Client;
use axum::{Router, extract::State};
use relatch::{
    adapters::topic::SnsTopic,
    alert::{Alert, Condition},
    config::Environment,
    ports::{CallErrorKind, Topic},
    rollback::Impact,
};
use relatch_integration::aws::{ACCOUNT, Endpoint, REGION};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::AbortHandle,
    time::timeout,
};
use uuid::Uuid;

#[tokio::test]
async fn a_subscriber_is_told_headline_text_and_attributes() {
    let aws = Endpoint::start().await.unwrap();
    let mut subscriber = Subscriber::start().await;
    let topic = topic(&aws, "").await;
    subscriber.subscribe(&aws, &topic).await;
    let alert = alert();
    SnsTopic::new(&aws.sdk(), &topic).publish(&alert).await.unwrap();
    let told = subscriber.told().await;
    assert_eq!(told["Subject"], "[LOCKED_OUT] app: No version of the secret opens the database");
    assert!(told["Message"].as_str().unwrap().starts_with("No version of the secret opens the database\n"), "{told:#}");
    let attribute = |text: &str| json!({ "Type": "String", "Value": text });
    assert_eq!(
        told["MessageAttributes"],
        json!({
            "severity": attribute("critical"), "condition": attribute("locked-out"),
            "environment": attribute("prod"), "status": attribute("firing"), "secret": attribute("app"),
        })
    );
}

#[tokio::test]
async fn a_filter_can_find_every_secret_of_a_group() {
    let aws = Endpoint::start().await.unwrap();
    let mut subscriber = Subscriber::start().await;
    let topic = topic(&aws, "").await;
    subscriber.subscribe(&aws, &topic).await;
    let alert = Alert { members: vec![arn("app"), arn("crm")], ..alert() };
    SnsTopic::new(&aws.sdk(), &topic).publish(&alert).await.unwrap();
    let told = subscriber.told().await;
    assert_eq!(told["MessageAttributes"]["secret"], json!({ "Type": "String.Array", "Value": r#"["app","crm"]"# }));
}

#[tokio::test]
async fn an_alert_of_any_length_is_told() {
    let aws = Endpoint::start().await.unwrap();
    let mut subscriber = Subscriber::start().await;
    let topic = topic(&aws, "").await;
    subscriber.subscribe(&aws, &topic).await;
    let alert = Alert { found: vec!["ü\"".repeat(200_000)], ..alert() };
    SnsTopic::new(&aws.sdk(), &topic).publish(&alert).await.unwrap();
    let told = subscriber.told().await;
    assert!(told["Message"].as_str().unwrap().contains("\"…\n"), "it is cut");
}

#[tokio::test]
async fn a_fifo_topic_takes_the_same_alert_twice() {
    let aws = Endpoint::start().await.unwrap();
    let topic = SnsTopic::new(&aws.sdk(), topic(&aws, ".fifo").await);
    let long = Alert { subject: arn(&"long".repeat(100)), ..alert() };
    for alert in [alert(), alert(), long] {
        topic.publish(&alert).await.unwrap();
    }
}

#[tokio::test]
async fn a_topic_that_is_not_there_is_said_to_be_missing() {
    let aws = Endpoint::start().await.unwrap();
    let topic = SnsTopic::new(&aws.sdk(), format!("arn:aws:sns:{REGION}:{ACCOUNT}:elsewhere"));
    let problem = topic.publish(&alert()).await.unwrap_err();
    assert_eq!((problem.operation, problem.kind), ("sns:Publish", CallErrorKind::NotFound), "{problem}");
}

/// Somebody who is told over HTTP, on a port of its own.
struct Subscriber {
    url: String,
    told: UnboundedReceiver<Value>,
    server: AbortHandle,
}

impl Subscriber {
    async fn start() -> Self {
        async fn hear(State(told): State<UnboundedSender<Value>>, body: String) {
            let _ = told.send(serde_json::from_str(&body).unwrap());
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (sender, told) = unbounded_channel();
        let router = Router::new().fallback(hear).with_state(sender);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }).abort_handle();
        Self { url, told, server }
    }

    async fn subscribe(&mut self, aws: &Endpoint, topic: &str) {
        let client = Client::new(&aws.sdk());
        client.subscribe().topic_arn(topic).protocol("http").endpoint(&self.url).send().await.unwrap();
        let asked = self.next().await;
        assert_eq!(asked["Type"], "SubscriptionConfirmation", "{asked}");
        let token = asked["Token"].as_str().unwrap();
        client.confirm_subscription().topic_arn(topic).token(token).send().await.unwrap();
    }

    async fn told(&mut self) -> Value {
        let told = self.next().await;
        assert_eq!(told["Type"], "Notification", "{told}");
        told
    }

    async fn next(&mut self) -> Value {
        timeout(Duration::from_secs(20), self.told.recv()).await.expect("nobody tells anything").unwrap()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn topic(aws: &Endpoint, suffix: &str) -> String {
    let create = Client::new(&aws.sdk()).create_topic().name(format!("alerts-{}{suffix}", Uuid::new_v4()));
    let create = if suffix.is_empty() { create } else { create.attributes("FifoTopic", "true") };
    create.send().await.unwrap().topic_arn.unwrap()
}

fn alert() -> Alert {
    Alert {
        impact: Some(Impact::LockedOut),
        found: vec!["The database rejects every version.".to_owned()],
        to_do: vec!["Set the password by hand.".to_owned()],
        ..Alert::firing(Condition::LockedOut, arn("app"), Environment::Prod)
    }
}
