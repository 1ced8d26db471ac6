//! `crudctl down`: what `up` made is removed.

use clap::Args;

use super::exit::Exit;
use super::failure::Failure;
use super::service::{Service, ServiceArgs, Watch};

/// Remove the service: its containers, images and proxy site; packages stay
#[derive(Debug, Args)]
pub struct Down {
    /// Remove its data, too: volumes, database, password
    #[arg(long)]
    volumes: bool,
    /// What `deploy` made on the cluster
    #[arg(long)]
    kubernetes: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

impl Down {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let service = Service::load(&self.service)?;
        let more = [("remove_volumes", self.volumes.into())];
        let (playbook, setup) = if self.kubernetes {
            ("kubernetes/down", service.cluster_setup(false, &more)?)
        } else {
            ("down", service.setup(false, &more)?)
        };
        let watch = Watch::default();
        setup.events.add(Box::new(watch.clone()));
        let ended = service.run(playbook, setup)?;
        Ok(watch.exit(&ended))
    }
}
