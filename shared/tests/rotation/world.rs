//! Secrets Manager, PostgreSQL, RDS and the table in memory. Every call is numbered, and a fault can be planned for each.
//!
//! After every call the world looks at itself, and a panic names the calls that led to what should never be.

use jiff::{SignedDuration, Timestamp};
use relatch::{
    audit::operation::Act,
    config::Environment,
    ports::{
        Attempt, CallError, CallErrorKind, Controls, Custody, Database, Description, Door, Failure, Kept, Label,
        Likeness, Lock, Login, Master, MasterOf, Masters, Page, Pause, Pending, Ports, Refusal, Role, Scope, Secrets,
        Server, ServerState, Servers, Session, SessionError, Silence, Staged, Surroundings, Table, Unseen, Version,
        Which,
    },
    rollback::{self, Impact, Intent, Order, Recovery, Repair},
    rotation::{
        Reason, Rotation, RotationError, Settings,
        plan::Promote,
        strategy::{Strategy, StrategyChoice},
    },
    secret::{AdminSecrets, DatabaseCredentials, PasswordPolicy},
    telemetry::Metrics,
};
use relatch_events::{
    cloudtrail::target::Target,
    rotation::{RotationEvent, Step},
    secret::{SecretId, VersionId},
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::{pending, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};
use tokio::time::{Instant, advance, sleep};

const ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf";
const RESOURCE_ID: &str = "db-ABCDEFGHIJKL";
const ADMIN_ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:admin-GhIjKl";
/// The version that is rotated in.
pub(crate) const TOKEN: &str = "v2";
/// What an invocation has; a freeze is longer.
const TIME: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(3);
/// After so many more logins does a password take effect that RDS was asked to set.
const RESET_TAKES: u32 = 4;

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is cut before anything happens.
    Before,
    /// A clear no, without effect.
    Refused,
    /// It happens, and the answer is lost.
    AfterEffect,
    /// The answer is lost, and it happens when the step is over.
    Late,
    /// The process dies before the call.
    Dies,
    /// It happens, and the process dies.
    DiesAfter,
    /// What is read is what was true before the last change.
    Stale,
    /// It happens, and the answer finds the process frozen until its time is over.
    Freezes,
}

impl Fault {
    /// What can go wrong at any call.
    pub(crate) const ALL: [Fault; 6] =
        [Fault::Before, Fault::Refused, Fault::AfterEffect, Fault::Late, Fault::Dies, Fault::DiesAfter];
}

/// What is rotated, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    SingleUser,
    /// A single user whose password only the admin may change.
    ThroughAdmin,
    AlternatingUsers,
    /// Alternating users, of whom there is only one so far.
    FirstAlternation,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] =
        [Kind::SingleUser, Kind::ThroughAdmin, Kind::AlternatingUsers, Kind::FirstAlternation];

    pub(crate) const fn alternates(self) -> bool {
        matches!(self, Kind::AlternatingUsers | Kind::FirstAlternation)
    }
}

/// The largest matrices visit one case of so many, beginning with another one each time; with `RELATCH_MATRIX=whole`
/// (`make matrix`) they visit them all.
pub(crate) fn cut() -> usize {
    if std::env::var("RELATCH_MATRIX").is_ok_and(|cut| cut == "whole") { 1 } else { 7 }
}

/// Every kind with every time of promotion.
pub(crate) fn every_setup() -> impl Iterator<Item = (Kind, Promote)> {
    Kind::ALL.into_iter().flat_map(|kind| [(kind, Promote::AtFinish), (kind, Promote::AfterVerify)])
}

/// How an invocation ended.
#[derive(Debug)]
pub(crate) enum End {
    Done(Reason),
    Failed(RotationError),
    Died,
}

impl End {
    pub(crate) const fn is_done(&self) -> bool {
        matches!(self, End::Done(_))
    }

    pub(crate) fn is_refused(&self, reason: Reason) -> bool {
        matches!(self, End::Failed(RotationError::Refused(given)) if *given == reason)
    }
}

/// The world, as one process sees it: the numbers of the calls are its own.
#[derive(Clone)]
pub(crate) struct World {
    state: Rc<RefCell<State>>,
    script: Rc<RefCell<Script>>,
    kind: Kind,
    promote: Promote,
}

type Effect = Box<dyn FnOnce(&mut State)>;
type Others = Pin<Box<dyn Future<Output = ()>>>;

/// What is planned for a process, and how far it has come.
#[derive(Default)]
struct Script {
    calls: u32,
    faults: BTreeMap<u32, Fault>,
    meanwhile: Option<(u32, Others)>,
    dead: bool,
    late: Vec<Effect>,
    /// What the world was like when the process froze.
    frozen: Option<String>,
}

#[derive(Clone, Default)]
struct Secret {
    versions: BTreeMap<VersionId, Option<DatabaseCredentials>>,
    labels: BTreeMap<Label, VersionId>,
    created: BTreeMap<VersionId, Timestamp>,
    /// Versions whose text is no JSON.
    broken: BTreeSet<VersionId>,
}

/// What opens the database. Nothing that Relatch does makes it less.
#[derive(Clone, Default)]
struct Truth {
    /// Some labelled version does.
    labelled: bool,
    /// Some version does that there still is.
    retained: bool,
    /// AWSCURRENT does, of users that take turns.
    alternate: bool,
    /// The roles whose password some version holds.
    known: BTreeSet<String>,
}

