//! `docker_image`: images of the host's engine.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use anyhow::Context as _;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters as query;
use bytes::Bytes;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{DockerHost, found, said};
use super::container_values::text;
use super::engine;
use crate::host::Script;
use crate::host::script::quote_path;
use crate::image::deliver::inspect;
use crate::image::{DockerfileBuild, Engine, Logins, Reference};
use crate::modules::{Access, Context, ControllerModule, Outcome, Verdict};

/// Pulls, builds or loads an image on the host's engine, names it anew, pushes, saves or removes it.
///
/// Registries are logged in to as `docker login` on the host did. A folder for a build is on this machine; it travels as a tar
/// (`.dockerignore` is honoured).
///
/// ```yaml
/// - docker_image:
///     name: docker.io/library/nginx:1.27
///     source: pull
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct DockerImage {
    /// The image: a name, with a tag or digest where `tag` isn't used.
    name: String,
    /// Where it comes from.
    #[serde(default)]
    source: Option<Source>,
    /// Whether the engine has it.
    #[serde(default)]
    state: State,
    /// Its tag.
    #[serde(default = "latest")]
    tag: String,
    /// Another name that it gets, and is pushed by.
    #[serde(default)]
    repository: Option<String>,
    /// Push it.
    #[serde(default)]
    push: bool,
    /// Get it anew even where the engine has it.
    #[serde(default)]
    force_source: bool,
    /// Name it anew even where another image has the name.
    #[serde(default)]
    force_tag: bool,
    /// Remove it even where containers use it.
    #[serde(default)]
    force_absent: bool,
    /// How it is built.
    #[serde(default)]
    build: Option<Build>,
    /// How it is pulled.
    #[serde(default)]
    pull: Option<PullOptions>,
    /// A tar that it is loaded from, on this machine (or the host, where only that has it).
    #[serde(default)]
    load_path: Option<String>,
    /// A tar that it is saved to, on the host.
    #[serde(default)]
    archive_path: Option<String>,
    /// Accepted: nothing is logged.
    #[serde(default)]
    #[expect(dead_code, reason = "nothing is logged")]
    debug: bool,
    /// Where the engine is.
    #[serde(default)]
    docker_host: DockerHost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Source {
    Build,
    Load,
    Local,
    Pull,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

pub(super) fn latest() -> String {
    "latest".to_owned()
}

/// How an image is pulled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PullOptions {
    /// The platform.
    #[serde(default)]
    platform: Option<String>,
}

/// How an image is built.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Build {
    /// The folder.
    path: PathBuf,
    /// The Dockerfile in it.
    #[serde(default)]
    dockerfile: Option<String>,
    /// Arguments of the build.
    #[serde(default)]
    args: BTreeMap<String, Value>,
    /// Labels of the image.
    #[serde(default)]
    labels: BTreeMap<String, Value>,
    /// Images whose layers may be used.
    #[serde(default)]
    cache_from: Vec<String>,
    /// Use no layers of earlier builds.
    #[serde(default)]
    nocache: bool,
    /// Pull the base images anew.
    #[serde(default)]
    pull: bool,
    /// Remove containers of the build.
    #[serde(default = "crate::modules::guarded::yes")]
    rm: bool,
    /// The network of the build.
    #[serde(default)]
    network: Option<String>,
    /// Names that the build resolves.
    #[serde(default)]
    etc_hosts: BTreeMap<String, String>,
    /// The platform.
    #[serde(default)]
    platform: Option<String>,
    /// The stage of the Dockerfile.
    #[serde(default)]
    target: Option<String>,
    /// The size of shared memory.
    #[serde(default)]
    shm_size: Option<String>,
}

/// What has to be done.
#[derive(Debug, Default)]
pub(super) struct Drift {
    get: bool,
    tag: Option<String>,
    push: Option<String>,
    archive: bool,
    remove: bool,
}

impl ControllerModule for DockerImage {
    type Drift = Drift;

