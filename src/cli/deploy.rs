//! `crudctl deploy`: the service runs on a Kubernetes cluster.

use clap::Args;

use super::complain;
use super::exit::Exit;
use super::failure::Failure;
use super::service::{Service, ServiceArgs, Watch};

/// Deploy the service to a Kubernetes cluster, and watch the rollout to its end
///
/// Applies what differs, waits until the new pods are well, and removes what is no longer named. A release that does not become well
/// is explained and makes room for the one before (exit status 8), which serves all the time. Run again, it writes nothing.
#[derive(Debug, Args)]
pub struct Deploy {
    /// The image, best by its digest: REGISTRY/NAME@sha256:…
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Change nothing; show what would change
    #[arg(long)]
    dry_run: bool,
    /// Leave a release that does not become well as it is
    #[arg(long)]
    no_rollback: bool,
    /// Remove an object and make it again where it can't be changed in place; never one that holds data
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

impl Deploy {
    /// Runs the verb.
    pub fn run(&self) -> Result<Exit, Failure> {
        let service = Service::load(&self.service)?;
        let more = [
            ("image", self.image.as_str().into()),
            ("rollback", (!self.no_rollback).into()),
            ("replace", self.replace.into()),
        ];
        let setup = service.cluster_setup(self.dry_run, &more)?;
        let watch = Watch::default();
        setup.events.add(Box::new(watch.clone()));
        let ended = service.run("deploy", setup)?;
        let exit = watch.exit(&ended);
        match exit {
            Exit::Ok if self.dry_run => complain(&match watch.seen().changed {
                0 => "no changes are pending".to_owned(),
                _ => "changes are pending".to_owned(),
            }),
            Exit::Ok => complain("look further: crudctl history --kubernetes · crudctl rollback --kubernetes"),
            Exit::Locked => complain("another operator is at work: wait with --lock-wait SECONDS"),
            _ => {}
        }
        Ok(exit)
    }
}
