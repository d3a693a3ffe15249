//! The adapters for AWS, on the local cloud.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alarms;
mod custody;
mod ledger;
mod masters;
mod table;
mod topic;

use relatch_integration::aws::{ACCOUNT, REGION};

fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf")
}
