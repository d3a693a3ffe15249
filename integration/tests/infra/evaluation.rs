//! Whether IAM allows a request: the evaluator's answers to single policies, put together as AWS does in one account.

use std::collections::{BTreeSet, HashMap};

use awsim_iam_policy::{
    AuthzRequest, ContextValue, Decision, Effect, EvalContext, PolicyDocument, evaluate, parse_value,
};
use relatch_integration::template::Deployment;
use serde_json::{Value, json};

/// What a request carries beside its action and resource, by condition key.
pub(crate) type Context = HashMap<String, ContextValue>;

/// Who asks.
pub(crate) struct Principal {
    /// Its ARN, or the name of a service.
    pub(crate) arn: String,
    pub(crate) account: String,
    /// What is attached to it.
    pub(crate) policies: Vec<PolicyDocument>,
}

impl Principal {
    /// The actions that its policies name to allow them.
    pub(crate) fn actions(&self) -> BTreeSet<String> {
        let statements = self.policies.iter().flat_map(|policy| &policy.statements);
        let allowing = statements.filter(|statement| statement.effect == Effect::Allow);
        allowing.filter_map(|one| one.action.as_ref()).flat_map(|actions| actions.iter().map(str::to_owned)).collect()
    }
}

/// A policy as a template has it.
pub(crate) fn policy(document: &Value) -> PolicyDocument {
    let mut document = document.clone();
    for statement in statements_mut(&mut document) {
        // The evaluator knows a service by no name; here it is one more ARN.
        if let Some(services) = statement.pointer_mut("/Principal/Service").map(Value::take) {
            let mut names = list(&services);
            names.extend(list(&statement["Principal"]["AWS"]));
            statement["Principal"] = json!({ "AWS": names });
        }
    }
    parse_value(&document).unwrap_or_else(|problem| panic!("{problem}: {document}"))
}

fn statements_mut(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let written = &mut document["Statement"];
    if !written.is_array() {
        *written = Value::from(vec![written.take()]);
    }
    written.as_array_mut().into_iter().flatten()
}

/// A text or a list of texts, as a list.
pub(crate) fn list(value: &Value) -> Vec<Value> {
    match value.as_array() {
        Some(items) => items.clone(),
        None if value.is_null() => Vec::new(),
        None => vec![value.clone()],
    }
}

/// Policies that AWS writes and changes, which are not looked into, each with the reason.
pub(crate) const MANAGED_BY_AWS: &[(&str, &str)] = &[(
    "service-role/AWSBackupServiceRolePolicyForBackup",
    "what AWS Backup asks for; only backup.amazonaws.com can take the role on",
)];

/// The documents that are attached to a role: its own, managed ones, and those that name it.
pub(crate) fn attached(deployment: &Deployment, role: &str) -> Vec<Value> {
    let role = deployment.named("AWS::IAM::Role", role).expect("a role of this deployment");
    let own = list(&role.properties["Policies"]).into_iter().map(|one| one["PolicyDocument"].clone());
    let managed = list(&role.properties["ManagedPolicyArns"]).into_iter().filter_map(|arn| {
        let arn = arn.as_str().unwrap();
        let policy = deployment.named("AWS::IAM::ManagedPolicy", arn);
        let known = policy.is_some() || MANAGED_BY_AWS.iter().any(|(name, _)| arn.ends_with(name));
        // What AWS writes in its policies changes, and is never the least.
        assert!(known, "{arn} is a policy of somebody else");
        policy.map(|policy| policy.properties["PolicyDocument"].clone())
    });
    let naming =
        deployment.resources.iter().filter(|one| one.kind == "AWS::IAM::Policy" || one.kind == "AWS::IAM::RolePolicy");
    let naming = naming.filter(|one| {
        list(&one.properties["Roles"]).iter().chain([&one.properties["RoleName"]]).any(|name| *name == role.name)
    });
    own.chain(managed).chain(naming.map(|one| one.properties["PolicyDocument"].clone())).collect()
}

/// Whether a request is allowed, given the policy of the resource, if it has one.
///
/// The evaluator takes a policy that names an account for one that allows everybody in it. For AWS it only lets the
/// account's own policies decide; and the policy of a key has to do so, or they count for nothing.
pub(crate) fn allows(
    who: &Principal,
    action: &str,
    arn: &str,
    context: &Context,
    resource_policy: Option<&PolicyDocument>,
) -> bool {
    let request =
        AuthzRequest { principal_arn: &who.arn, principal_account: &who.account, action, resource_arn: arn, context };
    let identity = EvalContext { identity_policies: &who.policies, ..EvalContext::default() };
    let by_identity = evaluate(&request, &identity);
    let Some(policy) = resource_policy else {
        return by_identity == Decision::Allow && same_account(who, arn);
    };
    let by_resource =
        |policy| evaluate(&request, &EvalContext { resource_policy: Some(policy), ..EvalContext::default() });
    let whole = by_resource(policy);
    if by_identity == Decision::ExplicitDeny || whole == Decision::ExplicitDeny {
        return false;
    }
    let (own, opened) = (by_identity == Decision::Allow, by_resource(&named(policy)) == Decision::Allow);
    if !same_account(who, arn) {
        return own && whole == Decision::Allow;
    }
    let account_decides = !action.starts_with("kms:") || whole == Decision::Allow;
    opened || (own && account_decides)
}

