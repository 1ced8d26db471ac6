//! Tests: `x is NAME`.

use serde_json::Value;

use super::eval::{Args, Fault, Interp, Result};
use super::operators::{compared, contains};
use super::regex;
use super::value::{V, equal, number, str_of, truthy, type_name};
use super::{call, pipes};

/// Names of all tests.
pub(super) const NAMES: &[&str] = &[
    "defined",
    "undefined",
    "none",
    "boolean",
    "false",
    "true",
    "integer",
    "float",
    "number",
    "string",
    "mapping",
    "sequence",
    "iterable",
    "callable",
    "sameas",
    "escaped",
    "in",
    "contains",
    "odd",
    "even",
    "divisibleby",
    "lower",
    "upper",
    "filter",
    "test",
    "eq",
    "equalto",
    "==",
    "ne",
    "!=",
    "lt",
    "lessthan",
    "<",
    "le",
    "<=",
    "gt",
    "greaterthan",
    ">",
    "ge",
    ">=",
    "changed",
    "change",
    "failed",
    "failure",
    "succeeded",
    "success",
    "successful",
    "skipped",
    "skip",
    "started",
    "finished",
    "reachable",
    "unreachable",
    "timedout",
    "match",
    "search",
    "regex",
    "version",
    "version_compare",
    "any",
    "all",
    "truthy",
    "falsy",
    "subset",
    "issubset",
    "superset",
    "issuperset",
    "exists",
    "directory",
    "is_dir",
    "file",
    "is_file",
    "link",
    "is_link",
    "link_exists",
    "is_link_exists",
    "abs",
    "is_abs",
    "same_file",
    "is_same_file",
    "mount",
    "is_mount",
    "vault_encrypted",
    "vaulted_file",
    "nan",
    "isnan",
    "is_nan",
    "uri",
    "url",
    "urn",
];

/// Whether there is such a test.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&pipes::short(name))
}

