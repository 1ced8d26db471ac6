//! Files of this machine.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Found, Lookup};
use crate::text::python;

/// Text of a file in an encoding; UTF-8 may be vaulted.
fn encoded(lookup: &Lookup<'_>, path: &Path, encoding: Option<&str>) -> Result<String, String> {
    let name = encoding.unwrap_or("utf-8");
    if name.to_lowercase().replace(['-', '_'], "") == "utf8" {
        return plain(lookup, path);
    }
    let bytes = std::fs::read(path).map_err(|error| format!("can't read `{}`: {error}", path.display()))?;
    crate::text::encoding::decode(&bytes, name)
}

fn read(path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("can't read `{}`: {error}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| format!("`{}` is no UTF-8 text", path.display()))
}

fn plain(lookup: &Lookup<'_>, path: &Path) -> Result<String, String> {
    let text = read(path)?;
    if text.starts_with("$ANSIBLE_VAULT;") { lookup.around.decrypt(&text) } else { Ok(text) }
}

fn missing(kind: &str, name: &str) -> String {
    format!("Unable to access the file '{name}' with the lookup `{kind}`: it was not found")
}

pub(super) fn file(lookup: &Lookup<'_>) -> Found {
    lookup.only("file", &["lstrip", "rstrip"])?;
    let (left, right) = (lookup.flag("lstrip", false), lookup.flag("rstrip", true));
    lookup
        .texts()
        .iter()
        .map(|name| {
            let path = lookup.find("files", name).ok_or_else(|| missing("file", name))?;
            let mut text = plain(lookup, &path)?;
            if left {
                text.drain(..text.len() - text.trim_start().len());
            }
            if right {
                text.truncate(text.trim_end().len());
            }
            Ok(text.into())
        })
        .collect()
}

pub(super) fn unvault(lookup: &Lookup<'_>) -> Found {
    lookup.only("unvault", &[])?;
    lookup
        .texts()
        .iter()
        .map(|name| {
            let path = lookup.find("files", name).ok_or_else(|| missing("unvault", name))?;
            plain(lookup, &path).map(Value::from)
        })
        .collect()
}

pub(super) fn fileglob(lookup: &Lookup<'_>) -> Found {
    lookup.only("fileglob", &[])?;
    let mut out = vec![];
    for term in lookup.texts() {
        let pattern = super::super::filters::expanduser(&term);
        let (dir, name) = pattern.rsplit_once('/').map_or(("", pattern.as_str()), |(dir, name)| (dir, name));
        let roots: Vec<PathBuf> = if pattern.starts_with('/') {
            vec![PathBuf::from(if dir.is_empty() { "/" } else { dir })]
        } else {
            lookup
                .around
                .search_paths()
                .into_iter()
                .flat_map(|path| [path.join("files").join(dir), path.join(dir)])
                .collect()
        };
        let root = roots.into_iter().find(|root| root.is_dir());
        let Some(root) = root else { continue };
        let whole = format!("{}/{name}", glob::Pattern::escape(&root.display().to_string()));
        let found = glob::glob(&whole).map_err(|error| format!("`{term}` is no pattern: {error}"))?;
        out.extend(
            found.filter_map(Result::ok).filter(|path| path.is_file()).map(|path| path.display().to_string().into()),
        );
    }
    Ok(out)
}

/// Names from a list or a text that commas and semicolons (for paths: colons, too) separate.
fn names(value: Option<&Value>, separators: &[char]) -> Vec<String> {
    match value {
        None | Some(Value::Null) => vec![],
        Some(Value::Array(items)) => items.iter().flat_map(|item| names(Some(item), separators)).collect(),
        Some(other) => python::str_of(other)
            .split(separators)
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect(),
    }
}

pub(super) fn first_found(lookup: &Lookup<'_>) -> Found {
    lookup.only("first_found", &["files", "paths", "skip"])?;
    let mut skip = lookup.flag("skip", false);
    let mut candidates = vec![];
    let mut add = |map: &Map<String, Value>| {
        let files = names(map.get("files"), &[',', ';']);
        let paths = names(map.get("paths"), &[',', ';', ':']);
        if paths.is_empty() {
            candidates.extend(files);
        } else if files.is_empty() {
            candidates.extend(paths);
        } else {
            candidates.extend(paths.iter().flat_map(|path| files.iter().map(move |file| format!("{path}/{file}"))));
        }
    };
    let mut plain_terms = vec![];
    for term in &lookup.terms {
        match term {
            Value::Object(map) => {
                skip = map.get("skip").map_or(skip, super::truthy);
                add(map);
            }
            Value::Array(items) => plain_terms.extend(names(Some(&Value::Array(items.clone())), &[',', ';'])),
            other => plain_terms.extend(names(Some(other), &[',', ';'])),
        }
    }
    if !plain_terms.is_empty() || lookup.options.contains_key("files") || lookup.options.contains_key("paths") {
        let mut map = lookup.options.clone();
        if !map.contains_key("files") {
            map.insert("files".into(), plain_terms.into());
        }
        add(&map);
    }
    for candidate in &candidates {
        let candidate = super::super::filters::expanduser(candidate);
        if Path::new(&candidate).is_absolute() {
            if Path::new(&candidate).exists() {
                return Ok(vec![candidate.into()]);
            }
            continue;
        }
        for dir in lookup.around.search_paths() {
            for sub in ["", "files", "templates", "vars", "tasks"] {
                let path = dir.join(sub).join(&candidate);
                if path.exists() {
                    return Ok(vec![path.display().to_string().into()]);
                }
            }
        }
    }
    if skip {
        return Ok(vec![]);
    }
    Err(format!(
        "No file was found when using first_found. Searched for: {}",
        if candidates.is_empty() { "nothing".into() } else { candidates.join(", ") }
    ))
}

pub(super) fn template(lookup: &Lookup<'_>) -> Found {
    let known = [
        "convert_data",
        "variable_start_string",
        "variable_end_string",
        "comment_start_string",
        "comment_end_string",
        "jinja2_native",
        "template_vars",
        "trim_blocks",
        "lstrip_blocks",
    ];
    lookup.only("template", &known)?;
    let convert = lookup.flag("convert_data", true);
    lookup
        .texts()
        .iter()
        .map(|name| {
            let path = lookup.find("templates", name).ok_or_else(|| missing("template", name))?;
            let text = plain(lookup, &path)?;
            let text = lookup.around.render(&path.display().to_string(), &text, &lookup.options)?;
            // Text that reads as a list or mapping becomes one.
            let data = convert && text.trim_start().starts_with(['{', '[']);
            let parsed = data.then(|| serde_json::from_str::<Value>(&text).ok()).flatten();
            Ok(parsed.unwrap_or_else(|| text.into()))
        })
        .collect()
}

/// `key` and `name=value` parts of a term.
fn parts(term: &str) -> (String, Map<String, Value>) {
    let (mut key, mut options) = (vec![], Map::new());
    for word in term.split_whitespace() {
        match word.split_once('=') {
            Some((name, value)) => {
                options.insert(name.to_owned(), value.into());
            }
            None => key.push(word),
        }
    }
    (key.join(" "), options)
}

pub(super) fn ini(lookup: &Lookup<'_>) -> Found {
    let known = [
        "type",
        "file",
        "section",
        "re",
        "encoding",
        "default",
        "case_sensitive",
        "allow_none",
        "allow_no_value",
        "interpolation",
    ];
    lookup.only("ini", &known)?;
    let mut out = vec![];
    for term in lookup.texts() {
        let (key, mut options) = match term.split_once('=') {
            Some(_) if term.contains(' ') => parts(&term),
            _ => (term.clone(), Map::new()),
        };
        if key.is_empty() && !options.is_empty() || term.contains('=') && !term.contains(' ') {
            let name = term.split(['=', ' ']).next().unwrap_or_default();
            if !known.contains(&name) {
                return Err(format!("'{name}' is not a valid option"));
            }
            return Err("No key to look up was provided as first term within string inline options".into());
        }
        for (name, value) in &lookup.options {
            options.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let text = |name: &str| options.get(name).filter(|value| !value.is_null()).map(python::str_of);
        let properties = text("type").as_deref() == Some("properties");
        let name = text("file").unwrap_or_else(|| "ansible.ini".into());
        let path = lookup.find("files", &name).ok_or_else(|| missing("ini", &name))?;
        let section =
            if properties { "java_properties".into() } else { text("section").unwrap_or_else(|| "global".into()) };
        let case = options.get("case_sensitive").is_some_and(super::truthy);
        let bare = ["allow_none", "allow_no_value"].iter().any(|name| options.get(*name).is_some_and(super::truthy));
        let interpolate = options.get("interpolation").is_none_or(super::truthy);
        let shown = |entries: &Entries, value: &str| {
            if interpolate { interpolated(entries, value, case, 0) } else { Ok(value.to_owned()) }
        };
        let all = sections(&encoded(lookup, &path, text("encoding").as_deref())?, properties, case, bare)?;
        let fold = |text: &str| if case { text.to_owned() } else { text.to_lowercase() };
        let entries = all.iter().find(|(name, _)| *name == section).map(|(_, entries)| entries);
        if options
            .get("re")
            .is_some_and(|value| super::truthy(value) && python::str_of(value).to_lowercase() != "false")
        {
            let regex = super::super::regex::compile(&format!("^(?:{key})"), super::super::regex::Flags::default())?;
            let Some(entries) = entries else { continue };
            let values = entries.iter().filter(|(name, _)| regex.is_match(name).unwrap_or(false));
            for value in values.filter_map(|(_, value)| value.as_deref()) {
                out.push(shown(entries, value)?.into());
            }
            continue;
        }
        let Some(entries) = entries else {
            match options.get("default") {
                Some(default) => out.push(default.clone()),
                None => return Err(format!("No section: '{section}' in `{}`", path.display())),
            }
            continue;
        };
        match entries.iter().rev().find(|(name, _)| *name == fold(&key)) {
            // A key without a value is there, and gives nothing.
            Some((_, None)) => {}
            Some((_, Some(value))) => out.push(shown(entries, value)?.into()),
            None => out.push(options.get("default").cloned().unwrap_or_else(|| "".into())),
        }
    }
    Ok(out)
}

type Entries = Vec<(String, Option<String>)>;

/// A value with `%(name)s` as the section's value of that name, and `%%` as a percent sign: Python's configparser.
fn interpolated(entries: &Entries, value: &str, case: bool, depth: usize) -> Result<String, String> {
    if depth > 10 {
        return Err(format!("Value interpolation too deeply recursive: {value}"));
    }
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(next) = after.strip_prefix('%') {
            out.push('%');
            rest = next;
            continue;
        }
        let Some((name, next)) = after.strip_prefix('(').and_then(|inner| inner.split_once(")s")) else {
            return Err(format!("'%' must be followed by '%' or '(', found: '%{after}'"));
        };
        let name = if case { name.to_owned() } else { name.to_lowercase() };
        let found = entries.iter().rev().find(|(known, _)| *known == name).and_then(|(_, value)| value.as_deref());
        let found = found.ok_or_else(|| format!("Bad value substitution: '{name}' in '{value}'"))?;
        out.push_str(&interpolated(entries, found, case, depth + 1)?);
        rest = next;
    }
    Ok(out + rest)
}

/// Sections of an INI file (or the one section of a properties file).
/// Keys without a value are wrong in an INI file, unless `bare` ones are allowed.
fn sections(text: &str, properties: bool, case: bool, bare: bool) -> Result<Vec<(String, Entries)>, String> {
    let mut out: Vec<(String, Entries)> = vec![];
    if properties {
        out.push(("java_properties".into(), vec![]));
    }
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            out.push((name.to_owned(), vec![]));
            continue;
        }
        let Some((section_name, entries)) = out.last_mut() else { continue };
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = entries.last_mut()
        {
            let value = value.get_or_insert_default();
            value.push('\n');
            value.push_str(trimmed);
            continue;
        }
        if !properties && !bare && !trimmed.contains(['=', ':']) {
            return Err(format!("Source contains parsing errors: the key `{trimmed}` has no value (see allow_none)"));
        }
        let (name, value) = match trimmed.find(['=', ':']) {
            Some(at) => (trimmed[..at].trim(), Some(trimmed[at + 1..].trim().to_owned())),
            // Properties have empty values instead.
            None => (trimmed, properties.then(String::new)),
        };
        let name = if case { name.to_owned() } else { name.to_lowercase() };
        if entries.iter().any(|(known, _)| *known == name) {
            return Err(format!("Duplicate option in '{section_name}': option '{name}' already exists"));
        }
        entries.push((name, value));
    }
    // Entries of `[DEFAULT]` hold in every section.
    let defaults: Entries =
        out.iter().filter(|(name, _)| name == "DEFAULT").flat_map(|(_, entries)| entries.clone()).collect();
    for (_, entries) in &mut out {
        entries.splice(0..0, defaults.iter().cloned());
    }
    Ok(out)
}

