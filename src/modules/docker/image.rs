//! `crudctl_image`: an image that is built here, brought to the host's engine without a registry.

use std::path::PathBuf;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;

use super::engine;
use crate::image::{Reference, ServiceImage, deliver};
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
    async fn deliver(&self, cx: &Context, host: &dyn Access) -> anyhow::Result<(Outcome, String)> {
        let package = if self.package.is_absolute() {
            self.package.clone()
        } else {
            cx.search.last().map_or_else(|| self.package.clone(), |dir| dir.join(&self.package))
        };
        let service = ServiceImage { package, title: self.name.clone(), port: self.port };
        host.progress("building the image");
        let built = service
            .build(|line| {
                if !line.trim().is_empty() {
                    host.progress(line.trim());
                }
            })
            .await
            .context("the image could not be built")?;
        let reference: Reference = format!("{}:{}", self.name, built.tag).parse().context("the image's name")?;
        let shown = reference.familiar();
        if cx.check_mode {
            let outcome = Outcome::ok().with("image", shown.as_str()).with("tag", built.tag);
            return Ok((outcome, shown));
        }
        host.progress("bringing the image to the host");
        let delivery =
            engine::with(host, |docker| async move { deliver(&docker, &built.image, &[reference]).await }).await?;
        let mut outcome = Outcome::ok()
            .with("image", shown.as_str())
            .with("tag", built.tag)
            .with("image_id", delivery.id.as_str())
            .with("bytes", delivery.bytes)
            .with("layers_sent", delivery.sent.len())
            .with("layers_present", delivery.present.len());
        outcome.changed = delivery.changed();
        Ok((outcome, shown))
    }
}

impl ControllerModule for BundledImage {
    type Drift = ();

    async fn check(&self, cx: &Context, _host: &dyn Access) -> anyhow::Result<Verdict<()>> {
        if cx.check_mode {
            // Whether the engine has it is only known once it is built; the build belongs to the apply.
            let outcome =
                Outcome::ok().with("image", format!("{}:known after apply", self.name)).message("known after apply");
            return Ok(Verdict::Drift { drift: (), outcome });
        }
        Ok(Verdict::Drift { drift: (), outcome: Outcome::default() })
    }

    async fn apply(&self, (): (), cx: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        Ok(self.deliver(cx, host).await?.0)
    }
}
