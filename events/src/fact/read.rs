//! From a record to a fact.

use super::{Access, Account, Change, Fact, Origin, Outcome, Phase, Read, Rotation, Selection, Tamper, What};
use crate::{
    cloudtrail::{
        identity::{Actor, ActorKind},
        record::{Parameters, Record},
        target::{Place, Target, TargetKind},
    },
    moment::Moment,
    secret::{SecretId, VersionId},
    trigger::{self, ServiceEventKind},
};
use serde_json::{Value, value::RawValue};
use std::borrow::Cow;

/// What a record means for secrets; nothing where it means nothing.
///
/// A fact is made of every read of a value, every change to a secret or to what protects it, every turn of a rotation,
/// every touch of a trail, rule, function, topic, queue, alarm or parameter that a watch may be made of, every sign-in to the
/// console, every use of the root user, and every denied call.
pub fn fact(record: &Record<'_>) -> Option<Fact> {
    // A call that a VPC endpoint let pass is recorded again as the call that it is.
    let is_echo = record.event_type.as_deref() == Some("AwsVpceEvent") && record.error_code.is_none();
    if is_echo {
        return None;
    }
    let outcome = outcome(record);
    let actor = Actor::of(record);
    let Meaning { what, mut targets } =
        Meaning::of(record, &outcome).or_else(|| of_account(record, &outcome, &actor))?;
    let mut seen = Vec::with_capacity(targets.len());
    targets.retain(|target| {
        !seen.contains(target) && {
            seen.push(target.clone());
            true
        }
    });
    Some(Fact {
        id: owned(&record.event_id),
        shared_id: owned(&record.shared_event_id),
        request_id: owned(&record.request_id),
        at: record.event_time.as_deref().and_then(Moment::told),
        region: owned(&record.aws_region),
        account: record.place().account.map(str::to_owned),
        service: record.service().to_owned(),
        action: record.action().to_owned(),
        origin: record.source_ip_address.as_deref().map(origin),
        user_agent: owned(&record.user_agent),
        actor,
        outcome,
        targets,
        what,
    })
}

/// Whether an event of this source and name can be a fact by itself, whoever made the call and however it ended.
/// Source and name as the record has them: `secretsmanager.amazonaws.com`, `GetSecretValue`.
///
/// Of all others, only those can that were denied or made by the root user.
pub fn concerns(event_source: &[u8], event_name: &[u8]) -> bool {
    let service = event_source.split(|byte| *byte == b'.').next().unwrap_or_default();
    match service {
        b"secretsmanager" | b"signin" | b"cloudtrail" | b"events" => true,
        b"ssm" => [b"Get".as_slice(), b"Put", b"Delete"]
            .iter()
            .any(|verb| event_name.strip_prefix(*verb).is_some_and(|name| name.starts_with(b"Parameter"))),
        b"kms" => matches!(
            event_name,
            b"Decrypt"
                | b"DisableKey"
                | b"EnableKey"
                | b"ScheduleKeyDeletion"
                | b"CancelKeyDeletion"
                | b"PutKeyPolicy"
                | b"CreateGrant"
        ),
        b"rds" => event_name.starts_with(b"ModifyDB"),
        b"lambda" => {
            [b"Update".as_slice(), b"Delete", b"Put", b"Add", b"Remove"].iter().any(|verb| event_name.starts_with(verb))
        }
        b"sns" | b"sqs" | b"monitoring" => {
            let verbs =
                [b"Delete".as_slice(), b"Set", b"Unsub", b"Sub", b"Purge", b"Disable", b"Put", b"Add", b"Remove"];
            verbs.iter().any(|verb| event_name.starts_with(verb))
        }
        b"s3" | b"iam" | b"dynamodb" | b"logs" | b"scheduler" => {
            str::from_utf8(event_name).is_ok_and(|name| is_touch(str::from_utf8(service).unwrap_or_default(), name))
        }
        _ => false,
    }
}

/// What was done, and to what.
struct Meaning {
    what: What,
    targets: Vec<Target>,
}

