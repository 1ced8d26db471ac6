//! JSON and YAML, to and from text.

use serde_json::Value;

use super::super::call::{Answer, Call, Filter, integer, truthy};
use crate::text::yaml_out::Scalars;
use crate::text::{Node, Source, parse, python};

pub(super) const FILTERS: &[(&str, Filter)] = &[
    ("to_json", to_json),
    ("to_nice_json", to_nice_json),
    ("tojson", tojson),
    ("from_json", from_json),
    ("to_yaml", to_yaml),
    ("to_nice_yaml", to_nice_yaml),
    ("from_yaml", from_yaml),
    ("from_yaml_all", from_yaml_all),
    ("ansible._protomatter.finalize", finalize),
];

/// Makes a lazy value a plain one, which every value that a filter gets is here.
fn finalize(call: &Call) -> Answer {
    Ok(call.value.clone())
}

/// `json.dumps` with the options that filters take.
fn dumps(
    value: &Value,
    indent: Option<usize>,
    sort: bool,
    ascii: bool,
    separators: Option<(String, String)>,
) -> String {
    let mut out = String::new();
    let (comma, colon) =
        separators.unwrap_or_else(|| (if indent.is_some() { ",".into() } else { ", ".into() }, ": ".into()));
    Writer { indent, sort, ascii, comma, colon }.write(value, 0, &mut out);
    out
}

struct Writer {
    indent: Option<usize>,
    sort: bool,
    ascii: bool,
    comma: String,
    colon: String,
}

