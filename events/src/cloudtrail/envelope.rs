//! What EventBridge, SQS, SNS and S3 wrap around records, and around the names of files that hold records.

use super::field::{number, object, text, texts};
use crate::guardduty;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// How the types of those events end that hold a record.
const VIA_CLOUDTRAIL: &str = " via CloudTrail";

/// What an invocation hands over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation<'a> {
    /// Who hands it over.
    pub from: Sender,
    /// What it is: one thing, or a queue's messages in their order.
    pub parcels: Vec<Parcel<'a>>,
}

/// Who hands something over, which decides how a failure is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// EventBridge, S3 or SNS, which take an error for an answer and repeat the whole.
    Direct,
    /// SQS, which wants to know which messages failed, and repeats those.
    Queue,
}

/// One message of a queue, or what came by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel<'a> {
    /// The queue's id of the message, by which a failure is told. Empty where there is no queue.
    pub message_id: String,
    /// What is in it.
    pub content: Result<Content<'a>, UnknownContent>,
}

/// What a [`Parcel`] holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// A record of CloudTrail, as JSON: for [`log::read`](super::log::read).
    Record(Cow<'a, str>),
    /// Files that hold records, or other things: see [`LogFile::kind`].
    Files(Vec<LogFile>),
    /// An event of EventBridge that holds no record.
    Event {
        /// Whose event it is: `aws.guardduty`.
        source: String,
        /// What kind of an event it is: `GuardDuty Finding`.
        kind: String,
        /// What it tells, as JSON.
        detail: Cow<'a, str>,
    },
    /// The schedule's word that it is time to anchor the chain of changes: `{"relatch":"anchor"}`.
    Anchor,
    /// Nothing: S3's test of a new notification, or a notification of something else than a new object.
    Nothing,
}

/// An object in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogFile {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key, decoded.
    pub key: String,
    /// Its size in bytes, compressed, where it is told.
    pub size: Option<u32>,
}

/// What a file of CloudTrail's holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// Records.
    Log,
    /// The signatures of such files.
    Digest,
    /// What CloudTrail Insights has found.
    Insight,
    /// It is none of CloudTrail's.
    Other,
}

/// An invocation that is no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object")]
pub struct UnknownInvocation;

/// Why a parcel holds nothing that we know. It quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum UnknownContent {
    /// It is no JSON object, or there is none.
    #[error("not a JSON object")]
    NotAnObject,
    /// It is none of the kinds that are known.
    #[error("neither an event of EventBridge nor a notification of a file")]
    Foreign,
    /// It says that it is AWS's, and somebody else has put it on the bus. EventBridge lets nobody but AWS's services call
    /// themselves `aws.…`.
    #[error(
        "an event such as AWS sends, from a source that is not AWS's: somebody has forged it; see in CloudTrail who calls \
         events:PutEvents, and let only those do so who have to"
    )]
    Forged,
    /// A file's name cannot be read.
    #[error("a notification of a file without bucket or key, or with a key that is not encoded as S3 does it")]
    NoFile,
}

impl<'a> Invocation<'a> {
    /// What the payload of an invocation holds: an event of EventBridge; messages of a queue or of a topic, with such an
    /// event or with a notification of S3 or of CloudTrail in each; or such a notification itself. A notification in a
    /// queue's message may have come by way of a topic, with or without raw delivery. Or it is our own schedule's word, by
    /// itself and in nobody's message.
    ///
    /// Sources: the Lambda developer guide, "Using Lambda with Amazon SQS", "… SNS", "… S3"; the S3 user guide, "Event
    /// message structure"; the CloudTrail user guide, "Configuring Amazon SNS notifications for CloudTrail".
    ///
    /// # Errors
    /// When it is no JSON object. What is wrong with one of its parcels is told there, and takes no other with it.
    pub fn parse(json: &'a [u8]) -> Result<Self, UnknownInvocation> {
        let text = std::str::from_utf8(json).map_err(|_| UnknownInvocation)?;
        let message: Message<'a> = parse(text).map_err(|_| UnknownInvocation)?;
        let records = || message.records.iter().map(|record| parse::<Handed<'a>>(record.get()).unwrap_or_default());
        let is_of = |source: &str| {
            let sources = records().map(|record| record.event_source.or(record.upper_event_source));
            !message.records.is_empty() && sources.into_iter().all(|name| name.as_deref() == Some(source))
        };
        if is_of("aws:sqs") {
            let parcel = |record: Handed<'a>| Parcel {
                message_id: record.message_id.unwrap_or_default().into_owned(),
                content: inner(record.body.as_deref().unwrap_or_default()),
            };
            return Ok(Self { from: Sender::Queue, parcels: records().map(parcel).collect() });
        }
        let alone = |content| Parcel { message_id: String::new(), content };
        let parcels = if is_of("aws:sns") {
            records().map(|record| alone(inner(record.sns.message.as_deref().unwrap_or_default()))).collect()
        } else if message.relatch.as_deref() == Some("anchor") {
            vec![alone(Ok(Content::Anchor))]
        } else {
            vec![alone(message.content())]
        };
        Ok(Self { from: Sender::Direct, parcels })
    }
}

