//! What one repair of one secret has learned so far: small words, no values. `None` is what has not been looked at.

use crate::{
    language::Language,
    ports::{Lock, Login, ServerState},
    rotation::facts::{Effect, Held, RoleVerdict, SecretState, Time},
    secret::{Field, Problem},
};

/// What has been learned so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// What Secrets Manager says of the secret as a whole.
    pub secret: Option<SecretState>,
    /// Where AWSPENDING is.
    pub label: Option<PendingLabel>,
    /// AWSPENDING is on the version that holds AWSPREVIOUS, where a rotation that ended left it before somebody wrote
    /// another AWSCURRENT by hand: going back makes it current again.
    pub pending_is_previous: bool,
    /// Whether somebody has paused it.
    pub paused: Option<bool>,
    /// How the rotation that is pending failed, if it did.
    pub failure: Option<FailureClass>,
    /// AWSCURRENT.
    pub current: Option<Held>,
    /// AWSCURRENT was read and is not where the labels show it: they are moving at this moment.
    pub moving: bool,
    /// AWSPENDING.
    pub pending: Option<Found>,
    /// AWSPREVIOUS.
    pub previous: Option<Found>,
    /// The versions without a label.
    pub kept: Kept,
    /// The admin secret.
    pub admin: Option<Held>,
    /// The server, as RDS sees it.
    pub server: Option<ServerState>,
    /// Whether RDS can set the user's password.
    pub master: Option<MasterVerdict>,
    /// Who could log in.
    pub logins: Logins,
    /// Who has the exclusive right to act, or asked for it.
    pub lock: Option<(Holder, Lock)>,
    /// Whether the labels are where they were, read under the lock.
    pub settled: Option<(Holder, Settled)>,
    /// The login with AWSCURRENT once more: under the lock, or after everything else was tried.
    pub again: Option<Login>,
    /// Whether the database allows the change, as each one's session sees it. One that may not leaves it to the next.
    pub roles: [Option<RoleVerdict>; Source::ALL.len()],
    /// Whether enough of the time is left to set a password and to prove it.
    pub time: Option<Time>,
    /// What was tried.
    pub rungs: [Climb; Rung::ALL.len()],
    /// The removal of AWSPENDING.
    pub unstaged: Option<Effect>,
}

/// Where AWSPENDING is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PendingLabel {
    /// On no version: nothing is in flight.
    Nowhere,
    /// On the current one, where Secrets Manager leaves it after a rotation: nothing is in flight.
    OnCurrent,
    /// On another version; how long it has been there, once that is known.
    Waiting(Option<Age>),
}

impl PendingLabel {
    /// Whether nothing is in flight.
    pub const fn is_idle(self) -> bool {
        matches!(self, PendingLabel::Nowhere | PendingLabel::OnCurrent)
    }
}

/// How long AWSPENDING has been waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Age {
    /// So short that its rotation may be under way.
    Fresh,
    /// Longer than a rotation takes; Secrets Manager may try it again.
    Waiting,
    /// So long that nobody will.
    Stuck,
}

/// How a rotation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// Nothing was recorded: the process died, or the rotation is not ours.
    Unrecorded,
    /// The database could not be reached, or did not answer: `DatabaseConnectionError`.
    Connection,
    /// The database itself refused the change: `PasswordUpdateError`.
    Update,
    /// The pending version is of no use, and never will be.
    PendingUseless,
    /// Anything else.
    Other,
}

/// What a version other than AWSCURRENT holds, seen from AWSCURRENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Found {
    /// No such version, or no value in it.
    Nothing,
    /// A value that cannot be used.
    Unusable(Problem),
    /// Credentials that lead elsewhere, or are a stranger's; never used.
    Elsewhere(Field),
    /// Credentials of the same user.
    SameUser,
    /// Credentials of the user that takes turns with it.
    Alternate,
}

/// The versions without a label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Kept {
    /// How many there are to try.
    pub count: Option<u8>,
    /// How many have been tried.
    pub tried: u8,
    /// What the one that opens the database holds, if one does.
    pub found: Option<Found>,
}

/// Whether RDS can set the user's password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MasterVerdict {
    /// It can.
    Resettable,
    /// The user is not a master user, or the server is not RDS's.
    NotMaster,
    /// It is, but the tags `relatch:resource-id` and `relatch:user` do not say so: a principal that can write the
    /// secret's value could have any database's master password set.
    NotPinned,
    /// AWSCURRENT's password is none that RDS takes.
    UnfitPassword,
}

/// Who could log in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Logins {
    /// With AWSCURRENT, before anything was done.
    pub current: Option<Login>,
    /// With AWSPENDING.
    pub pending: Option<Login>,
    /// With AWSPREVIOUS.
    pub previous: Option<Login>,
    /// With the versions without a label, so far: accepted if one is, else unknown if nothing was learned of one.
    pub kept: Option<Login>,
    /// With the admin secret.
    pub admin: Option<Login>,
}

/// Where credentials come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// AWSCURRENT.
    Current,
    /// AWSPENDING.
    Pending,
    /// AWSPREVIOUS.
    Previous,
    /// A version without a label.
    Kept,
    /// The admin secret.
    Admin,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Current, Self::Pending, Self::Previous, Self::Kept, Self::Admin];
}

