//! Sends an image: only what the registry lacks, the tag last.

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::blob::Arrival;
use super::client::Registry;
use super::manifest::Manifest;
use crate::image::{Digest, Image, oci};

/// Blobs that travel at a time.
const PARALLEL: usize = 4;

/// What a push did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Pushed {
    /// Blobs that were sent.
    pub uploaded: Vec<Digest>,
    /// Blobs that the registry took from another repository.
    pub mounted: Vec<Digest>,
    /// Blobs that were there.
    pub present: Vec<Digest>,
    /// Tags that did not name the image before.
    pub tagged: Vec<String>,
    /// Bytes of the blobs that were sent.
    pub bytes: u64,
}

impl Pushed {
    /// Whether anything had to be done.
    pub fn changed(&self) -> bool {
        !(self.uploaded.is_empty() && self.mounted.is_empty() && self.tagged.is_empty())
    }
}

/// The tags that do not name the image yet.
///
/// # Errors
/// The registry refuses, or can't be reached.
pub async fn missing_tags(
    registry: &Registry,
    repository: &str,
    tags: &[String],
    image: &Image,
) -> Result<Vec<String>> {
    let ask = |tag: String| async move {
        let there = registry.manifest_digest(repository, &tag).await?;
        anyhow::Ok((there.as_ref() != Some(&image.manifest_digest)).then_some(tag))
    };
    let asked = stream::iter(tags.iter().cloned()).map(ask).buffered(PARALLEL);
    asked.try_filter_map(|tag| async move { Ok(tag) }).try_collect().await
}

/// Makes `tags` of a repository name the image. `from` are repositories of the same registry that may have its layers.
///
/// The tags are set after every blob is there, so a push that breaks off leaves them as they were.
///
/// # Errors
/// The registry refuses, can't be reached, or has something else than was sent.
pub async fn push(
    registry: &Registry,
    repository: &str,
    tags: &[String],
    image: &Image,
    from: Option<&str>,
) -> Result<Pushed> {
    let blobs: Vec<_> = image
        .layers
        .iter()
        .map(|layer| (layer.digest.clone(), layer.blob.clone()))
        .chain([(image.config_digest.clone(), image.config.clone())])
        .collect();
    let missing = missing_tags(registry, repository, tags, image).await?;
    let mut pushed = Pushed { tagged: missing.clone(), ..Pushed::default() };
    // A registry that has a manifest has what it names.
    let complete = missing.len() < tags.len()
        || registry.manifest_digest(repository, image.manifest_digest.as_str()).await?.is_some();
    if complete {
        pushed.present = blobs.into_iter().map(|(digest, _)| digest).collect();
    } else {
        let bring = |(digest, blob): (Digest, bytes::Bytes)| async move {
            let arrival = registry.bring_blob(repository, &digest, &blob, from).await?;
            anyhow::Ok((arrival, digest, blob.len() as u64))
        };
        let mut arrivals = stream::iter(blobs).map(bring).buffer_unordered(PARALLEL);
        while let Some((arrival, digest, size)) = arrivals.try_next().await? {
            match arrival {
                Arrival::Present => pushed.present.push(digest),
                Arrival::Mounted => pushed.mounted.push(digest),
                Arrival::Uploaded => {
                    pushed.uploaded.push(digest);
                    pushed.bytes += size;
                }
            }
        }
    }
    let manifest = Manifest {
        media_type: oci::MANIFEST.to_owned(),
        bytes: image.manifest.clone(),
        digest: image.manifest_digest.clone(),
    };
    for tag in &missing {
        registry.put_manifest(repository, tag, &manifest).await?;
    }
    Ok(pushed)
}
