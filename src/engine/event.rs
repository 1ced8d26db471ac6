//! Everything that happens, as values: the runner only emits events, reporters only consume them.
//!
//! Their JSON form (one a line, tagged by `event`) is public: [`VERSION`] grows when a reader could be misled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::secrets::Secrets;
use crate::text::Diagnostic;

/// Version of the events' JSON form.
pub const VERSION: u32 = 1;

/// How a task (or a loop's item) ended on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing had to change.
    Ok,
    /// Something changed (or would, in check mode).
    Changed,
    /// Not run.
    Skipped,
    /// It failed.
    Failed,
    /// The host could not be reached.
    Unreachable,
}

/// A task as reporters show it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Number of the task within the run: equal numbers are the same banner.
    pub id: u64,
    /// Its name as shown, `role : ` prefix included; the module's name where it has none.
    pub name: String,
    /// The module as written.
    pub action: String,
    /// `file:line:col`.
    pub place: String,
    /// The role that it belongs to.
    pub role: Option<String>,
    /// Whether it is a handler.
    pub handler: bool,
    /// Tags, inherited ones included.
    pub tags: Vec<String>,
    /// Whether results are censored.
    pub no_log: bool,
}

/// A host's counters, as in the recap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Tasks that ran, changed ones included.
    pub ok: u32,
    /// Tasks that changed something.
    pub changed: u32,
    /// Times that the host could not be reached.
    pub unreachable: u32,
    /// Tasks that failed.
    pub failed: u32,
    /// Tasks left out.
    pub skipped: u32,
    /// Failures that a block rescued.
    pub rescued: u32,
    /// Failures that were ignored.
    pub ignored: u32,
}

/// A result of a task (or of a loop's item) on one host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskResult {
    /// The task.
    pub task: TaskInfo,
    /// The host.
    pub host: String,
    /// The host that did the work, where it was delegated.
    pub delegated: Option<String>,
    /// How it ended.
    pub status: Status,
    /// Whether the failure is ignored.
    pub ignored: bool,
    /// The item's label, for a loop's item.
    pub item: Option<Value>,
    /// Whether this is the whole loop's result, whose items were reported one by one.
    pub is_loop: bool,
    /// The result as `register` keeps it.
    pub result: Map<String, Value>,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Rendered error with place and hints, for a failure that has one.
    pub error: Option<String>,
    /// The raw parts of `error`: message, `file:line:col`, source excerpt: for reporters with a form of their own.
    pub origin: Option<String>,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// [`VERSION`].
        version: u32,
        /// The playbook as named by the user.
        playbook: String,
        /// How many plays it has, those of imported playbooks too.
        #[serde(default)]
        plays: usize,
        /// Whether nothing is to change.
        check_mode: bool,
        /// Hosts that may take part.
        hosts: usize,
    },
    /// A play begins.
    PlayStarted {
        /// Its name (its hosts pattern where it has none).
        name: String,
        /// Its hosts.
        hosts: Vec<String>,
        /// Whether it runs in check mode.
        check_mode: bool,
    },
    /// No host matches a play's pattern.
    NoHosts {
        /// Whether that's because all its hosts failed before (`NO MORE HOSTS LEFT`).
        remaining: bool,
    },
    /// A host's connection stands (emitted once a host).
    Connected {
        /// The host.
        host: String,
        /// Seconds that it took.
        seconds: f64,
    },
    /// A task begins (its banner): once for all hosts under `linear`.
    TaskStarted {
        /// The task.
        task: TaskInfo,
        /// The hosts that it starts on.
        hosts: Vec<String>,
    },
    /// A line of progress of a long task.
    Progress {
        /// The host.
        host: String,
        /// The task's id.
        task: u64,
        /// One line.
        line: String,
    },
    /// One item of a loop ended.
    ItemEnded(TaskResult),
    /// An attempt of an `until` task failed and will be repeated.
    Retry {
        /// The result so far.
        result: TaskResult,
        /// Attempts left.
        left: u32,
    },
    /// A task ended on a host.
    TaskEnded(TaskResult),
    /// A file was included for these hosts.
    Included {
        /// The task.
        task: TaskInfo,
        /// The file (or role's name).
        file: String,
        /// The hosts.
        hosts: Vec<String>,
        /// The loop's item label.
        item: Option<Value>,
    },
    /// A handler was notified.
    Notified {
        /// The host.
        host: String,
        /// The handler.
        handler: String,
    },
    /// A warning.
    Warning {
        /// The text, rendered, one or more lines.
        text: String,
    },
    /// An error outside a task's result, rendered.
    Error {
        /// The text, rendered with source lines.
        text: String,
    },
    /// The run is over.
    RunEnded {
        /// Counters of each host, in inventory order.
        hosts: IndexMap<String, Counters>,
        /// Custom statistics (`set_stats`): by host, `_run` for the whole.
        stats: BTreeMap<String, Value>,
        /// Wall time in seconds.
        seconds: f64,
        /// Round trips to all hosts.
        round_trips: u64,
        /// Whether it was interrupted.
        interrupted: bool,
    },
}

/// Consumes events.
pub trait Reporter: Send {
    /// Something happened.
    fn event(&mut self, event: &Event);
    /// Writes what is still held back; nothing follows.
    fn finish(&mut self) {}
}

/// Where events are emitted: redacts secret values, then hands on to all reporters, in order.
#[derive(Clone)]
pub struct Events {
    reporters: Arc<Mutex<Vec<Box<dyn Reporter>>>>,
    secrets: Secrets,
}

impl Events {
    /// Hands events to these reporters.
    pub fn new(reporters: Vec<Box<dyn Reporter>>, secrets: Secrets) -> Self {
        Self { reporters: Arc::new(Mutex::new(reporters)), secrets }
    }

    /// Adds one more reporter.
    pub fn add(&self, reporter: Box<dyn Reporter>) {
        self.reporters.lock().unwrap_or_else(PoisonError::into_inner).push(reporter);
    }

    /// The secrets that are redacted.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Emits an event.
    pub fn emit(&self, event: Event) {
        let event = self.secrets.mask_event(event);
        for reporter in self.reporters.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            reporter.event(&event);
        }
    }

    /// Emits a warning.
    pub fn warning(&self, text: impl Into<String>) {
        self.emit(Event::Warning { text: text.into() });
    }

    /// Emits a diagnostic as a warning or an error.
    pub fn diagnostic(&self, diagnostic: &Diagnostic) {
        let text = diagnostic.to_string();
        self.emit(match diagnostic.level {
            crate::text::Level::Error => Event::Error { text },
            crate::text::Level::Warning => Event::Warning { text },
        });
    }

    /// Ends all reporters.
    pub fn finish(&self) {
        for reporter in self.reporters.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            reporter.finish();
        }
    }
}
