//! Who may do what: every role, asked for every action that AWS has, on what is its own and on what is not.

use std::collections::BTreeMap;
use std::fmt::Write;

use awsim_iam_policy::{ContextValue, PolicyDocument};
use relatch_integration::template::Resource;
use serde_json::Value;

use crate::evaluation::{Context, MANAGED_BY_AWS, Principal, allows, attached, list, policy};
use crate::scene::{ACCOUNT, ACTIONS, APPLICATION, ENVIRONMENTS, REGION, World, brought};

/// What is asked for of a world: a resource, or `*`, in circumstances that a policy may ask about.
pub(crate) struct Case {
    /// Nothing, if what is asked for is `*`.
    pub(crate) service: String,
    /// The same for the same thing in another world.
    pub(crate) label: String,
    pub(crate) arn: String,
    pub(crate) context: Context,
    policy: Option<PolicyDocument>,
}

impl Case {
    /// A resource, in no special circumstances.
    pub(crate) fn of(arn: &str) -> Self {
        let service = arn.split(':').nth(2).unwrap_or_default().to_owned();
        Self { service, label: arn.to_owned(), arn: arn.to_owned(), context: Context::new(), policy: None }
    }

    /// What AWS adds to every request.
    pub(crate) fn asked_by(&mut self, who: &Principal) {
        let text = |text: &str| ContextValue::String(text.to_owned());
        let facts = [
            ("aws:PrincipalAccount", text(&who.account)),
            ("aws:PrincipalArn", text(&who.arn)),
            ("aws:PrincipalIsAWSService", ContextValue::Bool(false)),
            ("aws:SecureTransport", ContextValue::Bool(true)),
        ];
        self.context.extend(facts.map(|(key, value)| (key.to_owned(), value)));
    }
}

/// Whose it is that is asked for, and how; a column of the matrix each.
const COLUMNS: [&str; 6] = ["own", "dev", "staging", "project", "account", "plaintext"];

/// Allowed beyond one's own, since AWS knows nothing smaller.
const ACCOUNT_WIDE: &[(&str, &str)] = &[
    ("cloudwatch:DescribeAlarms", "composite alarms are described only to those who may describe all"),
    ("rds:DescribeDBClusters", "which cluster a host name belongs to is not known before"),
    ("rds:DescribeDBInstances", "as clusters"),
    ("rds:DescribeDBProxyTargets", "as clusters"),
    ("rds:ModifyDBCluster", "AllowMasterReset, off by default, says so; the program asks for a pinned resource id"),
    ("rds:ModifyDBInstance", "as clusters"),
];

#[test]
fn every_role_is_allowed_exactly_what_it_needs() {
    let matrix = matrix(&worlds("prod"));
    for (role, rows) in &matrix.roles {
        for ((action, label), allowed) in rows {
            let row = format!("{role}: {action} on {label}");
            assert!(allowed[0], "{row}, which is not its own");
            let of_ciphertexts = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncrypt"];
            let ciphertexts = of_ciphertexts.iter().any(|prefix| action.starts_with(prefix));
            assert!(!(ciphertexts && label.contains("directly")), "{row}: past the service that the key is for");
            // What is brought along has the policy that its owner gave it, and `*` has none.
            let guarded = ["sqs:", "sns:", "s3:", "secretsmanager:"].iter().any(|service| action.starts_with(service));
            let ours = !label.starts_with("given") && !label.starts_with('*');
            assert!(!(guarded && ours && allowed[5]), "{row}, over plaintext");
        }
    }
    stays_at_home(&matrix);
    for (role, who) in principals(&World::new("shop", "prod", ACCOUNT)) {
        for action in who.actions() {
            let used = matrix.roles[&role].keys().any(|(allowed, _)| allowed.eq_ignore_ascii_case(&action));
            assert!(used, "{role} has {action} in its policies, and may do it to nothing");
        }
    }
    for (wide, _) in ACCOUNT_WIDE {
        assert!(matrix.roles.values().flatten().any(|((action, _), _)| action == wide), "nobody needs {wide}");
    }
    insta::assert_snapshot!(matrix.print());
}

#[test]
fn dev_reaches_neither_staging_nor_prod() {
    stays_at_home(&matrix(&worlds("dev")));
}

#[test]
fn staging_reaches_neither_dev_nor_prod() {
    stays_at_home(&matrix(&worlds("staging")));
}

