//! Reads: by whom, how many, from where, at which hour, of which version, and with what.

use super::{
    account::joint,
    case::{Case, network},
    order::{Purpose, digest, lasting},
    watchers,
};
use crate::audit::{
    baseline::{Baseline, Habit, Habits, MOST_NETWORKS, MOST_TOOLS, Network, hour, tool},
    finding::{Counted, Evidence, Finding, Kind},
    policy::{Burst, Policy},
};
use relatch_events::{
    cloudtrail::{
        identity::{ActorKind, Nature},
        target::{Target, TargetKind},
    },
    fact::{Access, Fact, Origin, Outcome, Read, Selection},
    join,
    moment::Moment,
};
use std::collections::HashMap;

const MINUTE: i64 = 60_000;

/// How far apart a decryption and its reason can be, in milliseconds: as in [`join`].
pub(super) const REASON: i64 = 60_000;

/// On how many earlier days a denied read must have been denied, to be nothing new.
const DENIED_DAYS: u32 = 2;

/// On how many earlier days a role must have read, so that it can be told at which hours it does.
const DAYS_OF_HOURS: u32 = 5;

/// On how many earlier days somebody must have read a secret, so that it can be told from where and with what they do.
const DAYS_OF_PLACES: u32 = 5;

/// For how long after a decryption of a secret or parameter was heard of, those of others would be.
const HEARD: i64 = 2 * 24 * 60 * MINUTE;

/// The setting that tells when a decryption was last heard of.
const DECRYPTIONS: &str = "decryptions";

pub(super) fn judge(case: &mut Case<'_>, access: &Access) {
    match (&case.fact.outcome, &access.read) {
        (Outcome::Denied(_), _) => denied(case),
        // A name that there is not, a call too many: nobody has learned anything.
        (Outcome::Failed(_), _) => {}
        (Outcome::Done, Read::Decrypt) => decrypted(case, access),
        (Outcome::Done, Read::Batch(selection)) => {
            // The records of its members may be missing.
            read(case, access);
            batch(case, selection);
        }
        (Outcome::Done, Read::Secret | Read::Parameters | Read::ParametersByPath { .. } | Read::ParameterHistory) => {
            read(case, access);
        }
    }
    if case.fact.actor.kind == ActorKind::Root && access.read != Read::Decrypt {
        case.raise_of_each(Kind::RootRead, &[]);
    }
}

/// What is known of principal and secret before a read of it is taken note of.
#[derive(Clone, Copy)]
struct Known {
    secret: u32,
    is_first: bool,
    is_habit: bool,
    days: u32,
    /// Whether this hour is one in which it was read before, or next to one.
    is_usual_hour: bool,
    is_new_network: bool,
    is_new_tool: bool,
    /// Whether it is read from few networks and with few programs, so that others mean something.
    is_settled: bool,
}

fn read(case: &mut Case<'_>, access: &Access) {
    let fact = case.fact;
    let is_trusted = case.is_trusted();
    let is_of_bulk = case.recent().bulk.as_ref().is_some_and(|batch| join::is_member(batch, fact));
    if is_of_bulk && !is_trusted {
        case.raise_of_each(Kind::BulkRead, &[]);
    }
    unnamed(case, access, is_trusted);
    for target in fact.secrets() {
        let known = known(case, target);
        let is_own = case.has_created(known.secret);
        if !is_trusted && !is_own {
            let from = case.found.len();
            elsewhere(case, target, known);
            unfamiliar(case, target, known);
            let strange = case.found.len();
            off_hours(case, target, known);
            stale(case, target, known.secret, access);
            if case.found.len() > from {
                explain(case, target, known, from);
            }
            if strange > from {
                together(case, from, is_trusted);
            }
        }
        let at = case.at;
        case.reader(known.secret).note(at, fact);
        case.unexplained.explained(&fact.actor.id, target, at);
        if !is_own {
            breadth(case, target, known.secret, is_trusted);
        }
    }
    if let Read::ParametersByPath { .. } = access.read {
        case.unexplained.explained_all(fact);
    }
    case.unexplained.heard(case.at);
}

