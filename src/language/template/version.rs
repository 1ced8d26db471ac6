//! Versions and their order: loose (as Python's old `LooseVersion`), strict, semantic, and PEP 440.

use std::cmp::Ordering;

/// Whether `a OPERATOR b`.
pub(super) fn compare(a: &str, b: &str, operator: &str, strict: bool, kind: Option<&str>) -> Result<bool, String> {
    if strict && kind.is_some() {
        return Err("Cannot specify both 'strict' and 'version_type'".into());
    }
    if a.is_empty() {
        return Err("Input version value cannot be empty".into());
    }
    if b.is_empty() {
        return Err("Version parameter to compare against cannot be empty".into());
    }
    let kind = if strict { "strict" } else { kind.unwrap_or("loose") };
    let order = match kind {
        "loose" => loose(a, b)?,
        "strict" => numbers(a)?.cmp(&numbers(b)?),
        "semver" | "semantic" => semantic(a, b)?,
        "pep440" => pep440(a, b)?,
        other => {
            return Err(format!(
                "Invalid version type ({other}). Must be one of loose, strict, semver, semantic, pep440"
            ));
        }
    };
    Ok(match operator {
        "==" | "=" | "eq" => order == Ordering::Equal,
        "<" | "lt" => order == Ordering::Less,
        "<=" | "le" => order != Ordering::Greater,
        ">" | "gt" => order == Ordering::Greater,
        ">=" | "ge" => order != Ordering::Less,
        "!=" | "<>" | "ne" => order != Ordering::Equal,
        other => {
            return Err(format!(
                "Invalid operator type ({other}). Must be one of =, ==, !=, <, >, <=, >=, lt, le, gt, ge, eq, ne"
            ));
        }
    })
}

#[derive(PartialEq, Eq, Debug)]
enum Part {
    Number(u64),
    Word(String),
}

fn parts(text: &str) -> Vec<Part> {
    let mut out = vec![];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if first.is_ascii_digit() {
            rest.find(|c: char| !c.is_ascii_digit())
        } else if first.is_ascii_lowercase() {
            rest.find(|c: char| !c.is_ascii_lowercase())
        } else if first == '.' {
            rest = &rest[1..];
            continue;
        } else {
            rest.find(|c: char| c.is_ascii_digit() || c.is_ascii_lowercase() || c == '.')
        };
        let (piece, more) = rest.split_at(end.unwrap_or(rest.len()));
        out.push(piece.parse().map_or_else(|_| Part::Word(piece.to_owned()), Part::Number));
        rest = more;
    }
    out
}

fn loose(a: &str, b: &str) -> Result<Ordering, String> {
    let (x, y) = (parts(a), parts(b));
    for (p, q) in x.iter().zip(&y) {
        let order = match (p, q) {
            (Part::Number(p), Part::Number(q)) => p.cmp(q),
            (Part::Word(p), Part::Word(q)) => p.cmp(q),
            (Part::Number(_), Part::Word(_)) => {
                return Err("Version comparison failed: '<' not supported between instances of 'int' and 'str'".into());
            }
            (Part::Word(_), Part::Number(_)) => {
                return Err("Version comparison failed: '<' not supported between instances of 'str' and 'int'".into());
            }
        };
        if order != Ordering::Equal {
            return Ok(order);
        }
    }
    Ok(x.len().cmp(&y.len()))
}

/// Numbers, and whether it is no pre-release, its letter and number.
type Numbers = (Vec<u64>, (bool, char, u64));

