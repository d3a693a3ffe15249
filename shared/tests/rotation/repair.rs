//! Repairs, from every situation that a rotation, a person or bad luck can leave behind, with a fault at every call.

use crate::world::{Fault, Kind, TOKEN, World, cut, every_setup, order, version};
use relatch::{
    audit::operation::Act,
    ports::{Label, Pause, Silence},
    rollback::{Intent, Order, Reason, Recovery, recovery::Outcome},
    rotation::plan::Promote,
};
use relatch_events::rotation::Step;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::sleep;

/// What a repair finds.
#[derive(Debug, Clone, Copy)]
enum Start {
    /// A rotation died right after a call.
    Died(Kind, Promote, u32),
    /// And an operator has taken AWSPENDING off.
    TakenOff(Kind, Promote, u32),
    /// Somebody has set a password that is AWSPREVIOUS's.
    SetToPrevious(Kind),
    /// Somebody has set a password that only a version without a label holds.
    SetToKept(Kind),
    /// Somebody has set a password that no version holds.
    SetToUnknown(Kind),
    /// The same, and the user may do more than work with data.
    Privileged(Kind),
    /// The same, and it is the master user of an instance of RDS, which the secret pins or does not.
    Master { pinned: bool },
    /// AWSCURRENT opens, and AWSPENDING has been waiting for minutes.
    Waiting(Kind, i64),
}

impl Start {
    async fn all() -> Vec<Self> {
        let mut all = vec![Start::Master { pinned: true }, Start::Master { pinned: false }];
        for kind in Kind::ALL {
            all.extend([Start::SetToKept(kind), Start::SetToUnknown(kind), Start::Privileged(kind)]);
            all.extend([1, 30, 120].map(|minutes| Start::Waiting(kind, minutes)));
            all.extend((!kind.alternates()).then_some(Start::SetToPrevious(kind)));
        }
        for (kind, promote) in every_setup() {
            let calm = World::at_rest(kind, promote).rotating();
            calm.rotate().await;
            all.extend(
                (1..=calm.calls())
                    .flat_map(|call| [Start::Died(kind, promote, call), Start::TakenOff(kind, promote, call)]),
            );
        }
        all
    }

    async fn world(self) -> World {
        match self {
            Start::Died(kind, promote, call) => {
                let world = World::at_rest(kind, promote).rotating();
                world.another().failing_at(call, Fault::DiesAfter).rotate().await;
                world.by_hand(|state| state.age(TOKEN, 30));
                world
            }
            Start::TakenOff(kind, promote, call) => {
                let world = Box::pin(Start::Died(kind, promote, call).world()).await;
                if world.holder(Label::Current) != Some(version(TOKEN)) {
                    world.by_hand(|state| state.move_by_hand(Label::Pending, None));
                }
                world
            }
            Start::SetToPrevious(kind) => set_by_hand(kind, "password-zero"),
            Start::SetToKept(kind) => {
                let world = set_by_hand(kind, "password-nine");
                world.by_hand(|state| state.put_by_hand("v9", "password-nine", &[]));
                world
            }
            Start::SetToUnknown(kind) => set_by_hand(kind, "nobody knows"),
            Start::Privileged(kind) => {
                let world = set_by_hand(kind, "nobody knows");
                world.by_hand(|state| state.privileged = true);
                world
            }
            Start::Master { pinned } => {
                let world = set_by_hand(Kind::SingleUser, "nobody knows");
                world.by_hand(|state| state.lead_to_rds(pinned));
                world
            }
            Start::Waiting(kind, minutes) => {
                let world = World::at_rest(kind, Promote::AtFinish).rotating();
                assert!(world.another().step(Step::Create).await.is_done());
                world.by_hand(|state| state.age(TOKEN, minutes));
                world
            }
        }
    }

    /// Whether anything that is known can make AWSCURRENT open the database.
    const fn heals(self) -> bool {
        match self {
            Start::Died(..) | Start::TakenOff(..) | Start::SetToPrevious(_) | Start::SetToKept(_) => true,
            Start::Waiting(..) => true,
            Start::SetToUnknown(kind) => !matches!(kind, Kind::SingleUser),
            // The other user goes on.
            Start::Privileged(kind) => matches!(kind, Kind::AlternatingUsers),
            Start::Master { pinned } => pinned,
        }
    }

