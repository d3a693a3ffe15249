//! DynamoDB, through the AWS SDK: what is remembered of secrets between invocations.
//!
//! One table with the keys `pk` and `sk`, both strings, and `expires` (epoch seconds) as its time-to-live attribute.
//! Nothing depends on when DynamoDB removes an item that has expired, which is up to days later.
//!
//! | `pk` | `sk` | holds |
//! | --- | --- | --- |
//! | `secret#ARN`, `secret#*` for all | `controls` | `pausedBy`, `pausedReason`, `pausedAt`; `stopped`; `rolledBack`, `rolledBackAt`; `resumedAt` |
//! | `secret#ARN` | `failure#TOKEN` | how the rotation failed last; expires after 14 days |
//! | `secret#ARN` | `lease` | `holder`, `until` (epoch milliseconds) |
//! | `subject#SUBJECT` | `firing#CONDITION` | `severity`, `since`, `by` |
//! | `subject#SUBJECT` | `told#CHANNEL#CONDITION` | `message`, `publishedAt` (epoch milliseconds), `status`, `thread`; expires after 90 days |
//!
//! The SDK repeats a call whose answer was lost, so every write can be made twice.

mod told;

use super::aws::{call_error, nonce};
use crate::{
    ports::{CallError, CallErrorKind, Controls, Failure, Fired, Lock, Pause, Scope, Table},
    rotation::facts::Control,
};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{AttributeValue, KeysAndAttributes, ReturnValue},
};
use jiff::{SignedDuration, Timestamp};
use relatch_events::{rotation::Step, secret::VersionId};
use std::{collections::HashMap, sync::OnceLock, time::Duration};

const FAILURES_ARE_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);
const CONTROLS: &str = "controls";
const LEASE: &str = "lease";

/// A DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoTable {
    sdk: SdkConfig,
    /// Made when it is needed.
    client: OnceLock<Client>,
    name: String,
}

type Item = HashMap<String, AttributeValue>;

impl DynamoTable {
    /// The table of a name, or an ARN, by the SDK's settings.
    pub fn new(sdk: &SdkConfig, name: impl Into<String>) -> Self {
        Self { sdk: sdk.clone(), client: OnceLock::new(), name: name.into() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(&self.sdk))
    }

    fn update(&self, key: Item) -> UpdateItemFluentBuilder {
        self.client().update_item().table_name(&self.name).set_key(Some(key))
    }

    /// Counts an attempt that was rolled back, unless it is the one that was counted last.
    async fn count(&self, failure: &Failure) -> Result<(), CallError> {
        let answer = self
            .update(key(&secret(&failure.arn), CONTROLS))
            .update_expression("SET rolledBackAt = :at ADD rolledBack :one")
            .condition_expression("attribute_not_exists(rolledBackAt) OR rolledBackAt <> :at")
            .expression_attribute_values(":at", string(format!("{} {}", failure.token, failure.at)))
            .expression_attribute_values(":one", number(1))
            .send()
            .await;
        if_so("dynamodb:UpdateItem", answer).map(drop)
    }
}

