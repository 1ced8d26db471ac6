//! `POST /api/{resource}`: an object makes one row, an array several (all or none). With an `Idempotency-Key` a request
//! that comes again gets the first answer again.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value as Json, json};

use super::{idempotency, json, list, precondition};
use crate::http::{App, body};
use crate::model::Resource;
use crate::problem::Problem;
use crate::records;
use crate::store::{Row, StoreError};

/// Most rows of one request.
pub(in crate::http) const MAX_ROWS: usize = 1000;

pub(super) async fn create(
    State(app): State<Arc<App>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let resource = super::resource(&app, path.map(|Path(name)| name))?;
    body::must_be_json(&headers, None)?;
    let key = idempotency::key(&headers)?;
    let bytes = body::bytes(&app, body).await?;
    let (rows, answer) = read(resource, body::json(&bytes)?)?;
    let Some(key) = key else {
        records::create(&app.database, resource, &rows).await?;
        return Ok(created(resource, &answer));
    };
    let entry = idempotency::Entry::new(resource, &key, &bytes);
    let note = [entry.row(&answer)];
    match app.database.insert(&[(&app.keys, &note), (resource, &rows)]).await {
        Ok(()) => Ok(created(resource, &answer)),
        Err(StoreError::Unique(index)) if idempotency::refused(&app.keys, &index) => {
            let first = entry.first_answer(&app).await?;
            Ok(created(resource, &first))
        }
        Err(error) => Err(records::taken(&app.database, resource, &rows, error).await),
    }
}

/// The new rows, and the answer that tells of them.
fn read(resource: &Resource, body: Json) -> Result<(Vec<Row>, Json), Problem> {
    let items = match body {
        Json::Object(object) => {
            let row = records::read_new(resource, &object)?;
            let answer = list::shown(resource, &row);
            return Ok((vec![row], answer));
        }
        Json::Array(items) => items,
        _ => return Err(Problem::bad("the body must be a JSON object, or an array of objects")),
    };
    if items.is_empty() || items.len() > MAX_ROWS {
        let text = format!("the array must have 1 to {MAX_ROWS} objects");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    let (mut rows, mut wrong) = (Vec::with_capacity(items.len()), Vec::new());
    for (index, item) in items.iter().enumerate() {
        let Some(object) = item.as_object() else {
            return Err(Problem::bad(format!("item {index} of the array must be an object")));
        };
        match records::read_new(resource, object) {
            Ok(row) => rows.push(row),
            Err(problem) => wrong.extend(problem.of_item(index).wrong),
        }
    }
    if !wrong.is_empty() {
        return Err(Problem::fields(wrong));
    }
    let answer: Vec<Json> = rows.iter().map(|row| list::shown(resource, row)).collect();
    Ok((rows, json!({ "items": answer })))
}

/// 201; one row has a place and a version of its own.
fn created(resource: &Resource, answer: &Json) -> Response {
    let mut response = json(StatusCode::CREATED, answer);
    if let Some(id) = answer.get("id").and_then(Json::as_str)
        && let Ok(place) = HeaderValue::try_from(format!("/api/{}/{id}", resource.name))
    {
        response.headers_mut().insert(header::LOCATION, place);
        response.headers_mut().insert(header::ETAG, precondition::etag(1));
    }
    response
}
