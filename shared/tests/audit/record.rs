//! From a sentence to the records that CloudTrail makes of it.

use serde_json::{Value, json};

/// The account of everything that is not said to be in another.
pub(crate) const HOME: &str = "111122223333";

const REGION: &str = "eu-west-1";

/// Somebody did something.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// Milliseconds since 1970.
    at: i64,
    who: String,
    what: Vec<String>,
    from: Option<String>,
    with: Option<String>,
    region: String,
}

impl Event {
    /// `[day N] [HH:MM[:SS]] WHO VERB … [from ADDRESS] [in REGION] [N times] [with PROGRAM]`, where `{1..20}` stands for
    /// each of these numbers, a fifth of a second after each other.
    pub(crate) fn parse(line: &str, start: i64) -> Option<Vec<Self>> {
        if let Some((before, after)) = line.split_once('{') {
            let (range, after) = after.split_once('}')?;
            let (first, last) = range.split_once("..")?;
            let mut events = Vec::new();
            for (index, number) in (first.parse::<i64>().ok()?..=last.parse().ok()?).enumerate() {
                let one = Self::parse(&format!("{before}{number}{after}"), start + index as i64 * 200)?;
                events.extend(one);
            }
            return Some(events);
        }
        let mut event =
            Self { at: start, who: String::new(), what: Vec::new(), from: None, with: None, region: REGION.into() };
        let (line, with) = match line.split_once(" with program ") {
            Some((line, with)) => (line, Some(with.to_owned())),
            None => (line, None),
        };
        event.with = with;
        let mut words: Vec<&str> = line.split_whitespace().collect();
        if words.first() == Some(&"day") {
            event.at += (words.get(1)?.parse::<i64>().ok()? - 1) * 86_400_000;
            words.drain(..2);
        }
        let time = words.first()?;
        if time.contains(':') && time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') {
            let parts: Vec<i64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
            event.at += ((parts[0] * 60 + parts[1]) * 60 + parts.get(2).copied().unwrap_or(0)) * 1_000;
            words.remove(0);
        } else {
            event.at += 10 * 3_600_000;
        }
        event.who = words.remove(0).to_owned();
        let mut times = 1;
        loop {
            match words.as_slice() {
                [.., "from", address] => event.from = Some((*address).to_owned()),
                [.., "in", region] if region.contains('-') => event.region = (*region).to_owned(),
                [.., count, "times"] => times = count.parse().ok()?,
                _ => break,
            }
            words.truncate(words.len() - 2);
        }
        event.what = words.iter().map(|word| (*word).to_owned()).collect();
        // What cannot be written as a record is no event.
        if records(&event).is_empty() {
            return None;
        }
        Some((0..times).map(|index| Self { at: event.at + index * 1_000, ..event.clone() }).collect())
    }
}

