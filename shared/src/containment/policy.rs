//! A secret's policy with our statements in it, and without them again. Nothing else in it is touched.
//!
//! Sources: the IAM user guide, "IAM JSON policy elements reference"; the Secrets Manager API reference,
//! `PutResourcePolicy`.

use super::Principal;
use serde_json::{Map, Value, json};

/// The longest policy, in characters.
pub const LONGEST: usize = 20_480;

/// Begins the id of a statement that denies a principal.
const DENIAL: &str = "RelatchContainment";

/// Begins the id of a statement by which it can be seen that the policy has taken effect, and the label that it is about.
const PROBE: &str = "RelatchProbe";

/// A policy in which a principal is to be denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// It is so already.
    Holds,
    /// As it is to be.
    Wanted(String),
}

/// Why a policy is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unmerged {
    /// It is not what a policy looks like.
    Unreadable,
    /// It would be longer than a policy may be.
    Full,
}

/// A policy from which our statements are taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// There were none.
    Nothing,
    /// What is left of it.
    Rest(String),
    /// Nothing is left.
    Gone,
}

/// The label that only the statement about it knows: no version has it.
pub fn probe(principal: &Principal) -> String {
    format!("{PROBE}{}", principal.digest())
}

/// Whether a label is one that only such a statement knows.
pub fn is_probe(label: &str) -> bool {
    label.starts_with(PROBE)
}

/// What a policy has to be so that the principal may not read the secret, nor change that.
///
/// # Errors
/// When it has to be left as it is.
pub fn merged(present: Option<&str>, principal: &Principal) -> Result<Merged, Unmerged> {
    let mut policy = match present {
        Some(text) => read(text)?,
        None => json!({ "Version": "2012-10-17", "Statement": [] }),
    };
    let ours = statements(principal);
    let list = list(&mut policy)?;
    if ours.iter().all(|ours| list.iter().any(|theirs| are_equal(ours, theirs))) {
        return Ok(Merged::Holds);
    }
    // What has our id and is not ours any more has been tampered with.
    list.retain(|theirs| ours.iter().all(|ours| ours["Sid"] != theirs["Sid"]));
    list.extend(ours);
    let text = policy.to_string();
    if text.chars().count() > LONGEST { Err(Unmerged::Full) } else { Ok(Merged::Wanted(text)) }
}

/// A policy without our statements: those about a principal, or all.
///
/// # Errors
/// When it is not what a policy looks like.
pub fn released(present: &str, principal: Option<&Principal>) -> Result<Released, Unmerged> {
    let mut policy = read(present)?;
    let is_meant = |statement: &Value| {
        let id = statement["Sid"].as_str().unwrap_or_default();
        match principal {
            Some(principal) => statements(principal).iter().any(|ours| ours["Sid"] == id),
            None => id.starts_with(DENIAL) || id.starts_with(PROBE),
        }
    };
    let list = list(&mut policy)?;
    let before = list.len();
    list.retain(|statement| !is_meant(statement));
    match list.len() {
        left if left == before => Ok(Released::Nothing),
        0 => Ok(Released::Gone),
        _ => Ok(Released::Rest(policy.to_string())),
    }
}

/// Whom our statements deny: their ARNs, each once. Of what is no policy, nobody.
pub fn denied(present: &str) -> Vec<String> {
    let Ok(mut policy) = read(present) else { return Vec::new() };
    let statements = list(&mut policy).map(std::mem::take).unwrap_or_default();
    let ours = statements.iter().filter(|statement| statement["Sid"].as_str().is_some_and(|id| id.starts_with(DENIAL)));
    let mut arns = Vec::new();
    for statement in ours {
        let values = many(&statement["Condition"]["ArnLike"]["aws:PrincipalArn"]);
        arns.extend(values.first().and_then(|value| value.as_str()).map(str::to_owned));
    }
    arns.dedup();
    arns
}

