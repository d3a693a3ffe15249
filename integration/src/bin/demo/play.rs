//! The acts: what is done, what is said about it, and what must have come of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anstyle::Style;
use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use relatch::rotation::KNOCKS;
use relatch_integration::aws::store::{CURRENT, PENDING};
use relatch_integration::consumer::{Report, Window};
use relatch_integration::lambda::{Function, Outcome};
use relatch_integration::rotation::Step;
use relatch_integration::trail;
use relatch_integration::wire::{self, Fault, Operation, Victim};
use serde_json::Value;

use crate::intruder::Watch;
use crate::people::OnCall;
use crate::screen::{BAD, GOOD, PLAIN, QUIET, STRONG, Screen, painted};
use crate::stage::{Key, Keys, Scene, Stage, Strike};

/// The goals of a calm rotation: calls to Secrets Manager, connections to the database.
pub(crate) const MOST_CALLS: u64 = 12;
pub(crate) const MOST_CONNECTIONS: u64 = 4;

/// What came of the acts.
#[derive(Default)]
pub(crate) struct Play {
    pub(crate) acts: Vec<Act>,
    /// What was not as told.
    pub(crate) wrong: Vec<String>,
}

/// What came of one act.
pub(crate) struct Act {
    pub(crate) name: &'static str,
    pub(crate) attempts: Vec<Attempt>,
    /// New connections of the application, and how many were rejected.
    pub(crate) connections: u64,
    pub(crate) failed: u64,
    /// The longest time in which every new connection failed.
    pub(crate) window: Duration,
    /// From its beginning until the application had logged in again.
    pub(crate) took: Duration,
    /// From the word that the rotation had failed to the answer that it is healed.
    pub(crate) responded: Option<Duration>,
}

/// One go through the steps, up to the first that failed.
pub(crate) struct Attempt {
    /// The version that is rotated in.
    pub(crate) token: String,
    /// Whether an earlier rotation is tried again, in place of a new one.
    again: bool,
    scenes: Vec<Scene>,
}

impl Act {
    pub(crate) fn calls(&self) -> u64 {
        self.scenes().map(|scene| scene.calls).sum()
    }

    pub(crate) fn database_connections(&self) -> u64 {
        self.scenes().map(|scene| scene.connections).sum()
    }

    pub(crate) fn refused(&self) -> u64 {
        self.scenes().map(|scene| scene.refused).sum()
    }

    pub(crate) fn rolled_back(&self) -> bool {
        self.scenes().any(|scene| reason(scene) == Some("rolled-back"))
    }

    /// Whether the last attempt went through every step.
    pub(crate) fn succeeded(&self) -> bool {
        self.attempts.last().is_some_and(|attempt| attempt.scenes.iter().all(|scene| scene.run.outcome.is_ok()))
    }

    fn scenes(&self) -> impl Iterator<Item = &Scene> {
        self.attempts.iter().flat_map(|attempt| &attempt.scenes)
    }

    fn scene(&self, attempt: usize, step: Step) -> Option<&Scene> {
        self.attempts.get(attempt)?.scenes.iter().find(|scene| scene.run.step == step)
    }
}

impl Play {
    /// Plays all acts.
    pub(crate) async fn perform(
        screen: &mut Screen,
        stage: &mut Stage,
        functions: &Functions,
        watch: &Watch,
        on_call: &mut OnCall,
    ) -> Result<Self> {
        let mut play = Self::default();
        play.calm(screen, stage, &functions.at_finish).await?;
        // Where the calm rotation goes wrong, the faults of the other acts would show nothing.
        if play.wrong.is_empty() {
            play.after_verify(screen, stage, &functions.after_verify).await?;
            play.unproved(screen, stage, &functions.at_finish).await?;
            play.killed(screen, stage, &functions.at_finish).await?;
            play.given_up(screen, stage, functions, on_call).await?;
            play.locked_out(screen, stage, &functions.respond, on_call).await?;
            play.intruder(screen, stage, functions, watch, on_call).await?;
        }
        Ok(play)
    }

