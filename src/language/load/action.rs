//! A task's action: which key names it, and how its arguments are written.

use super::Reader;
use super::keywords::{COMMON, TASK};
use crate::language::task::Action;
use crate::language::{arguments, is_module};
use crate::text::{Kind, Node, Place, Style};

impl Reader<'_> {
    /// The module and its arguments, and whether it is a `local_action`.
    pub(super) fn action(&mut self, node: &Node) -> Option<(Action, bool)> {
        let mut found: Option<(Node, Node, bool)> = None;
        for (key, value) in node.entries() {
            let text = key.key_text();
            let is_keyword = COMMON.contains(&text.as_str())
                || TASK.contains(&text.as_str()) && !matches!(text.as_str(), "action" | "local_action")
                || text.starts_with("with_");
            if is_keyword {
                continue;
            }
            let (name, args, local) = match text.as_str() {
                "action" | "local_action" => {
                    let (name, args) = self.written_action(value)?;
                    (name, args, text == "local_action")
                }
                _ => (key.clone(), value.clone(), false),
            };
            if let Some((first, ..)) = &found {
                // An unknown key beside a known module is more likely a mistyped keyword.
                let first_known = is_module(&first.key_text());
                let this_known = is_module(&text);
                if first_known && !this_known && !text.contains('.') {
                    let names = COMMON.iter().chain(TASK).copied();
                    self.unknown(&text, "Task", names, &key.place);
                    continue;
                }
                if !this_known || first_known {
                    let message = format!("conflicting action statements: {}, {text}", first.key_text());
                    self.error(message, &key.place);
                    return None;
                }
                let (first, place) = (first.key_text(), first.place.clone());
                self.unknown(&first, "Task", COMMON.iter().chain(TASK).copied(), &place);
            }
            found = Some((name, args, local));
        }
        let Some((name, value, local)) = found else {
            self.error("no module/action detected in task.", &node.place);
            return None;
        };
        let action = self.arguments(name, &value, node.get("args"))?;
        Some((action, local))
    }

    /// `action: NAME k=v`, or `action: {module: NAME, …}`.
    pub(super) fn written_action(&mut self, value: &Node) -> Option<(Node, Node)> {
        match &value.kind {
            Kind::Map(entries) => {
                let Some(name) = value.get("module") else {
                    self.error("`action` as a mapping needs the key `module`", &value.place);
                    return None;
                };
                // `args` within it is merged, too, and stands behind what is named outright.
                let mut rest: Vec<_> =
                    entries.iter().filter(|(k, _)| !matches!(k.as_str(), Some("module" | "args"))).cloned().collect();
                for (key, arg) in value.get("args").map(Node::entries).unwrap_or_default() {
                    if !rest.iter().any(|(known, _)| known.as_str() == key.as_str()) {
                        rest.push((key.clone(), arg.clone()));
                    }
                }
                let (name, args) = (name.clone(), Node::new(Kind::Map(rest), value.place.clone()));
                // `module: copy src=a` carries arguments, too.
                match name.as_str().and_then(|t| t.trim().split_once(char::is_whitespace)) {
                    Some((short, line)) if !name.is_template() => {
                        let line = Node::new(Kind::Str(line.to_owned(), Style::Plain), name.place.clone());
                        let name = Node::new(Kind::Str(short.to_owned(), Style::Plain), name.place.clone());
                        let action = self.arguments(name.clone(), &line, Some(&args))?;
                        Some((name, action.args))
                    }
                    _ => Some((name, args)),
                }
            }
            Kind::Str(text, style) => {
                let text = text.trim();
                let end = if text.starts_with("{{") {
                    text.find("}}").map_or(text.len(), |i| i + 2)
                } else {
                    text.find(char::is_whitespace).unwrap_or(text.len())
                };
                let name = Node::new(Kind::Str(text[..end].to_owned(), *style), value.place.clone());
                let rest = text[end..].trim();
                let kind = if rest.is_empty() { Kind::Null } else { Kind::Str(rest.to_owned(), *style) };
                Some((name, Node::new(kind, value.place.clone())))
            }
            _ => {
                self.error("`action` names a module, with its arguments", &value.place);
                None
            }
        }
    }

    pub(super) fn arguments(&mut self, name: Node, value: &Node, args: Option<&Node>) -> Option<Action> {
        let module = name.key_text();
        let empty = |place: &Place| Node::new(Kind::Map(vec![]), place.clone());
        let mut free_form = None;
        let mut own = match &value.kind {
            Kind::Map(_) => value.clone(),
            Kind::Null => empty(&value.place),
            Kind::Str(text, _) | Kind::Data(text) => {
                let whole = text.trim();
                if whole.starts_with("{{")
                    && whole.ends_with("}}")
                    && whole.matches("{{").count() == 1
                    && !takes_text(&module)
                {
                    // A template that gives all arguments.
                    value.clone()
                } else {
                    match arguments::split(&module, value) {
                        Ok(line) => {
                            free_form = line.free_form;
                            Node::new(Kind::Map(line.pairs), value.place.clone())
                        }
                        Err(message) => {
                            self.error(message, &value.place);
                            return None;
                        }
                    }
                }
            }
            Kind::Seq(_) | Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) | Kind::Vault(_) | Kind::Omit => {
                if takes_text(&module) && !matches!(value.kind, Kind::Seq(_)) {
                    free_form = Some(Node::data(value.key_text(), &value.place));
                    empty(&value.place)
                } else {
                    self.error(format!("unexpected parameter type in action: {}", value.type_name()), &value.place);
                    return None;
                }
            }
        };
        if let Some(args) = args.filter(|n| !n.is_null()) {
            match (&mut own.kind, &args.kind) {
                (Kind::Map(entries), Kind::Map(more)) => {
                    for (key, value) in more {
                        if !entries.iter().any(|(k, _)| k.as_str() == key.as_str()) {
                            entries.push((key.clone(), value.clone()));
                        }
                    }
                }
                (Kind::Map(entries), Kind::Str(text, _)) if entries.is_empty() && text.trim().starts_with("{{") => {
                    own = args.clone();
                }
                (_, Kind::Str(text, _)) if text.trim().starts_with("{{") => {
                    self.error("`args` as a template can't be joined with other arguments", &args.place);
                }
                (_, Kind::Str(..)) => match arguments::split("", args) {
                    Ok(line) => {
                        if let Kind::Map(entries) = &mut own.kind {
                            entries.extend(line.pairs);
                        }
                    }
                    Err(message) => self.error(message, &args.place),
                },
                _ => self.error("`args` must be a mapping", &args.place),
            }
        }
        Some(Action { name, args: own, free_form })
    }
}

/// Modules whose value is text of their own, never all arguments as one template.
fn takes_text(module: &str) -> bool {
    let short = module.rsplit('.').next().unwrap_or(module);
    arguments::is_command(module)
        || matches!(short, "include_tasks" | "import_tasks" | "include_vars" | "meta" | "include_role" | "import_role")
}
