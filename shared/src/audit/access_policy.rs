//! Whom a policy of a secret or a key lets in.
//!
//! Each condition of a statement is a `Limit` on who calls: to accounts, to organisations, to networks, to AWS's own
//! services, or to nobody in particular. All conditions hold together. What is not known to be a limit is none.
//!
//! Only what decides that is read: effect, principal, and the conditions on who calls. What a statement allows does not
//! matter here. A `Deny` takes nothing back: it would have to be worked out against every caller there is, so that an
//! `Allow` for everybody is told though a `Deny` beside it may leave few.
//!
//! Sources: the IAM user guide, "IAM JSON policy elements: Condition operators" (on `IfExists`, on negated operators, on
//! `ForAllValues`, each of which is true where the key is absent), "AWS global condition context keys" and "Policy
//! variables"; what counts as public is after the S3 user guide, "The meaning of public".

use super::policy::Trusted;
use crate::language::Spoken;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt, net::IpAddr};

/// How a policy lets outsiders in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// Whoever comes from a network that the audit's policy does not name.
    Network(String),
    /// Everybody of an organisation that the audit's policy does not name.
    Organisation(String),
    /// Somebody of whom no account is known, as a user of an identity provider.
    Stranger(String),
    /// Another account, by its number.
    Account(String),
    /// It is not known whom: the record does not have the policy.
    Unknown,
    /// Everybody, and nothing in the statement's conditions says who.
    Everybody,
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => write!(f, "it lets everybody in who comes from {network}"),
            Self::Organisation(organisation) => write!(f, "it lets everybody of the organisation {organisation} in"),
            Self::Stranger(stranger) => write!(f, "it lets {stranger} in, of whom no account is known"),
            Self::Account(account) => write!(f, "it lets account {account} in"),
            Self::Unknown => write!(f, "whom it lets in is not known, since the record does not have the policy"),
            Self::Everybody => write!(f, "it lets everybody in, without a condition on who"),
        }
    }
}

impl Spoken for Opening {
    fn japanese(&self) -> String {
        match self {
            Self::Network(network) => format!("{network} からのアクセスを全員に許可しています"),
            Self::Organisation(organisation) => format!("組織 {organisation} の全員にアクセスを許可しています"),
            Self::Stranger(stranger) => format!("アカウントが不明な {stranger} にアクセスを許可しています"),
            Self::Account(account) => format!("アカウント {account} にアクセスを許可しています"),
            Self::Unknown => "ポリシーが記録に含まれていないため、許可先が分かりません".to_owned(),
            Self::Everybody => "条件なしで全員にアクセスを許可しています".to_owned(),
        }
    }
}

/// An opening, and the condition under which it lets somebody in, as JSON. Empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opened {
    /// Whom.
    pub opening: Opening,
    /// Under which condition.
    pub condition: String,
}

/// How much of a condition is quoted, in characters.
const LONGEST_CONDITION: usize = 300;

/// More addresses of version 4 than these are everybody: a /16.
const MOST_ADDRESSES: u64 = 1 << 16;

/// More networks of version 6 than this one are everybody: a /32 is what a provider has.
const MOST_V6_BITS: u8 = 32;

/// Whom a policy lets in besides its own account and those that the audit's policy trusts; each once, the worst last.
pub fn openings(policy: &str, own: Option<&str>, trusted: &Trusted) -> Vec<Opened> {
    let unknown = || vec![Opened { opening: Opening::Unknown, condition: String::new() }];
    // AWS takes only what is a policy: so the record has lost it.
    let Ok(Value::Object(policy)) = serde_json::from_str::<Value>(policy) else { return unknown() };
    let Some(statements) = field(&policy, "Statement") else { return unknown() };
    let judge = Whose { own, trusted };
    let allows = |statement: &&Map<String, Value>| {
        field(statement, "Effect").and_then(Value::as_str).is_some_and(|effect| effect.eq_ignore_ascii_case("Allow"))
    };
    let mut found: Vec<Opened> = many(statements)
        .iter()
        .filter_map(Value::as_object)
        .filter(allows)
        .flat_map(|statement| {
            let condition = field(statement, "Condition").filter(|condition| **condition != Value::Object(Map::new()));
            let condition = condition.map(quoted).unwrap_or_default();
            let opened = move |opening| Opened { opening, condition: condition.clone() };
            judge.openings(statement).into_iter().map(opened).collect::<Vec<_>>()
        })
        .collect();
    found.sort();
    found.dedup_by(|one, other| one.opening == other.opening);
    found
}

