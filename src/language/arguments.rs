//! Arguments in a line: `name=value name2="a b"`, as Ansible splits them (quotes and template blocks hold together).

use crate::text::{Kind, Node, Style};

/// Parameters that may stand beside free-form text of `command` and its kin.
const BESIDE_COMMAND: &[&str] = &[
    "creates",
    "removes",
    "chdir",
    "executable",
    "warn",
    "stdin",
    "stdin_add_newline",
    "strip_empty_ends",
    "expand_argument_vars",
];

/// Modules whose line is a command, in which `a=b` means nothing.
const COMMANDS: &[&str] = &["command", "shell", "script", "raw", "expect", "win_command", "win_shell"];

/// A line taken apart.
pub(super) struct Line {
    /// `name=value`s.
    pub pairs: Vec<(Node, Node)>,
    /// The rest.
    pub free_form: Option<Node>,
}

/// Whether a module's line is a command.
pub(super) fn is_command(module: &str) -> bool {
    let short = match module.rsplit_once('.') {
        Some(("ansible.builtin" | "ansible.legacy" | "ansible.windows", short)) => short,
        Some(_) => return false,
        None => module,
    };
    COMMANDS.contains(&short)
}

/// Takes a module's line apart.
pub(super) fn split(module: &str, node: &Node) -> Result<Line, String> {
    let text = node.as_str().unwrap_or_default();
    let tokens = tokens(text)?;
    let command = is_command(module);
    let mut pairs = vec![];
    let mut rest: Vec<(usize, usize)> = vec![];
    let value = |text: String| {
        let kind = if matches!(node.kind, Kind::Data(_)) { Kind::Data(text) } else { Kind::Str(text, Style::Double) };
        Node::new(kind, node.place.clone())
    };
    for (start, end) in tokens {
        let token = &text[start..end];
        match pair(token) {
            Some((name, raw)) if !command || BESIDE_COMMAND.contains(&name) => {
                let name = if name.contains("{{") { value(name.to_owned()) } else { Node::data(name, &node.place) };
                pairs.push((name, value(decode(&unquote(raw)))));
            }
            _ => rest.push((start, end)),
        }
    }
    let free_form = if rest.is_empty() {
        None
    } else if command {
        // What stands between two parts of a command stays as it is.
        let mut out = String::new();
        let mut last: Option<usize> = None;
        for (start, end) in rest {
            if let Some(last) = last {
                let between = &text[last..start];
                out.push_str(if between.trim().is_empty() { between } else { " " });
            }
            out.push_str(&text[start..end]);
            last = Some(end);
        }
        Some(value(out.trim().to_owned()))
    } else {
        let words: Vec<String> = rest.into_iter().map(|(s, e)| unquote(&text[s..e])).collect();
        Some(value(words.join(" ")))
    };
    Ok(Line { pairs, free_form })
}

/// `name=value`, where the token is one.
fn pair(token: &str) -> Option<(&str, &str)> {
    if token.starts_with("{{") {
        // The name is a template itself.
        let at = template_end(token)?;
        return token[at..].find('=').map(|equals| (&token[..at + equals], &token[at + equals + 1..]));
    }
    let (name, value) = token.split_once('=')?;
    let valid = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
    valid.then_some((name, value))
}

/// Backslash escapes of a value, as Python has them; others stay.
pub(super) fn decode(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let rest = chars.as_str();
        let hex = |digits: usize| {
            let code = rest.get(1..=digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
            code.and_then(char::from_u32).map(|c| (c, digits + 1))
        };
        let found = match rest.chars().next() {
            Some(c @ ('\\' | '\'' | '"')) => Some((c, 1)),
            Some('n') => Some(('\n', 1)),
            Some('t') => Some(('\t', 1)),
            Some('r') => Some(('\r', 1)),
            Some('a') => Some(('\u{7}', 1)),
            Some('b') => Some(('\u{8}', 1)),
            Some('f') => Some(('\u{c}', 1)),
            Some('v') => Some(('\u{b}', 1)),
            Some('x') => hex(2),
            Some('u') => hex(4),
            Some('U') => hex(8),
            Some('0'..='7') => {
                let length = rest.bytes().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
                u32::from_str_radix(&rest[..length], 8).ok().and_then(char::from_u32).map(|c| (c, length))
            }
            _ => None,
        };
        match found {
            Some((c, length)) => {
                out.push(c);
                chars = rest[length..].chars();
            }
            None => out.push('\\'),
        }
    }
    out
}

