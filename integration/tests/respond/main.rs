//! The real `respond` binary, on the local cloud, after the real `rotate` binary.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod containment;
mod controls;
mod events;
mod heartbeat;
mod ladder;
mod master;
mod scene;
mod sweep;
mod telling;
mod together;
