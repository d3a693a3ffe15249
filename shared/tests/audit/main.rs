//! The audit, by stories: each scenario says who did what and what is to be found of it; whatever else is found is an
//! alarm too many. How they are written is in `docs/SCENARIOS.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod disorder;
mod documents;
mod history;
mod intake;
mod judgement;
mod memory;
mod month;
mod record;
mod scenario;
mod score;
mod speed;
