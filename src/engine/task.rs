//! One task on one host: loop, condition, arguments, attempts, result.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::batch::{self, End, Work};
use super::connection::{HostAccess, Resolver, Route};
use super::event::{Event, Status, TaskInfo, TaskResult};
use super::flow::{self, Include};
use super::host::{Host, Standing};
use super::jobs;
use super::play::{PlayRun, Section};
use super::result::{self, TaskEnd, truthy};
use super::settings::Settings;
use super::vars::TaskScope;
use crate::host::{Lost, Session};
use crate::language::template::TextOptions;
use crate::language::{LoopKind, Task};
use crate::modules::contract::{Apply, Check, Context, ControllerStep, HostStep, Outcome, RenderText, Verdict};
use crate::modules::{self, Descriptor, Prepared};
use crate::text::{Diagnostic, Kind, Node, did_you_mean, render_diagnostic};

/// What a task's name resolves to.
#[derive(Clone, Copy)]
pub(super) enum Module {
    /// A flow module.
    Flow(&'static str),
    /// A module with a descriptor.
    Other(&'static Descriptor),
}

/// A task's module and its rendered arguments.
pub(super) struct Call {
    /// Its name as written.
    pub name: String,
    /// The module.
    pub module: Module,
    /// The arguments: a mapping.
    pub args: Node,
    /// Free-form text, rendered, that no parameter took.
    pub free_form: Option<Node>,
}

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

    /// Runs a module on the host that the settings name; returns that host too.
    pub(super) async fn run_module(
        &self,
        task: &Arc<Task>,
        info: &TaskInfo,
        scope: &TaskScope,
        settings: &Settings,
        prepared: Prepared,
    ) -> (TaskEnd, Arc<Host>) {
        let worker = self.worker(scope, settings);
        let route = match self.route(scope, &worker, settings) {
            Ok(route) => route,
            Err(error) => return (TaskEnd::error(error), worker),
        };
        let context = self.context(scope, settings, &worker, &route);
        let environment: Vec<(String, String)> =
            settings.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let session = match self.run.sessions.get(&route, &self.run.events).await {
            Ok(session) => session,
            Err(error) => return (TaskEnd::unreachable(&error.to_string()), worker),
        };
        let owes = self.owes(task, scope, settings);
        // Whether the script itself writes down what it owes, before it changes something.
        let mut noted = false;
        let end = match prepared {
            Prepared::Host(module) => {
                let seconds = self.seconds(task.r#async.as_ref(), scope);
                let work = Work {
                    module,
                    context,
                    environment,
                    timeout: settings.timeout,
                    passes_failure: false,
                    owes: owes.clone(),
                    group: 0,
                };
                match seconds {
                    Ok(Some(limit)) if limit > 0 && !settings.check_mode => {
                        self.run_async(task, info, scope, &session, &route, work, limit).await
                    }
                    Ok(_) => {
                        noted = true;
                        match self.ahead.found(&worker, &route, &work) {
                            Some(outcome) => TaskEnd::of(outcome),
                            None => self.run_host(&session, &route, work).await,
                        }
                    }
                    Err(error) => TaskEnd::error(error),
                }
            }
            Prepared::Controller(module) => {
                let access = HostAccess {
                    session: session.clone(),
                    who: route.who.clone(),
                    environment,
                    events: self.run.events.clone(),
                    host: worker.name.to_string(),
                    task: info.id,
                };
                let work = controller(&*module, &context, &access);
                match settings.timeout {
                    None => TaskEnd::of(work.await),
                    Some(limit) => match tokio::time::timeout(limit, work).await {
                        Ok(outcome) => TaskEnd::of(outcome),
                        Err(_) => timed_out(limit),
                    },
                }
            }
        };
        if !noted
            && !owes.is_empty()
            && end.changed()
            && let Err(lost) = session.owe(route.who.as_ref(), &owes).await
        {
            self.run.events.warning(format!("{}: what the task owes could not be written down: {lost}", worker.name));
        }
        (end, worker)
    }

    async fn run_host(&self, session: &Session, route: &Route, work: Work) -> TaskEnd {
        let mut out = TaskEnd::default();
        batch::run(session, route.who.as_ref(), vec![work], &mut |_, end| {
            out = end_of(end);
            false
        })
        .await;
        if out.unreachable {
            self.run.sessions.drop_route(route).await;
        }
        out
    }

    /// Runs a module's apply as a background job: to its end with `poll`, else only its start.
    #[expect(clippy::too_many_arguments, reason = "one call, and each is needed")]
    async fn run_async(
        &self,
        task: &Arc<Task>,
        info: &TaskInfo,
        scope: &TaskScope,
        session: &Session,
        route: &Route,
        work: Work,
        limit: u64,
    ) -> TaskEnd {
        let poll = match self.seconds(task.poll.as_ref(), scope) {
            Ok(poll) => poll.unwrap_or(15),
            Err(error) => return TaskEnd::error(error),
        };
        let access = HostAccess {
            session: session.clone(),
            who: route.who.clone(),
            environment: work.environment.clone(),
            events: self.run.events.clone(),
            host: route.target.name.clone(),
            task: info.id,
        };
        match start_job(&access, &work, limit).await {
            Ok(Started::Ended(outcome)) => TaskEnd::of(outcome),
            Ok(Started::Job(id, directory, parse)) => {
                self.run.jobs.insert(&id, parse);
                let mut end = TaskEnd::default();
                end.result.insert("ansible_job_id".into(), id.clone().into());
                end.result.insert("changed".into(), true.into());
                end.result.insert("failed".into(), false.into());
                end.result.insert("finished".into(), 0.into());
                end.result.insert("started".into(), 1.into());
                end.result.insert("results_file".into(), directory.into());
                if poll == 0 {
                    return end;
                }
                self.poll(&access, &id, poll, limit).await
            }
            Err(error) => TaskEnd::of(Outcome::failed(format!("{error:#}"))),
        }
    }

    async fn poll(&self, access: &HostAccess, id: &str, poll: u64, limit: u64) -> TaskEnd {
        let began = Instant::now();
        loop {
            // The first looks are quick: most jobs end long before the first `poll` seconds.
            let pause = Duration::from_secs(poll).min(Duration::from_millis(100) + began.elapsed() / 4);
            tokio::time::sleep(pause).await;
            match flow::job_status(&self.run.jobs, access, id).await {
                Ok(end) if end.result.get("finished").is_some_and(truthy) => return end,
                Ok(_) if began.elapsed() > Duration::from_secs(limit + 10) => {
                    let msg = format!("async task did not complete within the requested time - {limit}s");
                    return TaskEnd::of(Outcome::failed(msg));
                }
                Ok(_) => {}
                Err(error) => return TaskEnd::of(Outcome::failed(format!("{error:#}"))),
            }
        }
    }

    fn seconds(&self, node: Option<&Node>, scope: &TaskScope) -> Result<Option<u64>, Diagnostic> {
        let Some(node) = node else { return Ok(None) };
        let value = self.run.templar.value(node, &scope.scope())?;
        match &value {
            Value::Null => Ok(None),
            Value::Number(n) => Ok(n.as_u64()),
            Value::String(text) if text.trim().parse::<u64>().is_ok() => Ok(text.trim().parse().ok()),
            _ => Err(Diagnostic::error(format!("`{}` is no number of seconds", text_of(&value)), &node.place)),
        }
    }

    /// The host that does the work.
    pub(super) fn worker(&self, scope: &TaskScope, settings: &Settings) -> Arc<Host> {
        match &settings.delegate_to {
            Some(name) => self.run.vars.host(name),
            None => Arc::clone(&scope.host),
        }
    }

    /// The way to it.
    pub(super) fn route(
        &self,
        scope: &TaskScope,
        worker: &Arc<Host>,
        settings: &Settings,
    ) -> Result<Route, Diagnostic> {
        let scope = scope.on(Arc::clone(worker));
        Resolver { templar: &self.run.templar, scope: &scope, options: &self.run.options, config: &self.run.config }
            .route(settings)
    }

    /// What a module may know.
    pub(super) fn context(&self, scope: &TaskScope, settings: &Settings, worker: &Arc<Host>, route: &Route) -> Context {
        Context {
            check_mode: settings.check_mode,
            ahead: false,
            diff: settings.diff,
            facts: Arc::clone(&worker.read().facts),
            search: Arc::new(scope.search()),
            templates: Arc::new(TaskTemplates { templar: self.run.templar.clone(), scope: scope.clone() }),
            environment: Arc::new(settings.environment.clone()),
            host: Arc::clone(&worker.name),
            become_user: route.who.as_ref().map(|who| who.user.as_str().into()),
        }
    }

    /// The task's module and arguments, rendered.
    pub(super) fn call(&self, task: &Task, scope: &TaskScope) -> Result<Call, Diagnostic> {
        let templar = &self.run.templar;
        let templates = scope.scope();
        let name_node = &task.action.name;
        let name = if name_node.is_template() {
            text_of(&templar.value(name_node, &templates)?)
        } else {
            name_node.as_str().unwrap_or_default().to_owned()
        };
        let module = resolve(&name).ok_or_else(|| unknown_module(&name, name_node))?;
        let own = self.arguments(task, &templates)?;
        let mut entries = own.entries().to_vec();
        for (key, value) in self.module_defaults(task, &name, module, &templates)? {
            if !entries.iter().any(|(k, _)| k.as_str() == key.as_str()) {
                entries.push((key, value));
            }
        }
        entries.retain(|(_, value)| !matches!(value.kind, Kind::Omit));
        let mut free_form = task.action.free_form.as_ref().map(|node| templar.render(node, &templates)).transpose()?;
        if let Module::Other(Descriptor { free_form: Some(parameter), .. }) = module
            && let Some(text) = free_form.take()
        {
            entries.push((Node::data(*parameter, &text.place), text));
        }
        if let (Module::Other(descriptor), Some(text)) = (module, &free_form)
            && !text.is_null()
        {
            return Err(Diagnostic::error(format!("`{}` takes no free-form text", descriptor.name), &text.place)
                .hint("write its arguments as `name: value`"));
        }
        Ok(Call { name, module, args: Node::new(Kind::Map(entries), own.place.clone()), free_form })
    }

    fn arguments(
        &self,
        task: &Task,
        templates: &Arc<dyn crate::language::template::Scope>,
    ) -> Result<Node, Diagnostic> {
        let args = self.run.templar.render(&task.action.args, templates)?;
        match args.kind {
            Kind::Map(_) => Ok(args),
            Kind::Null | Kind::Omit => Ok(Node::new(Kind::Map(vec![]), args.place)),
            _ => Err(Diagnostic::error(
                format!("the arguments must be a mapping, not {}", args.type_name()),
                &args.place,
            )),
        }
    }

    fn module_defaults(
        &self,
        task: &Task,
        name: &str,
        module: Module,
        templates: &Arc<dyn crate::language::template::Scope>,
    ) -> Result<Vec<(Node, Node)>, Diagnostic> {
        let short = name.rsplit('.').next().unwrap_or(name);
        let matches = |key: &str| {
            key == name
                || (key.rsplit('.').next() == Some(short)
                    && (!key.contains('.') || resolve(key).is_some_and(|other| same(other, module))))
        };
        let mut found: Vec<(Node, Node)> = vec![];
        for level in task.frame.levels() {
            let Some(defaults) = &level.keywords.module_defaults else { continue };
            let maps: Vec<&Node> = match &defaults.kind {
                Kind::Seq(items) => items.iter().rev().collect(),
                _ => vec![defaults],
            };
            for map in maps {
                let map = if map.is_template() && map.entries().is_empty() {
                    self.run.templar.render(map, templates)?
                } else {
                    map.clone()
                };
                for (key, value) in map.entries() {
                    if !key.as_str().is_some_and(matches) {
                        continue;
                    }
                    let value = self.run.templar.render(value, templates)?;
                    for (name, value) in value.entries() {
                        if !found.iter().any(|(k, _)| k.as_str() == name.as_str()) {
                            found.push((name.clone(), value.clone()));
                        }
                    }
                }
            }
        }
        Ok(found)
    }

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

/// Whether a task is a `meta` action.
pub(super) fn is_meta(task: &Task) -> bool {
    let name = task.action.name.as_str().unwrap_or_default();
    matches!(name, "meta" | "ansible.builtin.meta" | "ansible.legacy.meta")
}

fn same(a: Module, b: Module) -> bool {
    match (a, b) {
        (Module::Flow(a), Module::Flow(b)) => a == b,
        (Module::Other(a), Module::Other(b)) => std::ptr::eq(a, b),
        _ => false,
    }
}

/// The module of this name.
pub(super) fn resolve(name: &str) -> Option<Module> {
    let short = match name.rsplit_once('.') {
        None => Some(name),
        Some(("ansible.builtin" | "ansible.legacy", short)) => Some(short),
        Some(_) => None,
    };
    let flow = short.and_then(|short| flow::NAMES.iter().find(|n| **n == short));
    flow.map(|name| Module::Flow(name)).or_else(|| modules::find(name).map(Module::Other))
}

fn unknown_module(name: &str, node: &Node) -> Diagnostic {
    let names: Vec<&str> = flow::NAMES.iter().copied().chain(modules::all().map(|d| d.name)).collect();
    let error = Diagnostic::error(
        format!(
            "couldn't resolve module/action '{name}'. This often indicates a misspelling, missing collection, or incorrect module path."
        ),
        &node.place,
    );
    match did_you_mean(name, names) {
        Some(close) => error.hint(format!("did you mean `{close}`?")),
        None => error,
    }
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

fn end_of(end: End) -> TaskEnd {
    match end {
        End::Outcome(outcome) => TaskEnd::of(outcome),
        End::Lost(Lost::TimedOut(limit)) => timed_out(limit),
        End::Lost(Lost::Disconnected(reason)) => TaskEnd::unreachable(&format!("connection lost: {reason}")),
        End::Lost(Lost::Become(reason)) => TaskEnd::of(Outcome::failed(reason)),
    }
}

/// The result that a step of a batch ends with.
pub(super) fn batch_end(end: End) -> TaskEnd {
    end_of(end)
}

fn timed_out(limit: Duration) -> TaskEnd {
    let seconds = limit.as_secs_f64();
    let mut end = TaskEnd::of(Outcome::failed(format!("Timed out after {seconds} second(s).")));
    let period = if seconds.fract() == 0.0 { serde_json::json!(limit.as_secs()) } else { serde_json::json!(seconds) };
    end.result.insert("timedout".into(), serde_json::json!({"period": period}));
    end
}

/// Runs a controller module.
async fn controller(module: &dyn ControllerStep, context: &Context, access: &HostAccess) -> Outcome {
    let failure = |error: anyhow::Error| Outcome::failed(format!("{error:#}"));
    match module.check(context, access).await {
        Err(error) => failure(error),
        Ok(Verdict::Converged(outcome)) => outcome,
        Ok(Verdict::Failed(mut outcome)) => {
            outcome.failed.get_or_insert_with(|| "failed".into());
            outcome
        }
        Ok(Verdict::Drift { mut outcome, .. }) if context.check_mode => {
            outcome.changed = !outcome.skipped;
            outcome
        }
        Ok(Verdict::Drift { drift, outcome: found }) => match module.apply(drift, context, access).await {
            Ok(mut outcome) => {
                if outcome.diff.is_empty() {
                    outcome.diff = found.diff;
                }
                outcome
            }
            Err(error) => failure(error),
        },
    }
}

enum Started {
    Ended(Outcome),
    Job(String, String, crate::modules::contract::ParseApply),
}

/// Checks, then starts what is to be applied in the background.
async fn start_job(access: &HostAccess, work: &Work, limit: u64) -> anyhow::Result<Started> {
    use crate::modules::contract::Access as _;
    let module: &dyn HostStep = &*work.module;
    let verdict = match module.check(&work.context)? {
        Check::Known(verdict) => verdict,
        Check::Ask { script, parse, .. } => parse(&access.run(script).await?)?,
    };
    let drift = match verdict {
        Verdict::Converged(outcome) | Verdict::Failed(outcome) => return Ok(Started::Ended(outcome)),
        Verdict::Drift { drift, .. } => drift,
    };
    let Apply { script, parse } = module.apply(drift, &work.context)?;
    let id = jobs::new_id();
    let reply = access.run(jobs::start(&id, &script, limit)).await?;
    anyhow::ensure!(reply.status == 0, reply.failure("could not start the background job"));
    Ok(Started::Job(id, reply.out().trim().to_owned(), parse))
}

/// Renders template files for modules.
struct TaskTemplates {
    templar: crate::language::template::Templar,
    scope: TaskScope,
}

impl RenderText for TaskTemplates {
    fn render(&self, path: &Path, text: &str, options: &Map<String, Value>) -> Result<String, Diagnostic> {
        let mut scope = self.scope.clone();
        let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut put = |name: &str, value: String| scope.locals.insert(name.to_owned(), Value::from(value));
        put("template_path", path.display().to_string());
        put("template_fullpath", full.display().to_string());
        put("template_host", nix::unistd::gethostname().map(|h| h.to_string_lossy().into_owned()).unwrap_or_default());
        put("template_uid", nix::unistd::geteuid().to_string());
        if let Some(dest) = options.get("dest").and_then(Value::as_str) {
            put("template_destpath", dest.to_owned());
        }
        let options: TextOptions = serde_json::from_value(Value::Object(options.clone()))
            .map_err(|error| Diagnostic::plain(format!("template options: {error}")))?;
        self.templar.text(&path.display().to_string(), text, &options, &scope.scope())
    }
}

/// `loop_control`, rendered.
pub(super) struct LoopSettings {
    variable: String,
    index: Option<String>,
    pause: Duration,
    extended: bool,
    all_items: bool,
    label: Option<Node>,
    break_when: Vec<Node>,
}

impl LoopSettings {
    pub(super) fn of(play: &PlayRun, task: &Task, scope: &TaskScope) -> Result<Self, Diagnostic> {
        let control = &task.loop_control;
        let scope = scope.scope();
        let value = |node: &Option<Node>| node.as_ref().map(|n| play.run.templar.value(n, &scope)).transpose();
        let name = |node: &Option<Node>| -> Result<Option<String>, Diagnostic> {
            Ok(value(node)?.filter(|v| !v.is_null()).map(|v| text_of(&v)))
        };
        let pause = match value(&control.pause)? {
            Some(Value::Number(n)) => n.as_f64().unwrap_or(0.0),
            Some(Value::String(text)) => text.parse().unwrap_or(0.0),
            _ => 0.0,
        };
        Ok(Self {
            variable: name(&control.loop_var)?.unwrap_or_else(|| "item".into()),
            index: name(&control.index_var)?,
            pause: Duration::from_secs_f64(pause.max(0.0)),
            extended: value(&control.extended)?.is_some_and(|v| truthy(&v)),
            all_items: value(&control.extended_allitems)?.is_none_or(|v| truthy(&v)),
            label: control.label.clone(),
            break_when: control.break_when.clone(),
        })
    }

    pub(super) fn scope(&self, scope: &TaskScope, items: &[Value], index: usize) -> TaskScope {
        let mut scope = scope.clone();
        let last = items.len() - 1;
        let locals = &mut scope.locals;
        locals.insert(self.variable.clone(), items[index].clone());
        locals.insert("ansible_loop_var".into(), self.variable.clone().into());
        if let Some(name) = &self.index {
            locals.insert(name.clone(), index.into());
            locals.insert("ansible_index_var".into(), name.clone().into());
        }
        if self.extended {
            let mut extended = Map::new();
            let mut put = |name: &str, value: Value| extended.insert(name.to_owned(), value);
            if self.all_items {
                put("allitems", items.to_vec().into());
            }
            put("index", (index + 1).into());
            put("index0", index.into());
            put("first", (index == 0).into());
            put("last", (index == last).into());
            put("length", items.len().into());
            put("revindex", (last - index + 1).into());
            put("revindex0", (last - index).into());
            if index > 0 {
                put("previtem", items[index - 1].clone());
            }
            if index < last {
                put("nextitem", items[index + 1].clone());
            }
            locals.insert("ansible_loop".into(), Value::Object(extended));
        }
        scope
    }

    pub(super) fn label(&self, play: &PlayRun, scope: &TaskScope, item: &Value) -> Result<Value, Diagnostic> {
        match &self.label {
            None => Ok(item.clone()),
            Some(node) => play.run.templar.value(node, &scope.scope()),
        }
    }

    /// Marks an item's result as such.
    pub(super) fn mark(&self, end: &mut TaskEnd, item: &Value, index: usize) {
        end.result.insert(self.variable.clone(), item.clone());
        end.result.insert("ansible_loop_var".into(), self.variable.clone().into());
        if let Some(name) = &self.index {
            end.result.insert(name.clone(), index.into());
            end.result.insert("ansible_index_var".into(), name.clone().into());
        }
        end.result.entry("failed").or_insert(Value::Bool(false));
    }

    fn breaks(&self, play: &PlayRun, task: &Task, scope: &TaskScope, end: &TaskEnd) -> Result<bool, Diagnostic> {
        if self.break_when.is_empty() {
            return Ok(false);
        }
        result::all(&self.break_when, &play.run.templar, &result::with_result(task, end, scope))
    }
}
