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
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
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

struct Running {
    port: u16,
    /// The emulator's process; the thread that started it waits until this is dropped.
    process: Arc<Mutex<Option<Child>>>,
    /// What it writes goes here.
    _files: TempDir,
    /// Dropped with this, and with it the thread ends.
    _keeper: oneshot::Sender<()>,
}

impl Emulator {
    /// Starts it, if it is not there yet.
    pub(super) async fn start(&self) -> Result<()> {
        self.running().await.map(drop)
    }

    /// Hands a request on, as it came, and the answer back.
    pub(super) async fn forward(&self, head: &Parts, body: Bytes) -> Result<Response<Bytes>> {
        let mut request = Request::builder().method(&head.method).uri(&head.uri);
        for (name, value) in &head.headers {
            request = request.header(name, value);
        }
        self.running().await?.send(request.body(Full::new(body))?).await
    }

    /// A call of the harness itself, which nobody records.
    pub(super) async fn own(&self, service: &str, target: Option<&str>, body: String) -> Result<Bytes> {
        self.running().await?.own(service, target, body).await
    }

    /// The same of a service that is spoken to by methods and paths.
    pub(super) async fn rest(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Bytes> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.running().await?.authorized(service, request, body).await
    }

    async fn running(&self) -> Result<&Running> {
        self.0.get_or_try_init(Running::start).await
    }
}

impl Running {
    async fn start() -> Result<Self> {
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
        command.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::null()).stderr(Stdio::null());
        let (process, keeper) = keep(command).await?;
        let running = Self { port, process, _files: files, _keeper: keeper };
        running.furnish().await?;
        Ok(running)
    }

    /// Makes what the template makes: the table and the topic.
    async fn furnish(&self) -> Result<()> {
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
        self.dynamodb("CreateTable", table).await?;
        let expiry =
            json!({ "TableName": TABLE, "TimeToLiveSpecification": { "Enabled": true, "AttributeName": "expires" } });
        self.dynamodb("UpdateTimeToLive", expiry).await?;
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("Action", "CreateTopic"), ("Version", "2010-03-31"), ("Name", TOPIC)])
            .finish();
        self.own("sns", None, form).await.map(drop)
    }

    async fn dynamodb(&self, action: &str, parameters: Value) -> Result<()> {
        let target = format!("DynamoDB_20120810.{action}");
        self.own("dynamodb", Some(&target), parameters.to_string()).await.map(drop)
    }

    /// A call as JSON, if it has a target, or as a form.
    async fn own(&self, service: &str, target: Option<&str>, body: String) -> Result<Bytes> {
        let content_type =
            if target.is_some() { "application/x-amz-json-1.0" } else { "application/x-www-form-urlencoded" };
        let request = Request::post("/").header("content-type", content_type);
        let request = match target {
            Some(target) => request.header("x-amz-target", target),
            None => request,
        };
        self.authorized(service, request, body.into()).await
    }

    async fn authorized(&self, service: &str, request: Builder, body: Bytes) -> Result<Bytes> {
        let scope = format!(
            "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let request = request.header("host", "localhost").header("authorization", scope);
        let answer = self.send(request.body(Full::new(body))?).await?;
        ensure!(answer.status().is_success(), "the emulator refused: {}", String::from_utf8_lossy(answer.body()));
        Ok(answer.into_body())
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
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

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(process) = self.process.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Starts a process by a thread that lives as long as it: "parent death" is the death of the thread that forked.
pub(super) async fn keep(mut command: Command) -> Result<(Arc<Mutex<Option<Child>>>, oneshot::Sender<()>)> {
    let (keeper, end) = oneshot::channel::<()>();
    let (report, reported) = oneshot::channel();
    thread::Builder::new().name("emulator".into()).spawn(move || {
        let _ = report.send(command.spawn().context("starting the emulator"));
        let _ = end.blocking_recv();
    })?;
    let child = reported.await.context("the thread that starts the emulator died")??;
    Ok((Arc::new(Mutex::new(Some(child))), keeper))
}

/// The program that serves the emulator: where `RELATCH_EMULATOR` says, or where `scripts/setup` has put it.
pub(super) fn installed() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(env::home_dir()?.join(".cache"))).context("there is no home directory")?;
    let ours = |name: &str| name.starts_with("emulator-");
    let found = cache.join("relatch").read_dir().into_iter().flatten().flatten();
    let mut found = found.filter(|entry| entry.file_name().to_str().is_some_and(ours)).map(|entry| entry.path());
    let folder = env::var_os("RELATCH_EMULATOR").map(PathBuf::from);
    let folder = folder.or_else(|| found.find(|path| path.join("complete").is_file()));
    Ok(folder.context("the emulator is not installed: run scripts/setup")?.join("bin/hypercorn"))
}
