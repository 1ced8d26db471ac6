//! Errors as clients see them.

use axum::http::StatusCode;

use crate::log;
use crate::store::StoreError;

/// An answer that is an error. The generic API writes it as RFC 9457 problem+json, the seeds' contracts as a message.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// One sentence for a person.
    pub detail: String,
    /// Every wrong field with what is expected of it.
    pub fields: Vec<(String, String)>,
}

impl Problem {
    /// Without fields.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), fields: Vec::new() }
    }

    /// 422 with all wrong fields.
    pub fn fields(fields: Vec<(String, String)>) -> Self {
        let text: Vec<String> = fields.iter().map(|(name, rule)| format!("`{name}` {rule}")).collect();
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail: text.join("; "), fields }
    }

    /// 404
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }

    /// 400
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
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
