//! A repair: the real plan, and what `rollback/observe.rs` and `rollback/carry_out.rs` make of the answers.

use crate::world::{Answer, Call, Holder as Whose, Labels, Version, World};
use relatch::{
    ports::{Lock, Login, ServerState},
    rollback::{
        Intent, Reason,
        facts::{Age, Facts, FailureClass, Found, Holder, MasterVerdict, PendingLabel, Rung, Settled, Source},
        plan::{Action, Look, Plan, plan},
    },
    rotation::facts::{Effect, Held, RoleVerdict, SecretState, Time},
};

/// One repair.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Respond {
    /// The rotation that is known to have failed.
    pub(crate) reported: Option<Version>,
    /// Everybody else is at rest, so nothing will come after it.
    pub(crate) last: bool,
    pub(crate) facts: Facts,
    labels: Option<Labels>,
    current: Option<Version>,
    pending: Option<Version>,
    previous: Option<Version>,
    unlabelled: Option<Version>,
    kept: Vec<Version>,
    promoted: Option<Source>,
    sessions: Vec<Source>,
    waits: bool,
}

/// What a repair has come to.
pub(crate) enum Turned {
    /// It goes on.
    On(Box<Respond>),
    Ended(Plan),
    Died,
}

const ME: Whose = Whose::Respond;

