//! Facts of a host, gathered by one script of few processes and named as Ansible names them (without the `ansible_` prefix).

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::script::{Reply, Script};

/// Where a host keeps facts of its own.
pub const LOCAL_DIR: &str = "/etc/ansible/facts.d";

/// Sections of the script's output begin with this.
const SECTION: &str = "@@";

/// Which facts are wanted.
struct Wanted {
    network: bool,
    hardware: bool,
    virtual_: bool,
}

impl Wanted {
    /// By Ansible's subsets: `all`, `min`, a name, or `!name`.
    fn of(subsets: &[String]) -> Self {
        let has = |name: &str| subsets.iter().any(|s| s == name);
        let not = |name: &str| has(&format!("!{name}"));
        let positive = subsets.iter().any(|s| !s.starts_with('!'));
        let all = (!positive || has("all")) && !not("all");
        let wants = |names: &[&str]| names.iter().any(|n| has(n)) || (all && !names.iter().any(|n| not(n)));
        Self {
            network: wants(&[
                "network",
                "interfaces",
                "default_ipv4",
                "default_ipv6",
                "all_ipv4_addresses",
                "all_ipv6_addresses",
            ]),
            hardware: wants(&[
                "hardware",
                "memory",
                "mounts",
                "devices",
                "processor",
                "processor_cores",
                "memtotal_mb",
            ]),
            virtual_: wants(&["virtual", "virtualization_type", "virtualization_role"]),
        }
    }
}

/// The script that gathers facts of these subsets (none: all).
pub fn script(subsets: &[String]) -> Script {
    let wanted = Wanted::of(subsets);
    let mut text = String::from(BASE);
    if wanted.network {
        text.push_str(NETWORK);
    }
    if wanted.hardware {
        text.push_str(HARDWARE);
    }
    if wanted.virtual_ {
        text.push_str(VIRTUAL);
    }
    text.push_str("exit 0\n");
    Script { constant: true, ..Script::new(text) }
}

const BASE: &str = r#"s() { echo "@@$1"; }
s uname; uname -s; uname -r; uname -m; uname -n; uname -v
s os; cat /etc/os-release /usr/lib/os-release 2>/dev/null
s debian; cat /etc/debian_version 2>/dev/null
s fqdn; hostname -f 2>/dev/null
s id; id -u; id -g; id -un; id -ru 2>/dev/null || id -u; id -rg 2>/dev/null || id -g
s passwd; getent passwd "$(id -u)" 2>/dev/null || grep "^$(id -un):" /etc/passwd
s date; date '+%Y %m %d %H %M %S %s %Z %z %a %j %u %V %U'; date -u '+%Y-%m-%dT%H:%M:%SZ'
s init; cat /proc/1/comm 2>/dev/null; [ -d /run/systemd/system ] && echo systemd; [ -x /sbin/openrc-run ] && echo openrc
s pkg; for p in apt-get dnf yum zypper apk pacman; do command -v $p; done 2>/dev/null
s tools; p=$(command -v python3 2>/dev/null) && { echo "$p"; case $(readlink -f "$p" 2>/dev/null) in */python3.*) readlink -f "$p";; *) "$p" -V 2>&1;; esac; }
s selinux; [ -e /sys/fs/selinux/enforce ] && cat /sys/fs/selinux/enforce
s apparmor; [ -d /sys/kernel/security/apparmor ] && echo enabled
s machine; cat /etc/machine-id 2>/dev/null
s cmdline; cat /proc/cmdline 2>/dev/null
s dns; cat /etc/resolv.conf 2>/dev/null
s keys; for f in /etc/ssh/ssh_host_*_key.pub; do [ -r "$f" ] && cat "$f"; done
s local; for f in /etc/ansible/facts.d/*.fact; do [ -r "$f" ] || continue; echo "@=$f"; if [ -x "$f" ]; then "$f" </dev/null; else cat "$f"; fi; done
s root; [ /proc/1/root/. -ef /proc/self/root/. ] 2>/dev/null && echo same
s env; env
"#;

const NETWORK: &str = r#"s ip; ip -o addr show 2>/dev/null
s link; ip -o link show 2>/dev/null
s route4; ip -4 route get 8.8.8.8 2>/dev/null | head -n 1
s route6; ip -6 route get 2404:6800:400a:800::1012 2>/dev/null | head -n 1
"#;

const HARDWARE: &str = r#"s meminfo; cat /proc/meminfo 2>/dev/null
s cpuinfo; grep -E '^(processor|model name|vendor_id|physical id|cpu cores|siblings|Model|Processor)' /proc/cpuinfo 2>/dev/null
s nproc; nproc 2>/dev/null
s uptime; cat /proc/uptime 2>/dev/null
s loadavg; cat /proc/loadavg 2>/dev/null
s mounts; cat /proc/self/mounts 2>/dev/null
s df; df -kP 2>/dev/null
s dmi; for f in product_name product_version sys_vendor product_serial product_uuid bios_version bios_date bios_vendor board_name board_vendor chassis_vendor; do [ -r /sys/class/dmi/id/$f ] && { printf '%s=' $f; cat /sys/class/dmi/id/$f; }; done 2>/dev/null
s block; for d in /sys/block/*; do [ -r "$d/size" ] && echo "${d##*/} $(cat "$d/size") $(cat "$d/removable" 2>/dev/null) $(cat "$d/queue/rotational" 2>/dev/null)"; done
"#;

