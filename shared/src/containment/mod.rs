//! Containment: the opt-in response to a critical incident. Whoever did it may not read the secrets any more, and what was
//! read becomes worthless.
//!
//! `audit` only [asks](ask) for it, in the table; `respond` does it, by its own settings, and sees to it that it stays so.
//! Read in this order:
//!
//! * [`ask`]: which incident leads to which request, and why.
//! * [`mod@plan`]: what to do next about one secret, and why. Pure.
//! * [`policy`]: a secret's policy with our statements in it, and without them again. Pure.
//! * [`principal`]: who can be denied, and who never is.
//! * [`report`]: what people are told.
//! * this file: how a fact is learned, how an action is done.

pub mod ask;
pub mod plan;
pub mod policy;
pub mod principal;
pub mod report;

pub use principal::{Exempt, Principal, Spared};
pub use relatch_events::containment::{Containment, Exposed, Measure, RequestId, WakeUp};

use crate::{
    audit::operation::Act,
    config::Environment,
    ports::{Asked, CallError, CallErrorKind, Containments, Denied, Description, Gate, Label, Rotating, Table},
};
use futures_util::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use plan::{Action, Began, Denial, Door, Ending, Facts, Labels, Look, Obstacle, Plan, Put, Rotation, Standing, plan};
use policy::Merged;
use relatch_events::{
    cloudtrail::target::{Place, Target},
    secret::SecretId,
};
use report::{Case, Report};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

/// How many secrets are contained at the same time.
const ABREAST: usize = 8;

/// How long to wait before it is looked at again whether a policy has taken effect.
const PAUSE: Duration = Duration::from_millis(300);

/// The longest that is waited for a policy to take effect.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many looks and actions one secret takes at most: more than [`PATIENCE`] has room for.
const MOST_STEPS: usize = 500;

/// For how long a request is of use. What is older has been done, or people have been told why not.
pub const STALE: SignedDuration = SignedDuration::from_hours(6);

/// What the settings allow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Which measures (`RELATCH_RESPOND`); none unless it is asked for.
    pub measures: BTreeSet<Measure>,
    /// Whom nothing is ever denied (`RELATCH_NEVER_DENY` and `RELATCH_OWN_ROLES`).
    pub exempt: Exempt,
}

/// Who contains incidents.
#[derive(Debug, Clone)]
pub struct Containing<'a, S, T> {
    /// Secrets Manager.
    pub secrets: &'a S,
    /// What is paused.
    pub table: &'a T,
    /// What the settings allow.
    pub settings: &'a Settings,
}

impl<S: Gate, T: Table> Containing<'_, S, T> {
    /// Does what is asked for as far as the settings allow it, for every secret by itself, and says what has come of each.
    /// Asked twice, it finds everything done. `is_overdue` is what was asked for [long ago](plan::OVERDUE).
    pub async fn run(
        &self,
        asked: &Containment,
        is_overdue: bool,
        is_ours: impl Fn(&Description) -> bool + Copy,
        deadline: Instant,
    ) -> Report {
        let principal = Principal::of(&asked.principal);
        let is_asked = |measure| asked.measures.contains(&measure) && self.settings.measures.contains(&measure);
        let spared = match &principal {
            Ok(principal) if self.settings.exempt.covers(principal) => Some(Spared::Never),
            Ok(_) => None,
            Err(spared) => Some(*spared),
        };
        let cases = asked.secrets.iter().map(|exposed| async {
            // Of its own: others may have been waited for before.
            let late = deadline.min(Instant::now() + PATIENCE);
            let facts = Facts {
                deny: is_asked(Measure::Deny),
                rotate: is_asked(Measure::Rotate),
                spared,
                read: exposed.read,
                versions: exposed.versions.clone(),
                is_overdue,
                ..Facts::default()
            };
            let (of, principal) = (self, principal.as_ref().ok());
            let mut attempt = Attempt { of, exposed, arn: None, principal, facts, is_recorded: false, late };
            let ending = attempt.run(is_ours).await;
            let secret = attempt.arn.map_or_else(|| exposed.secret.to_string(), |arn| arn.to_string());
            info!(
                secret.id = secret,
                containment.principal = asked.principal,
                containment.denial = ending.denial.name(),
                containment.rotation = ending.rotation.name(),
                "Containment of {secret}: denial {}, rotation {}",
                ending.denial.name(),
                ending.rotation.name()
            );
            Case { secret, ending }
        });
        Report { asked: asked.clone(), cases: stream::iter(cases).buffered(ABREAST).collect().await }
    }
}

