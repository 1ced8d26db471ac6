//! A container's options as the engine's JSON, and how they are compared with a container that exists.

use serde_json::{Value, json};

/// How a value and the existing one are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// They are the same.
    Strict,
    /// The existing one has all of it, and may have more.
    AllowMore,
    /// Not at all.
    Ignore,
}

/// One option: where the engine keeps it, what it should be.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// The parameter.
    pub(super) option: &'static str,
    /// Its place in an inspection (`/HostConfig/Memory`); the body of a creation has it without `/Config`.
    pub(super) at: &'static str,
    pub(super) value: Value,
    /// How an inspection shows it, where that is another form.
    pub(super) shown: Option<Value>,
    pub(super) mode: Mode,
}

/// All options that a task names.
#[derive(Debug, Clone, Default)]
pub(super) struct Spec {
    pub(super) fields: Vec<Field>,
}

impl Spec {
    /// Adds an option that is compared strictly.
    pub(super) fn set(&mut self, option: &'static str, at: &'static str, value: impl Into<Value>) {
        self.fields.push(Field { option, at, value: value.into(), shown: None, mode: Mode::Strict });
    }

    /// Adds a set or mapping: the existing one may have more.
    pub(super) fn more(&mut self, option: &'static str, at: &'static str, value: impl Into<Value>) {
        self.fields.push(Field { option, at, value: value.into(), shown: None, mode: Mode::AllowMore });
    }

    /// Adds an option where the task names it.
    pub(super) fn maybe(&mut self, option: &'static str, at: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(option, at, value);
        }
    }

    /// The body of a creation.
    pub(super) fn body(&self, image: &str) -> Value {
        let mut body = json!({"Image": image});
        for field in &self.fields {
            let at = field.at.strip_prefix("/Config").unwrap_or(field.at);
            let mut place = &mut body;
            for part in at.split('/').skip(1) {
                if !place.is_object() {
                    *place = json!({});
                }
                place = &mut place[part];
            }
            merge(place, field.value.clone());
        }
        body
    }

    /// The options in which an existing container is different.
    pub(super) fn differences(&self, existing: &Value) -> Vec<(&'static str, Value, Value)> {
        self.fields
            .iter()
            .filter(|field| field.mode != Mode::Ignore)
            .filter_map(|field| {
                let now = existing.pointer(field.at).cloned().unwrap_or(Value::Null);
                let wanted = field.shown.as_ref().unwrap_or(&field.value);
                (!same(wanted, &now, field.mode)).then(|| (field.option, wanted.clone(), now))
            })
            .collect()
    }
}

fn merge(place: &mut Value, value: Value) {
    match (place, value) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in new {
                merge(old.entry(name).or_insert(Value::Null), value);
            }
        }
        (place, value) => *place = value,
    }
}

/// Whether what is wanted is what is there. Absent, null, empty, zero and false are one: the engine writes defaults so.
fn same(wanted: &Value, now: &Value, mode: Mode) -> bool {
    if empty(wanted) && (empty(now) || mode == Mode::AllowMore) {
        return true;
    }
    let none = serde_json::Map::new();
    match (wanted, now) {
        (Value::Object(wanted), Value::Object(_) | Value::Null) => {
            let now = now.as_object().unwrap_or(&none);
            // `{"80/tcp": {}}` is a set of names.
            let has = wanted.iter().all(|(name, value)| match value {
                Value::Object(map) if map.is_empty() => now.contains_key(name),
                value => same(value, now.get(name).unwrap_or(&Value::Null), mode),
            });
            has && (mode == Mode::AllowMore
                || now.iter().all(|(name, value)| wanted.contains_key(name) || empty(value)))
        }
        (Value::Array(wanted), Value::Array(now)) if mode == Mode::AllowMore => {
            wanted.iter().all(|item| now.iter().any(|other| same(item, other, Mode::Strict)))
        }
        (Value::Array(wanted), Value::Array(now)) => {
            wanted.len() == now.len() && wanted.iter().zip(now).all(|(a, b)| same(a, b, mode))
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (wanted, now) => wanted == now,
    }
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// A list without its order, for comparisons of sets.
pub(super) fn sorted(mut items: Vec<String>) -> Value {
    items.sort();
    items.dedup();
    json!(items)
}

/// Names to empty objects, as the engine's sets of ports and paths are.
pub(super) fn names(items: impl IntoIterator<Item = String>) -> Value {
    Value::Object(items.into_iter().map(|name| (name, json!({}))).collect())
}

/// Sorts the lists of an inspection that are sets, so that they can be compared with [`sorted`].
pub(super) fn sort_sets(existing: &mut Value, places: &[&str]) {
    for place in places {
        if let Some(Value::Array(items)) = existing.pointer_mut(place) {
            items.sort_by_key(ToString::to_string);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_is_no_difference() {
        let mut spec = Spec::default();
        spec.set("memory", "/HostConfig/Memory", 5);
        spec.more("env", "/Config/Env", json!(["A=1"]));
        spec.set("privileged", "/HostConfig/Privileged", false);
        let existing = json!({"Config": {"Env": ["A=1", "PATH=/bin"], "User": "x"}, "HostConfig": {"Memory": 5}});
        assert!(spec.differences(&existing).is_empty());
        let existing = json!({"Config": {"Env": ["PATH=/bin"]}, "HostConfig": {"Memory": 6}});
        let names: Vec<&str> = spec.differences(&existing).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["memory", "env"]);
        assert_eq!(spec.body("i")["HostConfig"]["Memory"], 5);
        assert_eq!(spec.body("i")["Env"], json!(["A=1"]));
    }
}
