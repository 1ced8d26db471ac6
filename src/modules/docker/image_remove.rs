//! `docker_image_remove`: an image leaves the host's engine.

use bollard::query_parameters::RemoveImageOptionsBuilder;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{DockerHost, found};
use super::docker_image::full_name;
use super::engine;
use crate::image::deliver::inspect;
use crate::modules::guarded::yes;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Removes an image from the engine.
///
/// ```yaml
/// - docker_image_remove:
///     name: registry.example.org/team/app
///     tag: "1.1"
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DockerImageRemove {
    /// The image: a name, with a tag or digest where `tag` isn't used, or an id.
    name: String,
    /// Its tag.
    #[serde(default = "super::docker_image::latest")]
    tag: String,
    /// Remove it even where containers or other names use it.
    #[serde(default)]
    force: bool,
    /// Remove the untagged images that it was made from.
    #[serde(default = "yes")]
    prune: bool,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

impl ControllerModule for DockerImageRemove {
    type Drift = ();

    async fn check(&self, _: &Context, host: &dyn Access) -> anyhow::Result<Verdict<()>> {
        self.docker_host.ensure_own()?;
        engine::with(host, |docker| async move {
            let name = full_name(&self.name, &self.tag)?;
            let Some(image) = inspect(&docker, &name).await? else {
                let outcome = Outcome::ok().with("image", json!({})).with("actions", Vec::<Value>::new());
                return Ok(Verdict::Converged(
                    outcome.with("deleted", Vec::<Value>::new()).with("untagged", Vec::<Value>::new()),
                ));
            };
            let outcome = Outcome::changed()
                .with("image", serde_json::to_value(image)?)
                .with("actions", vec![format!("Removed image {name}")]);
            Ok(Verdict::Drift { drift: (), outcome })
        })
        .await
    }

    async fn apply(&self, (): (), _: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        engine::with(host, |docker| async move {
            let name = full_name(&self.name, &self.tag)?;
            let image = inspect(&docker, &name).await?.map(serde_json::to_value).transpose()?.unwrap_or_default();
            let options = RemoveImageOptionsBuilder::default().force(self.force).noprune(!self.prune).build();
            let removed = found(docker.remove_image(&name, Some(options), None).await)?.unwrap_or_default();
            let names = |get: fn(&bollard::models::ImageDeleteResponseItem) -> Option<String>| {
                let mut names: Vec<String> = removed.iter().filter_map(get).collect();
                names.sort();
                names
            };
            Ok(Outcome::changed()
                .with("image", image)
                .with("actions", vec![format!("Removed image {name}")])
                .with("deleted", names(|item| item.deleted.clone()))
                .with("untagged", names(|item| item.untagged.clone())))
        })
        .await
    }
}
