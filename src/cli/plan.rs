//! `crudctl plan`: what `up` (or a playbook) would change.

use std::path::PathBuf;

use clap::Args;

use super::args::Selection;
use super::exit::Exit;
use super::failure::Failure;
use super::service::{Service, ServiceArgs, Watch};
use super::{common, complain};
use crate::language::check;

/// Show what would change; change nothing
///
/// Without a playbook: what `crudctl up` would do. What depends on a change that was not made is `known after apply`.
#[derive(Debug, Args)]
pub struct Plan {
    /// A playbook
    #[arg(value_name = "PLAYBOOK")]
    playbook: Option<PathBuf>,
    /// End with status 6 where changes are pending
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

impl Plan {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let watch = Watch::default();
        let ended = match &self.playbook {
            Some(path) => {
                let mut args = self.service.common.clone();
                (args.check, args.diff) = (true, true);
                let start = common::start(&args, self.service.output.form());
                let setup = common::setup(&start, &args, &Selection::default(), &[common::directory(path)])?;
                setup.events.add(Box::new(watch.clone()));
                let playbook = check::read(path, &setup.templar, &setup.loader)?;
                common::run(setup, vec![playbook])?
            }
            None => {
                let service = Service::load(&self.service)?;
                service.expect_cargo()?;
                let setup = service.setup(true, &[])?;
                setup.events.add(Box::new(watch.clone()));
                service.run("up", setup)?
            }
        };
        let exit = watch.exit(&ended);
        let pending = watch.seen().changed;
        if exit == Exit::Ok {
            complain(&match pending {
                0 => "no changes are pending".to_owned(),
                1 => "1 change is pending".to_owned(),
                n => format!("{n} changes are pending"),
            });
        }
        Ok(if exit == Exit::Ok && pending > 0 && self.detailed_exitcode { Exit::Pending } else { exit })
    }
}
