//! Text: regular expressions, quoting, comments, and what Jinja's own filters do to strings.

use serde_json::{Value, json};

use super::super::call::{Answer, Call, Filter, truthy};
use super::super::regex::{self, Flags};
use crate::text::python;

pub(super) const FILTERS: &[(&str, Filter)] = &[
    ("regex_replace", regex_replace),
    ("regex_search", regex_search),
    ("regex_findall", regex_findall),
    ("regex_escape", regex_escape),
    ("quote", |call| Ok(quote(if call.value.is_null() { String::new() } else { call.string() }).into())),
    ("comment", comment),
    ("split", split),
    ("trim", trim),
    ("replace", replace),
    ("indent", indent),
    ("center", center),
    ("truncate", truncate),
    ("wordcount", |call| Ok(words(&call.string()).into())),
    ("type_debug", |call| Ok(super::super::call::type_name(&call.value).into())),
    ("urldecode", |call| Ok(urldecode(&call.string()).into())),
    ("urlencode", urlencode),
    ("urlsplit", urlsplit),
    ("striptags", striptags),
    ("upper", |call| Ok(call.string().to_uppercase().into())),
    ("lower", |call| Ok(call.string().to_lowercase().into())),
    ("capitalize", capitalize),
    ("title", title),
    ("wordwrap", wordwrap),
    ("escape", |call| Ok(escape(&call.string()).into())),
    ("e", |call| Ok(escape(&call.string()).into())),
    ("forceescape", |call| Ok(escape(&call.string()).into())),
    ("safe", |call| Ok(call.string().into())),
    ("pprint", |call| Ok(python::repr(&call.value).into())),
    ("xmlattr", xmlattr),
    ("format", format),
];

fn flags(call: &Call, multiline: usize, ignorecase: usize) -> Flags {
    Flags {
        multiline: call.flag(multiline, "multiline"),
        ignore_case: call.flag(ignorecase, "ignorecase"),
        dot_all: false,
    }
}

fn regex_replace(call: &Call) -> Answer {
    call.only(&["pattern", "replacement", "ignorecase", "multiline", "count", "mandatory_count"])?;
    let pattern = call.text(0, "pattern").unwrap_or_default();
    let replacement = call.text(1, "replacement").unwrap_or_default();
    let regex = regex::compile(&pattern, flags(call, 3, 2))?;
    let count = usize::try_from(call.integer(4, "count")?.unwrap_or(0)).unwrap_or(0);
    let (text, done) = regex::replace(&regex, &call.string(), &replacement, count)?;
    let wanted = call.integer(5, "mandatory_count")?.unwrap_or(0);
    if wanted != 0 && i64::try_from(done).ok() != Some(wanted) {
        return Err(format!(
            "'{pattern}' should match {wanted} times, but matches {done} times in {}",
            python::repr(&call.value)
        ));
    }
    Ok(text.into())
}

fn regex_search(call: &Call) -> Answer {
    call.only(&["regex", "ignorecase", "multiline"])?;
    let pattern = call.text(0, "regex").ok_or("missing argument 'regex'")?;
    let by_name = Flags {
        multiline: call.named.get("multiline").is_some_and(truthy),
        ignore_case: call.named.get("ignorecase").is_some_and(truthy),
        dot_all: false,
    };
    let regex = regex::compile(&pattern, by_name)?;
    let text = call.string();
    let Some(found) = regex.captures(&text).map_err(|error| error.to_string())? else { return Ok(Value::Null) };
    let groups: Vec<String> = call.positional.iter().skip(1).map(python::str_of).collect();
    if groups.is_empty() {
        return Ok(found.get(0).map_or("", |whole| whole.as_str()).into());
    }
    groups
        .iter()
        .map(|group| {
            let part = if let Some(name) = group.strip_prefix("\\g<").and_then(|rest| rest.strip_suffix('>')) {
                match name.parse::<usize>() {
                    Ok(number) => found.get(number),
                    Err(_) => found.name(name),
                }
            } else if let Some(number) = group.strip_prefix('\\').and_then(|rest| rest.parse::<usize>().ok()) {
                found.get(number)
            } else {
                return Err("Unknown argument".to_owned());
            };
            Ok(part.map_or(Value::Null, |part| part.as_str().into()))
        })
        .collect()
}