impl LogFile {
    /// What it holds, by its key: `…AWSLogs/<account>/CloudTrail/<region>/<year>/<month>/<day>/<name>.json.gz`, with
    /// other folders in place of `CloudTrail` for other things.
    ///
    /// Source: the CloudTrail user guide, "Finding your CloudTrail log files".
    pub fn kind(&self) -> FileKind {
        let has = |folder: &str| self.key.split('/').rev().skip(1).any(|part| part == folder);
        let is_json = self.key.ends_with(".json.gz") || self.key.ends_with(".json");
        if has("CloudTrail-Digest") {
            FileKind::Digest
        } else if has("CloudTrail-Insight") {
            FileKind::Insight
        } else if is_json && (has("CloudTrail") || has("CloudTrail-NetworkActivity")) {
            FileKind::Log
        } else {
            FileKind::Other
        }
    }
}

/// What is within a message, which is a text of its own.
fn inner<'b>(text: &str) -> Result<Content<'b>, UnknownContent> {
    let message: Message<'_> = parse(text)?;
    match (message.kind.as_deref(), &message.message) {
        (Some("Notification"), Some(text)) => parse::<Message<'_>>(text)?.content().map(Content::into_owned),
        (_, _) => message.content().map(Content::into_owned),
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, UnknownContent> {
    // An array would do for a structure, field by field.
    if !text.trim_start().starts_with('{') {
        return Err(UnknownContent::NotAnObject);
    }
    serde_json::from_str(text).map_err(|_| UnknownContent::NotAnObject)
}

impl Content<'_> {
    fn into_owned<'b>(self) -> Content<'b> {
        match self {
            Self::Record(json) => Content::Record(Cow::Owned(json.into_owned())),
            Self::Files(files) => Content::Files(files),
            Self::Event { source, kind, detail } => {
                Content::Event { source, kind, detail: Cow::Owned(detail.into_owned()) }
            }
            Self::Anchor => Content::Anchor,
            Self::Nothing => Content::Nothing,
        }
    }
}

/// The fields by which the kinds of messages are told from each other, and what we need of them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    // EventBridge
    #[serde(borrow, deserialize_with = "text")]
    source: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "detail-type", deserialize_with = "text")]
    detail_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    // SQS, SNS, S3
    #[serde(borrow, rename = "Records", deserialize_with = "list")]
    records: Vec<&'a RawValue>,
    // SNS, within a queue
    #[serde(borrow, rename = "Type", deserialize_with = "text")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "Message", deserialize_with = "text")]
    message: Option<Cow<'a, str>>,
    // CloudTrail
    #[serde(borrow, rename = "s3Bucket", deserialize_with = "text")]
    s3_bucket: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "s3ObjectKey", deserialize_with = "texts")]
    s3_object_key: Vec<Cow<'a, str>>,
    // Our schedule
    #[serde(borrow, deserialize_with = "text")]
    relatch: Option<Cow<'a, str>>,
    // S3's test
    #[serde(borrow, rename = "Event", deserialize_with = "text")]
    event: Option<Cow<'a, str>>,
}

