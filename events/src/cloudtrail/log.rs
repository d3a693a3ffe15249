//! Many records from a file, one after the other.

use super::{
    envelope::{Content, Invocation},
    packed::{self, GZIP_IN_BASE64, Medium},
    record::{Malformed, Record},
    scan::{self, Scan},
};
use crate::fact::{self, Fact};
use serde::de::IgnoredAny;
use std::{
    collections::VecDeque,
    io::{self, Read},
};

/// The most bytes that are taken for one record. CloudTrail's own limit is 1 MB for an event.
///
/// Source: the CloudTrail user guide, "Quotas in AWS CloudTrail".
pub const LARGEST: usize = 4 * 1024 * 1024;

/// How much of the file is held at first; more only for a record that is larger.
const BUFFER: usize = 256 * 1024;

/// The mark of the order of bytes, in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The records of a file, in their order: `{"Records":[…]}` as CloudTrail delivers it (uncompressed), a list of records,
/// or records one after the other, as on lines of their own; in place of a record may be what [holds some](super::packed),
/// such as an event of EventBridge, or what CloudWatch Logs hands on. Several such files may follow each other, with
/// anything between them.
///
/// Of the file, not more is held than a record and what was read along with it. One that cannot be read is told and
/// counted, and takes no other with it. So is what is no record: behind it, records are looked for again.
///
/// ```
/// use relatch_events::cloudtrail::log::{Entry, Log};
///
/// let file = br#"{"Records":[{"eventName":"GetSecretValue","eventSource":"secretsmanager.amazonaws.com"}, 7]}"#;
/// let entries: Vec<Entry> = Log::new(file.as_slice()).collect::<Result<_, _>>()?;
/// assert!(matches!(entries[..], [Entry::Fact(_), Entry::Malformed { offset: 89, .. }]));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Log<R> {
    input: R,
    /// What was read and not yet used is from `start` to `end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where in the file the buffer begins.
    offset: u64,
    is_at_end: bool,
    /// Why it could not be read on. What came before is read first.
    failure: Option<io::Error>,
    place: Place,
    /// What was packed into one, and is still to be handed out.
    unpacked: VecDeque<Entry>,
    /// How deep all of it is packed into something else.
    depth: u8,
    /// Until where it was looked for records within what is none.
    searched: u64,
}

/// One entry of a file. There are as many as there are records in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// It matters.
    Fact(Box<Fact>),
    /// It does not.
    Ignored,
    /// It cannot be read.
    Malformed {
        /// Where it begins: bytes from the file's beginning, uncompressed.
        offset: u64,
        /// Why.
        why: Malformed,
    },
}

/// Where in a file we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a list or a record.
    Outside,
    /// In a list, which is the value of a field or is not.
    List { of_field: bool },
    /// After the list that is the value of a field: other fields may follow.
    Behind,
    /// After something that could not be read.
    Lost,
    /// Where a record was found again: in a list or in none.
    Amid,
    /// After the last one.
    Over,
}

/// What comes next, and how long it is.
enum Next {
    Object {
        length: usize,
        may_matter: bool,
    },
    Value {
        length: usize,
    },
    /// Base64 of something compressed.
    Packed {
        length: usize,
    },
    Broken(Malformed),
    Nothing,
}

/// Reads one record that came by itself, or within an event of EventBridge.
///
/// # Errors
/// When it is none.
pub fn read(json: &[u8]) -> Result<Option<Fact>, Malformed> {
    let parse = |json: &[u8]| Record::parse(json).map(|record| fact::fact(&record));
    let read = if packed::may_be_broken(json) { parse(&packed::mended(json)) } else { parse(json) };
    match read {
        Err(Malformed::NotARecord) => enveloped(json).ok_or(Malformed::NotARecord)?,
        Err(Malformed::NotJson) => parse(&packed::mended(json)),
        read => read,
    }
}

/// What the record in an event of EventBridge means, if it is one that holds a record.
fn enveloped(json: &[u8]) -> Option<Result<Option<Fact>, Malformed>> {
    let invocation = Invocation::parse(json).ok()?;
    match invocation.parcels.as_slice() {
        [one] => match &one.content {
            Ok(Content::Record(record)) => Some(Record::parse(record.as_bytes()).map(|record| fact::fact(&record))),
            Ok(Content::Files(_) | Content::Event { .. } | Content::Anchor | Content::Nothing) | Err(_) => None,
        },
        _ => None,
    }
}

impl<R: Read> Log<R> {
    /// The records of what is read from there.
    pub fn new(input: R) -> Self {
        Self::within(input, 0)
    }

