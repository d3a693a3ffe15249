//! What the processes share, and how it answers them.

use relatch::{
    ports::{Lock, Login, Silence, SqlState},
    rotation::facts::Effect,
};
use std::mem;

/// A version, and the password that it holds. Each holds another one.
pub(crate) type Version = u8;

/// Where the labels are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Labels {
    pub(crate) current: Version,
    pub(crate) pending: Option<Version>,
    pub(crate) previous: Option<Version>,
}

/// Whose server session holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// The rotation of this token.
    Rotate(Version),
    Respond,
    /// A session whose client is gone. It ends some time, and may carry out its last statement before.
    Ghost(Option<Version>),
}

/// How the world answers a look or an action. All but the first are faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// As it should.
    Calm,
    /// A clear no.
    Refused,
    /// Nothing is learned of a password.
    Silent,
    /// The answer is lost, before the effect or after it.
    Lost { happened: bool },
    /// The password is set, and the sessions that are to be ended for it live on.
    Spares,
    /// The answer to a statement is lost, and its session lives on.
    Lingers,
    /// The process dies, before the effect or after it.
    Dies { happened: bool },
    /// The process dies, and the session of its statement lives on.
    DiesLingering,
}

/// What a look or an action is, for what can happen to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// Something is read, or the lock is taken.
    Read,
    /// A password is tried.
    Login,
    /// A password is set.
    Statement,
    /// A label is moved, or a value stored.
    Label,
}

impl Answer {
    pub(crate) fn all(call: Call) -> &'static [Answer] {
        use Answer::{Calm, Dies, DiesLingering, Lingers, Lost, Refused, Silent, Spares};
        match call {
            Call::Read => &[Calm, Dies { happened: false }],
            Call::Login => &[Calm, Silent, Dies { happened: false }],
            Call::Statement => &[
                Calm,
                Refused,
                Spares,
                Lost { happened: false },
                Lost { happened: true },
                Lingers,
                Dies { happened: false },
                Dies { happened: true },
                DiesLingering,
            ],
            Call::Label => &[
                Calm,
                Lost { happened: false },
                Lost { happened: true },
                Dies { happened: false },
                Dies { happened: true },
            ],
        }
    }
}

/// What the processes share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// Whose password the database has.
    pub(crate) password: Version,
    pub(crate) labels: Labels,
    /// How many versions there are, and which of them have a value.
    pub(crate) versions: Version,
    pub(crate) valued: u8,
    pub(crate) lock: Option<Holder>,
    /// How often a repair has ended the sessions of rotations, after it had set a password.
    pub(crate) dismissals: u8,
    /// A password may have been set by whoever did not live to end them.
    pub(crate) undismissed: bool,
    /// AWSPENDING was taken off by Relatch while AWSCURRENT did not open the database.
    pub(crate) let_go_too_early: bool,
    /// A version was made AWSCURRENT that did not open the database at that moment.
    pub(crate) promoted_shut: bool,
    /// By whoever had waited for the lock, and so had reason to look again.
    pub(crate) waited_in_vain: bool,
}

impl World {
    pub(crate) fn opens(&self) -> bool {
        self.password == self.labels.current
    }

    pub(crate) fn has_value(&self, version: Version) -> bool {
        self.valued & (1 << version) != 0
    }

    pub(crate) fn labelled(&self, version: Version) -> bool {
        [Some(self.labels.current), self.labels.pending, self.labels.previous].contains(&Some(version))
    }

    pub(crate) fn log_in(&self, version: Version, answer: Answer) -> Login {
        match answer {
            Answer::Silent => Login::Unknown(Silence::TimedOut),
            _ if self.password == version => Login::Accepted,
            _ => Login::Rejected,
        }
    }

    pub(crate) fn take_lock(&mut self, whose: Holder) -> Lock {
        match self.lock {
            Some(holder) if holder != whose => Lock::Busy,
            Some(_) | None => {
                self.lock = Some(whose);
                Lock::Held
            }
        }
    }

    /// Asks for the lock; who has to wait for it does so for a move of somebody else's at least, and asks again.
    pub(crate) fn ask_for_lock(&mut self, whose: Holder, waits: &mut bool) -> Option<Lock> {
        let waited = mem::take(waits);
        match self.take_lock(whose) {
            Lock::Held if waited => Some(Lock::Awaited),
            Lock::Busy if !waited => {
                *waits = true;
                None
            }
            lock => Some(lock),
        }
    }

    pub(crate) fn release(&mut self, whose: Holder) {
        self.lock = self.lock.filter(|holder| *holder != whose);
    }

    /// A process is gone; its connections are closed sooner or later.
    pub(crate) fn bury(&mut self, whose: Holder, statement: Option<Version>) {
        if self.lock == Some(whose) {
            self.lock = Some(Holder::Ghost(statement));
        }
    }

    /// A password is set in a session; without its session, nothing happens. Whether the session is still there
    /// afterwards is `true` only after a clear answer.
    pub(crate) fn set(&mut self, whose: Holder, session: bool, to: Version, answer: Answer) -> (Effect, bool) {
        if !session {
            return (Effect::Unsure, false);
        }
        match answer {
            Answer::Refused => return (Effect::Refused(SqlState(*b"42501")), true),
            Answer::Calm | Answer::Silent | Answer::Spares => self.password = to,
            Answer::Lost { happened } | Answer::Dies { happened } => {
                self.password = if happened { to } else { self.password };
                match answer {
                    Answer::Lost { .. } => self.release(whose),
                    _ => self.bury(whose, None),
                }
            }
            Answer::Lingers | Answer::DiesLingering => self.bury(whose, Some(to)),
        }
        match answer {
            Answer::Calm | Answer::Silent | Answer::Refused | Answer::Spares => (Effect::Done, true),
            _ => (Effect::Unsure, false),
        }
    }

    /// UpdateSecretVersionStage of AWSCURRENT.
    pub(crate) fn promote(&mut self, to: Version, from: Version, lock: Lock, answer: Answer) -> Effect {
        self.label(answer, |world| {
            let moves = world.labels.current == from && from != to;
            if moves {
                let shut = world.password != to;
                world.promoted_shut |= shut;
                world.waited_in_vain |= shut && lock == Lock::Awaited;
                (world.labels.current, world.labels.previous) = (to, Some(from));
            }
            moves
        })
    }

    /// UpdateSecretVersionStage of AWSPENDING.
    pub(crate) fn unstage(&mut self, from: Version, answer: Answer) -> Effect {
        self.label(answer, |world| {
            let moves = world.labels.pending == Some(from);
            if moves {
                world.let_go_too_early |= !world.opens();
                world.labels.pending = None;
            }
            moves
        })
    }

    /// A refusal is not told from an answer that was lost: see `carry_out.rs` of both.
    fn label(&mut self, answer: Answer, change: impl FnOnce(&mut Self) -> bool) -> Effect {
        match answer {
            Answer::Lost { happened: false } | Answer::Dies { happened: false } => Effect::Unsure,
            Answer::Lost { happened: true } | Answer::Dies { happened: true } => {
                change(self);
                Effect::Unsure
            }
            _ => {
                if change(self) {
                    Effect::Done
                } else {
                    Effect::Unsure
                }
            }
        }
    }
}
