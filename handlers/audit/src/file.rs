//! A log file of CloudTrail's in a bucket, read as it comes: of the object no more is held than a few pieces, of what is
//! inflated no more than a record or two, and of its facts no more than a few [batches](Batch).
//!
//! Inflating and parsing is a thread's own work, so that the next facts are made while the last ones are taken in.

use bytes::{Buf, Bytes};
use relatch::{
    audit::intake::Tally,
    ports::{Body, CallError, CallErrorKind, Objects},
};
use relatch_events::{
    cloudtrail::{
        envelope::LogFile,
        log::{Entry, Log},
        packed::inflated,
        record::Malformed,
    },
    fact::Fact,
};
use std::{
    io::{self, BufRead, ErrorKind, Read},
    mem::take,
};
use tokio::{sync::mpsc, task::spawn_blocking, try_join};
use tracing::error;

/// How many facts are taken in at once: few enough to be held and to be written down in a second or so.
const BATCH: usize = 1_000;

/// How many pieces of the object may wait to be inflated. S3 sends them as they come from the network.
const PIECES: usize = 8;

/// Why a file was not read to its end, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    #[error("it is not there: see who deletes what CloudTrail writes, or let this message go ({0})")]
    Gone(CallError),
    #[error(
        "it may not be read: give this function's role s3:GetObject on it and kms:Decrypt on its key; without \
         s3:ListBucket this is also said of a file that is not there ({0})"
    )]
    Forbidden(CallError),
    #[error("it is empty: see who else writes into this bucket")]
    Empty,
    #[error(
        "{count} of what it holds cannot be read, the first at byte {offset}: {why}. Everything else was taken in. See who \
         else writes into this bucket; put the whole file in its place, and hand the message over again"
    )]
    Malformed { count: u64, offset: u64, why: Malformed },
    #[error("its gzip breaks off: put the whole file in its place, and hand the message over again")]
    BreaksOff,
    #[error("its gzip is damaged: put the whole file in its place, and hand the message over again")]
    Damaged,
    #[error("it cannot be had: {0}")]
    Unavailable(CallError),
    #[error("what it holds was not taken in: {0}")]
    Interrupted(CallError),
    #[error(
        "there was no time to finish it; what was taken in is known, so that the next attempt comes further: if it \
         comes again and again, give the function more time or memory"
    )]
    TooLate,
}

/// What was read of a file since the last batch.
#[derive(Debug, Default)]
struct Batch {
    facts: Vec<Fact>,
    ignored: u64,
    malformed: u64,
}

/// Reads a file, and hands its facts to `take_in`, some at a time and in their order. Counts the rest.
pub(crate) async fn read<O: Objects>(
    objects: &O,
    file: &LogFile,
    tally: &mut Tally,
    mut take_in: impl AsyncFnMut(Vec<Fact>, &mut Tally) -> Result<(), CallError>,
) -> Result<(), Unread> {
    let mut body = objects.open(&file.bucket, &file.key).await.map_err(unopened)?;
    let (pieces, input) = mpsc::channel(PIECES);
    let (batches, mut read) = mpsc::channel(1);
    let name = file.clone();
    // It ends when either channel does, as they do when this is dropped.
    let reader = spawn_blocking(move || parse(&name, input, &batches));
    let fetched = async move {
        loop {
            match body.next().await {
                Ok(Some(piece)) => {
                    if pieces.send(Ok(piece)).await.is_err() {
                        // The reader has stopped, and tells why.
                        return Ok(());
                    }
                }
                Ok(None) => return Ok(()),
                Err(problem) => {
                    // What came so far is not the whole.
                    let _ = pieces.send(Err(ErrorKind::ConnectionAborted.into())).await;
                    return Err(Unread::Unavailable(problem));
                }
            }
        }
    };
    let handed_over = async {
        while let Some(Batch { facts, ignored, malformed }) = read.recv().await {
            tally.ignored += ignored;
            tally.malformed += malformed;
            take_in(facts, tally).await.map_err(Unread::Interrupted)?;
        }
        Ok(())
    };
    try_join!(fetched, handed_over)?;
    match reader.await {
        Ok(read) => read,
        Err(_) => Err(Unread::Damaged),
    }
}

