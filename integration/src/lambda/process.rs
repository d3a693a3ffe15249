//! A process that cannot outlive its owner.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use anyhow::Context;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

use super::{Line, Output, lock};
use crate::aws::Process;

#[derive(Clone)]
pub(super) struct Child {
    pid: Pid,
    started: Instant,
    /// Held while a signal is sent and while the process is reaped, so that no signal reaches a stranger who was
    /// given the same id. True until then.
    unreaped: Arc<Mutex<bool>>,
    ended: watch::Receiver<Option<ExitStatus>>,
}

impl Child {
    pub(super) async fn spawn(binary: &Path, env: Vec<(String, String)>, output: Output) -> anyhow::Result<Self> {
        let mut command = Command::new("setpriv");
        // The shell stops itself before it becomes the binary, so that the start-up of setpriv and of the shell
        // do not count as the binary's.
        command.args(["--pdeathsig", "KILL", "--", "sh", "-c", "kill -STOP $$; exec \"$0\""]).arg(binary);
        command
            .env_clear()
            .envs(env)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (report, reported) = oneshot::channel();
        // "Parent death" is the death of the thread that forked: it must be one that lives as long as the process.
        thread::Builder::new().name("worker".into()).spawn(move || keep(command, &output, report))?;
        reported.await.context("the thread that starts workers died")?
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn is_alive(&self) -> bool {
        *lock(&self.unreaped)
    }

    pub(super) fn signal(&self, signal: Signal) {
        let unreaped = lock(&self.unreaped);
        if *unreaped {
            // It may have ended and not been reaped yet; then the signal is no longer needed.
            // What it started itself is in its group, and shares its fate as in Lambda.
            let _ = killpg(self.pid, signal);
        }
    }

    pub(super) fn process(&self) -> Process {
        let child = self.clone();
        Process::new(move |signal| child.signal(signal))
    }

    /// Returns when the process has ended and its output is complete.
    pub(super) async fn ended(&self) -> ExitStatus {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await.map(|status| *status) {
            Ok(Some(status)) => status,
            // The thread died without a word: nobody will ever know.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

fn keep(mut command: Command, output: &Output, report: oneshot::Sender<anyhow::Result<Child>>) {
    let started = command.spawn().context("starting setpriv").and_then(|process| {
        let pid = Pid::from_raw(process.id().cast_signed());
        let stopped = waitid(Id::Pid(pid), WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
        let started = Instant::now();
        if matches!(stopped, WaitStatus::Stopped(..)) {
            kill(pid, Signal::SIGCONT)?;
        }
        Ok((process, pid, started))
    });
    let (mut process, pid, started) = match started {
        Ok(started) => started,
        Err(error) => return drop(report.send(Err(error))),
    };
    let unreaped = Arc::new(Mutex::new(true));
    let (end, ended) = watch::channel(None);
    let child = Child { pid, started, unreaped: unreaped.clone(), ended };
    let (stdout, stderr) = (process.stdout.take(), process.stderr.take());
    // Nobody waits any more: the caller was cancelled.
    let abandoned = report.send(Ok(child.clone())).is_err();
    if abandoned {
        child.signal(Signal::SIGKILL);
    }
    thread::scope(|scope| {
        scope.spawn(|| collect(stdout, output, pid, false));
        scope.spawn(|| collect(stderr, output, pid, true));
        let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
    });
    let mut unreaped = lock(&unreaped);
    if let Ok(status) = process.wait() {
        *unreaped = false;
        end.send_replace(Some(status));
    }
}

fn collect(stream: Option<impl Read>, output: &Output, pid: Pid, stderr: bool) {
    let Some(stream) = stream else { return };
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let text = String::from_utf8_lossy(&line).into_owned();
        output.add(Line { pid: pid.as_raw().cast_unsigned(), stderr, text });
    }
}