fn known(case: &mut Case<'_>, target: &Target) -> Known {
    let (at, fact, learning) = (case.at, case.fact, case.policy.learning);
    let (secret, _) = case.meet(target);
    let reader = case.reader(secret);
    let is_first = reader.reads == 0;
    let hours = [hour(at) + 23, hour(at), hour(at) + 1].map(|hour| 1_u32 << (hour % 24));
    let network = match fact.origin {
        Some(Origin::Address(address)) => Some(Network::of(address)),
        Some(Origin::Aws(_) | Origin::Other(_)) | None => None,
    };
    let agent = fact.user_agent.as_deref().map(tool);
    let (is_habit, days) = (reader.is_habit(at, learning), reader.days.before(at));
    let (networks, tools) = (reader.networks.len(), reader.tools.len());
    let is_of_few = networks > 0 && networks < MOST_NETWORKS && networks * 3 <= days as usize + 3;
    Known {
        secret,
        is_first,
        is_habit,
        days,
        is_usual_hour: reader.hours & (hours[0] | hours[1] | hours[2]) != 0,
        is_new_network: !is_first && network.is_some_and(|network| !reader.networks.contains(&network)),
        is_new_tool: !is_first && agent.is_some_and(|agent| !reader.tools.contains(agent)),
        is_settled: is_habit && days >= DAYS_OF_PLACES && is_of_few && tools > 0 && tools < MOST_TOOLS,
    }
}

/// Stolen credentials are used from the thief's network with the thief's program. A network alone changes with a gateway,
/// a program with an upgrade; and whoever comes from anywhere, or with anything, has no place of their own.
fn elsewhere(case: &mut Case<'_>, target: &Target, known: Known) {
    let is_strange = known.is_settled && known.is_new_network && known.is_new_tool;
    if is_strange && case.is_news_of(Kind::UsualReaderElsewhere, known.secret) {
        case.raise_of(Kind::UsualReaderElsewhere, target, false);
    }
}

/// Principals that do what is not usual for them, all from one network, are one incident: from the first that makes them
/// many on.
fn together(case: &mut Case<'_>, from: usize, is_trusted: bool) {
    let (fact, at, burst) = (case.fact, case.at, case.policy.thresholds.shared_network);
    let (Some(joint), Some(network)) = (joint(fact), network(fact)) else { return };
    let is_strange = |finding: &Finding| matches!(finding.kind, Kind::NewReader | Kind::UsualReaderElsewhere);
    // What was strange in history is history.
    let are_any = case.purpose == Purpose::Judge && case.found[from..].iter().any(is_strange);
    if is_trusted || !are_any || fact.actor.id.is_empty() {
        return;
    }
    let number = case.baseline.meet_principal(&joint, at);
    let strangers = &mut case.baseline.principals[number].recent.strangers;
    let is_one_more = strangers.note(lasting(&[&fact.actor.id]), at, burst.within).is_some();
    let count = strangers.count(at, burst.within);
    if count < burst.count {
        return;
    }
    if is_one_more {
        let mut targets: Vec<Target> = case.found[from..].iter().flat_map(|finding| finding.targets.clone()).collect();
        targets.sort();
        targets.dedup();
        let finding = case.raise(Kind::ManyReadersFromOneNetwork, false);
        finding.targets = targets;
        let minutes = burst.within / MINUTE;
        finding.evidence.push(Evidence::SharedNetwork { count, network: network.to_string(), minutes });
    }
    for finding in &mut case.found[from..] {
        finding.key = format!("audit/{joint}");
    }
}

