//! What the handler says of a step in its log.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use relatch_integration::lambda::{Function, Outcome};
use relatch_integration::rotation::{Step, StepRun};
use serde::Deserialize;

/// How long a line may be on its way from a process that lives.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a step said: everything it did to the world, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The plans that it carried out, such as `SetPassword(Current)`.
    pub(crate) done: Vec<String>,
    /// How it ended; nothing when the process was killed before it could say.
    pub(crate) end: Option<End>,
}

/// The last plan of a step.
#[derive(Debug)]
pub(crate) struct End {
    /// `Done`, `Wait` or `Refuse`.
    pub(crate) plan: String,
    /// The reason's stable name.
    pub(crate) reason: String,
    /// The sentence.
    pub(crate) message: String,
}

/// A line of the handler's log, as far as it is needed here; metric lines have none of these fields.
#[derive(Deserialize)]
struct Entry {
    message: Option<String>,
    #[serde(rename = "rotation.step")]
    step: Option<String>,
    #[serde(rename = "rotation.plan")]
    plan: Option<String>,
    #[serde(rename = "rotation.reason")]
    reason: Option<String>,
}

/// Reads what a function has logged of a step since there were `already` lines.
///
/// # Errors
/// When a function that answered does not say how the step ended.
pub(crate) async fn read(function: &Function, already: usize, run: &StepRun) -> Result<Told> {
    let answered = matches!(run.outcome, Outcome::Ok(_) | Outcome::Error { .. });
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lines = function.output().lines();
        let told = parse(lines.iter().skip(already).map(|line| line.text.as_str()), run.step);
        if told.end.is_some() || !answered {
            return Ok(told);
        }
        if Instant::now() > deadline {
            bail!("the function answered and did not log how {} ended", run.step);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn parse<'a>(lines: impl Iterator<Item = &'a str>, step: Step) -> Told {
    let mut told = Told::default();
    for entry in lines.filter_map(|line| serde_json::from_str::<Entry>(line).ok()) {
        match (entry.plan, entry.reason, entry.message) {
            (Some(plan), reason, message) if entry.step.as_deref() == Some(&step.to_string()) => match reason {
                Some(reason) => told.end = Some(End { plan, reason, message: message.unwrap_or_default() }),
                None => told.done.push(plan),
            },
            _ => {}
        }
    }
    told
}
