//! The static check: everything about a playbook that is wrong whatever the hosts are like, all at once.

use std::collections::HashSet;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::engine::flow;
use crate::modules;
use crate::text::{Diagnostic, Kind, Node, did_you_mean, typed};

use super::keywords::Keywords;
use super::load::is_name;
use super::loader::{Loader, RoleUse};
use super::playbook::Playbook;
use super::task::{Item, LoopKind, Task};
use super::template::Templar;

/// Checks a playbook that was read: modules, their arguments, templates, conditions, lookups.
pub fn check(playbook: &Playbook, templar: &Templar, _loader: &Loader) -> Vec<Diagnostic> {
    checked(Checker::new(templar), playbook)
}

/// Reads a playbook and checks it: what is wrong with its form and what is wrong with its parts come together.
///
/// # Errors
/// Everything that is wrong.
pub fn read(path: &Path, templar: &Templar, loader: &Loader) -> Result<Playbook, Vec<Diagnostic>> {
    let (playbook, errors) = loader.playbook_partly(path);
    let checker = Checker { found: errors, ..Checker::new(templar) };
    let errors = checked(checker, &playbook);
    if errors.is_empty() { Ok(playbook) } else { Err(errors) }
}

/// As [`read`], and follows includes whose names are no templates: roles and files that don't exist (yet) are errors, too.
///
/// # Errors
/// Everything that is wrong.
pub fn read_whole(path: &Path, templar: &Templar, loader: &Loader) -> Result<Playbook, Vec<Diagnostic>> {
    let (playbook, errors) = loader.playbook_partly(path);
    let checker = Checker { found: errors, follow: Some(loader), ..Checker::new(templar) };
    let errors = checked(checker, &playbook);
    if errors.is_empty() { Ok(playbook) } else { Err(errors) }
}

fn checked(mut checker: Checker<'_>, playbook: &Playbook) -> Vec<Diagnostic> {
    for play in &playbook.plays {
        checker.keywords(&play.frame.keywords);
        for node in [&play.serial, &play.strategy, &play.gather_facts].into_iter().flatten() {
            checker.template(node);
        }
        checker.template(&play.hosts);
        for items in [&play.pre_tasks, &play.roles, &play.tasks, &play.post_tasks, &play.handlers] {
            checker.items(items);
        }
    }
    checker.found.sort_by_key(|d| d.place.as_ref().map(|p| (p.source.name.clone(), p.start)));
    checker.found.dedup_by(|a, b| a.message == b.message && a.place == b.place);
    checker.found
}

struct Checker<'a> {
    templar: &'a Templar,
    found: Vec<Diagnostic>,
    /// Reads what is included at run time, where that is wanted.
    follow: Option<&'a Loader>,
    /// What was followed already.
    followed: HashSet<String>,
}

