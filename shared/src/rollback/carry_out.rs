//! How an action is done: one port call for each.

use super::{
    RepairError,
    facts::{Rung, Source},
    observe::Visit,
    plan::Action,
};
use crate::{
    audit::operation::Act,
    ports::{
        CallError, CallErrorKind, Custody, Database, Lock, MasterOf, Masters, Session, SessionError, SqlState, Table,
    },
    rotation::facts::Effect,
};
use relatch_events::cloudtrail::target::{Place, Target, TargetKind};
use tokio::time::Instant;
use tracing::warn;

impl<S: Custody, D: Database, R: Masters, T: Table> Visit<'_, S, D, R, T> {
    /// Does one thing, if there is time left.
    pub(super) async fn carry_out(&mut self, action: Action) -> Result<(), RepairError> {
        self.record(action).await?;
        // A function that was frozen and wakes up late must not act on what was true before.
        if Instant::now() >= self.deadline {
            return Err(RepairError::OutOfTime);
        }
        match action {
            Action::SetPassword(rung, source) => self.set_password(rung, source).await,
            Action::CreateRole => self.create_role().await,
            Action::ResetMaster => self.reset_master().await,
            Action::Promote(rung, source) => self.promote(rung, source).await,
            Action::Unstage => self.unstage().await,
        }
    }

    /// Records what CloudTrail will tell of, so that it is known there for Relatch's own.
    async fn record(&self, action: Action) -> Result<(), RepairError> {
        let arn = self.known.arn.as_deref().unwrap_or_default();
        let Some(secret) = Target::secret(arn, Place::default()) else { return Ok(()) };
        let place = Place { region: secret.region.as_deref(), account: secret.account.as_deref() };
        let (target, act) = match action {
            Action::SetPassword(..) | Action::CreateRole => return Ok(()),
            Action::ResetMaster => {
                let of = self.master().ok_or(RepairError::Fault("a master user of nothing"))?;
                let database = match &of {
                    MasterOf::Cluster(id) => Target::of(TargetKind::Cluster, id, place),
                    MasterOf::Instance(id) => Target::of(TargetKind::Instance, id, place),
                };
                (database, Act::MasterPasswordSet)
            }
            Action::Promote(_, source) => (Some(secret), Act::promotion(self.id(source)?, self.id(Source::Current)?)),
            Action::Unstage => {
                let from = self.pending_holder().ok_or(RepairError::Fault("a label on no version"))?;
                (Some(secret), Act::unstaging(&from))
            }
        };
        let Some(target) = target else { return Ok(()) };
        act.record(&target, &self.ports.table).await;
        Ok(())
    }

    /// Sets the password of the version that is to open the database.
    async fn set_password(&mut self, rung: Rung, source: Source) -> Result<(), RepairError> {
        let wanted = self.credentials(Self::goal(rung))?;
        let (user, password) = (wanted.username.clone(), wanted.password.clone());
        let answer = match self.session(source) {
            Some(session) => session.set_password(&user, &password).await,
            None => Err(SessionError::Lost),
        };
        let (effect, lost) = match answer {
            // A finishSecret that has proved AWSPENDING before this must not promote it after it.
            Ok(()) => (Effect::Done, self.dismiss(source, &user).await == Err(SessionError::Lost)),
            Err(SessionError::Reported(state)) => (Effect::Refused(state), false),
            Err(SessionError::Lost) => (Effect::Unsure, true),
        };
        if lost {
            // The session is gone, and the lock with it.
            self.facts.lock = self.facts.lock.map(|(holder, _)| (holder, Lock::Lost));
        }
        self.facts.climb_mut(rung).effect = Some(effect);
        Ok(())
    }

    /// Creates AWSCURRENT's role. Nobody has a session as it.
    async fn create_role(&mut self) -> Result<(), RepairError> {
        let current = self.credentials(Source::Current)?;
        let (user, password) = (current.username.clone(), current.password.clone());
        let answer = match self.session(Source::Admin) {
            Some(session) => session.create(&user, &password).await,
            None => Err(SessionError::Lost),
        };
        let effect = match answer {
            Ok(()) => Effect::Done,
            Err(SessionError::Reported(state)) => Effect::Refused(state),
            Err(SessionError::Lost) => {
                self.facts.lock = self.facts.lock.map(|(holder, _)| (holder, Lock::Lost));
                Effect::Unsure
            }
        };
        self.facts.climb_mut(Rung::ThroughAdmin).effect = Some(effect);
        Ok(())
    }

    async fn dismiss(&mut self, source: Source, user: &str) -> Result<(), SessionError> {
        let Some(session) = self.session(source) else { return Err(SessionError::Lost) };
        let dismissed = session.dismiss(user).await;
        if let Err(problem) = &dismissed {
            warn!(error = %problem, "Other sessions of Relatch's could not be ended");
        }
        dismissed
    }

    async fn reset_master(&mut self) -> Result<(), RepairError> {
        let password = self.credentials(Source::Current)?.password.clone();
        let of = self.master().ok_or(RepairError::Fault("a master user of nothing"))?;
        self.facts.climb_mut(Rung::ThroughRds).effect =
            Some(match self.ports.servers.set_master_password(&of, &password).await {
                Ok(()) => Effect::Done,
                Err(CallError { kind: CallErrorKind::NoAnswer, .. }) => Effect::Unsure,
                // This rung has failed, and there may be another: a permission that is not given stops no repair.
                Err(error) => {
                    warn!(
                        aws.operation = error.operation,
                        error = error.message,
                        "RDS does not set the master password"
                    );
                    Effect::Refused(NOT_A_SQLSTATE)
                }
            });
        Ok(())
    }

    async fn promote(&mut self, rung: Rung, source: Source) -> Result<(), RepairError> {
        let (to, from) = (self.id(source)?.clone(), self.id(Source::Current)?.clone());
        let answer = self.ports.secrets.promote(&self.order.secret, &to, &from).await;
        let mut effect = effect(answer)?;
        // The labels tell whether it happened. If not, the repair begins again: an answer that is lost once ends no ladder.
        if effect == Effect::Unsure && self.holder_of_current().await?.as_ref() == Some(&to) {
            effect = Effect::Done;
        }
        self.promoted = Some(source);
        self.facts.climb_mut(rung).effect = Some(effect);
        Ok(())
    }

    async fn unstage(&mut self) -> Result<(), RepairError> {
        let from = self.pending_holder().ok_or(RepairError::Fault("a label on no version"))?;
        let answer = self.ports.secrets.unstage(&self.order.secret, &from).await;
        self.facts.unstaged = Some(effect(answer)?);
        Ok(())
    }
}

/// AWS's refusals have no SQLSTATE; what they say is in the log.
pub(super) const NOT_A_SQLSTATE: SqlState = SqlState(*b"-----");

/// What an answer tells of its effect. A refusal may be the answer to a repetition whose first answer was lost.
fn effect(answer: Result<(), CallError>) -> Result<Effect, RepairError> {
    match answer {
        Ok(()) => Ok(Effect::Done),
        Err(CallError { kind: CallErrorKind::NoAnswer | CallErrorKind::Refused, operation, message }) => {
            warn!(aws.operation = operation, error = message, "No clear answer; what follows finds out");
            Ok(Effect::Unsure)
        }
        Err(error) => Err(error.into()),
    }
}
