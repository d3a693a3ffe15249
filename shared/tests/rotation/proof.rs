//! Passwords that the database takes, and that then do not prove themselves.

use crate::world::{End, Fault, Kind, World, every_setup};
use relatch::{
    ports::{Label, Login, Refusal, Silence},
    rotation::{Reason, RotationError, plan::Promote},
};
use relatch_events::rotation::Step;

const ALWAYS: u32 = u32::MAX;

fn moods() -> [Login; 5] {
    [
        Login::Rejected,
        Login::Unfit("42P01".into()),
        Login::Refused(Refusal::NoConnect),
        Login::Unknown(Silence::TimedOut),
        Login::Unknown(Silence::NotLetIn),
    ]
}

#[tokio::test(start_paused = true)]
async fn the_previous_password_comes_back_and_a_retry_succeeds() {
    for (kind, promote) in every_setup() {
        for (mood, times) in moods().into_iter().flat_map(|mood| [(mood, 1), (mood, ALWAYS)]) {
            let world = World::at_rest(kind, promote).rotating();
            assert!(world.step(Step::Create).await.is_done());
            let before = world.portrait();
            let end = world.clone().distrusting(mood, times).step(Step::Set).await;
            let case = format!("{kind:?} {promote:?} {mood:?} {times}: {end:?}\n{}", world.story());
            if (mood, times) == (Login::Unknown(Silence::TimedOut), 1) {
                assert!(end.is_done(), "one silence is asked about again; {case}");
            } else {
                let reason = if kind.alternates() { Reason::AlternateUnproved } else { Reason::RolledBack };
                assert!(end.is_refused(reason), "{case}");
                assert!(world.opens(Label::Current), "{case}");
                // The first alternate had no password before, and nobody uses it.
                assert!(world.portrait() == before || kind == Kind::FirstAlternation, "{case}");
            }
            world.by_hand(|state| state.cure());
            world.rotates_in_the_end().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_way_back_survives_a_fault_at_any_call() {
    let mut cases = 0;
    for (kind, promote) in every_setup() {
        for mood in moods() {
            let world = || World::at_rest(kind, promote).rotating().distrusting(mood, ALWAYS);
            let calm = world();
            calm.rotate().await;
            for (call, fault) in (1..=calm.calls()).flat_map(|call| Fault::ALL.map(|fault| (call, fault))) {
                let world = world().failing_at(call, fault);
                world.rotate().await;
                world.by_hand(|state| state.cure());
                world.rotates_in_the_end().await;
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 3000, "{cases}");
}

#[tokio::test(start_paused = true)]
async fn a_test_query_that_fails_later_brings_a_single_users_password_back() {
    for kind in [Kind::SingleUser, Kind::ThroughAdmin] {
        let world = World::at_rest(kind, Promote::AtFinish).rotating();
        assert!(world.step(Step::Create).await.is_done());
        let before = world.portrait();
        assert!(world.step(Step::Set).await.is_done());
        let end = world.clone().distrusting(Login::Unfit("42P01".into()), ALWAYS).step(Step::Test).await;
        // The role itself may not change its password; the next setSecret goes back through the admin.
        let able = kind == Kind::SingleUser;
        assert!(!end.is_done() && world.opens(Label::Pending) != able, "{kind:?} {end:?}\n{}", world.story());
        assert!(!able || world.portrait() == before, "{}", world.story());
        world.by_hand(|state| state.cure());
        world.rotates_in_the_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_is_started_as_a_test_changes_nothing() {
    for (kind, promote) in every_setup() {
        let world = World::at_rest(kind, promote).testing();
        let before = world.portrait();
        assert!(matches!(world.step(Step::Test).await, End::Done(Reason::Proved)), "{}", world.story());
        for mood in moods() {
            let end = world.clone().distrusting(mood, ALWAYS).step(Step::Test).await;
            assert!(
                matches!(end, End::Failed(RotationError::Refused(_) | RotationError::NotYet(_))),
                "{mood:?} {end:?}"
            );
        }
        assert_eq!(world.portrait(), before);
        assert!(!world.names().iter().any(|name| matches!(*name, "stage" | "promote" | "set password" | "provision")));
    }
}
