//! Three things agree: what a function's `Cargo.toml` turns on, what its program can call, what its role allows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::process::Command;

use relatch_integration::cloud;
use serde_json::Value;

use crate::evaluation::{attached, list};
use crate::scene::{ACCOUNT, World};

/// Linked by the SDK itself, and never called by these programs: its ways to get credentials, which Lambda gives them,
/// and to directory buckets, which none of ours is. Those of IAM Identity Center are the command's, and in the functions
/// only where all are built together, as here.
const OF_THE_SDK: [&str; 5] = [
    "sts:AssumeRole",
    "sts:AssumeRoleWithWebIdentity",
    "s3:CreateSession",
    "sso:GetRoleCredentials",
    "ssooidc:CreateToken",
];

/// What a call needs beside, or in place of, the action of its name.
const NEEDS: &[(&str, &[&str])] = &[
    // DynamoDB Developer Guide, "Using IAM with transactions": each part is an action of its own.
    // Ours has no part but puts; a condition of a put is no part.
    ("dynamodb:TransactWriteItems", &["dynamodb:PutItem"]),
    // Of what a key of one's own encrypts.
    ("secretsmanager:GetSecretValue", &["secretsmanager:GetSecretValue", "kms:Decrypt"]),
    ("secretsmanager:PutSecretValue", &["secretsmanager:PutSecretValue", "kms:Decrypt", "kms:GenerateDataKey"]),
    ("sns:Publish", &["sns:Publish", "kms:Decrypt", "kms:GenerateDataKey"]),
    // Secrets Manager User Guide, "Permissions for rotation".
    ("secretsmanager:RotateSecret", &["secretsmanager:RotateSecret", "lambda:InvokeFunction"]),
    ("s3:GetObject", &["s3:GetObject", "s3:GetObjectVersion", "kms:Decrypt"]),
    // Service Authorization Reference, "Actions, resources, and condition keys for Amazon S3".
    ("s3:HeadObject", &["s3:GetObject"]),
    ("s3:ListObjectVersions", &["s3:ListBucketVersions"]),
    ("s3:ListObjectsV2", &["s3:ListBucket"]),
    // Of a parameter that is a SecureString; ours is none.
    ("ssm:GetParameter", &["ssm:GetParameter"]),
];

/// Where the three do not agree yet, as the test says it.
const OPEN: &[&str] = &[];

/// What AWS does in a function's name, so that its role has to allow it and its program does not call it.
const BY_AWS: &[(&str, &str)] = &[
    ("ec2:AssignPrivateIpAddresses", "Lambda attaches the function to the VPC"),
    ("ec2:CreateNetworkInterface", "Lambda attaches the function to the VPC"),
    ("ec2:DeleteNetworkInterface", "Lambda attaches the function to the VPC"),
    ("ec2:DescribeNetworkInterfaces", "Lambda attaches the function to the VPC"),
    ("ec2:DescribeSubnets", "Lambda attaches the function to the VPC"),
    ("ec2:UnassignPrivateIpAddresses", "Lambda attaches the function to the VPC"),
    ("logs:CreateLogStream", "Lambda writes what the function prints"),
    ("logs:PutLogEvents", "Lambda writes what the function prints"),
    ("sqs:ChangeMessageVisibility", "Lambda polls the function's queue"),
    ("sqs:DeleteMessage", "Lambda polls the function's queue"),
    ("sqs:GetQueueAttributes", "Lambda polls the function's queue"),
    ("sqs:ReceiveMessage", "Lambda polls the function's queue"),
    ("sqs:SendMessage", "Lambda sets aside what the function failed at"),
    ("xray:PutTelemetryRecords", "Lambda traces the function"),
    ("xray:PutTraceSegments", "Lambda traces the function"),
];

#[test]
fn features_programs_and_roles_agree() {
    let world = World::new("shop", "prod", ACCOUNT);
    let Features { handlers, services: opened } = features();
    let (mut page, mut problems) = (String::new(), Vec::new());
    for (function, role) in world.functions() {
        let calls = calls(&function);
        let services: BTreeSet<_> = calls.iter().map(|call| call.split_once(':').unwrap().0.to_owned()).collect();
        let turned_on = handlers.get(&function).unwrap_or_else(|| panic!("{function} is no handler"));
        let adapters: BTreeSet<_> = turned_on.iter().flat_map(|feature| &opened[feature]).cloned().collect();
        differ(&mut problems, &function, "turned on, and never called", &adapters, &services);
        differ(&mut problems, &function, "called, and not turned on", &services, &adapters);

        let granted = granted(&world, &role);
        let of_aws: BTreeSet<_> = BY_AWS.iter().map(|(action, _)| (*action).to_owned()).collect();
        let granted_to_the_program: BTreeSet<_> = granted.difference(&of_aws).cloned().collect();
        let needed = calls.iter().flat_map(|call| needs(call)).collect();
        differ(&mut problems, &function, "called, and not allowed", &needed, &granted);
        differ(&mut problems, &function, "allowed, and never called", &granted_to_the_program, &needed);

        let names = turned_on.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "{function}\n  turns on  {names}\n  calls     {}", joined(&calls));
        let _ = writeln!(page, "  allowed   {}", joined(&granted_to_the_program));
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (action, reason) in BY_AWS.iter().filter(|(action, _)| granted.contains(*action)) {
            reasons.entry(reason).or_default().push(action);
        }
        for (reason, actions) in reasons {
            let _ = writeln!(page, "  and       {}: {reason}", actions.join(", "));
        }
    }
    insta::assert_snapshot!(page);
    assert_eq!(problems, OPEN);
}

