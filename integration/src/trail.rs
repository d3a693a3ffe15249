//! What AWS tells of a rotation or an alarm afterwards, in the shapes in which EventBridge, CloudWatch and SNS hand it
//! to a function.
//!
//! The stand-in makes no events by itself: a test says when the word arrives, since CloudTrail takes minutes.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::aws::{ACCOUNT, Call, REGION, WITHHELD};

/// Secrets Manager's word that a rotation has begun.
pub fn rotation_started(secret: &str, token: &str, at: Timestamp) -> Value {
    service_event("RotationStarted", secret, token, json!({ "eventTime": format!("{at:.0}") }))
}

/// Secrets Manager's word that a rotation has failed: it tells the secret and the token, and no cause.
pub fn rotation_failed(secret: &str, token: &str) -> Value {
    let function = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:rotate");
    let sentence = format!("Error when executing lambda {function} during setSecret step");
    service_event("RotationFailed", secret, token, json!({ "errorMessage": sentence }))
}

/// Its word that it has given a rotation up, and taken AWSPENDING off, since somebody wrote a version meanwhile.
pub fn rotation_abandoned(secret: &str, token: &str) -> Value {
    service_event("RotationAbandoned", secret, token, json!({}))
}

/// Its word that a rotation has gone through.
pub fn rotation_succeeded(secret: &str, token: &str) -> Value {
    service_event("RotationSucceeded", secret, token, json!({}))
}

/// EventBridge's schedule.
pub fn scheduled() -> Value {
    envelope("aws.events", "Scheduled Event", json!({}))
}

/// The schedule by which is told what was held back.
pub fn flush() -> Value {
    json!({ "relatch": "flush" })
}

/// A CloudWatch alarm that has changed its state (`ALARM`, `OK`, `INSUFFICIENT_DATA`), through EventBridge.
pub fn alarm_through_eventbridge(name: &str, state: &str) -> Value {
    let detail = json!({ "alarmName": name, "state": alarm_state(state), "previousState": alarm_state("OK") });
    envelope("aws.cloudwatch", "CloudWatch Alarm State Change", detail)
}

/// The same, as an alarm calls a function itself.
pub fn alarm_itself(name: &str, state: &str) -> Value {
    json!({
        "source": "aws.cloudwatch",
        "alarmArn": alarm_arn(name),
        "accountId": ACCOUNT,
        "time": "2026-01-01T00:00:00.000+0000",
        "region": REGION,
        "alarmData": { "alarmName": name, "state": alarm_state(state), "previousState": alarm_state("OK") },
    })
}

/// The same, through an SNS topic.
pub fn alarm_through_sns(name: &str, state: &str) -> Value {
    let message = json!({
        "AlarmName": name, "AlarmArn": alarm_arn(name), "NewStateValue": state, "OldStateValue": "OK",
        "NewStateReason": REASON, "StateChangeTime": "2026-01-01T00:00:00.000+0000", "Region": REGION,
        "AWSAccountId": ACCOUNT,
    });
    let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:alarms");
    json!({
        "Records": [{
            "EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": format!("{topic}:1"),
            "Sns": {
                "Type": "Notification", "MessageId": Uuid::new_v4().to_string(), "TopicArn": topic,
                "Subject": format!("{state}: {name}"), "Message": message.to_string(),
                "Timestamp": "2026-01-01T00:00:00.000Z", "SignatureVersion": "1", "Signature": "local",
                "SigningCertUrl": "https://sns.amazonaws.com/cert.pem",
                "UnsubscribeUrl": "https://sns.amazonaws.com/?Action=Unsubscribe", "MessageAttributes": {},
            },
        }],
    })
}

