//! Rotates with a fault at every single operation, and shows who was locked out.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use relatch_integration::matrix::{Aftermath, Calm, Case, Matrix, Played, Promote, Report, Strategy, Strike, Variant};

/// Rotates a secret of a real PostgreSQL with the real `rotate` function, over and over, each time with one fault at one
/// of its operations: every call to Secrets Manager (`aws`) and every message to the database that awaits an answer
/// (`wire`). After each fault the rotation is tried again as Secrets Manager does, and logins tell how the secret
/// stands. Where a single user's function died, there are two cases more: Secrets Manager gives up (`given-up`), or an
/// operator takes AWSPENDING off and rotates anew (`stepped-in`); then the real `respond` function hears of it.
///
/// locked out: at some point no version of the secret opened the database.
/// stranded: at some point only a version that has lost its labels did.
/// healed by retry: the attempt with the fault failed, and a retry completed the rotation.
/// recovered: AWSCURRENT opened the database again when `respond` had heard of it.
///
/// The exit status is 0 only if every case ended with a complete rotation and an AWSCURRENT that opens the database.
#[derive(Parser)]
#[command(name = "matrix", verbatim_doc_comment, after_help = EXAMPLES)]
struct Arguments {
    /// Only this way to rotate
    #[arg(long, value_enum, value_name = "STRATEGY")]
    strategy: Option<Choice>,
    /// Only with the label moved then: in finishSecret, or in setSecret right after the proof
    #[arg(long, value_enum, value_name = "WHEN")]
    promote: Option<When>,
    /// Every operation once, the kinds of fault taking turns: a minute or two in place of ten
    #[arg(long)]
    cut: bool,
    /// Only this fault, such as aws:7:KillAfter or wire:20:FreezeBefore, and tell everything that happens
    #[arg(long, value_name = "SIDE:NUMBER:KIND")]
    only: Option<Strike>,
    /// With --only: what happens after the fault
    #[arg(long, value_enum, value_name = "AFTERMATH", default_value = "retried", requires = "only")]
    then: Then,
    /// How many cases at the same time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
}

const EXAMPLES: &str = "Examples:
  make matrix
  scripts/run matrix --strategy single-user --cut
  scripts/run matrix --strategy single-user --promote at-finish --only wire:12:KillAfter

docs/FAULTS.md tells what each kind of fault is.";

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    SingleUser,
    AlternatingUsers,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    AtFinish,
    AfterVerify,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Then {
    Retried,
    GivenUp,
    SteppedIn,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    // Dropping the matrix ends everything it has started.
    tokio::select! {
        outcome = play(&arguments) => outcome,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("\nInterrupted; everything that was started is being ended.");
            Ok(ExitCode::from(130))
        }
    }
}

async fn play(arguments: &Arguments) -> Result<ExitCode> {
    let matrix = Arc::new(Matrix::start().await?);
    let (mut calm, mut cases) = (Vec::new(), Vec::new());
    for variant in Variant::ALL.into_iter().filter(|variant| arguments.want(*variant)) {
        let operations = matrix.calm(variant).await?;
        say(&format!(
            "{variant}: {} calls to AWS, {} operations on the wire",
            operations.aws.len(),
            operations.wire.len()
        ));
        cases.extend(match (arguments.only, arguments.cut) {
            (Some(strike), _) => vec![Case { variant, strike, aftermath: arguments.aftermath() }],
            (None, true) if variant.strategy == Strategy::SingleUser => {
                [operations.cut(), operations.deaths()].concat()
            }
            (None, true) => operations.cut(),
            (None, false) => operations.cases(),
        });
        calm.push(operations);
    }
    let (mut report, mut progress) = (Report::default(), Progress::new(cases.len()));
    let each = |played: Played| {
        report.add(&played);
        if arguments.only.is_some() || !played.verdict.is_good() {
            progress.clear();
            tell(&played, &calm);
        }
        progress.show(&report);
    };
    matrix.run_all(cases, arguments.jobs.into(), each).await?;
    progress.clear();
    say(&format!("{report}"));
    Ok(if report.bad().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Arguments {
    fn aftermath(&self) -> Aftermath {
        match self.then {
            Then::Retried => Aftermath::Retried,
            Then::GivenUp => Aftermath::GivenUp,
            Then::SteppedIn => Aftermath::SteppedIn,
        }
    }

    fn want(&self, variant: Variant) -> bool {
        let strategy = match variant.strategy {
            Strategy::SingleUser => Choice::SingleUser,
            Strategy::AlternatingUsers => Choice::AlternatingUsers,
        };
        let promote = match variant.promote {
            Promote::AtFinish => When::AtFinish,
            Promote::AfterVerify => When::AfterVerify,
        };
        self.strategy.is_none_or(|wanted| wanted == strategy) && self.promote.is_none_or(|wanted| wanted == promote)
    }
}

fn tell(played: &Played, calm: &[Calm]) {
    let Case { variant, strike, aftermath } = played.case;
    let operation = calm.iter().find(|calm| calm.variant == variant).map_or("", |calm| calm.describe(strike));
    say(&format!("{variant}, {strike} ({operation}), {aftermath}: {:?}\n{}", played.verdict, played.story));
}

/// Whoever reads no further, as `head` does, need not be told.
fn say(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

/// One line that changes, or on no terminal a line every ten seconds.
struct Progress {
    cases: usize,
    started: Instant,
    told: Instant,
    terminal: bool,
}

impl Progress {
    fn new(cases: usize) -> Self {
        Self { cases, started: Instant::now(), told: Instant::now(), terminal: stderr().is_terminal() }
    }

    fn show(&mut self, report: &Report) {
        let interval = if self.terminal { Duration::from_millis(100) } else { Duration::from_secs(10) };
        if self.told.elapsed() < interval {
            return;
        }
        self.told = Instant::now();
        let (cases, bad, seconds) = (report.cases(), report.bad().len(), self.started.elapsed().as_secs());
        let line = format!("{cases} of {} cases, {bad} bad, {}:{:02}", self.cases, seconds / 60, seconds % 60);
        if self.terminal { eprint!("\r\x1b[K{line}") } else { eprintln!("{line}") }
    }

    fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}
