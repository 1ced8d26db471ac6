//! The hardware service of seed 003: `/hardware`, which the portal asks, over the resource `hardware`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value as Value_;

use super::{all, answer, object, resource};
use crate::http::App;
use crate::model::Value;

pub(in crate::http) const NAME: &str = "hardware";
/// The fields that the routes need, and that the answer has.
pub(in crate::http) const FIELDS: [&str; 3] = ["provider", "name", "availability"];

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/hardware", get(list)).route("/hardware/", get(list))
}

async fn list(State(app): State<Arc<App>>) -> Response {
    let run = async {
        let resource = resource(&app, NAME)?;
        let rows = all(&app, resource).await?;
        let rows: Vec<Value_> = rows.iter().map(|row| object(resource, row, &FIELDS, Value::to_json)).collect();
        Ok(Json(rows).into_response())
    };
    answer(run.await)
}
