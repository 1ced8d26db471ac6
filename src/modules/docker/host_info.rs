//! `docker_host_info`: what the host's engine is and has.

use std::collections::{BTreeMap, HashMap};

use bollard::query_parameters as query;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{DockerHost, said};
use super::container_values::text;
use super::engine;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Tells about the engine (`host_info`) and, where asked for, about what it has.
///
/// ```yaml
/// - docker_host_info:
///     containers: true
///   register: engine
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct DockerHostInfo {
    /// Whether `containers` of the result lists the containers.
    #[serde(default)]
    containers: bool,
    /// Stopped ones, too.
    #[serde(default)]
    containers_all: bool,
    /// Filters of the list of containers.
    #[serde(default)]
    containers_filters: BTreeMap<String, Value>,
    /// Whether `images` lists the images.
    #[serde(default)]
    images: bool,
    /// Filters of the list of images.
    #[serde(default)]
    images_filters: BTreeMap<String, Value>,
    /// Whether `networks` lists the networks.
    #[serde(default)]
    networks: bool,
    /// Filters of the list of networks.
    #[serde(default)]
    networks_filters: BTreeMap<String, Value>,
    /// Whether `volumes` lists the volumes.
    #[serde(default)]
    volumes: bool,
    /// Filters of the list of volumes.
    #[serde(default)]
    volumes_filters: BTreeMap<String, Value>,
    /// Whether `disk_usage` says how much room is used.
    #[serde(default)]
    disk_usage: bool,
    /// Whether lists have all that the engine says.
    #[serde(default)]
    verbose_output: bool,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

/// Filters as the engine takes them: a name with one or several values.
pub(super) fn filters(map: &BTreeMap<String, Value>) -> HashMap<String, Vec<String>> {
    let values = |value: &Value| match value {
        Value::Array(items) => items.iter().map(text).collect(),
        other => vec![text(other)],
    };
    map.iter().map(|(name, value)| (name.clone(), values(value))).collect()
}

impl DockerHostInfo {
    /// A list with all of its entries' values, or those of these names.
    fn list(&self, entries: impl serde::Serialize, names: &[&str]) -> anyhow::Result<Value> {
        let mut list = serde_json::to_value(entries)?;
        if !self.verbose_output {
            for entry in list.as_array_mut().into_iter().flatten() {
                if let Some(entry) = entry.as_object_mut() {
                    entry.retain(|name, _| names.contains(&name.as_str()));
                }
            }
        }
        Ok(if list.is_null() { json!([]) } else { list })
    }
}

impl ControllerModule for DockerHostInfo {
    type Drift = std::convert::Infallible;

    async fn check(&self, _: &Context, host: &dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        self.docker_host.ensure_own()?;
        engine::with(host, |docker| async move {
            let info = serde_json::to_value(docker.info().await.map_err(said)?)?;
            let mut outcome = Outcome::ok().with("can_talk_to_docker", true).with("host_info", info);
            if self.containers {
                let options = query::ListContainersOptionsBuilder::default()
                    .all(self.containers_all)
                    .filters(&filters(&self.containers_filters))
                    .build();
                let all = docker.list_containers(Some(options)).await.map_err(said)?;
                let names = ["Id", "Image", "Command", "Created", "Status", "Ports", "Names"];
                outcome = outcome.with("containers", self.list(all, &names)?);
            }
            if self.images {
                let options =
                    query::ListImagesOptionsBuilder::default().filters(&filters(&self.images_filters)).build();
                let all = docker.list_images(Some(options)).await.map_err(said)?;
                outcome = outcome.with("images", self.list(all, &["Id", "RepoTags", "Created", "Size"])?);
            }
            if self.networks {
                let options =
                    query::ListNetworksOptionsBuilder::default().filters(&filters(&self.networks_filters)).build();
                let all = docker.list_networks(Some(options)).await.map_err(said)?;
                outcome = outcome.with("networks", self.list(all, &["Id", "Driver", "Name", "Scope"])?);
            }
            if self.volumes {
                let options =
                    query::ListVolumesOptionsBuilder::default().filters(&filters(&self.volumes_filters)).build();
                let all = docker.list_volumes(Some(options)).await.map_err(said)?.volumes;
                outcome = outcome.with("volumes", self.list(all, &["Driver", "Name"])?);
            }
            if self.disk_usage {
                let used = docker.df(None::<query::DataUsageOptions>).await.map_err(said)?;
                outcome = outcome.with("disk_usage", serde_json::to_value(used)?);
            }
            Ok(Verdict::Converged(outcome))
        })
        .await
    }

    async fn apply(&self, drift: Self::Drift, _: &Context, _: &dyn Access) -> anyhow::Result<Outcome> {
        match drift {}
    }
}
