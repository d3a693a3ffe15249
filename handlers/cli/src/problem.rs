//! Why a command could not do what it was asked for: one line, and an exit status.

use relatch::{
    adapters::NoAccess,
    ports::{CallError, CallErrorKind},
    rollback::RepairError,
};
use relatch_events::foreign;
use serde_json::{Value, json};
use std::{fmt, process::ExitCode};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All is well, or done.
    Fine,
    /// Something was found, or was not done.
    Found,
    /// It was called in a wrong way.
    WrongUse,
    /// It could not look.
    Blind,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Fine => 0,
            Status::Found => 1,
            Status::WrongUse => 2,
            Status::Blind => 3,
        }
        .into()
    }
}

/// Why a command could not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How the command ends.
    pub status: Status,
    /// What could not be done, or seen.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub to_do: &'static str,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, why, to_do, .. } = self;
        // AWS's words are somebody else's: they stay on the line, and move no cursor.
        f.write_str(&foreign::line(&format!("relatch: {what}: {why}; {to_do}")))
    }
}

impl Problem {
    /// A wrong use.
    pub fn wrong_use(what: impl Into<String>, why: impl Into<String>, to_do: &'static str) -> Self {
        Self { status: Status::WrongUse, what: what.into(), why: why.into(), to_do }
    }

    /// Why a secret could not be seen.
    pub fn of_repair(secret: &str, error: &RepairError) -> Self {
        match error {
            RepairError::Interrupted(error) => Self::of_call(secret, error),
            RepairError::OutOfTime => Self::blind(
                secret,
                "the time was over before everything had answered".to_owned(),
                "try again, or see what is slow with RELATCH_TIMEOUT_MS",
            ),
            RepairError::Fault(what) => {
                Self::blind(secret, format!("a fault in Relatch: {what}"), "please report it, with the command")
            }
        }
    }

    /// Why a call failed.
    pub fn of_call(secret: &str, error: &CallError) -> Self {
        let CallError { operation, kind, message } = error;
        // What to do is said here, and once.
        let message = message.split(": check ").next().unwrap_or_default().trim_end_matches('.');
        let (why, to_do) = match kind {
            CallErrorKind::NotFound if operation.starts_with("secretsmanager:") => (
                "there is no such secret in this account and region".to_owned(),
                "check the name, --region and --profile",
            ),
            CallErrorKind::NotFound => {
                (format!("{operation}: {message}"), "check RELATCH_TABLE or --table, and --region")
            }
            CallErrorKind::Denied if is_stale(message) => {
                (format!("{operation}: {message}"), "renew the credentials, or choose others with --profile")
            }
            CallErrorKind::Denied => (
                format!("{operation} is not permitted: {message}"),
                "give that permission to the profile's user or role",
            ),
            CallErrorKind::Throttled => (format!("AWS throttles {operation}: {message}"), "try again in a moment"),
            CallErrorKind::NoAnswer => {
                (format!("{operation}: {message}"), "check the network, the region and --endpoint-url, then try again")
            }
            CallErrorKind::Refused => (format!("{operation} was refused: {message}"), "check the secret's name"),
        };
        Self::blind(secret, why, to_do)
    }

    /// Why no call can be made at all.
    pub fn of_access(secret: &str, missing: NoAccess) -> Self {
        let to_do = match missing {
            NoAccess::Region => "set --region, AWS_REGION or a profile's region",
            NoAccess::Credentials => "set --profile or AWS_PROFILE; for IAM Identity Center run `aws sso login` first",
        };
        Self::blind(secret, missing.to_string(), to_do)
    }

    /// As a program reads it.
    pub fn json(&self) -> Value {
        json!({ "version": 1, "error": self.fields() })
    }

    pub(crate) fn fields(&self) -> Value {
        let Self { what, why, to_do, .. } = self;
        json!({ "what": what, "why": why, "toDo": to_do })
    }

    fn blind(what: &str, why: String, to_do: &'static str) -> Self {
        Self { status: Status::Blind, what: what.to_owned(), why, to_do }
    }
}

/// Whether AWS says that the credentials themselves are no good.
fn is_stale(message: &str) -> bool {
    ["UnrecognizedClientException", "ExpiredTokenException"].into_iter().any(|code| message.starts_with(code))
}
