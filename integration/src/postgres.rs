//! A real PostgreSQL with TLS, for one test or one demo, that is gone when its owner is.
//!
//! [`Postgres::start`] runs the machine's own server (15 or newer), or with [`Options::version`] one of that version, on
//! a free port of 127.0.0.1, in a directory of its own. Clients reach it as `localhost` over TLS, directly or through [`crate::wire`]; because the wire ends TLS
//! itself, the server also takes plain connections from loopback. That a program insists on TLS is therefore to be
//! tested by what it does, with [`Options::without_tls`], and not by what the server refuses.
//!
//! Questions of the tests themselves ([`Postgres::sql`], [`Postgres::logs_in`]) go past the wire, so that asking
//! neither moves its numbering nor meets its faults.

mod home;
mod installation;
pub(crate) mod process;
mod server;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use nix::sys::signal::Signal;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use self::home::Home;
use self::installation::Installation;
use self::server::Server;
use crate::certificates::Leaf;

/// How long a server may take to start, to stop or to catch up before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long [`Postgres::logs_in`] waits for the server; a frozen server answers never.
const LOGIN_PATIENCE: Duration = Duration::from_secs(5);

/// What a server is started with.
#[derive(Clone)]
pub struct Options {
    leaf: Option<Leaf>,
    settings: Vec<(String, String)>,
    access: Vec<String>,
    version: Option<Version>,
}

/// A major version that Relatch supports. Its server is installed by `scripts/setup tests`; where it is missing, a test
/// on it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// PostgreSQL 15.
    V15,
    /// PostgreSQL 16.
    V16,
    /// PostgreSQL 17.
    V17,
    /// PostgreSQL 18.
    V18,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::V15, Self::V16, Self::V17, Self::V18];

    /// Its number.
    #[must_use]
    pub fn major(self) -> u32 {
        match self {
            Self::V15 => 15,
            Self::V16 => 16,
            Self::V17 => 17,
            Self::V18 => 18,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.major().fmt(formatter)
    }
}

impl Options {
    /// TLS with this certificate.
    #[must_use]
    pub fn with_tls(leaf: Leaf) -> Self {
        Self { leaf: Some(leaf), settings: Vec::new(), access: Vec::new(), version: None }
    }

    /// A server that answers "no" to a request for TLS (`ssl=off`).
    #[must_use]
    pub fn without_tls() -> Self {
        Self { leaf: None, settings: Vec::new(), access: Vec::new(), version: None }
    }

    /// A server of this version in place of the machine's own.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// Adds a line to `postgresql.conf`, after and thus above our own.
    ///
    /// With `password_encryption=md5` the server also asks for MD5 logins.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a line to `pg_hba.conf`, above those that let every role in by its password.
    #[must_use]
    pub fn access(mut self, line: &str) -> Self {
        self.access.push(line.to_owned());
        self
    }
}

/// What became of one login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// Logged in, and a query was answered.
    Accepted,
    /// The server refused the password: SQLSTATE 28P01.
    Rejected,
    /// Anything else: another SQLSTATE, a server that is down or silent.
    Other(String),
}

/// A running server. Dropping it ends the server and removes its directory.
pub struct Postgres {
    /// Declared before the directory, so that the server has ended when its files go.
    server: Mutex<Option<Server>>,
    home: Home,
    installation: Installation,
    port: u16,
}

impl Postgres {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When no server is installed, or it does not start; then with the end of its log.
    pub async fn start(options: Options) -> Result<Self> {
        let installation = Installation::find(options.version)?;
        let home = Home::new(&installation)?;
        installation.data_directory(&home.data()).await?;
        configure(&home.data(), &options, &installation)?;
        Self::launch_on_a_free_port(installation, home).await
    }

    /// Starts a read-only copy that follows this server by streaming replication, with the same settings.
    ///
    /// # Errors
    /// When this server does not run, or the copy cannot be made or started.
    pub async fn standby(&self) -> Result<Self> {
        let installation = self.installation.clone();
        let home = Home::new(&installation)?;
        let mut copy = installation.command("pg_basebackup");
        copy.arg("--pgdata").arg(home.data()).arg("--host").arg(self.home.path());
        copy.arg("--port").arg(self.port.to_string());
        copy.args(["--username=postgres", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]);
        installation::run(copy).await?;
        Self::launch_on_a_free_port(installation, home).await
    }