impl<'a> Checker<'a> {
    fn new(templar: &'a Templar) -> Self {
        Self { templar, found: vec![], follow: None, followed: HashSet::new() }
    }

    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Task(task) => self.task(task),
                Item::Block(block) => {
                    self.keywords(&block.frame.keywords);
                    if let Some(role) = &block.frame.role
                        && block.frame.kind == super::keywords::FrameKind::Role
                    {
                        for node in [&role.defaults, &role.vars, &role.params].into_iter().flatten() {
                            self.template(node);
                        }
                    }
                    for part in [&block.tasks, &block.rescue, &block.always] {
                        self.items(part);
                    }
                }
            }
        }
    }

    fn template(&mut self, node: &Node) {
        self.found.extend(self.templar.check(node));
    }

    fn condition(&mut self, node: &Node) {
        self.found.extend(self.templar.check_expression(node));
    }

    /// A keyword's value has this type, unless it is a template.
    fn wants<T: DeserializeOwned>(&mut self, keyword: &str, node: Option<&Node>) {
        if let Some(node) = node.filter(|node| !node.is_null())
            && let Err(error) = typed::<T>(node)
        {
            self.found.push(Diagnostic {
                message: format!("the field '{keyword}' has an invalid value: {}", error.message),
                ..error
            });
        }
    }

    fn types(&mut self, k: &Keywords) {
        self.wants::<bool>("become", k.r#become.as_ref());
        self.wants::<bool>("no_log", k.no_log.as_ref());
        self.wants::<bool>("ignore_errors", k.ignore_errors.as_ref());
        self.wants::<bool>("check_mode", k.check_mode.as_ref());
        self.wants::<bool>("run_once", k.run_once.as_ref());
        self.wants::<i64>("port", k.port.as_ref());
        self.wants::<i64>("timeout", k.timeout.as_ref());
    }

    fn keywords(&mut self, keywords: &Keywords) {
        self.types(keywords);
        keywords.when.iter().for_each(|node| self.condition(node));
        let k = keywords;
        let nodes = [
            &k.name,
            &k.vars,
            &k.r#become,
            &k.become_user,
            &k.connection,
            &k.remote_user,
            &k.port,
            &k.environment,
            &k.no_log,
            &k.ignore_errors,
            &k.check_mode,
            &k.run_once,
            &k.delegate_to,
            &k.timeout,
            &k.module_defaults,
        ];
        nodes.into_iter().flatten().for_each(|node| self.template(node));
        keywords.tags.iter().for_each(|node| self.template(node));
    }

    fn task(&mut self, task: &Task) {
        self.keywords(&task.frame.keywords);
        for conditions in
            [Some(&task.until), task.failed_when.as_ref(), task.changed_when.as_ref()].into_iter().flatten()
        {
            conditions.iter().for_each(|node| self.condition(node));
        }
        self.wants::<i64>("retries", task.retries.as_ref());
        self.wants::<f64>("delay", task.delay.as_ref());
        self.wants::<i64>("async", task.r#async.as_ref());
        self.wants::<i64>("poll", task.poll.as_ref());
        if let Some(r#loop) = &task.r#loop {
            self.template(&r#loop.items);
            let scalar = matches!(
                r#loop.items.kind,
                Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Str(..) | Kind::Map(_)
            );
            if r#loop.kind == LoopKind::List && scalar && !r#loop.items.is_template() {
                let message = "Invalid data passed to 'loop', it requires a list";
                self.found.push(Diagnostic::error(message, &r#loop.items.place));
            }
            if let LoopKind::With(name) = &r#loop.kind
                && !Templar::has_lookup(name)
            {
                let message = format!("there is no lookup `{name}`, which `with_{name}` needs");
                self.found.push(Diagnostic::error(message, &r#loop.items.place));
            }
        }
        task.notify.iter().for_each(|node| self.template(node));
        self.action(task);
    }

    fn action(&mut self, task: &Task) {
        let action = &task.action;
        self.template(&action.name);
        if let Some(text) = &action.free_form {
            self.template(text);
        }
        let name = action.name.key_text();
        if action.name.is_template() {
            self.template(&action.args);
            return;
        }
        let short =
            name.strip_prefix("ansible.builtin.").or_else(|| name.strip_prefix("ansible.legacy.")).unwrap_or(&name);
        if flow::NAMES.contains(&short) {
            self.flow(short, &action.args);
            if let Some(loader) = self.follow {
                self.include(short, task, loader);
            }
            return;
        }
        self.template(&action.args);
        let Some(descriptor) = modules::find(&name) else {
            let names = flow::NAMES.iter().copied().chain(modules::all().map(|d| d.name));
            let error = Diagnostic::error(format!("there is no module `{name}`"), &action.name.place);
            self.found.push(match did_you_mean(&name, names) {
                Some(close) => error.hint(format!("did you mean `{close}`?")),
                None => error,
            });
            return;
        };
        let Kind::Map(entries) = &action.args.kind else { return };
        let mut entries = entries.clone();
        match (descriptor.free_form, &action.free_form) {
            (Some(parameter), Some(text)) => entries.push((Node::data(parameter, &text.place), text.clone())),
            (None, Some(text)) if !text.is_null() => {
                let message = format!("`{name}` takes no free-form text");
                self.found.push(Diagnostic::error(message, &text.place).hint("write its arguments as `name: value`"));
            }
            _ => {}
        }
        // What the task leaves to `module_defaults` can't be missed here.
        let defaults = task.frame.inherited(|k| k.module_defaults.as_ref()).is_some();
        let args = Node::new(Kind::Map(entries), action.args.place.clone());
        if let Err(error) = (descriptor.prepare)(&args)
            && !(defaults && error.message.starts_with("missing required arguments"))
        {
            self.found.push(error);
        }
    }

    fn flow(&mut self, name: &str, args: &Node) {
        for (key, value) in args.entries() {
            let text = key.key_text();
            if let Some(known) = flow::parameters(name)
                && !known.contains(&text.as_str())
            {
                let error = Diagnostic::error(format!("unknown parameter `{text}`"), &key.place);
                self.found.push(match did_you_mean(&text, known.iter().copied()) {
                    Some(close) => error.hint(format!("did you mean `{close}`?")),
                    None => error.note(format!("supported are {}", known.join(", "))),
                });
            }
            match (name, text.as_str()) {
                ("assert", "that") => self.condition(value),
                ("debug", "var") => self.condition(value),
                ("set_fact", name) if name != "cacheable" && !key.is_template() && !is_name(name) => {
                    let message = format!("Invalid variable name in set_fact specified: '{name}'");
                    self.found.push(Diagnostic::error(message, &key.place));
                }
                _ => self.template(value),
            }
        }
    }

    /// What a task includes, where its name is no template: it exists, and its tasks are right.
    fn include(&mut self, module: &str, task: &Task, loader: &Loader) {
        let args = &task.action.args;
        let named = |keys: &[&str]| keys.iter().find_map(|key| args.get(key)).or(task.action.free_form.as_ref());
        let text = |node: Option<&Node>| node.filter(|n| !n.is_template()).and_then(Node::as_str).map(str::to_owned);
        match module {
            "include_tasks" => {
                let Some((node, name)) = named(&["file"]).and_then(|n| text(Some(n)).map(|name| (n, name))) else {
                    return;
                };
                let from = task.frame.file.parent().map(Path::to_owned).unwrap_or_default();
                let role = task.frame.role.as_ref().map(|role| role.path.clone());
                match loader.find_tasks(&name, &from, role.as_deref()) {
                    Some(path) => self.follow_tasks(&path, task, loader),
                    None => self.found.push(Diagnostic::error(
                        format!("Could not find or access '{name}' on the Ansible Controller."),
                        &node.place,
                    )),
                }
            }
            "include_role" => {
                let Some((node, name)) = named(&["name", "role"]).and_then(|n| text(Some(n)).map(|name| (n, name)))
                else {
                    return;
                };
                if args.entries().iter().any(|(key, value)| key.key_text().ends_with("_from") && value.is_template()) {
                    return;
                }
                let use_ = RoleUse {
                    tasks_from: text(args.get("tasks_from")),
                    vars_from: text(args.get("vars_from")),
                    defaults_from: text(args.get("defaults_from")),
                    handlers_from: text(args.get("handlers_from")),
                    allow_duplicates: true,
                    ..RoleUse::named(name, node.place.clone())
                };
                if !self.followed.insert(format!("{}:{:?}:{:?}", use_.name, use_.tasks_from, use_.handlers_from)) {
                    return;
                }
                match loader.role(&use_, &task.frame) {
                    Ok(loaded) => {
                        self.items(&[Item::Block(loaded.block)]);
                        self.items(&loaded.handlers);
                    }
                    Err(errors) => self.found.extend(errors),
                }
            }
            _ => {}
        }
    }

    fn follow_tasks(&mut self, path: &Path, task: &Task, loader: &Loader) {
        if !self.followed.insert(path.display().to_string()) {
            return;
        }
        match loader.tasks(path, &task.frame) {
            Ok(items) => self.items(&items),
            Err(errors) => self.found.extend(errors),
        }
    }
}
