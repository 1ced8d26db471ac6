//! Ansible's own output, byte for byte that of ansible-core 2.19's `default` callback: scripts and tests read it.

mod banner;
mod message;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::result::{self, censored, flag, host_label};
use super::screen::{Color, Screen};
use super::{Settings, diff, source};
use crate::engine::event::{Counters, Event, Reporter, Status, TaskInfo, TaskResult};
use crate::text::python;

pub use banner::banner;
pub use message::{error_text, split_rendered};

/// The reporter.
pub struct Ansible {
    settings: Settings,
    messages: Messages,
    /// The task whose banner was printed last.
    banner: Option<u64>,
    check_mode: bool,
}

/// Warnings and errors: each is shown once.
pub struct Messages {
    /// Where to.
    pub screen: Screen,
    seen: BTreeSet<String>,
    deprecations: bool,
}

impl Messages {
    /// For this screen.
    pub fn new(screen: Screen, settings: &Settings) -> Self {
        Self { screen, seen: BTreeSet::new(), deprecations: settings.deprecation_warnings }
    }

    /// A warning, on stderr; one that begins with `[DEPRECATION WARNING]: ` keeps that.
    pub fn warning(&mut self, text: &str) {
        let (prefix, color, text) = match text.strip_prefix("[DEPRECATION WARNING]: ") {
            Some(_) if !self.deprecations => return,
            Some(text) => {
                self.warning(
                    "Deprecation warnings can be disabled by setting `deprecation_warnings=False` in ansible.cfg.",
                );
                ("[DEPRECATION WARNING]", Color::BrightPurple, text)
            }
            None => ("[WARNING]", Color::Purple, text.strip_prefix("[WARNING]: ").unwrap_or(text)),
        };
        self.show(prefix, text, color, true);
    }

    /// An error, on stderr or stdout.
    pub fn error(&mut self, text: &str, stderr: bool) {
        self.show("[ERROR]", text, Color::Red, stderr);
    }

    fn show(&mut self, prefix: &str, text: &str, color: Color, stderr: bool) {
        let text = text.trim();
        let mut message = format!("{prefix}: {text}");
        if text.contains('\n') {
            message.push('\n');
        }
        if !self.seen.insert(message.clone()) {
            return;
        }
        let message = self.screen.paint(&message, color);
        if stderr {
            self.screen.error_line(&message);
        } else {
            self.screen.line(&message);
        }
    }

    /// The warnings and deprecations that a result brings along.
    pub fn of_result(&mut self, result: &TaskResult) {
        let texts = |key: &str| {
            let list = result.result.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
            list.into_iter().filter_map(|item| match item {
                Value::String(text) => Some(text),
                Value::Object(map) => result::text(&map, "msg").map(str::to_owned),
                _ => None,
            })
        };
        for text in texts("warnings") {
            self.warning(&text);
        }
        for text in texts("deprecations") {
            self.warning(&format!("[DEPRECATION WARNING]: {text}"));
        }
    }
}

impl Ansible {
    /// With these settings, to this screen.
    pub fn new(settings: Settings, screen: Screen) -> Self {
        Self { messages: Messages::new(screen, &settings), settings, banner: None, check_mode: false }
    }

    fn line(&mut self, text: &str, color: Color) {
        let text = self.messages.screen.paint(text, color);
        self.messages.screen.line(&text);
    }

    fn banner(&mut self, text: &str) {
        let text = banner(text, self.messages.screen.width);
        self.messages.screen.line(&text);
    }

    fn task_banner(&mut self, task: &TaskInfo) {
        if self.banner == Some(task.id) {
            return;
        }
        self.banner = Some(task.id);
        let prefix = if task.handler { "RUNNING HANDLER" } else { "TASK" };
        let mark = self.check_mark(self.check_mode);
        self.banner(&format!("{prefix} [{}]{mark}", task.name.trim()));
        if self.settings.verbosity >= 2 {
            self.task_path(task);
        }
    }

