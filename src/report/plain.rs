//! For logs: one stable line a result, without colour: `STATUS  HOST  TASK`, reasons of failures indented below.

use std::collections::BTreeSet;

use super::result::{self, host_label, warnings};
use super::{Screen, Settings, diff};
use crate::engine::event::{Event, Reporter, Status, TaskResult};

/// The reporter.
pub struct Plain {
    settings: Settings,
    pub(super) screen: Screen,
    play: String,
    warnings: BTreeSet<String>,
}

impl Plain {
    /// With these settings, to this screen; colour is never used.
    pub fn new(settings: Settings, mut screen: Screen) -> Self {
        screen.color = false;
        Self { settings, screen, play: String::new(), warnings: BTreeSet::new() }
    }

    /// Tells a warning, once a run.
    fn warn(&mut self, text: &str) {
        if self.warnings.insert(text.to_owned()) {
            self.screen.error_line(&labelled("warning", text));
        }
    }

    fn result(&mut self, outcome: &TaskResult) {
        if outcome.is_loop && outcome.status != Status::Skipped {
            return;
        }
        if (outcome.status == Status::Skipped && !self.settings.display_skipped_hosts)
            || (outcome.status == Status::Ok && !self.settings.display_ok_hosts)
        {
            return;
        }
        let status = if outcome.ignored && outcome.status == Status::Failed { "ignored" } else { word(outcome.status) };
        let mut line = format!("{status:<11} {} | {}", host_label(outcome), outcome.task.name);
        if let Some(label) = result::label(outcome) {
            line.push_str(&format!(" [{label}]"));
        }
        if outcome.seconds >= 1.0 {
            line.push_str(&format!(" ({})", duration(outcome.seconds)));
        }
        self.screen.line(&line);
        for line in details(outcome, self.settings.verbosity, &self.screen) {
            self.screen.line(&format!("    {line}"));
        }
    }
}

impl Reporter for Plain {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { playbook, check_mode, hosts, .. } => {
                let mode = if *check_mode { " in check mode" } else { "" };
                self.screen.line(&format!("run         {playbook}{mode}, {}", count(*hosts, "host")));
            }
            Event::PlayStarted { name, hosts, .. } => {
                self.play.clone_from(name);
                self.screen.line(&format!("play        {name} ({})", hosts.join(", ")));
            }
            Event::NoHosts { remaining } => {
                let why = if *remaining { "all hosts failed" } else { "no host matches" };
                self.screen.line(&format!("no hosts    {}: {why}", self.play));
            }
            Event::Progress { host, line, .. } => self.screen.error_line(&format!("progress    {host} | {line}")),
            Event::ItemEnded(outcome) | Event::TaskEnded(outcome) => {
                warnings(outcome).for_each(|text| self.warn(text));
                self.result(outcome);
            }
            Event::Retry { result: outcome, left } => {
                let line = format!("retry       {} | {}, {left} left", host_label(outcome), outcome.task.name);
                self.screen.line(&line);
            }
            Event::Included { file, hosts, .. } => {
                self.screen.line(&format!("included    {} | {file}", hosts.join(", ")));
            }
            Event::Warning { text } => self.warn(text),
            Event::Error { text } => self.screen.error_line(&labelled("error", text)),
            Event::RunEnded { hosts, seconds, round_trips, interrupted, .. } => {
                for (host, c) in hosts {
                    self.screen.line(&format!(
                        "host        {host} | ok={} changed={} unreachable={} failed={} skipped={} rescued={} ignored={}",
                        c.ok, c.changed, c.unreachable, c.failed, c.skipped, c.rescued, c.ignored
                    ));
                }
                let end = if *interrupted { "interrupted" } else { "ended" };
                let trips = count(usize::try_from(*round_trips).unwrap_or(usize::MAX), "round trip");
                self.screen.line(&format!("{end:<11} after {}, {trips}", duration(*seconds)));
            }
            Event::Connected { .. } | Event::TaskStarted { .. } | Event::Notified { .. } => {}
        }
    }
}

/// A rendered text with its level before it, where the text itself doesn't say.
pub(super) fn labelled(level: &str, text: &str) -> String {
    if text.starts_with(level) || text.starts_with('[') { text.to_owned() } else { format!("{level}: {text}") }
}

/// A status in one word.
pub(super) fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Changed => "changed",
        Status::Skipped => "skipped",
        Status::Failed => "failed",
        Status::Unreachable => "unreachable",
    }
}

/// What is worth reading below a result: the error with its place, the last lines of a failed program, messages, diffs.
pub(super) fn details(outcome: &TaskResult, verbosity: u8, screen: &Screen) -> Vec<String> {
    let hidden = result::censored(outcome);
    let mut out = vec![];
    match outcome.status {
        Status::Failed | Status::Unreachable => {
            if let Some(error) = outcome.error.as_deref().filter(|error| !hidden && error.contains('\n')) {
                out.extend(error.lines().map(str::to_owned));
            } else {
                out.extend(result::reason(outcome).lines().map(str::to_owned));
                out.push(format!("at {}", outcome.origin.as_deref().unwrap_or(&outcome.task.place)));
            }
            if let Some((name, lines)) = result::last_lines(&outcome.result, 10).filter(|_| !hidden) {
                out.push(format!("last lines of {name}:"));
                out.extend(lines.iter().map(|line| format!("  {line}")));
            }
        }
        _ if hidden => {}
        _ => {
            if let Some(difference) = outcome.result.get("diff").filter(|_| outcome.status == Status::Changed) {
                out.extend(diff::render(difference, screen).trim_end().lines().map(str::to_owned));
            }
            let debug = result::short_action(&outcome.task.action) == "debug" && outcome.status != Status::Skipped;
            if debug {
                out.extend(debug_text(outcome).lines().map(str::to_owned));
            } else if verbosity > 0 {
                let shown = serde_json::Value::Object(result::shown(outcome));
                out.push(crate::text::python::dumps(&shown, None));
            }
        }
    }
    out
}

/// What a `debug` task says: its message, or the value of the variable that it names.
pub(super) fn debug_text(outcome: &TaskResult) -> String {
    let shown = result::shown(outcome);
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => crate::text::python::dumps(other, Some(2)),
    };
    if let Some(msg) = shown.get("msg") {
        return text(msg);
    }
    let internal = ["changed", "failed", "ansible_loop_var", "ansible_index_var", "item", "ansible_loop"];
    shown
        .iter()
        .filter(|(key, _)| !internal.contains(&key.as_str()))
        .map(|(key, value)| format!("{key}: {}", text(value)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Seconds as people read them.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let minutes = (seconds / 60.0).floor();
    format!("{minutes:.0} min {:.0} s", (seconds - minutes * 60.0).floor())
}

/// A number with its noun.
pub(super) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