/// What has come of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Nothing is done, and why.
    Nothing(Idle),
    /// What could be done.
    Report(Report),
}

/// Why nothing is done about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Idle {
    /// Nobody has written down such a request.
    Unknown,
    /// All of it is done.
    Finished,
    /// It is older than [`STALE`].
    Stale,
    /// The settings allow nothing of it.
    NotAllowed,
    /// A person has released all of it since.
    Released,
}

impl Idle {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Finished => "done-already",
            Self::Stale => "too-old",
            Self::NotAllowed => "not-allowed",
            Self::Released => "released",
        }
    }
}

/// What has come of looking whether denials still stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Those that were gone.
    pub lost: Vec<Lost>,
    /// The ARNs of the secrets whose policies could not be read.
    pub unseen: Vec<String>,
}

/// A denial that was gone from its secret's policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// What was denied whom.
    pub denial: Denied,
    /// What has come of putting it back.
    pub case: Case,
}

impl<S: Gate, T: Table + Containments> Containing<'_, S, T> {
    /// Does what was asked for, once. What is said to be asked for is believed only so far as it is written down.
    ///
    /// # Errors
    /// When the table cannot be reached.
    pub async fn answer(
        &self,
        environment: Environment,
        id: &RequestId,
        now: Timestamp,
        is_ours: impl Fn(&Description) -> bool + Copy,
        deadline: Instant,
    ) -> Result<Answer, CallError> {
        let idle = |why: Idle| {
            warn!(containment.request = id.as_str(), containment.reason = why.name(), "Nothing is contained");
            Ok(Answer::Nothing(why))
        };
        let Some(Asked { mut containment, at, is_finished }) = self.table.request(environment, id).await? else {
            return idle(Idle::Unknown);
        };
        if is_finished {
            return idle(Idle::Finished);
        }
        if now.duration_since(at) > STALE {
            return idle(Idle::Stale);
        }
        if !containment.measures.iter().any(|measure| self.settings.measures.contains(measure)) {
            return idle(Idle::NotAllowed);
        }
        let known = self.table.denials(environment).await?;
        let is_released = |exposed: &Exposed| {
            let mut of_principal = known.iter().filter(|denial| denial.principal == containment.principal);
            of_principal.any(|denial| {
                let is_it = denial.secret.strip_prefix(exposed.secret.as_str()).is_some_and(is_end);
                is_it && denial.released.is_some_and(|released| released > at)
            })
        };
        let (released, wanted): (Vec<_>, Vec<_>) = containment.secrets.drain(..).partition(is_released);
        if wanted.is_empty() && !released.is_empty() {
            return idle(Idle::Released);
        }
        containment.secrets = wanted;
        let is_overdue = now.duration_since(at) > plan::OVERDUE;
        let report = self.run(&containment, is_overdue, is_ours, deadline).await;
        for case in report.cases.iter().filter(|case| case.ending.denial == Denial::Proved) {
            let denial = Denied {
                secret: case.secret.clone(),
                principal: containment.principal.clone(),
                incident_gap: containment.incident_gap,
                released: None,
            };
            self.table.record_denial(environment, &denial).await?;
        }
        Ok(Answer::Report(report))
    }

    /// Puts back every denial that is gone and that nobody has released: a deployment or a person has put another policy in
    /// the place of the one with it.
    ///
    /// # Errors
    /// When the table cannot be reached.
    pub async fn restore(
        &self,
        environment: Environment,
        is_ours: impl Fn(&Description) -> bool + Copy,
        deadline: Instant,
    ) -> Result<Kept, CallError> {
        let mut kept = Kept::default();
        if !self.settings.measures.contains(&Measure::Deny) {
            return Ok(kept);
        }
        let mut by_secret: BTreeMap<String, Vec<Denied>> = BTreeMap::new();
        for denial in self.table.denials(environment).await? {
            if denial.released.is_none() {
                by_secret.entry(denial.secret.clone()).or_default().push(denial);
            }
        }
        let looks = stream::iter(by_secret).map(|(secret, denials)| self.gone(secret, denials));
        let (mut gone, mut looks) = (Vec::new(), looks.buffered(ABREAST));
        while let Some(look) = looks.next().await {
            match look {
                Ok(denials) => gone.extend(denials),
                Err(secret) => kept.unseen.push(secret),
            }
        }
        for denial in gone {
            let Some(secret) = denial.secret.len().checked_sub(7).and_then(|end| denial.secret.get(..end)) else {
                continue;
            };
            let Ok(secret) = SecretId::try_from(secret) else { continue };
            let again = Containment {
                environment: environment.name().to_owned(),
                incident: String::new(),
                incident_gap: denial.incident_gap,
                principal: denial.principal.clone(),
                measures: vec![Measure::Deny],
                secrets: vec![Exposed { secret, read: None, versions: Vec::new() }],
                findings: Vec::new(),
                events: Vec::new(),
            };
            let report = self.run(&again, false, is_ours, deadline).await;
            kept.lost.extend(report.cases.into_iter().map(|case| Lost { denial: denial.clone(), case }));
        }
        Ok(kept)
    }

    /// Which of the denials of a secret its policy does not hold any more; of a secret that is gone, none. Or its ARN, where
    /// that cannot be seen.
    async fn gone(&self, secret: String, denials: Vec<Denied>) -> Result<Vec<Denied>, String> {
        let Ok(id) = SecretId::try_from(secret.as_str()) else { return Ok(Vec::new()) };
        let present = match self.secrets.policy(&id).await {
            Ok(present) => present,
            Err(problem) if problem.kind == CallErrorKind::NotFound => return Ok(Vec::new()),
            Err(problem) => {
                warn!(error = %problem, secret.id = secret, "Whether a denial still holds cannot be seen");
                // Refused: it is scheduled for deletion, and nobody reads it. Denied: somebody else rotates it now.
                let is_nobodys = matches!(problem.kind, CallErrorKind::Refused | CallErrorKind::Denied);
                return if is_nobodys { Ok(Vec::new()) } else { Err(secret) };
            }
        };
        let holds = |denial: &Denied| {
            Principal::of(&denial.principal).is_ok_and(|principal| policy::denies(present.as_deref(), &principal))
        };
        Ok(denials.into_iter().filter(|denial| !holds(denial)).collect())
    }
}

