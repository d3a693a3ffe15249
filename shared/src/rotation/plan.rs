//! What a step should do next, and why. Pure: no clock, no randomness, nothing is called.
//!
//! A plan asks for one thing at a time. What it asks for first is part of the decision: the guards come before any
//! connection, and the current password is tried first, so that a normal rotation provokes no failed login.

use super::{
    facts::{Control, Effect, Facts, Held, Pair, RoleProblem, RoleVerdict, SecretState, Standing, Time, Turn},
    reason::Reason,
};
use crate::{
    ports::{Lock, Login, ServerState, Silence, Staged},
    rollback::undo,
};
use relatch_events::rotation::Step;

/// What a step should do next, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Not enough is known to decide: find this out.
    Look(Look),
    /// Do this one thing.
    Act(Action),
    /// The step is over; succeed.
    Done(Reason),
    /// Not enough can be known now to act safely; fail, so that the step is tried again.
    Wait(Reason),
    /// Acting would make things worse; fail, and tell a person.
    Refuse(Reason),
}

/// Something to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Labels, tags and state of the secret.
    Labels,
    /// The labels again, after a move whose answer was lost.
    LabelsAfter,
    /// The token's version, if it holds AWSPENDING.
    Pending,
    /// AWSCURRENT.
    Current,
    /// AWSPREVIOUS.
    Previous,
    /// The admin secret.
    Admin,
    /// The server, as RDS sees it.
    Server,
    /// Whether somebody's password opens the database. The session stays open.
    Login(Who),
    /// The lock, in somebody's session.
    Lock(Who),
    /// Whether the database allows the change, as somebody's session sees it.
    Role(Who),
    /// How much of the invocation's time is left.
    Time,
    /// Whether the pending password opens the database, on a connection of its own.
    Proof,
    /// A new session, by the pending password, for the way back.
    Reopened,
    /// The lock, in that session.
    LockAgain,
    /// The labels once more, under that lock.
    LabelsAgain,
    /// Whether the password that was put back opens the database.
    Restored,
    /// Whether people or the circuit breaker let the rotation go on.
    Control,
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Store a new value under AWSPENDING.
    Stage,
    /// Set the user's password to the pending one, in somebody's session.
    SetPassword(Who),
    /// Make the alternate user the equal of its model, with the pending password, in the admin's session.
    Provision,
    /// Put the former password back, in the session that changed it.
    PutBack(Who),
    /// Put the former password back, in a new session.
    PutBackThroughPending,
    /// Move AWSCURRENT to the token's version.
    Promote,
}

/// Whose credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Who {
    Current,
    Pending,
    Previous,
    Admin,
}

/// When AWSCURRENT moves (`RELATCH_PROMOTE`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Promote {
    /// In finishSecret, as Secrets Manager has it.
    #[default]
    AtFinish,
    /// In setSecret, right after the proof: the window in which AWSCURRENT does not log in shrinks to milliseconds.
    AfterVerify,
}

/// What a step should do next, by what it knows.
pub fn plan(step: Step, promote: Promote, facts: &Facts) -> Plan {
    let next = match step {
        Step::Create => create(facts),
        Step::Set => set(facts, promote),
        Step::Test => test(facts),
        Step::Finish => finish(facts),
    };
    next.unwrap_or_else(|plan| plan)
}

/// `Err` is a plan too: the one that comes before anything else can be decided.
type Next<T = Plan> = Result<T, Plan>;

fn create(f: &Facts) -> Next {
    standing(f)?;
    eligible(f)?;
    current(f)?;
    match f.turn.ok_or(Plan::Look(Look::Current))? {
        Turn::Known => {}
        Turn::NoAdminSecret => return Ok(Plan::Refuse(Reason::NoAdminSecret)),
        Turn::AdminNotAllowed => return Ok(Plan::Refuse(Reason::AdminNotAllowed)),
        Turn::NameTooLong => return Ok(Plan::Refuse(Reason::AlternateTooLong)),
        Turn::NoNameLeft => return Ok(Plan::Refuse(Reason::NoNameLeft)),
    }
    allowed(f)?;
    match f.staged.ok_or(Plan::Act(Action::Stage))? {
        Staged::Now => Ok(Plan::Done(Reason::Staged)),
        Staged::Before => {
            pending(f)?;
            pair(f)?;
            Ok(Plan::Done(Reason::AlreadyStaged))
        }
    }
}

