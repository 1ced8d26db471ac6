//! Values as Python writes them, since Ansible's output does: `json.dumps`, `str`, and YAML of results.

use serde_json::Value;

/// `json.dumps(value, ensure_ascii=False, sort_keys=True, indent=indent)`.
pub fn dumps(value: &Value, indent: Option<usize>) -> String {
    let mut out = String::new();
    write_json(value, indent, 0, &mut out);
    out
}

fn write_json(value: &Value, indent: Option<usize>, depth: usize, out: &mut String) {
    match value {
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::Array(items) => write_all('[', ']', items.iter(), indent, depth, out, |item, out| {
            write_json(item, indent, depth + 1, out);
        }),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            write_all('{', '}', entries.into_iter(), indent, depth, out, |(key, item), out| {
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push_str(": ");
                write_json(item, indent, depth + 1, out);
            });
        }
        other => out.push_str(&other.to_string()),
    }
}

fn write_all<T>(
    open: char,
    close: char,
    items: impl ExactSizeIterator<Item = T>,
    indent: Option<usize>,
    depth: usize,
    out: &mut String,
    mut write: impl FnMut(T, &mut String),
) {
    out.push(open);
    let empty = items.len() == 0;
    for (i, item) in items.enumerate() {
        match indent {
            Some(width) => {
                out.push_str(if i == 0 { "\n" } else { ",\n" });
                out.push_str(&" ".repeat(width * (depth + 1)));
            }
            None if i > 0 => out.push_str(", "),
            None => {}
        }
        write(item, out);
    }
    if let (Some(width), false) = (indent, empty) {
        out.push('\n');
        out.push_str(&" ".repeat(width * depth));
    }
    out.push(close);
}

/// A number as Python's `repr` has it: floats keep a `.0`, exponents a sign and two digits.
fn number_text(number: &serde_json::Number) -> String {
    if !number.is_f64() {
        return number.to_string();
    }
    let value = number.as_f64().unwrap_or(f64::NAN);
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    let text = value.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// `str(value)`: strings as they are, all else as `repr`.
pub fn str_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// `repr(value)`.
pub fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number_text(number),
        Value::String(text) => repr_text(text),
        Value::Array(items) => format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}: {}", repr_text(key), repr(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn repr_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() && u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_has_pythons_spaces_and_sorted_keys() {
        let value = json!({"b": [1, 2.0, {}], "a": {"ä": null, "t": "x\u{1}\"\n"}, "e": [], "f": 1e-7, "g": 1e20});
        assert_eq!(
            dumps(&value, None),
            r#"{"a": {"t": "x\u0001\"\n", "ä": null}, "b": [1, 2.0, {}], "e": [], "f": 1e-07, "g": 1e+20}"#
        );
        assert_eq!(dumps(&json!({"b": [1], "a": {}}), Some(4)), "{\n    \"a\": {},\n    \"b\": [\n        1\n    ]\n}");
    }

    #[test]
    fn labels_are_pythons_str() {
        assert_eq!(str_of(&json!("plain")), "plain");
        assert_eq!(str_of(&json!({"x": 1, "y": [true, null, "it's"]})), r#"{'x': 1, 'y': [True, None, "it's"]}"#);
        assert_eq!(str_of(&json!(["a\\'\"\n"])), r#"['a\\\'"\n']"#);
    }
}
