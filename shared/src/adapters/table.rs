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
//! | `alerts#ENVIRONMENT` | `entry#SUBJECT#CONDITION` | how it is (`alert`, as JSON; `since`, `seen`), what people know of it (`told`), `revision`; expires 90 days after it was last told |
//! | `alerts#ENVIRONMENT` | `group#NAME` | `toldAt`, `turns`, `claimedBy`, `claimedUntil` (epoch milliseconds); expires as well |
//! | `silences` | ID | `ofCondition`, `ofSubject`, `ofEnvironment`, `author`, `reason`, `endsAt`; expires a day after it ends |
//! | `alerts#ENVIRONMENT` | `told#CHANNEL#KEY` | `message`, `publishedAt` (epoch milliseconds), `status`, `thread`; expires after 90 days |
//! | `ledger#ENVIRONMENT#ARN`, `ledger#ENVIRONMENT#*` for what names none | `access#TIME#EVENT` | a line of the access log (`entry`, as JSON); expires |
//! | `ledger#ENVIRONMENT#ARN`, `ledger#ENVIRONMENT#*` | `change#TIME#EVENT` | where a change is in the chain: `sequence` |
//! | `chain#ENVIRONMENT` | `record#SEQUENCE`, 20 digits | a change: `entry` as JSON, `recordedAt` (epoch milliseconds), `previous` and `digest` in hexadecimal |
//! | `chain#ENVIRONMENT` | `head` | the chain's end: `sequence`, `digest` |
//! | `baseline#ENVIRONMENT#PART` | `part` | what is normal by habit of a principal or a secret: `text` (JSON), `revision`; expires after 400 days without a fact |
//! | `operation#ACCESS-KEY` | ARN, act | a change that Relatch was about to make: `since`, `until` (epoch milliseconds); expires after 14 days |
//! | `containment#ENVIRONMENT` | DIGEST | what the audit asks to be contained: `request` (JSON), `askedAt` (epoch milliseconds); expires after 2 days. Only the role of `audit` may write it |
//! | `contained#ENVIRONMENT` | `request#DIGEST` | that all of it is done: `finishedAt`; expires after 14 days |
//! | `contained#ENVIRONMENT` | `denial#ARN#DIGEST` | whom `respond` has denied the secret: `secret`, `principal`, `gap`, `deniedAt`, `releasedAt` (epoch milliseconds) |
//! | `event#ENVIRONMENT#EVENT` | `mark` | that a change is in the chain: `sequence`; who wrote it: `writer` |
//!
//! In the ledger a secret's ARN is without its last six characters, and TIME is as in `2026-01-31T12:34:56.000Z`.
//!
//! The SDK repeats a call whose answer was lost, so every write can be made twice.

mod baselines;
mod batch;
mod containments;
mod ledger;
mod operations;
mod told;

use super::{
    aws::{call_error, nonce},
    late::Late,
};
use crate::{
    alert::{
        Alert, Condition, Severity,
        policy::{self, Entry, Key},
    },
    audit::operation::Act,
    config::Environment,
    ports::{CallError, CallErrorKind, Claim, Controls, Failure, Lock, Pause, Register, Scope, Table, Telling},
    rotation::facts::Control,
};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{AttributeValue, KeysAndAttributes},
};
use jiff::{SignedDuration, Timestamp};
use relatch_events::{cloudtrail::target::Target, rotation::Step, secret::VersionId};
use std::{collections::HashMap, time::Duration};
use tokio::task::JoinSet;

const FAILURES_ARE_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Longer than the longest repeat interval and the longest silence: what is forgotten while it is firing is new again, and
/// if people knew of it, its end is not told.
const ALERTS_ARE_KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How many members of a group are noted at the same time.
const TOLD_ABREAST: usize = 25;
const SILENCES: &str = "silences";
const CONTROLS: &str = "controls";
const LEASE: &str = "lease";
/// A partition's key has 2048 bytes at most. No name of AWS's comes near, but whoever is denied may have given any.
const LONGEST_NAME: usize = 1_500;

