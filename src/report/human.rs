//! For people at a terminal: live lines of what runs where, results without news folded, changes and failures in full, and at the
//! end what changed, how long it took and how many round trips.

use std::collections::BTreeSet;
use std::time::Duration;

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::plain::{count, debug_text, details, duration, labelled, word};
use super::result::{self, host_label, warnings};
use super::screen::Color;
use super::{Screen, Settings};
use crate::engine::event::{Counters, Event, Reporter, Status, TaskInfo, TaskResult};

/// Hosts with a live line of their own; with more there is one line for all.
const LIVE_HOSTS: usize = 12;

/// The reporter.
pub struct Human {
    settings: Settings,
    screen: Screen,
    live: Option<MultiProgress>,
    bars: IndexMap<String, ProgressBar>,
    tasks: IndexMap<u64, Running>,
    folded: Vec<String>,
    changed: IndexMap<String, Vec<String>>,
    warnings: BTreeSet<String>,
    check_mode: bool,
}

/// A task whose line isn't written yet.
struct Running {
    task: TaskInfo,
    expected: usize,
    results: Vec<TaskResult>,
}

impl Human {
    /// With these settings, to this screen.
    pub fn new(settings: Settings, screen: Screen) -> Self {
        let live = screen.live.then(MultiProgress::new);
        Self {
            settings,
            screen,
            live,
            bars: IndexMap::new(),
            tasks: IndexMap::new(),
            folded: vec![],
            changed: IndexMap::new(),
            warnings: BTreeSet::new(),
            check_mode: false,
        }
    }

    fn line(&mut self, text: &str) {
        match &self.live {
            Some(live) => live.suspend(|| self.screen.line(text)),
            None => self.screen.line(text),
        }
    }

    fn error_line(&mut self, text: &str) {
        match &self.live {
            Some(live) => live.suspend(|| self.screen.error_line(text)),
            None => self.screen.error_line(text),
        }
    }