impl Meaning {
    fn of(record: &Record<'_>, outcome: &Outcome) -> Option<Self> {
        match record.service() {
            "secretsmanager" => of_secret(record, outcome),
            // No other service's operations are called so.
            "" if record.action().contains("Secret") || record.action().starts_with("Rotation") => {
                of_secret(record, outcome)
            }
            "ssm" => of_parameter(record, outcome),
            "kms" => of_key(record, outcome),
            "rds" => of_database(record, outcome),
            "cloudtrail" => of_trail(record, outcome),
            "events" => of_rule(record, outcome),
            "lambda" => of_function(record, outcome),
            "s3" | "iam" | "dynamodb" | "logs" | "scheduler" => of_ground(record, outcome),
            "sns" | "sqs" | "monitoring" => of_route(record, outcome),
            "signin" => of_sign_in(record),
            _ => None,
        }
    }
}

fn of_secret(record: &Record<'_>, outcome: &Outcome) -> Option<Meaning> {
    let request = record.request();
    let written = || version(&record.response().version_id).or_else(|| version(&request.client_request_token));
    let what = match record.action() {
        "GetSecretValue" => What::Access(Access {
            read: Read::Secret,
            version: version(&request.version_id),
            stage: owned(&request.version_stage),
        }),
        "BatchGetSecretValue" => {
            let selection = selection(&request, record.request_parameters.is_some());
            What::Access(Access { read: Read::Batch(selection), version: None, stage: None })
        }
        "CreateSecret" => What::Change(Change::Created { key: owned(&request.kms_key_id) }),
        "PutSecretValue" => {
            What::Change(Change::ValueWritten { version: written(), stages: all(&request.version_stages), key: None })
        }
        "UpdateSecret" => {
            let has_value = request.secret_string.is_some() || request.secret_binary.is_some();
            // CloudTrail may leave out what it would have to hide. Then the answer tells: it names a version if there is
            // a new one.
            if has_value || record.response().version_id.is_some() {
                let stages = all(&request.version_stages);
                What::Change(Change::ValueWritten { version: written(), stages, key: owned(&request.kms_key_id) })
            } else {
                let key = owned(&request.kms_key_id).map(|key| Change::KeyChanged { key });
                What::Change(key.unwrap_or(Change::Updated))
            }
        }
        "UpdateSecretVersionStage" => What::Change(Change::LabelMoved {
            stage: owned(&request.version_stage),
            from: version(&request.remove_from_version_id),
            to: version(&request.move_to_version_id),
        }),
        "DeleteSecret" => What::Change(Change::Deleted {
            forced: request.force_delete_without_recovery.unwrap_or_default(),
            window_days: request.recovery_window_in_days,
        }),
        "RestoreSecret" => What::Change(Change::Restored),
        "PutResourcePolicy" => What::Change(Change::PolicyPut {
            policy: policy(request.resource_policy),
            block_public: request.block_public_policy,
        }),
        "DeleteResourcePolicy" => What::Change(Change::PolicyDeleted),
        "RotateSecret" => What::Change(Change::RotationAsked {
            function: owned(&request.rotation_lambda_arn),
            token: version(&request.client_request_token),
            immediately: request.rotate_immediately,
            schedule: owned(&request.rotation_rules.schedule_expression)
                .or_else(|| owned(&request.rotation_rules.automatically_after_days)),
        }),
        "CancelRotateSecret" => What::Change(Change::RotationCancelled),
        "TagResource" => {
            let keys = request.tags.iter().filter_map(|tag| owned(&tag.key)).collect();
            What::Change(Change::Tagged { keys })
        }
        "UntagResource" => What::Change(Change::Untagged { keys: all(&request.tag_keys) }),
        "ReplicateSecretToRegions" => {
            let regions = request.add_replica_regions.iter().filter_map(|replica| owned(&replica.region)).collect();
            What::Change(Change::Replicated { regions })
        }
        "RemoveRegionsFromReplication" => {
            What::Change(Change::ReplicasRemoved { regions: all(&request.remove_replica_regions) })
        }
        "StopReplicationToReplica" => What::Change(Change::ReplicaPromoted),
        "StartSecretVersionDelete" => What::Change(Change::Deletion(Phase::Started)),
        "CancelSecretVersionDelete" => What::Change(Change::Deletion(Phase::Cancelled)),
        "EndSecretVersionDelete" => What::Change(Change::Deletion(Phase::Ended)),
        "RotationStarted" => What::Rotation(rotation(record, ServiceEventKind::Started)),
        "RotationSucceeded" => What::Rotation(rotation(record, ServiceEventKind::Succeeded)),
        "RotationFailed" => What::Rotation(rotation(record, ServiceEventKind::Failed)),
        "RotationAbandoned" => What::Rotation(rotation(record, ServiceEventKind::Abandoned)),
        _ => return None,
    };
    let place = record.place();
    let mut targets: Vec<Target> = request.secret_id_list.iter().filter_map(|id| Target::secret(id, place)).collect();
    if targets.is_empty() {
        targets.extend(secret(record, &request, outcome, place));
    }
    Some(Meaning { what, targets })
}

