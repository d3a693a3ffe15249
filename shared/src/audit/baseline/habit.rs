//! Small memories of many events, in which the order of events leaves no trace.

use relatch_events::moment::Moment;
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, fmt, net::IpAddr};

const DAY: i64 = 24 * 3_600_000;

/// On which of the last 64 days something happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days {
    /// The latest, in days since 1970.
    latest: i64,
    /// A bit for each day, the latest first.
    bits: u64,
}

impl Days {
    /// Whether it never happened.
    pub const fn is_empty(&self) -> bool {
        self.bits == 0
    }

    /// Takes note that it happened then.
    pub fn note(&mut self, at: Moment) {
        let day = at.as_millis().div_euclid(DAY);
        if self.bits == 0 || day > self.latest {
            let shift = u32::try_from(day.saturating_sub(self.latest)).unwrap_or(u32::MAX);
            self.bits = self.bits.checked_shl(shift).unwrap_or(0) | 1;
            self.latest = day;
        } else if let Some(bit) = u32::try_from(self.latest - day).ok().and_then(|back| 1_u64.checked_shl(back)) {
            self.bits |= bit;
        }
    }

    /// Takes note of the days that another one knows.
    pub(super) fn merge(&mut self, other: Self) {
        let (late, early) = if self.latest < other.latest { (other, *self) } else { (*self, other) };
        match (self.is_empty(), other.is_empty()) {
            (_, true) => {}
            (true, false) => *self = other,
            (false, false) => {
                let back = u32::try_from(late.latest.saturating_sub(early.latest)).unwrap_or(u32::MAX);
                *self = Self { bits: late.bits | early.bits.checked_shl(back).unwrap_or(0), ..late };
            }
        }
    }

    /// On how many days before that one it happened.
    pub fn before(&self, at: Moment) -> u32 {
        let day = at.as_millis().div_euclid(DAY);
        let later = u32::try_from(self.latest.saturating_sub(day).saturating_add(1)).unwrap_or(0);
        self.bits.checked_shr(later).unwrap_or(0).count_ones()
    }

    /// On how many days it happened.
    pub const fn count(&self) -> u32 {
        self.bits.count_ones()
    }
}

/// Something a principal does on some days, and how much of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Habit {
    days: Days,
    /// The most on one of the days before the latest.
    most: usize,
    /// The most on the latest day.
    latest: usize,
}

/// On how many earlier days something must have been done, to be somebody's job.
const DAYS_OF_A_HABIT: u32 = 2;

impl Habit {
    /// Whether it was never done.
    pub const fn is_none(&self) -> bool {
        self.days.is_empty()
    }

    /// Takes note that it was done then, to that extent.
    pub fn note(&mut self, at: Moment, extent: usize) {
        let day = at.as_millis().div_euclid(DAY);
        if day > self.days.latest {
            self.most = self.most.max(self.latest);
            self.latest = extent;
        } else if day == self.days.latest {
            self.latest = self.latest.max(extent);
        } else {
            self.most = self.most.max(extent);
        }
        self.days.note(at);
    }

    /// Takes note of what another one knows.
    pub(super) fn merge(&mut self, other: &Self) {
        if self.is_none() || other.is_none() {
            if self.is_none() {
                *self = *other;
            }
            return;
        }
        let (late, early) = if self.days.latest < other.days.latest { (*other, *self) } else { (*self, *other) };
        let mut days = late.days;
        days.merge(early.days);
        *self = if late.days.latest == early.days.latest {
            Self { days, most: late.most.max(early.most), latest: late.latest.max(early.latest) }
        } else {
            Self { days, most: late.most.max(early.most).max(early.latest), latest: late.latest }
        };
    }

    /// On how many days before that one it was done.
    pub fn days_before(&self, at: Moment) -> u32 {
        self.days.before(at)
    }

    /// The most of it on any earlier day, if it is a habit.
    pub fn usual(&self, at: Moment) -> Option<usize> {
        (self.days.before(at) >= DAYS_OF_A_HABIT).then_some(self.most)
    }

    /// Whether so much of it is usual: it is a habit, and that is not more than twice the most until now.
    pub fn covers(&self, at: Moment, extent: usize) -> bool {
        self.usual(at).is_some_and(|usual| extent <= usual.saturating_mul(2))
    }
}

/// The `N` values that were seen last, of any number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Latest<T, const N: usize>(Vec<(T, Moment)>);

impl<T, const N: usize> Default for Latest<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord + Clone, const N: usize> Latest<T, N> {
    /// Takes note that a value was seen then.
    pub fn note(&mut self, value: &T, at: Moment) {
        self.note_with(value, at, T::clone);
    }

