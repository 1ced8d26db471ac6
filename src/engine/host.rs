//! A host of the run: its variables, its state, the handlers that it owes.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::text::Node;

/// Whether a host still takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It does.
    Active,
    /// A task failed on it.
    Failed,
    /// It can't be reached.
    Unreachable,
    /// `meta: end_host`, `end_play`.
    Ended,
}

/// A host's variables, by origin.
#[derive(Debug, Default)]
pub(super) struct HostVars {
    /// From the inventory's groups.
    pub groups: Arc<IndexMap<String, Node>>,
    /// From the inventory, of the host itself.
    pub inventory: Arc<IndexMap<String, Node>>,
    /// Facts without the `ansible_` prefix.
    pub facts: Arc<Map<String, Value>>,
    /// Facts by the names that they have as variables: which entry of `facts`.
    pub injected: IndexMap<String, String>,
    /// From the play's `vars_files`.
    pub files: IndexMap<String, Node>,
    /// From `include_vars`.
    pub included: IndexMap<String, Node>,
    /// From `set_fact` and `register`.
    pub set: IndexMap<String, Value>,
}

/// A host.
#[derive(Debug)]
pub(super) struct Host {
    /// Its name in the inventory.
    pub name: Arc<str>,
    /// Its variables.
    pub vars: RwLock<HostVars>,
    state: Mutex<HostState>,
}

/// What changes while a play runs.
#[derive(Debug)]
pub(super) struct HostState {
    /// Whether it takes part.
    pub standing: Standing,
    /// Indexes of handlers that were notified and not run.
    pub notified: BTreeSet<usize>,
    /// Keys of roles that ran.
    pub roles: HashSet<String>,
    /// Whether `clear_host_errors` took back a failure for which an `always` ran.
    pub cleared: bool,
    /// The role that `end_role` left.
    pub left_role: Option<String>,
    /// Whether its facts were gathered in this run.
    pub gathered: bool,
}

impl Host {
    /// A host without variables.
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            vars: RwLock::default(),
            state: Mutex::new(HostState {
                standing: Standing::Active,
                notified: BTreeSet::new(),
                roles: HashSet::new(),
                cleared: false,
                left_role: None,
                gathered: false,
            }),
        }
    }

    /// Its state.
    pub(super) fn state(&self) -> MutexGuard<'_, HostState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it takes part.
    pub(super) fn is_active(&self) -> bool {
        self.state().standing == Standing::Active
    }

    /// Sets a variable as `set_fact` and `register` do.
    pub(super) fn set(&self, name: &str, value: Value) {
        self.write().set.insert(name.to_owned(), value);
    }

    /// Takes over facts: `prefixed` ones (from `setup`) are variables as `ansible_NAME`, others as they are called.
    pub(super) fn add_facts(&self, facts: &Map<String, Value>, prefixed: bool) {
        let mut vars = self.write();
        let mut all = (*vars.facts).clone();
        for (name, value) in facts {
            let short = name.strip_prefix("ansible_").filter(|s| !s.is_empty()).unwrap_or(name);
            let variable = if prefixed && short == name { format!("ansible_{name}") } else { name.clone() };
            vars.injected.insert(variable, short.to_owned());
            all.insert(short.to_owned(), value.clone());
        }
        vars.facts = Arc::new(all);
    }

    /// Forgets all facts.
    pub(super) fn clear_facts(&self) {
        let mut vars = self.write();
        vars.facts = Arc::default();
        vars.injected.clear();
        drop(vars);
        self.state().gathered = false;
    }

    /// Its variables, to read.
    pub(super) fn read(&self) -> std::sync::RwLockReadGuard<'_, HostVars> {
        self.vars.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its variables, to change.
    pub(super) fn write(&self) -> std::sync::RwLockWriteGuard<'_, HostVars> {
        self.vars.write().unwrap_or_else(PoisonError::into_inner)
    }
}
