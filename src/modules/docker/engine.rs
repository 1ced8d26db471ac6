//! The engine of a host: its socket where that is at hand, else a stream that reaches it, behind a socket of our own.
//!
//! On this machine it is the engine that its user chose (`DOCKER_HOST`, the context); elsewhere the host's own, by
//! `docker system dial-stdio` over the host's session.

use std::future::Future;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use bollard::Docker;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::UnixListener;

use super::endpoint::Endpoint;
use crate::image::Engine;
use crate::modules::contract::Access;

/// Where the engine listens.
const SOCKET: &str = "/var/run/docker.sock";

/// Works with the host's engine; the connections end with the work.
///
/// # Errors
/// There is no engine, it does not run, or the user may not use it; and what the work gives.
pub async fn with<T, F, W>(host: &dyn Access, work: F) -> anyhow::Result<T>
where
    F: FnOnce(Docker) -> W,
    W: Future<Output = anyhow::Result<T>>,
{
    with_engine(host, |engine| work(engine.docker)).await
}

/// The same, for work that needs more than the API's client.
///
/// # Errors
/// As [`with`].
pub(super) async fn with_engine<T, F, W>(host: &dyn Access, work: F) -> anyhow::Result<T>
where
    F: FnOnce(Engine) -> W,
    W: Future<Output = anyhow::Result<T>>,
{
    let chosen = if host.is_local() { Endpoint::chosen()? } else { None };
    match chosen {
        Some(Endpoint::Unix(path)) => at(&path, work).await,
        None if host.is_local() && may_connect(SOCKET) => at(Path::new(SOCKET), work).await,
        Some(endpoint) => behind(host, endpoint, work).await,
        None => {
            let argv = ["docker", "system", "dial-stdio"].map(str::to_owned).to_vec();
            behind(host, Endpoint::Command(argv), work).await
        }
    }
}

async fn at<T, F, W>(socket: &Path, work: F) -> anyhow::Result<T>
where
    F: FnOnce(Engine) -> W,
    W: Future<Output = anyhow::Result<T>>,
{
    let engine = Engine::at(socket)?;
    ping(&engine.docker, None).await?;
    work(engine).await
}

async fn behind<T, F, W>(host: &dyn Access, endpoint: Endpoint, work: F) -> anyhow::Result<T>
where
    F: FnOnce(Engine) -> W,
    W: Future<Output = anyhow::Result<T>>,
{
    let folder = tempfile::Builder::new().prefix("crudctl-").tempdir().context("no temporary directory")?;
    let path = folder.path().join("engine");
    let listener = UnixListener::bind(&path)?;
    let engine = Engine::at(&path)?;
    let said = Mutex::new(None);
    let bridge = async {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((mut near, _)) = accepted else { continue };
                    let (said, endpoint) = (&said, &endpoint);
                    open.push(async move {
                        match endpoint.connect(host).await {
                            Ok(mut far) => {
                                // Either side may end first; what the engine said is read by bollard.
                                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                            }
                            Err(error) => *said.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{error:#}")),
                        }
                    });
                }
                Some(()) = open.next() => {}
            }
        }
    };
    let all = async {
        ping(&engine.docker, Some(&said)).await?;
        work(engine.clone()).await
    };
    tokio::select! {
        result = all => result,
        () = bridge => bail!("the bridge to the engine ended"),
    }
}

fn may_connect(socket: &str) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

async fn ping(docker: &Docker, said: Option<&Mutex<Option<String>>>) -> anyhow::Result<()> {
    if let Err(error) = docker.ping().await {
        let more = said
            .and_then(|s| s.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .map(|s| format!(": {s}"))
            .unwrap_or_default();
        bail!(
            "the host's container engine does not answer{more} ({error}) (hint: is Docker installed and running, and may this user use it? see become)"
        );
    }
    Ok(())
}
