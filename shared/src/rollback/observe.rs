//! How a fact is learned: one port call for each look, and the small word that its answer comes down to.

use super::{
    Intent, Order, RepairError, Settings,
    facts::{Age, Facts, FailureClass, Found, Holder, MasterVerdict, PendingLabel, Rung, Settled, Source},
    plan::Look,
};
use crate::{
    ports::{
        Attempt, CallError, CallErrorKind, Controls, Custody, Database, Description, Door, Failure, Kept, Label, Lock,
        Login, MasterOf, Masters, Ports, Server, Session, Table, Unseen, Version, Which,
    },
    rotation::{
        BETWEEN_KNOCKS, KNOCKS,
        facts::{Held, RoleProblem, RoleVerdict, SecretState, Time},
        role,
        strategy::{self, Strategy},
    },
    secret::{DatabaseCredentials, Field},
};
use jiff::Timestamp;
use relatch_events::secret::VersionId;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;
use uuid::Uuid;

/// The longest way from a change to its proof, in units of the patience that each operation has: the change (1.5), the end
/// of other sessions (3), its proof (3, and pauses).
const LONGEST_WAY: u32 = 8;

/// The longest that closing sessions may take; one whose server is silent is dropped.
const CLOSING: Duration = Duration::from_millis(300);

/// How many versions without a label are tried, the newest first. Each one is a failed login.
const MOST_KEPT: usize = 20;

/// How often it is looked whether RDS has set a password.
const BETWEEN_RESETS: Duration = Duration::from_secs(1);

/// What RDS takes for a PostgreSQL master user: 8 to 128 printable ASCII characters without `/`, `"`, `@` and space.
/// Source: `MasterUserPassword` in the RDS API reference.
const RDS_PASSWORD_LENGTHS: std::ops::RangeInclusive<usize> = 8..=128;
const RDS_FORBIDS: [char; 4] = ['/', '"', '@', ' '];

/// One attempt at one repair: what it knows, and what it holds open.
pub(super) struct Visit<'a, S, D: Database, R, T> {
    pub(super) ports: &'a Ports<S, D, R, T>,
    pub(super) settings: &'a Settings,
    pub(super) order: &'a Order,
    pub(super) deadline: Instant,
    /// What the plan is made of.
    pub(super) facts: Facts,
    /// What the facts were made of: the values, which no plan needs to see.
    pub(super) known: Known,
    /// Whose version was promoted.
    pub(super) promoted: Option<Source>,
    sessions: Vec<(Source, D::Session)>,
    /// Names this attempt, for the lease.
    owner: String,
}

/// The values behind the facts.
#[derive(Default)]
pub(super) struct Known {
    pub(super) arn: Option<String>,
    pub(super) description: Option<Description>,
    pub(super) controls: Option<Controls>,
    pub(super) failure: Option<Failure>,
    pub(super) kept: Vec<Kept>,
    current: Option<Value>,
    pending: Option<Value>,
    previous: Option<Value>,
    unlabelled: Option<Value>,
    admin: Option<DatabaseCredentials>,
    pub(super) server: Option<Server>,
}

/// A version and what it holds.
struct Value {
    id: VersionId,
    credentials: Option<DatabaseCredentials>,
}

impl<'a, S: Custody, D: Database, R: Masters, T: Table> Visit<'a, S, D, R, T> {
    pub(super) fn new(
        ports: &'a Ports<S, D, R, T>,
        settings: &'a Settings,
        order: &'a Order,
        deadline: Instant,
    ) -> Self {
        let owner = Uuid::new_v4().to_string();
        let (facts, known, sessions) = (Facts::default(), Known::default(), Vec::new());
        Self { ports, settings, order, deadline, facts, known, promoted: None, sessions, owner }
    }

