//! The project file, `crudctl.yaml`: what a service is called, how its image is made, where it runs.

pub mod kubernetes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::text::{Diagnostic, Source, parse, typed};

/// Its name.
pub const FILE: &str = "crudctl.yaml";

/// A project.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The service's name: of its containers, its database, its image.
    pub name: String,
    /// How its image is made.
    #[serde(default)]
    pub image: Image,
    /// Several images, by their names, in place of one: what `build-push` builds. The registry of `image` is theirs, too.
    #[serde(default)]
    pub images: BTreeMap<String, Image>,
    /// How it runs.
    #[serde(default)]
    pub service: Service,
    /// Its database.
    #[serde(default)]
    pub database: Database,
    /// The reverse proxy before it.
    #[serde(default)]
    pub proxy: Proxy,
    /// The container engine.
    #[serde(default)]
    pub docker: Docker,
    /// How it runs on a Kubernetes cluster (`deploy`).
    #[serde(default)]
    pub kubernetes: kubernetes::Kubernetes,
    /// Where it runs: `USER@ADDRESS[:PORT]`; none: this machine.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// An inventory, in place of `hosts`.
    #[serde(default)]
    pub inventory: Option<String>,
}

/// How an image is made.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// What is built.
    #[serde(default)]
    pub build: Build,
    /// Where `build-push` pushes it: `registry.example.org/team`; the image's name is put behind it.
    #[serde(default)]
    pub registry: Option<String>,
    /// Tags besides `BRANCH-SHA`, such as `latest`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Take any certificate of the registry, and plain HTTP where it has no TLS.
    #[serde(default)]
    pub insecure: bool,
    /// A file of certificates (PEM) that are trusted besides the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Paths whose changes `build-push --changed-since` looks for [default: the folder of the build].
    #[serde(default)]
    pub paths: Vec<PathBuf>,
}

/// What is built.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The folder of a cargo package, relative to the project.
    #[serde(default)]
    pub cargo: Option<PathBuf>,
}

/// How a service runs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The port that it listens on, in its container.
    #[serde(default = "port")]
    pub port: u16,
    /// Path of its health check.
    #[serde(default = "health")]
    pub health: String,
    /// Seconds within which a release must be well.
    #[serde(default = "timeout")]
    pub health_timeout: u64,
    /// Its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Names of variables that are taken from this process's environment and never shown.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Memory limit in bytes.
    #[serde(default)]
    pub memory: Option<i64>,
}

fn port() -> u16 {
    8080
}

fn health() -> String {
    "/readyz".into()
}

fn timeout() -> u64 {
    30
}

impl Default for Service {
    fn default() -> Self {
        Self {
            port: port(),
            health: health(),
            health_timeout: timeout(),
            env: BTreeMap::new(),
            secrets: vec![],
            memory: None,
        }
    }
}

/// Its database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Database {
    /// A file on a volume.
    #[default]
    Sqlite,
    /// PostgreSQL on the host, with a role, a database and a password of its own.
    Postgres,
}

impl Database {
    /// As the project file says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// The reverse proxy.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// The name that it answers to; none: every name.
    #[serde(default)]
    pub host: Option<String>,
    /// The port that it listens on.
    #[serde(default = "http")]
    pub port: u16,
    /// Certificate and key.
    #[serde(default)]
    pub tls: Option<Tls>,
}

fn http() -> u16 {
    80
}

impl Default for Proxy {
    fn default() -> Self {
        Self { host: None, port: http(), tls: None }
    }
}

/// Certificate and key, files of this machine.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate (chain), PEM.
    pub cert: PathBuf,
    /// The key, PEM.
    pub key: PathBuf,
}

/// The container engine.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Docker {
    /// Where Docker comes from, where the host has none.
    #[serde(default)]
    pub source: DockerSource,
}

/// Where Docker comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DockerSource {
    /// The distribution's package.
    #[default]
    Distribution,
    /// The packages of its makers.
    DockerCe,
}

impl DockerSource {
    /// As the project file says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Distribution => "distribution",
            Self::DockerCe => "docker-ce",
        }
    }
}

impl Project {
    /// Reads the project of a directory; one without a project file but with a `server/` package is the bundled service.
    ///
    /// # Errors
    /// There is neither, or the file is wrong.
    pub fn load(dir: &Path) -> Result<Self, Diagnostic> {
        let path = dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if dir.join("server/Cargo.toml").is_file() {
                    return Ok(Self::bundled());
                }
                return Err(Diagnostic::plain(format!("there is no {FILE} here, and no server/ with a cargo package"))
                    .hint("change to the project's directory, or write a crudctl.yaml: `name: employees` is enough"));
            }
            Err(error) => return Err(Diagnostic::plain(format!("could not read {}: {error}", path.display()))),
        };
        Self::read(&path, &text)
    }

    /// Reads the text of a project file.
    ///
    /// # Errors
    /// It is wrong.
    pub fn read(path: &Path, text: &str) -> Result<Self, Diagnostic> {
        let source = Source::new(path.display().to_string(), text);
        let node = parse(&source)?.first(&source);
        let project: Self = typed(&node)?;
        let valid = project.name.starts_with(|c: char| c.is_ascii_lowercase())
            && project.name.len() <= 40
            && project.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !valid {
            let place = node.get("name").map_or(&node.place, |n| &n.place);
            return Err(Diagnostic::error(format!("`{}` can't be a service's name", project.name), place).hint(
                "lower-case letters, digits and `_`, a letter first, at most 40 of them: it names a database role, too",
            ));
        }
        Ok(project)
    }

    fn bundled() -> Self {
        Self {
            name: "crud".into(),
            image: Image::default(),
            images: BTreeMap::new(),
            service: Service::default(),
            database: Database::default(),
            proxy: Proxy::default(),
            docker: Docker::default(),
            kubernetes: kubernetes::Kubernetes::default(),
            hosts: vec![],
            inventory: None,
        }
    }

    /// What `build-push` builds, by name.
    pub fn images(&self) -> Vec<(&str, &Image)> {
        if self.images.is_empty() {
            return vec![(&self.name, &self.image)];
        }
        self.images.iter().map(|(name, image)| (name.as_str(), image)).collect()
    }

    /// The folder of the cargo package.
    pub fn package(&self) -> PathBuf {
        self.image.package()
    }
}

impl Image {
    /// The paths whose changes make it another image; the project file and a lock file beside it are always among them.
    pub fn paths(&self) -> Vec<PathBuf> {
        let own = if self.paths.is_empty() { vec![self.package()] } else { self.paths.clone() };
        own.into_iter().chain([FILE.into(), "Cargo.lock".into()]).collect()
    }

    /// The folder of the cargo package.
    pub fn package(&self) -> PathBuf {
        self.build.cargo.clone().unwrap_or_else(|| PathBuf::from("server"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: &str) -> Result<Project, Diagnostic> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        Project::load(dir.path())
    }

    #[test]
    fn a_name_is_enough() {
        let p = project("name: employees\n").unwrap();
        assert_eq!((p.service.port, p.database, p.proxy.port), (8080, Database::Sqlite, 80));
        assert_eq!(p.package(), PathBuf::from("server"));
    }

    #[test]
    fn errors_point_at_the_file() {
        let error = project("name: a\ndatabse: sqlite\n").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean `database`?"));
        assert!(error.place.unwrap().to_string().ends_with("crudctl.yaml:2:1"));
        assert!(project("name: A-b\n").unwrap_err().message.contains("can't be a service's name"));
    }
}
