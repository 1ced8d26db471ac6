//! Runs the statements of templates. Output is kept in pieces: a template that gives a single value gives it as it is.

use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexMap;
use minijinja::machinery::ast::{self, Expr, Stmt};
use serde_json::Value;

use super::eval::{Args, Fault, Interp, Result};
use super::value::{CallerBlock, OMIT, V, str_of};
use super::{TextOptions, call, pipes};

/// A piece of output.
pub(super) enum Piece {
    Text(&'static str),
    Value(Value),
}

/// Why a body of statements ended.
#[derive(PartialEq, Eq, Clone, Copy)]
pub(super) enum Flow {
    On,
    Break,
    Continue,
}

/// Most iterations of all loops of one template.
const MOST: usize = 10_000_000;

impl Interp<'_> {
    /// Renders a template's text.
    pub(super) fn template(&mut self, text: &str, options: Option<&TextOptions>) -> Result<V> {
        let tree = self.templar.parsed(text, options)?;
        let Stmt::Template(template) = tree else { return Err(Fault::new("not a template")) };
        if let [Stmt::EmitExpr(emit)] = &template.children[..]
            && options.is_none()
        {
            let value = self.eval(&emit.expr).map_err(|fault| at_line(fault, emit.span().start_line))?;
            return Ok(value);
        }
        let mut out = vec![];
        let mut blocks = IndexMap::new();
        self.with_inheritance(&template.children, &mut out, &mut blocks, options)?;
        if options.is_none() && out.len() == 1 && matches!(out.first(), Some(Piece::Value(_))) {
            return match out.pop() {
                Some(Piece::Value(value)) => Ok(V::Json(value)),
                _ => Ok(V::text("")),
            };
        }
        Ok(V::text(concat(&out)))
    }

    /// Runs a template; where it extends another, that one with this one's blocks.
    fn with_inheritance(
        &mut self,
        children: &'static [Stmt<'static>],
        out: &mut Vec<Piece>,
        blocks: &mut IndexMap<&'static str, &'static [Stmt<'static>]>,
        options: Option<&TextOptions>,
    ) -> Result<()> {
        collect_blocks(children, blocks);
        let parent = children.iter().find_map(|s| if let Stmt::Extends(e) = s { Some(e) } else { None });
        if let Some(extends) = parent {
            // What stands outside of blocks is run for its `set`s and imports only.
            let mut dropped = vec![];
            for statement in children.iter().filter(|s| {
                matches!(s, Stmt::Set(_) | Stmt::SetBlock(_) | Stmt::Import(_) | Stmt::FromImport(_) | Stmt::Macro(_))
            }) {
                self.statement(statement, &mut dropped, blocks, options)?;
            }
            let name = self.data(&extends.name)?;
            let tree = self.load(&str_of(&name), options)?;
            return self.with_inheritance(tree, out, blocks, options);
        }
        self.body(children, out, blocks, options).map(|_| ())
    }

