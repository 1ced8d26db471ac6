//! What the commands that stand in for Ansible's share: exit statuses, the form of errors, checks of hosts.

use std::process::ExitCode;

use super::complain;
use super::failure::Failure;
use crate::engine::{Ended, Setup};
use crate::report::{Output, Screen, Settings, ansible};
use crate::text::{Diagnostic, Place};

/// Exit statuses of Ansible's commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// As asked.
    Ok = 0,
    /// An error.
    Error = 1,
    /// Hosts failed; the command line can't be parsed.
    Failed = 2,
    /// Hosts can't be reached; a file can't be parsed.
    Unreachable = 4,
    /// Options that don't go together.
    Options = 5,
    /// Interrupted by the user.
    Interrupted = 99,
    /// Ended by SIGTERM, as a shell reports it.
    Terminated = 143,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

impl Status {
    /// The status of a run.
    pub fn of(ended: &Ended) -> Self {
        match ended.interrupted {
            Some(15) => Self::Terminated,
            Some(_) => Self::Interrupted,
            None if ended.unreachable => Self::Unreachable,
            None if ended.failed => Self::Failed,
            None if ended.error.is_some() => Self::Error,
            None => Self::Ok,
        }
    }
}

/// Errors, and the status that they end with.
#[derive(Debug)]
pub struct Problem {
    status: Status,
    errors: Vec<Diagnostic>,
}

impl Problem {
    /// A plain error.
    pub fn error(message: impl Into<String>) -> Self {
        Self { status: Status::Error, errors: vec![Diagnostic::plain(message)] }
    }

    /// Options that don't go together.
    pub fn options(message: impl Into<String>) -> Self {
        Self { status: Status::Options, errors: vec![Diagnostic::plain(message)] }
    }

    /// A file that can't be parsed.
    pub fn parser(errors: Vec<Diagnostic>) -> Self {
        Self { status: Status::Unreachable, errors }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let status = match failure.exit {
            super::Exit::Static => Status::Unreachable,
            super::Exit::Usage => Status::Options,
            _ => Status::Error,
        };
        Self { status, errors: failure.errors }
    }
}

/// Shows errors and gives the exit status.
pub fn answer(result: Result<Status, Problem>) -> ExitCode {
    match result {
        Ok(status) => status.into(),
        Err(problem) => {
            let mut messages = ansible::Messages::new(Screen::process(), &Settings::default());
            // Ansible stops at the first error; what else is wrong would only be news to scripts.
            if let Some(error) = problem.errors.first() {
                messages.error(&text(error), true);
            }
            problem.status.into()
        }
    }
}

/// A diagnostic in Ansible's form.
fn text(error: &Diagnostic) -> String {
    let mut out = error.message.clone();
    for note in &error.notes {
        out.push(' ');
        out.push_str(note);
    }
    if let Some(place) = error.place.as_ref().filter(|place| Place::is_real(place)) {
        out.push('\n');
        out.push_str(&crate::report::source::origin(&place.to_string()));
    }
    if let Some(hint) = &error.hint {
        out.push_str(if out.contains('\n') { "\n\n" } else { " " });
        out.push_str(hint);
    }
    out
}

/// The form of the report: as the environment asks for, else the command's own.
pub fn form(own: Output) -> Output {
    match std::env::var("ANSIBLE_STDOUT_CALLBACK").ok().as_deref() {
        Some("minimal" | "ansible.builtin.minimal") => Output::Minimal,
        Some("oneline" | "ansible.builtin.oneline") => Output::Oneline,
        _ => own,
    }
}

/// Warns where there are no hosts at all; refuses a limit that leaves none.
pub fn check_hosts(setup: &Setup, pattern: &str) -> Result<(), Problem> {
    let empty = setup.inventory.hosts().is_empty();
    if empty && !matches!(pattern, "localhost" | "127.0.0.1" | "::1") {
        setup.events.warning(
            "provided hosts list is empty, only localhost is available. Note that the implicit localhost does not match 'all'",
        );
    }
    let Some(limit) = &setup.options.limit else { return Ok(()) };
    let matching = |pattern: &str| setup.inventory.matching(pattern).map_err(|error| Problem::parser(vec![error]));
    let limited = matching(limit)?;
    if limited.is_empty() {
        setup.events.warning(format!("Could not match supplied host pattern, ignoring: {limit}"));
    }
    let left = matching(pattern)?.iter().any(|host| limited.contains(host));
    if !left && !empty {
        return Err(Problem::error(
            "Specified inventory, host pattern and/or --limit leaves us with no hosts to target.",
        ));
    }
    Ok(())
}

/// What `--version` prints.
pub fn version(command: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "{command} [core 2.19.14]\n  crudctl version = {version}\n  executable location = {}",
        std::env::current_exe().map_or_else(|_| "unknown".into(), |path| path.display().to_string())
    )
}

/// A command line that can't be parsed: usage and message on stderr, status 2 as argparse has it.
pub fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Nobody reads what can't be written.
        let _ = error.print();
        return Status::Ok.into();
    }
    complain(error.render().to_string().trim_end());
    Status::Failed.into()
}
