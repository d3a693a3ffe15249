//! The name of a host, as a secret holds it and as DNS compares it.

use std::net::IpAddr;

/// The longest name, and the longest part of one, in bytes. Source: RFC 1035, 2.3.4.
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Why the field `host` names no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum HostProblem {
    /// A blank, a line break or another control character.
    #[error("`host` has a blank or a line break in it: write the host's name only")]
    Blank,
    /// `postgres://…`.
    #[error("`host` is a URL: write the host's name only; user, port and database have fields of their own")]
    Url,
    /// `user@…`.
    #[error("`host` has a user in it (`@`): write the host's name only, and the user as `username`")]
    User,
    /// `…/database`, `…?option`, or the folder of a socket.
    #[error("`host` has a path or an option in it: write the host's name only, and the database as `dbname`")]
    Path,
    /// `[…]`, as an IPv6 address stands in a URL.
    #[error("`host` is in brackets: write the address without them, and its port as the number `port`")]
    Brackets,
    /// `name:port`, as Terraform and Crossplane put it out as `endpoint`.
    #[error("`host` has a port in it: write the name only, and the port as the number `port`")]
    Port,
    /// Anything else that is neither a name nor an address.
    #[error(
        "`host` is no host name: one name of letters, digits, `-` and `_` between dots (an international one as `xn--…`), or one address"
    )]
    NotAName,
}

/// The host as DNS compares it: in small letters, without the dot at its end. An address in its usual form.
pub(super) fn read(text: &str) -> Result<String, HostProblem> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(HostProblem::Blank);
    }
    if text.contains("://") {
        return Err(HostProblem::Url);
    }
    if text.contains('@') {
        return Err(HostProblem::User);
    }
    if text.contains(['/', '\\', '?', '#']) {
        return Err(HostProblem::Path);
    }
    if text.starts_with('[') {
        return Err(HostProblem::Brackets);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_string());
    }
    if text.matches(':').count() == 1 {
        return Err(HostProblem::Port);
    }
    let name = canonical(text);
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    // What ends in a number is an address in a form that resolvers read differently, or none at all.
    let is_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if name.len() > LONGEST || is_number || !name.split('.').all(is_label) {
        return Err(HostProblem::NotAName);
    }
    Ok(name)
}

/// A name in the form in which DNS's comparison is one of text.
pub(super) fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::{HostProblem::*, *};

    #[test]
    fn a_host_is_compared_as_dns_compares_it() {
        for (text, host) in [
            ("db.example.com", "db.example.com"),
            ("DB.Example.COM.", "db.example.com"),
            ("localhost", "localhost"),
            ("shop_db", "shop_db"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("10.0.0.1", "10.0.0.1"),
            ("::1", "::1"),
            ("0:0:0:0:0:0:0:1", "::1"),
            ("FE80::A", "fe80::a"),
        ] {
            assert_eq!(read(text), Ok(host.to_owned()), "{text}");
        }
    }

    #[test]
    fn whatever_is_no_host_name_is_told_by_what_is_in_it() {
        let (label, name) = ("a".repeat(64), ["a".repeat(60).as_str(); 5].join("."));
        for (text, problem) in [
            ("db.example.com:5432", Port),
            ("localhost:", Port),
            ("postgres://u:p@db.example.com:5432/app", Url),
            ("https://db.example.com", Url),
            ("app@db.example.com", User),
            ("db.example.com/app", Path),
            ("/var/run/postgresql", Path),
            ("db.example.com?sslmode=disable", Path),
            ("[::1]", Brackets),
            ("[::1]:5432", Brackets),
            (" db.example.com", Blank),
            ("db.example.com\n", Blank),
            ("db .example.com", Blank),
            ("\u{a0}db", Blank),
            ("db,other", NotAName),
            ("db..example.com", NotAName),
            (".", NotAName),
            ("db.example.com..", NotAName),
            ("bücher.example", NotAName),
            ("127.1", NotAName),
            ("256.1.1.1", NotAName),
            ("1:2:3", NotAName),
            ("fe80::1%eth0", NotAName),
            (label.as_str(), NotAName),
            (name.as_str(), NotAName),
        ] {
            assert_eq!(read(text), Err(problem), "{text}");
        }
    }
}
