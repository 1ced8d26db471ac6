//! What a form sends, and what it means for a record.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use serde_json::Map;
use uuid::Uuid;

use super::shown;
use crate::clock;
use crate::http::{App, body, query, strict_json};
use crate::model::{Field, Kind, Resource, Value};
use crate::problem::{Problem, Wrong};
use crate::records;
use crate::store::Row;

/// The hidden field with the version of the row that the form shows. No field's name begins like this.
pub(super) const VERSION: &str = "_version";

/// The hidden field with the id of the record that a form for a new one will make: sent twice, it still makes one.
pub(super) const ID: &str = "_id";

/// Names and values in their order.
pub(super) type Pairs = Vec<(String, String)>;

/// The fields of a form.
pub(super) async fn pairs(app: &App, headers: &HeaderMap, body: Body) -> Result<Pairs, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let text = "a form must be application/x-www-form-urlencoded";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let bytes = body::bytes(app, body).await?;
    query::pairs(Some(std::str::from_utf8(&bytes).map_err(|_| Problem::bad("the form is not UTF-8"))?))
}

/// The value of this name; the last one, as a checkbox stands behind a hidden field.
pub(super) fn value<'p>(pairs: &'p [(String, String)], name: &str) -> Option<&'p str> {
    pairs.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

/// The version that the form was made from.
pub(super) fn version(pairs: &[(String, String)]) -> Result<i64, Problem> {
    let version = value(pairs, VERSION).and_then(|text| text.parse().ok());
    version.ok_or_else(|| Problem::bad("the form does not say which version of the record it shows: open it again"))
}

/// The id that the form gives its new record.
pub(super) fn id(pairs: &[(String, String)]) -> Option<Uuid> {
    value(pairs, ID).and_then(|text| Uuid::try_parse(text).ok())
}

/// Whether a row has what a new one would have: the same in every field that a form shows.
pub(super) fn same(resource: &Resource, stored: &Row, new: &Row) -> bool {
    let pairs = stored.iter().skip(1).zip(new.iter().skip(1));
    resource.fields.iter().zip(pairs).all(|(field, (a, b))| text_of(field, a) == text_of(field, b))
}

/// Whether a field is ticked or not; a boolean that may be neither is chosen from a list.
pub(super) fn ticked(field: &Field) -> bool {
    field.kind == Kind::Boolean && (field.required || field.default.is_some())
}

/// A value as a form has it.
pub(super) fn text_of(field: &Field, value: &Value) -> String {
    match value {
        Value::Null if ticked(field) => "false".into(),
        Value::Null => String::new(),
        Value::Text(text) => lines(text),
        Value::Bool(flag) => flag.to_string(),
        // `2025-05-20T22:22:46`, with milliseconds if there are any: what a browser shows.
        Value::Time(at) => {
            let text = clock::rfc3339(*at);
            text[..if at.microsecond() == 0 { 19 } else { 23 }].to_owned()
        }
        Value::Json(document) => serde_json::to_string_pretty(document).unwrap_or_default(),
        Value::Int(_) | Value::Float(_) | Value::Uuid(_) => shown::plain(value),
    }
}

/// Lines end as they do everywhere but in forms, which send CR LF.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// What the form has for each field of the resource, to be shown again or to be read.
pub(super) fn texts(resource: &Resource, pairs: &[(String, String)]) -> Vec<String> {
    let text = |field: &Field| match value(pairs, &field.name) {
        None | Some("") if ticked(field) => "false".into(),
        Some(text) => lines(text),
        None => String::new(),
    };
    resource.fields.iter().map(text).collect()
}

/// A new row.
pub(super) fn new_row(resource: &Resource, texts: &[String]) -> Result<Row, Problem> {
    let (mut object, mut wrong) = (Map::new(), Vec::new());
    for (field, text) in resource.fields.iter().zip(texts) {
        match read(field, text) {
            Ok(value) => drop(object.insert(field.name.clone(), value.to_json())),
            Err(rule) => wrong.push(Wrong::field(&field.name, rule)),
        }
    }
    if wrong.is_empty() { records::read_new(resource, &object) } else { Err(Problem::fields(wrong)) }
}

