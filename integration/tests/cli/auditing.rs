//! `access`, `history` and `verify`: what `audit` has written down, and whether it is what was written.

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};
use relatch::{
    adapters::{
        anchors::{KmsKey, LockedBucket},
        table::DynamoTable,
    },
    audit::{
        anchor,
        chain::{Head, Record},
        ledger::Entry,
    },
    config::Environment,
    ports::Ledger,
};
use relatch_events::{cloudtrail::log, moment::Moment};
use relatch_integration::{
    aws::{ACCOUNT, Endpoint, Fault, REGION, emulator},
    cli::{Answer, Operator},
    cloud::handler,
    condition::eventually,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    time::Duration,
};

const PROD: Environment = Environment::Prod;
const NAME: &str = "shop/prod/database";

type Item = HashMap<String, AttributeValue>;

/// Somebody who asks, what is asked for, and the table itself.
pub(crate) struct Books {
    pub(crate) aws: Endpoint,
    pub(crate) operator: Operator,
    pub(crate) table: DynamoTable,
    client: Client,
    /// The ARN of the secret.
    secret: String,
    /// By which the table is reached: calls to it are neither recorded nor hit by the faults of the operator's.
    beside: Endpoint,
}

impl Books {
    pub(crate) async fn open() -> Self {
        let aws = Endpoint::start().await.unwrap();
        aws.emulate().await.unwrap();
        let secret = aws.store().create(NAME, "{}").unwrap();
        let operator = Operator::new(handler("relatch").unwrap())
            .unwrap()
            .setting("AWS_ENDPOINT_URL", aws.url())
            .setting("RELATCH_ENVIRONMENT", "prod")
            .setting("RELATCH_TABLE", emulator::TABLE);
        let beside = aws.beside().await.unwrap();
        let sdk = beside.sdk();
        let (table, client) = (DynamoTable::new(&sdk, emulator::TABLE), Client::new(&sdk));
        Self { aws, operator, table, client, secret, beside }
    }

    fn operated(self, change: impl FnOnce(Operator) -> Operator) -> Self {
        Self { operator: change(self.operator), ..self }
    }

    /// What a command shows, in words that are the same in every run.
    pub(crate) async fn sees(&self, arguments: &[&str]) -> String {
        let answer = self.operator.runs(arguments).await.unwrap();
        self.told(arguments, &answer)
    }

    pub(crate) fn told(&self, arguments: &[&str], answer: &Answer) -> String {
        // What is to be copied is not broken.
        let free = |line: &str| line.starts_with("End ") || line.contains("arn:aws:");
        for line in answer.stdout.lines().filter(|line| !free(line)) {
            assert!(line.chars().count() <= 80, "too long: {line}");
        }
        assert!(!answer.stdout.contains('\x1b') && !answer.stderr.contains('\r'), "colours or a bar in a pipe");
        let mut told = format!("$ relatch {}\n{}", arguments.join(" "), answer.stdout);
        for line in answer.stderr.lines().filter(|line| !line.is_empty()) {
            writeln!(told, "stderr: {line}").unwrap();
        }
        write!(told, "status: {}", answer.status).unwrap();
        let home = self.operator.home().to_str().unwrap();
        let arn = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{NAME}-XXXXXX");
        digests(&told.replace(home, "~").replace(&self.secret, &arn).replace(self.aws.url(), "http://aws"))
    }

    async fn lines(&self, arguments: &[&str]) -> (Vec<Value>, i32) {
        let answer = self.operator.runs(arguments).await.unwrap();
        (answer.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect(), answer.status)
    }

    /// The one object that a command answers with.
    async fn answers(&self, arguments: &[&str]) -> (Value, i32) {
        let answer = self.operator.runs(arguments).await.unwrap();
        (serde_json::from_str(&answer.stdout).expect(&answer.stdout), answer.status)
    }

    async fn come(&self, records: &[Value]) {
        let long = SignedDuration::from_hours(24 * 36_500);
        self.table.record_accesses(PROD, &entries(records), long).await.unwrap();
    }

    async fn change(&self, records: &[Value]) {
        self.table.append(PROD, &entries(records)).await.unwrap();
    }