pub(crate) struct State {
    secret: Secret,
    /// The secret before its last change.
    before: Secret,
    admin: DatabaseCredentials,
    roles: BTreeMap<String, String>,
    sessions: BTreeMap<u32, String>,
    locks: BTreeMap<String, u32>,
    /// Only the admin may set passwords.
    pub(crate) restricted: bool,
    /// The secret's user may do more than work with data.
    pub(crate) privileged: bool,
    /// Whose the secret is, by its tag.
    pub(crate) tagged: Option<&'static str>,
    /// In which database its role is to be created, by its tag.
    pub(crate) at_home: Option<&'static str>,
    /// When it was rotated last.
    pub(crate) rotated: Option<Timestamp>,
    /// The role by the alternate's name was not made for it.
    pub(crate) strangers: bool,
    alternates: bool,
    server: Server,
    pinned: bool,
    /// RDS was asked to set a user's password; it does after so many more logins.
    resetting: Option<(u32, String)>,
    /// What every login tells.
    pub(crate) silent: Option<Silence>,
    pub(crate) controls: Controls,
    failures: BTreeMap<VersionId, Failure>,
    lease: Option<(String, Instant)>,
    /// What Relatch has recorded of what it was about to do, and of what.
    recorded: Vec<(String, Act)>,
    truth: Truth,
    stale: bool,
    /// What happens now happens after its process has ended.
    late: bool,
    /// What logins with the pending password tell instead of "accepted", and how often.
    mood: Option<(Login, u32)>,
    /// The names of all calls, with the faults among them.
    story: Vec<(&'static str, Option<Fault>)>,
    logins: Vec<Login>,
}

impl World {
    /// A secret between rotations: `v1` is AWSCURRENT, and still AWSPENDING from the rotation that brought it.
    pub(crate) fn at_rest(kind: Kind, promote: Promote) -> Self {
        let former = if kind.alternates() { "app_clone" } else { "app" };
        let mut secret = Secret::default();
        secret.put("v1", Some(value(kind, "app", "password-one")), &[Label::Current, Label::Pending]);
        let mut roles =
            BTreeMap::from([("admin".to_owned(), "admin".to_owned()), ("app".to_owned(), "password-one".to_owned())]);
        if kind != Kind::FirstAlternation {
            secret.put("v0", Some(value(kind, former, "password-zero")), &[Label::Previous]);
            roles.entry(former.to_owned()).or_insert("password-zero".to_owned());
        }
        let state = State {
            before: secret.clone(),
            secret,
            admin: value(Kind::SingleUser, "admin", "admin"),
            roles,
            sessions: BTreeMap::new(),
            locks: BTreeMap::new(),
            restricted: kind == Kind::ThroughAdmin,
            privileged: false,
            tagged: Some("app"),
            at_home: None,
            rotated: None,
            strangers: false,
            alternates: kind.alternates(),
            server: Server::default(),
            pinned: false,
            resetting: None,
            silent: None,
            controls: Controls::default(),
            failures: BTreeMap::new(),
            lease: None,
            recorded: Vec::new(),
            truth: Truth::default(),
            stale: false,
            late: false,
            mood: None,
            story: Vec::new(),
            logins: Vec::new(),
        };
        let world = Self { state: Rc::new(RefCell::new(state)), script: Rc::default(), kind, promote };
        world.by_hand(|state| state.age("v0", 60 * 24 * 60));
        world.by_hand(|state| state.age("v1", 30 * 24 * 60));
        world
    }

    /// RotateSecret: the token becomes a version that holds AWSPENDING and no value.
    pub(crate) fn rotating(self) -> Self {
        self.by_hand(|state| state.change_secret(|secret| secret.put(TOKEN, None, &[Label::Pending])));
        self
    }

    /// RotateSecret with `RotateImmediately=false`: AWSPENDING holds what AWSCURRENT holds.
    pub(crate) fn testing(self) -> Self {
        self.staged(|current| current.to_owned())
    }

    /// AWSPENDING is there already, made from the text of AWSCURRENT.
    pub(crate) fn staged(self, change: impl FnOnce(&str) -> String) -> Self {
        self.by_hand(|state| {
            state.change_secret(|secret| {
                let current = secret.holder(Label::Current).unwrap().text().expose_secret();
                let pending = DatabaseCredentials::parse(change(current).into()).unwrap();
                secret.put(TOKEN, Some(pending), &[Label::Pending]);
            });
        });
        self
    }

    pub(crate) fn failing_at(self, call: u32, fault: Fault) -> Self {
        self.script.borrow_mut().faults.insert(call, fault);
        self
    }

    /// Just before a call, something else runs to its end.
    pub(crate) fn interrupted_at(self, call: u32, by: impl Future<Output = ()> + 'static) -> Self {
        self.script.borrow_mut().meanwhile = Some((call, Box::pin(by)));
        self
    }

    /// The next logins with the pending password tell this, right as it is.
    pub(crate) fn distrusting(self, login: Login, times: u32) -> Self {
        self.by_hand(|state| state.mood = Some((login, times)));
        self
    }

    /// The same world, seen by another process.
    pub(crate) fn another(&self) -> Self {
        Self { script: Rc::default(), ..self.clone() }
    }

    /// Somebody changes the world past Relatch.
    pub(crate) fn by_hand<T>(&self, change: impl FnOnce(&mut State) -> T) {
        let mut state = self.state.borrow_mut();
        change(&mut state);
        state.truth = state.truth();
    }

