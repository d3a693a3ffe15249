//! Why a repair ended as it did: one word each, the same in the log, the metric, the alert and on the screen.

use crate::{
    ports::{Refusal, Silence},
    rotation::facts::RoleProblem,
    secret::{Field, Problem},
};

/// Why a repair ended as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Reason {
    // AWSCURRENT opens the database.
    /// Nothing was wrong.
    #[error("AWSCURRENT opens the database; nothing was wrong with it")]
    Sound,
    /// It was made to.
    #[error("AWSCURRENT opens the database again")]
    Recovered,
    /// Another version is AWSCURRENT now.
    #[error("the version that opens the database is AWSCURRENT now")]
    WentForward,
    /// AWSPREVIOUS is AWSCURRENT again.
    #[error("the version that was AWSPREVIOUS is AWSCURRENT again, and opens the database")]
    WentBack,

    // Not now.
    /// Nothing was learned of a password.
    #[error("nothing was learned of the passwords, and nothing was changed: {0}")]
    DatabaseSilent(Silence),
    /// RDS is not ready.
    #[error("RDS reports that the database is failing over, starting, or otherwise not available")]
    ServerNotAvailable,
    /// RDS was stopped.
    #[error("RDS reports that the database is stopped")]
    ServerStopped,
    /// Somebody is at work.
    #[error("a rotation or another repair of this secret is at work")]
    LockBusy,
    /// Somebody has moved a label.
    #[error("a label has moved while this was at work: somebody else has taken over, and nothing more was changed")]
    LabelsMoved,
    /// A rotation is under way.
    #[error("a rotation is under way: its new password is set, and its last step makes it AWSCURRENT")]
    RotationInFlight,
    /// Somebody has paused it.
    #[error("it is paused (`relatch resume` ends that)")]
    Paused,
    /// The time does not suffice.
    #[error("too little time is left to set a password and to prove it")]
    TooLittleTime,
    /// A password was set, and not proved.
    #[error("AWSCURRENT's password was set, and nothing was learned of it: {0}")]
    Unproved(Silence),
    /// RDS takes its time.
    #[error("RDS has taken AWSCURRENT's password for the master user, and has not set it yet")]
    ResetUnderWay,
    /// The session broke off.
    #[error("the session broke off before anything was changed")]
    SessionLost,

    // A person has to look.
    /// The secret will be deleted.
    #[error("the secret is scheduled for deletion, so its values cannot be read: restore it if it is in use")]
    ScheduledForDeletion,
    /// A service manages it.
    #[error("another service manages this secret and repairs it itself")]
    ManagedByService,
    /// Not a kind that is repaired here.
    #[error("the tag `relatch:kind` names a kind that is not repaired here")]
    OtherKind,
    /// A clone, or a restored snapshot.
    #[error(
        "RDS does not confirm the resource id in the tag `relatch:resource-id`: a clone or a restored snapshot, or RDS could not be asked"
    )]
    OtherServer,
    /// Nothing is current.
    #[error("no version holds AWSCURRENT")]
    NoCurrent,
    /// AWSCURRENT cannot be used.
    #[error("AWSCURRENT cannot be used: {0}")]
    CurrentUnusable(Problem),
    /// The password is right, and the server refuses the session.
    #[error("the password is right, but the session was refused: {0}")]
    LoginRefused(Refusal),
    /// The server is not to be talked to as it is.
    #[error("{0}")]
    ServerUnfit(Silence),
    /// A reader.
    #[error("the secret's host is a reader endpoint or a replica: use the writer's")]
    ReaderEndpoint,
    /// The identifier names nothing.
    #[error("RDS knows no database by the identifier in the secret, in this account and region")]
    ServerMissing,
    /// The host is one of a proxy's further endpoints.
    #[error("the secret's host is an additional endpoint of an RDS Proxy, behind which the writer cannot be found")]
    ProxyEndpoint,
    /// A new password would help nobody.
    #[error("{0}")]
    Role(RoleProblem),
    /// Every rung of the ladder failed.
    #[error("nothing that is known makes AWSCURRENT open the database; nothing was made worse, and AWSPENDING is kept")]
    Exhausted,
    /// There is nothing to go back to.
    #[error("no version holds AWSPREVIOUS: there is nothing to go back to")]
    NoPrevious,
    /// AWSPREVIOUS cannot be used.
    #[error("AWSPREVIOUS cannot be used: {0}")]
    PreviousUnusable(Problem),
    /// AWSPREVIOUS leads elsewhere.
    #[error("AWSPREVIOUS and AWSCURRENT differ in `{0}`, in which they must agree; no connection was made")]
    PreviousElsewhere(Field),
    /// A rotation has not ended.
    #[error("AWSPENDING is on another version: a rotation has not ended. `relatch recover` ends it")]
    PendingInTheWay,
    /// Nobody can set AWSPREVIOUS's password.
    #[error("the database rejects AWSPREVIOUS, and neither AWSCURRENT nor an admin secret can set its password again")]
    NothingToGoBackThrough,
}

impl Reason {
    /// The reason's name in logs and metrics. Stable.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Sound => "sound",
            Reason::Recovered => "recovered",
            Reason::WentForward => "went-forward",
            Reason::WentBack => "went-back",
            Reason::DatabaseSilent(_) => "database-silent",
            Reason::ServerNotAvailable => "server-not-available",
            Reason::ServerStopped => "server-stopped",
            Reason::LockBusy => "lock-busy",
            Reason::LabelsMoved => "labels-moved",
            Reason::RotationInFlight => "rotation-in-flight",
            Reason::Paused => "paused",
            Reason::TooLittleTime => "too-little-time",
            Reason::Unproved(_) => "unproved",
            Reason::ResetUnderWay => "reset-under-way",
            Reason::SessionLost => "session-lost",
            Reason::ScheduledForDeletion => "scheduled-for-deletion",
            Reason::ManagedByService => "managed-by-service",
            Reason::OtherKind => "other-kind",
            Reason::OtherServer => "other-server",
            Reason::NoCurrent => "no-current",
            Reason::CurrentUnusable(_) => "current-unusable",
            Reason::LoginRefused(_) => "login-refused",
            Reason::ServerUnfit(_) => "server-unfit",
            Reason::ReaderEndpoint => "reader-endpoint",
            Reason::ServerMissing => "server-missing",
            Reason::ProxyEndpoint => "proxy-endpoint",
            Reason::Role(_) => "role",
            Reason::Exhausted => "exhausted",
            Reason::NoPrevious => "no-previous",
            Reason::PreviousUnusable(_) => "previous-unusable",
            Reason::PreviousElsewhere(_) => "previous-elsewhere",
            Reason::PendingInTheWay => "pending-in-the-way",
            Reason::NothingToGoBackThrough => "nothing-to-go-back-through",
        }
    }
}
