//! How a fact is learned: one port call for each look, and the small word that its answer comes down to.

use super::{
    BETWEEN_KNOCKS, KNOCKS, RotationError, Settings,
    facts::{Control, Facts, Held, Pair, SecretState, Standing, Time},
    plan::{Look, Who},
    role, strategy,
};
use crate::{
    ports::{
        Attempt, Database, Description, Door, Label, Lock, Login, Ports, Secrets, Server, Servers, Session, Table,
        Unseen, Version, Which,
    },
    secret::{DatabaseCredentials, Field, Problem},
};
use relatch_events::{rotation::RotationEvent, secret::VersionId};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

/// The longest way from a change to the proof that it is undone, in units of the patience that each operation has: the
/// change (1.5), its proof (3, and pauses), putting back in the session (1.5) and under the lock through a new one
/// (1 + 1.5 + 1.5), and the proof of that (3, and pauses).
const LONGEST_WAY: u32 = 14;

/// The longest that closing sessions may take; one whose server is silent is dropped.
const CLOSING: Duration = Duration::from_millis(300);

/// One attempt at one step: what it knows, and what it holds open.
pub(super) struct Visit<'a, S, D: Database, R, T> {
    pub(super) ports: &'a Ports<S, D, R, T>,
    pub(super) settings: &'a Settings,
    pub(super) event: &'a RotationEvent,
    pub(super) deadline: Instant,
    /// What the plan is made of.
    pub(super) facts: Facts,
    /// What the facts were made of: the values, which no plan needs to see.
    pub(super) known: Known,
    pub(super) sessions: Vec<(Who, D::Session)>,
}

/// The values behind the facts.
#[derive(Default)]
pub(super) struct Known {
    pub(super) arn: Option<String>,
    pub(super) current_id: Option<VersionId>,
    pub(super) current: Option<DatabaseCredentials>,
    pub(super) pending: Option<DatabaseCredentials>,
    pub(super) previous: Option<DatabaseCredentials>,
    pub(super) admin: Option<DatabaseCredentials>,
    description: Option<Description>,
    server: Option<Server>,
}

impl<'a, S: Secrets, D: Database, R: Servers, T: Table> Visit<'a, S, D, R, T> {
    pub(super) fn new(
        ports: &'a Ports<S, D, R, T>,
        settings: &'a Settings,
        event: &'a RotationEvent,
        deadline: Instant,
    ) -> Self {
        let (facts, known, sessions) = (Facts::default(), Known::default(), Vec::new());
        Self { ports, settings, event, deadline, facts, known, sessions }
    }

    /// Finds out one thing.
    pub(super) async fn look(&mut self, look: Look) -> Result<(), RotationError> {
        let (secrets, secret, token) = (&self.ports.secrets, &self.event.secret_id, &self.event.client_request_token);
        match look {
            Look::Labels => {
                let description = secrets.describe(secret).await?;
                self.learn_labels(description);
            }
            Look::LabelsAfter => {
                let description = secrets.describe(secret).await?;
                self.facts.standing_after = Some(self.standing(&description));
            }
            Look::Pending => {
                let version = secrets.read(secret, Which::Exactly(token, Label::Pending)).await?;
                self.learn_pending(version);
            }
            Look::Current => {
                let version = secrets.read(secret, Which::Labelled(Label::Current)).await?;
                self.learn_current(version);
            }
            Look::Previous => {
                let version = secrets.read(secret, Which::Labelled(Label::Previous)).await?;
                self.learn_previous(version);
            }
            Look::Admin => {
                let version = match self.known.current.as_ref().and_then(|current| current.masterarn.clone()) {
                    Some(arn) if self.settings.admins.allow(&arn) => secrets.read(secret, Which::Admin(&arn)).await?,
                    Some(_) => {
                        self.facts.admin = Some(Held::NotAllowed);
                        return Ok(());
                    }
                    None => None,
                };
                self.learn_admin(version);
            }
            Look::Server => {
                let server = self.ports.servers.find(self.credentials(Who::Current)?).await?;
                self.facts.server = Some(server.state);
                self.known.server = Some(server);
            }
            Look::Login(who) => {
                let attempt = self.knock(who).await?;
                self.learn_login(who, attempt);
            }
            Look::Lock(who) => {
                let (arn, patience) = (self.arn()?, self.settings.patience);
                self.facts.lock = Some(match self.session(who) {
                    Some(session) => session.lock(&arn, patience).await,
                    None => Lock::Lost,
                });
            }
            Look::Role(who) => {
                let user = self.user()?;
                let model = strategy::model(&user).to_owned();
                let surroundings = match self.session(who) {
                    Some(session) => session.look(&user, &model).await,
                    None => Err(Unseen::Lost),
                };
                let has_admin = self.known.current.as_ref().is_some_and(|current| current.masterarn.is_some());
                let opens = |login: Option<Login>| matches!(login, Some(Login::Accepted | Login::Unfit(_)));
                // An alternate user shares the memberships of its model.
                let logins = self.facts.logins;
                let shown = [logins.current, logins.pending, logins.previous].into_iter().any(opens);
                let surroundings = surroundings.map(|seen| if shown { role::shown_by_password(seen) } else { seen });
                self.facts.role = Some(match (surroundings, self.facts.pair) {
                    (Err(unseen), _) => role::unseen(unseen),
                    (Ok(seen), Some(Pair::Alternating)) => role::judge_alternate(&seen),
                    (Ok(seen), _) => role::judge_single(&seen, has_admin),
                });
            }
            Look::Time => {
                let needed = self.settings.patience * LONGEST_WAY;
                let left = self.deadline.saturating_duration_since(Instant::now());
                self.facts.time = Some(if left >= needed { Time::Enough } else { Time::Short });
            }
            Look::Control => {
                let arn = self.arn()?;
                self.facts.control = Some(Control::of(&self.ports.table.controls(&arn).await?));
            }
            Look::Reopened => self.reopen().await?,
            Look::LockAgain => {
                let (arn, patience) = (self.arn()?, self.settings.patience);
                self.facts.rollback.lock = Some(match self.session(Who::Pending) {
                    Some(session) => session.lock(&arn, patience).await,
                    None => Lock::Lost,
                });
            }
            Look::LabelsAgain => {
                let description = secrets.describe(secret).await?;
                self.facts.rollback.standing = Some(self.standing(&description));
            }
            Look::Proof => self.facts.proof = Some(self.prove(Who::Pending).await?),
            Look::Restored => {
                let who = self.restored();
                self.facts.rollback.restored = Some(self.prove(who).await?);
            }
        }
        Ok(())
    }

