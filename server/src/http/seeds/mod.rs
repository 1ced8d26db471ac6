//! The services of the seeds, each with its own paths and its own JSON, over the resources of the same names.

pub(super) mod employees;
pub(super) mod hardware;
pub(super) mod passengers;
mod reversed;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use serde_json::{Map, Value as Json};

use super::{App, guard};
use crate::model::{Resource, Value};
use crate::problem::{At, Problem};
use crate::records;
use crate::store::{Row, Select};

/// The routes of the seeds whose resources are served with the fields that they need.
pub(super) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    let mut router = guard::of(app, None, reversed::routes());
    let mut add = |name, fields: &[&str], routes| {
        if app.has(name, fields) {
            router = std::mem::take(&mut router).merge(guard::of(app, Some(name), routes));
        }
    };
    add(employees::NAME, &employees::FIELDS, employees::routes());
    add(passengers::NAME, &passengers::FIELDS, passengers::routes());
    add(hardware::NAME, &hardware::FIELDS, hardware::routes());
    router
}

/// The resource of a seed, which is there if its routes are.
fn resource<'a>(app: &'a App, name: &str) -> Result<&'a Resource, Problem> {
    app.resource(name).ok_or_else(|| Problem::not_found("resource"))
}

/// All rows, oldest first.
async fn all(app: &App, resource: &Resource) -> Result<Vec<Row>, Problem> {
    let query = Select { sort: records::default_sort(), ..Select::default() };
    Ok(app.database.select(resource, &query).await?)
}

/// Some columns of a row, in this order.
fn object(resource: &Resource, row: &Row, names: &[&str], write: impl Fn(&Value) -> Json) -> Json {
    let columns = resource.columns();
    let value = |name: &str| {
        let at = columns.iter().position(|column| column.name == name);
        at.and_then(|at| row.get(at)).map_or(Json::Null, &write)
    };
    Json::Object(names.iter().map(|name| ((*name).to_owned(), value(name))).collect())
}

/// The last part of a path.
type Segment = Result<Path<String>, PathRejection>;

/// Its text. One that no database can hold names nothing.
fn segment(path: Segment, what: &str) -> Result<String, Problem> {
    let Path(text) = path.map_err(|_| Problem::bad("the path is not UTF-8"))?;
    if text.contains('\0') { Err(Problem::not_found(what)) } else { Ok(text) }
}

/// An error as the seeds' clients read it: `{"message": ...}`, with `errors` by field.
fn answer(result: Result<Response, Problem>) -> Response {
    result.unwrap_or_else(|problem| {
        let mut body = Map::new();
        body.insert("message".into(), problem.detail.as_str().into());
        if !problem.wrong.is_empty() {
            let errors = problem.wrong.iter().map(|wrong| match &wrong.at {
                At::Field(name) | At::Item(_, name) | At::Parameter(name) => (name.clone(), wrong.rule.as_str().into()),
            });
            body.insert("errors".into(), Json::Object(errors.collect()));
        }
        problem.answer("application/json", &body)
    })
}
