//! The environment, as typed settings. Every problem is reported at once, and none of them at three in the morning: a
//! function with wrong settings does not start.

mod audit;
#[cfg(feature = "webhooks")]
mod notify;
mod respond;

pub use audit::{Anchorage, Audit, PolicyFrom};
#[cfg(feature = "webhooks")]
pub use notify::Notify;
pub use respond::Respond;

use crate::{
    alert::{Audience, policy},
    language::Language,
    rollback,
    rotation::{
        Settings,
        plan::Promote,
        strategy::{Strategy, StrategyChoice},
    },
    secret::{AdminSecrets, PasswordPolicy},
    telemetry::Metrics,
};
use jiff::{SignedDuration, tz::TimeZone};
use relatch_events::secret::SecretId;
use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

/// A rotation that began longer ago than this is not under way any more: as long as the longest Lambda invocation.
const IN_FLIGHT: Duration = Duration::from_secs(15 * 60);

/// The longest base of a URL, in bytes: with a runbook's name it still is one of a button of Slack's, 3000 at most.
const LONGEST_URL: usize = 2000;

/// Everything that is set from outside. What each setting means is in the README's table.
#[derive(Debug, Clone)]
pub struct Config {
    /// How rotations are to be done.
    pub rotation: Settings,
    /// How repairs are to be done.
    pub repair: rollback::Settings,
    /// What is remembered, and who is told.
    pub people: People,
    /// In what words people are told.
    pub audience: Audience,
    /// Where metrics go.
    pub metrics: Metrics,
    /// How PostgreSQL is reached.
    pub database: DatabaseSettings,
    /// Whether RDS is asked about the server (`RELATCH_RDS`).
    pub rds: RdsLookup,
    /// `SECRETS_MANAGER_ENDPOINT`, which comes before the SDK's own `AWS_ENDPOINT_URL`.
    pub secrets_endpoint: Option<String>,
}

/// How PostgreSQL is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// The longest that one login or one statement may take (`RELATCH_TIMEOUT_MS`).
    pub patience: Duration,
    /// A file of certificate authorities in PEM, trusted beside those that are built in (`RELATCH_CA_FILE`).
    pub authorities: Option<PathBuf>,
    /// Whether a secret's `"ssl": false` is honoured (`RELATCH_ALLOW_PLAINTEXT`).
    pub allow_plaintext: bool,
    /// A query that shows that a credential can do its job (`RELATCH_TEST_QUERY`).
    pub test_query: Option<String>,
    /// Whether a SCRAM verifier is made also where the server makes md5 ones (`RELATCH_PASSWORD_ENCRYPTION`).
    pub always_scram: bool,
    /// The weakest way in which a server may ask for a password (`RELATCH_WEAKEST_LOGIN`).
    pub weakest_login: Authentication,
    /// Whether SCRAM must be bound to the TLS connection (`RELATCH_CHANNEL_BINDING`).
    pub bind_channel: bool,
}

/// A way in which a server asks for a password, from the one that gives it away to the one that does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authentication {
    /// The password itself.
    Password,
    /// A hash that serves as the password.
    Md5,
    /// SCRAM: both sides prove that they know the password, and neither says it.
    #[default]
    Scram,
}

/// What is remembered between invocations, and who is told.
#[derive(Debug, Clone)]
pub struct People {
    /// Name of the DynamoDB table (`RELATCH_TABLE`); without it nothing can be paused, and nothing is remembered.
    pub table: Option<String>,
    /// ARN of the SNS topic (`RELATCH_TOPIC_ARN`); without it alerts are only in the log.
    pub topic: Option<String>,
    /// How long people are kept waiting (`RELATCH_GROUP_WAIT_SECONDS`, `RELATCH_GROUP_INTERVAL_SECONDS`,
    /// `RELATCH_REPEAT_INTERVAL_SECONDS`).
    pub policy: policy::Settings,
    /// ARN of the function that rotates (`RELATCH_ROTATE_ARN`): the sweep looks at the secrets that name it, and without it
    /// at every secret that has a rotation function.
    pub rotate_function: Option<String>,
    /// The secret that holds the keys to the channels, and the URL of a dead-man's check outside of AWS
    /// (`RELATCH_CHANNELS_SECRET`): its ARN or its name.
    pub channels: Option<SecretId>,
}

