//! Questions at the terminal: passwords, without showing what is typed.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, IsTerminal, Write};

use anyhow::Context as _;
use nix::sys::termios::{self, LocalFlags, SetArg};

/// Asks for a password at the controlling terminal; where there is none, reads a line of stdin.
pub fn password(question: &str) -> anyhow::Result<String> {
    line(question, false)
}

/// Asks for a line at the controlling terminal, with or without showing what is typed; where there is none, reads a line of stdin.
pub fn line(question: &str, echo: bool) -> anyhow::Result<String> {
    let Ok(terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty") else {
        let stdin = std::io::stdin();
        anyhow::ensure!(!stdin.is_terminal(), "the terminal can't be opened");
        return read_line(&mut stdin.lock());
    };
    let mut out = terminal.try_clone().context("the terminal can't be used")?;
    let silent = if echo { None } else { Some(Silent::new(&terminal)?) };
    write!(out, "{question}").and_then(|()| out.flush()).context("the terminal can't be used")?;
    let answer = read_line(&mut BufReader::new(&terminal));
    if silent.is_some() {
        drop(silent);
        writeln!(out).context("the terminal can't be used")?;
    }
    answer
}

/// Asks twice until both answers are the same.
pub fn new_password(question: &str, again: &str) -> anyhow::Result<String> {
    let first = password(question)?;
    anyhow::ensure!(password(again)? == first, "the passwords differ");
    Ok(first)
}

fn read_line(input: &mut dyn BufRead) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = input.read_line(&mut text).context("no password could be read")?;
    anyhow::ensure!(read > 0, "no password was given");
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Echo is off while this lives.
struct Silent<'a> {
    terminal: &'a std::fs::File,
    before: termios::Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a std::fs::File) -> anyhow::Result<Self> {
        let before = termios::tcgetattr(terminal).context("the terminal's mode can't be read")?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        termios::tcsetattr(terminal, SetArg::TCSAFLUSH, &quiet).context("the terminal's mode can't be set")?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Nothing more can be done about a terminal that is gone.
        let _ = termios::tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}
