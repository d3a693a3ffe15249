//! Which events go where: every rule's pattern against every fixture, by the emulator's engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use relatch_events::cloudtrail::{
    envelope::{Content, FileKind, Invocation},
    log,
};
use relatch_events::{guardduty, trigger::Trigger};
use relatch_integration::aws::Endpoint;
use relatch_integration::template::Resource;
use serde_json::{Value, json};

use crate::evaluation::list;
use crate::scene::{ACCOUNT, REGION, World};

/// The fixtures tell of these secrets and alarms.
fn world() -> World {
    World::with(
        "relatch",
        "prod",
        ACCOUNT,
        &[("SecretNamePrefix", "shop-prod-secret-"), ("Secrets", "own"), ("Database", "none")],
    )
}

/// An event as EventBridge hands it over, by the fixture's name.
struct Fixture {
    name: String,
    event: Value,
    /// Which functions it is a fact for.
    for_functions: BTreeSet<&'static str>,
}

impl Fixture {
    fn new(name: String, event: Value) -> Self {
        let mut for_functions = BTreeSet::new();
        let payload = event.to_string();
        let invocation = Invocation::parse(payload.as_bytes()).unwrap();
        let is_for_audit = invocation.parcels.iter().any(|parcel| match &parcel.content {
            Ok(Content::Record(record)) => log::read(record.as_bytes()).is_ok_and(|fact| fact.is_some()),
            Ok(Content::Files(files)) => files.iter().any(|file| file.kind() == FileKind::Log),
            Ok(Content::Event { source, kind, detail }) => {
                let is_guardduty = source == guardduty::SOURCE && kind == guardduty::KIND;
                is_guardduty && guardduty::fact(detail.as_bytes()).is_ok_and(|fact| fact.is_some())
            }
            Ok(Content::Anchor | Content::Nothing) | Err(_) => false,
        });
        if is_for_audit {
            for_functions.insert("audit");
        }
        if Trigger::parse(&event).is_ok() {
            for_functions.insert("respond");
        }
        Self { name, event, for_functions }
    }
}

/// Facts that no rule brings, each with the reason.
const UNHEARD: &[(&str, &str)] = &[
    ("cloudtrail/rotation-started: respond", "nothing is to be done about it"),
    ("service-events/rotation-started: respond", "nothing is to be done about it"),
];

/// Matched, and no fact, each with the reason why no pattern can say so.
const IN_VAIN: &[(&str, &str)] = &[];

#[tokio::test]
async fn each_rule_matches_its_facts_and_nothing_else() {
    let aws = Endpoint::start().await.unwrap();
    aws.emulate().await.unwrap();
    let world = world();
    let rules: Vec<_> = world.deployment.of_kind("AWS::Events::Rule").filter(|rule| has_pattern(rule)).collect();
    let (mut page, mut unheard, mut in_vain) = (String::new(), BTreeSet::new(), BTreeSet::new());
    let mut used: BTreeMap<&str, usize> = rules.iter().map(|rule| (rule.name.as_str(), 0)).collect();
    for fixture in fixtures().into_iter().chain(files(&world)) {
        let (mut by, mut reached) = (Vec::new(), BTreeSet::new());
        for rule in &rules {
            if reaches(&aws, rule, &fixture.event).await {
                by.push(rule.name.strip_prefix("relatch-prod-").unwrap_or(&rule.name));
                reached.insert(receiver(&world, rule));
                *used.get_mut(rule.name.as_str()).unwrap() += 1;
            }
        }
        for function in fixture.for_functions.iter().filter(|function| !reached.contains(**function)) {
            unheard.insert(format!("{}: {function}", fixture.name));
        }
        for function in reached.iter().filter(|function| !fixture.for_functions.contains(function.as_str())) {
            in_vain.insert(format!("{}: {function}", fixture.name));
        }
        let facts = fixture.for_functions.into_iter().collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "{:58} {facts:14}  {}", fixture.name, by.join(", "));
    }
    let idle: Vec<_> = used.iter().filter(|(_, fixtures)| **fixtures == 0).map(|(rule, _)| *rule).collect();
    let head = format!("{:58} {:14}  {}\n", "event", "a fact for", "handed over by");
    let said = format!(
        "{head}{page}\nfacts that no rule brings\n{}\nbrought, and no fact\n{}",
        lines(&unheard, UNHEARD),
        lines(&in_vain, IN_VAIN)
    );
    insta::assert_snapshot!(said.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"));
    for (found, known) in [(unheard, UNHEARD), (in_vain, IN_VAIN)] {
        assert_eq!(found, known.iter().map(|(name, _)| (*name).to_owned()).collect(), "see the snapshot");
    }
    assert_eq!(idle, [""; 0], "no fixture is for them");
}

