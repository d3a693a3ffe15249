//! What can go wrong with a call, and when it does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What happens to a call instead of its answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// 503; nothing takes effect.
    Refuse,
    /// The connection is closed without an answer; nothing takes effect.
    Hangup,
    /// The call takes effect; the connection is closed without an answer.
    DropReply,
    /// No effect and never an answer; the connection stays open until the client goes away.
    Silence,
    /// Answered as ever, but this much later.
    Delay(Duration),
    /// 400 ThrottlingException; nothing takes effect.
    Throttle,
    /// AccessDeniedException; nothing takes effect.
    Deny,
    /// The call takes effect; the answer is 200 with a body that nobody can read.
    Garble,
    /// Answered from the versions, labels and policy as they were before their last change (eventual consistency). Hits
    /// only `DescribeSecret`, `GetResourcePolicy`, `GetSecretValue` and `ListSecretVersionIds`; other calls pass, and
    /// count.
    StaleLabels,
    /// SIGKILL to the process; nothing takes effect.
    KillBefore(Process),
    /// The call takes effect; SIGKILL to the process before it can know.
    KillAfter(Process),
    /// SIGSTOP to the process; nothing takes effect, and no answer ever comes.
    FreezeBefore(Process),
    /// SIGSTOP to the process, then the call takes effect. The answer waits in the socket: a process that is
    /// continued reads it as if no time had passed, and carries on with what it believed then.
    FreezeAfter(Process),
}

impl Fault {
    /// The variant's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refuse => "Refuse",
            Self::Hangup => "Hangup",
            Self::DropReply => "DropReply",
            Self::Silence => "Silence",
            Self::Delay(_) => "Delay",
            Self::Throttle => "Throttle",
            Self::Deny => "Deny",
            Self::Garble => "Garble",
            Self::StaleLabels => "StaleLabels",
            Self::KillBefore(_) => "KillBefore",
            Self::KillAfter(_) => "KillAfter",
            Self::FreezeBefore(_) => "FreezeBefore",
            Self::FreezeAfter(_) => "FreezeAfter",
        }
    }
}

/// Something that can be sent a signal at the moment a fault strikes.
#[derive(Clone)]
pub struct Process(Arc<dyn Fn(Signal) + Send + Sync>);

impl Process {
    /// Whatever `signal` reaches; it is called with SIGKILL or SIGSTOP and must not block.
    pub fn new(signal: impl Fn(Signal) + Send + Sync + 'static) -> Self {
        Self(Arc::new(signal))
    }

    /// The process with that id; the caller sees to it that the id is still its own.
    pub fn with_id(pid: u32) -> Self {
        Self::new(move |signal| {
            // A process that is gone already is as dead as it was to be.
            let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
        })
    }

    /// Sends the signal.
    pub fn signal(&self, signal: Signal) {
        (self.0)(signal);
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Process")
    }
}

/// The faults that are set.
#[derive(Default)]
pub(super) struct Faults(Vec<Rule>);

struct Rule {
    operations: String,
    /// Matching operations that pass before the first is hit.
    skip: u64,
    /// Operations still to hit; `None` for all.
    left: Option<u64>,
    fault: Fault,
}

impl Faults {
    pub(super) fn add(&mut self, operations: &str, n: u64, times: Option<u64>, fault: Fault) {
        self.0.push(Rule { operations: operations.to_owned(), skip: n.saturating_sub(1), left: times, fault });
    }

    /// Counts an operation, and says which fault hits it.
    pub(super) fn hit(&mut self, service: &str, action: &str) -> Option<Fault> {
        let mut hit = None;
        for rule in self.0.iter_mut().filter(|rule| rule.covers(service, action)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.left != Some(0) {
                rule.left = rule.left.map(|left| left - 1);
                hit = hit.or_else(|| Some(rule.fault.clone()));
            }
        }
        hit
    }
}

impl Rule {
    fn covers(&self, service: &str, action: &str) -> bool {
        self.operations == "*"
            || self.operations.split_once(':').is_some_and(|(s, a)| s == service && (a == "*" || a == action))
    }
}
