//! `learn`: what `audit` knows by files, beside what it has learned by itself.

use crate::auditing::{Books, call, read, text};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use relatch::{
    audit::baseline::Part,
    config::Environment,
    ports::{Baselines, KeptPart},
};
use relatch_events::cloudtrail::target::{Place, Target};
use relatch_integration::{
    activity::{log, write_gz},
    aws::{ACCOUNT, Fault, REGION},
    cloud,
    lambda::Outcome,
    trail,
};
use serde_json::{Value, json};
use std::{collections::HashMap, fs, path::PathBuf};

const SECRET: &str = "shop-prod-secret-database";
const SINCE: &str = "2026-01-01T08:00:00Z";

/// The same read, every day, with the hour of the first.
fn daily(role: &str, days: i64, first: Timestamp) -> Vec<Value> {
    let at = |day: i64| format!("{:.0}", first + SignedDuration::from_hours(24 * day));
    (0..days).map(|day| read(SECRET, role, "i-0123456789abcdef0", &at(day))).collect()
}

impl Books {
    fn logs(&self, name: &str, records: &[Value]) -> String {
        let path = self.home(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_gz(&path, &log(&records.iter().map(Value::to_string).collect::<Vec<_>>())).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn home(&self, name: &str) -> PathBuf {
        self.operator.home().join(name)
    }

    async fn part(&self, environment: Environment, part: &Part) -> KeptPart {
        self.table.parts(environment, std::slice::from_ref(part)).await.unwrap().remove(0)
    }

    /// What is kept of the secret and of everybody, in an environment.
    async fn known(&self, environment: Environment) -> Vec<Option<String>> {
        let principal = |role: &str| Part::Principal(format!("arn:aws:iam::{ACCOUNT}:role/{role}"));
        let parts = [secret(), principal("web"), principal("report"), Part::General];
        self.table.parts(environment, &parts).await.unwrap().into_iter().map(|kept| kept.text).collect()
    }

    async fn learns(&self, paths: &[&str], options: &[&str]) -> (Value, i32) {
        let arguments = [&["learn", "--yes", "--json"], options, paths].concat();
        let answer = self.operator.runs(&arguments).await.unwrap();
        (serde_json::from_str(&answer.stdout).expect(&answer.stderr), answer.status)
    }
}

/// Without how often each reader has read; and how often.
fn uncounted(text: Option<String>) -> (Value, Vec<u64>) {
    let mut known: Value = serde_json::from_str(&text.unwrap_or_else(|| "{}".to_owned())).unwrap();
    let readers = known.get_mut("readers").and_then(Value::as_array_mut).into_iter().flatten();
    let reads = readers.map(|reader| reader["n"].take().as_u64().unwrap()).collect();
    (known, reads)
}

fn secret() -> Part {
    Part::Secret(Target::secret(SECRET, Place { region: Some(REGION), account: Some(ACCOUNT) }).unwrap())
}

#[tokio::test]
async fn what_was_learned_of_files_tells_audit_who_is_new() {
    let books = Books::open().await;
    let audit = cloud::audit(&books.aws, &[("RELATCH_GROUP_WAIT_SECONDS", "0")]).unwrap();
    let reads = async |role: &str| {
        let outcome = audit.invoke(trail::read(SECRET, Some(role), Timestamp::now())).await.unwrap();
        assert!(matches!(outcome, Outcome::Ok(_)), "{outcome:?}");
        let told = cloud::published(&books.aws).unwrap();
        told.iter().map(|alert| alert["finding"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(reads("stranger").await, [""; 0], "nobody is new where nothing is known");
    let month = Timestamp::now() - SignedDuration::from_hours(24 * 31);
    // From where and with what it reads today, too.
    let at = |day: i64| month + SignedDuration::from_hours(24 * day);
    let web: Vec<Value> = (0..30).map(|day| trail::read(SECRET, Some("web"), at(day))["detail"].clone()).collect();
    let path = books.logs("logs/month.json.gz", &web);
    let (lesson, status) = books.learns(&[&path], &["--environment", "dev"]).await;
    assert_eq!((status, &lesson["outcome"], &lesson["kept"]), (0, &json!("learned"), &json!(2)), "{lesson:#}");
    assert_eq!(reads("web").await, [""; 0], "it always has");
    assert_eq!(reads("report").await, ["new-reader"]);
    // To learn it again forgets nothing of what was seen meanwhile, and what was told is not told again.
    assert_eq!(books.learns(&[&path], &["--environment", "dev"]).await.0["kept"], 0);
    assert_eq!(reads("report").await, ["new-reader"]);
}

#[tokio::test]
async fn it_says_what_it_would_learn_and_asks() {
    let books = Books::open().await;
    books.logs("logs/a.json.gz", &daily("web", 30, SINCE.parse().unwrap()));
    books.logs("logs/b.json.gz", &daily("report", 3, SINCE.parse().unwrap()));
    let logs = books.home("logs");
    let learn = ["learn", logs.to_str().unwrap()];
    let mut pages = Vec::new();
    pages.push(books.sees(&[&learn[..], &["--dry-run"]].concat()).await);
    pages.push(books.sees(&learn).await);
    let answer = books.operator.types(&learn, "n\n").await.unwrap();
    pages.push(books.told(&learn, &answer));
    assert_eq!(books.known(Environment::Prod).await, [None, None, None, None]);
    let answer = books.operator.types(&learn, "y\n").await.unwrap();
    pages.push(books.told(&learn, &answer));
    let known = books.known(Environment::Prod).await;
    assert!(known[..3].iter().all(Option::is_some), "{known:?}");
    pages.push(books.sees(&[&learn[..], &["--yes"]].concat()).await);
    assert_eq!(books.known(Environment::Prod).await, known);
    let (mut lesson, _) = books.learns(&[logs.to_str().unwrap()], &["--environment", "staging"]).await;
    assert_eq!(lesson["left"].take(), json!([]));
    pages.push(format!("{lesson:#}"));
    insta::assert_snapshot!(pages.join("\n\n"));
}

#[tokio::test]
async fn who_learn_at_the_same_time_know_what_one_would() {
    let books = Books::open().await;
    let all = [daily("web", 40, SINCE.parse().unwrap()), daily("report", 9, SINCE.parse().unwrap())].concat();
    let whole = books.logs("whole.json.gz", &all);
    let quarters: Vec<String> = (0..4)
        .map(|n| books.logs(&format!("quarter-{n}.json.gz"), &all[n * 10..(n * 10 + 10).max(n / 3 * 49)]))
        .collect();
    books.learns(&[&whole], &["--environment", "dev"]).await;
    let [one, two, three, four] = quarters.iter().map(|path| [path.as_str()]).collect::<Vec<_>>().try_into().unwrap();
    let learns = |paths: [&str; 1]| {
        let books = &books;
        let path = paths[0].to_owned();
        async move { books.learns(&[&path], &[]).await }
    };
    let answers = tokio::join!(learns(one), learns(two), learns(three), learns(four));
    for (lesson, status) in [answers.0, answers.1, answers.2, answers.3] {
        assert_eq!((status, &lesson["left"]), (0, &json!([])), "{lesson:#}");
    }
    let (known, expected) = (books.known(Environment::Prod).await, books.known(Environment::Dev).await);
    assert!(known[..3].iter().all(Option::is_some));
    // A part that lies between two others may have seen the same as they have.
    let (known, reads): (Vec<_>, Vec<_>) = known.into_iter().map(uncounted).unzip();
    let (expected, all): (Vec<_>, Vec<_>) = expected.into_iter().map(uncounted).unzip();
    assert_eq!(known, expected);
    assert_eq!(all[0], [9, 40]);
    assert!(reads[0][0] == 9 && (10..=40).contains(&reads[0][1]), "{reads:?}");
}

#[tokio::test]
async fn a_part_that_cannot_be_kept_or_read_stays_as_it_is_and_is_named() {
    let books = Books::open().await;
    let keep = |part: &Part, content: String| {
        let item = HashMap::from(
            [
                ("pk", text(&format!("baseline#prod#{part}"))),
                ("sk", text("part")),
                ("text", text(&content)),
                ("revision", AttributeValue::N("7".to_owned())),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        books.put(item)
    };
    let keys = json!({ "keys": ["k".repeat(Part::LARGEST - 100)], "settings": {} }).to_string();
    keep(&Part::General, keys.clone()).await;
    keep(&secret(), "of another version".to_owned()).await;
    let key = format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab-{}", "x".repeat(100));
    let created = json!({ "name": SECRET, "kmsKeyId": key });
    let created = call("secretsmanager", "CreateSecret", "web", "i-0123456789abcdef0", SINCE, created);
    let path = books.logs("logs.json.gz", &[created]);
    insta::assert_snapshot!(books.sees(&["learn", &path, "--yes"]).await);
    let of = |text: &str| KeptPart { text: Some(text.to_owned()), revision: 7 };
    assert_eq!(books.part(Environment::Prod, &Part::General).await, of(&keys));
    assert_eq!(books.part(Environment::Prod, &secret()).await, of("of another version"));
}

#[tokio::test]
async fn of_files_that_cannot_all_be_read_nothing_is_learned() {
    let books = Books::open().await;
    let good = books.logs("logs/1-good.json.gz", &daily("web", 3, SINCE.parse().unwrap()));
    fs::write(books.home("logs/2-cut.json.gz"), &fs::read(&good).unwrap()[..200]).unwrap();
    fs::write(books.home("policy.json"), r#"{"learning-days":"14"}"#).unwrap();
    let file = |name: &str| books.home(name).to_str().unwrap().to_owned();
    let mut table = vec![
        books.sees(&["learn", &file("logs"), "--yes"]).await,
        books.sees(&["learn", &good, &file("nowhere"), "--yes"]).await,
        books.sees(&["learn", &good, "--policy", &file("policy.json"), "--yes"]).await,
    ];
    books.aws.fault_always("dynamodb:PutItem", Fault::Deny);
    table.push(books.sees(&["learn", &good, "--yes"]).await);
    insta::assert_snapshot!(table.join("\n"));
    assert_eq!(books.known(Environment::Prod).await, [None, None, None, None]);
}
