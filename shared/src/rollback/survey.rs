//! Everything that can be seen of a secret without changing anything: for a person who wants to know.
//!
//! The same looks as a repair's, in a fixed order and each at most once; no lock, no lease, nothing written. What follows
//! from them is [`diagnosis()`], which is pure.

pub mod diagnosis;

pub use diagnosis::{Diagnosis, Finding, Mark, Remedy, diagnosis};

use super::{
    Intent, Order, RepairError, Settings,
    facts::{Facts, Found, Source},
    observe::Visit,
    plan::Look,
};
use crate::{
    ports::{
        CallError, Controls, Custody, Database, Description, Failure, Kept, Label, Login, Masters, Ports, Server,
        ServerState, Session, Table,
    },
    rotation::{
        facts::{Held, RoleProblem, RoleVerdict, SecretState},
        role,
        strategy::{self, Strategy},
    },
    secret::{DatabaseCredentials, Tls},
};
use jiff::Timestamp;
use relatch_events::secret::{SecretId, VersionId};
use tokio::time::{Instant, timeout_at};

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// AWSCURRENT, and what its next rotation needs.
    Current,
    /// Every version too, if the database rejects AWSCURRENT: each that does not open it is a failed login.
    EveryVersion,
}

/// What was seen of a secret. Holds no value.
#[derive(Debug)]
pub struct Survey {
    /// The secret as it was called.
    pub secret: SecretId,
    /// How much was looked at.
    pub extent: Extent,
    /// When it was looked at.
    pub at: Timestamp,
    /// What Secrets Manager says of it.
    pub description: Description,
    /// What people and the circuit breaker have asked for, or why that could not be read; `None` where no table is named.
    pub controls: Option<Result<Controls, CallError>>,
    /// How the rotation that is pending failed, if that is known.
    pub failure: Option<Failure>,
    /// Every version: AWSCURRENT, AWSPENDING, AWSPREVIOUS, then the newest first.
    pub versions: Vec<Seen>,
    /// Where AWSCURRENT leads (AWSPREVIOUS, where AWSCURRENT is broken).
    pub place: Option<Place>,
    /// What RDS says of the server.
    pub server: Option<Server>,
    /// Whether the database allows what the next rotation would change.
    pub next_change: Option<RoleVerdict>,
    /// The same in the words that a repair is planned with.
    pub facts: Facts,
}

/// A version of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub id: VersionId,
    /// Its labels.
    pub labels: Vec<Label>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The user that it logs in as, where its value was read and can be used.
    pub user: Option<String>,
    /// What it holds; `None` if it was not read.
    pub found: Option<Found>,
    /// What a login with it told; `None` if none was tried.
    pub login: Option<Login>,
}

/// Where a secret leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The role.
    pub user: String,
    /// The server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub dbname: String,
    /// Whether the secret asks for a connection without TLS.
    pub plaintext: bool,
    /// The admin secret.
    pub admin: Option<String>,
    /// How it is rotated.
    pub strategy: Strategy,
}

/// Looks at a secret.
///
/// # Errors
/// When AWS does not let it be seen, or the time is over. What is wrong with the secret itself is no error.
pub async fn survey<S: Custody, D: Database, R: Masters, T: Table>(
    ports: &Ports<S, D, R, T>,
    settings: &Settings,
    secret: &SecretId,
    extent: Extent,
    deadline: Instant,
) -> Result<Survey, RepairError> {
    let order = Order { secret: secret.clone(), intent: Intent::Recover, failed: None, rehearse: true };
    let mut look = Lookout {
        visit: Visit::new(ports, settings, &order, deadline),
        unremembered: None,
        kept: Vec::new(),
        tried: Vec::new(),
        next_change: None,
    };
    let looked = timeout_at(deadline, look.around(extent)).await.unwrap_or(Err(RepairError::OutOfTime));
    let survey = look.survey(secret, extent);
    look.visit.close().await;
    looked.map(|()| survey)
}

/// A visit that only looks, and what it remembers beyond the facts.
struct Lookout<'a, S, D: Database, R, T> {
    visit: Visit<'a, S, D, R, T>,
    /// Why the table could not be read.
    unremembered: Option<CallError>,
    kept: Vec<Kept>,
    /// The versions without a label that were tried.
    tried: Vec<Seen>,
    next_change: Option<RoleVerdict>,
}

