//! `crudctl_rollouts`: which releases of a service a cluster had.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::common;
use crate::cluster::release;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Lists the releases of a service on a cluster, the newest first.
///
/// ```yaml
/// - crudctl_rollouts:
///     name: employees
///     namespace: employees
///   register: releases
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rollouts {
    /// The service's name.
    name: String,
    /// Its namespace.
    namespace: String,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config].
    #[serde(default)]
    kubeconfig: Option<PathBuf>,
    /// The context in it.
    #[serde(default)]
    context: Option<String>,
}

impl ControllerModule for Rollouts {
    type Drift = std::convert::Infallible;

    async fn check<'a>(&'a self, cx: &'a Context, _: &'a dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        let cluster = common::cluster(cx, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let all = release::list(&cluster, &self.namespace, &common::kube_name(&self.name)).await?;
        let deployed = all.iter().find(|r| r.status == "deployed").map(|r| r.number);
        let releases: Vec<Value> = all
            .iter()
            .map(|r| {
                let runs = Some(r.number) == deployed;
                let status = if runs {
                    "deployed"
                } else if r.status == "deployed" {
                    "superseded"
                } else {
                    "failed"
                };
                json!({"release": r.number, "state": if runs { "running" } else { "exited" }, "status": status,
                    "at": r.at, "image": r.image, "by": r.by})
            })
            .collect();
        Ok(Verdict::Converged(Outcome::ok().with("releases", releases)))
    }

    async fn apply<'a>(&'a self, drift: Self::Drift, _: &'a Context, _: &'a dyn Access) -> anyhow::Result<Outcome> {
        match drift {}
    }
}
