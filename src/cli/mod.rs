//! The command line: one file a verb; clap only, the work is done elsewhere.

pub mod args;
pub mod doc;
pub mod exit;
pub mod extra_vars;
pub mod passwords;
pub mod prompt;
pub mod replay;
pub mod schema;
pub mod version;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use exit::Exit;

use crate::report::Screen;
use crate::text::{Diagnostic, render_diagnostic};

/// Takes a CRUD service from source to running: Ansible's language, a few round trips, nothing but sh on the target.
#[derive(Debug, Parser)]
#[command(name = "crudctl", version, propagate_version = false, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Replay(replay::Replay),
    Doc(doc::Doc),
    Schema(schema::Schema),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version(version::Version),
}

/// Verbs that are also names under which the program may be called.
const NAMES: &[&str] = &["ansible-playbook", "ansible", "ansible-vault", "ansible-inventory"];

/// The program.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
        let text = panic.payload_as_str().unwrap_or("no reason given");
        complain(&format!("error: crudctl itself failed{place}: {text}\nhelp: this is a defect; please report it"));
    }));
    let given = arguments(std::env::args_os().collect());
    match std::panic::catch_unwind(|| dispatch(given)) {
        Ok(exit) => exit.into(),
        Err(_) => Exit::Error.into(),
    }
}

/// Arguments with the verb that the program's own name stands for.
fn arguments(mut given: Vec<OsString>) -> Vec<OsString> {
    let name = given.first().and_then(|program| Path::new(program).file_name()).and_then(|name| name.to_str());
    if let Some(name) = NAMES.iter().find(|known| Some(**known) == name) {
        given.insert(1, (*name).into());
    }
    given
}

fn dispatch(given: Vec<OsString>) -> Exit {
    let cli = match Cli::try_parse_from(given) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let ended = match cli.verb {
        Verb::Replay(verb) => verb.run(),
        Verb::Doc(verb) => verb.run(),
        Verb::Schema(verb) => verb.run(),
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "crudctl", &mut std::io::stdout());
            Ok(Exit::Ok)
        }
        Verb::Version(verb) => verb.run(),
    };
    ended.unwrap_or_else(|error| {
        report_error(&error);
        Exit::Error
    })
}

/// A command line that can't be parsed, or a wish for help.
fn usage(error: &clap::Error) -> Exit {
    // Nobody reads what can't be written.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Ok }
}

/// Writes data to stdout, a line end behind it.
pub fn say(text: &str) {
    // Nobody reads what can't be written (`| head`).
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes a message to stderr.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// An error in full: a diagnostic with its place, any other with its causes.
pub fn report_error(error: &anyhow::Error) {
    let color = Screen::process().color;
    match error.downcast_ref::<Diagnostic>() {
        Some(diagnostic) => complain(&render_diagnostic(diagnostic, color)),
        None => complain(&render_diagnostic(&Diagnostic::plain(format!("{error:#}")), color)),
    }
}
