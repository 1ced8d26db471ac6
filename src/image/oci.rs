//! An image: its layers, the config that says how to run it, and the manifest that ties them.
//!
//! The JSON is written by `serde` from types with sorted maps, so that the same input gives the same bytes. Field names are those of the
//! OCI image specification 1.1; `Healthcheck` is the extension to its config that Docker's engine reads and others ignore.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde::Serialize;

use super::{Digest, Layer};

/// Media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of an image's config.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of a layer of ours.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// How the engine asks a container whether it is healthy.
#[derive(Debug, Clone)]
pub struct Healthcheck {
    /// Command and arguments, run without a shell.
    pub command: Vec<String>,
    /// Time between two checks.
    pub interval: Duration,
    /// When a check counts as failed.
    pub timeout: Duration,
    /// How long failures do not count after the start.
    pub start_period: Duration,
    /// Failures in a row that make the container unhealthy.
    pub retries: u32,
}

/// What an image is to be.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// Layers, lowest first.
    pub layers: Vec<Layer>,
    /// Architecture as Go names it: `amd64`, `arm64`.
    pub architecture: String,
    /// Seconds since the epoch that the image claims as its making: the commit's.
    pub created: i64,
    /// `user` or `user:group`, numbers or names.
    pub user: String,
    /// The program and its fixed arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments.
    pub command: Vec<String>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// TCP ports the program listens on.
    pub ports: Vec<u16>,
    /// Where the program starts.
    pub working_directory: String,
    /// Health check, if any.
    pub healthcheck: Option<Healthcheck>,
    /// Labels, `org.opencontainers.image.*` among them.
    pub labels: BTreeMap<String, String>,
}

/// A finished image.
#[derive(Debug, Clone)]
pub struct Image {
    /// The manifest's bytes; their digest is what registries name the image by.
    pub manifest: Bytes,
    /// The config's bytes; their digest is what a classic Docker engine calls the image's id.
    pub config: Bytes,
    /// Layers, lowest first.
    pub layers: Vec<Layer>,
    /// The digest of `manifest`.
    pub manifest_digest: Digest,
    /// The digest of `config`.
    pub config_digest: Digest,
}

impl Image {
    /// Puts the image together. Nothing is read or written.
    pub fn assemble(spec: &ImageSpec) -> Result<Self> {
        ensure!(!spec.layers.is_empty(), "an image needs at least one layer");
        let created = rfc3339(spec.created)?;
        let config = Bytes::from(serde_json::to_vec(&config_of(spec, &created)).context("image config")?);
        Self::of(config, spec.layers.clone(), &spec.labels)
    }

    /// Puts a manifest over a config and its layers.
    pub fn of(config: Bytes, layers: Vec<Layer>, annotations: &BTreeMap<String, String>) -> Result<Self> {
        let config_digest = Digest::of(&config);
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST,
            config: Descriptor { media_type: CONFIG, digest: &config_digest, size: config.len(), annotations: None },
            layers: layers
                .iter()
                .map(|layer| Descriptor {
                    media_type: LAYER,
                    digest: &layer.digest,
                    size: layer.blob.len(),
                    annotations: None,
                })
                .collect(),
            annotations,
        };
        let manifest = Bytes::from(serde_json::to_vec(&manifest).context("image manifest")?);
        Ok(Self { manifest_digest: Digest::of(&manifest), manifest, config, config_digest, layers })
    }

    /// Bytes of all blobs and the manifest together: what a registry or engine without any of them has to receive.
    pub fn size(&self) -> u64 {
        let layers: usize = self.layers.iter().map(|layer| layer.blob.len()).sum();
        (layers + self.config.len() + self.manifest.len()) as u64
    }
}

/// The time as the config wants it, in UTC.
pub fn rfc3339(seconds: i64) -> Result<String> {
    let time = jiff::Timestamp::from_second(seconds).with_context(|| format!("`{seconds}` is not a time"))?;
    Ok(time.to_string())
}

/// A reference to a blob.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor<'a> {
    pub(super) media_type: &'a str,
    pub(super) digest: &'a Digest,
    pub(super) size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<BTreeMap<&'a str, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u8,
    media_type: &'a str,
    config: Descriptor<'a>,
    layers: Vec<Descriptor<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Config<'a> {
    architecture: &'a str,
    #[serde(rename = "config")]
    execution: Execution<'a>,
    created: &'a str,
    history: Vec<History<'a>>,
    os: &'a str,
    rootfs: RootFs<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Execution<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entrypoint: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Health<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    working_dir: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Health<'a> {
    interval: u64,
    retries: u32,
    start_period: u64,
    test: Vec<&'a str>,
    timeout: u64,
}