/// The records of an event: one, mostly.
pub(crate) fn records(event: &Event) -> Vec<Value> {
    let versions: Vec<String> = event.what.iter().map(|word| version(word)).collect();
    let words: Vec<&str> = versions.iter().map(String::as_str).collect();
    let secrets = |name: &str, parameters: Value| call(event, "secretsmanager", name, parameters);
    let denied = |service: &str, name: &str, resource: &str| {
        let mut record = call(event, service, name, Value::Null);
        record["errorCode"] = "AccessDenied".into();
        let message = format!(
            "User: somebody is not authorized to perform: {service}:{name} on resource: {resource} because no identity-based policy allows it"
        );
        record["errorMessage"] = message.into();
        record
    };
    let key_arn = |key: &str| format!("arn:aws:kms:{}:{HOME}:key/{key}", event.region);
    let one = match words.as_slice() {
        ["reads", "something"] => secrets("GetSecretValue", Value::Null),
        ["reads", "path", path] => {
            call(event, "ssm", "GetParametersByPath", json!({"path": path, "recursive": true, "withDecryption": true}))
        }
        ["reads", "filter", filter] => {
            let (key, value) = filter.split_once('=').expect("key=value");
            secrets("BatchGetSecretValue", json!({"filters": [{"key": key, "values": [value]}]}))
        }
        ["reads", "list", names] => {
            let names: Vec<&str> = names.split(',').collect();
            secrets("BatchGetSecretValue", json!({"secretIdList": names}))
        }
        ["reads", "everything"] => {
            secrets("BatchGetSecretValue", json!({"filters": [{"key": "name", "values": ["!none"]}]}))
        }
        ["reads", "parameter", name] => {
            call(event, "ssm", "GetParameter", json!({"name": name, "withDecryption": true}))
        }
        ["reads", secret] => secrets("GetSecretValue", json!({"secretId": secret})),
        ["reads", secret, "version", version] => {
            secrets("GetSecretValue", json!({"secretId": secret, "versionId": version}))
        }
        ["reads", secret, "stage", stage] => {
            secrets("GetSecretValue", json!({"secretId": secret, "versionStage": stage}))
        }
        ["decrypts", secret, "version", version] => {
            let arn = format!("arn:aws:secretsmanager:{}:{HOME}:secret:{secret}-AbCdEf", event.region);
            let context = json!({"encryptionContext": {"SecretARN": arn, "SecretVersionId": version}});
            call(event, "kms", "Decrypt", context)
        }
        ["is", "denied", secret] => denied("secretsmanager", "GetSecretValue", secret),
        ["is", "denied", "operation", operation] => {
            let (service, name) = operation.split_once(':').expect("service:Operation");
            denied(service, name, "*")
        }
        ["creates", secret] => secrets("CreateSecret", json!({"name": secret})),
        ["creates", secret, "under", key] => secrets("CreateSecret", json!({"name": secret, "kmsKeyId": key_arn(key)})),
        ["deletes", secret] => secrets("DeleteSecret", json!({"secretId": secret, "recoveryWindowInDays": 30})),
        ["deletes", secret, "for", "good"] => {
            secrets("DeleteSecret", json!({"secretId": secret, "forceDeleteWithoutRecovery": true}))
        }
        ["writes", secret, "version", version] => {
            secrets("PutSecretValue", json!({"secretId": secret, "clientRequestToken": version}))
        }
        ["stages", secret, "version", version] => secrets(
            "PutSecretValue",
            json!({"secretId": secret, "clientRequestToken": version, "versionStages": ["AWSPENDING"]}),
        ),
        ["moves", label, "of", secret, "to", version] => secrets(
            "UpdateSecretVersionStage",
            json!({"secretId": secret, "versionStage": label, "moveToVersionId": version}),
        ),
        ["cancels", "rotation", "of", secret] => secrets("CancelRotateSecret", json!({"secretId": secret})),
        ["lets", function, "rotate", secret] => {
            secrets("RotateSecret", json!({"secretId": secret, "rotationLambdaARN": function_arn(event, function)}))
        }
        ["lets", function, "rotate", secret, "every", days, "days"] => secrets(
            "RotateSecret",
            json!({"secretId": secret, "rotationLambdaARN": function_arn(event, function),
                   "rotationRules": {"scheduleExpression": format!("rate({days} days)")}}),
        ),
        ["opens", "key", key, "to", rest @ ..] => {
            call(event, "kms", "PutKeyPolicy", json!({"keyId": key_arn(key), "policy": policy(rest)}))
        }
        ["opens", secret, "to", rest @ ..] => {
            secrets("PutResourcePolicy", json!({"secretId": secret, "resourcePolicy": policy(rest)}))
        }
        ["encrypts", secret, "with", key] => secrets("UpdateSecret", json!({"secretId": secret, "kmsKeyId": key})),
        ["disables", "key", key] => call(event, "kms", "DisableKey", json!({"keyId": key_arn(key)})),
        ["schedules", "key", key, "for", "deletion"] => {
            call(event, "kms", "ScheduleKeyDeletion", json!({"keyId": key_arn(key), "pendingWindowInDays": 7}))
        }
        ["grants", grantee, "decryption", "by", key] => call(
            event,
            "kms",
            "CreateGrant",
            json!({"keyId": key_arn(key), "granteePrincipal": grantee, "operations": ["Decrypt"]}),
        ),
        ["replicates", secret, "to", region] => {
            secrets("ReplicateSecretToRegions", json!({"secretId": secret, "addReplicaRegions": [{"region": region}]}))
        }
        ["sets", "password", "of", cluster] => {
            call(event, "rds", "ModifyDBCluster", json!({"dBClusterIdentifier": cluster, "masterUserPassword": "****"}))
        }
        ["contains", secret, "against", role] => {
            let arn = format!("arn:aws:iam::{HOME}:role/{role}");
            let policy = json!({"Version": "2012-10-17", "Statement": [{
                "Sid": "RelatchContainment0123456789", "Effect": "Deny", "Principal": "*", "Resource": "*",
                "Action": ["secretsmanager:GetSecretValue"], "Condition": {"ArnLike": {"aws:PrincipalArn": [arn]}},
            }]});
            secrets("PutResourcePolicy", json!({"secretId": secret, "resourcePolicy": policy.to_string()}))
        }
        ["deletes", "policy", "of", secret] => secrets("DeleteResourcePolicy", json!({"secretId": secret})),
        ["creates", "trail", trail] => call(event, "cloudtrail", "CreateTrail", json!({"name": trail})),
        ["deletes", "trail", trail] => call(event, "cloudtrail", "DeleteTrail", json!({"name": trail})),
        ["encrypts", "trail", trail, "with", key] => {
            call(event, "cloudtrail", "UpdateTrail", json!({"name": trail, "kmsKeyId": key}))
        }
        ["leaves", who, "out", "of", "trail", trail] => call(
            event,
            "cloudtrail",
            "PutEventSelectors",
            json!({"trailName": trail, "advancedEventSelectors": [{"fieldSelectors": [
                {"field": "eventCategory", "equals": ["Management"]}, {"field": "userIdentity.arn", "notEquals": [who]},
            ]}]}),
        ),
        ["stops", "data", "store", id] => {
            let arn = format!("arn:aws:cloudtrail:{}:{HOME}:eventdatastore/{id}", event.region);
            call(event, "cloudtrail", "StopEventDataStoreIngestion", json!({"eventDataStore": arn}))
        }
        ["lets", "rule", rule, "hear", pattern] => {
            let pattern = json!({"source": [pattern]}).to_string();
            call(event, "events", "PutRule", json!({"name": rule, "eventPattern": pattern}))
        }
        ["points", "rule", rule, "elsewhere"] => {
            call(event, "events", "PutTargets", json!({"rule": rule, "targets": [{"id": "audit", "arn": "arn:x"}]}))
        }
        ["listens", "to", topic] => {
            let arn = format!("arn:aws:sns:{}:{HOME}:{topic}", event.region);
            call(
                event,
                "sns",
                "Subscribe",
                json!({"topicArn": arn, "protocol": "https", "endpoint": "https://example.com"}),
            )
        }
        ["filters", "alerts", "of", topic] => {
            let arn = format!("arn:aws:sns:{}:{HOME}:{topic}:0b2e", event.region);
            let request = json!({"subscriptionArn": arn, "attributeName": "FilterPolicy", "attributeValue": "{}"});
            call(event, "sns", "SetSubscriptionAttributes", request)
        }
        ["sets", "queue", queue] => {
            let url = format!("https://sqs.{}.amazonaws.com/{HOME}/{queue}", event.region);
            call(event, "sqs", "SetQueueAttributes", json!({"queueUrl": url}))
        }
        ["changes", "alarm", alarm] => call(event, "monitoring", "PutMetricAlarm", json!({"alarmName": alarm})),
        ["admits", "a", "caller", "to", function] => {
            call(event, "lambda", "AddPermission20150331v2", json!({"functionName": function}))
        }
        ["changes", "bucket", bucket] => call(event, "s3", "PutBucketPolicy", json!({"bucketName": bucket})),
        ["deletes", "table", table] => call(event, "dynamodb", "DeleteTable", json!({"tableName": table})),
        ["changes", "role", role] => call(event, "iam", "PutRolePolicy", json!({"roleName": role, "policyName": "x"})),
        ["deletes", "log", "group", group] => call(event, "logs", "DeleteLogGroup", json!({"logGroupName": group})),
        ["deletes", "schedule", name] => call(event, "scheduler", "DeleteSchedule", json!({"name": name})),
        ["stops", "trail", trail] => call(event, "cloudtrail", "StopLogging", json!({"name": trail})),
        ["leaves", "reads", "out", "of", trail] => call(
            event,
            "cloudtrail",
            "PutEventSelectors",
            json!({"trailName": trail, "eventSelectors": [{"readWriteType": "WriteOnly", "includeManagementEvents": true}]}),
        ),
        ["lets", trail, "record", "everything"] => call(
            event,
            "cloudtrail",
            "PutEventSelectors",
            json!({"trailName": trail, "eventSelectors": [{"readWriteType": "All", "includeManagementEvents": true}]}),
        ),
        ["disables", "rule", rule] => call(event, "events", "DisableRule", json!({"name": rule})),
        ["puts", "rule", rule, "as", state] => {
            call(event, "events", "PutRule", json!({"name": rule, "state": state, "eventPattern": "{}"}))
        }
        ["changes", "function", function] => {
            call(event, "lambda", "UpdateFunctionCode20150331v2", json!({"functionName": function}))
        }
        ["writes", "parameter", name] => {
            let request = json!({"name": name, "value": "HIDDEN_DUE_TO_SECURITY_REASONS", "overwrite": true});
            call(event, "ssm", "PutParameter", request)
        }
        ["deletes", "parameter", name] => call(event, "ssm", "DeleteParameters", json!({"names": [name]})),
        ["deletes", "topic", topic] => {
            let arn = format!("arn:aws:sns:{}:{HOME}:{topic}", event.region);
            call(event, "sns", "DeleteTopic", json!({"topicArn": arn}))
        }
        ["deletes", "alarm", alarm] => call(event, "monitoring", "DeleteAlarms", json!({"alarmNames": [alarm]})),
        ["does", operation] => {
            let (service, name) = operation.split_once(':').expect("service:Operation");
            call(event, service, name, json!({}))
        }
        ["fails", "to", "sign", "in"] => {
            let mut record = call(event, "signin", "ConsoleLogin", Value::Null);
            record["errorMessage"] = "Failed authentication".into();
            record["responseElements"] = json!({"ConsoleLogin": "Failure"});
            record
        }
        ["is", "reported", "for", kind, "at", severity] => {
            guardduty_finding(event, kind, severity.parse().expect("a number"))
        }
        ["rotation", "of", secret, turn @ ("starts" | "succeeds" | "fails" | "is-abandoned"), version] => {
            service_event(event, secret, turn, version)
        }
        _ => return Vec::new(),
    };
    vec![one]
}

