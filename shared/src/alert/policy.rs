//! Whether people are to be told now. Pure: it does not know what time it is, nor where anything is kept.
//!
//! What is known of one condition of one subject is an [`Entry`]; entries that are told in one message are a [`Group`].
//! What a group calls for follows from what *is* and what people *have been told*, and from nothing else: a process that
//! dies between the two leaves a difference, which whoever looks next finds.
//!
//! The model is Prometheus Alertmanager's: group wait, group interval, repeat interval, inhibition, silences. Two things
//! are otherwise. What is urgent waits for nothing. And of a group of which a part has ended, that part is told with the
//! group's next message, not with one of its own.

use super::{Alert, Condition, Severity, Status};
use crate::{config::Environment, language::Language};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// How long people are kept waiting, for the sake of fewer messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// From the first news of a group to its telling: others often follow.
    pub wait: SignedDuration,
    /// From one message of a group to the next.
    pub interval: SignedDuration,
    /// From one message of a group of which there is no news to the next.
    pub repeat: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            wait: SignedDuration::from_secs(30),
            interval: SignedDuration::from_mins(5),
            repeat: SignedDuration::from_hours(4),
        }
    }
}

/// What identifies a group: the messages of a group have its name as their key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where.
    pub environment: Environment,
    /// What.
    pub condition: Condition,
    /// Whose; `None` if it is a group of all subjects.
    pub subject: Option<String>,
}

impl Key {
    /// The group that an alert belongs to: all subjects that have the condition in the environment, or its own.
    pub fn of(alert: &Alert) -> Self {
        let subject = stands_alone(alert.condition).then(|| alert.subject.clone());
        Self { environment: alert.environment, condition: alert.condition, subject }
    }

    /// Whether an alert belongs to it.
    pub fn holds(&self, alert: &Alert) -> bool {
        *self == Self::of(alert)
    }

    /// Its name, unique in its environment.
    pub fn name(&self) -> String {
        match &self.subject {
            Some(subject) => format!("{}/{subject}", self.condition.name()),
            None => self.condition.name().to_owned(),
        }
    }
}

/// Whether each subject's condition is told by itself, at once. These are an incident each, and somebody is to act on
/// each.
///
/// It depends on the condition and not on how severe it is at the moment, because the group is what the end is told
/// under: an alert that became critical would leave one incident open, and end another. A critical alert of a condition
/// that is grouped stays in its group, and keeps the group from waiting.
const fn stands_alone(condition: Condition) -> bool {
    match condition {
        Condition::RotationFailed | Condition::RotationAbandoned | Condition::LockedOut | Condition::Stranded => true,
        Condition::RotationStopped
        | Condition::RotationOverdue
        | Condition::PendingStuck
        | Condition::CurrentRejected
        | Condition::DatabaseSilent
        | Condition::DeletionScheduled
        | Condition::SweepUnfinished
        | Condition::AlarmFiring => false,
    }
}

/// Which condition of a subject keeps which others of it from being told: they are its causes, or follow from it. A
/// condition is never on both sides, or two could silence each other.
const INHIBITIONS: [(Condition, &[Condition]); 2] =
    [(Condition::LockedOut, &OF_A_LOCK_OUT), (Condition::Stranded, &OF_A_LOCK_OUT)];

const OF_A_LOCK_OUT: [Condition; 7] = [
    Condition::RotationFailed,
    Condition::RotationAbandoned,
    Condition::RotationStopped,
    Condition::RotationOverdue,
    Condition::PendingStuck,
    Condition::CurrentRejected,
    Condition::DatabaseSilent,
];

/// Whether a condition keeps others of its subject from being told.
pub fn inhibits(condition: Condition) -> bool {
    INHIBITIONS.iter().any(|(source, _)| *source == condition)
}