/// Which environment this is. Only `dev` is "development".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Environment {
    Dev,
    Staging,
    #[default]
    Prod,
}

/// Whether RDS is asked about the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RdsLookup {
    /// Where the host is one of RDS's, or the secret names a cluster or an instance.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// Everything that is wrong with the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment is not usable:\n  {}", .0.join("\n  "))]
pub struct ConfigError(pub Vec<String>);

impl ConfigError {
    /// What is wrong with settings that were read, if anything is.
    fn problems<T>(read: Result<T, Self>) -> Vec<String> {
        read.err().map_or(Vec::new(), |Self(problems)| problems)
    }
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Names every setting that is wrong, and what it may be.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_settings(|name| std::env::var(name).ok())
    }

    /// Reads settings by name.
    ///
    /// # Errors
    /// As [`Config::from_env`].
    pub fn from_settings(setting: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let passwords = PasswordPolicy::from_settings(&setting);
        let setting = |name: &str| setting(name).filter(|text| !text.is_empty());
        let mut choice = Choice { setting: &setting, problems: &mut problems };
        let environment = choice.of(
            "RELATCH_ENVIRONMENT",
            &[("dev", Environment::Dev), ("staging", Environment::Staging), ("prod", Environment::Prod)],
        );
        let promote =
            choice.of("RELATCH_PROMOTE", &[("at-finish", Promote::AtFinish), ("after-verify", Promote::AfterVerify)]);
        let strategy = choice.of(
            "RELATCH_STRATEGY",
            &[
                ("auto", StrategyChoice::Auto),
                ("single-user", StrategyChoice::Always(Strategy::SingleUser)),
                ("alternating-users", StrategyChoice::Always(Strategy::AlternatingUsers)),
            ],
        );
        let rds = choice.of("RELATCH_RDS", &[("auto", RdsLookup::Auto), ("off", RdsLookup::Off)]);
        let allow_plaintext = choice.of("RELATCH_ALLOW_PLAINTEXT", &[("false", false), ("true", true)]);
        let always_scram = choice.of("RELATCH_PASSWORD_ENCRYPTION", &[("server", false), ("scram-sha-256", true)]);
        let weakest_login = choice.of(
            "RELATCH_WEAKEST_LOGIN",
            &[
                ("scram-sha-256", Authentication::Scram),
                ("md5", Authentication::Md5),
                ("password", Authentication::Password),
            ],
        );
        let bind_channel = choice.of("RELATCH_CHANNEL_BINDING", &[("prefer", false), ("require", true)]);
        let language = choice.of("RELATCH_LANGUAGE", &Language::ALL.map(|language| (language.name(), language)));
        let time_zone = match setting("RELATCH_TIME_ZONE").map(|name| (TimeZone::get(&name), name)) {
            None => TimeZone::UTC,
            Some((Ok(zone), _)) => zone,
            Some((Err(_), name)) => {
                problems.push(format!("RELATCH_TIME_ZONE must be a name like `Asia/Tokyo`, not `{name}`"));
                TimeZone::UTC
            }
        };
        let admins = AdminSecrets::read(&setting("RELATCH_ADMIN_SECRETS").unwrap_or_default()).unwrap_or_else(|wrong| {
            problems.push(format!(
                "RELATCH_ADMIN_SECRETS must be full ARNs of secrets (`arn:…:secret:NAME-AbCdEf`), with commas between them, not `{wrong}`"
            ));
            AdminSecrets::default()
        });
        let runbooks = setting("RELATCH_RUNBOOKS");
        if let Some(url) = runbooks.as_ref().filter(|url| !url.starts_with("https://") || url.len() > LONGEST_URL) {
            problems.push(format!("RELATCH_RUNBOOKS must be a URL that begins with `https://`, not `{url}`"));
        }
        let mut number = |name: &str, range: RangeInclusive<i64>, usual| {
            let Some(text) = setting(name) else { return usual };
            match text.parse() {
                Ok(number) if range.contains(&number) => number,
                Ok(_) | Err(_) => {
                    let (least, most) = range.into_inner();
                    problems.push(format!("{name} must be a number from {least} to {most}, not `{text}`"));
                    usual
                }
            }
        };
        let patience = Duration::from_millis(number("RELATCH_TIMEOUT_MS", 100..=60_000, 2000).unsigned_abs());
        let stuck = Duration::from_secs(60 * number("RELATCH_STUCK_MINUTES", 15..=10_080, 60).unsigned_abs());
        let usual = policy::Settings::default();
        let mut seconds =
            |name: &str, range, usual: SignedDuration| SignedDuration::from_secs(number(name, range, usual.as_secs()));
        let policy = policy::Settings {
            wait: seconds("RELATCH_GROUP_WAIT_SECONDS", 0..=3600, usual.wait),
            interval: seconds("RELATCH_GROUP_INTERVAL_SECONDS", 0..=86_400, usual.interval),
            repeat: seconds("RELATCH_REPEAT_INTERVAL_SECONDS", 60..=604_800, usual.repeat),
        };
        let passwords = passwords.map_err(|wrong| problems.extend(wrong.iter().map(ToString::to_string)));
        match passwords {
            Ok(passwords) if problems.is_empty() => Ok(Self {
                rotation: Settings {
                    promote: promote.unwrap_or_default(),
                    strategy: strategy.unwrap_or_default(),
                    admins: admins.clone(),
                    passwords,
                    patience,
                },
                repair: rollback::Settings {
                    strategy: strategy.unwrap_or_default(),
                    admins,
                    patience,
                    in_flight: IN_FLIGHT,
                    stuck,
                },
                people: People {
                    table: setting("RELATCH_TABLE"),
                    topic: setting("RELATCH_TOPIC_ARN"),
                    policy,
                    rotate_function: setting("RELATCH_ROTATE_ARN"),
                    channels: channels(setting),
                },
                audience: Audience {
                    language: language.unwrap_or_default(),
                    time_zone,
                    runbooks,
                    region: setting("AWS_REGION"),
                },
                metrics: Metrics {
                    namespace: setting("RELATCH_METRICS_NAMESPACE").unwrap_or_else(|| "Relatch".to_owned()),
                    environment: environment.unwrap_or_default(),
                },
                database: DatabaseSettings {
                    patience,
                    authorities: setting("RELATCH_CA_FILE").map(PathBuf::from),
                    allow_plaintext: allow_plaintext.unwrap_or_default(),
                    test_query: setting("RELATCH_TEST_QUERY"),
                    always_scram: always_scram.unwrap_or_default(),
                    weakest_login: weakest_login.unwrap_or_default(),
                    bind_channel: bind_channel.unwrap_or_default(),
                },
                rds: rds.unwrap_or_default(),
                secrets_endpoint: setting("SECRETS_MANAGER_ENDPOINT"),
            }),
            _ => Err(ConfigError(problems)),
        }
    }
}

