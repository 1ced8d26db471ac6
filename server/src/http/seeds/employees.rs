//! The employees service of seed 000: its paths and its JSON over the resource `employees`.
//!
//! The seed shows ages as strings in its answers and takes whole numbers in requests; both are kept, and a string of
//! digits is taken too, so that an answer can be sent back.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use serde_json::{Map, Value as Value_, json};

use super::{Segment, all, answer, object, resource, segment};
use crate::clock;
use crate::http::{App, body};
use crate::model::{Resource, Value};
use crate::problem::Problem;
use crate::records;
use crate::store::{Condition, Row};

pub(in crate::http) const NAME: &str = "employees";

/// The fields that the routes need.
pub(in crate::http) const FIELDS: [&str; 3] = ["name", "age", "email"];

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/employees/add", post(add))
        .route("/employees/get", get(list))
        .route("/employees/update/{email}", patch(update))
        .route("/employees/delete/{email}", delete(remove))
}

async fn add(State(app): State<Arc<App>>, body: Body) -> Response {
    let run = async {
        let resource = resource(&app, NAME)?;
        let row = records::read_new(resource, &request(&app, body).await?)?;
        records::create(&app.database, resource, std::slice::from_ref(&row)).await?;
        Ok((StatusCode::CREATED, one(resource, &row)).into_response())
    };
    answer(run.await)
}

async fn list(State(app): State<Arc<App>>) -> Response {
    let run = async {
        let resource = resource(&app, NAME)?;
        let rows = all(&app, resource).await?;
        let rows: Vec<Value_> = rows.iter().map(|row| shown(resource, row)).collect();
        Ok(Json(json!({"employees": rows, "message": "success"})).into_response())
    };
    answer(run.await)
}

async fn update(State(app): State<Arc<App>>, email: Segment, body: Body) -> Response {
    let run = async {
        let resource = resource(&app, NAME)?;
        let object = request(&app, body).await?;
        if object.is_empty() {
            return Err(Problem::bad("at least one of `name`, `age` and `email` must be given"));
        }
        let set = records::read_patch(resource, &object)?;
        let key = [Condition::equal("email", Value::Text(segment(email, "employee")?))];
        let row = records::update(&app.database, resource, &set, &key).await?;
        let row = row.ok_or_else(|| Problem::not_found("employee"))?;
        Ok(one(resource, &row).into_response())
    };
    answer(run.await)
}

async fn remove(State(app): State<Arc<App>>, email: Segment) -> Response {
    let run = async {
        let resource = resource(&app, NAME)?;
        let key = [Condition::equal("email", Value::Text(segment(email, "employee")?))];
        let gone = app.database.delete(resource, &key).await?;
        if gone == 0 { Err(Problem::not_found("employee")) } else { Ok(StatusCode::NO_CONTENT.into_response()) }
    };
    answer(run.await)
}

/// The request's object, restricted to the three fields, with a textual age as a number.
async fn request(app: &App, body: Body) -> Result<Map<String, Value_>, Problem> {
    let mut object = body::object(app, body).await?;
    if let Some(number) = object.get("age").and_then(Value_::as_str).and_then(|text| text.parse::<i64>().ok()) {
        object.insert("age".into(), number.into());
    }
    for name in ["id", "created_at", "updated_at"] {
        object.remove(name);
    }
    Ok(object)
}

fn one(resource: &Resource, row: &Row) -> Json<Value_> {
    Json(json!({"employee": shown(resource, row), "message": "success"}))
}

/// Keys in the order of the alphabet, as Flask writes them.
fn shown(resource: &Resource, row: &Row) -> Value_ {
    object(resource, row, &["age", "created_at", "email", "id", "name", "updated_at"], |value| match value {
        Value::Time(at) => clock::spaced(*at).into(),
        Value::Int(number) => number.to_string().into(),
        value => value.to_json(),
    })
}
