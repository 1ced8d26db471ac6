//! `loop_control`: what an item sees, how it is shown, when a loop ends.

use std::time::Duration;

use serde_json::{Map, Value};

use super::play::PlayRun;
use super::result::{self, TaskEnd, truthy};
use super::task::text_of;
use super::vars::TaskScope;
use crate::language::Task;
use crate::text::{Diagnostic, Node};

/// `loop_control`, rendered.
pub(super) struct LoopSettings {
    variable: String,
    index: Option<String>,
    /// Between two items.
    pub(super) pause: Duration,
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

    /// Whether the loop ends behind this item's result.
    pub(super) fn breaks(
        &self,
        play: &PlayRun,
        task: &Task,
        scope: &TaskScope,
        end: &TaskEnd,
    ) -> Result<bool, Diagnostic> {
        if self.break_when.is_empty() {
            return Ok(false);
        }
        result::all(&self.break_when, &play.run.templar, &result::with_result(task, end, scope))
    }
}
