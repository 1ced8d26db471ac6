//! What Jinja's filters do to lists and mappings, as Python's Jinja does it.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::super::call::{Answer, Call, Filter, float, integer, truthy, type_name};
use super::sets::{step, unique as distinct};
use crate::text::python;

pub(super) const FILTERS: &[(&str, Filter)] = &[
    ("join", join),
    ("sort", sort),
    ("unique", unique),
    ("min", |call| extreme(call, Ordering::Less)),
    ("max", |call| extreme(call, Ordering::Greater)),
    ("sum", sum),
    ("dictsort", dictsort),
    ("batch", batch),
    ("slice", slice),
    ("groupby", groupby),
    ("list", |call| call.items().map(Value::Array)),
    ("length", length),
    ("count", length),
    ("reverse", reverse),
    ("items", items),
    ("first", |call| call.items()?.into_iter().next().ok_or_else(|| "No first item, sequence was empty.".into())),
    ("last", |call| call.items()?.pop().ok_or_else(|| "No last item, sequence was empty.".into())),
    ("abs", abs),
];

fn abs(call: &Call) -> Answer {
    match &call.value {
        Value::Number(number) if !number.is_f64() => {
            Ok(number.as_i64().map_or_else(|| call.value.clone(), |n| n.abs().into()))
        }
        value => float(value)
            .filter(|_| !value.is_string())
            .map(|number| number.abs().into())
            .ok_or_else(|| "abs() needs a number".into()),
    }
}

/// The value of an attribute: `a.b.0`.
fn attribute(value: &Value, path: &str) -> Result<Value, String> {
    let mut value = value.clone();
    for part in path.split('.') {
        let key = part.parse::<i64>().map_or_else(|_| Value::from(part), Value::from);
        let next = step(&value, &key);
        value = next.ok_or_else(|| format!("object of type '{}' has no attribute '{part}'", type_name(&value)))?;
    }
    Ok(value)
}

fn key(call: &Call, value: &Value, position: usize) -> Result<Value, String> {
    match call.argument(position, "attribute") {
        None | Some(Value::Null) => Ok(value.clone()),
        Some(Value::Number(index)) => {
            step(value, &Value::Number(index.clone())).ok_or_else(|| "list index out of range".into())
        }
        Some(path) => attribute(value, &python::str_of(path)),
    }
}

fn fold(value: Value, case_sensitive: bool) -> Value {
    match value {
        Value::String(text) if !case_sensitive => text.to_lowercase().into(),
        other => other,
    }
}

/// Python's order; values of different kinds have none.
pub(super) fn compare(a: &Value, b: &Value) -> Result<Ordering, String> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Ok(a.cmp(b)),
        (Value::Array(a), Value::Array(b)) => {
            for (a, b) in a.iter().zip(b) {
                match compare(a, b)? {
                    Ordering::Equal => {}
                    other => return Ok(other),
                }
            }
            Ok(a.len().cmp(&b.len()))
        }
        (Value::Number(_) | Value::Bool(_), Value::Number(_) | Value::Bool(_)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Ok(a.cmp(&b)),
            _ => Ok(float(a).partial_cmp(&float(b)).unwrap_or(Ordering::Equal)),
        },
        _ => Err(format!("'<' not supported between instances of '{}' and '{}'", type_name(a), type_name(b))),
    }
}

/// Sorts by keys; the first pair without an order is the error.
fn sorted(mut keyed: Vec<(Value, Value)>, reverse: bool) -> Result<Vec<Value>, String> {
    let mut failed = None;
    keyed.sort_by(|(a, _), (b, _)| {
        let order = compare(a, b).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            Ordering::Equal
        });
        if reverse { order.reverse() } else { order }
    });
    failed.map_or_else(|| Ok(keyed.into_iter().map(|(_, value)| value).collect()), Err)
}

fn sort(call: &Call) -> Answer {
    call.only(&["reverse", "case_sensitive", "attribute"])?;
    let case = call.flag(1, "case_sensitive");
    let paths: Vec<String> = match call.argument(2, "attribute") {
        None | Some(Value::Null) => vec![],
        Some(path) => python::str_of(path).split(',').map(str::to_owned).collect(),
    };
    let keyed = call
        .items()?
        .into_iter()
        .map(|item| {
            let key = match paths.as_slice() {
                [] => fold(item.clone(), case),
                paths => Value::Array(
                    paths
                        .iter()
                        .map(|path| attribute(&item, path).map(|value| fold(value, case)))
                        .collect::<Result<_, _>>()?,
                ),
            };
            Ok((key, item))
        })
        .collect::<Result<Vec<_>, String>>()?;
    sorted(keyed, call.flag(0, "reverse")).map(Value::Array)
}

