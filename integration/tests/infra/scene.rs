//! The deployments that the tests look at: three environments of a project, another project, another account.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use relatch_integration::template::{Deployment, Parameters, Place, Templates};
use serde_json::{Value, json};

use crate::evaluation::{Context, Principal, allows, attached, list, policy};

/// The template that is deployed.
pub(crate) const ROOT: &str = "infra/template.yaml";
/// The account of every deployment but one.
pub(crate) const ACCOUNT: &str = "123456789012";
/// The region of every deployment.
pub(crate) const REGION: &str = "eu-west-1";

/// Every template, expanded.
pub(crate) static TEMPLATES: LazyLock<Templates> = LazyLock::new(|| {
    let environments = ENVIRONMENTS.map(environment_file);
    Templates::expand(&[ROOT, &environments[0], &environments[1], &environments[2]]).unwrap()
});

/// What IAM can allow at all: every service's actions, each with whether it can be allowed on single resources.
pub(crate) static ACTIONS: LazyLock<BTreeMap<String, Vec<(String, bool)>>> =
    LazyLock::new(|| Templates::actions().unwrap());

/// The environments there are, each with a file of its own.
pub(crate) const ENVIRONMENTS: [&str; 3] = ["dev", "staging", "prod"];

fn environment_file(environment: &str) -> String {
    format!("infra/environments/{environment}.toml")
}

