//! What the modules of this group share: the cluster, conditions that are waited for.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::client::{Cluster, Place};
use crate::cluster::object::{Id, items, text};
use crate::modules::Context;

/// The cluster of a task.
pub(super) async fn cluster(cx: &Context, kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<Cluster> {
    Cluster::connect(&Place {
        kubeconfig: kubeconfig.map(Path::to_owned),
        context: context.map(str::to_owned),
        environment: Arc::clone(&cx.environment),
    })
    .await
}

/// A service's name as Kubernetes takes it: without underscores.
pub(super) fn kube_name(name: &str) -> String {
    name.replace('_', "-")
}

/// A condition of an object's status.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitCondition {
    /// Its type: `Available`.
    r#type: String,
    /// Its status.
    #[serde(default = "yes")]
    status: String,
    /// Its reason, where it matters.
    #[serde(default)]
    reason: Option<String>,
}

fn yes() -> String {
    "True".into()
}

impl WaitCondition {
    fn holds(&self, object: &Value) -> bool {
        items(object, "/status/conditions").iter().any(|c| {
            c["type"] == self.r#type.as_str()
                && text(c, "/status").eq_ignore_ascii_case(&self.status)
                && self.reason.as_ref().is_none_or(|reason| c["reason"] == reason.as_str())
        })
    }
}

/// Waits until a condition holds for all of these; which one it does not hold for, where time is up.
pub(super) async fn until(
    cluster: &Cluster,
    ids: &[Id],
    condition: &WaitCondition,
    timeout: Duration,
) -> anyhow::Result<Result<(), String>> {
    let end = Instant::now() + timeout;
    for id in ids {
        loop {
            let object = match cluster.path(id).await? {
                Some(path) => cluster.get(&path).await?,
                None => None,
            };
            if object.is_some_and(|object| condition.holds(&object)) {
                break;
            }
            if Instant::now() >= end {
                let (kind, status) = (&condition.r#type, &condition.status);
                return Ok(Err(format!("{id}: the condition {kind} was not {status} within {} s", timeout.as_secs())));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    Ok(Ok(()))
}