/// What somebody wants to hear nothing of for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its name.
    pub id: String,
    /// Of which condition; `None` for all.
    pub condition: Option<Condition>,
    /// Of which subject; `None` for all. What ends in `*` is the beginning of the subject.
    pub subject: Option<String>,
    /// Of which environment; `None` for all.
    pub environment: Option<Environment>,
    /// Who wants it so.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When it is over.
    pub until: Timestamp,
}

impl Silence {
    /// Whether it is about an alert, and not over.
    pub fn covers(&self, alert: &Alert, now: Timestamp) -> bool {
        let subject = |wanted: &String| match wanted.strip_suffix('*') {
            Some(beginning) => alert.subject.starts_with(beginning),
            None => alert.subject == *wanted,
        };
        now < self.until
            && self.condition.is_none_or(|condition| condition == alert.condition)
            && self.environment.is_none_or(|environment| environment == alert.environment)
            && self.subject.as_ref().is_none_or(subject)
    }
}

/// What is known of one condition of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// How it is, and what was found when it became so.
    pub alert: Alert,
    /// Since when people have not known how it is; where they do, when it became so.
    pub since: Timestamp,
    /// When it was last seen to be other than before: an older look does not overrule it.
    pub seen: Timestamp,
    /// How severe people know it to be; `None` if for all they know it is not firing.
    pub told: Option<Severity>,
    /// How often it has been written; 0 if never.
    pub revision: u64,
}

impl Entry {
    /// What is to be known after an alert, as it was seen at a time; `None` if that is nothing new.
    pub fn noted(known: Option<&Self>, alert: &Alert, seen: Timestamp) -> Option<Self> {
        let Some(known) = known else {
            let firing = alert.status == Status::Firing;
            return firing.then(|| Self { alert: alert.clone(), since: seen, seen, told: None, revision: 0 });
        };
        let same = known.alert.status == alert.status && known.alert.severity() == alert.severity();
        if same || seen < known.seen {
            return None;
        }
        // Whatever changes to and fro is told in the end.
        let since = if known.is_news() { known.since } else { seen };
        Some(Self { alert: alert.clone(), since, seen, ..known.clone() })
    }

    /// Whether it goes on.
    pub fn is_firing(&self) -> bool {
        self.alert.status == Status::Firing
    }

    /// How severe people would be told that it is, if they were told now.
    pub fn to_tell(&self) -> Option<Severity> {
        self.is_firing().then(|| self.alert.severity())
    }

    /// Whether it is otherwise than people know.
    pub fn is_news(&self) -> bool {
        self.told != self.to_tell()
    }

    /// Whether it has ended, for all that people know.
    pub fn is_over(&self) -> bool {
        !self.is_firing() && self.told.is_none()
    }

    /// Until when its news can be left to the flush, without a look at the whole group; `None` if they cannot.
    pub fn rests_until(&self, now: Timestamp, settings: &Settings) -> Option<Timestamp> {
        let until = after(self.since, settings.wait);
        (!stands_alone(self.alert.condition) && !self.is_urgent() && now < until).then_some(until)
    }

    fn is_urgent(&self) -> bool {
        self.told.max(self.to_tell()) == Some(Severity::Critical)
    }
}

/// What is told in one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What identifies it.
    pub key: Key,
    /// When people were told of it last.
    pub told_at: Option<Timestamp>,
    /// What it consists of.
    pub members: Vec<Member>,
}

/// One condition of one subject, in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What is known of it.
    pub entry: Entry,
    /// Why it is not to be told, if it is not.
    pub mute: Option<Reason>,
}

/// What a group calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Tell people.
    Notify(Reason),
    /// Tell them at this time, unless it is otherwise by then.
    Hold(Timestamp),
    /// There is nothing to tell.
    Quiet(Reason),
}

/// Why people are told, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Nobody knows of it.
    First,
    /// People know of others of the group.
    NewMember,
    /// It is worse or better than people know.
    SeverityChanged,
    /// It has gone on for long since people heard of it.
    Repeat,
    /// All that people know to be firing has ended.
    AllResolved,
    /// People know how it is.
    NothingNew,
    /// Another condition of the same subject says it.
    Inhibited,
    /// Somebody wants to hear nothing of it.
    Silenced,
}

