//! `crudctl_image`: an image that is built here, brought to the host's engine without a registry.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;

use super::engine;
use crate::image::{BuiltImage, Reference, ServiceImage, deliver, present};
use crate::modules::contract::{Access, Context, ControllerModule, Outcome, Verdict};

/// Builds the image of a Rust service on this machine and brings it to the host's engine.
///
/// The image holds one static binary and is the same for the same source. Only layers that the engine lacks are sent, over the
/// connection that tasks use.
///
/// ```yaml
/// - crudctl_image:
///     name: employees
///     package: server
///   register: image
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BundledImage {
    /// The service's name, which is the image's, too.
    name: String,
    /// The folder of its cargo package, on this machine.
    package: PathBuf,
    /// The port that it listens on.
    #[serde(default = "port")]
    port: u16,
}

fn port() -> u16 {
    8080
}

/// Builds the image of a service; its steps are lines of progress.
pub(super) async fn build(
    cx: &Context,
    host: &dyn Access,
    name: &str,
    package: &Path,
    port: u16,
) -> anyhow::Result<BuiltImage> {
    let service = ServiceImage { package: local(cx, package), title: name.to_owned(), port };
    host.progress("building the image");
    let built = service.build(|line| {
        if !line.trim().is_empty() {
            host.progress(line.trim());
        }
    });
    built.await.context("the image could not be built")
}

/// A path of this machine; a relative one is the playbook's.
pub(super) fn local(cx: &Context, path: &Path) -> PathBuf {
    cx.search.last().map_or_else(|| path.to_owned(), |folder| folder.join(path))
}

impl BundledImage {
    fn reference(&self, built: &BuiltImage) -> anyhow::Result<Reference> {
        format!("{}:{}", self.name, built.tag).parse().context("the image's name")
    }
}

impl ControllerModule for BundledImage {
    type Drift = BuiltImage;

    /// Builds, in check mode as well: whether the engine has the image is only known then, and the host does not change by it.
    async fn check(&self, cx: &Context, host: &dyn Access) -> anyhow::Result<Verdict<BuiltImage>> {
        let built = build(cx, host, &self.name, &self.package, self.port).await?;
        let reference = self.reference(&built)?;
        let outcome = Outcome::ok().with("image", reference.familiar()).with("tag", built.tag.as_str());
        let asked = engine::with(host, |docker| {
            let (image, names) = (&built.image, std::slice::from_ref(&reference));
            async move { present(&docker, image, names).await }
        });
        match asked.await {
            Ok(Some(id)) => Ok(Verdict::Converged(outcome.with("image_id", id))),
            Ok(None) => Ok(Verdict::Drift { drift: built, outcome }),
            // A plan may come before there is an engine.
            Err(error) if cx.check_mode => {
                Ok(Verdict::Drift { drift: built, outcome: outcome.message(format!("no engine was asked: {error:#}")) })
            }
            Err(error) => Err(error),
        }
    }

    async fn apply(&self, built: BuiltImage, _: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        let reference = self.reference(&built)?;
        let shown = reference.familiar();
        host.progress("bringing the image to the host");
        let delivery =
            engine::with(host, |docker| async move { deliver(&docker, &built.image, &[reference]).await }).await?;
        let mut outcome = Outcome::ok()
            .with("image", shown)
            .with("tag", built.tag)
            .with("image_id", delivery.id.as_str())
            .with("bytes", delivery.bytes)
            .with("layers_sent", delivery.sent.len())
            .with("layers_present", delivery.present.len());
        outcome.changed = delivery.changed();
        Ok(outcome)
    }
}
