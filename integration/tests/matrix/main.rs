//! The fault matrix, cut to one fault at each operation; `make matrix` plays all of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::sync::Arc;

use relatch_integration::matrix::{Matrix, Played, Promote, Report, Strategy, Variant};

/// The least that a rotation can do: two calls to AWS in each step, and four connections of six operations.
const LEAST: (usize, usize) = (8, 24);

/// Cases at the same time, in each of the two tests.
const JOBS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_locks_a_single_user_out() {
    nobody_is_locked_out(Strategy::SingleUser).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_locks_alternating_users_out() {
    nobody_is_locked_out(Strategy::AlternatingUsers).await;
}

async fn nobody_is_locked_out(strategy: Strategy) {
    let matrix = Arc::new(Matrix::start().await.unwrap());
    let calm = matrix.calm(Variant { strategy, promote: Promote::AtFinish }).await.unwrap();
    assert!(calm.aws.len() >= LEAST.0, "only {:?}", calm.aws);
    assert!(calm.wire.len() >= LEAST.1, "only {:?}", calm.wire);
    let (mut report, mut stories) = (Report::default(), String::new());
    let each = |played: Played| {
        report.add(&played);
        if !played.verdict.is_good() {
            stories += &format!("{}: {:?}\n{}\n", played.case.strike, played.verdict, played.story);
        }
    };
    matrix.run_all(calm.cut(), JOBS, each).await.unwrap();
    assert_eq!(report.cases() as usize, calm.aws.len() + calm.wire.len());
    assert!(report.bad().is_empty(), "{stories}{report}");
    assert!(report.healed() > 0, "no fault made an attempt fail: {report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn respond_heals_wherever_rotate_dies() {
    let matrix = Arc::new(Matrix::start().await.unwrap());
    let variant = Variant { strategy: Strategy::SingleUser, promote: Promote::AtFinish };
    let deaths = matrix.calm(variant).await.unwrap().deaths();
    let (mut report, mut stories, count) = (Report::default(), String::new(), deaths.len() as u64);
    let each = |played: Played| {
        report.add(&played);
        if !played.verdict.is_good() {
            stories += &format!("{}: {:?}\n{}\n", played.case.strike, played.verdict, played.story);
        }
    };
    matrix.run_all(deaths, JOBS, each).await.unwrap();
    assert_eq!(report.cases(), count);
    assert!(report.bad().is_empty(), "{stories}{report}");
    assert!(report.recovered() > 0, "respond had nothing to heal: {report}");
    println!("{report}");
}
