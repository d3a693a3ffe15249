//! What is made of the records in files and folders: counts by outcome, everything malformed, and every denied call whose
//! target is not known.
//!
//! `cargo run -p relatch-events --example corpus -- PATH…`
//!
//! Reads `.json`, `.ndjson` and `.jsonl`, and each with `.gz`. A record may also be the field `event` of an object.

#![allow(clippy::print_stdout)]

use flate2::read::MultiGzDecoder;
use relatch_events::{
    cloudtrail::log::{self, Entry, Log},
    fact::{Account, Fact, What},
};
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::Instant,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    for path in env::args_os().skip(1) {
        gather(Path::new(&path), &mut files)?;
    }
    let mut counts = Counts::default();
    let began = Instant::now();
    for file in &files {
        count(file, &mut counts)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    for (outcome, count) in &counts.outcomes {
        println!("{count:>9}  {outcome}");
    }
    let records: u64 = counts.outcomes.values().sum();
    println!("{records:>9}  records in {} files, {:.0} a second", files.len(), records as f64 / seconds);
    for line in &counts.remarks {
        println!("{line}");
    }
    if records == counts.seen { Ok(()) } else { Err(format!("{} records came in", counts.seen).into()) }
}

#[derive(Default)]
struct Counts {
    seen: u64,
    outcomes: BTreeMap<String, u64>,
    remarks: Vec<String>,
}

fn gather(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    if path.is_dir() {
        let mut entries =
            fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| gather(entry, files));
    }
    let name = path.to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if [".json", ".ndjson", ".jsonl"].iter().any(|ending| name.ends_with(ending)) {
        files.push(path.to_owned());
    }
    Ok(())
}

fn count(path: &Path, counts: &mut Counts) -> Result<(), Box<dyn Error>> {
    let file = File::open(path)?;
    let input: Box<dyn Read> = if path.extension().is_some_and(|ending| ending == "gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    };
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let begins = String::from_utf8_lossy(input.fill_buf()?).chars().take(4096).collect::<String>();
    if begins.contains("\"event\":") && begins.contains("\"rule\":") {
        return labelled(path, input, counts);
    }
    for entry in Log::new(input) {
        counts.seen += 1;
        match entry? {
            Entry::Fact(fact) => counts.fact(path, &fact),
            Entry::Ignored => counts.add("ignored"),
            Entry::Malformed { offset, why } => counts.malformed(path, &format!("byte {offset}"), &why.to_string()),
        }
    }
    Ok(())
}

/// Records that are examples of a rule's: the field `event` of an object on each line.
fn labelled(path: &Path, input: impl BufRead, counts: &mut Counts) -> Result<(), Box<dyn Error>> {
    for (number, line) in input.lines().enumerate() {
        counts.seen += 1;
        let example: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&line?)?;
        let event = example.get("event").ok_or("an example without an event")?;
        match log::read(event.get().as_bytes()) {
            Ok(Some(fact)) => counts.fact(path, &fact),
            Ok(None) => counts.add("ignored"),
            Err(why) => counts.malformed(path, &format!("line {}", number + 1), &why.to_string()),
        }
    }
    Ok(())
}

impl Counts {
    fn add(&mut self, outcome: &str) {
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
    }

    fn malformed(&mut self, path: &Path, place: &str, why: &str) {
        self.add("malformed");
        self.remarks.push(format!("malformed: {}, {place}: {why}", path.display()));
    }

    fn fact(&mut self, path: &Path, fact: &Fact) {
        let outcome = if fact.is_denied() { ", denied" } else { "" };
        self.add(&format!("{}{outcome}", kind(&fact.what)));
        let is_general = matches!(fact.what, What::Account(Account::Refused));
        if fact.is_denied() && fact.targets.is_empty() && !is_general {
            let (file, id) = (path.display(), fact.id.as_deref().unwrap_or("without an id"));
            self.remarks.push(format!("no target: {file}, {} {}, event {id}", fact.service, fact.action));
        }
    }
}

/// What a fact is and of what kind, as they are called in JSON: `access secret`, `change deleted`.
fn kind(what: &What) -> String {
    let mut names = Vec::new();
    let mut value = serde_json::to_value(what).unwrap_or_default();
    while names.len() < 2 {
        let inner = value.get("read").or_else(|| value.get("kind")).cloned();
        let named = value
            .as_object()
            .and_then(|fields| fields.iter().next())
            .map(|(name, inner)| (name.clone(), inner.clone()));
        match (inner, named, value.as_str()) {
            (Some(inner), _, _) => value = inner,
            (None, Some((name, inner)), _) => {
                names.push(name);
                value = inner;
            }
            (None, None, Some(name)) => {
                names.push(name.to_owned());
                break;
            }
            (None, None, None) => break,
        }
    }
    names.join(" ")
}
