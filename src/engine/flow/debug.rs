//! `debug`, `assert`, `fail`.

use serde::Deserialize;
use serde_json::Value;

use super::{Cx, arguments, done};
use crate::engine::call::Call;
use crate::engine::settings::boolean;
use crate::engine::task::Ran;
use crate::modules::contract::Outcome;
use crate::text::{Diagnostic, Kind, Node, Style};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Debug {
    msg: Option<Value>,
    var: Option<Value>,
    #[serde(default)]
    verbosity: u8,
}

pub(super) fn debug(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let args: Debug = arguments(call)?;
    if args.msg.is_some() && args.var.is_some() {
        return Err(Diagnostic::error("parameters are mutually exclusive: msg|var", &call.args.place));
    }
    if args.verbosity > cx.play.run.options.verbosity {
        let mut ran = done(Outcome { skipped: true, ..Outcome::ok() });
        ran.end.result.insert("skipped_reason".into(), "Verbosity threshold not met.".into());
        return Ok(ran);
    }
    let outcome = match args.var {
        None => Outcome::ok().with("msg", args.msg.unwrap_or_else(|| "Hello world!".into())),
        Some(Value::String(name)) => {
            let place = call.args.get("var").map_or(&call.args.place, |node| &node.place);
            // Undefined is an answer here, not an error.
            let (value, errors) = cx.play.run.templar.shown(&name, place, &cx.scope.scope())?;
            if !errors.is_empty() {
                let count = errors.len();
                let lines = errors.iter().enumerate().map(|(i, error)| format!("\nerror {} - {error}", i + 1));
                let plural = if count == 1 { "" } else { "s" };
                let text = format!("Encountered {count} template error{plural}.{}", lines.collect::<String>());
                cx.play.run.events.emit(crate::engine::event::Event::Warning { text });
            }
            Outcome::ok().with(&name, value)
        }
        Some(other) => Outcome::ok().with(&other.to_string(), other),
    };
    let mut ran = done(outcome);
    ran.end.result.insert("_ansible_verbose_always".into(), true.into());
    Ok(ran)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assert {
    #[expect(dead_code, reason = "its text is read from the task as written")]
    that: Value,
    #[serde(alias = "msg")]
    fail_msg: Option<Value>,
    success_msg: Option<Value>,
    #[serde(default)]
    quiet: bool,
}

pub(super) fn assert(call: &Call, cx: &Cx<'_>) -> Result<Ran, Diagnostic> {
    let args: Assert = arguments(call)?;
    // Conditions are expressions: what is evaluated is the text as written, not what rendering made of it.
    let written = cx.task.action.args.get("that");
    let conditions = conditions(written, call, cx)?;
    for (shown, node) in conditions {
        let holds = cx.play.run.templar.condition(&node, &cx.scope.scope())?;
        if holds {
            continue;
        }
        let message = args.fail_msg.clone().unwrap_or_else(|| "Assertion failed".into());
        let mut ran = done(Outcome::failed(""));
        ran.end.result.insert("assertion".into(), shown);
        ran.end.result.insert("evaluated_to".into(), false.into());
        ran.end.result.insert("msg".into(), message);
        return Ok(ran);
    }
    let message = args.success_msg.unwrap_or_else(|| "All assertions passed".into());
    let mut outcome = Outcome::ok();
    outcome = outcome.with("msg", message);
    let mut ran = done(outcome);
    ran.end.result.insert("_ansible_verbose_always".into(), (!args.quiet).into());
    Ok(ran)
}

fn is_text(node: &Node) -> bool {
    match &node.kind {
        Kind::Data(text) => !matches!(text.trim(), "" | "True" | "False"),
        Kind::Seq(items) => items.iter().any(is_text),
        _ => false,
    }
}

/// Whether a template names a variable whose text stands in a playbook, and nothing else: only such text may be an expression itself.
fn is_written(template: &str, cx: &Cx<'_>) -> bool {
    let name = template.trim().trim_start_matches("{{").trim_end_matches("}}").trim_matches('-').trim();
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '[' | ']' | '\'' | '"'));
    let first = name.split(['.', '[']).next().unwrap_or_default();
    let written = |node: &Node| !holds_data(node);
    plain
        && matches!(cx.scope.scope().variable(first), Some(crate::language::template::Variable::Node(node)) if written(&node))
}

/// Whether some text within is data (`!unsafe`).
fn holds_data(node: &Node) -> bool {
    match &node.kind {
        Kind::Data(_) => true,
        Kind::Seq(items) => items.iter().any(holds_data),
        Kind::Map(entries) => entries.iter().any(|(_, value)| holds_data(value)),
        _ => false,
    }
}

fn untrusted(node: &Node) -> Diagnostic {
    Diagnostic::error("Encountered untrusted template or expression.", &node.place)
}

/// The conditions with what is shown of each. A whole template that gives a list is taken as that list.
fn conditions(written: Option<&Node>, call: &Call, cx: &Cx<'_>) -> Result<Vec<(Value, Node)>, Diagnostic> {
    let rendered = call.args.get("that");
    let Some(node) = written.or(rendered) else {
        return Err(Diagnostic::error("missing required arguments: that", &call.args.place));
    };
    let whole_template = node.as_str().is_some_and(|t| t.trim_start().starts_with("{{"));
    let trusted = |text: &str| is_written(text, cx);
    if whole_template && rendered.is_some_and(is_text) && !node.as_str().is_some_and(trusted) {
        return Err(untrusted(node));
    }
    let node = if whole_template { rendered.unwrap_or(node) } else { node };
    let list: Vec<Node> = match &node.kind {
        Kind::Seq(items) => items.clone(),
        _ => vec![node.clone()],
    };
    let mut out = vec![];
    for item in list {
        let item = match &item.kind {
            // A template within the list gives the condition itself.
            Kind::Str(text, _) if text.trim_start().starts_with("{{") && text.trim_end().ends_with("}}") => {
                let rendered = cx.play.run.templar.render(&item, &cx.scope.scope())?;
                if is_text(&rendered) && !trusted(text) {
                    return Err(untrusted(&item));
                }
                rendered
            }
            _ => item,
        };
        let shown = item.to_json();
        let item = match item.kind {
            Kind::Data(text) => Node::new(Kind::Str(text, Style::Plain), item.place),
            Kind::Seq(ref inner) if inner.is_empty() => continue,
            _ => item,
        };
        out.push((shown, item));
    }
    Ok(out)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fail {
    msg: Option<Value>,
}

pub(super) fn fail(call: &Call) -> Result<Ran, Diagnostic> {
    let args: Fail = arguments(call)?;
    let mut ran = done(Outcome::failed(""));
    ran.end.result.insert("msg".into(), args.msg.unwrap_or_else(|| "Failed as requested from task".into()));
    Ok(ran)
}

/// A parameter's boolean.
pub(super) fn flag(call: &Call, name: &str) -> Result<Option<bool>, Diagnostic> {
    call.args.get(name).map(|node| boolean(&node.to_json(), node)).transpose()
}