    /// The same, of a value that is made only if it is new.
    pub fn note_with<Q: ?Sized + Ord>(&mut self, value: &Q, at: Moment, make: impl FnOnce(&Q) -> T)
    where
        T: Borrow<Q>,
    {
        if let Some((_, last)) = self.0.iter_mut().find(|(known, _)| known.borrow() == value) {
            *last = (*last).max(at);
            return;
        }
        if self.0.len() >= N {
            let order = |one: &(T, Moment), other: &(T, Moment)| (one.1, &one.0).cmp(&(other.1, &other.0));
            let Some(index) = (0..self.0.len()).min_by(|one, other| order(&self.0[*one], &self.0[*other])) else {
                return;
            };
            let (oldest, last) = &self.0[index];
            if (*last, oldest.borrow()) > (at, value) {
                return;
            }
            self.0.swap_remove(index);
        }
        self.0.push((make(value), at));
    }

    /// Takes note of the values that another one knows.
    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(value, at)| self.note(value, *at));
        self.sort();
    }

    /// Whether a value is among them.
    pub fn contains<Q: ?Sized + Ord>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.iter().any(|(known, _)| known.borrow() == value)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn sort(&mut self) {
        self.0.sort();
    }
}

/// A network of addresses: a /24 of version 4, a /48 of version 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Network {
    /// Version 4.
    #[serde(rename = "4")]
    V4([u8; 3]),
    /// Version 6.
    #[serde(rename = "6")]
    V6([u16; 3]),
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4([a, b, c]) => write!(f, "{a}.{b}.{c}.0/24"),
            Self::V6([a, b, c]) => write!(f, "{a:x}:{b:x}:{c:x}::/48"),
        }
    }
}

impl Network {
    /// The network of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                Self::V6([a, b, c])
            }
        }
    }
}

/// What was last true, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// Since when.
    #[serde(rename = "a")]
    pub at: Moment,
    /// What.
    #[serde(rename = "v")]
    pub value: T,
}

impl<T: Ord> Stamped<T> {
    /// Takes note of what was true then, unless something later is known.
    pub fn note(slot: &mut Option<Self>, at: Moment, value: T) {
        if slot.as_ref().is_none_or(|known| (known.at, &known.value) <= (at, &value)) {
            *slot = Some(Self { at, value });
        }
    }

    /// Takes note of what another one knows.
    pub(super) fn merge(slot: &mut Option<Self>, other: Option<Self>) {
        if let Some(Self { at, value }) = other {
            Self::note(slot, at, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Moment {
        Moment::from_millis(day * DAY + 5)
    }

    #[test]
    fn days_are_the_same_in_whichever_order_they_come() {
        let (mut one, mut other) = (Days::default(), Days::default());
        [100, 101, 99, 30, 163].into_iter().for_each(|number| one.note(day(number)));
        [163, 30, 99, 101, 100].into_iter().for_each(|number| other.note(day(number)));
        assert_eq!(one, other);
        // The 30th and the 99th are more than 63 days before the 163rd.
        assert_eq!((one.count(), one.before(day(163)), one.before(day(101)), one.before(day(200))), (3, 2, 1, 3));
    }

    #[test]
    fn a_habit_is_what_was_done_on_two_earlier_days_and_no_more_than_twice_as_much() {
        let mut habit = Habit::default();
        habit.note(day(1), 30);
        habit.note(day(2), 20);
        assert_eq!(habit.usual(day(2)), None);
        habit.note(day(3), 500);
        assert_eq!(habit.usual(day(3)), Some(30));
        assert!(habit.covers(day(3), 60) && !habit.covers(day(3), 61));
    }

    #[test]
    fn what_two_have_seen_together_is_what_one_would_know() {
        let seen = [(3, 30), (5, 7), (5, 9), (1, 50), (70, 4), (71, 1)];
        for sides in 0..1 << seen.len() {
            let (mut whole, mut halves) = (Habit::default(), [Habit::default(); 2]);
            for (index, (number, extent)) in seen.into_iter().enumerate() {
                whole.note(day(number), extent);
                halves[sides >> index & 1].note(day(number), extent);
            }
            let [mut one, mut other] = halves;
            one.merge(&halves[1]);
            other.merge(&halves[0]);
            assert_eq!((one, other), (whole, whole), "{sides:b}");
        }
    }

    #[test]
    fn the_latest_values_are_the_same_in_whichever_order_they_come() {
        let seen = [(1, 10), (2, 20), (3, 5), (1, 30), (4, 25)];
        let mut kept: Vec<Latest<i32, 2>> = Vec::new();
        for shift in 0..seen.len() {
            let mut latest = Latest::default();
            for index in 0..seen.len() {
                let (value, at) = seen[(index + shift) % seen.len()];
                latest.note(&value, Moment::from_millis(at));
            }
            latest.sort();
            kept.push(latest);
        }
        assert!(kept.iter().all(|latest| *latest == kept[0] && latest.contains(&1) && latest.contains(&4)));
    }
}
