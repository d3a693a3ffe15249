//! Who is denied, and who never is.

use crate::wildcard;

/// A role or a user of IAM, which a policy can deny something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Principal {
    arn: String,
    /// Where a role's name begins, after its path.
    name: usize,
}

/// Whom no policy of ours denies anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spared {
    /// The root user of an account.
    Root,
    /// A service of AWS, or a role that is linked to one.
    Service,
    /// IAM has no name for them that is known.
    Nameless,
    /// Whoever the settings spare.
    Never,
}

impl Principal {
    /// The principal of an ARN, in any account.
    ///
    /// # Errors
    /// When it is nobody whom a policy should or can deny anything.
    pub fn of(text: &str) -> Result<Self, Spared> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let [arn, partition, service, "", account, rest] = parts[..] else {
            return Err(if text.ends_with(".amazonaws.com") { Spared::Service } else { Spared::Nameless });
        };
        let is_iams = arn == "arn" && partition.starts_with("aws") && service == "iam";
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        match rest.split_once('/') {
            _ if !is_iams || !is_account => Err(Spared::Nameless),
            None if rest == "root" => Err(Spared::Root),
            Some(("role", path)) if path.starts_with("aws-service-role/") => Err(Spared::Service),
            Some(("role" | "user", path)) if is_plain(path) => {
                let name = text.rfind('/').map_or(text.len(), |slash| slash + 1);
                Ok(Self { arn: text.to_owned(), name })
            }
            Some(_) | None => Err(Spared::Nameless),
        }
    }

    /// The ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The values of `aws:PrincipalArn` that it has. That is a role's own ARN, whatever its session is called. An event may
    /// know a role by its session only, and so without its path; but names of roles are unique in their account.
    ///
    /// Source: the IAM user guide, "AWS global condition context keys", and "IAM and STS quotas" on names.
    pub fn patterns(&self) -> Vec<String> {
        let (before, name) = self.arn.split_at(self.name);
        let has_path = !before.ends_with(":role/") && !before.ends_with(":user/");
        let anywhere = (!has_path).then(|| format!("{before}*/{name}"));
        [self.arn.clone()].into_iter().chain(anywhere).collect()
    }

    /// The same without a path.
    fn without_path(&self) -> String {
        let (before, name) = self.arn.split_at(self.name);
        let kind = before.find('/').map_or(before, |slash| &before[..=slash]);
        format!("{kind}{name}")
    }
}

/// A path and a name, of the characters that IAM allows: nothing in it is a wildcard, or a policy's variable.
fn is_plain(path: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
    !path.is_empty() && !path.ends_with('/') && path.len() <= 576 && path.bytes().all(is_allowed)
}

/// Roles and users, as ARNs in which `*` and `?` stand for others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exempt(Vec<String>);

impl Exempt {
    /// The patterns of a setting, separated by commas.
    ///
    /// # Errors
    /// The first that is none of a role or user, or that stands for every one of them.
    pub fn read(text: &str) -> Result<Self, String> {
        let patterns = text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty());
        let is_one = |pattern: &&str| {
            let parts: Vec<&str> = pattern.splitn(6, ':').collect();
            let name = parts.get(5).and_then(|rest| rest.strip_prefix("role/").or_else(|| rest.strip_prefix("user/")));
            matches!(parts[..], ["arn", _, "iam", "", _, _])
                && name.is_some_and(|name| name.bytes().any(|byte| byte.is_ascii_alphanumeric()))
        };
        patterns
            .map(|pattern| Some(pattern).filter(is_one).map(str::to_owned).ok_or_else(|| pattern.to_owned()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether nobody is meant.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, and others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Whether a principal is meant. Of a role whose path may not be known, its name decides.
    pub fn covers(&self, principal: &Principal) -> bool {
        let bare = principal.without_path();
        self.0.iter().any(|pattern| {
            let short = match (pattern.find('/'), pattern.rfind('/')) {
                (Some(first), Some(last)) => format!("{}{}", &pattern[..=first], &pattern[last + 1..]),
                (_, _) => pattern.clone(),
            };
            // A path of which everything is meant says nothing of names.
            let names = short.rsplit('/').next().is_some_and(|name| name.bytes().any(|b| b.is_ascii_alphanumeric()));
            wildcard::fits(pattern, &principal.arn) || (names && wildcard::fits(&short, &bare))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ACCOUNT: &str = "arn:aws:iam::123456789012:";

    fn principal(rest: &str) -> Result<Principal, Spared> {
        Principal::of(&format!("{ACCOUNT}{rest}"))
    }

    #[test]
    fn roles_and_users_can_be_denied_and_nobody_else() {
        for named in ["role/report", "role/teams/a/report", "user/eve", "role/aws-reserved/sso.amazonaws.com/x/Admin"] {
            assert!(principal(named).is_ok(), "{named}");
        }
        let spared = |rest| principal(rest).unwrap_err();
        assert_eq!(spared("root"), Spared::Root);
        assert_eq!(spared("role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS"), Spared::Service);
        assert_eq!(Principal::of("lambda.amazonaws.com").unwrap_err(), Spared::Service);
        let none =
            ["", "*", "123456789012", "arn:aws:sts::123456789012:assumed-role/report/s", "arn:aws:iam::1:role/x"];
        for nameless in none {
            assert_eq!(Principal::of(nameless).unwrap_err(), Spared::Nameless, "{nameless}");
        }
        for odd in ["role/*", "role/a?", "role/${aws:username}", "role/", "role/a/", "group/x", "role/a b"] {
            assert_eq!(spared(odd), Spared::Nameless, "{odd}");
        }
    }

    #[test]
    fn a_role_without_a_path_is_denied_with_whatever_path_it_has() {
        let patterns = |rest| principal(rest).unwrap().patterns();
        assert_eq!(patterns("role/report"), [format!("{ACCOUNT}role/report"), format!("{ACCOUNT}role/*/report")]);
        assert_eq!(patterns("role/teams/report"), [format!("{ACCOUNT}role/teams/report")]);
    }

    #[test]
    fn whoever_is_exempt_is_so_with_and_without_a_path() {
        let exempt = |pattern: &str, rest: &str| {
            Exempt::read(&format!("{ACCOUNT}{pattern}")).unwrap().covers(&principal(rest).unwrap())
        };
        assert!(exempt("role/rotate", "role/rotate"));
        assert!(exempt("role/service/rotate", "role/rotate"), "the event may not know the path");
        assert!(exempt("role/rotate", "role/service/rotate"));
        assert!(exempt("role/break-glass-*", "role/break-glass-1"));
        assert!(exempt("role/break/*", "role/break/anyone"));
        assert!(!exempt("role/break/*", "role/report"));
        assert!(!exempt("role/rotate", "role/rotate2"));
        assert!(!exempt("role/rotate", "user/rotate"));
        assert!(Exempt::read("arn:aws:iam::*:role/admin").unwrap().covers(&principal("role/admin").unwrap()));
    }

    #[test]
    fn an_exemption_of_everybody_is_a_slip_of_the_pen() {
        for wrong in ["*", "report", "arn:aws:iam::123456789012:root", "arn:aws:iam::123456789012:role/*", "a:role/x"] {
            assert_eq!(Exempt::read(wrong).unwrap_err(), wrong);
        }
        assert!(Exempt::read(" , ").unwrap().is_empty());
    }
}
