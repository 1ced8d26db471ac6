//! `crudctl_manifests`: what a rollout would apply, as text.

use schemars::JsonSchema;
use serde::Deserialize;

use super::templates;
use crate::cluster::diff;
use crate::cluster::object::text;
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Renders the manifests of a service: `manifests` is one text. Secrets are left out: they are made by `crudctl deploy`, or by hand.
///
/// ```yaml
/// - crudctl_manifests:
///     templates: [namespace, deployment, service]
///   register: rendered
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifests {
    /// Names of templates: files of `templates/kubernetes/` without `.yml`, else those that crudctl brings along.
    templates: Vec<String>,
}

impl ControllerModule for Manifests {
    type Drift = std::convert::Infallible;

    async fn check<'a>(&'a self, cx: &'a Context, _: &'a dyn Access) -> anyhow::Result<Verdict<Self::Drift>> {
        let objects = templates::objects(cx, &self.templates)?;
        let shown: Vec<String> = objects
            .iter()
            .filter(|o| text(o, "/kind") != "Secret")
            .map(|o| format!("---\n{}", diff::yaml(o)))
            .collect();
        let secrets: Vec<&str> =
            objects.iter().filter(|o| text(o, "/kind") == "Secret").map(|o| text(o, "/metadata/name")).collect();
        let outcome = Outcome::ok().with("manifests", shown.concat()).with("secrets", secrets);
        Ok(Verdict::Converged(outcome))
    }

    async fn apply<'a>(&'a self, drift: Self::Drift, _: &'a Context, _: &'a dyn Access) -> anyhow::Result<Outcome> {
        match drift {}
    }
}
