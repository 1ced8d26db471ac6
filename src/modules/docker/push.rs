//! `crudctl_push`: an image that is built, and brought to a registry.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::engine;
use super::image::{build, local};
use crate::image::archive::{docker_archive, write_oci_layout};
use crate::image::dockerfile::SecretBytes;
use crate::image::dockerfile::export::export;
use crate::image::registry::manifest::Manifest;
use crate::image::registry::push::missing_tags;
use crate::image::registry::{Credentials, Options, Pushed, Registry, push};
use crate::image::{Digest, DockerfileBuild, Engine, Image, Logins, Reference, Revision, attest, deliver, service};
use crate::modules::contract::{Access, Context, ControllerModule, Outcome, Verdict};
use crate::project::{Build, BuildSecret};

/// Builds an image and pushes it to a registry.
///
/// A cargo package is built on this machine, whatever the task's host is, and takes no container engine: the image holds one static binary and
/// is the same for the same source. A Dockerfile is built by an engine, with BuildKit where that has it: the host's, or on this machine the one that
/// `DOCKER_HOST` or Docker's context names. The image keeps the name that it is pushed by in that engine.
///
/// Only what the registry lacks is sent, from this machine; the tags are set when all of it is there. Registries are logged in to with the
/// credentials that `crudctl login` (or `docker login`) keeps on this machine.
///
/// ```yaml
/// - crudctl_push:
///     name: employees
///     build: {cargo: server}
///     repository: registry.example.org/team/employees
///   register: image
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Push {
    /// The service's name: the image's title.
    name: String,
    /// How it is built; paths are this machine's.
    build: Build,
    /// The port that it listens on; a Dockerfile says that itself.
    #[serde(default = "port")]
    port: u16,
    /// Where the image is pushed to, without a tag: `registry.example.org/team/employees`; none: nowhere.
    #[serde(default)]
    repository: Option<String>,
    /// Tags besides `BRANCH-SHA`.
    #[serde(default)]
    tags: Vec<String>,
    /// Write the image here, too: an archive for `docker load` where it ends in `.tar`, else an OCI layout.
    #[serde(default)]
    to: Option<PathBuf>,
    /// Put a list of the crates in it beside the image (CycloneDX, as a referrer); for a cargo package.
    #[serde(default)]
    sbom: bool,
    /// Say beside the image how it was built (SLSA provenance, as a referrer; it is not signed).
    #[serde(default)]
    provenance: bool,
    /// Take any certificate of the registry, and plain HTTP where it has no TLS.
    #[serde(default)]
    insecure: bool,
    /// A file of certificates (PEM) that are trusted besides the system's.
    #[serde(default)]
    ca: Option<PathBuf>,
}

fn port() -> u16 {
    8080
}

/// An image that is built, and what is to be done with it.
pub(super) struct Work {
    image: Image,
    tag: String,
    names: Vec<Reference>,
    registry: Option<Registry>,
    revision: Option<Revision>,
    /// Types of the statements that are asked for and not beside the image.
    unsaid: Vec<&'static str>,
}

/// What this run has pushed. Images are built side by side and pushed in turn, so that a layer which two of them share is sent once and mounted
/// from the first.
static PUSHED: Mutex<Vec<Reference>> = Mutex::const_new(Vec::new());

/// What a Dockerfile gave: an image in an engine.
struct InEngine {
    id: String,
    tag: String,
    revision: Option<Revision>,
}

impl Push {
    /// The names that the image gets: `BRANCH-SHA` first.
    fn names(&self, tag: &str) -> anyhow::Result<Vec<Reference>> {
        let bare = self.repository.as_ref().unwrap_or(&self.name);
        let base: Reference = bare.parse().context("`repository`")?;
        anyhow::ensure!(
            base.tag.is_none() && base.digest.is_none(),
            "`repository: {bare}` has a tag or digest: `tags` are for that"
        );
        let tags = [tag].into_iter().chain(self.tags.iter().map(String::as_str).filter(|more| *more != tag));
        tags.map(|tag| format!("{}:{tag}", base.familiar_name()).parse()).collect()
    }

