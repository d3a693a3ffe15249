//! Secrets Manager, through the AWS SDK.

use super::aws::call_error;
use crate::ports::{
    CallError, Custody, Description, Gate, Kept, Label, Page, Pending, Rotating, Secrets, Staged, Version, Which,
};
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::{
    Client,
    config::Builder,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueOutput,
    primitives::DateTime,
    types::{RotationRulesType, SecretVersionsListEntry},
};
use jiff::Timestamp;
use relatch_events::secret::{SecretId, VersionId};
use secrecy::ExposeSecret;
use std::cmp::Reverse;

/// Secrets Manager.
#[derive(Debug, Clone)]
pub struct SecretsManager {
    client: Client,
}

impl SecretsManager {
    /// A client by the SDK's settings; `endpoint`, where there is one, comes before theirs.
    pub fn new(sdk: &SdkConfig, endpoint: Option<&str>) -> Self {
        let config = Builder::from(sdk);
        let config = match endpoint {
            Some(endpoint) => config.endpoint_url(endpoint),
            None => config,
        };
        Self { client: Client::from_conf(config.build()) }
    }
}

/// A [`Description`] from DescribeSecret's answer or from an entry of ListSecrets, which say the same in two types.
macro_rules! description {
    ($answer:expr, $labels:expr) => {{
        let answer = $answer;
        let labels = $labels.into_iter().flatten().filter_map(|(id, labels)| {
            let labels = labels.iter().filter_map(|label| read_label(label)).collect();
            VersionId::try_from(id.as_str()).ok().map(|id| (id, labels))
        });
        let tags = answer.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
        Description {
            arn: answer.arn().map(str::to_owned),
            rotation_enabled: answer.rotation_enabled().unwrap_or_default(),
            rotation_function: answer.rotation_lambda_arn().map(str::to_owned),
            rotated_every: answer.rotation_rules().and_then(days),
            rotated: answer.last_rotated_date().and_then(timestamp),
            next_rotation: answer.next_rotation_date().and_then(timestamp),
            created: answer.created_date().and_then(timestamp),
            accessed: answer.last_accessed_date().and_then(timestamp),
            owning_service: answer.owning_service().map(str::to_owned),
            deleted: answer.deleted_date().is_some(),
            labels: labels.collect(),
            tags: tags.collect(),
        }
    }};
}

impl Secrets for SecretsManager {
    async fn describe(&self, secret: &SecretId) -> Result<Description, CallError> {
        let answer = self.client.describe_secret().secret_id(secret.as_str()).send().await;
        let answer = answer.map_err(|error| call_error("secretsmanager:DescribeSecret", &error))?;
        Ok(description!(&answer, answer.version_ids_to_stages()))
    }

    async fn read(&self, secret: &SecretId, which: Which<'_>) -> Result<Option<Version>, CallError> {
        let call = self.client.get_secret_value();
        let call = match which {
            Which::Labelled(label) => call.secret_id(secret.as_str()).version_stage(label.name()),
            Which::Exactly(id, label) => {
                call.secret_id(secret.as_str()).version_id(id.as_str()).version_stage(label.name())
            }
            Which::Kept(id) => call.secret_id(secret.as_str()).version_id(id.as_str()),
            Which::Admin(arn) => call.secret_id(arn).version_stage(Label::Current.name()),
        };
        match call.send().await {
            Ok(answer) => Ok(version(answer)),
            // No such version, no value in it yet, or not with that label.
            Err(SdkError::ServiceError(answer))
                if matches!(answer.err().code(), Some("ResourceNotFoundException" | "InvalidRequestException")) =>
            {
                Ok(None)
            }
            Err(error) => Err(call_error("secretsmanager:GetSecretValue", &error)),
        }
    }

