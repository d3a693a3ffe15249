//! The Lambda service as a handler binary sees it: its environment, its Runtime API, its deadlines.
//!
//! [`Worker`] is one execution environment: a process of the real binary with a Runtime API on a port of its own
//! (a shared one would hand an event to a killed worker's last request). [`Function`] hands out workers as Lambda
//! does: a warm one where there is one, otherwise a fresh one.
//!
//! The Runtime API is <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

mod process;
mod runtime_api;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::aws::{ACCOUNT, Process, REGION};
use process::Child;
use runtime_api::RuntimeApi;

/// What came of an invocation.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The handler's answer.
    Ok(Value),
    /// The handler said that it failed.
    Error {
        /// `errorType` of the answer.
        error_type: String,
        /// `errorMessage` of the answer.
        error_message: String,
    },
    /// No answer within the time.
    TimedOut,
    /// The process ended without an answer.
    Exited {
        /// How it ended.
        status: ExitStatus,
    },
    /// The handler said that it cannot start; its process has been ended.
    InitError {
        /// `errorType` of the report.
        error_type: String,
        /// `errorMessage` of the report.
        error_message: String,
    },
}

impl Outcome {
    /// Whether the handler answered.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok(_))
    }
}

/// What becomes of a process that did not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterTimeout {
    /// It is killed, as Lambda does.
    Kill,
    /// It is left as it is, so that a test can [thaw](Worker::thaw) it and see what it still does.
    Leave,
}

/// The lines that workers wrote. A clone collects into the same list.
#[derive(Clone, Debug, Default)]
pub struct Output(Arc<Mutex<Vec<Line>>>);

/// A line that a worker wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The process that wrote it.
    pub pid: u32,
    /// Whether it went to stderr.
    pub stderr: bool,
    /// The text without the line's end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

impl Output {
    /// The lines so far. Complete for workers that have ended; a living one's last lines may be on their way.
    pub fn lines(&self) -> Vec<Line> {
        lock(&self.0).clone()
    }

    /// Whether any line contains the text: the search for secrets that leaked.
    pub fn contains(&self, text: &str) -> bool {
        lock(&self.0).iter().any(|line| line.text.contains(text))
    }

    fn add(&self, line: Line) {
        lock(&self.0).push(line);
    }
}

/// One execution environment: a process of the handler and the Runtime API that feeds it. The process is killed
/// when the worker is dropped, and by the kernel when this process dies.
pub struct Worker {
    child: Child,
    api: Arc<RuntimeApi>,
    server: AbortHandle,
    running: Mutex<Option<oneshot::Receiver<Outcome>>>,
}

impl Worker {
    /// Starts a process of `binary` with the environment that Lambda gives, and `env` over it; nothing is
    /// inherited. Its output is collected into `output`. Returns when it runs, which is before it is ready.
    ///
    /// # Errors
    /// When no port can be bound or the process cannot be started.
    pub async fn start(
        binary: &Path,
        env: impl IntoIterator<Item = (String, String)>,
        output: Output,
    ) -> anyhow::Result<Self> {
        ensure!(binary.is_file(), "there is no binary {}", binary.display());
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port for the Runtime API")?;
        let name = binary.file_name().and_then(|name| name.to_str()).context("the binary's name is not text")?;
        let address = listener.local_addr()?.to_string();
        let mut all = environment(name, &address);
        all.extend(env);
        let api = Arc::new(RuntimeApi::new(function_arn(name)));
        let server = tokio::spawn(runtime_api::serve(listener, api.clone())).abort_handle();
        let child = Child::spawn(binary, all, output).await?;
        api.process_is(child.process());
        Ok(Self { child, api, server, running: Mutex::new(None) })
    }

    /// Hands the process an event and waits for what comes of it, at most `timeout`, which also sets the deadline
    /// the handler is told. After [`Outcome::TimedOut`] the process is still there; see [`Worker::wait`].
    ///
    /// # Errors
    /// When an invocation is still under way: an environment has one at a time.
    pub async fn invoke(&self, payload: Value, timeout: Duration) -> anyhow::Result<Outcome> {
        {
            let mut running = lock(&self.running);
            if running.is_some() {
                bail!("the worker is still busy with an earlier invocation");
            }
            *running = Some(self.api.submit(payload, timeout));
        }
        self.wait(timeout).await
    }

    /// Waits on for an invocation that has timed out: what a frozen process answers once it is thawed.
    ///
    /// # Errors
    /// When no invocation is under way.
    pub async fn wait(&self, timeout: Duration) -> anyhow::Result<Outcome> {
        let mut running = lock(&self.running).take().context("no invocation is under way")?;
        let ended = async {
            let status = self.child.ended().await;
            self.api.init_error().unwrap_or(Outcome::Exited { status })
        };
        let outcome = tokio::select! {
            biased;
            Ok(outcome) = &mut running => outcome,
            outcome = ended => running.try_recv().unwrap_or(outcome),
            () = tokio::time::sleep(timeout) => {
                *lock(&self.running) = Some(running);
                Outcome::TimedOut
            }
        };
        Ok(outcome)
    }

    /// Waits until the process asks for its first event and returns the time from exec to then: the cold start.
    ///
    /// # Errors
    /// When it ends, or does not ask within `timeout`.
    pub async fn ready(&self, timeout: Duration) -> anyhow::Result<Duration> {
        tokio::select! {
            biased;
            at = self.api.ready() => Ok(at.saturating_duration_since(self.child.started())),
            status = self.child.ended() => bail!("the worker ended before it was ready: {status}"),
            () = tokio::time::sleep(timeout) => bail!("the worker was not ready within {timeout:?}"),
        }
    }

