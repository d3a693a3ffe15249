//! An account of AWS's on this machine, into which templates are deployed for real: the emulator, which makes what
//! CloudFormation is told to make, runs the functions under their roles and enforces policies, behind a door.
//!
//! Whoever comes through the door comes as if over TLS, which policies ask for; the emulator itself is asked in
//! plaintext. What it cannot carry is left out of the templates, and said.

use std::io::{Cursor, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::emulator::{installed, keep};
use super::{ACCOUNT, REGION};
use crate::cloud;
use crate::template::{Parameters, Templates};

/// Kinds of resources that the emulator's CloudFormation does not know. What they do is proved elsewhere, or not at all.
pub const NOT_CARRIED: [&str; 8] = [
    "AWS::Backup::BackupSelection",
    "AWS::CloudTrail::Trail",
    "AWS::EC2::SecurityGroupIngress",
    "AWS::Logs::QueryDefinition",
    "AWS::RDS::DBProxy",
    "AWS::RDS::DBProxyTargetGroup",
    "AWS::SecretsManager::ResourcePolicy",
    "AWS::SecretsManager::RotationSchedule",
];

/// An account, empty at first.
pub struct Account {
    port: u16,
    door: AbortHandle,
    process: Arc<Mutex<Option<Child>>>,
    _files: TempDir,
    _keeper: oneshot::Sender<()>,
}

impl Account {
    /// Opens one.
    ///
    /// # Errors
    /// When the emulator is not installed, or does not start.
    pub async fn open() -> Result<Self> {
        let hypercorn = installed()?;
        let files = tempfile::tempdir()?;
        let (inside, outside) =
            (TcpListener::bind("127.0.0.1:0")?, tokio::net::TcpListener::bind("127.0.0.1:0").await?);
        let (port, url) = (inside.local_addr()?.port(), format!("http://{}", outside.local_addr()?));
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
            ("AUTH", "true".into()),
            // Where functions find AWS.
            ("AWS_ENDPOINT_URL", url.into()),
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
        command.stdin(Stdio::from(OwnedFd::from(inside))).stdout(Stdio::null()).stderr(Stdio::null());
        let (process, keeper) = keep(command).await?;
        let rooms = Router::new().fallback(pass).with_state(port);
        let door = tokio::spawn(async move { axum::serve(outside, rooms).await }).abort_handle();
        Ok(Self { port, door, process, _files: files, _keeper: keeper })
    }

    /// Deploys a template, and says what was left out of it, each by its path in the templates.
    ///
    /// # Errors
    /// When the stack cannot be made; the error says why.
    pub async fn deploy(
        &self,
        templates: &Templates,
        root: &str,
        stack: &str,
        given: &Parameters,
    ) -> Result<Vec<String>> {
        for bucket in ["packaged", "templates"] {
            let place = format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
            );
            self.put(&format!("/{bucket}"), place.into_bytes()).await?;
        }
        let mut left_out = Vec::new();
        for (path, template) in templates.iter().filter(|(_, template)| !template["Resources"].is_null()) {
            let mut template = template.clone();
            left_out.extend(carried(&mut template).into_iter().map(|id| format!("{path}: {id}")));
            for function in packaged(&template) {
                let name = function.strip_suffix(".zip").unwrap_or(&function);
                self.put(&format!("/packaged/{function}"), zipped(name)?).await?;
            }
            self.put(&format!("/templates/{path}"), template.to_string().into_bytes()).await?;
        }
        let url = format!("http://localhost/templates/{root}");
        let mut fields = vec![
            ("Action".to_owned(), "CreateStack".to_owned()),
            ("StackName".to_owned(), stack.to_owned()),
            ("TemplateURL".to_owned(), url),
            ("Capabilities.member.1".to_owned(), "CAPABILITY_NAMED_IAM".to_owned()),
            ("Capabilities.member.2".to_owned(), "CAPABILITY_AUTO_EXPAND".to_owned()),
        ];
        for (index, (name, value)) in given.iter().enumerate() {
            let member = format!("Parameters.member.{}", index + 1);
            fields.push((format!("{member}.ParameterKey"), name.clone()));
            fields.push((format!("{member}.ParameterValue"), value.clone()));
        }
        self.form("cloudformation", &fields).await?;
        self.until_made(stack).await?;
        Ok(left_out)
    }

    async fn until_made(&self, stack: &str) -> Result<()> {
        let ask = |action: &str| [("Action".to_owned(), action.to_owned()), ("StackName".to_owned(), stack.to_owned())];
        loop {
            let answer = self.form("cloudformation", &ask("DescribeStacks")).await?;
            match between(&answer, "<StackStatus>", "</StackStatus>") {
                Some("CREATE_COMPLETE") => return Ok(()),
                Some("CREATE_IN_PROGRESS") => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => break,
            }
        }
        let events = self.form("cloudformation", &ask("DescribeStackEvents")).await?;
        let reasons = events.split("<ResourceStatusReason>").skip(1).filter_map(|rest| rest.split('<').next());
        bail!("the stack {stack} was not made: {}", reasons.collect::<Vec<_>>().join("; "))
    }

    /// A call of the account's owner, in JSON.
    ///
    /// # Errors
    /// When it is refused; the error says as what.
    pub async fn json(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let request =
            signed(service).header("x-amz-target", target).header("content-type", "application/x-amz-json-1.0");
        let answer = self.send(request.uri("/").body(body.to_string().into())?).await?;
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// The same over plaintext.
    ///
    /// # Errors
    /// As [`Account::json`].
    pub async fn json_in_plaintext(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        let request =
            signed(service).header("x-amz-target", target).header("content-type", "application/x-amz-json-1.0");
        let request = request.header("x-forwarded-proto", "http").uri("/").body(body.to_string().into())?;
        Ok(serde_json::from_slice(&self.send(request).await?).unwrap_or_default())
    }

    /// A call of the account's owner, as a form; the answer is XML.
    ///
    /// # Errors
    /// As [`Account::json`].
    pub async fn form(&self, service: &str, fields: &[(String, String)]) -> Result<String> {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = signed(service).header("content-type", "application/x-www-form-urlencoded");
        Ok(String::from_utf8(self.send(request.uri("/").body(form.into())?).await?.into())?)
    }

    /// Invokes a function that was deployed.
    ///
    /// # Errors
    /// When it cannot be invoked, or fails.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        let request = signed("lambda").uri(format!("/2015-03-31/functions/{function}/invocations"));
        let answer: Value = serde_json::from_slice(&self.send(request.body(event.to_string().into())?).await?)?;
        ensure!(answer["errorType"].is_null(), "{function}: {answer}");
        Ok(answer)
    }

    /// Puts an object into a bucket, or makes a bucket, by its path.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn put(&self, path: &str, body: Vec<u8>) -> Result<()> {
        self.send(signed("s3").method("PUT").uri(path).body(body.into())?).await.map(drop)
    }

    async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Bytes> {
        request.headers_mut().entry("x-forwarded-proto").or_insert(hyper::header::HeaderValue::from_static("https"));
        let answer = send(self.port, request).await?;
        let text = || String::from_utf8_lossy(answer.body()).into_owned();
        ensure!(answer.status().is_success(), "{}: {}", answer.status(), text());
        Ok(answer.into_body())
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.door.abort();
        if let Some(process) = self.process.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn signed(service: &str) -> hyper::http::request::Builder {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    Request::post("/").header("host", "localhost").header("authorization", scope)
}

async fn send(port: u16, request: Request<Full<Bytes>>) -> Result<Response<Bytes>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.context("the emulator is gone")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.context("the emulator does not answer")?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Response::from_parts(head, body))
}

