//! What is normal in an account by decision: environments, working hours, whom to trust, how much is too much.
//!
//! A policy is JSON; every field may be left out, and `{}` is a policy that works:
//!
//! ```
//! # use relatch::audit::policy::Policy;
//! let policy = Policy::from_json(r#"{
//!     "environments": {
//!         "names": ["dev", "staging", "prod"],
//!         "production": ["prod"],
//!         "without-people": ["prod"],
//!         "secrets": ["{project}-{env}-secret-{name}", "{project}-{env}-{oauth|jwt|database}"],
//!         "principals": ["{project}-{env}-{name}"],
//!         "accounts": { "111122223333": "prod" }
//!     },
//!     "working-hours": { "time-zone": "Asia/Tokyo", "days": "mon-fri", "from": "09:00", "to": "18:30" },
//!     "decoys": { "names": ["shop-prod-secret-payments-master"], "except": ["backup"] },
//!     "trusted": { "principals": ["terraform", "ci-*"], "accounts": ["444455556666"], "tools": [] },
//!     "own": { "functions": ["relatch-prod-*"], "deployers": ["cloudformation-*"] },
//!     "thresholds": { "read-burst": { "count": 20, "minutes": 6 }, "stale-after-minutes": 60 },
//!     "learning-days": 14,
//!     "shadowed": ["off-hours-read"]
//! }"#)?;
//! assert_eq!(policy.environments.of_secret("shop-prod-secret-database", None), Some("prod"));
//! # Ok::<(), relatch::audit::policy::BadPolicy>(())
//! ```
//!
//! Wherever principals or things are named, `*` stands for any characters. A principal is named by its ARN or by what
//! comes last in it: `terraform` is `arn:aws:iam::111122223333:role/deploy/terraform`. A name holds in the account where
//! something happens, and in those that the policy names; of any other, name the ARN.

mod current;
mod names;
mod own;
mod read;
mod time;

pub use current::{CurrentPolicy, FRESH, NoPolicy};
pub use names::{NamePattern, Pattern};
pub(super) use names::{Named, any, any_exactly, any_thing, last_of, named};
pub use own::OwnNames;
pub use read::{BadPolicy, Problem};
pub use time::WorkingHours;

use super::finding::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// What is normal by decision.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Which environments there are, and how names map to them.
    pub environments: Environments,
    /// When people work. Without it no read is out of hours.
    pub working_hours: Option<WorkingHours>,
    /// Secrets and parameters that nobody has a reason to touch.
    pub decoys: Decoys,
    /// Whose reads and changes are as they should be.
    pub trusted: Trusted,
    /// What is Relatch's own, or as dear to it: what keeps watch.
    pub own: Own,
    /// How much is too much.
    pub thresholds: Thresholds,
    /// How long a secret, or a habit, has to be known until it is one. In milliseconds.
    pub learning: i64,
    /// The kinds that are only for the record.
    pub shadowed: BTreeSet<Kind>,
}

/// Which environments there are, and how names map to them.
#[derive(Debug, Clone)]
pub struct Environments {
    /// Their names.
    pub names: Vec<String>,
    /// Those whose findings are graver.
    pub production: Vec<String>,
    /// Those in which only programs read.
    pub without_people: Vec<String>,
    /// How secrets and parameters are named.
    pub secrets: Vec<NamePattern>,
    /// How roles and users are named.
    pub principals: Vec<NamePattern>,
    /// The accounts of which each belongs to one environment; for what has a name that does not tell.
    pub accounts: BTreeMap<String, String>,
}

/// Secrets and parameters that nobody has a reason to touch.
#[derive(Debug, Clone, Default)]
pub struct Decoys {
    /// Their names.
    pub names: Vec<Pattern>,
    /// The principals that may touch them all the same, as a backup does.
    pub except: Vec<Pattern>,
}

/// Whose reads and changes are as they should be. What keeps watch nobody is trusted with: see [`Own::deployers`].
#[derive(Debug, Clone, Default)]
pub struct Trusted {
    /// Roles and users.
    pub principals: Vec<Pattern>,
    /// Other accounts that may read secrets and be let in by policies.
    pub accounts: Vec<String>,
    /// Organisations that may be let in by policies: `o-…`.
    pub organisations: Vec<String>,
    /// Networks from which everybody may be let in by policies: ranges of addresses, `vpc-…` and `vpce-…`.
    pub networks: Vec<String>,
    /// Parts of user agents that would be a hostile tool's.
    pub tools: Vec<String>,
}

/// What is Relatch's own, or as dear to it: what keeps watch. Its roles are not among it: of what they change, only what
/// was [announced](super::judge::Judge::announce) is as it should be.
#[derive(Debug, Clone)]
pub struct Own {
    /// Functions that rotate, respond, watch or tell.
    pub functions: Vec<Pattern>,
    /// Trails.
    pub trails: Vec<Pattern>,
    /// Rules of EventBridge.
    pub rules: Vec<Pattern>,
    /// Topics that alerts go through.
    pub topics: Vec<Pattern>,
    /// Queues that events and alerts go through.
    pub queues: Vec<Pattern>,
    /// Alarms.
    pub alarms: Vec<Pattern>,
    /// Parameters that hold what the audit goes by, by their names with the slash in front.
    pub parameters: Vec<Pattern>,
    /// Tables, buckets, roles, log groups and schedules.
    pub resources: Vec<Pattern>,
    /// The principals that may change functions, rules and routes.
    pub deployers: Vec<Pattern>,
}