    /// Finds out one thing.
    pub(super) async fn look(&mut self, look: Look) -> Result<(), RepairError> {
        match look {
            Look::Labels => {
                let description = self.ports.secrets.describe(&self.order.secret).await?;
                self.learn_labels(description);
            }
            Look::Table => self.look_at_table().await?,
            Look::Value(source) => self.look_at_value(source).await?,
            Look::Versions => {
                let kept = self.ports.secrets.versions(&self.order.secret).await?;
                self.learn_versions(kept);
            }
            Look::NextKept => self.look_at_next_kept().await?,
            Look::Server => {
                let server = self.ports.servers.find(self.reference()?).await?;
                self.learn_server(server)?;
            }
            Look::Login(source) => {
                let attempt = self.knock(source).await?;
                *self.login_mut(source) = Some(attempt.login);
                self.sessions.extend(attempt.session.map(|session| (source, session)));
            }
            Look::Lock(holder) => {
                let lock = self.take(holder).await?;
                self.facts.lock = Some((holder, lock));
                (self.facts.settled, self.facts.again, self.facts.time) = (None, None, None);
            }
            Look::LabelsAgain => {
                let description = self.ports.secrets.describe(&self.order.secret).await?;
                let settled = if self.same_labels(&description) { Settled::Same } else { Settled::Moved };
                self.facts.settled = self.facts.lock.map(|(holder, _)| (holder, settled));
            }
            Look::CurrentAgain => {
                let Attempt { login, session } = self.knock(Source::Current).await?;
                if let Some(session) = session {
                    session.close().await;
                }
                self.facts.again = Some(login);
            }
            Look::Role(source) => {
                // Whose password is to be set: of users that take turns, AWSPREVIOUS is the other one.
                let whose = match self.order.intent {
                    Intent::Heal | Intent::Recover => self.reference()?,
                    Intent::RollBack => self.credentials(Source::Previous)?,
                };
                let (user, has_admin) = (whose.username.clone(), whose.masterarn.is_some());
                let surroundings = match self.session(source) {
                    Some(session) => session.look(&user, strategy::model(&user)).await,
                    None => Err(Unseen::Lost),
                };
                let verdict = match (surroundings, source) {
                    (Err(unseen), _) => role::unseen(unseen),
                    (Ok(seen), Source::Admin) => {
                        let verdict = role::judge_reset(&seen, &user, self.tag("relatch:user"));
                        let is_missing = verdict == RoleVerdict::Unfit(RoleProblem::Missing);
                        if is_missing && self.is_to_be_created(&user) { RoleVerdict::Absent } else { verdict }
                    }
                    (Ok(seen), _) => role::judge_single(&role::shown_by_password(seen), has_admin),
                };
                self.facts.roles[source as usize] = Some(verdict);
            }
            Look::Time => {
                let needed = self.settings.patience * LONGEST_WAY;
                let left = self.deadline.saturating_duration_since(Instant::now());
                self.facts.time = Some(if left >= needed { Time::Enough } else { Time::Short });
            }
            Look::Restored(rung) => {
                let login = self.prove(rung).await?;
                self.facts.climb_mut(rung).restored = Some(login);
            }
        }
        Ok(())
    }

    /// Ends every session that was opened, and the lock with them; gives the lease back.
    pub(super) async fn close(mut self) {
        let lease = matches!(self.facts.lock, Some((Holder::Lease, Lock::Held)));
        if let (true, Some(arn)) = (lease, self.known.arn.take()) {
            let _ = timeout(CLOSING, self.ports.table.release(&arn, &self.owner)).await;
        }
        let close = async {
            for (_, session) in self.sessions {
                session.close().await;
            }
        };
        let _ = timeout(CLOSING, close).await;
    }

    /// Whose password a rung sets, or whose version it makes current: it is what is to open the database afterwards.
    pub(super) const fn goal(rung: Rung) -> Source {
        match rung {
            Rung::ThroughPending
            | Rung::ThroughPrevious
            | Rung::ThroughKept
            | Rung::ThroughAdmin
            | Rung::ThroughRds
            | Rung::Forward => Source::Current,
            Rung::ToPrevious | Rung::Backward => Source::Previous,
        }
    }

    pub(super) fn credentials(&self, source: Source) -> Result<&DatabaseCredentials, RepairError> {
        match source {
            Source::Admin => self.known.admin.as_ref(),
            Source::Current | Source::Pending | Source::Previous | Source::Kept => {
                self.value(source).and_then(|value| value.credentials.as_ref())
            }
        }
        .ok_or(RepairError::Fault("a login without credentials"))
    }

