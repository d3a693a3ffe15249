//! What is published of a storm, on its way to people: through a queue that brings some of it twice and none of it in
//! its order, by the real `notify`, which dies, to a Slack that is down.

use super::Storm;
use crate::scene::{Scene, published_at};
use relatch::{
    alert::{Alert, Status},
    language::Language,
};
use relatch_integration::{
    aws::Fault,
    lambda::Outcome,
    queue::Queue,
    receiver::{Message, Receiver, Service, Trouble},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};
use tokio::runtime::Builder;

/// Both channels are told everything.
const ROUTES: (&str, &str) = ("RELATCH_ROUTES", r#"[{"to":"slack"},{"to":"pagerduty"}]"#);

/// Four groups that begin, grow and end, and eight conditions that begin and end.
const KEYS: usize = 4 + 8;
const PUBLICATIONS: usize = 4 * 3 + 8 * 2;

#[tokio::test]
async fn each_key_is_one_message_that_ends_and_in_its_thread_every_change_that_was_not_overtaken() {
    let scene = Scene::of(Receiver::secret_with_bot, &[ROUTES]).await;
    let queue = queue_of_a_storm(&scene).await;
    let (mut slack, mut pagerduty) = (Due::default(), Due::default());
    // Slack is down, in one way and another; then it is in a hurry, and well.
    for trouble in [Some(Trouble::Status(503)), Some(Trouble::RateLimited(600)), None] {
        match trouble {
            Some(trouble) => [Service::Post, Service::Update].map(|service| scene.receiver.always(service, trouble)),
            None => [Service::Post, Service::Update].map(|service| {
                scene.receiver.recover();
                scene.receiver.next(service, [Trouble::RateLimited(1)]);
            }),
        };
        while let Some((records, outcome)) = hand_over(&queue, &scene).await {
            let Outcome::Ok(answer) = outcome else { panic!("{outcome:?}") };
            let failed = answer["batchItemFailures"].as_array().unwrap();
            assert_eq!(failed.len(), if trouble.is_some() { records.len() } else { 0 }, "{trouble:?}: {answer}");
            pagerduty.hear(&records);
            if trouble.is_some() {
                break;
            }
            slack.hear(&records);
        }
    }
    assert_eq!((slack.0.len(), pagerduty.0.len()), (KEYS, KEYS));

    let (first, threads) = conversations(&scene.receiver);
    assert_eq!(first.len(), KEYS);
    for (key, due) in &slack.0 {
        let [message] = first[key].as_slice() else { panic!("{key}: {first:#?}") };
        let (_, now) = due.last().unwrap();
        assert_eq!((now.status, &message.text), (Status::Resolved, &summary(now)), "{key}");
        let later: Vec<String> = due[1..].iter().map(|(_, alert)| summary(alert)).collect();
        assert_eq!(threads.get(&message.ts).cloned().unwrap_or_default(), later, "{key}");
    }
    // PagerDuty opens nothing for what has ended before it began.
    let begun = |(_, due): &(_, &Vec<(_, Alert)>)| due.iter().any(|(_, alert)| alert.status == Status::Firing);
    let due: BTreeMap<&String, usize> = pagerduty.0.iter().filter(begun).map(|(key, due)| (key, due.len())).collect();
    let incidents = scene.receiver.incidents();
    assert_eq!(incidents.iter().map(|(key, of)| (key, of.events as usize)).collect::<BTreeMap<_, _>>(), due);
    assert!(incidents.values().all(|incident| !incident.open), "{incidents:#?}");
    assert!((1..KEYS).contains(&incidents.len()), "some end came before its beginning, and some after it");
    is_over(&scene, &queue).await;
}

#[tokio::test]
async fn processes_that_die_while_they_tell_lose_nothing_and_tell_one_message_more_each_at_most() {
    let scene = Scene::of(Receiver::secret_with_bot, &[ROUTES]).await;
    let queue = queue_of_a_storm(&scene).await;
    // Where what was told is written down: a process that dies there has told it.
    for (write, fault) in
        [(3, Fault::KillBefore), (11, Fault::KillAfter), (19, Fault::KillBefore), (26, Fault::KillBefore)]
            as [(u64, fn(_) -> Fault); 4]
    {
        scene.aws.fault_on("dynamodb:PutItem", write, Some(1), fault(scene.notify.process()));
    }
    let mut deaths = 0;
    while let Some((_, outcome)) = hand_over(&queue, &scene).await {
        if let Outcome::Ok(answer) = outcome {
            assert_eq!(answer, json!({ "batchItemFailures": [] }));
        } else {
            assert!(matches!(outcome, Outcome::Exited { .. }), "{outcome:?}");
            deaths += 1;
        }
    }
    assert_eq!(deaths, 4);

    let (first, _) = conversations(&scene.receiver);
    assert_eq!(first.len(), KEYS);
    for (key, messages) in &first {
        assert!(messages.last().unwrap().text.starts_with("[RESOLVED]"), "{key}: {messages:#?}");
    }
    // What one says is said of one key and one change.
    let posts = scene.receiver.calls(Service::Post);
    let texts: BTreeSet<&str> = posts.iter().map(|post| post.body["text"].as_str().unwrap()).collect();
    let more = posts.len() - texts.len();
    assert!(more <= deaths, "{more} messages more than there were changes: {posts:#?}");
    assert!(first.values().map(Vec::len).sum::<usize>() <= KEYS + deaths, "{first:#?}");
    let incidents = scene.receiver.incidents();
    assert!(!incidents.is_empty() && incidents.values().all(|incident| !incident.open), "{incidents:#?}");
    is_over(&scene, &queue).await;
}

/// What was published of a storm, in a queue: a third of it twice, and in any order.
async fn queue_of_a_storm(scene: &Scene) -> Queue<'_> {
    // The storm has a time of its own.
    let storm = thread::spawn(|| {
        Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(messages())
    });
    let messages = storm.join().unwrap();
    let queue = Queue::subscribe(&scene.aws, false).await.unwrap();
    for message in messages {
        queue.put(&message).await.unwrap();
    }
    queue
}

