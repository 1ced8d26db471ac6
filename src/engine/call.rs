//! What a task calls: its module and its arguments, rendered.

use std::sync::Arc;

use super::flow;
use super::play::PlayRun;
use super::task::text_of;
use super::vars::TaskScope;
use crate::language::Task;
use crate::modules::{self, Descriptor};
use crate::text::{Diagnostic, Kind, Node, did_you_mean};

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

impl PlayRun {
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