    /// What is in the table of the chain, by its sort key.
    async fn chain(&self) -> BTreeMap<String, Item> {
        let text = AttributeValue::S("chain#prod".to_owned());
        let query = self.client.query().table_name(emulator::TABLE).key_condition_expression("pk = :pk");
        let items = query.expression_attribute_values(":pk", text).send().await.unwrap().items.unwrap();
        items.into_iter().map(|item| (item["sk"].as_s().unwrap().clone(), item)).collect()
    }

    pub(crate) async fn put(&self, item: Item) {
        self.client.put_item().table_name(emulator::TABLE).set_item(Some(item)).send().await.unwrap();
    }

    async fn remove(&self, pk: &str, sk: &str) {
        let key = HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))]);
        self.client.delete_item().table_name(emulator::TABLE).set_key(Some(key)).send().await.unwrap();
    }

    async fn remove_record(&self, sk: &str) {
        self.remove("chain#prod", sk).await;
    }
}

#[tokio::test]
async fn who_came_to_a_secret_is_told_the_last_first() {
    let books = Books::open().await;
    books.come(&visits()).await;
    let mut pages = Vec::new();
    for options in [
        "",
        "--by-principal",
        "--principal role/report --since 2026-02-03",
        "--limit 2 --until 2026-02-03T12:00:00Z",
        "--environment staging",
    ] {
        let arguments: Vec<&str> = ["access", NAME].into_iter().chain(options.split_whitespace()).collect();
        pages.push(books.sees(&arguments).await);
    }
    let books = books.operated(|operator| operator.setting("RELATCH_TIME_ZONE", "Asia/Tokyo"));
    pages.push(books.sees(&["access", NAME, "--limit", "1"]).await);
    insta::assert_snapshot!(pages.join("\n\n"));
}

#[tokio::test]
async fn a_secret_is_known_by_its_name_and_by_its_arn_also_when_it_is_gone() {
    let books = Books::open().await;
    books.come(&visits()).await;
    let short = books.secret.rsplit_once('-').unwrap().0.to_owned();
    let (expected, _) = books.lines(&["access", NAME, "--json"]).await;
    assert_eq!(expected.len(), 5);
    for name in [&books.secret, &short] {
        assert_eq!(books.lines(&["access", name, "--json"]).await, (expected.clone(), 0), "{name}");
    }
    books.aws.fault_always("secretsmanager:DescribeSecret", Fault::Deny);
    assert_eq!(books.lines(&["access", &short, "--json"]).await, (expected, 0));
    books.aws.clear_faults();
    let gone = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:gone-AbCdEf";
    books.come(&[read("gone", "web", "i-0123456789abcdef0", "2026-02-01T00:00:00Z")]).await;
    let (found, _) = books.lines(&["access", &gone.replace("123456789012", ACCOUNT), "--json"]).await;
    assert_eq!(found.len(), 1);
    let mut pages = vec![books.sees(&["access", "gone"]).await, books.sees(&["access", "arn:aws:s3:::shop"]).await];
    pages.push(books.sees(&["access", "*"]).await);
    insta::assert_snapshot!(pages.join("\n\n"));
}

#[tokio::test]
async fn a_program_reads_every_access_once_in_lines() {
    let books = Books::open().await;
    let start: Timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
    let at = |n: i64| (start + SignedDuration::from_secs(n)).to_string();
    let visits: Vec<Value> =
        (0..1_200).map(|n| read(NAME, ["web", "report"][(n % 2) as usize], "i-0", &at(n))).collect();
    books.come(&visits).await;
    let (lines, status) = books.lines(&["access", NAME, "--json"]).await;
    let times: Vec<&str> = lines.iter().map(|line| line["at"].as_str().unwrap()).collect();
    let expected: Vec<String> = (0..1_200).rev().map(at).collect();
    assert_eq!((times.len(), status), (1_200, 0));
    assert!(times.iter().zip(&expected).all(|(time, at)| time == at));
    assert_eq!(books.lines(&["access", NAME, "--json", "--limit", "700"]).await.0, lines[..700]);
    let (few, _) = books.lines(&["access", NAME, "--json", "--principal", "role/web", "--limit", "510"]).await;
    assert_eq!(few.len(), 510);
    assert!(few.iter().all(|line| line["principal"].as_str().unwrap().ends_with("role/web")));
    let (principals, _) = books.lines(&["access", NAME, "--json", "--by-principal"]).await;
    let counted: Vec<_> = principals.iter().map(|line| (line["done"].as_u64(), line["first"].as_str())).collect();
    let (first, second) = (at(0), at(1));
    assert_eq!(counted, [(Some(600), Some(second.as_str())), (Some(600), Some(first.as_str()))]);
    let mut line = lines[0].clone();
    line["event"] = json!("EVENT");
    insta::assert_snapshot!(format!("{line:#}"));
}

