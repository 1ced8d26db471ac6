//! Templates: Jinja with the values, filters, tests and lookups that playbooks use, as ansible-core 2.19 has them.
//!
//! Text is parsed by minijinja's parser; it is evaluated here, since three things are Ansible's own: native types, variables that are
//! rendered only when they are used, and undefined values that may be looked into and given defaults but are an error in any other use.

mod around;
pub mod call;
pub mod crypt;
mod eval;
pub mod filters;
mod format;
pub mod lookups;
mod methods;
mod names;
mod operators;
mod pipes;
pub mod regex;
mod render;
mod tests;
#[cfg(test)]
mod unit;
mod value;
mod version;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::machinery::{self, ast};
use minijinja::syntax::SyntaxConfig;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::text::{Diagnostic, Kind, Node, Place, Source, did_you_mean};
use eval::{Fault, Interp};
use value::{OMIT, V};

/// A variable as a scope has it.
pub enum Variable {
    /// As written: rendered when it is used, in the scope that it comes from.
    Node(Node),
    /// Data: never a template.
    Json(Value),
    /// All variables of a scope (`vars`).
    Scope(Arc<dyn Scope>),
    /// Scopes by name (`hostvars`).
    Scopes(Arc<dyn Scopes>),
}

/// Variables of one host and task.
pub trait Scope: Send + Sync {
    /// The variable of this name.
    fn variable(&self, name: &str) -> Option<Variable>;
    /// All names.
    fn names(&self) -> Vec<String>;
    /// Directories in which relative files are looked up, the best first.
    fn search_paths(&self) -> Vec<PathBuf>;
    /// Decrypts a vaulted value.
    fn decrypt(&self, vaulted: &str) -> anyhow::Result<String>;
}

/// Scopes by name.
pub trait Scopes: Send + Sync {
    /// All names.
    fn names(&self) -> Vec<String>;
    /// The scope of this name.
    fn scope(&self, name: &str) -> Option<Arc<dyn Scope>>;
}

/// How a template file is rendered: the parameters of `template`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct TextOptions {
    /// `{%`
    pub block_start_string: Option<String>,
    /// `%}`
    pub block_end_string: Option<String>,
    /// `{{`
    pub variable_start_string: Option<String>,
    /// `}}`
    pub variable_end_string: Option<String>,
    /// `{#`
    pub comment_start_string: Option<String>,
    /// `#}`
    pub comment_end_string: Option<String>,
    /// Whether the first newline behind a block is dropped.
    pub trim_blocks: bool,
    /// Whether blanks before a block are dropped.
    pub lstrip_blocks: bool,
    /// Whether the text's last newline is kept.
    pub keep_trailing_newline: bool,
    /// What ends a line.
    pub newline_sequence: Option<String>,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self {
            block_start_string: None,
            block_end_string: None,
            variable_start_string: None,
            variable_end_string: None,
            comment_start_string: None,
            comment_end_string: None,
            trim_blocks: true,
            lstrip_blocks: false,
            keep_trailing_newline: true,
            newline_sequence: None,
        }
    }
}

impl TextOptions {
    /// Of a lookup's arguments; unknown ones are left out.
    fn from_map(map: &Map<String, Value>) -> Self {
        serde_json::from_value(Value::Object(map.clone())).unwrap_or_default()
    }

    fn syntax(&self) -> Result<SyntaxConfig, Fault> {
        let text = |given: &Option<String>, usual: &str| {
            given.clone().filter(|t| !t.is_empty()).unwrap_or_else(|| usual.to_owned())
        };
        SyntaxConfig::builder()
            .block_delimiters(text(&self.block_start_string, "{%"), text(&self.block_end_string, "%}"))
            .variable_delimiters(text(&self.variable_start_string, "{{"), text(&self.variable_end_string, "}}"))
            .comment_delimiters(text(&self.comment_start_string, "{#"), text(&self.comment_end_string, "#}"))
            .trim_blocks(self.trim_blocks)
            .lstrip_blocks(self.lstrip_blocks)
            .keep_trailing_newline(self.keep_trailing_newline)
            .build()
            .map_err(|e| Fault::new(e.to_string()))
    }

