//! A value that a schema allows, for an example: with what is required, and no more.

use regex_lite::Regex;
use serde_json::{Map, Value as Json, json};

use super::schema::referred;

/// Texts of which one may match a pattern.
const TEXTS: [&str; 8] = ["text", "Text", "TEXT", "1", "12345", "1234567890", "1234567890123", "a1"];

pub(super) fn of(document: &Json, schema: &Json) -> Json {
    if let Some(name) = referred(schema) {
        let schema = &document["components"]["schemas"][name];
        return if schema["$ref"].is_null() { of(document, schema) } else { Json::Null };
    }
    for word in ["oneOf", "enum"] {
        if let Some(first) = schema[word].as_array().and_then(|choices| choices.first()) {
            return if word == "enum" { first.clone() } else { of(document, first) };
        }
    }
    if let Some(only) = schema.get("const").or(schema.get("default")).or(schema["examples"].get(0)) {
        return only.clone();
    }
    let kind = schema["type"].as_str().or(schema["type"][0].as_str()).unwrap_or_default();
    match kind {
        "object" => object(document, schema),
        "array" => json!([of(document, &schema["items"])]),
        "boolean" => true.into(),
        "integer" | "number" => number(schema),
        "string" => text(schema).into(),
        _ => json!({}),
    }
}

/// The required properties; the first one, where none is.
fn object(document: &Json, schema: &Json) -> Json {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let properties = schema["properties"].as_object().into_iter().flatten();
    let wanted = |index: usize, name: &str| required.contains(&name) || (required.is_empty() && index == 0);
    let chosen = properties.enumerate().filter(|(index, (name, _))| wanted(*index, name));
    Json::Object(chosen.map(|(_, (name, schema))| (name.clone(), of(document, schema))).collect::<Map<_, _>>())
}

/// 1, or what of the bounds is nearest to it.
fn number(schema: &Json) -> Json {
    let bound = |word: &str| schema[word].as_f64();
    let one = 1.0_f64.max(bound("minimum").unwrap_or(1.0)).min(bound("maximum").unwrap_or(f64::MAX));
    if schema["type"] == "number" || schema["type"][0] == "number" {
        return one.into();
    }
    #[expect(clippy::cast_possible_truncation, reason = "an example: whole, and within the bounds of an i64")]
    let whole = one.ceil() as i64;
    whole.into()
}

fn text(schema: &Json) -> String {
    match schema["format"].as_str() {
        Some("uuid") => return "00000000-0000-4000-8000-000000000000".into(),
        Some("date-time") => return "2025-05-20T22:22:46Z".into(),
        Some("email") => return "name@example.org".into(),
        _ => {}
    }
    let length = |word: &str| schema[word].as_u64().and_then(|length| usize::try_from(length).ok());
    let (least, most) = (length("minLength").unwrap_or(0), length("maxLength").unwrap_or(usize::MAX));
    let pattern = schema["pattern"].as_str().and_then(|pattern| Regex::new(pattern).ok());
    let fits = |text: &&str| {
        (least..=most).contains(&text.len()) && pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
    };
    TEXTS.into_iter().find(fits).map_or_else(|| "x".repeat(least.max(1).min(most)), str::to_owned)
}