fn set(f: &Facts, promote: Promote) -> Next {
    let pair = versions(f)?;
    match server(f)? {
        ServerState::Unlisted | ServerState::Available => {}
        ServerState::NotAvailable => return Ok(Plan::Wait(Reason::ServerNotAvailable)),
        ServerState::Stopped => return Ok(Plan::Wait(Reason::ServerStopped)),
        ServerState::Reader => return Ok(Plan::Refuse(Reason::ReaderEndpoint)),
        ServerState::Missing => return Ok(Plan::Refuse(Reason::ServerMissing)),
        ServerState::ProxyEndpoint => return Ok(Plan::Refuse(Reason::ProxyEndpoint)),
    }
    match pair {
        Pair::SingleUser => set_single_user(f, promote),
        Pair::Alternating => set_alternate_user(f, promote),
        Pair::Same => match login(f, Who::Current)? {
            Login::Accepted | Login::Unfit(_) => Ok(Plan::Done(Reason::AlreadySet)),
            Login::Rejected => no_version_opens(f),
            Login::Refused(_) | Login::Unknown(_) => no_answer(f, Who::Current),
        },
        Pair::Mismatch(field) => Ok(Plan::Refuse(Reason::Mismatch(field))),
    }
}

/// Current opens the database: the change is to be made. It does not, and pending does: it was made. Neither, and
/// previous does: somebody went back by hand, and going on mends it.
fn set_single_user(f: &Facts, promote: Promote) -> Next {
    match login(f, Who::Current)? {
        Login::Accepted | Login::Unfit(_) => return change(f, promote, Pair::SingleUser, Who::Current),
        Login::Rejected => {}
        Login::Refused(_) | Login::Unknown(_) => return no_answer(f, Who::Current),
    }
    match login(f, Who::Pending)? {
        Login::Accepted => return already_set(f, promote),
        Login::Unfit(state) => return unfit(f, Pair::SingleUser, Reason::TestQueryFailed(state)),
        Login::Rejected => {}
        Login::Refused(_) | Login::Unknown(_) => return no_answer(f, Who::Pending),
    }
    match f.previous.ok_or(Plan::Look(Look::Previous))? {
        Held::Credentials => {}
        Held::Nothing | Held::ThisToken | Held::Unusable(_) | Held::Elsewhere(_) | Held::NotAllowed => {
            return no_version_opens(f);
        }
    }
    match login(f, Who::Previous)? {
        Login::Accepted | Login::Unfit(_) => change(f, promote, Pair::SingleUser, Who::Previous),
        Login::Rejected => no_version_opens(f),
        Login::Refused(_) | Login::Unknown(_) => no_answer(f, Who::Previous),
    }
}

/// The admin acts only on the word of AWSCURRENT: whoever could write any user's name there would otherwise be given
/// that user's twin. It sets the password again even if it is set: that is harmless, and asking first would provoke a
/// failed login.
fn set_alternate_user(f: &Facts, promote: Promote) -> Next {
    admin(f)?;
    match login(f, Who::Current)? {
        Login::Accepted | Login::Unfit(_) => {}
        Login::Rejected => return Ok(Plan::Refuse(Reason::CurrentRejected)),
        Login::Refused(_) | Login::Unknown(_) => return no_answer(f, Who::Current),
    }
    match login(f, Who::Admin)? {
        Login::Accepted | Login::Unfit(_) => return change(f, promote, Pair::Alternating, Who::Admin),
        Login::Rejected => {}
        Login::Refused(_) | Login::Unknown(_) => return no_answer(f, Who::Admin),
    }
    match login(f, Who::Pending)? {
        Login::Accepted => already_set(f, promote),
        Login::Unfit(state) => Ok(Plan::Refuse(Reason::TestQueryFailed(state))),
        Login::Rejected => Ok(Plan::Refuse(Reason::AdminRejected)),
        Login::Refused(_) | Login::Unknown(_) => no_answer(f, Who::Pending),
    }
}

/// The lock is held by the session that makes the change, so that it cannot be had by anybody else while the change may
/// still happen. Everything that must be true is looked at once more under it; then change, prove, and otherwise go back.
fn change(f: &Facts, promote: Promote, pair: Pair, holder: Who) -> Next {
    allowed(f)?;
    let worker = match f.role.ok_or(Plan::Look(Look::Role(holder)))? {
        RoleVerdict::Fit => holder,
        RoleVerdict::NeedsAdmin => {
            admin(f)?;
            match login(f, Who::Admin)? {
                Login::Accepted | Login::Unfit(_) => Who::Admin,
                Login::Rejected => return Ok(Plan::Refuse(Reason::AdminRejected)),
                Login::Refused(_) | Login::Unknown(_) => return no_answer(f, Who::Admin),
            }
        }
        RoleVerdict::Unfit(problem) => return Ok(Plan::Refuse(Reason::Role(problem))),
        RoleVerdict::Absent => return Ok(Plan::Refuse(Reason::Role(RoleProblem::Missing))),
        RoleVerdict::Unknown => return Ok(Plan::Wait(Reason::SessionLost)),
    };
    under_lock(f, worker)?;
    eligible(f)?;
    match f.time.ok_or(Plan::Look(Look::Time))? {
        Time::Enough => {}
        Time::Short => return Ok(Plan::Wait(Reason::TooLittleTime)),
    }
    let action = match pair {
        Pair::Alternating => Action::Provision,
        Pair::SingleUser | Pair::Same | Pair::Mismatch(_) => Action::SetPassword(worker),
    };
    match f.change.ok_or(Plan::Act(action))? {
        Effect::Refused(state) => Ok(Plan::Refuse(Reason::ChangeRefused(state))),
        Effect::Done => match f.proof.ok_or(Plan::Look(Look::Proof))? {
            Login::Accepted => match promote {
                Promote::AtFinish => Ok(Plan::Done(Reason::Set)),
                Promote::AfterVerify => promotion(f),
            },
            Login::Unfit(_) | Login::Refused(_) | Login::Rejected | Login::Unknown(_) => way_back(f, pair, worker),
        },
        // The session is gone and its lock with it, so nothing is promoted here; finishSecret will.
        Effect::Unsure => match f.proof.ok_or(Plan::Look(Look::Proof))? {
            Login::Accepted => Ok(Plan::Done(Reason::Set)),
            Login::Unfit(_) => way_back(f, pair, worker),
            Login::Refused(_) | Login::Rejected | Login::Unknown(_) => Ok(Plan::Wait(Reason::ChangeUnsure)),
        },
    }
}

