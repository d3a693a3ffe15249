//! What a rotation costs, for how long it shuts anybody out, how fast and how large the functions are, and how many
//! events the audit takes: measured, and put beside goals and peers.
//!
//! What each figure means, and what it does not say, is in `docs/BENCHMARKS.md`.

#![allow(clippy::print_stdout, reason = "a program whose output is a table")]

mod audit;
mod figure;
mod intake;
mod package;
mod recover;
mod rotation;
mod start;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

const HELP: &str = "\
Measures a rotation on the local cloud, and the start of the function, beside goals and peers.

  make bench                              everything, on a release build
  scripts/run bench --release --check     the same; exit status 1 when a goal is missed
  scripts/run bench --release start       only one group: rotation, recover, start, zip, audit or intake; several may be named

rotation  calls to AWS, connections and refused logins of one rotation, every step in a cold process;
          the window in which AWSCURRENT does not log in
recover   from the word that a rotation has failed to an AWSCURRENT that opens the database
start     from exec to the first request for work, and memory, beside the smallest function there is
zip       the size of what is deployed
audit     events of CloudTrail's a second, from compressed files to findings, on one core
intake    what one event, a batch of 1,000 and a file of 100 MB cost in the function `audit`

The figures are printed as a table and written to bench.json in the target directory,
as a list of {name, value, unit, goal, peer, peer_value, how}. Measuring takes about five minutes, two of them each for
`audit` and `intake`. Other work on the machine makes every time longer: for figures to publish, let it do nothing else.
";

/// The groups of figures, in the order in which they are measured.
const GROUPS: [&str; 6] = ["rotation", "recover", "start", "zip", "audit", "intake"];

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    }
    if let [first, way, files @ ..] = arguments.as_slice()
        && first == audit::ONCE
    {
        audit::once(way, files)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (options, groups): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| argument.starts_with('-'));
    let unknown = options.iter().find(|option| **option != "--check");
    let unknown = unknown.or_else(|| groups.iter().find(|group| !GROUPS.contains(&group.as_str())));
    if let Some(unknown) = unknown {
        eprint!("What is `{unknown}`?\n\n{HELP}");
        return Ok(ExitCode::from(2));
    }
    let wanted = |group: &str| groups.is_empty() || groups.iter().any(|name| *name == group);

    let binaries = binaries()?;
    let mut figures = Vec::new();
    if wanted("rotation") {
        figures.extend(rotation::measure().await?);
    }
    if wanted("recover") {
        figures.extend(recover::measure().await?);
    }
    if wanted("start") {
        figures.extend(start::measure(&binaries).await?);
    }
    if wanted("zip") {
        figures.extend(package::measure(&binaries)?);
    }
    if wanted("audit") {
        figures.extend(audit::measure()?);
    }
    if wanted("intake") {
        figures.extend(intake::measure().await?);
    }

    println!("\n{}\n{}", machine(), figure::table(&figures));
    let file = binaries.join("../bench.json");
    fs::write(&file, serde_json::to_string_pretty(&figures)? + "\n").context("writing bench.json")?;
    println!("Written to {}", file.canonicalize()?.display());
    let missed = figures.iter().filter(|figure| !figure.met()).count();
    Ok(ExitCode::from(u8::from(missed > 0 && !options.is_empty())))
}

/// The folder with this program, which is also that of the functions.
fn binaries() -> Result<PathBuf> {
    let program = env::current_exe()?;
    Ok(program.parent().context("this program is in no folder")?.to_owned())
}

/// The functions that are deployed.
const HANDLERS: [&str; 4] = ["rotate", "respond", "notify", "audit"];

/// A function's binary.
fn binary(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    ensure!(path.is_file(), "the function `{name}` is not built: run `make bench`");
    Ok(path)
}

/// Where the figures are from.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = read("/proc/meminfo");
    let kilobytes = info.split_whitespace().nth(1).and_then(|number| number.parse::<f64>().ok()).unwrap_or_default();
    let build = if cfg!(debug_assertions) { "DEBUG build: its figures say nothing" } else { "release build" };
    format!(
        "{build}; {cores} cores, {:.0} GB, Linux {}, load {}",
        kilobytes / 1e6,
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    )
}
