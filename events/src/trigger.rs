//! What wakes `respond`: the end of a rotation, an alarm, or the clock.
//!
//! EventBridge's envelope and SNS's are [`aws_lambda_events`]'. What is inside them is read here, field by field, and
//! leniently: that crate's `CloudWatchAlarm` takes a state without a value for OK and insists on a reason and a
//! configuration, its alarm in an SNS message insists on a description and on one metric (a composite alarm has
//! neither), and it knows CloudTrail's records only as calls, without `errorMessage`.

use crate::{
    containment::{self, WakeUp},
    rotation::Step,
    secret::{SecretId, VersionId},
};
use aws_lambda_events::event::{eventbridge::EventBridgeEvent, sns::SnsEvent};
use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value::Error as StepError},
};
use serde_json::Value;

/// What `respond` has been woken by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// Secrets Manager says how a rotation goes.
    Rotation(ServiceEvent),
    /// A CloudWatch alarm has changed its state.
    Alarm(Alarm),
    /// The schedule: time to look after every secret.
    Sweep,
    /// Another schedule: time to tell people what has been held back.
    Flush,
    /// The audit has written down a request to contain an incident.
    Containment(WakeUp),
}

/// What CloudTrail tells of a rotation that Secrets Manager drives: an "AWS service event", not a call.
///
/// Source: the Secrets Manager user guide, "CloudTrail entries for Secrets Manager", and events as published by users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceEvent {
    /// What has happened.
    pub kind: ServiceEventKind,
    /// Whose rotation it is; in all events seen, the full ARN.
    pub secret: SecretId,
    /// The version that was being rotated in. Told only inside of `requestID`, and not where that is odd.
    pub token: Option<VersionId>,
    /// The step that failed, if the event's sentence names one. The event says nothing else about the cause.
    pub step: Option<Step>,
    /// CloudTrail's own id of the event; the same when an event is delivered again.
    pub event_id: Option<String>,
    /// When it happened, as CloudTrail writes it (RFC 3339, UTC).
    pub at: Option<String>,
}

/// What has happened to a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceEventKind {
    /// A step failed; within the rotation's window, Secrets Manager tries again.
    Failed,
    /// AWSPENDING was taken off a version that was being rotated in, for the sake of another one.
    Abandoned,
    /// The new version is current.
    Succeeded,
    /// A rotation has begun.
    Started,
}

/// A CloudWatch alarm, of one metric or composite, that has changed its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The alarm's name.
    pub name: String,
    /// The alarm's ARN.
    pub arn: Option<String>,
    /// Its state now.
    pub state: AlarmState,
    /// Its state before.
    pub previous: Option<AlarmState>,
    /// CloudWatch's own sentence about the change.
    pub reason: Option<String>,
    /// When its state changed, as CloudWatch writes it: ISO 8601, UTC, the offset mostly as `+0000`.
    pub at: Option<String>,
}

/// The states of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AlarmState {
    /// It fires.
    Alarm,
    /// It does not.
    Ok,
    /// CloudWatch cannot tell: the alarm is new, or its metric has stopped.
    InsufficientData,
}

/// Why an event is not a [`Trigger`]. Names what was found, and never quotes a value other than those that say what
/// kind of an event it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTrigger {
    /// The event is none of those that `respond` is for.
    #[error(
        "{found} is not for respond, which takes Secrets Manager's rotation events (AWS Service Event via CloudTrail), \
         changes of CloudWatch alarms (from EventBridge, SNS or the alarm itself), the audit's requests for containment, \
         scheduled events, and {{\"relatch\":\"sweep\"}} or {{\"relatch\":\"flush\"}}"
    )]
    Foreign {
        /// What kind of an event it is, or the names of its fields.
        found: String,
    },
    /// The event is one of them, but lacks what it cannot do without.
    #[error("{event} has no {field} that can be used")]
    Incomplete {
        /// What kind of an event it is.
        event: &'static str,
        /// The field, as AWS writes it.
        field: &'static str,
    },
}

impl Trigger {
    /// What the payload of an invocation means.
    ///
    /// # Errors
    /// When the event is of another kind, or lacks what an event of its kind cannot do without.
    pub fn parse(event: &Value) -> Result<Self, UnknownTrigger> {
        if let Ok(envelope) = EventBridgeEvent::<Value>::deserialize(event) {
            return Self::from_eventbridge(&envelope);
        }
        if let Ok(notification) = SnsEvent::deserialize(event) {
            return Alarm::from_sns(&notification).map(Self::Alarm);
        }
        if let Some(data) = event.get("alarmData") {
            // https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html
            return Alarm::from_states(data, text(event, "/alarmArn"), text(event, "/time")).map(Self::Alarm);
        }
        match event.get("relatch").and_then(Value::as_str) {
            Some("sweep") => Ok(Self::Sweep),
            Some("flush") => Ok(Self::Flush),
            Some(_) | None => Err(foreign(described("an event", event))),
        }
    }