/// Nor is it more open where secrets, keys, topics, the trail and the network are brought along.
#[test]
fn what_is_brought_along_opens_nothing_more() {
    let matrix = matrix(&worlds_with("prod", brought));
    stays_at_home(&matrix);
    for (role, rows) in &matrix.roles {
        for ((action, label), allowed) in rows {
            assert!(allowed[0], "{role}: {action} on {label}, which is not its own");
        }
    }
    let reads = |role: &str, label: &str| {
        matrix.roles[role].contains_key(&("secretsmanager:GetSecretValue".to_owned(), label.to_owned()))
    };
    assert!(reads("rotate", "given: a rotated secret") && reads("respond", "given: a rotated secret"));
    assert!(!reads("rotate", "given: a secret that is not rotated"), "a secret that nobody gave to it");
}

fn stays_at_home(matrix: &Matrix) {
    for (role, rows) in &matrix.roles {
        for ((action, label), allowed) in rows {
            let row = format!("{role}: {action} on {label}");
            let wide = ACCOUNT_WIDE.iter().any(|(wide, _)| wide == action);
            assert!(wide || !allowed[1..=3].contains(&true), "{row} of another environment or project");
            assert!(!allowed[4], "{row} of another account");
        }
    }
}

/// The worlds in the order of the columns, one's own first.
pub(crate) fn worlds(own: &'static str) -> Vec<World> {
    worlds_with(own, |_, _, _| Vec::new())
}

/// The same, with parameters of each one's own.
pub(crate) fn worlds_with(
    own: &'static str,
    given: impl Fn(&str, &str, &str) -> Vec<(&'static str, String)>,
) -> Vec<World> {
    let world = |project: &'static str, environment: &'static str, account: &'static str| {
        let given = given(project, environment, account);
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
        World::with(project, environment, account, &given)
    };
    let others = ENVIRONMENTS.into_iter().filter(|environment| *environment != own);
    let mut worlds = vec![world("shop", own, ACCOUNT)];
    worlds.extend(others.map(|environment| world("shop", environment, ACCOUNT)));
    worlds.push(world("bank", own, ACCOUNT));
    worlds.push(world("shop", own, "999999999999"));
    worlds
}

pub(crate) struct Matrix {
    /// By role; what is denied everywhere has no row.
    pub(crate) roles: BTreeMap<String, BTreeMap<(String, String), [bool; COLUMNS.len()]>>,
    actions: usize,
    services: usize,
}

pub(crate) fn matrix(worlds: &[World]) -> Matrix {
    let mut cases: Vec<_> = worlds.iter().map(cases).collect();
    let own = &worlds[0];
    let principals = principals(own);
    let written = principals.values().flat_map(Principal::actions);
    let spelling: BTreeMap<_, _> = written.map(|action| (action.to_lowercase(), action)).collect();
    let mut roles = BTreeMap::new();
    for (name, who) in principals {
        let mut anything = anything(&name, own);
        cases.iter_mut().flatten().chain(&mut anything).for_each(|case| case.asked_by(&who));
        let mut rows = BTreeMap::new();
        for (service, actions) in &*ACTIONS {
            // The same thing of each world, by its label.
            let mut things: BTreeMap<&str, [Option<&Case>; 5]> = BTreeMap::new();
            for (world, cases) in cases.iter().enumerate() {
                for case in cases.iter().filter(|case| case.service == *service) {
                    things.entry(&case.label).or_default()[world] = Some(case);
                }
            }
            for (action, has_resources) in actions {
                let action = format!("{service}:{action}");
                let ask = |case: &Case| allows(&who, &action, &case.arn, &case.context, case.policy.as_ref());
                let over_plaintext = |case: &Case| {
                    let mut context = case.context.clone();
                    context.insert("aws:SecureTransport".to_owned(), ContextValue::Bool(false));
                    allows(&who, &action, &case.arn, &context, case.policy.as_ref())
                };
                let written = || spelling.get(&action).unwrap_or(&action).clone();
                // What cannot be allowed on single resources is asked for on all of them; unless a policy names one even so.
                let asks_for_all = things.is_empty() || !has_resources;
                let for_all: Vec<_> = anything.iter().filter(|case| asks_for_all && ask(case)).collect();
                for case in &for_all {
                    let allowed = [true, false, false, false, false, over_plaintext(case)];
                    rows.insert((written(), case.label.clone()), allowed);
                }
                for (label, of_worlds) in things.iter().filter(|_| for_all.is_empty()) {
                    let mut allowed = [false; COLUMNS.len()];
                    for (world, case) in of_worlds.iter().enumerate() {
                        // What all of an account share, as its bus, is nobody else's.
                        let shared = |case: &Case| world > 0 && of_worlds[0].is_some_and(|own| own.arn == case.arn);
                        allowed[world] = case.is_some_and(|case| !shared(case) && ask(case));
                    }
                    if allowed.contains(&true) {
                        // What a service does for its caller, it does over TLS.
                        allowed[5] = !label.contains("through ") && of_worlds[0].is_some_and(over_plaintext);
                        rows.insert((written(), (*label).to_owned()), allowed);
                    }
                }
            }
        }
        roles.insert(name, rows);
    }
    Matrix { roles, actions: ACTIONS.values().map(Vec::len).sum(), services: ACTIONS.len() }
}

