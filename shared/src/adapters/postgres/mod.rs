//! PostgreSQL, through tokio-postgres and rustls.
//!
//! * `birth`: a role that has never been there.
//! * `guard`: what a server may send, and ask for.
//! * `kinship`: whether two roles that would take turns are each other's.
//! * `login`: what a refusal tells of a password.
//! * `session`: what is done in an open session.
//! * `setting`: what every session of ours runs under.
//! * `role`: what the server says of itself and of a role.
//! * `likeness`: making one role the equal of another.
//! * `verifier`: passwords as the server keeps them, made here, so that no password is ever in a statement.
//! * `tls`: whom to trust.

mod birth;
mod guard;
mod kinship;
mod likeness;
mod login;
mod role;
mod session;
mod setting;
#[cfg(test)]
mod statements;
mod tls;
mod verifier;

pub use session::PostgresSession;

use crate::{
    config::DatabaseSettings,
    ports::{Attempt, Database, Door, Login, Silence, SqlState},
    secret::{DatabaseCredentials, Tls},
};
use guard::{Guard, Plaintext, Watch};
use secrecy::ExposeSecret;
use std::{io, net::IpAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::lookup_host,
    runtime::Handle,
    task::spawn_blocking,
    time::timeout,
};
use tokio_postgres::{
    Config, Socket,
    config::{ChannelBinding, SslMode, SslNegotiation},
    tls::{MakeTlsConnect, TlsConnect},
};
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

    async fn open(
        &self,
        credentials: &DatabaseCredentials,
        door: &Door,
        watch: &Watch,
        as_application: bool,
    ) -> Result<PostgresSession, Login> {
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
            // Most poolers refuse what they do not know here; the session's first statement finds the others out.
            .options(setting::options(self.settings.patience, as_application))
            .channel_binding(if self.settings.bind_channel { ChannelBinding::Require } else { ChannelBinding::Prefer })
            .ssl_mode(SslMode::Require)
            .port(port);
        match &credentials.tls {
            Tls::Plaintext if self.settings.allow_plaintext => {
                config.host(host).ssl_negotiation(SslNegotiation::Direct);
                self.connect(config, Plaintext, watch).await
            }
            Tls::Plaintext => Err(Login::Unknown(Silence::PlaintextForbidden)),
            Tls::Verified { authority, server_name } => {
                match server_name {
                    None => drop(config.host(host)),
                    // The certificate is checked against the host's name, so the name goes there and the address beside it.
                    Some(name) => {
                        for address in addresses(host, port).await? {
                            config.host(name).hostaddr(address);
                        }
                    }
                }
                let name = server_name.as_deref().unwrap_or(host);
                let trust = self.roots.trust(name, authority.as_deref());
                let trust = trust.ok_or(Login::Unknown(Silence::BadAuthority))?;
                self.connect(config, MakeRustlsConnect::new(trust), watch).await
            }
        }
    }

    /// Logs in on a thread of its own: for SCRAM a client computes for as long as the server says (the library refuses
    /// more than 100,000 rounds), and the work on other secrets goes on meanwhile.
    async fn connect<C>(&self, config: Config, connector: C, watch: &Watch) -> Result<PostgresSession, Login>
    where
        C: MakeTlsConnect<guard::Limited<Socket>> + Send + 'static,
        C::Stream: AsyncRead + AsyncWrite + Send + 'static,
        C::TlsConnect: Send + 'static,
        <C::TlsConnect as TlsConnect<guard::Limited<Socket>>>::Future: Send + 'static,
    {
        let guard = Guard::new(connector, self.settings.weakest_login, watch.clone());
        let (runtime, patience) = (Handle::current(), self.settings.patience);
        let connected = spawn_blocking(move || runtime.block_on(timeout(patience, config.connect(guard)))).await;
        match connected {
            Ok(Ok(Ok((client, connection)))) => {
                Ok(PostgresSession::new(client, connection, &self.settings, watch.seen()))
            }
            Ok(Ok(Err(error))) => Err(login::read(&error)),
            Ok(Err(_)) => Err(Login::Unknown(Silence::TimedOut)),
            // The thread has panicked, or the process is about to end.
            Err(_) => Err(Login::Unknown(Silence::Unreachable)),
        }
    }

    /// What an application would meet: the session as the role's own settings make it. It is the role's own session, so
    /// that whatever the query calls has no more rights than the role; an admin's session is never opened like this.
    async fn probe(&self, session: &PostgresSession) -> Result<(), Login> {
        let Some(query) = &self.settings.test_query else { return Ok(()) };
        session.assure().await?;
        session.run(query).await.map_err(|error| match error.code() {
            Some(code) => Login::Unfit(SqlState::from(code.code())),
            None => Login::Unknown(Silence::Unreachable),
        })
    }
}

impl Database for Postgres {
    type Session = PostgresSession;

    async fn log_in(&self, credentials: &DatabaseCredentials, door: &Door, probe: bool) -> Attempt<PostgresSession> {
        let watch = Watch::default();
        let attempt = async {
            let probe = probe && self.settings.test_query.is_some();
            let session = self.open(credentials, door, &watch, probe).await?;
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
        // What the guard has ended looks like a lost connection from here.
        let ended = watch.seen().breach.map(Login::Unknown);
        outcome.unwrap_or_else(|login| Attempt { login: ended.unwrap_or(login), session: None })
    }
}

async fn addresses(host: &str, port: u16) -> Result<Vec<IpAddr>, Login> {
    let found = lookup_host((host, port)).await.map_err(|_| Login::Unknown(Silence::Unreachable))?;
    Ok(found.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::{
        sync::mpsc::{Sender, channel},
        thread::{self, ThreadId},
    };
    use tokio::net::TcpListener;

    #[tokio::test(flavor = "current_thread")]
    async fn a_login_computes_on_a_thread_that_nobody_else_waits_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = DatabaseSettings {
            patience: Duration::from_secs(20),
            authorities: None,
            allow_plaintext: true,
            test_query: None,
            always_scram: false,
            weakest_login: crate::config::Authentication::Scram,
            bind_channel: false,
        };
        let (place, places) = channel();
        let mut config = Config::new();
        config.user("app").host("127.0.0.1").port(listener.local_addr().unwrap().port());
        config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
        let postgres = Postgres::new(settings).unwrap();
        let login = postgres.connect(config, Elsewhere(place), &Watch::default()).await;
        assert!(login.is_err());
        assert_ne!(places.recv().unwrap(), thread::current().id());
    }

    /// Tells on which thread it is asked to connect, and connects to nothing.
    struct Elsewhere(Sender<ThreadId>);

    impl<S: AsyncRead + AsyncWrite + Unpin> MakeTlsConnect<S> for Elsewhere {
        type Stream = guard::Unprotected<S>;
        type TlsConnect = Plaintext;
        type Error = io::Error;

        fn make_tls_connect(&mut self, _: &str) -> io::Result<Plaintext> {
            self.0.send(thread::current().id()).unwrap();
            Err(io::Error::other("nothing to connect to"))
        }
    }
}
