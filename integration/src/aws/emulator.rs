//! SNS, SQS, DynamoDB, CloudWatch, S3 and KMS: ministack, an emulator in Python, as a process of our own behind the endpoint.
//!
//! It is started by the first call that needs it, and ends with its owner. `scripts/setup` installs it, in a virtual
//! environment of its own in the user's cache. What is strict about it is said in
//! `docs/decisions/0010-an-emulator-behind-our-endpoint.md`.

use std::env;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::http::request::{Builder, Parts};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, oneshot};

use super::{ACCOUNT, REGION};

/// The table that Relatch's functions are given: as the template makes it.
pub const TABLE: &str = "relatch";
/// The topic that they are given.
pub const TOPIC: &str = "alerts";

/// An emulator that is started when it is first needed. A clone is the same one.
#[derive(Clone, Default)]
pub(super) struct Emulator(Arc<OnceCell<Running>>);

/// The emulator's process, which ends when this is dropped.
pub(super) struct Running {
    pub(super) line: Line,
    process: Child,
    /// What it writes goes here.
    _files: TempDir,
    /// Dropped with this, and with it the thread ends that started the process.
    _keeper: oneshot::Sender<()>,
}

/// How the emulator is called.
#[derive(Clone, Copy)]
pub(super) struct Line {
    port: u16,
    /// What policies are told that a call came over.
    protocol: &'static str,
}

impl Emulator {
    /// Starts it, if it is not there yet.
    pub(super) async fn start(&self) -> Result<()> {
        self.line().await.map(drop)
    }

    /// Hands a request on, as it came, and the answer back.
    pub(super) async fn forward(&self, head: &Parts, body: Bytes) -> Result<Response<Bytes>> {
        let mut request = Request::builder().method(&head.method).uri(&head.uri);
        for (name, value) in &head.headers {
            request = request.header(name, value);
        }
        self.line().await?.send(request.body(Full::new(body))?).await
    }

    /// For calls of the harness itself, which nobody records.
    pub(super) async fn line(&self) -> Result<Line> {
        let furnished = async || {
            let running = Running::start(&[]).await?;
            furnish(running.line).await.map(|()| running)
        };
        Ok(self.0.get_or_try_init(furnished).await?.line)
    }
}

impl Running {
    /// Starts it, with these settings besides its usual ones.
    pub(super) async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let hypercorn = installed()?;
        let files = tempfile::tempdir()?;
        // The socket is ours, and listens already: there is no port to be lost to somebody else, and whoever comes
        // before the emulator is ready waits in the queue.
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(hypercorn);
        command.args([
            "--bind",
            "fd://0",
            "-w",
            "0",
            "--keep-alive",
            "75",
            "--log-level",
            "ERROR",
            "ministack.app:app",
        ]);
        let folder = |name: &str| files.path().join(name).into_os_string();
        command.env_clear().envs([
            ("PATH", "/usr/bin:/bin".into()),
            ("GATEWAY_PORT", port.to_string().into()),
            ("MINISTACK_ACCOUNT_ID", ACCOUNT.into()),
            ("MINISTACK_REGION", REGION.into()),
            ("LOG_LEVEL", "ERROR".into()),
            ("SFTP_ENABLED", "0".into()),
            ("IOT_MTLS_ENABLED", "0".into()),
            ("DOCKER_HOST", "unix:///nonexistent".into()),
            ("HOME", folder("")),
            ("TMPDIR", folder("")),
            ("STATE_DIR", folder("state")),
            ("S3_DATA_DIR", folder("s3")),
        ]);
        command.envs(settings.iter().copied());
        command.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::null()).stderr(Stdio::null());
        let (process, keeper) = keep(command).await?;
        Ok(Self { line: Line { port, protocol: "http" }, process, _files: files, _keeper: keeper })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Line {
    /// As if over TLS, which policies ask for.
    pub(super) const fn secure(self) -> Self {
        Self { protocol: "https", ..self }
    }

    /// A call of the account's owner, in JSON.
    pub(super) async fn json(self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let request = Request::post("/").header("x-amz-target", target);
        let request = request.header("content-type", "application/x-amz-json-1.0");
        Ok(serde_json::from_slice(&self.call(service, request, body.to_string()).await?).unwrap_or_default())
    }

    /// The same as a form.
    pub(super) async fn form(self, service: &str, fields: &[(impl AsRef<str>, impl AsRef<str>)]) -> Result<Bytes> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post("/").header("content-type", "application/x-www-form-urlencoded");
        self.call(service, request, form).await
    }

    /// The same of a service that is spoken to by methods and paths.
    pub(super) async fn call(self, service: &str, request: Builder, body: impl Into<Bytes>) -> Result<Bytes> {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let request = request.header("host", "localhost").header("authorization", scope);
        let answer = self.send(request.body(Full::new(body.into()))?).await?;
        let text = || String::from_utf8_lossy(answer.body()).into_owned();
        ensure!(answer.status().is_success(), "the emulator refused: {}: {}", answer.status(), text());
        Ok(answer.into_body())
    }

    /// Sends a request as it came.
    pub(super) async fn send(self, mut request: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
        request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static(self.protocol));
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.context("the emulator is gone")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.context("the emulator does not answer")?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok(Response::from_parts(head, body))
    }
}

/// Makes what the template makes: the table and the topic.
async fn furnish(line: Line) -> Result<()> {
    let table = json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            { "AttributeName": "pk", "AttributeType": "S" },
            { "AttributeName": "sk", "AttributeType": "S" },
        ],
        "KeySchema": [
            { "AttributeName": "pk", "KeyType": "HASH" },
            { "AttributeName": "sk", "KeyType": "RANGE" },
        ],
    });
    line.json("dynamodb", "DynamoDB_20120810.CreateTable", &table).await?;
    let expiry =
        json!({ "TableName": TABLE, "TimeToLiveSpecification": { "Enabled": true, "AttributeName": "expires" } });
    line.json("dynamodb", "DynamoDB_20120810.UpdateTimeToLive", &expiry).await?;
    line.form("sns", &[("Action", "CreateTopic"), ("Version", "2010-03-31"), ("Name", TOPIC)]).await.map(drop)
}

/// Starts a process by a thread that lives as long as it: "parent death" is the death of the thread that forked.
async fn keep(mut command: Command) -> Result<(Child, oneshot::Sender<()>)> {
    let (keeper, end) = oneshot::channel::<()>();
    let (report, reported) = oneshot::channel();
    thread::Builder::new().name("emulator".into()).spawn(move || {
        let _ = report.send(command.spawn().context("starting the emulator"));
        let _ = end.blocking_recv();
    })?;
    Ok((reported.await.context("the thread that starts the emulator died")??, keeper))
}

/// The program that serves the emulator: where `RELATCH_EMULATOR` says, or where `scripts/setup` has put it.
fn installed() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(env::home_dir()?.join(".cache"))).context("there is no home directory")?;
    let ours = |name: &str| name.starts_with("emulator-");
    let found = cache.join("relatch").read_dir().into_iter().flatten().flatten();
    let mut found = found.filter(|entry| entry.file_name().to_str().is_some_and(ours)).map(|entry| entry.path());
    let folder = env::var_os("RELATCH_EMULATOR").map(PathBuf::from);
    let folder = folder.or_else(|| found.find(|path| path.join("complete").is_file()));
    Ok(folder.context("the emulator is not installed: run scripts/setup")?.join("bin/hypercorn"))
}