impl<'a> Message<'a> {
    fn content(&self) -> Result<Content<'a>, UnknownContent> {
        let is_from_aws = self.source.as_deref().is_some_and(|source| source.starts_with("aws."));
        match (&self.detail_type, self.detail) {
            // Whoever may put events on a bus can give one any type, and any detail, but not a source of AWS's: the
            // EventBridge API reference, `PutEventsRequestEntry`.
            (Some(kind), Some(_)) if !is_from_aws && (kind.ends_with(VIA_CLOUDTRAIL) || kind == guardduty::KIND) => {
                return Err(UnknownContent::Forged);
            }
            (Some(kind), Some(detail)) if kind.ends_with(VIA_CLOUDTRAIL) => {
                return Ok(Content::Record(Cow::Borrowed(detail.get())));
            }
            (Some(kind), Some(detail)) if kind == "Object Created" && self.source.as_deref() == Some("aws.s3") => {
                let object: Created<'_> = parse(detail.get())?;
                return object.file(|key| Some(key.to_owned())).map(|file| Content::Files(vec![file]));
            }
            (Some(kind), Some(detail)) => {
                let source = self.source.as_deref().unwrap_or_default().to_owned();
                let detail = Cow::Borrowed(detail.get());
                return Ok(Content::Event { source, kind: kind.to_string(), detail });
            }
            (_, _) => (),
        }
        if let Some(bucket) = &self.s3_bucket {
            let file = |key: &Cow<'_, str>| LogFile { bucket: bucket.to_string(), key: key.to_string(), size: None };
            return Ok(Content::Files(self.s3_object_key.iter().map(file).collect()));
        }
        if self.event.as_deref() == Some("s3:TestEvent") {
            return Ok(Content::Nothing);
        }
        let records = self.records.iter().map(|record| parse::<Handed<'a>>(record.get()).unwrap_or_default());
        let records: Vec<Handed<'a>> = records.collect();
        if records.is_empty() || records.iter().any(|record| record.event_source.as_deref() != Some("aws:s3")) {
            return Err(UnknownContent::Foreign);
        }
        let is_new = |record: &&Handed<'_>| {
            record
                .event_name
                .as_deref()
                .is_some_and(|name| name.trim_start_matches("s3:").starts_with("ObjectCreated:"))
        };
        let files: Vec<LogFile> =
            records.iter().filter(is_new).map(|record| record.s3.file(decoded)).collect::<Result<_, _>>()?;
        Ok(if files.is_empty() { Content::Nothing } else { Content::Files(files) })
    }
}

/// One of the `Records` of SQS, SNS or S3.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Handed<'a> {
    #[serde(borrow, rename = "eventSource", deserialize_with = "text")]
    event_source: Option<Cow<'a, str>>,
    /// As SNS spells it.
    #[serde(borrow, rename = "EventSource", deserialize_with = "text")]
    upper_event_source: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "eventName", deserialize_with = "text")]
    event_name: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "messageId", deserialize_with = "text")]
    message_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    body: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "Sns", deserialize_with = "object")]
    sns: Published<'a>,
    #[serde(borrow, deserialize_with = "object")]
    s3: Created<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Published<'a> {
    #[serde(borrow, rename = "Message", deserialize_with = "text")]
    message: Option<Cow<'a, str>>,
}

/// A new object, in the notification of S3 and in EventBridge's event.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Created<'a> {
    #[serde(borrow, deserialize_with = "object")]
    bucket: Bucket<'a>,
    #[serde(borrow, deserialize_with = "object")]
    object: Object<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Bucket<'a> {
    #[serde(borrow, deserialize_with = "text")]
    name: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<'a> {
    #[serde(borrow, deserialize_with = "text")]
    key: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "number")]
    size: Option<u32>,
}

impl Created<'_> {
    fn file(&self, decode: impl Fn(&str) -> Option<String>) -> Result<LogFile, UnknownContent> {
        let bucket = self.bucket.name.as_deref().ok_or(UnknownContent::NoFile)?.to_owned();
        let key = self.object.key.as_deref().and_then(decode).ok_or(UnknownContent::NoFile)?;
        Ok(LogFile { bucket, key, size: self.object.size })
    }
}

fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<&'de RawValue>, D::Error> {
    Ok(super::field::parsed(<&RawValue>::deserialize(deserializer)?))
}

