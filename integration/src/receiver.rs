//! Slack, PagerDuty and a dead-man's check as those who call them see them: a local stand-in over TLS that takes what they
//! would take, refuses what they would refuse, and can be in trouble.
//!
//! It is stricter than they are, never kinder: a message to Slack needs a `text` beside its blocks, and an event of
//! PagerDuty the fields of its reference and no others. Sources: Slack's references of incoming webhooks, `chat.postMessage`,
//! `chat.update` and Block Kit; PagerDuty's of the Events API v2.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::future::pending;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificates::Authority;

/// The id of the channel that messages go to.
pub const CHANNEL: &str = "C0ALERTS";
/// The same by its name, which only `chat.postMessage` takes.
pub const CHANNEL_NAME: &str = "#alerts";
/// Another channel.
pub const OTHER_CHANNEL: &str = "C0CRITICAL";

/// The most text of all blocks of a message together, to begin with. Slack does not say how much it takes: users have
/// measured that 9,600 characters pass and 11,300 do not (slackapi/bolt-js, issue 2867).
const LONGEST_BLOCKS: usize = 10_000;

/// How long a client may take for its half of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// All services, listening on 127.0.0.1 until this is dropped.
pub struct Receiver {
    base: String,
    authority: Authority,
    roots: NamedTempFile,
    state: Arc<Mutex<Inside>>,
    server: AbortHandle,
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Slack's incoming webhook.
    Webhook,
    /// Slack's `chat.postMessage`.
    Post,
    /// Slack's `chat.update`.
    Update,
    /// PagerDuty's Events API v2.
    PagerDuty,
    /// A dead-man's check.
    Heartbeat,
}

/// What happens to a call instead of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// 429 with Retry-After in seconds; nothing takes effect.
    RateLimited(u64),
    /// This status, and a body that repeats what was asked; nothing takes effect.
    Status(u16),
    /// Answered as ever, but this much later.
    Slow(Duration),
    /// Never an answer; nothing takes effect.
    Silent,
    /// It takes effect, and there is never an answer.
    Lost,
    /// 200 with a page that nobody can read; nothing takes effect.
    Broken,
}

/// A call, and what became of it.
#[derive(Clone, Debug)]
pub struct Received {
    /// What was called.
    pub service: Service,
    /// When.
    pub at: Instant,
    /// What was sent; null if it is not JSON. The routing key is left out.
    pub body: Value,
    /// The HTTP status of the answer; 0 without one.
    pub status: u16,
    /// Why it was refused; empty if it was taken.
    pub refused: String,
}

/// The keys that are valid. They begin with marked ones, which can be searched for where they must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The secret part of the webhook's URL.
    pub webhook: String,
    /// The bot's token.
    pub token: String,
    /// PagerDuty's routing key.
    pub routing: String,
    /// The secret part of the dead-man's check's URL.
    pub check: String,
}

/// A message as people see it in Slack.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its channel; the webhook's is [`CHANNEL`].
    pub channel: String,
    /// What identifies it in its channel.
    pub ts: String,
    /// The first message of its thread, where it is in one.
    pub thread: Option<String>,
    /// Whether it is shown outside of its thread, too.
    pub broadcast: bool,
    /// The text.
    pub text: String,
    /// The blocks; null without.
    pub blocks: Value,
    /// How often it was edited.
    pub edits: u32,
}

/// An incident as PagerDuty keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Whether it is open.
    pub open: bool,
    /// Its severity.
    pub severity: String,
    /// Its summary.
    pub summary: String,
    /// How many events have gone into it.
    pub events: u32,
}

struct Inside {
    keys: Keys,
    longest_blocks: usize,
    troubles: Vec<(Service, VecDeque<Trouble>)>,
    lasting: Vec<(Service, Trouble)>,
    received: Vec<Received>,
    messages: Vec<Message>,
    incidents: BTreeMap<String, Incident>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            webhook: "T0/B0/MARKED-webhook".to_owned(),
            token: "xoxb-MARKED-bot-token".to_owned(),
            routing: "MARKEDroutingkey0123456789abcdef".to_owned(),
            check: "MARKED-check".to_owned(),
        }
    }
}

