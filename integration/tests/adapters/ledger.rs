//! What the audit has written down, in a table of DynamoDB.

use crate::{Item, Scene, TABLE};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::{Router, http::HeaderMap, routing::post};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use relatch::{
    adapters::table::DynamoTable,
    audit::{
        chain::{Anchor, Break, Head, Record, Verifier},
        ledger::{ACCESSES_ARE_KEPT, Appended, Ended, Entry, Noted, Page, Question, UNNAMED},
    },
    config::Environment,
    ports::{CallError, CallErrorKind, Ledger},
};
use relatch_events::moment::Moment;
use relatch_integration::aws::{Fault, REGION, sdk_at};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

const PROD: Environment = Environment::Prod;
const APP: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app";
const OTHER: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:other";

#[tokio::test]
async fn many_writers_make_one_chain_with_each_change_once() {
    const WRITERS: usize = 8;
    const OWN: usize = 25;
    const COMMON: usize = 10;
    let scene = Scene::start().await;
    let writer = |writer: usize| {
        let table = scene.table.clone();
        tokio::spawn(async move {
            let mut appended = Vec::new();
            for n in 0..OWN {
                appended.extend(table.append(PROD, &[change(&format!("{writer}-{n}"), APP)]).await.unwrap());
                if n < COMMON {
                    appended.extend(table.append(PROD, &[change(&format!("common-{n}"), OTHER)]).await.unwrap());
                }
            }
            appended
        })
    };
    let appended = join_all((0..WRITERS).map(writer)).await.into_iter().flat_map(Result::unwrap);
    let new = appended.filter(|appended| matches!(appended, Appended::Now(_))).count();
    assert_eq!(new, WRITERS * OWN + COMMON, "each is new to one writer");

    let records = scene.records(17).await;
    assert_eq!(scene.verified(&records, &[]).map(|head| head.sequence), Ok(210));
    let events: BTreeSet<String> = records.iter().map(|record| record.entry().unwrap().event).collect();
    assert_eq!(events.len(), records.len(), "each once");
    assert_eq!(scene.history(APP).await.len(), WRITERS * OWN);
    assert_eq!(scene.history(OTHER).await.len(), COMMON);
}

#[tokio::test]
async fn an_event_that_comes_again_has_its_place() {
    use Appended::{Before, Now};
    let scene = &Scene::start().await;
    let [one, two, three] = ["1", "2", "3"].map(|event| change(event, APP));
    let append = |changes: Vec<Entry>| async move { scene.table.append(PROD, &changes).await.unwrap() };
    assert_eq!(append(vec![one.clone(), one.clone(), two.clone()]).await, [Now(1), Before(1), Now(2)]);
    assert_eq!(append(vec![two.clone(), three.clone(), one.clone()]).await, [Before(2), Now(3), Before(1)]);
    assert_eq!(append(vec![]).await, []);
    let elsewhere = scene.table.append(Environment::Dev, std::slice::from_ref(&three)).await.unwrap();
    assert_eq!(elsewhere, [Now(1)], "each environment has a chain of its own");
    assert_eq!(scene.history(APP).await, ["3", "2", "1"]);

    let read = access("4", 0, APP);
    let noted = |entry: &Entry| [Noted::Change(entry.clone()), Noted::Access(entry.clone())];
    let asked = [noted(&one), noted(&read)].concat();
    assert_eq!(scene.table.known(PROD, &asked).await.unwrap(), [true, false, false, false]);
    scene.table.record_accesses(PROD, std::slice::from_ref(&read), ACCESSES_ARE_KEPT).await.unwrap();
    assert_eq!(scene.table.known(PROD, &asked).await.unwrap(), [true, false, false, true]);
    assert_eq!(scene.table.known(Environment::Dev, &asked).await.unwrap(), [false; 4]);
    assert_eq!(scene.table.known(PROD, &[]).await.unwrap(), [false; 0]);
}