#[tokio::test]
async fn what_was_changed_is_told_with_its_place_in_the_chain() {
    let books = Books::open().await;
    books.change(&changes()).await;
    books
        .change(&[call(
            "cloudtrail",
            "StopLogging",
            "admin",
            "anna@example.com",
            "2026-02-05T00:00:00Z",
            json!({ "name": "shop" }),
        )])
        .await;
    let mut pages = vec![
        books.sees(&["history", NAME]).await,
        books.sees(&["history", NAME, "--limit", "1", "--until", "2026-02-03"]).await,
        books.sees(&["history", "*"]).await,
        books.sees(&["history", NAME, "--environment", "dev"]).await,
    ];
    let items = books.chain().await;
    let mut altered = items[&place(2)].clone();
    altered.insert("entry".to_owned(), text("once upon a time"));
    books.put(altered).await;
    books.remove_record(&place(3)).await;
    pages.push(settled(&books.sees(&["history", NAME]).await));
    insta::assert_snapshot!(pages.join("\n\n"));
    let (lines, status) = books.lines(&["history", NAME, "--json"]).await;
    let whole: Vec<_> = lines.iter().map(|line| (line["sequence"].as_u64(), line["whole"].as_bool())).collect();
    assert_eq!(whole, [(Some(4), Some(true)), (Some(3), Some(false)), (Some(2), Some(false)), (Some(1), Some(true))]);
    assert_eq!((status, &lines[2]["text"]), (1, &json!("once upon a time")));
    assert_eq!(lines[0]["what"], json!({ "change": { "deleted": { "forced": true } } }));
}

#[tokio::test]
async fn a_chain_that_is_whole_is_said_to_be_and_its_end_can_be_kept() {
    let books = Books::open().await;
    let mut pages = vec![books.sees(&["verify"]).await];
    books.change(&changes()).await;
    pages.push(settled(&books.sees(&["verify"]).await));
    // A person keeps it, and more is written.
    let (kept, status) = books.answers(&["verify", "--json"]).await;
    assert_eq!((status, &kept["records"], &kept["outcome"]), (0, &json!(4), &json!("whole")));
    let (staging, _) = books.answers(&["verify", "--json", "--environment", "staging"]).await;
    books.operator.file("anchors/1.json", &format!("{kept:#}\n")).unwrap();
    books.operator.file("anchors/2.jsonl", &format!("{staging}\n{kept}\n")).unwrap();
    books.operator.file("anchors/notes.txt", "of no interest").unwrap();
    let anchors = books.operator.home().join("anchors");
    let anchors = anchors.to_str().unwrap();
    books.change(&[rotated("RotationSucceeded", "2026-02-06T00:00:00Z")]).await;
    pages.push(settled(&books.sees(&["verify", "--anchors", anchors]).await));
    let from = format!("{}:{}", kept["sequence"], kept["digest"].as_str().unwrap());
    pages.push(settled(&books.sees(&["verify", "--anchors", anchors, "--from", &from]).await));
    let (end, _) = books.answers(&["verify", "--json"]).await;
    let end = format!("{}:{}", end["sequence"], end["digest"].as_str().unwrap());
    pages.push(settled(&books.sees(&["verify", "--from", &end]).await));
    insta::assert_snapshot!(pages.join("\n\n"));
}

