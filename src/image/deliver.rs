//! Ships an image to an engine: nothing when it is there, only its name when just that is missing, else the layers that are missing.
//!
//! No registry takes part: the tar of [`archive`](super::archive) goes through the engine's own API (`POST /images/load`), over whatever
//! stream reaches it. Two engines behave differently:
//!
//! - the classic store knows layers by their chain of diff ids and skips those in the tar, contained or not. Which it has is read from
//!   images of the same title (earlier versions of the service), so that a new version sends its binary and not the base.
//! - the containerd store wants all blobs of the tar, so it gets all of them.
//!
//! A registry served by us, which the engine pulls from through a reverse forward, would save the second case its base layer (130 kB), at
//! the price of depending on `AllowTcpForwarding` and on the engine's network; so it was not built.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use bollard::Docker;
use bollard::models::ImageInspect;
use bollard::query_parameters::{ImportImageOptions, ListImagesOptionsBuilder, TagImageOptionsBuilder};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future, stream};

use super::archive::docker_archive;
use super::{Digest, Image, Reference};

/// The label that names a service; images which carry the same are looked at for layers.
pub const TITLE: &str = "org.opencontainers.image.title";

/// How many images of the same title are asked for their layers: the last few releases are enough.
const LOOKED_AT: usize = 5;

/// What a delivery did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What the engine calls the image.
    pub id: String,
    /// Names that did not point to it before.
    pub tagged: Vec<String>,
    /// Layers that were sent, by diff id.
    pub sent: Vec<Digest>,
    /// Layers that the engine had.
    pub present: Vec<Digest>,
    /// Bytes that were sent, the envelope included; 0 when the image was there.
    pub bytes: u64,
}

impl Delivery {
    /// Whether anything had to be done.
    pub fn changed(&self) -> bool {
        self.bytes > 0 || !self.tagged.is_empty()
    }
}

/// The engine's id of `image`, where all of `names` mean it.
pub async fn present(engine: &Docker, image: &Image, names: &[Reference]) -> Result<Option<String>> {
    let mut id = None;
    for name in names {
        match inspect(engine, &name.familiar()).await?.filter(|found| is(found, image)) {
            Some(found) => id = found.id,
            None => return Ok(None),
        }
    }
    Ok(id)
}

/// Makes `names` mean `image` in the engine. An unchanged image costs one request for each name.
pub async fn deliver(engine: &Docker, image: &Image, names: &[Reference]) -> Result<Delivery> {
    ensure!(!names.is_empty(), "an image needs a name to be delivered under");
    let mut missing = Vec::new();
    let mut id = None;
    for name in names {
        match inspect(engine, &name.familiar()).await?.filter(|found| is(found, image)) {
            Some(found) => id = found.id,
            None => missing.push(name),
        }
    }
    let present = || image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
    if missing.is_empty() {
        let id = id.context("the engine named an image without an id")?;
        return Ok(Delivery { id, tagged: vec![], sent: vec![], present: present(), bytes: 0 });
    }
    if let Some(found) = find(engine, image).await? {
        tag(engine, &found, &missing).await?;
        let tagged = missing.iter().map(|name| name.familiar()).collect();
        return Ok(Delivery { id: found, tagged, sent: vec![], present: present(), bytes: 0 });
    }
    let known = known_layers(engine, image).await?;
    send(engine, image, names, known).await
}

/// The engine's id of `image`, if it has it under any name.
async fn find(engine: &Docker, image: &Image) -> Result<Option<String>> {
    for digest in [&image.config_digest, &image.manifest_digest] {
        if let Some(found) = inspect(engine, digest.as_str()).await? {
            return Ok(found.id);
        }
    }
    Ok(None)
}

/// The classic store's id is the config's digest, the containerd store's is the manifest's.
fn is(found: &ImageInspect, image: &Image) -> bool {
    let id = found.id.as_deref().unwrap_or_default();
    id == image.config_digest.as_str() || id == image.manifest_digest.as_str()
}