/// A value was handed out, and it is not told of what. What a path held, decryptions tell, where those are recorded.
fn unnamed(case: &mut Case<'_>, access: &Access, is_trusted: bool) {
    let (fact, at) = (case.fact, case.at);
    let is_told = match &access.read {
        // How it was selected is told, and judged by that.
        Read::Batch(Selection::Filtered(_) | Selection::Everything) => true,
        Read::ParametersByPath { .. } if fact.secrets().next().is_some() => {
            let heard = case.baseline.settings.get(DECRYPTIONS).map(|heard| heard.at);
            heard.is_some_and(|heard| at.since(heard).abs() <= HEARD)
        }
        Read::Secret
        | Read::Batch(_)
        | Read::Parameters
        | Read::ParametersByPath { .. }
        | Read::ParameterHistory
        | Read::Decrypt => fact.secrets().next().is_some(),
    };
    if is_told || fact.actor.id.is_empty() {
        return;
    }
    let habit = &mut case.habits().unnamed;
    habit.note(at, 1);
    let is_usual = habit.usual(at).is_some();
    if !is_trusted && !is_usual && case.is_news(Kind::UnnamedRead) {
        case.raise(Kind::UnnamedRead, false).evidence.push(Evidence::Unnamed);
    }
}

/// What is to be said of a read because principal and secret do not belong together, as far as is known.
fn unfamiliar(case: &mut Case<'_>, target: &Target, known: Known) {
    let (fact, policy, at) = (case.fact, case.policy, case.at);
    let secret = known.secret;
    let is_person = fact.actor.nature == Nature::Human;
    if known.is_first && !is_rotating(case, secret) {
        let mut readers = case.secret(secret).readers.iter().map(|(_, reader)| reader);
        let are_known = readers.clone().any(|reader| reader.is_habit(at, policy.learning));
        let is_worst = is_person && readers.all(|reader| !reader.person);
        if are_known && case.is_news_of(Kind::NewReader, secret) {
            let finding = case.raise_of(Kind::NewReader, target, is_worst);
            finding.evidence.extend(is_worst.then_some(Evidence::OnlyPrograms));
        }
    }
    if known.is_habit {
        return;
    }
    let is_without_people = case.secret(secret).standing.as_ref().is_some_and(|standing| standing.is_without_people);
    if let Some(evidence) = environments(case, secret)
        && case.is_news_of(Kind::CrossEnvironmentRead, secret)
    {
        case.raise_of(Kind::CrossEnvironmentRead, target, false).evidence.push(evidence);
    }
    if let (Some(principal), Some(account)) = (&fact.actor.account, target.account.as_ref().or(fact.account.as_ref()))
        && principal != account
        && !policy.trusted.accounts.contains(principal)
        && case.is_news_of(Kind::CrossAccountRead, secret)
    {
        let evidence = Evidence::Accounts { principal: principal.clone(), target: account.clone() };
        case.raise_of(Kind::CrossAccountRead, target, false).evidence.push(evidence);
    }
    let is_root = fact.actor.kind == ActorKind::Root;
    if is_person && !is_root && is_without_people && case.is_news_of(Kind::HumanRead, secret) {
        case.raise_of(Kind::HumanRead, target, false).evidence.push(Evidence::Person);
    }
}

/// That principal and secret belong to different environments, if both are known to belong to any.
fn environments(case: &Case<'_>, secret: u32) -> Option<Evidence> {
    let of_secret = case.baseline.secrets[secret].standing.as_ref()?.environment.as_deref()?;
    let of_principal = case.baseline.principals[case.who].recent.standing.as_ref()?.environment.as_deref()?;
    (of_principal != of_secret)
        .then(|| Evidence::Environments { principal: of_principal.to_owned(), secret: of_secret.to_owned() })
}