    async fn calm(&mut self, screen: &mut Screen, stage: &mut Stage, function: &Function) -> Result<()> {
        screen.heading("Act 1 · A calm rotation")?;
        screen.prose(
            2,
            PLAIN,
            "setSecret gives the database the new password. Applications read AWSCURRENT, which moves to the new \
             password only in finishSecret. Between the two, AWSCURRENT holds a password that the database rejects, \
             so new connections fail for a short time; open connections go on. With one user there is always such a \
             window, and on AWS it is longer than here: Secrets Manager takes its time from step to step. Act 2 makes \
             it shorter. Alternating users (a second role that takes turns with the first) remove it.",
        )?;
        let before = (stage.until_the_application_logs_in().await?, Instant::now());
        let only = attempt(screen, stage, function, None).await?;
        let act = self.end("calm", screen, stage, before, vec![only]).await?;
        let set = act.scene(0, Step::SetSecret).map(|scene| scene.keys);
        let (calls, connections, refused) = (act.calls(), act.database_connections(), act.refused());
        let window = set.is_some_and(|keys| (keys.current, keys.pending) == (Key::Rejected, Key::Opens));
        self.expect(window, "after setSecret only AWSPENDING opens the database");
        self.expect(calls <= MOST_CALLS, "a calm rotation keeps to its budget of calls");
        self.expect(connections <= MOST_CONNECTIONS, "a calm rotation keeps to its budget of connections");
        self.expect(refused == 0, "a calm rotation provokes no failed login");
        Ok(())
    }

    async fn after_verify(&mut self, screen: &mut Screen, stage: &mut Stage, function: &Function) -> Result<()> {
        screen.heading("Act 2 · The same with RELATCH_PROMOTE=after-verify")?;
        screen.prose(
            2,
            PLAIN,
            "setSecret itself moves AWSCURRENT, as soon as a login has proved the new password. The steps after it \
             find nothing left to do. The window is now as short as one login and one call.",
        )?;
        let before = (stage.until_the_application_logs_in().await?, Instant::now());
        let only = attempt(screen, stage, function, None).await?;
        let calm = self.acts.first().map_or(Duration::ZERO, |act| act.window);
        let act = self.end("after-verify", screen, stage, before, vec![only]).await?;
        let opens = act.scene(0, Step::SetSecret).is_some_and(|scene| scene.keys.current == Key::Opens);
        let text = format!("In act 1 the longest window was {} ms.", calm.as_millis());
        screen.prose(2, STRONG, &text)?;
        self.expect(opens, "with after-verify AWSCURRENT opens the database right after setSecret");
        Ok(())
    }

    async fn unproved(&mut self, screen: &mut Screen, stage: &mut Stage, function: &Function) -> Result<()> {
        screen.heading("Act 3 · The new password cannot be proved: back to the old one")?;
        screen.prose(
            2,
            PLAIN,
            "A fault between the change and the promotion: setSecret has changed the password, and now every login \
             that should prove it is cut off. Relatch does not go on with what it could not prove. The session that \
             made the change is still open and needs no password: in it the old password is put back, and a login \
             proves that too.",
        )?;
        let before = (stage.until_the_application_logs_in().await?, Instant::now());
        let proof = self.calm_operation(proof_after_change, "a proof after the change")?;
        let strike = Strike { numbers: proof..=proof + u64::from(KNOCKS) - 1, fault: Fault::Refuse };
        let first = attempt(screen, stage, function, Some(strike)).await?;
        let kept = stage.holder(PENDING)?.as_ref() == Some(&first.token);
        screen.line("")?;
        screen.prose(
            2,
            PLAIN,
            "setSecret has failed, and told Secrets Manager so. AWSPENDING is kept. Secrets Manager tries again with \
             it; the fault is gone:",
        )?;
        let second = attempt(screen, stage, function, None).await?;
        let act = self.end("rolled back", screen, stage, before, vec![first, second]).await?;
        let set = act.scene(0, Step::SetSecret).context("setSecret did not run")?;
        let struck = set.operations.iter().filter(|operation| operation.outcome == wire::Outcome::Refused).count();
        let back = set.keys.current == Key::Opens && set.keys.pending == Key::Rejected;
        let rolled_back = reason(set) == Some("rolled-back");
        self.expect(struck as u64 == u64::from(KNOCKS), "the fault struck every login of the proof");
        self.expect(rolled_back && back, "the old password is back");
        self.expect(kept, "AWSPENDING is kept after the rollback");
        Ok(())
    }

