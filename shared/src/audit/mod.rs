//! Who read which secret, who changed it, and is that normal?
//!
//! Pure, but for [`intake`]: facts go in, findings come out. Nothing else here reads a clock, a network or a file.
//!
//! * [`judge`]: what is to be said of a fact. Read this first.
//! * [`finding`]: what there is to be said, each kind of it on a row of one table.
//! * [`incident`]: which findings are one attack; [`spoils`]: what is known of one that may go on.
//! * [`baseline`]: what is normal by habit; [`policy`]: what is normal by decision.
//! * [`access_policy`]: whom a policy lets in.
//! * [`operation`]: what Relatch does itself, and how that is known.
//! * [`intake`]: from facts to ledger and alerts, which is where the effects are.
//! * [`flood`]: how many refused calls are taken in.
//! * [`ledger`]: what is written down of a fact; [`chain`]: how nobody can change that afterwards unseen.
//!
//! ```
//! use relatch::audit::{incident, judge::Judge, policy::Policy};
//! use relatch_events::cloudtrail::log::{Entry, Log};
//!
//! let file = br#"{"Records":[{
//!     "eventTime": "2026-01-31T12:34:56Z", "eventSource": "secretsmanager.amazonaws.com", "eventName": "GetSecretValue",
//!     "userIdentity": {"type": "Root", "accountId": "111122223333", "arn": "arn:aws:iam::111122223333:root"},
//!     "requestParameters": {"secretId": "shop-prod-secret-database"}, "eventID": "1"
//! }]}"#;
//! let (mut judge, mut found) = (Judge::new(Policy::default()), Vec::new());
//! for entry in Log::new(file.as_slice()) {
//!     if let Entry::Fact(fact) = entry? {
//!         judge.take(fact, &mut found);
//!     }
//! }
//! judge.finish(&mut found);
//! let incidents = incident::incidents(found, judge.policy().thresholds.incident_gap);
//! assert_eq!(incidents[0].lead().unwrap().kind.name(), "root-read");
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod access_policy;
pub mod anchor;
pub mod baseline;
pub mod chain;
pub mod finding;
pub mod flood;
pub mod incident;
pub mod intake;
pub mod judge;
pub mod ledger;
pub mod operation;
pub mod policy;
pub mod spoils;