/// A person works by day, and so does a role that always did. Of other programs nothing is known.
fn off_hours(case: &mut Case<'_>, target: &Target, known: Known) {
    let (fact, at) = (case.fact, case.at);
    let Some(working_hours) = &case.policy.working_hours else { return };
    let has_hours = match fact.actor.nature {
        Nature::Human => !(known.is_habit && known.is_usual_hour),
        Nature::Unknown => known.is_habit && known.days >= DAYS_OF_HOURS && !known.is_usual_hour,
        Nature::Machine => false,
    };
    if has_hours
        && let Some(time) = working_hours.outside(at)
        && case.is_news_of(Kind::OffHoursRead, known.secret)
    {
        case.raise_of(Kind::OffHoursRead, target, false).evidence.push(Evidence::LocalTime(time));
    }
}

/// A version that is not current any more, long after the rotation.
fn stale(case: &mut Case<'_>, target: &Target, secret: u32, access: &Access) {
    let (at, after) = (case.at, case.policy.thresholds.stale_after);
    let Some(rotation) = case.secret(secret).rotation() else { return };
    let Some(current) = &rotation.current else { return };
    let is_previous = access.stage.as_deref() == Some("AWSPREVIOUS");
    let version = match &access.version {
        Some(version) if *version != current.value => version.to_string(),
        None if is_previous => "AWSPREVIOUS".to_owned(),
        Some(_) | None => return,
    };
    let minutes = at.since(current.at) / MINUTE;
    let is_rotating = rotation.is_rotating(None, at);
    if at.since(current.at) < after || is_rotating || !case.is_news_of(Kind::StaleReader, secret) {
        return;
    }
    case.raise_of(Kind::StaleReader, target, false).evidence.push(Evidence::OldVersion { version, minutes });
}

/// What is known beside, for whoever has to find out.
fn explain(case: &mut Case<'_>, target: &Target, known: Known, from: usize) {
    let fact = case.fact;
    let usual = case.usual_readers(target);
    for finding in &mut case.found[from..] {
        if finding.kind != Kind::StaleReader {
            finding.evidence.push(usual.clone());
        }
        if let (true, Some(Origin::Address(address))) = (known.is_new_network, &fact.origin) {
            finding.evidence.push(Evidence::NewNetwork(Network::of(*address).to_string()));
        }
        if let (true, Some(agent)) = (known.is_new_tool, &fact.user_agent) {
            finding.evidence.push(Evidence::NewTool(tool(agent).to_owned()));
        }
    }
}

/// Many secrets, parameters or regions in a short time.
fn breadth(case: &mut Case<'_>, target: &Target, secret: u32, is_trusted: bool) {
    let (at, thresholds) = (case.at, case.policy.thresholds);
    if case.fact.actor.id.is_empty() {
        return;
    }
    match target.kind {
        TargetKind::Secret => {
            let burst = thresholds.read_burst;
            if let Some(count) = case.recent().reads.note(secret, at, burst.within) {
                let told = Breadth { kind: Kind::ReadBurst, of: Counted::Secrets, burst, count, is_trusted };
                let things = |case: &mut Case<'_>| case.recent().reads.things(at, burst.within).collect();
                told.tell(case, |habits| &mut habits.bursts, things, Some(secret));
                slowly(case, secret, count, is_trusted);
            }
        }
        TargetKind::Parameter => parameters(case, secret, is_trusted),
        TargetKind::Key
        | TargetKind::Instance
        | TargetKind::Cluster
        | TargetKind::Trail
        | TargetKind::Rule
        | TargetKind::Function
        | TargetKind::Mapping
        | TargetKind::Topic
        | TargetKind::Queue
        | TargetKind::Alarm
        | TargetKind::Table
        | TargetKind::Bucket
        | TargetKind::Role
        | TargetKind::LogGroup
        | TargetKind::Schedule => {}
    }
    let burst = thresholds.multi_region_read;
    if let Some(region) = &case.fact.region
        && let Some(count) = case.recent().regions.note(lasting(&[region]), at, burst.within)
    {
        let told = Breadth { kind: Kind::MultiRegionRead, of: Counted::Regions, burst, count, is_trusted };
        told.tell(case, |habits| &mut habits.regions, |_| Vec::new(), None);
    }
}

