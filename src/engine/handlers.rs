//! Handlers: who is notified under which name, and when they run.

use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::host::{Host, Standing};
use super::play::{PlayRun, Section};
use super::task::text_of;
use super::vars::TaskScope;
use crate::language::{Item, Task};
use crate::text::{Diagnostic, Node};

/// A handler of the play.
pub(super) struct Handler {
    /// Its task.
    pub task: Arc<Task>,
}

impl Handler {
    /// Adds the handlers among items; those of blocks are handlers by themselves. What is already there is not added again.
    pub(super) fn collect(items: &[Item], into: &mut Vec<Self>) {
        for item in items {
            match item {
                Item::Task(task) => {
                    if !into.iter().any(|h| h.task.place == task.place && h.task.place.is_real()) {
                        into.push(Self { task: Arc::clone(task) });
                    }
                }
                Item::Block(block) => Self::collect(&block.tasks, into),
            }
        }
    }
}

impl PlayRun {
    /// Handlers that a name means, for a task of this role.
    pub(super) fn called(&self, name: &str, host: &Arc<Host>, role: Option<&str>) -> Vec<usize> {
        let handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hits: Vec<usize> = vec![];
        // Of several with the same name the last counts; a handler of the task's own role before others.
        let named: Vec<usize> =
            (0..handlers.len()).filter(|i| self.is_called(&handlers[*i].task, name, host)).collect();
        let own = named
            .iter()
            .rev()
            .find(|i| role.is_some() && handlers[**i].task.frame.role.as_ref().map(|r| r.name.as_str()) == role);
        if let Some(index) = own.or(named.last()) {
            hits.push(*index);
        }
        hits.extend((0..handlers.len()).filter(|i| self.listens(&handlers[*i].task, name, host)));
        hits
    }

    /// The names in an entry of `notify`.
    pub(super) fn notified(&self, node: &Node, scope: &TaskScope) -> Result<Vec<String>, Diagnostic> {
        Ok(match self.run.templar.value(node, &scope.scope())? {
            Value::Array(names) => names.iter().map(text_of).collect(),
            name => vec![text_of(&name)],
        })
    }

    /// Notes that a name was notified on a host.
    pub(super) fn notify_name(&self, name: &str, host: &Arc<Host>, node: &Node, task: &Task) {
        let hits = self.called(name, host, task.frame.role.as_ref().map(|r| r.name.as_str()));
        if hits.is_empty() {
            let error = Diagnostic::error(
                format!(
                    "The requested handler '{name}' was not found in either the main handlers list nor in the listening handlers list"
                ),
                &node.place,
            );
            if self.run.config.error_on_missing_handler {
                self.run.fail(error);
            } else {
                self.run.events.warning(error.message);
            }
            return;
        }
        let mut state = host.state();
        for hit in hits {
            if state.notified.insert(hit) {
                self.run
                    .events
                    .emit(super::event::Event::Notified { host: host.name.to_string(), handler: name.to_owned() });
            }
        }
    }

    /// Whether a handler of this play answers to a name.
    pub(super) fn answers(&self, index: usize, name: &str, host: &Arc<Host>) -> bool {
        let handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
        handlers.get(index).is_some_and(|h| self.is_called(&h.task, name, host) || self.listens(&h.task, name, host))
    }

    fn listens(&self, task: &Task, name: &str, host: &Arc<Host>) -> bool {
        task.listen.iter().any(|topic| self.topic(topic, task, host).iter().any(|t| t == name))
    }

    fn is_called(&self, task: &Task, name: &str, host: &Arc<Host>) -> bool {
        let Some(own) = &task.frame.keywords.name else { return false };
        let text = if own.is_template() {
            let scope = self.scope(task, host).scope();
            match self.run.templar.value(own, &scope) {
                Ok(value) => text_of(&value),
                Err(_) => return false,
            }
        } else {
            own.key_text()
        };
        text == name || task.frame.role.as_ref().is_some_and(|role| format!("{} : {text}", role.name) == name)
    }

    fn topic(&self, node: &Node, task: &Task, host: &Arc<Host>) -> Vec<String> {
        let value = if node.is_template() {
            self.run.templar.value(node, &self.scope(task, host).scope()).unwrap_or_default()
        } else {
            node.to_json()
        };
        match value {
            Value::Array(items) => items.iter().map(text_of).collect(),
            other => vec![text_of(&other)],
        }
    }

    /// Runs handlers that were notified, in the order of their definition, until none is left.
    pub(super) async fn flush_handlers(self: &Arc<Self>, hosts: &[Arc<Host>]) {
        let forced: Vec<Arc<Host>> = if self.force_handlers {
            hosts.iter().filter(|h| h.state().standing == Standing::Failed).cloned().collect()
        } else {
            vec![]
        };
        for host in &forced {
            host.state().standing = Standing::Active;
        }
        for host in hosts.iter().filter(|host| host.is_active()) {
            self.take_owed(host).await;
        }
        let section = Section { rescued: false, handler: true };
        loop {
            let mut ran = false;
            let mut index = 0;
            loop {
                let task = {
                    let handlers = self.handlers.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(handler) = handlers.get(index) else { break };
                    Arc::clone(&handler.task)
                };
                let notified: Vec<Arc<Host>> =
                    hosts.iter().filter(|h| h.is_active() && h.state().notified.remove(&index)).cloned().collect();
                if !notified.is_empty() && !self.run.is_over() {
                    ran = true;
                    Box::pin(self.task(&task, &notified, section)).await;
                }
                index += 1;
            }
            if !ran {
                break;
            }
        }
        for host in hosts.iter().filter(|host| host.is_active()) {
            self.strike_owed(host).await;
        }
        for host in forced {
            let mut state = host.state();
            if state.standing == Standing::Active {
                state.standing = Standing::Failed;
            }
        }
    }
}
