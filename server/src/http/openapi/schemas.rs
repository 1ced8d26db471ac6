//! JSON schemas of a resource: as it is answered, as it is sent, as it is patched.

use serde_json::{Map, Value, json};

use super::{reference, schema_name};
use crate::http::api::list::sortable;
use crate::model::{Field, Kind, Resource};
use crate::records::SERVERS;

/// What no text may hold, in any database.
const NO_NUL: &str = "^[^\\u0000]*$";

/// `Employees` (a row), `EmployeesPart` (some of its fields), `EmployeesPage`, `EmployeesInput` and `EmployeesPatch`.
pub(super) fn of(resource: &Resource) -> Vec<(String, Value)> {
    let name = schema_name(&resource.name);
    let mut whole = Map::new();
    for column in SERVERS {
        whole.insert(column.into(), servers(column));
    }
    let mut input = Map::new();
    for field in &resource.fields {
        whole.insert(field.name.clone(), answered(field));
        input.insert(field.name.clone(), sent(field));
    }
    let required: Vec<&String> = whole.keys().collect();
    let needed = resource.fields.iter().filter(|field| field.required && field.default.is_none());
    let needed: Vec<&String> = needed.map(|field| &field.name).collect();
    for column in SERVERS {
        input.insert(column.into(), json!({"description": "Taken and ignored, so that an answer can be sent back."}));
    }
    let page = json!({
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": reference(&format!("{name}Part"))},
            "next": {"type": ["string", "null"], "description": "The cursor of the next page."},
        },
        "required": ["items", "next"],
    });
    let description = resource.description.clone().unwrap_or_default();
    let schema = json!({
        "type": "object", "description": description, "properties": whole,
        "required": required, "additionalProperties": false,
    });
    vec![
        (name.clone(), schema),
        (
            format!("{name}Input"),
            json!({"type": "object", "properties": input, "required": needed, "additionalProperties": false}),
        ),
        (format!("{name}Patch"), json!({"type": "object", "properties": input, "additionalProperties": false})),
        (format!("{name}Page"), page),
        // `fields` may ask for less than the whole row.
        (format!("{name}Part"), json!({"type": "object", "properties": whole, "additionalProperties": false})),
    ]
}

/// RFC 9457.
pub(super) fn problem() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "detail": {"type": "string", "description": "What is expected."},
                        "pointer": {"type": "string", "description": "A JSON pointer to the wrong field of the body."},
                        "parameter": {"type": "string", "description": "The wrong parameter of the query."},
                    },
                    "required": ["detail"],
                },
            },
        },
        "required": ["type", "title", "status", "detail"],
    })
}

fn servers(column: &str) -> Value {
    let format = if column == "id" { "uuid" } else { "date-time" };
    json!({"type": "string", "format": format, "readOnly": true})
}

/// What a stored value looks like; rules that were added later do not hold for it.
pub(super) fn answered(field: &Field) -> Value {
    let mut schema = type_of(&field.kind);
    describe(&mut schema, field);
    nullable(schema, field)
}

/// What a value must be.
pub(super) fn sent(field: &Field) -> Value {
    let mut schema = type_of(&field.kind);
    let text = matches!(field.kind, Kind::String | Kind::Text | Kind::Email);
    if let Some(object) = schema.as_object_mut() {
        if let (true, Some(longest)) = (text, field.longest()) {
            object.insert("maxLength".into(), longest.into());
            let pattern = field.pattern.as_ref().map_or(NO_NUL, |pattern| pattern.as_str());
            object.insert("pattern".into(), pattern.into());
        }
        if let (true, Some(shortest)) = (text, field.min_length) {
            object.insert("minLength".into(), shortest.into());
        }
        for (word, bound) in [("minimum", field.min), ("maximum", field.max)] {
            if let Some(bound) = bound {
                object.insert(word.into(), bound.into());
            }
        }
        if field.kind == Kind::Integer {
            object.entry("minimum").or_insert(i64::MIN.into());
            object.entry("maximum").or_insert(i64::MAX.into());
        }
        if let Some(default) = &field.default {
            object.insert("default".into(), default.to_json());
        }
    }
    describe(&mut schema, field);
    nullable(schema, field)
}

fn type_of(kind: &Kind) -> Value {
    match kind {
        Kind::String | Kind::Text => json!({"type": "string"}),
        Kind::Integer => json!({"type": "integer", "format": "int64"}),
        Kind::Number => json!({"type": "number", "format": "double"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Uuid => json!({"type": "string", "format": "uuid"}),
        Kind::Timestamp => json!({"type": "string", "format": "date-time"}),
        Kind::Enum(words) => json!({"type": "string", "enum": words}),
        Kind::Email => json!({"type": "string", "format": "email"}),
        Kind::Json => json!({}),
    }
}

fn describe(schema: &mut Value, field: &Field) {
    if let Some(text) = &field.description {
        schema["description"] = text.as_str().into();
    }
}

fn nullable(mut schema: Value, field: &Field) -> Value {
    if field.required {
        return if field.kind == Kind::Json { json!({"not": {"type": "null"}}) } else { schema };
    }
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
    }
    if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        words.push(Value::Null);
    }
    schema
}

/// The type of a value in a filter: the field's, without its rules.
pub(super) fn compared(resource: &Resource, column: &str) -> Value {
    match resource.field(column).map(|field| &field.kind) {
        Some(Kind::Integer) => json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX}),
        Some(Kind::String | Kind::Text | Kind::Enum(_) | Kind::Email) => {
            json!({"type": "string", "pattern": NO_NUL})
        }
        Some(kind) => type_of(kind),
        None => json!({"type": "string", "format": if column == "id" { "uuid" } else { "date-time" }}),
    }
}

/// The words of `sort` and `fields`, as patterns.
pub(super) fn words(resource: &Resource, sort: bool) -> Value {
    let columns = resource.columns();
    let names = columns.iter().map(|column| column.name).filter(|name| *name != "row_version");
    let names: Vec<&str> = names.filter(|name| !sort || sortable(resource, name)).collect();
    let (one, sign) = (names.join("|"), if sort { "-?" } else { "" });
    json!({"type": "string", "pattern": format!("^{sign}({one})$")})
}
