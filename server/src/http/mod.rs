//! The service over HTTP: what every request meets, and the routes.

pub(crate) mod api;
mod body;
mod health;
mod layers;
mod openapi;
mod query;
mod seeds;
mod strict_json;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::StatusCode;
use axum::{Router, middleware};
use tower::util::MapRequest;

pub use layers::Peer;

use crate::config::Settings;
use crate::model::Resource;
use crate::problem::Problem;
use crate::store::{Database, Target};

/// What the handlers share.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub database: Database,
    /// The declared resources.
    pub resources: Vec<Resource>,
    /// The table of the idempotency keys.
    pub keys: Resource,
    /// The tables are there.
    pub migrated: AtomicBool,
    /// How long a key is kept.
    pub idempotency_hours: u32,
    /// Largest body.
    pub max_body: usize,
    /// What it has in common with the portal.
    pub frame: Arc<Frame>,
}

/// What every service of this program has.
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
}

impl Frame {
    /// From the settings.
    pub fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            stopping: AtomicBool::new(false),
            started: Instant::now(),
            version: settings.crud_version.clone(),
            timeout: Duration::from_secs(settings.request_timeout),
        })
    }
}

impl App {
    /// From the settings; connects to nothing yet.
    pub fn new(settings: &Settings, target: &Target, resources: Vec<Resource>) -> Self {
        Self {
            database: Database::new(target, settings.database_pool, settings.wait()),
            resources,
            keys: api::idempotency::table(),
            migrated: AtomicBool::new(false),
            idempotency_hours: settings.idempotency_hours,
            max_body: settings.max_body_bytes,
            frame: Frame::new(settings),
        }
    }

    /// Every table that the server needs.
    pub fn tables(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().chain([&self.keys])
    }

    /// Whether there is a resource with these fields: a contract of a seed needs its own.
    fn has(&self, name: &str, fields: &[&str]) -> bool {
        self.resource(name).is_some_and(|resource| fields.iter().all(|field| resource.field(field).is_some()))
    }

    /// The resource of this name.
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.name == name)
    }
}

/// All routes of the data service.
pub fn router(app: &Arc<App>) -> Router {
    let data = Router::new()
        .merge(api::routes())
        .merge(seeds::routes(app))
        .layer(middleware::from_fn_with_state(app.clone(), layers::migrated));
    let routes = Router::new().merge(health::of_data()).merge(openapi::routes()).merge(data).with_state(app.clone());
    framed(routes, &app.frame)
}

/// The routes of a service with those that every service has, and with what every request meets.
pub fn framed(routes: Router, frame: &Arc<Frame>) -> Router {
    Router::new()
        .merge(health::of_all())
        .fallback(|| async { Problem::not_found("path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .with_state(frame.clone())
        .merge(routes)
        .layer(middleware::from_fn_with_state(frame.clone(), layers::every_request))
}

/// Tells the handlers who is asking.
pub fn with_peer(
    router: Router,
    peer: SocketAddr,
) -> MapRequest<Router, impl Fn(Request<hyper::body::Incoming>) -> Request + Clone> {
    MapRequest::new(router, move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(Peer(peer));
        request
    })
}