    fn task_path(&mut self, task: &TaskInfo) {
        self.line(&format!("task path: {}", source::path_and_line(&task.place)), Color::Gray);
    }

    fn check_mark(&self, check_mode: bool) -> &'static str {
        if check_mode && self.settings.check_mode_markers { " [CHECK MODE]" } else { "" }
    }

    fn item_ended(&mut self, result: &TaskResult) {
        if is_include(&result.task) && matches!(result.status, Status::Ok | Status::Changed) {
            return;
        }
        let label = result::label(result).unwrap_or_default();
        let host = host_label(result);
        let line = match result.status {
            Status::Ok if !self.settings.display_ok_hosts => return,
            Status::Skipped if !self.settings.display_skipped_hosts => return,
            Status::Ok => format!("ok: [{host}] => (item={label})"),
            Status::Changed => format!("changed: [{host}] => (item={label})"),
            Status::Skipped => format!("skipping: [{}] => (item={label}) ", result.host),
            Status::Failed | Status::Unreachable => format!("failed: [{host}] (item={label})"),
        };
        self.task_banner(&result.task);
        self.diff(result);
        self.messages_of(result);
        self.result_line(line, result);
    }

    fn task_ended(&mut self, result: &TaskResult) {
        let host = host_label(result);
        match result.status {
            Status::Ok | Status::Changed if is_include(&result.task) => return self.task_banner(&result.task),
            Status::Ok if !self.settings.display_ok_hosts => return,
            Status::Skipped if !self.settings.display_skipped_hosts => return,
            _ => self.task_banner(&result.task),
        }
        if !result.is_loop {
            self.diff(result);
        }
        self.messages_of(result);
        match result.status {
            Status::Skipped => self.result_line(format!("skipping: [{}]", result.host), result),
            // Its items were shown one by one.
            _ if result.is_loop => {}
            Status::Ok => self.result_line(format!("ok: [{host}]"), result),
            Status::Changed => self.result_line(format!("changed: [{host}]"), result),
            Status::Failed => {
                if self.settings.verbosity < 2 && self.settings.show_task_path_on_failure {
                    self.task_path(&result.task);
                }
                self.result_line(format!("fatal: [{host}]: FAILED!"), result);
            }
            Status::Unreachable => self.result_line(format!("fatal: [{host}]: UNREACHABLE!"), result),
        }
        if result.ignored && matches!(result.status, Status::Failed | Status::Unreachable) {
            self.line("...ignoring", Color::Cyan);
        }
    }

    /// The line of a result, its values behind it where they are wanted.
    fn result_line(&mut self, mut line: String, result: &TaskResult) {
        let failed = matches!(result.status, Status::Failed | Status::Unreachable);
        if failed || is_verbose(result, self.settings.verbosity, 0) {
            line.push_str(" => ");
            line.push_str(&dump(result, &self.settings, None));
        }
        let line = line.strip_suffix('\n').unwrap_or(&line);
        let line = self.messages.screen.paint(line, color(result.status));
        if failed && self.settings.display_failed_stderr {
            self.messages.screen.error_line(&line);
        } else {
            self.messages.screen.line(&line);
        }
    }

    fn diff(&mut self, result: &TaskResult) {
        let changed = flag(&result.result, "changed").unwrap_or(result.status == Status::Changed);
        let Some(difference) = result.result.get("diff").filter(|_| changed && !censored(result)) else { return };
        let text = diff::render(difference, &self.messages.screen);
        if !text.is_empty() {
            self.messages.screen.line(text.strip_suffix('\n').unwrap_or(&text));
        }
    }

    fn messages_of(&mut self, result: &TaskResult) {
        self.messages.of_result(result);
        if matches!(result.status, Status::Failed | Status::Unreachable)
            && !result.is_loop
            && let Some(text) = error_text(result)
        {
            self.messages.error(&text, self.settings.display_failed_stderr);
        }
    }

    fn included(&mut self, file: &str, hosts: &[String], item: Option<&Value>) {
        let mut line = format!("included: {file} for {}", hosts.join(", "));
        if let Some(item) = item.filter(|item| !item.is_null()) {
            line.push_str(&format!(" => (item={})", python::str_of(item)));
        }
        self.line(&line, Color::Cyan);
    }

    fn recap(&mut self, hosts: &IndexMap<String, Counters>, stats: &BTreeMap<String, Value>) {
        self.banner("PLAY RECAP");
        let mut hosts: Vec<_> = hosts.iter().filter(|(_, counters)| **counters != Counters::default()).collect();
        hosts.sort_by_key(|(name, _)| name.as_str());
        for (name, counters) in hosts {
            let line = self.recap_line(name, counters);
            self.messages.screen.line(&line);
        }
        self.messages.screen.line("");
        if self.settings.show_custom_stats && !stats.is_empty() {
            self.custom_stats(stats);
        }
        if self.check_mode && self.settings.check_mode_markers {
            self.banner("DRY RUN");
        }
    }

    fn recap_line(&self, name: &str, counters: &Counters) -> String {
        let screen = &self.messages.screen;
        let color = match counters {
            c if c.failed + c.unreachable > 0 => Color::Red,
            c if c.changed > 0 => Color::Yellow,
            _ => Color::Green,
        };
        // Ansible pads the coloured name to 37: the escape sequences are 11 of them.
        let padding = " ".repeat(26_usize.saturating_sub(name.chars().count()));
        let mut line = format!("{}{padding} :", screen.paint(name, color));
        let numbers = [
            ("ok", counters.ok, Color::Green),
            ("changed", counters.changed, Color::Yellow),
            ("unreachable", counters.unreachable, Color::BrightRed),
            ("failed", counters.failed, Color::Red),
            ("skipped", counters.skipped, Color::Cyan),
            ("rescued", counters.rescued, Color::Green),
            ("ignored", counters.ignored, Color::Purple),
        ];
        for (lead, number, color) in numbers {
            let text = format!("{lead}={number:<4}");
            line.push(' ');
            line.push_str(&if number > 0 { screen.paint(&text, color) } else { text });
        }
        line
    }

    fn custom_stats(&mut self, stats: &BTreeMap<String, Value>) {
        self.banner("CUSTOM STATS: ");
        let compact = |value: &Value| python::dumps(value, Some(1)).replace('\n', "");
        for (host, value) in stats.iter().filter(|(host, _)| *host != "_run") {
            self.messages.screen.line(&format!("\t{host}: {}", compact(value)));
        }
        if let Some(run) = stats.get("_run") {
            self.messages.screen.line("");
            self.messages.screen.line(&format!("\tRUN: {}", compact(run)));
        }
        self.messages.screen.line("");
    }
}

