//! A secret's own policy: the four actions on it, and what it denies.
//!
//! Only what a policy *denies* is enforced. What it allows does not matter here: every caller of the local cloud may do
//! everything that no policy denies.
//!
//! Sources: the Secrets Manager API reference, `GetResourcePolicy`, `PutResourcePolicy`, `DeleteResourcePolicy`,
//! `ValidateResourcePolicy`; the IAM user guide, "IAM JSON policy elements: Sid" and "Policy evaluation logic".

use std::collections::{BTreeSet, HashMap};

use awsim_iam_policy::{
    AuthzRequest, ContextValue, Decision, Effect, EvalContext, PolicyDocument, Principal, evaluate, parse,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::secrets_manager::{ById, edit, length, named, write};
use super::store::{CURRENT, Secret, Store};
use super::{ACCOUNT, AwsError};

const LONGEST: usize = 20_480;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct PutResourcePolicy {
    secret_id: String,
    resource_policy: String,
    #[serde(default)]
    block_public_policy: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ValidateResourcePolicy {
    secret_id: Option<String>,
    resource_policy: String,
}

pub(super) fn get(store: &Store, request: &ById, stale: bool) -> Result<Value, AwsError> {
    edit(store, &request.secret_id, |secret| {
        let mut answer = named(secret);
        answer.extend(secret.policy(stale).map(|policy| ("ResourcePolicy".to_owned(), json!(policy))));
        Ok(answer.into())
    })
}

pub(super) fn put(store: &Store, request: PutResourcePolicy) -> Result<Value, AwsError> {
    let PutResourcePolicy { secret_id, resource_policy, block_public_policy } = request;
    length("ResourcePolicy", &resource_policy, 1, LONGEST)?;
    let policy = checked(&resource_policy)
        .map_err(|why| AwsError::new("MalformedPolicyDocumentException", format!("This resource policy {why}.")))?;
    if block_public_policy && is_public(&policy) {
        return Err(AwsError::new(
            "PublicPolicyException",
            "The BlockPublicPolicy parameter is set to true, and the resource policy did not prevent broad access to the secret.",
        ));
    }
    write(store, &secret_id, |secret| {
        secret.set_policy(Some(resource_policy));
        Ok(named(secret).into())
    })
}

pub(super) fn delete(store: &Store, request: &ById) -> Result<Value, AwsError> {
    write(store, &request.secret_id, |secret| {
        secret.set_policy(None);
        Ok(named(secret).into())
    })
}

pub(super) fn validate(store: &Store, request: &ValidateResourcePolicy) -> Result<Value, AwsError> {
    length("ResourcePolicy", &request.resource_policy, 1, LONGEST)?;
    if let Some(id) = &request.secret_id {
        edit(store, id, |_| Ok(Value::Null))?;
    }
    let found = match checked(&request.resource_policy) {
        Err(why) => Some(("SYNTAX", format!("This resource policy {why}."))),
        Ok(policy) if is_public(&policy) => Some(("PUBLIC_ACCESS", "It grants broad access.".to_owned())),
        Ok(_) => None,
    };
    let errors: Vec<Value> =
        found.iter().map(|(check, message)| json!({ "CheckName": check, "ErrorMessage": message })).collect();
    Ok(json!({ "PolicyValidationPassed": errors.is_empty(), "ValidationErrors": errors }))
}

/// Refuses what a secret's own policy denies the caller.
pub(super) fn guard(
    secret: &Secret,
    action: &str,
    stage: Option<&str>,
    caller: &str,
    stale: bool,
) -> Result<(), AwsError> {
    let Some(policy) = secret.policy(stale).and_then(|policy| parse(policy).ok()) else { return Ok(()) };
    let action = format!("secretsmanager:{action}");
    let mut context = HashMap::from([
        ("aws:PrincipalArn".to_owned(), ContextValue::String(caller.to_owned())),
        ("secretsmanager:SecretId".to_owned(), ContextValue::String(secret.arn.clone())),
    ]);
    context
        .extend(stage.map(|stage| ("secretsmanager:VersionStage".to_owned(), ContextValue::String(stage.to_owned()))));
    let request = AuthzRequest {
        principal_arn: caller,
        principal_account: ACCOUNT,
        action: &action,
        resource_arn: &secret.arn,
        context: &context,
    };
    let given = EvalContext {
        identity_policies: &[],
        permissions_boundary: None,
        resource_policy: Some(&policy),
        scps: &[],
        session_policy: None,
    };
    match evaluate(&request, &given) {
        Decision::Allow | Decision::ImplicitDeny => Ok(()),
        Decision::ExplicitDeny => {
            let session = caller.replacen(":iam:", ":sts:", 1).replacen(":role/", ":assumed-role/", 1);
            Err(AwsError::new(
                "AccessDeniedException",
                format!(
                    "User: {session}/local is not authorized to perform: {action} on resource: {} with an explicit \
                     deny in a resource-based policy",
                    secret.arn
                ),
            ))
        }
    }
}

/// The label that a request for a value is about, if it names one or means the usual one.
pub(super) fn stage(parameters: &Value) -> Option<&str> {
    let named = parameters["VersionStage"].as_str();
    named.or_else(|| parameters["VersionId"].is_null().then_some(CURRENT))
}

/// A policy by IAM's grammar. Here, what is ambiguous is refused: a statement id that comes twice or has other characters
/// than letters and digits, and a statement without a principal, an action or a resource.
fn checked(text: &str) -> Result<PolicyDocument, String> {
    let policy = parse(text).map_err(|error| format!("is not one: {error}"))?;
    if policy.statements.is_empty() {
        return Err("has no statement".to_owned());
    }
    let mut ids = BTreeSet::new();
    for statement in &policy.statements {
        let id = statement.sid.as_deref().unwrap_or_default();
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) || (!id.is_empty() && !ids.insert(id)) {
            return Err(format!("has the statement id {id:?}, which is not usable"));
        }
        let is_whole = (statement.principal.is_some() || statement.not_principal.is_some())
            && (statement.action.is_some() || statement.not_action.is_some())
            && (statement.resource.is_some() || statement.not_resource.is_some());
        if !is_whole {
            return Err("has a statement without a principal, an action or a resource".to_owned());
        }
    }
    Ok(policy)
}

/// Whether everybody is let in. AWS looks at conditions as well; here, any condition will do.
fn is_public(policy: &PolicyDocument) -> bool {
    let is_everybody = |principal: &Option<Principal>| match principal {
        Some(Principal::Wildcard) => true,
        Some(Principal::Aws(names) | Principal::Mixed { aws: names, .. }) => names.iter().any(|name| name == "*"),
        Some(Principal::Service(_) | Principal::Federated(_) | Principal::CanonicalUser(_)) | None => false,
    };
    policy.statements.iter().any(|statement| {
        let is_open = is_everybody(&statement.principal) || statement.not_principal.is_some();
        statement.effect == Effect::Allow && is_open && statement.condition.is_none()
    })
}
