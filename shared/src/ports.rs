//! The outside, in our words. Vendors' words end where an [adapter](crate::adapters) fulfils one of these ports.
//!
//! Every method is one thing that can fail on its own, before its effect or after it; the fault matrix of the tests
//! makes each of them do both.

#![allow(async_fn_in_trait, reason = "a handler runs one invocation at a time, on one thread")]

use crate::{
    alert::{
        Alert, Severity, Status,
        deliver::Channel,
        policy::{self, Entry, Key},
    },
    audit::{
        anchor::{NotAnchored, Place, PublicKey, Signature, SignedAnchor},
        baseline::Part,
        chain::{Head, Record},
        ledger::{self, Appended, Noted, Past, Question},
        operation::{Act, Announcement, Operation},
    },
    config::Environment,
    secret::{ChannelKeys, DatabaseCredentials},
};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use relatch_events::{
    cloudtrail::target::Target,
    containment::{Containment, RequestId, WakeUp},
    rotation::Step,
    secret::{SecretId, VersionId},
};
use secrecy::SecretString;
use std::{collections::BTreeMap, fmt, pin::Pin, time::Duration};

/// What a rotation, or a repair, needs of the outside.
#[derive(Debug, Clone)]
pub struct Ports<S, D, R, T> {
    /// Secrets Manager.
    pub secrets: S,
    /// PostgreSQL.
    pub database: D,
    /// RDS.
    pub servers: R,
    /// What is remembered between invocations.
    pub table: T,
}

/// Secrets Manager. It is eventually consistent: what it says of labels may be a little old.
pub trait Secrets {
    /// What is known of a secret, without any value.
    async fn describe(&self, secret: &SecretId) -> Result<Description, CallError>;

    /// Reads one version; `None` if there is no such version, or it does not hold the label asked for, or has no value.
    async fn read(&self, secret: &SecretId, which: Which<'_>) -> Result<Option<Version>, CallError>;

    /// Stores a value under AWSPENDING, as the version that the token names.
    async fn stage(&self, secret: &SecretId, pending: Pending<'_>) -> Result<Staged, CallError>;

    /// Moves AWSCURRENT, if it still is on `from`. Secrets Manager moves AWSPREVIOUS along.
    async fn promote(&self, secret: &SecretId, to: &VersionId, from: &VersionId) -> Result<(), CallError>;
}

/// What only a repair does with a secret's versions. A rotation is built on [`Secrets`] alone, and so cannot take a label
/// off.
pub trait Custody: Secrets {
    /// Every version that there still is, the newest first; also those without a label, which Secrets Manager deletes some
    /// time after their first day.
    async fn versions(&self, secret: &SecretId) -> Result<Vec<Kept>, CallError>;

    /// Takes AWSPENDING off, if it still is on `from`.
    async fn unstage(&self, secret: &SecretId, from: &VersionId) -> Result<(), CallError>;

    /// A page of the secrets of this account and region, those that are scheduled for deletion among them.
    async fn list(&self, after: Option<&str>) -> Result<Page, CallError>;
}

/// Who is let to a secret's value, and its rotation before its time: what only containment changes. Secrets Manager is
/// eventually consistent here too.
pub trait Gate: Custody {
    /// The secret's own policy, as JSON; `None` if it has none.
    async fn policy(&self, secret: &SecretId) -> Result<Option<String>, CallError>;

    /// What Secrets Manager has against a policy, without putting it; empty if nothing.
    async fn objections(&self, secret: &SecretId, policy: &str) -> Result<Vec<String>, CallError>;

    /// Puts a policy in the place of the present one. One that lets the public in is refused.
    async fn put_policy(&self, secret: &SecretId, policy: &str) -> Result<(), CallError>;

    /// Takes the policy away.
    async fn delete_policy(&self, secret: &SecretId) -> Result<(), CallError>;

    /// Whether the secret's own policy denies us the version that holds a label, which no version holds. Nothing is read.
    async fn is_denied(&self, secret: &SecretId, label: &str) -> Result<bool, CallError>;

    /// Begins a rotation now.
    async fn rotate(&self, secret: &SecretId) -> Result<Rotating, CallError>;
}

/// What came of asking for a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotating {
    /// It has begun.
    Now,
    /// An earlier one is not complete, and is tried again.
    Before,
}

/// The bus by which `respond` learns at once that there is a request. Without it, the next sweep finds it.
pub trait Bus {
    /// Says that there is a request.
    async fn wake(&self, word: &WakeUp) -> Result<(), CallError>;
}

/// Where the audit writes down what it asks for.
pub trait Requests {
    /// Writes a request down. One that is there already stays as it is.
    async fn record_request(&self, id: &RequestId, request: &Containment) -> Result<(), CallError>;
}

/// What was asked for, and whom `respond` has denied what.
pub trait Containments {
    /// What was asked for by this name; `None` if nobody has.
    async fn request(&self, environment: Environment, id: &RequestId) -> Result<Option<Asked>, CallError>;

    /// The names of all requests that were written down since a time, of which not all is done.
    async fn unfinished(&self, environment: Environment, since: Timestamp) -> Result<Vec<RequestId>, CallError>;

    /// Notes that all is done that a request asks for, or nothing more can be.
    async fn finish(&self, environment: Environment, id: &RequestId) -> Result<(), CallError>;

    /// Notes that a principal is denied a secret.
    async fn record_denial(&self, environment: Environment, denial: &Denied) -> Result<(), CallError>;

