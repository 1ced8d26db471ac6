//! `timezone`: the host's time zone.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::host::ShellFunction;
use crate::host::script::quote;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, refuse};

/// Sets the host's time zone: `/etc/localtime`, and `/etc/timezone` where the host has one.
///
/// ```yaml
/// - timezone:
///     name: Europe/Berlin
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Timezone {
    /// The zone, as in the database of time zones.
    #[serde(default)]
    name: Option<String>,
    /// Not supported: whether the hardware clock has local time.
    #[serde(default, alias = "rtc")]
    hwclock: Option<String>,
}

static TIMEZONE: ShellFunction = ShellFunction {
    name: "crud_timezone",
    text: r#"crud_tz_put() { ln -sfn "/usr/share/zoneinfo/$1" /etc/localtime.crud && mv -fT /etc/localtime.crud /etc/localtime 2>/dev/null || { rm -f /etc/localtime.crud; ln -sf "/usr/share/zoneinfo/$1" /etc/localtime; } || return 1
[ ! -e /etc/timezone ] || printf '%s\n' "$1" >/etc/timezone; }
crud_timezone() {
[ -f "/usr/share/zoneinfo/$1" ] || crud_fail "there is no time zone $1 on the host (the package \`tzdata\` has them)"
tz_l=$(readlink /etc/localtime); tz_f=$1; [ ! -s /etc/timezone ] || tz_f=$(head -n 1 /etc/timezone)
crud_say before "${tz_l##*/zoneinfo/}"
if [ "${tz_l##*/zoneinfo/}" != "$1" ] || [ "$tz_f" != "$1" ]; then crud_do crud_tz_put "$1"; fi; }"#,
    needs: &[&GUARD],
};

impl Guarded for Timezone {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        refuse("timezone", &[("hwclock", self.hwclock.is_some())], "the hardware clock is left alone")?;
        let Some(name) = self.name.clone() else { anyhow::bail!("one of the following is required: hwclock, name") };
        let good = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
        anyhow::ensure!(
            !name.is_empty() && name.chars().all(good) && !name.starts_with(['/', '-']),
            "`{name}` is not the name of a time zone"
        );
        Ok(Call::new(format!("crud_timezone {}", quote(&name)), &TIMEZONE).finish(move |said| {
            let mut outcome = said.outcome();
            let before = outcome.values.shift_remove("before").unwrap_or_default();
            if before == name.as_str() {
                return outcome;
            }
            outcome.diff(crate::modules::contract::Diff {
                before: format!("name: {}\n", before.as_str().unwrap_or_default()),
                after: format!("name: {name}\n"),
                ..Default::default()
            })
        }))
    }
}
