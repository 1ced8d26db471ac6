//! Names of images as the engines understand them (the distribution project's reference grammar).

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};

use super::Digest;

/// The registry that a name without one means.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// `[registry/]path[:tag][@digest]`, with the defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// `docker.io`, `registry.example.org:5000`.
    pub registry: String,
    /// `library/employees`, `team/app`.
    pub path: String,
    /// The tag, where one was named.
    pub tag: Option<String>,
    /// The digest, where one was named.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The name as engines list it: without `docker.io/` and `library/`, without tag and digest.
    pub fn familiar_name(&self) -> String {
        if self.registry == DEFAULT_REGISTRY {
            self.path.strip_prefix("library/").unwrap_or(&self.path).to_owned()
        } else {
            format!("{}/{}", self.registry, self.path)
        }
    }

    /// `familiar_name` with tag (`latest` where neither tag nor digest is named) and digest.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    /// The same with `docker.io/library/` written out, as containerd names images.
    pub fn canonical(&self) -> String {
        format!("{}/{}{}", self.registry, self.path, self.suffix())
    }

    /// The same name with another tag and no digest.
    #[must_use]
    pub fn with_tag(&self, tag: &str) -> Self {
        Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() }
    }

    /// The tag, or `latest`.
    pub fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    fn suffix(&self) -> String {
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => format!(":{tag}@{digest}"),
            (None, Some(digest)) => format!("@{digest}"),
            (tag, None) => format!(":{}", tag.as_deref().unwrap_or("latest")),
        }
    }
}

impl FromStr for Reference {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        // A colon is a tag's only after the last slash: before it, it is a port's.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            _ => (rest, None),
        };
        if let Some(tag) = &tag {
            ensure!(is_tag(tag), "`{tag}` in `{text}` is not a tag (letters, digits, `_`, `.`, `-`, at most 128)");
        }
        let (registry, path) = split_registry(name);
        let path = if registry == DEFAULT_REGISTRY && !path.contains('/') {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        if let Some(part) = path.split('/').find(|part| !is_component(part)) {
            if part.chars().any(char::is_uppercase) {
                bail!("`{text}` is not an image name: repository names are lower case");
            }
            bail!("`{text}` is not an image name: `{part}` is not a valid part of it");
        }
        Ok(Self { registry: registry.to_owned(), path, tag, digest })
    }
}

/// The first part is a registry when it could not be a directory: it has a dot or a port, or is `localhost`.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some(("index.docker.io", path)) => (DEFAULT_REGISTRY, path),
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => (first, path),
        _ => (DEFAULT_REGISTRY, name),
    }
}

/// Whether `text` is a tag: `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
pub fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && !text.is_empty()
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// Lower-case letters and digits, separated by one `.`, one or two `_`, or any number of `-`.
fn is_component(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().zip(bytes.last()).is_some_and(|(a, b)| alphanumeric(*a) && alphanumeric(*b));
    ends && part
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_their_defaults() {
        for (text, canonical, familiar) in [
            ("employees", "docker.io/library/employees:latest", "employees:latest"),
            ("team/app:1.2", "docker.io/team/app:1.2", "team/app:1.2"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("127.0.0.1:5055/a/b:x", "127.0.0.1:5055/a/b:x", "127.0.0.1:5055/a/b:x"),
            ("reg.example.org/app", "reg.example.org/app:latest", "reg.example.org/app:latest"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!((reference.canonical(), reference.familiar()), (canonical.to_owned(), familiar.to_owned()));
        }
    }

    #[test]
    fn digests_are_kept() {
        let text = format!("reg.example.org:5000/app@{}", Digest::of(b""));
        assert_eq!(text.parse::<Reference>().unwrap().familiar(), text);
    }

    #[test]
    fn bad_names_are_refused() {
        for bad in ["", "UPPER", "a//b", "a:", "a:-x", "-a", "a@sha256:1", "a b", "a/.b", "a:b:c d", "reg.example.org/"]
        {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