    /// Every denial that was noted, those among them that were released.
    async fn denials(&self, environment: Environment) -> Result<Vec<Denied>, CallError>;

    /// Notes that a principal may read a secret again, so that nobody puts its denial back.
    async fn release_denial(&self, environment: Environment, secret: &str, principal: &str) -> Result<(), CallError>;
}

/// A request for containment, as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What it asks.
    pub containment: Containment,
    /// When it was written down.
    pub at: Timestamp,
    /// Whether all of it is done.
    pub is_finished: bool,
}

/// That a principal is denied a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The secret's full ARN.
    pub secret: String,
    /// The principal's ARN.
    pub principal: String,
    /// For how many milliseconds the incident behind it goes on.
    pub incident_gap: i64,
    /// When it was released, if it was.
    pub released: Option<Timestamp>,
}

/// A version that there still is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The version's id.
    pub id: VersionId,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// A page of a list of secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The secrets: full ARN, and what is known without their values.
    pub secrets: Vec<(SecretId, Description)>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

/// A version to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// The version that holds a label.
    Labelled(Label),
    /// A version by its id, if it holds the label as well.
    Exactly(&'a VersionId, Label),
    /// A version by its id, whatever labels it has.
    Kept(&'a VersionId),
    /// AWSCURRENT of another secret than the one being rotated: the admin secret's.
    Admin(&'a str),
}

/// A staging label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// What consumers use.
    Current,
    /// What is being rotated in.
    Pending,
    /// What consumers used before.
    Previous,
}

impl Label {
    /// What Secrets Manager calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Label::Current => "AWSCURRENT",
            Label::Pending => "AWSPENDING",
            Label::Previous => "AWSPREVIOUS",
        }
    }
}

/// A version, with its value.
#[derive(Debug, Clone)]
pub struct Version {
    /// The version's id.
    pub id: VersionId,
    /// The full ARN of its secret.
    pub arn: String,
    /// The text that it holds; `None` if it holds bytes.
    pub text: Option<SecretString>,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// A value to be staged.
#[derive(Debug, Clone, Copy)]
pub struct Pending<'a> {
    /// Names the version.
    pub token: &'a VersionId,
    /// Proves that an assumed role acts for this rotation.
    pub rotation_token: Option<&'a SecretString>,
    /// The value.
    pub text: &'a SecretString,
}

/// What became of a value that was to be staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Staged {
    /// It is stored.
    Now,
    /// The token's version already has another value, from an earlier attempt; that one stays.
    Before,
}

/// What Secrets Manager says of a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// The secret's full ARN.
    pub arn: Option<String>,
    /// Whether rotation is switched on.
    pub rotation_enabled: bool,
    /// ARN of the function that rotates it.
    pub rotation_function: Option<String>,
    /// After how many days it is to be rotated again, where the rules say it in days.
    pub rotated_every: Option<i64>,
    /// When it was rotated last.
    pub rotated: Option<Timestamp>,
    /// When Secrets Manager means to rotate it next.
    pub next_rotation: Option<Timestamp>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The day on which its value was read last; Secrets Manager tells no more than the day.
    pub accessed: Option<Timestamp>,
    /// The service that manages the secret instead of its owner (RDS for its master users).
    pub owning_service: Option<String>,
    /// Whether the secret is scheduled for deletion.
    pub deleted: bool,
    /// The labels that each version holds.
    pub labels: BTreeMap<VersionId, Vec<Label>>,
    /// The secret's tags.
    pub tags: BTreeMap<String, String>,
}

impl Description {
    /// The version that holds a label.
    pub fn holder(&self, label: Label) -> Option<&VersionId> {
        self.labels.iter().find_map(|(id, labels)| labels.contains(&label).then_some(id))
    }
}

/// PostgreSQL.
pub trait Database {
    /// A session that is open.
    type Session: Session;

    /// Logs in, and runs a first query on the session. `probe` adds the proof that the credential can do its job
    /// (`RELATCH_TEST_QUERY`).
    async fn log_in(&self, credentials: &DatabaseCredentials, door: &Door, probe: bool) -> Attempt<Self::Session>;
}

/// Where a login goes to: the host of the credentials, or the writer behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Door {
    /// Host and port, where they are not those of the credentials.
    pub endpoint: Option<(String, u16)>,
}

/// What a login told us, and the session if there is one.
#[derive(Debug)]
pub struct Attempt<S> {
    /// What it told.
    pub login: Login,
    /// The open session; only with [`Login::Accepted`].
    pub session: Option<S>,
}

/// What a login told us. Silence is not "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Login {
    /// The password opens the database, and a query was answered.
    Accepted,
    /// The password is right, and the server then refused the session.
    Refused(Refusal),
    /// The password opens the database, and the test query failed.
    Unfit(SqlState),
    /// The password is not right. Also said of a role that is not there, or whose VALID UNTIL is over.
    Rejected,
    /// Nothing was learned of the password.
    Unknown(Silence),
}

/// Why a session was refused after its password had been accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Refusal {
    /// The role has NOLOGIN.
    #[error("the role may not log in (NOLOGIN)")]
    NoLogin,
    /// The role has as many sessions as it may have.
    #[error("the role's connection limit is reached")]
    ConnectionLimit,
    /// The database has as many sessions as it may have.
    #[error("the database's connection limit is reached")]
    DatabaseLimit,
    /// The database takes no sessions at all.
    #[error("the database accepts no connections (ALLOW_CONNECTIONS false, or left invalid by an interrupted DROP)")]
    DatabaseClosed,
    /// There is no such database.
    #[error("the database does not exist")]
    NoDatabase,
    /// The role has no CONNECT on the database.
    #[error("the role may not connect to the database")]
    NoConnect,
}

