//! `relatch verify`.
//!
//! The chain's end is read first, so that what is appended meanwhile is no break; then every record from the beginning on,
//! and whether the history of what it is about leads to it; then the end once more, which must not be before what was
//! read.

use super::anchors;
use crate::{
    Outside, Problem, Status, Terminal, arguments::Verification, json, outside::THE_TABLE, progress,
    screen::verify as screen,
};
use indicatif::ProgressBar;
use jiff::Timestamp;
use relatch::{
    adapters::table::DynamoTable,
    audit::{
        anchor::{Distrust, Place},
        chain::{Anchor, Break, Head, Verifier},
        ledger::UNREADABLE_END,
    },
    config::Environment,
    ports::{CallError, Ledger as _},
};
use relatch_events::moment::Moment;

/// A record with a policy in it has some kilobytes, and a page of DynamoDB's ends at a megabyte.
const PAGE: u16 = 500;

/// The time of the anchor that is the table's own end, by which it is known from the others.
const OWN: Timestamp = Timestamp::MAX;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) environment: Environment,
    /// When it was begun: until then the chain is vouched for.
    pub(crate) at: Timestamp,
    /// What was trusted.
    pub(crate) from: Head,
    /// The end of what is whole.
    pub(crate) end: Head,
    /// When the first and the last record that were read had been written.
    pub(crate) span: Option<(Moment, Moment)>,
    /// The anchors that were met.
    pub(crate) met: Vec<Anchor>,
    /// How many anchors are of what was trusted.
    pub(crate) passed_by: usize,
    /// What lies among the signed anchors and is none.
    pub(crate) distrusted: Vec<(Place, Distrust)>,
    /// Where it is broken first.
    pub(crate) broken: Option<Broken>,
    /// Records that the history of what they are about does not lead to.
    pub(crate) unlisted: Vec<u64>,
}

/// Where and how a chain is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Among its records.
    Chain(Break),
    /// At the end that the table names: it is another record there.
    OtherEnd(Head),
    /// The end that the table names is no end.
    NoEnd,
    /// There are records after it.
    EarlyEnd(Head),
    /// What was trusted is not there, or is something else.
    NotTrusted(Head),
}

impl Verdict {
    pub(crate) const fn is_whole(&self) -> bool {
        self.broken.is_none() && self.unlisted.is_empty() && self.distrusted.is_empty()
    }
}

pub(crate) async fn show(asked: &Verification, outside: &Outside, terminal: &Terminal) -> Result<Status, Problem> {
    let table = outside.table("nothing was written down")?;
    let environment = asked.environment.unwrap_or(outside.environment);
    let mut anchors = anchors::in_files(&asked.anchors, environment)?;
    let signed = anchors::signed(asked, environment, outside).await?;
    let distrusted = signed.map_or_else(Vec::new, |signed| {
        anchors.extend(signed.anchors);
        signed.distrusted
    });
    let from = asked.from.unwrap_or_else(|| Head::beginning(environment));
    let verdict = verdict(environment, from, anchors, table).await;
    let verdict = Verdict { distrusted, ..outside.told(THE_TABLE, verdict).await? };
    terminal.show(|| screen::verdict(&verdict, &outside.clock()), || json::verdict(&verdict));
    Ok(if verdict.is_whole() { Status::Fine } else { Status::Found })
}

/// Verifies what follows `from`, by the table's own end and these anchors, wherever they were kept.
pub(crate) async fn verdict(
    environment: Environment,
    from: Head,
    mut anchors: Vec<Anchor>,
    table: &DynamoTable,
) -> Result<Verdict, CallError> {
    anchors.sort_by_key(|anchor| (anchor.head.sequence, anchor.at));
    anchors.dedup();
    let met = anchors.split_off(anchors.partition_point(|anchor| anchor.head.sequence < from.sequence));
    let mut verdict = Verdict {
        environment,
        at: Timestamp::now(),
        from,
        end: from,
        span: None,
        passed_by: anchors.len(),
        met,
        distrusted: Vec::new(),
        broken: None,
        unlisted: Vec::new(),
    };
    verdict.broken = match end(environment, table).await? {
        None => Some(Broken::NoEnd),
        Some(end) => {
            let bar = progress::counting(end.sequence.saturating_sub(from.sequence), "records");
            let broken = verdict.read(end, table, &bar).await;
            bar.finish_and_clear();
            broken?
        }
    };
    let is_met = |anchor: &Anchor| match verdict.broken {
        Some(Broken::Chain(Break::Rewritten { sequence, .. })) => anchor.head.sequence < sequence,
        Some(_) | None => anchor.head.sequence <= verdict.end.sequence,
    };
    verdict.met.retain(is_met);
    Ok(verdict)
}

