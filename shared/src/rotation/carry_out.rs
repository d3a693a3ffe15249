//! How an action is done: one port call for each.

use super::{
    RotationError,
    facts::Effect,
    observe::Visit,
    plan::{Action, Who},
    strategy,
};
use crate::{
    ports::{CallError, CallErrorKind, Database, Pending, Secrets, Servers, Session, SessionError},
    rollback::Rung,
};
use tokio::time::Instant;
use tracing::warn;

impl<S: Secrets, D: Database, R: Servers> Visit<'_, S, D, R> {
    /// Does one thing, unless the invocation's time is over: a function that was frozen and wakes up late must not act
    /// on what was true before.
    pub(super) async fn carry_out(&mut self, action: Action) -> Result<(), RotationError> {
        if Instant::now() >= self.deadline {
            return Err(RotationError::OutOfTime);
        }
        match action {
            Action::Stage => self.stage().await,
            Action::SetPassword(who) => self.set_password(who).await,
            Action::Provision => self.provision().await,
            Action::PutBack(Rung::SameSession, who) => self.put_back_in_same_session(who).await,
            Action::PutBack(Rung::ThroughPending, _) => self.put_back_through_pending().await,
            Action::Promote => self.promote().await,
        }
    }

    async fn stage(&mut self) -> Result<(), RotationError> {
        let current = self.credentials(Who::Current)?;
        let user = strategy::next_user(self.settings.strategy.of(current), &current.username)
            .ok_or(RotationError::Fault("a value for a user that cannot be named"))?;
        let next = current.with_login(&user, self.settings.passwords.generate());
        let pending = Pending {
            token: &self.event.client_request_token,
            rotation_token: self.event.rotation_token.as_ref(),
            text: next.text(),
        };
        self.facts.staged = Some(self.ports.secrets.stage(&self.event.secret_id, pending).await?);
        Ok(())
    }

    async fn set_password(&mut self, who: Who) -> Result<(), RotationError> {
        self.facts.change = Some(self.set_to(Who::Pending, who).await?);
        Ok(())
    }

    async fn provision(&mut self) -> Result<(), RotationError> {
        let (user, password) = (self.user()?, self.credentials(Who::Pending)?.password.clone());
        let model = strategy::model(&user).to_owned();
        self.facts.change = Some(match self.session(Who::Admin) {
            Some(session) => outcome(session.provision(&user, &model, &password).await),
            None => Effect::Unsure,
        });
        Ok(())
    }

    async fn put_back_in_same_session(&mut self, who: Who) -> Result<(), RotationError> {
        self.facts.rollback.same_session = Some(self.set_to(self.restored(), who).await?);
        Ok(())
    }

    async fn put_back_through_pending(&mut self) -> Result<(), RotationError> {
        let attempt = self.ports.database.log_in(self.credentials(Who::Pending)?, &self.door(), false).await;
        let effect = match attempt.session {
            Some(session) => {
                self.sessions.push((Who::Pending, session));
                self.set_to(self.restored(), Who::Pending).await?
            }
            None => Effect::Unsure,
        };
        self.facts.rollback.through_pending = Some(effect);
        Ok(())
    }

    async fn promote(&mut self) -> Result<(), RotationError> {
        let (secret, token) = (&self.event.secret_id, &self.event.client_request_token);
        let from = self.known.current_id.as_ref().ok_or(RotationError::Fault("a promotion from no version"))?;
        self.facts.promotion = Some(match self.ports.secrets.promote(secret, token, from).await {
            Ok(()) => Effect::Done,
            // It may have happened: in this attempt, or in one before whose answer was lost.
            Err(CallError { kind: CallErrorKind::NoAnswer | CallErrorKind::Refused, operation, message }) => {
                warn!(
                    aws.operation = operation,
                    error = message,
                    "A promotion has no clear answer; looking at the labels"
                );
                Effect::Unsure
            }
            Err(error) => return Err(error.into()),
        });
        Ok(())
    }

    /// Sets the rotated user's password to the one that somebody's credentials hold, in somebody's session.
    async fn set_to(&mut self, whose: Who, session: Who) -> Result<Effect, RotationError> {
        let (user, password) = (self.user()?, self.credentials(whose)?.password.clone());
        Ok(match self.session(session) {
            Some(session) => outcome(session.set_password(&user, &password).await),
            None => Effect::Unsure,
        })
    }
}

fn outcome(result: Result<(), SessionError>) -> Effect {
    match result {
        Ok(()) => Effect::Done,
        Err(SessionError::Reported(state)) => Effect::Refused(state),
        Err(SessionError::Lost) => Effect::Unsure,
    }
}
