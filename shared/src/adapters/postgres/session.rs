//! What is done in an open session.

use super::{
    APPLICATION, birth,
    guard::Seen,
    likeness, login, role, setting,
    verifier::{self, Kind},
};
use crate::{
    config::{Authentication, DatabaseSettings},
    ports::{Likeness, Lock, Login, Session, SessionError, SqlState, Surroundings, Unseen},
};
use aws_lc_rs::digest;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrecy::SecretString;
use std::{collections::HashSet, future::Future, panic::resume_unwind, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep, timeout},
};
use tokio_postgres::{Client, Connection, Error, IsolationLevel, SimpleQueryMessage, SimpleQueryRow};

/// Logins under way: the transactions in which the server looks passwords up. Before version 18 it lists such a session
/// nowhere else, and since then without database and user.
const ARRIVALS: &str = "
    SELECT l.virtualxid
    FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid
    WHERE l.locktype OPERATOR(pg_catalog.=) 'virtualxid' AND l.mode OPERATOR(pg_catalog.=) 'ExclusiveLock'
      AND a.datid IS NULL AND a.usesysid IS NULL";

/// How often logins under way are looked at. They take milliseconds.
const GLANCE: Duration = Duration::from_millis(20);

/// A role may end its own sessions; the admin may, if it is a member of the role or of pg_signal_backend.
const DISMISS: &str = "
    SELECT pg_catalog.pg_terminate_backend(a.pid) FROM pg_catalog.pg_stat_activity a
    WHERE a.usename OPERATOR(pg_catalog.=) $1 AND a.application_name OPERATOR(pg_catalog.=) $2
      AND a.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
      AND a.pid OPERATOR(pg_catalog.<>) pg_catalog.pg_backend_pid()";

/// An open session. Dropping it drops the connection; [`Session::close`] also waits until the server knows.
#[derive(Debug)]
pub struct PostgresSession {
    client: Client,
    connection: JoinHandle<()>,
    patience: Duration,
    always_scram: bool,
    seen: Seen,
    /// A password was set in this session before: this one is the way back.
    changed: bool,
}

impl PostgresSession {
    pub(super) fn new<S, T>(
        client: Client,
        connection: Connection<S, T>,
        settings: &DatabaseSettings,
        seen: Seen,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // How the connection ends is told by the request that it ends under.
        let connection = tokio::spawn(async move { drop(connection.await) });
        let (patience, always_scram) = (settings.patience, settings.always_scram);
        Self { client, connection, patience, always_scram, seen, changed: false }
    }

    /// Runs a query and throws its rows away.
    pub(super) async fn run(&self, query: &str) -> Result<(), Error> {
        self.client.batch_execute(query).await
    }

    /// Runs a query in one round trip, for its only row.
    async fn row(&self, query: &str) -> Result<Option<SimpleQueryRow>, Error> {
        let messages = self.client.simple_query(query).await?;
        Ok(messages.into_iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            SimpleQueryMessage::CommandComplete(_) | SimpleQueryMessage::RowDescription(_) | _ => None,
        }))
    }

    /// Fails where a pooler stands between: the process that answers is not the one that the login was told of, or it
    /// does not keep to [`setting::options`].
    fn assurance(&self) -> String {
        let (process, milliseconds) = (self.seen.process.unwrap_or_default(), self.patience.as_millis());
        format!(
            "SELECT 1 OPERATOR(pg_catalog./) CASE WHEN pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {process}
             AND pg_catalog.current_setting('statement_timeout')::pg_catalog.interval
                 OPERATOR(pg_catalog.=) '{milliseconds} ms'::pg_catalog.interval THEN 1 ELSE 0 END;"
        )
    }

    /// Is sure that the server itself answers. Nothing of the session is changed.
    pub(super) async fn assure(&self) -> Result<(), Login> {
        self.run(&self.assurance()).await.map_err(|error| login::read_first(&error))
    }

    /// Makes the session fit for changes; its answer is the first proof that the session is one. Statements of one
    /// message are one transaction: where the first of them fails, nothing is set, in whosever session that would be.
    pub(super) async fn prepare(&self) -> Result<(), Login> {
        let statements = format!("{} {}", self.assurance(), setting::assertion(self.patience));
        self.run(&statements).await.map_err(|error| login::read_first(&error))
    }

    /// `ALTER ROLE … PASSWORD …`, with a verifier that can log in.
    async fn password_statement(&mut self, user: &str, password: &SecretString) -> Result<String, Error> {
        let query = "SELECT pg_catalog.current_setting('password_encryption'), pg_catalog.current_setting('scram_iterations', true)";
        let row = self.row(query).await?;
        let said = |column| row.as_ref().and_then(|row| row.get(column));
        let md5 = said(0) == Some("md5") && !self.always_scram && !self.changed;
        let kind = Kind::fit(self.seen.asked == Some(Authentication::Scram), md5, said(1));
        self.changed = true;
        let (name, password) = (user.to_owned(), password.clone());
        // A panic of that thread is one of ours.
        let verifier = spawn_blocking(move || verifier::make(kind, &name, &password)).await;
        let verifier = verifier.unwrap_or_else(|error| resume_unwind(error.into_panic()));
        Ok(format!("ALTER ROLE {} PASSWORD {}", escape_identifier(user), escape_literal(&verifier)))
    }

    async fn change(&mut self, user: &str, password: &SecretString) -> Result<(), Error> {
        let statement = self.password_statement(user, password).await?;
        self.run(&statement).await
    }

    /// Makes a role the equal of its model, and its password this one; without a password, undoes it.
    async fn mirror(&mut self, user: &str, model: &str, password: Option<&SecretString>) -> Result<Likeness, Error> {
        let statement = match password {
            Some(password) => Some(self.password_statement(user, password).await?),
            None => None,
        };
        let builder = self.client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
        let transaction = builder.start().await?;
        let likeness = if user == model { Ok(()) } else { likeness::make(&transaction, user, model).await? };
        match statement {
            Some(statement) if likeness.is_ok() => {
                transaction.batch_execute(&statement).await?;
                transaction.commit().await?;
            }
            Some(_) | None => transaction.rollback().await?,
        }
        Ok(likeness)
    }

    /// Takes a lock, and tells whether it was free.
    async fn advisory_lock(&self, key: i64, patience: Duration) -> Result<bool, Error> {
        let row = self.row(&format!("SELECT pg_catalog.pg_try_advisory_lock('{key}'::pg_catalog.int8)")).await?;
        if row.is_some_and(|row| row.get(0) == Some("t")) {
            return Ok(true);
        }
        let patience = patience.as_millis();
        let wait =
            format!("SET lock_timeout = {patience}; SELECT pg_catalog.pg_advisory_lock('{key}'::pg_catalog.int8)");
        self.run(&wait).await.map(|()| false)
    }

    async fn arrivals(&self) -> Result<HashSet<String>, Error> {
        let rows = self.client.query(ARRIVALS, &[]).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// Ends our sessions of a user. A login under way may have been judged by the password before, and can be ended only
    /// when it has come to its end; one of ours gives up after `patience`.
    async fn end_others(&self, user: &str) -> Result<(), Error> {
        let until = Instant::now() + self.patience;
        self.client.execute(DISMISS, &[&user, &APPLICATION]).await?;
        let mut arriving = self.arrivals().await?;
        if arriving.is_empty() {
            return Ok(());
        }
        while !arriving.is_empty() && Instant::now() < until {
            sleep(GLANCE).await;
            let still = self.arrivals().await?;
            arriving.retain(|one| still.contains(one));
        }
        self.client.execute(DISMISS, &[&user, &APPLICATION]).await.map(drop)
    }

    /// Waits a little longer than the server does, so that the server's own word arrives first if it comes at all.
    async fn within<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, SessionError> {
        within(self.patience, work).await
    }
}

