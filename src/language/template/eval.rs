//! Evaluates the syntax trees of expressions, as Jinja under Ansible 2.19 does: undefined values may be looked into and given defaults,
//! any other use of them is an error that names them.

use std::sync::{Arc, PoisonError};

use indexmap::IndexMap;
use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, Expr, UnaryOpKind};
use serde_json::{Map, Value};

use super::operators::{arithmetic, compared, negate};
use super::value::{OMIT, V, repr, str_of, truthy, type_name};
use super::{Scope, Templar, Variable, methods, pipes, tests};
use crate::text::{Kind, Node};

/// What went wrong.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub message: String,
    /// Whether it is about something undefined.
    pub undefined: bool,
    /// Line within the template's text, from 1.
    pub line: Option<u16>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), undefined: false, line: None }
    }
}

pub(super) type Result<T> = std::result::Result<T, Fault>;

/// Deepest chain of variables that refer to each other.
const MAX_DEPTH: usize = 40;

thread_local! {
    static DEPTH: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Arguments of a call.
#[derive(Default, Clone)]
pub(super) struct Args {
    pub pos: Vec<V>,
    pub kw: IndexMap<String, V>,
}

/// One evaluation.
pub(super) struct Interp<'t> {
    pub templar: &'t Templar,
    pub scope: Arc<dyn Scope>,
    /// Variables of blocks, the innermost last.
    pub locals: Vec<IndexMap<String, V>>,
}

impl<'t> Interp<'t> {
    pub(super) fn new(templar: &'t Templar, scope: &Arc<dyn Scope>) -> Self {
        Self { templar, scope: Arc::clone(scope), locals: vec![IndexMap::new()] }
    }

    /// A value as data.
    pub(super) fn json(&mut self, value: V) -> Result<Value> {
        match value {
            V::Json(value) | V::Group(value) => Ok(value),
            V::Groups(groups) => Ok(Value::Array(groups)),
            V::Undefined(message) => Err(Fault { message: message.to_string(), undefined: true, line: None }),
            V::Lazy(node, scope) => self.node_json(&node, &scope),
            V::Scope(scope) => {
                let mut map = Map::new();
                for name in scope.names() {
                    if name == "omit" || name == "vars" {
                        continue;
                    }
                    if let Some(variable) = scope.variable(&name) {
                        // What can't be rendered (yet) does not spoil the rest.
                        if let Ok(value) = self.variable(variable, &scope).and_then(|v| self.json(v)) {
                            map.insert(name, value);
                        }
                    }
                }
                Ok(Value::Object(map))
            }
            V::Scopes(scopes) => {
                let mut map = Map::new();
                for name in scopes.names() {
                    if let Some(scope) = scopes.scope(&name) {
                        let value = self.json(V::Scope(scope))?;
                        map.insert(name, value);
                    }
                }
                Ok(Value::Object(map))
            }
            V::Namespace(map) => {
                let entries = map.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let mut out = Map::new();
                for (key, value) in entries {
                    if !matches!(value, V::Function(_) | V::Method(..) | V::Macro(..)) {
                        out.insert(key, self.json(value)?);
                    }
                }
                Ok(Value::Object(out))
            }
            V::Function(name) => Ok(Value::String(format!("<function {name}>"))),
            V::Method(_, name) => Ok(Value::String(format!("<method {name}>"))),
            V::Macro(decl, _) => Ok(Value::String(format!("<Macro '{}'>", decl.name))),
            V::Caller(_) => Ok(Value::String("<caller>".into())),
        }
    }

    /// A value as data, a remark in the place of each part that is undefined.
    pub(super) fn shown(&mut self, value: Result<V>, errors: &mut Vec<String>) -> Result<Value> {
        let value = match value {
            Ok(V::Lazy(node, scope)) => match &node.kind {
                Kind::Seq(items) => {
                    let items = items.iter().map(|item| {
                        let item = self.node(item, &scope);
                        self.shown(item, errors)
                    });
                    return items.collect();
                }
                Kind::Map(entries) => {
                    let mut out = Map::new();
                    for (key, item) in entries {
                        let item = self.node(item, &scope);
                        out.insert(self.key(key, &scope)?, self.shown(item, errors)?);
                    }
                    return Ok(Value::Object(out));
                }
                _ => self.json(V::Lazy(node.clone(), scope)),
            },
            other => other.and_then(|value| self.json(value)),
        };
        match value {
            Err(fault) if fault.undefined => {
                errors.push(fault.message);
                let number = errors.len();
                Ok(format!("<< error {number} - {} >>", errors[number - 1]).into())
            }
            other => other,
        }
    }

