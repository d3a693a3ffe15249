//! Which secret, parameter or other thing an event is about, by one identity however it was called.

use super::identity::Arn;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A thing in an account, by its canonical identity: partition, region, account, kind and name.
///
/// Callers name a secret by its name, by its ARN, or by its ARN without the six characters that Secrets Manager adds.
/// All three are one `Target` here, and equal. The six characters are known of some and not of others, so they are no
/// part of it. (They would tell a secret from one of the same name that was deleted before.)
///
/// A name whose last word has six letters or digits ("shop-orders") cannot be told from an ARN's end. Secrets Manager
/// takes such an end for its own, and so does this type: source, the Secrets Manager user guide, "Find secrets",
/// on partial ARNs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// What kind of a thing it is.
    pub kind: TargetKind,
    /// Where it is, if that is known: a region's code.
    pub region: Option<String>,
    /// Whose it is, if that is known: an account's number.
    pub account: Option<String>,
    /// Its name: of a secret without the six characters; of a parameter with its leading slash, where it has one; of
    /// anything else, as the event names it.
    pub name: String,
}

/// What a [`Target`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A secret of Secrets Manager.
    Secret,
    /// A parameter of Systems Manager's Parameter Store.
    Parameter,
    /// A key of KMS, or (with `alias/` before its name) what stands for one.
    Key,
    /// A database instance of RDS.
    Instance,
    /// A database cluster of RDS.
    Cluster,
    /// A trail of CloudTrail.
    Trail,
    /// A rule of EventBridge; one that is on another bus than the default is named `bus/rule`.
    Rule,
    /// A function of Lambda.
    Function,
    /// What hands a queue's or stream's events to a function, by its id.
    Mapping,
    /// A topic of SNS.
    Topic,
    /// A queue of SQS.
    Queue,
    /// An alarm of CloudWatch.
    Alarm,
    /// A table of DynamoDB.
    Table,
    /// A bucket of S3.
    Bucket,
    /// A role of IAM, without its path.
    Role,
    /// A log group of CloudWatch Logs.
    LogGroup,
    /// A schedule of EventBridge Scheduler.
    Schedule,
}

/// Where a caller's names are to be understood: in its region, and in the account that was called.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// The region of the call.
    pub region: Option<&'a str>,
    /// The account that received it.
    pub account: Option<&'a str>,
}

impl Target {
    /// The thing that a caller calls so, by name or by ARN. Nothing where it is called by an empty text or by `*`.
    pub fn of(kind: TargetKind, given: &str, place: Place<'_>) -> Option<Self> {
        let arn = Arn::split(given);
        let (name, at) = if arn.rest.is_empty() {
            (given, place)
        } else {
            (
                arn.rest,
                Place { region: filled(arn.region).or(place.region), account: filled(arn.account).or(place.account) },
            )
        };
        let name = kind.name(name, !arn.rest.is_empty())?;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(Self { kind, region: owned(at.region), account: owned(at.account), name })
    }

    /// The secret that a caller calls so: by name, by ARN, or by ARN without its last six characters.
    pub fn secret(given: &str, place: Place<'_>) -> Option<Self> {
        Self::of(TargetKind::Secret, given, place)
    }

    /// The parameter that a caller calls so: by name or by ARN, with or without `:version` or `:label`. Or the secret,
    /// where it is read by way of Parameter Store, as `/aws/reference/secretsmanager/<name>`.
    pub fn parameter(given: &str, place: Place<'_>) -> Option<Self> {
        let parameter = Self::of(TargetKind::Parameter, given, place)?;
        match parameter.name.strip_prefix("/aws/reference/secretsmanager/") {
            Some(secret) => Some(Self { kind: TargetKind::Secret, name: secret.to_owned(), ..parameter }),
            None => Some(parameter),
        }
    }

    /// The thing that an ARN names, if its kind is one of ours.
    pub fn from_arn(text: &str, place: Place<'_>) -> Option<Self> {
        let arn = Arn::split(text);
        let kind = match (arn.service, arn.rest.split([':', '/']).next().unwrap_or_default()) {
            ("secretsmanager", "secret") => TargetKind::Secret,
            ("ssm", "parameter") => return Self::parameter(text, place),
            ("kms", "key" | "alias") => TargetKind::Key,
            ("rds", "db") => TargetKind::Instance,
            ("rds", "cluster") => TargetKind::Cluster,
            ("cloudtrail", "trail") => TargetKind::Trail,
            ("events", "rule") => TargetKind::Rule,
            ("lambda", "function") => TargetKind::Function,
            ("lambda", "event-source-mapping") => TargetKind::Mapping,
            ("sns", _) => TargetKind::Topic,
            ("sqs", _) => TargetKind::Queue,
            ("cloudwatch", "alarm") => TargetKind::Alarm,
            ("dynamodb", "table") => TargetKind::Table,
            ("logs", "log-group") => TargetKind::LogGroup,
            ("scheduler", "schedule") => TargetKind::Schedule,
            (_, _) => return None,
        };
        Self::of(kind, text, place)
    }

