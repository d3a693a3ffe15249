//! **Facts**: what AWS tells Relatch, as types.
//!
//! This crate only knows how an event is written. It decides nothing, calls nothing, and depends on `serde` and on
//! `secrecy` (so that a token that must not be printed cannot be), nothing else.
//!
//! * [`rotation`]: what Secrets Manager sends to a rotation function.
//! * [`secret`]: the names by which secrets and their versions are called.

pub mod rotation;
pub mod secret;
