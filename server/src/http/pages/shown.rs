//! Names and values as people read them.

use maud::{Markup, html};

use crate::clock;
use crate::model::{Field, Kind, Resource, Value};
use crate::store::Row;

/// Most characters of a value in a list.
const EXCERPT: usize = 80;

/// A name of a declaration as a label: `passengerClass` is `Passenger class`, `order_items` is `Order items`.
pub(super) fn label(name: &str) -> String {
    let mut label = String::with_capacity(name.len() + 4);
    let mut chars = name.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let starts = c.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit());
        if (c == '_' || starts) && !label.ends_with(' ') {
            label.push(' ');
        }
        let word = starts && chars.peek().is_none_or(char::is_ascii_lowercase);
        if c != '_' {
            label.push(if word { c.to_ascii_lowercase() } else { c });
        }
        before = c;
    }
    capital(label.trim_end())
}

/// A message as a sentence.
pub(super) fn sentence(text: &str) -> String {
    capital(&sentence_end(text))
}

/// A message with a full stop.
pub(super) fn sentence_end(text: &str) -> String {
    let end = if text.is_empty() || text.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{text}{end}")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The place of a row's pages.
pub(super) fn place(resource: &Resource, row: &Row) -> String {
    match row.first() {
        Some(Value::Uuid(id)) => format!("/ui/{}/{id}", resource.name),
        _ => format!("/ui/{}", resource.name),
    }
}

/// The field by which people tell rows from each other: the first short text, else the first field.
pub(super) fn naming(resource: &Resource) -> Option<&Field> {
    let text = resource.fields.iter().find(|field| matches!(field.kind, Kind::String | Kind::Email));
    text.or(resource.fields.first())
}

/// The value of a field.
pub(super) fn value_of<'r>(resource: &Resource, row: &'r Row, name: &str) -> &'r Value {
    let at = resource.columns().iter().position(|column| column.name == name);
    at.and_then(|at| row.get(at)).unwrap_or(&Value::Null)
}

/// What a row is called: the value of its naming field, else the begin of its id.
pub(super) fn name_of(resource: &Resource, row: &Row) -> String {
    let value = naming(resource).map_or(&Value::Null, |field| value_of(resource, row, &field.name));
    let text = match value {
        Value::Null => String::new(),
        Value::Bool(_) => plain(value),
        value => excerpt(plain(value).trim()),
    };
    match row.first() {
        Some(Value::Uuid(id)) if text.is_empty() => format!("Record {}", &id.to_string()[..8]),
        _ => text,
    }
}

/// A value as text, whole.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => text.clone(),
        Value::Bool(flag) => if *flag { "Yes" } else { "No" }.to_owned(),
        Value::Time(at) => moment(*at),
        Value::Json(document) => serde_json::to_string_pretty(document).unwrap_or_default(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => decimal(*number),
        Value::Uuid(id) => id.to_string(),
    }
}

/// `24`, `7.25`, `1e+300`: what reads back as the same number.
pub(super) fn decimal(number: f64) -> String {
    let text = number.to_string();
    if text.len() > 20 { serde_json::Value::from(number).to_string() } else { text }
}

/// `2025-05-20 22:22:46 UTC`: to the second.
pub(super) fn moment(at: time::OffsetDateTime) -> String {
    format!("{} UTC", &clock::spaced(at)[..19])
}

/// A value in a list: long ones are cut.
pub(super) fn short(field: &Field, value: &Value) -> Markup {
    match value {
        Value::Text(text) if matches!(field.kind, Kind::Enum(_)) => html! { span.pill { (text) } },
        Value::Text(text) => html! { (excerpt(text)) },
        Value::Json(document) => html! { span.mono { (excerpt(&document.to_string())) } },
        Value::Uuid(id) => html! { span.mono title=(id) { (&id.to_string()[..8]) "…" } },
        value => whole(value),
    }
}

/// A value with all of it.
pub(super) fn whole(value: &Value) -> Markup {
    html! {
        @match value {
            Value::Null => span.none { span aria-hidden="true" { "–" } span.hidden { "empty" } },
            Value::Time(at) => time datetime=(clock::rfc3339(*at)) { (moment(*at)) },
            Value::Json(_) => pre { (plain(value)) },
            Value::Uuid(id) => span.mono { (id) },
            value => (plain(value)),
        }
    }
}

fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_words() {
        for (name, words) in [
            ("name", "Name"),
            ("passengerClass", "Passenger class"),
            ("siblingsOrSpousesAboard", "Siblings or spouses aboard"),
            ("order_items", "Order items"),
            ("a__b_", "A b"),
            ("homeURL", "Home URL"),
            ("ISBN", "ISBN"),
        ] {
            assert_eq!(label(name), words);
        }
    }

    #[test]
    fn numbers_read_back_as_they_are() {
        for (number, text) in [(24.0, "24"), (7.25, "7.25"), (0.1 + 0.2, "0.30000000000000004"), (1e300, "1e+300")] {
            assert_eq!(decimal(number), text);
            assert_eq!(text.parse(), Ok(number));
        }
    }

    #[test]
    fn excerpts_are_cut_between_characters() {
        assert_eq!(excerpt(&"ä".repeat(80)), "ä".repeat(80));
        assert_eq!(excerpt(&"ä".repeat(81)), format!("{}…", "ä".repeat(80)));
    }
}
