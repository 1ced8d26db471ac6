//! YAML text to [`Node`]s, resolved as PyYAML does (YAML 1.1), since that is what playbooks are written for.
//! The only file that knows the YAML crate.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::{Diagnostic, Kind, Node, Place, Source, Style};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 200;
/// Most nodes that aliases may stand for, in all.
const MAX_ALIASED: usize = 1_000_000;

/// What a text holds.
#[derive(Debug)]
pub struct Parsed {
    /// Its documents; none for an empty text.
    pub documents: Vec<Node>,
    /// What is doubtful: duplicate keys.
    pub warnings: Vec<Diagnostic>,
}

impl Parsed {
    /// The first document, null where there is none.
    pub fn first(self, source: &Arc<Source>) -> Node {
        self.documents.into_iter().next().unwrap_or_else(|| Node::new(Kind::Null, Place::new(source, 0, 0)))
    }
}

/// Reads YAML.
///
/// # Errors
/// The first thing that is no YAML, with its place and, for the usual mistakes, a hint.
pub fn parse(source: &Arc<Source>) -> Result<Parsed, Diagnostic> {
    // A byte order mark is no part of the text.
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    parse_text(source, text).or_else(|error| {
        // PyYAML lets lines within brackets stand anywhere; the crate wants them behind what holds them.
        if !error.message.contains("indentation") {
            return Err(error);
        }
        parse_text(source, &joined_flow(text)).map_err(|_| error)
    })
}

/// The text with line ends within brackets (and comments there) blanked, so that every character keeps its place.
fn joined_flow(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut depth, mut quote, mut comment, mut before) = (0_usize, None, false, '\n');
    for c in text.chars() {
        let mut put = c;
        match (quote, c) {
            _ if comment => {
                comment = c != '\n';
                put = if c == '\n' && depth == 0 {
                    '\n'
                } else if depth > 0 {
                    ' '
                } else {
                    c
                };
            }
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '#') if before.is_whitespace() => {
                comment = true;
                put = if depth > 0 { ' ' } else { c };
            }
            (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(c),
            (None, '[' | '{') if depth > 0 || before.is_whitespace() => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, '\n') if depth > 0 => put = ' ',
            _ => {}
        }
        // Places count characters, so one of several bytes may become a blank, too.
        out.push(put);
        before = c;
    }
    out
}

fn parse_text(source: &Arc<Source>, text: &str) -> Result<Parsed, Diagnostic> {
    let mut builder = Builder::new(source);
    builder.shift = source.text.len() - text.len();
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.event(event, span)?,
            Err(error) => {
                let at = builder.byte(error.marker().index());
                return Err(explain(source, at, error.info()));
            }
        }
    }
    Ok(Parsed { documents: builder.documents, warnings: builder.warnings })
}