fn already_set(f: &Facts, promote: Promote) -> Next {
    match promote {
        Promote::AtFinish => Ok(Plan::Done(Reason::AlreadySet)),
        Promote::AfterVerify => {
            under_lock(f, Who::Pending)?;
            still_opens(f)?;
            promotion(f)
        }
    }
}

/// Of what RDS says only the writer behind a proxy is used, as in [`finish`].
fn test(f: &Facts) -> Next {
    let pair = versions(f)?;
    server(f)?;
    match login(f, Who::Pending)? {
        Login::Accepted => Ok(Plan::Done(Reason::Proved)),
        Login::Unfit(state) => unfit(f, pair, Reason::TestQueryFailed(state)),
        Login::Rejected => pending_rejected(f),
        Login::Refused(_) | Login::Unknown(_) => no_answer(f, Who::Pending),
    }
}

/// Only a login of this moment permits the promotion, and the lock is held on that connection until the label has moved.
///
/// RDS is asked for the writer behind a proxy only. What else it says, and a server that the secret's tag does not pin
/// (`OtherServer`), stopped setSecret before it changed anything. Here the change is made: the server that accepts
/// AWSPENDING rejects AWSCURRENT, and to hold the label back would leave consumers with the password that is rejected.
/// Whoever had to wait for the lock logs in once more: a login that is older than somebody else's turn proves nothing.
fn finish(f: &Facts) -> Next {
    let pair = versions(f)?;
    server(f)?;
    match login(f, Who::Pending)? {
        Login::Accepted => {
            under_lock(f, Who::Pending)?;
            still_opens(f)?;
            promotion(f)
        }
        Login::Unfit(state) => unfit(f, pair, Reason::TestQueryFailed(state)),
        Login::Rejected => pending_rejected(f),
        Login::Refused(_) | Login::Unknown(_) => no_answer(f, Who::Pending),
    }
}

/// The pending password opens the database after somebody else had the lock, too.
fn still_opens(f: &Facts) -> Next<()> {
    if f.lock != Some(Lock::Awaited) {
        return Ok(());
    }
    Err(match f.proof.ok_or(Plan::Look(Look::Proof))? {
        Login::Accepted => return Ok(()),
        Login::Unfit(state) => unfit(f, pair(f)?, Reason::TestQueryFailed(state))?,
        Login::Refused(refusal) => Plan::Refuse(Reason::LoginRefused(refusal)),
        Login::Rejected => Plan::Wait(Reason::Overtaken),
        Login::Unknown(silence) => silent(silence),
    })
}

fn promotion(f: &Facts) -> Next {
    match f.promotion.ok_or(Plan::Act(Action::Promote))? {
        Effect::Done => Ok(Plan::Done(Reason::Promoted)),
        Effect::Refused(_) | Effect::Unsure => match f.standing_after.ok_or(Plan::Look(Look::LabelsAfter))? {
            Standing::Current => Ok(Plan::Done(Reason::Promoted)),
            Standing::Superseded => Ok(Plan::Refuse(Reason::Superseded)),
            Standing::Pending | Standing::Unsettled => Ok(Plan::Wait(Reason::PromotionUnsure)),
        },
    }
}

/// The pending password opens the database and is of no use: the former one goes back, so that AWSCURRENT opens it.
fn unfit(f: &Facts, pair: Pair, reason: Reason) -> Next {
    match pair {
        Pair::SingleUser => {
            under_lock(f, Who::Pending)?;
            way_back(f, pair, Who::Pending)
        }
        Pair::Alternating | Pair::Same | Pair::Mismatch(_) => Ok(Plan::Refuse(reason)),
    }
}

