//! The person: what is shown to him, and what he is asked.

use crate::{
    arguments::{Form, Manner},
    problem::{Problem, Status},
};
use relatch_events::foreign;
use serde_json::Value;
use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};
use tokio::time::{Instant, interval};

/// JSON on a line of its own. Whoever looks at it on a terminal must not have his cursor moved, and whoever reads it by a
/// program gets every character.
fn line(json: &Value) -> String {
    format!("{}\n", foreign::json(&json.to_string()))
}

/// Standard output has the answer, standard error everything else.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    form: Form,
}

impl Terminal {
    pub(crate) const fn new(form: Form) -> Self {
        Self { form }
    }

    /// In which form the answer is to be.
    pub(crate) const fn form(self) -> Form {
        self.form
    }

    /// The answer. Whoever has closed the pipe has read enough.
    pub(crate) fn show(self, screen: impl FnOnce() -> String, json: impl FnOnce() -> Value) {
        let text = match self.form {
            Form::Screen => screen(),
            Form::Object => format!("{}\n", foreign::json(&format!("{:#}", json()))),
            Form::Lines => line(&json()),
        };
        let _ = anstream::stdout().write_all(text.as_bytes());
    }

    /// A part of an answer that comes in parts. Tells whether it is still read.
    pub(crate) fn part(self, screen: impl FnOnce() -> String, json: impl FnOnce() -> Vec<Value>) -> bool {
        let text = match self.form {
            Form::Screen => screen(),
            Form::Object | Form::Lines => json().iter().map(line).collect(),
        };
        anstream::stdout().write_all(text.as_bytes()).is_ok()
    }

    /// What comes before the answer; where a program listens, only the answer is said to it.
    pub(crate) fn tell(self, screen: impl FnOnce() -> String) {
        let text = screen();
        let _ = match self.form {
            Form::Screen => anstream::stdout().write_all(text.as_bytes()),
            Form::Object | Form::Lines => anstream::stderr().write_all(text.as_bytes()),
        };
    }

    /// What is said beside the answer.
    pub(crate) fn aside(self, text: &str) {
        let _ = anstream::stderr().write_all(text.as_bytes());
    }

    /// Why there is no answer.
    pub(crate) fn problem(self, problem: &Problem) {
        if self.form != Form::Screen {
            self.show(String::new, || problem.json());
        }
        let _ = writeln!(anstream::stderr(), "{problem}");
    }

    /// Whether there is somebody to ask, if somebody has to be asked.
    pub(crate) fn can_ask(self, manner: Option<Manner>) -> Result<(), Problem> {
        match manner {
            Some(Manner { dry_run: false, yes: false }) if !io::stdin().is_terminal() => Err(Problem::wrong_use(
                "standard input",
                "it is no terminal, so nobody can be asked",
                "add --yes to do it, or --dry-run to see what would be done",
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Says what a command is about to do, and asks; `Some` if that is all. As JSON it is `would`, or `not` after a no.
    pub(crate) fn ends_here(
        self,
        manner: Manner,
        intended: impl Fn() -> String,
        would: impl FnOnce() -> Value,
        not: impl FnOnce() -> Value,
    ) -> Option<Status> {
        if manner.dry_run {
            self.show(intended, would);
            return Some(Status::Fine);
        }
        if !manner.yes {
            self.tell(intended);
        }
        if self.agrees(manner) {
            return None;
        }
        self.show(|| "Nothing was changed.\n".to_owned(), not);
        Some(Status::Found)
    }

    /// Whether it is to be done.
    pub(crate) fn agrees(self, manner: Manner) -> bool {
        if manner.yes {
            return true;
        }
        let _ = write!(anstream::stderr(), "\nDo it? [y/N] ").and_then(|()| anstream::stderr().flush());
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes" | "Yes")
    }

    /// Shows that something takes its time, where somebody watches.
    pub(crate) async fn waiting<T>(self, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let mut work = std::pin::pin!(work);
        let mut ticks = interval(Duration::from_secs(1));
        ticks.tick().await;
        loop {
            tokio::select! {
                done = &mut work => {
                    if io::stderr().is_terminal() {
                        let _ = write!(io::stderr(), "\r\x1b[K");
                    }
                    return done;
                }
                _ = ticks.tick() => if io::stderr().is_terminal() {
                    let _ = write!(io::stderr(), "\rWorking, {} s … ", begun.elapsed().as_secs());
                },
            }
        }
    }
}
