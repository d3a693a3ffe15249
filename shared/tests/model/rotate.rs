//! A step of a rotation: the real plan, and what `rotation/observe.rs` and `rotation/carry_out.rs` make of the answers.

use crate::world::{Answer, Call, Holder, Labels, Version, World};
use relatch::{
    ports::{Lock, Login, ServerState, Staged},
    rotation::{
        Reason,
        facts::{Control, Facts, Held, Pair, RoleVerdict, SecretState, Standing, Time, Turn},
        plan::{Action, Look, Plan, Promote, Who, plan},
    },
};
use relatch_events::rotation::Step;

/// One invocation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Rotate {
    pub(crate) token: Version,
    pub(crate) step: Step,
    pub(crate) facts: Facts,
    current: Option<Version>,
    pending: Option<Version>,
    previous: Option<Version>,
    labels: Option<Labels>,
    /// It waits for the lock.
    waits: bool,
    /// The sessions that are open, unless a repair has ended them: each with how often one had done so before.
    sessions: Vec<(Who, u8)>,
}

/// What an invocation has come to.
pub(crate) enum Turned {
    /// It goes on.
    On(Box<Rotate>),
    Done,
    Failed(Option<Reason>),
    Died,
}

impl Rotate {
    pub(crate) fn new(token: Version, step: Step) -> Self {
        let (facts, sessions) = (Facts::default(), Vec::new());
        Self { token, step, facts, current: None, pending: None, previous: None, labels: None, waits: false, sessions }
    }

    pub(crate) fn name(&self) -> String {
        format!("{} of {}:", self.step, self.token)
    }

    pub(crate) fn plan(&self, promote: Promote) -> Plan {
        plan(self.step, promote, &self.facts)
    }

    /// What it does next, for what can happen to it.
    pub(crate) fn call(&self, promote: Promote) -> Call {
        match self.plan(promote) {
            Plan::Look(Look::Login(_) | Look::Proof | Look::Restored | Look::Reopened) => Call::Login,
            Plan::Look(_) | Plan::Done(_) | Plan::Wait(_) | Plan::Refuse(_) => Call::Read,
            Plan::Act(Action::Promote | Action::Stage) => Call::Label,
            Plan::Act(_) => Call::Statement,
        }
    }

    /// One move that others can notice, and up to the next one.
    pub(crate) fn turn(mut self, promote: Promote, answer: Answer, world: &mut World) -> Turned {
        let me = Holder::Rotate(self.token);
        let dies = matches!(answer, Answer::Dies { .. } | Answer::DiesLingering);
        match self.plan(promote) {
            Plan::Look(_) if dies => {}
            Plan::Look(look) => self.look(look, answer, world),
            Plan::Act(Action::Stage) => {
                if let Some(staged) = self.stage(answer, world) {
                    self.facts.staged = Some(staged);
                } else if !dies {
                    // The call's failure ends the step.
                    return Turned::Failed(None);
                }
            }
            Plan::Act(Action::Promote) => {
                let (current, lock) = (self.current.unwrap(), self.facts.lock.unwrap());
                self.facts.promotion = Some(world.promote(self.token, current, lock, answer));
            }
            Plan::Act(Action::SetPassword(who)) => {
                self.facts.change = Some(self.set(who, self.pending.unwrap(), answer, world));
            }
            Plan::Act(Action::PutBack(who)) => {
                self.facts.rollback.same_session = Some(self.set(who, self.current.unwrap(), answer, world));
            }
            Plan::Act(Action::PutBackThroughPending) => {
                let effect = self.set(Who::Pending, self.current.unwrap(), answer, world);
                self.facts.rollback.through_pending = Some(effect);
            }
            Plan::Act(Action::Provision) | Plan::Done(_) | Plan::Wait(_) | Plan::Refuse(_) => unreachable!("no move"),
        }
        if dies {
            world.bury(me, None);
            return Turned::Died;
        }
        loop {
            match self.plan(promote) {
                // Nobody else has a hand in these.
                Plan::Look(look @ (Look::Admin | Look::Server | Look::Role(_) | Look::Time | Look::Control)) => {
                    self.look(look, Answer::Calm, world);
                }
                Plan::Look(_) | Plan::Act(_) => return Turned::On(Box::new(self)),
                Plan::Done(_) => {
                    world.release(me);
                    return Turned::Done;
                }
                Plan::Wait(reason) | Plan::Refuse(reason) => {
                    world.release(me);
                    return Turned::Failed(Some(reason));
                }
            }
        }
    }

