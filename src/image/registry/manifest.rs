//! Manifests and tags.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LINK};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::client::{Ask, Registry};
use crate::image::{Digest, oci};

/// Every kind of manifest that is understood: the OCI's, and Docker's older ones.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest or an index.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// Its media type.
    pub media_type: String,
    /// Its bytes, whose digest is its name.
    pub bytes: Bytes,
    /// That digest, computed here.
    pub digest: Digest,
}

impl Manifest {
    /// As JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.bytes).context("the manifest is no JSON")
    }

    /// Whether it names manifests of several platforms.
    pub fn is_index(&self) -> bool {
        self.media_type == oci::INDEX || self.media_type.ends_with("manifest.list.v2+json")
    }
}

impl Registry {
    /// The digest of the manifest that a tag or digest names; none where there is no such manifest.
    ///
    /// # Errors
    /// The registry refuses, or can't be reached.
    pub async fn manifest_digest(&self, repository: &str, name: &str) -> Result<Option<Digest>> {
        let ask = self.manifest_ask(Method::HEAD, repository, name, "pull", "look for")?;
        // Some registries answer 401 or 403 about a repository that is not there yet: the push itself will tell.
        let response = self.expect(&ask, &[StatusCode::OK, StatusCode::NOT_FOUND]).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        match content_digest(response.headers())? {
            Some(digest) => Ok(Some(digest)),
            None => Ok(self.manifest(repository, name).await?.map(|manifest| manifest.digest)),
        }
    }

    /// A manifest; none where there is no such one.
    ///
    /// # Errors
    /// The registry refuses, can't be reached, or sends another one than the digest names.
    pub async fn manifest(&self, repository: &str, name: &str) -> Result<Option<Manifest>> {
        let ask = self.manifest_ask(Method::GET, repository, name, "pull", "get")?;
        let response = self.expect(&ask, &[StatusCode::OK, StatusCode::NOT_FOUND]).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let named = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let bytes = response.bytes().await.map_err(reqwest::Error::without_url)?;
        let digest = Digest::of(&bytes);
        ensure!(
            !name.starts_with("sha256:") || name == digest.as_str(),
            "{} sent another manifest than {name}: its digest is {digest}",
            self.name
        );
        let inside = serde_json::from_slice::<Value>(&bytes).ok();
        let inside = inside.and_then(|json| json["mediaType"].as_str().map(str::to_owned));
        let media_type = inside.or(named).with_context(|| format!("{} names no media type", self.name))?;
        Ok(Some(Manifest { media_type, bytes, digest }))
    }

    /// Puts a manifest under a tag (or its digest), and holds the registry to its digest.
    ///
    /// # Errors
    /// The registry refuses, can't be reached, or has another one than was sent.
    pub async fn put_manifest(&self, repository: &str, name: &str, manifest: &Manifest) -> Result<()> {
        let mut ask = self
            .manifest_ask(Method::PUT, repository, name, "pull,push", "push")?
            .header(CONTENT_TYPE, &manifest.media_type)?;
        ask.body = manifest.bytes.clone();
        let response = self.expect(&ask, &[StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED]).await?;
        let there = match content_digest(response.headers())? {
            Some(digest) => Some(digest),
            None => self.manifest_digest(repository, name).await?,
        };
        ensure!(
            there.as_ref() == Some(&manifest.digest),
            "the registry {} says that {repository}:{name} is {}, but {} was pushed: do not use that tag",
            self.name,
            there.as_ref().map_or("missing", Digest::as_str),
            manifest.digest
        );
        Ok(())
    }

    /// Deletes a manifest, with every tag that names it.
    ///
    /// # Errors
    /// The registry refuses, or can't be reached.
    pub async fn delete_manifest(&self, repository: &str, digest: &Digest) -> Result<()> {
        let ask = self.manifest_ask(Method::DELETE, repository, digest.as_str(), "pull,push,delete", "delete")?;
        let response = self.patient(&ask).await?;
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            StatusCode::METHOD_NOT_ALLOWED => {
                let mut refusal = self.refusal(&ask, response).await;
                refusal.hint = Some("deleting is switched off in this registry's configuration".to_owned());
                Err(refusal.into())
            }
            _ => Err(self.refusal(&ask, response).await.into()),
        }
    }

    /// The tags of a repository, sorted; none where there is no such repository.
    ///
    /// # Errors
    /// The registry refuses, or can't be reached.
    pub async fn tags(&self, repository: &str) -> Result<Option<Vec<String>>> {
        let mut path = format!("v2/{repository}/tags/list?n=1000");
        let mut tags = Vec::new();
        loop {
            let action = format!("list the tags of {}/{repository}", self.name);
            let ask = self.ask(Method::GET, &path, &scope(repository, "pull"), action)?;
            let response = self.expect(&ask, &[StatusCode::OK, StatusCode::NOT_FOUND]).await?;
            if response.status() == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            let next = next_page(response.headers());
            let body = response.bytes().await.map_err(reqwest::Error::without_url)?;
            let page: Value = serde_json::from_slice(&body).context("the list of tags is no JSON")?;
            let page = page["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
            tags.extend(page.iter().filter_map(|tag| tag.as_str().map(str::to_owned)));
            match next {
                Some(next) => path = next,
                None => break,
            }
        }
        tags.sort();
        Ok(Some(tags))
    }

    fn manifest_ask(&self, method: Method, repository: &str, name: &str, actions: &str, verb: &str) -> Result<Ask> {
        let separator = if name.starts_with("sha256:") { '@' } else { ':' };
        let action = format!("{verb} the manifest {}/{repository}{separator}{name}", self.name);
        let path = format!("v2/{repository}/manifests/{name}");
        self.ask(method, &path, &scope(repository, actions), action)?.header(ACCEPT, ACCEPTED)
    }
}

/// What a token must allow.
pub(super) fn scope(repository: &str, actions: &str) -> String {
    format!("repository:{repository}:{actions}")
}

/// The digest that the registry names.
pub(super) fn content_digest(headers: &HeaderMap) -> Result<Option<Digest>> {
    let Some(value) = headers.get("docker-content-digest") else { return Ok(None) };
    Digest::parse(value.to_str().unwrap_or_default()).context("the registry names no usable digest").map(Some)
}

/// `Link: </v2/…?last=x&n=1000>; rel="next"` (RFC 5988).
fn next_page(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (target, relation) = link.split_once('>')?;
    relation.contains("next").then(|| target.trim_start().trim_start_matches('<').to_owned())
}
