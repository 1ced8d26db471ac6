//! Layers as tars whose bytes are a function of their files' names, modes, owners and contents, and of nothing else.
//!
//! What usually makes two builds of a layer differ is fixed here: entries are sorted and appear once, times are the epoch, owners are numbers
//! without names, parent directories are always written, and the gzip header has neither a time nor a file name.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::Digest;

/// A finished layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What the history of the image says about it.
    pub created_by: String,
    /// The gzipped tar: the blob of the manifest.
    pub blob: Bytes,
    /// The digest of `blob`.
    pub digest: Digest,
    /// The digest of the tar before compression: what the image's config lists and engines know a layer by.
    pub diff_id: Digest,
    /// Bytes of the tar before compression.
    pub uncompressed: u64,
}

impl Layer {
    /// A layer whose tar is there, compressed as ours are; one that is gzipped already stays as it is. `open` gives it from its beginning.
    ///
    /// # Errors
    /// It can't be read, or is compressed in another way.
    pub fn of<R: Read>(open: impl Fn() -> Result<R>, created_by: &str) -> Result<Self> {
        let mut start = Vec::new();
        open()?.take(4).read_to_end(&mut start)?;
        ensure!(start != ZSTD, "it is compressed by zstd, which isn't supported: build its base image with gzip");
        if start.starts_with(&GZIP) {
            let mut blob = Vec::new();
            open()?.read_to_end(&mut blob)?;
            let plain = flate2::read::MultiGzDecoder::new(Cursor::new(&blob));
            let (hashing, _) = hashed(plain, std::io::sink())?;
            return Ok(Self::finished(created_by, blob, hashing));
        }
        let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
        let (hashing, gzip) = hashed(open()?, gzip)?;
        Ok(Self::finished(created_by, gzip.finish()?, hashing))
    }

    fn finished(created_by: &str, blob: Vec<u8>, (hasher, uncompressed): (Sha256, u64)) -> Self {
        let blob = Bytes::from(blob);
        Self {
            created_by: created_by.to_owned(),
            digest: Digest::of(&blob),
            blob,
            diff_id: Digest::finish(hasher),
            uncompressed,
        }
    }
}

/// Copies, and hashes what is copied.
fn hashed<W: Write>(mut from: impl Read, inner: W) -> Result<((Sha256, u64), W)> {
    let mut hashing = Hashing { inner, hasher: Sha256::new(), written: 0 };
    std::io::copy(&mut from, &mut hashing)?;
    Ok(((hashing.hasher, hashing.written), hashing.inner))
}

/// How files begin that are compressed by gzip (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How files begin that are compressed by zstd (RFC 8878).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

enum Content {
    Directory,
    File(Bytes),
    Link(String),
}

struct Entry {
    content: Content,
    mode: u32,
    owner: u32,
}

/// Collects the entries of a layer; the order in which they are added does not matter.
#[derive(Default)]
pub struct LayerBuilder {
    entries: BTreeMap<String, Entry>,
}

impl LayerBuilder {
    /// An empty layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A directory at the absolute `path`; `owner` is both the user's and the group's number.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32, owner: u32) -> Self {
        self.add(path, Entry { content: Content::Directory, mode, owner })
    }

    /// A file at the absolute `path`, owned by root.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, content: impl Into<Bytes>) -> Self {
        self.add(path, Entry { content: Content::File(content.into()), mode, owner: 0 })
    }

    /// A symbolic link at the absolute `path`.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.add(path, Entry { content: Content::Link(target.to_owned()), mode: 0o777, owner: 0 })
    }

    fn add(mut self, path: &str, entry: Entry) -> Self {
        let name = path.trim_matches('/').to_owned();
        let mut parent = name.as_str();
        while let Some((above, _)) = parent.rsplit_once('/') {
            parent = above;
            self.entries.entry(above.to_owned()).or_insert(Entry {
                content: Content::Directory,
                mode: 0o755,
                owner: 0,
            });
        }
        self.entries.insert(name, entry);
        self
    }

    /// Writes the tar and compresses it.
    pub fn build(self, created_by: &str) -> Result<Layer> {
        ensure!(!self.entries.is_empty(), "a layer needs at least one entry");
        let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::new(6));
        let mut archive = tar::Builder::new(Hashing { inner: gzip, hasher: Sha256::new(), written: 0 });
        for (name, entry) in &self.entries {
            append(&mut archive, name, entry).with_context(|| format!("layer entry `/{name}`"))?;
        }
        let Hashing { inner, hasher, written } = archive.into_inner()?;
        Ok(Layer::finished(created_by, inner.finish()?, (hasher, written)))
    }
}

