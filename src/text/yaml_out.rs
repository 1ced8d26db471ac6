//! Values to YAML text, laid out as PyYAML does: what `to_yaml` gives and Ansible's results show.

use serde_json::{Map, Value};

use super::python;
use super::{Kind, resolve};

/// Which collections stand on one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// None but empty ones.
    None,
    /// Those without collections in them.
    Leaves,
    /// All.
    All,
}

/// The layout.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Columns that a level is moved in.
    pub indent: usize,
    /// Column behind which long text is folded.
    pub width: usize,
    /// Whether keys are sorted.
    pub sort_keys: bool,
    /// Which collections stand on one line.
    pub flow: Flow,
    /// Whether characters beyond ASCII stand as they are.
    pub unicode: bool,
    /// Whether text of several lines becomes a literal block, readable before exact: what a block can't hold is given up.
    pub blocks: bool,
    /// The style of all scalars, where one is asked for: those that are no strings are marked so.
    pub style: Option<Scalars>,
}

/// A style of scalars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalars {
    /// `'…'`
    Single,
    /// `"…"`
    Double,
    /// `|`
    Literal,
}

/// The text of a value, a line end behind it.
pub fn dump(value: &Value, options: &Options) -> String {
    let mut writer = Writer { out: String::new(), options };
    writer.node(value, 0, Place::Root);
    if !writer.out.ends_with('\n') {
        writer.out.push('\n');
    }
    writer.out
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// Behind `key:`.
    Value,
    /// Behind `-`.
    Item,
}

struct Writer<'a> {
    out: String,
    options: &'a Options,
}