    /// The live line of a host says what it does now; none: nothing.
    fn now(&mut self, host: &str, what: Option<&str>) {
        let Some(live) = &self.live else { return };
        let shared = self.bars.len() >= LIVE_HOSTS && !self.bars.contains_key(host);
        let key = if shared { String::new() } else { host.to_owned() };
        let Some(what) = what else {
            if let Some(bar) = self.bars.get(&key) {
                bar.set_message("");
            }
            return;
        };
        let bar = self.bars.entry(key).or_insert_with(|| {
            let bar = live.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(if shared { "…".to_owned() } else { host.to_owned() });
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.set_message(what.to_owned());
    }

    fn task_started(&mut self, task: &TaskInfo, hosts: &[String]) {
        for host in hosts {
            self.now(host, Some(&task.name));
        }
        let fresh = Running { task: task.clone(), expected: 0, results: vec![] };
        self.tasks.entry(task.id).or_insert(fresh).expected += hosts.len();
    }

    fn task_ended(&mut self, outcome: &TaskResult) {
        self.now(&outcome.host, None);
        let id = outcome.task.id;
        let running = self.tasks.entry(id).or_insert_with(|| Running {
            task: outcome.task.clone(),
            expected: 1,
            results: vec![],
        });
        running.results.push(outcome.clone());
        if running.results.len() >= running.expected
            && let Some(done) = self.tasks.shift_remove(&id)
        {
            self.write_task(&done);
        }
    }

    /// All lines that were held back.
    fn flush(&mut self) {
        for running in std::mem::take(&mut self.tasks).into_values() {
            if !running.results.is_empty() {
                self.write_task(&running);
            }
        }
        self.write_folded();
    }

    fn write_task(&mut self, done: &Running) {
        let hosts = |status: Status| {
            done.results.iter().filter(|r| r.status == status && !r.ignored).map(host_label).collect::<Vec<_>>()
        };
        let changed = hosts(Status::Changed);
        let speaks = done
            .results
            .iter()
            .any(|r| result::short_action(&r.task.action) == "debug" && !r.is_loop && r.status == Status::Ok);
        let quiet = changed.is_empty() && done.results.iter().all(|r| matches!(r.status, Status::Ok | Status::Skipped));
        if quiet && !speaks && self.settings.verbosity == 0 {
            if done.results.iter().any(|r| r.status == Status::Ok) {
                self.folded.push(done.task.name.clone());
            }
            return;
        }
        self.write_folded();
        if !changed.is_empty() {
            self.changed.insert(done.task.name.clone(), changed.clone());
        }
        let (mark, color) = mark(&done.results);
        let seconds = done.results.iter().map(|r| r.seconds).fold(0.0, f64::max);
        let time = if seconds >= 0.5 { format!("  {}", duration(seconds)) } else { String::new() };
        let verb = if self.check_mode { "would change" } else { "changed" };
        let mut notes = vec![];
        if !changed.is_empty() {
            notes.push(format!("{verb}: {}", list(&changed)));
        }
        for (status, what) in [(Status::Failed, "failed"), (Status::Unreachable, "unreachable")] {
            let hosts = hosts(status);
            if !hosts.is_empty() {
                notes.push(format!("{what}: {}", list(&hosts)));
            }
        }
        let ignored = done.results.iter().filter(|r| r.ignored).count();
        if ignored > 0 {
            notes.push(format!("{} ignored", count(ignored, "failure")));
        }
        let line = format!(
            "  {} {}  {}{}",
            self.screen.paint(mark, color),
            done.task.name,
            self.screen.paint(&notes.join("; "), color),
            self.screen.paint(&time, Color::Gray)
        );
        self.line(line.trim_end());
        for outcome in done.results.iter().filter(|r| !r.is_loop) {
            self.write_details(outcome, done.results.len() > 1);
        }
    }

    fn write_details(&mut self, outcome: &TaskResult, name_host: bool) {
        let failed = matches!(outcome.status, Status::Failed | Status::Unreachable);
        let lines = if result::short_action(&outcome.task.action) == "debug" && outcome.status == Status::Ok {
            debug_text(outcome).lines().map(str::to_owned).collect()
        } else {
            details(outcome, self.settings.verbosity, &self.screen)
        };
        if lines.is_empty() {
            return;
        }
        let mut head = if name_host || outcome.item.is_some() { host_label(outcome) } else { String::new() };
        if let Some(label) = result::label(outcome) {
            head.push_str(&format!(" [{label}]"));
        }
        if !head.is_empty() {
            let head = self.screen.paint(&format!("      {head}:"), if failed { Color::Red } else { Color::Gray });
            self.line(&head);
        }
        for line in lines {
            self.line(&format!("      {line}"));
        }
    }

    fn write_folded(&mut self) {
        let names = std::mem::take(&mut self.folded);
        let text = match names.as_slice() {
            [] => return,
            [one] => format!("  ✓ {one}"),
            [first, .., last] => format!("  ✓ {} in order, {first} … {last}", count(names.len(), "task")),
        };
        let text = self.screen.paint(&text, Color::Green);
        self.line(&text);
    }

    /// Tells a warning, once a run.
    fn warn(&mut self, text: &str) {
        if self.warnings.insert(text.to_owned()) {
            let text = self.screen.paint(&labelled("warning", text), Color::Purple);
            self.error_line(&text);
        }
    }

    fn item_ended(&mut self, outcome: &TaskResult) {
        let label = result::label(outcome).unwrap_or_default();
        let now = format!("{} [{label}]", outcome.task.name);
        self.now(&outcome.host, Some(&now));
        let speaks = result::short_action(&outcome.task.action) == "debug" && outcome.status == Status::Ok;
        let news = matches!(outcome.status, Status::Changed | Status::Failed | Status::Unreachable);
        if news || speaks || self.settings.verbosity > 0 {
            self.write_folded();
            let (mark, color) = mark(std::slice::from_ref(outcome));
            let mark = self.screen.paint(mark, color);
            let line = format!(
                "    {mark} {} [{label}]  {}: {}",
                outcome.task.name,
                word(outcome.status),
                host_label(outcome)
            );
            self.line(&line);
            let plain = TaskResult { item: None, ..outcome.clone() };
            self.write_details(&plain, false);
        }
    }

    fn run_ended(&mut self, hosts: &IndexMap<String, Counters>, seconds: f64, round_trips: u64, interrupted: bool) {
        self.flush();
        self.clear();
        self.line("");
        let width = hosts.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, c) in hosts {
            let parts = [
                (c.failed, "failed", Color::Red),
                (c.unreachable, "unreachable", Color::BrightRed),
                (c.changed, if self.check_mode { "would change" } else { "changed" }, Color::Yellow),
                (c.ok - c.changed.min(c.ok), "in order", Color::Green),
                (c.skipped, "skipped", Color::Cyan),
                (c.rescued, "rescued", Color::Purple),
                (c.ignored, "ignored", Color::Purple),
            ];
            let parts: Vec<String> = parts
                .iter()
                .filter(|(number, ..)| *number > 0)
                .map(|(number, what, color)| self.screen.paint(&format!("{number} {what}"), *color))
                .collect();
            self.line(&format!("  {name:<width$}  {}", parts.join(", ")));
        }
        let changed = std::mem::take(&mut self.changed);
        if !changed.is_empty() {
            self.line(if self.check_mode { "  would change:" } else { "  changed:" });
            for (name, hosts) in &changed {
                self.line(&format!("    {name}  ({})", list(hosts)));
            }
        }
        let end = if interrupted { "interrupted" } else { "done" };
        let trips = count(usize::try_from(round_trips).unwrap_or(usize::MAX), "round trip");
        self.line(&format!("  {end} in {}, {trips}", duration(seconds)));
    }

    fn clear(&mut self) {
        for (_, bar) in std::mem::take(&mut self.bars) {
            bar.finish_and_clear();
        }
    }
}

/// A sign for the worst of some results.
fn mark(results: &[TaskResult]) -> (&'static str, Color) {
    let any = |status: Status| results.iter().any(|r| r.status == status && !r.ignored);
    if any(Status::Unreachable) {
        ("✗", Color::BrightRed)
    } else if any(Status::Failed) {
        ("✗", Color::Red)
    } else if results.iter().any(|r| r.ignored) {
        ("!", Color::Purple)
    } else if any(Status::Changed) {
        ("~", Color::Yellow)
    } else if any(Status::Ok) {
        ("✓", Color::Green)
    } else {
        ("-", Color::Cyan)
    }
}

/// Some names, the rest as a number.
fn list(names: &[String]) -> String {
    if names.len() <= 6 {
        return names.join(", ");
    }
    format!("{} and {} more", names[..5].join(", "), names.len() - 5)
}

impl Reporter for Human {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { playbook, check_mode, hosts, .. } => {
                self.check_mode = *check_mode;
                let mode = if *check_mode { ", check mode: nothing is changed" } else { "" };
                let text = format!("{} on {}{mode}", playbook, count(*hosts, "host"));
                let text = self.screen.paint(&text, Color::Bold);
                self.line(&text);
            }
            Event::PlayStarted { name, hosts, .. } => {
                self.flush();
                let text = self.screen.paint(&format!("{name}  ({})", list(hosts)), Color::Bold);
                self.line(&text);
            }
            Event::NoHosts { remaining } => {
                self.flush();
                let text = if *remaining { "no host is left: all have failed" } else { "no host matches" };
                let text = self.screen.paint(&format!("  - {text}"), Color::Cyan);
                self.line(&text);
            }
            Event::Connected { host, seconds } => {
                if self.settings.verbosity > 0 {
                    self.line(&format!("  · {host} connected in {}", duration(*seconds)));
                }
            }
            Event::TaskStarted { task, hosts } => self.task_started(task, hosts),
            Event::Progress { host, line, .. } => {
                if self.live.is_some() {
                    self.now(host, Some(line));
                } else {
                    self.error_line(&format!("  · {host}: {line}"));
                }
            }
            Event::ItemEnded(outcome) => {
                warnings(outcome).for_each(|text| self.warn(text));
                self.item_ended(outcome);
            }
            Event::TaskEnded(outcome) => {
                warnings(outcome).for_each(|text| self.warn(text));
                self.task_ended(outcome);
            }
            Event::Retry { result: outcome, left } => {
                let what = format!("{}: tried again, {left} left", outcome.task.name);
                self.now(&outcome.host, Some(&what));
            }
            Event::Included { .. } | Event::Notified { .. } => {}
            Event::Warning { text } => self.warn(text),
            Event::Error { text } => {
                let text = self.screen.paint(&labelled("error", text), Color::Red);
                self.error_line(&text);
            }
            Event::RunEnded { hosts, seconds, round_trips, interrupted, .. } => {
                self.run_ended(hosts, *seconds, *round_trips, *interrupted);
            }
        }
    }

    fn finish(&mut self) {
        self.flush();
        self.clear();
    }
}