/// Who has the exclusive right to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// A session, by the advisory lock.
    Session(Source),
    /// This invocation, by the lease: where no session can be had.
    Lease,
}

/// Whether the labels are where they were when the versions were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Settled {
    /// They are.
    Same,
    /// Somebody has moved one meanwhile.
    Moved,
}

/// A way to make AWSCURRENT open the database, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Log in with AWSPENDING, and put AWSCURRENT's password back.
    ThroughPending,
    /// Log in with AWSPREVIOUS, and set AWSCURRENT's password.
    ThroughPrevious,
    /// Log in with a version that has lost its labels, and set AWSCURRENT's password.
    ThroughKept,
    /// Have the admin user set AWSCURRENT's password.
    ThroughAdmin,
    /// Have RDS set AWSCURRENT's password, of a master user.
    ThroughRds,
    /// Promote the version that opens the database.
    Forward,
    /// Rolling back after promotion: set AWSPREVIOUS's password, so that it can be AWSCURRENT again.
    ToPrevious,
    /// Rolling back after promotion: make AWSPREVIOUS current again.
    Backward,
}

impl Rung {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 8] = [
        Self::ThroughPending,
        Self::ThroughPrevious,
        Self::ThroughKept,
        Self::ThroughAdmin,
        Self::ThroughRds,
        Self::Forward,
        Self::ToPrevious,
        Self::Backward,
    ];

    /// The rung's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Rung::ThroughPending => "through-pending",
            Rung::ThroughPrevious => "through-previous",
            Rung::ThroughKept => "through-unlabelled",
            Rung::ThroughAdmin => "through-admin",
            Rung::ThroughRds => "through-rds",
            Rung::Forward => "forward",
            Rung::ToPrevious => "to-previous",
            Rung::Backward => "backward",
        }
    }

    /// What was done, as a sentence without its end; in Japanese, as what it is.
    pub fn sentence(self, language: Language) -> &'static str {
        match self {
            Rung::ThroughPending => language.choose(
                "AWSCURRENT's password was put back, through a login with AWSPENDING",
                "AWSPENDINGでのログインによる、AWSCURRENTのパスワードの復元",
            ),
            Rung::ThroughPrevious => language.choose(
                "AWSCURRENT's password was set, through a login with AWSPREVIOUS",
                "AWSPREVIOUSでのログインによる、AWSCURRENTのパスワードの設定",
            ),
            Rung::ThroughKept => language.choose(
                "AWSCURRENT's password was set, through a login with a version without a label",
                "ラベルのないバージョンでのログインによる、AWSCURRENTのパスワードの設定",
            ),
            Rung::ThroughAdmin => language.choose(
                "AWSCURRENT's password was set by the admin user",
                "管理者ユーザーによる、AWSCURRENTのパスワードの設定",
            ),
            Rung::ThroughRds => language.choose(
                "AWSCURRENT's password was set by RDS, as the master user's",
                "RDSによる、マスターユーザーへのAWSCURRENTのパスワードの設定",
            ),
            Rung::Forward => language.choose(
                "the version that opens the database was made AWSCURRENT",
                "データベースに接続できるバージョンのAWSCURRENTへの昇格",
            ),
            Rung::ToPrevious => language.choose(
                "AWSPREVIOUS's password was set in the database",
                "データベースへのAWSPREVIOUSのパスワードの設定",
            ),
            Rung::Backward => language.choose(
                "the version that was AWSPREVIOUS was made AWSCURRENT",
                "AWSPREVIOUSだったバージョンのAWSCURRENTへの昇格",
            ),
        }
    }
}

/// What came of a rung.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Climb {
    /// What it did.
    pub effect: Option<Effect>,
    /// The login that decides, whatever the rung said: an answer that was lost may have been a yes.
    pub restored: Option<Login>,
}

impl Facts {
    /// Whether the database allows the change, as somebody's session sees it.
    pub const fn role(&self, source: Source) -> Option<RoleVerdict> {
        self.roles[source as usize]
    }

    /// What came of a rung.
    pub const fn climb(&self, rung: Rung) -> Climb {
        self.rungs[rung as usize]
    }

    /// The same, to be written.
    pub const fn climb_mut(&mut self, rung: Rung) -> &mut Climb {
        &mut self.rungs[rung as usize]
    }

    /// Whether a login was tried with every version that could be used.
    pub(super) fn every_version_was_tried(&self) -> bool {
        self.every_label_was_tried() && self.kept.count.is_some_and(|count| self.kept.tried >= count)
    }

    /// Whether a login was tried with every labelled version that could be used.
    pub(super) fn every_label_was_tried(&self) -> bool {
        let tried = |found: Option<Found>, login: Option<Login>| match found {
            None => false,
            Some(Found::Nothing | Found::Unusable(_) | Found::Elsewhere(_)) => true,
            Some(Found::SameUser | Found::Alternate) => login.is_some(),
        };
        (tried(self.pending, self.logins.pending) || self.label.is_some_and(PendingLabel::is_idle))
            && tried(self.previous, self.logins.previous)
    }
}