/// The one secret that an event is about, from wherever it tells it.
fn secret(record: &Record<'_>, request: &Parameters<'_>, outcome: &Outcome, place: Place<'_>) -> Option<Target> {
    let named = |parameters: &Parameters<'_>| {
        let ids = [
            &parameters.secret_id,
            &parameters.upper_secret_id,
            &parameters.arn,
            &parameters.arn_before_2024,
            &parameters.upper_arn,
            &parameters.name,
            &parameters.upper_name,
        ];
        ids.into_iter().flatten().find_map(|id| Target::secret(id, place))
    };
    named(request)
        .or_else(|| named(&record.additional()))
        .or_else(|| named(&record.response()))
        .or_else(|| touched(record, TargetKind::Secret))
        .or_else(|| denied(record, outcome, TargetKind::Secret))
}

fn rotation(record: &Record<'_>, kind: ServiceEventKind) -> Rotation {
    let additional = record.additional();
    let secret = additional.upper_secret_id.as_deref().and_then(|id| SecretId::try_from(id).ok());
    let token = |secret: SecretId| trigger::token(record.request_id.as_deref()?, &secret);
    Rotation { kind, token: secret.and_then(token), step: record.error_message.as_deref().and_then(trigger::step) }
}

fn selection(request: &Parameters<'_>, is_told: bool) -> Selection {
    let negates = |value: &Cow<'_, str>| value.starts_with('!');
    if !is_told {
        Selection::Unknown
    } else if !request.secret_id_list.is_empty() {
        Selection::Listed
    } else if request.filters.iter().all(|filter| {
        // A value is a prefix: an empty one is of every name.
        filter.values.iter().all(negates) || filter.values.iter().any(|value| value.is_empty())
    }) {
        Selection::Everything
    } else {
        let text = |filter: &crate::cloudtrail::record::Filter<'_>| {
            format!("{}={}", filter.key.as_deref().unwrap_or_default(), filter.values.join(","))
        };
        Selection::Filtered(request.filters.iter().map(text).collect())
    }
}

fn of_parameter(record: &Record<'_>, outcome: &Outcome) -> Option<Meaning> {
    let request = record.request();
    let read = match record.action() {
        "PutParameter" => return Some(parameters_touched(record, outcome, Tamper::ParameterPut)),
        "DeleteParameter" | "DeleteParameters" => {
            return Some(parameters_touched(record, outcome, Tamper::ParametersDeleted));
        }
        "GetParameter" | "GetParameters" => Read::Parameters,
        "GetParametersByPath" => Read::ParametersByPath { recursive: request.recursive.unwrap_or_default() },
        "GetParameterHistory" => Read::ParameterHistory,
        _ => return None,
    };
    // Without decryption, what is secret comes encrypted. A denied call does not tell.
    if record.request_parameters.is_some() && request.with_decryption != Some(true) {
        return None;
    }
    let place = record.place();
    let names = request.names.iter().chain(&request.name).chain(&request.path);
    let mut targets: Vec<Target> = names.filter_map(|name| Target::parameter(name, place)).collect();
    if targets.is_empty() {
        targets.extend(record.resources.iter().filter_map(|resource| Target::from_arn(resource.arn()?, place)));
    }
    if targets.is_empty() {
        targets.extend(denied(record, outcome, TargetKind::Parameter));
    }
    // "name:3" or "name:label"; an ARN has colons of its own.
    let name = request.name.as_deref().unwrap_or_default();
    let selector = name.rsplit('/').next().and_then(|last| last.split_once(':')).filter(|_| !name.starts_with("arn:"));
    let selector = selector.map(|(_, selector)| selector.to_owned());
    let (number, stage) = match selector {
        Some(selector) if selector.bytes().all(|byte| byte.is_ascii_digit()) => (Some(selector), None),
        label => (None, label),
    };
    let version = number.and_then(|number| VersionId::try_from(number).ok());
    Some(Meaning { what: What::Access(Access { read, version, stage }), targets })
}

