//! Python's methods of strings, lists and mappings, and the functions of Ansible's templates.

use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::call;
use super::eval::{Args, Fault, Interp, Result, key_text};
use super::format::format_method;
use super::value::{V, equal, repr, str_of, truthy, type_name};

/// Stands for an undefined default of a lookup while it looks.
const MISSING: &str = "__undefined_default__6f1d2a90c4e84b7fb0d3";

/// Functions that every template can call.
pub(super) const FUNCTIONS: &[&str] = &[
    "lookup",
    "query",
    "q",
    "now",
    "range",
    "dict",
    "list",
    "namespace",
    "undef",
    "super",
    "cycler",
    "joiner",
    "lipsum",
];

const TEXT: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "islower",
    "isnumeric",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
    "encode",
    "decode",
];
const MAPPING: &[&str] = &["copy", "get", "items", "keys", "values", "pop", "update", "setdefault"];
const LIST: &[&str] = &["append", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"];

/// Whether a value has a method of this name.
pub(super) fn exists(value: &V, name: &str) -> bool {
    match value {
        V::Json(Value::String(_)) => TEXT.contains(&name),
        V::Json(Value::Object(_)) | V::Scope(_) | V::Scopes(_) => MAPPING.contains(&name),
        V::Json(Value::Array(_)) => LIST.contains(&name),
        V::Lazy(node, _) => {
            if node.items().is_empty() {
                MAPPING.contains(&name)
            } else {
                LIST.contains(&name)
            }
        }
        _ => false,
    }
}

fn plain(cx: &mut Interp<'_>, args: Args) -> Result<(Vec<Value>, Map<String, Value>)> {
    let mut pos = vec![];
    for value in args.pos {
        pos.push(cx.json(value)?);
    }
    let mut kw = Map::new();
    for (name, value) in args.kw {
        kw.insert(name, cx.json(value)?);
    }
    Ok((pos, kw))
}

/// Calls a function of the environment.
pub(super) fn function(cx: &mut Interp<'_>, name: &str, mut args: Args) -> Result<V> {
    if name == "namespace" {
        let mut map = IndexMap::new();
        for value in args.pos {
            if let Value::Object(entries) = cx.json(value)? {
                map.extend(entries.into_iter().map(|(k, v)| (k, V::Json(v))));
            }
        }
        map.extend(args.kw);
        return Ok(V::Namespace(Arc::new(Mutex::new(map))));
    }
    // `lookup(…, default=undef())`: undefined, where the default is what is found.
    let missing = match args.kw.get_mut("default") {
        Some(default) if default.is_undefined() => Some(std::mem::replace(default, V::text(MISSING))),
        _ => None,
    };
    let (pos, mut kw) = plain(cx, args)?;
    match name {
        "lookup" | "query" | "q" => {
            let Some(plugin) = pos.first().map(str_of) else {
                return Err(Fault::new("lookup needs the name of a plugin"));
            };
            let wantlist = kw.shift_remove("wantlist").map_or(name != "lookup", |v| truthy(&v));
            let errors = kw.shift_remove("errors").map_or_else(|| "strict".to_owned(), |v| str_of(&v));
            let found = match super::around::run(cx, &plugin, pos[1..].to_vec(), kw) {
                Ok(found) => found,
                Err(fault) if errors == "ignore" || errors == "warn" => {
                    if errors == "warn" {
                        cx.templar.warn(&format!("Lookup failed but the error is being ignored: {}", fault.message));
                    }
                    return Ok(V::Json(if wantlist { Value::Array(vec![]) } else { Value::Null }));
                }
                Err(fault) => return Err(fault),
            };
            if let Some(missing) = missing.filter(|_| found.iter().any(|value| value.as_str() == Some(MISSING))) {
                return Ok(missing);
            }
            if wantlist {
                return Ok(V::Json(Value::Array(found)));
            }
            Ok(V::Json(match &found[..] {
                [] => Value::Array(vec![]),
                [one] => one.clone(),
                all if all.iter().all(Value::is_string) => {
                    Value::from(all.iter().map(str_of).collect::<Vec<_>>().join(","))
                }
                _ => Value::Array(found),
            }))
        }
        "now" => {
            let utc = kw.get("utc").or(pos.first()).is_some_and(truthy);
            let zone = if utc { jiff::tz::TimeZone::UTC } else { jiff::tz::TimeZone::system() };
            let zoned = jiff::Timestamp::now().to_zoned_datetime(zone);
            let format = kw.get("fmt").or(pos.get(1)).map_or_else(|| "%Y-%m-%d %H:%M:%S.%6f".to_owned(), str_of);
            jiff::fmt::strtime::format(&format, &zoned).map(V::text).map_err(|e| Fault::new(e.to_string()))
        }
        "range" => {
            let n = |i: usize| pos.get(i).and_then(call::integer);
            let (start, stop, step) = match pos.len() {
                1 => (0, n(0), Some(1)),
                2 => (n(0).unwrap_or(0), n(1), Some(1)),
                _ => (n(0).unwrap_or(0), n(1), n(2)),
            };
            let (Some(stop), Some(step)) = (stop, step.filter(|s| *s != 0)) else {
                return Err(Fault::new("range() takes integers, and its step must not be zero"));
            };
            let mut out = vec![];
            let mut at = start;
            while if step > 0 { at < stop } else { at > stop } {
                out.push(Value::from(at));
                at += step;
                if out.len() > 10_000_000 {
                    return Err(Fault::new("the range is too long"));
                }
            }
            Ok(V::Json(Value::Array(out)))
        }
        "dict" => {
            let mut map = match pos.into_iter().next() {
                Some(Value::Object(map)) => map,
                Some(Value::Array(pairs)) => pairs
                    .iter()
                    .filter_map(|pair| match pair.as_array().map(Vec::as_slice) {
                        Some([k, v]) => Some((key_text(k), v.clone())),
                        _ => None,
                    })
                    .collect(),
                _ => Map::new(),
            };
            map.extend(kw);
            Ok(V::Json(Value::Object(map)))
        }
        "list" => Ok(V::Json(Value::Array(match pos.first() {
            Some(value) => call::items(value).map_err(Fault::new)?,
            None => vec![],
        }))),
        "undef" => {
            let hint = kw
                .get("hint")
                .or(pos.first())
                .map_or_else(|| "Mandatory variable has not been overridden".to_owned(), str_of);
            Ok(V::undefined(hint))
        }
        "super" => cx.lookup("__super"),
        "cycler" => {
            let state = IndexMap::from([
                ("__items".to_owned(), V::Json(Value::Array(pos.clone()))),
                ("__at".to_owned(), V::Json(0.into())),
                ("current".to_owned(), V::Json(pos.first().cloned().unwrap_or_default())),
            ]);
            let shared = Arc::new(Mutex::new(state));
            let own = V::Namespace(Arc::clone(&shared));
            shared
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert("next".into(), V::Method(Box::new(own), "__next".into()));
            Ok(V::Namespace(shared))
        }
        other => Err(Fault::new(format!("'{other}' is not supported"))),
    }
}

/// Calls a method.
pub(super) fn method(cx: &mut Interp<'_>, value: V, name: &str, args: Args) -> Result<V> {
    if let (V::Namespace(map), "__next") = (&value, name) {
        let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
        let items = match map.get("__items") {
            Some(V::Json(Value::Array(items))) => items.clone(),
            _ => vec![],
        };
        let at = match map.get("__at") {
            Some(V::Json(n)) => usize::try_from(n.as_u64().unwrap_or(0)).unwrap_or(0),
            _ => 0,
        };
        let current = items.get(at % items.len().max(1)).cloned().unwrap_or_default();
        map.insert("__at".into(), V::Json((at + 1).into()));
        map.insert("current".into(), V::Json(items.get((at + 1) % items.len().max(1)).cloned().unwrap_or_default()));
        return Ok(V::Json(current));
    }
    let (pos, kw) = plain(cx, args)?;
    match (&value, name) {
        (V::Json(at), "__cycle") => {
            let at = usize::try_from(at.as_u64().unwrap_or(0)).unwrap_or(0);
            return Ok(V::Json(pos.get(at % pos.len().max(1)).cloned().unwrap_or_default()));
        }
        (V::Namespace(map), "__changed") => {
            let new = Value::Array(pos);
            let old = map.lock().unwrap_or_else(PoisonError::into_inner).insert("last".into(), V::Json(new.clone()));
            let same = matches!(old, Some(V::Json(old)) if equal(&old, &new));
            return Ok(V::Json((!same).into()));
        }
        // Only the entry that is asked for is rendered.
        (V::Lazy(..) | V::Scope(_) | V::Scopes(_), "get") => {
            let key = pos.first().cloned().unwrap_or_default();
            let found = cx.item(value, &key)?;
            return Ok(if found.is_undefined() { V::Json(pos.get(1).cloned().unwrap_or_default()) } else { found });
        }
        (V::Scopes(scopes), "keys") => return Ok(V::Json(scopes.names().into())),
        (V::Scope(scope), "keys") => return Ok(V::Json(scope.names().into())),
        _ => {}
    }
    let value = cx.json(value)?;
    match &value {
        Value::String(text) => text_method(text, name, &pos, &kw).map(V::Json),
        Value::Object(map) => mapping_method(map, name, &pos).map(V::Json),
        Value::Array(items) => list_method(items, name, &pos).map(V::Json),
        other => Err(no_method(other, name)),
    }
}

fn no_method(value: &Value, name: &str) -> Fault {
    Fault::new(format!("object of type '{}' has no attribute '{name}'", type_name(value)))
}

fn mapping_method(map: &Map<String, Value>, name: &str, pos: &[Value]) -> Result<Value> {
    let pair = |(k, v): (&String, &Value)| Value::Array(vec![Value::from(k.as_str()), v.clone()]);
    match name {
        "items" => Ok(map.iter().map(pair).collect()),
        "keys" => Ok(map.keys().map(|k| Value::from(k.as_str())).collect()),
        "values" => Ok(map.values().cloned().collect()),
        "copy" => Ok(Value::Object(map.clone())),
        "get" | "setdefault" | "pop" => {
            let key = pos.first().map(key_text).unwrap_or_default();
            match map.get(&key) {
                Some(found) => Ok(found.clone()),
                None if name == "pop" && pos.len() < 2 => Err(Fault::new(format!("'{key}'"))),
                None => Ok(pos.get(1).cloned().unwrap_or_default()),
            }
        }
        // Values of templates are copies: what would change one has no effect but in `{% do %}` and `{% set %}`.
        "update" => Ok(Value::Null),
        _ => match map.get(name) {
            Some(other) => Err(Fault::new(format!("'{}' object is not callable", type_name(other)))),
            None => Err(no_method(&Value::Object(Map::new()), name)),
        },
    }
}

fn list_method(items: &[Value], name: &str, pos: &[Value]) -> Result<Value> {
    match name {
        "index" => {
            let wanted = pos.first().cloned().unwrap_or_default();
            let found = items.iter().position(|item| equal(item, &wanted));
            found.map(Value::from).ok_or_else(|| Fault::new(format!("{} is not in list", repr(&wanted))))
        }
        "count" => {
            let wanted = pos.first().cloned().unwrap_or_default();
            Ok(items.iter().filter(|item| equal(item, &wanted)).count().into())
        }
        "copy" => Ok(Value::Array(items.to_vec())),
        "pop" => Ok(items.last().cloned().unwrap_or_default()),
        "append" | "extend" | "insert" | "remove" | "reverse" | "sort" => Ok(Value::Null),
        _ => Err(no_method(&Value::Array(vec![]), name)),
    }
}

/// Methods that change a value in place.
pub(super) fn mutate(value: &mut Value, name: &str, pos: &[Value], kw: &Map<String, Value>) -> Result<Value> {
    let first = pos.first().cloned().unwrap_or_default();
    match (&mut *value, name) {
        (Value::Array(items), "append") => items.push(first),
        (Value::Array(items), "extend") => items.extend(call::items(&first).map_err(Fault::new)?),
        (Value::Array(items), "insert") => {
            let at = usize::try_from(call::integer(&first).unwrap_or(0).max(0)).unwrap_or(0).min(items.len());
            items.insert(at, pos.get(1).cloned().unwrap_or_default());
        }
        (Value::Array(items), "remove") => {
            let Some(at) = items.iter().position(|item| equal(item, &first)) else {
                return Err(Fault::new("list.remove(x): x not in list"));
            };
            items.remove(at);
        }
        (Value::Array(items), "reverse") => items.reverse(),
        (Value::Array(items), "sort") => {
            items.sort_by(|a, b| super::value::compare(a, b).unwrap_or(std::cmp::Ordering::Equal));
        }
        (Value::Array(items), "pop") => {
            let at = match call::integer(&first) {
                Some(n) if n >= 0 => usize::try_from(n).unwrap_or(usize::MAX),
                _ => items.len().saturating_sub(1),
            };
            if at >= items.len() {
                return Err(Fault::new("pop index out of range"));
            }
            return Ok(items.remove(at));
        }
        (Value::Object(map), "update") => {
            if let Value::Object(more) = first {
                map.extend(more);
            }
            map.extend(kw.clone());
        }
        (Value::Object(map), "pop") => {
            let key = key_text(&first);
            return match map.shift_remove(&key) {
                Some(found) => Ok(found),
                None => pos.get(1).cloned().ok_or_else(|| Fault::new(format!("'{key}'"))),
            };
        }
        (Value::Object(map), "setdefault") => {
            return Ok(map.entry(key_text(&first)).or_insert_with(|| pos.get(1).cloned().unwrap_or_default()).clone());
        }
        (Value::String(text), _) => return text_method(text, name, pos, kw),
        (Value::Object(map), _) => return mapping_method(map, name, pos),
        (Value::Array(items), _) => return list_method(items, name, pos),
        (other, _) => return Err(no_method(other, name)),
    }
    Ok(Value::Null)
}

fn text_method(text: &str, name: &str, pos: &[Value], kw: &Map<String, Value>) -> Result<Value> {
    let arg = |i: usize| pos.get(i).filter(|v| !v.is_null()).map(str_of);
    let int = |i: usize, key: &str| kw.get(key).or(pos.get(i)).and_then(call::integer);
    let set = arg(0);
    let strip = |c: char| set.as_ref().map_or(c.is_whitespace(), |s| s.contains(c));
    let pad = |width: i64| usize::try_from(width).unwrap_or(0).saturating_sub(text.chars().count());
    let fill = arg(1).unwrap_or_else(|| " ".into());
    let every = |f: fn(char) -> bool| !text.is_empty() && text.chars().all(f);
    let cased = |f: fn(char) -> bool, not: fn(char) -> bool| text.chars().any(f) && !text.chars().any(not);
    let chars_before = |at: usize| i64::try_from(text[..at].chars().count()).unwrap_or(i64::MAX);
    let many = |items: Vec<&str>| Value::from(items.into_iter().map(str::to_owned).collect::<Vec<_>>());
    let ends = |f: &dyn Fn(&str) -> bool| match pos.first() {
        Some(Value::Array(all)) => all.iter().any(|v| f(&str_of(v))),
        Some(one) => f(&str_of(one)),
        None => false,
    };
    Ok(match name {
        "lower" | "casefold" => text.to_lowercase().into(),
        "upper" => text.to_uppercase().into(),
        "capitalize" => {
            let mut chars = text.chars();
            let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
            format!("{first}{}", chars.as_str().to_lowercase()).into()
        }
        "title" => titled(text).into(),
        "swapcase" => text
            .chars()
            .map(|c| if c.is_uppercase() { c.to_lowercase().to_string() } else { c.to_uppercase().to_string() })
            .collect::<String>()
            .into(),
        "strip" => text.trim_matches(strip).into(),
        "lstrip" => text.trim_start_matches(strip).into(),
        "rstrip" => text.trim_end_matches(strip).into(),
        "startswith" => ends(&|p| text.starts_with(p)).into(),
        "endswith" => ends(&|p| text.ends_with(p)).into(),
        "removeprefix" => text.strip_prefix(arg(0).unwrap_or_default().as_str()).unwrap_or(text).into(),
        "removesuffix" => text.strip_suffix(arg(0).unwrap_or_default().as_str()).unwrap_or(text).into(),
        "replace" => {
            let (old, new) = (arg(0).unwrap_or_default(), pos.get(1).map(str_of).unwrap_or_default());
            match int(2, "count").filter(|n| *n >= 0) {
                Some(n) => text.replacen(&old, &new, usize::try_from(n).unwrap_or(usize::MAX)).into(),
                None => text.replace(&old, &new).into(),
            }
        }
        "split" | "rsplit" => {
            let limit = int(1, "maxsplit").filter(|n| *n >= 0).and_then(|n| usize::try_from(n).ok());
            let separator = kw.get("sep").filter(|v| !v.is_null()).map(str_of).or_else(|| arg(0));
            many(split(text, separator.as_deref(), limit, name == "rsplit")?)
        }
        "splitlines" => many(text.lines().collect()),
        "partition" => {
            match arg(0).and_then(|s| text.split_once(s.as_str()).map(|(a, b)| (a.to_owned(), s, b.to_owned()))) {
                Some((a, s, b)) => Value::from(vec![a, s, b]),
                None => Value::from(vec![text, "", ""]),
            }
        }
        "rpartition" => {
            match arg(0).and_then(|s| text.rsplit_once(s.as_str()).map(|(a, b)| (a.to_owned(), s, b.to_owned()))) {
                Some((a, s, b)) => Value::from(vec![a, s, b]),
                None => Value::from(vec!["", "", text]),
            }
        }
        "join" => {
            let items = call::items(pos.first().unwrap_or(&Value::Null)).map_err(Fault::new)?;
            if let Some(wrong) = items.iter().find(|i| !i.is_string()) {
                return Err(Fault::new(format!("sequence item: expected str instance, {} found", type_name(wrong))));
            }
            items.iter().map(str_of).collect::<Vec<_>>().join(text).into()
        }
        "find" => arg(0).and_then(|s| text.find(&s)).map_or(-1, chars_before).into(),
        "rfind" => arg(0).and_then(|s| text.rfind(&s)).map_or(-1, chars_before).into(),
        "index" | "rindex" => {
            let found = arg(0).and_then(|s| if name == "index" { text.find(&s) } else { text.rfind(&s) });
            found.map(chars_before).ok_or_else(|| Fault::new("substring not found"))?.into()
        }
        "count" => text.matches(arg(0).unwrap_or_default().as_str()).count().into(),
        "zfill" => {
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(rest) => (&text[..1], rest),
                None => ("", text),
            };
            format!("{sign}{}{digits}", "0".repeat(pad(int(0, "width").unwrap_or(0)))).into()
        }
        "ljust" => format!("{text}{}", fill.repeat(pad(int(0, "width").unwrap_or(0)))).into(),
        "rjust" => format!("{}{text}", fill.repeat(pad(int(0, "width").unwrap_or(0)))).into(),
        "center" => {
            let total = pad(int(0, "width").unwrap_or(0));
            let left = total / 2;
            format!("{}{text}{}", fill.repeat(left), fill.repeat(total - left)).into()
        }
        "expandtabs" => text.replace('\t', "        ").into(),
        "isdigit" | "isdecimal" | "isnumeric" => every(char::is_numeric).into(),
        "isalpha" => every(char::is_alphabetic).into(),
        "isalnum" => every(char::is_alphanumeric).into(),
        "isspace" => every(char::is_whitespace).into(),
        "isascii" => text.is_ascii().into(),
        "islower" => cased(char::is_lowercase, char::is_uppercase).into(),
        "isupper" => cased(char::is_uppercase, char::is_lowercase).into(),
        "istitle" => (!text.is_empty() && titled(text) == text).into(),
        "encode" | "decode" => text.into(),
        "format" => format_method(text, pos, kw)?.into(),
        _ => return Err(no_method(&Value::String(String::new()), name)),
    })
}

