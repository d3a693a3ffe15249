//! Which alert goes where. Pure.

use crate::{
    alert::{Alert, Severity, Status},
    config::Environment,
};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Where people are told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Slack: the channel of the webhook or of the secret, or one that the route names.
    Slack(Option<String>),
    /// PagerDuty.
    PagerDuty,
}

/// Which alert goes where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routes {
    routes: Vec<Route>,
    /// Whether somebody has asked for these. A channel that somebody asked for and that has no key is a mistake; one of
    /// the usual routes is only not in use.
    pub asked_for: bool,
}

/// Alerts of these environments go there, if they are at least so urgent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    to: Kind,
    channel: Option<String>,
    #[serde(default)]
    severity: Floor,
    environments: Option<Vec<Place>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Slack,
    PagerDuty,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Floor {
    #[default]
    Info,
    Warning,
    Error,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Dev,
    Staging,
    Prod,
}

/// Whether an alert goes to a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Admission {
    /// It does not.
    No,
    /// It says that something has ended, which is news only to those who heard that it had begun.
    IfToldBefore,
    /// It does.
    Yes,
}

/// Why routes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRoutes(String);

impl Default for Routes {
    /// Everything to Slack; to PagerDuty what is to be looked at today or now.
    fn default() -> Self {
        let to = |to, severity| Route { to, channel: None, severity, environments: None };
        Self { routes: vec![to(Kind::Slack, Floor::Info), to(Kind::PagerDuty, Floor::Error)], asked_for: false }
    }
}

impl Routes {
    /// Reads `[{"to":"slack"},{"to":"slack","channel":"C0123","severity":"critical","environments":["prod"]},
    /// {"to":"pagerduty","severity":"error"}]`. Without a severity all alerts are meant, without environments all of them.
    ///
    /// # Errors
    /// When it is not that, or leads nowhere.
    pub fn parse(text: &str) -> Result<Self, BadRoutes> {
        let routes: Vec<Route> = serde_json::from_str(text).map_err(|problem| BadRoutes(problem.to_string()))?;
        if routes.is_empty() {
            return Err(BadRoutes("there is none".to_owned()));
        }
        if routes.iter().any(|route| route.to == Kind::PagerDuty && route.channel.is_some()) {
            return Err(BadRoutes("only Slack has channels".to_owned()));
        }
        Ok(Self { routes, asked_for: true })
    }

    /// Every channel that something may go to.
    pub fn channels(&self) -> BTreeSet<Channel> {
        self.routes.iter().map(Route::leads_to).collect()
    }

    /// Whether an alert goes to a channel.
    ///
    /// What has ended goes to PagerDuty in any case, which drops what it does not know: an incident that stays open is
    /// worse.
    pub fn admit(&self, channel: &Channel, alert: &Alert) -> Admission {
        let routes = self.routes.iter().filter(|route| route.leads_to() == *channel && route.covers(alert.environment));
        let admission = |route: &Route| match (alert.status, channel) {
            (Status::Firing, _) if alert.severity() >= route.severity.into() => Admission::Yes,
            (Status::Firing, _) => Admission::No,
            (Status::Resolved, Channel::PagerDuty) => Admission::Yes,
            (Status::Resolved, Channel::Slack(_)) if route.severity == Floor::Info => Admission::Yes,
            (Status::Resolved, Channel::Slack(_)) => Admission::IfToldBefore,
        };
        routes.map(admission).max().unwrap_or(Admission::No)
    }
}

impl Route {
    fn leads_to(&self) -> Channel {
        match self.to {
            Kind::Slack => Channel::Slack(self.channel.clone()),
            Kind::PagerDuty => Channel::PagerDuty,
        }
    }

    fn covers(&self, environment: Environment) -> bool {
        self.environments
            .as_ref()
            .is_none_or(|places| places.iter().any(|place| Environment::from(*place) == environment))
    }
}