/// A DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoTable {
    client: Late<Client>,
    name: String,
}

type Item = HashMap<String, AttributeValue>;

impl DynamoTable {
    /// The table of a name, or an ARN, by the SDK's settings.
    pub fn new(sdk: &SdkConfig, name: impl Into<String>) -> Self {
        Self { client: Late::new(sdk, Client::new), name: name.into() }
    }

    fn update(&self, key: Item) -> UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.name).set_key(Some(key))
    }

    /// All items of a key that begin so.
    async fn query(&self, pk: &str, beginning: &str) -> Result<Vec<Item>, CallError> {
        let query = self.client.query().table_name(&self.name).consistent_read(true);
        let query = query.expression_attribute_values(":pk", string(pk));
        let query = match beginning {
            "" => query.key_condition_expression("pk = :pk"),
            _ => query
                .key_condition_expression("pk = :pk AND begins_with(sk, :beginning)")
                .expression_attribute_values(":beginning", string(beginning)),
        };
        let mut pages = query.into_paginator().send();
        let mut items = Vec::new();
        while let Some(page) = pages.next().await {
            items.extend(page.map_err(|error| call_error("dynamodb:Query", &error))?.items.unwrap_or_default());
        }
        Ok(items)
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
        let keys = keys.map_err(|_| batch::unbuildable(CALL))?;
        let mut wanted_still = HashMap::from([(self.name.clone(), keys)]);
        let mut items = Vec::new();
        // What a throttled table leaves out must not pass for "nobody has paused it".
        for pause in [50, 200, 0] {
            let answer = self.client.batch_get_item().set_request_items(Some(wanted_still)).send().await;
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
        let put = self.client.put_item().table_name(&self.name).set_item(Some(write_failure(failure))).send();
        let put = async { put.await.map(drop).map_err(|error| call_error("dynamodb:PutItem", &error)) };
        let count = async { if failure.rolled_back { self.count(failure).await } else { Ok(()) } };
        // Both are tried, whatever becomes of the other.
        let (put, counted) = tokio::join!(put, count);
        put.and(counted)
    }

    async fn failure(&self, arn: &str, token: &VersionId) -> Result<Option<Failure>, CallError> {
        let key = key(&secret(arn), &failure_key(token));
        let answer =
            self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true).send().await;
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
            .client
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

    async fn record_operation(&self, target: &Target, act: &Act) -> Result<(), CallError> {
        self.put_operation(target, act).await
    }

    async fn release(&self, arn: &str, owner: &str) -> Result<(), CallError> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key(&secret(arn), LEASE)))
            .condition_expression("holder = :holder")
            .expression_attribute_values(":holder", string(owner))
            .send()
            .await;
        if_so("dynamodb:DeleteItem", answer).map(drop)
    }
}

impl Register for DynamoTable {
    async fn entries(&self, environment: Environment, subject: Option<&str>) -> Result<Vec<Entry>, CallError> {
        let items = self.query(&alerts(environment), &subject.map_or("entry#".to_owned(), entry_key_of)).await?;
        let entries = items.iter().filter_map(read_entry);
        // One subject's name may be the beginning of another's.
        Ok(entries.filter(|entry| subject.is_none_or(|subject| entry.alert.subject == subject)).collect())
    }