impl Writer<'_> {
    fn is_flow(&self, value: &Value) -> bool {
        // PyYAML takes only plain scalars together.
        let styled = self.options.style.is_some();
        let nested = |value: &Value| styled || matches!(value, Value::Array(_) | Value::Object(_));
        match value {
            Value::Array(items) => {
                items.is_empty()
                    || match self.options.flow {
                        Flow::None => false,
                        Flow::Leaves => !items.iter().any(nested),
                        Flow::All => true,
                    }
            }
            Value::Object(map) => {
                map.is_empty()
                    || match self.options.flow {
                        Flow::None => false,
                        Flow::Leaves => !map.values().any(nested),
                        Flow::All => true,
                    }
            }
            _ => true,
        }
    }

    /// A node in block context; `depth` is the indentation of what it stands in.
    fn node(&mut self, value: &Value, depth: usize, place: Place) {
        let step = self.options.indent;
        match value {
            Value::Object(map) if !self.is_flow(value) => match place {
                Place::Root => self.mapping(map, 0),
                Place::Value => {
                    self.out.push('\n');
                    self.mapping(map, depth + step);
                }
                Place::Item => {
                    self.out.push_str(&" ".repeat(step - 1));
                    self.mapping(map, depth + step);
                }
            },
            Value::Array(items) if !self.is_flow(value) => match place {
                Place::Root => self.sequence(items, 0),
                Place::Value => {
                    self.out.push('\n');
                    self.sequence(items, depth);
                }
                Place::Item => {
                    self.out.push_str(&" ".repeat(step - 1));
                    self.sequence(items, depth + step);
                }
            },
            other => {
                if place != Place::Root {
                    self.out.push(' ');
                }
                let inner = if place == Place::Root { 0 } else { depth };
                let flat = place == Place::Root && matches!(other, Value::String(_)) && self.options.style.is_none();
                self.flow(other, inner + if flat { 0 } else { step }, false);
                self.out.push('\n');
            }
        }
    }

    fn entries<'v>(&self, map: &'v Map<String, Value>) -> Vec<(&'v String, &'v Value)> {
        let mut entries: Vec<_> = map.iter().collect();
        if self.options.sort_keys {
            entries.sort_by_key(|(key, _)| key.as_str());
        }
        entries
    }

    fn mapping(&mut self, map: &Map<String, Value>, depth: usize) {
        for (i, (key, value)) in self.entries(map).into_iter().enumerate() {
            if i > 0 || self.at_line_start() {
                self.out.push_str(&" ".repeat(depth));
            }
            let key = self.scalar(key, None, false);
            self.out.push_str(&key);
            self.out.push(':');
            self.node(value, depth, Place::Value);
        }
    }

    fn sequence(&mut self, items: &[Value], depth: usize) {
        for (i, item) in items.iter().enumerate() {
            if i > 0 || self.at_line_start() {
                self.out.push_str(&" ".repeat(depth));
            }
            self.out.push('-');
            self.node(item, depth, Place::Item);
        }
    }

    fn at_line_start(&self) -> bool {
        self.out.is_empty() || self.out.ends_with('\n')
    }

    fn column(&self) -> usize {
        self.out.chars().rev().take_while(|c| *c != '\n').count()
    }

    /// A node on the line; `depth` is where its further lines begin.
    fn flow(&mut self, value: &Value, depth: usize, in_flow: bool) {
        let step = self.options.indent;
        match value {
            Value::Array(items) => {
                self.out.push('[');
                for (i, item) in items.iter().enumerate() {
                    self.separate(i, depth);
                    self.flow(item, depth + step, true);
                }
                self.out.push(']');
            }
            Value::Object(map) => {
                self.out.push('{');
                for (i, (key, item)) in self.entries(map).into_iter().enumerate() {
                    self.separate(i, depth);
                    let key = self.scalar(key, None, true);
                    self.out.push_str(&key);
                    self.out.push_str(": ");
                    self.flow(item, depth + step, true);
                }
                self.out.push('}');
            }
            Value::String(text) => {
                let text = self.scalar(text, Some(depth), in_flow);
                self.out.push_str(&text);
            }
            other if self.options.style.is_some() => {
                // That it is no string.
                self.out.push_str("! ");
                let text = self.scalar(&bare(other), Some(depth), in_flow);
                self.out.push_str(&text);
            }
            other => self.out.push_str(&bare(other)),
        }
    }

    fn canonical(&mut self, value: &Value, depth: usize) {
        let pad = " ".repeat(depth + self.options.indent);
        self.out.push_str(tag(value));
        self.out.push(' ');
        match value {
            Value::Array(items) => {
                self.out.push('[');
                for item in items {
                    self.out.push('\n');
                    self.out.push_str(&pad);
                    self.canonical(item, depth + self.options.indent);
                    self.out.push(',');
                }
                self.close(items.is_empty(), depth, ']');
            }
            Value::Object(map) => {
                self.out.push('{');
                for (key, item) in self.entries(map) {
                    let key = self.double_quoted(key, 0, None);
                    self.out.push_str(&format!("\n{pad}? !!str {key}\n{pad}: "));
                    self.canonical(item, depth + self.options.indent);
                    self.out.push(',');
                }
                self.close(map.is_empty(), depth, '}');
            }
            Value::String(text) => {
                let text = self.double_quoted(text, self.column(), Some(depth + self.options.indent));
                self.out.push_str(&text);
            }
            other => {
                let text = self.double_quoted(&bare(other), 0, None);
                self.out.push_str(&text);
            }
        }
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.out.push('\n');
            self.out.push_str(&" ".repeat(depth));
        }
        self.out.push(bracket);
    }

    fn separate(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.out.push(',');
            if self.column() > self.options.width {
                self.out.push('\n');
                self.out.push_str(&" ".repeat(depth));
            } else {
                self.out.push(' ');
            }
        }
    }

    /// A string; `depth` is where its further lines begin; none: a key, which is never folded.
    fn scalar(&self, text: &str, depth: Option<usize>, in_flow: bool) -> String {
        let broken = text.contains(['\n', '\u{85}', '\u{2028}', '\u{2029}']);
        if let Some(depth) = depth
            && broken
            && self.options.blocks
        {
            return block(text, depth, self.options.indent);
        }
        let column = self.column();
        let special =
            |c: char| (c.is_control() && c != '\n') || c == '\u{feff}' || (!self.options.unicode && !c.is_ascii());
        match self.options.style {
            Some(Scalars::Literal) if !in_flow && holds_block(text) && !text.chars().any(special) => {
                if let Some(depth) = depth {
                    return literal(text, depth, self.options.indent);
                }
            }
            _ => {}
        }
        let odd_breaks = broken && (text.contains(" \n") || text.contains("\n "));
        let quoted = matches!(self.options.style, Some(Scalars::Double | Scalars::Literal));
        if quoted || text.chars().any(special) || odd_breaks || (broken && depth.is_none()) {
            return self.double_quoted(text, column, depth);
        }
        if self.options.style.is_none()
            && !broken
            && is_plain(text)
            && !(in_flow && text.contains([',', '[', ']', '{', '}', '?']))
        {
            return fold(text, column, depth, self.options.width);
        }
        format!("'{}'", fold(&text.replace('\'', "''"), column + 1, depth, self.options.width))
    }

    fn double_quoted(&self, text: &str, mut column: usize, depth: Option<usize>) -> String {
        let chars: Vec<char> = text.chars().collect();
        let mut out = String::from("\"");
        column += 1;
        for (i, &c) in chars.iter().enumerate() {
            if c == ' '
                && column > self.options.width
                && i > 0
                && i + 1 < chars.len()
                && let Some(depth) = depth
            {
                out.push_str("\\\n");
                out.push_str(&" ".repeat(depth));
                column = depth;
                if chars[i] == ' ' {
                    out.push('\\');
                    column += 1;
                }
            }
            let before = out.len();
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
                '\u{2028}' => out.push_str("\\L"),
                '\u{2029}' => out.push_str("\\P"),
                c if c.is_control() || c == '\u{feff}' || (!self.options.unicode && !c.is_ascii()) => {
                    let code = u32::from(c);
                    out.push_str(&match code {
                        0..0x100 => format!("\\x{code:02X}"),
                        0x100..0x1_0000 => format!("\\u{code:04X}"),
                        _ => format!("\\U{code:08X}"),
                    });
                }
                c => out.push(c),
            }
            column += out[before..].chars().count();
        }
        out.push('"');
        out
    }
}

