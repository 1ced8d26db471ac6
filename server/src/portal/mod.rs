//! The portal of seed 003: one page that shows what the hardware service answers, kept for a while, and shown as it was
//! when that service does not answer.

mod cache;
mod page;
mod source;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use self::cache::{Cache, Seen};
use self::source::Source;
use crate::config::Settings;

/// The page's state.
#[derive(Debug)]
pub struct Portal {
    cache: Cache,
}

impl Portal {
    /// From the settings; asks nothing yet.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let source = Source::new(&settings.hardware_host, Duration::from_secs(settings.hardware_timeout))?;
        Ok(Self { cache: Cache::new(source, Duration::from_secs(settings.cache_seconds)) })
    }

    /// Where it asks.
    pub fn source(&self) -> String {
        self.cache.source().to_string()
    }
}

/// The page.
pub fn routes(portal: Portal) -> Router {
    Router::new().route("/", get(index)).with_state(Arc::new(portal))
}

/// It can serve as soon as it listens.
pub fn readiness() -> Router {
    Router::new().route("/readyz", get(|| async { axum::Json(serde_json::json!({"status": "ready"})) }))
}

async fn index(State(portal): State<Arc<Portal>>) -> Response {
    let seen = portal.cache.get().await;
    let (cache, age) = match &seen {
        Seen::Fresh { list, asked } => (if *asked { "miss" } else { "hit" }, Some(list.age)),
        Seen::Stale(list) => ("stale", Some(list.age)),
        Seen::Nothing => ("none", None),
    };
    let mut response = page::page(&seen).into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-cache"), HeaderValue::from_static(cache));
    match age {
        Some(age) => headers.insert(header::AGE, HeaderValue::from(age.as_secs())),
        None => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
    };
    response
}
