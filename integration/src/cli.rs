//! The `relatch` command as a person uses it: an environment, a terminal or none, and what is said on both outputs.

use crate::aws::REGION;
use anyhow::{Context, Result};
use nix::pty::openpty;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Somebody who types commands, with an environment and a home of his own.
#[derive(Debug)]
pub struct Operator {
    program: PathBuf,
    settings: BTreeMap<String, String>,
    home: TempDir,
}

/// What a command answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The exit status.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Whether there is somebody at the terminal.
enum Keyboard<'a> {
    None,
    Types(&'a str),
}

impl Operator {
    /// The access key that signs.
    pub const ACCESS_KEY: &str = "ASIALOCALCLOUD";

    /// Somebody with credentials and a region, who has set nothing else.
    ///
    /// # Errors
    /// When there is no place for a home.
    pub fn new(program: impl Into<PathBuf>) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let settings = BTreeMap::from(
            [
                ("AWS_REGION", REGION),
                ("AWS_ACCESS_KEY_ID", Self::ACCESS_KEY),
                ("AWS_SECRET_ACCESS_KEY", "local"),
                // Nobody asks the machine itself for credentials: that would leave it.
                ("AWS_EC2_METADATA_DISABLED", "true"),
                ("HOME", home.path().to_str().context("the temporary folder's name is not text")?),
                ("USER", "alice"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        Ok(Self { program: program.into(), settings, home })
    }

    /// The same, with a setting.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same, without a setting.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// The home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file in the home.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(&self, name: impl AsRef<Path>, text: &str) -> Result<()> {
        let path = self.home.path().join(name);
        fs::create_dir_all(path.parent().context("a file in no folder")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Runs a command with nobody at the keyboard: standard input is empty, and no terminal.
    ///
    /// # Errors
    /// When it cannot be started, or does not end by itself.
    pub async fn runs(&self, arguments: &[&str]) -> Result<Answer> {
        self.start(arguments, Keyboard::None).await
    }

    /// Runs a command at a terminal, and types this.
    ///
    /// # Errors
    /// As [`Operator::runs`].
    pub async fn types(&self, arguments: &[&str], typed: &str) -> Result<Answer> {
        self.start(arguments, Keyboard::Types(typed)).await
    }

    async fn start(&self, arguments: &[&str], keyboard: Keyboard<'_>) -> Result<Answer> {
        let terminal = openpty(None, None).context("no terminal")?;
        // Killed with the test.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program).args(arguments);
        command.env_clear().envs(&self.settings);
        let mut keys = File::from(terminal.master);
        match keyboard {
            Keyboard::None => command.stdin(Stdio::null()),
            Keyboard::Types(text) => {
                keys.write_all(text.as_bytes())?;
                command.stdin(terminal.slave)
            }
        };
        // A thread of its own: it lives until the command has ended, so that "parent death" is the test's.
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        drop(keys);
        Ok(Answer {
            status: output.status.code().context("the command was killed")?,
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }
}