impl Reporter for Ansible {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { playbook, plays, check_mode, .. } => {
                self.check_mode = *check_mode;
                if self.settings.verbosity > 1 {
                    let name = playbook.rsplit('/').next().unwrap_or(playbook);
                    self.banner(&format!("PLAYBOOK: {name}"));
                    self.messages.screen.line(&format!("{plays} plays in {playbook}"));
                }
                if self.check_mode && self.settings.check_mode_markers {
                    self.banner("DRY RUN");
                }
            }
            Event::PlayStarted { name, check_mode, .. } => {
                self.banner = None;
                self.check_mode = *check_mode;
                let mark = self.check_mark(*check_mode);
                let name = name.trim();
                self.banner(&if name.is_empty() { format!("PLAY{mark}") } else { format!("PLAY [{name}]{mark}") });
            }
            Event::NoHosts { remaining: true } => self.banner("NO MORE HOSTS LEFT"),
            Event::NoHosts { remaining: false } => self.line("skipping: no hosts matched", Color::Cyan),
            Event::TaskStarted { task, .. } => {
                if self.settings.display_ok_hosts && self.settings.display_skipped_hosts {
                    self.task_banner(task);
                }
            }
            Event::ItemEnded(result) => self.item_ended(result),
            Event::TaskEnded(result) => self.task_ended(result),
            Event::Retry { result, left } => {
                let mut line =
                    format!("FAILED - RETRYING: [{}]: {} ({left} retries left).", host_label(result), result.task.name);
                if is_verbose(result, self.settings.verbosity, 2) {
                    line.push_str(&format!("Result was: {}", dump(result, &self.settings, None)));
                }
                self.line(&line, Color::Gray);
            }
            Event::Included { file, hosts, item, .. } => self.included(file, hosts, item.as_ref()),
            Event::Notified { host, handler } => {
                if self.settings.verbosity > 1 {
                    self.line(&format!("NOTIFIED HANDLER {handler} for {host}"), Color::Blue);
                }
            }
            Event::Warning { text } => self.messages.warning(&split_rendered(text)),
            Event::Error { text } => self.messages.error(&split_rendered(text), true),
            Event::RunEnded { hosts, stats, .. } => self.recap(hosts, stats),
            Event::Connected { .. } | Event::Progress { .. } => {}
        }
    }
}