    /// How the repair is called: by the event where a rotation has failed.
    fn order(self) -> Order {
        match self {
            Start::Died(..) | Start::TakenOff(..) => {
                Order { failed: Some(Some(version(TOKEN))), ..order(Intent::Heal) }
            }
            _ => order(Intent::Heal),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_can_be_healed_is_healed_and_the_rest_is_left_as_it_was() {
    for start in Start::all().await {
        let world = start.world().await;
        let (before, truth) = (world.portrait(), world.impact());
        let recovery = world.repair(start.order()).await.unwrap();
        let case = format!("{start:?}: {:?}\n{}", recovery.outcome, world.story());
        assert_eq!(recovery.found(), Some(truth), "{case}");
        assert_eq!(recovery.left(), Some(world.impact()), "{case}");
        assert_eq!(matches!(recovery.outcome, Outcome::Opens(_)), start.heals(), "{case}");
        assert_eq!(world.opens(Label::Current), start.heals(), "{case}");
        if !start.heals() {
            assert!(matches!(recovery.outcome, Outcome::Refuses(Reason::Exhausted)), "{case}");
            assert_eq!((world.portrait(), recovery.changed()), (before, false), "{case}");
        }
        nothing_is_left_to_do(start, &world).await;
    }
}

/// So that CloudTrail's records of it are known for Relatch's own.
#[tokio::test(start_paused = true)]
async fn whatever_a_repair_does_to_labels_and_servers_is_recorded_right_before() {
    let mut changes = BTreeSet::new();
    for start in Start::all().await {
        let world = start.world().await;
        let before = world.names().len();
        world.repair(start.order()).await.unwrap();
        let names = world.names().split_off(before);
        let is_change = |name: &str| matches!(name, "promote" | "unstage" | "reset master");
        let recorded = names.iter().filter(|name| **name == "record operation").count();
        assert_eq!(recorded, names.iter().filter(|name| is_change(name)).count(), "{start:?}\n{}", world.story());
        for pair in names.windows(2).filter(|pair| is_change(pair[1])) {
            assert_eq!(pair[0], "record operation", "{start:?}\n{}", world.story());
            changes.insert(pair[1]);
        }
    }
    assert_eq!(changes.into_iter().collect::<Vec<_>>(), ["promote", "reset master", "unstage"]);

    let world = World::at_rest(Kind::SingleUser, Promote::AtFinish).rotating();
    world.another().rotates_in_the_end().await;
    assert!(world.recorded().is_empty(), "a rotation is known by its token");
    world.repair(order(Intent::RollBack)).await.unwrap();
    let acts: Vec<Act> = world.recorded().into_iter().map(|(_, act)| act).collect();
    assert_eq!(acts[0], Act::promotion(&version("v1"), &version(TOKEN)), "{}", world.story());
}

/// Faults of all kinds at every call; what was lost then is found by the next repair.
#[tokio::test(start_paused = true)]
async fn a_repair_survives_a_fault_at_any_call() {
    let mut cases = 0;
    for start in Start::all().await {
        let calm = start.world().await.another();
        calm.repair(start.order()).await;
        let faults = (1..=calm.calls()).flat_map(|call| Fault::ALL.map(|fault| (call, fault)));
        for (call, fault) in faults.skip(cases % cut()).step_by(cut()) {
            let world = start.world().await;
            let first = world.another().failing_at(call, fault).repair(start.order()).await;
            assert!(world.opens(Label::Current) || !says_it_opens(&first), "{start:?}\n{}", world.story());
            // A lease is over by itself.
            sleep(Duration::from_secs(60)).await;
            let recovery = world.another().repair(start.order()).await.unwrap();
            let case = format!("{start:?} {fault:?} at {call}: {:?}\n{}", recovery.outcome, world.story());
            assert_eq!(says_it_opens(&Some(recovery)), start.heals(), "{case}");
            assert_eq!(world.opens(Label::Current), start.heals(), "{case}");
            nothing_is_left_to_do(start, &world).await;
            cases += 1;
        }
    }
    println!("{cases} cases");
    assert!(cases * cut() > 15_000, "{cases}");
}

/// Up to the labels that are read under the lock: a person writes a new value, and gives it to the database.
#[tokio::test(start_paused = true)]
async fn what_a_person_does_in_the_middle_is_never_overwritten() {
    let mut cases = 0;
    for start in Start::all().await {
        let calm = start.world().await.another();
        let before = calm.names().len();
        calm.repair(start.order()).await;
        let names = calm.names().split_off(before);
        let change = |name: &str| matches!(name, "set password" | "reset master" | "promote" | "unstage");
        let names = &names[..names.iter().position(|name| change(name)).unwrap_or(names.len())];
        let last = names.iter().rposition(|name| *name == "describe").unwrap_or(0);
        for call in 1..=u32::try_from(last).unwrap() + 1 {
            let world = start.world().await;
            let person = world.clone();
            let one = world.another().interrupted_at(call, async move {
                person.by_hand(|state| {
                    let user = state.put_by_hand("v7", "password-seven", &[Label::Current]);
                    state.set_password_by_hand(&user, "password-seven");
                });
            });
            let recovery = one.repair(start.order()).await.unwrap();
            let case = format!("{start:?} at {call}: {:?}\n{}", recovery.outcome, world.story());
            assert_eq!(world.holder(Label::Current), Some(version("v7")), "{case}");
            assert!(world.opens(Label::Current), "{case}");
            cases += 1;
        }
    }
    println!("{cases} cases");
    assert!(cases > 800, "{cases}");
}

#[tokio::test(start_paused = true)]
async fn what_is_rehearsed_or_paused_or_silent_changes_nothing() {
    for start in Start::all().await {
        let world = start.world().await;
        let before = world.portrait();
        let rehearsed = world.repair(Order { rehearse: true, ..start.order() }).await.unwrap();
        assert!(!rehearsed.changed(), "{start:?}\n{}", world.story());
        world.by_hand(|state| state.silent = Some(Silence::TimedOut));
        let silent = world.repair(start.order()).await.unwrap();
        assert!(matches!(silent.outcome, Outcome::Waits(Reason::DatabaseSilent(_))), "{start:?}: {:?}", silent.outcome);
        world.by_hand(|state| {
            let at = "2026-01-01T00:00:00Z".parse().unwrap();
            let pause = Pause { by: "somebody".to_owned(), reason: "because".to_owned(), at };
            (state.silent, state.controls.paused) = (None, Some(pause));
        });
        let paused = world.repair(start.order()).await.unwrap();
        assert!(matches!(paused.outcome, Outcome::Waits(Reason::Paused)), "{start:?}: {:?}", paused.outcome);
        assert_eq!(world.portrait(), before, "{start:?}\n{}", world.story());
        // A person is not held up by a pause.
        let recovered = world.repair(order(Intent::Recover)).await.unwrap();
        assert_eq!(says_it_opens(&Some(recovered)), start.heals(), "{start:?}\n{}", world.story());
    }
}

/// Whatever happens on the way, one of the two versions that have labels opens the database: the world sees to it.
#[tokio::test(start_paused = true)]
async fn a_rotation_is_rolled_back_with_a_fault_at_any_call() {
    let mut cases = 0;
    for (kind, promote) in every_setup() {
        let rotated = async || {
            let world = World::at_rest(kind, promote).rotating();
            world.another().rotates_in_the_end().await;
            world
        };
        let calm = rotated().await.another();
        let recovery = calm.repair(order(Intent::RollBack)).await.unwrap();
        assert!(
            matches!(recovery.outcome, Outcome::Opens(Reason::WentBack)),
            "{:?}\n{}",
            recovery.outcome,
            calm.story()
        );
        assert_eq!((calm.holder(Label::Current), calm.holder(Label::Pending)), (Some(version("v1")), None));
        assert!(calm.opens(Label::Current), "{}", calm.story());
        for (call, fault) in (1..=calm.calls()).flat_map(|call| Fault::ALL.map(|fault| (call, fault))) {
            let world = rotated().await;
            world.another().failing_at(call, fault).repair(order(Intent::RollBack)).await;
            let back = world.holder(Label::Current) == Some(version("v1"));
            let intent = if back { Intent::Heal } else { Intent::RollBack };
            let recovery = world.another().repair(order(intent)).await.unwrap();
            let case = format!("{kind:?} {fault:?} at {call}: {:?}\n{}", recovery.outcome, world.story());
            assert!(says_it_opens(&Some(recovery)) && world.opens(Label::Current), "{case}");
            assert_eq!(world.holder(Label::Current), Some(version("v1")), "{case}");
            cases += 1;
        }
    }
    println!("{cases} cases");
    assert!(cases > 400, "{cases}");
}

/// Repeated, a repair changes nothing, and says that nothing is wrong.
async fn nothing_is_left_to_do(start: Start, world: &World) {
    let before = world.portrait();
    let again = world.another().repair(start.order()).await.unwrap();
    let case = format!("{start:?}: {:?}\n{}", again.outcome, world.story());
    assert_eq!(world.portrait(), before, "{case}");
    assert_eq!(matches!(again.outcome, Outcome::Opens(Reason::Sound)), start.heals(), "{case}");
}

fn says_it_opens(recovery: &Option<Recovery>) -> bool {
    recovery.as_ref().is_some_and(|recovery| matches!(recovery.outcome, Outcome::Opens(_)))
}

fn set_by_hand(kind: Kind, password: &str) -> World {
    let world = World::at_rest(kind, Promote::AtFinish);
    world.by_hand(|state| state.set_password_by_hand("app", password));
    world
}