    async fn keep(&self, entry: &Entry) -> Result<bool, CallError> {
        let answer = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(write_entry(entry)))
            .condition_expression("attribute_not_exists(pk) OR revision = :seen")
            .expression_attribute_values(":seen", number(entry.revision.cast_signed()))
            .send()
            .await;
        Ok(if_so("dynamodb:PutItem", answer)?.is_some())
    }

    async fn telling(&self, key: &Key) -> Result<Telling, CallError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .set_key(Some(group_key(key)))
            .consistent_read(true)
            .send()
            .await;
        let answer = answer.map_err(|error| call_error("dynamodb:GetItem", &error))?;
        let told_at = answer.item().and_then(|item| text(item, "toldAt")?.parse().ok());
        Ok(Telling { told_at, turns: answer.item().and_then(|item| count(item, "turns")).unwrap_or_default() })
    }

    async fn claim(
        &self,
        key: &Key,
        seen: &Telling,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Claim>, CallError> {
        // Each call has a mark of its own: a repetition of a call whose answer was lost finds its own claim.
        let mark = nonce();
        let unclaimed = match seen.turns {
            0 => "attribute_not_exists(turns)",
            _ => "turns = :seen AND (attribute_not_exists(claimedUntil) OR claimedUntil <= :now)",
        };
        let mut call = self
            .update(group_key(key))
            .update_expression("SET turns = :next, claimedBy = :mark, claimedUntil = :until, expires = :expires")
            .condition_expression(format!("({unclaimed}) OR claimedBy = :mark"))
            .expression_attribute_values(":next", number((seen.turns + 1).cast_signed()))
            .expression_attribute_values(":mark", string(&mark))
            .expression_attribute_values(":until", number(until.as_millisecond()))
            .expression_attribute_values(":expires", number(expiry(until)));
        // DynamoDB refuses values that no expression names.
        if seen.turns > 0 {
            call = call
                .expression_attribute_values(":seen", number(seen.turns.cast_signed()))
                .expression_attribute_values(":now", number(now.as_millisecond()));
        }
        Ok(if_so("dynamodb:UpdateItem", call.send().await)?.map(|_| Claim(mark)))
    }

    async fn give_up(&self, key: &Key, claim: &Claim) -> Result<(), CallError> {
        let answer = self
            .update(group_key(key))
            .update_expression("REMOVE claimedBy, claimedUntil ADD turns :one")
            .condition_expression("claimedBy = :mark")
            .expression_attribute_values(":mark", string(&claim.0))
            .expression_attribute_values(":one", number(1))
            .send()
            .await;
        if_so("dynamodb:UpdateItem", answer).map(drop)
    }

    /// A write for each member, some at a time, and then one for the group.
    async fn told(
        &self,
        key: &Key,
        claim: &Claim,
        at: Timestamp,
        members: &[(String, Option<Severity>)],
    ) -> Result<(), CallError> {
        for members in members.chunks(TOLD_ABREAST) {
            let mut writes = JoinSet::new();
            for (subject, severity) in members {
                let call = self.update(entry_key(key.environment, subject, key.condition));
                let call = match severity {
                    Some(severity) => call
                        .update_expression("SET told = :told, expires = :expires ADD revision :one")
                        .expression_attribute_values(":told", string(severity.name())),
                    None => call.update_expression("SET expires = :expires REMOVE told ADD revision :one"),
                };
                let call = call
                    .condition_expression("attribute_exists(pk)")
                    .expression_attribute_values(":expires", number(expiry(at)))
                    .expression_attribute_values(":one", number(1));
                writes.spawn(async move { if_so("dynamodb:UpdateItem", call.send().await).map(drop) });
            }
            writes.join_all().await.into_iter().collect::<Result<(), CallError>>()?;
        }
        let answer = self
            .update(group_key(key))
            .update_expression("SET toldAt = :at REMOVE claimedBy, claimedUntil ADD turns :one")
            .condition_expression("claimedBy = :mark")
            .expression_attribute_values(":at", string(at.to_string()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":mark", string(&claim.0))
            .send()
            .await;
        if_so("dynamodb:UpdateItem", answer).map(drop)
    }

    async fn silences(&self) -> Result<Vec<policy::Silence>, CallError> {
        Ok(self.query(SILENCES, "").await?.iter().filter_map(read_silence).collect())
    }

    async fn silence(&self, silence: &policy::Silence) -> Result<(), CallError> {
        let item = Some(write_silence(silence));
        let answer = self.client.put_item().table_name(&self.name).set_item(item).send().await;
        answer.map(drop).map_err(|error| call_error("dynamodb:PutItem", &error))
    }

    async fn unsilence(&self, id: &str) -> Result<bool, CallError> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key(SILENCES, id)))
            .condition_expression("attribute_exists(pk)")
            .send()
            .await;
        Ok(if_so("dynamodb:DeleteItem", answer)?.is_some())
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

