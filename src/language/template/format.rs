//! Python's formatting of texts: `str.format`, its specifications of fields, and `%`.

use serde_json::{Map, Value};

use super::call;
use super::eval::{Fault, Result};
use super::value::{float, number, repr, str_of, type_name};

/// `str.format`.
pub(super) fn format_method(text: &str, pos: &[Value], kw: &Map<String, Value>) -> Result<String> {
    let mut out = String::new();
    let mut chars = text.char_indices().peekable();
    let mut auto = 0;
    while let Some((at, c)) = chars.next() {
        match c {
            '{' if chars.peek().is_some_and(|(_, n)| *n == '{') => {
                chars.next();
                out.push('{');
            }
            '}' => {
                if chars.peek().is_some_and(|(_, n)| *n == '}') {
                    chars.next();
                }
                out.push('}');
            }
            '{' => {
                let Some(end) = text[at..].find('}') else {
                    return Err(Fault::new("expected '}' before end of string"));
                };
                let field = &text[at + 1..at + end];
                while chars.next_if(|(i, _)| *i <= at + end).is_some() {}
                let (name, spec) = field.split_once(':').unwrap_or((field, ""));
                let (name, conversion) = name.split_once('!').unwrap_or((name, ""));
                let value = field_value(name, pos, kw, &mut auto)?;
                let value = match conversion {
                    "r" => Value::from(repr(&value)),
                    "s" => Value::from(str_of(&value)),
                    _ => value,
                };
                out.push_str(&spec_format(&value, spec)?);
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

fn field_value(name: &str, pos: &[Value], kw: &Map<String, Value>, auto: &mut usize) -> Result<Value> {
    let end = name.find(['.', '[']).unwrap_or(name.len());
    let (first, rest) = name.split_at(end);
    let mut value = if first.is_empty() {
        *auto += 1;
        pos.get(*auto - 1)
            .cloned()
            .ok_or_else(|| Fault::new("Replacement index out of range for positional args tuple"))?
    } else if let Ok(i) = first.parse::<usize>() {
        pos.get(i).cloned().ok_or_else(|| Fault::new("Replacement index out of range for positional args tuple"))?
    } else {
        kw.get(first).cloned().ok_or_else(|| Fault::new(format!("'{first}'")))?
    };
    for key in rest.split(['.', '[']).map(|k| k.trim_end_matches(']')).filter(|k| !k.is_empty()) {
        value = match &value {
            Value::Object(map) => map.get(key).cloned(),
            Value::Array(items) => key.parse::<usize>().ok().and_then(|i| items.get(i).cloned()),
            _ => None,
        }
        .ok_or_else(|| Fault::new(format!("'{key}'")))?;
    }
    Ok(value)
}

/// A value by a format specification: `[[fill]align][sign][#][0][width][,][.precision][type]`.
pub(super) fn spec_format(value: &Value, spec: &str) -> Result<String> {
    if spec.is_empty() {
        return Ok(str_of(value));
    }
    let chars: Vec<char> = spec.chars().collect();
    let mut at = 0;
    let (mut fill, mut align) = (' ', None);
    if chars.len() > 1 && "<>^=".contains(chars[1]) {
        (fill, align) = (chars[0], Some(chars[1]));
        at = 2;
    } else if "<>^=".contains(chars[0]) {
        align = Some(chars[0]);
        at = 1;
    }
    let mut sign = '-';
    if at < chars.len() && "+- ".contains(chars[at]) {
        sign = chars[at];
        at += 1;
    }
    let alternate = at < chars.len() && chars[at] == '#';
    at += usize::from(alternate);
    if at < chars.len() && chars[at] == '0' {
        fill = '0';
        align.get_or_insert('=');
        at += 1;
    }
    let digits = |at: &mut usize| {
        let from = *at;
        while *at < chars.len() && chars[*at].is_ascii_digit() {
            *at += 1;
        }
        chars[from..*at].iter().collect::<String>().parse::<usize>().ok()
    };
    let width = digits(&mut at).unwrap_or(0).min(100_000);
    let grouped = at < chars.len() && (chars[at] == ',' || chars[at] == '_');
    let group = if grouped { chars[at] } else { ',' };
    at += usize::from(grouped);
    let mut precision = None;
    if at < chars.len() && chars[at] == '.' {
        at += 1;
        precision = digits(&mut at).map(|p| p.min(1000));
    }
    let kind = chars.get(at).copied();
    let is_number = number(value).is_some() && !value.is_boolean();
    let n = number(value).unwrap_or(0.0);
    let body = match kind {
        Some('d' | 'x' | 'X' | 'o' | 'b' | 'c' | 'n') => {
            let Some(i) = call::integer(value).filter(|_| !value.is_string()) else {
                return Err(Fault::new(format!(
                    "Unknown format code '{}' for object of type '{}'",
                    kind.unwrap_or('d'),
                    type_name(value)
                )));
            };
            let magnitude = i.unsigned_abs();
            let text = match kind {
                Some('x') => format!("{}{magnitude:x}", if alternate { "0x" } else { "" }),
                Some('X') => format!("{}{magnitude:X}", if alternate { "0X" } else { "" }),
                Some('o') => format!("{}{magnitude:o}", if alternate { "0o" } else { "" }),
                Some('b') => format!("{}{magnitude:b}", if alternate { "0b" } else { "" }),
                Some('c') => {
                    return Ok(u32::try_from(i).ok().and_then(char::from_u32).map(String::from).unwrap_or_default());
                }
                _ => magnitude.to_string(),
            };
            signed(i < 0, sign, &text)
        }
        Some('f' | 'F') => signed(n < 0.0, sign, &format!("{:.*}", precision.unwrap_or(6), n.abs())),
        Some('e' | 'E') => {
            let text = exponent(n.abs(), precision.unwrap_or(6));
            signed(n < 0.0, sign, &if kind == Some('E') { text.to_uppercase() } else { text })
        }
        Some('%') => signed(n < 0.0, sign, &format!("{:.*}%", precision.unwrap_or(6), n.abs() * 100.0)),
        Some('g' | 'G') => signed(n < 0.0, sign, &general(n.abs(), precision.unwrap_or(6))),
        _ if is_number => match precision {
            Some(p) => signed(n < 0.0, sign, &general(n.abs(), p)),
            None => signed(n < 0.0, sign, str_of(value).trim_start_matches('-')),
        },
        _ => {
            let text = str_of(value);
            precision.map_or(text.clone(), |p| text.chars().take(p).collect())
        }
    };
    let body = if grouped { with_groups(&body, group) } else { body };
    Ok(aligned(&body, width, fill, align.unwrap_or(if is_number { '>' } else { '<' })))
}

fn signed(negative: bool, sign: char, text: &str) -> String {
    match (negative, sign) {
        (true, _) => format!("-{text}"),
        (false, '+') => format!("+{text}"),
        (false, ' ') => format!(" {text}"),
        _ => text.to_owned(),
    }
}

fn exponent(n: f64, precision: usize) -> String {
    let text = format!("{n:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn general(n: f64, precision: usize) -> String {
    let precision = precision.max(1);
    if n == 0.0 {
        return "0".into();
    }
    #[expect(clippy::cast_possible_truncation, reason = "the exponent of a float")]
    let magnitude = n.log10().floor() as i32;
    let places = i32::try_from(precision).unwrap_or(6);
    let text = if magnitude < -4 || magnitude >= places {
        let text = exponent(n, precision - 1);
        let (mantissa, rest) = text.split_once('e').unwrap_or((&text, "+00"));
        let mantissa =
            if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
        return format!("{mantissa}e{rest}");
    } else {
        format!("{n:.*}", usize::try_from(places - 1 - magnitude).unwrap_or(0))
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn with_groups(text: &str, separator: char) -> String {
    let end = text.find('.').unwrap_or(text.len());
    let start = text.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
    let digits = &text[start..end];
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(separator);
        }
        out.push(c);
    }
    format!("{}{out}{}", &text[..start], &text[end..])
}

fn aligned(text: &str, width: usize, fill: char, align: char) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let pad = |n: usize| fill.to_string().repeat(n);
    match align {
        '<' => format!("{text}{}", pad(missing)),
        '^' => format!("{}{text}{}", pad(missing / 2), pad(missing - missing / 2)),
        '=' => {
            let cut = usize::from(text.starts_with(['-', '+', ' ']));
            format!("{}{}{}", &text[..cut], pad(missing), &text[cut..])
        }
        _ => format!("{}{text}", pad(missing)),
    }
}

/// Python's `%` of a string.
pub(super) fn percent(pattern: &str, args: &Value) -> Result<String> {
    let list: Vec<Value> = match args {
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    let mut next = list.iter();
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let mut key = None;
        if let Some(named) = rest.strip_prefix('(') {
            let end = named.find(')').ok_or_else(|| Fault::new("incomplete format key"))?;
            key = Some(&named[..end]);
            rest = &named[end + 1..];
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(|| Fault::new("incomplete format"))?;
        let (flags, kind) = (&rest[..end], rest[end..].chars().next().unwrap_or('s'));
        rest = &rest[end + 1..];
        let value = match key {
            Some(key) => args.get(key).cloned().ok_or_else(|| Fault::new(format!("'{key}'")))?,
            None => next.next().cloned().ok_or_else(|| Fault::new("not enough arguments for format string"))?,
        };
        let left = flags.contains('-');
        let flags = flags.replace('-', "");
        let (value, spec) = match kind {
            's' => (Value::from(str_of(&value)), flags.trim_start_matches('0').to_owned()),
            'r' => (Value::from(repr(&value)), flags),
            'i' | 'u' | 'd' => {
                let Some(n) = number(&value) else {
                    return Err(Fault::new(format!("%d format: a real number is required, not {}", type_name(&value))));
                };
                (Value::from(call::truncate(n)), format!("{flags}d"))
            }
            'x' | 'X' | 'o' | 'c' => (value, format!("{flags}{kind}")),
            'f' | 'F' | 'e' | 'E' | 'g' | 'G' => match number(&value) {
                Some(n) => (float(n), format!("{flags}{kind}")),
                None => return Err(Fault::new(format!("must be real number, not {}", type_name(&value)))),
            },
            other => return Err(Fault::new(format!("unsupported format character '{other}'"))),
        };
        let align = if left {
            "<"
        } else if spec.starts_with(|c: char| c.is_ascii_digit() && c != '0') {
            ">"
        } else {
            ""
        };
        out.push_str(&spec_format(&value, &format!("{align}{spec}"))?);
    }
    out.push_str(rest);
    Ok(out)
}