    /// One invocation.
    pub(crate) async fn step(&self, step: Step) -> End {
        let event = RotationEvent {
            step,
            secret_id: SecretId::try_from(ARN).unwrap(),
            client_request_token: version(TOKEN),
            rotation_token: None,
        };
        let rotation = Rotation {
            ports: self.ports(),
            settings: Settings {
                promote: self.promote,
                strategy: self.strategy(),
                admins: admins(),
                passwords: PasswordPolicy::from_settings(|_| None).unwrap(),
                patience: PATIENCE,
            },
            metrics: Metrics { namespace: "Relatch".to_owned(), environment: Environment::Dev },
        };
        let end = self.live(rotation.step(&event, Instant::now() + TIME)).await;
        end.map_or(End::Died, |outcome| outcome.map_or_else(End::Failed, End::Done))
    }

    /// One repair; `None` if its process died.
    pub(crate) async fn repair(&self, order: Order) -> Option<Recovery> {
        let settings = rollback::Settings {
            strategy: self.strategy(),
            admins: admins(),
            patience: PATIENCE,
            in_flight: Duration::from_secs(15 * 60),
            stuck: Duration::from_secs(60 * 60),
        };
        let repair = Repair { ports: self.ports(), settings };
        self.live(repair.run(&order, Instant::now() + TIME)).await
    }

    fn ports(&self) -> Ports<Self, Self, Self, Self> {
        Ports { secrets: self.clone(), database: self.clone(), servers: self.clone(), table: self.clone() }
    }

    const fn strategy(&self) -> StrategyChoice {
        match self.kind {
            Kind::ThroughAdmin => StrategyChoice::Always(Strategy::SingleUser),
            Kind::SingleUser | Kind::AlternatingUsers | Kind::FirstAlternation => StrategyChoice::Auto,
        }
    }

    /// A process, until its end or its death.
    async fn live<T>(&self, process: impl Future<Output = T>) -> Option<T> {
        let death = poll_fn(|_| if self.script.borrow().dead { Poll::Ready(()) } else { Poll::Pending });
        let end = tokio::select! {
            biased;
            end = process => Some(end),
            () = death => None,
        };
        if let Some(frozen) = self.script.borrow_mut().frozen.take() {
            assert_eq!(self.portrait(), frozen, "changed after the deadline\n{}", self.story());
        }
        self.script.borrow_mut().dead = false;
        let late = std::mem::take(&mut self.script.borrow_mut().late);
        self.state.borrow_mut().late = true;
        for effect in late {
            self.act(effect);
        }
        self.state.borrow_mut().late = false;
        end
    }

    /// The steps up to and including one, as Secrets Manager calls them: the first that fails is the last.
    pub(crate) async fn rotate_up_to(&self, last: Step) -> End {
        for step in Step::ALL.into_iter().filter(|step| *step < last) {
            let end = self.step(step).await;
            if !end.is_done() {
                return end;
            }
        }
        self.step(last).await
    }

    pub(crate) async fn rotate(&self) -> End {
        self.rotate_up_to(Step::Finish).await
    }

    /// Retries as Secrets Manager does, with the same token, and says how often it had to. The new version is
    /// AWSCURRENT then, and opens the database.
    pub(crate) async fn rotates_in_the_end(&self) -> u32 {
        for retries in 0..=3 {
            if self.rotate().await.is_done() {
                let state = self.state.borrow();
                assert_eq!(state.secret.labels[&Label::Current], version(TOKEN), "{}", self.story());
                assert!(state.opens(Label::Current), "AWSCURRENT does not open the database\n{}", self.story());
                return retries;
            }
        }
        panic!("the rotation never succeeds\n{}", self.story())
    }

    /// Calls made by this process so far.
    pub(crate) fn calls(&self) -> u32 {
        self.script.borrow().calls
    }

    /// The names of all calls so far, whoever made them.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.state.borrow().story.iter().map(|(name, _)| *name).collect()
    }

    /// What Relatch has recorded of what it was about to do, and of what.
    pub(crate) fn recorded(&self) -> Vec<(String, Act)> {
        self.state.borrow().recorded.clone()
    }

    /// What each login told.
    pub(crate) fn logins(&self) -> Vec<Login> {
        self.state.borrow().logins.clone()
    }

    pub(crate) fn holder(&self, label: Label) -> Option<VersionId> {
        self.state.borrow().secret.labels.get(&label).cloned()
    }

    pub(crate) fn opens(&self, label: Label) -> bool {
        self.state.borrow().opens(label)
    }

    /// What the state of the secret means, by what opens the database in truth.
    pub(crate) fn impact(&self) -> Impact {
        let truth = self.state.borrow().truth();
        match (self.opens(Label::Current), truth.labelled, truth.retained) {
            (true, ..) => Impact::Safe,
            (_, true, _) => Impact::Degraded,
            (_, _, true) => Impact::Stranded,
            (_, _, false) => Impact::LockedOut,
        }
    }

    /// Who holds which label, which version has a value, and whose password each role has. No password: two rotations
    /// make different ones, and end in the same state all the same.
    pub(crate) fn portrait(&self) -> String {
        self.state.borrow().portrait()
    }

    pub(crate) fn story(&self) -> String {
        self.state.borrow().story()
    }

