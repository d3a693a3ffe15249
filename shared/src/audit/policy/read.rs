//! From JSON to a policy; all that is wrong is told at once.

use super::{
    Burst, DAY, Decoys, Environments, MINUTE, NamePattern, Own, Pattern, Policy, Thresholds, Trusted, WorkingHours,
    time,
};
use crate::audit::finding::Kind;
use jiff::{civil::Time, tz::TimeZone};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt};

/// All that is wrong with a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPolicy(pub Vec<Problem>);

/// Something that is wrong with a policy, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The place: `thresholds.read-burst.count`. Empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for BadPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the policy cannot be used:")?;
        self.0.iter().try_for_each(|problem| match problem.path.as_str() {
            "" => write!(f, " {};", problem.what),
            path => write!(f, " {path}: {};", problem.what),
        })
    }
}

impl std::error::Error for BadPolicy {}

pub(super) fn policy(text: &str) -> Result<Policy, BadPolicy> {
    let wrong = |what: String| BadPolicy(vec![Problem { path: String::new(), what }]);
    let value: Value = serde_json::from_str(text).map_err(|error| wrong(format!("is no JSON: {error}")))?;
    let Value::Object(fields) = value else { return Err(wrong("is no JSON object".to_owned())) };
    let mut problems = Vec::new();
    let mut whole = Fields { path: String::new(), fields, problems: &mut problems };
    let default = Policy::default();
    let policy = Policy {
        environments: whole.within("environments", environments).unwrap_or(default.environments),
        working_hours: whole.within("working-hours", working_hours).flatten(),
        decoys: whole.within("decoys", decoys).unwrap_or_default(),
        trusted: whole.within("trusted", trusted).unwrap_or_default(),
        own: whole.within("own", own).unwrap_or_default(),
        thresholds: whole.within("thresholds", thresholds).unwrap_or_default(),
        learning: whole.count("learning-days").map_or(default.learning, |days| days * DAY),
        shadowed: whole
            .each("shadowed", |name| Kind::by_name(name).ok_or("is no finding"))
            .into_iter()
            .flatten()
            .collect(),
    };
    whole.end();
    if problems.is_empty() { Ok(policy) } else { Err(BadPolicy(problems)) }
}

fn environments(fields: &mut Fields<'_>) -> Environments {
    let default = Environments::default();
    let names: Vec<String> = fields.get("names").unwrap_or(default.names);
    let is_known = |name: &str| names.iter().any(|known| known == name);
    let known = |name: &str| if is_known(name) { Ok(name.to_owned()) } else { Err("is not among environments.names") };
    let patterns = |name: &str| NamePattern::parse(name).map_err(|error| error.to_string());
    // What is left at its default must not name an environment that there is not.
    let kept = |default: Vec<String>| default.into_iter().filter(|name| is_known(name)).collect();
    let production = fields.each("production", known).unwrap_or_else(|| kept(default.production));
    let without_people = fields.each("without-people", known).unwrap_or_else(|| kept(default.without_people));
    let secrets = fields.each("secrets", patterns).unwrap_or(default.secrets);
    let principals = fields.each("principals", patterns).unwrap_or(default.principals);
    let accounts: BTreeMap<String, String> = fields.get("accounts").unwrap_or_default();
    for (account, environment) in &accounts {
        if !is_known(environment) {
            fields.problem(&format!("accounts.{account}"), "is not among environments.names");
        }
    }
    Environments { names, production, without_people, secrets, principals, accounts }
}

fn working_hours(fields: &mut Fields<'_>) -> Option<WorkingHours> {
    let zone = fields.needed("time-zone", |name| TimeZone::get(name).map_err(|_| "is no time zone of the tz database"));
    let days = fields.needed("days", |text| time::days(text).ok_or("is no list of days such as mon-fri or mon,wed"));
    let hour = |text: &str| Time::strptime("%H:%M", text).map_err(|_| "is no time such as 09:00");
    let (from, to) = (fields.needed("from", hour), fields.needed("to", hour));
    Some(WorkingHours { zone: zone?, days: days?, from: from?, to: to? })
}

fn decoys(fields: &mut Fields<'_>) -> Decoys {
    Decoys {
        names: fields.patterns("names").unwrap_or_default(),
        except: fields.patterns("except").unwrap_or_default(),
    }
}

fn trusted(fields: &mut Fields<'_>) -> Trusted {
    Trusted {
        principals: fields.patterns("principals").unwrap_or_default(),
        accounts: fields.get("accounts").unwrap_or_default(),
        organisations: fields.get("organisations").unwrap_or_default(),
        networks: fields.get("networks").unwrap_or_default(),
        tools: fields.get("tools").unwrap_or_default(),
    }
}

fn own(fields: &mut Fields<'_>) -> Own {
    let default = Own::default();
    Own {
        functions: fields.patterns("functions").unwrap_or(default.functions),
        trails: fields.patterns("trails").unwrap_or(default.trails),
        rules: fields.patterns("rules").unwrap_or(default.rules),
        topics: fields.patterns("topics").unwrap_or(default.topics),
        queues: fields.patterns("queues").unwrap_or(default.queues),
        alarms: fields.patterns("alarms").unwrap_or(default.alarms),
        parameters: fields.patterns("parameters").unwrap_or(default.parameters),
        resources: fields.patterns("resources").unwrap_or(default.resources),
        deployers: fields.patterns("deployers").unwrap_or(default.deployers),
    }
}

