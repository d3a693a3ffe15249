//! A secret's policy with our statements in it, and without them again. Nothing else in it is touched.
//!
//! There are two of ours: one denies a list of principals, and one is a probe, by which it shows that just this list is in
//! effect. A former version wrote such a pair for each principal; those are known, and made one with the next change.
//!
//! Sources: the IAM user guide, "IAM JSON policy elements reference"; the Secrets Manager API reference,
//! `PutResourcePolicy`.

use super::Principal;
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, fmt::Write};

/// The longest policy, in characters.
pub const LONGEST: usize = 20_480;

/// The most principals that are denied one secret. With names of the greatest length they take half of a policy, so that
/// the owner's own statements have room.
pub const MOST: usize = 16;

/// The id of the statement that denies principals. A former version added a digest, and wrote one for each.
const DENIAL: &str = "RelatchContainment";

/// The id of the statement by which it shows that the policy is in effect. It begins the label that it is about.
const PROBE: &str = "RelatchProbe";

/// A policy in which a principal is to be denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// It is so already.
    Holds {
        /// The label that is denied to everybody where the policy is in effect.
        probe: String,
    },
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
    /// [`MOST`] principals are denied already.
    Crowded,
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

/// Whether a label is one that only a probe's statement knows.
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
    let list = list(&mut policy)?;
    let mut principals = principals(list);
    if !principals.contains(principal) && principals.len() >= MOST {
        return Err(Unmerged::Crowded);
    }
    principals.insert(principal.clone());
    let ours = statements(&principals);
    // Nothing of a former version, and nothing that was tampered with.
    let (known, others): (Vec<Value>, Vec<Value>) = list.drain(..).partition(is_ours);
    let is_whole = known.len() == ours.len() && ours.iter().all(|ours| known.iter().any(|one| are_equal(ours, one)));
    if is_whole {
        return Ok(Merged::Holds { probe: probe(&principals) });
    }
    list.extend(others.into_iter().chain(ours));
    let text = policy.to_string();
    if text.chars().count() > LONGEST { Err(Unmerged::Full) } else { Ok(Merged::Wanted(text)) }
}

/// A policy without a principal in our statements, or without them.
///
/// # Errors
/// When it is not what a policy looks like.
pub fn released(present: &str, principal: Option<&Principal>) -> Result<Released, Unmerged> {
    let mut policy = read(present)?;
    let list = list(&mut policy)?;
    let mut left = principals(list);
    let was_there = principal.map_or_else(|| list.iter().any(is_ours), |principal| left.remove(principal));
    if !was_there {
        return Ok(Released::Nothing);
    }
    list.retain(|statement| !is_ours(statement));
    if principal.is_some() && !left.is_empty() {
        list.extend(statements(&left));
    }
    if list.is_empty() { Ok(Released::Gone) } else { Ok(Released::Rest(policy.to_string())) }
}

/// Whom our statements deny: their ARNs, each once. Of what is no policy, nobody.
pub fn denied(present: &str) -> Vec<String> {
    let Ok(mut policy) = read(present) else { return Vec::new() };
    let principals = list(&mut policy).map(|list| principals(list)).unwrap_or_default();
    principals.iter().map(|principal| principal.arn().to_owned()).collect()
}