#[tokio::test]
async fn more_than_fits_into_one_transaction_is_appended_in_order() {
    let scene = Scene::start().await;
    let targets: Vec<String> = (0..80).map(|n| format!("{APP}-{n}")).collect();
    let wide = |event: &str| Entry { targets: targets.clone(), ..change(event, APP) };
    let policy = |event: &str| Entry { what: json!({ "policy": "x".repeat(190_000) }), ..change(event, APP) };
    let mut changes: Vec<Entry> = (0..70).map(|n| change(&n.to_string(), APP)).collect();
    changes.extend([wide("wide 1"), wide("wide 2")]);
    changes.extend((0..12).map(|n| policy(&format!("long {n}"))));
    let appended = scene.table.append(PROD, &changes).await.unwrap();
    assert_eq!(appended, (1..=84).map(Appended::Now).collect::<Vec<_>>());
    let records = scene.records(100).await;
    assert!(scene.verified(&records, &[]).is_ok());
    let written: Vec<Entry> = records.iter().map(|record| record.entry().unwrap()).collect();
    assert_eq!(written, changes);
    assert_eq!(scene.history(&targets[49]).await, ["wide 2", "wide 1"]);
}

#[tokio::test]
async fn a_lost_answer_changes_nothing() {
    let faults = [Fault::Refuse, Fault::Hangup, Fault::DropReply, Fault::Throttle, Fault::Garble];
    let scene = Scene::start().await;
    let troubled = |(operation, fault): (&'static str, Fault)| {
        let scene = &scene;
        async move {
            let endpoint = scene.aws.beside().await.unwrap();
            let table = DynamoTable::new(&endpoint.sdk(), TABLE);
            // Most of it the SDK repeats twice by itself.
            for times in [1, 3] {
                let what = format!("{times} × {} of {operation}", fault.name());
                let mark = endpoint.mark();
                endpoint.fault_on(operation, 1, Some(times), fault.clone());
                let appended = table.append(PROD, &[change(&what, APP)]).await.unwrap();
                assert!(matches!(appended[..], [Appended::Now(_)]), "{what}: {appended:?}");
                assert!(endpoint.calls_since(mark).iter().any(|call| call.fault.is_some()), "{what}");
                endpoint.clear_faults();
            }
        }
    };
    let operations = ["dynamodb:TransactWriteItems", "dynamodb:BatchGetItem"];
    let cases = operations.into_iter().flat_map(|operation| faults.clone().map(|fault| (operation, fault)));
    join_all(cases.map(troubled)).await;
    let records = scene.records(100).await;
    assert_eq!(scene.verified(&records, &[]).map(|head| head.sequence), Ok(20));
}

#[tokio::test]
async fn what_one_writer_never_heard_of_another_finds() {
    let scene = Scene::start().await;
    let changes = ["1", "2"].map(|event| change(event, APP));
    scene.aws.fault_always("dynamodb:TransactWriteItems", Fault::Hangup);
    let problem = scene.table.append(PROD, &changes).await.unwrap_err();
    assert_eq!(
        (problem.operation, problem.kind),
        ("dynamodb:TransactWriteItems", CallErrorKind::NoAnswer),
        "{problem}"
    );
    scene.aws.clear_faults();
    scene.aws.fault_always("dynamodb:TransactWriteItems", Fault::DropReply);
    // It has taken effect, and is seen as soon as anybody looks.
    let appended = scene.table.append(PROD, &changes[..1]).await.unwrap();
    assert_eq!(appended, [Appended::Now(1)]);
    scene.aws.fault_always("dynamodb:BatchGetItem", Fault::Deny);
    let problem = scene.table.append(PROD, &changes[..1]).await.unwrap_err();
    assert_eq!((problem.operation, problem.kind), ("dynamodb:BatchGetItem", CallErrorKind::Denied), "{problem}");
    scene.aws.clear_faults();
    assert_eq!(scene.table.append(PROD, &changes).await.unwrap(), [Appended::Before(1), Appended::Now(2)]);
    let records = scene.records(100).await;
    assert_eq!(scene.verified(&records, &[]).map(|head| head.sequence), Ok(2));
}

