//! A value on its way between JSON and a database.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::clock;

/// How a column is kept; several kinds of field share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// Characters.
    Text,
    /// 64 bits, signed.
    Int,
    /// 64 bits, binary floating point.
    Float,
    /// Yes or no.
    Bool,
    /// 128 bits.
    Uuid,
    /// UTC, microseconds.
    Time,
    /// A JSON document as text.
    Json,
}

/// One value. `Null` takes the type of its column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Absent.
    Null,
    /// Text of any kind.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// An identifier.
    Uuid(Uuid),
    /// A moment.
    Time(OffsetDateTime),
    /// A JSON document.
    Json(serde_json::Value),
}

impl Value {
    /// As the generic API writes it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Text(text) => text.as_str().into(),
            Self::Int(number) => (*number).into(),
            Self::Float(number) => (*number).into(),
            Self::Bool(flag) => (*flag).into(),
            Self::Uuid(id) => id.to_string().into(),
            Self::Time(at) => clock::rfc3339(*at).into(),
            Self::Json(document) => document.clone(),
        }
    }
}