    async fn call<T>(&self, name: &'static str, effect: impl FnOnce(&mut State) -> T + 'static) -> Reply<T> {
        let (fault, meanwhile) = {
            let mut script = self.script.borrow_mut();
            script.calls += 1;
            let call = script.calls;
            let meanwhile = script.meanwhile.take_if(|(at, _)| *at == call);
            (script.faults.get(&call).copied(), meanwhile)
        };
        if let Some((_, others)) = meanwhile {
            others.await;
        }
        self.state.borrow_mut().story.push((name, fault));
        match fault {
            None => Reply::Came(self.act(effect)),
            Some(Fault::Before) => Reply::Cut,
            Some(Fault::Refused) => Reply::Refused,
            Some(Fault::AfterEffect) => {
                self.act(effect);
                Reply::Lost
            }
            Some(Fault::Late) => {
                self.script.borrow_mut().late.push(Box::new(|state| drop(effect(state))));
                Reply::Lost
            }
            Some(Fault::Dies) => self.die().await,
            Some(Fault::DiesAfter) => {
                self.act(effect);
                self.die().await
            }
            Some(Fault::Stale) => {
                self.state.borrow_mut().stale = true;
                let answer = self.act(effect);
                self.state.borrow_mut().stale = false;
                Reply::Came(answer)
            }
            Some(Fault::Freezes) => {
                let answer = self.act(effect);
                self.script.borrow_mut().frozen = Some(self.portrait());
                // Polled once, `advance` moves the clock; polled to its end, it would also let timers fire, and a thawed
                // process goes on where it was before any timer does.
                let mut thaw = pin!(advance(TIME * 2));
                poll_fn(|context| {
                    let _ = thaw.as_mut().poll(context);
                    Poll::Ready(())
                })
                .await;
                Reply::Came(answer)
            }
        }
    }

    fn act<T>(&self, effect: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let answer = effect(&mut state);
        state.look();
        answer
    }

    async fn die<T>(&self) -> T {
        self.script.borrow_mut().dead = true;
        pending().await
    }
}

/// What became of a call, as the caller sees it.
enum Reply<T> {
    Came(T),
    Refused,
    /// The connection is gone, on both sides.
    Cut,
    /// The connection is gone, and the other side does not know yet.
    Lost,
}

impl<T> Reply<T> {
    fn of_aws(self, operation: &'static str) -> Result<T, CallError> {
        let error = |kind| CallError { operation, kind, message: "as planned".to_owned() };
        match self {
            Reply::Came(answer) => Ok(answer),
            Reply::Refused => Err(error(CallErrorKind::Throttled)),
            Reply::Cut | Reply::Lost => Err(error(CallErrorKind::NoAnswer)),
        }
    }
}

impl State {
    /// What must be true at every moment: nothing that Relatch does makes less open the database.
    fn look(&mut self) {
        let (before, now) = (std::mem::take(&mut self.truth), self.truth());
        assert!(now.labelled || !before.labelled, "no labelled version opens any more\n{}", self.story());
        assert!(now.retained || !before.retained, "no version opens any more\n{}", self.story());
        assert!(now.alternate || !before.alternate, "AWSCURRENT does not open any more\n{}", self.story());
        for role in &before.known {
            assert!(now.known.contains(role), "nobody knows {role}'s password any more\n{}", self.story());
        }
        self.truth = now;
    }

    fn truth(&self) -> Truth {
        let labels = [Label::Current, Label::Pending, Label::Previous];
        let known = |(role, password): &(&String, &String)| !self.holders(role, password).is_empty();
        Truth {
            labelled: labels.iter().any(|label| self.opens(*label)),
            retained: self.secret.versions.values().flatten().any(|value| self.accepts(value)),
            alternate: self.alternates && self.opens(Label::Current),
            known: self.roles.iter().filter(known).map(|(role, _)| role.clone()).collect(),
        }
    }

    /// Somebody has the exclusive right to act; nobody has it any more when a lost call happens after all.
    fn assert_locked(&self) {
        let leased = self.lease.as_ref().is_some_and(|(_, until)| Instant::now() < *until);
        assert!(leased || self.late || self.locks.contains_key(ARN), "without the lock\n{}", self.story());
    }

    fn opens(&self, label: Label) -> bool {
        self.secret.holder(label).is_some_and(|value| self.accepts(value))
    }

    fn accepts(&self, value: &DatabaseCredentials) -> bool {
        self.roles.get(&value.username).is_some_and(|password| password == value.password.expose_secret())
    }

    fn holders(&self, role: &str, password: &str) -> Vec<&str> {
        let holds = |value: &DatabaseCredentials| value.username == role && value.password.expose_secret() == password;
        let versions = self.secret.versions.iter();
        versions.filter(|(_, value)| value.as_ref().is_some_and(holds)).map(|(id, _)| id.as_str()).collect()
    }

    fn portrait(&self) -> String {
        let labels = self.secret.labels.iter().map(|(label, id)| format!("{label:?} {id}"));
        let values =
            self.secret.versions.iter().filter(|(_, value)| value.is_none()).map(|(id, _)| format!("{id} empty"));
        let roles =
            self.roles.iter().map(|(role, password)| format!("{role} as in {:?}", self.holders(role, password)));
        labels.chain(values).chain(roles).collect::<Vec<_>>().join(", ")
    }

    fn story(&self) -> String {
        let line = |(number, (name, fault)): (usize, &(&str, Option<Fault>))| match fault {
            Some(fault) => format!("{}. {name}: {fault:?}", number + 1),
            None => format!("{}. {name}", number + 1),
        };
        let lines: Vec<String> = self.story.iter().enumerate().map(line).collect();
        format!("{}\n{}", self.portrait(), lines.join("\n"))
    }