/// Back to the password that was there before: AWSCURRENT's for a single user. Of an alternate user it is AWSPREVIOUS's,
/// and nobody depends on it.
fn way_back(f: &Facts, pair: Pair, worker: Who) -> Next {
    let alternate = pair == Pair::Alternating;
    if alternate && f.previous.ok_or(Plan::Look(Look::Previous))? != Held::Credentials {
        return Ok(Plan::Refuse(Reason::AlternateUnproved));
    }
    Ok(match undo::plan(&f.rollback) {
        undo::Plan::Try(undo::Way::SameSession) => Plan::Act(Action::PutBack(worker)),
        undo::Plan::Try(undo::Way::ThroughPending) => Plan::Act(Action::PutBackThroughPending),
        undo::Plan::Reopen => Plan::Look(Look::Reopened),
        undo::Plan::Lock => Plan::Look(Look::LockAgain),
        undo::Plan::Labels => Plan::Look(Look::LabelsAgain),
        undo::Plan::Prove => Plan::Look(Look::Restored),
        undo::Plan::RolledBack | undo::Plan::Unfinished if alternate => Plan::Refuse(Reason::AlternateUnproved),
        undo::Plan::RolledBack => Plan::Refuse(Reason::RolledBack),
        undo::Plan::Unfinished => Plan::Wait(Reason::RollbackUnfinished),
    })
}

fn pending_rejected(f: &Facts) -> Next {
    match login(f, Who::Current)? {
        Login::Accepted | Login::Unfit(_) | Login::Refused(_) => Ok(Plan::Refuse(Reason::PendingRejected)),
        Login::Rejected => no_version_opens(f),
        Login::Unknown(_) => no_answer(f, Who::Current),
    }
}

/// Nothing opens the database. Where there is an admin secret, it can at least see why.
fn no_version_opens(f: &Facts) -> Next {
    let blind = Ok(Plan::Refuse(Reason::NoVersionOpens));
    match f.admin.ok_or(Plan::Look(Look::Admin))? {
        Held::Credentials => {}
        Held::Nothing | Held::ThisToken | Held::Unusable(_) | Held::Elsewhere(_) | Held::NotAllowed => return blind,
    }
    if login(f, Who::Admin)? != Login::Accepted {
        return blind;
    }
    match f.role.ok_or(Plan::Look(Look::Role(Who::Admin)))? {
        RoleVerdict::Unfit(problem) => Ok(Plan::Refuse(Reason::Role(problem))),
        RoleVerdict::Fit | RoleVerdict::NeedsAdmin | RoleVerdict::Absent | RoleVerdict::Unknown => blind,
    }
}

/// For a login that told neither yes nor no.
fn no_answer(f: &Facts, who: Who) -> Next {
    Ok(match login(f, who)? {
        Login::Refused(refusal) => Plan::Refuse(Reason::LoginRefused(refusal)),
        Login::Unknown(silence) => silent(silence),
        Login::Accepted | Login::Unfit(_) | Login::Rejected => Plan::Wait(Reason::SessionLost),
    })
}

const fn silent(silence: Silence) -> Plan {
    if silence.passes() {
        Plan::Wait(Reason::DatabaseSilent(silence))
    } else {
        Plan::Refuse(Reason::ServerUnfit(silence))
    }
}

/// The two versions, and that they belong together. No connection is made before this.
fn versions(f: &Facts) -> Next<Pair> {
    pending(f)?;
    current(f)?;
    pair(f)
}

fn pending(f: &Facts) -> Next<()> {
    match f.pending.ok_or(Plan::Look(Look::Pending))? {
        Held::Credentials => Ok(()),
        Held::Unusable(problem) => Err(Plan::Refuse(Reason::PendingUnusable(problem))),
        Held::Nothing | Held::ThisToken | Held::Elsewhere(_) | Held::NotAllowed => {
            standing(f)?;
            eligible(f)?;
            Err(Plan::Wait(Reason::NotStaged))
        }
    }
}

fn current(f: &Facts) -> Next<()> {
    match f.current.ok_or(Plan::Look(Look::Current))? {
        Held::Credentials => Ok(()),
        Held::ThisToken => Err(Plan::Done(Reason::AlreadyCurrent)),
        Held::Nothing | Held::Elsewhere(_) | Held::NotAllowed => Err(Plan::Refuse(Reason::NoCurrent)),
        Held::Unusable(problem) => Err(Plan::Refuse(Reason::CurrentUnusable(problem))),
    }
}

fn pair(f: &Facts) -> Next<Pair> {
    match f.pair {
        Some(Pair::Mismatch(field)) => Err(Plan::Refuse(Reason::Mismatch(field))),
        Some(pair) => Ok(pair),
        None => Err(Plan::Look(Look::Current)),
    }
}

