//! Every rendering of every condition, firing and resolved, in every language; and what none of them may do.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use example::SECRET;
use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

/// Renders every condition × status, in both languages.
macro_rules! every {
    ($name:ident, $render:expr) => {
        #[test]
        fn $name() {
            for language in Language::ALL {
                let rendered = every(language, $render);
                insta::assert_snapshot!(format!("{}_{}", stringify!($name), language.name()), rendered);
            }
        }
    };
}

every!(slack, |alert, language, local| pretty(&slack::message(alert, language, local)));
every!(pagerduty, |alert, language, local| pretty(&pagerduty::event(alert, language, local)));
every!(chat, |alert, language, local| pretty(&chat::message(alert, language, local)));
every!(email, email::body);

fn every(language: Language, render: impl Fn(&Alert, Language, &Local) -> String) -> String {
    let rendered = examples(language).map(|alert| {
        format!("==== {} {}\n{}\n", alert.condition.name(), alert.status.name(), render(&alert, language, &tokyo()))
    });
    rendered.collect()
}

#[test]
fn an_example_is_what_it_is_said_to_be() {
    for language in Language::ALL {
        for condition in Condition::ALL {
            for status in [Status::Firing, Status::Resolved] {
                let alert = example::alert(condition, status, language);
                assert_eq!((alert.condition, alert.status), (condition, status));
                let nothing = (Condition::SweepUnfinished, Status::Resolved);
                assert_eq!(alert.found.is_empty(), (condition, status) == nothing, "{}", condition.name());
            }
        }
    }
}

#[test]
fn a_subject_is_of_fewer_than_100_ascii_characters() {
    for alert in Language::ALL.into_iter().flat_map(examples) {
        let long = Alert { subject: "ü".repeat(300) + &"name".repeat(300), ..alert.clone() };
        for headline in [alert.headline(), long.headline()] {
            assert!(headline.len() < 100 && headline.is_ascii(), "{headline}");
        }
    }
}

#[test]
fn an_e_mail_says_everything_and_what_matters_in_25_lines() {
    let lines = |what: &str| (0..40).map(|n| format!("{what} {n}.")).collect();
    for language in Language::ALL {
        for alert in examples(language) {
            let long = Alert { found: lines("found"), done: lines("done"), to_do: lines("to do"), ..alert };
            let body = email::body(&long, language, &tokyo());
            let details = words::Words::of(language).details;
            let above = body.lines().position(|line| line == details).unwrap();
            assert!(above <= 25, "{above} lines\n{body}");
            let told = usize::from(long.status == Status::Firing);
            let lines = long.found.iter().chain(&long.done).map(|line| (line, 1));
            for (line, times) in lines.chain(long.to_do.iter().map(|line| (line, told))) {
                assert_eq!(body.matches(&format!("* {line}\n")).count(), times, "{line}\n{body}");
            }
        }
    }
}

#[test]
fn links_lead_to_the_partition_and_region_of_the_subject() {
    let console = |condition, subject: &str| {
        let alert =
            Alert { subject: subject.to_owned(), ..example::alert(condition, Status::Firing, Language::English) };
        tokyo().console(&alert)
    };
    let secret = |arn| console(Condition::LockedOut, arn).unwrap();
    insta::assert_snapshot!(
        [
            secret(SECRET),
            secret("arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:team/app@1-AbCdEf"),
            secret("arn:aws-us-gov:secretsmanager:us-gov-west-1:123456789012:secret:app-AbCdEf"),
            console(Condition::AlarmFiring, "Errors & <others> 50%").unwrap(),
        ]
        .join("\n"),
        @"
    https://ap-northeast-1.console.aws.amazon.com/secretsmanager/secret?name=app-prod-database&region=ap-northeast-1
    https://cn-north-1.console.amazonaws.cn/secretsmanager/secret?name=team%2Fapp%401&region=cn-north-1
    https://us-gov-west-1.console.amazonaws-us-gov.com/secretsmanager/secret?name=app&region=us-gov-west-1
    https://ap-northeast-1.console.aws.amazon.com/cloudwatch/home?region=ap-northeast-1#alarmsV2:alarm/Errors%20%26%20%3Cothers%3E%2050%25
    "
    );
    assert_eq!(console(Condition::SweepUnfinished, "sweep of prod"), None);
    let alert = example::alert(Condition::Stranded, Status::Firing, Language::English);
    assert_eq!(Audience::default().local(Timestamp::UNIX_EPOCH).runbook(&alert), None);
}