#[tokio::test]
async fn whatever_is_done_to_the_table_by_hand_is_found() {
    let scene = Scene::start().await;
    let changes: Vec<Entry> = (1..=9).map(|n| change(&n.to_string(), APP)).collect();
    scene.table.append(PROD, &changes[..5]).await.unwrap();
    let anchor = Anchor { head: scene.table.head(PROD).await.unwrap(), at: Timestamp::UNIX_EPOCH };
    scene.table.append(PROD, &changes[5..]).await.unwrap();
    let whole = scene.chain_items().await;
    let record = |n: usize| whole[&format!("record#{n:020}")].clone();
    let with = |n: usize, name: &str, value: AttributeValue| {
        let mut item = record(n);
        item.insert(name.to_owned(), value);
        item
    };
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let at = |n: usize, sk: &str| with(n, "sk", text(sk));
    let place = |n: usize| format!("record#{n:020}");
    let altered = |sequence| Break::Altered { sequence };
    let missing = |sequence| Break::Missing { sequence };
    // A forger who knows how: the record is whole, and so is everything after it.
    let forged: Vec<Item> = {
        let other = Scene::start().await;
        let mut forged = changes.clone();
        forged[3].principal = "nobody".to_owned();
        other.table.append(PROD, &forged).await.unwrap();
        other.chain_items().await.into_values().collect()
    };
    let forged_at = |sk: &str| forged.iter().find(|item| item["sk"] == text(sk)).unwrap().clone();
    // What is done (removed; put), and what is found.
    let cases: Vec<(&str, Vec<String>, Vec<Item>, Break)> = vec![
        ("the first one removed", vec![place(1)], vec![], missing(1)),
        ("one removed", vec![place(4)], vec![], missing(4)),
        ("the last one removed", vec![place(9)], vec![], missing(9)),
        ("all removed, and the end", (1..=9).map(place).chain(["head".to_owned()]).collect(), vec![], missing(1)),
        ("what is said altered", vec![], vec![with(4, "entry", text("{}"))], altered(4)),
        ("what is said removed", vec![], vec![without(record(4), "entry")], altered(4)),
        ("said by a number", vec![], vec![with(4, "entry", AttributeValue::N("4".to_owned()))], altered(4)),
        ("the time altered", vec![], vec![with(4, "recordedAt", AttributeValue::N("4".to_owned()))], altered(4)),
        ("the digest altered", vec![], vec![with(4, "digest", text(&"0".repeat(64)))], altered(4)),
        ("the digest removed", vec![], vec![without(record(4), "digest")], altered(4)),
        ("the link altered", vec![], vec![with(4, "previous", record(2)["digest"].clone())], altered(4)),
        ("two exchanged", vec![], vec![at(4, &place(6)), at(6, &place(4))], altered(4)),
        ("one moved to the end", vec![place(4)], vec![at(4, &place(10))], missing(4)),
        ("one put again", vec![], vec![at(4, &format!("{}x", place(6)))], altered(7)),
        ("one put again at the end", vec![], vec![at(4, &place(10))], altered(10)),
        ("something else put", vec![], vec![at(4, "record#other")], altered(10)),
        ("one forged", vec![], vec![forged_at(&place(4))], Break::Unlinked { sequence: 4 }),
        ("all forged", vec![], forged.clone(), Break::Rewritten { sequence: 5, at: anchor.at }),
        ("the end cut off, and forgotten", (5..=9).map(place).collect(), vec![head_at(&record(4))], missing(5)),
    ];
    for (what, removed, put, expected) in cases {
        for sk in removed {
            scene.remove(&sk).await;
        }
        for item in put {
            scene.put(item).await;
        }
        let records = scene.records(4).await;
        assert_eq!(scene.verify(&records, &[anchor]).await, Err(expected), "{what}");
        for sk in scene.chain_items().await.into_keys() {
            scene.remove(&sk).await;
        }
        for item in whole.values() {
            scene.put(item.clone()).await;
        }
        let records = scene.records(4).await;
        assert_eq!(scene.verify(&records, &[anchor]).await.map(|head| head.sequence), Ok(9), "as it was");
    }
}

