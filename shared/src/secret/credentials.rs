//! The credentials of a PostgreSQL database, as AWS's rotation functions and RDS write them.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use std::{fmt, ops::RangeInclusive};

/// PostgreSQL cuts longer names off without an error (`NAMEDATALEN` - 1), in bytes.
pub const USERNAME_LIMIT: usize = 63;

const DEFAULT_PORT: u16 = 5432;
/// What AWS's PostgreSQL functions connect to when the secret names no database.
const DEFAULT_DATABASE: &str = "postgres";

/// One version of a database secret. Fields that Relatch does not know are kept as they are.
///
/// `Debug` shows neither the password nor the text it came from.
#[derive(Debug, Clone)]
pub struct DatabaseCredentials {
    /// `postgres` or `aurora-postgresql`.
    pub engine: String,
    /// Host name or address of the database.
    pub host: String,
    /// TCP port; 5432 when the secret names none.
    pub port: u16,
    /// The database to connect to; `postgres` when the secret names none, as in AWS's functions.
    pub dbname: String,
    /// The role that logs in.
    pub username: String,
    /// Its password.
    pub password: SecretString,
    /// How the server proves who it is.
    pub tls: Tls,
    /// ARN of the admin secret, which may change other users.
    pub masterarn: Option<String>,
    /// Name of the Aurora cluster, where the secret names it.
    pub cluster: Option<String>,
    /// Name of the RDS instance, where the secret names it.
    pub instance: Option<String>,
    text: SecretString,
}

/// How the server proves who it is: always by a verified certificate, unless the secret says literally `"ssl": false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Verified in full: chain, name and time.
    Verified {
        /// A certificate authority of the secret's own, in PEM (`sslrootcert`), beside those that are built in.
        authority: Option<String>,
        /// The name that the certificate must bear, where it is not the host (`sslservername`).
        server_name: Option<String>,
    },
    /// `"ssl": false`. Honoured only where the environment allows it too.
    Plaintext,
}

/// A field of a database secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Field {
    Engine,
    Host,
    Port,
    Dbname,
    Username,
    Password,
    Ssl,
    Masterarn,
    ClusterIdentifier,
    InstanceIdentifier,
}

/// Why a secret's value cannot be used. Never holds any part of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Problem {
    /// The secret holds bytes (`SecretBinary`) and no text.
    #[error("it is binary, not a JSON text")]
    Binary,
    /// The text is not JSON.
    #[error("it is not JSON")]
    NotJson,
    /// The text is JSON but no object.
    #[error("it is JSON but not an object")]
    NotAnObject,
    /// A field that is needed is not there.
    #[error("the field `{0}` is missing")]
    Missing(Field),
    /// A field is there and not of the type it must have.
    #[error("the field `{0}` is not a text")]
    NotText(Field),
    /// A field is there and empty.
    #[error("the field `{0}` is empty")]
    Empty(Field),
    /// Relatch rotates `postgres` and `aurora-postgresql`.
    #[error("the engine is neither `postgres` nor `aurora-postgresql`")]
    WrongEngine,
    /// AWS's functions convert a text; clients with typed readers fail on it, so it is refused before it spreads.
    #[error("`port` must be a number from 1 to 65535, written without quotes")]
    WrongPort,
    /// A null would connect to a database named after the user.
    #[error("`dbname` is null: leave it out for `postgres`, or name a database")]
    NullDatabase,
    /// PostgreSQL would cut the name off.
    #[error("`username` is longer than the {USERNAME_LIMIT} bytes that PostgreSQL keeps of a name")]
    LongUsername,
}

impl DatabaseCredentials {
    /// Reads a secret's text.
    ///
    /// # Errors
    /// Says which field is wrong and how; never what it holds.
    pub fn parse(text: SecretString) -> Result<Self, Problem> {
        let value: Value = serde_json::from_str(text.expose_secret()).map_err(|_| Problem::NotJson)?;
        let Value::Object(fields) = value else { return Err(Problem::NotAnObject) };
        let credentials = Self {
            engine: required(&fields, Field::Engine)?,
            host: required(&fields, Field::Host)?,
            port: port(&fields)?,
            dbname: database(&fields)?,
            username: required(&fields, Field::Username)?,
            password: required(&fields, Field::Password)?.into(),
            tls: tls(&fields)?,
            masterarn: optional(&fields, Field::Masterarn)?,
            cluster: optional(&fields, Field::ClusterIdentifier)?,
            instance: optional(&fields, Field::InstanceIdentifier)?,
            text,
        };
        if !matches!(credentials.engine.as_str(), "postgres" | "aurora-postgresql") {
            return Err(Problem::WrongEngine);
        }
        if credentials.username.len() > USERNAME_LIMIT {
            return Err(Problem::LongUsername);
        }
        Ok(credentials)
    }

