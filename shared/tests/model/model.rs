//! Who may move when, and what must be true.

use crate::{
    respond::{self, Respond},
    rotate::{self, Rotate},
    world::{Answer, Holder, Labels, Version, World},
};
use relatch::{
    ports::Login,
    rollback::{
        Reason, Rung,
        facts::{Age, FailureClass},
        plan::Plan,
    },
    rotation::plan::Promote,
};
use relatch_events::rotation::Step;
use stateright::{Expectation, Path, Property};

/// How often what may happen at any time does happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// An answer is lost, a password tells nothing, a process dies.
    faults: u8,
    /// Secrets Manager tries again.
    retries: u8,
    /// The operator takes AWSPENDING off.
    removals: u8,
    /// The operator starts a new rotation.
    rotations: u8,
    /// Somebody looks after the secret although no event says that anything is wrong.
    sweeps: u8,
}

impl Bounds {
    /// What `make test` visits: faults and repetitions without an operator, and the operator without repetitions.
    pub(crate) const SHORT: [Self; 2] = [
        Self { faults: 2, retries: 1, removals: 0, rotations: 0, sweeps: 1 },
        Self { faults: 1, retries: 0, removals: 1, rotations: 1, sweeps: 0 },
    ];
    /// What `make matrix` visits.
    pub(crate) const WHOLE: [Self; 3] = [
        Self { faults: 3, retries: 1, removals: 0, rotations: 0, sweeps: 1 },
        Self { faults: 1, retries: 1, removals: 1, rotations: 1, sweeps: 0 },
        Self { faults: 1, retries: 0, removals: 1, rotations: 1, sweeps: 1 },
    ];
}

pub(crate) struct Model {
    pub(crate) promote: Promote,
    pub(crate) bounds: Bounds,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) world: World,
    /// The invocations of `rotate`: of a token that was given up one may go on, unheeded.
    rotates: Vec<Rotate>,
    respond: Option<Respond>,
    /// What Secrets Manager rotates.
    token: Version,
    /// The step that it calls next, and how often it will try again; `None` when it has finished or given up.
    next: Option<(Step, u8)>,
    /// The event of a failed rotation is on its way.
    event: Option<Version>,
    /// The last repair could do nothing yet: the next sweep is to look again.
    waiting: bool,
    /// It has made the version that opens the database AWSCURRENT.
    went_forward: bool,
    /// What `rotate` has written to the table.
    recorded: [Option<FailureClass>; 5],
    faults: u8,
    removals: u8,
    rotations: u8,
    sweeps: u8,
    removed: bool,
    /// The last repair has ended, and nothing more can happen.
    settled: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// Secrets Manager calls the next step.
    Call,
    /// A step of a rotation makes a move.
    Rotate(usize, Answer),
    /// The event of a failed rotation arrives.
    Event,
    /// The sweep.
    Sweep,
    /// The sweep, when everybody is at rest.
    LastSweep,
    /// The repair makes a move.
    Respond(Answer, Age),
    /// The operator takes AWSPENDING off.
    TakeOff,
    /// The operator starts a new rotation.
    RotateAnew,
    /// A session without a client carries out its last statement.
    GhostActs,
    /// A session without a client ends.
    GhostEnds,
}

impl Model {
    pub(crate) fn is_failure(&self, name: &str) -> bool {
        stateright::Model::properties(self)
            .iter()
            .any(|property| property.name == name && property.expectation == Expectation::Always)
    }
}

