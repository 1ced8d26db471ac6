//! `docker_image_info`: what the host's engine says about images.

use bollard::query_parameters::ListImagesOptionsBuilder;
use schemars::JsonSchema;
use serde::Deserialize;

use super::answers::{DockerHost, said};
use super::engine;
use crate::image::deliver::inspect;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Tells about images of the engine, as `docker image inspect` does: `images` of the result. One that is not there is left out.
///
/// ```yaml
/// - docker_image_info:
///     name: [nginx:1.27]
///   register: nginx
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DockerImageInfo {
    /// Names or ids; none: all images.
    #[serde(default)]
    name: Vec<String>,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

impl ControllerModule for DockerImageInfo {
    type Drift = std::convert::Infallible;

    async fn check(&self, _: &Context, host: &dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        self.docker_host.ensure_own()?;
        engine::with(host, |docker| async move {
            let mut names = self.name.clone();
            if names.is_empty() {
                let all = docker.list_images(Some(ListImagesOptionsBuilder::default().build())).await.map_err(said)?;
                names.extend(all.into_iter().map(|image| image.id));
            }
            let mut images = Vec::new();
            for name in &names {
                images.extend(inspect(&docker, name).await?.map(serde_json::to_value).transpose()?);
            }
            Ok(Verdict::Converged(Outcome::ok().with("images", images)))
        })
        .await
    }

    async fn apply(&self, drift: Self::Drift, _: &Context, _: &dyn Access) -> anyhow::Result<Outcome> {
        match drift {}
    }
}