impl Receiver {
    /// Starts all of them on a free port.
    ///
    /// # Errors
    /// When no port can be bound, or no certificate be made.
    pub async fn start() -> Result<Self> {
        let tcp = TcpListener::bind("127.0.0.1:0").await.context("no port for the receiver")?;
        let base = format!("https://{}", tcp.local_addr()?);
        let authority = Authority::new()?;
        let mut roots = NamedTempFile::new().context("no file for the receiver's authority")?;
        roots.write_all(authority.pem().as_bytes())?;
        let tls = TlsAcceptor::from(Arc::new(authority.leaf(&["127.0.0.1"])?.server_config()?));
        let state = Arc::new(Mutex::new(Inside {
            keys: Keys::default(),
            longest_blocks: LONGEST_BLOCKS,
            troubles: Vec::new(),
            lasting: Vec::new(),
            received: Vec::new(),
            messages: Vec::new(),
            incidents: BTreeMap::new(),
        }));
        let router = Router::new().fallback(answer).with_state(state.clone());
        // Only ends when its task is aborted.
        let server = axum::serve(OverTls { tcp, tls }, router);
        let server = tokio::spawn(async move { drop(server.await) }).abort_handle();
        Ok(Self { base, authority, roots, state, server })
    }

    /// The settings by which `notify` finds it, and trusts it.
    pub fn settings(&self) -> [(&'static str, String); 3] {
        [
            ("RELATCH_SLACK_API", format!("{}/api", self.base)),
            ("RELATCH_PAGERDUTY_URL", format!("{}/v2/enqueue", self.base)),
            ("SSL_CERT_FILE", self.roots().display().to_string()),
        ]
    }

    /// A file with the authority that vouches for it, as PEM.
    pub fn roots(&self) -> &Path {
        self.roots.path()
    }

    /// What a client needs that trusts it, and nobody else.
    ///
    /// # Errors
    /// As [`Authority::client_config`].
    pub fn client_config(&self) -> Result<ClientConfig> {
        self.authority.client_config()
    }

    /// The webhook's URL.
    pub fn webhook(&self) -> String {
        format!("{}/services/{}", self.base, self.inside().keys.webhook)
    }

    /// The channels' secret for PagerDuty and Slack's webhook.
    pub fn secret_with_webhook(&self) -> Value {
        json!({ "slackWebhookUrl": self.webhook(), "pagerDutyRoutingKey": self.keys().routing })
    }

    /// The channels' secret for PagerDuty and Slack's bot.
    pub fn secret_with_bot(&self) -> Value {
        let Keys { token, routing, .. } = self.keys();
        json!({ "slackBotToken": token, "slackChannel": CHANNEL_NAME, "pagerDutyRoutingKey": routing })
    }

    /// The channels' secret for the dead-man's check.
    pub fn secret_with_check(&self) -> Value {
        json!({ "heartbeatUrl": format!("{}/ping/{}", self.base, self.keys().check) })
    }

    /// The keys that are valid.
    pub fn keys(&self) -> Keys {
        self.inside().keys.clone()
    }

    /// Makes other keys valid, and those of before invalid.
    pub fn change_keys(&self, keys: Keys) {
        self.inside().keys = keys;
    }

    /// What happens to the next calls, one each.
    pub fn next(&self, service: Service, troubles: impl IntoIterator<Item = Trouble>) {
        self.inside().troubles.push((service, troubles.into_iter().collect()));
    }

    /// What happens to every call until [`Receiver::recover`].
    pub fn always(&self, service: Service, trouble: Trouble) {
        self.inside().lasting.push((service, trouble));
    }

    /// Ends all troubles.
    pub fn recover(&self) {
        let mut inside = self.inside();
        inside.troubles.clear();
        inside.lasting.clear();
    }

    /// Every call so far.
    pub fn received(&self) -> Vec<Received> {
        self.inside().received.clone()
    }

    /// The calls of a service so far.
    pub fn calls(&self, service: Service) -> Vec<Received> {
        self.received().into_iter().filter(|call| call.service == service).collect()
    }

    /// What people see in Slack.
    pub fn messages(&self) -> Vec<Message> {
        self.inside().messages.clone()
    }

    /// Slack takes no more text in the blocks of one message from now on, in characters.
    pub fn take_blocks_of(&self, longest: usize) {
        self.inside().longest_blocks = longest;
    }

    /// Somebody deletes every message in Slack.
    pub fn forget_messages(&self) {
        self.inside().messages.clear();
    }

    /// PagerDuty's incidents, by their `dedup_key`.
    pub fn incidents(&self) -> BTreeMap<String, Incident> {
        self.inside().incidents.clone()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        lock(&self.state)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Shared = Arc<Mutex<Inside>>;

/// Connections whose TLS handshake has succeeded.
struct OverTls {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for OverTls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.tcp).await;
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, self.tls.accept(stream)).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

async fn answer(State(state): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let service = match uri.path() {
        "/api/chat.postMessage" => Service::Post,
        "/api/chat.update" => Service::Update,
        "/v2/enqueue" => Service::PagerDuty,
        path if path.starts_with("/services/") => Service::Webhook,
        path if path.starts_with("/ping/") => Service::Heartbeat,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    if method != if service == Service::Heartbeat { Method::GET } else { Method::POST } {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let asked = Asked { service, path: uri.path(), headers: &headers, body: &body };
    let trouble = lock(&state).trouble(service);
    match trouble {
        None => lock(&state).take(&asked).send(),
        Some(Trouble::Slow(time)) => {
            tokio::time::sleep(time).await;
            lock(&state).take(&asked).send()
        }
        Some(Trouble::Lost) => {
            let _ = lock(&state).take(&asked);
            pending().await
        }
        Some(Trouble::Silent) => {
            lock(&state).note(&asked, 0, "silence");
            pending().await
        }
        Some(Trouble::RateLimited(seconds)) => {
            lock(&state).note(&asked, 429, "rate limited");
            let body = json!({ "ok": false, "error": "ratelimited" }).to_string();
            (StatusCode::TOO_MANY_REQUESTS, [("retry-after", seconds.to_string())], body).into_response()
        }
        Some(Trouble::Status(status)) => {
            lock(&state).note(&asked, status, "in trouble");
            let told = format!("{} {headers:?} {}", uri.path(), String::from_utf8_lossy(&body));
            (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), told).into_response()
        }
        Some(Trouble::Broken) => {
            lock(&state).note(&asked, 200, "broken");
            "<html>We will be right back".into_response()
        }
    }
}

struct Asked<'a> {
    service: Service,
    path: &'a str,
    headers: &'a HeaderMap,
    body: &'a [u8],
}

impl Asked<'_> {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn json(&self) -> Option<Value> {
        let is_json = self.header("content-type").starts_with("application/json");
        serde_json::from_slice(self.body).ok().filter(|body: &Value| is_json && body.is_object())
    }
}

