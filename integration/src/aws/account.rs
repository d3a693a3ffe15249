//! An account of AWS's on this machine, into which templates are deployed for real: the emulator, which makes what
//! CloudFormation is told to make, runs the functions under their roles and enforces policies, behind a door.
//!
//! Whoever comes through the door comes as if over TLS, which policies ask for; the emulator itself is asked in
//! plaintext. What it cannot carry is left out of the templates, and said.

use std::io::{Cursor, Write};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

use super::REGION;
use super::emulator::{Line, Running};
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
    emulator: Running,
    url: String,
    door: AbortHandle,
}

impl Account {
    /// Opens one, with the buckets that packages and templates are uploaded to.
    ///
    /// # Errors
    /// When the emulator is not installed, or does not start.
    pub async fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        // The address is where functions find AWS.
        let url = format!("http://{}", listener.local_addr()?);
        let emulator = Running::start(&[("AUTH", "true"), ("AWS_ENDPOINT_URL", &url)]).await?;
        let rooms = Router::new().fallback(pass).with_state(emulator.line.secure());
        let door = tokio::spawn(async move { axum::serve(listener, rooms).await }).abort_handle();
        let account = Self { emulator, url, door };
        for bucket in ["packaged", "templates"] {
            let place = format!(
                "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                 <LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
            );
            account.put(&format!("/{bucket}"), place.into_bytes()).await?;
        }
        Ok(account)
    }

    /// Where it is asked, as AWS would be by `AWS_ENDPOINT_URL`; by its owner with the key `test`, whose secret is the same.
    pub fn url(&self) -> &str {
        &self.url
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
        let left_out = self.upload(templates).await?;
        self.form("cloudformation", &asked("CreateStack", root, stack, given)).await?;
        self.until_made(stack).await?;
        Ok(left_out)
    }

    /// Makes a change set of a template, as `sam deploy --no-execute-changeset` does, and carries nothing out.
    ///
    /// # Errors
    /// When it is refused, or cannot be made.
    pub async fn prepare(&self, change: Change, root: &str, stack: &str, given: &Parameters) -> Result<()> {
        let mut fields = asked("CreateChangeSet", root, stack, given);
        fields.push(("ChangeSetType".to_owned(), change.kind.to_owned()));
        fields.push(("ChangeSetName".to_owned(), change.name.to_owned()));
        self.form("cloudformation", &fields).await?;
        let named = [("Action", "DescribeChangeSet"), ("StackName", stack), ("ChangeSetName", change.name)];
        let named = named.map(|(name, value)| (name.to_owned(), value.to_owned()));
        loop {
            let answer = self.form("cloudformation", &named).await?;
            match between(&answer, "<Status>", "</Status>") {
                Some("CREATE_COMPLETE") => return Ok(()),
                Some("CREATE_PENDING" | "CREATE_IN_PROGRESS") => tokio::time::sleep(Duration::from_millis(50)).await,
                _ => bail!("the change set {} was not made: {answer}", change.name),
            }
        }
    }

    /// Uploads templates and packages, and says what was left out, each by its path in the templates.
    ///
    /// # Errors
    /// When an upload is refused.
    pub async fn upload(&self, templates: &Templates) -> Result<Vec<String>> {
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
        self.emulator.line.secure().json(service, target, body).await
    }

    /// The same over plaintext.
    ///
    /// # Errors
    /// As [`Account::json`].
    pub async fn json_in_plaintext(&self, service: &str, target: &str, body: &Value) -> Result<Value> {
        self.emulator.line.json(service, target, body).await
    }

    /// A call of the account's owner, as a form; the answer is XML.
    ///
    /// # Errors
    /// As [`Account::json`].
    pub async fn form(&self, service: &str, fields: &[(String, String)]) -> Result<String> {
        Ok(String::from_utf8(self.emulator.line.secure().form(service, fields).await?.into())?)
    }

    /// Invokes a function that was deployed.
    ///
    /// # Errors
    /// When it cannot be invoked, or fails.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        let request = Request::post(format!("/2015-03-31/functions/{function}/invocations"));
        let answer = self.emulator.line.secure().call("lambda", request, event.to_string()).await?;
        let answer: Value = serde_json::from_slice(&answer)?;
        ensure!(answer["errorType"].is_null(), "{function}: {answer}");
        Ok(answer)
    }

    /// Puts an object into a bucket, or makes a bucket, by its path.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn put(&self, path: &str, body: Vec<u8>) -> Result<()> {
        self.emulator.line.secure().call("s3", Request::put(path), body).await.map(drop)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.door.abort();
    }
}

/// A change set to make.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// `CREATE` or `UPDATE`.
    pub kind: &'static str,
    /// Its name.
    pub name: &'static str,
}

/// A call about a stack of an uploaded template.
fn asked(action: &str, root: &str, stack: &str, given: &Parameters) -> Vec<(String, String)> {
    let mut fields = vec![
        ("Action".to_owned(), action.to_owned()),
        ("StackName".to_owned(), stack.to_owned()),
        ("TemplateURL".to_owned(), format!("http://localhost/templates/{root}")),
        ("Capabilities.member.1".to_owned(), "CAPABILITY_NAMED_IAM".to_owned()),
        ("Capabilities.member.2".to_owned(), "CAPABILITY_AUTO_EXPAND".to_owned()),
    ];
    for (index, (name, value)) in given.iter().enumerate() {
        let member = format!("Parameters.member.{}", index + 1);
        fields.push((format!("{member}.ParameterKey"), name.clone()));
        fields.push((format!("{member}.ParameterValue"), value.clone()));
    }
    fields
}

/// The door.
async fn pass(State(inside): State<Line>, request: Request<Body>) -> impl IntoResponse {
    let pass = async {
        let (head, body) = request.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await?;
        inside.send(Request::from_parts(head, Full::new(body))).await
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
    for (id, resource) in resources.iter_mut() {
        left_out.extend(without_sessions(resource).into_iter().map(|statement| format!("{id}: {statement}")));
    }
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

/// Leaves out what a policy of a resource says of `aws:PrincipalArn`: for AWS that is the role of a session, for the emulator
/// the session, so that it denies the roles that are excepted. Says which statements those were.
fn without_sessions(resource: &mut Value) -> Vec<String> {
    let mut left_out = Vec::new();
    for at in ["/Properties/PolicyDocument/Statement", "/Properties/ResourcePolicy/PolicyDocument/Statement"] {
        let Some(Value::Array(statements)) = resource.pointer_mut(at) else { continue };
        statements.retain(|statement| {
            let operators = statement["Condition"].as_object().into_iter().flat_map(|all| all.values());
            let is_carried = operators.into_iter().all(|keys| keys.get("aws:PrincipalArn").is_none());
            if !is_carried {
                left_out.push(statement["Sid"].as_str().unwrap_or_default().to_owned());
            }
            is_carried
        });
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
