//! What CloudTrail records, and the ways in which its records arrive.
//!
//! * [`record`]: one record, borrowed from the bytes that hold it.
//! * [`identity`]: who made the call.
//! * [`target`]: which secret or parameter it was about.
//! * [`log`]: many records from a file, one after the other.
//! * [`packed`]: what people and other services wrap around them: compression, CloudWatch Logs, `lookup-events`.
//! * [`envelope`]: what EventBridge, SQS, SNS and S3 wrap around them.

pub mod envelope;
mod field;
pub mod identity;
pub mod log;
pub mod packed;
pub mod record;
mod scan;
pub mod target;
