//! Tasks for one host over ssh that travel together: planned ahead as long as nothing that they need is still to come.
//!
//! Results are those of one task at a time. A task joins the batch only if its plan needs no variable that a task before it in the batch
//! may set, if it acts on the same host as the same user, and if nothing but its own reply decides how it ends; whatever else a task
//! needs, it waits for the batch to end.

use std::cell::Cell;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde_json::Value;

use super::batch::{self, Look, Work};
use super::call::Module;
use super::connection::Route;
use super::event::{Event, TaskInfo};
use super::host::Host;
use super::looping::LoopSettings;
use super::play::{PlayRun, Section};
use super::result::{self, TaskEnd};
use super::settings::Settings;
use super::task::Ran;
use super::vars::TaskScope;
use super::work::end_of;
use crate::host::Transport;
use crate::language::{Block, FrameKind, Item, Task};
use crate::modules::Prepared;
use crate::text::Node;

/// Most tasks in one batch: a bound for what is planned in vain when an early one fails.
pub(super) const MOST: usize = 100;

/// Names whose values a batch may change without a name of their own.
const VOLATILE: &[&str] = &["hostvars", "vars", "ansible_failed_task", "ansible_failed_result", "ansible_play_hosts"];

/// Modules that bring facts: what follows may need them.
const FACTS: &[&str] = &["setup", "package_facts", "service_facts", "getent", "mount_facts", "docker_host_info"];

/// A task of the batch.
struct Planned {
    task: Arc<Task>,
    scope: TaskScope,
    settings: Settings,
    what: What,
}

enum What {
    /// A condition was false.
    Skipped(TaskEnd),
    /// One execution.
    One,
    /// One for each item; the first item's work comes first.
    Loop { control: LoopSettings, items: Vec<LoopItem> },
}

struct LoopItem {
    item: Value,
    label: Value,
    scope: TaskScope,
    /// Where its condition was false.
    skipped: Option<TaskEnd>,
}

/// Runs as many of the items (from the first on) as can travel together; returns how many were taken, 0 where that is not for here.
pub(super) async fn run(play: &Arc<PlayRun>, items: &[Item], host: &Arc<Host>, section: Section) -> usize {
    let mut planner = Planner::new(play, host, section);
    let taken = planner.items(items, MOST);
    if planner.work.len() < 2 {
        return 0;
    }
    let Planner { route: Some(route), planned, work, .. } = planner else { return 0 };
    execute(play, host, section, &route, planned, work).await;
    taken
}

/// Plans items for a host, one after another.
pub(super) struct Planner<'a> {
    play: &'a Arc<PlayRun>,
    host: &'a Arc<Host>,
    section: Section,
    /// Names that tasks of the batch will set.
    pending: HashSet<String>,
    route: Option<Route>,
    planned: Vec<Planned>,
    work: Vec<Work>,
    /// The checks of the work, where nothing else is asked for.
    looks: Option<Vec<Look>>,
    /// Tasks that are none of the host's, by their tags.
    passed: Vec<Arc<Task>>,
    /// Whether a task was left out because the host is this machine.
    near: Cell<bool>,
}

impl<'a> Planner<'a> {
    fn new(play: &'a Arc<PlayRun>, host: &'a Arc<Host>, section: Section) -> Self {
        let (pending, planned, work, passed) = (HashSet::new(), vec![], vec![], vec![]);
        Self { play, host, section, pending, route: None, planned, work, looks: None, passed, near: Cell::new(false) }
    }

    /// For checks that are made before their turn.
    pub(super) fn ahead(play: &'a Arc<PlayRun>, host: &'a Arc<Host>, section: Section) -> Self {
        Self { looks: Some(vec![]), ..Self::new(play, host, section) }
    }

    /// Takes items from the first on, until as many tasks are planned; returns how many items that were.
    pub(super) fn items(&mut self, items: &[Item], most: usize) -> usize {
        let mut taken = 0;
        for item in items {
            if self.planned.len() >= most || !self.item(item) {
                break;
            }
            taken += 1;
        }
        taken
    }

    /// Whether planning ended because the host is this machine: nothing has to travel.
    pub(super) fn is_near(&self) -> bool {
        self.near.get()
    }