fn regex_findall(call: &Call) -> Answer {
    call.only(&["regex", "ignorecase", "multiline"])?;
    let pattern = call.text(0, "regex").ok_or("missing argument 'regex'")?;
    let regex = regex::compile(&pattern, flags(call, 1, 2))?;
    let text = call.string();
    let mut out = vec![];
    for captures in regex.captures_iter(&text) {
        let captures = captures.map_err(|error| error.to_string())?;
        let group = |i: usize| Value::from(captures.get(i).map_or("", |group| group.as_str()));
        out.push(match captures.len() {
            1 => group(0),
            2 => group(1),
            groups => (1..groups).map(group).collect(),
        });
    }
    Ok(Value::Array(out))
}

fn regex_escape(call: &Call) -> Answer {
    let special = match call.text(0, "re_type").as_deref().unwrap_or("python") {
        "python" => "()[]{}?*+-|^$\\.&~# \t\n\r\u{b}\u{c}",
        "posix_basic" => "[].^$*\\",
        "posix_extended" => return Err("Regex type (posix_extended) not yet implemented".into()),
        other => return Err(format!("Invalid regex type ({other})")),
    };
    Ok(call
        .string()
        .chars()
        .flat_map(|c| special.contains(c).then_some('\\').into_iter().chain([c]))
        .collect::<String>()
        .into())
}

/// As Python's `shlex.quote`.
fn quote(text: String) -> String {
    if text.is_empty() {
        return "''".into();
    }
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c)) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

fn comment(call: &Call) -> Answer {
    let style = call.text(0, "style").unwrap_or_else(|| "plain".into());
    let (beginning, decoration, end) = match style.as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        _ => return Err(format!("Invalid style '{style}'.")),
    };
    let named = |name: &str, default: &str| call.named.get(name).map_or_else(|| default.to_owned(), python::str_of);
    let newline = named("newline", "\n");
    let (beginning, end) = (named("beginning", beginning), named("end", end));
    let decoration = named("decoration", decoration);
    let bare = decoration.trim_end();
    let (prefix, postfix) = (named("prefix", bare), named("postfix", bare));
    let count = |name: &str| -> Result<usize, String> {
        Ok(usize::try_from(call.integer(usize::MAX, name)?.unwrap_or(1)).unwrap_or(0))
    };
    let (before, after) = (count("prefix_count")?, count("postfix_count")?);
    let mut out = String::new();
    if !beginning.is_empty() {
        out.push_str(&beginning);
        out.push_str(&newline);
    }
    if !prefix.is_empty() {
        let line = if prefix == newline { prefix } else { format!("{prefix}{newline}") };
        out.push_str(&line.repeat(before));
    }
    let text = call.string();
    let lines: Vec<String> = text
        .split(newline.as_str())
        .map(|line| format!("{decoration}{line}"))
        .map(
            |line| if line.trim_end().len() == decoration.trim_end().len() { line.trim_end().to_owned() } else { line },
        )
        .collect();
    out.push_str(&lines.join(&newline));
    for _ in 0..after {
        out.push_str(&newline);
        out.push_str(&postfix);
    }
    if !end.is_empty() {
        out.push_str(&newline);
        out.push_str(&end);
    }
    Ok(out.into())
}