    async fn registry(&self, cx: &Context, name: &str) -> anyhow::Result<Option<Registry>> {
        if self.repository.is_none() {
            return Ok(None);
        }
        let login = Credentials::load()?.find(name).await?;
        let ca = self.ca.as_ref().map(|ca| local(cx, ca));
        Registry::open(name, login, Options { insecure: self.insecure, ca, ..Options::default() }).await.map(Some)
    }

    async fn write(&self, to: &Path, work: &Work) -> anyhow::Result<bool> {
        let image = &work.image;
        if to.extension().is_none_or(|extension| extension != "tar") {
            let before = tokio::fs::read(to.join("index.json")).await.ok();
            write_oci_layout(image, &work.names, to).await?;
            return Ok(before != tokio::fs::read(to.join("index.json")).await.ok());
        }
        let archive = docker_archive(image, &work.names, 0)?.concat();
        if tokio::fs::read(to).await.is_ok_and(|before| before == archive) {
            return Ok(false);
        }
        let failed = || format!("cannot write {}", to.display());
        if let Some(folder) = to.parent() {
            tokio::fs::create_dir_all(folder).await.with_context(failed)?;
        }
        tokio::fs::write(to, archive).await.with_context(failed)?;
        Ok(true)
    }

    /// Builds by the Dockerfile; outside of check mode the engine calls the image by its names.
    async fn dockerfile(&self, cx: &Context, host: &dyn Access, engine: &Engine) -> anyhow::Result<InEngine> {
        let recipe = self.build.clone().placed(|path| local(cx, path));
        let folder = recipe.folder();
        let revision = if folder.is_dir() { Revision::of(&folder).await? } else { None };
        let mut labels = service::labels(&self.name, revision.as_ref())?;
        labels.extend(recipe.labels.clone());
        let work = DockerfileBuild {
            context: folder,
            dockerfile: recipe.dockerfile.clone().unwrap_or_default(),
            args: recipe.args.clone(),
            labels,
            secrets: secrets(&recipe.secrets)?,
            target: recipe.target.clone(),
            platform: recipe.platform.clone(),
            cache_from: recipe.cache_from.clone(),
            no_cache: recipe.no_cache,
            pull: recipe.pull,
            network: recipe.network.clone(),
            ..DockerfileBuild::default()
        };
        host.progress("building the image");
        let built = work.run(engine, Logins::Here(Credentials::load()?), &|line| host.progress(line)).await?;
        let tag = match &revision {
            Some(revision) => revision.tag(),
            None => format!("local-{}", Digest::parse(&built.id)?.short()),
        };
        if !cx.check_mode {
            let names = self.names(&tag)?;
            deliver::tag(&engine.docker, &built.id, &names.iter().collect::<Vec<_>>()).await?;
        }
        Ok(InEngine { id: built.id, tag, revision })
    }

    /// Builds by the Dockerfile, and gets the image out of the engine where the registry does not have it already.
    async fn by_engine(
        &self,
        cx: &Context,
        host: &dyn Access,
        engine: &Engine,
    ) -> anyhow::Result<Result<Work, Outcome>> {
        let InEngine { id, tag, revision } = self.dockerfile(cx, host, engine).await?;
        let names = self.names(&tag)?;
        let registry = self.registry(cx, &names[0].registry).await?;
        let bare = self.to.is_none() && !self.provenance;
        if let Some(registry) = registry.as_ref().filter(|_| bare)
            && let Some(manifest) = registered(registry, &names, &id).await?
        {
            let (size, blobs) = extent(&manifest)?;
            let outcome = described(&tag, &names, &manifest.digest, size).with("blobs_present", blobs);
            return Ok(Err(outcome));
        }
        host.progress("getting the image from the engine");
        let image = export(engine, &id).await?;
        Ok(Ok(Work { image, tag, names, registry, revision, unsaid: Vec::new() }))
    }

