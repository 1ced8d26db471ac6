//! Texts of errors in ansible-core's form: message, origin with an excerpt, the cause behind `<<< caused by >>>`.

use serde_json::Value;

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
        Some(other) => crate::text::python::str_of(other),
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
