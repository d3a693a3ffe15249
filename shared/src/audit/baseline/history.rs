//! What is known of a part, when history is read that happened before or beside.
//!
//! Times, days, hours, networks, tools, windows, the last state of a rotation: of two sides that have learned a part of
//! the events each, the two together know what one would know that has learned all of them. Except:
//!
//! * **how often somebody has read** is the sum only where one side ends before the other begins. Where they overlap they
//!   may have seen the same events, and it is the greater number. So history that is learned twice counts once. Nothing
//!   is judged by that number but who is named first among those who usually read;
//! * **a burst of which each side has seen a half** is none;
//! * **a secret that was deleted and created anew** in between has the rotation of both, and the creator that is kept;
//! * **what was told** is what is kept: of history nobody is told.

use super::{
    BadBaseline, Habits, MOST_OF_ONE, Part, Principal, Reader, RotationHabit, Stamped,
    part::{KeptGeneral, KeptPrincipal, KeptReader, KeptSecret},
};
use crate::audit::judge::Told;
use serde::{Serialize, de::DeserializeOwned};
use std::{borrow::Cow, cmp::Reverse, collections::BTreeMap, mem};

impl Part {
    /// What is known of this part by what is `kept` of it and by history that was `learned`, both as
    /// [`Baseline::part`](super::Baseline::part) writes them; so is the answer.
    ///
    /// # Errors
    /// When one of them is something else.
    pub fn with_history(&self, kept: Option<&str>, learned: &str) -> Result<String, BadBaseline> {
        match self {
            Self::General => together::<KeptGeneral<'static>>(kept, learned),
            Self::Principal(_) => together::<KeptPrincipal<'static>>(kept, learned),
            Self::Secret(_) => together::<KeptSecret<'static>>(kept, learned),
        }
    }
}

fn together<K: Known + Serialize + DeserializeOwned>(kept: Option<&str>, learned: &str) -> Result<String, BadBaseline> {
    let mut learned: K = serde_json::from_str(learned)?;
    learned.untold();
    let known = match kept {
        None => learned,
        Some(kept) => {
            let mut known: K = serde_json::from_str(kept)?;
            known.learn(learned);
            known
        }
    };
    Ok(serde_json::to_string(&known)?)
}

/// What is known of a part.
trait Known {
    /// Nobody was told anything of it.
    fn untold(&mut self);

    /// Takes history in.
    fn learn(&mut self, history: Self);
}

impl Known for KeptGeneral<'static> {
    fn untold(&mut self) {}

    fn learn(&mut self, history: Self) {
        self.keys.to_mut().extend(history.keys.into_owned());
        let settings = self.settings.to_mut();
        for (name, setting) in history.settings.into_owned() {
            let mut slot = settings.remove(&name);
            Stamped::merge(&mut slot, Some(setting));
            settings.extend(slot.map(|slot| (name, slot)));
        }
    }
}

impl Known for KeptPrincipal<'static> {
    fn untold(&mut self) {
        self.recent.untold();
    }

    fn learn(&mut self, history: Self) {
        let Principal { first, last, habits, recent: _ } = history.principal.into_owned();
        let principal = self.principal.to_mut();
        principal.first = principal.first.min(first);
        principal.last = principal.last.max(last);
        principal.habits.merge(&habits);
        self.recent.merge(history.recent);
    }
}

impl Known for KeptSecret<'static> {
    fn untold(&mut self) {
        self.readers.iter_mut().for_each(|reader| reader.told = Told::NOTHING);
    }

    fn learn(&mut self, history: Self) {
        let Self { first, last, creator, rotation, birth, policy, readers } = history;
        self.first = self.first.min(first);
        self.last = self.last.max(last);
        self.creator = self.creator.take().or(creator);
        self.birth = self.birth.or(birth);
        let mut known = self.policy.take().map(Cow::into_owned);
        Stamped::merge(&mut known, policy.map(Cow::into_owned));
        self.policy = known.map(Cow::Owned);
        match (&mut self.rotation, rotation) {
            (Some(known), Some(other)) => known.to_mut().merge(other.into_owned()),
            (known @ None, other) => *known = other,
            (Some(_), None) => {}
        }
        let known = mem::take(&mut self.readers).into_iter();
        let mut all: BTreeMap<_, _> = known.map(|reader| (reader.name.clone(), reader)).collect();
        for KeptReader { name, reader, reason, told } in readers {
            match all.get_mut(&name) {
                Some(known) => {
                    known.reader.to_mut().merge(&reader);
                    known.reason = known.reason.max(reason);
                }
                None => drop(all.insert(name.clone(), KeptReader { name, reader, reason, told })),
            }
        }
        self.readers = all.into_values().collect();
        // Whoever has not read for longest makes room.
        self.readers.sort_by_key(|reader| Reverse(reader.reader.last));
        self.readers.truncate(MOST_OF_ONE);
        self.readers.sort_by(|one, other| one.name.cmp(&other.name));
    }
}

impl Habits {
    fn merge(&mut self, other: &Self) {
        let Self {
            bursts,
            parameters,
            deletions,
            denied_reads,
            denials,
            regions,
            grants,
            breadth,
            filters,
            writes,
            unnamed,
        } = other;
        self.bursts.merge(bursts);
        self.parameters.merge(parameters);
        self.deletions.merge(deletions);
        self.denied_reads.merge(denied_reads);
        self.denials.merge(denials);
        self.regions.merge(regions);
        self.grants.merge(grants);
        self.breadth.merge(breadth);
        self.filters.merge(filters);
        self.writes.merge(writes);
        self.unnamed.merge(unnamed);
    }
}

impl RotationHabit {
    fn merge(&mut self, other: Self) {
        let Self { function, every, token, ended, succeeded, current, told: _ } = other;
        Stamped::merge(&mut self.function, function);
        Stamped::merge(&mut self.every, every);
        Stamped::merge(&mut self.token, token);
        Stamped::merge(&mut self.ended, ended);
        Stamped::merge(&mut self.current, current);
        self.succeeded = self.succeeded.max(succeeded);
    }
}

impl Reader {
    fn merge(&mut self, other: &Self) {
        let Self { first, last, reads, days, denied, written, hours, person, networks, tools, reason: _, told: _ } =
            other;
        // Of whoever was only denied, there is neither first nor last.
        let is_apart = self.last < *first || *last < self.first;
        self.reads = if is_apart { self.reads.saturating_add(*reads) } else { self.reads.max(*reads) };
        self.first = [self.first, *first].into_iter().flatten().min();
        self.last = self.last.max(*last);
        self.days.merge(*days);
        self.denied.merge(*denied);
        self.written.merge(*written);
        self.hours |= hours;
        self.person |= person;
        self.networks.merge(networks);
        self.tools.merge(tools);
    }
}
