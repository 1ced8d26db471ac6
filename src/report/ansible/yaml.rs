//! Results as YAML, laid out as PyYAML's emitter does: block style, sorted keys, lines folded behind column 80.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::python;
use crate::text::{Kind, resolve};

/// Column behind which long text is folded.
const WIDTH: usize = 80;

/// A result on lines of its own, four spaces in; `pretty` prefers what people can read to what reads back the same.
pub(super) fn result(result: &Map<String, Value>, pretty: bool) -> String {
    let mut result = result.clone();
    if pretty {
        for (key, lines) in [("stdout", "stdout_lines"), ("stderr", "stderr_lines")] {
            if result.contains_key(key) && result.contains_key(lines) {
                result.insert(lines.into(), "<omitted>".into());
            }
        }
    }
    if result.is_empty() {
        return "\n    {}\n".into();
    }
    let mut writer = Writer { out: String::new(), step: if pretty { 4 } else { 2 } };
    writer.mapping(&result, 0);
    let indented: Vec<String> = writer
        .out
        .lines()
        .map(|line| if line.trim().is_empty() { String::new() } else { format!("    {line}") })
        .collect();
    format!("\n{}\n", indented.join("\n"))
}

struct Writer {
    out: String,
    step: usize,
}

impl Writer {
    fn mapping(&mut self, map: &Map<String, Value>, depth: usize) {
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by_key(|(key, _)| key.as_str());
        for (i, (key, value)) in entries.into_iter().enumerate() {
            if i > 0 || self.at_line_start() {
                self.pad(depth);
            }
            let key = self.scalar(key, usize::MAX);
            self.out.push_str(&format!("{key}:"));
            match value {
                Value::Object(map) if !map.is_empty() => {
                    self.out.push('\n');
                    self.mapping(map, depth + self.step);
                }
                Value::Array(items) if !items.is_empty() => {
                    self.out.push('\n');
                    self.sequence(items, depth);
                }
                other => self.leaf(other, depth + self.step),
            }
        }
    }

    fn sequence(&mut self, items: &[Value], depth: usize) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 || self.at_line_start() {
                self.pad(depth);
            }
            self.out.push('-');
            let nested = " ".repeat(self.step - 1);
            match item {
                Value::Object(map) if !map.is_empty() => {
                    self.out.push_str(&nested);
                    self.mapping(map, depth + self.step);
                }
                Value::Array(items) if !items.is_empty() => {
                    self.out.push_str(&nested);
                    self.sequence(items, depth + self.step);
                }
                other => self.leaf(other, depth + self.step),
            }
        }
    }

    fn at_line_start(&self) -> bool {
        self.out.is_empty() || self.out.ends_with('\n')
    }

    fn pad(&mut self, depth: usize) {
        self.out.push_str(&" ".repeat(depth));
    }

    /// A value that is neither a filled mapping nor a filled sequence, and the line's end.
    fn leaf(&mut self, value: &Value, depth: usize) {
        let text = match value {
            Value::String(text) => self.scalar(text, depth),
            Value::Null => "null".into(),
            Value::Object(_) => "{}".into(),
            Value::Array(_) => "[]".into(),
            other => python::dumps(other, None),
        };
        self.out.push(' ');
        self.out.push_str(&text);
        self.out.push('\n');
    }

    /// A string; `depth` is where its further lines begin (a key has none: it is never folded).
    fn scalar(&self, text: &str, depth: usize) -> String {
        let is_key = depth == usize::MAX;
        if !is_key && text.contains(['\n', '\u{85}', '\u{2028}', '\u{2029}']) {
            return block(text, depth);
        }
        let column = self.out.chars().rev().take_while(|c| *c != '\n').count() + 1;
        let fold = |text: &str, column: usize| if is_key { text.to_owned() } else { fold(text, column, depth) };
        if text.chars().any(|c| c.is_control() || c == '\u{feff}') {
            return double_quoted(text);
        }
        if is_plain(text) {
            return fold(text, column);
        }
        format!("'{}'", fold(&text.replace('\'', "''"), column + 1))
    }
}

/// Single spaces become line ends where the column is behind the width.
fn fold(text: &str, mut column: usize, depth: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    for (i, &c) in chars.iter().enumerate() {
        let inner = i > 0 && i + 1 < chars.len();
        let single = c == ' ' && inner && chars[i - 1] != ' ' && chars[i + 1] != ' ';
        if single && column > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(depth));
            column = depth;
        } else {
            out.push(c);
            column += 1;
        }
    }
    out
}

