//! What a request asks for: service, action, parameters; and whether it is signed as AWS demands.

use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::{AwsError, REGION, WITHHELD};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    SecretsManager,
    Rds,
    Sns,
    DynamoDb,
    CloudWatch,
    EventBridge,
    S3,
    Kms,
    Ssm,
    Unknown,
}

impl Service {
    /// By the name in a signature's scope.
    fn by_scope(scope: &str) -> Self {
        match scope {
            "secretsmanager" => Self::SecretsManager,
            "rds" => Self::Rds,
            "sns" => Self::Sns,
            "dynamodb" => Self::DynamoDb,
            "monitoring" => Self::CloudWatch,
            "events" => Self::EventBridge,
            "s3" => Self::S3,
            "kms" => Self::Kms,
            "ssm" => Self::Ssm,
            _ => Self::Unknown,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::Rds => "rds",
            Self::Sns => "sns",
            Self::DynamoDb => "dynamodb",
            Self::CloudWatch => "cloudwatch",
            Self::EventBridge => "events",
            Self::S3 => "s3",
            Self::Kms => "kms",
            Self::Ssm => "ssm",
            Self::Unknown => "?",
        }
    }
}

/// A request, as far as it could be read.
pub(super) struct Operation {
    pub(super) service: Service,
    pub(super) action: String,
    /// The access key that signed it; empty where none did.
    pub(super) key: String,
    /// The parameters, or why the request is not acceptable. A form becomes an object of texts.
    pub(super) parameters: Result<Value, AwsError>,
}

impl Operation {
    pub(super) fn read(head: &Parts, body: &[u8]) -> Self {
        let scope = header(head, "authorization").map(Signature::parse);
        let service = match &scope {
            Some(Ok(signature)) => Service::by_scope(signature.service),
            Some(Err(_)) | None => Service::Unknown,
        };
        let key = match &scope {
            Some(Ok(signature)) => signature.key.to_owned(),
            Some(Err(_)) | None => String::new(),
        };
        let (action, parameters) = match service {
            Service::SecretsManager => read_json(head, body),
            Service::Rds => read_form(body),
            // Whether the parameters are right is for the emulator to say.
            Service::Sns => emulated_form(body),
            Service::DynamoDb | Service::EventBridge | Service::Ssm => {
                let action = header(head, "x-amz-target").and_then(|target| target.split_once('.'));
                let action = action.map(|(_, action)| action);
                (action.unwrap_or("?").to_owned(), Ok(serde_json::from_slice(body).unwrap_or(Value::Null)))
            }
            // Smithy's RPC v2: the action is in the path, and the parameters are CBOR.
            Service::CloudWatch => {
                let action = head.uri.path().rsplit_once("/operation/").map_or("?", |(_, action)| action);
                (action.to_owned(), Ok(Value::Null))
            }
            Service::S3 => read_rest(head),
            Service::Kms => {
                let action = header(head, "x-amz-target").and_then(|target| target.strip_prefix("TrentService."));
                (action.unwrap_or("?").to_owned(), Ok(serde_json::from_slice(body).unwrap_or(Value::Null)))
            }
            Service::Unknown => {
                ("?".to_owned(), Err(AwsError::new("UnknownOperationException", "no such service here")))
            }
        };
        let parameters = check_signature(head, scope).and(parameters);
        Self { service, action, key, parameters }
    }

    /// The parameters without anything secret.
    pub(super) fn recorded(&self) -> Value {
        let mut parameters = self.parameters.clone().unwrap_or(Value::Null);
        for name in ["SecretString", "SecretBinary", "RotationToken", "MasterUserPassword"] {
            if let Some(value) = parameters.get_mut(name) {
                *value = json!(WITHHELD);
            }
        }
        parameters
    }
}

fn read_json(head: &Parts, body: &[u8]) -> (String, Result<Value, AwsError>) {
    let Some(action) = header(head, "x-amz-target").and_then(|target| target.strip_prefix("secretsmanager.")) else {
        return ("?".into(), Err(AwsError::new("UnknownOperationException", "x-amz-target names no action")));
    };
    let parameters = if head.method != "POST" || head.uri.path() != "/" {
        Err(AwsError::new("UnknownOperationException", "only POST / is served"))
    } else if header(head, "content-type") != Some("application/x-amz-json-1.1") {
        Err(AwsError::new("SerializationException", "content-type is not application/x-amz-json-1.1"))
    } else {
        // The parser's own message could quote a secret.
        serde_json::from_slice(body).map_err(|_| AwsError::new("SerializationException", "the body is not JSON"))
    };
    (action.to_owned(), parameters)
}