/// The id of a version that is called `v2`.
fn version(word: &str) -> String {
    match word.strip_prefix('v').filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    {
        Some(number) => format!("00000000-0000-4000-8000-{number:0>12}"),
        None => word.to_owned(),
    }
}

/// What Secrets Manager tells of a rotation. Nobody did it.
fn service_event(event: &Event, secret: &str, turn: &str, version: &str) -> Value {
    let arn = format!("arn:aws:secretsmanager:{}:{HOME}:secret:{secret}-AbCdEf", event.region);
    let name = match turn {
        "starts" => "RotationStarted",
        "succeeds" => "RotationSucceeded",
        "fails" => "RotationFailed",
        _ => "RotationAbandoned",
    };
    let mut record = call(event, "secretsmanager", name, Value::Null);
    record["userIdentity"] = json!({"accountId": HOME, "invokedBy": "secretsmanager.amazonaws.com"});
    record["eventType"] = "AwsServiceEvent".into();
    record["requestID"] = format!("Rotation-{arn}-{version}").into();
    record["additionalEventData"] = json!({"SecretId": arn});
    if turn == "fails" {
        record["errorMessage"] = "Error when executing lambda arn:aws:lambda:eu-west-1:111122223333:function:relatch-rotate during setSecret step".into();
    }
    record
}

