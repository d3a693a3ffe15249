//! Refused calls, of which anybody can make as many as he likes: of one principal, the first of each minute are taken in.
//!
//! The rest is only counted. It would say nothing new, since so many are a finding already; and it would fill the ledger
//! with whatever names the caller has made up, and keep the audit from what is behind it.

use super::ledger::event_id;
use relatch_events::fact::{Fact, Outcome};
use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
};

/// How many refused calls of one principal are taken in of each minute: more than it takes for a burst to be found.
pub const MOST: usize = 20;

/// How many principals and minutes are known at most. Then those before are forgotten.
const MOST_KNOWN: usize = 4_096;

/// What was taken in of refused calls lately. It is as large as it is allowed to be, whoever calls.
#[derive(Debug, Default)]
pub struct Flood {
    hasher: RandomState,
    /// The events that were taken in, by principal and minute. An event that comes again is not one more.
    known: HashMap<u64, HashSet<u64>>,
}

impl Flood {
    /// Whether a fact is to be taken in.
    pub fn admits(&mut self, fact: &Fact) -> bool {
        if !matches!(fact.outcome, Outcome::Denied(_)) {
            return true;
        }
        let minute = fact.at.map(|at| at.as_millis().div_euclid(60_000));
        let of = self.hasher.hash_one((&fact.actor.id, minute));
        let event = self.hasher.hash_one(event_id(fact));
        if self.known.len() >= MOST_KNOWN && !self.known.contains_key(&of) {
            self.known.clear();
        }
        let taken = self.known.entry(of).or_default();
        let is_admitted = taken.len() < MOST || taken.contains(&event);
        if is_admitted {
            taken.insert(event);
        }
        is_admitted
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use relatch_events::cloudtrail::log;
    use serde_json::{Value, json};

    fn read(role: &str, n: usize, minute: usize, error: Option<&str>) -> Fact {
        let mut record = json!({
            "eventTime": format!("2026-01-31T12:{minute:0>2}:56Z"), "eventID": format!("{role}-{minute}-{n}"),
            "eventName": "GetSecretValue", "awsRegion": "eu-west-1", "eventSource": "secretsmanager.amazonaws.com",
            "recipientAccountId": "123456789012",
            "userIdentity": { "type": "AssumedRole", "accountId": "123456789012",
                "arn": format!("arn:aws:sts::123456789012:assumed-role/{role}/i-0abc"),
                "sessionContext": { "sessionIssuer": {
                    "arn": format!("arn:aws:iam::123456789012:role/{role}"), "type": "Role" } } },
            "requestParameters": { "secretId": format!("made-up-{n}") },
        });
        record["errorCode"] = error.map_or(Value::Null, |error| json!(error));
        log::read(record.to_string().as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn of_a_flood_of_refused_calls_the_first_are_taken_in_and_nobody_elses_are_missed() {
        let mut flood = Flood::default();
        let refused = Some("AccessDeniedException");
        let admitted = (0..3_000).filter(|n| flood.admits(&read("thief", *n, 34, refused))).count();
        assert_eq!(admitted, MOST);
        assert!(flood.admits(&read("other", 0, 34, refused)), "another principal");
        assert!(flood.admits(&read("thief", 0, 35, refused)), "another minute");
        assert!(flood.admits(&read("thief", 3_001, 34, None)), "what was let is always taken in");
        // A batch that failed is handed over again.
        assert!((0..MOST).all(|n| flood.admits(&read("thief", n, 34, refused))));
    }

    #[test]
    fn what_is_known_of_floods_has_a_limit() {
        let mut flood = Flood::default();
        for n in 0..3 * MOST_KNOWN {
            flood.admits(&read(&format!("role-{n}"), 0, 34, Some("AccessDeniedException")));
        }
        assert!(flood.known.len() <= MOST_KNOWN);
    }
}