    async fn killed(&mut self, screen: &mut Screen, stage: &mut Stage, function: &Function) -> Result<()> {
        screen.heading("Act 4 · The function is killed right after the change")?;
        screen.prose(
            2,
            PLAIN,
            "PostgreSQL has carried out ALTER ROLE; in that moment the function is killed. Nobody has proved the new \
             password, and nobody is left to roll back. But AWSPENDING was stored before the database was touched, \
             as a write-ahead log would be: the password is not lost.",
        )?;
        let before = (stage.until_the_application_logs_in().await?, Instant::now());
        let change = self.calm_operation(change, "the change of the password")?;
        let process = function.process();
        let victim = Victim::By(Arc::new(move || process.signal(Signal::SIGKILL)));
        let strike = Strike { numbers: change..=change, fault: Fault::KillAfter(victim) };
        let first = attempt(screen, stage, function, Some(strike)).await?;
        screen.line("")?;
        screen.prose(
            2,
            PLAIN,
            "Until the retry, new connections with AWSCURRENT fail. The demo retries at once; on AWS, Secrets \
             Manager decides when. The retry asks the database what is true, and goes on from there:",
        )?;
        let second = attempt(screen, stage, function, None).await?;
        let act = self.end("killed", screen, stage, before, vec![first, second]).await?;
        let set = act.scene(0, Step::SetSecret).context("setSecret did not run")?;
        let killed = matches!(set.run.outcome, Outcome::Exited { .. });
        let pending_only = (set.keys.current, set.keys.pending) == (Key::Rejected, Key::Opens);
        let resumed = act.scene(1, Step::SetSecret).and_then(reason) == Some("already-set");
        self.expect(killed, "the function was killed");
        self.expect(pending_only, "after the kill AWSPENDING opens the database");
        self.expect(resumed, "the retry finds that the password is set");
        Ok(())
    }

