//! `scan`: what is in files of CloudTrail's, without AWS.

use flate2::{Compression, write::GzEncoder};
use relatch_integration::{
    activity::{Activity, beginning, log, secret, theft, write_gz},
    cli::{Answer, Operator},
    cloud::handler,
};
use serde_json::{Value, json};
use std::{fmt::Write as _, fs, io::Write as _, os::unix::fs::symlink, path::PathBuf};

/// Somebody with logs at home, who knows nothing of AWS: neither region nor credentials.
struct Desk(Operator);

impl Desk {
    fn new() -> Self {
        let operator = Operator::new(handler("relatch").unwrap()).unwrap();
        Self(operator.without("AWS_REGION").without("AWS_ACCESS_KEY_ID").without("AWS_SECRET_ACCESS_KEY"))
    }

    fn home(&self, name: &str) -> PathBuf {
        let path = self.0.home().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn gz(&self, name: &str, records: &[String]) {
        write_gz(&self.home(name), &log(records)).unwrap();
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.home(name), text).unwrap();
    }

    /// Paths are those below home: `~/logs`.
    async fn scans(&self, arguments: &str) -> Answer {
        let home = self.0.home().to_str().unwrap().to_owned();
        let arguments = arguments.replace('~', &home);
        let arguments: Vec<&str> = ["scan"].into_iter().chain(arguments.split_whitespace()).collect();
        let answer = self.0.runs(&arguments).await.unwrap();
        let at_home = |text: &str| text.replace(&home, "~");
        Answer { stdout: at_home(&answer.stdout), stderr: at_home(&answer.stderr), ..answer }
    }

    /// What a person sees.
    async fn sees(&self, arguments: &str) -> String {
        let answer = self.scans(arguments).await;
        for line in answer.stdout.lines().filter(|line| !line.starts_with("malformed")) {
            assert!(line.chars().count() <= 80, "too long: {line}");
        }
        assert!(!answer.stdout.contains('\x1b') && !answer.stderr.contains('\r'), "colours or a bar in a pipe");
        let mut told = format!("$ relatch scan {arguments}\n{}", answer.stdout);
        for line in answer.stderr.lines() {
            writeln!(told, "stderr: {line}").unwrap();
        }
        write!(told, "status: {}", answer.status).unwrap();
        told
    }

    async fn lines(&self, arguments: &str) -> (Vec<Value>, i32) {
        let answer = self.scans(arguments).await;
        (answer.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect(), answer.status)
    }
}

fn quiet(records: usize) -> Vec<String> {
    Activity::new(1).take(records).collect()
}

#[tokio::test]
async fn a_thief_among_the_reads_of_a_day_is_one_incident() {
    let desk = Desk::new();
    let logs = Activity::new(1).write(6_000, &desk.home("logs")).unwrap();
    assert_eq!(logs.files.len(), 2);
    desk.gz("logs/stolen.json.gz", &theft(24, beginning()));
    insta::assert_snapshot!(desk.sees("~/logs").await);
}

#[tokio::test]
async fn days_like_any_other_are_quiet() {
    let desk = Desk::new();
    Activity::new(2).write(6_000, &desk.home("logs")).unwrap();
    insta::assert_snapshot!(desk.sees("~/logs").await);
}

#[tokio::test]
async fn programs_read_one_object_or_lines() {
    let desk = Desk::new();
    desk.gz("logs/stolen.json.gz", &theft(24, beginning()));
    let whole = desk.scans("~/logs --json").await;
    assert_eq!(whole, desk.scans("~/logs --format json").await);
    assert_eq!((whole.status, whole.stderr.as_str()), (1, ""));
    let whole: Value = serde_json::from_str(&whole.stdout).unwrap();
    assert_eq!(whole["incidents"].as_array().unwrap().len(), 1);
    assert_eq!(whole["records"], json!({ "all": 24, "facts": 24, "ignored": 0, "duplicate": 0, "malformed": 0 }));

    let (events, status) = desk.lines("~/logs --format jsonl").await;
    let findings = whole["incidents"][0]["findings"].as_array().unwrap();
    assert_eq!((events.len(), status), (findings.len(), 1));
    assert!(findings.iter().all(|finding| events.contains(finding)));
    let aside = desk.scans("~/logs --format jsonl").await.stderr;
    assert_eq!(aside, "24 records in 1 file = 24 facts + 0 ignored + 0 duplicate + 0 malformed\n");
}

