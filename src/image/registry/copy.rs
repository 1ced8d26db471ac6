//! Carries an image from one repository to another, with every platform that it has; its digest stays.

use anyhow::{Context, Result};
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::blob::Arrival;
use super::client::Registry;
use super::manifest::Manifest;
use crate::image::Digest;

/// Blobs that travel at a time; each is held in memory.
const PARALLEL: usize = 2;

/// A registry and a repository in it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The registry.
    pub registry: &'a Registry,
    /// The repository's name.
    pub repository: &'a str,
}

/// Copies the manifest that `name` (tag or digest) means to `tag`. Gives its digest and the bytes of blobs that were sent.
///
/// # Errors
/// There is no such image, or a registry refuses.
pub async fn copy(from: Place<'_>, name: &str, to: Place<'_>, tag: &str) -> Result<(Digest, u64)> {
    let manifest = get(from, name).await?;
    let bytes = contents(from, to, &manifest).await?;
    to.registry.put_manifest(to.repository, tag, &manifest).await?;
    Ok((manifest.digest, bytes))
}

async fn get(from: Place<'_>, name: &str) -> Result<Manifest> {
    let manifest = from.registry.manifest(from.repository, name).await?;
    manifest.with_context(|| format!("there is no image {name} in {}/{}", from.registry.name, from.repository))
}

/// Brings what a manifest names.
fn contents<'a>(from: Place<'a>, to: Place<'a>, manifest: &'a Manifest) -> BoxFuture<'a, Result<u64>> {
    async move {
        let json = manifest.json()?;
        let list = |field: &str| json[field].as_array().cloned().unwrap_or_default();
        let mut bytes = 0;
        if manifest.is_index() {
            for part in list("manifests") {
                let part = get(from, digest_of(&part)?.as_str()).await?;
                bytes += contents(from, to, &part).await?;
                to.registry.put_manifest(to.repository, part.digest.as_str(), &part).await?;
            }
            return Ok(bytes);
        }
        let blobs = list("layers").into_iter().chain([json["config"].clone()]);
        let blobs = blobs.map(|blob| digest_of(&blob)).collect::<Result<Vec<_>>>()?;
        let sizes = stream::iter(blobs).map(|digest| bring(from, to, digest)).buffer_unordered(PARALLEL);
        sizes.try_fold(0, |sum, size| async move { Ok(sum + size) }).await
    }
    .boxed()
}

async fn bring(from: Place<'_>, to: Place<'_>, digest: Digest) -> Result<u64> {
    if to.registry.has_blob(to.repository, &digest).await? {
        return Ok(0);
    }
    let same = from.registry.name == to.registry.name;
    if same && to.registry.mount(to.repository, &digest, from.repository).await? {
        return Ok(0);
    }
    let blob = from.registry.blob(from.repository, &digest).await?;
    let arrival = to.registry.bring_blob(to.repository, &digest, &blob, None).await?;
    Ok(if arrival == Arrival::Uploaded { blob.len() as u64 } else { 0 })
}

fn digest_of(descriptor: &Value) -> Result<Digest> {
    Digest::parse(descriptor["digest"].as_str().unwrap_or_default()).context("the manifest names no usable digest")
}
