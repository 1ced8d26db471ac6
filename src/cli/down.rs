//! `crudctl down`: what `up` made is removed.

use clap::Args;

use super::exit::Exit;
use super::failure::Failure;
use super::service::{Service, ServiceArgs};

/// Remove the service: its containers, images and proxy site; packages stay
#[derive(Debug, Args)]
pub struct Down {
    /// Remove its data, too: volumes, database, password
    #[arg(long)]
    volumes: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

impl Down {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let service = Service::load(&self.service)?;
        let setup = service.setup(false, &[("remove_volumes", self.volumes.into())])?;
        let ended = service.run("down", setup)?;
        Ok(Exit::of(&ended))
    }
}
