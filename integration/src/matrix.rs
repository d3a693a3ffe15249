//! The fault matrix: the real `rotate` handler between AWS and a database that fail it, at every single operation.
//!
//! A rotation in which nothing goes wrong is run once and its operations are counted ([`Matrix::calm`]). Then, for each
//! of them and each kind of fault, one secret and one role are made, the fault is set, and the secret is rotated as
//! Secrets Manager does it ([`Matrix::run`]). The verdict is taken by real logins that no fault can meet.
//!
//! What is injected, how it is counted and what is not covered: `docs/FAULTS.md`.

mod case;
mod report;

use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

pub use case::{Aftermath, Calm, Case, Kind, Promote, Side, Strategy, Strike, Variant};
pub use report::Report;

use crate::aws::store::{CURRENT, PENDING, PREVIOUS};
use crate::aws::{self, Call};
use crate::cloud::{ADMIN_PASSWORD, Cloud, FIRST_PASSWORD, Standing};
use crate::lambda::{AfterTimeout, Function, Line, Outcome, Output, Worker};
use crate::rotation::{Attempt, Rotation, Step, StepRun};
use crate::trail;
use crate::wire::{self, Victim};

/// How long the handler of the first attempt waits for a login, a statement or a call: hardly longer than they take,
/// since every silence costs several of them.
const HASTE: Duration = Duration::from_millis(250);

/// How long the handler of later attempts waits: they meet no fault, and a busy machine is not to be taken for one.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a function is given for a step: setSecret needs twelve times the patience before it changes anything, half a
/// second is kept for farewells, and the rest is for what comes before the change.
fn time_for_a_step(patience: Duration) -> Duration {
    patience * 16 + Duration::from_millis(500)
}

/// How often Secrets Manager tries a rotation again that has failed.
const RETRIES: u32 = 3;

/// What everything that has to come to rest is given for it.
const REST: Duration = Duration::from_secs(20);

/// The database that all cases share; each has a role, a secret, and therefore a lock of its own.
const DATABASE: &str = "matrix";

/// A database, and what a case needs beside it.
pub struct Matrix {
    cloud: Cloud,
}

/// What became of a case.
#[derive(Clone, Debug)]
pub struct Played {
    /// The case.
    pub case: Case,
    /// What it comes down to.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
    /// From the word that the rotation has failed to an AWSCURRENT that works, where `respond` had to heal it.
    pub recovered: Option<Duration>,
    /// Everything that happened, for a person to read.
    pub story: String,
}

/// What a case comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The first attempt succeeded, and AWSCURRENT opens the database.
    Unimpressed,
    /// The first attempt failed; a retry completed the rotation, and AWSCURRENT opens the database.
    Healed,
    /// AWSCURRENT did not open the database until `respond` had heard of it.
    Recovered,
    /// At some point no version opened the database.
    LockedOut,
    /// At some point only a version without labels opened the database.
    Stranded,
    /// At the end AWSCURRENT did not open the database, and another labelled version did.
    CurrentShut,
    /// AWSCURRENT opens the database, and yet no retry completed the rotation.
    Unfinished,
    /// A password was in what the handler wrote.
    Leaked,
    /// All went well, and the fault never struck: nothing is proved.
    Missed,
}

impl Verdict {
    /// Whether it is one that nobody has to look at.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Unimpressed | Self::Healed | Self::Recovered)
    }
}

impl Matrix {
    /// Starts a database for any number of cases.
    ///
    /// # Errors
    /// As [`Cloud::start`].
    pub async fn start() -> Result<Self> {
        let cloud = Cloud::start().await?;
        cloud.postgres.create_database(DATABASE, "postgres").await?;
        Ok(Self { cloud })
    }

    /// Rotates once with nothing going wrong, and tells the operations.
    ///
    /// # Errors
    /// When anything does go wrong.
    pub async fn calm(&self, variant: Variant) -> Result<Calm> {
        let stage = Stage::set(self, variant, 2 * PATIENCE).await?;
        let (store, wire) = (stage.cloud.aws.store(), &stage.cloud.wire);
        let token = Uuid::new_v4().to_string();
        store.begin_rotation(&stage.secret, &token)?;
        let mut calm = Calm { variant, aws: Vec::new(), wire: Vec::new() };
        for step in Step::ALL {
            let run = stage.rotation(&stage.hasty).step(step, &token).await?;
            ensure!(run.outcome.is_ok(), "{step} failed with nothing going wrong: {:?}", run.outcome);
            timeout(REST, wire.idle()).await.context("a session stays open after its step")?;
            calm.aws.extend(run.calls.iter().map(|call| format!("{step} {}", call.action)));
            let before = calm.wire.len();
            calm.wire.extend(wire.operations().iter().skip(before).map(|done| format!("{step} {}", done.what)));
        }
        ensure!(
            stage.standing(&mut Story::default()).await? == Standing::Fine,
            "a rotation without a fault did not end well"
        );
        Ok(calm)
    }