fn admin(f: &Facts) -> Next<()> {
    match f.admin.ok_or(Plan::Look(Look::Admin))? {
        Held::Credentials => Ok(()),
        Held::Nothing | Held::ThisToken => Err(Plan::Refuse(Reason::AdminMissing)),
        Held::Unusable(problem) => Err(Plan::Refuse(Reason::AdminUnusable(problem))),
        Held::Elsewhere(field) => Err(Plan::Refuse(Reason::AdminMismatch(field))),
        Held::NotAllowed => Err(Plan::Refuse(Reason::AdminNotAllowed)),
    }
}

fn server(f: &Facts) -> Next<ServerState> {
    f.server.ok_or(Plan::Look(Look::Server))
}

fn login(f: &Facts, who: Who) -> Next<Login> {
    let login = match who {
        Who::Current => f.logins.current,
        Who::Pending => f.logins.pending,
        Who::Previous => f.logins.previous,
        Who::Admin => f.logins.admin,
    };
    login.ok_or(Plan::Look(Look::Login(who)))
}

/// Whoever waited for the lock may find that everything has changed meanwhile, so the labels are read under it.
fn under_lock(f: &Facts, holder: Who) -> Next<()> {
    match f.lock.ok_or(Plan::Look(Look::Lock(holder)))? {
        Lock::Held | Lock::Awaited => standing(f),
        Lock::Busy => Err(Plan::Wait(Reason::LockBusy)),
        Lock::Lost => Err(Plan::Wait(Reason::SessionLost)),
    }
}

fn standing(f: &Facts) -> Next<()> {
    match f.standing.ok_or(Plan::Look(Look::Labels))? {
        Standing::Pending => Ok(()),
        Standing::Current => Err(Plan::Done(Reason::AlreadyCurrent)),
        Standing::Superseded => Err(Plan::Refuse(Reason::Superseded)),
        Standing::Unsettled => match f.secret {
            Some(SecretState::Deleted) => Err(Plan::Refuse(Reason::ScheduledForDeletion)),
            _ => Err(Plan::Wait(Reason::LabelsUnsettled)),
        },
    }
}

/// Asked before anything new is begun, and not where something has begun: that is brought to its end.
fn allowed(f: &Facts) -> Next<()> {
    match f.control.ok_or(Plan::Look(Look::Control))? {
        Control::Free => Ok(()),
        Control::Paused => Err(Plan::Refuse(Reason::Paused)),
        Control::Stopped => Err(Plan::Refuse(Reason::Stopped)),
    }
}

fn eligible(f: &Facts) -> Next<()> {
    match f.secret.ok_or(Plan::Look(Look::Labels))? {
        SecretState::Ours => Ok(()),
        SecretState::RotationOff => Err(Plan::Refuse(Reason::RotationOff)),
        SecretState::Managed => Err(Plan::Refuse(Reason::ManagedByService)),
        SecretState::Deleted => Err(Plan::Refuse(Reason::ScheduledForDeletion)),
        SecretState::OtherKind => Err(Plan::Refuse(Reason::OtherKind)),
        SecretState::OtherServer => Err(Plan::Refuse(Reason::OtherServer)),
    }
}

#[cfg(test)]
mod tests {
    //! Every decision there is: the tree of plans and answers is walked from the first look to every end, and printed.

    use super::*;
    use crate::{
        ports::{Refusal, SqlState},
        secret::{Field, Problem},
    };

    #[test]
    fn create_secret() {
        insta::assert_snapshot!(tree(Step::Create, Promote::AtFinish));
    }

    #[test]
    fn set_secret() {
        insta::assert_snapshot!(tree(Step::Set, Promote::AtFinish));
    }

    #[test]
    fn set_secret_with_promotion_after_the_proof() {
        insta::assert_snapshot!(tree(Step::Set, Promote::AfterVerify));
    }

    #[test]
    fn test_secret() {
        insta::assert_snapshot!(tree(Step::Test, Promote::AtFinish));
    }

    #[test]
    fn finish_secret() {
        insta::assert_snapshot!(tree(Step::Finish, Promote::AtFinish));
    }

    #[test]
    fn every_walk_ends() {
        let mut ends = 0;
        everywhere(&mut |_, plan, depth| {
            assert!(depth < super::super::MOST_MOVES, "{plan:?}");
            ends += usize::from(matches!(plan, Plan::Done(_) | Plan::Wait(_) | Plan::Refuse(_)));
        });
        assert!(ends > 100, "{ends}");
    }

    #[test]
    fn no_connection_is_made_before_the_guards() {
        everywhere(&mut |facts, plan, _| {
            if let Plan::Look(Look::Login(_) | Look::Proof | Look::Reopened | Look::Restored)
            | Plan::Act(Action::PutBack(_) | Action::PutBackThroughPending) = plan
            {
                assert!(!matches!(facts.pair, None | Some(Pair::Mismatch(_))), "{facts:?}");
                assert!(facts.server.is_some(), "{facts:?}");
            }
            if plan == Plan::Look(Look::Login(Who::Admin)) {
                assert_eq!(facts.admin, Some(Held::Credentials));
            }
            if plan == Plan::Look(Look::Login(Who::Previous)) {
                assert_eq!(facts.previous, Some(Held::Credentials));
            }
        });
    }

