//! `crud-server`: see `crud-server --help`.

use std::process::ExitCode;

use clap::Parser as _;
use crud_server::config::{Cli, Command};
use crud_server::{log, serve};

fn main() -> ExitCode {
    let cli = Cli::parse();
    log::set_level(cli.settings.log_level);
    let result = match &cli.command {
        Some(Command::Healthcheck) => serve::healthcheck(&cli.settings),
        Some(Command::Serve) | None => serve::run(&cli.settings),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error(&format!("{error:#}"), &[]);
            ExitCode::FAILURE
        }
    }
}