impl Session for PostgresSession {
    async fn lock(&mut self, arn: &str, patience: Duration) -> Lock {
        match self.within(self.advisory_lock(lock_key(arn), patience)).await {
            Ok(true) => Lock::Held,
            Ok(false) => Lock::Awaited,
            Err(SessionError::Reported(_)) => Lock::Busy,
            Err(SessionError::Lost) => Lock::Lost,
        }
    }

    async fn unlock(&mut self) {
        let _ = self.within(self.run("SELECT pg_catalog.pg_advisory_unlock_all()")).await;
    }

    async fn look(&mut self, user: &str, model: &str) -> Result<Surroundings, Unseen> {
        match timeout(self.patience + self.patience / 2, role::surroundings(&self.client, user, model)).await {
            Ok(seen) => seen.map_err(|error| role::unseen(&error)),
            Err(_) => Err(Unseen::Lost),
        }
    }

    async fn set_password(&mut self, user: &str, password: &SecretString) -> Result<(), SessionError> {
        within(self.patience, self.change(user, password)).await
    }

    async fn provision(&mut self, user: &str, model: &str, password: &SecretString) -> Result<Likeness, SessionError> {
        within(self.patience, self.mirror(user, model, Some(password))).await
    }

    async fn rehearse(&mut self, user: &str, model: &str) -> Result<Likeness, SessionError> {
        within(self.patience, self.mirror(user, model, None)).await
    }

    async fn create(&mut self, user: &str, password: &SecretString) -> Result<(), SessionError> {
        let patience = self.patience;
        let work = async {
            let statement = self.password_statement(user, password).await?;
            birth::create(&mut self.client, user, &statement).await
        };
        within(patience, work).await
    }

    async fn dismiss(&mut self, user: &str) -> Result<(), SessionError> {
        within(self.patience * 2, self.end_others(user)).await
    }

    async fn close(self) {
        drop(self.client);
        let _ = timeout(self.patience, self.connection).await;
    }
}

/// The key of a secret's advisory lock: the same in every function that works on the secret.
fn lock_key(arn: &str) -> i64 {
    let digest = digest::digest(&digest::SHA256, format!("relatch:{arn}").as_bytes());
    let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
    i64::from_be_bytes(first)
}

async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, SessionError> {
    match timeout(patience + patience / 2, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.as_db_error().map_or(SessionError::Lost, |error| {
            // A session that the server ends (57P…) takes its last statement with it: done or not, nobody says.
            match error.code().code() {
                code if code.starts_with("57P") => SessionError::Lost,
                code => SessionError::Reported(SqlState::from(code)),
            }
        })),
        Err(_) => Err(SessionError::Lost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_locks_of_their_own() {
        assert_ne!(lock_key("arn:a"), lock_key("arn:b"));
        assert_eq!(lock_key("arn:a"), lock_key("arn:a"));
    }
}
