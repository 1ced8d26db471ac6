//! Releases of a service on a host: its containers, told apart by labels.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use serde::Serialize;

/// Labels that releases carry.
pub mod label {
    /// The service's name.
    pub const APP: &str = "crudctl.app";
    /// The number of the release, from 1.
    pub const RELEASE: &str = "crudctl.release";
    /// Hash of everything that makes the release what it is.
    pub const CONFIG: &str = "crudctl.config";
    /// The image's name.
    pub const IMAGE: &str = "crudctl.image";
    /// Who made it.
    pub const BY: &str = "crudctl.by";
    /// When (RFC 3339).
    pub const AT: &str = "crudctl.at";
    /// The port on the host's loopback address.
    pub const PORT: &str = "crudctl.port";
    /// The health check's path.
    pub const HEALTH: &str = "crudctl.health";
}

/// A release.
#[derive(Debug, Clone, Serialize)]
pub struct Release {
    /// Its number.
    pub release: u64,
    /// Its container.
    pub container: String,
    /// The engine's id of it.
    pub id: String,
    /// `running`, `exited`, …
    pub state: String,
    /// `Up 2 minutes (healthy)`, …
    pub status: String,
    /// Its image.
    pub image: String,
    /// The engine's id of the image.
    pub image_id: String,
    /// When it was made.
    pub at: String,
    /// By whom.
    pub by: String,
    /// Its port on the host's loopback address.
    pub port: u16,
    /// Hash of its configuration.
    pub config: String,
    /// Path of its health check.
    pub health: String,
}

impl Release {
    fn of(container: ContainerSummary) -> Option<Self> {
        let labels = container.labels.unwrap_or_default();
        let get = |name: &str| labels.get(name).cloned().unwrap_or_default();
        Some(Self {
            release: get(label::RELEASE).parse().ok()?,
            container: container.names.unwrap_or_default().first()?.trim_start_matches('/').to_owned(),
            id: container.id?,
            state: container.state.map(|s| s.to_string()).unwrap_or_default(),
            status: container.status.unwrap_or_default(),
            image: get(label::IMAGE),
            image_id: container.image_id.unwrap_or_default(),
            at: get(label::AT),
            by: get(label::BY),
            port: get(label::PORT).parse().unwrap_or(0),
            config: get(label::CONFIG),
            health: get(label::HEALTH),
        })
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.state == "running"
    }
}

/// All releases of a service, the newest first.
///
/// # Errors
/// What the engine says.
pub async fn list(docker: &Docker, app: &str) -> anyhow::Result<Vec<Release>> {
    let filters = HashMap::from([("label".to_owned(), vec![format!("{}={app}", label::APP)])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers = docker.list_containers(Some(options)).await?;
    let mut releases: Vec<Release> = containers.into_iter().filter_map(Release::of).collect();
    releases.sort_by_key(|r| std::cmp::Reverse(r.release));
    Ok(releases)
}