    /// Plays cases, `jobs` at a time, and hands each result to `each` as it comes. Those that freeze a process are asleep
    /// most of the time, so as many of them are played beside the others.
    ///
    /// # Errors
    /// As [`Matrix::run`], with the first that fails; the others are abandoned.
    pub async fn run_all(self: &Arc<Self>, cases: Vec<Case>, jobs: usize, mut each: impl FnMut(Played)) -> Result<()> {
        let lanes: [Vec<Case>; 2] = cases.into_iter().partition(|case| case.strike.kind.freezes()).into();
        let mut lanes = lanes.map(|cases| (cases.into_iter(), 0));
        let mut running = JoinSet::new();
        loop {
            for (waiting, busy) in &mut lanes {
                for case in waiting.take(jobs - *busy) {
                    let matrix = Arc::clone(self);
                    running.spawn(async move { matrix.run(case).await });
                    *busy += 1;
                }
            }
            let Some(played) = running.join_next().await else { return Ok(()) };
            let played = played??;
            lanes[usize::from(!played.case.strike.kind.freezes())].1 -= 1;
            each(played);
        }
    }

    /// Plays one case.
    ///
    /// # Errors
    /// When the local cloud itself fails. What the handler does wrong is in the [`Verdict`].
    pub async fn run(&self, case: Case) -> Result<Played> {
        let started = Instant::now();
        let mut haste = HASTE;
        let mut played = self.play(case, haste).await?;
        // On a busy machine an earlier operation may take longer than that, and then the fault waits in vain.
        while played.verdict == Verdict::Missed && haste < 2 * PATIENCE {
            haste *= 2;
            played = self.play(case, haste).await?;
        }
        Ok(Played { took: started.elapsed(), ..played })
    }

    async fn play(&self, case: Case, haste: Duration) -> Result<Played> {
        let started = Instant::now();
        let stage = Stage::set(self, case.variant, haste).await?;
        let mut story = Story::default();
        let played = match case.aftermath {
            Aftermath::Retried => stage.play(case.strike, &mut story).await,
            Aftermath::GivenUp | Aftermath::SteppedIn => stage.die(case, &mut story).await,
        };
        let (verdict, recovered) = played.with_context(|| format!("{}, {}", case.strike, case.aftermath))?;
        stage.respond.stop().await;
        stage.hasty.stop().await;
        stage.patient.stop().await;
        let verdict = match stage.leaked()? {
            true => Verdict::Leaked,
            false => verdict,
        };
        story.operations(&stage.cloud.wire.operations());
        story.output("the hasty handler", stage.hasty.output());
        story.output("the patient handler", stage.patient.output());
        story.output("the responder", stage.respond.output());
        Ok(Played { case, verdict, took: started.elapsed(), recovered, story: story.0 })
    }
}

/// What one case is played on.
struct Stage {
    cloud: Cloud,
    /// The function of the first two attempts. That the second finds it warm is part of the case.
    hasty: Function,
    /// The same function with more patience, for what comes then.
    patient: Function,
    /// Who hears of a rotation that has failed.
    respond: Function,
    secret: String,
    /// The process that the fault will meet.
    worker: Arc<Worker>,
}

impl Stage {
    async fn set(matrix: &Matrix, variant: Variant, haste: Duration) -> Result<Self> {
        let cloud = matrix.cloud.beside().await?;
        let name = format!("app_{}", Uuid::new_v4().simple());
        let secret = role_and_secret(&cloud, &name, variant.strategy).await?;
        let function = |patience: Duration| {
            let milliseconds = patience.as_millis().to_string();
            let settings = [("RELATCH_PROMOTE", variant.promote.setting()), ("RELATCH_TIMEOUT_MS", &milliseconds)];
            let function = cloud.rotate_with(&settings)?.timeout(time_for_a_step(patience));
            anyhow::Ok(function.after_timeout(AfterTimeout::Leave))
        };
        let (hasty, patient) = (function(haste)?, function(PATIENCE)?);
        let milliseconds = PATIENCE.as_millis().to_string();
        let respond = cloud.respond_with(&[("RELATCH_TIMEOUT_MS", &milliseconds)])?;
        let worker = hasty.provision().await?;
        Ok(Self { cloud, hasty, patient, respond, secret, worker })
    }

