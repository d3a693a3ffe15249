//! What a refusal tells of a password.
//!
//! PostgreSQL names in every error the routine that raised it, and by that it is known whether the password had been
//! checked before. Source: `src/backend/utils/init/{miscinit,postinit}.c` and `src/backend/libpq/auth.c`, where these
//! routines have borne these names in every release since 9.1. Poolers name no routine; of them nothing is believed.

use crate::ports::{Login, Refusal, Silence, SqlState};
use rustls::{AlertDescription, CertificateError};
use std::{error::Error, io};
use tokio_postgres::{Error as PostgresError, error::DbError};

/// What an error of a login tells.
pub(super) fn read(error: &PostgresError) -> Login {
    if let Some(error) = error.as_db_error() {
        return read_refusal(error.code().code(), error.routine());
    }
    if let Some((_, silence)) = error.source().and_then(|cause| {
        let said = cause.to_string();
        UNSPOKEN.iter().find(|(text, _)| said == *text)
    }) {
        return Login::Unknown(*silence);
    }
    let causes = || std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
    let io = causes().find_map(|cause| cause.downcast_ref::<io::Error>());
    let within = io.and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let tls = within.or_else(|| causes().find_map(|cause| cause.downcast_ref::<rustls::Error>()));
    Login::Unknown(if let Some(tls) = tls {
        read_distrust(tls)
    } else if io.is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
        Silence::TimedOut
    } else if io.is_some() || error.is_closed() || causes().any(|cause| cause.is::<DbError>()) {
        Silence::Unreachable
    } else {
        Silence::NotLetIn
    })
}

/// What tokio-postgres and postgres-protocol give no type of its own.
const UNSPOKEN: [(&str, Silence); 4] = [
    ("server does not support TLS", Silence::NoTls),
    ("server did not use channel binding", Silence::NoBinding),
    ("SCRAM iteration count exceeds the maximum allowed", Silence::Iterations),
    ("SCRAM verification error", Silence::Impostor),
];

/// What an error of a session's first statements tells. They ask for nothing that PostgreSQL denies anybody, and divide
/// by zero where it is a pooler that answers.
pub(super) fn read_first(error: &PostgresError) -> Login {
    match error.as_db_error() {
        None => read(error),
        Some(error) => read_first_refusal(error.code().code(), error.routine()),
    }
}

fn read_first_refusal(code: &str, routine: Option<&str>) -> Login {
    Login::Unknown(match (code, routine) {
        (_, None) | ("22012", _) => Silence::Pooler,
        (code, _) if code.starts_with("57") => Silence::Busy,
        (code, _) => Silence::Foreign(SqlState::from(code)),
    })
}

/// What is wrong with a server's TLS.
#[allow(clippy::wildcard_enum_match_arm, reason = "rustls names many more, and adds to them")]
fn read_distrust(error: &rustls::Error) -> Silence {
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Silence::WrongName,
        rustls::Error::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => Silence::WrongDate,
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Silence::UnknownAuthority,
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) | rustls::Error::PeerIncompatible(_) => {
            Silence::OldTls
        }
        _ => Silence::Distrusted,
    }
}

fn read_refusal(code: &str, routine: Option<&str>) -> Login {
    match (code, routine) {
        (_, None) => Login::Unknown(Silence::Pooler),
        ("28P01", Some("auth_failed")) => Login::Rejected,
        ("28000", Some("InitializeSessionUserId")) => Login::Refused(Refusal::NoLogin),
        ("53300", Some("InitializeSessionUserId")) => Login::Refused(Refusal::ConnectionLimit),
        ("53300", Some("CheckMyDatabase")) => Login::Refused(Refusal::DatabaseLimit),
        ("55000", Some("CheckMyDatabase" | "InitPostgres")) => Login::Refused(Refusal::DatabaseClosed),
        ("3D000", Some("InitPostgres")) => Login::Refused(Refusal::NoDatabase),
        ("42501", Some("CheckMyDatabase")) => Login::Refused(Refusal::NoConnect),
        ("53300" | "57P03" | "57P01" | "57P02" | "57P04", Some(_)) => Login::Unknown(Silence::Busy),
        (_, Some(_)) => Login::Unknown(Silence::NotLetIn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_refusal_tells() {
        let cases = [
            ("28P01", Some("auth_failed")),
            ("28P01", None),
            ("28000", Some("InitializeSessionUserId")),
            ("28000", Some("ClientAuthentication")),
            ("53300", Some("InitializeSessionUserId")),
            ("53300", Some("InitPostgres")),
            ("53300", Some("CheckMyDatabase")),
            ("55000", Some("CheckMyDatabase")),
            ("55000", Some("InitPostgres")),
            ("53300", Some("InitProcess")),
            ("53300", Some("ProcArrayAdd")),
            ("3D000", Some("InitPostgres")),
            ("42501", Some("CheckMyDatabase")),
            ("57P03", Some("ProcessStartupPacket")),
            ("57P01", Some("ProcessInterrupts")),
            ("08P01", None),
            ("42704", Some("set_config_option")),
        ];
        let table: Vec<String> = cases
            .iter()
            .map(|(code, routine)| format!("{code} {routine:?} => {:?}", read_refusal(code, *routine)))
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn what_a_refusal_of_the_first_statements_tells() {
        let cases = [
            ("22012", Some("int4div")),
            ("26000", None),
            ("57014", Some("ProcessInterrupts")),
            ("42501", Some("aclcheck_error")),
            ("42883", Some("ParseFuncOrColumn")),
        ];
        let table: Vec<String> = cases
            .iter()
            .map(|(code, routine)| format!("{code} {routine:?} => {:?}", read_first_refusal(code, *routine)))
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }
}