/// An answer as the service writes it.
struct Reply {
    status: u16,
    body: String,
}

impl Reply {
    fn of(status: u16, body: impl ToString) -> Self {
        Self { status, body: body.to_string() }
    }

    fn send(self) -> Response {
        (StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), self.body).into_response()
    }
}

impl Inside {
    fn trouble(&mut self, service: Service) -> Option<Trouble> {
        let next = self.troubles.iter_mut().filter(|(of, _)| *of == service).find_map(|(_, next)| next.pop_front());
        next.or_else(|| self.lasting.iter().find(|(of, _)| *of == service).map(|(_, trouble)| *trouble))
    }

    fn note(&mut self, asked: &Asked<'_>, status: u16, refused: &str) {
        let mut body = asked.json().unwrap_or_default();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("routing_key");
        }
        let refused = refused.to_owned();
        self.received.push(Received { service: asked.service, at: Instant::now(), body, status, refused });
    }

    /// Does what is asked, or refuses it, as the service would.
    fn take(&mut self, asked: &Asked<'_>) -> Reply {
        let (reply, refused) = match asked.service {
            Service::Webhook => match self.webhook(asked) {
                Ok(()) => (Reply::of(200, "ok"), String::new()),
                Err((status, word)) => (Reply::of(status, word), word.to_owned()),
            },
            Service::Post | Service::Update => match self.api(asked) {
                Ok(answer) => (Reply::of(200, answer), String::new()),
                Err(word) => (Reply::of(200, json!({ "ok": false, "error": word })), word.to_owned()),
            },
            Service::PagerDuty => match self.event(asked) {
                Ok(key) => {
                    let answer = json!({ "status": "success", "message": "Event processed", "dedup_key": key });
                    (Reply::of(202, answer), String::new())
                }
                Err(errors) => {
                    let answer =
                        json!({ "status": "invalid event", "message": "Event object is invalid", "errors": errors });
                    (Reply::of(400, answer), errors.join("; "))
                }
            },
            Service::Heartbeat if asked.path.strip_prefix("/ping/") == Some(self.keys.check.as_str()) => {
                (Reply::of(200, "OK"), String::new())
            }
            Service::Heartbeat => (Reply::of(404, "not found"), "not found".to_owned()),
        };
        self.note(asked, reply.status, &refused);
        reply
    }

    fn webhook(&mut self, asked: &Asked<'_>) -> Result<(), (u16, &'static str)> {
        if asked.path.strip_prefix("/services/") != Some(self.keys.webhook.as_str()) {
            return Err((404, "no_service"));
        }
        let body = asked.json().ok_or((400, "invalid_payload"))?;
        check_message(&body).map_err(|word| (400, word))?;
        self.post(CHANNEL, None, false, &body);
        Ok(())
    }

    fn api(&mut self, asked: &Asked<'_>) -> Result<Value, &'static str> {
        match asked.header("authorization").strip_prefix("Bearer ") {
            None => return Err("not_authed"),
            Some(token) if token != self.keys.token => return Err("invalid_auth"),
            Some(_) => {}
        }
        let body = asked.json().ok_or("invalid_json")?;
        let text = |field: &str| body[field].as_str();
        let channel = match text("channel") {
            Some(CHANNEL_NAME) if asked.service == Service::Post => CHANNEL,
            Some(id @ (CHANNEL | OTHER_CHANNEL)) => id,
            Some(_) | None => return Err("channel_not_found"),
        };
        check_message(&body)?;
        if blocks_text(&body["blocks"]) > self.longest_blocks {
            return Err("msg_blocks_too_long");
        }
        let ts = if asked.service == Service::Update {
            let known = self.messages.iter_mut();
            let mut known = known.filter(|known| known.channel == channel && Some(known.ts.as_str()) == text("ts"));
            let message = known.next().ok_or("message_not_found")?;
            message.text = text("text").unwrap_or_default().to_owned();
            message.blocks = body["blocks"].clone();
            message.edits += 1;
            message.ts.clone()
        } else {
            let thread = text("thread_ts");
            if thread.is_some_and(|ts| !self.messages.iter().any(|known| known.channel == channel && known.ts == ts)) {
                return Err("thread_not_found");
            }
            self.post(channel, thread, body["reply_broadcast"] == true, &body)
        };
        Ok(json!({ "ok": true, "channel": channel, "ts": ts }))
    }

    fn post(&mut self, channel: &str, thread: Option<&str>, broadcast: bool, body: &Value) -> String {
        let ts = format!("1767225600.{:06}", self.messages.len() + 1);
        self.messages.push(Message {
            channel: channel.to_owned(),
            ts: ts.clone(),
            thread: thread.map(str::to_owned),
            broadcast,
            text: body["text"].as_str().unwrap_or_default().to_owned(),
            blocks: body["blocks"].clone(),
            edits: 0,
        });
        ts
    }

    fn event(&mut self, asked: &Asked<'_>) -> Result<String, Vec<String>> {
        let event = asked.json().ok_or_else(|| vec!["the body is not a JSON object".to_owned()])?;
        let problems = check_event(&event, &self.keys.routing);
        if !problems.is_empty() {
            return Err(problems);
        }
        let key = event["dedup_key"].as_str().unwrap_or_default().to_owned();
        let payload = |field: &str| event["payload"][field].as_str().unwrap_or_default().to_owned();
        match (event["event_action"].as_str(), self.incidents.get_mut(&key)) {
            (Some("trigger"), Some(incident)) if incident.open => incident.events += 1,
            (Some("trigger"), _) => {
                let (severity, summary) = (payload("severity"), payload("summary"));
                self.incidents.insert(key.clone(), Incident { open: true, severity, summary, events: 1 });
            }
            // Of what is not open, PagerDuty drops it.
            (_, Some(incident)) if incident.open => (incident.open, incident.events) = (false, incident.events + 1),
            (_, _) => {}
        }
        Ok(key)
    }
}

