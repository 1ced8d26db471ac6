//! Facts of interfaces, addresses and routes.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Said, put};

/// The word behind another.
fn after<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().position(|word| *word == key).and_then(|at| words.get(at + 1)).copied()
}

pub(super) fn facts(facts: &mut Map<String, Value>, said: &Said) {
    let mut interfaces: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for name in said.entries("/sys/class/net/") {
        // `bonding_masters` is a file there.
        if said.number(&format!("/sys/class/net/{name}/mtu")).is_some() {
            interfaces.insert(name, interface(said, name));
        }
    }
    let (mut all4, mut all6) = (vec![], vec![]);
    for line in said.section("ip") {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, name, family, address, ..] = words[..] else { continue };
        let name = name.split('@').next().unwrap_or(name);
        let map = interfaces.entry(name).or_default();
        let (ip, prefix) = address.split_once('/').unwrap_or((address, if family == "inet" { "32" } else { "128" }));
        if family == "inet" {
            if !ip.starts_with("127.") {
                all4.push(ip.to_owned());
            }
            let entry = ipv4(ip, prefix.parse().unwrap_or(32), after(&words, "brd"));
            if map.contains_key("ipv4") {
                if let Value::Array(more) = map.entry("ipv4_secondaries").or_insert_with(|| json!([])) {
                    more.push(entry);
                }
            } else {
                map.insert("ipv4".into(), entry);
            }
        } else if family == "inet6" {
            let scope = after(&words, "scope").unwrap_or_default();
            if ip != "::1" {
                all6.push(ip.to_owned());
            }
            if let Value::Array(list) = map.entry("ipv6").or_insert_with(|| json!([])) {
                list.push(json!({"address": ip, "prefix": prefix, "scope": scope}));
            }
        }
    }
    put(facts, "default_ipv4", default_route(said.line("route4"), &interfaces, "ipv4"));
    put(facts, "default_ipv6", default_route(said.line("route6"), &interfaces, "ipv6"));
    put(facts, "all_ipv4_addresses", all4);
    put(facts, "all_ipv6_addresses", all6);
    put(facts, "interfaces", interfaces.keys().copied().collect::<Vec<_>>());
    for (name, map) in interfaces {
        put(facts, &name.replace(['-', '.', ':'], "_"), Value::Object(map));
    }
}

/// An interface by its files under `/sys/class/net`.
fn interface(said: &Said, name: &str) -> Map<String, Value> {
    let path = |file: &str| format!("/sys/class/net/{name}/{file}");
    let mut map = Map::new();
    put(&mut map, "device", name);
    put(&mut map, "active", said.word(&path("operstate")) != Some("down"));
    put(&mut map, "mtu", said.number(&path("mtu")).unwrap_or(0));
    let flags = said.word(&path("flags")).and_then(|f| i64::from_str_radix(f.trim_start_matches("0x"), 16).ok());
    // IFF_PROMISC of linux/if.h.
    put(&mut map, "promisc", flags.is_some_and(|flags| flags & 0x100 != 0));
    let bridge = said.word(&path("bridge/bridge_id"));
    // ARPHRD_* of linux/if_arp.h.
    let kind = match said.number(&path("type")) {
        _ if bridge.is_some() => "bridge",
        Some(1) => "ether",
        Some(32) => "infiniband",
        Some(512) => "ppp",
        Some(772) => "loopback",
        Some(65534) => "tunnel",
        _ => "unknown",
    };
    put(&mut map, "type", kind);
    if kind != "loopback"
        && let Some(address) = said.word(&path("address"))
    {
        put(&mut map, "macaddress", address);
    }
    if let Some(speed) = said.number(&path("speed")) {
        put(&mut map, "speed", speed);
    }
    if let Some(id) = bridge {
        let prefix = path("brif/");
        let ports = said.section("ports").iter().flat_map(|line| line.split(' '));
        let ports: Vec<&str> =
            ports.filter_map(|port| port.strip_prefix(&prefix)).filter(|port| *port != "*").collect();
        put(&mut map, "id", id);
        put(&mut map, "interfaces", ports);
        put(&mut map, "stp", said.word(&path("bridge/stp_state")) == Some("1"));
    }
    map
}

/// The route to the world, from `ip route get`.
fn default_route(line: &str, interfaces: &BTreeMap<&str, Map<String, Value>>, family: &str) -> Map<String, Value> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut map = Map::new();
    let (Some(device), Some(source)) = (after(&words, "dev"), after(&words, "src")) else { return map };
    put(&mut map, "interface", device);
    put(&mut map, "address", source);
    if let Some(gateway) = after(&words, "via") {
        put(&mut map, "gateway", gateway);
    }
    let Some(interface) = interfaces.get(device) else { return map };
    for key in ["macaddress", "mtu", "type"] {
        if let Some(value) = interface.get(key) {
            put(&mut map, key, value.clone());
        }
    }
    if family == "ipv4" {
        put(&mut map, "alias", device);
    }
    let more = ["ipv4", "ipv4_secondaries", "ipv6"].iter().filter_map(|key| interface.get(*key));
    let entries = more.flat_map(|value| match value {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    });
    if let Some(Value::Object(entry)) = entries.into_iter().find(|entry| entry["address"] == source) {
        for (key, value) in entry {
            map.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    map
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
