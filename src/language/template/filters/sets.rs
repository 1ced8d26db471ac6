//! Lists as sets, and lists of lists.

use serde_json::{Value, json};

use super::super::call::{Answer, Call, Filter, contains, equal, integer, items, truthy, type_name};
use super::super::eval::group_part;
use crate::text::python;

pub(super) const FILTERS: &[(&str, Filter)] = &[
    ("difference", difference),
    ("intersect", intersect),
    ("symmetric_difference", symmetric_difference),
    ("union", union),
    ("flatten", flatten),
    ("product", product),
    ("permutations", permutations),
    ("combinations", combinations),
    ("zip", zip),
    ("zip_longest", zip_longest),
    ("subelements", subelements),
    ("dict2items", dict2items),
    ("items2dict", items2dict),
    ("combine", combine),
    ("rekey_on_member", rekey_on_member),
];

fn distinct(items: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let mut out: Vec<Value> = vec![];
    for item in items {
        if !contains(&out, &item) {
            out.push(item);
        }
    }
    out
}

fn pair(call: &Call) -> Result<(Vec<Value>, Vec<Value>), String> {
    Ok((call.items()?, items(call.required(0, "b")?)?))
}

fn difference(call: &Call) -> Answer {
    let (a, b) = pair(call)?;
    Ok(Value::Array(distinct(a.into_iter().filter(|item| !contains(&b, item)))))
}

fn intersect(call: &Call) -> Answer {
    let (a, b) = pair(call)?;
    Ok(Value::Array(distinct(a.into_iter().filter(|item| contains(&b, item)))))
}

fn union(call: &Call) -> Answer {
    let (a, b) = pair(call)?;
    Ok(Value::Array(distinct(a.into_iter().chain(b))))
}

fn symmetric_difference(call: &Call) -> Answer {
    let (a, b) = pair(call)?;
    let both: Vec<Value> = a.iter().filter(|item| contains(&b, item)).cloned().collect();
    Ok(Value::Array(distinct(a.into_iter().chain(b).filter(|item| !contains(&both, item)))))
}

fn flatten(call: &Call) -> Answer {
    call.only(&["levels", "skip_nulls"])?;
    let levels = call.integer(0, "levels")?;
    let skip = call.argument(1, "skip_nulls").is_none_or(truthy);
    let Value::Array(list) = &call.value else { return Ok(Value::Array(vec![call.value.clone()])) };
    let mut out = vec![];
    flatten_into(list, levels, skip, &mut out);
    Ok(Value::Array(out))
}

fn flatten_into(list: &[Value], levels: Option<i64>, skip: bool, out: &mut Vec<Value>) {
    for item in list {
        match item {
            Value::Null if skip => {}
            Value::String(text) if skip && (text == "None" || text == "null") => {}
            Value::Array(inner) if levels.is_none_or(|levels| levels >= 1) => {
                flatten_into(inner, levels.map(|levels| levels - 1), skip, out);
            }
            other => out.push(other.clone()),
        }
    }
}

fn lists(call: &Call) -> Result<Vec<Vec<Value>>, String> {
    std::iter::once(&call.value).chain(&call.positional).map(items).collect()
}

fn product(call: &Call) -> Answer {
    call.only(&["repeat"])?;
    let once = lists(call)?;
    let repeat = call.integer(usize::MAX, "repeat")?.unwrap_or(1);
    let mut rows: Vec<Vec<Value>> = vec![vec![]];
    for list in (0..repeat).flat_map(|_| &once) {
        rows = rows
            .iter()
            .flat_map(|row| list.iter().map(move |item| row.iter().chain([item]).cloned().collect()))
            .collect();
        if rows.len() > 10_000_000 {
            return Err("the product is too large".into());
        }
    }
    Ok(rows.into_iter().map(Value::Array).collect())
}

fn permutations(call: &Call) -> Answer {
    pick(call, true)
}

fn combinations(call: &Call) -> Answer {
    pick(call, false)
}

fn pick(call: &Call, ordered: bool) -> Answer {
    let list = call.items()?;
    let count = match call.argument(0, "r") {
        None | Some(Value::Null) => list.len(),
        Some(value) => integer(value).and_then(|n| usize::try_from(n).ok()).ok_or("a number is wanted")?,
    };
    let mut out = vec![];
    let mut chosen = vec![];
    choose(&list, count, ordered, &mut chosen, &mut out)?;
    Ok(Value::Array(out))
}