    /// A new session for the way back; whatever was open is closed, and with it the lock that it may still hold.
    async fn reopen(&mut self) -> Result<(), RotationError> {
        for (_, session) in self.sessions.drain(..) {
            session.close().await;
        }
        let attempt = self.ports.database.log_in(self.credentials(Who::Pending)?, &self.door(), false).await;
        self.facts.rollback.reopened = Some(attempt.login);
        self.sessions.extend(attempt.session.map(|session| (Who::Pending, session)));
        Ok(())
    }

    /// Ends every session that was opened, and the lock with them.
    pub(super) async fn close(self) {
        let close = async {
            for (_, session) in self.sessions {
                session.close().await;
            }
        };
        let _ = timeout(CLOSING, close).await;
    }

    /// Whose password goes back: of an alternate user, the one that AWSPREVIOUS holds.
    pub(super) fn restored(&self) -> Who {
        match self.facts.pair {
            Some(Pair::Alternating) => Who::Previous,
            _ => Who::Current,
        }
    }

    pub(super) fn credentials(&self, who: Who) -> Result<&DatabaseCredentials, RotationError> {
        match who {
            Who::Current => self.known.current.as_ref(),
            Who::Pending => self.known.pending.as_ref(),
            Who::Previous => self.known.previous.as_ref(),
            Who::Admin => self.known.admin.as_ref(),
        }
        .ok_or(RotationError::Fault("a login without credentials"))
    }

    /// The session that somebody's login has opened; the latest, if there are several.
    pub(super) fn session(&mut self, who: Who) -> Option<&mut D::Session> {
        self.sessions.iter_mut().rev().find_map(|(whose, session)| (*whose == who).then_some(session))
    }

    /// The secret's full ARN: the key of its lock and of what people have asked for. Under any other, the secret's name
    /// among them, nobody would be excluded and no pause be seen.
    fn arn(&self) -> Result<String, RotationError> {
        self.known.arn.clone().filter(|arn| !arn.is_empty()).ok_or(RotationError::Fault("a secret without an ARN"))
    }

    /// The user whose password is being set.
    pub(super) fn user(&self) -> Result<String, RotationError> {
        Ok(self.credentials(Who::Pending)?.username.clone())
    }

    pub(super) fn door(&self) -> Door {
        self.known.server.as_ref().map(|server| server.door.clone()).unwrap_or_default()
    }

    /// Logs in on a connection of its own, which is closed at once.
    async fn prove(&self, who: Who) -> Result<Login, RotationError> {
        let Attempt { login, session } = self.knock(who).await?;
        if let Some(session) = session {
            session.close().await;
        }
        if login != Login::Accepted {
            warn!(rotation.login = ?login, rotation.who = ?who, "A password that was set does not prove itself");
        }
        Ok(login)
    }

    /// Logs in; tries again while nothing is learned and waiting may help.
    async fn knock(&self, who: Who) -> Result<Attempt<D::Session>, RotationError> {
        let (credentials, door) = (self.credentials(who)?, self.door());
        for _ in 1..KNOCKS {
            let attempt = self.ports.database.log_in(credentials, &door, who == Who::Pending).await;
            match attempt.login {
                Login::Unknown(silence) if silence.passes() => sleep(BETWEEN_KNOCKS).await,
                Login::Accepted | Login::Unfit(_) | Login::Refused(_) | Login::Rejected | Login::Unknown(_) => {
                    return Ok(attempt);
                }
            }
        }
        Ok(self.ports.database.log_in(credentials, &door, who == Who::Pending).await)
    }

