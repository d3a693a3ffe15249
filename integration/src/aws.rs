//! One HTTP endpoint that stands in for Secrets Manager and RDS, and behind which an emulator serves SNS, DynamoDB,
//! CloudWatch, S3 and KMS.
//!
//! Point `AWS_ENDPOINT_URL` at [`Endpoint::url`]. The endpoint tells the services apart by the scope of the
//! signature, records every call (never a secret value) and is where faults are injected. It is stricter than
//! AWS, never kinder: unknown actions and parameters are errors, and what is not sure of AWS is refused.
//!
//! | module | holds |
//! | --- | --- |
//! | [`store`] | secrets, versions and labels, and what a test may do to them by hand |
//! | [`secrets_manager`] | the actions on them, as awsJson1.1 |
//! | [`resource_policy`] | the actions on a secret's own policy, and what it denies |
//! | [`rds`] | scripted instances, clusters and proxies, as awsQuery |
//! | [`emulator`] | SNS, DynamoDB, CloudWatch, EventBridge, S3, KMS: a process of their own, started when it is first needed |
//! | [`account`] | an account of the emulator's own, into which templates are deployed |
//! | [`fault`] | what can go wrong with a call |

pub mod account;
pub mod emulator;
pub mod fault;
pub mod rds;
mod request;
pub mod resource_policy;
pub mod secrets_manager;
pub mod store;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use base64::{Engine, prelude::BASE64_STANDARD};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::http::request::{Builder, Parts};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

pub use fault::{Fault, Process};
pub use rds::Rds;
pub use store::Store;

use emulator::Emulator;
use fault::Faults;
use request::{Operation, Service};

/// The one region of the local cloud.
pub const REGION: &str = "eu-central-1";
/// The one account of the local cloud.
pub const ACCOUNT: &str = "123456789012";

/// The stand-in, listening on 127.0.0.1 until it is dropped.
pub struct Endpoint {
    url: String,
    cloud: Arc<Cloud>,
    server: AbortHandle,
}

/// What was asked and what became of it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Place in the order of arrival, from 1.
    pub sequence: u64,
    /// The service by its name in policies: `secretsmanager`, `rds`, `sns`, `dynamodb`, `cloudwatch`, `events`, `s3`,
    /// `kms`, `ssm`; `?` where the request does not say.
    pub service: &'static str,
    /// The action, such as `GetSecretValue`; `?` where the request does not say.
    pub action: String,
    /// The parameters; values of secrets and rotation tokens are replaced by [`WITHHELD`].
    pub parameters: Value,
    /// When the request had arrived.
    pub at: Timestamp,
    /// From arrival to the answer; `None` without an answer.
    pub took: Option<Duration>,
    /// HTTP status of the answer; `None` where none was given (yet).
    pub status: Option<u16>,
    /// The code of the error that was answered, such as `ResourceNotFoundException`.
    pub error: Option<&'static str>,
    /// The name of the fault that hit this call.
    pub fault: Option<&'static str>,
}

/// Stands in the records for what must not be in them.
pub const WITHHELD: &str = "(withheld)";

/// An error as the service answers it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AwsError {
    /// HTTP status.
    pub status: u16,
    /// The error's type, such as `InvalidRequestException`.
    pub code: &'static str,
    /// Its text. Never holds a secret value.
    pub message: String,
}

impl AwsError {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

impl Endpoint {
    /// Starts an endpoint without secrets and databases on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(Emulator::default()).await
    }

    /// Another endpoint with secrets and databases of its own, in front of the same emulator.
    ///
    /// # Errors
    /// As [`Endpoint::start`].
    pub async fn beside(&self) -> anyhow::Result<Self> {
        Self::with(self.cloud.emulator.clone()).await
    }

