//! The ways in which people hold records, beside CloudTrail's own files: compressed, in what CloudWatch Logs hands on, in
//! what `aws cloudtrail lookup-events` answers; and what holds none, or none that can be read here.

use super::{
    field::{object, parsed, text},
    log::{self, Entry, Log},
    record::Malformed,
};
use crate::fact::Fact;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    fmt,
    io::{self, BufRead, BufReader, Cursor, Read},
};

/// What gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The same, in base64.
pub(super) const GZIP_IN_BASE64: &[u8] = b"H4sI";

/// How often something may be compressed: by CloudTrail, by a proxy on the way, by a person.
const LAYERS: usize = 3;

/// How deep records may be packed into one another.
pub(super) const DEEPEST: u8 = 4;

/// How much is inflated at once.
const BUFFER: usize = 64 * 1024;

/// The most that is inflated of what comes in base64. CloudWatch Logs hands on 1 MB, compressed, at most.
///
/// Source: the CloudWatch Logs user guide, "Real-time processing of log data with subscriptions".
const LARGEST: usize = 8 * log::LARGEST;

/// What is read there, inflated if it is compressed, whatever it is called: a browser inflates a file and keeps its name.
///
/// # Errors
/// When it cannot be read.
pub fn inflated(input: impl BufRead + 'static) -> io::Result<Box<dyn Read>> {
    let mut input: Box<dyn BufRead> = Box::new(input);
    for _ in 0..LAYERS {
        let mut begins = Vec::with_capacity(GZIP.len());
        (&mut input).take(GZIP.len() as u64).read_to_end(&mut begins)?;
        let is_gzip = begins == GZIP;
        input = Box::new(Cursor::new(begins).chain(input));
        if !is_gzip {
            break;
        }
        input = Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(input)));
    }
    Ok(Box::new(input))
}

/// What is in place of a log, or around it in a way that is not taken off here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Medium {
    Zip,
    Zstandard,
    Bzip2,
    Xz,
    Lz4,
    Tar,
    Parquet,
    Orc,
    Avro,
    Utf16,
    Page,
    Csv,
    /// The signatures of CloudTrail's files.
    Digest,
    /// Rows of CloudTrail Lake.
    Lake,
    /// Rows of Athena.
    Athena,
    /// Events as Security Lake keeps them.
    Ocsf,
}

impl Medium {
    /// What a file is that begins like this, unless it may be a log.
    pub(super) fn of(begins: &[u8]) -> Option<Self> {
        let known: [(&[u8], Self); 15] = [
            (b"PK\x03\x04", Self::Zip),
            (b"\x28\xb5\x2f\xfd", Self::Zstandard),
            (b"BZh", Self::Bzip2),
            (b"\xfd7zXZ", Self::Xz),
            (b"\x04\x22\x4d\x18", Self::Lz4),
            (b"PAR1", Self::Parquet),
            (b"ORC", Self::Orc),
            (b"Obj\x01", Self::Avro),
            (b"\xff\xfe", Self::Utf16),
            (b"\xfe\xff", Self::Utf16),
            (b"{\0", Self::Utf16),
            (b"[\0", Self::Utf16),
            (b"\0{", Self::Utf16),
            (b"\0[", Self::Utf16),
            (b"<", Self::Page),
        ];
        let line = begins.split(|byte| *byte == b'\n').next().unwrap_or_default().to_ascii_lowercase();
        let has = |name: &[u8]| memchr::memmem::find(&line, name).is_some();
        // Its first line has names and nothing else.
        let is_csv = !line.contains(&b'{') && line.contains(&b',') && has(b"eventname") && has(b"eventsource");
        let is_tar = begins.get(257..262) == Some(b"ustar");
        let by_beginning = known.iter().find(|(mark, _)| begins.starts_with(mark)).map(|(_, medium)| *medium);
        by_beginning.or(is_tar.then_some(Self::Tar)).or(is_csv.then_some(Self::Csv))
    }