/// An error of the YAML crate, with a hint for what people usually got wrong.
fn explain(source: &Arc<Source>, at: usize, info: &str) -> Diagnostic {
    let error = Diagnostic::error(format!("this is no valid YAML: {info}"), &Place::new(source, at, at + 1));
    let upto = &source.text[..floor(&source.text, at.min(source.text.len()))];
    let line_start = upto.rfind('\n').map_or(0, |i| i + 1);
    let line = source.text[line_start..].lines().next().unwrap_or_default();
    let previous = upto[..line_start].trim_end().lines().last().unwrap_or_default();
    if line.trim_start_matches(' ').starts_with('\t') || upto[line_start..].contains('\t') {
        return error.hint("YAML is indented by blanks, not by tabs");
    }
    for candidate in [line, previous] {
        let value =
            candidate.split_once(": ").map_or(candidate.trim_start().trim_start_matches("- "), |(_, v)| v).trim();
        if value.starts_with("{{") {
            return error.hint(format!("a value that starts with `{{{{` must be quoted: `\"{value}\"`"));
        }
        let first = value.chars().next();
        if let Some(quote @ ('"' | '\'')) = first
            && value.len() > 1
            && !value.ends_with(quote)
            && value[1..].contains(quote)
        {
            return error.hint("quote the whole value, not only its beginning");
        }
        if value.matches(": ").count() > 0
            && first != Some('"')
            && first != Some('\'')
            && info.contains("mapping values")
        {
            return error.hint("a value that holds `: ` must be quoted");
        }
    }
    error
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

enum Open {
    Seq {
        items: Vec<Node>,
        start: usize,
        anchor: usize,
        unsafe_: bool,
    },
    Map {
        entries: Vec<(Node, Node)>,
        index: HashMap<String, usize>,
        key: Option<Node>,
        merges: Vec<Node>,
        start: usize,
        anchor: usize,
        unsafe_: bool,
    },
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    shift: usize,
    /// Byte offset of each character, where the text is not plain ASCII.
    offsets: Option<Vec<u32>>,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
    documents: Vec<Node>,
    warnings: Vec<Diagnostic>,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Arc<Source>) -> Self {
        let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
        let offsets = (!text.is_ascii())
            .then(|| text.char_indices().map(|(i, _)| u32::try_from(i).unwrap_or(u32::MAX)).collect::<Vec<_>>());
        Self {
            source,
            shift: 0,
            offsets,
            stack: vec![],
            anchors: HashMap::new(),
            aliased: 0,
            documents: vec![],
            warnings: vec![],
        }
    }

    fn byte(&self, index: usize) -> usize {
        let raw = match &self.offsets {
            None => index,
            Some(offsets) => offsets.get(index).map_or(self.source.text.len() - self.shift, |b| *b as usize),
        };
        (raw + self.shift).min(self.source.text.len())
    }

    fn place(&self, span: Span) -> Place {
        Place::new(self.source, self.byte(span.start.index()), self.byte(span.end.index()))
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Alias(id) => {
                let Some((node, size)) = self.anchors.get(&id) else {
                    return Err(Diagnostic::error("an alias without an anchor before it", &self.place(span)));
                };
                let (node, size) = (node.clone(), *size);
                self.aliased += size;
                if self.aliased > MAX_ALIASED {
                    return Err(Diagnostic::error(
                        format!("aliases stand for more than {MAX_ALIASED} nodes"),
                        &self.place(span),
                    ));
                }
                self.value(node, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let place = self.place(span);
                let kind = self.scalar(text, style, tag.as_deref(), &place)?;
                self.value(Node::new(kind, place), anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                let start = self.byte(span.start.index());
                self.open(Open::Seq { items: vec![], start, anchor, unsafe_: is_unsafe(tag.as_deref()) }, span)
            }
            Event::MappingStart(anchor, tag) => {
                let start = self.byte(span.start.index());
                let unsafe_ = is_unsafe(tag.as_deref());
                self.open(
                    Open::Map {
                        entries: vec![],
                        index: HashMap::new(),
                        key: None,
                        merges: vec![],
                        start,
                        anchor,
                        unsafe_,
                    },
                    span,
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
        }
    }

    fn open(&mut self, open: Open, span: Span) -> Result<(), Diagnostic> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Diagnostic::error(format!("nested deeper than {MAX_DEPTH} levels"), &self.place(span)));
        }
        self.stack.push(open);
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Diagnostic> {
        let end = self.byte(span.end.index());
        match self.stack.pop() {
            Some(Open::Seq { items, start, anchor, unsafe_ }) => {
                let node = Node::new(Kind::Seq(items), Place::new(self.source, start, end.max(start)));
                self.value(if unsafe_ { as_data(node) } else { node }, anchor)
            }
            Some(Open::Map { mut entries, index, merges, start, anchor, unsafe_, .. }) => {
                merge(&mut entries, index, &merges)?;
                let node = Node::new(Kind::Map(entries), Place::new(self.source, start, end.max(start)));
                self.value(if unsafe_ { as_data(node) } else { node }, anchor)
            }
            None => Ok(()),
        }
    }

    /// A whole value: goes where it belongs.
    fn value(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        if anchor > 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.stack.last_mut() {
            None => self.documents.push(node),
            Some(Open::Seq { items, .. }) => items.push(node),
            Some(Open::Map { entries, index, key, merges, .. }) => match key.take() {
                None => {
                    if matches!(node.kind, Kind::Map(_) | Kind::Seq(_)) {
                        return Err(complex_key(&node));
                    }
                    *key = Some(node);
                }
                Some(k) if matches!(&k.kind, Kind::Str(text, Style::Plain) if text == "<<") => merges.push(node),
                Some(k) => {
                    let name = key_identity(&k);
                    if let Some(at) = index.get(&name) {
                        let text = k.key_text();
                        self.warnings.push(
                            Diagnostic::error(
                                format!("Found duplicate mapping key '{text}'. Using last defined value only."),
                                &k.place,
                            )
                            .warning(),
                        );
                        entries[*at] = (k, node);
                    } else {
                        index.insert(name, entries.len());
                        entries.push((k, node));
                    }
                }
            },
        }
        Ok(())
    }

    fn scalar(
        &self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        place: &Place,
    ) -> Result<Kind, Diagnostic> {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted => Style::Single,
            ScalarStyle::DoubleQuoted => Style::Double,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        if let Some(tag) = tag {
            let whole = format!("{}{}", tag.handle, tag.suffix);
            return match whole.as_str() {
                "!vault" | "!vault-encrypted" => Ok(Kind::Vault(text.into_owned())),
                "!unsafe" => Ok(Kind::Data(text.into_owned())),
                "tag:yaml.org,2002:str" | "!" => Ok(Kind::Str(text.into_owned(), style)),
                "tag:yaml.org,2002:null" => Ok(Kind::Null),
                "tag:yaml.org,2002:binary" => super::yaml::binary(&text, place),
                "tag:yaml.org,2002:int" | "tag:yaml.org,2002:float" | "tag:yaml.org,2002:bool" => {
                    let kind = resolve(&text);
                    match (whole.rsplit(':').next(), &kind) {
                        (Some("float"), Kind::Int(n)) => {
                            #[expect(clippy::cast_precision_loss, reason = "as Python's float() does")]
                            let float = *n as f64;
                            Ok(Kind::Float(float))
                        }
                        (_, Kind::Str(..)) => {
                            Err(Diagnostic::error(format!("`{text}` does not fit the tag `{whole}`"), place))
                        }
                        _ => Ok(kind),
                    }
                }
                "tag:yaml.org,2002:timestamp" => Ok(Kind::Str(text.into_owned(), style)),
                _ => Err(Diagnostic::error(format!("could not determine a constructor for the tag '{whole}'"), place)),
            };
        }
        Ok(if style == Style::Plain { resolve(&text) } else { Kind::Str(text.into_owned(), style) })
    }
}

fn binary(text: &str, place: &Place) -> Result<Kind, Diagnostic> {
    let bytes = crate::host::script::decode_base64(text)
        .map_err(|error| Diagnostic::error(format!("`!!binary` holds no base64: {error}"), place))?;
    String::from_utf8(bytes)
        .map(Kind::Data)
        .map_err(|_| Diagnostic::error("`!!binary` that is no UTF-8 text is not supported", place))
}

fn is_unsafe(tag: Option<&Tag>) -> bool {
    tag.is_some_and(|tag| tag.handle == "!" && tag.suffix == "unsafe")
}

/// Strings within as data.
fn as_data(node: Node) -> Node {
    let kind = match node.kind {
        Kind::Str(text, _) => Kind::Data(text),
        Kind::Seq(items) => Kind::Seq(items.into_iter().map(as_data).collect()),
        Kind::Map(entries) => Kind::Map(entries.into_iter().map(|(k, v)| (k, as_data(v))).collect()),
        other => other,
    };
    Node::new(kind, node.place)
}

fn complex_key(node: &Node) -> Diagnostic {
    let error = Diagnostic::error("a mapping or list can't be a key", &node.place);
    let text = &node.place.source.text;
    let before = text[..floor(text, node.place.start)].trim_end();
    if text[floor(text, node.place.start)..].starts_with('{') && before.ends_with('{') {
        let line = text[before.len() - 1..].lines().next().unwrap_or_default().trim();
        return error.hint(format!("a value that starts with `{{{{` must be quoted: `\"{line}\"`"));
    }
    error
}

/// Distinguishes `1` and `"1"`.
fn key_identity(key: &Node) -> String {
    match &key.kind {
        Kind::Str(text, _) | Kind::Data(text) => format!("s{text}"),
        other => format!("{other:?}"),
    }
}

fn size(node: &Node) -> usize {
    match &node.kind {
        Kind::Seq(items) => 1 + items.iter().map(size).sum::<usize>(),
        Kind::Map(entries) => 1 + entries.iter().map(|(_, v)| 1 + size(v)).sum::<usize>(),
        _ => 1,
    }
}

/// Merge keys: what stands in the mapping itself wins, then earlier merges over later ones.
fn merge(
    entries: &mut Vec<(Node, Node)>,
    mut index: HashMap<String, usize>,
    merges: &[Node],
) -> Result<(), Diagnostic> {
    let mut merged: Vec<(Node, Node)> = vec![];
    for node in merges {
        let maps: Vec<&Node> = match &node.kind {
            Kind::Map(_) => vec![node],
            Kind::Seq(items) => items.iter().collect(),
            _ => return Err(Diagnostic::error("`<<` takes a mapping or a list of mappings", &node.place)),
        };
        for map in maps {
            let Kind::Map(more) = &map.kind else {
                return Err(Diagnostic::error("`<<` takes a mapping or a list of mappings", &map.place));
            };
            for (key, value) in more {
                let name = key_identity(key);
                if let std::collections::hash_map::Entry::Vacant(slot) = index.entry(name) {
                    slot.insert(usize::MAX);
                    merged.push((key.clone(), value.clone()));
                }
            }
        }
    }
    if !merged.is_empty() {
        merged.append(entries);
        *entries = merged;
    }
    Ok(())
}

/// What a plain scalar is, by the rules of YAML 1.1 as PyYAML's resolver has them.
pub fn resolve(text: &str) -> Kind {
    let string = || Kind::Str(text.to_owned(), Style::Plain);
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Kind::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Kind::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Kind::Float(f64::NAN),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return string();
    }
    int(text).or_else(|| float(text)).unwrap_or_else(string)
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

fn int(text: &str) -> Option<Kind> {
    let (negative, body) = sign(text);
    let digits = |s: &str, ok: fn(u8) -> bool| !s.is_empty() && s.bytes().all(|b| ok(b) || b == b'_');
    let radix = |s: &str, radix: u32| i128::from_str_radix(&s.replace('_', ""), radix).ok();
    let value = if let Some(bits) = body.strip_prefix("0b") {
        digits(bits, |b| matches!(b, b'0' | b'1')).then(|| radix(bits, 2))??
    } else if let Some(hex) = body.strip_prefix("0x") {
        digits(hex, |b| b.is_ascii_hexdigit()).then(|| radix(hex, 16))??
    } else if body == "0" {
        0
    } else if let Some(octal) = body.strip_prefix('0') {
        digits(octal, |b| matches!(b, b'0'..=b'7')).then(|| radix(octal, 8))??
    } else if body.contains(':') {
        sexagesimal(body)?
    } else {
        (body.starts_with(|c: char| c.is_ascii_digit()) && digits(body, |b| b.is_ascii_digit()))
            .then(|| radix(body, 10))??
    };
    let value = if negative { -value } else { value };
    #[expect(clippy::cast_precision_loss, reason = "larger than any integer that a playbook means")]
    Some(i64::try_from(value).map_or_else(|_| Kind::Float(value as f64), Kind::Int))
}

fn sexagesimal(body: &str) -> Option<i128> {
    let mut parts = body.split(':');
    let first = parts.next()?;
    if !first.starts_with(|c: char| matches!(c, '1'..='9')) || !first.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return None;
    }
    let mut value: i128 = first.replace('_', "").parse().ok()?;
    for part in parts {
        let valid = matches!(part.len(), 1 | 2) && part.bytes().all(|b| b.is_ascii_digit());
        let number: i128 = part.parse().ok().filter(|n| valid && *n < 60)?;
        value = value.checked_mul(60)?.checked_add(number)?;
    }
    Some(value)
}

