//! A real PgBouncer, between an application and PostgreSQL. It is gone when its owner is.

use crate::{certificates::Leaf, postgres::Postgres};
use anyhow::{Context, Result, bail};
use nix::unistd::{User, geteuid};
use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::chown,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A PgBouncer that drops the startup parameter `options`, as people have it do for drivers that send it.
#[derive(Debug)]
pub struct Pooler {
    process: Child,
    port: u16,
    _home: TempDir,
}

impl Pooler {
    /// Starts one before a server, in `session`, `transaction` or `statement` mode, for one user of one database.
    ///
    /// # Errors
    /// When PgBouncer is not installed, or does not start.
    pub fn start(server: &Postgres, leaf: &Leaf, mode: &str, user: &str, password: &str) -> Result<Self> {
        let home = tempfile::Builder::new().prefix("relatch-pooler-").tempdir()?;
        // PgBouncer refuses to run as root, as PostgreSQL does.
        let account = if geteuid().is_root() { User::from_name("postgres")? } else { None };
        let owner = account.as_ref().map(|account| (account.uid.as_raw(), account.gid.as_raw()));
        let files = leaf.write(home.path(), owner)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let (settings, users, log) =
            (home.path().join("pooler.ini"), home.path().join("users.txt"), home.path().join("pooler.log"));
        fs::write(&users, format!("\"{user}\" \"{password}\"\n"))?;
        fs::write(
            &settings,
            format!(
                "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = 1\n\
                 ignore_startup_parameters = options,extra_float_digits\nclient_tls_sslmode = allow\n\
                 client_tls_cert_file = {}\nclient_tls_key_file = {}\nlogfile = {}\n",
                server.port(),
                users.display(),
                files.certificate.display(),
                files.key.display(),
                log.display(),
            ),
        )?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]);
        if let Some((user, group)) = owner {
            for path in [home.path(), &settings, &users] {
                chown(path, Some(user), Some(group))?;
            }
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".to_owned()]);
        }
        // Debian keeps it where ordinary users do not look for programs.
        command.args(["--", "/usr/sbin/pgbouncer"]).arg(&settings).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().context("starting PgBouncer (Debian, Ubuntu: apt-get install pgbouncer)")?;
        let mut pooler = Self { process, port, _home: home };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = pooler.process.try_wait()? {
                bail!("PgBouncer ended with {status}:\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            anyhow::ensure!(Instant::now() < until, "PgBouncer does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(pooler)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