    /// What the first line `#jinja2: name: value, …` sets, and the text without it.
    fn header<'a>(&self, text: &'a str) -> (Self, &'a str, usize) {
        let Some(rest) = text.strip_prefix("#jinja2:") else { return (self.clone(), text, 0) };
        let (line, body) = rest.split_once('\n').unwrap_or((rest, ""));
        let mut options = self.clone();
        for part in line.split(',') {
            let Some((name, value)) = part.split_once(':') else { continue };
            let value = value.trim().trim_matches(['"', '\'']);
            let flag = matches!(value, "True" | "true" | "yes");
            let text = Some(value.to_owned());
            match name.trim() {
                "trim_blocks" => options.trim_blocks = flag,
                "lstrip_blocks" => options.lstrip_blocks = flag,
                "keep_trailing_newline" => options.keep_trailing_newline = flag,
                "block_start_string" => options.block_start_string = text,
                "block_end_string" => options.block_end_string = text,
                "variable_start_string" => options.variable_start_string = text,
                "variable_end_string" => options.variable_end_string = text,
                "comment_start_string" => options.comment_start_string = text,
                "comment_end_string" => options.comment_end_string = text,
                "newline_sequence" => options.newline_sequence = Some(value.replace("\\r", "\r").replace("\\n", "\n")),
                _ => {}
            }
        }
        (options, body, text.len() - body.len())
    }
}

/// How a templar differs from the usual.
#[derive(Debug, Clone, Default)]
pub struct TemplarOptions {
    /// Whether conditions may be no booleans (`ANSIBLE_ALLOW_BROKEN_CONDITIONALS`).
    pub allow_broken_conditionals: bool,
}

/// Where warnings go.
type Warn = Arc<dyn Fn(&str) + Send + Sync>;

struct Inner {
    options: TemplarOptions,
    templates: Mutex<HashMap<String, &'static ast::Stmt<'static>>>,
    expressions: Mutex<HashMap<String, &'static ast::Expr<'static>>>,
    warn: Mutex<Option<Warn>>,
}

/// Renders templates; cheap to clone.
#[derive(Clone)]
pub struct Templar(Arc<Inner>);

impl Default for Templar {
    fn default() -> Self {
        Self::new(TemplarOptions::default())
    }
}

