//! The credentials of a PostgreSQL database, as AWS's rotation functions and RDS write them.

use super::host::{self, HostProblem};
use secrecy::{ExposeSecret, SecretString};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use std::{
    fmt,
    ops::{Range, RangeInclusive},
};

/// PostgreSQL cuts longer names off without an error (`NAMEDATALEN` - 1), in bytes.
pub const USERNAME_LIMIT: usize = 63;

const DEFAULT_PORT: u16 = 5432;
/// Fields that only [`Tls`] is made of.
const AUTHORITY: &str = "sslrootcert";
const SERVER_NAME: &str = "sslservername";
/// What AWS's PostgreSQL functions connect to when the secret names no database.
const DEFAULT_DATABASE: &str = "postgres";

/// One version of a database secret. Fields that Relatch does not know are kept as they are, to the byte.
///
/// `Debug` shows neither the password nor the text it came from.
#[derive(Debug, Clone)]
pub struct DatabaseCredentials {
    /// `postgres` or `aurora-postgresql`.
    pub engine: String,
    /// Host name or address of the database, in the form in which DNS's comparison is one of text.
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
    /// A field that Relatch reads is there twice. Readers differ in which one they take.
    #[error("the field `{0}` is there twice, and readers differ in which one they take: leave one")]
    Twice(&'static str),
    /// The host is none.
    #[error("{0}")]
    Host(HostProblem),
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
        let fields = Fields::read(text.expose_secret())?;
        let credentials = Self {
            engine: required(&fields, Field::Engine)?,
            host: host::read(&required(&fields, Field::Host)?).map_err(Problem::Host)?,
            port: port(&fields)?,
            dbname: database(&fields)?,
            username: required(&fields, Field::Username)?,
            password: required(&fields, Field::Password)?.into(),
            tls: tls(&fields),
            masterarn: optional(&fields, Field::Masterarn)?,
            cluster: optional(&fields, Field::ClusterIdentifier)?,
            instance: optional(&fields, Field::InstanceIdentifier)?,
            text: text.clone(),
        };
        if !matches!(credentials.engine.as_str(), "postgres" | "aurora-postgresql") {
            return Err(Problem::WrongEngine);
        }
        if credentials.username.len() > USERNAME_LIMIT {
            return Err(Problem::LongUsername);
        }
        Ok(credentials)
    }