const VIRTUAL: &str = r#"s virt; command -v systemd-detect-virt >/dev/null 2>&1 && systemd-detect-virt 2>/dev/null
s container; cat /run/systemd/container 2>/dev/null; [ -e /.dockerenv ] && echo docker; tr '\0' '\n' </proc/1/environ 2>/dev/null | grep '^container='
"#;

/// Facts of the script's reply.
///
/// # Errors
/// A reply that holds no facts.
pub fn parse(reply: &Reply) -> anyhow::Result<Map<String, Value>> {
    let text = reply.out();
    let mut sections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut current: Option<&str> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix(SECTION) {
            current = Some(name);
            sections.entry(name).or_default();
        } else if let Some(name) = current {
            sections.entry(name).or_default().push(line);
        }
    }
    anyhow::ensure!(sections.contains_key("uname"), reply.failure("the host gave no facts"));
    let get = |name: &str| sections.get(name).map(Vec::as_slice).unwrap_or_default();
    let line = |name: &str, at: usize| get(name).get(at).copied().unwrap_or_default().trim();
    let mut facts = Map::new();
    system(&mut facts, &line);
    distribution(&mut facts, get("os"), line("debian", 0));
    user(&mut facts, &line);
    date(&mut facts, line("date", 0), line("date", 1)).context("the host's `date` is not understood")?;
    manager(&mut facts, get("init"), get("pkg"));
    miscellaneous(&mut facts, &sections);
    if sections.contains_key("ip") {
        network(&mut facts, &sections);
    }
    if sections.contains_key("meminfo") {
        hardware(&mut facts, &sections);
    }
    if sections.contains_key("virt") {
        virtualization(&mut facts, &sections);
    }
    facts.insert("gather_subset".into(), json!(["all"]));
    facts.insert("module_setup".into(), json!(true));
    Ok(facts)
}

fn put(facts: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    facts.insert(name.to_owned(), value.into());
}

fn system<'a>(facts: &mut Map<String, Value>, line: &dyn Fn(&'a str, usize) -> &'a str) {
    let machine = line("uname", 2);
    let nodename = line("uname", 3);
    let fqdn = Some(line("fqdn", 0)).filter(|f| !f.is_empty()).unwrap_or(nodename);
    put(facts, "system", line("uname", 0));
    put(facts, "kernel", line("uname", 1));
    put(facts, "kernel_version", line("uname", 4));
    put(facts, "machine", machine);
    put(facts, "architecture", if machine.starts_with('i') && machine.ends_with("86") { "i386" } else { machine });
    put(facts, "userspace_architecture", machine);
    put(facts, "userspace_bits", if machine.contains("64") { "64" } else { "32" });
    put(facts, "nodename", nodename);
    put(facts, "hostname", nodename.split('.').next().unwrap_or_default());
    put(facts, "fqdn", fqdn);
    put(facts, "domain", fqdn.split_once('.').map(|(_, d)| d).unwrap_or_default());
    put(facts, "machine_id", line("machine", 0));
}