impl Table for DynamoTable {
    async fn controls(&self, arn: &str) -> Result<Controls, CallError> {
        const CALL: &str = "dynamodb:BatchGetItem";
        let wanted = [secret(arn), secret("*")];
        let keys = wanted.iter().map(|pk| key(pk, CONTROLS)).collect();
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
        let keys = keys.map_err(|_| CallError {
            operation: CALL,
            kind: CallErrorKind::Refused,
            message: "the request could not be made".to_owned(),
        })?;
        let mut wanted_still = HashMap::from([(self.name.clone(), keys)]);
        let mut items = Vec::new();
        // What a throttled table leaves out must not pass for "nobody has paused it".
        for pause in [50, 200, 0] {
            let answer = self.client().batch_get_item().set_request_items(Some(wanted_still)).send().await;
            let answer = answer.map_err(|error| call_error(CALL, &error))?;
            items.extend(answer.responses.into_iter().flatten().flat_map(|(_, items)| items));
            wanted_still = answer.unprocessed_keys.unwrap_or_default();
            if wanted_still.is_empty() {
                let item = |pk: &str| items.iter().find(|item| text(item, "pk") == Some(pk));
                return Ok(controls(item(&wanted[0]), item(&wanted[1])));
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let message = "the table leaves keys unprocessed".to_owned();
        Err(CallError { operation: CALL, kind: CallErrorKind::Throttled, message })
    }

    async fn pause(&self, scope: Scope<'_>, pause: &Pause) -> Result<(), CallError> {
        let answer = self
            .update(key(&scope_key(scope), CONTROLS))
            .update_expression("SET pausedBy = :by, pausedReason = :reason, pausedAt = :at")
            .expression_attribute_values(":by", string(&pause.by))
            .expression_attribute_values(":reason", string(&pause.reason))
            .expression_attribute_values(":at", string(pause.at.to_string()))
            .send()
            .await;
        answer.map(drop).map_err(|error| call_error("dynamodb:UpdateItem", &error))
    }

    async fn resume(&self, scope: Scope<'_>) -> Result<bool, CallError> {
        let answer = self
            .update(key(&scope_key(scope), CONTROLS))
            .update_expression("SET resumedAt = :now REMOVE pausedBy, pausedReason, pausedAt, stopped, rolledBack")
            .condition_expression("attribute_exists(pausedBy) OR attribute_exists(stopped) OR rolledBack >= :most")
            .expression_attribute_values(":now", string(Timestamp::now().to_string()))
            .expression_attribute_values(":most", number(i64::from(Control::MOST_ROLLED_BACK)))
            .send()
            .await;
        Ok(if_so("dynamodb:UpdateItem", answer)?.is_some())
    }

    async fn stop(&self, arn: &str, why: &str) -> Result<(), CallError> {
        let answer = self
            .update(key(&secret(arn), CONTROLS))
            .update_expression("SET stopped = :why")
            .expression_attribute_values(":why", string(why))
            .send()
            .await;
        answer.map(drop).map_err(|error| call_error("dynamodb:UpdateItem", &error))
    }

    /// Puts the failure, and counts it if it was rolled back: two writes, since a transaction is refused when anything
    /// else touches the item. Each may be repeated; the count only says so of the failure that was counted last, so that
    /// an old failure told once more, after another, counts twice. That stops rotations early rather than late.
    async fn record_failure(&self, failure: &Failure) -> Result<(), CallError> {
        let put = self.client().put_item().table_name(&self.name).set_item(Some(write_failure(failure))).send();
        let put = async { put.await.map(drop).map_err(|error| call_error("dynamodb:PutItem", &error)) };
        let count = async { if failure.rolled_back { self.count(failure).await } else { Ok(()) } };
        // Both are tried, whatever becomes of the other.
        let (put, counted) = tokio::join!(put, count);
        put.and(counted)
    }

    async fn failure(&self, arn: &str, token: &VersionId) -> Result<Option<Failure>, CallError> {
        let key = key(&secret(arn), &failure_key(token));
        let answer =
            self.client().get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true).send().await;
        let answer = answer.map_err(|error| call_error("dynamodb:GetItem", &error))?;
        Ok(answer.item().and_then(read_failure))
    }

    async fn record_success(&self, arn: &str) -> Result<(), CallError> {
        let answer = self
            .update(key(&secret(arn), CONTROLS))
            .update_expression("REMOVE rolledBack")
            .condition_expression("attribute_exists(rolledBack)")
            .send()
            .await;
        if_so("dynamodb:UpdateItem", answer).map(drop)
    }

    /// The lease is over by this machine's clock: `term` must be longer than two clocks of AWS can differ.
    async fn lease(&self, arn: &str, owner: &str, term: Duration) -> Result<Lock, CallError> {
        let now = Timestamp::now();
        let until = now.saturating_add(term).map_or(i64::MAX, Timestamp::as_millisecond);
        let mut item = key(&secret(arn), LEASE);
        item.extend([
            ("holder".to_owned(), string(owner)),
            ("until".to_owned(), number(until)),
            ("expires".to_owned(), number(until / 1000 + 1)),
        ]);
        let answer = self
            .client()
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR #until <= :now OR holder = :holder")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .expression_attribute_values(":holder", string(owner))
            .send()
            .await;
        Ok(if if_so("dynamodb:PutItem", answer)?.is_some() { Lock::Held } else { Lock::Busy })
    }

    async fn release(&self, arn: &str, owner: &str) -> Result<(), CallError> {
        let answer = self
            .client()
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key(&secret(arn), LEASE)))
            .condition_expression("holder = :holder")
            .expression_attribute_values(":holder", string(owner))
            .send()
            .await;
        if_so("dynamodb:DeleteItem", answer).map(drop)
    }

    async fn fire(&self, subject: &str, condition: &str, severity: &str) -> Result<Fired, CallError> {
        // Each call has a mark of its own. Without it, a repetition of a call whose answer was lost would find the
        // condition known, and nobody would be told.
        let mark = nonce();
        let answer = self
            .update(key(&self::subject(subject), &firing_key(condition)))
            .update_expression("SET severity = :severity, since = if_not_exists(since, :now), #by = :by")
            .condition_expression("attribute_not_exists(severity) OR severity <> :severity OR #by = :by")
            .expression_attribute_names("#by", "by")
            .expression_attribute_values(":severity", string(severity))
            .expression_attribute_values(":now", string(Timestamp::now().to_string()))
            .expression_attribute_values(":by", string(&mark))
            .return_values(ReturnValue::AllOld)
            .send()
            .await;
        Ok(match if_so("dynamodb:UpdateItem", answer)? {
            None => Fired::Known,
            Some(answer) => match answer.attributes() {
                Some(before) if before.contains_key("severity") && text(before, "by") != Some(&mark) => Fired::Changed,
                _ => Fired::New,
            },
        })
    }

    async fn resolve(&self, subject: &str, condition: &str) -> Result<bool, CallError> {
        let answer = self
            .client()
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key(&self::subject(subject), &firing_key(condition))))
            .condition_expression("attribute_exists(pk)")
            .send()
            .await;
        Ok(if_so("dynamodb:DeleteItem", answer)?.is_some())
    }

    async fn firing(&self, subject: &str) -> Result<Vec<String>, CallError> {
        let mut pages = self
            .client()
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk AND begins_with(sk, :firing)")
            .expression_attribute_values(":pk", string(self::subject(subject)))
            .expression_attribute_values(":firing", string(firing_key("")))
            .consistent_read(true)
            .into_paginator()
            .send();
        let mut conditions = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| call_error("dynamodb:Query", &error))?;
            let names = page.items().iter().filter_map(|item| text(item, "sk")?.strip_prefix(&firing_key("")));
            conditions.extend(names.map(str::to_owned));
        }
        Ok(conditions)
    }
}