fn thresholds(fields: &mut Fields<'_>) -> Thresholds {
    let default = Thresholds::default();
    let mut burst = |name: &str, default: Burst| {
        let of = |fields: &mut Fields<'_>| Burst {
            count: fields.count("count").and_then(|count| count.try_into().ok()).unwrap_or(default.count),
            within: fields.count("minutes").map_or(default.within, |minutes| minutes * MINUTE),
        };
        fields.within(name, of).unwrap_or(default)
    };
    Thresholds {
        read_burst: burst("read-burst", default.read_burst),
        read_breadth: burst("read-breadth", default.read_breadth),
        shared_network: burst("shared-network", default.shared_network),
        filter_burst: burst("filter-burst", default.filter_burst),
        denied_burst: burst("denied-burst", default.denied_burst),
        multi_region_read: burst("multi-region-read", default.multi_region_read),
        parameter_decrypt_burst: burst("parameter-decrypt-burst", default.parameter_decrypt_burst),
        mass_deletion: burst("mass-deletion", default.mass_deletion),
        console_login_failures: burst("console-login-failures", default.console_login_failures),
        unauthorized_burst: burst("unauthorized-burst", default.unauthorized_burst),
        stale_after: fields.count("stale-after-minutes").map_or(default.stale_after, |minutes| minutes * MINUTE),
        unseen_after: fields.count("unseen-after-minutes").map_or(default.unseen_after, |minutes| minutes * MINUTE),
        incident_gap: fields.count("incident-gap-minutes").map_or(default.incident_gap, |minutes| minutes * MINUTE),
    }
}

/// The fields of an object that are not yet read, and where it is.
struct Fields<'a> {
    path: String,
    fields: Map<String, Value>,
    problems: &'a mut Vec<Problem>,
}

impl Fields<'_> {
    fn problem(&mut self, name: &str, what: &str) {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        self.problems.push(Problem { path, what: what.to_owned() });
    }

    fn get<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.fields.remove(name)?;
        serde_json::from_value(value).map_err(|error| self.problem(name, &error.to_string())).ok()
    }

    /// A number from 1 to a million: more would be no limit.
    fn count(&mut self, name: &str) -> Option<i64> {
        let count = self.get(name)?;
        if (1..=1_000_000).contains(&count) {
            return Some(count);
        }
        self.problem(name, "is not between 1 and 1000000");
        None
    }

    fn needed<T>(&mut self, name: &str, read: impl Fn(&str) -> Result<T, &'static str>) -> Option<T> {
        if !self.fields.contains_key(name) {
            self.problem(name, "is missing");
        }
        let text: String = self.get(name)?;
        read(&text).map_err(|what| self.problem(name, what)).ok()
    }

    fn each<T, E: ToString>(&mut self, name: &str, read: impl Fn(&str) -> Result<T, E>) -> Option<Vec<T>> {
        let texts: Vec<String> = self.get(name)?;
        let mut all = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            match read(text) {
                Ok(value) => all.push(value),
                Err(what) => self.problem(&format!("{name}[{index}]"), &format!("`{text}` {}", what.to_string())),
            }
        }
        Some(all)
    }

    fn patterns(&mut self, name: &str) -> Option<Vec<Pattern>> {
        self.each(name, |text| if text.is_empty() { Err("is empty") } else { Ok(Pattern::new(text)) })
    }

    fn within<T>(&mut self, name: &str, read: impl FnOnce(&mut Fields<'_>) -> T) -> Option<T> {
        let fields: Map<String, Value> = self.get(name)?;
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        let mut inner = Fields { path, fields, problems: self.problems };
        let value = read(&mut inner);
        inner.end();
        Some(value)
    }

    /// What nobody has asked for is a mistake.
    fn end(&mut self) {
        for (name, _) in std::mem::take(&mut self.fields) {
            self.problem(&name, "is no field of a policy");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_empty_policy_has_the_documented_defaults() {
        let policy = Policy::from_json("{}").unwrap();
        let thresholds = policy.thresholds;
        assert_eq!(thresholds.read_burst, Burst { count: 20, within: 6 * MINUTE });
        assert_eq!(policy.learning, 14 * DAY);
        assert!(policy.working_hours.is_none() && policy.shadowed.is_empty());
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_its_place() {
        let error = Policy::from_json(
            r#"{
                "environments": { "names": ["dev"], "production": ["prod"], "secrets": ["{name}"],
                                  "accounts": { "111122223333": "qa" } },
                "working-hours": { "time-zone": "Tokyo", "days": "workdays", "from": "9" },
                "thresholds": { "read-burst": { "count": 0, "minuts": 6 }, "mass-deletion": 3 },
                "learning-days": "14",
                "trusted": { "principals": ["terraform", ""] },
                "shadowed": ["off-hours"],
                "decoy": {}
            }"#,
        )
        .unwrap_err();
        let lines: Vec<String> = error.0.iter().map(|problem| format!("{}: {}", problem.path, problem.what)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        environments.production[0]: `prod` is not among environments.names
        environments.secrets[0]: `{name}` has no {env}, or more than one
        environments.accounts.111122223333: is not among environments.names
        working-hours.time-zone: is no time zone of the tz database
        working-hours.days: is no list of days such as mon-fri or mon,wed
        working-hours.from: is no time such as 09:00
        working-hours.to: is missing
        trusted.principals[1]: `` is empty
        thresholds.read-burst.count: is not between 1 and 1000000
        thresholds.read-burst.minuts: is no field of a policy
        thresholds.mass-deletion: invalid type: integer `3`, expected a map
        learning-days: invalid type: string "14", expected i64
        shadowed[0]: `off-hours` is no finding
        decoy: is no field of a policy
        "#);
    }

    #[test]
    fn what_is_no_object_is_no_policy() {
        assert!(Policy::from_json("[]").is_err());
        assert!(Policy::from_json("").is_err());
    }
}