    async fn check<'a>(&'a self, _: &'a Context, host: &'a dyn Access) -> anyhow::Result<Verdict<Drift>> {
        self.docker_host.ensure_own()?;
        anyhow::ensure!(
            self.source.is_some() || self.state == State::Absent,
            "state is present but all of the following are missing: source"
        );
        anyhow::ensure!(
            self.source != Some(Source::Build) || self.build.is_some(),
            "source is build but all of the following are missing: build"
        );
        let keeps = self.build.as_ref().is_some_and(|build| !build.rm);
        anyhow::ensure!(!keeps, "`rm: false` isn't supported: a build keeps no containers");
        anyhow::ensure!(
            self.source != Some(Source::Load) || self.load_path.is_some(),
            "source is load but all of the following are missing: load_path"
        );
        engine::with(host, |docker| async move {
            let name = self.full()?;
            let image = inspect(&docker, &name).await?;
            let shown = image.as_ref().map(serde_json::to_value).transpose()?.unwrap_or_else(|| json!({}));
            let outcome = Outcome::ok().with("image", shown);
            let mut drift = Drift::default();
            if self.state == State::Absent {
                drift.remove = image.is_some();
            } else {
                drift.get = match self.source {
                    Some(Source::Local) => {
                        anyhow::ensure!(image.is_some(), "Cannot find the image {name} locally.");
                        false
                    }
                    _ => image.is_none() || self.force_source,
                };
                if let Some(repository) = &self.repository {
                    let other = if repository.parse::<Reference>()?.tag.is_some() {
                        repository.clone()
                    } else {
                        format!("{repository}:{}", name.parse::<Reference>()?.tag_or_latest())
                    };
                    let tagged = inspect(&docker, &other).await?.and_then(|image| image.id);
                    let same = tagged.is_some() && tagged == image.as_ref().and_then(|image| image.id.clone());
                    if !same && (tagged.is_none() || self.force_tag || drift.get || tagged.is_some()) {
                        drift.tag = Some(other.clone());
                    }
                    drift.push = self.push.then_some(other);
                } else {
                    drift.push = self.push.then(|| name.clone());
                }
                drift.archive = self.archive_path.is_some();
            }
            let acts = drift.get || drift.tag.is_some() || drift.push.is_some() || drift.archive || drift.remove;
            Ok(if acts {
                Verdict::Drift { drift, outcome: Outcome { changed: true, ..outcome } }
            } else {
                Verdict::Converged(outcome)
            })
        })
        .await
    }

    async fn apply<'a>(&'a self, drift: Drift, cx: &'a Context, host: &'a dyn Access) -> anyhow::Result<Outcome> {
        engine::with_engine(host, |engine| async move {
            let docker = &engine.docker;
            let name = self.full()?;
            let before = inspect(docker, &name).await?.and_then(|image| image.id);
            let (mut actions, mut changed) = (Vec::new(), false);
            if drift.remove {
                let options = query::RemoveImageOptionsBuilder::default().force(self.force_absent).build();
                found(docker.remove_image(&name, Some(options), None).await)?;
                return Ok(Outcome::changed()
                    .with("actions", vec![format!("Removed image {name}")])
                    .with("image", json!({})));
            }
            let mut log = String::new();
            if drift.get {
                match self.source {
                    Some(Source::Build) => log = self.build(&engine, &name, cx, host).await?,
                    Some(Source::Load) => load(docker, self.load_path.as_deref().unwrap_or_default(), cx, host).await?,
                    _ => pull(docker, &name, self.pull.as_ref().and_then(|p| p.platform.as_deref()), host).await?,
                }
                actions.push(format!("Got image {name}"));
            }
            let image =
                inspect(docker, &name).await?.with_context(|| format!("the engine has no image {name} afterwards"))?;
            changed |= image.id != before;
            if let Some(other) = &drift.tag {
                name_anew(docker, &name, other).await?;
                actions.push(format!("Tagged image {name} to {other}"));
                changed = true;
            }
            if let Some(target) = &drift.push {
                changed |= push(docker, target, host).await?;
                actions.push(format!("Pushed image {target}"));
            }
            if drift.archive {
                let path = self.archive_path.as_deref().unwrap_or_default();
                if !holds(path, std::slice::from_ref(&image.id.clone().unwrap_or_default()), host).await? {
                    save(docker, std::slice::from_ref(&name), path, host).await?;
                    changed = true;
                }
            }
            let outcome = Outcome { changed, ..Outcome::ok() }
                .with("actions", actions)
                .with("image", serde_json::to_value(image)?);
            Ok(if log.is_empty() { outcome } else { outcome.with("stdout", log) })
        })
        .await
    }
}