async fn messages() -> Vec<String> {
    let storm = Storm::begin();
    storm.rages(None).await;
    storm.grows().await;
    storm.ends().await;
    let published = storm.shared.published.borrow();
    assert_eq!(published.len(), PUBLICATIONS);
    let mut messages = Vec::new();
    for (at, alert) in published.iter() {
        let message = published_at(&alert.json(), storm.time(*at)).to_string();
        messages.extend(vec![message; if storm.shared.random(3) == 0 { 2 } else { 1 }]);
    }
    messages.sort_by_cached_key(|_| storm.shared.random(1 << 30));
    messages
}

/// Hands over what waits, and takes back what was not delivered. `None` if nothing waits.
async fn hand_over(queue: &Queue<'_>, scene: &Scene) -> Option<(Vec<Value>, Outcome)> {
    let records = queue.receive().await.unwrap();
    if records.is_empty() {
        return None;
    }
    let outcome = scene.notify.invoke(json!({ "Records": records })).await.unwrap();
    queue.settle(&records, &outcome).await.unwrap();
    Some((records, outcome))
}

/// What a channel is to be told of each key, by what it is handed in which order: whatever is newer than all before.
#[derive(Default)]
struct Due(BTreeMap<String, Vec<(String, Alert)>>);

impl Due {
    fn hear(&mut self, records: &[Value]) {
        for record in records {
            let envelope: Value = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
            let message: Value = serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap();
            let (at, alert) = (envelope["Timestamp"].as_str().unwrap().to_owned(), Alert::read(&message).unwrap());
            let due = self.0.entry(alert.key()).or_default();
            if due.last().is_none_or(|(last, _)| *last < at) {
                due.push((at, alert));
            }
        }
    }
}

/// Slack as people see it: by key the messages that begin a conversation, and by those what is said in their thread.
fn conversations(receiver: &Receiver) -> (BTreeMap<String, Vec<Message>>, BTreeMap<String, Vec<String>>) {
    let (mut first, mut threads) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
    for message in receiver.messages() {
        match &message.thread {
            Some(thread) => threads.entry(thread.clone()).or_default().push(message.text),
            None => {
                let context = message.blocks.as_array().unwrap().last().unwrap();
                let key = context["elements"][0]["text"].as_str().unwrap().trim_matches('`').to_owned();
                first.entry(key).or_default().push(message);
            }
        }
    }
    (first, threads)
}

fn summary(alert: &Alert) -> String {
    alert.summary(Language::English)
}

/// Nothing is left anywhere, and nothing has shown that is not to be shown.
async fn is_over(scene: &Scene, queue: &Queue<'_>) {
    assert_eq!(queue.receive().await.unwrap(), Vec::<Value>::new());
    assert_eq!(queue.dead().await.unwrap(), Vec::<Value>::new());
    scene.no_key_shows(&scene.aws.table().await.unwrap()).await;
}
