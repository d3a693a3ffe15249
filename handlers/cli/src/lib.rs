//! The `relatch` command, for the person on call: look, repair, pause, silence, audit, scan.
//!
//! Only wiring: what is looked at and what follows from it is decided in [`relatch::rollback::survey`], what a repair does
//! in [`relatch::rollback`], what there is to be found in logs in [`relatch::audit`]. Read in this order: [`arguments`], what can be asked for · this file, how it is answered ·
//! `screen` and `json`, the answers · [`problem`], why there is none.

mod alerts;
pub mod arguments;
mod json;
mod learn;
mod ledger;
mod outside;
pub mod problem;
mod progress;
mod release;
mod scan;
mod screen;
mod silences;
mod terminal;

pub use arguments::Arguments;
pub use problem::Status;

use arguments::{Change, Command, Errand, Manner, Pause, Place, Resume, Whom};
use jiff::Timestamp;
use outside::Outside;
use problem::Problem;
use relatch::{
    ports::{self, Scope, Table as _},
    rollback::{
        Intent, Order, Recovery,
        recovery::Outcome,
        survey::{Diagnosis, Extent, Mark, Survey, diagnosis, survey},
    },
};
use relatch_events::secret::SecretId;
use std::time::Duration;
use terminal::Terminal;
use tokio::time::Instant;

/// The longest that looking may take: a version of which the database says nothing costs three times the patience.
const LOOKING: Duration = Duration::from_secs(60);

/// The longest that a repair may take: RDS needs some minutes for a master password.
const REPAIRING: Duration = Duration::from_secs(10 * 60);

/// Does what is asked for, says what came of it, and how the process should end.
pub async fn run(arguments: Arguments) -> Status {
    let terminal = Terminal::new(arguments.form());
    let answer = match (arguments.checked(), &arguments.errand) {
        (Err(problem), _) => Err(problem),
        (Ok(()), Errand::Scan(asked)) => scan::scan(asked, terminal),
        // Boxed: what a repair holds is large.
        (Ok(()), Errand::OnAws(command)) => Box::pin(answer(command, &arguments.place, &terminal)).await,
    };
    match answer {
        Ok(status) => status,
        Err(problem) => {
            terminal.problem(&problem);
            problem.status
        }
    }
}

async fn answer(command: &Command, place: &Place, terminal: &Terminal) -> Result<Status, Problem> {
    terminal.can_ask(manner(command))?;
    let outside = Outside::open(place, command).await?;
    match command {
        Command::Check { secret } => check(secret, &outside, place, terminal).await,
        Command::Doctor { secret } => doctor(secret, &outside, place, terminal).await,
        Command::Recover(change) => repair(change, Intent::Recover, &outside, terminal).await,
        Command::Rollback(change) => repair(change, Intent::RollBack, &outside, terminal).await,
        Command::Release(asked) => release::release(asked, &outside, terminal).await,
        Command::Pause(asked) => pause(asked, &outside, terminal).await,
        Command::Resume(asked) => resume(asked, &outside, terminal).await,
        Command::Alerts { environment } => alerts::show(*environment, &outside, terminal).await,
        Command::Silence(asked) => silences::begin(asked, &outside, place, terminal).await,
        Command::Silences => silences::list(&outside, terminal).await,
        Command::Unsilence { id, manner } => silences::end(id, *manner, &outside, terminal).await,
        Command::Access(asked) => ledger::access::show(asked, &outside, terminal).await,
        Command::History(asked) => ledger::history::show(asked, &outside, terminal).await,
        Command::Verify(asked) => ledger::verify::show(asked, &outside, terminal).await,
        Command::Learn(asked) => learn::learn(asked, &outside, terminal).await,
    }
}

const fn manner(command: &Command) -> Option<Manner> {
    match command {
        Command::Check { .. }
        | Command::Doctor { .. }
        | Command::Alerts { .. }
        | Command::Silences
        | Command::Access(_)
        | Command::History(_)
        | Command::Verify(_) => None,
        Command::Recover(change) | Command::Rollback(change) => Some(change.manner),
        Command::Release(release) => Some(release.manner),
        Command::Pause(pause) => Some(pause.manner),
        Command::Resume(resume) => Some(resume.manner),
        Command::Silence(silence) => Some(silence.manner),
        Command::Unsilence { manner, .. } => Some(*manner),
        Command::Learn(learning) => Some(learning.manner),
    }
}

async fn check(secret: &SecretId, outside: &Outside, place: &Place, terminal: &Terminal) -> Result<Status, Problem> {
    let (seen, found) = look(secret, Extent::Current, outside).await?;
    terminal.show(|| screen::check::check(&seen, &found), || json::diagnosis(&seen, &found, place));
    let wrong = found.findings.iter().any(|finding| finding.mark == Mark::Wrong);
    Ok(if wrong { Status::Found } else { Status::Fine })
}

async fn doctor(secret: &SecretId, outside: &Outside, place: &Place, terminal: &Terminal) -> Result<Status, Problem> {
    let (seen, found) = look(secret, Extent::EveryVersion, outside).await?;
    terminal.show(|| screen::doctor::doctor(&seen, &found, place), || json::diagnosis(&seen, &found, place));
    Ok(if found.wrong.is_some() { Status::Found } else { Status::Fine })
}

