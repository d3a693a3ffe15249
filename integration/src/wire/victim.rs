//! The process that a fault kills or stops.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::postgres::process;

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
                until(*pid, process::has_ended).await;
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
                until(*pid, process::stands_still).await;
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
                until(*pid, |state| !process::stands_still(state) || process::has_ended(state)).await;
                !process::has_ended(process::state(pid_of(*pid)))
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
    // Nobody refuses a signal to a process that has ended and that its parent has not looked after yet.
    !process::has_ended(process::state(pid_of(pid))) && kill(pid_of(pid), signal).is_ok()
}

/// Signals take effect a moment after they were sent. The kernel tells nobody but the parent, so it has to be asked.
async fn until(pid: u32, reached: impl Fn(Option<char>) -> bool) {
    while !reached(process::state(pid_of(pid))) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn pid_of(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed())
}
