//! What the policy says of a principal and of a secret, asked once for each.

use crate::audit::{
    baseline::SecretStanding,
    policy::{Named, Policy, any, named},
};
use relatch_events::cloudtrail::{identity::Actor, target::Target};

/// What the policy says of a principal, as far as it does not depend on where something happens.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PrincipalStanding {
    pub(super) environment: Option<Box<str>>,
    pub(super) trusted: Named,
    pub(super) deployer: Named,
    pub(super) may_touch_decoys: Named,
}

impl PrincipalStanding {
    pub(super) fn of(actor: &Actor, policy: &Policy) -> Self {
        let environment = policy.environments.of_principal(&actor.id, actor.account.as_deref());
        let trusted = named(&policy.trusted.principals, &actor.id);
        Self {
            environment: environment.map(Into::into),
            // A service's own role cannot be assumed by anybody else.
            trusted: if trusted == Named::Not && is_of_service(&actor.id) { Named::ByName } else { trusted },
            deployer: named(&policy.own.deployers, &actor.id),
            may_touch_decoys: named(&policy.decoys.except, &actor.id),
        }
    }
}

/// Whether a role is on the path that only AWS can make roles on. Other paths may have anything in them.
fn is_of_service(id: &str) -> bool {
    id.splitn(6, ':').nth(5).is_some_and(|rest| rest.starts_with("role/aws-service-role/"))
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