    /// What tells where the database is and whose secret this is: AWSCURRENT, and where that is broken, what was before.
    pub(super) fn reference(&self) -> Result<&DatabaseCredentials, RepairError> {
        self.credentials(Source::Current).or_else(|_| self.credentials(Source::Previous))
    }

    pub(super) fn id(&self, source: Source) -> Result<&VersionId, RepairError> {
        self.value(source).map(|value| &value.id).ok_or(RepairError::Fault("a version that was not read"))
    }

    /// The session that somebody's login has opened; the latest, if there are several.
    pub(super) fn session(&mut self, source: Source) -> Option<&mut D::Session> {
        self.sessions.iter_mut().rev().find_map(|(whose, session)| (*whose == source).then_some(session))
    }

    pub(super) fn master(&self) -> Option<MasterOf> {
        Some(self.known.server.as_ref()?.master.as_ref()?.of.clone())
    }

    pub(super) fn pending_holder(&self) -> Option<VersionId> {
        self.known.description.as_ref()?.holder(Label::Pending).cloned()
    }

    pub(super) async fn holder_of_current(&self) -> Result<Option<VersionId>, RepairError> {
        let description = self.ports.secrets.describe(&self.order.secret).await?;
        Ok(description.holder(Label::Current).cloned())
    }

    fn value(&self, source: Source) -> Option<&Value> {
        match source {
            Source::Current => self.known.current.as_ref(),
            Source::Pending => self.known.pending.as_ref(),
            Source::Previous => self.known.previous.as_ref(),
            Source::Kept => self.known.unlabelled.as_ref(),
            Source::Admin => None,
        }
    }

    fn login_mut(&mut self, source: Source) -> &mut Option<Login> {
        match source {
            Source::Current => &mut self.facts.logins.current,
            Source::Pending => &mut self.facts.logins.pending,
            Source::Previous => &mut self.facts.logins.previous,
            Source::Kept => &mut self.facts.logins.kept,
            Source::Admin => &mut self.facts.logins.admin,
        }
    }

    /// What a tag of the secret says. A principal that may write the value may not, for that, write a tag.
    fn tag(&self, name: &str) -> Option<&str> {
        self.known.description.as_ref()?.tags.get(name).map(String::as_str)
    }

    /// Whether a role that is not there is at its beginning: the secret's tags name it and the database in which it gets a
    /// schema, and the secret has never been rotated. A role that goes missing later is a person's to bring back.
    fn is_to_be_created(&self, user: &str) -> bool {
        let rotated = self.known.description.as_ref().and_then(|known| known.rotated);
        let dbname = self.reference().ok().map(|known| known.dbname.as_str());
        self.order.intent != Intent::RollBack
            && rotated.is_none()
            && self.tag("relatch:user") == Some(user)
            && dbname.is_some()
            && self.tag("relatch:database") == dbname
    }

    fn door(&self) -> Door {
        self.known.server.as_ref().map(|server| server.door.clone()).unwrap_or_default()
    }

    /// A pause has to hold, so where a table is named and cannot be asked, nothing is repaired without a person's word.
    async fn look_at_table(&mut self) -> Result<(), RepairError> {
        let arn = self.arn()?;
        let controls = self.ports.table.controls(&arn).await?;
        self.facts.paused = Some(controls.paused.is_some() || controls.everything_paused.is_some());
        self.known.controls = Some(controls);
        let Some(pending) = self.pending_holder() else { return Ok(()) };
        if self.facts.label.is_none_or(PendingLabel::is_idle) {
            return Ok(());
        }
        let recorded = self.ports.table.failure(&arn, &pending).await?;
        let reported = match &self.order.failed {
            Some(Some(token)) => *token == pending,
            Some(None) => true,
            None => false,
        };
        self.facts.failure = match &recorded {
            Some(failure) => Some(class(failure)),
            None => reported.then_some(FailureClass::Unrecorded),
        };
        self.known.failure = recorded;
        Ok(())
    }