    fn learn_labels(&mut self, description: Description) {
        self.facts.standing = Some(self.standing(&description));
        self.known.description = Some(description);
        self.facts.secret = self.secret_state();
    }

    fn learn_pending(&mut self, version: Option<Version>) {
        self.known.arn = version.as_ref().map(|version| version.arn.clone()).or(self.known.arn.take());
        let (held, credentials) = held(version);
        (self.facts.pending, self.known.pending) = (Some(held), credentials);
        self.pair_up();
    }

    fn learn_current(&mut self, version: Option<Version>) {
        self.known.current_id = version.as_ref().map(|version| version.id.clone());
        self.known.arn = version.as_ref().map(|version| version.arn.clone()).or(self.known.arn.take());
        let this_token = self.known.current_id.as_ref() == Some(&self.event.client_request_token);
        let (held, credentials) = held(version);
        self.facts.current = Some(if this_token { Held::ThisToken } else { held });
        self.known.current = credentials;
        self.facts.turn = self
            .known
            .current
            .as_ref()
            .map(|current| strategy::turn(self.settings.strategy.of(current), current, &self.settings.admins));
        self.pair_up();
        // The labels may have been read before: then they have to tell the same.
        if let Some(description) = self.known.description.take() {
            self.learn_labels(description);
        }
    }

    /// A previous version is of use only if it is the same user's, on the same server.
    fn learn_previous(&mut self, version: Option<Version>) {
        let (held, previous) = held(version);
        let elsewhere = match (&previous, &self.known.pending) {
            (Some(previous), Some(pending)) if previous.username != pending.username => Some(Field::Username),
            (Some(previous), Some(pending)) => previous.leads_elsewhere(pending),
            _ => None,
        };
        self.facts.previous = Some(elsewhere.map_or(held, Held::Elsewhere));
        self.known.previous = previous.filter(|_| elsewhere.is_none());
    }

    /// The admin logs in to the secret's own database, since locks are kept for each database: in another one, a finishSecret
    /// that holds the lock as the role itself would not keep the admin out. What the owner of that database can set or make
    /// there is in force in no session of ours, but for a login trigger (PostgreSQL 17), which only a superuser can make.
    fn learn_admin(&mut self, version: Option<Version>) {
        let (held, admin) = held(version);
        let elsewhere = match (&admin, &self.known.current) {
            (Some(admin), Some(current)) => admin.serves_elsewhere(current),
            _ => None,
        };
        self.facts.admin = Some(elsewhere.map_or(held, Held::Elsewhere));
        self.known.admin = admin.filter(|_| elsewhere.is_none()).map(|admin| match &self.known.current {
            Some(current) => admin.in_database(&current.dbname),
            None => admin,
        });
    }

    fn learn_login(&mut self, who: Who, attempt: Attempt<D::Session>) {
        let fact = match who {
            Who::Current => &mut self.facts.logins.current,
            Who::Pending => &mut self.facts.logins.pending,
            Who::Previous => &mut self.facts.logins.previous,
            Who::Admin => &mut self.facts.logins.admin,
        };
        *fact = Some(attempt.login);
        self.sessions.extend(attempt.session.map(|session| (who, session)));
    }

    fn pair_up(&mut self) {
        if let (Some(current), Some(pending)) = (&self.known.current, &self.known.pending) {
            self.facts.pair = Some(strategy::pair(self.settings.strategy.of(current), current, pending));
        }
    }

    fn standing(&self, description: &Description) -> Standing {
        let token = &self.event.client_request_token;
        let (current, pending) = (description.holder(Label::Current), description.holder(Label::Pending));
        let moved = self.known.current_id.as_ref().is_some_and(|read| current != Some(read));
        match (current, pending) {
            (Some(current), _) if current == token => Standing::Current,
            (_, Some(pending)) if pending == token && !moved => Standing::Pending,
            (Some(current), Some(pending)) if pending != token && pending != current => Standing::Superseded,
            _ => Standing::Unsettled,
        }
    }

    fn secret_state(&self) -> Option<SecretState> {
        let description = self.known.description.as_ref()?;
        Some(SecretState::of(description, self.known.server.as_ref()))
    }
}

/// What a version holds, as a word and as credentials.
pub(crate) fn held(version: Option<Version>) -> (Held, Option<DatabaseCredentials>) {
    let Some(version) = version else { return (Held::Nothing, None) };
    match version.text.ok_or(Problem::Binary).and_then(DatabaseCredentials::parse) {
        Ok(credentials) => (Held::Credentials, Some(credentials)),
        Err(problem) => (Held::Unusable(problem), None),
    }
}
