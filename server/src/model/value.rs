//! A value on its way between JSON and a database.

use serde::{Serialize, Serializer};
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

/// As the generic API writes it.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Uuid(id) => serializer.serialize_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer())),
            Self::Time(at) => serializer.serialize_str(&clock::rfc3339(*at)),
            Self::Json(document) => document.serialize(serializer),
        }
    }
}

impl Value {
    /// As a JSON value.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!(self)
    }
}
