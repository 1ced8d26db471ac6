//! Paths: on this machine's file system where a filter looks at it, else as text.

use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::super::call::{Answer, Call, Filter, items, type_name};
use crate::text::python;

pub(super) const FILTERS: &[(&str, Filter)] = &[
    ("basename", |call| Ok(basename(&call.string()).into())),
    ("dirname", |call| Ok(dirname(&call.string()).into())),
    ("win_basename", |call| Ok(call.string().rsplit(['\\', '/']).next().unwrap_or_default().into())),
    ("win_dirname", win_dirname),
    ("win_splitdrive", win_splitdrive),
    ("expanduser", |call| Ok(expanduser(&call.string()).into())),
    ("expandvars", |call| Ok(expandvars(&call.string()).into())),
    ("realpath", realpath),
    ("relpath", relpath),
    ("normpath", |call| Ok(normal(&call.string()).into())),
    ("commonpath", commonpath),
    ("path_join", path_join),
    ("splitext", splitext),
    ("fileglob", fileglob),
];

fn basename(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

fn dirname(path: &str) -> String {
    let Some(at) = path.rfind('/') else { return String::new() };
    let head = &path[..=at];
    let trimmed = head.trim_end_matches('/');
    if trimmed.is_empty() { head.to_owned() } else { trimmed.to_owned() }
}

fn win_dirname(call: &Call) -> Answer {
    let path = call.string();
    let Some(at) = path.rfind(['\\', '/']) else { return Ok("".into()) };
    let head = path[..at].trim_end_matches(['\\', '/']);
    Ok(if head.ends_with(':') || head.is_empty() { path[..=at].into() } else { head.into() })
}

fn win_splitdrive(call: &Call) -> Answer {
    let path = call.string();
    Ok(if path.as_bytes().get(1) == Some(&b':') { json!([path[..2], path[2..]]) } else { json!(["", path]) })
}

/// `~` and `~user` at the beginning.
pub fn expanduser(path: &str) -> String {
    let Some(rest) = path.strip_prefix('~') else { return path.to_owned() };
    let (user, tail) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let home = if user.is_empty() {
        std::env::var("HOME").ok().or_else(|| {
            nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.dir.display().to_string())
        })
    } else {
        nix::unistd::User::from_name(user).ok().flatten().map(|user| user.dir.display().to_string())
    };
    home.map_or_else(|| path.to_owned(), |home| format!("{}{tail}", home.trim_end_matches('/')))
}

/// `$NAME` and `${NAME}` of this process's environment; unknown ones stay.
fn expandvars(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = match after.strip_prefix('{') {
            Some(inner) => inner.find('}').map_or(("", 0), |end| (&inner[..end], end + 2)),
            None => {
                let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match std::env::var(name).ok().filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[at..=at + length]),
        }
        rest = &after[length..];
    }
    out + rest
}

fn realpath(call: &Call) -> Answer {
    let path = std::path::absolute(call.string()).map_err(|error| error.to_string())?;
    // The longest part that exists is resolved; the rest is appended.
    let mut tail = vec![];
    let mut head = path.clone();
    loop {
        if let Ok(real) = head.canonicalize() {
            let all = tail.iter().rev().fold(real, |all: PathBuf, part: &std::ffi::OsString| all.join(part));
            return Ok(normal(&all.display().to_string()).into());
        }
        let Some(name) = head.file_name().map(ToOwned::to_owned) else { break };
        tail.push(name);
        if !head.pop() {
            break;
        }
    }
    Ok(normal(&path.display().to_string()).into())
}

fn relpath(call: &Call) -> Answer {
    let absolute = |path: &str| {
        std::path::absolute(path).map(|path| normal(&path.display().to_string())).map_err(|error| error.to_string())
    };
    let path = absolute(&call.string())?;
    let start = absolute(&call.text(0, "start").unwrap_or_else(|| ".".into()))?;
    let (path, start): (Vec<_>, Vec<_>) =
        (Path::new(&path).components().collect(), Path::new(&start).components().collect());
    let common = path.iter().zip(&start).take_while(|(a, b)| a == b).count();
    let mut parts: Vec<String> = vec!["..".into(); start.len() - common];
    parts.extend(path[common..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned()));
    Ok(if parts.is_empty() { ".".into() } else { parts.join("/").into() })
}

