//! What the server says of itself and of a role.

use super::kinship;
use crate::ports::{Denial, Role, SqlState, Surroundings, Unseen};
use tokio_postgres::{Client, Error};
use tracing::debug;

/// Members of `rds_password` may change passwords where `rds.restrict_password_commands` is on. credcheck refuses verifiers
/// unless it is told otherwise (source: its README, "Limitations"); whom it exempts may try.
const SURROUNDINGS: &str = "
    SELECT pg_catalog.pg_is_in_recovery(),
           coalesce(pg_catalog.current_setting('rds.restrict_password_commands', true), 'off')
               OPERATOR(pg_catalog.=) ANY ('{on,1,true}'::pg_catalog.text[])
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles p WHERE p.rolname OPERATOR(pg_catalog.=) 'rds_password'
                             AND pg_catalog.pg_has_role(session_user, p.oid, 'MEMBER')),
           coalesce(pg_catalog.current_setting('credcheck.encrypted_password_allowed', true), 'on')
               OPERATOR(pg_catalog.=) 'off'
             AND coalesce(pg_catalog.current_setting('credcheck.whitelist', true), '') OPERATOR(pg_catalog.=) ''
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles m WHERE m.rolsuper
                             AND m.rolname OPERATOR(pg_catalog.=) session_user),
           pg_catalog.current_setting('server_version_num')::pg_catalog.int4";

/// What a role is, and what the session's user may do with it: ADMIN on it is needed from PostgreSQL 16 on; before,
/// CREATEROLE is enough. What RDS lets a member of `rds_superuser` do it says itself, before anything is changed.
///
/// The last column is what makes the role more than its own data, by itself or through a chain of memberships: whether it
/// inherits their rights, may take them on, or may only grant them to itself.
///
/// * An attribute that decides about other roles, copies everything, or passes row security by.
/// * One of PostgreSQL's own roles, also of a later version, but for the few that touch nobody else's data, sessions or
///   files.
/// * RDS's equivalents, where nobody else is given those attributes.
///   Source: <https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Appendix.PostgreSQL.CommonDBATasks.Roles.html>.
/// * A function of the server's own that not everybody may call, or (from PostgreSQL 15 on) a setting that somebody was
///   allowed to set.
fn role_query(version: i32) -> String {
    let parameter = if version < 150_000 {
        "false"
    } else {
        "EXISTS (SELECT FROM pg_catalog.pg_parameter_acl p, LATERAL pg_catalog.aclexplode(p.paracl) a
                 WHERE a.grantee OPERATOR(pg_catalog.=) g.oid)"
    };
    format!(
        "SELECT r.rolcanlogin,
                coalesce(r.rolvaliduntil OPERATOR(pg_catalog.<=) pg_catalog.now(), false),
                CASE WHEN r.rolconnlimit OPERATOR(pg_catalog.>=) 0
                     THEN r.rolconnlimit OPERATOR(pg_catalog.-)
                          (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a
                           WHERE a.usesysid OPERATOR(pg_catalog.=) r.oid) END,
                NOT r.rolsuper AND EXISTS (SELECT FROM pg_catalog.pg_roles i
                                           WHERE i.rolname OPERATOR(pg_catalog.=) 'rds_iam'
                                             AND pg_catalog.pg_has_role(r.oid, i.oid, 'MEMBER')),
                current_user OPERATOR(pg_catalog.=) session_user
                  AND (r.rolname OPERATOR(pg_catalog.=) session_user OR me.rolsuper OR (me.rolcreaterole AND NOT r.rolsuper
                       AND (pg_catalog.current_setting('server_version_num')::pg_catalog.int4
                              OPERATOR(pg_catalog.<) 160000
                            OR pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER WITH ADMIN OPTION')
                            OR EXISTS (SELECT FROM pg_catalog.pg_roles d
                                       WHERE d.rolname OPERATOR(pg_catalog.=) 'rds_superuser'
                                         AND pg_catalog.pg_has_role(session_user, d.oid, 'MEMBER'))))),
                CASE WHEN r.rolsuper THEN 'SUPERUSER' ELSE (
                    SELECT pg_catalog.string_agg(pg_catalog.concat(why.word, ' (', g.rolname, ')'), ', ' ORDER BY why.word, g.oid)
                    FROM pg_catalog.pg_roles g, LATERAL (VALUES
                        (g.rolsuper, 'SUPERUSER'), (g.rolcreaterole, 'CREATEROLE'),
                        (g.rolreplication, 'REPLICATION'), (g.rolbypassrls, 'BYPASSRLS'),
                        (g.rolname OPERATOR(pg_catalog.=) ANY ('{{rds_superuser,rds_replication,rds_password,rds_extension,rdsadmin,rdsrepladmin,rdstopmgr}}'::pg_catalog.name[]),
                         'a role of RDS'),
                        (pg_catalog.starts_with(g.rolname::pg_catalog.text, 'pg_')
                           AND g.rolname OPERATOR(pg_catalog.<>) ALL ('{{pg_checkpoint,pg_database_owner,pg_signal_autovacuum_worker,pg_stat_scan_tables,pg_use_reserved_connections}}'::pg_catalog.name[]),
                         'a role of PostgreSQL'),
                        (NOT pg_catalog.starts_with(g.rolname::pg_catalog.text, 'pg_') AND {parameter},
                         'SET or ALTER SYSTEM on a setting'),
                        (NOT pg_catalog.starts_with(g.rolname::pg_catalog.text, 'pg_')
                           AND EXISTS (SELECT FROM pg_catalog.pg_proc f
                                       JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) f.pronamespace,
                                       LATERAL pg_catalog.aclexplode(f.proacl) a
                                       WHERE n.nspname OPERATOR(pg_catalog.=) 'pg_catalog'
                                         AND a.grantee OPERATOR(pg_catalog.=) g.oid
                                         AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(f.proacl) everybody
                                                         WHERE everybody.grantee OPERATOR(pg_catalog.=) '0'::pg_catalog.oid)),
                         'EXECUTE on a function of the server')
                    ) AS why (holds, word)
                    WHERE why.holds AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER')) END
         FROM pg_catalog.pg_roles r, pg_catalog.pg_roles me
         WHERE r.rolname OPERATOR(pg_catalog.=) $1 AND me.rolname OPERATOR(pg_catalog.=) session_user"
    )
}

