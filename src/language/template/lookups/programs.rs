//! The environment, programs, and variables.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::super::regex;
use super::{Found, Lookup};
use crate::text::python;

pub(super) fn env(lookup: &Lookup<'_>) -> Found {
    lookup.only("env", &["default"])?;
    lookup
        .texts()
        .iter()
        .map(|term| {
            let name = term.split_whitespace().next().unwrap_or_default();
            match std::env::var(name) {
                Ok(value) => Ok(value.into()),
                Err(_) => Ok(lookup.options.get("default").cloned().unwrap_or_else(|| "".into())),
            }
        })
        .collect()
}

/// The standard output of a shell command; its standard error is the user's.
fn output(lookup: &Lookup<'_>, command: &str) -> Result<String, String> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null()).stderr(Stdio::inherit());
    // The playbook's directory, as far as it is known.
    if let Some(dir) = lookup.around.search_paths().last().filter(|dir| dir.is_dir()) {
        shell.current_dir(dir);
    }
    let output = shell.output().map_err(|error| format!("lookup_plugin.pipe({command}) can't be run: {error}"))?;
    if !output.status.success() {
        let code = output.status.code().map_or_else(|| output.status.to_string(), |code| code.to_string());
        return Err(format!("lookup_plugin.pipe({command}) returned {code}"));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("the output of `{command}` is no UTF-8 text"))
}

pub(super) fn pipe(lookup: &Lookup<'_>) -> Found {
    lookup.only("pipe", &[])?;
    lookup.texts().iter().map(|command| output(lookup, command).map(|text| text.trim_end().into())).collect()
}

pub(super) fn lines(lookup: &Lookup<'_>) -> Found {
    lookup.only("lines", &[])?;
    let mut out = vec![];
    for command in lookup.texts() {
        out.extend(output(lookup, &command)?.lines().map(Value::from));
    }
    Ok(out)
}

pub(super) fn vars(lookup: &Lookup<'_>) -> Found {
    lookup.only("vars", &["default"])?;
    lookup
        .texts()
        .iter()
        .map(|name| match (lookup.around.variable(name)?, lookup.options.get("default")) {
            (Some(value), _) => Ok(value),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => Err(format!("'{name}' is undefined")),
        })
        .collect()
}

pub(super) fn varnames(lookup: &Lookup<'_>) -> Found {
    lookup.only("varnames", &[])?;
    let names = lookup.around.names();
    let mut out = vec![];
    for term in &lookup.terms {
        let Value::String(pattern) = term else {
            let kind = super::super::call::type_name(term);
            let text = python::str_of(term);
            return Err(format!("Invalid setting identifier, \"{text}\" is not a string, it is a <class '{kind}'>"));
        };
        let wrong = |why: &str| format!("Unable to use \"{pattern}\" as a search parameter: {why}");
        if pattern.starts_with(['*', '+', '?']) {
            return Err(wrong("nothing to repeat at position 0"));
        }
        let pattern = regex::compile(pattern, regex::Flags::default()).map_err(|error| wrong(&error))?;
        out.extend(
            names.iter().filter(|name| pattern.is_match(name).unwrap_or(false)).map(|name| Value::from(name.as_str())),
        );
    }
    Ok(out)
}

pub(super) fn inventory_hostnames(lookup: &Lookup<'_>) -> Found {
    lookup.only("inventory_hostnames", &[])?;
    let pattern = lookup.texts().join(",");
    Ok(lookup.around.matching(&pattern)?.into_iter().map(Value::from).collect())
}

/// Settings that playbooks ask for: options of become plugins, and those of the configuration that have one value here.
const SETTINGS: &[(&str, &str, &str)] = &[
    ("sudo", "become_flags", "-H -S -n"),
    ("sudo", "become_exe", "sudo"),
    ("sudo", "become_user", "root"),
    ("su", "become_flags", ""),
    ("su", "become_exe", "su"),
    ("su", "become_user", "root"),
    ("", "DEFAULT_BECOME_METHOD", "sudo"),
    ("", "DEFAULT_BECOME_USER", "root"),
    ("", "DEFAULT_BECOME_EXE", "sudo"),
];

pub(super) fn config(lookup: &Lookup<'_>) -> Found {
    lookup.only("config", &["plugin_type", "plugin_name", "on_missing", "show_origin"])?;
    let plugin = lookup.options.get("plugin_name").map_or_else(String::new, python::str_of);
    let missing = lookup.options.get("on_missing").map_or_else(|| "error".to_owned(), python::str_of);
    let mut out = vec![];
    for term in lookup.texts() {
        let variable = match term.as_str() {
            "ALLOW_BROKEN_CONDITIONALS" => Some("ANSIBLE_ALLOW_BROKEN_CONDITIONALS"),
            "DEFAULT_PRIVATE_ROLE_VARS" => Some("ANSIBLE_PRIVATE_ROLE_VARS"),
            _ => None,
        };
        if let Some(variable) = variable.filter(|_| plugin.is_empty()) {
            let value = std::env::var(variable).unwrap_or_default().to_lowercase();
            out.push(matches!(value.as_str(), "1" | "true" | "yes" | "on" | "y" | "t").into());
            continue;
        }
        match SETTINGS.iter().find(|(owner, name, _)| *owner == plugin && *name == term) {
            Some((_, _, value)) => out.push(Value::from(*value)),
            None if missing == "error" => return Err(format!("Unable to find setting {term}")),
            None => {}
        }
    }
    Ok(out)
}
