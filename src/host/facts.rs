//! Facts of a host, gathered by one script of few processes and named as Ansible names them (without the `ansible_` prefix).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use super::script::{Reply, Script};

mod hardware;
mod network;
mod services;
mod system;

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
    text.push_str(END);
    Script { constant: true, ..Script::new(text) }
}

/// Each program costs a millisecond or more on the host, so that one `head` reads all the small files there are, and the shell itself
/// does what it can. Sections that others may write to (local facts, the environment) come last.
const BASE: &str = r#"exec 2>/dev/null; p=$PATH; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; s() { echo "@@$1"; }
s machine; uname -m
s fqdn; hostname -f
s id; i=$(id); echo "$i"; u=${i#uid=}; u=${u%%[!0-9]*}
s passwd; getent passwd "$u" || grep "^[^:]*:[^:]*:$u:" /etc/passwd
s date; date '+%Y %m %d %H %M %S %s %Z %z %A %j %w %W %N'
s init; [ -d /run/systemd/system ] && echo systemd; [ -x /sbin/openrc-run ] && echo openrc
s pkg; for c in apt-get dnf yum zypper apk pacman; do command -v $c; done
s tools; c=$(command -v python3) && { echo "$c"; l=$(readlink -f "$c"); case $l in */python3.*) echo "$l" ;; *) "$c" -V 2>&1 ;; esac; }
s apparmor; [ -d /sys/kernel/security/apparmor ] && echo enabled
s docker; [ -e /.dockerenv ] && echo docker
s root; if [ /proc/1/root/. -ef / ]; then echo same; elif [ -d /proc/1/root/. ]; then echo other; else ls -di /; fi
set -- /proc/sys/kernel/ostype /proc/sys/kernel/osrelease /proc/sys/kernel/version /proc/sys/kernel/hostname /etc/os-release /usr/lib/os-release /etc/debian_version /proc/1/comm /proc/1/environ /sys/fs/selinux/enforce /etc/machine-id /proc/cmdline /etc/resolv.conf /run/systemd/container /etc/ssh/ssh_host_*_key.pub
"#;

