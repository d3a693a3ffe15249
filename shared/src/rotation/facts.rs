//! What one step of one rotation has learned so far: small words, no values.
//!
//! A field is `None` until it has been looked at. The plan is a function of these facts and of nothing else, so every
//! situation a rotation can be in is a value that a test can write down.

use crate::{
    ports::{Controls, Denial, Description, Lock, Login, Obstacle, Server, ServerState, SqlState, Staged},
    rollback::undo,
    secret::{Field, Problem},
};

/// What has been learned so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// What Secrets Manager says of the secret as a whole.
    pub secret: Option<SecretState>,
    /// Where the token's version stands.
    pub standing: Option<Standing>,
    /// What became of the value that was to be staged.
    pub staged: Option<Staged>,
    /// The token's version.
    pub pending: Option<Held>,
    /// AWSCURRENT.
    pub current: Option<Held>,
    /// AWSPREVIOUS.
    pub previous: Option<Held>,
    /// The admin secret.
    pub admin: Option<Held>,
    /// Whose turn is next, by AWSCURRENT.
    pub turn: Option<Turn>,
    /// How pending and current relate.
    pub pair: Option<Pair>,
    /// The server, as RDS sees it.
    pub server: Option<ServerState>,
    /// Who could log in.
    pub logins: Logins,
    /// The lock.
    pub lock: Option<Lock>,
    /// Whether the database allows the change.
    pub role: Option<RoleVerdict>,
    /// Whether enough of the invocation's time is left to change, verify and roll back.
    pub time: Option<Time>,
    /// The change of the password.
    pub change: Option<Effect>,
    /// The login with the new password, on a connection of its own.
    pub proof: Option<Login>,
    /// The way back.
    pub rollback: undo::Facts,
    /// Whether people or the circuit breaker let the rotation go on.
    pub control: Option<Control>,
    /// The move of AWSCURRENT.
    pub promotion: Option<Effect>,
    /// Where the token's version stands after a move whose answer was lost.
    pub standing_after: Option<Standing>,
}

/// What Secrets Manager says of the secret as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretState {
    /// Rotation is on, and it is ours to do.
    Ours,
    /// Rotation has been switched off.
    RotationOff,
    /// Another service manages it.
    Managed,
    /// It is scheduled for deletion.
    Deleted,
    /// Its tag `relatch:kind` names a kind that is not rotated here.
    OtherKind,
    /// Its tag `relatch:resource-id` names another cluster or instance than the one RDS found.
    OtherServer,
}

impl SecretState {
    /// What Secrets Manager's description comes down to; the server, where it is known already, must be the one that the
    /// tag pins.
    pub fn of(description: &Description, server: Option<&Server>) -> Self {
        let tag = |name: &str| description.tags.get(name).map(String::as_str);
        // A pin that cannot be checked does not hold.
        let another = |pin: &str| server.is_some_and(|server| server.resource_id.as_deref() != Some(pin));
        if description.deleted {
            SecretState::Deleted
        } else if description.owning_service.is_some() {
            SecretState::Managed
        } else if tag("relatch:kind").is_some_and(|kind| kind != "postgres") {
            SecretState::OtherKind
        } else if tag("relatch:resource-id").is_some_and(another) {
            SecretState::OtherServer
        } else if !description.rotation_enabled {
            SecretState::RotationOff
        } else {
            SecretState::Ours
        }
    }
}

/// Where the version that the token names stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It holds AWSPENDING, and AWSCURRENT is where it was when it was read.
    Pending,
    /// It holds AWSCURRENT: the rotation is over.
    Current,
    /// AWSPENDING has moved to another version.
    Superseded,
    /// The labels do not fit together, as they may for a moment after a change.
    Unsettled,
}

/// Whether people or the circuit breaker let a rotation go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Control {
    /// They do.
    Free,
    /// Somebody has paused it.
    Paused,
    /// Too many attempts in a row were rolled back, or the database itself refused a change.
    Stopped,
}

impl Control {
    /// After how many attempts in a row that were rolled back a secret's rotation stops.
    pub const MOST_ROLLED_BACK: u32 = 3;

    /// What the table's entries come down to.
    pub const fn of(controls: &Controls) -> Self {
        if controls.paused.is_some() || controls.everything_paused.is_some() {
            Control::Paused
        } else if controls.stopped.is_some() || controls.rolled_back >= Self::MOST_ROLLED_BACK {
            Control::Stopped
        } else {
            Control::Free
        }
    }
}

