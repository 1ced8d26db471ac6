//! Python literals, as values of INI inventories are written: numbers, strings, lists, tuples, dictionaries.

use super::arguments::decode;
use crate::text::{Kind, Node, Place, Style};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 100;

/// A value: what Python's `ast.literal_eval` makes of it, else the text itself.
pub(crate) fn literal(text: &str, place: &Place) -> Node {
    let mut reader = Reader { rest: text.trim_start_matches([' ', '\t']), place, depth: 0 };
    match reader.whole() {
        Some(node) => node,
        None => Node::new(Kind::Str(text.to_owned(), Style::Plain), place.clone()),
    }
}

struct Reader<'a> {
    rest: &'a str,
    place: &'a Place,
    depth: usize,
}

impl Reader<'_> {
    fn node(&self, kind: Kind) -> Node {
        Node::new(kind, self.place.clone())
    }

    /// One value with nothing but a comment behind it.
    fn whole(&mut self) -> Option<Node> {
        let first = self.value()?;
        // `1, 2` is a tuple without its parentheses.
        let mut items = vec![];
        let mut tuple = false;
        while self.takes(',') {
            tuple = true;
            match self.value() {
                Some(item) => items.push(item),
                None => break,
            }
        }
        self.blanks();
        if !self.rest.is_empty() {
            return None;
        }
        if !tuple {
            return Some(first);
        }
        items.insert(0, first);
        Some(self.node(Kind::Seq(items)))
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('#') {
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            self.blanks();
        }
    }

    fn takes(&mut self, sign: char) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn value(&mut self) -> Option<Node> {
        self.blanks();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let node = match self.rest.chars().next()? {
            '[' => self.items('[', ']').map(|(items, _)| self.node(Kind::Seq(items))),
            '(' => self.items('(', ')').map(|(mut items, comma)| {
                // Parentheses around one value are no tuple.
                if items.len() == 1 && !comma { items.remove(0) } else { self.node(Kind::Seq(items)) }
            }),
            '{' => self.braces(),
            '"' | '\'' => self.strings(),
            '+' | '-' | '.' | '0'..='9' => self.number(),
            _ => self.word(),
        };
        self.depth -= 1;
        node
    }

    /// Items up to the closing sign, and whether a comma stood behind the last.
    fn items(&mut self, open: char, close: char) -> Option<(Vec<Node>, bool)> {
        self.rest = self.rest.strip_prefix(open)?;
        let (mut items, mut comma) = (vec![], false);
        loop {
            if self.takes(close) {
                return Some((items, comma));
            }
            if !items.is_empty() && !comma {
                return None;
            }
            items.push(self.value()?);
            comma = self.takes(',');
        }
    }

    /// A dictionary, or a set (which becomes a list).
    fn braces(&mut self) -> Option<Node> {
        self.rest = self.rest.strip_prefix('{')?;
        let (mut entries, mut items, mut comma): (Vec<(Node, Node)>, Vec<Node>, bool) = (vec![], vec![], true);
        loop {
            if self.takes('}') {
                break;
            }
            if !comma {
                return None;
            }
            let first = self.value()?;
            if self.takes(':') {
                if matches!(first.kind, Kind::Map(_) | Kind::Seq(_)) {
                    return None;
                }
                let value = self.value()?;
                entries.retain(|(key, _)| key.kind != first.kind);
                entries.push((first, value));
            } else {
                items.push(first);
            }
            comma = self.takes(',');
        }
        match (entries.is_empty(), items.is_empty()) {
            (_, true) => Some(self.node(Kind::Map(entries))),
            (true, false) => Some(self.node(Kind::Seq(items))),
            (false, false) => None,
        }
    }

    /// One string or several side by side, which are joined.
    fn strings(&mut self) -> Option<Node> {
        let mut out = String::new();
        loop {
            self.blanks();
            let raw = self.rest.starts_with(['r', 'R']) && self.rest[1..].starts_with(['"', '\'']);
            let text = if raw { &self.rest[1..] } else { self.rest };
            if !text.starts_with(['"', '\'']) {
                break;
            }
            let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|q| text.starts_with(q))?;
            let inner = &text[quote.len()..];
            let end = closing(inner, quote)?;
            let body = &inner[..end];
            if quote.len() == 1 && body.contains('\n') {
                return None;
            }
            out.push_str(&if raw { body.to_owned() } else { decode(body) });
            self.rest = &inner[end + quote.len()..];
        }
        Some(self.node(Kind::Str(out, Style::Double)))
    }

    fn word(&mut self) -> Option<Node> {
        if self.rest.starts_with(['r', 'R', 'u', 'U']) && self.rest[1..].starts_with(['"', '\'']) {
            if self.rest.starts_with(['u', 'U']) {
                self.rest = &self.rest[1..];
            }
            return self.strings();
        }
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let kind = match &self.rest[..end] {
            "True" => Kind::Bool(true),
            "False" => Kind::Bool(false),
            "None" => Kind::Null,
            _ => return None,
        };
        self.rest = &self.rest[end..];
        Some(self.node(kind))
    }

    fn number(&mut self) -> Option<Node> {
        let mut negative = false;
        while let Some(rest) = self.rest.strip_prefix(['+', '-']) {
            negative ^= self.rest.starts_with('-');
            self.rest = rest.trim_start();
        }
        let body = self.rest;
        let mut end = 0;
        for (at, c) in body.char_indices() {
            let exponent = matches!(c, '+' | '-') && body[..at].ends_with(['e', 'E']) && !body.starts_with("0x");
            if !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || exponent) {
                break;
            }
            end = at + c.len_utf8();
        }
        let kind = number(&body[..end], negative)?;
        self.rest = &body[end..];
        Some(self.node(kind))
    }
}