/// Without `.`, `..` and doubled slashes, as text.
fn normal(path: &str) -> String {
    if path.is_empty() {
        return ".".into();
    }
    let mut parts: Vec<&str> = vec![];
    let absolute = path.starts_with('/');
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}

fn commonpath(call: &Call) -> Answer {
    let Value::Array(paths) = &call.value else {
        return Err(format!("|commonpath expects sequence, got {} instead.", type_name(&call.value)));
    };
    let paths: Vec<PathBuf> = paths.iter().map(|path| PathBuf::from(normal(&python::str_of(path)))).collect();
    let Some(first) = paths.first() else { return Err("commonpath() arg is an empty sequence".into()) };
    if paths.iter().any(|path| path.is_absolute() != first.is_absolute()) {
        return Err("Can't mix absolute and relative paths".into());
    }
    let mut common: Vec<Component<'_>> = first.components().collect();
    for path in &paths[1..] {
        let same = common.iter().zip(path.components()).take_while(|(a, b)| *a == b).count();
        common.truncate(same);
    }
    Ok(common.iter().collect::<PathBuf>().display().to_string().into())
}

fn path_join(call: &Call) -> Answer {
    let parts: Vec<String> = match &call.value {
        Value::String(text) => {
            std::iter::once(text.clone()).chain(call.positional.iter().map(python::str_of)).collect()
        }
        Value::Array(_) => items(&call.value)?.iter().map(python::str_of).collect(),
        _ => return Err("|path_join expects string or sequence, got something else".into()),
    };
    let mut out = String::new();
    for part in parts {
        if part.starts_with('/') || out.is_empty() {
            out = part;
        } else {
            if !out.ends_with('/') {
                out.push('/');
            }
            out.push_str(&part);
        }
    }
    Ok(out.into())
}

fn splitext(call: &Call) -> Answer {
    let path = call.string();
    let name_at = path.rfind('/').map_or(0, |at| at + 1);
    let name = &path[name_at..];
    let leading = name.len() - name.trim_start_matches('.').len();
    Ok(match name[leading..].rfind('.') {
        Some(at) => {
            let at = name_at + leading + at;
            json!([path[..at], path[at..]])
        }
        None => json!([path, ""]),
    })
}

fn fileglob(call: &Call) -> Answer {
    let pattern = expanduser(&call.string());
    let found = glob::glob(&pattern).map_err(|error| error.to_string())?;
    Ok(found.filter_map(Result::ok).filter(|path| path.is_file()).map(|path| path.display().to_string()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(filter: &str, value: Value, positional: Vec<Value>) -> Value {
        let (_, filter) = FILTERS.iter().find(|(name, _)| *name == filter).unwrap();
        filter(&Call { value, positional, ..Call::default() }).unwrap()
    }

    #[test]
    fn paths_are_taken_apart_as_by_python() {
        assert_eq!(of("dirname", json!("/a/b/"), vec![]), json!("/a/b"));
        assert_eq!(of("dirname", json!("/a"), vec![]), json!("/"));
        assert_eq!(of("basename", json!("/a/b.txt"), vec![]), json!("b.txt"));
        assert_eq!(of("splitext", json!("/a.d/b.tar.gz"), vec![]), json!(["/a.d/b.tar", ".gz"]));
        assert_eq!(of("splitext", json!("/a.d/.bashrc"), vec![]), json!(["/a.d/.bashrc", ""]));
        assert_eq!(of("path_join", json!(["a", "b", "/c", "d"]), vec![]), json!("/c/d"));
        assert_eq!(of("normpath", json!("/a/../../b//./c"), vec![]), json!("/b/c"));
        assert_eq!(of("relpath", json!("/a/b"), vec![json!("/a/c/d")]), json!("../../b"));
        assert_eq!(of("commonpath", json!(["/a/b/c", "/a/b/d"]), vec![]), json!("/a/b"));
        assert_eq!(of("win_dirname", json!("C:\\a\\b"), vec![]), json!("C:\\a"));
    }
}
