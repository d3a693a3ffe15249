//! How an action is done: one port call for each.

use super::{
    RepairError,
    facts::{Rung, Source},
    observe::Visit,
    plan::Action,
};
use crate::{
    ports::{CallError, CallErrorKind, Custody, Database, Lock, Masters, Session, SessionError, SqlState, Table},
    rotation::facts::Effect,
};
use tokio::time::Instant;
use tracing::warn;

impl<S: Custody, D: Database, R: Masters, T: Table> Visit<'_, S, D, R, T> {
    /// Does one thing, if there is time left.
    pub(super) async fn carry_out(&mut self, action: Action) -> Result<(), RepairError> {
        // A function that was frozen and wakes up late must not act on what was true before.
        if Instant::now() >= self.deadline {
            return Err(RepairError::OutOfTime);
        }
        match action {
            Action::SetPassword(rung, source) => self.set_password(rung, source).await,
            Action::ResetMaster => self.reset_master().await,
            Action::Promote(rung, source) => self.promote(rung, source).await,
            Action::Unstage => self.unstage().await,
        }
    }

    /// Sets the password of the version that is to open the database.
    async fn set_password(&mut self, rung: Rung, source: Source) -> Result<(), RepairError> {
        let wanted = self.credentials(Self::goal(rung))?;
        let (user, password) = (wanted.username.clone(), wanted.password.clone());
        let effect = match self.session(source) {
            Some(session) => match session.set_password(&user, &password).await {
                Ok(()) => Effect::Done,
                Err(SessionError::Reported(state)) => Effect::Refused(state),
                Err(SessionError::Lost) => Effect::Unsure,
            },
            None => Effect::Unsure,
        };
        if effect == Effect::Unsure {
            // The session is gone, and the lock with it.
            self.facts.lock = self.facts.lock.map(|(holder, _)| (holder, Lock::Lost));
        }
        self.facts.climb_mut(rung).effect = Some(effect);
        Ok(())
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
