//! `docker_image_export`: images of the host's engine in a file there.

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::answers::DockerHost;
use super::docker_image::{full_name, holds, save};
use super::engine;
use crate::image::deliver::inspect;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Saves images of the engine to a tar on the host, as `docker save` does; a file that has them already stays.
///
/// ```yaml
/// - docker_image_export:
///     names: [app:1.2, proxy:3]
///     path: /var/backups/images.tar
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DockerImageExport {
    /// The images: names, with a tag or digest where `tag` isn't used, or ids.
    #[serde(alias = "name")]
    names: Vec<String>,
    /// The tag of names that have none.
    #[serde(default = "super::docker_image::latest")]
    tag: String,
    /// The file on the host.
    path: String,
    /// Write it even where it has the images.
    #[serde(default)]
    force: bool,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

impl ControllerModule for DockerImageExport {
    /// The names to save.
    type Drift = Vec<String>;

    async fn check(&self, _: &Context, host: &dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        self.docker_host.ensure_own()?;
        anyhow::ensure!(!self.names.is_empty(), "`names` of `docker_image_export` is empty");
        engine::with(host, |docker| async move {
            let (mut names, mut ids, mut images) = (vec![], vec![], vec![]);
            for name in &self.names {
                let name = full_name(name, &self.tag)?;
                let image =
                    inspect(&docker, &name).await?.with_context(|| format!("Cannot find the image {name} locally."))?;
                ids.push(image.id.clone().unwrap_or_default());
                images.push(serde_json::to_value(image)?);
                names.push(name);
            }
            let outcome = Outcome::ok().with("images", images);
            Ok(if !self.force && holds(&self.path, &ids, host).await? {
                Verdict::Converged(outcome.with("actions", Vec::<Value>::new()))
            } else {
                let actions = vec![format!("Saved {} to {}", names.join(", "), self.path)];
                let outcome = Outcome { changed: true, ..outcome.with("actions", actions) };
                Verdict::Drift { drift: names, outcome }
            })
        })
        .await
    }

    async fn apply(&self, names: Self::Drift, _: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        engine::with(host, |docker| async move {
            save(&docker, &names, &self.path, host).await?;
            let mut images = vec![];
            for name in &names {
                images.extend(inspect(&docker, name).await?.map(serde_json::to_value).transpose()?);
            }
            let actions = vec![format!("Saved {} to {}", names.join(", "), self.path)];
            Ok(Outcome::changed().with("images", images).with("actions", actions))
        })
        .await
    }
}
