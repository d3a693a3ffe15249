//! Many items at once.

use super::{DynamoTable, Item, text};
use crate::{
    adapters::aws::call_error,
    ports::{CallError, CallErrorKind},
};
use aws_sdk_dynamodb::types::{KeysAndAttributes, PutRequest, WriteRequest};
use futures_util::future::try_join_all;
use rand::{RngExt, rand_core::UnwrapErr, rngs::SysRng};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// DynamoDB's limit of `BatchGetItem`, in items.
const READ_AT_ONCE: usize = 100;
/// DynamoDB's limit of `BatchWriteItem`, in items.
const WRITTEN_AT_ONCE: usize = 25;
/// How many batches are under way at the same time.
const ABREAST: usize = 8;
/// How often in a row a batch may be left as it was.
const MOST_IDLE: u32 = 8;

impl DynamoTable {
    /// The items of these keys, as far as they are there, in no order.
    pub(super) async fn all_of(&self, mut keys: Vec<Item>) -> Result<Vec<Item>, CallError> {
        // DynamoDB refuses a batch that reads an item twice.
        let mut named = HashSet::new();
        keys.retain(|key| named.insert(name_of(key)));
        let mut items = Vec::with_capacity(keys.len());
        for abreast in keys.chunks(READ_AT_ONCE * ABREAST) {
            let read = try_join_all(abreast.chunks(READ_AT_ONCE).map(|batch| self.get_batch(batch))).await?;
            items.extend(read.into_iter().flatten());
        }
        Ok(items)
    }

    async fn get_batch(&self, batch: &[Item]) -> Result<Vec<Item>, CallError> {
        const CALL: &str = "dynamodb:BatchGetItem";
        let (mut keys, mut items) = (batch.to_vec(), Vec::with_capacity(batch.len()));
        let mut idle = 0;
        while !keys.is_empty() {
            let asked = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let asked = HashMap::from([(self.name.clone(), asked.map_err(|_| unbuildable(CALL))?)]);
            let answer = self.client.batch_get_item().set_request_items(Some(asked)).send().await;
            let answer = answer.map_err(|error| call_error(CALL, &error))?;
            let before = items.len();
            items.extend(answer.responses.into_iter().flatten().flat_map(|(_, items)| items));
            keys = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, left)| left.keys).collect();
            if !keys.is_empty() {
                // Sixteen megabytes at a time are handed out; then there is progress.
                idle = if items.len() > before { 0 } else { idle + 1 };
                again(CALL, idle).await?;
            }
        }
        Ok(items)
    }

    /// Writes items, whatever was there before. No two may have the same key: DynamoDB refuses a batch that writes an item
    /// twice.
    pub(super) async fn put_all(&self, items: &[Item]) -> Result<(), CallError> {
        for abreast in items.chunks(WRITTEN_AT_ONCE * ABREAST) {
            try_join_all(abreast.chunks(WRITTEN_AT_ONCE).map(|batch| self.put_batch(batch))).await?;
        }
        Ok(())
    }

    async fn put_batch(&self, batch: &[Item]) -> Result<(), CallError> {
        const CALL: &str = "dynamodb:BatchWriteItem";
        let request = |item: &Item| {
            let put = PutRequest::builder().set_item(Some(item.clone())).build().map_err(|_| unbuildable(CALL))?;
            Ok(WriteRequest::builder().put_request(put).build())
        };
        let mut requests = batch.iter().map(request).collect::<Result<Vec<_>, CallError>>()?;
        let mut idle = 0;
        while !requests.is_empty() {
            let before = requests.len();
            let asked = HashMap::from([(self.name.clone(), requests)]);
            let answer = self.client.batch_write_item().set_request_items(Some(asked)).send().await;
            let answer = answer.map_err(|error| call_error(CALL, &error))?;
            requests = answer.unprocessed_items.into_iter().flatten().flat_map(|(_, left)| left).collect();
            if !requests.is_empty() {
                idle = if requests.len() < before { 0 } else { idle + 1 };
                again(CALL, idle).await?;
            }
        }
        Ok(())
    }
}

/// An item's key, as text.
pub(super) fn name_of(item: &Item) -> (String, String) {
    let part = |name| text(item, name).unwrap_or_default().to_owned();
    (part("pk"), part("sk"))
}

pub(super) fn unbuildable(operation: &'static str) -> CallError {
    let message = "the request could not be made".to_owned();
    CallError { operation, kind: CallErrorKind::Refused, message }
}

/// A pause before what was left out is asked for again, unless that was in vain too often.
async fn again(operation: &'static str, idle: u32) -> Result<(), CallError> {
    if idle > MOST_IDLE {
        let message = "the table leaves items unprocessed".to_owned();
        return Err(CallError { operation, kind: CallErrorKind::Throttled, message });
    }
    pause(idle).await;
    Ok(())
}

/// Anything from nothing to twice as long as the time before, but half a second at most: writers that have met do not
/// meet again.
pub(super) async fn pause(time: u32) {
    let longest = (10_u64 << time.min(8)).min(500);
    tokio::time::sleep(Duration::from_millis(UnwrapErr(SysRng).random_range(0..=longest))).await;
}
