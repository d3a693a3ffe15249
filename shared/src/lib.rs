//! Relatch turns the keys and never locks anyone out.
//!
//! **Decisions and effects**: this crate decides what a rotation should do next, does it, and says what became of it.
//! Handlers only wire it to Lambda.
//!
//! * [`rotation`]: the four steps. Read this first.
//! * [`rollback`]: what makes AWSCURRENT open the database again.
//! * [`alert`]: what people are told, and in which [`language`].
//! * [`audit`]: who read which secret, who changed it, and whether that is normal.
//! * [`containment`]: the opt-in response to what is critical of that.
//! * [`secret`]: what is inside a secret.
//! * [`ports`]: the outside, in our words; [`adapters`]: its fulfilment. One Cargo feature for each adapter, so that a
//!   handler's manifest reads like its IAM policy.
//! * [`config`]: the environment as typed settings; [`invocation`]: the time there is; [`telemetry`]: logs and metrics.

pub mod adapters;
pub mod alert;
pub mod audit;
pub mod config;
pub mod containment;
pub mod invocation;
pub mod language;
pub mod ports;
pub mod rollback;
pub mod rotation;
pub mod secret;
pub mod telemetry;
mod wildcard;