/// Several lines as a literal block; what YAML can't keep in one (tabs, trailing spaces, control characters) is given up.
fn block(text: &str, depth: usize) -> String {
    let text = expand_tabs(text.trim_end());
    let text: String = text.chars().filter(|c| *c == '\n' || *c == '\u{85}' || !c.is_control()).collect();
    let hint = if text.starts_with([' ', '\n']) { "4" } else { "" };
    let pad = " ".repeat(depth);
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| line.trim_end_matches(' '))
        .map(|line| if line.is_empty() { String::new() } else { format!("{pad}{line}") })
        .collect();
    format!("|{hint}-\n{}", lines.join("\n"))
}

/// Tabs as spaces up to the next multiple of eight columns.
fn expand_tabs(text: &str) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for c in text.chars() {
        match c {
            '\t' => {
                let width = 8 - column % 8;
                out.push_str(&" ".repeat(width));
                column += width;
            }
            c => {
                out.push(c);
                column = if c == '\n' { 0 } else { column + 1 };
            }
        }
    }
    out
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            c if c.is_control() || c == '\u{feff}' => match u32::from(c).cmp(&0x100) {
                Ordering::Less => out.push_str(&format!("\\x{:02X}", u32::from(c))),
                _ => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            },
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether YAML 1.1 reads the text, without quotes, as this string.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let (Some(first), second) = (chars.next(), chars.next()) else { return false };
    let last = text.chars().last().unwrap_or(first);
    let starts_well = match first {
        '-' | '?' | ':' => second.is_some_and(|c| c != ' '),
        c => !"#,[]{}&*!|>'\"%@`".contains(c),
    };
    starts_well
        && first != ' '
        && last != ' '
        && last != ':'
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !text.contains(": ")
        && !text.contains(" #")
        && !matches!(text, "=" | "<<")
        && matches!(resolve(text), Kind::Str(..))
        && !is_timestamp(text)
}

/// Whether YAML 1.1 reads the text as a date or a time stamp: `2026-11-26`, `2026-11-26 22:33:21.5`.
fn is_timestamp(text: &str) -> bool {
    let digits = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    let (date, time) = match text.find(['T', 't', ' ', '\t']) {
        Some(at) => (&text[..at], Some(text[at + 1..].trim_start())),
        None => (text, None),
    };
    let mut parts = date.splitn(3, '-');
    let (Some(year), Some(month), Some(day)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let Some(time) = time else { return digits(year, 4..=4) && digits(month, 2..=2) && digits(day, 2..=2) };
    let mut clock = time.split(':');
    let (Some(hour), Some(minute), Some(rest)) = (clock.next(), clock.next(), clock.next()) else { return false };
    digits(year, 4..=4)
        && digits(month, 1..=2)
        && digits(day, 1..=2)
        && digits(hour, 1..=2)
        && digits(minute, 2..=2)
        && rest.len() >= 2
        && digits(&rest[..2], 2..=2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The text is PyYAML's own for this value.
    #[test]
    fn the_layout_is_pyyamls() {
        let value = json!({
            "a": 1, "at": "@x", "colon": "a: b", "colonend": "a:", "ctrl": "a\u{1}b", "dash": "- x", "date": "2026-11-26",
            "e": "", "eq": "=", "exp": "1e3", "flt": "1.5", "l": [1, "two", {"k": "v", "z": [1, 2]}, [3, 4], []],
            "long": "word ".repeat(30), "longq": format!("it's: {}", "word ".repeat(30)), "m": {}, "m3": "a \nb\n\nc\n\n",
            "multi2": "a\n  b", "n": null, "oct": "0644", "pct": "50%", "q": "it's", "s": "yes", "t": true,
            "tab": "a\tb\nc", "time": "2026-11-26 22:33:21.356861", "trail": "a ", "uni": "ä",
        });
        let expected = r#"
    a: 1
    at: '@x'
    colon: 'a: b'
    colonend: 'a:'
    ctrl: "a\x01b"
    dash: '- x'
    date: '2026-11-26'
    e: ''
    eq: '='
    exp: 1e3
    flt: '1.5'
    l:
    - 1
    - two
    -   k: v
        z:
        - 1
        - 2
    -   - 3
        - 4
    - []
    long: 'word word word word word word word word word word word word word word word
        word word word word word word word word word word word word word word word '
    longq: 'it''s: word word word word word word word word word word word word word word
        word word word word word word word word word word word word word word word word '
    m: {}
    m3: |-
        a
        b

        c
    multi2: |-
        a
          b
    n: null
    oct: '0644'
    pct: 50%
    q: it's
    s: 'yes'
    t: true
    tab: |-
        a       b
        c
    time: '2026-11-26 22:33:21.356861'
    trail: 'a '
    uni: ä
"#;
        let Value::Object(map) = value else { unreachable!() };
        assert_eq!(result(&map, true), expected);
    }
}
