//! Flow modules: those that act on the run itself and never on a host.

mod debug;
mod facts;
mod include;
mod inventory;
mod meta;
mod wait;

use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub(super) use include::{Include, What};
pub(super) use meta::Meta;
pub(super) use wait::job_status;

use super::call::Call;
use super::event::TaskInfo;
use super::host::Host;
use super::play::PlayRun;
use super::result::TaskEnd;
use super::settings::Settings;
use super::task::Ran;
use super::vars::TaskScope;
use crate::language::Task;
use crate::modules::contract::Outcome;
use crate::text::{Diagnostic, Kind, Node, typed};

/// Names (without a collection) of the modules that belong to the engine.
pub const NAMES: &[&str] = &[
    "add_host",
    "assert",
    "async_status",
    "debug",
    "fail",
    "gather_facts",
    "group_by",
    "import_playbook",
    "import_role",
    "import_tasks",
    "include_role",
    "include_tasks",
    "include_vars",
    "meta",
    "pause",
    "set_fact",
    "set_stats",
    "validate_argument_spec",
];

/// Parameters of a flow module, for the static check; none where it takes any.
pub fn parameters(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "assert" => &["that", "fail_msg", "msg", "success_msg", "quiet"],
        "async_status" => &["jid", "mode"],
        "debug" => &["msg", "var", "verbosity"],
        "fail" => &["msg"],
        "group_by" => &["key", "parents"],
        "include_role" => &[
            "name",
            "role",
            "tasks_from",
            "vars_from",
            "defaults_from",
            "handlers_from",
            "public",
            "allow_duplicates",
            "apply",
            "rolespec_validate",
        ],
        "include_tasks" => &["file", "apply", "_raw_params"],
        "meta" => &["free_form", "_raw_params"],
        "pause" => &["seconds", "minutes", "prompt", "echo"],
        "set_stats" => &["data", "per_host", "aggregate"],
        _ => return None,
    })
}

/// What a flow module works with.
pub(super) struct Cx<'a> {
    pub play: &'a PlayRun,
    pub task: &'a Arc<Task>,
    pub info: &'a TaskInfo,
    pub host: &'a Arc<Host>,
    pub scope: &'a TaskScope,
    pub settings: &'a Settings,
}

/// Runs a flow module.
pub(super) async fn run(name: &str, call: &Call, cx: &Cx<'_>) -> Ran {
    let result = match name {
        "debug" => debug::debug(call, cx),
        "assert" => debug::assert(call, cx),
        "fail" => debug::fail(call),
        "set_fact" => facts::set_fact(call, cx),
        "set_stats" => facts::set_stats(call, cx),
        "include_vars" => facts::include_vars(call, cx),
        "gather_facts" => facts::gather(call, cx).await,
        "validate_argument_spec" => facts::validate_argument_spec(call),
        "add_host" => inventory::add_host(call, cx),
        "group_by" => inventory::group_by(call, cx),
        "include_tasks" => include::tasks(call, cx),
        "include_role" => include::role(call, cx),
        "meta" => meta::meta(call, cx).await,
        "pause" => wait::pause(call, cx).await,
        "async_status" => wait::async_status(call, cx).await,
        other => Err(Diagnostic::error(format!("`{other}` can't stand here"), &call.args.place)),
    };
    result.unwrap_or_else(|error| Ran { end: TaskEnd::error(error), ..Ran::default() })
}

fn done(outcome: Outcome) -> Ran {
    Ran { end: TaskEnd::of(outcome), ..Ran::default() }
}

/// The arguments, typed.
fn arguments<T: DeserializeOwned>(call: &Call) -> Result<T, Diagnostic> {
    if let Some(text) = &call.free_form
        && !text.is_null()
    {
        return Err(Diagnostic::error(format!("`{}` takes no free-form text", call.name), &text.place));
    }
    typed(&call.args)
}

/// The free-form text, or the value of one of these parameters.
fn free_form(call: &Call, names: &[&str]) -> Option<String> {
    let node: Option<&Node> =
        call.free_form.as_ref().filter(|n| !n.is_null()).or_else(|| names.iter().find_map(|name| call.args.get(name)));
    node.map(|node| super::task::text_of(&node.to_json()))
}

/// The arguments that are none of these.
fn rest(call: &Call, known: &[&str]) -> Map<String, Value> {
    let entries = call.args.entries().iter();
    entries
        .filter(|(k, v)| !matches!(v.kind, Kind::Omit) && !k.as_str().is_some_and(|k| known.contains(&k)))
        .map(|(k, v)| (k.key_text(), v.to_json()))
        .collect()
}

/// A file that a role's or playbook's task names: looked up in `DIR/SUB`, then `DIR`, in each directory of the search path.
fn find(cx: &Cx<'_>, sub: &str, name: &str) -> Result<PathBuf, Vec<PathBuf>> {
    let path = PathBuf::from(name);
    if path.is_absolute() {
        return if path.exists() { Ok(path) } else { Err(vec![path]) };
    }
    let candidates: Vec<PathBuf> =
        cx.scope.search().into_iter().flat_map(|dir| [dir.join(sub).join(name), dir.join(name)]).collect();
    match candidates.iter().find(|p| p.exists()) {
        Some(found) => Ok(found.clone()),
        None => Err(candidates),
    }
}
