//! What a play needs before its first task: hosts and batches, prompts, variable files, keywords.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use indexmap::IndexMap;
use serde_json::Value;

use super::ahead::Ahead;
use super::event::Event;
use super::handlers::Handler;
use super::host::{Host, Standing};
use super::owed;
use super::play::{PlayRun, Strategy};
use super::run::Run;
use super::settings::boolean;
use super::task::text_of;
use super::vars::{PlayVars, TaskScope};
use crate::language::{Action, Block, Frame, FrameKind, Item, Keywords, Play, Role, Task};
use crate::text::{Diagnostic, Kind, Node, Place};

/// A play that can start.
pub(super) struct Prepared {
    pub play: Arc<PlayRun>,
    /// Its hosts, in batches.
    pub batches: Vec<Vec<Arc<Host>>>,
}

/// Prepares a play; none where it has no hosts.
pub(super) async fn prepare(run: &Arc<Run>, play: &Arc<Play>, dir: &Path) -> Result<Option<Prepared>, Diagnostic> {
    let mut vars = PlayVars {
        dir: dir.to_owned(),
        frame: Some(Arc::clone(&play.frame)),
        roles: RwLock::new(exported(run, play)),
        ..PlayVars::default()
    };
    vars.prompts = prompts(run, play, &vars).await?;
    let vars = Arc::new(vars);
    let scope = scope(run, &vars, &run.vars.host("localhost"));
    let keywords = PlayKeywords { run, scope: &scope };
    let patterns = keywords.patterns(&play.hosts)?;
    let names = keywords.hosts(&patterns, play)?;
    let title = match &play.frame.keywords.name {
        Some(name) => text_of(&run.templar.value(name, &scope.scope()).unwrap_or_else(|_| name.to_json())),
        None => patterns.clone(),
    };
    let hosts: Vec<Arc<Host>> = names.iter().map(|name| run.vars.host(name)).collect();
    let check_mode = keywords.flag(play.frame.keywords.check_mode.as_ref())?.unwrap_or(run.options.check_mode);
    let diff = keywords.flag(play.frame.keywords.diff.as_ref())?.unwrap_or(run.options.diff);
    let usable: Vec<Arc<Host>> = hosts
        .iter()
        .filter(|h| !matches!(h.state().standing, Standing::Failed | Standing::Unreachable))
        .cloned()
        .collect();
    run.events.emit(Event::PlayStarted {
        name: if title.trim().is_empty() { patterns.clone() } else { title.clone() },
        hosts: usable.iter().map(|h| h.name.to_string()).collect(),
        check_mode,
    });
    if usable.is_empty() {
        run.events.emit(Event::NoHosts { remaining: !hosts.is_empty() });
        return Ok(None);
    }
    // Batches are of all hosts that the play still can use.
    let batches = keywords.batches(play.serial.as_ref(), &usable)?;
    let vars = Arc::new(PlayVars {
        name: title,
        dir: vars.dir.clone(),
        frame: vars.frame.clone(),
        prompts: vars.prompts.clone(),
        roles: RwLock::new(exported(run, play)),
        all_hosts: usable.clone(),
        batch: RwLock::new(usable.clone()),
    });
    for host in &usable {
        let files = vars_files(run, play, &vars, host)?;
        host.write().files = files;
    }
    let strategy = keywords.text(play.strategy.as_ref())?.unwrap_or_else(|| run.config.strategy.clone());
    let strategy = match strategy.rsplit('.').next().unwrap_or_default() {
        "linear" | "debug" => Strategy::Linear,
        "free" | "host_pinned" => Strategy::Free,
        other => {
            let place = play.strategy.as_ref().map_or(&play.place, |node| &node.place);
            return Err(Diagnostic::error(format!("Invalid play strategy specified: {other}"), place));
        }
    };
    let percentage = keywords.text(play.max_fail_percentage.as_ref())?;
    let percentage = percentage.and_then(|text| text.trim_end_matches('%').parse().ok());
    let mut handlers = vec![];
    Handler::collect(&play.handlers, &mut handlers);
    let force = keywords.flag(play.force_handlers.as_ref())?;
    let force_handlers = force.unwrap_or(run.options.force_handlers || run.config.force_handlers);
    let any_errors_fatal = run.config.any_errors_fatal;
    let forks = run.options.forks.max(1);
    let play = Arc::new(PlayRun {
        run: Arc::clone(run),
        play: Arc::clone(play),
        mark: owed::mark(&play.place.source.name, &vars.name),
        vars,
        handlers: Mutex::new(handlers),
        check_mode,
        diff,
        strategy,
        force_handlers,
        any_errors_fatal,
        max_fail_percentage: percentage,
        spread: std::sync::atomic::AtomicBool::new(false),
        forks,
        ahead: Ahead::default(),
        turns: Mutex::default(),
    });
    Ok(Some(Prepared { play, batches }))
}

