//! Which incident leads to which request, and why not. Pure, but for [`Asking::about`].

use super::{Containment, Exposed, Measure};
use crate::{
    audit::{
        finding::{Exposure, Finding, Severity},
        incident::Incident,
        spoils::Spoils,
    },
    config::Environment,
    ports::{Bus, CallError, Requests},
};
use aws_lc_rs::digest::{SHA256, digest};
use relatch_events::{
    cloudtrail::target::{Target, TargetKind},
    containment::{RequestId, WakeUp},
    fact::{Fact, Outcome, What},
    moment::Moment,
    secret::{SecretId, VersionId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};
use tracing::{error, info};

/// The largest request, in bytes of JSON. An item of DynamoDB has 400 KB at most.
///
/// Source: the DynamoDB developer guide, "Quotas".
const LARGEST: usize = 200_000;

/// The most ids of events that a request holds: they are for whoever reads the alert.
const MOST_EVENTS: usize = 50;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Asking<B> {
    /// By which `respond` learns of them; `None` asks nobody for anything.
    pub bus: Option<B>,
    /// What may be asked for (`RELATCH_RESPOND`).
    pub measures: BTreeSet<Measure>,
}

/// Why nothing is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Nothing {
    /// No measure is allowed.
    NotWanted,
    /// It is only for the record.
    Shadowed,
    /// It is not critical.
    NotCritical,
    /// No secret was read or changed.
    Unharmed,
    /// Nothing was read, and only that which helps against a reader is allowed.
    Unread,
}

impl Nothing {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotWanted => "not-wanted",
            Self::Shadowed => "shadowed",
            Self::NotCritical => "not-critical",
            Self::Unharmed => "unharmed",
            Self::Unread => "unread",
        }
    }
}

impl<B: Bus> Asking<B> {
    /// Asks for whatever an incident calls for: writes it down, and says so.
    ///
    /// # Errors
    /// When a request could not be written down. Some may have been: asked for twice is as good as once. That `respond`
    /// could not be woken is none: its next sweep finds what is written down.
    pub async fn about(
        &self,
        incident: &Incident,
        facts: &[Fact],
        before: Option<&Spoils>,
        gap: i64,
        environment: Environment,
        table: &impl Requests,
    ) -> Result<(), CallError> {
        let Some(bus) = &self.bus else { return Ok(()) };
        let requests = match requests(incident, facts, before, gap, &self.measures, environment) {
            Ok(requests) => requests,
            Err(why) => {
                info!(incident.key = incident.key, containment.reason = why.name(), "No containment is asked for");
                return Ok(());
            }
        };
        for request in &requests {
            let Some(id) = id(request) else { continue };
            table.record_request(&id, request).await?;
            let word = WakeUp { environment: environment.name().to_owned(), request: id };
            let (id, secrets) = (word.request.as_str(), request.secrets.len());
            info!(
                incident.key = incident.key,
                containment.request = id,
                "Asked for the containment of {secrets} secrets"
            );
            if let Err(problem) = bus.wake(&word).await {
                error!(error = %problem, containment.request = id, "The function respond could not be woken; its next sweep contains the incident");
            }
        }
        Ok(())
    }
}

/// The name of a request: who asks the same once more asks nothing new.
fn id(request: &Containment) -> Option<RequestId> {
    let digest = digest(&SHA256, &serde_json::to_vec(request).ok()?);
    let text = digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    RequestId::try_from(text).ok()
}

