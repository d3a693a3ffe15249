//! Many records from a file, one after the other.

use super::{
    envelope::{Content, Invocation},
    record::{Malformed, Record},
    scan::{self, Scan},
};
use crate::fact::{self, Fact};
use memchr::memmem;
use serde::de::IgnoredAny;
use std::io::{self, Read};

/// The most bytes that are taken for one record. CloudTrail's own limit is 1 MB for an event.
///
/// Source: the CloudTrail user guide, "Quotas in AWS CloudTrail".
pub const LARGEST: usize = 4 * 1024 * 1024;

/// How much of the file is held at first; more only for a record that is larger.
const BUFFER: usize = 256 * 1024;

/// The records of a file, in their order: `{"Records":[…]}` as CloudTrail delivers it (uncompressed), a list of records,
/// or records one after the other, as on lines of their own; in place of a record may be an event of EventBridge that
/// holds one. Several such files may follow each other.
///
/// Of the file, not more is held than a record and what was read along with it. One that cannot be read is told and
/// counted, and takes no other with it.
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
    place: Place,
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
    /// After something that could not be read.
    Lost { in_list: Option<bool> },
    /// After the last one.
    Over,
}

/// What comes next, and how long it is.
enum Next {
    Object { length: usize, may_matter: bool },
    Value { length: usize },
    Broken(Malformed),
    Nothing,
}

