//! Facts of what manages services and packages, of security modules, the host's own facts, and virtualization.

use serde_json::{Map, Value, json};

use super::{Said, put};

pub(super) fn manager(facts: &mut Map<String, Value>, said: &Said) {
    let (init, pkg) = (said.section("init"), said.section("pkg"));
    let service = if init.contains(&"systemd") {
        "systemd"
    } else if init.contains(&"openrc") {
        "openrc"
    } else {
        "sysvinit"
    };
    put(facts, "service_mgr", service);
    let first = pkg.first().and_then(|p| p.rsplit('/').next()).unwrap_or("unknown");
    put(
        facts,
        "pkg_mgr",
        match first {
            "apt-get" => "apt",
            other => other,
        },
    );
}

pub(super) fn miscellaneous(facts: &mut Map<String, Value>, said: &Said) {
    let mut env = Map::new();
    for line in said.section("env") {
        if let Some((name, value)) = line.split_once('=')
            && !name.starts_with("crud_")
        {
            env.insert(name.to_owned(), value.into());
        }
    }
    put(facts, "env", Value::Object(env));
    let selinux = match said.word("/sys/fs/selinux/enforce") {
        Some("1") => json!({"status": "enabled", "mode": "enforcing"}),
        Some("0") => json!({"status": "enabled", "mode": "permissive"}),
        _ => json!({"status": "disabled"}),
    };
    put(facts, "selinux", selinux);
    put(facts, "apparmor", json!({"status": if said.section("apparmor").is_empty() { "disabled" } else { "enabled" }}));
    let mut cmdline = Map::new();
    for word in said.file("/proc/cmdline").iter().flat_map(|l| l.split_whitespace()) {
        match word.split_once('=') {
            Some((name, value)) => cmdline.insert(name.to_owned(), value.into()),
            None => cmdline.insert(word.to_owned(), true.into()),
        };
    }
    put(facts, "proc_cmdline", Value::Object(cmdline.clone()));
    put(facts, "cmdline", Value::Object(cmdline));
    let words = |key: &str| -> Vec<&str> {
        said.file("/etc/resolv.conf")
            .iter()
            .filter_map(|l| l.strip_prefix(key))
            .flat_map(str::split_whitespace)
            .collect()
    };
    let mut dns = Map::new();
    for (name, key) in [("nameservers", "nameserver "), ("search", "search ")] {
        let found = words(key);
        if !found.is_empty() {
            dns.insert(name.into(), found.into());
        }
    }
    if let Some(domain) = words("domain ").first() {
        dns.insert("domain".into(), (*domain).into());
    }
    put(facts, "dns", Value::Object(dns));
    for key in said.files.iter().filter(|(path, _)| path.starts_with("/etc/ssh/")).flat_map(|(_, lines)| lines) {
        let mut parts = key.split_whitespace();
        if let (Some(kind), Some(body)) = (parts.next(), parts.next()) {
            let short = match kind {
                "ssh-rsa" => "rsa",
                "ssh-ed25519" => "ed25519",
                k if k.starts_with("ecdsa") => "ecdsa",
                _ => "dsa",
            };
            put(facts, &format!("ssh_host_key_{short}_public"), body);
            put(facts, &format!("ssh_host_key_{short}_public_keytype"), kind);
        }
    }
    put(facts, "local", local(said.section("local")));
    // As others see it: `/` is not the root of process 1 or, where that can't be read, no root of a usual file system by its inode.
    let chroot = match said.line("root") {
        "same" => false,
        "other" => true,
        inode => !matches!(inode.split(' ').next(), Some("2" | "128" | "256")),
    };
    put(facts, "is_chroot", chroot);
    put(facts, "fips", false);
    if let Some((executable, version)) = said.section("tools").split_first() {
        python(facts, executable, version.first().copied().unwrap_or_default());
    }
}

/// Python, where the host has one: nothing here needs it, but playbooks ask. The version comes from the name that a link leads to, or
/// from `python3 -V`.
fn python(facts: &mut Map<String, Value>, executable: &str, version: &str) {
    let version = version.rsplit_once("python").map_or(version, |(_, version)| version);
    let version = version.strip_prefix("Python ").unwrap_or(version).trim();
    let parts: Vec<i64> = version.split('.').map_while(|part| part.parse().ok()).collect();
    let mut found = Map::new();
    found.insert("executable".into(), executable.into());
    found.insert("type".into(), "cpython".into());
    if !parts.is_empty() {
        let named: Map<String, Value> = ["major", "minor", "micro"]
            .iter()
            .zip(&parts)
            .map(|(name, part)| ((*name).to_owned(), (*part).into()))
            .collect();
        found.insert("version".into(), named.into());
        found.insert("version_info".into(), parts.clone().into());
        put(facts, "python_version", version);
    }
    put(facts, "python", Value::Object(found));
}

/// `facts.d`: JSON, or an INI file.
fn local(lines: &[&str]) -> Value {
    let mut files: Vec<(String, String)> = vec![];
    for line in lines {
        if let Some(path) = line.strip_prefix("@=") {
            let name = path.rsplit('/').next().unwrap_or_default().trim_end_matches(".fact").to_owned();
            files.push((name, String::new()));
        } else if let Some((_, text)) = files.last_mut() {
            text.push_str(line);
            text.push('\n');
        }
    }
    let mut all = Map::new();
    for (name, text) in files {
        let value = serde_json::from_str(&text).unwrap_or_else(|_| ini(&text));
        all.insert(name, value);
    }
    Value::Object(all)
}

fn ini(text: &str) -> Value {
    let mut sections = Map::new();
    let mut section: Option<String> = None;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = Some(name.to_owned());
            sections.entry(name.to_owned()).or_insert_with(|| json!({}));
        } else if let (Some((key, value)), Some(section)) = (line.split_once(['=', ':']), &section)
            && let Some(Value::Object(map)) = sections.get_mut(section)
        {
            map.insert(key.trim().to_lowercase(), value.trim().into());
        }
    }
    Value::Object(sections)
}

pub(super) fn virtualization(facts: &mut Map<String, Value>, said: &Said) {
    let detected = said.line("virt");
    let environ = said.file("/proc/1/environ").iter().flat_map(|line| line.split('\0'));
    let container = said
        .word("/run/systemd/container")
        .or_else(|| said.section("docker").first().copied())
        .or_else(|| environ.filter_map(|word| word.strip_prefix("container=")).find(|name| !name.is_empty()));
    let container = container.map(str::to_owned);
    let is_container = container.is_some();
    let (kind, role) = match (container, detected) {
        (Some(container), _) => (container, "guest"),
        (None, "none" | "") => ("NA".to_owned(), "NA"),
        (None, other) => (if other == "microsoft" { "Hyper-V".into() } else { other.to_owned() }, "guest"),
    };
    put(facts, "virtualization_type", kind.clone());
    put(facts, "virtualization_role", role);
    let kinds = if is_container { vec!["container".to_owned()] } else { vec![] };
    let guests: Vec<String> = if role == "guest" { [kinds, vec![kind]].concat() } else { vec![] };
    put(facts, "virtualization_tech_guest", guests);
    put(facts, "virtualization_tech_host", json!([]));
}