fn distribution(facts: &mut Map<String, Value>, os: &[&str], debian: &str) {
    let mut values: BTreeMap<&str, String> = BTreeMap::new();
    for line in os {
        if let Some((name, value)) = line.split_once('=') {
            values.entry(name).or_insert_with(|| value.trim().trim_matches(['"', '\'']).to_owned());
        }
    }
    let get = |name: &str| values.get(name).cloned().unwrap_or_default();
    let id = get("ID");
    let name = match id.as_str() {
        "debian" => "Debian",
        "ubuntu" => "Ubuntu",
        "fedora" => "Fedora",
        "centos" => "CentOS",
        "rhel" => "RedHat",
        "rocky" => "Rocky",
        "almalinux" => "AlmaLinux",
        "alpine" => "Alpine",
        "arch" => "Archlinux",
        "amzn" => "Amazon",
        "opensuse-leap" => "openSUSE Leap",
        "sles" => "SLES",
        "raspbian" => "Debian",
        "linuxmint" => "Linux Mint",
        _ => "",
    };
    let name =
        if name.is_empty() { get("NAME").split(' ').next().unwrap_or_default().to_owned() } else { name.to_owned() };
    let like = format!("{id} {}", get("ID_LIKE"));
    let family = if like.contains("debian") || like.contains("ubuntu") {
        "Debian"
    } else if like.contains("rhel") || like.contains("fedora") || id == "amzn" {
        "RedHat"
    } else if like.contains("suse") {
        "Suse"
    } else if id == "arch" {
        "Archlinux"
    } else if id == "alpine" {
        "Alpine"
    } else {
        &name
    };
    let mut version = get("VERSION_ID");
    if name == "Debian" && debian.starts_with(|c: char| c.is_ascii_digit()) {
        version = debian.to_owned();
    }
    let major = version.split('.').next().unwrap_or_default().to_owned();
    let codename = get("VERSION_CODENAME");
    put(facts, "os_family", family);
    put(facts, "distribution", name.clone());
    put(facts, "distribution_version", version.clone());
    put(facts, "distribution_major_version", major.clone());
    put(facts, "distribution_release", codename.clone());
    put(facts, "distribution_file_path", "/etc/os-release");
    put(facts, "distribution_file_variety", family);
    put(
        facts,
        "lsb",
        json!({"id": name, "release": version, "major_release": major, "codename": codename, "description": get("PRETTY_NAME")}),
    );
}

fn user<'a>(facts: &mut Map<String, Value>, line: &dyn Fn(&'a str, usize) -> &'a str) {
    let number = |text: &str| text.parse::<i64>().map_or(Value::Null, Value::from);
    let passwd: Vec<&str> = line("passwd", 0).split(':').collect();
    let field = |at: usize| passwd.get(at).copied().unwrap_or_default();
    put(facts, "user_uid", number(line("id", 0)));
    put(facts, "user_gid", number(line("id", 1)));
    put(facts, "user_id", line("id", 2));
    put(facts, "effective_user_id", number(line("id", 0)));
    put(facts, "effective_group_id", number(line("id", 1)));
    put(facts, "real_user_id", number(line("id", 3)));
    put(facts, "real_group_id", number(line("id", 4)));
    put(facts, "user_gecos", field(4));
    put(facts, "user_dir", field(5));
    put(facts, "user_shell", field(6));
}

fn date(facts: &mut Map<String, Value>, local: &str, utc: &str) -> Option<()> {
    let parts: Vec<&str> = local.split(' ').collect();
    let [year, month, day, hour, minute, second, epoch, tz, offset, weekday, _, number, week, ..] = parts[..] else {
        return None;
    };
    let weekdays = [
        ("Mon", "Monday"),
        ("Tue", "Tuesday"),
        ("Wed", "Wednesday"),
        ("Thu", "Thursday"),
        ("Fri", "Friday"),
        ("Sat", "Saturday"),
        ("Sun", "Sunday"),
    ];
    let long = weekdays.iter().find(|(short, _)| *short == weekday).map_or(weekday, |(_, long)| long);
    put(
        facts,
        "date_time",
        json!({
            "year": year, "month": month, "day": day, "hour": hour, "minute": minute, "second": second,
            "epoch": epoch, "epoch_int": epoch, "date": format!("{year}-{month}-{day}"), "time": format!("{hour}:{minute}:{second}"),
            "tz": tz, "tz_offset": offset, "tz_dst": tz, "weekday": long, "weekday_number": number, "weeknumber": week,
            "iso8601": utc, "iso8601_micro": utc.replace('Z', ".000000Z"),
            "iso8601_basic": format!("{year}{month}{day}T{hour}{minute}{second}000000"),
            "iso8601_basic_short": format!("{year}{month}{day}T{hour}{minute}{second}"),
        }),
    );
    Some(())
}

