//! What a record of CloudTrail means for secrets: the normalised facts, owned and small.
//!
//! Sources: the Secrets Manager user guide, "AWS CloudTrail entries for Secrets Manager" and "Secret encryption and
//! decryption"; the KMS developer guide, "Logging AWS KMS API calls"; the Systems Manager user guide, "How Parameter
//! Store uses KMS"; the CloudTrail user guide, "CloudTrail record contents"; the API references for the parameters.

mod read;

pub(crate) use read::is_denial;
pub use read::{concerns, fact};

use crate::{
    cloudtrail::{
        identity::Actor,
        target::{Target, TargetKind},
    },
    guardduty::Report,
    moment::Moment,
    rotation::Step,
    secret::VersionId,
    trigger::ServiceEventKind,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One event that matters: who did what, to which things, from where, and whether it was let.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fact {
    /// CloudTrail's id of the event; the same when it is delivered again, and in every file that holds it.
    pub id: Option<String>,
    /// The same in the copies that several accounts get of one event; absent where there is but one.
    pub shared_id: Option<String>,
    /// The service's id of the request.
    pub request_id: Option<String>,
    /// When it happened. Events are to be put in order by this: they arrive in none.
    pub at: Option<Moment>,
    /// The region that was called. Of global services, us-east-1.
    pub region: Option<String>,
    /// The account that received the event.
    pub account: Option<String>,
    /// The service that was called, without its domain: `secretsmanager`, `kms`. Empty where the event does not say.
    pub service: String,
    /// The operation, as CloudTrail calls it (`UpdateFunctionCode20150331v2`). Empty where the event does not say.
    pub action: String,
    /// Where the call came from.
    pub origin: Option<Origin>,
    /// With which program, as that says itself.
    pub user_agent: Option<String>,
    /// Who made the call.
    pub actor: Actor,
    /// Whether it was let.
    pub outcome: Outcome,
    /// What it was about, each once. Empty where the event does not say, as with a selection by filters.
    pub targets: Vec<Target>,
    /// What was done, or was to be.
    pub what: What,
}

/// Where a call came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An address.
    Address(IpAddr),
    /// A service of AWS: `secretsmanager.amazonaws.com`, `AWS Internal`.
    Aws(String),
    /// Something else, such as a host's name.
    Other(String),
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it was meant to.
    Done,
    /// The caller may not do that. With the error's code.
    Denied(String),
    /// Otherwise. With the error's code; where there is none, as in a failed sign-in or rotation, its message.
    Failed(String),
}

/// What was done. An event is one of them, the most particular: a denied read is an access, and a read by root, too.
/// [`Fact::outcome`] and [`Fact::actor`] tell the rest.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A value was read.
    Access(Access),
    /// A secret, its policy, its key or its database's password was changed.
    Change(Change),
    /// A rotation took a turn.
    Rotation(Rotation),
    /// Somebody touched what keeps watch.
    Tamper(Tamper),
    /// Something that concerns the account as a whole, and is none of the above.
    Account(Account),
    /// GuardDuty has found something. Then [`Fact::actor`] is whose credentials it is about.
    Reported(Report),
}

/// A value was read, or was to be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Access {
    /// By which operation.
    pub read: Read,
    /// Which version was asked for by its id, or (with [`Read::Decrypt`]) was read. No version asked for is AWSCURRENT.
    pub version: Option<VersionId>,
    /// Which label was asked for.
    pub stage: Option<String>,
}

/// An operation that hands out a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    /// `GetSecretValue`. There is also one for each secret that a batch hands out: see
    /// [`join`](crate::join).
    Secret,
    /// `BatchGetSecretValue`.
    Batch(Selection),
    /// `GetParameter` or `GetParameters`, decrypted.
    Parameters,
    /// `GetParametersByPath`, decrypted. The target is the path.
    ParametersByPath {
        /// Whether what is below the path's next level was asked for, too.
        recursive: bool,
    },
    /// `GetParameterHistory`, decrypted: all values that the parameter ever had.
    ParameterHistory,
    /// KMS's `Decrypt` of a secret's or parameter's data key, on behalf of whoever reads it. It accompanies a read, a
    /// write or a replication: see [`join`](crate::join).
    Decrypt,
}

