//! Which resources there are: those compiled in, what `CRUD_RESOURCES` adds, and what it selects.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use include_dir::{Dir, include_dir};

use super::read;
use crate::model::Resource;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/resources");

/// The resources by the words of `CRUD_RESOURCES`: a path (it has a `/` or ends in `.yml` or `.yaml`) adds a
/// declaration, or all those of a folder, in place of an embedded one of the same name; other words are names, and when
/// there are any, only these resources are served.
pub fn load(words: &[String]) -> anyhow::Result<Vec<Resource>> {
    let (paths, names): (Vec<&String>, Vec<&String>) =
        words.iter().filter(|word| !word.is_empty()).partition(|word| is_path(word));
    let mut resources = embedded()?;
    let mut added: Vec<(PathBuf, Resource)> = Vec::new();
    for path in paths {
        for file in files(Path::new(path))? {
            let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let resource = read(&file.display().to_string(), &stem(&file), &text)?;
            if let Some((other, _)) = added.iter().find(|(_, other)| other.name == resource.name) {
                bail!("{} and {} both declare `{}`", other.display(), file.display(), resource.name);
            }
            added.push((file, resource));
        }
    }
    for (_, resource) in added {
        match resources.iter_mut().find(|other| other.name == resource.name) {
            Some(other) => *other = resource,
            None => resources.push(resource),
        }
    }
    for name in &names {
        if !resources.iter().any(|resource| resource.name == **name) {
            let known: Vec<&str> = resources.iter().map(|resource| resource.name.as_str()).collect();
            bail!("there is no resource `{name}` (there are: {}); a file is named by its path", known.join(", "));
        }
    }
    if !names.is_empty() {
        resources.retain(|resource| names.contains(&&resource.name));
    }
    for (index, resource) in resources.iter().enumerate() {
        let same = |other: &&Resource| other.table.eq_ignore_ascii_case(&resource.table);
        if let Some(other) = resources[..index].iter().find(same) {
            bail!("the resources `{}` and `{}` have one table, `{}`", other.name, resource.name, resource.table);
        }
    }
    Ok(resources)
}

fn embedded() -> anyhow::Result<Vec<Resource>> {
    let mut files: Vec<_> = EMBEDDED.files().filter(|file| is_declaration(file.path())).collect();
    files.sort_by_key(|file| file.path());
    files
        .iter()
        .map(|file| {
            let path = Path::new("resources").join(file.path());
            let text = file.contents_utf8().with_context(|| format!("{} is not UTF-8", path.display()))?;
            Ok(read(&path.display().to_string(), &stem(&path), text)?)
        })
        .collect()
}

fn is_path(word: &str) -> bool {
    word.contains('/') || is_declaration(Path::new(word))
}

fn is_declaration(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yml" || end == "yaml")
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The file itself, or the declarations of a folder in the order of their names.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.with_context(|| format!("cannot read {}", path.display()))?;
    let mut files: Vec<PathBuf> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| is_declaration(path)).collect();
    files.sort();
    if files.is_empty() {
        bail!("there is no declaration (*.yml) in {}", path.display());
    }
    Ok(files)
}