fn manager(facts: &mut Map<String, Value>, init: &[&str], pkg: &[&str]) {
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

fn miscellaneous(facts: &mut Map<String, Value>, sections: &BTreeMap<&str, Vec<&str>>) {
    let get = |name: &str| sections.get(name).map(Vec::as_slice).unwrap_or_default();
    let mut env = Map::new();
    for line in get("env") {
        if let Some((name, value)) = line.split_once('=')
            && !name.starts_with("crud_")
        {
            env.insert(name.to_owned(), value.into());
        }
    }
    put(facts, "env", Value::Object(env));
    let selinux = match get("selinux").first().copied() {
        Some("1") => json!({"status": "enabled", "mode": "enforcing"}),
        Some("0") => json!({"status": "enabled", "mode": "permissive"}),
        _ => json!({"status": "disabled"}),
    };
    put(facts, "selinux", selinux);
    put(facts, "apparmor", json!({"status": if get("apparmor").is_empty() { "disabled" } else { "enabled" }}));
    let mut cmdline = Map::new();
    for word in get("cmdline").iter().flat_map(|l| l.split_whitespace()) {
        match word.split_once('=') {
            Some((name, value)) => cmdline.insert(name.to_owned(), value.into()),
            None => cmdline.insert(word.to_owned(), true.into()),
        };
    }
    put(facts, "proc_cmdline", Value::Object(cmdline.clone()));
    put(facts, "cmdline", Value::Object(cmdline));
    let words = |key: &str| -> Vec<&str> {
        get("dns").iter().filter_map(|l| l.strip_prefix(key)).flat_map(str::split_whitespace).collect()
    };
    put(facts, "dns", json!({"nameservers": words("nameserver "), "search": words("search ")}));
    for key in get("keys") {
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
    put(facts, "local", local(get("local")));
    put(facts, "is_chroot", get("root").is_empty() && facts.get("user_uid") == Some(&json!(0)));
    put(facts, "fips", false);
    if let Some((executable, version)) = get("tools").split_first() {
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

fn network(facts: &mut Map<String, Value>, sections: &BTreeMap<&str, Vec<&str>>) {
    let get = |name: &str| sections.get(name).map(Vec::as_slice).unwrap_or_default();
    let mut interfaces: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    let mut order = vec![];
    for line in get("link") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(name) = words.get(1).map(|n| n.trim_end_matches(':').split('@').next().unwrap_or_default().to_owned())
        else {
            continue;
        };
        let after = |key: &str| words.iter().position(|w| *w == key).and_then(|i| words.get(i + 1)).copied();
        let flags = words.get(2).copied().unwrap_or_default();
        let mut map = Map::new();
        put(&mut map, "device", name.clone());
        put(&mut map, "active", flags.contains("UP"));
        put(&mut map, "mtu", after("mtu").and_then(|m| m.parse::<i64>().ok()).unwrap_or(0));
        put(&mut map, "promisc", flags.contains("PROMISC"));
        put(
            &mut map,
            "type",
            if flags.contains("LOOPBACK") {
                "loopback"
            } else if line.contains("bridge") {
                "bridge"
            } else {
                "ether"
            },
        );
        if let Some(mac) = after("link/ether") {
            put(&mut map, "macaddress", mac);
        }
        order.push(name.clone());
        interfaces.insert(name, map);
    }
    let (mut all4, mut all6) = (vec![], vec![]);
    for line in get("ip") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, name, family, address, ..] = words[..] else { continue };
        let Some(map) = interfaces.get_mut(name) else { continue };
        let (ip, prefix) = address.split_once('/').unwrap_or((address, "32"));
        let prefix: u32 = prefix.parse().unwrap_or(32);
        if family == "inet" {
            if name != "lo" {
                all4.push(ip.to_owned());
            }
            let entry =
                ipv4(ip, prefix, words.iter().position(|w| *w == "brd").and_then(|i| words.get(i + 1)).copied());
            if map.contains_key("ipv4") {
                if let Value::Array(more) = map.entry("ipv4_secondaries").or_insert_with(|| json!([])) {
                    more.push(entry);
                }
            } else {
                map.insert("ipv4".into(), entry);
            }
        } else if family == "inet6" {
            let scope =
                words.iter().position(|w| *w == "scope").and_then(|i| words.get(i + 1)).copied().unwrap_or_default();
            if scope != "host" {
                all6.push(ip.to_owned());
            }
            if let Value::Array(list) = map.entry("ipv6").or_insert_with(|| json!([])) {
                list.push(json!({"address": ip, "prefix": prefix.to_string(), "scope": scope}));
            }
        }
    }
    for (section, fact, family) in [("route4", "default_ipv4", "ipv4"), ("route6", "default_ipv6", "ipv6")] {
        let words: Vec<&str> = get(section).first().map(|l| l.split_whitespace().collect()).unwrap_or_default();
        let after = |key: &str| words.iter().position(|w| *w == key).and_then(|i| words.get(i + 1)).copied();
        let mut map = Map::new();
        if let (Some(device), Some(source)) = (after("dev"), after("src")) {
            put(&mut map, "interface", device);
            put(&mut map, "address", source);
            if let Some(gateway) = after("via") {
                put(&mut map, "gateway", gateway);
            }
            if let Some(interface) = interfaces.get(device) {
                for key in ["macaddress", "mtu", "type"] {
                    if let Some(value) = interface.get(key) {
                        put(&mut map, key, value.clone());
                    }
                }
                put(&mut map, "alias", device);
                if let Some(Value::Object(entry)) = interface.get(family) {
                    for (key, value) in entry {
                        map.entry(key.clone()).or_insert_with(|| value.clone());
                    }
                }
            }
        }
        put(facts, fact, Value::Object(map));
    }
    put(facts, "all_ipv4_addresses", all4);
    put(facts, "all_ipv6_addresses", all6);
    put(facts, "interfaces", order);
    for (name, map) in interfaces {
        put(facts, &name.replace(['-', '.', ':'], "_"), Value::Object(map));
    }
}

fn ipv4(ip: &str, prefix: u32, broadcast: Option<&str>) -> Value {
    let mask = if prefix == 0 { 0 } else { u32::MAX << (32 - prefix.min(32)) };
    let address: u32 = ip.parse::<std::net::Ipv4Addr>().map_or(0, u32::from);
    let dotted = |n: u32| std::net::Ipv4Addr::from(n).to_string();
    json!({
        "address": ip, "netmask": dotted(mask), "network": dotted(address & mask), "prefix": prefix.to_string(),
        "broadcast": broadcast.unwrap_or_default(),
    })
}

fn hardware(facts: &mut Map<String, Value>, sections: &BTreeMap<&str, Vec<&str>>) {
    let get = |name: &str| sections.get(name).map(Vec::as_slice).unwrap_or_default();
    let memory = |key: &str| -> i64 {
        let line = get("meminfo").iter().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|l| l.split_whitespace().next()?.parse::<i64>().ok()).unwrap_or(0) / 1024
    };
    let (total, free) = (memory("MemTotal"), memory("MemFree"));
    let (swap, swap_free) = (memory("SwapTotal"), memory("SwapFree"));
    let (cached, buffers, swap_cached) = (memory("Cached"), memory("Buffers"), memory("SwapCached"));
    put(facts, "memtotal_mb", total);
    put(facts, "memfree_mb", free);
    put(facts, "swaptotal_mb", swap);
    put(facts, "swapfree_mb", swap_free);
    put(
        facts,
        "memory_mb",
        json!({
            "real": {"total": total, "free": free, "used": total - free},
            "nocache": {"free": free + cached + buffers, "used": total - free - cached - buffers},
            "swap": {"total": swap, "free": swap_free, "used": swap - swap_free, "cached": swap_cached},
        }),
    );
    processors(facts, get("cpuinfo"), get("nproc"));
    if let Some(seconds) = get("uptime").first().and_then(|l| l.split('.').next()?.parse::<i64>().ok()) {
        put(facts, "uptime_seconds", seconds);
    }
    let load: Vec<f64> = get("loadavg")
        .first()
        .map(|l| l.split(' ').take(3).filter_map(|n| n.parse().ok()).collect())
        .unwrap_or_default();
    if let [one, five, fifteen] = load[..] {
        put(facts, "loadavg", json!({"1m": one, "5m": five, "15m": fifteen}));
    }
    mounts(facts, get("mounts"), get("df"));
    for line in get("dmi") {
        if let Some((name, value)) = line.split_once('=') {
            put(facts, if name == "sys_vendor" { "system_vendor" } else { name }, value.trim());
        }
    }
    let mut devices = Map::new();
    for line in get("block") {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, sectors, rest @ ..] = &words[..] else { continue };
        let flag = |at: usize| rest.get(at).copied().unwrap_or("0");
        devices.insert((*name).to_owned(), json!({"sectors": sectors, "removable": flag(0), "rotational": flag(1)}));
    }
    put(facts, "devices", Value::Object(devices));
}

