//! Images that a Dockerfile describes, built by a container engine.
//!
//! A [`request`] does it: of BuildKit where the engine has it, which asks for files, logins and secrets over a [`session`], else of the classic
//! builder. [`export`] gets the image out of the engine, so that it goes to a registry the same way as every other one.

mod context;
pub mod export;
mod filesync;
mod ignore;
mod request;
mod session;
mod steps;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bollard::auth::DockerCredentials;

use super::Engine;
use super::reference::DEFAULT_REGISTRY;
use super::registry::{Credentials, Login};
use context::Files;
use filesync::Folders;
use request::Way;
use session::Session;
use steps::Log;

/// A build.
#[derive(Debug, Clone, Default)]
pub struct DockerfileBuild {
    /// The folder that `COPY` copies from, on this machine.
    pub context: PathBuf,
    /// The Dockerfile, in that folder or elsewhere.
    pub dockerfile: PathBuf,
    /// Names that the image gets in the engine; there may be none.
    pub names: Vec<String>,
    /// Values for `ARG`.
    pub args: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// What `RUN --mount=type=secret,id=…` gets.
    pub secrets: BTreeMap<String, SecretBytes>,
    /// The stage; none: the last.
    pub target: Option<String>,
    /// `linux/arm64`; none: the engine's.
    pub platform: Option<String>,
    /// Images whose layers may be used.
    pub cache_from: Vec<String>,
    /// Use no layer of an earlier build.
    pub no_cache: bool,
    /// Ask for base images anew.
    pub pull: bool,
    /// The network of `RUN`.
    pub network: Option<String>,
    /// `NAME:ADDRESS`, for `RUN`.
    pub hosts: Vec<String>,
    /// Bytes of `/dev/shm`.
    pub shm_size: Option<i64>,
}

/// A secret of a build; it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Arc<[u8]>);

impl SecretBytes {
    /// Keeps it.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }

    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes")
    }
}

/// What a build gave.
#[derive(Debug, Clone)]
pub struct BuiltDockerfile {
    /// The engine's id of the image.
    pub id: String,
    /// What the build said.
    pub log: String,
    /// Whether BuildKit did it.
    pub buildkit: bool,
}

/// Who logs in to the registries of base images.
#[derive(Debug, Clone)]
pub enum Logins {
    /// This machine's user, by Docker's configuration.
    Here(Credentials),
    /// These, by the names of registries as Docker keeps them.
    Known(HashMap<String, DockerCredentials>),
}

impl Logins {
    /// User and password for a registry's host; a token has no user.
    async fn find(&self, host: &str) -> Result<Option<(String, String)>> {
        let hub = host == "registry-1.docker.io" || host.contains("index.docker.io");
        let registry = if hub { DEFAULT_REGISTRY } else { host };
        match self {
            Self::Here(credentials) => Ok(credentials.find(registry).await?.map(|login| match login {
                Login::Password { user, password } => (user, password.expose().to_owned()),
                Login::Identity(token) => (String::new(), token.expose().to_owned()),
            })),
            Self::Known(all) => {
                let found = all.get(super::registry::credentials::key(registry));
                Ok(found.map(|login| {
                    (login.username.clone().unwrap_or_default(), login.password.clone().unwrap_or_default())
                }))
            }
        }
    }

    /// All of them, as the classic builder wants them beforehand.
    async fn all(&self) -> Result<HashMap<String, DockerCredentials>> {
        let credentials = match self {
            Self::Known(all) => return Ok(all.clone()),
            Self::Here(credentials) => credentials,
        };
        let mut all = HashMap::new();
        for name in credentials.registries() {
            let Some(login) = credentials.find(&name).await? else { continue };
            let key = super::registry::credentials::key(&name).to_owned();
            let mut entry = DockerCredentials { serveraddress: Some(key.clone()), ..DockerCredentials::default() };
            match login {
                Login::Password { user, password } => {
                    (entry.username, entry.password) = (Some(user), Some(password.expose().to_owned()));
                }
                Login::Identity(token) => entry.identitytoken = Some(token.expose().to_owned()),
            }
            all.insert(key, entry);
        }
        Ok(all)
    }
}

/// The name of a Dockerfile that isn't in the folder of the build.
const OUTSIDE: &str = ".dockerfile.crudctl";

impl DockerfileBuild {
    /// Builds; `on_line` gets what the steps say, as they say it.
    ///
    /// # Errors
    /// A step fails, a file can't be read, the engine does not answer.
    pub async fn run(
        &self,
        engine: &Engine,
        logins: Logins,
        on_line: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<BuiltDockerfile> {
        ensure!(self.context.is_dir(), "there is no folder {}", self.context.display());
        ensure!(self.dockerfile.is_file(), "there is no Dockerfile {}", self.dockerfile.display());
        let (root, dockerfile) = (self.context.clone(), self.dockerfile.clone());
        let files = Arc::new(tokio::task::spawn_blocking(move || Files::of(&root, &dockerfile)).await??);
        let mut log = Log::new(on_line, self.secrets.values());
        let session = if wants_buildkit() && engine.api_version().await? >= (1, 39) {
            let folders = Folders { dockerfile: Arc::new(self.own_files()?), context: files.clone() };
            // The engine keeps files by this key, so that the next build sends only what changed.
            let key = super::Digest::of(self.context.as_os_str().as_encoded_bytes());
            Session::open(engine, key.hex(), folders, logins.clone(), self.secrets.clone()).await?
        } else {
            None
        };
        let way = match &session {
            Some(session) => Way::BuildKit(session),
            None => {
                let dockerfile = self.dockerfile.clone();
                let (name, tar) = tokio::task::spawn_blocking(move || packed(&files, &dockerfile)).await??;
                Way::Classic(name, tar, logins.all().await?)
            }
        };
        let id = request::build(self, engine, way, &mut log).await?;
        Ok(BuiltDockerfile { id, log: log.into_text(), buildkit: session.is_some() })
    }

    fn own_files(&self) -> Result<Files> {
        let name = file_name(&self.dockerfile)?;
        let folder = self.dockerfile.parent().context("the Dockerfile is in no folder")?;
        Ok(Files::only(folder, &[PathBuf::from(&name), PathBuf::from(format!("{name}.dockerignore"))]))
    }
}

/// The tar, and the Dockerfile's name in it. The engine reads the Dockerfile from the tar, and takes out itself what `.dockerignore` names of
/// the two.
fn packed(files: &Files, dockerfile: &Path) -> Result<(String, File)> {
    let ignore = files.root.join(".dockerignore");
    let mut more = Vec::new();
    if ignore.is_file() && !files.has(Path::new(".dockerignore")) {
        more.push((".dockerignore", ignore.as_path()));
    }
    let inside = dockerfile.strip_prefix(&files.root).ok().map(|path| path.display().to_string());
    let name = inside.clone().unwrap_or_else(|| OUTSIDE.to_owned());
    if inside.is_none() || !files.has(Path::new(&name)) {
        more.push((&name, dockerfile));
    }
    let tar = files.pack(&more)?;
    Ok((name, tar))
}

/// `DOCKER_BUILDKIT=0` chooses the classic builder, as it does for Docker's client.
fn wants_buildkit() -> bool {
    std::env::var_os("DOCKER_BUILDKIT").is_none_or(|value| value != "0")
}

fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    Ok(name.context("the Dockerfile has a strange name")?.to_owned())
}