fn is_include(task: &TaskInfo) -> bool {
    matches!(result::short_action(&task.action), "include_tasks" | "include_role" | "include")
}

fn color(status: Status) -> Color {
    match status {
        Status::Ok => Color::Green,
        Status::Changed => Color::Yellow,
        Status::Skipped => Color::Cyan,
        Status::Failed => Color::Red,
        Status::Unreachable => Color::BrightRed,
    }
}

/// Whether a result asks to be shown in full: `debug` and `assert` do, unless they were stopped before they did their work.
fn always_verbose(result: &TaskResult) -> bool {
    if let Some(set) = flag(&result.result, "_ansible_verbose_always") {
        return set;
    }
    let stopped = result.status == Status::Skipped
        || result::text(&result.result, "msg").is_some_and(|msg| msg.starts_with("Task failed"));
    matches!(result::short_action(&result.task.action), "debug" | "assert") && !stopped && !result.is_loop
}

/// Whether values are shown behind a result at this verbosity.
pub fn is_verbose(result: &TaskResult, verbosity: u8, above: u8) -> bool {
    let hidden = flag(&result.result, "_ansible_verbose_override")
        .unwrap_or_else(|| matches!(result::short_action(&result.task.action), "setup" | "gather_facts"));
    (verbosity > above || always_verbose(result)) && !hidden
}

/// A result's values as text.
pub fn dump(result: &TaskResult, settings: &Settings, indent: Option<usize>) -> String {
    let mut shown = result::shown(result);
    clean(&mut shown, &result.task, result.is_loop);
    if settings.verbosity < 3 {
        shown.remove("invocation");
        shown.remove("diff");
    }
    for key in ["exception", "warnings", "deprecations", "failed", "skipped"] {
        shown.remove(key);
    }
    let yaml = settings.result_format == super::ResultFormat::Yaml;
    let pretty = settings.pretty_results.unwrap_or(always_verbose(result) || settings.verbosity > 2 || yaml);
    if yaml {
        return yaml::result(&shown, pretty);
    }
    let indent = indent.or(pretty.then_some(4)).filter(|_| settings.pretty_results != Some(false));
    python::dumps(&Value::Object(shown), indent)
}

/// `debug` shows what it was asked for and nothing else; a loop's items were shown one by one.
fn clean(shown: &mut Map<String, Value>, task: &TaskInfo, is_loop: bool) {
    if result::short_action(&task.action) == "debug" {
        if shown.contains_key("msg") {
            shown.retain(|key, _| key == "msg");
        } else {
            for key in
                ["changed", "skip_reason", "ansible_loop_var", "ansible_index_var", "ansible_loop", "failed", "skipped"]
            {
                shown.remove(key);
            }
        }
    }
    if is_loop {
        shown.remove("results");
    }
}

#[cfg(test)]
pub(super) mod tests;
