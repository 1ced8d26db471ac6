//! `include_tasks`, `include_role`: what to run now, for which hosts.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Cx, done, free_form};
use crate::engine::call::Call;
use crate::engine::play::directory;
use crate::engine::task::{Ran, text_of};
use crate::language::{Keywords, RoleUse};
use crate::modules::contract::Outcome;
use crate::text::{Diagnostic, Node};

/// Something to include, as one host (and loop item) asked for it.
#[derive(Clone)]
pub(in crate::engine) struct Include {
    /// What it is.
    pub what: What,
    /// The loop's variables.
    pub vars: Map<String, Value>,
    /// The loop item's label.
    pub label: Option<Value>,
    /// `apply`.
    pub apply: Option<Arc<Keywords>>,
}

/// What is included.
#[derive(Clone)]
pub(in crate::engine) enum What {
    /// A file of tasks.
    Tasks(PathBuf),
    /// A role, and whether its variables hold for the whole play from now on.
    Role(Box<RoleUse>, bool),
}

impl PartialEq for Include {
    fn eq(&self, other: &Self) -> bool {
        let same = match (&self.what, &other.what) {
            (What::Tasks(a), What::Tasks(b)) => a == b,
            (What::Role(a, x), What::Role(b, y)) => {
                x == y && a.name == b.name && a.tasks_from == b.tasks_from && a.vars_from == b.vars_from
            }
            _ => false,
        };
        same && self.vars == other.vars
    }
}

impl Include {
    /// As it is shown: a path, or a role's name.
    pub(in crate::engine) fn shown(&self) -> String {
        match &self.what {
            What::Tasks(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string(),
            What::Role(role, _) => role.name.clone(),
        }
    }
}

fn including(what: What, call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let mut vars = Map::new();
    for (name, value) in &cx.scope.locals {
        vars.insert(name.clone(), value.clone());
    }
    let label =
        cx.scope.locals.get("ansible_loop_var").and_then(Value::as_str).and_then(|n| cx.scope.locals.get(n)).cloned();
    // `apply` is read as written: its templates are rendered for the tasks that it holds for.
    let apply = cx.task.action.args.get("apply").filter(|n| !n.is_null());
    let apply = apply.map(|node| cx.play.run.loader.keywords(node)).transpose()?.map(Arc::new);
    let _ = call;
    let mut ran = done(Outcome::ok());
    ran.includes.push(Include { what, vars, label, apply });
    Ok(ran)
}

pub(super) fn tasks(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let Some(name) = free_form(call, &["file", "_raw_params"]) else {
        return Err(Diagnostic::error("No file specified for include_tasks", &call.args.place));
    };
    if let Some((key, _)) =
        call.args.entries().iter().find(|(k, _)| !matches!(k.key_text().as_str(), "file" | "apply" | "_raw_params"))
    {
        return Err(Diagnostic::error(format!("Invalid options for include_tasks: {}", key.key_text()), &key.place));
    }
    let from = directory(&cx.task.frame.file);
    let path = cx.play.run.loader.find_tasks(&name, &from, cx.scope.role().map(|r| r.path.as_path()));
    including(What::Tasks(path.unwrap_or_else(|| from.join(&name))), call, cx)
}

pub(super) fn role(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let text = |name: &str| call.args.get(name).filter(|n| !n.is_null()).map(|n| text_of(&n.to_json()));
    let flag = |name: &str| super::debug::flag(call, name);
    let known = super::parameters("include_role").unwrap_or_default();
    if let Some((key, _)) = call.args.entries().iter().find(|(k, _)| !known.contains(&k.key_text().as_str())) {
        return Err(Diagnostic::error(format!("Invalid options for include_role: {}", key.key_text()), &key.place));
    }
    let name = text("name").or_else(|| text("role")).or_else(|| free_form(call, &[]));
    let Some(name) = name else {
        return Err(Diagnostic::error("'name' is a required field for include_role.", &call.args.place));
    };
    let place = call.args.get("name").map_or(&call.args.place, |node: &Node| &node.place).clone();
    let use_ = RoleUse {
        name,
        place,
        tasks_from: text("tasks_from"),
        vars_from: text("vars_from"),
        defaults_from: text("defaults_from"),
        handlers_from: text("handlers_from"),
        allow_duplicates: flag("allow_duplicates")?.unwrap_or(true),
        public: None,
        params: None,
        validate: flag("rolespec_validate")?.unwrap_or(true),
    };
    let public = flag("public")?.unwrap_or(cx.play.run.config.private_role_vars == Some(false));
    including(What::Role(Box::new(use_), public), call, cx)
}