/// Why nothing was learned of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Silence {
    /// No answer in time.
    #[error("the database did not answer in time")]
    TimedOut,
    /// No connection, or it was lost.
    #[error("the database cannot be reached")]
    Unreachable,
    /// Too many connections, starting up, shutting down.
    #[error("the database is there but takes no connections")]
    Busy,
    /// A rule of `pg_hba.conf`, or a demand for an authentication that is not spoken here.
    #[error("the server does not let this host or method in")]
    NotLetIn,
    /// The answer does not come from PostgreSQL itself.
    #[error("a pooler answers in the database's place: name the server itself in `host` and `port`")]
    Pooler,
    /// It refuses what every PostgreSQL understands and lets everybody do.
    #[error(
        "the server refuses the first statements of a session, with SQLSTATE {0}: it is not PostgreSQL, or PUBLIC may not call pg_backend_pid() or current_setting()"
    )]
    Foreign(SqlState),
    /// It sends without end.
    #[error(
        "the server sent more than 1 MiB in one session, and the session was ended (what RELATCH_TEST_QUERY returns counts)"
    )]
    TooMuch,
    /// It wants the password itself.
    #[error(
        "the server asks for the password in clear (`password`, LDAP, PAM or RADIUS in pg_hba.conf; on RDS, a member of rds_iam), and RELATCH_WEAKEST_LOGIN does not allow it"
    )]
    ClearText,
    /// It wants the password's md5 hash, which is as good as the password.
    #[error(
        "the server asks for an md5 hash of the password, and RELATCH_WEAKEST_LOGIN does not allow it: set password_encryption to scram-sha-256 and give the role its password anew"
    )]
    Md5,
    /// It wants nothing, so that nothing is proved by a login.
    #[error("the server asked for no password (`trust` or `cert` in pg_hba.conf), so the login proves nothing")]
    NotAsked,
    /// It wants SCRAM with so many iterations that clients refuse to compute it.
    #[error(
        "the server asks for more than 100,000 SCRAM iterations, which clients refuse: lower scram_iterations and give the role its password anew"
    )]
    Iterations,
    /// It cannot bind SCRAM to the TLS connection.
    #[error("the server offers no channel binding, which RELATCH_CHANNEL_BINDING requires")]
    NoBinding,
    /// It knows neither the password nor its verifier.
    #[error("the server did not prove that it knows the password: somebody may be answering in its place")]
    Impostor,
    /// The server speaks no TLS, and plaintext is not allowed.
    #[error("the server offers no TLS, and Relatch does not go back to plaintext")]
    NoTls,
    /// The certificate bears another name.
    #[error("the server's certificate is for another host (`sslservername` in the secret names the one to expect)")]
    WrongName,
    /// The certificate is expired, or not valid yet.
    #[error("the server's certificate is expired or not valid yet")]
    WrongDate,
    /// Nobody who is trusted has signed the certificate.
    #[error(
        "the server's certificate is signed by nobody who is trusted (`sslrootcert` in the secret, or RELATCH_CA_FILE, adds an authority)"
    )]
    UnknownAuthority,
    /// The server speaks no TLS version from 1.2 on.
    #[error("the server speaks no TLS from version 1.2 on")]
    OldTls,
    /// Anything else about the server's TLS.
    #[error("the server's TLS is not to be trusted")]
    Distrusted,
    /// The secret asks for plaintext and the environment does not allow it.
    #[error("the secret says `\"ssl\": false`, and RELATCH_ALLOW_PLAINTEXT is not set")]
    PlaintextForbidden,
    /// The certificate authority that the secret or the settings name cannot be read.
    #[error("the certificate authority in `sslrootcert` is not a PEM certificate")]
    BadAuthority,
}

impl Silence {
    /// Whether waiting can help; otherwise a person has to mend something.
    pub const fn passes(self) -> bool {
        match self {
            Silence::TimedOut | Silence::Unreachable | Silence::Busy => true,
            Silence::NotLetIn
            | Silence::Pooler
            | Silence::Foreign(_)
            | Silence::TooMuch
            | Silence::ClearText
            | Silence::Md5
            | Silence::NotAsked
            | Silence::Iterations
            | Silence::NoBinding
            | Silence::Impostor
            | Silence::NoTls
            | Silence::WrongName
            | Silence::WrongDate
            | Silence::UnknownAuthority
            | Silence::OldTls
            | Silence::Distrusted
            | Silence::PlaintextForbidden
            | Silence::BadAuthority => false,
        }
    }
}

/// One open session.
pub trait Session {
    /// Takes the lock of a secret, waiting at most `patience` for it. The lock ends with the session.
    async fn lock(&mut self, arn: &str, patience: Duration) -> Lock;

    /// Gives the lock back, if it is held, and waits until the server has it: a session that is closed may hold it for a
    /// moment longer.
    async fn unlock(&mut self);

    /// What the server says of itself, of a user, and of the user that serves as its model.
    async fn look(&mut self, user: &str, model: &str) -> Result<Surroundings, Unseen>;

    /// Sets a role's password.
    async fn set_password(&mut self, user: &str, password: &SecretString) -> Result<(), SessionError>;

    /// Ends the other sessions that Relatch has open as a user, also those that are just being opened. What they saw before
    /// the password changed holds no longer, and they may be waiting for the lock to act on it.
    async fn dismiss(&mut self, user: &str) -> Result<(), SessionError>;