/// A key as S3's notifications write it: as in the query of a URL, a blank as `+`.
fn decoded(key: &str) -> Option<String> {
    let mut bytes = key.bytes();
    let mut decoded = Vec::with_capacity(key.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::{Value, json};

    const KEY: &str = "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/01/31/123456789012_CloudTrail_a b+c.json.gz";
    const ENCODED: &str =
        "AWSLogs/123456789012/CloudTrail/eu-west-1/2026/01/31/123456789012_CloudTrail_a+b%2Bc.json.gz";

    fn event(detail: Value) -> Value {
        json!({ "version": "0", "id": "e-1", "source": "aws.secretsmanager", "account": "123456789012",
                "detail-type": "AWS API Call via CloudTrail", "detail": detail })
    }

    fn created(key: &str) -> Value {
        json!({ "Records": [{ "eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                "s3": { "bucket": { "name": "trail" }, "object": { "key": key, "size": 1234 } } }] })
    }

    fn sqs(bodies: &[Value]) -> Value {
        let message = |(index, body): (usize, &Value)| {
            let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            json!({ "messageId": format!("m-{index}"), "eventSource": "aws:sqs", "body": body })
        };
        json!({ "Records": bodies.iter().enumerate().map(message).collect::<Vec<_>>() })
    }

    fn sns(message: &Value) -> Value {
        json!({ "Type": "Notification", "MessageId": "s-1", "Message": message.to_string() })
    }

    type Read = Result<Content<'static>, UnknownContent>;

    fn contents(invocation: &Value) -> (Sender, Vec<(String, Read)>) {
        let bytes = invocation.to_string();
        let invocation = Invocation::parse(bytes.as_bytes()).unwrap();
        let parcels = invocation.parcels.into_iter();
        (invocation.from, parcels.map(|parcel| (parcel.message_id, parcel.content.map(Content::into_owned))).collect())
    }

    fn file() -> Content<'static> {
        Content::Files(vec![LogFile { bucket: "trail".to_owned(), key: KEY.to_owned(), size: Some(1234) }])
    }

    #[test]
    fn a_record_is_the_same_directly_and_in_a_queue() {
        let record = json!({ "eventName": "GetSecretValue", "userAgent": "with \"quotes\"" });
        let expected = Ok(Content::Record(Cow::Owned(record.to_string())));
        assert_eq!(contents(&event(record.clone())), (Sender::Direct, vec![(String::new(), expected.clone())]));
        let (from, parcels) = contents(&sqs(&[event(record.clone()), event(record)]));
        assert_eq!(from, Sender::Queue);
        assert_eq!(parcels, [("m-0".to_owned(), expected.clone()), ("m-1".to_owned(), expected)]);
    }

    #[test]
    fn a_file_is_the_same_in_whichever_way_it_is_told() {
        let event_bridge = json!({ "source": "aws.s3", "detail-type": "Object Created",
            "detail": { "bucket": { "name": "trail" }, "object": { "key": KEY, "size": 1234 } } });
        let topic = json!({ "Records": [{ "EventSource": "aws:sns", "Sns": sns(&created(ENCODED)) }] });
        for (way, invocation) in [
            ("S3", created(ENCODED)),
            ("EventBridge", event_bridge.clone()),
            ("SNS", topic),
            ("SQS", sqs(&[created(ENCODED)])),
            ("SNS in SQS", sqs(&[sns(&created(ENCODED))])),
            ("EventBridge in SQS", sqs(&[event_bridge])),
        ] {
            let (_, parcels) = contents(&invocation);
            assert_eq!(parcels.len(), 1, "{way}");
            assert_eq!(parcels[0].1, Ok(file()), "{way}");
        }
        let from_cloudtrail = sns(&json!({ "s3Bucket": "trail", "s3ObjectKey": [KEY] }));
        let expected = LogFile { bucket: "trail".to_owned(), key: KEY.to_owned(), size: None };
        assert_eq!(contents(&sqs(&[from_cloudtrail])).1[0].1, Ok(Content::Files(vec![expected])));
    }

    #[test]
    fn what_is_wrong_with_one_message_is_told_of_that_one() {
        let missing = json!({ "Records": [{ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {} }] });
        let removed =
            json!({ "Records": [{ "eventSource": "aws:s3", "eventName": "ObjectRemoved:Delete", "s3": {} }] });
        let test = json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "trail" });
        let finding = json!({ "source": "aws.guardduty", "detail-type": "GuardDuty Finding", "detail": { "id": "1" } });
        let bodies = [
            json!("poison"),
            json!("[1]"),
            json!({}),
            missing,
            created("a%ZZ"),
            created("a%E9"),
            removed,
            test,
            finding,
            created(ENCODED),
        ];
        let (_, parcels) = contents(&sqs(&bodies));
        let found: Vec<_> = parcels.into_iter().map(|(_, content)| content).collect();
        let event = Content::Event {
            source: "aws.guardduty".to_owned(),
            kind: "GuardDuty Finding".to_owned(),
            detail: Cow::Borrowed("{\"id\":\"1\"}"),
        };
        assert_eq!(
            found,
            [
                Err(UnknownContent::NotAnObject),
                Err(UnknownContent::NotAnObject),
                Err(UnknownContent::Foreign),
                Err(UnknownContent::NoFile),
                Err(UnknownContent::NoFile),
                Err(UnknownContent::NoFile),
                Ok(Content::Nothing),
                Ok(Content::Nothing),
                Ok(event),
                Ok(file()),
            ]
        );
        for nothing in ["", "7", "[]", "{", "\"text\""] {
            assert_eq!(Invocation::parse(nothing.as_bytes()), Err(UnknownInvocation), "{nothing}");
        }
    }

    #[test]
    fn what_is_said_to_be_of_aws_and_is_put_on_the_bus_by_somebody_else_is_forged() {
        for kind in ["AWS API Call via CloudTrail", "AWS Console Sign In via CloudTrail", "GuardDuty Finding"] {
            let from = |source: Value| json!({ "source": source, "detail-type": kind, "detail": { "id": "1" } });
            let absent = json!({ "detail-type": kind, "detail": { "id": "1" } });
            let foreign = ["shop", "aws", "awsx.kms", "my.aws.kms", "AWS.kms", ""].map(|source| from(json!(source)));
            for event in foreign.into_iter().chain([from(json!(7)), from(Value::Null), absent]) {
                let direct = contents(&event).1;
                assert_eq!(direct, [(String::new(), Err(UnknownContent::Forged))], "{event}");
                assert_eq!(contents(&sqs(&[event])).1[0].1, Err(UnknownContent::Forged));
            }
            assert!(contents(&from(json!("aws.kms"))).1[0].1.is_ok());
        }
    }

    #[test]
    fn it_is_time_for_an_anchor_when_the_schedule_says_so_and_nobody_else() {
        let word = json!({ "relatch": "anchor" });
        assert_eq!(contents(&word), (Sender::Direct, vec![(String::new(), Ok(Content::Anchor))]));
        let foreign = (String::new(), Err(UnknownContent::Foreign));
        assert_eq!(contents(&json!({ "relatch": "sweep" })), (Sender::Direct, vec![foreign]));
        let (_, parcels) = contents(&sqs(&[word]));
        assert_eq!(parcels, [("m-0".to_owned(), Err(UnknownContent::Foreign))]);
    }

    #[test]
    fn a_file_is_known_by_its_key() {
        for (key, kind) in [
            (KEY, FileKind::Log),
            ("prefix/AWSLogs/o-abc/123456789012/CloudTrail/us-east-1/2026/01/31/a.json.gz", FileKind::Log),
            ("AWSLogs/123456789012/CloudTrail-NetworkActivity/us-east-1/2026/01/31/a.json.gz", FileKind::Log),
            ("AWSLogs/123456789012/CloudTrail-Digest/us-east-1/2026/01/31/a.json.gz", FileKind::Digest),
            ("AWSLogs/123456789012/CloudTrail-Insight/us-east-1/2026/01/31/a.json.gz", FileKind::Insight),
            ("AWSLogs/123456789012/Config/us-east-1/2026/1/31/a.json.gz", FileKind::Other),
            ("AWSLogs/123456789012/CloudTrail/", FileKind::Other),
            ("CloudTrail", FileKind::Other),
        ] {
            let file = LogFile { bucket: "trail".to_owned(), key: key.to_owned(), size: None };
            assert_eq!(file.kind(), kind, "{key}");
        }
    }
}