impl Matrix {
    fn print(&self) -> String {
        let mut page = format!(
            "Of the {} actions of {} services, each role of shop-prod is allowed what stands here, and nothing else.\n\
             plaintext: whether no policy would refuse it; AWS itself offers few services without TLS.\n",
            self.actions, self.services
        );
        for (role, rows) in &self.roles {
            let rows = gathered(rows);
            let widths = rows.iter().fold((0, 0), |widths: (usize, usize), (action, label, _)| {
                (widths.0.max(action.len()), widths.1.max(label.len()))
            });
            let line = |action: &str, label: &str, cells: Vec<String>| {
                let line = format!("{action:a$}  {label:l$}  {}", cells.join(" | "), a = widths.0, l = widths.1);
                format!("{}\n", line.trim_end())
            };
            let _ = writeln!(page, "\n{role}");
            page.push_str(&line("", "on", COLUMNS.map(str::to_owned).to_vec()));
            for (action, label, allowed) in rows {
                let cells = COLUMNS.iter().zip(allowed);
                let cells = cells
                    .map(|(column, allowed)| format!("{:w$}", if allowed { "yes" } else { "-" }, w = column.len()));
                page.push_str(&line(&action, &label, cells.collect()));
            }
        }
        page.push_str("\nBeyond one's own, since AWS knows nothing smaller:\n");
        for (action, reason) in ACCOUNT_WIDE {
            let _ = writeln!(page, "{action}: {reason}");
        }
        page.push_str("\nPolicies of AWS's own, which are not looked into:\n");
        for (name, reason) in MANAGED_BY_AWS {
            let _ = writeln!(page, "{name}: {reason}");
        }
        page
    }
}

/// Rows that differ only in the circumstances or, where all of an account is meant, in the resource, made one.
fn gathered(rows: &BTreeMap<(String, String), [bool; COLUMNS.len()]>) -> Vec<(String, String, [bool; COLUMNS.len()])> {
    let mut gathered: BTreeMap<(&str, String, [bool; COLUMNS.len()]), Vec<&str>> = BTreeMap::new();
    for ((action, label), allowed) in rows {
        let (thing, circumstance) = label.split_once(", ").unwrap_or((label, ""));
        let thing = if allowed[1..=3].contains(&true) { "everything of the account" } else { thing };
        gathered.entry((action, thing.to_owned(), *allowed)).or_default().push(circumstance);
    }
    let rows = gathered.into_iter().map(|((action, thing, allowed), circumstances)| {
        // Whatever the circumstances: all items, every way to use a key, whoever asks.
        let through_all =
            circumstances.len() == THROUGH.len() && circumstances.iter().all(|how| how.starts_with("through "));
        let any =
            [ITEMS.len(), THROUGH.len() + 1].contains(&circumstances.len()) || through_all || circumstances == STAR;
        let label = match circumstances.as_slice() {
            _ if any || allowed[1] || circumstances == [""] => thing,
            some => format!("{thing}, {}", some.join(" ")),
        };
        (action.to_owned(), label, allowed)
    });
    rows.collect()
}

/// The services that use a key for their callers.
const THROUGH: [&str; 8] = ["dynamodb", "lambda", "logs", "rds", "s3", "secretsmanager", "sns", "sqs"];

/// Who asks for what has no resource.
const STAR: [&str; 2] = ["by AWS itself", "by the program"];

/// How the keys of the table's items begin.
const ITEMS: [&str; 10] = [
    "alerts#",
    "baseline#",
    "chain#",
    "contained#",
    "containment#",
    "event#",
    "ledger#",
    "operation#",
    "secret#",
    "silences",
];

