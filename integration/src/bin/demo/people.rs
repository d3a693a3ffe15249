//! The last act: what the people on call get, and how they read it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use relatch_integration::aws::store::CURRENT;
use relatch_integration::lambda::{Function, Outcome};
use relatch_integration::queue::Queue;
use relatch_integration::receiver::{Message, Receiver};
use relatch_integration::trail;
use serde_json::Value;

use crate::play::{Functions, Play};
use crate::screen::{BAD, GOOD, PLAIN, QUIET, STRONG, Screen, painted};
use crate::stage::{NAME, Stage};

/// The secret that holds the keys to the channels.
pub(crate) const CHANNELS: &str = "relatch-channels";

/// What somebody sets by hand.
const BY_HAND: &str = "by hand";

impl Play {
    /// Somebody changes the password by hand; people are told, mend it, and are told that it is over.
    pub(crate) async fn locked_out(
        &mut self,
        screen: &mut Screen,
        stage: &Stage,
        functions: &Functions,
        receiver: &Receiver,
    ) -> Result<()> {
        screen.heading("Act 6 · Nothing that Relatch may do helps: the people on call are told")?;
        screen.prose(
            2,
            PLAIN,
            "Somebody changes the password in the database by hand. No version of the secret opens it any more, and \
             there is no admin user that could set it. Nobody says that anything is wrong, either: `respond` finds it \
             on its next sweep, and publishes an alert to an SNS topic. A queue takes it to the third function, \
             `notify`, which tells Slack and PagerDuty (local ones, that refuse what the real ones would refuse).",
        )?;
        let before = (stage.until_the_application_logs_in().await?, Instant::now());
        let queue = Queue::subscribe(&stage.cloud.aws, false).await?;
        stage.cloud.postgres.sql(&format!("ALTER ROLE {NAME} PASSWORD '{BY_HAND}'")).await?;
        let clock = Instant::now();
        sweep(&functions.respond).await?;
        deliver(&queue, &functions.notify).await?;
        said(screen, "From the sweep's beginning to the messages", clock.elapsed())?;
        for message in receiver.messages() {
            slack(screen, &message)?;
        }
        incidents(screen, receiver)?;
        let told = receiver.messages();
        let open = receiver.incidents().values().filter(|incident| incident.open).count();

        screen.line("")?;
        screen.prose(
            2,
            PLAIN,
            "Whoever is on call does what the message says, and sets the role's password to that of AWSCURRENT. The \
             next sweep finds that it opens the database. In Slack the message is edited, and what is new is added to \
             its thread:",
        )?;
        let version = stage.cloud.aws.store().labelled(&stage.secret, CURRENT)?.context("no AWSCURRENT")?;
        let value: Value = serde_json::from_str(version.text().context("AWSCURRENT has no text")?)?;
        let password = value["password"].as_str().context("AWSCURRENT has no password")?;
        // The verifier, so that the password is in no log.
        let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
        stage.cloud.postgres.sql(&format!("ALTER ROLE {NAME} PASSWORD '{verifier}'")).await?;
        sweep(&functions.respond).await?;
        deliver(&queue, &functions.notify).await?;
        for message in receiver.messages() {
            slack(screen, &message)?;
        }
        incidents(screen, receiver)?;
        let over = receiver.messages();

        let act = self.close("locked out", stage, before, Vec::new()).await?;
        let opens = self.say(screen, stage, &act).await?;
        self.acts.push(act);
        self.expect(opens, "AWSCURRENT opens the database in the end");
        self.expect(told.len() == 1 && open == 1, "one message and one incident tell of the lock-out");
        self.expect(
            over.len() == 2 && over[0].edits == 1,
            "the message is edited, and its thread says that it is over",
        );
        self.expect(receiver.incidents().values().all(|incident| !incident.open), "the incident is closed");
        Ok(())
    }
}

async fn sweep(respond: &Function) -> Result<()> {
    let outcome = respond.invoke(trail::scheduled()).await?;
    ensure!(outcome.is_ok(), "the sweep failed: {outcome:?}");
    Ok(())
}

/// Hands everything that waits to the notifier.
async fn deliver(queue: &Queue<'_>, notify: &Function) -> Result<()> {
    while let Some(outcome) = queue.deliver(notify).await? {
        match outcome {
            Outcome::Ok(answer) if answer["batchItemFailures"] == Value::Array(Vec::new()) => {}
            other => bail!("the notifier did not deliver: {other:?}"),
        }
    }
    Ok(())
}

fn said(screen: &mut Screen, what: &str, took: Duration) -> Result<()> {
    screen.line("")?;
    Ok(screen.prose(2, STRONG, &format!("{what}: {} ms.", took.as_millis()))?)
}

/// A message as Slack shows it, as well as a terminal can.
fn slack(screen: &mut Screen, message: &Message) -> Result<()> {
    screen.line("")?;
    let edited = if message.edits > 0 { ", edited" } else { "" };
    let place = if message.thread.is_some() { "Slack, in the thread" } else { "Slack, #alerts" };
    screen.line(&painted(QUIET, &format!("    ┌─ {place}{edited}")))?;
    let blocks = message.blocks.as_array().map_or(&[][..], Vec::as_slice);
    if blocks.is_empty() {
        row(screen, PLAIN, &message.text)?;
    }
    for block in blocks {
        match block["type"].as_str().unwrap_or_default() {
            "header" => row(screen, STRONG, text(&block["text"]))?,
            "section" => section(screen, block)?,
            "actions" => {
                let labels = elements(block, |button| format!("[ {} ]", text(&button["text"])));
                row(screen, PLAIN, &labels.join("  "))?;
            }
            _ => row(screen, QUIET, &elements(block, |element| text(element).to_owned()).join("  "))?,
        }
    }
    Ok(screen.line(&painted(QUIET, "    └─"))?)
}

fn section(screen: &mut Screen, block: &Value) -> Result<()> {
    if let Some(fields) = block["fields"].as_array() {
        let fields: Vec<String> = fields.iter().map(|field| text(field).replace('\n', " ").replace('*', "")).collect();
        return row(screen, PLAIN, &fields.join("  ·  "));
    }
    for line in text(&block["text"]).lines() {
        let heading = line.strip_prefix('*').and_then(|line| line.strip_suffix('*'));
        row(screen, if heading.is_some() { STRONG } else { PLAIN }, heading.unwrap_or(line))?;
    }
    Ok(())
}

fn row(screen: &mut Screen, style: anstyle::Style, text: &str) -> Result<()> {
    let text = text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    Ok(screen.bordered("    │ ", style, &text)?)
}

fn elements(block: &Value, each: impl Fn(&Value) -> String) -> Vec<String> {
    block["elements"].as_array().into_iter().flatten().map(each).collect()
}

fn text(value: &Value) -> &str {
    value["text"].as_str().unwrap_or_default()
}

fn incidents(screen: &mut Screen, receiver: &Receiver) -> Result<()> {
    for incident in receiver.incidents().values() {
        let (style, state) = if incident.open { (BAD, "triggered") } else { (GOOD, "resolved") };
        screen.line("")?;
        screen.line(&format!(
            "    PagerDuty: incident {} ({}): {}",
            painted(style, state),
            incident.severity,
            incident.summary
        ))?;
    }
    Ok(())
}