/// Makes facts of what comes in. What was read before it came to a stop is handed over, too.
fn parse(file: &LogFile, input: mpsc::Receiver<io::Result<Bytes>>, to: &mpsc::Sender<Batch>) -> Result<(), Unread> {
    let mut batch = Batch::default();
    let mut flaw: Option<(u64, u64, Malformed)> = None;
    let read = inflated(Pieces { input, piece: Bytes::new() }).and_then(|input| {
        let mut log = Log::new(input);
        for entry in &mut log {
            match entry? {
                Entry::Fact(fact) => batch.facts.push(*fact),
                Entry::Ignored => batch.ignored += 1,
                Entry::Malformed { offset, why } => {
                    batch.malformed += 1;
                    flaw = flaw.map(|(count, offset, why)| (count + 1, offset, why)).or(Some((1, offset, why)));
                    let LogFile { bucket, key, .. } = file;
                    error!(
                        error.kind = "Audit.BadRecord",
                        file.bucket = bucket,
                        file.key = key,
                        file.offset = offset,
                        "A record of a file cannot be read: {why}"
                    );
                }
            }
            if batch.facts.len() >= BATCH && to.blocking_send(take(&mut batch)).is_err() {
                // Nobody wants them any more, and whoever did knows why.
                return Ok(true);
            }
        }
        Ok(log.length() > 0)
    });
    let _ = to.blocking_send(batch);
    match (read, flaw) {
        (Err(problem), _) => Err(unreadable(&problem)),
        (Ok(_), Some((count, offset, why))) => Err(Unread::Malformed { count, offset, why }),
        (Ok(true), None) => Ok(()),
        (Ok(false), None) => Err(Unread::Empty),
    }
}

/// What [`inflated`] and flate2 say of what they were given.
fn unreadable(problem: &io::Error) -> Unread {
    if problem.kind() == ErrorKind::UnexpectedEof { Unread::BreaksOff } else { Unread::Damaged }
}

