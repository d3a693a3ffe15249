//! A finding: what was noticed, of whom, and why it is told.

mod catalogue;
mod evidence;

pub use catalogue::{EventType, Exposure, Kind, Page};
pub use evidence::{Counted, Evidence, Narrowing};

use crate::{
    alert,
    language::{Language, Spoken},
};
use jiff::Timestamp;
use relatch_events::{
    cloudtrail::target::Target,
    fact::{Fact, Origin, Outcome, What},
    moment::Moment,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// To be looked at some time.
    Low,
    /// To be looked at in working hours.
    Medium,
    /// To be looked at today.
    High,
    /// To be looked at now.
    Critical,
}

impl Severity {
    /// Every severity.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The severity's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// How urgent an alert of it is.
    pub const fn urgency(self) -> alert::Severity {
        match self {
            Self::Low => alert::Severity::Info,
            Self::Medium => alert::Severity::Warning,
            Self::High => alert::Severity::Error,
            Self::Critical => alert::Severity::Critical,
        }
    }
}

/// Something that was noticed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Finding {
    /// What it is.
    pub kind: Kind,
    /// How grave it is.
    pub severity: Severity,
    /// When what completed it happened. Nothing where the event does not say.
    pub at: Option<Moment>,
    /// Who did it, by their canonical name: see [`Actor::id`](relatch_events::cloudtrail::identity::Actor). Of what a
    /// service did by itself, the service. Empty where nobody did it, or nobody is told.
    pub principal: String,
    /// The session of the role, which whoever assumed it has named.
    pub session: Option<String>,
    /// Where the call came from.
    pub origin: Option<Origin>,
    /// With which program, as that says itself.
    pub user_agent: Option<String>,
    /// The account in which it happened.
    pub account: Option<String>,
    /// The region in which it happened.
    pub region: Option<String>,
    /// The operation: `secretsmanager:GetSecretValue`.
    pub action: String,
    /// What it was about: the secrets, mostly. Each once.
    pub targets: Vec<Target>,
    /// Why it is told.
    pub evidence: Vec<Evidence>,
    /// CloudTrail's ids of the events that it rests on; of a burst, of the one that completed it.
    pub events: Vec<String>,
    /// The [incident](super::incident) that it belongs to: whose it is. Also the alert's key.
    pub key: String,
    /// Whether it is only for the record, since the policy puts its kind in the shadow.
    pub shadowed: bool,
}

impl Finding {
    /// What a fact gives reason to say, without its evidence.
    pub(super) fn of(kind: Kind, severity: Severity, fact: &Fact) -> Self {
        Self {
            kind,
            severity,
            at: fact.at,
            principal: fact.actor.id.clone(),
            session: fact.actor.session.clone(),
            origin: fact.origin.clone(),
            user_agent: fact.user_agent.clone(),
            account: fact.account.clone(),
            region: fact.region.clone(),
            action: format!("{}:{}", fact.service, fact.action),
            targets: fact.targets.clone(),
            evidence: if is_read(kind, fact) { Vec::new() } else { vec![Evidence::NothingRead] },
            events: fact.id.iter().cloned().collect(),
            key: super::incident::key(kind, fact),
            shadowed: false,
        }
    }

    /// Whether people are told. Of rotations `respond` tells, which knows more of them; what is in the shadow is told
    /// nobody.
    pub(super) const fn is_told(&self) -> bool {
        !self.shadowed && !self.kind.is_of_rotation()
    }

    /// What is to be said of a secret that nobody has done anything to.
    pub(super) fn of_secret(kind: Kind, severity: Severity, secret: &Target, at: Moment) -> Self {
        Self {
            kind,
            severity,
            at: Some(at),
            principal: String::new(),
            session: None,
            origin: None,
            user_agent: None,
            account: secret.account.clone(),
            region: secret.region.clone(),
            action: String::new(),
            targets: vec![secret.clone()],
            evidence: Vec::new(),
            events: Vec::new(),
            key: format!("{}/{secret}", kind.name()),
            shadowed: false,
        }
    }

    /// Why it is told, one sentence each.
    pub fn reasons(&self, language: Language) -> Vec<String> {
        self.evidence.iter().map(|evidence| evidence.spoken(language)).collect()
    }

    /// Whether values were read by what was found.
    pub fn has_read(&self) -> bool {
        self.kind.exposure() == Exposure::Read && !self.evidence.contains(&Evidence::NothingRead)
    }

    /// What a person is to do first: by what was done, not by what it looked like.
    pub fn to_do(&self, language: Language) -> &'static str {
        if self.kind.exposure() == Exposure::Read && !self.has_read() {
            return language.choose(
                "Ask who is behind the principal what it was for. Nothing was read by it: nothing has to be rotated for it.",
                "実行者に目的を確認してください。これによって読み取られたものはないため、ローテーションは不要です。",
            );
        }
        self.kind.to_do(language)
    }

    /// As a security event, for programs that collect those.
    pub fn security_event(&self) -> Value {
        let page = self.kind.page();
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        json!({
            "eventType": page.event_type.name(),
            "severity": self.severity.name(),
            "userId": filled(&self.principal),
            "ipAddress": self.origin.as_ref().map(origin_text),
            "userAgent": self.user_agent,
            "resource": self.targets.first().map(Target::to_string),
            "action": self.action,
            "timestamp": self.at.and_then(timestamp),
            "metadata": {
                "finding": page.name,
                "title": self.kind.title(Language::English),
                "incident": self.key,
                "session": self.session,
                "account": self.account,
                "region": self.region,
                "resources": self.targets.iter().map(Target::to_string).collect::<Vec<_>>(),
                "evidence": self.reasons(Language::English),
                "events": self.events,
                "runbook": self.kind.runbook(),
                "shadowed": self.shadowed,
            },
        })
    }
}

/// Whether a fact that a finding tells of as a read is one. A hostile tool may also list; a decoy may be touched by what is
/// denied.
fn is_read(kind: Kind, fact: &Fact) -> bool {
    let has_read = matches!(fact.what, What::Access(_)) && fact.outcome == Outcome::Done;
    kind.exposure() != Exposure::Read || has_read
}

/// Where a call came from, as the event says it.
pub fn origin_text(origin: &Origin) -> String {
    match origin {
        Origin::Address(address) => address.to_string(),
        Origin::Aws(host) | Origin::Other(host) => host.clone(),
    }
}

/// A moment as RFC 3339, in UTC. Nothing where it is beyond the calendar.
pub fn timestamp(at: Moment) -> Option<String> {
    Timestamp::from_millisecond(at.as_millis()).ok().map(|at| at.to_string())
}
