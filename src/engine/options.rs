//! What a run is given, and how it ended.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::event::{Counters, Events};
use super::interrupt::Interrupt;
use crate::host::Secret;
use crate::language::template::Templar;
use crate::language::{Config, Inventory, Loader, Vault};
use crate::text::{Diagnostic, Node};

/// What the user asked for on the command line (or in the project file).
#[derive(Debug, Clone)]
pub struct Options {
    /// `-e`: variables above all others.
    pub extra_vars: IndexMap<String, Node>,
    /// `-l`: a host pattern that limits every play.
    pub limit: Option<String>,
    /// `-t`; empty: all.
    pub tags: Vec<String>,
    /// `--skip-tags`.
    pub skip_tags: Vec<String>,
    /// Whether nothing may change.
    pub check_mode: bool,
    /// Whether diffs are shown.
    pub diff: bool,
    /// Hosts at a time.
    pub forks: usize,
    /// `-v`s.
    pub verbosity: u8,
    /// Name (or glob) of the task to start at.
    pub start_at_task: Option<String>,
    /// Whether handlers run on hosts that failed.
    pub force_handlers: bool,
    /// Whether hosts keep a journal of the handlers that they are owed (Ansible forgets them).
    pub owed_handlers: bool,
    /// Login user where no variable names one.
    pub remote_user: Option<String>,
    /// Private key where no variable names one.
    pub private_key: Option<PathBuf>,
    /// Login password where no variable names one.
    pub password: Option<Secret>,
    /// Connection (`ssh`, `local`) where no variable names one.
    pub connection: Option<String>,
    /// Time that a login may take.
    pub timeout: Duration,
    /// More arguments for ssh.
    pub ssh_args: Vec<String>,
    /// Whether tasks run as another user.
    pub r#become: bool,
    /// How (`sudo`, `su`, `doas`).
    pub become_method: Option<String>,
    /// As whom.
    pub become_user: Option<String>,
    /// The password for it.
    pub become_password: Option<Secret>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            extra_vars: IndexMap::new(),
            limit: None,
            tags: vec![],
            skip_tags: vec![],
            check_mode: false,
            diff: false,
            forks: 5,
            verbosity: 0,
            start_at_task: None,
            force_handlers: false,
            owed_handlers: true,
            remote_user: None,
            private_key: None,
            password: None,
            connection: None,
            timeout: Duration::from_secs(10),
            ssh_args: vec![],
            r#become: false,
            become_method: None,
            become_user: None,
            become_password: None,
        }
    }
}

/// Everything that a run needs.
pub struct Setup {
    /// Hosts, groups and their variables.
    pub inventory: Inventory,
    /// Reads playbooks, roles and variable files.
    pub loader: Arc<Loader>,
    /// Renders templates.
    pub templar: Templar,
    /// Decrypts.
    pub vault: Arc<Vault>,
    /// `ansible.cfg` and `ANSIBLE_*`.
    pub config: Arc<Config>,
    /// The command line.
    pub options: Options,
    /// Where events go.
    pub events: Events,
    /// Ends the run early.
    pub interrupt: Interrupt,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Counters of each host.
    pub hosts: IndexMap<String, Counters>,
    /// Whether a task failed on some host (and nothing rescued it).
    pub failed: bool,
    /// Whether some host could not be reached.
    pub unreachable: bool,
    /// What ended the run besides tasks and hosts (a template in `hosts:`, a missing handler).
    pub error: Option<Diagnostic>,
    /// The signal that interrupted it.
    pub interrupted: Option<i32>,
}