    fn from_eventbridge(envelope: &EventBridgeEvent) -> Result<Self, UnknownTrigger> {
        match (envelope.source.as_str(), envelope.detail_type.as_str()) {
            ("aws.secretsmanager", "AWS Service Event via CloudTrail") => {
                ServiceEvent::from_record(&envelope.detail).map(Self::Rotation)
            }
            ("aws.cloudwatch", "CloudWatch Alarm State Change") => {
                let arn = envelope.resources.iter().flatten().next().cloned();
                Alarm::from_states(&envelope.detail, arn, envelope.time.map(|time| time.to_rfc3339())).map(Self::Alarm)
            }
            // Serde's own words could quote what the event says.
            (containment::SOURCE, containment::DETAIL_TYPE) => {
                let missing = UnknownTrigger::Incomplete { event: "a request for containment", field: "detail" };
                WakeUp::deserialize(&envelope.detail).map(Self::Containment).map_err(|_| missing)
            }
            // A rule's schedule, and EventBridge Scheduler's where it was given no input.
            ("aws.events" | "aws.scheduler", "Scheduled Event") => Ok(Self::Sweep),
            (source, kind) => Err(foreign(format!("an event of {:?}, {:?},", brief(source), brief(kind)))),
        }
    }
}

impl ServiceEvent {
    fn from_record(record: &Value) -> Result<Self, UnknownTrigger> {
        let missing = |field| UnknownTrigger::Incomplete { event: "a service event of Secrets Manager", field };
        let kind = match text(record, "/eventName").ok_or_else(|| missing("eventName"))?.as_str() {
            "RotationFailed" => ServiceEventKind::Failed,
            "RotationAbandoned" => ServiceEventKind::Abandoned,
            "RotationSucceeded" => ServiceEventKind::Succeeded,
            "RotationStarted" => ServiceEventKind::Started,
            other => return Err(foreign(format!("Secrets Manager's service event {:?}", brief(other)))),
        };
        let secret = text(record, "/additionalEventData/SecretId").and_then(|id| SecretId::try_from(id).ok());
        let secret = secret.ok_or_else(|| missing("additionalEventData.SecretId"))?;
        Ok(Self {
            kind,
            token: text(record, "/requestID").and_then(|id| token(&id, &secret)),
            step: text(record, "/errorMessage").and_then(|message| step(&message)),
            secret,
            event_id: text(record, "/eventID"),
            at: text(record, "/eventTime"),
        })
    }
}

impl Alarm {
    /// The shape of EventBridge's `detail` and of the `alarmData` that an alarm itself sends.
    fn from_states(data: &Value, arn: Option<String>, sent: Option<String>) -> Result<Self, UnknownTrigger> {
        let missing = |field| UnknownTrigger::Incomplete { event: "a CloudWatch alarm", field };
        Ok(Self {
            name: text(data, "/alarmName").ok_or_else(|| missing("alarmName"))?,
            arn,
            state: state(data, "/state/value").ok_or_else(|| missing("state.value"))?,
            previous: state(data, "/previousState/value"),
            reason: text(data, "/state/reason"),
            at: text(data, "/state/timestamp").or(sent),
        })
    }

    /// The shape that an alarm sends to an SNS topic.
    fn from_sns(event: &SnsEvent) -> Result<Self, UnknownTrigger> {
        // "All notification messages will contain a single published message" (https://aws.amazon.com/sns/faqs/).
        let [record] = event.records.as_slice() else {
            return Err(foreign(format!("an SNS event with {} records", event.records.len())));
        };
        let Ok(message) = serde_json::from_str::<Value>(&record.sns.message) else {
            return Err(foreign("an SNS message that is not JSON".into()));
        };
        Self::from_message(&message)
    }

    /// The message itself that an alarm sends to an SNS topic.
    ///
    /// # Errors
    /// When it is another message, or lacks what an alarm cannot do without.
    pub fn from_message(message: &Value) -> Result<Self, UnknownTrigger> {
        if message.get("AlarmName").is_none() {
            return Err(foreign(described("an SNS message", message)));
        }
        let missing = |field| UnknownTrigger::Incomplete { event: "a CloudWatch alarm in an SNS message", field };
        Ok(Self {
            name: text(message, "/AlarmName").ok_or_else(|| missing("AlarmName"))?,
            arn: text(message, "/AlarmArn"),
            state: state(message, "/NewStateValue").ok_or_else(|| missing("NewStateValue"))?,
            previous: state(message, "/OldStateValue"),
            reason: text(message, "/NewStateReason"),
            at: text(message, "/StateChangeTime"),
        })
    }
}

