//! `add_host`, `group_by`: modules that change the inventory of the run.

use serde_json::Value;

use super::{Cx, done, rest};
use crate::engine::call::Call;
use crate::engine::task::{Ran, text_of};
use crate::modules::contract::Outcome;
use crate::text::{Diagnostic, Node};

fn list(node: Option<&Node>) -> Vec<String> {
    match node.map(Node::to_json) {
        Some(Value::Array(items)) => items.iter().map(text_of).collect(),
        Some(Value::Null) | None => vec![],
        Some(other) => text_of(&other).split(',').map(|t| t.trim().to_owned()).filter(|t| !t.is_empty()).collect(),
    }
}

pub(super) fn add_host(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let args = &call.args;
    let name = args.get("name").or_else(|| args.get("hostname")).or_else(|| args.get("host"));
    let Some(name) = name.filter(|n| !n.is_null()).map(|n| text_of(&n.to_json())).filter(|n| !n.is_empty()) else {
        return Err(Diagnostic::error("name, host or hostname needs to be provided", &args.place));
    };
    let groups = args.get("groups").or_else(|| args.get("groupname")).or_else(|| args.get("group"));
    let groups = list(groups);
    let mut vars = rest(call, &["name", "hostname", "host", "groups", "groupname", "group"]);
    // `name: host:port` sets the port.
    let name = match name.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.parse::<u16>().is_ok() => {
            vars.entry("ansible_ssh_port").or_insert_with(|| port.parse::<u16>().unwrap_or_default().into());
            host.to_owned()
        }
        _ => name,
    };
    let changed = cx.scope.run.inventory.write().unwrap_or_else(std::sync::PoisonError::into_inner).add_host(
        &name,
        &groups,
        vars.clone(),
    );
    cx.scope.run.refresh();
    let shown = serde_json::json!({"host_name": name, "groups": groups, "host_vars": vars});
    let mut ran = done(Outcome { changed, ..Outcome::ok() }.with("add_host", shown));
    ran.end
        .result
        .insert("add_host".into(), serde_json::json!({"host_name": name, "groups": groups, "host_vars": vars}));
    Ok(ran)
}

pub(super) fn group_by(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let args = &call.args;
    let Some(key) = args.get("key").filter(|n| !n.is_null()).map(|n| text_of(&n.to_json())) else {
        return Err(Diagnostic::error("the 'key' param is required when using group_by", &args.place));
    };
    let clean = |name: &str| name.replace(' ', "-");
    let group = clean(&key);
    let parents: Vec<String> = list(args.get("parents")).iter().map(|p| clean(p)).collect();
    let mut inventory = cx.scope.run.inventory.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut changed = inventory.add_to_group(&cx.host.name, &group);
    for parent in parents.iter().filter(|p| *p != "all") {
        changed |= inventory.add_to_group(&cx.host.name, parent);
    }
    drop(inventory);
    cx.scope.run.refresh();
    let parents = if parents.is_empty() { vec!["all".to_owned()] } else { parents };
    Ok(done(Outcome { changed, ..Outcome::ok() }.with("add_group", group).with("parent_groups", Value::from(parents))))
}
