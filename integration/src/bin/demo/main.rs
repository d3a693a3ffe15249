//! What a new user runs first: rotations on this machine, told step by step while they happen.
//!
//! The handler, PostgreSQL and the logins are real, and every number is measured. What is shown of a step comes from
//! the handler's own log, from the calls and connections that arrived, and from logins made right after the step.

mod closing;
mod intruder;
mod log;
mod people;
mod play;
mod screen;
mod stage;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use relatch_integration::cloud::Cloud;
use tokio::signal::unix::{SignalKind, signal};

use intruder::Watch;
use people::OnCall;
use play::{Functions, Play};
use screen::{PLAIN, STRONG, Screen, painted};
use stage::{NAME, Stage};

const HELP: &str = "\
Rotates the password of a real PostgreSQL on this machine, and shows what happens.

Usage: make demo
       scripts/run demo [--help]

It starts a PostgreSQL of its own, stand-ins for AWS Secrets Manager, Slack and PagerDuty, and
Relatch's four real functions: `rotate`, `respond`, `notify` and `audit`. An application keeps
opening new connections with the secret's AWSCURRENT. Then:

  act 1  a calm rotation
  act 2  the same with RELATCH_PROMOTE=after-verify, which shortens the time in which new
         connections fail
  act 3  the new password cannot be proved, and the old one is put back
  act 4  the function is killed right after it has changed the password, and a retry heals that
  act 5  the same, and Secrets Manager gives up: the second function hears of it, and heals it
  act 6  nothing that Relatch may do helps: what the people on call get in Slack and PagerDuty
  act 7  somebody reads secrets that are not theirs, beside a rotation: the audit finds it

At the end it shows the numbers, and searches all output for every password there was.

No AWS account and no Docker are needed, only Rust, PostgreSQL 15 or newer and Python 3 (on Debian,
scripts/run installs PostgreSQL, and the emulator of AWS services). It listens on 127.0.0.1 only, on
free ports. Everything ends with it, also by Ctrl-C, and its files are removed. It takes about ten
seconds once it is built.

Output: with colours on a terminal; plain in a pipe, or with NO_COLOR=1.
Exit status: 0 everything was as told; 1 something was not, or did not start; 2 wrong usage;
130 stopped by a signal.
";

#[tokio::main]
async fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        None => {}
        Some("--help" | "-h" | "help") => return said(&mut io::stdout(), HELP, 0),
        Some(other) => {
            let text = format!("The demo knows no argument `{other}`; `scripts/run demo --help` says more.\n");
            return said(&mut io::stderr(), &text, 2);
        }
    }
    // Whoever comes first: the other is dropped, and with it every process that was started.
    let outcome = tokio::select! {
        outcome = demo() => outcome,
        signal = stopped() => match signal {
            Ok(()) => return said(&mut io::stderr(), "\nStopped. Everything that was started has ended.\n", 130),
            Err(error) => Err(error),
        },
    };
    match outcome {
        Ok(play) if play.wrong.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        // Whoever reads has had enough.
        Err(error) if broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => said(&mut io::stderr(), &format!("\nThe demo cannot go on: {error:#}\n"), 1),
    }
}

async fn demo() -> Result<Play> {
    let (began, mut screen) = (Instant::now(), Screen::new());
    let screen = &mut screen;
    screen
        .line(&painted(STRONG, "Relatch rotates the password of a real PostgreSQL, while an application uses it."))?;
    screen.line("All of it runs on this machine, without AWS. Every number below is measured.")?;
    let (mut stage, functions, watch, mut on_call) = start(screen, began).await?;
    explain(screen)?;
    let mut play = Play::perform(screen, &mut stage, &functions, &watch, &mut on_call).await?;
    closing::show(screen, &stage, &functions, &watch, &on_call, &mut play).await?;
    Ok(play)
}

/// Starts everything, and says so.
async fn start(screen: &mut Screen, began: Instant) -> Result<(Stage, Functions, Watch, OnCall)> {
    screen.heading("Starting")?;
    let cloud = Cloud::start().await?;
    let version = cloud.postgres.value("SHOW server_version").await?.context("PostgreSQL tells no version")?;
    let version = version.split(' ').next().unwrap_or_default().to_owned();
    for (what, took) in &cloud.started {
        let what = match *what {
            "PostgreSQL" => format!("PostgreSQL {version} with TLS and data of its own"),
            "AWS" => "a stand-in for Secrets Manager".to_owned(),
            "wire" => "a proxy in front of PostgreSQL, which counts, and makes faults".to_owned(),
            other => other.to_owned(),
        };
        started(screen, &what, *took)?;
    }
    let clock = Instant::now();
    cloud.aws.emulate().await?;
    started(screen, "an emulator of SNS, SQS and DynamoDB, for what people are told", clock.elapsed())?;
    let memory = Cloud::memory();
    let memory: Vec<(&str, &str)> = memory.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let on_call = OnCall::begin(&cloud, &memory).await?;
    let functions = Functions {
        respond: cloud.respond_with(&memory)?,
        at_finish: cloud.rotate()?,
        after_verify: cloud.rotate_with(&[("RELATCH_PROMOTE", "after-verify")])?,
    };
    let watch = Watch::begin(&cloud).await?;
    let clock = Instant::now();
    let stage = Stage::set(cloud, began).await?;
    started(screen, &format!("a role and a database `{NAME}`, its secret, and an application"), clock.elapsed())?;
    Ok((stage, functions, watch, on_call))
}

fn started(screen: &mut Screen, what: &str, took: Duration) -> io::Result<()> {
    screen.line(&format!("{:>8.3} s  {what}", took.as_secs_f64()))
}

fn explain(screen: &mut Screen) -> Result<()> {
    screen.heading("How to read this")?;
    for text in [
        "Secrets Manager rotates a secret in four steps. For each it calls a function, here Relatch's `rotate`, and it \
         stops at the first that fails.",
        "The versions of the secret have labels: AWSCURRENT is what applications use, AWSPENDING is the new one while \
         it is rotated in, AWSPREVIOUS is the one before. After each step the demo tries to log in with each:",
    ] {
        screen.prose(2, PLAIN, text)?;
    }
    screen.line("    ✓ the database lets it in    ✗ the database rejects it    – there is no such version yet")?;
    screen.prose(
        2,
        PLAIN,
        "All the while an application opens one new connection after the other, each with what AWSCURRENT then holds.",
    )?;
    Ok(())
}

/// Until somebody wants the demo to end.
async fn stopped() -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

fn said(stream: &mut impl Write, text: &str, status: u8) -> ExitCode {
    // There is nobody to tell when this fails.
    let _ = stream.write_all(text.as_bytes());
    ExitCode::from(status)
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