/// A touch of every parameter that the call names.
fn parameters_touched(record: &Record<'_>, outcome: &Outcome, tamper: Tamper) -> Meaning {
    let request = record.request();
    let names = request.names.iter().chain(&request.name);
    let mut targets: Vec<Target> = names.filter_map(|name| Target::parameter(name, record.place())).collect();
    if targets.is_empty() {
        targets.extend(denied(record, outcome, TargetKind::Parameter));
    }
    Meaning { what: What::Tamper(tamper), targets }
}

fn of_key(record: &Record<'_>, outcome: &Outcome) -> Option<Meaning> {
    let request = record.request();
    let place = record.place();
    let change = match record.action() {
        "Decrypt" => return of_decrypt(&request, place),
        "DisableKey" => Change::KeyDisabled,
        "EnableKey" => Change::KeyEnabled,
        "ScheduleKeyDeletion" => Change::KeyDeletionScheduled { window_days: request.pending_window_in_days },
        "CancelKeyDeletion" => Change::KeyDeletionCancelled,
        "PutKeyPolicy" => Change::KeyPolicyPut { policy: policy(request.policy) },
        "CreateGrant" => {
            Change::Granted { grantee: owned(&request.grantee_principal), operations: all(&request.operations) }
        }
        _ => return None,
    };
    // What was touched is the key itself, also where the call named an alias.
    let key = touched(record, TargetKind::Key)
        .or_else(|| Target::of(TargetKind::Key, request.key_id.as_deref()?, place))
        .or_else(|| denied(record, outcome, TargetKind::Key));
    Some(Meaning { what: What::Change(change), targets: key.into_iter().collect() })
}

/// Secrets Manager names secret and version in the encryption context, Parameter Store the parameter. To check that a
/// key may be used, Secrets Manager decrypts something that is no secret, and says so in place of the version.
fn of_decrypt(request: &Parameters<'_>, place: Place<'_>) -> Option<Meaning> {
    let context = &request.encryption_context;
    if context.secret_version_id.as_deref() == Some("RequestToValidateKeyAccess") {
        return None;
    }
    let secret = context.secret_arn.as_deref().and_then(|arn| Target::secret(arn, place));
    let parameter = || context.parameter_arn.as_deref().and_then(|arn| Target::parameter(arn, place));
    let target = secret.or_else(parameter)?;
    let access = Access { read: Read::Decrypt, version: version(&context.secret_version_id), stage: None };
    Some(Meaning { what: What::Access(access), targets: vec![target] })
}

fn of_database(record: &Record<'_>, outcome: &Outcome) -> Option<Meaning> {
    let kind = match record.action() {
        "ModifyDBInstance" => TargetKind::Instance,
        "ModifyDBCluster" => TargetKind::Cluster,
        _ => return None,
    };
    let request = record.request();
    let sets_password = request.master_user_password.is_some()
        || request.manage_master_user_password.is_some()
        || request.rotate_master_user_password == Some(true);
    if record.request_parameters.is_some() && !sets_password {
        return None;
    }
    let place = record.place();
    let id = if kind == TargetKind::Cluster { &request.db_cluster } else { &request.db_instance };
    let named = id.as_deref().and_then(|id| Target::of(kind, id, place));
    let database = named.or_else(|| denied(record, outcome, kind));
    let change = Change::DatabasePasswordSet { managed: request.manage_master_user_password };
    Some(Meaning { what: What::Change(change), targets: database.into_iter().collect() })
}

