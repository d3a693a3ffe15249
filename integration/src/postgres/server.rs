//! The processes of one server.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::process;

/// PostgreSQL gives its own processes 5 s before it kills them; after that it is our turn.
const LONGEST_SHUTDOWN: Duration = Duration::from_secs(8);

/// The server's main process. Dropping it ends the server.
pub(super) struct Server {
    process: Child,
    frozen: Option<Frozen>,
    /// Keeps the thread alive that started the process: the kernel's parent-death signal follows the *thread*, and
    /// that of a test or of a runtime may end earlier than the process.
    _starter: mpsc::Sender<()>,
}

impl Server {
    pub(super) fn spawn(mut command: Command) -> Result<Self> {
        let (starter, owner_is_gone) = mpsc::channel::<()>();
        let (sender, started) = mpsc::channel();
        thread::Builder::new().name("postgres".to_owned()).spawn(move || {
            if sender.send(command.spawn()).is_ok() {
                let _ = owner_is_gone.recv();
            }
        })?;
        let process = started.recv()?.context("starting postgres")?;
        Ok(Self { process, frozen: None, _starter: starter })
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    /// Nothing while the server runs.
    pub(super) fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("sending {signal} to PostgreSQL"))
    }

    pub(super) fn freeze(&mut self) -> Result<()> {
        if self.frozen.is_none() {
            self.frozen = Some(Frozen::stop(self.pid())?);
        }
        Ok(())
    }

    pub(super) fn thaw(&mut self) -> Result<()> {
        self.frozen.take().map_or(Ok(()), Frozen::resume)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.thaw();
        let _ = self.signal(Signal::SIGQUIT);
        let deadline = Instant::now() + LONGEST_SHUTDOWN;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.process.kill();
                let _ = self.process.wait();
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Stopped processes, and a shell that lets them continue when its input ends: by our will, or because we were
/// killed. Without it nothing would ever wake them to see that they are orphans.
struct Frozen {
    keeper: Child,
}

impl Frozen {
    fn stop(main: Pid) -> Result<Self> {
        // The main process first: when it stands still there are no new ones.
        kill(main, Signal::SIGSTOP)?;
        until_still(main);
        let mut all = process::children(main)?;
        all.push(main);
        let keeper = Command::new("sh")
            .args(["-c", "read -r _; kill -CONT \"$@\" 2>/dev/null", "sh"])
            .args(all.iter().map(Pid::to_string))
            .stdin(Stdio::piped())
            // Out of reach of a Ctrl-C that ends us.
            .process_group(0)
            .spawn()?;
        let frozen = Self { keeper };
        for process in &all {
            // One may have ended meanwhile.
            let _ = kill(*process, Signal::SIGSTOP);
        }
        all.into_iter().for_each(until_still);
        Ok(frozen)
    }

    fn resume(mut self) -> Result<()> {
        drop(self.keeper.stdin.take());
        self.keeper.wait()?;
        Ok(())
    }
}

/// A signal takes effect a moment after it was sent.
fn until_still(process: Pid) {
    while !process::stands_still(process::state(process)) {
        thread::sleep(Duration::from_millis(1));
    }
}
