//! JSON schemas in words.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::table;

/// The name of a `$ref`.
pub(super) fn referred(schema: &Json) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/components/schemas/")
}

/// What kind of value it is: `string or null`, a link to a schema, `list of …`.
pub(super) fn kind(schema: &Json) -> Markup {
    if let Some(name) = referred(schema) {
        return html! { a href={ "#schema-" (name) } { (name) } };
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return html! {
            @for (index, choice) in choices.iter().enumerate() { @if index > 0 { " or " } (kind(choice)) }
        };
    }
    if let Some(only) = schema.get("const") {
        return html! { code { (only) } };
    }
    if let Some(words) = schema["enum"].as_array() {
        return html! {
            @for (index, word) in words.iter().enumerate() {
                @if index > 0 { ", " }
                code { (plain(word)) }
            }
        };
    }
    if schema["type"] == "array" {
        return html! { "list of " (kind(&schema["items"])) };
    }
    if schema["type"] == "object" && schema["properties"].is_object() {
        let names = schema["properties"].as_object().into_iter().flatten();
        return html! {
            "object of "
            @for (index, (name, property)) in names.enumerate() {
                @if index > 0 { ", " }
                code { (name) } " (" (kind(property)) ")"
            }
        };
    }
    let name = match &schema["type"] {
        Json::String(name) => name.clone(),
        Json::Array(names) => names.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" or "),
        _ if schema["not"]["type"] == "null" => "any JSON but null".into(),
        _ => "any JSON".into(),
    };
    html! { (name) @if let Some(format) = schema["format"].as_str() { " (" (format) ")" } }
}

/// What its values must be beyond that.
pub(super) fn rules(schema: &Json) -> Markup {
    let words = [("minimum", "at least"), ("maximum", "at most"), ("pattern", "pattern"), ("default", "default")];
    // What every 64-bit number and every text of a database meets says nothing.
    let said = |word: &str, value: &Json| {
        !(word == "pattern" && value == "^[^\\u0000]*$") && *value != i64::MIN && *value != i64::MAX
    };
    let length = match (schema["minLength"].as_u64(), schema["maxLength"].as_u64()) {
        (Some(least), Some(most)) => Some(format!("{least} to {most} characters")),
        (Some(least), None) => Some(format!("at least {least} characters")),
        (None, Some(most)) => Some(format!("at most {most} characters")),
        (None, None) => None,
    };
    html! {
        @if let Some(length) = length { "; " (length) }
        @for (word, text) in words {
            @if let Some(value) = schema.get(word).filter(|value| said(word, value)) { "; " (text) " " code { (plain(value)) } }
        }
        @if schema["readOnly"] == true { "; set by the server" }
    }
}

/// A value of a schema: a text without its quotes, a whole number without `.0`.
fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Number(number) => {
            number.as_f64().filter(|_| number.is_f64()).map_or(number.to_string(), |n| n.to_string())
        }
        value => value.to_string(),
    }
}

/// A description, with what stands in backticks as code.
pub(super) fn text(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// A schema with its properties.
pub(super) fn article(name: &str, schema: &Json) -> Markup {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
    let rows = html! {
        @for (property, schema) in schema["properties"].as_object().into_iter().flatten() {
            tr {
                th scope="row" { code { (property) } }
                td { @if required.contains(&property.as_str()) { "yes" } @else { "no" } }
                td { (described(schema["description"].as_str(), schema)) }
            }
        }
    };
    html! {
        article id={ "schema-" (name) } aria-labelledby={ "schema-" (name) "-name" } {
            h3 id={ "schema-" (name) "-name" } { code { (name) } }
            @if let Some(text) = schema["description"].as_str().filter(|text| !text.is_empty()) { p.soft { (text) } }
            (table(&format!("schema-{name}-properties"), "Properties", ["Name", "Required", "What it is"], &rows))
        }
    }
}

/// What a schema is, behind what is said of it.
pub(super) fn described(words: Option<&str>, schema: &Json) -> Markup {
    html! {
        @if let Some(words) = words { (text(words)) br; }
        span.soft { (kind(schema)) (rules(schema)) }
    }
}
