//! What orchestrators ask first: `/healthz`, `/readyz`, `/version`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::{App, Frame};
use crate::problem::Problem;

/// Of every service.
pub(super) fn of_all() -> Router<Arc<Frame>> {
    Router::new().route("/healthz", get(alive)).route("/version", get(version))
}

/// Whether the service with data may be asked for it.
pub(super) fn readiness() -> Router<Arc<App>> {
    Router::new().route("/readyz", get(ready))
}

async fn alive(State(frame): State<Arc<Frame>>) -> Response {
    Json(json!({"status": "ok", "version": frame.version})).into_response()
}

async fn version(State(frame): State<Arc<Frame>>) -> Response {
    Json(json!({"version": frame.version})).into_response()
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    let unavailable = |text: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    if app.frame.stopping.load(Ordering::Acquire) {
        return unavailable("stopping");
    }
    if !app.migrated.load(Ordering::Acquire) {
        return unavailable("not ready: waiting for the database");
    }
    match tokio::time::timeout(Duration::from_secs(2), app.database.ping()).await {
        Ok(Ok(())) => Json(json!({"status": "ready", "version": app.frame.version})).into_response(),
        Ok(Err(error)) => Problem::from(error).into_response(),
        Err(_) => unavailable("the database does not answer"),
    }
}
