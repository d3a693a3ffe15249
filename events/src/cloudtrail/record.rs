//! One record of CloudTrail.

use super::{
    field::{self, flag, number, object, objects, text, texts},
    identity::UserIdentity,
    packed::Medium,
    target::Place,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One event, as CloudTrail writes it, borrowed from the bytes that hold it.
///
/// Every field may be absent, and is when it is of another type than here, or empty: no record is lost for a field.
/// Fields that nothing asks for are skipped. What a call was told and answered stays as it is until it is asked for.
///
/// Source: the CloudTrail user guide, "CloudTrail record contents for management, data, and network activity events".
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Record<'a> {
    /// Who made the call.
    #[serde(borrow, rename = "userIdentity", deserialize_with = "object")]
    pub user_identity: UserIdentity<'a>,
    /// When, in RFC 3339.
    #[serde(borrow, rename = "eventTime", deserialize_with = "text")]
    pub event_time: Option<Cow<'a, str>>,
    /// The service that was called: `secretsmanager.amazonaws.com`.
    #[serde(borrow, rename = "eventSource", deserialize_with = "text")]
    pub event_source: Option<Cow<'a, str>>,
    /// The operation: `GetSecretValue`.
    #[serde(borrow, rename = "eventName", deserialize_with = "text")]
    pub event_name: Option<Cow<'a, str>>,
    /// The region that was called.
    #[serde(borrow, rename = "awsRegion", deserialize_with = "text")]
    pub aws_region: Option<Cow<'a, str>>,
    /// An address, a service's host, or `AWS Internal`.
    #[serde(borrow, rename = "sourceIPAddress", deserialize_with = "text")]
    pub source_ip_address: Option<Cow<'a, str>>,
    /// With which program.
    #[serde(borrow, rename = "userAgent", deserialize_with = "text")]
    pub user_agent: Option<Cow<'a, str>>,
    /// The error's code, if the call failed.
    #[serde(borrow, rename = "errorCode", deserialize_with = "text")]
    pub error_code: Option<Cow<'a, str>>,
    /// The error's message. Service events have one without a code.
    #[serde(borrow, rename = "errorMessage", deserialize_with = "text")]
    pub error_message: Option<Cow<'a, str>>,
    /// What the call was told, as JSON. Null in the events of most denied calls.
    #[serde(borrow, rename = "requestParameters")]
    pub request_parameters: Option<&'a RawValue>,
    /// What the call answered, as JSON. Null for calls that only read.
    #[serde(borrow, rename = "responseElements")]
    pub response_elements: Option<&'a RawValue>,
    /// What else the service tells, as JSON.
    #[serde(borrow, rename = "additionalEventData")]
    pub additional_event_data: Option<&'a RawValue>,
    /// What was touched.
    #[serde(borrow, deserialize_with = "objects")]
    pub resources: Vec<Resource<'a>>,
    /// The service's id of the request.
    #[serde(borrow, rename = "requestID", deserialize_with = "text")]
    pub request_id: Option<Cow<'a, str>>,
    /// CloudTrail's id of the event.
    #[serde(borrow, rename = "eventID", deserialize_with = "text")]
    pub event_id: Option<Cow<'a, str>>,
    /// The same in the copies that several accounts get.
    #[serde(borrow, rename = "sharedEventID", deserialize_with = "text")]
    pub shared_event_id: Option<Cow<'a, str>>,
    /// `AwsApiCall`, `AwsServiceEvent`, `AwsConsoleSignIn`, `AwsVpceEvent`, …
    #[serde(borrow, rename = "eventType", deserialize_with = "text")]
    pub event_type: Option<Cow<'a, str>>,
    /// The account that received the event.
    #[serde(borrow, rename = "recipientAccountId", deserialize_with = "text")]
    pub recipient_account_id: Option<Cow<'a, str>>,
    /// Whether the session's credentials came from the console.
    #[serde(rename = "sessionCredentialFromConsole", deserialize_with = "flag")]
    pub session_credential_from_console: Option<bool>,
}

/// Something that was touched. Services spell its ARN in two ways.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Resource<'a> {
    #[serde(borrow, rename = "ARN", deserialize_with = "text")]
    upper: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "arn", deserialize_with = "text")]
    lower: Option<Cow<'a, str>>,
}

impl Resource<'_> {
    /// Its ARN.
    pub fn arn(&self) -> Option<&str> {
        self.upper.as_deref().or(self.lower.as_deref())
    }
}

