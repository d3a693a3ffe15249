//! What is done in an open session.

use super::{
    APPLICATION, birth, kinship, login,
    verifier::{self, DEFAULT_ITERATIONS, Kind},
};
use crate::{
    config::DatabaseSettings,
    ports::{Lock, Login, Role, Session, SessionError, SqlState, Surroundings},
};
use aws_lc_rs::digest;
use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrecy::SecretString;
use std::{collections::HashSet, future::Future, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_postgres::{Client, Connection, Error, IsolationLevel, Row, SimpleQueryMessage, SimpleQueryRow, Transaction};

/// Lets the role act as itself, whatever its settings say. A role that a session has taken on (`ALTER ROLE … SET role`)
/// can neither change the password nor be left otherwise. With `synchronous_commit` off a change that a login has
/// proved could still be lost in a crash.
const PREPARE: &str = "SET ROLE NONE; SET synchronous_commit = on; SET default_transaction_read_only = off;";

/// How much longer than one operation an idle session is left alive by the server (from PostgreSQL 14 on; inside of a
/// transaction from any), in case the function that opened it is frozen: then it cannot hold the lock, nor commit late.
const IDLE: u32 = 5;

/// Members of this role may change passwords where `rds.restrict_password_commands` is on.
const SURROUNDINGS: &str = "
    SELECT pg_is_in_recovery(),
           coalesce(current_setting('rds.restrict_password_commands', true), 'off') IN ('on', '1', 'true')
             AND NOT EXISTS (SELECT FROM pg_roles p WHERE p.rolname = 'rds_password'
                             AND pg_has_role(session_user, p.oid, 'MEMBER'))";

/// ADMIN on the role is needed from PostgreSQL 16 on; before, CREATEROLE is enough.
const ROLE: &str = "
    SELECT r.rolcanlogin,
           coalesce(r.rolvaliduntil <= now(), false),
           CASE WHEN r.rolconnlimit >= 0
                THEN r.rolconnlimit - (SELECT count(*) FROM pg_stat_activity a WHERE a.usesysid = r.oid) END,
           NOT r.rolsuper AND EXISTS (SELECT FROM pg_roles i WHERE i.rolname = 'rds_iam'
                                      AND pg_has_role(r.oid, i.oid, 'MEMBER')),
           current_user = session_user
             AND (r.rolname = session_user OR me.rolsuper OR (me.rolcreaterole AND NOT r.rolsuper
                  AND (current_setting('server_version_num')::int < 160000
                       OR pg_has_role(session_user, r.oid, 'MEMBER WITH ADMIN OPTION')))),
           r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls
             OR EXISTS (SELECT FROM pg_roles s WHERE s.rolname = 'rds_superuser' AND pg_has_role(r.oid, s.oid, 'MEMBER'))
    FROM pg_roles r, pg_roles me
    WHERE r.rolname = $1 AND me.rolname = session_user";

/// Logins under way: the transactions in which the server looks passwords up. Before version 18 it lists such a session
/// nowhere else, and since then without database and user.
const ARRIVALS: &str = "
    SELECT l.virtualxid FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND a.datid IS NULL AND a.usesysid IS NULL";

/// How often logins under way are looked at. They take milliseconds.
const GLANCE: Duration = Duration::from_millis(20);

/// A role may end its own sessions; the admin may, if it is a member of the role or of pg_signal_backend.
const DISMISS: &str = "
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE usename = $1 AND application_name = $2 AND datname = current_database() AND pid <> pg_backend_pid()";

/// An open session. Dropping it drops the connection; [`Session::close`] also waits until the server knows.
#[derive(Debug)]
pub struct PostgresSession {
    client: Client,
    connection: JoinHandle<()>,
    patience: Duration,
    always_scram: bool,
}

/// What the server itself is to keep to: below what the client waits, so that nothing is done after the client gave up.
pub(super) fn options(patience: Duration) -> String {
    let milliseconds = patience.as_millis();
    format!("-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}")
}

impl PostgresSession {
    pub(super) fn new<S, T>(client: Client, connection: Connection<S, T>, settings: &DatabaseSettings) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // How the connection ends is told by the request that it ends under.
        let connection = tokio::spawn(async move { drop(connection.await) });
        Self { client, connection, patience: settings.patience, always_scram: settings.always_scram }
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

    /// Makes the session fit for changes; its answer is the first proof that the session is one.
    pub(super) async fn prepare(&self) -> Result<(), Login> {
        let idle = (self.patience * IDLE).as_millis();
        let statements = format!(
            "{PREPARE} SET idle_in_transaction_session_timeout = {idle}; SELECT set_config('idle_session_timeout', '{idle}', false)
             WHERE current_setting('server_version_num')::int >= 140000"
        );
        self.run(&statements).await.map_err(|error| login::read(&error))
    }

    async fn role(&self, name: &str) -> Result<Option<Role>, Error> {
        let row = self.client.query_opt(ROLE, &[&name]).await?;
        row.map(|row| {
            Ok(Role {
                can_log_in: row.try_get(0)?,
                expired: row.try_get(1)?,
                sessions_left: row.try_get(2)?,
                iam: row.try_get(3)?,
                alterable: row.try_get(4)?,
                privileged: row.try_get(5)?,
            })
        })
        .transpose()
    }

    async fn surroundings(&self, user: &str, model: &str) -> Result<Surroundings, Error> {
        let row = self.client.query_one(SURROUNDINGS, &[]).await?;
        let user_role = self.role(user).await?;
        let model_role = if model == user { user_role } else { self.role(model).await? };
        Ok(Surroundings {
            in_recovery: row.try_get(0)?,
            restricted: row.try_get(1)?,
            user: user_role,
            model: model_role,
            strangers: kinship::strangers(&self.client, model).await?,
        })
    }

    /// `ALTER ROLE … PASSWORD …`, with a verifier of the kind that the server makes.
    async fn password_statement(&self, user: &str, password: &SecretString) -> Result<String, Error> {
        let query = "SELECT current_setting('password_encryption'), current_setting('scram_iterations', true)";
        let row = self.row(query).await?;
        let iterations = row.as_ref().and_then(|row| row.get(1)).and_then(|text| text.parse().ok());
        let kind = match row.as_ref().and_then(|row| row.get(0)) {
            Some("md5") if !self.always_scram => Kind::Md5,
            _ => Kind::Scram(iterations.unwrap_or(DEFAULT_ITERATIONS)),
        };
        let verifier = verifier::make(kind, user, password);
        Ok(format!("ALTER ROLE {} PASSWORD {}", escape_identifier(user), escape_literal(&verifier)))
    }

    async fn change(&self, user: &str, password: &SecretString) -> Result<(), Error> {
        let statement = self.password_statement(user, password).await?;
        self.run(&statement).await
    }

    async fn mirror(&mut self, user: &str, model: &str, password: &SecretString) -> Result<(), Error> {
        let statement = self.password_statement(user, password).await?;
        let builder = self.client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
        let transaction = builder.start().await?;
        if user != model {
            likeness(&transaction, user, model).await?;
        }
        transaction.batch_execute(&statement).await?;
        transaction.commit().await
    }

    /// Takes a lock, and tells whether it was free.
    async fn advisory_lock(&self, key: i64, patience: Duration) -> Result<bool, Error> {
        let row = self.row(&format!("SELECT pg_try_advisory_lock({key})")).await?;
        if row.is_some_and(|row| row.get(0) == Some("t")) {
            return Ok(true);
        }
        let wait = format!("SET lock_timeout = {}; SELECT pg_advisory_lock({key})", patience.as_millis());
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
        let _ = self.within(self.run("SELECT pg_advisory_unlock_all()")).await;
    }

    async fn look(&mut self, user: &str, model: &str) -> Result<Surroundings, SessionError> {
        self.within(self.surroundings(user, model)).await
    }

    async fn set_password(&mut self, user: &str, password: &SecretString) -> Result<(), SessionError> {
        self.within(self.change(user, password)).await
    }

    async fn provision(&mut self, user: &str, model: &str, password: &SecretString) -> Result<(), SessionError> {
        within(self.patience, self.mirror(user, model, password)).await
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

/// Makes a role the equal of its model: attributes, memberships, settings. What is equal already is not touched, so
/// that an admin without the right to, say, BYPASSRLS can still rotate roles that do not have it.
async fn likeness(transaction: &Transaction<'_>, user: &str, model: &str) -> Result<(), Error> {
    let (quoted, quoted_model) = (escape_identifier(user), escape_identifier(model));
    if transaction.query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&user]).await?.is_none() {
        transaction.batch_execute(&format!("CREATE ROLE {quoted} LOGIN")).await?;
    }
    for row in transaction.query(ATTRIBUTES, &[&user, &model]).await? {
        let attribute: String = row.try_get(0)?;
        transaction.batch_execute(&format!("ALTER ROLE {quoted} {attribute}")).await?;
    }
    // What the model may do through its own grants, its equal may do through the model.
    transaction.batch_execute(&format!("GRANT {quoted_model} TO {quoted}")).await?;
    for row in transaction.query(MEMBERSHIPS, &[&user, &model]).await? {
        let (group, grant, admin): (String, bool, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let group = escape_identifier(&group);
        let statement = match (grant, admin) {
            (true, true) => format!("GRANT {group} TO {quoted} WITH ADMIN OPTION"),
            (true, false) => format!("GRANT {group} TO {quoted}"),
            (false, _) => format!("REVOKE {group} FROM {quoted}"),
        };
        transaction.batch_execute(&statement).await?;
    }
    copy_settings(transaction, user, model).await
}

/// The attributes in which two roles differ, as the words that make the first like the second.
const ATTRIBUTES: &str = "
    SELECT a.word FROM pg_roles u, pg_roles m, LATERAL (VALUES
        (u.rolcanlogin <> m.rolcanlogin, CASE WHEN m.rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END),
        (u.rolinherit <> m.rolinherit, CASE WHEN m.rolinherit THEN 'INHERIT' ELSE 'NOINHERIT' END),
        (u.rolcreatedb <> m.rolcreatedb, CASE WHEN m.rolcreatedb THEN 'CREATEDB' ELSE 'NOCREATEDB' END),
        (u.rolcreaterole <> m.rolcreaterole, CASE WHEN m.rolcreaterole THEN 'CREATEROLE' ELSE 'NOCREATEROLE' END),
        (u.rolreplication <> m.rolreplication, CASE WHEN m.rolreplication THEN 'REPLICATION' ELSE 'NOREPLICATION' END),
        (u.rolbypassrls <> m.rolbypassrls, CASE WHEN m.rolbypassrls THEN 'BYPASSRLS' ELSE 'NOBYPASSRLS' END),
        (u.rolsuper <> m.rolsuper, CASE WHEN m.rolsuper THEN 'SUPERUSER' ELSE 'NOSUPERUSER' END),
        (u.rolconnlimit <> m.rolconnlimit, format('CONNECTION LIMIT %s', m.rolconnlimit)),
        (u.rolvaliduntil IS DISTINCT FROM m.rolvaliduntil,
         format('VALID UNTIL %L', coalesce(m.rolvaliduntil::text, 'infinity')))
    ) AS a (differs, word)
    WHERE u.rolname = $1 AND m.rolname = $2 AND a.differs";

/// The memberships in which two roles differ: group, whether to grant it or to revoke it, whether with ADMIN. The one
/// in the model itself stays.
const MEMBERSHIPS: &str = "
    WITH of_role AS (
        SELECT r.rolname AS member, g.rolname AS member_of, bool_or(m.admin_option) AS admin
        FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member JOIN pg_roles g ON g.oid = m.roleid
        WHERE r.rolname IN ($1, $2) GROUP BY 1, 2)
    SELECT coalesce(wanted.member_of, present.member_of)::text, wanted.member IS NOT NULL, coalesce(wanted.admin, false)
    FROM (SELECT * FROM of_role WHERE member = $2) wanted
    FULL JOIN (SELECT * FROM of_role WHERE member = $1) present USING (member_of)
    WHERE (wanted.member IS NULL OR present.member IS NULL OR wanted.admin AND NOT present.admin)
      AND coalesce(wanted.member_of, present.member_of) NOT IN ($1, $2)";

/// The settings of a role: database (or null), name, value.
const SETTINGS: &str = "
    SELECT d.datname::text, split_part(c.entry, '=', 1), substr(c.entry, strpos(c.entry, '=') + 1)
    FROM pg_db_role_setting s
    JOIN pg_roles r ON r.oid = s.setrole AND r.rolname = $1
    LEFT JOIN pg_database d ON d.oid = s.setdatabase
    CROSS JOIN LATERAL unnest(s.setconfig) AS c (entry)
    ORDER BY 1 NULLS FIRST, 2";

/// Copies what `ALTER ROLE … SET` has set. Where the model's sessions take on no other role, its equal's sessions take
/// on the model, so that what either creates belongs to the same owner.
async fn copy_settings(transaction: &Transaction<'_>, user: &str, model: &str) -> Result<(), Error> {
    let read = |row: &Row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    let settings = |rows: Vec<Row>| rows.iter().map(read).collect::<Result<Vec<Setting>, Error>>();
    let present = settings(transaction.query(SETTINGS, &[&user]).await?)?;
    let mut wanted = settings(transaction.query(SETTINGS, &[&model]).await?)?;
    if !wanted.iter().any(|(database, name, _)| database.is_none() && name == "role") {
        wanted.push((None, "role".to_owned(), model.to_owned()));
    }
    let target = |database: &Option<String>| match database {
        Some(database) => format!("ALTER ROLE {} IN DATABASE {}", escape_identifier(user), escape_identifier(database)),
        None => format!("ALTER ROLE {}", escape_identifier(user)),
    };
    for setting @ (database, name, _) in &present {
        if !wanted.contains(setting) {
            transaction.batch_execute(&format!("{} RESET {}", target(database), escape_identifier(name))).await?;
        }
    }
    for setting @ (database, name, value) in wanted.iter().filter(|setting| !present.contains(setting)) {
        let (target, quoted) = (target(database), escape_identifier(name));
        // A list such as `search_path` may not be quoted as one text, so the server takes over its own value. The role
        // is an exception: setting it would change who is at work here.
        let statement = match setting.1.as_str() {
            "role" => format!("{target} SET role = {}", escape_literal(value)),
            _ => {
                transaction.execute("SELECT set_config($1, $2, true)", &[name, value]).await?;
                format!("{target} SET {quoted} FROM CURRENT")
            }
        };
        transaction.batch_execute(&statement).await?;
    }
    Ok(())
}

/// Database (all of them, if there is none), name, value.
type Setting = (Option<String>, String, String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_locks_of_their_own() {
        assert_ne!(lock_key("arn:a"), lock_key("arn:b"));
        assert_eq!(lock_key("arn:a"), lock_key("arn:a"));
    }
}
