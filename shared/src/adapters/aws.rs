//! What the adapters for AWS have in common.

use crate::ports::{CallError, CallErrorKind};
use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::time::Duration;

/// The SDK's settings, from its own environment variables; one attempt of a call takes at most `patience`.
pub async fn sdk_config(patience: Duration) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(patience).operation_attempt_timeout(patience).build();
    aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .load()
        .await
}

/// Why a call failed, in our words. The SDK's own rendering of an error can contain the response's body, and with it a
/// secret's value; so only the error's code and message are taken, which are AWS's words.
pub(super) fn call_error<E: ProvideErrorMetadata, R>(operation: &'static str, error: &SdkError<E, R>) -> CallError {
    let (kind, message) = match error {
        SdkError::ServiceError(answer) => {
            let answer = answer.err();
            match (answer.code(), answer.message()) {
                (Some(code), Some(message)) => (kind(code), format!("{code}: {message}")),
                (Some(code), None) => (kind(code), code.to_owned()),
                (None, _) => (CallErrorKind::NoAnswer, "the answer was not understood".to_owned()),
            }
        }
        SdkError::TimeoutError(_) => (CallErrorKind::NoAnswer, "timed out".to_owned()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => (CallErrorKind::NoAnswer, "timed out".to_owned()),
        SdkError::DispatchFailure(failure) if failure.is_io() => {
            (CallErrorKind::NoAnswer, "the endpoint cannot be reached".to_owned())
        }
        SdkError::DispatchFailure(_) => (
            CallErrorKind::NoAnswer,
            "the request could not be sent: check region, endpoint and credentials".to_owned(),
        ),
        SdkError::ResponseError(_) => (CallErrorKind::NoAnswer, "the answer was not understood".to_owned()),
        _ => (CallErrorKind::Refused, "the request could not be made".to_owned()),
    };
    CallError { operation, kind, message }
}

fn kind(code: &str) -> CallErrorKind {
    match code {
        "AccessDenied"
        | "AccessDeniedException"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "DecryptionFailure"
        | "EncryptionFailure" => CallErrorKind::Denied,
        "ResourceNotFoundException" | "DBClusterNotFoundFault" | "DBInstanceNotFound" | "DBProxyNotFoundFault" => {
            CallErrorKind::NotFound
        }
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "LimitExceededException" => {
            CallErrorKind::Throttled
        }
        "InternalServiceError" | "InternalFailure" | "ServiceUnavailable" | "ServiceUnavailableException" => {
            CallErrorKind::NoAnswer
        }
        _ => CallErrorKind::Refused,
    }
}