/// As `audit` keeps them, and as somebody would like to have kept them.
#[tokio::test]
async fn ends_that_were_signed_are_believed_and_what_somebody_put_among_them_is_told() {
    let books = Books::open().await;
    books.aws.bucket("anchors", true).await.unwrap();
    let key = books.aws.signing_key().await.unwrap();
    let books = books.operated(|operator| operator.setting("RELATCH_ANCHORS_BUCKET", "anchors"));
    let mut pages = vec![settled(&books.sees(&["verify"]).await)];
    books.change(&changes()).await;
    let sdk = books.beside.sdk();
    let (bucket, notary) = (LockedBucket::new(&sdk, "anchors"), KmsKey::new(&sdk, &key));
    let at = "2026-02-05T00:00:00Z".parse().unwrap();
    let signed = anchor::anchor(&books.table, &bucket, &notary, PROD, at).await.unwrap().unwrap();
    books.change(&[rotated("RotationSucceeded", "2026-02-06T00:00:00Z")]).await;
    let pem = BASE64_STANDARD.encode(books.aws.public_key(&key).await.unwrap());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
    books.operator.file("key.pem", &pem).unwrap();
    let file = books.operator.home().join("key.pem");
    let by_file = ["verify", "--public-key", file.to_str().unwrap()];
    pages.push(settled(&books.sees(&by_file).await));

    let mut forged = signed.clone();
    forged.anchor.head.sequence += 1;
    books.aws.put("anchors", &forged.place(), serde_json::to_vec(&forged).unwrap()).await.unwrap();
    pages.push(settled(&books.sees(&by_file).await));
    let books = books.operated(|operator| operator.setting("RELATCH_ANCHORS_KEY", &key));
    let (verdict, status) = books.answers(&["verify", "--json"]).await;
    assert_eq!((status, verdict["anchors"].as_array().map(Vec::len)), (1, Some(1)), "{verdict:#}");
    assert_eq!(verdict["distrusted"][0]["object"], json!(forged.place()));
    insta::assert_snapshot!(pages.join("\n\n"));
}

#[tokio::test]
async fn what_is_appended_meanwhile_is_no_break() {
    let books = Books::open().await;
    books.change(&changes()).await;
    // Between the end and the records.
    books.aws.fault_on("dynamodb:Query", 1, Some(1), Fault::Delay(Duration::from_secs(2)));
    let verify = books.answers(&["verify", "--json"]);
    let append = async {
        eventually("a query", async || books.aws.calls().iter().any(|call| call.action == "Query")).await;
        books.change(&[rotated("RotationSucceeded", "2026-02-06T00:00:00Z")]).await;
    };
    let ((verdict, status), ()) = tokio::join!(verify, append);
    assert_eq!((status, &verdict["outcome"], &verdict["records"]), (0, &json!("whole"), &json!(5)), "{verdict:#}");
}

