//! Lists made of lists: what `with_*` of old iterates over.

use serde_json::{Value, json};

use super::super::call::{Call, integer};
use super::super::filters;
use super::{Found, Lookup};
use crate::text::python;

/// A level of lists taken away.
fn flat(values: &[Value]) -> Vec<Value> {
    values
        .iter()
        .flat_map(|value| match value {
            Value::Array(items) => items.clone(),
            other => vec![other.clone()],
        })
        .collect()
}

pub(super) fn items(lookup: &Lookup<'_>) -> Found {
    Ok(flat(&lookup.terms))
}

pub(super) fn list(lookup: &Lookup<'_>) -> Found {
    Ok(lookup.terms.clone())
}

pub(super) fn dict(lookup: &Lookup<'_>) -> Found {
    let mut out = vec![];
    for term in flat(&lookup.terms) {
        let map = match term {
            Value::Object(map) => map,
            other => {
                return Err(format!(
                    "the 'ansible.builtin.dict' lookup plugin expects a dictionary, got '{}' of type <class '{}'>)",
                    python::str_of(&other),
                    super::super::call::type_name(&other)
                ));
            }
        };
        out.extend(map.into_iter().map(|(key, value)| json!({"key": key, "value": value})));
    }
    Ok(out)
}

pub(super) fn indexed_items(lookup: &Lookup<'_>) -> Found {
    Ok(flat(&lookup.terms).into_iter().enumerate().map(|(i, item)| json!([i, item])).collect())
}

pub(super) fn nested(lookup: &Lookup<'_>) -> Found {
    if lookup.terms.is_empty() {
        return Err("with_nested requires at least one element in the nested list".into());
    }
    let mut rows: Vec<Vec<Value>> = vec![vec![]];
    for term in &lookup.terms {
        let column = flat(std::slice::from_ref(term));
        rows = rows
            .iter()
            .flat_map(|row| column.iter().map(move |item| row.iter().chain([item]).cloned().collect()))
            .collect();
    }
    Ok(rows.into_iter().map(|row| Value::Array(flat(&row))).collect())
}

pub(super) fn together(lookup: &Lookup<'_>) -> Found {
    if lookup.terms.is_empty() {
        return Err("with_together requires at least one element in each list".into());
    }
    let lists: Vec<Vec<Value>> = lookup.terms.iter().map(|term| flat(std::slice::from_ref(term))).collect();
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    Ok((0..longest).map(|i| lists.iter().map(|list| list.get(i).cloned().unwrap_or_default()).collect()).collect())
}

pub(super) fn flattened(lookup: &Lookup<'_>) -> Found {
    fn all(values: &[Value], out: &mut Vec<Value>) {
        for value in values {
            match value {
                Value::Array(items) => all(items, out),
                Value::Null => {}
                Value::String(text) if text == "None" || text == "null" => {}
                other => out.push(other.clone()),
            }
        }
    }
    let mut out = vec![];
    all(&lookup.terms, &mut out);
    Ok(out)
}

pub(super) fn random_choice(lookup: &Lookup<'_>) -> Found {
    if lookup.terms.is_empty() {
        return Ok(vec![]);
    }
    let random = filters::find("random").ok_or("there is no filter `random`")?;
    random(&Call { value: Value::Array(lookup.terms.clone()), ..Call::default() }).map(|value| vec![value])
}

pub(super) fn subelements(lookup: &Lookup<'_>) -> Found {
    let [list, path, flags @ ..] = lookup.terms.as_slice() else {
        return Err("subelements lookup expects a list of two or three items".into());
    };
    let skip = flags.first().and_then(|flags| flags.get("skip_missing")).cloned().unwrap_or(Value::Bool(false));
    let list = match list {
        Value::Object(map) => map.values().cloned().collect(),
        other => other.clone(),
    };
    // Elements that were skipped in an earlier loop are left out.
    let list = match list {
        Value::Array(items) => {
            items.into_iter().filter(|item| item.get("skipped") != Some(&Value::Bool(true))).collect()
        }
        other => other,
    };
    let function = filters::find("subelements").ok_or("there is no filter `subelements`")?;
    let call = Call { value: list, positional: vec![path.clone(), skip], ..Call::default() };
    Ok(function(&call)?.as_array().cloned().unwrap_or_default())
}