fn float(text: &str) -> Option<Kind> {
    let (negative, body) = sign(text);
    let signed = |value: f64| Kind::Float(if negative { -value } else { value });
    if matches!(body, ".inf" | ".Inf" | ".INF") {
        return Some(signed(f64::INFINITY));
    }
    let (mantissa, exponent) = match body.find(['e', 'E']) {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    // The exponent's sign is demanded: PyYAML reads `1e3` as a string.
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['+', '-'])?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
    }
    let (whole, fraction) = mantissa.split_once('.')?;
    let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if whole.contains(':') {
        let whole = sexagesimal(whole).filter(|_| number(fraction) && exponent.is_none())?;
        return format!("{whole}.{}0", fraction.replace('_', "")).parse().ok().map(signed);
    }
    let starts = if whole.is_empty() {
        // PyYAML's pattern has no sign before a bare fraction.
        text.starts_with('.') && fraction.starts_with(|c: char| c.is_ascii_digit())
    } else {
        whole.starts_with(|c: char| c.is_ascii_digit())
    };
    if !starts || !number(whole) || !number(fraction) {
        return None;
    }
    let exponent = exponent.map(|e| format!("e{e}")).unwrap_or_default();
    format!("0{}.{}0{exponent}", whole.replace('_', ""), fraction.replace('_', "")).parse().ok().map(signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> serde_json::Value {
        let source = Source::new("t.yml", text);
        parse(&source).expect("valid").first(&source).to_json()
    }

    fn error(text: &str) -> Diagnostic {
        parse(&Source::new("t.yml", text)).expect_err("invalid")
    }

    #[test]
    fn scalars_are_those_of_yaml_1_1() {
        // The expected values are PyYAML's (6.0, SafeLoader).
        let cases = [
            ("yes", serde_json::json!(true)),
            ("Off", serde_json::json!(false)),
            ("y", serde_json::json!("y")),
            ("0755", serde_json::json!(493)),
            ("0o755", serde_json::json!("0o755")),
            ("089", serde_json::json!("089")),
            ("1_000", serde_json::json!(1000)),
            ("12:30", serde_json::json!(750)),
            ("12:30:45", serde_json::json!(45045)),
            ("0x1F", serde_json::json!(31)),
            ("0b11", serde_json::json!(3)),
            ("-7", serde_json::json!(-7)),
            ("1.5", serde_json::json!(1.5)),
            ("1e3", serde_json::json!("1e3")),
            ("1.0e+3", serde_json::json!(1000.0)),
            (".5", serde_json::json!(0.5)),
            ("5.", serde_json::json!(5.0)),
            ("1.2.3", serde_json::json!("1.2.3")),
            ("~", serde_json::json!(null)),
            ("'yes'", serde_json::json!("yes")),
            ("2024-01-02", serde_json::json!("2024-01-02")),
            ("!!str 5", serde_json::json!("5")),
        ];
        for (text, expected) in cases {
            assert_eq!(json(text), expected, "{text}");
        }
    }

    #[test]
    fn merge_keys_and_duplicates() {
        assert_eq!(json("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n")["b"], serde_json::json!({"x": 1, "y": 3}));
        let source = Source::new("t.yml", "a: 1\na: 2\n");
        let parsed = parse(&source).expect("valid");
        assert_eq!(parsed.warnings.len(), 1);
        assert_eq!(parsed.first(&source).to_json(), serde_json::json!({"a": 2}));
    }

    #[test]
    fn an_alias_bomb_is_an_error() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let list = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        assert!(error(&text).message.contains("aliases stand for more than"));
    }

    #[test]
    fn deep_nesting_is_an_error() {
        // Either limit may be met first: ours, or the scanner's own.
        error(&"[".repeat(100_000));
        assert!(error(&"- ".repeat(250)).message.contains("nested deeper"));
    }

    #[test]
    fn an_unquoted_template_gets_a_hint() {
        let hint = error("- debug:\n    msg: {{ a }}\n").hint.expect("a hint");
        assert!(hint.contains("\"{{ a }}\""), "{hint}");
        let hint = error("- debug:\n    msg: {{ a }} and more\n").hint.expect("a hint");
        assert!(hint.contains("must be quoted"), "{hint}");
    }

    #[test]
    fn places_count_bytes_behind_other_alphabets() {
        let source = Source::new("t.yml", "å: ü\nb: x\n");
        let node = parse(&source).expect("valid").first(&source);
        let b = node.get("b").expect("b");
        assert_eq!(b.place.to_string(), "t.yml:2:4");
        assert_eq!(&source.text[b.place.start..b.place.end], "x");
    }
}