    /// The same secret with another user and password. Every other byte of the text stays as it is: how a number is
    /// spelled, a string is escaped, and what stands between the fields.
    pub fn with_login(&self, username: &str, password: SecretString) -> Self {
        let text = self.text.expose_secret();
        let fields = Fields::read(text).unwrap_or_default();
        let mut changes = vec![(fields.span(Field::Password, text), password.expose_secret())];
        if username != self.username {
            changes.push((fields.span(Field::Username, text), username));
        }
        // From the last to the first, so that the places of the others hold.
        changes.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        let mut next = text.to_owned();
        for (span, value) in changes {
            next.replace_range(span, &Value::from(value).to_string());
        }
        Self { username: username.to_owned(), password, text: next.into(), ..self.clone() }
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

/// The fields of a JSON object, in their order: name, and what stands there, to the byte.
#[derive(Default)]
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// What Relatch reads; of anything else a secret may hold what it likes.
    const READ: [&'static str; 12] = [
        "engine",
        "host",
        "port",
        "dbname",
        "username",
        "password",
        "ssl",
        "masterarn",
        "dbClusterIdentifier",
        "dbInstanceIdentifier",
        AUTHORITY,
        SERVER_NAME,
    ];

    fn read(text: &'a str) -> Result<Self, Problem> {
        let fields: Self = serde_json::from_str(text)
            .map_err(|error| if error.is_data() { Problem::NotAnObject } else { Problem::NotJson })?;
        let count = |name: &str| fields.0.iter().filter(|(known, _)| known == name).count();
        match Self::READ.into_iter().find(|name| count(name) > 1) {
            Some(name) => Err(Problem::Twice(name)),
            None => Ok(fields),
        }
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find_map(|(known, value)| (known == name).then_some(value.get()))
    }

    /// A field's value; `Err` where it is none that a text, a number or a word can be made of (`1e400`, half a character).
    fn get(&self, name: &str) -> Option<Result<Value, serde_json::Error>> {
        self.raw(name).map(serde_json::from_str)
    }

    /// Where a field's value stands in the text that the fields were read from.
    fn span(&self, field: Field, text: &str) -> Range<usize> {
        let value = self.raw(field.name()).unwrap_or_default();
        let start = value.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        start..start + value.len()
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

fn required(fields: &Fields<'_>, field: Field) -> Result<String, Problem> {
    optional(fields, field)?.ok_or(Problem::Missing(field))
}

fn optional(fields: &Fields<'_>, field: Field) -> Result<Option<String>, Problem> {
    match fields.get(field.name()) {
        None | Some(Ok(Value::Null)) => Ok(None),
        Some(Ok(Value::String(text))) if text.is_empty() => Err(Problem::Empty(field)),
        Some(Ok(Value::String(text))) => Ok(Some(text)),
        Some(Ok(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) | Err(_)) => {
            Err(Problem::NotText(field))
        }
    }
}

fn port(fields: &Fields<'_>) -> Result<u16, Problem> {
    match fields.get("port") {
        None => Ok(DEFAULT_PORT),
        Some(value) => value
            .ok()
            .and_then(|value| value.as_u64())
            .and_then(|number| u16::try_from(number).ok())
            .filter(|number| *number != 0)
            .ok_or(Problem::WrongPort),
    }
}

fn database(fields: &Fields<'_>) -> Result<String, Problem> {
    if matches!(fields.get("dbname"), Some(Ok(Value::Null))) {
        return Err(Problem::NullDatabase);
    }
    Ok(optional(fields, Field::Dbname)?.unwrap_or_else(|| DEFAULT_DATABASE.to_owned()))
}

/// Only the literal `false` is plaintext. Every other value, `"false"` in quotes among them, means TLS.
fn tls(fields: &Fields<'_>) -> Tls {
    let text = |name: &str| match fields.get(name) {
        Some(Ok(Value::String(text))) if !text.is_empty() => Some(text),
        _ => None,
    };
    match fields.get("ssl") {
        Some(Ok(Value::Bool(false))) => Tls::Plaintext,
        _ => Tls::Verified {
            authority: text(AUTHORITY),
            server_name: text(SERVER_NAME).map(|name| host::canonical(&name)),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

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

    /// What JSON can say in several ways, and what does not fit into a number of 64 bits.
    const ODD: &str = concat!(
        "\n{ \"b\" : 12345678901234567890123,\"a\":1e400 ,\t\"one\": 1.0, \"e\":1E3,\"zero\":-0,\"zz\":1.50,",
        "\"host\":\"DB.example.com\",\"note\":\"\\u00e9\\/\\ud83d é \\ud800\",\"twice\":1,\"twice\":[ ],",
        "\"passw\\u006frd\" :\"p\\u0041\\/\\\"\\\\\", \"engine\":\"postgres\", \"port\":5432,\"username\":\"u\\u0031\" , \"nested\":{\"password\":\"no\"} }\r\n "
    );

    #[test]
    fn nothing_but_user_and_password_changes_by_a_byte() {
        let secret = parse(ODD).unwrap();
        assert_eq!((secret.password.expose_secret(), secret.username.as_str()), ("pA/\"\\", "u1"));
        let same_user = ODD.replace(r#""p\u0041\/\"\\""#, r#""n\"ew""#);
        assert_eq!(secret.with_login("u1", "n\"ew".to_owned().into()).text().expose_secret(), same_user);
        let another = same_user.replace(r#""u\u0031""#, r#""u1_clone""#);
        let next = secret.with_login("u1_clone", "n\"ew".to_owned().into());
        assert_eq!(next.text().expose_secret(), another);
        let again = parse(&another).unwrap();
        assert_eq!((again.username.as_str(), again.password.expose_secret()), ("u1_clone", "n\"ew"));
        // And back.
        assert_eq!(
            next.with_login("u1", "x".to_owned().into()).text().expose_secret(),
            ODD.replace(r#""p\u0041\/\"\\""#, r#""x""#).replace(r#""u\u0031""#, r#""u1""#)
        );
    }

    #[test]
    fn a_field_that_is_read_is_there_once_however_its_name_is_spelled() {
        for (more, name) in [
            (r#""password":"x""#, "password"),
            (r#""usern\u0061me":"x""#, "username"),
            (r#""dbClusterIdentifier":null"#, "dbClusterIdentifier"),
            (r#""ssl":true,"ssl":false"#, "ssl"),
            (r#""sslrootcert":"a","sslrootcert":"a""#, "sslrootcert"),
        ] {
            let text = GOOD.replace("\"zz\"", &format!("{more},\"zz\""));
            assert_eq!(parse(&text).unwrap_err(), Problem::Twice(name), "{more}");
        }
    }

    #[test]
    fn however_deep_other_fields_are_they_are_kept() {
        let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        let text = GOOD.replace("1.50", &deep);
        let next = parse(&text).unwrap().with_login("app_user", "new".to_owned().into());
        assert_eq!(next.text().expose_secret(), &text.replace("MARKED", "new"));
    }

    #[test]
    fn another_spelling_of_the_host_is_no_other_host() {
        let here = parse(GOOD).unwrap();
        let there = parse(&GOOD.replace("db.example.com", "DB.Example.com.")).unwrap();
        assert_eq!((here.leads_elsewhere(&there), here.serves_elsewhere(&there)), (None, None));
    }

    proptest! {
        #[test]
        fn the_new_text_is_the_old_one_but_for_what_was_changed(
            before in proptest::collection::vec((key(), anything()), 0..4),
            between in proptest::collection::vec((key(), anything()), 0..4),
            after in proptest::collection::vec((key(), anything()), 0..4),
            (old, user, new, next) in (any::<String>(), "[a-z]{1,9}", any::<String>(), "[a-z]{1,9}"),
            blank in "[ \t\r\n]{0,3}",
            password_first in any::<bool>(),
        ) {
            prop_assume!(!old.is_empty());
            let with = |user: &str, password: &str| {
                let list = |fields: &[(String, String)]| -> Vec<String> {
                    fields.iter().map(|(key, value)| format!("{blank}{key}{blank}:{value}{blank}")).collect()
                };
                let mut two = [format!("\"password\":{blank}{}", Value::from(password)), format!("\"username\":{}{blank}", Value::from(user))];
                if !password_first { two.reverse(); }
                let [first, second] = two;
                let fixed = r#""engine":"postgres","host":"h""#.to_owned();
                let parts = [list(&before), vec![first], list(&between), vec![second, fixed], list(&after)].concat();
                format!("{blank}{{{}}}{blank}", parts.join(","))
            };
            let secret = parse(&with(&user, &old)).unwrap();
            let changed = secret.with_login(&next, new.clone().into());
            prop_assert_eq!(changed.text().expose_secret(), with(&next, &new));
        }
    }

    /// The name of a field that is none of ours.
    fn key() -> impl Strategy<Value = String> {
        "[a-z]{0,6}".prop_map(|name| format!("\"x-{name}\""))
    }

    fn anything() -> impl Strategy<Value = String> {
        prop_oneof![
            r#"-?[1-9][0-9]{0,40}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,5})?"#,
            any::<String>().prop_map(|text| Value::from(text).to_string()),
            Just(r#""\u00e9\/\ud800""#.to_owned()),
            Just(r#"{ "password" : "x", "username":[ 1.0 , null ] }"#.to_owned()),
            Just("-0".to_owned()),
        ]
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
            GOOD.replace("db.example.com", "MARKED.example.com:5432"),
            GOOD.replace("db.example.com", "postgres://MARKED:MARKED@db.example.com/app"),
            GOOD.replace("\"zz\"", "\"host\":\"MARKED\",\"zz\""),
            GOOD.replace("5433", "1e400"),
            GOOD.replace("\"app_user\"", r#""MARKED\ud800""#),
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