fn append<W: Write>(archive: &mut tar::Builder<W>, name: &str, entry: &Entry) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.into());
    header.set_gid(entry.owner.into());
    header.set_mtime(0);
    header.set_size(0);
    match &entry.content {
        Content::Directory => {
            header.set_entry_type(EntryType::Directory);
            archive.append_data(&mut header, format!("{name}/"), std::io::empty())?;
        }
        Content::File(bytes) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes.as_ref())?;
        }
        Content::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            archive.append_link(&mut header, name, target)?;
        }
    }
    Ok(())
}

/// Hashes what passes through it, so that the uncompressed tar is never held as a whole.
struct Hashing<W> {
    inner: W,
    hasher: Sha256,
    written: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        let taken = self.inner.write(data)?;
        self.hasher.update(&data[..taken]);
        self.written += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn untar(layer: &Layer) -> Vec<(String, u32, u64, u64)> {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(layer.blob.as_ref()));
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
                (path, header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap())
            })
            .collect()
    }

    #[test]
    fn entries_are_sorted_with_their_parents_and_without_times() {
        let layer =
            LayerBuilder::new().file("/usr/bin/x", 0o755, "one").directory("/data", 0o750, 7).build("t").unwrap();
        let expected = [("data/", 0o750, 7), ("usr/", 0o755, 0), ("usr/bin/", 0o755, 0), ("usr/bin/x", 0o755, 0)];
        let expected: Vec<_> = expected.map(|(path, mode, owner)| (path.to_owned(), mode, owner, 0)).into();
        assert_eq!(untar(&layer), expected);
    }

    #[test]
    fn the_order_of_adding_does_not_show_and_a_byte_does() {
        let forward = LayerBuilder::new().file("/a", 0o644, "1").file("/b", 0o644, "2").build("x").unwrap();
        let backward = LayerBuilder::new().file("/b", 0o644, "2").file("/a", 0o644, "1").build("y").unwrap();
        let other = LayerBuilder::new().file("/a", 0o644, "1").file("/b", 0o600, "2").build("x").unwrap();
        assert_eq!(forward.blob, backward.blob);
        assert_ne!(forward.digest, other.digest);
    }

    #[test]
    fn diff_id_is_the_digest_of_the_tar_itself() {
        let layer = LayerBuilder::new().file("/a", 0o644, vec![7; 100_000]).build("x").unwrap();
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(layer.blob.as_ref()).read_to_end(&mut tar).unwrap();
        assert_eq!((Digest::of(&tar), tar.len() as u64), (layer.diff_id, layer.uncompressed));
    }

    #[test]
    fn a_tar_that_is_there_is_compressed_the_same_way() {
        let layer = LayerBuilder::new().file("/a", 0o644, vec![7; 100_000]).build("x").unwrap();
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(layer.blob.as_ref()).read_to_end(&mut tar).unwrap();
        for bytes in [tar.as_slice(), layer.blob.as_ref()] {
            let again = Layer::of(|| Ok(bytes), "x").unwrap();
            assert_eq!((&again.digest, &again.diff_id), (&layer.digest, &layer.diff_id));
            assert_eq!(again.uncompressed, layer.uncompressed);
        }
        assert!(Layer::of(|| Ok([0x28, 0xb5, 0x2f, 0xfd, 0].as_slice()), "x").is_err());
    }

    #[test]
    fn a_long_name_survives() {
        let name = format!("/{}/{}", "d".repeat(120), "f".repeat(150));
        let layer = LayerBuilder::new().file(&name, 0o644, "x").build("x").unwrap();
        assert_eq!(untar(&layer).last().unwrap().0, name[1..]);
    }
}