/// `requestID` is `Rotation-<the secret's ARN>-<token>`. Hyphens separate nothing in it: both may contain them. So the
/// token is what follows the ARN; or, where the event does not name the secret by its whole ARN, a UUID at the end.
pub(crate) fn token(request_id: &str, secret: &SecretId) -> Option<VersionId> {
    let request = request_id.strip_prefix("Rotation-")?;
    let after_arn = request.strip_prefix(secret.as_str()).and_then(|rest| rest.strip_prefix('-'));
    let token = match after_arn {
        Some(rest) if is_whole_arn(secret.as_str(), rest) => rest,
        Some(_) | None => uuid_at_the_end(request)?,
    };
    // The API's limits for a ClientRequestToken; a shortened one ("84340791...980c9c") is below them.
    let valid = (32..=64).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    if valid { VersionId::try_from(token).ok() } else { None }
}

/// Whether an ARN ends in the six characters that Secrets Manager adds to the name. A name's last word may look like
/// them ("shop-orders"), but then they follow, and a token after them.
fn is_whole_arn(secret: &str, rest: &str) -> bool {
    let is_suffix = |text: &str| text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let ends_in_suffix = secret.starts_with("arn:") && secret.rsplit_once('-').is_some_and(|(_, end)| is_suffix(end));
    let suffix_follows = rest.split_once('-').is_some_and(|(word, token)| is_suffix(word) && is_uuid(token));
    ends_in_suffix && !suffix_follows
}

fn uuid_at_the_end(request: &str) -> Option<&str> {
    let token = request.get(request.len().checked_sub(36)?..)?;
    if is_uuid(token) { Some(token) } else { None }
}

fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// `Error when executing lambda <arn> during createSecret step`. The function's name may contain a step's, too.
pub(crate) fn step(message: &str) -> Option<Step> {
    let (_, during) = message.rsplit_once("during ")?;
    let word = during.split(|character: char| !character.is_ascii_alphanumeric() && character != '_').next()?;
    let word: serde::de::value::StrDeserializer<'_, StepError> = word.into_deserializer();
    Step::deserialize(word).ok()
}

fn state(value: &Value, pointer: &str) -> Option<AlarmState> {
    match value.pointer(pointer)?.as_str()? {
        "ALARM" => Some(AlarmState::Alarm),
        "OK" => Some(AlarmState::Ok),
        "INSUFFICIENT_DATA" => Some(AlarmState::InsufficientData),
        _ => None,
    }
}

/// The text there, unless it is empty.
fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn foreign(found: String) -> UnknownTrigger {
    UnknownTrigger::Foreign { found }
}

/// The thing with the names of its fields, at most ten of them.
fn described(thing: &str, value: &Value) -> String {
    let Some(fields) = value.as_object() else { return format!("{thing} that is not a JSON object") };
    let mut names: Vec<String> = fields.keys().take(10).map(|name| format!("{:?}", brief(name))).collect();
    if fields.len() > names.len() {
        names.push(format!("{} more", fields.len() - names.len()));
    }
    match names.as_slice() {
        [] => format!("{thing} without fields"),
        names => format!("{thing} with the fields {}", names.join(", ")),
    }
}

