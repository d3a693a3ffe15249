//! Secrets Manager, through the AWS SDK.

use super::aws::call_error;
use crate::ports::{CallError, Description, Label, Pending, Secrets, Staged, Version, Which};
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::{
    Client,
    config::Builder,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::GetSecretValueOutput,
};
use relatch_events::secret::{SecretId, VersionId};
use secrecy::ExposeSecret;

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

impl Secrets for SecretsManager {
    async fn describe(&self, secret: &SecretId) -> Result<Description, CallError> {
        let answer = self.client.describe_secret().secret_id(secret.as_str()).send().await;
        let answer = answer.map_err(|error| call_error("secretsmanager:DescribeSecret", &error))?;
        let labels = answer.version_ids_to_stages().into_iter().flatten().filter_map(|(id, labels)| {
            let labels = labels.iter().filter_map(|label| read_label(label)).collect();
            VersionId::try_from(id.as_str()).ok().map(|id| (id, labels))
        });
        let tags = answer.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
        Ok(Description {
            rotation_enabled: answer.rotation_enabled().unwrap_or_default(),
            owning_service: answer.owning_service().map(str::to_owned),
            deleted: answer.deleted_date().is_some(),
            labels: labels.collect(),
            tags: tags.collect(),
        })
    }

    async fn read(&self, secret: &SecretId, which: Which<'_>) -> Result<Option<Version>, CallError> {
        let call = self.client.get_secret_value();
        let call = match which {
            Which::Labelled(label) => call.secret_id(secret.as_str()).version_stage(write_label(label)),
            Which::Exactly(id, label) => {
                call.secret_id(secret.as_str()).version_id(id.as_str()).version_stage(write_label(label))
            }
            Which::Admin(arn) => call.secret_id(arn).version_stage(write_label(Label::Current)),
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
            .version_stages(write_label(Label::Pending))
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
            .version_stage(write_label(Label::Current))
            .move_to_version_id(to.as_str())
            .remove_from_version_id(from.as_str())
            .send()
            .await;
        answer.map(drop).map_err(|error| call_error("secretsmanager:UpdateSecretVersionStage", &error))
    }
}

fn version(answer: GetSecretValueOutput) -> Option<Version> {
    Some(Version {
        id: answer.version_id?.try_into().ok()?,
        arn: answer.arn.unwrap_or_default(),
        text: answer.secret_string.map(Into::into),
    })
}

const fn write_label(label: Label) -> &'static str {
    match label {
        Label::Current => "AWSCURRENT",
        Label::Pending => "AWSPENDING",
        Label::Previous => "AWSPREVIOUS",
    }
}

/// Labels of the owner's own are none of Relatch's business.
fn read_label(text: &str) -> Option<Label> {
    [Label::Current, Label::Pending, Label::Previous].into_iter().find(|label| write_label(*label) == text)
}