/// Whether a value passes a test.
pub(super) fn apply(cx: &mut Interp<'_>, name: &str, input: V, args: Args) -> Result<bool> {
    let name = pipes::short(name);
    match name {
        "defined" => return Ok(!input.is_undefined()),
        "undefined" => return Ok(input.is_undefined()),
        "callable" => return Ok(matches!(input, V::Function(_) | V::Method(..) | V::Macro(..) | V::Caller(_))),
        "vault_encrypted" => {
            let encrypted =
                matches!(&input, V::Json(Value::String(text)) if crate::language::Vault::is_vaulted(text.as_bytes()));
            return Ok(encrypted);
        }
        _ => {}
    }
    let value = cx.json(input)?;
    let mut pos = vec![];
    for arg in args.pos {
        pos.push(cx.json(arg)?);
    }
    let mut kw = serde_json::Map::new();
    for (key, arg) in args.kw {
        kw.insert(key, cx.json(arg)?);
    }
    let arg = |at: usize, key: &str| kw.get(key).or(pos.get(at)).cloned();
    let first = || pos.first().cloned().unwrap_or_default();
    let order = |op| compared(op, &value, &first());
    use minijinja::machinery::ast::CompareOpKind as Op;
    Ok(match name {
        "none" => value.is_null(),
        "boolean" => value.is_boolean(),
        "true" => value == Value::Bool(true),
        "false" => value == Value::Bool(false),
        "integer" => value.is_i64() || value.is_u64(),
        "float" => value.is_f64(),
        "number" => value.is_number() || value.is_boolean(),
        "string" => value.is_string(),
        "mapping" => value.is_object(),
        "sequence" | "iterable" => value.is_array() || value.is_object() || value.is_string(),
        "escaped" => false,
        "sameas" => value == first(),
        "in" => contains(&first(), &value)?,
        "contains" => contains(&value, &first())?,
        "odd" | "even" => {
            let n = call::integer(&value).ok_or_else(|| wrong(name, "an integer is wanted"))?;
            (n.rem_euclid(2) == 1) == (name == "odd")
        }
        "divisibleby" => match (call::integer(&value), call::integer(&first())) {
            (Some(a), Some(b)) if b != 0 => a % b == 0,
            _ => return Err(wrong(name, "integers are wanted")),
        },
        "lower" => str_of(&value).chars().any(char::is_alphabetic) && str_of(&value) == str_of(&value).to_lowercase(),
        "upper" => str_of(&value).chars().any(char::is_alphabetic) && str_of(&value) == str_of(&value).to_uppercase(),
        "filter" => pipes::exists(&str_of(&value)),
        "test" => exists(&str_of(&value)),
        "eq" | "equalto" | "==" => equal(&value, &first()),
        "ne" | "!=" => !equal(&value, &first()),
        "lt" | "lessthan" | "<" => order(Op::Lt)?,
        "le" | "<=" => order(Op::Lte)?,
        "gt" | "greaterthan" | ">" => order(Op::Gt)?,
        "ge" | ">=" => order(Op::Gte)?,
        "match" | "search" | "regex" => search(name, &value, &arg)?,
        "version" | "version_compare" => {
            let other = arg(0, "version").ok_or_else(|| wrong(name, "a version to compare with is wanted"))?;
            let operator = arg(1, "operator").map_or_else(|| "eq".to_owned(), |v| str_of(&v));
            let strict = arg(2, "strict").is_some_and(|v| truthy(&v));
            super::version::compare(
                &str_of(&value),
                &str_of(&other),
                &operator,
                strict,
                arg(3, "version_type").map(|v| str_of(&v)).as_deref(),
            )
            .map_err(|e| wrong(name, &e))?
        }
        "any" => call::items(&value).map_err(Fault::new)?.iter().any(truthy),
        "all" => call::items(&value).map_err(Fault::new)?.iter().all(truthy),
        "truthy" | "falsy" => {
            let convert = arg(0, "convert_bool").is_some_and(|v| truthy(&v));
            let flag = match (&value, convert) {
                (Value::String(text), true) => match text.to_lowercase().as_str() {
                    "y" | "yes" | "on" | "1" | "true" | "t" => true,
                    "n" | "no" | "off" | "0" | "false" | "f" => false,
                    _ => truthy(&value),
                },
                _ => truthy(&value),
            };
            flag == (name == "truthy")
        }
        "subset" | "issubset" => subset(&value, &first())?,
        "superset" | "issuperset" => subset(&first(), &value)?,
        "nan" | "isnan" | "is_nan" => number(&value).is_some_and(f64::is_nan) || value == "nan",
        "exists" | "directory" | "is_dir" | "file" | "is_file" | "link" | "is_link" | "link_exists"
        | "is_link_exists" | "abs" | "is_abs" | "same_file" | "is_same_file" | "mount" | "is_mount"
        | "vaulted_file" => path(name, &value, &first()),
        "uri" | "url" | "urn" => uri(name, &str_of(&value), arg(0, "schemes").as_ref()),
        "changed" | "change" | "failed" | "failure" | "succeeded" | "success" | "successful" | "skipped" | "skip"
        | "started" | "finished" | "reachable" | "unreachable" | "timedout" => result(name, &value)?,
        other => return Err(Fault::new(format!("Could not load \"{other}\": No test named '{other}'."))),
    })
}

fn wrong(name: &str, message: &str) -> Fault {
    Fault::new(format!("The test plugin 'ansible.builtin.{name}' failed: {message}"))
}