    async fn with(emulator: Emulator) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the AWS stand-in")?;
        let url = format!("http://{}", listener.local_addr()?);
        let cloud = Arc::new(Cloud { emulator, ..Cloud::default() });
        let server = tokio::spawn(serve(listener, cloud.clone())).abort_handle();
        Ok(Self { url, cloud, server })
    }

    /// Starts the emulator now, and not with the first call that needs it.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub async fn emulate(&self) -> anyhow::Result<()> {
        self.cloud.emulator.start().await
    }

    /// A call of the harness itself to the emulator, in JSON; it is not recorded, and no fault hits it.
    pub(crate) async fn emulated_json(&self, service: &str, target: &str, body: &Value) -> anyhow::Result<Value> {
        self.cloud.emulator.line().await?.json(service, target, body).await
    }

    /// The same as a form.
    pub(crate) async fn emulated_form(&self, service: &str, fields: &[(&str, &str)]) -> anyhow::Result<()> {
        self.cloud.emulator.line().await?.form(service, fields).await.map(drop)
    }

    async fn emulated_s3(&self, request: Builder, body: impl Into<Bytes>) -> anyhow::Result<()> {
        self.cloud.emulator.line().await?.call("s3", request, body).await.map(drop)
    }

    /// Whether EventBridge would hand an event to a rule with this pattern, whatever the rule's state. The emulator's
    /// own engine answers, which compiles patterns as AWS does and refuses what AWS refuses.
    ///
    /// # Errors
    /// When it is not a pattern, or not an event with EventBridge's envelope.
    pub async fn event_matches(&self, pattern: &Value, event: &Value) -> anyhow::Result<bool> {
        let question = json!({ "EventPattern": pattern.to_string(), "Event": event.to_string() });
        let answer = self.emulated_json("events", "AWSEvents.TestEventPattern", &question).await?;
        answer["Result"].as_bool().context("an answer without a result")
    }

    /// Makes a bucket; `locked`: what is written there is kept, in all its versions, for a year, and nobody can change
    /// that (Object Lock in compliance mode).
    ///
    /// # Errors
    /// When the emulator does not start, or refuses.
    pub async fn bucket(&self, name: &str, locked: bool) -> anyhow::Result<()> {
        let place = format!(
            "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
        );
        let bucket = Request::put(format!("/{name}")).header("x-amz-bucket-object-lock-enabled", locked.to_string());
        self.emulated_s3(bucket, place).await?;
        if locked {
            let rule = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
                        <Mode>COMPLIANCE</Mode><Years>1</Years></DefaultRetention></Rule></ObjectLockConfiguration>";
            self.emulated_s3(Request::put(format!("/{name}?object-lock")), rule).await?;
        }
        Ok(())
    }

    /// Puts an object into a bucket; there may be one of that key already. The key must need no encoding in a URL.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn put(&self, bucket: &str, key: &str, content: Vec<u8>) -> anyhow::Result<()> {
        self.emulated_s3(Request::put(format!("/{bucket}/{key}")), content).await
    }

    /// Takes an object out of a bucket; where versions are kept, it is only no longer seen.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn remove(&self, bucket: &str, key: &str) -> anyhow::Result<()> {
        self.emulated_s3(Request::delete(format!("/{bucket}/{key}")), Bytes::new()).await
    }

    /// Makes a key of KMS's that signs, and returns its ARN.
    ///
    /// # Errors
    /// When the emulator does not start, or refuses.
    pub async fn signing_key(&self) -> anyhow::Result<String> {
        let key = json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY" });
        let answer = self.emulated_json("kms", "TrentService.CreateKey", &key).await?;
        Ok(answer["KeyMetadata"]["Arn"].as_str().context("a key without an ARN")?.to_owned())
    }

    /// The public half of such a key, in DER.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn public_key(&self, key: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.emulated_json("kms", "TrentService.GetPublicKey", &json!({ "KeyId": key })).await?;
        Ok(BASE64_STANDARD.decode(answer["PublicKey"].as_str().context("no public key")?)?)
    }

    /// Writes an item of the table over, as somebody may who has got hold of it.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn tamper(&self, item: &Value) -> anyhow::Result<()> {
        let put = json!({ "TableName": emulator::TABLE, "Item": item });
        self.emulated_json("dynamodb", "DynamoDB_20120810.PutItem", &put).await.map(drop)
    }

    /// Writes a parameter of Systems Manager.
    ///
    /// # Errors
    /// When the emulator does not start, or refuses it.
    pub async fn put_parameter(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let parameter = json!({ "Name": name, "Value": value, "Type": "String", "Overwrite": true });
        self.emulated_json("ssm", "AmazonSSM.PutParameter", &parameter).await.map(drop)
    }

    /// Every item of the table, as DynamoDB writes them.
    ///
    /// # Errors
    /// When the emulator does not start.
    pub async fn table(&self) -> anyhow::Result<Vec<Value>> {
        let (mut items, mut request) = (Vec::new(), json!({ "TableName": emulator::TABLE }));
        loop {
            let mut page = self.emulated_json("dynamodb", "DynamoDB_20120810.Scan", &request).await?;
            items.extend(page["Items"].as_array().cloned().unwrap_or_default());
            let next = page["LastEvaluatedKey"].take();
            if next.is_null() {
                return Ok(items);
            }
            request["ExclusiveStartKey"] = next;
        }
    }

    /// The value for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The SDK's settings for it; whoever calls with them is the role `local`.
    pub fn sdk(&self) -> SdkConfig {
        sdk_at(&self.url, "local")
    }

    /// The same for another role, with an access key of its own.
    pub fn sdk_of(&self, role: &str) -> SdkConfig {
        let mut callers = self.cloud.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("ASIALOCAL{:07}", callers.len());
        callers.insert(key.clone(), format!("arn:aws:iam::{ACCOUNT}:role/{role}"));
        sdk_at(&self.url, &key)
    }

    /// The secrets.
    pub fn store(&self) -> &Store {
        &self.cloud.store
    }

    /// The databases.
    pub fn rds(&self) -> &Rds {
        &self.cloud.rds
    }

    /// Every call so far, in order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.calls_since(0)
    }

    /// The calls after the one with that sequence number.
    pub fn calls_since(&self, sequence: u64) -> Vec<Call> {
        self.cloud.journal().calls.iter().filter(|call| call.sequence > sequence).cloned().collect()
    }

    /// The sequence number of the latest call, 0 before the first.
    pub fn mark(&self) -> u64 {
        self.cloud.journal().calls.len() as u64
    }

    /// Injects `fault` once, into the `n`-th operation from now on (1 is the next). A client that repeats the
    /// call by itself then succeeds; see [`Endpoint::fault_from`] for a fault that outlasts that.
    pub fn fault_at(&self, n: u64, fault: Fault) {
        self.fault_on("*", n, Some(1), fault);
    }

    /// Injects `fault` into `times` operations in a row, or into all, starting with the `n`-th from now on.
    pub fn fault_from(&self, n: u64, times: Option<u64>, fault: Fault) {
        self.fault_on("*", n, times, fault);
    }

    /// Injects `fault` into every operation of that kind until the faults are cleared.
    pub fn fault_always(&self, operations: &str, fault: Fault) {
        self.fault_on(operations, 1, None, fault);
    }

    /// Injects `fault` into `times` operations of a kind (all for `None`), starting with the `n`-th of them from
    /// now on. `operations` is written as in a policy: `secretsmanager:GetSecretValue`, `rds:*`, `*`.
    ///
    /// Faults add up; each counts by itself, and the one set first wins where two would hit the same call.
    pub fn fault_on(&self, operations: &str, n: u64, times: Option<u64>, fault: Fault) {
        self.cloud.journal().faults.add(operations, n, times, fault);
    }

    /// Takes back every fault, also those that have not hit yet.
    pub fn clear_faults(&self) {
        self.cloud.journal().faults = Faults::default();
    }
}

