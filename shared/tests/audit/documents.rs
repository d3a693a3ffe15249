//! `docs/FINDINGS.md` and the runbook are written from the code and the scenarios, and held to them.

use crate::scenario::{self, Scenario};
use relatch::{
    audit::{
        finding::{Kind, Severity},
        policy::Policy,
    },
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
    Policy::from_json(POLICY).unwrap();
    let mut text = format!("{HEAD}\n```json\n{POLICY}\n```\n{TABLE}");
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
own is in [SCENARIOS.md](SCENARIOS.md).

What one principal does within an hour is one incident, and one alert: a thief who reads twenty secrets is a new reader of
each, and a burst, and all of it is told at once.

## Policy

What is normal in your account is said by a policy. It is JSON; every field may be left out, and `{}` is a policy that
works. What is wrong with one is told all at once, each with its place. In lists of names, `*` stands for any characters;
a principal is named by its ARN or by what comes last in it. A name holds in the account where something happens and in
those that the policy names, since anybody can use it in an account of their own; an ARN with its account holds anywhere.
A function that rotates is known as ours by its ARN, or by its name without `*`.

What is Relatch's own is what `own` says; for `audit` also what `RELATCH_OWN_PREFIX` says, and the parameter that the policy
is in, which no policy takes away.
";

/// Every field that there is.
const POLICY: &str = r#"{
  "environments": {
    "names": ["dev", "staging", "prod"],
    "production": ["prod"],
    "without-people": ["prod"],
    "secrets": ["{project}-{env}-secret-{name}", "{project}-{env}-{oauth|jwt|database}", "{env}/{name}"],
    "principals": ["{project}-{env}-{name}"],
    "accounts": { "111122223333": "prod" }
  },
  "working-hours": { "time-zone": "Asia/Tokyo", "days": "mon-fri", "from": "09:00", "to": "18:30" },
  "decoys": { "names": ["shop-prod-secret-payments-master"], "except": ["backup"] },
  "trusted": {
    "principals": ["terraform", "ci-*"], "accounts": ["444455556666"], "tools": [],
    "organisations": ["o-exampleorgid"], "networks": ["203.0.113.0/24", "vpce-0123456789abcdef0"]
  },
  "own": {
    "functions": ["relatch-*"], "trails": ["*"], "rules": ["relatch-*"],
    "topics": ["relatch-*", "*-security-alerts"], "queues": ["relatch-*"], "alarms": ["relatch-*"],
    "parameters": ["/relatch-*", "/relatch/*"],
    "resources": ["relatch-*", "/aws/lambda/relatch-*"],
    "deployers": ["cloudformation-*"]
  },
  "thresholds": {
    "read-burst": { "count": 20, "minutes": 6 },
    "read-breadth": { "count": 40, "minutes": 720 },
    "shared-network": { "count": 5, "minutes": 60 },
    "filter-burst": { "count": 5, "minutes": 60 },
    "denied-burst": { "count": 10, "minutes": 10 },
    "multi-region-read": { "count": 5, "minutes": 10 },
    "parameter-decrypt-burst": { "count": 26, "minutes": 60 },
    "mass-deletion": { "count": 5, "minutes": 10 },
    "console-login-failures": { "count": 3, "minutes": 5 },
    "unauthorized-burst": { "count": 10, "minutes": 10 },
    "stale-after-minutes": 60,
    "unseen-after-minutes": 20,
    "incident-gap-minutes": 60
  },
  "learning-days": 14,
  "shadowed": ["off-hours-read"]
}"#;

const TABLE: &str = "
| field | says | unless it is set |
| --- | --- | --- |
| `environments` | which there are, whose findings are graver, where no person should read, and how names and accounts tell | as above, without accounts |
| `working-hours` | when people work | no read is out of hours |
| `decoys` | what nobody has a reason to touch, and who may all the same | there are none |
| `trusted` | whose reads and changes are as they should be; accounts that may read and be let in; organisations and networks that policies may let in | nobody |
| `own` | what keeps watch, and who may deploy it | as above, without deployers |
| `thresholds` | how much is too much | as above |
| `learning-days` | how long a reader has to be known to be usual | 14 |
| `shadowed` | the findings that are recorded and not told | none |

What a principal does on two earlier days is its job, up to twice the most it ever did. Until then, and where nothing was
learned from history, tools that read, decrypt or delete much are told of once a day: trust them by name, or let history
be learned.

## All of them

| finding | in words | severity | security event |
| --- | --- | --- | --- |
";
