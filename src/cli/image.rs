//! `crudctl image`: what a registry has, copied and taken away.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

use super::exit::Exit;
use super::registry::{Trust, block_on};
use super::say;
use crate::image::registry::Registry;
use crate::image::registry::copy::{Place, copy};
use crate::image::registry::manifest::Manifest;
use crate::image::registry::referrer::is_referrers_tag;
use crate::image::{Digest, Reference};

/// Questions to a registry at a time.
const PARALLEL: usize = 8;

/// Look at, copy and delete images in registries
#[derive(Debug, Args)]
pub struct ImageVerb {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the tags of a repository, each with its digest
    Ls {
        /// The repository: registry.example.org/team/app
        repository: Reference,
    },
    /// Show an image as JSON: digest, platform, size, labels, layers
    Inspect {
        /// The image: registry.example.org/team/app:tag, or @sha256:…
        image: Reference,
        /// Show the manifest as the registry has it
        #[arg(long)]
        raw: bool,
    },
    /// Copy an image to another name, perhaps in another registry; its digest stays
    Copy {
        /// The image
        from: Reference,
        /// The new name
        to: Reference,
    },
    /// Delete an image; one named by a tag must have no other tag
    Delete {
        /// The image
        image: Reference,
    },
    /// Delete the older tags of a repository
    Prune {
        /// The repository: registry.example.org/team/app
        repository: Reference,
        /// How many of the newest images stay
        #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
        keep: u32,
        /// Only tags that match this pattern: `main-*`
        #[arg(long = "match", value_name = "PATTERN", default_value = "*")]
        pattern: glob::Pattern,
        /// Delete nothing; say what would be deleted
        #[arg(short = 'C', long)]
        check: bool,
    },
}

impl ImageVerb {
    /// Runs the verb.
    pub fn run(&self) -> anyhow::Result<Exit> {
        block_on(async {
            match &self.verb {
                Verb::Ls { repository } => self.ls(repository).await,
                Verb::Inspect { image, raw } => self.inspect(image, *raw).await,
                Verb::Copy { from, to } => self.copy(from, to).await,
                Verb::Delete { image } => self.delete(image).await,
                Verb::Prune { repository, keep, pattern, check } => {
                    self.prune(repository, *keep as usize, pattern, *check).await
                }
            }
        })?;
        Ok(Exit::Ok)
    }

    async fn ls(&self, repository: &Reference) -> anyhow::Result<()> {
        let registry = self.trust.open(repository).await?;
        for (tag, digest) in tags(&registry, &repository.path).await? {
            say(&format!("{tag}  {digest}"));
        }
        Ok(())
    }

    async fn inspect(&self, image: &Reference, raw: bool) -> anyhow::Result<()> {
        let registry = self.trust.open(image).await?;
        let manifest = manifest(&registry, image).await?;
        if raw {
            say(&String::from_utf8_lossy(&manifest.bytes));
            return Ok(());
        }
        let mut shown = json!({
            "name": image.familiar(),
            "digest": manifest.digest,
            "reference": format!("{}@{}", image.familiar_name(), manifest.digest),
            "media_type": manifest.media_type,
        });
        let json = manifest.json()?;
        if manifest.is_index() {
            shown["manifests"] = json["manifests"].clone();
        } else {
            let config = config(&registry, &image.path, &json).await?;
            let layers = json["layers"].as_array().cloned().unwrap_or_default();
            let sizes = layers.iter().chain([&json["config"]]).filter_map(|blob| blob["size"].as_u64());
            shown["size"] = (sizes.sum::<u64>() + manifest.bytes.len() as u64).into();
            for key in ["os", "architecture", "created"] {
                shown[key] = config[key].clone();
            }
            shown["config"] = config["config"].clone();
            shown["layers"] = layers.into();
        }
        say(&serde_json::to_string_pretty(&shown)?);
        Ok(())
    }

    async fn copy(&self, from: &Reference, to: &Reference) -> anyhow::Result<()> {
        anyhow::ensure!(to.digest.is_none(), "an image is copied to a tag, not to a digest");
        let (source, target) = (self.trust.open(from).await?, self.trust.open(to).await?);
        let (source, target) =
            (Place { registry: &source, repository: &from.path }, Place { registry: &target, repository: &to.path });
        let (digest, bytes) = copy(source, name(from), target, to.tag_or_latest()).await?;
        say(&format!("{}@{digest}\n  {} · {bytes} bytes sent", to.familiar_name(), to.familiar()));
        Ok(())
    }