    /// A value as text, as Python writes it.
    pub(super) fn text(&mut self, value: V) -> Result<String> {
        let tuple = |group: &Value| {
            let text = str_of(group);
            match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(parts) => format!("({parts})"),
                None => text,
            }
        };
        Ok(match value {
            V::Group(group) => tuple(&group),
            V::Groups(groups) => format!("[{}]", groups.iter().map(tuple).collect::<Vec<_>>().join(", ")),
            other => str_of(&self.json(other)?),
        })
    }

    /// A node's value, rendered whole.
    fn node_json(&mut self, node: &Node, scope: &Arc<dyn Scope>) -> Result<Value> {
        match &node.kind {
            Kind::Seq(items) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    let value = self.node_json(item, scope)?;
                    if value.as_str() != Some(OMIT) {
                        out.push(value);
                    }
                }
                Ok(Value::Array(out))
            }
            Kind::Map(entries) => {
                let mut out = Map::new();
                for (key, item) in entries {
                    let value = self.node_json(item, scope)?;
                    if value.as_str() != Some(OMIT) {
                        out.insert(self.key(key, scope)?, value);
                    }
                }
                Ok(Value::Object(out))
            }
            _ => {
                let value = self.node(node, scope)?;
                self.json(value)
            }
        }
    }

    fn key(&mut self, key: &Node, scope: &Arc<dyn Scope>) -> Result<String> {
        if !key.is_template() {
            return Ok(key.key_text());
        }
        let value = self.node(key, scope)?;
        Ok(str_of(&self.json(value)?))
    }

    /// A node's value, containers unrendered.
    pub(super) fn node(&mut self, node: &Node, scope: &Arc<dyn Scope>) -> Result<V> {
        match &node.kind {
            Kind::Str(text, _) if super::has_markers(text) => {
                let depth = DEPTH.get();
                if depth >= MAX_DEPTH {
                    return Err(Fault::new("recursive loop detected in template: maximum recursion depth exceeded"));
                }
                DEPTH.set(depth + 1);
                let mut inner = Interp::new(self.templar, scope);
                let result = inner.template(text, None);
                DEPTH.set(depth);
                result
            }
            Kind::Vault(text) => scope.decrypt(text).map(V::text).map_err(|error| Fault::new(format!("{error:#}"))),
            Kind::Omit => Ok(V::text(OMIT)),
            Kind::Seq(_) | Kind::Map(_) if node.is_template() => Ok(V::Lazy(node.clone(), Arc::clone(scope))),
            _ => Ok(V::Json(node.to_json())),
        }
    }

    /// A variable's value.
    pub(super) fn variable(&mut self, variable: Variable, scope: &Arc<dyn Scope>) -> Result<V> {
        match variable {
            Variable::Json(value) => Ok(V::Json(value)),
            Variable::Node(node) => self.node(&node, scope),
            Variable::Scope(scope) => Ok(V::Scope(scope)),
            Variable::Scopes(scopes) => Ok(V::Scopes(scopes)),
        }
    }

    /// The value of a name.
    pub(super) fn lookup(&mut self, name: &str) -> Result<V> {
        for frame in self.locals.iter().rev() {
            if let Some(value) = frame.get(name) {
                return Ok(value.clone());
            }
        }
        match name {
            "omit" => return Ok(V::text(OMIT)),
            "true" | "True" => return Ok(V::Json(Value::Bool(true))),
            "false" | "False" => return Ok(V::Json(Value::Bool(false))),
            "none" | "None" => return Ok(V::Json(Value::Null)),
            _ => {}
        }
        let scope = Arc::clone(&self.scope);
        if let Some(variable) = scope.variable(name) {
            return self.variable(variable, &scope);
        }
        Ok(match methods::FUNCTIONS.iter().find(|f| **f == name) {
            Some(function) => V::Function(function),
            None => V::undefined(format!("'{name}' is undefined")),
        })
    }

    /// Evaluates an expression.
    pub(super) fn eval(&mut self, expr: &'static Expr<'static>) -> Result<V> {
        match expr {
            Expr::Var(var) => self.lookup(var.id),
            Expr::Const(constant) => Ok(V::Json(constant_json(&constant.value))),
            Expr::List(list) => self.list(&list.items),
            Expr::Tuple(tuple) => self.list(&tuple.items),
            Expr::Map(map) => {
                let mut out = Map::new();
                for (key, value) in map.keys.iter().zip(&map.values) {
                    let key = self.data(key)?;
                    let value = self.data(value)?;
                    if value.as_str() != Some(OMIT) {
                        out.insert(key_text(&key), value);
                    }
                }
                Ok(V::Json(Value::Object(out)))
            }
            Expr::UnaryOp(op) => {
                let value = self.eval(&op.expr)?;
                match op.op {
                    UnaryOpKind::Not => Ok(V::Json(Value::Bool(!self.truth(value)?))),
                    UnaryOpKind::Neg => {
                        let value = self.json(value)?;
                        negate(&value).map(V::Json)
                    }
                }
            }
            Expr::BinOp(op) => self.binary(op),
            Expr::Compare(chain) => {
                let mut left = self.data(&chain.expr)?;
                for step in &chain.ops {
                    let right = self.data(&step.expr)?;
                    if !compared(step.op, &left, &right)? {
                        return Ok(V::Json(Value::Bool(false)));
                    }
                    left = right;
                }
                Ok(V::Json(Value::Bool(true)))
            }
            Expr::IfExpr(choice) => {
                let test = self.eval(&choice.test_expr)?;
                if self.truth(test)? {
                    return self.eval(&choice.true_expr);
                }
                match &choice.false_expr {
                    Some(expr) => self.eval(expr),
                    None => {
                        Ok(V::undefined("the inline if-expression evaluated to false and no else section was defined."))
                    }
                }
            }
            Expr::GetAttr(get) => {
                let value = self.eval(&get.expr)?;
                self.attribute(value, get.name)
            }
            Expr::GetItem(get) => {
                let value = self.eval(&get.expr)?;
                if value.is_undefined() {
                    return Ok(value);
                }
                let key = self.eval(&get.subscript_expr)?;
                let key = self.json(key)?;
                self.item(value, &key)
            }
            Expr::Slice(slice) => self.slice(slice),
            Expr::Filter(filter) => {
                let input = match &filter.expr {
                    Some(expr) if matches!(pipes::short(filter.name), "default" | "d" | "mandatory") => {
                        self.eval_or_undefined(expr)?
                    }
                    Some(expr) => self.eval(expr)?,
                    None => V::text(""),
                };
                let args = self.args(&filter.args)?;
                pipes::apply(self, filter.name, input, args)
            }
            Expr::Test(test) => {
                let input = match pipes::short(test.name) {
                    "defined" | "undefined" => self.eval_or_undefined(&test.expr)?,
                    _ => self.eval(&test.expr)?,
                };
                let args = self.args(&test.args)?;
                tests::apply(self, test.name, input, args).map(|flag| V::Json(Value::Bool(flag)))
            }
            Expr::Call(call) => {
                let function = self.eval_callee(&call.expr)?;
                let args = self.args(&call.args)?;
                self.call(function, args)
            }
        }
    }

    /// Evaluates what may be undefined: a variable whose own template meets something undefined is undefined itself.
    fn eval_or_undefined(&mut self, expr: &'static Expr<'static>) -> Result<V> {
        match self.eval(expr) {
            Err(fault) if fault.undefined => Ok(V::undefined(fault.message)),
            other => other,
        }
    }

    fn eval_callee(&mut self, expr: &'static Expr<'static>) -> Result<V> {
        if let Expr::GetAttr(get) = expr {
            let value = self.eval(&get.expr)?;
            // A key of the same name does not hide a method (`d.items()`), unless it can be called itself.
            if let V::Namespace(map) = &value
                && let Some(found) = map.lock().unwrap_or_else(PoisonError::into_inner).get(get.name)
            {
                return Ok(found.clone());
            }
            return Ok(V::Method(Box::new(value), get.name.into()));
        }
        self.eval(expr)
    }

    fn list(&mut self, items: &'static [Expr<'static>]) -> Result<V> {
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let value = self.data(item)?;
            if value.as_str() != Some(OMIT) {
                out.push(value);
            }
        }
        Ok(V::Json(Value::Array(out)))
    }

    /// An expression's value as data.
    pub(super) fn data(&mut self, expr: &'static Expr<'static>) -> Result<Value> {
        let value = self.eval(expr)?;
        self.json(value)
    }

    /// Whether a value is true; undefined is an error.
    pub(super) fn truth(&mut self, value: V) -> Result<bool> {
        match value {
            V::Json(value) => Ok(truthy(&value)),
            V::Undefined(message) => Err(Fault { message: message.to_string(), undefined: true, line: None }),
            V::Lazy(node, _) => Ok(!node.entries().is_empty() || !node.items().is_empty()),
            _ => Ok(true),
        }
    }

    fn args(&mut self, args: &'static [CallArg<'static>]) -> Result<Args> {
        let mut out = Args::default();
        for arg in args {
            match arg {
                CallArg::Pos(expr) => {
                    let value = self.eval(expr)?;
                    out.pos.push(value);
                }
                CallArg::Kwarg(name, expr) => {
                    let value = self.eval(expr)?;
                    out.kw.insert((*name).to_owned(), value);
                }
                CallArg::PosSplat(expr) => match self.data(expr)? {
                    Value::Array(items) => out.pos.extend(items.into_iter().map(V::Json)),
                    other => {
                        return Err(Fault::new(format!(
                            "argument after * must be an iterable, not {}",
                            type_name(&other)
                        )));
                    }
                },
                CallArg::KwargSplat(expr) => match self.data(expr)? {
                    Value::Object(map) => out.kw.extend(map.into_iter().map(|(k, v)| (k, V::Json(v)))),
                    other => {
                        return Err(Fault::new(format!(
                            "argument after ** must be a mapping, not {}",
                            type_name(&other)
                        )));
                    }
                },
            }
        }
        Ok(out)
    }

    /// `value.name`: a key, an item, a method.
    pub(super) fn attribute(&mut self, value: V, name: &str) -> Result<V> {
        let found = self.item(value.clone(), &Value::String(name.to_owned()))?;
        if found.is_undefined() && !value.is_undefined() && methods::exists(&value, name) {
            return Ok(V::Method(Box::new(value), name.into()));
        }
        Ok(found)
    }

    /// `value[key]`.
    pub(super) fn item(&mut self, value: V, key: &Value) -> Result<V> {
        let missing = |value: &V| {
            let shown = if let Value::String(text) = key { format!("'{text}'") } else { repr(key) };
            V::undefined(format!("object of type '{}' has no attribute {shown}", value.type_name()))
        };
        match &value {
            V::Undefined(_) => Ok(value),
            V::Json(Value::Object(map)) => {
                Ok(map.get(&key_text(key)).cloned().map_or_else(|| missing(&value), V::Json))
            }
            V::Groups(groups) => {
                let found = index(key, groups.len()).and_then(|i| groups.get(i)).cloned();
                Ok(found.map_or_else(|| missing(&value), V::Group))
            }
            V::Json(Value::Array(items)) | V::Group(Value::Array(items)) => {
                let found = index(key, items.len()).or_else(|| group_part(key, items)).and_then(|i| items.get(i));
                Ok(found.cloned().map_or_else(|| missing(&value), V::Json))
            }
            V::Json(Value::String(text)) => {
                let count = text.chars().count();
                let found = index(key, count).and_then(|i| text.chars().nth(i));
                Ok(found.map_or_else(|| missing(&value), |c| V::text(c.to_string())))
            }
            V::Lazy(node, scope) => match &node.kind {
                Kind::Map(entries) => {
                    let wanted = key_text(key);
                    for (k, v) in entries {
                        if self.key(k, scope)? == wanted {
                            let found = self.node(v, scope)?;
                            return Ok(found);
                        }
                    }
                    Ok(missing(&value))
                }
                Kind::Seq(items) => match index(key, items.len()).and_then(|i| items.get(i)) {
                    Some(item) => self.node(item, scope),
                    None => Ok(missing(&value)),
                },
                _ => Ok(missing(&value)),
            },
            V::Scope(scope) => {
                let scope = Arc::clone(scope);
                match scope.variable(&key_text(key)) {
                    Some(variable) => self.variable(variable, &scope),
                    None => Ok(missing(&value)),
                }
            }
            V::Scopes(scopes) => Ok(match scopes.scope(&key_text(key)) {
                Some(scope) => V::Scope(scope),
                None => V::undefined(format!("\"hostvars[{}]\" is undefined", repr(key))),
            }),
            V::Namespace(map) => {
                let found = map.lock().unwrap_or_else(PoisonError::into_inner).get(&key_text(key)).cloned();
                Ok(found.unwrap_or_else(|| missing(&value)))
            }
            _ => Ok(missing(&value)),
        }
    }

    fn slice(&mut self, slice: &'static ast::Slice<'static>) -> Result<V> {
        let value = self.data(&slice.expr)?;
        let mut bound = |expr: &'static Option<Expr<'static>>| -> Result<Option<i64>> {
            let Some(expr) = expr else { return Ok(None) };
            match self.data(expr)? {
                Value::Null => Ok(None),
                other => other
                    .as_i64()
                    .map(Some)
                    .ok_or_else(|| Fault::new("slice indices must be integers or None or have an __index__ method")),
            }
        };
        let (start, stop, step) = (bound(&slice.start)?, bound(&slice.stop)?, bound(&slice.step)?.unwrap_or(1));
        if step == 0 {
            return Err(Fault::new("slice step cannot be zero"));
        }
        match value {
            Value::String(text) => {
                let chars: Vec<char> = text.chars().collect();
                Ok(V::text(sliced(&chars, start, stop, step).into_iter().collect::<String>()))
            }
            Value::Array(items) => Ok(V::Json(Value::Array(sliced(&items, start, stop, step)))),
            other => Err(Fault::new(format!("'{}' object is not subscriptable", type_name(&other)))),
        }
    }

    fn binary(&mut self, op: &'static ast::BinOp<'static>) -> Result<V> {
        match op.op {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                let left = self.eval(&op.left)?;
                let truth = self.truth(left.clone())?;
                if truth == matches!(op.op, BinOpKind::ScOr) {
                    return Ok(left);
                }
                return self.eval(&op.right);
            }
            _ => {}
        }
        if matches!(op.op, BinOpKind::Concat) {
            let (left, right) = (self.eval(&op.left)?, self.eval(&op.right)?);
            return Ok(V::text(self.text(left)? + &self.text(right)?));
        }
        let left = self.data(&op.left)?;
        let right = self.data(&op.right)?;
        let flag = |kind| compared(kind, &left, &right).map(|flag| V::Json(Value::Bool(flag)));
        match op.op {
            BinOpKind::Eq => flag(CompareOpKind::Eq),
            BinOpKind::Ne => flag(CompareOpKind::Ne),
            BinOpKind::Lt => flag(CompareOpKind::Lt),
            BinOpKind::Lte => flag(CompareOpKind::Lte),
            BinOpKind::Gt => flag(CompareOpKind::Gt),
            BinOpKind::Gte => flag(CompareOpKind::Gte),
            BinOpKind::In => flag(CompareOpKind::In),
            _ => arithmetic(op.op, &left, &right).map(V::Json),
        }
    }

    /// Calls a function.
    pub(super) fn call(&mut self, function: V, args: Args) -> Result<V> {
        match function {
            V::Function(name) => methods::function(self, name, args),
            V::Method(value, name) => {
                let value = *value;
                if value.is_undefined() {
                    return self.json(value).map(V::Json);
                }
                methods::method(self, value, &name, args)
            }
            V::Macro(decl, closure) => self.call_macro(decl, &closure, args, None),
            V::Caller(block) => {
                let text = self.call_macro(block.decl, &block.closure, args, None)?;
                Ok(text)
            }
            V::Undefined(message) => Err(Fault { message: message.to_string(), undefined: true, line: None }),
            other => Err(Fault::new(format!("'{}' object is not callable", other.type_name()))),
        }
    }
}

