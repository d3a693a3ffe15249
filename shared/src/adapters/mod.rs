//! The fulfilment of the [ports](crate::ports): vendors' words end here.

#[cfg(any(feature = "secrets-manager", feature = "rds"))]
mod aws;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "rds")]
pub mod rds;
#[cfg(feature = "secrets-manager")]
pub mod secrets_manager;

#[cfg(any(feature = "secrets-manager", feature = "rds"))]
pub use aws::sdk_config;