/// Where a string ends: at its quote that no backslash stands before.
fn closing(text: &str, quote: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if text[at..].starts_with(quote) {
            return Some(at);
        }
    }
    None
}

fn number(text: &str, negative: bool) -> Option<Kind> {
    // One underscore may stand between two digits.
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'_' {
            let next = bytes.get(at + 1)?;
            let before = at.checked_sub(1).map(|i| bytes[i])?;
            let prefix = at == 2 && matches!(before, b'x' | b'X' | b'o' | b'O' | b'b' | b'B');
            if !next.is_ascii_hexdigit() || !(before.is_ascii_hexdigit() || prefix) {
                return None;
            }
        }
    }
    let digits = text.replace('_', "");
    let lower = digits.to_ascii_lowercase();
    let radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| lower.starts_with(prefix));
    let int = |text: &str, radix| {
        let value = i64::from_str_radix(text, radix).ok()?;
        Some(Kind::Int(if negative { -value } else { value }))
    };
    if let Some((_, radix)) = radix {
        return if lower[2..].starts_with(['+', '-']) { None } else { int(&lower[2..], radix) };
    }
    if lower.bytes().all(|b| b.is_ascii_digit()) {
        // `0755` is no number in Python.
        return if lower.starts_with('0') && lower.bytes().any(|b| b != b'0') { None } else { int(&lower, 10) };
    }
    if !lower.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || lower.bytes().any(|b| b.is_ascii_alphabetic() && b != b'e')
    {
        return None;
    }
    let value: f64 = lower.parse().ok()?;
    Some(Kind::Float(if negative { -value } else { value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_pythons() {
        // The expected values are those of `ast.literal_eval`; what it refuses stays text.
        let cases = [
            ("5", "5"),
            ("-1.5", "-1.5"),
            ("1e3", "1000.0"),
            (".5", "0.5"),
            ("0x1F", "31"),
            ("1_000", "1000"),
            ("1__0", "\"1__0\""),
            ("0755", "\"0755\""),
            ("0", "0"),
            ("+5", "5"),
            ("True", "true"),
            ("true", "\"true\""),
            ("None", "null"),
            ("yes", "\"yes\""),
            ("[1, 'a', None,]", "[1,\"a\",null]"),
            ("[a, b]", "\"[a, b]\""),
            ("{'a': [1, (2, 3)], \"b\": {}}", "{\"a\":[1,[2,3]],\"b\":{}}"),
            ("{a: 1}", "\"{a: 1}\""),
            ("'it\\'s' \" b\"", "\"it's b\""),
            ("'a'b", "\"'a'b\""),
            ("(1)", "1"),
            ("(1,)", "[1]"),
            ("1, 2", "[1,2]"),
            ("5 # five", "5"),
            ("a # b", "\"a # b\""),
            ("10.0.0.1", "\"10.0.0.1\""),
            ("1.2", "1.2"),
            ("2024-01-02", "\"2024-01-02\""),
            ("[", "\"[\""),
            ("", "\"\""),
            ("{{ x }}", "\"{{ x }}\""),
            ("r'a\\n'", "\"a\\\\n\""),
            ("99999999999999999999", "\"99999999999999999999\""),
        ];
        for (text, expected) in cases {
            assert_eq!(literal(text, &Place::synthetic("t")).to_json().to_string(), expected, "{text}");
        }
    }
}
