//! Why a step ended as it did: one word each, the same in the log, the metric's dimension and the error.

use super::facts::RoleProblem;
use crate::{
    ports::{Refusal, Silence, SqlState},
    secret::{Field, Problem},
};

/// Why a step ended as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Reason {
    // Done.
    /// A new value was stored.
    #[error("a new value is stored under AWSPENDING")]
    Staged,
    /// An earlier attempt had stored the value.
    #[error("an earlier attempt has already stored a value under AWSPENDING")]
    AlreadyStaged,
    /// The password was changed and proved.
    #[error("the database has the new password, and a login has proved it")]
    Set,
    /// An earlier attempt had changed the password.
    #[error("an earlier attempt has already given the database the new password; a login has proved it")]
    AlreadySet,
    /// The new password works.
    #[error("the new password opens the database")]
    Proved,
    /// AWSCURRENT was moved.
    #[error("AWSCURRENT is now the new version")]
    Promoted,
    /// The rotation was over before.
    #[error("the version is AWSCURRENT already; there is nothing left to do")]
    AlreadyCurrent,

    // Not yet: trying again may help.
    /// Labels read at one moment do not fit together.
    #[error("Secrets Manager's labels do not fit together yet; they settle within moments")]
    LabelsUnsettled,
    /// createSecret has not run.
    #[error("AWSPENDING has no value yet: createSecret has to run first")]
    NotStaged,
    /// Nothing was learned of a password.
    #[error("nothing was learned of the password: {0}")]
    DatabaseSilent(Silence),
    /// The session broke off before anything was changed.
    #[error("the session broke off before anything was changed")]
    SessionLost,
    /// Somebody else is at work on this secret.
    #[error("another rotation or repair of this secret is at work")]
    LockBusy,
    /// Somebody else has had the lock, and has set another password.
    #[error(
        "another rotation or repair had the lock first, and the new password opens the database no longer; nothing was promoted, and the next attempt sets it again"
    )]
    Overtaken,
    /// The invocation has too little time left.
    #[error("too little time is left to change, verify and roll back: give the function a longer time-out")]
    TooLittleTime,
    /// RDS is not ready.
    #[error("RDS reports that the database is failing over, starting, or otherwise not available")]
    ServerNotAvailable,
    /// RDS was stopped.
    #[error("RDS reports that the database is stopped")]
    ServerStopped,
    /// It is not known whether the password was changed.
    #[error("the answer to the change was lost; AWSPENDING is kept, and the next attempt finds out")]
    ChangeUnsure,
    /// The change could not be proved and not be undone.
    #[error(
        "the change could not be proved, and putting the previous password back could not be proved either; AWSPENDING is kept, and the next attempt goes on from there"
    )]
    RollbackUnfinished,
    /// It is not known whether AWSCURRENT moved.
    #[error("the answer to the promotion was lost; the next attempt finds out")]
    PromotionUnsure,

    // Refused: trying again will not help.
    /// Somebody has paused it.
    #[error("it is paused (`relatch resume` ends that)")]
    Paused,
    /// The circuit breaker is open.
    #[error(
        "its rotations are stopped, since several in a row had to be rolled back or the database refused a change; `relatch resume` lets them go on"
    )]
    Stopped,
    /// AWSPENDING is on another version.
    #[error("AWSPENDING is on another version: a newer rotation, or a person, has taken over")]
    Superseded,
    /// Rotation is off.
    #[error("rotation of this secret is switched off")]
    RotationOff,
    /// A service manages the secret.
    #[error("another service manages this secret and rotates it itself")]
    ManagedByService,
    /// The secret will be deleted.
    #[error("the secret is scheduled for deletion")]
    ScheduledForDeletion,
    /// Not a kind that is rotated here.
    #[error("the tag `relatch:kind` names a kind that this function does not rotate")]
    OtherKind,
    /// A clone, or a restored snapshot.
    #[error(
        "RDS does not confirm the resource id in the tag `relatch:resource-id`: a clone or a restored snapshot, or RDS could not be asked"
    )]
    OtherServer,
    /// Nothing is current.
    #[error("no version holds AWSCURRENT: there is nothing to rotate from")]
    NoCurrent,
    /// AWSCURRENT cannot be used.
    #[error("AWSCURRENT cannot be used: {0}")]
    CurrentUnusable(Problem),
    /// AWSPENDING cannot be used.
    #[error("AWSPENDING cannot be used: {0}")]
    PendingUnusable(Problem),
    /// The admin secret cannot be used.
    #[error("the admin secret (`masterarn`) cannot be used: {0}")]
    AdminUnusable(Problem),
    /// The admin secret has no current version.
    #[error("the admin secret (`masterarn`) has no AWSCURRENT")]
    AdminMissing,
    /// Pending leads elsewhere.
    #[error("AWSPENDING and AWSCURRENT differ in `{0}`, in which they must agree; no connection was made")]
    Mismatch(Field),
    /// The admin secret leads elsewhere.
    #[error("the admin secret and AWSCURRENT differ in `{0}`, in which they must agree; no connection was made")]
    AdminMismatch(Field),
    /// Alternating users need an admin secret.
    #[error("alternating users need an admin secret: name it in `masterarn`")]
    NoAdminSecret,
    /// The deployment does not name the admin secret.
    #[error(
        "`masterarn` names an admin secret that this deployment does not, so it was not read: if it may act for this secret, deploy with `AdminSecretArn=` and the ARN in `masterarn` (without the template: `RELATCH_ADMIN_SECRETS=` and the ARN, for rotate, respond and the command)"
    )]
    AdminNotAllowed,
    /// The user is called just `_clone`.
    #[error(
        "the user is called just `_clone`, so that there is no name left for the other one: give it another name, or rotate it as a single user (RELATCH_STRATEGY)"
    )]
    NoNameLeft,
    /// The alternate's name is too long.
    #[error("the alternate user's name would be longer than the 63 bytes that PostgreSQL keeps of a name")]
    AlternateTooLong,
    /// A reader.
    #[error("the secret's host is a reader endpoint or a replica: use the writer's")]
    ReaderEndpoint,
    /// The identifier names nothing.
    #[error("RDS knows no database by the identifier in the secret, in this account and region")]
    ServerMissing,
    /// The role does not allow it.
    #[error("{0}")]
    Role(RoleProblem),
    /// The server refuses sessions of a password that it accepts.
    #[error("the password is right, but the session was refused: {0}")]
    LoginRefused(Refusal),
    /// The server is not to be talked to as it is.
    #[error("{0}")]
    ServerUnfit(Silence),
    /// The host is one of a proxy's further endpoints.
    #[error(
        "the secret's host is an additional endpoint of an RDS Proxy, behind which the writer cannot be found: use the proxy's own endpoint or the database's"
    )]
    ProxyEndpoint,
    /// The user in use does not log in.
    #[error("the database rejects AWSCURRENT; the admin user creates or changes its alternate only on its word")]
    CurrentRejected,
    /// The admin user's password is wrong.
    #[error("the database rejects the admin secret's password")]
    AdminRejected,
    /// Pending does not log in, current does.
    #[error("the database rejects AWSPENDING; AWSCURRENT still opens it")]
    PendingRejected,
    /// No version that is known opens the database.
    #[error(
        "the database rejects AWSCURRENT, AWSPENDING and AWSPREVIOUS: a wrong password in all, an expired VALID UNTIL, or no such role. Nothing was changed"
    )]
    NoVersionOpens,
    /// The test query fails.
    #[error("the new password logs in, but the test query (RELATCH_TEST_QUERY) failed with SQLSTATE {0}")]
    TestQueryFailed(SqlState),
    /// The database refused the change.
    #[error("the database refused to change the password, with SQLSTATE {0}")]
    ChangeRefused(SqlState),
    /// The change was undone.
    #[error("the new password did not prove itself; the previous one is back, and a login has proved it")]
    RolledBack,
    /// The new alternate user does not work; nobody uses it.
    #[error("the alternate user's new password did not prove itself; AWSCURRENT, another user, is untouched")]
    AlternateUnproved,
}

