//! Inventories as INI: `[group]`, `[group:children]`, `[group:vars]`, `host name=value`.

use std::sync::Arc;

use super::inventory::Inventory;
use super::literal::literal;
use super::pattern;
use crate::text::{Diagnostic, Kind, Node, Place, Source};

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

/// The line without a comment: `#` outside quotes, even within a word, as Python's `shlex` has it.
fn strip_comment(text: &str) -> String {
    let (mut quote, mut escaped) = (None, false);
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some(q) if c == q => quote = None,
            None | Some('"') if c == '\\' => escaped = true,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '#' => return text[..at].to_owned(),
            None => {}
        }
    }
    text.to_owned()
}