    /// What to do, so that it can be read: a command, where there is one.
    pub const fn to_do(self) -> &'static str {
        match self {
            Self::Zip => "unpack it: unzip -p FILE | relatch scan -",
            Self::Zstandard => "unpack it: zstd -dc FILE | relatch scan -",
            Self::Bzip2 => "unpack it: bzip2 -dc FILE | relatch scan -",
            Self::Xz => "unpack it: xz -dc FILE | relatch scan -",
            Self::Lz4 => "unpack it: lz4 -dc FILE | relatch scan -",
            Self::Tar => "unpack it: tar -xOf FILE | relatch scan -",
            Self::Utf16 => "convert it: iconv -f UTF-16 -t UTF-8 FILE | relatch scan -",
            Self::Page => "fetch it again, and look at what it says: it may be an error of S3's",
            Self::Digest => "name the folder CloudTrail, which lies beside CloudTrail-Digest",
            Self::Lake => {
                "query eventJson, and unpack it: jq -c '.QueryResultRows[][].eventJson // empty | fromjson' FILE | relatch scan -"
            }
            Self::Parquet | Self::Orc | Self::Avro | Self::Csv | Self::Athena | Self::Ocsf => {
                "name CloudTrail's own files, out of which it was made: aws s3 sync s3://BUCKET/AWSLogs/ AWSLogs/"
            }
        }
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zip => "a zip archive",
            Self::Zstandard => "compressed by zstd",
            Self::Bzip2 => "compressed by bzip2",
            Self::Xz => "compressed by xz",
            Self::Lz4 => "compressed by lz4",
            Self::Tar => "a tar archive",
            Self::Parquet => "a table in Parquet",
            Self::Orc => "a table in ORC",
            Self::Avro => "a table in Avro",
            Self::Utf16 => "text in UTF-16",
            Self::Page => "a page of HTML or XML",
            Self::Csv => "a table in CSV, as Athena writes it",
            Self::Digest => "a digest, which signs CloudTrail's files and holds no record",
            Self::Lake => "rows of CloudTrail Lake",
            Self::Athena => "rows of Athena",
            Self::Ocsf => "an event in OCSF, as Security Lake keeps it",
        })
    }
}

/// What a record means, if it is one.
type Meaning = Result<Option<Fact>, Malformed>;

/// What an object holds that is no record: records, each by itself; or why it holds none.
pub(super) fn unpacked(json: &[u8], depth: u8) -> Result<Vec<Meaning>, Malformed> {
    let package = std::str::from_utf8(json).ok().and_then(|json| serde_json::from_str::<Package<'_>>(json).ok());
    let Some(package) = package.filter(|_| depth < DEEPEST) else { return Err(Malformed::NotARecord) };
    if let Some(medium) = package.medium() {
        return Err(Malformed::Medium(medium));
    }
    // CloudWatch Logs tries out in this way whether it can hand on.
    if package.message_type.as_deref() == Some("CONTROL_MESSAGE") {
        return Ok(vec![Ok(None)]);
    }
    let one = |json: &[u8]| match log::read(json) {
        Err(Malformed::NotARecord) => unpacked(json, depth + 1).unwrap_or_else(|why| vec![Err(why)]),
        read => vec![read],
    };
    let lists = [&package.records, &package.upper_events, &package.events, &package.log_events];
    let all: Vec<Meaning> = lists.into_iter().flatten().flat_map(|item| one(item.get().as_bytes())).collect();
    if !all.is_empty() {
        return Ok(all);
    }
    if let Some(text) = package.cloud_trail_event.or(package.message) {
        return Ok(one(text.as_bytes()));
    }
    let data = [package.awslogs.data, package.kinesis.data, package.upper_data, package.data];
    match data.into_iter().flatten().next() {
        Some(data) => decoded(data.as_bytes(), depth + 1),
        None => Err(Malformed::NotARecord),
    }
}

/// The records in what is written in base64, and may be compressed.
pub(super) fn decoded(base64: &[u8], depth: u8) -> Result<Vec<Meaning>, Malformed> {
    let bytes = STANDARD.decode(base64).map_err(|_| Malformed::NotARecord)?;
    let mut inside = Vec::new();
    let input = inflated(Cursor::new(bytes)).map_err(|_| Malformed::BreaksOff)?;
    input.take(LARGEST as u64 + 1).read_to_end(&mut inside).map_err(|_| Malformed::BreaksOff)?;
    if inside.len() > LARGEST {
        return Err(Malformed::TooLarge);
    }
    let entries = Log::within(inside.as_slice(), depth).map(|entry| match entry {
        Ok(Entry::Fact(fact)) => Ok(Some(*fact)),
        Ok(Entry::Ignored) => Ok(None),
        Ok(Entry::Malformed { why, .. }) => Err(why),
        Err(_) => Err(Malformed::BreaksOff),
    });
    Ok(entries.collect())
}

/// What is around records: the fields by which it is known, and where in it they are.
///
/// Sources: the CloudWatch Logs user guide, "Subscription filters" (`messageType`, `logEvents`, `awslogs`), and the API
/// reference, "FilterLogEvents" (`events`); the CloudTrail API reference, "LookupEvents" (`Events`, `CloudTrailEvent`) and
/// "GetQueryResults" (`QueryResultRows`), and the user guide, "CloudTrail digest file structure"; the Kinesis API reference,
/// "GetRecords"; the Lambda developer guide, "Using Lambda with Kinesis" and "… Firehose".
#[derive(Default, Deserialize)]
#[serde(default)]
struct Package<'a> {
    #[serde(borrow, rename = "messageType", deserialize_with = "text")]
    message_type: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "logEvents", deserialize_with = "list")]
    log_events: Vec<&'a RawValue>,
    #[serde(borrow, rename = "Records", deserialize_with = "list")]
    records: Vec<&'a RawValue>,
    #[serde(borrow, rename = "Events", deserialize_with = "list")]
    upper_events: Vec<&'a RawValue>,
    #[serde(borrow, deserialize_with = "list")]
    events: Vec<&'a RawValue>,
    #[serde(borrow, rename = "CloudTrailEvent", deserialize_with = "text")]
    cloud_trail_event: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    message: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "object")]
    awslogs: Data<'a>,
    #[serde(borrow, deserialize_with = "object")]
    kinesis: Data<'a>,
    #[serde(borrow, rename = "Data", deserialize_with = "text")]
    upper_data: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    data: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "QueryResultRows")]
    lake: Option<&'a RawValue>,
    #[serde(borrow, rename = "ResultSet")]
    athena: Option<&'a RawValue>,
    #[serde(borrow, rename = "digestStartTime")]
    digest: Option<&'a RawValue>,
    #[serde(borrow, rename = "class_uid")]
    ocsf: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data<'a> {
    #[serde(borrow, deserialize_with = "text")]
    data: Option<Cow<'a, str>>,
}