    #[test]
    fn a_password_is_changed_only_under_the_lock_with_the_labels_read_under_it() {
        everywhere(&mut |facts, plan, _| {
            if let Plan::Act(Action::SetPassword(_) | Action::Provision) = plan {
                assert!(facts.lock.is_some_and(Lock::is_ours));
                assert_eq!(facts.standing, Some(Standing::Pending));
                assert_eq!(facts.secret, Some(SecretState::Ours));
                assert!(matches!(facts.role, Some(RoleVerdict::Fit | RoleVerdict::NeedsAdmin)));
                assert_eq!(facts.time, Some(Time::Enough));
                assert!(matches!(facts.pair, Some(Pair::SingleUser | Pair::Alternating)));
                assert!(matches!(facts.server, Some(ServerState::Available | ServerState::Unlisted)));
            }
        });
    }

    #[test]
    fn the_admin_acts_only_after_a_login_with_a_version_of_the_secret() {
        everywhere(&mut |facts, plan, _| {
            let opened = |login| matches!(login, Some(Login::Accepted | Login::Unfit(_)));
            // The value alone could name anybody's role.
            if plan == Plan::Act(Action::Provision) {
                assert!(opened(facts.logins.current), "{facts:?}");
            }
            if plan == Plan::Act(Action::SetPassword(Who::Admin)) {
                assert!(opened(facts.logins.current) || opened(facts.logins.previous), "{facts:?}");
            }
            if plan == Plan::Act(Action::PutBack(Who::Admin)) {
                assert!(facts.change.is_some(), "{facts:?}");
            }
        });
    }

    #[test]
    fn the_label_moves_only_after_a_login_under_the_lock() {
        everywhere(&mut |facts, plan, _| {
            if plan == Plan::Act(Action::Promote) {
                // One that came before somebody else's turn does not count.
                let before = facts.logins.pending == Some(Login::Accepted) && facts.lock == Some(Lock::Held);
                assert!(before || facts.proof == Some(Login::Accepted), "{facts:?}");
                assert!(facts.lock.is_some_and(Lock::is_ours));
                assert_eq!(facts.standing, Some(Standing::Pending));
                assert!(matches!(facts.rollback, undo::Facts { same_session: None, through_pending: None, .. }));
            }
        });
    }

    #[test]
    fn silence_is_not_no() {
        everywhere(&mut |facts, plan, _| {
            let logins = [facts.logins.current, facts.logins.pending, facts.logins.previous];
            let heard = |login: &Option<Login>| matches!(login, Some(Login::Rejected));
            if plan == Plan::Refuse(Reason::NoVersionOpens) {
                assert!(logins.iter().flatten().all(|login| *login == Login::Rejected), "{facts:?}");
                assert!(heard(&facts.logins.current));
            }
            if plan == Plan::Refuse(Reason::PendingRejected) {
                assert!(heard(&facts.logins.pending));
            }
        });
    }

    #[test]
    fn a_change_that_does_not_prove_itself_is_put_back() {
        everywhere(&mut |facts, plan, _| {
            let unproved = facts.proof.is_some_and(|proof| proof != Login::Accepted);
            if facts.change == Some(Effect::Done) && unproved && facts.pair == Some(Pair::SingleUser) {
                let goes_back = matches!(
                    plan,
                    Plan::Act(Action::PutBack(..))
                        | Plan::Act(Action::PutBackThroughPending)
                        | Plan::Look(Look::Reopened | Look::LockAgain | Look::LabelsAgain | Look::Restored)
                        | Plan::Refuse(Reason::RolledBack)
                        | Plan::Wait(Reason::RollbackUnfinished)
                );
                assert!(goes_back, "{plan:?}");
            }
        });
    }

    #[test]
    fn a_password_goes_back_through_a_new_session_only_under_its_lock_with_the_labels_read_under_it() {
        everywhere(&mut |facts, plan, _| {
            if plan == Plan::Act(Action::PutBackThroughPending) {
                assert!(matches!(facts.rollback.reopened, Some(Login::Accepted | Login::Unfit(_))));
                assert!(facts.rollback.lock.is_some_and(Lock::is_ours));
                assert_eq!(facts.rollback.standing, Some(Standing::Pending));
            }
        });
    }

    #[test]
    fn what_is_paused_or_stopped_begins_nothing_and_what_has_begun_is_brought_to_its_end() {
        everywhere(&mut |facts, plan, _| {
            if let Plan::Act(Action::Stage | Action::SetPassword(_) | Action::Provision) = plan {
                assert_eq!(facts.control, Some(Control::Free), "{facts:?}");
            }
            if plan == Plan::Look(Look::Control) {
                assert_eq!((facts.change, facts.promotion), (None, None));
            }
        });
    }