impl Verdict {
    async fn read(&mut self, end: Head, table: &DynamoTable, bar: &ProgressBar) -> Result<Option<Broken>, CallError> {
        if !self.is_trusted(table).await? {
            return Ok(Some(Broken::NotTrusted(self.from)));
        }
        let own = Anchor { head: end, at: OWN };
        let mut verifier = Verifier::new(self.from, &[&self.met[..], &[own]].concat());
        let mut next = None::<String>;
        loop {
            let page = table.records(self.environment, self.from.sequence, next.as_deref(), PAGE).await?;
            let mut whole = page.found.len();
            let mut broken = None;
            for (index, record) in page.found.iter().enumerate() {
                if let Err(at) = verifier.take(record) {
                    (whole, broken) = (index, Some(at));
                    break;
                }
                self.end = record.head();
                let first = self.span.map_or(record.recorded, |(first, _)| first);
                self.span = Some((first, record.recorded));
            }
            bar.inc(whole as u64);
            self.unlisted.extend(table.unlisted(self.environment, &page.found[..whole]).await?);
            if let Some(at) = broken {
                return Ok(Some(Broken::of(at, end)));
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        if end.sequence < self.from.sequence {
            return Ok(Some(Broken::EarlyEnd(end)));
        }
        if let Err(at) = verifier.finish() {
            return Ok(Some(Broken::of(at, end)));
        }
        // Whatever was appended meanwhile has moved it on.
        Ok(match self::end(self.environment, table).await? {
            None => Some(Broken::NoEnd),
            Some(end) if end.sequence < self.end.sequence => Some(Broken::EarlyEnd(end)),
            Some(_) => None,
        })
    }

    /// Whether what is trusted is still there.
    async fn is_trusted(&self, table: &DynamoTable) -> Result<bool, CallError> {
        let Some(before) = self.from.sequence.checked_sub(1) else { return Ok(self.from == self.beginning()) };
        let page = table.records(self.environment, before, None, 1).await?;
        Ok(page.found.first().is_some_and(|record| record.is_whole() && record.head() == self.from))
    }

    fn beginning(&self) -> Head {
        Head::beginning(self.environment)
    }
}

impl Broken {
    fn of(at: Break, end: Head) -> Self {
        match at {
            Break::Rewritten { at: when, .. } if when == OWN => Self::OtherEnd(end),
            Break::Missing { .. }
            | Break::Surplus { .. }
            | Break::Altered { .. }
            | Break::Unlinked { .. }
            | Break::Rewritten { .. } => Self::Chain(at),
        }
    }

    /// A word for programs.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Chain(Break::Missing { .. }) => "missing",
            Self::Chain(Break::Surplus { .. }) => "surplus",
            Self::Chain(Break::Altered { .. }) => "altered",
            Self::Chain(Break::Unlinked { .. }) => "unlinked",
            Self::Chain(Break::Rewritten { .. }) => "rewritten",
            Self::OtherEnd(_) => "other-end",
            Self::NoEnd => "no-end",
            Self::EarlyEnd(_) => "early-end",
            Self::NotTrusted(_) => "not-trusted",
        }
    }

    /// The record at which it shows, if it is one.
    pub(crate) const fn sequence(self) -> Option<u64> {
        match self {
            Self::Chain(
                Break::Missing { sequence }
                | Break::Surplus { sequence, .. }
                | Break::Altered { sequence }
                | Break::Unlinked { sequence }
                | Break::Rewritten { sequence, .. },
            ) => Some(sequence),
            Self::OtherEnd(head) | Self::EarlyEnd(head) | Self::NotTrusted(head) => Some(head.sequence),
            Self::NoEnd => None,
        }
    }

    /// What was found.
    pub(crate) fn sentence(self) -> String {
        match self {
            Self::Chain(at) => at.to_string(),
            Self::OtherEnd(head) => format!("record {} is not the one that the table names as the end", head.sequence),
            Self::NoEnd => "what the table names as the end is none".to_owned(),
            Self::EarlyEnd(head) => {
                format!("the table names record {} as the end, and there are later ones", head.sequence)
            }
            Self::NotTrusted(head) => format!("record {} is not the one that --from names, or is gone", head.sequence),
        }
    }

    /// What that means.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Chain(Break::Missing { .. }) => "It was there: a later record, the end or an anchor says so.",
            Self::Chain(Break::Surplus { .. }) => "A record was put in, or moved to another place.",
            Self::Chain(Break::Altered { .. }) => "What it says was changed after it was written, or its place.",
            Self::Chain(Break::Unlinked { .. }) => "Whoever did it computed digests anew, and knew what to do.",
            Self::Chain(Break::Rewritten { .. }) | Self::OtherEnd(_) | Self::NotTrusted(_) => {
                "Records up to there were written anew, by somebody who knew how; or the end that was kept is another's."
            }
            Self::NoEnd | Self::EarlyEnd(_) => "The end was tampered with. Nothing can be appended until it is mended.",
        }
    }
}

/// What to do about a chain that is broken, wherever it is.
pub(crate) const TO_DO: &str = "Leave the table as it is. Restore it beside, as of before (DynamoDB: point-in-time \
    recovery), verify that, and compare. Who may write to the table? Ask them, and CloudTrail.";

/// What to do about records that history does not lead to.
pub(crate) const TO_DO_UNLISTED: &str = "The records are what was written; whoever asks for the history of a secret is \
    not shown them. Somebody has tampered with the lists: who may write to the table?";

/// What to do about what lies among the signed anchors and is none.
pub(crate) const TO_DO_DISTRUSTED: &str = "Nobody but `audit` is to write there. Who did? Ask CloudTrail's data events \
    of the bucket. No true anchor is lost: Object Lock keeps every version.";

/// The end that the table names; `None` if it is none.
async fn end(environment: Environment, table: &DynamoTable) -> Result<Option<Head>, CallError> {
    match table.head(environment).await {
        Ok(head) => Ok(Some(head)),
        Err(error) if error.message == UNREADABLE_END => Ok(None),
        Err(error) => Err(error),
    }
}