    async fn look_at_value(&mut self, source: Source) -> Result<(), RepairError> {
        let (secrets, secret) = (&self.ports.secrets, &self.order.secret);
        match source {
            Source::Current => {
                let version = secrets.read(secret, Which::Labelled(Label::Current)).await?;
                self.learn_current(version);
            }
            Source::Pending => {
                let version = secrets.read(secret, Which::Labelled(Label::Pending)).await?;
                let (found, value) = self.judge(version);
                (self.facts.pending, self.known.pending) = (Some(found), value);
            }
            Source::Previous => {
                let version = secrets.read(secret, Which::Labelled(Label::Previous)).await?;
                let (found, value) = self.judge(version);
                (self.facts.previous, self.known.previous) = (Some(found), value);
            }
            Source::Admin => {
                let version = match self.reference()?.masterarn.clone() {
                    Some(arn) if self.settings.admins.allow(&arn) => {
                        permitted(secrets.read(secret, Which::Admin(&arn)).await)?
                    }
                    Some(_) => {
                        self.facts.admin = Some(Held::NotAllowed);
                        return Ok(());
                    }
                    None => None,
                };
                self.learn_admin(version);
            }
            Source::Kept => return Err(RepairError::Fault("a version without a label, asked for by its label")),
        }
        Ok(())
    }

    async fn look_at_next_kept(&mut self) -> Result<(), RepairError> {
        let tried = usize::from(self.facts.kept.tried);
        let id = self.known.kept.get(tried).map(|kept| kept.id.clone());
        let id = id.ok_or(RepairError::Fault("more versions than there are"))?;
        self.facts.kept.tried += 1;
        let version = self.ports.secrets.read(&self.order.secret, Which::Kept(&id)).await?;
        let (found, value) = self.judge(version);
        if !matches!(found, Found::SameUser | Found::Alternate) {
            return Ok(());
        }
        self.known.unlabelled = value;
        let attempt = self.knock(Source::Kept).await?;
        self.facts.logins.kept = Some(match (self.facts.logins.kept, attempt.login) {
            // One of which nothing was learned is not forgotten over one that was rejected.
            (Some(silent @ Login::Unknown(_)), Login::Rejected) => silent,
            (_, login) => login,
        });
        self.facts.kept.found = Some(found);
        self.sessions.extend(attempt.session.map(|session| (Source::Kept, session)));
        Ok(())
    }

    /// The exclusive right to act. One session after another may ask for it, and each lets the one before go.
    async fn take(&mut self, holder: Holder) -> Result<Lock, RepairError> {
        let (arn, patience) = (self.arn()?, self.settings.patience);
        match holder {
            Holder::Session(source) => {
                for (whose, mut session) in self.sessions.extract_if(.., |(whose, _)| *whose != source) {
                    if matches!(self.facts.lock, Some((Holder::Session(holder), lock)) if holder == whose && lock.is_ours())
                    {
                        session.unlock().await;
                    }
                    session.close().await;
                }
                Ok(match self.session(source) {
                    Some(session) => session.lock(&arn, patience).await,
                    None => Lock::Lost,
                })
            }
            Holder::Lease => {
                let term = self.deadline.saturating_duration_since(Instant::now());
                Ok(self.ports.table.lease(&arn, &self.owner, term).await?)
            }
        }
    }

    /// Logs in as whoever should be let in now. RDS takes its time, so it is asked until the time is over.
    async fn prove(&mut self, rung: Rung) -> Result<Login, RepairError> {
        let source = match (rung, self.promoted) {
            (Rung::Forward, Some(source)) => source,
            _ => Self::goal(rung),
        };
        let latest =
            self.deadline - self.settings.patience.min(self.deadline.saturating_duration_since(Instant::now()));
        loop {
            let Attempt { login, session } = self.knock(source).await?;
            let patient = rung == Rung::ThroughRds && Instant::now() + BETWEEN_RESETS < latest;
            if patient && matches!(login, Login::Rejected | Login::Unknown(_)) {
                sleep(BETWEEN_RESETS).await;
                continue;
            }
            match session {
                // The session proves AWSCURRENT, so it may hold the lock while AWSPENDING goes.
                Some(session) if rung == Rung::ThroughRds => self.sessions.push((Source::Current, session)),
                Some(session) => session.close().await,
                None => {}
            }
            if !matches!(login, Login::Accepted | Login::Unfit(_)) {
                warn!(repair.login = ?login, repair.rung = rung.name(), "What a rung has set does not prove itself");
            }
            return Ok(login);
        }
    }

