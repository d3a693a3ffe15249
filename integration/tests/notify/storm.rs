//! Ten thousand firings of forty conditions within a minute, twice and in any order, by many processes at the same time:
//! what is published of it, and (in `delivery`) what of that reaches people.
//!
//! Here the policy and the order of its writes are the real ones; `register`, the table, the topic and the time are in
//! memory. There, everything behind the topic is real.

mod delivery;
mod register;

use jiff::{SignedDuration, Timestamp};
use register::{Death, Process, Shared};
use relatch::{
    alert::{
        Alert, Alerts, Condition, Status,
        policy::{Settings, Silence},
    },
    config::Environment,
    language::Language,
    telemetry::Metrics,
};
use std::{cell::Cell, collections::BTreeMap, rc::Rc, time::Duration};
use tokio::{
    task::LocalSet,
    time::{Instant, sleep, sleep_until, timeout},
};

/// Conditions that are told in groups, of eight subjects each; and those that are told at once.
const GROUPED: [Condition; 4] =
    [Condition::PendingStuck, Condition::RotationOverdue, Condition::DatabaseSilent, Condition::DeletionScheduled];
const ALONE: [Condition; 1] = [Condition::RotationFailed];
const SUBJECTS: u64 = 8;
const FIRINGS: u64 = 10_000;
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_storm_is_one_message_for_each_group_and_change() {
    let storm = Storm::begin();
    storm.rages(None).await;
    let told = storm.told();
    assert_eq!(told.len(), 4 + 8, "{told:#?}");
    assert!(told.values().all(|messages| *messages == ["firing"]), "{told:#?}");
    assert_eq!(storm.shared.published.borrow().iter().map(|(_, alert)| subjects(alert).len()).sum::<usize>(), 40);
    storm.ends().await;
    assert!(storm.told().values().all(|messages| *messages == ["firing", "resolved"]), "{:#?}", storm.told());
    assert_eq!(storm.shared.news(), 0);
}

#[tokio::test(start_paused = true)]
async fn processes_that_die_before_they_tell_lose_nothing() {
    let storm = Storm::begin();
    storm.rages(Some((3, Death::BeforeTelling))).await;
    storm.passes(10).await;
    assert!(storm.told().values().all(|messages| *messages == ["firing"]), "{:#?}", storm.told());
    assert_eq!(storm.told().len(), 12);
    storm.ends().await;
    assert!(storm.told().values().all(|messages| *messages == ["firing", "resolved"]), "{:#?}", storm.told());
    assert_eq!(storm.shared.news(), 0);
}

