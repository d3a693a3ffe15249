//! `relatch scan`: CloudTrail's logs in files, judged. Asks nobody anything.

mod ocsf;
mod source;

pub(crate) use source::{Source, Sources, unreadable};

use crate::{
    arguments::{Format, Scan},
    json,
    problem::{Problem, Status},
    progress, screen,
    terminal::Terminal,
};
use indicatif::ProgressBar;
use jiff::Timestamp;
use relatch::audit::{
    finding::Finding,
    incident,
    judge::{Judge, Taken},
    policy::Policy,
};
use relatch_events::{
    cloudtrail::{
        log::{Entry, Log},
        record::Malformed,
    },
    fact::{Fact, What},
    foreign,
    moment::Moment,
};
use serde_json::Value;
use std::{
    fs,
    io::{self, BufWriter, Write},
    path::Path,
};

/// So many malformed records are named. Whoever wants to see more of them has another problem.
const NAMED: usize = 5;

/// What became of the records. As many as were read were facts, ignored, duplicate or malformed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) records: u64,
    /// They say something about secrets, or about what keeps watch over them.
    pub(crate) facts: u64,
    /// They do not, whether or not they had been read before: they are counted, and not compared.
    pub(crate) ignored: u64,
    /// Facts that had been read before.
    pub(crate) duplicate: u64,
    pub(crate) malformed: u64,
    /// The first of the malformed.
    pub(crate) named: Vec<Damage>,
}

/// Where a malformed record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) file: String,
    /// Bytes from the beginning of what is in the file, uncompressed.
    pub(crate) offset: u64,
    pub(crate) why: Malformed,
}

pub(crate) fn scan(asked: &Scan, terminal: Terminal) -> Result<Status, Problem> {
    if asked.accesses && asked.format != Format::Ocsf {
        return Err(Problem::wrong_use("--accesses", "only OCSF tells of accesses", "add --format ocsf"));
    }
    let policy = asked.policy.as_deref().map_or_else(|| Ok(Policy::default()), policy)?;
    let gap = policy.thresholds.incident_gap;
    let Sources { files, mut problems } = Sources::at(&asked.paths);
    let bar = bar(&files);
    let mut tally = Tally::default();
    let lines = BufWriter::new(anstream::stdout());
    let mut scanner = Scanner { asked, judge: Judge::new(policy), found: Vec::new(), lines, now: Timestamp::now() };
    for source in &files {
        problems.extend(tally.read(source, &bar, |fact| scanner.take(fact)).unwrap_or_else(Some));
    }
    bar.finish_and_clear();
    problems.iter().for_each(|problem| terminal.aside(&format!("{problem}\n")));

    scanner.judge.finish(&mut scanner.found);
    let mut found = std::mem::take(&mut scanner.found);
    found.retain(|finding| is_within(finding.at, asked));
    let is_found = found.iter().any(|finding| !finding.shadowed && finding.severity >= asked.fail_on);
    match asked.format {
        Format::Table | Format::Json => {
            let incidents = incident::incidents(found, gap);
            let screen = || screen::scan::scan(&incidents, &tally, problems.len());
            terminal.show(screen, || json::scan(&incidents, &tally, &problems));
        }
        Format::Jsonl | Format::Ocsf => {
            found.sort_by(|one, other| (one.at, &one.key, one.kind).cmp(&(other.at, &other.key, other.kind)));
            for finding in &found {
                scanner.tell(&match asked.format {
                    Format::Ocsf => ocsf::finding(finding, scanner.now),
                    Format::Table | Format::Json | Format::Jsonl => finding.security_event(),
                });
            }
            let _ = scanner.lines.flush();
            terminal.aside(&screen::scan::unread(&tally, problems.len()));
            terminal.aside(&screen::scan::tally(&tally));
        }
    }
    Ok(match (problems.is_empty(), is_found) {
        (false, _) => Status::WrongUse,
        (true, true) => Status::Found,
        (true, false) => Status::Fine,
    })
}