fn processors(facts: &mut Map<String, Value>, cpuinfo: &[&str], nproc: &[&str]) {
    let mut list = vec![];
    let mut sockets = std::collections::BTreeSet::new();
    let (mut count, mut cores, mut siblings) = (0i64, 1i64, 1i64);
    for line in cpuinfo {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        match key {
            "processor" => {
                count += 1;
                list.push(value.to_owned());
            }
            "vendor_id" | "model name" | "Model" | "Processor" => list.push(value.to_owned()),
            "physical id" => {
                sockets.insert(value.to_owned());
            }
            "cpu cores" => cores = value.parse().unwrap_or(1),
            "siblings" => siblings = value.parse().unwrap_or(1),
            _ => {}
        }
    }
    let nproc = nproc.first().and_then(|n| n.parse().ok()).unwrap_or(count);
    let sockets = i64::try_from(sockets.len()).unwrap_or(0);
    let threads = (siblings / cores.max(1)).max(1);
    put(facts, "processor", list);
    put(facts, "processor_count", if sockets == 0 { count } else { sockets });
    put(facts, "processor_cores", cores);
    put(facts, "processor_threads_per_core", threads);
    put(facts, "processor_vcpus", if sockets == 0 { count } else { sockets * cores * threads });
    put(facts, "processor_nproc", nproc);
}

