//! How new passwords are made: the settings of AWS's rotation functions, under their names and with their defaults.

use rand::rand_core::UnwrapErr;
use rand::{CryptoRng, rngs::SysRng, seq::IndexedRandom};
use secrecy::SecretString;

const LOWERCASE: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPERCASE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NUMBERS: &str = "0123456789";
/// The punctuation of Secrets Manager's GetRandomPassword.
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
/// What AWS's functions leave out when nothing else is said: characters that break connection strings.
const DEFAULT_EXCLUDED: &str = ":/@\"'\\";
const DEFAULT_LENGTH: usize = 32;
/// Shorter passwords can be found from a leaked verifier.
const SHORTEST: usize = 8;
/// GetRandomPassword's own upper limit.
const LONGEST: usize = 4096;

/// Which passwords are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordPolicy {
    length: usize,
    /// The kinds of characters in use, each without what is excluded; none is empty.
    kinds: Vec<Vec<char>>,
    require_each: bool,
}

/// Why no password can be made by the settings given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyProblem {
    /// Length out of range.
    #[error("PASSWORD_LENGTH must be a number from {SHORTEST} to {LONGEST}, not `{0}`")]
    Length(String),
    /// A flag is neither true nor false.
    #[error("{0} must be `true` or `false` (or `1`, `0`, `yes`, `no`, `y`, `n`), not `{1}`")]
    Flag(&'static str, String),
    /// Nothing is left to choose from.
    #[error("the EXCLUDE_… settings leave no character to make a password of")]
    Nothing,
}

impl PasswordPolicy {
    /// Reads the policy from settings by name: `PASSWORD_LENGTH`, `EXCLUDE_CHARACTERS`, `EXCLUDE_NUMBERS`,
    /// `EXCLUDE_PUNCTUATION`, `EXCLUDE_UPPERCASE`, `EXCLUDE_LOWERCASE`, `REQUIRE_EACH_INCLUDED_TYPE`. An empty
    /// `EXCLUDE_CHARACTERS` excludes nothing, as in AWS's functions.
    ///
    /// # Errors
    /// Every problem there is, not only the first.
    pub fn from_settings(setting: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<PolicyProblem>> {
        let mut problems = Vec::new();
        let mut flag = |name: &'static str, default| match setting(name) {
            None => default,
            Some(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "y" => true,
                "false" | "0" | "no" | "n" => false,
                "" => default,
                _ => {
                    problems.push(PolicyProblem::Flag(name, text));
                    default
                }
            },
        };
        let included = [
            (LOWERCASE, !flag("EXCLUDE_LOWERCASE", false)),
            (UPPERCASE, !flag("EXCLUDE_UPPERCASE", false)),
            (NUMBERS, !flag("EXCLUDE_NUMBERS", false)),
            (PUNCTUATION, !flag("EXCLUDE_PUNCTUATION", false)),
        ];
        let require_each = flag("REQUIRE_EACH_INCLUDED_TYPE", true);
        let excluded = setting("EXCLUDE_CHARACTERS").unwrap_or_else(|| DEFAULT_EXCLUDED.to_owned());
        let kinds: Vec<Vec<char>> = included
            .into_iter()
            .filter(|(_, included)| *included)
            .map(|(kind, _)| kind.chars().filter(|character| !excluded.contains(*character)).collect())
            .filter(|kind: &Vec<char>| !kind.is_empty())
            .collect();
        if kinds.is_empty() {
            problems.push(PolicyProblem::Nothing);
        }
        let length = setting("PASSWORD_LENGTH").filter(|text| !text.is_empty()).map_or(Some(DEFAULT_LENGTH), |text| {
            let length = text.parse().ok().filter(|length| (SHORTEST..=LONGEST).contains(length));
            if length.is_none() {
                problems.push(PolicyProblem::Length(text));
            }
            length
        });
        match length {
            Some(length) if problems.is_empty() => Ok(Self { length, kinds, require_each }),
            _ => Err(problems),
        }
    }

    /// Makes a password from the operating system's randomness.
    pub fn generate(&self) -> SecretString {
        self.generate_from(&mut UnwrapErr(SysRng))
    }

    /// Draws whole passwords until one has every kind that is required. Placing the required characters by hand
    /// instead would make some passwords likelier than others.
    fn generate_from(&self, random: &mut impl CryptoRng) -> SecretString {
        let all: Vec<char> = self.kinds.concat();
        loop {
            let password: String = (0..self.length).filter_map(|_| all.choose(random)).collect();
            let has = |kind: &Vec<char>| kind.iter().any(|character| password.contains(*character));
            if !self.require_each || self.kinds.iter().all(has) {
                return password.into();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    #[test]
    fn the_defaults_are_those_of_awss_functions() {
        let password = PasswordPolicy::from_settings(|_| None).unwrap().generate();
        let password = password.expose_secret();
        assert_eq!(password.len(), 32);
        assert!(!password.contains([':', '/', '@', '"', '\'', '\\']));
    }

    #[test]
    fn two_passwords_differ() {
        let policy = PasswordPolicy::from_settings(|_| None).unwrap();
        assert_ne!(policy.generate().expose_secret(), policy.generate().expose_secret());
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let problems = PasswordPolicy::from_settings(|name| {
            Some(
                if name == "EXCLUDE_PUNCTUATION" {
                    "perhaps"
                } else if name == "PASSWORD_LENGTH" {
                    "7"
                } else {
                    "true"
                }
                .into(),
            )
        });
        let text: Vec<String> = problems.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "EXCLUDE_PUNCTUATION must be `true` or `false` (or `1`, `0`, `yes`, `no`, `y`, `n`), not `perhaps`",
                "PASSWORD_LENGTH must be a number from 8 to 4096, not `7`",
            ]
        );
        assert_eq!(
            PasswordPolicy::from_settings(|name| name.starts_with("EXCLUDE_").then(|| "true".into())),
            Err(vec![PolicyProblem::Nothing])
        );
    }

    proptest! {
        #[test]
        fn a_password_keeps_to_its_policy(
            length in SHORTEST..80usize, excluded in "[ -~]{0,20}", flags in proptest::array::uniform5(any::<bool>())
        ) {
            let names = ["EXCLUDE_LOWERCASE", "EXCLUDE_UPPERCASE", "EXCLUDE_NUMBERS", "EXCLUDE_PUNCTUATION", "REQUIRE_EACH_INCLUDED_TYPE"];
            let policy = PasswordPolicy::from_settings(|name| match name {
                "PASSWORD_LENGTH" => Some(length.to_string()),
                "EXCLUDE_CHARACTERS" => Some(excluded.clone()),
                _ => names.iter().position(|known| *known == name).map(|index| flags[index].to_string()),
            });
            let Ok(policy) = policy else {
                prop_assert!(flags[..4].iter().filter(|excluded| **excluded).count() >= 3);
                return Ok(());
            };
            let password = policy.generate();
            let password = password.expose_secret();
            prop_assert_eq!(password.chars().count(), length);
            prop_assert!(!password.chars().any(|character| excluded.contains(character)));
            for (index, kind) in [LOWERCASE, UPPERCASE, NUMBERS, PUNCTUATION].into_iter().enumerate() {
                let usable = kind.chars().any(|character| !excluded.contains(character)) && !flags[index];
                let has = password.chars().any(|character| kind.contains(character));
                prop_assert!(usable || !has);
                prop_assert!(!usable || !flags[4] || has);
            }
        }
    }
}
