//! `docker_image_tag`: more names for an image of the host's engine.

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::answers::DockerHost;
use super::docker_image::{full_name, name_anew};
use super::engine;
use crate::image::Reference;
use crate::image::deliver::inspect;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Gives an image of the engine more names.
///
/// ```yaml
/// - docker_image_tag:
///     name: app:1.2
///     repository: [registry.example.org/team/app:1.2, registry.example.org/team/app:latest]
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DockerImageTag {
    /// The image: a name, with a tag or digest where `tag` isn't used, or an id.
    name: String,
    /// Its tag.
    #[serde(default = "super::docker_image::latest")]
    tag: String,
    /// The names that it gets; one without a tag gets the image's.
    repository: Vec<String>,
    /// What becomes of a name that another image has.
    #[serde(default)]
    existing_images: Existing,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Existing {
    /// It stays with the other image.
    Keep,
    /// It moves.
    #[default]
    Overwrite,
}

/// The result of naming an image by these names.
fn told(name: &str, image: Value, names: &[String]) -> Outcome {
    let actions: Vec<String> = names.iter().map(|to| format!("Tagged image {name} as {to}")).collect();
    Outcome { changed: !names.is_empty(), ..Outcome::ok() }
        .with("image", image)
        .with("actions", actions)
        .with("tagged_images", names)
}

impl ControllerModule for DockerImageTag {
    /// The names that the image lacks.
    type Drift = Vec<String>;

    async fn check(&self, _: &Context, host: &dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        self.docker_host.ensure_own()?;
        engine::with(host, |docker| async move {
            let name = full_name(&self.name, &self.tag)?;
            let image =
                inspect(&docker, &name).await?.with_context(|| format!("Cannot find the image {name} locally."))?;
            let own = name.parse::<Reference>().map_or(self.tag.clone(), |name| name.tag_or_latest().to_owned());
            let mut missing = vec![];
            for repository in &self.repository {
                let other = full_name(repository, &own)?;
                anyhow::ensure!(!other.contains('@'), "`{repository}` of `repository` must not have a digest");
                match inspect(&docker, &other).await? {
                    Some(tagged) if tagged.id == image.id || self.existing_images == Existing::Keep => {}
                    _ => missing.push(other),
                }
            }
            let outcome = told(&name, serde_json::to_value(image)?, &missing);
            Ok(if missing.is_empty() {
                Verdict::Converged(outcome)
            } else {
                Verdict::Drift { drift: missing, outcome }
            })
        })
        .await
    }

    async fn apply(&self, missing: Self::Drift, _: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        engine::with(host, |docker| async move {
            let name = full_name(&self.name, &self.tag)?;
            for other in &missing {
                name_anew(&docker, &name, other).await?;
            }
            let image = inspect(&docker, &name).await?;
            Ok(told(&name, serde_json::to_value(image)?, &missing))
        })
        .await
    }
}
