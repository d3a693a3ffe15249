//! Which secret, parameter or other thing an event is about, by one identity however it was called.

use serde::Serialize;

/// A thing in an account, by its canonical identity: partition, region, account, kind and name.
///
/// Callers name a secret by its name, by its ARN, or by its ARN without the six characters that Secrets Manager adds.
/// All three are one `Target` here, and equal. The six characters are known of some and not of others, so they are no
/// part of it. (They would tell a secret from one of the same name that was deleted before.)
///
/// A name whose last word has six letters or digits ("shop-orders") cannot be told from an ARN's end. Secrets Manager
/// takes such an end for its own, and so does this type: source, the Secrets Manager user guide, "Find secrets",
/// on partial ARNs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Target {
    /// What kind of a thing it is.
    pub kind: TargetKind,
    /// Where it is, if that is known: a region's code.
    pub region: Option<String>,
    /// Whose it is, if that is known: an account's number.
    pub account: Option<String>,
    /// Its name: of a secret without the six characters; of a parameter with its leading slash, where it has one; of
    /// anything else, as the event names it.
    pub name: String,
}

/// What a [`Target`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A secret of Secrets Manager.
    Secret,
    /// A parameter of Systems Manager's Parameter Store.
    Parameter,
    /// A key of KMS.
    Key,
    /// A database instance or cluster of RDS.
    Database,
    /// Part of the watch that is kept: a trail, a rule, a function, a topic, a queue, an alarm.
    Watcher,
}

/// Where a caller's names are to be understood: in its region, and in the account that was called.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// The region of the call.
    pub region: Option<&'a str>,
    /// The account that received it.
    pub account: Option<&'a str>,
}
