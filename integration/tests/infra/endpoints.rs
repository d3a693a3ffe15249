//! What gets out of the network: the policy of every endpoint, asked for what is one's own and for what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Value, json};

use crate::authority::{Case, anything, cases, matrix, principals, worlds, worlds_with};
use crate::evaluation::{Principal, lets_through, list, policy};
use crate::scene::{ACCOUNT, ACTIONS, World, brought};

/// Let through to more than one's own, to whomever it belongs, each with the reason.
const WIDE: &[(&str, &str)] = &[
    ("cloudwatch:DescribeAlarms", "composite alarms are described only to those who may describe all"),
    ("cloudwatch:PutMetricData", "metrics have no resource"),
    ("secretsmanager:ListSecrets", "it has no resource; it shows names and dates"),
    ("sts:GetCallerIdentity", "it has no resource; it says who asks"),
];

/// Let through to all that is this account's.
const WIDE_IN_THE_ACCOUNT: &[(&str, &str)] = &[
    ("rds:DescribeDBClusters", "which cluster a host name belongs to is not known before"),
    ("rds:DescribeDBInstances", "as clusters"),
    ("rds:DescribeDBProxyTargets", "as clusters; and a proxy's ARN has a number for its name"),
];

/// The same where databases are brought along, which are called as they are.
const WIDE_TO_TAKEN_DATABASES: [&str; 2] = ["rds:ModifyDBCluster", "rds:ModifyDBInstance"];

/// Whose a thing is, in the order of [`worlds`], which has two other environments.
const WHOSE: [&str; 5] = ["own", "other environment's", "other environment's", "other project's", OTHER_ACCOUNTS];
const OTHER_ACCOUNTS: &str = "other account's";

#[test]
fn the_endpoints_let_through_what_is_needed_and_nothing_else() {
    let worlds = worlds("prod");
    let mut page = reachable(&worlds, &[]);
    page.push_str("\nTo more than one's own:\n");
    for (action, reason) in WIDE.iter().chain(WIDE_IN_THE_ACCOUNT) {
        let _ = writeln!(page, "{action}: {reason}");
    }
    insta::assert_snapshot!(page);
}

/// Nor do they let more through to secrets, keys and topics that are brought along.
#[test]
fn the_endpoints_let_nothing_more_through_to_what_is_brought_along() {
    let worlds = taking_all();
    reachable(&worlds, &WIDE_TO_TAKEN_DATABASES);
}

/// The questions above are enough to notice a policy that has become wide: for any resource, or for any account.
#[test]
fn an_endpoint_that_opened_would_be_noticed() {
    for (worlds, wide) in [(worlds("prod"), &[][..]), (taking_all(), &WIDE_TO_TAKEN_DATABASES)] {
        let askers = askers(&worlds);
        for (service, document) in endpoints(&worlds[0]) {
            for (index, statement) in list(&document["Statement"]).iter().enumerate() {
                let opened = |part: &str, wide: Value| {
                    let mut document = document.clone();
                    document["Statement"][index][part] = wide;
                    through(&service, &document, &askers)
                };
                if list(&statement["Resource"]) != ["*"] {
                    let rows = opened("Resource", "*".into());
                    let noticed = rows.iter().any(|(action, whose)| !is_expected(action, whose, wide));
                    assert!(noticed, "{}, for any resource", statement["Sid"]);
                }
                let rows = opened("Condition", json!({}));
                assert!(rows.iter().any(|(_, whose)| *whose == STRANGER), "{}, for any account", statement["Sid"]);
            }
        }
    }
}

/// Whatever the role is called.
#[test]
fn the_way_back_in_is_open_from_inside() {
    let worlds = [World::new("shop", "prod", ACCOUNT)];
    let (endpoints, [ours, _]) = (endpoints(&worlds[0]), askers(&worlds));
    let case = ours.cases[0].iter().find(|case| case.label == "given: BreakGlassRoleArn").unwrap();
    assert!(lets_through(&policy(&endpoints["sts"]), &ours.who, "sts:AssumeRole", &case.arn, &case.context));
}

