//! `docker_prune`: what nothing uses leaves the host's engine.

use std::collections::BTreeMap;

use bollard::query_parameters as query;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::answers::{DockerHost, said};
use super::engine;
use super::host_info::filters;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Removes what nothing uses: stopped containers, images, networks, volumes, the builder's cache. Each only where it is asked for.
///
/// In check mode nothing is said about what would go: the engine has no way to tell.
///
/// ```yaml
/// - docker_prune:
///     images: true
///     images_filters: {dangling: false}   # unused ones with a name, too
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct DockerPrune {
    /// Stopped containers.
    #[serde(default)]
    containers: bool,
    /// Which of them.
    #[serde(default)]
    containers_filters: BTreeMap<String, Value>,
    /// Images without a name that no container uses.
    #[serde(default)]
    images: bool,
    /// Which images; `dangling: false` takes those with a name, too.
    #[serde(default)]
    images_filters: BTreeMap<String, Value>,
    /// Networks without containers.
    #[serde(default)]
    networks: bool,
    /// Which of them.
    #[serde(default)]
    networks_filters: BTreeMap<String, Value>,
    /// Volumes without containers.
    #[serde(default)]
    volumes: bool,
    /// Which of them.
    #[serde(default)]
    volumes_filters: BTreeMap<String, Value>,
    /// The builder's cache.
    #[serde(default)]
    builder_cache: bool,
    /// All of the cache, not only what hangs in the air.
    #[serde(default)]
    builder_cache_all: bool,
    /// Which parts of the cache.
    #[serde(default)]
    builder_cache_filters: BTreeMap<String, Value>,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

impl ControllerModule for DockerPrune {
    type Drift = ();

    async fn check(&self, _: &Context, _: &dyn Access) -> anyhow::Result<Verdict<()>> {
        self.docker_host.ensure_own()?;
        let any = self.containers || self.images || self.networks || self.volumes || self.builder_cache;
        Ok(if any {
            Verdict::Drift { drift: (), outcome: Outcome { skipped: true, ..Outcome::ok() } }
        } else {
            Verdict::Converged(Outcome::ok())
        })
    }

    async fn apply(&self, (): (), _: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        engine::with(host, |docker| async move {
            let (mut outcome, mut gone) = (Outcome::ok(), false);
            let mut told = |name: &str, objects: Vec<String>, space: Option<i64>| {
                gone |= !objects.is_empty() || space.is_some_and(|bytes| bytes > 0);
                outcome.values.insert(name.to_owned(), objects.into());
                if let Some(space) = space {
                    outcome.values.insert(format!("{name}_space_reclaimed"), space.into());
                }
            };
            if self.containers {
                let options = query::PruneContainersOptionsBuilder::default();
                let options = options.filters(&filters(&self.containers_filters)).build();
                let done = docker.prune_containers(Some(options)).await.map_err(said)?;
                told("containers", done.containers_deleted.unwrap_or_default(), done.space_reclaimed);
            }
            if self.images {
                let options = query::PruneImagesOptionsBuilder::default().filters(&filters(&self.images_filters));
                let done = docker.prune_images(Some(options.build())).await.map_err(said)?;
                let items = done.images_deleted.unwrap_or_default();
                let names = items.into_iter().filter_map(|item| item.deleted.or(item.untagged)).collect();
                told("images", names, done.space_reclaimed);
            }
            if self.networks {
                let options = query::PruneNetworksOptionsBuilder::default().filters(&filters(&self.networks_filters));
                let done = docker.prune_networks(Some(options.build())).await.map_err(said)?;
                told("networks", done.networks_deleted.unwrap_or_default(), None);
            }
            if self.volumes {
                let options = query::PruneVolumesOptionsBuilder::default().filters(&filters(&self.volumes_filters));
                let done = docker.prune_volumes(Some(options.build())).await.map_err(said)?;
                told("volumes", done.volumes_deleted.unwrap_or_default(), done.space_reclaimed);
            }
            if self.builder_cache {
                let options = query::PruneBuildOptionsBuilder::default()
                    .all(self.builder_cache_all)
                    .filters(&filters(&self.builder_cache_filters));
                let done = docker.prune_build(Some(options.build())).await.map_err(said)?;
                told("builder_cache", done.caches_deleted.unwrap_or_default(), done.space_reclaimed);
            }
            Ok(Outcome { changed: gone, ..outcome })
        })
        .await
    }
}
