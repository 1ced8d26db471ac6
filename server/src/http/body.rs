//! Reading a request's body: its type, its size, its JSON.

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use super::{App, strict_json};
use crate::problem::Problem;

/// A JSON object, whatever the media type says (the seeds' clients do not always say it).
pub(super) async fn object(app: &App, body: Body) -> Result<Map<String, Value>, Problem> {
    as_object(json(&bytes(app, body).await?)?)
}

pub(super) fn as_object(json: Value) -> Result<Map<String, Value>, Problem> {
    match json {
        Value::Object(object) => Ok(object),
        _ => Err(Problem::bad("the body must be a JSON object")),
    }
}

/// The whole body.
pub(super) async fn bytes(app: &App, body: Body) -> Result<Bytes, Problem> {
    to_bytes(body, app.max_body).await.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            if error.to_string().contains("length limit") {
                let text = format!("the body is larger than {} bytes", app.max_body);
                return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text);
            }
            cause = error.source();
        }
        Problem::bad("the body did not arrive whole")
    })
}

/// Any JSON document.
pub(super) fn json(bytes: &[u8]) -> Result<Value, Problem> {
    strict_json::parse(bytes).map_err(|error| Problem::bad(format!("the body is no JSON: {error}")))
}

/// 415 unless the body is `application/json` or of the type `also`; none given counts as JSON.
pub(super) fn must_be_json(headers: &HeaderMap, also: Option<&str>) -> Result<(), Problem> {
    let Some(given) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let given = given.to_str().unwrap_or_default().to_ascii_lowercase();
    let kind = given.split(';').next().unwrap_or_default().trim();
    if kind == "application/json" || also == Some(kind) {
        return Ok(());
    }
    let or = also.map(|kind| format!(" or {kind}")).unwrap_or_default();
    let text = format!("the body must be application/json{or}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text))
}
