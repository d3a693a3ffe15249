//! What can be asked of what `audit` has written down, and what it can be taught.

use super::{Manner, environment, moment, name};
use clap::Args;
use relatch::{
    audit::chain::{Digest, Head},
    config::Environment,
};
use relatch_events::{moment::Moment, secret::SecretId};
use std::path::PathBuf;

pub(super) const ACCESS_EXAMPLES: &str = "\
Examples:
  relatch access shop/prod/database
  relatch access shop/prod/database --by-principal     whom a rotation concerns
  relatch access shop/prod/database --since 2026-01-31 --principal role/web
  relatch access '*'                                   denied, of no name";

pub(super) const HISTORY_EXAMPLES: &str = "\
Examples:
  relatch history shop/prod/database
  relatch history '*' --since 2026-01-31       hands on trails, rules and alarms

Exit status: 0 all of it is whole; 1 something is not: see `relatch verify`.";

pub(super) const VERIFY_EXAMPLES: &str = "\
Examples:
  relatch verify
  relatch verify --json > anchors/2026-01-31.json     keep it, elsewhere
  relatch verify --anchors anchors/
  relatch verify --from 4096:0f3c…                    what was verified before

Exit status: 0 it is whole; 1 it is broken, and where; 3 it could not be read.";

pub(super) const LEARN_EXAMPLES: &str = "\
Examples:
  relatch learn AWSLogs/ --dry-run             what would be known by them
  relatch learn AWSLogs/ --environment prod

It goes by RELATCH_TABLE and RELATCH_AUDIT_POLICY, as `audit` does.";

/// Whose comings are asked for.
#[derive(Debug, Args)]
#[group(skip)]
pub struct AccessLog {
    /// Name or ARN of the secret.
    #[arg(value_parser = name)]
    pub secret: SecretId,
    /// When.
    #[command(flatten)]
    pub period: Period,
    /// Only whose principal or session has this in it, such as role/web.
    #[arg(long, value_name = "TEXT")]
    pub principal: Option<String>,
    /// Of each principal how often, since when and until when.
    #[arg(long)]
    pub by_principal: bool,
}

/// Which changes are asked for.
#[derive(Debug, Args)]
#[group(skip)]
pub struct History {
    /// Name or ARN of the secret.
    #[arg(value_parser = name)]
    pub secret: SecretId,
    /// When.
    #[command(flatten)]
    pub period: Period,
}

/// When something happened, and where; and how much of it is told.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Period {
    /// Only from then on, such as 2026-01-31 (UTC).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Moment>,
    /// Only before, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
    /// So many at most; else 50, or all with --json.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// dev, staging or prod; else RELATCH_ENVIRONMENT.
    #[arg(long, value_name = "NAME", value_parser = environment(), hide_possible_values = true)]
    pub environment: Option<Environment>,
}

/// What is to be verified, and by what.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Verification {
    /// dev, staging or prod; else RELATCH_ENVIRONMENT.
    #[arg(long, value_name = "NAME", value_parser = environment(), hide_possible_values = true)]
    pub environment: Option<Environment>,
    /// File or folder of ends that were kept: answers of `verify --json`.
    #[arg(long, value_name = "PATH")]
    pub anchors: Vec<PathBuf>,
    /// Bucket of ends that `audit` has signed; else RELATCH_ANCHORS_BUCKET.
    #[arg(long, value_name = "NAME")]
    pub bucket: Option<String>,
    /// The KMS key that signed them; else RELATCH_ANCHORS_KEY.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Its public half in PEM, kept elsewhere: then KMS is not asked.
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub public_key: Vec<PathBuf>,
    /// Only what follows this end, which you trust.
    #[arg(long, value_name = "SEQUENCE:DIGEST", value_parser = head)]
    pub from: Option<Head>,
}

/// What is to be learned.
#[derive(Debug, Args)]
#[group(skip)]
pub struct Learning {
    /// Files and folders of CloudTrail logs; - is standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// dev, staging or prod; else RELATCH_ENVIRONMENT.
    #[arg(long, value_name = "NAME", value_parser = environment(), hide_possible_values = true)]
    pub environment: Option<Environment>,
    /// What is normal, in JSON; else RELATCH_AUDIT_POLICY, else the defaults.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// How it is to be done.
    #[command(flatten)]
    pub manner: Manner,
}

fn head(text: &str) -> Result<Head, &'static str> {
    let read = || {
        let (sequence, digest) = text.split_once(':')?;
        Some(Head { sequence: sequence.parse().ok()?, digest: digest.parse::<Digest>().ok()? })
    };
    read().ok_or("it is a number, a colon and 64 hexadecimal digits, as `relatch verify` writes them")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_end_is_read_as_it_is_written() {
        let beginning = Head::beginning(Environment::Prod);
        assert_eq!(head(&format!("{}:{}", beginning.sequence, beginning.digest)), Ok(beginning));
        for wrong in ["", "4", "4:", ":", "4:0f3c", "-4:0"] {
            assert!(head(wrong).is_err(), "{wrong}");
        }
    }
}