/// What is no string and no collection, as text.
fn bare(value: &Value) -> String {
    if value.is_null() {
        return "null".into();
    }
    let text = python::dumps(value, None);
    // PyYAML writes an exponent's mantissa with a point, so that it reads back as a number.
    match text.split_once('e') {
        Some((mantissa, exponent)) if value.is_f64() && !mantissa.contains('.') => format!("{mantissa}.0e{exponent}"),
        _ => text,
    }
}

/// The tag of a type, as canonical YAML writes it.
fn tag(value: &Value) -> &'static str {
    match value {
        Value::Null => "!!null",
        Value::Bool(_) => "!!bool",
        Value::Number(number) if number.is_f64() => "!!float",
        Value::Number(_) => "!!int",
        Value::String(_) => "!!str",
        Value::Array(_) => "!!seq",
        Value::Object(_) => "!!map",
    }
}

/// The text of a value with every type and every quote written out.
pub fn canonical(value: &Value, options: &Options) -> String {
    let mut writer = Writer { out: String::from("---\n"), options };
    writer.canonical(value, 0);
    writer.out.push('\n');
    writer.out
}

/// Whether a literal block keeps the text as it is.
fn holds_block(text: &str) -> bool {
    !text.is_empty()
        && !text.contains(" \n")
        && !text.ends_with(' ')
        && !text.contains(['\u{85}', '\u{2028}', '\u{2029}'])
}

/// The text as a literal block, exactly.
fn literal(text: &str, depth: usize, indent: usize) -> String {
    let hint = if text.starts_with([' ', '\n']) { indent.to_string() } else { String::new() };
    let chomping = match text.strip_suffix('\n') {
        None => "-",
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => "+",
        Some(_) => "",
    };
    let pad = " ".repeat(depth);
    let body = text.strip_suffix('\n').unwrap_or(text);
    let lines: Vec<String> =
        body.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("{pad}{line}") }).collect();
    format!("|{hint}{chomping}\n{}", lines.join("\n"))
}

/// Single spaces become line ends where the column is behind the width; line ends are doubled.
fn fold(text: &str, mut column: usize, depth: Option<usize>, width: usize) -> String {
    let Some(depth) = depth else { return text.to_owned() };
    let chars: Vec<char> = text.chars().collect();
    let pad = " ".repeat(depth);
    let mut out = String::new();
    for (i, &c) in chars.iter().enumerate() {
        let inner = i > 0 && i + 1 < chars.len();
        let single = c == ' ' && inner && chars[i - 1] != ' ' && chars[i + 1] != ' ';
        let breaks = |c: char| matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}');
        if single && column > width {
            out.push('\n');
            out.push_str(&pad);
            column = depth;
        } else if breaks(c) {
            if i == 0 || !breaks(chars[i - 1]) {
                out.push('\n');
            }
            out.push('\n');
            if chars.get(i + 1).is_none_or(|next| !breaks(*next)) {
                out.push_str(&pad);
            }
            column = depth;
        } else {
            out.push(c);
            column += 1;
        }
    }
    out
}