/// What there is to be known before a change.
pub(super) async fn surroundings(client: &Client, user: &str, model: &str) -> Result<Surroundings, Error> {
    let row = client.query_one(SURROUNDINGS, &[]).await?;
    let query = role_query(row.try_get(3)?);
    let user_role = role(client, &query, user).await?;
    let model_role = if model == user { user_role } else { role(client, &query, model).await? };
    Ok(Surroundings {
        in_recovery: row.try_get(0)?,
        restricted: row.try_get(1)?,
        refuses_verifiers: row.try_get(2)?,
        user: user_role,
        model: model_role,
        strangers: kinship::strangers(client, model).await?,
    })
}

async fn role(client: &Client, query: &str, name: &str) -> Result<Option<Role>, Error> {
    let Some(row) = client.query_opt(query, &[&name]).await? else { return Ok(None) };
    let privilege: Option<String> = row.try_get(5)?;
    if let Some(privilege) = &privilege {
        debug!(role.name = name, role.privilege = privilege, "The role may do more than work with its own data");
    }
    Ok(Some(Role {
        can_log_in: row.try_get(0)?,
        expired: row.try_get(1)?,
        sessions_left: row.try_get(2)?,
        iam: row.try_get(3)?,
        alterable: row.try_get(4)?,
        privileged: privilege.is_some(),
    }))
}

/// What PUBLIC may read of every PostgreSQL, and hardened ones do not let everybody read.
const READ: [&str; 13] = [
    "SELECT ON pg_catalog.pg_roles",
    "SELECT ON pg_catalog.pg_stat_activity",
    "SELECT ON pg_catalog.pg_auth_members",
    "SELECT ON pg_catalog.pg_db_role_setting",
    "SELECT ON pg_catalog.pg_database",
    "SELECT ON pg_catalog.pg_locks",
    "SELECT ON pg_catalog.pg_settings",
    "EXECUTE ON FUNCTION pg_catalog.pg_has_role",
    "EXECUTE ON FUNCTION pg_catalog.current_setting",
    "EXECUTE ON FUNCTION pg_catalog.pg_is_in_recovery",
    "EXECUTE ON FUNCTION pg_catalog.pg_stat_get_activity",
    "EXECUTE ON FUNCTION pg_catalog.has_database_privilege",
    "EXECUTE ON FUNCTION pg_catalog.now",
];

/// Why nothing was seen. Classes 42 and 0A are of the question and of rights: asking again does not help. The server's
/// message is searched for names, in whatever language it is; it goes no further.
pub(super) fn unseen(error: &Error) -> Unseen {
    match error.as_db_error() {
        Some(error) if ["42", "0A"].iter().any(|class| error.code().code().starts_with(class)) => {
            let words = || error.message().split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let missing = READ.into_iter().find(|right| {
                let (_, name) = right.rsplit_once('.').unwrap_or_default();
                error.code().code() == "42501" && words().any(|word| word == name)
            });
            Unseen::Denied(Denial { state: SqlState::from(error.code().code()), missing })
        }
        Some(_) | None => Unseen::Lost,
    }
}