/// Whether our statements deny a principal, as they are to.
pub fn denies(present: Option<&str>, principal: &Principal) -> bool {
    matches!(merged(present, principal), Ok(Merged::Holds { .. }))
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

/// Our statements about some principals.
///
/// The first denies them the value, and the two operations that could take this out again. `BatchGetSecretValue` needs the
/// permission for each value that it hands out, and has no resource of its own that a statement could be about. A
/// principal is meant by a condition: one that is named as such has to exist, and is kept by its unique id, so that a role
/// of the same name that is made later is another. The second denies everybody a label that there is not: whoever asks for
/// it learns whether this policy is in effect. The label is another for every list, or the probe would be answered by the
/// policy before.
fn statements(principals: &BTreeSet<Principal>) -> [Value; 2] {
    let guarded =
        ["secretsmanager:GetSecretValue", "secretsmanager:PutResourcePolicy", "secretsmanager:DeleteResourcePolicy"];
    let patterns: Vec<String> = principals.iter().flat_map(Principal::patterns).collect();
    [
        json!({
            "Sid": DENIAL, "Effect": "Deny", "Principal": "*", "Action": guarded, "Resource": "*",
            "Condition": { "ArnLike": { "aws:PrincipalArn": patterns } },
        }),
        json!({
            "Sid": PROBE, "Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue",
            "Resource": "*",
            "Condition": { "StringEquals": { "secretsmanager:VersionStage": probe(principals) } },
        }),
    ]
}

/// The label that only the statement about it knows: no version has it.
fn probe(principals: &BTreeSet<Principal>) -> String {
    let names: Vec<&str> = principals.iter().map(Principal::arn).collect();
    let digest = digest(&SHA256, names.join("\n").as_bytes());
    digest.as_ref().iter().take(16).fold(PROBE.to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a statement is one of ours, of this version or a former one.
fn is_ours(statement: &Value) -> bool {
    statement["Sid"].as_str().is_some_and(|id| id.starts_with(DENIAL) || id.starts_with(PROBE))
}

/// Whom our statements are about. What stands beside a principal's ARN in them, for a path that is not known, is none.
fn principals(list: &[Value]) -> BTreeSet<Principal> {
    let ours = list.iter().filter(|one| one["Sid"].as_str().is_some_and(|id| id.starts_with(DENIAL)));
    let names = ours.flat_map(|statement| many(&statement["Condition"]["ArnLike"]["aws:PrincipalArn"]));
    names.filter_map(|name| Principal::of(name.as_str()?).ok()).collect()
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
            Merged::Holds { .. } => panic!("it holds already"),
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
        assert!(denies(Some(&other), &role));
        assert_eq!(denied(&other), [role.arn()]);
    }

    /// As a former version wrote it, for each principal by itself.
    fn former(names: &[&str]) -> Value {
        let pair = |name: &&str| {
            let (arn, digest) = (role(name).arn().to_owned(), format!("{:0>12}", name.len()));
            [
                json!({ "Sid": format!("RelatchContainment{digest}"), "Effect": "Deny", "Principal": "*",
                    "Action": ["secretsmanager:GetSecretValue"], "Resource": "*",
                    "Condition": { "ArnLike": { "aws:PrincipalArn": [arn, arn.replace("role/", "role/*/")] } } }),
                json!({ "Sid": format!("RelatchProbe{digest}"), "Effect": "Deny", "Principal": "*",
                    "Action": "secretsmanager:GetSecretValue", "Resource": "*",
                    "Condition": { "StringEquals": { "secretsmanager:VersionStage": format!("RelatchProbe{digest}") } } }),
            ]
        };
        json!({ "Version": "2012-10-17", "Statement": names.iter().flat_map(pair).collect::<Vec<_>>() })
    }

    #[test]
    fn denials_of_a_former_version_are_kept_released_and_made_one() {
        let old = former(&["a", "bb", "ccc"]).to_string();
        assert_eq!(denied(&old), ["a", "bb", "ccc"].map(|name| role(name).arn().to_owned()));
        assert_eq!(released(&old, None), Ok(Released::Gone));
        let Ok(Released::Rest(rest)) = released(&old, Some(&role("bb"))) else { panic!("{old}") };
        assert_eq!(denied(&rest), ["a", "ccc"].map(|name| role(name).arn().to_owned()));
        let text = wanted(Some(&old), &role("a"));
        let policy: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(policy["Statement"].as_array().unwrap().len(), 2, "{policy:#}");
        assert!(["a", "bb", "ccc"].iter().all(|name| denies(Some(&text), &role(name))));
    }

    /// A probe that the policy before would answer as well proves nothing of this one.
    #[test]
    fn the_probe_is_another_for_every_list_of_principals() {
        let one = wanted(None, &role("one"));
        let both = wanted(Some(&one), &role("two"));
        let probe = |text: &str| match merged(Some(text), &role("one")) {
            Ok(Merged::Holds { probe }) => probe,
            other => panic!("{other:?}"),
        };
        assert_ne!(probe(&one), probe(&both));
        assert!(both.contains(&probe(&both)) && !both.contains(&probe(&one)) && is_probe(&probe(&both)));
    }

    #[test]
    fn the_most_principals_of_the_longest_names_leave_half_of_the_policy_to_others() {
        let path = format!("{}/", "p".repeat(511));
        let long = |n: usize| Principal::of(&format!("arn:aws-us-gov:iam::123456789012:role/{path}{n:0>64}")).unwrap();
        let mut text = None;
        for n in 0..MOST {
            text = Some(wanted(text.as_deref(), &long(n)));
        }
        let text = text.unwrap();
        assert!(text.len() < LONGEST * 6 / 10, "{}", text.len());
        assert_eq!(merged(Some(&text), &role("late")), Err(Unmerged::Crowded));
        assert!((0..MOST).all(|n| denies(Some(&text), &long(n))), "nobody goes for another");
        let Ok(Released::Rest(rest)) = released(&text, Some(&long(3))) else { panic!("{text}") };
        assert!(denies(Some(&wanted(Some(&rest), &role("late"))), &role("late")));
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
                prop_assert!(denies(Some(&text), role));
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