    fn look(&mut self, look: Look, answer: Answer, world: &mut World) {
        let credentials = |version: Option<Version>| version.filter(|version| world.has_value(*version));
        match look {
            Look::Labels => self.learn_labels(world.labels),
            Look::LabelsAfter => self.facts.standing_after = Some(self.standing(&world.labels)),
            Look::LabelsAgain => self.facts.rollback.standing = Some(self.standing(&world.labels)),
            Look::Pending => {
                self.pending = credentials(world.labels.pending.filter(|pending| *pending == self.token));
                self.facts.pending = Some(held(self.pending));
                self.pair_up();
            }
            Look::Current => {
                let current = world.labels.current;
                let this = current == self.token;
                self.current = Some(current);
                self.facts.current = Some(if this { Held::ThisToken } else { Held::Credentials });
                self.facts.turn = Some(Turn::Known);
                self.pair_up();
                if let Some(labels) = self.labels {
                    self.learn_labels(labels);
                }
            }
            Look::Previous => {
                self.previous = credentials(world.labels.previous);
                self.facts.previous = Some(held(self.previous));
            }
            Look::Admin => self.facts.admin = Some(Held::Nothing),
            Look::Server => self.facts.server = Some(ServerState::Unlisted),
            Look::Login(who) => {
                let login = world.log_in(self.version(who), answer);
                let fact = match who {
                    Who::Current => &mut self.facts.logins.current,
                    Who::Pending => &mut self.facts.logins.pending,
                    Who::Previous => &mut self.facts.logins.previous,
                    Who::Admin => &mut self.facts.logins.admin,
                };
                *fact = Some(login);
                self.sessions.extend((login == Login::Accepted).then_some((who, world.dismissals)));
            }
            Look::Lock(who) => self.facts.lock = self.lock(who, world),
            Look::LockAgain => self.facts.rollback.lock = self.lock(Who::Pending, world),
            Look::Role(_) => self.facts.role = Some(RoleVerdict::Fit),
            Look::Time => self.facts.time = Some(Time::Enough),
            Look::Control => self.facts.control = Some(Control::Free),
            Look::Proof => self.facts.proof = Some(world.log_in(self.version(Who::Pending), answer)),
            Look::Restored => {
                self.facts.rollback.restored = Some(world.log_in(self.version(Who::Current), answer));
            }
            Look::Reopened => {
                world.release(Holder::Rotate(self.token));
                let login = world.log_in(self.version(Who::Pending), answer);
                self.sessions =
                    (login == Login::Accepted).then_some((Who::Pending, world.dismissals)).into_iter().collect();
                self.facts.rollback.reopened = Some(login);
            }
        }
    }

    fn lock(&mut self, who: Who, world: &mut World) -> Option<Lock> {
        match self.is_open(who, world) {
            true => world.ask_for_lock(Holder::Rotate(self.token), &mut self.waits),
            false => Some(Lock::Lost),
        }
    }

    fn is_open(&self, who: Who, world: &World) -> bool {
        self.sessions.contains(&(who, world.dismissals))
    }

    fn set(&mut self, who: Who, to: Version, answer: Answer, world: &mut World) -> relatch::rotation::facts::Effect {
        let session = self.is_open(who, world);
        let (effect, session) = world.set(Holder::Rotate(self.token), session, to, answer);
        self.sessions.retain(|(whose, _)| session || *whose != who);
        effect
    }

    /// PutSecretValue: moves AWSPENDING along with a new value. `None` if the answer is lost, which ends the step.
    fn stage(&self, answer: Answer, world: &mut World) -> Option<Staged> {
        if matches!(answer, Answer::Lost { happened: false } | Answer::Dies { happened: false }) {
            return None;
        }
        let staged = if world.has_value(self.token) { Staged::Before } else { Staged::Now };
        if staged == Staged::Now {
            world.valued |= 1 << self.token;
            world.labels.pending = Some(self.token);
        }
        (answer == Answer::Calm).then_some(staged)
    }

    fn version(&self, who: Who) -> Version {
        match who {
            Who::Current => self.current,
            Who::Pending => self.pending,
            Who::Previous => self.previous,
            Who::Admin => None,
        }
        .unwrap()
    }

    fn learn_labels(&mut self, labels: Labels) {
        self.facts.standing = Some(self.standing(&labels));
        self.labels = Some(labels);
        self.facts.secret = Some(SecretState::Ours);
    }

    fn pair_up(&mut self) {
        if self.current.is_some() && self.pending.is_some() {
            let same = self.current == self.pending;
            self.facts.pair = Some(if same { Pair::Same } else { Pair::SingleUser });
        }
    }

    fn standing(&self, labels: &Labels) -> Standing {
        let moved = self.current.is_some_and(|read| labels.current != read);
        match labels.pending {
            _ if labels.current == self.token => Standing::Current,
            Some(pending) if pending == self.token && !moved => Standing::Pending,
            Some(pending) if pending != self.token && pending != labels.current => Standing::Superseded,
            _ => Standing::Unsettled,
        }
    }
}

const fn held(version: Option<Version>) -> Held {
    if version.is_some() { Held::Credentials } else { Held::Nothing }
}
