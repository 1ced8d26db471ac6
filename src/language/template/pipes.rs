//! Filters: those that look at undefined values, or call filters and tests themselves; all others are pure functions of [`filters`].

use serde_json::{Map, Value};

use super::call::{self, Call};
use super::eval::{Args, Fault, Interp, Result};
use super::value::{OMIT, V, str_of, truthy};
use super::{filters, tests};

/// Names of the filters of this file.
pub(super) const NAMES: &[&str] = &[
    "default",
    "d",
    "mandatory",
    "map",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
    "first",
    "last",
    "lower",
    "upper",
    "capitalize",
    "title",
    "abs",
    "attr",
    "extract",
    "escape",
    "e",
    "forceescape",
    "safe",
    "pprint",
    "type_debug",
    "vault",
    "unvault",
    "undef",
    "wordwrap",
    "xmlattr",
    "urlize",
    "random_mac",
    "ternary",
    "groupby",
    "string",
];

/// The name without its collection.
pub(super) fn short(name: &str) -> &str {
    name.strip_prefix("ansible.builtin.")
        .or_else(|| name.strip_prefix("ansible.legacy."))
        .or_else(|| name.strip_prefix("ansible.utils."))
        .or_else(|| name.strip_prefix("community.general."))
        .unwrap_or(name)
}

/// Whether there is such a filter.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&short(name)) || filters::find(short(name)).is_some()
}

/// Names of all filters.
pub(super) fn names() -> Vec<&'static str> {
    NAMES.iter().copied().chain(filters::all().map(|(name, _)| name)).collect()
}

/// Applies a filter.
pub(super) fn apply(cx: &mut Interp<'_>, name: &str, input: V, mut args: Args) -> Result<V> {
    let name = short(name);
    match name {
        "default" | "d" => default(cx, input, args),
        "mandatory" => match input {
            V::Undefined(message) => {
                let given = args.kw.get("msg").or(args.pos.first()).cloned();
                let text = match given {
                    Some(value) => str_of(&cx.json(value)?),
                    None => {
                        let name = message.strip_suffix(" is undefined").unwrap_or("");
                        format!("Mandatory variable {name} not defined.").replace("  ", " ")
                    }
                };
                Err(Fault { message: text, undefined: true, line: None })
            }
            value => Ok(value),
        },
        "undef" => Ok(V::undefined(match args.pos.first().cloned() {
            Some(value) => str_of(&cx.json(value)?),
            None => "Mandatory variable has not been overridden".into(),
        })),
        "type_debug" => Ok(V::text(input.type_name())),
        "map" => {
            let items = items(cx, input)?;
            let mut out = Vec::with_capacity(items.len());
            if let Some(attribute) = args.kw.shift_remove("attribute") {
                let path = cx.json(attribute)?;
                let fallback = args.kw.shift_remove("default");
                for item in items {
                    let found = dig(cx, V::Json(item), &path)?;
                    let found = match (&found, &fallback) {
                        (V::Undefined(_), Some(default)) => default.clone(),
                        _ => found,
                    };
                    out.push(cx.json(found)?);
                }
                return Ok(V::Json(Value::Array(out)));
            }
            let Some(first) = (!args.pos.is_empty()).then(|| args.pos.remove(0)) else {
                return Err(Fault::new("map requires a filter argument"));
            };
            let inner = str_of(&cx.json(first)?);
            for item in items {
                let value = apply(cx, &inner, V::Json(item), args.clone())?;
                out.push(cx.json(value)?);
            }
            Ok(V::Json(Value::Array(out)))
        }
        "select" | "reject" | "selectattr" | "rejectattr" => select(cx, name, input, args),
        "first" | "last" => {
            let items = items(cx, input)?;
            let found = if name == "first" { items.into_iter().next() } else { items.into_iter().next_back() };
            Ok(found.map_or_else(|| V::undefined(format!("No {name} item, sequence was empty.")), V::Json))
        }
        "lower" => Ok(V::text(text(cx, input)?.to_lowercase())),
        "upper" => Ok(V::text(text(cx, input)?.to_uppercase())),
        "capitalize" | "title" => {
            let text = text(cx, input)?;
            super::methods::method(cx, V::text(text), name, Args::default())
        }
        "abs" => {
            let value = cx.json(input)?;
            match (value.as_i64(), value.as_f64()) {
                (Some(n), _) => Ok(V::Json(n.abs().into())),
                (None, Some(n)) => Ok(V::Json(super::value::float(n.abs()))),
                _ => Err(Fault::new(format!("bad operand type for abs(): '{}'", super::value::type_name(&value)))),
            }
        }
        "attr" => {
            let Some(key) = args.pos.first().cloned() else { return Err(Fault::new("attr requires a name")) };
            let key = str_of(&cx.json(key)?);
            cx.attribute(input, &key)
        }
        "extract" => extract(cx, input, args),
        "ternary" => ternary(cx, input, args),
        "groupby" => match pure(cx, name, input, args)? {
            V::Json(Value::Array(groups)) if !groups.is_empty() => Ok(V::Groups(groups)),
            none => Ok(none),
        },
        "string" => text(cx, input).map(V::text),
        "escape" | "e" | "forceescape" => {
            let text = text(cx, input)?;
            Ok(V::text(
                text.replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('>', "&gt;")
                    .replace('"', "&#34;")
                    .replace('\'', "&#39;"),
            ))
        }
        "safe" => Ok(input),
        "pprint" => {
            let value = cx.json(input)?;
            Ok(V::text(super::value::repr(&value)))
        }
        "unvault" => {
            let text = text(cx, input)?;
            let secret = args.pos.first().or(args.kw.get("secret")).cloned();
            let Some(secret) = secret else { return Err(Fault::new("unvault requires a secret")) };
            let secret = str_of(&cx.json(secret)?);
            vault(&secret, None).decrypt(&text).map(V::text).map_err(|e| Fault::new(format!("{e:#}")))
        }
        "vault" => {
            let plain = text(cx, input)?;
            let arg = |cx: &mut Interp<'_>, at: usize, name: &str| -> Result<Option<String>> {
                let value = args.kw.get(name).or(args.pos.get(at)).cloned();
                value.map(|v| cx.json(v).map(|v| str_of(&v))).transpose()
            };
            let Some(secret) = arg(cx, 0, "secret")? else { return Err(Fault::new("vault requires a secret")) };
            let id = arg(cx, 2, "vault_id")?.filter(|id| id != "filter_default");
            let text = vault(&secret, id).encrypt(plain.as_bytes(), None).map_err(|e| Fault::new(format!("{e:#}")))?;
            Ok(V::text(text.trim_end()))
        }
        "wordwrap" => wordwrap(cx, input, args),
        "json_query" => Err(Fault::new("the filter `json_query` is not supported: use selectattr, map and the like")),
        _ => pure(cx, name, input, args),
    }
}