impl DockerImage {
    /// The name with its tag.
    fn full(&self) -> anyhow::Result<String> {
        full_name(&self.name, &self.tag)
    }

    async fn build(&self, engine: &Engine, name: &str, cx: &Context, host: &dyn Access) -> anyhow::Result<String> {
        let build = self.build.as_ref().context("`build` is missing")?;
        let path = build.path.to_string_lossy();
        let folder = if build.path.is_dir() { build.path.clone() } else { cx.find_file("files", &path)? };
        let strings = |map: &BTreeMap<String, Value>| -> BTreeMap<String, String> {
            map.iter().map(|(name, value)| (name.clone(), text(value))).collect()
        };
        let work = DockerfileBuild {
            dockerfile: folder.join(build.dockerfile.as_deref().unwrap_or("Dockerfile")),
            context: folder,
            names: vec![name.to_owned()],
            args: strings(&build.args),
            labels: strings(&build.labels),
            target: build.target.clone(),
            platform: build.platform.clone(),
            cache_from: build.cache_from.clone(),
            no_cache: build.nocache,
            pull: build.pull,
            network: build.network.clone(),
            hosts: build.etc_hosts.iter().map(|(name, ip)| format!("{name}:{ip}")).collect(),
            shm_size: build.shm_size.as_deref().map(super::container_values::size).transpose()?,
            ..DockerfileBuild::default()
        };
        let logins = Logins::Known(credentials(host).await?);
        Ok(work.run(engine, logins, &|line| host.progress(line)).await?.log)
    }
}

/// Loads the images of a tar, of this machine or (where only that has it) of the host.
pub(super) async fn load(docker: &Docker, path: &str, cx: &Context, host: &dyn Access) -> anyhow::Result<()> {
    let bytes = if let Ok(local) = cx.find_file("files", path) {
        tokio::fs::read(&local).await.with_context(|| format!("cannot read {}", local.display()))?
    } else {
        read(path, host).await?
    };
    crate::image::deliver::load(docker, vec![Bytes::from(bytes)]).await
}

/// A file of the host.
async fn read(path: &str, host: &dyn Access) -> anyhow::Result<Vec<u8>> {
    let reply = host.run(Script::new(format!("cat {}", quote_path(path)))).await?;
    anyhow::ensure!(reply.status == 0, reply.failure(&format!("reading {path}, which isn't on this machine")));
    Ok(reply.stdout)
}

/// Whether a tar on the host has the images with these ids.
pub(super) async fn holds(path: &str, ids: &[String], host: &dyn Access) -> anyhow::Result<bool> {
    let path = quote_path(path);
    let mut script = format!("[ -f {path} ] && m=$(tar -xOf {path} manifest.json 2>/dev/null)");
    for id in ids {
        let id = crate::host::quote(id.trim_start_matches("sha256:"));
        script.push_str(&format!(" && case $m in *{id}*) ;; *) false;; esac"));
    }
    Ok(host.run(Script::new(script)).await?.status == 0)
}

/// Saves images to a tar on the host.
pub(super) async fn save(docker: &Docker, names: &[String], path: &str, host: &dyn Access) -> anyhow::Result<()> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let path = quote_path(path);
    let mut stream = std::pin::pin!(docker.export_images(&names));
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        bytes.extend_from_slice(&part.map_err(said)?);
    }
    let mut script = Script::new("");
    let upload = script.upload(bytes);
    script.text = format!("cat {upload} >{path}.crud && mv -f {path}.crud {path}");
    let reply = host.run(script).await?;
    anyhow::ensure!(reply.status == 0, reply.failure("saving the image"));
    Ok(())
}

