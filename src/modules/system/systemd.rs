//! `systemd_service`: units of systemd. Its shell function serves `service` too.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::host::ShellFunction;
use crate::modules::Context;
use crate::modules::guarded::{Call, GUARD, Guarded, Said, flag, variables};

/// Starts, stops, enables and masks units of systemd.
///
/// `daemon_reload` is carried out where systemd says that a loaded unit's files changed, so that it costs nothing on a converged
/// host. The result's `status` holds what `systemctl show` says about the unit.
///
/// ```yaml
/// - systemd_service:
///     name: nginx
///     state: started
///     enabled: true
///     daemon_reload: true
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the parameters are Ansible's")]
pub(super) struct Systemd {
    /// The unit; `.service` is what a name without a suffix means.
    #[serde(default, alias = "service", alias = "unit")]
    name: Option<String>,
    /// What the unit should be; `restarted` and `reloaded` act each time.
    #[serde(default)]
    state: Option<State>,
    /// Whether it starts at boot.
    #[serde(default)]
    enabled: Option<bool>,
    /// Replace links that are in the way of `enabled`.
    #[serde(default)]
    force: bool,
    /// Whether it can't be started at all.
    #[serde(default)]
    masked: Option<bool>,
    /// Read changed unit files first.
    #[serde(default, alias = "daemon-reload")]
    daemon_reload: bool,
    /// Execute systemd itself anew first.
    #[serde(default, alias = "daemon-reexec")]
    daemon_reexec: bool,
    /// Whose systemd: the system's, the task user's, or all users'.
    #[serde(default)]
    scope: Scope,
    /// Don't wait until what was started is up.
    #[serde(default)]
    no_block: bool,
}

/// What a service should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    /// Loads its configuration anew (started where it doesn't run).
    Reloaded,
    /// Stopped and started.
    Restarted,
    /// Runs.
    Started,
    /// Doesn't run.
    Stopped,
}

impl State {
    /// Its name, as it is in results.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Reloaded => "reloaded",
            Self::Restarted => "restarted",
            Self::Started => "started",
            Self::Stopped => "stopped",
        }
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Scope {
    #[default]
    System,
    User,
    Global,
}

/// `n=UNIT st=STATE en=1|0 mask=1|0 reload=1 reexec=1 sdo=OPTIONS force=1 crud_systemd`.
pub(super) static SYSTEMD: ShellFunction = ShellFunction {
    name: "crud_systemd",
    text: r#"crud_sd_get() { sd_v=${sd_all#*"
$1="}; [ "$sd_v" != "$sd_all" ] || sd_v=; sd_v=${sd_v%%"
"*}; }
crud_sd_run() { sd_o=$(mktemp) || exit 1; systemctl $sdo "$@" >"$sd_o" 2>&1 </dev/null; sd_r=$?; [ $sd_r -eq 0 ] || { case " $* " in *start*|*reload*) systemctl $sdo --no-pager -n 10 status -- "$sd_u" 2>/dev/null | tail -n 8;; esac; cat "$sd_o"; } >&2; rm -f "$sd_o"; return $sd_r; }
crud_systemd() {
case " $sdo " in *' --user '*) : "${XDG_RUNTIME_DIR:=/run/user/$(id -u)}"; export XDG_RUNTIME_DIR;; esac
sd_u=$n; sd_all=
[ -z "$reexec" ] || crud_act crud_sd_run daemon-reexec
if [ -n "$reload" ] && { [ -z "$n" ] || [ "$do" = 1 ] || systemctl $sdo show -p NeedDaemonReload --value '*' 2>/dev/null | grep -q yes || systemctl $sdo show -p LoadState -- "$sd_u" 2>/dev/null | grep -q not-found; }; then crud_act crud_sd_run daemon-reload; fi
[ -n "$n" ] || return 0
if [ "$sdo" = --global ]; then sd_all="
LoadState=loaded
ActiveState=inactive"; else sd_all="
$(systemctl $sdo show -- "$sd_u" 2>/dev/null)" || crud_fail "systemctl can't show $n"; fi
crud_sd_get LoadState; sd_load=$sd_v; crud_sd_get ActiveState; sd_act=$sd_v
case $sd_load in
not-found) if [ "$mask" != 1 ] && [ "$do" != c -o -z "$reload" ]; then [ -n "$crud_dr" ] && [ "$do" != 1 ] && crud_end; crud_fail "could not find the requested service $n: systemd has no such unit"; fi;;
error|bad-setting) crud_sd_get LoadError; crud_fail "the unit $n can't be loaded: $sd_v";;
esac
case $mask in
1) [ "$sd_load" = masked ] || crud_do crud_sd_run ${force:+--force} mask -- "$sd_u";;
0) if [ "$sd_load" = masked ]; then crud_do crud_sd_run unmask -- "$sd_u"; fi;;
esac
if [ -n "$en" ]; then
sd_s=0; sd_e=$(systemctl $sdo is-enabled -- "$sd_u" 2>/dev/null) || sd_s=1
case $sd_e in indirect|alias) sd_s=1;; esac
if [ "$en" = 1 ]; then [ $sd_s = 0 ] || crud_do crud_sd_run ${force:+--force} enable -- "$sd_u"
else [ $sd_s = 1 ] || crud_do crud_sd_run disable -- "$sd_u"; fi
fi
case $sd_act in active|activating|reloading) sd_run=1;; *) sd_run=;; esac
case $st in
started) [ -n "$sd_run" ] || crud_do crud_sd_run $nb start -- "$sd_u";;
stopped) if [ -n "$sd_run" ] || [ "$sd_act" = deactivating ]; then crud_do crud_sd_run $nb stop -- "$sd_u"; fi;;
restarted) if [ -n "$slp" ]; then crud_do crud_sd_run stop -- "$sd_u"; [ "$do" != 1 ] || sleep "$slp"; crud_do crud_sd_run start -- "$sd_u"; else crud_do crud_sd_run $nb restart -- "$sd_u"; fi;;
reloaded) if [ -n "$sd_run" ]; then crud_do crud_sd_run $nb reload -- "$sd_u"; else crud_do crud_sd_run $nb start -- "$sd_u"; fi;;
esac
if [ "$do" = 1 ]; then systemctl $sdo show -- "$sd_u" 2>/dev/null; else printf '%s\n' "$sd_all"; fi; }"#,
    needs: &[&GUARD],
};