/// The fields that the form changes. One that says what the row says stays as it is, to the microsecond.
pub(super) fn changes(resource: &Resource, row: &Row, texts: &[String]) -> Result<Vec<(String, Value)>, Problem> {
    let (mut set, mut wrong) = (Vec::new(), Vec::new());
    let stored = row.iter().skip(1);
    for ((field, text), stored) in resource.fields.iter().zip(texts).zip(stored) {
        if *text == text_of(field, stored) {
            continue;
        }
        match read(field, text) {
            Ok(value) => set.push((field.name.clone(), value)),
            Err(rule) => wrong.push(Wrong::field(&field.name, rule)),
        }
    }
    if !wrong.is_empty() {
        return Err(Problem::fields(wrong));
    }
    if !set.is_empty() {
        set.push(("updated_at".into(), Value::Time(clock::now())));
    }
    Ok(set)
}

/// The value that a text means; an empty one means that there is none.
fn read(field: &Field, text: &str) -> Result<Value, String> {
    if text.trim().is_empty() && (text.is_empty() || !matches!(field.kind, Kind::String | Kind::Text)) {
        return if field.required { Err("is required".into()) } else { Ok(Value::Null) };
    }
    match field.kind {
        Kind::Json => {
            let document = strict_json::parse(text.as_bytes()).map_err(|error| format!("must be JSON: {error}"))?;
            field.read(&document)
        }
        Kind::Timestamp => field.read_plain(&timestamp(text.trim())),
        Kind::String | Kind::Text => field.read_plain(text),
        _ => field.read_plain(text.trim()),
    }
}

/// A time of a form, which has no zone (it is UTC) and perhaps no seconds, as RFC 3339 wants it.
fn timestamp(text: &str) -> String {
    match text.len() {
        16 => format!("{text}:00Z"),
        _ if text.len() >= 19 && text.bytes().skip(19).all(|byte| byte == b'.' || byte.is_ascii_digit()) => {
            format!("{text}Z")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_mean_values() {
        let read = |kind, text: &str| read(&Field::new("f", kind), text);
        let time = |text: &str| Ok(Value::Time(clock::parse(text).expect("a time")));
        assert_eq!(read(Kind::Integer, " 9223372036854775807 "), Ok(Value::Int(i64::MAX)));
        assert_eq!(read(Kind::Timestamp, "2025-05-20T22:22"), time("2025-05-20T22:22:00Z"));
        assert_eq!(read(Kind::Timestamp, "2025-05-20T22:22:46.25"), time("2025-05-20T22:22:46.25Z"));
        assert_eq!(read(Kind::Timestamp, "2025-05-20T22:22:46+02:00"), time("2025-05-20T20:22:46Z"));
        assert_eq!(read(Kind::Json, " \n "), Ok(Value::Null));
        assert_eq!(read(Kind::String, " "), Ok(Value::Text(" ".into())));
        assert_eq!(read(Kind::String, ""), Ok(Value::Null));
        for (kind, text) in [
            (Kind::Integer, "1.5"),
            (Kind::Number, "inf"),
            (Kind::Timestamp, "yesterday"),
            (Kind::Timestamp, "2025-05-20T22:22:4ä"),
            (Kind::Json, r#"{"a": 1, "a": 2}"#),
            (Kind::Uuid, "x"),
        ] {
            assert!(read(kind, text).is_err(), "{text}");
        }
        let required = Field { required: true, ..Field::new("f", Kind::String) };
        assert_eq!(super::read(&required, ""), Err("is required".into()));
    }

    #[test]
    fn what_is_shown_and_not_touched_stays() {
        for (kind, value) in [
            (Kind::Timestamp, Value::Time(clock::parse("2025-05-20T22:22:46.243212Z").expect("a time"))),
            (Kind::String, Value::Text("a\r\nb\rc".into())),
            (Kind::Json, Value::Json(serde_json::json!({"a": [1, 2.5, null]}))),
            (Kind::Number, Value::Float(1e300)),
            (Kind::Number, Value::Float(24.0)),
            (Kind::Number, Value::Float(0.1 + 0.2)),
        ] {
            let field = Field::new("f", kind);
            let resource = Resource {
                name: "r".into(),
                table: "r".into(),
                description: None,
                fields: vec![field.clone()],
                indexes: Vec::new(),
                access: crate::auth::Access::default(),
            };
            let row = vec![Value::Null, value.clone(), Value::Null, Value::Null, Value::Int(1)];
            let sent = text_of(&field, &value).replace('\n', "\r\n");
            let texts = texts(&resource, &[("f".into(), sent)]);
            assert_eq!(changes(&resource, &row, &texts).expect("no errors"), [], "{value:?}");
        }
    }
}
