//! What the tests have in common: an AWS stand-in, the handler, and what came of its work.

use jiff::Timestamp;
use relatch_integration::{
    aws::Endpoint,
    cloud,
    lambda::{Function, Outcome},
    trail,
};
use serde_json::Value;
use std::collections::BTreeMap;

pub(crate) struct Scene {
    pub(crate) aws: Endpoint,
    pub(crate) audit: Function,
}

impl Scene {
    /// Nobody is kept waiting for the first news of an incident.
    pub(crate) async fn new() -> Self {
        let aws = Endpoint::start().await.unwrap();
        // What the emulator takes to start is not to be the table's slowness.
        aws.emulate().await.unwrap();
        let audit = cloud::audit(&aws, &[("RELATCH_GROUP_WAIT_SECONDS", "0")]).unwrap();
        Self { aws, audit }
    }

    /// What the handler answers.
    pub(crate) async fn takes(&self, event: &Value) -> Value {
        let outcome = self.audit.invoke(event.clone()).await.unwrap();
        let Outcome::Ok(answer) = outcome else {
            panic!("{outcome:?}\n{:#?}", self.audit.output().lines());
        };
        answer
    }

    /// What people were told: severity, finding and subject.
    pub(crate) fn told(&self) -> Vec<String> {
        let line = |alert: &Value| {
            let word = |field: &str| alert[field].as_str().unwrap_or("-").to_owned();
            [word("severity"), word("finding"), word("subject").rsplit(':').next().unwrap().to_owned()].join(" ")
        };
        cloud::published(&self.aws).unwrap().iter().map(line).collect()
    }

    /// How many items of the table have a key that begins so.
    pub(crate) async fn items(&self, beginning: &str) -> usize {
        let is_one = |item: &&Value| item["pk"]["S"].as_str().is_some_and(|pk| pk.starts_with(beginning));
        self.aws.table().await.unwrap().iter().filter(is_one).count()
    }

    /// The sums of metrics without dimensions but the environment's.
    pub(crate) async fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.audit.stop().await;
        let lines = self.audit.output().lines();
        let lines: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(&line.text).ok()).collect();
        let names = ["RecordsIn", "Recorded", "Ignored", "Duplicate", "Malformed", "SecurityEvents"];
        names.map(|name| (name, lines.iter().filter_map(|line| line[name].as_u64()).sum())).into()
    }
}

/// A thief's reads, of one secret after the other.
pub(crate) fn reads(secrets: std::ops::Range<u32>) -> Vec<Value> {
    let now = Timestamp::now();
    secrets.map(|n| trail::read(&format!("shop-prod-secret-{n:02}"), Some("report"), now)).collect()
}