/// The account of a principal as policies and grants name it: of a number, or of `arn:aws:iam::<number>:…`; `*` where
/// it leaves the account open. Nothing of what is no account's: a service, or the unique id of a principal that was deleted.
pub(super) fn account_of(principal: &str) -> Option<&str> {
    if principal == "*" || is_account(principal) {
        return Some(principal);
    }
    let account = match principal.strip_prefix("arn:") {
        Some(arn) => arn.split(':').nth(3),
        None => None,
    };
    match account {
        Some(account) if is_account(account) => Some(account),
        Some(account) if is_account(account.trim_end_matches('*')) => Some(account.trim_end_matches('*')),
        // "arn:*", or "arn:aws:iam::1*:role/x".
        _ if is_pattern(principal) => Some("*"),
        _ => None,
    }
}

/// Whether a principal of a policy or a grant is a service of AWS: the name of one and nothing else. An ARN never is.
pub(super) fn is_service(principal: &str) -> bool {
    let name = principal.strip_suffix(".cn").unwrap_or(principal);
    name.strip_suffix(".amazonaws.com").is_some_and(|name| {
        !name.is_empty()
            && name
                .split('.')
                .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
    })
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it stands for more than itself: by a wildcard, or by a variable.
fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?']) || text.contains("${")
}

/// Whose side a caller is on.
struct Whose<'a> {
    own: Option<&'a str>,
    trusted: &'a Trusted,
}

/// What a condition says of who calls.
#[derive(Debug, PartialEq, Eq)]
enum Limit {
    /// Nothing.
    None,
    /// They belong to one of these accounts.
    Accounts(BTreeSet<String>),
    /// They belong to one of these organisations.
    Organisations(BTreeSet<String>),
    /// They come from one of these networks.
    Networks(BTreeSet<String>),
    /// They are one of these, of whatever account.
    Strangers(BTreeSet<String>),
    /// They are services of AWS.
    Services,
}

/// What all conditions of a statement say together.
#[derive(Default)]
struct Limits {
    accounts: Option<BTreeSet<String>>,
    organisations: Option<BTreeSet<String>>,
    networks: Option<BTreeSet<String>>,
    strangers: Option<BTreeSet<String>>,
    services: bool,
}

impl Limits {
    fn add(&mut self, limit: Limit) {
        let both = |known: &mut Option<BTreeSet<String>>, more: BTreeSet<String>| {
            *known = Some(match known.take() {
                Some(known) => known.intersection(&more).cloned().collect(),
                None => more,
            });
        };
        match limit {
            Limit::None => {}
            Limit::Accounts(accounts) => both(&mut self.accounts, accounts),
            Limit::Organisations(organisations) => both(&mut self.organisations, organisations),
            Limit::Networks(networks) => both(&mut self.networks, networks),
            Limit::Strangers(strangers) => both(&mut self.strangers, strangers),
            Limit::Services => self.services = true,
        }
    }
}

