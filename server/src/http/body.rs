//! Reading a request's body: its type, its size, its JSON.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use super::App;
use crate::problem::Problem;

/// A JSON object, whatever the media type says (the seeds' clients do not always say it).
pub(super) async fn object(app: &App, body: Body) -> Result<Map<String, Value>, Problem> {
    match json(app, body).await? {
        Value::Object(object) => Ok(object),
        _ => Err(Problem::bad("the body must be a JSON object")),
    }
}

/// Any JSON document.
pub(super) async fn json(app: &App, body: Body) -> Result<Value, Problem> {
    let bytes = to_bytes(body, app.max_body).await.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            if error.to_string().contains("length limit") {
                let text = format!("the body is larger than {} bytes", app.max_body);
                return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text);
            }
            cause = error.source();
        }
        Problem::bad("the body did not arrive whole")
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::bad(format!("the body is no JSON: {error}")))
}

/// Whether a body of this media type can be read as JSON; none given counts as JSON.
#[expect(dead_code, reason = "the generic API asks it, which is the next step")]
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_none_or(|value| {
        let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind == "application/json" || kind.ends_with("+json")
    })
}
