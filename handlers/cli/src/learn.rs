//! `relatch learn`: what is usual, out of files, put beside what `audit` knows.
//!
//! Nothing is read of the table before all files are; then some parts at a time are read, put together with history, and
//! kept on condition that nobody else has kept them meanwhile. Whoever is interrupted does it again: what is learned twice
//! counts once (see [`Part::with_history`]).

use crate::{
    Outside, Problem, Status, Terminal,
    arguments::Learning,
    json,
    outside::THE_TABLE,
    progress,
    scan::{Sources, Tally, bar, policy},
    screen::learn as screen,
};
use futures_util::{StreamExt as _, stream};
use relatch::{
    adapters::table::DynamoTable,
    audit::{
        baseline::{Baseline, Part},
        judge::Judge,
        policy::Policy,
    },
    config::Environment,
    ports::{Baselines as _, CallError, CallErrorKind, KeptPart},
};
use std::{env, time::Duration};
use tokio::time::sleep;

/// How long to wait before each attempt to keep what is known now: `audit` may have learned something meanwhile.
const PAUSES: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// So many parts are read at once: DynamoDB's limit.
const READ_AT_ONCE: usize = 100;

/// So many are written at the same time.
const ABREAST: usize = 8;

/// What is known by files, and how it was kept.
#[derive(Debug)]
pub(crate) struct Lesson {
    pub(crate) environment: Environment,
    pub(crate) tally: Tally,
    pub(crate) baseline: Baseline,
    /// How many parts there are.
    pub(crate) parts: usize,
    /// How many of them were kept.
    pub(crate) kept: usize,
    /// How many say nothing that was not known.
    pub(crate) known: usize,
    pub(crate) left: Vec<Left>,
}

/// A part that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) part: Part,
    pub(crate) why: &'static str,
}

pub(crate) async fn learn(asked: &Learning, outside: &Outside, terminal: &Terminal) -> Result<Status, Problem> {
    let table = outside.table("nothing can be kept")?;
    let policy = asked.policy.as_deref().map_or_else(set_policy, policy)?;
    let (baseline, tally) = read(asked, policy, terminal)?;
    let parts = baseline.parts();
    let environment = asked.environment.unwrap_or(outside.environment);
    let mut lesson = Lesson { environment, tally, parts: parts.len(), baseline, kept: 0, known: 0, left: Vec::new() };
    let clock = outside.clock();
    let intended = || screen::intended(&lesson, &clock);
    let (would, not) = (|| json::lesson("would-learn", &lesson), || json::lesson("not-learned", &lesson));
    if let Some(end) = terminal.ends_here(asked.manner, intended, would, not) {
        return Ok(end);
    }
    let kept = lesson.keep(&parts, table).await;
    outside.told(THE_TABLE, kept).await?;
    terminal.show(|| screen::done(&lesson, asked.manner.yes), || json::lesson("learned", &lesson));
    Ok(match (lesson.tally.malformed, lesson.left.is_empty()) {
        (1.., _) => Status::WrongUse,
        (0, true) => Status::Fine,
        (0, false) => Status::Found,
    })
}

/// As `audit` has it.
fn set_policy() -> Result<Policy, Problem> {
    const NAME: &str = "RELATCH_AUDIT_POLICY";
    match env::var(NAME).ok().filter(|text| !text.is_empty()) {
        None => Ok(Policy::default()),
        Some(text) => Policy::from_json(&text)
            .map_err(|problem| Problem::wrong_use(NAME, problem.to_string(), "correct it: docs/CLI.md shows a policy")),
    }
}

/// What is known by the files: by all of them to their end, or nothing is learned. A record that cannot be read is told.
fn read(asked: &Learning, policy: Policy, terminal: &Terminal) -> Result<(Baseline, Tally), Problem> {
    let Sources { files, problems } = Sources::at(&asked.paths);
    if let Some(problem) = problems.into_iter().next() {
        return Err(problem);
    }
    let (mut judge, mut tally, bar) = (Judge::new(policy), Tally::default(), bar(&files));
    let read = files.iter().try_for_each(|source| match tally.read(source, &bar, |fact| judge.learn(fact)) {
        // What is usual, the other records tell.
        Ok(Some(flaw)) => {
            terminal.aside(&format!("{flaw}\n"));
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(problem) => Err(problem),
    });
    bar.finish_and_clear();
    read?;
    judge.settle(&mut Vec::new());
    Ok((judge.baseline().clone(), tally))
}

impl Lesson {
    async fn keep(&mut self, parts: &[Part], table: &DynamoTable) -> Result<(), CallError> {
        let bar = progress::counting(parts.len() as u64, "parts");
        for some in parts.chunks(READ_AT_ONCE) {
            let kept = self.keep_some(some, table).await;
            if kept.is_err() {
                bar.finish_and_clear();
            }
            kept?;
            bar.inc(some.len() as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    async fn keep_some(&mut self, parts: &[Part], table: &DynamoTable) -> Result<(), CallError> {
        let mut parts = parts.to_vec();
        for pause in PAUSES {
            sleep(pause).await;
            let kept = table.parts(self.environment, &parts).await?;
            let mut writes = Vec::new();
            for (part, KeptPart { text, revision }) in parts.into_iter().zip(kept) {
                match self.together(&part, text.as_deref())? {
                    Together::New(text) => writes.push((part, text, revision)),
                    Together::Known => self.known += 1,
                    Together::Left(why) => self.left.push(Left { part, why }),
                }
            }
            let environment = self.environment;
            let write = |(part, text, revision): (Part, String, u64)| async move {
                let is_kept = table.keep_part(environment, &part, &text, revision).await?;
                Ok::<_, CallError>((!is_kept).then_some(part))
            };
            let all = writes.len();
            let written: Vec<_> = stream::iter(writes.into_iter().map(write)).buffer_unordered(ABREAST).collect().await;
            let late: Vec<Option<Part>> = written.into_iter().collect::<Result<_, _>>()?;
            parts = late.into_iter().flatten().collect();
            self.kept += all - parts.len();
            if parts.is_empty() {
                return Ok(());
            }
        }
        Err(problem(CallErrorKind::Throttled, "others always came first"))
    }

    fn together(&self, part: &Part, kept: Option<&str>) -> Result<Together, CallError> {
        let learned = self.baseline.part(part).map_err(|_| problem(CallErrorKind::Refused, "it is no JSON"))?;
        let Some(learned) = learned else { return Ok(Together::Known) };
        Ok(match part.with_history(kept, &learned) {
            Err(_) => Together::Left("what is kept of it cannot be read"),
            Ok(text) if Some(text.as_str()) == kept => Together::Known,
            Ok(text) if text.len() > Part::LARGEST => Together::Left("too much is known of it"),
            Ok(text) => Together::New(text),
        })
    }
}

/// What is known of a part by history and by what was kept.
enum Together {
    /// This.
    New(String),
    /// What was known before.
    Known,
    /// It cannot be kept.
    Left(&'static str),
}

fn problem(kind: CallErrorKind, why: &str) -> CallError {
    CallError { operation: "relatch:KeepBaseline", kind, message: why.to_owned() }
}
