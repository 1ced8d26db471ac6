//! The static check: everything about a playbook that is wrong whatever the hosts are like, all at once.

use crate::engine::flow;
use crate::modules;
use crate::text::{Diagnostic, Kind, Node, did_you_mean};

use super::keywords::Keywords;
use super::loader::Loader;
use super::playbook::Playbook;
use super::task::{Item, LoopKind, Task};
use super::template::Templar;

/// Checks a playbook that was read: modules, their arguments, templates, conditions, lookups.
pub fn check(playbook: &Playbook, templar: &Templar, _loader: &Loader) -> Vec<Diagnostic> {
    let mut checker = Checker { templar, found: vec![] };
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
}

impl Checker<'_> {
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

    fn keywords(&mut self, keywords: &Keywords) {
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
        if let Some(r#loop) = &task.r#loop {
            self.template(&r#loop.items);
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
                _ => self.template(value),
            }
        }
    }
}