/// A constant of the syntax tree as data.
fn constant_json(value: &minijinja::Value) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// A key of a mapping as text.
pub(super) fn key_text(key: &Value) -> String {
    match key {
        Value::Bool(flag) => flag.to_string(),
        Value::Null => "null".into(),
        other => str_of(other),
    }
}

/// An index, from the end where negative.
fn index(key: &Value, len: usize) -> Option<usize> {
    let n = match key {
        Value::Number(n) => n.as_i64()?,
        Value::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
        _ => return None,
    };
    let n = if n < 0 { n + i64::try_from(len).ok()? } else { n };
    usize::try_from(n).ok()
}

/// The parts of a group, as `groupby` makes it, go by names, too: a named tuple of Jinja's, which JSON has as a list of both.
pub(super) fn group_part(key: &Value, items: &[Value]) -> Option<usize> {
    match (key.as_str()?, items) {
        ("grouper", [_, Value::Array(_)]) => Some(0),
        ("list", [_, Value::Array(_)]) => Some(1),
        _ => None,
    }
}

pub(super) fn sliced<T: Clone>(items: &[T], start: Option<i64>, stop: Option<i64>, step: i64) -> Vec<T> {
    let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let clamp = |n: i64, low: i64, high: i64| (if n < 0 { n + len } else { n }).clamp(low, high);
    let mut out = vec![];
    if step > 0 {
        let (mut at, end) = (clamp(start.unwrap_or(0), 0, len), clamp(stop.unwrap_or(len), 0, len));
        while at < end {
            out.extend(usize::try_from(at).ok().and_then(|i| items.get(i)).cloned());
            at += step;
        }
    } else {
        let mut at = start.map_or(len - 1, |n| clamp(n, -1, len - 1));
        let end = stop.map_or(-1, |n| clamp(n, -1, len - 1));
        while at > end {
            out.extend(usize::try_from(at).ok().and_then(|i| items.get(i)).cloned());
            at += step;
        }
    }
    out
}
