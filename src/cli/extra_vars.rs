//! `-e`: variables above all others.

use indexmap::IndexMap;

use crate::text::{Diagnostic, Kind, Node, Place, Source, Style, parse};

/// Reads all `-e` in order; later ones win.
///
/// # Errors
/// A file that can't be read, YAML that isn't, or something that is no mapping.
pub fn read(given: &[String], open: impl Fn(&str) -> anyhow::Result<String>) -> anyhow::Result<IndexMap<String, Node>> {
    let mut out = IndexMap::new();
    for text in given {
        let node = match text.strip_prefix('@') {
            Some(path) => mapping(&Source::new(path, open(path)?))?,
            None if text.trim_start().starts_with(['{', '[']) => mapping(&Source::new("<extra vars>", text.as_str()))?,
            None => {
                out.extend(pairs(text)?);
                continue;
            }
        };
        if let Kind::Map(entries) = node.kind {
            out.extend(entries.into_iter().map(|(key, value)| (key.key_text(), value)));
        }
    }
    Ok(out)
}

fn mapping(source: &std::sync::Arc<Source>) -> Result<Node, Diagnostic> {
    let node = parse(source)?.first(source);
    match node.kind {
        Kind::Map(_) | Kind::Null => Ok(node),
        _ => Err(Diagnostic::error(format!("variables are a mapping, not a {}", node.type_name()), &node.place)),
    }
}

/// `key=value …`: values may be quoted; they are strings, and templates where they hold `{{`.
fn pairs(text: &str) -> Result<IndexMap<String, Node>, Diagnostic> {
    let source = Source::new("<extra vars>", text);
    let mut out = IndexMap::new();
    for (start, end) in words(text) {
        let place = Place::new(&source, start, end);
        let word = &text[start..end];
        // What names no value is no variable (Ansible takes it for free-form text, which nothing here reads).
        let Some((key, value)) = word.split_once('=') else { continue };
        let value = unquote(value);
        out.insert(key.trim().to_owned(), Node::new(Kind::Str(value, Style::Plain), place));
    }
    Ok(out)
}

/// Words: parts between blanks that stand neither in quotes nor in a template's braces.
fn words(text: &str) -> Vec<(usize, usize)> {
    let (mut out, mut start, mut quote, mut depth, mut escaped) = (vec![], None, None, 0_usize, false);
    for (i, c) in text.char_indices() {
        let next = text[i + c.len_utf8()..].chars().next();
        if start.is_none() && !c.is_whitespace() {
            start = Some(i);
        }
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() && depth == 0 => quote = Some(c),
            '{' if matches!(next, Some('{' | '%')) => depth += 1,
            '}' if next == Some('}') || (depth > 0 && next == Some('}')) => depth = depth.saturating_sub(1),
            '%' if next == Some('}') => depth = depth.saturating_sub(1),
            c if c.is_whitespace() && quote.is_none() && depth == 0 => {
                if let Some(start) = start.take() {
                    out.push((start, i));
                }
            }
            _ => {}
        }
    }
    out.extend(start.map(|start| (start, text.len())));
    out
}

/// Without the quotes around it, if there are any.
fn unquote(text: &str) -> String {
    for quote in ['"', '\''] {
        if text.len() >= 2
            && let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote))
        {
            return inner.replace(&format!("\\{quote}"), &quote.to_string());
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(given: &[&str]) -> serde_json::Value {
        let given: Vec<String> = given.iter().map(|&text| text.to_owned()).collect();
        let vars = read(&given, |path| Ok(format!("from: {path}\n"))).unwrap();
        vars.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()
    }

    #[test]
    fn all_forms_are_read_and_later_ones_win() {
        assert_eq!(
            json(&["a=1 b='x y' c={{ d + 'z z' }}", "{\"a\": 2, \"l\": [1]}", "@vars.yml"]),
            serde_json::json!({"a": 2, "b": "x y", "c": "{{ d + 'z z' }}", "l": [1], "from": "vars.yml"})
        );
        assert_eq!(json(&["{n: yes}", ""]), serde_json::json!({"n": true}));
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        let error = read(&["[1, 2]".into()], |_| anyhow::bail!("unused")).unwrap_err();
        assert_eq!(error.to_string(), "variables are a mapping, not a list");
    }
}
