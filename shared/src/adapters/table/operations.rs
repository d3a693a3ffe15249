//! What Relatch has recorded of its own changes.

use super::{DynamoTable, Item, batch::name_of, count, key, number};
use crate::{
    adapters::aws::call_error,
    audit::operation::{Act, Announcement, LASTS, Operation, SKEW},
    ports::{CallError, CallErrorKind, Operations},
};
use aws_credential_types::provider::ProvideCredentials as _;
use jiff::{SignedDuration, Timestamp};
use relatch_events::{cloudtrail::target::Target, moment::Moment};
use std::collections::HashMap;

/// CloudTrail's files may be read much later than they were written.
const KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);

impl Operations for DynamoTable {
    async fn announced(&self, operations: &[Operation]) -> Result<Vec<Announcement>, CallError> {
        let places = operations.iter().map(place).collect();
        let found = self.all_of(places).await?;
        let found: HashMap<_, _> = found.iter().map(|item| (name_of(item), item)).collect();
        let announcement = |operation: &Operation| {
            let item = found.get(&name_of(&place(operation)))?;
            let moment = |name| Some(Moment::from_millis(count(item, name)?.cast_signed()));
            Some(Announcement { operation: operation.clone(), from: moment("since")?, until: moment("until")? })
        };
        Ok(operations.iter().filter_map(announcement).collect())
    }
}

impl DynamoTable {
    /// Records an operation, under the access key that signs this call, too. What is done again lasts from its first time
    /// to its last.
    pub(super) async fn put_operation(&self, target: &Target, act: &Act) -> Result<(), CallError> {
        const CALL: &str = "dynamodb:UpdateItem";
        let unsigned = || CallError {
            operation: CALL,
            kind: CallErrorKind::Denied,
            message: "there are no AWS credentials".to_owned(),
        };
        let provider = self.client.sdk.credentials_provider().ok_or_else(unsigned)?;
        let credentials = provider.provide_credentials().await.map_err(|_| unsigned())?;
        let access_key = credentials.access_key_id().to_owned();
        let now = Timestamp::now();
        let at = |time: Timestamp| number(time.as_millisecond());
        self.update(place(&Operation { access_key, target: target.clone(), act: act.clone() }))
            .update_expression("SET since = if_not_exists(since, :since), #until = :until, expires = :expires")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":since", at(now.saturating_sub(SKEW).unwrap_or(now)))
            .expression_attribute_values(":until", at(now.saturating_add(LASTS).unwrap_or(now)))
            .expression_attribute_values(":expires", number(now.saturating_add(KEPT).unwrap_or(now).as_second()))
            .send()
            .await
            .map(drop)
            .map_err(|error| call_error(CALL, &error))
    }
}

fn place(operation: &Operation) -> Item {
    let Operation { access_key, target, act } = operation;
    key(&format!("operation#{access_key}"), &format!("{target} {act}"))
}