    /// Ends the session, and with it the lock (soon: see [`Self::unlock`]). Explicit, because a function is frozen right after its answer, and a
    /// session that is merely dropped would hold the lock until it is thawed.
    async fn close(self);

    /// Creates a role that may do nothing but log in, with a schema of its own in the session's database, and sets its
    /// password: all or nothing.
    async fn create(&mut self, user: &str, password: &SecretString) -> Result<(), SessionError>;

    /// Creates a role if it is not there, makes it the equal of its model, and sets its password: all or nothing.
    async fn provision(&mut self, user: &str, model: &str, password: &SecretString) -> Result<Likeness, SessionError>;

    /// Finds out whether a role could be made the equal of its model: does so, without a password, and undoes it.
    async fn rehearse(&mut self, user: &str, model: &str) -> Result<Likeness, SessionError>;
}

/// Whether the lock was had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lock {
    /// It is ours until the session ends.
    Held,
    /// It is ours too, but was somebody else's when it was asked for: what was seen before may be true no longer.
    Awaited,
    /// Somebody else has it.
    Busy,
    /// The session broke off while it was asked for.
    Lost,
}

impl Lock {
    /// Whether it is ours.
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Held | Self::Awaited)
    }
}

/// Why something was not done in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum SessionError {
    /// The database said no; nothing was changed.
    #[error("the database refused it with SQLSTATE {0}")]
    Reported(SqlState),
    /// No answer: it may have happened, or may still happen.
    #[error("the connection was lost before the answer")]
    Lost,
}

/// Why a session does not see what the server says of itself and of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unseen {
    /// The database said no.
    Denied(Denial),
    /// No answer.
    Lost,
}

/// What a database does not let a session read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Denial {
    /// The database's word.
    pub state: SqlState,
    /// The right that is missing, as in `GRANT … TO PUBLIC`, where it is known.
    pub missing: Option<&'static str>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { state, missing } = self;
        match missing {
            Some(right) => write!(f, "SQLSTATE {state}: `GRANT {right} TO PUBLIC`, or to the role"),
            None => write!(f, "SQLSTATE {state}: is it PostgreSQL, and may the role read its catalogs?"),
        }
    }
}

/// That a role is the equal of its model, or what keeps it from being that; then nothing was changed.
pub type Likeness = Result<(), Obstacle>;

/// What keeps an alternate user from being made the equal of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Obstacle {
    /// It is not there, and may not be created.
    #[error("the admin user may not create the alternate user: it needs CREATEROLE")]
    Creation,
    /// An attribute may not be given to it, or taken from it.
    #[error(
        "the admin user may not make the alternate user {0}, as its user is: the admin user needs the attribute itself, or a superuser sets it (ALTER ROLE)"
    )]
    Attribute(&'static str),
    /// It may not become a member of its model.
    #[error(
        "the admin user may not make the alternate user a member of {0}: as a superuser, GRANT {0} TO the admin user WITH ADMIN OPTION"
    )]
    Model(Name),
    /// A membership of its own may not be ended.
    #[error(
        "the alternate user is a member of {0} by itself or may grant it, and the admin user may not end that: as a superuser, REVOKE {0} FROM the alternate user (from PostgreSQL 16 on with GRANTED BY, as pg_auth_members has it)"
    )]
    Group(Name),
    /// A setting may not be given to it, or taken from it.
    #[error(
        "the admin user may not copy the setting {0} to the alternate user, or take it away: as a superuser, GRANT SET ON PARAMETER {0} TO the admin user (from PostgreSQL 15 on), or set or reset it for both users"
    )]
    Setting(Name),
}

impl Obstacle {
    /// The obstacle in a word or two, for the log.
    pub fn what(&self) -> String {
        match self {
            Obstacle::Creation => "CREATE ROLE".to_owned(),
            Obstacle::Attribute(name) => format!("attribute {name}"),
            Obstacle::Model(name) => format!("membership in {name}"),
            Obstacle::Group(name) => format!("membership of its own in {name}"),
            Obstacle::Setting(name) => format!("setting {name}"),
        }
    }
}

/// A name of the database's, as far as PostgreSQL keeps it. It is quoted where a statement needs it to be, and shows
/// neither line breaks nor anything else that is no text: somebody else has chosen it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([u8; Self::LONGEST]);

impl Name {
    const LONGEST: usize = 63;
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        let mut bytes = [0; Self::LONGEST];
        let kept = name.floor_char_boundary(Self::LONGEST);
        bytes.iter_mut().zip(name[..kept].bytes()).for_each(|(to, from)| *to = from);
        Self(bytes)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = String::from_utf8_lossy(&self.0);
        let name = name.trim_end_matches('\0');
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.chars().all(plain) {
            return f.write_str(name);
        }
        let shown = |c: char| if c.is_alphanumeric() || c.is_ascii_punctuation() || c == ' ' { c } else { '\u{fffd}' };
        write!(f, "\"{}\"", name.chars().map(shown).collect::<String>().replace('"', "\"\""))
    }
}