impl Model {
    /// How it came to a state, line by line.
    pub(crate) fn story(&self, path: Path<State, Move>) -> String {
        let line = |(state, step): (State, Option<Move>)| {
            let what = match step {
                Some(Move::Rotate(index, _)) => {
                    format!("{} {:?}", state.rotates[index].name(), state.rotates[index].plan(self.promote))
                }
                Some(Move::Respond(..)) => {
                    state.respond.as_ref().map_or(String::new(), |run| format!("{:?}", run.plan()))
                }
                _ => String::new(),
            };
            let World { password, labels: Labels { current, pending, previous }, lock, .. } = state.world;
            format!(
                "  password {password}, current {current}, pending {pending:?}, previous {previous:?}, lock {lock:?}: {step:?} {what}"
            )
        };
        path.into_vec().into_iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl State {
    /// Everybody is at rest: only an operator, or the sweep, could still begin something.
    fn at_rest(&self) -> bool {
        self.rotates.is_empty()
            && self.respond.is_none()
            && self.next.is_none()
            && self.event.is_none()
            && self.world.lock.is_none()
    }

    fn failed(&mut self, token: Version, class: Option<FailureClass>) {
        let recorded = &mut self.recorded[usize::from(token)];
        *recorded = class.or(*recorded);
        if token == self.token {
            self.event = Some(token);
            self.next = self.next.and_then(|(_, retries)| Some((Step::Create, retries.checked_sub(1)?)));
        }
    }

    fn is_running(&self, token: Version) -> bool {
        self.rotates.iter().any(|rotate| rotate.token == token)
    }
}

impl stateright::Model for Model {
    type State = State;
    type Action = Move;

    /// A rotation has just been started: `0` is AWSPREVIOUS, `1` AWSCURRENT, and `2` AWSPENDING, without a value.
    fn init_states(&self) -> Vec<State> {
        let labels = Labels { current: 1, pending: Some(2), previous: Some(0) };
        let world = World {
            password: 1,
            labels,
            versions: 3,
            valued: 0b11,
            lock: None,
            let_go_too_early: false,
            dismissals: 0,
            undismissed: false,
            promoted_shut: false,
            waited_in_vain: false,
        };
        vec![State {
            world,
            rotates: Vec::new(),
            respond: None,
            token: 2,
            next: Some((Step::Create, self.bounds.retries)),
            event: None,
            waiting: false,
            went_forward: false,
            recorded: [None; 5],
            faults: self.bounds.faults,
            removals: self.bounds.removals,
            rotations: self.bounds.rotations,
            sweeps: self.bounds.sweeps,
            removed: false,
            settled: None,
        }]
    }

    fn actions(&self, state: &State, moves: &mut Vec<Move>) {
        if state.settled.is_some() {
            return;
        }
        let allowed = |answer: &&Answer| **answer == Answer::Calm || state.faults > 0;
        if state.next.is_some() && !state.is_running(state.token) {
            moves.push(Move::Call);
        }
        for (index, rotate) in state.rotates.iter().enumerate() {
            let answers = Answer::all(rotate.call(self.promote)).iter().filter(allowed);
            moves.extend(answers.map(|answer| Move::Rotate(index, *answer)));
        }
        if let Some(respond) = &state.respond {
            let ages: &[Age] = match (respond.asks_for_age(), respond.last) {
                (true, false) => &[Age::Fresh, Age::Waiting, Age::Stuck],
                (true, true) => &[Age::Waiting, Age::Stuck],
                (false, _) => &[Age::Fresh],
            };
            for answer in Answer::all(respond.call()).iter().filter(allowed) {
                moves.extend(ages.iter().map(|age| Move::Respond(*answer, *age)));
            }
        } else {
            moves.extend(state.event.is_some().then_some(Move::Event));
            moves.extend((state.sweeps > 0).then_some(Move::Sweep));
        }
        let waiting = state.world.labels.pending.is_some_and(|pending| pending != state.world.labels.current);
        if state.removals > 0 && waiting {
            moves.push(Move::TakeOff);
        }
        if state.rotations > 0 && !waiting && state.next.is_none_or(|_| state.removed) {
            moves.push(Move::RotateAnew);
        }
        if let Some(Holder::Ghost(statement)) = state.world.lock {
            moves.push(Move::GhostEnds);
            moves.extend(statement.map(|_| Move::GhostActs));
        }
        moves.extend(state.at_rest().then_some(Move::LastSweep));
    }

    fn next_state(&self, last: &State, action: Move) -> Option<State> {
        let mut state = last.clone();
        match action {
            Move::Call => {
                let (step, _) = state.next?;
                state.rotates.push(Rotate::new(state.token, step));
            }
            Move::Rotate(index, answer) => {
                state.faults -= u8::from(answer != Answer::Calm);
                let rotate = state.rotates.remove(index);
                let token = rotate.token;
                let step = rotate.step;
                match rotate.turn(self.promote, answer, &mut state.world) {
                    rotate::Turned::On(rotate) => state.rotates.insert(index, *rotate),
                    rotate::Turned::Died => state.failed(token, None),
                    rotate::Turned::Failed(reason) => {
                        let class = class(reason.map_or("interrupted", |reason| reason.name()));
                        state.failed(token, Some(class));
                    }
                    rotate::Turned::Done if token == state.token => {
                        let following = Step::ALL.into_iter().find(|next| *next > step);
                        state.next = state.next.and_then(|(_, retries)| Some((following?, retries)));
                    }
                    rotate::Turned::Done => {}
                }
            }
            Move::Event => state.respond = Some(Respond::new(state.event.take(), false)),
            Move::Sweep => {
                state.sweeps -= 1;
                state.respond = Some(Respond::new(None, false));
            }
            Move::LastSweep => {
                (state.faults, state.removals, state.rotations, state.sweeps) = (0, 0, 0, 0);
                state.respond = Some(Respond::new(None, true));
            }
            Move::Respond(answer, age) => {
                state.faults -= u8::from(answer != Answer::Calm);
                let respond = state.respond.take()?;
                let (last, by_event) = (respond.last, respond.reported.is_some());
                match respond.turn(answer, age, &state.recorded, &mut state.world) {
                    respond::Turned::On(respond) => state.respond = Some(*respond),
                    respond::Turned::Ended(end) if last => {
                        state.settled = Some(matches!(end, Plan::Done(_)));
                    }
                    respond::Turned::Ended(end) => {
                        // A sweep that knows of no failure does not end the wait of a repair that did.
                        state.waiting = matches!(end, Plan::Wait(_)) || (state.waiting && !by_event);
                        state.went_forward = end == Plan::Done(Reason::WentForward);
                    }
                    // Lambda calls it again.
                    respond::Turned::Died => state.event = state.event.or(Some(state.token)),
                }
            }
            Move::TakeOff => {
                state.removals -= 1;
                state.removed = true;
                state.world.labels.pending = None;
            }
            Move::RotateAnew => {
                state.rotations -= 1;
                state.token = state.world.versions;
                state.world.versions += 1;
                state.world.labels.pending = Some(state.token);
                state.next = Some((Step::Create, self.bounds.retries));
            }
            Move::GhostActs | Move::GhostEnds => {
                let Some(Holder::Ghost(statement)) = state.world.lock.take() else { return None };
                if let (Move::GhostActs, Some(to)) = (action, statement) {
                    state.world.password = to;
                    state.world.undismissed = true;
                }
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("some version opens the database", |_, state: &State| {
                state.world.has_value(state.world.password)
            }),
            Property::always(
                "some labelled version does, unless an operator has taken a label off",
                |_, state: &State| state.removed || state.world.labelled(state.world.password),
            ),
            Property::always("AWSPENDING goes only while AWSCURRENT opens the database", |_, state: &State| {
                !state.world.let_go_too_early
            }),
            Property::always("whoever waits for the lock promotes what opens the database then", |_, state: &State| {
                !state.world.waited_in_vain
            }),
            // The event of a failed rotation suffices, if the repair that it calls has come to an end. It is the next sweep
            // that finds AWSCURRENT shut where an operator has moved labels, and where a password was set between a
            // promotion's login and its asking for the lock, by a repair that was cut off right after it or by a
            // statement that lingered.
            Property::always("at rest, AWSCURRENT opens the database", |_, state: &State| {
                let quiet = state.at_rest() && !state.waiting && !state.removed;
                !quiet || state.world.opens() || (state.world.promoted_shut && state.world.undismissed)
            }),
            Property::always(
                "after the next sweep, AWSCURRENT opens the database, and it says so",
                |_, state: &State| state.settled.is_none_or(|done| done && state.world.opens()),
            ),
        ];
        properties.extend(INTERESTING.map(|(name, condition)| Property::sometimes(name, condition)));
        properties
    }
}

type Condition = fn(&Model, &State) -> bool;

/// What must be met somewhere, or else nothing is proved.
pub(crate) const INTERESTING: [(&str, Condition); 9] = [
    ("the new version is AWSCURRENT", |_, state| state.settled.is_some() && state.world.labels.current == 2),
    ("the second new version is AWSCURRENT", |_, state| state.settled.is_some() && state.world.labels.current == 3),
    ("the old version is AWSCURRENT", |_, state| state.settled.is_some() && state.world.labels.current == 1),
    ("a rotation that was given up goes on beside the next", |_, state| state.rotates.len() == 2),
    ("a statement may be carried out without its client", |_, state| {
        matches!(state.world.lock, Some(Holder::Ghost(Some(_))))
    }),
    ("the password is only in a version without a label", |_, state| !state.world.labelled(state.world.password)),
    ("healed through AWSPENDING", |_, state| healed(state, Rung::ThroughPending)),
    ("healed through a version without a label", |_, state| healed(state, Rung::ThroughKept)),
    ("healed by going forward", |_, state| state.went_forward),
];

fn healed(state: &State, rung: Rung) -> bool {
    state.respond.as_ref().is_some_and(|respond| respond.facts.climb(rung).restored == Some(Login::Accepted))
}

/// As `rollback/observe.rs` has it.
fn class(reason: &str) -> FailureClass {
    match reason {
        "change-refused" => FailureClass::Update,
        "database-silent" | "session-lost" | "change-unsure" | "rollback-unfinished" => FailureClass::Connection,
        "pending-unusable" | "mismatch" | "rolled-back" | "test-query-failed" | "pending-rejected" => {
            FailureClass::PendingUseless
        }
        _ => FailureClass::Other,
    }
}
