//! The `relatch` command, for the person on call.

use clap::Parser as _;
use relatch_cli::{Arguments, run};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Wrong use ends here, with status 2.
    run(Arguments::parse()).await.into()
}