    /// Logs in; tries again while nothing is learned and waiting may help.
    async fn knock(&self, source: Source) -> Result<Attempt<D::Session>, RepairError> {
        let (credentials, door) = (self.credentials(source)?, self.door());
        for _ in 1..KNOCKS {
            let attempt = self.ports.database.log_in(credentials, &door, false).await;
            match attempt.login {
                Login::Unknown(silence) if silence.passes() => sleep(BETWEEN_KNOCKS).await,
                Login::Accepted | Login::Unfit(_) | Login::Refused(_) | Login::Rejected | Login::Unknown(_) => {
                    return Ok(attempt);
                }
            }
        }
        Ok(self.ports.database.log_in(credentials, &door, false).await)
    }

    /// The secret's full ARN: the key of its lock, its lease and its controls. Under any other, the secret's name among
    /// them, nobody would be excluded and no pause be seen.
    fn arn(&self) -> Result<String, RepairError> {
        self.known.arn.clone().filter(|arn| !arn.is_empty()).ok_or(RepairError::Fault("a secret without an ARN"))
    }

    fn learn_labels(&mut self, description: Description) {
        let (current, pending) = (description.holder(Label::Current), description.holder(Label::Pending));
        self.facts.label = Some(match (current, pending) {
            (_, None) => PendingLabel::Nowhere,
            (current, pending) if current == pending => PendingLabel::OnCurrent,
            (_, Some(_)) => PendingLabel::Waiting(None),
        });
        self.facts.pending_is_previous = pending.is_some() && pending == description.holder(Label::Previous);
        self.known.arn = description.arn.clone();
        self.known.description = Some(description);
        self.facts.secret = self.secret_state();
    }

    pub(super) fn learn_versions(&mut self, versions: Vec<Kept>) {
        if let (Some(PendingLabel::Waiting(_)), Some(pending)) = (self.facts.label, self.pending_holder()) {
            let created = versions.iter().find(|version| version.id == pending).and_then(|version| version.created);
            self.facts.label = Some(PendingLabel::Waiting(created.map(|created| self.age(created))));
        }
        // A label of somebody's own, which keeps a version from being deleted, makes it no other kind of version.
        let ours = self.known.description.as_ref().map(|description| &description.labels);
        let labelled = |version: &Kept| ours.and_then(|ours| ours.get(&version.id)).is_some_and(|l| !l.is_empty());
        self.known.kept = versions.into_iter().filter(|version| !labelled(version)).take(MOST_KEPT).collect();
        self.facts.kept.count = u8::try_from(self.known.kept.len()).ok();
    }

    fn age(&self, created: Timestamp) -> Age {
        let elapsed = Duration::try_from(Timestamp::now().duration_since(created)).unwrap_or_default();
        match elapsed {
            elapsed if elapsed >= self.settings.stuck => Age::Stuck,
            elapsed if elapsed >= self.settings.in_flight => Age::Waiting,
            _ => Age::Fresh,
        }
    }

    fn learn_current(&mut self, version: Option<Version>) {
        if let Some(version) = &version {
            self.known.arn = Some(version.arn.clone()).filter(|arn| !arn.is_empty()).or(self.known.arn.take());
        }
        let id = version.as_ref().map(|version| version.id.clone());
        let (held, credentials) = crate::rotation::held(version);
        // What was read must be what the labels show: otherwise they are being moved at this moment.
        let shown = self.known.description.as_ref().and_then(|description| description.holder(Label::Current));
        self.facts.moving = shown != id.as_ref();
        self.facts.current = Some(held);
        self.known.current = id.map(|id| Value { id, credentials });
    }

    /// The admin logs in to the secret's own database, since locks are kept for each database.
    fn learn_admin(&mut self, version: Option<Version>) {
        let (held, admin) = crate::rotation::held(version);
        let (elsewhere, dbname) = match (&admin, self.reference()) {
            (Some(admin), Ok(current)) => (admin.serves_elsewhere(current), Some(current.dbname.clone())),
            _ => (None, None),
        };
        self.facts.admin = Some(elsewhere.map_or(held, Held::Elsewhere));
        self.known.admin = match (admin.filter(|_| elsewhere.is_none()), dbname) {
            (Some(admin), Some(dbname)) => Some(admin.in_database(&dbname)),
            (admin, _) => admin,
        };
    }

