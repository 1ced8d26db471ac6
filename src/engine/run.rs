//! A run: what all its plays share, and its beginning and end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::connection::Sessions;
use super::event::{Counters, Event, Events, VERSION};
use super::host::{Host, Standing};
use super::interrupt::Interrupt;
use super::jobs::Jobs;
use super::options::{Ended, Options, Setup};
use super::play;
use super::vars::Variables;
use crate::language::playbook::directory;
use crate::language::template::Templar;
use crate::language::{Config, Loader, Playbook};
use crate::text::{Diagnostic, render_diagnostic};

/// What all plays of a run share.
pub(super) struct Run {
    pub loader: Arc<Loader>,
    pub templar: Templar,
    pub config: Arc<Config>,
    pub options: Options,
    pub events: Events,
    pub interrupt: Interrupt,
    pub vars: Arc<Variables>,
    pub sessions: Sessions,
    pub jobs: Jobs,
    counters: Mutex<IndexMap<String, Counters>>,
    /// Custom statistics.
    pub stats: Mutex<BTreeMap<String, Value>>,
    ids: AtomicU64,
    /// Whether tasks are still skipped until `--start-at-task`'s.
    pub seeking: AtomicBool,
    /// What ended the run.
    pub error: Mutex<Option<Diagnostic>>,
}

impl Run {
    /// A new task's number.
    pub(super) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Changes a host's counters.
    pub(super) fn count(&self, host: &Host, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        change(counters.entry(host.name.to_string()).or_default());
    }

    /// How many tasks a host went through without skipping them.
    pub(super) fn done(&self, host: &Host) -> u32 {
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.get(&*host.name).map_or(0, |c| c.ok + c.failed + c.rescued)
    }

    /// Ends the run with an error.
    pub(super) fn fail(&self, error: Diagnostic) {
        self.events.emit(Event::Error { text: render_diagnostic(&error, false) });
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    /// Whether an error or a signal ended the run.
    pub(super) fn is_over(&self) -> bool {
        self.interrupt.signal().is_some() || self.error.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// Runs playbooks one after another.
pub async fn run(setup: Setup, playbooks: Vec<Playbook>) -> Ended {
    let began = Instant::now();
    let magic = magic(&setup);
    let Setup { inventory, loader, templar, vault, config, options, events, interrupt } = setup;
    let hosts = inventory.hosts().len();
    let vars =
        Arc::new(Variables::new(options.extra_vars.clone(), inventory, vault, magic, config.inject_facts_as_vars));
    let seeking = AtomicBool::new(options.start_at_task.is_some());
    let run = Arc::new(Run {
        loader,
        templar,
        config,
        options,
        events,
        interrupt,
        vars,
        sessions: Sessions::default(),
        jobs: Jobs::default(),
        counters: Mutex::default(),
        stats: Mutex::default(),
        ids: AtomicU64::new(1),
        seeking,
        error: Mutex::default(),
    });
    for playbook in playbooks {
        run.events.emit(Event::RunStarted {
            version: VERSION,
            playbook: playbook.path.display().to_string(),
            plays: playbook.plays.len(),
            check_mode: run.options.check_mode,
            hosts,
        });
        let dir = directory(&playbook.path);
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        for play in playbook.plays {
            let stop = tokio::select! {
                stop = play::run(&run, Arc::new(play), &dir) => stop,
                () = run.interrupt.wait() => true,
            };
            if stop || run.is_over() {
                break;
            }
        }
        if run.is_over() {
            break;
        }
    }
    end(&run, began).await
}

async fn end(run: &Run, began: Instant) -> Ended {
    let round_trips = run.sessions.close().await;
    let hosts = run.counters.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let stats = run.stats.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let interrupted = run.interrupt.signal();
    run.events.emit(Event::RunEnded {
        hosts: hosts.clone(),
        stats,
        seconds: began.elapsed().as_secs_f64(),
        round_trips,
        interrupted: interrupted.is_some(),
    });
    let standing = |wanted| hosts.keys().any(|name| run.vars.host(name).state().standing == wanted);
    Ended {
        // What `clear_host_errors` took back is in the recap alone.
        failed: standing(Standing::Failed)
            || hosts.iter().any(|(name, c)| c.failed > 0 && !run.vars.host(name).state().cleared),
        unreachable: standing(Standing::Unreachable),
        error: run.error.lock().unwrap_or_else(PoisonError::into_inner).take(),
        interrupted,
        hosts,
    }
}

fn magic(setup: &Setup) -> Map<String, Value> {
    let options = &setup.options;
    let mut magic = Map::new();
    let mut put = |name: &str, value: Value| magic.insert(name.to_owned(), value);
    put("ansible_check_mode", options.check_mode.into());
    put("ansible_diff_mode", options.diff.into());
    put("ansible_forks", options.forks.into());
    put("ansible_verbosity", options.verbosity.into());
    let tags = if options.tags.is_empty() { vec!["all".to_owned()] } else { options.tags.clone() };
    put("ansible_run_tags", tags.into());
    put("ansible_skip_tags", options.skip_tags.clone().into());
    if let Some(limit) = &options.limit {
        put("ansible_limit", limit.clone().into());
    }
    put("ansible_inventory_sources", setup.inventory.sources().into());
    if let Some(file) = &setup.config.file {
        put("ansible_config_file", file.display().to_string().into());
    }
    magic
}
