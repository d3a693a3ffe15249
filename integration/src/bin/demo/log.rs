//! What the handler says of a step in its log.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use relatch_integration::lambda::{Function, Outcome};
use relatch_integration::rotation::{Step, StepRun};
use serde::Deserialize;
use serde_json::Value;

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
    until(function, already, &format!("how {} ended", run.step), |lines| {
        let told = parse(lines.iter().copied(), run.step);
        (told.end.is_some() || !answered).then_some(told)
    })
    .await
}

/// The sums of these metrics since there were `already` lines, when all of them are written.
///
/// # Errors
/// When the function has not written one of them.
pub(crate) async fn counts<const N: usize>(function: &Function, already: usize, names: [&str; N]) -> Result<[u64; N]> {
    until(function, already, &names.join(", "), |lines| {
        let lines: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let sum = |name: &str| lines.iter().filter_map(|line| line[name].as_u64()).reduce(|one, other| one + other);
        let sums: Vec<u64> = names.iter().filter_map(|name| sum(name)).collect();
        sums.try_into().ok()
    })
    .await
}

/// Waits until what a function has written since tells something.
async fn until<T>(
    function: &Function,
    already: usize,
    what: &str,
    mut tells: impl FnMut(&[&str]) -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lines = function.output().lines();
        let lines: Vec<&str> = lines.iter().skip(already).map(|line| line.text.as_str()).collect();
        if let Some(told) = tells(&lines) {
            return Ok(told);
        }
        if Instant::now() > deadline {
            bail!("the function answered and did not log {what}");
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
