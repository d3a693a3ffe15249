//! What the people on call get, and how they read it.

use std::time::Instant;

use anyhow::{Result, ensure};
use relatch_integration::cloud::Cloud;
use relatch_integration::lambda::{Function, Outcome};
use relatch_integration::queue::Queue;
use relatch_integration::receiver::{Message, Receiver};
use relatch_integration::trail;
use serde_json::{Value, json};

use crate::play::Play;
use crate::screen::{BAD, GOOD, PLAIN, QUIET, STRONG, Screen, painted};
use crate::stage::{NAME, Stage};

/// The secret that holds the keys to the channels.
const CHANNELS: &str = "relatch-channels";

/// What somebody sets by hand.
const BY_HAND: &str = "by hand";

/// Who is told, and what they have seen.
pub(crate) struct OnCall {
    pub(crate) receiver: Receiver,
    pub(crate) notify: Function,
    queue: String,
    seen: Vec<Message>,
}

impl OnCall {
    /// Slack and PagerDuty, the notifier, and its queue behind the topic.
    pub(crate) async fn begin(cloud: &Cloud, memory: &[(&str, &str)]) -> Result<Self> {
        let receiver = Receiver::start().await?;
        cloud.aws.store().create(CHANNELS, &receiver.secret_with_bot().to_string())?;
        let queue = Queue::subscribe(&cloud.aws, false).await?.name().to_owned();
        let settings = receiver.settings();
        let settings = settings.iter().map(|(name, value)| (*name, value.as_str()));
        let settings: Vec<(&str, &str)> =
            settings.chain([("RELATCH_CHANNELS_SECRET", CHANNELS)]).chain(memory.iter().copied()).collect();
        let notify = cloud.notify_with(&settings)?;
        Ok(Self { receiver, notify, queue, seen: Vec::new() })
    }

    /// Has the notifier tell what waits in its queue, and shows what is new or edited.
    pub(crate) async fn hear(&mut self, screen: &mut Screen, cloud: &Cloud) -> Result<()> {
        let queue = Queue::named(&cloud.aws, self.queue.clone());
        while let Some(outcome) = queue.deliver(&self.notify).await? {
            let delivered = matches!(&outcome, Outcome::Ok(answer) if answer["batchItemFailures"] == json!([]));
            ensure!(delivered, "the notifier did not deliver: {outcome:?}");
        }
        let messages = self.receiver.messages();
        for message in messages.iter().filter(|message| !self.seen.contains(message)) {
            slack(screen, message)?;
        }
        self.seen = messages;
        Ok(())
    }
}

impl Play {
    /// Somebody changes the password by hand; people are told, mend it, and are told that it is over.
    pub(crate) async fn locked_out(
        &mut self,
        screen: &mut Screen,
        stage: &Stage,
        respond: &Function,
        on_call: &mut OnCall,
    ) -> Result<()> {
        screen.heading("Act 6 · Nothing that Relatch may do helps: the people on call are told")?;
        screen.prose(
            2,
            PLAIN,
            "Somebody changes the password in the database by hand. No version of the secret opens it any more, and \
             there is no admin user that could set it. Nobody says that anything is wrong, either: `respond` finds it \
             on its next sweep, and tells.",
        )?;
        let before = (stage.until_the_application_logs_in().await?, Instant::now());
        let heard = on_call.seen.len();
        stage.cloud.postgres.sql(&format!("ALTER ROLE {NAME} PASSWORD '{BY_HAND}'")).await?;
        sweep(respond).await?;
        on_call.hear(screen, &stage.cloud).await?;
        incidents(screen, &on_call.receiver)?;
        let one_message = on_call.seen.len() == heard + 1;
        let one_incident = on_call.receiver.incidents().values().filter(|incident| incident.open).count() == 1;

        screen.line("")?;
        screen.prose(
            2,
            PLAIN,
            "Whoever is on call does what the message says, and sets the role's password to that of AWSCURRENT. The \
             next sweep finds that it opens the database. In Slack the messages are edited, and their threads say so:",
        )?;
        stage.set_password_of_current().await?;
        sweep(respond).await?;
        on_call.hear(screen, &stage.cloud).await?;
        incidents(screen, &on_call.receiver)?;
        let told_of_the_end = |message: &Message| message.thread.is_some() || message.text.contains("RESOLVED");

        let act = self.close("locked out", stage, before, Vec::new()).await?;
        let opens = self.say(screen, stage, &act).await?;
        self.acts.push(act);
        self.expect(opens, "AWSCURRENT opens the database in the end");
        self.expect(one_message && one_incident, "one message and one incident tell of the lock-out");
        self.expect(on_call.seen.iter().all(told_of_the_end), "every message says in the end that it is over");
        let over = on_call.receiver.incidents().values().all(|incident| !incident.open);
        self.expect(over, "the incident is closed");
        Ok(())
    }
}

async fn sweep(respond: &Function) -> Result<()> {
    let outcome = respond.invoke(trail::scheduled()).await?;
    ensure!(outcome.is_ok(), "the sweep failed: {outcome:?}");
    Ok(())
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

pub(crate) fn incidents(screen: &mut Screen, receiver: &Receiver) -> Result<()> {
    for incident in receiver.incidents().values() {
        let (style, state) = if incident.open { (BAD, "triggered") } else { (GOOD, "resolved") };
        screen.line("")?;
        let text = format!("PagerDuty, incident {state} ({}): {}", incident.severity, incident.summary);
        screen.prose(4, style, &text)?;
    }
    Ok(())
}
