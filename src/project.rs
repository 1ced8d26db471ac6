//! The project file, `crudctl.yaml`: what a service is called, how its image is made, where it runs.

pub mod kubernetes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Put a list of the crates in it beside it in the registry (CycloneDX); for a cargo package.
    #[serde(default)]
    pub sbom: bool,
    /// Say beside it in the registry how it was built (SLSA provenance, not signed).
    #[serde(default)]
    pub provenance: bool,
    /// Paths whose changes `build-push --changed-since` looks for [default: the folder of the build].
    #[serde(default)]
    pub paths: Vec<PathBuf>,
}

/// What is built: a cargo package, without a container engine; or what a Dockerfile says, by the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The folder of a cargo package, relative to the project [default: server, where there is no Dockerfile].
    #[serde(default)]
    pub cargo: Option<PathBuf>,
    /// A Dockerfile, relative to the project. What follows is for it alone.
    #[serde(default)]
    pub dockerfile: Option<PathBuf>,
    /// The folder that it copies from, relative to the project [default: the Dockerfile's].
    #[serde(default)]
    pub context: Option<PathBuf>,
    /// Values for its `ARG`s.
    #[serde(default)]
    pub args: BTreeMap<String, String>,
    /// What its `RUN --mount=type=secret,id=NAME` get, by their names.
    #[serde(default)]
    pub secrets: BTreeMap<String, BuildSecret>,
    /// The stage that becomes the image [default: the last].
    #[serde(default)]
    pub target: Option<String>,
    /// The platform, such as `linux/arm64` [default: the engine's].
    #[serde(default)]
    pub platform: Option<String>,
    /// Images whose layers may be used.
    #[serde(default)]
    pub cache_from: Vec<String>,
    /// Use no layer of an earlier build.
    #[serde(default)]
    pub no_cache: bool,
    /// Ask the registries for base images anew.
    #[serde(default)]
    pub pull: bool,
    /// The network of its `RUN`s: `host`, `none` [default: the engine's].
    #[serde(default)]
    pub network: Option<String>,
    /// Labels besides those about the commit.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Where a secret of a build comes from: one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildSecret {
    /// A variable of the environment.
    #[serde(default)]
    pub env: Option<String>,
    /// A file, relative to the project.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

impl Build {
    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// Parts that exclude each other.
    pub fn validate(&self) -> Result<(), String> {
        let bare = Self { cargo: self.cargo.clone(), ..Self::default() };
        if self.dockerfile.is_none() && *self != bare {
            return Err("only `cargo` can stand without `dockerfile`".to_owned());
        }
        if self.dockerfile.is_some() && self.cargo.is_some() {
            return Err("`cargo` and `dockerfile` exclude each other".to_owned());
        }
        let wrong = self.secrets.iter().find(|(_, secret)| secret.env.is_some() == secret.file.is_some());
        match wrong {
            Some((name, _)) => Err(format!("the secret `{name}` takes one of `env` and `file`")),
            None => Ok(()),
        }
    }

    /// The folder whose files it is made of.
    pub fn folder(&self) -> PathBuf {
        match &self.dockerfile {
            Some(dockerfile) => {
                let own = || dockerfile.parent().map_or_else(PathBuf::new, Path::to_owned);
                self.context.clone().unwrap_or_else(own)
            }
            None => self.cargo.clone().unwrap_or_else(|| PathBuf::from("server")),
        }
    }

    /// The same with every path made from the one of `place`.
    #[must_use]
    pub fn placed(mut self, place: impl Fn(&Path) -> PathBuf) -> Self {
        if self.dockerfile.is_some() {
            self.context = Some(place(&self.folder()));
        } else {
            self.cargo = Some(place(&self.folder()));
        }
        self.dockerfile = self.dockerfile.as_deref().map(&place);
        for secret in self.secrets.values_mut() {
            secret.file = secret.file.as_deref().map(&place);
        }
        self
    }
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
        for (name, image) in project.images() {
            if let Err(wrong) = image.build.validate() {
                let own = node.get("images").and_then(|images| images.get(name)).or_else(|| node.get("image"));
                let place = own.and_then(|image| image.get("build")).map_or(&node.place, |n| &n.place);
                return Err(Diagnostic::error(wrong, place));
            }
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
}

impl Image {
    /// The paths whose changes make it another image; the project file and a lock file beside it are always among them.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths = if self.paths.is_empty() { vec![self.build.folder()] } else { self.paths.clone() };
        paths.push(FILE.into());
        paths.push(self.build.dockerfile.clone().unwrap_or_else(|| "Cargo.lock".into()));
        paths
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
        assert_eq!(p.image.build.folder(), PathBuf::from("server"));
    }

    #[test]
    fn paths_of_a_dockerfile() {
        let p = project("name: a\nimage: {build: {dockerfile: src/api/Dockerfile}}\n").unwrap();
        let paths = p.image.paths();
        assert!(paths.contains(&"src/api".into()) && !paths.contains(&"Cargo.lock".into()), "{paths:?}");
        let placed = p.image.build.clone().placed(|path| Path::new("/p").join(path));
        assert_eq!(placed.context, Some("/p/src/api".into()));
        assert_eq!(placed.dockerfile, Some("/p/src/api/Dockerfile".into()));
        let p = project("name: a\nimage: {build: {dockerfile: Dockerfile}}\n").unwrap();
        assert_eq!(p.image.build.placed(|path| Path::new("/p").join(path)).context, Some("/p/".into()));
    }

    #[test]
    fn errors_point_at_the_file() {
        let error = project("name: a\ndatabse: sqlite\n").unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean `database`?"));
        assert!(error.place.unwrap().to_string().ends_with("crudctl.yaml:2:1"));
        let two = "name: a\nimage:\n  build: {cargo: x, dockerfile: y}\n";
        let error = project(two).unwrap_err();
        assert_eq!(error.message, "`cargo` and `dockerfile` exclude each other");
        assert!(error.place.unwrap().to_string().ends_with("crudctl.yaml:3:10"));
        assert!(project("name: a\nimage: {build: {target: x}}\n").is_err());
        let both = "name: a\nimage: {build: {dockerfile: D, secrets: {t: {}}}}\n";
        assert_eq!(project(both).unwrap_err().message, "the secret `t` takes one of `env` and `file`");
        assert!(project("name: A-b\n").unwrap_err().message.contains("can't be a service's name"));
    }
}