/// Why Slack would not take a message.
fn check_message(body: &Value) -> Result<(), &'static str> {
    match body["text"].as_str() {
        None | Some("") => return Err("no_text"),
        Some(text) if text.chars().count() > 40_000 => return Err("msg_too_long"),
        Some(_) => {}
    }
    if body["blocks"].is_null() {
        return Ok(());
    }
    let blocks = body["blocks"].as_array().ok_or("invalid_blocks_format")?;
    let mut names = HashSet::new();
    let ids = blocks.iter().filter_map(|block| block["block_id"].as_str());
    let unique = ids.into_iter().all(|id| id.chars().count() <= 255 && names.insert(id));
    let fine = unique && (1..=50).contains(&blocks.len()) && blocks.iter().all(is_block);
    if fine { Ok(()) } else { Err("invalid_blocks") }
}

fn is_block(block: &Value) -> bool {
    let list = |field: &str| block[field].as_array().map_or(&[][..], Vec::as_slice);
    match block["type"].as_str() {
        Some("header") => is_text(&block["text"], &["plain_text"], 150),
        Some("section") => {
            let text = !block["text"].is_null();
            let fields = list("fields");
            (text || !fields.is_empty())
                && (!text || is_text(&block["text"], &["plain_text", "mrkdwn"], 3000))
                && fields.len() <= 10
                && fields.iter().all(|field| is_text(field, &["plain_text", "mrkdwn"], 2000))
        }
        Some("context") => {
            let elements = list("elements");
            (1..=10).contains(&elements.len())
                && elements.iter().all(|element| is_text(element, &["plain_text", "mrkdwn"], 3000))
        }
        Some("actions") => {
            let elements = list("elements");
            let ids: HashSet<&str> = elements.iter().filter_map(|element| element["action_id"].as_str()).collect();
            (1..=25).contains(&elements.len()) && ids.len() == elements.len() && elements.iter().all(is_button)
        }
        Some("divider") => true,
        Some(_) | None => false,
    }
}