#[test]
fn a_key_that_is_too_long_is_named_by_its_digest() {
    let key = |subject: String, longest| {
        Alert { subject, ..example::alert(Condition::Stranded, Status::Firing, Language::English) }.short_key(longest)
    };
    assert_eq!(key("app".to_owned(), 128), "stranded/app");
    for subject in ["k".repeat(129), "two words".to_owned(), "ü".to_owned()] {
        assert_eq!(key(subject, 128).len(), 64);
    }
    assert_ne!(key("k".repeat(129), 128), key("k".repeat(130), 128));
}

#[test]
fn what_is_no_alert_is_said_to_be_none_and_why() {
    let good = example::alert(Condition::LockedOut, Status::Firing, Language::English).json();
    let read = |field: &str, value: Value| {
        let mut bad = good.clone();
        bad[field] = value;
        Alert::read(&bad).unwrap_err().to_string()
    };
    assert_eq!(Alert::read(&json!("text")).unwrap_err(), BadAlert::Version);
    assert_eq!(read("version", json!(2)), "`version` is not 1");
    assert_eq!(read("subject", json!(null)), "`subject` is missing, or not of its type");
    assert_eq!(read("found", json!(["one", 2])), "`found` is missing, or not of its type");
    assert_eq!(read("condition", json!("mood")), "`condition` says something that is not known here");
    assert_eq!(read("impact", json!("safe")), "`impact` says something that is not known here");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_alert_is_read_back_as_it_was_written(alert in alerts()) {
        let text = alert.json().to_string();
        prop_assert_eq!(Alert::read(&serde_json::from_str(&text).unwrap()), Ok(alert));
    }

    #[test]
    fn no_alert_exceeds_what_a_channel_takes(alert in alerts(), language in prop::sample::select(&Language::ALL[..])) {
        let message = slack::message(&alert, language, &tokyo());
        let blocks = message["blocks"].as_array().unwrap();
        prop_assert!(blocks.len() <= 50);
        let long = |value: &Value, most: usize| {
            let text = value["text"].as_str().unwrap();
            let length = text.encode_utf16().count();
            assert!((1..=most).contains(&length), "{length} of {most}: {value}");
            let marked = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
            assert!(value["type"] != "mrkdwn" || !marked.contains(['&', '<', '>']), "not escaped: {text}");
            assert!(value["type"] != "mrkdwn" || value["verbatim"] == true, "links by itself: {text}");
        };
        for block in blocks {
            match block["type"].as_str().unwrap() {
                "header" => long(&block["text"], 150),
                "section" if block["text"].is_null() => block["fields"].as_array().unwrap().iter().for_each(|field| long(field, 2000)),
                "section" => long(&block["text"], 3000),
                "context" => block["elements"].as_array().unwrap().iter().for_each(|text| long(text, 3000)),
                "actions" => for button in block["elements"].as_array().unwrap() {
                    long(&button["text"], 75);
                    prop_assert!(button["url"].as_str().unwrap().len() <= 3000);
                },
                other => panic!("{other}"),
            }
        }
        prop_assert!(!message["text"].as_str().unwrap().is_empty());

        let event = pagerduty::event(&alert, language, &tokyo());
        prop_assert!(event["dedup_key"].as_str().unwrap().chars().count() <= 255);
        prop_assert!(event["payload"]["summary"].as_str().unwrap().chars().count() <= 1024);
        prop_assert!(event.to_string().len() <= 512 * 1024);

        let chat = chat::message(&alert, language, &tokyo());
        for text in [&chat["content"]["title"], &chat["content"]["description"]] {
            let text = text.as_str().unwrap();
            prop_assert!(!text.is_empty() && text.encode_utf16().count() <= 3000);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_of_others_adds_a_line_acts_on_a_reader_or_is_markup(
        evil in "[a \\n\\r\\t\u{7}\u{1b}\u{85}\u{9b}\u{200b}\u{202e}\u{2028}\u{2029}\u{2066}\u{feff}\u{e0041}*_~`<>!@#&|:/.()\\[\\]-]{0,60}",
        condition in prop::sample::select(&Condition::ALL[..]),
        language in prop::sample::select(&Language::ALL[..]),
    ) {
        let with = |text: &str| Alert {
            found: vec![text.to_owned(), "ours".to_owned()],
            done: vec![text.to_owned()],
            to_do: vec![format!("`relatch doctor app` {text}")],
            members: vec![text.to_owned(), format!("x{text}")],
            ..Alert::firing(condition, text.to_owned(), Environment::Prod)
        };
        let (evil, harmless) = (with(&format!("x{evil}*What to do*\n<https://x.example|y> https://x.example <!channel>{evil}")), with("x"));
        let lines = |alert: &Alert| email::body(alert, language, &tokyo()).lines().count();
        prop_assert_eq!(lines(&evil), lines(&harmless));
        prop_assert_eq!(evil.headline().lines().count(), 1);
        // Slack: the blocks are as many, with as many lines, and what is markup is the same.
        let blocks = |alert: &Alert| slack::message(alert, language, &tokyo())["blocks"].clone();
        let marked = |alert| strings(&blocks(alert)).into_iter().filter(|(kind, _)| kind == "mrkdwn").collect::<Vec<_>>();
        prop_assert_eq!(marked(&evil), marked(&harmless));
        let counts = |alert| strings(&blocks(alert)).iter().map(|(_, text)| text.lines().count()).collect::<Vec<_>>();
        prop_assert_eq!(counts(&evil), counts(&harmless));
        let all = [
            slack::message(&evil, language, &tokyo()),
            slack::update(&evil, language),
            slack::text(&email::body(&evil, language, &tokyo())),
            chat::message(&evil, language, &tokyo()),
            pagerduty::event(&evil, language, &tokyo()),
        ];
        for rendered in &all {
            for text in every_text(rendered) {
                let is_hidden = |c: char| (c.is_control() && c != '\n') || "\u{200b}\u{202e}\u{2028}\u{2029}\u{2066}\u{feff}\u{e0041}".contains(c);
                prop_assert!(!text.contains(is_hidden), "{:?}", text);
            }
        }
        // Where a chat reads any text as markup, nothing of it is live outside of a command.
        let texts = [&all[0]["text"], &all[1]["text"], &all[2]["text"], &all[3]["content"]["title"], &all[3]["content"]["nextSteps"][0]];
        for text in texts {
            for (index, part) in text.as_str().unwrap().split('`').enumerate() {
                prop_assert!(index % 2 == 1 || !part.contains(['*', '~', '<', '>']), "{:?}", text);
                prop_assert!(index % 2 == 1 || !part.contains("https://x.example"), "{:?}", text);
            }
        }
    }
}

/// Each text object's type and text.
fn strings(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(fields) => {
            let own = value["type"]
                .as_str()
                .zip(value["text"].as_str())
                .map(|(kind, text)| (kind.to_owned(), text.to_owned()));
            own.into_iter().chain(fields.values().flat_map(strings)).collect()
        }
        Value::Array(items) => items.iter().flat_map(strings).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn every_text(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Object(fields) => fields.values().flat_map(every_text).collect(),
        Value::Array(items) => items.iter().flat_map(every_text).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[test]
fn what_programs_read() {
    insta::assert_snapshot!(pretty(&example::alert(Condition::LockedOut, Status::Firing, Language::English).json()));
}

#[test]
fn a_name_is_what_a_person_would_say() {
    for (subject, name) in [(SECRET, "app-prod-database"), ("an-alarm-AbCdEf", "an-alarm-AbCdEf"), ("sweep", "sweep")] {
        let of = example::alert(Condition::AlarmFiring, Status::Firing, Language::English);
        assert_eq!(Alert { subject: subject.to_owned(), ..of }.subject_name(), name);
    }
}

/// That no translation is missing, the compiler sees; that none was left in English, this test does.
#[test]
fn every_sentence_exists_in_japanese() {
    let all = examples(Language::English)
        .map(|alert| (alert.clone(), example::alert(alert.condition, alert.status, Language::Japanese)));
    let now = Timestamp::UNIX_EPOCH;
    let repairs = crate::rollback::recovery::tests::examples();
    let of_repairs = repairs.iter().flat_map(|(_, recovery)| {
        let told = |language| findings::alerts(recovery, &findings::Cause::Failed, Environment::Prod, language, now);
        told(Language::English).into_iter().zip(told(Language::Japanese))
    });
    let mut seen = 0;
    for (english, japanese) in all.chain(of_repairs) {
        let pairs =
            [(&english.found, &japanese.found), (&english.done, &japanese.done), (&english.to_do, &japanese.to_do)];
        for (english, japanese) in pairs {
            assert_eq!(english.len(), japanese.len(), "{english:#?} {japanese:#?}");
            // CloudWatch's own words.
            for line in japanese.iter().filter(|line| !line.starts_with("Threshold Crossed")) {
                assert!(is_japanese(line), "{line}");
                seen += 1;
            }
        }
        for language in Language::ALL {
            let title = english.condition.title(language);
            assert_eq!(is_japanese(title), language == Language::Japanese, "{title}");
        }
    }
    assert!(seen > 50, "{seen} lines");
}

fn is_japanese(text: &str) -> bool {
    text.chars().any(|character| ('\u{3040}'..='\u{9fff}').contains(&character))
}

fn alerts() -> impl Strategy<Value = Alert> {
    // Few characters that matter, and now and then more of them than any channel takes.
    let some = || "[a&<>🦀ü\"\n`*]{0,40}";
    let many = || ("[a&<>🦀ü]{1,7}", 300..900_usize).prop_map(|(text, times)| text.repeat(times));
    let text = move || prop_oneof![4 => some().boxed(), 1 => many().boxed()];
    let full = move || (text(), 60..80_usize).prop_map(|(line, times)| vec![line; times]);
    let lines = move || prop_oneof![4 => prop::collection::vec(text(), 0..4).boxed(), 1 => full().boxed()];
    let impact = prop::option::of(prop::sample::select(&Impact::ALL[..]));
    let of = (prop::sample::select(&Condition::ALL[..]), prop::bool::ANY, impact);
    let of = (of, prop::sample::select(&Environment::ALL[..]));
    let subject =
        prop_oneof![Just(SECRET.to_owned()), text(), "arn:aws:secretsmanager:x:1:secret:[a-z/]{1,512}-AbCdEf"];
    let since = prop::option::of((0..4_000_000_000_000_i64).prop_map(|at| Timestamp::from_millisecond(at).unwrap()));
    (of, subject, [lines(), lines(), lines(), lines()], since).prop_map(|(of, subject, lines, since)| {
        let ((condition, firing, impact), environment) = of;
        let [found, done, to_do, members] = lines;
        let status = if firing { Status::Firing } else { Status::Resolved };
        Alert { status, impact, found, done, to_do, members, since, ..Alert::firing(condition, subject, environment) }
    })
}

fn examples(language: Language) -> impl Iterator<Item = Alert> {
    let of =
        move |condition| [Status::Firing, Status::Resolved].map(|status| example::alert(condition, status, language));
    Condition::ALL.into_iter().flat_map(of)
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn tokyo() -> Local {
    let audience = Audience {
        time_zone: TimeZone::get("Asia/Tokyo").unwrap(),
        runbooks: Some("https://runbooks.example.com/relatch/".to_owned()),
        region: Some("ap-northeast-1".to_owned()),
        ..Audience::default()
    };
    audience.local("2026-11-20T18:59:00Z".parse::<Timestamp>().unwrap())
}