/// What GuardDuty has found of a principal's access key.
fn guardduty_finding(event: &Event, kind: &str, severity: f64) -> Value {
    let at = jiff::Timestamp::from_millisecond(event.at).unwrap();
    let (user_type, name) = event.who.split_once('/').unwrap_or(("Root", "Root"));
    let user_type = if user_type == "role" { "AssumedRole" } else { user_type };
    json!({
        "schemaVersion": "2.0", "accountId": HOME, "region": event.region, "partition": "aws",
        "id": format!("{}{kind}", event.who), "type": kind, "severity": severity,
        "title": format!("Credentials of {name} are used in an odd way."),
        "resource": {"resourceType": "AccessKey", "accessKeyDetails": {
            "accessKeyId": "ASIAEXAMPLE", "principalId": format!("AROAEXAMPLE:{name}"), "userType": user_type, "userName": name,
        }},
        "service": {"serviceName": "guardduty", "eventLastSeen": format!("{at:.0}"), "archived": false, "action": {
            "actionType": "AWS_API_CALL",
            "awsApiCallAction": {"api": "ListBuckets", "serviceName": "s3.amazonaws.com",
                                 "remoteIpDetails": {"ipAddressV4": event.from.as_deref().unwrap_or("198.51.100.7")}},
        }},
    })
}

