//! Findings and accesses as the Open Cybersecurity Schema Framework writes them: pure renderings.
//!
//! Source: github.com/ocsf/ocsf-schema at version 1.5.0, the classes `detection_finding` and `api_activity`.

use jiff::Timestamp;
use relatch::{
    audit::finding::{Finding, Severity, origin_text},
    language::Language,
};
use relatch_events::{
    cloudtrail::{
        identity::{Actor, ActorKind},
        target::{Target, TargetKind},
    },
    fact::{Fact, Origin, Outcome},
    moment::Moment,
};
use serde_json::{Value, json};

/// The version of the schema.
const VERSION: &str = "1.5.0";

/// A Detection Finding. What is not dated happened now.
pub(super) fn finding(finding: &Finding, now: Timestamp) -> Value {
    let at = millis(finding.at, now);
    let name = finding.kind.name();
    let (severity_id, severity) = match finding.severity {
        Severity::Low => (2, "Low"),
        Severity::Medium => (3, "Medium"),
        Severity::High => (4, "High"),
        Severity::Critical => (5, "Critical"),
    };
    let (status_id, status) = if finding.shadowed { (3, "Suppressed") } else { (1, "New") };
    // The same finding is called the same, whenever it is found.
    let about = finding.events.first().cloned().unwrap_or_else(|| format!("{}/{at}", finding.key));
    let title = finding.kind.title(Language::English);
    let (service, operation) = finding.action.split_once(':').unwrap_or_default();
    pruned(json!({
        "category_uid": 2, "category_name": "Findings",
        "class_uid": 2004, "class_name": "Detection Finding",
        "activity_id": 1, "activity_name": "Create",
        "type_uid": 200_401, "type_name": "Detection Finding: Create",
        "severity_id": severity_id, "severity": severity,
        "status_id": status_id, "status": status,
        "is_alert": !finding.shadowed,
        "time": at,
        "message": title,
        "metadata": metadata(Some(&finding.key), None),
        "cloud": cloud(finding.account.as_deref(), finding.region.as_deref()),
        "finding_info": {
            "uid": format!("{name}/{about}"),
            "title": title,
            "desc": finding.reasons(Language::English).join("; "),
            "types": [finding.kind.page().event_type.name()],
            "analytic": {
                "uid": name, "name": name, "type_id": 1, "type": "Rule",
                "desc": finding.kind.meaning(Language::English),
            },
            "last_seen_time": at,
            "data_sources": ["AWS CloudTrail"],
            "related_events": finding.events.iter().map(|id| json!({ "uid": id })).collect::<Vec<_>>(),
        },
        "evidences": [{
            "actor": {
                "user": { "uid": finding.principal },
                "session": { "uid": finding.session },
            },
            "api": { "operation": operation, "service": { "name": service } },
            "src_endpoint": finding.origin.as_ref().map(endpoint),
            "http_request": { "user_agent": finding.user_agent },
        }],
        "resources": finding.targets.iter().map(resource).collect::<Vec<_>>(),
        "remediation": {
            "desc": finding.to_do(Language::English),
            "references": [finding.kind.runbook()],
        },
    }))
}