impl Whose<'_> {
    fn is_ours(&self, account: &str) -> bool {
        Some(account) == self.own || self.trusted.accounts.iter().any(|trusted| trusted == account)
    }

    /// What one statement opens.
    fn openings(&self, statement: &Map<String, Value>) -> Vec<Opening> {
        let mut is_everybody = field(statement, "NotPrincipal").is_some();
        let (mut accounts, mut strangers) = (BTreeSet::new(), BTreeSet::new());
        for (kind, principal) in principals(field(statement, "Principal")) {
            if kind.eq_ignore_ascii_case("Service") {
                continue;
            }
            match account_of(&principal) {
                Some("*") => is_everybody = true,
                Some(account) => drop(accounts.insert(account.to_owned())),
                // The unique id of a principal that was deleted lets nobody in.
                None if kind.eq_ignore_ascii_case("AWS") => {}
                None => drop(strangers.insert(shown(&principal))),
            }
        }
        if !is_everybody && accounts.is_empty() && strangers.is_empty() {
            return Vec::new();
        }
        let limits = self.limits(statement);
        let are_trusted = |names: &BTreeSet<String>| {
            !names.is_empty() && names.iter().all(|name| self.trusted.organisations.contains(name))
        };
        // Accounts and people are no services, and a service is not let in by being everybody.
        if limits.services || limits.organisations.as_ref().is_some_and(are_trusted) {
            return Vec::new();
        }
        if let Some(limit) = &limits.accounts {
            accounts = if is_everybody { limit.clone() } else { accounts.intersection(limit).cloned().collect() };
            is_everybody = false;
        } else if let (true, Some(limit)) = (is_everybody, &limits.strangers) {
            strangers.extend(limit.iter().cloned());
            is_everybody = false;
        }
        // Whoever is named counts, wherever they have to come from.
        let foreign = accounts.into_iter().filter(|account| !self.is_ours(account)).map(Opening::Account);
        let mut found: Vec<Opening> = strangers.into_iter().map(Opening::Stranger).chain(foreign).collect();
        if is_everybody {
            found.extend(match (limits.organisations, limits.networks) {
                (_, Some(networks)) if networks.iter().all(|network| self.knows(network)) => Vec::new(),
                (Some(organisations), _) => {
                    let is_unknown = |name: &String| !self.trusted.organisations.contains(name);
                    organisations.into_iter().filter(is_unknown).map(Opening::Organisation).collect()
                }
                (None, Some(networks)) => {
                    networks.into_iter().filter(|network| !self.knows(network)).map(Opening::Network).collect()
                }
                (None, None) => vec![Opening::Everybody],
            });
        }
        found
    }

    /// Whether a network is one, or a part of one, that the audit's policy names; or is an endpoint's account of ours.
    fn knows(&self, network: &str) -> bool {
        let is_within = |known: &str| match (Range::parse(known), Range::parse(network)) {
            (Some(known), Some(network)) => known.contains(network),
            (_, _) => known == network,
        };
        is_account(network) && self.is_ours(network) || self.trusted.networks.iter().any(|known| is_within(known))
    }

    fn limits(&self, statement: &Map<String, Value>) -> Limits {
        let condition = field(statement, "Condition").and_then(Value::as_object);
        let operators: Vec<(Operator, &Map<String, Value>)> = condition
            .into_iter()
            .flatten()
            .filter_map(|(operator, keys)| Some((Operator::parse(operator), keys.as_object()?)))
            .collect();
        // What has to be there makes an operator that would be true without it a limit all the same.
        let needed: BTreeSet<String> = operators
            .iter()
            .filter(|(operator, _)| operator.name == "null" && !operator.is_true_without)
            .flat_map(|(_, keys)| keys.iter())
            .filter(|(_, values)| texts(values).iter().all(|value| value.eq_ignore_ascii_case("false")))
            .map(|(key, _)| key.to_ascii_lowercase())
            .collect();
        let mut limits = Limits::default();
        for (operator, keys) in operators {
            for (key, values) in keys {
                let key = key.to_ascii_lowercase();
                if !operator.is_true_without || needed.contains(&key) {
                    limits.add(self.limit(&operator.name, &key, &texts(values)));
                }
            }
        }
        limits
    }

    /// What one key has to be, of which one of the values is enough.
    fn limit(&self, operator: &str, key: &str, values: &[String]) -> Limit {
        let is_of_text = matches!(operator, "stringequals" | "stringequalsignorecase" | "stringlike");
        let is_of_arn = matches!(operator, "arnequals" | "arnlike");
        let is_like_text = operator == "stringlike";
        let each = |limit: fn(BTreeSet<String>) -> Limit, read: &dyn Fn(&str) -> Option<String>| {
            let read: Option<BTreeSet<String>> = values.iter().map(|value| read(value)).collect();
            // One that is everybody, and all of them are.
            read.filter(|read| !read.is_empty()).map_or(Limit::None, limit)
        };
        match key {
            _ if !(is_of_text || is_of_arn || operator == "ipaddress" || operator == "bool") => Limit::None,
            "aws:principalaccount" | "kms:calleraccount" | "aws:sourceaccount" if is_of_text => {
                each(Limit::Accounts, &|value| self.account(value))
            }
            "aws:principalarn" | "aws:sourcearn" if is_of_text || is_of_arn => {
                each(Limit::Accounts, &|value| self.account_of_arn(value, is_like_text))
            }
            "aws:principalorgid"
            | "aws:sourceorgid"
            | "aws:vpceorgid"
            | "aws:principalorgpaths"
            | "aws:sourceorgpaths"
            | "aws:vpceorgpaths"
                if is_of_text =>
            {
                each(Limit::Organisations, &organisation)
            }
            "aws:sourcevpc" | "aws:sourcevpce" | "aws:ec2instancesourcevpc" if is_of_text => {
                each(Limit::Networks, &private_network)
            }
            "aws:vpceaccount" if is_of_text => each(Limit::Networks, &|value| self.account(value)),
            // An address within a network says nothing: everybody may have a network of their own.
            "aws:sourceip" if operator == "ipaddress" => addresses(values),
            "aws:userid" if is_of_text => each(Limit::Strangers, &unique_id),
            "aws:principalservicename" | "aws:principalservicenameslist" if is_of_text => {
                let are_services = !values.is_empty() && values.iter().all(|value| is_service(value));
                if are_services { Limit::Services } else { Limit::None }
            }
            "aws:principalisawsservice" if operator == "bool" => {
                let is_true = !values.is_empty() && values.iter().all(|value| value.eq_ignore_ascii_case("true"));
                if is_true { Limit::Services } else { Limit::None }
            }
            // A tag, a name, a region, a second factor: everybody can have it in an account of their own.
            _ => Limit::None,
        }
    }

    fn account(&self, value: &str) -> Option<String> {
        match value.to_ascii_lowercase().as_str() {
            "${aws:resourceaccount}" => self.own.map(str::to_owned),
            _ => Some(value).filter(|value| is_account(value)).map(str::to_owned),
        }
    }

    /// With an operator of texts a wildcard may stand for colons: then the number behind it is not the account's.
    fn account_of_arn(&self, value: &str, is_like_text: bool) -> Option<String> {
        let account = account_of(value).filter(|account| *account != "*");
        if let Some(account) = account {
            let before = value.split_once(account).map_or("", |(before, _)| before);
            return (!(is_like_text && is_pattern(before))).then(|| account.to_owned());
        }
        let own = self.own.filter(|_| !is_like_text || value.to_ascii_lowercase().starts_with("arn:aws:iam::${"))?;
        (value.split(':').nth(4)?.eq_ignore_ascii_case("${aws")
            && value.to_ascii_lowercase().contains("::${aws:resourceaccount}:"))
        .then(|| own.to_owned())
    }
}