    async fn given_up(
        &mut self,
        screen: &mut Screen,
        stage: &mut Stage,
        functions: &Functions,
        on_call: &mut OnCall,
    ) -> Result<()> {
        screen.heading("Act 5 · The same, and Secrets Manager gives up: respond heals it")?;
        screen.prose(
            2,
            PLAIN,
            "The function is killed right after the change again, and this time nobody tries again. New connections \
             with AWSCURRENT would fail until somebody notices. Secrets Manager says in CloudTrail that the rotation \
             has failed; EventBridge hands that to Relatch's second function, `respond` (on AWS some minutes later; \
             here at once).",
        )?;
        let before = (stage.until_the_application_logs_in().await?, Instant::now());
        let current = stage.holder(CURRENT)?;
        let change = self.calm_operation(change, "the change of the password")?;
        let process = functions.at_finish.process();
        let victim = Victim::By(Arc::new(move || process.signal(Signal::SIGKILL)));
        let strike = Strike { numbers: change..=change, fault: Fault::KillAfter(victim) };
        let only = attempt(screen, stage, &functions.at_finish, Some(strike)).await?;
        screen.line("")?;
        let heard = Instant::now();
        let outcome = functions.respond.invoke(trail::rotation_failed(&stage.secret, &only.token)).await?;
        let responded = heard.elapsed();
        let Outcome::Ok(answer) = outcome else { bail!("respond did not answer: {outcome:?}") };
        let lines = |field: &str| answer[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        let text = format!("After {} ms respond answers:", responded.as_millis());
        screen.prose(2, STRONG, &text)?;
        for (heading, style, field) in
            [("found", PLAIN, "found"), ("done", GOOD, "done"), ("left to do", PLAIN, "toDo")]
        {
            for line in lines(field) {
                screen.prose(14, style, &format!("{heading}: {line}"))?;
            }
        }
        let told = stage.cloud.published()?;
        screen.line("")?;
        screen.prose(
            2,
            PLAIN,
            "And it tells the people on call. Its alert goes to an SNS topic, whose queue hands it to the third function, \
             `notify`; and that to Slack and PagerDuty (local ones, which refuse what the real ones would refuse):",
        )?;
        on_call.hear(screen, &stage.cloud).await?;
        let mut act = self.close("given up", stage, before, vec![only]).await?;
        act.responded = Some(responded);
        let opens = self.say(screen, stage, &act).await?;
        let undone = stage.holder(CURRENT)? == current;
        let set = act.scene(0, Step::SetSecret).context("setSecret did not run")?;
        let killed = matches!(set.run.outcome, Outcome::Exited { .. });
        let through_pending = answer["rungs"][0]["rung"] == "through-pending";
        self.acts.push(act);
        self.expect(told.len() == 1, "people are told once");
        self.expect(killed, "the function was killed");
        self.expect(opens, "AWSCURRENT opens the database when respond has answered");
        self.expect(undone, "AWSCURRENT is the version that it was");
        self.expect(through_pending, "respond put the password back through a login with AWSPENDING");
        Ok(())
    }

    /// Waits for the application, and says and keeps what came of an act that ends with a complete rotation.
    async fn end(
        &mut self,
        name: &'static str,
        screen: &mut Screen,
        stage: &Stage,
        before: (Report, Instant),
        attempts: Vec<Attempt>,
    ) -> Result<&Act> {
        let act = self.close(name, stage, before, attempts).await?;
        let opens = self.say(screen, stage, &act).await?;
        let token = act.attempts.first().map(|attempt| attempt.token.clone());
        let promoted = token.is_some() && token == stage.holder(CURRENT)?;
        let retried =
            act.attempts.iter().skip(1).all(|attempt| attempt.again && Some(&attempt.token) == token.as_ref());
        let succeeded = act.succeeded();
        self.acts.push(act);
        self.expect(succeeded, "the rotation succeeds in the end");
        self.expect(promoted, "the new version is AWSCURRENT");
        self.expect(opens, "AWSCURRENT opens the database in the end");
        self.expect(retried, "a retry goes on with the same AWSPENDING");
        self.acts.last().context("no act")
    }

    /// Waits for the application, and tells what came of an act.
    pub(crate) async fn close(
        &mut self,
        name: &'static str,
        stage: &Stage,
        (before, began): (Report, Instant),
        attempts: Vec<Attempt>,
    ) -> Result<Act> {
        let report = stage.until_the_application_logs_in().await?;
        let windows = report.windows.iter().skip(before.windows.len());
        let kind = report.failures.keys().all(|kind| kind == "28P01");
        self.expect(kind, "the application never failed for another reason than a rejected password (28P01)");
        Ok(Act {
            name,
            attempts,
            connections: report.connections - before.connections,
            failed: report.failed - before.failed,
            took: began.elapsed(),
            window: windows.filter_map(Window::length).max().unwrap_or_default(),
            responded: None,
        })
    }

    /// Says what came of an act; returns whether AWSCURRENT opens the database now.
    pub(crate) async fn say(&self, screen: &mut Screen, stage: &Stage, act: &Act) -> Result<bool> {
        let opens = stage.keys().await?.current == Key::Opens;
        let said = format!(
            "The application made {} new connections; {} failed, the longest window was {} ms. Now AWSCURRENT {} the \
             database.",
            act.connections,
            act.failed,
            act.window.as_millis(),
            if opens { "opens" } else { "does not open" },
        );
        screen.line("")?;
        screen.prose(2, STRONG, &said)?;
        Ok(opens)
    }

    pub(crate) fn expect(&mut self, held: bool, what: &str) {
        if !held {
            let act = self.acts.last().map_or("", |act| act.name);
            self.wrong.push(format!("By the end of the act `{act}` this was to be true, and was not: {what}."));
        }
    }

    /// The number of an operation of setSecret, as it was in the calm rotation.
    fn calm_operation(&self, find: fn(&[Operation]) -> Option<&Operation>, what: &str) -> Result<u64> {
        let calm = self.acts.first().and_then(|act| act.scene(0, Step::SetSecret)).context("there was no setSecret")?;
        Ok(find(&calm.operations).with_context(|| format!("setSecret did without {what}"))?.number)
    }
}

/// The `rotate` function, with its defaults and with the early promotion, and the `respond` function.
pub(crate) struct Functions {
    pub(crate) respond: Function,
    pub(crate) at_finish: Function,
    pub(crate) after_verify: Function,
}

/// Goes through the steps, up to the first that fails, and shows them.
pub(crate) async fn attempt(
    screen: &mut Screen,
    stage: &mut Stage,
    function: &Function,
    mut strike: Option<Strike>,
) -> Result<Attempt> {
    let (token, again) = stage.begin()?;
    screen.line("")?;
    heads(screen)?;
    let mut scenes = Vec::new();
    for step in Step::ALL {
        let strike = if step == Step::SetSecret { strike.take() } else { None };
        let scene = stage.step(function, &token, step, strike).await?;
        show(screen, &scene)?;
        let failed = !scene.run.outcome.is_ok();
        scenes.push(scene);
        if failed {
            break;
        }
    }
    Ok(Attempt { token, again, scenes })
}

fn heads(screen: &mut Screen) -> Result<()> {
    let upper = format!("{:55}{:^27}{:>6}{:>12}", "", "new logins with AWS…", "AWS", "database");
    let lower = format!(
        "{:>10}  {:43}{:^9}{:^9}{:^9}{:>6}{:>12}",
        "time", "step, and how it ended", "CURRENT", "PENDING", "PREVIOUS", "calls", "connections",
    );
    screen.line(&painted(STRONG, &upper))?;
    Ok(screen.line(&painted(STRONG, &lower))?)
}

fn show(screen: &mut Screen, scene: &Scene) -> Result<()> {
    let ended = match (&scene.told.end, &scene.run.outcome) {
        (Some(end), _) => format!("{}: {}", end.plan, end.reason),
        (None, Outcome::Exited { status }) => format!("ended by {status}"),
        (None, Outcome::TimedOut) => "out of time".to_owned(),
        (None, Outcome::Ok(_) | Outcome::Error { .. } | Outcome::InitError { .. }) => "did not start".to_owned(),
    };
    let colour = if scene.run.outcome.is_ok() { GOOD } else { BAD };
    let Keys { current, pending, previous } = scene.keys;
    screen.line(&format!(
        "{:>8.3} s  {:<13} {}{}{}{}{:>6}{:>12}",
        scene.at.as_secs_f64(),
        scene.run.step.to_string(),
        painted(colour, &format!("{ended:<29}")),
        // Only of AWSCURRENT, which applications use, it is bad news.
        glyph(current, BAD),
        glyph(pending, QUIET),
        glyph(previous, QUIET),
        scene.calls,
        scene.connections,
    ))?;
    // The step's name stands above.
    let sentence = scene.told.end.as_ref().map(|end| end.message.split_once(": ").map_or("", |(_, rest)| rest));
    let said: Vec<&str> = scene.told.done.iter().map(String::as_str).chain(sentence).collect();
    if said.is_empty() {
        return Ok(());
    }
    Ok(screen.prose(14, QUIET, &said.join(" → "))?)
}

/// Whether a version is let in, in the middle of a column.
fn glyph(key: Key, rejected: Style) -> String {
    let (style, glyph) = match key {
        Key::Opens => (GOOD, "✓"),
        Key::Rejected => (rejected, "✗"),
        Key::None => (QUIET, "–"),
    };
    painted(style, &format!("{glyph:^9}"))
}

fn reason(scene: &Scene) -> Option<&str> {
    Some(scene.told.end.as_ref()?.reason.as_str())
}

fn change(operations: &[Operation]) -> Option<&Operation> {
    operations.iter().find(|operation| operation.what.starts_with("Query: ALTER ROLE"))
}

/// The first thing that is asked on a connection that was opened after the change.
fn proof_after_change(operations: &[Operation]) -> Option<&Operation> {
    let change = change(operations)?;
    operations.iter().find(|later| later.number > change.number && later.connection > change.connection)
}
