//! What every session of ours runs under, whatever anybody has set for its role, its database or the server.
//!
//! Settings of a role, of a database or of both come into force at a login, and the database's owner makes some of them.
//! In an admin's session they would decide which function a name means, whom it acts as, what is written to the log. Those
//! that a session sends along in its start-up packet go before all of them, and are in force before anything else is.
//! Source: <https://www.postgresql.org/docs/current/runtime-config-client.html>, `GucSource` in PostgreSQL's `guc.h`.

use std::time::Duration;

/// Name and value. All of them may be set by anybody, for himself and for a database that he owns.
const KNOWN: [(&str, &str); 25] = [
    // No function, operator, type or table of anybody's own has a name here.
    ("search_path", "pg_catalog, pg_temp"),
    // A role that a session has taken on can neither change the password nor be left otherwise.
    ("role", "none"),
    // A change that a login has proved could still be lost in a crash.
    ("synchronous_commit", "on"),
    ("default_transaction_read_only", "off"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    // How text is read, and written.
    ("standard_conforming_strings", "on"),
    ("backslash_quote", "safe_encoding"),
    ("transform_null_equals", "off"),
    ("quote_all_identifiers", "off"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
    // What is sent to us, and what is written to the log: no verifier, and no flood.
    ("client_min_messages", "warning"),
    ("debug_print_parse", "off"),
    ("debug_print_rewritten", "off"),
    ("debug_print_plan", "off"),
    ("log_parameter_max_length_on_error", "0"),
    // An error ends the statement, and not the session.
    ("exit_on_error", "off"),
    // A row that is not shown is an error, and not one row less.
    ("row_security", "off"),
    // Where code that is not the server's own could be called, or named.
    ("jit", "off"),
    ("default_tablespace", ""),
    ("temp_tablespaces", ""),
];

/// The same, of later versions: from which on. A server that does not know one would refuse the login.
const LATER: [(u32, &str, &str); 2] = [
    // Whoever creates a role would be a member of it.
    (160_000, "createrole_self_grant", ""),
    (170_000, "transaction_timeout", "0"),
];

/// Libraries that anybody may have loaded into his sessions, and nobody can afterwards.
const AT_THE_START: [(&str, &str); 1] = [("local_preload_libraries", "")];

/// How much longer than one operation an idle session is left alive by the server, in case the function that opened it is
/// frozen: then it cannot hold the lock, nor commit late.
const IDLE: u32 = 5;

/// What the server itself is to keep to: below what the client waits, so that nothing is done after the client gave up.
/// A session that begins as an application's does gets nothing else.
pub(super) fn options(patience: Duration, as_application: bool) -> String {
    let milliseconds = patience.as_millis().to_string();
    let limits = [("statement_timeout", milliseconds.as_str()), ("lock_timeout", &milliseconds)];
    let known = KNOWN.iter().chain(&AT_THE_START).filter(|_| !as_application);
    let all: Vec<String> =
        limits.iter().chain(known).map(|(name, value)| format!("-c {name}={}", escaped(value))).collect();
    all.join(" ")
}

/// The statement that asserts the same in an open session.
pub(super) fn assertion(patience: Duration) -> String {
    let idle = (patience * IDLE).as_millis().to_string();
    let set = |name: &str, value: &str| format!("pg_catalog.set_config('{name}', '{value}', false)");
    let always = KNOWN.into_iter().chain([("idle_in_transaction_session_timeout", idle.as_str())]);
    let always: Vec<String> = always.map(|(name, value)| set(name, value)).collect();
    let later = LATER.into_iter().chain([(140_000, "idle_session_timeout", idle.as_str())]);
    let later: String = later
        .map(|(version, name, value)| {
            format!(
                " SELECT {} WHERE pg_catalog.current_setting('server_version_num')::pg_catalog.int4
                  OPERATOR(pg_catalog.>=) {version};",
                set(name, value)
            )
        })
        .collect();
    format!("SELECT {};{later}", always.join(", "))
}

/// In the start-up packet a blank ends an option, if there is no backslash before it.
fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace(' ', r"\ ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_ours_from_its_first_moment() {
        let options = options(Duration::from_secs(2), false);
        assert!(options.starts_with("-c statement_timeout=2000 -c lock_timeout=2000 "), "{options}");
        assert!(options.contains(r" -c search_path=pg_catalog,\ pg_temp "), "{options}");
        assert!(options.ends_with(" -c local_preload_libraries="), "{options}");
    }

    #[test]
    fn an_applications_session_is_only_limited() {
        assert_eq!(options(Duration::from_secs(2), true), "-c statement_timeout=2000 -c lock_timeout=2000");
    }

    #[test]
    fn what_was_set_at_the_start_is_asserted_once_more() {
        let assertion = assertion(Duration::from_secs(2));
        for (name, _) in KNOWN {
            assert!(assertion.contains(&format!("set_config('{name}'")), "{name}");
        }
    }
}
