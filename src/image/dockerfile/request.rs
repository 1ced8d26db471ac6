//! The request for a build, `POST /build`, whose answer is a stream of what the steps do.

use std::collections::HashMap;
use std::fs::File;

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bollard::auth::DockerCredentials;
use bollard_buildkit_proto::moby::buildkit::v1::StatusResponse;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::Frame;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use url::form_urlencoded::Serializer;

use super::session::Session;
use super::steps::{Log, Steps};
use super::{DockerfileBuild, file_name};
use crate::image::Engine;
use crate::image::engine::Body;

/// Who builds, and how it gets what it needs.
pub(super) enum Way<'a> {
    /// BuildKit, which asks over a session.
    BuildKit(&'a Session),
    /// The classic builder: the Dockerfile's name in a tar, the tar, the logins.
    Classic(String, File, HashMap<String, DockerCredentials>),
}

/// Builds; the image's id.
pub(super) async fn build(build: &DockerfileBuild, engine: &Engine, way: Way<'_>, log: &mut Log<'_>) -> Result<String> {
    let response = engine.request(request(build, way)?).await?;
    let status = response.status();
    let mut body = response.into_body();
    if !status.is_success() {
        let bytes = body.collect().await.context("the engine's answer")?.to_bytes();
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let said = said["message"].as_str().map_or_else(|| String::from_utf8_lossy(&bytes).into_owned(), str::to_owned);
        bail!("the engine refuses the build: {}", said.trim());
    }
    let (mut pending, mut steps, mut id) = (BytesMut::new(), Steps::default(), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the engine's answer broke off")?;
        let Ok(data) = frame.into_data() else { continue };
        pending.extend_from_slice(&data);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line = pending.split_to(end + 1);
            if !line.trim_ascii().is_empty() {
                message(&line, &mut steps, log, &mut id)?;
            }
        }
    }
    if !pending.trim_ascii().is_empty() {
        message(&pending, &mut steps, log, &mut id)?;
    }
    id.context("the engine's answer broke off: it names no image")
}

fn request(build: &DockerfileBuild, way: Way<'_>) -> Result<hyper::Request<Body>> {
    let mut query = query(build)?;
    let mut request = hyper::Request::post("/").header("Host", "docker").header("Content-Type", "application/x-tar");
    let body = match way {
        Way::BuildKit(session) => {
            query.append_pair("version", "2").append_pair("remote", "client-session");
            query.append_pair("session", &session.id).append_pair("buildid", &session.id);
            query.append_pair("dockerfile", &file_name(&build.dockerfile)?);
            Empty::new().map_err(|never| match never {}).boxed_unsync()
        }
        Way::Classic(dockerfile, tar, logins) => {
            ensure!(build.secrets.is_empty(), "secrets of a build take BuildKit, which isn't used here");
            query.append_pair("rm", "1").append_pair("forcerm", "1").append_pair("dockerfile", &dockerfile);
            request = request.header("X-Registry-Config", URL_SAFE.encode(serde_json::to_vec(&logins)?));
            StreamBody::new(pieces(tar)).boxed_unsync()
        }
    };
    Ok(request.uri(format!("/build?{}", query.finish())).body(body)?)
}

fn message(line: &[u8], steps: &mut Steps, log: &mut Log<'_>, id: &mut Option<String>) -> Result<()> {
    let message: Value = serde_json::from_slice(line).context("the engine's answer is no JSON")?;
    if let Some(error) = message["errorDetail"]["message"].as_str().or(message["error"].as_str()) {
        bail!("{}", log.failure(error));
    }
    match message["id"].as_str() {
        Some("moby.buildkit.trace") => {
            let bytes =
                STANDARD.decode(message["aux"].as_str().unwrap_or_default()).context("the trace of the build")?;
            steps.take(&StatusResponse::decode(bytes.as_slice()).context("the trace of the build")?, log);
        }
        _ => {
            if let Some(image) = message["aux"]["ID"].as_str() {
                *id = Some(image.to_owned());
            }
            if let Some(text) = message["stream"].as_str() {
                log.text(text);
            }
        }
    }
    Ok(())
}

/// What both builders understand.
fn query(build: &DockerfileBuild) -> Result<Serializer<'static, String>> {
    let mut query = Serializer::new(String::new());
    query.append_pair("buildargs", &json!(build.args).to_string());
    query.append_pair("labels", &json!(build.labels).to_string());
    for name in &build.names {
        query.append_pair("t", name);
    }
    for host in &build.hosts {
        query.append_pair("extrahosts", host);
    }
    if !build.cache_from.is_empty() {
        query.append_pair("cachefrom", &json!(build.cache_from).to_string());
    }
    for (name, value) in [("target", &build.target), ("platform", &build.platform), ("networkmode", &build.network)] {
        if let Some(value) = value {
            ensure!(!value.is_empty(), "`{name}` is empty");
            query.append_pair(name, value);
        }
    }
    for (name, set) in [("nocache", build.no_cache), ("pull", build.pull)] {
        if set {
            query.append_pair(name, "1");
        }
    }
    if let Some(size) = build.shm_size {
        query.append_pair("shmsize", &size.to_string());
    }
    Ok(query)
}

fn pieces(tar: File) -> impl Stream<Item = std::io::Result<Frame<Bytes>>> {
    stream::try_unfold(tokio::fs::File::from_std(tar), |mut file| async move {
        let mut piece = BytesMut::with_capacity(64 * 1024);
        let count = file.read_buf(&mut piece).await?;
        Ok((count > 0).then(|| (Frame::data(piece.freeze()), file)))
    })
}