/// A SQLSTATE: five characters that name a kind of error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SqlState(pub [u8; 5]);

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<&str> for SqlState {
    fn from(code: &str) -> Self {
        let mut bytes = *b"?????";
        bytes.iter_mut().zip(code.bytes()).for_each(|(to, from)| *to = from);
        Self(bytes)
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// What the server says of itself and of two roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether it is a standby, or a reader: nothing can be changed here.
    pub in_recovery: bool,
    /// Whether only members of `rds_password` may change passwords (`rds.restrict_password_commands`), and the
    /// session's user is none.
    pub restricted: bool,
    /// Whether a module that checks passwords refuses verifiers, so that only a password in clear could be set.
    pub refuses_verifiers: bool,
    /// The user; `None` if there is no such role.
    pub user: Option<Role>,
    /// Its model; `None` if there is no such role.
    pub model: Option<Role>,
    /// Whether there is a role by the name of the model's alternate that was not made for it.
    pub strangers: bool,
}

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// LOGIN.
    pub can_log_in: bool,
    /// VALID UNTIL is over.
    pub expired: bool,
    /// How many more sessions it may open; `None` without a limit.
    pub sessions_left: Option<i64>,
    /// A member of `rds_iam`: such a role logs in by IAM, and its password is refused.
    pub iam: bool,
    /// Whether the session's user may change its password.
    pub alterable: bool,
    /// Whether it may do more than work with data: a superuser, a maker of roles, a replicator, or one whom row security
    /// does not hold.
    pub privileged: bool,
}

/// RDS.
pub trait Servers {
    /// What RDS says of the server that a secret leads to.
    async fn find(&self, credentials: &DatabaseCredentials) -> Result<Server, CallError>;
}

/// The server that a secret leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// Whether it can be worked on.
    pub state: ServerState,
    /// Where the changes go, if not to the secret's own host.
    pub door: Door,
    /// RDS's immutable name of the cluster or instance.
    pub resource_id: Option<String>,
    /// The user that RDS created with it, whose password RDS can set.
    pub master: Option<Master>,
}

/// A master user, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Master {
    /// The user's name.
    pub username: String,
    /// Whose it is.
    pub of: MasterOf,
}

/// Whose master user it is, by RDS's identifier. The instances of an Aurora cluster have the cluster's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterOf {
    /// A cluster's.
    Cluster(String),
    /// An instance's that is in no cluster.
    Instance(String),
}

/// What RDS itself can do, where nobody can log in any more.
pub trait Masters: Servers {
    /// Has RDS set a master user's password. It takes effect some time after the answer.
    async fn set_master_password(&self, of: &MasterOf, password: &SecretString) -> Result<(), CallError>;
}

/// Whether a server can be worked on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerState {
    /// Not RDS, or RDS was not asked: its own answers must do.
    #[default]
    Unlisted,
    /// RDS says it is available.
    Available,
    /// RDS says that it is failing over, starting, or otherwise not available.
    NotAvailable,
    /// RDS says that it was stopped.
    Stopped,
    /// The host is a reader endpoint or a replica.
    Reader,
    /// The identifier in the secret names nothing in this account and region.
    Missing,
    /// The host is an additional endpoint of an RDS Proxy: its name does not tell which.
    ProxyEndpoint,
}

/// What is remembered of secrets between invocations. Never a value, and never anything that a repair depends on: it says
/// what people have asked for and what has been said to them.
///
/// Secrets are named by their full ARN.
pub trait Table {
    /// What people and the circuit breaker have asked for, of a secret and of all.
    async fn controls(&self, arn: &str) -> Result<Controls, CallError>;

    /// Pauses rotation and repair, of a secret or of all.
    async fn pause(&self, scope: Scope<'_>, pause: &Pause) -> Result<(), CallError>;

    /// Ends a pause; of a secret, also what the circuit breaker has stopped. Tells whether there was anything to end.
    async fn resume(&self, scope: Scope<'_>) -> Result<bool, CallError>;

    /// Stops rotations of a secret until somebody resumes them.
    async fn stop(&self, arn: &str, why: &str) -> Result<(), CallError>;

    /// Remembers how a rotation failed, for some days.
    async fn record_failure(&self, failure: &Failure) -> Result<(), CallError>;

    /// How the rotation of a token failed last.
    async fn failure(&self, arn: &str, token: &VersionId) -> Result<Option<Failure>, CallError>;

    /// Forgets the attempts that were rolled back: a rotation has succeeded.
    async fn record_success(&self, arn: &str) -> Result<(), CallError>;

    /// Takes the lease of a secret, for where no login is possible and so no lock. It is over by itself after `term`.
    async fn lease(&self, arn: &str, owner: &str, term: Duration) -> Result<Lock, CallError>;

    /// Gives a lease back.
    async fn release(&self, arn: &str, owner: &str) -> Result<(), CallError>;

    /// Records what is about to be done outside of a rotation, by whoever records it, a probe among it: so the audit knows
    /// it from what somebody else does in Relatch's role.
    async fn record_operation(&self, target: &Target, act: &Act) -> Result<(), CallError>;
}

/// What Relatch has recorded of its own changes.
pub trait Operations {
    /// What of these was recorded, and for which time.
    async fn announced(&self, operations: &[Operation]) -> Result<Vec<Announcement>, CallError>;
}

/// One secret, or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// One, by its full ARN.
    Secret(&'a str),
    /// All of this account and region.
    Everything,
}

/// What people and the circuit breaker have asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Controls {
    /// This secret is paused.
    pub paused: Option<Pause>,
    /// All are.
    pub everything_paused: Option<Pause>,
    /// Its rotations were stopped, and why.
    pub stopped: Option<String>,
    /// How many attempts in a row were rolled back.
    pub rolled_back: u32,
    /// When somebody resumed it last: what failed before is no reason to stop it again.
    pub resumed: Option<Timestamp>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// How a rotation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The secret, by its full ARN.
    pub arn: String,
    /// The token.
    pub token: VersionId,
    /// The step.
    pub step: Step,
    /// The reason's stable name.
    pub reason: String,
    /// The error's stable name.
    pub error_type: String,
    /// What the database said, if it said anything.
    pub sqlstate: Option<String>,
    /// Whether a change was made and undone.
    pub rolled_back: bool,
    /// When.
    pub at: Timestamp,
}

/// What is firing, and what people have been told of it, between invocations.
pub trait Register {
    /// Whether anything is remembered at all.
    fn remembers(&self) -> bool {
        true
    }

