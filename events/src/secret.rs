//! The names by which secrets and their versions are called.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Names a secret, in whichever way the sender did: by ARN (as Secrets Manager always does) or by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretId(String);

/// Names one immutable value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionId(String);

/// A name that is empty, where one is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a secret or of a version must not be empty")]
pub struct EmptyName;

macro_rules! name {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = EmptyName;

            fn try_from(text: String) -> Result<Self, EmptyName> {
                if text.is_empty() { Err(EmptyName) } else { Ok(Self(text)) }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = EmptyName;

            fn try_from(text: &str) -> Result<Self, EmptyName> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(SecretId);
name!(VersionId);
