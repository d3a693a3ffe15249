//! The settings of the audit.

use super::{Config, ConfigError};
use crate::{
    audit::{
        ledger::ACCESSES_ARE_KEPT,
        policy::{OwnNames, Policy},
    },
    containment::Measure,
};
use jiff::SignedDuration;
use std::collections::BTreeSet;

/// What only the audit is told, beside [`Config`].
#[derive(Debug, Clone)]
pub struct Audit {
    /// What every function is told.
    pub common: Config,
    /// Name of the DynamoDB table (`RELATCH_TABLE`), without which nothing could be written down.
    pub table: String,
    /// What is normal by decision (`RELATCH_AUDIT_POLICY`).
    pub policy: PolicyFrom,
    /// What is this deployment's own, whatever the policy says: what begins with `RELATCH_OWN_PREFIX`, and the parameter
    /// that the policy is in.
    pub own: OwnNames,
    /// How long lines of the access log are kept (`RELATCH_ACCESS_LOG_DAYS`).
    pub kept: SignedDuration,
    /// What may be asked for about a critical incident (`RELATCH_RESPOND`).
    pub measures: BTreeSet<Measure>,
    /// Where the chain's heads are kept and by what they are signed, if anywhere.
    pub anchors: Option<Anchorage>,
}

/// Where the chain's heads are kept, and by what they are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchorage {
    /// Name of a bucket under Object Lock (`RELATCH_ANCHORS_BUCKET`).
    pub bucket: String,
    /// ARN, id or alias of a KMS key for signatures (`RELATCH_ANCHORS_KEY`).
    pub key: String,
}

/// Where the audit's policy comes from.
#[derive(Debug, Clone)]
pub enum PolicyFrom {
    /// The setting itself: JSON.
    Setting(Box<Policy>),
    /// A parameter of Systems Manager, by its name or ARN: `ssm:NAME`.
    Parameter(String),
}

impl Audit {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Names every setting that is wrong, and what it may be.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_settings(|name| std::env::var(name).ok())
    }

    /// Reads settings by name.
    ///
    /// # Errors
    /// As [`Audit::from_env`].
    pub fn from_settings(setting: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let common = Config::from_settings(&setting);
        let setting = |name: &str| setting(name).filter(|text| !text.is_empty());
        let table =
            setting("RELATCH_TABLE").ok_or_else(|| "RELATCH_TABLE must name the table of the ledger".to_owned());
        let policy = setting("RELATCH_AUDIT_POLICY").map_or_else(|| Ok(PolicyFrom::default()), |text| policy(&text));
        let own = match setting("RELATCH_OWN_PREFIX") {
            // A name that is any name would make everybody's things ours.
            Some(prefix) if !prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) => {
                Err(format!(
                    "RELATCH_OWN_PREFIX must be what names begin with, of letters, digits, - _ and ., not `{prefix}`"
                ))
            }
            prefix => {
                let parameter = match &policy {
                    Ok(PolicyFrom::Parameter(name)) => Some(name.clone()),
                    Ok(PolicyFrom::Setting(_)) | Err(_) => None,
                };
                Ok(OwnNames { prefix, parameter })
            }
        };
        let kept = match setting("RELATCH_ACCESS_LOG_DAYS").map(|text| (text.parse::<i64>(), text)) {
            None => Ok(ACCESSES_ARE_KEPT),
            Some((Ok(days @ 1..=3_650), _)) => Ok(SignedDuration::from_hours(days * 24)),
            Some((_, text)) => Err(format!("RELATCH_ACCESS_LOG_DAYS must be a number from 1 to 3650, not `{text}`")),
        };
        let measures = super::respond::measures(setting);
        let anchors = match (setting("RELATCH_ANCHORS_BUCKET"), setting("RELATCH_ANCHORS_KEY")) {
            (None, None) => Ok(None),
            (Some(bucket), Some(key)) => Ok(Some(Anchorage { bucket, key })),
            (Some(_), None) | (None, Some(_)) => {
                Err("RELATCH_ANCHORS_BUCKET and RELATCH_ANCHORS_KEY must be set together".to_owned())
            }
        };
        match (common, table, policy, own, kept, measures, anchors) {
            (Ok(common), Ok(table), Ok(policy), Ok(own), Ok(kept), Ok(measures), Ok(anchors)) => {
                Ok(Self { common, table, policy, own, kept, measures, anchors })
            }
            (common, table, policy, own, kept, measures, anchors) => {
                let mut problems = ConfigError::problems(common);
                problems.extend(
                    [table.err(), policy.err(), own.err(), kept.err(), measures.err(), anchors.err()]
                        .into_iter()
                        .flatten(),
                );
                Err(ConfigError(problems))
            }
        }
    }
}

impl Default for PolicyFrom {
    fn default() -> Self {
        Self::Setting(Box::default())
    }
}

fn policy(text: &str) -> Result<PolicyFrom, String> {
    match text.strip_prefix("ssm:").map(str::trim) {
        Some("") => Err("RELATCH_AUDIT_POLICY must name a parameter after `ssm:`".to_owned()),
        Some(name) => Ok(PolicyFrom::Parameter(name.to_owned())),
        None => match Policy::from_json(text) {
            Ok(policy) => Ok(PolicyFrom::Setting(Box::new(policy))),
            Err(problem) => Err(format!("RELATCH_AUDIT_POLICY is not usable: {problem}")),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = |name: &str| match name {
            "RELATCH_TIMEOUT_MS" | "RELATCH_ACCESS_LOG_DAYS" => Some("0".to_owned()),
            "RELATCH_AUDIT_POLICY" => Some("[]".to_owned()),
            "RELATCH_OWN_PREFIX" => Some("*".to_owned()),
            "RELATCH_RESPOND" => Some("everything".to_owned()),
            "RELATCH_ANCHORS_KEY" => Some("alias/relatch-anchors".to_owned()),
            _ => None,
        };
        insta::assert_snapshot!(Audit::from_settings(wrong).unwrap_err());
    }
}