impl Respond {
    pub(crate) fn new(reported: Option<Version>, last: bool) -> Self {
        Self {
            reported,
            last,
            facts: Facts::default(),
            labels: None,
            current: None,
            pending: None,
            previous: None,
            unlabelled: None,
            kept: Vec::new(),
            promoted: None,
            sessions: Vec::new(),
            waits: false,
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(Intent::Heal, &self.facts)
    }

    /// What it does next, for what can happen to it.
    pub(crate) fn call(&self) -> Call {
        match self.plan() {
            Plan::Look(Look::Login(_) | Look::CurrentAgain | Look::Restored(_) | Look::NextKept) => Call::Login,
            Plan::Look(_) | Plan::Done(_) | Plan::Wait(_) | Plan::Refuse(_) => Call::Read,
            Plan::Act(Action::SetPassword(..)) => Call::Statement,
            Plan::Act(_) => Call::Label,
        }
    }

    /// Whether the age of AWSPENDING is asked for.
    pub(crate) fn asks_for_age(&self) -> bool {
        self.plan() == Plan::Look(Look::Versions) && self.facts.label.is_some_and(|label| !label.is_idle())
    }

    pub(crate) fn turn(
        mut self,
        answer: Answer,
        age: Age,
        recorded: &[Option<FailureClass>],
        world: &mut World,
    ) -> Turned {
        let dies = matches!(answer, Answer::Dies { .. } | Answer::DiesLingering);
        match self.plan() {
            Plan::Look(_) if dies => {}
            Plan::Look(look) => self.look(look, answer, age, recorded, world),
            Plan::Act(Action::SetPassword(rung, source)) => {
                let session = self.sessions.contains(&source);
                let (effect, session) = world.set(ME, session, self.current.unwrap(), answer);
                self.sessions.retain(|whose| session || *whose != source);
                let dismisses = effect == Effect::Done && answer != Answer::Spares;
                world.dismissals += u8::from(dismisses);
                world.undismissed |= !dismisses && !matches!(effect, Effect::Refused(_));
                if effect == Effect::Unsure {
                    self.facts.lock = self.facts.lock.map(|(holder, _)| (holder, Lock::Lost));
                }
                self.facts.climb_mut(rung).effect = Some(effect);
            }
            Plan::Act(Action::Promote(rung, source)) => {
                let (to, from) = (self.version(source), self.current.unwrap());
                let (_, lock) = self.facts.lock.unwrap();
                let mut effect = world.promote(to, from, lock, answer);
                if effect == Effect::Unsure && world.labels.current == to {
                    effect = Effect::Done;
                }
                self.promoted = Some(source);
                self.facts.climb_mut(rung).effect = Some(effect);
            }
            Plan::Act(Action::Unstage) => {
                let from = self.labels.and_then(|labels| labels.pending).unwrap();
                self.facts.unstaged = Some(world.unstage(from, answer));
            }
            Plan::Act(Action::ResetMaster | Action::CreateRole) | Plan::Done(_) | Plan::Wait(_) | Plan::Refuse(_) => {
                unreachable!("no move")
            }
        }
        if dies {
            world.bury(ME, None);
            return Turned::Died;
        }
        loop {
            match self.plan() {
                // Nobody else has a hand in these.
                Plan::Look(look @ (Look::Value(Source::Admin) | Look::Server | Look::Role(_) | Look::Time)) => {
                    self.look(look, Answer::Calm, age, recorded, world);
                }
                Plan::Look(_) | Plan::Act(_) => return Turned::On(Box::new(self)),
                // `Repair::run` begins again.
                Plan::Wait(Reason::LabelsMoved | Reason::LockBusy) if !self.last => {
                    world.release(ME);
                    return Turned::On(Box::new(Respond::new(self.reported, false)));
                }
                end @ (Plan::Done(_) | Plan::Wait(_) | Plan::Refuse(_)) => {
                    world.release(ME);
                    return Turned::Ended(end);
                }
            }
        }
    }

    fn look(&mut self, look: Look, answer: Answer, age: Age, recorded: &[Option<FailureClass>], world: &mut World) {
        match look {
            Look::Labels => {
                let labels = world.labels;
                self.facts.label = Some(match labels.pending {
                    None => PendingLabel::Nowhere,
                    Some(pending) if pending == labels.current => PendingLabel::OnCurrent,
                    Some(_) => PendingLabel::Waiting(None),
                });
                self.labels = Some(labels);
                self.facts.secret = Some(SecretState::Ours);
            }
            Look::Table => {
                self.facts.paused = Some(false);
                let pending = self.labels.and_then(|labels| labels.pending);
                if let (Some(pending), Some(PendingLabel::Waiting(_))) = (pending, self.facts.label) {
                    let reported = (self.reported == Some(pending)).then_some(FailureClass::Unrecorded);
                    self.facts.failure = recorded[usize::from(pending)].or(reported);
                }
            }
            Look::Value(Source::Current) => {
                self.current = Some(world.labels.current);
                self.facts.moving = self.labels.map(|labels| labels.current) != self.current;
                self.facts.current = Some(Held::Credentials);
            }
            Look::Value(Source::Pending) => {
                self.pending = world.labels.pending.filter(|pending| world.has_value(*pending));
                self.facts.pending = Some(found(self.pending));
            }
            Look::Value(Source::Previous) => {
                self.previous = world.labels.previous.filter(|previous| world.has_value(*previous));
                self.facts.previous = Some(found(self.previous));
            }
            Look::Value(Source::Admin) => self.facts.admin = Some(Held::Nothing),
            Look::Value(Source::Kept) => unreachable!("has no label"),
            Look::Versions => {
                if let Some(PendingLabel::Waiting(_)) = self.facts.label {
                    self.facts.label = Some(PendingLabel::Waiting(Some(age)));
                }
                self.kept = (0..world.versions).rev().filter(|version| !world.labelled(*version)).collect();
                self.facts.kept.count = u8::try_from(self.kept.len()).ok();
            }
            Look::NextKept => {
                let version = self.kept[usize::from(self.facts.kept.tried)];
                self.facts.kept.tried += 1;
                if world.has_value(version) {
                    self.unlabelled = Some(version);
                    let login = world.log_in(version, answer);
                    self.facts.logins.kept = Some(match (self.facts.logins.kept, login) {
                        (Some(silent @ Login::Unknown(_)), Login::Rejected) => silent,
                        (_, login) => login,
                    });
                    self.facts.kept.found = Some(Found::SameUser);
                    self.sessions.extend((login == Login::Accepted).then_some(Source::Kept));
                }
            }
            Look::Server => {
                self.facts.server = Some(ServerState::Unlisted);
                self.facts.master = Some(MasterVerdict::NotMaster);
            }
            Look::Login(source) => {
                let login = world.log_in(self.version(source), answer);
                let fact = match source {
                    Source::Current => &mut self.facts.logins.current,
                    Source::Pending => &mut self.facts.logins.pending,
                    Source::Previous => &mut self.facts.logins.previous,
                    Source::Kept => &mut self.facts.logins.kept,
                    Source::Admin => &mut self.facts.logins.admin,
                };
                *fact = Some(login);
                self.sessions.extend((login == Login::Accepted).then_some(source));
            }
            Look::Lock(holder) => {
                let Holder::Session(source) = holder else { unreachable!("no master user") };
                // Whoever asks for it lets every other session go.
                if self.facts.lock.is_some_and(|(before, _)| before != holder) {
                    world.release(ME);
                }
                self.sessions.retain(|whose| *whose == source);
                let lock = match self.sessions.is_empty() {
                    true => Some(Lock::Lost),
                    false => world.ask_for_lock(ME, &mut self.waits),
                };
                let Some(lock) = lock else { return };
                self.facts.lock = Some((holder, lock));
                (self.facts.settled, self.facts.again, self.facts.time) = (None, None, None);
            }
            Look::LabelsAgain => {
                let before = self.labels.unwrap();
                let same = self.current == Some(world.labels.current)
                    && before.pending == world.labels.pending
                    && before.previous == world.labels.previous;
                let settled = if same { Settled::Same } else { Settled::Moved };
                self.facts.settled = self.facts.lock.map(|(holder, _)| (holder, settled));
            }
            Look::CurrentAgain => self.facts.again = Some(world.log_in(self.version(Source::Current), answer)),
            Look::Role(source) => self.facts.roles[source as usize] = Some(RoleVerdict::Fit),
            Look::Time => self.facts.time = Some(Time::Enough),
            Look::Restored(rung) => {
                let source = self.promoted.filter(|_| rung == Rung::Forward).unwrap_or(Source::Current);
                self.facts.climb_mut(rung).restored = Some(world.log_in(self.version(source), answer));
            }
        }
    }

    fn version(&self, source: Source) -> Version {
        match source {
            Source::Current => self.current,
            Source::Pending => self.pending,
            Source::Previous => self.previous,
            Source::Kept => self.unlabelled,
            Source::Admin => None,
        }
        .unwrap()
    }
}

const fn found(version: Option<Version>) -> Found {
    if version.is_some() { Found::SameUser } else { Found::Nothing }
}