impl<S: Custody, D: Database, R: Masters, T: Table> Lookout<'_, S, D, R, T> {
    async fn around(&mut self, extent: Extent) -> Result<(), RepairError> {
        self.visit.look(Look::Labels).await?;
        if !matches!(self.visit.facts.secret, Some(SecretState::Ours | SecretState::RotationOff)) {
            return Ok(());
        }
        match self.visit.look(Look::Table).await {
            Ok(()) => {}
            Err(RepairError::Interrupted(error)) => self.unremembered = Some(error),
            Err(error @ (RepairError::OutOfTime | RepairError::Fault(_))) => return Err(error),
        }
        self.visit.look(Look::Value(Source::Current)).await?;
        self.kept = self.visit.ports.secrets.versions(&self.visit.order.secret).await?;
        self.visit.learn_versions(self.kept.clone());
        if self.visit.facts.label.is_some_and(|label| !label.is_idle()) {
            self.visit.look(Look::Value(Source::Pending)).await?;
        }
        self.visit.look(Look::Value(Source::Previous)).await?;
        if self.visit.reference().is_err() {
            return Ok(());
        }
        self.visit.look(Look::Server).await?;
        let ours = matches!(self.visit.facts.secret, Some(SecretState::Ours | SecretState::RotationOff));
        if !ours || !matches!(self.visit.facts.server, Some(ServerState::Unlisted | ServerState::Available)) {
            return Ok(());
        }
        self.logins(extent).await
    }

    async fn logins(&mut self, extent: Extent) -> Result<(), RepairError> {
        if self.visit.facts.current != Some(Held::Credentials) {
            // There is nothing to compare another version with, so only the one to go back to is tried.
            if usable(self.visit.facts.previous) {
                self.visit.look(Look::Login(Source::Previous)).await?;
            }
            return Ok(());
        }
        self.visit.look(Look::Login(Source::Current)).await?;
        match self.visit.facts.logins.current {
            Some(Login::Accepted | Login::Unfit(_)) => {
                self.visit.look(Look::Role(Source::Current)).await?;
                self.next_change().await
            }
            Some(Login::Rejected) if extent == Extent::EveryVersion => self.everybody().await,
            // Without an answer, others tell nothing either; a session that is refused is refused to all.
            Some(Login::Rejected | Login::Refused(_) | Login::Unknown(_)) | None => Ok(()),
        }
    }

    /// AWSCURRENT is rejected: who is not?
    async fn everybody(&mut self) -> Result<(), RepairError> {
        let mut opener = None;
        for (source, found) in
            [(Source::Pending, self.visit.facts.pending), (Source::Previous, self.visit.facts.previous)]
        {
            if !usable(found) {
                continue;
            }
            self.visit.look(Look::Login(source)).await?;
            let logins = self.visit.facts.logins;
            match if source == Source::Pending { logins.pending } else { logins.previous } {
                Some(Login::Unknown(_)) => return Ok(()),
                Some(Login::Accepted | Login::Unfit(_)) if found == Some(Found::SameUser) => {
                    opener = opener.or(Some(source));
                }
                Some(Login::Accepted | Login::Unfit(_) | Login::Refused(_) | Login::Rejected) | None => {}
            }
        }
        self.unlabelled().await?;
        let kept = self.visit.facts;
        if matches!(kept.logins.kept, Some(Login::Accepted | Login::Unfit(_)))
            && kept.kept.found == Some(Found::SameUser)
        {
            opener = opener.or(Some(Source::Kept));
        }
        if let Some(source) = opener {
            self.visit.look(Look::Role(source)).await?;
        }
        self.admin().await
    }

    /// Every version without a label, where a repair would stop at the first that opens the database.
    async fn unlabelled(&mut self) -> Result<(), RepairError> {
        let mut best = (None, None);
        for number in 0..self.visit.known.kept.len() {
            let Kept { id, created, .. } = self.visit.known.kept[number].clone();
            (self.visit.facts.logins.kept, self.visit.facts.kept.found) = (None, None);
            self.visit.look(Look::NextKept).await?;
            let (login, found) = (self.visit.facts.logins.kept, self.visit.facts.kept.found);
            let user =
                found.and_then(|_| self.visit.credentials(Source::Kept).ok()).map(|known| known.username.clone());
            let found = found.or(Some(Found::Nothing));
            self.tried.push(Seen { id, labels: Vec::new(), created, user, found, login });
            if weight(login) > weight(best.0) {
                best = (login, found);
            }
        }
        (self.visit.facts.logins.kept, self.visit.facts.kept.found) = best;
        Ok(())
    }

    async fn admin(&mut self) -> Result<(), RepairError> {
        self.visit.look(Look::Value(Source::Admin)).await?;
        if self.visit.facts.admin == Some(Held::Credentials) {
            self.visit.look(Look::Login(Source::Admin)).await?;
            if matches!(self.visit.facts.logins.admin, Some(Login::Accepted | Login::Unfit(_))) {
                self.visit.look(Look::Role(Source::Admin)).await?;
            }
        }
        Ok(())
    }

    /// Whether the next rotation may do what it would: for a user of its own, or through the admin.
    async fn next_change(&mut self) -> Result<(), RepairError> {
        let current = self.visit.reference()?;
        let strategy = self.visit.settings.strategy.of(current);
        let next = strategy::next_user(strategy, &current.username);
        let model = strategy::model(&current.username).to_owned();
        let own = self.visit.facts.role(Source::Current);
        if strategy == Strategy::SingleUser && own != Some(RoleVerdict::NeedsAdmin) {
            self.next_change = own;
            return Ok(());
        }
        self.admin().await?;
        let through_admin = self.visit.facts.role(Source::Admin);
        self.next_change = match (strategy, next) {
            // Whoever shows that he knows the password may have it changed, whatever else he may do.
            (Strategy::SingleUser, _) => through_admin.map(|verdict| {
                if verdict == RoleVerdict::Unfit(RoleProblem::Privileged) { RoleVerdict::Fit } else { verdict }
            }),
            (Strategy::AlternatingUsers, None) => None,
            (Strategy::AlternatingUsers, Some(next)) => match self.visit.session(Source::Admin) {
                Some(session) => {
                    let seen = session.look(&next, &model).await.map(role::shown_by_password);
                    let verdict = seen.map_or_else(role::unseen, |seen| role::judge_alternate(&seen));
                    if verdict == RoleVerdict::Fit && next != model {
                        Some(match session.rehearse(&next, &model).await {
                            Ok(Ok(())) => RoleVerdict::Fit,
                            Ok(Err(obstacle)) => RoleVerdict::Unfit(RoleProblem::Unequal(obstacle)),
                            Err(_) => RoleVerdict::Unknown,
                        })
                    } else {
                        Some(verdict)
                    }
                }
                None => None,
            },
        };
        Ok(())
    }

    fn survey(&mut self, secret: &SecretId, extent: Extent) -> Survey {
        let (known, facts) = (&self.visit.known, self.visit.facts);
        let description = known.description.clone().unwrap_or_default();
        let place = self.visit.reference().ok().map(|known| Place {
            user: known.username.clone(),
            host: known.host.clone(),
            port: known.port,
            dbname: known.dbname.clone(),
            plaintext: known.tls == Tls::Plaintext,
            admin: known.masterarn.clone(),
            strategy: self.visit.settings.strategy.of(known),
        });
        let mut versions: Vec<Seen> = self.kept.iter().map(|kept| self.seen(kept, &description)).collect();
        versions.sort_by_key(|version| (version.labels.is_empty(), version.labels.iter().min().copied()));
        Survey {
            secret: secret.clone(),
            extent,
            at: Timestamp::now(),
            controls: match self.unremembered.take() {
                Some(error) => Some(Err(error)),
                None => known.controls.clone().map(Ok),
            },
            failure: known.failure.clone(),
            versions,
            place,
            server: known.server.clone(),
            next_change: self.next_change,
            facts,
            description,
        }
    }

    fn seen(&self, kept: &Kept, description: &Description) -> Seen {
        if let Some(tried) = self.tried.iter().find(|tried| tried.id == kept.id) {
            return tried.clone();
        }
        let facts = self.visit.facts;
        let labels = description.labels.get(&kept.id).cloned().unwrap_or_default();
        let (source, found, login) = if labels.contains(&Label::Current) {
            (Source::Current, facts.current.map(as_found), facts.logins.current)
        } else if labels.contains(&Label::Pending) {
            (Source::Pending, facts.pending, facts.logins.pending)
        } else if labels.contains(&Label::Previous) {
            (Source::Previous, facts.previous, facts.logins.previous)
        } else {
            return Seen { id: kept.id.clone(), labels, created: kept.created, user: None, found: None, login: None };
        };
        let user = |known: &DatabaseCredentials| known.username.clone();
        let user = self.visit.credentials(source).ok().map(user);
        Seen { id: kept.id.clone(), labels, created: kept.created, user, found, login }
    }
}

const fn usable(found: Option<Found>) -> bool {
    matches!(found, Some(Found::SameUser | Found::Alternate))
}

const fn as_found(held: Held) -> Found {
    match held {
        Held::Credentials | Held::ThisToken => Found::SameUser,
        Held::Nothing | Held::NotAllowed => Found::Nothing,
        Held::Unusable(problem) => Found::Unusable(problem),
        Held::Elsewhere(field) => Found::Elsewhere(field),
    }
}

/// Which of two logins says more of the versions without a label, as a repair's plan weighs them.
const fn weight(login: Option<Login>) -> u8 {
    match login {
        Some(Login::Accepted | Login::Unfit(_) | Login::Refused(_)) => 3,
        Some(Login::Unknown(_)) => 2,
        Some(Login::Rejected) => 1,
        None => 0,
    }
}