    /// The port on 127.0.0.1; it stays the same when the server is restarted.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server itself, past any [`crate::wire`].
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The process id of the server, or nothing while it is stopped.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server().as_ref().map(|server| server.pid().as_raw().cast_unsigned())
    }

    /// Everything the server has logged so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn log(&self) -> Result<String> {
        self.home.read_log()
    }

    /// A session of the superuser in `dbname`, over a socket that only this machine's owner reaches.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn admin(&self, dbname: &str) -> Result<Client> {
        let mut config = Config::new();
        config.host_path(self.home.path()).port(self.port).user("postgres").dbname(dbname);
        connect(&config).await.context("connecting as the superuser")
    }

    /// Runs statements as the superuser in the database `postgres`.
    ///
    /// # Errors
    /// When the server does not answer or refuses a statement.
    pub async fn sql(&self, statements: &str) -> Result<()> {
        Ok(self.admin("postgres").await?.batch_execute(statements).await?)
    }

    /// The first column of the first row that a query of the superuser yields, as text; nothing when it is NULL or
    /// there is no row.
    ///
    /// # Errors
    /// When the server does not answer or refuses the query.
    pub async fn value(&self, query: &str) -> Result<Option<String>> {
        let answer = self.admin("postgres").await?.simple_query(query).await?;
        Ok(answer.iter().find_map(|message| {
            if let SimpleQueryMessage::Row(row) = message { row.get(0).map(str::to_owned) } else { None }
        }))
    }

    /// Creates a role that can log in with this password.
    ///
    /// # Errors
    /// When the server refuses, for example because the role exists.
    pub async fn create_role(&self, name: &str, password: &str) -> Result<()> {
        let admin = self.admin("postgres").await?;
        let quoted = admin
            .query_one("SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', $1::text, $2::text)", &[&name, &password])
            .await?;
        Ok(admin.batch_execute(quoted.get(0)).await?)
    }

    /// Creates a database of this owner with a table `orders(id, amount)` of 100 rows in it.
    ///
    /// # Errors
    /// When the server refuses, for example because the owner does not exist.
    pub async fn create_database(&self, name: &str, owner: &str) -> Result<()> {
        let admin = self.admin("postgres").await?;
        let quoted = admin
            .query_one(
                "SELECT format('CREATE DATABASE %I OWNER %I', $1::text, $2::text), format('SET ROLE %I', $2::text)",
                &[&name, &owner],
            )
            .await?;
        admin.batch_execute(quoted.get(0)).await?;
        let inside = self.admin(name).await?;
        inside.batch_execute(quoted.get(1)).await?;
        Ok(inside
            .batch_execute(
                "CREATE TABLE orders (id int PRIMARY KEY, amount numeric NOT NULL);
                 INSERT INTO orders SELECT n, n * 10 FROM generate_series(1, 100) n",
            )
            .await?)
    }

    /// Whether this password opens the database, asked of the server itself.
    ///
    /// The connection is a plain one over loopback, so that the answer is about the password whatever certificate or
    /// TLS version the server was given.
    pub async fn logs_in(&self, user: &str, password: &str, dbname: &str) -> Login {
        let mut config = Config::new();
        config.host(Ipv4Addr::LOCALHOST.to_string()).port(self.port).ssl_mode(SslMode::Disable);
        config.user(user).password(password).dbname(dbname);
        let attempt = async { connect(&config).await?.batch_execute("SELECT 1").await };
        match tokio::time::timeout(LOGIN_PATIENCE, attempt).await {
            Ok(Ok(())) => Login::Accepted,
            Ok(Err(error)) if error.code() == Some(&SqlState::INVALID_PASSWORD) => Login::Rejected,
            Ok(Err(error)) => Login::Other(match error.as_db_error() {
                Some(refusal) => format!("{} {}", refusal.code().code(), refusal.message()),
                None => format!("{:#}", anyhow!(error)),
            }),
            Err(_) => Login::Other(format!("no answer within {} s", LOGIN_PATIENCE.as_secs())),
        }
    }

    /// Ends every session and shuts the server down in good order.
    ///
    /// # Errors
    /// When the server does not run or does not end.
    pub async fn stop(&self) -> Result<()> {
        self.end(Signal::SIGINT).await
    }

    /// Ends the server at once, as a crash would: what was committed with `synchronous_commit = off` may be lost.
    ///
    /// # Errors
    /// As [`Postgres::stop`].
    pub async fn crash(&self) -> Result<()> {
        self.end(Signal::SIGQUIT).await
    }

    /// Starts the stopped server on its old port and waits until it answers.
    ///
    /// # Errors
    /// When it runs already, or does not start.
    pub async fn start_again(&self) -> Result<()> {
        ensure!(self.server().is_none(), "the server has not been stopped");
        within(PATIENCE, "the server's port to be free", async || {
            Ok((self.launch().await? == Launch::Ready).then_some(()))
        })
        .await
    }

    /// Stops the server and starts it on its old port.
    ///
    /// # Errors
    /// As [`Postgres::stop`] and [`Postgres::start_again`].
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// Stops every process of the server where it stands (SIGSTOP). Connections stay open and nobody answers.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn freeze(&self) -> Result<()> {
        self.server().as_mut().context("the server is stopped")?.freeze()
    }

    /// Lets a frozen server continue.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn thaw(&self) -> Result<()> {
        self.server().as_mut().context("the server is stopped")?.thaw()
    }

    /// Waits until this standby has replayed all that `primary` has committed until now.
    ///
    /// # Errors
    /// When this is no standby, or it does not catch up.
    pub async fn caught_up_with(&self, primary: &Postgres) -> Result<()> {
        let target = primary.value("SELECT pg_current_wal_lsn()").await?.context("the primary has no position")?;
        let question = format!("SELECT pg_last_wal_replay_lsn() >= '{target}'");
        within(PATIENCE, "the standby to catch up", async || {
            Ok((self.value(&question).await?.as_deref() == Some("t")).then_some(()))
        })
        .await
    }

    async fn launch_on_a_free_port(installation: Installation, home: Home) -> Result<Self> {
        let mut postgres = Self { server: Mutex::new(None), home, installation, port: 0 };
        within(PATIENCE, "a port that nobody takes", async || {
            postgres.port = free_port()?;
            Ok((postgres.launch().await? == Launch::Ready).then_some(()))
        })
        .await?;
        Ok(postgres)
    }

    /// Starts the process and waits until a query is answered.
    async fn launch(&self) -> Result<Launch> {
        let logged_before = self.log()?.len();
        let mut command = self.installation.command("postgres");
        command.arg("-D").arg(self.home.data()).arg("-p").arg(self.port.to_string());
        command.arg("-k").arg(self.home.path()).stderr(self.home.open_log()?);
        *self.server() = Some(Server::spawn(command)?);
        within(PATIENCE, "PostgreSQL to answer", async || {
            let exit = self.server().as_mut().map(Server::exit_status).transpose()?.flatten();
            if let Some(status) = exit {
                self.server().take();
                let log = self.log()?.split_off(logged_before);
                if log.contains("Address already in use") {
                    return Ok(Some(Launch::PortTaken));
                }
                bail!("PostgreSQL ended with {status} while starting:\n{log}");
            }
            Ok(self.value("SELECT 1").await.is_ok().then_some(Launch::Ready))
        })
        .await
    }

    async fn end(&self, signal: Signal) -> Result<()> {
        // Taken out of its place only when it has ended, so that dropping this future leaves nothing running.
        self.server().as_mut().context("the server is stopped already")?.signal(signal)?;
        within(PATIENCE, "PostgreSQL to end", async || {
            let exit = self.server().as_mut().map(Server::exit_status).transpose()?.flatten();
            Ok(exit.map(drop))
        })
        .await?;
        self.server().take();
        Ok(())
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Postgres").field("port", &self.port).field("home", &self.home.path()).finish()
    }
}

