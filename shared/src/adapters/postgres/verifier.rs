//! Passwords as the server keeps them.
//!
//! The verifier is made on the client, so that the password is in no statement, no log of the server and no
//! `pg_stat_statements`. Format: PostgreSQL documentation, "pg_authid", column `rolpassword`; RFC 5802 and RFC 7677.

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine, prelude::BASE64_STANDARD};
use rand::{Rng, rand_core::UnwrapErr, rngs::SysRng};
use secrecy::{ExposeSecret, SecretString};
use std::num::NonZeroU32;
use tracing::warn;

/// PostgreSQL's default for `scram_iterations`, the fixed number before release 16, and the least of RFC 7677.
const FEWEST_ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("4096 is not zero");

/// The most that clients compute at a login: postgres-protocol, with which Relatch itself logs in, and pgjdbc (since
/// CVE-2026-42198) refuse more. Anybody may set `scram_iterations` for a role of his own, up to 2,147,483,647.
const MOST_ITERATIONS: NonZeroU32 = NonZeroU32::new(100_000).expect("100,000 is not zero");

const SALT_LENGTH: usize = 16;

/// What kind of verifier to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `scram-sha-256`, with this many iterations.
    Scram(NonZeroU32),
    /// `md5`: only for servers that are set to it.
    Md5,
}

impl Kind {
    /// The kind that a login can be made with. `scram` is whether SCRAM is how the session itself was let in: then
    /// `pg_hba.conf` may demand it of others too, and an md5 verifier would lock the role out for good. `md5` is whether
    /// the server makes md5 verifiers, `iterations` what it says of SCRAM.
    pub(super) fn fit(scram: bool, md5: bool, iterations: Option<&str>) -> Self {
        if md5 && !scram {
            return Self::Md5;
        }
        let Some(wanted) = iterations.and_then(|text| text.parse::<i64>().ok()) else {
            return Self::Scram(FEWEST_ITERATIONS);
        };
        let fewest = i64::from(FEWEST_ITERATIONS.get());
        let clamped = wanted.clamp(fewest, i64::from(MOST_ITERATIONS.get()));
        if clamped != wanted {
            warn!(
                database.iterations_wanted = wanted,
                database.iterations = clamped,
                "scram_iterations is outside of 4,096 to 100,000: fewer are too weak, and more are refused by clients"
            );
        }
        Self::Scram(u32::try_from(clamped).ok().and_then(NonZeroU32::new).unwrap_or(FEWEST_ITERATIONS))
    }
}

/// The verifier of a user's password.
pub(super) fn make(kind: Kind, user: &str, password: &SecretString) -> String {
    match kind {
        Kind::Md5 => postgres_protocol::password::md5(password.expose_secret().as_bytes(), user),
        Kind::Scram(iterations) => {
            let mut salt = [0; SALT_LENGTH];
            UnwrapErr(SysRng).fill_bytes(&mut salt);
            scram(password.expose_secret(), &salt, iterations)
        }
    }
}

fn scram(password: &str, salt: &[u8], iterations: NonZeroU32) -> String {
    // As the server does it: a password that cannot be normalised is taken as it is.
    let normalised = stringprep::saslprep(password).unwrap_or(password.into());
    let mut salted = [0; digest::SHA256_OUTPUT_LEN];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, normalised.as_bytes(), &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let stored = digest::digest(&digest::SHA256, hmac::sign(&key, b"Client Key").as_ref());
    let server = hmac::sign(&key, b"Server Key");
    let [salt, stored, server] = [salt, stored.as_ref(), server.as_ref()].map(|bytes| BASE64_STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${iterations}:{salt}${stored}:{server}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The exchange in RFC 7677, section 3, has this salt, these iterations and this password; its proofs verify
    /// against these keys.
    #[test]
    fn the_example_of_the_rfc() {
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        assert_eq!(
            scram("pencil", &salt, FEWEST_ITERATIONS),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn a_verifier_shows_no_password_and_never_repeats() {
        let password = "MARKED-password".to_owned().into();
        let one = make(Kind::Scram(FEWEST_ITERATIONS), "app", &password);
        assert!(!one.contains("MARKED"));
        assert_ne!(one, make(Kind::Scram(FEWEST_ITERATIONS), "app", &password));
        assert_eq!(make(Kind::Md5, "app", &password).len(), 35);
    }

    #[test]
    fn the_verifier_is_one_that_can_log_in() {
        let scram = |iterations| Kind::Scram(NonZeroU32::new(iterations).unwrap());
        for (case, (by_scram, md5, iterations), kind) in [
            ("a server before 16", (true, false, None), scram(4096)),
            ("a server of md5, and a login by md5", (false, true, None), Kind::Md5),
            ("a server or role set to md5, and a login by SCRAM", (true, true, Some("4096")), scram(4096)),
            ("a server gone over to SCRAM, and a login by md5", (false, false, Some("4096")), scram(4096)),
            ("more iterations than usual", (true, false, Some("60000")), scram(60_000)),
            ("too few", (true, false, Some("1")), scram(4096)),
            ("the most that clients compute", (true, false, Some("100000")), scram(100_000)),
            ("more than that", (true, false, Some("600000")), scram(100_000)),
            ("PostgreSQL's most", (true, false, Some("2147483647")), scram(100_000)),
            ("what no PostgreSQL says", (true, false, Some("-5")), scram(4096)),
            ("what is no number", (true, false, Some("99999999999999999999")), scram(4096)),
        ] {
            assert_eq!(Kind::fit(by_scram, md5, iterations), kind, "{case}");
        }
    }

    #[test]
    fn equal_characters_in_other_forms_make_the_same_verifier() {
        assert_eq!(scram("I\u{ad}X", b"salt", FEWEST_ITERATIONS), scram("IX", b"salt", FEWEST_ITERATIONS));
    }
}