    /// The same secret with another user and password, everything else unchanged.
    pub fn with_login(&self, username: &str, password: SecretString) -> Self {
        let mut fields: Map<String, Value> = serde_json::from_str(self.text.expose_secret()).unwrap_or_default();
        fields.insert("username".into(), username.into());
        fields.insert("password".into(), password.expose_secret().into());
        let text = Value::Object(fields).to_string().into();
        Self { username: username.to_owned(), password, text, ..self.clone() }
    }

    /// The same login to another database of the same server. The text stays as it was: this is not to be stored.
    pub fn in_database(self, dbname: &str) -> Self {
        Self { dbname: dbname.to_owned(), ..self }
    }

    /// The secret's text, as it is stored.
    pub fn text(&self) -> &SecretString {
        &self.text
    }

    /// The first field in which the place these credentials lead to differs from another's; user and password aside.
    ///
    /// A pending version that points elsewhere would send the current password to a stranger, so this is asked before
    /// any connection.
    pub fn leads_elsewhere(&self, other: &Self) -> Option<Field> {
        [
            (Field::Engine, self.engine == other.engine),
            (Field::Host, self.host == other.host),
            (Field::Port, self.port == other.port),
            (Field::Dbname, self.dbname == other.dbname),
            (Field::Ssl, self.tls == other.tls),
            (Field::Masterarn, self.masterarn == other.masterarn),
            (Field::ClusterIdentifier, self.cluster == other.cluster),
            (Field::InstanceIdentifier, self.instance == other.instance),
        ]
        .into_iter()
        .find_map(|(field, same)| (!same).then_some(field))
    }

    /// The first field in which the server these credentials lead to differs from another's; what they open there may
    /// differ.
    pub fn serves_elsewhere(&self, other: &Self) -> Option<Field> {
        [
            (Field::Engine, self.engine == other.engine),
            (Field::Host, self.host == other.host),
            (Field::Port, self.port == other.port),
        ]
        .into_iter()
        .find_map(|(field, same)| (!same).then_some(field))
    }

    /// Whether the password has one of these lengths, and only printable ASCII characters of which none is forbidden.
    pub fn password_fits(&self, lengths: RangeInclusive<usize>, forbidden: &[char]) -> bool {
        let password = self.password.expose_secret();
        lengths.contains(&password.len()) && password.chars().all(|c| matches!(c, ' '..='~') && !forbidden.contains(&c))
    }

    /// Whether both hold the same password.
    pub fn same_password(&self, other: &Self) -> bool {
        self.password.expose_secret() == other.password.expose_secret()
    }
}

impl Field {
    /// The field's name in the JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Field::Engine => "engine",
            Field::Host => "host",
            Field::Port => "port",
            Field::Dbname => "dbname",
            Field::Username => "username",
            Field::Password => "password",
            Field::Ssl => "ssl",
            Field::Masterarn => "masterarn",
            Field::ClusterIdentifier => "dbClusterIdentifier",
            Field::InstanceIdentifier => "dbInstanceIdentifier",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn required(fields: &Map<String, Value>, field: Field) -> Result<String, Problem> {
    optional(fields, field)?.ok_or(Problem::Missing(field))
}

fn optional(fields: &Map<String, Value>, field: Field) -> Result<Option<String>, Problem> {
    match fields.get(field.name()) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Err(Problem::Empty(field)),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Err(Problem::NotText(field)),
    }
}

fn port(fields: &Map<String, Value>) -> Result<u16, Problem> {
    match fields.get("port") {
        None => Ok(DEFAULT_PORT),
        Some(value) => value
            .as_u64()
            .and_then(|number| u16::try_from(number).ok())
            .filter(|number| *number != 0)
            .ok_or(Problem::WrongPort),
    }
}

fn database(fields: &Map<String, Value>) -> Result<String, Problem> {
    if fields.get("dbname") == Some(&Value::Null) {
        return Err(Problem::NullDatabase);
    }
    Ok(optional(fields, Field::Dbname)?.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()))
}

