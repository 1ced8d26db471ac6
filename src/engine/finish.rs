//! What follows from a task's end on a host: facts, the report, counts, variables, handlers, the host's standing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::event::{Event, Status, TaskInfo, TaskResult};
use super::host::{Host, Standing};
use super::play::{PlayRun, Section};
use super::result::{TaskEnd, truthy};
use super::settings::Settings;
use super::task::{Ran, is_meta};
use super::vars::TaskScope;
use crate::language::Task;
use crate::text::{Node, render_diagnostic};

impl PlayRun {
    /// Keeps the facts that a module found.
    pub(super) fn take_facts(
        &self,
        module: &str,
        end: &mut TaskEnd,
        host: &Arc<Host>,
        worker: &Arc<Host>,
        settings: &Settings,
    ) {
        let Some(Value::Object(facts)) = end.result.get_mut("ansible_facts") else { return };
        if matches!(module, "setup" | "gather_facts") {
            let prefixed = std::mem::take(facts).into_iter().map(|(name, value)| {
                (if name.starts_with("ansible_") { name } else { format!("ansible_{name}") }, value)
            });
            *facts = prefixed.collect();
        }
        let owner = if settings.delegate_facts { worker } else { host };
        owner.add_facts(facts, false);
        if matches!(module, "setup" | "gather_facts") {
            owner.state().gathered = true;
        }
    }

    /// A result for reporters.
    pub(super) fn report(
        &self,
        info: &TaskInfo,
        host: &Arc<Host>,
        ran: &Ran,
        item: Option<Value>,
        took: Duration,
    ) -> TaskResult {
        let end = &ran.end;
        let status = if end.unreachable {
            Status::Unreachable
        } else if end.failed() {
            Status::Failed
        } else if end.skipped_flag() {
            Status::Skipped
        } else if end.changed() {
            Status::Changed
        } else {
            Status::Ok
        };
        let delegated = end.result.get("_ansible_delegated_to").and_then(Value::as_str).map(str::to_owned);
        let origin = end.error.as_ref().and_then(|e| e.place.as_ref()).map(ToString::to_string);
        TaskResult {
            task: info.clone(),
            host: host.name.to_string(),
            delegated,
            status,
            ignored: ran.ignored && matches!(status, Status::Failed | Status::Unreachable),
            is_loop: item.is_none() && end.result.get("results").is_some_and(Value::is_array),
            item,
            result: end.result.clone(),
            seconds: took.as_secs_f64(),
            error: end.error.as_ref().map(|error| render_diagnostic(error, false)),
            origin,
        }
    }

    /// Registers, reports, counts, notifies.
    #[expect(clippy::too_many_arguments, reason = "one call, and each is needed")]
    pub(super) fn finish(
        &self,
        task: &Arc<Task>,
        info: &TaskInfo,
        host: &Arc<Host>,
        scope: &TaskScope,
        ran: &mut Ran,
        section: Section,
        took: Duration,
    ) {
        // `meta` is no task of the recap.
        if ran.meta.is_some() || (is_meta(task) && !ran.end.failed()) {
            return;
        }
        super::result::mark_exceptions(&mut ran.end);
        let end = &ran.end;
        if let Some(name) = task.register.as_ref().and_then(Node::as_str) {
            let mut kept = end.result.clone();
            kept.retain(|name, _| !name.starts_with("_ansible_delegated"));
            kept.entry("failed").or_insert(Value::Bool(false));
            host.set(name, Value::Object(kept));
        }
        if end.unreachable {
            self.run.events.emit(Event::TaskEnded(self.report(info, host, ran, None, took)));
            if ran.ignored {
                self.run.count(host, |c| {
                    c.skipped += 1;
                    c.ignored += 1;
                });
            } else {
                self.run.count(host, |c| c.unreachable += 1);
                host.state().standing = Standing::Unreachable;
            }
            return;
        }
        if end.failed() {
            self.run.events.emit(Event::TaskEnded(self.report(info, host, ran, None, took)));
            if ran.ignored {
                self.run.count(host, |c| {
                    c.ok += 1;
                    c.ignored += 1;
                    c.changed += u32::from(ran.end.changed());
                });
                self.notify(task, host, scope, ran);
            } else {
                self.failed(task, host, &ran.end, section);
            }
            return;
        }
        if end.skipped_flag() {
            self.run.count(host, |c| c.skipped += 1);
        } else {
            self.run.count(host, |c| {
                c.ok += 1;
                c.changed += u32::from(ran.end.changed());
            });
        }
        if ran.includes.is_empty() {
            self.run.events.emit(Event::TaskEnded(self.report(info, host, ran, None, took)));
        }
        self.notify(task, host, scope, ran);
    }

    fn failed(&self, task: &Task, host: &Arc<Host>, end: &TaskEnd, section: Section) {
        {
            let mut state = host.state();
            state.standing = Standing::Failed;
            state.cleared = false;
        }
        if section.rescued {
            self.run.count(host, |c| c.rescued += 1);
            let mut failed = Map::new();
            let name = task.frame.keywords.name.as_ref().map_or(String::new(), Node::key_text);
            failed.insert("name".into(), name.into());
            failed.insert("action".into(), task.action.name.key_text().into());
            failed.insert("args".into(), task.action.args.to_json());
            host.set("ansible_failed_task", Value::Object(failed));
            host.set("ansible_failed_result", Value::Object(end.result.clone()));
        } else {
            self.run.count(host, |c| c.failed += 1);
        }
    }

    fn notify(&self, task: &Task, host: &Arc<Host>, scope: &TaskScope, ran: &Ran) {
        if !ran.end.changed() || !ran.includes.is_empty() {
            return;
        }
        // In a loop each changed item notifies, with its own variables.
        for node in task.notifies() {
            let scopes = loop_scopes(task, scope, &ran.end);
            for scope in scopes {
                match self.notified(node, &scope) {
                    Ok(names) => names.iter().for_each(|name| self.notify_name(name, host, node, task)),
                    Err(error) => self.run.fail(error),
                }
            }
        }
    }
}

/// The scopes that a loop's changed items had; the task's own without a loop.
fn loop_scopes(task: &Task, scope: &TaskScope, end: &TaskEnd) -> Vec<TaskScope> {
    let Some(Value::Array(results)) = end.result.get("results").filter(|_| task.r#loop.is_some()) else {
        return vec![scope.clone()];
    };
    let changed = results.iter().filter_map(Value::as_object).filter(|r| r.get("changed").is_some_and(truthy));
    changed
        .map(|result| {
            let name = result.get("ansible_loop_var").and_then(Value::as_str).unwrap_or("item");
            scope.with(name, result.get(name).cloned().unwrap_or(Value::Null))
        })
        .collect()
}