    /// The same, of what is itself packed so deep into something else.
    pub(super) fn within(input: R, depth: u8) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            offset: 0,
            is_at_end: false,
            failure: None,
            place: Place::Outside,
            unpacked: VecDeque::new(),
            depth,
            searched: 0,
        }
    }

    /// How many bytes were read so far.
    pub const fn length(&self) -> u64 {
        self.offset + self.end as u64
    }

    fn entry(&mut self) -> Option<Entry> {
        if let Some(entry) = self.unpacked.pop_front() {
            return Some(entry);
        }
        let next = self.next_value();
        let offset = self.offset + self.start as u64;
        let (read, length) = match next {
            Next::Nothing => return None,
            Next::Object { length, may_matter: false } => {
                self.start += length;
                return Some(Entry::Ignored);
            }
            Next::Object { length, may_matter: true } => {
                let json = &self.buffer[self.start..self.start + length];
                match read(json) {
                    Err(Malformed::NotARecord) => (packed::unpacked(json, self.depth), length),
                    read => (Ok(vec![read]), length),
                }
            }
            Next::Packed { length } => {
                (packed::decoded(&self.buffer[self.start..self.start + length], self.depth + 1), length)
            }
            Next::Value { length } => (Err(Malformed::NotAnObject), length),
            Next::Broken(why) => {
                self.start = (self.start + 1).min(self.end);
                let why = match why {
                    // It may also be a quote or a brace that is missing: then others follow.
                    Malformed::BreaksOff if self.find_again() => Malformed::NotJson,
                    Malformed::BreaksOff | Malformed::Medium(_) => {
                        self.place = Place::Over;
                        why
                    }
                    Malformed::NotJson
                    | Malformed::NotAnObject
                    | Malformed::NotARecord
                    | Malformed::TooLarge
                    | Malformed::NotAList => {
                        self.place = Place::Lost;
                        why
                    }
                };
                return Some(Entry::Malformed { offset, why });
            }
        };
        // Something else that has records in it somewhere, or something broken that has swallowed them. Once: what is in
        // there and again is none is passed by.
        let json = &self.buffer[self.start..self.start + length];
        if matches!(read, Err(Malformed::NotARecord))
            && offset >= self.searched
            && holds_records(&json[1..])
            && enveloped(json).is_none()
        {
            self.searched = offset + length as u64;
            self.start += 1;
            self.place = Place::Lost;
            return Some(Entry::Malformed { offset, why: Malformed::NotARecord });
        }
        self.start += length;
        let entry = |read| match read {
            Ok(Some(fact)) => Entry::Fact(Box::new(fact)),
            Ok(None) => Entry::Ignored,
            Err(why) => Entry::Malformed { offset, why },
        };
        match read {
            Ok(mut all) if all.len() == 1 => all.pop().map(entry),
            Ok(all) => {
                self.unpacked = all.into_iter().map(entry).collect();
                self.entry()
            }
            Err(why) => Some(Entry::Malformed { offset, why }),
        }
    }

    /// Goes to the next value.
    fn next_value(&mut self) -> Next {
        loop {
            let place = self.place;
            let is_within = self.offset + (self.start as u64) < self.searched;
            let next = match place {
                Place::Over => return Next::Nothing,
                Place::Amid if is_within && !is_of_records(&self.buffer[self.end.min(self.start + 1)..self.end]) => {
                    self.place = Place::Lost;
                    continue;
                }
                Place::Lost => {
                    if !self.find_again() {
                        self.place = Place::Over;
                    }
                    continue;
                }
                Place::Outside | Place::List { .. } | Place::Behind | Place::Amid => self.peek(),
            };
            match (place, next) {
                (Place::List { .. } | Place::Behind, None) => return Next::Broken(Malformed::BreaksOff),
                (_, None) => return Next::Nothing,
                (Place::List { .. }, Some(b',')) | (Place::Amid, Some(b',' | b']' | b'}' | b'[')) => self.start += 1,
                (Place::List { of_field }, Some(b']')) => {
                    self.start += 1;
                    self.place = if of_field { Place::Behind } else { Place::Outside };
                }
                (Place::Behind, Some(b'}')) => {
                    self.start += 1;
                    self.place = Place::Outside;
                }
                (Place::Behind, Some(b',')) => {
                    self.start += 1;
                    if let Err(why) = self.skip_field() {
                        return Next::Broken(why);
                    }
                }
                (Place::Outside, Some(b'[')) => {
                    self.start += 1;
                    self.place = Place::List { of_field: false };
                }
                (Place::Outside | Place::Amid, Some(b'{')) => match self.head() {
                    Some(length) => {
                        self.start += length;
                        self.place = Place::List { of_field: true };
                    }
                    None => return self.value(),
                },
                (Place::List { .. }, Some(_)) => return self.value(),
                (_, Some(first)) => return self.something_else(first),
            }
        }
    }

    /// What is neither a list nor a record.
    fn something_else(&mut self, first: u8) -> Next {
        while self.end - self.start < 512 && self.fill() {}
        let bytes = &self.buffer[self.start..self.end];
        if self.offset + self.start as u64 == 0
            && let Some(medium) = Medium::of(bytes)
        {
            return Next::Broken(Malformed::Medium(medium));
        }
        if first == GZIP_IN_BASE64[0] && bytes.starts_with(GZIP_IN_BASE64) {
            loop {
                let bytes = &self.buffer[self.start..self.end];
                let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
                let length = bytes.iter().take_while(|byte| is_of_it(byte)).count();
                if length < bytes.len() || bytes.len() >= LARGEST || !self.fill() {
                    return Next::Packed { length };
                }
            }
        }
        Next::Broken(Malformed::NotAList)
    }

    /// The value that begins here.
    fn value(&mut self) -> Next {
        loop {
            let bytes = &self.buffer[self.start..self.end];
            // At the beginning of a file, a brace and a zero are a brace in UTF-16.
            if bytes.get(1) == Some(&0) && self.offset + self.start as u64 == 0 {
                return Next::Broken(Malformed::Medium(Medium::Utf16));
            }
            let next = if bytes.first() == Some(&b'{') {
                match scan::object(bytes) {
                    (Scan::Ends(length), outline) => {
                        let may_matter = outline.may_matter(&bytes[..length], fact::concerns, fact::is_denial);
                        Some(Next::Object { length, may_matter })
                    }
                    (Scan::Open, _) => None,
                    (Scan::Broken, _) => Some(Next::Broken(Malformed::NotJson)),
                }
            } else {
                let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
                match values.next() {
                    Some(Ok(_)) => {
                        // A quote too many makes a text of what is between two others; then no comma follows it.
                        let length = values.byte_offset();
                        match bytes[length..].trim_ascii_start().first() {
                            Some(b',' | b']' | b':' | b'}') | None => Some(Next::Value { length }),
                            Some(_) => Some(Next::Broken(Malformed::NotJson)),
                        }
                    }
                    Some(Err(error)) if error.is_eof() => None,
                    Some(Err(_)) | None => Some(Next::Broken(Malformed::NotJson)),
                }
            };
            match next {
                Some(next) => return next,
                None if bytes.len() >= LARGEST => return Next::Broken(Malformed::TooLarge),
                None if !self.fill() => return Next::Broken(Malformed::BreaksOff),
                None => (),
            }
        }
    }

    /// Passes by a field, of which nothing is needed.
    fn skip_field(&mut self) -> Result<(), Malformed> {
        for after in [b':', b'"'] {
            if self.peek().is_none() {
                return Err(Malformed::BreaksOff);
            }
            match self.value() {
                Next::Object { length, .. } | Next::Value { length } => self.start += length,
                Next::Broken(why) => return Err(why),
                Next::Packed { .. } | Next::Nothing => return Err(Malformed::NotAList),
            }
            if after == b':' {
                match self.peek() {
                    Some(b':') => self.start += 1,
                    Some(_) => return Err(Malformed::NotAList),
                    None => return Err(Malformed::BreaksOff),
                }
            }
        }
        Ok(())
    }

    /// The length of `{"Records":[`, if that is what is here; or of `{"Events":[`, as `lookup-events` answers, or
    /// `{"events":[`, as CloudWatch Logs does.
    fn head(&mut self) -> Option<usize> {
        while self.end - self.start < 64 && self.fill() {}
        let bytes = &self.buffer[self.start..self.end];
        let rest = bytes.strip_prefix(b"{")?.trim_ascii_start();
        let names: [&[u8]; 3] = [b"\"Records\"", b"\"Events\"", b"\"events\""];
        let mut rest = names.into_iter().find_map(|name| rest.strip_prefix(name))?.trim_ascii_start();
        for part in [b":", b"["] {
            rest = rest.strip_prefix(part)?.trim_ascii_start();
        }
        Some(bytes.len() - rest.len())
    }

    /// Goes to what looks like the beginning of a record, or of what holds records: an object at the beginning of a line,
    /// or one with a field in front that is theirs. Whether there is one.
    fn find_again(&mut self) -> bool {
        let mut from = self.start;
        loop {
            let mut cut = None;
            while let Some(found) = memchr::memchr(b'{', &self.buffer[from..self.end]) {
                let at = from + found;
                let after = &self.buffer[at + 1..self.end];
                if after.len() < 64 && !self.is_at_end {
                    cut = Some(at);
                    break;
                }
                let is_within = self.offset + (at as u64) < self.searched;
                let begins_line = !is_within && at > 0 && self.buffer[at - 1] == b'\n';
                if begins_line || is_of_records(after) {
                    self.start = at;
                    self.place = Place::Amid;
                    return true;
                }
                from = at + 1;
            }
            let next = cut.unwrap_or(self.end);
            // With the line break before it.
            self.start = next.saturating_sub(1).max(self.start);
            let before = next - self.start;
            if !self.fill() && cut.is_none() {
                return false;
            }
            from = self.start + before;
        }
    }

    /// The next byte that is no blank, and no mark of the order of bytes (which Windows puts in front of a file, and which
    /// stays where files are put together).
    fn peek(&mut self) -> Option<u8> {
        loop {
            let bytes = &self.buffer[self.start..self.end];
            let rest = bytes.trim_ascii_start();
            let first = rest.first().copied();
            self.start = self.end - rest.len();
            if first == Some(MARK[0]) {
                while self.end - self.start < MARK.len() && self.fill() {}
                if self.buffer[self.start..self.end].starts_with(MARK) {
                    self.start += MARK.len();
                    continue;
                }
            }
            if first.is_some() || !self.fill() {
                return first;
            }
        }
    }

    /// Reads on, as much as there is room for. Whether there was more.
    fn fill(&mut self) -> bool {
        self.buffer.copy_within(self.start..self.end, 0);
        self.offset += self.start as u64;
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let before = self.end;
        while !self.is_at_end && self.end < self.buffer.len() {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.is_at_end = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => (self.is_at_end, self.failure) = (true, Some(error)),
            }
        }
        self.end > before
    }
}