#[tokio::test]
async fn whatever_is_done_to_the_table_by_hand_is_found() {
    let books = Books::open().await;
    let nine: Vec<Value> = (1..=9).map(|n| rotated("RotationStarted", &format!("2026-02-{n:02}T00:00:00Z"))).collect();
    books.change(&nine[..5]).await;
    let (anchor, _) = books.answers(&["verify", "--json"]).await;
    books.operator.file("anchor.json", &anchor.to_string()).unwrap();
    let anchors = books.operator.home().join("anchor.json");
    books.change(&nine[5..]).await;
    let whole = books.chain().await;
    // A forger who knows how: each record is whole, and so is everything after it.
    let forged = {
        let other = Books::open().await;
        let mut forged = nine.clone();
        forged[3]["requestID"] = json!("forged");
        forged[3]["eventID"] = json!("forged");
        other.change(&forged).await;
        other.chain().await
    };
    let with = |n: usize, name: &str, value: AttributeValue| {
        let mut item = whole[&place(n)].clone();
        item.insert(name.to_owned(), value);
        item
    };
    let at = |n: usize, sk: &str| with(n, "sk", text(sk));
    let gone = |range: std::ops::RangeInclusive<usize>| range.map(place).collect::<Vec<_>>();
    let listed = |n: usize, sequence: usize| {
        let target = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{NAME}");
        let entry = Entry::of(&log::read(nine[n - 1].to_string().as_bytes()).unwrap().unwrap());
        let sk = format!("change#{}#{}", entry.sort_key(), entry.event);
        let sequence = AttributeValue::N(sequence.to_string());
        [("pk", text(&format!("ledger#prod#{target}"))), ("sk", text(&sk)), ("sequence", sequence)]
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect::<Item>()
    };
    let no_end = HashMap::from([("pk".to_owned(), text("chain#prod")), ("sk".to_owned(), text("head"))]);
    // What is done: removed; put.
    let cases: Vec<(&str, Vec<String>, Vec<Item>)> = vec![
        ("the first one removed", gone(1..=1), vec![]),
        ("one removed", gone(4..=4), vec![]),
        ("the last one removed", gone(9..=9), vec![]),
        ("all removed, and the end", [gone(1..=9), vec!["head".to_owned()]].concat(), vec![]),
        ("altered", vec![], vec![with(4, "entry", text("{}"))]),
        ("two exchanged", vec![], vec![at(4, &place(6)), at(6, &place(4))]),
        ("one put again", vec![], vec![at(4, &format!("{}x", place(6)))]),
        ("one put at the end", vec![], vec![at(4, &place(10))]),
        ("one forged", vec![], vec![forged[&place(4)].clone()]),
        ("the last one replaced by one that fits", vec![], vec![fitting(&whole[&place(9)])]),
        ("all forged, and the end", vec![], forged.values().cloned().collect()),
        ("the end cut off, and forgotten", gone(5..=9), vec![head_at(&whole[&place(4)])]),
        ("the end forgotten", vec!["head".to_owned()], vec![]),
        ("the end put back", vec![], vec![head_at(&whole[&place(7)])]),
        ("the end of another record", vec![], vec![forged["head"].clone()]),
        ("the end no end", vec![], vec![no_end]),
        ("one hidden in history", vec![], vec![listed(4, 5)]),
    ];
    let mut table = Vec::new();
    for (what, removed, put) in cases {
        for sk in removed {
            books.remove_record(&sk).await;
        }
        for item in put {
            books.put(item).await;
        }
        let (verdict, status) = books.answers(&["verify", "--json", "--anchors", anchors.to_str().unwrap()]).await;
        assert_eq!((status, &verdict["outcome"]), (1, &json!("broken")), "{what}: {verdict:#}");
        assert!(verdict["digest"].is_null(), "nobody is to keep that: {verdict:#}");
        let found = &verdict["broken"];
        let found = match found["sentence"].as_str() {
            Some(sentence) => format!("{} after {}: {sentence}", found["kind"], verdict["records"]),
            None => format!("hidden: {}", verdict["unlisted"]),
        };
        table.push(format!("{what}\n  {}", settled(&found)));
        for sk in books.chain().await.into_keys() {
            books.remove_record(&sk).await;
        }
        for item in whole.values().cloned().chain([listed(4, 4)]) {
            books.put(item).await;
        }
        assert_eq!(books.answers(&["verify", "--json"]).await.1, 0, "as it was, after {what}");
    }
    insta::assert_snapshot!(table.join("\n"));

    books.remove_record(&place(4)).await;
    let mut pages = vec![settled(&books.sees(&["verify"]).await)];
    books.put(whole[&place(4)].clone()).await;
    books.put(listed(4, 5)).await;
    pages.push(settled(&books.sees(&["verify"]).await));
    // What is trusted is looked for, too.
    let from = format!("4:{}", forged[&place(4)]["digest"].as_s().unwrap());
    pages.push(settled(&books.sees(&["verify", "--from", &from]).await));
    insta::assert_snapshot!("broken", pages.join("\n\n"));
}

