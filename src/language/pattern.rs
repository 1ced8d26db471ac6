//! Host patterns: `web:&prod:!old`, globs, `~regex`, `group[0:2]`; and ranges in inventories: `web[01:20].example.org`.

use indexmap::IndexSet;

use super::inventory::Inventory;
use crate::text::Diagnostic;

/// Most hosts that one line of an inventory may stand for.
const MOST: usize = 100_000;

/// Names that a range pattern stands for: `a[1:3]b`, `db-[a:f]`, with a step `[0:10:2]`.
pub(super) fn expand(pattern: &str) -> Vec<String> {
    let Some(open) = pattern.find('[') else { return vec![pattern.to_owned()] };
    let Some(close) = pattern[open..].find(']').map(|i| i + open) else { return vec![pattern.to_owned()] };
    let parts: Vec<&str> = pattern[open + 1..close].split(':').collect();
    if !matches!(parts.len(), 2 | 3) {
        return vec![pattern.to_owned()];
    }
    let (head, tail) = (&pattern[..open], &pattern[close + 1..]);
    let step: usize = parts.get(2).and_then(|s| s.parse().ok()).filter(|s| *s > 0).unwrap_or(1);
    let from = if parts[0].is_empty() { "0" } else { parts[0] };
    let middles: Vec<String> = match (from.parse::<usize>(), parts[1].parse::<usize>()) {
        (Ok(a), Ok(b)) if b >= a && (b - a) / step < MOST => {
            let width = if from.starts_with('0') && from.len() > 1 { from.len() } else { 0 };
            (a..=b).step_by(step).map(|n| format!("{n:0width$}")).collect()
        }
        _ => match (from.as_bytes(), parts[1].as_bytes()) {
            ([a], [b]) if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() && a <= b => {
                (*a..=*b).step_by(step).map(|c| char::from(c).to_string()).collect()
            }
            _ => return vec![pattern.to_owned()],
        },
    };
    middles.iter().flat_map(|middle| expand(&format!("{head}{middle}{tail}"))).take(MOST).collect()
}

/// `host:port`, `[v6]:port`.
pub(super) fn split_port(text: &str) -> (String, Option<u16>) {
    if let Some(rest) = text.strip_prefix('[')
        && let Some((address, port)) = rest.split_once(']')
        && address.contains(':')
        && address.chars().all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.')
        && address.matches(':').count() >= 2
    {
        return (address.to_owned(), port.strip_prefix(':').and_then(|p| p.parse().ok()));
    }
    match text.rsplit_once(':') {
        Some((host, port))
            if !host.contains(':') && !host.ends_with('[') && port.chars().all(|c| c.is_ascii_digit()) =>
        {
            // `a[1:3]` has a colon within its range.
            if host.contains('[') && !host.contains(']') {
                return (text.to_owned(), None);
            }
            (host.to_owned(), port.parse().ok())
        }
        _ if text.contains(']') => match text.rsplit_once("]:") {
            Some((host, port)) if port.parse::<u16>().is_ok() => (format!("{host}]"), port.parse().ok()),
            _ => (text.to_owned(), None),
        },
        _ => (text.to_owned(), None),
    }
}

/// Hosts that a pattern names.
pub(super) fn matching(inventory: &Inventory, pattern: &str) -> Result<Vec<String>, Diagnostic> {
    let mut parts: Vec<String> = vec![];
    for part in split(pattern) {
        if let Some(file) = part.strip_prefix('@') {
            let path = std::path::Path::new(file);
            if path.is_dir() {
                let message = format!("Limit starting with \"@\" must be a file, not a directory: {file}");
                return Err(Diagnostic::plain(message));
            }
            if !path.exists() {
                return Err(Diagnostic::plain(format!("Unable to find limit file {file}")));
            }
            let text = std::fs::read_to_string(file)
                .map_err(|e| Diagnostic::plain(format!("Unable to read limit file {file}: {e}")))?;
            parts.extend(
                text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned),
            );
        } else {
            parts.push(part);
        }
    }
    // As Ansible sorts them: what is named first, then what must be met, then what is left out.
    let (mut plain, mut meets, mut leaves) = (vec![], vec![], vec![]);
    for part in &parts {
        match part.chars().next() {
            Some('!') => leaves.push(&part[1..]),
            Some('&') => meets.push(&part[1..]),
            Some(_) => plain.push(part.as_str()),
            None => {}
        }
    }
    if plain.is_empty() && !(meets.is_empty() && leaves.is_empty()) {
        plain.push("all");
    }
    let mut hosts: IndexSet<String> = IndexSet::new();
    for part in plain {
        hosts.extend(one(inventory, part)?);
    }
    for part in meets {
        let kept = one(inventory, part)?;
        hosts.retain(|h| kept.contains(h));
    }
    for part in leaves {
        let out = one(inventory, part)?;
        hosts.retain(|h| !out.contains(h));
    }
    Ok(hosts.into_iter().collect())
}

