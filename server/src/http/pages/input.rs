//! The input of a field, by its type and rules, with its label, hint and error.

use maud::{Markup, html};

use super::{form, shown};
use crate::model::{Field, Kind};

/// What a form shows of a field.
pub(super) struct Shown<'a> {
    /// What its input holds.
    pub(super) text: &'a str,
    /// What is wrong with that.
    pub(super) wrong: Option<&'a str>,
    /// What somebody else stored meanwhile, if that is something else.
    pub(super) stored: Option<&'a str>,
}

/// The id of the input.
pub(super) fn id(field: &Field) -> String {
    format!("field-{}", field.name)
}

pub(super) fn field(field: &Field, shown: &Shown<'_>) -> Markup {
    let (id, hint) = (id(field), hint(field));
    let label = shown::label(&field.name);
    let described: Vec<String> =
        [("hint", !hint.is_empty()), ("error", shown.wrong.is_some()), ("stored", shown.stored.is_some())]
            .iter()
            .filter(|(_, there)| *there)
            .map(|(what, _)| format!("{id}-{what}"))
            .collect();
    let around = Around { id: &id, described: (!described.is_empty()).then(|| described.join(" ")) };
    let input = input(field, shown, &around);
    let wrong = shown.wrong.map(|rule| format!("{label} {}", shown::sentence_end(rule)));
    html! {
        div.field.bad[shown.wrong.is_some()] {
            @if form::ticked(field) {
                (before(&id, &hint, wrong.as_deref()))
                div.check { (input) label for=(id) { (label) } }
            } @else {
                label for=(id) { (label) @if !field.required { " " span { "(optional)" } } }
                (before(&id, &hint, wrong.as_deref()))
                (input)
            }
            @if let Some(stored) = shown.stored {
                p.other id={ (id) "-stored" } {
                    strong { "Stored meanwhile: " }
                    @if stored.is_empty() { span.soft { "empty" } } @else { (stored) }
                }
            }
        }
    }
}

/// The hint and the error.
fn before(id: &str, hint: &str, wrong: Option<&str>) -> Markup {
    html! {
        @if !hint.is_empty() { p.hint id={ (id) "-hint" } { (hint) } }
        @if let Some(rule) = wrong {
            p.wrong id={ (id) "-error" } { span.hidden { "Error: " } (rule) }
        }
    }
}

/// The attributes that every input has.
struct Around<'a> {
    id: &'a str,
    described: Option<String>,
}

fn input(field: &Field, shown: &Shown<'_>, around: &Around<'_>) -> Markup {
    let (id, name, described) = (around.id, field.name.as_str(), around.described.as_deref());
    let (text, invalid) = (shown.text, shown.wrong.map(|_| "true"));
    if form::ticked(field) {
        return html! {
            input type="hidden" name=(name) value="";
            input type="checkbox" id=(id) name=(name) value="true" checked[text == "true"]
                aria-invalid=[invalid] aria-describedby=[described];
        };
    }
    if let Some(choices) = choices(field, text) {
        return html! {
            select.short id=(id) name=(name) required[field.required] aria-invalid=[invalid]
                aria-describedby=[described] {
                @for (value, label) in choices {
                    option value=(value) selected[value == text] { (label) }
                }
            }
        };
    }
    let many = matches!(field.kind, Kind::Text | Kind::Json) || text.contains('\n');
    let longest = field.longest().filter(|_| field.kind != Kind::Json);
    let shortest = field.min_length.filter(|_| field.kind != Kind::Json);
    if many {
        let rows = text.lines().count().clamp(4, 20);
        return html! {
            // The first newline of a text area is none of its text.
            textarea.mono[field.kind == Kind::Json] id=(id) name=(name) rows=(rows) required[field.required]
                minlength=[shortest] maxlength=[longest] spellcheck=[(field.kind == Kind::Json).then_some("false")]
                aria-invalid=[invalid] aria-describedby=[described] { "\n" (text) }
        };
    }
    let [min, max] = bounds(field);
    let (kind, mode) = kind(field, text);
    let step = match field.kind {
        Kind::Integer => Some("1"),
        Kind::Number => Some("any"),
        Kind::Timestamp => Some(if text.len() > 19 { "0.001" } else { "1" }),
        _ => None,
    };
    let short = matches!(field.kind, Kind::Integer | Kind::Number | Kind::Timestamp);
    let pattern = field.pattern.as_ref().and_then(|pattern| for_browsers(pattern.as_str()));
    html! {
        input.short[short].mono[field.kind == Kind::Uuid] type=(kind) id=(id) name=(name) value=(text)
            required[field.required] inputmode=[mode] step=[step] min=[min] max=[max] minlength=[shortest]
            maxlength=[longest] pattern=[pattern] title=[hint_of_pattern(field)]
            spellcheck=[(field.kind == Kind::Uuid).then_some("false")] aria-invalid=[invalid]
            aria-describedby=[described];
    }
}