/// Neither do the roles, nor the endpoint, unless it is said.
#[test]
fn no_master_user_is_reset_without_leave() {
    for database in ["aurora", "none"] {
        for leave in ["true", "false"] {
            let given = [("AllowMasterReset", leave), ("Database", database)];
            let worlds = [World::with("shop", "prod", ACCOUNT, &given)];
            let rows = through("rds", &endpoints(&worlds[0])["rds"], &askers(&worlds));
            let passes = rows.iter().any(|(action, _)| action.starts_with("rds:modify"));
            let of_roles: BTreeSet<_> = principals(&worlds[0]).values().flat_map(Principal::actions).collect();
            let is_allowed = of_roles.iter().any(|action| action.starts_with("rds:Modify"));
            assert_eq!((passes, is_allowed), (leave == "true", leave == "true"), "{given:?}");
        }
    }
}

/// Whether something may get through to what is not one's own.
fn is_expected(action: &str, whose: &str, more: &[&str]) -> bool {
    let is_one_of = |wide: &[(&str, &str)]| wide.iter().any(|(wide, _)| wide.eq_ignore_ascii_case(action));
    let in_the_account = is_one_of(WIDE_IN_THE_ACCOUNT) || more.iter().any(|wide| wide.eq_ignore_ascii_case(action));
    whose == "own" || is_one_of(WIDE) || (whose != OTHER_ACCOUNTS && in_the_account)
}

/// Worlds that make a network, and bring along all else.
fn taking_all() -> Vec<World> {
    worlds_with("prod", |project, environment, account| {
        let mut given = brought(project, environment, account);
        given.retain(|(name, _)| !["SubnetIds", "SecurityGroupIds"].contains(name));
        given.iter_mut().filter(|(name, _)| *name == "Network").for_each(|(_, value)| "create".clone_into(value));
        given
    })
}

/// What is let through, by service; fails where something that is needed is not, or something that is not one's own is.
fn reachable(worlds: &[World], wide: &[&str]) -> String {
    let endpoints = endpoints(&worlds[0]);
    needed(&worlds[0], worlds, &endpoints);
    let askers = askers(worlds);
    let (mut page, mut reached) = (String::new(), BTreeSet::new());
    for (service, document) in &endpoints {
        let mut rows: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
        for (action, whose) in through(service, document, &askers) {
            let row = format!("{action}, {whose}, through the endpoint of {service}");
            assert!(whose != STRANGER && is_expected(&action, whose, wide), "{row}");
            if whose != "own" {
                reached.insert(action.clone());
            }
            rows.entry(action).or_default().push(whose);
        }
        assert!(!rows.is_empty(), "nothing gets through the endpoint of {service}");
        let mut gathered: BTreeMap<Vec<&str>, Vec<String>> = BTreeMap::new();
        for (action, mut whose) in rows {
            whose.sort_by_key(|whose| WHOSE.iter().position(|one| one == whose));
            gathered.entry(whose).or_default().push(action.split_once(':').unwrap().1.to_owned());
        }
        let _ = writeln!(page, "{service}");
        for (whose, actions) in gathered {
            let _ = writeln!(page, "  {}: {}", whose.join(", "), actions.join(" "));
        }
    }
    for wide in WIDE.iter().chain(WIDE_IN_THE_ACCOUNT).map(|(wide, _)| wide).chain(wide) {
        assert!(reached.contains(&wide.to_lowercase()), "{wide} gets through to one's own only");
    }
    page
}

