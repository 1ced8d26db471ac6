//! The command line: one file a verb; clap only, the work is done elsewhere.

pub mod ansible;
pub mod ansible_playbook;
pub mod args;
pub mod build_push;
pub mod changed;
pub mod check;
pub mod ci;
pub mod cluster;
pub mod common;
pub mod compat;
pub mod deploy;
pub mod doc;
pub mod down;
pub mod exit;
pub mod extra_vars;
pub mod failure;
pub mod image;
pub mod init;
pub mod inventory;
pub mod listing;
pub mod login;
pub mod manifests;
pub mod passwords;
pub mod plan;
pub mod prompt;
pub mod registry;
pub mod replay;
pub mod rollback;
pub mod run;
pub mod schema;
pub mod service;
pub mod signals;
pub mod static_scope;
pub mod status;
pub mod up;
pub mod vault;
pub mod vaults;
pub mod version;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use exit::Exit;
pub use failure::Failure;

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
    Init(init::Init),
    Up(Box<up::Up>),
    Plan(Box<plan::Plan>),
    BuildPush(Box<build_push::BuildPush>),
    Login(login::Login),
    Logout(login::Logout),
    Image(image::ImageVerb),
    Status(Box<status::Status>),
    Logs(Box<status::Logs>),
    History(Box<status::History>),
    Rollback(Box<rollback::Rollback>),
    Down(Box<down::Down>),
    Deploy(Box<deploy::Deploy>),
    Manifests(Box<manifests::Manifests>),
    Run(Box<run::Run>),
    Check(Box<check::Check>),
    Inventory(Box<inventory::InventoryVerb>),
    Vault(vault::VaultVerb),
    Doc(doc::Doc),
    Replay(replay::Replay),
    Schema(schema::Schema),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    #[command(infer_long_args = true)]
    AnsiblePlaybook(Box<ansible_playbook::AnsiblePlaybook>),
    #[command(infer_long_args = true)]
    Ansible(Box<ansible::Ansible>),
    #[command(infer_long_args = true, hide = true)]
    AnsibleVault(vault::VaultVerb),
    #[command(infer_long_args = true, hide = true)]
    AnsibleInventory(Box<inventory::InventoryVerb>),
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
    let compatible = given.get(1).is_some_and(|verb| NAMES.iter().any(|name| verb == name));
    match std::panic::catch_unwind(|| dispatch(given, compatible)) {
        Ok(exit) => exit,
        Err(_) if compatible => ExitCode::from(250),
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

fn dispatch(given: Vec<OsString>, compatible: bool) -> ExitCode {
    let cli = match Cli::try_parse_from(given) {
        Ok(cli) => cli,
        Err(error) if compatible => return compat::usage(&error),
        Err(error) => return usage(&error).into(),
    };
    let ended: Result<Exit, Failure> = match cli.verb {
        Verb::Init(verb) => verb.run(),
        Verb::Up(verb) => verb.run(),
        Verb::Plan(verb) => verb.run(),
        Verb::BuildPush(verb) => verb.run(),
        Verb::Login(verb) => verb.run().map_err(Failure::from),
        Verb::Logout(verb) => verb.run().map_err(Failure::from),
        Verb::Image(verb) => verb.run().map_err(Failure::from),
        Verb::Status(verb) => verb.run(),
        Verb::Logs(verb) => verb.run(),
        Verb::History(verb) => verb.run(),
        Verb::Rollback(verb) => verb.run(),
        Verb::Down(verb) => verb.run(),
        Verb::Deploy(verb) => verb.run(),
        Verb::Manifests(verb) => verb.run(),
        Verb::Run(verb) => verb.run(),
        Verb::Check(verb) => verb.run(),
        Verb::Inventory(verb) | Verb::AnsibleInventory(verb) => verb.run(),
        Verb::Vault(verb) | Verb::AnsibleVault(verb) => verb.run().map_err(Failure::from),
        Verb::Doc(verb) => verb.run().map_err(Failure::from),
        Verb::Replay(verb) => verb.run().map_err(Failure::from),
        Verb::Schema(verb) => verb.run().map_err(Failure::from),
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "crudctl", &mut std::io::stdout());
            Ok(Exit::Ok)
        }
        Verb::AnsiblePlaybook(verb) => return verb.run(),
        Verb::Ansible(verb) => return verb.run(),
        Verb::Version(verb) => verb.run().map_err(Failure::from),
    };
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            report_errors(&failure.errors);
            failure.exit.into()
        }
    }
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

/// Errors in full, each with its place.
pub fn report_errors(errors: &[Diagnostic]) {
    let color = Screen::process().color;
    for error in errors {
        complain(&render_diagnostic(error, color));
    }
    if errors.len() > 1 {
        complain(&format!("{} errors", errors.len()));
    }
}
