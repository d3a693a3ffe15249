//! The Lambda service, with real processes.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use relatch_integration::aws::{Endpoint, Fault};
use relatch_integration::lambda::{AfterTimeout, Function, Outcome, Output, Worker};
use serde_json::json;
use tempfile::NamedTempFile;

pub(crate) const HELLO: &str = env!("CARGO_BIN_EXE_hello");
const PATIENCE: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_millis(200);

/// A handler in a few lines of shell, for what hello never does. It is read by bash when bash starts.
pub(crate) struct Script(NamedTempFile);

impl Script {
    /// `post PATH BODY` sends to the Runtime API; `next` sets `id` and `event`.
    pub(crate) fn new(body: &str) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        writeln!(file, "{}\n{body}", include_str!("handler.bash")).unwrap();
        Self(file)
    }

    pub(crate) fn env(&self) -> [(String, String); 1] {
        [("BASH_ENV".into(), self.0.path().to_str().unwrap().into())]
    }

    pub(crate) fn function(&self) -> Function {
        Function::new("/bin/bash", self.env()).timeout(PATIENCE)
    }
}

async fn hello() -> Worker {
    Worker::start(Path::new(HELLO), [], Output::default()).await.unwrap()
}

#[tokio::test]
async fn an_event_goes_to_the_process_and_its_answer_comes_back() {
    let worker = hello().await;
    for n in 0..3 {
        let event = json!({ "n": n, "text": "ä" });
        assert_eq!(worker.invoke(event.clone(), PATIENCE).await.unwrap(), Outcome::Ok(event));
    }
}

#[tokio::test]
async fn a_worker_tells_its_cold_start_and_its_memory() {
    let worker = hello().await;
    let cold_start = worker.ready(PATIENCE).await.unwrap();
    assert!(cold_start > Duration::ZERO && cold_start < PATIENCE);
    assert_eq!(worker.ready(PATIENCE).await.unwrap(), cold_start);
    let memory = worker.peak_memory().unwrap();
    assert!((500_000..500_000_000).contains(&memory), "{memory}");
}

