//! `crudctl up`: the service runs on its hosts.

use clap::Args;

use super::exit::Exit;
use super::failure::Failure;
use super::service::{Service, ServiceArgs, Watch};
use super::{complain, say};
use crate::report::Output;

/// Set the service up: on this machine, or over SSH
///
/// Installs Docker, the database and nginx where they are missing, brings the image, starts the release beside the one that runs,
/// proves it and switches to it. Run again, it changes nothing.
#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    service: ServiceArgs,
}

impl Up {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let service = Service::load(&self.service)?;
        service.expect_cargo()?;
        let setup = service.setup(false, &[])?;
        let watch = Watch::default();
        setup.events.add(Box::new(watch.clone()));
        let hosts = setup.inventory.hosts();
        let ended = service.run("up", setup)?;
        let exit = watch.exit(&ended);
        match exit {
            Exit::Ok if !self.service.common.check => {
                let p = &service.project.proxy;
                let scheme = if p.tls.is_some() { "https" } else { "http" };
                for host in hosts {
                    let name = p.host.clone().unwrap_or(host);
                    let port = if p.port == 80 || p.tls.is_some() { String::new() } else { format!(":{}", p.port) };
                    let url = format!("{scheme}://{name}{port}/");
                    // Events are one JSON object a line, and nothing else.
                    if self.service.output.form() == Output::Json { complain(&url) } else { say(&url) }
                }
                complain(
                    "look further: crudctl status · crudctl logs -f · crudctl history · crudctl rollback · crudctl down",
                );
            }
            Exit::Locked => complain("another operator is at work: wait with --lock-wait SECONDS"),
            _ => {}
        }
        Ok(exit)
    }
}
