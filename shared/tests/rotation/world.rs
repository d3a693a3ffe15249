//! Secrets Manager, PostgreSQL and RDS in memory. Every call is numbered, and a fault can be planned for each.
//!
//! After every call the world looks at itself, and a panic names the calls that led to what should never be.

use relatch::{
    config::Environment,
    ports::{
        Attempt, CallError, CallErrorKind, Database, Description, Door, Label, Lock, Login, Pending, Ports, Refusal,
        Role, Secrets, Server, ServerState, Servers, Session, SessionError, Silence, Staged, Surroundings, Version,
        Which,
    },
    rotation::{
        Reason, Rotation, RotationError, Settings,
        plan::Promote,
        strategy::{Strategy, StrategyChoice},
    },
    secret::{DatabaseCredentials, PasswordPolicy},
    telemetry::Metrics,
};
use relatch_events::{
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
const ADMIN_ARN: &str = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:admin-GhIjKl";
/// The version that is rotated in.
pub(crate) const TOKEN: &str = "v2";
/// What an invocation has; a freeze is longer.
const TIME: Duration = Duration::from_secs(60);

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
}

pub(crate) struct State {
    secret: Secret,
    /// The secret before its last change.
    before: Secret,
    admin: DatabaseCredentials,
    roles: BTreeMap<String, String>,
    sessions: BTreeSet<u32>,
    locks: BTreeMap<String, u32>,
    restricted: bool,
    alternates: bool,
    labels_moved_by_hand: bool,
    stale: bool,
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
        secret.versions.insert(version("v1"), Some(value(kind, "app", "one")));
        secret.labels.extend([(Label::Current, version("v1")), (Label::Pending, version("v1"))]);
        let mut roles =
            BTreeMap::from([("admin".to_owned(), "admin".to_owned()), ("app".to_owned(), "one".to_owned())]);
        if kind != Kind::FirstAlternation {
            secret.versions.insert(version("v0"), Some(value(kind, former, "zero")));
            secret.labels.insert(Label::Previous, version("v0"));
            roles.entry(former.to_owned()).or_insert("zero".to_owned());
        }
        let state = State {
            before: secret.clone(),
            secret,
            admin: value(Kind::SingleUser, "admin", "admin"),
            roles,
            sessions: BTreeSet::new(),
            locks: BTreeMap::new(),
            restricted: kind == Kind::ThroughAdmin,
            alternates: kind.alternates(),
            labels_moved_by_hand: false,
            stale: false,
            mood: None,
            story: Vec::new(),
            logins: Vec::new(),
        };
        Self { state: Rc::new(RefCell::new(state)), script: Rc::default(), kind, promote }
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
    pub(crate) fn by_hand(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.borrow_mut());
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
            ports: Ports { secrets: self.clone(), database: self.clone(), servers: self.clone() },
            settings: Settings {
                promote: self.promote,
                strategy: match self.kind {
                    Kind::ThroughAdmin => StrategyChoice::Always(Strategy::SingleUser),
                    Kind::SingleUser | Kind::AlternatingUsers | Kind::FirstAlternation => StrategyChoice::Auto,
                },
                passwords: PasswordPolicy::from_settings(|_| None).unwrap(),
                patience: Duration::from_secs(3),
            },
            metrics: Metrics { namespace: "Relatch".to_owned(), environment: Environment::Dev },
        };
        let death = poll_fn(|_| if self.script.borrow().dead { Poll::Ready(()) } else { Poll::Pending });
        let end = tokio::select! {
            biased;
            outcome = rotation.step(&event, Instant::now() + TIME) => outcome.map_or_else(End::Failed, End::Done),
            () = death => End::Died,
        };
        if let Some(frozen) = self.script.borrow_mut().frozen.take() {
            assert_eq!(self.portrait(), frozen, "changed after the deadline\n{}", self.story());
        }
        self.script.borrow_mut().dead = false;
        let late = std::mem::take(&mut self.script.borrow_mut().late);
        for effect in late {
            self.act(effect);
        }
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
    /// What must be true at every moment.
    fn look(&self) {
        let labels = [Label::Current, Label::Pending, Label::Previous];
        // Where somebody else has moved labels, some version that is still there has to do.
        let is_known = labels.iter().any(|label| self.opens(*label)) || self.labels_moved_by_hand;
        assert!(is_known, "no labelled version opens\n{}", self.story());
        assert!(!self.alternates || self.opens(Label::Current), "AWSCURRENT does not open\n{}", self.story());
        for (role, password) in self.roles.iter().filter(|(role, _)| *role != "admin") {
            assert!(!self.holders(role, password).is_empty(), "nobody knows {role}'s password\n{}", self.story());
        }
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
    pub(crate) fn put_by_hand(&mut self, id: &str, password: &str, labels: &[Label]) {
        let current = self.secret.holder(Label::Current).unwrap();
        let next = current.with_login(&current.username, password.to_owned().into());
        self.change_secret(|secret| secret.put(id, Some(next), labels));
        self.labels_moved_by_hand = true;
    }

    pub(crate) fn set_password_by_hand(&mut self, role: &str, password: &str) {
        self.roles.insert(role.to_owned(), password.to_owned());
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
        self.change_secret(|secret| {
            secret.labels.extend([(Label::Current, to.clone()), (Label::Previous, from.clone())]);
        });
        Ok(())
    }

    fn log_in(&mut self, value: &DatabaseCredentials, probe: bool) -> (Login, Option<u32>) {
        assert_eq!(value.host, "db.example.com", "a password was sent to a stranger\n{}", self.story());
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
        self.sessions.extend(session);
        (login, session)
    }

    fn lock(&mut self, arn: &str, session: u32) -> Lock {
        match self.locks.get(arn) {
            Some(holder) if *holder != session => Lock::Busy,
            // Too late: the session has ended meanwhile.
            None if !self.sessions.contains(&session) => Lock::Lost,
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

    fn role(&self, name: &str) -> Option<Role> {
        let role = Role { can_log_in: true, expired: false, sessions_left: None, iam: false, alterable: true };
        self.roles.contains_key(name).then_some(role)
    }

    fn alter(&mut self, by: &str, user: &str, password: &SecretString) -> Result<(), SessionError> {
        if by != "admin" && (by != user || self.restricted) {
            return Err(SessionError::Reported("42501".into()));
        }
        self.roles.insert(user.to_owned(), password.expose_secret().to_owned());
        Ok(())
    }
}

impl Secret {
    fn holder(&self, label: Label) -> Option<&DatabaseCredentials> {
        self.labels.get(&label).and_then(|id| self.versions[id].as_ref())
    }

    fn put(&mut self, id: &str, value: Option<DatabaseCredentials>, labels: &[Label]) {
        self.versions.insert(version(id), value);
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
            Description { rotation_enabled: true, labels, ..Description::default() }
        });
        reply.await.of_aws("secretsmanager:DescribeSecret")
    }

    async fn read(&self, _: &SecretId, which: Which<'_>) -> Result<Option<Version>, CallError> {
        let (asked, label) = match which {
            Which::Labelled(label) => (None, label),
            Which::Exactly(id, label) => (Some(id.clone()), label),
            Which::Admin(arn) => {
                assert_eq!(arn, ADMIN_ARN);
                let text = |state: &mut State| Some(made(version("admin"), ADMIN_ARN, &state.admin));
                return self.call("read", text).await.of_aws("secretsmanager:GetSecretValue");
            }
        };
        let reply = self.call("read", move |state| {
            let id = state.secret().labels.get(&label).filter(|id| asked.is_none_or(|asked| asked == **id))?;
            Some(made(id.clone(), ARN, state.secret().versions.get(id)?.as_ref()?))
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

impl Servers for World {
    async fn find(&self, _: &DatabaseCredentials) -> Result<Server, CallError> {
        let unlisted =
            |_: &mut State| Server { state: ServerState::Unlisted, door: Door::default(), resource_id: None };
        self.call("find", unlisted).await.of_aws("rds:DescribeDBInstances")
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
        while taken(&self.world.state.borrow()) && Instant::now() < until {
            sleep(Duration::from_millis(50)).await;
        }
        match self.call("lock", move |state| state.lock(&arn, id)).await {
            Reply::Came(lock) => lock,
            Reply::Refused => Lock::Busy,
            Reply::Cut | Reply::Lost => Lock::Lost,
        }
    }

    async fn look(&mut self, user: &str, model: &str) -> Result<Surroundings, SessionError> {
        let (by, user, model) = (self.user.clone(), user.to_owned(), model.to_owned());
        in_session(
            self.call("look", move |state| Surroundings {
                in_recovery: false,
                restricted: state.restricted && by != "admin",
                user: state.role(&user),
                model: state.role(&model),
            })
            .await,
        )
    }

    async fn set_password(&mut self, user: &str, password: &SecretString) -> Result<(), SessionError> {
        let (by, user, password) = (self.user.clone(), user.to_owned(), password.clone());
        in_session(self.call("set password", move |state| state.alter(&by, &user, &password)).await)?
    }

    async fn provision(&mut self, user: &str, model: &str, password: &SecretString) -> Result<(), SessionError> {
        assert_ne!(user, "admin", "of {model}");
        let (by, user, password) = (self.user.clone(), user.to_owned(), password.clone());
        in_session(self.call("provision", move |state| state.alter(&by, &user, &password)).await)?
    }

    async fn close(mut self) {
        let id = self.id;
        self.call("close", move |state| state.end(id)).await;
    }
}

fn made(id: VersionId, arn: &str, value: &DatabaseCredentials) -> Version {
    Version { id, arn: arn.to_owned(), text: Some(value.text().clone()) }
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
