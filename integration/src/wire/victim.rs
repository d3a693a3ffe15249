//! The process that a fault kills or stops.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Whom a fault kills or stops.
#[derive(Clone)]
pub enum Victim {
    /// The process of this id.
    Pid(u32),
    /// Whoever this function kills or stops, for a process whose id is not known when the fault is injected. It is
    /// called on the wire's thread, and all connections wait until it returns. As nobody can see then whether a
    /// stopped client continues, [`super::Wire::clear`] tells: an operation held by
    /// [`super::Fault::FreezeBefore`] goes on with it.
    By(Arc<dyn Fn() + Send + Sync>),
}

impl Victim {
    /// Kills, and returns when the process no longer runs. False when it did not run at all.
    pub(super) async fn kill(&self) -> bool {
        match self {
            Self::Pid(pid) => {
                let found = signal(*pid, Signal::SIGKILL);
                until(*pid, |state| matches!(state, None | Some('Z' | 'X'))).await;
                found
            }
            Self::By(act) => {
                act();
                true
            }
        }
    }

    /// Stops, and returns when the process stands still. False when it did not run at all.
    pub(super) async fn freeze(&self) -> bool {
        match self {
            Self::Pid(pid) => {
                let found = signal(*pid, Signal::SIGSTOP);
                until(*pid, |state| matches!(state, None | Some('T' | 't' | 'Z' | 'X'))).await;
                found
            }
            Self::By(act) => {
                act();
                true
            }
        }
    }

    /// Until the stopped process continues; false when it ends instead.
    pub(super) async fn continues(&self, cleared: impl Future<Output = ()>) -> bool {
        match self {
            Self::Pid(pid) => {
                until(*pid, |state| !matches!(state, Some('T' | 't'))).await;
                !matches!(state_of(*pid), None | Some('Z' | 'X'))
            }
            Self::By(_) => {
                cleared.await;
                true
            }
        }
    }
}

impl From<u32> for Victim {
    fn from(pid: u32) -> Self {
        Self::Pid(pid)
    }
}

impl fmt::Debug for Victim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => formatter.debug_tuple("Pid").field(pid).finish(),
            Self::By(_) => formatter.write_str("By(…)"),
        }
    }
}

fn signal(pid: u32, signal: Signal) -> bool {
    kill(Pid::from_raw(pid.cast_signed()), signal).is_ok()
}

/// Signals take effect a moment after they were sent. The kernel tells nobody but the parent, so it has to be asked;
/// for the letters see `proc_pid_stat(5)`.
async fn until(pid: u32, reached: impl Fn(Option<char>) -> bool) {
    while !reached(state_of(pid)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Nothing when there is no such process.
fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
