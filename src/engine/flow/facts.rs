//! `set_fact`, `set_stats`, `include_vars`, `gather_facts`, `validate_argument_spec`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::debug::flag;
use super::{Cx, arguments, done, find, free_form, rest};
use crate::engine::call::Call;
use crate::engine::result::TaskEnd;
use crate::engine::settings::boolean;
use crate::engine::task::Ran;
use crate::modules::contract::Outcome;
use crate::text::{Diagnostic, Kind, Node};

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic())
        && chars.all(|c| c == '_' || c.is_ascii_alphanumeric())
        && !matches!(name, "true" | "false" | "none" | "True" | "False" | "None" | "not" | "and" | "or")
}

/// Whether a variable may have this name.
fn check_name(name: &Value, node: &Node) -> Result<(), Diagnostic> {
    if name.as_str().is_some_and(is_name) {
        return Ok(());
    }
    let kind = match name {
        Value::String(_) => String::new(),
        other => format!(" of type '{}'", crate::language::template::call::type_name(other)),
    };
    let text = crate::text::python::str_of(name);
    Err(Diagnostic::error(format!("Invalid variable name '{text}'{kind}."), &node.place)
        .hint("names begin with a letter or an underscore and have only letters, digits and underscores"))
}

pub(super) fn set_fact(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let cacheable = flag(call, "cacheable")?.unwrap_or(false);
    let values = rest(call, &["cacheable"]);
    if values.is_empty() {
        return Err(Diagnostic::error(
            "No key/value pairs provided, at least one is required for this action to succeed",
            &call.args.place,
        ));
    }
    for (key, _) in call.args.entries() {
        check_name(&key.to_json(), key)?;
    }
    let owner =
        if cx.settings.delegate_facts { cx.play.worker(cx.scope, cx.settings) } else { std::sync::Arc::clone(cx.host) };
    for (name, value) in &values {
        owner.set(name, value.clone());
    }
    if cacheable {
        owner.add_facts(&values, false);
    }
    let mut ran = done(Outcome::ok());
    ran.end.result.insert("ansible_facts".into(), Value::Object(values));
    Ok(ran)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetStats {
    data: Value,
    #[serde(default = "no")]
    per_host: Value,
    #[serde(default = "yes")]
    aggregate: Value,
}

fn yes() -> Value {
    true.into()
}

fn no() -> Value {
    false.into()
}

pub(super) fn set_stats(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let args: SetStats = arguments(call)?;
    let Value::Object(data) = args.data else {
        return Ok(done(Outcome::failed("The 'data' option needs to be a dictionary/hash")));
    };
    for (key, _) in call.args.get("data").map(Node::entries).unwrap_or_default() {
        check_name(&key.to_json(), key)?;
    }
    // As in Ansible, what is no boolean counts as false here.
    let flag = |value: &Value| boolean(value, &call.args).unwrap_or(false);
    let (per_host, aggregate) = (flag(&args.per_host), flag(&args.aggregate));
    let owner = if per_host { cx.host.name.to_string() } else { "_run".to_owned() };
    let mut stats = cx.play.run.stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let entry = stats.entry(owner).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(known) = entry {
        for (name, value) in &data {
            let merged = match (known.get(name).filter(|_| aggregate), value) {
                (Some(Value::Number(a)), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
                    (Some(a), Some(b)) => Value::from(a + b),
                    _ => Value::from(a.as_f64().unwrap_or(0.0) + b.as_f64().unwrap_or(0.0)),
                },
                (Some(Value::Array(a)), Value::Array(b)) => Value::from([a.clone(), b.clone()].concat()),
                (Some(Value::Object(a)), Value::Object(b)) => {
                    let mut all = a.clone();
                    all.extend(b.clone());
                    Value::Object(all)
                }
                (Some(Value::String(a)), Value::String(b)) => Value::from(format!("{a}{b}")),
                _ => value.clone(),
            };
            known.insert(name.clone(), merged);
        }
    }
    drop(stats);
    let mut ran = done(Outcome::ok());
    ran.end.result.insert(
        "ansible_stats".into(),
        serde_json::json!({"data": data, "per_host": per_host, "aggregate": aggregate}),
    );
    Ok(ran)
}

const INCLUDE_VARS: &[&str] = &[
    "file",
    "dir",
    "name",
    "depth",
    "files_matching",
    "ignore_files",
    "extensions",
    "ignore_unknown_extensions",
    "hash_behaviour",
    "free-form",
    "_raw_params",
];

pub(super) fn include_vars(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    if let Some((key, _)) = call.args.entries().iter().find(|(k, _)| !INCLUDE_VARS.contains(&k.key_text().as_str())) {
        return Err(Diagnostic::error(format!("{} is not a valid option in include_vars", key.key_text()), &key.place));
    }
    let text = |name: &str| call.args.get(name).map(|n| crate::engine::task::text_of(&n.to_json()));
    let mut files: Vec<PathBuf> = vec![];
    if let Some(dir) = text("dir") {
        let dir = find_dir(cx, &dir)
            .ok_or_else(|| Diagnostic::error(format!("{dir} directory does not exist"), &call.args.place))?;
        files = directory(&dir, call, &dir)?;
    } else {
        let name = free_form(call, &["file", "_raw_params"])
            .ok_or_else(|| Diagnostic::error("`include_vars` needs a file or a directory", &call.args.place))?;
        let found = find(cx, "vars", &name).map_err(|tried| {
            let tried: Vec<String> = tried.iter().map(|p| p.display().to_string()).collect();
            Diagnostic::error(
                format!(
                    "Could not find or access '{name}' on the Ansible Controller.\nSearched in:\n\t{}",
                    tried.join("\n\t")
                ),
                &call.args.place,
            )
        })?;
        files.push(found);
    }
    let mut all: Vec<(String, Node)> = vec![];
    let merge = text("hash_behaviour").map_or(cx.play.run.config.merge_hashes(), |how| how == "merge");
    for file in &files {
        let node = cx.play.run.loader.vars_file(file)?;
        for (key, value) in node.entries() {
            let key = key.key_text();
            match all.iter_mut().find(|(k, _)| *k == key) {
                Some((_, known)) if merge => *known = known.merged(value),
                Some((_, known)) => *known = value.clone(),
                None => all.push((key, value.clone())),
            }
        }
    }
    let templates = cx.scope.scope();
    let mut facts = Map::new();
    let place = &call.args.place;
    let owned: Vec<(String, Node)> = match text("name") {
        Some(name) => {
            let entries = all.into_iter().map(|(k, v)| (Node::data(k, place), v)).collect();
            vec![(name, Node::new(Kind::Map(entries), place.clone()))]
        }
        None => all,
    };
    {
        let mut vars = cx.host.write();
        for (name, node) in &owned {
            // `hash_behaviour: merge` joins what the host has, too.
            let node = match vars.included.get(name).filter(|_| merge) {
                Some(known) => known.merged(node),
                None => node.clone(),
            };
            vars.included.insert(name.clone(), node);
        }
    }
    for (name, node) in owned {
        let value = cx.play.run.templar.value(&node, &templates).unwrap_or_else(|_| node.to_json());
        facts.insert(name, value);
    }
    let mut ran = done(Outcome::ok());
    ran.end.result.insert("ansible_facts".into(), Value::Object(facts));
    let names: Vec<Value> = files.iter().map(|f| Value::from(f.display().to_string())).collect();
    ran.end.result.insert("ansible_included_var_files".into(), names.into());
    // What was vaulted is not for the screen.
    let vaulted = |file: &PathBuf| std::fs::read(file).is_ok_and(|text| text.starts_with(b"$ANSIBLE_VAULT;"));
    if files.iter().any(vaulted) {
        ran.end.result.insert("_ansible_no_log".into(), true.into());
    }
    Ok(ran)
}

fn find_dir(cx: &Cx<'_>, name: &str) -> Option<PathBuf> {
    find(cx, "vars", name).ok().filter(|p| p.is_dir())
}

/// The variable files of a directory, in order of their names, those of its own before those below.
fn directory(dir: &Path, call: &Call, top: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let value = |name: &str| call.args.get(name).map(Node::to_json);
    let strings = |name: &str| -> Option<Vec<String>> {
        match value(name)? {
            Value::Array(items) => Some(items.iter().map(crate::engine::task::text_of).collect()),
            Value::String(text) => Some(text.split(',').map(|t| t.trim().to_owned()).collect()),
            _ => None,
        }
    };
    let place = &call.args.place;
    let extensions = strings("extensions").unwrap_or_else(|| ["yaml", "yml", "json"].map(str::to_owned).to_vec());
    let lenient = flag(call, "ignore_unknown_extensions")?.unwrap_or(false);
    let depth = value("depth").and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok())).unwrap_or(0);
    let pattern =
        |text: &str| fancy_regex::Regex::new(text).map_err(|e| Diagnostic::error(format!("`{text}`: {e}"), place));
    let matching =
        value("files_matching").and_then(|v| v.as_str().map(str::to_owned)).map(|t| pattern(&t)).transpose()?;
    let ignored = strings("ignore_files").unwrap_or_default();
    let ignored: Vec<_> = ignored.iter().map(|t| pattern(&format!("{t}$"))).collect::<Result<_, _>>()?;
    let mut names: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(|error| Diagnostic::error(format!("{}: {error}", dir.display()), place))?
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .collect();
    names.sort();
    let (dirs, files): (Vec<PathBuf>, Vec<PathBuf>) = names.into_iter().partition(|p| p.is_dir());
    let mut out = vec![];
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if matching.as_ref().is_some_and(|m| !m.is_match(&name).unwrap_or(false))
            || ignored.iter().any(|i| i.is_match(&name).unwrap_or(false))
            || (name == "main.yml" && cx_is_role_vars(dir, call))
        {
            continue;
        }
        let extension = file.extension().unwrap_or_default().to_string_lossy().into_owned();
        if !extensions.contains(&extension) {
            if lenient {
                continue;
            }
            return Err(Diagnostic::error(
                format!("{} does not have a valid extension: {}", file.display(), extensions.join(", ")),
                place,
            ));
        }
        out.push(file);
    }
    let level = dir.components().count() - top.components().count() + 1;
    if depth == 0 || (level as u64) < depth {
        for sub in dirs {
            out.extend(directory(&sub, call, top)?);
        }
    }
    Ok(out)
}

