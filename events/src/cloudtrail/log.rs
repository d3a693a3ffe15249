//! Many records from a file, one after the other.

use super::{
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
/// or records one after the other, as on lines of their own. Several such files may follow each other.
///
/// Of the file, not more is held than a record and what was read along with it. One that cannot be read is told and
/// counted, and takes no other with it.
///
/// ```
/// use relatch_events::cloudtrail::log::{Entry, Log};
///
/// let file = br#"{"Records":[{"eventName":"GetSecretValue","eventSource":"secretsmanager.amazonaws.com"}, 7]}"#;
/// let entries: Vec<Entry> = Log::new(file.as_slice()).collect::<Result<_, _>>()?;
/// assert!(matches!(entries[..], [Entry::Fact(_), Entry::Malformed { offset: 86, .. }]));
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

/// Reads one record that came by itself.
///
/// # Errors
/// When it is none.
pub fn read(json: &[u8]) -> Result<Option<Fact>, Malformed> {
    Record::parse(json).map(|record| fact::fact(&record))
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