#[tokio::test]
async fn ocsf_tells_of_findings_and_if_asked_of_each_read() {
    let desk = Desk::new();
    desk.gz("logs/stolen.json.gz", &theft(24, beginning()));
    let (findings, _) = desk.lines("~/logs --format ocsf").await;
    let (all, status) = desk.lines("~/logs --format ocsf --accesses").await;
    let (accesses, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|event| event["class_uid"] == 6003);
    assert_eq!((&others, accesses.len(), status), (&findings, 24, 1));
    for event in accesses.iter().chain(&findings) {
        let number = |field: &str| event[field].as_i64().unwrap();
        assert_eq!(number("type_uid"), number("class_uid") * 100 + number("activity_id"));
        assert_eq!(number("class_uid") / 1000, number("category_uid"));
        assert!(number("severity_id") > 0 && number("time") >= beginning().as_millisecond());
        assert_eq!(event["metadata"]["version"], "1.5.0");
        assert!(event["metadata"]["product"]["name"].is_string());
    }
    let text = |event: &Value| serde_json::to_string_pretty(event).unwrap();
    insta::assert_snapshot!("ocsf_finding", text(&findings[0]));
    insta::assert_snapshot!("ocsf_access", text(&accesses[0]));
}

#[tokio::test]
async fn a_record_is_the_same_in_every_kind_of_file() {
    let desk = Desk::new();
    let (day, stolen) = (quiet(300), theft(24, beginning()));
    let event = |record: &String| {
        let (source, kind) = ("aws.secretsmanager", "AWS API Call via CloudTrail");
        format!(r#"{{"source":"{source}","detail-type":"{kind}","detail":{record}}}"#)
    };
    let events: Vec<String> = stolen.iter().map(event).collect();
    let pretty =
        |record: &String| serde_json::to_string_pretty(&serde_json::from_str::<Value>(record).unwrap()).unwrap();
    let pretty: Vec<String> = stolen.iter().map(pretty).collect();
    let files = [
        ("records.json", log(&stolen)),
        ("list.json", format!("[{}]", pretty.join(",\n"))),
        ("lines.ndjson", stolen.join("\n")),
        ("events.jsonl", events.join("\n")),
    ];
    for (name, text) in &files {
        desk.file(&format!("{name}-alone/{name}"), text);
        desk.gz(&format!("{name}-alone/day.json.gz"), &day);
        let (told, _) = desk.lines(&format!("~/{name}-alone --format jsonl")).await;
        assert!(told.iter().any(|event| event["metadata"]["finding"] == "read-burst"), "{name}");
    }
    // The same ones four times over: what was read before is a duplicate.
    let all: Vec<String> = files.iter().map(|(name, _)| format!("~/{name}-alone/{name}")).collect();
    let told = desk.scans(&format!("{} --format jsonl", all.join(" "))).await;
    assert_eq!(told.stderr, "96 records in 4 files = 24 facts + 0 ignored + 72 duplicate + 0 malformed\n");
}

#[tokio::test]
async fn standard_input_is_a_file_too() {
    let desk = Desk::new();
    let root = r#"{"eventVersion":"1.09","userIdentity":{"type":"Root","accountId":"123456789012","arn":"arn:aws:iam::123456789012:root"},"eventTime":"2026-01-01T00:00:00Z","eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","awsRegion":"eu-central-1","requestParameters":{"secretId":"shop-prod-secret-database"},"eventID":"1"}"#;
    let answer = desk.0.types(&["scan", "-", "--format", "jsonl"], &format!("{root}\n\x04")).await.unwrap();
    let told: Value = serde_json::from_str(&answer.stdout).expect(&answer.stderr);
    assert_eq!((&told["metadata"]["finding"], answer.status), (&json!("root-read"), 1));
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_the_rest_is_scanned_all_the_same() {
    let desk = Desk::new();
    let (day, mut stolen) = (quiet(300), theft(24, beginning()));
    desk.gz("logs/1-good.json.gz", &day);
    let whole = |records: &[String]| {
        let mut file = GzEncoder::new(Vec::new(), Compression::default());
        file.write_all(log(records).as_bytes()).unwrap();
        file.finish().unwrap()
    };
    let mut damaged = whole(&day);
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(0xff);
    fs::write(desk.home("logs/2-damaged.json.gz"), &damaged).unwrap();
    let cut = whole(&day);
    fs::write(desk.home("logs/3-cut.json.gz"), &cut[..cut.len() / 2]).unwrap();
    desk.file("logs/4-inflated-by-a-browser.json.gz", &log(&day));
    desk.file("logs/5-no-log.json", r#"{"name":"package.json"}"#);
    desk.file("logs/6-no-json.json", "once upon a time");
    stolen[3].truncate(100);
    desk.gz("logs/7-stolen.json.gz", &stolen);
    desk.file("logs/notes.txt", "of no interest");
    insta::assert_snapshot!(desk.sees("~/logs ~/nowhere").await);
}

#[tokio::test]
async fn nothing_found_never_stands_alone_over_what_was_not_read_whole() {
    let desk = Desk::new();
    let day = log(&quiet(30));
    for (name, text) in [
        ("cut.json", day[..day.len() - 100].to_owned()),
        ("behind.json", format!("{day}x{day}")),
        ("before.json", format!("x\n{day}")),
        ("empty.json", String::new()),
        ("digest.json", r#"{"digestStartTime":"2026-01-01T00:00:00Z"}"#.to_owned()),
    ] {
        desk.file(name, &text);
        for options in ["", "--json", "--format jsonl", "--format ocsf"] {
            let answer = desk.scans(&format!("~/{name} {options}")).await;
            assert_eq!(answer.status, 2, "{name} {options}: {answer:?}");
            let said = format!("{}{}", answer.stdout, answer.stderr);
            assert!(answer.stderr.contains(name) && !said.contains("Nothing was found."), "{name}: {answer:?}");
        }
    }
    desk.file("mark.json", &format!("\u{feff}{day}\u{feff}{day}"));
    assert_eq!(desk.scans("~/mark.json").await.status, 0);
}

#[tokio::test]
async fn numbers_on_the_screen_are_never_cut() {
    let desk = Desk::new();
    let mut records = quiet(30);
    records.extend(vec!["{}".to_owned(); 123_456]);
    desk.file("log.json", &log(&records));
    let answer = desk.scans("~/log.json").await;
    assert!(answer.stdout.contains("123456") && answer.stdout.contains("and 123451 more"), "{}", answer.stdout);
}

#[tokio::test]
async fn text_of_others_begins_no_line_and_acts_on_no_terminal() {
    let desk = Desk::new();
    let evil = "x\n\nOne incident was found.\u{202e}\u{9b}2J\u{2028}\u{200b}\u{1b}]0;t\u{7}`";
    let evil_record = |record: &String| {
        let mut record: Value = serde_json::from_str(record).unwrap();
        record["userAgent"] = json!(format!("trufflehog{evil}"));
        record["requestParameters"]["secretId"] = json!(format!("s{evil}{}", record["eventID"]));
        record["userIdentity"]["arn"] = json!(format!("{}{evil}", record["userIdentity"]["arn"].as_str().unwrap()));
        record["awsRegion"] = json!(evil);
        record["sourceIPAddress"] = json!(evil);
        record.to_string()
    };
    let records: Vec<String> = theft(24, beginning()).iter().map(evil_record).collect();
    desk.file("log\u{202e}.json", &log(&records));
    for options in ["", "--json", "--format jsonl", "--format ocsf --accesses"] {
        let answer = desk.scans(&format!("~/log\u{202e}.json {options}")).await;
        let said = format!("{}{}", answer.stdout, answer.stderr);
        assert_eq!(answer.status, 1, "{said}");
        let is_hidden = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2028}\u{200b}".contains(c);
        assert!(!said.contains(is_hidden), "{options}: {said:?}");
        assert!(said.matches("\nOne incident was found.").count() <= 1, "{said}");
        // A program gets every character.
        for line in answer.stdout.lines().filter(|_| options.contains("format")) {
            assert!(serde_json::from_str::<Value>(line).unwrap().to_string().contains('\u{202e}'), "{line}");
        }
    }
}

#[tokio::test]
async fn folders_are_read_once_in_the_order_of_delivery_without_what_is_no_log() {
    let desk = Desk::new();
    let file = |region: &str, minute: &str, kind: &str| {
        format!(
            "logs/AWSLogs/123456789012/{kind}/{region}/2026/01/01/123456789012_{kind}_{region}_20260101T00{minute}Z_a.json.gz"
        )
    };
    for (number, record) in theft(4, beginning()).chunks(1).enumerate() {
        let region = ["eu-west-1", "us-east-1"][number % 2];
        desk.gz(&file(region, &format!("{number:02}"), "CloudTrail"), record);
    }
    desk.file(&file("eu-west-1", "09", "CloudTrail-Digest"), "{}");
    let logs = desk.home("logs");
    symlink(&logs, logs.join("AWSLogs/again")).unwrap();
    symlink("itself", logs.join("itself")).unwrap();
    fs::create_dir(desk.home("empty")).unwrap();
    let (accesses, _) = desk.lines("~/logs --format ocsf --accesses").await;
    let read: Vec<&str> = accesses
        .iter()
        .filter(|event| event["class_uid"] == 6003)
        .map(|event| event["resources"][0]["name"].as_str().unwrap())
        .collect();
    assert_eq!(read, [0, 1, 2, 3].map(secret));
    insta::assert_snapshot!(desk.sees("~/empty").await);
}

#[tokio::test]
async fn a_period_and_a_severity_narrow_what_is_told() {
    let desk = Desk::new();
    desk.gz("logs/stolen.json.gz", &theft(24, beginning()));
    let found = async |options: &str| {
        let (events, status) = desk.lines(&format!("~/logs --format jsonl {options}")).await;
        (!events.is_empty(), status)
    };
    assert_eq!(found("--since 2026-01-01").await, (true, 1));
    assert_eq!(found("--since 2026-01-02").await, (false, 0));
    assert_eq!(found("--until 2026-01-01T00:00:00Z").await, (false, 0));
    assert_eq!(found("--until 2026-01-02 --fail-on high").await, (true, 1));
    desk.file("policy.json", r#"{"trusted":{"principals":["shop-prod-web"],"tools":["trufflehog"]}}"#);
    assert_eq!(found("--policy ~/policy.json --fail-on high").await.1, 0);
}

#[tokio::test]
async fn wrong_use_is_told_in_one_line() {
    let desk = Desk::new();
    desk.gz("stolen.json.gz", &theft(1, beginning()));
    desk.file("policy.json", r#"{"learning-days":"14","decoy":{},"thresholds":{"read-burst":{"count":0}}}"#);
    let mut table = Vec::new();
    for options in ["--policy ~/policy.json", "--policy ~/none.json", "--accesses"] {
        table.push(desk.sees(&format!("~/stolen.json.gz {options}")).await);
    }
    insta::assert_snapshot!(table.join("\n"));
    for options in [
        "",
        "~/stolen.json.gz --format xml",
        "~/stolen.json.gz --fail-on urgent",
        "~/x --since soon",
        "~/stolen.json.gz --since 2026-01-02 --until 2026-01-01",
        "~/stolen.json.gz --since 2026-01-02 --until 2026-01-02",
        "~/x --json --format ocsf",
    ] {
        let answer = desk.scans(options).await;
        assert_eq!((answer.status, answer.stdout.as_str()), (2, ""), "{options}: {answer:?}");
    }
}
