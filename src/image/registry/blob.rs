//! Blobs: looked for, mounted from another repository, or uploaded in chunks that go on from where they broke off.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::client::{Ask, Registry, Trouble};
use super::manifest::{content_digest, scope};
use super::retry::Backoff;
use crate::image::Digest;

/// How a blob came to be in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It was there.
    Present,
    /// The registry took it from another repository of its own.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// An upload that has begun.
#[derive(Debug)]
struct Upload {
    url: Url,
    /// Bytes that the registry has.
    offset: usize,
}

impl Registry {
    /// Whether a repository has a blob.
    ///
    /// # Errors
    /// The registry refuses, or can't be reached.
    pub async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let ask = self.blob_ask(Method::HEAD, repository, digest, "pull,push", "look for")?;
        Ok(self.expect(&ask, &[StatusCode::OK, StatusCode::NOT_FOUND]).await?.status() == StatusCode::OK)
    }

    /// A blob, whose digest is checked.
    ///
    /// # Errors
    /// The registry refuses, can't be reached, or sends something else.
    pub async fn blob(&self, repository: &str, digest: &Digest) -> Result<Bytes> {
        let ask = self.blob_ask(Method::GET, repository, digest, "pull", "get")?;
        let mut backoff = Backoff::new(self.options.patience);
        loop {
            let response = self.expect(&ask, &[StatusCode::OK]).await?;
            match response.bytes().await {
                Ok(bytes) => {
                    ensure!(Digest::of(&bytes) == *digest, "{} sent another blob than {digest}", self.name);
                    return Ok(bytes);
                }
                Err(_) if backoff.again(None).await => {}
                Err(error) => return Err(error.without_url()).with_context(|| format!("could not {}", ask.action)),
            }
        }
    }

    /// Brings a blob into a repository: nothing is sent where it is there, or can be mounted from another repository.
    ///
    /// # Errors
    /// The registry refuses, or can't be reached.
    pub async fn bring_blob(
        &self,
        repository: &str,
        digest: &Digest,
        bytes: &Bytes,
        from: Option<&str>,
    ) -> Result<Arrival> {
        if self.has_blob(repository, digest).await? {
            return Ok(Arrival::Present);
        }
        let mut upload = None;
        if let Some(from) = from.filter(|from| *from != repository) {
            match self.begin(repository, digest, Some(from)).await? {
                None => return Ok(Arrival::Mounted),
                begun => upload = begun,
            }
        }
        let mut backoff = Backoff::new(self.options.patience);
        loop {
            match self.advance(repository, digest, bytes, &mut upload).await {
                Ok(()) => return Ok(Arrival::Uploaded),
                Err(trouble) if trouble.may_pass && backoff.again(trouble.pause).await => {
                    // The answer may be all that was lost.
                    if self.has_blob(repository, digest).await? {
                        return Ok(Arrival::Uploaded);
                    }
                    upload = match upload {
                        Some(upload) => self.resume(repository, digest, upload).await?,
                        None => None,
                    };
                }
                Err(trouble) => {
                    return Err(trouble.error.context(format!("given up after {} tries", backoff.tries())));
                }
            }
        }
    }

    /// Asks the registry to take a blob from another repository of its own; says whether it did.
    ///
    /// # Errors
    /// The registry refuses, or can't be reached.
    pub async fn mount(&self, repository: &str, digest: &Digest, from: &str) -> Result<bool> {
        Ok(self.begin(repository, digest, Some(from)).await?.is_none())
    }

    /// Sends what is missing, from the upload's offset on.
    async fn advance(
        &self,
        repository: &str,
        digest: &Digest,
        bytes: &Bytes,
        upload: &mut Option<Upload>,
    ) -> Result<(), Trouble> {
        if upload.is_none() {
            *upload = self.begin(repository, digest, None).await?;
        }
        let Some(upload) = upload else { return Ok(()) };
        let chunk = self.options.chunk.max(1);
        while bytes.len() - upload.offset > chunk {
            let part = bytes.slice(upload.offset..upload.offset + chunk);
            let ask = self.part(Method::PATCH, repository, digest, upload, part)?;
            let response = self.once(&ask).await?;
            if response.status() != StatusCode::ACCEPTED && response.status() != StatusCode::NO_CONTENT {
                return Err(self.upload_refused(&ask, response).await);
            }
            upload.url = self.location(response.headers())?.unwrap_or_else(|| upload.url.clone());
            upload.offset = received(response.headers()).unwrap_or(upload.offset + chunk).min(bytes.len());
        }
        let mut ask = self.part(Method::PUT, repository, digest, upload, bytes.slice(upload.offset..))?;
        ask.url.query_pairs_mut().append_pair("digest", digest.as_str());
        let response = self.once(&ask).await?;
        if response.status() != StatusCode::CREATED && response.status() != StatusCode::NO_CONTENT {
            return Err(self.upload_refused(&ask, response).await);
        }
        let there = content_digest(response.headers())?;
        if let Some(there) = there.filter(|there| there != digest) {
            return Err(anyhow::anyhow!("the registry {} took {digest}, but calls it {there}", self.name).into());
        }
        Ok(())
    }

    /// Begins an upload; `None` where the blob was mounted.
    async fn begin(&self, repository: &str, digest: &Digest, from: Option<&str>) -> Result<Option<Upload>> {
        let mut scopes = scope(repository, "pull,push");
        let mut path = format!("v2/{repository}/blobs/uploads/");
        if let Some(from) = from {
            scopes = format!("{scopes} {}", scope(from, "pull"));
            path = format!("{path}?mount={digest}&from={from}");
        }
        let ask = self.ask(Method::POST, &path, &scopes, self.action("push", repository, digest))?;
        let response = self.expect(&ask, &[StatusCode::ACCEPTED, StatusCode::CREATED]).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(None);
        }
        let url = self.location(response.headers())?.with_context(|| format!("{} names no upload", self.name))?;
        Ok(Some(Upload { url, offset: 0 }))
    }

    /// Asks how far an upload came; `None` where the registry has given it up.
    async fn resume(&self, repository: &str, digest: &Digest, upload: Upload) -> Result<Option<Upload>> {
        let ask = self.part(Method::GET, repository, digest, &upload, Bytes::new())?;
        let response = self.patient(&ask).await?;
        if response.status() != StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let url = self.location(response.headers())?.unwrap_or(upload.url);
        Ok(Some(Upload { url, offset: received(response.headers()).unwrap_or(0) }))
    }

    /// A request about an upload; one with bytes says which ones they are.
    fn part(&self, method: Method, repository: &str, digest: &Digest, upload: &Upload, part: Bytes) -> Result<Ask> {
        let action = self.action("push", repository, digest);
        let mut ask = self.ask(method, "", &scope(repository, "pull,push"), action)?;
        ask.url = upload.url.clone();
        if !part.is_empty() {
            let last = upload.offset + part.len() - 1;
            ask = ask.header(CONTENT_TYPE, "application/octet-stream")?;
            // A blob in one piece has no range: some registries take it for the mark of a chunk.
            if ask.method == Method::PATCH || upload.offset > 0 {
                ask = ask.header(CONTENT_RANGE, &format!("{}-{last}", upload.offset))?;
            }
        }
        ask.body = part;
        Ok(ask)
    }

    /// A broken upload can be begun anew; anything else is final.
    async fn upload_refused(&self, ask: &Ask, response: Response) -> Trouble {
        let refusal = self.refusal(ask, response).await;
        let lost = matches!(refusal.status.as_u16(), 404 | 416)
            || ["BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID"].iter().any(|c| refusal.has_code(c));
        Trouble { error: refusal.into(), may_pass: lost, pause: None }
    }

    /// Where an upload goes on. A registry behind a proxy that ends TLS may name itself by http.
    fn location(&self, headers: &HeaderMap) -> Result<Option<Url>> {
        let Some(value) = headers.get(LOCATION) else { return Ok(None) };
        let mut url = self.base.join(value.to_str().context("the upload's address is no text")?)?;
        if self.base.scheme() == "https" && url.scheme() == "http" {
            if url.host() != self.base.host() {
                bail!("the registry {} wants the blob to be sent without TLS to another host", self.name);
            }
            // Both are schemes of the same kind.
            let _ = url.set_scheme("https");
            let _ = url.set_port(self.base.port());
        }
        Ok(Some(url))
    }

    fn blob_ask(&self, method: Method, repository: &str, digest: &Digest, actions: &str, verb: &str) -> Result<Ask> {
        let path = format!("v2/{repository}/blobs/{digest}");
        self.ask(method, &path, &scope(repository, actions), self.action(verb, repository, digest))
    }

    fn action(&self, verb: &str, repository: &str, digest: &Digest) -> String {
        format!("{verb} the blob {} of {}/{repository}", digest.short(), self.name)
    }
}

/// `Range: 0-N`, both ends included; `0-0` also stands for none.
fn received(headers: &HeaderMap) -> Option<usize> {
    let range = headers.get(RANGE)?.to_str().ok()?;
    let last: usize = range.trim_start_matches("bytes=").split_once('-')?.1.parse().ok()?;
    Some(if last == 0 { 0 } else { last + 1 })
}
