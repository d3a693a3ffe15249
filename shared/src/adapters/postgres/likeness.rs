//! Making one role the equal of another: the alternate user, that of its model.
//!
//! The alternate is a member of its model, and of nothing else. Through it, it has exactly what the model has, as the model
//! has it: also where from PostgreSQL 16 on a membership is not inherited, or may not be taken on, and from the moment on in
//! which something is granted to the model or taken from it. What is no membership is copied: attributes and settings.
//!
//! Nothing of the roles is ever in force here. Their settings are read as text and written as statements, as `pg_dump`
//! writes them; the statements are a pure function of how both are seen.

use crate::ports::{Likeness, Name, Obstacle};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use std::collections::BTreeMap;
use tokio_postgres::{Error, Transaction};
use tracing::warn;

const VERSION: &str = "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4";

const ATTRIBUTES: &str = "
    SELECT r.rolcanlogin, r.rolcreatedb, r.rolcreaterole, r.rolreplication, r.rolbypassrls, r.rolsuper, r.rolinherit,
           r.rolconnlimit, r.rolvaliduntil::pg_catalog.text
    FROM pg_catalog.pg_roles r WHERE r.rolname OPERATOR(pg_catalog.=) $1";

/// The first columns of [`ATTRIBUTES`], as words.
const SWITCHES: [(&str, &str); 7] = [
    ("LOGIN", "NOLOGIN"),
    ("CREATEDB", "NOCREATEDB"),
    ("CREATEROLE", "NOCREATEROLE"),
    ("REPLICATION", "NOREPLICATION"),
    ("BYPASSRLS", "NOBYPASSRLS"),
    ("SUPERUSER", "NOSUPERUSER"),
    ("INHERIT", "NOINHERIT"),
];

/// Database (or null), and what is set there: `name=value` each.
const SETTINGS: &str = "
    SELECT d.datname, s.setconfig
    FROM pg_catalog.pg_db_role_setting s
    JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) s.setrole AND r.rolname OPERATOR(pg_catalog.=) $1
    LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) s.setdatabase";

