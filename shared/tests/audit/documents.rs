//! `docs/FINDINGS.md` and the runbook are written from the code and the scenarios, and held to them.

use crate::scenario::{self, Scenario};
use relatch::{
    audit::finding::{Kind, Severity},
    language::Language::English,
};
use std::{env, fmt::Write, fs, path::PathBuf};

#[test]
fn the_table_of_findings_is_that_of_the_code() {
    let file = root().join("docs/FINDINGS.md");
    let written = findings();
    // `RELATCH_WRITE_DOCS=1 cargo nextest run the_table_of_findings` writes it anew.
    if env::var_os("RELATCH_WRITE_DOCS").is_some() {
        fs::write(&file, &written).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == written, "docs/FINDINGS.md is not what the code says; RELATCH_WRITE_DOCS=1 writes it anew");
}

#[test]
fn every_finding_has_its_place_in_a_runbook() {
    for kind in Kind::all() {
        let runbook = kind.runbook();
        let (path, anchor) = runbook.split_once('#').unwrap_or((&runbook, ""));
        let text = fs::read_to_string(root().join(path)).unwrap();
        assert!(anchor.is_empty() || text.contains(&format!("\n## {anchor}\n")), "{runbook} is not there");
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn findings() -> String {
    let scenarios = scenario::all();
    let mut text = String::from(HEAD);
    for kind in Kind::all() {
        let page = kind.page();
        let _ = writeln!(
            text,
            "| [`{name}`](#{name}) | {} | {} | `{}` |",
            kind.title(English),
            severities(kind),
            page.event_type.name(),
            name = page.name,
        );
    }
    for kind in Kind::all() {
        section(&mut text, kind, &scenarios);
    }
    text
}

fn section(text: &mut String, kind: Kind, scenarios: &[Scenario]) {
    let page = kind.page();
    let runbook = kind.runbook();
    let _ = write!(
        text,
        "\n## {}\n\n**{}.** {}\n\n* **Severity**: {}{}.\n* **Security event**: `{}`.\n* **What innocent thing looks the same**: \
         {}\n* **How to have less of it**: {}\n* **What to do**: {} [Runbook](../{runbook}).\n",
        page.name,
        kind.title(English),
        kind.meaning(English),
        severities(kind),
        page.at_worst.map(|(worst, when)| format!(" ({} when {when})", worst.name())).unwrap_or_default(),
        page.event_type.name(),
        page.innocent,
        page.tuning,
        kind.to_do(English),
    );
    let example = scenarios.iter().find(|scenario| scenario.file == page.name && scenario.is_of(kind));
    if let Some(example) = example {
        let _ = write!(text, "\n{}:\n\n```text\n{}\n```\n", example.title, example.text);
    }
}

fn severities(kind: Kind) -> String {
    let page = kind.page();
    let mut words = vec![page.usually.name().to_owned()];
    if page.in_production != page.usually {
        words.push(format!("{} in production", page.in_production.name()));
    }
    let worst = page.at_worst.map(|(worst, _)| worst).filter(|worst| *worst > page.in_production);
    words.extend(worst.map(|worst: Severity| format!("at worst {}", worst.name())));
    words.join(", ")
}

const HEAD: &str = "\
# Findings

What the audit notices. The names are a stable interface. This page is written from the code and its scenarios, which a
test holds it to: what is found of the examples below is what they say, and nothing else. How to write scenarios of your
own is in [SCENARIOS.md](SCENARIOS.md), how to set a policy in the documentation of `relatch::audit::policy`.

Every finding can be put in the shadow (`\"shadowed\": [\"NAME\"]`): it is recorded then, and nobody is told.

| finding | in words | severity | security event |
| --- | --- | --- | --- |
";
