//! One fault at every call, and two, and labels that are not up to date.

use crate::world::{Fault, Kind, World, cut, every_setup};
use relatch::rotation::plan::Promote;

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_is_survived() {
    let mut cases = 0;
    for setup in every_setup() {
        let calm = run(setup, &[]).await.calls();
        for call in 1..=calm {
            for fault in Fault::ALL {
                let world = run(setup, &[(call, fault)]).await;
                println!("{setup:?}: {fault:?} at {call} of {calm}, over after {}", world.calls());
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 1100, "{cases}");
}

#[tokio::test(start_paused = true)]
async fn two_faults_are_survived_by_a_single_user() {
    assert!(two_faults(Kind::SingleUser).await * cut() > 30_000);
}

#[tokio::test(start_paused = true)]
async fn two_faults_are_survived_by_alternating_users() {
    assert!(two_faults(Kind::AlternatingUsers).await * cut() > 35_000);
}

/// Every pair of calls, the second in the same run or in the retry, with every pair of faults.
async fn two_faults(kind: Kind) -> usize {
    let mut cases = 0;
    for promote in [Promote::AtFinish, Promote::AfterVerify] {
        let calm = run((kind, promote), &[]).await.calls();
        for (first, fault) in (1..=calm).flat_map(|call| Fault::ALL.map(|fault| (call, fault))) {
            let all = run((kind, promote), &[(first, fault)]).await.calls();
            let later = (first + 1..=all).flat_map(|call| Fault::ALL.map(|fault| (call, fault)));
            for second in later.skip(cases % cut()).step_by(cut()) {
                run((kind, promote), &[(first, fault), second]).await;
                cases += 1;
            }
        }
    }
    println!("{kind:?}: {cases} cases");
    cases
}

/// Also for some calls in a row: what is old may stay so for a moment.
#[tokio::test(start_paused = true)]
async fn labels_and_values_may_be_served_as_they_were_before_the_last_change() {
    let mut cases = 0;
    for setup in every_setup() {
        let names = run(setup, &[]).await.names();
        for (call, _) in (1..).zip(names).filter(|(_, name)| matches!(*name, "describe" | "read")) {
            for row in [1, 2, 3, 5, 8, 13] {
                let stale: Vec<(u32, Fault)> = (call..call + row).map(|call| (call, Fault::Stale)).collect();
                run(setup, &stale).await;
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases > 400, "{cases}");
}

#[tokio::test(start_paused = true)]
async fn after_a_fault_labels_and_values_may_be_old_as_well() {
    let mut cases = 0;
    for setup in every_setup() {
        let calm = run(setup, &[]).await.calls();
        for (first, fault) in (1..=calm).flat_map(|call| Fault::ALL.map(|fault| (call, fault))) {
            let all = run(setup, &[(first, fault)]).await.calls();
            for second in (first + 1..=all).skip(cases % cut()).step_by(cut()) {
                let stale = (second..second + 3).map(|call| (call, Fault::Stale));
                run(setup, &[(first, fault)].into_iter().chain(stale).collect::<Vec<_>>()).await;
                cases += 1;
            }
        }
    }
    println!("{cases} cases");
    assert!(cases * cut() > 19_000, "{cases}");
}

/// A rotation with these faults, retried until it succeeds.
async fn run((kind, promote): (Kind, Promote), faults: &[(u32, Fault)]) -> World {
    let rotating = World::at_rest(kind, promote).rotating();
    let world = faults.iter().fold(rotating, |world, (call, fault)| world.failing_at(*call, *fault));
    world.rotates_in_the_end().await;
    world
}