/// `key | extract(container, morekeys)`; of `hostvars` only what is asked for is evaluated.
fn extract(cx: &mut Interp<'_>, input: V, mut args: Args) -> Result<V> {
    let mut argument = |at: usize, name: &str| args.kw.shift_remove(name).or_else(|| args.pos.get(at).cloned());
    let more = argument(1, "morekeys");
    let Some(container) = argument(0, "container") else {
        return Err(Fault::new("The filter plugin 'ansible.builtin.extract' failed: missing argument 'container'"));
    };
    let mut keys = vec![cx.json(input)?];
    match more.map(|more| cx.json(more)).transpose()? {
        None | Some(Value::Null) => {}
        Some(Value::Array(more)) => keys.extend(more),
        Some(key) => keys.push(key),
    }
    let mut value = container;
    for key in keys {
        value = cx.item(value, &key)?;
    }
    Ok(value)
}

/// `value | ternary(true_val, false_val, none_val)`: only what is chosen is used, so the others may be undefined.
fn ternary(cx: &mut Interp<'_>, input: V, mut args: Args) -> Result<V> {
    let mut argument = |at: usize, name: &str| args.kw.shift_remove(name).or_else(|| args.pos.get(at).cloned());
    let none = argument(2, "none_val");
    let (Some(no), Some(yes)) = (argument(1, "false_val"), argument(0, "true_val")) else {
        return Err(Fault::new("The filter plugin 'ansible.builtin.ternary' failed: it needs true_val and false_val"));
    };
    match (&input, none) {
        (V::Json(Value::Null), Some(none)) if !matches!(none, V::Json(Value::Null)) => Ok(none),
        _ => Ok(if cx.truth(input)? { yes } else { no }),
    }
}

fn vault(secret: &str, id: Option<String>) -> crate::language::Vault {
    crate::language::Vault::new(vec![(id.unwrap_or_else(|| "default".into()), crate::host::Secret::new(secret))])
}