    /// The function dies, and Secrets Manager does not try again, or an operator steps in.
    async fn die(&self, case: Case, story: &mut Story) -> Result<(Verdict, Option<Duration>)> {
        self.arm(case.strike);
        let first = self.rotation(&self.hasty).run().await?;
        story.attempts("First attempt, with the fault", &first.attempts);
        let struck = self.has_struck(case.strike);
        self.cloud.aws.clear_faults();
        self.cloud.wire.clear();
        timeout(REST, self.cloud.wire.idle()).await.context("a session stays open")?;
        let mut standings = vec![self.standing(story).await?];

        let mut token = first.token;
        let mut succeeded = first.attempts.last().is_some_and(Attempt::succeeded);
        if case.aftermath == Aftermath::SteppedIn && !succeeded {
            story.line("An operator takes AWSPENDING off, and rotates anew");
            self.cloud.aws.store().edit(&self.secret, |secret| {
                secret.versions.iter_mut().filter(|version| !version.has(CURRENT)).for_each(|version| {
                    version.labels.remove(PENDING);
                });
            })?;
            // That it is stranded now is the operator's doing. What Relatch owes is that it is not locked out.
            standings.extend(Some(self.standing(story).await?).filter(|standing| *standing != Standing::Stranded));
            let again = self.rotation(&self.patient).run().await?;
            story.attempts("The operator's rotation", &again.attempts);
            succeeded = again.succeeded();
            token = again.token;
        }
        let before = self.standing(story).await?;
        standings.extend(Some(before).filter(|standing| *standing != Standing::Stranded));

        let heard = Instant::now();
        if !succeeded {
            self.hear(&token, story).await?;
        }
        let after = self.standing(story).await?;
        let recovered = (before != Standing::Fine && after == Standing::Fine).then(|| heard.elapsed());
        let next = self.rotation(&self.patient).retries(RETRIES).run().await?;
        story.attempts("The next rotation", &next.attempts);
        timeout(REST, self.cloud.wire.idle()).await.context("a session stays open")?;
        let end = self.standing(story).await?;
        let verdict = if standings.contains(&Standing::LockedOut) {
            Verdict::LockedOut
        } else if standings.contains(&Standing::Stranded) || after == Standing::Stranded {
            Verdict::Stranded
        } else if after != Standing::Fine || end != Standing::Fine {
            Verdict::CurrentShut
        } else if !next.succeeded() {
            Verdict::Unfinished
        } else if !struck {
            Verdict::Missed
        } else if recovered.is_some() {
            Verdict::Recovered
        } else {
            Verdict::Unimpressed
        };
        Ok((verdict, recovered))
    }

    /// Has `respond` hear that a rotation has failed, as CloudTrail tells it.
    async fn hear(&self, token: &str, story: &mut Story) -> Result<()> {
        let outcome = self.respond.invoke(trail::rotation_failed(&self.secret, token)).await?;
        if let Outcome::Ok(answer) = &outcome {
            story.line(&format!("Respond heard of it: {answer}"));
        } else {
            story.line(&format!("Respond heard of it: {}", brief(&outcome)));
        }
        Ok(())
    }