impl Reason {
    /// The reason's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::First => "first",
            Reason::NewMember => "new-member",
            Reason::SeverityChanged => "severity-changed",
            Reason::Repeat => "repeat",
            Reason::AllResolved => "all-resolved",
            Reason::NothingNew => "nothing-new",
            Reason::Inhibited => "inhibited",
            Reason::Silenced => "silenced",
        }
    }
}

impl Member {
    /// Whether people know of it, or are to.
    fn is_told(&self) -> bool {
        self.entry.told.is_some() || self.is_heard()
    }

    fn is_heard(&self) -> bool {
        self.entry.is_firing() && self.mute.is_none()
    }
}

/// What a group calls for now.
///
/// A firing member that is neither inhibited nor silenced is told at once if it is urgent, and otherwise at the latest
/// when both the group wait and the group interval are over. That something has ended is told exactly where people know
/// that it was firing, whether it is silenced by now or not.
pub fn needs_notify(group: &Group, now: Timestamp, settings: &Settings) -> Decision {
    let Group { key, told_at, members } = group;
    let entries = || members.iter().map(|member| &member.entry);
    let known = || entries().filter(|entry| entry.told.is_some());
    let goes_on = members.iter().any(|member| member.is_told() && member.entry.is_firing());
    let earliest = told_at.map_or(Timestamp::MIN, |told| after(told, settings.interval));
    let news: Vec<&Entry> =
        members.iter().filter(|member| member.is_heard() && member.entry.is_news()).map(|m| &m.entry).collect();
    if let Some(first) = news.iter().map(|entry| entry.since).min() {
        let reason = match () {
            () if known().next().is_none() => Reason::First,
            () if news.iter().any(|entry| entry.told.is_none()) => Reason::NewMember,
            () => Reason::SeverityChanged,
        };
        let urgent = key.subject.is_some() || news.iter().any(|entry| entry.is_urgent());
        return notify_at(reason, if urgent { now } else { earliest.max(after(first, settings.wait)) }, now);
    }
    if !goes_on && known().next().is_some() {
        let urgent = key.subject.is_some() || known().any(Entry::is_urgent);
        return notify_at(Reason::AllResolved, if urgent { now } else { earliest }, now);
    }
    let heard_of = members.iter().any(|member| member.is_heard() && member.entry.told.is_some());
    if heard_of && told_at.is_none_or(|told| after(told, settings.repeat) <= now) {
        return Decision::Notify(Reason::Repeat);
    }
    let muted = members.iter().filter(|member| member.entry.is_firing()).find_map(|member| member.mute);
    Decision::Quiet(if heard_of { Reason::NothingNew } else { muted.unwrap_or(Reason::NothingNew) })
}

fn notify_at(reason: Reason, due: Timestamp, now: Timestamp) -> Decision {
    if due <= now { Decision::Notify(reason) } else { Decision::Hold(due) }
}

impl Group {
    /// The group of a key, out of all that is known (of its subject at least), with what is not to be told of it.
    pub fn gather(
        key: Key,
        told_at: Option<Timestamp>,
        entries: &[Entry],
        silences: &[Silence],
        now: Timestamp,
    ) -> Self {
        let mute = |alert: &Alert| {
            let inhibited = entries.iter().filter(|other| other.is_firing()).any(|other| {
                other.alert.subject == alert.subject
                    && other.alert.environment == alert.environment
                    && INHIBITIONS
                        .iter()
                        .any(|(source, targets)| *source == other.alert.condition && targets.contains(&alert.condition))
            });
            let silenced = || silences.iter().any(|silence| silence.covers(alert, now)).then_some(Reason::Silenced);
            if inhibited { Some(Reason::Inhibited) } else { silenced() }
        };
        let members = entries.iter().filter(|entry| key.holds(&entry.alert) && !entry.is_over());
        let mut members: Vec<Member> =
            members.map(|entry| Member { entry: entry.clone(), mute: mute(&entry.alert) }).collect();
        members.sort_by(|a, b| a.entry.alert.subject.cmp(&b.entry.alert.subject));
        Self { key, told_at, members }
    }

