//! `relatch release`: takes a denial of [`containment`](relatch::containment) back.

use crate::{
    Outside, Problem, Status, Terminal,
    arguments::Release,
    json,
    outside::THE_TABLE,
    screen::{control, release as screen},
};
use relatch::{
    config::Environment,
    containment::{
        Principal,
        policy::{self, Released},
    },
    ports::{CallError, CallErrorKind, Containments as _, Denied, Gate as _},
    rollback::RepairError,
};
use relatch_events::secret::SecretId;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::sleep;

/// How long to wait before each look at what has become of the policy.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_millis(1_000),
    Duration::from_millis(3_000),
    Duration::from_millis(6_000),
];

pub(crate) async fn release(asked: &Release, outside: &Outside, terminal: &Terminal) -> Result<Status, Problem> {
    let Release { secret, principal, manner } = asked;
    let arn = outside.arn(secret).await?;
    let id = SecretId::try_from(arn.as_str()).unwrap_or_else(|_| secret.clone());
    let (secrets, name) = (&outside.ports.secrets, secret.as_str());
    let present = outside.told(name, secrets.policy(&id).await).await?;
    let (left, denied) = without(name, present.as_deref(), principal.as_ref())?;
    // Also whom only the table knows: what took the denial out of the policy does not end it.
    let mut whom: BTreeSet<String> = denied.into_iter().collect();
    if let Some(table) = &outside.ports.table {
        // A secret is of one environment, and whoever types may have named none.
        for environment in Environment::ALL {
            let noted = outside.told(THE_TABLE, table.denials(environment).await).await?;
            let is_meant = |noted: &Denied| {
                let of_principal = principal.as_ref().is_none_or(|principal| principal.arn() == noted.principal);
                noted.secret == arn && noted.released.is_none() && of_principal
            };
            whom.extend(noted.into_iter().filter(is_meant).map(|noted| noted.principal));
        }
    }
    let is_noted = !whom.is_empty();
    let denied: Vec<String> = whom.into_iter().collect();
    let json = |outcome| json::release(&arn, outcome, &denied);
    // Whether it is a slip of the pen cannot be seen: it is not "done".
    if left == Released::Nothing && !is_noted {
        terminal.show(|| screen::absent(name, principal.as_ref()), || json("was-not-denied"));
        return Ok(Status::Found);
    }
    let intended = || screen::intended(name, &denied, &left);
    if let Some(end) = terminal.ends_here(*manner, intended, || json("would-release"), || json("not-released")) {
        return Ok(end);
    }
    // Before the policy, or respond's sweep would find the denial gone, and put it back.
    let table = outside.table("respond would put the denial back")?;
    for environment in Environment::ALL {
        for principal in &denied {
            let released = table.release_denial(environment, &arn, principal).await;
            outside.told(THE_TABLE, released).await?;
        }
    }
    // Somebody may have changed it while the question was open.
    let present = outside.told(name, secrets.policy(&id).await).await?;
    let (left, _) = without(name, present.as_deref(), principal.as_ref())?;
    let wanted = match &left {
        Released::Nothing => present,
        Released::Gone => {
            outside.told(name, secrets.delete_policy(&id).await).await?;
            None
        }
        Released::Rest(policy) => {
            outside.told(name, secrets.put_policy(&id, policy).await).await?;
            Some(policy.clone())
        }
    };
    for pause in PAUSES {
        sleep(pause).await;
        let now = outside.told(name, secrets.policy(&id).await).await?;
        if policy::are_same(now.as_deref(), wanted.as_deref()) {
            let done = format!("{} may read {name} again.", screen::names(&denied));
            terminal.show(|| control::done(&done), || json("released"));
            return Ok(Status::Fine);
        }
    }
    let message = "the policy is not yet as it was put: look again in a minute".to_owned();
    let error = CallError { operation: "secretsmanager:GetResourcePolicy", kind: CallErrorKind::Throttled, message };
    Err(outside.explain(name, &RepairError::Interrupted(error)).await)
}

/// What is left of a policy, and who is let in again.
fn without(
    name: &str,
    present: Option<&str>,
    principal: Option<&Principal>,
) -> Result<(Released, Vec<String>), Problem> {
    let Some(present) = present else { return Ok((Released::Nothing, Vec::new())) };
    let left = policy::released(present, principal)
        .map_err(|_| Problem::wrong_use(name, "its policy cannot be read", "look at it with AWS's own command"))?;
    let denied = match (&left, principal) {
        (Released::Nothing, _) => Vec::new(),
        (_, Some(principal)) => vec![principal.arn().to_owned()],
        (_, None) => policy::denied(present),
    };
    Ok((left, denied))
}