#[tokio::test]
async fn a_process_sees_lambdas_environment_and_nothing_of_ours() {
    let worker = Worker::start(Path::new(HELLO), [("MINE".into(), "yes".into())], Output::default()).await.unwrap();
    worker.ready(PATIENCE).await.unwrap();
    let environment = std::fs::read(format!("/proc/{}/environ", worker.pid())).unwrap();
    let environment = String::from_utf8(environment).unwrap();
    let mut names: Vec<_> = environment.split_terminator('\0').map(|v| v.split_once('=').unwrap().0).collect();
    names.sort_unstable();
    // PWD is the shell's doing; Lambda sets it too.
    names.retain(|name| *name != "PWD");
    insta::assert_snapshot!(names.join("\n"), @"
    AWS_ACCESS_KEY_ID
    AWS_DEFAULT_REGION
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE
    AWS_LAMBDA_FUNCTION_NAME
    AWS_LAMBDA_FUNCTION_VERSION
    AWS_LAMBDA_INITIALIZATION_TYPE
    AWS_LAMBDA_LOG_GROUP_NAME
    AWS_LAMBDA_LOG_STREAM_NAME
    AWS_LAMBDA_RUNTIME_API
    AWS_REGION
    AWS_SECRET_ACCESS_KEY
    AWS_SESSION_TOKEN
    LAMBDA_RUNTIME_DIR
    LAMBDA_TASK_ROOT
    LANG
    MINE
    PATH
    TZ
    _HANDLER
    ");
    assert!(environment.contains("AWS_LAMBDA_RUNTIME_API=127.0.0.1:"));
    assert!(environment.contains("AWS_LAMBDA_FUNCTION_NAME=hello\0"));
}

#[tokio::test]
async fn a_handler_error_has_type_and_message() {
    let script =
        Script::new(r#"next; post invocation/$id/error '{"errorType":"Rotation.Refused","errorMessage":"no"}'; next"#);
    let outcome = script.function().invoke(json!({})).await.unwrap();
    let expected = Outcome::Error { error_type: "Rotation.Refused".into(), error_message: "no".into() };
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn a_process_that_cannot_start_says_why_and_is_ended() {
    let script = Script::new(r#"post init/error '{"errorType":"Settings","errorMessage":"none"}'; exec sleep 600"#);
    let outcome = script.function().invoke(json!({})).await.unwrap();
    assert_eq!(outcome, Outcome::InitError { error_type: "Settings".into(), error_message: "none".into() });
}

#[tokio::test]
async fn a_process_that_ends_is_reported_with_its_status() {
    let script = Script::new("next; exit 7");
    let outcome = script.function().invoke(json!({})).await.unwrap();
    let Outcome::Exited { status } = outcome else { panic!("{outcome:?}") };
    assert_eq!(status.code(), Some(7));
}

#[tokio::test]
async fn a_binary_that_is_not_there_is_an_error() {
    Function::new("/nowhere/bootstrap", []).invoke(json!({})).await.unwrap_err();
}

#[tokio::test]
async fn an_answer_to_an_event_that_is_over_is_refused() {
    let script =
        Script::new("next; post invocation/not-$id/response 1; post invocation/$id/response \"$status\"; next");
    assert_eq!(script.function().invoke(json!({})).await.unwrap(), Outcome::Ok(json!(400)));
}

#[tokio::test]
async fn a_handler_is_told_who_it_is_and_how_long_it_has() {
    let script = Script::new("next; post invocation/$id/response \"[$deadline,\\\"$arn\\\",\\\"$trace\\\"]\"; next");
    let now = jiff::Timestamp::now().as_millisecond();
    let Outcome::Ok(answer) = script.function().invoke(json!({})).await.unwrap() else { panic!("no answer") };
    let left = Duration::from_millis((answer[0].as_i64().unwrap() - now).try_into().unwrap());
    assert!(left >= PATIENCE && left < PATIENCE * 2);
    assert_eq!(answer[1], "arn:aws:lambda:eu-central-1:123456789012:function:bash");
    assert!(answer[2].as_str().unwrap().starts_with("Root=1-"));
}

#[tokio::test]
async fn what_a_process_writes_is_kept_line_by_line_up_to_its_last_word() {
    let script = Script::new("echo one; echo two >&2; next; printf three; exit 0");
    let function = script.function();
    function.invoke(json!({})).await.unwrap();
    let mut lines: Vec<_> = function.output().lines().into_iter().map(|line| (line.stderr, line.text)).collect();
    lines.sort();
    assert_eq!(lines, [(false, "one".into()), (false, "three".into()), (true, "two".into())]);
    assert!(function.output().contains("hre"));
}

#[tokio::test]
async fn a_process_that_is_too_slow_is_killed() {
    let script = Script::new("next; exec sleep 600");
    let function = script.function().timeout(SOON);
    assert_eq!(function.invoke(json!({})).await.unwrap(), Outcome::TimedOut);
    assert!(!function.latest().unwrap().is_alive());
}

#[tokio::test]
async fn what_a_process_started_ends_with_it() {
    let script = Script::new(r#"sleep 600 & next; post invocation/$id/response $!; exit 0"#);
    let function = script.function();
    let Outcome::Ok(child) = function.invoke(json!({})).await.unwrap() else { panic!("no answer") };
    function.stop().await;
    gone(child.as_u64().unwrap().try_into().unwrap());
}

#[tokio::test]
async fn a_process_that_was_left_frozen_answers_after_the_thaw() {
    let worker = hello().await;
    worker.ready(PATIENCE).await.unwrap();
    worker.freeze();
    assert_eq!(worker.invoke(json!(1), SOON).await.unwrap(), Outcome::TimedOut);
    worker.invoke(json!(2), SOON).await.unwrap_err();
    worker.thaw();
    assert_eq!(worker.wait(PATIENCE).await.unwrap(), Outcome::Ok(json!(1)));
}

#[tokio::test]
async fn a_function_leaves_a_frozen_process_alone_when_told_and_goes_on_with_another() {
    let function = Function::new(HELLO, []).timeout(PATIENCE).after_timeout(AfterTimeout::Leave);
    function.invoke(json!(1)).await.unwrap();
    let function = function.timeout(SOON);
    let frozen = function.latest().unwrap();
    frozen.freeze();
    assert_eq!(function.invoke(json!(2)).await.unwrap(), Outcome::TimedOut);
    let function = function.timeout(PATIENCE);
    assert_eq!(function.invoke(json!(3)).await.unwrap(), Outcome::Ok(json!(3)));
    assert_eq!(function.left()[0].pid(), frozen.pid());
    frozen.thaw();
    assert_eq!(frozen.wait(PATIENCE).await.unwrap(), Outcome::Ok(json!(2)));
    function.stop().await;
    assert!(!frozen.is_alive());
}

#[tokio::test]
async fn a_function_keeps_its_worker_warm_until_it_dies() {
    let function = Function::new(HELLO, []).timeout(PATIENCE);
    for n in 0..3 {
        function.invoke(json!(n)).await.unwrap();
    }
    assert_eq!(function.cold_starts(), 1);
    function.latest().unwrap().kill().await;
    assert!(function.invoke(json!(3)).await.unwrap().is_ok());
    assert_eq!(function.cold_starts(), 2);
}

#[tokio::test]
async fn a_function_that_is_always_cold_starts_a_process_for_each_event() {
    let function = Function::new(HELLO, []).always_cold();
    for n in 0..3 {
        function.invoke(json!(n)).await.unwrap();
    }
    assert_eq!(function.cold_starts(), 3);
    assert!(!function.latest().unwrap().is_alive());
}

#[tokio::test]
async fn events_at_the_same_time_go_to_different_workers() {
    let function = Function::new(HELLO, []).timeout(PATIENCE);
    let (one, two) = tokio::join!(function.invoke(json!(1)), function.invoke(json!(2)));
    assert_eq!((one.unwrap(), two.unwrap()), (Outcome::Ok(json!(1)), Outcome::Ok(json!(2))));
    assert_eq!(function.cold_starts(), 2);
}

#[tokio::test]
async fn a_fault_kills_the_process_that_made_the_call() {
    let endpoint = Endpoint::start().await.unwrap();
    let url = endpoint.url().replace("http://", "/dev/tcp/").replace("127.0.0.1:", "127.0.0.1/");
    let script = Script::new(&format!(
        "next; exec 4<>{url}; printf 'GET / HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n' >&4; read -r line <&4; exit 0"
    ));
    let function = script.function();
    endpoint.fault_at(1, Fault::KillBefore(function.process()));
    let outcome = function.invoke(json!({})).await.unwrap();
    let Outcome::Exited { status } = outcome else { panic!("{outcome:?}") };
    assert_eq!(status.signal(), Some(Signal::SIGKILL as i32));
}

#[tokio::test]
async fn a_dropped_worker_takes_its_process_with_it() {
    let worker = hello().await;
    worker.ready(PATIENCE).await.unwrap();
    let pid = worker.pid();
    worker.freeze();
    drop(worker);
    gone(pid);
}

#[test]
fn a_process_dies_with_the_program_that_started_it() {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "lambda::the_program_that_is_killed", "--ignored", "--nocapture"]);
    let mut program = program.env("TO_BE_KILLED", "yes").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pid = lines.find_map(|line| line.split_once("worker: ")?.1.parse().ok()).unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
    gone(pid);
}

#[tokio::test]
#[ignore = "the other half of the test above, which starts it"]
async fn the_program_that_is_killed() {
    if std::env::var_os("TO_BE_KILLED").is_none() {
        return;
    }
    let worker = hello().await;
    worker.ready(PATIENCE).await.unwrap();
    // Frozen, it cannot notice by itself that its Runtime API is gone.
    worker.freeze();
    writeln!(std::io::stdout(), "worker: {}", worker.pid()).unwrap();
    std::future::pending::<()>().await;
}

/// Waits until no process has that id; a zombie that nobody has reaped yet counts as gone.
fn gone(pid: u32) {
    let start = Instant::now();
    let lives = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    while lives() {
        assert!(start.elapsed() < PATIENCE, "process {pid} is still there");
        std::thread::yield_now();
    }
}
