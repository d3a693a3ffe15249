//! What each channel was told last.

use super::{DynamoTable, Item, alerts, if_so, key, number, string, text};
use crate::{
    adapters::aws::call_error,
    alert::{Alert, Status},
    ports::{CallError, Deliveries, Told},
};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};

/// Longer than anything is left firing: what has ended is told where its beginning was.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);

impl Deliveries for DynamoTable {
    async fn told(&self, alert: &Alert, channel: &str) -> Result<Option<Told>, CallError> {
        let key = told_key(alert, channel);
        let answer =
            self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true).send().await;
        let answer = answer.map_err(|error| call_error("dynamodb:GetItem", &error))?;
        Ok(answer.item().and_then(read))
    }

    async fn record_told(&self, alert: &Alert, channel: &str, told: &Told) -> Result<bool, CallError> {
        let answer = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(write(told_key(alert, channel), told)))
            .condition_expression("attribute_not_exists(publishedAt) OR publishedAt <= :at")
            .expression_attribute_values(":at", number(told.at.as_millisecond()))
            .send()
            .await;
        if_so("dynamodb:PutItem", answer).map(|kept| kept.is_some())
    }
}

fn told_key(alert: &Alert, channel: &str) -> Item {
    key(&alerts(alert.environment), &format!("told#{channel}#{}", alert.key()))
}

fn write(key: Item, told: &Told) -> Item {
    let expires = Timestamp::now().saturating_add(KEPT).map_or(i64::MAX, Timestamp::as_second);
    let mut item = key;
    item.extend(
        [
            ("message", string(&told.message)),
            ("publishedAt", number(told.at.as_millisecond())),
            ("status", string(told.status.name())),
            ("expires", number(expires)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    item.extend(told.thread.as_ref().map(|thread| ("thread".to_owned(), string(thread))));
    item
}

/// `None` if it was written by a later Relatch, in other words: it is then as if there were none.
fn read(item: &Item) -> Option<Told> {
    let status = text(item, "status")?;
    Some(Told {
        message: text(item, "message")?.to_owned(),
        at: Timestamp::from_millisecond(milliseconds(item.get("publishedAt")?)?).ok()?,
        status: [Status::Firing, Status::Resolved].into_iter().find(|known| known.name() == status)?,
        thread: text(item, "thread").map(str::to_owned),
    })
}

fn milliseconds(value: &AttributeValue) -> Option<i64> {
    value.as_n().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        for thread in [None, Some("C1 1.2".to_owned())] {
            let at = "2026-01-01T00:00:00.123Z".parse().unwrap();
            let told = Told { message: "m".to_owned(), at, status: Status::Resolved, thread };
            assert_eq!(read(&write(Item::new(), &told)), Some(told));
        }
        assert_eq!(read(&Item::new()), None);
    }
}
