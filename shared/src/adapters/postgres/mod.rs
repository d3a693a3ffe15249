//! PostgreSQL, through tokio-postgres and rustls.
//!
//! * `birth`: a role that has never been there.
//! * `kinship`: whether two roles that would take turns are each other's.
//! * `login`: what a refusal tells of a password.
//! * `session`: what is done in an open session.
//! * `verifier`: passwords as the server keeps them, made here, so that no password is ever in a statement.
//! * `tls`: whom to trust.

mod birth;
mod kinship;
mod login;
mod session;
mod tls;
mod verifier;

pub use session::PostgresSession;

use crate::{
    config::DatabaseSettings,
    ports::{Attempt, Database, Door, Login, Silence, SqlState},
    secret::{DatabaseCredentials, Tls},
};
use secrecy::ExposeSecret;
use std::{io, net::IpAddr, time::Duration};
use tokio::{net::lookup_host, time::timeout};
use tokio_postgres::{Config, NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What is shown in `pg_stat_activity`.
const APPLICATION: &str = "relatch";

/// PostgreSQL.
#[derive(Debug, Clone)]
pub struct Postgres {
    settings: DatabaseSettings,
    roots: tls::Roots,
}

impl Postgres {
    /// Reads the certificate authorities that the settings name.
    ///
    /// # Errors
    /// When that file cannot be read, or holds no certificate in PEM.
    pub fn new(settings: DatabaseSettings) -> io::Result<Self> {
        let roots = tls::Roots::load(settings.authorities.as_deref())?;
        Ok(Self { settings, roots })
    }

    async fn open(&self, credentials: &DatabaseCredentials, door: &Door) -> Result<PostgresSession, Login> {
        let (host, port) = match &door.endpoint {
            Some((host, port)) => (host.as_str(), *port),
            None => (credentials.host.as_str(), credentials.port),
        };
        let mut config = Config::new();
        config
            .user(&credentials.username)
            .password(credentials.password.expose_secret())
            .dbname(&credentials.dbname)
            .application_name(APPLICATION)
            .connect_timeout(self.settings.patience)
            .tcp_user_timeout(self.settings.patience)
            // The kernel counts whole seconds here, and refuses none at all.
            .keepalives_idle(self.settings.patience.max(Duration::from_secs(1)))
            // Poolers refuse what they do not know here, and so give themselves away.
            .options(session::options(self.settings.patience))
            .port(port);
        match &credentials.tls {
            Tls::Plaintext if self.settings.allow_plaintext => {
                config.host(host).ssl_mode(SslMode::Disable);
                let (client, connection) = config.connect(NoTls).await.map_err(|error| login::read(&error))?;
                Ok(PostgresSession::new(client, connection, &self.settings))
            }
            Tls::Plaintext => Err(Login::Unknown(Silence::PlaintextForbidden)),
            Tls::Verified { authority, server_name } => {
                config.ssl_mode(SslMode::Require);
                match server_name {
                    None => drop(config.host(host)),
                    // The certificate is checked against the host's name, so the name goes there and the address beside it.
                    Some(name) => {
                        for address in addresses(host, port).await? {
                            config.host(name).hostaddr(address);
                        }
                    }
                }
                let trust = self.roots.trust(authority.as_deref()).ok_or(Login::Unknown(Silence::BadAuthority))?;
                let connected = config.connect(MakeRustlsConnect::new(trust)).await;
                let (client, connection) = connected.map_err(|error| login::read(&error))?;
                Ok(PostgresSession::new(client, connection, &self.settings))
            }
        }
    }

    /// What an application would meet: the session as the role's own settings make it.
    async fn probe(&self, session: &PostgresSession) -> Result<(), Login> {
        let Some(query) = &self.settings.test_query else { return Ok(()) };
        session.run(query).await.map_err(|error| match error.code() {
            Some(code) => Login::Unfit(SqlState::from(code.code())),
            None => Login::Unknown(Silence::Unreachable),
        })
    }
}

impl Database for Postgres {
    type Session = PostgresSession;

    async fn log_in(&self, credentials: &DatabaseCredentials, door: &Door, probe: bool) -> Attempt<PostgresSession> {
        let attempt = async {
            let session = self.open(credentials, door).await?;
            let login = match if probe { self.probe(&session).await } else { Ok(()) } {
                Ok(()) => Login::Accepted,
                Err(unfit @ Login::Unfit(_)) => unfit,
                Err(silent) => return Err(silent),
            };
            session.prepare().await?;
            Ok(Attempt { login, session: Some(session) })
        };
        let silent = Login::Unknown(Silence::TimedOut);
        let outcome = timeout(self.settings.patience, attempt).await.unwrap_or(Err(silent));
        outcome.unwrap_or_else(|login| Attempt { login, session: None })
    }
}

async fn addresses(host: &str, port: u16) -> Result<Vec<IpAddr>, Login> {
    let found = lookup_host((host, port)).await.map_err(|_| Login::Unknown(Silence::Unreachable))?;
    Ok(found.map(|address| address.ip()).collect())
}