/// Whether a text is a template.
fn has_markers(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

impl Templar {
    /// A templar.
    pub fn new(options: TemplarOptions) -> Self {
        Self(Arc::new(Inner {
            options,
            templates: Mutex::default(),
            expressions: Mutex::default(),
            warn: Mutex::default(),
        }))
    }

    /// Sets where warnings go.
    pub fn on_warning(&self, warn: impl Fn(&str) + Send + Sync + 'static) {
        *self.0.warn.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(warn));
    }

    fn warn(&self, text: &str) {
        let warn = self.0.warn.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(warn) = warn {
            warn(text);
        }
    }

    /// A template's syntax tree. Trees live as long as the program: their number is bounded by the templates that are written in files,
    /// since data is never a template.
    fn parsed(&self, text: &str, options: Option<&TextOptions>) -> Result<&'static ast::Stmt<'static>, Fault> {
        let key = format!("{}{text}", options.map(|o| format!("{o:?}")).unwrap_or_default());
        if let Some(tree) = self.0.templates.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(tree);
        }
        let defaults = TextOptions::default();
        let syntax = options.unwrap_or(&defaults).syntax()?;
        let text = if options.is_none() { keep_backslashes(text) } else { std::borrow::Cow::Borrowed(text) };
        let kept: &'static str = Box::leak(text.into_owned().into_boxed_str());
        let tree = machinery::parse(kept, "<template>", syntax).map_err(|error| syntax_fault(&error))?;
        let tree: &'static ast::Stmt<'static> = Box::leak(Box::new(tree));
        self.0.templates.lock().unwrap_or_else(PoisonError::into_inner).insert(key, tree);
        Ok(tree)
    }

    /// An expression's syntax tree.
    fn expression(&self, text: &str) -> Result<&'static ast::Expr<'static>, Fault> {
        if let Some(tree) = self.0.expressions.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(tree);
        }
        let kept: &'static str = Box::leak(text.to_owned().into_boxed_str());
        let tree = machinery::parse_expr(kept).map_err(|error| syntax_fault(&error))?;
        let tree: &'static ast::Expr<'static> = Box::leak(Box::new(tree));
        self.0.expressions.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned(), tree);
        Ok(tree)
    }

    /// Renders a node, deeply: templates become data, `omit` stays what it is at the top and drops entries below.
    ///
    /// # Errors
    /// What can't be rendered, at its place.
    pub fn render(&self, node: &Node, scope: &Arc<dyn Scope>) -> Result<Node, Diagnostic> {
        let place = &node.place;
        Ok(match &node.kind {
            Kind::Seq(items) => {
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    let item = self.render(item, scope)?;
                    if !matches!(item.kind, Kind::Omit) {
                        out.push(item);
                    }
                }
                Node::new(Kind::Seq(out), place.clone())
            }
            Kind::Map(entries) => {
                let mut out = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let value = self.render(value, scope)?;
                    if !matches!(value.kind, Kind::Omit) {
                        let key = if key.is_template() { self.render(key, scope)? } else { key.clone() };
                        out.push((key, value));
                    }
                }
                Node::new(Kind::Map(out), place.clone())
            }
            Kind::Str(text, _) if !has_markers(text) => Node::data(text.clone(), place),
            Kind::Str(..) | Kind::Vault(_) => {
                let value = self.leaf(node, scope)?;
                to_node(&value, place)
            }
            _ => node.clone(),
        })
    }

    fn leaf(&self, node: &Node, scope: &Arc<dyn Scope>) -> Result<Value, Diagnostic> {
        let mut cx = Interp::new(self, scope);
        let value = cx.node(node, scope).and_then(|v| cx.json(v));
        value.map_err(|fault| diagnostic(fault, &node.place))
    }

    /// Renders a node to JSON; `omit` becomes null.
    ///
    /// # Errors
    /// As [`Templar::render`].
    pub fn value(&self, node: &Node, scope: &Arc<dyn Scope>) -> Result<Value, Diagnostic> {
        Ok(self.render(node, scope)?.to_json())
    }

    /// Evaluates a bare expression.
    ///
    /// # Errors
    /// What can't be evaluated.
    pub fn evaluate(&self, expression: &str, place: &Place, scope: &Arc<dyn Scope>) -> Result<Value, Diagnostic> {
        let mut cx = Interp::new(self, scope);
        let value = self.expression(expression).and_then(|tree| cx.eval(tree)).and_then(|v| cx.json(v));
        value.map_err(|fault| diagnostic(fault, place))
    }

    /// As [`Templar::evaluate`], to be looked at: what is undefined is shown as such, and the messages are given beside.
    ///
    /// # Errors
    /// As there.
    pub fn shown(
        &self,
        expression: &str,
        place: &Place,
        scope: &Arc<dyn Scope>,
    ) -> Result<(Value, Vec<String>), Diagnostic> {
        let mut cx = Interp::new(self, scope);
        let mut errors = vec![];
        let value = self.expression(expression).and_then(|tree| cx.eval(tree));
        let value = cx.shown(value, &mut errors).map_err(|fault| diagnostic(fault, place))?;
        Ok((value, errors))
    }

    /// Whether a condition holds.
    ///
    /// # Errors
    /// It can't be evaluated, or its result is no boolean.
    pub fn condition(&self, node: &Node, scope: &Arc<dyn Scope>) -> Result<bool, Diagnostic> {
        let value = match &node.kind {
            Kind::Bool(flag) => return Ok(*flag),
            Kind::Null => return Ok(true),
            Kind::Str(text, _) | Kind::Data(text) if text.trim().is_empty() => return Ok(true),
            // `!unsafe`, or what a host said.
            Kind::Data(_) => return Err(untrusted(node)),
            Kind::Str(text, _) if has_markers(text) => {
                let trimmed = text.trim();
                let whole = trimmed.starts_with("{{") && trimmed.ends_with("}}") && trimmed.matches("{{").count() == 1;
                self.warn("Conditionals should not be surrounded by templating delimiters such as {{ }} or {% %}.");
                if whole {
                    self.evaluate(trimmed[2..trimmed.len() - 2].trim_matches('-').trim(), &node.place, scope)?
                } else {
                    let watched = Arc::new(Watched { scope: Arc::clone(scope), data: AtomicBool::new(false) });
                    let seen: Arc<dyn Scope> = Arc::clone(&watched) as Arc<dyn Scope>;
                    match self.leaf(node, &seen)? {
                        // What hosts and programs said is data: it must not become an expression.
                        Value::String(_) if watched.data.load(Ordering::Relaxed) => return Err(untrusted(node)),
                        Value::String(text) => self.evaluate(&text, &node.place, scope)?,
                        other => other,
                    }
                }
            }
            Kind::Str(text, _) => self.evaluate(text, &node.place, scope)?,
            _ => node.to_json(),
        };
        match value {
            Value::Bool(flag) => Ok(flag),
            other if self.0.options.allow_broken_conditionals => {
                self.warn(
                    "Conditional result was not a boolean; it was accepted since broken conditionals are allowed.",
                );
                // As 2.18 did: a string result was evaluated once more.
                if let Value::String(text) = &other
                    && let Ok(again) = self.evaluate(text, &node.place, scope)
                {
                    return Ok(value::truthy(&again));
                }
                Ok(value::truthy(&other))
            }
            other => Err(Diagnostic::error(
                format!(
                    "Conditional result ({}) was derived from value of type '{}'. Conditionals must have a boolean result.",
                    if value::truthy(&other) { "True" } else { "False" },
                    value::type_name(&other)
                ),
                &node.place,
            )),
        }
    }

    /// Renders a template file's text.
    ///
    /// # Errors
    /// What can't be rendered, at its line of the template.
    pub fn text(
        &self,
        name: &str,
        text: &str,
        options: &TextOptions,
        scope: &Arc<dyn Scope>,
    ) -> Result<String, Diagnostic> {
        let (options, body, offset) = options.header(text);
        let mut cx = Interp::new(self, scope);
        let rendered = cx.template(body, Some(&options)).and_then(|v| cx.json(v)).map_err(|fault| {
            let source = Source::new(name, text);
            let line = usize::from(fault.line.unwrap_or(1)).max(1);
            let start = body.split_inclusive('\n').take(line - 1).map(str::len).sum::<usize>() + offset;
            let end = text[start..].find('\n').map_or(text.len(), |i| start + i);
            diagnostic(fault, &Place::new(&source, start, end))
        })?;
        let rendered = value::str_of(&rendered);
        Ok(match options.newline_sequence.as_deref() {
            Some(newline @ ("\r" | "\r\n")) => rendered.replace("\r\n", "\n").replace('\n', newline),
            _ => rendered,
        })
    }

    /// Runs a lookup (for `with_NAME`).
    ///
    /// # Errors
    /// What the lookup says.
    pub fn lookup(
        &self,
        name: &str,
        terms: Vec<Value>,
        kwargs: Map<String, Value>,
        scope: &Arc<dyn Scope>,
    ) -> Result<Vec<Value>, Diagnostic> {
        let mut cx = Interp::new(self, scope);
        around::run(&mut cx, name, terms, kwargs).map_err(|fault| Diagnostic::plain(fault.message))
    }

    /// Whether there is a lookup of this name.
    pub fn has_lookup(name: &str) -> bool {
        lookups::exists(name)
    }

    /// What is wrong with the templates within a node, whatever the variables are.
    pub fn check(&self, node: &Node) -> Vec<Diagnostic> {
        let mut found = vec![];
        self.check_into(node, &mut found);
        found
    }

    fn check_into(&self, node: &Node, found: &mut Vec<Diagnostic>) {
        match &node.kind {
            Kind::Str(text, _) if has_markers(text) => match self.parsed(text, None) {
                Ok(tree) => names::check_template(tree, &node.place, found),
                Err(fault) => found.push(diagnostic(fault, &node.place)),
            },
            Kind::Seq(items) => items.iter().for_each(|item| self.check_into(item, found)),
            Kind::Map(entries) => {
                for (key, value) in entries {
                    self.check_into(key, found);
                    self.check_into(value, found);
                }
            }
            _ => {}
        }
    }

    /// What is wrong with a condition, whatever the variables are.
    pub fn check_expression(&self, node: &Node) -> Vec<Diagnostic> {
        let mut found = vec![];
        match &node.kind {
            Kind::Str(text, _) if has_markers(text) => self.check_into(node, &mut found),
            Kind::Str(text, _) if !text.trim().is_empty() => match self.expression(text) {
                Ok(tree) => names::check_expression(tree, &node.place, &mut found),
                Err(fault) => found.push(diagnostic(fault, &node.place)),
            },
            Kind::Seq(items) => found.extend(items.iter().flat_map(|item| self.check_expression(item))),
            _ => {}
        }
        found
    }
}

