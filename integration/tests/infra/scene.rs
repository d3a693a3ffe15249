//! The deployments that the tests look at: three environments of a project, another project, another account.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use relatch_integration::template::{Deployment, Parameters, Place, Templates};

/// The template that is deployed.
pub(crate) const ROOT: &str = "infra/template.yaml";
/// The account of every deployment but one.
pub(crate) const ACCOUNT: &str = "123456789012";
/// The region of every deployment.
pub(crate) const REGION: &str = "eu-west-1";

/// Every template, expanded.
pub(crate) static TEMPLATES: LazyLock<Templates> = LazyLock::new(|| Templates::expand(&[ROOT]).unwrap());

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

fn everything(project: &str, environment: &str, account: &str) -> impl Iterator<Item = (String, String)> {
    let prefix = format!("{project}-{environment}");
    let arn = |service: &str, rest: &str| format!("arn:aws:{service}:{REGION}:{account}:{rest}");
    let secret = |name: &str| arn("secretsmanager", &format!("secret:{prefix}-{name}-a1B2c3"));
    let key = |name: &str| arn("kms", &format!("key/{prefix}-{name}"));
    let given = [
        ("Project", project.to_owned()),
        ("Environment", environment.to_owned()),
        ("SecretNamePrefix", format!("{prefix}-secret-")),
        ("SecretId", format!("{prefix}-secret-database")),
        ("AdminSecretArn", secret("admin")),
        ("KmsKeyArn", key("secrets")),
        ("ChannelsSecretArn", secret("channels")),
        ("ChannelsKmsKeyArn", key("channels")),
        ("AlertKmsKeyArn", key("alerts")),
        ("SubnetIds", "subnet-1,subnet-2".to_owned()),
        ("SecurityGroupIds", "sg-1".to_owned()),
        ("AllowMasterReset", "true".to_owned()),
        ("OnCallEmail", "oncall@example.com".to_owned()),
        ("ReservedConcurrency", "5".to_owned()),
    ];
    given.into_iter().map(|(name, value)| (name.to_owned(), value))
}
