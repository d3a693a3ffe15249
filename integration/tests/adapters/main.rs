//! The adapters for AWS, on the local cloud.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alarms;
mod custody;
mod ledger;
mod masters;
mod table;
mod topic;

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use relatch::adapters::table::DynamoTable;
use relatch_integration::aws::{ACCOUNT, Endpoint, REGION};
use std::collections::HashMap;

const TABLE: &str = "forgets-nothing";

type Item = HashMap<String, AttributeValue>;

/// A table that is made without a time to live: what has expired is still there to be looked at.
struct Scene {
    aws: Endpoint,
    client: Client,
    table: DynamoTable,
}

impl Scene {
    async fn start() -> Self {
        let aws = Endpoint::start().await.unwrap();
        let client = Client::new(&aws.sdk());
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
        let text = |name: &str| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
        };
        let create = client.create_table().table_name(TABLE).billing_mode(BillingMode::PayPerRequest);
        let create = create.key_schema(key("pk", KeyType::Hash)).key_schema(key("sk", KeyType::Range));
        create.attribute_definitions(text("pk")).attribute_definitions(text("sk")).send().await.unwrap();
        let table = DynamoTable::new(&aws.sdk(), TABLE);
        Self { aws, client, table }
    }

    async fn items(&self) -> Vec<Item> {
        self.client.scan().table_name(TABLE).send().await.unwrap().items.unwrap()
    }
}

fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf")
}