/// As many, but over hours.
fn slowly(case: &mut Case<'_>, secret: u32, in_burst: usize, is_trusted: bool) {
    let (at, thresholds) = (case.at, case.policy.thresholds);
    let burst = thresholds.read_breadth;
    let count = case.recent().reads.count(at, burst.within);
    if count < burst.count {
        return;
    }
    if in_burst >= thresholds.read_burst.count {
        // That it is a burst is told.
        case.habits().breadth.note(at, count);
        return;
    }
    let told = Breadth { kind: Kind::ReadBurst, of: Counted::Secrets, burst, count, is_trusted };
    let things = |case: &mut Case<'_>| case.recent().reads.things(at, burst.within).collect();
    told.tell(case, |habits| &mut habits.breadth, things, Some(secret));
}

fn parameters(case: &mut Case<'_>, parameter: u32, is_trusted: bool) {
    let (at, burst) = (case.at, case.policy.thresholds.parameter_decrypt_burst);
    if let Some(count) = case.recent().parameters.note(parameter, at, burst.within) {
        let told = Breadth { kind: Kind::ParameterDecryptBurst, of: Counted::Parameters, burst, count, is_trusted };
        let things = |case: &mut Case<'_>| case.recent().parameters.things(at, burst.within).collect();
        told.tell(case, |habits| &mut habits.parameters, things, Some(parameter));
    }
}

/// Something new in a window.
pub(super) struct Breadth {
    pub(super) kind: Kind,
    pub(super) of: Counted,
    pub(super) burst: Burst,
    pub(super) count: usize,
    pub(super) is_trusted: bool,
}

