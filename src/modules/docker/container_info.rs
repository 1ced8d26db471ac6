//! `docker_container_info`: what the host's engine says about a container.

use bollard::query_parameters::InspectContainerOptions;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::answers::{DockerHost, found};
use super::engine;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Tells about a container, as `docker inspect` does: `exists`, and `container`, which is null where there is none.
///
/// ```yaml
/// - docker_container_info:
///     name: database
///   register: database
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DockerContainerInfo {
    /// The container's name or id.
    name: String,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

impl ControllerModule for DockerContainerInfo {
    type Drift = std::convert::Infallible;

    async fn check(&self, _: &Context, host: &dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        self.docker_host.ensure_own()?;
        engine::with(host, |docker| async move {
            let container = found(docker.inspect_container(&self.name, None::<InspectContainerOptions>).await)?;
            let shown = container.as_ref().map(serde_json::to_value).transpose()?.unwrap_or(Value::Null);
            Ok(Verdict::Converged(Outcome::ok().with("exists", container.is_some()).with("container", shown)))
        })
        .await
    }

    async fn apply(&self, drift: Self::Drift, _: &Context, _: &dyn Access) -> anyhow::Result<Outcome> {
        match drift {}
    }
}
