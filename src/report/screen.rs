//! Where reporters write: stdout and stderr with or without colour, and the rules that decide about colour.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Colours, by what they stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// As it was asked for.
    Green,
    /// Changed.
    Yellow,
    /// Left out.
    Cyan,
    /// Failed.
    Red,
    /// The host can't be reached.
    BrightRed,
    /// Details.
    Gray,
    /// What `-v` adds.
    Blue,
    /// Warnings.
    Purple,
    /// Deprecations.
    BrightPurple,
    /// Headings.
    Bold,
}

impl Color {
    /// Parameters of the escape sequence (ECMA-48 SGR), those that Ansible uses for the same meaning.
    fn code(self) -> &'static str {
        match self {
            Self::Green => "0;32",
            Self::Yellow => "0;33",
            Self::Cyan => "0;36",
            Self::Red => "0;31",
            Self::BrightRed => "1;31",
            Self::Gray => "1;30",
            Self::Blue => "0;34",
            Self::Purple => "1;35",
            Self::BrightPurple => "0;35",
            Self::Bold => "1",
        }
    }
}

/// A pair of streams.
pub struct Screen {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Whether colours are written.
    pub color: bool,
    /// Columns.
    pub width: usize,
    /// Whether stderr is a terminal, so that live lines make sense.
    pub live: bool,
}

impl Screen {
    /// The process's own streams; colour as environment and terminal say.
    pub fn process() -> Self {
        let terminal = std::io::stdout().is_terminal();
        Self {
            out: Box::new(std::io::stdout()),
            err: Box::new(std::io::stderr()),
            color: wants_color(terminal, |name| std::env::var(name).ok()),
            width: columns(),
            live: std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        }
    }

    /// Everything on stderr: stdout is for data.
    pub fn stderr() -> Self {
        Self { out: Box::new(std::io::stderr()), ..Self::process() }
    }

    /// Buffers in place of streams, for tests: what goes to stdout, and what to stderr.
    pub fn buffers() -> (Self, Buffer, Buffer) {
        let (out, err) = (Buffer::default(), Buffer::default());
        let screen =
            Self { out: Box::new(out.clone()), err: Box::new(err.clone()), color: false, width: 79, live: false };
        (screen, out, err)
    }

    /// The text in a colour, line by line, where colours are on.
    pub fn paint(&self, text: &str, color: Color) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        text.split('\n').map(|line| format!("\x1b[{}m{line}\x1b[0m", color.code())).collect::<Vec<_>>().join("\n")
    }

    /// Writes a line to stdout.
    pub fn line(&mut self, text: &str) {
        write(&mut *self.out, text);
    }

    /// Writes a line to stderr.
    pub fn error_line(&mut self, text: &str) {
        write(&mut *self.err, text);
    }
}

/// Nobody is left to read what can't be written (`| head`): that isn't the run's failure, so it goes on.
fn write(stream: &mut dyn Write, text: &str) {
    let _ = stream.write_all(format!("{text}\n").as_bytes()).and_then(|()| stream.flush());
}

/// Bytes that can be looked at while something writes to them.
#[derive(Clone, Default)]
pub struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    /// What was written so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether to use colour: forced on by `FORCE_COLOR`, `CLICOLOR_FORCE` or `ANSIBLE_FORCE_COLOR`, off by `NO_COLOR`, `ANSIBLE_NOCOLOR`,
/// `CLICOLOR=0` or `TERM=dumb`, else where stdout is a terminal.
fn wants_color(terminal: bool, var: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name: &str| var(name).is_some_and(|value| !value.is_empty());
    let truthy = |name: &str| {
        var(name).is_some_and(|value| {
            !matches!(value.to_lowercase().as_str(), "" | "0" | "no" | "n" | "f" | "false" | "off")
        })
    };
    if truthy("ANSIBLE_FORCE_COLOR") || truthy("FORCE_COLOR") || truthy("CLICOLOR_FORCE") {
        return true;
    }
    if set("NO_COLOR") || truthy("ANSIBLE_NOCOLOR") || var("CLICOLOR").as_deref() == Some("0") {
        return false;
    }
    terminal && var("TERM").as_deref() != Some("dumb")
}

/// Columns of the terminal less one, 79 at least, as Ansible counts.
fn columns() -> usize {
    if !std::io::stdout().is_terminal() {
        return 79;
    }
    let columns = console::Term::stdout().size_checked().map_or(80, |(_, columns)| columns);
    usize::from(columns).saturating_sub(1).max(79)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_follows_the_usual_variables() {
        let with = |terminal, pairs: &'static [(&str, &str)]| {
            wants_color(terminal, |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert!(with(true, &[]));
        assert!(!with(false, &[]));
        assert!(!with(true, &[("NO_COLOR", "1")]));
        assert!(with(true, &[("NO_COLOR", "")]));
        assert!(with(false, &[("FORCE_COLOR", "1"), ("NO_COLOR", "1")]));
        assert!(!with(true, &[("TERM", "dumb")]));
        assert!(!with(true, &[("CLICOLOR", "0")]));
        assert!(!with(false, &[("ANSIBLE_FORCE_COLOR", "false")]));
    }
}