    fn change_secret(&mut self, change: impl FnOnce(&mut Secret)) {
        self.before = self.secret.clone();
        change(&mut self.secret);
    }

    pub(crate) fn cure(&mut self) {
        self.mood = None;
    }

    /// A new version by hand, under these labels.
    pub(crate) fn put_by_hand(&mut self, id: &str, password: &str, labels: &[Label]) -> String {
        let current = self.secret.holder(Label::Current).unwrap();
        let next = current.with_login(&current.username, password.to_owned().into());
        let user = next.username.clone();
        self.change_secret(|secret| secret.put(id, Some(next), labels));
        user
    }

    /// AWSCURRENT names another admin secret.
    pub(crate) fn name_admin(&mut self, arn: &str) {
        let text = self.secret.holder(Label::Current).unwrap().text().expose_secret().replace(ADMIN_ARN, arn);
        let id = self.secret.labels[&Label::Current].clone();
        let value = DatabaseCredentials::parse(text.into()).unwrap();
        self.change_secret(|secret| drop(secret.versions.insert(id, Some(value))));
    }

    /// A label is moved by hand, or taken off.
    pub(crate) fn move_by_hand(&mut self, label: Label, to: Option<&str>) {
        self.change_secret(|secret| match to {
            Some(id) => drop(secret.labels.insert(label, version(id))),
            None => drop(secret.labels.remove(&label)),
        });
    }

    /// A version's value becomes something that nobody can read.
    pub(crate) fn break_value(&mut self, id: &str) {
        self.change_secret(|secret| {
            secret.versions.insert(version(id), None);
            secret.broken.insert(version(id));
        });
    }

    /// A version was made so many minutes ago.
    pub(crate) fn age(&mut self, id: &str, minutes: i64) {
        self.secret.created.insert(version(id), Timestamp::now() - SignedDuration::from_mins(minutes));
    }

    /// The secret's user is the master user of an RDS instance, which the secret pins or does not.
    pub(crate) fn lead_to_rds(&mut self, pinned: bool) {
        let master = Master { username: "app".to_owned(), of: MasterOf::Instance("db".to_owned()) };
        let resource_id = Some(RESOURCE_ID.to_owned());
        self.server = Server { state: ServerState::Available, resource_id, master: Some(master), ..Server::default() };
        self.pinned = pinned;
    }

    pub(crate) fn set_password_by_hand(&mut self, role: &str, password: &str) {
        self.roles.insert(role.to_owned(), password.to_owned());
    }

    pub(crate) fn drop_role(&mut self, role: &str) {
        self.roles.remove(role);
    }

    pub(crate) fn lead_admin_to(&mut self, host: &str) {
        let text = self.admin.text().expose_secret().replace("db.example.com", host);
        self.admin = DatabaseCredentials::parse(text.into()).unwrap();
    }

    const fn secret(&self) -> &Secret {
        if self.stale { &self.before } else { &self.secret }
    }

    /// PutSecretValue.
    fn stage(&mut self, token: &VersionId, text: &SecretString) -> Staged {
        match self.secret.versions.get(token) {
            Some(Some(value)) if value.text().expose_secret() == text.expose_secret() => Staged::Now,
            Some(Some(_)) => Staged::Before,
            Some(None) | None => {
                let value = DatabaseCredentials::parse(text.clone()).unwrap();
                self.change_secret(|secret| secret.put(token.as_str(), Some(value), &[Label::Pending]));
                Staged::Now
            }
        }
    }

    /// UpdateSecretVersionStage.
    fn promote(&mut self, to: &VersionId, from: &VersionId) -> Result<(), CallErrorKind> {
        if !self.secret.versions.contains_key(to) {
            return Err(CallErrorKind::NotFound);
        }
        if self.secret.labels.get(&Label::Current) != Some(from) {
            return Err(CallErrorKind::Refused);
        }
        self.assert_locked();
        self.change_secret(|secret| {
            secret.labels.extend([(Label::Current, to.clone()), (Label::Previous, from.clone())]);
        });
        Ok(())
    }

    /// UpdateSecretVersionStage, of AWSPENDING. It goes only after AWSCURRENT has been proved.
    fn unstage(&mut self, from: &VersionId) -> Result<(), CallErrorKind> {
        if self.secret.labels.get(&Label::Pending) != Some(from) {
            return Err(CallErrorKind::Refused);
        }
        self.assert_locked();
        assert!(self.opens(Label::Current) || self.late, "AWSPENDING goes, AWSCURRENT is shut\n{}", self.story());
        self.change_secret(|secret| drop(secret.labels.remove(&Label::Pending)));
        Ok(())
    }

    fn log_in(&mut self, value: &DatabaseCredentials, probe: bool) -> (Login, Option<u32>) {
        assert_eq!(value.host, "db.example.com", "a password was sent to a stranger\n{}", self.story());
        if let Some(silence) = self.silent {
            return (Login::Unknown(silence), None);
        }
        if let Some((logins, password)) = self.resetting.take() {
            match logins {
                0 => drop(self.roles.insert("app".to_owned(), password)),
                _ => self.resetting = Some((logins - 1, password)),
            }
        }
        let mut login = if self.accepts(value) { Login::Accepted } else { Login::Rejected };
        let pending = self.secret.versions.get(&version(TOKEN)).and_then(Option::as_ref);
        let is_pending = pending.is_some_and(|pending| pending.same_password(value));
        if let Some((mood, times @ 1..)) = &mut self.mood
            && login == Login::Accepted
            && is_pending
            && (probe || !matches!(mood, Login::Unfit(_)))
        {
            (login, *times) = (*mood, *times - 1);
        }
        self.logins.push(login);
        let session = matches!(login, Login::Accepted | Login::Unfit(_)).then_some(self.logins.len() as u32);
        self.sessions.extend(session.map(|session| (session, value.username.clone())));
        (login, session)
    }