#[derive(PartialEq, Eq)]
enum Launch {
    Ready,
    PortTaken,
}

/// Writes the settings and who may come in. Both are files, so that `ALTER SYSTEM` and a reload still work, and so
/// that a standby inherits them.
fn configure(data: &Path, options: &Options, installation: &Installation) -> Result<()> {
    let md5 = options.settings.iter().any(|(name, value)| name == "password_encryption" && value == "md5");
    let mut settings: Vec<(&str, &str)> = vec![
        ("listen_addresses", "127.0.0.1"),
        // Only a crash of the machine could lose what was not synced, and then the test is over as well. A crash of
        // the server loses nothing by it: the kernel has what was written.
        ("fsync", "off"),
        // Each test has a server of its own: keep it small.
        ("shared_buffers", "16MB"),
        ("max_wal_senders", "4"),
        ("logging_collector", "off"),
        ("log_line_prefix", "%m [%p] %u@%d "),
    ];
    if let Some(leaf) = &options.leaf {
        leaf.write(data, installation.owner())?;
        settings.extend([("ssl", "on"), ("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")]);
    }
    settings.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let lines: String =
        settings.iter().map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''"))).collect();
    append(&data.join("postgresql.conf"), &lines)?;

    let method = if md5 { "md5" } else { "scram-sha-256" };
    let mut access = String::from("local all,replication postgres trust\n");
    access.extend(options.access.iter().map(|line| format!("{line}\n")));
    access += &format!("host all all 127.0.0.1/32 {method}\n");
    // Written in place, so that the file keeps its owner.
    std::fs::write(data.join("pg_hba.conf"), access).context("writing pg_hba.conf")
}

fn append(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().append(true).open(path)?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}

/// Connects and drives the connection until the client is dropped.
async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A port that was free a moment ago; whoever binds it must be ready to find it taken.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Asks again and again until there is an answer.
async fn within<T>(patience: Duration, what: &str, mut ask: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        ensure!(Instant::now() < deadline, "waited {} s in vain for {what}", patience.as_secs());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
