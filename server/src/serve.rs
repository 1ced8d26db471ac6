//! The life of the process: listen at once, bring up the database beside it, serve, and end in good order.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::config::{Service, Settings};
use crate::declaration;
use crate::http::api::idempotency;
use crate::http::{self, App, Frame};
use crate::log;
use crate::portal::{self, Portal};
use crate::store::error::may_pass;
use crate::store::{Target, migrate};

/// Serves until SIGTERM or SIGINT.
pub fn run(settings: &Settings, service: Service) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start threads")?;
    runtime.block_on(async {
        match service {
            Service::All | Service::Hardware => data(settings, service).await,
            Service::Portal => portal(settings).await,
        }
    })
}

async fn data(settings: &Settings, service: Service) -> anyhow::Result<()> {
    let target = settings.target()?;
    let resources = declaration::load(&settings.resources(service))?;
    let app = Arc::new(App::new(settings, &target, resources));
    let about = [("database", target.describe())];
    if app.auth.is_none() {
        log::warn(
            "authentication is off: everybody who reaches this service may read and write; AUTH=keys turns it on",
            &[],
        );
    }
    let router = http::router(&app)?;
    let migration = tokio::spawn(prepare(app.clone(), target));
    until_stopped(settings, service, router, &app.frame, migration, &about).await?;
    app.database.close().await;
    log::info("stopped", &[]);
    Ok(())
}

async fn portal(settings: &Settings) -> anyhow::Result<()> {
    let portal = Portal::new(settings)?;
    let frame = Frame::new(settings, None);
    let about = [("hardware", portal.source())];
    let router = http::framed(&frame, portal::readiness(), portal::routes(portal))?;
    until_stopped(settings, Service::Portal, router, &frame, tokio::spawn(async { Ok(()) }), &about).await?;
    log::info("stopped", &[]);
    Ok(())
}

/// Listens at once, with a task beside it whose failure ends the process; on a signal, requests in flight may end.
async fn until_stopped(
    settings: &Settings,
    service: Service,
    router: axum::Router,
    frame: &Frame,
    mut beside: JoinHandle<anyhow::Result<()>>,
    about: &[(&str, String)],
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let at = SocketAddr::new(settings.bind, settings.port(service));
    let listener = TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at}"))?;
    let at = listener.local_addr()?;
    log::info("listening", &[&[("address", at.to_string()), ("version", frame.version.clone())], about].concat());

    let graceful = GracefulShutdown::new();
    let mut busy = true;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => connection(&graceful, &router, stream, peer),
                Err(error) => {
                    // Out of file descriptors, most likely: accepting again at once would only spin.
                    log::warn("cannot accept a connection", &[("error", error.to_string())]);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            done = &mut beside, if busy => {
                busy = false;
                done.context("a task of the server stopped")??;
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    drop(listener);
    beside.abort();
    frame.stopping.store(true, Ordering::Release);
    log::info("stopping: no new connections", &[]);
    let grace = Duration::from_secs(settings.grace_seconds);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        log::warn("requests were still in flight at the end of the grace time", &[]);
    }
    Ok(())
}

fn connection(graceful: &GracefulShutdown, router: &axum::Router, stream: tokio::net::TcpStream, peer: SocketAddr) {
    // Answers are small and complete: waiting for more to send would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        log::debug("no TCP_NODELAY", &[("error", error.to_string())]);
    }
    let service = TowerToHyperService::new(http::with_peer(router.clone(), peer));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            log::debug("a connection ended early", &[("peer", peer.to_string()), ("error", error.to_string())]);
        }
    });
}

/// Migrates as soon as the database answers. What waiting cannot mend ends the process: an orchestrator shows it.
async fn prepare(app: Arc<App>, target: Target) -> anyhow::Result<()> {
    let mut pause = Duration::from_millis(100);
    loop {
        match migrate(&target, app.tables()).await {
            Ok(()) => {
                app.migrated.store(true, Ordering::Release);
                tokio::spawn(forget_keys(app.clone()));
                log::info("ready", &[("after_ms", app.frame.started.elapsed().as_millis().to_string())]);
                return Ok(());
            }
            Err(error) if may_pass(&error) => {
                log::warn("the database is not available yet", &[("error", format!("{error:#}"))]);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            Err(error) => return Err(error.context("cannot bring the database up to date")),
        }
    }
}

/// Forgets idempotency keys that are old enough, now and every hour.
async fn forget_keys(app: Arc<App>) {
    let mut hourly = tokio::time::interval(Duration::from_hours(1));
    loop {
        hourly.tick().await;
        match idempotency::expire(&app.database, &app.keys, app.idempotency_hours).await {
            Ok(count) => log::debug("old idempotency keys are forgotten", &[("count", count.to_string())]),
            Err(error) => log::warn("old idempotency keys stay for now", &[("error", error.to_string())]),
        }
    }
}

/// Asks `/healthz` on this machine, in an image that has no other program to do it.
pub fn healthcheck(settings: &Settings, service: Service) -> anyhow::Result<()> {
    let host = match settings.bind {
        bind if bind.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        bind => bind,
    };
    let at = SocketAddr::new(host, settings.port(service));
    let limit = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&at, limit).with_context(|| format!("nothing listens on {at}"))?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("no answer")?;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        bail!("/healthz on {at} answered: {}", String::from_utf8_lossy(line));
    }
    Ok(())
}