const NETWORK: &str = r#"s ip; ip -o addr show
s route4; ip -4 route get 8.8.8.8
s route6; ip -6 route get 2404:6800:400a:800::1012
s ports; echo /sys/class/net/*/brif/*
for d in /sys/class/net/*; do set -- "$@" $d/address $d/mtu $d/operstate $d/flags $d/type $d/speed $d/bridge/bridge_id $d/bridge/stp_state; done
"#;

const HARDWARE: &str = r#"s cpuinfo; sed -nE -e '1,/^flags/{/^flags/p;}' -e '/^(processor|model name|vendor_id|physical id|cpu cores|siblings|Model|Processor)/p' /proc/cpuinfo
s nproc; nproc
s uuid; [ -d /dev/disk/by-uuid ] && ls -l /dev/disk/by-uuid
s stat; f=$#; while read -r d m t; do case $m in *\\*) continue ;; esac; case $d in /*|*:/*) set -- "$@" "$m" ;; esac; done </proc/self/mounts
t=; command -v timeout >/dev/null && t='timeout 10'; (shift $f; [ $# = 0 ] || $t stat -f -c '%n %s %S %b %f %a %c %d' "$@")
n=0; for a; do shift; n=$((n+1)); [ $n -gt $f ] || set -- "$@" "$a"; done
set -- "$@" /proc/meminfo /proc/uptime /proc/loadavg /proc/self/mounts
for d in /sys/block/*; do set -- "$@" $d/size $d/removable $d/queue/rotational $d/queue/scheduler $d/queue/logical_block_size $d/queue/discard_granularity $d/device/vendor $d/device/model $d/*/start $d/*/size; done
for a in product_name product_version product_serial product_uuid sys_vendor bios_version bios_date bios_vendor board_asset_tag board_name board_serial board_vendor board_version chassis_asset_tag chassis_serial chassis_vendor chassis_version; do set -- "$@" /sys/class/dmi/id/$a; done
"#;

const VIRTUAL: &str = "s virt; systemd-detect-virt\n";

const END: &str = r#"s files; head -n 9999 "$@"
echo; s local; for f in /etc/ansible/facts.d/*.fact; do [ -r "$f" ] || continue; echo "@=$f"; if [ -x "$f" ]; then "$f" </dev/null; else cat "$f"; fi; done
s env; PATH=$p; env
exit 0
"#;

/// What the host said: lines of sections and of files, by their names.
struct Said<'a> {
    sections: BTreeMap<&'a str, Vec<&'a str>>,
    files: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Said<'a> {
    fn new(text: &'a str) -> Self {
        let mut said = Self { sections: BTreeMap::new(), files: BTreeMap::new() };
        let (mut section, mut file) = ("", "");
        for line in text.lines() {
            if section == "env" {
                said.sections.entry(section).or_default().push(line);
            } else if let Some(name) = line.strip_prefix(SECTION) {
                section = name;
                said.sections.entry(section).or_default();
            } else if section != "files" {
                said.sections.entry(section).or_default().push(line);
            } else if let Some(name) = line.strip_prefix("==> ").and_then(|l| l.strip_suffix(" <==")) {
                file = name;
                said.files.entry(file).or_default();
            } else {
                said.files.entry(file).or_default().push(line);
            }
        }
        said
    }

    fn has(&self, section: &str) -> bool {
        self.sections.contains_key(section)
    }

    fn section(&self, name: &str) -> &[&'a str] {
        self.sections.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The first line of a section, or nothing.
    fn line(&self, name: &str) -> &'a str {
        self.section(name).first().copied().unwrap_or_default().trim()
    }

    fn file(&self, path: &str) -> &[&'a str] {
        self.files.get(path).map(Vec::as_slice).unwrap_or_default()
    }

    /// The first line of a file, where there is one that is not empty.
    fn word(&self, path: &str) -> Option<&'a str> {
        self.file(path).first().map(|line| line.trim()).filter(|line| !line.is_empty())
    }

    fn number(&self, path: &str) -> Option<i64> {
        self.word(path)?.parse().ok()
    }

    /// Names of the entries of a directory that files were read of.
    fn entries(&self, directory: &str) -> BTreeSet<&'a str> {
        self.files
            .keys()
            .filter_map(|path| path.strip_prefix(directory))
            .filter_map(|rest| rest.split('/').next())
            .collect()
    }
}

/// Facts of the script's reply.
///
/// # Errors
/// A reply that holds no facts.
pub fn parse(reply: &Reply) -> anyhow::Result<Map<String, Value>> {
    let text = reply.out();
    let said = Said::new(&text);
    anyhow::ensure!(said.has("machine"), reply.failure("the host gave no facts"));
    let mut facts = Map::new();
    system::system(&mut facts, &said);
    system::distribution(&mut facts, &said);
    system::user(&mut facts, &said);
    system::date(&mut facts, said.line("date")).context("the host's `date` is not understood")?;
    services::manager(&mut facts, &said);
    services::miscellaneous(&mut facts, &said);
    if said.has("ip") {
        network::facts(&mut facts, &said);
    }
    if said.has("stat") {
        hardware::facts(&mut facts, &said);
    }
    if said.has("virt") {
        services::virtualization(&mut facts, &said);
    }
    facts.insert("gather_subset".into(), json!(["all"]));
    facts.insert("module_setup".into(), json!(true));
    Ok(facts)
}

fn put(facts: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    facts.insert(name.to_owned(), value.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str) -> Reply {
        Reply { stdout: text.as_bytes().to_vec(), ..Reply::default() }
    }

    #[test]
    fn a_host_in_words() {
        let facts = parse(&reply(concat!(
            "welcome\n@@machine\nx86_64\n@@fqdn\nweb.example.org\n@@id\nuid=1000(deploy) gid=1001(ops) euid=0(root) groups=1001(ops)\n",
            "@@passwd\nroot:x:0:0:Root:/root:/bin/bash\n@@date\n2026 11 26 23 30 01 1795735801 CET +0100 Thursday 330 4 47 123456789\n",
            "@@root\n131 /\n@@ip\n2: eth0    inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0\\ valid\n",
            "2: eth0    inet 192.0.2.3/24 scope global secondary eth0\\ valid\n2: eth0    inet6 fd00::2/64 scope global\n",
            "@@route4\n8.8.8.8 via 192.0.2.1 dev eth0 src 192.0.2.3 uid 0\n@@route6\n@@ports\n/sys/class/net/*/brif/*\n",
            "@@stat\n/srv/a b 4096 4096 1000 600 500 200 50\n@@uuid\nlrwxrwxrwx 1 root root 10 Nov 1 00:00 12-ab -> ../../vda1\n",
            "@@files\n==> /proc/sys/kernel/hostname <==\nweb\n\n==> /etc/os-release <==\nID=ubuntu\nVERSION_ID=\"24.04\"\nNAME=\"Ubuntu\"\n\n",
            "==> /sys/class/net/eth0/mtu <==\n1500\n\n==> /sys/class/net/eth0/type <==\n1\n\n==> /sys/class/net/bonding_masters <==\n\n",
            "==> /proc/self/mounts <==\n/dev/vda1 /srv/a\\040b ext4 rw 0 1\nproc /proc proc rw 0 0\nnas:/x /nfs nfs4 rw 0 0\n\n",
            "==> /sys/block/vda/size <==\n4194304\n\n==> /sys/block/vda/vda1/start <==\n2048\n\n==> /sys/block/vda/vda1/size <==\n2097152\n\n",
            "\n@@local\n@=/etc/ansible/facts.d/site.fact\n[main]\nName=west\n@=/etc/ansible/facts.d/j.fact\n{\"a\": 1}\n",
            "@@env\nHOME=/root\n@@machine\nlies\nA=b=c\n",
        )))
        .expect("facts");
        assert_eq!(facts["machine"], "x86_64");
        assert_eq!((&facts["hostname"], &facts["domain"]), (&json!("web"), &json!("example.org")));
        assert_eq!((&facts["user_uid"], &facts["real_user_id"]), (&json!(0), &json!(1000)));
        assert_eq!((&facts["user_id"], &facts["user_dir"]), (&json!("root"), &json!("/root")));
        assert_eq!(facts["date_time"]["iso8601_micro"], "2026-11-26T23:30:01.123456Z");
        assert_eq!((&facts["distribution"], &facts["distribution_minor_version"]), (&json!("Ubuntu"), &json!("04")));
        assert_eq!(facts["is_chroot"], true);
        assert_eq!(facts["interfaces"], json!(["eth0"]));
        assert_eq!(facts["default_ipv4"]["address"], "192.0.2.3");
        assert_eq!(facts["default_ipv4"]["netmask"], "255.255.255.0");
        assert_eq!(facts["eth0"]["ipv4_secondaries"][0]["address"], "192.0.2.3");
        assert_eq!(facts["all_ipv6_addresses"], json!(["fd00::2"]));
        assert_eq!(facts["default_ipv6"], json!({}));
        let mounts: Vec<&Value> = facts["mounts"].as_array().expect("a list").iter().map(|m| &m["mount"]).collect();
        assert_eq!(mounts, ["/srv/a\\040b", "/nfs"]);
        assert_eq!(facts["mounts"][0]["uuid"], "12-ab");
        assert_eq!(facts["devices"]["vda"]["size"], "2.00 GB");
        assert_eq!(facts["devices"]["vda"]["partitions"]["vda1"]["size"], "1.00 GB");
        assert_eq!(facts["local"], json!({"site": {"main": {"name": "west"}}, "j": {"a": 1}}));
        assert_eq!(facts["env"], json!({"HOME": "/root", "A": "b=c"}));
    }

    #[test]
    fn a_reply_without_facts_says_why() {
        let silent = Reply { status: 127, stderr: b"sh: not found".to_vec(), ..Reply::default() };
        assert!(parse(&silent).expect_err("no facts").to_string().contains("sh: not found"));
    }

    #[test]
    fn subsets() {
        let sections = |subsets: &[&str]| {
            let text = script(&subsets.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).text;
            ["s ip;", "s stat;", "s virt;"].map(|section| text.contains(section))
        };
        assert_eq!(sections(&[]), [true, true, true]);
        assert_eq!(sections(&["all"]), [true, true, true]);
        assert_eq!(sections(&["min"]), [false, false, false]);
        assert_eq!(sections(&["!all"]), [false, false, false]);
        assert_eq!(sections(&["!hardware"]), [true, false, true]);
        assert_eq!(sections(&["!all", "network"]), [true, false, false]);
        assert_eq!(sections(&["network", "virtual"]), [true, false, true]);
    }
}
