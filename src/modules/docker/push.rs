//! `crudctl_push`: an image that is built here, brought to a registry without an engine.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;

use super::image::{build, local};
use crate::image::archive::{docker_archive, write_oci_layout};
use crate::image::registry::push::missing_tags;
use crate::image::registry::{Credentials, Options, Pushed, Registry, push};
use crate::image::{BuiltImage, Reference};
use crate::modules::contract::{Access, Context, ControllerModule, Outcome, Verdict};

/// Builds the image of a Rust service and pushes it to a registry; neither takes a container engine.
///
/// The image holds one static binary and is the same for the same source. Only what the registry lacks is sent; the tags are set when all
/// of it is there. The registry is logged in to with the credentials that `crudctl login` (or `docker login`) keeps on this machine.
/// Build and push are this machine's work, whatever the task's host is.
///
/// ```yaml
/// - crudctl_push:
///     name: employees
///     package: server
///     repository: registry.example.org/team/employees
///   register: image
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Push {
    /// The service's name: the image's title.
    name: String,
    /// The folder of its cargo package.
    package: PathBuf,
    /// The port that it listens on.
    #[serde(default = "port")]
    port: u16,
    /// Where the image is pushed to, without a tag: `registry.example.org/team/employees`; none: nowhere.
    #[serde(default)]
    repository: Option<String>,
    /// Tags besides `BRANCH-SHA`.
    #[serde(default)]
    tags: Vec<String>,
    /// Write the image here, too: an archive for `docker load` where it ends in `.tar`, else an OCI layout.
    #[serde(default)]
    to: Option<PathBuf>,
    /// Another repository of the same registry that may have layers of the image.
    #[serde(default)]
    mount_from: Option<String>,
    /// Take any certificate of the registry, and plain HTTP where it has no TLS.
    #[serde(default)]
    insecure: bool,
    /// A file of certificates (PEM) that are trusted besides the system's.
    #[serde(default)]
    ca: Option<PathBuf>,
}

fn port() -> u16 {
    8080
}

/// An image that is built, and what is to be done with it.
pub(super) struct Work {
    built: BuiltImage,
    names: Vec<Reference>,
    registry: Option<Registry>,
}

impl Push {
    /// The names that the image gets: `BRANCH-SHA` first.
    fn names(&self, built: &BuiltImage) -> anyhow::Result<Vec<Reference>> {
        let bare = self.repository.as_ref().unwrap_or(&self.name);
        let base: Reference = bare.parse().context("`repository`")?;
        anyhow::ensure!(
            base.tag.is_none() && base.digest.is_none(),
            "`repository: {bare}` has a tag or digest: `tags` are for that"
        );
        let tags = [&built.tag].into_iter().chain(self.tags.iter().filter(|tag| **tag != built.tag));
        tags.map(|tag| format!("{}:{tag}", base.familiar_name()).parse()).collect()
    }

    async fn registry(&self, cx: &Context, name: &str) -> anyhow::Result<Registry> {
        let login = Credentials::load()?.find(name).await?;
        let ca = self.ca.as_ref().map(|ca| local(cx, ca));
        Registry::open(name, login, Options { insecure: self.insecure, ca, ..Options::default() }).await
    }

    async fn write(&self, to: &Path, work: &Work) -> anyhow::Result<bool> {
        let image = &work.built.image;
        if to.extension().is_none_or(|extension| extension != "tar") {
            let before = tokio::fs::read(to.join("index.json")).await.ok();
            write_oci_layout(image, &work.names, to).await?;
            return Ok(before != tokio::fs::read(to.join("index.json")).await.ok());
        }
        let archive = docker_archive(image, &work.names, 0)?.concat();
        if tokio::fs::read(to).await.is_ok_and(|before| before == archive) {
            return Ok(false);
        }
        tokio::fs::write(to, archive).await.with_context(|| format!("cannot write {}", to.display()))?;
        Ok(true)
    }
}

fn tags(names: &[Reference]) -> Vec<String> {
    names.iter().filter_map(|name| name.tag.clone()).collect()
}

fn outcome(work: &Work, pushed: &Pushed) -> Outcome {
    let (image, name) = (&work.built.image, &work.names[0]);
    let repository = name.familiar_name();
    Outcome::ok()
        .with("name", name.path.rsplit('/').next().unwrap_or_default())
        .with("reference", format!("{repository}@{}", image.manifest_digest))
        .with("image", name.familiar())
        .with("repository", repository)
        .with("tag", work.built.tag.as_str())
        .with("tags", tags(&work.names))
        .with("digest", image.manifest_digest.as_str())
        .with("size", image.size())
        .with("blobs_sent", pushed.uploaded.len())
        .with("blobs_mounted", pushed.mounted.len())
        .with("blobs_present", pushed.present.len())
        .with("bytes_sent", pushed.bytes)
}

impl ControllerModule for Push {
    type Drift = Work;

    /// Builds, in check mode as well: whether the registry has the image is only known then, and nothing changes there by it.
    async fn check(&self, cx: &Context, host: &dyn Access) -> anyhow::Result<Verdict<Work>> {
        let built = build(cx, host, &self.name, &self.package, self.port).await?;
        let names = self.names(&built)?;
        let registry = match &self.repository {
            Some(_) => Some(self.registry(cx, &names[0].registry).await?),
            None => None,
        };
        let work = Work { built, names, registry };
        let outcome = outcome(&work, &Pushed::default());
        let missing = match &work.registry {
            Some(registry) => {
                missing_tags(registry, &work.names[0].path, &tags(&work.names), &work.built.image).await?
            }
            None => Vec::new(),
        };
        if missing.is_empty() && self.to.is_none() {
            let blobs = if work.registry.is_some() { work.built.image.layers.len() + 1 } else { 0 };
            return Ok(Verdict::Converged(outcome.with("blobs_present", blobs)));
        }
        Ok(Verdict::Drift { drift: work, outcome })
    }

    async fn apply(&self, work: Work, cx: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        let mut changed = false;
        if let Some(to) = &self.to {
            changed |= self.write(&local(cx, to), &work).await?;
        }
        let mut pushed = Pushed::default();
        if let Some(registry) = &work.registry {
            host.progress("pushing the image");
            let from = self.mount_from.as_ref().map(|from| from.parse::<Reference>()).transpose()?;
            let from = from.filter(|from| from.registry == registry.name).map(|from| from.path);
            let name = &work.names[0];
            pushed = push(registry, &name.path, &tags(&work.names), &work.built.image, from.as_deref()).await?;
            changed |= pushed.changed();
        }
        Ok(Outcome { changed, ..outcome(&work, &pushed) })
    }
}