fn of_trail(record: &Record<'_>, outcome: &Outcome) -> Option<Meaning> {
    let request = record.request();
    let tamper = match record.action() {
        "StopLogging" => Tamper::LoggingStopped,
        "DeleteTrail" => Tamper::TrailDeleted,
        "UpdateTrail" => Tamper::TrailUpdated {
            multi_region: request.is_multi_region_trail,
            global_services: request.include_global_service_events,
            validated: request.enable_log_file_validation,
            bucket: owned(&request.s3_bucket_name),
            key: owned(&request.kms_key_id),
        },
        "CreateTrail" => Tamper::TrailCreated,
        "PutEventSelectors" => selectors(&request),
        // What is kept in a lake is kept by this.
        "StopEventDataStoreIngestion" => Tamper::LoggingStopped,
        "DeleteEventDataStore" => Tamper::TrailDeleted,
        "UpdateEventDataStore" if !request.advanced_event_selectors.is_empty() => selectors(&request),
        _ => return None,
    };
    Some(tampered(
        record,
        outcome,
        TargetKind::Trail,
        tamper,
        [&request.event_data_store, &request.name, &request.trail_name],
    ))
}

/// Several selectors add up: recorded is what any of them takes.
fn selectors(request: &Parameters<'_>) -> Tamper {
    let mut taken = Vec::new();
    for selector in &request.event_selectors {
        if selector.include_management_events != Some(false) {
            let kind = selector.read_write_type.as_deref().unwrap_or("All");
            taken.push((kind != "WriteOnly", kind != "ReadOnly", all(&selector.exclude_management_event_sources)));
        }
    }
    for selector in &request.advanced_event_selectors {
        let field = |name: &str| selector.field_selectors.iter().find(|field| field.field.as_deref() == Some(name));
        if field("eventCategory").is_some_and(|field| field.equals.iter().any(|category| category == "Management")) {
            let only = field("readOnly").and_then(|field| field.equals.first().cloned());
            let mut excluded = field("eventSource").map(|field| all(&field.not_equals)).unwrap_or_default();
            // Any other field leaves something out: an operation, a principal.
            let others = selector.field_selectors.iter().filter_map(|field| field.field.as_deref()).filter(|name| {
                let is_whole = matches!(*name, "eventCategory" | "readOnly");
                !is_whole && (*name != "eventSource" || excluded.is_empty())
            });
            let others: Vec<String> = others.map(str::to_owned).collect();
            excluded.extend(others);
            taken.push((only.as_deref() != Some("false"), only.as_deref() != Some("true"), excluded));
        }
    }
    let mut excluded = taken.first().map(|(_, _, excluded)| excluded.clone()).unwrap_or_default();
    excluded.retain(|source| taken.iter().all(|(_, _, others)| others.contains(source)));
    Tamper::SelectorsPut {
        reads: taken.iter().any(|(reads, _, _)| *reads),
        writes: taken.iter().any(|(_, writes, _)| *writes),
        excluded,
    }
}

fn of_rule(record: &Record<'_>, outcome: &Outcome) -> Option<Meaning> {
    let request = record.request();
    let tamper = match record.action() {
        "DisableRule" => Tamper::RuleDisabled,
        "DeleteRule" => Tamper::RuleDeleted,
        "PutRule" => Tamper::RulePut { state: owned(&request.state), pattern: owned(&request.event_pattern) },
        "RemoveTargets" => Tamper::TargetsRemoved,
        "PutTargets" => Tamper::Touched,
        _ => return None,
    };
    let bus = request.event_bus_name.as_deref().and_then(|bus| bus.rsplit('/').next());
    let on_bus = |name: &Cow<'_, str>| match bus {
        Some(bus) if bus != "default" && !name.starts_with("arn:") => Cow::Owned(format!("{bus}/{name}")),
        Some(_) | None => Cow::Owned(name.to_string()),
    };
    let rule = request.rule.as_ref().or(request.name.as_ref()).map(on_bus);
    Some(tampered(record, outcome, TargetKind::Rule, tamper, [&rule]))
}

