//! One task on one host: loop, condition, attempts, result.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::call::Module;
use super::event::{Event, TaskInfo};
use super::flow::{self, Include};
use super::host::Host;
use super::looping::LoopSettings;
use super::play::{PlayRun, Section};
use super::result::{self, TaskEnd};
use super::settings::Settings;
use super::vars::TaskScope;
use crate::language::{LoopKind, Task};
use crate::text::{Diagnostic, Node};

/// What a task did on a host.
#[derive(Default)]
pub(super) struct Ran {
    /// The whole result.
    pub end: TaskEnd,
    /// Files and roles to run now.
    pub includes: Vec<Include>,
    /// What `meta` wants of the flow.
    pub meta: Option<flow::Meta>,
    /// Whether failures are ignored.
    pub ignored: bool,
}

impl PlayRun {
    /// The variables of a task on a host.
    pub(super) fn scope(&self, task: &Task, host: &Arc<Host>) -> TaskScope {
        TaskScope {
            run: Arc::clone(&self.run.vars),
            play: Some(Arc::clone(&self.vars)),
            host: Arc::clone(host),
            frame: Some(Arc::clone(&task.frame)),
            locals: IndexMap::new(),
            check_mode: self.check_mode,
            used: None,
        }
    }

    /// How a task is shown: its name is rendered as the first of its hosts sees it.
    pub(super) fn info(&self, task: &Task, host: Option<&Arc<Host>>, handler: bool) -> TaskInfo {
        let action = task.action.name.as_str().unwrap_or_default().to_owned();
        let role = task.frame.role.as_ref().map(|role| role.name.clone());
        let mut tags = vec![];
        let mut no_log = false;
        let name = task.frame.keywords.name.as_ref().map(|node| {
            let raw = node.key_text();
            match host {
                Some(host) if node.is_template() => {
                    let scope = self.scope(task, host).scope();
                    self.run.templar.value(node, &scope).map_or(raw, |value| text_of(&value))
                }
                _ => raw,
            }
        });
        if let Some(host) = host {
            let scope = self.scope(task, host);
            tags =
                super::tags::of(&task.frame, |node| self.run.templar.value(node, &scope.scope())).into_iter().collect();
            let renderer = super::settings::Renderer { templar: &self.run.templar, scope: &scope };
            no_log = renderer.flag(&task.frame, |k| k.no_log.as_ref()).ok().flatten().unwrap_or(false);
        }
        let name = name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| action.clone());
        let name = match &role {
            Some(role) => format!("{role} : {name}"),
            None => name,
        };
        TaskInfo { id: self.run.next_id(), name, action, place: task.place.to_string(), role, handler, tags, no_log }
    }

    /// Runs a task on a host: reports, counts, registers, notifies; the host's standing is changed by a failure.
    pub(super) async fn run_task(&self, task: &Arc<Task>, info: &TaskInfo, host: &Arc<Host>, section: Section) -> Ran {
        let began = Instant::now();
        let scope = self.scope(task, host);
        let mut ran = match self.loop_items(task, &scope) {
            Ok(None) => self.run_item(task, info, host, &scope, None).await,
            Ok(Some(items)) => self.run_loop(task, info, host, &scope, items).await,
            Err(error) => {
                // A condition that is false without the loop's items wins over a loop that can't be evaluated.
                match self.condition(task, &scope) {
                    Ok(Some(end)) => Ran { end, ..Ran::default() },
                    _ => Ran { end: TaskEnd::error(error), ignored: self.ignores(task, &scope), ..Ran::default() },
                }
            }
        };
        self.finish(task, info, host, &scope, &mut ran, section, began.elapsed());
        ran
    }

    /// The loop's items; none where there is no loop.
    pub(super) fn loop_items(&self, task: &Task, scope: &TaskScope) -> Result<Option<Vec<Value>>, Diagnostic> {
        let Some(r#loop) = &task.r#loop else { return Ok(None) };
        let scope = scope.scope();
        let templar = &self.run.templar;
        match &r#loop.kind {
            LoopKind::List => match templar.value(&r#loop.items, &scope)? {
                Value::Array(items) => Ok(Some(items)),
                other => Err(Diagnostic::error(
                    format!("Invalid data passed to 'loop', it requires a list, got this instead: {}", text_of(&other)),
                    &r#loop.items.place,
                )
                .hint("Hint: If you passed a list/dict of just one element, try adding wantlist=True to your lookup invocation or use q/query instead of lookup.")),
            },
            LoopKind::With(name) => {
                // `first_found` and the like skip terms that are undefined; the others need all.
                let terms = match templar.value(&r#loop.items, &scope)? {
                    Value::Array(items) => items,
                    other => vec![other],
                };
                let (terms, kwargs) = (terms, Map::new());
                templar.lookup(name, terms, kwargs, &scope).map(Some)
            }
        }
    }

    /// A skipped result where a condition does not hold.
    pub(super) fn condition(&self, task: &Task, scope: &TaskScope) -> Result<Option<TaskEnd>, Diagnostic> {
        let templates = scope.scope();
        for condition in task.frame.conditions() {
            if !self.run.templar.condition(condition, &templates)? {
                let mut end = TaskEnd::skipped("Conditional result was False");
                end.result.insert("false_condition".into(), condition.to_json());
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    async fn run_loop(
        &self,
        task: &Arc<Task>,
        info: &TaskInfo,
        host: &Arc<Host>,
        scope: &TaskScope,
        items: Vec<Value>,
    ) -> Ran {
        if items.is_empty() {
            let mut end = TaskEnd::skipped("No items in the list");
            end.result.remove("skip_reason");
            end.result.insert("skipped_reason".into(), "No items in the list".into());
            end.result.insert("results".into(), Value::Array(vec![]));
            return Ran { end, ..Ran::default() };
        }
        let control = match LoopSettings::of(self, task, scope) {
            Ok(control) => control,
            Err(error) => return Ran { end: TaskEnd::error(error), ..Ran::default() },
        };
        let total = items.len();
        let mut scope = scope.clone();
        let mut ends = vec![];
        let mut ran = Ran::default();
        for index in 0..total {
            if self.run.is_over() {
                break;
            }
            if index > 0 && control.pause > Duration::ZERO {
                tokio::time::sleep(control.pause).await;
            }
            let began = Instant::now();
            let mut item_scope = control.scope(&scope, &items, index);
            let label = control.label(self, &item_scope, &items[index]).unwrap_or_else(|_| items[index].clone());
            let mut one = self.run_item(task, info, host, &item_scope, Some(&label)).await;
            control.mark(&mut one.end, &items[index], index);
            // What comes next sees this item's result under the registered name: its label, the items behind it.
            if let Some(name) = task.register.as_ref().and_then(Node::as_str) {
                let result = Value::Object(one.end.result.clone());
                item_scope.locals.insert(name.to_owned(), result.clone());
                scope.locals.insert(name.to_owned(), result);
            }
            let label = control.label(self, &item_scope, &items[index]).unwrap_or_else(|error| {
                let text = format!("Failed to template loop_control.label: {}", error.message);
                one.end.result.insert("failed".into(), true.into());
                one.end.result.shift_remove("skipped");
                one.end.result.insert("msg".into(), text.into());
                one.end.error = Some(error);
                one.ignored = self.ignores(task, &item_scope);
                items[index].clone()
            });
            self.item_ended(info, host, &one, label, began.elapsed());
            ran.includes.append(&mut one.includes);
            ran.ignored |= one.ignored;
            ran.meta = ran.meta.or(one.meta);
            let end = one.end;
            let stop = control.breaks(self, task, &item_scope, &end);
            ends.push(end);
            match stop {
                Ok(false) => {}
                Ok(true) => break,
                Err(error) => {
                    ends.push(TaskEnd::error(error));
                    break;
                }
            }
        }
        ran.end = result::of_loop(ends);
        ran
    }

    fn item_ended(&self, info: &TaskInfo, host: &Arc<Host>, one: &Ran, label: Value, took: Duration) {
        if !one.includes.is_empty() {
            return;
        }
        self.run.events.emit(Event::ItemEnded(self.report(info, host, one, Some(label), took)));
    }

    /// One execution with its attempts.
    async fn run_item(
        &self,
        task: &Arc<Task>,
        info: &TaskInfo,
        host: &Arc<Host>,
        scope: &TaskScope,
        label: Option<&Value>,
    ) -> Ran {
        match self.condition(task, scope) {
            Ok(None) => {}
            Ok(Some(end)) => return Ran { end, ..Ran::default() },
            Err(error) => {
                let ignored = self.ignores(task, scope);
                return Ran { end: TaskEnd::error(error), ignored, ..Ran::default() };
            }
        }
        let settings = match Settings::of(task, &self.run.templar, scope, self.check_mode, self.diff) {
            Ok(settings) => settings,
            Err(error) => {
                let ignored = self.ignores(task, scope);
                return Ran { end: TaskEnd::error(error), ignored, ..Ran::default() };
            }
        };
        let scope = TaskScope { check_mode: settings.check_mode, ..scope.clone() };
        let mut ran = self.attempts(task, info, host, &scope, &settings, label).await;
        ran.ignored = if ran.end.unreachable { settings.ignore_unreachable } else { settings.ignore_errors };
        if let Some(name) = &settings.delegate_to {
            let mut vars = Map::new();
            vars.insert("ansible_host".into(), name.clone().into());
            ran.end.result.insert("_ansible_delegated_vars".into(), Value::Object(vars));
            ran.end.result.insert("_ansible_delegated_to".into(), name.clone().into());
        }
        ran
    }

    fn ignores(&self, task: &Task, scope: &TaskScope) -> bool {
        let renderer = super::settings::Renderer { templar: &self.run.templar, scope };
        renderer.flag(&task.frame, |k| k.ignore_errors.as_ref()).ok().flatten().unwrap_or(false)
    }

    async fn attempts(
        &self,
        task: &Arc<Task>,
        info: &TaskInfo,
        host: &Arc<Host>,
        scope: &TaskScope,
        settings: &Settings,
        label: Option<&Value>,
    ) -> Ran {
        let number = |node: &Option<Node>| -> Result<Option<f64>, Diagnostic> {
            let Some(node) = node else { return Ok(None) };
            let value = self.run.templar.value(node, &scope.scope())?;
            Ok(match value {
                Value::Number(n) => n.as_f64(),
                Value::String(text) => text.trim().parse().ok(),
                _ => None,
            })
        };
        let (retries, delay) = match (number(&task.retries), number(&task.delay)) {
            (Ok(retries), Ok(delay)) => (retries, delay.filter(|d| *d >= 0.0).unwrap_or(5.0)),
            (Err(error), _) | (_, Err(error)) => return Ran { end: TaskEnd::error(error), ..Ran::default() },
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of attempts")]
        let attempts = match retries {
            None if task.until.is_empty() => 1,
            None => 4,
            Some(n) if n <= 0.0 => 1,
            Some(n) => n as u32 + 1,
        };
        for attempt in 1..=attempts {
            let mut ran = self.execute(task, info, host, scope, settings).await;
            result::judge(task, &mut ran.end, &self.run.templar, scope);
            if attempts == 1 && task.until.is_empty() || ran.end.unreachable || ran.end.skipped_flag() {
                return ran;
            }
            ran.end.result.insert("attempts".into(), attempt.into());
            let met = if task.until.is_empty() {
                Ok(!ran.end.failed())
            } else {
                result::all(&task.until, &self.run.templar, &result::with_result(task, &ran.end, scope))
            };
            match met {
                Ok(true) => return ran,
                Ok(false) if attempt < attempts => {
                    let took = Duration::ZERO;
                    let report = self.report(info, host, &ran, label.cloned(), took);
                    self.run.events.emit(Event::Retry { result: report, left: attempts - attempt });
                    tokio::time::sleep(Duration::from_secs_f64(delay)).await;
                }
                Ok(false) => {
                    ran.end.result.insert("attempts".into(), (attempts - 1).max(1).into());
                    ran.end.result.insert("failed".into(), true.into());
                    return ran;
                }
                Err(error) => {
                    ran.end.result.insert("failed".into(), true.into());
                    ran.end.result.insert("msg".into(), format!("Task failed: {}", error.message).into());
                    ran.end.error = Some(error);
                    return ran;
                }
            }
        }
        Ran::default()
    }

    /// One attempt.
    async fn execute(
        &self,
        task: &Arc<Task>,
        info: &TaskInfo,
        host: &Arc<Host>,
        scope: &TaskScope,
        settings: &Settings,
    ) -> Ran {
        let call = match self.call(task, scope) {
            Ok(call) => call,
            Err(error) => return Ran { end: TaskEnd::error(error), ..Ran::default() },
        };
        let descriptor = match call.module {
            Module::Flow(name) => {
                let cx = flow::Cx { play: self, task, info, host, scope, settings };
                return flow::run(name, &call, &cx).await;
            }
            Module::Other(descriptor) => descriptor,
        };
        let prepared = match (descriptor.prepare)(&call.args) {
            Ok(prepared) => prepared,
            Err(error) => return Ran { end: TaskEnd::error(error), ..Ran::default() },
        };
        let (end, worker) = self.run_module(task, info, scope, settings, prepared).await;
        let mut end = end;
        self.take_facts(descriptor.name, &mut end, host, &worker, settings);
        Ran { end, ..Ran::default() }
    }
}

/// Whether a task is a `meta` action.
pub(super) fn is_meta(task: &Task) -> bool {
    let name = task.action.name.as_str().unwrap_or_default();
    matches!(name, "meta" | "ansible.builtin.meta" | "ansible.legacy.meta")
}

/// A value as text, as a template would show it.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
