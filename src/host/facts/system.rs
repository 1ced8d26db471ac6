//! Facts of the system, its distribution, the user and the time.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Said, put};

pub(super) fn system(facts: &mut Map<String, Value>, said: &Said) {
    let kernel = |name: &str| said.word(&format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    let machine = said.line("machine");
    let nodename = kernel("hostname");
    let fqdn = Some(said.line("fqdn")).filter(|f| !f.is_empty()).unwrap_or(nodename);
    put(facts, "system", kernel("ostype"));
    put(facts, "kernel", kernel("osrelease"));
    put(facts, "kernel_version", kernel("version"));
    put(facts, "machine", machine);
    put(facts, "architecture", if machine.starts_with('i') && machine.ends_with("86") { "i386" } else { machine });
    put(facts, "userspace_architecture", machine);
    put(facts, "userspace_bits", if machine.contains("64") { "64" } else { "32" });
    put(facts, "nodename", nodename);
    put(facts, "hostname", nodename.split('.').next().unwrap_or_default());
    put(facts, "fqdn", fqdn);
    put(facts, "domain", fqdn.split_once('.').map(|(_, d)| d).unwrap_or_default());
    put(facts, "machine_id", said.word("/etc/machine-id").unwrap_or_default());
}

pub(super) fn distribution(facts: &mut Map<String, Value>, said: &Said) {
    let os = Some(said.file("/etc/os-release")).filter(|os| !os.is_empty());
    let debian = said.word("/etc/debian_version").unwrap_or_default();
    let mut values: BTreeMap<&str, String> = BTreeMap::new();
    for line in os.unwrap_or_else(|| said.file("/usr/lib/os-release")) {
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
        debian.clone_into(&mut version);
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
    put(facts, "distribution_file_parsed", true);
    if let Some((_, minor)) = version.split_once('.') {
        put(facts, "distribution_minor_version", minor.split('.').next().unwrap_or_default());
    }
    put(
        facts,
        "lsb",
        json!({"id": name, "release": get("VERSION_ID"), "major_release": major, "codename": codename, "description": get("PRETTY_NAME")}),
    );
}

/// The number behind `NAME=` in what `id` says, and the name in brackets behind it.
fn identity<'a>(id: &'a str, name: &str) -> Option<(i64, &'a str)> {
    let rest = id.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    let (number, name) = rest.split_once('(').unwrap_or((rest, ")"));
    Some((number.parse().ok()?, name.trim_end_matches(')')))
}

pub(super) fn user(facts: &mut Map<String, Value>, said: &Said) {
    let id = said.line("id");
    let number = |found: Option<(i64, &str)>| found.map_or(Value::Null, |(number, _)| Value::from(number));
    let (uid, gid) = (identity(id, "uid"), identity(id, "gid"));
    let (effective, effective_group) = (identity(id, "euid").or(uid), identity(id, "egid").or(gid));
    let passwd: Vec<&str> = said.line("passwd").split(':').collect();
    let field = |at: usize| passwd.get(at).copied().unwrap_or_default();
    put(facts, "user_uid", number(effective));
    put(facts, "user_gid", number(effective_group));
    put(facts, "user_id", effective.map(|(_, name)| name).unwrap_or_default());
    put(facts, "effective_user_id", number(effective));
    put(facts, "effective_group_id", number(effective_group));
    put(facts, "real_user_id", number(uid));
    put(facts, "real_group_id", number(gid));
    put(facts, "user_gecos", field(4));
    put(facts, "user_dir", field(5));
    put(facts, "user_shell", field(6));
}

pub(super) fn date(facts: &mut Map<String, Value>, local: &str) -> Option<()> {
    let parts: Vec<&str> = local.split(' ').collect();
    let [year, month, day, hour, minute, second, epoch, tz, offset, weekday, _, number, week, rest @ ..] = &parts[..]
    else {
        return None;
    };
    let utc = jiff::Timestamp::from_second(epoch.parse().ok()?).ok()?.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    // Not every `date` knows nanoseconds.
    let nanoseconds = rest.first().filter(|n| n.len() == 9 && n.bytes().all(|b| b.is_ascii_digit()));
    let micro = nanoseconds.map_or("000000", |n| &n[..6]);
    put(
        facts,
        "date_time",
        json!({
            "year": year, "month": month, "day": day, "hour": hour, "minute": minute, "second": second,
            "epoch": epoch, "epoch_int": epoch, "date": format!("{year}-{month}-{day}"), "time": format!("{hour}:{minute}:{second}"),
            "tz": tz, "tz_offset": offset, "tz_dst": tz, "weekday": weekday, "weekday_number": number, "weeknumber": week,
            "iso8601": format!("{utc}Z"), "iso8601_micro": format!("{utc}.{micro}Z"),
            "iso8601_basic": format!("{year}{month}{day}T{hour}{minute}{second}{micro}"),
            "iso8601_basic_short": format!("{year}{month}{day}T{hour}{minute}{second}"),
        }),
    );
    Some(())
}
