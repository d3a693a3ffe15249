//! Whether two roles that would take turns are each other's.

use crate::rotation::strategy;
use tokio_postgres::{Client, Error};

/// Both roles are there, and nobody has made the second a member of the first. What creates an alternate makes it one,
/// here and in AWS's functions; the two names alone prove nothing. Before PostgreSQL 16 a role may grant itself to
/// others, so its own word does not count.
const STRANGERS: &str = "
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_roles m, pg_catalog.pg_roles c
        WHERE m.rolname OPERATOR(pg_catalog.=) $1 AND c.rolname OPERATOR(pg_catalog.=) $2
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members a
                          WHERE a.roleid OPERATOR(pg_catalog.=) m.oid AND a.member OPERATOR(pg_catalog.=) c.oid
                            AND a.grantor OPERATOR(pg_catalog.<>) m.oid))";

/// Whether there are a role and one by its alternate's name, and the second was not made for the first.
pub(super) async fn strangers(client: &Client, model: &str) -> Result<bool, Error> {
    let Some(alternate) = strategy::partner(model) else { return Ok(false) };
    client.query_one(STRANGERS, &[&model, &alternate]).await?.try_get(0)
}