    /// The most memory the process has had resident so far, in bytes (`VmHWM`).
    ///
    /// # Errors
    /// When the process has ended.
    pub fn peak_memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the process has ended")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// A handle for faults that strike this process.
    pub fn process(&self) -> Process {
        self.child.process()
    }

    /// Whether the process has not ended yet; a frozen one is alive.
    pub fn is_alive(&self) -> bool {
        self.child.is_alive()
    }

    /// Kills the process (SIGKILL) and waits until it has ended and its output is complete.
    pub async fn kill(&self) -> ExitStatus {
        self.child.signal(Signal::SIGKILL);
        self.child.ended().await
    }

    /// Stops the process where it stands (SIGSTOP).
    pub fn freeze(&self) {
        self.child.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn thaw(&self) {
        self.child.signal(Signal::SIGCONT);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.signal(Signal::SIGKILL);
        self.server.abort();
    }
}

/// A function: the binary, its settings, and its workers.
pub struct Function {
    binary: PathBuf,
    env: Vec<(String, String)>,
    timeout: Duration,
    always_cold: bool,
    after_timeout: AfterTimeout,
    output: Output,
    workers: Arc<Mutex<Workers>>,
}

#[derive(Default)]
struct Workers {
    idle: Vec<Arc<Worker>>,
    /// Whoever was given work last.
    latest: Option<Arc<Worker>>,
    left: Vec<Arc<Worker>>,
    cold_starts: u64,
}

impl Function {
    /// A function with a time-out of 30 seconds that keeps its workers warm and kills those that are too slow.
    pub fn new(binary: impl Into<PathBuf>, env: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            binary: binary.into(),
            env: env.into_iter().collect(),
            timeout: Duration::from_secs(30),
            always_cold: false,
            after_timeout: AfterTimeout::Kill,
            output: Output::default(),
            workers: Arc::default(),
        }
    }

    /// Sets the time an invocation may take, which includes a cold start.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Gives every invocation a fresh process.
    #[must_use]
    pub fn always_cold(self) -> Self {
        Self { always_cold: true, ..self }
    }

    /// Says what becomes of a process that did not answer in time.
    #[must_use]
    pub fn after_timeout(self, after_timeout: AfterTimeout) -> Self {
        Self { after_timeout, ..self }
    }

    /// The ARN under which the function is invoked.
    pub fn arn(&self) -> String {
        function_arn(&self.binary.file_name().unwrap_or_default().to_string_lossy())
    }

    /// Starts a worker ahead of the next invocation, which it will get: its process is known before its first event.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn provision(&self) -> anyhow::Result<Arc<Worker>> {
        let worker = self.cold_start().await?;
        let mut workers = self.workers();
        workers.latest = Some(worker.clone());
        workers.idle.push(worker.clone());
        Ok(worker)
    }

    /// Invokes the function: on a warm worker that is idle, or on a fresh one.
    ///
    /// # Errors
    /// When no worker can be started. That the handler fails is an [`Outcome`].
    pub async fn invoke(&self, payload: Value) -> anyhow::Result<Outcome> {
        let warm = self.workers().idle.pop().filter(|worker| worker.is_alive());
        let worker = match warm {
            Some(worker) => worker,
            None => self.cold_start().await?,
        };
        self.workers().latest = Some(worker.clone());
        let outcome = worker.invoke(payload, self.timeout).await?;
        match outcome {
            Outcome::TimedOut if self.after_timeout == AfterTimeout::Leave => self.workers().left.push(worker),
            Outcome::Ok(_) | Outcome::Error { .. } if !self.always_cold => self.workers().idle.push(worker),
            Outcome::Ok(_)
            | Outcome::Error { .. }
            | Outcome::TimedOut
            | Outcome::Exited { .. }
            | Outcome::InitError { .. } => {
                worker.kill().await;
            }
        }
        Ok(outcome)
    }

    /// A handle for faults; it strikes the worker that was given work last.
    pub fn process(&self) -> Process {
        let workers = self.workers.clone();
        Process::new(move |signal| {
            if let Some(worker) = &lock(&workers).latest {
                worker.process().signal(signal);
            }
        })
    }

    /// The worker that was given work last.
    pub fn latest(&self) -> Option<Arc<Worker>> {
        self.workers().latest.clone()
    }

    /// The workers that did not answer in time and were left as they are.
    pub fn left(&self) -> Vec<Arc<Worker>> {
        self.workers().left.clone()
    }

    /// How many workers have been started.
    pub fn cold_starts(&self) -> u64 {
        self.workers().cold_starts
    }

    /// What all workers wrote.
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Ends every worker, so that the next invocation is cold and the output so far is complete.
    pub async fn stop(&self) {
        let Workers { idle, latest, left, .. } = {
            let mut workers = self.workers();
            let cold_starts = workers.cold_starts;
            std::mem::replace(&mut *workers, Workers { cold_starts, ..Workers::default() })
        };
        for worker in idle.into_iter().chain(latest).chain(left) {
            worker.kill().await;
        }
    }

    async fn cold_start(&self) -> anyhow::Result<Arc<Worker>> {
        self.workers().cold_starts += 1;
        Ok(Arc::new(Worker::start(&self.binary, self.env.iter().cloned(), self.output.clone()).await?))
    }

    fn workers(&self) -> MutexGuard<'_, Workers> {
        lock(&self.workers)
    }
}

/// What Lambda sets for an OS-only runtime:
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>.
fn environment(function: &str, runtime_api: &str) -> Vec<(String, String)> {
    [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api),
        ("AWS_LAMBDA_FUNCTION_NAME", function),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &format!("/aws/lambda/{function}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]00000000000000000000000000000000"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "ASIALOCALCLOUD"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_SESSION_TOKEN", "local"),
        ("_HANDLER", "bootstrap"),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("LANG", "en_US.UTF-8"),
        ("TZ", ":UTC"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
