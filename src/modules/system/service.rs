//! `service`: daemons under whatever starts them: systemd, OpenRC, or scripts in `/etc/init.d`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::systemd::{SYSTEMD, State, status, values};
use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, variables};

/// Starts, stops and enables services.
///
/// systemd is used where it is running; else OpenRC, else the scripts in `/etc/init.d` with `update-rc.d` or `chkconfig`.
/// A daemon without any of them can't be managed, which is an error that says so.
///
/// ```yaml
/// - service:
///     name: nginx
///     state: started
///     enabled: true
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// The service.
    name: String,
    /// What it should be; `restarted` and `reloaded` act each time.
    #[serde(default)]
    state: Option<State>,
    /// Whether it starts at boot.
    #[serde(default)]
    enabled: Option<bool>,
    /// Further arguments for its script (not for systemd).
    #[serde(default, alias = "args")]
    arguments: Option<String>,
    /// Part of the command line by which a service without a `status` command is found among the processes.
    #[serde(default)]
    pattern: Option<String>,
    /// OpenRC's runlevel.
    #[serde(default = "default_runlevel")]
    runlevel: String,
    /// Seconds between stop and start of a restart.
    #[serde(default)]
    sleep: Option<u32>,
    /// What starts services; `auto` looks at the host.
    #[serde(default, rename = "use")]
    manager: Manager,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Manager {
    #[default]
    Auto,
    #[serde(alias = "service")]
    Sysvinit,
    #[serde(alias = "ansible.builtin.systemd", alias = "systemd_service")]
    Systemd,
    Openrc,
}

fn default_runlevel() -> String {
    "default".to_owned()
}

/// `n=NAME st=STATE en=1|0 pat=PATTERN args=ARGS slp=SECONDS mgr=MANAGER rl=RUNLEVEL crud_service`.
pub(super) static SERVICE: ShellFunction = ShellFunction {
    name: "crud_service",
    text: r#"crud_sv_cmd() { sv_o=$(mktemp) || exit 1; "$@" >"$sv_o" 2>&1 </dev/null; sv_r=$?; if [ $sv_r -ne 0 ]; then cat "$sv_o" >&2; else cat "$sv_o"; fi; rm -f "$sv_o"; return $sv_r; }
crud_sv_init() { if [ "$mgr" = openrc ]; then crud_sv_cmd rc-service "$n" "$1"; else crud_sv_cmd "/etc/init.d/$n" "$1" $args; fi; }
crud_sv_on() {
if [ -n "$pat" ]; then
for sv_p in /proc/[0-9]*; do
[ "$sv_p" != "/proc/$$" ] || continue
case $(tr '\0' ' ' <"$sv_p/cmdline" 2>/dev/null) in *"$pat"*) return 0;; esac
done; return 1
fi
if [ "$mgr" = openrc ]; then rc-service "$n" status >/dev/null 2>&1; return; fi
sv_t=$("/etc/init.d/$n" status 2>&1 </dev/null); sv_r=$?
case $sv_t in *'not running'*|*'is stopped'*|*'is dead'*) return 1;; esac
return $sv_r; }
crud_sv_boot() {
if [ "$mgr" = openrc ]; then [ -e "/etc/runlevels/$rl/$n" ]; return; fi
for sv_f in /etc/rc${lv:-[2345]}.d/S[0-9][0-9]"$n" /etc/rc.d/rc[2345].d/S[0-9][0-9]"$n"; do [ ! -e "$sv_f" ] || return 0; done; return 1; }
crud_sv_set() {
if [ "$mgr" = openrc ]; then if [ "$1" = 1 ]; then crud_sv_cmd rc-update add "$n" "$rl"; else crud_sv_cmd rc-update del "$n" "$rl"; fi
elif command -v update-rc.d >/dev/null 2>&1; then
if [ "$1" = 1 ]; then crud_sv_cmd update-rc.d "$n" defaults && crud_sv_cmd update-rc.d "$n" enable $lvs; else crud_sv_cmd update-rc.d "$n" disable $lvs; fi
elif command -v chkconfig >/dev/null 2>&1; then if [ "$1" = 1 ]; then crud_sv_cmd chkconfig "$n" on; else crud_sv_cmd chkconfig "$n" off; fi
else crud_fail "can't enable or disable $n: the host has neither update-rc.d nor chkconfig"; fi; }
crud_service() {
if [ "${mgr:-auto}" = auto ]; then
if [ -d /run/systemd/system ]; then mgr=systemd; elif command -v rc-service >/dev/null 2>&1; then mgr=openrc; else mgr=sysvinit; fi
fi
if [ "$mgr" = systemd ]; then crud_systemd; return; fi
[ -x "/etc/init.d/$n" ] || crud_fail "could not find the requested service $n: PID 1 is not systemd, and there is no script /etc/init.d/$n"
if [ -n "$en" ]; then sv_b=0; crud_sv_boot && sv_b=1; [ $sv_b = "$en" ] || crud_do crud_sv_set "$en"; fi
case $st in
started) crud_sv_on || crud_do crud_sv_init start;;
stopped) ! crud_sv_on || crud_do crud_sv_init stop;;
restarted) if [ -n "$slp" ]; then crud_do crud_sv_init stop; [ "$do" != 1 ] || sleep "$slp"; crud_do crud_sv_init start; else crud_do crud_sv_init restart; fi;;
reloaded) if crud_sv_on; then crud_do crud_sv_init reload; else crud_do crud_sv_init start; fi;;
esac; }"#,
    needs: &[&SYSTEMD, &GUARD],
};

/// A service's name, which becomes part of a path.
pub(super) fn ensure_name(name: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        !name.is_empty() && !name.contains(['/', '\n']) && !name.starts_with('-'),
        "`{name}` is not the name of a service"
    );
    Ok(())
}

impl Guarded for Service {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        ensure_name(&self.name)?;
        anyhow::ensure!(
            self.state.is_some() || self.enabled.is_some(),
            "one of the following is required: state, enabled"
        );
        let manager = match self.manager {
            Manager::Auto => None,
            Manager::Sysvinit => Some("sysvinit"),
            Manager::Systemd => Some("systemd"),
            Manager::Openrc => Some("openrc"),
        };
        let sleep = self.sleep.map(|seconds| seconds.to_string());
        let line = variables(&[
            ("n", Some(&self.name)),
            ("st", self.state.map(State::word)),
            ("en", self.enabled.map(|enabled| if enabled { "1" } else { "0" })),
            ("pat", self.pattern.as_deref()),
            ("args", self.arguments.as_deref()),
            ("slp", sleep.as_deref()),
            ("mgr", manager),
            ("rl", Some(self.runlevel.as_str()).filter(|level| *level != "default")),
        ]);
        let values = values(Some(&self.name), self.state, self.enabled);
        let rl = if self.runlevel == "default" { "rl=default " } else { "" };
        let rl = if self.manager == Manager::Systemd { "" } else { rl };
        Ok(Call::new(format!("{line}{rl}crud_service"), &SERVICE).finish(status).values(values))
    }
}