/// Several lines as a literal block; what YAML can't keep in one (tabs, trailing spaces, control characters) is given up.
fn block(text: &str, depth: usize, indent: usize) -> String {
    let text = expand_tabs(text.trim_end());
    let text: String = text.chars().filter(|c| *c == '\n' || *c == '\u{85}' || !c.is_control()).collect();
    let hint = if text.starts_with([' ', '\n']) { indent.to_string() } else { String::new() };
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
        && rest.is_char_boundary(2)
        && digits(&rest[..2], 2..=2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const YAML: Options = Options {
        indent: 2,
        width: 80,
        sort_keys: true,
        flow: Flow::Leaves,
        unicode: true,
        blocks: false,
        style: None,
    };

    fn sample() -> Value {
        json!({
            "a": 1, "l": [1, "two", {"k": "v", "z": [1, 2]}, [3, 4], []], "m": {}, "n": null, "s": "yes", "multi": "a\nb\n",
            "d": {"x": {"y": "z q"}}, "uni": "ä", "f": 1.5, "tab": "a\tb",
            "big": (0..6).map(|i| format!("some longer text number {i}")).collect::<Vec<_>>(),
        })
    }

    /// What Ansible's `to_yaml` gives for this value.
    #[test]
    fn scalars_have_the_style_that_is_asked_for() {
        let value = json!({"b": [1, "two", null], "a": {"x": true, "y": "q\nr\n"}, "e": [], "s": "it's"});
        let styled = |style| dump(&value, &Options { style: Some(style), ..YAML });
        assert_eq!(
            styled(Scalars::Literal),
            "\"a\":\n  \"x\": ! |-\n    true\n  \"y\": |\n    q\n    r\n\"b\":\n- ! |-\n  1\n- |-\n  two\n- ! |-\n  null\n\"e\": []\n\"s\": |-\n  it's\n"
        );
        assert_eq!(
            styled(Scalars::Double),
            "\"a\":\n  \"x\": ! \"true\"\n  \"y\": \"q\\nr\\n\"\n\"b\":\n- ! \"1\"\n- \"two\"\n- ! \"null\"\n\"e\": []\n\"s\": \"it's\"\n"
        );
        assert_eq!(
            styled(Scalars::Single),
            "'a':\n  'x': ! 'true'\n  'y': 'q\n\n    r\n\n    '\n'b':\n- ! '1'\n- 'two'\n- ! 'null'\n'e': []\n's': 'it''s'\n"
        );
        assert_eq!(
            canonical(&value, &YAML),
            "---\n!!map {\n  ? !!str \"a\"\n  : !!map {\n    ? !!str \"x\"\n    : !!bool \"true\",\n    ? !!str \"y\"\n    : !!str \"q\\nr\\n\",\n  },\n  ? !!str \"b\"\n  : !!seq [\n    !!int \"1\",\n    !!str \"two\",\n    !!null \"null\",\n  ],\n  ? !!str \"e\"\n  : !!seq [],\n  ? !!str \"s\"\n  : !!str \"it's\",\n}\n"
        );
    }

    /// Both texts are PyYAML's own for this value.
    #[test]
    fn leaves_stand_on_one_line() {
        let expected = "a: 1\nbig: [some longer text number 0, some longer text number 1, some longer text number\n    2, some longer text number 3, some longer text number 4, some longer text number\n    5]\nd:\n  x: {y: z q}\nf: 1.5\nl:\n- 1\n- two\n- k: v\n  z: [1, 2]\n- [3, 4]\n- []\nm: {}\nmulti: 'a\n\n  b\n\n  '\nn: null\ns: 'yes'\ntab: \"a\\tb\"\nuni: ä\n";
        assert_eq!(dump(&sample(), &YAML), expected);
        assert_eq!(dump(&json!([1, 2]), &YAML), "[1, 2]\n");
        assert_eq!(dump(&json!("x"), &YAML), "x\n");
        assert_eq!(dump(&json!({}), &YAML), "{}\n");
    }

    #[test]
    fn nothing_stands_on_one_line() {
        let nice = Options { indent: 4, flow: Flow::None, ..YAML };
        let value = json!({"d": {"x": {"y": "z q"}}, "l": [1, {"k": "v", "z": [1]}, [3]], "multi": "a\nb"});
        let expected = "d:\n    x:\n        y: z q\nl:\n- 1\n-   k: v\n    z:\n    - 1\n-   - 3\nmulti: 'a\n\n    b'\n";
        assert_eq!(dump(&value, &nice), expected);
    }
}
