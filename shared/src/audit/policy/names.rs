//! Patterns of names.

use crate::wildcard;
use relatch_events::cloudtrail::target::Target;
use std::fmt;

/// A name in which `*` stands for any characters, also for none, and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern of a text.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether a name is one of those.
    pub fn matches(&self, name: &str) -> bool {
        wildcard::fits(&self.0, name)
    }

    /// Whether every name is one of those.
    pub(in crate::audit) fn is_anything(&self) -> bool {
        self.0.contains('*') && self.0.bytes().all(|byte| matches!(byte, b'*' | b'?'))
    }

    /// Whether a principal is one of those: by its ARN, or by what comes last in it.
    pub fn matches_principal(&self, id: &str) -> bool {
        self.matches(id) || self.matches(last_of(id))
    }
}

/// Whether a name is one of any of those.
pub(in crate::audit) fn any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// Whether a thing is named as such: by its ARN, or by a name without `*`.
pub(in crate::audit) fn any_exactly(patterns: &[Pattern], thing: &Target) -> bool {
    let arn = thing.to_string();
    patterns.iter().any(|pattern| !pattern.0.contains('*') && (pattern.0 == arn || pattern.0 == thing.name))
}

/// Whether a thing is one of those, by its ARN or by its name.
pub(in crate::audit) fn any_thing(patterns: &[Pattern], thing: &Target) -> bool {
    let is_one = |pattern: &Pattern| {
        pattern.matches(&thing.name) || pattern.0.starts_with("arn:") && pattern.matches(&thing.to_string())
    };
    patterns.iter().any(is_one)
}

/// How a principal is one of some patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) enum Named {
    /// It is none of them.
    Not,
    /// By its name, as somebody in any account can be called: so it holds in an account of ours only.
    ByName,
    /// By its ARN, with the account in it.
    ByArn,
}

impl Named {
    /// Whether it holds, where the principal's account is ours or not.
    pub(in crate::audit) fn holds(self, is_ours: bool) -> bool {
        match self {
            Self::Not => false,
            Self::ByName => is_ours,
            Self::ByArn => true,
        }
    }
}

/// How a principal is one of any of those.
pub(in crate::audit) fn named(patterns: &[Pattern], id: &str) -> Named {
    let tells_account = |pattern: &Pattern| {
        let account = pattern.0.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(3));
        account.is_some_and(|account| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()))
            && !pattern.0.split(':').take(5).any(|part| part.contains('*'))
    };
    let mut found = Named::Not;
    for pattern in patterns.iter().filter(|pattern| pattern.matches_principal(id)) {
        if tells_account(pattern) {
            return Named::ByArn;
        }
        found = Named::ByName;
    }
    found
}

/// The name of a role or a user, without path and account.
pub(in crate::audit) fn last_of(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or_default()
}

/// How names tell the environment: `{env}` is one of the environments, `{a|b}` one of these words, any other `{…}` one
/// character or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Environment,
    OneOf(Vec<String>),
    Any,
}

/// Why a text is no pattern of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// It does not tell the environment.
    #[error("has no {{env}}, or more than one")]
    NoEnvironment,
    /// A brace is never closed.
    #[error("has a brace that is not closed")]
    Unclosed,
}

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it has no environment in it, or a brace that is never closed.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (hole, after) = after.split_once('}').ok_or(BadPattern::Unclosed)?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match hole {
                "env" => Part::Environment,
                words if words.contains('|') => Part::OneOf(words.split('|').map(str::to_owned).collect()),
                _ => Part::Any,
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        match parts.iter().filter(|part| **part == Part::Environment).count() {
            1 => Ok(Self(parts)),
            _ => Err(BadPattern::NoEnvironment),
        }
    }

    /// Which of the environments a name is of, if the name is one of these. Of several, the one that comes first in it.
    pub(super) fn environment(&self, name: &str, environments: &[String]) -> Option<usize> {
        let mut found = None;
        fits(&self.0, name, environments, &mut found).then_some(found).flatten()
    }
}

fn fits(parts: &[Part], text: &str, environments: &[String], found: &mut Option<usize>) -> bool {
    let Some((part, rest)) = parts.split_first() else { return text.is_empty() };
    match part {
        Part::Text(word) => text.strip_prefix(word.as_str()).is_some_and(|text| fits(rest, text, environments, found)),
        Part::Environment => environments.iter().enumerate().any(|(index, name)| {
            let fit = text.strip_prefix(name.as_str()).is_some_and(|text| fits(rest, text, environments, found));
            if fit {
                *found = Some(index);
            }
            fit
        }),
        Part::OneOf(words) => words
            .iter()
            .any(|word| text.strip_prefix(word.as_str()).is_some_and(|text| fits(rest, text, environments, found))),
        Part::Any => {
            let ends =
                text.char_indices().skip(1).map(|(index, _)| index).chain((!text.is_empty()).then_some(text.len()));
            ends.into_iter().any(|end| fits(rest, &text[end..], environments, found))
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("shop", "shop", true),
            ("shop", "shop-api", false),
            ("*", "", true),
            ("shop-*", "shop-", true),
            ("*-api", "shop-api", true),
            ("s*-*i", "shop-api", true),
            ("a*a", "a", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} {name}");
        }
        assert!(Pattern::new("terraform").matches_principal("arn:aws:iam::111122223333:role/deploy/terraform"));
    }

    #[test]
    fn a_name_tells_its_environment() {
        let environments = super::super::Environments::default();
        for (name, expected) in [
            ("shop-prod-secret-database", Some("prod")),
            ("my-shop-staging-secret-external-apis", Some("staging")),
            ("shop-dev-jwt", Some("dev")),
            ("shop-dev-cache", None),
            ("shop-qa-jwt", None),
            ("prod/shop/database", Some("prod")),
            ("/shop/prod/database/password", Some("prod")),
            ("", None),
        ] {
            assert_eq!(environments.of_secret(name, None), expected, "{name}");
        }
        assert_eq!(environments.of_principal("arn:aws:iam::111122223333:role/shop-dev-api", None), Some("dev"));
    }

    #[test]
    fn a_pattern_has_one_environment() {
        assert_eq!(NamePattern::parse("{project}-{name}"), Err(BadPattern::NoEnvironment));
        assert_eq!(NamePattern::parse("{env}-{env}"), Err(BadPattern::NoEnvironment));
        assert_eq!(NamePattern::parse("{env}-{name"), Err(BadPattern::Unclosed));
        assert!(NamePattern::parse("{env}").unwrap().environment("é", &["é".to_owned()]).is_some());
    }
}