/// A scope that notes whether data was used: values that no playbook's text holds.
struct Watched {
    scope: Arc<dyn Scope>,
    data: AtomicBool,
}

impl Scope for Watched {
    fn variable(&self, name: &str) -> Option<Variable> {
        let found = self.scope.variable(name);
        if !matches!(found, None | Some(Variable::Node(_))) {
            self.data.store(true, Ordering::Relaxed);
        }
        found
    }

    fn names(&self) -> Vec<String> {
        self.scope.names()
    }

    fn search_paths(&self) -> Vec<PathBuf> {
        self.scope.search_paths()
    }

    fn decrypt(&self, vaulted: &str) -> anyhow::Result<String> {
        self.scope.decrypt(vaulted)
    }
}

fn untrusted(node: &Node) -> Diagnostic {
    Diagnostic::error("Encountered untrusted template or expression.", &node.place)
        .hint("write the condition without `{{ }}` around its variables")
}

/// In `{{ … }}` of YAML files a backslash within a string is a backslash: YAML has its own escapes, and nobody would write them twice.
fn keep_backslashes(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    let (mut inside, mut quote) = (false, None);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (inside, quote) {
            (false, _) => inside = c == '{' && chars.peek() == Some(&'{'),
            (true, None) if c == '}' && chars.peek() == Some(&'}') => inside = false,
            (true, None) if c == '"' || c == '\'' => quote = Some(c),
            (true, None) => {}
            (true, Some(_)) if c == '\\' => {
                out.push_str("\\\\");
                match chars.next() {
                    Some(next) if Some(next) == quote => out.extend(['\\', next]),
                    Some('\\') => out.push_str("\\\\"),
                    next => out.extend(next),
                }
                continue;
            }
            (true, Some(q)) if c == q => quote = None,
            (true, Some(_)) => {}
        }
        out.push(c);
    }
    out.into()
}

