//! A service's client that is made when it is first needed, and not at the start.

use aws_config::SdkConfig;
use std::{ops::Deref, sync::OnceLock};

/// The client, or what it takes to make it. Whoever uses it makes it.
#[derive(Debug, Clone)]
pub(super) struct Late<C> {
    /// The SDK's settings.
    pub(super) sdk: SdkConfig,
    make: fn(&SdkConfig) -> C,
    client: OnceLock<C>,
}

impl<C> Late<C> {
    pub(super) fn new(sdk: &SdkConfig, make: fn(&SdkConfig) -> C) -> Self {
        Self { sdk: sdk.clone(), make, client: OnceLock::new() }
    }
}

impl<C> Deref for Late<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.client.get_or_init(|| (self.make)(&self.sdk))
    }
}
