//! The `relatch` command, for the person on call.

use clap::Parser as _;
use nix::sys::resource::{Resource, setrlimit};
use relatch_cli::{Arguments, run};
use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Wrong use ends here, with status 2.
    let arguments = Arguments::parse();
    if let Err(problem) = keep_memory_private() {
        eprintln!("relatch: a core dump could not be ruled out ({problem}); nothing was read.");
        return ExitCode::FAILURE;
    }
    run(arguments).await.into()
}

/// No core dump, and no look into this process by another of the same user: it is about to hold passwords.
fn keep_memory_private() -> nix::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
}