fn split(call: &Call) -> Answer {
    let text = match &call.value {
        Value::String(text) => text,
        other => return Err(format!("'{}' object has no attribute 'split'", super::super::call::type_name(other))),
    };
    let limit =
        call.integer(1, "maxsplit")?.filter(|limit| *limit >= 0).map(|limit| usize::try_from(limit).unwrap_or(0));
    Ok(match call.text(0, "sep") {
        Some(sep) if sep.is_empty() => return Err("empty separator".into()),
        Some(sep) => match limit {
            Some(limit) => text.splitn(limit + 1, sep.as_str()).collect(),
            None => text.split(sep.as_str()).collect(),
        },
        None => {
            let mut out: Vec<&str> = vec![];
            let mut rest = text.trim_start();
            while !rest.is_empty() {
                if limit.is_some_and(|limit| out.len() >= limit) {
                    out.push(rest.trim_end());
                    break;
                }
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                out.push(&rest[..end]);
                rest = rest[end..].trim_start();
            }
            out.into_iter().collect()
        }
    })
}

fn trim(call: &Call) -> Answer {
    let text = call.string();
    Ok(match call.text(0, "chars") {
        Some(chars) => text.trim_matches(|c| chars.contains(c)).into(),
        None => text.trim().into(),
    })
}

fn replace(call: &Call) -> Answer {
    let (old, new) =
        (call.text(0, "old").ok_or("missing argument 'old'")?, call.text(1, "new").ok_or("missing argument 'new'")?);
    let text = call.string();
    Ok(match call.integer(2, "count")? {
        Some(count) if count >= 0 => text.replacen(&old, &new, usize::try_from(count).unwrap_or(0)).into(),
        _ => text.replace(&old, &new).into(),
    })
}

fn indent(call: &Call) -> Answer {
    call.only(&["width", "first", "blank"])?;
    let pad = match call.argument(0, "width") {
        Some(Value::String(text)) => text.clone(),
        Some(value) => {
            " ".repeat(super::super::call::integer(value).and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
        }
        None => "    ".into(),
    };
    let (first, blank) = (call.flag(1, "first"), call.flag(2, "blank"));
    let text = call.string();
    let mut out = String::new();
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        if (i > 0 || first) && (blank || !line.is_empty()) {
            out.push_str(&pad);
        }
        out.push_str(line);
    }
    Ok(out.into())
}

fn center(call: &Call) -> Answer {
    let width = usize::try_from(call.integer(0, "width")?.unwrap_or(80)).unwrap_or(0);
    let text = call.string();
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2 + (missing & width & 1);
    Ok(format!("{}{text}{}", " ".repeat(left), " ".repeat(missing - left)).into())
}

fn truncate(call: &Call) -> Answer {
    call.only(&["length", "killwords", "end", "leeway"])?;
    let size = |value: Option<i64>, default: usize| value.map_or(default, |value| usize::try_from(value).unwrap_or(0));
    let length = size(call.integer(0, "length")?, 255);
    let end = call.text(2, "end").unwrap_or_else(|| "...".into());
    let leeway = size(call.integer(3, "leeway")?, 5);
    let text: Vec<char> = call.string().chars().collect();
    if text.len() <= length + leeway {
        return Ok(text.into_iter().collect::<String>().into());
    }
    let cut: String = text[..length.saturating_sub(end.chars().count())].iter().collect();
    let kept = if call.flag(1, "killwords") {
        cut.as_str()
    } else {
        cut.rsplit_once(' ').map_or(cut.as_str(), |(head, _)| head)
    };
    Ok(format!("{kept}{end}").into())
}

fn words(text: &str) -> usize {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).count()
}

