//! What the demo prints: coloured on a terminal, plain in a pipe and with `NO_COLOR`, never wider than [`WIDTH`].

use std::io::{self, Stdout, Write};

use anstream::{AutoStream, adapter::strip_str};
use anstyle::{AnsiColor, Style};

/// The longest line, in columns.
const WIDTH: usize = 100;

pub(crate) const HEADING: Style = AnsiColor::Cyan.on_default().bold();
pub(crate) const PLAIN: Style = Style::new();
pub(crate) const STRONG: Style = Style::new().bold();
pub(crate) const QUIET: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Standard output, and a record of everything that went there.
pub(crate) struct Screen {
    out: AutoStream<Stdout>,
    shown: String,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { out: anstream::stdout(), shown: String::new() }
    }

    /// Everything printed so far, without colours.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) fn line(&mut self, line: &str) -> io::Result<()> {
        self.shown += &strip_str(line).to_string();
        self.shown.push('\n');
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        self.line("")?;
        self.line(&painted(HEADING, text))
    }

    /// Text without colours, broken into lines that begin with `indent` blanks.
    pub(crate) fn prose(&mut self, indent: usize, style: Style, text: &str) -> io::Result<()> {
        self.bordered(&" ".repeat(indent), style, text)
    }

    /// The same, with lines that begin with something else.
    pub(crate) fn bordered(&mut self, border: &str, style: Style, text: &str) -> io::Result<()> {
        let (mut row, indent) = (String::new(), border.chars().count());
        for word in text.split_whitespace() {
            if !row.is_empty() && indent + row.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&format!("{}{}", painted(QUIET, border), painted(style, &row)))?;
                row.clear();
            }
            if !row.is_empty() {
                row.push(' ');
            }
            row.push_str(word);
        }
        self.line(&format!("{}{}", painted(QUIET, border), painted(style, &row)))
    }
}

pub(crate) fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
