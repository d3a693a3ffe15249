//! The PostgreSQL that this machine has, and those that `scripts/setup tests` brings.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{User, geteuid};

use super::Version;

const OLDEST: u32 = 15;

/// Where Debian and Ubuntu keep every major version in a folder of its own, outside PATH.
const DEBIAN: &str = "/usr/lib/postgresql";

const INITDB: [&str; 6] = [
    "--username=postgres",
    "--auth-local=trust",
    "--auth-host=scram-sha-256",
    "--encoding=UTF8",
    "--no-locale",
    "--no-sync",
];

/// To be raised whenever [`INITDB`] changes, because what it makes is kept between runs.
const INITDB_REVISION: u32 = 1;

/// A server's programs, and the account they are to run under.
#[derive(Clone)]
pub(super) struct Installation {
    bin: PathBuf,
    version: String,
    /// PostgreSQL refuses to run as root; then this account takes its place.
    account: Option<User>,
}

impl Installation {
    /// The server of this version, or the newest of the machine's own.
    pub(super) fn find(version: Option<Version>) -> Result<Self> {
        version
            .map_or_else(Self::newest, |version| Self::of(version, env::var_os("RELATCH_POSTGRES").map(PathBuf::from)))
    }

    /// There is no second place to look in: a test that names a version runs on the server that is pinned, or fails.
    fn of(version: Version, servers: Option<PathBuf>) -> Result<Self> {
        let how = "run `scripts/setup tests`, and the tests by `make test` or after `. scripts/environment`";
        let servers = servers.with_context(|| format!("RELATCH_POSTGRES is not set: {how}"))?;
        let bin = servers.join(version.to_string()).join("bin");
        let found =
            self::version(&bin).with_context(|| format!("no PostgreSQL {version} in {}: {how}", bin.display()))?;
        ensure!(major(&found) == Some(version.major()), "{} has PostgreSQL {found}: {how}", bin.display());
        Self::at(bin, found)
    }

    fn newest() -> Result<Self> {
        let (bin, version) =
            debian_folders().into_iter().chain(path_folders()).find_map(usable).with_context(|| {
                format!(
                    "no PostgreSQL server of version {OLDEST} or newer in {DEBIAN}/*/bin or PATH; \
                 install one (Debian, Ubuntu: apt-get install postgresql)"
                )
            })?;
        Self::at(bin, version)
    }

    fn at(bin: PathBuf, version: String) -> Result<Self> {
        let account = if geteuid().is_root() {
            let found = User::from_name("postgres")?;
            Some(found.context("PostgreSQL refuses to run as root, and there is no account \"postgres\" to run it")?)
        } else {
            None
        };
        Ok(Self { bin, version, account })
    }

    /// User and group id that the server's files must have, when they are not our own.
    pub(super) fn owner(&self) -> Option<(u32, u32)> {
        self.account.as_ref().map(|account| (account.uid.as_raw(), account.gid.as_raw()))
    }

    /// Runs a program of this installation under the right account, ended by the kernel when the thread that starts
    /// it ends (see `prctl(2)`, `PR_SET_PDEATHSIG`): SIGQUIT is PostgreSQL's immediate shutdown, which leaves no
    /// shared memory behind.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "QUIT"]);
        if let Some((user, group)) = self.owner() {
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
        }
        command.arg("--").arg(self.bin.join(program)).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        command
    }

    /// Makes a fresh data directory at `target`, which must not exist.
    ///
    /// `initdb` takes 1 to 1.6 s, a copy of what it made 0.1 s (two cores, 39 MB); so the first one is kept in the
    /// user's cache directory.
    pub(super) async fn data_directory(&self, target: &Path) -> Result<()> {
        let kept = self.kept_data_directory();
        if let Some(kept) = kept.as_deref().filter(|kept| kept.exists()) {
            return copy(kept, target).await;
        }
        let mut initdb = self.command("initdb");
        initdb.args(INITDB).arg("--pgdata").arg(target);
        run(initdb).await?;
        if let Some(kept) = kept
            && let Err(error) = keep(target, &kept).await
        {
            tracing::warn!(error = format!("{error:#}"), "Could not keep the data directory for the next time");
        }
        Ok(())
    }

    fn kept_data_directory(&self) -> Option<PathBuf> {
        let cache = env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| env::home_dir().map(|home| home.join(".cache")))
            .filter(|cache| cache.is_absolute())?;
        // The user is part of the name because the copy keeps its owner, and a cache may be shared through sudo.
        // Who built the server is, too: two of one version may differ in what they are built with.
        let origin = if self.bin.starts_with(DEBIAN) { "debian" } else { "other" };
        let name = format!("postgres-{origin}-{}-{INITDB_REVISION}-{}", self.version, geteuid());
        Some(cache.join("relatch").join(name))
    }
}

/// Runs a command to its end, and shows what it said when it fails.
pub(super) async fn run(command: Command) -> Result<()> {
    let name = format!("{command:?}");
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output().await.with_context(|| format!("running {name}"))?;
    ensure!(output.status.success(), "{name}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Many tests may do this at the same time: each copies to a place of its own, and the rename that gives the copy
/// its name succeeds for one of them.
async fn keep(made: &Path, kept: &Path) -> Result<()> {
    let folder = kept.parent().context("the cache has no folder")?;
    fs::create_dir_all(folder)?;
    let own = tempfile::tempdir_in(folder)?;
    let copied = own.path().join("data");
    copy(made, &copied).await?;
    match fs::rename(copied, kept) {
        Err(_) if kept.exists() => Ok(()),
        other => other.context("naming the copy"),
    }
}

async fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.args(["--archive", "--reflink=auto"]).arg(from).arg(to);
    run(command).await
}

/// Newest first.
fn debian_folders() -> Vec<PathBuf> {
    let mut majors: Vec<u32> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable_by(|one, other| other.cmp(one));
    majors.into_iter().map(|major| Path::new(DEBIAN).join(major.to_string()).join("bin")).collect()
}

fn path_folders() -> Vec<PathBuf> {
    env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default()
}

/// The folder and its version, when all that is needed is there.
fn usable(bin: PathBuf) -> Option<(PathBuf, String)> {
    if !["initdb", "pg_basebackup"].iter().all(|program| bin.join(program).exists()) {
        return None;
    }
    let version = version(&bin).ok()?;
    (major(&version)? >= OLDEST).then_some((bin, version))
}

fn major(version: &str) -> Option<u32> {
    version.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// From a line such as `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version(bin: &Path) -> Result<String> {
    let output = Command::new(bin.join("postgres")).arg("--version").output()?;
    let line = String::from_utf8(output.stdout)?;
    match line.split_whitespace().nth(2) {
        Some(version) => Ok(version.to_owned()),
        None => bail!("postgres --version said {line:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_missing_or_another_fails_the_test_that_names_it() {
        let says = |servers: Option<&Path>| {
            let found = Installation::of(Version::V17, servers.map(Path::to_owned));
            format!("{:#}", found.map(|installation| installation.bin).unwrap_err())
        };
        let servers = tempfile::tempdir().unwrap();
        assert!(says(None).contains("RELATCH_POSTGRES is not set: run `scripts/setup tests`"));
        assert!(says(Some(servers.path())).contains("no PostgreSQL 17 in"), "{}", says(Some(servers.path())));
        let bin = servers.path().join("17/bin");
        fs::create_dir_all(&bin).unwrap();
        std::os::unix::fs::symlink("/bin/echo", bin.join("postgres")).unwrap();
        assert!(says(Some(servers.path())).contains("run `scripts/setup tests`"), "{}", says(Some(servers.path())));
    }
}