/// An operator, without what is said before and after its name.
struct Operator {
    name: String,
    /// Whether it is true where the key is absent.
    is_true_without: bool,
}

impl Operator {
    fn parse(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let (qualifier, name) = text.split_once(':').unwrap_or(("", &text));
        let bare = name.strip_suffix("ifexists");
        Self {
            name: bare.unwrap_or(name).to_owned(),
            is_true_without: bare.is_some() || !matches!(qualifier, "" | "foranyvalue"),
        }
    }
}

fn organisation(value: &str) -> Option<String> {
    let name = value.split('/').next().unwrap_or_default();
    let is_name = |name: &str| name.strip_prefix("o-").is_some_and(|id| !id.is_empty() && is_id(id));
    if value.eq_ignore_ascii_case("${aws:ResourceOrgID}") {
        return Some("${aws:ResourceOrgID}".to_owned());
    }
    is_name(name).then(|| name.to_owned())
}

fn private_network(value: &str) -> Option<String> {
    let id = value.strip_prefix("vpce-").or_else(|| value.strip_prefix("vpc-"))?;
    (!id.is_empty() && is_id(id)).then(|| value.to_owned())
}

/// The unique id of a role or a user, and whatever its sessions are called.
fn unique_id(value: &str) -> Option<String> {
    let id = value.split(':').next().unwrap_or_default();
    let is_one = (id.starts_with("AROA") || id.starts_with("AIDA")) && id.len() >= 16 && is_id(id);
    is_one.then(|| id.to_owned())
}

