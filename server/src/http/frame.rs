//! What every service of this program has, whatever it serves.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::{Router, middleware};

use super::limit::Limit;
use super::metrics::Metrics;
use super::{cors, health, layers, limit, metrics};
use crate::config::Settings;
use crate::problem::Problem;
use crate::store::Database;

/// What the layers share.
#[derive(Debug)]
pub struct Frame {
    /// The process ends: send it no more requests.
    pub stopping: AtomicBool,
    /// When the process came up.
    pub started: Instant,
    /// The version that it names.
    pub version: String,
    /// Longest request.
    pub timeout: Duration,
    /// How many proxies stand before it, each of which appends to `X-Forwarded-For`.
    pub proxy_hops: usize,
    /// What is counted.
    pub metrics: Metrics,
    limit: Option<Limit>,
    cors_origins: Vec<String>,
}

impl Frame {
    /// From the settings; the pool of `database` is among what is counted.
    pub fn new(settings: &Settings, database: Option<Arc<Database>>) -> Arc<Self> {
        Arc::new(Self {
            stopping: AtomicBool::new(false),
            started: Instant::now(),
            version: settings.crud_version.clone(),
            timeout: Duration::from_secs(settings.request_timeout),
            proxy_hops: settings.proxy_hops,
            metrics: Metrics::new(&settings.crud_version, database),
            limit: Limit::new(settings.rate_limit),
            cors_origins: settings.cors_origins.clone(),
        })
    }

    /// The limit of requests of one client, if there is one.
    pub(super) fn limit(&self) -> Option<&Limit> {
        self.limit.as_ref()
    }
}

/// The routes of a service with those that every service has, and with what every request meets. `probes` are for
/// orchestrators, whose questions are not limited.
pub fn framed(frame: &Arc<Frame>, probes: Router, routes: Router) -> anyhow::Result<Router> {
    // Before the layers, so that they are around it, too: a browser asks by a method that no route takes.
    let mut limited = routes.method_not_allowed_fallback(wrong_method);
    if frame.limit.is_some() {
        limited = limited.layer(middleware::from_fn_with_state(frame.clone(), limit::limited));
    }
    if let Some(cors) = cors::layer(&frame.cors_origins)? {
        limited = limited.layer(cors);
    }
    let open = Router::new().merge(health::of_all()).merge(metrics::routes()).with_state(frame.clone()).merge(probes);
    Ok(open
        .method_not_allowed_fallback(wrong_method)
        .merge(limited)
        .fallback(|| async { Problem::not_found("path") })
        .layer(middleware::from_fn_with_state(frame.clone(), layers::every_request)))
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
}
