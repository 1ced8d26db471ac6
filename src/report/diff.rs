//! Differences as text: unified, with Ansible's headers and remarks.

use serde_json::{Map, Value};
use similar::TextDiff;

use super::screen::{Color, Screen};
use crate::text::python;

/// The text of a result's `diff` (a mapping or a list of them), coloured where colours are on; empty where nothing differs.
pub fn render(diff: &Value, screen: &Screen) -> String {
    let one = std::slice::from_ref(diff);
    let all: &[Value] = diff.as_array().map_or(one, Vec::as_slice);
    all.iter().filter_map(Value::as_object).map(|diff| render_one(diff, screen)).collect()
}

fn render_one(diff: &Map<String, Value>, screen: &Screen) -> String {
    let mut out = String::new();
    for (key, which) in [("dst_binary", "destination"), ("src_binary", "source")] {
        if diff.contains_key(key) {
            out.push_str(&format!("diff skipped: {which} file appears to be binary\n"));
        }
    }
    for (key, which) in [("dst_larger", "destination"), ("src_larger", "source")] {
        if let Some(size) = diff.get(key) {
            out.push_str(&format!("diff skipped: {which} file size is greater than {}\n", python::str_of(size)));
        }
    }
    if let (Some(before), Some(after)) = (diff.get("before"), diff.get("after")) {
        let header = |side: &str| match diff.get(&format!("{side}_header")) {
            Some(Value::String(header)) if !header.is_empty() => format!("{side}: {header}"),
            _ => side.to_owned(),
        };
        out.push_str(&unified(&text(before), &text(after), &header("before"), &header("after"), screen));
    }
    if let Some(Value::String(prepared)) = diff.get("prepared") {
        out.push_str(prepared);
    }
    out
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => format!("{}\n", python::dumps(other, Some(4))),
    }
}

/// A unified diff with three lines of context, an empty line behind it; nothing where nothing differs.
pub fn unified(before: &str, after: &str, from: &str, to: &str, screen: &Screen) -> String {
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().context_radius(3).header(from, to).to_string();
    if text.is_empty() {
        return text;
    }
    let mut out = String::new();
    for line in text.lines() {
        let color = match line.as_bytes().first() {
            Some(b'+') => Some(Color::Green),
            Some(b'-') => Some(Color::Red),
            Some(b'@') => Some(Color::Cyan),
            _ => None,
        };
        out.push_str(&color.map_or_else(|| line.to_owned(), |color| screen.paint(line, color)));
        out.push('\n');
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_without_a_last_newline_says_so() {
        let (screen, ..) = Screen::buffers();
        let diff = json!({"before": "a\nb\n", "after": "a\nc", "before_header": "/x", "after_header": "/x"});
        let expected = "--- before: /x\n+++ after: /x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n\n";
        assert_eq!(render(&diff, &screen), expected);
    }

    #[test]
    fn states_are_compared_as_json() {
        let (screen, ..) = Screen::buffers();
        let diff = json!([{"before": {"mode": "0644"}, "after": {"mode": "0600"}}]);
        let expected =
            "--- before\n+++ after\n@@ -1,3 +1,3 @@\n {\n-    \"mode\": \"0644\"\n+    \"mode\": \"0600\"\n }\n\n";
        assert_eq!(render(&diff, &screen), expected);
        assert_eq!(render(&json!([{"before": "a", "after": "a"}]), &screen), "");
    }
}
