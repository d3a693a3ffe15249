//! Names and ARNs of resources, as AWS makes them.

use super::stack::Place;

/// What AWS calls a kind of resource by.
struct Kind {
    /// Its type in a template.
    of: &'static str,
    /// The property that names it; without it, CloudFormation makes a name up.
    name: &'static str,
    /// Its ARN after the partition, with `{region}`, `{account}` and `{name}`.
    arn: &'static str,
    /// What `Ref` yields.
    reference: Reference,
}

#[derive(Clone, Copy)]
enum Reference {
    Name,
    Arn,
    Url,
}

const fn kind(of: &'static str, name: &'static str, arn: &'static str, reference: Reference) -> Kind {
    Kind { of, name, arn, reference }
}

/// The kinds whose names and ARNs matter to a policy, after CloudFormation's reference of types and the Service
/// Authorization Reference.
#[rustfmt::skip]
const KINDS: &[Kind] = &[
    kind("AWS::CloudTrail::Trail", "TrailName", "cloudtrail:{region}:{account}:trail/{name}", Reference::Name),
    kind("AWS::CloudWatch::Alarm", "AlarmName", "cloudwatch:{region}:{account}:alarm:{name}", Reference::Name),
    kind("AWS::CloudWatch::CompositeAlarm", "AlarmName", "cloudwatch:{region}:{account}:alarm:{name}", Reference::Name),
    kind("AWS::DynamoDB::Table", "TableName", "dynamodb:{region}:{account}:table/{name}", Reference::Name),
    kind("AWS::Events::EventBus", "Name", "events:{region}:{account}:event-bus/{name}", Reference::Name),
    kind("AWS::Events::Rule", "Name", "events:{region}:{account}:rule/{name}", Reference::Name),
    kind("AWS::IAM::ManagedPolicy", "ManagedPolicyName", "iam::{account}:policy/{name}", Reference::Arn),
    kind("AWS::IAM::Role", "RoleName", "iam::{account}:role/{name}", Reference::Name),
    kind("AWS::KMS::Alias", "AliasName", "kms:{region}:{account}:{name}", Reference::Name),
    kind("AWS::KMS::Key", "", "kms:{region}:{account}:key/{name}", Reference::Name),
    kind("AWS::KMS::ReplicaKey", "", "kms:{region}:{account}:key/{name}", Reference::Name),
    kind("AWS::Lambda::Function", "FunctionName", "lambda:{region}:{account}:function:{name}", Reference::Name),
    kind("AWS::Logs::LogGroup", "LogGroupName", "logs:{region}:{account}:log-group:{name}", Reference::Name),
    kind("AWS::RDS::DBCluster", "DBClusterIdentifier", "rds:{region}:{account}:cluster:{name}", Reference::Name),
    kind("AWS::RDS::DBInstance", "DBInstanceIdentifier", "rds:{region}:{account}:db:{name}", Reference::Name),
    kind("AWS::RDS::DBProxy", "DBProxyName", "rds:{region}:{account}:db-proxy:{name}", Reference::Name),
    kind("AWS::S3::Bucket", "BucketName", "s3:::{name}", Reference::Name),
    kind("AWS::SNS::Topic", "TopicName", "sns:{region}:{account}:{name}", Reference::Arn),
    kind("AWS::SQS::Queue", "QueueName", "sqs:{region}:{account}:{name}", Reference::Url),
    kind("AWS::Scheduler::Schedule", "Name", "scheduler:{region}:{account}:schedule/default/{name}", Reference::Name),
    // The six characters that Secrets Manager appends.
    kind("AWS::SecretsManager::Secret", "Name", "secretsmanager:{region}:{account}:secret:{name}-a1B2c3", Reference::Arn),
];

fn of(kind: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|known| known.of == kind)
}

/// The property that names a resource of a kind, if there is one that is known here.
pub(super) fn name_property(kind: &str) -> Option<&'static str> {
    of(kind).map(|kind| kind.name).filter(|name| !name.is_empty())
}

/// The ARN of a resource, if its kind is known here.
pub(super) fn arn(kind: &str, name: &str, place: &Place) -> Option<String> {
    let rest = of(kind)?.arn.replace("{region}", &place.region).replace("{account}", &place.account);
    Some(format!("arn:{}:{}", place.partition(), rest.replace("{name}", name)))
}

/// What `Ref` yields. Kinds that are not known here yield their name.
pub(super) fn reference(kind: &str, name: &str, place: &Place) -> String {
    let how = of(kind).map_or(Reference::Name, |kind| kind.reference);
    match (how, arn(kind, name, place)) {
        (Reference::Arn, Some(arn)) => arn,
        (Reference::Url, _) => format!("https://sqs.{}.{}/{}/{name}", place.region, place.suffix(), place.account),
        (Reference::Name | Reference::Arn, _) => name.to_owned(),
    }
}

/// What `Fn::GetAtt` yields. An attribute that is not known here becomes a text that names it.
pub(super) fn attribute(kind: &str, name: &str, attribute: &str, place: &Place) -> String {
    match (attribute, arn(kind, name, place)) {
        // What is below a log group is meant, its streams.
        ("Arn", Some(arn)) if kind == "AWS::Logs::LogGroup" => format!("{arn}:*"),
        ("Arn" | "TopicArn" | "DBClusterArn" | "DBInstanceArn" | "DBProxyArn", Some(arn)) => arn,
        ("QueueUrl", _) => reference(kind, name, place),
        ("QueueName" | "TopicName" | "Name" | "Id" | "KeyId" | "GroupId", _) => name.to_owned(),
        (other, _) => format!("{name}.{other}"),
    }
}