/// The SDK's settings for whatever answers at that address, with that access key. The environment has no say in them.
pub fn sdk_at(url: &str, access_key: &str) -> SdkConfig {
    let credentials = Credentials::new(access_key, "local", None, None, "local");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Default)]
struct Cloud {
    store: Store,
    rds: Rds,
    journal: Mutex<Journal>,
    /// The roles behind access keys.
    callers: Mutex<BTreeMap<String, String>>,
    emulator: Emulator,
}

#[derive(Default)]
struct Journal {
    calls: Vec<Call>,
    faults: Faults,
}

async fn serve(listener: TcpListener, cloud: Arc<Cloud>) {
    // The connections live in this task, so that they end with the endpoint.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let cloud = cloud.clone();
        connections.spawn(async move {
            let service = service_fn(|request| cloud.answer(request));
            // An error here is a client that went away, or a call that was to get no answer.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Makes hyper close the connection without a word.
#[derive(Debug, thiserror::Error)]
#[error("no answer for this call")]
struct Hangup;

type Answer = Result<Response<Full<Bytes>>, Hangup>;

impl Cloud {
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Hangup)?.to_bytes();
        let arrived = Instant::now();
        let operation = Operation::read(&head, &body);
        let (sequence, fault) = self.admit(&operation);
        let request = Asked { head: &head, body, operation: &operation };
        let send = |result: Result<Reply, AwsError>| {
            let (reply, error) = match result {
                Ok(reply) => (reply, None),
                Err(error) => (operation.service.refusal(&error), Some(error.code)),
            };
            self.close(sequence, arrived, reply.status, error);
            reply.send()
        };
        let Some(fault) = fault else {
            return send(self.carry_out(&request, false).await);
        };
        match fault {
            Fault::Refuse => send(Err(operation.service.unavailable())),
            Fault::Throttle => send(Err(operation.service.throttled())),
            Fault::Deny => send(Err(operation.service.denied(&operation.action))),
            Fault::StaleLabels => send(self.carry_out(&request, true).await),
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                send(self.carry_out(&request, false).await)
            }
            Fault::Garble => {
                let _ = self.carry_out(&request, false).await;
                send(Ok(Reply::of(operation.service, "\u{fffd}{<not an answer".into())))
            }
            Fault::Hangup => Err(Hangup),
            Fault::DropReply => {
                let _ = self.carry_out(&request, false).await;
                Err(Hangup)
            }
            Fault::Silence => std::future::pending().await,
            Fault::KillBefore(process) => {
                process.signal(Signal::SIGKILL);
                std::future::pending().await
            }
            Fault::KillAfter(process) => {
                let _ = self.carry_out(&request, false).await;
                process.signal(Signal::SIGKILL);
                std::future::pending().await
            }
            Fault::FreezeBefore(process) => {
                process.signal(Signal::SIGSTOP);
                std::future::pending().await
            }
            Fault::FreezeAfter(process) => {
                process.signal(Signal::SIGSTOP);
                send(self.carry_out(&request, false).await)
            }
        }
    }

    /// Writes the call down and decides whether a fault hits it, in one go, so that both count alike.
    fn admit(&self, operation: &Operation) -> (u64, Option<Fault>) {
        let mut journal = self.journal();
        let sequence = journal.calls.len() as u64 + 1;
        let fault = journal
            .faults
            .hit(operation.service.name(), &operation.action)
            .filter(|fault| !matches!(fault, Fault::StaleLabels) || secrets_manager::reads_labels(&operation.action));
        journal.calls.push(Call {
            sequence,
            service: operation.service.name(),
            action: operation.action.clone(),
            parameters: operation.recorded(),
            at: Timestamp::now(),
            took: None,
            status: None,
            error: None,
            fault: fault.as_ref().map(Fault::name),
        });
        (sequence, fault)
    }

    fn close(&self, sequence: u64, arrived: Instant, status: u16, error: Option<&'static str>) {
        if let Some(call) = self.journal().calls.iter_mut().find(|call| call.sequence == sequence) {
            (call.took, call.status, call.error) = (Some(arrived.elapsed()), Some(status), error);
        }
    }

    fn caller(&self, key: &str) -> String {
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.get(key).cloned().unwrap_or_else(|| format!("arn:aws:iam::{ACCOUNT}:role/local"))
    }

    async fn carry_out(&self, request: &Asked<'_>, stale: bool) -> Result<Reply, AwsError> {
        let Operation { service, action, key, parameters } = request.operation;
        let parameters = parameters.clone()?;
        match service {
            Service::SecretsManager => secrets_manager::call(&self.store, action, parameters, stale, &self.caller(key))
                .map(|body| Reply::of(*service, body.to_string())),
            Service::Rds => self.rds.call(action, parameters).map(|body| Reply::of(*service, body)),
            Service::Sns
            | Service::DynamoDb
            | Service::CloudWatch
            | Service::EventBridge
            | Service::S3
            | Service::Kms
            | Service::Ssm => {
                let answer = self.emulator.forward(request.head, request.body.clone()).await;
                answer.map(Reply::from).map_err(|problem| {
                    AwsError::new("InternalFailure", format!("the emulator: {problem:#}")).with_status(500)
                })
            }
            Service::Unknown => Err(AwsError::new("UnknownOperationException", "no such service here")),
        }
    }
}

