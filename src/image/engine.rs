//! A container engine: the client of its API, and raw connections for what that client has no call for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bollard::{API_DEFAULT_VERSION, Docker};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// Seconds that a request may take; loading an image is the longest.
const TIMEOUT: u64 = 600;

/// What a raw request carries.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// An engine behind a socket of this machine.
#[derive(Debug, Clone)]
pub struct Engine {
    /// The client of its API.
    pub docker: Docker,
    socket: PathBuf,
}

impl Engine {
    /// The engine that listens at a socket; nothing is sent yet.
    ///
    /// # Errors
    /// There is no such socket.
    pub fn at(socket: &Path) -> Result<Self> {
        let name = socket.to_str().context("the engine's socket has a strange name")?;
        let docker = Docker::connect_with_unix(name, TIMEOUT, API_DEFAULT_VERSION)?;
        Ok(Self { docker, socket: socket.to_owned() })
    }

    /// One request on a connection of its own, which is upgraded where the engine agrees.
    pub(super) async fn request(&self, request: Request<Body>) -> Result<Response<Incoming>> {
        let stream = UnixStream::connect(&self.socket).await.context("cannot connect to the engine")?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.context("the engine did not answer")
    }

    /// The version of its API, `(1, 41)`.
    pub(super) async fn api_version(&self) -> Result<(u32, u32)> {
        let version = self.docker.version().await.context("the engine does not tell its version")?;
        let text = version.api_version.unwrap_or_default();
        let number = |part: Option<&str>| part.and_then(|part| part.parse().ok());
        let mut parts = text.split('.');
        let both = number(parts.next()).zip(number(parts.next()));
        ensure!(both.is_some(), "the engine calls its API's version `{text}`");
        Ok(both.unwrap_or_default())
    }
}
