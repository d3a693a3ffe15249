//! What `audit` has written down, and whether it is what was written: `relatch access`, `history` and `verify`.

pub(crate) mod access;
pub(crate) mod anchors;
pub(crate) mod history;
pub(crate) mod verify;

use crate::{Outside, Problem, arguments::Period};
use jiff::{Timestamp, tz::TimeZone};
use relatch::{
    audit::ledger::{Question, UNNAMED},
    ports::{CallErrorKind, Secrets as _},
};
use relatch_events::{
    cloudtrail::target::{Place, Target},
    moment::Moment,
    secret::SecretId,
};

/// So many are shown to a person who has not said how many.
const SHOWN: u32 = 50;

/// So many are asked for at once.
const PAGE: u16 = 500;

/// What the ledger calls a thing that a person calls so: by its name, its ARN or the beginning of that.
async fn subject(given: &SecretId, outside: &Outside) -> Result<String, Problem> {
    let text = given.as_str();
    if text == UNNAMED {
        return Ok(text.to_owned());
    }
    let unknown =
        || Problem::wrong_use(text, "there is nothing of that kind in the ledger", "name a secret, or another ARN");
    let is_arn = text.starts_with("arn:");
    if is_arn && !text.contains(":secretsmanager:") {
        return Target::from_arn(text, Place::default()).map(|target| target.to_string()).ok_or_else(unknown);
    }
    let arn = match outside.ports.secrets.describe(given).await {
        Ok(description) => description.arn.unwrap_or_else(|| text.to_owned()),
        // It may be gone, or hidden from whoever asks.
        Err(error) if is_arn && matches!(error.kind, CallErrorKind::NotFound | CallErrorKind::Denied) => {
            text.to_owned()
        }
        Err(error) if error.kind == CallErrorKind::NotFound => {
            let problem = Problem::of_call(text, &error);
            return Err(Problem { to_do: "check the name and --region; if it was deleted, name its ARN", ..problem });
        }
        Err(error) => return outside.told(text, Err(error)).await,
    };
    Target::secret(&arn, Place::default()).map(|target| target.to_string()).ok_or_else(unknown)
}

/// The first page of what is asked for, and how much is wanted of it all.
fn question<'a>(subject: &'a str, period: &Period, limit: u64, outside: &Outside) -> Question<'a> {
    let time = |at: Moment| Timestamp::from_millisecond(at.as_millis()).ok();
    Question {
        environment: period.environment.unwrap_or(outside.environment),
        subject,
        from: period.since.and_then(time),
        until: period.until.and_then(time),
        after: None,
        // One more tells whether there are more.
        limit: u16::try_from(limit.saturating_add(1)).unwrap_or(PAGE).min(PAGE),
    }
}

/// How times are told to a person.
#[derive(Debug, Clone)]
pub(crate) struct Clock(pub(crate) TimeZone);

impl Clock {
    pub(crate) fn zone(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    pub(crate) fn time(&self, at: Option<Moment>) -> String {
        let at = at.and_then(|at| Timestamp::from_millisecond(at.as_millis()).ok());
        at.map_or_else(
            || "not dated".to_owned(),
            |at| at.to_zoned(self.0.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        )
    }
}