fn mounts(facts: &mut Map<String, Value>, mounts: &[&str], df: &[&str]) {
    let mut sizes: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for line in df.iter().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, total, _, available, _, mount] = words[..]
            && let (Ok(total), Ok(available)) = (total.parse::<i64>(), available.parse::<i64>())
        {
            sizes.insert(mount, (total * 1024, available * 1024));
        }
    }
    let mut all = vec![];
    for line in mounts {
        let words: Vec<&str> = line.split(' ').collect();
        let [device, mount, kind, options, ..] = words[..] else { continue };
        if !device.starts_with('/') && !device.contains(":/") && kind != "overlay" || kind == "none" {
            continue;
        }
        let (total, available) = sizes.get(mount).copied().unwrap_or((0, 0));
        all.push(json!({
            "device": device, "mount": mount, "fstype": kind, "options": options, "size_total": total, "size_available": available,
        }));
    }
    put(facts, "mounts", all);
}

fn virtualization(facts: &mut Map<String, Value>, sections: &BTreeMap<&str, Vec<&str>>) {
    let get = |name: &str| sections.get(name).map(Vec::as_slice).unwrap_or_default();
    let detected = get("virt").first().copied().unwrap_or("none");
    let container =
        get("container").iter().find_map(|l| Some(l.strip_prefix("container=").unwrap_or(l)).filter(|l| !l.is_empty()));
    let (kind, role) = match (container, detected) {
        (Some(container), _) => (container.to_owned(), "guest"),
        (None, "none" | "") => ("NA".to_owned(), "NA"),
        (None, other) => (if other == "microsoft" { "Hyper-V".into() } else { other.to_owned() }, "guest"),
    };
    put(facts, "virtualization_type", kind.clone());
    put(facts, "virtualization_role", role);
    let guests: Vec<String> = if role == "guest" { vec![kind] } else { vec![] };
    put(facts, "virtualization_tech_guest", guests);
    put(facts, "virtualization_tech_host", json!([]));
}
