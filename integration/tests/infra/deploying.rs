//! The scripts that deploy, run against the emulator: what they make of a new stack, what they refuse to change, and what the
//! walk through a first deployment sees of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Output;

use relatch_integration::aws::REGION;
use relatch_integration::aws::account::{Account, Change};
use relatch_integration::template::{Parameters, python};

use crate::scene::{ROOT, TEMPLATES, parameters_of};

const STACK: &str = "relatch-prod";

/// An account with a deployment that was prepared as sam does it, and the environment's file.
struct Scene {
    account: Account,
    folder: tempfile::TempDir,
    parameters: Parameters,
}

impl Scene {
    async fn new() -> Self {
        let account = Account::open().await.unwrap();
        account.upload(&TEMPLATES).await.unwrap();
        let mut parameters = parameters_of("prod");
        // The emulator has one region, and its RDS is not what is looked at here.
        parameters.extend([("Database", "none"), ("DatabaseMonthlySnapshotDays", "0"), ("ReplicaRegion", "")].map(own));
        Self { account, folder: tempfile::tempdir().unwrap(), parameters }
    }

    async fn prepares(&self, kind: &'static str, name: &'static str) {
        self.account.prepare(Change { kind, name }, ROOT, STACK, &self.parameters).await.unwrap();
    }