/// What a label holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Held {
    /// Usable credentials.
    Credentials,
    /// Nothing.
    Nothing,
    /// The version that the token names (of AWSCURRENT only).
    ThisToken,
    /// A value that cannot be used.
    Unusable(Problem),
    /// Credentials that lead to another server; never used.
    Elsewhere(Field),
    /// Not read, since the deployment does not name it (of the admin secret only).
    NotAllowed,
}

/// Whose turn is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Turn {
    /// A user that can be rotated.
    Known,
    /// Alternating users, and no admin secret to create the other one.
    NoAdminSecret,
    /// Alternating users, and the deployment does not name the admin secret that the value names.
    AdminNotAllowed,
    /// The alternate's name would be too long.
    NameTooLong,
    /// The user is called just `_clone`, so that there would be no name left for the other one.
    NoNameLeft,
}

/// How pending and current relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pair {
    /// One user whose password changes.
    SingleUser,
    /// The same user and the same password: a test that Secrets Manager starts, nothing to change.
    Same,
    /// Two users that take turns.
    Alternating,
    /// Pending differs from current in a field in which it must not.
    Mismatch(Field),
}

/// Who could log in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Logins {
    /// With AWSCURRENT.
    pub current: Option<Login>,
    /// With AWSPENDING.
    pub pending: Option<Login>,
    /// With AWSPREVIOUS.
    pub previous: Option<Login>,
    /// With the admin secret.
    pub admin: Option<Login>,
}

/// Whether the database allows the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleVerdict {
    /// It does.
    Fit,
    /// It does, through the admin secret.
    NeedsAdmin,
    /// There is no such role yet, and the admin is to create it (in a repair only): tags of the secret name it and its
    /// database, and the secret has never been rotated.
    Absent,
    /// It does not.
    Unfit(RoleProblem),
    /// The database did not say: the session broke off.
    Unknown,
}

/// Why the database would not allow the change, or the change would help nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum RoleProblem {
    /// No such role.
    #[error("the role does not exist")]
    Missing,
    /// NOLOGIN.
    #[error("the role may not log in (NOLOGIN)")]
    NoLogin,
    /// VALID UNTIL.
    #[error("the role's VALID UNTIL is over")]
    Expired,
    /// CONNECTION LIMIT.
    #[error("the role's connection limit leaves no room for the login that would prove the new password")]
    ConnectionLimit,
    /// `rds_iam`.
    #[error("the role is a member of rds_iam and logs in by IAM, not by password")]
    Iam,
    /// A standby.
    #[error("the endpoint is read-only (a standby or a reader): use the writer's")]
    ReadOnly,
    /// Not allowed to change the role.
    #[error("the admin user may not change the role: it needs CREATEROLE, and ADMIN on the role from PostgreSQL 16 on")]
    NotAlterable,
    /// A role by the alternate's name that is not the alternate.
    #[error(
        "of the two roles that take turns (`NAME` and `NAME_clone`) the second is not a member of the first, so they are not each other's: if they are meant to be, `GRANT \"NAME\" TO \"NAME_clone\"`"
    )]
    Stranger,
    /// A role that only the value of the secret names.
    #[error(
        "only the value of the secret names the role, and whoever can write the value could name any: set its password by hand, or let the admin user do it by the tag `relatch:user` on the secret, with the role's name"
    )]
    NotNamed,
    /// A role that the admin secret's word alone does not suffice for.
    #[error(
        "the role may do more than work with its own data, by itself or as a member of another (superuser, CREATEROLE, REPLICATION, BYPASSRLS, a role of PostgreSQL's or RDS's own, a setting or a function of the server's), and whoever can write the secret could take it over: set its password by hand"
    )]
    Privileged,
    /// The alternate user cannot be made the equal of its user.
    #[error("{0}")]
    Unequal(Obstacle),
    /// `rds.restrict_password_commands`, and no admin secret.
    #[error(
        "rds.restrict_password_commands keeps the role from changing its password, and no admin secret (`masterarn`) is named"
    )]
    Restricted,
    /// A module that checks passwords, and can check only what it is told in clear.
    #[error(
        "credcheck refuses verifiers, and Relatch sends no password in clear: set credcheck.encrypted_password_allowed to on"
    )]
    RefusesVerifiers,
    /// The catalogs cannot be read.
    #[error("the database does not let the session read what it says of roles, with {0}")]
    Unreadable(Denial),
}

/// Whether enough of the invocation's time is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Time {
    /// Enough to change, verify and roll back.
    Enough,
    /// Too little.
    Short,
}

/// What became of something that was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Done.
    Done,
    /// Refused; nothing happened.
    Refused(SqlState),
    /// No answer: it may have happened.
    Unsure,
}