    /// What is known of an environment, or of one subject there. Every write that was answered before is in it.
    async fn entries(&self, environment: Environment, subject: Option<&str>) -> Result<Vec<Entry>, CallError>;

    /// Keeps an entry, unless it has been written since it was read. Tells whether it did.
    async fn keep(&self, entry: &Entry) -> Result<bool, CallError>;

    /// When a group was told last, and whose turn it is. Every write that was answered before is in it.
    async fn telling(&self, key: &Key) -> Result<Telling, CallError>;

    /// Claims a group, to tell people of it. Exactly one of several gets it, and nobody while somebody else's claim lasts, or
    /// if a claim has begun or ended since it was read.
    async fn claim(
        &self,
        key: &Key,
        seen: &Telling,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Claim>, CallError>;

    /// Gives a claim back: people were not told.
    async fn give_up(&self, key: &Key, claim: &Claim) -> Result<(), CallError>;

    /// Notes what people know by now of each of these subjects' condition (how severe it is; `None` if it has ended), and
    /// when they were told, and ends the claim.
    async fn told(
        &self,
        key: &Key,
        claim: &Claim,
        at: Timestamp,
        members: &[(String, Option<Severity>)],
    ) -> Result<(), CallError>;

    /// What somebody wants to hear nothing of.
    async fn silences(&self) -> Result<Vec<policy::Silence>, CallError>;

    /// Begins a silence, or changes the one of the same id.
    async fn silence(&self, silence: &policy::Silence) -> Result<(), CallError>;

    /// Ends a silence. Tells whether there was one.
    async fn unsilence(&self, id: &str) -> Result<bool, CallError>;
}

/// How far the telling of a group has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Telling {
    /// When people were told last.
    pub told_at: Option<Timestamp>,
    /// How often a claim began or ended: who claims the group must have seen it as it was left.
    pub turns: u64,
}

/// A claim, by a mark that no other has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim(pub String);

/// Where alerts are published.
pub trait Topic {
    /// Publishes an alert.
    async fn publish(&self, alert: &Alert) -> Result<(), CallError>;
}

/// CloudWatch's alarms.
pub trait Alarms {
    /// How an alarm is now; `None` if there is no such alarm.
    async fn state(&self, name: &str) -> Result<Option<AlarmState>, CallError>;
}

/// How an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmState {
    /// Its threshold is breached.
    Firing,
    /// It is not.
    Quiet,
    /// There are too few data to tell.
    Unclear,
}

/// No table: nothing is paused, and nothing is remembered.
impl<T: Table> Table for Option<T> {
    async fn controls(&self, arn: &str) -> Result<Controls, CallError> {
        match self {
            Some(table) => table.controls(arn).await,
            None => Ok(Controls::default()),
        }
    }

    async fn pause(&self, scope: Scope<'_>, pause: &Pause) -> Result<(), CallError> {
        match self {
            Some(table) => table.pause(scope, pause).await,
            None => Err(no_table()),
        }
    }

    async fn resume(&self, scope: Scope<'_>) -> Result<bool, CallError> {
        match self {
            Some(table) => table.resume(scope).await,
            None => Err(no_table()),
        }
    }

    async fn stop(&self, arn: &str, why: &str) -> Result<(), CallError> {
        match self {
            Some(table) => table.stop(arn, why).await,
            None => Ok(()),
        }
    }

    async fn record_failure(&self, failure: &Failure) -> Result<(), CallError> {
        match self {
            Some(table) => table.record_failure(failure).await,
            None => Ok(()),
        }
    }

    async fn failure(&self, arn: &str, token: &VersionId) -> Result<Option<Failure>, CallError> {
        match self {
            Some(table) => table.failure(arn, token).await,
            None => Ok(None),
        }
    }

    async fn record_success(&self, arn: &str) -> Result<(), CallError> {
        match self {
            Some(table) => table.record_success(arn).await,
            None => Ok(()),
        }
    }

    async fn lease(&self, arn: &str, owner: &str, term: Duration) -> Result<Lock, CallError> {
        match self {
            Some(table) => table.lease(arn, owner, term).await,
            None => Ok(Lock::Held),
        }
    }

    async fn release(&self, arn: &str, owner: &str) -> Result<(), CallError> {
        match self {
            Some(table) => table.release(arn, owner).await,
            None => Ok(()),
        }
    }

    async fn record_operation(&self, target: &Target, act: &Act) -> Result<(), CallError> {
        match self {
            Some(table) => table.record_operation(target, act).await,
            None => Ok(()),
        }
    }
}

/// No table: nobody can have asked for anything.
impl<T: Containments> Containments for Option<T> {
    async fn request(&self, environment: Environment, id: &RequestId) -> Result<Option<Asked>, CallError> {
        match self {
            Some(table) => table.request(environment, id).await,
            None => Ok(None),
        }
    }

    async fn unfinished(&self, environment: Environment, since: Timestamp) -> Result<Vec<RequestId>, CallError> {
        match self {
            Some(table) => table.unfinished(environment, since).await,
            None => Ok(Vec::new()),
        }
    }

