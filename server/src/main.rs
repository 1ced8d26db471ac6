//! `crud-server`: see `crud-server --help`.

use std::process::ExitCode;

use clap::Parser as _;
use crud_server::config::{Cli, Command, Service};
use crud_server::{backup, key, log, serve};

fn main() -> ExitCode {
    let cli = Cli::parse();
    log::set_level(cli.settings.log_level);
    let result = match cli.command.unwrap_or(Command::Serve { service: Service::All }) {
        Command::Healthcheck { service } => serve::healthcheck(&cli.settings, service),
        Command::Key(command) => key::run(&cli.settings, &command),
        Command::Backup { file } => cli.settings.target().and_then(|target| backup::run(&target, &file)),
        Command::Serve { service } => serve::run(&cli.settings, service),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error(&format!("{error:#}"), &[]);
            ExitCode::FAILURE
        }
    }
}
