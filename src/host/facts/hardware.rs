//! Facts of memory, processors, disks, mounts and the machine's make.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Said, put};

pub(super) fn facts(facts: &mut Map<String, Value>, said: &Said) {
    memory(facts, said.file("/proc/meminfo"));
    processors(facts, said.section("cpuinfo"), said.line("nproc"));
    if let Some(seconds) = said.word("/proc/uptime").and_then(|l| l.split('.').next()?.parse::<i64>().ok()) {
        put(facts, "uptime_seconds", seconds);
    }
    let load = said.word("/proc/loadavg").unwrap_or_default();
    let load: Vec<f64> = load.split(' ').take(3).filter_map(|n| n.parse().ok()).collect();
    if let [one, five, fifteen] = load[..] {
        put(facts, "loadavg", json!({"1m": one, "5m": five, "15m": fifteen}));
    }
    mounts(facts, said);
    for (fact, file) in DMI {
        put(facts, fact, said.word(&format!("/sys/class/dmi/id/{file}")).unwrap_or("NA"));
    }
    let mut devices = Map::new();
    for name in said.entries("/sys/block/") {
        devices.insert(name.to_owned(), device(said, name));
    }
    put(facts, "devices", Value::Object(devices));
}

/// Facts of the firmware, and their files.
const DMI: [(&str, &str); 17] = [
    ("product_name", "product_name"),
    ("product_version", "product_version"),
    ("product_serial", "product_serial"),
    ("product_uuid", "product_uuid"),
    ("system_vendor", "sys_vendor"),
    ("bios_version", "bios_version"),
    ("bios_date", "bios_date"),
    ("bios_vendor", "bios_vendor"),
    ("board_asset_tag", "board_asset_tag"),
    ("board_name", "board_name"),
    ("board_serial", "board_serial"),
    ("board_vendor", "board_vendor"),
    ("board_version", "board_version"),
    ("chassis_asset_tag", "chassis_asset_tag"),
    ("chassis_serial", "chassis_serial"),
    ("chassis_vendor", "chassis_vendor"),
    ("chassis_version", "chassis_version"),
];

fn memory(facts: &mut Map<String, Value>, meminfo: &[&str]) {
    let memory = |key: &str| -> i64 {
        let line = meminfo.iter().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
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
}

fn processors(facts: &mut Map<String, Value>, cpuinfo: &[&str], nproc: &str) {
    let mut list = vec![];
    let mut sockets = BTreeSet::new();
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
            "flags" => put(facts, "flags", value.split(' ').collect::<Vec<_>>()),
            _ => {}
        }
    }
    let nproc = nproc.parse().unwrap_or(count);
    let sockets = i64::try_from(sockets.len()).unwrap_or(0);
    let threads = (siblings / cores.max(1)).max(1);
    put(facts, "processor", list);
    put(facts, "processor_count", if sockets == 0 { count } else { sockets });
    put(facts, "processor_cores", cores);
    put(facts, "processor_threads_per_core", threads);
    put(facts, "processor_vcpus", if sockets == 0 { count } else { sockets * cores * threads });
    put(facts, "processor_nproc", nproc);
}

fn mounts(facts: &mut Map<String, Value>, said: &Said) {
    let mut sizes: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for line in said.section("stat") {
        // A mount point may hold blanks: the numbers are the last seven words.
        let words: Vec<&str> = line.rsplitn(8, ' ').collect();
        if let [numbers @ .., mount] = &words[..] {
            sizes.insert(mount, numbers.iter().rev().filter_map(|n| n.parse().ok()).collect());
        }
    }
    let uuids: BTreeMap<&str, &str> = said
        .section("uuid")
        .iter()
        .filter_map(|line| {
            let (before, target) = line.split_once(" -> ")?;
            Some((target.rsplit('/').next()?, before.rsplit(' ').next()?))
        })
        .collect();
    let mut all = vec![];
    for line in said.file("/proc/self/mounts") {
        let words: Vec<&str> = line.split(' ').collect();
        let [device, mount, kind, options, ..] = words[..] else { continue };
        if !device.starts_with('/') && !device.contains(":/") || kind == "none" {
            continue;
        }
        let word = device.rsplit('/').next().unwrap_or_default();
        let number = |at: usize| words.get(at).and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
        let mut entry = json!({
            "device": device, "mount": mount, "fstype": kind, "options": options, "dump": number(4), "passno": number(5),
            "uuid": uuids.get(word).copied().unwrap_or("N/A"),
        });
        if let (Some([size, fragment, total, _, available, inodes, inodes_free]), Value::Object(entry)) =
            (sizes.get(mount).map(Vec::as_slice), &mut entry)
        {
            for (name, value) in [
                ("size_total", total * fragment),
                ("size_available", available * fragment),
                ("block_size", *size),
                ("block_total", *total),
                ("block_available", *available),
                ("block_used", total - available),
                ("inode_total", *inodes),
                ("inode_available", *inodes_free),
                ("inode_used", inodes - inodes_free),
            ] {
                put(entry, name, value);
            }
        }
        all.push(entry);
    }
    put(facts, "mounts", all);
}

/// A block device by its files under `/sys/block`.
fn device(said: &Said, name: &str) -> Value {
    let word = |file: &str| said.word(&format!("/sys/block/{name}/{file}"));
    let scheduler = word("queue/scheduler").unwrap_or_default();
    let chosen = scheduler.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(mode, _)| mode);
    let sectors = said.number(&format!("/sys/block/{name}/size")).unwrap_or(0);
    let mut partitions = Map::new();
    for part in said.entries(&format!("/sys/block/{name}/")) {
        let number = |file: &str| said.number(&format!("/sys/block/{name}/{part}/{file}"));
        if let (Some(start), Some(sectors)) = (number("start"), number("size")) {
            partitions.insert(
                part.to_owned(),
                json!({"start": start.to_string(), "sectors": sectors, "sectorsize": 512, "size": size(sectors * 512)}),
            );
        }
    }
    json!({
        "sectors": sectors, "sectorsize": word("queue/logical_block_size").unwrap_or("512"), "size": size(sectors * 512),
        "removable": word("removable").unwrap_or("0"), "rotational": word("queue/rotational").unwrap_or("0"),
        "scheduler_mode": chosen, "support_discard": word("queue/discard_granularity").unwrap_or("0"),
        "vendor": word("device/vendor"), "model": word("device/model"), "partitions": partitions,
    })
}

/// A size with its unit, as Ansible writes it.
fn size(bytes: i64) -> String {
    let units = [(1i64 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")];
    let (unit, name) = units.into_iter().find(|(unit, _)| bytes >= *unit).unwrap_or((1, "Bytes"));
    // Hundredths suffice, and a disk of a petabyte still has them in an f64's 53 bits.
    let hundredths = i128::from(bytes) * 100 / i128::from(unit);
    format!("{}.{:02} {name}", hundredths / 100, hundredths % 100)
}