#[tokio::test]
async fn a_chain_whose_end_was_tampered_with_is_not_continued() {
    let scene = Scene::start().await;
    let changes: Vec<Entry> = (1..=4).map(|n| change(&n.to_string(), APP)).collect();
    scene.table.append(PROD, &changes[..3]).await.unwrap();
    let items = scene.chain_items().await;
    let broken = |found: Result<Vec<Appended>, CallError>| {
        let problem = found.unwrap_err();
        assert_eq!(problem.kind, CallErrorKind::Refused);
        assert!(problem.message.contains("broken"), "{problem}");
    };
    scene.remove("head").await;
    broken(scene.table.append(PROD, &changes[3..]).await);
    scene.put(head_at(&items["record#00000000000000000002"])).await;
    broken(scene.table.append(PROD, &changes[3..]).await);
    scene.put(without(items["head"].clone(), "digest")).await;
    broken(scene.table.append(PROD, &changes[3..]).await);
    assert!(scene.table.head(PROD).await.is_err());
    scene.put(items["head"].clone()).await;
    assert_eq!(scene.table.append(PROD, &changes[3..]).await.unwrap(), [Appended::Now(4)]);

    scene.remove("record#00000000000000000002").await;
    assert_eq!(scene.gaps().await, [2], "history does not hide it");
}

#[tokio::test]
async fn a_history_that_was_tampered_with_is_found() {
    let scene = Scene::start().await;
    let wide = Entry { targets: vec![APP.to_owned(), OTHER.to_owned()], ..change("3", APP) };
    scene.table.append(PROD, &[change("1", APP), change("2", APP), wide]).await.unwrap();
    let records = scene.records(100).await;
    let unlisted = || async { scene.table.unlisted(PROD, &records).await.unwrap() };
    assert_eq!(unlisted().await, [0; 0]);
    assert_eq!(scene.table.unlisted(PROD, &[]).await.unwrap(), [0; 0]);

    let listed = |subject: &str, event: &str, sequence: u64| {
        let sk = format!("change#2027-01-15T08:00:00.000Z#{event}");
        let text = |text: String| AttributeValue::S(text);
        HashMap::from([
            ("pk".to_owned(), text(format!("ledger#prod#{subject}"))),
            ("sk".to_owned(), text(sk)),
            ("sequence".to_owned(), AttributeValue::N(sequence.to_string())),
        ])
    };
    scene.put(listed(APP, "1", 2)).await;
    assert_eq!((unlisted().await, scene.gaps().await), (vec![1], vec![2]), "it leads to another's record");
    scene.put(listed(APP, "1", 1)).await;
    assert_eq!((unlisted().await, scene.gaps().await), (vec![], vec![]));
    scene.remove_item(listed(OTHER, "3", 3)).await;
    assert_eq!(unlisted().await, [3]);
    scene.remove_item(listed(APP, "2", 2)).await;
    assert_eq!(unlisted().await, [2, 3]);
}

