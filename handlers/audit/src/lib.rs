//! CloudTrail's records → ledger, findings, alerts.
//!
//! Only wiring: what a record means is decided in [`relatch_events::fact`], what is to be said of it in
//! [`relatch::audit::judge`], in which order it is done in [`relatch::audit::intake`].

mod file;

use file::Unread;
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, Error, LambdaEvent};
use relatch::{
    adapters::{
        self,
        anchors::{KmsKey, LockedBucket},
        bus::EventBus,
        objects::S3,
        parameters::SsmParameter,
        table::DynamoTable,
        topic::SnsTopic,
    },
    alert::{Alerts, findings},
    audit::{
        anchor::{self, NotAnchored},
        intake::{Intake, Tally},
        policy::CurrentPolicy,
    },
    config::{Audit, PolicyFrom},
    containment::ask::Asking,
    invocation::deadline,
    ports::{Anchors, Baselines, Bus, CallError, Ledger, Notary, Objects, Operations, Register, Requests, Topic},
    telemetry,
};
use relatch_events::{
    cloudtrail::{
        envelope::{Content, FileKind, Invocation, LogFile, Parcel, Sender, UnknownContent},
        log,
        record::Malformed,
    },
    fact::Fact,
    guardduty,
};
use serde_json::{Value, json, value::RawValue};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};
use tracing::{error, info};

/// Kept back of the invocation's time, for saying what happened.
const RESERVE: Duration = Duration::from_millis(1_500);

/// The handler, over an outside that tests may replace.
#[derive(Debug, Clone)]
pub struct App<L, T, P, B, O, A, N> {
    /// Where facts are taken in.
    pub intake: Intake<L, T, P, B>,
    /// Where files are.
    pub objects: O,
    /// Where the chain of changes is anchored, if anywhere, and who signs that.
    pub anchorage: Option<(A, N)>,
}

impl App<DynamoTable, DynamoTable, Option<SnsTopic>, EventBus, S3, LockedBucket, KmsKey> {
    /// The handler over AWS, by the environment.
    ///
    /// # Errors
    /// When a setting is wrong; the error names every one.
    pub async fn from_env() -> Result<Self, Error> {
        let Audit { common, table, policy, own, kept, measures, anchors } = Audit::from_env()?;
        let sdk = adapters::sdk_config(common.rotation.patience).await;
        let policy = match policy {
            PolicyFrom::Setting(policy) => own.added_to(*policy).into(),
            PolicyFrom::Parameter(name) => {
                let parameter = Arc::new(SsmParameter::new(&sdk, name));
                let policy = CurrentPolicy::of(parameter, own, Timestamp::now()).await;
                policy.map_err(|problem| format!("RELATCH_AUDIT_POLICY: {}", telemetry::chain(&problem)))?
            }
        };
        let table = DynamoTable::new(&sdk, table);
        let topic = common.people.topic.map(|arn| SnsTopic::new(&sdk, arn).read_by(common.audience.clone()));
        let alerts = Alerts {
            table: table.clone(),
            topic,
            policy: common.people.policy,
            language: common.audience.language,
            metrics: common.metrics,
        };
        let bus = (!measures.is_empty()).then(|| EventBus::new(&sdk));
        let asking = Asking { bus, measures };
        let anchorage = anchors.map(|at| (LockedBucket::new(&sdk, at.bucket), KmsKey::new(&sdk, at.key)));
        Ok(Self {
            intake: Intake { ledger: table, alerts, policy, kept, asking, flood: Arc::default() },
            objects: S3::new(&sdk),
            anchorage,
        })
    }
}

