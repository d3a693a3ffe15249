//! When people work.

use jiff::{
    Timestamp,
    civil::{Time, Weekday},
    tz::TimeZone,
};
use relatch_events::moment::Moment;

/// When people work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingHours {
    /// Where they are.
    pub zone: TimeZone,
    /// On which days.
    pub days: Vec<Weekday>,
    /// From when on.
    pub from: Time,
    /// Until when; when that is earlier, on the next day.
    pub to: Time,
}

impl WorkingHours {
    /// The local time of a moment that is outside of them, as `Sat 03:12`; nothing where it is inside.
    pub fn outside(&self, at: Moment) -> Option<String> {
        let local = Timestamp::from_millisecond(at.as_millis()).ok()?.to_zoned(self.zone.clone());
        let (time, day) = (local.time(), local.weekday());
        let works = |day: Weekday| self.days.contains(&day);
        let is_inside = if self.from <= self.to {
            works(day) && self.from <= time && time < self.to
        } else {
            works(day) && self.from <= time || works(day.previous()) && time < self.to
        };
        (!is_inside).then(|| local.strftime("%a %H:%M").to_string())
    }
}

/// Reads `mon-fri`, or days by a comma.
pub(super) fn days(text: &str) -> Option<Vec<Weekday>> {
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (weekday(first.trim())?, weekday(last.trim())?);
        days.push(day);
        while day != last {
            day = day.next();
            days.push(day);
        }
    }
    Some(days)
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text.to_ascii_lowercase().as_str() {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}
