//! Every decision, and what holds of all of them.

#![allow(clippy::unwrap_used)]

use super::{group::MOST_SUBJECTS, *};
use crate::{
    alert::{Alert, Audience, Condition, Lead, Severity, Status, email},
    audit::finding::Kind,
    config::Environment,
    language::Language,
    rollback::Impact,
};
use proptest::prelude::*;

#[test]
fn what_a_group_calls_for() {
    let (warning, error, critical) = (None, Some(Impact::Degraded), Some(Impact::LockedOut));
    let known = |impact| Some(firing("x", 0, impact).alert.severity());
    let told = |entry: Entry, impact| Entry { told: known(impact), ..entry };
    let new = |since| firing("a", since, warning);
    let old = |subject| told(firing(subject, 3600, warning), warning);
    let over = |subject, since, impact| told(ended(subject, since), impact);
    let rows: Vec<(&str, Vec<Member>)> = vec![
        ("fires since 10 s", vec![heard(new(10))]),
        ("fires since 40 s", vec![heard(new(40))]),
        ("critical since 1 s", vec![heard(firing("a", 1, critical))]),
        ("known", vec![heard(old("a"))]),
        ("known, another since 10 s", vec![heard(old("a")), heard(firing("b", 10, warning))]),
        ("known, another since 40 s", vec![heard(old("a")), heard(firing("b", 40, warning))]),
        ("known, another critical since 1 s", vec![heard(old("a")), heard(firing("b", 1, critical))]),
        ("worse since 10 s", vec![heard(told(firing("a", 10, error), warning))]),
        ("worse since 40 s", vec![heard(told(firing("a", 40, error), warning))]),
        ("critical no longer", vec![heard(told(firing("a", 1, warning), critical))]),
        ("over", vec![heard(over("a", 1, warning))]),
        ("over, was critical", vec![heard(over("a", 1, critical))]),
        ("over, another goes on", vec![heard(over("a", 1, warning)), heard(old("b"))]),
        ("over, another silenced", vec![heard(over("a", 1, warning)), muted(new(40), Reason::Silenced)]),
        ("over, silenced", vec![muted(over("a", 1, warning), Reason::Silenced)]),
        ("over, nobody knew", vec![heard(ended("a", 1))]),
        ("fires since 40 s, silenced", vec![muted(new(40), Reason::Silenced)]),
        ("critical since 1 s, inhibited", vec![muted(firing("a", 1, critical), Reason::Inhibited)]),
        ("known, silenced", vec![muted(old("a"), Reason::Silenced)]),
        ("known, another silenced", vec![heard(old("a")), muted(firing("b", 40, warning), Reason::Silenced)]),
        ("nobody there", vec![]),
    ];
    let ages = [("never", None), ("1 min ago", Some(60)), ("6 min ago", Some(360)), ("5 h ago", Some(18_000))];
    let head = format!("{:40}{}", "told", ages.map(|(name, _)| format!("{name:22}")).concat());
    let mut table = format!("{}\n", head.trim_end());
    for (name, members) in rows {
        for subject in [None, Some("a".to_owned())] {
            // Whoever stands alone has no others.
            if subject.is_some() && members.len() > 1 {
                continue;
            }
            let name = format!("{name}{}", if subject.is_some() { " (alone)" } else { "" });
            let cells = ages.map(|(_, age)| {
                let told_at = age.map(ago);
                let group = Group { key: key(subject.clone()), told_at, members: members.clone() };
                format!("{:22}", shown(needs_notify(&group, now(), &Settings::default())))
            });
            table += format!("{name:40}{}", cells.concat()).trim_end();
            table += "\n";
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn a_message_of_many_says_how_each_is() {
    let told = Some(Severity::Warning);
    let alike = |subject: &str, impact| heard(firing(subject, 40, impact));
    let members = vec![
        alike(&arn("shop"), None),
        alike(&arn("crm"), Some(Impact::Degraded)),
        heard(Entry { told, ..ended(&arn("till"), 5) }),
        muted(firing(&arn("quiet"), 40, None), Reason::Silenced),
    ];
    let group = Group { key: key(None), told_at: None, members };
    let message = group.message(Language::English).unwrap();
    insta::assert_snapshot!(format!(
        "{}\nkey {}\n\n{}\nfor programs {:#}",
        message.headline(),
        message.key(),
        email::body(&message, Language::English, &Audience::default().local(now())),
        message.json()["members"]
    ));
    assert_eq!(group.to_tell().len(), 3, "of the silenced one nothing is said");
}

#[test]
fn a_message_of_very_many_names_them_all_and_tells_of_the_first() {
    let members = (0..30).map(|n| heard(firing(&arn(&format!("s{n:02}")), 40, None))).collect();
    let message = Group { key: key(None), told_at: None, members }.message(Language::English).unwrap();
    assert_eq!((message.found.len(), message.members.len()), (MOST_SUBJECTS + 1, 30));
    assert!(message.found[MOST_SUBJECTS].ends_with("s28, s29."), "{:?}", message.found);
}

#[test]
fn a_lock_out_is_all_that_is_told_of_a_subject() {
    for source in [Condition::LockedOut, Condition::Stranded] {
        for condition in Condition::ALL {
            let of = |condition, subject: &str| {
                let entry = firing(subject, 40, None);
                Entry { alert: Alert { condition, ..entry.alert.clone() }, ..entry }
            };
            let mute = |source: &Entry, target: Entry| {
                let key = Key::of(&target.alert);
                Group::gather(key, None, &[source.clone(), target], &[], now()).members[0].mute
            };
            if condition == source {
                continue;
            }
            // What happens to the secret, or to others, is told all the same.
            let told = inhibits(condition)
                || [
                    Condition::DeletionScheduled,
                    Condition::SweepUnfinished,
                    Condition::AlarmFiring,
                    Condition::Audit,
                    Condition::Contained,
                    Condition::ContainmentFailed,
                    Condition::LedgerBroken,
                ]
                .contains(&condition);
            let expected = (!told).then_some(Reason::Inhibited);
            let source = of(source, "a");
            assert_eq!(mute(&source, of(condition, "a")), expected, "{condition:?}");
            assert_eq!(mute(&source, of(condition, "b")), None, "another subject's {condition:?}");
            let over = Entry { alert: Alert { status: Status::Resolved, ..source.alert.clone() }, ..source };
            assert_eq!(mute(&over, of(condition, "a")), None, "{condition:?} after it is over");
        }
    }
}

#[test]
fn a_silence_covers_what_it_names_until_it_is_over() {
    let alert = firing(&arn("shop-db"), 0, None).alert;
    let every = Silence {
        id: "1".to_owned(),
        condition: None,
        subject: None,
        environment: None,
        author: "ops".to_owned(),
        reason: "moving house".to_owned(),
        until: now(),
    };
    let before = ago(1);
    assert!(every.covers(&alert, before));
    assert!(!every.covers(&alert, now()), "it is over");
    for (subject, covered) in
        [(arn("shop-db"), true), (arn("shop"), false), (format!("{}*", &arn("shop")[..60]), true), ("x*".into(), false)]
    {
        assert_eq!(Silence { subject: Some(subject), ..every.clone() }.covers(&alert, before), covered);
    }
    for (condition, covered) in [(Condition::PendingStuck, true), (Condition::LockedOut, false)] {
        assert_eq!(Silence { condition: Some(condition), ..every.clone() }.covers(&alert, before), covered);
    }
    for (environment, covered) in [(Environment::Prod, true), (Environment::Dev, false)] {
        assert_eq!(Silence { environment: Some(environment), ..every.clone() }.covers(&alert, before), covered);
    }
}

/// Something that happens to one of three subjects, or to all.
#[derive(Debug, Clone)]
enum Event {
    Fires(usize, Option<Impact>),
    Ends(usize),
    Mutes(usize, bool),
    Passes(i64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let impact = prop_oneof![Just(None), Just(Some(Impact::Degraded)), Just(Some(Impact::LockedOut))];
    let event = prop_oneof![
        (0..3_usize, impact).prop_map(|(who, impact)| Event::Fires(who, impact)),
        (0..3_usize).prop_map(Event::Ends),
        (0..3_usize, any::<bool>()).prop_map(|(who, mute)| Event::Mutes(who, mute)),
        prop_oneof![1..20_i64, 20..400_i64, 400..20_000_i64].prop_map(Event::Passes),
    ];
    prop::collection::vec(event, 1..60)
}

proptest! {
    /// People who hear every message are told of every change once, and their knowledge is never wrong for longer than
    /// the settings say.
    #[test]
    fn people_know_how_it_is_and_hear_nothing_twice(events in events(), alone in any::<bool>()) {
        let settings = Settings::default();
        let subjects = if alone { 1 } else { 3 };
        let condition = if alone { Condition::RotationFailed } else { Condition::PendingStuck };
        let key = Key { condition, ..key(alone.then(|| "0".to_owned())) };
        let mut now = now();
        let mut entries: Vec<Option<Entry>> = vec![None; subjects];
        let mut mutes = vec![false; subjects];
        let mut told_at = None;
        // What somebody believes who hears nothing but the messages: the subjects that are firing.
        let mut believed: Vec<String> = Vec::new();
        for event in events {
            match event {
                Event::Fires(who, impact) => {
                    let who = who % subjects;
                    let alert = Alert { condition, ..alert(&who.to_string(), impact) };
                    entries[who] = Entry::noted(entries[who].as_ref(), &alert, now).or(entries[who].take());
                }
                Event::Ends(who) => {
                    let who = who % subjects;
                    let alert = Alert { condition, status: Status::Resolved, ..alert(&who.to_string(), None) };
                    entries[who] = Entry::noted(entries[who].as_ref(), &alert, now).or(entries[who].take());
                }
                Event::Mutes(who, mute) => mutes[who % subjects] = mute,
                Event::Passes(seconds) => now = after(now, SignedDuration::from_secs(seconds)),
            }
            let members = entries.iter().zip(&mutes).filter_map(|(entry, mute)| {
                let entry = entry.clone().filter(|entry| !entry.is_over())?;
                Some(Member { entry, mute: mute.then_some(Reason::Silenced) })
            });
            let group = Group { key: key.clone(), told_at, members: members.collect() };
            let untold: Vec<&Entry> =
                group.members.iter().filter(|m| m.is_heard() && m.entry.is_news()).map(|m| &m.entry).collect();
            match needs_notify(&group, now, &settings) {
                Decision::Notify(reason) => {
                    let message = group.message(Language::English).unwrap();
                    match message.status {
                        Status::Firing => prop_assert_ne!(reason, Reason::AllResolved),
                        Status::Resolved => {
                            prop_assert_eq!(reason, Reason::AllResolved);
                            prop_assert!(!believed.is_empty(), "an end is told only of what was told");
                        }
                    }
                    if reason == Reason::Repeat {
                        prop_assert!(told_at.is_some_and(|told| after(told, settings.repeat) <= now));
                    }
                    let urgent = alone || group.members.iter().any(|member| member.entry.is_urgent());
                    if let (Some(told), false) = (told_at, urgent) {
                        prop_assert!(after(told, settings.interval) <= now, "too soon after the last one");
                    }
                    told_at = Some(now);
                    let known = group.to_tell();
                    believed = known.iter().filter(|(_, told)| told.is_some()).map(|(who, _)| who.clone()).collect();
                    for (who, told) in known {
                        entries[who.parse::<usize>().unwrap()].as_mut().unwrap().told = told;
                    }
                    let members = group.members.into_iter();
                    let again = members.map(|Member { entry, mute }| {
                        let told = entries[entry.alert.subject.parse::<usize>().unwrap()].as_ref().unwrap().told;
                        Member { entry: Entry { told, ..entry }, mute }
                    });
                    let group = Group { key: key.clone(), told_at, members: again.collect() };
                    prop_assert!(matches!(needs_notify(&group, now, &settings), Decision::Quiet(_)), "told twice");
                }
                Decision::Hold(until) => {
                    prop_assert!(!alone && until > now);
                    let since = untold.iter().map(|entry| entry.since).min().unwrap_or(now);
                    let last = told_at.map_or(Timestamp::MIN, |told| after(told, settings.interval));
                    prop_assert!(until <= last.max(after(since, settings.wait)), "held for too long");
                    let group = Group { told_at, ..group };
                    prop_assert!(matches!(needs_notify(&group, until, &settings), Decision::Notify(_)));
                }
                Decision::Quiet(_) => {
                    prop_assert!(untold.is_empty(), "firing, and neither told nor held");
                    let goes_on = group.members.iter().any(|m| m.is_told() && m.entry.is_firing());
                    prop_assert!(goes_on || believed.is_empty(), "over, and neither told nor held");
                }
            }
        }
    }

    #[test]
    fn an_older_look_overrules_no_newer_one(first in 0..100_i64, second in 0..100_i64) {
        let at = |seconds| ago(100 - seconds);
        let (fires, ends) = (alert("a", None), Alert { status: Status::Resolved, ..alert("a", None) });
        let known = Entry::noted(None, &fires, at(first)).unwrap();
        prop_assert_eq!(Entry::noted(Some(&known), &ends, at(second)).is_some(), second >= first);
        prop_assert_eq!(Entry::noted(Some(&known), &fires, at(second)), None);
    }
}

/// An incident lasts for as long as something is found of it within the gap, whatever that is.
#[test]
fn what_is_found_of_an_incident_is_added_to_it_until_nothing_was_for_the_gap() {
    let gap = SignedDuration::from_mins(30);
    let (read, burst) = (found(Kind::NewReader, "one"), found(Kind::ReadBurst, "two"));
    let first = Entry::joined(None, &read, ago(7_200), gap).unwrap();
    assert_eq!(first, Entry::noted(None, &read, ago(7_200)).unwrap());
    let told = Entry { told: first.to_tell(), ..first };
    assert_eq!(Entry::joined(Some(&told), &read, ago(7_000), gap), None, "people know");

    let second = Entry::joined(Some(&told), &burst, ago(5_500), gap).unwrap();
    assert_eq!(second.alert.found, ["two", "one"], "the graver first");
    assert_eq!(second.alert.lead, burst.lead, "the graver one names it");
    assert!(second.is_news());
    let third = Entry::joined(Some(&second), &found(Kind::NewReader, "three"), ago(3_800), gap).unwrap();
    assert_eq!(third.alert.found, ["two", "one", "three"], "within the gap of what was found last");
    assert_eq!((third.alert.lead, third.since), (burst.lead, second.since));

    let other = Entry::joined(Some(&third), &read, ago(2_000), gap).unwrap();
    assert_eq!((other.alert.found, other.alert.lead, other.since), (read.found.clone(), read.lead, ago(2_000)));
    let longer = Entry::joined(Some(&third), &read, ago(2_000), gap * 2);
    assert_eq!(longer, None, "by a longer gap it is the same incident, of which that is known");
}

proptest! {
    #[test]
    fn in_whichever_order_an_incident_is_found_it_is_the_same(
        order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(), again in prop::collection::vec(0..6_usize, 0..6),
    ) {
        let kinds = [Kind::NewReader, Kind::ReadBurst, Kind::DeniedRead, Kind::RootRead, Kind::BulkRead, Kind::HostileTool];
        let alerts: Vec<Alert> = kinds.into_iter().map(|kind| found(kind, kind.name())).collect();
        let gap = SignedDuration::from_hours(1);
        let all = |order: &mut dyn Iterator<Item = usize>| {
            order.fold(None, |known, index| Entry::joined(known.as_ref(), &alerts[index], now(), gap).or(known)).unwrap()
        };
        let mut one = all(&mut (0..6));
        let mut other = all(&mut order.into_iter().chain(again));
        for entry in [&mut one, &mut other] {
            entry.alert.found.sort();
            entry.alert.to_do.sort();
        }
        prop_assert_eq!(one.alert, other.alert);
    }
}

/// Of very much of an incident the gravest is kept, and that there was more is news, as long as it is not the same.
#[test]
fn what_is_grave_is_not_lost_among_what_is_not_and_growth_is_news() {
    let gap = SignedDuration::from_hours(1);
    let join = |known: &Entry, kind: Kind, what: &str| Entry::joined(Some(known), &found(kind, what), now(), gap);
    let told = |entry: &Entry| entry.alert.clone().told(Language::English).found;
    let mut known = Entry::joined(None, &found(Kind::NewReader, "read 0"), now(), gap).unwrap();
    for n in 1..100 {
        known = join(&known, Kind::NewReader, &format!("read {n}")).unwrap();
    }
    assert_eq!(told(&known).len(), 100);

    let more = join(&known, Kind::NewReader, "read 100").unwrap();
    assert!(more.is_news(), "it grows");
    assert_eq!(told(&more).last().unwrap(), "And 1 more.");
    assert_eq!(more.alert.clone().told(Language::Japanese).found.last().unwrap(), "ほか1件");
    for known_before in ["read 100", "read 7"] {
        assert_eq!(join(&more, Kind::NewReader, known_before), None, "{known_before}");
    }
    assert_eq!(told(&join(&more, Kind::NewReader, "read 101").unwrap()).last().unwrap(), "And 2 more.");

    // Nobody's reads are as grave as that.
    let graver = join(&more, Kind::TrailStopped, "the trail").unwrap();
    let lines = told(&graver);
    assert_eq!((lines[0].as_str(), lines[1].as_str(), lines.len()), ("the trail", "read 0", 101));
    assert_eq!(lines.last().unwrap(), "And 2 more.");
    let lesser = join(&graver, Kind::OffHoursRead, "late").unwrap();
    assert!(!told(&lesser).contains(&"late".to_owned()));

    let kept = Alert::read(&lesser.alert.json()).unwrap();
    assert_eq!(kept, lesser.alert, "as it is kept in the table");
    let json = kept.told(Language::English).json();
    assert!(json["gravities"].is_null() && json["unsaid"].is_null(), "{json}");
}

fn found(kind: Kind, what: &str) -> Alert {
    let severity = kind.page().usually;
    let alert = Alert::firing(Condition::Audit, "role/report".to_owned(), Environment::Prod);
    Alert { lead: Some(Lead { severity, kind }), ..alert }.finding(vec![(Some(severity), what.to_owned())])
}

fn shown(decision: Decision) -> String {
    match decision {
        Decision::Notify(reason) => format!("TELL {}", reason.name()),
        Decision::Hold(until) => format!("hold for {} s", until.duration_since(now()).as_secs()),
        Decision::Quiet(reason) => reason.name().to_owned(),
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn key(subject: Option<String>) -> Key {
    Key { environment: Environment::Prod, condition: Condition::PendingStuck, subject }
}

fn heard(entry: Entry) -> Member {
    Member { entry, mute: None }
}

fn muted(entry: Entry, reason: Reason) -> Member {
    Member { entry, mute: Some(reason) }
}

/// What nobody has been told of, and what goes on for so many seconds.
fn firing(subject: &str, seconds: i64, impact: Option<Impact>) -> Entry {
    Entry { alert: alert(subject, impact), since: ago(seconds), seen: ago(seconds), told: None, revision: 1 }
}

fn ended(subject: &str, seconds: i64) -> Entry {
    let entry = firing(subject, seconds, Some(Impact::Safe));
    Entry { alert: Alert { status: Status::Resolved, ..entry.alert.clone() }, ..entry }
}

fn alert(subject: &str, impact: Option<Impact>) -> Alert {
    Alert {
        impact,
        found: vec!["AWSPENDING is stuck.".to_owned()],
        to_do: vec!["Take it off.".to_owned()],
        ..Alert::firing(Condition::PendingStuck, subject.to_owned(), Environment::Prod)
    }
}

fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-AbCdEf")
}
