//! Columns and values in each database's words.

use super::catalogue::Found;
use super::session::Session;
use crate::clock;
use crate::model::{Field, Kind, Resource, STRING_LENGTH, Store, Value};
use crate::store::target::Dialect;

/// The type of a resource's column. It follows from the field's type alone, so that rules can change later.
pub(super) fn of(session: &Session, resource: &Resource, name: &str, store: Store) -> String {
    let long = resource.field(name).is_some_and(|field| matches!(field.kind, Kind::Text | Kind::Json));
    match session.dialect() {
        Dialect::Sqlite => match store {
            Store::Int => "INTEGER",
            Store::Float => "REAL",
            Store::Bool => "BOOLEAN",
            Store::Text | Store::Uuid | Store::Time | Store::Json => "TEXT",
        }
        .into(),
        Dialect::Postgres => match store {
            // Bytewise order, as in the other databases.
            Store::Text => "text COLLATE \"C\"",
            Store::Json => "text",
            Store::Int => "bigint",
            Store::Float => "double precision",
            Store::Bool => "boolean",
            Store::Uuid => "uuid",
            Store::Time => "timestamp with time zone",
        }
        .into(),
        Dialect::Mysql => {
            let text = if session.maria { "utf8mb4_nopad_bin" } else { "utf8mb4_0900_bin" };
            match store {
                // What InnoDB can index in four bytes a character.
                Store::Text if !long => format!("varchar({STRING_LENGTH}) CHARACTER SET utf8mb4 COLLATE {text}"),
                Store::Text | Store::Json => format!("longtext CHARACTER SET utf8mb4 COLLATE {text}"),
                Store::Int => "bigint".into(),
                Store::Float => "double".into(),
                Store::Bool => "tinyint(1)".into(),
                Store::Uuid => "char(36) CHARACTER SET ascii COLLATE ascii_bin".into(),
                Store::Time => "datetime(6)".into(),
            }
        }
    }
}

/// Whether a column that is there holds every value that a column of the type `wanted` would.
pub(super) fn holds(found: &Found, wanted: &str, store: Store) -> bool {
    let word = |text: &str| text.split(['(', ' ']).next().unwrap_or_default().to_lowercase();
    match store {
        Store::Text | Store::Json => text(found),
        // MySQL has no boolean of its own, and SQLite takes what it is given.
        Store::Uuid => word(&found.kind) == word(wanted) || found.kind == "varchar" || found.kind == "text",
        // In PostgreSQL `timestamp without time zone` begins with the same word and is another type.
        Store::Time if found.kind.starts_with("timestamp ") => found.kind == wanted,
        _ => word(&found.kind) == word(wanted),
    }
}

fn text(found: &Found) -> bool {
    ["text", "varchar", "character varying", "longtext", "mediumtext"].iter().any(|kind| found.kind.starts_with(kind))
}

/// Whether a text column is too short for what the field may hold: it can be widened without loss.
pub(super) fn narrow(found: &Found, field: &Field) -> bool {
    let needed = if matches!(field.kind, Kind::Text | Kind::Json) { 1 << 24 } else { STRING_LENGTH as u64 };
    text(found) && found.length.is_some_and(|length| length < needed)
}

/// A value as a literal.
pub(super) fn literal(dialect: Dialect, value: &Value) -> String {
    let text = |text: &str| {
        let text = text.replace('\'', "''");
        let text = if dialect == Dialect::Mysql { text.replace('\\', "\\\\") } else { text };
        format!("'{text}'")
    };
    match value {
        Value::Null => "NULL".into(),
        Value::Bool(flag) => if *flag { "TRUE" } else { "FALSE" }.into(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:e}"),
        Value::Text(value) => text(value),
        Value::Uuid(id) => text(&id.to_string()),
        Value::Json(document) => text(&document.to_string()),
        Value::Time(at) => {
            let written = clock::rfc3339(*at);
            text(if dialect == Dialect::Mysql { written.trim_end_matches('Z') } else { &written })
        }
    }
}
