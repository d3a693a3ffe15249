//! What makes AWSCURRENT open the database again?
//!
//! A ladder: rung by rung, and every rung proved by a login. The rungs that need nothing but the rotation's own session
//! and the pending version are here.

use crate::{ports::Login, rotation::facts::Effect};

/// What has been tried so far, on the way back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// The session that made the change.
    pub same_session: Option<Effect>,
    /// A new session, opened with the pending password.
    pub through_pending: Option<Effect>,
    /// The login with the password that was put back.
    pub restored: Option<Login>,
}

/// A way to put a password back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// In the session that made the change: it is open already, so no password is needed.
    SameSession,
    /// Log in with the pending password, and put the other one back.
    ThroughPending,
}

/// What to do next on the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Plan {
    /// Try this rung.
    Try(Rung),
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
    match (facts.same_session, facts.through_pending, facts.restored) {
        (_, _, Some(Login::Accepted)) => Plan::RolledBack,
        (_, _, Some(_)) => Plan::Unfinished,
        (None, _, None) => Plan::Try(Rung::SameSession),
        (Some(Effect::Done), _, None) | (Some(_), Some(_), None) => Plan::Prove,
        (Some(_), None, None) => Plan::Try(Rung::ThroughPending),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Silence;

    #[test]
    fn the_ladder() {
        let effects = [None, Some(Effect::Done), Some(Effect::Refused("42501".into())), Some(Effect::Unsure)];
        let logins = [None, Some(Login::Accepted), Some(Login::Rejected), Some(Login::Unknown(Silence::TimedOut))];
        let mut table = String::new();
        for same_session in effects {
            for through_pending in effects {
                for restored in logins {
                    let facts = Facts { same_session, through_pending, restored };
                    table += &format!("{same_session:?} | {through_pending:?} | {restored:?} => {:?}\n", plan(&facts));
                }
            }
        }
        insta::assert_snapshot!(table);
    }
}