    fn learn_server(&mut self, server: Server) -> Result<(), RepairError> {
        let current = self.reference()?;
        let (pinned, named) = (self.tag("relatch:resource-id"), self.tag("relatch:user"));
        let password = current.password_fits(RDS_PASSWORD_LENGTHS, &RDS_FORBIDS);
        self.facts.master = Some(match &server.master {
            Some(master) if master.username != current.username => MasterVerdict::NotMaster,
            None => MasterVerdict::NotMaster,
            Some(_) if pinned.is_none() || pinned != server.resource_id.as_deref() => MasterVerdict::NotPinned,
            Some(_) if named != Some(&current.username) => MasterVerdict::NotPinned,
            Some(_) if !password => MasterVerdict::UnfitPassword,
            Some(_) => MasterVerdict::Resettable,
        });
        self.facts.server = Some(server.state);
        self.known.server = Some(server);
        self.facts.secret = self.secret_state();
        Ok(())
    }

    /// What a version other than AWSCURRENT holds. One that leads elsewhere is never used.
    fn judge(&self, version: Option<Version>) -> (Found, Option<Value>) {
        let id = version.as_ref().map(|version| version.id.clone());
        let (held, credentials) = crate::rotation::held(version);
        let (Some(id), Some(credentials)) = (id, credentials) else {
            return (
                match held {
                    Held::Unusable(problem) => Found::Unusable(problem),
                    Held::Credentials | Held::Nothing | Held::ThisToken | Held::Elsewhere(_) | Held::NotAllowed => {
                        Found::Nothing
                    }
                },
                None,
            );
        };
        let current = self.known.current.as_ref().and_then(|current| current.credentials.as_ref());
        let found = match current {
            // With AWSCURRENT broken there is nothing to compare with but what went before it.
            None => Found::SameUser,
            Some(current) => match credentials.leads_elsewhere(current) {
                Some(field) => Found::Elsewhere(field),
                None if credentials.username == current.username => Found::SameUser,
                None if self.takes_turns(&credentials.username, current) => Found::Alternate,
                None => Found::Elsewhere(Field::Username),
            },
        };
        let usable = matches!(found, Found::SameUser | Found::Alternate);
        (found, usable.then_some(Value { id, credentials: Some(credentials) }))
    }

    fn takes_turns(&self, user: &str, current: &DatabaseCredentials) -> bool {
        let alternate = strategy::next_user(Strategy::AlternatingUsers, &current.username);
        self.settings.strategy.of(current) == Strategy::AlternatingUsers && alternate.as_deref() == Some(user)
    }

    fn same_labels(&self, now: &Description) -> bool {
        let read = self.known.current.as_ref().map(|current| &current.id);
        let before = self.known.description.as_ref();
        let still = |label| before.and_then(|before| before.holder(label)) == now.holder(label);
        read == now.holder(Label::Current) && still(Label::Pending) && still(Label::Previous)
    }

    fn secret_state(&self) -> Option<SecretState> {
        let description = self.known.description.as_ref()?;
        Some(SecretState::of(description, self.known.server.as_ref()))
    }
}

/// A permission that is not given takes this way, and no other.
fn permitted(read: Result<Option<Version>, CallError>) -> Result<Option<Version>, CallError> {
    match read {
        Err(CallError { kind: CallErrorKind::Denied, operation, message }) => {
            warn!(aws.operation = operation, error = message, "The admin secret may not be read; going on without it");
            Ok(None)
        }
        read => read,
    }
}

/// What a recorded failure comes down to.
fn class(failure: &Failure) -> FailureClass {
    match failure.reason.as_str() {
        "change-refused" => FailureClass::Update,
        "database-silent"
        | "session-lost"
        | "change-unsure"
        | "rollback-unfinished"
        | "server-not-available"
        | "server-stopped" => FailureClass::Connection,
        "pending-unusable" | "mismatch" | "rolled-back" | "test-query-failed" | "pending-rejected" => {
            FailureClass::PendingUseless
        }
        _ => FailureClass::Other,
    }
}
