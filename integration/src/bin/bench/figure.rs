//! What was measured, and how it is shown.

use std::io::{self, IsTerminal};

use serde::Serialize;

/// One figure of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    goal: Option<Goal>,
    peer: Option<&'static str>,
    peer_value: Option<f64>,
    /// Of what the value is the median, how far it spreads.
    how: String,
}

/// How far the value may go. In JSON only the number: what it bounds is in the name.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let value = (value * 1000.0).round() / 1000.0;
        Self { name: name.into(), value, unit, goal: None, peer: None, peer_value: None, how: String::new() }
    }

    /// The median of a sample.
    pub(crate) fn median(name: impl Into<String>, sample: &Sample, unit: &'static str) -> Self {
        Self::new(name, sample.median(), unit).how(sample.spread())
    }

    pub(crate) fn at_most(self, goal: f64) -> Self {
        Self { goal: Some(Goal::AtMost(goal)), ..self }
    }

    pub(crate) fn at_least(self, goal: f64) -> Self {
        Self { goal: Some(Goal::AtLeast(goal)), ..self }
    }

    pub(crate) fn beside(self, peer: &'static str, value: f64) -> Self {
        Self { peer: Some(peer), peer_value: Some((value * 1000.0).round() / 1000.0), ..self }
    }

    pub(crate) fn how(self, how: impl Into<String>) -> Self {
        Self { how: how.into(), ..self }
    }

    /// Whether the value keeps within its goal, or has none.
    pub(crate) fn met(&self) -> bool {
        self.goal.is_none_or(|goal| match goal {
            Goal::AtMost(goal) => self.value <= goal,
            Goal::AtLeast(goal) => self.value >= goal,
        })
    }
}

/// All figures, one to a line.
pub(crate) fn table(figures: &[Figure]) -> String {
    let number = |value: f64| if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.2}") };
    let rows = figures.iter().map(|figure| {
        let bound = figure.goal.map(|goal| match goal {
            Goal::AtMost(goal) => format!("≤ {goal}"),
            Goal::AtLeast(goal) => format!("≥ {goal}"),
        });
        let goal = bound.map(|bound| format!("{bound} {}", if figure.met() { "✓" } else { "✗ MISSED" }));
        let peer = figure.peer.zip(figure.peer_value).map(|(peer, value)| format!("{} {peer}", number(value)));
        [
            figure.name.clone(),
            format!("{} {}", number(figure.value), figure.unit),
            goal.unwrap_or_default(),
            peer.unwrap_or_default(),
            figure.how.clone(),
        ]
    });
    let titles = ["figure", "value", "goal", "peer", "how"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(titles).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width);
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// The same thing measured several times.
#[derive(Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
        self.0.sort_by(f64::total_cmp);
    }

    /// Not a number for nothing measured, which no goal lets pass.
    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The value that so many of a hundred keep within.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn worst(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// The same, of large numbers.
    pub(crate) fn spread_in_whole(&self) -> String {
        let least = self.0.first().copied().unwrap_or(f64::NAN);
        format!("median of {}, from {least:.0} to {:.0}", self.0.len(), self.worst())
    }

    fn spread(&self) -> String {
        let least = self.0.first().copied().unwrap_or(f64::NAN);
        format!("median of {}, from {least:.2} to {:.2}", self.0.len(), self.worst())
    }
}

/// Says how far a measurement is.
pub(crate) fn progress(what: &str, done: usize, of: usize) {
    if io::stderr().is_terminal() {
        eprint!("\r\x1b[K{what}: {done} of {of}{}", if done == of { "\n" } else { "" });
    } else if done == of {
        eprintln!("{what}: {of} done");
    }
}