/// What is normal, as a file says it.
pub(crate) fn policy(path: &Path) -> Result<Policy, Problem> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| unreadable(&name, &error))?;
    Policy::from_json(&text).map_err(|bad| {
        let problems = bad.0.into_iter().map(|problem| match problem.path.as_str() {
            "" => problem.what,
            path => format!("{path} {}", problem.what),
        });
        let all = problems.collect::<Vec<_>>().join(", ");
        Problem::wrong_use(name, all, "correct it: docs/CLI.md shows a policy")
    })
}

/// What is not dated is never left out.
fn is_within(at: Option<Moment>, asked: &Scan) -> bool {
    at.is_none_or(|at| asked.since.is_none_or(|since| since <= at) && asked.until.is_none_or(|until| at < until))
}

/// How much comes through a pipe nobody knows.
pub(crate) fn bar(files: &[Source]) -> ProgressBar {
    progress::bytes(files.iter().map(Source::size).sum())
}

impl Tally {
    /// Takes a file in, as far as it can be read, and counts what became of it. Where some of its records cannot be read,
    /// says so.
    ///
    /// # Errors
    /// Where it cannot be read, or not to its end, or holds no record.
    pub(crate) fn read(
        &mut self,
        source: &Source,
        bar: &ProgressBar,
        mut take: impl FnMut(Box<Fact>) -> Taken,
    ) -> Result<Option<Problem>, Problem> {
        let name = source.name();
        let unreadable = |error: io::Error| unreadable(&name, &error);
        let input = source.open(bar).map_err(unreadable)?;
        self.files += 1;
        let (mut all, mut malformed, mut first, mut breaks_off) = (0_u64, 0_u64, None, false);
        let mut log = Log::new(input);
        for entry in &mut log {
            let entry = entry.map_err(unreadable)?;
            self.records += 1;
            all += 1;
            match entry {
                Entry::Fact(fact) => match take(fact) {
                    Taken::New => self.facts += 1,
                    Taken::Duplicate => self.duplicate += 1,
                },
                Entry::Ignored => self.ignored += 1,
                Entry::Malformed { offset, why } => {
                    self.malformed += 1;
                    malformed += 1;
                    breaks_off |= why == Malformed::BreaksOff;
                    first = first.or(Some((offset, why)));
                    if self.named.len() < NAMED {
                        self.named.push(Damage { file: name.clone(), offset, why });
                    }
                }
            }
        }
        // Also of what was read before: that a program before this one has failed must not look like a quiet day.
        if log.length() == 0 {
            return Err(Problem::wrong_use(name, "it is empty", source::A_LOG));
        }
        let Some((offset, why)) = first else { return Ok(None) };
        let what = match malformed {
            _ if malformed == all => format!("it holds no record of CloudTrail's: {why}"),
            1 => format!("a record at byte {offset} cannot be read: {why}"),
            _ => format!("{malformed} records of {all} cannot be read, the first at byte {offset}: {why}"),
        };
        if breaks_off {
            return Err(Problem::wrong_use(name, what, "fetch it again"));
        }
        let to_do = match why {
            Malformed::Medium(medium) => medium.to_do(),
            _ if malformed == all => source::A_LOG,
            Malformed::NotJson
            | Malformed::NotAnObject
            | Malformed::NotARecord
            | Malformed::TooLarge
            | Malformed::NotAList
            | Malformed::BreaksOff => source::LOOK,
        };
        let problem = Problem::wrong_use(name, what, to_do);
        if malformed == all { Err(problem) } else { Ok(Some(problem)) }
    }
}

/// Judges.
struct Scanner<'a, W> {
    asked: &'a Scan,
    judge: Judge,
    found: Vec<Finding>,
    /// Where what a program reads line by line goes.
    lines: W,
    /// When what is not dated is told.
    now: Timestamp,
}

impl<W: Write> Scanner<'_, W> {
    fn take(&mut self, fact: Box<Fact>) -> Taken {
        let is_told = self.asked.accesses && matches!(fact.what, What::Access(_)) && is_within(fact.at, self.asked);
        let access = is_told.then(|| ocsf::access(&fact, self.now));
        let taken = self.judge.take(fact, &mut self.found);
        if taken == Taken::New {
            access.iter().for_each(|access| self.tell(access));
        }
        taken
    }

    /// Whoever has closed the pipe has read enough.
    fn tell(&mut self, value: &Value) {
        let _ = writeln!(self.lines, "{}", foreign::json(&value.to_string()));
    }
}
