//! Who may assume a role, and under which conditions: only those that AWS documents for the service, for another one makes a
//! role that nobody can assume, and a deployment that fails after minutes.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::evaluation::list;
use crate::scene::{ACCOUNT, TEMPLATES, World};

/// A service, the condition keys of a trust policy that it is documented to set, and where.
const TRUSTED: [(&str, &[&str], &str); 6] = [
    (
        "backup.amazonaws.com",
        &[],
        "AWS Backup Developer Guide, \"IAM service roles\": the default role trusts without a condition",
    ),
    (
        "cloudtrail.amazonaws.com",
        &[],
        "CloudTrail User Guide, \"Role policy document for CloudTrail to use CloudWatch Logs for monitoring\": it \
         \"doesn't support the use of aws:SourceArn and aws:SourceAccount\"",
    ),
    (
        "events.amazonaws.com",
        &["aws:SourceAccount"],
        "EventBridge User Guide, \"Using IAM policy conditions in Amazon EventBridge\"",
    ),
    (
        "lambda.amazonaws.com",
        &[],
        "Lambda Developer Guide, \"Defining Lambda function permissions with an execution role\": without a condition",
    ),
    (
        "rds.amazonaws.com",
        &[],
        "RDS User Guide, \"Configuring IAM authentication for RDS Proxy\": the proxy's role trusts without a condition",
    ),
    (
        "scheduler.amazonaws.com",
        &["aws:SourceAccount"],
        "EventBridge Scheduler User Guide, \"Confused deputy prevention in EventBridge Scheduler\"",
    ),
];

#[test]
fn roles_are_trusted_only_under_conditions_that_aws_documents() {
    let mut seen = BTreeSet::new();
    for (path, template) in TEMPLATES.iter() {
        for (id, resource) in template["Resources"].as_object().into_iter().flatten() {
            if resource["Type"] != "AWS::IAM::Role" {
                continue;
            }
            for statement in list(&resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]) {
                let service = statement["Principal"]["Service"].as_str().unwrap_or_else(|| panic!("{path}: {id}"));
                let trusted = TRUSTED.iter().find(|(name, ..)| *name == service);
                let (_, documented, source) = trusted.unwrap_or_else(|| panic!("{path}: {id} trusts {service}"));
                let keys: Vec<&str> = keys(&statement["Condition"]).collect();
                assert_eq!(&keys, documented, "{path}: {id}; {source}");
                seen.insert(service.to_owned());
            }
        }
    }
    assert_eq!(seen.len(), TRUSTED.len(), "{seen:?}");
}

fn keys(condition: &Value) -> impl Iterator<Item = &str> {
    condition
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, keys)| keys.as_object())
        .flatten()
        .map(|(key, _)| key.as_str())
}

/// A new alarm is decided about: whether it makes respond look after every secret.
#[test]
fn each_alarm_is_known_to_be_about_rotations_or_not() {
    let deployment = World::new("shop", "prod", ACCOUNT).deployment;
    let alarms: BTreeSet<_> = deployment
        .of_kind("AWS::CloudWatch::Alarm")
        .map(|alarm| alarm.name.strip_prefix("shop-prod").unwrap_or(&alarm.name).to_owned())
        .collect();
    let known: BTreeSet<_> = relatch::alert::findings::OWN_ALARMS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(alarms, known);
}