/// Reads one record that came by itself, or within an event of EventBridge.
///
/// # Errors
/// When it is none.
pub fn read(json: &[u8]) -> Result<Option<Fact>, Malformed> {
    match Record::parse(json) {
        Ok(record) => Ok(fact::fact(&record)),
        Err(Malformed::NotARecord) => enveloped(json).ok_or(Malformed::NotARecord)?,
        Err(why) => Err(why),
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
        let buffer = vec![0; BUFFER];
        Self { input, buffer, start: 0, end: 0, offset: 0, is_at_end: false, place: Place::Outside }
    }

    fn entry(&mut self) -> io::Result<Option<Entry>> {
        let next = self.next_value()?;
        let offset = self.offset + self.start as u64;
        Ok(Some(match next {
            Next::Nothing => return Ok(None),
            Next::Object { length, may_matter: false } => {
                self.start += length;
                Entry::Ignored
            }
            Next::Object { length, may_matter: true } => {
                let read = read(&self.buffer[self.start..self.start + length]);
                self.start += length;
                match read {
                    Ok(Some(fact)) => Entry::Fact(Box::new(fact)),
                    Ok(None) => Entry::Ignored,
                    Err(why) => Entry::Malformed { offset, why },
                }
            }
            Next::Value { length } => {
                self.start += length;
                Entry::Malformed { offset, why: Malformed::NotAnObject }
            }
            Next::Broken(why) => {
                self.start = (self.start + 1).min(self.end);
                self.place = match self.place {
                    Place::List { of_field } => Place::Lost { in_list: Some(of_field) },
                    Place::Outside | Place::Lost { .. } => Place::Lost { in_list: None },
                    Place::Over => Place::Over,
                };
                Entry::Malformed { offset, why }
            }
        }))
    }

    /// Goes to the next value.
    fn next_value(&mut self) -> io::Result<Next> {
        loop {
            match self.place {
                Place::Over => return Ok(Next::Nothing),
                Place::Lost { in_list } => self.find_again(in_list)?,
                Place::Outside => match self.peek()? {
                    None => return Ok(Next::Nothing),
                    Some(b'[') => {
                        self.start += 1;
                        self.place = Place::List { of_field: false };
                    }
                    Some(b'{') => match self.head()? {
                        Some(length) => {
                            self.start += length;
                            self.place = Place::List { of_field: true };
                        }
                        None => return self.value(),
                    },
                    Some(_) => return Ok(Next::Broken(Malformed::NotAList)),
                },
                Place::List { of_field } => match self.peek()? {
                    None => {
                        // The file breaks off between two records.
                        self.place = Place::Over;
                        return Ok(Next::Broken(Malformed::NotAList));
                    }
                    Some(b',') => self.start += 1,
                    Some(b']') => {
                        self.start += 1;
                        self.place = Place::Outside;
                        if of_field {
                            match self.peek()? {
                                Some(b'}') => self.start += 1,
                                Some(_) | None => return Ok(Next::Broken(Malformed::NotAList)),
                            }
                        }
                    }
                    Some(_) => return self.value(),
                },
            }
        }
    }

    /// The value that begins here.
    fn value(&mut self) -> io::Result<Next> {
        loop {
            let bytes = &self.buffer[self.start..self.end];
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
                    Some(Ok(_)) => Some(Next::Value { length: values.byte_offset() }),
                    Some(Err(error)) if error.is_eof() => None,
                    Some(Err(_)) | None => Some(Next::Broken(Malformed::NotJson)),
                }
            };
            match next {
                Some(next) => return Ok(next),
                None if bytes.len() >= LARGEST => return Ok(Next::Broken(Malformed::TooLarge)),
                None if !self.fill()? => return Ok(Next::Broken(Malformed::NotJson)),
                None => (),
            }
        }
    }

    /// The length of `{"Records":[`, if that is what is here.
    fn head(&mut self) -> io::Result<Option<usize>> {
        while self.end - self.start < 64 && self.fill()? {}
        let bytes = &self.buffer[self.start..self.end];
        let mut rest = bytes;
        for part in ["{", "\"Records\"", ":", "["] {
            match rest.strip_prefix(part.as_bytes()) {
                Some(after) => rest = after.trim_ascii_start(),
                None => return Ok(None),
            }
        }
        Ok(Some(bytes.len() - rest.len()))
    }

    /// Goes to what looks like the beginning of a record: in a list, an object with the field that CloudTrail writes
    /// first; otherwise, an object at the beginning of a line.
    fn find_again(&mut self, in_list: Option<bool>) -> io::Result<()> {
        let mark: &[u8] = if in_list.is_some() { b"\"eventVersion\"" } else { b"\n{" };
        loop {
            let bytes = &self.buffer[self.start..self.end];
            let found = memmem::find(bytes, mark);
            let begins = match found {
                Some(at) if in_list.is_none() => Some(at + 1),
                Some(at) => Some(bytes[..at].trim_ascii_end().len().saturating_sub(1)).filter(|at| bytes[*at] == b'{'),
                None => None,
            };
            match (begins, found) {
                (Some(at), _) => {
                    self.start += at;
                    self.place = in_list.map_or(Place::Outside, |of_field| Place::List { of_field });
                    return Ok(());
                }
                (None, Some(at)) => self.start += at + mark.len(),
                (None, None) => {
                    // The mark, and a brace and blanks before it, may be cut in two.
                    self.start = self.start.max(self.end.saturating_sub(64));
                    if !self.fill()? {
                        self.place = Place::Over;
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        loop {
            let bytes = &self.buffer[self.start..self.end];
            let rest = bytes.trim_ascii_start();
            let first = rest.first().copied();
            self.start = self.end - rest.len();
            if first.is_some() || !self.fill()? {
                return Ok(first);
            }
        }
    }

    /// Reads on, as much as there is room for. Whether there was more.
    fn fill(&mut self) -> io::Result<bool> {
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
                Err(error) => return Err(error),
            }
        }
        Ok(self.end > before)
    }
}

/// Entries until the file's end, or until it cannot be read on, which is the last.
impl<R: Read> Iterator for Log<R> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entry();
        if entry.is_err() {
            self.place = Place::Over;
        }
        entry.transpose()
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
            (&whole[..whole.len() - 1], vec![Entry::Ignored, malformed(49, Malformed::NotAList)]),
            (&whole[..whole.len() - 2], vec![Entry::Ignored, malformed(48, Malformed::NotAList)]),
            (&whole[..whole.len() - 3], vec![malformed(12, Malformed::NotJson)]),
            (r#"{"Records":null}"#, vec![malformed(0, Malformed::NotARecord)]),
            (r#"{"awsAccountId":"1","digestStartTime":"x"}"#, vec![malformed(0, Malformed::NotARecord)]),
            ("no log\n{\"eventName\":\"a\"}", vec![malformed(0, Malformed::NotAList), Entry::Ignored]),
            ("\u{1f}\u{8b}", vec![malformed(0, Malformed::NotAList)]),
        ] {
            assert_eq!(entries(file.as_bytes()), expected, "{file}");
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