/// CloudTrail's record of a read, through EventBridge: a role, or the account's root user where there is none.
pub fn read(secret: &str, role: Option<&str>, at: Timestamp) -> Value {
    let identity = match role {
        Some(role) => assumed(role, "i-0abc"),
        None => json!({ "type": "Root", "principalId": ACCOUNT, "accountId": ACCOUNT,
                        "arn": format!("arn:aws:iam::{ACCOUNT}:root") }),
    };
    let record = json!({
        "eventVersion": "1.10", "userIdentity": identity, "eventTime": format!("{at:.0}"),
        "eventSource": "secretsmanager.amazonaws.com", "eventName": "GetSecretValue", "awsRegion": REGION,
        "sourceIPAddress": "198.51.100.7", "userAgent": "aws-cli/2.17.0", "requestParameters": { "secretId": secret },
        "responseElements": null, "requestID": Uuid::new_v4().to_string(), "eventID": Uuid::new_v4().to_string(),
        "readOnly": true, "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    });
    envelope("aws.secretsmanager", "AWS API Call via CloudTrail", record)
}

/// CloudTrail's record of a call that has arrived, made by the session of a role, through EventBridge.
pub fn recorded(call: &Call, role: &str, session: &str, agent: &str) -> Value {
    let parameters = call.parameters.as_object().into_iter().flatten();
    // Values are in no record; what the stand-in withholds stands for one, or for a rotation's token.
    let parameters = parameters.filter(|(_, value)| *value != WITHHELD);
    let parameters: Map<String, Value> = parameters.map(|(name, value)| (camel(name), value.clone())).collect();
    let is_read = ["Get", "List", "Describe"].iter().any(|verb| call.action.starts_with(verb));
    let mut record = json!({
        "eventVersion": "1.11", "userIdentity": assumed(role, session), "eventTime": format!("{:.0}", call.at),
        "eventSource": format!("{}.amazonaws.com", call.service), "eventName": call.action, "awsRegion": REGION,
        "sourceIPAddress": "198.51.100.7", "userAgent": agent, "requestParameters": parameters,
        "responseElements": null, "requestID": Uuid::new_v4().to_string(), "eventID": Uuid::new_v4().to_string(),
        "readOnly": is_read,
        "eventType": "AwsApiCall", "managementEvent": true, "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    });
    if let Some(error) = call.error {
        record["errorCode"] = json!(error);
    }
    envelope(&format!("aws.{}", call.service), "AWS API Call via CloudTrail", record)
}

/// CloudTrail's field for a parameter: `SecretId` is `secretId` there.
fn camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

/// What a queue hands to a function: each message under its number.
pub fn queued<'a>(bodies: impl IntoIterator<Item = &'a str>) -> Value {
    let record = |(number, body): (usize, &str)| {
        json!({ "messageId": format!("message-{number}"), "receiptHandle": "x", "body": body,
                "eventSource": "aws:sqs", "eventSourceARN": format!("arn:aws:sqs:{REGION}:{ACCOUNT}:audit") })
    };
    json!({ "Records": bodies.into_iter().enumerate().map(record).collect::<Vec<_>>() })
}

const REASON: &str = "Threshold Crossed: 1 datapoint [1.0] was greater than or equal to the threshold (1.0).";

fn assumed(role: &str, session: &str) -> Value {
    json!({
        "type": "AssumedRole", "principalId": format!("AROAEXAMPLE:{session}"), "accountId": ACCOUNT,
        "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}"), "accessKeyId": "ASIAEXAMPLE",
        "sessionContext": { "sessionIssuer": {
            "type": "Role", "principalId": "AROAEXAMPLE", "arn": format!("arn:aws:iam::{ACCOUNT}:role/{role}"),
            "accountId": ACCOUNT, "userName": role,
        } },
    })
}

fn service_event(name: &str, secret: &str, token: &str, more: Value) -> Value {
    let mut record = json!({
        "eventVersion": "1.08",
        "userIdentity": { "accountId": ACCOUNT, "invokedBy": "secretsmanager.amazonaws.com" },
        "eventTime": "2026-01-01T00:00:00Z",
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": name,
        "awsRegion": REGION,
        "sourceIPAddress": "secretsmanager.amazonaws.com",
        "userAgent": "secretsmanager.amazonaws.com",
        "requestParameters": null,
        "responseElements": null,
        "additionalEventData": { "SecretId": secret },
        "requestID": format!("Rotation-{secret}-{token}"),
        "eventID": Uuid::new_v4().to_string(),
        "readOnly": false,
        "eventType": "AwsServiceEvent",
        "managementEvent": true,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        record[field] = value.clone();
    }
    envelope("aws.secretsmanager", "AWS Service Event via CloudTrail", record)
}

fn envelope(source: &str, kind: &str, detail: Value) -> Value {
    json!({
        "version": "0",
        "id": Uuid::new_v4().to_string(),
        "detail-type": kind,
        "source": source,
        "account": ACCOUNT,
        "time": "2026-01-01T00:00:00Z",
        "region": REGION,
        "resources": [],
        "detail": detail,
    })
}

fn alarm_state(value: &str) -> Value {
    json!({ "value": value, "reason": REASON, "timestamp": "2026-01-01T00:00:00.000+0000" })
}

fn alarm_arn(name: &str) -> String {
    format!("arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}")
}