/// What is to be asked for about an incident that goes on for `gap` milliseconds, in as many requests as it takes. `facts` are those that were judged: they
/// know which versions were read, and whether anything was. `before` is what was known of the incident before them: once
/// something of it is critical all of it is asked for, and from then on whatever is added.
///
/// # Errors
/// Why nothing is asked for.
pub fn requests(
    incident: &Incident,
    facts: &[Fact],
    before: Option<&Spoils>,
    gap: i64,
    allowed: &BTreeSet<Measure>,
    environment: Environment,
) -> Result<Vec<Containment>, Nothing> {
    if allowed.is_empty() {
        return Err(Nothing::NotWanted);
    }
    let findings: Vec<&Finding> = incident.findings.iter().filter(|finding| !finding.shadowed).collect();
    let Some(gravest) = findings.iter().map(|finding| finding.severity).max() else { return Err(Nothing::Shadowed) };
    let was_critical = before.is_some_and(Spoils::is_critical);
    if gravest != Severity::Critical && !was_critical {
        return Err(Nothing::NotCritical);
    }
    // A key may be a thing's; then there is nobody to be denied.
    let principal = findings.iter().map(|finding| finding.principal.as_str()).find(|who| !who.is_empty());
    let principal = principal.unwrap_or_default();
    let mut exposed: BTreeMap<&Target, Option<Moment>> = BTreeMap::new();
    // Where something was critical before, what was known then has been asked for.
    let unasked = before.filter(|_| !was_critical);
    for (target, spoil) in unasked.iter().flat_map(|before| before.secrets()) {
        exposed.insert(target, spoil.read);
    }
    for finding in &findings {
        let read = match finding.kind.exposure() {
            Exposure::Read if was_let(finding, facts) => Some(finding.at.unwrap_or(Moment::from_millis(i64::MAX))),
            Exposure::Changed if was_let(finding, facts) => None,
            Exposure::Read | Exposure::Changed | Exposure::None => continue,
        };
        for target in finding.targets.iter().filter(|target| target.kind == TargetKind::Secret) {
            let known = exposed.entry(target).or_default();
            *known = (*known).max(read);
        }
    }
    if exposed.is_empty() {
        return Err(Nothing::Unharmed);
    }
    if !allowed.contains(&Measure::Deny) {
        exposed.retain(|_, read| read.is_some());
        if exposed.is_empty() {
            return Err(Nothing::Unread);
        }
    }
    let secrets = exposed.into_iter().filter_map(|(target, read)| {
        let mut versions = read.map(|_| versions(principal, target, facts)).unwrap_or_default();
        versions.extend(
            before
                .and_then(|before| before.secrets().get(target))
                .into_iter()
                .flat_map(|spoil| spoil.versions.iter().cloned()),
        );
        Some(Exposed {
            secret: SecretId::try_from(target.to_string()).ok()?,
            read,
            versions: versions.into_iter().collect(),
        })
    });
    let mut names: Vec<String> = findings.iter().map(|finding| finding.kind.name().to_owned()).collect();
    names.sort();
    names.dedup();
    let whole = Containment {
        environment: environment.name().to_owned(),
        incident: incident.key.clone(),
        incident_gap: gap,
        principal: principal.to_owned(),
        measures: allowed.iter().copied().collect(),
        secrets: Vec::new(),
        findings: names,
        events: incident.events().into_iter().take(MOST_EVENTS).map(str::to_owned).collect(),
    };
    Ok(split(&whole, secrets.collect()))
}

/// Whether what a finding is about was let. Of a burst only the last event is known, and what it counts was let.
fn was_let(finding: &Finding, facts: &[Fact]) -> bool {
    let is_refused = |id: &String| {
        let fact = facts.iter().find(|fact| fact.id.as_ref() == Some(id));
        fact.is_some_and(|fact| fact.outcome != Outcome::Done)
    };
    finding.events.is_empty() || !finding.events.iter().all(is_refused)
}

/// Which versions a principal is known to have read: it asked for them by their ids, or a decryption tells.
fn versions(principal: &str, secret: &Target, facts: &[Fact]) -> BTreeSet<VersionId> {
    let read = facts.iter().filter_map(|fact| match &fact.what {
        What::Access(access) if fact.outcome == Outcome::Done && fact.actor.id == principal => {
            fact.targets.contains(secret).then_some(access.version.as_ref()?)
        }
        What::Access(_)
        | What::Change(_)
        | What::Rotation(_)
        | What::Tamper(_)
        | What::Account(_)
        | What::Reported(_) => None,
    });
    read.cloned().collect()
}