#[tokio::test]
async fn what_cannot_be_verified_is_told_in_one_line() {
    let books = Books::open().await;
    books.operator.file("anchors.json", "{\"sequence\":4}").unwrap();
    let file = |name: &str| books.operator.home().join(name).to_str().unwrap().to_owned();
    let (bad, none) = (file("anchors.json"), file("none.json"));
    let mut table = vec![
        books.sees(&["verify", "--anchors", &bad]).await,
        books.sees(&["verify", "--anchors", &none]).await,
        books.sees(&["verify", "--table", "elsewhere"]).await,
    ];
    books.aws.fault_always("*", Fault::Deny);
    table.push(books.sees(&["verify"]).await);
    table.push(books.sees(&["access", "*"]).await);
    let (problem, status) = books.lines(&["history", NAME, "--json"]).await;
    assert_eq!((problem.len(), status), (1, 3), "in one line: {problem:?}");
    let books = books.operated(|operator| operator.without("RELATCH_TABLE"));
    for command in [vec!["verify"], vec!["access", NAME], vec!["history", NAME], vec!["learn", &bad, "--yes"]] {
        table.push(books.sees(&command).await);
    }
    insta::assert_snapshot!(table.join("\n"));
    for wrong in [vec!["verify", "--from", "4:0f3c"], vec!["access"], vec!["history", NAME, "--limit", "0"]] {
        let answer = books.operator.runs(&wrong).await.unwrap();
        assert_eq!((answer.status, answer.stdout.as_str()), (2, ""), "{wrong:?}: {answer:?}");
    }
}

/// Who came: a program, every day; a person; somebody who may not; and root.
fn visits() -> Vec<Value> {
    let mut old = read(NAME, "web", "i-0123456789abcdef0", "2026-02-02T08:00:00Z");
    old["requestParameters"]["versionStage"] = json!("AWSPREVIOUS");
    old["sourceIPAddress"] = json!("192.0.2.11");
    let mut denied = read(NAME, "report", "nightly", "2026-02-03T03:00:00Z");
    denied["requestParameters"] = Value::Null;
    denied["errorCode"] = json!("AccessDenied");
    denied["errorMessage"] = json!(format!(
        "User: arn:aws:sts::{ACCOUNT}:assumed-role/report/nightly is not authorized to perform: \
         secretsmanager:GetSecretValue on resource: {NAME} because no identity-based policy allows it"
    ));
    let mut person = read(NAME, "AWSReservedSSO_Operator_0123456789abcdef", "anna@example.com", "2026-02-03T12:34:56Z");
    person["userAgent"] =
        json!("aws-cli/2.17.32 md/awscrt#0.20.11 ua/2.0 os/macos#23.5.0 md/arch#arm64 lang/python#3.11.9");
    let mut elsewhere = read(NAME, "web", "i-0123456789abcdef0", "2026-02-03T13:00:00Z");
    elsewhere["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] =
        json!("arn:aws:iam::444455556666:role/partner");
    vec![read(NAME, "web", "i-0123456789abcdef0", "2026-02-01T08:00:00Z"), old, denied, person, elsewhere]
}

fn changes() -> Vec<Value> {
    let policy =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": "*", "Action": "*" }] });
    let secret = |more: Value| {
        let mut parameters = json!({ "secretId": NAME });
        parameters.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        parameters
    };
    let by_hand = |action: &str, at: &str, parameters: Value| {
        call("secretsmanager", action, "admin", "anna@example.com", at, parameters)
    };
    vec![
        by_hand("CreateSecret", "2026-02-01T00:00:00Z", json!({ "name": NAME })),
        rotated("RotationFailed", "2026-02-02T00:00:00Z"),
        by_hand("PutResourcePolicy", "2026-02-03T00:00:00Z", secret(json!({ "resourcePolicy": policy.to_string() }))),
        by_hand("DeleteSecret", "2026-02-04T00:00:00Z", secret(json!({ "forceDeleteWithoutRecovery": true }))),
    ]
}

/// What Secrets Manager tells of a rotation.
fn rotated(turn: &str, at: &str) -> Value {
    let secret = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{NAME}-AbCdEf");
    let token = "00000000-0000-4000-8000-000000000002";
    let mut record = call("secretsmanager", turn, "", "", at, Value::Null);
    record["userIdentity"] = json!({ "accountId": ACCOUNT, "invokedBy": "secretsmanager.amazonaws.com" });
    record["sourceIPAddress"] = json!("secretsmanager.amazonaws.com");
    record["userAgent"] = json!("secretsmanager.amazonaws.com");
    record["eventType"] = json!("AwsServiceEvent");
    record["requestID"] = json!(format!("Rotation-{secret}-{token}"));
    record["additionalEventData"] = json!({ "SecretId": secret });
    if turn == "RotationFailed" {
        record["errorMessage"] = json!(format!(
            "Error when executing lambda arn:aws:lambda:{REGION}:{ACCOUNT}:function:rotate during setSecret step"
        ));
    }
    record
}

pub(crate) fn read(secret: &str, role: &str, session: &str, at: &str) -> Value {
    call("secretsmanager", "GetSecretValue", role, session, at, json!({ "secretId": secret }))
}

pub(crate) fn call(service: &str, action: &str, role: &str, session: &str, at: &str, parameters: Value) -> Value {
    json!({
        "eventVersion": "1.11",
        "eventTime": at,
        "eventID": format!("{service}-{action}-{role}-{at}"),
        "eventSource": format!("{service}.amazonaws.com"),
        "eventName": action,
        "awsRegion": REGION,
        "sourceIPAddress": "192.0.2.10",
        "userAgent": "aws-sdk-rust/1.3.9 os/linux lang/rust/1.95.0",
        "userIdentity": {
            "type": "AssumedRole",
            "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}"),
            "accountId": ACCOUNT,
            "sessionContext": { "sessionIssuer": {
                "type": "Role", "arn": format!("arn:aws:iam::{ACCOUNT}:role/{role}"), "accountId": ACCOUNT, "userName": role,
            } },
        },
        "requestParameters": parameters,
        "recipientAccountId": ACCOUNT,
        "eventType": "AwsApiCall",
    })
}

