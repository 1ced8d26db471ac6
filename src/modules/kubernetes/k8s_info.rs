//! `k8s_info`: what a cluster holds.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::common::{self, WaitCondition};
use crate::cluster::object::Id;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Reads objects of a Kubernetes cluster: `resources` is the list of those that were found.
///
/// ```yaml
/// - kubernetes.core.k8s_info:
///     kind: Pod
///     namespace: employees
///     label_selectors: [app=employees]
///   register: pods
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct K8sInfo {
    /// Their kind.
    kind: String,
    /// Version of its API.
    #[serde(default = "core", alias = "api", alias = "version")]
    api_version: String,
    /// Only the one of this name.
    #[serde(default)]
    name: Option<String>,
    /// Only those of this namespace.
    #[serde(default)]
    namespace: Option<String>,
    /// Only those with these labels: `app=web`, `!canary`, `tier in (a,b)`.
    #[serde(default)]
    label_selectors: Vec<String>,
    /// Only those with these fields: `status.phase=Running`.
    #[serde(default)]
    field_selectors: Vec<String>,
    /// Wait for the condition.
    #[serde(default)]
    wait: bool,
    /// Seconds to wait.
    #[serde(default = "timeout")]
    wait_timeout: u64,
    /// The condition.
    #[serde(default)]
    wait_condition: Option<WaitCondition>,
    /// The kubeconfig [default: KUBECONFIG, ~/.kube/config].
    #[serde(default)]
    kubeconfig: Option<PathBuf>,
    /// The context in it.
    #[serde(default)]
    context: Option<String>,
}

fn core() -> String {
    "v1".into()
}

fn timeout() -> u64 {
    120
}

impl ControllerModule for K8sInfo {
    type Drift = std::convert::Infallible;

    async fn check<'a>(&'a self, cx: &'a Context, _: &'a dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        anyhow::ensure!(
            !self.wait || (self.wait_condition.is_some() && self.name.is_some()),
            "`wait` needs `name` and `wait_condition`"
        );
        let cluster = common::cluster(cx, self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let namespace = match (&self.namespace, &self.name) {
            (None, Some(_)) => Some(cluster.namespace.clone()),
            (given, _) => given.clone(),
        };
        if let (true, Some(condition), Some(name)) = (self.wait, &self.wait_condition, &self.name) {
            let id = Id {
                api_version: self.api_version.clone(),
                kind: self.kind.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
            };
            let limit = Duration::from_secs(self.wait_timeout);
            if let Err(late) = common::until(&cluster, &[id], condition, limit).await? {
                return Ok(Verdict::failed(late));
            }
        }
        let found = cluster.collection(&self.api_version, &self.kind, namespace.as_deref()).await?;
        let Some(collection) = found else {
            // As Ansible's: a kind that is not there has no objects.
            return Ok(Verdict::Converged(
                Outcome::ok().with("resources", Vec::<Value>::new()).with("api_found", false),
            ));
        };
        let resources: Vec<Value> = match &self.name {
            Some(name) => cluster.get(&format!("{collection}/{name}")).await?.into_iter().collect(),
            None => {
                let (labels, fields) = (self.label_selectors.join(","), self.field_selectors.join(","));
                let query = [("labelSelector", labels.as_str()), ("fieldSelector", fields.as_str())];
                let query: Vec<(&str, &str)> = query.into_iter().filter(|(_, v)| !v.is_empty()).collect();
                cluster.list(&collection, &query).await?
            }
        };
        Ok(Verdict::Converged(Outcome::ok().with("resources", resources).with("api_found", true)))
    }

    async fn apply<'a>(&'a self, drift: Self::Drift, _: &'a Context, _: &'a dyn Access) -> anyhow::Result<Outcome> {
        match drift {}
    }
}