/// The answer, or `None` if the write's condition does not hold.
fn if_so<T, E, R>(operation: &'static str, answer: Result<T, SdkError<E, R>>) -> Result<Option<T>, CallError>
where
    SdkError<E, R>: ProvideErrorMetadata,
    E: ProvideErrorMetadata,
{
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(None),
        Err(error) => Err(call_error(operation, &error)),
    }
}

fn key(pk: &str, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), string(pk)), ("sk".to_owned(), string(sk))])
}

fn scope_key(scope: Scope<'_>) -> String {
    match scope {
        Scope::Secret(arn) => secret(arn),
        Scope::Everything => secret("*"),
    }
}

fn secret(arn: &str) -> String {
    format!("secret#{arn}")
}

fn subject(subject: &str) -> String {
    format!("subject#{subject}")
}

fn failure_key(token: &VersionId) -> String {
    format!("failure#{token}")
}

fn firing_key(condition: &str) -> String {
    format!("firing#{condition}")
}

fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn controls(of_secret: Option<&Item>, of_all: Option<&Item>) -> Controls {
    Controls {
        paused: of_secret.and_then(pause),
        everything_paused: of_all.and_then(pause),
        stopped: of_secret.and_then(|item| text(item, "stopped")).map(str::to_owned),
        rolled_back: of_secret.and_then(|item| item.get("rolledBack")?.as_n().ok()?.parse().ok()).unwrap_or_default(),
        resumed: of_secret.and_then(|item| text(item, "resumedAt")?.parse().ok()),
    }
}

