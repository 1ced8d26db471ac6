//! What is imported while a playbook is read: task files and roles.

use std::path::Path;
use std::sync::Arc;

use super::Reader;
use crate::language::keywords::Frame;
use crate::language::loader::RoleUse;
use crate::language::task::{Action, Block, Item};
use crate::text::{Kind, Node, resolve};

impl Reader<'_> {
    pub(super) fn import_tasks(&mut self, action: &Action, node: &Node, frame: &Arc<Frame>) -> Option<Item> {
        let name =
            action.free_form.as_ref().or_else(|| action.args.get("file")).or_else(|| action.args.get("_raw_params"));
        let Some(name) = name else {
            self.error("No file specified for import_tasks", &node.place);
            return None;
        };
        let text = self.static_text(name, frame)?;
        let role = frame.role.as_ref().map(|r| r.path.clone());
        let from = self.file.parent().map(Path::to_owned).unwrap_or_default();
        let Some(path) = self.loader.find_tasks(&text, &from, role.as_deref()) else {
            self.error(format!("Could not find or access '{text}' on the Ansible Controller."), &name.place);
            return None;
        };
        let chain = frame.levels().filter(|l| l.file == path).count();
        if chain > 20 {
            self.error(format!("`{text}` imports itself without end"), &name.place);
            return None;
        }
        match self.loader.tasks(&path, frame) {
            Ok(tasks) => Some(Item::Block(Arc::new(Block {
                frame: Arc::clone(frame),
                place: node.place.clone(),
                tasks,
                rescue: vec![],
                always: vec![],
            }))),
            Err(mut errors) => {
                self.errors.append(&mut errors);
                None
            }
        }
    }

    pub(super) fn import_role(&mut self, action: &Action, node: &Node, frame: &Arc<Frame>) -> Option<Item> {
        const KNOWN: &[&str] = &[
            "name",
            "role",
            "tasks_from",
            "vars_from",
            "defaults_from",
            "handlers_from",
            "allow_duplicates",
            "public",
            "rolespec_validate",
        ];
        let args = &action.args;
        for (key, _) in args.entries() {
            let text = key.key_text();
            if !KNOWN.contains(&text.as_str()) {
                self.error(format!("Invalid options for import_role: {text}"), &key.place);
            }
        }
        let Some(name) = args.get("name").or_else(|| args.get("role")).or(action.free_form.as_ref()) else {
            self.error("'name' is a required field for import_role.", &node.place);
            return None;
        };
        let mut text = |key: &str| match args.get(key).filter(|n| !n.is_null()) {
            Some(node) => self.static_text(node, frame).map(Some),
            None => Some(None),
        };
        // `key=value` gives text.
        let flag = |key: &str| match &args.get(key)?.kind {
            Kind::Bool(flag) => Some(*flag),
            Kind::Str(text, _) | Kind::Data(text) => match resolve(text) {
                Kind::Bool(flag) => Some(flag),
                _ => None,
            },
            _ => None,
        };
        let (tasks_from, vars_from) = (text("tasks_from")?, text("vars_from")?);
        let (defaults_from, handlers_from) = (text("defaults_from")?, text("handlers_from")?);
        let role = RoleUse {
            tasks_from,
            vars_from,
            defaults_from,
            handlers_from,
            allow_duplicates: flag("allow_duplicates").unwrap_or(true),
            public: flag("public"),
            ..RoleUse::named(self.static_text(name, frame)?, name.place.clone())
        };
        match self.loader.role(&role, frame) {
            Ok(loaded) => {
                self.loader.keep_handlers(&loaded);
                Some(Item::Block(loaded.block))
            }
            Err(mut errors) => {
                self.errors.append(&mut errors);
                None
            }
        }
    }

    /// A text that must be known before the run: templates see only variables that are written in the playbook, and extra vars.
    pub(super) fn static_text(&mut self, node: &Node, frame: &Arc<Frame>) -> Option<String> {
        if !node.is_template() {
            return Some(node.key_text().trim().to_owned());
        }
        match self.loader.render_static(node, frame) {
            Ok(text) => Some(text),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }
}
