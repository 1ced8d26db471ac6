//! A call of a filter, test or lookup: its value, and arguments by position and by name.

use serde_json::{Map, Value};

use crate::text::python;

/// What a filter gives: a value, or why it can't.
pub type Answer = Result<Value, String>;

/// A filter: from a call to its answer.
pub type Filter = fn(&Call) -> Answer;

/// A test.
pub type Test = fn(&Call) -> Result<bool, String>;

/// A call.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// What stands before the `|` or `is`.
    pub value: Value,
    /// Arguments by position.
    pub positional: Vec<Value>,
    /// Arguments by name.
    pub named: Map<String, Value>,
}

impl Call {
    /// The argument at a position or of a name.
    pub fn argument(&self, position: usize, name: &str) -> Option<&Value> {
        self.named.get(name).or_else(|| self.positional.get(position))
    }

    /// The same; its absence is an error.
    pub fn required(&self, position: usize, name: &str) -> Result<&Value, String> {
        self.argument(position, name).ok_or_else(|| format!("missing argument '{name}'"))
    }

    /// A text argument; none where it is absent or null.
    pub fn text(&self, position: usize, name: &str) -> Option<String> {
        self.argument(position, name).filter(|value| !value.is_null()).map(python::str_of)
    }

    /// A boolean argument, false where it is absent.
    pub fn flag(&self, position: usize, name: &str) -> bool {
        self.argument(position, name).is_some_and(truthy)
    }

    /// An integer argument.
    pub fn integer(&self, position: usize, name: &str) -> Result<Option<i64>, String> {
        match self.argument(position, name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => integer(value).map(Some).ok_or_else(|| format!("'{name}' must be an integer")),
        }
    }

    /// The value as text.
    pub fn string(&self) -> String {
        python::str_of(&self.value)
    }

    /// The value's items: those of a list, a string's characters, a mapping's keys.
    pub fn items(&self) -> Result<Vec<Value>, String> {
        items(&self.value)
    }

    /// The value as a mapping.
    pub fn mapping(&self) -> Result<&Map<String, Value>, String> {
        self.value.as_object().ok_or_else(|| format!("a mapping is wanted, not {}", type_name(&self.value)))
    }

    /// Refuses arguments by name that are not among these.
    pub fn only(&self, names: &[&str]) -> Result<(), String> {
        match self.named.keys().find(|name| !names.contains(&name.as_str())) {
            Some(name) => Err(format!("got an unexpected keyword argument '{name}'")),
            None => Ok(()),
        }
    }
}

/// What can be iterated, as a list.
pub fn items(value: &Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(items) => Ok(items.clone()),
        Value::String(text) => Ok(text.chars().map(|c| Value::from(c.to_string())).collect()),
        Value::Object(map) => Ok(map.keys().map(|key| Value::from(key.as_str())).collect()),
        other => Err(format!("'{}' object is not iterable", type_name(other))),
    }
}

/// Python's name of a value's type.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// Python's truth of a value.
pub fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// A number (or a boolean, or a float without a fraction) as an integer.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(b) => Some(i64::from(*b)),
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().filter(|f| f.fract() == 0.0).map(truncate)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A number as a float.
pub fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(b) => Some(f64::from(u8::from(*b))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().replace('_', "").parse().ok(),
        _ => None,
    }
}

/// Without its fraction.
#[expect(clippy::cast_possible_truncation, reason = "a float's integer part, saturated at the ends of i64")]
pub fn truncate(value: f64) -> i64 {
    value.trunc() as i64
}

/// An integer as a float.
#[expect(clippy::cast_precision_loss, reason = "as Python's own conversion: the nearest float")]
pub fn widen(value: i64) -> f64 {
    value as f64
}

/// Python's equality: `1 == 1.0 == True`, mappings in any order.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_) | Value::Bool(_), Value::Number(_) | Value::Bool(_)) => float(a) == float(b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => a == b,
    }
}

/// Whether a list holds a value.
pub fn contains(list: &[Value], value: &Value) -> bool {
    list.iter().any(|item| equal(item, value))
}