    async fn delete(&self, image: &Reference) -> anyhow::Result<()> {
        anyhow::ensure!(
            image.tag.is_some() || image.digest.is_some(),
            "`{}` names no tag or digest",
            image.familiar_name()
        );
        let registry = self.trust.open(image).await?;
        let digest = manifest(&registry, image).await?.digest;
        if image.digest.is_none() {
            let all = tags(&registry, &image.path).await?;
            let others = all.iter().filter(|(tag, there)| *there == digest && Some(tag) != image.tag.as_ref());
            let others: Vec<&str> = others.map(|(tag, _)| tag.as_str()).collect();
            anyhow::ensure!(
                others.is_empty(),
                "{} has other tags that would go with it: {} (hint: name it by its digest, {}@{digest}, to delete it with all of them)",
                image.familiar(),
                others.join(", "),
                image.familiar_name()
            );
        }
        registry.delete_manifest(&image.path, &digest).await?;
        say(&format!("deleted {}@{digest}", image.familiar_name()));
        Ok(())
    }

    async fn prune(
        &self,
        repository: &Reference,
        keep: usize,
        pattern: &glob::Pattern,
        check: bool,
    ) -> anyhow::Result<()> {
        let registry = &self.trust.open(repository).await?;
        let path = repository.path.as_str();
        let all = tags(registry, path).await?;
        let dated = |digest: Digest| async move { anyhow::Ok((created(registry, path, &digest).await?, digest)) };
        let mut digests: Vec<Digest> = all.iter().filter(|(t, _)| pattern.matches(t)).map(|(_, d)| d.clone()).collect();
        digests.sort();
        digests.dedup();
        let mut images: Vec<(String, Digest)> =
            stream::iter(digests).map(dated).buffered(PARALLEL).try_collect().await?;
        images.sort_by(|one, two| two.cmp(one));
        for (_, digest) in images.into_iter().skip(keep) {
            let names = |wanted: bool| {
                let tags = all.iter().filter(|(tag, there)| *there == digest && pattern.matches(tag) == wanted);
                tags.map(|(tag, _)| tag.as_str()).collect::<Vec<_>>().join(", ")
            };
            // A manifest goes with all of its tags.
            if !names(false).is_empty() {
                say(&format!("kept {digest} ({}): {} is no match", names(true), names(false)));
                continue;
            }
            if !check {
                registry.delete_manifest(path, &digest).await?;
            }
            say(&format!("{} {digest} ({})", if check { "would delete" } else { "deleted" }, names(true)));
        }
        Ok(())
    }
}

/// The tag or digest that a reference names.
fn name(image: &Reference) -> &str {
    image.digest.as_ref().map_or(image.tag_or_latest(), Digest::as_str)
}

async fn manifest(registry: &Registry, image: &Reference) -> anyhow::Result<Manifest> {
    let found = registry.manifest(&image.path, name(image)).await?;
    found.with_context(|| format!("there is no image {}", image.familiar()))
}

/// The tags of a repository's images with their digests.
async fn tags(registry: &Registry, repository: &str) -> anyhow::Result<Vec<(String, Digest)>> {
    let tags = registry.tags(repository).await?;
    let tags = tags.with_context(|| format!("there is no repository {}/{repository}", registry.name))?;
    let ask = |tag: String| async move {
        let digest = registry.manifest_digest(repository, &tag).await?;
        // One that went away since the list was made is no longer a tag.
        anyhow::Ok(digest.map(|digest| (tag, digest)))
    };
    let images = tags.into_iter().filter(|tag| !is_referrers_tag(tag));
    let found = stream::iter(images).map(ask).buffered(PARALLEL);
    found.try_filter_map(|found| async move { Ok(found) }).try_collect().await
}

async fn config(registry: &Registry, repository: &str, manifest: &Value) -> anyhow::Result<Value> {
    let digest = Digest::parse(manifest["config"]["digest"].as_str().unwrap_or_default())?;
    serde_json::from_slice(&registry.blob(repository, &digest).await?).context("the image's config is no JSON")
}

/// When an image says that it was made (an index: its first image); the time is RFC 3339 in UTC, so its text can be compared.
async fn created(registry: &Registry, repository: &str, digest: &Digest) -> anyhow::Result<String> {
    let get = async |digest: &str| {
        let manifest = registry.manifest(repository, digest).await?;
        manifest.with_context(|| format!("the manifest {digest} of {repository} is gone"))
    };
    let mut manifest = get(digest.as_str()).await?;
    if manifest.is_index() {
        let first = manifest.json()?["manifests"][0]["digest"].as_str().unwrap_or_default().to_owned();
        manifest = get(&first).await?;
    }
    let config = config(registry, repository, &manifest.json()?).await?;
    Ok(config["created"].as_str().unwrap_or_default().to_owned())
}