fn is_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn addresses(values: &[String]) -> Limit {
    let ranges: Option<Vec<Range>> = values.iter().map(|value| Range::parse(value)).collect();
    let Some(ranges) = ranges.filter(|ranges| !ranges.is_empty()) else { return Limit::None };
    // Together: of two halves of the world each is a half only.
    let mut v4: u64 = 0;
    let mut v6: u64 = 0;
    for range in &ranges {
        match range.address {
            IpAddr::V4(_) => v4 = v4.saturating_add(1_u64 << (32 - range.bits)),
            // In parts of a /64.
            IpAddr::V6(_) => {
                v6 = v6.saturating_add(1_u64.checked_shl(64 - u32::from(range.bits.min(64))).unwrap_or(u64::MAX))
            }
        }
    }
    if v4 > MOST_ADDRESSES || v6 > 1 << (64 - MOST_V6_BITS) {
        return Limit::None;
    }
    Limit::Networks(ranges.iter().map(Range::to_string).collect())
}

/// Addresses that have their first bits in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    address: IpAddr,
    bits: u8,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().ok()?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(whole), |bits| bits.trim().parse().ok())?;
        (bits <= whole).then_some(Self { address, bits })
    }

    fn contains(self, other: Self) -> bool {
        let number = |address: IpAddr| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
            IpAddr::V6(address) => u128::from(address),
        };
        let differ = number(self.address) ^ number(other.address);
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.bits <= other.bits
            && differ.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Principals, each with its kind. A text by itself is AWS's.
fn principals(principal: Option<&Value>) -> Vec<(String, String)> {
    match principal {
        None => Vec::new(),
        Some(Value::Object(kinds)) => kinds
            .iter()
            .flat_map(|(kind, values)| texts(values).into_iter().map(move |value| (kind.clone(), value)))
            .collect(),
        Some(values) => texts(values).into_iter().map(|value| ("AWS".to_owned(), value)).collect(),
    }
}

/// A field, however its name is written.
fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn many(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    many(value).iter().map(text).collect()
}