fn scope(run: &Arc<Run>, vars: &Arc<PlayVars>, host: &Arc<Host>) -> TaskScope {
    TaskScope {
        run: Arc::clone(&run.vars),
        play: Some(Arc::clone(vars)),
        host: Arc::clone(host),
        frame: None,
        locals: IndexMap::new(),
        check_mode: run.options.check_mode,
        used: None,
    }
}

/// Roles whose variables the whole play sees: those of `roles:` and those that were imported.
fn exported(run: &Run, play: &Play) -> Vec<Arc<Role>> {
    let mut roles = vec![];
    for items in [&play.roles, &play.pre_tasks, &play.tasks, &play.post_tasks] {
        collect_roles(items, &mut roles);
    }
    let usual = run.config.private_role_vars != Some(true);
    roles.retain(|role| role.public.unwrap_or(usual));
    roles
}

fn collect_roles(items: &[Item], roles: &mut Vec<Arc<Role>>) {
    for item in items {
        if let Item::Block(block) = item {
            let mut own = None;
            if block.frame.kind == FrameKind::Role
                && let Some(role) = &block.frame.role
            {
                own = Some(role);
            }
            let Block { tasks, rescue, always, .. } = &**block;
            for items in [tasks, rescue, always] {
                collect_roles(items, roles);
            }
            // Behind its dependencies: what it says wins over what they say.
            if let Some(role) = own.filter(|role| !roles.iter().any(|r| Arc::ptr_eq(r, role))) {
                roles.push(Arc::clone(role));
            }
        }
    }
}

struct PlayKeywords<'a> {
    run: &'a Arc<Run>,
    scope: &'a TaskScope,
}