    async fn stage(&self, secret: &SecretId, pending: Pending<'_>) -> Result<Staged, CallError> {
        let answer = self
            .client
            .put_secret_value()
            .secret_id(secret.as_str())
            .client_request_token(pending.token.as_str())
            .secret_string(pending.text.expose_secret())
            .version_stages(Label::Pending.name())
            .set_rotation_token(pending.rotation_token.map(|token| token.expose_secret().to_owned()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(Staged::Now),
            Err(SdkError::ServiceError(answer)) if answer.err().is_resource_exists_exception() => Ok(Staged::Before),
            Err(error) => Err(call_error("secretsmanager:PutSecretValue", &error)),
        }
    }

    async fn promote(&self, secret: &SecretId, to: &VersionId, from: &VersionId) -> Result<(), CallError> {
        let answer = self
            .client
            .update_secret_version_stage()
            .secret_id(secret.as_str())
            .version_stage(Label::Current.name())
            .move_to_version_id(to.as_str())
            .remove_from_version_id(from.as_str())
            .send()
            .await;
        answer.map(drop).map_err(|error| call_error("secretsmanager:UpdateSecretVersionStage", &error))
    }
}

impl Custody for SecretsManager {
    async fn versions(&self, secret: &SecretId) -> Result<Vec<Kept>, CallError> {
        let call = self.client.list_secret_version_ids().secret_id(secret.as_str()).include_deprecated(true);
        let mut pages = call.max_results(100).into_paginator().send();
        let mut versions = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| call_error("secretsmanager:ListSecretVersionIds", &error))?;
            versions.extend(page.versions().iter().filter_map(kept));
        }
        // What has no date is the last to be tried.
        versions.sort_by_key(|version| Reverse(version.created));
        Ok(versions)
    }

    async fn unstage(&self, secret: &SecretId, from: &VersionId) -> Result<(), CallError> {
        let answer = self
            .client
            .update_secret_version_stage()
            .secret_id(secret.as_str())
            .version_stage(Label::Pending.name())
            .remove_from_version_id(from.as_str())
            .send()
            .await;
        answer.map(drop).map_err(|error| call_error("secretsmanager:UpdateSecretVersionStage", &error))
    }

    async fn list(&self, after: Option<&str>) -> Result<Page, CallError> {
        let call = self.client.list_secrets().include_planned_deletion(true).max_results(100);
        let answer = call.set_next_token(after.map(str::to_owned)).send().await;
        let answer = answer.map_err(|error| call_error("secretsmanager:ListSecrets", &error))?;
        let secrets = answer.secret_list().iter().filter_map(|entry| {
            Some((SecretId::try_from(entry.arn()?).ok()?, description!(entry, entry.secret_versions_to_stages())))
        });
        Ok(Page { secrets: secrets.collect(), next: answer.next_token().map(str::to_owned) })
    }
}

impl Gate for SecretsManager {
    async fn policy(&self, secret: &SecretId) -> Result<Option<String>, CallError> {
        let answer = self.client.get_resource_policy().secret_id(secret.as_str()).send().await;
        let answer = answer.map_err(|error| call_error("secretsmanager:GetResourcePolicy", &error))?;
        Ok(answer.resource_policy.filter(|policy| !policy.is_empty()))
    }

    async fn objections(&self, secret: &SecretId, policy: &str) -> Result<Vec<String>, CallError> {
        let call = self.client.validate_resource_policy().secret_id(secret.as_str()).resource_policy(policy);
        let answer = call.send().await;
        let answer = answer.map_err(|error| call_error("secretsmanager:ValidateResourcePolicy", &error))?;
        let words = answer.validation_errors().iter().map(|error| {
            format!("{}: {}", error.check_name().unwrap_or_default(), error.error_message().unwrap_or_default())
        });
        let words: Vec<String> = words.collect();
        let is_silent = !answer.policy_validation_passed() && words.is_empty();
        Ok(if is_silent { vec!["no reason is given".to_owned()] } else { words })
    }

    async fn put_policy(&self, secret: &SecretId, policy: &str) -> Result<(), CallError> {
        let call = self.client.put_resource_policy().secret_id(secret.as_str());
        let answer = call.resource_policy(policy).block_public_policy(true).send().await;
        answer.map(drop).map_err(|error| call_error("secretsmanager:PutResourcePolicy", &error))
    }

    async fn delete_policy(&self, secret: &SecretId) -> Result<(), CallError> {
        let answer = self.client.delete_resource_policy().secret_id(secret.as_str()).send().await;
        answer.map(drop).map_err(|error| call_error("secretsmanager:DeleteResourcePolicy", &error))
    }