/// `1.2`, `1.2.3`, `1.2a3`: numbers, then the pre-release (none is the latest).
fn numbers(text: &str) -> Result<Numbers, String> {
    let invalid = || format!("Version comparison failed: invalid version number '{text}'");
    let cut = text.find(['a', 'b']);
    let (main, pre) = match cut {
        Some(at) => (&text[..at], Some((text.as_bytes()[at], &text[at + 1..]))),
        None => (text, None),
    };
    let mut list: Vec<u64> = main.split('.').map(|p| p.parse().map_err(|_| invalid())).collect::<Result<_, _>>()?;
    if !(2..=3).contains(&list.len()) {
        return Err(invalid());
    }
    list.resize(3, 0);
    let pre = match pre {
        None => (true, 'z', 0),
        Some((letter, n)) => (false, char::from(letter), n.parse().map_err(|_| invalid())?),
    };
    Ok((list, pre))
}

fn semantic(a: &str, b: &str) -> Result<Ordering, String> {
    type Version<'a> = (Vec<u64>, Option<Vec<&'a str>>);
    fn read(text: &str) -> Result<Version<'_>, String> {
        let invalid = || format!("invalid semantic version '{text}'");
        let plain = text.split('+').next().unwrap_or(text);
        let (main, pre) = plain.split_once('-').map_or((plain, None), |(m, p)| (m, Some(p.split('.').collect())));
        let list: Vec<u64> = main.split('.').map(|p| p.parse().map_err(|_| invalid())).collect::<Result<_, _>>()?;
        if list.len() == 3 { Ok((list, pre)) } else { Err(invalid()) }
    }
    let ((x, p), (y, q)) = (read(a)?, read(b)?);
    Ok(x.cmp(&y).then_with(|| match (p, q) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(p), Some(q)) => {
            for (m, n) in p.iter().zip(&q) {
                let order = match (m.parse::<u64>(), n.parse::<u64>()) {
                    (Ok(m), Ok(n)) => m.cmp(&n),
                    (Ok(_), Err(_)) => Ordering::Less,
                    (Err(_), Ok(_)) => Ordering::Greater,
                    (Err(_), Err(_)) => m.cmp(n),
                };
                if order != Ordering::Equal {
                    return order;
                }
            }
            p.len().cmp(&q.len())
        }
    }))
}

/// PEP 440: epoch, release, then dev < a < b < rc < (final) < post.
fn pep440(a: &str, b: &str) -> Result<Ordering, String> {
    type Key = (u64, Vec<u64>, i64, u64, i64);
    fn key(text: &str) -> Result<Key, String> {
        let invalid = || format!("Version comparison failed: Invalid version: '{text}'");
        let lower = text.trim().to_lowercase();
        let lower = lower.trim_start_matches('v').split('+').next().unwrap_or_default();
        let (epoch, rest) = match lower.split_once('!') {
            Some((e, r)) => (e.parse().map_err(|_| invalid())?, r),
            None => (0, lower),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let mut release: Vec<u64> = rest[..end]
            .trim_end_matches('.')
            .split('.')
            .map(|p| p.parse().map_err(|_| invalid()))
            .collect::<Result<_, _>>()?;
        while release.len() > 1 && release.last() == Some(&0) {
            release.pop();
        }
        let (mut stage, mut number, mut post) = (4i64, 0u64, 0i64);
        let mut tail = &rest[end..];
        while !tail.is_empty() {
            tail = tail.trim_start_matches(['.', '-', '_']);
            let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (word, after) = tail.split_at(letters);
            let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let (n, more) = after.split_at(digits);
            let n: u64 = if n.is_empty() { 0 } else { n.parse().map_err(|_| invalid())? };
            match word {
                "a" | "alpha" => (stage, number) = (1, n),
                "b" | "beta" => (stage, number) = (2, n),
                "rc" | "c" | "pre" | "preview" => (stage, number) = (3, n),
                "post" | "rev" | "r" => post = i64::try_from(n).unwrap_or(0) + 1,
                "dev" => {
                    if stage == 4 && post == 0 {
                        (stage, number) = (0, n);
                    } else {
                        post -= 1;
                    }
                }
                _ => return Err(invalid()),
            }
            if more == tail {
                return Err(invalid());
            }
            tail = more;
        }
        Ok((epoch, release, stage, number, post))
    }
    Ok(key(a)?.cmp(&key(b)?))
}