    #[test]
    fn a_normal_rotation_tries_no_password_that_could_fail() {
        // The way of a rotation in which everything answers as it should.
        for step in Step::ALL {
            let (mut facts, mut logins) = (Facts::default(), Vec::new());
            loop {
                match plan(step, Promote::AtFinish, &facts) {
                    Plan::Look(look) => {
                        if let Look::Login(who) = look {
                            logins.push(who);
                        }
                        let calm = answers(Plan::Look(look), &facts).swap_remove(0);
                        facts = calm.1;
                    }
                    Plan::Act(action) => facts = answers(Plan::Act(action), &facts).swap_remove(0).1,
                    Plan::Done(_) => break,
                    end @ (Plan::Wait(_) | Plan::Refuse(_)) => panic!("{step}: {end:?}"),
                }
            }
            let expected: &[Who] = match step {
                Step::Create => &[],
                Step::Set => &[Who::Current],
                Step::Test | Step::Finish => &[Who::Pending],
            };
            assert_eq!(logins, expected, "{step}");
        }
    }

    /// Visits every situation that any step can come to.
    fn everywhere(visit: &mut impl FnMut(&Facts, Plan, usize)) {
        for promote in [Promote::AtFinish, Promote::AfterVerify] {
            for step in Step::ALL {
                walk(step, promote, Facts::default(), 0, visit);
            }
        }
    }

    fn walk(step: Step, promote: Promote, facts: Facts, depth: usize, visit: &mut impl FnMut(&Facts, Plan, usize)) {
        let next = plan(step, promote, &facts);
        visit(&facts, next, depth);
        if depth < 2 * super::super::MOST_MOVES {
            for (_, answer) in answers(next, &facts) {
                walk(step, promote, answer, depth + 1, visit);
            }
        }
    }

    /// The tree as text. Answers with the same consequences stand together.
    fn tree(step: Step, promote: Promote) -> String {
        branch(step, promote, &Facts::default()).join("\n")
    }

    fn branch(step: Step, promote: Promote, facts: &Facts) -> Vec<String> {
        let next = plan(step, promote, facts);
        let mut groups: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for (answer, facts) in answers(next, facts) {
            let consequence = branch(step, promote, &facts);
            match groups.iter_mut().find(|(_, known)| *known == consequence) {
                Some((answers, _)) => answers.push(answer),
                None => groups.push((vec![answer], consequence)),
            }
        }
        let mut lines = vec![format!("{next:?}")];
        for (answers, consequence) in groups {
            let (first, rest) = consequence.split_first().unwrap_or_else(|| unreachable!());
            lines.push(format!("  {} => {first}", answers.join(" | ")));
            lines.extend(rest.iter().map(|line| format!("  {line}")));
        }
        lines
    }

    const LOGINS: [Login; 6] = [
        Login::Accepted,
        Login::Refused(Refusal::NoLogin),
        Login::Unfit(SqlState(*b"42501")),
        Login::Rejected,
        Login::Unknown(Silence::TimedOut),
        Login::Unknown(Silence::Distrusted),
    ];
    const EFFECTS: [Effect; 3] = [Effect::Done, Effect::Refused(SqlState(*b"42501")), Effect::Unsure];
    const LOCKS: [Lock; 4] = [Lock::Held, Lock::Awaited, Lock::Busy, Lock::Lost];
    const STANDINGS: [Standing; 4] = [Standing::Pending, Standing::Current, Standing::Superseded, Standing::Unsettled];
    const HELD: [Held; 4] =
        [Held::Credentials, Held::Nothing, Held::Unusable(Problem::NotJson), Held::Elsewhere(Field::Host)];