impl Channel {
    /// The service's name.
    pub const fn service(&self) -> &'static str {
        match self {
            Channel::Slack(_) => "slack",
            Channel::PagerDuty => "pagerduty",
        }
    }

    /// The channel's name, by which it is remembered what it was told.
    pub fn name(&self) -> String {
        match self {
            Channel::Slack(Some(channel)) => format!("slack:{channel}"),
            Channel::Slack(None) | Channel::PagerDuty => self.service().to_owned(),
        }
    }
}

impl From<Floor> for Severity {
    fn from(floor: Floor) -> Self {
        match floor {
            Floor::Info => Severity::Info,
            Floor::Warning => Severity::Warning,
            Floor::Error => Severity::Error,
            Floor::Critical => Severity::Critical,
        }
    }
}

impl From<Place> for Environment {
    fn from(place: Place) -> Self {
        match place {
            Place::Dev => Environment::Dev,
            Place::Staging => Environment::Staging,
            Place::Prod => Environment::Prod,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{alert::Condition, rollback::Impact};

    const SLACK: Channel = Channel::Slack(None);

    #[test]
    fn usually_slack_hears_all_and_pagerduty_what_is_urgent() {
        let routes = Routes::default();
        for (impact, to_pagerduty) in [
            (None, Admission::No),
            (Some(Impact::Safe), Admission::No),
            (Some(Impact::Degraded), Admission::Yes),
            (Some(Impact::LockedOut), Admission::Yes),
        ] {
            let alert = alert(impact, Environment::Dev);
            assert_eq!(routes.admit(&SLACK, &alert), Admission::Yes);
            assert_eq!(routes.admit(&Channel::PagerDuty, &alert), to_pagerduty, "{impact:?}");
        }
        let resolved = Alert { status: Status::Resolved, ..alert(Some(Impact::Safe), Environment::Dev) };
        assert_eq!(routes.admit(&SLACK, &resolved), Admission::Yes);
        assert_eq!(routes.admit(&Channel::PagerDuty, &resolved), Admission::Yes);
    }

    #[test]
    fn a_route_is_of_environments_and_of_a_severity() {
        let routes = Routes::parse(
            r##"[{"to":"slack","environments":["dev","staging"]},
                {"to":"slack","channel":"C1","severity":"critical","environments":["prod"]},
                {"to":"slack","channel":"C1","severity":"error","environments":["staging"]}]"##,
        )
        .unwrap();
        let named = Channel::Slack(Some("C1".to_owned()));
        assert_eq!(routes.channels(), BTreeSet::from([SLACK, named.clone()]));
        let admit = |channel, impact, environment| routes.admit(channel, &alert(Some(impact), environment));
        assert_eq!(admit(&SLACK, Impact::LockedOut, Environment::Prod), Admission::No);
        assert_eq!(admit(&named, Impact::LockedOut, Environment::Prod), Admission::Yes);
        assert_eq!(admit(&named, Impact::Degraded, Environment::Prod), Admission::No);
        assert_eq!(admit(&named, Impact::Degraded, Environment::Staging), Admission::Yes);
        assert_eq!(admit(&named, Impact::LockedOut, Environment::Dev), Admission::No);
        assert_eq!(routes.admit(&Channel::PagerDuty, &alert(None, Environment::Prod)), Admission::No);
        let resolved = Alert { status: Status::Resolved, ..alert(Some(Impact::Safe), Environment::Prod) };
        assert_eq!(routes.admit(&named, &resolved), Admission::IfToldBefore);
    }

    #[test]
    fn what_is_no_route_is_told() {
        for text in [
            "",
            "[]",
            "{}",
            r#"[{"to":"teams"}]"#,
            r#"[{"to":"slack","severity":"high"}]"#,
            r#"[{"to":"slack","environments":["production"]}]"#,
            r#"[{"to":"slack","channels":["C1"]}]"#,
            r#"[{"to":"pagerduty","channel":"C1"}]"#,
        ] {
            assert!(Routes::parse(text).is_err(), "{text}");
        }
    }

    fn alert(impact: Option<Impact>, environment: Environment) -> Alert {
        Alert {
            impact,
            ..Alert::firing(
                Condition::RotationFailed,
                "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf".to_owned(),
                environment,
            )
        }
    }
}