impl Package<'_> {
    fn medium(&self) -> Option<Medium> {
        let known = [
            (self.lake.is_some(), Medium::Lake),
            (self.athena.is_some(), Medium::Athena),
            (self.digest.is_some(), Medium::Digest),
            (self.ocsf.is_some(), Medium::Ocsf),
        ];
        known.into_iter().find(|(is_it, _)| *is_it).map(|(_, medium)| medium)
    }
}

fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<&'de RawValue>, D::Error> {
    Ok(parsed(<&RawValue>::deserialize(deserializer)?))
}

/// JSON in whose texts something is that no text may hold (half of a surrogate pair, bytes that are no UTF-8, a control
/// character, an escape that there is not), with U+FFFD in its place. Whoever chooses a text must not choose that the
/// record goes unread.
pub(super) fn mended(json: &[u8]) -> Vec<u8> {
    const REPLACEMENT: &[u8] = b"\\ufffd";
    let text = String::from_utf8_lossy(json);
    let bytes = text.as_bytes();
    let unit = |at: usize| {
        let digits = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0_u32, |unit, digit| Some(unit * 16 + char::from(*digit).to_digit(16)?))
    };
    let (mut mended, mut at, mut in_string) = (Vec::with_capacity(bytes.len() + 16), 0, false);
    while let Some(byte) = bytes.get(at) {
        let (kept, length) = match (byte, bytes.get(at + 1)) {
            (b'"', _) => {
                in_string = !in_string;
                (true, 1)
            }
            _ if !in_string => (true, 1),
            (b'\\', Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => (true, 2),
            (b'\\', Some(b'u')) => match (unit(at), unit(at + 6)) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (true, 12),
                (Some(0xd800..=0xdfff), _) => (false, 6),
                (Some(_), _) => (true, 6),
                (None, _) => (false, 2),
            },
            (b'\\', _) => (false, 1),
            (0..=0x1f, _) => (false, 1),
            _ => (true, 1),
        };
        mended.extend_from_slice(if kept { &bytes[at..at + length] } else { REPLACEMENT });
        at += length;
    }
    mended
}

/// Whether JSON may need to be [mended], though it can be read: half of a pair within what is only read when it is asked
/// for would take the fields beside it along.
pub(super) fn may_be_broken(json: &[u8]) -> bool {
    memchr::memmem::find(json, b"\\ud").is_some()
        || memchr::memmem::find(json, b"\\uD").is_some()
        || std::str::from_utf8(json).is_err()
}
