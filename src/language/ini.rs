//! Inventories as INI: `[group]`, `[group:children]`, `[group:vars]`, `host name=value`.

use std::sync::Arc;

use super::inventory::Inventory;
use super::pattern;
use crate::text::{Diagnostic, Kind, Node, Place, Source, Style};

enum Section {
    Hosts(String),
    Children(String),
    Vars(String),
}

/// Reads a text into an inventory.
pub(super) fn read(inventory: &mut Inventory, source: &Arc<Source>) -> Result<(), Vec<Diagnostic>> {
    let mut section = Section::Hosts("ungrouped".into());
    let mut errors = vec![];
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let place = |from: usize, to: usize| Place::new(source, start + from, start + to);
        let text = line.trim();
        let indent = line.len() - line.trim_start().len();
        let whole = place(indent, indent + text.len());
        start += line.len();
        if text.is_empty() || text.starts_with('#') || text.starts_with(';') {
            continue;
        }
        if let Some(head) = text.strip_prefix('[') {
            let head = head.split('#').next().unwrap_or(head).trim();
            let Some(head) = head.strip_suffix(']') else {
                errors.push(Diagnostic::error("a section's line ends with `]`", &whole));
                continue;
            };
            let (name, kind) = head.split_once(':').unwrap_or((head, ""));
            let name = name.trim().to_owned();
            inventory.ensure_group(&name);
            section = match kind.trim() {
                "" => Section::Hosts(name),
                "children" => Section::Children(name),
                "vars" => Section::Vars(name),
                other => {
                    errors.push(
                        Diagnostic::error(format!("`{other}` is no kind of section"), &whole)
                            .hint("a section is [group], [group:children] or [group:vars]"),
                    );
                    continue;
                }
            };
            continue;
        }
        match &section {
            Section::Children(group) => {
                let child = text.split(['#', ';']).next().unwrap_or(text).trim();
                inventory.add_child(group, child);
            }
            Section::Vars(group) => match text.split_once('=') {
                Some((name, value)) => {
                    inventory.set_group_var(group, name.trim(), literal(value.trim(), &whole));
                }
                None => errors.push(Diagnostic::error("a variable's line is `name=value`", &whole)),
            },
            Section::Hosts(group) => {
                let Some(words) = shlex::split(&strip_comment(text)) else {
                    errors.push(Diagnostic::error("unbalanced quotes", &whole));
                    continue;
                };
                let Some((host, vars)) = words.split_first() else { continue };
                let mut pairs = vec![];
                for word in vars {
                    match word.split_once('=') {
                        Some((name, value)) => pairs.push((name.to_owned(), literal(value, &whole))),
                        None => errors.push(Diagnostic::error(
                            format!("Expected key=value host variable assignment, got: {word}"),
                            &whole,
                        )),
                    }
                }
                let (pattern, port) = pattern::split_port(host);
                for host in pattern::expand(&pattern) {
                    inventory.add_to_group(&host, group);
                    if let Some(port) = port {
                        inventory.set_host_var(
                            &host,
                            "ansible_port",
                            Node::new(Kind::Int(i64::from(port)), whole.clone()),
                        );
                    }
                    for (name, value) in &pairs {
                        inventory.set_host_var(&host, name, value.clone());
                    }
                }
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The line without a comment: ` #` outside quotes.
fn strip_comment(text: &str) -> String {
    let mut quote = None;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match quote {
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '#' && previous.is_whitespace() => return text[..at].to_owned(),
            None => {}
        }
        previous = c;
    }
    text.to_owned()
}

/// A value: a Python literal where it is one (numbers, `True`, lists, dictionaries, quoted strings), else text.
pub(crate) fn literal(text: &str, place: &Place) -> Node {
    let node = |kind| Node::new(kind, place.clone());
    let plain = || node(Kind::Str(text.to_owned(), Style::Plain));
    match text {
        "True" => return node(Kind::Bool(true)),
        "False" => return node(Kind::Bool(false)),
        "None" => return node(Kind::Null),
        _ => {}
    }
    if let Ok(n) = text.parse::<i64>()
        && (text == "0" || !text.trim_start_matches(['-', '+']).starts_with('0'))
        && !text.starts_with('+')
    {
        return node(Kind::Int(n));
    }
    let first = text.chars().next().unwrap_or(' ');
    if first.is_ascii_digit()
        && text.contains('.')
        && let Ok(n) = text.parse::<f64>()
    {
        return node(Kind::Float(n));
    }
    if matches!(first, '[' | '{' | '\'' | '"') && !text.starts_with("{{") {
        // Flow YAML is close enough to Python's literals, with its three words put right.
        let source = Source::new(place.source.name.clone(), text);
        if let Ok(parsed) = crate::text::parse(&source) {
            let mut value = parsed.first(&source);
            pythonic(&mut value, place);
            return value;
        }
    }
    plain()
}

fn pythonic(node: &mut Node, place: &Place) {
    node.place = place.clone();
    match &mut node.kind {
        Kind::Str(text, Style::Plain) if text == "None" => node.kind = Kind::Null,
        Kind::Seq(items) => items.iter_mut().for_each(|item| pythonic(item, place)),
        Kind::Map(entries) => entries.iter_mut().for_each(|(k, v)| {
            pythonic(k, place);
            pythonic(v, place);
        }),
        _ => {}
    }
}
