//! The admin secrets that a deployment names.

use std::collections::BTreeSet;

/// The admin secrets that may act for other secrets (`RELATCH_ADMIN_SECRETS`).
///
/// A secret's value names its admin secret (`masterarn`), and a principal with `PutSecretValue` on that one secret can
/// write any ARN there. So the value chooses among these, and is believed about no other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminSecrets(BTreeSet<String>);

impl AdminSecrets {
    /// Reads full ARNs with commas between them.
    ///
    /// # Errors
    /// The first entry that is not the full ARN of a secret. Secrets Manager also takes a name, or an ARN without its last
    /// six characters; compared as text, either would match nothing, so it is told at the start.
    pub fn read(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        entries.map(|entry| if is_full_arn(entry) { Ok(entry.to_owned()) } else { Err(entry.to_owned()) }).collect()
    }

    /// Whether the deployment names this admin secret.
    pub fn allow(&self, masterarn: &str) -> bool {
        self.0.contains(masterarn)
    }
}

impl FromIterator<String> for AdminSecrets {
    fn from_iter<I: IntoIterator<Item = String>>(arns: I) -> Self {
        Self(arns.into_iter().collect())
    }
}

/// `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME-` and six characters of Secrets Manager's own.
fn is_full_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let ["arn", partition, "secretsmanager", region, account, "secret", name] = parts.as_slice() else { return false };
    let suffix = name.rsplit_once('-').filter(|(name, _)| !name.is_empty()).map(|(_, suffix)| suffix);
    let is_suffix = |suffix: &str| suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    !partition.is_empty()
        && !region.is_empty()
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && suffix.is_some_and(is_suffix)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ONE: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:admin-AbCdEf";
    const TWO: &str = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:team/admin-GhIjKl";

    #[test]
    fn only_what_is_named_is_allowed() {
        let admins = AdminSecrets::read(&format!(" {ONE} ,{TWO},")).unwrap();
        assert!(admins.allow(ONE) && admins.allow(TWO));
        let others = ["", "admin", "*", &ONE[..ONE.len() - 7], &ONE.replace("AbCdEf", "AbCdEg"), &ONE.to_lowercase()];
        for other in others {
            assert!(!admins.allow(other), "{other}");
        }
        assert!(!AdminSecrets::read("").unwrap().allow(ONE) && !AdminSecrets::default().allow(""));
    }

    #[test]
    fn whatever_could_match_more_or_nothing_is_told() {
        let short = &ONE[..ONE.len() - 7];
        for wrong in ["*", "admin-AbCdEf", short, &ONE.replace("AbCdEf", "*"), &ONE.replace("eu-central-1", "")] {
            assert_eq!(AdminSecrets::read(&format!("{ONE},{wrong}")), Err((*wrong).to_owned()));
        }
    }
}
