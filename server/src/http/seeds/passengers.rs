//! The passengers service of seeds 001 and 002: its paths and its JSON over the resource `passengers`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde_json::{Map, Value as Value_, json};
use uuid::Uuid;

use super::{Segment, all, answer, object, resource, segment};
use crate::http::{App, body};
use crate::model::{Resource, Value};
use crate::problem::Problem;
use crate::records;
use crate::store::{Condition, Row};

pub(in crate::http) const NAME: &str = "passengers";
/// The fields that the routes need.
pub(in crate::http) const FIELDS: [&str; 8] =
    ["survived", "passengerClass", "name", "sex", "age", "siblingsOrSpousesAboard", "parentsOrChildrenAboard", "fare"];

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/hello", get(|| async { Json(json!({"message": "ok"})) }))
        .route("/zero", get(|| async { Json(json!({"0": ""})) }))
        .route("/passengerlist", get(list))
        .route("/getpassenger/{uuid}", get(one))
        .route("/postpassenger", post(add))
        .route("/putpassenger/{uuid}", put(replace))
        .route("/deletepassenger/{uuid}", delete(remove))
}

async fn list(State(app): State<Arc<App>>) -> Response {
    let run = async {
        let resource = resource(&app, NAME)?;
        let rows: Vec<Value_> = all(&app, resource).await?.iter().map(|row| shown(resource, row)).collect();
        Ok(Json(rows).into_response())
    };
    answer(run.await)
}

async fn one(State(app): State<Arc<App>>, uuid: Segment) -> Response {
    let run = async {
        let resource = resource(&app, NAME)?;
        let row = records::find(&app.database, resource, id(uuid)?).await?.ok_or_else(nobody)?;
        Ok(Json(shown(resource, &row)).into_response())
    };
    answer(run.await)
}

async fn add(State(app): State<Arc<App>>, body: Body) -> Response {
    let run = async {
        let resource = resource(&app, NAME)?;
        let row = records::read_new(resource, &request(&app, body).await?)?;
        records::create(&app.database, resource, std::slice::from_ref(&row)).await?;
        Ok((StatusCode::CREATED, Json(shown(resource, &row))).into_response())
    };
    answer(run.await)
}

async fn replace(State(app): State<Arc<App>>, uuid: Segment, body: Body) -> Response {
    let run = async {
        let resource = resource(&app, NAME)?;
        let key = [Condition::equal("id", Value::Uuid(id(uuid)?))];
        let set = records::read_whole(resource, &request(&app, body).await?)?;
        let row = records::update(&app.database, resource, &set, &key).await?.ok_or_else(nobody)?;
        Ok(Json(shown(resource, &row)).into_response())
    };
    answer(run.await)
}

async fn remove(State(app): State<Arc<App>>, uuid: Segment) -> Response {
    let run = async {
        let resource = resource(&app, NAME)?;
        let key = [Condition::equal("id", Value::Uuid(id(uuid)?))];
        let gone = app.database.delete(resource, &key).await?;
        if gone == 0 { Err(nobody()) } else { Ok(StatusCode::NO_CONTENT.into_response()) }
    };
    answer(run.await)
}

/// The body's object; a `uuid` in it is the server's, so that an answer can be sent back.
async fn request(app: &App, body: Body) -> Result<Map<String, Value_>, Problem> {
    let mut object = body::object(app, body).await?;
    object.shift_remove("uuid");
    Ok(object)
}

fn id(uuid: Segment) -> Result<Uuid, Problem> {
    Uuid::try_parse(&segment(uuid, "passenger")?).map_err(|_| nobody())
}

fn nobody() -> Problem {
    Problem::not_found("passenger")
}

/// `uuid`, then the fields as the seed's requests have them.
fn shown(resource: &Resource, row: &Row) -> Value_ {
    let mut passenger = Map::new();
    passenger.insert("uuid".into(), row.first().map_or(Value_::Null, Value::to_json));
    if let Value_::Object(fields) = object(resource, row, &FIELDS, Value::to_json) {
        passenger.extend(fields);
    }
    Value_::Object(passenger)
}