/// A role's `vars/main.yml` is loaded anyway.
fn cx_is_role_vars(dir: &Path, call: &Call) -> bool {
    let _ = call;
    dir.ends_with("vars") && dir.parent().is_some_and(|p| p.parent().is_some_and(|p| p.ends_with("roles")))
}

/// `gather_facts`: `setup` on the host.
pub(super) async fn gather(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let descriptor = crate::modules::find("setup")
        .ok_or_else(|| Diagnostic::plain("the module `setup` is missing: this is a defect of crudctl"))?;
    let known = ["gather_subset", "gather_timeout", "filter", "fact_path"];
    let entries = call.args.entries().iter().filter(|(k, _)| k.as_str().is_some_and(|k| known.contains(&k)));
    let args = Node::new(Kind::Map(entries.cloned().collect()), call.args.place.clone());
    let prepared = (descriptor.prepare)(&args)?;
    let settings = crate::engine::settings::Settings { check_mode: false, ..cx.settings.clone() };
    let (mut end, worker) = cx.play.run_module(cx.task, cx.info, cx.scope, &settings, prepared).await;
    cx.play.take_facts("gather_facts", &mut end, cx.host, &worker, &settings);
    Ok(Ran { end, ..Ran::default() })
}

/// Checks a role's (or any) arguments against their specification.
pub(super) fn validate_argument_spec(call: &Call) -> Result<Ran, Diagnostic> {
    let spec = call.args.get("argument_spec").map(Node::to_json).unwrap_or_default();
    let provided = call.args.get("provided_arguments").map(Node::to_json).unwrap_or_default();
    let Value::Object(spec) = spec else {
        return Err(Diagnostic::error("\"argument_spec\" arg is required in args", &call.args.place));
    };
    let empty = Map::new();
    let provided = provided.as_object().unwrap_or(&empty);
    let mut errors = vec![];
    validate(&spec, provided, "", &mut errors);
    let mut end = if errors.is_empty() {
        TaskEnd::of(Outcome::ok().message("The arg spec validation passed"))
    } else {
        let text = format!("Validation of arguments failed:\n{}", errors.join("\n"));
        let mut end = TaskEnd::of(Outcome::failed(text));
        end.result.insert("argument_errors".into(), errors.into());
        end
    };
    if let Some(context) = call.args.get("validate_args_context") {
        end.result.insert("validate_args_context".into(), context.to_json());
    }
    Ok(Ran { end, ..Ran::default() })
}