/// Calls that are denied need no permission. Whoever makes very many of them keeps nobody from being heard but himself.
#[tokio::test]
async fn a_call_that_is_denied_waits_in_a_queue_of_its_own() {
    let aws = Endpoint::start().await.unwrap();
    aws.emulate().await.unwrap();
    let world = world();
    let rules: Vec<_> = world.deployment.of_kind("AWS::Events::Rule").filter(|rule| has_pattern(rule)).collect();
    let is_denied = |fixture: &Fixture| {
        let code = fixture.event["detail"]["errorCode"].as_str().unwrap_or_default();
        code.contains("AccessDenied") && fixture.event["detail"]["userIdentity"]["type"] != "Root"
    };
    let denied: Vec<_> = fixtures().into_iter().filter(is_denied).collect();
    assert!(denied.len() > 5);
    for fixture in denied {
        let mut by = Vec::new();
        for rule in &rules {
            if reaches(&aws, rule, &fixture.event).await {
                by.push(list(&rule.properties["Targets"])[0]["Arn"].as_str().unwrap().to_owned());
            }
        }
        assert!(by.len() == 1 && by[0].ends_with("-audit-background"), "{}: {by:?}", fixture.name);
    }
}

/// Another account may be allowed to put its own events on the bus.
#[test]
fn what_another_account_tells_of_itself_matches_no_rule() {
    // A bucket's name is nobody else's; and GuardDuty's administrator hears of all of an organisation.
    let of_any = ["-audit-files", "-audit-guardduty"];
    for rule in world().deployment.of_kind("AWS::Events::Rule").filter(|rule| has_pattern(rule)) {
        let expected = if of_any.iter().any(|end| rule.name.ends_with(end)) { Value::Null } else { json!([ACCOUNT]) };
        assert_eq!(rule.properties["EventPattern"]["account"], expected, "{}", rule.name);
    }
}

fn lines(found: &BTreeSet<String>, known: &[(&str, &str)]) -> String {
    let reason = |name: &str| known.iter().find(|(known, _)| *known == name).map_or("", |(_, reason)| reason);
    let lines: Vec<_> = found.iter().map(|name| format!("  {name}: {}\n", reason(name))).collect();
    if lines.is_empty() { "  none\n".to_owned() } else { lines.concat() }
}

/// What a schedule hands over is understood by the function that it wakes.
#[test]
fn what_a_schedule_hands_over_is_understood() {
    let world = world();
    let rules = world.deployment.of_kind("AWS::Events::Rule").filter(|rule| !has_pattern(rule));
    let mut said = BTreeSet::new();
    for target in rules.flat_map(|rule| list(&rule.properties["Targets"])) {
        let event = match target["Input"].as_str() {
            Some(input) => serde_json::from_str(input).unwrap(),
            None => json!({ "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}, "account": ACCOUNT,
                "region": REGION, "time": "2026-01-31T12:34:56Z", "resources": [], "version": "0", "id": "1" }),
        };
        if world.function_of(target["Arn"].as_str().unwrap()) == Some("respond") {
            said.insert(format!("{:?}", Trigger::parse(&event).unwrap()));
        }
    }
    assert_eq!(said, ["Flush", "Sweep"].map(str::to_owned).into());
}

