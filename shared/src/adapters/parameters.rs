//! Systems Manager's parameters, through the AWS SDK.

use super::aws::call_error;
use crate::ports::{CallError, CallErrorKind, Parameter, Reading};
use aws_config::SdkConfig;
use aws_sdk_ssm::Client;

/// One parameter.
#[derive(Debug, Clone)]
pub struct SsmParameter {
    client: Client,
    name: String,
}

impl SsmParameter {
    /// The parameter of a name, or an ARN, by the SDK's settings.
    pub fn new(sdk: &SdkConfig, name: impl Into<String>) -> Self {
        Self { client: Client::new(sdk), name: name.into() }
    }
}

impl Parameter for SsmParameter {
    /// Decrypted, where it is a SecureString.
    fn read(&self) -> Reading<'_> {
        const CALL: &str = "ssm:GetParameter";
        Box::pin(async {
            let answer = self.client.get_parameter().name(&self.name).with_decryption(true).send().await;
            let parameter = answer.map_err(|error| call_error(CALL, &error))?.parameter;
            parameter.and_then(|parameter| parameter.value).ok_or_else(|| CallError {
                operation: CALL,
                kind: CallErrorKind::NotFound,
                message: "the parameter has no value".to_owned(),
            })
        })
    }
}
