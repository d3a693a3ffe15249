//! The fulfilment of the [ports](crate::ports): vendors' words end here.

#[cfg(feature = "alarms")]
pub mod alarms;
#[cfg(feature = "anchors")]
pub mod anchors;
#[cfg(feature = "aws")]
mod aws;
#[cfg(feature = "bus")]
pub mod bus;
#[cfg(feature = "aws")]
mod endpoints;
#[cfg(feature = "heartbeat")]
pub mod heartbeat;
#[cfg(any(
    feature = "alarms",
    feature = "anchors",
    feature = "bus",
    feature = "objects",
    feature = "rds",
    feature = "table",
    feature = "topic"
))]
mod late;
#[cfg(feature = "objects")]
pub mod objects;
#[cfg(feature = "parameters")]
pub mod parameters;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "rds")]
pub mod rds;
#[cfg(feature = "secrets-manager")]
pub mod secrets_manager;
#[cfg(feature = "table")]
pub mod table;
#[cfg(feature = "topic")]
pub mod topic;
#[cfg(feature = "webhooks")]
pub mod webhooks;

#[cfg(feature = "aws")]
pub use endpoints::ForeignEndpoint;

#[cfg(feature = "aws")]
pub use aws::{Access, NoAccess, sdk_config, sdk_config_with};

#[cfg(feature = "secrets-manager")]
pub use aws::access;

#[cfg(feature = "aws")]
pub use aws_config::SdkConfig;