fn search(name: &str, value: &Value, arg: &dyn Fn(usize, &str) -> Option<Value>) -> Result<bool> {
    let Some(pattern) = arg(0, "pattern") else { return Err(wrong(name, "a pattern is wanted")) };
    let pattern = str_of(&pattern);
    let flag = |at: usize, key: &str| arg(at, key).is_some_and(|v| truthy(&v));
    let flags =
        regex::Flags { ignore_case: flag(1, "ignorecase"), multiline: flag(2, "multiline"), ..regex::Flags::default() };
    let kind = arg(3, "match_type").map_or_else(|| "search".to_owned(), |v| str_of(&v));
    let anchored = name == "match" || (name == "regex" && kind == "match");
    let pattern = if anchored {
        format!("\\A(?:{pattern})")
    } else if name == "regex" && kind == "fullmatch" {
        format!("\\A(?:{pattern})\\Z")
    } else {
        pattern
    };
    if !value.is_string() && !value.is_number() && !value.is_boolean() && !value.is_null() {
        return Err(wrong(name, &format!("expected string or bytes-like object, got '{}'", type_name(value))));
    }
    let regex = regex::compile(&pattern, flags).map_err(|e| wrong(name, &e))?;
    regex.is_match(&str_of(value)).map_err(|e| wrong(name, &e.to_string()))
}

fn subset(a: &Value, b: &Value) -> Result<bool> {
    let (a, b) = (call::items(a).map_err(Fault::new)?, call::items(b).map_err(Fault::new)?);
    Ok(a.iter().all(|item| call::contains(&b, item)))
}

fn path(name: &str, value: &Value, other: &Value) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let text = str_of(value);
    let path = std::path::Path::new(&text);
    match name.trim_start_matches("is_") {
        "exists" => path.exists(),
        "dir" | "directory" => path.is_dir(),
        "file" => path.is_file(),
        "link" => path.is_symlink(),
        "link_exists" => path.symlink_metadata().is_ok(),
        "abs" => path.is_absolute(),
        "same_file" => match (path.metadata(), std::fs::metadata(str_of(other))) {
            (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
            _ => false,
        },
        "mount" => match (path.symlink_metadata(), path.join("..").metadata()) {
            (Ok(own), Ok(up)) => {
                !own.file_type().is_symlink() && own.is_dir() && (own.dev() != up.dev() || own.ino() == up.ino())
            }
            _ => false,
        },
        _ => std::fs::read(path).is_ok_and(|bytes| crate::language::Vault::is_vaulted(&bytes)),
    }
}

fn uri(name: &str, text: &str, schemes: Option<&Value>) -> bool {
    let explicit = matches!(schemes, Some(Value::Array(all)) if !all.is_empty());
    // Any text is a URI whose scheme and authority are implied, as long as no scheme is asked for.
    if name == "uri" && !explicit {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let allowed = match schemes {
        Some(Value::Array(all)) => all.iter().any(|s| str_of(s) == scheme),
        _ => true,
    };
    valid
        && allowed
        && match name {
            "url" => rest.strip_prefix("//").is_some_and(|host| !host.is_empty() && !host.starts_with('/')),
            "urn" => scheme == "urn" && !rest.is_empty(),
            _ => !rest.is_empty(),
        }
}

fn result(name: &str, value: &Value) -> Result<bool> {
    let Value::Object(map) = value else {
        return Err(wrong(name, &format!("The '{name}' test expects a dictionary")));
    };
    let flag = |key: &str| map.get(key).is_some_and(truthy);
    Ok(match name {
        "failed" | "failure" => flag("failed"),
        "succeeded" | "success" | "successful" => !flag("failed"),
        "changed" | "change" => match (map.get("changed"), map.get("results")) {
            (None, Some(Value::Array(results))) => results.iter().any(|r| r.get("changed").is_some_and(truthy)),
            (found, _) => found.is_some_and(truthy),
        },
        "skipped" | "skip" => flag("skipped"),
        "started" => {
            if !map.contains_key("started") {
                return Err(wrong(name, "The 'started' test expects an async task, but a non-async task was tested"));
            }
            flag("started")
        }
        "finished" => {
            if !map.contains_key("finished") {
                return Err(wrong(name, "The 'finished' test expects an async task, but a non-async task was tested"));
            }
            flag("finished")
        }
        "reachable" => !flag("unreachable"),
        "unreachable" => flag("unreachable"),
        _ => map.get("timedout").is_some_and(truthy),
    })
}
