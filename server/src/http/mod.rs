//! The service over HTTP: what every request meets, and the routes.

pub(crate) mod api;
mod body;
mod cors;
mod frame;
mod guard;
mod health;
mod layers;
mod limit;
mod metrics;
mod openapi;
mod pages;
mod query;
mod seeds;
mod strict_json;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use axum::extract::Request;
use axum::{Router, middleware};
use tower::util::MapRequest;

pub use frame::{Frame, framed};
pub use layers::Peer;

use crate::auth::Authority;
use crate::config::{Auth, Settings};
use crate::model::Resource;
use crate::store::{Database, Target};

/// What the handlers share.
#[derive(Debug)]
pub struct App {
    /// The database.
    pub database: Arc<Database>,
    /// The declared resources.
    pub resources: Vec<Resource>,
    /// The table of the idempotency keys.
    pub keys: Resource,
    /// Who may ask, if not everybody.
    pub auth: Option<Authority>,
    /// The tables are there.
    pub migrated: AtomicBool,
    /// How long a key is kept.
    pub idempotency_hours: u32,
    /// Largest body.
    pub max_body: usize,
    /// What it has in common with the portal.
    pub frame: Arc<Frame>,
}

impl App {
    /// From the settings; connects to nothing yet.
    pub fn new(settings: &Settings, target: &Target, resources: Vec<Resource>) -> Self {
        let database = Arc::new(Database::new(target, settings.database_pool, settings.wait()));
        Self {
            frame: Frame::new(settings, Some(database.clone())),
            database,
            resources,
            keys: api::idempotency::table(),
            auth: (settings.auth == Auth::Keys).then(|| Authority::new(settings)),
            migrated: AtomicBool::new(false),
            idempotency_hours: settings.idempotency_hours,
            max_body: settings.max_body_bytes,
        }
    }

    /// Every table that the server needs.
    pub fn tables(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().chain([&self.keys]).chain(self.auth.iter().map(|auth| auth.keys.table()))
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
pub fn router(app: &Arc<App>) -> anyhow::Result<Router> {
    let data = Router::new()
        .merge(guard::by_path(app, api::routes()))
        .merge(seeds::routes(app))
        .layer(middleware::from_fn_with_state(app.clone(), layers::migrated));
    let routes = Router::new().merge(pages::routes(app)).merge(openapi::routes()).merge(data).with_state(app.clone());
    framed(&app.frame, health::readiness().with_state(app.clone()), routes)
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
