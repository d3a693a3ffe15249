//! What the templates come to: every resource of a deployment, with every function of CloudFormation's resolved.
//!
//! A template is read as AWS's SAM translator expands it ([`Templates`]), and deployed on paper ([`Templates::deploy`]):
//! parameters checked, conditions decided, nested stacks followed, names and ARNs made up where AWS would make them up.
//! Nothing here judges what it finds; the tests do.

mod expansion;
mod identity;
mod stack;

pub use expansion::{Templates, python};
pub use stack::{Deployment, Parameters, Place, Resource};