fn validate(spec: &Map<String, Value>, given: &Map<String, Value>, within: &str, errors: &mut Vec<String>) {
    let place = if within.is_empty() { String::new() } else { format!(" found in {within}") };
    let required: Vec<&str> = spec
        .iter()
        .filter(|(name, rule)| {
            rule.get("required").and_then(Value::as_bool) == Some(true) && !given.contains_key(*name)
        })
        .map(|(name, _)| name.as_str())
        .collect();
    if !required.is_empty() {
        errors.push(format!("missing required arguments: {}{place}", required.join(", ")));
    }
    for (name, rule) in spec {
        let Some(value) = given.get(name).filter(|v| !v.is_null()) else { continue };
        let wanted = rule.get("type").and_then(Value::as_str).unwrap_or("str");
        if !fits(wanted, value) {
            let shown = crate::engine::task::text_of(value);
            errors.push(format!(
                "argument '{name}' is of type {} and we were unable to convert to {wanted}: {shown}",
                kind(value)
            ));
            continue;
        }
        if let Some(Value::Array(choices)) = rule.get("choices") {
            let values: Vec<&Value> = match value {
                Value::Array(items) => items.iter().collect(),
                other => vec![other],
            };
            if values.iter().any(|v| !choices.contains(v)) {
                let all: Vec<String> = choices.iter().map(crate::engine::task::text_of).collect();
                errors.push(format!(
                    "value of {name} must be one of: {}, got: {}{place}",
                    all.join(", "),
                    crate::engine::task::text_of(value)
                ));
            }
        }
        if let Some(Value::Object(inner)) = rule.get("options") {
            let maps: Vec<&Map<String, Value>> = match value {
                Value::Array(items) => items.iter().filter_map(Value::as_object).collect(),
                Value::Object(map) => vec![map],
                _ => vec![],
            };
            for map in maps {
                validate(inner, map, name, errors);
            }
        }
    }
}