fn syntax_fault(error: &minijinja::Error) -> Fault {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    Fault {
        message: format!("Syntax error in template: {detail}"),
        undefined: false,
        line: error.line().and_then(|l| u16::try_from(l).ok()),
    }
}

fn diagnostic(fault: Fault, place: &Place) -> Diagnostic {
    Diagnostic::error(fault.message, place)
}

/// Data as a node, placeholders of `omit` as what they stand for.
fn to_node(value: &Value, place: &Place) -> Node {
    let kind = match value {
        Value::String(text) if text == OMIT => Kind::Omit,
        Value::Array(items) => {
            Kind::Seq(items.iter().map(|v| to_node(v, place)).filter(|n| !matches!(n.kind, Kind::Omit)).collect())
        }
        Value::Object(map) => Kind::Map(
            map.iter()
                .map(|(k, v)| (Node::data(k.clone(), place), to_node(v, place)))
                .filter(|(_, v)| !matches!(v.kind, Kind::Omit))
                .collect(),
        ),
        other => return Node::from_json(other, place),
    };
    Node::new(kind, place.clone())
}

/// The closest name among filters or tests.
fn closest(name: &str, filters: bool) -> Option<&'static str> {
    if filters { did_you_mean(name, pipes::names()) } else { did_you_mean(name, tests::NAMES.iter().copied()) }
}

impl V {
    /// Whether it is a placeholder of `omit`.
    #[cfg(test)]
    fn is_omit(&self) -> bool {
        matches!(self, Self::Json(Value::String(text)) if text == OMIT)
    }
}
