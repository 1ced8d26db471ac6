//! `modprobe`: modules of the kernel.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, variables};

/// Loads a module of the kernel or unloads it, now and at boot.
///
/// ```yaml
/// - modprobe:
///     name: br_netfilter
///     persistent: present
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Modprobe {
    /// The module.
    name: String,
    /// Its parameters.
    #[serde(default)]
    params: String,
    /// Whether it is loaded.
    #[serde(default)]
    state: State,
    /// Whether it is loaded at boot (`/etc/modules-load.d`, `/etc/modprobe.d`).
    #[serde(default)]
    persistent: Persistent,
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
enum Persistent {
    Absent,
    #[default]
    Disabled,
    Present,
}

static MODPROBE: ShellFunction = ShellFunction {
    name: "crud_modprobe",
    text: r#"crud_mp_put() { mkdir -p "${1%/*}" && printf '%s\n' "$2" >"$1.crud$$" && mv -f "$1.crud$$" "$1"; }
crud_mp_drop() { sed "/^[[:space:]]*$n[[:space:]]*\(#.*\)\{0,1\}\$/d" "$1" >"$1.crud$$" && chmod 644 "$1.crud$$" && mv -f "$1.crud$$" "$1"; }
crud_modprobe() {
mp_d=$(printf %s "$n" | tr - _); mp_on=
if [ -d "/sys/module/$mp_d" ] || grep -q "^$mp_d " /proc/modules 2>/dev/null || grep -qs "/$n\.ko" "/lib/modules/$(uname -r)/modules.builtin"; then mp_on=1; fi
case $st in
absent) [ -z "$mp_on" ] || crud_do modprobe -r -- "$n";;
*) [ -n "$mp_on" ] || crud_do modprobe -- "$n" $par;;
esac
mp_l=$(grep -lsE "^[[:space:]]*$n[[:space:]]*(#.*)?\$" /etc/modules /etc/modules-load.d/*.conf | head -n 1)
case $per in
present) [ -n "$mp_l" ] || crud_do crud_mp_put "/etc/modules-load.d/$n.conf" "$n"
if [ -n "$par" ]; then [ "$(cat "/etc/modprobe.d/$n.conf" 2>/dev/null)" = "options $n $par" ] || crud_do crud_mp_put "/etc/modprobe.d/$n.conf" "options $n $par"; fi;;
absent) [ -z "$mp_l" ] || crud_do crud_mp_drop "$mp_l"
[ ! -e "/etc/modprobe.d/$n.conf" ] || ! grep -q "^options $n " "/etc/modprobe.d/$n.conf" || crud_do rm -f "/etc/modprobe.d/$n.conf";;
esac; }"#,
    needs: &[&GUARD],
};

impl Guarded for Modprobe {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        let good = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        anyhow::ensure!(
            !self.name.is_empty() && self.name.chars().all(good) && !self.name.starts_with('-'),
            "`{}` is not the name of a module",
            self.name
        );
        let word = |c: char| c.is_ascii_alphanumeric() || "_-=., :/".contains(c);
        anyhow::ensure!(self.params.chars().all(word), "`params` are words of the form NAME=VALUE");
        let state = if self.state == State::Absent { "absent" } else { "present" };
        let persistent = match self.persistent {
            Persistent::Absent => Some("absent"),
            Persistent::Disabled => None,
            Persistent::Present => Some("present"),
        };
        let line = variables(&[
            ("n", Some(&self.name)),
            ("par", Some(self.params.as_str()).filter(|params| !params.is_empty())),
            ("st", Some(state)),
            ("per", persistent),
        ]);
        let values = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("params".to_owned(), json!(self.params)),
            ("state".to_owned(), json!(state)),
        ]);
        Ok(Call::new(format!("{line}crud_modprobe"), &MODPROBE).values(values))
    }
}
