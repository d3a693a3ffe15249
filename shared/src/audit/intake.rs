//! From facts to ledger and alerts.
//!
//! What was written down before is passed over; the rest is judged beside what is kept of those whom it is about; people
//! are told; what is known of them is kept; and last, it is written down. Whoever is interrupted anywhere in between has
//! written nothing down, so that all of it is done again: people are told once all the same, since an alert that says
//! nothing new is not told, and what is known of somebody hardly changes by hearing the same twice.

use super::{
    baseline::{Baseline, Part},
    finding::{Finding, Kind},
    flood::{self, Flood},
    incident::incidents,
    judge::Judge,
    ledger::{Noted, event_id},
    operation::Operation,
    policy::{self, CurrentPolicy, Policy},
    spoils::Spoils,
};
use crate::{
    alert::{Alerts, findings},
    containment::ask::Asking,
    ports::{Baselines, Bus, CallError, CallErrorKind, Ledger, Operations, Register, Requests, Topic},
};
use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use relatch_events::fact::Fact;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::sleep;
use tracing::{error, info, warn};

/// How long to wait before each attempt to keep what is known now: others may have learned something meanwhile.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1_000),
];

/// How many parts are kept at the same time.
const ABREAST: usize = 16;

/// Where facts are taken in.
#[derive(Debug, Clone)]
pub struct Intake<L, T, P, B> {
    /// What is written down, and what is normal by habit.
    pub ledger: L,
    /// Who is told.
    pub alerts: Alerts<T, P>,
    /// What is normal by decision.
    pub policy: CurrentPolicy,
    /// How long lines of the access log are kept.
    pub kept: SignedDuration,
    /// Who asks for incidents to be contained.
    pub asking: Asking<B>,
    /// How many refused calls were taken in lately.
    pub flood: Arc<Mutex<Flood>>,
}

/// What became of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// They were judged, and are written down where that is to be.
    pub recorded: u64,
    /// They do not matter.
    pub ignored: u64,
    /// They had been written down before, or came twice at once.
    pub duplicate: u64,
    /// They could not be read.
    pub malformed: u64,
    /// They were refused, and more than are [taken in](Flood) of one principal.
    pub flooded: u64,
}

impl Tally {
    /// How many there were.
    pub const fn all(&self) -> u64 {
        self.recorded + self.ignored + self.duplicate + self.malformed + self.flooded
    }
}

impl<L: Ledger + Baselines + Operations + Requests, T: Register, P: Topic, B: Bus> Intake<L, T, P, B> {
    /// Takes facts in, which may come in any order and more than once, and counts what became of them.
    ///
    /// # Errors
    /// When a call failed. Nothing is lost if the same facts are taken in again.
    pub async fn take(&self, facts: Vec<Fact>, tally: &mut Tally) -> Result<(), CallError> {
        let policy = self.policy.get(Timestamp::now(), &self.alerts.metrics).await;
        let handed_over = facts.len();
        let facts = self.admitted(facts, &policy);
        let all = facts.len();
        tally.flooded += (handed_over - all) as u64;
        let (news, noted) = self.news(facts).await?;
        let found = self.judge(&news, &policy).await?;
        self.write_down(noted).await?;
        found.iter().for_each(|finding| self.alerts.metrics.finding(finding));
        tally.recorded += news.len() as u64;
        tally.duplicate += (all - news.len()) as u64;
        Ok(())
    }

    /// All but those refused calls that say nothing new. Whoever touches a decoy is always heard of.
    fn admitted(&self, facts: Vec<Fact>, policy: &Policy) -> Vec<Fact> {
        let mut flood = self.flood.lock().unwrap_or_else(PoisonError::into_inner);
        let is_decoy = |fact: &Fact| fact.targets.iter().any(|target| policy::any(&policy.decoys.names, &target.name));
        let (admitted, flooded): (Vec<Fact>, Vec<Fact>) =
            facts.into_iter().partition(|fact| is_decoy(fact) || flood.admits(fact));
        if let Some(fact) = flooded.first() {
            let (count, most) = (flooded.len(), flood::MOST);
            warn!(
                audit.principal = fact.actor.id,
                "Refused calls are only counted beyond {most} a minute of one principal: {count} here"
            );
        }
        admitted
    }

    /// Those that are not written down yet, each once; and what is to be written down of them.
    async fn news(&self, mut facts: Vec<Fact>) -> Result<(Vec<Fact>, Vec<Noted>), CallError> {
        let mut ids = HashSet::new();
        facts.retain(|fact| ids.insert(event_id(fact)));
        let noted: Vec<Noted> = facts.iter().filter_map(Noted::of).collect();
        let known = self.ledger.known(self.alerts.metrics.environment, &noted).await?;
        let (known, news): (Vec<_>, Vec<_>) = noted.into_iter().zip(known).partition(|(_, known)| *known);
        let known: HashSet<&str> = known.iter().map(|(noted, _)| noted.entry().event.as_str()).collect();
        facts.retain(|fact| !known.contains(event_id(fact).as_str()));
        Ok((facts, news.into_iter().map(|(noted, _)| noted).collect()))
    }

