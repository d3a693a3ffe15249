//! The demo that a new user runs first, as a whole.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Command, Output};

#[test]
fn everything_is_as_told_and_the_numbers_can_be_read() {
    let output = demo(&[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains('\x1b'), "a pipe is given no colours:\n{text}");
    let longest = text.lines().max_by_key(|line| line.chars().count()).unwrap();
    assert!(longest.chars().count() <= 100, "this line is too long: {longest}");
    assert_eq!(number(&text, "rotations"), 6);
    assert_eq!(number(&text, "rolled back"), 1);
    assert_eq!(number(&text, "healed by a retry"), 2);
    assert_eq!(number(&text, "healed by respond"), 1);
    assert_eq!(number(&text, "incidents that the audit found"), 1);
    assert_eq!(number(&text, "messages in Slack"), 5);
    assert!(number(&text, "calls to Secrets Manager in a calm rotation") <= 12);
    assert!(number(&text, "database connections in a calm rotation") <= 4);
    assert_eq!(number(&text, "failed logins by Relatch in a calm rotation"), 0);
    assert_eq!(number(&text, "passwords or keys found in any output"), 0);
    let (made, failed) = (number(&text, "new connections of the application"), number(&text, "of them failed"));
    assert!(0 < failed && failed < made, "{failed} of {made}");
}

#[test]
fn what_it_does_not_understand_is_an_error() {
    let output = demo(&["--hlep"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--help"));
}

#[test]
fn help_is_there_without_starting_anything() {
    let output = demo(&["--help"]);
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("Usage: make demo"));
}

fn demo(arguments: &[&str]) -> Output {
    // Killed with the test, and its own processes with it.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_demo")]).args(arguments);
    command.output().unwrap()
}

/// The number in the closing table's line of that name.
fn number(text: &str, name: &str) -> u64 {
    let line = text.lines().rev().find_map(|line| line.trim_start().strip_prefix(name)).expect(name);
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect(name)
}