fn of_function(record: &Record<'_>, outcome: &Outcome) -> Option<Meaning> {
    let request = record.request();
    // CloudTrail adds the API's version to some operations: "UpdateFunctionCode20150331v2".
    let action = record.action();
    let action = action.split_once("20").map_or(action, |(action, _)| action);
    let tamper = match action {
        "UpdateFunctionCode" => Tamper::FunctionCodeChanged,
        "UpdateFunctionConfiguration" => Tamper::FunctionConfigurationChanged,
        "DeleteFunction" => Tamper::FunctionDeleted,
        "PutFunctionConcurrency" => Tamper::FunctionConcurrencySet { reserved: request.reserved_concurrent_executions },
        "DeleteEventSourceMapping" => Tamper::FunctionCutOff,
        // A denied call does not tell what it was to change.
        "UpdateEventSourceMapping" if request.enabled == Some(false) || record.request_parameters.is_none() => {
            Tamper::FunctionCutOff
        }
        "AddPermission"
        | "RemovePermission"
        | "PutFunctionEventInvokeConfig"
        | "UpdateFunctionEventInvokeConfig"
        | "DeleteFunctionEventInvokeConfig" => Tamper::Touched,
        _ => return None,
    };
    let mut meaning =
        tampered(record, outcome, TargetKind::Function, tamper, [&request.function_name, &request.function_arn]);
    if let Some(mapping) = request.uuid.as_deref().and_then(|id| Target::of(TargetKind::Mapping, id, record.place())) {
        meaning.targets.push(mapping);
        // The answer names the function that the mapping was for.
        let function = record.response().function_arn.as_deref().and_then(|arn| Target::from_arn(arn, record.place()));
        meaning.targets.extend(function);
    }
    Some(meaning)
}

/// How alarms and alerts reach people.
fn of_route(record: &Record<'_>, outcome: &Outcome) -> Option<Meaning> {
    let request = record.request();
    let (kind, tamper) = match (record.service(), record.action()) {
        ("sns", "DeleteTopic") => (TargetKind::Topic, Tamper::TopicDeleted),
        ("sns", "Unsubscribe") => (TargetKind::Topic, Tamper::Unsubscribed),
        ("sns", "SetTopicAttributes") => {
            (TargetKind::Topic, Tamper::TopicAttributeSet { attribute: owned(&request.attribute_name) })
        }
        (
            "sns",
            "Subscribe"
            | "SetSubscriptionAttributes"
            | "AddPermission"
            | "RemovePermission"
            | "PutDataProtectionPolicy",
        ) => (TargetKind::Topic, Tamper::Touched),
        ("sqs", "SetQueueAttributes" | "AddPermission" | "RemovePermission") => (TargetKind::Queue, Tamper::Touched),
        ("monitoring", "PutMetricAlarm" | "PutCompositeAlarm" | "SetAlarmState") => {
            (TargetKind::Alarm, Tamper::Touched)
        }
        ("sqs", "DeleteQueue") => (TargetKind::Queue, Tamper::QueueDeleted),
        ("sqs", "PurgeQueue") => (TargetKind::Queue, Tamper::QueuePurged),
        ("monitoring", "DeleteAlarms") => (TargetKind::Alarm, Tamper::AlarmsDeleted),
        ("monitoring", "DisableAlarmActions") => (TargetKind::Alarm, Tamper::AlarmActionsDisabled),
        (_, _) => return None,
    };
    let mut meaning = tampered(
        record,
        outcome,
        kind,
        tamper,
        [&request.topic_arn, &request.subscription_arn, &request.queue_url, &request.alarm_name],
    );
    let alarms = request.alarm_names.iter().filter_map(|name| Target::of(TargetKind::Alarm, name, record.place()));
    meaning.targets.extend(alarms);
    Some(meaning)
}

