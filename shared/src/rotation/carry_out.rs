//! How an action is done: one port call for each.

use super::{
    RotationError,
    facts::{Effect, RoleProblem, RoleVerdict},
    observe::Visit,
    plan::{Action, Who},
    strategy,
};
use crate::ports::{CallError, CallErrorKind, Database, Pending, Secrets, Servers, Session, SessionError, Table};
use tokio::time::Instant;
use tracing::warn;

impl<S: Secrets, D: Database, R: Servers, T: Table> Visit<'_, S, D, R, T> {
    /// Does one thing, if there is time left.
    pub(super) async fn carry_out(&mut self, action: Action) -> Result<(), RotationError> {
        self.in_time()?;
        match action {
            Action::Stage => self.stage().await,
            Action::SetPassword(who) => self.set_password(who).await,
            Action::Provision => self.provision().await,
            Action::PutBack(who) => self.put_back(who).await,
            Action::PutBackThroughPending => self.put_back_through_pending().await,
            Action::Promote => self.promote().await,
        }
    }

    /// A function that was frozen and wakes up late must not act on what was true before.
    fn in_time(&self) -> Result<(), RotationError> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(RotationError::OutOfTime) }
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
        let answer = match self.session(Who::Admin) {
            Some(session) => session.provision(&user, &model, &password).await,
            None => Err(SessionError::Lost),
        };
        match answer {
            // Nothing was changed: more is known of the role than it was looked at for.
            Ok(Err(obstacle)) => self.facts.role = Some(RoleVerdict::Unfit(RoleProblem::Unequal(obstacle))),
            Ok(Ok(())) => self.facts.change = Some(outcome(Ok(()))),
            Err(error) => self.facts.change = Some(outcome(Err(error))),
        }
        Ok(())
    }

    async fn put_back(&mut self, who: Who) -> Result<(), RotationError> {
        self.facts.rollback.same_session = Some(self.set_to(self.restored(), who).await?);
        Ok(())
    }

    async fn put_back_through_pending(&mut self) -> Result<(), RotationError> {
        self.facts.rollback.through_pending = Some(self.set_to(self.restored(), Who::Pending).await?);
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
