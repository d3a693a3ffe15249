//! Which of AWS's services get in, and on whose behalf: queues, topics, keys, buckets and functions, asked by each
//! service that a policy names, for what is one's own and for what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use awsim_iam_policy::{ContextValue, Effect, PolicyDocument};
use relatch_integration::template::Resource;
use serde_json::json;

use crate::authority::{Case, resource_policy, worlds};
use crate::evaluation::{Context, Principal, allows, lets_through, list, policy};
use crate::scene::{ACCOUNT, World};

/// On whose behalf; a column each. As [`worlds`] orders them.
const COLUMNS: [&str; 5] = ["own", "dev", "staging", "project", "account"];

/// Let in on behalf of all of the account: a service, to what, and the reason.
const ACCOUNT_WIDE: &[(&str, &str, &str)] = &[
    (
        "cloudwatch.amazonaws.com",
        "AlertingStack/",
        "alarms of one's own may go to the topics, whatever they are called",
    ),
    (
        "lambda.alarms.cloudwatch.amazonaws.com",
        "RotationStack/RespondFunction",
        "alarms of one's own may name it as their action, whatever they are called",
    ),
    (
        "secretsmanager.amazonaws.com",
        "RotationStack/RotateFunction",
        "which secret it rotates is the secret's setting; what it may do with one, its role's",
    ),
];

#[test]
fn services_get_in_only_on_behalf_of_what_is_ours() {
    let worlds = worlds("prod");
    let mut rows = BTreeMap::new();
    for resource in &worlds[0].deployment.resources {
        let Some(arn) = &resource.arn else { continue };
        for document in policies(&worlds[0], resource, arn) {
            for (service, action) in invited(&document) {
                let who = |account: &str| Principal {
                    arn: service.clone(),
                    account: account.to_owned(),
                    policies: Vec::new(),
                };
                let row = worlds.iter().map(|world| {
                    let asks = |context: &Context| {
                        // What is put into a bucket lies under the account that it is of.
                        let object = format!("{arn}/AWSLogs/{}/file", world.account);
                        let arn = if action.ends_with("Object") { &object } else { arn };
                        lets_through(&document, &who(world.account), &action, arn, context)
                    };
                    behalf(world, &service).iter().any(asks)
                });
                let row: Vec<_> = row.collect();
                let key = (resource.path.clone(), service.clone(), action);
                let before = rows.entry(key).or_insert_with(|| vec![false; COLUMNS.len()]);
                before.iter_mut().zip(row).for_each(|(before, now)| *before |= now);
            }
        }
    }
    let mut foreign = Vec::new();
    let mut page = format!("{:44} {:40} {:26} {}\n", "", "service", "action", COLUMNS.join(" | "));
    for ((path, service, action), row) in &rows {
        let cells = COLUMNS.iter().zip(row);
        let cells = cells.map(|(column, yes)| format!("{:w$}", if *yes { "yes" } else { "-" }, w = column.len()));
        let cells = cells.collect::<Vec<_>>().join(" | ");
        let _ = writeln!(page, "{}", format!("{path:44} {service:40} {action:26} {cells}").trim_end());
        assert!(row[0], "{path}: {service} is invited to {action}, and does not get in for anything of ours");
        assert!(!row[4], "{path}: {service} gets in for another account");
        let wide = ACCOUNT_WIDE.iter().any(|(wide, of, _)| wide == service && path.starts_with(of));
        if !wide && row[1..4].contains(&true) {
            foreign.push(format!("{path}: {service} gets in to {action} for another environment or project"));
        }
    }
    page.push_str("\nOn behalf of all of the account:\n");
    for (service, of, reason) in ACCOUNT_WIDE {
        let _ = writeln!(page, "{service}, {of}: {reason}");
    }
    for (service, of, _) in ACCOUNT_WIDE {
        let used =
            rows.iter().any(|((path, by, _), row)| by == service && path.starts_with(of) && row[1..4].contains(&true));
        assert!(used, "{of}: {service} gets in for one's own only");
    }
    insta::assert_snapshot!(page);
    assert_eq!(foreign, Vec::<String>::new());
}

