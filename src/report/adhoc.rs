//! Ansible's `minimal` and `oneline` forms, which its `ansible` command prints.

use serde_json::Value;

use super::ansible::{Messages, dump, error_text, split_rendered};
use super::screen::Color;
use super::{Screen, Settings, diff, result};
use crate::engine::event::{Event, Reporter, Status, TaskResult};

/// Modules whose result is a program's output.
const PROGRAMS: &[&str] = &["command", "shell", "raw", "script"];

/// The reporter.
pub struct AdHoc {
    settings: Settings,
    messages: Messages,
    oneline: bool,
}

impl AdHoc {
    /// `host | SUCCESS => {` and indented JSON.
    pub fn minimal(settings: Settings, screen: Screen) -> Self {
        Self { messages: Messages::new(screen, &settings), settings, oneline: false }
    }

    /// One line a host.
    pub fn oneline(settings: Settings, screen: Screen) -> Self {
        Self { messages: Messages::new(screen, &settings), settings, oneline: true }
    }

    fn task_ended(&mut self, outcome: &TaskResult) {
        let failed = matches!(outcome.status, Status::Failed | Status::Unreachable);
        if !self.oneline {
            if let Some(difference) = outcome.result.get("diff").filter(|_| !failed && !result::censored(outcome)) {
                let text = diff::render(difference, &self.messages.screen);
                if !text.is_empty() {
                    self.messages.screen.line(text.strip_suffix('\n').unwrap_or(&text));
                }
            }
            self.messages.of_result(outcome);
            if failed && let Some(text) = error_text(outcome) {
                self.messages.error(&text, false);
            }
        }
        let (word, color) = match outcome.status {
            Status::Ok => ("SUCCESS", Color::Green),
            Status::Changed => ("CHANGED", Color::Yellow),
            Status::Skipped => ("SKIPPED", Color::Cyan),
            Status::Failed => ("FAILED", Color::Red),
            Status::Unreachable => ("UNREACHABLE", Color::BrightRed),
        };
        let text = self.text(outcome, word);
        let text = self.messages.screen.paint(&text, color);
        self.messages.screen.line(text.strip_suffix('\n').unwrap_or(&text));
    }

    fn text(&self, outcome: &TaskResult, word: &str) -> String {
        let host = &outcome.host;
        if outcome.status == Status::Skipped {
            return format!("{host} | SKIPPED");
        }
        let program = PROGRAMS.contains(&result::short_action(&outcome.task.action))
            && !outcome.result.contains_key("ansible_job_id")
            && !outcome.result.contains_key("module_stderr")
            && outcome.status != Status::Unreachable;
        if program {
            return if self.oneline { one_line(outcome, word) } else { output(outcome, word) };
        }
        let mark = if matches!(outcome.status, Status::Failed | Status::Unreachable) { "!" } else { "" };
        if self.oneline && outcome.status == Status::Unreachable {
            return format!("{host} | {word}!: {}", result::text(&outcome.result, "msg").unwrap_or_default());
        }
        let indent = if self.oneline { 0 } else { 4 };
        let values = dump(outcome, &self.settings, Some(indent));
        let values = if self.oneline { values.replace('\n', "") } else { values };
        format!("{host} | {word}{mark} => {values}")
    }
}

/// A program's output as it is.
fn output(outcome: &TaskResult, word: &str) -> String {
    let shown = result::shown(outcome);
    let text = |key: &str| result::text(&shown, key).unwrap_or_default();
    let rc = shown.get("rc").and_then(Value::as_i64).unwrap_or(-1);
    format!("{} | {word} | rc={rc} >>\n{}{}{}\n", outcome.host, text("stdout"), text("stderr"), text("msg"))
}

/// A program's output in one line.
fn one_line(outcome: &TaskResult, word: &str) -> String {
    let shown = result::shown(outcome);
    let text = |key: &str| result::text(&shown, key).unwrap_or_default().replace('\n', "\\n").replace('\r', "\\r");
    let rc = shown.get("rc").and_then(Value::as_i64).unwrap_or(-1);
    let mut line = format!("{} | {word} | rc={rc} | (stdout) {}", outcome.host, text("stdout"));
    if !text("stderr").is_empty() {
        line.push_str(&format!(" (stderr) {}", text("stderr")));
    }
    line
}

impl Reporter for AdHoc {
    fn event(&mut self, event: &Event) {
        match event {
            Event::TaskEnded(outcome) => self.task_ended(outcome),
            Event::NoHosts { remaining: false } => self.messages.warning("No hosts matched, nothing to do"),
            Event::Warning { text } => self.messages.warning(&split_rendered(text)),
            Event::Error { text } => self.messages.error(&split_rendered(text), true),
            _ => {}
        }
    }
}
