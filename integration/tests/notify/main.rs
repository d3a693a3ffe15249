//! The real `notify` binary on the local cloud: from the topic, by way of a queue or without, to Slack and PagerDuty.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod delivery;
mod path;
mod queue;
mod scene;
mod storm;
mod strictness;
mod trouble;
