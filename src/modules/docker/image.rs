//! `crudctl_image`: an image that is built here, brought to the host's engine without a registry.

use std::path::PathBuf;

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

impl BundledImage {
    async fn build(&self, cx: &Context, host: &dyn Access) -> anyhow::Result<BuiltImage> {
        let package = if self.package.is_absolute() {
            self.package.clone()
        } else {
            cx.search.last().map_or_else(|| self.package.clone(), |dir| dir.join(&self.package))
        };
        let service = ServiceImage { package, title: self.name.clone(), port: self.port };
        host.progress("building the image");
        let built = service.build(|line| {
            if !line.trim().is_empty() {
                host.progress(line.trim());
            }
        });
        built.await.context("the image could not be built")
    }

    fn reference(&self, built: &BuiltImage) -> anyhow::Result<Reference> {
        format!("{}:{}", self.name, built.tag).parse().context("the image's name")
    }
}

impl ControllerModule for BundledImage {
    type Drift = BuiltImage;

    /// Builds, in check mode as well: whether the engine has the image is only known then, and the host does not change by it.
    async fn check(&self, cx: &Context, host: &dyn Access) -> anyhow::Result<Verdict<BuiltImage>> {
        let built = self.build(cx, host).await?;
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
