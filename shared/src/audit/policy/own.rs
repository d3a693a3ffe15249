//! What of the own things is known beside the policy: what this deployment is called.

use super::{Pattern, Policy};
use relatch_events::cloudtrail::target::{Place, Target};

/// What this deployment is called. A policy may name more as its own, but cannot leave these out: whoever may change it
/// is to be noticed when they change what keeps watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnNames {
    /// What the names of its functions, rules, topics, queues, alarms and trails begin with: `shop-prod-`.
    pub prefix: Option<String>,
    /// The parameter that holds the policy, by its name or ARN, if it is in one.
    pub parameter: Option<String>,
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
            own.resources.push(Pattern::new(&format!("{prefix}*")));
            own.resources.push(Pattern::new(&format!("/aws/lambda/{prefix}*")));
            own.parameters.push(Pattern::new(&format!("/{prefix}*")));
        }
        let parameter = self.parameter.as_ref().and_then(|name| Target::parameter(name, Place::default()));
        own.parameters.extend(parameter.map(|parameter| Pattern::new(&parameter.name)));
        policy
    }
}
