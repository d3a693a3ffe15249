//! The real handler binary, on the local cloud.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alternating;
mod at_the_same_time;
mod database;
mod hostile;
mod input;
mod rds;
mod rights;
mod rollback;
mod rotation;
mod scene;
mod silence;
