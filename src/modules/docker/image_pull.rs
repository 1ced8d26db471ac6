//! `docker_image_pull`: an image from its registry, in the host's engine.

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::answers::DockerHost;
use super::docker_image::{full_name, pull};
use super::engine;
use crate::image::deliver::inspect;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Pulls an image; the registry is logged in to as `docker login` on the host did.
///
/// ```yaml
/// - docker_image_pull:
///     name: registry.example.org/team/app
///     tag: "1.2"
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DockerImagePull {
    /// The image: a name, with a tag or digest where `tag` isn't used.
    name: String,
    /// Its tag.
    #[serde(default = "super::docker_image::latest")]
    tag: String,
    /// The platform.
    #[serde(default)]
    platform: Option<String>,
    /// Whether the registry is asked where the engine has an image of this name.
    #[serde(default)]
    pull: Pull,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Pull {
    #[default]
    Always,
    NotPresent,
}

impl ControllerModule for DockerImagePull {
    /// The engine's id of the image before.
    type Drift = Option<String>;

    async fn check(&self, _: &Context, host: &dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        self.docker_host.ensure_own()?;
        anyhow::ensure!(
            self.platform.is_none() || self.pull == Pull::Always,
            "`platform` with `pull: not_present` isn't supported"
        );
        engine::with(host, |docker| async move {
            let image = inspect(&docker, &full_name(&self.name, &self.tag)?).await?;
            let id = image.as_ref().and_then(|image| image.id.clone());
            let shown = image.map(serde_json::to_value).transpose()?.unwrap_or(Value::Null);
            let outcome = Outcome::ok().with("image", shown);
            Ok(if id.is_some() && self.pull == Pull::NotPresent {
                Verdict::Converged(outcome)
            } else {
                Verdict::Drift { drift: id, outcome }
            })
        })
        .await
    }

    async fn apply(&self, before: Self::Drift, _: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        engine::with(host, |docker| async move {
            let name = full_name(&self.name, &self.tag)?;
            pull(&docker, &name, self.platform.as_deref(), host).await?;
            let image =
                inspect(&docker, &name).await?.with_context(|| format!("the engine has no image {name} afterwards"))?;
            let outcome = Outcome { changed: image.id != before, ..Outcome::ok() };
            Ok(outcome
                .with("actions", vec![format!("Pulled image {name}")])
                .with("image", serde_json::to_value(image)?))
        })
        .await
    }
}
