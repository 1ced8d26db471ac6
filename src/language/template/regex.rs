//! Python's regular expressions on fancy-regex: flags, replacements with `\1` and `\g<name>`.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use fancy_regex::{Captures, Regex};

/// Flags of `re`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// `IGNORECASE`.
    pub ignore_case: bool,
    /// `MULTILINE`.
    pub multiline: bool,
    /// `DOTALL`.
    pub dot_all: bool,
}

/// A compiled expression; they are kept, since a play uses few of them many times.
///
/// # Errors
/// What is wrong with it.
pub fn compile(pattern: &str, flags: Flags) -> Result<Regex, String> {
    static KEPT: OnceLock<Mutex<HashMap<(String, Flags), Regex>>> = OnceLock::new();
    let kept = KEPT.get_or_init(Mutex::default);
    let key = (pattern.to_owned(), flags);
    if let Some(regex) = kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(regex.clone());
    }
    let mut letters = String::new();
    for (set, letter) in [(flags.ignore_case, 'i'), (flags.multiline, 'm'), (flags.dot_all, 's')] {
        if set {
            letters.push(letter);
        }
    }
    let translated = translate(pattern);
    let text = if letters.is_empty() { translated } else { format!("(?{letters}){translated}") };
    let regex = Regex::new(&text).map_err(|error| format!("invalid regular expression `{pattern}`: {error}"))?;
    kept.lock().unwrap_or_else(PoisonError::into_inner).insert(key, regex.clone());
    Ok(regex)
}

/// Python's spelling to that of the crate: `\Z` is the very end, as `\z` here; `[` within a class is literal.
fn translate(pattern: &str) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Z') if !in_class => out.push_str("\\z"),
                // Escapes that only Python allows stand for the character itself.
                Some(c @ ('"' | '\'' | '/' | '@' | '`' | '%' | ',' | ':' | ';' | '=' | '!' | '_' | ' ')) => {
                    if c == ' ' { out.push_str("\\x20") } else { out.push(c) }
                }
                Some(c) => {
                    out.push('\\');
                    out.push(c);
                }
                None => out.push('\\'),
            },
            '[' if in_class => {
                if chars.peek() == Some(&':') {
                    out.push('[');
                } else {
                    out.push_str("\\[");
                }
            }
            '[' => {
                in_class = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    out.push('^');
                    chars.next();
                }
                if chars.peek() == Some(&']') {
                    out.push_str("\\]");
                    chars.next();
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Set operations of the crate that Python has not.
            '&' | '~' | '-' if in_class && chars.peek() == Some(&c) => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// A replacement text in Python's form, for one match.
pub fn expand(template: &str, captures: &Captures<'_, str>) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('g') if chars.peek() == Some(&'<') => {
                chars.next();
                let name: String = chars.by_ref().take_while(|c| *c != '>').collect();
                let group = match name.parse::<usize>() {
                    Ok(number) if number < captures.len() => captures.get(number),
                    Ok(number) => return Err(format!("invalid group reference {number}")),
                    Err(_) => captures.name(&name),
                };
                out.push_str(group.map_or("", |group| group.as_str()));
            }
            Some(digit) if digit.is_ascii_digit() => {
                let mut number = digit.to_digit(10).unwrap_or(0) as usize;
                if let Some(next) = chars.peek().and_then(|c| c.to_digit(10)) {
                    chars.next();
                    number = number * 10 + next as usize;
                }
                if number >= captures.len() {
                    return Err(format!("invalid group reference {number}"));
                }
                out.push_str(captures.get(number).map_or("", |group| group.as_str()));
            }
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\\') => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    Ok(out)
}

/// Replaces up to `count` matches (all, where it is 0); the text and how many there were.
pub fn replace(regex: &Regex, text: &str, template: &str, count: usize) -> Result<(String, usize), String> {
    let mut out = String::new();
    let (mut last, mut done) = (0, 0);
    for captures in regex.captures_iter(text) {
        if count != 0 && done >= count {
            break;
        }
        let captures = captures.map_err(|error| error.to_string())?;
        let Some(whole) = captures.get(0) else { continue };
        out.push_str(&text[last..whole.start()]);
        out.push_str(&expand(template, &captures)?);
        last = whole.end();
        done += 1;
    }
    out.push_str(&text[last..]);
    Ok((out, done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replacements_are_pythons() {
        let regex = compile(r"^(?P<a>\w+)-(\d+)$", Flags { multiline: true, ..Flags::default() }).unwrap();
        let (text, count) = replace(&regex, "x-1\ny-22", r"\2:\g<a>\n\\", 0).unwrap();
        assert_eq!((text.as_str(), count), ("1:x\n\\\n22:y\n\\", 2));
        assert!(replace(&regex, "x-1", r"\3", 0).is_err());
        assert_eq!(compile(r"[]\]a[]+\Z", Flags::default()).unwrap().find("x]a[").unwrap().unwrap().as_str(), "]a[");
        assert_eq!(compile(r"(?<=a)b", Flags::default()).unwrap().find("ab").unwrap().unwrap().as_str(), "b");
    }
}