/// Every role of a world, by the name of its function, or by its own.
pub(crate) fn principals(world: &World) -> BTreeMap<String, Principal> {
    let functions = world.functions();
    let roles = world.deployment.of_kind("AWS::IAM::Role").map(|role| {
        let arn = role.arn.clone().unwrap();
        let function = functions.iter().find(|(_, of)| **of == arn).map(|(name, _)| name.clone());
        let policies = attached(&world.deployment, &arn).iter().map(policy).collect();
        let who = Principal { arn, account: world.account.to_owned(), policies };
        (function.unwrap_or_else(|| format!("role {}", role.path)), who)
    });
    let mut roles: BTreeMap<_, _> = roles.collect();
    let policy_of = |one: &&Resource| one.path.ends_with("ApplicationPolicy");
    if let Some(for_applications) = world.deployment.of_kind("AWS::IAM::ManagedPolicy").find(policy_of) {
        let arn = format!("arn:aws:iam::{}:role/{}-{APPLICATION}", world.account, world.prefix());
        let policies = vec![policy(&for_applications.properties["PolicyDocument"])];
        roles.insert("an application".to_owned(), Principal { arn, account: world.account.to_owned(), policies });
    }
    roles
}

/// Everything of a world that a policy can name.
pub(crate) fn cases(world: &World) -> Vec<Case> {
    let mut cases = Vec::new();
    let neutral = |text: &str| text.replace(&world.prefix(), "…");
    for resource in &world.deployment.resources {
        let Some(arn) = &resource.arn else { continue };
        let policy = resource_policy(world, &resource.kind, arn);
        let mut context = Context::new();
        for tag in list(&resource.properties["Tags"]) {
            if let (Some(name), Some(value)) = (tag["Key"].as_str(), tag["Value"].as_str()) {
                context.insert(format!("aws:ResourceTag/{name}"), ContextValue::String(value.to_owned()));
            }
        }
        let label = neutral(&resource.path);
        cases.extend(circumstances(world, &label, arn, &context, policy.as_ref()));
    }
    // What is brought along.
    for (name, value) in world.parameters.iter().filter(|(_, value)| value.starts_with("arn:")) {
        cases.extend(circumstances(world, &format!("given: {name}"), value, &Context::new(), None));
    }
    // A proxy's ARN does not begin with its name.
    for (kind, number) in [("cluster", ""), ("db", ""), ("db-proxy", "prx-")] {
        let arn = format!("arn:aws:rds:{REGION}:{}:{kind}:{number}{}-database", world.account, world.prefix());
        cases.extend(circumstances(world, &format!("given: a {kind}"), &arn, &Context::new(), None));
    }
    if let Some(parameter) = world.parameters.get("AuditPolicyParameter") {
        let arn = format!("arn:aws:ssm:{REGION}:{}:parameter{parameter}", world.account);
        cases.extend(circumstances(world, "given: AuditPolicyParameter", &arn, &Context::new(), None));
    }
    let bus = format!("arn:aws:events:{REGION}:{}:event-bus/default", world.account);
    let said = [("events:source", "relatch"), ("events:detail-type", "Relatch Containment Requested")];
    let own_word = said.map(|(key, value)| (key.to_owned(), ContextValue::String(value.to_owned()))).into();
    cases.extend(circumstances(world, "given: the default bus", &bus, &own_word, None));
    for (service, region, what) in APPLICATION_OWN {
        let (prefix, account) = (world.prefix(), if region.is_empty() { "" } else { world.account });
        let arn = format!("arn:aws:{service}:{region}:{account}:{}", what.replace('…', &prefix));
        cases.extend(circumstances(world, &format!("given: the application's {what}"), &arn, &Context::new(), None));
    }
    let secret = |name: &str| {
        format!("arn:aws:secretsmanager:{REGION}:{}:secret:{}-secret-{name}-z9Y8x7", world.account, world.prefix())
    };
    let rotate = format!("arn:aws:lambda:{REGION}:{}:function:{}-rotate", world.account, world.prefix());
    let rotated = Context::from([(ROTATED_BY.to_owned(), ContextValue::String(rotate))]);
    cases.extend(circumstances(world, "given: a rotated secret", &secret("database-given"), &rotated, None));
    cases.extend(circumstances(
        world,
        "given: a secret that is not rotated",
        &secret("by-hand"),
        &Context::new(),
        None,
    ));
    cases
}

/// What an application has of its own, by service, region and name.
const APPLICATION_OWN: [(&str, &str, &str); 3] =
    [("events", REGION, "event-bus/…-orders"), ("s3", "", "…-files"), ("ssm", REGION, "parameter/…/orders")];

const ROTATED_BY: &str = "secretsmanager:resource/AllowRotationLambdaArn";