    /// Every answer that a look or an action can have; the one of a normal rotation first.
    fn answers(plan: Plan, facts: &Facts) -> Vec<(String, Facts)> {
        fn each<T: Copy + std::fmt::Debug>(
            all: &[T],
            facts: &Facts,
            set: impl Fn(&mut Facts, T),
        ) -> Vec<(String, Facts)> {
            let answer = |value: &T| {
                let mut facts = *facts;
                set(&mut facts, *value);
                (format!("{value:?}"), facts)
            };
            all.iter().map(answer).collect()
        }
        let pairs = [Pair::SingleUser, Pair::Alternating, Pair::Same, Pair::Mismatch(Field::Host)];
        match plan {
            Plan::Look(Look::Labels) => {
                let states = [
                    SecretState::Ours,
                    SecretState::RotationOff,
                    SecretState::Managed,
                    SecretState::Deleted,
                    SecretState::OtherKind,
                    SecretState::OtherServer,
                ];
                let all: Vec<_> = STANDINGS.into_iter().flat_map(|at| states.map(|state| (at, state))).collect();
                each(&all, facts, |facts, (at, state)| (facts.standing, facts.secret) = (Some(at), Some(state)))
            }
            Plan::Look(Look::LabelsAfter) => each(&STANDINGS, facts, |facts, at| facts.standing_after = Some(at)),
            Plan::Look(Look::Pending) => {
                let known = facts.current.is_some();
                let usable = pairs.iter().filter(|_| known).map(|pair| (Held::Credentials, Some(*pair)));
                let blind = (!known).then_some((Held::Credentials, None));
                let unusable = HELD[1..3].iter().map(|held| (*held, None));
                let all: Vec<_> = usable.chain(blind).chain(unusable).collect();
                each(&all, facts, |facts, (held, pair)| (facts.pending, facts.pair) = (Some(held), pair))
            }
            Plan::Look(Look::Current) => {
                let known = facts.pending.is_some();
                let turns =
                    [Turn::Known, Turn::NoAdminSecret, Turn::AdminNotAllowed, Turn::NameTooLong, Turn::NoNameLeft];
                let usable: Vec<_> = match known {
                    true => pairs.iter().map(|pair| (Held::Credentials, Some(Turn::Known), Some(*pair))).collect(),
                    false => turns.iter().map(|turn| (Held::Credentials, Some(*turn), None)).collect(),
                };
                let others = [Held::Nothing, Held::ThisToken, Held::Unusable(Problem::NotJson)];
                let all: Vec<_> = usable.into_iter().chain(others.map(|held| (held, None, None))).collect();
                each(&all, facts, |facts, (held, turn, pair)| {
                    (facts.current, facts.turn, facts.pair) = (Some(held), turn, pair);
                })
            }
            Plan::Look(Look::Previous) => each(&HELD, facts, |facts, held| facts.previous = Some(held)),
            Plan::Look(Look::Admin) => {
                let all = [&HELD[..], &[Held::NotAllowed]].concat();
                each(&all, facts, |facts, held| facts.admin = Some(held))
            }
            Plan::Look(Look::Server) => {
                let states = [
                    ServerState::Available,
                    ServerState::Unlisted,
                    ServerState::NotAvailable,
                    ServerState::Stopped,
                    ServerState::Reader,
                    ServerState::Missing,
                    ServerState::ProxyEndpoint,
                ];
                each(&states, facts, |facts, state| {
                    facts.server = Some(state);
                })
            }
            Plan::Look(Look::Login(who)) => each(&LOGINS, facts, |facts, login| match who {
                Who::Current => facts.logins.current = Some(login),
                Who::Pending => facts.logins.pending = Some(login),
                Who::Previous => facts.logins.previous = Some(login),
                Who::Admin => facts.logins.admin = Some(login),
            }),
            Plan::Look(Look::Lock(_)) => each(&LOCKS, facts, |facts, lock| facts.lock = Some(lock)),
            Plan::Look(Look::Role(_)) => {
                let verdicts = [
                    RoleVerdict::Fit,
                    RoleVerdict::NeedsAdmin,
                    RoleVerdict::Unfit(RoleProblem::Expired),
                    RoleVerdict::Unknown,
                ];
                each(&verdicts, facts, |facts, verdict| facts.role = Some(verdict))
            }
            Plan::Look(Look::Time) => each(&[Time::Enough, Time::Short], facts, |facts, time| facts.time = Some(time)),
            Plan::Look(Look::Proof) => each(&LOGINS, facts, |facts, login| facts.proof = Some(login)),
            Plan::Look(Look::Restored) => each(&LOGINS, facts, |facts, login| facts.rollback.restored = Some(login)),
            Plan::Act(Action::Stage) => {
                each(&[Staged::Now, Staged::Before], facts, |facts, staged| facts.staged = Some(staged))
            }
            Plan::Act(Action::SetPassword(_) | Action::Provision) => {
                each(&EFFECTS, facts, |facts, effect| facts.change = Some(effect))
            }
            Plan::Look(Look::Control) => {
                let controls = [Control::Free, Control::Paused, Control::Stopped];
                each(&controls, facts, |facts, control| facts.control = Some(control))
            }
            Plan::Look(Look::Reopened) => each(&LOGINS, facts, |facts, login| facts.rollback.reopened = Some(login)),
            Plan::Look(Look::LockAgain) => each(&LOCKS, facts, |facts, lock| facts.rollback.lock = Some(lock)),
            Plan::Look(Look::LabelsAgain) => each(&STANDINGS, facts, |facts, at| facts.rollback.standing = Some(at)),
            Plan::Act(Action::PutBack(_)) => {
                each(&EFFECTS, facts, |facts, effect| facts.rollback.same_session = Some(effect))
            }
            Plan::Act(Action::PutBackThroughPending) => {
                each(&EFFECTS, facts, |facts, effect| facts.rollback.through_pending = Some(effect))
            }
            Plan::Act(Action::Promote) => each(&EFFECTS, facts, |facts, effect| facts.promotion = Some(effect)),
            Plan::Done(_) | Plan::Wait(_) | Plan::Refuse(_) => Vec::new(),
        }
    }
}