/// What a principal may do with what is ours if IAM allows him everything, and so only the thing's own policy is left to keep
/// him out.
const POWERS: [(&str, &[&str]); 4] = [
    (
        "AWS::SQS::Queue",
        &["sqs:SendMessage", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:PurgeQueue", "sqs:SetQueueAttributes"],
    ),
    ("AWS::SNS::Topic", &["sns:Publish", "sns:Subscribe", "sns:SetTopicAttributes"]),
    (
        "AWS::DynamoDB::Table",
        &[
            "dynamodb:BatchWriteItem",
            "dynamodb:DeleteItem",
            "dynamodb:PartiQLDelete",
            "dynamodb:PartiQLInsert",
            "dynamodb:PartiQLUpdate",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:Query",
            "dynamodb:UpdateTable",
        ],
    ),
    ("AWS::S3::Bucket", &["s3:PutObject", "s3:GetObject", "s3:DeleteObjectVersion"]),
];

/// By which of these somebody could make Relatch believe something.
fn makes_believe(action: &str, path: &str) -> bool {
    action == "sqs:SendMessage"
        || action == "sns:Publish"
        || (action == "s3:PutObject" && path.starts_with("TrailStack/"))
        || (action.starts_with("dynamodb:") && !["dynamodb:Query", "dynamodb:UpdateTable"].contains(&action))
}

#[test]
fn whoever_may_do_everything_in_the_account_sends_publishes_and_writes_nothing_of_ours() {
    let world = World::new("shop", "prod", ACCOUNT);
    let everything = json!({ "Statement": {
        "Effect": "Allow", "Action": ["dynamodb:*", "s3:*", "sns:*", "sqs:*"], "Resource": "*" } });
    let role = |name: &str| format!("arn:aws:iam::{ACCOUNT}:role/{name}");
    let who = [
        ("anybody", role("anybody")),
        ("another's rotate", role("shop-dev-respond")),
        ("user", format!("arn:aws:iam::{ACCOUNT}:user/eve")),
        ("on-call", role("on-call-shop-prod")),
        ("emergency", role("emergency-shop-prod")),
        ("rotate", role("shop-prod-rotate")),
        ("respond", role("shop-prod-respond")),
        ("audit", role("shop-prod-audit")),
        ("notify", role("shop-prod-notify")),
    ];
    let strangers = 3;
    let names: Vec<_> = who.iter().map(|(name, _)| *name).collect();
    let mut page = format!("{:36} {:26} {}\n", "with everything allowed by IAM", "", names.join(" | "));
    for (kind, actions) in POWERS {
        for resource in world.deployment.of_kind(kind) {
            let arn = resource.arn.as_ref().unwrap();
            let document = resource_policy(&world, kind, arn);
            for action in actions {
                let object = format!("{arn}/AWSLogs/{ACCOUNT}/file");
                let on = if action.contains("Object") { &object } else { arn };
                let cells = who.iter().enumerate().map(|(n, (name, arn))| {
                    let who = Principal {
                        arn: arn.clone(),
                        account: ACCOUNT.to_owned(),
                        policies: vec![policy(&everything)],
                    };
                    let mut asked = Case::of(on);
                    asked.asked_by(&who);
                    let gets_in = allows(&who, action, on, &asked.context, document.as_ref());
                    let may_not = n < strangers && makes_believe(action, &resource.path);
                    assert!(!(gets_in && may_not), "{}: {name} gets in to {action}", resource.path);
                    format!("{:w$}", if gets_in { "yes" } else { "-" }, w = name.len())
                });
                let cells = cells.collect::<Vec<_>>().join(" | ");
                let _ = writeln!(page, "{}", format!("{:36} {action:26} {cells}", resource.path).trim_end());
            }
        }
    }
    insta::assert_snapshot!(page);
}

/// Not by what its name begins with: whoever may make a rule could choose that, on a bus of his own, too.
#[test]
fn each_rule_sends_where_it_is_to_and_no_other_rule_does() {
    for world in worlds("prod").into_iter().chain([World::with(
        "shop",
        "prod",
        ACCOUNT,
        &[("Trail", "own"), ("TrailBucketName", "")],
    )]) {
        for queue in world.deployment.of_kind("AWS::SQS::Queue") {
            let arn = queue.arn.as_ref().unwrap();
            let document = resource_policy(&world, &queue.kind, arn).expect("every queue has a policy");
            let events = Principal {
                arn: "events.amazonaws.com".to_owned(),
                account: world.account.to_owned(),
                policies: Vec::new(),
            };
            let sends = |source: &str| {
                let mut context = behalf(&world, "events.amazonaws.com").remove(0);
                context.insert("aws:SourceArn".to_owned(), ContextValue::String(source.to_owned()));
                lets_through(&document, &events, "sqs:SendMessage", arn, &context)
            };
            for rule in world.deployment.of_kind("AWS::Events::Rule") {
                let own = rule.arn.as_ref().unwrap();
                let targets = list(&rule.properties["Targets"]);
                let is_meant =
                    targets.iter().any(|target| target["Arn"] == **arn || target["DeadLetterConfig"]["Arn"] == **arn);
                assert_eq!(sends(own), is_meant, "{} to {}", rule.path, queue.path);
                let (before, name) = own.rsplit_once('/').unwrap();
                for forged in [format!("{own}-2"), format!("{before}/{}/{name}", world.prefix()), format!("{own}x")] {
                    assert!(!sends(&forged), "{forged} to {}", queue.path);
                }
            }
        }
    }
}

/// SQS itself moves what was not handled to a dead-letter queue, and asks no policy: whoever may name ours as that of a queue
/// of his own sends to it.
#[test]
fn no_queue_of_somebody_elses_sets_aside_into_ours() {
    let world = World::new("shop", "prod", ACCOUNT);
    let queues: Vec<_> = world.deployment.of_kind("AWS::SQS::Queue").collect();
    for queue in &queues {
        let arn = queue.arn.as_ref().unwrap();
        let own = queues.iter().filter(|one| one.properties["RedrivePolicy"]["deadLetterTargetArn"] == **arn);
        let own: BTreeSet<_> = own.map(|one| one.arn.clone().unwrap()).collect();
        let named = list(&queue.properties["RedriveAllowPolicy"]["sourceQueueArns"]);
        let named: BTreeSet<_> = named.iter().map(|arn| arn.as_str().unwrap().to_owned()).collect();
        assert_eq!(named, own, "{}", queue.path);
        let expected = if own.is_empty() { "denyAll" } else { "byQueue" };
        assert_eq!(queue.properties["RedriveAllowPolicy"]["redrivePermission"], expected, "{}", queue.path);
    }
}

/// Whoever may write metrics can write ours. What AWS counts in namespaces that begin with `AWS/`, nobody can.
#[test]
fn a_heartbeat_that_somebody_else_writes_keeps_nothing_quiet() {
    let world = World::new("shop", "prod", ACCOUNT);
    let watches = |namespace: &str, name: &str, value: &str| {
        world.deployment.of_kind("AWS::CloudWatch::Alarm").any(|alarm| {
            alarm.properties["Namespace"] == namespace
                && alarm.properties["MetricName"] == "Invocations"
                && alarm.properties["Dimensions"] == json!([{ "Name": name, "Value": value }])
                && alarm.properties["TreatMissingData"] == "breaching"
                && alarm.properties["ComparisonOperator"] == "LessThanThreshold"
        })
    };
    let sweep = world.deployment.named("AWS::Events::Rule", "shop-prod-sweep").expect("the sweep's rule");
    assert!(!sweep.properties["ScheduleExpression"].is_null());
    assert!(
        watches("AWS/Events", "RuleName", &sweep.name) && watches("AWS/Lambda", "FunctionName", "shop-prod-respond")
    );
}

/// What decides who gets in to a resource: its policy, or a function's permissions.
fn policies(world: &World, resource: &Resource, arn: &str) -> Vec<PolicyDocument> {
    if resource.kind != "AWS::Lambda::Function" {
        return resource_policy(world, &resource.kind, arn).into_iter().collect();
    }
    let permissions = world.deployment.of_kind("AWS::Lambda::Permission");
    let of_function = permissions
        .filter(|one| one.properties["FunctionName"] == arn || one.properties["FunctionName"] == *resource.name);
    let documents = of_function.map(|permission| {
        let mut condition = json!({});
        if let Some(source) = permission.properties.get("SourceArn") {
            condition["ArnLike"] = json!({ "aws:SourceArn": source });
        }
        if let Some(account) = permission.properties.get("SourceAccount") {
            condition["StringEquals"] = json!({ "aws:SourceAccount": account });
        }
        policy(&json!({ "Statement": {
            "Effect": "Allow", "Principal": { "Service": permission.properties["Principal"] },
            "Action": permission.properties["Action"], "Resource": arn, "Condition": condition,
        } }))
    });
    documents.collect()
}

/// The services that a policy lets in, each with what it may do.
fn invited(document: &PolicyDocument) -> BTreeSet<(String, String)> {
    let allowing = document.statements.iter().filter(|statement| statement.effect == Effect::Allow);
    let invited = allowing.flat_map(|statement| {
        let principals = format!("{:?}", statement.principal);
        let services: Vec<_> =
            principals.split('"').filter(|one| one.ends_with(".amazonaws.com")).map(str::to_owned).collect();
        let actions: Vec<_> = statement.action.iter().flat_map(|all| all.iter().map(str::to_owned)).collect();
        services
            .into_iter()
            .flat_map(move |service| actions.clone().into_iter().map(move |action| (service.clone(), action)))
    });
    invited.collect()
}

/// The requests of a service on behalf of what a world has of it.
fn behalf(world: &World, service: &str) -> Vec<Context> {
    let kinds: &[&str] = match service.split('.').next().unwrap_or_default() {
        "events" => &["AWS::Events::Rule"],
        "sns" => &["AWS::SNS::Topic"],
        "cloudwatch" | "lambda" => &["AWS::CloudWatch::Alarm"],
        "cloudtrail" => &["AWS::CloudTrail::Trail"],
        "logs" => &["AWS::Logs::LogGroup"],
        "secretsmanager" => &["AWS::SecretsManager::Secret"],
        _ => panic!("{service} is not known here"),
    };
    let sources = world.deployment.resources.iter().filter(|one| kinds.contains(&one.kind.as_str()));
    let of_source = sources.filter_map(|source| source.arn.clone()).map(|source| {
        let text = |text: &str| ContextValue::String(text.to_owned());
        let mut context = Context::from([
            ("aws:SourceAccount".to_owned(), text(world.account)),
            ("aws:SecureTransport".to_owned(), ContextValue::Bool(true)),
            ("aws:PrincipalIsAWSService".to_owned(), ContextValue::Bool(true)),
            // What CloudTrail and Logs encrypt with a key.
            ("kms:EncryptionContext:aws:cloudtrail:arn".to_owned(), text(&source)),
            ("kms:EncryptionContext:aws:logs:arn".to_owned(), text(&source)),
            ("s3:x-amz-acl".to_owned(), text("bucket-owner-full-control")),
        ]);
        context.insert("aws:SourceArn".to_owned(), ContextValue::String(source));
        context
    });
    of_source.collect()
}