fn quoted(condition: &Value) -> String {
    let text = shown(&condition.to_string());
    match text.char_indices().nth(LONGEST_CONDITION) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What others have written, in letters that are what they seem.
fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|letter| {
            let is_plain = letter == ' ' || letter.is_ascii_graphic();
            let escaped = (!is_plain).then(|| letter.escape_unicode());
            is_plain.then_some(letter).into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a policy of one statement lets in, in account 1.
    fn of(statement: &str) -> Vec<Opening> {
        let policy = format!(r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*",{statement}}}}}"#);
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let trusted = Trusted {
            accounts: texts(&["777777777777"]),
            organisations: texts(&["o-ours"]),
            networks: texts(&["vpce-0fa", "203.0.113.0/24"]),
            ..Trusted::default()
        };
        openings(&policy, Some("111111111111"), &trusted).into_iter().map(|opened| opened.opening).collect()
    }

    /// The same, for everybody under a condition.
    fn under(condition: &str) -> Vec<Opening> {
        of(&format!(r#""Principal":"*","Condition":{condition}"#))
    }

    fn account(number: &str) -> Vec<Opening> {
        vec![Opening::Account(number.to_owned())]
    }

    const EVERYBODY: [Opening; 1] = [Opening::Everybody];
    const NOBODY: [Opening; 0] = [];

    #[test]
    fn who_is_let_in_is_whom_the_statement_names() {
        let another = account("222222222222");
        for (principal, expected) in [
            (r#""Principal":"*""#, &EVERYBODY[..]),
            (r#""Principal":["*"]"#, &EVERYBODY),
            (r#""Principal":{"AWS":"*"}"#, &EVERYBODY),
            (r#""principal":{"aws":"*"}"#, &EVERYBODY),
            (r#""Principal":{"AWS":["arn:aws:iam::111111111111:root","*"]}"#, &EVERYBODY),
            (r#""Principal":{"AWS":"arn:aws:iam::*:root"}"#, &EVERYBODY),
            (r#""Principal":{"AWS":"arn:*"}"#, &EVERYBODY),
            (r#""NotPrincipal":{"AWS":"arn:aws:iam::111111111111:root"}"#, &EVERYBODY),
            (r#""Principal":{"AWS":"arn:aws:iam::111111111111:role/shop"}"#, &NOBODY),
            (r#""Principal":{"AWS":"777777777777"}"#, &NOBODY),
            (r#""Principal":{"AWS":"222222222222"}"#, &another),
            (r#""Principal":{"AWS":222222222222}"#, &another),
            (r#""Principal":"222222222222""#, &another),
            (r#""Principal":{"AWS":"arn:aws:iam::222222222222:role/thief"}"#, &another),
            (r#""Principal":{"AWS":"arn:aws:sts::222222222222:assumed-role/thief/x"}"#, &another),
            (r#""Principal":{"AWS":"AIDAEXAMPLEEXAMPLE"}"#, &NOBODY),
            (r#""Principal":{"Service":"lambda.amazonaws.com"}"#, &NOBODY),
            (r#""Principal":{"Federated":"arn:aws:iam::222222222222:saml-provider/x"}"#, &another),
            (r#""Principal":{"Federated":"arn:aws:iam::111111111111:saml-provider/x"}"#, &NOBODY),
            (
                r#""Principal":{"Federated":"accounts.google.com"}"#,
                &[Opening::Stranger("accounts.google.com".to_owned())],
            ),
            (r#""Principal":{"CanonicalUser":"79a5"}"#, &[Opening::Stranger("79a5".to_owned())]),
        ] {
            assert_eq!(of(principal), expected, "{principal}");
        }
    }

    #[test]
    fn a_condition_that_is_true_where_the_key_is_absent_restricts_nobody() {
        for condition in [
            r#"{"ForAllValues:StringEquals":{"aws:PrincipalOrgID":"o-ours"}}"#,
            r#"{"ForAllValues:StringLike":{"aws:PrincipalOrgPaths":"o-ours/*"}}"#,
            r#"{"forallvalues:ArnLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:*"}}"#,
            r#"{"ForAllValues:IpAddress":{"aws:SourceIp":"203.0.113.7"}}"#,
            r#"{"StringEqualsIfExists":{"aws:PrincipalOrgID":"o-ours"}}"#,
            r#"{"StringLikeIfExists":{"aws:SourceVpce":"vpce-0fa"}}"#,
            r#"{"IpAddressIfExists":{"aws:SourceIp":"203.0.113.7/32"}}"#,
            r#"{"BoolIfExists":{"aws:PrincipalIsAWSService":"true"}}"#,
            r#"{"ForAnyValue:StringEqualsIfExists":{"aws:PrincipalOrgID":"o-ours"}}"#,
            r#"{"Null":{"aws:PrincipalOrgID":"true"}}"#,
            r#"{"Null":{"aws:PrincipalOrgID":"false"}}"#,
            r#"{"StringNotEquals":{"aws:PrincipalOrgID":"o-ours"}}"#,
            r#"{"StringNotEqualsIgnoreCase":{"aws:PrincipalAccount":"222222222222"}}"#,
            r#"{"StringNotLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:*"}}"#,
            r#"{"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:*"}}"#,
            r#"{"ArnNotEquals":{"aws:PrincipalArn":"arn:aws:iam::111111111111:root"}}"#,
            r#"{"NotIpAddress":{"aws:SourceIp":"203.0.113.7/32"}}"#,
            r#"{"Bool":{"aws:PrincipalIsAWSService":"false"}}"#,
            r#"{"Bool":{"aws:PrincipalIsAWSService":["true","false"]}}"#,
        ] {
            assert_eq!(under(condition), EVERYBODY, "{condition}");
        }
        let needed = r#"{"ForAllValues:StringLike":{"aws:PrincipalOrgPaths":"o-ours/*"},"Null":{"aws:PrincipalOrgPaths":"false"}}"#;
        assert_eq!(under(needed), NOBODY);
    }

    #[test]
    fn a_value_that_nearly_everybody_has_is_everybody() {
        for condition in [
            r#"{"StringLike":{"aws:SourceVpce":"vpce-*"}}"#,
            r#"{"StringLike":{"aws:SourceVpc":"vpc-?*"}}"#,
            r#"{"StringLike":{"aws:PrincipalOrgID":"o-*"}}"#,
            r#"{"StringLike":{"aws:PrincipalOrgID":"?*"}}"#,
            r#"{"StringEquals":{"aws:PrincipalOrgID":["o-ours","*"]}}"#,
            r#"{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["*/ou-1/*"]}}"#,
            r#"{"StringLike":{"aws:PrincipalAccount":"1*"}}"#,
            r#"{"StringLike":{"kms:CallerAccount":"????????????"}}"#,
            r#"{"StringLike":{"aws:PrincipalAccount":["111111111111","2*"]}}"#,
            r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/shop"}}"#,
            r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::1*:role/shop"}}"#,
            r#"{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::?11111111111:root"}}"#,
            r#"{"StringLike":{"aws:PrincipalArn":"arn:*"}}"#,
            r#"{"StringLike":{"aws:PrincipalArn":"*:role/shop"}}"#,
            // The path of a role may have colons in it.
            r#"{"StringLike":{"aws:PrincipalArn":"arn:aws:*:111111111111:role/x"}}"#,
            r#"{"StringLike":{"aws:PrincipalArn":"*"}}"#,
            r#"{"StringEquals":{"aws:PrincipalAccount":"${aws:PrincipalAccount}"}}"#,
            r#"{"StringEquals":{"aws:PrincipalOrgID":"${aws:PrincipalOrgID}"}}"#,
            r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::${aws:PrincipalAccount}:role/x"}}"#,
            r#"{"StringLike":{"aws:userId":"*:shop"}}"#,
            r#"{"IpAddress":{"aws:SourceIp":"0.0.0.0/0"}}"#,
            r#"{"IpAddress":{"aws:SourceIp":["0.0.0.0/1","128.0.0.0/1"]}}"#,
            r#"{"IpAddress":{"aws:SourceIp":"52.0.0.0/8"}}"#,
            r#"{"IpAddress":{"aws:SourceIp":["203.0.113.7/32","3.0.0.0/9"]}}"#,
            r#"{"IpAddress":{"aws:SourceIp":"::/0"}}"#,
            r#"{"IpAddress":{"aws:SourceIp":"2000::/3"}}"#,
            r#"{"IpAddress":{"aws:VpcSourceIp":"10.0.0.0/24"}}"#,
            r#"{"StringEquals":{"kms:ViaService":"secretsmanager.eu-west-1.amazonaws.com"}}"#,
            r#"{"StringEquals":{"aws:PrincipalTag/team":"shop"}}"#,
            r#"{"StringEquals":{"aws:PrincipalType":"AssumedRole"}}"#,
            r#"{"Bool":{"aws:SecureTransport":"true","aws:MultiFactorAuthPresent":"true","aws:ViaAWSService":"true"}}"#,
            r#"{"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"}}"#,
            r#"{"StringEquals":{"what:Ever":"111111111111"}}"#,
            "{}",
            "null",
            "[]",
        ] {
            assert_eq!(under(condition), EVERYBODY, "{condition}");
        }
    }

    #[test]
    fn a_condition_on_who_calls_leaves_those() {
        let another = account("222222222222");
        let network = |name: &str| vec![Opening::Network(name.to_owned())];
        let organisation = vec![Opening::Organisation("o-theirs".to_owned())];
        for (condition, expected) in [
            (r#"{"StringEquals":{"aws:PrincipalOrgID":"o-ours"}}"#, vec![]),
            (r#"{"stringequals":{"AWS:principalorgid":"o-ours"}}"#, vec![]),
            (r#"{"StringEquals":{"aws:PrincipalOrgID":["o-ours","o-theirs"]}}"#, organisation.clone()),
            (r#"{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["o-ours/r-1/ou-2/*"]}}"#, vec![]),
            (r#"{"ForAnyValue:StringLike":{"aws:PrincipalOrgPaths":["o-theirs/*"]}}"#, organisation),
            (r#"{"StringEquals":{"kms:CallerAccount":"111111111111"}}"#, vec![]),
            (r#"{"StringEquals":{"aws:PrincipalAccount":"${aws:ResourceAccount}"}}"#, vec![]),
            (r#"{"StringEquals":{"kms:CallerAccount":["111111111111","222222222222"]}}"#, another.clone()),
            (r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::222222222222:*"}}"#, another.clone()),
            (r#"{"ArnLike":{"aws:PrincipalArn":"arn:*:iam::111111111111:role/*"}}"#, vec![]),
            (r#"{"StringLike":{"aws:PrincipalArn":"arn:aws:iam::111111111111:role/*"}}"#, vec![]),
            (r#"{"StringEquals":{"aws:SourceVpce":"vpce-0fa"}}"#, vec![]),
            (r#"{"StringEquals":{"aws:SourceVpce":"vpce-0bad"}}"#, network("vpce-0bad")),
            (r#"{"IpAddress":{"aws:SourceIp":"203.0.113.128/25"}}"#, vec![]),
            (r#"{"IpAddress":{"aws:SourceIp":["203.0.113.7","198.51.100.0/24"]}}"#, network("198.51.100.0/24")),
            (r#"{"StringEquals":{"aws:VpceAccount":"111111111111"}}"#, vec![]),
            (r#"{"Bool":{"aws:PrincipalIsAWSService":true}}"#, vec![]),
            (r#"{"StringEquals":{"aws:SourceAccount":"111111111111"}}"#, vec![]),
            (
                r#"{"StringLike":{"aws:userId":"AROAEXAMPLEEXAMPLE:*"}}"#,
                vec![Opening::Stranger("AROAEXAMPLEEXAMPLE".to_owned())],
            ),
            (
                r#"{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/shop"},"StringEquals":{"aws:PrincipalOrgID":"o-ours"}}"#,
                vec![],
            ),
            (
                r#"{"StringEquals":{"aws:PrincipalAccount":["111111111111","222222222222"]},"StringLike":{"aws:PrincipalAccount":"222222222222"}}"#,
                another.clone(),
            ),
        ] {
            assert_eq!(under(condition), expected, "{condition}");
        }
    }

    #[test]
    fn a_foreign_account_counts_wherever_it_has_to_come_from() {
        let named = |condition: &str| {
            of(&format!(r#""Principal":{{"AWS":"arn:aws:iam::222222222222:role/x"}},"Condition":{condition}"#))
        };
        for condition in [
            r#"{"IpAddress":{"aws:SourceIp":"198.51.100.7/32"}}"#,
            r#"{"IpAddress":{"aws:SourceIp":"203.0.113.7/32"}}"#,
            r#"{"StringEquals":{"aws:SourceVpce":"vpce-0fa"}}"#,
            r#"{"StringEquals":{"aws:PrincipalOrgID":"o-theirs"}}"#,
            r#"{"StringEquals":{"aws:PrincipalTag/team":"shop"}}"#,
            r#"{"StringLike":{"aws:userId":"AROAEXAMPLEEXAMPLE:*"}}"#,
        ] {
            assert_eq!(named(condition), account("222222222222"), "{condition}");
        }
        assert_eq!(named(r#"{"StringEquals":{"aws:PrincipalOrgID":"o-ours"}}"#), NOBODY);
        assert_eq!(named(r#"{"StringEquals":{"aws:PrincipalAccount":"111111111111"}}"#), NOBODY);
    }

    #[test]
    fn of_a_policy_that_cannot_be_read_it_is_not_known_whom_it_lets_in() {
        let all = |text: &str| openings(text, None, &Trusted::default());
        for lost in ["", "no policy", "{}", "[]", r#"{"Statement""#] {
            assert_eq!(
                all(lost).iter().map(|opened| &opened.opening).collect::<Vec<_>>(),
                [&Opening::Unknown],
                "{lost}"
            );
        }
        assert!(all(r#"{"Statement":[{"Effect":"Deny","Principal":"*"}]}"#).is_empty());
        let odd = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Condition":{"StringLike":{"aws:x":"\u202e"}}}]}"#;
        assert_eq!(all(odd)[0].condition, r#"{"StringLike":{"aws:x":"\u{202e}"}}"#);
    }

    #[test]
    fn only_the_name_of_a_service_is_a_service() {
        for (principal, expected) in [
            ("rds.amazonaws.com", true),
            ("rds.eu-west-1.amazonaws.com", true),
            ("ec2.amazonaws.com.cn", true),
            ("arn:aws:iam::444455556666:role/backup.amazonaws.com", false),
            ("arn:aws:iam::444455556666:user/x/rds.amazonaws.com", false),
            ("444455556666.x/rds.amazonaws.com", false),
            (".amazonaws.com", false),
            ("rds.amazonaws.com.evil.example", false),
        ] {
            assert_eq!(is_service(principal), expected, "{principal}");
        }
        assert_eq!(account_of("arn:aws:iam::444455556666:role/backup.amazonaws.com"), Some("444455556666"));
    }
}