/// Whether this is the end that Secrets Manager adds to a secret's name.
fn is_end(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|end| end.len() == 6 && end.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// One secret, and what has been learned of it.
struct Attempt<'a, S, T> {
    of: &'a Containing<'a, S, T>,
    exposed: &'a Exposed,
    /// Its full ARN.
    arn: Option<SecretId>,
    principal: Option<&'a Principal>,
    facts: Facts,
    /// Whether the audit will know the probe. It outlasts all that is waited for.
    is_recorded: bool,
    late: Instant,
}

impl<S: Gate, T: Table> Attempt<'_, S, T> {
    async fn run(&mut self, is_ours: impl Fn(&Description) -> bool) -> Ending {
        for _ in 0..MOST_STEPS {
            self.facts.is_late = Instant::now() >= self.late;
            let problem = match plan(&self.facts) {
                Plan::Look(look) => self.observe(look, &is_ours).await,
                Plan::Act(action) => self.carry_out(action).await,
                Plan::End(ending) => return ending,
            };
            if let Err(problem) = problem {
                error!(error = %problem, secret.id = %self.exposed.secret, "Containment was interrupted");
                return self.interrupted();
            }
        }
        error!(secret.id = %self.exposed.secret, "Containment came to no end in {MOST_STEPS} steps");
        self.interrupted()
    }

    /// What was seen before a call failed counts; the rest is to be asked for again.
    fn interrupted(&self) -> Ending {
        let Facts { deny, shut, .. } = &self.facts;
        let denial = match (deny, *shut >= plan::PROOFS) {
            (false, _) => Denial::NotAsked,
            (true, true) => Denial::Proved,
            (true, false) => Denial::Failed(Obstacle::Interrupted),
        };
        let rotation = match (denial, plan::wants_rotation(&self.facts)) {
            (_, false) => Rotation::NotAsked,
            (Denial::Failed(_), true) => Rotation::HeldBack,
            (Denial::NotAsked | Denial::Proved, true) => Rotation::Failed(Obstacle::Interrupted),
        };
        Ending { denial, rotation }
    }

    async fn observe(&mut self, look: Look, is_ours: &impl Fn(&Description) -> bool) -> Result<(), CallError> {
        match look {
            Look::Secret => self.facts.secret = Some(self.standing(is_ours).await?),
            Look::Policy => {
                if self.facts.put.is_some() {
                    sleep(PAUSE).await;
                }
                self.facts.door = self.door().await?;
            }
            Look::Effect => {
                let Some(Door::Closed(label)) = self.facts.door.clone() else { return Ok(()) };
                if !self.is_recorded
                    && let Some(target) = Target::secret(self.arn().as_str(), Place::default())
                {
                    self.is_recorded = Act::Probed { label: label.clone() }.record(&target, self.of.table).await;
                }
                let is_shut = self.of.secrets.is_denied(self.arn(), &label).await?;
                self.facts.shut = if is_shut { self.facts.shut + 1 } else { 0 };
                if !is_shut {
                    sleep(PAUSE).await;
                    // Others may have been denied meanwhile, and then it is another label.
                    self.facts.door = self.door().await?;
                    self.is_recorded &= self.facts.door == Some(Door::Closed(label));
                }
            }
            Look::Labels => {
                let known = self.of.secrets.describe(self.arn()).await?;
                let current = known.holder(Label::Current).cloned();
                let pending = known.holder(Label::Pending).filter(|id| Some(*id) != current.as_ref()).cloned();
                self.facts.labels = Some(Labels { current, pending });
            }
            Look::Age => {
                let versions = self.of.secrets.versions(self.arn()).await?;
                let current = self.facts.labels.as_ref().and_then(|labels| labels.current.as_ref());
                let created = versions.iter().find(|version| Some(&version.id) == current).and_then(|v| v.created);
                // CloudTrail knows whole seconds.
                let is_newer = created
                    .zip(self.facts.read)
                    .is_some_and(|(created, read)| created.as_millisecond() >= read.as_millis().saturating_add(1000));
                self.facts.is_newer = Some(is_newer);
            }
        }
        Ok(())
    }

    /// How the policy stands now.
    async fn door(&self) -> Result<Option<Door>, CallError> {
        let present = self.of.secrets.policy(self.arn()).await?;
        let merged = self.principal.map(|principal| policy::merged(present.as_deref(), principal));
        Ok(merged.map(|merged| match merged {
            Ok(Merged::Holds { probe }) => Door::Closed(probe),
            Ok(Merged::Wanted(policy)) => Door::Open(policy),
            Err(why) => Door::Stuck(why),
        }))
    }

    async fn carry_out(&mut self, action: Action) -> Result<(), CallError> {
        match action {
            Action::Deny(policy) => {
                let objections = self.of.secrets.objections(self.arn(), &policy).await?;
                let put = match objections.is_empty() {
                    true => self.of.secrets.put_policy(self.arn(), &policy).await,
                    false => Err(CallError {
                        operation: "secretsmanager:ValidateResourcePolicy",
                        kind: CallErrorKind::Refused,
                        message: objections.join("; "),
                    }),
                };
                self.facts.put = Some(match put {
                    Ok(()) => Put::Taken,
                    Err(problem) if problem.kind == CallErrorKind::Refused => {
                        error!(error = %problem, secret.id = %self.exposed.secret, "The policy was refused");
                        Put::Refused
                    }
                    Err(problem) => return Err(problem),
                });
                // Whether it was taken is for the policy to say.
                self.facts.door = self.facts.door.take().filter(|_| self.facts.put == Some(Put::Refused));
            }
            Action::Rotate => {
                self.facts.began = Some(match self.of.secrets.rotate(self.arn()).await {
                    Ok(Rotating::Now) => Began::Now,
                    Ok(Rotating::Before) => Began::Before,
                    Err(problem) if problem.kind == CallErrorKind::Refused => {
                        error!(error = %problem, secret.id = %self.exposed.secret, "The rotation was refused");
                        Began::Refused
                    }
                    Err(problem) => return Err(problem),
                });
            }
        }
        Ok(())
    }

    /// How the secret stands. It is looked for by its name, since of an ARN without its end Secrets Manager may take the
    /// name's last word for that; what is found has to be the one that is meant.
    async fn standing(&mut self, is_ours: &impl Fn(&Description) -> bool) -> Result<Standing, CallError> {
        let untouchable = |why| Ok(Standing::Untouchable(why));
        let meant = self.exposed.secret.as_str();
        let name = meant.split_once(":secret:").map_or(meant, |(_, name)| name);
        let Ok(name) = SecretId::try_from(name) else { return untouchable(Obstacle::Missing) };
        let known = match self.of.secrets.describe(&name).await {
            Ok(known) => known,
            Err(problem) if problem.kind == CallErrorKind::NotFound => return untouchable(Obstacle::Missing),
            // The role may look at those alone that Relatch rotates; and asked again, it may look no further.
            Err(problem) if problem.kind == CallErrorKind::Denied => return untouchable(Obstacle::NotOurs),
            Err(problem) => return Err(problem),
        };
        let is_meant = |arn: &&String| arn.strip_prefix(meant).is_some_and(is_end);
        let arn = known.arn.as_ref().filter(is_meant).and_then(|arn| SecretId::try_from(arn.as_str()).ok());
        let Some(arn) = arn else { return untouchable(Obstacle::Elsewhere) };
        self.arn = Some(arn.clone());
        if known.owning_service.is_some() {
            return untouchable(Obstacle::Managed);
        }
        if !is_ours(&known) {
            return untouchable(Obstacle::NotOurs);
        }
        if known.deleted {
            return untouchable(Obstacle::Deleted);
        }
        let controls = self.of.table.controls(arn.as_str()).await?;
        if controls.paused.or(controls.everything_paused).is_some() {
            return untouchable(Obstacle::Paused);
        }
        let rotation = match (known.rotation_enabled, controls.stopped) {
            (false, _) => Some(Obstacle::RotationOff),
            (true, Some(_)) => Some(Obstacle::Stopped),
            (true, None) => None,
        };
        Ok(Standing::Contained { rotation })
    }

    fn arn(&self) -> &SecretId {
        self.arn.as_ref().unwrap_or(&self.exposed.secret)
    }
}