    fn lock(&mut self, arn: &str, session: u32) -> Lock {
        match self.locks.get(arn) {
            Some(holder) if *holder != session => Lock::Busy,
            // Too late: the session has ended meanwhile.
            None if !self.sessions.contains_key(&session) => Lock::Lost,
            Some(_) | None => {
                self.locks.insert(arn.to_owned(), session);
                Lock::Held
            }
        }
    }

    fn end(&mut self, session: u32) {
        self.sessions.remove(&session);
        self.locks.retain(|_, holder| *holder != session);
    }

    fn dismiss(&mut self, user: &str, by: u32) {
        let others: Vec<u32> =
            self.sessions.iter().filter(|(id, whose)| **id != by && *whose == user).map(|(id, _)| *id).collect();
        others.into_iter().for_each(|session| self.end(session));
    }

    fn role(&self, name: &str) -> Option<Role> {
        let privileged = self.privileged;
        let role =
            Role { can_log_in: true, expired: false, sessions_left: None, iam: false, alterable: true, privileged };
        self.roles.contains_key(name).then_some(role)
    }

    /// ALTER ROLE, in the session that holds the lock.
    fn alter(&mut self, by: (&str, u32), user: &str, password: &SecretString) -> Result<(), SessionError> {
        let (by, session) = by;
        assert_eq!(self.locks.get(ARN), Some(&session), "without the lock\n{}", self.story());
        if by != "admin" && (by != user || self.restricted) {
            return Err(SessionError::Reported("42501".into()));
        }
        self.roles.insert(user.to_owned(), password.expose_secret().to_owned());
        Ok(())
    }
}

impl Secret {
    fn version(&self, id: &VersionId) -> Option<Version> {
        let text = match self.versions.get(id)? {
            Some(value) => value.text().clone(),
            None if self.broken.contains(id) => "no JSON".to_owned().into(),
            None => return None,
        };
        Some(Version { id: id.clone(), arn: ARN.to_owned(), text: Some(text), created: self.created.get(id).copied() })
    }

    fn holder(&self, label: Label) -> Option<&DatabaseCredentials> {
        self.labels.get(&label).and_then(|id| self.versions[id].as_ref())
    }

    fn put(&mut self, id: &str, value: Option<DatabaseCredentials>, labels: &[Label]) {
        self.versions.insert(version(id), value);
        self.created.entry(version(id)).or_insert_with(Timestamp::now);
        for label in labels {
            if let (Label::Current, Some(former)) = (label, self.labels.get(&Label::Current).cloned()) {
                self.labels.insert(Label::Previous, former);
            }
            self.labels.insert(*label, version(id));
        }
    }
}

impl Secrets for World {
    async fn describe(&self, _: &SecretId) -> Result<Description, CallError> {
        let reply = self.call("describe", |state| {
            let mut labels: BTreeMap<VersionId, Vec<Label>> = BTreeMap::new();
            for (label, id) in &state.secret().labels {
                labels.entry(id.clone()).or_default().push(*label);
            }
            let pin = state.pinned.then(|| ("relatch:resource-id".to_owned(), RESOURCE_ID.to_owned()));
            let user = state.tagged.map(|user| ("relatch:user".to_owned(), user.to_owned()));
            let home = state.at_home.map(|dbname| ("relatch:database".to_owned(), dbname.to_owned()));
            let tags = pin.into_iter().chain(user).chain(home).collect();
            let rotated = state.rotated;
            Description {
                arn: Some(ARN.to_owned()),
                rotation_enabled: true,
                rotated,
                labels,
                tags,
                ..Description::default()
            }
        });
        reply.await.of_aws("secretsmanager:DescribeSecret")
    }

    async fn read(&self, _: &SecretId, which: Which<'_>) -> Result<Option<Version>, CallError> {
        let (asked, label) = match which {
            Which::Labelled(label) => (None, label),
            Which::Exactly(id, label) => (Some(id.clone()), label),
            Which::Kept(id) => {
                let id = id.clone();
                let text = move |state: &mut State| state.secret().version(&id);
                return self.call("read", text).await.of_aws("secretsmanager:GetSecretValue");
            }
            Which::Admin(arn) => {
                assert_eq!(arn, ADMIN_ARN);
                let text = |state: &mut State| {
                    let text = Some(state.admin.text().clone());
                    Some(Version { id: version("admin"), arn: ADMIN_ARN.to_owned(), text, created: None })
                };
                return self.call("read", text).await.of_aws("secretsmanager:GetSecretValue");
            }
        };
        let reply = self.call("read", move |state| {
            let id = state.secret().labels.get(&label).filter(|id| asked.is_none_or(|asked| asked == **id))?;
            state.secret().version(id)
        });
        reply.await.of_aws("secretsmanager:GetSecretValue")
    }

    async fn stage(&self, _: &SecretId, pending: Pending<'_>) -> Result<Staged, CallError> {
        let (token, text) = (pending.token.clone(), pending.text.clone());
        let reply = self.call("stage", move |state| state.stage(&token, &text));
        reply.await.of_aws("secretsmanager:PutSecretValue")
    }