    /// The tasks that were planned, their checks and the way to the host.
    pub(super) fn looks(self) -> (Vec<Arc<Task>>, Vec<Look>, Option<Route>) {
        let about = self.planned.into_iter().map(|planned| planned.task).chain(self.passed).collect();
        (about, self.looks.unwrap_or_default(), self.route)
    }

    /// Takes an item, whole or not at all.
    fn item(&mut self, item: &Item) -> bool {
        match item {
            Item::Task(task) => self.task(task),
            Item::Block(block) => self.block(block),
        }
    }

    /// Plain blocks are the tasks in them. A role's end is noted by its block, so roles are left to the play.
    fn block(&mut self, block: &Arc<Block>) -> bool {
        if !block.rescue.is_empty() || !block.always.is_empty() || block.frame.kind == FrameKind::Role {
            return false;
        }
        let (planned, work, pending) = (self.planned.len(), self.work.len(), self.pending.clone());
        if block.tasks.iter().all(|item| self.item(item)) {
            return true;
        }
        // A look may end within a block.
        if self.looks.is_some() {
            return false;
        }
        self.planned.truncate(planned);
        self.work.truncate(work);
        self.pending = pending;
        false
    }

    fn task(&mut self, task: &Arc<Task>) -> bool {
        let plain = task.until.is_empty()
            && task.retries.is_none()
            && task.r#async.is_none()
            && task.failed_when.as_ref().is_none_or(|conditions| is_never(conditions))
            && task.changed_when.as_ref().is_none_or(|conditions| conditions.iter().all(is_literal))
            && task.frame.inherited(|k| k.delegate_to.as_ref()).is_none()
            && task.frame.inherited(|k| k.run_once.as_ref()).is_none()
            && task.loop_control.pause.is_none()
            && task.loop_control.break_when.is_empty();
        if !plain || acts_on_read(task) {
            return false;
        }
        if !self.play.selected(task, self.host, self.section) {
            self.passed.push(Arc::clone(task));
            return true;
        }
        let used = Arc::new(Mutex::new(HashSet::new()));
        let mut scope = self.play.scope(task, self.host);
        scope.used = Some(Arc::clone(&used));
        let Some((planned, work, route)) = self.plan(task, scope) else { return false };
        let used = used.lock().unwrap_or_else(PoisonError::into_inner);
        // What other hosts' tasks set is as little known yet.
        let waits = !self.pending.is_empty() || self.looks.is_some() && !self.planned.is_empty();
        if used.iter().any(|name| self.pending.contains(name))
            || waits && used.iter().any(|name| VOLATILE.contains(&name.as_str()))
        {
            return false;
        }
        drop(used);
        let looks = match &self.looks {
            None => vec![],
            Some(_) => match work.iter().map(Look::of).collect::<Option<Vec<Look>>>() {
                Some(looks) => looks,
                None => return false,
            },
        };
        if let Some(route) = route {
            match &self.route {
                Some(known) if known.who != route.who => return false,
                Some(_) => {}
                None => self.route = Some(route),
            }
        }
        if let Some(name) = task.register.as_ref().and_then(Node::as_str) {
            self.pending.insert(name.to_owned());
        }
        self.planned.push(planned);
        match &mut self.looks {
            Some(all) => all.extend(looks),
            None => self.work.extend(work),
        }
        true
    }