fn pure(cx: &mut Interp<'_>, name: &str, input: V, args: Args) -> Result<V> {
    let Some(filter) = filters::find(name) else { return Err(unknown(name)) };
    let mut call = Call { value: cx.json(input)?, ..Call::default() };
    for value in args.pos {
        call.positional.push(cx.json(value)?);
    }
    for (key, value) in args.kw {
        call.named.insert(key, cx.json(value)?);
    }
    match filter(&call) {
        Ok(value) => Ok(V::Json(value)),
        Err(message) => Err(Fault::new(format!("The filter plugin 'ansible.builtin.{name}' failed: {message}"))),
    }
}

fn unknown(name: &str) -> Fault {
    Fault::new(format!("Could not load \"{name}\": No filter named '{name}'."))
}

fn items(cx: &mut Interp<'_>, input: V) -> Result<Vec<Value>> {
    let value = cx.json(input)?;
    call::items(&value).map_err(Fault::new)
}

fn text(cx: &mut Interp<'_>, input: V) -> Result<String> {
    cx.text(input)
}

fn default(cx: &mut Interp<'_>, input: V, mut args: Args) -> Result<V> {
    let fallback =
        args.kw.shift_remove("default_value").or_else(|| args.pos.first().cloned()).unwrap_or_else(|| V::text(""));
    let loose = match args.kw.shift_remove("boolean").or_else(|| args.pos.get(1).cloned()) {
        Some(flag) => cx.truth(flag)?,
        None => false,
    };
    match &input {
        V::Undefined(_) => Ok(fallback),
        V::Lazy(node, _) if loose && node.entries().is_empty() && node.items().is_empty() => Ok(fallback),
        V::Json(value) if loose && !truthy(value) => Ok(fallback),
        // A variable whose own template meets something undefined counts as undefined, too; its error was raised before this.
        V::Json(Value::String(text)) if text == OMIT && loose => Ok(fallback),
        _ => Ok(input),
    }
}

/// A value by a path of keys: `a.b.0`, or a single index.
pub(super) fn dig(cx: &mut Interp<'_>, value: V, path: &Value) -> Result<V> {
    let Value::String(text) = path else { return cx.item(value, path) };
    let mut value = value;
    for part in text.split('.') {
        let key = part.parse::<i64>().map_or_else(|_| Value::from(part), Value::from);
        let found = cx.item(value.clone(), &key)?;
        value = if found.is_undefined() { cx.item(value, &Value::from(part))? } else { found };
    }
    Ok(value)
}

fn select(cx: &mut Interp<'_>, name: &str, input: V, mut args: Args) -> Result<V> {
    let by_attribute = name.ends_with("attr");
    let keep = name.starts_with("select");
    let items = items(cx, input)?;
    let path = if by_attribute {
        if args.pos.is_empty() {
            return Err(Fault::new(format!("{name} requires an attribute")));
        }
        let path = args.pos.remove(0);
        Some(cx.json(path)?)
    } else {
        None
    };
    let test = if args.pos.is_empty() { None } else { Some(args.pos.remove(0)) };
    let test = test.map(|value| cx.json(value).map(|v| str_of(&v))).transpose()?;
    let mut out = vec![];
    for item in items {
        let value = match &path {
            Some(path) => dig(cx, V::Json(item.clone()), path)?,
            None => V::Json(item.clone()),
        };
        let holds = match &test {
            Some(test) => tests::apply(cx, test, value, args.clone())?,
            // An attribute that is not there is simply not true.
            None => {
                if value.is_undefined() {
                    false
                } else {
                    cx.truth(value)?
                }
            }
        };
        if holds == keep {
            out.push(item);
        }
    }
    Ok(V::Json(Value::Array(out)))
}

fn wordwrap(cx: &mut Interp<'_>, input: V, args: Args) -> Result<V> {
    let text = text(cx, input)?;
    let mut named = Map::new();
    for (key, value) in args.kw {
        named.insert(key, cx.json(value)?);
    }
    let first = args.pos.into_iter().next().map(|v| cx.json(v)).transpose()?;
    let width = named.get("width").or(first.as_ref()).and_then(call::integer).unwrap_or(79);
    let width = usize::try_from(width).unwrap_or(79).max(1);
    let mut lines = vec![];
    for line in text.lines() {
        let mut current = String::new();
        for word in line.split_whitespace() {
            if !current.is_empty() && current.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut current));
            }
            if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    Ok(V::text(lines.join("\n")))
}
