//! **Facts**: what AWS tells Relatch, as types.
//!
//! This crate only knows how an event is written. It decides nothing, calls nothing, and depends on `serde`, on
//! `aws_lambda_events` (for the envelopes around what wakes `respond`), on `secrecy` (so that a token that must not be
//! printed cannot be), on `memchr`, on `flate2` and `base64` (in which records are packed), and on `unicode-properties`
//! (which characters can be seen), nothing else.
//!
//! * [`rotation`]: what Secrets Manager sends to a rotation function.
//! * [`trigger`]: what wakes the function that puts things right.
//! * [`containment`]: what the audit asks that function for.
//! * [`notification`]: what a topic's subscriber is handed.
//! * [`secret`]: the names by which secrets and their versions are called.
//! * [`cloudtrail`]: what CloudTrail records, from whichever way it arrives.
//! * [`guardduty`]: what GuardDuty has found of them.
//! * [`fact`]: what such a record means for secrets.
//! * [`foreign`]: text of others, made showable.
//! * [`join`]: which facts belong together.
//! * [`moment`]: when something happened.

pub mod cloudtrail;
pub mod containment;
pub mod fact;
pub mod foreign;
pub mod guardduty;
pub mod join;
pub mod moment;
pub mod notification;
pub mod rotation;
pub mod secret;
pub mod trigger;

#[cfg(test)]
mod fixtures;