/// Why something is no record. It quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// It breaks off, or is no JSON, or says something twice.
    #[error("not the JSON of a record")]
    NotJson,
    /// It is JSON, and no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// It says neither what happened nor what kind of an event it is, so it is none of CloudTrail's.
    #[error("neither eventName nor eventType")]
    NotARecord,
    /// It is larger than any event can be.
    #[error("larger than {} bytes", super::log::LARGEST)]
    TooLarge,
    /// The file is none of CloudTrail's, or goes on with something else than records.
    #[error("not a list of records")]
    NotAList,
    /// The file ends before it should.
    #[error("it breaks off")]
    BreaksOff,
    /// It is something else, which is known.
    #[error("{0}")]
    Medium(Medium),
}

impl<'a> Record<'a> {
    /// Reads one record.
    ///
    /// # Errors
    /// When the bytes are not one JSON object, or one that says nothing of an event.
    pub fn parse(json: &'a [u8]) -> Result<Self, Malformed> {
        let first = json.iter().find(|byte| !byte.is_ascii_whitespace());
        let record: Self = serde_json::from_slice(json).map_err(|_| match first {
            Some(b'{') => Malformed::NotJson,
            Some(_) if serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok() => Malformed::NotAnObject,
            Some(_) | None => Malformed::NotJson,
        })?;
        match (first, &record.event_name, &record.event_type) {
            // An array would do for a structure, field by field.
            (Some(b'{'), None, None) => Err(Malformed::NotARecord),
            (Some(b'{'), _, _) => Ok(record),
            (_, _, _) => Err(Malformed::NotAnObject),
        }
    }

    /// The service that was called, without its domain: `secretsmanager`.
    pub fn service(&self) -> &str {
        self.event_source.as_deref().map_or("", |source| source.split('.').next().unwrap_or_default())
    }

    /// The operation.
    pub fn action(&self) -> &str {
        self.event_name.as_deref().unwrap_or_default()
    }

    /// Where the names in it are to be understood.
    pub fn place(&self) -> Place<'_> {
        Place {
            region: self.aws_region.as_deref(),
            account: self.recipient_account_id.as_deref().or(self.user_identity.account_id.as_deref()),
        }
    }

    /// What the call was told, of what any of our facts needs.
    pub(crate) fn request(&self) -> Parameters<'a> {
        self.request_parameters.map(field::fields).unwrap_or_default()
    }

    /// What the call answered.
    pub(crate) fn response(&self) -> Parameters<'a> {
        self.response_elements.map(field::fields).unwrap_or_default()
    }

    /// What else the service tells.
    pub(crate) fn additional(&self) -> Parameters<'a> {
        self.additional_event_data.map(field::fields).unwrap_or_default()
    }
}

