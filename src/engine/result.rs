//! Results: what a module reported becomes what `register` keeps, judged by `failed_when` and `changed_when`.

use serde_json::{Map, Value, json};

use super::vars::TaskScope;
use crate::language::Task;
use crate::language::template::Templar;
use crate::modules::contract::{Diff, Outcome};
use crate::text::{Diagnostic, Node};

/// The result of one execution.
#[derive(Debug, Clone, Default)]
pub(super) struct TaskEnd {
    /// As `register` keeps it.
    pub result: Map<String, Value>,
    /// Whether the host could not be reached.
    pub unreachable: bool,
    /// What is wrong, where it can be pointed at.
    pub error: Option<Diagnostic>,
}

impl TaskEnd {
    /// A result of an outcome.
    pub(super) fn of(outcome: Outcome) -> Self {
        Self { result: to_result(outcome), unreachable: false, error: None }
    }

    /// A failure before any module ran.
    pub(super) fn error(error: Diagnostic) -> Self {
        let mut end = Self::of(Outcome::failed(format!("Task failed: {}", error.message)));
        end.error = Some(error);
        end
    }

    /// A host that could not be reached.
    pub(super) fn unreachable(reason: &str) -> Self {
        let result = json!({"changed": false, "msg": reason, "unreachable": true});
        Self { result: object(result), unreachable: true, error: None }
    }

    /// A task that was left out.
    pub(super) fn skipped(reason: &str) -> Self {
        Self { result: object(json!({"changed": false, "skipped": true, "skip_reason": reason})), ..Self::default() }
    }

    fn flag(&self, name: &str) -> bool {
        self.result.get(name).is_some_and(truthy)
    }

    /// Whether it failed.
    pub(super) fn failed(&self) -> bool {
        self.flag("failed") && !self.unreachable
    }

    /// Whether it changed something.
    pub(super) fn changed(&self) -> bool {
        self.flag("changed")
    }

    /// Whether it was left out.
    pub(super) fn skipped_flag(&self) -> bool {
        self.flag("skipped")
    }
}

/// Stands where Ansible has a Python traceback.
const NO_TRACEBACK: &str = "(traceback unavailable)";

/// Failed results have an `exception`, as in Ansible: playbooks ask whether there is one.
pub(super) fn mark_exceptions(end: &mut TaskEnd) {
    fn mark(result: &mut Map<String, Value>) {
        if result.get("failed").is_some_and(truthy) && result.get("unreachable").is_none() {
            result.entry("exception").or_insert_with(|| NO_TRACEBACK.into());
        }
    }
    if let Some(Value::Array(results)) = end.result.get_mut("results") {
        results.iter_mut().filter_map(Value::as_object_mut).for_each(mark);
    }
    mark(&mut end.result);
}

/// What counts as true in a result.
pub(super) fn truthy(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::Null => false,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "False" && text != "false",
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// An object's map; empty for anything else.
pub(super) fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn diff_value(diff: &Diff) -> Value {
    json!({
        "before_header": diff.before_header,
        "after_header": diff.after_header,
        "before": diff.before,
        "after": diff.after,
    })
}

fn to_result(outcome: Outcome) -> Map<String, Value> {
    let Outcome { changed, failed, skipped, values, msg, diff, facts, warnings } = outcome;
    let mut result = values;
    result.insert("changed".into(), changed.into());
    result.insert("failed".into(), failed.is_some().into());
    if let Some(reason) = failed {
        result.insert("msg".into(), reason.into());
    } else if let Some(msg) = msg {
        result.insert("msg".into(), msg.into());
    }
    if skipped {
        result.insert("skipped".into(), true.into());
    }
    match diff.as_slice() {
        [] => {}
        [one] => {
            result.insert("diff".into(), diff_value(one));
        }
        many => {
            result.insert("diff".into(), many.iter().map(diff_value).collect());
        }
    }
    if !facts.is_empty() {
        result.insert("ansible_facts".into(), Value::Object(facts));
    }
    if !warnings.is_empty() {
        result.insert("warnings".into(), warnings.into());
    }
    result
}

/// Applies `changed_when` and `failed_when`, as each execution (each attempt too) is judged.
pub(super) fn judge(task: &Task, end: &mut TaskEnd, templar: &Templar, scope: &TaskScope) {
    if end.unreachable || end.skipped_flag() {
        return;
    }
    let seen = with_result(task, end, scope);
    if let Some(conditions) = &task.changed_when {
        match all(conditions, templar, &seen) {
            Ok(changed) => {
                end.result.insert("changed".into(), changed.into());
            }
            Err(error) => spoil(end, "changed_when_result", error),
        }
    }
    let failed_before = end.failed();
    if let Some(conditions) = &task.failed_when {
        match all(conditions, templar, &with_result(task, end, scope)) {
            Ok(failed) => {
                end.result.insert("failed_when_result".into(), failed.into());
                if failed_before && !failed {
                    end.result.insert("failed_when_suppressed_exception".into(), NO_TRACEBACK.into());
                }
                end.result.insert("failed".into(), failed.into());
                if !failed {
                    end.error = None;
                }
            }
            Err(error) => spoil(end, "failed_when_result", error),
        }
    }
}

/// A condition about the result that can't be evaluated fails the task.
fn spoil(end: &mut TaskEnd, key: &str, error: Diagnostic) {
    end.result.insert("failed".into(), true.into());
    end.result.insert(key.into(), error.message.clone().into());
    end.result.insert("msg".into(), format!("Task failed: {}", error.message).into());
    end.error = Some(error);
}

/// The scope in which conditions about a result are evaluated: its registered name holds it.
pub(super) fn with_result(task: &Task, end: &TaskEnd, scope: &TaskScope) -> TaskScope {
    match task.register.as_ref().and_then(Node::as_str) {
        Some(name) => scope.with(name, Value::Object(end.result.clone())),
        None => scope.clone(),
    }
}

/// Whether all conditions hold.
pub(super) fn all(conditions: &[Node], templar: &Templar, scope: &TaskScope) -> Result<bool, Diagnostic> {
    let scope = scope.scope();
    for condition in conditions {
        if !templar.condition(condition, &scope)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The result of a loop, of its items' results.
pub(super) fn of_loop(items: Vec<TaskEnd>) -> TaskEnd {
    let any = |f: fn(&TaskEnd) -> bool| items.iter().any(f);
    let failed = any(TaskEnd::failed);
    let unreachable = any(|end| end.unreachable);
    let skipped = !items.is_empty() && items.iter().all(TaskEnd::skipped_flag);
    let mut result = Map::new();
    result.insert("changed".into(), any(TaskEnd::changed).into());
    result.insert("failed".into(), failed.into());
    let msg = if unreachable {
        "All items completed"
    } else if failed {
        "One or more items failed"
    } else if skipped {
        "All items skipped"
    } else {
        "All items completed"
    };
    result.insert("msg".into(), msg.into());
    if skipped {
        result.insert("skipped".into(), true.into());
    }
    if unreachable {
        result.insert("unreachable".into(), true.into());
    }
    result.insert("results".into(), items.into_iter().map(|end| Value::Object(end.result)).collect());
    TaskEnd { result, unreachable, error: None }
}
