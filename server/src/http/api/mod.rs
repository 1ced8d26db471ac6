//! The generic API: `/api/{resource}` and `/api/{resource}/{id}`, by the declaration alone.

pub(super) mod create;
pub(super) mod cursor;
pub(crate) mod idempotency;
mod item;
pub(super) mod list;
mod precondition;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Serialize;
use uuid::Uuid;

use super::{App, query};
use crate::model::{Resource, Value};
use crate::problem::Problem;
use crate::store::{Condition, Row};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/{resource}", get(list_rows).post(create::create))
        .route("/api/{resource}/{id}", get(item::get).put(item::put).patch(item::patch).delete(item::delete))
}

async fn list_rows(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let resource = resource(&app, path.map(|Path(name)| name))?;
    let pairs = query::pairs(raw.as_deref())?;
    let mut query = list::read(resource, &pairs)?;
    // One row more than the page has tells whether there is a next page.
    query.select.limit = query.select.limit.map(|limit| limit + 1);
    let rows = app.database.select(resource, &query.select).await?;
    let page = list::page(resource, &query, rows);
    let mut response = json(StatusCode::OK, &page);
    if let Some(link) = page.next.and_then(|next| link(&resource.name, &pairs, &next)) {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// The next page's URL (RFC 8288).
fn link(name: &str, pairs: &[(String, String)], next: &str) -> Option<HeaderValue> {
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let pairs = pairs.iter().filter(|(name, _)| name != "cursor");
    let pairs = pairs.map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    let query: Vec<String> = pairs.chain([format!("cursor={next}")]).collect();
    HeaderValue::try_from(format!("</api/{name}?{}>; rel=\"next\"", query.join("&"))).ok()
}

/// The resource that the path names.
pub(super) fn resource(app: &App, name: Result<String, PathRejection>) -> Result<&Resource, Problem> {
    let name = name.map_err(|_| Problem::bad("the path is not UTF-8"))?;
    app.resource(&name).ok_or_else(|| Problem::not_found("resource"))
}

/// The names of a resource and of a row in a path.
pub(super) type Segments = Result<Path<(String, String)>, PathRejection>;

/// The resource and the row's id; what is no UUID names no row.
pub(super) fn item(app: &App, path: Segments) -> Result<(&Resource, Uuid), Problem> {
    let (name, id) = match path {
        Ok(Path((name, id))) => (Ok(name), id),
        Err(rejection) => (Err(rejection), String::new()),
    };
    let resource = resource(app, name)?;
    Ok((resource, Uuid::try_parse(&id).map_err(|_| Problem::not_found("row"))?))
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_string(body).expect("keys of answers are text");
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// A row with its entity tag.
fn row(status: StatusCode, resource: &Resource, row: &Row, only: Option<&[String]>) -> Response {
    let mut response = json(status, &list::Columns::of(resource, only).item(row));
    response.headers_mut().insert(header::ETAG, precondition::etag(version(row)));
    response
}

/// How often a row was changed: the last column of every table.
pub(super) fn version(row: &Row) -> i64 {
    match row.last() {
        Some(Value::Int(version)) => *version,
        _ => 0,
    }
}

/// The row in exactly this version, for a statement's `WHERE`.
pub(super) fn in_version(id: Uuid, version: i64) -> [Condition; 2] {
    [Condition::equal("id", Value::Uuid(id)), Condition::equal("row_version", Value::Int(version))]
}
