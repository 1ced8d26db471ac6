//! `hostname`: the host's own name.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::host::ShellFunction;
use crate::host::script::quote;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded};

/// Sets the host's name, now and for the next boot.
///
/// `/etc/hosts` stays as it is.
///
/// ```yaml
/// - hostname:
///     name: web01
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Hostname {
    /// The name.
    name: String,
    /// How it is set; absent, the host is looked at.
    #[serde(default, rename = "use")]
    how: Option<How>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum How {
    Alpine,
    Debian,
    Generic,
    Systemd,
}

static HOSTNAME: ShellFunction = ShellFunction {
    name: "crud_hostname",
    text: r#"crud_hn_file() { printf '%s\n' "$1" >/etc/hostname.crud && { mv -f /etc/hostname.crud /etc/hostname 2>/dev/null || { rm -f /etc/hostname.crud; printf '%s\n' "$1" >/etc/hostname; }; }; }
crud_hostname() {
hn_now=$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)
hn_f=$(sed -n '/^[[:space:]]*#/d;/./{p;q;}' /etc/hostname 2>/dev/null)
crud_say before "$hn_now"
if [ "$hn_now" != "$1" ] || [ "$hn_f" != "$1" ]; then
if [ "$2" = systemd ] || { [ -z "$2" ] && [ -d /run/systemd/system ] && command -v hostnamectl >/dev/null 2>&1 && [ -S /run/dbus/system_bus_socket ]; }; then crud_do hostnamectl --no-ask-password set-hostname -- "$1"
else [ "$hn_f" = "$1" ] || crud_do crud_hn_file "$1"; [ "$hn_now" = "$1" ] || crud_do hostname -- "$1"; fi
fi
[ -z "$do$crud_ch" ] || [ "$do" = 1 ] || return 0
crud_say fqdn "$(hostname -f 2>/dev/null || hostname)"; }"#,
    needs: &[&GUARD],
};

impl Guarded for Hostname {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        let name = self.name.clone();
        anyhow::ensure!(!name.is_empty() && name.len() <= 64, "`name` has to be 1 to 64 characters long");
        anyhow::ensure!(
            name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)) && !name.starts_with('-'),
            "`{name}` is not the name of a host"
        );
        let how = match self.how {
            None => "",
            Some(How::Systemd) => " systemd",
            Some(How::Alpine | How::Debian | How::Generic) => " file",
        };
        Ok(Call::new(format!("crud_hostname {}{how}", quote(&name)), &HOSTNAME).finish(move |said| {
            let mut outcome = said.outcome().with("name", name.as_str());
            let before = outcome.values.shift_remove("before").unwrap_or_default();
            let fqdn = outcome.values.shift_remove("fqdn");
            let fqdn = fqdn.as_ref().and_then(Value::as_str).unwrap_or(&name);
            let short = name.split('.').next().unwrap_or_default();
            for (fact, value) in [
                ("hostname", short),
                ("nodename", name.as_str()),
                ("fqdn", fqdn),
                ("domain", fqdn.split_once('.').map_or("", |(_, domain)| domain)),
            ] {
                outcome.facts.insert(format!("ansible_{fact}"), value.into());
            }
            if before != name.as_str() {
                outcome = outcome.diff(crate::modules::contract::Diff {
                    before: format!("hostname = {}\n", before.as_str().unwrap_or_default()),
                    after: format!("hostname = {name}\n"),
                    ..Default::default()
                });
            }
            outcome
        }))
    }
}