#[tokio::test(start_paused = true)]
async fn people_hear_twice_only_what_a_process_told_that_died_at_once() {
    let storm = Storm::begin();
    storm.rages(Some((2, Death::AfterTelling))).await;
    storm.passes(10).await;
    let firings: usize = storm.told().values().map(Vec::len).sum();
    let deaths = storm.deaths.get();
    assert!(deaths > 0, "nobody died");
    assert!((12..=12 + deaths).contains(&firings), "{firings} messages, {deaths} deaths");
    assert_eq!(storm.told().len(), 12);
    storm.ends().await;
    assert_eq!(storm.told().values().flatten().filter(|status| **status == "resolved").count(), 12);
    assert_eq!(storm.shared.news(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_published_is_told_when_it_can() {
    let storm = Storm::begin();
    storm.shared.topic_is_back.set(Some(Instant::now() + 3 * MINUTE));
    storm.rages(None).await;
    assert!(storm.told().is_empty());
    storm.passes(3).await;
    assert!(storm.told().values().all(|messages| *messages == ["firing"]), "{:#?}", storm.told());
    assert_eq!(storm.told().len(), 12);
    storm.shared.topic_is_back.set(Some(Instant::now() + 10 * MINUTE));
    storm.ends().await;
    assert!(storm.told().values().all(|messages| *messages == ["firing", "resolved"]), "{:#?}", storm.told());
    assert_eq!(storm.shared.news(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_is_told_with_the_next_message_and_who_stays_again_after_hours() {
    let storm = Storm::begin();
    let process = storm.process(None);
    for (minute, subject) in [(0, "a"), (2, "b"), (3, "c")] {
        sleep_until(storm.began + minute * MINUTE).await;
        process.raise(&alert(GROUPED[0], subject), storm.now()).await.unwrap();
        storm.passes(1).await;
    }
    storm.passes(5).await;
    let heard =
        || -> Vec<Vec<String>> { storm.shared.published.borrow().iter().map(|(_, alert)| subjects(alert)).collect() };
    assert_eq!(heard(), [vec!["a"], vec!["a", "b", "c"]]);
    storm.passes(239).await;
    assert_eq!(heard().len(), 3, "after four hours, and not before");
    let end = Alert { status: Status::Resolved, ..alert(GROUPED[0], "b") };
    process.resolve(&end, storm.now()).await.unwrap();
    storm.passes(10).await;
    assert_eq!(heard().len(), 3, "others go on");
    let key = storm.shared.published.borrow()[0].1.key();
    assert!(storm.shared.published.borrow().iter().all(|(_, alert)| alert.key() == key));
}

#[tokio::test(start_paused = true)]
async fn a_silence_ends_and_what_goes_on_is_told() {
    let storm = Storm::begin();
    storm.shared.silences.borrow_mut().push(Silence {
        id: "1".to_owned(),
        condition: None,
        subject: Some("0*".to_owned()),
        environment: None,
        author: "ops".to_owned(),
        reason: "maintenance".to_owned(),
        until: storm.now() + SignedDuration::from_mins(10),
    });
    let process = storm.process(None);
    assert!(!process.raise(&alert(Condition::RotationFailed, "0"), storm.now()).await.unwrap());
    assert!(process.raise(&alert(Condition::RotationFailed, "1"), storm.now()).await.unwrap());
    storm.passes(9).await;
    assert_eq!(storm.told().len(), 1);
    storm.passes(2).await;
    assert_eq!(storm.told().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_lock_out_is_told_and_its_causes_only_if_they_outlast_it() {
    let storm = Storm::begin();
    let process = storm.process(None);
    assert!(process.raise(&alert(Condition::LockedOut, "0"), storm.now()).await.unwrap());
    for condition in [Condition::RotationFailed, Condition::PendingStuck] {
        assert!(!process.raise(&alert(condition, "0"), storm.now()).await.unwrap());
    }
    storm.passes(30).await;
    assert_eq!(storm.told().into_keys().collect::<Vec<_>>(), ["locked-out/0"]);
    for condition in [Condition::LockedOut, Condition::RotationFailed] {
        let end = Alert { status: Status::Resolved, ..alert(condition, "0") };
        assert_eq!(process.resolve(&end, storm.now()).await.unwrap(), condition == Condition::LockedOut);
    }
    storm.passes(1).await;
    let told = storm.told();
    assert_eq!(told.keys().collect::<Vec<_>>(), ["locked-out/0", "pending-stuck/prod"]);
    assert_eq!(told["locked-out/0"], ["firing", "resolved"]);
}

struct Storm {
    shared: Rc<Shared>,
    began: Instant,
    deaths: Rc<Cell<usize>>,
}

impl Storm {
    fn begin() -> Self {
        Self { shared: Rc::default(), began: Instant::now(), deaths: Rc::default() }
    }

    fn now(&self) -> Timestamp {
        time(self.began)
    }

    fn time(&self, at: Instant) -> Timestamp {
        self.now() - SignedDuration::try_from(at.elapsed()).unwrap()
    }

    fn process(&self, dies: Option<Death>) -> Alerts<Process, Process> {
        let process = Process { shared: self.shared.clone(), dies };
        let metrics = Metrics { namespace: "Relatch".to_owned(), environment: Environment::Prod };
        let (policy, language) = (Settings::default(), Language::English);
        Alerts { table: process.clone(), topic: process, policy, language, metrics }
    }

    /// A minute in which everything fires, in its first quarter each of the forty at least once. Each firing is noticed by
    /// a process of its own, of so many of which one dies. At the end of the minute somebody flushes.
    async fn rages(&self, mortality: Option<(u64, Death)>) {
        let everything = everything();
        let tasks = LocalSet::new();
        for firing in 0..FIRINGS {
            let alert = everything[usize::try_from(firing % 40).unwrap()].clone();
            let after = Duration::from_millis(self.shared.random(if firing < 40 { 15_000 } else { 59_000 }));
            // It was seen up to five seconds ago: what was seen first does not arrive first.
            let late = SignedDuration::from_millis(self.shared.random(5000).cast_signed());
            let dies = mortality.and_then(|(of, death)| (self.shared.random(of) == 0).then_some(death));
            let (process, began, deaths) = (self.process(dies), self.began, self.deaths.clone());
            tasks.spawn_local(async move {
                sleep(after).await;
                // Who does not answer is dead.
                let raised = timeout(Duration::from_secs(10), process.raise(&alert, time(began) - late)).await;
                deaths.set(deaths.get() + usize::from(raised.is_err()));
            });
        }
        tasks.run_until(sleep_until(self.began + MINUTE)).await;
        tasks.run_until(self.flushes()).await;
        tasks.await;
    }

    /// One more of each group, when others have long been told.
    async fn grows(&self) {
        self.passes(6).await;
        for late in late() {
            self.process(None).raise(&late, self.now()).await.unwrap();
        }
        self.passes(1).await;
    }

    /// Everything ends, and is seen to have ended three times; and late words of its firing arrive.
    async fn ends(&self) {
        sleep(6 * MINUTE).await;
        let before = self.now();
        sleep(Duration::from_secs(1)).await;
        for late in late() {
            let _ = self.process(None).resolve(&late, before).await;
        }
        let tasks = LocalSet::new();
        for (round, alert) in (0..3_u64).flat_map(|round| everything().into_iter().map(move |alert| (round, alert))) {
            let (process, began) = (self.process(None), self.began);
            let after = Duration::from_millis(self.shared.random(3000) + round * 1000);
            tasks.spawn_local(async move {
                sleep(after).await;
                // What cannot be published now is told by a flush.
                let _ = process.resolve(&alert, time(began)).await;
                let _ = process.raise(&alert, before).await;
            });
        }
        tasks.await;
        self.passes(12).await;
    }

    /// So many minutes, each with its flush.
    async fn passes(&self, minutes: u32) {
        for _ in 0..minutes {
            sleep(MINUTE).await;
            self.flushes().await;
        }
    }

    async fn flushes(&self) {
        // Two at the same time: a schedule may come twice.
        let (one, other) = (self.process(None), self.process(None));
        let _ = tokio::join!(one.flush(Environment::Prod, self.now()), other.flush(Environment::Prod, self.now()));
    }

    /// What people heard, by key.
    fn told(&self) -> BTreeMap<String, Vec<&'static str>> {
        let mut told: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        for (_, alert) in self.shared.published.borrow().iter() {
            told.entry(alert.key()).or_default().push(alert.status.name());
        }
        told
    }
}

fn everything() -> Vec<Alert> {
    let conditions = GROUPED.into_iter().chain(ALONE);
    conditions.flat_map(|condition| (0..SUBJECTS).map(move |subject| alert(condition, &subject.to_string()))).collect()
}

fn late() -> impl Iterator<Item = Alert> {
    GROUPED.into_iter().map(|condition| alert(condition, "late"))
}

fn subjects(alert: &Alert) -> Vec<String> {
    if alert.members.is_empty() { vec![alert.subject.clone()] } else { alert.members.clone() }
}

fn time(began: Instant) -> Timestamp {
    let passed = SignedDuration::try_from(began.elapsed()).unwrap();
    Timestamp::from_second(1_800_000_000).unwrap() + passed
}

fn alert(condition: Condition, subject: &str) -> Alert {
    Alert { found: vec!["It is so.".to_owned()], ..Alert::firing(condition, subject.to_owned(), Environment::Prod) }
}