    async fn finish(&self, environment: Environment, id: &RequestId) -> Result<(), CallError> {
        match self {
            Some(table) => table.finish(environment, id).await,
            None => Err(no_table()),
        }
    }

    async fn record_denial(&self, environment: Environment, denial: &Denied) -> Result<(), CallError> {
        match self {
            Some(table) => table.record_denial(environment, denial).await,
            None => Err(no_table()),
        }
    }

    async fn denials(&self, environment: Environment) -> Result<Vec<Denied>, CallError> {
        match self {
            Some(table) => table.denials(environment).await,
            None => Ok(Vec::new()),
        }
    }

    async fn release_denial(&self, environment: Environment, secret: &str, principal: &str) -> Result<(), CallError> {
        match self {
            Some(table) => table.release_denial(environment, secret, principal).await,
            None => Err(no_table()),
        }
    }
}

/// No table: nothing is remembered, and every alert is told.
impl<T: Register> Register for Option<T> {
    fn remembers(&self) -> bool {
        self.as_ref().is_some_and(Register::remembers)
    }

    async fn entries(&self, environment: Environment, subject: Option<&str>) -> Result<Vec<Entry>, CallError> {
        match self {
            Some(table) => table.entries(environment, subject).await,
            None => Ok(Vec::new()),
        }
    }

    async fn keep(&self, entry: &Entry) -> Result<bool, CallError> {
        match self {
            Some(table) => table.keep(entry).await,
            None => Err(no_table()),
        }
    }

    async fn telling(&self, key: &Key) -> Result<Telling, CallError> {
        match self {
            Some(table) => table.telling(key).await,
            None => Ok(Telling::default()),
        }
    }

    async fn claim(
        &self,
        key: &Key,
        seen: &Telling,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Claim>, CallError> {
        match self {
            Some(table) => table.claim(key, seen, now, until).await,
            None => Err(no_table()),
        }
    }

    async fn give_up(&self, key: &Key, claim: &Claim) -> Result<(), CallError> {
        match self {
            Some(table) => table.give_up(key, claim).await,
            None => Err(no_table()),
        }
    }

    async fn told(
        &self,
        key: &Key,
        claim: &Claim,
        at: Timestamp,
        members: &[(String, Option<Severity>)],
    ) -> Result<(), CallError> {
        match self {
            Some(table) => table.told(key, claim, at, members).await,
            None => Err(no_table()),
        }
    }

    async fn silences(&self) -> Result<Vec<policy::Silence>, CallError> {
        match self {
            Some(table) => table.silences().await,
            None => Ok(Vec::new()),
        }
    }

    async fn silence(&self, silence: &policy::Silence) -> Result<(), CallError> {
        match self {
            Some(table) => table.silence(silence).await,
            None => Err(no_table()),
        }
    }

    async fn unsilence(&self, id: &str) -> Result<bool, CallError> {
        match self {
            Some(table) => table.unsilence(id).await,
            None => Err(no_table()),
        }
    }
}

fn no_table() -> CallError {
    let message = "no table is named: set RELATCH_TABLE".to_owned();
    CallError { operation: "dynamodb:UpdateItem", kind: CallErrorKind::Refused, message }
}

/// No topic: alerts are only in the log.
impl<T: Topic> Topic for Option<T> {
    async fn publish(&self, alert: &Alert) -> Result<(), CallError> {
        match self {
            Some(topic) => topic.publish(alert).await,
            None => Ok(()),
        }
    }
}

/// A check outside of this account that raises the alarm when it is no longer told that all is well.
pub trait Heartbeat {
    /// Tells it that all is well.
    async fn beat(&self) -> Result<(), CallError>;
}

/// No such check: nobody is told.
impl<T: Heartbeat> Heartbeat for Option<T> {
    async fn beat(&self) -> Result<(), CallError> {
        match self {
            Some(heartbeat) => heartbeat.beat().await,
            None => Ok(()),
        }
    }
}

/// Why a call to AWS did not succeed. Holds no value of any secret.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {kind}: {message}")]
pub struct CallError {
    /// The call, as in an IAM policy: `secretsmanager:GetSecretValue`.
    pub operation: &'static str,
    /// What the reader can do about it.
    pub kind: CallErrorKind,
    /// What AWS said.
    pub message: String,
}

/// What the reader of a [`CallError`] can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum CallErrorKind {
    /// Give the function's role the permission.
    #[error("not permitted")]
    Denied,
    /// Check the name.
    #[error("not found")]
    NotFound,
    /// Try again later.
    #[error("throttled")]
    Throttled,
    /// Nothing came back: it may have happened.
    #[error("no usable answer")]
    NoAnswer,
    /// The request was understood and refused.
    #[error("refused")]
    Refused,
}

/// The services by which people are told.
pub trait Channels {
    /// Tells of an alert by one channel. `thread` is what the channel answered when it was told of the same key before;
    /// what it answers now is its successor.
    async fn tell(
        &self,
        channel: &Channel,
        keys: &ChannelKeys,
        alert: &Alert,
        thread: Option<&str>,
    ) -> Result<Option<String>, Undelivered>;
}

/// Why a channel was not told. It may have been, where there was no answer.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Undelivered {
    /// What went wrong, without any key.
    pub error: CallError,
    /// How long the service wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether it was taken, by the status of the answer, and only what the answer says is not understood. To try again
    /// would tell people twice.
    pub taken: bool,
}

