//! What real Secrets Manager, RDS and Lambda do, one test for each fact, driven with the real SDK clients.
//!
//! The facts come from the services' API references and user guides; where a test's name says "here", the
//! stand-in is stricter than AWS on purpose.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod addressing;
mod databases;
mod faults;
mod labels;
mod lambda;
mod lifecycle;
mod passwords;
mod policies;
mod requests;
mod rotating;
mod rotation;
mod values;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use relatch_integration::aws::{Endpoint, Store};
use uuid::Uuid;

/// An endpoint and a client of it that does not repeat calls.
struct Cloud {
    endpoint: Endpoint,
    client: Client,
}

impl Cloud {
    async fn start() -> Self {
        let endpoint = Endpoint::start().await.unwrap();
        let client = Client::new(&once(endpoint.sdk()));
        Self { endpoint, client }
    }

    /// With a secret `app` whose current version is `first` and holds `one`.
    async fn with_secret() -> (Self, String) {
        let cloud = Self::start().await;
        let first = token();
        let create = cloud.client.create_secret().name("app").secret_string("one");
        create.client_request_token(&first).send().await.unwrap();
        (cloud, first)
    }

    fn store(&self) -> &Store {
        self.endpoint.store()
    }

    /// The labels of a version, in alphabetical order; empty for a version that is not there.
    fn labels(&self, version: &str) -> Vec<String> {
        let secret = self.store().secret("app").unwrap();
        secret.version(version).into_iter().flat_map(|version| version.labels.clone()).collect()
    }

    async fn put(&self, token: &str, value: &str, label: &str) -> Result<(), Refusal> {
        let put = self.client.put_secret_value().secret_id("app").client_request_token(token);
        put.secret_string(value).version_stages(label).send().await.map(drop).map_err(refusal)
    }

    async fn move_label(&self, label: &str, to: Option<&str>, from: Option<&str>) -> Result<(), Refusal> {
        let update = self.client.update_secret_version_stage().secret_id("app").version_stage(label);
        let update = update.set_move_to_version_id(to.map(Into::into)).set_remove_from_version_id(from.map(Into::into));
        update.send().await.map(drop).map_err(refusal)
    }

    async fn read(&self, version: Option<&str>, label: Option<&str>) -> Result<String, Refusal> {
        let get = self.client.get_secret_value().secret_id("app");
        let get = get.set_version_id(version.map(Into::into)).set_version_stage(label.map(Into::into));
        Ok(get.send().await.map_err(refusal)?.secret_string.unwrap())
    }

    /// Configures rotation and registers `token`.
    async fn rotate(&self, token: &str) -> Result<(), Refusal> {
        let rotate = self.client.rotate_secret().secret_id("app").client_request_token(token);
        rotate.rotation_lambda_arn(FUNCTION).send().await.map(drop).map_err(refusal)
    }
}

const FUNCTION: &str = "arn:aws:lambda:eu-central-1:123456789012:function:rotate";

/// With these settings a call that fails is not repeated.
fn once(sdk: SdkConfig) -> SdkConfig {
    sdk.into_builder().retry_config(RetryConfig::disabled()).build()
}

fn token() -> String {
    Uuid::new_v4().to_string()
}

/// The type and the message of an error that a service answered.
#[derive(Debug, PartialEq)]
struct Refusal {
    code: String,
    message: String,
}

fn refusal<E: ProvideErrorMetadata>(error: SdkError<E>) -> Refusal {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Refusal { code: text(error.code()), message: text(error.message()) }
}

trait Refused {
    /// The type of the error; panics when there was none.
    fn code(self) -> String;
}

impl<T: std::fmt::Debug> Refused for Result<T, Refusal> {
    fn code(self) -> String {
        self.unwrap_err().code
    }
}