/// The parts of a `sequence`.
#[derive(Debug)]
struct Sequence {
    start: i64,
    end: Option<i64>,
    count: Option<i64>,
    stride: Option<i64>,
    format: Option<String>,
}

impl Sequence {
    fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        let number = || {
            integer(value)
                .or_else(|| {
                    value
                        .as_str()
                        .and_then(|text| text.strip_prefix("0x"))
                        .and_then(|hex| i64::from_str_radix(hex, 16).ok())
                })
                .ok_or_else(|| format!("can't parse {key}={} as integer", python::str_of(value)))
        };
        match key {
            "start" => self.start = number()?,
            "end" => self.end = Some(number()?),
            "count" => self.count = Some(number()?),
            "stride" => self.stride = Some(number()?),
            "format" => self.format = Some(python::str_of(value)),
            other => return Err(format!("unrecognized arguments to with_sequence: {other}")),
        }
        Ok(())
    }

    fn numbers(&self) -> Result<Vec<i64>, String> {
        let stride = self.stride.unwrap_or(1);
        let end = match (self.end, self.count) {
            (Some(_), Some(_)) => return Err("can't specify both count and end in with_sequence".into()),
            (None, None) => return Err("must specify count or end in with_sequence".into()),
            (Some(end), None) => end,
            (None, Some(0)) => return Ok(vec![]),
            (None, Some(count)) => self.start + count * stride - stride.signum(),
        };
        if stride > 0 && end < self.start {
            return Err("to count backwards make stride negative".into());
        }
        if stride < 0 && end > self.start {
            return Err("to count forward don't make stride negative".into());
        }
        if stride == 0 {
            return Ok(vec![]);
        }
        let count = (end - self.start) / stride + 1;
        if count > 10_000_000 {
            return Err("the sequence is too long".into());
        }
        Ok((0..count).map(|i| self.start + i * stride).collect())
    }
}

/// `start-end/stride:format`.
fn shortcut(text: &str, sequence: &mut Sequence) -> bool {
    let regex = super::super::regex::compile(
        r"^(?:(0x[0-9a-fA-F]+|\d+)-)?(0x[0-9a-fA-F]+|\d+)(?:/(\d+))?(?::(.+))?$",
        super::super::regex::Flags::default(),
    );
    let Ok(Ok(Some(found))) = regex.map(|regex| {
        regex.captures(text).map(|found| {
            found.map(|found| (1..5).map(|i| found.get(i).map(|group| group.as_str().to_owned())).collect::<Vec<_>>())
        })
    }) else {
        return false;
    };
    let number = |text: &Option<String>| {
        text.as_ref().and_then(|text| match text.strip_prefix("0x") {
            Some(hex) => i64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        })
    };
    sequence.start = number(&found[0]).unwrap_or(1);
    sequence.end = number(&found[1]);
    sequence.stride = number(&found[2]);
    sequence.format.clone_from(&found[3]);
    true
}

pub(super) fn sequence(lookup: &Lookup<'_>) -> Found {
    let mut out = vec![];
    let terms = if lookup.terms.is_empty() { vec![Value::from("")] } else { lookup.terms.clone() };
    for term in terms {
        let mut sequence = Sequence { start: 1, end: None, count: None, stride: None, format: None };
        for (key, value) in &lookup.options {
            sequence.set(key, value)?;
        }
        match &term {
            Value::Object(map) => map.iter().try_for_each(|(key, value)| sequence.set(key, value))?,
            other => {
                let text = python::str_of(other);
                if !text.trim().is_empty() && !shortcut(&text, &mut sequence) {
                    for part in text.split_whitespace() {
                        let (key, value) = part
                            .split_once('=')
                            .ok_or_else(|| format!("unknown error parsing with_sequence arguments: '{text}'"))?;
                        sequence.set(key, &value.into())?;
                    }
                }
            }
        }
        let format = filters::find("format").ok_or("there is no filter `format`")?;
        for number in sequence.numbers()? {
            out.push(match &sequence.format {
                None => number.to_string().into(),
                Some(template) => format(&Call {
                    value: template.as_str().into(),
                    positional: vec![number.into()],
                    ..Call::default()
                })?,
            });
        }
    }
    Ok(out)
}
