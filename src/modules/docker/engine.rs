//! The engine of a host: its socket where that is at hand, else `docker system dial-stdio` over the host's session.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::UnixListener;

use crate::modules::contract::Access;

/// Seconds that a request may take; loading an image is the longest.
const TIMEOUT: u64 = 600;
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
    let named = std::env::var("DOCKER_HOST").ok().filter(|h| host.is_local() && h.starts_with("unix://"));
    let socket = named.as_deref().map_or(SOCKET, |h| h.trim_start_matches("unix://"));
    if host.is_local() && may_connect(socket) {
        let docker = Docker::connect_with_unix(socket, TIMEOUT, API_DEFAULT_VERSION)?;
        ping(&docker, None).await?;
        return work(docker).await;
    }
    let folder = tempfile::Builder::new().prefix("crudctl-").tempdir().context("no temporary directory")?;
    let path = folder.path().join("engine");
    let listener = UnixListener::bind(&path)?;
    let docker = Docker::connect_with_unix(&path.to_string_lossy(), TIMEOUT, API_DEFAULT_VERSION)?;
    let said = Mutex::new(None);
    let bridge = async {
        let mut open = FuturesUnordered::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((mut near, _)) = accepted else { continue };
                    let said = &said;
                    open.push(async move {
                        let argv = ["docker", "system", "dial-stdio"].map(str::to_owned).to_vec();
                        match host.open(argv).await {
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
        ping(&docker, Some(&said)).await?;
        work(docker.clone()).await
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
