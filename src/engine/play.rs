//! A play: its hosts in batches, its sections in order, blocks and includes, and who still takes part.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt as _};
use indexmap::IndexMap;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::ahead::{self, Ahead};
use super::event::{Event, TaskInfo};
use super::flow::{Include, Meta};
use super::handlers::Handler;
use super::host::{Host, Standing};
use super::prepare;
use super::result::TaskEnd;
use super::run::Run;
use super::sequence;
use super::settings::{Renderer, boolean};
use super::task::Ran;
use super::vars::{PlayVars, TaskScope};
use crate::language::{Block, FrameKind, Item, Keywords, Play, Role, Task};
use crate::text::{Diagnostic, Node, python};

/// Where in a play a task stands, as far as its failure is concerned.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Section {
    /// Whether a block around it has a `rescue`.
    pub rescued: bool,
    /// Whether it is a handler.
    pub handler: bool,
}

/// How hosts go through a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    /// Task by task, all hosts together.
    Linear,
    /// Each host by itself.
    Free,
}

/// A play with its hosts (one batch of them, with `serial`).
pub(super) struct PlayRun {
    pub run: Arc<Run>,
    pub play: Arc<Play>,
    pub vars: Arc<PlayVars>,
    pub handlers: Mutex<Vec<Handler>>,
    /// What its lines in the hosts' journals of owed handlers begin with.
    pub mark: String,
    pub check_mode: bool,
    pub diff: bool,
    pub strategy: Strategy,
    pub force_handlers: bool,
    pub any_errors_fatal: bool,
    pub max_fail_percentage: Option<f64>,
    pub forks: usize,
    /// What is known of tasks before their turn, where several hosts go task by task.
    pub ahead: Ahead,
    /// What hosts that go by themselves wait for at tasks with a `throttle`, by the task.
    pub turns: Mutex<HashMap<usize, Arc<Semaphore>>>,
    /// Whether a failure took hosts along that had not failed themselves.
    pub spread: std::sync::atomic::AtomicBool,
}

/// Runs a play on all its hosts; true ends the run.
pub(super) async fn run(run: &Arc<Run>, play: Arc<Play>, dir: &Path) -> bool {
    let prepared = match prepare::prepare(run, &play, dir).await {
        Ok(prepared) => prepared,
        Err(error) => {
            run.fail(error);
            return true;
        }
    };
    let Some(prepared) = prepared else { return false };
    let batches = prepared.batches;
    for batch in batches {
        let active: Vec<Arc<Host>> = batch.into_iter().filter(|h| may_start(h)).collect();
        if active.is_empty() {
            continue;
        }
        for host in &active {
            let mut state = host.state();
            state.notified.clear();
            state.roles.clear();
            state.left_role = None;
        }
        prepared.play.vars.batch.write().unwrap_or_else(PoisonError::into_inner).clone_from(&active);
        prepared.play.batch(&active).await;
        for host in &active {
            prepared.play.strike_owed(host).await;
        }
        if run.is_over() {
            return true;
        }
        // A batch that failed as a whole ends the play (and the run, if no host is left).
        if active.iter().all(|h| matches!(h.state().standing, Standing::Failed | Standing::Unreachable)) {
            break;
        }
        if prepared.play.too_many_failed(&active) {
            break;
        }
    }
    let all = &prepared.play.vars.all_hosts;
    for host in all {
        let mut state = host.state();
        if state.standing == Standing::Ended {
            state.standing = Standing::Active;
        }
    }
    let lost =
        !all.is_empty() && all.iter().all(|h| matches!(h.state().standing, Standing::Failed | Standing::Unreachable));
    // The notice is for failures that took hosts along which had not failed themselves.
    let spread = prepared.play.spread.load(std::sync::atomic::Ordering::Relaxed);
    if lost && (spread || matches!(prepared.play.strategy, Strategy::Free)) {
        run.events.emit(Event::NoHosts { remaining: true });
    }
    lost
}

fn may_start(host: &Host) -> bool {
    let mut state = host.state();
    if state.standing == Standing::Ended {
        state.standing = Standing::Active;
    }
    state.standing == Standing::Active
}