fn joined(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join("\n            ")
}

fn differ(problems: &mut Vec<String>, function: &str, what: &str, these: &BTreeSet<String>, those: &BTreeSet<String>) {
    problems.extend(these.difference(those).map(|one| format!("{function}: {one} is {what}")));
}

fn needs(call: &str) -> Vec<String> {
    let needs = NEEDS.iter().find(|(of, _)| *of == call).map_or(vec![call], |(_, needs)| needs.to_vec());
    needs.into_iter().map(str::to_owned).collect()
}

struct Features {
    /// What each handler turns on in the shared crate.
    handlers: BTreeMap<String, BTreeSet<String>>,
    /// Which services a feature lets a program call, as IAM spells them: those whose SDK it brings along.
    services: BTreeMap<String, Vec<String>>,
}

fn features() -> Features {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        Command::new(cargo).args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let workspace: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = workspace["packages"].as_array().unwrap();
    let handlers = packages.iter().filter_map(|package| {
        let mut dependencies = package["dependencies"].as_array()?.iter();
        let shared = dependencies.find(|one| one["name"] == "relatch" && one["kind"].is_null())?;
        Some((package["name"].as_str()?.to_owned(), texts(&shared["features"]).collect()))
    });
    let shared = packages.iter().find(|package| package["name"] == "relatch").unwrap();
    let services = shared["features"].as_object().unwrap().iter().map(|(feature, brings)| {
        let sdks = texts(brings).filter_map(|one| one.strip_prefix("dep:aws-sdk-").map(service));
        (feature.clone(), sdks.collect())
    });
    Features { handlers: handlers.collect(), services: services.collect() }
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
}

/// A service as IAM spells it, by the name of its SDK.
fn service(sdk: &str) -> String {
    if sdk == "eventbridge" { "events".to_owned() } else { sdk.to_owned() }
}

/// The operations of AWS's that a handler's program can call, as IAM spells them: those whose code the linker kept,
/// because something in the program leads there. The names of the SDK's modules stand in the program's symbols.
fn calls(function: &str) -> BTreeSet<String> {
    let program = fs::read(cloud::handler(function).unwrap()).unwrap();
    let program = String::from_utf8_lossy(&program);
    let mut found = BTreeSet::new();
    for (at, _) in program.match_indices("aws_sdk_") {
        // `22aws_sdk_secretsmanager9operation16get_secret_value14GetSecretValue`
        let symbol = program[at + "aws_sdk_".len()..].chars().take(200).collect::<String>();
        let Some((service, rest)) = symbol.split_once("9operation") else { continue };
        if !service.chars().all(|one| one.is_ascii_lowercase() || one.is_ascii_digit()) {
            continue;
        }
        let Some((module, rest)) = component(rest) else { continue };
        // Errors, inputs and builders stand beside the operation itself.
        if let Some((name, _)) = component(rest).filter(|(name, _)| name.to_lowercase() == module.replace('_', "")) {
            found.insert(format!("{}:{name}", self::service(service)));
        }
    }
    assert!(!found.is_empty(), "{function} has no symbols, or they are spelled in a new way");
    found.retain(|call| !OF_THE_SDK.contains(&call.as_str()));
    found
}

/// A part of a symbol: its length, then itself.
fn component(symbol: &str) -> Option<(&str, &str)> {
    let digits = symbol.len() - symbol.trim_start_matches(|one: char| one.is_ascii_digit()).len();
    symbol[digits..].split_at_checked(symbol[..digits].parse().ok()?)
}

/// The actions that a role allows.
fn granted(world: &World, role: &str) -> BTreeSet<String> {
    let statements = attached(&world.deployment, role).into_iter().flat_map(|document| list(&document["Statement"]));
    let allowing = statements.filter(|statement| statement["Effect"] == "Allow");
    let actions = allowing.flat_map(|statement| list(&statement["Action"]));
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}
