//! `docker_image_push`: an image of the host's engine, in its registry.

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;

use super::answers::DockerHost;
use super::docker_image::{full_name, push};
use super::engine;
use crate::image::deliver::inspect;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Has the engine push an image; the registry is logged in to as `docker login` on the host did.
///
/// It is a change where the registry lacked a layer.
///
/// ```yaml
/// - docker_image_push:
///     name: registry.example.org/team/app
///     tag: "1.2"
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DockerImagePush {
    /// The image: a name, with a tag where `tag` isn't used.
    name: String,
    /// Its tag.
    #[serde(default = "super::docker_image::latest")]
    tag: String,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

impl ControllerModule for DockerImagePush {
    /// The image's name with its tag.
    type Drift = String;

    async fn check(&self, _: &Context, host: &dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        self.docker_host.ensure_own()?;
        engine::with(host, |docker| async move {
            let name = full_name(&self.name, &self.tag)?;
            anyhow::ensure!(!name.contains('@'), "Cannot push an image by digest");
            let image = inspect(&docker, &name).await?;
            let image = image.with_context(|| format!("Cannot find image {name}"))?;
            let outcome = Outcome::ok().with("image", serde_json::to_value(image)?);
            Ok(Verdict::Drift { drift: name, outcome })
        })
        .await
    }

    async fn apply(&self, name: Self::Drift, _: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        engine::with(host, |docker| async move {
            let changed = push(&docker, &name, host).await?;
            let image = inspect(&docker, &name).await?.map(serde_json::to_value).transpose()?;
            let outcome = Outcome { changed, ..Outcome::ok() };
            Ok(outcome.with("actions", vec![format!("Pushed image {name}")]).with("image", image))
        })
        .await
    }
}