    async fn promote(&self, _: &SecretId, to: &VersionId, from: &VersionId) -> Result<(), CallError> {
        const OPERATION: &str = "secretsmanager:UpdateSecretVersionStage";
        let (to, from) = (to.clone(), from.clone());
        let reply = self.call("promote", move |state| state.promote(&to, &from)).await.of_aws(OPERATION)?;
        reply.map_err(|kind| CallError { operation: OPERATION, kind, message: "not there".to_owned() })
    }
}

impl Custody for World {
    async fn versions(&self, _: &SecretId) -> Result<Vec<Kept>, CallError> {
        let reply = self.call("versions", |state| {
            let secret = state.secret();
            let kept = |id: &VersionId| Kept { id: id.clone(), created: secret.created.get(id).copied() };
            let mut versions: Vec<Kept> = secret.versions.keys().map(kept).collect();
            versions.sort_by_key(|version| std::cmp::Reverse(version.created));
            versions
        });
        reply.await.of_aws("secretsmanager:ListSecretVersionIds")
    }

    async fn unstage(&self, _: &SecretId, from: &VersionId) -> Result<(), CallError> {
        const OPERATION: &str = "secretsmanager:UpdateSecretVersionStage";
        let from = from.clone();
        let reply = self.call("unstage", move |state| state.unstage(&from)).await.of_aws(OPERATION)?;
        reply.map_err(|kind| CallError { operation: OPERATION, kind, message: "not there".to_owned() })
    }

    async fn list(&self, _: Option<&str>) -> Result<Page, CallError> {
        unreachable!("of one secret")
    }
}

impl Servers for World {
    async fn find(&self, _: &DatabaseCredentials) -> Result<Server, CallError> {
        self.call("find", |state| state.server.clone()).await.of_aws("rds:DescribeDBInstances")
    }
}

impl Masters for World {
    async fn set_master_password(&self, of: &MasterOf, password: &SecretString) -> Result<(), CallError> {
        assert_eq!(*of, MasterOf::Instance("db".to_owned()));
        let password = password.expose_secret().to_owned();
        let reply = self.call("reset master", |state| {
            state.assert_locked();
            state.resetting = Some((RESET_TAKES, password));
        });
        reply.await.of_aws("rds:ModifyDBInstance")
    }
}

impl Table for World {
    async fn controls(&self, _: &str) -> Result<Controls, CallError> {
        self.call("controls", |state| state.controls.clone()).await.of_aws("dynamodb:GetItem")
    }

    async fn pause(&self, _: Scope<'_>, _: &Pause) -> Result<(), CallError> {
        unreachable!("by a person")
    }

    async fn resume(&self, _: Scope<'_>) -> Result<bool, CallError> {
        unreachable!("by a person")
    }

    async fn stop(&self, _: &str, _: &str) -> Result<(), CallError> {
        unreachable!("by the handler")
    }

    async fn record_failure(&self, failure: &Failure) -> Result<(), CallError> {
        let failure = failure.clone();
        let reply = self.call("record failure", move |state| {
            state.controls.rolled_back += u32::from(failure.rolled_back);
            state.failures.insert(failure.token.clone(), failure);
        });
        reply.await.of_aws("dynamodb:UpdateItem")
    }

    async fn failure(&self, _: &str, token: &VersionId) -> Result<Option<Failure>, CallError> {
        let token = token.clone();
        self.call("failure", move |state| state.failures.get(&token).cloned()).await.of_aws("dynamodb:GetItem")
    }

    async fn record_success(&self, _: &str) -> Result<(), CallError> {
        self.call("record success", |state| state.controls.rolled_back = 0).await.of_aws("dynamodb:UpdateItem")
    }

    async fn lease(&self, _: &str, owner: &str, term: Duration) -> Result<Lock, CallError> {
        let owner = owner.to_owned();
        let reply = self.call("lease", move |state| match &state.lease {
            Some((holder, until)) if *holder != owner && Instant::now() < *until => Lock::Busy,
            _ => {
                state.lease = Some((owner, Instant::now() + term));
                Lock::Held
            }
        });
        reply.await.of_aws("dynamodb:UpdateItem")
    }

    async fn record_operation(&self, target: &Target, act: &Act) -> Result<(), CallError> {
        let operation = (target.name.clone(), act.clone());
        let reply = self.call("record operation", move |state| state.recorded.push(operation));
        reply.await.of_aws("dynamodb:UpdateItem")
    }

    async fn release(&self, _: &str, owner: &str) -> Result<(), CallError> {
        let owner = owner.to_owned();
        let reply = self.call("release", move |state| state.lease = state.lease.take().filter(|(by, _)| *by != owner));
        reply.await.of_aws("dynamodb:UpdateItem")
    }
}

impl Database for World {
    type Session = OpenSession;

    async fn log_in(&self, credentials: &DatabaseCredentials, _: &Door, probe: bool) -> Attempt<OpenSession> {
        let value = credentials.clone();
        let (login, session) = match self.call("log in", move |state| state.log_in(&value, probe)).await {
            Reply::Came(answer) => answer,
            Reply::Refused => (Login::Refused(Refusal::ConnectionLimit), None),
            Reply::Cut => (Login::Unknown(Silence::Unreachable), None),
            Reply::Lost => (Login::Unknown(Silence::TimedOut), None),
        };
        let user = credentials.username.clone();
        let open = |id| OpenSession { world: self.clone(), id, user, broken: false };
        Attempt { login, session: session.map(open) }
    }
}

