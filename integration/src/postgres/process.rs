//! What the kernel says about a process; see `proc_pid_stat(5)`.

use std::fs;

use anyhow::Result;
use nix::unistd::Pid;

/// The letter of its state: `T` is stopped, `Z` has ended. Nothing when there is no such process.
pub(crate) fn state(pid: Pid) -> Option<char> {
    field(pid, 0)?.chars().next()
}

/// Whether it runs no more.
pub(crate) fn has_ended(state: Option<char>) -> bool {
    matches!(state, None | Some('Z' | 'X'))
}

/// Whether it stands still until it is told to continue, or for ever.
pub(crate) fn stands_still(state: Option<char>) -> bool {
    matches!(state, Some('T' | 't')) || has_ended(state)
}

/// The processes that it has started itself.
pub(super) fn children(parent: Pid) -> Result<Vec<Pid>> {
    let parent = parent.to_string();
    let entries = fs::read_dir("/proc")?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw));
    Ok(pids.filter(|pid| field(*pid, 1).as_ref() == Some(&parent)).collect())
}

/// Counted from behind the name, which may hold anything.
fn field(pid: Pid, index: usize) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(") ")?;
    behind_name.split_whitespace().nth(index).map(str::to_owned)
}
