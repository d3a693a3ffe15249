//! Whom a policy of a secret or a key lets in.
//!
//! Only what decides that is read: effect, principal, and the conditions on who calls. What a statement allows does not
//! matter here, and a `Deny` takes nothing back: it would have to be worked out against every caller there is.
//!
//! Source: the IAM user guide, "IAM JSON policy elements reference" and "AWS global condition context keys"; what counts
//! as public is after the S3 user guide, "The meaning of public".

use crate::language::Spoken;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// How a policy lets outsiders in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// Another account, by its number.
    Account(String),
    /// Everybody, and nothing in the statement's conditions says who.
    Everybody,
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => write!(f, "it lets account {account} in"),
            Self::Everybody => write!(f, "it lets everybody in, without a condition on who"),
        }
    }
}

impl Spoken for Opening {
    fn japanese(&self) -> String {
        match self {
            Self::Account(account) => format!("アカウント {account} にアクセスを許可しています"),
            Self::Everybody => "条件なしで全員にアクセスを許可しています".to_owned(),
        }
    }
}

/// Whom a policy lets in besides its own account and those that are trusted; each once, the worst last. Of a text that is
/// no policy, nobody: AWS would not have taken it.
pub fn openings(policy: &str, own: Option<&str>, trusted: &[String]) -> Vec<Opening> {
    let Ok(policy) = serde_json::from_str::<AccessPolicy>(policy) else { return Vec::new() };
    let is_ours = |account: &str| Some(account) == own || trusted.iter().any(|trusted| trusted == account);
    let mut found: Vec<Opening> = policy
        .statements
        .iter()
        .filter(|statement| statement.effect == "Allow")
        .flat_map(|statement| statement.openings(&is_ours))
        .collect();
    found.sort();
    found.dedup();
    found
}