/// A session. The server ends it when it is closed, dropped, or cut, but not before its last statement is over: of a
/// session that was only lost, the lock may stay for a while.
pub(crate) struct OpenSession {
    world: World,
    id: u32,
    user: String,
    broken: bool,
}

impl OpenSession {
    async fn call<T>(&mut self, name: &'static str, effect: impl FnOnce(&mut State) -> T + 'static) -> Reply<T> {
        if self.broken {
            return Reply::Lost;
        }
        let reply = self.world.call(name, effect).await;
        self.broken = matches!(reply, Reply::Cut | Reply::Lost);
        if matches!(reply, Reply::Cut) {
            self.world.by_hand(|state| state.end(self.id));
        }
        reply
    }
}

impl Drop for OpenSession {
    fn drop(&mut self) {
        let id = self.id;
        match &mut self.world.script.borrow_mut().late {
            late if self.broken && !late.is_empty() => late.push(Box::new(move |state| state.end(id))),
            _ => self.world.by_hand(|state| state.end(id)),
        }
    }
}

fn in_session<T>(reply: Reply<T>) -> Result<T, SessionError> {
    match reply {
        Reply::Came(answer) => Ok(answer),
        Reply::Refused => Err(SessionError::Reported("XX000".into())),
        Reply::Cut | Reply::Lost => Err(SessionError::Lost),
    }
}

impl Session for OpenSession {
    async fn lock(&mut self, arn: &str, patience: Duration) -> Lock {
        let until = Instant::now() + patience;
        let (arn, id) = (arn.to_owned(), self.id);
        let taken = |state: &State| state.locks.get(&arn).is_some_and(|holder| *holder != id);
        let waits = taken(&self.world.state.borrow());
        while taken(&self.world.state.borrow()) && Instant::now() < until {
            sleep(Duration::from_millis(50)).await;
        }
        match self.call("lock", move |state| state.lock(&arn, id)).await {
            Reply::Came(Lock::Held) if waits => Lock::Awaited,
            Reply::Came(lock) => lock,
            Reply::Refused => Lock::Busy,
            Reply::Cut | Reply::Lost => Lock::Lost,
        }
    }

    async fn look(&mut self, user: &str, model: &str) -> Result<Surroundings, Unseen> {
        let (by, user, model) = (self.user.clone(), user.to_owned(), model.to_owned());
        in_session(
            self.call("look", move |state| Surroundings {
                in_recovery: false,
                restricted: state.restricted && by != "admin",
                refuses_verifiers: false,
                user: state.role(&user),
                model: state.role(&model),
                strangers: state.strangers,
            })
            .await,
        )
        .map_err(|_| Unseen::Lost)
    }

    async fn set_password(&mut self, user: &str, password: &SecretString) -> Result<(), SessionError> {
        let (by, id, user, password) = (self.user.clone(), self.id, user.to_owned(), password.clone());
        in_session(self.call("set password", move |state| state.alter((&by, id), &user, &password)).await)?
    }

    async fn provision(&mut self, user: &str, model: &str, password: &SecretString) -> Result<Likeness, SessionError> {
        assert_ne!(user, "admin", "of {model}");
        let (by, id, user, password) = (self.user.clone(), self.id, user.to_owned(), password.clone());
        in_session(self.call("provision", move |state| state.alter((&by, id), &user, &password)).await)?.map(Ok)
    }

    async fn rehearse(&mut self, _user: &str, _model: &str) -> Result<Likeness, SessionError> {
        in_session(self.call("rehearse", |_| Ok(())).await)
    }

    async fn create(&mut self, user: &str, password: &SecretString) -> Result<(), SessionError> {
        let (by, id, user, password) = (self.user.clone(), self.id, user.to_owned(), password.clone());
        let effect = move |state: &mut State| match state.roles.contains_key(&user) {
            true => Err(SessionError::Reported("42710".into())),
            false => state.alter((&by, id), &user, &password),
        };
        in_session(self.call("create", effect).await)?
    }

    async fn dismiss(&mut self, user: &str) -> Result<(), SessionError> {
        let (id, user) = (self.id, user.to_owned());
        in_session(self.call("dismiss", move |state| state.dismiss(&user, id)).await)
    }

    async fn unlock(&mut self) {
        let id = self.id;
        self.call("unlock", move |state| state.locks.retain(|_, holder| *holder != id)).await;
    }

    async fn close(mut self) {
        let id = self.id;
        self.call("close", move |state| state.end(id)).await;
    }
}

/// A repair of the secret.
pub(crate) fn order(intent: Intent) -> Order {
    Order { secret: SecretId::try_from(ARN).unwrap(), intent, failed: None, rehearse: false }
}

fn admins() -> AdminSecrets {
    [ADMIN_ARN.to_owned()].into_iter().collect()
}

fn value(kind: Kind, user: &str, password: &str) -> DatabaseCredentials {
    let admin = if kind == Kind::SingleUser { String::new() } else { format!(r#","masterarn":"{ADMIN_ARN}""#) };
    let text = format!(
        r#"{{"engine":"postgres","host":"db.example.com","port":5432,"dbname":"app","username":"{user}","password":"{password}"{admin}}}"#
    );
    DatabaseCredentials::parse(text.into()).unwrap()
}

pub(crate) fn version(id: &str) -> VersionId {
    VersionId::try_from(id).unwrap()
}