/// A request, read and as it came.
struct Asked<'a> {
    head: &'a Parts,
    body: Bytes,
    operation: &'a Operation,
}

/// What is answered.
struct Reply {
    status: u16,
    headers: Vec<(String, HeaderValue)>,
    body: Bytes,
}

impl Reply {
    fn of(service: Service, body: String) -> Self {
        let headers = vec![
            ("content-type".to_owned(), HeaderValue::from_static(service.content_type())),
            ("x-amzn-requestid".to_owned(), request_id()),
        ];
        Self { status: 200, headers, body: body.into() }
    }

    fn send(self) -> Answer {
        let mut response = Response::builder().status(StatusCode::from_u16(self.status).map_err(|_| Hangup)?);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        response.body(Full::from(self.body)).map_err(|_| Hangup)
    }
}

impl From<Response<Bytes>> for Reply {
    fn from(answer: Response<Bytes>) -> Self {
        let (head, body) = answer.into_parts();
        let kept = |name: &str| !matches!(name, "transfer-encoding" | "content-length" | "connection");
        let headers = head.headers.iter().filter(|(name, _)| kept(name.as_str()));
        let headers = headers.map(|(name, value)| (name.to_string(), value.clone())).collect();
        Self { status: head.status.as_u16(), headers, body }
    }
}