fn urldecode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = vec![];
    let mut i = 0;
    while i < bytes.len() {
        let hex = text.get(i + 1..i + 3).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn percent(text: &str, keep: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || "_.-~".contains(c) || (byte.is_ascii() && keep.contains(c)) {
            out.push(c);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn urlencode(call: &Call) -> Answer {
    let pair = |key: &str, value: &Value| {
        format!("{}={}", percent(key, "").replace("%20", "+"), percent(&python::str_of(value), "").replace("%20", "+"))
    };
    Ok(match &call.value {
        Value::Object(map) => map.iter().map(|(key, value)| pair(key, value)).collect::<Vec<_>>().join("&").into(),
        Value::Array(items) => items
            .iter()
            .map(|item| match item.as_array().map(Vec::as_slice) {
                Some([key, value]) => Ok(pair(&python::str_of(key), value)),
                _ => Err("a list of pairs is wanted"),
            })
            .collect::<Result<Vec<_>, _>>()?
            .join("&")
            .into(),
        other => percent(&python::str_of(other), "/").into(),
    })
}

fn urlsplit(call: &Call) -> Answer {
    let url = call.string();
    let (rest, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let scheme_ok = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let (scheme, rest) = match rest.split_once(':') {
        Some((scheme, rest)) if scheme_ok(scheme) => (scheme.to_lowercase(), rest),
        _ => (String::new(), rest),
    };
    let (netloc, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.find('/').map_or((rest, ""), |at| rest.split_at(at)),
        None => ("", rest),
    };
    let (login, address) = netloc.rsplit_once('@').map_or((None, netloc), |(login, address)| (Some(login), address));
    let (username, password) =
        match login.map(|login| login.split_once(':').map_or((login, None), |(u, p)| (u, Some(p)))) {
            Some((user, password)) => (Some(user), password),
            None => (None, None),
        };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port.parse::<u32>().ok()),
        _ => (address, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
    let hostname = if host.is_empty() { Value::Null } else { host.into() };
    let all = json!({
        "fragment": fragment, "hostname": hostname, "netloc": netloc, "password": password, "path": path, "port": port,
        "query": query, "scheme": scheme, "username": username,
    });
    match call.text(0, "query").filter(|part| !part.is_empty()) {
        Some(part) => all.get(&part).cloned().ok_or_else(|| format!("urlsplit: unknown URL component: {part}")),
        None => Ok(all),
    }
}

fn striptags(call: &Call) -> Answer {
    let regex = regex::compile("(<!--.*?-->|<[^>]*>)", Flags { dot_all: true, ..Flags::default() })?;
    let (text, _) = regex::replace(&regex, &call.string(), "", 0)?;
    Ok(text.split_whitespace().collect::<Vec<_>>().join(" ").into())
}

/// `'%s, %05.2f' | format(a, b)`: Python's `%`.
fn format(call: &Call) -> Answer {
    let template = call.string();
    let mut positional = call.positional.iter();
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            out.push('%');
            continue;
        }
        let name = (chars.peek() == Some(&'(')).then(|| {
            chars.next();
            chars.by_ref().take_while(|c| *c != ')').collect::<String>()
        });
        let mut spec = String::new();
        let kind = loop {
            match chars.next() {
                Some(c) if c.is_ascii_digit() || "-+ #0.".contains(c) => spec.push(c),
                Some('l' | 'h' | 'L') => {}
                Some(c) => break c,
                None => return Err("incomplete format".into()),
            }
        };
        let value = match &name {
            Some(name) => call.named.get(name).ok_or_else(|| format!("format needs '{name}'"))?,
            None => positional.next().ok_or("not enough arguments for format string")?,
        };
        out.push_str(&directive(value, &spec, kind)?);
    }
    if positional.next().is_some() {
        return Err("not all arguments converted during string formatting".into());
    }
    Ok(out.into())
}

fn directive(value: &Value, spec: &str, kind: char) -> Result<String, String> {
    use super::super::call::{float, integer};
    let flags: String = spec.chars().take_while(|c| "-+ #0".contains(*c)).collect();
    let (width, precision) =
        spec[flags.len()..].split_once('.').map_or((&spec[flags.len()..], None), |(w, p)| (w, Some(p)));
    let width: usize = width.parse().unwrap_or(0);
    let precision = precision.map(|digits| digits.parse::<usize>().unwrap_or(0));
    let number = || {
        float(value).filter(|_| !value.is_string()).ok_or_else(|| {
            format!("%{kind} format: a real number is required, not {}", super::super::call::type_name(value))
        })
    };
    let whole = || number().map(|number| integer(value).unwrap_or_else(|| super::super::call::truncate(number)));
    let body = match kind {
        's' | 'r' | 'a' => {
            let text = if kind == 's' { python::str_of(value) } else { python::repr(value) };
            precision.map_or(text.clone(), |limit| text.chars().take(limit).collect())
        }
        'd' | 'i' | 'u' => whole()?.to_string(),
        'x' => format!("{}{:x}", if flags.contains('#') { "0x" } else { "" }, whole()?),
        'X' => format!("{}{:X}", if flags.contains('#') { "0X" } else { "" }, whole()?),
        'o' => format!("{}{:o}", if flags.contains('#') { "0o" } else { "" }, whole()?),
        'f' | 'F' => format!("{:.*}", precision.unwrap_or(6), number()?),
        'e' | 'E' => {
            let text = format!("{:.*e}", precision.unwrap_or(6), number()?);
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            let text = format!("{mantissa}e{sign}{digits:0>2}");
            if kind == 'E' { text.to_uppercase() } else { text }
        }
        'g' | 'G' => python::str_of(&serde_json::Number::from_f64(number()?).map_or(Value::Null, Value::Number))
            .trim_end_matches(".0")
            .to_owned(),
        'c' => match value {
            Value::String(text) => text.clone(),
            _ => u32::try_from(whole()?).ok().and_then(char::from_u32).ok_or("%c requires int or char")?.to_string(),
        },
        other => return Err(format!("unsupported format character '{other}'")),
    };
    let numeric = "diufFeEgGxXo".contains(kind);
    let body = match flags.chars().find(|c| "+ ".contains(*c)) {
        Some(sign) if numeric && !body.starts_with('-') => format!("{sign}{body}"),
        _ => body,
    };
    let missing = width.saturating_sub(body.chars().count());
    Ok(if flags.contains('-') {
        format!("{body}{}", " ".repeat(missing))
    } else if flags.contains('0') && numeric {
        let (sign, digits) = if body.starts_with(['-', '+', ' ']) { body.split_at(1) } else { ("", body.as_str()) };
        format!("{sign}{}{digits}", "0".repeat(missing))
    } else {
        format!("{}{body}", " ".repeat(missing))
    })
}

fn capitalize(call: &Call) -> Answer {
    let text = call.string();
    let mut chars = text.chars();
    Ok(chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars.flat_map(char::to_lowercase)).collect())
        .into())
}