/// An API Activity. What is not dated happened now.
pub(super) fn access(fact: &Fact, now: Timestamp) -> Value {
    let Actor { id, account, session, invoked_by, mfa, .. } = &fact.actor;
    let (status_id, status, code) = match &fact.outcome {
        Outcome::Done => (1, "Success", None),
        Outcome::Denied(code) | Outcome::Failed(code) => (2, "Failure", Some(code)),
    };
    let (type_id, user_type) = match fact.actor.kind {
        ActorKind::Root => (2, "Admin"),
        ActorKind::User | ActorKind::Role | ActorKind::Federated | ActorKind::IdentityCenter => (1, "User"),
        ActorKind::Service => (3, "System"),
        ActorKind::Account | ActorKind::Unknown => (0, "Unknown"),
    };
    // The schema wants to know where it came from; not every event tells.
    let source = fact.origin.as_ref().map_or_else(|| json!({ "name": "unknown" }), endpoint);
    pruned(json!({
        "category_uid": 6, "category_name": "Application Activity",
        "class_uid": 6003, "class_name": "API Activity",
        "activity_id": 2, "activity_name": "Read",
        "type_uid": 600_302, "type_name": "API Activity: Read",
        "severity_id": 1, "severity": "Informational",
        "status_id": status_id, "status": status, "status_code": code,
        "time": millis(fact.at, now),
        "metadata": metadata(None, fact.id.as_deref()),
        "cloud": cloud(fact.account.as_deref(), fact.region.as_deref()),
        "actor": {
            "user": {
                "uid": id, "type_id": type_id, "type": user_type,
                "account": account.as_deref().map(owner),
            },
            "session": { "uid": session, "is_mfa": mfa },
            "app_name": invoked_by,
        },
        "api": {
            "operation": fact.action,
            "service": { "name": fact.service },
            "request": fact.request_id.as_ref().map(|id| json!({ "uid": id })),
        },
        "src_endpoint": source,
        "http_request": { "user_agent": fact.user_agent },
        "resources": fact.targets.iter().map(resource).collect::<Vec<_>>(),
    }))
}

fn millis(at: Option<Moment>, now: Timestamp) -> i64 {
    at.map_or_else(|| now.as_millisecond(), Moment::as_millis)
}

fn metadata(incident: Option<&str>, event: Option<&str>) -> Value {
    json!({
        "version": VERSION,
        "product": { "name": "Relatch", "vendor_name": "Relatch", "version": env!("CARGO_PKG_VERSION") },
        "profiles": ["cloud"],
        "log_provider": "AWS CloudTrail",
        "correlation_uid": incident,
        "uid": event,
    })
}

fn cloud(account: Option<&str>, region: Option<&str>) -> Value {
    json!({ "provider": "AWS", "region": region, "account": account.map(owner) })
}

fn owner(account: &str) -> Value {
    json!({ "uid": account, "type_id": 10, "type": "AWS Account" })
}

fn endpoint(origin: &Origin) -> Value {
    let text = origin_text(origin);
    match origin {
        Origin::Address(_) => json!({ "ip": text }),
        Origin::Aws(_) => json!({ "svc_name": text }),
        Origin::Other(_) => json!({ "hostname": text }),
    }
}

fn resource(target: &Target) -> Value {
    let kind = match target.kind {
        TargetKind::Secret => "AWS::SecretsManager::Secret",
        TargetKind::Parameter => "AWS::SSM::Parameter",
        TargetKind::Key => "AWS::KMS::Key",
        TargetKind::Instance => "AWS::RDS::DBInstance",
        TargetKind::Cluster => "AWS::RDS::DBCluster",
        TargetKind::Trail => "AWS::CloudTrail::Trail",
        TargetKind::Rule => "AWS::Events::Rule",
        TargetKind::Function => "AWS::Lambda::Function",
        TargetKind::Mapping => "AWS::Lambda::EventSourceMapping",
        TargetKind::Topic => "AWS::SNS::Topic",
        TargetKind::Queue => "AWS::SQS::Queue",
        TargetKind::Alarm => "AWS::CloudWatch::Alarm",
        TargetKind::Table => "AWS::DynamoDB::Table",
        TargetKind::Bucket => "AWS::S3::Bucket",
        TargetKind::Role => "AWS::IAM::Role",
        TargetKind::LogGroup => "AWS::Logs::LogGroup",
        TargetKind::Schedule => "AWS::Scheduler::Schedule",
    };
    json!({
        "uid": target.to_string(), "name": target.name, "type": kind, "region": target.region,
        "owner": target.account.as_deref().map(|account| json!({ "account": owner(account) })),
    })
}

/// Without what is null or empty: the schema has no such values.
fn pruned(value: Value) -> Value {
    let is_there = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    };
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, field)| (name, pruned(field)));
            Value::Object(fields.filter(|(_, field)| is_there(field)).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(pruned).filter(is_there).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_null_or_empty_is_left_out_however_deep() {
        let value = json!({ "a": null, "b": { "c": "", "d": [{ "e": null }] }, "f": [0, false], "g": "x" });
        assert_eq!(pruned(value), json!({ "f": [0, false], "g": "x" }));
    }
}