#[tokio::test]
async fn an_access_log_is_read_in_pages_by_time() {
    let scene = Scene::start().await;
    let mut accesses: Vec<Entry> = (0..50).map(|n| access(&format!("e{n:02}"), n, APP)).collect();
    accesses.push(Entry { targets: vec![APP.to_owned(), OTHER.to_owned()], ..access("both", 60, APP) });
    accesses.push(Entry { targets: vec![], ..access("none", 61, APP) });
    accesses.push(access("long ago", -500_000_000, UNNAMED));
    accesses.push(Entry { at: None, ..access("some time", 0, APP) });
    // In no order, and twice.
    let disorder: Vec<Entry> = accesses.iter().rev().chain(&accesses).cloned().collect();
    scene.table.record_accesses(PROD, &disorder, ACCESSES_ARE_KEPT).await.unwrap();
    scene.table.record_accesses(PROD, &accesses[..30], ACCESSES_ARE_KEPT).await.unwrap();
    scene.table.record_accesses(Environment::Dev, &[access("dev", 5, APP)], ACCESSES_ARE_KEPT).await.unwrap();

    let names = |range: std::ops::Range<i64>| range.rev().map(|n| format!("e{n:02}")).collect::<Vec<_>>();
    let everything = [vec!["both".to_owned()], names(0..50), vec!["some time".to_owned()]].concat();
    for limit in [1, 7, 52, 53, 1_000] {
        assert_eq!(scene.accesses(question(APP, limit)).await, everything, "{limit} on a page");
    }
    let between = |from, until| Question { from, until, ..question(APP, 7) };
    assert_eq!(scene.accesses(between(Some(at(10)), Some(at(20)))).await, names(10..20));
    assert_eq!(scene.accesses(between(Some(at(48)), None)).await, [vec!["both".to_owned()], names(48..50)].concat());
    assert_eq!(scene.accesses(between(None, Some(at(2)))).await, [names(0..2), vec!["some time".to_owned()]].concat());
    assert_eq!(scene.accesses(between(Some(at(20)), Some(at(10)))).await, [""; 0]);
    assert_eq!(scene.accesses(between(Some(at(10)), Some(at(10)))).await, [""; 0]);
    assert_eq!(scene.accesses(question(OTHER, 10)).await, ["both"]);
    assert_eq!(scene.accesses(question(UNNAMED, 10)).await, ["none", "long ago"]);
    assert_eq!(
        scene.accesses(question("arn:aws:secretsmanager:eu-central-1:123456789012:secret:ap", 10)).await,
        [""; 0]
    );

    let found = scene.table.accesses(Question { until: Some(at(1)), ..question(APP, 1) }).await.unwrap().found;
    assert_eq!(found, accesses[..1], "as it was written");
    let items = scene.items().await;
    let expires = |event: &str| {
        let item = items.iter().find(|item| item["sk"].as_s().unwrap().ends_with(event)).unwrap();
        item["expires"].as_n().unwrap().parse::<i64>().unwrap()
    };
    let (year, now) = (365 * 86_400, Timestamp::now().as_second());
    assert_eq!(expires("#e00"), at(0).as_second() + year);
    assert!((now + year - 60..=now + year).contains(&expires("#some time")));
    assert!((now - 60..=now).contains(&expires("#long ago")));
}

#[tokio::test]
async fn a_name_that_nobody_has_is_no_obstacle() {
    let scene = Scene::start().await;
    let long = format!("{APP}{}", "é".repeat(2_000));
    scene.table.record_accesses(PROD, &[access("1", 0, &long)], ACCESSES_ARE_KEPT).await.unwrap();
    assert_eq!(scene.accesses(question(&long, 10)).await, ["1"]);
}

#[tokio::test]
async fn many_accesses_are_few_calls() {
    let scene = Scene::start().await;
    let accesses: Vec<Entry> = (0..1_000).map(|n| access(&n.to_string(), n, &format!("{APP}-{}", n % 50))).collect();
    scene.table.record_accesses(PROD, &accesses, SignedDuration::from_hours(24)).await.unwrap();
    assert_eq!(scene.aws.calls().iter().filter(|call| call.action == "BatchWriteItem").count(), 40);
    let noted: Vec<Noted> = accesses.into_iter().map(Noted::Access).collect();
    assert_eq!(scene.table.known(PROD, &noted).await.unwrap(), vec![true; 1_000]);
    assert_eq!(scene.aws.calls().iter().filter(|call| call.action == "BatchGetItem").count(), 10);
}

#[tokio::test]
async fn what_a_table_leaves_out_is_asked_for_again() {
    let accesses: Vec<Entry> = (0..60).map(|n| access(&n.to_string(), n, APP)).collect();
    let noted: Vec<Noted> = accesses.iter().cloned().map(Noted::Access).collect();
    let table = Busy::start(7).await;
    table.table.record_accesses(PROD, &accesses, ACCESSES_ARE_KEPT).await.unwrap();
    assert_eq!(table.written.lock().unwrap().len(), 60);
    assert_eq!(table.table.known(PROD, &noted).await.unwrap(), vec![true; 60]);

    let table = Busy::start(0).await;
    let problem = table.table.record_accesses(PROD, &accesses, ACCESSES_ARE_KEPT).await.unwrap_err();
    assert_eq!((problem.operation, problem.kind), ("dynamodb:BatchWriteItem", CallErrorKind::Throttled), "{problem}");
    let problem = table.table.known(PROD, &noted).await.unwrap_err();
    assert_eq!((problem.operation, problem.kind), ("dynamodb:BatchGetItem", CallErrorKind::Throttled), "{problem}");
}