/// What a batch was to hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// Secrets by their names: [`Fact::targets`].
    Listed,
    /// Secrets by filters, as `key=value,value`.
    Filtered(Vec<String>),
    /// Everything: no filter, or filters of nothing but negations (`tag-key=!none-has-this`).
    Everything,
    /// The event does not say, as those of denied calls do not.
    Unknown,
}

/// A change to a secret, or to what protects it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// `CreateSecret`.
    Created {
        /// The key that encrypts it, if it is not the account's default.
        key: Option<String>,
    },
    /// `PutSecretValue`, or `UpdateSecret` with a value.
    ValueWritten {
        /// The version that was written.
        version: Option<VersionId>,
        /// The labels it was given; none named is AWSCURRENT.
        stages: Vec<String>,
        /// The key, where `UpdateSecret` changed that as well.
        key: Option<String>,
    },
    /// `UpdateSecret` with a key and without a value.
    KeyChanged {
        /// The new key.
        key: String,
    },
    /// `UpdateSecret` of the description or the type; or a denied one, whose event does not say of what.
    Updated,
    /// `UpdateSecretVersionStage`.
    LabelMoved {
        /// The label.
        stage: Option<String>,
        /// The version it was taken from.
        from: Option<VersionId>,
        /// The version it was given to.
        to: Option<VersionId>,
    },
    /// `DeleteSecret`.
    Deleted {
        /// At once and for good.
        forced: bool,
        /// Otherwise, after so many days.
        window_days: Option<u32>,
    },
    /// `RestoreSecret`.
    Restored,
    /// `PutResourcePolicy` of a secret.
    PolicyPut {
        /// The policy's text; empty where the event has none.
        policy: String,
        /// Whether a policy that is open to the public was to be refused.
        block_public: Option<bool>,
    },
    /// `DeleteResourcePolicy` of a secret.
    PolicyDeleted,
    /// `RotateSecret`: a rotation was asked for, and what does it may have been changed.
    RotationAsked {
        /// The function that rotates from now on, if the call names one.
        function: Option<String>,
        /// The version that the rotation is to write.
        token: Option<VersionId>,
        /// Whether to rotate at once.
        immediately: Option<bool>,
        /// The schedule, if the call names one: a `rate(…)` or `cron(…)`, or a number of days.
        schedule: Option<String>,
    },
    /// `CancelRotateSecret`: rotation is switched off.
    RotationCancelled,
    /// `TagResource` of a secret.
    Tagged {
        /// The names of the tags.
        keys: Vec<String>,
    },
    /// `UntagResource` of a secret.
    Untagged {
        /// The names of the tags.
        keys: Vec<String>,
    },
    /// `ReplicateSecretToRegions`.
    Replicated {
        /// The regions' codes.
        regions: Vec<String>,
    },
    /// `RemoveRegionsFromReplication`.
    ReplicasRemoved {
        /// The regions' codes.
        regions: Vec<String>,
    },
    /// `StopReplicationToReplica`: the replica is a secret of its own.
    ReplicaPromoted,
    /// Secrets Manager itself deletes a version or a secret, after its time: a service event.
    Deletion(Phase),
    /// KMS `DisableKey`.
    KeyDisabled,
    /// KMS `EnableKey`.
    KeyEnabled,
    /// KMS `ScheduleKeyDeletion`.
    KeyDeletionScheduled {
        /// After so many days.
        window_days: Option<u32>,
    },
    /// KMS `CancelKeyDeletion`.
    KeyDeletionCancelled,
    /// KMS `PutKeyPolicy`.
    KeyPolicyPut {
        /// The policy's text; empty where the event has none.
        policy: String,
    },
    /// KMS `CreateGrant`.
    Granted {
        /// To whom.
        grantee: Option<String>,
        /// Which operations: `Decrypt`, …
        operations: Vec<String>,
    },
    /// RDS `ModifyDBInstance` or `ModifyDBCluster` with a master user's password; or a denied one, whose event does not
    /// say of what.
    DatabasePasswordSet {
        /// RDS was told to manage the password by itself, or not to any more.
        managed: Option<bool>,
    },
}

