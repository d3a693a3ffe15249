//! The real `relatch` command, as somebody on call uses it, on the local cloud.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod auditing;
mod blind;
mod changes;
mod learning;
mod looking;
mod pausing;
mod scanning;
mod scene;
mod silencing;
mod using;
