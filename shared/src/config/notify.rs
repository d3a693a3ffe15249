//! The settings of the notifier.

use super::{Config, ConfigError, channels};
use crate::{adapters::webhooks::Addresses, alert::deliver::Routes};
use relatch_events::secret::SecretId;

/// What only the notifier is told, beside [`Config`].
#[derive(Debug, Clone)]
pub struct Notify {
    /// What every function is told.
    pub common: Config,
    /// The secret that holds the keys to the channels (`RELATCH_CHANNELS_SECRET`), without which nobody is notified.
    pub secret: SecretId,
    /// Which alert goes where (`RELATCH_ROUTES`).
    pub routes: Routes,
    /// Where the services are (`RELATCH_SLACK_API`, `RELATCH_PAGERDUTY_URL`): for PagerDuty's European region, for
    /// proxies and for tests.
    pub addresses: Addresses,
}

impl Notify {
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
    /// As [`Notify::from_env`].
    pub fn from_settings(setting: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let common = Config::from_settings(&setting);
        let setting = |name: &str| setting(name).filter(|text| !text.is_empty());
        let secret = channels(setting);
        let routes = setting("RELATCH_ROUTES").map_or(Ok(Routes::default()), |text| Routes::parse(&text));
        let usual = Addresses::default();
        let addresses = Addresses {
            slack_api: setting("RELATCH_SLACK_API").unwrap_or(usual.slack_api),
            pagerduty: setting("RELATCH_PAGERDUTY_URL").unwrap_or(usual.pagerduty),
        };
        let of_addresses: Vec<String> =
            [("RELATCH_SLACK_API", &addresses.slack_api), ("RELATCH_PAGERDUTY_URL", &addresses.pagerduty)]
                .into_iter()
                .filter_map(|(name, address)| Some(format!("{name} {}", Addresses::problem(address)?)))
                .collect();
        match (common, secret, routes) {
            (Ok(common), Some(secret), Ok(routes)) if of_addresses.is_empty() => {
                Ok(Self { common, secret, routes, addresses })
            }
            (common, secret, routes) => {
                let mut problems = ConfigError::problems(common);
                problems.extend(of_addresses);
                if secret.is_none() {
                    problems.push("RELATCH_CHANNELS_SECRET must name the secret with the channels' keys".to_owned());
                }
                problems.extend(routes.err().map(|problem| format!("RELATCH_ROUTES is not usable: {problem}")));
                Err(ConfigError(problems))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_secret_alone_is_enough() {
        let notify = Notify::from_settings(|name| (name == "RELATCH_CHANNELS_SECRET").then(|| "channels".to_owned()));
        let notify = notify.unwrap();
        assert_eq!((notify.routes, notify.addresses), (Routes::default(), Addresses::default()));
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = |name: &str| match name {
            "RELATCH_ROUTES" | "RELATCH_TIMEOUT_MS" => Some("[]".to_owned()),
            "RELATCH_PAGERDUTY_URL" => Some("http://events.example.com".to_owned()),
            _ => None,
        };
        insta::assert_snapshot!(Notify::from_settings(wrong).unwrap_err(), @r"
        the environment is not usable:
          RELATCH_TIMEOUT_MS must be a number from 100 to 60000, not `[]`
          RELATCH_PAGERDUTY_URL must be a URL that begins with `https://`, not `http://events.example.com`
          RELATCH_CHANNELS_SECRET must name the secret with the channels' keys
          RELATCH_ROUTES is not usable: there is none
        ");
    }
}
