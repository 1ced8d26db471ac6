//! What of a result may be shown, in which words: shared by all reporters.

use serde_json::{Map, Value};

use crate::engine::event::TaskResult;
use crate::text::python;

/// What stands in place of a result under `no_log`.
pub const CENSORED: &str =
    "the output has been hidden due to the fact that 'no_log: true' was specified for this result";

/// The result without internal keys; under `no_log` only that there is one.
pub fn shown(result: &TaskResult) -> Map<String, Value> {
    if censored(result) {
        let mut out = Map::new();
        out.insert("censored".into(), CENSORED.into());
        for key in ["attempts", "changed", "retries"] {
            if let Some(value) = result.result.get(key) {
                out.insert(key.into(), value.clone());
            }
        }
        return out;
    }
    let mut out = result.result.clone();
    out.retain(|key, _| !key.starts_with("_ansible_"));
    out
}

/// Whether the result's content is hidden.
pub fn censored(result: &TaskResult) -> bool {
    result.task.no_log || flag(&result.result, "_ansible_no_log") == Some(true)
}

/// A boolean of a result.
pub fn flag(map: &Map<String, Value>, key: &str) -> Option<bool> {
    map.get(key).and_then(Value::as_bool)
}

/// A string of a result.
pub fn text<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    map.get(key).and_then(Value::as_str)
}

/// The label of a loop's item.
pub fn label(result: &TaskResult) -> Option<String> {
    let item = result.item.as_ref()?;
    Some(if censored(result) { "(censored due to no_log)".into() } else { python::str_of(item) })
}

/// The host, and the one that did the work where that is another.
pub fn host_label(result: &TaskResult) -> String {
    match &result.delegated {
        Some(delegate) if *delegate != result.host => format!("{} -> {delegate}", result.host),
        _ => result.host.clone(),
    }
}

/// The module's name without a collection.
pub fn short_action(action: &str) -> &str {
    action.rsplit('.').next().unwrap_or(action)
}

/// The last lines of what a failed program wrote, stderr before stdout.
pub fn last_lines(result: &Map<String, Value>, lines: usize) -> Option<(&'static str, Vec<String>)> {
    for (key, name) in [("stderr", "stderr"), ("module_stderr", "stderr"), ("stdout", "stdout")] {
        let Some(text) = text(result, key).map(str::trim_end).filter(|text| !text.is_empty()) else { continue };
        let all: Vec<&str> = text.lines().collect();
        return Some((name, all[all.len().saturating_sub(lines)..].iter().map(|&line| line.to_owned()).collect()));
    }
    None
}

/// Why a task failed, in one text: its message, its exit status where it has one.
pub fn reason(result: &TaskResult) -> String {
    if censored(result) {
        return format!("censored: {CENSORED}");
    }
    let shown = &result.result;
    let message = match shown.get("msg") {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        None | Some(Value::Null | Value::String(_)) => "failed".into(),
        Some(other) => other.to_string(),
    };
    match shown.get("rc").and_then(Value::as_i64) {
        Some(rc) if rc != 0 => format!("{message} (exit status {rc})"),
        _ => message,
    }
}

/// The warnings that came with a result.
pub(super) fn warnings(outcome: &TaskResult) -> impl Iterator<Item = &str> {
    let told = outcome.result.get("warnings").filter(|_| !censored(outcome));
    told.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
