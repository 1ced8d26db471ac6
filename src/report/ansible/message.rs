//! Texts of errors in ansible-core's form: message, origin with an excerpt, the cause behind `<<< caused by >>>`; and results as YAML.

use serde_json::{Map, Value};

use super::super::{result, source};
use crate::engine::event::{Status, TaskResult};

/// Modules whose work is done on the controller: their failures read `Action failed`.
const ACTIONS: &[&str] = &[
    "add_host",
    "assemble",
    "assert",
    "async_status",
    "debug",
    "dnf",
    "fail",
    "fetch",
    "gather_facts",
    "group_by",
    "include_vars",
    "package",
    "pause",
    "raw",
    "reboot",
    "script",
    "set_fact",
    "set_stats",
    "template",
    "unarchive",
    "uri",
    "validate_argument_spec",
    "wait_for_connection",
];

/// The text of a failed result's error; none where Ansible shows none.
pub fn error_text(outcome: &TaskResult) -> Option<String> {
    if let Some(ready) = outcome.origin.as_deref().filter(|origin| origin.contains('\n')) {
        return Some(format!("{}\n{ready}", headline(outcome)));
    }
    let place = source::origin(&outcome.task.place);
    let headline = headline(outcome);
    let cause = outcome.origin.as_deref().filter(|origin| !origin.is_empty() && *origin != outcome.task.place);
    let Some(cause) = cause else { return Some(format!("{headline}\n{place}")) };
    let (head, rest) = split_cause(&headline);
    let cause = source::origin(cause);
    Some(format!("{headline}\n\n{head}\n{place}\n\n<<< caused by >>>\n\n{rest}\n{cause}"))
}

/// `Task failed: …` in one text.
fn headline(outcome: &TaskResult) -> String {
    if result::censored(outcome) && outcome.result.get("msg").is_none() {
        return "Task failed: Action failed.".into();
    }
    let message = match outcome.result.get("msg") {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(other) => super::python::str_of(other),
        None => String::new(),
    };
    if message.starts_with("Task failed") {
        return message;
    }
    if outcome.status == Status::Unreachable {
        return format!("Task failed: {message}");
    }
    let action = ACTIONS.contains(&result::short_action(&outcome.task.action));
    if message.is_empty() || outcome.result.contains_key("failed_when_result") {
        return "Task failed: Action failed.".into();
    }
    format!("Task failed: {} failed: {message}", if action { "Action" } else { "Module" })
}

/// The outer part of a message, and its cause.
fn split_cause(headline: &str) -> (String, &str) {
    let rest = headline.strip_prefix("Task failed: ").unwrap_or(headline);
    if rest.starts_with("Finalization of task args for ")
        && let Some((head, cause)) = rest.split_once(" failed: ")
    {
        return (format!("Task failed: {head} failed."), cause);
    }
    ("Task failed.".into(), rest)
}

/// A rendered diagnostic (`error: MESSAGE`, ` --> file:line:col`, source lines) in Ansible's form; other texts as they are.
pub fn split_rendered(text: &str) -> String {
    let mut lines = text.lines();
    let Some(message) =
        lines.next().and_then(|line| line.strip_prefix("error: ").or_else(|| line.strip_prefix("warning: ")))
    else {
        return text.to_owned();
    };
    let mut out = message.to_owned();
    for line in lines {
        let line = line.trim_start();
        if let Some(place) = line.strip_prefix("--> ") {
            out.push('\n');
            out.push_str(&source::origin(place));
        }
    }
    let notes: Vec<&str> =
        text.lines().filter_map(|line| line.trim_start().trim_start_matches("= ").strip_prefix("help: ")).collect();
    if !notes.is_empty() {
        out.push_str("\n\n");
        out.push_str(&notes.join("\n"));
    }
    out
}

/// A result as YAML, four spaces in, on lines of its own.
pub(super) fn yaml(result: &Map<String, Value>, pretty: bool) -> String {
    let mut result = result.clone();
    if pretty {
        for (key, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
            if result.contains_key(key) && result.contains_key(lines) {
                result.insert(lines.into(), "<omitted>".into());
            }
        }
    }
    let mut out = String::new();
    write_yaml(&Value::Object(result), 0, &mut out);
    let indented: Vec<String> =
        out.lines().map(|line| if line.is_empty() { String::new() } else { format!("    {line}") }).collect();
    format!("\n{}", indented.join("\n"))
}

fn write_yaml(value: &Value, depth: usize, out: &mut String) {
    let pad = " ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            for (key, value) in entries {
                out.push_str(&format!("{pad}{}:", scalar(key, depth)));
                match value {
                    Value::Object(map) if !map.is_empty() => {
                        out.push('\n');
                        write_yaml(value, depth + 4, out);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        out.push('\n');
                        write_yaml(value, depth, out);
                    }
                    other => out.push_str(&format!(" {}\n", flow(other, depth + 4))),
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        let mut inner = String::new();
                        write_yaml(item, depth + 4, &mut inner);
                        out.push_str(&format!("{pad}-   {}", &inner[depth + 4..]));
                    }
                    Value::Array(list) if !list.is_empty() => {
                        let mut inner = String::new();
                        write_yaml(item, depth + 4, &mut inner);
                        out.push_str(&format!("{pad}-   {}", &inner[depth + 4..]));
                    }
                    other => out.push_str(&format!("{pad}- {}\n", flow(other, depth + 4))),
                }
            }
        }
        other => out.push_str(&format!("{pad}{}\n", flow(other, depth))),
    }
}

/// A value that stands on one line (or is a block of text).
fn flow(value: &Value, depth: usize) -> String {
    match value {
        Value::String(text) => scalar(text, depth),
        Value::Null => "null".into(),
        Value::Object(_) => "{}".into(),
        Value::Array(_) => "[]".into(),
        other => super::python::dumps(other, None),
    }
}

fn scalar(text: &str, depth: usize) -> String {
    if text.contains('\n') {
        let pad = " ".repeat(depth);
        let keep = if text.ends_with('\n') { "" } else { "-" };
        let lines: Vec<String> = text.lines().map(|line| format!("{pad}{}", line.trim_end())).collect();
        return format!("|{keep}\n{}", lines.join("\n"));
    }
    if is_plain(text) { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Whether YAML 1.1 reads the text, without quotes, as this string.
fn is_plain(text: &str) -> bool {
    let special = |c: char| "-?:,[]{}#&*!|>'\"%@`=".contains(c);
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "~"];
    !text.is_empty()
        && text.trim() == text
        && (!text.starts_with(special)
            || (text.len() > 1
                && text.starts_with(['-', '?', ':'])
                && !text[1..].starts_with(' ')
                && !text[1..].starts_with(['.'])
                && text[1..].starts_with(|c: char| !c.is_ascii_digit())))
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !words.contains(&text.to_lowercase().as_str())
        && !text.starts_with(|c: char| c.is_ascii_digit() || c == '.' || c == '+')
}
