//! A log file of CloudTrail's in a bucket, read as it comes: of the object no more is held than a few pieces, of what is
//! inflated no more than a record or two, and of its facts no more than a few [batches](Batch).
//!
//! Inflating and parsing is a thread's own work, so that the next facts are made while the last ones are taken in.

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;
use relatch::{
    audit::intake::Tally,
    ports::{Body, CallError, CallErrorKind, Objects},
};
use relatch_events::{
    cloudtrail::{
        envelope::LogFile,
        log::{Entry, Log},
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

/// What gzip begins with.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

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
    #[error("it is called .gz and is no gzip: see who else writes into this bucket")]
    NoGzip,
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
        Ok(Ok(())) => Ok(()),
        Ok(Err(problem)) => Err(unreadable(&problem)),
        Err(_) => Err(Unread::Damaged),
    }
}

/// Makes facts of what comes in. What was read before it came to a stop is handed over, too.
fn parse(file: &LogFile, input: mpsc::Receiver<io::Result<Bytes>>, to: &mpsc::Sender<Batch>) -> io::Result<()> {
    let mut batch = Batch::default();
    let read = inflated(file, Pieces { input, piece: Bytes::new() }).and_then(|input| {
        for entry in Log::new(input) {
            match entry? {
                Entry::Fact(fact) => batch.facts.push(*fact),
                Entry::Ignored => batch.ignored += 1,
                Entry::Malformed { offset, why } => {
                    batch.malformed += 1;
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
                return Ok(());
            }
        }
        Ok(())
    });
    let _ = to.blocking_send(batch);
    read
}

/// As CloudTrail writes it, compressed; or as it is, where it is not called `.gz`.
fn inflated(file: &LogFile, mut input: Pieces) -> io::Result<Box<dyn Read>> {
    let begins = input.beginning(MAGIC.len())?;
    if begins == MAGIC {
        Ok(Box::new(MultiGzDecoder::new(input)))
    } else if begins.is_empty() {
        Err(ErrorKind::UnexpectedEof.into())
    } else if file.key.ends_with(".gz") {
        Err(ErrorKind::InvalidData.into())
    } else {
        Ok(Box::new(input))
    }
}

/// What [`inflated`] and flate2 say of what they were given.
fn unreadable(problem: &io::Error) -> Unread {
    let kind = problem.kind();
    if kind == ErrorKind::UnexpectedEof {
        Unread::BreaksOff
    } else if kind == ErrorKind::InvalidData {
        Unread::NoGzip
    } else {
        Unread::Damaged
    }
}

/// An object's pieces, as one.
struct Pieces {
    input: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Pieces {
    /// The first bytes, fewer if there are fewer; they are still to be read.
    fn beginning(&mut self, length: usize) -> io::Result<&[u8]> {
        while self.piece.len() < length {
            match self.input.blocking_recv() {
                Some(piece) => self.piece = [take(&mut self.piece), piece?].concat().into(),
                None => break,
            }
        }
        Ok(&self.piece[..length.min(self.piece.len())])
    }
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
                let name = if content.starts_with(&MAGIC) { "a.json.gz" } else { "a.json" };
                let object = Object::of(&content, size);
                let (outcome, tally, taken) = read_all(&object, name, None).await;
                assert!(outcome.is_ok(), "{outcome:?}");
                assert_eq!((taken, tally.ignored, tally.malformed), (3, 1, 1), "{name} in crumbs of {size}");
            }
        }
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

    /// So many reads, one record that does not matter, and one that is none.
    fn log(reads: usize) -> String {
        let read = r#"{"eventSource":"secretsmanager.amazonaws.com","eventName":"GetSecretValue","eventID":"#;
        let mut records: Vec<String> = (0..reads).map(|n| format!(r#"{read}"{n}"}}"#)).collect();
        records.push(r#"{"eventSource":"s3.amazonaws.com","eventName":"ListBuckets"}"#.to_owned());
        records.push("7".to_owned());
        format!("{{\"Records\":[{}]}}", records.join(","))
    }

    fn gzipped(text: &str) -> Vec<u8> {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(text.as_bytes()).unwrap();
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
