//! How many events a second go from compressed files to findings, on one core, beside what is possible and what others do.

use std::env;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use flate2::bufread::MultiGzDecoder;
use nix::time::{ClockId, clock_gettime};
use relatch::audit::{incident::incidents, judge::Judge, policy::Policy};
use relatch_events::cloudtrail::log::{Entry, Log};
use relatch_integration::activity::{self, Activity};
use serde::{Deserialize, Serialize};
use sigma_rust::{Event, Rule, rule_from_yaml};

use crate::figure::{Figure, Sample, progress};

const EVENTS: usize = 600_000;
const RUNS: usize = 5;

/// The argument with which this program measures one way, once, and nothing else: in a process of its own, so that
/// neither the generator nor another way is in its memory.
pub(crate) const ONCE: &str = "--once";

/// The ways to read the files.
const WAYS: [&str; 3] = ["judged", "limit", "sigma"];

/// What was measured of one way, once.
#[derive(Debug, Serialize, Deserialize)]
struct Run {
    /// Of CPU time, over all threads.
    seconds: f64,
    events: usize,
    /// Findings, or rules that matched.
    found: usize,
    /// The most that was resident, in millions of bytes.
    megabytes: f64,
}

pub(crate) fn measure() -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let mut logs = Activity::new(1).write(EVENTS - THEFT, folder.path())?;
    let theft = folder.path().join("theft.json.gz");
    activity::write_gz(&theft, &activity::log(&activity::theft(THEFT, activity::beginning())))?;
    logs.files.push(theft);
    let ratio = logs.inflated as f64 / logs.deflated as f64;

    let mut speeds = WAYS.map(|_| Sample::new());
    let mut memory = Sample::new();
    for run in 0..RUNS {
        for (way, speed) in WAYS.into_iter().zip(&mut speeds) {
            let measured = once_by_itself(way, &logs.files)?;
            ensure!(measured.events == EVENTS, "{way} has read {} of {EVENTS} events", measured.events);
            ensure!(way == "limit" || measured.found > 0, "{way} has not noticed the theft");
            speed.add(measured.events as f64 / measured.seconds);
            if way == "judged" {
                memory.add(measured.megabytes);
            }
        }
        progress("Reading logs of 600,000 events in three ways", run + 1, RUNS);
    }
    let [judged, limit, sigma] = speeds;
    let figure = |name, sample: &Sample| Figure::new(name, sample.median().round(), "/s").how(sample.spread_in_whole());
    let size = format!("{:.0} MB of logs, compressed {ratio:.1}:1", logs.inflated as f64 / 1e6);
    Ok(vec![
        figure("audit.events_per_s", &judged).at_least(300_000.0).beside("limit", limit.median().round()),
        figure("audit.limit_events_per_s", &limit),
        figure("audit.sigma_events_per_s", &sigma),
        Figure::new("audit.rss_mb", memory.worst(), "MB").at_most(64.0).how(format!("most resident, {size}")),
    ])
}

/// As many secrets as the thief reads.
const THEFT: usize = 24;

fn once_by_itself(way: &str, files: &[PathBuf]) -> Result<Run> {
    let output = Command::new(env::current_exe()?).args([ONCE, way]).args(files).output()?;
    ensure!(output.status.success(), "{way}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).with_context(|| format!("what {way} says of itself"))
}

/// Measures one way, and tells of it on standard output.
#[allow(clippy::print_stdout, reason = "it is read by the process that has started this one")]
pub(crate) fn once(way: &str, files: &[String]) -> Result<()> {
    let read = match way {
        "judged" => judged,
        "limit" => limit,
        "sigma" => sigma,
        _ => bail!("there is no way `{way}`"),
    };
    let before = cpu_seconds()?;
    let (events, found) = read(files)?;
    let run = Run { seconds: cpu_seconds()? - before, events, found, megabytes: peak()? };
    println!("{}", serde_json::to_string(&run)?);
    Ok(())
}

/// As `relatch scan` and `audit` do it.
fn judged(files: &[String]) -> Result<(usize, usize)> {
    let (mut judge, mut found, mut events) = (Judge::new(Policy::default()), Vec::new(), 0);
    for file in files {
        for entry in Log::new(inflated(file)?) {
            match entry? {
                Entry::Fact(fact) => drop(judge.take(fact, &mut found)),
                Entry::Ignored => (),
                Entry::Malformed { offset, why } => bail!("{file} at {offset}: {why}"),
            }
            events += 1;
        }
    }
    judge.finish(&mut found);
    let gap = judge.policy().thresholds.incident_gap;
    Ok((events, incidents(found, gap).iter().map(|incident| incident.findings.len()).sum()))
}

/// What any program has to do that parses: inflate, and find one field of each record.
fn limit(files: &[String]) -> Result<(usize, usize)> {
    #[derive(Deserialize)]
    struct Whole<'a> {
        #[serde(borrow, rename = "Records")]
        records: Vec<Smallest<'a>>,
    }
    #[derive(Deserialize)]
    struct Smallest<'a> {
        #[serde(rename = "eventName")]
        name: &'a str,
    }
    let (mut bytes, mut events, mut found) = (Vec::new(), 0, 0);
    for file in files {
        bytes.clear();
        inflated(file)?.read_to_end(&mut bytes)?;
        let whole: Whole<'_> = serde_json::from_slice(&bytes)?;
        events += whole.records.len();
        found += whole.records.iter().filter(|record| record.name == "GetSecretValue").count();
    }
    Ok((events, found))
}

/// Each rule, of each event.
fn sigma(files: &[String]) -> Result<(usize, usize)> {
    #[derive(Deserialize)]
    struct Whole {
        #[serde(rename = "Records")]
        records: Vec<Event>,
    }
    let rules: Vec<Rule> = include_str!("rules.yaml").split("\n---\n").map(rule_from_yaml).collect::<Result<_, _>>()?;
    let (mut bytes, mut events, mut found) = (Vec::new(), 0, 0);
    for file in files {
        bytes.clear();
        inflated(file)?.read_to_end(&mut bytes)?;
        let whole: Whole = serde_json::from_slice(&bytes)?;
        events += whole.records.len();
        let matching = |event: &Event| rules.iter().filter(|rule| rule.is_match(event)).count();
        found += whole.records.iter().map(matching).sum::<usize>();
    }
    Ok((events, found))
}

fn inflated(file: &str) -> Result<impl Read> {
    let input = File::open(Path::new(file)).with_context(|| file.to_owned())?;
    Ok(MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, input)))
}

fn cpu_seconds() -> Result<f64> {
    let spent = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID)?;
    Ok(spent.tv_sec() as f64 + spent.tv_nsec() as f64 / 1e9)
}

/// In millions of bytes.
fn peak() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}
