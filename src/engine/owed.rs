//! Handlers that a run owes a host: those that were notified, until they have run.
//!
//! A task that notifies has its names written to the host's journal before it changes something; they are struck out once its
//! handlers have run. What a run that was killed, or in which the host failed, leaves there is taken up by the next run of the play.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::host::{Host, Standing};
use super::play::PlayRun;
use super::sequence::is_never;
use super::settings::Settings;
use super::vars::TaskScope;
use crate::host::script::hex;
use crate::language::Task;

/// What lines of a play begin with: handlers of the same name in another play or playbook are not its own.
pub(super) fn mark(playbook: &str, play: &str) -> String {
    let file = Path::new(playbook).file_name().unwrap_or_default().to_string_lossy();
    hex(&Sha256::digest(format!("{file}\n{play}"))[..8])
}

impl PlayRun {
    /// Lines for the journal, should a task change something. A name that can't be told beforehand is left out.
    pub(super) fn owes(&self, task: &Task, scope: &TaskScope, settings: &Settings) -> Vec<String> {
        let never = task.changed_when.as_deref().is_some_and(is_never);
        if !self.run.options.owed_handlers || settings.check_mode || settings.delegate_to.is_some() || never {
            return vec![];
        }
        let names = task.notifies().filter_map(|node| self.notified(node, scope).ok()).flatten();
        names.filter(|name| !name.contains('\n')).map(|name| format!("{} {name}", self.mark)).collect()
    }

    /// Notifies what earlier runs of this play owe a host.
    pub(super) async fn take_owed(&self, host: &Arc<Host>) {
        for (line, _) in self.owed(host).await.into_iter().filter(|(_, earlier)| *earlier) {
            let name = self.name_in(&line);
            for hit in self.called(name, host, None) {
                if host.state().notified.insert(hit) {
                    self.run.events.warning(format!(
                        "{}: the handler `{name}` is owed by an earlier run, which did not come to it",
                        host.name
                    ));
                }
            }
        }
    }

    /// Strikes out what a host is no longer owed: all but the handlers that were notified and have not run.
    pub(super) async fn strike_owed(&self, host: &Arc<Host>) {
        if self.check_mode || self.run.is_over() || host.state().standing == Standing::Unreachable {
            return;
        }
        let notified = host.state().notified.clone();
        let mut lines: BTreeSet<String> = self.owed(host).await.into_keys().collect();
        lines.retain(|line| !notified.iter().any(|index| self.answers(*index, self.name_in(line), host)));
        for session in self.run.sessions.of(&host.name).await {
            if let Err(lost) = session.strike(&lines).await {
                self.run
                    .events
                    .warning(format!("{}: the journal of owed handlers could not be written: {lost}", host.name));
            }
        }
    }

    /// The handler's name in a line.
    fn name_in<'a>(&self, line: &'a str) -> &'a str {
        &line[self.mark.len() + 1..]
    }

    /// This play's lines, and whether an earlier run wrote them; none where the run keeps no journal.
    async fn owed(&self, host: &Arc<Host>) -> BTreeMap<String, bool> {
        if !self.run.options.owed_handlers {
            return BTreeMap::new();
        }
        let sessions = self.run.sessions.of(&host.name).await;
        let lines = sessions.iter().flat_map(crate::host::Session::owed);
        lines.filter(|(line, _)| line.strip_prefix(&self.mark).is_some_and(|rest| rest.starts_with(' '))).collect()
    }
}