/// So many within so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// How many are too many.
    pub count: usize,
    /// Within how many milliseconds.
    pub within: i64,
}

/// How much is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Different secrets that one principal reads.
    pub read_burst: Burst,
    /// The same over hours: slower than a burst.
    pub read_breadth: Burst,
    /// Principals that do what is not usual for them, from one network.
    pub shared_network: Burst,
    /// Different filters by which one principal asks for secrets.
    pub filter_burst: Burst,
    /// Different secrets whose reads are denied to one principal.
    pub denied_burst: Burst,
    /// Regions in which one principal reads.
    pub multi_region_read: Burst,
    /// Different parameters that one principal decrypts.
    pub parameter_decrypt_burst: Burst,
    /// Different secrets that one principal deletes.
    pub mass_deletion: Burst,
    /// Sign-ins to the console that fail.
    pub console_login_failures: Burst,
    /// Different operations that are denied to one principal.
    pub unauthorized_burst: Burst,
    /// How long after a rotation an old version may still be read. In milliseconds.
    pub stale_after: i64,
    /// How long a read may be missing that explains a decryption. In milliseconds.
    pub unseen_after: i64,
    /// Events of one incident are not further apart. In milliseconds.
    pub incident_gap: i64,
}

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

impl Default for Policy {
    fn default() -> Self {
        Self {
            environments: Environments::default(),
            working_hours: None,
            decoys: Decoys::default(),
            trusted: Trusted::default(),
            own: Own::default(),
            thresholds: Thresholds::default(),
            learning: 14 * DAY,
            shadowed: BTreeSet::new(),
        }
    }
}

impl Default for Environments {
    fn default() -> Self {
        let names: Vec<String> = ["dev", "staging", "prod"].map(str::to_owned).into();
        let patterns = |texts: &[&str]| texts.iter().filter_map(|text| NamePattern::parse(text).ok()).collect();
        Self {
            production: vec!["prod".to_owned()],
            without_people: vec!["prod".to_owned()],
            secrets: patterns(&[
                "{project}-{env}-secret-{name}",
                "{project}-{env}-{oauth|jwt|database}",
                "{env}/{name}",
                "/{project}/{env}/{name}",
                "/{env}/{name}",
            ]),
            principals: patterns(&["{project}-{env}-{name}"]),
            accounts: BTreeMap::new(),
            names,
        }
    }
}

impl Default for Own {
    fn default() -> Self {
        let named = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text)).collect::<Vec<_>>();
        Self {
            functions: named(&["relatch-*"]),
            trails: named(&["*"]),
            rules: named(&["relatch-*"]),
            topics: named(&["relatch-*", "*-security-alerts"]),
            queues: named(&["relatch-*"]),
            alarms: named(&["relatch-*"]),
            parameters: named(&["/relatch-*", "/relatch/*"]),
            resources: named(&["relatch-*", "/aws/lambda/relatch-*"]),
            deployers: Vec::new(),
        }
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        let burst = |count, minutes| Burst { count, within: minutes * MINUTE };
        Self {
            read_burst: burst(20, 6),
            read_breadth: burst(40, 12 * 60),
            shared_network: burst(5, 60),
            filter_burst: burst(5, 60),
            denied_burst: burst(10, 10),
            multi_region_read: burst(5, 10),
            parameter_decrypt_burst: burst(26, 60),
            mass_deletion: burst(5, 10),
            console_login_failures: burst(3, 5),
            unauthorized_burst: burst(10, 10),
            stale_after: 60 * MINUTE,
            unseen_after: relatch_events::join::WATERMARK,
            incident_gap: 60 * MINUTE,
        }
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place in the JSON.
    pub fn from_json(text: &str) -> Result<Self, BadPolicy> {
        read::policy(text)
    }
}

impl Policy {
    /// Whether an account is that one, or one that is named as ours.
    pub(super) fn is_ours(&self, account: Option<&str>, here: Option<&str>) -> bool {
        match (account, here) {
            (Some(account), Some(here)) => {
                account == here
                    || self.environments.accounts.contains_key(account)
                    || self.trusted.accounts.iter().any(|trusted| trusted == account)
            }
            (_, None) => true,
            (None, Some(_)) => false,
        }
    }
}

impl Environments {
    /// The environment of a secret or a parameter, by its name or else by its account.
    pub fn of_secret(&self, name: &str, account: Option<&str>) -> Option<&str> {
        self.of(&self.secrets, name, account)
    }

    /// The environment of a principal, by its role's or user's name or else by its account.
    pub fn of_principal(&self, id: &str, account: Option<&str>) -> Option<&str> {
        self.of(&self.principals, names::last_of(id), account)
    }

    /// Whether it is one whose findings are graver.
    pub fn is_production(&self, environment: Option<&str>) -> bool {
        environment.is_some_and(|environment| self.production.iter().any(|name| name == environment))
    }

    fn of(&self, patterns: &[NamePattern], name: &str, account: Option<&str>) -> Option<&str> {
        let index = patterns.iter().find_map(|pattern| pattern.environment(name, &self.names));
        index.and_then(|index| self.names.get(index)).or_else(|| self.accounts.get(account?)).map(String::as_str)
    }
}