    fn plan(&self, task: &Arc<Task>, scope: TaskScope) -> Option<(Planned, Vec<Work>, Option<Route>)> {
        let play = self.play;
        let items = play.loop_items(task, &scope).ok()?;
        let Some(items) = items else {
            if let Some(end) = play.condition(task, &scope).ok()? {
                let settings = Settings::default();
                let what = What::Skipped(end);
                return Some((Planned { task: Arc::clone(task), scope, settings, what }, vec![], None));
            }
            let (settings, work, route) = self.work(task, &scope)?;
            let planned = Planned { task: Arc::clone(task), scope, settings, what: What::One };
            return Some((planned, vec![work], Some(route)));
        };
        if items.is_empty() {
            return None;
        }
        let control = LoopSettings::of(play, task, &scope).ok()?;
        let mut planned = vec![];
        let mut all = vec![];
        let mut found: Option<(Settings, Route)> = None;
        for index in 0..items.len() {
            let scope = control.scope(&scope, &items, index);
            let label = control.label(play, &scope, &items[index]).unwrap_or_else(|_| items[index].clone());
            let skipped = play.condition(task, &scope).ok()?;
            if skipped.is_none() {
                let (settings, work, route) = self.work(task, &scope)?;
                match &found {
                    Some((_, known)) if known.who != route.who => return None,
                    Some(_) => {}
                    None => found = Some((settings, route)),
                }
                all.push(work);
            }
            planned.push(LoopItem { item: items[index].clone(), label, scope, skipped });
        }
        let (settings, route) = found?;
        let what = What::Loop { control, items: planned };
        Some((Planned { task: Arc::clone(task), scope, settings, what }, all, Some(route)))
    }

    /// The work of one execution; none where it can't travel with others.
    fn work(&self, task: &Arc<Task>, scope: &TaskScope) -> Option<(Settings, Work, Route)> {
        let play = self.play;
        let settings = Settings::of(task, &play.run.templar, scope, play.check_mode, play.diff).ok()?;
        let scope = TaskScope { check_mode: settings.check_mode, ..scope.clone() };
        let call = play.call(task, &scope).ok()?;
        let Module::Other(descriptor) = call.module else { return None };
        if FACTS.contains(&descriptor.name) {
            return None;
        }
        let Prepared::Host(module) = (descriptor.prepare)(&call.args).ok()? else { return None };
        let route = play.route(&scope, self.host, &settings).ok()?;
        if matches!(route.target.transport, Transport::Local) {
            self.near.set(true);
            return None;
        }
        let context = play.context(&scope, &settings, self.host, &route);
        let never_fails = settings.ignore_errors || task.failed_when.is_some();
        let work = Work {
            module,
            context,
            environment: settings.environment.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            timeout: settings.timeout,
            passes_failure: never_fails,
            owes: play.owes(task, &scope, &settings),
            group: self.planned.len(),
        };
        Some((settings, work, route))
    }
}

/// `failed_when: false`.
pub(super) fn is_never(conditions: &[Node]) -> bool {
    matches!(conditions, [one] if one.as_bool() == Some(false) || one.as_str() == Some("false"))
}

fn is_literal(condition: &Node) -> bool {
    condition.as_bool().is_some() || matches!(condition.as_str(), Some("true" | "false"))
}

/// Lookups may read what this machine has at that moment, or do something: they wait for their turn.
fn acts_on_read(task: &Task) -> bool {
    fn text(node: &Node) -> bool {
        match &node.kind {
            crate::text::Kind::Str(text, _) => {
                ["lookup(", "query(", "q(", "random", "now("].iter().any(|w| text.contains(w))
            }
            crate::text::Kind::Seq(items) => items.iter().any(text),
            crate::text::Kind::Map(entries) => entries.iter().any(|(_, v)| text(v)),
            _ => false,
        }
    }
    let frame = task.frame.conditions().into_iter().any(text)
        || task.frame.levels().filter_map(|l| l.keywords.vars.as_ref()).any(text);
    let with = |l: &crate::language::Loop| match &l.kind {
        crate::language::LoopKind::List => text(&l.items),
        crate::language::LoopKind::With(name) => !matches!(name.as_str(), "items" | "list" | "dict") || text(&l.items),
    };
    frame
        || text(&task.action.args)
        || task.action.free_form.as_ref().is_some_and(text)
        || task.r#loop.as_ref().is_some_and(with)
}

/// Whose turn it is: a planned task and, in a loop, its item.
struct Cursor {
    task: usize,
    /// How the task is shown, from its banner on.
    info: Option<TaskInfo>,
    item: usize,
    ends: Vec<TaskEnd>,
    began: Instant,
}

