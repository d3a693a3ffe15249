//! The act of the audit: somebody reads what is not theirs beside a rotation, and is found among its calls.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use aws_sdk_secretsmanager::Client;
use relatch_integration::aws::Endpoint;
use relatch_integration::cloud::{self, Cloud};
use relatch_integration::lambda::{Function, Outcome};
use relatch_integration::queue::Queue;
use relatch_integration::trail;
use serde_json::{Value, json};

use crate::log;
use crate::people::{OnCall, incidents};
use crate::play::{Functions, Play, attempt};
use crate::screen::{GOOD, PLAIN, STRONG, Screen, painted};
use crate::stage::{NAME, Stage};

/// How many secrets are read: with fewer, the decoy alone would be told.
const READS: u32 = 20;

/// A secret that no program uses.
const DECOY: &str = "shop-dev-secret-payments-master";

/// The role whose session the intruder has, and what it calls with.
const ROLE: &str = "shop-dev-report";
const TOOL: &str = "Boto3/1.40.0";

/// What the stand-in for CloudTrail hands over, and whom it hands it to.
pub(crate) struct Watch {
    pub(crate) audit: Function,
    queue: String,
}

/// What became of records.
#[derive(Default)]
struct Tally {
    recorded: u64,
    ignored: u64,
    duplicate: u64,
}

impl Watch {
    pub(crate) async fn begin(cloud: &Cloud) -> Result<Self> {
        for number in 1..READS {
            cloud.aws.store().create(&secret(number), "{}")?;
        }
        cloud.aws.store().create(DECOY, "{}")?;
        let policy = json!({ "decoys": { "names": [DECOY] } }).to_string();
        let audit = cloud::audit(&cloud.aws, &[("RELATCH_AUDIT_POLICY", &policy)])?;
        let queue = Queue::alone(&cloud.aws, "audit").await?.name().to_owned();
        Ok(Self { audit, queue })
    }

    /// Puts records into the queue, and has it hand them over.
    async fn hear<'a>(&self, cloud: &Cloud, records: impl Iterator<Item = &'a Value>) -> Result<Tally> {
        let queue = Queue::named(&cloud.aws, self.queue.clone());
        for record in records {
            queue.put(&record.to_string()).await?;
        }
        let already = self.audit.output().lines().len();
        let outcome = queue.deliver_all(&self.audit).await?.context("nothing waits in the queue")?;
        ensure!(outcome == Outcome::Ok(json!({ "batchItemFailures": [] })), "the audit failed: {outcome:?}");
        self.tally(already).await
    }

    /// What the function says that became of the records, in its metrics.
    async fn tally(&self, already: usize) -> Result<Tally> {
        let [recorded, ignored, duplicate] =
            log::counts(&self.audit, already, ["Recorded", "Ignored", "Duplicate"]).await?;
        Ok(Tally { recorded, ignored, duplicate })
    }
}

