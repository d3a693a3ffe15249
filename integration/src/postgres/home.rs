//! The directory of one server.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::installation::Installation;

const PREFIX: &str = "relatch-postgres-";

/// Data, sockets and log of one server, removed with it.
///
/// Nobody removes the directory of a test that was killed. Therefore its owner holds a lock in it, which the kernel
/// lets go of in any case, and the next test removes directories whose lock is free.
pub(super) struct Home {
    directory: TempDir,
    _lock: File,
}

impl Home {
    pub(super) fn new(installation: &Installation) -> Result<Self> {
        remove_abandoned();
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        // Locked before it has its name: a lock file that can be found and is free means that its owner is gone.
        let unnamed = directory.path().join("lock.new");
        let lock = File::create(&unnamed)?;
        lock.lock()?;
        fs::rename(unnamed, directory.path().join("lock"))?;
        if let Some((user, group)) = installation.owner() {
            chown(directory.path(), Some(user), Some(group))?;
        }
        Ok(Self { directory, _lock: lock })
    }

    /// Where the sockets are too.
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(super) fn open_log(&self) -> Result<File> {
        let log = File::options().create(true).append(true).open(self.log());
        log.context("opening the server's log")
    }

    pub(super) fn read_log(&self) -> Result<String> {
        match fs::read(self.log()) {
            Ok(log) => Ok(String::from_utf8_lossy(&log).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error).context("reading the server's log"),
        }
    }

    fn log(&self) -> PathBuf {
        self.path().join("server.log")
    }
}

/// Errors do not matter here: what is not removed now is removed by a later test.
fn remove_abandoned() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX)
            && File::open(entry.path().join("lock")).is_ok_and(|lock| lock.try_lock().is_ok())
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