fn is_button(element: &Value) -> bool {
    let length = |field: &str| element[field].as_str().map_or(0, |text| text.chars().count());
    element["type"] == "button"
        && is_text(&element["text"], &["plain_text"], 75)
        && (1..=255).contains(&length("action_id"))
        && (element["url"].is_null() || (1..=3000).contains(&length("url")))
}

fn is_text(text: &Value, kinds: &[&str], longest: usize) -> bool {
    let length = text["text"].as_str().map_or(0, |text| text.chars().count());
    text["type"].as_str().is_some_and(|kind| kinds.contains(&kind)) && (1..=longest).contains(&length)
}

/// The length of all that is said in blocks.
fn blocks_text(value: &Value) -> usize {
    match value {
        Value::Object(fields) => {
            let own = fields.get("text").and_then(Value::as_str).map_or(0, |text| text.chars().count());
            own + fields.values().map(blocks_text).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(blocks_text).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Everything that PagerDuty would not take of an event.
fn check_event(event: &Value, routing_key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut problem = |wrong: bool, text: &str| {
        if wrong {
            problems.push(text.to_owned());
        }
    };
    let length = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
    let key = event["routing_key"].as_str().unwrap_or_default();
    problem(key.len() != 32, "Length of 'routing_key' is incorrect (should be 32 characters)");
    problem(key.len() == 32 && key != routing_key, "Invalid routing key");
    let action = event["event_action"].as_str().unwrap_or_default();
    problem(
        !["trigger", "acknowledge", "resolve"].contains(&action),
        "'event_action' must be one of 'trigger', 'acknowledge', 'resolve'",
    );
    problem(length(&event["dedup_key"]) > 255, "Length of 'dedup_key' is more than 255 characters");
    problem(length(&event["dedup_key"]) == 0, "'dedup_key' is missing or blank");
    let known =
        ["routing_key", "event_action", "dedup_key", "client", "client_url", "payload", "links", "images"].as_slice();
    let fields = event.as_object().into_iter().flat_map(|event| event.keys());
    problem(fields.into_iter().any(|field| !known.contains(&field.as_str())), "there is a field that is not known");
    let payload = &event["payload"];
    if action == "trigger" {
        problem(length(&payload["summary"]) == 0, "'payload.summary' is missing or blank");
        problem(length(&payload["source"]) == 0, "'payload.source' is missing or blank");
        let severity = payload["severity"].as_str().unwrap_or_default();
        let severities = ["critical", "error", "warning", "info"];
        problem(!severities.contains(&severity), "'payload.severity' is not one of critical, error, warning, info");
    }
    problem(length(&payload["summary"]) > 1024, "Length of 'payload.summary' is more than 1024 characters");
    let details = &payload["custom_details"];
    problem(!details.is_null() && !details.is_object(), "'payload.custom_details' is not an object");
    let links = event["links"].as_array().map_or(&[][..], Vec::as_slice);
    problem(links.iter().any(|link| length(&link["href"]) == 0), "'links' has an entry without 'href'");
    problem(event.to_string().len() > 512 * 1024, "The event is more than 512 KB");
    problems
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
