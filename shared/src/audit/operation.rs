//! Relatch's own changes outside of rotations, and its probes: recorded before they are made, and so known when CloudTrail
//! tells of them.
//!
//! That Relatch's role did something says nothing: whoever has got hold of the role can do all that it may. So whatever of
//! Relatch moves a label, has RDS set a password or tries whether a secret is shut records that first, in the table. What
//! CloudTrail tells afterwards is as it should be if it is the very call that was recorded: signed with the access key of
//! the session that recorded it, of the same thing, with the same versions, within minutes. Whoever has only the role has
//! another access key, and can record nothing without access to the table. Whoever may write to the table can have their
//! own calls pass for Relatch's, one by one, and the table says which: so it is Relatch's functions' and operators' alone.

use crate::{
    containment::policy,
    ports::{Label, Table},
};
use jiff::SignedDuration;
use relatch_events::{
    cloudtrail::target::Target,
    fact::{Access, Change, Fact, Outcome, Read, What},
    moment::Moment,
    secret::VersionId,
};
use std::fmt;
use tracing::warn;

/// For how long after it was recorded a change is as it should be. It is made at once; the SDK may repeat the call.
pub const LASTS: SignedDuration = SignedDuration::from_mins(5);

/// How far clocks may be apart. CloudTrail's times are of whole seconds.
pub const SKEW: SignedDuration = SignedDuration::from_secs(30);

/// What Relatch does, as its record in CloudTrail will show it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation {
    /// The access key that signs it. It names the session, and so the role; it is no secret.
    pub access_key: String,
    /// Of what.
    pub target: Target,
    /// What is done.
    pub act: Act,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// A label is moved, or taken off.
    LabelMoved {
        /// The label.
        label: String,
        /// The version that it is taken from.
        from: Option<VersionId>,
        /// The version that it is given to.
        to: Option<VersionId>,
    },
    /// RDS is told to set a master user's password.
    MasterPasswordSet,
    /// A label that no version has is asked for, to see whether the secret is shut. Nothing is read.
    Probed {
        /// The label.
        label: String,
    },
}

/// Something that was recorded, and for which time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// What.
    pub operation: Operation,
    /// From when on.
    pub from: Moment,
    /// Until when.
    pub until: Moment,
}

impl Operation {
    /// What a fact would have been recorded as, had Relatch done it; `None` if Relatch does no such thing.
    pub fn of(fact: &Fact) -> Option<Self> {
        let act = match &fact.what {
            What::Change(Change::LabelMoved { stage: Some(label), from, to }) => {
                Act::LabelMoved { label: label.clone(), from: from.clone(), to: to.clone() }
            }
            What::Change(Change::DatabasePasswordSet { managed: None }) => Act::MasterPasswordSet,
            What::Access(Access { read: Read::Secret, version: None, stage: Some(label) })
                if policy::is_probe(label) && fact.outcome != Outcome::Done =>
            {
                Act::Probed { label: label.clone() }
            }
            What::Change(_)
            | What::Access(_)
            | What::Rotation(_)
            | What::Tamper(_)
            | What::Account(_)
            | What::Reported(_) => return None,
        };
        let [target] = fact.targets.as_slice() else { return None };
        Some(Self { access_key: fact.actor.access_key.clone()?, target: target.clone(), act })
    }
}

impl Act {
    /// Records that this is about to be done, and tells whether it is recorded. Where it is not, it is done all the same:
    /// it cannot wait, and whoever is told of it in vain does not.
    pub async fn record(&self, target: &Target, table: &impl Table) -> bool {
        let recorded = table.record_operation(target, self).await;
        if let Err(problem) = &recorded {
            warn!(
                aws.operation = problem.operation,
                error = problem.message,
                "The audit will not know this for Relatch's own: {self}"
            );
        }
        recorded.is_ok()
    }

    /// That AWSCURRENT is moved.
    pub fn promotion(to: &VersionId, from: &VersionId) -> Self {
        Self::LabelMoved { label: Label::Current.name().to_owned(), from: Some(from.clone()), to: Some(to.clone()) }
    }

    /// That AWSPENDING is taken off.
    pub fn unstaging(from: &VersionId) -> Self {
        Self::LabelMoved { label: Label::Pending.name().to_owned(), from: Some(from.clone()), to: None }
    }
}

impl Announcement {
    /// Whether a fact is what was recorded.
    pub fn covers(&self, fact: &Fact, at: Moment) -> bool {
        (self.from..=self.until).contains(&at) && Operation::of(fact).as_ref() == Some(&self.operation)
    }
}

/// In one line, unique among a thing's acts.
impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |version: &Option<VersionId>| version.as_ref().map_or("-".to_owned(), VersionId::to_string);
        match self {
            Self::LabelMoved { label, from, to } => write!(f, "label {label} from {} to {}", id(from), id(to)),
            Self::MasterPasswordSet => f.write_str("master password"),
            Self::Probed { label } => write!(f, "probe {label}"),
        }
    }
}