/// What the watch stands on: where it keeps what it knows, where its files and logs are, who it acts as, what wakes it.
fn of_ground(record: &Record<'_>, outcome: &Outcome) -> Option<Meaning> {
    if !is_touch(record.service(), record.action()) {
        return None;
    }
    let request = record.request();
    let (kind, names) = match record.service() {
        "s3" => (TargetKind::Bucket, [&request.bucket_name, &None]),
        "iam" => (TargetKind::Role, [&request.role_name, &None]),
        "dynamodb" => (TargetKind::Table, [&request.table_name, &request.resource_arn]),
        "logs" => (TargetKind::LogGroup, [&request.log_group_name, &None]),
        _ => (TargetKind::Schedule, [&request.name, &None]),
    };
    Some(tampered(record, outcome, kind, Tamper::Touched, names))
}

/// Whether an operation can take from one of these what it does for a watch.
///
/// Sources: the API references of S3, IAM, DynamoDB, CloudWatch Logs and EventBridge Scheduler; the names that CloudTrail
/// has for those of S3 are in the S3 user guide, "Amazon S3 CloudTrail events".
fn is_touch(service: &str, action: &str) -> bool {
    match service {
        "s3" => matches!(
            action,
            "DeleteBucket"
                | "PutBucketPolicy"
                | "DeleteBucketPolicy"
                | "PutBucketAcl"
                | "PutBucketLifecycle"
                | "PutBucketLifecycleConfiguration"
                | "PutBucketVersioning"
                | "PutBucketPublicAccessBlock"
                | "DeleteBucketPublicAccessBlock"
                | "PutBucketNotification"
                | "PutBucketNotificationConfiguration"
                | "PutBucketEncryption"
                | "DeleteBucketEncryption"
                | "PutBucketObjectLockConfiguration"
                | "PutObjectLockConfiguration"
                | "PutBucketOwnershipControls"
                | "PutBucketReplication"
        ),
        "iam" => matches!(
            action,
            "UpdateAssumeRolePolicy"
                | "PutRolePolicy"
                | "DeleteRolePolicy"
                | "AttachRolePolicy"
                | "DetachRolePolicy"
                | "PutRolePermissionsBoundary"
                | "DeleteRolePermissionsBoundary"
                | "DeleteRole"
        ),
        "dynamodb" => matches!(
            action,
            "DeleteTable"
                | "UpdateTable"
                | "UpdateTimeToLive"
                | "UpdateContinuousBackups"
                | "PutResourcePolicy"
                | "DeleteResourcePolicy"
        ),
        "logs" => matches!(
            action,
            "DeleteLogGroup"
                | "DeleteLogStream"
                | "PutRetentionPolicy"
                | "DeleteMetricFilter"
                | "PutMetricFilter"
                | "DeleteSubscriptionFilter"
                | "AssociateKmsKey"
        ),
        "scheduler" => matches!(action, "UpdateSchedule" | "DeleteSchedule" | "DeleteScheduleGroup"),
        _ => false,
    }
}