    /// What people are to know after [`Group::message`]: of each subject, how severe it is, if it is firing.
    pub fn to_tell(&self) -> Vec<(String, Option<Severity>)> {
        self.told().map(|entry| (entry.alert.subject.clone(), entry.to_tell())).collect()
    }

    /// The message that says how the group is; `None` if there is nothing in it to tell.
    pub fn message(&self, language: Language) -> Option<Alert> {
        let since = self.told().filter(|entry| entry.is_news()).map(|entry| entry.since).min();
        Some(Alert { since, ..self.whole(language)? })
    }

    fn whole(&self, language: Language) -> Option<Alert> {
        let firing: Vec<&Alert> = self.told().filter(|entry| entry.is_firing()).map(|entry| &entry.alert).collect();
        let ended: Vec<&Alert> = self.told().filter(|entry| !entry.is_firing()).map(|entry| &entry.alert).collect();
        let about = if firing.is_empty() { &ended } else { &firing };
        let (first, rest) = about.split_first()?;
        if self.key.subject.is_some() {
            return Some((*first).clone());
        }
        let members = firing.iter().chain(&ended).map(|alert| alert.subject.clone()).collect();
        if rest.is_empty() && (firing.is_empty() || ended.is_empty()) {
            return Some(Alert { members, ..(*first).clone() });
        }
        let mut found = each(about, language, |alert| &alert.found);
        if !firing.is_empty() {
            found.extend(
                names(&ended)
                    .map(|names| language.choose(format!("Over by now: {names}."), format!("すでに解消: {names}"))),
            );
        }
        Some(Alert {
            impact: about.iter().map(|alert| alert.impact).max().flatten(),
            found,
            done: each(about, language, |alert| &alert.done),
            to_do: distinct(about.iter().flat_map(|alert| &alert.to_do)),
            members,
            ..(*first).clone()
        })
    }

    fn told(&self) -> impl Iterator<Item = &Entry> {
        self.members.iter().filter(|member| member.is_told()).map(|member| &member.entry)
    }
}

/// How many subjects are spoken of one by one in a message.
const MOST_SUBJECTS: usize = 10;

/// What is said of each, with its name; of the rest, their names.
fn each(alerts: &[&Alert], language: Language, lines: impl Fn(&Alert) -> &Vec<String>) -> Vec<String> {
    let (told, rest) = alerts.split_at(alerts.len().min(MOST_SUBJECTS));
    let line = |alert: &&Alert| {
        let said = lines(alert);
        (!said.is_empty()).then(|| format!("{}: {}", alert.subject_name(), said.join(" ")))
    };
    let same = |names| language.choose(format!("The same of: {names}."), format!("以下も同様です: {names}"));
    let rest = names(rest).map(same);
    told.iter().filter_map(line).chain(rest).collect()
}

fn names(alerts: &[&Alert]) -> Option<String> {
    let names: Vec<&str> = alerts.iter().map(|alert| alert.subject_name()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The first of them, each once.
fn distinct<'a>(lines: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    lines.filter(|line| seen.insert(*line)).take(MOST_SUBJECTS).cloned().collect()
}

fn after(at: Timestamp, time: SignedDuration) -> Timestamp {
    at.saturating_add(time).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        alert::{Audience, email},
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
                    || [Condition::DeletionScheduled, Condition::SweepUnfinished, Condition::AlarmFiring]
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
        for (subject, covered) in [
            (arn("shop-db"), true),
            (arn("shop"), false),
            (format!("{}*", &arn("shop")[..60]), true),
            ("x*".into(), false),
        ] {
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
}
