//! A queue between the topic and the handler: batches, poison, and what is brought again.

use crate::scene::{Scene, from_topic, locked_out, of, published, published_at, resolved, seconds_ago};
use relatch::alert::Alert;
use relatch_integration::{
    condition::eventually,
    lambda::Outcome,
    queue::Queue,
    receiver::{Receiver, Service, Trouble},
};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn poison_is_put_aside_and_the_others_are_delivered() {
    let scene = Scene::with_webhook().await;
    let queue = Queue::subscribe(&scene.aws, false).await.unwrap();
    let mut newer = locked_out().json();
    newer["version"] = json!(2);
    for poison in [published(&json!("hello")), published(&json!({ "AlarmName": "no state" })), published(&newer)] {
        queue.put(&poison.to_string()).await.unwrap();
    }
    queue.put("not even an envelope").await.unwrap();
    for name in ["one", "two"] {
        queue.put(&published(&of(name).json()).to_string()).await.unwrap();
    }
    for _ in 0..Queue::MOST_RECEIVES {
        let answer = answered(queue.deliver(&scene.notify).await.unwrap().unwrap());
        assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 4, "{answer:#}");
    }
    assert!(queue.deliver(&scene.notify).await.unwrap().is_none());
    assert_eq!(queue.dead().await.unwrap().len(), 4);
    assert_eq!(scene.texts().len(), 2, "once each");
    assert_eq!(scene.metric("AlertUndelivered").await, vec!["unreadable all"; 4 * Queue::MOST_RECEIVES as usize]);
    let reasons = scene.notify.output().lines();
    for reason in ["it is not JSON", "`version` is not 1"] {
        assert!(reasons.iter().any(|line| line.text.contains(reason)), "{reason}: {reasons:#?}");
    }
}

#[tokio::test]
async fn a_dead_channel_gives_the_batch_back_and_takes_it_once_when_it_lives() {
    let scene = Scene::with_bot().await;
    let queue = Queue::subscribe(&scene.aws, true).await.unwrap();
    let alerts = ["one", "two", "three", "four"].map(of);
    for alert in &alerts {
        queue.put(&alert.json().to_string()).await.unwrap();
    }
    scene.receiver.always(Service::Post, Trouble::Silent);
    let answer = answered(queue.deliver(&scene.notify).await.unwrap().unwrap());
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 4);
    assert_eq!(scene.receiver.incidents().len(), 4, "the other channel was told everything");
    assert!(scene.receiver.calls(Service::Post).len() <= 5, "and the time was not spent on each");
    scene.receiver.recover();
    let answer = answered(queue.deliver(&scene.notify).await.unwrap().unwrap());
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    assert_eq!(scene.receiver.messages().len(), 4);
    assert_eq!(scene.receiver.calls(Service::PagerDuty).len(), 4, "nobody is told twice");
}

#[tokio::test]
async fn what_one_batch_says_of_a_key_is_told_in_its_order() {
    let scene = Scene::with_bot().await;
    let say = |alert: &Alert, seconds| published_at(&alert.json(), seconds_ago(seconds)).to_string();
    let bodies = [say(&locked_out(), 9), say(&resolved(&locked_out()), 5), say(&of("other"), 3)];
    let records = bodies.iter().enumerate().map(
        |(n, body)| json!({ "messageId": n.to_string(), "eventSource": "aws:sqs", "body": body, "attributes": {} }),
    );
    let event = json!({ "Records": records.collect::<Vec<Value>>() });
    let answer = answered(scene.notify.invoke(event).await.unwrap());
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    let open: Vec<bool> = scene.receiver.incidents().into_values().map(|incident| incident.open).collect();
    assert_eq!(open.iter().filter(|open| **open).count(), 1, "{:#?}", scene.receiver.incidents());
    assert_eq!(scene.receiver.messages().len(), 3);
}

#[tokio::test]
async fn a_beginning_that_is_told_while_another_process_tells_the_end_is_not_the_last_word() {
    // What is slow here is not to be given up, or it would be told twice.
    let scene = Scene::of(Receiver::secret_with_bot, &[("RELATCH_TIMEOUT_MS", "30000")]).await;
    for service in [Service::Post, Service::PagerDuty] {
        scene.receiver.next(service, [Trouble::Slow(Duration::from_secs(2))]);
    }
    let [begins, ends] = [(locked_out(), 9), (resolved(&locked_out()), 5)]
        .map(|(alert, seconds)| from_topic(&published_at(&alert.json(), seconds_ago(seconds))));
    let has_looked =
        || scene.aws.calls().iter().filter(|call| call.action == "GetItem" && call.took.is_some()).count() == 2;
    let ends = async {
        eventually("the beginning has been looked up", async || has_looked()).await;
        scene.notify.invoke(ends).await.unwrap()
    };
    let (begun, ended) = tokio::join!(scene.notify.invoke(begins), ends);
    assert!(begun.unwrap().is_ok() && ended.is_ok());
    let incidents = scene.receiver.incidents();
    assert!(incidents.values().all(|incident| !incident.open), "{incidents:#?}");
    let messages = scene.receiver.messages();
    assert!(messages.iter().all(|message| message.text.starts_with("[RESOLVED]")), "{messages:#?}");
    // Were the other one's the last word by itself, the race would not have been run.
    assert_eq!((incidents.len(), messages.len()), (1, 3));
}

#[tokio::test]
async fn an_event_of_something_else_is_refused() {
    let scene = Scene::with_webhook().await;
    for event in [json!({}), json!({ "Records": [{ "eventSource": "aws:s3" }] })] {
        let outcome = scene.notify.invoke(event).await.unwrap();
        assert!(
            matches!(&outcome, Outcome::Error { error_type, .. } if error_type == "Notify.BadEvent"),
            "{outcome:?}"
        );
    }
    let nameless = json!({ "Records": [{ "eventSource": "aws:sqs", "body": "poison" }] });
    let outcome = scene.notify.invoke(nameless).await.unwrap();
    assert!(!outcome.is_ok(), "what cannot be named in the answer fails the whole: {outcome:?}");
}

fn answered(outcome: Outcome) -> Value {
    let Outcome::Ok(answer) = outcome else { panic!("notify failed: {outcome:?}") };
    answer
}