/// An environment's parameters, as its file has them.
pub(crate) fn parameters_of(environment: &str) -> Parameters {
    let file = TEMPLATES.get(&environment_file(environment)).unwrap();
    let parameters = file["default"]["deploy"]["parameters"]["parameter_overrides"].as_object().unwrap();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    parameters.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// An environment as `make deploy` would make it.
pub(crate) fn as_deployed(environment: &str) -> Deployment {
    let place =
        Place { account: ACCOUNT.to_owned(), region: REGION.to_owned(), stack: format!("relatch-{environment}") };
    TEMPLATES.deploy(ROOT, place, &parameters_of(environment)).unwrap()
}

#[test]
fn every_environment_deploys() {
    for environment in ENVIRONMENTS {
        let deployment = as_deployed(environment);
        let names =
            deployment.resources.iter().filter(|one| one.name.contains("-dev-") || one.name.contains("-staging-"));
        let foreign: Vec<_> = names.filter(|one| !one.name.contains(&format!("-{environment}-"))).collect();
        assert!(foreign.is_empty(), "{environment} has names of another: {foreign:?}");
    }
}

/// Each stack that need not be is not there when its parameter says so, and nothing else needs it.
#[test]
fn each_stack_can_be_left_out() {
    let own_topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:alerts");
    let cases: [(&str, &[(&str, &str)]); 9] = [
        ("AlertingStack", &[("AlertTopicArn", &own_topic)]),
        ("AnchorStack", &[("Anchors", "false")]),
        ("AuditStack", &[("Audit", "false"), ("Containment", "none")]),
        ("DatabaseStack", &[("Database", "none")]),
        ("NetworkStack", &[("Network", "none"), ("Database", "none")]),
        (
            "NetworkStack",
            &[("Network", "own"), ("SubnetIds", "subnet-1"), ("SecurityGroupIds", "sg-1"), ("VpcId", "vpc-1")],
        ),
        ("ObservabilityStack", &[("Observability", "false")]),
        ("SecretsStack", &[("Secrets", "own"), ("SecretNamePrefix", "shop-"), ("Database", "none")]),
        ("TrailStack", &[("Trail", "own")]),
    ];
    let has = |world: &World, stack: &str| world.deployment.resources.iter().any(|one| one.path.starts_with(stack));
    let whole = World::new("shop", "prod", ACCOUNT);
    for (stack, given) in cases {
        assert!(has(&whole, stack), "{stack}");
        assert!(!has(&World::with("shop", "prod", ACCOUNT, given), stack), "{stack} in spite of {given:?}");
    }
}

/// What is heard of only in other regions comes from there: IAM's and the root user's events, and those of replicas.
#[test]
fn what_happens_in_other_regions_is_forwarded() {
    for environment in ENVIRONMENTS {
        let file = TEMPLATES.get(&environment_file(environment)).unwrap();
        let regions = file["default"]["forward"]["parameters"]["regions"].as_array().unwrap();
        let replica = parameters_of(environment).remove("ReplicaRegion");
        for needed in replica.iter().map(String::as_str).chain(["us-east-1"]) {
            assert!(regions.iter().any(|region| region == needed), "{environment}: nothing is heard of {needed}");
        }
    }
    // As scripts/deploy does it.
    let given = [("Project", "shop"), ("Environment", "prod"), ("HomeRegion", REGION)];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let place =
        Place { account: ACCOUNT.to_owned(), region: "us-east-1".to_owned(), stack: "shop-prod-rules".to_owned() };
    let there = TEMPLATES.deploy("infra/stacks/rules.yaml", place, &given).unwrap();
    let bus = format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default");
    let role = there.of_kind("AWS::IAM::Role").next().unwrap();
    let forwards = Principal {
        arn: role.arn.clone().unwrap(),
        account: ACCOUNT.to_owned(),
        policies: attached(&there, &role.name).iter().map(policy).collect(),
    };
    let may = |action: &str, arn: &str| allows(&forwards, action, arn, &Context::new(), None);
    assert!(may("events:PutEvents", &bus) && !may("events:PutRule", &bus));
    assert!(!may("events:PutEvents", &bus.replace(REGION, "eu-central-1")));

    let here = World::new("shop", "prod", ACCOUNT).deployment;
    let rules: Vec<_> = there.of_kind("AWS::Events::Rule").collect();
    assert!(!rules.is_empty());
    for rule in rules {
        for target in list(&rule.properties["Targets"]) {
            assert_eq!((&target["Arn"], &target["RoleArn"]), (&json!(bus), &json!(forwards.arn)), "{}", rule.name);
        }
        let same = here.named("AWS::Events::Rule", &rule.name).unwrap();
        for property in ["EventPattern", "State"] {
            assert_eq!(rule.properties[property], same.properties[property], "{}", rule.name);
        }
    }
}

/// What holds data outlives its stack.
#[test]
fn what_holds_data_is_kept() {
    let deployment = World::new("shop", "prod", ACCOUNT).deployment;
    let lost = deployment.resources.iter().filter(|one| {
        let holds = ["DynamoDB::Table", "KMS::Key", "S3::Bucket", "SecretsManager::Secret", "RDS::DBCluster"];
        holds.iter().any(|kind| one.kind.ends_with(kind)) && !one.retained
    });
    assert_eq!(lost.map(|one| one.path.as_str()).collect::<Vec<_>>(), [""; 0]);
}

/// The role of an application that has the policy for it.
pub(crate) const APPLICATION: &str = "application";

/// A deployment, and what it was given.
pub(crate) struct World {
    pub(crate) project: &'static str,
    pub(crate) environment: &'static str,
    pub(crate) account: &'static str,
    pub(crate) parameters: Parameters,
    pub(crate) deployment: Deployment,
}

impl World {
    /// Everything that can be turned on is on, and everything that can be brought along is brought along: the most that
    /// a role can be allowed.
    pub(crate) fn new(project: &'static str, environment: &'static str, account: &'static str) -> Self {
        Self::with(project, environment, account, &[])
    }

    /// The same with some parameters of its own.
    pub(crate) fn with(
        project: &'static str,
        environment: &'static str,
        account: &'static str,
        own: &[(&str, &str)],
    ) -> Self {
        let template = TEMPLATES.get(ROOT).unwrap();
        let declared = template["Parameters"].as_object().unwrap();
        let mut parameters: Parameters =
            everything(project, environment, account).filter(|(name, _)| declared.contains_key(name)).collect();
        parameters.extend(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let place =
            Place { account: account.to_owned(), region: REGION.to_owned(), stack: format!("{project}-{environment}") };
        let deployment = TEMPLATES.deploy(ROOT, place, &parameters).unwrap();
        Self { project, environment, account, parameters, deployment }
    }

    /// How every name in it begins.
    pub(crate) fn prefix(&self) -> String {
        format!("{}-{}", self.project, self.environment)
    }

    /// The handler that runs as a function, by the function's ARN or name.
    pub(crate) fn function_of(&self, by: &str) -> Option<&str> {
        let function = self.deployment.named("AWS::Lambda::Function", by)?;
        function.name.strip_prefix(&self.prefix())?.strip_prefix('-')
    }

    /// The functions: each by its name without the prefix, with its role's ARN.
    pub(crate) fn functions(&self) -> BTreeMap<String, String> {
        let prefix = format!("{}-", self.prefix());
        let functions = self.deployment.of_kind("AWS::Lambda::Function");
        let named = functions.map(|function| {
            let name = function.name.strip_prefix(&prefix).unwrap_or(&function.name);
            (name.to_owned(), function.properties["Role"].as_str().unwrap().to_owned())
        });
        named.collect()
    }
}

/// What a deployment is given that brings along all it can: secrets, their key, subnets, topics, a trail.
pub(crate) fn brought(project: &str, environment: &str, account: &str) -> Vec<(&'static str, String)> {
    let prefix = format!("{project}-{environment}");
    let key = |name: &str| format!("arn:aws:kms:{REGION}:{account}:key/{prefix}-{name}");
    vec![
        ("AlertKmsKeyArn", key("alerts")),
        ("AlertTopicArn", format!("arn:aws:sns:{REGION}:{account}:{prefix}-own-alerts")),
        ("Database", "none".to_owned()),
        ("KmsKeyArn", key("secrets")),
        ("Network", "own".to_owned()),
        ("SecretId", format!("{prefix}-secret-database")),
        ("SecretNamePrefix", format!("{prefix}-secret-database")),
        ("Secrets", "own".to_owned()),
        ("SecurityGroupIds", "sg-1".to_owned()),
        ("SubnetIds", "subnet-1,subnet-2".to_owned()),
        ("Trail", "own".to_owned()),
        ("TrailBucketName", format!("{prefix}-own-trail")),
        ("TrailKmsKeyArn", key("trail")),
    ]
}

fn everything(project: &str, environment: &str, account: &str) -> impl Iterator<Item = (String, String)> {
    let prefix = format!("{project}-{environment}");
    let arn = |service: &str, rest: &str| format!("arn:aws:{service}:{REGION}:{account}:{rest}");
    let secret = |name: &str| arn("secretsmanager", &format!("secret:{prefix}-{name}-a1B2c3"));
    let key = |name: &str| arn("kms", &format!("key/{prefix}-{name}"));
    let role = |name: &str| format!("arn:aws:iam::{account}:role/{prefix}-{name}");
    let given = [
        ("Project", project.to_owned()),
        ("Environment", environment.to_owned()),
        ("AdminSecretArn", secret("admin")),
        ("AllowMasterReset", "true".to_owned()),
        ("Anchors", "true".to_owned()),
        ("ApplicationEndpoints", "true".to_owned()),
        ("AuditPolicyParameter", format!("/{prefix}/audit-policy")),
        // Not named as what is the deployment's.
        ("BreakGlassRoleArn", format!("arn:aws:iam::{account}:role/emergency-{prefix}")),
        ("ChannelsKmsKeyArn", key("channels")),
        ("ChannelsSecretArn", secret("channels")),
        ("Containment", "rotate,deny".to_owned()),
        ("Database", "aurora".to_owned()),
        ("DatabaseMonthlySnapshotDays", "365".to_owned()),
        ("DatabaseProxy", "true".to_owned()),
        ("DatabaseStopAtNight", "true".to_owned()),
        ("OnCallEmail", "on-call@example.com".to_owned()),
        ("OperatorRoleArns", format!("arn:aws:iam::{account}:role/on-call-{prefix}")),
        ("ReaderRoleArns", role(APPLICATION)),
        ("ReplicaRegion", "eu-central-1".to_owned()),
        ("ReservedConcurrency", "5".to_owned()),
        ("RotationSchedule", "cron(0 10 ? * TUE *)".to_owned()),
        ("SecurityEmail", "security@example.com".to_owned()),
        ("TrailDataEvents", "true".to_owned()),
    ];
    given.into_iter().map(|(name, value)| (name.to_owned(), value))
}