    /// What a denied call was for, out of its error's message:
    /// `User: <arn> is not authorized to perform: secretsmanager:GetSecretValue on resource: <as the caller gave it>
    /// because no identity-based policy allows …`, or `… with an explicit deny …`, or nothing after the resource.
    ///
    /// The kind is that of the operation, where the resource is no ARN.
    pub fn denied(message: &str, kind: Option<TargetKind>, place: Place<'_>) -> Option<Self> {
        let (_, after) = message.split_once(" on resource: ")?;
        // None of our things has a blank in its name, except alarms.
        let end = after.find(" because ").or_else(|| after.find(" with an explicit deny")).unwrap_or(after.len());
        let given = after.get(..end)?.trim();
        Self::from_arn(given, place).or_else(|| Self::of(kind?, given, place))
    }
}

impl TargetKind {
    /// The canonical name of a thing of this kind, out of its name or of an ARN's last part.
    fn name(self, text: &str, is_from_arn: bool) -> Option<String> {
        let name = match self {
            Self::Secret if is_from_arn => without_suffix(text.strip_prefix("secret:")?),
            Self::Parameter => {
                let name = text.strip_prefix("parameter").filter(|_| is_from_arn).unwrap_or(text);
                let name = name.split(':').next().unwrap_or_default().trim_start_matches('/');
                return filled(name).filter(|name| *name != "*").map(|name| format!("/{name}"));
            }
            Self::Key => text.strip_prefix("key/").unwrap_or(text),
            Self::Instance => text.strip_prefix("db:").filter(|_| is_from_arn).unwrap_or(text),
            Self::Cluster => text.strip_prefix("cluster:").filter(|_| is_from_arn).unwrap_or(text),
            Self::Trail => text.strip_prefix("trail/").unwrap_or(text),
            Self::Rule => {
                let rule = text.strip_prefix("rule/").filter(|_| is_from_arn).unwrap_or(text);
                rule.strip_prefix("default/").unwrap_or(rule)
            }
            // "name", "name:alias", "123456789012:function:name", and an ARN's "function:name:alias".
            Self::Function => {
                let name = text.split_once("function:").map_or(text, |(_, name)| name);
                name.split(':').next().unwrap_or_default()
            }
            Self::Mapping => text.rsplit(':').next().unwrap_or_default(),
            // A subscription's ARN is its topic's and an id.
            Self::Topic => text.split(':').next().unwrap_or_default(),
            // An address: "https://sqs.eu-west-1.amazonaws.com/123456789012/name".
            Self::Queue => text.rsplit('/').next().unwrap_or_default(),
            Self::Alarm => text.strip_prefix("alarm:").filter(|_| is_from_arn).unwrap_or(text),
            // A table's index or stream is the table's.
            Self::Table => text.strip_prefix("table/").unwrap_or(text).split('/').next().unwrap_or_default(),
            Self::Role => text.rsplit('/').next().unwrap_or_default(),
            Self::LogGroup => {
                let name = text.strip_prefix("log-group:").filter(|_| is_from_arn).unwrap_or(text);
                name.split(':').next().unwrap_or_default()
            }
            Self::Schedule => text.rsplit('/').next().unwrap_or_default(),
            Self::Secret | Self::Bucket => text,
        };
        filled(name).filter(|name| *name != "*").map(str::to_owned)
    }
}

/// A target as an ARN, of a secret without its last six characters. What is not known of it is empty there.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let region = self.region.as_deref().unwrap_or_default();
        let account = self.account.as_deref().unwrap_or_default();
        let partition = match region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let (service, prefix) = match self.kind {
            TargetKind::Secret => ("secretsmanager", "secret:"),
            TargetKind::Parameter => ("ssm", "parameter"),
            TargetKind::Key if self.name.starts_with("alias/") => ("kms", ""),
            TargetKind::Key => ("kms", "key/"),
            TargetKind::Instance => ("rds", "db:"),
            TargetKind::Cluster => ("rds", "cluster:"),
            TargetKind::Trail => ("cloudtrail", "trail/"),
            TargetKind::Rule => ("events", "rule/"),
            TargetKind::Function => ("lambda", "function:"),
            TargetKind::Mapping => ("lambda", "event-source-mapping:"),
            TargetKind::Topic => ("sns", ""),
            TargetKind::Queue => ("sqs", ""),
            TargetKind::Alarm => ("cloudwatch", "alarm:"),
            TargetKind::Table => ("dynamodb", "table/"),
            TargetKind::LogGroup => ("logs", "log-group:"),
            TargetKind::Schedule => ("scheduler", "schedule/default/"),
            // These belong to no region, and a bucket to no account.
            TargetKind::Bucket => return write!(f, "arn:{partition}:s3:::{}", self.name),
            TargetKind::Role => return write!(f, "arn:{partition}:iam::{account}:role/{}", self.name),
        };
        write!(f, "arn:{partition}:{service}:{region}:{account}:{prefix}{}", self.name)
    }
}