/// An object's pieces, as one.
struct Pieces {
    input: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece.is_empty() {
            match self.input.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => break,
            }
        }
        Ok(&self.piece)
    }

    fn consume(&mut self, count: usize) {
        self.piece.advance(count);
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

fn unopened(problem: CallError) -> Unread {
    match problem.kind {
        CallErrorKind::NotFound => Unread::Gone(problem),
        CallErrorKind::Denied => Unread::Forbidden(problem),
        CallErrorKind::Throttled | CallErrorKind::NoAnswer | CallErrorKind::Refused => Unread::Unavailable(problem),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::{cell::Cell, io::Write, rc::Rc};

    #[tokio::test]
    async fn a_file_that_comes_in_crumbs_is_read_whole() {
        for size in [1, 2, 3, 1_000] {
            for content in [gzipped(&log(3)), log(3).into_bytes()] {
                let object = Object::of(&content, size);
                // A browser inflates a file, and keeps its name.
                let (outcome, tally, taken) = read_all(&object, "a.json.gz", None).await;
                assert!(outcome.is_ok(), "{outcome:?}");
                assert_eq!((taken, tally.ignored, tally.malformed), (3, 1, 0), "in crumbs of {size}");
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_of_a_file_is_told_and_everything_else_of_it_is_taken_in() {
        let whole = log(3);
        let cut = whole.len() - 30;
        let (before, behind) = whole.split_at(12);
        let twice = gzipped_bytes(&gzipped(&whole));
        for (content, taken, count) in [
            (format!("{before}7,{behind}").into_bytes(), 3, 1),
            (format!("{before}nonsense,{behind}").into_bytes(), 3, 1),
            (format!("\u{feff}{whole}{whole}behind").into_bytes(), 6, 1),
            (whole.as_bytes()[..cut].to_vec(), 3, 1),
            (whole.replacen("\"0\"", "\"0\u{1}\"", 1).into_bytes(), 3, 0),
            (twice, 3, 0),
            (b"PK\x03\x04".to_vec(), 0, 1),
        ] {
            for content in [content.clone(), gzipped_bytes(&content)] {
                let (outcome, tally, found) = read_all(&Object::of(&content, 64), "a.json.gz", None).await;
                let told = match outcome {
                    Ok(()) => 0,
                    Err(Unread::Malformed { count, .. }) => count,
                    Err(other) => panic!("{other}"),
                };
                assert_eq!(
                    (found, told, tally.malformed),
                    (taken, count, count),
                    "{}",
                    String::from_utf8_lossy(&content)
                );
            }
        }
        let (outcome, _, _) = read_all(&Object::of(b"", 64), "a.json.gz", None).await;
        assert!(matches!(outcome, Err(Unread::Empty)), "{outcome:?}");
    }

    #[tokio::test]
    async fn what_was_whole_of_a_gzip_that_breaks_off_is_taken_in() {
        let content = gzipped(&log(2_000));
        let object = Object::of(&content[..content.len() - 20], 100);
        let (outcome, tally, taken) = read_all(&object, "a.json.gz", None).await;
        assert!(matches!(outcome, Err(Unread::BreaksOff)), "{outcome:?}");
        assert_eq!(tally.malformed, 0);
        assert!(taken > 1_500, "{taken}");
    }

    #[tokio::test]
    async fn a_file_that_is_cut_off_by_the_network_is_not_a_damaged_one() {
        for name in ["a.json.gz", "a.json"] {
            let content = if name.ends_with(".gz") { gzipped(&log(3)) } else { log(3).into_bytes() };
            let object = Object { ends: false, ..Object::of(&content[..content.len() / 2], 16) };
            let (outcome, tally, _) = read_all(&object, name, None).await;
            assert!(matches!(outcome, Err(Unread::Unavailable(_))), "{outcome:?}");
            assert_eq!(tally.malformed, 0, "{name}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_taken_in_is_not_read_on() {
        let content = gzipped(&log(20 * BATCH));
        let object = Object::of(&content, content.len() / 100);
        let (outcome, _, taken) = read_all(&object, "a.json.gz", Some(BATCH)).await;
        assert!(matches!(outcome, Err(Unread::Interrupted(_))), "{outcome:?}");
        assert_eq!(taken, BATCH);
        assert!(object.handed_out.get() < 60, "{} of 100 pieces were asked for", object.handed_out.get());
    }

    /// Reads a file, and takes in as many facts as may be. What became of it, and how many were taken in.
    async fn read_all(object: &Object, name: &str, most: Option<usize>) -> (Result<(), Unread>, Tally, usize) {
        let (mut tally, mut taken) = (Tally::default(), 0);
        let file = LogFile { bucket: "trail".to_owned(), key: name.to_owned(), size: None };
        let outcome = read(object, &file, &mut tally, async |facts, _: &mut Tally| {
            if most.is_some_and(|most| taken + facts.len() > most) {
                return Err(problem());
            }
            taken += facts.len();
            Ok(())
        })
        .await;
        (outcome, tally, taken)
    }

    /// So many reads, and one record that does not matter.
    fn log(reads: usize) -> String {
        let read = r#"{"eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","eventID":"#;
        let mut records: Vec<String> = (0..reads).map(|n| format!(r#"{read}"{n}"}}"#)).collect();
        records.push(r#"{"eventSource":"s3.amazonaws.com","eventName":"ListBuckets"}"#.to_owned());
        format!("{{\"Records\":[{}]}}", records.join(","))
    }

    fn gzipped(text: &str) -> Vec<u8> {
        gzipped_bytes(text.as_bytes())
    }

    fn gzipped_bytes(bytes: &[u8]) -> Vec<u8> {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    }

    /// An object that comes in pieces, and counts them.
    #[derive(Clone)]
    struct Object {
        pieces: Vec<Bytes>,
        /// Or its connection is lost.
        ends: bool,
        handed_out: Rc<Cell<usize>>,
    }

    impl Object {
        fn of(content: &[u8], size: usize) -> Self {
            let pieces = content.chunks(size).map(Bytes::copy_from_slice).collect();
            Self { pieces, ends: true, handed_out: Rc::default() }
        }
    }

    impl Objects for Object {
        type Body = Self;

        async fn open(&self, _: &str, _: &str) -> Result<Self, CallError> {
            Ok(self.clone())
        }
    }

    impl Body for Object {
        async fn next(&mut self) -> Result<Option<Bytes>, CallError> {
            let at = self.handed_out.get();
            self.handed_out.set(at + 1);
            match self.pieces.get(at) {
                Some(piece) => Ok(Some(piece.clone())),
                None if self.ends => Ok(None),
                None => Err(problem()),
            }
        }
    }

    fn problem() -> CallError {
        CallError { operation: "s3:GetObject", kind: CallErrorKind::NoAnswer, message: "lost".to_owned() }
    }
}
