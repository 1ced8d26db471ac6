//! The image of a service written in Rust: build it, put it over the base, label it with its commit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::build::{Built, CargoBuild};
use super::deliver::TITLE;
use super::{Healthcheck, Image, ImageSpec, LayerBuilder, Revision, base, oci};

/// The service as `crudctl.yaml` declares it.
#[derive(Debug, Clone)]
pub struct ServiceImage {
    /// `image.build.cargo`: the folder of the cargo package.
    pub package: PathBuf,
    /// `name`: the title of the image.
    pub title: String,
    /// `service.port`: the port that the image exposes and the server listens on.
    pub port: u16,
}

/// An image with what it was made from.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// The image.
    pub image: Image,
    /// `BRANCH-SHA[-dirty]`; `local-` and a part of the image's digest where the source is in no git repository.
    pub tag: String,
    /// The commit, where there is one.
    pub revision: Option<Revision>,
    /// The binary in it.
    pub binary: PathBuf,
}

impl ServiceImage {
    /// Compiles and assembles; `on_line` gets what cargo prints.
    pub async fn build(&self, on_line: impl FnMut(&str) + Send) -> Result<BuiltImage> {
        let revision = if self.package.is_dir() { Revision::of(&self.package).await? } else { None };
        let epoch = revision.as_ref().map_or(0, |revision| revision.time);
        let built = CargoBuild { package: self.package.clone(), binary: None, epoch }.run(on_line).await?;
        let image = self.assemble(&built, revision.as_ref()).await?;
        let tag = match &revision {
            Some(revision) => revision.tag(),
            None => format!("local-{}", image.config_digest.short()),
        };
        Ok(BuiltImage { image, tag, revision, binary: built.path })
    }

    async fn assemble(&self, built: &Built, revision: Option<&Revision>) -> Result<Image> {
        let binary =
            tokio::fs::read(&built.path).await.with_context(|| format!("cannot read {}", built.path.display()))?;
        let place = format!("/usr/local/bin/{}", built.name);
        let mut labels = labels(&self.title, revision)?;
        labels.insert("org.opencontainers.image.version".to_owned(), built.version.clone());
        let top = LayerBuilder::new().file(&place, 0o755, binary).build(&format!("crudctl: {place}"))?;
        Image::assemble(&ImageSpec {
            layers: vec![base::layer()?, top],
            architecture: built.architecture.clone(),
            created: revision.map_or(0, |revision| revision.time),
            user: format!("{0}:{0}", base::NONROOT),
            entrypoint: vec![place.clone()],
            command: vec![],
            env: BTreeMap::from([
                ("PATH".to_owned(), "/usr/local/bin".to_owned()),
                ("PORT".to_owned(), self.port.to_string()),
                ("SSL_CERT_FILE".to_owned(), base::CERTIFICATES.to_owned()),
            ]),
            ports: vec![self.port],
            working_directory: "/data".to_owned(),
            healthcheck: Some(Healthcheck {
                command: vec![place, "healthcheck".to_owned()],
                interval: Duration::from_secs(5),
                timeout: Duration::from_secs(3),
                start_period: Duration::from_secs(5),
                retries: 3,
            }),
            labels,
        })
    }
}

/// What an image says about itself: its title and the commit.
///
/// # Errors
/// The commit has an impossible time.
pub fn labels(title: &str, revision: Option<&Revision>) -> Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::from([(TITLE.to_owned(), title.to_owned())]);
    if let Some(revision) = revision {
        let dirty = if revision.dirty { "-dirty" } else { "" };
        labels.insert("org.opencontainers.image.revision".to_owned(), format!("{}{dirty}", revision.commit));
        labels.insert("org.opencontainers.image.created".to_owned(), oci::rfc3339(revision.time)?);
        if let Some(source) = &revision.source {
            labels.insert("org.opencontainers.image.source".to_owned(), source.clone());
        }
    }
    Ok(labels)
}
