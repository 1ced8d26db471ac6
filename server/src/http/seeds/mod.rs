//! The services of the seeds, each with its own paths and its own JSON, over the resources of the same names.

mod employees;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use serde_json::{Map, Value};

use super::App;
use crate::problem::{At, Problem};

/// The routes of the seeds whose resources are served with the fields that they need.
pub(super) fn routes(app: &App) -> Router<Arc<App>> {
    let mut router = Router::new();
    if app.has(employees::NAME, &employees::FIELDS) {
        router = router.merge(employees::routes());
    }
    router
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
            body.insert("errors".into(), Value::Object(errors.collect()));
        }
        problem.answer("application/json", &body)
    })
}
