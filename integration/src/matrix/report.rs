//! What a matrix comes down to, in numbers.

use std::collections::BTreeMap;
use std::fmt;

use super::{Case, Kind, Played, Side, Variant, Verdict};

/// The cases that have been played, counted.
#[derive(Clone, Debug, Default)]
pub struct Report {
    total: Tally,
    tables: Vec<(Variant, Rows)>,
    bad: Vec<(Case, Verdict)>,
}

type Rows = BTreeMap<(Side, Kind), Tally>;

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    cases: u64,
    healed: u64,
    locked_out: u64,
    stranded: u64,
    other: u64,
}

impl Report {
    /// Counts a case.
    pub fn add(&mut self, played: &Played) {
        let Case { variant, strike } = played.case;
        let found = self.tables.iter().position(|(of, _)| *of == variant);
        let index = found.unwrap_or_else(|| {
            self.tables.push((variant, Rows::new()));
            self.tables.len() - 1
        });
        let row = self.tables[index].1.entry((strike.side, strike.kind)).or_default();
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
                "  {:22}{:>7}{:>8}{:>12}{:>10}{:>11}",
                "fault", "cases", "healed", "locked out", "stranded", "other bad"
            )?;
            for ((side, kind), row) in rows {
                let name = format!("{side} {kind:?}");
                let Tally { cases, healed, locked_out, stranded, other } = row;
                writeln!(f, "  {name:22}{cases:>7}{healed:>8}{locked_out:>12}{stranded:>10}{other:>11}")?;
            }
            writeln!(f)?;
        }
        for (Case { variant, strike }, verdict) in &self.bad {
            writeln!(f, "{variant}, {strike}: {verdict:?}")?;
            writeln!(
                f,
                "  again: scripts/run matrix --strategy {} --promote {} --only {strike}",
                variant.strategy,
                variant.promote.setting()
            )?;
        }
        let Tally { cases, healed, locked_out, stranded, .. } = self.total;
        write!(f, "cases {cases}, locked out {locked_out}, stranded {stranded}, healed by retry {healed}")
    }
}
