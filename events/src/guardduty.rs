//! What GuardDuty has found of credentials and secrets, as EventBridge hands it over.
//!
//! Sources: the GuardDuty user guide, "Finding types", "Severity levels for GuardDuty findings", "Processing GuardDuty
//! findings with Amazon EventBridge"; the GuardDuty API reference, "Finding".

use crate::{
    cloudtrail::{
        identity::{Actor, ActorKind, Nature},
        record::Malformed,
        target::{Place, Target, TargetKind},
    },
    fact::{Fact, Origin, Outcome, What},
    moment::Moment,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whose events they are.
pub const SOURCE: &str = "aws.guardduty";

/// What kind of an event a finding is.
pub const KIND: &str = "GuardDuty Finding";

/// What GuardDuty says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Report {
    /// Its name for what it has found: `CredentialAccess:IAMUser/AnomalousBehavior`.
    #[serde(rename = "type")]
    pub kind: String,
    /// In one sentence, which names the principal.
    pub title: String,
    /// How grave it is.
    pub grade: Grade,
}

/// How grave GuardDuty calls a finding, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Below 4.
    Low,
    /// From 4 on.
    Medium,
    /// From 7 on.
    High,
    /// From 9 on.
    Critical,
}

impl Grade {
    fn of(number: f64) -> Self {
        match number {
            ..4.0 => Self::Low,
            4.0..7.0 => Self::Medium,
            7.0..9.0 => Self::High,
            _ => Self::Critical,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// The fact that a finding is, by the `detail` of its event; `None` if it is not about credentials or secrets, or if
/// somebody has archived it.
///
/// GuardDuty sends a finding again whenever it has seen more of the same. The fact's id is the finding's, with its grade:
/// so the same is one fact, and a graver one is another.
///
/// # Errors
/// When it is no JSON object, or says neither what was found nor under which id.
pub fn fact(detail: &[u8]) -> Result<Option<Fact>, Malformed> {
    let detail: Value = serde_json::from_slice(detail).map_err(|_| Malformed::NotJson)?;
    if !detail.is_object() {
        return Err(Malformed::NotAnObject);
    }
    let finding = Finding(&detail);
    let (Some(kind), Some(id)) = (finding.text("/type"), finding.text("/id")) else {
        return Err(Malformed::NotARecord);
    };
    let is_archived = detail.pointer("/service/archived").and_then(Value::as_bool) == Some(true);
    if is_archived || !finding.is_about_secrets(&kind) {
        return Ok(None);
    }
    let grade = Grade::of(detail["severity"].as_f64().unwrap_or_default());
    let title = finding.text("/title").or_else(|| finding.text("/description")).unwrap_or_default();
    Ok(Some(Fact {
        id: Some(format!("{id}:{}", grade.name())),
        shared_id: None,
        request_id: None,
        at: ["/service/eventLastSeen", "/updatedAt"].iter().find_map(|place| Moment::parse(&finding.text(place)?)),
        region: finding.text("/region"),
        account: finding.text("/accountId"),
        service: "guardduty".to_owned(),
        action: kind.clone(),
        origin: finding.address().map(|address| match address.parse() {
            Ok(address) => Origin::Address(address),
            Err(_) => Origin::Other(address),
        }),
        user_agent: finding.text("/service/additionalInfo/userAgent/fullUserAgent"),
        actor: finding.actor(),
        outcome: Outcome::Done,
        targets: finding.targets(),
        what: What::Reported(Report { kind, title, grade }),
    }))
}

/// A finding, of which any field may be absent.
#[derive(Clone, Copy)]
struct Finding<'a>(&'a Value);

impl Finding<'_> {
    fn text(self, place: &str) -> Option<String> {
        self.0.pointer(place)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Whether somebody goes for credentials or has got hold of some; databases' passwords are among them. Or calls
    /// Secrets Manager in a way that GuardDuty finds odd, for whatever purpose it takes that.
    fn is_about_secrets(self, kind: &str) -> bool {
        let (purpose, rest) = kind.split_once(':').unwrap_or((kind, ""));
        let thing = rest.split('/').next().unwrap_or_default();
        let is_after_credentials = purpose == "CredentialAccess" && matches!(thing, "IAMUser" | "RDS");
        let has_credentials = rest.contains("CredentialExfiltration") || rest.contains("CompromisedCredentials");
        // The calls that are odd are named in the action, in a text within a text, or in a sequence.
        let calls_secrets = || self.0["service"].to_string().contains("secretsmanager.amazonaws.com");
        is_after_credentials || has_credentials || calls_secrets()
    }

    fn address(self) -> Option<String> {
        const ACTIONS: [&str; 2] = ["awsApiCallAction", "rdsLoginAttemptAction"];
        let of = |action: &str| {
            let details = format!("/service/action/{action}/remoteIpDetails");
            self.text(&format!("{details}/ipAddressV4")).or_else(|| self.text(&format!("{details}/ipAddressV6")))
        };
        ACTIONS.into_iter().find_map(of)
    }

    /// Whose access key it is; of a sequence of findings, who is the first in it. A role's path is not told, so that it is
    /// the same as in CloudTrail's records for roles without one.
    fn actor(self) -> Actor {
        let key = |field: &str| self.text(&format!("/resource/accessKeyDetails/{field}"));
        let first = |field: &str| self.text(&format!("/service/detection/sequence/actors/0/user/{field}"));
        let kind = key("userType").or_else(|| first("type")).unwrap_or_default();
        let name = key("userName").or_else(|| first("name"));
        let principal = key("principalId").or_else(|| first("uid"));
        let account = first("account/uid").or_else(|| self.text("/accountId"));
        let partition = self.text("/partition").unwrap_or_else(|| "aws".to_owned());
        let arn = |what: &str| format!("arn:{partition}:iam::{}:{what}", account.as_deref().unwrap_or_default());
        let named = |what: &str| name.as_ref().map(|name| arn(&format!("{what}/{name}")));
        let (kind, id) = match kind.as_str() {
            "Root" => (ActorKind::Root, Some(arn("root"))),
            "IAMUser" => (ActorKind::User, named("user")),
            "AssumedRole" | "Role" => (ActorKind::Role, named("role")),
            "FederatedUser" => (ActorKind::Federated, principal.clone()),
            "AWSAccount" => (ActorKind::Account, account.clone()),
            _ => (ActorKind::Unknown, name.clone().or_else(|| principal.clone())),
        };
        let session = principal.as_deref().and_then(|id| id.split_once(':')).map(|(_, session)| session.to_owned());
        Actor {
            kind,
            id: id.unwrap_or_default(),
            account,
            session,
            access_key: key("accessKeyId").or_else(|| first("credentialUid")),
            invoked_by: None,
            mfa: None,
            nature: if kind == ActorKind::Root { Nature::Human } else { Nature::Unknown },
        }
    }

    /// The database whose users sign in, and whatever else of ours is named, by ARN.
    fn targets(self) -> Vec<Target> {
        let (region, account) = (self.text("/region"), self.text("/accountId"));
        let place = Place { region: region.as_deref(), account: account.as_deref() };
        let database = self.text("/resource/rdsDbInstanceDetails/dbInstanceIdentifier");
        let affected = self.0.pointer("/service/action/awsApiCallAction/affectedResources");
        let affected = affected.and_then(Value::as_object).into_iter().flat_map(|things| things.values());
        let sequence = self.0.pointer("/service/detection/sequence/resources").and_then(Value::as_array);
        let sequence = sequence.into_iter().flatten().map(|thing| &thing["uid"]);
        let arns = affected.chain(sequence).filter_map(Value::as_str);
        let mut targets: Vec<Target> = Vec::new();
        let database = database.and_then(|id| Target::of(TargetKind::Instance, &id, place));
        for target in database.into_iter().chain(arns.filter_map(|arn| Target::from_arn(arn, place))) {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fixtures;
    use std::fmt::Write;

    #[test]
    fn what_findings_mean() {
        let mut text = String::new();
        for (name, bytes) in fixtures::files("fixtures/guardduty") {
            let event: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!((event["source"].as_str(), event["detail-type"].as_str()), (Some(SOURCE), Some(KIND)));
            let Some(fact) = super::fact(event["detail"].to_string().as_bytes()).unwrap() else {
                let _ = writeln!(text, "{name}: is none of ours");
                continue;
            };
            let What::Reported(report) = &fact.what else { panic!("{fact:?}") };
            let targets: Vec<String> = fact.targets.iter().map(Target::to_string).collect();
            let _ = writeln!(
                text,
                "{name}: {:?} {}\n  {}\n  by {} ({:?}, {:?}, {:?})\n  from {:?} at {:?}\n  of {targets:?}\n  id {:?}",
                report.grade,
                report.kind,
                report.title,
                fact.actor.id,
                fact.actor.kind,
                fact.actor.session,
                fact.actor.access_key,
                fact.origin,
                fact.at.map(Moment::as_millis),
                fact.id,
            );
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn whatever_is_missing_a_finding_is_read_and_what_is_none_is_malformed() {
        let least = br#"{"id": "1", "type": "CredentialAccess:IAMUser/AnomalousBehavior"}"#;
        let fact = super::fact(least).unwrap().unwrap();
        assert_eq!((fact.id.as_deref(), fact.actor.id.as_str()), (Some("1:low"), ""));
        assert_eq!(super::fact(b"[]"), Err(Malformed::NotAnObject));
        assert_eq!(super::fact(b"{"), Err(Malformed::NotJson));
        assert_eq!(super::fact(br#"{"id": "1"}"#), Err(Malformed::NotARecord));
        let of = |number: f64| Grade::of(number);
        assert_eq!(
            [3.9, 4.0, 6.9, 7.0, 8.9, 9.0].map(of),
            [Grade::Low, Grade::Medium, Grade::Medium, Grade::High, Grade::High, Grade::Critical]
        );
    }
}
