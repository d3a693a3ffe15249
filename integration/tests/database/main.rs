//! The database half of the local cloud does what its documentation says.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod server;