fn choose(
    list: &[Value],
    count: usize,
    ordered: bool,
    chosen: &mut Vec<usize>,
    out: &mut Vec<Value>,
) -> Result<(), String> {
    if chosen.len() == count {
        out.push(chosen.iter().map(|i| list[*i].clone()).collect());
        return if out.len() > 10_000_000 { Err("there are too many".into()) } else { Ok(()) };
    }
    let from = if ordered { 0 } else { chosen.last().map_or(0, |last| last + 1) };
    for i in from..list.len() {
        if !chosen.contains(&i) {
            chosen.push(i);
            choose(list, count, ordered, chosen, out)?;
            chosen.pop();
        }
    }
    Ok(())
}

fn zip(call: &Call) -> Answer {
    let lists = lists(call)?;
    let shortest = lists.iter().map(Vec::len).min().unwrap_or(0);
    if call.flag(usize::MAX, "strict") && lists.iter().any(|list| list.len() != shortest) {
        return Err("zip() arguments have different lengths".into());
    }
    Ok((0..shortest).map(|i| lists.iter().map(|list| list[i].clone()).collect::<Value>()).collect())
}

fn zip_longest(call: &Call) -> Answer {
    call.only(&["fillvalue"])?;
    let lists = lists(call)?;
    let fill = call.named.get("fillvalue").cloned().unwrap_or(Value::Null);
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    let at = |list: &Vec<Value>, i: usize| list.get(i).cloned().unwrap_or_else(|| fill.clone());
    Ok((0..longest).map(|i| lists.iter().map(|list| at(list, i)).collect::<Value>()).collect())
}

fn subelements(call: &Call) -> Answer {
    let elements: Vec<Value> = match &call.value {
        Value::Object(map) => map.values().cloned().collect(),
        Value::Array(items) => items.clone(),
        _ => return Err("obj must be a list of dicts or a nested dict".into()),
    };
    let path: Vec<String> = match call.required(0, "subelements")? {
        Value::String(path) => path.split('.').map(str::to_owned).collect(),
        Value::Array(keys) => keys.iter().map(python::str_of).collect(),
        _ => return Err("subelements must be a list or a string".into()),
    };
    let skip = call.flag(1, "skip_missing");
    let mut out = vec![];
    for element in elements {
        let mut values = &element;
        let mut missing = false;
        for key in &path {
            match values.as_object() {
                Some(map) => match map.get(key) {
                    Some(value) => values = value,
                    None if skip => {
                        missing = true;
                        break;
                    }
                    None => {
                        return Err(format!("could not find '{key}' key in iterated item '{}'", python::repr(values)));
                    }
                },
                None => {
                    return Err(format!(
                        "the key {key} should point to a dictionary, got '{}'",
                        python::str_of(values)
                    ));
                }
            }
        }
        if missing {
            continue;
        }
        let Value::Array(values) = values else {
            return Err(format!("the key {} should point to a list, got '{}'", path.join("."), python::str_of(values)));
        };
        out.extend(values.iter().map(|value| json!([element, value])));
    }
    Ok(Value::Array(out))
}

/// One step into a value: a mapping's key, a list's index.
pub fn step(container: &Value, key: &Value) -> Option<Value> {
    match container {
        Value::Object(map) => map.get(&python::str_of(key)).cloned(),
        Value::Array(list) => {
            if let Some(part) = group_part(key, list) {
                return list.get(part).cloned();
            }
            let index = integer(key)?;
            let index = if index < 0 { index + i64::try_from(list.len()).ok()? } else { index };
            list.get(usize::try_from(index).ok()?).cloned()
        }
        _ => None,
    }
}

fn dict2items(call: &Call) -> Answer {
    let (key, value) = names(call);
    let map = call.value.as_object().ok_or_else(|| {
        format!("dict2items requires a dictionary, got <class '{}'> instead.", type_name(&call.value))
    })?;
    Ok(map.iter().map(|(k, v)| json!({ &key: k, &value: v })).collect())
}

fn names(call: &Call) -> (String, String) {
    (
        call.text(0, "key_name").unwrap_or_else(|| "key".into()),
        call.text(1, "value_name").unwrap_or_else(|| "value".into()),
    )
}

fn items2dict(call: &Call) -> Answer {
    let (key, value) = names(call);
    let Value::Array(items) = &call.value else {
        return Err(format!("items2dict requires a list, got <class '{}'> instead.", type_name(&call.value)));
    };
    let mut out = serde_json::Map::new();
    for item in items {
        let map = item.as_object().ok_or("items2dict requires a list of dictionaries")?;
        let get = |name: &str| {
            map.get(name).ok_or_else(|| {
                format!("items2dict requires each dictionary in the list to contain the keys '{key}' and '{value}', got {} instead.", python::repr(item))
            })
        };
        out.insert(python::str_of(get(&key)?), get(&value)?.clone());
    }
    Ok(Value::Object(out))
}