#[derive(Deserialize)]
struct AccessPolicy {
    #[serde(rename = "Statement", deserialize_with = "one_or_many")]
    statements: Vec<Statement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    effect: String,
    #[serde(default)]
    principal: Option<Principal>,
    #[serde(default)]
    not_principal: Option<Value>,
    /// By operator, then by key: values.
    #[serde(default)]
    condition: BTreeMap<String, BTreeMap<String, Values>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Principal {
    /// `"*"`.
    Text(String),
    /// By kind: `AWS`, `Service`, `Federated`, `CanonicalUser`.
    Kinds(BTreeMap<String, Values>),
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Values(#[serde(deserialize_with = "one_or_many")] Vec<Value>);

impl Values {
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(Value::as_str)
    }
}

impl Statement {
    fn openings(&self, is_ours: &dyn Fn(&str) -> bool) -> Vec<Opening> {
        let mut everybody = self.not_principal.is_some();
        let mut others: Vec<&str> = Vec::new();
        match &self.principal {
            Some(Principal::Text(text)) => everybody |= text == "*",
            Some(Principal::Kinds(kinds)) => {
                for principal in kinds.get("AWS").into_iter().flat_map(Values::texts) {
                    match account_of(principal) {
                        Some("*") => everybody = true,
                        Some(account) if !is_ours(account) => others.push(account),
                        Some(_) | None => {}
                    }
                }
            }
            None => {}
        }
        if !everybody && others.is_empty() {
            return Vec::new();
        }
        match self.restriction() {
            Restriction::None if everybody => vec![Opening::Everybody],
            Restriction::None => account_openings(others, is_ours),
            Restriction::Accounts(accounts) => account_openings(accounts, is_ours),
            Restriction::Other => Vec::new(),
        }
    }

    /// What the conditions say of who calls. All of them hold together, so one that leaves few is enough.
    fn restriction(&self) -> Restriction<'_> {
        let mut found = Restriction::None;
        for (operator, keys) in &self.condition {
            // What must not be so restricts nobody, nor does what need not be there.
            let operator = operator.rsplit(':').next().unwrap_or_default();
            let restricts = matches!(
                operator,
                "StringEquals" | "StringEqualsIgnoreCase" | "StringLike" | "ArnEquals" | "ArnLike" | "IpAddress"
            );
            for (key, values) in keys.iter().filter(|_| restricts) {
                let is_anything = values.texts().any(|value| matches!(value, "*" | "0.0.0.0/0" | "::/0"));
                match key.to_ascii_lowercase().as_str() {
                    _ if is_anything => {}
                    "aws:principalaccount" | "kms:calleraccount" | "aws:principalarn" => {
                        let accounts: Vec<&str> = values.texts().filter_map(account_of).collect();
                        // Everybody can have a role of that name.
                        if !accounts.contains(&"*") {
                            found = Restriction::Accounts(accounts);
                        }
                    }
                    "aws:principalorgid"
                    | "aws:principalorgpaths"
                    | "aws:sourcevpc"
                    | "aws:sourcevpce"
                    | "aws:sourceip"
                    | "aws:sourcearn"
                    | "aws:sourceaccount"
                    | "aws:sourceorgid"
                    | "aws:userid"
                    | "aws:principalservicename" => return Restriction::Other,
                    _ => {}
                }
            }
        }
        found
    }
}

/// What conditions say of who calls.
enum Restriction<'a> {
    /// Nothing.
    None,
    /// One of these accounts.
    Accounts(Vec<&'a str>),
    /// An organisation, a network, or what else few are in.
    Other,
}

fn account_openings(accounts: Vec<&str>, is_ours: &dyn Fn(&str) -> bool) -> Vec<Opening> {
    let opening = |account: &str| Opening::Account(account.to_owned());
    accounts.into_iter().filter(|account| !is_ours(account)).map(opening).collect()
}

/// The account of `*`, of a number, or of `arn:aws:iam::<number>:…`. Nothing of what is no account's any more: the unique
/// id of a principal that was deleted.
fn account_of(principal: &str) -> Option<&str> {
    match principal.strip_prefix("arn:") {
        Some(arn) => arn.split(':').nth(3),
        None if principal == "*" || principal.bytes().all(|byte| byte.is_ascii_digit()) => Some(principal),
        None => None,
    }
}

fn one_or_many<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Vec<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany<T> {
        Many(Vec<T>),
        One(T),
    }
    Ok(match OneOrMany::deserialize(input)? {
        OneOrMany::Many(many) => many,
        OneOrMany::One(one) => vec![one],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a policy of one statement lets in, in account 1.
    fn of(statement: &str) -> Vec<String> {
        let policy = format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*",{statement}}}}}"#);
        let trusted = ["777777777777".to_owned()];
        openings(&policy, Some("111111111111"), &trusted).iter().map(Opening::to_string).collect()
    }

    const EVERYBODY: &str = "it lets everybody in, without a condition on who";
    const ANOTHER: &str = "it lets account 222222222222 in";

    #[test]
    fn who_is_let_in_is_what_principal_and_condition_say_together() {
        for (statement, expected) in [
            (r#""Principal":"*""#, vec![EVERYBODY]),
            (r#""Principal":{"AWS":"*"}"#, vec![EVERYBODY]),
            (r#""Principal":{"AWS":["arn:aws:iam::111111111111:root","*"]}"#, vec![EVERYBODY]),
            (r#""NotPrincipal":{"AWS":"arn:aws:iam::111111111111:root"}"#, vec![EVERYBODY]),
            (r#""Principal":{"AWS":"arn:aws:iam::111111111111:role/shop"}"#, vec![]),
            (r#""Principal":{"AWS":"777777777777"}"#, vec![]),
            (r#""Principal":{"AWS":"222222222222"}"#, vec![ANOTHER]),
            (r#""Principal":{"AWS":"arn:aws:iam::222222222222:role/thief"}"#, vec![ANOTHER]),
            (r#""Principal":{"AWS":"AIDAEXAMPLEEXAMPLE"}"#, vec![]),
            (r#""Principal":{"Service":"lambda.amazonaws.com"}"#, vec![]),
            (r#""Principal":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#, vec![]),
            (r#""Principal":"*","Condition":{"StringEquals":{"kms:CallerAccount":"111111111111"}}"#, vec![]),
            (r#""Principal":"*","Condition":{"StringEquals":{"kms:CallerAccount":["222222222222"]}}"#, vec![ANOTHER]),
            (
                r#""Principal":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::222222222222:*"}}"#,
                vec![ANOTHER],
            ),
            (
                r#""Principal":"*","Condition":{"StringEquals":{"kms:ViaService":"secretsmanager.eu-west-1.amazonaws.com"}}"#,
                vec![EVERYBODY],
            ),
            (
                r#""Principal":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/shop"}}"#,
                vec![EVERYBODY],
            ),
            (
                r#""Principal":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/shop"},"StringEquals":{"aws:PrincipalOrgID":"o-1"}}"#,
                vec![],
            ),
            (r#""Principal":"*","Condition":{"StringNotEquals":{"aws:PrincipalOrgID":"o-1"}}"#, vec![EVERYBODY]),
            (r#""Principal":"*","Condition":{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-1"}}"#, vec![EVERYBODY]),
            (r#""Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#, vec![EVERYBODY]),
            (r#""Principal":"*","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#, vec![EVERYBODY]),
        ] {
            assert_eq!(of(statement), expected, "{statement}");
        }
        assert!(openings("no policy", None, &[]).is_empty());
        let denied = r#"{"Statement":[{"Effect":"Deny","Principal":"*"}]}"#;
        assert!(openings(denied, None, &[]).is_empty());
    }
}
