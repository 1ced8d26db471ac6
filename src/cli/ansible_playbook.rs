//! `ansible-playbook`: that command's options, output and exit statuses.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::args::{Common, Selection};
use super::compat::{self, Status};
use super::{common, listing, say};
use crate::report::Output;

/// Run playbooks as Ansible's own command does: its options, output and exit statuses
#[derive(Debug, Args)]
pub struct AnsiblePlaybook {
    /// Playbooks
    #[arg(required_unless_present = "version", value_name = "playbook")]
    playbooks: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    selection: Selection,
    /// Directories of modules: accepted for the sake of scripts
    #[arg(short = 'M', long, value_name = "MODULE_PATH", hide = true)]
    module_path: Vec<String>,
    /// Print the version
    #[arg(long)]
    version: bool,
}

impl AnsiblePlaybook {
    /// Runs the command.
    pub fn run(&self) -> ExitCode {
        if self.version {
            say(&compat::version("ansible-playbook"));
            return Status::Ok.into();
        }
        compat::answer(self.attempt())
    }

    fn attempt(&self) -> Result<Status, compat::Problem> {
        if self.selection.step {
            return Err(compat::Problem::options("--step is not supported"));
        }
        for path in &self.playbooks {
            if !path.exists() {
                return Err(compat::Problem::error(format!("the playbook: {} could not be found", path.display())));
            }
            let kind = std::fs::metadata(path).map(|meta| meta.is_dir());
            if matches!(kind, Ok(true)) {
                return Err(compat::Problem::error(format!(
                    "the playbook: {} does not appear to be a file",
                    path.display()
                )));
            }
        }
        let start = common::start(&self.common, compat::form(Output::Ansible));
        let dirs: Vec<PathBuf> = self.playbooks.iter().map(|path| common::directory(path)).collect();
        let mut setup = common::setup(&start, &self.common, &self.selection, &dirs)?;
        setup.options.owed_handlers = false;
        compat::check_hosts(&setup, "all")?;
        let mut playbooks = vec![];
        for path in &self.playbooks {
            playbooks.push(setup.loader.playbook(path).map_err(compat::Problem::parser)?);
        }
        for warning in setup.loader.warnings() {
            setup.events.diagnostic(&warning);
        }
        if self.selection.lists() || self.selection.syntax_check {
            for (playbook, path) in playbooks.iter().zip(&self.playbooks) {
                let name = path.display().to_string();
                let text = if self.selection.lists() {
                    listing::playbook(playbook, &name, &setup, &self.selection)
                        .map_err(|error| compat::Problem::parser(vec![error]))?
                } else {
                    format!("\nplaybook: {name}\n")
                };
                say(text.trim_end_matches('\n'));
            }
            return Ok(Status::Ok);
        }
        Ok(Status::of(&common::run(setup, playbooks)?))
    }
}
