//! Rotations in a world that fits in memory, in which every call to the outside can fail, before its effect or after it.
//!
//! `world` is the outside, with its faults · `faults`, one and two of them at every call · `proof`, passwords that do not
//! prove themselves · `together`, others at work on the same secret · `bounds`, what a rotation never does · `repair`, what
//! a repair makes of all that, with faults of its own · `stories`, the same as the person on call would tell it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod bounds;
mod faults;
mod proof;
mod repair;
mod stories;
mod together;
mod world;