async fn send(engine: &Docker, image: &Image, names: &[Reference], known: usize) -> Result<Delivery> {
    let (mut skip, mut bytes) = (known, 0);
    loop {
        let archive = docker_archive(image, names, skip)?;
        bytes += archive.iter().map(|piece| piece.len() as u64).sum::<u64>();
        match load(engine, archive).await {
            // The layers went away between the question and now, or belong to a store that cannot share them: send everything.
            Err(error) if skip > 0 && is_missing_layer(&error) => skip = 0,
            Err(error) => return Err(error).context("the engine did not accept the image"),
            Ok(()) => break,
        }
    }
    let found = inspect(engine, &names[0].familiar()).await?;
    let Some(found) = found.filter(|found| is(found, image)) else {
        bail!("the engine took the image {} but does not list it as `{}`", image.config_digest.short(), names[0]);
    };
    let diff_ids = |layers: &[super::Layer]| layers.iter().map(|layer| layer.diff_id.clone()).collect();
    Ok(Delivery {
        id: found.id.unwrap_or_default(),
        tagged: names.iter().map(Reference::familiar).collect(),
        sent: diff_ids(&image.layers[skip..]),
        present: diff_ids(&image.layers[..skip]),
        bytes,
    })
}

fn is_missing_layer(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    text.contains("no such file or directory") || text.contains("not found")
}

/// Sends a tar to `POST /images/load` and reads the engine's reply to its end.
pub async fn load(engine: &Docker, archive: Vec<Bytes>) -> Result<()> {
    let pieces = stream::iter(archive.into_iter().map(Ok::<_, std::io::Error>));
    let options = ImportImageOptions { quiet: true, ..Default::default() };
    let mut reply = engine.import_image_stream(options, pieces, None);
    while let Some(line) = reply.next().await {
        line?;
    }
    Ok(())
}

/// Names an image.
///
/// # Errors
/// The engine has no such image, or refuses the name.
pub async fn tag(engine: &Docker, id: &str, names: &[&Reference]) -> Result<()> {
    for name in names {
        let options = TagImageOptionsBuilder::default().repo(&name.familiar_name()).tag(name.tag_or_latest()).build();
        engine.tag_image(id, Some(options)).await.with_context(|| format!("cannot name the image `{name}`"))?;
    }
    Ok(())
}

/// How many of the lowest layers the engine has for certain.
async fn known_layers(engine: &Docker, image: &Image) -> Result<usize> {
    let Some(title) = title_of(image) else { return Ok(0) };
    let filters = HashMap::from([("label".to_owned(), vec![format!("{TITLE}={title}")])]);
    let options = ListImagesOptionsBuilder::default().all(true).filters(&filters).build();
    let mut images = engine.list_images(Some(options)).await.context("cannot list the engine's images")?;
    images.sort_by_key(|image| std::cmp::Reverse(image.created));
    let found: Vec<_> = stream::iter(images.iter().take(LOOKED_AT))
        .then(|summary| inspect(engine, &summary.id))
        .try_filter_map(|found| future::ok(found.and_then(|image| image.root_fs).and_then(|root| root.layers)))
        .try_collect()
        .await?;
    Ok(found.iter().map(|layers| shared(layers, image)).max().unwrap_or(0))
}

fn shared(layers: &[String], image: &Image) -> usize {
    layers.iter().zip(&image.layers).take_while(|(theirs, ours)| *theirs == ours.diff_id.as_str()).count()
}

fn title_of(image: &Image) -> Option<String> {
    let config: serde_json::Value = serde_json::from_slice(&image.config).ok()?;
    Some(config["config"]["Labels"][TITLE].as_str()?.to_owned())
}

/// What the engine says about an image, or `None` where it has no such image.
pub async fn inspect(engine: &Docker, name: &str) -> Result<Option<ImageInspect>> {
    match engine.inspect_image(name).await {
        Ok(image) => Ok(Some(image)),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot inspect the image `{name}`")),
    }
}
