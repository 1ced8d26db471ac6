//! The folder of a build: which of its files take part, and the tar of them that the classic builder wants.

use std::fs::{File, Metadata};
use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::ignore::Ignore;

/// What takes part in a build, in the order of its paths, folders before what is in them.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) root: PathBuf,
    pub(super) entries: Vec<Entry>,
}

/// A file, folder or link.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Relative to the root.
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
}

impl Files {
    /// The files of a folder without what its `.dockerignore` (or the Dockerfile's own, `NAME.dockerignore` beside it) names.
    ///
    /// # Errors
    /// Something can't be read.
    pub(super) fn of(root: &Path, dockerfile: &Path) -> Result<Self> {
        let own = PathBuf::from(format!("{}.dockerignore", dockerfile.display()));
        let path = if own.is_file() { own } else { root.join(".dockerignore") };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let ignore = Ignore::parse(&text).with_context(|| path.display().to_string())?;
        let mut files = Self { root: root.to_owned(), entries: Vec::new() };
        files.add(Path::new(""), &ignore)?;
        Ok(files)
    }

    /// Just these of a folder, as far as they are there.
    pub(super) fn only(root: &Path, names: &[PathBuf]) -> Self {
        let mut entries: Vec<_> = names
            .iter()
            .filter_map(|name| Some(Entry { path: name.clone(), metadata: root.join(name).symlink_metadata().ok()? }))
            .collect();
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        Self { root: root.to_owned(), entries }
    }

    fn add(&mut self, inside: &Path, ignore: &Ignore) -> Result<()> {
        let folder = self.root.join(inside);
        let failed = || format!("cannot read {}", folder.display());
        let mut entries: Vec<_> =
            std::fs::read_dir(&folder).with_context(failed)?.collect::<Result<_, _>>().with_context(failed)?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = inside.join(entry.file_name());
            let out = ignore.covers(&path);
            let metadata = entry.metadata().with_context(|| format!("cannot read {}", entry.path().display()))?;
            let kind = metadata.file_type();
            if kind.is_dir() {
                let before = self.entries.len();
                if !out || ignore.takes_in_again() {
                    self.entries.push(Entry { path: path.clone(), metadata });
                    self.add(&path, ignore)?;
                    // A folder that stays out is there only for what is taken in again.
                    if out && self.entries.len() == before + 1 {
                        self.entries.pop();
                    }
                }
            } else if !out && (kind.is_file() || kind.is_symlink()) {
                self.entries.push(Entry { path, metadata });
            }
        }
        Ok(())
    }

    /// Packs them into a file that has no name any more; `more` are files under names of their own. Owners are root.
    ///
    /// # Errors
    /// Something can't be read, or there is no room.
    pub(super) fn pack(&self, more: &[(&str, &Path)]) -> Result<File> {
        let file = tempfile::tempfile().context("no temporary file")?;
        let mut tar = tar::Builder::new(std::io::BufWriter::new(file));
        tar.follow_symlinks(false);
        for entry in &self.entries {
            let path = self.root.join(&entry.path);
            append(&mut tar, &path, &entry.path).with_context(|| format!("cannot pack {}", path.display()))?;
        }
        for (name, path) in more {
            append(&mut tar, path, Path::new(name)).with_context(|| format!("cannot pack {}", path.display()))?;
        }
        let mut file = tar.into_inner()?.into_inner().context("cannot pack the folder")?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }

    /// Whether a path takes part.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.entries.iter().any(|entry| entry.path == path)
    }
}

fn append<W: std::io::Write>(tar: &mut tar::Builder<W>, path: &Path, name: &Path) -> Result<()> {
    let metadata = path.symlink_metadata()?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&metadata);
    header.set_uid(0);
    header.set_gid(0);
    if metadata.is_symlink() {
        header.set_size(0);
        tar.append_link(&mut header, name, path.read_link()?)?;
    } else if metadata.is_dir() {
        header.set_size(0);
        tar.append_data(&mut header, name, std::io::empty())?;
    } else {
        tar.append_data(&mut header, name, File::open(path)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_files_stay_out_of_list_and_tar() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["a/keep", "a/other", "b/x", "c/d/e", "Dockerfile", "Other.dockerignore"] {
            std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            std::fs::write(root.join(path), path).unwrap();
        }
        std::fs::create_dir(root.join("empty")).unwrap();
        std::os::unix::fs::symlink("c", root.join("link")).unwrap();
        std::fs::write(root.join(".dockerignore"), "a\nb\n!a/keep\n.dockerignore\nDockerfile\n*.dockerignore\n")
            .unwrap();
        let names = |files: &Files| -> Vec<String> {
            files.entries.iter().map(|entry| entry.path.display().to_string()).collect()
        };
        let files = Files::of(root, &root.join("Dockerfile")).unwrap();
        assert_eq!(names(&files), ["a", "a/keep", "c", "c/d", "c/d/e", "empty", "link"]);
        assert!(!files.has(Path::new("Dockerfile")));
        // A Dockerfile's own list takes the other's place.
        let other = Files::of(root, &root.join("Other")).unwrap();
        assert_eq!(other.entries.len(), 12, "{other:?}");

        let tar = files.pack(&[("Dockerfile", &root.join("Dockerfile"))]).unwrap();
        let mut archive = tar::Archive::new(tar);
        let packed: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.path().unwrap().display().to_string(), entry.header().uid().unwrap())
            })
            .collect();
        assert_eq!(packed.len(), 8);
        assert_eq!(packed[7], ("Dockerfile".to_owned(), 0));
    }
}
