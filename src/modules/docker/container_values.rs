//! Values of a container's options in the forms that people write: sizes, durations, ports, volumes, environment files.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde_json::{Map, Value, json};

/// Bytes of `64m`, `1.5G`, `512`.
pub(super) fn size(text: &str) -> anyhow::Result<i64> {
    let lower = text.trim().to_ascii_lowercase();
    if lower == "unlimited" || lower == "-1" {
        return Ok(-1);
    }
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &lower[digits.len()..] {
        "" | "b" => 1_f64,
        "k" | "kb" | "kib" => 1024_f64,
        "m" | "mb" | "mib" => 1024_f64.powi(2),
        "g" | "gb" | "gib" => 1024_f64.powi(3),
        "t" | "tb" | "tib" => 1024_f64.powi(4),
        "p" | "pb" | "pib" => 1024_f64.powi(5),
        other => bail!("`{text}` is no size: `{other}` is no unit"),
    };
    let number: f64 = digits.trim().parse().with_context(|| format!("`{text}` is no size"))?;
    #[expect(clippy::cast_possible_truncation, reason = "sizes of memory are far below 2^53")]
    Ok((number * unit) as i64)
}

/// Nanoseconds of `1m30s`, `5s`, `100ms`; a number alone is seconds.
pub(super) fn duration(text: &str) -> anyhow::Result<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(seconds * 1_000_000_000);
    }
    let (mut total, mut rest) = (0_i64, text);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: i64 = rest[..digits].parse().with_context(|| format!("`{text}` is no duration such as 1m30s"))?;
        let tail = &rest[digits..];
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        total += number
            * match &tail[..unit] {
                "h" => 3_600_000_000_000,
                "m" => 60_000_000_000,
                "s" => 1_000_000_000,
                "ms" => 1_000_000,
                "us" => 1_000,
                _ => bail!("`{text}` is no duration such as 1m30s"),
            };
        rest = &tail[unit..];
    }
    Ok(total)
}

/// A scalar's text, as it reaches a container: booleans in lower case are what YAML's authors meant.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        other => other.to_string(),
    }
}

/// `NAME=VALUE` lines of an environment file; comments and empty lines are left out.
pub(super) fn env_file(content: &str) -> BTreeMap<String, String> {
    content
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim()).to_owned()))
        .collect()
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

/// Published ports `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, each also a range: the engine's `PortBindings`.
pub(super) fn ports(specs: &[String], default_ip: &str) -> anyhow::Result<Map<String, Value>> {
    let mut bindings: Map<String, Value> = Map::new();
    for spec in specs {
        let (spec_ports, protocol) = spec.rsplit_once('/').unwrap_or((spec, "tcp"));
        let (ip, host, container) = split_port(spec_ports);
        let inside = range(container).with_context(|| format!("`{spec}` is no published port"))?;
        let outside = match host {
            None | Some("") => None,
            Some(host) => Some(range(host).with_context(|| format!("`{spec}` is no published port"))?),
        };
        if let Some(outside) = &outside
            && outside.len() != inside.len()
            && inside.len() != 1
        {
            bail!("`{spec}`: the ranges of ports have different lengths");
        }
        for (at, port) in inside.iter().enumerate() {
            let host_port = match &outside {
                None => String::new(),
                // One port of the container on any of several of the host.
                Some(outside) if inside.len() == 1 && outside.len() > 1 => {
                    format!("{}-{}", outside[0], outside[outside.len() - 1])
                }
                Some(outside) => outside[at].to_string(),
            };
            let ip = ip.unwrap_or(default_ip).trim_start_matches('[').trim_end_matches(']');
            let list = bindings.entry(format!("{port}/{protocol}")).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(json!({"HostIp": ip, "HostPort": host_port}));
            }
        }
    }
    Ok(bindings)
}

fn split_port(spec: &str) -> (Option<&str>, Option<&str>, &str) {
    let Some((rest, container)) = spec.rsplit_once(':') else { return (None, None, spec) };
    match rest.rsplit_once(':') {
        Some((ip, host)) => (Some(ip), Some(host), container),
        None if rest.contains('.') => (Some(rest), None, container),
        None => (None, Some(rest), container),
    }
}

/// The ports of `80` or `80-82`.
pub(super) fn range(text: &str) -> anyhow::Result<Vec<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.trim().parse()?, last.trim().parse()?);
    anyhow::ensure!(first <= last, "{text} is no range");
    Ok((first..=last).collect())
}

/// `SOURCE:TARGET[:MODE]` in the engine's form: relative sources are refused, a mode that says nothing is left out.
pub(super) fn bind(spec: &str) -> anyhow::Result<Result<String, String>> {
    let parts: Vec<&str> = spec.split(':').collect();
    Ok(match parts.as_slice() {
        // A path alone is an anonymous volume.
        [target] => Err((*target).to_owned()),
        [source, target] => Ok(format!("{}:{target}:rw", checked(source)?)),
        [source, target, mode] => {
            let write = mode.split(',').any(|word| word == "ro" || word == "rw");
            let mode = if write { (*mode).to_owned() } else { format!("rw,{mode}") };
            Ok(format!("{}:{target}:{mode}", checked(source)?))
        }
        _ => bail!("`{spec}` is no volume of the form SOURCE:TARGET[:MODE]"),
    })
}

fn checked(source: &str) -> anyhow::Result<&str> {
    anyhow::ensure!(
        !source.starts_with('.') && !source.starts_with('~'),
        "the volume's source `{source}` is relative: only whole paths mean the same on the host"
    );
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        assert_eq!(size("64m").unwrap(), 64 << 20);
        assert_eq!(size("1.5G").unwrap(), 3 << 29);
        assert!(size("5x").is_err());
        assert_eq!(duration("1m30s").unwrap(), 90_000_000_000);
        assert_eq!(duration("5").unwrap(), 5_000_000_000);
        assert!(duration("soon").is_err());
    }

    #[test]
    fn ports_in_all_forms() {
        let of = |spec: &str| Value::Object(ports(&[spec.to_owned()], "0.0.0.0").unwrap());
        assert_eq!(of("80"), json!({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}]}));
        assert_eq!(of("8080:80/udp"), json!({"80/udp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}));
        assert_eq!(of("127.0.0.1:8080:80"), json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}));
        assert_eq!(of("127.0.0.1::80"), json!({"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}));
        assert_eq!(of("[::1]:8080:80"), json!({"80/tcp": [{"HostIp": "::1", "HostPort": "8080"}]}));
        assert_eq!(of("8000-8001:80-81").as_object().unwrap().len(), 2);
        assert!(ports(&["a:b".to_owned()], "0.0.0.0").is_err());
    }

    #[test]
    fn environment_files() {
        let env = env_file("# comment\nA=1\n\n B = two words \nC='x=y'\nnothing\n");
        assert_eq!(
            env.into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(),
            ["A=1", "B=two words", "C=x=y"]
        );
    }
}
