//! What of the own things is known beside the policy: what this deployment is called.

use super::{Pattern, Policy};

/// What this deployment is called. A policy may name more as its own, but cannot leave these out: whoever may change it
/// is to be noticed when they change what keeps watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnNames {
    /// What the names of its functions, rules, topics, queues, alarms and trails begin with: `shop-prod-`.
    pub prefix: Option<String>,
}

impl OwnNames {
    /// The policy, with these among what is its own.
    #[must_use]
    pub fn added_to(&self, mut policy: Policy) -> Policy {
        let own = &mut policy.own;
        if let Some(prefix) = &self.prefix {
            for kind in
                [&mut own.functions, &mut own.trails, &mut own.rules, &mut own.topics, &mut own.queues, &mut own.alarms]
            {
                kind.push(Pattern::new(&format!("{prefix}*")));
            }
        }
        policy
    }
}
