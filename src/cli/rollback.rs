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
    /// The release on the cluster
    #[arg(long)]
    kubernetes: bool,
    /// To this release of `history --kubernetes`
    #[arg(long, value_name = "RELEASE", requires = "kubernetes")]
    to: Option<u64>,
    #[command(flatten)]
    service: ServiceArgs,
}

impl Rollback {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let service = Service::load(&self.service)?;
        let (playbook, setup) = if self.kubernetes {
            let to = self.to.map_or_else(|| "".into(), Into::into);
            ("kubernetes/rollback", service.cluster_setup(false, &[("to", to)])?)
        } else {
            ("rollback", service.setup(false, &[])?)
        };
        let watch = Watch::default();
        setup.events.add(Box::new(watch.clone()));
        let ended = service.run(playbook, setup)?;
        Ok(watch.exit(&ended))
    }
}