/// Whether two texts are the same policy. AWS may write one where there is a list of one, and the other way round.
pub fn are_same(one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => match (read(one), read(other)) {
            (Ok(one), Ok(other)) => are_equal(&one, &other),
            (_, _) => one == other,
        },
        (one, other) => one == other,
    }
}

/// Our statements about a principal.
///
/// The first denies it the value, and the two operations that could take this out again. `BatchGetSecretValue` needs the
/// permission for each value that it hands out, and has no resource of its own that a statement could be about. The
/// principal is meant by a condition: one that is named as such has to exist, and is kept by its unique id, so that a role
/// of the same name that is made later is another. The second denies everybody a label that there is not: whoever asks for
/// it learns whether this policy has taken effect.
fn statements(principal: &Principal) -> [Value; 2] {
    let digest = principal.digest();
    let guarded =
        ["secretsmanager:GetSecretValue", "secretsmanager:PutResourcePolicy", "secretsmanager:DeleteResourcePolicy"];
    [
        json!({
            "Sid": format!("{DENIAL}{digest}"), "Effect": "Deny", "Principal": "*", "Action": guarded, "Resource": "*",
            "Condition": { "ArnLike": { "aws:PrincipalArn": principal.patterns() } },
        }),
        json!({
            "Sid": probe(principal), "Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue",
            "Resource": "*",
            "Condition": { "StringEquals": { "secretsmanager:VersionStage": probe(principal) } },
        }),
    ]
}

fn read(text: &str) -> Result<Value, Unmerged> {
    match serde_json::from_str(text) {
        Ok(policy @ Value::Object(_)) => Ok(policy),
        Ok(_) | Err(_) => Err(Unmerged::Unreadable),
    }
}

/// A policy's statements, as a list. A single one may stand for itself, and means the same.
fn list(policy: &mut Value) -> Result<&mut Vec<Value>, Unmerged> {
    let statements = policy.get_mut("Statement").ok_or(Unmerged::Unreadable)?;
    if statements.is_object() {
        *statements = Value::Array(vec![statements.take()]);
    }
    let list = statements.as_array_mut().filter(|list| list.iter().all(Value::is_object));
    list.ok_or(Unmerged::Unreadable)
}

fn many(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |list| list.iter().collect())
}

/// Whether two values mean the same: in lists of texts, order does not matter.
fn are_equal(one: &Value, other: &Value) -> bool {
    let is_named = |value: &Value| value.is_object();
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| are_equal(value, other)))
        }
        // `"*"` and `{"AWS": "*"}` are everybody.
        (Value::Object(everybody), star) | (star, Value::Object(everybody)) if is_everybody(everybody) => star == "*",
        (one, other) => {
            let (one, other) = (many(one), many(other));
            let has = |all: &[&Value], value: &Value| {
                all.iter().any(|other| if is_named(value) { are_equal(value, other) } else { value == *other })
            };
            one.len() == other.len() && one.iter().all(|value| has(&other, value)) && other.iter().all(|v| has(&one, v))
        }
    }
}

