//! Values of templates: data, and what only templates know (undefined, lazy variables, functions); Python's text of them.

use std::sync::{Arc, Mutex};

use indexmap::IndexMap;
use minijinja::machinery::ast;
use serde_json::Value;

use super::{Scope, Scopes};
use crate::text::Node;

/// What stands for `omit` within data, until results become nodes.
pub(super) const OMIT: &str = "__omit_place_holder__0e5c7f4d6c2b4b0f9a31";

/// A value.
#[derive(Clone)]
pub(super) enum V {
    /// Undefined, with the message that its use gives.
    Undefined(Arc<str>),
    /// Data.
    Json(Value),
    /// What `groupby` gives: pairs of a grouper and its list.
    Groups(Vec<Value>),
    /// One of them, which is a tuple for Python.
    Group(Value),
    /// A container of a variable whose parts are rendered when they are used.
    Lazy(Node, Arc<dyn Scope>),
    /// `vars`, and a host of `hostvars`.
    Scope(Arc<dyn Scope>),
    /// `hostvars`.
    Scopes(Arc<dyn Scopes>),
    /// A function of the environment.
    Function(&'static str),
    /// A method of a value.
    Method(Box<V>, Arc<str>),
    /// A macro with the variables that it closes over.
    Macro(&'static ast::Macro<'static>, Arc<IndexMap<String, V>>),
    /// Text that a `call` block gives.
    Caller(Arc<CallerBlock>),
    /// `namespace()`, `loop`, an imported template: attributes that may change.
    Namespace(Arc<Mutex<IndexMap<String, V>>>),
}

/// The block of a `call`.
pub(super) struct CallerBlock {
    pub decl: &'static ast::Macro<'static>,
    pub closure: IndexMap<String, V>,
}

impl V {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Json(Value::String(text.into()))
    }

    pub(super) fn undefined(message: impl Into<Arc<str>>) -> Self {
        Self::Undefined(message.into())
    }

    pub(super) fn is_undefined(&self) -> bool {
        matches!(self, Self::Undefined(_))
    }

    /// Its type as Python names it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::Json(value) => type_name(value),
            Self::Groups(_) => "list",
            Self::Group(_) => "GroupTuple",
            Self::Lazy(node, _) => {
                if node.entries().is_empty() && !node.items().is_empty() {
                    "list"
                } else {
                    "dict"
                }
            }
            Self::Scope(_) | Self::Namespace(_) => "dict",
            Self::Scopes(_) => "HostVars",
            Self::Function(_) | Self::Method(..) | Self::Macro(..) | Self::Caller(_) => "function",
        }
    }
}

pub(super) use super::call::{equal, truthy, type_name};
pub(super) use crate::text::python::{repr, str_of};

/// A float as Python shows it.
pub(super) fn float_repr(f: f64) -> String {
    if f.is_nan() {
        return "nan".into();
    }
    if f.is_infinite() {
        return if f > 0.0 { "inf".into() } else { "-inf".into() };
    }
    let magnitude = f.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{f:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let text = format!("{f}");
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// A number of a boolean or number.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Number(n) => n.as_f64(),
        _ => None,
    }
}

/// Python's order, where there is one.
pub(super) fn compare(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::String(x), Value::String(y)) => Some(x.cmp(y)),
        (Value::Array(x), Value::Array(y)) => {
            for (a, b) in x.iter().zip(y) {
                match compare(a, b)? {
                    std::cmp::Ordering::Equal => {}
                    other => return Some(other),
                }
            }
            Some(x.len().cmp(&y.len()))
        }
        (Value::Null, Value::Null) => Some(std::cmp::Ordering::Equal),
        _ => number(a)?.partial_cmp(&number(b)?),
    }
}

/// A number as JSON.
pub(super) fn float(f: f64) -> Value {
    serde_json::Number::from_f64(f).map_or_else(|| Value::String(float_repr(f)), Value::Number)
}
