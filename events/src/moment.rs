//! A point in time, as AWS writes it.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. What CloudTrail knows is a whole second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(i64);

impl Moment {
    /// The moment that is so many milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Milliseconds from an earlier moment to this one; negative when it is a later one.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Reads `2026-01-31T12:34:56Z` (RFC 3339), which is what CloudTrail writes; with a fraction of a second (of which
    /// milliseconds are kept), with an offset, and with a space in place of the `T`. A text without an offset is taken
    /// for UTC: programs that keep CloudTrail's records elsewhere write them so, and CloudTrail knows no other zone.
    ///
    /// Nothing else is a moment, also no 30th of February.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (date_time, rest) = bytes.split_at_checked(19)?;
        let number = |from: usize, to: usize| {
            date_time[from..to].iter().try_fold(0_i64, |sum, byte| match byte {
                b'0'..=b'9' => Some(sum * 10 + i64::from(byte - b'0')),
                _ => None,
            })
        };
        let is_separated = date_time[4] == b'-'
            && date_time[7] == b'-'
            && matches!(date_time[10], b'T' | b't' | b' ')
            && date_time[13] == b':'
            && date_time[16] == b':';
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        // A leap second is the second after it.
        let is_valid = (1..=12).contains(&month)
            && (1..=days_of(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        if !is_separated || !is_valid {
            return None;
        }
        let (millis, rest) = fraction(rest)?;
        let offset = offset_minutes(rest)?;
        let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + (minute - offset) * 60 + second;
        Some(Self(seconds * 1_000 + millis))
    }

    /// Reads what a record says of its time, also where a program that keeps records elsewhere has written it anew: as
    /// [`Moment::parse`] reads it, without separators, with slashes, a comma, a zone's name or an offset without a colon,
    /// or as seconds, milli-, micro- or nanoseconds since 1970.
    pub fn told(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::parse(text).or_else(|| since_1970(text)).or_else(|| {
            let text = [" UTC", " GMT", "UTC", "GMT"].iter().find_map(|zone| text.strip_suffix(zone)).unwrap_or(text);
            let mut spaced = text.trim_end().replace('/', "-").replace(',', ".");
            if !spaced.is_ascii() {
                return None;
            }
            if let Some(at) = spaced.len().checked_sub(5)
                && spaced[at..].starts_with(['+', '-'])
                && spaced[at + 1..].bytes().all(|byte| byte.is_ascii_digit())
            {
                spaced.insert(at + 3, ':');
            }
            if spaced.find('T') == Some(8) && spaced.len() >= 15 {
                let (date, time) = (&spaced[..8], &spaced[9..]);
                spaced = format!(
                    "{}-{}-{}T{}:{}:{}",
                    &date[..4],
                    &date[4..6],
                    &date[6..],
                    &time[..2],
                    &time[2..4],
                    &time[4..]
                );
            }
            Self::parse(&spaced)
        })
    }
}

/// A number of seconds, milli-, micro- or nanoseconds, by its size: in seconds, the years 1973 to 5138.
fn since_1970(text: &str) -> Option<Moment> {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let number: f64 = text.parse().ok().filter(|_| is_number)?;
    let millis = match number {
        1e8..1e11 => number * 1e3,
        1e11..1e14 => number,
        1e14..1e17 => number / 1e3,
        1e17..1e20 => number / 1e6,
        _ => return None,
    };
    Some(Moment(millis as i64))
}

/// Milliseconds, and what follows the fraction.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = rest.split_first() else { return Some((0, rest)) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let digit = |index: usize| if index < length { i64::from(digits[index] - b'0') } else { 0 };
    Some((digit(0) * 100 + digit(1) * 10 + digit(2), &digits[length..]))
}

fn offset_minutes(rest: &[u8]) -> Option<i64> {
    match rest {
        [] | [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), digits @ ..] => {
            let [h1 @ b'0'..=b'2', h2 @ b'0'..=b'9', b':', m1 @ b'0'..=b'5', m2 @ b'0'..=b'9'] = digits else {
                return None;
            };
            let value = |tens: &u8, ones: &u8| i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
            let minutes = value(h1, h2) * 60 + value(m1, m2);
            if value(h1, h2) > 23 { None } else { Some(if *sign == b'-' { -minutes } else { minutes }) }
        }
        _ => None,
    }
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The Gregorian calendar's days, by eras of 400 years that begin in March, so that the leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_however_a_record_tells_it() {
        let nine = Some(1_709_629_201_000);
        for (text, millis) in [
            ("2024-03-05T09:00:01Z", nine),
            ("2024-03-05 09:00:01", nine),
            ("2024-03-05 09:00:01 UTC", nine),
            ("2024-03-05 09:00:01.000 UTC", nine),
            ("2024/03/05 09:00:01", nine),
            ("2024-03-05T18:00:01+0900", nine),
            ("20240305T090001Z", nine),
            ("2024-03-05 09:00:01,250", Some(1_709_629_201_250)),
            ("1709629201", nine),
            ("1709629201.25", Some(1_709_629_201_250)),
            ("1709629201000", nine),
            ("1709629201000000", nine),
            ("1709629201000000000", nine),
            ("20240305", None),
            ("17", None),
            ("-1709629201", None),
            ("inf", None),
            ("NaN", None),
            ("yesterday", None),
            ("äöü+09é", None),
            ("", None),
        ] {
            assert_eq!(Moment::told(text).map(Moment::as_millis), millis, "{text}");
        }
    }

    #[test]
    fn a_moment_is_read_in_each_way_it_is_written() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-01-31T12:34:56Z", Some(1_769_862_896_000)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199_000)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000)),
            ("1969-12-31T23:59:59Z", Some(-1_000)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000)),
            ("2026-01-31T12:34:56.7Z", Some(1_769_862_896_700)),
            ("2026-01-31T12:34:56.789123456Z", Some(1_769_862_896_789)),
            ("2026-01-31 12:34:56.000000000", Some(1_769_862_896_000)),
            ("2026-01-31 12:34:56", Some(1_769_862_896_000)),
            ("2026-01-31T21:34:56+09:00", Some(1_769_862_896_000)),
            ("2026-01-31T09:04:56-03:30", Some(1_769_862_896_000)),
            ("2026-01-31T12:34:56+0900", None),
            ("2026-01-31T12:34:56+24:00", None),
            ("2026-01-31T12:34:56.Z", None),
            ("2026-01-31T12:34Z", None),
            ("2026-02-30T12:34:56Z", None),
            ("2025-02-29T12:34:56Z", None),
            ("2100-02-29T12:34:56Z", None),
            ("2026-13-01T12:34:56Z", None),
            ("2026-00-01T12:34:56Z", None),
            ("2026-01-31T24:00:00Z", None),
            ("2026-01-31T12:34:56Zebra", None),
            ("2026/01/31T12:34:56Z", None),
            ("２026-01-31T12:34:5", None),
            ("redacted", None),
            ("...", None),
            ("", None),
        ] {
            assert_eq!(Moment::parse(text).map(Moment::as_millis), millis, "{text}");
        }
    }
}
