//! Services that are busy, slow, broken or dead, and keys that no longer fit.

use crate::scene::{SECRET, Scene, from_topic, locked_out, of, published};
use relatch::alert::Alert;
use relatch_integration::{
    aws::Fault,
    lambda::Outcome,
    receiver::{Keys, Receiver, Service, Trouble},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_service_that_is_busy_is_left_alone_for_as_long_as_it_asks() {
    let scene = Scene::with_webhook().await;
    for service in [Service::Webhook, Service::PagerDuty] {
        scene.receiver.next(service, [Trouble::RateLimited(2)]);
    }
    scene.delivers(&locked_out()).await;
    for service in [Service::Webhook, Service::PagerDuty] {
        let calls = scene.receiver.calls(service);
        assert_eq!(calls.len(), 2);
        assert!(calls[1].at - calls[0].at >= Duration::from_secs(2), "{calls:?}");
    }
}

#[tokio::test]
async fn a_service_that_wants_to_be_left_alone_for_too_long_is_given_up_at_once() {
    let scene = Scene::with_webhook().await;
    scene.receiver.always(Service::Webhook, Trouble::RateLimited(600));
    let begun = Instant::now();
    assert!(!scene.notified(&locked_out()).await.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(10), "the queue brings it again, and costs nothing meanwhile");
    assert_eq!(scene.receiver.calls(Service::Webhook).len(), 1);
}

#[tokio::test]
async fn what_fails_for_a_moment_is_tried_again() {
    for trouble in [Trouble::Status(500), Trouble::Status(503), Trouble::Silent] {
        let scene = Scene::with_bot().await;
        scene.receiver.next(Service::Post, [trouble; 2]);
        scene.receiver.next(Service::PagerDuty, [trouble]);
        scene.delivers(&locked_out()).await;
        assert_eq!(scene.receiver.messages().len(), 1, "{trouble:?}");
        assert_eq!(scene.receiver.incidents().len(), 1, "{trouble:?}");
        assert_eq!(scene.ends(Service::Post).len(), 3, "{trouble:?}");
        scene.no_key_shows(&scene.aws.table().await.unwrap()).await;
    }
}

#[tokio::test]
async fn what_was_taken_is_never_posted_again_whatever_the_answer_says() {
    for (service, secret) in [
        (Service::Webhook, Receiver::secret_with_webhook as fn(&Receiver) -> Value),
        (Service::Post, Receiver::secret_with_bot),
        (Service::PagerDuty, Receiver::secret_with_bot),
    ] {
        let scene = Scene::of(secret, &[]).await;
        scene.receiver.always(service, Trouble::Broken);
        scene.delivers(&locked_out()).await;
        assert_eq!(scene.receiver.calls(service).len(), 1, "{service:?}");
        // It is not said to be well either.
        let channel = if service == Service::PagerDuty { "pagerduty" } else { "slack" };
        assert_eq!(scene.metric("AlertUndelivered").await, [format!("locked-out {channel}")]);
    }
}

#[tokio::test]
async fn a_line_break_at_the_end_of_a_key_is_none_of_it() {
    fn broken(secret: &Value) -> Value {
        let fields = secret.as_object().unwrap().iter();
        fields.map(|(name, key)| (name.clone(), json!(format!("{}\n", key.as_str().unwrap())))).collect()
    }
    let secrets: [fn(&Receiver) -> Value; 2] =
        [|receiver| broken(&receiver.secret_with_webhook()), |receiver| broken(&receiver.secret_with_bot())];
    for secret in secrets {
        let scene = Scene::of(secret, &[]).await;
        scene.delivers(&locked_out()).await;
        assert_eq!((scene.receiver.messages().len(), scene.receiver.incidents().len()), (1, 1));
    }
}

#[tokio::test]
async fn a_url_of_a_workflow_is_refused_by_name_and_pagerduty_is_told() {
    let scene = Scene::of(
        |receiver| {
            json!({ "slackWebhookUrl": "https://hooks.slack.com/triggers/T0/1/MARKED", "pagerDutyRoutingKey": receiver.keys().routing })
        },
        &[],
    )
    .await;
    let outcome = format!("{:?}", scene.notified(&locked_out()).await);
    assert!(outcome.contains("Workflow Builder") && !outcome.contains("MARKED"), "{outcome}");
    assert_eq!(scene.receiver.incidents().len(), 1);
    scene.no_key_shows(&scene.aws.table().await.unwrap()).await;
}

#[tokio::test]
async fn an_answer_that_is_late_is_waited_for() {
    let scene = Scene::with_webhook().await;
    scene.receiver.next(Service::Webhook, [Trouble::Slow(Duration::from_millis(1200))]);
    scene.delivers(&locked_out()).await;
    assert_eq!(scene.receiver.messages().len(), 1);
}

#[tokio::test]
async fn where_only_the_answer_is_lost_people_are_told_twice_and_paged_once() {
    let scene = Scene::with_webhook().await;
    for service in [Service::Webhook, Service::PagerDuty] {
        scene.receiver.next(service, [Trouble::Lost]);
    }
    scene.delivers(&locked_out()).await;
    assert_eq!(scene.receiver.messages().len(), 2);
    assert_eq!(scene.receiver.incidents().len(), 1);
}

#[tokio::test]
async fn a_dead_channel_hides_no_other_and_is_told_when_it_lives_again() {
    for (dead, living) in [(Service::Post, Service::PagerDuty), (Service::PagerDuty, Service::Post)] {
        let scene = Scene::with_bot().await;
        scene.receiver.always(dead, Trouble::Status(500));
        let event = from_topic(&published(&locked_out().json()));
        let Outcome::Error { error_type, error_message } = scene.notify.invoke(event.clone()).await.unwrap() else {
            panic!("SNS is to bring it again");
        };
        assert_eq!(error_type, "Notify.Undelivered");
        assert!(error_message.contains("HTTP status 500"), "{error_message}");
        assert_eq!(scene.ends(living).len(), 1);
        scene.receiver.recover();
        assert!(scene.notify.invoke(event).await.unwrap().is_ok());
        assert_eq!(scene.ends(living).len(), 1, "it has been told");
        assert_eq!((scene.receiver.messages().len(), scene.receiver.incidents().len()), (1, 1));
        assert_eq!(scene.metric("AlertUndelivered").await.len(), 1);
        assert_eq!(scene.metric("AlertSent").await.len(), 2);
        scene.no_key_shows(&scene.aws.table().await.unwrap()).await;
    }
}

#[tokio::test]
async fn keys_that_no_longer_fit_are_read_again() {
    let other = Keys {
        webhook: "T0/B0/MARKED-second".to_owned(),
        token: "xoxb-MARKED-second".to_owned(),
        routing: "MARKEDsecondkey0123456789abcdefg".to_owned(),
        ..Keys::default()
    };
    for secret in [Receiver::secret_with_webhook, Receiver::secret_with_bot] {
        let scene = Scene::of(secret, &[]).await;
        scene.delivers(&of("before")).await;
        scene.receiver.change_keys(other.clone());
        scene.rekey(&secret(&scene.receiver));
        scene.delivers(&of("after")).await;
        assert_eq!((scene.receiver.messages().len(), scene.receiver.incidents().len()), (2, 2));
        assert_eq!(scene.aws.calls().iter().filter(|call| call.action == "GetSecretValue").count(), 2);
        scene.no_key_shows(&scene.aws.table().await.unwrap()).await;
    }
}

#[tokio::test]
async fn keys_that_fit_nowhere_are_told_without_being_shown() {
    for secret in [Receiver::secret_with_webhook, Receiver::secret_with_bot] {
        let scene = Scene::of(secret, &[]).await;
        let other = |key: &str| key.replace("MARKED", "OTHERS");
        let Keys { webhook, token, routing, check } = Keys::default();
        let (webhook, token, routing) = (other(&webhook), other(&token), other(&routing));
        scene.receiver.change_keys(Keys { webhook, token, routing, check });
        let Outcome::Error { error_message, .. } = scene.notified(&locked_out()).await else {
            panic!("nobody was told")
        };
        assert!(error_message.contains("slack") && error_message.contains("pagerduty"), "{error_message}");
        assert!(error_message.contains("not permitted") || error_message.contains("not found"), "{error_message}");
        assert!(!error_message.contains("MARKED"), "{error_message}");
        scene.no_key_shows(&scene.aws.table().await.unwrap()).await;
    }
}

#[tokio::test]
async fn an_address_that_is_no_https_url_gets_nothing() {
    for address in [
        "MARKED",
        "http://example.com/services/MARKED",
        "ftp://127.0.0.1/MARKED",
        // In Lambda, the Runtime API.
        "http://127.0.0.1:9001/MARKED",
        "http://localhost/MARKED",
        "http://[::1]/MARKED",
    ] {
        let scene = Scene::with_webhook().await;
        scene.rekey(&json!({ "slackWebhookUrl": address }));
        let outcome = scene.notified(&locked_out()).await;
        assert!(format!("{outcome:?}").contains("not an HTTPS URL"), "{outcome:?}");
        scene.no_key_shows(&[]).await;
    }
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_told_by_name_and_the_keys_of_before_are_not_needed() {
    let scene = Scene::of(Receiver::secret_with_webhook, &[("RELATCH_CHANNELS_SECRET", "elsewhere")]).await;
    let outcome = format!("{:?}", scene.notified(&locked_out()).await);
    assert!(outcome.contains("does not exist, or is empty"), "{outcome}");
    let scene = Scene::with_webhook().await;
    scene.aws.store().put(&scene.secret, &uuid::Uuid::new_v4().to_string(), "MARKED no JSON", &["AWSCURRENT"]).unwrap();
    let outcome = format!("{:?}", scene.notified(&locked_out()).await);
    assert!(outcome.contains("no JSON object of texts"), "{outcome}");
    scene.no_key_shows(&[]).await;
    let scene = Scene::with_webhook().await;
    scene.aws.fault_always("secretsmanager:GetSecretValue", Fault::Deny);
    let outcome = format!("{:?}", scene.notified(&locked_out()).await);
    assert!(outcome.contains("not permitted"), "{outcome} {SECRET}");
    assert_eq!(scene.metric("AlertUndelivered").await, ["locked-out all"]);
}

#[tokio::test]
async fn what_slack_does_not_take_in_blocks_is_told_in_plain_text() {
    let scene = Scene::with_bot().await;
    scene.receiver.take_blocks_of(5000);
    let lines = vec!["<long> & ".repeat(1000)];
    let alert = Alert { found: lines.clone(), done: lines.clone(), to_do: lines, ..locked_out() };
    scene.delivers(&alert).await;
    let ends = scene.ends(Service::Post);
    assert_eq!(ends, ["msg_blocks_too_long", "200"]);
    let message = scene.receiver.messages().remove(0);
    assert!(message.blocks.is_null() && message.text.contains("&lt;long&gt; &amp; "), "{message:?}");
}
