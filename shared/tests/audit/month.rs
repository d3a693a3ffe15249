//! A month of an account in which nothing is wrong, from an empty baseline on: who is told, and how often.
//! Then a thief who takes a day over twelve secrets.

use crate::record::{Event, records};
use relatch::audit::{
    incident::{Incident, incidents},
    judge::Judge,
    policy::Policy,
};
use relatch_events::{cloudtrail::log, fact::Fact};

const START: i64 = 1_772_409_600_000;
const DAYS: i64 = 32;
const SERVICES: i64 = 20;

/// The day on which the thief comes.
const THEFT: i64 = 31;

#[test]
fn in_a_month_without_an_attack_people_are_told_of_new_tools_only_and_the_thief_is_one_incident() {
    let mut lines: Vec<String> = (1..=DAYS).flat_map(day).collect();
    let quiet = told(&lines);
    let mut whom: Vec<(&str, Option<i64>)> = quiet
        .iter()
        .map(|incident| (name(incident), incident.span().map(|(from, _)| day_of(from.as_millis()))))
        .collect();
    whom.sort_unstable();
    println!("{} facts in {DAYS} days without an attack: {} alerts", facts(&lines).len(), quiet.len());
    // Each is known after two days.
    assert_eq!(whom, [("backup", Some(1)), ("backup", Some(2)), ("legacy", Some(1)), ("legacy", Some(2))]);

    lines.extend(
        (0..12).map(|index| format!("day {THEFT} {:02}:30 role/thief reads shop-prod-secret-s{index}", 8 + index)),
    );
    let alarmed = told(&lines);
    let thief: Vec<&Incident> = alarmed.iter().filter(|incident| name(incident) == "thief").collect();
    assert_eq!((alarmed.len(), thief.len()), (quiet.len() + 1, 1));
    assert_eq!(thief[0].targets().len(), 12);
}

/// What happens on a day.
fn day(day: i64) -> Vec<String> {
    let mut lines = Vec::new();
    for service in 0..SERVICES {
        let secret = format!("shop-prod-secret-s{service}");
        let role = format!("role/shop-prod-s{service}/i-{:017x}", day * 100 + service);
        // Each is rotated once, on a day of its own, from v1 to v2.
        let rotates = 11 + service;
        for hour in (0..24).step_by(6) {
            let version = if day > rotates || day == rotates && hour > 4 { 2 } else { 1 };
            lines.push(format!("day {day} {hour:02}:{service:02} {role} reads {secret} from 10.0.{service}.{day}"));
            lines.push(format!("day {day} {hour:02}:{service:02} {role} decrypts {secret} version v{version}"));
        }
        if day == 1 {
            lines.push(format!("day 1 00:00 role/deploy lets relatch-rotate rotate {secret} every 30 days"));
        }
        if day == rotates {
            let function = "role/relatch-rotate/relatch-rotate";
            let program = "with program aws-sdk-rust/1.3 exec-env/AWS_Lambda_provided.al2023";
            lines.extend([
                format!("day {day} 04:00 nobody rotation of {secret} starts v2"),
                format!("day {day} 04:00:01 {function} reads {secret} {program}"),
                format!("day {day} 04:00:01 {function} decrypts {secret} version v1"),
                format!("day {day} 04:00:02 {function} stages {secret} version v2"),
                format!("day {day} 04:00:04 {function} reads {secret} stage AWSPENDING {program}"),
                format!("day {day} 04:00:09 {function} moves AWSCURRENT of {secret} to v2"),
                format!("day {day} 04:00:09 nobody rotation of {secret} succeeds v2"),
            ]);
        }
    }
    lines.extend([
        format!("day {day} 02:00 role/backup reads shop-prod-secret-s{{0..{}}}", SERVICES - 1),
        format!("day {day} 11:00 role/tests creates test-{day}-{{1..60}}"),
        format!("day {day} 11:01 role/tests reads test-{day}-{{1..60}}"),
        format!("day {day} 11:02 role/tests deletes test-{day}-{{1..60}} for good"),
        format!("day {day} 10:00 person/alice reads shop-dev-secret-jwt"),
        format!("day {day} 12:00 role/legacy is denied shop-prod-secret-s1"),
        format!("day {day} 13:00 role/deploy changes function shop-checkout"),
        format!("day {day} 13:30 role/shop-prod-s1 is denied operation sqs:SendMessage 40 times"),
        format!("day {day} 09:00 user/alice fails to sign in"),
    ]);
    lines
}

fn told(lines: &[String]) -> Vec<Incident> {
    let mut judge = Judge::new(Policy::default());
    let mut found = Vec::new();
    for fact in facts(lines) {
        judge.take(Box::new(fact), &mut found);
    }
    judge.finish(&mut found);
    incidents(found, judge.policy().thresholds.incident_gap)
}

fn facts(lines: &[String]) -> Vec<Fact> {
    let events = lines.iter().flat_map(|line| Event::parse(line, START).unwrap_or_else(|| panic!("{line}")));
    let records: Vec<_> = events.flat_map(|event| records(&event)).collect();
    let read = |(index, record): (usize, &serde_json::Value)| {
        let fact = log::read(record.to_string().as_bytes()).unwrap()?;
        Some(Fact { id: Some(format!("event-{index}")), ..fact })
    };
    let mut facts: Vec<Fact> = records.iter().enumerate().filter_map(read).collect();
    facts.sort_by_key(|fact| fact.at);
    facts
}

fn name(incident: &Incident) -> &str {
    incident.key.rsplit('/').next().unwrap()
}

fn day_of(millis: i64) -> i64 {
    (millis - START) / 86_400_000 + 1
}