    /// The statements that are asked for and not beside the image.
    async fn unsaid(&self, work: &Work) -> anyhow::Result<Vec<&'static str>> {
        let wanted = [(self.sbom, attest::CYCLONEDX), (self.provenance, attest::IN_TOTO)];
        let mut wanted: Vec<_> = wanted.into_iter().filter_map(|(wanted, kind)| wanted.then_some(kind)).collect();
        let Some(registry) = work.registry.as_ref().filter(|_| !wanted.is_empty()) else { return Ok(Vec::new()) };
        let there = registry.referrers(&work.names[0].path, &work.image.manifest_digest).await?;
        wanted.retain(|kind| there.iter().all(|descriptor| descriptor["artifactType"] != *kind));
        Ok(wanted)
    }

    /// Puts statements beside the image; their digests by their types.
    async fn attach(&self, cx: &Context, work: &Work, registry: &Registry) -> anyhow::Result<Map<String, Value>> {
        let repository = &work.names[0].path;
        let mut attached = Map::new();
        for kind in &work.unsaid {
            let statement = if *kind == attest::CYCLONEDX {
                let epoch = work.revision.as_ref().map_or(0, |revision| revision.time);
                attest::sbom::sbom(&local(cx, &self.build.folder()), epoch).await?
            } else {
                let (name, digest) = (work.names[0].familiar_name(), &work.image.manifest_digest);
                attest::provenance::provenance(&name, digest, &self.build, work.revision.as_ref())?
            };
            let digest = registry.attach(repository, &work.image, &statement).await?;
            attached.insert((*kind).to_owned(), digest.as_str().into());
        }
        Ok(attached)
    }

    async fn by_cargo(&self, cx: &Context, host: &dyn Access) -> anyhow::Result<Work> {
        let built = build(cx, host, &self.name, &self.build.folder(), self.port).await?;
        let names = self.names(&built.tag)?;
        let registry = self.registry(cx, &names[0].registry).await?;
        Ok(Work { image: built.image, tag: built.tag, names, registry, revision: built.revision, unsaid: Vec::new() })
    }
}

/// The secrets of a build, from where they are.
fn secrets(sources: &BTreeMap<String, BuildSecret>) -> anyhow::Result<BTreeMap<String, SecretBytes>> {
    let read = |(name, source): (&String, &BuildSecret)| {
        let bytes = match (&source.env, &source.file) {
            (Some(variable), _) => std::env::var_os(variable)
                .with_context(|| format!("the secret `{name}`: `{variable}` is not set in the environment"))?
                .into_encoded_bytes(),
            (None, Some(path)) => {
                std::fs::read(path).with_context(|| format!("the secret `{name}`: cannot read {}", path.display()))?
            }
            (None, None) => anyhow::bail!("the secret `{name}` comes from nowhere"),
        };
        Ok((name.clone(), SecretBytes::new(bytes)))
    };
    sources.iter().map(read).collect()
}

/// The manifest that all names mean, where it is that of the engine's image: its config is what a classic engine calls the image by.
async fn registered(registry: &Registry, names: &[Reference], id: &str) -> anyhow::Result<Option<Manifest>> {
    let Some(manifest) = registry.manifest(&names[0].path, names[0].tag_or_latest()).await? else { return Ok(None) };
    if manifest.json()?["config"]["digest"] != id {
        return Ok(None);
    }
    for name in &names[1..] {
        if registry.manifest_digest(&name.path, name.tag_or_latest()).await?.as_ref() != Some(&manifest.digest) {
            return Ok(None);
        }
    }
    Ok(Some(manifest))
}