#[tokio::test]
async fn a_table_that_is_not_there_is_said_to_be_missing() {
    let scene = Scene::start().await;
    let table = DynamoTable::new(&scene.aws.sdk(), "elsewhere");
    let [read, change] = [access("1", 0, APP), change("1", APP)].map(|entry| [entry]);
    let problems = [
        table.record_accesses(PROD, &read, ACCESSES_ARE_KEPT).await.unwrap_err(),
        table.append(PROD, &change).await.unwrap_err(),
        table.accesses(question(APP, 1)).await.unwrap_err(),
    ];
    for (problem, operation) in problems.iter().zip(["BatchWriteItem", "BatchGetItem", "Query"]) {
        assert_eq!(problem.operation, format!("dynamodb:{operation}"));
        assert_eq!(problem.kind, CallErrorKind::NotFound, "{problem}");
    }
}

impl Scene {
    /// The whole chain, by pages of that many.
    async fn records(&self, limit: u16) -> Vec<Record> {
        let (mut records, mut next) = (Vec::new(), None);
        loop {
            let page = self.table.records(PROD, 0, next.as_deref(), limit).await.unwrap();
            records.extend(page.found);
            next = page.next;
            if next.is_none() {
                return records;
            }
        }
    }

    /// Against the table's own end and these anchors.
    async fn verify(&self, records: &[Record], anchors: &[Anchor]) -> Result<Head, Break> {
        let end = Anchor { head: self.table.head(PROD).await.unwrap(), at: Timestamp::UNIX_EPOCH };
        self.verified(records, &[anchors, &[end]].concat())
    }

    fn verified(&self, records: &[Record], anchors: &[Anchor]) -> Result<Head, Break> {
        let mut verifier = Verifier::new(Head::beginning(PROD), anchors);
        records.iter().try_for_each(|record| verifier.take(record))?;
        verifier.finish()
    }

    /// Which of the changes of [`APP`] lead nowhere.
    async fn gaps(&self) -> Vec<u64> {
        let page = self.table.history(question(APP, 100)).await.unwrap();
        page.found.into_iter().filter(|past| past.record.is_none()).map(|past| past.sequence).collect()
    }

    async fn history(&self, subject: &str) -> Vec<String> {
        let page = self.table.history(question(subject, 1_000)).await.unwrap();
        assert_eq!(page.next, None);
        page.found.into_iter().map(|past| past.record.unwrap().entry().unwrap().event).collect()
    }

    async fn accesses(&self, question: Question<'_>) -> Vec<String> {
        let (mut events, mut next) = (Vec::new(), None::<String>);
        loop {
            let asked = Question { after: next.as_deref(), ..question };
            let Page { found, next: following } = self.table.accesses(asked).await.unwrap();
            assert!(found.len() <= usize::from(question.limit));
            events.extend(found.into_iter().map(|entry| entry.event));
            next = following;
            if next.is_none() {
                return events;
            }
        }
    }

    /// What is in the table of the chain, by its sort key.
    async fn chain_items(&self) -> BTreeMap<String, Item> {
        let query = self.client.query().table_name(TABLE).key_condition_expression("pk = :pk");
        let query = query.expression_attribute_values(":pk", AttributeValue::S("chain#prod".to_owned()));
        let items = query.send().await.unwrap().items.unwrap();
        items.into_iter().map(|item| (item["sk"].as_s().unwrap().clone(), item)).collect()
    }

    async fn put(&self, item: Item) {
        self.client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
    }

    async fn remove(&self, sk: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        self.remove_item(
            [("pk", text("chain#prod")), ("sk", text(sk))].map(|(name, part)| (name.to_owned(), part)).into(),
        )
        .await;
    }