/// The ways in which one thing is asked for: through which service a key is used, which items of a table.
fn circumstances(
    world: &World,
    label: &str,
    arn: &str,
    context: &Context,
    policy: Option<&PolicyDocument>,
) -> Vec<Case> {
    let service = arn.split(':').nth(2).unwrap().to_owned();
    let case = |how: &str, arn: String, more: Vec<(&str, ContextValue)>| {
        let mut context = context.clone();
        context.insert("aws:ResourceAccount".to_owned(), ContextValue::String(world.account.to_owned()));
        context.extend(more.into_iter().map(|(key, value)| (key.to_owned(), value)));
        Case { service: service.clone(), label: format!("{label}{how}"), arn, context, policy: policy.cloned() }
    };
    let text = |text: String| ContextValue::String(text);
    match service.as_str() {
        "kms" => {
            let through = |service: &str| {
                let via = ("kms:ViaService", text(format!("{service}.{REGION}.amazonaws.com")));
                case(
                    &format!(", through {service}"),
                    arn.to_owned(),
                    vec![via, ("kms:CallerAccount", text(world.account.to_owned()))],
                )
            };
            let directly =
                case(", directly", arn.to_owned(), vec![("kms:CallerAccount", text(world.account.to_owned()))]);
            THROUGH.into_iter().map(through).chain([directly]).collect()
        }
        "dynamodb" => {
            let of = |items: &str| {
                let keys =
                    vec![if items.ends_with('#') { format!("{items}{}", world.environment) } else { items.to_owned() }];
                case(
                    &format!(", {items}"),
                    arn.to_owned(),
                    vec![("dynamodb:LeadingKeys", ContextValue::StringList(keys))],
                )
            };
            ITEMS.into_iter().map(of).collect()
        }
        "secretsmanager" if !context.contains_key(ROTATED_BY) => {
            let schedule = world.deployment.of_kind("AWS::SecretsManager::RotationSchedule");
            let by = schedule.filter(|one| one.properties["SecretId"] == arn).find_map(|one| {
                one.properties["RotationLambdaARN"].as_str().map(|by| (ROTATED_BY, text(by.to_owned())))
            });
            vec![case("", arn.to_owned(), by.into_iter().collect())]
        }
        "logs" => vec![case("", format!("{arn}:log-stream:one"), Vec::new())],
        "s3" => {
            let object = |how: &str, key: &str| case(how, format!("{arn}/{key}"), Vec::new());
            let file = format!("AWSLogs/{}/CloudTrail/{REGION}/2026/01/31/a.json.gz", world.account);
            vec![
                case("", arn.to_owned(), Vec::new()),
                object("/*, log files", &file),
                object("/*, other objects", "other"),
            ]
        }
        _ => vec![case("", arn.to_owned(), Vec::new())],
    }
}

/// What has no resource to name. Lambda itself attaches a function to a VPC, with the function's role.
pub(crate) fn anything(role: &str, world: &World) -> [Case; 2] {
    let star = |label: &str, context| Case {
        service: String::new(),
        label: format!("*, {label}"),
        arn: "*".to_owned(),
        context,
        policy: None,
    };
    let function = format!("arn:aws:lambda:{REGION}:{}:function:{}-{role}", world.account, world.prefix());
    let by_code = Context::from([("lambda:SourceFunctionArn".to_owned(), ContextValue::String(function))]);
    [star(STAR[1], by_code), star(STAR[0], Context::new())]
}

/// The policy that is put on a resource.
pub(crate) fn resource_policy(world: &World, kind: &str, arn: &str) -> Option<PolicyDocument> {
    let (of, names, document) = match kind {
        "AWS::KMS::Key" => return policy_of(&world.deployment.named(kind, arn)?.properties["KeyPolicy"]),
        "AWS::DynamoDB::Table" => {
            return policy_of(&world.deployment.named(kind, arn)?.properties["ResourcePolicy"]["PolicyDocument"]);
        }
        "AWS::SecretsManager::Secret" => ("AWS::SecretsManager::ResourcePolicy", "SecretId", "ResourcePolicy"),
        "AWS::SNS::Topic" => ("AWS::SNS::TopicPolicy", "Topics", "PolicyDocument"),
        "AWS::SQS::Queue" => ("AWS::SQS::QueuePolicy", "Queues", "PolicyDocument"),
        "AWS::S3::Bucket" => ("AWS::S3::BucketPolicy", "Bucket", "PolicyDocument"),
        _ => return None,
    };
    let resource = world.deployment.named(kind, arn)?;
    let mut policies = world.deployment.of_kind(of);
    let put = policies.find(|one| list(&one.properties[names]).iter().any(|name| *name == resource.reference))?;
    policy_of(&put.properties[document])
}

fn policy_of(document: &Value) -> Option<PolicyDocument> {
    (!document.is_null()).then(|| policy(document))
}