impl PlayRun {
    async fn batch(self: &Arc<Self>, hosts: &[Arc<Host>]) {
        if let Some(task) = self.gathering() {
            let hosts = self.to_gather(hosts);
            if !hosts.is_empty() {
                self.items(&[Item::Task(task)], &hosts, Section::default()).await;
            }
        }
        let play = Arc::clone(&self.play);
        let main: Vec<Item> = play.roles.iter().chain(&play.tasks).cloned().collect();
        for section in [&play.pre_tasks, &main, &play.post_tasks] {
            if self.run.is_over() {
                return;
            }
            self.section(section, hosts).await;
            self.flush_handlers(hosts).await;
        }
    }

    async fn section(self: &Arc<Self>, items: &[Item], hosts: &[Arc<Host>]) {
        if self.strategy == Strategy::Linear || hosts.len() == 1 {
            self.items(items, hosts, Section::default()).await;
            return;
        }
        stream::iter(hosts.to_vec())
            .for_each_concurrent(self.forks, |host| async move {
                self.items(items, &[host], Section::default()).await;
            })
            .await;
    }

    /// Runs items on those of the hosts that are active.
    pub(super) fn items<'a>(
        self: &'a Arc<Self>,
        items: &'a [Item],
        hosts: &'a [Arc<Host>],
        section: Section,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut at = 0;
            while at < items.len() {
                if self.run.is_over() {
                    return;
                }
                let active: Vec<Arc<Host>> = hosts.iter().filter(|h| h.is_active()).cloned().collect();
                if active.is_empty() {
                    return;
                }
                // One host over ssh: tasks that belong together travel together.
                if let [host] = &active[..] {
                    let taken = sequence::run(self, &items[at..], host, section).await;
                    if taken > 0 {
                        at += taken;
                        continue;
                    }
                }
                if active.len() > 1 && self.strategy == Strategy::Linear {
                    ahead::look(self, &items[at..], &active, section).await;
                }
                match &items[at] {
                    Item::Task(task) => self.task(task, &active, section).await,
                    Item::Block(block) => self.block(block, &active, section).await,
                }
                at += 1;
            }
        })
    }

    async fn block(self: &Arc<Self>, block: &Arc<Block>, hosts: &[Arc<Host>], section: Section) {
        let role = (block.frame.kind == FrameKind::Role).then(|| block.frame.role.clone()).flatten();
        let hosts: Vec<Arc<Host>> = match &role {
            Some(role) => hosts.iter().filter(|host| self.role_may_run(role, block, host)).cloned().collect(),
            None => hosts.to_vec(),
        };
        if hosts.is_empty() {
            return;
        }
        let before: Vec<u32> = hosts.iter().map(|host| self.run.done(host)).collect();
        let inner = Section { rescued: section.rescued || !block.rescue.is_empty(), ..section };
        self.items(&block.tasks, &hosts, inner).await;
        if !block.rescue.is_empty() {
            let failed: Vec<Arc<Host>> =
                hosts.iter().filter(|h| h.state().standing == Standing::Failed).cloned().collect();
            if !failed.is_empty() {
                for host in &failed {
                    host.state().standing = Standing::Active;
                }
                self.items(&block.rescue, &failed, section).await;
            }
        }
        if !block.always.is_empty() {
            self.always(block, &hosts, section).await;
        }
        if let Some(role) = role {
            let key = role_key(&role, block);
            for (host, before) in hosts.iter().zip(before) {
                // A role of which every task was skipped runs when it is used again.
                let ran = self.run.done(host) > before;
                let mut state = host.state();
                if ran {
                    state.roles.insert(key.clone());
                }
                if state.left_role.as_deref() == Some(&role.name) {
                    state.left_role = None;
                    if state.standing == Standing::Ended {
                        state.standing = Standing::Active;
                    }
                }
            }
        }
    }

    /// `always` runs on hosts that failed too; they stay failed.
    async fn always(self: &Arc<Self>, block: &Arc<Block>, hosts: &[Arc<Host>], section: Section) {
        let failed: Vec<Arc<Host>> = hosts.iter().filter(|h| h.state().standing == Standing::Failed).cloned().collect();
        for host in &failed {
            host.state().standing = Standing::Active;
        }
        self.items(&block.always, hosts, section).await;
        for host in failed {
            let mut state = host.state();
            if state.standing == Standing::Active && !state.cleared {
                state.standing = Standing::Failed;
            }
        }
    }

    /// A role runs once with the same parameters, unless it says otherwise.
    fn role_may_run(&self, role: &Role, block: &Block, host: &Host) -> bool {
        role.allow_duplicates || !host.state().roles.contains(&role_key(role, block))
    }

    /// Runs a task on hosts together: a banner, then as many at a time as `forks` allows.
    pub(super) async fn task(self: &Arc<Self>, task: &Arc<Task>, hosts: &[Arc<Host>], section: Section) {
        let Some(first) = hosts.first() else { return };
        if !self.selected(task, first, section) {
            return;
        }
        let info = self.info(task, Some(first), section.handler);
        let run_once = self.flag_of(task, first, |k| k.run_once.as_ref());
        let names =
            if run_once { vec![first.name.to_string()] } else { hosts.iter().map(|h| h.name.to_string()).collect() };
        if !super::task::is_meta(task) {
            self.run.events.emit(Event::TaskStarted { task: info.clone(), hosts: names });
        }
        let ran: Vec<(Arc<Host>, Ran)> = if run_once {
            let ran = self.run_task(task, &info, first, section).await;
            self.share(task, &ran.end, first, hosts);
            let share = ran.includes.clone();
            let meta = ran.meta;
            let mut all = vec![(Arc::clone(first), ran)];
            if !share.is_empty() || meta.is_some() {
                all.extend(
                    hosts[1..]
                        .iter()
                        .map(|host| (Arc::clone(host), Ran { includes: share.clone(), meta, ..Ran::default() })),
                );
            }
            all
        } else {
            let throttle = match self.throttle(task, first) {
                Ok(throttle) => throttle.min(self.forks).max(1),
                Err(error) => return self.run.fail(error),
            };
            let turn = self.turn(task, throttle).await;
            let mut ran: Vec<(usize, Arc<Host>, Ran)> = stream::iter(hosts.iter().cloned().enumerate())
                .map(|(index, host)| {
                    let info = &info;
                    async move {
                        let ran = self.run_task(task, info, &host, section).await;
                        (index, host, ran)
                    }
                })
                .buffer_unordered(throttle)
                .collect()
                .await;
            drop(turn);
            ran.sort_by_key(|(index, ..)| *index);
            ran.into_iter().map(|(_, host, ran)| (host, ran)).collect()
        };
        self.ahead.ended(task, ahead::unsettles(self, task, &ran));
        self.after(task, &info, ran, hosts, section).await;
    }

    /// Whether tags, `--start-at-task` and `end_role` let a task run.
    pub(super) fn selected(&self, task: &Task, host: &Arc<Host>, section: Section) -> bool {
        if section.handler {
            return true;
        }
        let scope = self.scope(task, host);
        let tags = super::tags::of(&task.frame, |node| self.run.templar.value(node, &scope.scope()));
        // What the engine itself brings in (gathering, flushing) is tagged `always`.
        if !super::tags::selected(&tags, &self.run.options.tags, &self.run.options.skip_tags) {
            return false;
        }
        if self.run.seeking.load(std::sync::atomic::Ordering::Relaxed) {
            let wanted = self.run.options.start_at_task.as_deref().unwrap_or_default();
            let name = task.frame.keywords.name.as_ref().map(Node::key_text).unwrap_or_default();
            let full = task.frame.role.as_ref().map(|role| format!("{} : {name}", role.name));
            let glob = glob::Pattern::new(wanted);
            let hit = |text: &str| text == wanted || glob.as_ref().is_ok_and(|g| g.matches(text));
            if !hit(&name) && !full.as_deref().is_some_and(hit) {
                return tags.contains("always") && is_gathering(task);
            }
            self.run.seeking.store(false, std::sync::atomic::Ordering::Relaxed);
        }
        true
    }

    /// A keyword of a task that is true or false; false where it cannot be told.
    pub(super) fn flag_of<'a>(
        &self,
        task: &'a Task,
        host: &Arc<Host>,
        get: impl Fn(&'a Keywords) -> Option<&'a Node>,
    ) -> bool {
        let scope = self.scope(task, host);
        Renderer { templar: &self.run.templar, scope: &scope }.flag(&task.frame, get).ok().flatten().unwrap_or(false)
    }

    fn throttle(&self, task: &Task, host: &Arc<Host>) -> Result<usize, Diagnostic> {
        let scope = self.scope(task, host);
        let text = Renderer { templar: &self.run.templar, scope: &scope }.text(&task.frame, |k| k.throttle.as_ref());
        let wrong = |why: &str| {
            let place = task.frame.inherited(|k| k.throttle.as_ref()).map_or(&task.place, |node| &node.place);
            Diagnostic::error(format!("Failed to convert the throttle value to an integer: {why}"), place)
        };
        let Some(text) = text.map_err(|error| wrong(&error.message))? else { return Ok(usize::MAX) };
        let number: i64 = text.trim().parse().map_err(|_| {
            wrong(&format!("invalid literal for int() with base 10: {}", python::repr(&text.clone().into())))
        })?;
        Ok(usize::try_from(number).ok().filter(|number| *number > 0).unwrap_or(usize::MAX))
    }

    /// Where hosts go by themselves, `throttle` holds over all of them.
    async fn turn(&self, task: &Arc<Task>, throttle: usize) -> Option<OwnedSemaphorePermit> {
        if self.strategy == Strategy::Linear || throttle >= self.forks {
            return None;
        }
        let turns = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let key = Arc::as_ptr(task) as usize;
            Arc::clone(turns.entry(key).or_insert_with(|| Arc::new(Semaphore::new(throttle))))
        };
        turns.acquire_owned().await.ok()
    }

    /// What `run_once` found on one host holds for all.
    fn share(&self, task: &Task, end: &TaskEnd, first: &Arc<Host>, hosts: &[Arc<Host>]) {
        let others = hosts.iter().filter(|h| !Arc::ptr_eq(h, first));
        let standing = first.state().standing;
        for host in others {
            if let Some(name) = task.register.as_ref().and_then(Node::as_str) {
                host.set(name, Value::Object(end.result.clone()));
            }
            if let Some(Value::Object(facts)) = end.result.get("ansible_facts") {
                if task.action.name.as_str().is_some_and(|n| n.ends_with("set_fact")) {
                    for (name, value) in facts {
                        host.set(name, value.clone());
                    }
                } else {
                    host.add_facts(facts, false);
                }
            }
            if standing != Standing::Active {
                host.state().standing = Standing::Failed;
            }
        }
    }

    async fn after(
        self: &Arc<Self>,
        task: &Arc<Task>,
        info: &TaskInfo,
        ran: Vec<(Arc<Host>, Ran)>,
        hosts: &[Arc<Host>],
        section: Section,
    ) {
        let mut metas: Vec<(Arc<Host>, Meta)> = vec![];
        let mut groups: Vec<(Include, Vec<Arc<Host>>)> = vec![];
        for (host, ran) in ran {
            if let Some(meta) = ran.meta {
                metas.push((Arc::clone(&host), meta));
            }
            for include in ran.includes {
                match groups
                    .iter_mut()
                    .find(|(known, hosts)| *known == include && !hosts.iter().any(|h| Arc::ptr_eq(h, &host)))
                {
                    Some((_, hosts)) => hosts.push(Arc::clone(&host)),
                    None => groups.push((include, vec![Arc::clone(&host)])),
                }
            }
        }
        if !metas.is_empty() {
            self.metas(metas, hosts).await;
        }
        for (include, hosts) in groups {
            let hosts: Vec<Arc<Host>> = hosts.into_iter().filter(|h| h.is_active()).collect();
            if !hosts.is_empty() && !self.run.is_over() {
                self.include(task, info, include, &hosts, section).await;
            }
        }
        self.spread_failures(task, hosts, section);
    }

    /// `any_errors_fatal` and `max_fail_percentage`.
    fn spread_failures(&self, task: &Task, hosts: &[Arc<Host>], section: Section) {
        if section.rescued {
            return;
        }
        let broken = |h: &&Arc<Host>| matches!(h.state().standing, Standing::Failed | Standing::Unreachable);
        let Some(first) = hosts.iter().find(broken) else { return };
        let fatal = match task.frame.inherited(|k| k.any_errors_fatal.as_ref()) {
            Some(node) => {
                let scope = self.scope(task, first);
                let value = self.run.templar.value(node, &scope.scope());
                value.ok().and_then(|v| boolean(&v, node).ok()).unwrap_or(false)
            }
            None => self.any_errors_fatal,
        };
        let batch = self.vars.batch.read().unwrap_or_else(PoisonError::into_inner).clone();
        if fatal || self.too_many_failed(&batch) {
            self.spread.store(true, std::sync::atomic::Ordering::Relaxed);
            for host in &batch {
                let mut state = host.state();
                if state.standing == Standing::Active {
                    state.standing = Standing::Failed;
                }
            }
        }
    }

    fn too_many_failed(&self, hosts: &[Arc<Host>]) -> bool {
        let Some(limit) = self.max_fail_percentage else { return false };
        let broken =
            hosts.iter().filter(|h| matches!(h.state().standing, Standing::Failed | Standing::Unreachable)).count();
        #[expect(clippy::cast_precision_loss, reason = "numbers of hosts")]
        let share = broken as f64 / hosts.len().max(1) as f64 * 100.0;
        broken > 0 && share > limit
    }

    async fn metas(self: &Arc<Self>, metas: Vec<(Arc<Host>, Meta)>, hosts: &[Arc<Host>]) {
        let batch = self.vars.batch.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((_, meta)) = metas.first() else { return };
        match meta {
            Meta::FlushHandlers => {
                let hosts: Vec<Arc<Host>> = metas.iter().map(|(h, _)| Arc::clone(h)).collect();
                self.flush_handlers(&hosts).await;
            }
            Meta::EndPlay => {
                for host in &self.vars.all_hosts {
                    end(host);
                }
                let _ = hosts;
            }
            Meta::EndBatch => batch.iter().for_each(|host| end(host)),
            Meta::EndHost => metas.iter().for_each(|(host, _)| end(host)),
            Meta::EndRole => {
                for (host, _) in &metas {
                    end(host);
                }
            }
            Meta::Nothing => {}
            Meta::ClearHostErrors => {
                for host in &self.vars.all_hosts {
                    let mut state = host.state();
                    state.standing = Standing::Active;
                    state.cleared = true;
                }
            }
        }
    }

    /// The task that gathers facts, unless the play (or the configuration) wants none.
    fn gathering(&self) -> Option<Arc<Task>> {
        prepare::gathering(self)
    }

    /// Under `smart` gathering only hosts without facts are asked.
    fn to_gather(&self, hosts: &[Arc<Host>]) -> Vec<Arc<Host>> {
        let smart = self.run.config.gathering == "smart" && self.play.gather_facts.is_none();
        hosts.iter().filter(|h| !smart || !h.state().gathered).cloned().collect()
    }

    /// A scope without a task: for what belongs to the play.
    pub(super) fn play_scope(&self, host: &Arc<Host>) -> TaskScope {
        TaskScope {
            run: Arc::clone(&self.run.vars),
            play: Some(Arc::clone(&self.vars)),
            host: Arc::clone(host),
            frame: None,
            locals: IndexMap::new(),
            check_mode: self.check_mode,
            used: None,
        }
    }
}

fn end(host: &Host) {
    let mut state = host.state();
    if state.standing == Standing::Active {
        state.standing = Standing::Ended;
    }
}

fn is_gathering(task: &Task) -> bool {
    task.action.name.as_str().is_some_and(|n| n.ends_with("gather_facts"))
}

/// Equal keys are the same use of a role.
fn role_key(role: &Role, block: &Block) -> String {
    let json = |node: &Option<Node>| node.as_ref().map(Node::to_json).unwrap_or_default();
    // What an entry of `roles` or `dependencies` says stands around the role.
    let entry = block.frame.parent.as_ref().filter(|parent| parent.kind == FrameKind::Block);
    let keywords = entry.map_or(&block.frame.keywords, |entry| &entry.keywords);
    let conditions: Vec<Value> = keywords.when.iter().map(Node::to_json).collect();
    let tags: Vec<Value> = keywords.tags.iter().map(Node::to_json).collect();
    format!(
        "{}|{}|{}|{}|{:?}|{:?}",
        role.name,
        role.path.display(),
        json(&role.params),
        json(&keywords.vars),
        conditions,
        tags
    )
}

/// The directory of a file.
pub(super) fn directory(path: &Path) -> PathBuf {
    path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
}
