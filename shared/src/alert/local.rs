//! Who is told, and what is particular to the place where they are.

use super::{Alert, Condition};
use crate::language::Language;
use jiff::{Timestamp, Zoned, tz::TimeZone};
use std::fmt::Write;

/// Who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// Their language (`RELATCH_LANGUAGE`).
    pub language: Language,
    /// Their clock (`RELATCH_TIME_ZONE`).
    pub time_zone: TimeZone,
    /// Where their runbooks are: a URL, which `/<condition>.md` is added to (`RELATCH_RUNBOOKS`). `None`: in the
    /// repository.
    pub runbooks: Option<String>,
    /// Where Relatch runs (`AWS_REGION`).
    pub region: Option<String>,
}

impl Default for Audience {
    fn default() -> Self {
        Self { language: Language::default(), time_zone: TimeZone::UTC, runbooks: None, region: None }
    }
}

impl Audience {
    /// What is particular to their place, at a moment.
    pub fn local(&self, now: Timestamp) -> Local {
        let Self { language: _, time_zone, runbooks, region } = self;
        Local { time: now.to_zoned(time_zone.clone()), runbooks: runbooks.clone(), region: region.clone() }
    }
}

/// What is particular to a place and a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// When people are told, by their clock.
    pub time: Zoned,
    /// As in [`Audience`].
    pub runbooks: Option<String>,
    /// As in [`Audience`].
    pub region: Option<String>,
}

impl Local {
    /// The time as people write it.
    pub fn time(&self) -> String {
        self.time.strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// The runbook's URL; `None` if nobody has said where it is.
    pub fn runbook(&self, alert: &Alert) -> Option<String> {
        let path = alert.runbook();
        let (_, file) = path.rsplit_once('/').unwrap_or(("", &path));
        self.runbooks.as_ref().map(|base| format!("{}/{file}", base.trim_end_matches('/')))
    }

    /// Where the runbook is, as well as that is known: its URL, or its path in the repository.
    pub fn runbook_or_path(&self, alert: &Alert) -> String {
        self.runbook(alert).unwrap_or_else(|| alert.runbook())
    }

    /// The subject's page in the AWS console, if it has one, and it is one subject.
    pub fn console(&self, alert: &Alert) -> Option<String> {
        let [_] = alert.all_subjects() else { return None };
        if let ["arn", partition, "secretsmanager", region, ..] = *alert.subject.split(':').collect::<Vec<_>>() {
            let (name, host) = (escaped(alert.secret()?), console_of(partition));
            return Some(format!("https://{region}.{host}/secretsmanager/secret?name={name}&region={region}"));
        }
        let region = self.region.as_deref().filter(|_| alert.condition == Condition::AlarmFiring)?;
        let (name, host) = (escaped(&alert.subject), console_of(partition_of(region)));
        Some(format!("https://{region}.{host}/cloudwatch/home?region={region}#alarmsV2:alarm/{name}"))
    }
}

fn console_of(partition: &str) -> &'static str {
    match partition {
        "aws-cn" => "console.amazonaws.cn",
        "aws-us-gov" => "console.amazonaws-us-gov.com",
        _ => "console.aws.amazon.com",
    }
}

fn partition_of(region: &str) -> &'static str {
    match region.split('-').collect::<Vec<_>>()[..] {
        ["cn", ..] => "aws-cn",
        ["us", "gov", ..] => "aws-us-gov",
        _ => "aws",
    }
}

/// Percent-encoded, but for what RFC 3986 calls unreserved.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        let _ = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
                Ok(())
            }
            _ => write!(escaped, "%{byte:02X}"),
        };
        escaped
    })
}