    /// Runs a script on the environment's file, as the account's owner.
    async fn runs(&self, script: &str, arguments: &[&str]) -> (Output, String) {
        let mut file = format!(
            "[default.deploy.parameters]\nstack_name = {STACK:?}\nregion = {REGION:?}\ns3_bucket = \"templates\"\n\
             capabilities = [\"CAPABILITY_NAMED_IAM\", \"CAPABILITY_AUTO_EXPAND\"]\ntags = [\"Project=relatch\"]\n\
             [default.deploy.parameters.parameter_overrides]\n"
        );
        for (name, value) in &self.parameters {
            file.push_str(&format!("{name} = {value:?}\n"));
        }
        let path = self.folder.path().join("prod.toml");
        fs::write(&path, file).unwrap();
        let mut command = python().unwrap();
        command.arg(script).arg(&path).args(arguments);
        for (name, value) in [
            ("AWS_ENDPOINT_URL", self.account.url()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_DEFAULT_REGION", REGION),
        ] {
            command.env(name, value);
        }
        for other in ["AWS_PROFILE", "AWS_SESSION_TOKEN"] {
            command.env_remove(other);
        }
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let said = [&output.stdout, &output.stderr].map(|stream| String::from_utf8_lossy(stream).into_owned()).concat();
        (output, said)
    }

    async fn asks(&self, action: &str, stack: &str) -> String {
        let fields = [("Action", action), ("StackName", stack)];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.account.form("cloudformation", &fields).await.unwrap()
    }

    /// The physical ids of the nested stacks.
    async fn nested(&self) -> Vec<String> {
        let answer = self.asks("ListStackResources", STACK).await;
        let ids = answer.split("<PhysicalResourceId>").skip(1).filter_map(|rest| rest.split('<').next());
        ids.filter(|id| id.contains(":stack/")).map(str::to_owned).collect()
    }

    async fn is_protected(&self, stack: &str) -> bool {
        let policy = self.asks("GetStackPolicy", stack).await;
        policy.contains("Update:Replace")
            && policy.contains("AWS::SecretsManager::Secret")
            && !policy.contains("NotResource")
    }
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// CloudFormation itself then refuses to replace what cannot be made again, whatever a preview says.
#[tokio::test]
async fn a_new_stack_is_made_as_it_is_and_every_stack_is_protected() {
    let scene = Scene::new().await;
    scene.prepares("CREATE", "samcli-deploy1").await;
    let (output, said) = scene.runs("scripts/changes.py", &[]).await;
    assert!(output.status.success(), "{said}");
    assert!(said.contains("RotateFunctionArn = arn:aws:lambda:"), "{said}");
    let nested = scene.nested().await;
    assert!(nested.len() >= 7, "{nested:?}");
    for stack in nested.iter().map(String::as_str).chain([STACK]) {
        assert!(scene.is_protected(stack).await, "{stack}");
    }
    let root = scene.asks("DescribeStacks", STACK).await;
    assert!(root.contains("<EnableTerminationProtection>true<"), "{root}");

    // What only AWS can prove, is looked at all the same as far as it is there, and nothing hinders the walk.
    let into = scene.folder.path().to_str().unwrap();
    let (_, said) = scene.runs("scripts/first_deployment.py", &["--unattended", "--into", into]).await;
    let mut files = fs::read_dir(into).unwrap().map(|entry| entry.unwrap().path());
    let report = files.find(|path| path.extension().is_some_and(|kind| kind == "md")).expect(&said);
    let report = fs::read_to_string(report).unwrap();
    let rows: Vec<(&str, &str)> = report.lines().filter_map(row).collect();
    assert_eq!(rows.iter().map(|(point, _)| *point).collect::<Vec<_>>(), points(), "{report}");
    for point in ["flat-first", "stack-policies", "protected-root", "vpc-attachment", "set-aside"] {
        assert!(rows.contains(&(point, "ok")), "{point}\n{report}");
    }
    for (point, verdict) in [("proxy-role", "not deployed"), ("month", "could not look")] {
        assert!(rows.contains(&(point, verdict)), "{point}\n{report}");
    }
}

#[tokio::test]
async fn what_is_precious_goes_only_by_its_name_and_only_this_once() {
    let scene = Scene::new().await;
    scene.prepares("CREATE", "samcli-deploy1").await;
    let (output, said) = scene.runs("scripts/changes.py", &[]).await;
    assert!(output.status.success(), "{said}");

    let before = scene.nested().await;
    scene.account.upload(&TEMPLATES.without(ROOT, "ObservabilityStack")).await.unwrap();
    scene.prepares("UPDATE", "samcli-deploy2").await;
    let (output, said) = scene.runs("scripts/changes.py", &["TableStack/Table"]).await;
    assert!(
        !output.status.success() && said.contains("ObservabilityStack: it would be taken out of the stack"),
        "{said}"
    );
    assert!(said.contains("ALLOW=\"ObservabilityStack\""), "{said}");
    // A leave for what is not about to go would be a habit.
    assert!(said.contains("nothing would replace or remove TableStack/Table"), "{said}");
    assert_eq!(scene.nested().await, before, "nothing has changed");

    scene.prepares("UPDATE", "samcli-deploy3").await;
    let (output, said) = scene.runs("scripts/changes.py", &["ObservabilityStack"]).await;
    assert!(output.status.success(), "{said}");
    let nested = scene.nested().await;
    for stack in nested.iter().map(String::as_str).chain([STACK]) {
        assert!(scene.is_protected(stack).await, "{stack} keeps the leave that it was given");
    }
}

/// The points of docs/UNPROVED.md and the checks of the script are of the same list.
#[test]
fn each_check_of_the_walk_is_a_point_of_the_page() {
    let script =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/first_deployment.py")).unwrap();
    let checks: BTreeSet<String> = script
        .split("@check\ndef ")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('(')?.0.replace('_', "-")))
        .collect();
    let points: BTreeSet<String> = points().into_iter().map(str::to_owned).collect();
    assert!(checks.len() > 15 && checks.is_subset(&points), "{:?}", checks.difference(&points));
}

fn points() -> Vec<&'static str> {
    static PAGE: &str = include_str!("../../../docs/UNPROVED.md");
    PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(point, _)| point).collect()
}

/// A row of the report: the point, and how it was seen.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix("| `")?.split(" | ");
    Some((cells.next()?.strip_suffix('`')?, cells.next()?))
}

/// An environment's file that nobody has looked through is refused before anything is built.
#[test]
fn the_files_of_the_environments_are_refused_until_somebody_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let expanded = folder.path().join("expanded.json");
    fs::write(&expanded, TEMPLATES.json()).unwrap();
    for environment in crate::scene::ENVIRONMENTS {
        let file = format!("infra/environments/{environment}.toml");
        let output =
            python().unwrap().args(["scripts/preflight.py", &file, "--offline"]).arg(&expanded).output().unwrap();
        let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(out.contains("costs about US$"), "{out}");
        // And for nothing else: their rotations meet an awake database, and the template takes every parameter.
        let refused: Vec<&str> = error.lines().skip(1).map(str::trim).collect();
        assert!(!output.status.success() && refused.iter().all(|line| line.contains("@example.com")), "{error}");
    }
}