    fn body(
        &mut self,
        statements: &'static [Stmt<'static>],
        out: &mut Vec<Piece>,
        blocks: &IndexMap<&'static str, &'static [Stmt<'static>]>,
        options: Option<&TextOptions>,
    ) -> Result<Flow> {
        for statement in statements {
            let flow = self.statement(statement, out, blocks, options)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    /// A body's output as text.
    fn captured(
        &mut self,
        statements: &'static [Stmt<'static>],
        blocks: &IndexMap<&'static str, &'static [Stmt<'static>]>,
        options: Option<&TextOptions>,
    ) -> Result<String> {
        let mut out = vec![];
        self.body(statements, &mut out, blocks, options)?;
        Ok(concat(&out))
    }

    fn statement(
        &mut self,
        statement: &'static Stmt<'static>,
        out: &mut Vec<Piece>,
        blocks: &IndexMap<&'static str, &'static [Stmt<'static>]>,
        options: Option<&TextOptions>,
    ) -> Result<Flow> {
        match statement {
            Stmt::EmitRaw(raw) => {
                if !raw.raw.is_empty() {
                    out.push(Piece::Text(raw.raw));
                }
            }
            Stmt::EmitExpr(emit) => {
                let value = self.eval(&emit.expr).and_then(|value| match value {
                    V::Group(_) | V::Groups(_) => self.text(value).map(|text| Piece::Value(text.into())),
                    other => self.json(other).map(Piece::Value),
                });
                out.push(value.map_err(|fault| at_line(fault, emit.span().start_line))?);
            }
            Stmt::IfCond(cond) => {
                let test = self.eval(&cond.expr).and_then(|v| self.truth(v));
                let test = test.map_err(|fault| at_line(fault, cond.span().start_line))?;
                return self.body(if test { &cond.true_body } else { &cond.false_body }, out, blocks, options);
            }
            Stmt::ForLoop(each) => {
                return self
                    .for_loop(each, out, blocks, options)
                    .map(|()| Flow::On)
                    .map_err(|fault| at_line(fault, each.span().start_line));
            }
            Stmt::Set(set) => {
                let value = self.eval(&set.expr).map_err(|fault| at_line(fault, set.span().start_line))?;
                self.assign(&set.target, value)?;
            }
            Stmt::SetBlock(set) => {
                let mut value = V::text(self.captured(&set.body, blocks, options)?);
                if let Some(filter) = &set.filter {
                    value = self.filtered(filter, value)?;
                }
                self.assign(&set.target, value)?;
            }
            Stmt::WithBlock(with) => {
                let mut frame = vec![];
                for (target, expr) in &with.assignments {
                    frame.push((target, self.eval(expr)?));
                }
                self.locals.push(IndexMap::new());
                for (target, value) in frame {
                    self.assign(target, value)?;
                }
                let flow = self.body(&with.body, out, blocks, options);
                self.locals.pop();
                return flow;
            }
            Stmt::FilterBlock(block) => {
                let text = self.captured(&block.body, blocks, options)?;
                let value = self.filtered(&block.filter, V::text(text))?;
                out.push(Piece::Value(self.json(value)?));
            }
            Stmt::AutoEscape(block) => return self.body(&block.body, out, blocks, options),
            Stmt::Block(block) => {
                let body = blocks.get(block.name).copied().unwrap_or(&block.body);
                // `super()` gives what the block of the template that is extended says.
                let below = self.captured(&block.body, blocks, options)?;
                self.locals.push(IndexMap::from([("__super".to_owned(), V::text(below))]));
                let flow = self.body(body, out, blocks, options);
                self.locals.pop();
                return flow;
            }
            Stmt::Extends(_) => {}
            Stmt::Include(include) => self.include(include, out, options)?,
            Stmt::Import(import) => {
                let name = self.data(&import.expr)?;
                let module = self.module(&str_of(&name), options)?;
                self.assign(&import.name, module)?;
            }
            Stmt::FromImport(import) => {
                let name = self.data(&import.expr)?;
                let module = self.module(&str_of(&name), options)?;
                for (name, alias) in &import.names {
                    let Expr::Var(var) = name else { continue };
                    let value = self.item(module.clone(), &Value::from(var.id))?;
                    self.assign(alias.as_ref().unwrap_or(name), value)?;
                }
            }
            Stmt::Macro(decl) => {
                let value = V::Macro(decl, Arc::new(self.closure()));
                self.set(decl.name, value);
            }
            Stmt::CallBlock(block) => {
                let caller = V::Caller(Arc::new(CallerBlock { decl: &block.macro_decl, closure: self.closure() }));
                let function = self.eval(&block.call.expr)?;
                let mut args = Args::default();
                for arg in &block.call.args {
                    match arg {
                        ast::CallArg::Pos(expr) => {
                            let value = self.eval(expr)?;
                            args.pos.push(value);
                        }
                        ast::CallArg::Kwarg(name, expr) => {
                            let value = self.eval(expr)?;
                            args.kw.insert((*name).to_owned(), value);
                        }
                        _ => return Err(Fault::new("`call` takes no * or ** arguments")),
                    }
                }
                let V::Macro(decl, closure) = function else { return Err(Fault::new("`call` needs a macro")) };
                let value = self.call_macro(decl, &closure, args, Some(caller))?;
                out.push(Piece::Value(self.json(value)?));
            }
            Stmt::Continue(_) => return Ok(Flow::Continue),
            Stmt::Break(_) => return Ok(Flow::Break),
            Stmt::Do(block) => {
                // The call is run for what it changes (`list.append` on a variable of the template).
                self.do_call(&block.call)?;
            }
            Stmt::Template(template) => return self.body(&template.children, out, blocks, options),
        }
        Ok(Flow::On)
    }

    fn filtered(&mut self, filter: &'static Expr<'static>, value: V) -> Result<V> {
        match filter {
            Expr::Filter(filter) => {
                let input = match &filter.expr {
                    Some(inner) => self.filtered(inner, value)?,
                    None => value,
                };
                let args = self.arguments(&filter.args)?;
                pipes::apply(self, filter.name, input, args)
            }
            _ => Err(Fault::new("a filter was expected")),
        }
    }

    fn for_loop(
        &mut self,
        each: &'static ast::ForLoop<'static>,
        out: &mut Vec<Piece>,
        blocks: &IndexMap<&'static str, &'static [Stmt<'static>]>,
        options: Option<&TextOptions>,
    ) -> Result<()> {
        let value = self.data(&each.iter)?;
        let mut items = call::items(&value).map_err(Fault::new)?;
        if let Some(filter) = &each.filter_expr {
            let mut kept = vec![];
            for item in items {
                self.locals.push(IndexMap::new());
                self.assign(&each.target, V::Json(item.clone()))?;
                let keep = self.eval(filter).and_then(|v| self.truth(v));
                self.locals.pop();
                if keep? {
                    kept.push(item);
                }
            }
            items = kept;
        }
        if items.is_empty() {
            return self.body(&each.else_body, out, blocks, options).map(|_| ());
        }
        if items.len() > MOST {
            return Err(Fault::new("the loop is too long"));
        }
        let count = items.len();
        let depth = self.locals.iter().filter(|f| f.contains_key("loop")).count();
        let changed = Arc::new(Mutex::new(IndexMap::new()));
        for (at, item) in items.iter().enumerate() {
            let mut state: IndexMap<String, V> = IndexMap::new();
            let mut put = |name: &str, value: Value| state.insert(name.to_owned(), V::Json(value));
            put("index", (at + 1).into());
            put("index0", at.into());
            put("revindex", (count - at).into());
            put("revindex0", (count - at - 1).into());
            put("first", (at == 0).into());
            put("last", (at + 1 == count).into());
            put("length", count.into());
            put("depth", (depth + 1).into());
            put("depth0", depth.into());
            let near = |index: Option<usize>, name: &str| match index.and_then(|i| items.get(i)) {
                Some(item) => V::Json(item.clone()),
                None => V::undefined(format!("there is no {name} item")),
            };
            state.insert("previtem".into(), near(at.checked_sub(1), "previous"));
            state.insert("nextitem".into(), near(Some(at + 1), "next"));
            state.insert("cycle".into(), V::Method(Box::new(V::Json(at.into())), "__cycle".into()));
            state.insert("changed".into(), V::Method(Box::new(V::Namespace(Arc::clone(&changed))), "__changed".into()));
            self.locals.push(IndexMap::from([("loop".to_owned(), V::Namespace(Arc::new(Mutex::new(state))))]));
            let flow = self
                .assign(&each.target, V::Json(item.clone()))
                .and_then(|()| self.body(&each.body, out, blocks, options));
            self.locals.pop();
            if flow? == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    /// Sets a variable in the innermost block.
    pub(super) fn set(&mut self, name: &str, value: V) {
        if let Some(frame) = self.locals.last_mut() {
            frame.insert(name.to_owned(), value);
        }
    }

    fn assign(&mut self, target: &'static Expr<'static>, value: V) -> Result<()> {
        match target {
            Expr::Var(var) => {
                self.set(var.id, value);
                Ok(())
            }
            Expr::Tuple(tuple) => self.unpack(&tuple.items, value),
            Expr::List(list) => self.unpack(&list.items, value),
            Expr::GetAttr(get) => match self.eval(&get.expr)? {
                V::Namespace(map) => {
                    map.lock().unwrap_or_else(PoisonError::into_inner).insert(get.name.to_owned(), value);
                    Ok(())
                }
                _ => Err(Fault::new("cannot assign attribute on non-namespace object")),
            },
            _ => Err(Fault::new("cannot assign to this")),
        }
    }

    fn unpack(&mut self, targets: &'static [Expr<'static>], value: V) -> Result<()> {
        let value = self.json(value)?;
        let items = call::items(&value).map_err(Fault::new)?;
        if items.len() != targets.len() {
            let word = if items.len() > targets.len() { "too many" } else { "not enough" };
            return Err(Fault::new(format!("{word} values to unpack (expected {})", targets.len())));
        }
        for (target, item) in targets.iter().zip(items) {
            self.assign(target, V::Json(item))?;
        }
        Ok(())
    }

    /// All variables of blocks, for what is called later.
    fn closure(&self) -> IndexMap<String, V> {
        self.locals.iter().flat_map(|frame| frame.iter().map(|(k, v)| (k.clone(), v.clone()))).collect()
    }

    pub(super) fn call_macro(
        &mut self,
        decl: &'static ast::Macro<'static>,
        closure: &IndexMap<String, V>,
        args: Args,
        caller: Option<V>,
    ) -> Result<V> {
        let mut frame: IndexMap<String, V> = IndexMap::new();
        let names: Vec<&str> =
            decl.args.iter().filter_map(|a| if let Expr::Var(v) = a { Some(v.id) } else { None }).collect();
        let Args { mut pos, mut kw } = args;
        let rest = pos.split_off(pos.len().min(names.len()));
        for (name, value) in names.iter().zip(pos) {
            frame.insert((*name).to_owned(), value);
        }
        for name in &names {
            if let Some(value) = kw.shift_remove(*name) {
                frame.insert((*name).to_owned(), value);
            }
        }
        let saved = std::mem::replace(&mut self.locals, vec![closure.clone()]);
        // Recursion finds the macro under its own name.
        self.locals.push(IndexMap::from([(decl.name.to_owned(), V::Macro(decl, Arc::new(closure.clone())))]));
        let offset = names.len() - decl.defaults.len();
        let mut result = Ok(());
        for (at, name) in names.iter().enumerate() {
            if frame.contains_key(*name) {
                continue;
            }
            let value = match at.checked_sub(offset).and_then(|i| decl.defaults.get(i)) {
                Some(default) => self.eval(default),
                None => Ok(V::undefined(format!("parameter '{name}' was not provided"))),
            };
            match value {
                Ok(value) => {
                    frame.insert((*name).to_owned(), value);
                }
                Err(fault) => result = Err(fault),
            }
        }
        let mut varargs = vec![];
        for value in rest {
            varargs.push(self.json(value)?);
        }
        let mut kwargs = serde_json::Map::new();
        for (name, value) in kw {
            if name == "caller" {
                frame.insert(name, value);
            } else {
                kwargs.insert(name, self.json(value)?);
            }
        }
        frame.insert("varargs".into(), V::Json(Value::Array(varargs)));
        frame.insert("kwargs".into(), V::Json(Value::Object(kwargs)));
        if let Some(caller) = caller {
            frame.insert("caller".into(), caller);
        }
        self.locals.push(frame);
        let text = match result {
            Ok(()) => self.captured(&decl.body, &IndexMap::new(), None),
            Err(fault) => Err(fault),
        };
        self.locals = saved;
        text.map(V::text)
    }

    fn load(&mut self, name: &str, options: Option<&TextOptions>) -> Result<&'static [Stmt<'static>]> {
        let paths = self.scope.search_paths();
        let found =
            paths.iter().flat_map(|dir| [dir.join("templates").join(name), dir.join(name)]).find(|p| p.is_file());
        let found = found.or_else(|| Some(std::path::PathBuf::from(name)).filter(|p| p.is_absolute() && p.is_file()));
        let Some(path) = found else { return Err(Fault::new(format!("'{name}' not found in search path"))) };
        let text = std::fs::read_to_string(&path).map_err(|e| Fault::new(format!("{}: {e}", path.display())))?;
        let defaults = TextOptions::default();
        match self.templar.parsed(&text, Some(options.unwrap_or(&defaults)))? {
            Stmt::Template(template) => Ok(&template.children),
            _ => Err(Fault::new("not a template")),
        }
    }

    fn include(
        &mut self,
        include: &'static ast::Include<'static>,
        out: &mut Vec<Piece>,
        options: Option<&TextOptions>,
    ) -> Result<()> {
        let names = match self.data(&include.name)? {
            Value::Array(items) => items.iter().map(str_of).collect(),
            other => vec![str_of(&other)],
        };
        let mut last = None;
        for name in &names {
            match self.load(name, options) {
                Ok(tree) => {
                    self.locals.push(IndexMap::new());
                    let done = self.with_inheritance(tree, out, &mut IndexMap::new(), options);
                    self.locals.pop();
                    return done;
                }
                Err(fault) => last = Some(fault),
            }
        }
        match last {
            Some(fault) if !include.ignore_missing => Err(fault),
            _ => Ok(()),
        }
    }

    /// A template's macros and variables.
    fn module(&mut self, name: &str, options: Option<&TextOptions>) -> Result<V> {
        let tree = self.load(name, options)?;
        let saved = std::mem::replace(&mut self.locals, vec![IndexMap::new()]);
        let mut dropped = vec![];
        let result = self.body(tree, &mut dropped, &IndexMap::new(), options);
        let inner = std::mem::replace(&mut self.locals, saved);
        result?;
        let names = inner.into_iter().next().unwrap_or_default();
        // Macros of a module see each other.
        let all: IndexMap<String, V> = names
            .iter()
            .map(|(name, value)| match value {
                V::Macro(decl, _) => (name.clone(), V::Macro(decl, Arc::new(names.clone()))),
                other => (name.clone(), other.clone()),
            })
            .collect();
        Ok(V::Namespace(Arc::new(Mutex::new(all))))
    }

    fn arguments(&mut self, args: &'static [ast::CallArg<'static>]) -> Result<Args> {
        let mut out = Args::default();
        for arg in args {
            match arg {
                ast::CallArg::Pos(expr) => {
                    let value = self.eval(expr)?;
                    out.pos.push(value);
                }
                ast::CallArg::Kwarg(name, expr) => {
                    let value = self.eval(expr)?;
                    out.kw.insert((*name).to_owned(), value);
                }
                _ => return Err(Fault::new("no * or ** arguments here")),
            }
        }
        Ok(out)
    }

    /// `{% do list.append(x) %}` and its kin: changes a variable of the template.
    fn do_call(&mut self, call: &'static ast::Call<'static>) -> Result<()> {
        if let Expr::GetAttr(get) = &call.expr
            && let Expr::Var(var) = &get.expr
        {
            let args = self.arguments(&call.args)?;
            return self.change(var.id, get.name, args).map(|_| ());
        }
        let function = self.eval(&call.expr)?;
        let args = self.arguments(&call.args)?;
        self.call(function, args).map(|_| ())
    }

    /// Calls a method that changes a variable in place; gives what Python's method returns.
    pub(super) fn change(&mut self, name: &str, method: &str, args: Args) -> Result<Value> {
        let current = self.lookup(name)?;
        let mut value = self.json(current)?;
        let mut given = vec![];
        for arg in args.pos {
            given.push(self.json(arg)?);
        }
        let mut named = serde_json::Map::new();
        for (key, arg) in args.kw {
            named.insert(key, self.json(arg)?);
        }
        let answer = super::methods::mutate(&mut value, method, &given, &named)?;
        let frame = self.locals.iter_mut().rev().find(|frame| frame.contains_key(name));
        match frame {
            Some(frame) => {
                frame.insert(name.to_owned(), V::Json(value));
            }
            None => self.set(name, V::Json(value)),
        }
        Ok(answer)
    }
}

fn collect_blocks(statements: &'static [Stmt<'static>], blocks: &mut IndexMap<&'static str, &'static [Stmt<'static>]>) {
    for statement in statements {
        if let Stmt::Block(block) = statement {
            blocks.entry(block.name).or_insert(&block.body);
            collect_blocks(&block.body, blocks);
        }
    }
}

fn at_line(mut fault: Fault, line: u16) -> Fault {
    fault.line.get_or_insert(line);
    fault
}

/// Pieces as text: null and `omit` are nothing.
fn concat(pieces: &[Piece]) -> String {
    let mut out = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Value(Value::Null) => {}
            Piece::Value(Value::String(text)) if text == OMIT => {}
            Piece::Value(value) => out.push_str(&str_of(value)),
        }
    }
    out
}