/// The door.
async fn pass(State(port): State<u16>, request: Request<Body>) -> impl IntoResponse {
    let pass = async {
        let (mut head, body) = request.into_parts();
        head.headers.insert("x-forwarded-proto", hyper::header::HeaderValue::from_static("https"));
        let body = axum::body::to_bytes(body, usize::MAX).await?;
        send(port, Request::from_parts(head, Full::new(body))).await
    };
    match pass.await {
        Ok(answer) => answer.map(Body::from).into_response(),
        Err(problem) => (StatusCode::BAD_GATEWAY, format!("{problem:#}")).into_response(),
    }
}

/// Leaves out of a template what is not carried, and points to the nested ones where they are. Says what was left out.
fn carried(template: &mut Value) -> Vec<String> {
    let mut left_out = Vec::new();
    let Some(resources) = template.get_mut("Resources").and_then(Value::as_object_mut) else { return left_out };
    resources.retain(|id, resource| {
        let kind = resource["Type"].as_str().unwrap_or_default();
        let computes = kind == "AWS::CloudWatch::Alarm" && !resource["Properties"]["Metrics"].is_null();
        let is_carried = !NOT_CARRIED.contains(&kind) && !computes;
        if !is_carried {
            left_out.push(format!("{id} ({kind}{})", if computes { " that computes" } else { "" }));
        }
        is_carried
    });
    let there: Vec<String> = resources.keys().cloned().collect();
    for resource in resources.values_mut() {
        let before: Vec<Value> = match resource.get("DependsOn") {
            Some(Value::Array(all)) => all.clone(),
            Some(one) => vec![one.clone()],
            None => continue,
        };
        resource["DependsOn"] = before.into_iter().filter(|one| there.iter().any(|id| one == id)).collect();
    }
    for resource in resources.values_mut() {
        if let Some(path) = resource.pointer_mut("/Properties/TemplateURL") {
            *path = format!("http://localhost/templates/{}", path.as_str().unwrap_or_default()).into();
        }
    }
    left_out
}

/// The packages of a template's functions.
fn packaged(template: &Value) -> Vec<String> {
    let resources = template["Resources"].as_object().into_iter().flat_map(|all| all.values());
    let functions = resources.filter(|resource| resource["Type"] == "AWS::Lambda::Function");
    functions.filter_map(|function| function["Properties"]["Code"]["S3Key"].as_str().map(str::to_owned)).collect()
}

/// A handler's program, packed as Lambda wants it.
fn zipped(handler: &str) -> Result<Vec<u8>> {
    let program = std::fs::read(cloud::handler(handler)?)?;
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    zip.write_all(&program)?;
    Ok(zip.finish()?.into_inner())
}

/// What stands between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split_once(from)?.1.split_once(to).map(|(found, _)| found)
}