/// How far a deletion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It has begun: `StartSecretVersionDelete`.
    Started,
    /// It was called off: `CancelSecretVersionDelete`.
    Cancelled,
    /// It is done: `EndSecretVersionDelete`.
    Ended,
}

/// A turn that a rotation took, told by Secrets Manager itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rotation {
    /// Which turn.
    pub kind: ServiceEventKind,
    /// The version that was being rotated in.
    pub token: Option<VersionId>,
    /// The step that failed.
    pub step: Option<Step>,
}

/// Somebody touched what keeps watch. Whether it is ours is not known here: [`Fact::targets`] names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tamper {
    /// CloudTrail `StopLogging`.
    LoggingStopped,
    /// CloudTrail `DeleteTrail`.
    TrailDeleted,
    /// CloudTrail `UpdateTrail`. Each field as the call changes it.
    TrailUpdated {
        /// Whether it records all regions.
        multi_region: Option<bool>,
        /// Whether it records IAM, STS and other global services.
        global_services: Option<bool>,
        /// Whether files are signed.
        validated: Option<bool>,
        /// The bucket it writes to.
        bucket: Option<String>,
        /// The key that its files are encrypted with.
        #[serde(default)]
        key: Option<String>,
    },
    /// CloudTrail `CreateTrail`.
    TrailCreated,
    /// CloudTrail `PutEventSelectors`: which events are recorded from now on.
    SelectorsPut {
        /// Whether calls are that only read, reads of secrets among them.
        reads: bool,
        /// Whether calls are that write.
        writes: bool,
        /// Event sources that are left out (`kms.amazonaws.com`).
        excluded: Vec<String>,
    },
    /// EventBridge `DisableRule`.
    RuleDisabled,
    /// EventBridge `DeleteRule`.
    RuleDeleted,
    /// EventBridge `PutRule`.
    RulePut {
        /// `ENABLED`, `DISABLED`, `ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS`; no state named is ENABLED.
        state: Option<String>,
        /// The pattern, if the call has one.
        pattern: Option<String>,
    },
    /// EventBridge `RemoveTargets`.
    TargetsRemoved,
    /// Anything else by which a rule, a function, a route, a table, a bucket, a role, a log group or a schedule can be
    /// made to do its part no more, or somebody else's: [`Fact::action`] tells.
    Touched,
    /// Lambda `UpdateFunctionCode`.
    FunctionCodeChanged,
    /// Lambda `UpdateFunctionConfiguration`.
    FunctionConfigurationChanged,
    /// Lambda `DeleteFunction`.
    FunctionDeleted,
    /// Lambda `PutFunctionConcurrency`: with 0, the function does not run.
    FunctionConcurrencySet {
        /// How many at a time.
        reserved: Option<u32>,
    },
    /// Lambda `DeleteEventSourceMapping`, or `UpdateEventSourceMapping` that switches it off.
    FunctionCutOff,
    /// SNS `DeleteTopic`.
    TopicDeleted,
    /// SNS `Unsubscribe`.
    Unsubscribed,
    /// SNS `SetTopicAttributes`.
    TopicAttributeSet {
        /// The attribute's name, such as `Policy`.
        attribute: Option<String>,
    },
    /// SQS `DeleteQueue`.
    QueueDeleted,
    /// SQS `PurgeQueue`.
    QueuePurged,
    /// CloudWatch `DeleteAlarms`.
    AlarmsDeleted,
    /// CloudWatch `DisableAlarmActions`.
    AlarmActionsDisabled,
    /// Systems Manager `PutParameter`.
    ParameterPut,
    /// Systems Manager `DeleteParameter` or `DeleteParameters`.
    ParametersDeleted,
}

/// Something that concerns the account as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// A sign-in to the console. Whether it succeeded is [`Fact::outcome`].
    ConsoleLogin {
        /// With a second factor.
        mfa: Option<bool>,
    },
    /// The root user did something. Not what a service does in its name.
    RootUse,
    /// A call was denied. The operation is [`Fact::action`].
    Refused,
}

