//! The adapters for AWS, on the local cloud.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod custody;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::Credentials;
use relatch_integration::aws::{Endpoint, REGION};

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
