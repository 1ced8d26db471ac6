//! A task's keywords, rendered for one host (or one loop item).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::connection::is_yes;
use super::vars::TaskScope;
use crate::language::template::Templar;
use crate::language::{Frame, Keywords, Task};
use crate::text::{Diagnostic, Kind, Node};

/// Keywords that decide how a task runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub r#become: Option<bool>,
    pub become_user: Option<String>,
    pub become_method: Option<String>,
    pub become_flags: Option<String>,
    pub become_exe: Option<String>,
    pub connection: Option<String>,
    pub remote_user: Option<String>,
    pub port: Option<String>,
    pub environment: BTreeMap<String, String>,
    pub ignore_errors: bool,
    pub ignore_unreachable: bool,
    pub check_mode: bool,
    pub diff: bool,
    pub timeout: Option<Duration>,
    pub delegate_to: Option<String>,
    pub delegate_facts: bool,
}

/// Renders keywords of a frame.
pub(super) struct Renderer<'a> {
    pub templar: &'a Templar,
    pub scope: &'a TaskScope,
}

impl Renderer<'_> {
    fn value(&self, node: &Node) -> Result<Option<Value>, Diagnostic> {
        let node = self.templar.render(node, &self.scope.scope())?;
        Ok(if matches!(node.kind, Kind::Omit | Kind::Null) { None } else { Some(node.to_json()) })
    }

    /// A keyword's value and where it stands: the innermost level's that does not omit it.
    fn inherited<'a>(
        &self,
        frame: &'a Frame,
        get: impl Fn(&'a Keywords) -> Option<&'a Node>,
    ) -> Result<Option<(Value, &'a Node)>, Diagnostic> {
        for node in frame.levels().filter_map(|level| get(&level.keywords)) {
            let rendered = self.templar.render(node, &self.scope.scope())?;
            match rendered.kind {
                Kind::Omit => {}
                Kind::Null => return Ok(None),
                _ => return Ok(Some((rendered.to_json(), node))),
            }
        }
        Ok(None)
    }

    /// An inherited keyword as text.
    pub(super) fn text<'a>(
        &self,
        frame: &'a Frame,
        get: impl Fn(&'a Keywords) -> Option<&'a Node>,
    ) -> Result<Option<String>, Diagnostic> {
        Ok(self.inherited(frame, get)?.map(|(value, _)| match value {
            Value::String(text) => text,
            other => other.to_string(),
        }))
    }

    /// An inherited keyword as a boolean.
    pub(super) fn flag<'a>(
        &self,
        frame: &'a Frame,
        get: impl Fn(&'a Keywords) -> Option<&'a Node>,
    ) -> Result<Option<bool>, Diagnostic> {
        self.inherited(frame, get)?.map(|(value, node)| boolean(&value, node)).transpose()
    }

    fn environment(&self, frame: &Frame) -> Result<BTreeMap<String, String>, Diagnostic> {
        let mut all = BTreeMap::new();
        let mut levels: Vec<&Frame> = frame.levels().collect();
        levels.reverse();
        for node in levels.iter().filter_map(|level| level.keywords.environment.as_ref()) {
            match self.value(node)? {
                Some(Value::Object(map)) => add_environment(&mut all, &map),
                Some(Value::Array(maps)) => {
                    for map in maps {
                        match map {
                            Value::Object(map) => add_environment(&mut all, &map),
                            Value::String(text) if text.is_empty() => {}
                            _ => return Err(not_an_environment(node)),
                        }
                    }
                }
                None => {}
                Some(Value::String(text)) if text.is_empty() => {}
                Some(_) => return Err(not_an_environment(node)),
            }
        }
        Ok(all)
    }
}

fn not_an_environment(node: &Node) -> Diagnostic {
    Diagnostic::error("`environment` must be a mapping, or a list of mappings", &node.place)
}

fn add_environment(all: &mut BTreeMap<String, String>, map: &Map<String, Value>) {
    for (name, value) in map {
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Bool(true) => "True".into(),
            Value::Bool(false) => "False".into(),
            other => other.to_string(),
        };
        all.insert(name.clone(), text);
    }
}

/// A keyword's boolean: `yes`, `1`, … count too.
pub(super) fn boolean(value: &Value, node: &Node) -> Result<bool, Diagnostic> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Number(n) if n.as_i64() == Some(1) => Ok(true),
        Value::Number(n) if n.as_i64() == Some(0) => Ok(false),
        Value::String(text) if is_yes(text) => Ok(true),
        Value::String(text)
            if matches!(text.trim().to_ascii_lowercase().as_str(), "false" | "no" | "off" | "0" | "n" | "f" | "") =>
        {
            Ok(false)
        }
        other => Err(Diagnostic::error(format!("`{other}` is no valid boolean"), &node.place)),
    }
}

impl Settings {
    /// The task's settings. `defaults` holds the run's own check mode and diff.
    ///
    /// # Errors
    /// A keyword that can't be rendered, or has the wrong type.
    pub(super) fn of(
        task: &Task,
        templar: &Templar,
        scope: &TaskScope,
        check_mode: bool,
        diff: bool,
    ) -> Result<Self, Diagnostic> {
        let r = Renderer { templar, scope };
        let frame = &*task.frame;
        let timeout = r.text(frame, |k| k.timeout.as_ref())?.and_then(|t| t.parse::<f64>().ok());
        if let Some(seconds) = timeout
            && !(0.0..=100_000_000.0).contains(&seconds)
            && let Some(node) = frame.inherited(|k| k.timeout.as_ref())
        {
            let message = format!("Timeout {seconds} is invalid, it must be between 0 and 100000000.");
            return Err(Diagnostic::error(message, &node.place));
        }
        let timeout = timeout.filter(|t| *t > 0.0);
        Ok(Self {
            r#become: r.flag(frame, |k| k.r#become.as_ref())?,
            become_user: r.text(frame, |k| k.become_user.as_ref())?,
            become_method: r.text(frame, |k| k.become_method.as_ref())?,
            become_flags: r.text(frame, |k| k.become_flags.as_ref())?,
            become_exe: r.text(frame, |k| k.become_exe.as_ref())?,
            connection: r.text(frame, |k| k.connection.as_ref())?,
            remote_user: r.text(frame, |k| k.remote_user.as_ref())?,
            port: r.text(frame, |k| k.port.as_ref())?,
            environment: r.environment(frame)?,
            ignore_errors: r.flag(frame, |k| k.ignore_errors.as_ref())?.unwrap_or(false),
            ignore_unreachable: r.flag(frame, |k| k.ignore_unreachable.as_ref())?.unwrap_or(false),
            check_mode: r.flag(frame, |k| k.check_mode.as_ref())?.unwrap_or(check_mode),
            diff: r.flag(frame, |k| k.diff.as_ref())?.unwrap_or(diff),
            timeout: timeout.map(Duration::from_secs_f64),
            delegate_to: r.text(frame, |k| k.delegate_to.as_ref())?.filter(|name| !name.is_empty()),
            delegate_facts: r.flag(frame, |k| k.delegate_facts.as_ref())?.unwrap_or(false),
        })
    }
}