/// Bytes of an image's blobs and its manifest, and how many blobs there are.
fn extent(manifest: &Manifest) -> anyhow::Result<(u64, usize)> {
    let json = manifest.json()?;
    let layers = json["layers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let blobs = || layers.iter().chain([&json["config"]]);
    let bytes: u64 = blobs().filter_map(|blob| blob["size"].as_u64()).sum();
    Ok((bytes + manifest.bytes.len() as u64, blobs().count()))
}

fn tags(names: &[Reference]) -> Vec<String> {
    names.iter().filter_map(|name| name.tag.clone()).collect()
}

/// The result without what was sent.
fn described(tag: &str, names: &[Reference], digest: &Digest, size: u64) -> Outcome {
    let repository = names[0].familiar_name();
    Outcome::ok()
        .with("name", names[0].path.rsplit('/').next().unwrap_or_default())
        .with("reference", format!("{repository}@{digest}"))
        .with("image", names[0].familiar())
        .with("repository", repository)
        .with("tag", tag)
        .with("tags", tags(names))
        .with("digest", digest.as_str())
        .with("size", size)
        .with("blobs_sent", 0)
        .with("blobs_mounted", 0)
        .with("blobs_present", 0)
        .with("bytes_sent", 0)
}

fn outcome(work: &Work, pushed: &Pushed) -> Outcome {
    described(&work.tag, &work.names, &work.image.manifest_digest, work.image.size())
        .with("blobs_sent", pushed.uploaded.len())
        .with("blobs_mounted", pushed.mounted.len())
        .with("blobs_present", pushed.present.len())
        .with("bytes_sent", pushed.bytes)
}

impl ControllerModule for Push {
    type Drift = Work;

    /// Builds, in check mode as well: whether the registry has the image is only known then, and nothing changes there by it.
    async fn check(&self, cx: &Context, host: &dyn Access) -> anyhow::Result<Verdict<Work>> {
        self.build.validate().map_err(anyhow::Error::msg)?;
        let listed = !self.sbom || self.build.dockerfile.is_none();
        anyhow::ensure!(listed, "`sbom` is for a cargo package: nothing lists what a Dockerfile installs");
        let mut work = if self.build.dockerfile.is_some() {
            let built = engine::with_engine(host, |engine| async move { self.by_engine(cx, host, &engine).await });
            match built.await? {
                Ok(work) => work,
                Err(there) => return Ok(Verdict::Converged(there)),
            }
        } else {
            self.by_cargo(cx, host).await?
        };
        let outcome = outcome(&work, &Pushed::default());
        let missing = match &work.registry {
            Some(registry) => missing_tags(registry, &work.names[0].path, &tags(&work.names), &work.image).await?,
            None => Vec::new(),
        };
        work.unsaid = self.unsaid(&work).await?;
        if missing.is_empty() && work.unsaid.is_empty() && self.to.is_none() {
            let blobs = if work.registry.is_some() { work.image.layers.len() + 1 } else { 0 };
            return Ok(Verdict::Converged(outcome.with("blobs_present", blobs)));
        }
        Ok(Verdict::Drift { drift: work, outcome })
    }

    async fn apply(&self, work: Work, cx: &Context, host: &dyn Access) -> anyhow::Result<Outcome> {
        let mut changed = false;
        if let Some(to) = &self.to {
            changed |= self.write(&local(cx, to), &work).await?;
        }
        let (mut pushed, mut attached) = (Pushed::default(), Map::new());
        if let Some(registry) = &work.registry {
            let mut earlier = PUSHED.lock().await;
            host.progress("pushing the image");
            let name = &work.names[0];
            let from = earlier.iter().find(|from| from.registry == name.registry && from.path != name.path);
            let from = from.map(|from| from.path.as_str());
            pushed = push(registry, &name.path, &tags(&work.names), &work.image, from).await?;
            changed |= pushed.changed();
            earlier.push(name.clone());
            attached = self.attach(cx, &work, registry).await?;
            changed |= !attached.is_empty();
        }
        Ok(Outcome { changed, ..outcome(&work, &pushed) }.with("attached", attached))
    }
}