fn entries(records: &[Value]) -> Vec<Entry> {
    let entry = |record: &Value| Entry::of(&log::read(record.to_string().as_bytes()).unwrap().expect("a fact"));
    records.iter().map(entry).collect()
}

fn place(n: usize) -> String {
    format!("record#{n:020}")
}

/// Another record in the place of one, after the same one.
fn fitting(record: &Item) -> Item {
    let field = |name: &str| record[name].as_s().unwrap();
    let sequence: u64 = field("sk").strip_prefix("record#").unwrap().parse().unwrap();
    let before = Head { sequence: sequence - 1, digest: field("previous").parse().unwrap() };
    let mut entry = Entry::from_text(field("entry")).unwrap();
    entry.principal = "nobody".to_owned();
    let forged = Record::after(before, Moment::from_millis(0), &entry);
    let mut item = record.clone();
    let parts = [("entry", text(&forged.entry)), ("digest", text(&forged.digest.to_string()))];
    item.extend(parts.map(|(name, part)| (name.to_owned(), part)));
    item.insert("recordedAt".to_owned(), AttributeValue::N("0".to_owned()));
    item
}

/// The chain's end, if that record were its last.
fn head_at(record: &Item) -> Item {
    let sequence: u64 = record["sk"].as_s().unwrap().strip_prefix("record#").unwrap().parse().unwrap();
    let sequence = AttributeValue::N(sequence.to_string());
    let parts = [
        ("pk", record["pk"].clone()),
        ("sk", text("head")),
        ("sequence", sequence),
        ("digest", record["digest"].clone()),
    ];
    parts.map(|(name, part)| (name.to_owned(), part)).into()
}

pub(crate) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Digests are others in every run, since the time when a record was written is in them.
fn digests(text: &str) -> String {
    let is_digest = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut settled = text.to_owned();
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| is_digest(word)) {
        settled = settled.replace(word, "DIGEST");
    }
    settled
}

/// Without days and times.
fn settled(text: &str) -> String {
    let shape = |word: &str| word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
    let mut settled = String::new();
    for word in text.split_inclusive([' ', '\n']) {
        let bare = word.trim_end_matches([' ', '\n', '.', ',', ':']);
        let plain = match shape(bare).as_str() {
            "0000-00-00" => "2026-01-01",
            "00:00:00" => "00:00:00",
            moment if moment.starts_with("0000-00-00T00:00:00") => "2026-01-01T00:00:00Z",
            _ => bare,
        };
        settled += plain;
        settled += &word[bare.len()..];
    }
    settled
}
