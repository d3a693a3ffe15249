//! What people see of an alert, of its end, and of what comes again.

use crate::scene::{Scene, from_topic, locked_out, of, published, published_at, resolved, seconds_ago};
use relatch::alert::{Alert, Condition};
use relatch_integration::{
    aws::Fault,
    receiver::{CHANNEL, OTHER_CHANNEL, Receiver, Service},
    trail,
};

#[tokio::test]
async fn a_webhook_writes_a_message_for_the_beginning_and_one_for_the_end() {
    let scene = Scene::with_webhook().await;
    let alert = locked_out();
    scene.delivers(&alert).await;
    scene.delivers(&resolved(&alert)).await;
    insta::assert_snapshot!(scene.texts().join("\n"));
    assert!(scene.receiver.messages().iter().all(|message| message.thread.is_none() && message.edits == 0));
    let (key, incident) = scene.receiver.incidents().pop_first().unwrap();
    assert_eq!((key, incident.open, incident.events), (alert.key(), false, 2));
}

#[tokio::test]
async fn a_bot_edits_its_message_and_adds_to_its_thread() {
    let scene = Scene::with_bot().await;
    let alert = locked_out();
    scene.delivers(&alert).await;
    let worse = Alert { found: vec!["It goes on.".to_owned()], ..alert.clone() };
    scene.delivers(&worse).await;
    scene.delivers(&resolved(&alert)).await;
    let messages = scene.receiver.messages();
    let first = messages[0].ts.clone();
    assert_eq!(messages[0].edits, 2);
    let seen: Vec<_> = messages.iter().map(|message| (message.thread.clone(), message.broadcast)).collect();
    assert_eq!(seen, [(None, false), (Some(first.clone()), true), (Some(first), false)]);
    assert!(messages.iter().all(|message| message.channel == CHANNEL));
    assert_eq!(messages[0].text, messages[2].text, "the first message says how it is now");

    scene.delivers(&alert).await;
    let again = scene.receiver.messages().remove(3);
    assert_eq!((again.thread, again.edits), (None, 0), "what begins anew is a message of its own");
}

#[tokio::test]
async fn a_message_that_somebody_has_deleted_is_written_anew() {
    let scene = Scene::with_bot().await;
    scene.delivers(&locked_out()).await;
    scene.receiver.forget_messages();
    scene.delivers(&resolved(&locked_out())).await;
    assert_eq!(scene.ends(Service::Update), ["message_not_found"]);
    assert_eq!(scene.receiver.messages().len(), 1);
}

#[tokio::test]
async fn what_is_delivered_again_is_not_told_again() {
    for scene in [Scene::with_webhook().await, Scene::with_bot().await] {
        let event = from_topic(&published(&locked_out().json()));
        for _ in 0..3 {
            assert!(scene.notify.invoke(event.clone()).await.unwrap().is_ok());
            // The next one is cold, and remembers nothing by itself.
            scene.notify.stop().await;
        }
        assert_eq!(scene.receiver.received().len(), 2, "one call for each channel");
    }
}

#[tokio::test]
async fn a_beginning_that_comes_after_its_end_is_not_told() {
    let scene = Scene::with_bot().await;
    scene.delivers(&resolved(&locked_out())).await;
    let late = from_topic(&published_at(&locked_out().json(), seconds_ago(60)));
    assert!(scene.notify.invoke(late).await.unwrap().is_ok());
    assert_eq!(scene.receiver.messages().len(), 1);
    assert!(scene.receiver.incidents().is_empty(), "an incident that nobody ends");
}

