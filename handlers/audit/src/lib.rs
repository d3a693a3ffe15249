//! CloudTrail's records → ledger, findings, alerts.
//!
//! Only wiring: what a record means is decided in [`relatch_events::fact`], what is to be said of it in
//! [`relatch::audit::judge`], in which order it is done in [`relatch::audit::intake`].

use jiff::Timestamp;
use lambda_runtime::{Diagnostic, Error, LambdaEvent};
use relatch::{
    adapters::{self, parameters::SsmParameter, table::DynamoTable, topic::SnsTopic},
    alert::Alerts,
    audit::{
        intake::{Intake, Tally},
        policy::CurrentPolicy,
    },
    config::{Audit, PolicyFrom},
    ports::{Baselines, CallError, Ledger, Operations, Register, Topic},
    telemetry,
};
use relatch_events::{
    cloudtrail::{
        envelope::{Content, FileKind, Invocation, Parcel, Sender, UnknownContent},
        log,
        record::Malformed,
    },
    fact::Fact,
    guardduty,
};
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;
use tracing::{error, info};

/// The handler, over an outside that tests may replace.
#[derive(Debug, Clone)]
pub struct App<L, T, P> {
    /// Where facts are taken in.
    pub intake: Intake<L, T, P>,
}

impl App<DynamoTable, DynamoTable, Option<SnsTopic>> {
    /// The handler over AWS, by the environment.
    ///
    /// # Errors
    /// When a setting is wrong; the error names every one.
    pub async fn from_env() -> Result<Self, Error> {
        let Audit { common, table, policy, kept } = Audit::from_env()?;
        let sdk = adapters::sdk_config(common.rotation.patience).await;
        let policy = match policy {
            PolicyFrom::Setting(policy) => (*policy).into(),
            PolicyFrom::Parameter(name) => {
                let parameter = Arc::new(SsmParameter::new(&sdk, name));
                let policy = CurrentPolicy::of(parameter, Timestamp::now()).await;
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
        Ok(Self { intake: Intake { ledger: table, alerts, policy, kept } })
    }
}

/// Why a message goes back to where it came from, in the end to the queue of what could not be handled.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("it holds nothing that is known here: {0}")]
    Unknown(#[from] UnknownContent),
    #[error("its record cannot be read: {0}")]
    Malformed(#[from] Malformed),
    #[error("it names files of records, which are not read yet")]
    Files,
    #[error("it was not taken in: {0}")]
    Interrupted(String),
}

impl<L: Ledger + Baselines + Operations, T: Register, P: Topic> App<L, T, P> {
    /// Takes in what was handed over. A queue is told which messages failed: those that cannot be read, each by itself,
    /// or, when a call failed, all that held a fact.
    ///
    /// # Errors
    /// When it was not a queue that handed it over, and anything failed; then the whole is to be handed over again.
    pub async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Value, Diagnostic> {
        let invocation = Invocation::parse(event.payload.get().as_bytes()).map_err(|problem| {
            error!(error.kind = "Audit.BadEvent", "The event cannot be used: {problem}");
            diagnostic("Audit.BadEvent", format!("the event cannot be used: {problem}"))
        })?;
        let (mut tally, mut failed) = (Tally::default(), Vec::new());
        let (mut facts, mut bearers) = (Vec::new(), Vec::new());
        for parcel in invocation.parcels {
            match opened(&parcel, &mut tally) {
                Ok(Some(fact)) => {
                    facts.push(fact);
                    bearers.push(parcel.message_id);
                }
                Ok(None) => {}
                Err(problem) => failed.push((parcel.message_id, problem)),
            }
        }
        if let Err(problem) = Box::pin(self.intake.take(facts, &mut tally)).await {
            failed.extend(bearers.into_iter().map(|message| (message, interrupted(&problem))));
        }
        for (message, problem) in &failed {
            error!(error.kind = "Audit.Failed", message.id = message, "A message was not taken in: {problem}");
        }
        self.intake.alerts.metrics.records(&tally);
        answer(invocation.from, &failed, &tally)
    }
}

/// The fact that a parcel holds, if it holds one. Counts what does not matter and what cannot be read.
fn opened(parcel: &Parcel<'_>, tally: &mut Tally) -> Result<Option<Fact>, Problem> {
    match &parcel.content {
        Ok(Content::Record(json)) => counted(log::read(json.as_bytes()), tally),
        Ok(Content::Event { source, kind, detail }) if source == guardduty::SOURCE && kind == guardduty::KIND => {
            counted(guardduty::fact(detail.as_bytes()), tally)
        }
        Ok(Content::Files(files)) if files.iter().any(|file| file.kind() == FileKind::Log) => Err(Problem::Files),
        Ok(Content::Event { source, kind, detail: _ }) => {
            info!(event.source = source, event.kind = kind, "An event that holds no record");
            Ok(None)
        }
        Ok(Content::Files(_) | Content::Nothing) => Ok(None),
        Err(why) => {
            tally.malformed += 1;
            Err((*why).into())
        }
    }
}

fn counted(read: Result<Option<Fact>, Malformed>, tally: &mut Tally) -> Result<Option<Fact>, Problem> {
    tally.ignored += u64::from(matches!(read, Ok(None)));
    tally.malformed += u64::from(read.is_err());
    read.map_err(Problem::from)
}

fn interrupted(problem: &CallError) -> Problem {
    Problem::Interrupted(problem.to_string())
}

/// A queue is told which messages to bring again. If one of them has no name, all of them are.
fn answer(to: Sender, failed: &[(String, Problem)], tally: &Tally) -> Result<Value, Diagnostic> {
    let nameless = failed.iter().any(|(message, _)| message.is_empty());
    match to {
        Sender::Queue if !nameless => {
            let failures = failed.iter().map(|(message, _)| json!({ "itemIdentifier": message }));
            Ok(json!({ "batchItemFailures": failures.collect::<Vec<_>>() }))
        }
        Sender::Queue | Sender::Direct if failed.is_empty() => {
            let Tally { recorded, ignored, duplicate, malformed } = tally;
            let counts =
                json!({ "recorded": recorded, "ignored": ignored, "duplicate": duplicate, "malformed": malformed });
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