/// The parameters and answers that facts are made of, over all operations: their names mean the same wherever they
/// occur. Names as CloudTrail spells them, which begins with a small letter what the APIs begin with a capital.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Parameters<'a> {
    // Secrets Manager
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) secret_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) secret_id_list: Vec<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "objects")]
    pub(crate) filters: Vec<Filter<'a>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) version_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) version_stage: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) version_stages: Vec<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) client_request_token: Option<Cow<'a, str>>,
    /// Hidden by CloudTrail; that it is there tells that a value was written. Never looked at.
    pub(crate) secret_string: Option<Present>,
    pub(crate) secret_binary: Option<Present>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) kms_key_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) remove_from_version_id: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) move_to_version_id: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "flag")]
    pub(crate) force_delete_without_recovery: Option<bool>,
    #[serde(deserialize_with = "number")]
    pub(crate) recovery_window_in_days: Option<u32>,
    pub(crate) resource_policy: Option<&'a RawValue>,
    #[serde(deserialize_with = "flag")]
    pub(crate) block_public_policy: Option<bool>,
    #[serde(borrow, rename = "rotationLambdaARN", deserialize_with = "text")]
    pub(crate) rotation_lambda_arn: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "flag")]
    pub(crate) rotate_immediately: Option<bool>,
    #[serde(borrow, deserialize_with = "object")]
    pub(crate) rotation_rules: RotationRules<'a>,
    #[serde(borrow, deserialize_with = "objects")]
    pub(crate) tags: Vec<Tag<'a>>,
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) tag_keys: Vec<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "objects")]
    pub(crate) add_replica_regions: Vec<Region<'a>>,
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) remove_replica_regions: Vec<Cow<'a, str>>,
    // An ARN, in each spelling of an answer: "arn", before 2024 "aRN", in service events "ARN" and "SecretId".
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) arn: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "aRN", deserialize_with = "text")]
    pub(crate) arn_before_2024: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "ARN", deserialize_with = "text")]
    pub(crate) upper_arn: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "SecretId", deserialize_with = "text")]
    pub(crate) upper_secret_id: Option<Cow<'a, str>>,
    // A secret, a parameter, a trail, a rule.
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) name: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "Name", deserialize_with = "text")]
    pub(crate) upper_name: Option<Cow<'a, str>>,
    // Systems Manager
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) names: Vec<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) path: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "flag")]
    pub(crate) recursive: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub(crate) with_decryption: Option<bool>,
    // KMS
    #[serde(borrow, deserialize_with = "object")]
    pub(crate) encryption_context: EncryptionContext<'a>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) key_id: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "number")]
    pub(crate) pending_window_in_days: Option<u32>,
    pub(crate) policy: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) grantee_principal: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) operations: Vec<Cow<'a, str>>,
    // RDS. CloudTrail hides the password as "****".
    #[serde(borrow, rename = "dBInstanceIdentifier", deserialize_with = "text")]
    pub(crate) db_instance: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "dBClusterIdentifier", deserialize_with = "text")]
    pub(crate) db_cluster: Option<Cow<'a, str>>,
    pub(crate) master_user_password: Option<Present>,
    #[serde(deserialize_with = "flag")]
    pub(crate) manage_master_user_password: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub(crate) rotate_master_user_password: Option<bool>,
    // CloudTrail
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) trail_name: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "flag")]
    pub(crate) is_multi_region_trail: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub(crate) include_global_service_events: Option<bool>,
    #[serde(deserialize_with = "flag")]
    pub(crate) enable_log_file_validation: Option<bool>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) s3_bucket_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "objects")]
    pub(crate) event_selectors: Vec<EventSelector<'a>>,
    #[serde(borrow, deserialize_with = "objects")]
    pub(crate) advanced_event_selectors: Vec<AdvancedSelector<'a>>,
    // EventBridge
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) rule: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) event_bus_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) state: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) event_pattern: Option<Cow<'a, str>>,
    // Lambda
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) function_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) function_arn: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "number")]
    pub(crate) reserved_concurrent_executions: Option<u32>,
    #[serde(borrow, rename = "uUID", deserialize_with = "text")]
    pub(crate) uuid: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "flag")]
    pub(crate) enabled: Option<bool>,
    // SNS, SQS, CloudWatch
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) topic_arn: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) subscription_arn: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) attribute_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) queue_url: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) alarm_names: Vec<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) alarm_name: Option<Cow<'a, str>>,
    // What a watch stands on: S3, IAM, DynamoDB, CloudWatch Logs, CloudTrail's lake
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) bucket_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) role_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) table_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) resource_arn: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) log_group_name: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) event_data_store: Option<Cow<'a, str>>,
    // Sign-in
    #[serde(borrow, rename = "ConsoleLogin", deserialize_with = "text")]
    pub(crate) console_login: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "MFAUsed", deserialize_with = "text")]
    pub(crate) mfa_used: Option<Cow<'a, str>>,
}

/// That a field is there, whatever it says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Present;

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter<'a> {
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) key: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) values: Vec<Cow<'a, str>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RotationRules<'a> {
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) schedule_expression: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) automatically_after_days: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Tag<'a> {
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) key: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Region<'a> {
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) region: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EncryptionContext<'a> {
    #[serde(borrow, rename = "SecretARN", deserialize_with = "text")]
    pub(crate) secret_arn: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "SecretVersionId", deserialize_with = "text")]
    pub(crate) secret_version_id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "PARAMETER_ARN", deserialize_with = "text")]
    pub(crate) parameter_arn: Option<Cow<'a, str>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct EventSelector<'a> {
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) read_write_type: Option<Cow<'a, str>>,
    #[serde(deserialize_with = "flag")]
    pub(crate) include_management_events: Option<bool>,
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) exclude_management_event_sources: Vec<Cow<'a, str>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AdvancedSelector<'a> {
    #[serde(borrow, deserialize_with = "objects")]
    pub(crate) field_selectors: Vec<FieldSelector<'a>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct FieldSelector<'a> {
    #[serde(borrow, deserialize_with = "text")]
    pub(crate) field: Option<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) equals: Vec<Cow<'a, str>>,
    #[serde(borrow, deserialize_with = "texts")]
    pub(crate) not_equals: Vec<Cow<'a, str>>,
}
