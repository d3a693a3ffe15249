//! The settings of the audit.

use super::{Config, ConfigError};
use crate::{
    audit::{ledger::ACCESSES_ARE_KEPT, policy::Policy},
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
    /// What is normal by decision (`RELATCH_AUDIT_POLICY`, JSON).
    pub policy: Policy,
    /// How long lines of the access log are kept (`RELATCH_ACCESS_LOG_DAYS`).
    pub kept: SignedDuration,
    /// What may be asked for about a critical incident (`RELATCH_RESPOND`).
    pub measures: BTreeSet<Measure>,
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
        let policy =
            setting("RELATCH_AUDIT_POLICY").map_or_else(|| Ok(Policy::default()), |text| Policy::from_json(&text));
        let policy = policy.map_err(|problem| format!("RELATCH_AUDIT_POLICY is not usable: {problem}"));
        let kept = match setting("RELATCH_ACCESS_LOG_DAYS").map(|text| (text.parse::<i64>(), text)) {
            None => Ok(ACCESSES_ARE_KEPT),
            Some((Ok(days @ 1..=3_650), _)) => Ok(SignedDuration::from_hours(days * 24)),
            Some((_, text)) => Err(format!("RELATCH_ACCESS_LOG_DAYS must be a number from 1 to 3650, not `{text}`")),
        };
        let measures = super::respond::measures(setting);
        match (common, table, policy, kept, measures) {
            (Ok(common), Ok(table), Ok(policy), Ok(kept), Ok(measures)) => {
                Ok(Self { common, table, policy, kept, measures })
            }
            (common, table, policy, kept, measures) => {
                let mut problems = common.err().map_or(Vec::new(), |ConfigError(problems)| problems);
                problems.extend([table.err(), policy.err(), kept.err(), measures.err()].into_iter().flatten());
                Err(ConfigError(problems))
            }
        }
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
            "RELATCH_RESPOND" => Some("everything".to_owned()),
            _ => None,
        };
        insta::assert_snapshot!(Audit::from_settings(wrong).unwrap_err());
    }
}
