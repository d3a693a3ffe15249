//! What the adapters for AWS have in common.

use super::endpoints::{self, ForeignEndpoint};
use crate::ports::{CallError, CallErrorKind};
use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, future},
};
use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    connector_metadata::ConnectorMetadata,
    http::{HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector},
    result::SdkError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
#[cfg(any(feature = "table", feature = "topic"))]
use rand::{RngExt, rand_core::UnwrapErr, rngs::SysRng};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::sync::Mutex;

/// What a person says on the command line, which comes before the environment and the profile's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The profile in `~/.aws/config` and `~/.aws/credentials`.
    pub profile: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The address of every service.
    pub endpoint: Option<String>,
}

/// Why no call to AWS can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAccess {
    /// Nobody says which region.
    #[error("no AWS region is set")]
    Region,
    /// There are no credentials, or they could not be had.
    #[error("there are no AWS credentials")]
    Credentials,
}

/// The SDK's settings of a function, from its own environment variables; one attempt of a call takes at most `patience`.
///
/// # Errors
/// When a variable leads elsewhere than to AWS.
pub async fn sdk_config(patience: Duration) -> Result<SdkConfig, ForeignEndpoint> {
    endpoints::check()?;
    Ok(sdk_config_with(patience, Access::default()).await)
}

/// The same, where a person has a say.
pub async fn sdk_config_with(patience: Duration, access: Access) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(patience).operation_attempt_timeout(patience).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(SharedHttpClient::new(OnDemand::default()))
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(3));
    if let Some(profile) = access.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = access.region {
        loader = loader.region(Region::new(region));
    }
    if let Some(endpoint) = access.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    let sdk = Box::pin(loader.load()).await;
    match sdk.credentials_provider() {
        Some(provider) => {
            let same = SharedCredentialsProvider::new(Same { provider, last: Arc::default() });
            sdk.into_builder().credentials_provider(same).build()
        }
        None => sdk,
    }
}

/// Hands out the same credentials until they are over, as the SDK itself keeps them: so whoever asks which access key
/// signs a call learns the one that does, where every question would begin another session.
#[derive(Debug)]
struct Same {
    provider: SharedCredentialsProvider,
    last: Arc<Mutex<Option<Credentials>>>,
}

/// How long before their end the SDK asks for others.
const BUFFER: Duration = Duration::from_secs(10);

impl ProvideCredentials for Same {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let mut last = self.last.lock().await;
            let lasts = |known: &Credentials| known.expiry().is_none_or(|end| end > SystemTime::now() + BUFFER);
            match last.as_ref().filter(|known| lasts(known)) {
                Some(known) => Ok(known.clone()),
                None => Ok(last.insert(self.provider.provide_credentials().await?).clone()),
            }
        })
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.provider.fallback_on_interrupt()
    }
}

/// Whether calls can be made. What the SDK says of a call that it could not sign does not tell.
///
/// # Errors
/// What is missing.
#[cfg(feature = "secrets-manager")]
pub async fn access(sdk: &SdkConfig) -> Result<(), NoAccess> {
    sdk.region().ok_or(NoAccess::Region)?;
    let provider = sdk.credentials_provider().ok_or(NoAccess::Credentials)?;
    provider.provide_credentials().await.map(drop).map_err(|_| NoAccess::Credentials)
}

/// The SDK's own HTTP client, shared by the clients of all services and not made ready before the first call.
///
/// Left to itself, the SDK reads and parses every certificate authority of the machine for each service's client when
/// that is made, throws the result away, and does it again for the first call. That was most of a cold start.
#[derive(Debug)]
struct OnDemand(SharedHttpClient);

impl Default for OnDemand {
    fn default() -> Self {
        Self(Builder::new().build_with_connector_fn(|settings, components| {
            let mut connector = Connector::builder()
                .tls_provider(Provider::rustls(CryptoMode::AwsLc))
                .proxy_config(ProxyConfig::from_env());
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            connector.build()
        }))
    }
}

impl HttpClient for OnDemand {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    // `validate_base_client_config` is deliberately not passed on: it is what makes a connector only to drop it.

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
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
        SdkError::ConstructionFailure(_) | _ => (CallErrorKind::Refused, "the request could not be made".to_owned()),
    };
    CallError { operation, kind, message }
}

/// A name that nothing else has: 128 bits of the operating system's randomness.
#[cfg(any(feature = "table", feature = "topic"))]
pub(super) fn nonce() -> String {
    format!("{:032x}", UnwrapErr(SysRng).random::<u128>())
}

fn kind(code: &str) -> CallErrorKind {
    match code {
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "DecryptionFailure"
        | "EncryptionFailure"
        | "KMSAccessDenied" => CallErrorKind::Denied,
        "ResourceNotFoundException"
        | "NotFound"
        | "NotFoundException"
        | "NoSuchBucket"
        | "NoSuchKey"
        | "ParameterNotFound"
        | "DBClusterNotFoundFault"
        | "DBInstanceNotFound"
        | "DBProxyNotFoundFault" => CallErrorKind::NotFound,
        "ThrottlingException"
        | "Throttling"
        | "Throttled"
        | "KMSThrottling"
        | "TooManyRequestsException"
        | "LimitExceededException"
        | "SlowDown"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded" => CallErrorKind::Throttled,
        "InternalServiceError"
        | "InternalServerError"
        | "InternalError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => CallErrorKind::NoAnswer,
        _ => CallErrorKind::Refused,
    }
}
