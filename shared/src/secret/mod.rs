//! What is inside a secret: typed values, and the policy by which new passwords are made.
//!
//! Text becomes a type here, once; nothing further inside has to ask whether a field is there. Nothing in this module
//! calls anything.

mod admins;
mod channels;
mod credentials;
mod host;
mod password;

pub use admins::AdminSecrets;
pub use channels::{BadChannelKeys, ChannelKeys};
pub use credentials::{DatabaseCredentials, Field, Problem, Tls, USERNAME_LIMIT};
pub use host::HostProblem;
pub use password::{PasswordPolicy, PolicyProblem};
