//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): the key is noted in the transaction that makes the
//! rows, so that of two equal requests at once one makes them and the other gets its answer.

use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::auth::{Access, Role};
use crate::clock;
use crate::http::App;
use crate::model::{Field, Kind, Resource, Value};
use crate::problem::Problem;
use crate::store::{Condition, Database, Operator, Row, Select, StoreError};

const NAME: &str = "crud_idempotency";
/// Longest key in characters.
const KEY_LENGTH: usize = 200;

/// The table of the keys.
pub(crate) fn table() -> Resource {
    let field = |name: &str, kind| Field { required: true, ..Field::new(name, kind) };
    Resource {
        name: NAME.into(),
        table: NAME.into(),
        description: None,
        fields: vec![
            Field { unique: true, ..field("request", Kind::String) },
            field("digest", Kind::String),
            field("answer", Kind::Text),
        ],
        indexes: Vec::new(),
        access: Access { read: Role::Admin, write: Role::Admin },
    }
}

/// Forgets keys of before `hours` ago.
pub(crate) async fn expire(database: &Database, table: &Resource, hours: u32) -> Result<u64, StoreError> {
    let before = clock::now() - std::time::Duration::from_secs(u64::from(hours) * 3600);
    let old = Condition { column: "created_at".into(), operator: Operator::Lt, value: Value::Time(before) };
    database.delete(table, &[old]).await
}

/// The key of a request, with or without the quotes of a structured field.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    if text.is_empty() || text.len() > KEY_LENGTH || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let rule = format!("the header Idempotency-Key must have 1 to {KEY_LENGTH} visible characters");
        return Err(Problem::bad(rule));
    }
    Ok(Some(text.to_owned()))
}

/// Whether it was the key, not the row, that the database refused.
pub(super) fn refused(table: &Resource, index: &str) -> bool {
    index == table.unique_index("request") || index == format!("{NAME}.request")
}

/// A request with a key.
pub(super) struct Entry {
    request: Value,
    digest: Value,
}

impl Entry {
    pub(super) fn new(resource: &Resource, key: &str, body: &[u8]) -> Self {
        Self {
            request: Value::Text(format!("{} {key}", resource.name)),
            digest: Value::Text(URL_SAFE_NO_PAD.encode(Sha256::digest(body))),
        }
    }

    pub(super) fn row(&self, answer: &Json) -> Row {
        let (id, now) = (Value::Uuid(Uuid::now_v7()), Value::Time(clock::now()));
        let answer = Value::Text(answer.to_string());
        vec![id, self.request.clone(), self.digest.clone(), answer, now.clone(), now, Value::Int(1)]
    }

    /// What the request with this key was answered first.
    pub(super) async fn first_answer(&self, app: &App) -> Result<Json, Problem> {
        let conditions = vec![Condition::equal("request", self.request.clone())];
        let rows = app.database.select(&app.keys, &Select { conditions, ..Select::default() }).await?;
        let Some([_, _, digest, Value::Text(answer), ..]) = rows.first().map(Vec::as_slice) else {
            let text = "another request with this Idempotency-Key was just forgotten: try again";
            return Err(Problem::new(StatusCode::CONFLICT, text));
        };
        if *digest != self.digest {
            let text = "the Idempotency-Key was used with another body before";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        serde_json::from_str(answer).map_err(|error| StoreError::Other(error.to_string()).into())
    }
}