/// Whether a policy alone allows a request, as that of an endpoint has to.
///
/// The evaluator lets nobody into another account by one policy, whatever it says. But it is just what the policy says that
/// is asked here; so whoever asks is taken to be of the resource's account, and is known for another's by the context only.
pub(crate) fn lets_through(
    policy: &PolicyDocument,
    who: &Principal,
    action: &str,
    arn: &str,
    context: &Context,
) -> bool {
    let account = arn.split(':').nth(4).filter(|account| !account.is_empty()).unwrap_or(&who.account);
    let request =
        AuthzRequest { principal_arn: &who.arn, principal_account: account, action, resource_arn: arn, context };
    let alone = EvalContext { resource_policy: Some(&named(policy)), ..EvalContext::default() };
    evaluate(&request, &alone) == Decision::Allow
}

/// Without the statements that only let an account decide.
fn named(policy: &PolicyDocument) -> PolicyDocument {
    let mut policy = policy.clone();
    policy.statements.retain(|statement| {
        let principal = format!("{:?}", statement.principal);
        statement.effect == Effect::Deny || !principal.contains(":root\"")
    });
    policy
}

/// An ARN without an account, as a bucket's, is taken for one's own.
fn same_account(who: &Principal, arn: &str) -> bool {
    arn.split(':').nth(4).is_none_or(|account| account.is_empty() || account == who.account)
}

mod tests {
    use super::*;

    fn role(statements: Value) -> Principal {
        let policies = vec![policy(&json!({ "Version": "2012-10-17", "Statement": statements }))];
        Principal { arn: "arn:aws:iam::1:role/r".to_owned(), account: "1".to_owned(), policies }
    }

    fn key_policy(principal: Value) -> PolicyDocument {
        policy(
            &json!({ "Statement": { "Effect": "Allow", "Principal": principal, "Action": "kms:*", "Resource": "*" } }),
        )
    }

    const KEY: &str = "arn:aws:kms:eu-central-1:1:key/k";

    /// AWS KMS Developer Guide, "Default key policy".
    #[test]
    fn a_key_follows_iam_only_where_its_policy_says_so() {
        let may = role(json!({ "Effect": "Allow", "Action": "kms:Decrypt", "Resource": KEY }));
        let may_not = role(json!({ "Effect": "Allow", "Action": "kms:Encrypt", "Resource": KEY }));
        let (account, other) = (
            key_policy(json!({ "AWS": "arn:aws:iam::1:root" })),
            key_policy(json!({ "AWS": "arn:aws:iam::1:role/s" })),
        );
        let own = key_policy(json!({ "AWS": "arn:aws:iam::1:role/r" }));
        let none = Context::new();
        let decrypt = |who, policy| allows(who, "kms:Decrypt", KEY, &none, Some(policy));
        assert!(decrypt(&may, &account) && decrypt(&may, &own) && decrypt(&may_not, &own));
        assert!(!decrypt(&may_not, &account) && !decrypt(&may, &other));
    }

    /// IAM User Guide, "Policy evaluation logic".
    #[test]
    fn a_denial_anywhere_wins_and_another_account_takes_both_sides() {
        let queue = "arn:aws:sqs:eu-central-1:1:q";
        let open = json!({ "Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": queue });
        let no_plaintext = json!({ "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": queue,
            "Condition": { "Bool": { "aws:SecureTransport": "false" } } });
        let policy = policy(&json!({ "Statement": [open, no_plaintext] }));
        let nobody = role(json!([]));
        let over = |tls: bool| Context::from([("aws:SecureTransport".to_owned(), ContextValue::Bool(tls))]);
        assert!(allows(&nobody, "sqs:SendMessage", queue, &over(true), Some(&policy)));
        assert!(!allows(&nobody, "sqs:SendMessage", queue, &over(false), Some(&policy)));
        let stranger = Principal { account: "2".to_owned(), arn: "arn:aws:iam::2:role/r".to_owned(), ..nobody };
        assert!(!allows(&stranger, "sqs:SendMessage", queue, &over(true), Some(&policy)));
    }

    /// Services are named by their principals; a condition on the source keeps those of others out.
    #[test]
    fn a_service_is_let_in_for_one_source_only() {
        let policy =
            policy(&json!({ "Statement": { "Effect": "Allow", "Principal": { "Service": "events.amazonaws.com" },
            "Action": "sqs:SendMessage", "Resource": "*",
            "Condition": { "ArnLike": { "aws:SourceArn": "arn:aws:events:eu-central-1:1:rule/shop-*" } } } }));
        let service = |name: &str| Principal { arn: name.to_owned(), account: "1".to_owned(), policies: Vec::new() };
        let from = |rule: &str| {
            let arn = format!("arn:aws:events:eu-central-1:1:rule/{rule}");
            Context::from([("aws:SourceArn".to_owned(), ContextValue::String(arn))])
        };
        let sends = |name: &str, rule: &str| {
            lets_through(&policy, &service(name), "sqs:SendMessage", "arn:aws:sqs:eu-central-1:1:q", &from(rule))
        };
        assert!(sends("events.amazonaws.com", "shop-sweep"));
        assert!(!sends("events.amazonaws.com", "other-sweep") && !sends("sns.amazonaws.com", "shop-sweep"));
    }

    #[test]
    fn an_open_policy_is_open_to_other_accounts() {
        let open = json!({ "Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*" });
        let stranger =
            Principal { arn: "arn:aws:iam::2:role/r".to_owned(), account: "2".to_owned(), policies: Vec::new() };
        let context = Context::from([("aws:PrincipalAccount".to_owned(), ContextValue::String("2".to_owned()))]);
        let sends = |statement: &Value| {
            let policy = policy(&json!({ "Statement": statement }));
            lets_through(&policy, &stranger, "sqs:SendMessage", "arn:aws:sqs:eu-central-1:1:q", &context)
        };
        let mut ours = open.clone();
        ours["Condition"] = json!({ "StringEquals": { "aws:PrincipalAccount": "1" } });
        assert!(sends(&open) && !sends(&ours));
    }
}
