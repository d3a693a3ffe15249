//! What the policy says of a principal and of a secret, asked once for each.

use crate::audit::{
    baseline::SecretStanding,
    policy::{Policy, any, any_principal},
};
use relatch_events::cloudtrail::{identity::Actor, target::Target};

/// What the policy says of a principal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PrincipalStanding {
    pub(super) environment: Option<Box<str>>,
    pub(super) is_trusted: bool,
    pub(super) is_deployer: bool,
    pub(super) may_touch_decoys: bool,
}

impl PrincipalStanding {
    pub(super) fn of(actor: &Actor, policy: &Policy) -> Self {
        let environment = policy.environments.of_principal(&actor.id, actor.account.as_deref());
        Self {
            environment: environment.map(Into::into),
            // A service's own role cannot be assumed by anybody else.
            is_trusted: any_principal(&policy.trusted.principals, &actor.id)
                || actor.id.contains(":role/aws-service-role/"),
            is_deployer: any_principal(&policy.own.deployers, &actor.id),
            may_touch_decoys: any_principal(&policy.decoys.except, &actor.id),
        }
    }
}

impl SecretStanding {
    pub(super) fn of(target: &Target, policy: &Policy) -> Self {
        let environments = &policy.environments;
        let environment = environments.of_secret(&target.name, target.account.as_deref());
        Self {
            is_production: environments.is_production(environment),
            is_without_people: environment
                .is_some_and(|name| environments.without_people.iter().any(|known| known == name)),
            is_decoy: any(&policy.decoys.names, &target.name),
            environment: environment.map(Into::into),
        }
    }
}