fn request_id() -> HeaderValue {
    HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()).unwrap_or(HeaderValue::from_static("-"))
}

impl Service {
    fn content_type(self) -> &'static str {
        match self {
            Self::SecretsManager | Self::EventBridge | Self::Kms | Self::Ssm | Self::Unknown => {
                "application/x-amz-json-1.1"
            }
            Self::DynamoDb => "application/x-amz-json-1.0",
            Self::Rds | Self::Sns | Self::S3 => "text/xml",
            Self::CloudWatch => "application/cbor",
        }
    }

    fn refusal(self, error: &AwsError) -> Reply {
        let body = match self {
            Self::SecretsManager | Self::EventBridge | Self::Kms | Self::Ssm | Self::Unknown => {
                json!({ "__type": error.code, "Message": error.message }).to_string()
            }
            Self::DynamoDb => {
                let kind = format!("com.amazonaws.dynamodb.v20120810#{}", error.code);
                json!({ "__type": kind, "message": error.message }).to_string()
            }
            Self::Rds | Self::Sns => rds::error_document(error),
            Self::S3 => format!("<Error><Code>{}</Code><Message>{}</Message></Error>", error.code, error.message),
            Self::CloudWatch => String::new(),
        };
        let mut reply = Reply::of(self, body);
        if self == Self::CloudWatch {
            // An empty map in CBOR; the code goes into a header.
            reply.body = Bytes::from_static(&[0xa0]);
            reply.headers.push(("smithy-protocol".to_owned(), HeaderValue::from_static("rpc-v2-cbor")));
            let code = HeaderValue::from_static(error.code);
            reply.headers.push(("x-amzn-errortype".to_owned(), code));
        }
        Reply { status: error.status, ..reply }
    }

    fn unavailable(self) -> AwsError {
        let code = match self {
            Self::Rds | Self::Sns | Self::CloudWatch | Self::S3 => "ServiceUnavailable",
            Self::DynamoDb => "InternalServerError",
            Self::Kms => "KMSInternalException",
            Self::EventBridge => "InternalException",
            Self::SecretsManager | Self::Ssm | Self::Unknown => "ServiceUnavailableException",
        };
        AwsError::new(code, "The service is unavailable.").with_status(503)
    }

    fn throttled(self) -> AwsError {
        let code = match self {
            Self::Rds | Self::Sns | Self::CloudWatch => "Throttling",
            Self::DynamoDb => "ProvisionedThroughputExceededException",
            Self::S3 => return AwsError::new("SlowDown", "Please reduce your request rate.").with_status(503),
            Self::SecretsManager | Self::EventBridge | Self::Kms | Self::Ssm | Self::Unknown => "ThrottlingException",
        };
        AwsError::new(code, "Rate exceeded")
    }

    fn denied(self, action: &str) -> AwsError {
        let (code, status) = match self {
            Self::Rds | Self::CloudWatch | Self::S3 => ("AccessDenied", 403),
            Self::Sns => ("AuthorizationError", 403),
            Self::SecretsManager | Self::DynamoDb | Self::EventBridge | Self::Kms | Self::Ssm | Self::Unknown => {
                ("AccessDeniedException", 400)
            }
        };
        let message = format!(
            "User: arn:aws:sts::{ACCOUNT}:assumed-role/local/local is not authorized to perform: {}:{action} \
             because no identity-based policy allows the {}:{action} action",
            self.name(),
            self.name(),
        );
        AwsError::new(code, message).with_status(status)
    }
}

/// One page of a list: its entries, and where the next one begins. Tokens are positions in the list; `None` for
/// one that is not.
fn page<T>(entries: Vec<T>, size: usize, token: Option<&str>) -> Option<(Vec<T>, Option<String>)> {
    let start = token.map_or(Some(0), |token| token.parse().ok())?;
    let end = size.saturating_add(start);
    let next = (end < entries.len()).then(|| end.to_string());
    Some((entries.into_iter().skip(start).take(size).collect(), next))
}