/// Why a message goes back to where it came from, in the end to the queue of what could not be handled.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("it holds nothing that is known here: {0}")]
    Unknown(#[from] UnknownContent),
    #[error("its record cannot be read: {0}")]
    Malformed(#[from] Malformed),
    #[error("s3://{bucket}/{key}: {why}")]
    File { bucket: String, key: String, why: Unread },
    #[error("it was not taken in: {0}")]
    Interrupted(String),
}

/// What is to be taken in of a parcel.
enum Opened {
    Fact(Box<Fact>),
    Files(Vec<LogFile>),
    Nothing,
}

impl<L: Ledger + Baselines + Operations + Requests, T: Register, P: Topic, B: Bus, O: Objects, A: Anchors, N: Notary>
    App<L, T, P, B, O, A, N>
{
    /// Takes in what was handed over. A queue is told which messages failed: those that cannot be read, or that name a
    /// file that cannot be read to its end, each by itself, or, when a call failed, all that held a fact.
    ///
    /// # Errors
    /// When it was not a queue that handed it over, and anything failed; then the whole is to be handed over again.
    pub async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Value, Diagnostic> {
        let invocation = Invocation::parse(event.payload.get().as_bytes()).map_err(|problem| {
            error!(error.kind = "Audit.BadEvent", "The event cannot be used: {problem}");
            diagnostic("Audit.BadEvent", format!("the event cannot be used: {problem}"))
        })?;
        if let [Parcel { content: Ok(Content::Anchor), .. }] = invocation.parcels.as_slice() {
            return self.anchor().await;
        }
        let deadline = deadline(event.context.deadline, RESERVE);
        let (mut tally, mut failed) = (Tally::default(), Vec::new());
        let (mut facts, mut bearers) = (Vec::new(), Vec::new());
        let mut files = Vec::new();
        for parcel in invocation.parcels {
            match opened(&parcel, &mut tally) {
                Ok(Opened::Fact(fact)) => {
                    facts.push(*fact);
                    bearers.push(parcel.message_id);
                }
                Ok(Opened::Files(named)) => files.push((parcel.message_id, named)),
                Ok(Opened::Nothing) => {}
                Err(problem) => failed.push((parcel.message_id, problem)),
            }
        }
        if let Err(problem) = Box::pin(self.intake.take(facts, &mut tally)).await {
            failed.extend(bearers.into_iter().map(|message| (message, interrupted(&problem))));
        }
        for (message, files) in files {
            for file in files {
                if let Err(why) = self.read(&file, &mut tally, deadline).await {
                    let LogFile { bucket, key, size: _ } = file;
                    failed.push((message.clone(), Problem::File { bucket, key, why }));
                }
            }
        }
        for (message, problem) in &failed {
            error!(error.kind = "Audit.Failed", message.id = message, "A message was not taken in: {problem}");
        }
        self.intake.alerts.metrics.records(&tally);
        answer(invocation.from, &failed, &tally)
    }

    /// Anchors the end of the chain of changes, if that has moved.
    async fn anchor(&self) -> Result<Value, Diagnostic> {
        let Some((anchors, notary)) = &self.anchorage else {
            let problem = "RELATCH_ANCHORS_BUCKET and RELATCH_ANCHORS_KEY are not set: the chain is not anchored";
            error!(error.kind = "Audit.NotAnchored", "{problem}");
            return Err(diagnostic("Audit.NotAnchored", problem.to_owned()));
        };
        let Intake { ledger, alerts, .. } = &self.intake;
        let anchored = anchor::anchor(ledger, anchors, notary, alerts.metrics.environment, Timestamp::now());
        let anchored = Box::pin(anchored).await;
        self.tell_of_ledger(&anchored).await;
        match anchored {
            Ok(None) => Ok(json!({ "anchored": null })),
            Ok(Some(signed)) => {
                let (sequence, place) = (signed.anchor.head.sequence, signed.place());
                info!(chain.sequence = sequence, chain.anchor = place, "The chain of changes is anchored");
                Ok(json!({ "anchored": sequence, "place": place }))
            }
            Err(problem) => {
                let kind = match problem {
                    NotAnchored::Broken(_) => "Audit.ChainBroken",
                    NotAnchored::Interrupted(_) | NotAnchored::WrongKey(_) => "Audit.NotAnchored",
                };
                error!(error.kind = kind, "The chain of changes is not anchored: {problem}");
                Err(diagnostic(kind, problem.to_string()))
            }
        }
    }

    /// Tells people that the ledger is broken, once while it is; and that it is not any more. Of what was not anchored for
    /// another reason nothing is known.
    async fn tell_of_ledger<X>(&self, anchored: &Result<X, NotAnchored>) {
        let Alerts { language, metrics, .. } = &self.intake.alerts;
        let alert = |broken| findings::of_ledger(broken, metrics.environment, *language);
        let told = match anchored {
            Ok(_) => self.intake.alerts.resolve(&alert(None), Timestamp::now()).await,
            Err(NotAnchored::Broken(broken)) => self.intake.alerts.raise(&alert(Some(broken)), Timestamp::now()).await,
            Err(NotAnchored::Interrupted(_) | NotAnchored::WrongKey(_)) => return,
        };
        if let Err(problem) = told {
            error!(error = %problem, "What is known of the ledger could not be told");
        }
    }

    /// Takes in what a file holds, as far as there is time.
    async fn read(&self, file: &LogFile, tally: &mut Tally, deadline: Instant) -> Result<(), Unread> {
        let take_in = async |facts, tally: &mut Tally| self.intake.take(facts, tally).await;
        let read = Box::pin(file::read(&self.objects, file, tally, take_in));
        timeout_at(deadline, read).await.unwrap_or(Err(Unread::TooLate))
    }
}

/// What a parcel holds. Counts what does not matter and what cannot be read.
fn opened(parcel: &Parcel<'_>, tally: &mut Tally) -> Result<Opened, Problem> {
    match &parcel.content {
        Ok(Content::Record(json)) => counted(log::read(json.as_bytes()), tally),
        Ok(Content::Event { source, kind, detail }) if source == guardduty::SOURCE && kind == guardduty::KIND => {
            counted(guardduty::fact(detail.as_bytes()), tally)
        }
        Ok(Content::Files(files)) => {
            let logs = files.iter().filter(|file| file.kind() == FileKind::Log);
            Ok(Opened::Files(logs.cloned().collect()))
        }
        Ok(Content::Event { source, kind, detail: _ }) => {
            info!(event.source = source, event.kind = kind, "An event that holds no record");
            Ok(Opened::Nothing)
        }
        Ok(Content::Anchor | Content::Nothing) => Ok(Opened::Nothing),
        Err(why) => {
            tally.malformed += 1;
            Err((*why).into())
        }
    }
}

fn counted(read: Result<Option<Fact>, Malformed>, tally: &mut Tally) -> Result<Opened, Problem> {
    tally.ignored += u64::from(matches!(read, Ok(None)));
    tally.malformed += u64::from(read.is_err());
    Ok(read?.map_or(Opened::Nothing, |fact| Opened::Fact(Box::new(fact))))
}

fn interrupted(problem: &CallError) -> Problem {
    Problem::Interrupted(problem.to_string())
}

/// A queue is told which messages to bring again. If one of them has no name, all of them are.
fn answer(to: Sender, failed: &[(String, Problem)], tally: &Tally) -> Result<Value, Diagnostic> {
    let nameless = failed.iter().any(|(message, _)| message.is_empty());
    match to {
        Sender::Queue if !nameless => {
            // Each once, also where several of the files that it names cannot be read.
            let mut failed: Vec<&str> = failed.iter().map(|(message, _)| message.as_str()).collect();
            failed.dedup();
            let failures = failed.iter().map(|message| json!({ "itemIdentifier": message }));
            Ok(json!({ "batchItemFailures": failures.collect::<Vec<_>>() }))
        }
        Sender::Queue | Sender::Direct if failed.is_empty() => {
            let Tally { recorded, ignored, duplicate, malformed, flooded } = tally;
            let mut counts =
                json!({ "recorded": recorded, "ignored": ignored, "duplicate": duplicate, "malformed": malformed });
            if *flooded > 0 {
                counts["flooded"] = json!(flooded);
            }
            Ok(counts)
        }
        Sender::Queue | Sender::Direct => {
            let why: Vec<String> = failed.iter().map(|(_, problem)| problem.to_string()).collect();
            Err(diagnostic("Audit.Failed", why.join("; ")))
        }
    }
}

fn diagnostic(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message }
}
