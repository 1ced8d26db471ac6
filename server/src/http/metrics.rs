//! `/metrics`: what Prometheus scrapes, as OpenMetrics text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::Frame;
use crate::log;
use crate::store::Database;

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// What is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

impl Metrics {
    pub(super) fn new(version: &str, database: Option<Arc<Database>>) -> Self {
        let mut registry = Registry::with_prefix("crud");
        let requests = Family::default();
        let seconds = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        registry.register("http_requests", "Requests by route and status", requests.clone());
        registry.register("http_request_duration_seconds", "Time to the answer by route", seconds.clone());
        registry.register("build", "The version", Info::new(vec![("version", version.to_owned())]));
        if let Some(database) = database {
            registry.register_collector(Box::new(Connections(database)));
        }
        Self { registry, requests, seconds }
    }

    /// Counts an answered request; `route` is the pattern, not the path, so that there are few.
    pub(super) fn answered(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        let (method, route) = (known(method), route.unwrap_or("none").to_owned());
        self.seconds.get_or_create(&Route { method, route: route.clone() }).observe(took.as_secs_f64());
        self.requests.get_or_create(&Request { method, route, status: status.as_u16() }).inc();
    }
}

/// A client may send any word as a method; only these make a series of their own.
fn known(method: &Method) -> &'static str {
    let names = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    names.into_iter().find(|name| *name == method.as_str()).unwrap_or("other")
}

/// The database's pool, as it is when it is asked.
#[derive(Debug)]
struct Connections(Arc<Database>);

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let usage = self.0.usage();
        let mut gauge = |name: &str, help: &str, value: u32| {
            let gauge = ConstGauge::new(i64::from(value));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge("database_connections_busy", "Connections at work", usage.busy)?;
        gauge("database_connections_idle", "Connections that wait for work", usage.idle)?;
        gauge("database_connections_max", "The limit of connections", usage.max)
    }
}

pub(super) fn routes() -> Router<Arc<Frame>> {
    Router::new().route("/metrics", get(scrape))
}

async fn scrape(State(frame): State<Arc<Frame>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &frame.metrics.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(error) => {
            log::error("the metrics cannot be written", &[("error", error.to_string())]);
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