fn is_everybody(principal: &Map<String, Value>) -> bool {
    principal.len() == 1 && principal.get("AWS").is_some_and(|aws| many(aws) == [&json!("*")])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn role(name: &str) -> Principal {
        Principal::of(&format!("arn:aws:iam::123456789012:role/{name}")).unwrap()
    }

    fn wanted(present: Option<&str>, principal: &Principal) -> String {
        match merged(present, principal).unwrap() {
            Merged::Wanted(text) => text,
            Merged::Holds => panic!("it holds already"),
        }
    }

    #[test]
    fn what_denies_a_role_is_this() {
        let policy: Value = serde_json::from_str(&wanted(None, &role("report"))).unwrap();
        insta::assert_snapshot!(format!("{policy:#}"));
    }

    #[test]
    fn a_secret_without_a_policy_has_none_after_the_release() {
        let text = wanted(None, &role("report"));
        assert_eq!(denied(&text), ["arn:aws:iam::123456789012:role/report"]);
        assert_eq!(released(&text, Some(&role("other"))), Ok(Released::Nothing));
        assert_eq!(released(&text, Some(&role("report"))), Ok(Released::Gone));
        assert_eq!(released(&text, None), Ok(Released::Gone));
    }

    #[test]
    fn what_was_tampered_with_is_put_right() {
        let role = role("report");
        let tampered = wanted(None, &role).replace("\"Deny\"", "\"Allow\"");
        let again = wanted(Some(&tampered), &role);
        assert!(are_same(Some(&again), Some(&wanted(None, &role))));
    }

    #[test]
    fn it_holds_however_aws_writes_it() {
        let role = role("teams/report");
        let text = wanted(None, &role);
        let other = text.replace("\"*\",\"Action\"", "{\"AWS\":[\"*\"]},\"Action\"").replace("\"Deny\"", "[\"Deny\"]");
        assert_ne!(text, other);
        assert_eq!(merged(Some(&other), &role), Ok(Merged::Holds));
        assert_eq!(denied(&other), [role.arn()]);
    }

    #[test]
    fn what_is_full_or_is_no_policy_is_left_alone() {
        let statement = json!({ "Sid": "x".repeat(LONGEST - 100), "Effect": "Allow" });
        let full = json!({ "Statement": [statement] }).to_string();
        assert!(full.len() <= LONGEST);
        assert_eq!(merged(Some(&full), &role("report")), Err(Unmerged::Full));
        for unreadable in ["", "[]", "{}", "{\"Statement\":1}", "{\"Statement\":[1]}", "no JSON"] {
            assert_eq!(merged(Some(unreadable), &role("report")), Err(Unmerged::Unreadable), "{unreadable}");
            assert_eq!(released(unreadable, None), Err(Unmerged::Unreadable));
        }
    }

    fn statement() -> impl Strategy<Value = Value> {
        let texts =
            || prop_oneof![Just(json!("*")), "[a-z:*]{1,12}".prop_map(|text| json!(text)), Just(json!(["a", "b"]))];
        (proptest::option::of("[A-Za-z0-9]{1,20}"), texts(), texts(), proptest::bool::ANY).prop_map(
            |(id, principal, action, allows)| {
                let effect = if allows { "Allow" } else { "Deny" };
                let mut statement =
                    json!({ "Effect": effect, "Principal": principal, "Action": action, "Resource": "*" });
                if let Some(id) = id {
                    statement["Sid"] = json!(id);
                }
                statement
            },
        )
    }

    proptest! {
        #[test]
        fn release_after_denial_gives_the_policy_back(
            statements in proptest::collection::vec(statement(), 1..8),
            names in proptest::collection::btree_set("[a-z]{1,8}", 1..4),
            version in proptest::bool::ANY,
        ) {
            let mut policy = json!({ "Statement": statements });
            if version {
                policy["Version"] = json!("2012-10-17");
            }
            let before = policy.to_string();
            let roles: Vec<Principal> = names.iter().map(|name| role(name)).collect();
            let mut text = before.clone();
            for role in &roles {
                text = wanted(Some(&text), role);
                prop_assert_eq!(merged(Some(&text), role), Ok(Merged::Holds));
            }
            let during: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&during["Statement"].as_array().unwrap()[..statements.len()], &statements[..]);
            prop_assert_eq!(denied(&text).len(), roles.len());
            // All at once, and one after the other, in their order.
            prop_assert_eq!(released(&text, None), Ok(Released::Rest(before.clone())));
            for role in &roles {
                let Ok(Released::Rest(rest)) = released(&text, Some(role)) else { panic!("{text}") };
                prop_assert!(!denied(&rest).iter().any(|arn| arn == role.arn()));
                text = rest;
            }
            prop_assert_eq!(text, before);
        }
    }
}
