//! What every request meets: an id, a time limit, a log line, the version header.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{App, Frame, pages};
use crate::auth::Principal;
use crate::log::{self, Level};
use crate::problem::Problem;

/// The other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

pub(super) async fn every_request(State(frame): State<Arc<Frame>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = route.filter(|route| *route != pages::NOTHING).map(str::to_owned);
    let client = client(&request, frame.proxy_hops).map(|client| client.to_string());
    let answer = tokio::time::timeout(frame.timeout, next.run(request)).await;
    let mut response = answer
        .unwrap_or_else(|_| Problem::new(StatusCode::GATEWAY_TIMEOUT, "the request took too long").into_response());
    let took = started.elapsed();
    frame.metrics.answered(&method, route.as_deref(), response.status(), took);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", value);
    }
    if let Ok(value) = HeaderValue::from_str(&frame.version) {
        headers.insert("x-crud-version", value);
    }
    if log::enabled(Level::Info) {
        let mut fields = Map::new();
        fields.insert("request_id".into(), id.into());
        fields.insert("method".into(), method.as_str().into());
        fields.insert("path".into(), path.into());
        fields.insert("status".into(), response.status().as_u16().into());
        fields.insert("ms".into(), Value::from((took.as_secs_f64() * 1e6).round() / 1e3));
        fields.insert("client".into(), client.into());
        if let Some(principal) = response.extensions().get::<Principal>() {
            fields.insert("key".into(), principal.name.as_str().into());
        }
        // Probes come every few seconds for ever.
        let quiet = matches!(fields.get("path").and_then(Value::as_str), Some("/healthz" | "/readyz" | "/metrics"));
        let level = if quiet && response.status().is_success() { Level::Debug } else { Level::Info };
        log::write(level, "request", fields);
    }
    response
}

/// Who asks: the other end of the connection, or, where `hops` proxies stand before this service, what the first of them
/// saw as its other end.
pub(super) fn client(request: &Request, hops: usize) -> Option<IpAddr> {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    if hops == 0 {
        return peer;
    }
    let lines = request.headers().get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok());
    let addresses: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let forwarded = addresses.len().checked_sub(hops).and_then(|at| addresses[at].parse().ok());
    forwarded.or(peer)
}

/// Until the tables are there, what needs them is not available.
pub(super) async fn migrated(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.migrated.load(Ordering::Acquire) {
        return next.run(request).await;
    }
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not ready: waiting for the database").into_response()
}

/// The caller's id: the trace id of `traceparent` (W3C Trace Context), else `x-request-id`, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let trace = text("traceparent").and_then(|value| value.split('-').nth(1)).filter(|id| {
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.bytes().any(|byte| byte != b'0')
    });
    let given = text("x-request-id")
        .filter(|id| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()));
    trace.or(given).map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned)
}