    async fn is_denied(&self, secret: &SecretId, label: &str) -> Result<bool, CallError> {
        let call = self.client.get_secret_value().secret_id(secret.as_str()).version_stage(label);
        match call.send().await {
            Ok(_) => Ok(false),
            Err(SdkError::ServiceError(answer)) if answer.err().is_resource_not_found_exception() => Ok(false),
            // Not what our own role lacks, which says "because no identity-based policy allows".
            Err(SdkError::ServiceError(answer))
                if answer.err().code() == Some("AccessDeniedException")
                    && answer.err().message().is_some_and(|text| text.contains(DENIED_BY_POLICY)) =>
            {
                Ok(true)
            }
            Err(error) => Err(call_error("secretsmanager:GetSecretValue", &error)),
        }
    }

    async fn rotate(&self, secret: &SecretId) -> Result<Rotating, CallError> {
        match self.client.rotate_secret().secret_id(secret.as_str()).send().await {
            Ok(_) => Ok(Rotating::Now),
            Err(SdkError::ServiceError(answer))
                if answer.err().is_invalid_request_exception()
                    && answer.err().message().is_some_and(|text| text.contains("previous rotation")) =>
            {
                Ok(Rotating::Before)
            }
            Err(error) => Err(call_error("secretsmanager:RotateSecret", &error)),
        }
    }
}

/// What AWS says where a secret's own policy denies it.
///
/// Source: the IAM user guide, "Troubleshoot access denied error messages".
const DENIED_BY_POLICY: &str = "with an explicit deny in a resource-based policy";

fn version(answer: GetSecretValueOutput) -> Option<Version> {
    Some(Version {
        id: answer.version_id?.try_into().ok()?,
        arn: answer.arn.unwrap_or_default(),
        text: answer.secret_string.map(Into::into),
        created: answer.created_date.as_ref().and_then(timestamp),
    })
}

fn kept(entry: &SecretVersionsListEntry) -> Option<Kept> {
    Some(Kept { id: entry.version_id()?.try_into().ok()?, created: entry.created_date().and_then(timestamp) })
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), time.subsec_nanos().try_into().ok()?).ok()
}

/// After how many days the rules have the secret rotated, rounded up. Of a `cron(…)` that is not known.
///
/// Source: the Secrets Manager user guide, "Schedule expressions": `rate(4 hours)`, `rate(1 day)`, `rate(10 days)`.
fn days(rules: &RotationRulesType) -> Option<i64> {
    let rate = || {
        let rate = rules.schedule_expression()?.trim().strip_prefix("rate(")?.strip_suffix(')')?;
        let (number, unit) = rate.trim().split_once(char::is_whitespace)?;
        let number: u32 = number.parse().ok()?;
        match unit.trim() {
            "day" | "days" => Some(number),
            "hour" | "hours" => Some(number.div_ceil(24)),
            _ => None,
        }
    };
    rules.automatically_after_days().or_else(|| rate().map(i64::from))
}

/// Labels of the owner's own are none of Relatch's business.
fn read_label(text: &str) -> Option<Label> {
    [Label::Current, Label::Pending, Label::Previous].into_iter().find(|label| label.name() == text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_schedule_is_read_in_days() {
        for (expression, expected) in [
            ("rate(1 day)", Some(1)),
            ("rate(10 days)", Some(10)),
            ("rate(4 hours)", Some(1)),
            ("rate(24 hours)", Some(1)),
            ("rate(25 hours)", Some(2)),
            (" rate( 30  days ) ", Some(30)),
            ("cron(0 8 1 * ? *)", None),
            ("rate(10 minutes)", None),
            ("rate(-1 days)", None),
            ("rate()", None),
            ("", None),
        ] {
            assert_eq!(days(&RotationRulesType::builder().schedule_expression(expression).build()), expected);
        }
        let rules = RotationRulesType::builder().automatically_after_days(7).schedule_expression("rate(30 days)");
        assert_eq!(days(&rules.build()), Some(7));
        assert_eq!(days(&RotationRulesType::builder().build()), None);
    }

    #[test]
    fn a_time_keeps_its_milliseconds() {
        let time = DateTime::from_millis(1_767_225_600_123);
        assert_eq!(timestamp(&time).unwrap().to_string(), "2026-01-01T00:00:00.123Z");
        assert_eq!(timestamp(&DateTime::from_secs(i64::MAX)), None);
    }
}
