//! Errors as clients see them: RFC 9457 `application/problem+json`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::log;
use crate::store::StoreError;

/// An answer that is an error.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// One sentence for a person.
    pub detail: String,
    /// Everything that is wrong with the request, each with what is expected of it.
    pub wrong: Vec<Wrong>,
}

/// One wrong part of a request.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// Where.
    pub at: At,
    /// What is expected there, behind the name: `must be a whole number`.
    pub rule: String,
}

/// A part of a request.
#[derive(Debug, Clone)]
pub enum At {
    /// A field of the body's object.
    Field(String),
    /// A field of an object in the body's array, counted from 0.
    Item(usize, String),
    /// A parameter of the query.
    Parameter(String),
}

impl Problem {
    /// Without parts.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), wrong: Vec::new() }
    }

    /// 422 with all wrong fields.
    pub fn fields(wrong: Vec<Wrong>) -> Self {
        let text: Vec<String> = wrong.iter().map(|wrong| format!("{} {}", wrong.at, wrong.rule)).collect();
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail: text.join("; "), wrong }
    }

    /// 400 with all wrong parameters of the query.
    pub fn parameters(wrong: Vec<Wrong>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, ..Self::fields(wrong) }
    }

    /// 404
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }

    /// 400
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The same, told of an object in the body's array.
    #[must_use]
    pub fn of_item(mut self, index: usize) -> Self {
        for wrong in &mut self.wrong {
            if let At::Field(name) = &wrong.at {
                wrong.at = At::Item(index, name.clone());
            }
        }
        self
    }

    /// An answer of this media type, with the headers that belong to the status.
    pub fn answer(&self, kind: &'static str, body: &Map<String, Value>) -> Response {
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
        let mut response = (self.status, [kind], Value::Object(body.clone()).to_string()).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = Map::new();
        body.insert("type".into(), "about:blank".into());
        body.insert("title".into(), self.status.canonical_reason().unwrap_or("Error").into());
        body.insert("status".into(), self.status.as_u16().into());
        body.insert("detail".into(), self.detail.as_str().into());
        if !self.wrong.is_empty() {
            body.insert("errors".into(), self.wrong.iter().map(Wrong::to_json).collect());
        }
        self.answer("application/problem+json", &body)
    }
}

impl Wrong {
    /// A field and its rule.
    pub fn field(name: &str, rule: impl Into<String>) -> Self {
        Self { at: At::Field(name.to_owned()), rule: rule.into() }
    }

    /// A parameter of the query and its rule.
    pub fn parameter(name: &str, rule: impl Into<String>) -> Self {
        Self { at: At::Parameter(name.to_owned()), rule: rule.into() }
    }

    /// `pointer` is a JSON pointer into the body, as in the example of RFC 9457.
    fn to_json(&self) -> Value {
        match &self.at {
            At::Field(name) => json!({"detail": self.rule, "pointer": format!("#/{}", escaped(name))}),
            At::Item(index, name) => json!({"detail": self.rule, "pointer": format!("#/{index}/{}", escaped(name))}),
            At::Parameter(name) => json!({"detail": self.rule, "parameter": name}),
        }
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(name) | Self::Parameter(name) => write!(f, "`{name}`"),
            Self::Item(index, name) => write!(f, "`{index}.{name}`"),
        }
    }
}

/// A token of a JSON pointer (RFC 6901).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Closed => {
                log::warn("the database did not answer", &[("error", error.to_string())]);
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "the database is not available: try again later")
            }
            StoreError::Unique(_) => Self::new(StatusCode::CONFLICT, "a unique value is taken already"),
            StoreError::Other(_) => {
                // What a database says can hold values of other rows: it goes to the log, not to the client.
                log::error("a database call failed", &[("error", error.to_string())]);
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
            }
        }
    }
}
