//! The settings of `respond`: beside those of every function, what it may do about an incident.

use super::{Config, ConfigError};
use crate::containment::{Exempt, Measure, Settings};
use std::collections::BTreeSet;

/// What only `respond` is told, beside [`Config`].
#[derive(Debug, Clone)]
pub struct Respond {
    /// What every function is told.
    pub common: Config,
    /// What it may do about an incident (`RELATCH_RESPOND`, `RELATCH_NEVER_DENY`, `RELATCH_OWN_ROLES`).
    pub containment: Settings,
}

impl Respond {
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
    /// As [`Respond::from_env`].
    pub fn from_settings(setting: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        match (Config::from_settings(&setting), containment(&setting)) {
            (Ok(common), Ok(containment)) if !containment.measures.is_empty() && common.people.table.is_none() => {
                let problem = "RELATCH_TABLE must name the table, or RELATCH_RESPOND be empty: requests are kept there";
                Err(ConfigError(vec![problem.to_owned()]))
            }
            (Ok(common), Ok(containment)) => Ok(Self { common, containment }),
            (common, containment) => {
                let mut problems = ConfigError::problems(common);
                problems.extend(containment.err().into_iter().flatten());
                Err(ConfigError(problems))
            }
        }
    }
}

/// What may be done about an incident: `rotate`, `deny`, or both with a comma between them.
pub(super) fn measures(setting: impl Fn(&str) -> Option<String>) -> Result<BTreeSet<Measure>, String> {
    let text = setting("RELATCH_RESPOND").unwrap_or_default();
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let measure = |word| match word {
        "deny" => Ok(Measure::Deny),
        "rotate" => Ok(Measure::Rotate),
        _ => Err(format!("RELATCH_RESPOND must be `rotate`, `deny` or `rotate,deny`, not `{text}`")),
    };
    words.map(measure).collect()
}

/// Nothing is denied unless it is known whom never to: the functions' own roles, without which nothing rotates, and
/// somebody who can take a denial back when all else is denied.
fn containment(setting: impl Fn(&str) -> Option<String>) -> Result<Settings, Vec<String>> {
    let mut problems = Vec::new();
    let measures = measures(&setting).map_err(|problem| problems.push(problem)).unwrap_or_default();
    let mut exempt = |name: &str, what: &str| {
        let roles = Exempt::read(&setting(name).unwrap_or_default()).unwrap_or_else(|wrong| {
            problems.push(format!("{name} must be ARNs of roles or users, with commas between them, not `{wrong}`"));
            Exempt::default()
        });
        if roles.is_empty() && measures.contains(&Measure::Deny) {
            problems.push(format!("{name} must name {what}, or RELATCH_RESPOND may not contain `deny`"));
        }
        roles
    };
    let never = exempt("RELATCH_NEVER_DENY", "a role by which people get in when all else is denied");
    let own = exempt("RELATCH_OWN_ROLES", "the roles of Relatch's functions, those of `rotate` and `respond` at least");
    problems.dedup();
    if problems.is_empty() { Ok(Settings { measures, exempt: never.and(own) }) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TABLE: (&str, &str) = ("RELATCH_TABLE", "relatch");

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let setting = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Respond::from_settings(setting).map(|respond| respond.containment)
    }

    #[test]
    fn nothing_is_done_unless_it_is_asked_for() {
        assert_eq!(read(&[]).unwrap(), Settings::default());
        assert_eq!(read(&[("RELATCH_RESPOND", " ")]).unwrap(), Settings::default());
        assert_eq!(read(&[TABLE, ("RELATCH_RESPOND", "rotate")]).unwrap().measures, [Measure::Rotate].into());
        let without = read(&[("RELATCH_RESPOND", "rotate")]).unwrap_err();
        assert!(without.0[0].contains("RELATCH_TABLE must name"), "{without}");
    }

    #[test]
    fn denying_needs_a_way_back() {
        let roles = [
            ("RELATCH_NEVER_DENY", "arn:aws:iam::123456789012:role/break-glass"),
            ("RELATCH_OWN_ROLES", "arn:aws:iam::123456789012:role/rotate,arn:aws:iam::123456789012:role/respond"),
        ];
        let both = ("RELATCH_RESPOND", "rotate, deny");
        let settings = read(&[TABLE, both, roles[0], roles[1]]).unwrap();
        assert_eq!(settings.measures, [Measure::Deny, Measure::Rotate].into());
        for role in ["break-glass", "rotate", "respond"] {
            let role = crate::containment::Principal::of(&format!("arn:aws:iam::123456789012:role/{role}")).unwrap();
            assert!(settings.exempt.covers(&role));
        }
        insta::assert_snapshot!(read(&[both]).unwrap_err());
        assert!(read(&[both, roles[0]]).is_err() && read(&[both, roles[1]]).is_err());
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let wrong = [("RELATCH_RESPOND", "delete"), ("RELATCH_NEVER_DENY", "*"), ("RELATCH_TIMEOUT_MS", "0")];
        insta::assert_snapshot!(read(&wrong).unwrap_err());
    }
}