fn join(call: &Call) -> Answer {
    call.only(&["d", "attribute"])?;
    let separator = call.text(0, "d").unwrap_or_default();
    let parts = call
        .items()?
        .iter()
        .map(|item| key(call, item, 1).map(|item| python::str_of(&item)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(parts.join(&separator).into())
}

fn unique(call: &Call) -> Answer {
    call.only(&["case_sensitive", "attribute"])?;
    let given = call.argument(0, "case_sensitive").filter(|value| !value.is_null());
    let case = given.is_some_and(truthy);
    let items = call.items()?;
    let nested = |item: &Value| matches!(item, Value::Array(_) | Value::Object(_));
    if given.is_some() && !case && items.iter().any(nested) {
        return Err("Jinja2's unique filter failed and we cannot fall back to Ansible's version as it does not support the parameters supplied".into());
    }
    let keys = items.iter().map(|item| key(call, item, 1)).collect::<Result<Vec<_>, _>>()?;
    let mut keys = keys.into_iter();
    Ok(Value::Array(distinct(items, case, |_| keys.next().unwrap_or_default())))
}

fn extreme(call: &Call, wanted: Ordering) -> Answer {
    call.only(&["case_sensitive", "attribute"])?;
    let case = call.argument(0, "case_sensitive").is_some_and(truthy);
    let mut best: Option<(Value, Value)> = None;
    for item in call.items()? {
        let key = fold(key(call, &item, 1)?, case);
        match &best {
            Some((old, _)) if compare(&key, old)? != wanted => {}
            _ => best = Some((key, item)),
        }
    }
    best.map(|(_, item)| item).ok_or_else(|| "No aggregated item, sequence was empty.".into())
}

fn sum(call: &Call) -> Answer {
    call.only(&["attribute", "start"])?;
    let items = call.items()?.iter().map(|item| key(call, item, 0)).collect::<Result<Vec<_>, _>>()?;
    let zero = Value::from(0);
    let start = call.argument(1, "start").unwrap_or(&zero);
    if let Value::Array(first) = start {
        let mut all = first.clone();
        for item in items {
            all.extend(item.as_array().cloned().ok_or("can only concatenate list to list")?);
        }
        return Ok(Value::Array(all));
    }
    super::math::sum(&items, start)
}

fn dictsort(call: &Call) -> Answer {
    call.only(&["case_sensitive", "by", "reverse"])?;
    let case = call.flag(0, "case_sensitive");
    let by_value = match call.text(1, "by").as_deref().unwrap_or("key") {
        "key" => false,
        "value" => true,
        _ => return Err("You can only sort by either \"key\" or \"value\"".into()),
    };
    let keyed = call.mapping()?.iter().map(|(key, value)| {
        let sorted_by = if by_value { value.clone() } else { key.as_str().into() };
        (fold(sorted_by, case), json!([key, value]))
    });
    sorted(keyed.collect(), call.flag(2, "reverse")).map(Value::Array)
}

fn size(call: &Call, name: &str) -> Result<usize, String> {
    let size = call.required(0, name).map(integer)?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    size.ok_or_else(|| format!("'{name}' must be a positive number"))
}

fn batch(call: &Call) -> Answer {
    let size = size(call, "linecount")?;
    let mut rows: Vec<Vec<Value>> = call.items()?.chunks(size).map(<[Value]>::to_vec).collect();
    if let (Some(fill), Some(last)) = (call.argument(1, "fill_with").filter(|fill| !fill.is_null()), rows.last_mut()) {
        last.resize(size, fill.clone());
    }
    Ok(rows.into_iter().map(Value::Array).collect())
}

fn slice(call: &Call) -> Answer {
    let slices = size(call, "slices")?;
    let items = call.items()?;
    let (short, longer) = (items.len() / slices, items.len() % slices);
    let mut rest = items.as_slice();
    let mut out = vec![];
    for i in 0..slices {
        let (now, later) = rest.split_at(short + usize::from(i < longer));
        let mut now = now.to_vec();
        if let Some(fill) = call.argument(1, "fill_with").filter(|fill| !fill.is_null())
            && i >= longer
            && longer > 0
        {
            now.push(fill.clone());
        }
        out.push(Value::Array(now));
        rest = later;
    }
    Ok(Value::Array(out))
}

fn groupby(call: &Call) -> Answer {
    call.only(&["attribute", "default", "case_sensitive"])?;
    let path = call.text(0, "attribute").ok_or("missing argument 'attribute'")?;
    let default = call.argument(1, "default").filter(|value| !value.is_null());
    let case = call.flag(2, "case_sensitive");
    let keyed = call
        .items()?
        .into_iter()
        .map(|item| {
            let key = match (attribute(&item, &path), default) {
                (Ok(key), _) => key,
                (Err(_), Some(default)) => default.clone(),
                (Err(error), None) => return Err(error),
            };
            Ok((fold(key.clone(), case), json!([key, item])))
        })
        .collect::<Result<Vec<_>, String>>()?;
    let mut groups: Vec<(Value, Value, Vec<Value>)> = vec![];
    for pair in sorted(keyed, false)? {
        let (key, item) = (pair[0].clone(), pair[1].clone());
        let folded = fold(key.clone(), case);
        match groups.last_mut() {
            Some((last, _, items)) if *last == folded => items.push(item),
            _ => groups.push((folded, key, vec![item])),
        }
    }
    Ok(groups.into_iter().map(|(_, key, items)| json!([key, items])).collect())
}

fn length(call: &Call) -> Answer {
    let length = match &call.value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.len(),
        Value::Object(map) => map.len(),
        other => return Err(format!("object of type '{}' has no len()", type_name(other))),
    };
    Ok(length.into())
}

fn reverse(call: &Call) -> Answer {
    Ok(match &call.value {
        Value::String(text) => text.chars().rev().collect::<String>().into(),
        _ => call.items()?.into_iter().rev().collect(),
    })
}

fn items(call: &Call) -> Answer {
    Ok(call.mapping()?.iter().map(|(key, value)| json!([key, value])).collect())
}