impl Fact {
    /// The secrets and parameters among the targets.
    pub fn secrets(&self) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(|target| matches!(target.kind, TargetKind::Secret | TargetKind::Parameter))
    }

    /// The replicas that were made of a secret.
    pub fn replicas(&self) -> impl Iterator<Item = Target> {
        let regions: &[String] = match &self.what {
            What::Change(Change::Replicated { regions }) => regions,
            What::Change(_)
            | What::Access(_)
            | What::Rotation(_)
            | What::Tamper(_)
            | What::Account(_)
            | What::Reported(_) => &[],
        };
        let secret = self.secrets().next();
        regions.iter().filter_map(move |region| Some(Target { region: Some(region.clone()), ..secret?.clone() }))
    }

    /// Whether the call was denied.
    pub fn is_denied(&self) -> bool {
        matches!(self.outcome, Outcome::Denied(_))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{cloudtrail::log, fixtures, trigger::Trigger};
    use std::fmt::Write;

    #[test]
    fn every_fixture_means_what_the_snapshot_says() {
        let meanings: Vec<String> = fixtures::files("fixtures/cloudtrail")
            .iter()
            .map(|(name, bytes)| match log::read(bytes) {
                Ok(Some(fact)) => format!("{name}\n{}", told(&fact)),
                Ok(None) => format!("{name}\n  ignored\n"),
                Err(why) => format!("{name}\n  malformed: {why}\n"),
            })
            .collect();
        insta::assert_snapshot!("facts", meanings.join("\n"));
    }

    #[test]
    fn a_fact_can_be_put_aside_as_json() {
        for (_, bytes) in fixtures::files("fixtures/cloudtrail") {
            let fact = log::read(&bytes).ok().flatten();
            let json = serde_json::to_string(&fact).unwrap();
            assert_eq!(serde_json::from_str::<Option<Fact>>(&json).unwrap(), fact, "{json}");
        }
    }

    #[test]
    fn the_events_that_wake_respond_are_facts_too() {
        for (name, bytes) in fixtures::files("fixtures/service-events") {
            let event: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            let fact = log::read(event["detail"].to_string().as_bytes()).unwrap().unwrap();
            let Trigger::Rotation(event) = Trigger::parse(&event).unwrap() else { panic!("{name}") };
            let What::Rotation(rotation) = fact.what else { panic!("{name}") };
            assert_eq!((rotation.kind, rotation.token, rotation.step), (event.kind, event.token, event.step), "{name}");
        }
    }

    /// A fact on a few lines, without what is the same in all fixtures.
    fn told(fact: &Fact) -> String {
        let json = |value: serde_json::Value| value.to_string();
        let mut text =
            format!("  {} {}: {}\n", fact.service, fact.action, json(serde_json::to_value(&fact.what).unwrap()));
        match &fact.outcome {
            Outcome::Done => (),
            Outcome::Denied(code) => writeln!(text, "  denied: {code}").unwrap(),
            Outcome::Failed(code) => writeln!(text, "  failed: {code}").unwrap(),
        }
        for target in &fact.targets {
            writeln!(text, "  of {target}").unwrap();
        }
        let actor = &fact.actor;
        write!(text, "  by {:?} ({:?}) {}", actor.kind, actor.nature, actor.id).unwrap();
        for (word, detail) in [("session", &actor.session), ("through", &actor.invoked_by)] {
            if let Some(detail) = detail {
                write!(text, ", {word} {detail}").unwrap();
            }
        }
        let mfa = actor.mfa.map(|mfa| format!(", mfa {mfa}"));
        writeln!(text, "{}", mfa.unwrap_or_default()).unwrap();
        let at = fact.at.map_or(-1, Moment::as_millis);
        let from = fact.origin.as_ref().map(|origin| json(serde_json::to_value(origin).unwrap()));
        let place = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        writeln!(
            text,
            "  in {} {} from {} at {at}",
            place(&fact.account),
            place(&fact.region),
            from.unwrap_or_default()
        )
        .unwrap();
        text
    }
}
