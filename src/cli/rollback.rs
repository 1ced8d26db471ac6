//! `crudctl rollback`: the release before comes back.

use clap::Args;

use super::exit::Exit;
use super::failure::Failure;
use super::service::{Service, ServiceArgs, Watch};

/// Bring the release before the one that runs back
///
/// By the same way as a new one: it is started beside, proved, the proxy is switched, the other stops.
#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    service: ServiceArgs,
}

impl Rollback {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let service = Service::load(&self.service)?;
        let setup = service.setup(false, &[])?;
        let watch = Watch::default();
        setup.events.add(Box::new(watch.clone()));
        let ended = service.run("rollback", setup)?;
        Ok(watch.exit(&ended))
    }
}