/// A name with a tag, which counts where the name has none of its own.
///
/// # Errors
/// It is no name of an image.
pub(super) fn full_name(name: &str, tag: &str) -> anyhow::Result<String> {
    let reference: Reference = name.parse().with_context(|| format!("`{name}` is no name of an image"))?;
    let tagged = reference.tag.is_some() || reference.digest.is_some() || name.starts_with("sha256:");
    Ok(if tagged { name.to_owned() } else { format!("{name}:{tag}") })
}

/// Gives an image another name.
pub(super) async fn name_anew(docker: &Docker, image: &str, name: &str) -> anyhow::Result<()> {
    let reference: Reference = name.parse()?;
    let options = query::TagImageOptionsBuilder::default()
        .repo(&reference.familiar_name())
        .tag(reference.tag_or_latest())
        .build();
    docker.tag_image(image, Some(options)).await.map_err(said)
}

/// Pulls an image, as the host is logged in to its registry.
pub(super) async fn pull(
    docker: &Docker,
    image: &str,
    platform: Option<&str>,
    host: &dyn Access,
) -> anyhow::Result<()> {
    let reference: Reference = image.parse().with_context(|| format!("`{image}` is no name of an image"))?;
    let credentials = credentials(host).await?.remove(&registry_key(&reference.registry));
    let mut options = query::CreateImageOptionsBuilder::default().from_image(&reference.familiar());
    if let Some(platform) = platform {
        options = options.platform(platform);
    }
    let mut stream = std::pin::pin!(docker.create_image(Some(options.build()), None, credentials));
    let mut told = std::time::Instant::now();
    while let Some(part) = stream.next().await {
        let part = part.map_err(said).with_context(|| format!("Error pulling image {image}"))?;
        if let Some(error) = part.error_detail.and_then(|detail| detail.message) {
            anyhow::bail!("Error pulling image {image}: {error}");
        }
        if told.elapsed().as_secs() >= 2 {
            told = std::time::Instant::now();
            host.progress(&format!("pulling {image}: {}", part.status.unwrap_or_default()));
        }
    }
    Ok(())
}

/// Pushes an image; whether the registry got something new.
pub(super) async fn push(docker: &Docker, image: &str, host: &dyn Access) -> anyhow::Result<bool> {
    let reference: Reference = image.parse()?;
    let credentials = credentials(host).await?.remove(&registry_key(&reference.registry));
    let options = query::PushImageOptionsBuilder::default().tag(reference.tag_or_latest()).build();
    let mut stream = std::pin::pin!(docker.push_image(&reference.familiar_name(), Some(options), credentials));
    let mut new = false;
    while let Some(part) = stream.next().await {
        let part = part.map_err(said).with_context(|| format!("Error pushing image {image}"))?;
        if let Some(error) = part.error_detail.and_then(|detail| detail.message) {
            anyhow::bail!("Error pushing image {image}: {error}");
        }
        new |= part.status.as_deref() == Some("Pushed");
    }
    Ok(new)
}

/// Docker Hub's credentials stand under an address of their own.
pub(super) fn registry_key(registry: &str) -> String {
    if registry == crate::image::reference::DEFAULT_REGISTRY {
        "https://index.docker.io/v1/".to_owned()
    } else {
        registry.to_owned()
    }
}

/// What `docker login` left on the host, for the task's user.
pub(super) async fn credentials(host: &dyn Access) -> anyhow::Result<HashMap<String, DockerCredentials>> {
    let reply =
        host.run(Script::new("cat \"${DOCKER_CONFIG:-$HOME/.docker}/config.json\" 2>/dev/null; exit 0")).await?;
    let config: Value = serde_json::from_slice(&reply.stdout).unwrap_or_default();
    let mut all = HashMap::new();
    for (registry, entry) in config["auths"].as_object().into_iter().flatten() {
        let Some(auth) = entry["auth"].as_str() else { continue };
        let plain = crate::host::script::decode_base64(auth).unwrap_or_default();
        let plain = String::from_utf8_lossy(&plain).into_owned();
        let Some((user, password)) = plain.split_once(':') else { continue };
        all.insert(
            registry.clone(),
            DockerCredentials {
                username: Some(user.to_owned()),
                password: Some(password.to_owned()),
                serveraddress: Some(registry.clone()),
                ..DockerCredentials::default()
            },
        );
    }
    Ok(all)
}