impl Reason {
    /// What the database said, where it said something.
    #[allow(clippy::wildcard_enum_match_arm, reason = "in all others the database said nothing")]
    pub const fn sqlstate(self) -> Option<SqlState> {
        if let Reason::ChangeRefused(state) | Reason::TestQueryFailed(state) = self { Some(state) } else { None }
    }

    /// The reason's name in logs and metrics. Stable.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Staged => "staged",
            Reason::AlreadyStaged => "already-staged",
            Reason::Set => "set",
            Reason::AlreadySet => "already-set",
            Reason::Proved => "proved",
            Reason::Promoted => "promoted",
            Reason::AlreadyCurrent => "already-current",
            Reason::LabelsUnsettled => "labels-unsettled",
            Reason::NotStaged => "not-staged",
            Reason::DatabaseSilent(_) => "database-silent",
            Reason::SessionLost => "session-lost",
            Reason::LockBusy => "lock-busy",
            Reason::Overtaken => "overtaken",
            Reason::TooLittleTime => "too-little-time",
            Reason::ServerNotAvailable => "server-not-available",
            Reason::ServerStopped => "server-stopped",
            Reason::ChangeUnsure => "change-unsure",
            Reason::RollbackUnfinished => "rollback-unfinished",
            Reason::PromotionUnsure => "promotion-unsure",
            Reason::Paused => "paused",
            Reason::Stopped => "stopped",
            Reason::Superseded => "superseded",
            Reason::RotationOff => "rotation-off",
            Reason::ManagedByService => "managed-by-service",
            Reason::ScheduledForDeletion => "scheduled-for-deletion",
            Reason::OtherKind => "other-kind",
            Reason::OtherServer => "other-server",
            Reason::NoCurrent => "no-current",
            Reason::CurrentUnusable(_) => "current-unusable",
            Reason::PendingUnusable(_) => "pending-unusable",
            Reason::AdminUnusable(_) => "admin-unusable",
            Reason::AdminMissing => "admin-missing",
            Reason::Mismatch(_) => "mismatch",
            Reason::AdminMismatch(_) => "admin-mismatch",
            Reason::NoAdminSecret => "no-admin-secret",
            Reason::AdminNotAllowed => "admin-not-allowed",
            Reason::NoNameLeft => "no-name-left",
            Reason::AlternateTooLong => "alternate-too-long",
            Reason::ReaderEndpoint => "reader-endpoint",
            Reason::ServerMissing => "server-missing",
            Reason::Role(_) => "role",
            Reason::LoginRefused(_) => "login-refused",
            Reason::ServerUnfit(_) => "server-unfit",
            Reason::ProxyEndpoint => "proxy-endpoint",
            Reason::CurrentRejected => "current-rejected",
            Reason::AdminRejected => "admin-rejected",
            Reason::PendingRejected => "pending-rejected",
            Reason::NoVersionOpens => "no-version-opens",
            Reason::TestQueryFailed(_) => "test-query-failed",
            Reason::ChangeRefused(_) => "change-refused",
            Reason::RolledBack => "rolled-back",
            Reason::AlternateUnproved => "alternate-unproved",
        }
    }
}
