//! How far something is, where somebody watches.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Of so many bytes; `None` if nobody knows how many.
pub(crate) fn bytes(all: Option<u64>) -> ProgressBar {
    bar(all, if all.is_some() { "{bar:40} {bytes} of {total_bytes}, {eta} left" } else { "{spinner} {bytes}" })
}

/// Of so many things.
pub(crate) fn counting(all: u64, things: &str) -> ProgressBar {
    bar(Some(all), &format!("{{bar:40}} {{pos}} of {{len}} {things}, {{eta}} left"))
}

fn bar(all: Option<u64>, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(all, ProgressDrawTarget::stderr_with_hz(10));
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