impl PlayKeywords<'_> {
    fn value(&self, node: Option<&Node>) -> Result<Option<Value>, Diagnostic> {
        let Some(node) = node else { return Ok(None) };
        Ok(Some(self.run.templar.value(node, &self.scope.scope())?).filter(|v| !v.is_null()))
    }

    fn text(&self, node: Option<&Node>) -> Result<Option<String>, Diagnostic> {
        Ok(self.value(node)?.map(|v| text_of(&v)))
    }

    fn flag(&self, node: Option<&Node>) -> Result<Option<bool>, Diagnostic> {
        let Some(node) = node else { return Ok(None) };
        self.value(Some(node))?.map(|v| boolean(&v, node)).transpose()
    }

    /// `hosts`, as one pattern.
    fn patterns(&self, node: &Node) -> Result<String, Diagnostic> {
        match self.value(Some(node))? {
            Some(Value::Array(items)) => Ok(items.iter().map(text_of).collect::<Vec<_>>().join(",")),
            Some(value) => Ok(text_of(&value)),
            None => Err(Diagnostic::error("Hosts list cannot be empty. Please check your playbook", &node.place)),
        }
    }

    fn hosts(&self, pattern: &str, play: &Play) -> Result<Vec<String>, Diagnostic> {
        let inventory = self.run.vars.inventory();
        let at = |mut error: Diagnostic| {
            error.place.get_or_insert_with(|| play.hosts.place.clone());
            error
        };
        let mut names = inventory.matching(pattern).map_err(at)?;
        if names.is_empty() && !matches!(pattern, "all" | "*") {
            let message = format!("Could not match supplied host pattern, ignoring: {pattern}");
            match self.run.config.host_pattern_mismatch.as_str() {
                "error" => return Err(Diagnostic::error(message, &play.hosts.place)),
                "ignore" => {}
                _ => self.run.events.warning(message),
            }
        }
        if let Some(limit) = &self.run.options.limit {
            let limited = inventory.matching(limit)?;
            names.retain(|name| limited.contains(name));
        }
        drop(inventory);
        match self.text(play.order.as_ref())?.as_deref() {
            None | Some("inventory") => {}
            Some("sorted") => names.sort(),
            Some("reverse_sorted") => {
                names.sort();
                names.reverse();
            }
            Some("reverse_inventory") => names.reverse(),
            Some("shuffle") => {
                // Order by random keys.
                let mut keyed: Vec<(uuid::Uuid, String)> =
                    names.into_iter().map(|name| (uuid::Uuid::new_v4(), name)).collect();
                keyed.sort();
                names = keyed.into_iter().map(|(_, name)| name).collect();
            }
            Some(other) => {
                let place = play.order.as_ref().map_or(&play.place, |n| &n.place);
                return Err(Diagnostic::error(
                    format!("Invalid 'order' specified for inventory hosts: {other}"),
                    place,
                ));
            }
        }
        Ok(names)
    }

    /// `serial`: numbers and percentages; the last holds for the rest.
    fn batches(&self, serial: Option<&Node>, hosts: &[Arc<Host>]) -> Result<Vec<Vec<Arc<Host>>>, Diagnostic> {
        let sizes = match self.value(serial)? {
            None => return Ok(vec![hosts.to_vec()]),
            Some(Value::Array(items)) => items,
            Some(one) => vec![one],
        };
        let mut rest = hosts;
        let mut batches = vec![];
        let mut index = 0;
        while !rest.is_empty() {
            let size = sizes.get(index).or(sizes.last()).map(text_of).unwrap_or_default();
            let number = match size.strip_suffix('%') {
                Some(share) => share.trim().parse::<usize>().map(|p| (p * hosts.len() / 100).max(1)),
                None => size.trim().parse::<usize>(),
            };
            let number = number.map_err(|_| {
                let place = serial.map_or_else(|| Place::synthetic("serial"), |n| n.place.clone());
                Diagnostic::error(format!("`{size}` is no batch size: a number or a percentage is wanted"), &place)
            })?;
            let number = if number == 0 { rest.len() } else { number.min(rest.len()) };
            let (batch, more) = rest.split_at(number);
            batches.push(batch.to_vec());
            rest = more;
            index += 1;
        }
        Ok(batches)
    }
}

/// Asks for `vars_prompt` (or takes the defaults where nobody can be asked).
async fn prompts(run: &Arc<Run>, play: &Play, vars: &PlayVars) -> Result<IndexMap<String, Value>, Diagnostic> {
    use std::io::IsTerminal as _;
    let mut out = IndexMap::new();
    let _ = vars;
    for node in &play.vars_prompt {
        let name = node
            .get("name")
            .map(Node::key_text)
            .ok_or_else(|| Diagnostic::error("Invalid vars_prompt data structure, missing 'name' key", &node.place))?;
        if run.options.extra_vars.contains_key(&name) {
            continue;
        }
        let text = |key: &str| node.get(key).filter(|n| !n.is_null()).map(Node::key_text);
        let flag = |key: &str, default: bool| node.get(key).map_or(Ok(default), |n| boolean(&n.to_json(), n));
        let private = flag("private", true)?;
        let default = text("default");
        let shown = match (text("prompt"), &default) {
            (Some(prompt), Some(default)) => format!("{prompt} [{default}]"),
            (Some(prompt), None) => prompt,
            (None, _) => format!("input for {name}"),
        };
        let interactive = std::io::stdin().is_terminal();
        let mut value = if interactive { ask(&shown, private).await? } else { String::new() };
        if interactive && flag("confirm", false)? {
            while ask(&format!("confirm {shown}"), private).await? != value {
                value = ask(&shown, private).await?;
            }
        }
        if value.is_empty() {
            if !interactive && default.is_none() {
                run.events.warning("Not prompting as we are not in interactive mode");
            }
            value = default.unwrap_or_default();
        }
        if private {
            run.events.secrets().track_text(&value);
        }
        out.insert(name, Value::String(value));
    }
    Ok(out)
}

