//! What the audit asks `respond` for where an incident is critical: to contain it.
//!
//! A request is kept in the table, under a key that only the role of `audit` may write. What travels over the account's
//! bus is a [`WakeUp`] with the request's name. A principal with `events:PutEvents` or `lambda:InvokeFunction` can send
//! one, and gains nothing: a name leads to a request that `audit` has written, and to each request once.

use crate::{
    moment::Moment,
    secret::{SecretId, VersionId},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The event's `source`.
pub const SOURCE: &str = "relatch";

/// The event's `detail-type`.
pub const DETAIL_TYPE: &str = "Relatch Containment Requested";

/// The event's `detail`: there is a request, and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WakeUp {
    /// The environment of whoever asks: `dev`, `staging` or `prod`.
    pub environment: String,
    /// The request's name.
    pub request: RequestId,
}

/// The name of a request: SHA-256 of what it asks, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(String);

/// A text that names no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a request is named by 64 hexadecimal digits")]
pub struct NoRequestId;

impl RequestId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RequestId {
    type Error = NoRequestId;

    fn try_from(text: String) -> Result<Self, NoRequestId> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(is_digit) { Ok(Self(text)) } else { Err(NoRequestId) }
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is to be contained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Containment {
    /// The environment of whoever asks: `dev`, `staging` or `prod`.
    pub environment: String,
    /// The incident's key.
    pub incident: String,
    /// For how many milliseconds without a finding the incident is the same one, by the audit's policy.
    pub incident_gap: i64,
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