/// What the role owns, or has been granted by its own name, in any database.
const OWN: &str = "
    SELECT pg_catalog.count(*)
    FROM pg_catalog.pg_shdepend d
    JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) d.refobjid AND r.rolname OPERATOR(pg_catalog.=) $1
    WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_authid'::pg_catalog.regclass
      AND d.deptype OPERATOR(pg_catalog.=) ANY ('{o,a}'::pg_catalog.\"char\"[])";

/// Settings that are lists of names, each of which is quoted by itself: `GUC_LIST_QUOTE` in PostgreSQL's
/// `guc_tables.c`, `variable_is_guc_list_quote` in its `dumputils.c`.
const LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Why a role could not be made the equal of another.
enum Unlike {
    Obstacle(Obstacle),
    Failed(Error),
}

impl From<Error> for Unlike {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Makes `user` the equal of `model`; creates it if it is not there. With an obstacle, the transaction is of no use any more.
pub(super) async fn make(transaction: &Transaction<'_>, user: &str, model: &str) -> Result<Likeness, Error> {
    match attempt(transaction, user, model).await {
        Ok(()) => Ok(Ok(())),
        Err(Unlike::Obstacle(obstacle)) => Ok(Err(obstacle)),
        Err(Unlike::Failed(error)) => Err(error),
    }
}

async fn attempt(transaction: &Transaction<'_>, user: &str, model: &str) -> Result<(), Unlike> {
    let version: i32 = transaction.query_one(VERSION, &[]).await?.try_get(0)?;
    let Some(wanted) = Portrait::of(transaction, version, model).await? else {
        return Err(Unlike::Obstacle(Obstacle::Model(Name::from(model))));
    };
    let twins = Twins { user, model, version };
    let present = match Portrait::of(transaction, version, user).await? {
        Some(present) => present,
        None => {
            carry_out(transaction, &twins.creation()).await?;
            Portrait::of(transaction, version, user).await?.unwrap_or_default()
        }
    };
    let mut left_out = Vec::new();
    for change in twins.changes(&present, &wanted) {
        if !carry_out(transaction, &change).await? {
            left_out.push(change);
        }
    }
    // A membership that somebody else has granted is taken by nobody else: the server warns, and goes on.
    let present = Portrait::of(transaction, version, user).await?.unwrap_or_default();
    if let Some(left) = twins.changes(&present, &wanted).into_iter().find(|change| !left_out.contains(change)) {
        return Err(Unlike::Obstacle(left.subject));
    }
    let own: i64 = transaction.query_one(OWN, &[&user]).await?.try_get(0)?;
    if own > 0 {
        warn!(
            role.name = user,
            role.objects = own,
            "The alternate user owns, or is granted by its own name, what its user need not have"
        );
    }
    Ok(())
}

/// Carries out one change. A setting that the server does not take means nothing to the model's sessions either, which
/// begin with a warning and without it; it is left out. Tells whether the change was made.
async fn carry_out(transaction: &Transaction<'_>, change: &Change) -> Result<bool, Unlike> {
    let is_setting = matches!(change.subject, Obstacle::Setting(_));
    let statement = &change.statement;
    let done = if is_setting {
        transaction.batch_execute(&format!("SAVEPOINT setting; {statement}; RELEASE SAVEPOINT setting")).await
    } else {
        transaction.batch_execute(statement).await
    };
    let Err(error) = done else { return Ok(true) };
    let state = error.code().map(|state| state.code().to_owned()).unwrap_or_default();
    match state.as_str() {
        // Not allowed; granted in a circle; granted further.
        "42501" | "0LP01" | "2BP01" => Err(Unlike::Obstacle(change.subject)),
        _ if is_setting && (state.starts_with("22") || state.starts_with("42")) => {
            transaction.batch_execute("ROLLBACK TO SAVEPOINT setting").await?;
            warn!(role.obstacle = %change.subject.what(), database.sqlstate = state, "The server does not take a setting of the user; the alternate user has not got it");
            Ok(false)
        }
        _ => Err(Unlike::Failed(error)),
    }
}

/// A role as it is to be compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Portrait {
    /// Each as the words that make a role like this, and its name.
    attributes: Vec<(String, &'static str)>,
    memberships: Vec<Membership>,
    /// By database (or none) and name.
    settings: BTreeMap<(Option<String>, String), String>,
}

/// A membership. Before PostgreSQL 16, each is inherited and may be taken on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Membership {
    group: String,
    grantor: Option<String>,
    admin: bool,
    inherit: bool,
    set: bool,
}

impl Portrait {
    async fn of(transaction: &Transaction<'_>, version: i32, name: &str) -> Result<Option<Self>, Error> {
        let Some(row) = transaction.query_opt(ATTRIBUTES, &[&name]).await? else { return Ok(None) };
        let mut attributes = Vec::new();
        for (column, (yes, no)) in SWITCHES.into_iter().enumerate() {
            let word = if row.try_get(column)? { yes } else { no };
            attributes.push((word.to_owned(), word));
        }
        let (limit, until): (i32, Option<String>) = (row.try_get(SWITCHES.len())?, row.try_get(SWITCHES.len() + 1)?);
        let until = escape_literal(until.as_deref().unwrap_or("infinity"));
        attributes.push((format!("CONNECTION LIMIT {limit}"), "CONNECTION LIMIT"));
        attributes.push((format!("VALID UNTIL {until}"), "VALID UNTIL"));

        let mut memberships = Vec::new();
        for row in transaction.query(&memberships_query(version), &[&name]).await? {
            memberships.push(Membership {
                group: row.try_get(0)?,
                grantor: row.try_get(1)?,
                admin: row.try_get(2)?,
                inherit: row.try_get(3)?,
                set: row.try_get(4)?,
            });
        }
        let mut settings = BTreeMap::new();
        for row in transaction.query(SETTINGS, &[&name]).await? {
            let (database, entries): (Option<String>, Vec<String>) = (row.try_get(0)?, row.try_get(1)?);
            let pairs = entries.iter().filter_map(|entry| entry.split_once('='));
            settings.extend(pairs.map(|(name, value)| ((database.clone(), name.to_owned()), value.to_owned())));
        }
        Ok(Some(Self { attributes, memberships, settings }))
    }
}

fn memberships_query(version: i32) -> String {
    let options = if version < 160_000 { "true, true" } else { "m.inherit_option, m.set_option" };
    format!(
        "SELECT g.rolname, a.rolname, m.admin_option, {options}
         FROM pg_catalog.pg_auth_members m
         JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) m.member AND r.rolname OPERATOR(pg_catalog.=) $1
         JOIN pg_catalog.pg_roles g ON g.oid OPERATOR(pg_catalog.=) m.roleid
         LEFT JOIN pg_catalog.pg_roles a ON a.oid OPERATOR(pg_catalog.=) m.grantor
         ORDER BY 1, 2"
    )
}

/// A statement, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    statement: String,
    subject: Obstacle,
}

/// Who is to be made the equal of whom.
struct Twins<'a> {
    user: &'a str,
    model: &'a str,
    version: i32,
}