impl Play {
    /// A rotation and a theft at the same time, as CloudTrail tells of them.
    pub(crate) async fn intruder(
        &mut self,
        screen: &mut Screen,
        stage: &mut Stage,
        functions: &Functions,
        watch: &Watch,
        on_call: &mut OnCall,
    ) -> Result<()> {
        screen.heading("Act 7 · Somebody reads what is not theirs, beside a rotation: the audit finds it")?;
        screen.prose(
            2,
            PLAIN,
            &format!(
                "The session of a role, `{ROLE}`, is stolen. Whoever has it reads {READS} secrets within seconds; one of \
                 them is a decoy, which no program uses. Meanwhile the database's secret is rotated as in act 1:"
            ),
        )?;
        let before = (stage.until_the_application_logs_in().await?, Instant::now());
        let begun = stage.cloud.aws.mark();
        let only = attempt(screen, stage, &functions.at_finish, None).await?;
        let stolen = stage.cloud.aws.mark();
        steal(&stage.cloud.aws).await?;

        let calls = stage.cloud.aws.calls_since(begun);
        let calls = calls.iter().filter(|call| call.service == "secretsmanager");
        let started = calls.clone().next().context("the rotation made no call")?.at;
        let mut records = vec![trail::rotation_started(&stage.secret, &only.token, started)];
        records.extend(calls.map(|call| match call.sequence > stolen {
            true => trail::recorded(call, ROLE, "i-0f00", TOOL),
            false => trail::recorded(call, "relatch-dev-rotate", "rotate", "aws-sdk-rust/1.3"),
        }));
        screen.line("")?;
        let heard = Instant::now();
        let tally = watch.hear(&stage.cloud, records.iter()).await?;
        screen.prose(
            2,
            PLAIN,
            &format!(
                "CloudTrail records every call (on AWS it takes some minutes; here the demo writes its records, of the \
                 calls that came). EventBridge puts them into a queue, which hands them to the fourth function, `audit`. \
                 After {} ms it has judged {} records: {} are written down, {} do not matter. It tells people of one \
                 incident, and of the rotation nothing:",
                heard.elapsed().as_millis(),
                records.len(),
                tally.recorded,
                tally.ignored,
            ),
        )?;
        on_call.hear(screen, &stage.cloud).await?;
        incidents(screen, &on_call.receiver)?;
        let told = stage.cloud.published()?;
        let alerts: Vec<&Value> = told.iter().filter(|alert| alert["condition"] == "audit").collect();

        screen.line("")?;
        let again = watch.hear(&stage.cloud, records.iter().rev()).await?;
        let text = format!(
            "The same records come once more, in another order: {} are known, and nobody is told twice.",
            again.duplicate
        );
        screen.prose(2, GOOD, &text)?;
        let silent = stage.cloud.published()?.len() == told.len();
        let whole = self.look_up(screen, &stage.cloud).await?;

        let act = self.close("intruder", stage, before, vec![only]).await?;
        let opens = self.say(screen, stage, &act).await?;
        self.acts.push(act);
        self.expect(opens, "AWSCURRENT opens the database in the end");
        self.expect(alerts.len() == 1, "one alert tells of the intruder");
        let found = alerts.first().map(|alert| alert["found"].to_string()).unwrap_or_default();
        let named = (1..READS).map(secret).chain([DECOY.to_owned()]).all(|name| found.contains(&name));
        self.expect(named, "the alert names every secret that was read");
        self.expect(alerts.iter().all(|alert| alert["severity"] == "critical"), "a decoy is critical");
        self.expect(tally.recorded + tally.ignored == records.len() as u64, "every record is accounted for");
        self.expect(again.recorded == 0 && again.duplicate == tally.recorded, "no record is taken twice");
        self.expect(silent, "nobody is told twice");
        self.expect(whole, "the chain of changes is whole");
        Ok(())
    }

    /// What was written down, as a person asks for it. Tells whether it is what was written.
    async fn look_up(&self, screen: &mut Screen, cloud: &Cloud) -> Result<bool> {
        screen.line("")?;
        let text =
            "Who came to a secret, what was changed of it, and whether that is what was written down, can be asked:";
        screen.prose(2, PLAIN, text)?;
        let operator = cloud.operator()?.setting("RELATCH_ENVIRONMENT", "dev");
        let [(_, table), _] = Cloud::memory();
        let operator = operator.setting("RELATCH_TABLE", &table);
        let mut whole = true;
        for command in [vec!["access", DECOY], vec!["history", NAME], vec!["verify"]] {
            let answer = operator.runs(&command).await?;
            screen.line("")?;
            screen.line(&painted(STRONG, &format!("    $ relatch {}", command.join(" "))))?;
            for line in answer.stdout.lines() {
                screen.line(format!("    {line}").trim_end())?;
            }
            whole &= answer.status == 0;
        }
        Ok(whole)
    }
}

/// Reads every secret that there is to be read, with the SDK that anybody uses.
async fn steal(aws: &Endpoint) -> Result<()> {
    let client = Client::new(&aws.sdk());
    for name in (1..READS).map(secret).chain([DECOY.to_owned()]) {
        client.get_secret_value().secret_id(name).send().await?;
    }
    Ok(())
}

fn secret(number: u32) -> String {
    format!("shop-dev-secret-{number:02}")
}
