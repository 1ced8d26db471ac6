//! `crudctl run`: playbooks.

use std::path::PathBuf;

use clap::Args;

use super::args::{Common, OutputArgs, Selection};
use super::common;
use super::exit::Exit;
use super::failure::Failure;
use super::{listing, say};
use crate::language::check;

/// Run playbooks
///
/// The language is Ansible's: inventories, roles, vaults and ansible.cfg work as they are. Hosts need nothing but sh.
#[derive(Debug, Args)]
pub struct Run {
    /// Playbooks, run one after another
    #[arg(required = true, value_name = "PLAYBOOK")]
    playbooks: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    output: OutputArgs,
}

impl Run {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        if self.selection.step {
            return Err(Failure::new(Exit::Usage, "`--step` is not supported: use `--start-at-task` and `--tags`"));
        }
        let start = common::start(&self.common, self.output.form());
        let dirs: Vec<PathBuf> = self.playbooks.iter().map(|path| common::directory(path)).collect();
        let setup = common::setup(&start, &self.common, &self.selection, &dirs)?;
        let (mut playbooks, mut errors) = (vec![], vec![]);
        for path in &self.playbooks {
            match check::read(path, &setup.templar, &setup.loader) {
                Ok(playbook) => playbooks.push(playbook),
                Err(found) => errors.extend(found),
            }
        }
        for warning in setup.loader.warnings() {
            setup.events.diagnostic(&warning);
        }
        if !errors.is_empty() {
            return Err(errors.into());
        }
        if self.selection.syntax_check {
            return Ok(Exit::Ok);
        }
        if self.selection.lists() {
            for playbook in &playbooks {
                let name = playbook.path.display().to_string();
                let text = listing::playbook(playbook, &name, &setup, &self.selection)?;
                say(text.trim_end_matches('\n'));
            }
            return Ok(Exit::Ok);
        }
        let ended = common::run(setup, playbooks)?;
        Ok(Exit::of(&ended))
    }
}
