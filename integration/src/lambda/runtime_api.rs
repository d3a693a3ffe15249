//! The HTTP interface between a worker and its process.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::{Outcome, lock};
use crate::aws::Process;

pub(super) struct RuntimeApi {
    function_arn: String,
    process: OnceLock<Process>,
    submit: mpsc::UnboundedSender<Invocation>,
    queue: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    running: Mutex<Option<(String, oneshot::Sender<Outcome>)>>,
    ready: watch::Sender<Option<Instant>>,
    init_error: Mutex<Option<Outcome>>,
}

struct Invocation {
    id: String,
    deadline: Timestamp,
    payload: Value,
}

impl RuntimeApi {
    pub(super) fn new(function_arn: String) -> Self {
        let (submit, queue) = mpsc::unbounded_channel();
        Self {
            function_arn,
            process: OnceLock::new(),
            submit,
            queue: queue.into(),
            running: Mutex::default(),
            ready: watch::Sender::new(None),
            init_error: Mutex::default(),
        }
    }

    pub(super) fn process_is(&self, process: Process) {
        if self.init_error().is_some() {
            process.signal(Signal::SIGKILL);
        }
        let _ = self.process.set(process);
    }

    pub(super) fn submit(&self, payload: Value, timeout: Duration) -> oneshot::Receiver<Outcome> {
        let (answer, answered) = oneshot::channel();
        let id = Uuid::new_v4().to_string();
        *lock(&self.running) = Some((id.clone(), answer));
        let deadline = Timestamp::now() + timeout;
        // The queue's other end is in this very struct, so it cannot be closed.
        let _ = self.submit.send(Invocation { id, deadline, payload });
        answered
    }

    /// When the first event was asked for.
    pub(super) async fn ready(&self) -> Instant {
        let mut ready = self.ready.subscribe();
        match ready.wait_for(Option::is_some).await.map(|at| *at) {
            Ok(Some(at)) => at,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    pub(super) fn init_error(&self) -> Option<Outcome> {
        lock(&self.init_error).clone()
    }

    /// Ends the running invocation, if that is the one that `id` names.
    fn finish(&self, id: &str, outcome: Outcome) -> Response {
        let mut running = lock(&self.running);
        match running.take_if(|(running, _)| running == id) {
            Some((_, answer)) => {
                // A worker that is being dropped does not listen any more.
                let _ = answer.send(outcome);
                accepted()
            }
            None => refused("InvalidRequestID"),
        }
    }
}

pub(super) async fn serve(listener: TcpListener, api: Arc<RuntimeApi>) {
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(api);
    // Only ends when its task is aborted.
    let _ = axum::serve(listener, router).await;
}

type Api = State<Arc<RuntimeApi>>;

async fn next(State(api): Api) -> Response {
    api.ready.send_if_modified(|ready| ready.is_none() && ready.replace(Instant::now()).is_none());
    let Some(invocation) = api.queue.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("Lambda-Runtime-Aws-Request-Id", invocation.id),
        ("Lambda-Runtime-Deadline-Ms", invocation.deadline.as_millisecond().to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", api.function_arn.clone()),
        (
            "Lambda-Runtime-Trace-Id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0".into(),
        ),
        ("Content-Type", "application/json".into()),
    ];
    (headers, invocation.payload.to_string()).into_response()
}

async fn response(State(api): Api, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    // A response that was streamed may end in an error, which only a trailer tells; nobody here streams.
    if headers.contains_key("lambda-runtime-function-response-mode") {
        return refused("StreamingIsNotSimulated");
    }
    match serde_json::from_slice(&body) {
        Ok(value) => api.finish(&id, Outcome::Ok(value)),
        Err(_) => {
            let (error_type, error_message) = ("Runtime.MarshalError".into(), "the response is not JSON".into());
            api.finish(&id, Outcome::Error { error_type, error_message })
        }
    }
}

async fn error(State(api): Api, Path(id): Path<String>, body: Bytes) -> Response {
    let (error_type, error_message) = diagnostic(&body);
    api.finish(&id, Outcome::Error { error_type, error_message })
}

async fn init_error(State(api): Api, body: Bytes) -> Response {
    let (error_type, error_message) = diagnostic(&body);
    *lock(&api.init_error) = Some(Outcome::InitError { error_type, error_message });
    if let Some(process) = api.process.get() {
        process.signal(Signal::SIGKILL);
    }
    accepted()
}

fn diagnostic(body: &[u8]) -> (String, String) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (text("errorType"), text("errorMessage"))
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, json!({ "status": "OK" }).to_string()).into_response()
}

fn refused(error_type: &str) -> Response {
    (StatusCode::BAD_REQUEST, json!({ "errorType": error_type, "errorMessage": error_type }).to_string())
        .into_response()
}