#[cfg(all(test, feature = "table"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        adapters::table::DynamoTable,
        ports::{Custody, Kept, Page, Pending, Secrets, Staged, Version, Which},
    };
    use relatch_events::secret::VersionId;
    use std::{collections::BTreeMap, sync::Mutex};

    /// A gate at which a policy takes effect long after it was put.
    #[derive(Default)]
    struct Slow(Mutex<BTreeMap<String, (String, Instant)>>);

    const SLOWNESS: Duration = Duration::from_secs(25);

    impl Secrets for Slow {
        async fn describe(&self, secret: &SecretId) -> Result<Description, CallError> {
            let arn = Some(format!("arn:aws:secretsmanager:eu-west-1:1:secret:{secret}-AbCdEf"));
            Ok(Description { arn, rotation_enabled: true, ..Description::default() })
        }

        async fn read(&self, _: &SecretId, _: Which<'_>) -> Result<Option<Version>, CallError> {
            unreachable!("no value is read")
        }

        async fn stage(&self, _: &SecretId, _: Pending<'_>) -> Result<Staged, CallError> {
            unreachable!("no value is written")
        }

        async fn promote(&self, _: &SecretId, _: &VersionId, _: &VersionId) -> Result<(), CallError> {
            unreachable!("no label is moved")
        }
    }

    impl Custody for Slow {
        async fn versions(&self, _: &SecretId) -> Result<Vec<Kept>, CallError> {
            unreachable!("nothing is to be rotated")
        }

        async fn unstage(&self, _: &SecretId, _: &VersionId) -> Result<(), CallError> {
            unreachable!("no label is moved")
        }

        async fn list(&self, _: Option<&str>) -> Result<Page, CallError> {
            unreachable!("they are named")
        }
    }

    impl Gate for Slow {
        async fn policy(&self, secret: &SecretId) -> Result<Option<String>, CallError> {
            Ok(self.0.lock().unwrap().get(secret.as_str()).map(|(policy, _)| policy.clone()))
        }

        async fn objections(&self, _: &SecretId, _: &str) -> Result<Vec<String>, CallError> {
            Ok(Vec::new())
        }

        async fn put_policy(&self, secret: &SecretId, policy: &str) -> Result<(), CallError> {
            let put = (policy.to_owned(), Instant::now());
            self.0.lock().unwrap().insert(secret.as_str().to_owned(), put);
            Ok(())
        }

        async fn delete_policy(&self, _: &SecretId) -> Result<(), CallError> {
            unreachable!("that is for people")
        }

        async fn is_denied(&self, secret: &SecretId, _: &str) -> Result<bool, CallError> {
            Ok(self.0.lock().unwrap().get(secret.as_str()).is_some_and(|(_, put)| put.elapsed() >= SLOWNESS))
        }

        async fn rotate(&self, _: &SecretId) -> Result<Rotating, CallError> {
            unreachable!("nothing is to be rotated")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_secret_is_waited_for_as_long_as_the_first() {
        let exposed = |n: usize| Exposed {
            secret: SecretId::try_from(format!("arn:aws:secretsmanager:eu-west-1:1:secret:s{n}")).unwrap(),
            read: None,
            versions: Vec::new(),
        };
        let asked = Containment {
            environment: "dev".to_owned(),
            incident: "audit/x".to_owned(),
            incident_gap: 3_600_000,
            principal: "arn:aws:iam::123456789012:role/report".to_owned(),
            measures: vec![Measure::Deny],
            secrets: (0..3 * ABREAST).map(exposed).collect(),
            findings: Vec::new(),
            events: Vec::new(),
        };
        let settings = Settings { measures: [Measure::Deny].into(), exempt: Exempt::default() };
        let gate = Slow::default();
        let containing = Containing { secrets: &gate, table: &None::<DynamoTable>, settings: &settings };
        let report = containing.run(&asked, false, |_| true, Instant::now() + Duration::from_secs(300)).await;
        assert!(report.cases.iter().all(|case| case.ending.denial == Denial::Proved), "{:#?}", report.cases);
    }
}
