//! Reading back what [`Alert::json`] wrote.

use super::{Alert, Condition, Lead, Status};
use crate::{
    audit::finding::{self, Kind},
    config::Environment,
    rollback::Impact,
};
use serde_json::Value;

/// Why something is not an alert, or not one of this version. Names the field, and holds nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAlert {
    /// It is not a version that is known here.
    #[error("`version` is not 1")]
    Version,
    /// A field is missing, or not of its type.
    #[error("`{0}` is missing, or not of its type")]
    Missing(&'static str),
    /// A field says something that is not known here: whoever wrote it may be newer.
    #[error("`{0}` says something that is not known here")]
    Unknown(&'static str),
}

impl Alert {
    /// Reads an alert back from its [JSON](Alert::json). What follows from the rest (key, severity, headline, runbook) is
    /// not read; fields that are not known here are passed over. Lists may be absent, and the impact: whoever tries out a
    /// channel by hand need not write them.
    ///
    /// # Errors
    /// Names the first field that cannot be read.
    pub fn read(json: &Value) -> Result<Self, BadAlert> {
        if json["version"] != 1 {
            return Err(BadAlert::Version);
        }
        Ok(Self {
            condition: named(json, "condition", Condition::ALL, Condition::name)?,
            status: named(json, "status", [Status::Firing, Status::Resolved], Status::name)?,
            subject: text(json, "subject")?.to_owned(),
            impact: if json["impact"].is_null() {
                None
            } else {
                Some(named(json, "impact", Impact::ALL, Impact::name)?)
            },
            lead: match (&json["finding"], &json["gravity"]) {
                (Value::Null, _) | (_, Value::Null) => None,
                (_, _) => Some(Lead {
                    kind: Kind::by_name(text(json, "finding")?).ok_or(BadAlert::Unknown("finding"))?,
                    severity: named(json, "gravity", finding::Severity::ALL, finding::Severity::name)?,
                }),
            },
            environment: named(json, "environment", Environment::ALL, Environment::name)?,
            found: lines(json, "found")?,
            gravities: lines(json, "gravities")?
                .iter()
                .map(|name| finding::Severity::ALL.into_iter().find(|severity| severity.name() == name.as_str()))
                .collect::<Option<_>>()
                .ok_or(BadAlert::Unknown("gravities"))?,
            sum: None,
            unsaid: json["unsaid"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect(),
            done: lines(json, "done")?,
            to_do: lines(json, "toDo")?,
            members: lines(json, "members")?,
            since: if json["since"].is_null() {
                None
            } else {
                Some(text(json, "since")?.parse().map_err(|_| BadAlert::Unknown("since"))?)
            },
        })
    }
}

fn text<'a>(json: &'a Value, field: &'static str) -> Result<&'a str, BadAlert> {
    json[field].as_str().ok_or(BadAlert::Missing(field))
}

fn named<T: Copy, const N: usize>(
    json: &Value,
    field: &'static str,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T, BadAlert> {
    let text = text(json, field)?;
    all.into_iter().find(|one| name(*one) == text).ok_or(BadAlert::Unknown(field))
}

fn lines(json: &Value, field: &'static str) -> Result<Vec<String>, BadAlert> {
    if json[field].is_null() {
        return Ok(Vec::new());
    }
    let lines = json[field].as_array().ok_or(BadAlert::Missing(field))?;
    lines.iter().map(|line| line.as_str().map(str::to_owned).ok_or(BadAlert::Missing(field))).collect()
}
