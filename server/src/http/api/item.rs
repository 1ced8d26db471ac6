//! `/api/{resource}/{id}`: read, replace, patch and delete one row.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::precondition::{self, Preconditions};
use super::{Segments, in_version, list, row, version};
use crate::http::{App, body, query};
use crate::model::{Kind, Resource, Value};
use crate::problem::{Problem, Wrong};
use crate::records;
use crate::store::{Condition, Row};

/// Tries to change a row that others change at the same time.
const TRIES: usize = 20;

pub(super) async fn get(
    State(app): State<Arc<App>>,
    path: Segments,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (resource, id) = super::item(&app, path)?;
    let conditions = Preconditions::read(&headers)?;
    let mut only = None;
    for (name, value) in query::pairs(raw.as_deref())? {
        let rule = match name.as_str() {
            "fields" => list::fields(resource, &value).map(|fields| only = Some(fields)),
            _ => Err("is no parameter here: there is `fields`".into()),
        };
        rule.map_err(|rule| Problem::parameters(vec![Wrong::parameter(&name, rule)]))?;
    }
    let found = existing(&app, resource, id).await?;
    if conditions.read_before(version(&found)) {
        let tag = (header::ETAG, precondition::etag(version(&found)));
        return Ok((StatusCode::NOT_MODIFIED, [tag]).into_response());
    }
    conditions.check(version(&found))?;
    Ok(row(StatusCode::OK, resource, &found, only.as_deref()))
}

pub(super) async fn put(
    State(app): State<Arc<App>>,
    path: Segments,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (resource, id) = super::item(&app, path)?;
    let conditions = Preconditions::read(&headers)?;
    let object = object(&app, &headers, None, body).await?;
    let set = records::read_whole(resource, &object)?;
    let changed = change(&app, resource, id, &conditions, &set).await?;
    Ok(row(StatusCode::OK, resource, &changed, None))
}

pub(super) async fn patch(
    State(app): State<Arc<App>>,
    path: Segments,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (resource, id) = super::item(&app, path)?;
    let conditions = Preconditions::read(&headers)?;
    let object = object(&app, &headers, Some("application/merge-patch+json"), body).await?;
    let changed = if documents(resource, &object) {
        merge(&app, resource, id, &conditions, &object).await?
    } else {
        let set = records::read_patch(resource, &object)?;
        change(&app, resource, id, &conditions, &set).await?
    };
    Ok(row(StatusCode::OK, resource, &changed, None))
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    path: Segments,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (resource, id) = super::item(&app, path)?;
    let conditions = Preconditions::read(&headers)?;
    let at = at(&app, resource, id, &conditions).await?;
    if app.database.delete(resource, &at).await? == 0 {
        return Err(gone(&conditions));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn object(app: &App, headers: &HeaderMap, also: Option<&str>, body: Body) -> Result<Map<String, Json>, Problem> {
    body::must_be_json(headers, also)?;
    body::as_object(body::json(&body::bytes(app, body).await?)?)
}

async fn existing(app: &App, resource: &Resource, id: Uuid) -> Result<Row, Problem> {
    records::find(&app.database, resource, id).await?.ok_or_else(|| Problem::not_found("row"))
}

/// The row as the preconditions name it, for a statement's `WHERE`.
async fn at(app: &App, resource: &Resource, id: Uuid, conditions: &Preconditions) -> Result<Vec<Condition>, Problem> {
    if !conditions.is_empty() {
        let found = version(&existing(app, resource, id).await?);
        conditions.check(found)?;
        if conditions.names_versions() {
            return Ok(in_version(id, found).into());
        }
    }
    Ok(vec![Condition::equal("id", Value::Uuid(id))])
}

async fn change(
    app: &App,
    resource: &Resource,
    id: Uuid,
    conditions: &Preconditions,
    set: &[(String, Value)],
) -> Result<Row, Problem> {
    let at = at(app, resource, id, conditions).await?;
    records::update(&app.database, resource, set, &at).await?.ok_or_else(|| gone(conditions))
}

/// Why a statement met no row: another changed it since its version was read, or it is not there.
fn gone(conditions: &Preconditions) -> Problem {
    if conditions.names_versions() { precondition::lost() } else { Problem::not_found("row") }
}

/// Whether the patch reaches into a document, whose present state decides what becomes of it.
fn documents(resource: &Resource, patch: &Map<String, Json>) -> bool {
    resource.fields.iter().any(|field| field.kind == Kind::Json && patch.get(&field.name).is_some_and(Json::is_object))
}

async fn merge(
    app: &App,
    resource: &Resource,
    id: Uuid,
    conditions: &Preconditions,
    patch: &Map<String, Json>,
) -> Result<Row, Problem> {
    // What is wrong with the request itself is told before what its conditions meet.
    records::read_patch(resource, patch)?;
    for _ in 0..TRIES {
        let found = existing(app, resource, id).await?;
        conditions.check(version(&found))?;
        let mut patch = patch.clone();
        for (field, value) in resource.fields.iter().zip(&found[1..]) {
            if let (Kind::Json, Some(change)) = (&field.kind, patch.get_mut(&field.name)) {
                let mut document = value.to_json();
                records::merge(&mut document, change);
                *change = document;
            }
        }
        let set = records::read_patch(resource, &patch)?;
        if let Some(changed) = records::update(&app.database, resource, &set, &in_version(id, version(&found))).await? {
            return Ok(changed);
        }
        if conditions.names_versions() {
            return Err(precondition::lost());
        }
    }
    Err(Problem::new(StatusCode::CONFLICT, "others change this row all the time: try again"))
}