/// Asks at the terminal.
async fn ask(question: &str, private: bool) -> Result<String, Diagnostic> {
    let question = format!("{question}: ");
    let answer = tokio::task::spawn_blocking(move || crate::cli::prompt::line(&question, !private)).await;
    match answer {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(Diagnostic::plain(format!("{error:#}"))),
        Err(error) => Err(Diagnostic::plain(error.to_string())),
    }
}

/// `vars_files` as a host sees them: the first of each list of alternatives that exists.
fn vars_files(
    run: &Arc<Run>,
    play: &Play,
    vars: &Arc<PlayVars>,
    host: &Arc<Host>,
) -> Result<IndexMap<String, Node>, Diagnostic> {
    let mut out = IndexMap::new();
    let scope = scope(run, vars, host);
    host.write().files.clear();
    for node in &play.vars_files {
        let alternatives: Vec<&Node> = match &node.kind {
            Kind::Seq(items) => items.iter().collect(),
            _ => vec![node],
        };
        let mut found = None;
        let mut tried: Vec<String> = vec![];
        let mut unknown = None;
        for alternative in alternatives {
            // A name that refers to facts which are not there yet is left for the next alternative.
            let name = match run.templar.value(alternative, &scope.scope()) {
                Ok(value) => text_of(&value),
                Err(error) => {
                    unknown = Some(error);
                    continue;
                }
            };
            let candidates = [vars.dir.join("vars").join(&name), vars.dir.join(&name)];
            let path: Option<PathBuf> = if Path::new(&name).is_absolute() {
                Some(PathBuf::from(&name)).filter(|p| p.exists())
            } else {
                candidates.into_iter().find(|p| p.exists())
            };
            tried.push(name);
            if path.is_some() {
                found = path;
                break;
            }
        }
        match found {
            Some(path) => {
                for (key, value) in run.loader.vars_file(&path)?.entries() {
                    out.insert(key.key_text(), value.clone());
                }
            }
            None if unknown.is_some() => {}
            None => {
                return Err(Diagnostic::error(format!("vars file {} was not found", tried.join(", ")), &node.place)
                    .hint("Could not find file on the Ansible Controller."));
            }
        }
    }
    Ok(out)
}

/// The task that gathers facts at the start of a play, where facts are wanted.
pub(super) fn gathering(play: &PlayRun) -> Option<Arc<Task>> {
    let wanted = match &play.play.gather_facts {
        Some(node) => {
            let host = play.vars.all_hosts.first()?;
            let value = play.run.templar.value(node, &play.play_scope(host).scope()).ok()?;
            boolean(&value, node).unwrap_or(true)
        }
        None => play.run.config.gathering != "explicit",
    };
    if !wanted {
        return None;
    }
    let place = Place::synthetic("<gather_facts>");
    let text = |text: &str| Node::new(Kind::Str(text.to_owned(), crate::text::Style::Plain), place.clone());
    let subset = play.play.gather_subset.clone();
    let entries = subset.map(|node| (text("gather_subset"), node)).into_iter().collect();
    let keywords = Keywords { name: Some(text("Gathering Facts")), tags: vec![text("always")], ..Keywords::default() };
    let frame = Frame {
        kind: FrameKind::Task,
        keywords,
        role: None,
        file: play.play.frame.file.clone(),
        parent: Some(Arc::clone(&play.play.frame)),
    };
    let action =
        Action { name: text("gather_facts"), args: Node::new(Kind::Map(entries), place.clone()), free_form: None };
    Some(Arc::new(Task::plain(frame, play.play.place.clone(), action)))
}