/// Where the templates at the beginning of a token end.
fn template_end(token: &str) -> Option<usize> {
    let mut at = 0;
    while token[at..].starts_with("{{") {
        at += token[at..].find("}}")? + 2;
    }
    Some(at)
}

/// A value without the quotes around it.
fn unquote(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next_back()) {
        (Some(a @ ('"' | '\'')), Some(b)) if a == b && text.len() >= 2 => {
            let inner = &text[1..text.len() - 1];
            inner.replace(&format!("\\{a}"), &a.to_string())
        }
        _ => text.to_owned(),
    }
}

/// Words as ranges: separated by blanks outside quotes and template blocks.
fn tokens(text: &str) -> Result<Vec<(usize, usize)>, String> {
    let bytes = text.as_bytes();
    let mut tokens = vec![];
    let mut start: Option<usize> = None;
    let (mut quote, mut depth, mut at) = (None::<u8>, 0usize, 0);
    while at < bytes.len() {
        let byte = bytes[at];
        let pair = |a: u8, b: u8| byte == a && bytes.get(at + 1) == Some(&b);
        if quote.is_none() && (pair(b'{', b'{') || pair(b'{', b'%') || pair(b'{', b'#')) {
            depth += 1;
            start.get_or_insert(at);
            at += 2;
            continue;
        }
        if depth > 0 && (pair(b'}', b'}') || pair(b'%', b'}') || pair(b'#', b'}')) {
            depth -= 1;
            at += 2;
            continue;
        }
        if depth > 0 {
            at += 1;
            continue;
        }
        match (quote, byte) {
            (Some(_) | None, b'\\') => {
                start.get_or_insert(at);
                at += 1;
            }
            (Some(q), b) if b == q => quote = None,
            (Some(_), _) => {
                // A template within quotes holds together, too.
                if pair(b'{', b'{')
                    && let Some(end) = text[at..].find("}}")
                {
                    at += end + 1;
                }
            }
            (None, b'"' | b'\'') => {
                // A quote inside a word (don't) is a quote all the same where it closes.
                start.get_or_insert(at);
                quote = Some(byte);
            }
            (None, b) if b.is_ascii_whitespace() => {
                if let Some(from) = start.take() {
                    tokens.push((from, at));
                }
            }
            (None, _) => {
                start.get_or_insert(at);
            }
        }
        at += 1;
    }
    if depth > 0 || quote.is_some() {
        return Err("failed at splitting arguments, either an unbalanced jinja2 block or quotes".into());
    }
    if let Some(from) = start {
        tokens.push((from, bytes.len()));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Place;

    fn line(module: &str, text: &str) -> (Vec<(String, String)>, Option<String>) {
        let node = Node::new(Kind::Str(text.into(), Style::Plain), Place::synthetic("t"));
        let line = split(module, &node).expect("balanced");
        let pairs = line.pairs.iter().map(|(k, v)| (k.key_text(), v.key_text())).collect();
        (pairs, line.free_form.map(|n| n.key_text()))
    }

    #[test]
    fn commands_keep_their_text() {
        let (pairs, text) = line("shell", "echo  a=b | grep \"x y\"  chdir=/tmp");
        assert_eq!(pairs, [("chdir".to_owned(), "/tmp".to_owned())]);
        assert_eq!(text.as_deref(), Some("echo  a=b | grep \"x y\""));
    }

    #[test]
    fn pairs_hold_quotes_and_templates() {
        let (pairs, text) = line("copy", "src=a dest=\"/x y\" content={{ a + 'b c' }}z");
        let expected = [("src", "a"), ("dest", "/x y"), ("content", "{{ a + 'b c' }}z")];
        assert_eq!(pairs, expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(text, None);
        assert_eq!(line("include_tasks", "sub.yml").1.as_deref(), Some("sub.yml"));
    }

    #[test]
    fn unbalanced_text_is_refused() {
        let node = Node::new(Kind::Str("a=\"b".into(), Style::Plain), Place::synthetic("t"));
        assert!(split("copy", &node).is_err());
    }
}