impl Guarded for Systemd {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        let acts = self.state.is_some() || self.enabled.is_some() || self.masked.is_some();
        anyhow::ensure!(
            acts || self.daemon_reload || self.daemon_reexec,
            "one of the following is required: state, enabled, masked, daemon_reload, daemon_reexec"
        );
        anyhow::ensure!(!acts || self.name.is_some(), "state, enabled and masked need `name`");
        let scope = match self.scope {
            Scope::System => None,
            Scope::User => Some("--user"),
            Scope::Global => Some("--global"),
        };
        anyhow::ensure!(
            self.scope != Scope::Global || (self.state.is_none() && self.masked.is_none()),
            "`scope: global` is for `enabled` alone: units run in a user's or the system's scope"
        );
        let zero_one = |value: Option<bool>| value.map(|value| if value { "1" } else { "0" });
        let line = variables(&[
            ("n", self.name.as_deref()),
            ("st", self.state.map(State::word)),
            ("en", zero_one(self.enabled)),
            ("mask", zero_one(self.masked)),
            ("reload", flag(self.daemon_reload)),
            ("reexec", flag(self.daemon_reexec)),
            ("force", flag(self.force)),
            ("sdo", scope),
            ("nb", self.no_block.then_some("--no-block")),
        ]);
        let values = values(self.name.as_deref(), self.state, self.enabled);
        Ok(Call::new(format!("{line}crud_systemd"), &SYSTEMD).finish(status).values(values))
    }
}

/// What the result says beside the status.
pub(super) fn values(name: Option<&str>, state: Option<State>, enabled: Option<bool>) -> Map<String, Value> {
    let mut values = Map::new();
    if let Some(name) = name {
        values.insert("name".into(), name.into());
    }
    if let Some(state) = state {
        let state = if state == State::Stopped { State::Stopped } else { State::Started };
        values.insert("state".into(), state.word().into());
    }
    if let Some(enabled) = enabled {
        values.insert("enabled".into(), enabled.into());
    }
    values
}

/// The result with `status`: the lines of `systemctl show`.
pub(super) fn status(said: &Said) -> crate::modules::Outcome {
    let status: Map<String, Value> = said
        .rest
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| key.starts_with(|c: char| c.is_ascii_uppercase()) && key.chars().all(char::is_alphanumeric))
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .collect();
    said.outcome().with("status", status)
}
