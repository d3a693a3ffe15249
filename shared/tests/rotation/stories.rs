//! What the person on call would tell of it.

use crate::world::{End, Fault, Kind, TOKEN, World, order, version};
use relatch::{
    ports::{Label, Login, Silence},
    rollback::{Impact, Intent, Order, Reason, Recovery, Rung, recovery::Outcome},
    rotation::{self, plan::Promote},
};
use relatch_events::rotation::Step;

#[tokio::test(start_paused = true)]
async fn a_rotation_that_dies_right_after_the_change_is_healed_through_awspending() {
    let world = died_after_the_change().await;
    let recovery = responds(&world).await;
    tells(&recovery, Impact::Degraded, Reason::Recovered, &[Rung::ThroughPending]);
    assert_eq!(world.holder(Label::Current), Some(version("v1")));
    assert!(world.opens(Label::Current), "{}", world.story());
    // AWSPENDING stays, and Secrets Manager's repetition succeeds.
    world.another().rotates_in_the_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stranded_password_is_found_in_a_version_without_a_label() {
    let world = died_after_the_change().await;
    world.by_hand(|state| state.move_by_hand(Label::Pending, None));
    assert_eq!(world.impact(), Impact::Stranded);
    let recovery = responds(&world).await;
    tells(&recovery, Impact::Stranded, Reason::Recovered, &[Rung::ThroughKept]);
    assert!(world.opens(Label::Current), "{}", world.story());
}

#[tokio::test(start_paused = true)]
async fn a_password_changed_by_hand_is_set_again_by_the_admin() {
    let world = changed_by_hand(Kind::ThroughAdmin);
    let recovery = sweeps(&world).await;
    tells(&recovery, Impact::LockedOut, Reason::Recovered, &[Rung::ThroughAdmin]);
    assert!(world.opens(Label::Current), "{}", world.story());
}

#[tokio::test(start_paused = true)]
async fn a_password_changed_by_hand_without_an_admin_secret_is_for_a_person() {
    let world = changed_by_hand(Kind::SingleUser);
    let before = world.portrait();
    let recovery = sweeps(&world).await;
    assert!(matches!(recovery.outcome, Outcome::Refuses(Reason::Exhausted)), "{:?}", recovery.outcome);
    assert_eq!((recovery.left(), recovery.changed()), (Some(Impact::LockedOut), false));
    assert_eq!(world.portrait(), before);
}

#[tokio::test(start_paused = true)]
async fn the_admin_gives_no_new_password_to_a_user_that_may_do_more_than_work_with_data() {
    let world = changed_by_hand(Kind::ThroughAdmin);
    world.by_hand(|state| state.privileged = true);
    let recovery = sweeps(&world).await;
    assert!(matches!(recovery.outcome, Outcome::Refuses(Reason::Exhausted)), "{:?}", recovery.outcome);
    assert!(!recovery.changed());
}

#[tokio::test(start_paused = true)]
async fn a_master_user_is_healed_by_rds_and_waited_for() {
    let world = changed_by_hand(Kind::SingleUser);
    world.by_hand(|state| state.lead_to_rds(true));
    let recovery = sweeps(&world).await;
    tells(&recovery, Impact::LockedOut, Reason::Recovered, &[Rung::ThroughRds]);
    assert!(world.opens(Label::Current), "{}", world.story());
}

#[tokio::test(start_paused = true)]
async fn a_master_user_whose_server_is_not_pinned_is_not_touched() {
    let world = changed_by_hand(Kind::SingleUser);
    world.by_hand(|state| state.lead_to_rds(false));
    let recovery = sweeps(&world).await;
    assert!(matches!(recovery.outcome, Outcome::Refuses(Reason::Exhausted)), "{:?}", recovery.outcome);
    assert!(!world.names().contains(&"reset master"));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_down_for_the_whole_visit_is_healed_by_the_next_sweep() {
    let world = died_after_the_change().await;
    world.by_hand(|state| state.silent = Some(Silence::Unreachable));
    let before = world.portrait();
    let recovery = responds(&world).await;
    assert!(matches!(recovery.outcome, Outcome::Waits(Reason::DatabaseSilent(_))), "{:?}", recovery.outcome);
    assert_eq!((recovery.left(), recovery.changed()), (Some(Impact::Degraded), false));
    assert_eq!(world.portrait(), before);
    world.by_hand(|state| state.silent = None);
    tells(&sweeps(&world).await, Impact::Degraded, Reason::Recovered, &[Rung::ThroughPending]);
}

#[tokio::test(start_paused = true)]
async fn when_every_rung_fails_nothing_is_made_worse_and_awspending_is_kept() {
    let world = died_after_the_change().await;
    world.by_hand(|state| state.set_password_by_hand("app", "nobody knows"));
    let before = world.portrait();
    let recovery = responds(&world).await;
    assert!(matches!(recovery.outcome, Outcome::Refuses(Reason::Exhausted)), "{:?}", recovery.outcome);
    assert_eq!((recovery.left(), recovery.changed()), (Some(Impact::LockedOut), false));
    assert_eq!(world.portrait(), before);
    assert_eq!(world.holder(Label::Pending), Some(version(TOKEN)));
}

#[tokio::test(start_paused = true)]
async fn a_password_that_does_not_verify_is_really_undone_before_its_label_goes() {
    let world = World::at_rest(Kind::SingleUser, Promote::AtFinish).rotating().distrusting(Login::Rejected, u32::MAX);
    let end = world.another().rotate().await;
    assert!(end.is_refused(rotation::Reason::RolledBack), "{end:?}");
    assert!(world.opens(Label::Current), "{}", world.story());
    let recovery = responds(&world).await;
    tells(&recovery, Impact::Safe, Reason::Sound, &[]);
    assert_eq!(world.holder(Label::Pending), None);
    let names = world.names();
    let last = |name: &str| names.iter().rposition(|named| *named == name);
    // Changed, put back, and only then the label; and between the lock and the label AWSCURRENT was proved once more.
    assert_eq!(names.iter().filter(|name| **name == "set password").count(), 2);
    assert!(last("set password") < last("lock") && last("lock") < last("log in") && last("log in") < last("unstage"));
}

#[tokio::test(start_paused = true)]
async fn between_set_secret_and_finish_secret_a_sweep_leaves_a_rotation_alone() {
    let world = World::at_rest(Kind::SingleUser, Promote::AtFinish).rotating();
    assert!(world.another().rotate_up_to(Step::Test).await.is_done());
    let before = world.portrait();
    let recovery = sweeps(&world).await;
    assert!(matches!(recovery.outcome, Outcome::Waits(Reason::RotationInFlight)), "{:?}", recovery.outcome);
    assert_eq!(world.portrait(), before);
    assert!(matches!(world.another().step(Step::Finish).await, End::Done(rotation::Reason::Promoted)));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_in_the_middle_of_which_a_repair_looks_keeps_its_password() {
    // The repair has proved AWSCURRENT and waits for the lock, while a rotation sets AWSPENDING's password.
    let world = World::at_rest(Kind::SingleUser, Promote::AtFinish).rotating();
    assert!(world.another().step(Step::Create).await.is_done());
    world.by_hand(|state| state.age(TOKEN, 120));
    let rehearsal = world.another();
    let before = rehearsal.names().len();
    rehearsal.repair(Order { rehearse: true, ..order(Intent::Heal) }).await;
    let lock = rehearsal.names().split_off(before).iter().position(|name| *name == "lock").unwrap();
    let rotation = world.another();
    let other = world.another().interrupted_at(u32::try_from(lock).unwrap() + 1, async move {
        assert!(rotation.step(Step::Set).await.is_done());
    });
    let recovery = other.repair(order(Intent::Heal)).await.unwrap();
    assert!(world.opens(Label::Current), "{:?}\n{}", recovery.outcome, world.story());
}

#[tokio::test(start_paused = true)]
async fn a_broken_value_is_rolled_back() {
    let world = World::at_rest(Kind::SingleUser, Promote::AtFinish).rotating();
    world.another().rotates_in_the_end().await;
    world.by_hand(|state| {
        state.break_value(TOKEN);
        state.set_password_by_hand("app", "password-one");
    });
    let recovery = sweeps(&world).await;
    assert!(matches!(recovery.outcome, Outcome::Refuses(Reason::CurrentUnusable(_))), "{:?}", recovery.outcome);
    let recovery = world.repair(order(Intent::RollBack)).await.unwrap();
    assert!(matches!(recovery.outcome, Outcome::Opens(Reason::WentBack)), "{:?}", recovery.outcome);
    assert_eq!((world.holder(Label::Current), world.holder(Label::Pending)), (Some(version("v1")), None));
    assert!(world.opens(Label::Current));
}

#[tokio::test(start_paused = true)]
async fn awspending_that_leads_elsewhere_is_never_tried() {
    let staged = |current: &str| current.replace("db.example.com", "evil.example.com");
    let world = World::at_rest(Kind::SingleUser, Promote::AtFinish).staged(staged);
    world.by_hand(|state| state.set_password_by_hand("app", "nobody knows"));
    let recovery = responds(&world).await;
    // The world itself sees where a password goes.
    assert!(matches!(recovery.outcome, Outcome::Refuses(Reason::Exhausted)), "{:?}", recovery.outcome);
}

/// Killed right after the database had the new password.
async fn died_after_the_change() -> World {
    let calm = World::at_rest(Kind::SingleUser, Promote::AtFinish).rotating();
    calm.rotate().await;
    let change = calm.names().iter().position(|name| *name == "set password").unwrap();
    let world = World::at_rest(Kind::SingleUser, Promote::AtFinish).rotating();
    let end = world.another().failing_at(u32::try_from(change).unwrap() + 1, Fault::DiesAfter).rotate().await;
    assert!(matches!(end, End::Died) && !world.opens(Label::Current), "{}", world.story());
    world.by_hand(|state| state.age(TOKEN, 30));
    world
}

fn changed_by_hand(kind: Kind) -> World {
    let world = World::at_rest(kind, Promote::AtFinish);
    world.by_hand(|state| state.set_password_by_hand("app", "nobody knows"));
    world
}

/// By the event of a failed rotation.
async fn responds(world: &World) -> Recovery {
    world.another().repair(Order { failed: Some(Some(version(TOKEN))), ..order(Intent::Heal) }).await.unwrap()
}

async fn sweeps(world: &World) -> Recovery {
    world.another().repair(order(Intent::Heal)).await.unwrap()
}

fn tells(recovery: &Recovery, found: Impact, reason: Reason, climbed: &[Rung]) {
    assert!(matches!(recovery.outcome, Outcome::Opens(given) if given == reason), "{:?}", recovery.outcome);
    assert_eq!((recovery.found(), recovery.left()), (Some(found), Some(Impact::Safe)));
    assert_eq!(recovery.climbed().collect::<Vec<_>>(), climbed);
}

/// The attack: a principal that may write one secret's value, and nothing else, writes another application's role there
/// with a password of its own; and again, so that every version names that role.
#[tokio::test(start_paused = true)]
async fn a_role_that_only_the_value_of_the_secret_names_is_never_reset() {
    for kind in [Kind::ThroughAdmin, Kind::FirstAlternation] {
        for tagged in [None, Some("team_b"), Some("app_clone_clone"), Some("admin")] {
            let world = changed_by_hand(kind);
            world.by_hand(|state| {
                state.tagged = tagged;
                for id in ["v7", "v8"] {
                    state.put_by_hand(id, "the attacker's", &[Label::Current]);
                }
            });
            let before = world.portrait();
            for intent in [Intent::Heal, Intent::Recover, Intent::RollBack] {
                let recovery = world.repair(order(intent)).await.unwrap();
                assert!(matches!(recovery.outcome, Outcome::Refuses(_)), "{kind:?} {tagged:?}: {:?}", recovery.outcome);
                assert!(!world.opens(Label::Current), "{}", world.story());
                assert_eq!(world.portrait(), before, "{}", world.story());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_master_user_that_only_the_value_of_the_secret_names_is_never_reset() {
    for tagged in [None, Some("team_b"), Some("app_clone")] {
        let world = changed_by_hand(Kind::SingleUser);
        world.by_hand(|state| {
            state.lead_to_rds(true);
            state.tagged = tagged;
        });
        let recovery = sweeps(&world).await;
        assert!(matches!(recovery.outcome, Outcome::Refuses(Reason::Exhausted)), "{:?}", recovery.outcome);
        assert!(!world.names().contains(&"reset master"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_admin_secret_that_the_deployment_does_not_name_is_never_read() {
    let world = changed_by_hand(Kind::ThroughAdmin);
    world.by_hand(|state| state.name_admin("arn:aws:secretsmanager:eu-central-1:123456789012:secret:other-AbCdEf"));
    // The world knows of one admin secret only, and panics where another is asked for.
    for intent in [Intent::Heal, Intent::Recover] {
        let recovery = world.repair(order(intent)).await.unwrap();
        assert!(matches!(recovery.outcome, Outcome::Refuses(Reason::Exhausted)), "{:?}", recovery.outcome);
        assert!(!recovery.changed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_that_the_tags_name_comes_into_being_once_with_a_fault_at_any_call() {
    let begun = || {
        let world = World::at_rest(Kind::FirstAlternation, Promote::AtFinish);
        world.by_hand(|state| {
            state.drop_role("app");
            state.at_home = Some("app");
        });
        world
    };
    let calm = begun().another();
    tells(&sweeps(&calm).await, Impact::LockedOut, Reason::Recovered, &[Rung::ThroughAdmin]);
    for (call, fault) in (1..=calm.calls()).flat_map(|call| Fault::ALL.map(|fault| (call, fault))) {
        let world = begun();
        world.another().failing_at(call, fault).repair(order(Intent::Heal)).await;
        let recovery = world.another().repair(order(Intent::Heal)).await.unwrap();
        assert!(matches!(recovery.outcome, Outcome::Opens(_)), "{fault:?} at {call}\n{}", world.story());
        assert!(world.opens(Label::Current), "{}", world.story());
    }
}

/// Its name and its place are not the value's to say, and a role that goes missing later is a person's to bring back.
#[tokio::test(start_paused = true)]
async fn no_role_is_created_but_the_one_that_tags_name_before_the_first_rotation() {
    let yesterday = "2026-01-01T00:00:00Z".parse().ok();
    for (tagged, at_home, rotated) in [
        (None, Some("app"), None),
        (Some("other"), Some("app"), None),
        (Some("app_clone"), Some("app"), None),
        (Some("app"), None, None),
        (Some("app"), Some("payroll"), None),
        (Some("app"), Some("app"), yesterday),
    ] {
        let world = World::at_rest(Kind::FirstAlternation, Promote::AtFinish);
        world.by_hand(|state| {
            state.drop_role("app");
            (state.tagged, state.at_home, state.rotated) = (tagged, at_home, rotated);
        });
        let before = world.portrait();
        for intent in [Intent::Heal, Intent::Recover, Intent::RollBack] {
            let recovery = world.repair(order(intent)).await.unwrap();
            assert!(matches!(recovery.outcome, Outcome::Refuses(_)), "{tagged:?} {at_home:?}: {:?}", recovery.outcome);
        }
        assert_eq!(world.portrait(), before);
        assert!(!world.names().contains(&"create"), "{}", world.story());
    }
}
