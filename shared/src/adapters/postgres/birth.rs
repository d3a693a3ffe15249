//! A role that has never been there.

use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error};

/// Creates a role that may do nothing but log in, with a schema of its own in this database, and gives it the password of
/// a statement: all or nothing. A role or a schema that is there already is somebody's, and ends it.
///
/// To make a schema for a role its maker must be able to act as it (`SET ROLE`), which from PostgreSQL 16 on whoever has
/// created it cannot: so it is a member for as long as the transaction lasts.
pub(super) async fn create(client: &mut Client, user: &str, password_statement: &str) -> Result<(), Error> {
    let role = escape_identifier(user);
    let transaction = client.transaction().await?;
    transaction
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
             GRANT {role} TO SESSION_USER;
             CREATE SCHEMA {role} AUTHORIZATION {role};
             REVOKE {role} FROM SESSION_USER;
             {password_statement}"
        ))
        .await?;
    transaction.commit().await
}
