//! What a matrix comes down to, in numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{Aftermath, Case, Kind, Played, Side, Variant, Verdict};

/// The cases that have been played, counted.
#[derive(Clone, Debug, Default)]
pub struct Report {
    total: Tally,
    tables: Vec<(Variant, Rows)>,
    bad: Vec<(Case, Verdict)>,
    /// From the word that a rotation has failed to an AWSCURRENT that works.
    recoveries: Vec<Duration>,
}

type Rows = BTreeMap<(Aftermath, Side, Kind), Tally>;

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    cases: u64,
    healed: u64,
    recovered: u64,
    locked_out: u64,
    stranded: u64,
    other: u64,
}

impl Report {
    /// Counts a case.
    pub fn add(&mut self, played: &Played) {
        let Case { variant, strike, aftermath } = played.case;
        self.recoveries.extend(played.recovered);
        let found = self.tables.iter().position(|(of, _)| *of == variant);
        let index = found.unwrap_or_else(|| {
            self.tables.push((variant, Rows::new()));
            self.tables.len() - 1
        });
        let row = self.tables[index].1.entry((aftermath, strike.side, strike.kind)).or_default();
        for tally in [row, &mut self.total] {
            tally.add(played.verdict);
        }
        if !played.verdict.is_good() {
            self.bad.push((played.case, played.verdict));
        }
    }

    /// How many cases were counted.
    pub fn cases(&self) -> u64 {
        self.total.cases
    }

    /// How many cases failed at first and were completed by a retry.
    pub fn healed(&self) -> u64 {
        self.total.healed
    }

    /// How many cases `respond` had to heal.
    pub fn recovered(&self) -> u64 {
        self.total.recovered
    }

    /// How long it took from the event to a working AWSCURRENT, in 99 of 100 cases that `respond` had to heal.
    pub fn recovery_p99(&self) -> Option<Duration> {
        self.recovery(99)
    }

    fn recovery(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.recoveries.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied()
    }

    /// The cases that did not end as they must.
    pub fn bad(&self) -> &[(Case, Verdict)] {
        &self.bad
    }
}

impl Tally {
    fn add(&mut self, verdict: Verdict) {
        self.cases += 1;
        match verdict {
            Verdict::Unimpressed => {}
            Verdict::Healed => self.healed += 1,
            Verdict::Recovered => self.recovered += 1,
            Verdict::LockedOut => self.locked_out += 1,
            Verdict::Stranded => self.stranded += 1,
            Verdict::CurrentShut | Verdict::Unfinished | Verdict::Leaked | Verdict::Missed => self.other += 1,
        }
    }
}

/// A table for each way to rotate, every bad case, and the sum in the last line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (variant, rows) in &self.tables {
            writeln!(f, "{variant}")?;
            writeln!(
                f,
                "  {:33}{:>7}{:>8}{:>11}{:>12}{:>10}{:>11}",
                "fault", "cases", "healed", "recovered", "locked out", "stranded", "other bad"
            )?;
            for ((aftermath, side, kind), row) in rows {
                let name = match aftermath {
                    Aftermath::Retried => format!("{side} {kind:?}"),
                    Aftermath::GivenUp | Aftermath::SteppedIn => format!("{side} {kind:?}, {aftermath}"),
                };
                let Tally { cases, healed, recovered, locked_out, stranded, other } = row;
                writeln!(
                    f,
                    "  {name:33}{cases:>7}{healed:>8}{recovered:>11}{locked_out:>12}{stranded:>10}{other:>11}"
                )?;
            }
            writeln!(f)?;
        }
        for (Case { variant, strike, aftermath }, verdict) in &self.bad {
            writeln!(f, "{variant}, {strike}, {aftermath}: {verdict:?}")?;
            writeln!(
                f,
                "  again: scripts/run matrix --strategy {} --promote {} --only {strike} --then {aftermath}",
                variant.strategy,
                variant.promote.setting()
            )?;
        }
        if let (Some(middle), Some(p99), Some(worst)) = (self.recovery(50), self.recovery(99), self.recovery(100)) {
            let [middle, p99, worst] = [middle, p99, worst].map(|took| took.as_millis());
            let recovered = self.total.recovered;
            writeln!(
                f,
                "healed by respond {recovered}, from the event to a working AWSCURRENT: half {middle} ms, p99 {p99} ms, \
                 worst {worst} ms"
            )?;
        }
        let Tally { cases, healed, locked_out, stranded, .. } = self.total;
        write!(f, "cases {cases}, locked out {locked_out}, stranded {stranded}, healed by retry {healed}")
    }
}
