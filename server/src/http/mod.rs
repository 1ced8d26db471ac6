//! The service over HTTP: what every request meets, and the routes.

mod body;
mod employees;
mod health;
mod layers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::{Router, middleware};
use tower::util::MapRequest;

pub use layers::Peer;

use crate::config::Settings;
use crate::declaration;
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
    /// The migrations are done and the process is not stopping.
    pub ready: AtomicBool,
    /// When the process came up.
    pub started: Instant,
    /// The version that it names.
    pub version: String,
    /// Largest body.
    pub max_body: usize,
    /// Longest request.
    pub timeout: std::time::Duration,
}

impl App {
    /// From the settings; connects to nothing yet.
    pub fn new(settings: &Settings, target: &Target) -> anyhow::Result<Self> {
        Ok(Self {
            database: Database::new(target, settings.database_pool, settings.wait()),
            resources: declaration::load(&settings.crud_resources)?,
            ready: AtomicBool::new(false),
            started: Instant::now(),
            version: settings.crud_version.clone(),
            max_body: settings.max_body_bytes,
            timeout: std::time::Duration::from_secs(settings.request_timeout),
        })
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

/// All routes.
pub fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new().merge(health::routes());
    if app.has("employees", &["name", "age", "email"]) {
        router = router.merge(employees::routes());
    }
    router
        .fallback(|| async { json_problem(&Problem::not_found("path")) })
        .method_not_allowed_fallback(|| async {
            json_problem(&Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method"))
        })
        .layer(middleware::from_fn_with_state(app.clone(), layers::every_request))
        .with_state(app.clone())
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

/// An error as the seeds' clients read it: `{"message": ...}`.
fn json_problem(problem: &Problem) -> Response {
    let mut body = serde_json::Map::new();
    body.insert("message".into(), problem.detail.clone().into());
    if !problem.fields.is_empty() {
        let fields = problem.fields.iter().map(|(name, rule)| (name.clone(), rule.as_str().into()));
        body.insert("errors".into(), serde_json::Value::Object(fields.collect()));
    }
    let mut response = (problem.status, axum::Json(body)).into_response();
    if problem.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("1"));
    }
    response
}