impl Environment {
    /// Every environment.
    pub const ALL: [Self; 3] = [Self::Dev, Self::Staging, Self::Prod];

    /// The environment of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|environment| environment.name() == name)
    }

    /// The environment's name.
    pub const fn name(self) -> &'static str {
        match self {
            Environment::Dev => "dev",
            Environment::Staging => "staging",
            Environment::Prod => "prod",
        }
    }
}

fn channels(setting: impl Fn(&str) -> Option<String>) -> Option<SecretId> {
    setting("RELATCH_CHANNELS_SECRET").and_then(|name| SecretId::try_from(name).ok())
}

/// Settings that are one of a few words.
struct Choice<'a, F> {
    setting: &'a F,
    problems: &'a mut Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Choice<'_, F> {
    fn of<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        let text = (self.setting)(name)?;
        let found = words.iter().find_map(|(word, value)| (*word == text).then_some(*value));
        if found.is_none() {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            self.problems.push(format!("{name} must be {}, not `{text}`", words.join(" or ")));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_empty_environment_has_the_documented_defaults() {
        insta::assert_debug_snapshot!(Config::from_settings(|_| None).unwrap());
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let error = Config::from_settings(|name| (name != "RELATCH_CA_FILE").then(|| "perhaps".into())).unwrap_err();
        insta::assert_snapshot!(error);
    }

    #[test]
    fn an_empty_setting_is_as_good_as_none() {
        let empty = |name: &str| (name != "EXCLUDE_CHARACTERS").then(String::new);
        let shown = |config: Config| format!("{config:?}");
        assert_eq!(Config::from_settings(empty).map(shown), Config::from_settings(|_| None).map(shown));
    }
}
