//! The first rungs of the ladder, which the step that changed a password climbs itself: nobody else has its session.

use crate::{
    ports::{Lock, Login},
    rotation::facts::{Effect, Standing},
};

/// What has been tried so far, on the way back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// The session that made the change.
    pub same_session: Option<Effect>,
    /// A login with the pending password, for a new session.
    pub reopened: Option<Login>,
    /// The lock, in that session.
    pub lock: Option<Lock>,
    /// Where the token's version stands, read under that lock: others may have been at work since the first was lost.
    pub standing: Option<Standing>,
    /// The change in that session.
    pub through_pending: Option<Effect>,
    /// The login with the password that was put back.
    pub restored: Option<Login>,
}

/// A way to put a password back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// In the session that made the change: it is open already, so no password is needed.
    SameSession,
    /// In a new session, opened with the pending password.
    ThroughPending,
}

/// What to do next on the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plan {
    /// Try this rung.
    Try(Way),
    /// Open a new session with the pending password.
    Reopen,
    /// Take the lock in it.
    Lock,
    /// Read the labels under it.
    Labels,
    /// See whether the password that should be back opens the database.
    Prove,
    /// It does.
    RolledBack,
    /// It does not, or nothing was learned. Whatever may hold the only working password has to be kept.
    Unfinished,
}

/// The next rung. A rung that failed is followed by the next, and at the end a login decides, whatever the rungs said:
/// an answer that was lost may have been a yes.
pub fn plan(facts: &Facts) -> Plan {
    match (facts.restored, facts.same_session) {
        (Some(Login::Accepted), _) => Plan::RolledBack,
        (Some(Login::Unfit(_) | Login::Refused(_) | Login::Rejected | Login::Unknown(_)), _) => Plan::Unfinished,
        (None, None) => Plan::Try(Way::SameSession),
        (None, Some(Effect::Done)) => Plan::Prove,
        (None, Some(Effect::Refused(_) | Effect::Unsure)) => through_pending(facts),
    }
}

/// Begins again as the change did: a session, the lock, the labels under it.
fn through_pending(facts: &Facts) -> Plan {
    match (facts.reopened, facts.lock, facts.standing, facts.through_pending) {
        (None, ..) => Plan::Reopen,
        (Some(Login::Accepted | Login::Unfit(_)), None, ..) => Plan::Lock,
        (Some(Login::Accepted | Login::Unfit(_)), Some(Lock::Held | Lock::Awaited), None, _) => Plan::Labels,
        (Some(Login::Accepted | Login::Unfit(_)), Some(Lock::Held | Lock::Awaited), Some(Standing::Pending), None) => {
            Plan::Try(Way::ThroughPending)
        }
        _ => Plan::Prove,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Silence;

    #[test]
    fn the_way_back() {
        let mut tree = String::new();
        walk(Facts::default(), 0, &mut tree);
        insta::assert_snapshot!(tree);
    }

    fn walk(facts: Facts, depth: usize, tree: &mut String) {
        let plan = plan(&facts);
        let indent = "  ".repeat(depth);
        let mut branch = |answer: &dyn std::fmt::Debug, facts: Facts| {
            tree.push_str(&format!("{indent}{plan:?} => {answer:?}\n"));
            walk(facts, depth + 1, tree);
        };
        let effects = [Effect::Done, Effect::Refused("42501".into()), Effect::Unsure];
        let logins = [Login::Accepted, Login::Rejected, Login::Unknown(Silence::TimedOut)];
        match plan {
            Plan::Try(Way::SameSession) => {
                effects.iter().for_each(|e| branch(e, Facts { same_session: Some(*e), ..facts }));
            }
            Plan::Try(_) => effects.iter().for_each(|e| branch(e, Facts { through_pending: Some(*e), ..facts })),
            Plan::Reopen => logins.iter().for_each(|l| branch(l, Facts { reopened: Some(*l), ..facts })),
            Plan::Lock => {
                [Lock::Held, Lock::Awaited, Lock::Busy, Lock::Lost]
                    .iter()
                    .for_each(|l| branch(l, Facts { lock: Some(*l), ..facts }));
            }
            Plan::Labels => [Standing::Pending, Standing::Superseded]
                .iter()
                .for_each(|s| branch(s, Facts { standing: Some(*s), ..facts })),
            Plan::Prove => logins.iter().for_each(|l| branch(l, Facts { restored: Some(*l), ..facts })),
            Plan::RolledBack | Plan::Unfinished => tree.push_str(&format!("{indent}{plan:?}\n")),
        }
    }
}