async fn look(secret: &SecretId, extent: Extent, outside: &Outside) -> Result<(Survey, Diagnosis), Problem> {
    let deadline = Instant::now() + LOOKING;
    match survey(&outside.ports, &outside.settings, secret, extent, deadline).await {
        Ok(seen) => {
            let controls = seen.controls.filter(|_| outside.ports.table.is_some());
            let seen = Survey { controls, ..seen };
            let found = diagnosis(&seen);
            Ok((seen, found))
        }
        Err(error) => Err(outside.explain(secret.as_str(), &error).await),
    }
}

/// Looks first, says what it would do, asks, and does it.
async fn repair(change: &Change, intent: Intent, outside: &Outside, terminal: &Terminal) -> Result<Status, Problem> {
    let Change { secret, manner } = change;
    let repair = outside.repair();
    let order = |rehearse| Order { secret: secret.clone(), intent, failed: None, rehearse };
    let rehearsal = repair.run(&order(true), Instant::now() + LOOKING).await;
    seen(&rehearsal, secret, outside).await?;
    let would = matches!(rehearsal.outcome, Outcome::Would(_));
    let rehearsed = || screen::recovery::rehearsed(secret.as_str(), &rehearsal);
    if manner.dry_run || !would {
        terminal.show(rehearsed, || rehearsal.json());
        return Ok(if matches!(rehearsal.outcome, Outcome::Opens(_)) { Status::Fine } else { Status::Found });
    }
    terminal.tell(rehearsed);
    if !terminal.agrees(*manner) {
        terminal.show(|| "Nothing was changed.\n".to_owned(), || rehearsal.json());
        return Ok(Status::Found);
    }
    let recovery = terminal.waiting(repair.run(&order(false), Instant::now() + REPAIRING)).await;
    if !recovery.changed() {
        seen(&recovery, secret, outside).await?;
    }
    terminal.show(|| screen::recovery::done(secret.as_str(), &recovery), || recovery.json());
    Ok(if matches!(recovery.outcome, Outcome::Opens(_)) { Status::Fine } else { Status::Found })
}

/// Whether anything could be seen at all.
async fn seen(recovery: &Recovery, secret: &SecretId, outside: &Outside) -> Result<(), Problem> {
    match &recovery.outcome {
        Outcome::Fails(error) => Err(outside.explain(secret.as_str(), error).await),
        Outcome::Opens(_) | Outcome::Waits(_) | Outcome::Refuses(_) | Outcome::Would(_) => Ok(()),
    }
}

async fn pause(asked: &Pause, outside: &Outside, terminal: &Terminal) -> Result<Status, Problem> {
    let arn = arn(&asked.whom, outside).await?;
    let cause = &asked.cause;
    let pause = ports::Pause { by: cause.author(), reason: cause.reason.clone(), at: Timestamp::now() };
    let name = called(&asked.whom);
    let json = |outcome| json::control(arn.as_deref(), outcome, Some(&pause));
    let intended =
        format!("It would pause {name}: neither `rotate` nor `respond` changes anything until `relatch resume`.");
    let intended = || screen::control::intended(&intended, &[]);
    if let Some(end) = terminal.ends_here(asked.manner, intended, || json("would-pause"), || json("not-paused")) {
        return Ok(end);
    }
    let done = outside.ports.table.pause(scope(arn.as_deref()), &pause).await;
    outside.told(name, done).await?;
    terminal.show(
        || screen::control::done(&format!("Paused {name}, by {}: {}.", pause.by, pause.reason)),
        || json("paused"),
    );
    Ok(Status::Fine)
}

async fn resume(asked: &Resume, outside: &Outside, terminal: &Terminal) -> Result<Status, Problem> {
    let arn = arn(&asked.whom, outside).await?;
    let name = called(&asked.whom);
    let present = match &arn {
        Some(arn) => {
            let controls = outside.ports.table.controls(arn).await;
            screen::control::present(&outside.told(name, controls).await?, Timestamp::now())
        }
        None => Vec::new(),
    };
    let json = |outcome| json::control(arn.as_deref(), outcome, None);
    let intended = format!("It would end the pause of {name}, and what the circuit breaker has stopped.");
    let intended = || screen::control::intended(&intended, &present);
    if let Some(end) = terminal.ends_here(asked.manner, intended, || json("would-resume"), || json("not-resumed")) {
        return Ok(end);
    }
    let done = outside.ports.table.resume(scope(arn.as_deref())).await;
    if outside.told(name, done).await? {
        terminal.show(|| screen::control::done(&format!("Resumed {name}.")), || json("resumed"));
    } else {
        terminal
            .show(|| screen::control::done(&format!("{name}: there was nothing to end.")), || json("was-not-paused"));
    }
    Ok(Status::Fine)
}

/// The full ARN, which is what the table goes by; `None` for all secrets.
async fn arn(whom: &Whom, outside: &Outside) -> Result<Option<String>, Problem> {
    outside.table("nothing can be paused")?;
    match &whom.secret {
        Some(secret) => outside.arn(secret).await.map(Some),
        None => Ok(None),
    }
}

fn scope(arn: Option<&str>) -> Scope<'_> {
    arn.map_or(Scope::Everything, Scope::Secret)
}

fn called(whom: &Whom) -> &str {
    whom.secret.as_ref().map_or("all secrets", SecretId::as_str)
}
