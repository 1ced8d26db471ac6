//! `iptables`: rules of the packet filter.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use crate::host::ShellFunction;
use crate::host::script::quote_all;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, flag, variables};

/// Adds rules to the packet filter of the kernel, or removes them; they last until the next boot.
///
/// ```yaml
/// - iptables:
///     chain: INPUT
///     protocol: tcp
///     destination_port: "8080"
///     ctstate: NEW
///     jump: ACCEPT
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Iptables {
    /// The table.
    #[serde(default = "filter")]
    table: String,
    /// Whether the rule (or chain) is there.
    #[serde(default)]
    state: State,
    /// Where a new rule goes.
    #[serde(default)]
    action: Action,
    /// Its number, for `insert`.
    #[serde(default)]
    rule_num: Option<String>,
    /// The protocol of the network.
    #[serde(default)]
    ip_version: IpVersion,
    /// The chain.
    #[serde(default)]
    chain: Option<String>,
    /// The protocol.
    #[serde(default)]
    protocol: Option<String>,
    /// From where.
    #[serde(default)]
    source: Option<String>,
    /// To where.
    #[serde(default)]
    destination: Option<String>,
    /// TCP's flags: `flags`, `flags_set`.
    #[serde(default)]
    tcp_flags: Option<TcpFlags>,
    /// Extensions.
    #[serde(default, rename = "match")]
    matches: Vec<String>,
    /// What is done with the packet.
    #[serde(default)]
    jump: Option<String>,
    /// The gateway of `TEE`.
    #[serde(default)]
    gateway: Option<String>,
    /// The prefix in the log.
    #[serde(default)]
    log_prefix: Option<String>,
    /// The level in the log.
    #[serde(default)]
    log_level: Option<String>,
    /// The chain in which it goes on.
    #[serde(default)]
    goto: Option<String>,
    /// The interface that it came by.
    #[serde(default)]
    in_interface: Option<String>,
    /// The interface that it goes by.
    #[serde(default)]
    out_interface: Option<String>,
    /// Fragments but the first.
    #[serde(default)]
    fragment: Option<String>,
    /// Counters.
    #[serde(default)]
    set_counters: Option<String>,
    /// The port that it came from.
    #[serde(default)]
    source_port: Option<String>,
    /// The port that it goes to.
    #[serde(default)]
    destination_port: Option<String>,
    /// Several such ports.
    #[serde(default)]
    destination_ports: Vec<String>,
    /// The port of `REDIRECT`.
    #[serde(default)]
    to_ports: Option<String>,
    /// The address of `DNAT`.
    #[serde(default)]
    to_destination: Option<String>,
    /// The address of `SNAT`.
    #[serde(default)]
    to_source: Option<String>,
    /// Only packets that open a connection: `ignore`, `match`, `negate`.
    #[serde(default)]
    syn: Syn,
    /// The mark of `DSCP`.
    #[serde(default)]
    set_dscp_mark: Option<String>,
    /// The class of `DSCP`.
    #[serde(default)]
    set_dscp_mark_class: Option<String>,
    /// A comment.
    #[serde(default)]
    comment: Option<String>,
    /// States of connections.
    #[serde(default)]
    ctstate: Vec<String>,
    /// A range of addresses.
    #[serde(default)]
    src_range: Option<String>,
    /// A range of addresses.
    #[serde(default)]
    dst_range: Option<String>,
    /// A set of ipset.
    #[serde(default)]
    match_set: Option<String>,
    /// What of the packet is in that set.
    #[serde(default)]
    match_set_flags: Option<String>,
    /// A rate.
    #[serde(default)]
    limit: Option<String>,
    /// How many before the rate counts.
    #[serde(default)]
    limit_burst: Option<String>,
    /// The user that it is from.
    #[serde(default)]
    uid_owner: Option<String>,
    /// The group that it is from.
    #[serde(default)]
    gid_owner: Option<String>,
    /// What `REJECT` answers.
    #[serde(default)]
    reject_with: Option<String>,
    /// A kind of ICMP.
    #[serde(default)]
    icmp_type: Option<String>,
    /// Remove all rules of the chain (or table).
    #[serde(default)]
    flush: bool,
    /// What is done with packets that no rule of the chain is for.
    #[serde(default)]
    policy: Option<String>,
    /// Seconds to wait for the lock of the tables.
    #[serde(default)]
    wait: Option<String>,
    /// The chain itself is made or removed, where no rule is given.
    #[serde(default)]
    chain_management: bool,
    /// Show addresses as numbers.
    #[serde(default)]
    #[expect(dead_code, reason = "nothing is listed")]
    numeric: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TcpFlags {
    /// The flags that are looked at.
    flags: Vec<String>,
    /// Those of them that are set.
    #[serde(default)]
    flags_set: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum State {
    Absent,
    #[default]
    Present,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Append,
    Insert,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum IpVersion {
    #[default]
    Ipv4,
    Ipv6,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Syn {
    #[default]
    Ignore,
    Match,
    Negate,
}

fn filter() -> String {
    "filter".to_owned()
}

/// `t=TABLE c=CHAIN x=PROGRAM … crud_iptables RULE…`.
static IPTABLES: ShellFunction = ShellFunction {
    name: "crud_iptables",
    text: r#"crud_iptables() {
command -v "$x" >/dev/null 2>&1 || crud_fail "the host has no $x"
it_w="-w $wait"
if [ -n "$flush" ]; then [ "$($x $it_w -t "$t" -S ${c:+"$c"} | grep -c '^-A')" = 0 ] || crud_do $x $it_w -t "$t" -F ${c:+"$c"}; return; fi
if [ -n "$pol" ]; then it_p=$($x $it_w -t "$t" -S "$c" | sed -n 's/^-P [^ ]* //p') || exit 1; [ "$it_p" = "$pol" ] || crud_do $x $it_w -t "$t" -P "$c" "$pol"; return; fi
if [ -n "$cm" ]; then
it_c=; ! $x $it_w -t "$t" -S "$c" >/dev/null 2>&1 || it_c=1
if [ "$st" = absent ] && [ $# -eq 0 ]; then [ -z "$it_c" ] || crud_do $x $it_w -t "$t" -X "$c"; return; fi
if [ "$st" != absent ] && [ -z "$it_c" ]; then crud_do $x $it_w -t "$t" -N "$c"; [ $# -eq 0 ] || [ "$do" = 1 ] || return 0; fi
[ $# -gt 0 ] || return 0
fi
if $x $it_w -t "$t" -C "$c" "$@" >/dev/null 2>&1; then [ "$st" != absent ] || crud_do $x $it_w -t "$t" -D "$c" "$@"
else [ "$st" = absent ] || if [ "$act" = insert ]; then crud_do $x $it_w -t "$t" -I "$c" $num "$@"; else crud_do $x $it_w -t "$t" -A "$c" "$@"; fi; fi; }"#,
    needs: &[&GUARD],
};

impl Guarded for Iptables {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        anyhow::ensure!(
            self.flush || self.chain.is_some(),
            "flush is False but all of the following are missing: chain"
        );
        anyhow::ensure!(!(self.flush && self.policy.is_some()), "parameters are mutually exclusive: flush|policy");
        let digits = |text: &Option<String>| text.as_ref().is_none_or(|t| t.chars().all(|c| c.is_ascii_digit()));
        anyhow::ensure!(digits(&self.rule_num) && digits(&self.wait), "`rule_num` and `wait` are numbers");
        let rule = self.rule()?;
        let line = variables(&[
            ("t", Some(&self.table)),
            ("c", self.chain.as_deref()),
            ("x", Some(if self.ip_version == IpVersion::Ipv4 { "iptables" } else { "ip6tables" })),
            ("st", (self.state == State::Absent).then_some("absent")),
            ("act", (self.action == Action::Insert).then_some("insert")),
            ("num", self.rule_num.as_deref()),
            ("flush", flag(self.flush)),
            ("pol", self.policy.as_deref()),
            ("wait", self.wait.as_deref()),
            ("cm", flag(self.chain_management)),
        ]);
        let values = Map::from_iter([
            ("ip_version".to_owned(), json!(if self.ip_version == IpVersion::Ipv4 { "ipv4" } else { "ipv6" })),
            ("table".to_owned(), json!(self.table)),
            ("chain".to_owned(), json!(self.chain)),
            ("flush".to_owned(), json!(self.flush)),
            ("rule".to_owned(), json!(rule.join(" "))),
            ("state".to_owned(), json!(if self.state == State::Absent { "absent" } else { "present" })),
        ]);
        Ok(Call::new(format!("{line}crud_iptables {}", quote_all(&rule)), &IPTABLES).values(values))
    }
}

impl Iptables {
    /// The rule's words, in the order in which iptables wants extensions before their options.
    fn rule(&self) -> anyhow::Result<Vec<String>> {
        let mut rule: Vec<String> = Vec::new();
        let mut add = |option: &str, value: Option<&str>| {
            let Some(value) = value.filter(|value| !value.is_empty()) else { return };
            // `! value` negates the option.
            let value = match value.strip_prefix('!') {
                Some(value) => {
                    rule.push("!".into());
                    value.trim_start()
                }
                None => value,
            };
            rule.push(option.into());
            rule.push(value.into());
        };
        add("-p", self.protocol.as_deref());
        add("-s", self.source.as_deref());
        add("-d", self.destination.as_deref());
        for name in &self.matches {
            add("-m", Some(name));
        }
        if let Some(flags) = &self.tcp_flags {
            rule.extend(["--tcp-flags".into(), flags.flags.join(","), flags.flags_set.join(",")]);
        }
        let has = |name: &str| self.matches.iter().any(|m| m == name);
        let mut option = |extension: &str, pairs: &[(&str, Option<&str>)]| {
            if pairs.iter().all(|(_, value)| value.is_none_or(str::is_empty)) {
                return;
            }
            if !extension.is_empty() && !has(extension) {
                rule.extend(["-m".into(), extension.into()]);
            }
            for (name, value) in pairs {
                let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
                let (negated, value) = value.strip_prefix('!').map_or((false, value), |v| (true, v.trim_start()));
                if negated {
                    rule.push("!".into());
                }
                rule.extend([(*name).to_owned(), value.to_owned()]);
            }
        };
        let ports = self.destination_ports.join(",");
        let states = self.ctstate.join(",");
        option("", &[("-i", self.in_interface.as_deref()), ("-o", self.out_interface.as_deref())]);
        option("", &[("-f", self.fragment.as_deref()), ("-c", self.set_counters.as_deref())]);
        option("", &[("--source-port", self.source_port.as_deref())]);
        option("", &[("--destination-port", self.destination_port.as_deref())]);
        option("multiport", &[("--dports", Some(ports.as_str()))]);
        let kind = if self.ip_version == IpVersion::Ipv4 { "--icmp-type" } else { "--icmpv6-type" };
        option("", &[(kind, self.icmp_type.as_deref())]);
        option("conntrack", &[("--ctstate", Some(states.as_str()))]);
        option("iprange", &[("--src-range", self.src_range.as_deref()), ("--dst-range", self.dst_range.as_deref())]);
        option("limit", &[("--limit", self.limit.as_deref()), ("--limit-burst", self.limit_burst.as_deref())]);
        option("owner", &[("--uid-owner", self.uid_owner.as_deref()), ("--gid-owner", self.gid_owner.as_deref())]);
        option("comment", &[("--comment", self.comment.as_deref())]);
        match self.syn {
            Syn::Ignore => {}
            Syn::Match => rule.push("--syn".into()),
            Syn::Negate => rule.extend(["!".into(), "--syn".into()]),
        }
        if let Some(set) = &self.match_set {
            let flags = self.match_set_flags.clone();
            let flags =
                flags.ok_or_else(|| anyhow::anyhow!("parameters are required together: match_set, match_set_flags"))?;
            rule.extend(["-m".into(), "set".into()]);
            let (negated, set) = set.strip_prefix('!').map_or((false, set.as_str()), |set| (true, set.trim_start()));
            if negated {
                rule.push("!".into());
            }
            rule.extend(["--match-set".into(), set.to_owned(), flags]);
        }
        let mut target = |name: &str, value: &Option<String>| {
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                rule.extend([name.to_owned(), value.clone()]);
            }
        };
        let implied = |word: &str| (self.jump.is_none()).then(|| word.to_owned());
        let log = self.log_prefix.is_some() || self.log_level.is_some();
        let jump = self.jump.clone().or_else(|| if log { implied("LOG") } else { None });
        let jump = jump.or_else(|| self.reject_with.as_ref().and_then(|_| implied("REJECT")));
        target("-j", &jump);
        target("-g", &self.goto);
        target("--gateway", &self.gateway);
        target("--log-prefix", &self.log_prefix);
        target("--log-level", &self.log_level);
        target("--to-ports", &self.to_ports);
        target("--to-destination", &self.to_destination);
        target("--to-source", &self.to_source);
        target("--set-dscp", &self.set_dscp_mark);
        target("--set-dscp-class", &self.set_dscp_mark_class);
        target("--reject-with", &self.reject_with);
        Ok(rule)
    }
}
