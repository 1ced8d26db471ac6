//! What the engine answers, and which engine a task means.

use schemars::JsonSchema;
use serde::Deserialize;

/// `docker_host`: where the engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct DockerHost(Option<String>);

impl DockerHost {
    /// Only the host's own engine is reached, by the way that the connection gives.
    ///
    /// # Errors
    /// Another address.
    pub(super) fn ensure_own(&self) -> anyhow::Result<()> {
        match self.0.as_deref() {
            None | Some("" | "unix:///var/run/docker.sock" | "unix://var/run/docker.sock") => Ok(()),
            Some(other) => anyhow::bail!(
                "`docker_host: {other}` isn't supported: the task's host is whose engine is used; name that in the inventory"
            ),
        }
    }
}

/// `None` for an error that says that there is no such object.
pub(super) fn found<T>(result: Result<T, bollard::errors::Error>) -> anyhow::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(said(error)),
    }
}

/// The engine's own words, without what the client puts around them.
pub(super) fn said(error: bollard::errors::Error) -> anyhow::Error {
    match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => anyhow::anyhow!("{message}"),
        bollard::errors::Error::DockerStreamError { error } => anyhow::anyhow!("{error}"),
        other => other.into(),
    }
}