#[tokio::test]
async fn routes_go_by_severity_and_environment() {
    let routes = format!(
        r#"[{{"to":"slack","environments":["dev"]}},
            {{"to":"slack","channel":"{OTHER_CHANNEL}","severity":"critical","environments":["prod"]}}]"#
    );
    let scene = Scene::of(Receiver::secret_with_bot, &[("RELATCH_ROUTES", &routes)]).await;
    let mild = Alert { impact: None, ..of("mild") };
    for alert in [locked_out(), mild.clone(), resolved(&mild), resolved(&locked_out())] {
        scene.delivers(&alert).await;
    }
    let messages = scene.receiver.messages();
    assert!(messages.iter().all(|message| message.channel == OTHER_CHANNEL), "{messages:#?}");
    assert_eq!(messages.len(), 2, "the end of what nobody was told there is no news: {messages:#?}");
    assert!(scene.receiver.calls(Service::PagerDuty).is_empty());
    scene.delivers(&Alert { environment: relatch::config::Environment::Dev, ..mild }).await;
    assert_eq!(scene.receiver.messages()[2].channel, CHANNEL);
}

#[tokio::test]
async fn a_channel_without_a_key_is_a_mistake_only_where_somebody_asked_for_it() {
    let webhook = |receiver: &Receiver| serde_json::json!({ "slackWebhookUrl": receiver.webhook() });
    let scene = Scene::of(webhook, &[]).await;
    scene.delivers(&locked_out()).await;
    let scene = Scene::of(webhook, &[("RELATCH_ROUTES", r#"[{"to":"pagerduty"}]"#)]).await;
    let outcome = format!("{:?}", scene.notified(&locked_out()).await);
    assert!(outcome.contains("holds no key"), "{outcome}");
    let scene = Scene::of(|_| serde_json::json!({}), &[]).await;
    let outcome = format!("{:?}", scene.notified(&locked_out()).await);
    assert!(outcome.contains("the channels' secret holds no key"), "{outcome}");
}

#[tokio::test]
async fn an_alarm_that_publishes_by_itself_is_told_too() {
    let scene = Scene::with_webhook().await;
    for state in ["ALARM", "INSUFFICIENT_DATA", "OK"] {
        assert!(scene.notify.invoke(trail::alarm_through_sns("queue-not-empty", state)).await.unwrap().is_ok());
    }
    let texts = scene.texts();
    assert_eq!(texts.len(), 2, "{texts:#?}");
    assert!(texts.iter().all(|text| text.contains("queue-not-empty")), "{texts:#?}");
}

#[tokio::test]
async fn a_table_that_cannot_be_reached_keeps_nobody_from_being_told() {
    let scene = Scene::with_bot().await;
    scene.aws.fault_always("dynamodb:*", Fault::Refuse);
    scene.delivers(&locked_out()).await;
    scene.delivers(&resolved(&locked_out())).await;
    assert_eq!(scene.receiver.messages().len(), 2);
    let scene = Scene::of(Receiver::secret_with_bot, &[("RELATCH_TABLE", "")]).await;
    scene.delivers(&locked_out()).await;
    assert_eq!(scene.receiver.messages().len(), 1);
}

#[tokio::test]
async fn the_secret_is_read_once() {
    let scene = Scene::with_webhook().await;
    for name in ["one", "two", "three"] {
        scene.delivers(&of(name)).await;
    }
    assert_eq!(scene.aws.calls().iter().filter(|call| call.action == "GetSecretValue").count(), 1);
}

#[tokio::test]
async fn every_condition_is_taken_by_slack_and_pagerduty() {
    let scene = Scene::with_bot().await;
    let line = "This is a line with <angles> & \"quotes\", as long as lines get. ".repeat(4);
    for condition in Condition::ALL {
        let lines = vec![line.clone(); 3];
        let alert = Alert { condition, found: lines.clone(), done: lines.clone(), to_do: lines, ..locked_out() };
        scene.delivers(&alert).await;
        scene.delivers(&resolved(&alert)).await;
    }
    let refused: Vec<_> = scene.receiver.received().into_iter().filter(|call| !call.refused.is_empty()).collect();
    assert!(refused.is_empty(), "{refused:#?}");
    assert_eq!(scene.receiver.incidents().len(), Condition::ALL.len());
    let sent = scene.metric("AlertSent").await;
    assert_eq!(sent.len(), Condition::ALL.len() * 4);
    assert!(
        sent.contains(&"locked-out slack".to_owned()) && sent.contains(&"stranded pagerduty".to_owned()),
        "{sent:?}"
    );
    assert_eq!(scene.metric("DeliveryMs").await.len(), sent.len());
}
