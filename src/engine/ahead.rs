//! Several hosts that go task by task: what their next tasks will find is asked for before their turn, in one round trip a host.
//!
//! A look changes nothing. What it found stands in for a task's own check only where that check is the very script that was sent, the
//! host was as asked, and no task changed anything on any host since. So results are those of one task at a time, while a converged
//! play takes few round trips. Where looks turn out to be in vain, the next is about fewer tasks.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{self, StreamExt as _};

use super::batch::{self, Look, Work};
use super::call::{Module, resolve};
use super::connection::Route;
use super::host::Host;
use super::play::{PlayRun, Section};
use super::sequence::{MOST, Planner};
use super::task::Ran;
use crate::host::Become;
use crate::language::{Item, Task};
use crate::modules::Outcome;

/// Modules that act whatever they find, or whose look costs as much as the work.
const ACTS: &[&str] = &["raw", "script", "tempfile", "reboot", "fetch", "crudctl_lock"];

/// Modules that act unless `creates` or `removes` say otherwise.
const COMMANDS: &[&str] = &["command", "shell"];

/// What is known of the tasks to come.
pub(super) struct Ahead(Mutex<State>);

struct State {
    /// How many tasks the next look is about; fewer than two are no look.
    window: usize,
    hosts: HashMap<Arc<str>, Seen>,
    /// Hosts that are this machine: to ask them costs no round trip.
    near: HashSet<Arc<str>>,
}

/// What a look found on a host.
#[derive(Default)]
struct Seen {
    /// The tasks that it was about.
    about: HashSet<usize>,
    /// Who was asked what, and the result of what was as asked.
    found: Vec<(Option<Become>, batch::Asked, Outcome)>,
}

impl Default for Ahead {
    fn default() -> Self {
        Self(Mutex::new(State { window: MOST, hosts: HashMap::new(), near: HashSet::new() }))
    }
}

impl Ahead {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a look has found for this very work, if all that it rests on still holds.
    pub(super) fn found(&self, host: &Host, route: &Route, work: &Work) -> Option<Outcome> {
        if self.state().hosts.get(&host.name).is_none_or(|seen| seen.found.is_empty()) {
            return None;
        }
        let asked = Look::of(work)?.asked;
        let mut state = self.state();
        let found = &mut state.hosts.get_mut(&host.name)?.found;
        let at = found.iter().position(|(who, known, _)| *who == route.who && *known == asked)?;
        Some(found.remove(at).2)
    }

    /// A task ended: where it changed something, nothing that was seen before is known any more.
    pub(super) fn ended(&self, task: &Arc<Task>, changed: bool) {
        if !changed {
            return;
        }
        let mut state = self.state();
        state.hosts.clear();
        // What is behind it will have to be done as likely.
        if !always_acts(task) {
            state.window = 1;
        }
    }

    /// The hosts that nothing is known of for this task, and how many tasks to look at.
    fn missing(&self, task: &Arc<Task>, hosts: &[Arc<Host>]) -> (Vec<Arc<Host>>, usize) {
        let mut state = self.state();
        let known = |host: &Host| state.hosts.get(&host.name).is_some_and(|seen| seen.about.contains(&key(task)));
        let missing = |host: &&Arc<Host>| !state.near.contains(&host.name) && !known(host);
        let hosts: Vec<Arc<Host>> = hosts.iter().filter(missing).cloned().collect();
        let window = state.window;
        if !hosts.is_empty() {
            state.window = (window * 2).min(MOST);
        }
        (hosts, window)
    }
}

/// What tells a task from others of the play.
fn key(task: &Arc<Task>) -> usize {
    Arc::as_ptr(task) as usize
}

/// Whether a task may have changed something that a look rests on.
pub(super) fn unsettles(play: &PlayRun, task: &Task, ran: &[(Arc<Host>, Ran)]) -> bool {
    let dry = play.check_mode && task.frame.inherited(|k| k.check_mode.as_ref()).is_none();
    let acted = |ran: &Ran| ran.end.changed() || ran.end.failed() || ran.end.unreachable;
    task.r#async.is_some() || !dry && ran.iter().any(|(_, ran)| acted(ran))
}

/// Looks at what the items' tasks will find on those of the hosts of which it is not known.
pub(super) async fn look(play: &Arc<PlayRun>, items: &[Item], hosts: &[Arc<Host>], section: Section) {
    let Some(Item::Task(first)) = items.first() else { return };
    if play.run.seeking.load(Ordering::Relaxed) || always_acts(first) {
        return;
    }
    let (hosts, window) = play.ahead.missing(first, hosts);
    if window < 2 {
        return;
    }
    stream::iter(hosts)
        .for_each_concurrent(play.forks, |host| async move { look_at(play, items, &host, section, window).await })
        .await;
}

async fn look_at(play: &Arc<PlayRun>, items: &[Item], host: &Arc<Host>, section: Section, window: usize) {
    let mut planner = Planner::ahead(play, host, section);
    planner.items(items, window);
    if planner.is_near() {
        play.ahead.state().near.insert(Arc::clone(&host.name));
    }
    let (about, looks, route) = planner.looks();
    let Some(route) = route.filter(|_| looks.len() > 1) else { return };
    // A host that was never reached is left to the task's turn: nobody waits for it twice.
    let Some(session) = play.run.sessions.known(&route).await else { return };
    let found = batch::look(&session, route.who.as_ref(), looks).await;
    let seen = Seen {
        about: about.iter().map(key).collect(),
        found: found.into_iter().map(|(asked, outcome)| (route.who.clone(), asked, outcome)).collect(),
    };
    play.ahead.state().hosts.insert(Arc::clone(&host.name), seen);
}

/// Whether it is plain from the task's text that there is nothing to look at.
fn always_acts(task: &Task) -> bool {
    let Some(Module::Other(descriptor)) = task.action.name.as_str().and_then(resolve) else { return true };
    let guarded = || ["creates", "removes"].iter().any(|name| task.action.args.get(name).is_some());
    ACTS.contains(&descriptor.name) || COMMANDS.contains(&descriptor.name) && !guarded()
}