    async fn play(&self, strike: Strike, story: &mut Story) -> Result<(Verdict, Option<Duration>)> {
        self.arm(strike);
        let first = self.rotation(&self.hasty).run().await?;
        story.attempts("First attempt, with the fault", &first.attempts);
        let struck = self.has_struck(strike);
        let mut standings = vec![self.standing(story).await?];
        self.cloud.aws.clear_faults();
        self.cloud.wire.clear();

        let mut completed = first.succeeded();
        for (number, function) in (1..=RETRIES).zip(iter::once(&self.hasty).chain(iter::repeat(&self.patient))) {
            if completed {
                break;
            }
            let again = self.rotation(function).run_with(&first.token).await?;
            story.attempts(&format!("Retry {number}"), &again.attempts);
            standings.push(self.standing(story).await?);
            completed = again.succeeded();
        }
        if strike.kind.freezes() && completed {
            let next = self.rotation(&self.patient).retries(RETRIES).run().await?;
            story.attempts("The next rotation, while the process is still frozen", &next.attempts);
            completed = next.succeeded();
        }
        self.thaw(story).await?;
        timeout(REST, self.cloud.wire.idle()).await.context("a session stays open")?;
        if strike.kind.kills() && !first.succeeded() {
            // CloudTrail's word comes minutes later, when a retry has long healed it.
            let labels = self.labels()?;
            self.hear(&first.token, story).await?;
            ensure!(!completed || labels == self.labels()?, "respond moved labels of a secret that was sound");
        }
        let end = self.standing(story).await?;
        standings.push(end);

        let verdict = |standing| standings.contains(&standing);
        let verdict = if verdict(Standing::LockedOut) {
            Verdict::LockedOut
        } else if verdict(Standing::Stranded) {
            Verdict::Stranded
        } else if end != Standing::Fine {
            Verdict::CurrentShut
        } else if !completed {
            Verdict::Unfinished
        } else if !struck {
            Verdict::Missed
        } else if first.succeeded() {
            Verdict::Unimpressed
        } else {
            Verdict::Healed
        };
        Ok((verdict, None))
    }

    /// Which version has which labels.
    fn labels(&self) -> Result<Vec<(String, BTreeSet<String>)>> {
        let versions = self.cloud.aws.store().versions(&self.secret)?;
        Ok(versions.into_iter().map(|version| (version.id, version.labels)).collect())
    }

    fn arm(&self, Strike { side, number, kind }: Strike) {
        let (process, victim) = (self.worker.process(), Victim::from(self.worker.pid()));
        match side {
            Side::Aws => {
                // As often as the SDK tries a call.
                let thrice = Some(3);
                let (times, fault) = match kind {
                    Kind::Refuse => (thrice, aws::Fault::Refuse),
                    Kind::Outage => (None, aws::Fault::Refuse),
                    Kind::Hangup => (thrice, aws::Fault::Hangup),
                    Kind::DropReply => (thrice, aws::Fault::DropReply),
                    Kind::DropReplyOnce => (Some(1), aws::Fault::DropReply),
                    Kind::Silence | Kind::SilenceBefore | Kind::SilenceAfter => (thrice, aws::Fault::Silence),
                    Kind::Throttle => (thrice, aws::Fault::Throttle),
                    Kind::StaleOnce => (Some(1), aws::Fault::StaleLabels),
                    Kind::StaleLong => (Some(4), aws::Fault::StaleLabels),
                    Kind::Garble => (thrice, aws::Fault::Garble),
                    Kind::KillBefore => (Some(1), aws::Fault::KillBefore(process)),
                    Kind::KillAfter => (Some(1), aws::Fault::KillAfter(process)),
                    Kind::FreezeBefore => (Some(1), aws::Fault::FreezeBefore(process)),
                    Kind::FreezeAfter => (Some(1), aws::Fault::FreezeAfter(process)),
                };
                self.cloud.aws.fault_from(number, times, fault);
            }
            Side::Wire => {
                let fault = match kind {
                    Kind::Refuse | Kind::Hangup | Kind::Throttle => wire::Fault::Refuse,
                    Kind::Outage => return self.cloud.wire.inject(number.., wire::Fault::Refuse),
                    Kind::DropReply | Kind::DropReplyOnce => wire::Fault::DropReply,
                    Kind::Silence | Kind::SilenceBefore => wire::Fault::SilenceBefore,
                    Kind::SilenceAfter => wire::Fault::SilenceAfter,
                    Kind::KillBefore => wire::Fault::KillBefore(victim),
                    Kind::KillAfter => wire::Fault::KillAfter(victim),
                    Kind::FreezeBefore => wire::Fault::FreezeBefore(victim),
                    Kind::FreezeAfter => wire::Fault::FreezeAfter(victim),
                    // Nothing of the wire's; [`Strike`] does not let them be written.
                    Kind::StaleOnce | Kind::StaleLong | Kind::Garble => return,
                };
                self.cloud.wire.inject(number..=number, fault);
            }
        }
    }

    /// A case whose fault never came would prove nothing.
    fn has_struck(&self, strike: Strike) -> bool {
        match strike.side {
            Side::Aws => self.cloud.aws.calls().iter().any(|call| call.fault.is_some()),
            Side::Wire => self.cloud.wire.operations().len() as u64 >= strike.number,
        }
    }