/// The parts of a pattern: at commas, else at colons outside brackets (an IPv6 address is one part).
fn split(pattern: &str) -> Vec<String> {
    if pattern.contains(',') {
        return pattern.split(',').flat_map(|p| split(p.trim())).filter(|p| !p.is_empty()).collect();
    }
    if pattern.starts_with('~') || pattern.parse::<std::net::Ipv6Addr>().is_ok() {
        return vec![pattern.to_owned()];
    }
    let (mut parts, mut depth, mut current) = (vec![], 0i32, String::new());
    for c in pattern.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ':' if depth == 0 => {
                parts.push(std::mem::take(&mut current));
                continue;
            }
            _ => {}
        }
        current.push(c);
    }
    parts.push(current);
    parts.into_iter().map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect()
}

fn one(inventory: &Inventory, part: &str) -> Result<Vec<String>, Diagnostic> {
    if let Some(regex) = part.strip_prefix('~') {
        let regex = fancy_regex::Regex::new(&format!("^(?:{regex})"))
            .map_err(|e| Diagnostic::plain(format!("Invalid host list pattern: {part}: {e}")))?;
        return Ok(select(inventory, &|name| regex.is_match(name).unwrap_or(false)));
    }
    let (base, range) = subscript(part);
    let mut hosts = if base == "all" || base == "*" {
        inventory.hosts()
    } else if base.contains(['*', '?', '[']) {
        let glob =
            glob::Pattern::new(base).map_err(|e| Diagnostic::plain(format!("Invalid host pattern: {part}: {e}")))?;
        select(inventory, &|name| glob.matches(name))
    } else {
        select(inventory, &|name| name == base)
    };
    // The machine itself need not be in the inventory.
    if hosts.is_empty() && matches!(base, "localhost" | "127.0.0.1" | "::1") {
        hosts.push(base.to_owned());
    }
    let count = hosts.len();
    let at = |n: i64| -> usize {
        let n = if n < 0 { n + i64::try_from(count).unwrap_or(0) } else { n };
        usize::try_from(n.max(0)).unwrap_or(0)
    };
    Ok(match range {
        None => hosts,
        Some((from, None)) => hosts.get(at(from)).cloned().into_iter().collect(),
        Some((from, Some(to))) => {
            let (from, to) = (at(from), (at(to) + 1).min(count));
            hosts.get(from..to.max(from)).map(<[String]>::to_vec).unwrap_or_default()
        }
    })
}

/// Hosts of the groups, and hosts, whose names fit.
fn select(inventory: &Inventory, fits: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut hosts: IndexSet<String> = IndexSet::new();
    for group in inventory.group_names() {
        if fits(&group) {
            hosts.extend(inventory.hosts_of(&group));
        }
    }
    hosts.extend(inventory.hosts().into_iter().filter(|host| fits(host)));
    hosts.into_iter().collect()
}

type Range = (i64, Option<i64>);

/// `group[0]`, `group[-1]`, `group[1:3]`, `group[2:]`.
fn subscript(part: &str) -> (&str, Option<Range>) {
    let Some(open) = part.rfind('[').filter(|_| part.ends_with(']')) else { return (part, None) };
    let inner = &part[open + 1..part.len() - 1];
    let range = match inner.split_once([':', '-']).filter(|(a, _)| !a.is_empty() || inner.starts_with(':')) {
        Some((from, to)) => {
            let from = if from.is_empty() { Some(0) } else { from.parse().ok() };
            let to = if to.is_empty() { Some(-1) } else { to.parse().ok() };
            from.zip(to).map(|(a, b)| (a, Some(b)))
        }
        None => inner.parse().ok().map(|n| (n, None)),
    };
    match range {
        Some(range) => (&part[..open], Some(range)),
        None => (part, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_expanded() {
        assert_eq!(expand("w[01:03].x"), ["w01.x", "w02.x", "w03.x"]);
        assert_eq!(expand("d[a:c]"), ["da", "db", "dc"]);
        assert_eq!(expand("n[0:4:2]"), ["n0", "n2", "n4"]);
        assert_eq!(expand("r[1:2]-[1:2]"), ["r1-1", "r1-2", "r2-1", "r2-2"]);
    }

    #[test]
    fn ports_are_split_off() {
        assert_eq!(split_port("a:22"), ("a".into(), Some(22)));
        assert_eq!(split_port("[::1]:22"), ("::1".into(), Some(22)));
        assert_eq!(split_port("w[1:3]"), ("w[1:3]".into(), None));
        assert_eq!(split_port("w[1:3]:2222"), ("w[1:3]".into(), Some(2222)));
        assert_eq!(split_port("::1"), ("::1".into(), None));
    }
}