/// The key of what is kept of one thing of an environment.
fn partition(kind: &str, environment: Environment, name: &str) -> String {
    let name = &name[..name.floor_char_boundary(LONGEST_NAME)];
    format!("{kind}#{}#{name}", environment.name())
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

fn failure_key(token: &VersionId) -> String {
    format!("failure#{token}")
}

fn alerts(environment: Environment) -> String {
    format!("alerts#{}", environment.name())
}

fn entry_key(environment: Environment, subject: &str, condition: Condition) -> Item {
    key(&alerts(environment), &format!("{}{}", entry_key_of(subject), condition.name()))
}

/// The beginning of the keys of all that is known of a subject.
fn entry_key_of(subject: &str) -> String {
    format!("entry#{subject}#")
}

fn group_key(group: &Key) -> Item {
    key(&alerts(group.environment), &format!("group#{}", group.name()))
}

fn expiry(at: Timestamp) -> i64 {
    at.saturating_add(ALERTS_ARE_KEPT).map_or(i64::MAX, Timestamp::as_second)
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

fn count(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

fn write_entry(entry: &Entry) -> Item {
    let Entry { alert, since, seen, told, revision } = entry;
    let mut item = entry_key(alert.environment, &alert.subject, alert.condition);
    item.extend(
        [
            ("alert", string(alert.json().to_string())),
            ("since", string(since.to_string())),
            ("seen", string(seen.to_string())),
            ("revision", number((revision + 1).cast_signed())),
            ("expires", number(expiry(*seen))),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    item.extend(told.map(|severity| ("told".to_owned(), string(severity.name()))));
    item
}

fn read_entry(item: &Item) -> Option<Entry> {
    let told = text(item, "told");
    Some(Entry {
        alert: Alert::read(&serde_json::from_str(text(item, "alert")?).ok()?).ok()?,
        since: text(item, "since")?.parse().ok()?,
        seen: text(item, "seen")?.parse().ok()?,
        told: Severity::ALL.into_iter().find(|severity| Some(severity.name()) == told),
        revision: count(item, "revision")?,
    })
}

fn write_silence(silence: &policy::Silence) -> Item {
    let policy::Silence { id, condition, subject, environment, author, reason, until } = silence;
    let expires = until.saturating_add(SignedDuration::from_hours(24)).map_or(i64::MAX, Timestamp::as_second);
    let mut item = key(SILENCES, id);
    let named = [
        ("ofCondition", condition.map(|condition| string(condition.name()))),
        ("ofSubject", subject.as_ref().map(string)),
        ("ofEnvironment", environment.map(|environment| string(environment.name()))),
        ("author", Some(string(author))),
        ("reason", Some(string(reason))),
        ("endsAt", Some(string(until.to_string()))),
        ("expires", Some(number(expires))),
    ];
    item.extend(named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    item
}

/// A silence; `None` where it is not understood: then people had better be told.
fn read_silence(item: &Item) -> Option<policy::Silence> {
    let condition = text(item, "ofCondition").map(Condition::by_name);
    let environment = text(item, "ofEnvironment").map(Environment::by_name);
    if condition == Some(None) || environment == Some(None) {
        return None;
    }
    Some(policy::Silence {
        id: text(item, "sk")?.to_owned(),
        condition: condition.flatten(),
        subject: text(item, "ofSubject").map(str::to_owned),
        environment: environment.flatten(),
        author: text(item, "author").unwrap_or_default().to_owned(),
        reason: text(item, "reason").unwrap_or_default().to_owned(),
        until: text(item, "endsAt")?.parse().ok()?,
    })
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