#[derive(Serialize)]
struct History<'a> {
    created: &'a str,
    created_by: &'a str,
}

#[derive(Serialize)]
struct RootFs<'a> {
    diff_ids: Vec<&'a Digest>,
    #[serde(rename = "type")]
    kind: &'a str,
}

fn config_of<'a>(spec: &'a ImageSpec, created: &'a str) -> Config<'a> {
    let history = spec.layers.iter().map(|layer| History { created, created_by: layer.created_by.as_str() }).collect();
    Config {
        architecture: &spec.architecture,
        execution: Execution {
            cmd: spec.command.iter().map(String::as_str).collect(),
            entrypoint: spec.entrypoint.iter().map(String::as_str).collect(),
            env: spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            exposed_ports: spec.ports.iter().map(|port| (format!("{port}/tcp"), serde_json::Map::new())).collect(),
            healthcheck: spec.healthcheck.as_ref().map(health_of),
            labels: &spec.labels,
            user: &spec.user,
            working_dir: &spec.working_directory,
        },
        created,
        history,
        os: "linux",
        rootfs: RootFs { diff_ids: spec.layers.iter().map(|layer| &layer.diff_id).collect(), kind: "layers" },
    }
}

/// Durations are nanoseconds in Docker's config.
fn health_of(check: &Healthcheck) -> Health<'_> {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    Health {
        interval: nanoseconds(check.interval),
        retries: check.retries,
        start_period: nanoseconds(check.start_period),
        test: std::iter::once("CMD").chain(check.command.iter().map(String::as_str)).collect(),
        timeout: nanoseconds(check.timeout),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::image::LayerBuilder;

    /// A small image of two layers; `content` is the second one's only file.
    pub(crate) fn sample(content: &str) -> Image {
        let base = LayerBuilder::new().file("/etc/passwd", 0o644, "root:x:0:0::/:\n").build("base").unwrap();
        let top = LayerBuilder::new().file("/app", 0o755, content.to_owned()).build("app").unwrap();
        Image::assemble(&ImageSpec {
            layers: vec![base, top],
            architecture: "amd64".into(),
            created: 1_700_000_000,
            user: "65532:65532".into(),
            entrypoint: vec!["/app".into()],
            command: vec![],
            env: BTreeMap::from([("B".into(), "2".into()), ("A".into(), "1".into())]),
            ports: vec![8080],
            working_directory: "/".into(),
            healthcheck: Some(Healthcheck {
                command: vec!["/app".into(), "healthcheck".into()],
                interval: Duration::from_secs(5),
                timeout: Duration::from_secs(3),
                start_period: Duration::ZERO,
                retries: 3,
            }),
            labels: BTreeMap::from([("org.opencontainers.image.title".into(), "app".into())]),
        })
        .unwrap()
    }

    #[test]
    fn config_is_the_documented_one() {
        let image = sample("x");
        let config = std::str::from_utf8(&image.config).unwrap();
        let (first, second) = (&image.layers[0].diff_id, &image.layers[1].diff_id);
        assert_eq!(
            config,
            format!(
                r#"{{"architecture":"amd64","config":{{"Entrypoint":["/app"],"Env":["A=1","B=2"],"ExposedPorts":{{"8080/tcp":{{}}}},"Healthcheck":{{"Interval":5000000000,"Retries":3,"StartPeriod":0,"Test":["CMD","/app","healthcheck"],"Timeout":3000000000}},"Labels":{{"org.opencontainers.image.title":"app"}},"User":"65532:65532","WorkingDir":"/"}},"created":"2023-11-14T22:13:20Z","history":[{{"created":"2023-11-14T22:13:20Z","created_by":"base"}},{{"created":"2023-11-14T22:13:20Z","created_by":"app"}}],"os":"linux","rootfs":{{"diff_ids":["{first}","{second}"],"type":"layers"}}}}"#
            )
        );
    }

    #[test]
    fn the_same_input_gives_the_same_digests_and_another_does_not() {
        let (one, two, other) = (sample("x"), sample("x"), sample("y"));
        assert_eq!((&one.manifest_digest, &one.config_digest), (&two.manifest_digest, &two.config_digest));
        assert_ne!(one.manifest_digest, other.manifest_digest);
        assert_eq!(one.layers[0].digest, other.layers[0].digest);
    }
}