/// A touch of the first of some names that is there, or else of what the record or its error's message names.
fn tampered<const N: usize>(
    record: &Record<'_>,
    outcome: &Outcome,
    kind: TargetKind,
    tamper: Tamper,
    names: [&Option<Cow<'_, str>>; N],
) -> Meaning {
    let named = names.into_iter().flatten().find_map(|name| Target::of(kind, name, record.place()));
    let target = named.or_else(|| touched(record, kind)).or_else(|| denied(record, outcome, kind));
    Meaning { what: What::Tamper(tamper), targets: target.into_iter().collect() }
}

fn of_sign_in(record: &Record<'_>) -> Option<Meaning> {
    if record.action() != "ConsoleLogin" {
        return None;
    }
    let mfa = record.additional().mfa_used.as_deref().map(|used| used.eq_ignore_ascii_case("yes"));
    Some(Meaning { what: What::Account(Account::ConsoleLogin { mfa }), targets: Vec::new() })
}

/// What concerns the account and nothing more particular.
fn of_account(record: &Record<'_>, outcome: &Outcome, actor: &Actor) -> Option<Meaning> {
    let account = match outcome {
        Outcome::Denied(_) => Account::Refused,
        // What a service does in root's name, root did not do: CIS AWS Foundations Benchmark, "usage of the root user".
        Outcome::Done | Outcome::Failed(_)
            if actor.kind == ActorKind::Root
                && actor.invoked_by.is_none()
                && record.event_type.as_deref() != Some("AwsServiceEvent") =>
        {
            Account::RootUse
        }
        Outcome::Done | Outcome::Failed(_) => return None,
    };
    let message = record.error_message.as_deref().unwrap_or_default();
    let kind = match record.service() {
        "secretsmanager" => Some(TargetKind::Secret),
        "ssm" if record.action().contains("Parameter") => Some(TargetKind::Parameter),
        _ => None,
    };
    let target = Target::denied(message, kind, record.place());
    Some(Meaning { what: What::Account(account), targets: target.into_iter().collect() })
}

fn outcome(record: &Record<'_>) -> Outcome {
    let message = || owned(&record.error_message);
    if let Some(code) = record.error_code.as_deref() {
        return if is_denial(code.as_bytes()) {
            Outcome::Denied(code.to_owned())
        } else {
            Outcome::Failed(code.to_owned())
        };
    }
    // A failed rotation has a message only; a failed sign-in may have neither, but an answer.
    let is_failed_sign_in =
        || record.service() == "signin" && record.response().console_login.as_deref() == Some("Failure");
    match message() {
        Some(message) => Outcome::Failed(message),
        None if is_failed_sign_in() => Outcome::Failed("Failure".to_owned()),
        None => Outcome::Done,
    }
}

/// Services have many words for it: `AccessDenied`, `AccessDeniedException`, `Client.UnauthorizedOperation`,
/// `UnauthorizedException`, `VpceAccessDenied`, `NotAuthorized`, …
pub(crate) fn is_denial(code: &[u8]) -> bool {
    let words: [&[u8]; 4] = [b"AccessDenied", b"Unauthorized", b"NotAuthorized", b"AuthorizationError"];
    words.iter().any(|word| code.windows(word.len()).any(|part| part == *word))
}

fn origin(text: &str) -> Origin {
    if let Ok(address) = text.parse() {
        Origin::Address(address)
    } else if text == "AWS Internal" || (text.ends_with(".amazonaws.com") && !text.contains(".compute")) {
        Origin::Aws(text.to_owned())
    } else {
        Origin::Other(text.to_owned())
    }
}

/// The thing of a kind that the record itself says was touched.
fn touched(record: &Record<'_>, kind: TargetKind) -> Option<Target> {
    let targets = record.resources.iter().filter_map(|resource| Target::from_arn(resource.arn()?, record.place()));
    targets.into_iter().find(|target| target.kind == kind)
}

fn denied(record: &Record<'_>, outcome: &Outcome, kind: TargetKind) -> Option<Target> {
    match outcome {
        Outcome::Denied(_) => Target::denied(record.error_message.as_deref()?, Some(kind), record.place()),
        Outcome::Done | Outcome::Failed(_) => None,
    }
}

/// A policy's text: within the record it is a text that holds JSON, and in logs that others have worked on, the JSON.
fn policy(json: Option<&RawValue>) -> String {
    match json.and_then(|json| serde_json::from_str::<Value>(json.get()).ok()) {
        Some(Value::String(text)) => text,
        Some(policy) => policy.to_string(),
        None => String::new(),
    }
}

fn version(id: &Option<Cow<'_, str>>) -> Option<VersionId> {
    VersionId::try_from(id.as_deref()?).ok()
}

fn owned(text: &Option<Cow<'_, str>>) -> Option<String> {
    text.as_deref().map(str::to_owned)
}

fn all(texts: &[Cow<'_, str>]) -> Vec<String> {
    texts.iter().map(|text| text.clone().into_owned()).collect()
}
