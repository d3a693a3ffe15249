//! What is normal by habit, a part in each item.

use super::{DynamoTable, Item, batch::name_of, count, if_so, key, number, partition, string, text};
use crate::{
    audit::baseline::Part,
    config::Environment,
    ports::{Baselines, CallError, KeptPart},
};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;

/// Of whom nothing was heard for so long, nothing is known.
const KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

impl Baselines for DynamoTable {
    async fn parts(&self, environment: Environment, parts: &[Part]) -> Result<Vec<KeptPart>, CallError> {
        let places: Vec<Item> = parts.iter().map(|part| place(environment, part)).collect();
        let found = self.all_of(places.clone()).await?;
        let found: HashMap<_, _> = found.iter().map(|item| (name_of(item), item)).collect();
        let kept = |place: &Item| {
            let item = found.get(&name_of(place))?;
            let revision = count(item, "revision")?;
            Some(KeptPart { text: text(item, "text").map(str::to_owned), revision })
        };
        Ok(places.iter().map(|place| kept(place).unwrap_or_default()).collect())
    }

    async fn keep_part(
        &self,
        environment: Environment,
        part: &Part,
        text: &str,
        revision: u64,
    ) -> Result<bool, CallError> {
        let expires = Timestamp::now().saturating_add(KEPT).map_or(i64::MAX, Timestamp::as_second);
        let mut item = place(environment, part);
        item.extend([
            ("text".to_owned(), string(text)),
            ("revision".to_owned(), number(revision.saturating_add(1).cast_signed())),
            ("expires".to_owned(), number(expires)),
        ]);
        let answer = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk) OR revision = :seen")
            .expression_attribute_values(":seen", number(revision.cast_signed()))
            .send()
            .await;
        Ok(if_so("dynamodb:PutItem", answer)?.is_some())
    }
}

fn place(environment: Environment, part: &Part) -> Item {
    key(&partition("baseline", environment, &part.to_string()), "part")
}
