//! What refers to an image: artifacts whose manifest has it as `subject`, as the specifications 1.1 have them.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::Registry;
use super::manifest::{Manifest, scope};
use crate::image::attest::Statement;
use crate::image::{Digest, Image, oci};

/// Media type of the config of an artifact that has none.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

impl Registry {
    /// The descriptors of what refers to a manifest: by the registry's list, or, where it keeps none, by the index under the tag `sha256-…`.
    ///
    /// # Errors
    /// The registry refuses, or can't be reached.
    pub async fn referrers(&self, repository: &str, subject: &Digest) -> Result<Vec<Value>> {
        match self.listed(repository, subject).await? {
            Some(list) => Ok(list),
            None => self.indexed(repository, subject).await,
        }
    }

    /// Puts a statement beside an image.
    ///
    /// # Errors
    /// The registry refuses, or can't be reached.
    pub async fn attach(&self, repository: &str, image: &Image, statement: &Statement) -> Result<Digest> {
        let empty = Bytes::from_static(b"{}");
        let annotations: serde_json::Map<String, Value> =
            statement.annotations.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let described = |media_type: &str, bytes: &Bytes| json!({"mediaType": media_type, "digest": Digest::of(bytes).as_str(), "size": bytes.len()});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": oci::MANIFEST,
            "artifactType": statement.media_type,
            "config": described(EMPTY, &empty),
            "layers": [described(statement.media_type, &statement.text)],
            "subject": described(oci::MANIFEST, &image.manifest),
            "annotations": annotations,
        });
        for blob in [&empty, &statement.text] {
            self.bring_blob(repository, &Digest::of(blob), blob, None).await?;
        }
        let manifest = json_manifest(oci::MANIFEST, &manifest)?;
        self.put_manifest(repository, manifest.digest.as_str(), &manifest).await?;
        let subject = &image.manifest_digest;
        if self.listed(repository, subject).await?.is_none() {
            let mut all = self.indexed(repository, subject).await?;
            let mut descriptor = described(oci::MANIFEST, &manifest.bytes);
            descriptor["artifactType"] = statement.media_type.into();
            descriptor["annotations"] = annotations.into();
            all.push(descriptor);
            let index = json!({"schemaVersion": 2, "mediaType": oci::INDEX, "manifests": all});
            self.put_manifest(repository, &tag_of(subject), &json_manifest(oci::INDEX, &index)?).await?;
        }
        Ok(manifest.digest)
    }

    /// `GET referrers`; none where the registry has no such list.
    async fn listed(&self, repository: &str, subject: &Digest) -> Result<Option<Vec<Value>>> {
        let action = format!("list what refers to {}/{repository}@{subject}", self.name);
        let path = format!("v2/{repository}/referrers/{subject}");
        let ask = self.ask(Method::GET, &path, &scope(repository, "pull"), action)?;
        let response = self.expect(&ask, &[StatusCode::OK, StatusCode::NOT_FOUND]).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body = response.bytes().await.map_err(reqwest::Error::without_url)?;
        let index: Value = serde_json::from_slice(&body).context("the list of what refers to it is no JSON")?;
        Ok(Some(index["manifests"].as_array().cloned().unwrap_or_default()))
    }

    async fn indexed(&self, repository: &str, subject: &Digest) -> Result<Vec<Value>> {
        let Some(index) = self.manifest(repository, &tag_of(subject)).await? else { return Ok(Vec::new()) };
        Ok(index.json()?["manifests"].as_array().cloned().unwrap_or_default())
    }
}

/// The tag of the index where the registry keeps no list.
fn tag_of(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// Whether a tag is that of such an index, not an image's.
pub fn is_referrers_tag(tag: &str) -> bool {
    tag.strip_prefix("sha256-").is_some_and(|hex| Digest::parse(&format!("sha256:{hex}")).is_ok())
}

fn json_manifest(media_type: &str, json: &Value) -> Result<Manifest> {
    let bytes = Bytes::from(serde_json::to_vec(json)?);
    Ok(Manifest { media_type: media_type.to_owned(), digest: Digest::of(&bytes), bytes })
}