    /// Lets every frozen process go on, and waits until it has nothing more to do.
    async fn thaw(&self, story: &mut Story) -> Result<()> {
        self.worker.thaw();
        for worker in [self.hasty.left(), self.patient.left()].concat() {
            worker.thaw();
            let outcome = worker.wait(REST).await?;
            ensure!(outcome != Outcome::TimedOut, "a process that was thawed does not come to an end");
            story.line(&format!("The process {} was thawed: {}", worker.pid(), brief(&outcome)));
        }
        Ok(())
    }

    fn rotation<'a>(&'a self, function: &'a Function) -> Rotation<'a> {
        Rotation::of(&self.cloud.aws, function, &self.secret)
    }

    async fn standing(&self, story: &mut Story) -> Result<Standing> {
        let standing = self.cloud.standing(&self.secret).await?;
        story.line(&format!("Standing: {standing:?}"));
        Ok(standing)
    }

    /// Whether a password that was ever in the secret, or the admin's, is in what the handler wrote.
    fn leaked(&self) -> Result<bool> {
        let mut passwords = vec![FIRST_PASSWORD.to_owned(), ADMIN_PASSWORD.to_owned()];
        for version in self.cloud.aws.store().versions(&self.secret)? {
            let value: Value = serde_json::from_str(version.text().unwrap_or("{}"))?;
            passwords.extend(value["password"].as_str().map(str::to_owned));
        }
        let outputs = [self.hasty.output(), self.patient.output(), self.respond.output()];
        Ok(passwords.iter().any(|password| outputs.iter().any(|output| output.contains(password))))
    }
}

/// A secret, and what it opens. A single user's has been rotated before, as most have.
async fn role_and_secret(cloud: &Cloud, name: &str, strategy: Strategy) -> Result<String> {
    cloud.postgres.create_role(name, FIRST_PASSWORD).await?;
    let mut fields = json!({ "dbname": DATABASE });
    if strategy == Strategy::AlternatingUsers {
        let admin = format!("{name}_admin");
        cloud.postgres.create_role(&admin, ADMIN_PASSWORD).await?;
        cloud
            .postgres
            .sql(&format!("ALTER ROLE {admin} CREATEROLE; GRANT {name} TO {admin} WITH ADMIN OPTION"))
            .await?;
        fields["masterarn"] = json!(cloud.secret(&admin, json!({ "password": ADMIN_PASSWORD, "dbname": DATABASE }))?);
    }
    let secret = cloud.secret(name, fields)?;
    let store = cloud.aws.store();
    if strategy == Strategy::SingleUser {
        let current = store.labelled(&secret, "AWSCURRENT")?.context("nothing is current")?;
        let earlier = current.text().context("no text")?.replace(FIRST_PASSWORD, "MARKED-earlier-password");
        store.put(&secret, &Uuid::new_v4().to_string(), &earlier, &[PREVIOUS])?;
    }
    Ok(secret)
}

/// What happened in a case, line by line.
#[derive(Default)]
struct Story(String);

impl Story {
    fn line(&mut self, line: &str) {
        self.0 += line;
        self.0.push('\n');
    }

    fn attempts(&mut self, heading: &str, attempts: &[Attempt]) {
        self.line(&format!("{heading}:"));
        for StepRun { step, outcome, took, calls } in attempts.iter().flat_map(|attempt| &attempt.steps) {
            self.line(&format!("  {step}: {} ({} ms)", brief(outcome), took.as_millis()));
            for Call { sequence, action, status, error, fault, .. } in calls {
                let status = status.map_or("no answer".to_owned(), |status| status.to_string());
                let [error, fault] = [*error, *fault].map(Option::unwrap_or_default);
                self.line(format!("    aws:{sequence} {action} {status} {error} {fault}").trim_end());
            }
        }
    }

    fn operations(&mut self, operations: &[wire::Operation]) {
        self.line("On the wire:");
        for wire::Operation { number, connection, what, outcome } in operations {
            self.line(&format!("  wire:{number} [{connection}] {what}: {outcome:?}"));
        }
    }

    fn output(&mut self, whose: &str, output: &Output) {
        self.line(&format!("What {whose} wrote:"));
        for Line { pid, text, .. } in output.lines() {
            self.line(&format!("  [{pid}] {text}"));
        }
    }
}

fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ok(_) => "succeeded".to_owned(),
        Outcome::Error { error_message, error_type } => format!("{error_type}: {error_message}"),
        Outcome::TimedOut | Outcome::Exited { .. } | Outcome::InitError { .. } => format!("{outcome:?}"),
    }
}
