//! Passwords as the server keeps them.
//!
//! The verifier is made on the client, so that the password is in no statement, no log of the server and no
//! `pg_stat_statements`. Format: PostgreSQL documentation, "pg_authid", column `rolpassword`; RFC 5802 and RFC 7677.

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine, prelude::BASE64_STANDARD};
use rand::{Rng, rand_core::UnwrapErr, rngs::SysRng};
use secrecy::{ExposeSecret, SecretString};
use std::num::NonZeroU32;

/// PostgreSQL's default for `scram_iterations`, and the fixed number before release 16.
pub(super) const DEFAULT_ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("4096 is not zero");

const SALT_LENGTH: usize = 16;

/// What kind of verifier to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `scram-sha-256`, with this many iterations.
    Scram(NonZeroU32),
    /// `md5`: only for servers that are set to it.
    Md5,
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
            scram("pencil", &salt, DEFAULT_ITERATIONS),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn a_verifier_shows_no_password_and_never_repeats() {
        let password = "MARKED-password".to_owned().into();
        let one = make(Kind::Scram(DEFAULT_ITERATIONS), "app", &password);
        assert!(!one.contains("MARKED"));
        assert_ne!(one, make(Kind::Scram(DEFAULT_ITERATIONS), "app", &password));
        assert_eq!(make(Kind::Md5, "app", &password).len(), 35);
    }

    #[test]
    fn equal_characters_in_other_forms_make_the_same_verifier() {
        assert_eq!(scram("I\u{ad}X", b"salt", DEFAULT_ITERATIONS), scram("IX", b"salt", DEFAULT_ITERATIONS));
    }
}