/// That the functions in the network, and an application there, can do all that their roles let them.
fn needed(own: &World, worlds: &[World], endpoints: &BTreeMap<String, Value>) {
    let (matrix, principals, mut cases) = (matrix(worlds), principals(own), cases(own));
    for name in ["rotate", "respond", "an application"] {
        let Some(who) = principals.get(name) else {
            let brings_secrets = own.parameters.get("Secrets").is_some_and(|secrets| secrets == "own");
            assert!(name == "an application" && brings_secrets, "there is no {name}");
            continue;
        };
        let mut anything = anything(name, own);
        cases.iter_mut().chain(&mut anything).for_each(|case| case.asked_by(who));
        for (action, label) in matrix.roles[name].keys() {
            let service = action.split(':').next().unwrap();
            // Logs and traces go by way of the service itself.
            let by_the_program = label != "*, by AWS itself"
                && !label.contains("through ")
                && !["logs", "xray"].contains(&service)
                // Nobody invokes it: RotateSecret asks whether its caller may.
                && action != "lambda:InvokeFunction";
            let case = cases.iter().chain(&anything).find(|case| case.label == *label).unwrap();
            // Roles are allowed each call of RDS on all that RDS has.
            let kinds = [("DBCluster", ":cluster:"), ("DBInstance", ":db:"), ("DBProxy", ":db-proxy:")];
            let is_of_kind = kinds.iter().all(|(of, kind)| !action.contains(of) || case.arn.contains(kind));
            if !by_the_program || !is_of_kind {
                continue;
            }
            let endpoint = endpoints.get(service).unwrap_or_else(|| panic!("no endpoint for {name}'s {action}"));
            let passes = lets_through(&policy(endpoint), who, action, &case.arn, &case.context);
            assert!(passes, "{name} is allowed {action} on {label}, and cannot reach it");
        }
    }
}

/// The policies of the endpoints, by the services' names in IAM.
fn endpoints(world: &World) -> BTreeMap<String, Value> {
    let endpoints = world.deployment.of_kind("AWS::EC2::VPCEndpoint").map(|endpoint| {
        let service = endpoint.properties["ServiceName"].as_str().unwrap().rsplit('.').next().unwrap();
        let service = if service == "monitoring" { "cloudwatch" } else { service };
        (service.to_owned(), endpoint.properties["PolicyDocument"].clone())
    });
    endpoints.collect()
}

/// With credentials of another account, whatever is asked for.
const STRANGER: &str = "by a stranger";

/// Somebody, and all that there is in each world, and what has no resource, as they ask for it.
struct Asker {
    who: Principal,
    cases: Vec<Vec<Case>>,
}

/// One of us, and a stranger.
fn askers(worlds: &[World]) -> [Asker; 2] {
    let account = "999999999999";
    assert_ne!(account, ACCOUNT);
    let arn = format!("arn:aws:iam::{account}:role/stranger");
    let stranger = Principal { arn, account: account.to_owned(), policies: Vec::new() };
    [principals(&worlds[0]).remove("rotate").unwrap(), stranger].map(|who| {
        let of_world = |world| {
            let mut cases = cases(world);
            cases.extend(anything("rotate", world));
            cases.iter_mut().for_each(|case| case.asked_by(&who));
            cases
        };
        let cases = worlds.iter().map(of_world).collect();
        Asker { who, cases }
    })
}

/// Every action that a policy lets through, and to whose things, or by whom.
fn through(service: &str, document: &Value, [ours, stranger]: &[Asker; 2]) -> BTreeSet<(String, &'static str)> {
    let document = policy(document);
    let mut rows = BTreeSet::new();
    for (action, has_resources) in &ACTIONS[service] {
        let action = format!("{service}:{action}");
        let passes = |asker: &Asker, world: usize| {
            asker.cases[world].iter().any(|case| {
                // Roles are IAM's, and are assumed at STS.
                let of_service = case.service == service || (service == "sts" && case.service == "iam");
                let is_asked = if *has_resources { of_service } else { case.service.is_empty() };
                is_asked && lets_through(&document, &asker.who, &action, &case.arn, &case.context)
            })
        };
        for (world, whose) in WHOSE.into_iter().enumerate().take(ours.cases.len()) {
            if passes(ours, world) {
                rows.insert((action.clone(), if *has_resources { whose } else { "anybody's" }));
            }
            if passes(stranger, world) {
                rows.insert((action.clone(), STRANGER));
            }
        }
    }
    rows
}
