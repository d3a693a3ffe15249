//! The real `audit` binary on the local cloud: the emulator's table and topic.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod anchors;
mod files;
mod scene;
mod taking_in;