impl Writer {
    fn write(&self, value: &Value, depth: usize, out: &mut String) {
        match value {
            Value::String(text) => self.text(text, out),
            Value::Array(items) if items.is_empty() => out.push_str("[]"),
            Value::Object(map) if map.is_empty() => out.push_str("{}"),
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    self.next(i, depth + 1, out);
                    self.write(item, depth + 1, out);
                }
                self.end(depth, out);
                out.push(']');
            }
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                if self.sort {
                    entries.sort_by_key(|(key, _)| key.as_str());
                }
                out.push('{');
                for (i, (key, item)) in entries.into_iter().enumerate() {
                    self.next(i, depth + 1, out);
                    self.text(key, out);
                    out.push_str(&self.colon);
                    self.write(item, depth + 1, out);
                }
                self.end(depth, out);
                out.push('}');
            }
            other => out.push_str(&python::dumps(other, None)),
        }
    }

    fn next(&self, index: usize, depth: usize, out: &mut String) {
        if index > 0 {
            out.push_str(&self.comma);
        }
        self.end(depth, out);
    }

    fn end(&self, depth: usize, out: &mut String) {
        if let Some(width) = self.indent {
            out.push('\n');
            out.push_str(&" ".repeat(width * depth));
        }
    }

    fn text(&self, text: &str, out: &mut String) {
        let quoted = Value::from(text).to_string();
        if !self.ascii {
            out.push_str(&quoted);
            return;
        }
        for c in quoted.chars() {
            if c.is_ascii() {
                out.push(c);
            } else {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
}

fn indent_of(call: &Call, default: Option<usize>) -> Option<usize> {
    match call.named.get("indent").or_else(|| call.positional.first()) {
        None => default,
        Some(value) => integer(value).and_then(|n| usize::try_from(n).ok()),
    }
}

fn separators(call: &Call) -> Option<(String, String)> {
    let pair = call.named.get("separators")?.as_array()?;
    Some((python::str_of(pair.first()?), python::str_of(pair.get(1)?)))
}

const JSON_OPTIONS: &[&str] = &[
    "indent",
    "sort_keys",
    "ensure_ascii",
    "separators",
    "vault_to_text",
    "preprocess_unsafe",
    "skipkeys",
    "allow_nan",
    "check_circular",
    "default",
    "profile",
];

fn to_json(call: &Call) -> Answer {
    call.only(JSON_OPTIONS)?;
    let sort = call.named.get("sort_keys").is_some_and(truthy);
    let ascii = call.named.get("ensure_ascii").is_none_or(truthy);
    let indent = call.named.get("indent").and_then(integer).and_then(|n| usize::try_from(n).ok());
    Ok(dumps(&call.value, indent, sort, ascii, separators(call)).into())
}

fn to_nice_json(call: &Call) -> Answer {
    call.only(JSON_OPTIONS)?;
    let sort = call.named.get("sort_keys").or_else(|| call.positional.get(1)).is_none_or(truthy);
    let ascii = call.named.get("ensure_ascii").is_none_or(truthy);
    Ok(dumps(&call.value, indent_of(call, Some(4)), sort, ascii, separators(call)).into())
}

/// Jinja's own: safe within HTML, keys sorted.
fn tojson(call: &Call) -> Answer {
    let text = dumps(&call.value, indent_of(call, None), true, true, None);
    Ok(text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026").replace('\'', "\\u0027").into())
}

fn from_json(call: &Call) -> Answer {
    serde_json::from_str(&call.string()).map_err(|error| format!("invalid JSON: {error}"))
}

fn documents(call: &Call) -> Result<Vec<Value>, String> {
    let source = Source::new("<from_yaml>", call.string());
    let parsed = parse(&source).map_err(|error| format!("invalid YAML: {}", error.message))?;
    Ok(parsed.documents.iter().map(Node::to_json).collect())
}

fn from_yaml(call: &Call) -> Answer {
    if !call.value.is_string() {
        return Ok(call.value.clone());
    }
    Ok(documents(call)?.into_iter().next().unwrap_or(Value::Null))
}

fn from_yaml_all(call: &Call) -> Answer {
    match &call.value {
        Value::String(_) => documents(call).map(Value::Array),
        Value::Null => Ok(Value::Array(vec![])),
        other => Ok(other.clone()),
    }
}

const YAML_OPTIONS: &[&str] = &[
    "indent",
    "width",
    "sort_keys",
    "default_flow_style",
    "allow_unicode",
    "explicit_start",
    "explicit_end",
    "default_style",
    "line_break",
    "encoding",
    "version",
    "tags",
    "canonical",
];

fn yaml(call: &Call, indent: usize, flow_leaves: bool) -> Answer {
    call.only(YAML_OPTIONS)?;
    let options = crate::text::yaml_out::Options {
        indent: call
            .named
            .get("indent")
            .or_else(|| call.positional.first())
            .and_then(integer)
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(indent),
        width: call.named.get("width").and_then(integer).and_then(|n| usize::try_from(n).ok()).unwrap_or(80),
        sort_keys: call.named.get("sort_keys").is_none_or(truthy),
        flow: match call.named.get("default_flow_style") {
            Some(Value::Null) => crate::text::yaml_out::Flow::Leaves,
            Some(value) if truthy(value) => crate::text::yaml_out::Flow::All,
            Some(_) => crate::text::yaml_out::Flow::None,
            None if flow_leaves => crate::text::yaml_out::Flow::Leaves,
            None => crate::text::yaml_out::Flow::None,
        },
        unicode: call.named.get("allow_unicode").is_none_or(truthy),
        blocks: false,
        style: match call.text(usize::MAX, "default_style").as_deref() {
            None | Some("") => None,
            Some("'") => Some(Scalars::Single),
            Some("\"") => Some(Scalars::Double),
            Some("|") => Some(Scalars::Literal),
            Some(other) => return Err(format!("the style `{other}` is not supported: `'`, `\"` and `|` are")),
        },
    };
    if call.flag(usize::MAX, "canonical") {
        return Ok(crate::text::yaml_out::canonical(&call.value, &options).into());
    }
    let mut text = crate::text::yaml_out::dump(&call.value, &options);
    if call.named.get("explicit_start").is_some_and(truthy) {
        text.insert_str(0, "---\n");
    }
    Ok(text.into())
}

fn to_yaml(call: &Call) -> Answer {
    yaml(call, 2, true)
}

fn to_nice_yaml(call: &Call) -> Answer {
    yaml(call, 4, false)
}