fn fits(wanted: &str, value: &Value) -> bool {
    let text = value.as_str();
    match wanted {
        "int" => value.is_i64() || value.is_u64() || text.is_some_and(|t| t.trim().parse::<i64>().is_ok()),
        "float" => value.is_number() || text.is_some_and(|t| t.trim().parse::<f64>().is_ok()),
        "bool" => {
            value.is_boolean()
                || matches!(value.as_i64(), Some(0 | 1))
                || text.is_some_and(|t| {
                    matches!(
                        t.to_ascii_lowercase().as_str(),
                        "y" | "yes" | "on" | "1" | "true" | "t" | "n" | "no" | "off" | "0" | "false" | "f"
                    )
                })
        }
        "list" => value.is_array() || text.is_some() || value.is_number(),
        "dict" => value.is_object() || text.is_some_and(|t| t.trim_start().starts_with('{') || t.contains('=')),
        "str" | "path" | "raw" | "json" | "jsonarg" | "bytes" | "bits" => true,
        _ => true,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "<class 'NoneType'>",
        Value::Bool(_) => "<class 'bool'>",
        Value::Number(n) if n.is_f64() => "<class 'float'>",
        Value::Number(_) => "<class 'int'>",
        Value::String(_) => "<class 'str'>",
        Value::Array(_) => "<class 'list'>",
        Value::Object(_) => "<class 'dict'>",
    }
}
