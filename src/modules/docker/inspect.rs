//! `crudctl_releases`: what runs of a service, and what it says.

use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{engine, releases};
use crate::modules::contract::{Access, Context, ControllerModule, Outcome, Verdict};

/// Lists the releases of a service on the host, or shows the log of the one that runs.
///
/// ```yaml
/// - crudctl_releases:
///     name: employees
///   register: releases
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Releases {
    /// The service's name.
    name: String,
    /// Show this many of the last lines of its log, as progress.
    #[serde(default)]
    logs: Option<u32>,
    /// Go on with lines as they come.
    #[serde(default)]
    follow: bool,
}

impl ControllerModule for Releases {
    type Drift = std::convert::Infallible;

    async fn check(&self, _: &Context, host: &dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        engine::with(host, |docker| async move {
            let all = releases::list(&docker, &self.name).await?;
            if let Some(tail) = self.logs {
                let running = all.iter().find(|r| r.runs()).or(all.first());
                let Some(release) = running else {
                    anyhow::bail!("there is no release of `{}` on this host", self.name);
                };
                let options = LogsOptionsBuilder::default()
                    .stdout(true)
                    .stderr(true)
                    .follow(self.follow)
                    .tail(&tail.to_string())
                    .build();
                let mut stream = std::pin::pin!(docker.logs(&release.id, Some(options)));
                while let Some(piece) = stream.next().await {
                    for line in piece?.to_string().lines() {
                        host.progress(line);
                    }
                }
            }
            Ok(Verdict::Converged(Outcome::ok().with("releases", serde_json::to_value(all)?)))
        })
        .await
    }

    async fn apply(&self, drift: Self::Drift, _: &Context, _: &dyn Access) -> anyhow::Result<Outcome> {
        match drift {}
    }
}
