//! The fault matrix, cut to one fault at each operation; `make matrix` plays all of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::sync::Arc;

use relatch_integration::matrix::{Matrix, Played, Promote, Report, Strategy, Variant};

/// The least that a rotation can do: two calls to AWS in each step, and four connections of six operations.
const LEAST: (usize, usize) = (8, 24);

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
    let mut report = Report::default();
    let each = |played: Played| {
        if !played.verdict.is_good() {
            println!("{}: {:?}\n{}", played.case.strike, played.verdict, played.story);
        }
        report.add(&played);
    };
    matrix.run_all(calm.cut(), 2, each).await.unwrap();
    println!("{report}");
    assert_eq!(report.cases() as usize, calm.aws.len() + calm.wire.len());
    assert!(report.bad().is_empty(), "{} bad cases, told above", report.bad().len());
}