/// A request for some secrets, as several that are not too large.
fn split(whole: &Containment, secrets: Vec<Exposed>) -> Vec<Containment> {
    let size = |exposed: &Exposed| {
        // With every character escaped, this is an upper bound.
        100 + 6
            * (exposed.secret.as_str().len() + exposed.versions.iter().map(|id| id.as_str().len() + 3).sum::<usize>())
    };
    let (mut requests, mut room): (Vec<Containment>, usize) = (Vec::new(), 0);
    for exposed in secrets {
        let size = size(&exposed);
        match requests.last_mut().filter(|_| size <= room) {
            Some(request) => request.secrets.push(exposed),
            None => {
                room = LARGEST;
                requests.push(Containment { secrets: vec![exposed], ..whole.clone() });
            }
        }
        room = room.saturating_sub(size);
    }
    requests
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::audit::finding::Kind;
    use proptest::prelude::*;
    use relatch_events::cloudtrail::{log, target::Place};
    use serde_json::json;

    const GAP: i64 = 3_600_000;
    const ROLE: &str = "arn:aws:iam::123456789012:role/report";
    const VERSION: &str = "7f3c1c52-5f0e-4a6b-9d55-0c8f6d1a2b34";

    fn target(name: &str) -> Target {
        Target::secret(name, Place { account: Some("123456789012"), region: Some("eu-west-1") }).unwrap()
    }

    fn finding(kind: Kind, severity: Severity, names: &[&str]) -> Finding {
        Finding {
            kind,
            severity,
            at: Moment::parse("2026-01-31T12:34:56Z"),
            principal: ROLE.to_owned(),
            session: None,
            origin: None,
            user_agent: None,
            account: Some("123456789012".to_owned()),
            region: Some("eu-west-1".to_owned()),
            action: "secretsmanager:GetSecretValue".to_owned(),
            targets: names.iter().map(|name| target(name)).collect(),
            evidence: Vec::new(),
            events: vec!["e1".to_owned()],
            key: format!("audit/{ROLE}"),
            shadowed: false,
        }
    }

    /// What CloudTrail records of a read, or of the decryption behind one.
    fn read(name: &str, version: Option<&str>, error: Option<&str>) -> Fact {
        fact("secretsmanager", "GetSecretValue", &json!({ "secretId": name, "versionId": version }), error)
    }

    fn decryption(name: &str) -> Fact {
        let arn = format!("arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}-AbCdEf");
        let context = json!({ "encryptionContext": { "SecretARN": arn, "SecretVersionId": VERSION } });
        fact("kms", "Decrypt", &context, None)
    }

    fn fact(service: &str, action: &str, parameters: &serde_json::Value, error: Option<&str>) -> Fact {
        let mut record = json!({
            "eventTime": "2026-01-31T12:34:56Z", "eventID": "e1", "eventName": action, "awsRegion": "eu-west-1",
            "eventSource": format!("{service}.amazonaws.com"), "recipientAccountId": "123456789012",
            "userIdentity": { "type": "AssumedRole", "accountId": "123456789012",
                "arn": "arn:aws:sts::123456789012:assumed-role/report/i-0abc",
                "sessionContext": { "sessionIssuer": { "arn": ROLE, "type": "Role" } } },
            "requestParameters": parameters,
        });
        if service == "kms" {
            record["userIdentity"]["invokedBy"] = json!("secretsmanager.amazonaws.com");
            record["sourceIPAddress"] = json!("secretsmanager.amazonaws.com");
        }
        if let Some(error) = error {
            record["errorCode"] = json!(error);
        }
        log::read(record.to_string().as_bytes()).unwrap().unwrap()
    }

    fn asked(findings: Vec<Finding>, facts: &[Fact], measures: &[Measure]) -> String {
        let incident = Incident { key: format!("audit/{ROLE}"), findings };
        match requests(&incident, facts, None, GAP, &measures.iter().copied().collect(), Environment::Prod) {
            Err(why) => format!("nothing: {}", why.name()),
            Ok(requests) => requests
                .iter()
                .map(|request| {
                    let secrets = request.secrets.iter().map(|exposed| {
                        let name = exposed.secret.as_str().rsplit(':').next().unwrap_or_default();
                        let how = if exposed.read.is_some() { "read" } else { "changed" };
                        format!("{name} {how} {}", exposed.versions.len())
                    });
                    format!("{:?} of {}", request.measures, secrets.collect::<Vec<_>>().join(", "))
                })
                .collect::<Vec<_>>()
                .join(" | "),
        }
    }

    #[test]
    fn which_incident_leads_to_which_request() {
        use Severity::{Critical, High};
        const BOTH: &[Measure] = &[Measure::Deny, Measure::Rotate];
        let burst = || finding(Kind::ReadBurst, Critical, &["a", "b"]);
        let shadowed = || Finding { shadowed: true, ..burst() };
        let deleted = || finding(Kind::SecretDeleted, Critical, &["c"]);
        let let_in = [read("a", None, None)];
        let refused = [read("a", None, Some("AccessDeniedException"))];
        let with_version = [read("a", None, None), decryption("a")];
        let twice = [read("a", None, None), read("a", None, None), decryption("a")];
        let by_version = [read("a", Some(VERSION), None)];
        let both_versions = [read("a", None, None), read("a", Some(VERSION), None), decryption("a")];
        let rows = [
            ("a burst", asked(vec![burst()], &let_in, BOTH)),
            ("nothing is allowed", asked(vec![burst()], &let_in, &[])),
            ("only rotate", asked(vec![burst()], &let_in, &[Measure::Rotate])),
            ("only deny", asked(vec![burst()], &let_in, &[Measure::Deny])),
            ("not critical", asked(vec![finding(Kind::ReadBurst, High, &["a"])], &let_in, BOTH)),
            ("in the shadow", asked(vec![shadowed()], &let_in, BOTH)),
            (
                "critical only in the shadow",
                asked(vec![shadowed(), finding(Kind::NewReader, High, &["a"])], &let_in, BOTH),
            ),
            ("what else was read", asked(vec![burst(), finding(Kind::NewReader, High, &["d"])], &let_in, BOTH)),
            ("a decoy, denied", asked(vec![finding(Kind::DecoyTouched, Critical, &["a"])], &refused, BOTH)),
            ("a decoy, read", asked(vec![finding(Kind::DecoyTouched, Critical, &["a"])], &let_in, BOTH)),
            ("denied tries beside", asked(vec![burst(), finding(Kind::DeniedRead, High, &["d"])], &let_in, BOTH)),
            ("deleted", asked(vec![deleted()], &let_in, BOTH)),
            ("deleted, only rotate", asked(vec![deleted()], &let_in, &[Measure::Rotate])),
            ("deleted and read", asked(vec![deleted(), burst()], &let_in, BOTH)),
            ("the trail is stopped", asked(vec![finding(Kind::TrailStopped, Critical, &[])], &let_in, BOTH)),
            ("the decryption tells the version", asked(vec![burst()], &with_version, BOTH)),
            ("one of two decryptions", asked(vec![burst()], &twice, BOTH)),
            ("asked for by its version", asked(vec![burst()], &by_version, BOTH)),
            ("the current one, and an old one by its version", asked(vec![burst()], &both_versions, BOTH)),
        ];
        let lines: Vec<String> = rows.iter().map(|(name, said)| format!("{name}: {said}")).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    proptest! {
        // Each is thousands of secrets.
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn however_many_were_read_every_one_is_asked_for_once_in_requests_that_fit(
            count in 1_usize..3_000, length in 1_usize..500,
        ) {
            let names: Vec<String> = (0..count).map(|n| format!("{n}-{}", "x".repeat(length))).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let incident = Incident { key: "k".to_owned(), findings: vec![finding(Kind::ReadBurst, Severity::Critical, &names)] };
            let requests = requests(&incident, &[], None, GAP, &[Measure::Deny].into(), Environment::Prod).unwrap();
            for request in &requests {
                prop_assert!(serde_json::to_string(request).unwrap().len() < 250_000);
            }
            let secrets: BTreeSet<_> = requests.iter().flat_map(|request| &request.secrets).map(|one| &one.secret).collect();
            prop_assert_eq!(secrets.len(), count);
            prop_assert_eq!(requests.iter().map(|request| request.secrets.len()).sum::<usize>(), count);
        }
    }
}
