//! What the audit asks `respond` for where an incident is critical: to contain it. An event of our own, on the account's
//! default bus of EventBridge.
//!
//! Whoever may put events there may ask for it. So nothing here is believed to be allowed: `respond` does what its own
//! settings allow, to secrets of its own, and to nobody who is spared.

use crate::{
    moment::Moment,
    secret::{SecretId, VersionId},
};
use serde::{Deserialize, Serialize};

/// The event's `source`.
pub const SOURCE: &str = "relatch";

/// The event's `detail-type`.
pub const DETAIL_TYPE: &str = "Relatch Containment Requested";

/// What is to be contained: the event's `detail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Containment {
    /// The environment of whoever asks: `dev`, `staging` or `prod`.
    pub environment: String,
    /// The incident's key.
    pub incident: String,
    /// Who did it, as IAM names them: the ARN of a role (not of its session) or of a user. Of whom no ARN is known, what
    /// is.
    pub principal: String,
    /// What is asked for.
    pub measures: Vec<Measure>,
    /// The secrets that are concerned.
    pub secrets: Vec<Exposed>,
    /// What was found: names of findings.
    pub findings: Vec<String>,
    /// CloudTrail's ids of the events behind it; not all of them, where they are many.
    pub events: Vec<String>,
}

/// A way to contain an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// The principal may not read the secret any more.
    Deny,
    /// What was read becomes worthless.
    Rotate,
}

/// A secret that is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Exposed {
    /// Its ARN without the six characters at its end: [`Target`](crate::cloudtrail::target::Target)'s.
    pub secret: SecretId,
    /// When it was read last, in milliseconds since 1970; nothing where it was not read, but changed.
    pub read: Option<Moment>,
    /// Which versions are known to have been read; others may have been.
    #[serde(default)]
    pub versions: Vec<VersionId>,
}
