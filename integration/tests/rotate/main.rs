//! The real handler binary, on the local cloud.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod rotation;