/// The engine against AWS's own examples: EventBridge User Guide, "Comparison operators for use in event patterns".
#[tokio::test]
async fn the_engine_answers_as_awss_documentation_does() {
    let aws = Endpoint::start().await.unwrap();
    aws.emulate().await.unwrap();
    let event = envelope(
        "aws.ec2",
        "EC2 Instance State-change Notification",
        json!({
            "state": "initializing", "c-count": 5, "d-count": 3, "x-limit": 301.8, "source-ip": "10.0.0.123",
            "instance-id": "i-000000aaaaaa00000", "nobody": null, "nothing": "", "FileName": "a/b/c.png", "withKey": true,
        }),
    );
    let examples = [
        (json!({ "source": ["aws.ec2"] }), true),
        (json!({ "source": ["aws.s3"] }), false),
        (json!({ "source": [{ "prefix": "aws." }], "region": [{ "prefix": "eu-" }] }), true),
        (json!({ "detail": { "FileName": [{ "suffix": ".png" }] } }), true),
        (json!({ "detail": { "FileName": [{ "wildcard": "a/*/*.png" }] } }), true),
        (json!({ "detail": { "state": [{ "anything-but": "initializing" }] } }), false),
        (json!({ "detail": { "state": [{ "anything-but": ["stopped", "overloaded"] }] } }), true),
        (json!({ "detail": { "state": [{ "anything-but": { "prefix": "init" } }] } }), false),
        // What is not there is not "anything but".
        (json!({ "detail": { "missing": [{ "anything-but": "x" }] } }), false),
        (
            json!({ "detail": { "c-count": [{ "numeric": [">", 0, "<=", 5] }], "x-limit": [{ "numeric": ["=", 3.018e2] }] } }),
            true,
        ),
        (json!({ "detail": { "d-count": [{ "numeric": ["<", 3] }] } }), false),
        (json!({ "detail": { "source-ip": [{ "cidr": "10.0.0.0/24" }] } }), true),
        (json!({ "detail": { "state": [{ "exists": true }], "missing": [{ "exists": false }] } }), true),
        (json!({ "detail": { "state": [{ "exists": false }] } }), false),
        (json!({ "detail": { "nothing": [""], "nobody": [null] } }), true),
        (json!({ "detail": { "state": [{ "equals-ignore-case": "INITIALIZING" }] } }), true),
        (json!({ "detail": { "withKey": [true] } }), true),
        (json!({ "detail": { "$or": [{ "c-count": [9] }, { "d-count": [{ "numeric": ["<", 10] }] }] } }), true),
        (json!({ "detail": { "$or": [{ "c-count": [9] }, { "d-count": [9] }] } }), false),
    ];
    for (pattern, matches) in examples {
        assert_eq!(aws.event_matches(&pattern, &event).await.unwrap(), matches, "{pattern}");
    }
    for nonsense in [json!({ "source": "aws.ec2" }), json!({ "source": [] }), json!({ "source": [{ "begins": "a" }] })]
    {
        assert!(aws.event_matches(&nonsense, &event).await.is_err(), "{nonsense} is taken");
    }
}

/// Whether EventBridge hands an event to a rule. Of calls that only read, it tells no rule that is merely enabled:
/// EventBridge User Guide, "Receiving read-only management events from AWS services".
async fn reaches(aws: &Endpoint, rule: &Resource, event: &Value) -> bool {
    let only_reads = event["detail"]["readOnly"] == true && event["detail"]["eventType"] == "AwsApiCall";
    let state = rule.properties["State"].as_str().unwrap_or("ENABLED");
    let hears = state == "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS" || (state == "ENABLED" && !only_reads);
    hears && aws.event_matches(&rule.properties["EventPattern"], event).await.unwrap()
}

fn has_pattern(rule: &Resource) -> bool {
    !rule.properties["EventPattern"].is_null()
}