fn combine(call: &Call) -> Answer {
    call.only(&["recursive", "list_merge"])
        .map_err(|_| "'recursive' and 'list_merge' are the only valid keyword arguments")?;
    let recursive = call.named.get("recursive").is_some_and(truthy);
    let lists = call.named.get("list_merge").map_or_else(|| "replace".into(), python::str_of);
    if !["replace", "keep", "append", "prepend", "append_rp", "prepend_rp"].contains(&lists.as_str()) {
        return Err(format!(
            "'list_merge' can not be '{lists}': 'replace', 'keep', 'append', 'prepend', 'append_rp' or 'prepend_rp'"
        ));
    }
    // Lists are taken apart by one level; what is null counts for nothing.
    let mut out = Value::Object(serde_json::Map::new());
    for argument in std::iter::once(&call.value).chain(&call.positional) {
        let maps = argument.as_array().map_or(std::slice::from_ref(argument), Vec::as_slice);
        for map in maps.iter().filter(|map| !map.is_null()) {
            if !map.is_object() {
                return Err(format!("failed to combine variables, expected dicts but got a '{}'", type_name(map)));
            }
            out = merge(out, map.clone(), recursive, &lists);
        }
    }
    Ok(out)
}

fn merge(low: Value, high: Value, recursive: bool, lists: &str) -> Value {
    let (Value::Object(mut low), Value::Object(high)) = (low, high) else { return Value::Null };
    for (key, value) in high {
        let merged = match (low.get(&key), value) {
            (Some(old @ Value::Object(_)), new @ Value::Object(_)) if recursive => {
                merge(old.clone(), new, recursive, lists)
            }
            (Some(Value::Array(old)), Value::Array(new)) => Value::Array(merge_lists(old.clone(), new, lists)),
            (_, new) => new,
        };
        low.insert(key, merged);
    }
    Value::Object(low)
}

fn merge_lists(old: Vec<Value>, new: Vec<Value>, how: &str) -> Vec<Value> {
    match how {
        "keep" => old,
        "append" => old.into_iter().chain(new).collect(),
        "prepend" => new.into_iter().chain(old).collect(),
        "append_rp" => old.into_iter().filter(|item| !contains(&new, item)).chain(new.clone()).collect(),
        "prepend_rp" => new.iter().cloned().chain(old.into_iter().filter(|item| !contains(&new, item))).collect(),
        _ => new,
    }
}

fn rekey_on_member(call: &Call) -> Answer {
    let key = call.text(0, "key").ok_or("missing argument 'key'")?;
    let duplicates = call.text(1, "duplicates").unwrap_or_else(|| "error".into());
    if !matches!(duplicates.as_str(), "error" | "overwrite") {
        return Err(format!("duplicates parameter to rekey_on_member has unknown value: {duplicates}"));
    }
    let list: Vec<Value> = match &call.value {
        Value::Object(map) => map.values().cloned().collect(),
        Value::Array(items) => items.clone(),
        _ => return Err("Type is not a valid list, set, or dict".into()),
    };
    let mut out = serde_json::Map::new();
    for item in list {
        let map = item.as_object().ok_or("List item is not a valid dict")?;
        let member = map.get(&key).ok_or_else(|| format!("Key {key} was not found"))?;
        let member = python::str_of(member);
        if duplicates == "error" && out.contains_key(&member) {
            return Err(format!("Key {member} is not unique, cannot convert to dict"));
        }
        out.insert(member, item);
    }
    Ok(Value::Object(out))
}

/// Distinct items, by an attribute where one is named; strings by their lower case unless asked otherwise.
pub(super) fn unique(list: Vec<Value>, case_sensitive: bool, mut key: impl FnMut(&Value) -> Value) -> Vec<Value> {
    let fold = |value: Value| match value {
        Value::String(text) if !case_sensitive => Value::String(text.to_lowercase()),
        other => other,
    };
    let mut seen: Vec<Value> = vec![];
    list.into_iter()
        .filter(|item| {
            let key = fold(key(item));
            let new = !seen.iter().any(|other| equal(other, &key));
            if new {
                seen.push(key);
            }
            new
        })
        .collect()
}
