//! `rotate` and `respond` at work on the same secret, with an operator in between, in every order there is.
//!
//! A state is the database's password, the labels, the lock, and what each process has learned so far. The plans are the
//! real ones, over the real facts; every look and every action of a plan is one transition, and between any two of them
//! anybody else may move. Answers are lost, statements happen late, processes die. What is bounded is how often: see
//! [`Bounds`].
//!
//! `world` is what the processes share and how it answers · `rotate` and `respond`, the processes, where they mirror
//! `observe.rs` and `carry_out.rs` of their modules · `model`, who may move when, and what must be true.
//!
//! Not in the model: a second user that takes turns, an admin secret, RDS, and labels that Secrets Manager serves late.
//! The matrices in `tests/rotation` have these. A login is one move: that a repair waits for those under way is tested with
//! a real server. Nor does a step of a token run twice at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::wildcard_enum_match_arm)]

mod model;
mod respond;
mod rotate;
mod world;

use model::{Bounds, Model};
use relatch::rotation::plan::Promote;
use stateright::{Checker, Model as _};
use std::collections::BTreeSet;

#[test]
fn rotate_and_respond_and_an_operator_leave_aws_current_open() {
    check(Promote::AtFinish);
}

#[test]
fn the_same_when_the_label_moves_right_after_the_proof() {
    check(Promote::AfterVerify);
}

fn check(promote: Promote) {
    let whole = std::env::var("RELATCH_MATRIX").is_ok_and(|cut| cut == "whole");
    let all: &[Bounds] = if whole { &Bounds::WHOLE } else { &Bounds::SHORT };
    let met: BTreeSet<&str> = all.iter().flat_map(|bounds| visit(Model { promote, bounds: *bounds })).collect();
    for wanted in model::INTERESTING {
        assert!(met.contains(wanted.0), "never met: {}", wanted.0);
    }
}

/// Visits every state, and says which of the interesting ones there were.
fn visit(model: Model) -> Vec<&'static str> {
    let (promote, bounds) = (model.promote, model.bounds);
    let checker = model.checker().spawn_bfs().join();
    println!("{promote:?}, {bounds:?}: {} states, {} moves at most", checker.unique_state_count(), checker.max_depth());
    let model = checker.model();
    let (failures, met): (Vec<_>, Vec<_>) =
        checker.discoveries().into_iter().partition(|(name, _)| model.is_failure(name));
    let stories = failures.into_iter().map(|(name, path)| format!("not true: {name}\n{}", model.story(path)));
    let stories: Vec<String> = stories.collect();
    assert!(stories.is_empty(), "{}", stories.join("\n"));
    met.into_iter().map(|(name, _)| name).collect()
}