/// Whether there is an object in it that begins like a record.
fn holds_records(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'{', bytes).any(|at| is_of_records(&bytes[at + 1..]))
}

/// Whether an object begins like a record, or like what holds records. What follows the brace is given.
fn is_of_records(after: &[u8]) -> bool {
    // CloudTrail writes the version first. What sorts the fields begins with one of the others.
    const FIRST: [&str; 17] = [
        "eventVersion",
        "Records",
        "Events",
        "events",
        "messageType",
        "EventId",
        "CloudTrailEvent",
        "additionalEventData",
        "apiVersion",
        "awsRegion",
        "eventCategory",
        "eventID",
        "eventName",
        "eventSource",
        "eventTime",
        "eventType",
        "userIdentity",
    ];
    let Some(rest) = after.trim_ascii_start().strip_prefix(b"\"") else { return false };
    FIRST.iter().any(|name| rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"\"")))
}

/// Entries until the file's end, or until it cannot be read on, which is the last.
impl<R: Read> Iterator for Log<R> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let breaks_off = |entry: &Entry| matches!(entry, Entry::Malformed { why: Malformed::BreaksOff, .. });
        match self.entry() {
            // It does not: it could not be read on.
            Some(entry) if self.place == Place::Over && breaks_off(&entry) => {
                Some(self.failure.take().map_or(Ok(entry), Err))
            }
            Some(entry) => Some(Ok(entry)),
            None => self.failure.take().map(Err),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fixtures;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::sync::LazyLock;

    /// The records of the fixtures, on one line each.
    fn records() -> Vec<String> {
        static RECORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
            let files = fixtures::files("fixtures/cloudtrail").into_iter();
            let records = files.map(|(_, bytes)| serde_json::from_slice::<Value>(&bytes).unwrap());
            records.filter(Value::is_object).map(|record| record.to_string()).collect()
        });
        RECORDS.clone()
    }

    fn list(records: &[String]) -> String {
        format!("{{\"Records\":[{}]}}", records.join(","))
    }

    fn entries(file: &[u8]) -> Vec<Entry> {
        Log::new(file).collect::<Result<_, _>>().unwrap()
    }

    /// An entry, without the place of what is malformed.
    fn meant(entry: &Entry) -> Result<Option<Fact>, Malformed> {
        match entry {
            Entry::Fact(fact) => Ok(Some(fact.as_ref().clone())),
            Entry::Ignored => Ok(None),
            Entry::Malformed { why, .. } => Err(*why),
        }
    }

    /// What each record means by itself. In a log it means the same, though most of it is not read there.
    fn expected(records: &[String]) -> Vec<Result<Option<Fact>, Malformed>> {
        records.iter().map(|record| read(record.as_bytes())).collect()
    }

    /// Hands out a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let end = buffer.len().min(self.1);
            self.0.read(&mut buffer[..end])
        }
    }

    #[test]
    fn a_record_means_the_same_in_whichever_file_it_is() {
        let records = records();
        let pretty: Vec<Value> = records.iter().map(|record| serde_json::from_str(record).unwrap()).collect();
        let pretty = serde_json::to_string_pretty(&serde_json::json!({ "Records": pretty })).unwrap();
        let bare = format!(" [ {} ] ", records.join(" , "));
        for file in [list(&records), pretty, bare, records.join("\n"), records.concat()] {
            let found = entries(file.as_bytes());
            assert_eq!(found.len(), records.len());
            for ((entry, expected), record) in found.iter().zip(expected(&records)).zip(&records) {
                assert_eq!(meant(entry), expected, "{record}");
            }
        }
        let twice = format!("{}\n{}", list(&records), list(&records));
        assert_eq!(entries(twice.as_bytes()).len(), 2 * records.len());
    }

    #[test]
    fn a_record_means_the_same_within_an_event_of_eventbridge() {
        let records = records();
        let event = |record: &String| {
            format!(
                r#"{{"version":"0","id":"e","detail-type":"AWS API Call via CloudTrail","source":"aws.x","detail":{record}}}"#
            )
        };
        let file: Vec<String> = records.iter().map(event).collect();
        let found: Vec<_> = entries(file.join("\n").as_bytes()).iter().map(meant).collect();
        assert_eq!(found, expected(&records));
        let other = r#"{"version":"0","detail-type":"GuardDuty Finding","source":"aws.guardduty","detail":{"id":"1"}}"#;
        assert_eq!(entries(other.as_bytes()), [Entry::Malformed { offset: 0, why: Malformed::NotARecord }]);
    }

    #[test]
    fn a_file_may_come_in_pieces_and_is_never_held_whole() {
        let records: Vec<String> = records().into_iter().cycle().take(3_000).collect();
        let file = list(&records);
        assert!(file.len() > 8 * BUFFER);
        let mut log = Log::new(Slow(file.as_bytes(), 7_001));
        let found: Vec<_> = log.by_ref().map(|entry| meant(&entry.unwrap())).collect();
        assert_eq!(found, expected(&records));
        assert_eq!(log.buffer.len(), BUFFER);
    }

    #[test]
    fn a_record_may_be_larger_than_the_buffer_but_not_than_any_event() {
        let record =
            |length: usize| format!(r#"{{"eventVersion":"1","eventName":"x","eventType":"{}"}}"#, "y".repeat(length));
        let small = record(1);
        let file = list(&[small.clone(), record(3 * BUFFER), small.clone(), record(LARGEST), small]);
        let found: Vec<_> = entries(file.as_bytes()).iter().map(meant).collect();
        assert_eq!(found, [Ok(None), Ok(None), Ok(None), Err(Malformed::TooLarge), Ok(None)]);
    }

    #[test]
    fn what_is_malformed_is_named_and_takes_no_other_with_it() {
        let good = r#"{"eventVersion":"1","userIdentity":{"type":"IAMUser"},"eventSource":"s3.amazonaws.com","eventName":"a"}"#;
        for (damaged, why) in [
            (good.replacen("\"IAM", "IAM", 1), Malformed::NotJson),
            (good.replacen("User\"", "User", 1), Malformed::NotJson),
            (good.replacen("},", ",", 1), Malformed::NotJson),
            (good.replacen("\"a\"}", "\"a\"", 1), Malformed::NotJson),
            (good.replacen(":\"a\"", "", 1), Malformed::NotJson),
            (good[..60].to_owned(), Malformed::NotJson),
            ("null".to_owned(), Malformed::NotAnObject),
            ("\"text\"".to_owned(), Malformed::NotAnObject),
            ("[{}]".to_owned(), Malformed::NotAnObject),
            ("{}".to_owned(), Malformed::NotARecord),
            ("nonsense".to_owned(), Malformed::NotJson),
        ] {
            let file = list(&[good.to_owned(), damaged.clone(), good.to_owned(), good.to_owned()]);
            let offset = (12 + good.len() + 1) as u64;
            let expected = [Entry::Ignored, Entry::Malformed { offset, why }, Entry::Ignored, Entry::Ignored];
            assert_eq!(entries(file.as_bytes()), expected, "{damaged}");
        }
    }

    #[test]
    fn a_file_that_breaks_off_or_is_no_log_says_so() {
        let good = r#"{"eventVersion":"1","eventName":"a"}"#;
        let malformed = |offset, why| Entry::Malformed { offset, why };
        let whole = list(&[good.to_owned()]);
        for (file, expected) in [
            ("", vec![]),
            (" \n", vec![]),
            (r#"{"Records":[]}"#, vec![]),
            ("[]", vec![]),
            (&whole, vec![Entry::Ignored]),
            (&whole[..whole.len() - 1], vec![Entry::Ignored, malformed(49, Malformed::BreaksOff)]),
            (&whole[..whole.len() - 2], vec![Entry::Ignored, malformed(48, Malformed::BreaksOff)]),
            (&whole[..whole.len() - 3], vec![malformed(12, Malformed::BreaksOff)]),
            (r#"{"Records":null}"#, vec![malformed(0, Malformed::NotARecord)]),
            (r#"{"awsAccountId":"1","digestStartTime":"x"}"#, vec![malformed(0, Malformed::Medium(Medium::Digest))]),
            ("no log\n{\"eventName\":\"a\"}", vec![malformed(0, Malformed::NotAList), Entry::Ignored]),
            ("\u{1f}\u{8b}", vec![malformed(0, Malformed::NotAList)]),
        ] {
            assert_eq!(entries(file.as_bytes()), expected, "{file}");
        }
    }

    /// Reads of secrets, as CloudTrail writes them.
    fn reads(count: usize) -> Vec<String> {
        let read = |n| {
            format!(
                r#"{{"eventVersion":"1.11","eventTime":"2026-01-31T12:00:{n:02}Z","eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","requestParameters":{{"secretId":"s{n}"}},"eventID":"e{n}","eventType":"AwsApiCall"}}"#
            )
        };
        (0..count).map(read).collect()
    }

    /// How many facts, and why what is malformed is.
    fn summary(file: &[u8]) -> (usize, Vec<Malformed>) {
        let entries = entries(file);
        let facts = entries.iter().filter(|entry| matches!(entry, Entry::Fact(_))).count();
        let malformed = entries.iter().filter_map(|entry| match entry {
            Entry::Malformed { why, .. } => Some(*why),
            Entry::Fact(_) | Entry::Ignored => None,
        });
        (facts, malformed.collect())
    }

    #[test]
    fn what_is_no_record_costs_itself_and_nothing_else_wherever_it_stands() {
        let file = list(&reads(25));
        let lines = reads(25).join("\n");
        let pretty = format!("{:#}", serde_json::from_str::<Value>(&file).unwrap());
        for junk in
            ["x", "junk {", "]", "}", "\"", "\u{0}\u{0}", "INFO [main] started: {\"a\":1}\n", "ü", "--\r\n", "\u{1e}"]
        {
            for whole in [&file, &lines, &pretty] {
                for (text, facts) in [
                    (format!("{junk}{whole}"), 25),
                    (format!("{whole}{junk}"), 25),
                    (format!("{whole}{junk}{whole}{junk}{whole}"), 75),
                    (format!("{whole}\n{junk}\n{whole}"), 50),
                ] {
                    let (found, malformed) = summary(text.as_bytes());
                    assert_eq!(found, facts, "{junk:?} and {} bytes: {malformed:?}", whole.len());
                    assert!((1..=12).contains(&malformed.len()), "{junk:?}: {malformed:?}");
                }
            }
        }
    }

    #[test]
    fn a_record_is_found_again_in_whichever_order_its_fields_are() {
        let sorted = reads(3).into_iter().map(|read| {
            let fields: std::collections::BTreeMap<String, Value> = serde_json::from_str(&read).unwrap();
            serde_json::to_string(&fields).unwrap()
        });
        let sorted: Vec<String> = sorted.collect();
        for junk in ["nonsense", "{\"a\"", "\"", "{\"a\":[{\"b\":1}"] {
            let file = list(&[sorted[0].clone(), junk.to_owned(), sorted[1].clone(), sorted[2].clone()]);
            assert_eq!(summary(file.as_bytes()).0, 3, "{junk}");
        }
    }

    #[test]
    fn records_are_found_in_what_nobody_knows() {
        let hits: Vec<String> = reads(3).iter().map(|read| format!(r#"{{"_index":"i","_source":{read}}}"#)).collect();
        let search = format!(r#"{{"took":1,"hits":{{"total":3,"hits":[{}]}}}}"#, hits.join(","));
        assert_eq!(summary(search.as_bytes()), (3, vec![Malformed::NotARecord]));
        let lines = search.replace("{\"_index\"", "\n{\"_index\"");
        assert_eq!(summary(lines.as_bytes()), (3, vec![Malformed::NotARecord]));
        // However often it is packed into itself, it is looked at twice at most.
        let nested = "{\"events\":".repeat(100_000) + "1" + &"}".repeat(100_000);
        assert_eq!(summary(nested.as_bytes()).0, 0);
    }

    #[test]
    fn a_mark_of_the_order_of_bytes_is_no_content() {
        let (file, lines) = (list(&reads(2)), reads(2).join("\r\n"));
        for whole in [&file, &lines] {
            for text in [
                format!("\u{feff}{whole}"),
                format!("\u{feff}\u{feff}{whole}\u{feff}"),
                format!("{whole}\r\n\u{feff}{whole}"),
            ] {
                let (found, malformed) = summary(text.as_bytes());
                assert_eq!((found, malformed), (2 * text.matches("s0").count(), vec![]), "{text}");
            }
        }
    }

    #[test]
    fn a_file_that_breaks_off_says_so_wherever_it_does() {
        let file = list(&reads(3));
        for end in 1..file.len() {
            let (found, malformed) = summary(&file.as_bytes()[..end]);
            assert_eq!(malformed, [Malformed::BreaksOff], "{}", &file[..end]);
            assert_eq!(found, reads(3).iter().filter(|read| file[..end].contains(read.as_str())).count());
        }
        let pretty = format!("{:#}", serde_json::from_str::<Value>(&file).unwrap());
        for end in 1..pretty.len() {
            assert_eq!(summary(&pretty.as_bytes()[..end]).1, [Malformed::BreaksOff], "{}", &pretty[..end]);
        }
    }

    #[test]
    fn text_that_no_text_may_hold_costs_itself_and_not_its_record() {
        let good = &reads(1)[0];
        let strange: [&[u8]; 9] = [
            br"x-\ud83d-y",
            br"\udc00",
            br"\uD83D\uD83D",
            b"\xff\xfe\xc3",
            b"\xed\xa0\xbd",
            b"a\x1b[2Jb\x01",
            b"a\nb",
            br"\x \u12 \q",
            br"\\ud83d",
        ];
        for strange in strange {
            for field in [b"\"userAgent\":\"".as_slice(), b"\"requestParameters\":{\"description\":\""] {
                let end: &[u8] = if field.ends_with(b"{\"description\":\"") {
                    b"\",\"secretId\":\"s0\"},"
                } else {
                    b"\",\"requestParameters\":{\"secretId\":\"s0\"},"
                };
                let fields = br#"{"eventVersion":"1","eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","#;
                let record = [fields, field, strange, end, br#""eventType":"AwsApiCall"}"#].concat();
                let file = [b"{\"Records\":[", good.as_bytes(), b",", &record, b",", good.as_bytes(), b"]}"].concat();
                let found = entries(&file);
                let [Entry::Fact(_), Entry::Fact(fact), Entry::Fact(_)] = found.as_slice() else {
                    panic!("{}: {found:?}", String::from_utf8_lossy(&record))
                };
                assert_eq!(fact.targets[0].name, "s0", "{}", String::from_utf8_lossy(&record));
            }
        }
        assert_eq!(
            packed::mended(br#"{"a":"\ud83e\udd80 \ud83e \\ud83e"}"#),
            br#"{"a":"\ud83e\udd80 \ufffd \\ud83e"}"#
        );
    }

    #[test]
    fn records_are_read_out_of_what_others_put_around_them() {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        use flate2::{Compression, write::GzEncoder};
        use serde_json::json;
        use std::io::Write as _;
        let gzipped = |text: &str| {
            let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
            gz.write_all(text.as_bytes()).unwrap();
            gz.finish().unwrap()
        };
        let messages: Vec<Value> =
            reads(3).iter().map(|read| json!({ "id": "1", "timestamp": 1, "message": read })).collect();
        let envelope = json!({
            "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "CloudTrail/logs", "logStream": "s",
            "subscriptionFilters": ["f"], "logEvents": messages,
        });
        let control = json!({ "messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logEvents": [
            { "id": "", "timestamp": 1, "message": "CWL CONTROL MESSAGE: Checking health of destination" }] });
        let data = STANDARD.encode(gzipped(&envelope.to_string()));
        let items: Vec<Value> = reads(3).iter().map(|read| {
            json!({ "EventId": "1", "EventName": "GetSecretValue", "EventTime": 1769860800.0, "CloudTrailEvent": read })
        }).collect();
        for (what, text) in [
            ("the envelope", envelope.to_string()),
            ("the envelope, pretty", format!("{envelope:#}")),
            ("a line of base64", data.clone()),
            ("handed to a function", json!({ "awslogs": { "data": data } }).to_string()),
            ("a record of Kinesis", json!({ "Records": [{ "kinesis": { "data": data } }] }).to_string()),
            ("kinesis get-records", json!({ "Records": [{ "SequenceNumber": "1", "Data": data }], "MillisBehindLatest": 0 }).to_string()),
            ("lookup-events", json!({ "Events": items, "NextToken": "t" }).to_string()),
            ("lookup-events, pretty", format!("{:#}", json!({ "Events": items }))),
            ("its items", items.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")),
            ("a list of its items", json!(items).to_string()),
            ("its texts", format!("[{}]", reads(3).join(","))),
            ("filter-log-events", json!({ "events": messages, "searchedLogStreams": [], "nextToken": "t" }).to_string()),
            ("files in a list", json!([{ "Records": reads(3).iter().map(|read| serde_json::from_str(read).unwrap()).collect::<Vec<Value>>() }]).to_string()),
        ] {
            assert_eq!(summary(text.as_bytes()), (3, vec![]), "{what}");
            let broken = text.as_bytes()[..text.len() - 1].to_vec();
            assert!(!summary(&broken).1.is_empty() || text.ends_with('='), "{what} breaks off");
        }
        // As Firehose puts them together, without anything in between.
        let firehose = format!("{control}{envelope}{envelope}{data}\n{data}");
        assert_eq!(summary(firehose.as_bytes()), (12, vec![]));
        // What CloudWatch Logs carries of others is none.
        let other = json!({ "messageType": "DATA_MESSAGE", "logEvents": [{ "message": "START RequestId" }, { "message": reads(1)[0] }] });
        assert_eq!(summary(other.to_string().as_bytes()), (1, vec![Malformed::NotJson]));
        let zeros = STANDARD.encode(gzipped(&"0".repeat(9 * LARGEST)));
        assert_eq!(summary(zeros.as_bytes()), (0, vec![Malformed::TooLarge]));
    }

    #[test]
    fn what_holds_no_records_that_can_be_read_is_called_by_its_name() {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let file = list(&reads(1));
        for (bytes, medium) in [
            (b"PK\x03\x04rest".to_vec(), Medium::Zip),
            (b"\x28\xb5\x2f\xfd\x00".to_vec(), Medium::Zstandard),
            (b"BZh91AY&SY".to_vec(), Medium::Bzip2),
            (b"\xfd7zXZ\x00".to_vec(), Medium::Xz),
            (b"PAR1\x15\x04".to_vec(), Medium::Parquet),
            (utf16(&format!("\u{feff}{file}")), Medium::Utf16),
            (utf16(&file), Medium::Utf16),
            (b"\n<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>"[1..].to_vec(), Medium::Page),
            (b"\"eventversion\",\"eventsource\",\"eventname\"\n\"1.08\",\"s3\",\"x\"\n".to_vec(), Medium::Csv),
            (br#"{"QueryResultRows":[[{"eventID":"1"}]]}"#.to_vec(), Medium::Lake),
            (br#"{"ResultSet":{"Rows":[]}}"#.to_vec(), Medium::Athena),
            (br#"{"activity_id":2,"class_uid":6003,"metadata":{}}"#.to_vec(), Medium::Ocsf),
            (br#"{"awsAccountId":"1","digestStartTime":"x"}"#.to_vec(), Medium::Digest),
        ] {
            assert_eq!(summary(&bytes), (0, vec![Malformed::Medium(medium)]), "{medium}");
            assert!(medium.to_do().len() > 20);
        }
    }

    #[test]
    fn what_was_read_before_a_file_cannot_be_read_on_is_kept() {
        struct Failing<'a>(&'a [u8]);
        impl Read for Failing<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() { Err(io::Error::other("broken")) } else { self.0.read(buffer) }
            }
        }
        let file = list(&reads(5));
        for end in 0..=file.len() {
            let all: Vec<io::Result<Entry>> = Log::new(Failing(&file.as_bytes()[..end])).collect();
            let whole = reads(5).iter().filter(|read| file[..end].contains(read.as_str())).count();
            assert_eq!(all.iter().filter(|entry| matches!(entry, Ok(Entry::Fact(_)))).count(), whole);
            assert_eq!((all.len(), all.last().map(Result::is_err)), (whole + 1, Some(true)), "{}", &file[..end]);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_on_says_so_once() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut log = Log::new(Broken);
        assert!(log.next().unwrap().is_err());
        assert!(log.next().is_none());
    }

    #[test]
    fn the_fuzzers_corpus_never_panics() {
        let corpus = fixtures::files("fuzz/corpus/cloudtrail");
        assert!(!corpus.is_empty());
        for (_, bytes) in corpus {
            let _ = entries(&bytes);
            let _ = read(&bytes);
            let _ = super::super::envelope::Invocation::parse(&bytes);
        }
    }

    proptest! {
        #[test]
        fn there_are_as_many_entries_as_records(picks in prop::collection::vec(0..10_000_usize, 0..60)) {
            let all = records();
            let odd = ["null", "{}", "7", "\"\\\"{\"", "[[]]", "{\"a\":nonsense}"];
            let records: Vec<String> = picks.iter().map(|pick| match pick % 5 {
                0 => odd[pick % odd.len()].to_owned(),
                _ => all[pick % all.len()].clone(),
            }).collect();
            let found = entries(list(&records).as_bytes());
            prop_assert_eq!(found.len(), records.len());
            for (entry, record) in found.iter().zip(&records) {
                prop_assert_eq!(meant(entry).ok().flatten(), read(record.as_bytes()).ok().flatten());
            }
        }

        #[test]
        fn a_damaged_record_takes_no_other_with_it(pick in 0..10_000_usize, at in 0..10_000_usize, byte: u8, is_lost: bool) {
            // CloudTrail writes the version first; that is what a record is found again by.
            let all: Vec<String> = records().into_iter().filter(|record| record.starts_with("{\"eventVersion\"")).collect();
            let mut damaged = all[pick % all.len()].clone().into_bytes();
            let at = at % damaged.len();
            if is_lost { damaged.remove(at); } else { damaged[at] = byte; }
            let others = &all[..4];
            let mut file = b"{\"Records\":[".to_vec();
            for record in &others[..2] {
                file.extend_from_slice(record.as_bytes());
                file.push(b',');
            }
            file.extend_from_slice(&damaged);
            for record in &others[2..] {
                file.push(b',');
                file.extend_from_slice(record.as_bytes());
            }
            file.extend_from_slice(b"]}");
            let found: Vec<_> = entries(&file).iter().map(meant).collect();
            let expected = expected(others);
            prop_assert_eq!(&found[..2], &expected[..2]);
            prop_assert!(found.ends_with(&expected[2..]), "{} entries, {at}: {}", found.len(), String::from_utf8_lossy(&damaged));
        }

        #[test]
        fn no_bytes_make_it_panic_or_go_on_forever(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(entries(&bytes).len() <= bytes.len());
        }

        #[test]
        fn no_json_like_text_makes_it_panic(text in r#"[\[\]{}:,"\\ \nRecordseventVersion17]{0,200}"#) {
            prop_assert!(entries(text.as_bytes()).len() <= text.len());
            let list = list(std::slice::from_ref(&text));
            prop_assert!(entries(list.as_bytes()).len() <= list.len());
        }
    }
}
