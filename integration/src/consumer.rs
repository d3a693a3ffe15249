//! An application as seen by the database: it keeps opening new connections with the credentials it is told to use.
//!
//! Pools hide a rotation, because a session outlives the password that opened it. Whether anybody could be locked out
//! shows only where connections are new; so a [`Consumer`] makes nothing but new ones, one after the other, and
//! reports for how long they failed.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What a consumer logs in with.
#[derive(Clone)]
pub struct Credentials {
    /// The role.
    pub username: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Where a consumer connects to, and how often.
#[derive(Clone, Debug)]
pub struct Target {
    /// The port of the server or of a [`crate::wire::Wire`]; the host is `localhost`.
    pub port: u16,
    /// The database.
    pub dbname: String,
    /// Whom the consumer trusts; TLS is required and verified in full.
    pub tls: ClientConfig,
    /// What it asks on each connection.
    pub query: String,
    /// From the beginning of one connection to that of the next, if the first is over by then: they never overlap, and
    /// so this, or the duration of a login if that is longer, is how finely a window is measured.
    pub interval: Duration,
    /// A connection that takes longer has failed.
    pub patience: Duration,
}

impl Target {
    /// A new connection every 5 ms that reads the table `orders` of
    /// [`Postgres::create_database`](crate::postgres::Postgres::create_database), and waits for it at most 5 s.
    #[must_use]
    pub fn new(port: u16, dbname: &str, tls: ClientConfig) -> Self {
        Self {
            port,
            dbname: dbname.to_owned(),
            tls,
            query: "SELECT sum(amount) FROM orders".to_owned(),
            interval: Duration::from_millis(5),
            patience: Duration::from_secs(5),
        }
    }
}

/// A time in which every new connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When the first connection had failed.
    pub first_failure: Instant,
    /// When the next one had its answer; nothing while that has not happened.
    pub next_success: Option<Instant>,
}

impl Window {
    /// How long it was; nothing while it is open.
    #[must_use]
    pub fn length(&self) -> Option<Duration> {
        Some(self.next_success? - self.first_failure)
    }
}

/// What a consumer went through.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Connections that it made or tried to make.
    pub connections: u64,
    /// Those that yielded no answer to the query.
    pub failed: u64,
    /// The failed ones by SQLSTATE, or by what took its place: `credentials` (the caller had none), `timeout`,
    /// `connection` (refused, closed, TLS).
    pub failures: BTreeMap<String, u64>,
    /// When connections failed, in order.
    pub windows: Vec<Window>,
}

impl Report {
    fn add(&mut self, outcome: Result<(), String>) {
        self.connections += 1;
        let now = Instant::now();
        let open = self.windows.last_mut().filter(|window| window.next_success.is_none());
        match (outcome, open) {
            (Ok(()), Some(window)) => window.next_success = Some(now),
            (Ok(()), None) => {}
            (Err(reason), open) => {
                if open.is_none() {
                    self.windows.push(Window { first_failure: now, next_success: None });
                }
                self.failed += 1;
                *self.failures.entry(reason).or_default() += 1;
            }
        }
    }
}

/// A running consumer. Dropping it ends it.
#[derive(Debug)]
pub struct Consumer {
    report: Arc<Mutex<Report>>,
    task: JoinHandle<()>,
}

impl Consumer {
    /// Starts connecting. `credentials` is asked before each connection, as an application without a cache would.
    ///
    /// It must be called within a Tokio runtime.
    pub fn start<F, C>(target: Target, credentials: F) -> Self
    where
        F: Fn() -> C + Send + 'static,
        C: Future<Output = Result<Credentials>> + Send + 'static,
    {
        let report = Arc::new(Mutex::new(Report::default()));
        let shared = Arc::clone(&report);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(target.interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let outcome = match tokio::time::timeout(target.patience, connect(&target, credentials())).await {
                    Ok(outcome) => outcome,
                    Err(_) => Err("timeout".to_owned()),
                };
                lock(&shared).add(outcome);
            }
        });
        Self { report, task }
    }

    /// What it has gone through so far.
    #[must_use]
    pub fn so_far(&self) -> Report {
        lock(&self.report).clone()
    }

    /// Ends it, without counting the connection under way.
    pub async fn stop(mut self) -> Report {
        self.task.abort();
        // It can only have been cancelled.
        let _ = (&mut self.task).await;
        self.so_far()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Connects, asks and says goodbye; the error is the key of [`Report::failures`].
async fn connect(target: &Target, credentials: impl Future<Output = Result<Credentials>>) -> Result<(), String> {
    let Credentials { username, password } = credentials.await.map_err(|_| "credentials".to_owned())?;
    let mut config = Config::new();
    config.host("localhost").hostaddr(Ipv4Addr::LOCALHOST.into()).port(target.port).ssl_mode(SslMode::Require);
    config.user(username).password(password).dbname(&target.dbname);
    let tls = MakeRustlsConnect::new(target.tls.clone());
    let (client, connection) = config.connect(tls).await.map_err(|error| reason(&error))?;
    let ask = async {
        let answer = client.simple_query(&target.query).await;
        drop(client);
        answer
    };
    // Driven here and not by a task of its own, so that nothing is left when the consumer ends.
    let (answer, _) = tokio::join!(ask, connection);
    answer.map(drop).map_err(|error| reason(&error))
}

fn reason(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| "connection".to_owned(), |code| code.code().to_owned())
}

fn lock(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
