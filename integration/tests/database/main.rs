//! The database half of the local cloud does what its documentation says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod consumer;
mod processes;
mod server;
mod shop;
mod wire;