    /// Judges facts, tells what is found, and keeps what is known by then. Where somebody else has kept something of the
    /// same secrets or principals meanwhile, they are judged again beside that: a burst may be in both parts.
    async fn judge(&self, facts: &[Fact], policy: &Arc<Policy>) -> Result<Vec<Finding>, CallError> {
        let environment = self.alerts.metrics.environment;
        let parts: Vec<Part> = Part::needed_for(facts).into_iter().collect();
        let own: BTreeSet<Operation> = facts.iter().filter_map(Operation::of).collect();
        let announced = self.ledger.announced(&own.into_iter().collect::<Vec<_>>()).await?;
        let mut all: Vec<Finding> = Vec::new();
        for pause in PAUSES {
            if facts.is_empty() {
                return Ok(all);
            }
            // A pause of no length would be one until the clock's next tick.
            if !pause.is_zero() {
                sleep(pause).await;
            }
            let kept = self.ledger.parts(environment, &parts).await?;
            let mut baseline = Baseline::default();
            for (part, kept) in parts.iter().zip(&kept) {
                if let Some(Err(problem)) = kept.text.as_ref().map(|text| baseline.take_part(part, text)) {
                    error!(baseline.part = %part, error = %problem, "What is known cannot be read; it begins anew");
                }
            }
            let spoils = parts.iter().filter_map(|part| match part {
                Part::Principal(id) => Some((id.clone(), baseline.spoils(id)?.clone())),
                Part::General | Part::Secret(_) => None,
            });
            let spoils: HashMap<String, Spoils> = spoils.collect();
            // They wait for each other, so that they are judged in the order in which they happened.
            let (mut judge, mut found) = (Judge::knowing(policy.clone(), baseline).waiting(i64::MAX), Vec::new());
            announced.iter().cloned().for_each(|announcement| judge.announce(announcement));
            for fact in facts {
                judge.take(Box::new(fact.clone()), &mut found);
            }
            judge.settle(&mut found);
            // That nothing explains a decryption can be told only by whoever sees all that could.
            found.retain(|finding| finding.kind != Kind::UnseenRead);
            self.tell(&found, facts, &spoils, policy.thresholds.incident_gap).await?;
            let is_same = |one: &Finding, other: &Finding| {
                (one.kind, &one.key, &one.events, &one.targets)
                    == (other.kind, &other.key, &other.events, &other.targets)
            };
            found.retain(|new| !all.iter().any(|known| is_same(known, new)));
            all.append(&mut found);
            let mut changed = Vec::new();
            for (part, kept) in parts.iter().zip(&kept) {
                let text = judge.baseline().part(part).map_err(|_| unkept(CallErrorKind::Refused, "it is no JSON"))?;
                let Some(text) = text.filter(|text| Some(text) != kept.text.as_ref()) else { continue };
                if text.len() > Part::LARGEST {
                    error!(baseline.part = %part, "Too much is known to be kept; what was known before stays");
                    self.alerts.metrics.baseline_unkept();
                    continue;
                }
                changed.push((part, text, kept.revision));
            }
            // What was told of a secret is not found again. So it is not kept before what its reader is to be contained for.
            let of_secrets = changed.partition_point(|(part, ..)| !matches!(part, Part::Secret(_)));
            let (first, then) = changed.split_at(of_secrets);
            if self.keep(first).await? && self.keep(then).await? {
                return Ok(all);
            }
            info!("Others have learned something meanwhile; the facts are judged again");
        }
        Err(unkept(CallErrorKind::Throttled, "others always came first"))
    }

    /// Keeps parts, and tells whether nobody else has kept any of them meanwhile.
    async fn keep(&self, parts: &[(&Part, String, u64)]) -> Result<bool, CallError> {
        let environment = self.alerts.metrics.environment;
        let mut is_kept = true;
        for abreast in parts.chunks(ABREAST) {
            let keep =
                abreast.iter().map(|(part, text, revision)| self.ledger.keep_part(environment, part, text, *revision));
            is_kept &= try_join_all(keep).await?.into_iter().all(|is_kept| is_kept);
        }
        Ok(is_kept)
    }

    /// Tells people, and asks for what is critical to be contained, by what was known of each principal's spoils before.
    async fn tell(
        &self,
        found: &[Finding],
        facts: &[Fact],
        spoils: &HashMap<String, Spoils>,
        gap: i64,
    ) -> Result<(), CallError> {
        let told = found.iter().filter(|finding| finding.is_told()).cloned().collect();
        for incident in incidents(told, gap) {
            let alert = findings::of_incident(&incident, self.alerts.metrics.environment, self.alerts.language);
            self.alerts.join(&alert, Timestamp::now(), SignedDuration::from_millis(gap)).await?;
            let spoils = incident
                .lead()
                .and_then(|lead| spoils.get(&lead.principal))
                .filter(|spoils| incident.span().is_none_or(|(from, until)| spoils.is_near(from, until, gap)));
            let environment = self.alerts.metrics.environment;
            self.asking.about(&incident, facts, spoils, gap, environment, &self.ledger).await?;
        }
        Ok(())
    }

    async fn write_down(&self, noted: Vec<Noted>) -> Result<(), CallError> {
        let environment = self.alerts.metrics.environment;
        let (mut accesses, mut changes) = (Vec::new(), Vec::new());
        for noted in noted {
            match noted {
                Noted::Access(entry) => accesses.push(entry),
                Noted::Change(entry) => changes.push(entry),
            }
        }
        self.ledger.record_accesses(environment, &accesses, self.kept).await?;
        self.ledger.append(environment, &changes).await.map(drop)
    }
}

fn unkept(kind: CallErrorKind, why: &str) -> CallError {
    CallError { operation: "relatch:KeepBaseline", kind, message: why.to_owned() }
}