/// A secret's name without the hyphen and the six letters or digits that Secrets Manager adds to it in an ARN.
fn without_suffix(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((name, end)) if end.len() == 6 && end.bytes().all(|byte| byte.is_ascii_alphanumeric()) => name,
        Some(_) | None => name,
    }
}

fn filled(text: &str) -> Option<&str> {
    if text.is_empty() { None } else { Some(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'static> = Place { region: Some("eu-west-1"), account: Some("123456789012") };

    #[test]
    fn a_secret_has_one_identity_however_it_is_called() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:";
        for (given, name) in [
            ("shop/prod/db".to_owned(), "shop/prod/db"),
            (format!("{arn}shop/prod/db-AbCdEf"), "shop/prod/db"),
            (format!("{arn}shop/prod/db"), "shop/prod/db"),
            // As a name, its last word belongs to it. In an ARN, Secrets Manager takes that for its own six.
            ("shop-orders".to_owned(), "shop-orders"),
            (format!("{arn}shop-orders-AbCdEf"), "shop-orders"),
            (format!("{arn}shop-orders"), "shop"),
            (format!("{arn}shop-AbCdE_"), "shop-AbCdE_"),
            ("a+b=c@d.e_f".to_owned(), "a+b=c@d.e_f"),
        ] {
            let found = Target::secret(&given, HERE);
            assert_eq!(found.as_ref().map(ToString::to_string), Some(format!("{arn}{name}")), "{given}");
        }
        let elsewhere = Target::secret("arn:aws:secretsmanager:us-east-1:210987654321:secret:db-AbCdEf", HERE);
        let expected = "arn:aws:secretsmanager:us-east-1:210987654321:secret:db";
        assert_eq!(elsewhere.map(|target| target.to_string()).as_deref(), Some(expected));
        for nothing in ["", "*", "arn:aws:s3:::bucket", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:"] {
            assert_eq!(Target::secret(nothing, HERE), None, "{nothing}");
        }
    }

    #[test]
    fn a_parameter_has_one_identity_however_it_is_called() {
        let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter";
        for (given, path) in [
            ("/shop/token".to_owned(), "/shop/token"),
            (format!("{arn}/shop/token"), "/shop/token"),
            ("/shop/token:3".to_owned(), "/shop/token"),
            (format!("{arn}/shop/token:live"), "/shop/token"),
            ("token".to_owned(), "/token"),
            (format!("{arn}/token"), "/token"),
            ("parameter".to_owned(), "/parameter"),
        ] {
            let found = Target::parameter(&given, HERE).map(|target| target.to_string());
            assert_eq!(found, Some(format!("{arn}{path}")), "{given}");
        }
    }

    #[test]
    fn every_arn_of_ours_is_read_back() {
        for arn in [
            "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/prod/db",
            "arn:aws:ssm:eu-west-1:123456789012:parameter/shop/token",
            "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:eu-west-1:123456789012:alias/shop",
            "arn:aws:rds:eu-west-1:123456789012:db:shop",
            "arn:aws:rds:eu-west-1:123456789012:cluster:shop",
            "arn:aws-cn:cloudtrail:cn-north-1:123456789012:trail/shop",
            "arn:aws:events:eu-west-1:123456789012:rule/shop",
            "arn:aws:events:eu-west-1:123456789012:rule/bus/shop",
            "arn:aws:lambda:eu-west-1:123456789012:function:shop",
            "arn:aws:lambda:eu-west-1:123456789012:event-source-mapping:c0ffee00",
            "arn:aws:sns:eu-west-1:123456789012:shop",
            "arn:aws-us-gov:sqs:us-gov-west-1:123456789012:shop",
            "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:shop is down: again",
        ] {
            let found = Target::from_arn(arn, Place::default()).map(|target| target.to_string());
            assert_eq!(found.as_deref(), Some(arn));
        }
        for other in ["arn:aws:s3:::bucket", "arn:aws:iam::123456789012:role/shop", "shop", "", "::::::", "arn:::::"] {
            assert_eq!(Target::from_arn(other, HERE), None, "{other}");
        }
    }

    #[test]
    fn a_denied_call_names_its_target_in_its_message() {
        let user =
            "User: arn:aws:iam::123456789012:user/anna is not authorized to perform: secretsmanager:GetSecretValue";
        for (rest, name) in [
            (
                " on resource: shop because no identity-based policy allows the secretsmanager:GetSecretValue action",
                Some("shop"),
            ),
            (" on resource: shop with an explicit deny in an identity-based policy", Some("shop")),
            (" on resource: shop", Some("shop")),
            (" on resource: arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-AbCdEf because x", Some("shop")),
            (" on resource: * because x", None),
            (" on resource: ", None),
            (" because no identity-based policy allows the secretsmanager:ListSecrets action", None),
            ("", None),
        ] {
            let found = Target::denied(&format!("{user}{rest}"), Some(TargetKind::Secret), HERE);
            assert_eq!(found.map(|target| target.name).as_deref(), name, "{rest}");
        }
    }
}