/// The beginning of a name that may be of any length.
fn brief(name: &str) -> String {
    name.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fixtures;
    use serde_json::json;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-prod-secret-database-AbCdEf";
    const TOKEN: &str = "7f3c1c52-5f0e-4a6b-9d55-0c8f6d1a2b34";

    #[test]
    fn every_fixture_means_what_the_snapshot_says() {
        for folder in ["service-events", "alarms", "sweep", "flush", "containment"] {
            let meanings: Vec<String> = fixtures::files(&format!("fixtures/{folder}"))
                .iter()
                .map(|(name, bytes)| {
                    let trigger = Trigger::parse(&serde_json::from_slice(bytes).unwrap());
                    format!("{name}\n  {:?}", trigger.unwrap_or_else(|problem| panic!("{name}: {problem}")))
                })
                .collect();
            insta::assert_snapshot!(folder, meanings.join("\n"));
        }
    }

    #[test]
    fn the_token_is_found_in_whatever_way_the_secret_is_named() {
        let without_suffix = ARN.strip_suffix("-AbCdEf").unwrap();
        let own = "a-token-of-my-own-of-32-characters";
        let looks_full = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-orders";
        for (request_id, secret, expected) in [
            (format!("Rotation-{ARN}-{TOKEN}"), ARN, Some(TOKEN)),
            (format!("Rotation-{ARN}-{own}"), ARN, Some(own)),
            (format!("Rotation-{ARN}-team-a-{TOKEN}"), ARN, Some(format!("team-a-{TOKEN}").as_str())),
            (format!("Rotation-{ARN}-{TOKEN}"), without_suffix, Some(TOKEN)),
            (format!("Rotation-{looks_full}-AbCdEf-{TOKEN}"), looks_full, Some(TOKEN)),
            (format!("Rotation-{ARN}-{TOKEN}"), "shop-prod-secret-database", Some(TOKEN)),
            (format!("Rotation-{ARN}-{own}"), "shop-prod-secret-database", None),
            (format!("Rotation-{ARN}-7f3c1c5...6d1a2b34"), ARN, None),
            (format!("Rotation-{ARN}-"), ARN, None),
            (format!("Rotation-{ARN}"), ARN, None),
            (format!("Rotation-{ARN}-ключ{TOKEN}"), ARN, None),
            ("Rotation-ключключключключключключключключключ".into(), ARN, None),
            (TOKEN.into(), ARN, None),
        ] {
            let found = token(&request_id, &SecretId::try_from(secret).unwrap());
            assert_eq!(found.as_ref().map(VersionId::as_str), expected, "{request_id} of {secret}");
        }
    }

    #[test]
    fn the_step_is_the_word_after_during_in_both_spellings() {
        for (end, expected) in [
            ("during createSecret step", Some(Step::Create)),
            ("during set_secret step.", Some(Step::Set)),
            ("during testSecret", Some(Step::Test)),
            ("during a step", None),
            ("during ", None),
            ("", None),
        ] {
            let message = format!("Error when executing lambda arn:aws:lambda:eu-west-1:1:function:finishSecret {end}");
            assert_eq!(step(&message), expected, "{end}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_event_is_said_without_its_values() {
        let rule =
            |source: &str, kind: &str, detail: Value| json!({"source": source, "detail-type": kind, "detail": detail});
        let record = |record: Value| rule("aws.secretsmanager", "AWS Service Event via CloudTrail", record);
        let sns = |message: &str| {
            let mut event: Value =
                serde_json::from_slice(&fixtures::file("fixtures/alarms/sns-metric-alarm.json")).unwrap();
            event["Records"][0]["Sns"]["Message"] = message.into();
            event
        };
        let mut two = sns("{}");
        two["Records"] = json!([two["Records"][0], two["Records"][0]]);
        let many: Value =
            (0..12).map(|field| (format!("field-{field}"), json!("MARKED"))).collect::<serde_json::Map<_, _>>().into();
        let errors: Vec<String> = [
            rule("aws.s3", "Object Created", json!({"password": "MARKED"})),
            rule("aws.secretsmanager", "AWS API Call via CloudTrail", json!({"eventName": "MARKED"})),
            rule("somebody.else", "Scheduled Event", json!({})),
            record(json!({"eventName": "EndSecretVersionDelete", "additionalEventData": {"SecretId": "MARKED"}})),
            record(json!({"additionalEventData": {"SecretId": "MARKED"}})),
            record(json!({"eventName": "RotationFailed", "requestID": "MARKED"})),
            record(json!({"eventName": "RotationFailed", "additionalEventData": {"SecretId": ""}})),
            record(json!({"eventName": "RotationFailed", "additionalEventData": null})),
            record(json!("MARKED")),
            rule(
                "aws.cloudwatch",
                "CloudWatch Alarm State Change",
                json!({"alarmName": "MARKED", "state": {"value": "MARKED"}}),
            ),
            json!({"source": "aws.cloudwatch", "alarmData": {"state": {"value": "OK"}}}),
            json!({"source": "aws.cloudwatch", "alarmData": {"alarmName": "MARKED", "state": {}}}),
            sns("MARKED"),
            sns(r#"{"password": "MARKED"}"#),
            sns(r#"{"AlarmName": "MARKED"}"#),
            two,
            json!({"Records": [{"eventSource": "MARKED", "s3": {}}]}),
            json!({"Step": "setSecret", "SecretId": "MARKED", "ClientRequestToken": "MARKED"}),
            json!({"source": 7, "detail-type": "MARKED", "detail": {}}),
            json!({"relatch": "MARKED"}),
            many,
            json!({"x".repeat(10_000): 1}),
            json!({}),
            json!([]),
            Value::Null,
        ]
        .iter()
        .map(|event| Trigger::parse(event).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(errors.join("\n"));
        assert!(!errors.concat().contains("MARKED"));
    }

    #[test]
    fn the_fuzzers_corpus_never_panics() {
        let corpus = fixtures::files("fuzz/corpus/trigger");
        assert!(!corpus.is_empty());
        for (_, bytes) in corpus {
            if let Ok(event) = serde_json::from_slice(&bytes) {
                let _ = Trigger::parse(&event);
            }
        }
    }
}