impl Twins<'_> {
    fn creation(&self) -> Change {
        change(format!("CREATE ROLE {} LOGIN", escape_identifier(self.user)), Obstacle::Creation)
    }

    /// What is equal already is not touched, so that an admin without the right to, say, BYPASSRLS can still rotate roles
    /// that do not have it.
    fn changes(&self, present: &Portrait, wanted: &Portrait) -> Vec<Change> {
        let mut changes = self.attributes(present, wanted);
        changes.extend(self.memberships(present));
        changes.extend(self.settings(present, wanted));
        changes
    }

    /// Always INHERIT: what only the model itself was granted, CONNECT for example, would not reach the alternate's login.
    fn attributes(&self, present: &Portrait, wanted: &Portrait) -> Vec<Change> {
        let inherit = |(words, name): &(String, &'static str)| match *name {
            "NOINHERIT" => ("INHERIT".to_owned(), "INHERIT"),
            name => (words.clone(), name),
        };
        let wanted = wanted.attributes.iter().map(inherit);
        wanted
            .filter(|attribute| !present.attributes.contains(attribute))
            .map(|(words, name)| {
                change(format!("ALTER ROLE {} {words}", escape_identifier(self.user)), Obstacle::Attribute(name))
            })
            .collect()
    }

    fn memberships(&self, present: &Portrait) -> Vec<Change> {
        let (user, model) = (escape_identifier(self.user), escape_identifier(self.model));
        let knows_grantors = self.version >= 160_000;
        let by = |membership: &Membership| match &membership.grantor {
            Some(grantor) if knows_grantors => format!(" GRANTED BY {}", escape_identifier(grantor)),
            Some(_) | None => String::new(),
        };
        let (of_model, others): (Vec<&Membership>, Vec<&Membership>) =
            present.memberships.iter().partition(|membership| membership.group == self.model);
        let mut changes = Vec::new();
        for membership in others {
            let group = escape_identifier(&membership.group);
            changes.push(change(
                format!("REVOKE {group} FROM {user}{}", by(membership)),
                Obstacle::Group(Name::from(membership.group.as_str())),
            ));
        }
        // The model may not grant itself to others.
        for membership in of_model.iter().filter(|membership| membership.admin) {
            changes.push(change(
                format!("REVOKE ADMIN OPTION FOR {model} FROM {user}{}", by(membership)),
                Obstacle::Group(Name::from(self.model)),
            ));
        }
        if !of_model.iter().any(|membership| membership.inherit && membership.set) {
            let options = if knows_grantors { " WITH INHERIT TRUE, SET TRUE" } else { "" };
            changes.push(change(format!("GRANT {model} TO {user}{options}"), Obstacle::Model(Name::from(self.model))));
        }
        changes
    }

    /// Where the model's sessions take on no other role, its equal's sessions take on the model, so that what either
    /// creates belongs to the same owner.
    fn settings(&self, present: &Portrait, wanted: &Portrait) -> Vec<Change> {
        let mut wanted = wanted.settings.clone();
        wanted.entry((None, "role".to_owned())).or_insert_with(|| self.model.to_owned());
        let stale = present.settings.keys().filter(|key| !wanted.contains_key(*key));
        let missing = wanted.iter().filter(|(key, value)| present.settings.get(*key) != Some(*value));
        stale
            .map(|(database, name)| self.setting(database.as_deref(), name, None))
            .chain(missing.map(|((database, name), value)| self.setting(database.as_deref(), name, Some(value))))
            .collect()
    }

    fn setting(&self, database: Option<&str>, name: &str, value: Option<&str>) -> Change {
        let user = escape_identifier(self.user);
        let place = database.map_or(String::new(), |name| format!(" IN DATABASE {}", escape_identifier(name)));
        let quoted = escape_identifier(name);
        let what = value
            .map_or_else(|| format!("RESET {quoted}"), |value| format!("SET {quoted} TO {}", literal(name, value)));
        change(format!("ALTER ROLE {user}{place} {what}"), Obstacle::Setting(Name::from(name)))
    }
}

fn change(statement: String, subject: Obstacle) -> Change {
    Change { statement, subject }
}

/// A setting's value as a statement has it.
fn literal(name: &str, value: &str) -> String {
    if !LISTS.iter().any(|list| list.eq_ignore_ascii_case(name)) {
        return escape_literal(value);
    }
    let names = split(value);
    if names.is_empty() {
        return escape_literal("");
    }
    names.iter().map(|name| escape_literal(name)).collect::<Vec<_>>().join(", ")
}