/// A pause that somebody has entered by hand, incompletely, is still a pause.
fn pause(item: &Item) -> Option<Pause> {
    let at = text(item, "pausedAt").and_then(|at| at.parse().ok());
    Some(Pause {
        by: text(item, "pausedBy")?.to_owned(),
        reason: text(item, "pausedReason").unwrap_or_default().to_owned(),
        at: at.unwrap_or_default(),
    })
}

fn write_failure(failure: &Failure) -> Item {
    let expires = failure.at.saturating_add(FAILURES_ARE_KEPT).map_or(i64::MAX, Timestamp::as_second);
    let mut item = key(&secret(&failure.arn), &failure_key(&failure.token));
    item.extend(
        [
            ("step", string(failure.step.name())),
            ("reason", string(&failure.reason)),
            ("errorType", string(&failure.error_type)),
            ("rolledBack", AttributeValue::Bool(failure.rolled_back)),
            ("at", string(failure.at.to_string())),
            ("expires", number(expires)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    item.extend(failure.sqlstate.as_ref().map(|state| ("sqlstate".to_owned(), string(state))));
    item
}

/// `None` if it was written by a later Relatch, in other words: it is then as if there were none.
fn read_failure(item: &Item) -> Option<Failure> {
    let step = text(item, "step")?;
    Some(Failure {
        arn: text(item, "pk")?.strip_prefix(&secret(""))?.to_owned(),
        token: text(item, "sk")?.strip_prefix("failure#")?.try_into().ok()?,
        step: Step::ALL.into_iter().find(|known| known.name() == step)?,
        reason: text(item, "reason")?.to_owned(),
        error_type: text(item, "errorType")?.to_owned(),
        sqlstate: text(item, "sqlstate").map(str::to_owned),
        rolled_back: item.get("rolledBack")?.as_bool().ok().copied()?,
        at: text(item, "at")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_failure_is_read_as_it_was_written() {
        let failure = Failure {
            arn: "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app#1-AbCdEf".to_owned(),
            token: "5f2c#7".try_into().unwrap(),
            step: Step::Set,
            reason: "rolled-back".to_owned(),
            error_type: "Rotation.Refused".to_owned(),
            sqlstate: Some("42501".to_owned()),
            rolled_back: true,
            at: "2026-01-01T00:00:00.123456789Z".parse().unwrap(),
        };
        let item = write_failure(&failure);
        assert_eq!(item["expires"], number(1_768_435_200), "14 days later, in seconds");
        assert_eq!(read_failure(&item), Some(failure.clone()));
        for step in Step::ALL {
            let failure = Failure { step, sqlstate: None, rolled_back: false, ..failure.clone() };
            assert_eq!(read_failure(&write_failure(&failure)), Some(failure));
        }
    }

    #[test]
    fn a_failure_in_unknown_words_is_none() {
        let mut item = key("secret#arn", "failure#token");
        assert_eq!(read_failure(&item), None);
        item.insert("step".to_owned(), string("healSecret"));
        assert_eq!(read_failure(&item), None);
    }

    #[test]
    fn a_pause_that_is_entered_by_hand_holds() {
        let item = HashMap::from([("pausedBy".to_owned(), string("ops"))]);
        let found = controls(Some(&item), None);
        let expected = Pause { by: "ops".to_owned(), reason: String::new(), at: Timestamp::UNIX_EPOCH };
        assert_eq!(found, Controls { paused: Some(expected), ..Controls::default() });
        assert_eq!(controls(None, Some(&item)).everything_paused, found.paused);
    }

    #[test]
    fn what_is_not_there_is_not_asked_for() {
        assert_eq!(controls(None, None), Controls::default());
        let item = HashMap::from([("rolledBack".to_owned(), number(2)), ("stopped".to_owned(), string("why"))]);
        let stopped = Some("why".to_owned());
        assert_eq!(controls(Some(&item), None), Controls { stopped, rolled_back: 2, ..Controls::default() });
        assert_eq!(controls(None, Some(&item)), Controls::default(), "only a pause is of all");
    }
}
