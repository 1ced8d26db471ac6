//! `sysvinit`: services by the scripts in `/etc/init.d`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::service::{SERVICE, ensure_name};
use super::systemd::{State, values};
use crate::modules::Context;
use crate::modules::guarded::{Call, Guarded, refuse, variables};

/// Starts, stops and enables services by their scripts in `/etc/init.d`, whatever else the host has.
///
/// ```yaml
/// - sysvinit:
///     name: cron
///     state: started
///     enabled: true
/// ```
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sysvinit {
    /// The service.
    #[serde(alias = "service")]
    name: String,
    /// What it should be; `restarted` and `reloaded` act each time.
    #[serde(default)]
    state: Option<State>,
    /// Whether it starts at boot.
    #[serde(default)]
    enabled: Option<bool>,
    /// Seconds between stop and start of a restart.
    #[serde(default)]
    sleep: Option<u32>,
    /// Part of the command line by which a service without a `status` command is found among the processes.
    #[serde(default)]
    pattern: Option<String>,
    /// The runlevels that `enabled` is about.
    #[serde(default)]
    runlevels: Vec<String>,
    /// Further arguments for the script.
    #[serde(default, alias = "args")]
    arguments: Option<String>,
    /// Not supported: a script that stays in the foreground is no service.
    #[serde(default)]
    daemonize: bool,
}

impl Guarded for Sysvinit {
    fn call(&self, _: &Context) -> anyhow::Result<Call> {
        ensure_name(&self.name)?;
        refuse("sysvinit", &[("daemonize", self.daemonize)], "a script has to start its daemon by itself")?;
        anyhow::ensure!(
            self.state.is_some() || self.enabled.is_some(),
            "one of the following is required: state, enabled"
        );
        for level in &self.runlevels {
            anyhow::ensure!(
                level.len() == 1 && level.chars().all(|c| c.is_ascii_digit() || c == 'S'),
                "`{level}` is not a runlevel"
            );
        }
        let (glob, levels) = (format!("[{}]", self.runlevels.concat()), self.runlevels.join(" "));
        let given = !self.runlevels.is_empty();
        let sleep = self.sleep.map(|seconds| seconds.to_string());
        let line = variables(&[
            ("n", Some(&self.name)),
            ("st", self.state.map(State::word)),
            ("en", self.enabled.map(|enabled| if enabled { "1" } else { "0" })),
            ("pat", self.pattern.as_deref()),
            ("args", self.arguments.as_deref()),
            ("slp", sleep.as_deref()),
            ("lv", given.then_some(glob.as_str())),
            ("lvs", given.then_some(levels.as_str())),
            ("mgr", Some("sysvinit")),
        ]);
        let values = values(Some(&self.name), self.state, self.enabled);
        Ok(Call::new(format!("{line}crud_service"), &SERVICE).values(values))
    }
}