async fn execute(
    play: &Arc<PlayRun>,
    host: &Arc<Host>,
    section: Section,
    route: &Route,
    planned: Vec<Planned>,
    work: Vec<Work>,
) {
    let mut turn = Turn {
        play,
        host,
        section,
        planned: &planned,
        cursor: Cursor { task: 0, info: None, item: 0, ends: vec![], began: Instant::now() },
    };
    turn.announce();
    let session = match play.run.sessions.get(route, &play.run.events).await {
        Ok(session) => session,
        Err(error) => {
            // Everything before the first work is skipped tasks: they have their turn, then the host is lost.
            if turn.skips() {
                turn.end(TaskEnd::unreachable(&error.to_string()));
            }
            return;
        }
    };
    if !turn.skips() {
        return;
    }
    let mut lost = false;
    batch::run(&session, route.who.as_ref(), work, &mut |_, end| {
        let end = end_of(end);
        lost |= end.unreachable;
        turn.end(end) && turn.skips()
    })
    .await;
    if lost {
        play.run.sessions.drop_route(route).await;
    }
}

struct Turn<'a> {
    play: &'a Arc<PlayRun>,
    host: &'a Arc<Host>,
    section: Section,
    planned: &'a [Planned],
    cursor: Cursor,
}

impl Turn<'_> {
    /// The banner of the task whose turn it is.
    fn announce(&mut self) {
        if let Some(planned) = self.planned.get(self.cursor.task) {
            let info = self.play.info(&planned.task, Some(self.host), self.section.handler);
            let hosts = vec![self.host.name.to_string()];
            self.play.run.events.emit(Event::TaskStarted { task: info.clone(), hosts });
            self.cursor.info = Some(info);
        }
    }

    /// Ends what is skipped, up to the next that has work; false where the host is out.
    fn skips(&mut self) -> bool {
        loop {
            let Some(planned) = self.planned.get(self.cursor.task) else { return true };
            let skipped = match &planned.what {
                What::Skipped(end) => Some(end.clone()),
                What::One => None,
                What::Loop { items, .. } => items.get(self.cursor.item).and_then(|item| item.skipped.clone()),
            };
            match skipped {
                None => return true,
                Some(end) => {
                    if !self.end(end) {
                        return false;
                    }
                }
            }
        }
    }

    /// One execution (or item) ended: reports it, and its task where that is whole. False stops the batch.
    fn end(&mut self, mut end: TaskEnd) -> bool {
        let Some((planned, info)) = self.planned.get(self.cursor.task).zip(self.cursor.info.clone()) else {
            return false;
        };
        let took = self.cursor.began.elapsed();
        let ignored =
            if end.unreachable { planned.settings.ignore_unreachable } else { planned.settings.ignore_errors };
        match &planned.what {
            What::Skipped(_) => self.finish(planned, &info, Ran { end, ..Ran::default() }),
            What::One => {
                result::judge(&planned.task, &mut end, &self.play.run.templar, &planned.scope);
                self.finish(planned, &info, Ran { end, ignored, ..Ran::default() })
            }
            What::Loop { control, items } => {
                let item = &items[self.cursor.item];
                result::judge(&planned.task, &mut end, &self.play.run.templar, &item.scope);
                control.mark(&mut end, &item.item, self.cursor.item);
                let one = Ran { end, ignored, ..Ran::default() };
                let report = self.play.report(&info, self.host, &one, Some(item.label.clone()), took);
                self.play.run.events.emit(Event::ItemEnded(report));
                let over = one.end.unreachable;
                self.cursor.ends.push(one.end);
                self.cursor.item += 1;
                self.cursor.began = Instant::now();
                if self.cursor.item < items.len() && !over {
                    return true;
                }
                let end = result::of_loop(std::mem::take(&mut self.cursor.ends));
                self.finish(planned, &info, Ran { end, ignored, ..Ran::default() })
            }
        }
    }

    fn finish(&mut self, planned: &Planned, info: &TaskInfo, mut ran: Ran) -> bool {
        let took = self.cursor.began.elapsed();
        self.play.finish(&planned.task, info, self.host, &planned.scope, &mut ran, self.section, took);
        self.cursor.task += 1;
        self.cursor.item = 0;
        self.cursor.began = Instant::now();
        let on = self.host.is_active() && !self.play.run.is_over();
        if on {
            self.announce();
        }
        on
    }
}