    async fn remove_item(&self, mut key: Item) {
        key.retain(|name, _| ["pk", "sk"].contains(&name.as_str()));
        self.client.delete_item().table_name(TABLE).set_key(Some(key)).send().await.unwrap();
    }
}

/// A table that takes and hands out only so many items at a time.
struct Busy {
    table: DynamoTable,
    written: Arc<Mutex<BTreeMap<String, Value>>>,
    server: tokio::task::AbortHandle,
}

impl Busy {
    async fn start(at_once: usize) -> Self {
        let written = Arc::new(Mutex::new(BTreeMap::<String, Value>::new()));
        let kept = written.clone();
        let answer = move |head: HeaderMap, body: String| async move {
            let asked: Value = serde_json::from_str(&body).unwrap();
            let asked = &asked["RequestItems"]["busy"];
            let mut kept = kept.lock().unwrap();
            let answer = match head["x-amz-target"].to_str().unwrap() {
                "DynamoDB_20120810.BatchWriteItem" => {
                    let (taken, left) = split(asked.as_array().unwrap(), at_once);
                    for put in taken {
                        let item = &put["PutRequest"]["Item"];
                        assert!(kept.insert(item["sk"].to_string(), item.clone()).is_none(), "written once: {item}");
                    }
                    let left = if left.is_empty() { json!({}) } else { json!({ "busy": left }) };
                    json!({ "UnprocessedItems": left })
                }
                "DynamoDB_20120810.BatchGetItem" => {
                    let (taken, left) = split(asked["Keys"].as_array().unwrap(), at_once);
                    let found: Vec<&Value> = taken.iter().filter_map(|key| kept.get(&key["sk"].to_string())).collect();
                    let left = if left.is_empty() { json!({}) } else { json!({ "busy": { "Keys": left } }) };
                    json!({ "Responses": { "busy": found }, "UnprocessedKeys": left })
                }
                other => panic!("{other}"),
            };
            answer.to_string()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/", post(answer));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }).abort_handle();
        Self { table: DynamoTable::new(&sdk_at(&url, "local"), "busy"), written, server }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn split(items: &[Value], at: usize) -> (&[Value], &[Value]) {
    items.split_at(at.min(items.len()))
}

fn without(mut item: Item, name: &str) -> Item {
    item.remove(name);
    item
}

/// The chain's end, if that record were its last.
fn head_at(record: &Item) -> Item {
    let sequence: u64 = record["sk"].as_s().unwrap().strip_prefix("record#").unwrap().parse().unwrap();
    HashMap::from([
        ("pk".to_owned(), record["pk"].clone()),
        ("sk".to_owned(), AttributeValue::S("head".to_owned())),
        ("sequence".to_owned(), AttributeValue::N(sequence.to_string())),
        ("digest".to_owned(), record["digest"].clone()),
    ])
}

fn question(subject: &str, limit: u16) -> Question<'_> {
    Question { environment: PROD, subject, from: None, until: None, after: None, limit }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn access(event: &str, seconds: i64, target: &str) -> Entry {
    Entry {
        event: event.to_owned(),
        at: Some(Moment::from_millis(at(seconds).as_millisecond())),
        targets: vec![target.to_owned()],
        principal: "arn:aws:iam::123456789012:role/shop".to_owned(),
        nature: None,
        session: Some("i-0123456789abcdef0".to_owned()),
        access_key: None,
        invoked_by: None,
        origin: Some("192.0.2.10".to_owned()),
        tool: None,
        account: Some("123456789012".to_owned()),
        region: Some(REGION.to_owned()),
        action: "secretsmanager:GetSecretValue".to_owned(),
        ended: Ended::Done,
        what: json!({ "access": { "read": "secret" } }),
    }
}

fn change(event: &str, target: &str) -> Entry {
    Entry {
        action: "secretsmanager:DeleteSecret".to_owned(),
        what: json!({ "change": { "deleted": { "forced": true } } }),
        ..access(event, 0, target)
    }
}