/// The function that is woken by what a rule hands over, by way of a queue or without.
fn receiver(world: &World, rule: &Resource) -> String {
    let targets = list(&rule.properties["Targets"]);
    let arn = targets[0]["Arn"].as_str().unwrap();
    let mut mappings = world.deployment.of_kind("AWS::Lambda::EventSourceMapping");
    let of_queue = mappings.find(|mapping| mapping.properties["EventSourceArn"] == arn);
    let function = of_queue.map_or(arn, |mapping| mapping.properties["FunctionName"].as_str().unwrap());
    world.function_of(function).unwrap_or_else(|| panic!("{} goes to {arn}", rule.path)).to_owned()
}

fn fixtures() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/fixtures");
    let mut fixtures = Vec::new();
    // What Secrets Manager asks a function for, and what a schedule says, comes by no pattern.
    let kinds = fs::read_dir(&folder).unwrap().map(|kind| kind.unwrap().path()).filter(|kind| kind.is_dir());
    let kinds = kinds.map(|kind| kind.file_name().unwrap().to_string_lossy().into_owned());
    for kind in kinds.filter(|kind| !["flush", "rotation", "sweep"].contains(&kind.as_str())) {
        for file in fs::read_dir(folder.join(&kind)).unwrap() {
            let file = file.unwrap().path();
            let name = format!("{kind}/{}", file.file_stem().unwrap().to_string_lossy());
            // Some are malformed on purpose, and can have no envelope; some come by another way.
            let Ok(content) = serde_json::from_slice::<Value>(&fs::read(&file).unwrap()) else { continue };
            let Some(event) = enveloped(content) else { continue };
            fixtures.push(Fixture::new(name, event));
        }
    }
    fixtures.sort_by(|one, other| one.name.cmp(&other.name));
    fixtures
}

/// What S3 tells of new objects: EventBridge's schema of `Object Created`.
fn files(world: &World) -> Vec<Fixture> {
    let bucket = world.deployment.of_kind("AWS::CloudTrail::Trail").next().unwrap().properties["S3BucketName"].clone();
    let file = |kind: &str| {
        format!(
            "AWSLogs/{ACCOUNT}/{kind}/{REGION}/2026/01/31/{ACCOUNT}_{kind}_{REGION}_20260131T1230Z_a1B2c3D4e5F6g7H8.json.gz"
        )
    };
    let created = |name: &str, bucket: &Value, key: String| {
        let object = json!({ "key": key, "size": 4096, "etag": "0", "sequencer": "0" });
        let detail = json!({ "version": "0", "bucket": { "name": bucket }, "object": object, "reason": "PutObject" });
        Fixture::new(format!("made here/{name}"), envelope("aws.s3", "Object Created", detail))
    };
    let mut elsewhere = created("a log file in another bucket", &json!("another-bucket"), file("CloudTrail"));
    elsewhere.for_functions.clear();
    vec![
        created("a digest of the trail", &bucket, file("CloudTrail-Digest")),
        created("a log file of the trail", &bucket, file("CloudTrail")),
        elsewhere,
    ]
}

/// A record in the envelope in which it would come, or an event as it is.
fn enveloped(content: Value) -> Option<Value> {
    if content.get("detail-type").is_some() {
        return Some(content);
    }
    let kind = match content["eventType"].as_str().unwrap_or("AwsApiCall") {
        "AwsServiceEvent" => "AWS Service Event via CloudTrail",
        "AwsConsoleSignIn" => "AWS Console Sign In via CloudTrail",
        "AwsConsoleAction" => "AWS Console Action via CloudTrail",
        "AwsCloudTrailInsight" => "AWS Insight via CloudTrail",
        _ => "AWS API Call via CloudTrail",
    };
    let service = content["eventSource"].as_str()?.strip_suffix(".amazonaws.com")?;
    Some(envelope(&format!("aws.{service}"), kind, content.clone()))
}

fn envelope(source: &str, kind: &str, detail: Value) -> Value {
    json!({ "version": "0", "id": "00000000-0000-4000-8000-000000000000", "detail-type": kind, "source": source,
        "account": ACCOUNT, "time": "2026-01-31T12:34:56Z", "region": REGION, "resources": [], "detail": detail })
}
