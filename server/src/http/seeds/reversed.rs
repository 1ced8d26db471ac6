//! The service of seed 004: `POST /v1` with `{"data": "hello, world!"}` answers `{"data": "!DLROW ,OLLEH"}`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Map, Value, json};
use unicode_segmentation::UnicodeSegmentation as _;

use super::answer;
use crate::http::{App, body};
use crate::problem::{Problem, Wrong};

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1", post(reverse))
}

async fn reverse(State(app): State<Arc<App>>, body: Body) -> Response {
    let run = async {
        let object = body::object(&app, body).await?;
        Ok(Json(json!({"data": reversed(text(&object)?)})).into_response())
    };
    answer(run.await)
}

fn text(object: &Map<String, Value>) -> Result<&str, Problem> {
    let wrong = |rule: &str| Problem::fields(vec![Wrong::field("data", rule)]);
    object.get("data").ok_or_else(|| wrong("is required"))?.as_str().ok_or_else(|| wrong("must be a string"))
}

/// Backwards by what a reader takes for one character (a letter with its accents, a flag), in capitals.
fn reversed(text: &str) -> String {
    text.graphemes(true).rev().collect::<String>().to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::reversed;

    #[test]
    fn characters_stay_whole() {
        for (text, expected) in [
            ("hello, world!", "!DLROW ,OLLEH"),
            ("", ""),
            ("noe\u{308}l", "LE\u{308}ON"),
            ("a\u{1f469}\u{200d}\u{1f680}b\u{1f1e9}\u{1f1ea}", "\u{1f1e9}\u{1f1ea}B\u{1f469}\u{200d}\u{1f680}A"),
            ("straße", "ESSARTS"),
            ("a\r\nb", "B\r\nA"),
        ] {
            assert_eq!(reversed(text), expected, "{text}");
        }
    }
}