/// The names of a list as the server keeps it: quoted where they need to be, with commas between.
fn split(list: &str) -> Vec<String> {
    let (mut names, mut name, mut quoted, mut any) = (Vec::new(), String::new(), false, false);
    let mut characters = list.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => name.extend(characters.next()),
            '"' => (quoted, any) = (!quoted, true),
            ',' if !quoted => {
                names.push(std::mem::take(&mut name));
                any = true;
            }
            blank if !quoted && blank.is_ascii_whitespace() => {}
            character => {
                name.push(character);
                any = true;
            }
        }
    }
    if any {
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWINS: Twins<'_> = Twins { user: "app_clone", model: "app", version: 160_000 };

    fn member(group: &str, grantor: &str, options: [bool; 3]) -> Membership {
        let [admin, inherit, set] = options;
        Membership { group: group.to_owned(), grantor: Some(grantor.to_owned()), admin, inherit, set }
    }

    fn statements(changes: &[Change]) -> Vec<&str> {
        changes.iter().map(|change| change.statement.as_str()).collect()
    }

    fn settings(list: &[(Option<&str>, &str, &str)]) -> Portrait {
        let one = |(database, name, value): &(Option<&str>, &str, &str)| {
            ((database.map(str::to_owned), (*name).to_owned()), (*value).to_owned())
        };
        Portrait { settings: list.iter().map(one).collect(), ..Portrait::default() }
    }

    #[test]
    fn an_alternate_is_a_member_of_its_model_and_of_nothing_else() {
        let present = Portrait {
            memberships: vec![
                member("app", "postgres", [true, false, true]),
                member("writers", "boss", [false, true, true]),
            ],
            ..Portrait::default()
        };
        assert_eq!(
            statements(&TWINS.memberships(&present)),
            [
                r#"REVOKE "writers" FROM "app_clone" GRANTED BY "boss""#,
                r#"REVOKE ADMIN OPTION FOR "app" FROM "app_clone" GRANTED BY "postgres""#,
                r#"GRANT "app" TO "app_clone" WITH INHERIT TRUE, SET TRUE"#,
            ]
        );
        let equal = Portrait { memberships: vec![member("app", "boss", [false, true, true])], ..Portrait::default() };
        assert_eq!(TWINS.memberships(&equal), []);
        let before = Twins { version: 150_000, ..TWINS };
        assert_eq!(
            statements(&before.memberships(&present)),
            [
                r#"REVOKE "writers" FROM "app_clone""#,
                r#"REVOKE ADMIN OPTION FOR "app" FROM "app_clone""#,
                r#"GRANT "app" TO "app_clone""#
            ]
        );
    }

    #[test]
    fn settings_are_statements_and_lists_keep_their_names() {
        let wanted = settings(&[
            (None, "search_path", r#""$user", public, "odd, ""name""""#),
            (None, "DateStyle", "German, DMY"),
            (None, "temp_tablespaces", r#""""#),
            (Some("sh'op"), "my.thing", r"it's \ back"),
        ]);
        let present = settings(&[(None, "work_mem", "8MB"), (None, "role", "app"), (Some("gone"), "role", "x")]);
        assert_eq!(
            statements(&TWINS.settings(&present, &wanted)),
            [
                r#"ALTER ROLE "app_clone" RESET "work_mem""#,
                r#"ALTER ROLE "app_clone" IN DATABASE "gone" RESET "role""#,
                r#"ALTER ROLE "app_clone" SET "DateStyle" TO 'German, DMY'"#,
                r#"ALTER ROLE "app_clone" SET "search_path" TO '$user', 'public', 'odd, "name"'"#,
                r#"ALTER ROLE "app_clone" SET "temp_tablespaces" TO ''"#,
                r#"ALTER ROLE "app_clone" IN DATABASE "sh'op" SET "my.thing" TO  E'it''s \\ back'"#,
            ]
        );
    }

    #[test]
    fn the_alternate_takes_on_its_model_or_whom_the_model_takes_on() {
        let nothing = Portrait::default();
        assert_eq!(statements(&TWINS.settings(&nothing, &nothing)), [r#"ALTER ROLE "app_clone" SET "role" TO 'app'"#]);
        let owner = settings(&[(None, "role", "owner")]);
        assert_eq!(statements(&TWINS.settings(&nothing, &owner)), [r#"ALTER ROLE "app_clone" SET "role" TO 'owner'"#]);
        assert_eq!(TWINS.settings(&owner, &owner), []);
    }

    #[test]
    fn attributes_follow_the_model_but_for_inherit() {
        let portrait = |words: &[&'static str]| Portrait {
            attributes: words.iter().map(|word| ((*word).to_owned(), *word)).collect(),
            ..Portrait::default()
        };
        let present = portrait(&["LOGIN", "CREATEDB", "NOINHERIT", "CONNECTION LIMIT -1"]);
        let wanted = portrait(&["LOGIN", "NOCREATEDB", "NOINHERIT", "CONNECTION LIMIT 7"]);
        assert_eq!(
            statements(&TWINS.attributes(&present, &wanted)),
            [
                r#"ALTER ROLE "app_clone" NOCREATEDB"#,
                r#"ALTER ROLE "app_clone" INHERIT"#,
                r#"ALTER ROLE "app_clone" CONNECTION LIMIT 7"#,
            ]
        );
    }
}