/// The words to choose from; none where a value is written.
fn choices(field: &Field, text: &str) -> Option<Vec<(String, String)>> {
    let mut choices: Vec<(String, String)> = match &field.kind {
        Kind::Enum(words) => words.iter().map(|word| (word.clone(), word.clone())).collect(),
        Kind::Boolean => [("true", "Yes"), ("false", "No")].map(|(a, b)| (a.to_owned(), b.to_owned())).to_vec(),
        _ => return None,
    };
    // A word of an older declaration must not become another one unseen.
    if !text.is_empty() && !choices.iter().any(|(value, _)| value == text) {
        choices.insert(0, (text.to_owned(), format!("{text} (no longer one of the values)")));
    }
    if !field.required || text.is_empty() {
        let none = if field.required { "Choose one" } else { "Not set" };
        choices.insert(0, (String::new(), none.into()));
    }
    Some(choices)
}

/// The type of the input, and the keyboard for it.
fn kind(field: &Field, text: &str) -> (&'static str, Option<&'static str>) {
    match field.kind {
        Kind::Integer => ("number", Some("numeric")),
        Kind::Number => ("number", Some("decimal")),
        Kind::Timestamp => ("datetime-local", None),
        // Browsers know no addresses with other letters before the `@`, and would not send such a one.
        Kind::Email if text.is_ascii() => ("email", None),
        Kind::Email => ("text", Some("email")),
        _ => ("text", None),
    }
}

/// The least and the largest number; whole ones for whole numbers, since a browser counts steps from the least.
fn bounds(field: &Field) -> [Option<String>; 2] {
    match field.kind {
        Kind::Integer => {
            [field.min.map(f64::ceil), field.max.map(f64::floor)].map(|bound| bound.map(|n| n.to_string()))
        }
        _ => [field.min, field.max].map(|bound| bound.map(|n| n.to_string())),
    }
}

/// The pattern as a browser's `pattern` has it, which must match the whole text. None if it uses what a browser reads in
/// another way, or not at all: then only the server says whether the text matches.
fn for_browsers(pattern: &str) -> Option<String> {
    let other = ["(?", "[[", "[^[", "&&", "--", "~~", "\\x", "\\u", "\\U", "\\A", "\\z", "\\<", "\\>", "\\b{", "\\a"];
    let same = pattern.is_ascii() && !other.iter().any(|word| pattern.replace("(?:", "(").contains(word));
    same.then(|| format!(".*(?:{pattern}).*"))
}

fn hint_of_pattern(field: &Field) -> Option<String> {
    field.pattern.as_ref().map(|pattern| format!("must match the pattern {pattern}"))
}

/// What a person must know before they write.
fn hint(field: &Field) -> String {
    let mut parts: Vec<String> = field.description.iter().map(|text| shown::sentence(text)).collect();
    let [min, max] = bounds(field);
    parts.extend(match (min, max) {
        (Some(min), Some(max)) => Some(format!("From {min} to {max}.")),
        (Some(min), None) => Some(format!("{min} or more.")),
        (None, Some(max)) => Some(format!("{max} or less.")),
        (None, None) => None,
    });
    let longest = field.max_length.filter(|_| field.kind != Kind::Json);
    parts.extend(match (field.min_length.filter(|least| *least > 1 && field.kind != Kind::Json), longest) {
        (Some(min), Some(max)) => Some(format!("{min} to {max} characters.")),
        (Some(min), None) => Some(format!("At least {min} characters.")),
        (None, Some(max)) => Some(format!("Up to {max} characters.")),
        (None, None) => None,
    });
    match field.kind {
        Kind::Timestamp => parts.push("Date and time in UTC.".into()),
        Kind::Uuid => parts.push("32 hexadecimal digits, in groups of 8, 4, 4, 4 and 12.".into()),
        Kind::Json => parts.push("A JSON document.".into()),
        _ => {}
    }
    if field.description.is_none() {
        parts.extend(hint_of_pattern(field).map(|text| shown::sentence(&text)));
    }
    if field.unique {
        parts.push("No two records have the same.".into());
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_browsers_read_in_another_way_are_the_servers() {
        assert_eq!(for_browsers("^[0-9]+$").as_deref(), Some(".*(?:^[0-9]+$).*"));
        assert!(for_browsers("a(?:b|c)\\d").is_some());
        for other in ["(?i)a", "[[:alpha:]]", "[a-z&&[^b]]", "(?P<n>a)", "\\x{41}", "ä"] {
            assert_eq!(for_browsers(other), None, "{other}");
        }
    }
}
