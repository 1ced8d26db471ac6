//! An image as files: an OCI layout directory, or one tar that is an OCI layout and a Docker archive at once.
//!
//! The tar has `manifest.json`, which engines with Docker's classic image store read (20.10 to 29 without the containerd store), and
//! `index.json` with `oci-layout`, which those with the containerd store, podman and skopeo read. Both point at the same blobs.
//!
//! A classic engine opens a layer's file only when it has no layer with that chain of diff ids, so the tar may lack the lowest layers which
//! an engine has: this was tried on dockerd 20.10, which says `open …: no such file or directory` when it does need one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::json;

use super::oci::{Descriptor, INDEX, MANIFEST};
use super::{Digest, Image, Reference};

/// The tar that `docker load` accepts, in pieces that can be sent one after the other without holding them twice.
/// The lowest `skip` layers are named in it and not contained.
pub fn docker_archive(image: &Image, names: &[Reference], skip: usize) -> Result<Vec<Bytes>> {
    let mut tar = Pieces::default();
    let mut written = BTreeSet::new();
    tar.directory("blobs/")?;
    tar.directory("blobs/sha256/")?;
    for layer in image.layers.iter().skip(skip) {
        if written.insert(&layer.digest) {
            tar.file(&blob_path(&layer.digest), layer.blob.clone())?;
        }
    }
    tar.file(&blob_path(&image.config_digest), image.config.clone())?;
    tar.file(&blob_path(&image.manifest_digest), image.manifest.clone())?;
    tar.file("index.json", index(image, names)?)?;
    tar.file("manifest.json", docker_manifest(image, names)?)?;
    tar.file("oci-layout", Bytes::from_static(LAYOUT))?;
    Ok(tar.finish())
}

/// Writes an OCI image layout into `directory`, which is made when it is missing. Blobs of the same name are kept, `index.json` is replaced.
pub async fn write_oci_layout(image: &Image, names: &[Reference], directory: &Path) -> Result<()> {
    let blobs = directory.join("blobs/sha256");
    tokio::fs::create_dir_all(&blobs).await.with_context(|| format!("cannot create {}", blobs.display()))?;
    for layer in &image.layers {
        write(&blobs.join(layer.digest.hex()), &layer.blob).await?;
    }
    write(&blobs.join(image.config_digest.hex()), &image.config).await?;
    write(&blobs.join(image.manifest_digest.hex()), &image.manifest).await?;
    write(&directory.join("oci-layout"), LAYOUT).await?;
    write(&directory.join("index.json"), &index(image, names)?).await
}

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

async fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    tokio::fs::write(path, bytes).await.with_context(|| format!("cannot write {}", path.display()))
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn index(image: &Image, names: &[Reference]) -> Result<Bytes> {
    let descriptor = |annotations| Descriptor {
        media_type: MANIFEST,
        digest: &image.manifest_digest,
        size: image.manifest.len(),
        annotations,
    };
    let mut manifests: Vec<_> = names
        .iter()
        .map(|name| {
            descriptor(Some(BTreeMap::from([
                ("io.containerd.image.name", name.canonical()),
                ("org.opencontainers.image.ref.name", name.tag_or_latest().to_owned()),
            ])))
        })
        .collect();
    if manifests.is_empty() {
        manifests.push(descriptor(None));
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    Ok(Bytes::from(serde_json::to_vec(&index).context("index.json")?))
}

fn docker_manifest(image: &Image, names: &[Reference]) -> Result<Bytes> {
    let entry = json!([{
        "Config": blob_path(&image.config_digest),
        "RepoTags": names.iter().map(Reference::familiar).collect::<Vec<_>>(),
        "Layers": image.layers.iter().map(|layer| blob_path(&layer.digest)).collect::<Vec<_>>(),
    }]);
    Ok(Bytes::from(serde_json::to_vec(&entry).context("manifest.json")?))
}

/// A tar as a list of pieces, so that blobs are shared and not copied.
#[derive(Default)]
struct Pieces(Vec<Bytes>);

impl Pieces {
    fn header(&mut self, name: &str, kind: tar::EntryType, mode: u32, size: usize) -> Result<()> {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path(name).with_context(|| format!("archive entry `{name}`"))?;
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size as u64);
        header.set_cksum();
        self.0.push(Bytes::copy_from_slice(header.as_bytes()));
        Ok(())
    }

    fn directory(&mut self, name: &str) -> Result<()> {
        self.header(name, tar::EntryType::Directory, 0o755, 0)
    }

    fn file(&mut self, name: &str, content: Bytes) -> Result<()> {
        self.header(name, tar::EntryType::Regular, 0o644, content.len())?;
        let padding = content.len().next_multiple_of(512) - content.len();
        self.0.push(content);
        self.0.push(Bytes::from_static(&ZEROS[..padding]));
        Ok(())
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.0.push(Bytes::from_static(&ZEROS));
        self.0.retain(|piece| !piece.is_empty());
        self.0
    }
}

/// The two empty blocks that end a tar.
static ZEROS: [u8; 1024] = [0; 1024];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::oci::tests::sample;

    fn names(pieces: &[Bytes]) -> Vec<String> {
        let bytes = pieces.concat();
        let mut archive = tar::Archive::new(bytes.as_slice());
        archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn skipped_layers_are_named_but_absent() {
        let image = sample("x");
        let reference = ["app:1".parse().unwrap()];
        let whole = docker_archive(&image, &reference, 0).unwrap();
        let part = docker_archive(&image, &reference, 1).unwrap();
        assert_eq!(names(&whole).len(), names(&part).len() + 1);
        let lowest = image.layers[0].digest.hex();
        assert!(names(&whole).iter().any(|name| name.ends_with(lowest)));
        assert!(!names(&part).iter().any(|name| name.ends_with(lowest)));
        let text = String::from_utf8_lossy(&part.concat()).into_owned();
        assert!(text.contains(&format!(r#""Layers":["blobs/sha256/{lowest}","#)), "{text}");
        assert!(text.contains(r#""RepoTags":["app:1"]"#) && text.contains("docker.io/library/app:1"));
    }

    #[tokio::test]
    async fn a_layout_names_the_manifest() {
        let directory = tempfile::tempdir().unwrap();
        let image = sample("x");
        write_oci_layout(&image, &["app:1".parse().unwrap()], directory.path()).await.unwrap();
        let index: serde_json::Value =
            serde_json::from_slice(&std::fs::read(directory.path().join("index.json")).unwrap()).unwrap();
        assert_eq!(index["manifests"][0]["digest"], image.manifest_digest.as_str());
        let manifest = directory.path().join("blobs/sha256").join(image.manifest_digest.hex());
        assert_eq!(std::fs::read(manifest).unwrap(), image.manifest);
    }
}
