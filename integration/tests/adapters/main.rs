//! The adapters for AWS, on the local cloud.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alarms;
mod custody;
mod ledger;
mod masters;
mod table;
mod topic;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::Credentials;
use relatch_integration::aws::{ACCOUNT, Endpoint, REGION};

/// An endpoint, and the SDK's settings for it.
struct Cloud {
    endpoint: Endpoint,
    sdk: SdkConfig,
}

impl Cloud {
    async fn start() -> Self {
        let endpoint = Endpoint::start().await.unwrap();
        let sdk = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(endpoint.url())
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .load()
            .await;
        Self { endpoint, sdk }
    }
}

fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf")
}
