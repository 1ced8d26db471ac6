//! What the verbs that speak to registries share.

use std::future::Future;
use std::path::PathBuf;

use clap::Args;

use crate::image::Reference;
use crate::image::reference::DEFAULT_REGISTRY;
use crate::image::registry::{Credentials, Options, Registry};

/// How registries are trusted.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registry")]
pub struct Trust {
    /// Take any certificate of the registry, and plain HTTP where it has no TLS
    #[arg(long)]
    pub insecure: bool,
    /// Trust the certificates in this file (PEM), too
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl Trust {
    /// As the client takes it.
    pub fn options(&self) -> Options {
        Options { insecure: self.insecure, ca: self.ca.clone(), ..Options::default() }
    }

    /// Reaches a reference's registry, with the credentials that are kept for it.
    ///
    /// # Errors
    /// It can't be reached, or a credential helper fails.
    pub async fn open(&self, reference: &Reference) -> anyhow::Result<Registry> {
        let login = Credentials::load()?.find(&reference.registry).await?;
        Registry::open(&reference.registry, login, self.options()).await
    }
}

/// The name of a registry as users write it: perhaps as a URL, perhaps Docker Hub's old names.
pub fn registry_name(given: &str) -> &str {
    let bare = given.trim_start_matches("https://").trim_start_matches("http://");
    match bare.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" | "hub.docker.com" => DEFAULT_REGISTRY,
        name => name,
    }
}

/// Runs work that speaks to registries to its end.
///
/// # Errors
/// Those of the work, or of the runtime's start.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_named_in_many_ways() {
        for (given, name) in [
            ("https://reg.example.org:5000/v2/", "reg.example.org:5000"),
            ("reg.example.org", "reg.example.org"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
        ] {
            assert_eq!(registry_name(given), name);
        }
    }
}
