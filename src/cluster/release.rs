//! What was deployed, when, by whom: a Secret for each release, written when its rollout has ended, so that none is ever pending.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::client::Cluster;
use super::errors::said;
use super::object::text;

/// Releases that are kept.
const KEPT: usize = 10;
/// The longest manifests that are read back.
const LONGEST: u64 = 64 << 20;

/// A release.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    /// Its number.
    pub number: u64,
    /// `deployed` or `failed`.
    pub status: String,
    /// When, as RFC 3339.
    pub at: String,
    /// By whom.
    pub by: String,
    /// Its image.
    pub image: String,
    /// The digest of its objects.
    pub digest: String,
    secret: Value,
}

/// The digest of objects.
pub(crate) fn digest(objects: &[Value]) -> String {
    let text = Value::from(objects.to_vec()).to_string();
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

fn secrets(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets")
}

/// All releases of a service, the newest first.
///
/// # Errors
/// The server can't be asked.
pub(crate) async fn list(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<Vec<Release>> {
    let label = format!("crudctl.io/releases-of={name}");
    let found = cluster.list(&secrets(namespace), &[("labelSelector", &label)]).await?;
    let mut all: Vec<Release> = found.into_iter().filter_map(of).collect();
    all.sort_by_key(|release| std::cmp::Reverse(release.number));
    Ok(all)
}

fn of(secret: Value) -> Option<Release> {
    let note = |name: &str| text(&secret, &format!("/metadata/annotations/crudctl.io~1{name}")).to_owned();
    Some(Release {
        number: text(&secret, "/metadata/name").rsplit_once("-v")?.1.parse().ok()?,
        status: note("status"),
        at: note("at"),
        by: note("by"),
        image: note("image"),
        digest: note("digest"),
        secret,
    })
}

impl Release {
    /// What it applied.
    ///
    /// # Errors
    /// The record is damaged.
    pub(crate) fn objects(&self) -> anyhow::Result<Vec<Value>> {
        let packed = STANDARD.decode(text(&self.secret, "/data/manifests")).context("its record is damaged")?;
        let mut plain = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).take(LONGEST).read_to_string(&mut plain)?;
        serde_json::from_str(&plain).context("its record is damaged")
    }

    /// What of its objects was crudctl's when it was brought about; empty where it was not.
    pub(crate) fn proofs(&self) -> HashMap<String, String> {
        let packed = STANDARD.decode(text(&self.secret, "/data/proofs")).unwrap_or_default();
        // Without them the server is asked.
        serde_json::from_slice(&packed).unwrap_or_default()
    }

    /// Writes its proofs anew: its objects were applied again.
    ///
    /// # Errors
    /// The server refuses.
    pub(crate) async fn prove(
        &self,
        cluster: &Cluster,
        namespace: &str,
        proofs: &HashMap<String, String>,
    ) -> anyhow::Result<()> {
        if self.proofs() == *proofs {
            return Ok(());
        }
        let path = format!("{}/{}", secrets(namespace), text(&self.secret, "/metadata/name"));
        let patch = json!({"data": {"proofs": packed(proofs)}});
        let content = Some(("application/merge-patch+json", &patch));
        cluster.call(&Method::PATCH, &path, content).await.map_err(said).context("the release can't be recorded")?;
        Ok(())
    }
}

fn packed(proofs: &HashMap<String, String>) -> String {
    STANDARD.encode(json!(proofs).to_string())
}

/// What is written down.
pub(crate) struct Record<'a> {
    /// The service.
    pub name: &'a str,
    /// Where.
    pub namespace: &'a str,
    /// `deployed` or `failed`.
    pub status: &'a str,
    /// By whom.
    pub by: &'a str,
    /// Its image.
    pub image: &'a str,
    /// What was applied.
    pub objects: &'a [Value],
    /// What of it is crudctl's, as it was then (`owned::proof`); none where it was not brought about.
    pub proofs: &'a HashMap<String, String>,
}

/// Writes a release down behind those before it, and forgets the oldest; its number.
///
/// # Errors
/// The server refuses.
pub(crate) async fn record(cluster: &Cluster, record: &Record<'_>, before: &[Release]) -> anyhow::Result<u64> {
    let number = before.first().map_or(0, |release| release.number) + 1;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(Value::from(record.objects.to_vec()).to_string().as_bytes())?;
    let manifests = STANDARD.encode(packer.finish()?);
    let Record { name, namespace, .. } = record;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "crudctl.io/release", "data": {"manifests": manifests, "proofs": packed(record.proofs)},
        "metadata": {"name": format!("crudctl-{name}-v{number}"), "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "crudctl", "crudctl.io/releases-of": name},
            "annotations": {"crudctl.io/status": record.status, "crudctl.io/at": format!("{:.0}", jiff::Timestamp::now()),
                "crudctl.io/by": record.by, "crudctl.io/image": record.image, "crudctl.io/digest": digest(record.objects)}}});
    let content = Some(("application/json", &secret));
    cluster
        .call(&Method::POST, &secrets(namespace), content)
        .await
        .map_err(said)
        .context("the release can't be recorded")?;
    for old in before.iter().skip(KEPT - 1) {
        forget(cluster, namespace, old).await?;
    }
    Ok(number)
}

/// Removes the record of a release.
///
/// # Errors
/// The server refuses.
pub(crate) async fn forget(cluster: &Cluster, namespace: &str, release: &Release) -> anyhow::Result<()> {
    let path = format!("{}/{}", secrets(namespace), text(&release.secret, "/metadata/name"));
    cluster.delete(&path, &json!({})).await?;
    Ok(())
}
