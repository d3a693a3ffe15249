//! What the audit asks to be contained, what of that is done, and who is denied what.
//!
//! The audit writes under one key and `respond` under another, so that each role can be allowed its own alone.

use super::{DynamoTable, Item, count, if_so, key, number, string, text};
use crate::{
    adapters::aws::call_error,
    config::Environment,
    ports::{Asked, CallError, CallErrorKind, Containments, Denied, Requests},
};
use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp};
use relatch_events::containment::{Containment, RequestId};
use std::{collections::HashSet, fmt::Write};

/// Longer than a request is of use, so that what is asked for is found while it is.
const REQUESTS_ARE_KEPT: SignedDuration = SignedDuration::from_hours(2 * 24);

/// Longer than requests are, which DynamoDB removes some days late.
const ENDINGS_ARE_KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);

impl Requests for DynamoTable {
    async fn record_request(&self, id: &RequestId, request: &Containment) -> Result<(), CallError> {
        const CALL: &str = "dynamodb:PutItem";
        let unusable =
            |message: &str| CallError { operation: CALL, kind: CallErrorKind::Refused, message: message.to_owned() };
        let environment = Environment::by_name(&request.environment).ok_or_else(|| unusable("of no environment"))?;
        let json = serde_json::to_string(request).map_err(|_| unusable("the request is no JSON"))?;
        let now = Timestamp::now();
        let mut item = key(&requests(environment), id.as_str());
        item.extend(
            [
                ("request", string(json)),
                ("askedAt", number(now.as_millisecond())),
                ("expires", number(later(now, REQUESTS_ARE_KEPT))),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        if_so(CALL, put.condition_expression("attribute_not_exists(pk)").send().await).map(drop)
    }
}

impl Containments for DynamoTable {
    async fn request(&self, environment: Environment, id: &RequestId) -> Result<Option<Asked>, CallError> {
        let get = async |key| {
            let get = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
            get.send().await.map(|answer| answer.item).map_err(|error| call_error("dynamodb:GetItem", &error))
        };
        let Some(item) = get(key(&requests(environment), id.as_str())).await? else { return Ok(None) };
        let is_finished = get(key(&contained(environment), &ending(id))).await?.is_some();
        let asked = || {
            let containment = serde_json::from_str(text(&item, "request")?).ok()?;
            Some(Asked { containment, at: moment(&item, "askedAt")?, is_finished })
        };
        // What a later Relatch has written in other words must not pass for nothing.
        asked().map(Some).ok_or_else(|| CallError {
            operation: "dynamodb:GetItem",
            kind: CallErrorKind::Refused,
            message: format!("the request {id} cannot be read"),
        })
    }

    async fn unfinished(&self, environment: Environment, since: Timestamp) -> Result<Vec<RequestId>, CallError> {
        let asked = self.query(&requests(environment), "").await?;
        let recent = asked.iter().filter(|item| moment(item, "askedAt").is_some_and(|at| at >= since));
        let recent: Vec<RequestId> =
            recent.filter_map(|item| RequestId::try_from(text(item, "sk")?.to_owned()).ok()).collect();
        if recent.is_empty() {
            return Ok(recent);
        }
        let finished = self.query(&contained(environment), "request#").await?;
        let finished: HashSet<&str> = finished.iter().filter_map(|item| text(item, "sk")).collect();
        Ok(recent.into_iter().filter(|id| !finished.contains(ending(id).as_str())).collect())
    }

    async fn finish(&self, environment: Environment, id: &RequestId) -> Result<(), CallError> {
        let now = Timestamp::now();
        let mut item = key(&contained(environment), &ending(id));
        item.insert("finishedAt".to_owned(), number(now.as_millisecond()));
        item.insert("expires".to_owned(), number(later(now, ENDINGS_ARE_KEPT)));
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item)).send().await;
        put.map(drop).map_err(|error| call_error("dynamodb:PutItem", &error))
    }

    async fn record_denial(&self, environment: Environment, denial: &Denied) -> Result<(), CallError> {
        let Denied { secret, principal, incident_gap, released: _ } = denial;
        let answer = self
            .update(key(&contained(environment), &denial_of(secret, principal)))
            .update_expression(
                "SET secret = :secret, principal = :principal, gap = :gap, deniedAt = :now REMOVE releasedAt, expires",
            )
            .expression_attribute_values(":secret", string(secret))
            .expression_attribute_values(":principal", string(principal))
            .expression_attribute_values(":gap", number(*incident_gap))
            .expression_attribute_values(":now", number(Timestamp::now().as_millisecond()))
            .send()
            .await;
        answer.map(drop).map_err(|error| call_error("dynamodb:UpdateItem", &error))
    }

    async fn denials(&self, environment: Environment) -> Result<Vec<Denied>, CallError> {
        Ok(self.query(&contained(environment), "denial#").await?.iter().filter_map(read_denial).collect())
    }

    /// A denial that a former version made is noted as released, too: nobody is to think that it is new.
    async fn release_denial(&self, environment: Environment, secret: &str, principal: &str) -> Result<(), CallError> {
        let now = Timestamp::now();
        let answer = self
            .update(key(&contained(environment), &denial_of(secret, principal)))
            .update_expression("SET secret = :secret, principal = :principal, releasedAt = :now, expires = :expires")
            .expression_attribute_values(":secret", string(secret))
            .expression_attribute_values(":principal", string(principal))
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .expression_attribute_values(":expires", number(later(now, ENDINGS_ARE_KEPT)))
            .send()
            .await;
        answer.map(drop).map_err(|error| call_error("dynamodb:UpdateItem", &error))
    }
}

fn read_denial(item: &Item) -> Option<Denied> {
    Some(Denied {
        secret: text(item, "secret")?.to_owned(),
        principal: text(item, "principal")?.to_owned(),
        incident_gap: count(item, "gap").and_then(|gap| i64::try_from(gap).ok()).unwrap_or_default(),
        released: moment(item, "releasedAt"),
    })
}

fn requests(environment: Environment) -> String {
    format!("containment#{}", environment.name())
}

fn contained(environment: Environment) -> String {
    format!("contained#{}", environment.name())
}

fn ending(id: &RequestId) -> String {
    format!("request#{id}")
}

/// Both ARNs together may be longer than a key.
fn denial_of(secret: &str, principal: &str) -> String {
    let digest = digest(&SHA256, principal.as_bytes());
    digest.as_ref().iter().fold(format!("denial#{secret}#"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn moment(item: &Item, name: &str) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(count(item, name)?).ok()?).ok()
}

fn later(now: Timestamp, term: SignedDuration) -> i64 {
    now.saturating_add(term).map_or(i64::MAX, Timestamp::as_second)
}
