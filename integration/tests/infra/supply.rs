//! What is installed and who could change it: packages of Python by their hashes, actions by their commits, tools by their
//! lock files; and nothing is installed or built where the role that deploys is at hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(project().join(path)).unwrap_or_else(|problem| panic!("{path}: {problem}"))
}

fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(project().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.filter(|path| path.extension().is_some_and(|one| one == extension));
    let read =
        |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap());
    let found: Vec<_> = named.map(read).collect();
    assert!(!found.is_empty(), "there is no .{extension} in {folder}");
    found
}

#[test]
fn every_python_package_is_known_by_its_hash() {
    for (list, text) in files("scripts", "txt") {
        // A requirement goes on where its line ends in a backslash.
        let joined = text.replace("\\\n", " ");
        let requirements: Vec<_> =
            joined.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).collect();
        for requirement in &requirements {
            assert!(!requirement.starts_with('-'), "{list}: {requirement} is a setting of the machine it was made on");
            let name = requirement.split_whitespace().next().unwrap();
            assert!(name.contains("==") && requirement.contains("--hash=sha256:"), "{list}: {name}");
        }
        let wanted = read(&format!("scripts/{}", list.replace(".txt", ".in")));
        for want in wanted.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            assert!(requirements.iter().any(|one| one.starts_with(want)), "{list} was not made anew: {want}");
        }
    }
    let setup = read("scripts/setup");
    for (number, line) in commands(&setup) {
        if line.contains("pip\" install") || line.contains("pip install") {
            assert!(
                line.contains("--require-hashes") && line.contains("--only-binary :all:"),
                "scripts/setup, {number}: {line}"
            );
        }
        if line.contains("cargo install") {
            assert!(line.contains("--locked") && line.contains("--version"), "scripts/setup, {number}: {line}");
        }
    }
    assert!(setup.contains("--require-hashes"));
}

#[test]
fn every_action_is_named_by_its_commit() {
    for (workflow, text) in files(".github/workflows", "yml") {
        for line in text.lines() {
            let Some(action) = line.trim().trim_start_matches("- ").strip_prefix("uses: ") else { continue };
            let action = action.split_whitespace().next().unwrap();
            let commit = action.split_once('@').map_or("", |(_, commit)| commit);
            let is_pinned = commit.len() == 40 && commit.chars().all(|one| one.is_ascii_hexdigit());
            assert!(is_pinned || action.starts_with("./.github/"), "{workflow}: {action}");
        }
    }
}

/// What a job may do once it has the role: deploy the packages that others have made.
const WITH_CREDENTIALS: [&str; 1] = ["scripts/deploy \"$ENVIRONMENT\" --packaged"];

#[test]
fn nothing_is_installed_or_built_once_credentials_are_loaded() {
    let mut lent = 0;
    for (workflow, text) in files(".github/workflows", "yml") {
        let mut has_credentials = false;
        for line in text.lines() {
            let step = line.trim().trim_start_matches("- ");
            // A job begins: two blanks, a name, a colon.
            if line.len() > 2 && line.starts_with("  ") && !line[2..].starts_with([' ', '#', '-']) {
                has_credentials = false;
            }
            if step.contains("configure-aws-credentials") {
                (has_credentials, lent) = (true, lent + 1);
            } else if has_credentials {
                let runs = step.strip_prefix("run: ");
                assert!(runs.is_none_or(|command| WITH_CREDENTIALS.contains(&command)), "{workflow}: {step}");
                assert!(!step.starts_with("uses: "), "{workflow}: {step}");
            }
        }
    }
    assert_eq!(lent, 1, "one job is lent the role");
}

/// The workflow's order is not all: the script itself refuses.
#[test]
fn the_setup_installs_nothing_in_ci_while_credentials_are_loaded() {
    let cache = tempfile::tempdir().unwrap();
    let output = Command::new(project().join("scripts/setup"))
        .arg("deploy")
        .env("CI", "true")
        .env("AWS_SESSION_TOKEN", "lent")
        .env("XDG_CACHE_HOME", cache.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("while credentials of AWS are loaded"), "{said}");
    assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0);
}

/// Lines that are commands, with those that they go on with.
fn commands(script: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in script.lines().enumerate() {
        let text = line.trim().trim_end_matches('\\');
        match found.last_mut().filter(|_| goes_on) {
            Some((_, command)) => command.push_str(text),
            None => found.push((index + 1, text.to_owned())),
        }
        goes_on = line.ends_with('\\');
    }
    found.retain(|(_, line)| !line.starts_with('#'));
    found
}
