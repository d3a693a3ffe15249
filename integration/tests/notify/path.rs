//! The whole path: an event, `respond`, the topic, a queue, `notify`, and what people see. And a part of it: what a person
//! publishes who wants to know whether alerts arrive.

use crate::scene::{SECRET, Scene, together};
use aws_sdk_sns::Client;
use relatch_integration::{
    aws::{ACCOUNT, REGION, emulator},
    cloud::{Cloud, FIRST_PASSWORD},
    lambda::Outcome,
    queue::Queue,
    receiver::{CHANNEL, Receiver},
    trail,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_lock_out_reaches_people_and_so_does_its_end() {
    for raw in [false, true] {
        let (cloud, receiver) = (Cloud::start().await.unwrap(), Receiver::start().await.unwrap());
        cloud.database_secret("app").await.unwrap();
        cloud.aws.store().create(SECRET, &receiver.secret_with_bot().to_string()).unwrap();
        let memory = Cloud::memory();
        let memory: Vec<(&str, &str)> = memory.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let respond = cloud.respond_with(&memory).unwrap();
        let notify = cloud.notify_with(&together(&receiver.settings(), &[])).unwrap();
        let queue = Queue::subscribe(&cloud.aws, raw).await.unwrap();

        cloud.postgres.sql("ALTER ROLE app PASSWORD 'by hand'").await.unwrap();
        assert!(respond.invoke(trail::scheduled()).await.unwrap().is_ok());
        let answer = queue.deliver(&notify).await.unwrap().expect("the topic's message is in the queue");
        assert_eq!(delivered(answer), json!({ "batchItemFailures": [] }));
        let first = receiver.messages().remove(0);
        assert!(first.text.contains("app"), "{first:?}");
        assert_eq!((first.channel.as_str(), first.thread.as_deref(), first.edits), (CHANNEL, None, 0));
        let (key, incident) = receiver.incidents().pop_first().unwrap();
        assert_eq!((incident.open, incident.severity.as_str()), (true, "critical"), "{key}");

        cloud.postgres.sql(&format!("ALTER ROLE app PASSWORD '{FIRST_PASSWORD}'")).await.unwrap();
        assert!(respond.invoke(trail::scheduled()).await.unwrap().is_ok());
        let answer = queue.deliver(&notify).await.unwrap().expect("so is that of the end");
        assert_eq!(delivered(answer), json!({ "batchItemFailures": [] }));
        let messages = receiver.messages();
        assert_eq!(messages.len(), 2, "{messages:#?}");
        assert_eq!(messages[0].edits, 1);
        assert_ne!(messages[0].text, first.text, "the first message says now that it is over");
        assert_eq!(messages[1].thread.as_ref(), Some(&messages[0].ts));
        assert!(receiver.incidents().into_iter().all(|(of, incident)| of == key && !incident.open));
        assert!(queue.deliver(&notify).await.unwrap().is_none(), "nothing is left");

        for function in [&respond, &notify] {
            function.stop().await;
            assert!(!function.output().contains("MARKED"), "{:#?}", function.output().lines());
        }
        let published = cloud.published().unwrap();
        assert!(!published.is_empty());
        let everything = format!("{:?} {published:?} {:?}", cloud.aws.table().await.unwrap(), receiver.received());
        assert!(!everything.contains("MARKED"), "{everything}");
    }
}

#[tokio::test]
async fn a_test_alert_that_is_published_by_hand_reaches_people_and_so_does_its_end() {
    let test = include_str!("../../../infra/test-alert.json");
    let scene = Scene::with_bot().await;
    let queue = Queue::subscribe(&scene.aws, false).await.unwrap();
    let topic = Client::new(&scene.aws.sdk());
    for (document, edits) in [(test.to_owned(), 0), (test.replace(r#"\"firing"#, r#"\"resolved"#), 1)] {
        let arn = format!("arn:aws:sns:{REGION}:{ACCOUNT}:{}", emulator::TOPIC);
        topic.publish().topic_arn(arn).message_structure("json").message(document).send().await.unwrap();
        let answer = queue.deliver(&scene.notify).await.unwrap().expect("the topic's message is in the queue");
        assert_eq!(delivered(answer), json!({ "batchItemFailures": [] }));
        let message = scene.receiver.messages().remove(0);
        let state = ["[FIRING] a test of the alerts", "[RESOLVED] a test of the alerts"][edits as usize];
        assert!(message.text.starts_with(state) && message.edits == edits, "{message:?}");
    }
    assert_eq!(scene.receiver.messages().len(), 2, "the message and, in its thread, the end");
    assert!(queue.dead().await.unwrap().is_empty());
}

fn delivered(outcome: Outcome) -> Value {
    let Outcome::Ok(answer) = outcome else { panic!("notify failed: {outcome:?}") };
    answer
}