pub(super) fn csvfile(lookup: &Lookup<'_>) -> Found {
    lookup.only("csvfile", &["col", "default", "delimiter", "file", "encoding", "keycol"])?;
    let mut out = vec![];
    for term in lookup.texts() {
        let (key, mut options) = parts(&term);
        for (name, value) in &lookup.options {
            options.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let text = |name: &str| options.get(name).filter(|value| !value.is_null()).map(python::str_of);
        let name = text("file").unwrap_or_else(|| "ansible.csv".into());
        let path = lookup.find("files", &name).ok_or_else(|| missing("csvfile", &name))?;
        let delimiter = match text("delimiter").as_deref() {
            None | Some("TAB" | "t" | "\\t") => '\t',
            Some(text) => text.chars().next().unwrap_or('\t'),
        };
        let number = |name: &str, default: usize| {
            text(name)
                .map_or(Ok(default), |text| text.parse::<usize>().map_err(|_| format!("`{name}` must be a number")))
        };
        let (column, key_column) = (number("col", 1)?, number("keycol", 0)?);
        let rows = rows(&encoded(lookup, &path, text("encoding").as_deref())?, delimiter);
        match rows.iter().find(|row| row.get(key_column) == Some(&key)) {
            Some(row) => {
                out.push(row.get(column).cloned().ok_or_else(|| format!("`{name}` has no column {column}"))?.into());
            }
            None => out.extend(options.get("default").cloned()),
        }
    }
    Ok(out)
}

/// Rows of a CSV text (RFC 4180).
fn rows(text: &str, delimiter: char) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (vec![], vec![], String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            c if quoted => field.push(c),
            '\r' => {}
            '\n' => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            c if c == delimiter => row.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}
