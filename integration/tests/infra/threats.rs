//! Who could abuse what: every row of docs/THREATS.md is held by tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The columns of each table: who, what he could do, what stops him, the tests.
const COLUMNS: usize = 4;

#[test]
fn every_threat_is_held_by_tests_that_exist() {
    let tests = tests();
    let page = fs::read_to_string(project().join("docs/THREATS.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ") && !is_head(line)).collect();
    assert!(rows.len() > 20, "the tables of docs/THREATS.md are not where they were");
    let mut problems = Vec::new();
    for row in rows {
        let cells = cells(row);
        let [who, .., held] = cells.as_slice() else { panic!("a row without cells: {row}") };
        // What nothing here stops is told as that, with a dash.
        let is_open = held.starts_with('–');
        let named: Vec<&str> = if is_open { Vec::new() } else { held.split('`').skip(1).step_by(2).collect() };
        if cells.len() != COLUMNS {
            problems.push(format!("{} columns in place of {COLUMNS}: {row}", cells.len()));
        }
        if named.is_empty() && !is_open {
            problems.push(format!("no test, and no dash: {who}"));
        }
        let exists = |name: &str| if name.contains('/') { project().join(name).exists() } else { tests.contains(name) };
        problems.extend(named.into_iter().filter(|name| !exists(name)).map(|name| format!("no such test: {name}")));
    }
    assert!(problems.is_empty(), "docs/THREATS.md:\n  {}", problems.join("\n  "));
}

/// The heads of tables, and the lines below them.
fn is_head(line: &str) -> bool {
    line.starts_with("| who |") || line.starts_with("| --- |")
}

/// A bar within a cell is written `\|`.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{0}");
    row.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// The names of all tests: functions that follow `#[test]` and its like, what the scripts call `test_…`, and the rules that
/// templates are held to.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for folder in ["events", "shared", "handlers", "integration", "scripts", "infra/guard"] {
        collect(&project().join(folder), &mut names);
    }
    names
}

fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // What is built and fetched is not ours.
            if !path.ends_with("target") && !path.ends_with("node_modules") {
                collect(&path, names);
            }
            continue;
        }
        let is_source =
            path.extension().is_some_and(|ending| ["guard", "py", "rs"].iter().any(|known| ending == *known));
        let Some(text) = is_source.then(|| fs::read_to_string(&path).unwrap()) else { continue };
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            if let Some(rule) = line.strip_prefix("rule ") {
                names.extend(rule.split_whitespace().next().map(str::to_owned));
                continue;
            }
            let name = line.split_once("fn ").or_else(|| line.split_once("def ")).map(|(_, rest)| rest);
            match name.and_then(|rest| rest.split(['(', '<']).next()) {
                Some(name) if is_test || name.starts_with("test_") => {
                    names.insert(name.to_owned());
                    is_test = false;
                }
                Some(_) => is_test = false,
                None => is_test |= line.starts_with("#[") && line.contains("test"),
            }
        }
    }
}

fn project() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
