//! An image out of an engine: `GET /images/ID/get`, its layers compressed the way ours are, so that the same image gives the same digest.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::image::{Engine, Image, Layer};

/// Gets an image; its layers are compressed on all cores and held in memory.
///
/// # Errors
/// The engine does not give it, or there is no room for it.
pub async fn export(engine: &Engine, id: &str) -> Result<Image> {
    let archive = Archive::read(fetch(engine, id).await?)?;
    let list: Value = serde_json::from_slice(&archive.bytes(Path::new("manifest.json"))?).context("manifest.json")?;
    let entry = &list[0];
    let config = archive.bytes(Path::new(entry["Config"].as_str().context("the archive names no config")?))?;
    let history = history(&config)?;
    let paths = entry["Layers"].as_array().context("the archive names no layers")?;
    ensure!(!paths.is_empty(), "the image has no layers: a registry takes none such");
    let archive = Arc::new(archive);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let layers = paths.iter().enumerate().map(|(number, path)| {
        let path = PathBuf::from(path.as_str().unwrap_or_default());
        let (archive, created_by) = (archive.clone(), history.get(number).cloned().unwrap_or_default());
        async move {
            let compressed = tokio::task::spawn_blocking(move || {
                Layer::of(|| archive.open(&path), &created_by).with_context(|| format!("the layer {}", path.display()))
            });
            compressed.await?
        }
    });
    let layers: Vec<Layer> = stream::iter(layers.collect::<Vec<_>>()).buffered(cores).try_collect().await?;
    let parsed: Value = serde_json::from_slice(&config).context("the image's config")?;
    let known = parsed["rootfs"]["diff_ids"].as_array().map(Vec::as_slice).unwrap_or_default();
    let same = known.len() == layers.len()
        && known.iter().zip(&layers).all(|(known, layer)| known.as_str() == Some(layer.diff_id.as_str()));
    ensure!(same, "the engine gave other layers than the image's config names");
    let labels = parsed["config"]["Labels"].as_object().into_iter().flatten();
    let annotations = labels
        .filter(|(name, _)| name.starts_with("org.opencontainers.image."))
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect();
    Image::of(config, layers, &annotations)
}

/// The archive in a file that has no name any more.
async fn fetch(engine: &Engine, id: &str) -> Result<File> {
    const ROOM: &str = "the image can't be kept in the folder of temporary files (TMPDIR)";
    let mut file = tokio::fs::File::from_std(tempfile::tempfile().context(ROOM)?);
    let mut answer = std::pin::pin!(engine.docker.export_image(id));
    while let Some(piece) = answer.next().await {
        file.write_all(&piece.context("the engine does not give the image")?).await.context(ROOM)?;
    }
    file.flush().await.context(ROOM)?;
    Ok(file.into_std().await)
}

/// What history says about each layer.
fn history(config: &[u8]) -> Result<Vec<String>> {
    let config: Value = serde_json::from_slice(config).context("the image's config")?;
    let entries = config["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    let with_layer = entries.iter().filter(|entry| entry["empty_layer"] != Value::Bool(true));
    Ok(with_layer.map(|entry| entry["created_by"].as_str().unwrap_or_default().to_owned()).collect())
}

/// A tar whose files are read where they lie.
struct Archive {
    file: Arc<File>,
    places: HashMap<PathBuf, Place>,
}

enum Place {
    /// Offset and size in bytes.
    At(u64, u64),
    Link(PathBuf),
}

impl Archive {
    fn read(mut file: File) -> Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let mut places = HashMap::new();
        for entry in tar::Archive::new(&file).entries_with_seek()? {
            let entry = entry.context("the engine's archive is broken")?;
            let path = entry.path()?.into_owned();
            if let Some(target) = entry.link_name()? {
                let folder = path.parent().unwrap_or(Path::new(""));
                places.insert(path.clone(), Place::Link(resolved(&folder.join(target))));
            } else if entry.header().entry_type().is_file() {
                places.insert(path, Place::At(entry.raw_file_position(), entry.size()));
            }
        }
        Ok(Self { file: Arc::new(file), places })
    }

    fn open(&self, path: &Path) -> Result<Part> {
        let missing = || format!("the engine's archive has no {}", path.display());
        let mut place = self.places.get(path).with_context(missing)?;
        // An engine names a layer that is there twice by a link; links to links are not written.
        if let Place::Link(target) = place {
            place = self.places.get(target).with_context(missing)?;
        }
        let Place::At(offset, size) = place else { anyhow::bail!(missing()) };
        Ok(Part { file: self.file.clone(), offset: *offset, left: *size })
    }

    fn bytes(&self, path: &Path) -> Result<Bytes> {
        let mut bytes = Vec::new();
        self.open(path)?.read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Without `..`.
fn resolved(path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(whole.pop()),
            Component::Normal(name) => whole.push(name),
            _ => {}
        }
    }
    whole
}

/// A part of a file.
struct Part {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