/// Words begin behind blanks, hyphens and opening brackets, as in Jinja.
fn title(call: &Call) -> Answer {
    let mut out = String::new();
    let mut begins = true;
    for c in call.string().chars() {
        if begins {
            out.extend(c.to_uppercase());
        } else {
            out.extend(c.to_lowercase());
        }
        begins = c.is_whitespace() || "-({[<".contains(c);
    }
    Ok(out.into())
}

fn wordwrap(call: &Call) -> Answer {
    call.only(&["width", "break_long_words", "wrapstring", "break_on_hyphens"])?;
    let width = usize::try_from(call.integer(0, "width")?.unwrap_or(79)).unwrap_or(79).max(1);
    let break_long = call.argument(1, "break_long_words").is_none_or(truthy);
    let newline = call.text(2, "wrapstring").unwrap_or_else(|| "\n".into());
    let mut lines = vec![];
    for paragraph in call.string().lines() {
        let mut line = String::new();
        for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
            let mut word = word.to_owned();
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            while break_long && line.is_empty() && word.chars().count() > width {
                let rest = word.chars().skip(width).collect();
                lines.push(word.chars().take(width).collect());
                word = rest;
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        lines.push(line);
    }
    Ok(lines.join(&newline).into())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\'', "&#39;").replace('"', "&#34;")
}

fn xmlattr(call: &Call) -> Answer {
    let attributes: Vec<String> = call
        .mapping()?
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| format!("{}=\"{}\"", escape(key), escape(&python::str_of(value))))
        .collect();
    let space = if call.argument(0, "autospace").is_none_or(truthy) && !attributes.is_empty() { " " } else { "" };
    Ok(format!("{space}{}", attributes.join(" ")).into())
}