fn titled(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    out
}

fn split<'a>(text: &'a str, separator: Option<&str>, limit: Option<usize>, right: bool) -> Result<Vec<&'a str>> {
    let Some(separator) = separator else {
        let Some(limit) = limit else { return Ok(text.split_whitespace().collect()) };
        let (mut out, mut rest) = (vec![], text.trim());
        while out.len() < limit && !rest.is_empty() {
            let cut = if right { rest.rfind(char::is_whitespace) } else { rest.find(char::is_whitespace) };
            let Some(at) = cut else { break };
            if right {
                out.push(rest[at..].trim_start());
                rest = rest[..at].trim_end();
            } else {
                out.push(&rest[..at]);
                rest = rest[at..].trim_start();
            }
        }
        if !rest.is_empty() {
            out.push(rest);
        }
        if right {
            out.reverse();
        }
        return Ok(out);
    };
    if separator.is_empty() {
        return Err(Fault::new("empty separator"));
    }
    Ok(match (limit, right) {
        (None, _) => text.split(separator).collect(),
        (Some(n), false) => text.splitn(n + 1, separator).collect(),
        (Some(n), true) => {
            let mut parts: Vec<&str> = text.rsplitn(n + 1, separator).collect();
            parts.reverse();
            parts
        }
    })
}