/// What each channel was told last.
pub trait Deliveries {
    /// What a channel was told last of an alert's key; `None` if nothing, or too long ago.
    async fn told(&self, alert: &Alert, channel: &str) -> Result<Option<Told>, CallError>;

    /// Keeps what a channel was told, unless something later is kept. Tells whether it did.
    async fn record_told(&self, alert: &Alert, channel: &str, told: &Told) -> Result<bool, CallError>;
}

/// What a channel was told of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The id of the message.
    pub message: String,
    /// When that was published.
    pub at: Timestamp,
    /// What it said.
    pub status: Status,
    /// By what the channel takes it up.
    pub thread: Option<String>,
}

/// No table: nothing is remembered.
impl<T: Deliveries> Deliveries for Option<T> {
    async fn told(&self, alert: &Alert, channel: &str) -> Result<Option<Told>, CallError> {
        match self {
            Some(deliveries) => deliveries.told(alert, channel).await,
            None => Ok(None),
        }
    }

    async fn record_told(&self, alert: &Alert, channel: &str, told: &Told) -> Result<bool, CallError> {
        match self {
            Some(deliveries) => deliveries.record_told(alert, channel, told).await,
            None => Ok(true),
        }
    }
}

/// A text that is kept elsewhere, and may change.
pub trait Parameter: fmt::Debug + Send + Sync {
    /// Reads it.
    fn read(&self) -> Reading<'_>;
}

/// What a [`Parameter`] says, when it has been read.
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<String, CallError>> + Send + 'a>>;

/// What is normal by habit, in parts.
pub trait Baselines {
    /// What is kept of these parts, in their order.
    async fn parts(&self, environment: Environment, parts: &[Part]) -> Result<Vec<KeptPart>, CallError>;

    /// Keeps a part, unless somebody else has since it was read at that revision. Tells whether it did.
    async fn keep_part(
        &self,
        environment: Environment,
        part: &Part,
        text: &str,
        revision: u64,
    ) -> Result<bool, CallError>;
}

/// What is kept of a part of the baseline.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptPart {
    /// [`Baseline::part`](crate::audit::baseline::Baseline::part); `None` if nothing is known.
    pub text: Option<String>,
    /// How often it has been written; 0 if never.
    pub revision: u64,
}

/// What the audit has written down: who came to which secret, for some time, and what was changed, for good.
///
/// Both are written once for each event, however often and by whichever way that comes. So whoever judges events looks
/// first which of them are [known](Ledger::known), and writes down those that are not when everything else is done:
/// then what was interrupted is done again, and not left out.
pub trait Ledger {
    /// Which of these are written down already, in their order.
    async fn known(&self, environment: Environment, noted: &[Noted]) -> Result<Vec<bool>, CallError>;

    /// Writes lines of the access log, each under everything it is about, to be kept for so long after it happened. What
    /// is there already is written again, and is the same. After an error some of them are there.
    async fn record_accesses(
        &self,
        environment: Environment,
        accesses: &[ledger::Entry],
        kept: SignedDuration,
    ) -> Result<(), CallError>;

    /// Appends changes to the environment's chain, in this order, each once. Whoever else appends at the same time, the
    /// chain has one end. After an error the first ones of them may be there.
    async fn append(&self, environment: Environment, changes: &[ledger::Entry]) -> Result<Vec<Appended>, CallError>;

    /// Who came to a secret, the last one first.
    async fn accesses(&self, question: Question<'_>) -> Result<ledger::Page<ledger::Entry>, CallError>;

    /// What was changed of a secret, the last change first.
    async fn history(&self, question: Question<'_>) -> Result<ledger::Page<Past>, CallError>;

    /// The chain's end, as the ledger has it.
    async fn head(&self, environment: Environment) -> Result<Head, CallError>;

    /// A page of the chain's records, in their order, beginning after a sequence number or where the page before has
    /// ended. What cannot be read is on it, too, with a digest that does not fit.
    async fn records(
        &self,
        environment: Environment,
        after: u64,
        page: Option<&str>,
        limit: u16,
    ) -> Result<ledger::Page<Record>, CallError>;

    /// Which of these records the history of anything they are about does not lead to, in their order: their sequence
    /// numbers. None, unless somebody has tampered with it: only the chain is proof against that.
    async fn unlisted(&self, environment: Environment, records: &[Record]) -> Result<Vec<u64>, CallError>;
}

/// Objects in buckets.
pub trait Objects {
    /// An object that is being read.
    type Body: Body;

    /// Opens an object. What it holds comes by and by.
    async fn open(&self, bucket: &str, key: &str) -> Result<Self::Body, CallError>;
}

/// What an object holds, as it comes.
pub trait Body {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, CallError>;
}

/// Where anchors are kept, so that nobody can change or remove them.
pub trait Anchors {
    /// Where there is anything in a folder, from a key on: every version of every object, also of those that were
    /// overwritten or deleted since.
    async fn places(&self, folder: &str, from: Option<&str>) -> Result<Vec<Place>, CallError>;

    /// What is there.
    async fn read(&self, place: &Place) -> Result<Vec<u8>, CallError>;

    /// Keeps an anchor under a key.
    async fn keep(&self, key: &str, anchor: &SignedAnchor) -> Result<(), CallError>;
}

/// Who signs anchors.
pub trait Notary {
    /// Signs a message of at most 4096 bytes.
    async fn sign(&self, message: &[u8]) -> Result<Signature, CallError>;

    /// The key by which that is verified. It stays the same.
    async fn public_key(&self) -> Result<PublicKey, NotAnchored>;
}
