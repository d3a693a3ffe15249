//! Others at work on the same secret: a second invocation, a person.

use crate::world::{End, Fault, Kind, World, cut, every_setup, version};
use relatch::{
    ports::{Label, Login},
    rotation::{Reason, RotationError, plan::Promote},
};
use relatch_events::rotation::Step;

#[tokio::test(start_paused = true)]
async fn every_step_may_be_repeated() {
    for (kind, promote) in every_setup() {
        for step in Step::ALL {
            let world = World::at_rest(kind, promote).rotating();
            assert!(world.rotate_up_to(step).await.is_done());
            let once = world.portrait();
            assert!(world.step(step).await.is_done(), "{}", world.story());
            assert_eq!(world.portrait(), once, "{}", world.story());
        }
    }
}

/// One stands still before each of its calls, while the other runs from its beginning to its end.
#[tokio::test(start_paused = true)]
async fn two_invocations_of_a_step_end_as_one() {
    let mut cases = 0;
    for (kind, promote) in every_setup() {
        for step in Step::ALL {
            let alone = prepared(kind, promote, step).await;
            assert!(alone.step(step).await.is_done());
            for call in 1..=alone.calls() {
                let world = prepared(kind, promote, step).await;
                let other = world.another();
                let interrupted = world.clone().interrupted_at(call, async move {
                    let end = other.step(step).await;
                    assert!(is_done_or_busy(&end), "{step} meanwhile: {end:?}\n{}", other.story());
                });
                let end = interrupted.step(step).await;
                assert!(is_done_or_busy(&end), "{step} at {call}: {end:?}\n{}", world.story());
                assert_eq!(world.portrait(), alone.portrait(), "{step} at {call}\n{}", world.story());
                world.rotates_in_the_end().await;
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 180, "{cases}");
}

/// As above, and one of the two meets a fault, also while the new password does not prove itself at first.
#[tokio::test(start_paused = true)]
async fn two_invocations_of_which_one_meets_a_fault_lock_nobody_out() {
    let mut cases = 0;
    for (kind, promote) in every_setup() {
        for (step, mood) in LOCKING {
            let prepared = async || {
                let world = prepared(kind, promote, step).await;
                mood.into_iter().fold(world, |world, mood| world.distrusting(mood, 1))
            };
            let alone = prepared().await;
            alone.step(step).await;
            let calls = || 1..=alone.calls() + 4;
            for (pause, call) in calls().flat_map(|pause| calls().map(move |call| (pause, call))) {
                let faults = Fault::ALL.into_iter().flat_map(|fault| [(fault, true), (fault, false)]);
                for (fault, mine) in faults.skip(cases % cut()).step_by(cut()) {
                    let world = prepared().await;
                    let (one, other) = (world.another(), world.another());
                    let (one, other) =
                        if mine { (one.failing_at(call, fault), other) } else { (one, other.failing_at(call, fault)) };
                    one.interrupted_at(pause, async move { drop(other.step(step).await) }).step(step).await;
                    world.rotates_in_the_end().await;
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} cases");
    assert!(cases * cut() > 50_000, "{cases}");
}

/// The steps that take the lock; setSecret also on its way back.
const LOCKING: [(Step, Option<Login>); 3] =
    [(Step::Set, None), (Step::Set, Some(Login::Rejected)), (Step::Finish, None)];

/// While a step waits for the lock, or before.
#[tokio::test(start_paused = true)]
async fn a_rotation_that_was_taken_over_overwrites_nothing() {
    let mut cases = 0;
    for (kind, promote) in every_setup() {
        for step in Step::ALL {
            let alone = prepared(kind, promote, step).await;
            let before = alone.names().len();
            assert!(alone.step(step).await.is_done());
            let names = alone.names().split_off(before);
            // Without a lock (createSecret, and testSecret, which changes nothing) up to the last look at the labels.
            let last = names.iter().position(|name| *name == "lock");
            let last = last.or_else(|| names.iter().position(|name| *name == "describe")).unwrap_or(names.len() - 1);
            for call in 1..=u32::try_from(last).unwrap() + 1 {
                let world = prepared(kind, promote, step).await;
                let person = world.clone();
                let one = world.clone().interrupted_at(call, async move {
                    person.by_hand(|state| state.put_by_hand("v3", "three", &[Label::Pending]));
                });
                let end = one.step(step).await;
                let story = world.story();
                // What was proved before is still true.
                let proved = matches!(end, End::Done(Reason::Proved | Reason::AlreadyCurrent));
                assert!(end.is_refused(Reason::Superseded) || proved, "{step} at {call}: {end:?}\n{story}");
                assert_eq!(world.holder(Label::Pending), Some(version("v3")), "{story}");
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 100, "{cases}");
}

/// A newer rotation has run from its beginning to its end.
#[tokio::test(start_paused = true)]
async fn a_rotation_that_was_overtaken_overwrites_nothing() {
    let mut cases = 0;
    for (kind, promote) in every_setup().filter(|(kind, _)| !kind.alternates()) {
        for step in [Step::Set, Step::Finish] {
            let alone = prepared(kind, promote, step).await;
            let before = alone.names().len();
            assert!(alone.step(step).await.is_done());
            let names = alone.names().split_off(before);
            // Where setSecret has promoted, finishSecret has nothing to do, and takes no lock.
            let Some(last) = names.iter().position(|name| *name == "lock") else { continue };
            for call in 1..=u32::try_from(last).unwrap() + 1 {
                let world = prepared(kind, promote, step).await;
                let person = world.clone();
                let one = world.clone().interrupted_at(call, async move {
                    person.by_hand(|state| {
                        state.put_by_hand("v3", "three", &[Label::Pending, Label::Current]);
                        state.set_password_by_hand("app", "three");
                    });
                });
                let end = one.step(step).await;
                let safe = matches!(end, End::Failed(RotationError::NotYet(_) | RotationError::Refused(_)));
                assert!(safe, "{step} at {call}: {end:?}\n{}", world.story());
                assert_eq!(world.holder(Label::Current), Some(version("v3")), "{}", world.story());
                assert!(world.opens(Label::Current), "{}", world.story());
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 25, "{cases}");
}

/// The steps before this one are done.
async fn prepared(kind: Kind, promote: Promote, step: Step) -> World {
    let world = World::at_rest(kind, promote).rotating();
    for former in Step::ALL.into_iter().filter(|former| *former < step) {
        assert!(world.step(former).await.is_done());
    }
    world.another()
}

const fn is_done_or_busy(end: &End) -> bool {
    matches!(end, End::Done(_) | End::Failed(RotationError::NotYet(Reason::LockBusy)))
}