/// S3's actions have no names: they are methods on paths. Only those that Relatch uses are told from each other.
fn read_rest(head: &Parts) -> (String, Result<Value, AwsError>) {
    let (bucket, key) = head.uri.path().trim_start_matches('/').split_once('/').unwrap_or_default();
    let query = head.uri.query().unwrap_or_default();
    let action = match (head.method.as_str(), key) {
        ("GET", "") if query.split('&').any(|part| part == "versions" || part == "versions=") => "ListObjectVersions",
        ("GET", "") if query.contains("list-type=2") => "ListObjectsV2",
        ("GET", _) if !key.is_empty() => "GetObject",
        ("PUT", _) if !key.is_empty() => "PutObject",
        _ => "?",
    };
    (action.to_owned(), Ok(json!({ "Bucket": bucket, "Key": key })))
}

fn emulated_form(body: &[u8]) -> (String, Result<Value, AwsError>) {
    let form: serde_json::Map<String, Value> =
        form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), json!(value))).collect();
    let action = form.get("Action").and_then(Value::as_str).unwrap_or("?").to_owned();
    (action, Ok(Value::Object(form)))
}

fn read_form(body: &[u8]) -> (String, Result<Value, AwsError>) {
    let mut form: serde_json::Map<String, Value> =
        form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), json!(value))).collect();
    let mut take = |name| form.remove(name).and_then(|value| value.as_str().map(str::to_owned));
    let (action, version) = (take("Action"), take("Version"));
    let parameters = match version.as_deref() {
        Some("2014-10-31") => Ok(Value::Object(form)),
        _ => Err(AwsError::new("NoSuchVersion", "the only version is 2014-10-31")),
    };
    (action.unwrap_or_else(|| "?".into()), parameters)
}

/// What SigV4's `Authorization` header says. The signature itself is not recomputed.
struct Signature<'a> {
    key: &'a str,
    region: &'a str,
    service: &'a str,
    date: &'a str,
    signed: Vec<&'a str>,
}

impl<'a> Signature<'a> {
    fn parse(header: &'a str) -> Result<Self, AwsError> {
        Self::read(header)
            .ok_or_else(|| AwsError::new("IncompleteSignatureException", "malformed Authorization header"))
    }

    fn read(header: &'a str) -> Option<Self> {
        let mut fields = header.strip_prefix("AWS4-HMAC-SHA256 ")?.split(',').map(str::trim);
        let scope = fields.next()?.strip_prefix("Credential=")?;
        let signed = fields.next()?.strip_prefix("SignedHeaders=")?.split(';').collect();
        let signature = fields.next()?.strip_prefix("Signature=")?;
        let [key, date, region, service, "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else {
            return None;
        };
        let hex = signature.len() == 64 && signature.bytes().all(|b| b.is_ascii_hexdigit());
        let dated = date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
        (fields.next().is_none() && !key.is_empty() && hex && dated).then_some(Self {
            key,
            region,
            service,
            date,
            signed,
        })
    }
}

fn check_signature(head: &Parts, scope: Option<Result<Signature<'_>, AwsError>>) -> Result<(), AwsError> {
    let signature =
        scope.ok_or_else(|| AwsError::new("MissingAuthenticationTokenException", "Missing Authentication Token"))??;
    let incomplete = |what: &str| Err(AwsError::new("IncompleteSignatureException", what));
    if signature.region != REGION {
        return Err(AwsError::new("InvalidSignatureException", "Credential should be scoped to a valid region."));
    }
    if !header(head, "x-amz-date").is_some_and(|date| date.starts_with(signature.date)) {
        return incomplete("x-amz-date is absent, or differs from the credential's date");
    }
    let must_be_signed = ["host", "x-amz-date", "x-amz-target", "x-amz-security-token"]
        .into_iter()
        .filter(|name| head.headers.contains_key(*name));
    for name in must_be_signed {
        if !signature.signed.contains(&name) {
            return incomplete(&format!("{name} is not signed"));
        }
    }
    Ok(())
}

fn header<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    head.headers.get(name).and_then(|value| value.to_str().ok())
}