/// Only the literal `false` is plaintext. Every other value, `"false"` in quotes among them, means TLS.
fn tls(fields: &Map<String, Value>) -> Result<Tls, Problem> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(match fields.get("ssl") {
        Some(Value::Bool(false)) => Tls::Plaintext,
        _ => Tls::Verified { authority: text("sslrootcert"), server_name: text("sslservername") },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const GOOD: &str = r#"{"username":"app_user","password":"MARKED","engine":"postgres","host":"db.example.com",
        "port":5433,"dbname":"app","dbClusterIdentifier":"app-prod-cluster","zz":1.50,"aa":[null,{"b":"ü"}]}"#;

    #[test]
    fn a_secret_of_today_is_taken_as_it_stands() {
        let credentials = parse(GOOD).unwrap();
        assert_eq!((credentials.host.as_str(), credentials.port), ("db.example.com", 5433));
        assert_eq!(credentials.cluster.as_deref(), Some("app-prod-cluster"));
        assert_eq!(credentials.tls, Tls::Verified { authority: None, server_name: None });
    }

    #[test]
    fn what_may_be_left_out_has_the_defaults_of_awss_functions() {
        let credentials = parse(r#"{"username":"u","password":"p","engine":"aurora-postgresql","host":"h"}"#).unwrap();
        assert_eq!((credentials.port, credentials.dbname.as_str()), (5432, "postgres"));
    }

    #[test]
    fn other_fields_and_their_order_survive_a_rotation() {
        let next = parse(GOOD).unwrap().with_login("app_user_clone", "new".to_owned().into());
        let text = next.text().expose_secret();
        assert_eq!(
            text,
            r#"{"username":"app_user_clone","password":"new","engine":"postgres","host":"db.example.com","port":5433,"dbname":"app","dbClusterIdentifier":"app-prod-cluster","zz":1.5,"aa":[null,{"b":"ü"}]}"#
        );
        let again = parse(text).unwrap();
        assert_eq!((again.username, again.password.expose_secret()), ("app_user_clone".to_owned(), "new"));
    }

    #[test]
    fn only_a_literal_false_means_plaintext() {
        for ssl in ["true", "null", "\"false\"", "0", "\"\"", "[]"] {
            let credentials = parse(&GOOD.replace("\"zz\"", &format!("\"ssl\":{ssl},\"zz\""))).unwrap();
            assert!(matches!(credentials.tls, Tls::Verified { .. }), "{ssl}");
        }
        assert_eq!(parse(&GOOD.replace("\"zz\"", "\"ssl\":false,\"zz\"")).unwrap().tls, Tls::Plaintext);
    }

    #[test]
    fn everything_wrong_has_its_own_words_and_shows_no_value() {
        let long = format!("\"{}\"", "é".repeat(32));
        let cases = [
            "".to_owned(),
            "MARKED".to_owned(),
            "[\"MARKED\"]".to_owned(),
            GOOD.replace("\"engine\":\"postgres\",", ""),
            GOOD.replace("\"postgres\"", "\"mysql\""),
            GOOD.replace("\"db.example.com\"", "\"\""),
            GOOD.replace("\"db.example.com\"", "[1]"),
            GOOD.replace("\"MARKED\"", "null"),
            GOOD.replace("5433", "\"5433\""),
            GOOD.replace("5433", "70000"),
            GOOD.replace("5433", "0"),
            GOOD.replace("5433", "null"),
            GOOD.replace("\"app\"", "null"),
            GOOD.replace("\"app_user\"", &long),
        ];
        let errors: Vec<String> = cases.iter().map(|text| parse(text).unwrap_err().to_string()).collect();
        assert!(!errors.concat().contains("MARKED"));
        insta::assert_snapshot!(errors.join("\n"));
    }

    #[test]
    fn a_password_is_not_printed() {
        assert!(!format!("{:?}", parse(GOOD).unwrap()).contains("MARKED"));
    }

    #[test]
    fn a_version_that_points_elsewhere_is_noticed_field_by_field() {
        let here = parse(GOOD).unwrap();
        for (from, to, field) in [
            ("db.example.com", "evil.example.com", Field::Host),
            ("5433", "5434", Field::Port),
            ("\"postgres\"", "\"aurora-postgresql\"", Field::Engine),
            ("\"app\"", "\"other\"", Field::Dbname),
            ("app-prod-cluster", "other", Field::ClusterIdentifier),
            ("\"zz\"", "\"ssl\":false,\"zz\"", Field::Ssl),
            ("\"zz\"", "\"sslservername\":\"evil\",\"zz\"", Field::Ssl),
            ("\"zz\"", "\"masterarn\":\"arn:evil\",\"zz\"", Field::Masterarn),
        ] {
            assert_eq!(parse(&GOOD.replace(from, to)).unwrap().leads_elsewhere(&here), Some(field));
        }
        assert_eq!(here.leads_elsewhere(&parse(GOOD).unwrap()), None);
    }

    fn parse(text: &str) -> Result<DatabaseCredentials, Problem> {
        DatabaseCredentials::parse(text.to_owned().into())
    }
}