fn call(event: &Event, service: &str, name: &str, parameters: Value) -> Value {
    let at = jiff::Timestamp::from_millisecond(event.at).unwrap();
    json!({
        "eventVersion": "1.11",
        "eventTime": format!("{at:.0}"),
        "eventSource": format!("{service}.amazonaws.com"),
        "eventName": name,
        "awsRegion": event.region,
        "sourceIPAddress": event.from.as_deref().unwrap_or("198.51.100.7"),
        "userAgent": event.with.as_deref().unwrap_or("aws-sdk-rust/1.3 os/linux"),
        "userIdentity": identity(&event.who),
        "requestParameters": parameters,
        "recipientAccountId": HOME,
        "eventType": if service == "signin" { "AwsConsoleSignIn" } else { "AwsApiCall" },
    })
}

/// `root`, `user/NAME`, `role/NAME`, `role/NAME/SESSION`, `person/NAME` (who has come through single sign-on),
/// `service/HOST`, each after `NUMBER:` of another account.
fn identity(who: &str) -> Value {
    let (account, who) = who.split_once(':').unwrap_or((HOME, who));
    let parts: Vec<&str> = who.split('/').collect();
    let role = |name: &str, session: &str| {
        json!({
            "type": "AssumedRole",
            "principalId": format!("AROAEXAMPLE:{session}"),
            "arn": format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
            "accountId": account,
            "accessKeyId": format!("ASIA{}{}", name.to_uppercase(), session.to_uppercase()),
            "sessionContext": {"sessionIssuer": {
                "type": "Role", "arn": format!("arn:aws:iam::{account}:role/{name}"), "accountId": account, "userName": name,
            }},
        })
    };
    match parts.as_slice() {
        ["root"] => json!({"type": "Root", "accountId": account, "arn": format!("arn:aws:iam::{account}:root")}),
        ["user", name] => {
            let arn = format!("arn:aws:iam::{account}:user/{name}");
            json!({"type": "IAMUser", "accountId": account, "userName": name, "arn": arn})
        }
        ["service", host] => json!({"type": "AWSService", "invokedBy": host}),
        ["person", name] => role("AWSReservedSSO_Developer_0123456789abcdef", name),
        ["role", name] => role(name, "session"),
        ["role", name, session] => role(name, session),
        _ => json!({"type": "Unknown", "accountId": account, "userName": who}),
    }
}

fn function_arn(event: &Event, function: &str) -> String {
    match function.split_once(':') {
        Some((account, name)) => format!("arn:aws:lambda:{}:{account}:function:{name}", event.region),
        None => format!("arn:aws:lambda:{}:{HOME}:function:{function}", event.region),
    }
}

/// `everybody`, `account NUMBER`, `role NAME`, `everybody of the organisation`.
fn policy(to: &[&str]) -> String {
    let (principal, condition) = match to {
        ["everybody"] => (json!("*"), json!({})),
        ["everybody", "of", "the", "organisation"] => {
            (json!("*"), json!({"StringEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}}))
        }
        ["account", number] => (json!({"AWS": format!("arn:aws:iam::{number}:root")}), json!({})),
        ["account", number, "at", address] => {
            (json!({"AWS": format!("arn:aws:iam::{number}:root")}), json!({"IpAddress": {"aws:SourceIp": address}}))
        }
        ["everybody", "by", "any", "endpoint"] => (json!("*"), json!({"StringLike": {"aws:SourceVpce": "vpce-*"}})),
        ["everybody", "at", address] => (json!("*"), json!({"IpAddress": {"aws:SourceIp": address}})),
        ["everybody", "unless", "in", "another", "organisation"] => {
            (json!("*"), json!({"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}}))
        }
        ["role", name] => (json!({"AWS": format!("arn:aws:iam::{HOME}:role/{name}")}), json!({})),
        _ => panic!("opened to {to:?}"),
    };
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": principal, "Action": "*", "Resource": "*", "Condition": condition}
    ]})
    .to_string()
}