impl Breadth {
    /// Tells of a burst that is none of the principal's habits: at first of all that is in it, then of what is added.
    pub(super) fn tell(
        self,
        case: &mut Case<'_>,
        habit: impl FnOnce(&mut Habits) -> &mut Habit,
        things: impl FnOnce(&mut Case<'_>) -> Vec<u32>,
        latest: Option<u32>,
    ) {
        let is_worst = self.count >= self.burst.count.saturating_mul(5);
        self.tell_worse(case, habit, things, latest, is_worst);
    }

    /// The same, where something else tells whether it is at its worst.
    pub(super) fn tell_worse(
        self,
        case: &mut Case<'_>,
        habit: impl FnOnce(&mut Habits) -> &mut Habit,
        things: impl FnOnce(&mut Case<'_>) -> Vec<u32>,
        latest: Option<u32>,
        is_worst: bool,
    ) {
        let Self { kind, of, burst, count, is_trusted } = self;
        if count < burst.count {
            return;
        }
        let at = case.at;
        let habit = habit(case.habits());
        habit.note(at, count);
        let (is_usual, usual, days) = (habit.covers(at, count), habit.usual(at), habit.days_before(at));
        if is_trusted || is_usual {
            return;
        }
        // By then it may be told for the first time to those who act on what is gravest only: so it is told whole.
        let becomes_worst = is_worst && count == burst.count.saturating_mul(5);
        let numbers = match (case.is_news(kind) || becomes_worst, latest) {
            (true, _) => things(case),
            (false, Some(latest)) => vec![latest],
            // Nothing can be added to what was told.
            (false, None) => return,
        };
        let mut targets: Vec<Target> =
            numbers.iter().map(|number| case.baseline.secrets.name(*number).clone()).collect();
        targets.sort();
        let finding = case.raise(kind, is_worst);
        if !targets.is_empty() {
            finding.targets = targets;
        }
        finding.evidence.push(Evidence::Count { count, of, minutes: burst.within / MINUTE, usual });
        finding.evidence.push(Evidence::EarlierDays(days));
    }
}

/// The members of a batch are recorded one by one, as reads; the batch itself tells how they were chosen.
fn batch(case: &mut Case<'_>, selection: &Selection) {
    case.unexplained.explained_all(case.fact);
    case.unexplained.heard(case.at);
    let is_trusted = case.is_trusted();
    if let Selection::Filtered(filters) = selection {
        filtered(case, filters, is_trusted);
    }
    if *selection != Selection::Everything || is_trusted {
        return;
    }
    if case.is_news(Kind::BulkRead) {
        case.raise(Kind::BulkRead, false);
    }
    let batch = case.fact.clone();
    case.recent().bulk = Some(Box::new(batch));
}

/// Whoever asks letter after letter has everything in the end.
fn filtered(case: &mut Case<'_>, filters: &[String], is_trusted: bool) {
    let (at, burst) = (case.at, case.policy.thresholds.filter_burst);
    for filter in filters {
        let (key, values) = filter.split_once('=').unwrap_or(("", filter));
        for value in values.split(',') {
            if let Some(count) = case.recent().filters.note(lasting(&[key, value]), at, burst.within) {
                let told = Breadth { kind: Kind::BulkRead, of: Counted::Filters, burst, count, is_trusted };
                told.tell(case, |habits| &mut habits.filters, |_| Vec::new(), None);
            }
        }
    }
}

fn denied(case: &mut Case<'_>) {
    let (fact, at) = (case.fact, case.at);
    if case.is_trusted() {
        return;
    }
    if fact.secrets().next().is_none() && case.is_news(Kind::DeniedRead) {
        case.raise(Kind::DeniedRead, false);
    }
    for target in fact.secrets() {
        let (secret, _) = case.meet(target);
        let reader = case.reader(secret);
        reader.denied.note(at);
        let days = reader.denied.before(at);
        if days >= DENIED_DAYS {
            continue;
        }
        if case.is_news_of(Kind::DeniedRead, secret) {
            let usual = case.usual_readers(target);
            case.raise_of(Kind::DeniedRead, target, false).evidence.push(usual);
        }
        let burst = case.policy.thresholds.denied_burst;
        if let Some(count) = case.recent().denied.note(secret, at, burst.within) {
            let told = Breadth { kind: Kind::DeniedBurst, of: Counted::DeniedSecrets, burst, count, is_trusted: false };
            let things = |case: &mut Case<'_>| case.recent().denied.things(at, burst.within).collect();
            told.tell(case, |habits| &mut habits.denied_reads, things, Some(secret));
        }
    }
}

fn decrypted(case: &mut Case<'_>, access: &Access) {
    let (fact, at) = (case.fact, case.at);
    let is_trusted = case.is_trusted();
    let heard = case.baseline.settings.get(DECRYPTIONS).map(|heard| heard.at);
    if heard.is_none_or(|heard| at.since(heard) >= HEARD / 2) {
        case.baseline.note_setting(DECRYPTIONS.to_owned(), at, "");
    }
    for target in fact.secrets() {
        let (secret, _) = case.meet(target);
        if target.kind == TargetKind::Parameter && !fact.actor.id.is_empty() {
            parameters(case, secret, is_trusted);
        }
        if is_trusted {
            continue;
        }
        let reader = case.reader(secret);
        let is_explained = reader.reason.is_some_and(|reason| at.since(reason).abs() <= REASON);
        stale(case, target, secret, access);
        if !is_explained && join::needs_reason(fact) && !case.unexplained.is_waiting(&fact.actor.id, target) {
            let severity = Kind::UnseenRead.page().severity(case.is_production(), false);
            let mut finding = Finding::of(Kind::UnseenRead, severity, fact);
            finding.evidence.push(case.usual_readers(target));
            case.unexplained.wait(target, at, fact, finding);
        }
    }
}

fn is_rotating(case: &mut Case<'_>, secret: u32) -> bool {
    let (fact, at) = (case.fact, case.at);
    let Some(rotation) = case.secret(secret).rotation() else { return false };
    // A function's session has the function's name.
    let function = rotation.function.as_ref().and_then(|function| function.value.rsplit(':').next());
    rotation.is_rotating(None, at)
        && function.is_some()
        && fact.actor.session.as_deref() == function
        && fact.actor.nature == Nature::Machine
}

/// Decryptions that nothing explains yet, of each principal and secret the first.
#[derive(Debug, Default)]
pub(super) struct Unexplained {
    waiting: HashMap<u64, (Moment, Fact, Finding)>,
    /// Reads that do not name what they read.
    nameless: Vec<Fact>,
    /// When the first of those that wait happened, at the earliest.
    earliest: Option<Moment>,
    /// Until when reads have been heard of.
    heard: Option<Moment>,
}

/// How many decryptions wait at most, and how many reads are kept that explain unnamed ones.
const MOST_WAITING: usize = 10_000;
const MOST_NAMELESS: usize = 200;

impl Unexplained {
    fn is_waiting(&self, principal: &str, target: &Target) -> bool {
        !self.waiting.is_empty() && self.waiting.contains_key(&key(principal, target))
    }

    fn wait(&mut self, target: &Target, at: Moment, fact: &Fact, finding: Finding) {
        if self.nameless.iter().any(|reason| join::explains(reason, fact)) || self.waiting.len() >= MOST_WAITING {
            return;
        }
        self.waiting.entry(key(&fact.actor.id, target)).or_insert_with(|| (at, fact.clone(), finding));
        self.earliest = Some(self.earliest.map_or(at, |earliest| earliest.min(at)));
    }

    /// Takes note that a principal did something that explains decryptions of a secret.
    pub(super) fn explained(&mut self, principal: &str, target: &Target, at: Moment) {
        if self.waiting.is_empty() {
            return;
        }
        let key = key(principal, target);
        if self.waiting.get(&key).is_some_and(|(decrypted, ..)| at.since(*decrypted).abs() <= REASON) {
            self.waiting.remove(&key);
        }
    }

    /// Takes note of what may explain decryptions of any secret.
    pub(super) fn explained_all(&mut self, reason: &Fact) {
        self.waiting.retain(|_, (_, decrypt, _)| !join::explains(reason, decrypt));
        let is_same = |known: &&mut Fact| {
            (&known.actor.id, &known.region, &known.what) == (&reason.actor.id, &reason.region, &reason.what)
                && known.targets == reason.targets
        };
        if let Some(known) = self.nameless.iter_mut().find(is_same) {
            known.at = known.at.max(reason.at);
            return;
        }
        if self.nameless.len() >= MOST_NAMELESS {
            self.nameless.remove(0);
        }
        self.nameless.push(reason.clone());
    }

    pub(super) fn heard(&mut self, until: Moment) {
        self.heard = self.heard.max(Some(until));
    }

    /// Those that nothing will explain any more: reads have been heard of long enough after them.
    pub(super) fn due(&mut self, now: Moment, baseline: &Baseline, policy: &Policy, found: &mut Vec<Finding>) {
        let until = self.heard.map(|heard| heard.min(now));
        let is_due = |at: Moment| until.is_some_and(|until| until.since(at) >= policy.thresholds.unseen_after);
        if !self.earliest.is_some_and(is_due) {
            return;
        }
        let mut due: Vec<Finding> =
            self.waiting.extract_if(|_, (at, ..)| is_due(*at)).map(|(_, (.., finding))| finding).collect();
        let blindness = watchers::blindness(baseline, policy);
        let is_blind = |at: Option<Moment>| blindness.as_ref().zip(at).is_some_and(|(blind, at)| blind.contains(&at));
        due.retain(|finding| !is_blind(finding.at));
        due.sort_by(|one, other| (one.at, &one.events).cmp(&(other.at, &other.events)));
        found.append(&mut due);
        self.earliest = self.waiting.values().map(|(at, ..)| *at).min();
    }
}

fn key(principal: &str, target: &Target) -> u64 {
    digest(&(principal, target))
}
